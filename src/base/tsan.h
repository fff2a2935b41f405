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

#if defined(__SANITIZE_THREAD__)
#define WEFT__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WEFT__TSAN 1
#endif
#endif

#ifdef WEFT__TSAN
void __tsan_acquire(void *addr);
void __tsan_release(void *addr);
#define weft__tsan_acquire(p) __tsan_acquire((void *)(p))
#define weft__tsan_release(p) __tsan_release((void *)(p))
#else
#define weft__tsan_acquire(p) ((void)(p))
#define weft__tsan_release(p) ((void)(p))
#endif
#endif
