// SPDX-License-Identifier: Apache-2.0
/*
 * socket.c - the calls of weft/net.h.
 *
 * Shape of each: ask the context, try the system call without blocking, wait in the poller on
 * EAGAIN, try again. Sockets are called with MSG_DONTWAIT, so a socket made elsewhere in blocking
 * mode works as well. Pipes and terminals in blocking mode are waited for first, and then called as
 * a blocking call (another reader may have been faster). Files go to the file thread. No write
 * raises SIGPIPE: sockets have a flag of their own, all else goes by quiet.c.
 */
#include <weft/net.h>

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/futex.h"
#include "io/accept.h"
#include "io/file_io.h"
#include "io/poller.h"
#include "io/quiet.h"
#include "io/resolve.h"
#include "io/seam.h"
#include "sched/sched.h"

enum { DEFAULT_BACKLOG = 4096, MAX_ATTEMPTS = 8 };
static const int64_t attempt_delay_ns = 250000000; /* RFC 8305: Connection Attempt Delay */

/* One transfer: what to do, and how for each kind of descriptor. */
struct transfer {
    int fd;
    enum weft__dir dir;
    struct weft__fd_wait wait; /* from before the first try */
    struct msghdr msg;
    int flags;
};

static long try_transfer(const struct transfer *t, int kind)
{
    bool reading = t->dir == WEFT__READ;
    if (kind == WEFT__FD_SOCKET && t->msg.msg_iovlen == 1 && !t->msg.msg_name) /* the cheap form */
        return weft__syscall(reading ? SYS_recvfrom : SYS_sendto, t->fd,
            (long)t->msg.msg_iov->iov_base, (long)t->msg.msg_iov->iov_len,
            t->flags | MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0);
    if (kind == WEFT__FD_SOCKET)
        return weft__syscall(reading ? SYS_recvmsg : SYS_sendmsg, t->fd, (long)&t->msg,
            t->flags | MSG_DONTWAIT | MSG_NOSIGNAL, 0, 0, 0);
    if (!reading)
        return weft__writev_quietly(t->fd, t->msg.msg_iov, (long)t->msg.msg_iovlen);
    return weft__syscall(SYS_readv, t->fd, (long)t->msg.msg_iov, (long)t->msg.msg_iovlen, 0, 0, 0);
}

/* Whether a call would go ahead now, or nobody can tell beforehand. */
static bool would_go(const struct transfer *t)
{
    struct pollfd p = {.fd = t->fd, .events = t->dir == WEFT__READ ? POLLIN : POLLOUT};
    struct timespec none = {0};
    return weft__syscall(SYS_ppoll, (long)&p, 1, (long)&none, 0, 0, 0) != 0;
}

/* The poller tells edges: what an earlier call has left in the pipe makes none, so the descriptor
 * is asked before each wait. */
static long blocking_transfer(const struct transfer *t, void *caller)
{
    while (!would_go(t)) {
        int rc = weft__fd_wait(&t->wait, caller);
        if (rc == -EPERM)
            break;
        if (rc < 0)
            return rc;
    }
    weft__blocking_begin();
    long n = try_transfer(t, WEFT__FD_BLOCKING);
    weft__blocking_end();
    return n;
}

static ssize_t transfer(struct transfer *t, void *caller)
{
    struct weft__fiber *f = weft__enter();
    struct weft__fd *r = weft__fd_get(t->fd);
    t->wait = weft__fd_now_of(r, t->fd, t->dir);
    long rc = r ? weft__fd_kind(t->fd, r) : weft__fd_lack(t->fd);
    int kind = (int)rc;
    if (rc >= 0 && (rc = weft__cancelled(f)) == 0) {
        if (kind == WEFT__FD_FILE) {
            rc = weft__file_transfer(
                t->fd, t->dir == WEFT__WRITE, t->msg.msg_iov, (int)t->msg.msg_iovlen, caller);
        } else if (kind == WEFT__FD_BLOCKING) {
            do
                rc = blocking_transfer(t, caller);
            while (rc == -EINTR);
        } else {
            do
                rc = try_transfer(t, kind);
            while (rc == -EINTR || (rc == -EAGAIN && (rc = weft__fd_wait(&t->wait, caller)) == 0));
        }
    }
    weft__leave();
    return rc;
}

