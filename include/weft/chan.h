// SPDX-License-Identifier: Apache-2.0
/*
 * weft/chan.h - channels: typed queues between fibers, with or without room, that make them wait.
 *
 * A channel carries elements of one size. With capacity 0 it is a rendezvous: a send is complete
 * when a receiver has the element. With capacity n it holds up to n elements. Elements are copied.
 *
 * This header is the plain form: a weft_chan pointer and elements by address. With the macros of
 * weft/sugar.h (part of weft/weft.h) a handle remembers its element type:
 *
 *     typedef WEFT_CHAN_OF(int) int_chan;
 *     int_chan c;
 *     weft_chan_make(&c, 4);
 *     weft_send(c, 42);
 *     while ((rc = weft_recv(c, &v)) > 0) ...
 *     weft_chan_close(c);
 *     weft_chan_free(c);
 *
 *     operation       open                        closed              nil (NULL)
 *     send            waits for room or receiver  -EPIPE              waits until the context ends
 *     receive         waits for an element        rest, then 0        waits until the context ends
 *     try_*           -EAGAIN instead of waiting  as above            -EAGAIN
 *     close           wakes all who wait          misuse              misuse
 *
 * Waiters are served first come, first served. Closing is for the sending side: "no more will
 * come". An element that was taken by a receiver is never lost: a context that ends while the
 * element is on its way loses the race, and the receive succeeds.
 *
 * Channels are counted: weft_chan_new gives one reference, weft_chan_ref another, weft_chan_free
 * takes one away. Whoever uses a channel must hold a reference (its own, or one that surely
 * outlives the use).
 *
 * Everything here may be called by any number of fibers and plain threads at the same time, except
 * weft_chan_set_name.
 */
#ifndef WEFT_CHAN_H
#define WEFT_CHAN_H
#include <stddef.h>
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

typedef struct weft_chan weft_chan;

/* A handle that remembers its element type. All bytes zero: the nil channel. `elem` is never used,
 * it only carries the type. */
#define WEFT_CHAN_OF(type)                                                                         \
    union {                                                                                        \
        weft_chan *chan;                                                                           \
        type *elem;                                                                                \
    }

/**
 * weft_chan_new - make a channel.
 * @elem_bytes: size of an element; 0 is allowed (a channel of signals).
 * @capacity:   elements that it holds without a receiver; 0: rendezvous.
 * @ret_chan:   where the new channel goes, with one reference; returned owned.
 *
 * Returns 0.
 *   -EINVAL ret_chan is NULL, or elements that large or many cannot be; -ENOMEM.
 * Blocks:    no.
 * Callable:  any fiber or plain thread, with or without a runtime. Not from signal handlers.
 * Cost:      one allocation: 128 bytes and the elements.
 * Since 0.1. Source: Go spec, "Making slices, maps and channels". See weft_chan_make,
 * weft_chan_free.
 */
WEFT_API WEFT_MUST_CHECK int weft_chan_new(
    size_t elem_bytes, size_t capacity, weft_chan **ret_chan);

/**
 * weft_chan_new_at - make a channel and say where: weft_chan_new with a creation site for reports.
 * @elem_bytes: as weft_chan_new.
 * @capacity:   as weft_chan_new.
 * @site:       "file:line" (WEFT_SITE), borrowed for the channel's life; NULL: the caller's
 *              address.
 * @ret_chan:   as weft_chan_new.
 *
 * The function beneath the macro weft_chan_make.
 *
 * Returns as weft_chan_new.
 * Blocks:    no.
 * Callable:  as weft_chan_new.
 * Cost:      as weft_chan_new.
 * Since 0.1. See weft_chan_new.
 */
WEFT_API WEFT_MUST_CHECK int weft_chan_new_at(
    size_t elem_bytes, size_t capacity, const char *site, weft_chan **ret_chan);

/**
 * weft_chan_ref - take one more reference.
 * @c: channel; NULL is passed through.
 *
 * Returns c.
 * Blocks:    no.
 * Callable:  anywhere that holds a reference.
 * Cost:      one atomic addition.
 * Since 0.1. See weft_chan_free.
 */
WEFT_API weft_chan *weft_chan_ref(weft_chan *c);

/**
 * weft_chan_free - give up a reference; the last one frees the channel with what it still holds.
 * @c: channel; taken. NULL does nothing.
 *
 * It does not close: receivers that wait for ever are not woken. To free the last reference of a
 * channel on which somebody waits is misuse.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Order:     everything before a free happens-before the memory's release by the last one.
 * Cost:      one atomic subtraction.
 * Since 0.1. See weft_chan_ref, weft_chan_close.
 */
WEFT_API void weft_chan_free(weft_chan *c);

/**
 * weft_chan_set_name - name a channel, for reports and dumps.
 * @c:    channel.
 * @name: borrowed for the channel's life (a literal, usually); NULL takes the name away.
 *
 * Blocks:    no.
 * Callable:  by whoever made the channel, before others know it.
 * Since 0.1. See weft_chan_new.
 */
