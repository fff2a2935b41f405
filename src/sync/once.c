// SPDX-License-Identifier: Apache-2.0
/*
 * once.c - done exactly once.
 *
 *      state   NEW --(first caller, under lock)--> RUNNING --(fn ended, in whatever way)--> DONE
 *
 * A DONE once costs one load. While RUNNING, callers wait in the queue; the runner wakes all. That
 * fn may panic or end its fiber is covered by a registration on the runner's unwind list
 * (unwinding.h).
 *
 * N1  state leaves NEW exactly once, so fn is called once.
 * N2  DONE is stored after fn's effects, and loaded before a caller returns
 *    .
 */
#include <weft/once.h>

#include <string.h>

#include "sync/object_core.h"
#include "sync/unwinding.h"
#include "sync/waiter.h"

enum { NEW, RUNNING, DONE };

struct once {
    struct weft_object object;
    _Atomic uint32_t state;
    struct weft__lock lock; /* rank SYNC; guards runner, queue, and the changes of state */
    struct weft__fiber *runner;
    struct weft__node queue;
} __attribute__((may_alias));

_Static_assert(sizeof(struct once) <= sizeof(weft_once), "fits its public storage");

struct running {
    weft_unwind unwind; /* first: the unwinder's pointer is ours */
    struct once *once;
};

void weft_once_init(weft_once *o, const char *name)
{
    memset(o, 0, sizeof *o);
    weft__object_init(&o->object_, WEFT_KIND_ONCE, name, __builtin_return_address(0));
}

bool weft_once_done(const weft_once *o)
{
    struct once *x = (struct once *)(uintptr_t)o;
    if (at_load(&x->state) != DONE)
        return false;
    weft__tsan_acquire(x);
    return true;
}

static void finish(struct once *x)
{
    struct weft__node claimed;
    struct weft__waiter *w;
    weft__list_init(&claimed);
    weft__enter();
    weft__tsan_release(x);
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->queue);
    while ((w = weft__waitq_claim(&x->queue))) {
        w->fiber->wake_result = 1;
        weft__list_push_back(&claimed, &w->link);
    }
    x->runner = NULL;
    at_store(&x->state, DONE);
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
    weft__leave();
}

static void on_unwind(weft_unwind *u)
{
    finish(((struct running *)(void *)u)->once);
}

/* True: the caller is the runner. False: it is done now. */
static bool begin_or_wait(struct once *x, struct weft__fiber *f, void *caller)
{
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->queue);
    switch (at_load(&x->state)) {
    case NEW:
        x->runner = f;
        at_store(&x->state, RUNNING);
        weft__unlock(&x->lock);
        return true;
    case RUNNING: {
        if (x->runner == f)
            weft__object_misuse(
                &x->object, WEFT_KIND_ONCE, "call from within its own function of", "");
        struct weft__waiter w = {.fiber = f};
        weft__list_push_back(&x->queue, &w.link);
        weft__park(
            WEFT__WAIT_ONCE, &x->object, caller, WEFT__PARK_HARD, weft__commit_unlock, &x->lock);
        break;
    }
    default:
        weft__unlock(&x->lock);
    }
    return false;
}

bool weft_once_do(weft_once *o, void (*fn)(void *arg), void *arg)
{
    struct once *x = (struct once *)o;
    if (__builtin_expect(weft_once_done(o), 1))
        return false;
    weft__object_check(&x->object, WEFT_KIND_ONCE);
    struct weft__fiber *f = weft__enter();
    bool run = begin_or_wait(x, f, __builtin_return_address(0));
    weft__leave();
    if (run) {
        struct running r = {.once = x};
        weft__unwind_push(f, &r.unwind, on_unwind);
        fn(arg);
        weft__unwind_pop(f, &r.unwind);
        finish(x);
    }
    weft__tsan_acquire(x);
    return run;
}
