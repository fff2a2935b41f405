// SPDX-License-Identifier: Apache-2.0
/*
 * weft/net.h - networking on plain file descriptors: POSIX shapes, the context instead of flags.
 *
 * Every call that waits parks the fiber, not the thread, and honours the fiber's current context:
 * when that is cancelled or its deadline passes, the call returns -ECANCELED or -ETIMEDOUT.
 * Deadlines are therefore not arguments: write WEFT_TIMEOUT(t, 3 * WEFT_SEC) before the call.
 *
 * Descriptors are ordinary ones: setsockopt(2), getpeername(2), ss, strace and friends work. Those
 * made here are non-blocking and close-on-exec. Descriptors from elsewhere (pipes, inherited
 * sockets, files, terminals) may be given to weft_read and weft_write too; regular files go through
 * the file thread (weft/file.h).
 *
 * Close with weft_close, not close(2): it wakes fibers that wait on the descriptor (-EBADF) and
 * forgets it before its number can be used again.
 *
 * Addresses are "host:port", ":port" (all interfaces), "[::1]:port", and for unix sockets a path or
 * "@abstract". Networks are "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6", "unix". Port 0 asks the
 * kernel for a free one (weft_local_addr tells it).
 *
 * A write to a connection that the peer has closed, or to a pipe that nobody reads any more,
 * returns -EPIPE; no SIGPIPE is raised.
 */
#ifndef WEFT_NET_H
#define WEFT_NET_H
#include <weft/base.h>

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

WEFT_BEGIN_DECLS

/* Options of weft_listen_opt; size first, so the struct can grow. Zero means the default. */
typedef struct weft_listen_opts {
    size_t size;
    int backlog;    /* 0: 4096 (the kernel cuts it to net.core.somaxconn) */
    int reuse_port; /* 1: SO_REUSEPORT, several listeners share the port */
    int v6_only;    /* 1: an IPv6 listener does not take IPv4 connections */
} weft_listen_opts;

/**
 * weft_listen - open a listening socket (tcp, unix) or a bound one (udp).
 * @network: "tcp", "tcp4", "tcp6", "udp", "udp4", "udp6" or "unix"; borrowed.
 * @address: where; borrowed. Host names are resolved; a unix path that exists is an error
 * (-EADDRINUSE).
 *
 * Returns a file descriptor, owned by the caller.
 *   -EINVAL network or address makes no sense; -EADDRINUSE, -EACCES, -EMFILE … from the kernel;
 *   -ENOENT the host has no address; -ECANCELED / -ETIMEDOUT the context ended while the name was
 *   being resolved.
 * Blocks:    only to resolve a name: parks the fiber.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_accept, weft_listen_opt, examples/echo.c.
 */
WEFT_API WEFT_MUST_CHECK int weft_listen(const char *network, const char *address);

/**
 * weft_listen_opt - weft_listen with options.
 * @network: as weft_listen.
 * @address: as weft_listen.
 * @opts:    options, size set; borrowed; NULL: the defaults.
 *
 * Returns as weft_listen.
 * Blocks:    as weft_listen.
 * Callable:  as weft_listen.
 * Since 0.1. See weft_listen.
 */
WEFT_API WEFT_MUST_CHECK int weft_listen_opt(
    const char *network, const char *address, const weft_listen_opts *opts);

/**
 * weft_accept - take the next connection.
 * @fd: a listening socket; borrowed.
 *
 * Returns the connection's descriptor, owned by the caller; TCP connections have TCP_NODELAY set.
 *   -EBADF closed by weft_close; -EMFILE / -ENFILE out of descriptors (the connection stays queued:
 *   wait, then try again); -EINVAL, -EOPNOTSUPP not a listening socket;
 *   -ECANCELED / -ETIMEDOUT the context ended.  A connection that died in the queue is skipped.
 * Blocks:    parks the fiber until one comes. Cancellation point.
 * Callable:  any fiber, several at once on one socket; a plain thread too.
 * Cost:      one system call, two where it has to wait.
 * Since 0.1. See weft_listen.
 */
