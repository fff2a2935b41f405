// SPDX-License-Identifier: Apache-2.0
/*
 * weft/loop_listen.h - listening and dialling for pinned loops; included by weft/loop.h.
 *
 * Addresses are text: "127.0.0.1:7000", "[::1]:7000", ":7000" (all addresses, both families),
 * "localhost:7000", "/run/x.sock" or "unix:/run/x.sock", "@abstract". Port 0 takes a free one.
 *
 * A listener lives on one loop. For several loops, give each a listener on the same address with
 * `reuseport` (the kernel spreads connections over them), or accept on one and hand fds on by
 * weft_loop_post.
 */
#ifndef WEFT_LOOP_LISTEN_H
#define WEFT_LOOP_LISTEN_H

#include <weft/loop.h>

WEFT_BEGIN_DECLS

/* fd: a connection, non-blocking and close-on-exec, owned by the callee; or a negative errno:
 * accepting pauses for this reason (-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM), told once a pause. */
typedef void weft_loop_accept_fn(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg);

/* Options of a listener; zero is the default of each. */
typedef struct weft_loop_listen_opts {
    size_t size;
    int backlog;            /* 0: 4096 (the kernel's somaxconn bounds it) */
    bool reuseport;         /* several listeners (one a loop) share the address */
    bool ipv6only;          /* an IPv6 address serves IPv6 alone */
    unsigned unix_mode;     /* permissions of a unix socket's file (0: as umask says) */
    const char *congestion; /* congestion control that accepted connections inherit, as "reno" */
    bool nodelay;           /* TCP_NODELAY, which accepted connections inherit */
    int sndbuf_bytes;       /* SO_SNDBUF that accepted connections inherit (0: the kernel's) */
    int defer_accept_s;     /* accept only once data has come, or after so long (0: at once) */
} weft_loop_listen_opts;

/**
 * weft_loop_listen - accept connections on an address.
 * @loop:         loop.
 * @address:      "127.0.0.1:7000", "[::1]:7000", ":7000" (all addresses, both families), a name and
 *                a port ("localhost:7000"; its first address), "/path" or "unix:/path" or
 * "@abstract". Port 0 takes a free one. A socket file that nobody listens on any more is replaced.
 * @opts:         options, or NULL; borrowed for the call.
 * @fn, @arg:     called for each connection.
 * @ret_listener: the listener, returned borrowed until weft_loop_listener_close or weft_loop_free.
 *
 * When file descriptors or memory run out, accepting pauses and resumes as soon as
 * weft_loop_io_close closes one, or after 100 ms; connections that exist notice nothing.
 *
 * Returns 0.
 *   -EINVAL an address that cannot be read; -EADDRNOTAVAIL a name that is not known; -EADDRINUSE,
 *   -EACCES, ... as bind(2) and listen(2); -ENOMEM.
 * Blocks:    only where a name must be looked up.
 * Callable:  the loop's thread, usually before it runs.
 * Order:     none.
 * Cost:      io_uring: one multishot accept for all. epoll: one accept4 a connection, and one more
 *            a batch.
 * Since 0.1. See weft_loop_listen_fd, weft_loop_listener_address.
 */
WEFT_API WEFT_MUST_CHECK int weft_loop_listen(weft_loop *loop, const char *address,
    const weft_loop_listen_opts *opts, weft_loop_accept_fn *fn, void *arg,
    weft_loop_listener **ret_listener);

/**
 * weft_loop_listen_fd - accept connections on a socket that listens already.
 * @loop:         loop.
 * @fd:           listening socket, made non-blocking; taken on success.
 * @fn, @arg:     as for weft_loop_listen.
 * @ret_listener: as for weft_loop_listen.
 *
 * For sockets that were handed down (systemd, a predecessor).
 *
 * Returns 0; -ENOMEM, -EINVAL it does not listen, -ENOTSOCK, -EBADF.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      as weft_loop_listen.
 * Since 0.1. See weft_loop_listen.
 */
WEFT_API WEFT_MUST_CHECK int weft_loop_listen_fd(
    weft_loop *loop, int fd, weft_loop_accept_fn *fn, void *arg, weft_loop_listener **ret_listener);