/* weft__fd_wait's 0 makes the loop above go round once more; a transfer's own 0 (end of stream)
 * must not. */

static ssize_t transfer_one(int fd, enum weft__dir dir, const void *buf, size_t bytes, void *caller)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = bytes};
    struct transfer t = {.fd = fd, .dir = dir, .msg = {.msg_iov = &iov, .msg_iovlen = 1}};
    return transfer(&t, caller);
}

ssize_t weft_read(int fd, void *buf, size_t bytes)
{
    return transfer_one(fd, WEFT__READ, buf, bytes, __builtin_return_address(0));
}

ssize_t weft_write(int fd, const void *buf, size_t bytes)
{
    return transfer_one(fd, WEFT__WRITE, buf, bytes, __builtin_return_address(0));
}

ssize_t weft_read_full(int fd, void *buf, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = transfer_one(
            fd, WEFT__READ, (char *)buf + done, bytes - done, __builtin_return_address(0));
        if (n < 0)
            return n;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

ssize_t weft_write_all(int fd, const void *buf, size_t bytes)
{
    size_t done = 0;
    while (done < bytes) {
        ssize_t n = transfer_one(
            fd, WEFT__WRITE, (const char *)buf + done, bytes - done, __builtin_return_address(0));
        if (n < 0)
            return n;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

ssize_t weft_readv(int fd, const struct iovec *iov, int count)
{
    struct transfer t = {.fd = fd,
        .dir = WEFT__READ,
        .msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count}};
    return transfer(&t, __builtin_return_address(0));
}

ssize_t weft_writev(int fd, const struct iovec *iov, int count)
{
    struct transfer t = {.fd = fd,
        .dir = WEFT__WRITE,
        .msg = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = (size_t)count}};
    return transfer(&t, __builtin_return_address(0));
}

ssize_t weft_recv_from(
    int fd, void *buf, size_t bytes, struct sockaddr *ret_from, socklen_t *from_len)
{
    struct iovec iov = {.iov_base = buf, .iov_len = bytes};
    struct transfer t = {.fd = fd,
        .dir = WEFT__READ,
        .msg = {.msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_name = ret_from,
            .msg_namelen = ret_from ? *from_len : 0}};
    ssize_t n = transfer(&t, __builtin_return_address(0));
    if (n >= 0 && ret_from)
        *from_len = t.msg.msg_namelen;
    return n;
}

ssize_t weft_send_to(
    int fd, const void *buf, size_t bytes, const struct sockaddr *to, socklen_t to_len)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = bytes};
    struct transfer t = {.fd = fd,
        .dir = WEFT__WRITE,
        .msg = {.msg_iov = &iov,
            .msg_iovlen = 1,
            .msg_name = (void *)(uintptr_t)to,
            .msg_namelen = to ? to_len : 0}};
    return transfer(&t, __builtin_return_address(0));
}

/* ---- making sockets ---- */

static void set_option(int fd, int level, int name, int value)
{
    weft__syscall(SYS_setsockopt, fd, level, name, (long)&value, sizeof value, 0);
}

static int new_socket(const struct weft__addr *a, int type)
{
    long fd =
        weft__syscall(SYS_socket, a->sa.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0, 0, 0);
    if (fd >= 0)
        weft__fd_new_socket((int)fd);
    return (int)fd;
}

