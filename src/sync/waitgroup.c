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
 * G1  The waiters in the word are those in the queue, except for the time between an add that
 *     reaches 0 and its taking the lock.
 * G2  The word is never touched after the lock's release by an add that wakes, so a woken waiter
 *     may free the group.
 * G3  A cancelled waiter that is still linked takes itself out of word and queue under the lock;
 *     one that is not linked was part of a round that ended, and its count went with that round.
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

/* The counter has reached 0 with waiters: ends the round. */
static void wake(struct waitgroup *x)
{
    struct weft__waiter *first = NULL;
    struct weft__node claimed;
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->queue);
    uint64_t s = at_load(&x->state);
    /* All waiters may have been cancelled meanwhile, and even a new round begun: then it is not
     * ours to end. */
    while (counter_of(s) == 0 && waiters_of(s) > 0 && !at_cas(&x->state, &s, 0))
        ;
    if (counter_of(s) == 0)
        first = weft__waitq_claim(&x->queue);
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
    if (counter_of(s) > 0 || waiters_of(s) == 0)
        return;
    weft__enter();
    wake(x);
    weft__leave();
}

void weft_waitgroup_done(weft_waitgroup *w)
{
    weft_waitgroup_add(w, -1);
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
    if (rc != WEFT__INTERRUPTED)
        return rc;
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    if (weft__node_linked(&w.link)) { /* G3 */
        weft__list_remove(&w.link);
        at_sub(&x->state, 1);
    }
    weft__unlock(&x->lock);
    return rc;
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
