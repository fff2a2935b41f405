// SPDX-License-Identifier: Apache-2.0
/* futex.c - sleeping, waking, the clock, by raw system calls (futex.h says why). */
#include "base/futex.h"

#include <linux/futex.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>

#include "arch/arch.h"

long weft__syscall(long number, long a, long b, long c, long d, long e, long f)
{
    return weft__arch_syscall(number, a, b, c, d, e, f);
}

void weft__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    weft__syscall(SYS_futex, (long)word, FUTEX_WAIT_PRIVATE, (long)expected,
        timeout_ns < 0 ? 0 : (long)&ts, 0, 0);
}

void weft__futex_wake(_Atomic uint32_t *word, int count)
{
    weft__syscall(SYS_futex, (long)word, FUTEX_WAKE_PRIVATE, count, 0, 0, 0);
}

_Atomic(void *) weft__virtual_thread;
int64_t weft__virtual_ns;

static int time_is_virtual(void)
{
    void *t = at_load(&weft__virtual_thread);
    return __builtin_expect(t != NULL, 0) && t == (void *)weft__arch_thread();
}

int64_t weft__wall_s(void)
{
    struct timespec ts;
    if (time_is_virtual())
        return WEFT__VIRTUAL_WALL_S + weft__virtual_ns / 1000000000;
    clock_gettime(CLOCK_REALTIME_COARSE, &ts);
    return ts.tv_sec;
}

int64_t weft__clock_ns(void)
{
    struct timespec ts;
    if (time_is_virtual())
        return weft__virtual_ns;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return ts.tv_sec * (int64_t)1000000000 + ts.tv_nsec;
}
