// SPDX-License-Identifier: Apache-2.0
/*
 * sanitize.h - telling AddressSanitizer and ThreadSanitizer about fibers; nothing at all in other
 * builds.
 *
 * TSan: a fiber is a TSan fiber, switched with flag 1 (no synchronisation by the switch itself,
 * else every race on one worker is hidden); happens-before edges are stated by the primitives
 * (base/tsan.h). The scheduler itself is compiled without instrumentation in that build. ASan:
 * start/finish around each switch, shadow of a reused stack cleared.
 */
#ifndef WEFT_SCHED_SANITIZE_H
#define WEFT_SCHED_SANITIZE_H

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define WEFT__ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__)
#define WEFT__ASAN 1
#endif
#if defined(WEFT_TSAN_FIBERS) && !defined(WEFT__TSAN)
#define WEFT__TSAN 1
#endif

struct weft__fiber;
struct weft__mach;

#if defined(WEFT__ASAN) || defined(WEFT__TSAN)
/** Before the switch: `from` leaves for `to`; dying: from never comes back. */
void weft__sanitize_leave(struct weft__fiber *from, struct weft__fiber *to, int dying);
/** After the switch, on the stack of `self`. */
void weft__sanitize_arrive(struct weft__fiber *self);
void weft__sanitize_new(struct weft__fiber *f);
/** A thread's own stack as a fiber (idle stack). */
void weft__sanitize_thread(struct weft__fiber *idle);
void weft__sanitize_end(struct weft__fiber *f);
void weft__sanitize_stack_reset(struct weft__fiber *f);
#else
#define weft__sanitize_leave(from, to, dying) ((void)0)
#define weft__sanitize_arrive(self) ((void)0)
#define weft__sanitize_new(f) ((void)0)
#define weft__sanitize_thread(idle) ((void)0)
#define weft__sanitize_end(f) ((void)0)
#define weft__sanitize_stack_reset(f) ((void)0)
#endif
#endif
