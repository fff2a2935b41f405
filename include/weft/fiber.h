// SPDX-License-Identifier: Apache-2.0
/*
 * weft/fiber.h - fibers: start them, let others run, sleep, name them.
 *
 * A fiber is a thread of control of a few kilobytes. Its entry is an int (*)(void *); a negative
 * result is an error, which the fiber's scope collects. A fiber is started into a scope
 * (weft/scope.h), which joins it, or detached (NULL), as Go's `go` statement does. Either way it
 * inherits a context: the scope's, or its starter's.
 *
 * Fibers wait by parking: the OS thread goes on with another fiber. Any C code may run on a fiber;
 * code that blocks the thread for long is found and worked around, and weft_blocking_begin/end says
 * so beforehand, which is cheaper.
 */
#ifndef WEFT_FIBER_H
#define WEFT_FIBER_H

#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_scope weft_scope;

/* A label: a key and a value that dumps and profiles show. Copied; inherited by the fibers started
 * from here. */
typedef struct weft_fiber_label {
    const char *key, *value;
} weft_fiber_label;

/* Options of weft_go_opt. Zero is the default of each; size is sizeof(weft_fiber_opts), so it can
 * grow. */
typedef struct weft_fiber_opts {
    size_t size;
    const char *name;               /* copied, cut at 63 bytes; NULL: none */
    size_t stack_bytes;             /* 0: weft_run's */
    const weft_fiber_label *labels; /* label_count of them, beside the inherited ones */
    size_t label_count;
    const void *value;  /* if set: value_bytes from here are copied into the fiber, and its */
    size_t value_bytes; /* argument points at the copy (arg is ignored) */
    size_t value_align; /* 0: 16 */
    void *spawn_site;   /* shown by dumps; NULL: the caller of weft_go_opt */
} weft_fiber_opts;

/**
 * weft_go - start a fiber.
 * @scope: the scope that joins it, or NULL: detached.
 * @fn:    its entry.
 * @arg:   passed on to fn as it is, as pthread_create does; weft_go_copy copies a value instead.
 *
 * The new fiber runs next on this worker, or on another that is idle.
 *
 * Returns 0 once the fiber is runnable.
 *   -EAGAIN the limit of fibers is reached; -ENOMEM no stack; -ESHUTDOWN no runtime runs, or
 *   (plain threads) its first function has returned. In
 *   these cases fn will not run. With a scope the failure is an error of the scope as well.
 * Blocks:    never; but when this worker's queue is full (256 fibers), some of them run first,
 *   so that a burst of starts reuses warm stacks.
 * Callable:  any fiber; a plain thread too while the runtime runs. Not from signal handlers.
 * Order:     everything before the call happens-before fn; fn's return happens-before weft_wait
 *            of its scope.
 * Cost:      one lock of the scope (the context, if detached), no allocation on a warm stack.
 * Since 0.1. Source: Go spec, "Go statements". See weft_go_opt, weft_wait, examples/guide_scopes.c.
 */
WEFT_API int weft_go(weft_scope *scope, int (*fn)(void *), void *arg);

/**
 * weft_go_opt - start a fiber with a name, labels, its own stack size, or a copied value.
 * @scope: as weft_go.
 * @fn:    as weft_go.
 * @arg:   as weft_go; ignored if the options have a value.
 * @opts:  options; borrowed for the call.
 *
 * Returns as weft_go; also -EINVAL: opts' size is wrong, or value_align makes no sense; -E2BIG:
 *   the value does not fit the stack; -ENOSPC: the labels are too long (see weft_label).
 * Blocks:    never.
 * Callable:  as weft_go.
 * Order:     as weft_go.
 * Cost:      as weft_go; a name or labels cost a record of 512 bytes.
 * Since 0.1. See weft_go.
 */
WEFT_API int weft_go_opt(
    weft_scope *scope, int (*fn)(void *), void *arg, const weft_fiber_opts *opts);

/**
 * weft_go_value - start a fiber whose argument is its own copy of a value.
 * @scope: as weft_go.
 * @fn:    entry; its argument points at the copy, which lives as long as the fiber.
 * @value: bytes bytes, copied before the call returns.
 * @bytes: size of the value.
 * @align: its alignment, a power of two up to 64.
 *
 * The function beneath the macro weft_go_copy. There is no allocation: the copy lies on the fiber's
 * stack.
 *
 * Returns as weft_go; also -E2BIG: the value does not fit the stack; -EINVAL: align is no
 *   power of two.
 * Blocks:    never.
 * Callable:  as weft_go.
 * Order:     as weft_go.
 * Cost:      as weft_go, and the copy.
 * Since 0.1. See weft_go_copy in weft/sugar.h.
 */
WEFT_API int weft_go_value(
    weft_scope *scope, int (*fn)(void *), const void *value, size_t bytes, size_t align);

