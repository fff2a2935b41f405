// SPDX-License-Identifier: Apache-2.0
/*
 * weft/run.h - starting the runtime, and what an embedder may put under it.
 *
 * A program hands its first function to weft_main (a program of its own) or weft_run (a part of a
 * larger one). The function runs as a fiber under the root context; when it returns the root
 * context is cancelled, the other fibers get a limited time to end, and the call returns.
 *
 *     int main(void) { return weft_main(app, NULL); }
 *
 * A library inside a program that has a main loop of its own starts the runtime beside it instead
 * (weft_start, weft_stop); docs/design/embedding.md has the whole picture.
 *
 * One runtime a process at a time. It may be started again after it has ended.
 *
 * Each option but preempt_signal can be overridden from the environment, so that a deployed program
 * can be tried with other numbers: WEFT_WORKERS, WEFT_MAX_FIBERS, WEFT_MAX_THREADS,
 * WEFT_STACK_BYTES, WEFT_DRAIN (such as "2s", "500ms"), WEFT_PREEMPT (0 or 1), WEFT_COLD (a time as
 * well; 0 needs no unit). Sizes take K, M and G. A value that cannot be read is an error (-EINVAL,
 * and a sentence to the log), never silently ignored. docs/options.md has all options and
 * variables.
 */
#ifndef WEFT_RUN_H
#define WEFT_RUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Options of weft_run. Zero is the default of each; size is sizeof(weft_run_opts), so it can grow.
 */
typedef struct weft_run_opts {
    size_t size;
    unsigned workers;     /* fibers that run at once; 0: the cores of the container's quota */
    unsigned max_fibers;  /* weft_go fails with -EAGAIN beyond; 0: 16 Mi */
    unsigned max_threads; /* OS threads of the runtime; 0: 512 */
    size_t stack_bytes;   /* of a fiber that asks for nothing else; 0: 256 KiB, virtual */
    int64_t drain_ns;     /* how long fibers may go on once the first function returned; 0: 10 s */
    bool no_preempt;      /* leave fibers alone that burn the CPU: no signals are sent */
    int preempt_signal;   /* 0: SIGURG */
    /* The stack of a fiber that has been parked for so long is put away until somebody touches it:
     * a page less for each, against some 10 us at the touch. 0: never. Wants Linux 6.8, and
     * userfaultfd with the kernel's own faults (CAP_SYS_PTRACE, vm.unprivileged_userfaultfd=1, or
     * access to /dev/userfaultfd); where that cannot be had, weft_run fails. */
    int64_t cold_ns;
} weft_run_opts;

/**
 * weft_run - run a function as the first fiber, with the calling thread as one of the runtime's.
 * @app:        the function; its context is the root context.
 * @arg:        passed on to it.
 * @opts:       options, or NULL for the defaults; borrowed for the call.
 * @ret_result: what app returned; may be NULL.
 *
 * When app has returned, the root context is cancelled and the remaining fibers drain within
 * drain_ns. Those that are still there then are named in the log and never run again: one that
 * computes or blocks stops at its next call of the library. (If it does so on the calling thread,
 * the return waits for that.) What they held stays held: no later run should need their locks, nor
 * one that a fiber left over had just been woken for.
 *
 * Returns 0 once app has returned and all fibers have ended.
 *   -ETIMEDOUT the same, but fibers were left over (*ret_result is set). -EBUSY a runtime runs
 *   already; -EDEADLK called on a fiber; -EINVAL app is NULL, or an option or its environment
 *   variable makes no sense; -ENOMEM, -EAGAIN threads or stacks could not be made; -EMFILE,
 *   -ENFILE no descriptor for its poller; -ENOTSUP the kernel's pages are not of 4 KiB (some
 *   kernels for aarch64). -EPERM, -ENOSYS, -ENOTSUP cold_ns is set, and the kernel does not let us,
 *   or cannot (told in the log). In these cases app did not run.
 * Blocks:    the calling thread, until the runtime has ended.
 * Callable:  a plain thread, not on a fiber. Again, once it has returned.
 * Order:     everything before the call happens-before app; app's end happens-before the return.
 * Cost:      a thread a worker, and the monitor.
 * Since 0.1. See weft_main, weft_go, examples/guide_scopes.c.
 */
WEFT_API int weft_run(int (*app)(void *), void *arg, const weft_run_opts *opts, int *ret_result);

/**
 * weft_main - run a program: weft_run for main functions.
 * @app: the program's first fiber.
 * @arg: passed on to it.
 *
 * Returns an exit status: 0 if app's result is not negative, else 1 after the error was printed
 *   on standard error as "PROGRAM: text" (with the chain of causes, where app returned by
 *   weft_fail). Also 1 if the runtime could not run, or fibers were left over.
 * Blocks:    the calling thread, until the runtime has ended.
 * Callable:  a plain thread, not on a fiber.
 * Order:     as weft_run.
 * Since 0.1. See weft_run.
 */
WEFT_API int weft_main(int (*app)(void *), void *arg);

