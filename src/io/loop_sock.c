// SPDX-License-Identifier: Apache-2.0
/*
 * loop_sock.c - bytes to and from the sockets of a pinned loop.
 *
 * One system call an operation, by the seam (io/seam.h), on both back ends: a single send through
 * io_uring costs as much as send(2). A pass over many sockets is another matter: loop_batch.c.
 *
 * Only the loop's thread calls in here (the counters), one call a socket at a time.
 */
#include <errno.h>
#include "io/loop_impl.h"
#include "io/seam.h"

ssize_t weft_loop_recv(weft_loop *loop, weft_loop_io *io, void *buf, size_t bytes)
{
    WEFT_ASSERT(io->slot);
    ssize_t n;
    do
        n = weft__sys_recv(io->fd, buf, bytes, MSG_DONTWAIT);
    while (n == -EINTR);
    return n;
}

ssize_t weft__loop_count_send(weft_loop *loop, ssize_t n)
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
    return weft__loop_count_send(
        loop, weft__sys_send(io->fd, data, bytes, MSG_DONTWAIT | MSG_NOSIGNAL));
}

ssize_t weft_loop_sendv(weft_loop *loop, weft_loop_io *io, const struct iovec *iov, int count)
{
    WEFT_ASSERT(io->slot);
    if (count < 1 || count > 1024)
        return -EINVAL;
    struct msghdr msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count};
    return weft__loop_count_send(
        loop, weft__sys_sendmsg(io->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL));
}
