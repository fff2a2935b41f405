// SPDX-License-Identifier: Apache-2.0
/*
 * seam.h - where the library ends and the machine begins: the five seams, and the typed calls of
 * the I/O seam.
 *
 * Everything that the library learns of the world, and every wait, passes one of five narrow
 * places, so that a simulator (virtual time, seeded order, a network with faults) can be put under
 * it by changing these and nothing else:
 *
 *      clock     weft__clock_ns, weft__wall_s              base/futex.h
 *      random    weft__rand_seed: all streams start there  base/rand.h; what must be
                unpredictable asks weft__syscall (getrandom)
 *      park      weft__futex_wait, weft__futex_wake        base/futex.h
 *      I/O       weft__syscall                             base/futex.h; weft__uring_*, io/uring.h
 *      atomics   at_*                                      base/atomic.h
 *
 * THE I/O SEAM is one function, weft__syscall: the kernel's answer as it is, negative errno, with
 * errno itself untouched (a fiber may go on on another thread, whose errno that would be). What
 * stands below are the calls of this room with their types, inline, so a call here is that one call
 * and no more; libc's would be one call through the linker's table, and a look at the thread's
 * cancellation.
 *
 * What passes it: all that io and net do with descriptors: sockets (socket.c, poller.c, net/), the
 * pinned loops on both back ends (loop*.c), eventfds, epoll, files by pool and by ring, socket
 * files of listeners. Rings pass by uring.h, one storey higher, which says why.
 *
 * What does not, on purpose:
 *      getaddrinfo        resolve.c, loop_addr.c. libc's own files and sockets; a simulator answers
 *                         names before it comes to that (literal addresses never do).
 *      mmap and its like  stacks, records, rings. Memory is no event: nobody waits for it.
 *      pthread_create     and joining. A simulator makes its own threads, or none.
 *      the monitor's clock_gettime on another thread's CPU clock, its signals, and what reads
 *                         /proc and cgroups at start (base/cpus.c): they serve real threads only.
 *      src/diag           dumps, SIGQUIT, the debug server. They must answer when the runtime does
 *                         not, simulated or not, so they are plain threads with plain calls.
 *      liburing's writes to a ring's memory (io_uring_prep_* and the like).
 *
 * tools/tidy (rule seam) keeps it so: it knows the calls by name, and these exceptions.
 *
 * ThreadSanitizer sees no order in raw calls, as it does in libc's. Inside the library order comes
 * from its own queues and locks; who orders memory by bytes through a socket must say so.
 *
 * Concurrency: any thread, any fiber; nothing is shared.
 */
#ifndef WEFT_IO_SEAM_H
#define WEFT_IO_SEAM_H
#include <fcntl.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <time.h>

#include "base/futex.h"

/* ---- descriptors ---- */

static inline int weft__sys_close(int fd)
{
    return (int)weft__syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static inline ssize_t weft__sys_write(int fd, const void *data, size_t bytes)
{
    return weft__syscall(SYS_write, fd, (long)data, (long)bytes, 0, 0, 0);
}

static inline int weft__sys_fcntl(int fd, int command, long arg)
{
    return (int)weft__syscall(SYS_fcntl, fd, command, arg, 0, 0, 0);
}

static inline int weft__sys_eventfd(unsigned value, int flags)
{
    return (int)weft__syscall(SYS_eventfd2, value, flags, 0, 0, 0, 0);
}

/* ---- sockets ---- */

static inline int weft__sys_socket(int family, int type)
{
    return (int)weft__syscall(SYS_socket, family, type, 0, 0, 0, 0);
}

static inline int weft__sys_bind(int fd, const void *addr, socklen_t len)
{
    return (int)weft__syscall(SYS_bind, fd, (long)addr, len, 0, 0, 0);
}

static inline int weft__sys_listen(int fd, int backlog)
{
    return (int)weft__syscall(SYS_listen, fd, backlog, 0, 0, 0, 0);
}

static inline int weft__sys_connect(int fd, const void *addr, socklen_t len)
{
    return (int)weft__syscall(SYS_connect, fd, (long)addr, len, 0, 0, 0);
}

static inline int weft__sys_accept(int fd, int flags)
{
    return (int)weft__syscall(SYS_accept4, fd, 0, 0, flags, 0, 0);
}

static inline ssize_t weft__sys_recv(int fd, void *buf, size_t bytes, int flags)
{
    return weft__syscall(SYS_recvfrom, fd, (long)buf, (long)bytes, flags, 0, 0);
}

static inline ssize_t weft__sys_send(int fd, const void *data, size_t bytes, int flags)
{
    return weft__syscall(SYS_sendto, fd, (long)data, (long)bytes, flags, 0, 0);
}

static inline ssize_t weft__sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return weft__syscall(SYS_sendmsg, fd, (long)msg, flags, 0, 0, 0);
}

static inline int weft__sys_getsockname(int fd, void *addr, socklen_t *len)
{
    return (int)weft__syscall(SYS_getsockname, fd, (long)addr, (long)len, 0, 0, 0);
}

static inline int weft__sys_getsockopt(int fd, int level, int name, void *value, socklen_t *len)
{
    return (int)weft__syscall(SYS_getsockopt, fd, level, name, (long)value, (long)len, 0);
}

static inline int weft__sys_setsockopt(
    int fd, int level, int name, const void *value, socklen_t len)
{
    return (int)weft__syscall(SYS_setsockopt, fd, level, name, (long)value, len, 0);
}

static inline int weft__sys_set_int(int fd, int level, int name, int value)
{
    return weft__sys_setsockopt(fd, level, name, &value, sizeof value);
}

/* ---- epoll ---- */

static inline int weft__sys_epoll_create(void)
{
    return (int)weft__syscall(SYS_epoll_create1, EPOLL_CLOEXEC, 0, 0, 0, 0, 0);
}

static inline int weft__sys_epoll_ctl(int epoll_fd, int op, int fd, struct epoll_event *ev)
{
    return (int)weft__syscall(SYS_epoll_ctl, epoll_fd, op, fd, (long)ev, 0, 0);
}

/** In milliseconds: for kernels without the next one, and for -1 and 0. */
static inline int weft__sys_epoll_wait_ms(int epoll_fd, struct epoll_event *ev, int max, int ms)
{
    return (int)weft__syscall(SYS_epoll_pwait, epoll_fd, (long)ev, max, ms, 0, 0);
}

/** -ENOSYS before Linux 5.11. */
static inline int weft__sys_epoll_wait(
    int epoll_fd, struct epoll_event *ev, int max, const struct timespec *ts)
{
    return (int)weft__syscall(SYS_epoll_pwait2, epoll_fd, (long)ev, max, (long)ts, 0, 0);
}

/* ---- names of files ---- */

static inline int weft__sys_unlink(const char *path)
{
    return (int)weft__syscall(SYS_unlinkat, AT_FDCWD, (long)path, 0, 0, 0, 0);
}

static inline int weft__sys_chmod(const char *path, mode_t mode)
{
    return (int)weft__syscall(SYS_fchmodat, AT_FDCWD, (long)path, mode, 0, 0, 0);
}

static inline int weft__sys_stat(const char *path, struct stat *ret_stat)
{
    return (int)weft__syscall(SYS_newfstatat, AT_FDCWD, (long)path, (long)ret_stat, 0, 0, 0);
}

/* ---- threads ---- */

static inline void weft__sys_yield(void)
{
    weft__syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}
#endif
