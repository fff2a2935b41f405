// SPDX-License-Identifier: Apache-2.0
/* netio.c - reads and writes with a deadline, buffers, hanging up; netio.h has the picture. */
#include "net/netio.h"

#include <weft/net.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/futex.h"
#include "io/poller.h"
#include "sched/sched.h"

enum { LINGER_BYTES_MAX = 4 << 20 };

int weft__buf_init(struct weft__buf *b, size_t cap)
{
    *b = (struct weft__buf){.data = weft__alloc(cap)};
    if (!b->data)
        return -ENOMEM;
    b->cap = cap;
    return 0;
}

void weft__buf_fini(struct weft__buf *b)
{
    weft__free(b->data);
    *b = (struct weft__buf){0};
}

int weft__buf_grow(struct weft__buf *b, size_t max)
{
    if (b->cap >= max)
        return -ENOBUFS;
    size_t cap = b->cap > max / 2 ? max : b->cap * 2;
    char *data = weft__realloc(b->data, cap);
    if (!data)
        return -ENOMEM;
    b->data = data;
    b->cap = cap;
    return 0;
}

void weft__buf_shrink(struct weft__buf *b, size_t cap)
{
    if (b->cap <= cap || b->base || b->at != b->end)
        return;
    char *data = weft__alloc(cap);
    if (!data)
        return;
    weft__free(b->data);
    *b = (struct weft__buf){.data = data, .cap = cap};
}

/* Makes room behind what is unread without touching what is kept. */
static size_t make_room(struct weft__buf *b)
{
    WEFT_ASSERT(b->base <= b->at && b->at <= b->end && b->end <= b->cap);
    if (b->at == b->end) {
        b->at = b->end = b->base;
    } else if (b->end == b->cap && b->at > b->base) {
        memmove(b->data + b->base, b->data + b->at, b->end - b->at);
        b->end = b->base + (b->end - b->at);
        b->at = b->base;
    }
    return b->cap - b->end;
}

int64_t weft__net_deadline(int64_t timeout_ns)
{
    if (timeout_ns < 0)
        return -1;
    int64_t now = weft__clock_ns();
    return timeout_ns > INT64_MAX - now ? -1 : now + timeout_ns;
}

/* 0 when it may be ready. Inside. */
static long wait_ready(const struct weft__fd_wait *w, int64_t deadline_ns, void *caller)
{
    int rc = weft__fd_wait_any(w, 1, deadline_ns, caller);
    return rc == -ETIME ? -ETIMEDOUT : rc < 0 ? rc : 0;
}

static long receive(int fd, char *to, size_t bytes, bool wait_first, int64_t deadline_ns, void *pc)
{
    struct weft__fiber *f = weft__enter();
    struct weft__fd_wait w = weft__fd_now(fd, WEFT__READ);
    long rc = weft__cancelled(f);
    if (rc == 0 && wait_first)
        rc = wait_ready(&w, deadline_ns, pc);
    while (rc == 0) {
        rc = weft__syscall(SYS_recvfrom, fd, (long)to, (long)bytes, MSG_DONTWAIT, 0, 0);
        if (rc == -EAGAIN)
            rc = wait_ready(&w, deadline_ns, pc);
        else if (rc == -EINTR)
            rc = 0;
        else
            break;
    }
    weft__leave();
    return rc;
}

ssize_t weft__stream_fill(struct weft__stream *s, int64_t deadline_ns)
{
    size_t room = make_room(&s->in);
    if (room == 0)
        return -ENOBUFS;
    bool wait_first = s->emptied && !weft__fd_hung_up(s->fd);
    ssize_t n = receive(
        s->fd, s->in.data + s->in.end, room, wait_first, deadline_ns, __builtin_return_address(0));
    if (n <= 0)
        return n;
    s->emptied = (size_t)n < room;
    s->in.end += (size_t)n;
    return n;
}

/* Drops n bytes from the front of the vector. Empty pieces in front go too, so that count 0 says
 * all is sent; what is dropped is empty afterwards, so that the vector can be sent again. */
static void advance(struct iovec **iov, int *count, size_t n)
{
    while (*count > 0 && n >= (*iov)->iov_len) {
        n -= (*iov)->iov_len;
        (*iov)->iov_len = 0;
        ++*iov;
        --*count;
    }
    if (*count > 0) {
        (*iov)->iov_base = (char *)(*iov)->iov_base + n;
        (*iov)->iov_len -= n;
    }
}

int weft__net_send(int fd, struct iovec *iov, int count, int64_t wait_ns, size_t *ret_sent)
{
    struct weft__fiber *f = weft__enter();
    void *pc = __builtin_return_address(0);
    struct weft__fd_wait w = weft__fd_now(fd, WEFT__WRITE);
    long rc = weft__cancelled(f);
    size_t sent = 0;
    advance(&iov, &count, 0);
    while (rc == 0 && count > 0) {
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = (size_t)count};
        rc = weft__syscall(SYS_sendmsg, fd, (long)&m, MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0);
        if (rc > 0) {
            sent += (size_t)rc;
            advance(&iov, &count, (size_t)rc);
            rc = 0;
        } else if (rc == -EAGAIN) {
            rc = wait_ready(&w, weft__net_deadline(wait_ns), pc);
        } else if (rc == -EINTR) {
            rc = 0;
        }
    }
    weft__leave();
    if (ret_sent)
        *ret_sent = sent;
    return (int)rc;
}

void weft__net_linger(int fd, int64_t limit_ns)
{
    char dropped[4096];
    size_t total = 0;
    long n = weft_shutdown(fd, SHUT_WR);
    if (n < 0)
        return;
    int64_t deadline_ns = weft__net_deadline(limit_ns);
    do {
        n = receive(fd, dropped, sizeof dropped, false, deadline_ns, __builtin_return_address(0));
        total += n > 0 ? (size_t)n : 0;
    } while (n > 0 && total < LINGER_BYTES_MAX && weft__clock_ns() < deadline_ns);
}
