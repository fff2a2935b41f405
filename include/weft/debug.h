// SPDX-License-Identifier: Apache-2.0
/*
 * weft/debug.h - looking into a running program.
 *
 *     kill -QUIT PID                   every fiber and every pinned loop, with stacks, to standard
 *                                      error; the program goes on, or ends with status 2
 *     weft_debug_listen("127.0.0.1:6060")
 *       /debug/pprof/                  an index
 *       /debug/pprof/goroutine?debug=1 stacks of fibers and loops, equal ones counted (Go's format)
 *       /debug/pprof/goroutine?debug=2 every fiber: id, name, labels, state, reason, object, since
 *                                      when, stack, start; and every loop: id, name, what it does
 *                                      since when, back end, thread, listeners, sockets, timers,
 *                                      messages waiting, stack
 *       /debug/pprof/symbol            names for addresses, as pprof asks for them
 *       /metrics                       Prometheus text
 *
 *     go tool pprof -top http://127.0.0.1:6060/debug/pprof/goroutine
 *
 * The server runs on a thread of its own, so it answers when every worker is stuck. It shows
 * addresses, names and labels to whoever can connect: keep it on loopback. A program with an HTTP
 * server of its own can serve the pages there: weft_debug_page_init.
 *
 * None of this needs weft_run. A program of pinned loops alone asks for the signal itself
 * (weft_debug_signal); weft_run does so for its program.
 *
 * Signals: SIGQUIT is taken unless the program has a handler of its own, or WEFT_SIGQUIT=0 is in
 * the environment. The stack of a loop is had by SIGURG to its thread, unless the program has a
 * handler of its own for that: a system call of a callback may then end with EINTR where SA_RESTART
 * does not help (a sleep, a poll).
 */
#ifndef WEFT_DEBUG_H
#define WEFT_DEBUG_H
#include <weft/base.h>

#include <stddef.h>
#include <stdint.h>

WEFT_BEGIN_DECLS

/* What a program does once SIGQUIT's dump is written. */
enum weft_debug_then {
    WEFT_DEBUG_GO_ON = 0, /* nothing */
    WEFT_DEBUG_EXIT = 1,  /* _exit(2), as a Go program does */
};

/**
 * weft_debug_signal - take SIGQUIT: it writes every fiber and every pinned loop to standard error.
 * @then: whether the program goes on afterwards; a later call changes it.
 *
 * weft_run takes the signal too, to go on, if it was not taken before; so call this before it, or
 * at any time, to end with the dump.
 * Returns 0; -EBUSY the program has a handler of its own, or WEFT_SIGQUIT=0 forbids it; -EAGAIN no
 *   thread could be made; -EMFILE, -ENFILE, -EINVAL.
 * Blocks:    no.
 * Callable:  anywhere but signal handlers; weft_run need not be under way.
 * Cost:      one sleeping thread, once.
 * Since 0.1. See weft_dump, weft_debug_listen.
 */
WEFT_API int weft_debug_signal(enum weft_debug_then then);

/**
 * weft_debug_listen - serve the debug pages.
 * @address: "host:port"; port 0: a free one (see weft_debug_address); borrowed.
 *
 * Returns 0; -EADDRINUSE, -EINVAL, -EALREADY it listens already, -EAGAIN no thread could be made.
 * Blocks:    to resolve a host name; numeric addresses do not.
 * Callable:  anywhere, also before weft_run or without it. Once a process.
 * Cost:      one sleeping thread.
 * Since 0.1. See weft_dump, weft_debug_page_init.
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

/* One of the debug pages. */
typedef struct weft_debug_page {
    int status;       /* of HTTP: 200 or 404 */
    const char *type; /* Content-Type */
    char *text;       /* ends with a NUL that is not counted */
    size_t bytes;
} weft_debug_page;

/**
 * weft_debug_page_init - make a debug page, for a program that serves them itself.
 * @ret_page: receives the page; end it with weft_debug_page_fini.
 * @path:     what follows /debug/pprof: "" or "/" (the index, whose links are relative and need the
 *            slash), "/goroutine", "/symbol"; borrowed.
 * @query:    what follows the '?' ("debug=2"), or the body of a POST; NULL: nothing; borrowed.
 *
 * Returns 0, also with a page that says 404; -ENOMEM.
 * Blocks:    the thread, for as long as it takes to look at every stack and to find the names: do
 *            not call it on a loop's thread or a busy worker, but on a thread made for it.
 * Callable:  anywhere but signal handlers.
 * Cost:      as weft_dump.
 * Since 0.1. See weft_debug_listen.
 */
WEFT_API WEFT_MUST_CHECK int weft_debug_page_init(
    weft_debug_page *ret_page, const char *path, const char *query);

/**
 * weft_debug_page_fini - give a page's text back.
 * @page: page; NULL is fine.
 *
 * Blocks:    no.
 * Callable:  anywhere but signal handlers.
 * Since 0.1. See weft_debug_page_init.
 */
WEFT_API void weft_debug_page_fini(weft_debug_page *page);

/**
 * weft_dump - write every fiber and every pinned loop, with stacks, to a descriptor.
 * @fd: where; borrowed. A blocking write.
 *
 * Blocks:    the thread, while it writes (use a file or standard error).
 * Callable:  anywhere but signal handlers.
 * Cost:      a few microseconds a fiber or loop, a fifth of a second for a loop that does not
 *            answer, milliseconds once for the symbols.
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
    uint64_t poll_ns;      /* that the looks into the poller took; sleeping in it is not in it */
    uint64_t cold_stacks;  /* put away now (cold_ns of weft_run_opts) */
    uint64_t cold_bytes;   /* of memory that holds them */
    uint64_t cold_frozen;  /* put away ever, since the process began */
    uint64_t cold_thawed;  /* of those, come back */
} weft_stats;

/**
 * weft_stats_read - read the runtime's counters.
 * @ret: filled; size set by the caller.
 *
 * Counters are read without stopping anybody: each is right, together they are a moment apart.
 * A program compiled when the structure was shorter gets the fields that it knows.
 * Blocks:    no.
 * Callable:  any fiber; a plain thread too.
 * Cost:      some 600 instructions and two locks, no system call: cheap enough for each second, or
 *            each millisecond.
 * Since 0.1. See /metrics, docs/performance.md.
 */
WEFT_API void weft_stats_read(weft_stats *ret);

WEFT_END_DECLS
#endif