static int listen_at(const struct weft__addr *a, int type, const weft_listen_opts *o)
{
    int fd = new_socket(a, type);
    if (fd < 0)
        return fd;
    if (a->sa.ss_family != AF_UNIX && type == SOCK_STREAM)
        set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (o && o->reuse_port)
        set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (a->sa.ss_family == AF_INET6)
        set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, o && o->v6_only);
    long rc = weft__syscall(SYS_bind, fd, (long)&a->sa, (long)a->len, 0, 0, 0);
    if (rc == 0 && type == SOCK_STREAM)
        rc = weft__syscall(
            SYS_listen, fd, o && o->backlog ? o->backlog : DEFAULT_BACKLOG, 0, 0, 0, 0);
    if (rc < 0) {
        weft__fd_close(fd);
        return (int)rc;
    }
    return fd;
}

/* An empty host means every interface: the IPv6 wildcard takes both families, so it is tried
 * first. */
static unsigned prefer_v6(const struct weft__addrs *a)
{
    for (unsigned i = 0; i < a->count; i++)
        if (a->addr[i].sa.ss_family == AF_INET6)
            return i;
    return 0;
}

int weft_listen_opt(const char *network, const char *address, const weft_listen_opts *opts)
{
    struct weft__addrs a;
    int rc = weft__resolve(network, address, 1, &a);
    if (rc < 0)
        return rc;
    weft__enter();
    unsigned first = address[0] == ':' ? prefer_v6(&a) : 0;
    rc = listen_at(&a.addr[first], a.type, opts);
    for (unsigned i = 0; rc == -EAFNOSUPPORT && i < a.count; i++)
        rc = listen_at(&a.addr[i], a.type, opts);
    weft__leave();
    return rc;
}

int weft_listen(const char *network, const char *address)
{
    return weft_listen_opt(network, address, NULL);
}

static bool listens(int fd)
{
    int yes = 0;
    socklen_t len = sizeof yes;
    weft__sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &yes, &len);
    return yes;
}

/* The next connection is wanted. EOPNOTSUPP is also what a socket says that never accepts. EPERM,
 * which accept(2) has too, is told: a filter of system calls says it, each time, and takes nothing
 * from the queue. */
static bool died_in_queue(int fd, long rc)
{
    return weft__accept_died(rc) || (rc == -EOPNOTSUPP && listens(fd));
}

int weft_accept(int fd)
{
    struct weft__fiber *f = weft__enter();
    void *caller = __builtin_return_address(0);
    struct weft__fd_wait wait = weft__fd_now(fd, WEFT__READ);
    long rc = weft__cancelled(f);
    while (rc == 0) {
        rc = weft__syscall(SYS_accept4, fd, 0, 0, SOCK_NONBLOCK | SOCK_CLOEXEC, 0, 0);
        if (rc == -EAGAIN)
            rc = weft__fd_wait(&wait, caller);
        else if (rc == -EINTR || died_in_queue(fd, rc))
            rc = weft__cancelled(f);
        else
            break;
    }
    if (rc >= 0) {
        weft__fd_new_socket((int)rc);
        set_option(
            (int)rc, IPPROTO_TCP, TCP_NODELAY, 1); /* refused by unix sockets, which need it not */
    }
    weft__leave();
    return (int)rc;
}

/* ---- dialling: several attempts race, each started when its predecessor failed or was slow
 * ---- */

struct dial {
    const struct weft__addrs *a;
    unsigned started, open_count;
    struct weft__fd_wait open[MAX_ATTEMPTS];
    int64_t due_ns; /* when the next attempt starts; 0: at once, as the last one failed */
    int error;      /* of the last attempt that failed */
};

static int attempt_failed(struct dial *d, int error)
{
    d->error = error;
    d->due_ns = 0;
    return -1;
}

static void attempt_forget(struct dial *d, unsigned i, bool close)
{
    if (close)
        weft__fd_close(d->open[i].fd);
    d->open[i] = d->open[--d->open_count];
}

