// SPDX-License-Identifier: Apache-2.0
/*
 * tsan.h - happens-before edges that ThreadSanitizer cannot see by itself.
 *
 * The runtime hands values from fiber to fiber by its own locks and queues. In a build under TSan
 * each hand-over is marked: release at the giving side, acquire at the taking side, with the same
 * address. In any other build these are nothing.
 */
#ifndef WEFT_BASE_TSAN_H
#define WEFT_BASE_TSAN_H

#ifdef WEFT_TSAN_FIBERS
#define WEFT__TSAN 1
#endif

#ifdef WEFT__TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define weft__tsan_acquire(p) __tsan_acquire((void *)(p))
#define weft__tsan_release(p) __tsan_release((void *)(p))
/* Inside the runtime nothing is recorded: its memory is ordered by locks that TSan does not see,
 * and memcpy and its like are intercepted even in code that is not instrumented. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
static inline void weft__tsan_quiet(void)
{
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
}
static inline void weft__tsan_loud(void)
{
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
}
#define WEFT__TSAN_FREE __attribute__((disable_sanitizer_instrumentation, noinline, unused))
#else
#define weft__tsan_acquire(p) ((void)(p))
#define weft__tsan_release(p) ((void)(p))
#define weft__tsan_quiet() ((void)0)
#define weft__tsan_loud() ((void)0)
#define WEFT__TSAN_FREE
#endif
#endif
