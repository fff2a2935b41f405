// SPDX-License-Identifier: Apache-2.0
/*
 * futex.h - how an OS thread of the runtime sleeps and is woken, and the clock it sleeps by: the
 * seam for park and clock, and for I/O.
 *
 * Raw system calls with no errno: a fiber's errno must not change because the runtime slept, and a
 * thread-local must not be touched around a park. Everything here is process-private.
 */
#ifndef WEFT_BASE_FUTEX_H
#define WEFT_BASE_FUTEX_H
#include <stdint.h>

#include "base/atomic.h"

/** Sleeps while *word == expected, at most timeout_ns (-1: for ever). Returns on wake, mismatch,
 * signal or time-out alike. */
void weft__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns);
void weft__futex_wake(_Atomic uint32_t *word, int count);
/** CLOCK_MONOTONIC, nanoseconds; on the thread of a simulation its virtual time. */
int64_t weft__clock_ns(void);
/** Whose time is virtual (a struct weft__thread), or NULL; and what time it is there, which only
 * that thread reads and writes. sched/simulate.c sets both. */
extern _Atomic(void *) weft__virtual_thread;
extern int64_t weft__virtual_ns;
enum { WEFT__VIRTUAL_WALL_S = 946684800 }; /* 2000-01-01: the wall clock when virtual time is 0 */
/** Seconds since 1970, for people (an HTTP date); a tick behind at most. */
int64_t weft__wall_s(void);
/** Raw system call: the kernel's answer as it is (negative errno), errno untouched. The seam of
 * I/O; io/seam.h tells what passes it and what does not. */
long weft__syscall(long number, long a, long b, long c, long d, long e, long f);
#endif
