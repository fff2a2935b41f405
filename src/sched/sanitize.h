// SPDX-License-Identifier: Apache-2.0
/*
 * sanitize.h - telling AddressSanitizer, ThreadSanitizer and valgrind about fibers; nothing at all
 * in other builds.
 *
 * TSan: a fiber is a TSan fiber, switched with flag 1 (no synchronisation by the switch itself,
 * else every race on one worker is hidden); happens-before edges are stated by the primitives
 * (base/tsan.h). The scheduler itself is compiled without instrumentation in that build. ASan:
 * start/finish around each switch, shadow of a reused stack cleared.
 *
 * valgrind (where its header was there at build time): each slot is told once as a stack, when it
 * gets its guard, so that memcheck takes a jump of the stack pointer for a switch and not for
 * frames that come or go; and what a spawn is about to write above the first frame it may write,
 * though another fiber's frames have gone from there. Outside valgrind that is a few instructions
 * for a fresh stack, and one test of a word for a spawn.
 */
#ifndef WEFT_SCHED_SANITIZE_H
#define WEFT_SCHED_SANITIZE_H
#include <stddef.h>

#include "base/atomic.h"

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
/** A thread's record, mapped and not from the heap: LeakSanitizer follows what it holds. */
void weft__sanitize_record(struct weft__mach *m, size_t bytes);
#else
#define weft__sanitize_record(m, bytes) ((void)0)
#define weft__sanitize_leave(from, to, dying) ((void)0)
#define weft__sanitize_arrive(self) ((void)0)
#define weft__sanitize_new(f) ((void)0)
#define weft__sanitize_thread(idle) ((void)0)
#define weft__sanitize_end(f) ((void)0)
#define weft__sanitize_stack_reset(f) ((void)0)
#endif

#if defined(WEFT_VALGRIND) && !defined(WEFT__ASAN) && !defined(WEFT__TSAN)
/** This process runs under valgrind and has made a stack. */
extern _Atomic(int) weft__on_valgrind;
/** A slot that was never used. */
void weft__valgrind_stack_made(struct weft__fiber *f);
/** A fiber is about to start whose first frame is below top. */
void weft__valgrind_stack_start(struct weft__fiber *f, char *top);
static inline void weft__valgrind_start(struct weft__fiber *f, char *top)
{
    if (__builtin_expect(at_load_rlx(&weft__on_valgrind) != 0, 0)) /* [mo:alone: set before any] */
        weft__valgrind_stack_start(f, top);
}
#else
#define weft__on_valgrind 0
#define weft__valgrind_stack_made(f) ((void)0)
#define weft__valgrind_start(f, top) ((void)0)
#endif
#endif
