// SPDX-License-Identifier: Apache-2.0
/*
 * go.c - starting fibers, and the small calls of <weft/fiber.h>.
 *
 * A start is: enter, take a stack, link into the scope (or the context), make runnable, leave. The
 * two kinds differ in who keeps the context alive: the scope joins its fibers, so they hold
 * nothing; a detached fiber holds a reference to the context that it inherited, except to the root,
 * which outlives all fibers.
 *
 *                     prepare           on_exit
 *     scope           born_in_scope     weft__scope_exit
 *     detached        born_detached     exit_detached
 */
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include <weft/fiber.h>

#include "base/futex.h"
#include "ctx/context.h"
#include "ctx/record.h"
#include "ctx/scopes.h"

struct birth {
    struct weft__scope *scope;
    struct weft_ctx *ctx; /* detached: to inherit; NULL: the root (a plain thread's fibers) */
    struct weft__fiber_ext *ext;
};

static void born_in_scope(struct weft__fiber *f, void *arg)
{
    struct birth *b = arg;
    f->ext = b->ext;
    weft__scope_born(f, b->scope);
}

static void born_detached(struct weft__fiber *f, void *arg)
{
    struct birth *b = arg;
    struct weft_ctx *root = at_load(&weft__ctx_root); /* weft__spawn holds the runtime meanwhile */
    struct weft_ctx *c = b->ctx ? b->ctx : root;
    f->ext = b->ext;
    if (c != root)
        weft_ctx_ref(c);
    weft__ctx_adopt(c, f);
}

static void exit_detached(struct weft__fiber *f, int result)
{
    struct weft_ctx *c = f->ctx;
    weft__record_exit_root(f, result);
    if (c != at_load(&weft__ctx_root))
        weft__ctx_unref_inside(c);
}

static inline int start(weft_scope *scope, struct weft__spawn *s, const weft_fiber_opts *o)
{
    struct birth b = {.scope = NULL};
    struct weft__scope *i = scope ? weft__scope_of(scope, "weft_go") : NULL;
    struct weft__fiber *me = weft__me();
    int rc = scope && !i ? -ENOMEM : 0;
    if (__builtin_expect((me->ext || o) && rc == 0, 0))
        rc = weft__record_for_child(me, o, &b.ext);
    weft__enter();
    b.scope = i;
    b.ctx = me->flags & WEFT__F_THREAD ? me->ctx : weft__ctx_of(me);
    s->prepare = i ? born_in_scope : born_detached;
    s->on_exit = i ? weft__scope_exit : exit_detached;
    s->prepare_arg = &b;
    s->relieve = true;
    if (rc == 0)
        rc = weft__spawn(s, NULL);
    if (__builtin_expect(rc < 0 && i, 0))
        weft__scope_start_failed(i, rc);
    weft__leave();
    if (rc < 0)
        weft__record_free(b.ext);
    return rc;
}

int weft_go(weft_scope *scope, int (*fn)(void *), void *arg)
{
    struct weft__spawn s = {.entry = fn, .arg = arg, .spawn_site = __builtin_return_address(0)};
    return start(scope, &s, NULL);
}

int weft_go_value(
    weft_scope *scope, int (*fn)(void *), const void *value, size_t bytes, size_t align)
{
    struct weft__spawn s = {.entry = fn,
        .copy = value,
        .copy_bytes = bytes,
        .copy_align = align,
        .spawn_site = __builtin_return_address(0)};
    if (align & (align - 1))
        return -EINVAL;
    return start(scope, &s, NULL);
}

int weft_go_opt(weft_scope *scope, int (*fn)(void *), void *arg, const weft_fiber_opts *opts)
{
    if (!opts || opts->size < sizeof *opts || (opts->value_align & (opts->value_align - 1)))
        return -EINVAL;
    struct weft__spawn s = {.entry = fn,
        .arg = arg,
        .copy = opts->value,
        .copy_bytes = opts->value_bytes,
        .copy_align = opts->value_align,
        .stack_bytes = opts->stack_bytes,
        .spawn_site = opts->spawn_site ? opts->spawn_site : __builtin_return_address(0)};
    return start(scope, &s, opts);
}

/* ---- the small calls ---- */

void weft_yield(void)
{
    struct weft__fiber *f = weft__enter();
    weft__yield();
    weft__leave();
    if (f->flags & WEFT__F_THREAD)
        weft__syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static int sleep_until(int64_t deadline_ns, void *caller)
{
    struct weft__fiber *f = weft__enter();
    int rc;
    while ((rc = weft__cancelled(f)) == 0 && weft__clock_ns() < deadline_ns)
        weft__sleep_until(deadline_ns, caller); /* interrupted: the loop asks why */
    weft__leave();
    return rc;
}

int weft_sleep(int64_t duration_ns)
{
    int64_t now = weft__clock_ns();
    return sleep_until(
        duration_ns > INT64_MAX - now ? INT64_MAX : now + duration_ns, __builtin_return_address(0));
}

int weft_sleep_until(int64_t deadline_ns)
{
    return sleep_until(deadline_ns, __builtin_return_address(0));
}

int64_t weft_now(void)
{
    return weft__clock_ns();
}

uint64_t weft_self(void)
{
    return weft__me()->id;
}

void weft_blocking_begin(void)
{
    weft__enter();
    weft__blocking_begin();
}

void weft_blocking_end(void)
{
    weft__blocking_end();
    weft__leave();
}