/* Starts the next attempt. Returns a descriptor that connected at once, or -1. */
static int attempt_start(struct dial *d)
{
    const struct weft__addr *a = &d->a->addr[d->started++];
    int fd = new_socket(a, d->a->type);
    if (fd < 0)
        return attempt_failed(d, fd);
    long rc = weft__syscall(SYS_connect, fd, (long)&a->sa, (long)a->len, 0, 0, 0);
    if (rc == 0)
        return fd;
    if (rc != -EINPROGRESS) { /* EAGAIN of a unix socket: the peer's queue is full */
        weft__fd_close(fd);
        return attempt_failed(d, (int)rc);
    }
    d->open[d->open_count++] = weft__fd_now(fd, WEFT__WRITE);
    d->due_ns = weft__clock_ns() + attempt_delay_ns;
    return -1;
}

/* Asks how attempt i ended. Its descriptor if it won, else -1 (and it is gone, or still under
 * way). */
static int attempt_check(struct dial *d, unsigned i)
{
    int fd = d->open[i].fd, err = 0;
    socklen_t len = sizeof err;
    struct sockaddr_storage peer;
    socklen_t peer_len = sizeof peer;
    weft__syscall(SYS_getsockopt, fd, SOL_SOCKET, SO_ERROR, (long)&err, (long)&len, 0);
    if (err) {
        attempt_forget(d, i, true);
        return attempt_failed(d, -err);
    }
    if (weft__syscall(SYS_getpeername, fd, (long)&peer, (long)&peer_len, 0, 0, 0) < 0)
        return -1; /* a spurious wake-up */
    attempt_forget(d, i, false);
    return fd;
}

static int dial_race(struct dial *d, void *caller)
{
    int fd = -1;
    while (fd < 0) {
        bool more = d->started < d->a->count && d->started < MAX_ATTEMPTS;
        if (d->open_count == 0 && !more)
            return d->error;
        if (more && (d->open_count == 0 || weft__clock_ns() >= d->due_ns)) {
            fd = attempt_start(d);
            continue;
        }
        int rc = weft__fd_wait_any(d->open, d->open_count, more ? d->due_ns : -1, caller);
        if (rc >= 0)
            fd = attempt_check(d, (unsigned)rc);
        else if (rc != -ETIME)
            return rc;
    }
    return fd;
}

int weft_dial(const char *network, const char *address)
{
    struct weft__addrs a;
    struct dial d = {.a = &a, .error = -ENOENT};
    int rc = weft__resolve(network, address, 0, &a);
    if (rc < 0)
        return rc;
    struct weft__fiber *f = weft__enter();
    rc = weft__cancelled(f);
    if (rc == 0)
        rc = dial_race(&d, __builtin_return_address(0));
    while (d.open_count)
        attempt_forget(&d, 0, true);
    if (rc >= 0 && a.type == SOCK_STREAM)
        set_option(rc, IPPROTO_TCP, TCP_NODELAY, 1);
    weft__leave();
    return rc;
}

/* ---- the rest ---- */

int weft_shutdown(int fd, int how)
{
    return (int)weft__syscall(SYS_shutdown, fd, how, 0, 0, 0, 0);
}

int weft_close(int fd)
{
    if (fd < 0)
        return 0;
    weft__enter();
    int rc = weft__fd_close(fd);
    weft__leave();
    return rc;
}

int weft_wait_fd(int fd, int writable)
{
    weft__enter();
    struct weft__fd_wait wait = weft__fd_now(fd, writable ? WEFT__WRITE : WEFT__READ);
    int rc = weft__fd_wait_level(&wait, __builtin_return_address(0));
    weft__leave();
    return rc;
}

static int name_of(long call, int fd, char *buf, size_t bytes)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    long rc = weft__syscall(call, fd, (long)&sa, (long)&len, 0, 0, 0);
    return rc < 0 ? (int)rc : weft__addr_format((struct sockaddr *)&sa, len, buf, bytes);
}

int weft_local_addr(int fd, char *buf, size_t bytes)
{
    return name_of(SYS_getsockname, fd, buf, bytes);
}
int weft_peer_addr(int fd, char *buf, size_t bytes)
{
    return name_of(SYS_getpeername, fd, buf, bytes);
}
