// SPDX-License-Identifier: Apache-2.0
/*
 * cond.c - condition variables over weft_mutex.
 *
 * The mutex must be released only when the waiter is both queued and parked: before that a signal
 * could find the waiter but not claim its fiber. So the release is part of the park's commit, done
 * by the successor on the waiter's behalf:
 *
 *      waiter                          successor                      signaller
 *      lock c; link; park  --switch--> (claimable now)
 *                                      unlock c                       lock c; unlink; claim; unlock
 *                                                                     c; ready
 *                                      release the mutex for waiter
 *      take the mutex again (waits, if need be, for that very release)
 *
 * D1  The commit reads nothing of the waiter's stack after it has unlocked c.
 * D2  The waiter cannot leave weft_cond_wait before the release is done, since it needs the mutex;
 *     so m outlives the commit.
 * D3  An interrupted waiter that is no longer linked was dropped by a signaller that failed to
 *     claim it. A signal went on to the next waiter then; a broadcast did not need to. If the
 *     interruption proves stale the wait returns 0 in that case.
 */
#include <weft/cond.h>

#include <string.h>

#include "sync/mutex_core.h"
#include "sync/object_core.h"
#include "sync/waiter.h"

struct cond {
    struct weft_object object;
    struct weft__lock lock; /* rank SYNC; guards queue */
    struct weft__node queue;
} __attribute__((may_alias));

_Static_assert(sizeof(struct cond) <= sizeof(weft_cond), "fits its public storage");

struct release {
    struct cond *cond;
    weft_mutex *mutex;
};

static struct cond *lock_in(weft_cond *c)
{
    struct cond *x = (struct cond *)c;
    weft__object_check(&x->object, WEFT_KIND_COND);
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->queue);
    return x;
}

void weft_cond_init(weft_cond *c, const char *name)
{
    memset(c, 0, sizeof *c);
    weft__object_init(&c->object_, WEFT_KIND_COND, name, __builtin_return_address(0));
}

void weft_cond_fini(weft_cond *c)
{
    if (!c)
        return;
    weft__enter();
    struct cond *x = lock_in(c);
    if (!weft__list_empty(&x->queue))
        weft__object_misuse(&x->object, WEFT_KIND_COND, "end of", " on which fibers wait");
    weft__object_fini(&x->object);
    weft__unlock(&x->lock);
    weft__leave();
}

static void commit(struct weft__fiber *f, void *arg)
{
    const struct release *r = arg;
    struct cond *x = r->cond;
    weft_mutex *m = r->mutex;
    weft__unlock(&x->lock); /* D1 */
    weft__mutex_release(m, f);
}

/* Waits until signalled, or until the context has ended; 0 or its error. The mutex is released,
 * and stays so. */
static int wait_in(struct cond *x, struct weft__fiber *f, weft_mutex *m, void *caller)
{
    struct weft__waiter w = {.fiber = f};
    struct release r = {.cond = x, .mutex = m};
    weft__list_push_back(&x->queue, &w.link);
    weft__rank_hand(&x->lock);
    int rc = weft__park(WEFT__WAIT_COND, &x->object, caller, weft__wait_flags(f), commit, &r);
    while (rc == WEFT__INTERRUPTED) {
        rc = weft__wait_ended(f);
        weft__lock(&x->lock, WEFT__RANK_SYNC);
        bool linked = weft__node_linked(&w.link);
        if (rc && linked)
            weft__list_remove(&w.link);
        if (rc || !linked) { /* D3 */
            weft__unlock(&x->lock);
            return rc;
        }
        rc = weft__park(WEFT__WAIT_COND, &x->object, caller, weft__wait_flags(f),
            weft__commit_unlock, &x->lock); /* still in its place in the queue */
    }
    weft__tsan_acquire(weft__waiter_key_waker(&w));
    return rc;
}

int weft_cond_wait(weft_cond *c, weft_mutex *m)
{
    struct weft__fiber *f = weft__enter();
    void *caller = __builtin_return_address(0);
    if (weft__mutex_owner(m) != f)
        weft__object_misuse(&m->object_, WEFT_KIND_MUTEX, "wait on a cond without holding", "");
    int rc = weft__cancelled(f);
    if (!rc) {
        struct cond *x = lock_in(c);
        weft__tsan_release(m); /* not in the release: that runs as the successor */
        rc = wait_in(x, f, m, caller);
        weft__mutex_acquire(m, f, caller);
    }
    weft__leave();
    return rc;
}

static void wake(struct weft__waiter *w, struct weft__node *claimed)
{
    weft__tsan_release(weft__waiter_key_waker(w));
    w->fiber->wake_result = 0;
    weft__list_push_back(claimed, &w->link);
}

void weft_cond_signal(weft_cond *c)
{
    struct weft__node claimed;
    weft__list_init(&claimed);
    weft__enter();
    struct cond *x = lock_in(c);
    struct weft__waiter *w = weft__waitq_claim(&x->queue);
    if (w)
        wake(w, &claimed);
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
    weft__leave();
}

void weft_cond_broadcast(weft_cond *c)
{
    struct weft__node claimed;
    struct weft__waiter *w;
    weft__list_init(&claimed);
    weft__enter();
    struct cond *x = lock_in(c);
    while ((w = weft__waitq_claim(&x->queue)))
        wake(w, &claimed);
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
    weft__leave();
}
