// SPDX-License-Identifier: Apache-2.0
/*
 * chan.c - channels: making, sending, receiving, closing (chan_core.h has the structure and the
 * moves).
 *
 * The way of a send: cancelled? (one load) - lock - a receiver waits: copy straight into its
 * variable, unlock, weft__ready (it runs next on this worker) - else room: copy into the ring,
 * unlock, nobody to wake (only the empty and the full edge have waiters)
 * - else link a waiter and park; the commit releases the lock on the successor's side.
 *
 * What can end a wait, and who wins: partner, close, and the context's end each must claim the
 * fiber; exactly one does. If it was the context, the waiter is still linked or was dropped by a
 * partner who failed to claim; either way no element moved. If that context was not the fiber's own
 * (any more), it waits on in its place.
 *
 * Who may call what: everything from any fiber or plain thread at once, except free of the last
 * reference (nobody else uses the channel then, by contract; checked). Progress: blocking for
 * nanoseconds (the lock), then parks. Limits: none but memory.
 * Read next: select.c.
 */
#include "sync/chan_core.h"

#include <stdint.h>

#include "base/alloc.h"

static int chan_new(
    size_t elem_bytes, size_t capacity, const char *site, void *pc, weft_chan **ret_chan)
{
    size_t bytes;
    if (!ret_chan || __builtin_mul_overflow(elem_bytes, capacity, &bytes) ||
        bytes > PTRDIFF_MAX - sizeof(struct weft_chan) || capacity > PTRDIFF_MAX)
        return -EINVAL;
    struct weft_chan *c = weft__alloc(sizeof *c + bytes);
    if (!c)
        return -ENOMEM;
    memset(c, 0, sizeof *c);
    weft__object_init(&c->object, WEFT_KIND_CHAN, NULL, pc);
    c->object.site = site;
    at_store(&c->refs, 1);
    c->cap = capacity;
    c->elem_bytes = elem_bytes;
    c->put = c->get = c->buf;
    c->end = c->buf + bytes;
    weft__list_init(&c->recvq);
    weft__list_init(&c->sendq);
    weft__chan_refresh(c);
    *ret_chan = c;
    return 0;
}

int weft_chan_new(size_t elem_bytes, size_t capacity, weft_chan **ret_chan)
{
    return chan_new(elem_bytes, capacity, NULL, __builtin_return_address(0), ret_chan);
}

int weft_chan_new_at(size_t elem_bytes, size_t capacity, const char *site, weft_chan **ret_chan)
{
    return chan_new(elem_bytes, capacity, site, __builtin_return_address(0), ret_chan);
}

weft_chan *weft_chan_ref(weft_chan *c)
{
    if (c) {
        weft__object_check(&c->object, WEFT_KIND_CHAN);
        uint32_t old = at_add(&c->refs, 1);
        WEFT_CHECK(old > 0 && old < UINT32_MAX);
    }
    return c;
}

void weft_chan_free(weft_chan *c)
{
    if (!c)
        return;
    weft__object_check(&c->object, WEFT_KIND_CHAN);
    weft__tsan_release(&c->refs);
    uint32_t old = at_sub(&c->refs, 1);
    WEFT_CHECK(old > 0);
    if (old > 1)
        return;
    weft__tsan_acquire(&c->refs);
    if (!weft__list_empty(&c->recvq) || !weft__list_empty(&c->sendq))
        weft__object_misuse(&c->object, WEFT_KIND_CHAN, "free of", " on which fibers wait");
    weft__object_free(&c->object);
}

void weft_chan_set_name(weft_chan *c, const char *name)
{
    if (c)
        c->object.name = name;
}

/* A nil channel: nothing but the context's end ends the wait. */
static int wait_nil(struct weft__fiber *f, enum weft__reason reason, void *caller)
{
    for (;;) {
        weft__park(reason, NULL, caller, weft__wait_flags(f), NULL, NULL);
        int err = weft__wait_ended(f);
        if (err)
            return err;
    }
}

static inline __attribute__((always_inline)) int at_once_locked(
    struct weft_chan *c, void *elem, bool sends, struct weft__fiber **ret_peer)
{
    return sends ? weft__chan_send_locked(c, elem, ret_peer)
                 : weft__chan_recv_locked(c, elem, ret_peer);
}

