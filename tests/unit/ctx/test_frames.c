// SPDX-License-Identifier: Apache-2.0
/*
 * test_frames.c - stacks under frames of every shape: 16 KiB ones, alloca, variable-length arrays,
 * deep recursion; to the end of the stack, where all is well, and beyond, where the process ends
 * with a sentence.
 *
 * While one fiber goes deep its neighbours, on the stacks beside it, keep patterns of their own.
 * The frames that overflow are compiled with weft.pc's flags, so a frame of a mebibyte of which
 * only the far end is written meets the guard too, and does not jump it.
 */
#include <alloca.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

#include "base/atomic.h"
#include "test.h"

#pragma GCC diagnostic ignored "-Wvla"

enum { STACK_BYTES = 1 << 20, GOOD_BYTES = 600 << 10, FRAME_BYTES = 16 << 10 };

static void fill(volatile unsigned char *p, size_t bytes, size_t salt)
{
    for (size_t i = 0; i < bytes; i += 61)
        p[i] = (unsigned char)(i + salt);
}

static size_t wrong(const volatile unsigned char *p, size_t bytes, size_t salt)
{
    size_t n = 0;
    for (size_t i = 0; i < bytes; i += 61)
        n += p[i] != (unsigned char)(i + salt);
    return n;
}

/* Each goes down until `bytes` are used, lets others run there, and checks what it wrote on its way
 * back. */

static __attribute__((noinline)) size_t by_frames(size_t bytes)
{
    volatile unsigned char frame[FRAME_BYTES];
    fill(frame, sizeof frame, bytes);
    if (bytes > FRAME_BYTES) {
        size_t n = by_frames(bytes - FRAME_BYTES);
        return n + wrong(frame, sizeof frame, bytes);
    }
    weft_yield();
    return wrong(frame, sizeof frame, bytes);
}

static __attribute__((noinline)) size_t by_alloca(size_t bytes)
{
    size_t here = 1000 + bytes % 40000;
    volatile unsigned char *p = alloca(here);
    fill(p, here, bytes);
    size_t n = 0;
    if (bytes > here)
        n = by_alloca(bytes - here);
    else
        weft_yield();
    return n + wrong(p, here, bytes);
}

static __attribute__((noinline)) size_t by_vla(size_t bytes)
{
    size_t here = 500 + bytes % 30000;
    volatile unsigned char a[here];
    fill(a, here, bytes);
    size_t n = 0;
    if (bytes > here)
        n = by_vla(bytes - here);
    else
        weft_yield();
    return n + wrong(a, here, bytes);
}

static __attribute__((noinline)) size_t by_calls(size_t bytes)
{
    volatile unsigned char a[64];
    fill(a, sizeof a, bytes);
    size_t n = 0;
    if (bytes > 256)
        n = by_calls(bytes - 256);
    else
        weft_yield();
    return n + wrong(a, sizeof a, bytes);
}

static size_t (*const ways[])(size_t) = {by_frames, by_alloca, by_vla, by_calls};
enum { WAYS = sizeof ways / sizeof *ways, NEIGHBOURS = 8 };

static _Atomic int deep_left;

static int goes_deep(void *arg)
{
    for (int i = 0; i < 5; i++)
        CHECK_EQ(ways[(intptr_t)arg](GOOD_BYTES), 0);
    at_sub(&deep_left, 1);
    return 0;
}

static int keeps_a_pattern(void *arg)
{
    volatile unsigned char mine[3000];
    do {
        fill(mine, sizeof mine, (size_t)(intptr_t)arg);
        weft_yield();
        CHECK_EQ(wrong(mine, sizeof mine, (size_t)(intptr_t)arg), 0);
    } while (at_load(&deep_left) > 0);
    return 0;
}

static int neighbours(void *arg)
{
    weft_fiber_opts o = {.size = sizeof o, .stack_bytes = STACK_BYTES};
    (void)arg;
    WEFT_SCOPE(scope);
    at_store(&deep_left, WAYS);
    for (intptr_t i = 0; i < NEIGHBOURS; i++) {
        if (i < WAYS)
            CHECK_EQ(weft_go_opt(&scope, goes_deep, (void *)i, &o), 0);
        CHECK_EQ(weft_go_opt(&scope, keeps_a_pattern, (void *)i, &o), 0);
    }
    return weft_wait(&scope);
}

