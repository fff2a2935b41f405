// SPDX-License-Identifier: Apache-2.0
/*
 * waitgroup.c - a counter that can be waited for.
 *
 *      state   63 ........ 32 | 31 ......... 0      one word, changed by atomic additions
 *              counter (int32)  waiters (uint32)
 *      queue   the waiters, under lock
 *
 * add touches the lock only when it brings the counter to 0 while somebody waits. A waiter
 * registers under the lock, by a compare-and-swap that fails if the counter became 0 meanwhile.
 *
 * G1  While the lock is free the waiters in the word are those in the queue. With waiters the
 *     counter becomes 0 by one add, which is then on the way to the lock; nothing else changes the
 *     word from there until it has it.
 * G2  That add touches nothing after its release of the lock, so a waiter that returns after it may
 *     free the group. One that returned before it, with the counter at 0, would leave it a group
 *     that is gone: hence G3.
 * G3  A cancelled waiter that is still linked takes itself out of word and queue under the lock, by
 *     a compare-and-swap, and only while the counter is not 0; else it waits for the add that is
 *     under way (and has waited for all). One that is not linked was passed over by that add: its
 *     count went with the round.
 */
#include <weft/waitgroup.h>

#include <stdio.h>
#include <string.h>

#include "sync/object_core.h"
#include "sync/waiter.h"

struct waitgroup {
    struct weft_object object;
    _Atomic uint64_t state;
    struct weft__lock lock; /* rank SYNC */
    struct weft__node queue;
} __attribute__((may_alias));

_Static_assert(sizeof(struct waitgroup) <= sizeof(weft_waitgroup), "fits its public storage");

static int32_t counter_of(uint64_t s)
{
    return (int32_t)(s >> 32);
}

static uint32_t waiters_of(uint64_t s)
{
    return (uint32_t)s;
}

static struct waitgroup *in(weft_waitgroup *w)
{
    struct waitgroup *x = (struct waitgroup *)w;
    weft__object_check(&x->object, WEFT_KIND_WAITGROUP);
    return x;
}

void weft_waitgroup_init(weft_waitgroup *w, const char *name)
{
    memset(w, 0, sizeof *w);
    weft__object_init(&w->object_, WEFT_KIND_WAITGROUP, name, __builtin_return_address(0));
}

void weft_waitgroup_fini(weft_waitgroup *w)
{
    if (!w)
        return;
    struct waitgroup *x = in(w);
    uint64_t s = at_load(&x->state);
    if (s != 0)
        weft__object_misuse(&x->object, WEFT_KIND_WAITGROUP, "end of",
            waiters_of(s) ? " on which fibers wait" : " whose counter is not 0");
    weft__object_fini(&x->object);
}

/* The round's other waiters, after the first. */
static __attribute__((noinline)) void claim_more_locked(
    struct waitgroup *x, struct weft__waiter *first, struct weft__node *claimed)
{
    weft__list_init(claimed);
    for (struct weft__waiter *w = first; w; w = weft__waitq_claim(&x->queue)) {
        w->fiber->wake_result = 0;
        weft__list_push_back(claimed, &w->link);
    }
}

/* The counter has reached 0 with waiters: ends the round (G1: nobody else does). */
static void wake(struct waitgroup *x)
{
    struct weft__node claimed;
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    at_and(
        &x->state, (uint64_t)UINT32_MAX << 32); /* the waiters; the counter is for add to judge */
    struct weft__waiter *first = weft__waitq_claim(&x->queue);
    bool several = first && !weft__list_empty(&x->queue);
    struct weft__fiber *f = first ? first->fiber : NULL;
    if (several)
        claim_more_locked(x, first, &claimed);
    else if (f)
        f->wake_result = 0;
    weft__unlock(&x->lock);
    if (several)
        weft__ready_all(&claimed);
    else if (f)
        weft__ready(f);
}

static _Noreturn void negative(struct waitgroup *x, int delta, int32_t counter)
{
    char extra[64];
    snprintf(extra, sizeof extra, ": adding %d gives %d", delta, counter);
    weft__object_misuse(&x->object, WEFT_KIND_WAITGROUP, "negative counter of", extra);
}

void weft_waitgroup_add(weft_waitgroup *w, int delta)
{
    struct waitgroup *x = in(w);
    if (delta < 0)
        weft__tsan_release(x);
    uint64_t s =
        at_add(&x->state, (uint64_t)(int64_t)delta << 32) + ((uint64_t)(int64_t)delta << 32);
    if (counter_of(s) < 0)
        negative(x, delta, counter_of(s));
    if (waiters_of(s) > 0 && delta > 0 && counter_of(s) == delta)
        weft__object_misuse(&x->object, WEFT_KIND_WAITGROUP, "add from 0 races with a wait of", "");
    if (counter_of(s) > 0 || waiters_of(s) == 0 || delta >= 0)
        return;
    weft__enter();
    wake(x);
    weft__leave();
}

void weft_waitgroup_done(weft_waitgroup *w)
{
    weft_waitgroup_add(w, -1);
}

/* Of a cancelled waiter. 0: too late, the round has ended; else WEFT__INTERRUPTED. */
static int withdraw(struct waitgroup *x, struct weft__waiter *w, void *caller)
{
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    uint64_t s = at_load(&x->state);
    while (weft__node_linked(&w->link)) { /* G3 */
        if (counter_of(s) == 0)
            return weft__park(WEFT__WAIT_WAITGROUP, &x->object, caller, WEFT__PARK_HARD,
                weft__commit_unlock, &x->lock);
        if (at_cas(&x->state, &s, s - 1))
            weft__list_remove(&w->link);
    }
    weft__unlock(&x->lock);
    return WEFT__INTERRUPTED;
}

/* Registers and parks; 0 woken, 1 look again, or WEFT__INTERRUPTED with the waiter removed. */
static int wait_once(struct waitgroup *x, struct weft__fiber *f, uint64_t s, void *caller)
{
    struct weft__waiter w = {.fiber = f};
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->queue);
    if (!at_cas(&x->state, &s, s + 1)) {
        weft__unlock(&x->lock);
        return 1;
    }
    weft__list_push_back(&x->queue, &w.link);
    int rc = weft__park(WEFT__WAIT_WAITGROUP, &x->object, caller, weft__wait_flags(f),
        weft__commit_unlock, &x->lock);
    return rc == WEFT__INTERRUPTED ? withdraw(x, &w, caller) : rc;
}

static int wait_in(struct waitgroup *x, struct weft__fiber *f, void *caller)
{
    int rc = weft__cancelled(f);
    if (rc)
        return rc;
    for (;;) {
        uint64_t s = at_load(&x->state);
        if (counter_of(s) == 0)
            return 0;
        rc = wait_once(x, f, s, caller);
        if (rc == 0) {
            if (at_load(&x->state) != 0)
                weft__object_misuse(
                    &x->object, WEFT_KIND_WAITGROUP, "reuse before a wait has returned of", "");
            return 0;
        }
        if (rc == WEFT__INTERRUPTED && (rc = weft__wait_ended(f)))
            return rc;
    }
}

int weft_waitgroup_wait(weft_waitgroup *w)
{
    struct waitgroup *x = in(w);
    struct weft__fiber *f = weft__enter();
    int rc = wait_in(x, f, __builtin_return_address(0));
    if (rc == 0)
        weft__tsan_acquire(x);
    weft__leave();
    return rc;
}
