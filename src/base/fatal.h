// SPDX-License-Identifier: Apache-2.0
/*
 * fatal.h - the three strengths of assertion, and how the process ends on misuse.
 *
 * WEFT_CHECK       always on, cheap: what would corrupt memory or lose a fiber.
 * WEFT_ASSERT      debug builds and CI (unless NDEBUG).
 * weft__misuse     the user's mistake: one sentence that names the mistake, the object with its
 * creation site, the fiber, and the stack; then abort. Example: "unlock of unlocked mutex "cache"
 * (made at cache.c:31) by fiber 17 "worker"".
 *
 * base knows neither fibers nor symbols: the fiber and stack are printed by a hook that the rooms
 * above set.
 */
#ifndef WEFT_BASE_FATAL_H
#define WEFT_BASE_FATAL_H
#include <stdint.h>

_Noreturn void weft__fatal(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void weft__misuse(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/** Prints who (the current fiber) and its stack to fd; set by diag. Async-signal-safe. NULL:
 * nothing more is printed. */
extern void (*weft__fatal_hook)(int fd);

/** Formatted text straight to fd 2 in one write, no stdio, no allocation (up to 2 KiB). */
void weft__eprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#define WEFT_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (__builtin_expect(!(cond), 0))                                                          \
            weft__fatal("%s:%d: broken invariant: %s", __FILE__, __LINE__, #cond);                 \
    } while (0)
#ifdef NDEBUG
#define WEFT_ASSERT(cond)                                                                          \
    do {                                                                                           \
        (void)sizeof(cond);                                                                        \
    } while (0)
#else
#define WEFT_ASSERT(cond) WEFT_CHECK(cond)
#endif
#endif