WEFT_API WEFT_MUST_CHECK int weft_accept(int fd);

/**
 * weft_dial - connect to an address.
 * @network: as weft_listen.
 * @address: whom; borrowed. A name with several addresses is tried in the resolver's order with
 *           IPv6 and IPv4 interleaved; each next one starts when the last failed or has not
 *           answered for 250 ms, and the first to answer wins (RFC 8305).
 *
 * Returns a connected descriptor, owned by the caller; TCP connections have TCP_NODELAY set.
 *   -EINVAL; -ENOENT no such host; -ECONNREFUSED, -ENETUNREACH … of the last address tried;
 *   -ECANCELED / -ETIMEDOUT the context ended (the attempts are closed).
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. Source: RFC 8305. See weft_listen.
 */
WEFT_API WEFT_MUST_CHECK int weft_dial(const char *network, const char *address);

/**
 * weft_read - read what is there, waiting for the first byte.
 * @fd:    a socket, pipe, terminal or file; borrowed.
 * @buf:   at least bytes long; borrowed for the call.
 * @bytes: how much to read at most.
 *
 * Returns the number of bytes read, 0 at the end of the stream.
 *   -EBADF closed; -ECONNRESET …; -ECANCELED / -ETIMEDOUT the context ended and nothing was read.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Cost:      one system call, two where it has to wait.
 * Since 0.1. See weft_read_full, weft_readv.
 */
WEFT_API ssize_t weft_read(int fd, void *buf, size_t bytes);

/**
 * weft_read_full - read exactly so many bytes, or up to the end of the stream.
 * @fd:    as weft_read.
 * @buf:   as weft_read.
 * @bytes: how much.
 *
 * Returns bytes, or fewer (0 too) if the stream ended first; an error as weft_read, and then some
 * bytes may have been read.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_read.
 */
WEFT_API ssize_t weft_read_full(int fd, void *buf, size_t bytes);

/**
 * weft_readv - weft_read into several buffers.
 * @fd:    as weft_read.
 * @iov:   buffers; borrowed for the call.
 * @count: how many, at most IOV_MAX.
 *
 * Returns as weft_read.
 * Blocks:    as weft_read.
 * Callable:  as weft_read.
 * Since 0.1. See weft_read.
 */
WEFT_API ssize_t weft_readv(int fd, const struct iovec *iov, int count);

/**
 * weft_write - write some bytes, waiting for room for the first.
 * @fd:    a socket, pipe, terminal or file; borrowed.
 * @buf:   the bytes; borrowed for the call.
 * @bytes: how many.
 *
 * Returns how many were written, at least 1 unless bytes is 0.
 *   -EPIPE the peer reads no more (no signal); -EBADF closed; -ECANCELED / -ETIMEDOUT the context
 *   ended and nothing was written.
 * Blocks:    parks the fiber. Cancellation point. But a pipe or terminal in blocking mode takes all
 *            of it in one call: more than there is room for blocks the thread (its worker goes on
 *            elsewhere) until the reader has made room, and no cancellation ends that. Set
 *            O_NONBLOCK, as the pipes of weft/process.h have it.
 * Callable:  any fiber; a plain thread too.
 * Cost:      one system call, two where it has to wait.
 * Since 0.1. See weft_write_all.
 */
WEFT_API ssize_t weft_write(int fd, const void *buf, size_t bytes);

/**
 * weft_write_all - write all the bytes.
 * @fd:    as weft_write.
 * @buf:   the bytes; borrowed for the call.
 * @bytes: how many.
 *
 * Returns bytes; an error as weft_write, and then an unknown part has been written.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_write.
 */
WEFT_API ssize_t weft_write_all(int fd, const void *buf, size_t bytes);

/**
 * weft_writev - weft_write from several buffers.
 * @fd:    as weft_write.
 * @iov:   buffers; borrowed for the call.
 * @count: how many, at most IOV_MAX.
 *
 * Returns as weft_write: possibly fewer bytes than the buffers hold.
 * Blocks:    as weft_write.
 * Callable:  as weft_write.
 * Since 0.1. See weft_write.
 */
