// SPDX-License-Identifier: Apache-2.0
/*
 * test.h - the whole test framework: cases, checks that survive NDEBUG, skips with a reason.
 *
 * A test program is a file of TEST(name) { ... } cases linked with test_main.c, which runs each
 * case in a child process of its own (so a crash, a fatal misuse or a hang ends one case only),
 * under a timeout, and prints TAP:
 *
 *     ok 1 - name          not ok 2 - name          ok 3 - name # SKIP reason
 *
 * Usage: PROG [--list] [CASE ...].  WEFT_TEST_TIMEOUT (seconds; default 60, and three times
 * WEFT_STRESS_SECONDS more) bounds one case.
 * EXPECT_DEATH runs a function in a further child and checks how it ended and what it wrote to
 * standard error.
 */
#ifndef WEFT_TEST_H
#define WEFT_TEST_H
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Whether memory and time are AddressSanitizer's or ThreadSanitizer's as well as ours. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEST_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define TEST_SANITIZED 1
#endif
#endif
#ifndef TEST_SANITIZED
#define TEST_SANITIZED 0
#endif

/* Whether everything is slower by ten: by a sanitizer, or by the emulator, under which programs for
 * aarch64 run where they are built. Counts of rounds may be lower then. */
#if TEST_SANITIZED || defined(__aarch64__)
#define TEST_SLOW 1
#else
#define TEST_SLOW 0
#endif

struct test_case {
    const char *name;
    void (*fn)(void);
    struct test_case *next;
};
void test_register(struct test_case *c);
_Noreturn void test_fail(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void test_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/** Seed of this run (WEFT_SEED, else random); printed by test_main when the case fails. */
uint64_t test_seed(void);
/** Called in a case's process when the case has returned, where a program has such a function. */
__attribute__((weak)) void test_ended(void);
/** For how long a stress case may go on: WEFT_STRESS_SECONDS, else 1. */
int test_stress_seconds(void);
/** Runs fn in a child; fails unless it ends by a signal or a non-zero status and its standard error
 * contains `needle`. */
void test_expect_death(const char *file, int line, void (*fn)(void), const char *needle);

#define TEST(name)                                                                                 \
    static void test_##name(void);                                                                 \
    __attribute__((constructor)) static void test_reg_##name(void)                                 \
    {                                                                                              \
        static struct test_case c = {#name, test_##name, NULL};                                    \
        test_register(&c);                                                                         \
    }                                                                                              \
    static void test_##name(void)

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond))                                                                               \
            test_fail(__FILE__, __LINE__, "%s", #cond);                                            \
    } while (0)
#define CHECK_MSG(cond, ...)                                                                       \
    do {                                                                                           \
        if (!(cond))                                                                               \
            test_fail(__FILE__, __LINE__, __VA_ARGS__);                                            \
    } while (0)
#define CHECK_EQ(a, b)                                                                             \
    do {                                                                                           \
        long long check_a_ = (long long)(a), check_b_ = (long long)(b);                            \
        if (check_a_ != check_b_)                                                                  \
            test_fail(__FILE__, __LINE__, "%s == %s: %lld != %lld", #a, #b, check_a_, check_b_);   \
    } while (0)
#define CHECK_STR(a, b)                                                                            \
    do {                                                                                           \
        const char *check_a_ = (a), *check_b_ = (b);                                               \
        if (strcmp(check_a_, check_b_) != 0)                                                       \
            test_fail(__FILE__, __LINE__, "%s == %s:\n  got  %s\n  want %s", #a, #b, check_a_,     \
                check_b_);                                                                         \
    } while (0)
#define EXPECT_DEATH(fn, needle) test_expect_death(__FILE__, __LINE__, fn, needle)
#endif
