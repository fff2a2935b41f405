// SPDX-License-Identifier: Apache-2.0
/*
 * weft/base.h - what every other public header stands on: linkage, attributes, units of time.
 *
 * The headers below include/weft/ are ISO C11 and C++17: opaque types, plain functions, fixed-width
 * integers. A compiler that knows GNU attributes gets them, any other sees empty macros. Only
 * weft/sugar.h needs GNU C.
 *
 * Conventions of the whole interface:
 *
 *   time      int64_t nanoseconds. `timeout_ns` is a duration, `deadline_ns` a point on the
 *             monotonic clock. Write 250 * WEFT_MS. What 0, negative values and INT64_MAX mean
 *             stands with each function: time-outs of contexts, sleeps and selects are over at
 *             once when not positive, and INT64_MAX is never (a scope's option of 0 is no limit);
 *             options of servers and clients, and the waits of loops, take a negative time as no
 *             limit.
 *   errors    int or ssize_t: >= 0 good, a negative errno value bad. errno itself is never used
 *             for results: a fiber may resume on another thread, and compilers keep the address
 *             of the old thread's errno across the call.
 *   names     weft_noun_verb. new/free are heap objects, open/close kernel or scheduler
 *             resources, init/fini the caller's storage, ref/unref counted ones. Each free and
 *             fini takes NULL (to close a channel that is NULL is misuse).
 *   ret_x     out parameters; untouched when the call fails, unless the block says otherwise.
 *
 * What a program must know before it starts:
 *
 *   fork            the child of a fork has the calling fiber's thread and no workers: it may call
 *                   exec or _exit, and nothing of the interface. weft/process.h starts programs
 *                   without copying the address space.
 *   thread-locals   a fiber may move to another thread at any call that parks. Do not hold the
 *                   address of a thread-local variable (errno among them) across such a call.
 *   stacks          a fiber's stack is bounded and guarded. Compile with the flags of weft.pc
 *                   (-fstack-clash-protection), or a frame larger than the guard can jump it.
 *   signal handlers nothing of the interface may be called from one, except where a function's
 *                   own block says otherwise.
 */
#ifndef WEFT_BASE_H
#define WEFT_BASE_H

#include <stdint.h>

#ifdef __cplusplus
#define WEFT_BEGIN_DECLS extern "C" {
#define WEFT_END_DECLS }
#else
#define WEFT_BEGIN_DECLS
#define WEFT_END_DECLS
#endif

/* WEFT_API: the function is part of the shared library's interface (the rest is hidden).
 * WEFT_MUST_CHECK: ignoring the result is always a mistake.
 * WEFT_PRINTF(f, a): argument f is a printf format for the arguments from a on (0: a va_list).
 * WEFT_NORETURN, WEFT_NONNULL(...): as the attributes. */
#if defined(__GNUC__) || defined(__clang__)
#define WEFT_API __attribute__((visibility("default")))
#define WEFT_MUST_CHECK __attribute__((warn_unused_result))
#define WEFT_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define WEFT_NORETURN __attribute__((noreturn))
#define WEFT_NONNULL(...) __attribute__((nonnull(__VA_ARGS__)))
#else
#define WEFT_API
#define WEFT_MUST_CHECK
#define WEFT_PRINTF(f, a)
#define WEFT_NORETURN
#define WEFT_NONNULL(...)
#endif

/* Units of time: 250 * WEFT_MS is int64_t nanoseconds. */
#define WEFT_NS INT64_C(1)
#define WEFT_US (INT64_C(1000) * WEFT_NS)
#define WEFT_MS (INT64_C(1000) * WEFT_US)
#define WEFT_SEC (INT64_C(1000) * WEFT_MS)
#define WEFT_MIN (INT64_C(60) * WEFT_SEC)
#define WEFT_HOUR (INT64_C(60) * WEFT_MIN)

#endif