static inline int park_locked(struct weft_chan *c, struct weft__waiter *w, bool sends, void *caller)
{
    weft__chan_refresh(c);
    weft__tsan_release(weft__waiter_key_parker(w));
    int rc = weft__park(sends ? WEFT__WAIT_CHAN_SEND : WEFT__WAIT_CHAN_RECV, c, caller,
        weft__wait_flags(w->fiber), weft__commit_unlock, &c->lock);
    if (rc >= 0)
        weft__tsan_acquire(weft__waiter_key_waker(w));
    return rc;
}

/* The wait was interrupted. Where the context that ended is not the fiber's own it waits on in its
 * place; a partner that could not claim it meanwhile has dropped it: then it is the first. */
static __attribute__((noinline, cold)) int interrupted(
    struct weft_chan *c, struct weft__waiter *w, bool sends, void *caller)
{
    struct weft__node *q = sends ? &c->sendq : &c->recvq;
    int rc;
    do {
        struct weft__fiber *peer = NULL;
        int err = weft__wait_ended(w->fiber);
        weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
        bool linked = weft__node_linked(&w->link);
        if (err && linked) {
            weft__list_remove(&w->link);
            weft__chan_refresh(c);
        }
        rc = err || linked ? err : at_once_locked(c, w->elem, sends, &peer);
        if (err || (!linked && rc != -EAGAIN)) {
            weft__unlock(&c->lock);
            if (peer)
                weft__ready(peer);
            return rc;
        }
        if (!linked)
            weft__list_push_front(q, &w->link);
        rc = park_locked(c, w, sends, caller);
    } while (rc == WEFT__INTERRUPTED);
    return rc;
}

/* Waits under c's lock, which is released. The partner's result, or that of the context's end. */
static __attribute__((noinline)) int wait_locked(
    struct weft__fiber *f, struct weft_chan *c, void *elem, bool sends, void *caller)
{
    struct weft__waiter w = {.fiber = f, .elem = elem};
    weft__list_push_back(sends ? &c->sendq : &c->recvq, &w.link);
    int rc = park_locked(c, &w, sends, caller);
    if (__builtin_expect(rc == WEFT__INTERRUPTED, 0))
        return interrupted(c, &w, sends, caller);
    WEFT_ASSERT(!weft__node_linked(&w.link));
    return rc;
}

/* Both directions: inlined into each with `sends` known, so that neither pays for the other. */
static inline __attribute__((always_inline)) int move(
    struct weft__fiber *f, struct weft_chan *c, void *elem, bool sends, void *caller)
{
    int rc = weft__cancelled(f);
    if (__builtin_expect(rc != 0, 0))
        return rc;
    if (__builtin_expect(!c, 0))
        return wait_nil(f, sends ? WEFT__WAIT_CHAN_SEND_NIL : WEFT__WAIT_CHAN_RECV_NIL, caller);
    weft__object_check(&c->object, WEFT_KIND_CHAN);
    struct weft__fiber *peer = NULL;
    weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
    rc = at_once_locked(c, elem, sends, &peer);
    if (__builtin_expect(rc == -EAGAIN, 0))
        return wait_locked(f, c, elem, sends, caller);
    weft__unlock(&c->lock);
    if (peer)
        weft__ready(peer);
    return rc;
}

int weft__chan_send(struct weft__fiber *f, struct weft_chan *c, const void *elem, void *caller)
{
    return move(f, c, (void *)(uintptr_t)elem, true, caller);
}

int weft__chan_recv(struct weft__fiber *f, struct weft_chan *c, void *to, void *caller)
{
    return move(f, c, to, false, caller);
}

int weft_chan_send(weft_chan *c, const void *elem)
{
    struct weft__fiber *f = weft__enter();
    int rc = weft__chan_send(f, c, elem, __builtin_return_address(0));
    weft__leave();
    return rc;
}

int weft_chan_recv(weft_chan *c, void *ret_elem)
{
    struct weft__fiber *f = weft__enter();
    int rc = weft__chan_recv(f, c, ret_elem, __builtin_return_address(0));
    weft__leave();
    return rc;
}