WEFT_API void weft_chan_set_name(weft_chan *c, const char *name);

/**
 * weft_chan_send - put one element into a channel, waiting for room.
 * @c:    channel; borrowed for the call. NULL: waits until the context ends.
 * @elem: elem_bytes bytes, copied before the call returns.
 *
 * Returns 0 once the element is queued or handed to a receiver.
 *   -EPIPE the channel is closed; -ECANCELED / -ETIMEDOUT the fiber's context ended: at once, if it
 *   had before the call. On any error the element was not delivered.
 * Blocks:    parks the fiber, never the thread. Cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     a send happens-before the end of the receive of its element; on a rendezvous channel
 *            the receive also happens-before the end of the send; with capacity n, the k-th receive
 *            happens-before the end of the (k+n)-th send.
 * Cost:      one lock, no allocation. Fairness: waiters are served first come, first served.
 * Since 0.1. Source: Go spec, "Send statements"; Go memory model, "Channel communication". See
 * weft_send, weft_chan_recv, weft_selectv.
 */
WEFT_API int weft_chan_send(weft_chan *c, const void *elem);

/**
 * weft_chan_recv - take one element out of a channel, waiting for it.
 * @c:        channel; borrowed for the call. NULL: waits until the context ends.
 * @ret_elem: elem_bytes bytes for the element; filled with zeros when the result is 0. NULL: the
 *            element is thrown away.
 *
 * Returns 1 an element; 0 the channel is closed and drained.
 *   -ECANCELED / -ETIMEDOUT the fiber's context ended: at once, if it had before the call; then no
 *   element was taken.
 * Blocks:    parks the fiber, never the thread. Cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     see weft_chan_send; a close happens-before the end of a receive that returns 0.
 * Cost:      one lock, no allocation. Fairness: waiters are served first come, first served.
 * Since 0.1. Source: Go spec, "Receive operator". See weft_recv, weft_chan_send, weft_selectv.
 */
WEFT_API int weft_chan_recv(weft_chan *c, void *ret_elem);

/**
 * weft_chan_try_send - put one element into a channel if that is possible at once.
 * @c:    channel; borrowed for the call. May be NULL.
 * @elem: elem_bytes bytes, copied before the call returns.
 *
 * Returns 0 once the element is queued or handed to a receiver.
 *   -EAGAIN neither room nor a waiting receiver, or c is NULL; -EPIPE the channel is closed.
 * Blocks:    no. Not a cancellation point: cleanup under an ended context may use it.
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Order:     as weft_chan_send, if 0.
 * Cost:      one load when it is not possible, else one lock.
 * Since 0.1. Source: Go's select with default. See weft_chan_send.
 */
WEFT_API int weft_chan_try_send(weft_chan *c, const void *elem);

/**
 * weft_chan_try_recv - take one element out of a channel if there is one.
 * @c:        channel; borrowed for the call. May be NULL.
 * @ret_elem: as weft_chan_recv.
 *
 * Returns 1 an element; 0 the channel is closed and drained.
 *   -EAGAIN no element and no waiting sender, or c is NULL.
 * Blocks:    no. Not a cancellation point.
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Order:     as weft_chan_recv, if not negative.
 * Cost:      one load when there is nothing, else one lock.
 * Since 0.1. Source: Go's select with default. See weft_chan_recv.
 */
WEFT_API int weft_chan_try_recv(weft_chan *c, void *ret_elem);

/**
 * weft_chan_close - say that no more elements will come.
 * @c: channel; borrowed for the call. Closing NULL or a closed channel is misuse and ends the
 *     process.
 *
 * Elements that are queued stay receivable. All who wait are woken: receivers with 0, senders with
 * -EPIPE (their elements are not delivered).
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread; by convention the sending side. Not from signal handlers.
 * Order:     the close happens-before the end of each receive that returns 0 because of it.
 * Cost:      one lock, and a wake-up for each who waits.
 * Since 0.1. Source: Go spec, "Close". See weft_chan_recv.
 */
WEFT_API void weft_chan_close(weft_chan *c);

/**
 * weft_chan_len - how many elements are queued now.
 * @c: channel; NULL: 0.
 *
 * Returns a number between 0 and the capacity; it may be old by the time it is looked at, and
 * orders nothing.
 * Blocks:    no.
 * Callable:  any fiber or plain thread.
 * Cost:      one load.
 * Since 0.1. Source: Go spec, "Length and capacity". See weft_chan_cap.
 */
WEFT_API size_t weft_chan_len(const weft_chan *c);

/**
 * weft_chan_cap - how many elements fit.
 * @c: channel; NULL: 0.
 *
 * Returns the capacity it was made with.
 * Blocks:    no.
 * Callable:  any fiber or plain thread.
 * Cost:      one load.
 * Since 0.1. Source: Go spec, "Length and capacity". See weft_chan_len.
 */
WEFT_API size_t weft_chan_cap(const weft_chan *c);

WEFT_END_DECLS
#endif
