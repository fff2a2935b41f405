// SPDX-License-Identifier: Apache-2.0
/*
 * weft/debug.h - looking into a running program.
 *
 *     kill -QUIT PID                   every fiber with its stack, to standard error; the program
 *                                      goes on
 *     weft_debug_listen("127.0.0.1:6060")
 *       /debug/pprof/                  an index
 *       /debug/pprof/goroutine?debug=1 fibers grouped by stack, with counts (Go's format)
 *       /debug/pprof/goroutine?debug=2 every fiber: id, name, labels, state, reason, object, since
 *       when, stack, start
 *       /metrics                       Prometheus text
 *
 * The server runs on a thread of its own, so it answers when every worker is stuck. It shows
 * addresses, names and labels to whoever can connect: keep it on loopback.
 *
 * Signals: SIGQUIT is taken at weft_run unless the program has a handler of its own, or
 * WEFT_SIGQUIT=0 is in the environment.
 */
#ifndef WEFT_DEBUG_H
#define WEFT_DEBUG_H
#include <weft/base.h>

#include <stddef.h>
#include <stdint.h>

WEFT_BEGIN_DECLS

/**
 * weft_debug_listen - serve the debug pages.
 * @address: "host:port"; port 0: a free one (see weft_debug_address); borrowed.
 *
 * Returns 0; -EADDRINUSE, -EINVAL, -EALREADY it listens already, -EAGAIN no thread could be made.
 * Blocks:    to resolve a host name; numeric addresses do not.
 * Callable:  anywhere, also before weft_run. Once a process.
 * Cost:      one sleeping thread.
 * Since 0.1. See weft_dump.
 */
WEFT_API WEFT_MUST_CHECK int weft_debug_listen(const char *address);

/**
 * weft_debug_address - where the debug pages are.
 * @buf:   receives "host:port".
 * @bytes: room in buf; 64 is enough.
 *
 * Returns the text's length; -ENOTCONN weft_debug_listen was not called; -ENOSPC.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_debug_listen.
 */
WEFT_API int weft_debug_address(char *buf, size_t bytes);

/**
 * weft_dump - write every fiber with its stack to a descriptor.
 * @fd: where; borrowed. A blocking write.
 *
 * Blocks:    the thread, while it writes (use a file or standard error).
 * Callable:  anywhere but signal handlers.
 * Cost:      a few microseconds a fiber, milliseconds once for the symbols.
 * Since 0.1. See weft_debug_listen.
 */
WEFT_API void weft_dump(int fd);

/* What the runtime counts. size is sizeof(weft_stats), set by the caller. */
typedef struct weft_stats {
    size_t size;
    uint64_t fibers;       /* live now */
    uint64_t spawned;      /* ever in this run */
    uint64_t switches;     /* from fiber to fiber */
    uint64_t parks;        /* waits that really waited */
    uint64_t steals;       /* taken from another worker's queue */
    uint64_t wakeups;      /* times another worker was woken for surplus work */
    uint64_t preemptions;  /* fibers stopped because they burned the CPU */
    uint64_t retakes;      /* workers taken from threads blocked in a system call */
    uint64_t polls;        /* looks into the poller by busy workers */
    uint64_t stack_bytes;  /* virtual memory of stacks in use or kept hot */
    uint32_t workers;      /* fibers that can run at once */
    uint32_t threads;      /* OS threads that drive workers or could */
    uint32_t threads_idle; /* of those, asleep */
} weft_stats;

/**
 * weft_stats_read - read the runtime's counters.
 * @ret: filled; size set by the caller.
 *
 * Counters are read without stopping anybody: each is right, together they are a moment apart.
 * Blocks:    no.
 * Callable:  any fiber; a plain thread too.
 * Cost:      under a microsecond a worker.
 * Since 0.1. See /metrics.
 */
WEFT_API void weft_stats_read(weft_stats *ret);

WEFT_END_DECLS
#endif