int weft__chan_try_send(struct weft_chan *c, const void *elem)
{
    struct weft__fiber *peer = NULL;
    weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
    int rc = weft__chan_send_locked(c, elem, &peer);
    if (rc == -EAGAIN)
        weft__chan_refresh(c); /* the hint may have been for waiters that others claimed */
    weft__unlock(&c->lock);
    if (peer)
        weft__ready(peer);
    return rc;
}

int weft__chan_try_recv(struct weft_chan *c, void *to)
{
    struct weft__fiber *peer = NULL;
    weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
    int rc = weft__chan_recv_locked(c, to, &peer);
    if (rc == -EAGAIN)
        weft__chan_refresh(c);
    weft__unlock(&c->lock);
    if (peer)
        weft__ready(peer);
    return rc;
}

/* The hint says no. Under the simulator others may come in here; then it is to be asked anew. */
static bool ask_again(void)
{
    struct weft__thread *t = weft__arch_thread();
    if (__builtin_expect(!t || !at_load_rlx(&t->attention), 1)) /* [mo:alone: a hint] */
        return false;
    weft__enter();
    weft__leave();
    return true;
}

int weft_chan_try_send(weft_chan *c, const void *elem)
{
    if (!c)
        return -EAGAIN;
    weft__object_check(&c->object, WEFT_KIND_CHAN);
    if (!(at_load(&c->hint) & WEFT__HINT_SEND) && /* it was not possible when this was read */
        (!ask_again() || !(at_load(&c->hint) & WEFT__HINT_SEND)))
        return -EAGAIN;
    weft__enter();
    int rc = weft__chan_try_send(c, elem);
    weft__leave();
    return rc;
}

int weft_chan_try_recv(weft_chan *c, void *ret_elem)
{
    if (!c)
        return -EAGAIN;
    weft__object_check(&c->object, WEFT_KIND_CHAN);
    if (!(at_load(&c->hint) & WEFT__HINT_RECV) &&
        (!ask_again() || !(at_load(&c->hint) & WEFT__HINT_RECV)))
        return -EAGAIN;
    weft__enter();
    int rc = weft__chan_try_recv(c, ret_elem);
    weft__leave();
    return rc;
}

/* Claims all waiters of q for a closed channel, receivers getting zeros. */
static void claim_all(
    struct weft_chan *c, struct weft__node *q, int result, struct weft__node *claimed)
{
    struct weft__waiter *w;
    while ((w = weft__waitq_claim(q))) {
        if (result == 0) {
            weft__tsan_release(weft__waiter_key_waker(w));
            if (w->elem)
                memset(w->elem, 0, c->elem_bytes);
        }
        w->fiber->wake_result = result;
        w->fiber->wake_arg = w;
        weft__list_push_back(claimed, &w->link);
    }
}

bool weft__chan_close_once(struct weft_chan *c)
{
    struct weft__node claimed;
    weft__list_init(&claimed);
    weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
    bool was_open = !c->closed;
    if (was_open) {
        weft__tsan_release(&c->closed);
        c->closed = true;
        claim_all(c, &c->recvq, 0, &claimed);
        claim_all(c, &c->sendq, -EPIPE, &claimed);
        weft__chan_refresh(c);
    }
    weft__unlock(&c->lock);
    weft__ready_all(&claimed);
    return was_open;
}

void weft_chan_close(weft_chan *c)
{
    if (!c)
        weft__object_misuse(NULL, WEFT_KIND_CHAN, "close of", "");
    weft__object_check(&c->object, WEFT_KIND_CHAN);
    weft__enter();
    if (!weft__chan_close_once(c))
        weft__object_misuse(&c->object, WEFT_KIND_CHAN, "close of closed", "");
    weft__leave();
}

size_t weft__chan_drain(struct weft_chan *c)
{
    weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
    size_t count = at_load_rlx(&c->count); /* [mo:alone: under the lock] */
    c->get = c->put;
    at_store_rlx(&c->count, 0); /* [mo:alone: under the lock] */
    weft__chan_refresh(c);
    weft__unlock(&c->lock);
    return count;
}

size_t weft_chan_len(const weft_chan *c)
{
    return c ? at_load_rlx(&c->count) : 0; /* [mo:alone: a snapshot that orders nothing] */
}

size_t weft_chan_cap(const weft_chan *c)
{
    return c ? c->cap : 0;
}
