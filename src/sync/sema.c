// SPDX-License-Identifier: Apache-2.0
/*
 * sema.c - permits, served in the order of the queue.
 *
 *      permits  free ones       queue   waiters, each with the amount it wants       both under
 *      lock
 *
 * H1  After each operation the first waiter does not fit (else it would have been served): no
 *     waiter sleeps beside enough permits.
 * H2  Nobody takes permits past a waiter, so large requests are served in the end. One that is
 *     awake for a moment, woken for a context that is no longer its own, keeps its place; permits
 *     that come in that moment go past it.
 * H3  A cancelled waiter may have been the one that held up the queue: the next ones are served
 *     then.
 * H4  Everything happens under the lock, whose release is the last touch before the wake-ups: a
 *     served waiter may free the semaphore.
 */
#include <weft/sema.h>

#include <string.h>

#include "sync/object_core.h"
#include "sync/waiter.h"

struct sema {
    struct weft_object object;
    _Atomic uint64_t permits; /* changed under the lock; read without by weft_sema_value */
    struct weft__lock lock;   /* rank SYNC */
    struct weft__node queue;
} __attribute__((may_alias));

_Static_assert(sizeof(struct sema) <= sizeof(weft_sema), "fits its public storage");
_Static_assert(
    offsetof(struct sema, permits) == offsetof(weft_sema, permits_), "the initialiser's field");

static struct sema *lock_in(weft_sema *s)
{
    struct sema *x = (struct sema *)s;
    weft__object_check(&x->object, WEFT_KIND_SEMA);
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->queue);
    return x;
}

static uint64_t permits(const struct sema *x)
{
    return at_load_rlx(
        &x->permits); /* [mo:alone: under the lock, or a snapshot that orders nothing] */
}

static void set_permits(struct sema *x, uint64_t n)
{
    at_store_rlx(&x->permits, n); /* [mo:alone: under the lock] */
}

void weft_sema_init(weft_sema *s, uint64_t n, const char *name)
{
    memset(s, 0, sizeof *s);
    weft__object_init(&s->object_, WEFT_KIND_SEMA, name, __builtin_return_address(0));
    s->permits_ = n;
}

void weft_sema_fini(weft_sema *s)
{
    if (!s)
        return;
    weft__enter();
    struct sema *x = lock_in(s);
    if (!weft__list_empty(&x->queue))
        weft__object_misuse(&x->object, WEFT_KIND_SEMA, "end of", " on which fibers wait");
    weft__object_fini(&x->object);
    weft__unlock(&x->lock);
    weft__leave();
}

/* H1: serves from the front as far as the permits go. */
static void serve_locked(struct sema *x, struct weft__node *claimed)
{
    struct weft__node *n;
    while ((n = weft__list_first(&x->queue))) {
        struct weft__waiter *w = weft__waiter_of(n);
        if (w->amount > permits(x))
            return;
        weft__list_remove(n);
        if (!weft__claim(w->fiber)) /* being cancelled: the next */
            continue;
        set_permits(x, permits(x) - w->amount);
        weft__tsan_release(weft__waiter_key_waker(w));
        w->fiber->wake_result = 0;
        weft__list_push_back(claimed, &w->link);
    }
}

static bool take_locked(struct sema *x, uint64_t n)
{
    if (n > permits(x) || !weft__list_empty(&x->queue))
        return false;
    set_permits(x, permits(x) - n);
    weft__tsan_acquire(x);
    return true;
}

/* H3; the lock is held, and released. */
static void withdraw_locked(struct sema *x, struct weft__waiter *w)
{
    struct weft__node claimed;
    weft__list_init(&claimed);
    if (weft__node_linked(&w->link)) {
        weft__list_remove(&w->link);
        serve_locked(x, &claimed);
    }
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
}

/* Woken for a context that is no longer the fiber's: it keeps its place. A release that passed it
 * over meanwhile (it could not be claimed) has put it off the queue: then it is the first. False:
 * it has its permits. */
static bool back_in_place_locked(struct sema *x, struct weft__waiter *w)
{
    if (weft__node_linked(&w->link))
        return true;
    if (w->amount <= permits(x)) {
        set_permits(x, permits(x) - w->amount);
        weft__tsan_acquire(x);
        return false;
    }
    weft__list_push_front(&x->queue, &w->link);
    return true;
}

/* The lock is held, and released. */
static int wait_locked(struct sema *x, struct weft__waiter *w, void *caller)
{
    weft__list_push_back(&x->queue, &w->link);
    for (;;) {
        int rc = weft__park(WEFT__WAIT_SEMA, &x->object, caller, weft__wait_flags(w->fiber),
            weft__commit_unlock, &x->lock);
        if (rc != WEFT__INTERRUPTED) {
            weft__tsan_acquire(weft__waiter_key_waker(w));
            return rc;
        }
        rc = weft__wait_ended(w->fiber);
        weft__lock(&x->lock, WEFT__RANK_SYNC);
        if (rc) {
            withdraw_locked(x, w);
            return rc;
        }
        if (!back_in_place_locked(x, w)) {
            weft__unlock(&x->lock);
            return 0;
        }
    }
}

static int acquire(weft_sema *s, struct weft__fiber *f, uint64_t n, void *caller)
{
    int rc = weft__cancelled(f);
    if (rc)
        return rc;
    struct sema *x = lock_in(s);
    if (take_locked(x, n)) {
        weft__unlock(&x->lock);
        return 0;
    }
    struct weft__waiter w = {.fiber = f, .amount = n};
    return wait_locked(x, &w, caller);
}

int weft_sema_acquire(weft_sema *s, uint64_t n)
{
    struct weft__fiber *f = weft__enter();
    int rc = acquire(s, f, n, __builtin_return_address(0));
    weft__leave();
    return rc;
}

bool weft_sema_try_acquire(weft_sema *s, uint64_t n)
{
    weft__enter();
    struct sema *x = lock_in(s);
    bool got = take_locked(x, n);
    weft__unlock(&x->lock);
    weft__leave();
    return got;
}

void weft_sema_release(weft_sema *s, uint64_t n)
{
    struct weft__node claimed;
    uint64_t sum;
    weft__list_init(&claimed);
    weft__enter();
    struct sema *x = lock_in(s);
    if (__builtin_add_overflow(permits(x), n, &sum))
        weft__object_misuse(&x->object, WEFT_KIND_SEMA, "too many permits of", "");
    weft__tsan_release(x);
    set_permits(x, sum);
    serve_locked(x, &claimed);
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
    weft__leave();
}

uint64_t weft_sema_value(const weft_sema *s)
{
    return permits((struct sema *)(uintptr_t)s);
}
