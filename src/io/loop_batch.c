// SPDX-License-Identifier: Apache-2.0
/*
 * loop_batch.c - a range to each of many sockets: the pass of a broadcast.
 *
 * On epoll it is send(2) in a row. On io_uring the sends are submitted 128 at a time, to a ring of
 * their own: with MSG_DONTWAIT a send is done, or refused with -EAGAIN, before the submission
 * returns (nothing is armed, nothing punted to a thread), so all results are there at once, nobody
 * else's completion can stand between them, and no buffer is held afterwards.
 *
 *     ops[k .. k+127] --prepare--> SQ --one io_uring_enter--> CQ --user_data--> ops[].result
 *
 * 85% of a send is spent inside tcp_sendmsg either way; the ring saves the system call's entry and
 * the look-up beside it. bench/floor/floor_broadcast compares the two (--io send, --io uring).
 *
 * The ring is made by the first batch that is worth it; where it cannot be made, sends go one by
 * one. Only the loop's thread calls in here.
 */
#include "base/alloc.h"
#include "io/loop_impl.h"
#include "io/uring.h"

enum { SUBMITTED_AT_ONCE = 128, WORTH_A_RING = 4, PREFETCH = 4 };
#define LONGEST_SEND ((size_t)1 << 30) /* a request's length has 32 bits; a short send is allowed */

static struct io_uring *open_ring(weft_loop *loop)
{
    struct io_uring_params p = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL};
    struct io_uring *ring = weft__alloc(sizeof *ring);
    loop->batch_tried = true;
    if (ring && weft__uring_open(ring, SUBMITTED_AT_ONCE, &p) == 0)
        return loop->batch_ring = ring;
    weft__free(ring);
    return NULL;
}

void weft__loop_batch_close(weft_loop *loop)
{
    if (!loop->batch_ring)
        return;
    weft__uring_close(loop->batch_ring);
    weft__free(loop->batch_ring);
    loop->batch_ring = NULL;
}

static bool took_all(const weft_loop_send_op *op)
{
    return op->result >= 0 && (size_t)op->result == op->bytes;
}

static size_t send_each(weft_loop *loop, weft_loop_send_op *ops, size_t count)
{
    size_t whole = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + PREFETCH < count)
            __builtin_prefetch(ops[i + PREFETCH].io); /* in a broadcast a record is a cache miss */
        ops[i].result = weft_loop_send(loop, ops[i].io, ops[i].data, ops[i].bytes);
        whole += took_all(&ops[i]);
    }
    return whole;
}

static size_t reap(weft_loop *loop, struct io_uring *ring, weft_loop_send_op *ops, size_t count)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    size_t whole = 0;
    io_uring_for_each_cqe(ring, head, cqe)
    {
        weft_loop_send_op *op = &ops[cqe->user_data];
        op->result = weft__loop_count_send(loop, cqe->res);
        whole += took_all(op);
        seen++;
    }
    io_uring_cq_advance(ring, seen);
    WEFT_CHECK(seen == count);
    return whole;
}

static size_t send_by_ring(
    weft_loop *loop, struct io_uring *ring, weft_loop_send_op *ops, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (i + PREFETCH < count)
            __builtin_prefetch(ops[i + PREFETCH].io);
        struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
        WEFT_ASSERT(sqe && ops[i].io->slot);
        size_t bytes = ops[i].bytes < LONGEST_SEND ? ops[i].bytes : LONGEST_SEND;
        io_uring_prep_send(sqe, ops[i].io->fd, ops[i].data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
        io_uring_sqe_set_data64(sqe, i);
    }
    /* Interrupted or short of memory, the kernel takes the rest on the next try. */
    for (size_t left = count; left > 0;) {
        int n = weft__uring_submit(ring);
        WEFT_CHECK(n >= 0 || n == -EINTR || n == -EAGAIN || n == -ENOMEM || n == -EBUSY);
        left -= n > 0 ? (size_t)n : 0;
    }
    return reap(loop, ring, ops, count);
}

size_t weft_loop_send_batch(weft_loop *loop, weft_loop_send_op *ops, size_t count)
{
    struct io_uring *ring = loop->batch_ring;
    if (!ring && !loop->batch_tried && count >= WORTH_A_RING && at_load(&loop->owned))
        ring = loop->backend == &weft__loop_uring ? open_ring(loop) : NULL;
    if (!ring || count < WORTH_A_RING)
        return send_each(loop, ops, count);
    size_t whole = 0;
    for (size_t at = 0; at < count; at += SUBMITTED_AT_ONCE) {
        size_t n = count - at < SUBMITTED_AT_ONCE ? count - at : SUBMITTED_AT_ONCE;
        whole += send_by_ring(loop, ring, ops + at, n);
    }
    return whole;
}
