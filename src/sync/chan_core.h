// SPDX-License-Identifier: Apache-2.0
/*
 * chan_core.h - the channel's structure and its two moves, for chan.c and select.c; and what rooms
 * above may call inside enter/leave.
 *
 *      +--------------------------- one allocation ---------------------------+
 *      | object | refs lock hint | count cap | put get end | queues | elements |
 *                                               |    |    |          ^buf      ^end
 *
 *      elements      a ring of cap; put and get are addresses and wrap from end to buf, so that
 *                    nothing is multiplied or divided
 *      recvq, sendq  waiters, first come first
 *
 * C1  At most one of recvq and sendq holds a claimable waiter, unless a select stands in both.
 * C2  recvq holds a claimable waiter only if count is 0; sendq only if count is cap.
 * C3  hint says, whenever the lock is free, whether a receive (bit 1) or a send (bit 2) would be
 *     done at once. It may say yes for waiters that others have claimed meanwhile; whoever finds
 *     that out under the lock corrects it. It never says no wrongly.
 * C4  closed goes from false to true once. Then neither queue has a claimable waiter.
 *
 * A move is made under the lock and never waits: it returns -EAGAIN where a send or receive would
 * have to. The partner it claimed is given back, to be made ready after the unlock (V2 of
 * waiter.h).
 *
 * Rejected: a lock-free ring (Vyukov's) for the buffered case: 2 ns less when uncontended, but
 * select, close and the edge wake-ups need the waiters' lock anyway.
 */
#ifndef WEFT_SYNC_CHAN_CORE_H
#define WEFT_SYNC_CHAN_CORE_H
#include <errno.h>
#include <string.h>
#include <weft/chan.h>
#include <weft/select.h>

#include "sync/object_core.h"
#include "sync/waiter.h"

struct weft_chan {
    struct weft_object object;
    _Atomic uint32_t refs;
    struct weft__lock lock; /* rank SYNC; guards all below */
    _Atomic uint32_t hint;  /* C3; read without the lock */
    bool closed;
    _Atomic size_t count; /* elements in the ring; read without the lock by weft_chan_len */
    size_t cap;
    size_t elem_bytes;
    unsigned char *put, *get, *end;
    struct weft__node recvq, sendq;
    unsigned char buf[] __attribute__((aligned(16)));
};

enum { WEFT__HINT_RECV = WEFT_CASE_RECV, WEFT__HINT_SEND = WEFT_CASE_SEND };

/** Copies one element. The sizes that machines have instructions for are spelled out: a call of
 * memcpy costs more than the rest. */
static inline void weft__elem_copy(void *to, const void *from, size_t bytes)
{
    switch (bytes) {
    case 8:
        memcpy(to, from, 8);
        return;
    case 4:
        memcpy(to, from, 4);
        return;
    case 1:
        memcpy(to, from, 1);
        return;
    case 2:
        memcpy(to, from, 2);
        return;
    case 16:
        memcpy(to, from, 16);
        return;
    case 0:
        return;
    default:
        memcpy(to, from, bytes);
    }
}

static inline unsigned char *weft__chan_after(const struct weft_chan *c, const unsigned char *slot)
{
    const unsigned char *next = slot + c->elem_bytes;
    return (unsigned char *)(uintptr_t)(next == c->end ? c->buf : next);
}

/** Says what is possible now (C3). Under the lock. */
static inline void weft__chan_hint(struct weft_chan *c, uint32_t hint)
{
    at_store_rlx(&c->hint, hint); /* [mo:alone: published by the unlock that follows] */
}

/** The same, found out anew. After every change whose outcome is not known. */
static inline void weft__chan_refresh(struct weft_chan *c)
{
    size_t count = at_load_rlx(&c->count); /* [mo:alone: under the lock] */
    uint32_t h = 0;
    if (count > 0 || !weft__list_empty(&c->sendq))
        h |= WEFT__HINT_RECV;
    if (count < c->cap || !weft__list_empty(&c->recvq))
        h |= WEFT__HINT_SEND;
    if (c->closed)
        h = WEFT__HINT_RECV | WEFT__HINT_SEND;
    weft__chan_hint(c, h);
}

/** Without the lock: true says that it is closed, false that it was not just now. */
static inline bool weft__chan_seems_closed(const struct weft_chan *c)
{
    return at_load_rlx(&c->hint) == /* [mo:alone: closed stays closed, and who acts on it locks] */
               (WEFT__HINT_RECV | WEFT__HINT_SEND) &&
           c->cap == 0;
}

/** A sender gives elem straight to the receiver w. In the eyes of TSan it went through the ring
 * if there is one, as in Go. */