/**
 * weft_exit - end the current fiber here.
 * @result: as if its entry had returned it.
 *
 * The registered defers run and the open scopes are joined, innermost first. No weft_try stops it.
 * On the runtime's first fiber it is the end of the program's function.
 *
 * Returns never.
 * Blocks:    where a defer or a scope's join does.
 * Callable:  a fiber only: on a plain thread it is misuse.
 * Since 0.1. Source: Go's runtime.Goexit. See weft_panic, weft_defer_push.
 */
WEFT_API WEFT_NORETURN void weft_exit(int result);

/**
 * weft_yield - let the other runnable fibers run first.
 *
 * Blocks:    no; the fiber goes to the end of its worker's queue. Not a cancellation point.
 * Callable:  any fiber; on a plain thread it is sched_yield.
 * Cost:      one switch there and back.
 * Since 0.1. Source: Go's runtime.Gosched. See weft_sleep.
 */
WEFT_API void weft_yield(void);

/**
 * weft_sleep - sleep for at least a duration.
 * @duration_ns: 0 or less: does not sleep. INT64_MAX: until the context ends.
 *
 * Returns 0 when the time is over.
 *   -ECANCELED / -ETIMEDOUT the fiber's context ended: at once, if it had before the call.
 * Blocks:    parks the fiber, never the thread. Cancellation point.
 * Callable:  any fiber; a plain thread too. Not from signal handlers.
 * Order:     none.
 * Cost:      one timer, no allocation.
 * Since 0.1. Source: Go's time.Sleep. See weft_sleep_until, weft_after.
 */
WEFT_API int weft_sleep(int64_t duration_ns);

/**
 * weft_sleep_until - sleep until a point in time.
 * @deadline_ns: on the monotonic clock, as weft_now tells it.
 *
 * Returns as weft_sleep.
 * Blocks:    parks the fiber, never the thread. Cancellation point.
 * Callable:  as weft_sleep.
 * Order:     none.
 * Cost:      as weft_sleep.
 * Since 0.1. See weft_now.
 */
WEFT_API int weft_sleep_until(int64_t deadline_ns);

/**
 * weft_now - the clock that deadlines are on.
 *
 * Returns nanoseconds of CLOCK_MONOTONIC.
 * Blocks:    never.
 * Callable:  anywhere, in signal handlers too.
 * Cost:      a clock_gettime.
 * Since 0.1. See weft_ctx_with_deadline.
 */
WEFT_API int64_t weft_now(void);

/**
 * weft_self - who runs here?
 *
 * Returns the current fiber's id, never used twice in a process; 0 on a plain thread.
 * Blocks:    never.
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Cost:      two loads.
 * Since 0.1. See weft_set_name.
 */
WEFT_API uint64_t weft_self(void);

/**
 * weft_blocking_begin - a call that may block the OS thread for long follows.
 *
 * The other fibers of this worker go on elsewhere meanwhile. Between begin and end no function of
 * the library may be called.
 *
 * Blocks:    never.
 * Callable:  any fiber; nothing happens on a plain thread. Not twice without an end between.
 * Cost:      a few stores; the worker is handed on only if the call takes long.
 * Since 0.1. See weft_blocking_end.
 */
WEFT_API void weft_blocking_begin(void);

/**
 * weft_blocking_end - the call is over.
 *
 * Blocks:    until a worker is free, if this one's was taken.
 * Callable:  the fiber that called weft_blocking_begin.
 * Cost:      a few stores where the worker is still there.
 * Since 0.1. See weft_blocking_begin.
 */
WEFT_API void weft_blocking_end(void);

/**
 * weft_set_name - name the current fiber, for dumps and messages.
 * @name: copied, cut at 63 bytes; NULL takes the name away.
 *
 * Returns 0; -ENOMEM.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      a record of 512 bytes at the first time.
 * Since 0.1. See weft_label, weft_name.
 */
WEFT_API int weft_set_name(const char *name);

/**
 * weft_name - the current fiber's name.
 * @buf:   where to; bytes bytes, always terminated unless bytes is 0.
 * @bytes: its size; 64 are enough.
 *
 * Returns the name's length, 0 for a fiber without one.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_set_name.
 */
WEFT_API size_t weft_name(char *buf, size_t bytes);

/**
 * weft_label - put a label on the current fiber: dumps, profiles and traces can be filtered by it.
 * @key:   not empty, without '='; copied. A label with this key is replaced.
 * @value: copied; NULL takes the label away.
 *
 * Fibers started from here on inherit the labels.
 *
 * Returns 0; -EINVAL a bad key; -ENOSPC all labels of a fiber together are over 400 bytes; -ENOMEM.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's pprof.SetGoroutineLabels. See weft_set_name.
 */
WEFT_API int weft_label(const char *key, const char *value);

WEFT_END_DECLS
#endif
