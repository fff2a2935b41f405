// SPDX-License-Identifier: Apache-2.0
/*
 * loop_sock.c - bytes to and from the sockets of a pinned loop.
 *
 * One system call an operation, on both back ends. A broadcast sends one contiguous range to each
 * of many sockets; measured (1000 sockets, 132-byte messages, one core): send() 0.55 M sends/s,
 * requests through io_uring with fixed files in batches of 128 and more 0.53-0.61; at 64 messages a
 * range 21 and 23 M deliveries/s. 85% of the cost lies in tcp_sendmsg, which both call. So
 * io_uring's batch has nothing to give here that its complications (requests that fail later,
 * buffers that the kernel holds) would be worth. bench/floor measures send() anew each time.
 *
 * Only the loop's thread calls in here (the counters), one call a socket at a time.
 */
#include <errno.h>
#include <string.h>
#include "io/loop_impl.h"

#define PREFETCH 4 /* records ahead: a record is a cache miss in a broadcast */

ssize_t weft_loop_recv(weft_loop *loop, weft_loop_io *io, void *buf, size_t bytes)
{
    WEFT_ASSERT(io->slot);
    ssize_t n;
    do
        n = recv(io->fd, buf, bytes, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
}

static ssize_t counted(weft_loop *loop, ssize_t n)
{
    loop_count(&loop->stats.sends, 1);
    if (n == -EAGAIN)
        loop_count(&loop->stats.sends_blocked, 1);
    if (n > 0)
        loop_count(&loop->stats.bytes_sent, (uint64_t)n);
    return n;
}

ssize_t weft_loop_send(weft_loop *loop, weft_loop_io *io, const void *data, size_t bytes)
{
    WEFT_ASSERT(io->slot);
    ssize_t n = send(io->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL);
    return counted(loop, n < 0 ? -errno : n);
}

ssize_t weft_loop_sendv(weft_loop *loop, weft_loop_io *io, const struct iovec *iov, int count)
{
    WEFT_ASSERT(io->slot);
    if (count < 1 || count > 1024)
        return -EINVAL;
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    ssize_t n = sendmsg(io->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
    return counted(loop, n < 0 ? -errno : n);
}

size_t weft_loop_send_batch(weft_loop *loop, weft_loop_send_op *ops, size_t count)
{
    size_t whole = 0;
    for (size_t i = 0; i < count; i++) {
        if (i + PREFETCH < count)
            __builtin_prefetch(ops[i + PREFETCH].io);
        ops[i].result = weft_loop_send(loop, ops[i].io, ops[i].data, ops[i].bytes);
        whole += ops[i].result >= 0 && (size_t)ops[i].result == ops[i].bytes;
    }
    return whole;
}
