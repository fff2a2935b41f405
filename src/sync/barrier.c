// SPDX-License-Identifier: Apache-2.0
/*
 * barrier.c - all arrive, then all go on.
 *
 *      arrived   parties of this round so far, the waiters in queue; 0 <= arrived < parties
 *                under lock
 *
 * B1  arrived is the length of queue. The last to arrive empties both: that is the next round's
 *     beginning.
 * B2  An interrupted waiter that is still linked takes its arrival back; one that is not linked
 *     belonged to a round that is complete, so its wait succeeded.
 */
#include <weft/barrier.h>

#include <string.h>

#include "sync/object_core.h"
#include "sync/waiter.h"

struct barrier {
    struct weft_object object;
    uint32_t parties, arrived;
    struct weft__lock lock; /* rank SYNC */
    struct weft__node queue;
} __attribute__((may_alias));

_Static_assert(sizeof(struct barrier) <= sizeof(weft_barrier), "fits its public storage");
_Static_assert(offsetof(struct barrier, parties) == offsetof(weft_barrier, parties_),
    "the initialiser's field");

static struct barrier *lock_in(weft_barrier *b)
{
    struct barrier *x = (struct barrier *)b;
    weft__object_check(&x->object, WEFT_KIND_BARRIER);
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->queue);
    if (x->parties == 0)
        weft__object_misuse(&x->object, WEFT_KIND_BARRIER, "no parties for", "");
    return x;
}

void weft_barrier_init(weft_barrier *b, uint32_t parties, const char *name)
{
    memset(b, 0, sizeof *b);
    weft__object_init(&b->object_, WEFT_KIND_BARRIER, name, __builtin_return_address(0));
    if (parties == 0)
        weft__object_misuse(&b->object_, WEFT_KIND_BARRIER, "no parties for", "");
    b->parties_ = parties;
}

void weft_barrier_fini(weft_barrier *b)
{
    if (!b)
        return;
    weft__enter();
    struct barrier *x = lock_in(b);
    if (x->arrived)
        weft__object_misuse(&x->object, WEFT_KIND_BARRIER, "end of", " on which fibers wait");
    weft__object_fini(&x->object);
    weft__unlock(&x->lock);
    weft__leave();
}

/* The last party: lets all go. A waiter that cannot be claimed is being interrupted, and will
 * find itself unlinked (B2). */
static void open_locked(struct barrier *x, struct weft__node *claimed)
{
    struct weft__node *n;
    x->arrived = 0;
    weft__tsan_acquire(x);
    while ((n = weft__list_pop(&x->queue))) {
        struct weft__waiter *w = weft__waiter_of(n);
        weft__tsan_release(weft__waiter_key_waker(w));
        if (!weft__claim(w->fiber))
            continue;
        w->fiber->wake_result = 0;
        weft__list_push_back(claimed, &w->link);
    }
}

/* 0 the round is complete, or the context's error with the arrival taken back. Under the lock at
 * first. */
static int wait_locked(struct barrier *x, struct weft__fiber *f, void *caller)
{
    struct weft__waiter w = {.fiber = f};
    int rc;
    x->arrived++;
    weft__list_push_back(&x->queue, &w.link);
    for (;;) {
        rc = weft__park(WEFT__WAIT_BARRIER, &x->object, caller, weft__wait_flags(f),
            weft__commit_unlock, &x->lock);
        if (rc != WEFT__INTERRUPTED)
            break;
        rc = weft__wait_ended(f);
        weft__lock(&x->lock, WEFT__RANK_SYNC);
        bool linked = weft__node_linked(&w.link);
        if (linked && !rc)
            continue; /* stale: park again, in its place in the queue */
        if (linked) {
            weft__list_remove(&w.link);
            x->arrived--;
        } else {
            rc = 0; /* B2 */
        }
        weft__unlock(&x->lock);
        break;
    }
    if (!rc)
        weft__tsan_acquire(weft__waiter_key_waker(&w));
    return rc;
}

int weft_barrier_wait(weft_barrier *b)
{
    struct weft__node claimed;
    struct weft__fiber *f = weft__enter();
    int rc = weft__cancelled(f);
    if (!rc) {
        struct barrier *x = lock_in(b);
        weft__tsan_release(x);
        if (x->arrived + 1 == x->parties) {
            weft__list_init(&claimed);
            open_locked(x, &claimed);
            weft__unlock(&x->lock);
            weft__ready_all(&claimed);
            rc = 1;
        } else {
            rc = wait_locked(x, f, __builtin_return_address(0));
        }
    }
    weft__leave();
    return rc;
}
