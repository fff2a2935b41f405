// SPDX-License-Identifier: Apache-2.0
/*
 * run.c - weft_run and weft_main: the root context around the scheduler's run, and what is said
 * when it is over.
 *
 *     weft_run ── options, rooms' init ── root context ── weft__sched_run
 *                                                         ├─ app on the first fiber
 *                                                         ├─ finish: the root context ends
 *                                                         └─ fibers drain
 *
 * The root is a counted context like any other: contexts that the user made below it and still
 * holds keep it, ended. The first fiber and detached fibers under the root hold no reference, since
 * none of them runs after the drain.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <weft/error.h>
#include <weft/run.h>

#include "base/alloc.h"
#include "base/hooks.h"
#include "base/log.h"
#include "ctx/context.h"
#include "ctx/run_opts.h"
#include "ctx/record.h"
#include "ctx/unwind.h"

/* What app is called with, and the error object that it left. One runtime at a time, so one of
 * these. */
struct app {
    int (*fn)(void *);
    void *arg;
    weft_error *error;
};

static int first_fiber(void *arg)
{
    struct app *a = arg;
    int rc = weft__base_run(a->fn, a->arg);
    if (rc < 0)
        a->error = weft_error_take(rc);
    return rc;
}

static void first_born(struct weft__fiber *f, void *arg)
{
    f->on_exit = weft__record_exit_root;
    weft__record_born_root(f, arg);
}

/* Inside, on the first fiber. */
static void finish(int result)
{
    (void)result;
    weft__ctx_end(at_load(&weft__ctx_root), -ECANCELED, NULL);
}

static bool name_left_over(struct weft__fiber *f, void *arg)
{
    char name[WEFT__NAME_BYTES];
    int *told = arg;
    enum weft__state state = (enum weft__state)at_load(&f->state);
    if (state == WEFT__DEAD || (f->flags & (WEFT__F_SYSTEM | WEFT__F_IDLE | WEFT__F_THREAD)))
        return true;
    weft__fiber_name(f, name, sizeof name);
    weft__log(WEFT_LOG_WARNING, "left over: fiber %llu \"%s\", %s (%s)", (unsigned long long)f->id,
        name, weft__state_name(state),
        weft__reason_name((enum weft__reason)at_load(&f->park_reason)));
    return ++*told < 20;
}

static int run_under(struct app *a, const struct weft__sched_opts *o, int *ret_result)
{
    struct weft__fiber *me = weft__self();
    if (me && !(me->flags & WEFT__F_THREAD))
        return -EDEADLK;
    if (weft__attach_try() < 0)
        return -ENOMEM;
    struct weft_ctx *root = weft_ctx_with_cancel(&weft__ctx_background), *none = NULL;
    if (root == &weft__ctx_no_memory || weft__ctx_prepare() < 0) {
        weft_ctx_free(root);
        return -ENOMEM;
    }
    root->object.name = "root";
    if (!at_cas(&weft__ctx_root, &none, root)) {
        weft_ctx_free(root);
        return -EBUSY;
    }
    int rc = weft__io_init();
    if (rc == 0) {
        weft__diag_init();
        rc = weft__sched_run(first_fiber, a, first_born, NULL, finish, o, ret_result);
    }
    weft__tsan_acquire(&weft__ctx_root);
    at_store(&weft__ctx_root, NULL);
    if (rc == -ETIMEDOUT) { /* their links lead into the root: it stays */
        int told = 0;
        if (!o->sim) /* it has a report of its own */
            weft__fibers_each(name_left_over, &told);
    } else {
        weft_ctx_free(root);
    }
    weft__ctx_bury();
    weft__after_late();
    return rc;
}

static int run(struct app *a, const weft_run_opts *opts, int *ret_result)
{
    struct weft__sched_opts o;
    int rc = weft__options_read(opts, &o);
    return rc < 0 || !a->fn ? -EINVAL : run_under(a, &o, ret_result);
}

int weft__run_simulated(
    int (*fn)(void *), void *arg, const struct weft__sim_driver *driver, int *ret_result)
{
    struct app a = {.fn = fn, .arg = arg};
    struct weft__sched_opts o = {.sim = driver};
    int rc = run_under(&a, &o, ret_result);
    weft_error_free(a.error);
    return rc;
}

int weft_run(int (*app)(void *), void *arg, const weft_run_opts *opts, int *ret_result)
{
    struct app a = {.fn = app, .arg = arg};
    int result = 0, rc = run(&a, opts, &result);
    if ((rc == 0 || rc == -ETIMEDOUT) && ret_result)
        *ret_result = result;
    if (a.error)
        weft_fail(a.error); /* the caller may want it: weft_error_take */
    return rc;
}

bool weft_running(void)
{
    return weft__sched_running();
}

int weft_main(int (*app)(void *), void *arg)
{
    struct app a = {.fn = app, .arg = arg};
    int result = 0, rc = run(&a, NULL, &result);
    char text[1024];
    if (rc < 0)
        fprintf(stderr, "%s: the runtime: %s\n", program_invocation_short_name,
            rc == -ETIMEDOUT ? "fibers were left over" : weft_strerror(rc));
    if (a.error) {
        weft_error_format(a.error, text, sizeof text);
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, text);
        weft_error_free(a.error);
    }
    return rc < 0 || result < 0;
}