WEFT_API ssize_t weft_writev(int fd, const struct iovec *iov, int count);

/**
 * weft_recv_from - receive one datagram.
 * @fd:        a udp or unix datagram socket; borrowed.
 * @buf:       receives the datagram; what does not fit is lost.
 * @bytes:     room in buf.
 * @ret_from:  the sender's address; may be NULL.
 * @from_len:  in: room at ret_from; out: the address's length. NULL if ret_from is.
 *
 * Returns the datagram's length as stored; errors as weft_read.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_send_to.
 */
WEFT_API ssize_t weft_recv_from(
    int fd, void *buf, size_t bytes, struct sockaddr *ret_from, socklen_t *from_len);

/**
 * weft_send_to - send one datagram.
 * @fd:     a udp or unix datagram socket; borrowed.
 * @buf:    the datagram; borrowed for the call.
 * @bytes:  its length.
 * @to:     the receiver; NULL for a connected socket.
 * @to_len: the address's length.
 *
 * Returns bytes; errors as weft_write, -EMSGSIZE too long for a datagram.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_recv_from.
 */
WEFT_API ssize_t weft_send_to(
    int fd, const void *buf, size_t bytes, const struct sockaddr *to, socklen_t to_len);

/**
 * weft_shutdown - end one direction of a connection, or both; the descriptor stays open.
 * @fd:  a connected socket; borrowed.
 * @how: SHUT_RD, SHUT_WR or SHUT_RDWR, as shutdown(2).
 *
 * Returns 0; -ENOTCONN, -EBADF.
 * Blocks:    no.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_close.
 */
WEFT_API int weft_shutdown(int fd, int how);

/**
 * weft_close - close a descriptor.
 * @fd: taken. A negative one is ignored.
 *
 * Fibers that wait on it wake with -EBADF, also those that an event has just woken. One that does
 * not wait yet (it is about to make its first system call) may meet the number's next owner, as
 * beside close(2).
 * Returns 0; -EBADF not open; other errors of close(2), and the descriptor is closed all the same.
 * Blocks:    no (as long as close(2) does not).
 * Callable:  any fiber; a plain thread too. Not from signal handlers.
 * Since 0.1. See weft_shutdown.
 */
WEFT_API int weft_close(int fd);

/**
 * weft_wait_fd - wait until a descriptor is readable or writable, for libraries that read
 * themselves.
 * @fd:       any descriptor that epoll takes; borrowed.
 * @writable: 0: until a read would not block; 1: until a write would not.
 *
 * Returns 0 (spurious returns are possible: use non-blocking calls and wait again); -EBADF; -EPERM
 * a regular file; -ECANCELED / -ETIMEDOUT.
 * Blocks:    parks the fiber until it is ready, not at all if it is. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_read.
 */
WEFT_API WEFT_MUST_CHECK int weft_wait_fd(int fd, int writable);

/**
 * weft_local_addr - the socket's own address as text ("127.0.0.1:40112", "[::1]:80", a path).
 * @fd:    a socket; borrowed.
 * @buf:   receives the text, NUL-terminated.
 * @bytes: room in buf; 128 is enough.
 *
 * Returns the text's length; -EBADF, -ENOTSOCK, -ENOSPC buf is too small.
 * Blocks:    no.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_peer_addr.
 */
WEFT_API int weft_local_addr(int fd, char *buf, size_t bytes);

/**
 * weft_peer_addr - the peer's address as text.
 * @fd:    a connected socket; borrowed.
 * @buf:   receives the text, NUL-terminated.
 * @bytes: room in buf; 128 is enough.
 *
 * Returns as weft_local_addr; -ENOTCONN.
 * Blocks:    no.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_local_addr.
 */
WEFT_API int weft_peer_addr(int fd, char *buf, size_t bytes);

WEFT_END_DECLS
#endif
