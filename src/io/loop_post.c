// SPDX-License-Identifier: Apache-2.0
/*
 * loop_post.c - messages into a loop: an intrusive queue of many posters and one taker, and the
 * protocol by which a post wakes a sleeping loop once, never too late.
 *
 * The queue is a chain from head (the loop's) to tail (the posters'), never empty, as a stub node
 * stands in when there is no message:
 *
 *     head -> m1 -> m2 -> m3 <- tail        post(first..last):  prev = exchange(tail, last)
 *                                                               prev->next = first
 *
 * A post is one exchange, whatever its length: wait-free. Between its two steps the chain is cut:
 * what lies behind can be seen in tail but not be reached. The taker then finds nothing for now.
 *
 * A Treiber stack taken whole and reversed was the alternative: it needs a CAS loop a post, and
 * a list of messages cannot be pushed in order.
 *
 * The wake protocol. `asleep` is 1 while the loop waits in the kernel, or is about to:
 *
 *      poster                                   loop
 *      P1  exchange(tail)                       S1  asleep = 1
 *      P2  prev->next = first                   S2  read tail; not the stub: asleep = 0, no wait
 *      P3  read asleep; 1: exchange(asleep, 0)  S3  wait in the kernel
 *      P4  it was 1: write the eventfd          S4  asleep = 0; deliver
 *
 * No wake-up is lost. P1, P3, S1, S2 are sequentially consistent, so they stand in one order. If P1
 * is before S2, S2 sees the message and the loop does not sleep. Else S1 < S2 < P1 < P3, so P3
 * reads 1 unless another poster has taken it to 0, who then writes the eventfd; that write comes
 * after S1, so it ends this wait or one that comes after it. The eventfd is watched edge-triggered
 * and never read: each write is a fresh edge, and a write that nobody needed costs one empty turn.
 * If the loop sees a message that it cannot reach (between P1 and P2) it does not sleep: it turns
 * without waiting, serving its sockets, until the poster has gone on. So P2 need not be ordered
 * before P3. Many posts to a sleeping loop write once; posts to a busy loop never do.
 *
 * A node is the poster's again as soon as its callback begins: the taker gives a node out only
 * once it has seen node->next, that is, after the last write to it by whoever came behind.
 *
 * Ordering: [mo:loop_link] P2's release store of next with the taker's acquire load carries the
 * message's content; the taker needs nothing from P1.
 */
#include <errno.h>
#include "base/tsan.h"
#include "io/loop_impl.h"
#include "io/seam.h"

static _Atomic(weft_loop_msg *) *next_of(weft_loop_msg *msg)
{
    return (_Atomic(weft_loop_msg *) *)&msg->next;
}

void weft__loop_queue_init(struct loop_queue *q)
{
    q->stub.next = NULL;
    q->head = &q->stub;
    at_store(&q->tail, &q->stub);
}

static void push(struct loop_queue *q, weft_loop_msg *first, weft_loop_msg *last)
{
    at_store_rlx(next_of(last), NULL); /* [mo:alone: published by the exchange] */
    weft_loop_msg *prev = at_xchg(&q->tail, last);
    at_store_rel(next_of(prev), first); /* [mo:loop_link] */
}

/* The oldest message, or NULL if there is none or it cannot be reached at the moment. */
weft_loop_msg *weft__loop_queue_pop(struct loop_queue *q)
{
    weft_loop_msg *head = q->head;
    weft_loop_msg *next = at_load_acq(next_of(head)); /* [mo:loop_link] */
    if (head == &q->stub) {
        if (!next)
            return NULL;
        q->head = head = next;
        next = at_load_acq(next_of(head)); /* [mo:loop_link] */
    }
    if (!next) {
        /* head is the last node, or its successor is being linked. Put the stub behind it, so that
         * it has one. */
        if (at_load(&q->tail) != head)
            return NULL;
        push(q, &q->stub, &q->stub);
        next = at_load_acq(next_of(head)); /* [mo:loop_link] */
        if (!next)
            return NULL;
    }
    q->head = next;
    weft__tsan_acquire(q); /* what the poster did before its post */
    return head;
}

bool weft__loop_queue_empty(struct loop_queue *q)
{
    return q->head == &q->stub && at_load(&q->tail) == &q->stub;
}

void weft__loop_wake(weft_loop *loop)
{
    if (!at_load(&loop->asleep) || !at_xchg(&loop->asleep, 0))
        return;
    uint64_t one = 1;
    at_add_rlx(&loop->stats.wakeups, 1); /* [mo:loop_stats] */
    ssize_t n;
    do
        n = weft__sys_write(loop->wake_fd, &one, sizeof one);
    while (n == -EINTR);
    /* -EAGAIN would mean 2^64 wakes: the counter is never read, and never gets there. */
    WEFT_CHECK(n == sizeof one);
}

void weft_loop_post_list(weft_loop *loop, weft_loop_msg *first, weft_loop_msg *last)
{
    weft__tsan_release(&loop->queue);
    push(&loop->queue, first, last);
    weft__loop_wake(loop);
}

void weft_loop_post(weft_loop *loop, weft_loop_msg *msg)
{
    weft_loop_post_list(loop, msg, msg);
}