/**
 * weft_loop_listener_pause - accept no more for a while; the backlog fills.
 * @loop:     loop.
 * @listener: listener.
 *
 * Connections that the kernel had accepted already may still be delivered.
 *
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      at most one request.
 * Since 0.1. See weft_loop_listener_resume.
 */
WEFT_API void weft_loop_listener_pause(weft_loop *loop, weft_loop_listener *listener);

/**
 * weft_loop_listener_resume - accept again after weft_loop_listener_pause.
 * @loop:     loop.
 * @listener: listener; one that is not paused is left alone.
 *
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      at most one request.
 * Since 0.1. See weft_loop_listener_pause.
 */
WEFT_API void weft_loop_listener_resume(weft_loop *loop, weft_loop_listener *listener);

/**
 * weft_loop_listener_close - stop listening, close the socket and free the listener.
 * @loop:     loop.
 * @listener: listener, taken; NULL is ignored. No callback comes any more.
 *
 * A unix socket's file is removed. On io_uring the address is free for others at the end of this
 * turn.
 *
 * Blocks:    never.
 * Callable:  the loop's thread, also from the listener's own callback.
 * Order:     none.
 * Cost:      a few system calls.
 * Since 0.1. See weft_loop_listen.
 */
WEFT_API void weft_loop_listener_close(weft_loop *loop, weft_loop_listener *listener);

/**
 * weft_loop_listener_address - where a listener listens, with the port that it got.
 * @listener: listener.
 * @buf:      text, as "127.0.0.1:43211", "[::]:7000" or "unix:/path"; always ended by a zero byte.
 * @bytes:    size of @buf; 128 are enough.
 *
 * Returns the port (0 for a unix socket); -ENOSPC @buf was too short; else a negative errno.
 * Blocks:    never.
 * Callable:  the loop's thread.
 * Order:     none.
 * Cost:      one getsockname.
 * Since 0.1. See weft_loop_listen.
 */
WEFT_API int weft_loop_listener_address(
    const weft_loop_listener *listener, char *buf, size_t bytes);

/* Options of a dial; zero is the default of each. */
typedef struct weft_loop_dial_opts {
    size_t size;
    const char *source; /* numeric address (no port) to connect from, as "127.3.2.1" */
    bool nodelay;       /* TCP_NODELAY */
    int sndbuf_bytes;   /* SO_SNDBUF (0: the kernel's) */
    int rcvbuf_bytes;   /* SO_RCVBUF (0: the kernel's) */
} weft_loop_dial_opts;

/**
 * weft_loop_dial - begin to connect; no name is looked up.
 * @address: as for weft_loop_listen, but with a numeric host, or "localhost" for 127.0.0.1.
 * @opts:    options, or NULL; borrowed for the call.
 *
 * Add the fd with WEFT_LOOP_WRITE; in its first callback weft_loop_dial_result tells how it went.
 * (A unix socket is connected, or has failed, on return.)
 *
 * Returns the fd, owned: non-blocking, close-on-exec, connecting or connected.
 *   -EINVAL an address that cannot be read; -EADDRNOTAVAIL no source port is free; -EMFILE, ...;
 *   else what connect(2) failed with at once.
 * Blocks:    never.
 * Callable:  any thread.
 * Order:     none.
 * Cost:      two to six system calls.
 * Since 0.1. See weft_loop_dial_result.
 */
WEFT_API WEFT_MUST_CHECK int weft_loop_dial(const char *address, const weft_loop_dial_opts *opts);

/**
 * weft_loop_dial_result - how a dial ended, once its fd became writable.
 * @fd: from weft_loop_dial.
 *
 * Returns 0 connected; else a negative errno, as -ECONNREFUSED. (It reads and clears SO_ERROR.)
 * Blocks:    never.
 * Callable:  any thread.
 * Order:     none.
 * Cost:      one getsockopt.
 * Since 0.1. See weft_loop_dial.
 */
WEFT_API int weft_loop_dial_result(int fd);

WEFT_END_DECLS

#endif
