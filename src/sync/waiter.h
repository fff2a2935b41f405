// SPDX-License-Identifier: Apache-2.0
/*
 * waiter.h - one entry in an object's queue of waiters, and the two questions that every wait asks.
 *
 * A waiter lies on the stack of the fiber that waits (or in its array of select cases). It is
 * linked and unlinked under the object's lock only (S1 of sched.h), so a fiber that has removed its
 * waiters can be reached by nobody.
 *
 *     queue head <-> waiter <-> waiter <-> ...      FIFO: the first has waited longest
 *                      |fiber   |elem: where the partner copies from or to
 *
 * V1  Whoever unlinks a waiter either claims its fiber, or must not touch the fiber any more.
 * V2  The claimer copies first, then leaves wake_result and wake_arg (the waiter), unlocks, and
 *     calls weft__ready last: the woken fiber may free the object.
 */
#ifndef WEFT_SYNC_WAITER_H
#define WEFT_SYNC_WAITER_H
#include "base/tsan.h"
#include "sched/sched.h"

struct weft__waiter {
    struct weft__node link;
    struct weft__fiber *fiber;
    void *elem;      /* channels: the element's place; others: what they like */
    size_t amount;   /* semaphore: permits; select: index of the case in lock order */
    uintptr_t extra; /* cond, rwmutex, barrier: kind or generation */
};

/* Keys for tsan.h: what the parker did before, and what the waker did before. */
#define weft__waiter_key_parker(w) ((char *)(w))
#define weft__waiter_key_waker(w) ((char *)(w) + 1)

static inline struct weft__waiter *weft__waiter_of(struct weft__node *n)
{
    return weft__entry(n, struct weft__waiter, link);
}

/** Queue heads that are all zero bytes (static initialisers) become empty rings at the first
 * locked use. */
static inline void weft__waitq_ready(struct weft__node *q)
{
    if (!q->next)
        weft__list_init(q);
}

/** The first waiter whose fiber could be claimed; those that others have claimed already are
 * dropped. NULL: none. */
static inline struct weft__waiter *weft__waitq_claim(struct weft__node *q)
{
    struct weft__node *n;
    while ((n = weft__list_pop(q))) {
        struct weft__waiter *w = weft__waiter_of(n);
        if (weft__claim(w->fiber))
            return w;
    }
    return NULL;
}

/** The same for waits that are not cancellable: also drops those who are left over from an earlier
 * run, who would not go on and take their turn. */
static inline struct weft__waiter *weft__waitq_claim_hard(struct weft__node *q)
{
    struct weft__waiter *w;
    do
        w = weft__waitq_claim(q);
    while (w && w->fiber->flags & WEFT__F_LEFT);
    return w;
}

/** A shielded fiber waits as if it could not be cancelled. */
static inline unsigned weft__wait_flags(const struct weft__fiber *f)
{
    return f->flags & WEFT__F_SHIELD ? (unsigned)WEFT__PARK_HARD : 0;
}

/**
 * After WEFT__INTERRUPTED: has f's own context ended? Returns its error; or 0 if the interruption
 * was for a context that is f's no longer (or that a shield keeps off): then wait again.
 */
static inline int weft__wait_ended(struct weft__fiber *f)
{
    int err = weft__cancelled(f);
    if (err || (f->flags & WEFT__F_SHIELD))
        return err;
    weft__interrupt_clear(
        f); /* stale; but the context may end just now, so ask once more after it */
    err = weft__cancelled_hook ? weft__cancelled_hook(f) : 0;
    if (err)
        at_or(&f->wake, WEFT__WAKE_INTERRUPT);
    return err;
}

/** A list of claimed waiters, made ready after the lock is gone. */
static inline void weft__ready_all(struct weft__node *claimed)
{
    struct weft__node *n = weft__list_pop(claimed);
    if (n && weft__list_empty(claimed)) { /* alone: hand over */
        weft__ready(weft__waiter_of(n)->fiber);
        return;
    }
    for (; n; n = weft__list_pop(claimed))
        weft__ready_tail(weft__waiter_of(n)->fiber);
}
#endif