/**
 * weft_start - start the runtime beside the program, on threads of its own.
 * @opts: options, or NULL for the defaults; borrowed for the call. Those of the first start count.
 *
 * For libraries in a host program: the calling thread stays the host's. Fibers are then started by
 * weft_go from any thread; they are under the root context, and tell the host what they did by
 * weft_loop_post or weft_loop_call to a loop that the host turns, or by channels.
 *
 * Starts are counted: whoever started calls weft_stop once, and the last one ends the runtime. So
 * several libraries share one without knowing of each other. Its threads block all signals but
 * those of faults and the runtime's own: the host's are for the host's threads. (So raise(3) on a
 * fiber raises nothing there; kill(2) does.)
 *
 * Returns 0: the runtime runs.
 *   -EBUSY weft_run runs it: use that one, and call no weft_stop; -ESHUTDOWN called on a fiber of
 *   one that is just ending; else as weft_run, and then nothing was started.
 * Blocks:    the thread, until the first fiber has run: about a millisecond; while another thread
 *            is in weft_stop, until that has ended.
 * Callable:  any fiber or plain thread.
 * Order:     everything before the call happens-before each fiber.
 * Cost:      as weft_run, and a thread; an atomic addition if it runs already.
 * Since 0.1. See weft_stop, weft_run, weft_loop_call, examples/host_libuv.c.
 */
WEFT_API WEFT_MUST_CHECK int weft_start(const weft_run_opts *opts);

/**
 * weft_stop - give up what weft_start gave; the last one ends the runtime.
 *
 * Ends it as the return of weft_run's function does: the root context is cancelled, and the fibers
 * drain within drain_ns.
 *
 * Returns 0.
 *   -ETIMEDOUT it has ended, and fibers were left over; -EINVAL nothing was started; -EDEADLK on a
 *   fiber, which cannot wait for its own end: it is not given up.
 * Blocks:    the thread, until the runtime has ended, if it was the last. A host's loop does not
 *            turn meanwhile: fibers that wait in weft_loop_call for it hold the end up.
 * Callable:  a plain thread; a fiber, if another start is left.
 * Order:     the end of each fiber happens-before the return.
 * Since 0.1. See weft_start.
 */
WEFT_API int weft_stop(void);

/**
 * weft_running - is there a runtime at present?
 *
 * Returns true from shortly before the first function starts until weft_run is about to return.
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. See weft_run.
 */
WEFT_API bool weft_running(void);

/**
 * weft_cpus - how many processors this process may really use.
 *
 * The calling thread's affinity mask, or the container's quota (cgroup v2's cpu.max of its group
 * and of each above it, or v1's) rounded up, whichever is less. So many workers does weft_run
 * start; a program that has pinned loops of its own (weft_loop_new) wants as many of those.
 *
 * Returns 1 or more, counted anew at each call.
 * Blocks:    for some file reads below /sys and /proc.
 * Callable:  any fiber, any thread, before the runtime starts too. Not in signal handlers.
 * Cost:      some system calls: not for hot paths.
 * Since 0.1. See weft_run, weft_loop_new.
 */
WEFT_API unsigned weft_cpus(void);

/* How bad it is. */
enum weft_log_level { WEFT_LOG_ERROR = 0, WEFT_LOG_WARNING = 1, WEFT_LOG_NOTE = 2 };

/* Receives one line without newline; text is borrowed for the call. May be called on any thread or
 * fiber, from several at once; must not wait for long. */
typedef void (*weft_log_fn)(void *arg, int level, const char *text);

/**
 * weft_set_log - where the library's own few sentences go.
 * @fn:  called with each; NULL: standard error again.
 * @arg: passed on to it.
 *
 * The library speaks only of what nobody asked for and an operator should know: wrong environment
 * variables, fibers left over, a panic that ended only its fiber. Errors are returned, not logged.
 *
 * Blocks:    never.
 * Callable:  before the runtime starts, or after it has ended.
 * Since 0.1. See enum weft_log_level.
 */
WEFT_API void weft_set_log(weft_log_fn fn, void *arg);

/* An embedder's allocator: all three like malloc, realloc and free, callable from any thread. size
 * is sizeof(weft_allocator). */
typedef struct weft_allocator {
    size_t size;
    void *(*alloc)(void *arg, size_t bytes);
    void *(*resize)(void *arg, void *p, size_t bytes);
    void (*release)(void *arg, void *p);
    void *arg;
} weft_allocator;

/**
 * weft_set_allocator - take the library's heap memory from another allocator.
 * @a: the functions; copied.
 *
 * Stacks do not come from it: they are mapped.
 *
 * Returns 0; -EINVAL a function is missing or size is wrong; -EBUSY the library has allocated
 *   already.
 * Blocks:    never.
 * Callable:  once, before any other call of the library.
 * Since 0.1. See weft_run.
 */
WEFT_API int weft_set_allocator(const weft_allocator *a);

WEFT_END_DECLS
#endif