static int run(int (*app)(void *), void *arg, unsigned workers)
{
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    int result = -1;
    CHECK_EQ(weft_run(app, arg, &o, &result), 0);
    return result;
}

TEST(frames_of_every_shape_beside_neighbours)
{
#if TEST_SANITIZED
    test_skip("a sanitizer's frames are larger");
#endif
    CHECK_EQ(run(neighbours, NULL, 1), 0);
    CHECK_EQ(run(neighbours, NULL, 2), 0);
}

/* ---- beyond the end ---- */

static __attribute__((noinline)) size_t giant_frame(size_t which)
{
    volatile unsigned char frame[4 << 20];
    frame[which] = 1;
    return frame[which];
}

static __attribute__((noinline)) size_t giant_alloca(size_t bytes)
{
    volatile unsigned char *p = alloca(bytes);
    p[0] = 1;
    return p[0];
}

static __attribute__((noinline)) size_t giant_vla(size_t bytes)
{
    volatile unsigned char a[bytes];
    a[0] = 1;
    return a[0];
}

static int overflowing(void *arg)
{
    switch ((int)(intptr_t)arg) {
    case WAYS:
        return (int)giant_frame(0);
    case WAYS + 1:
        return (int)giant_alloca(4 << 20);
    case WAYS + 2:
        return (int)giant_vla(4 << 20);
    default:
        return (int)ways[(intptr_t)arg](64 << 20);
    }
}

static int a_small_one_overflows(void *arg)
{
    weft_fiber_opts o = {.size = sizeof o, .stack_bytes = 44 << 10};
    WEFT_SCOPE(scope);
    CHECK_EQ(weft_go_opt(&scope, overflowing, arg, &o), 0);
    return weft_wait(&scope);
}

static intptr_t way;
static void overflows(void)
{
    run(a_small_one_overflows, (void *)way, 1);
}

/* The class's size less the guard, whatever less was asked for. */
TEST(overflow_names_fiber_size_and_depth)
{
    for (way = 0; way < WAYS; way++) {
        EXPECT_DEATH(overflows, "weft: fatal: stack overflow in fiber ");
        EXPECT_DEATH(overflows, ": 48 KiB of stack are used up, ");
        EXPECT_DEATH(overflows, " calls deep; spawn it with a larger stack_bytes");
    }
}

TEST(a_frame_larger_than_the_guard_meets_it)
{
#if TEST_SANITIZED
    test_skip("a sanitizer lays out large frames itself");
#endif
    for (way = WAYS; way < WAYS + 3; way++)
        EXPECT_DEATH(overflows, ": 48 KiB of stack are used up, ");
}

static int hundred_calls(void *arg)
{
    weft_fiber_opts o = {.size = sizeof o, .stack_bytes = 44 << 10};
    (void)arg;
    way = 3;
    WEFT_SCOPE(scope);
    CHECK_EQ(weft_go_opt(&scope, overflowing, (void *)way, &o), 0);
    return weft_wait(&scope);
}

static void counts(void)
{
    run(hundred_calls, NULL, 1);
}

/* 48 KiB in frames of at most 512 bytes: a hundred of them or more, three digits. */
TEST(depth_is_counted)
{
    int p[2], status;
    char text[4096] = "", *at;
    size_t len = 0;
    ssize_t n;
    unsigned depth = 0;
#if TEST_SANITIZED
    test_skip("a sanitizer's frames are larger");
#endif
    CHECK_EQ(pipe(p), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 2);
        counts();
        _exit(0);
    }
    close(p[1]);
    while (len < sizeof text - 1 && (n = read(p[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    waitpid(pid, &status, 0);
    CHECK((at = strstr(text, "are used up, ")) && sscanf(at, "are used up, %u", &depth) == 1);
    CHECK_MSG(depth > 90 && depth < 48 * 1024 / 64, "%u calls deep", depth);
}