static inline void weft__chan_give(struct weft_chan *c, struct weft__waiter *w, const void *elem)
{
    weft__tsan_acquire(weft__waiter_key_parker(w));
    weft__tsan_release(weft__waiter_key_waker(w));
#ifdef WEFT__TSAN
    if (c->cap) {
        weft__tsan_acquire(c->put);
        weft__tsan_release(c->put);
        c->put = c->get = weft__chan_after(c, c->put);
    }
#endif
    if (w->elem)
        weft__elem_copy(w->elem, elem, c->elem_bytes);
    w->fiber->wake_result = 1;
    w->fiber->wake_arg = w;
}

/** The elements of sender w go to `to` (may be NULL). */
static inline void weft__chan_take(struct weft_chan *c, struct weft__waiter *w, void *to)
{
    weft__tsan_acquire(weft__waiter_key_parker(w));
    weft__tsan_release(weft__waiter_key_waker(w));
    if (to)
        weft__elem_copy(to, w->elem, c->elem_bytes);
    w->fiber->wake_result = 0;
    w->fiber->wake_arg = w;
}

/** Under the lock: sends if that is possible at once. 0, -EPIPE, or -EAGAIN. *ret_peer: claimed,
 * to be made ready (or untouched). */
static inline __attribute__((always_inline)) int weft__chan_send_locked(
    struct weft_chan *c, const void *elem, struct weft__fiber **ret_peer)
{
    if (__builtin_expect(c->closed, 0))
        return -EPIPE;
    size_t count = at_load_rlx(&c->count); /* [mo:alone: under the lock] */
    if (!weft__list_empty(&c->recvq)) {
        struct weft__waiter *w = weft__waitq_claim(&c->recvq);
        if (w) {
            weft__chan_give(c, w, elem);
            *ret_peer = w->fiber;
            weft__chan_refresh(c);
            return 0;
        }
    }
    if (count < c->cap) {
        weft__tsan_acquire(c->put);
        weft__tsan_release(c->put);
        weft__elem_copy(c->put, elem, c->elem_bytes);
        c->put = weft__chan_after(c, c->put);
        at_store_rlx(&c->count, count + 1); /* [mo:alone: under the lock; len() may be late] */
        weft__chan_hint(c, WEFT__HINT_RECV | (count + 1 < c->cap ? WEFT__HINT_SEND : 0));
        return 0;
    }
    return -EAGAIN;
}

/** Under the lock: receives if that is possible at once. 1, 0 (closed), or -EAGAIN. *ret_peer as
 * above. */
static inline __attribute__((always_inline)) int weft__chan_recv_locked(
    struct weft_chan *c, void *to, struct weft__fiber **ret_peer)
{
    size_t count = at_load_rlx(&c->count); /* [mo:alone: under the lock] */
    struct weft__waiter *w = weft__list_empty(&c->sendq) ? NULL : weft__waitq_claim(&c->sendq);
    if (count > 0) {
        weft__tsan_acquire(c->get);
        weft__tsan_release(c->get);
        if (to)
            weft__elem_copy(to, c->get, c->elem_bytes);
        c->get = weft__chan_after(c, c->get);
        if (w) { /* full (C2): the first sender's element takes the slot just freed */
            weft__chan_take(c, w, c->put);
            weft__tsan_release(c->put);
            c->put = weft__chan_after(c, c->put);
            *ret_peer = w->fiber;
            weft__chan_refresh(c);
        } else {
            at_store_rlx(&c->count, count - 1); /* [mo:alone: under the lock; len() may be late] */
            weft__chan_hint(c, WEFT__HINT_SEND | (count > 1 || c->closed ? WEFT__HINT_RECV : 0));
        }
        return 1;
    }
    if (w) {
        weft__chan_take(c, w, to);
        *ret_peer = w->fiber;
        weft__chan_refresh(c);
        return 1;
    }
    if (c->closed) {
        weft__tsan_acquire(&c->closed);
        if (to)
            memset(to, 0, c->elem_bytes);
        return 0;
    }
    return -EAGAIN;
}

/* ---- for the rooms above; inside enter/leave, also from timer callbacks (none of these parks)
 * ---- */
int weft__chan_try_send(struct weft_chan *c, const void *elem);
int weft__chan_try_recv(struct weft_chan *c, void *to);
/** Closes c if it is open; false if it was closed already. */
bool weft__chan_close_once(struct weft_chan *c);
/** Throws away what is queued; returns how many elements. For timer channels: nothing stale after
 * Stop or Reset. */
size_t weft__chan_drain(struct weft_chan *c);

/* ---- for the rooms above; these park ---- */
int weft__chan_send(struct weft__fiber *f, struct weft_chan *c, const void *elem, void *caller);
int weft__chan_recv(struct weft__fiber *f, struct weft_chan *c, void *to, void *caller);
#endif
