// SPDX-License-Identifier: Apache-2.0
/*
 * floor_wake.c - what it costs bare that something reaches somebody: the time, a byte, a cache
 * line.
 *
 *     floor_wake sleep          how late clock_nanosleep returns from 1 ms: p50, p99
 *     floor_wake event          how late a thread in epoll_wait has read 8 bytes of standard input
 *                               that tell when they were written
 *     floor_wake ticks N        writes such times to standard output, one each 500 us
 *     floor_wake line           one cache line from one core to another, one way
 *
 * `ticks` is the other end of `event`, here as in the runtimes' own programs: the same process
 * writes for all. The line goes back and forth between threads on the first processor and the last;
 * with a single one there is nothing to measure.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include "floor_common.h"

enum { SLEEPS = 500, MOST = 100000, TICK_NS = 500000, PASSES = 500000 };

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void print_spread(int64_t *late, size_t n)
{
    qsort(late, n, sizeof *late, by_value);
    printf("p50 %.2f us\n", (double)late[n / 2] / 1000);
    printf("p99 %.2f us\n", (double)late[n * 99 / 100] / 1000);
}

static struct timespec as_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void measure_sleep(void)
{
    static int64_t late[SLEEPS];
    for (int i = 0; i < SLEEPS; i++) {
        int64_t until = now_ns() + 1000000;
        struct timespec ts = as_timespec(until);
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        late[i] = now_ns() - until;
    }
    print_spread(late, SLEEPS);
}

static void measure_event(void)
{
    static int64_t late[MOST], written;
    struct epoll_event ev = {.events = EPOLLIN};
    int ep = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    must(epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev), "standard input");
    for (size_t n = 0;;) {
        epoll_wait(ep, &ev, 1, -1);
        if (n == MOST || read(STDIN_FILENO, &written, sizeof written) != sizeof written) {
            if (n == 0)
                die("nothing came from standard input");
            print_spread(late, n);
            return;
        }
        late[n++] = now_ns() - written;
    }
}

static void write_ticks(long n)
{
    for (long i = 0; i < n; i++) {
        struct timespec pause = as_timespec(TICK_NS);
        nanosleep(&pause, NULL);
        int64_t now = now_ns();
        if (write(STDOUT_FILENO, &now, sizeof now) != sizeof now)
            return; /* whoever read has gone */
    }
}

/* ---- a line between cores ---- */

static _Alignas(128) _Atomic int turn;

static void wait_for_turn(int i)
{
    /* [mo:alone: nothing but the number itself is passed] */
    while (atomic_load_explicit(&turn, memory_order_relaxed) != i)
        ;
}

/* Waits for its number, writes the next: even ones are this thread's, odd ones the other's. */
static void pass_line(int parity)
{
    for (int i = parity; i < 2 * PASSES; i += 2) {
        wait_for_turn(i);
        /* [mo:alone: as in wait_for_turn] */
        atomic_store_explicit(&turn, i + 1, memory_order_relaxed);
    }
}

static void *other_side(void *cpu)
{
    pin_to((int)(intptr_t)cpu);
    pass_line(1);
    return NULL;
}

static void measure_line(void)
{
    cpu_set_t may;
    pthread_t other;
    must(sched_getaffinity(0, sizeof may, &may), "sched_getaffinity");
    int count = CPU_COUNT(&may);
    if (count < 2)
        die("a single processor: no line goes anywhere");
    if (pthread_create(&other, NULL, other_side, (void *)(intptr_t)(count - 1)) != 0)
        die("no thread");
    pin_to(0);
    wait_for_turn(0);
    int64_t begin = now_ns();
    pass_line(0);
    pthread_join(other, NULL);
    printf("line %.2f ns\n", (double)(now_ns() - begin) / (2.0 * PASSES));
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (strcmp(what, "sleep") == 0)
        measure_sleep();
    else if (strcmp(what, "event") == 0)
        measure_event();
    else if (strcmp(what, "ticks") == 0 && argc > 2)
        write_ticks(atol(argv[2]));
    else if (strcmp(what, "line") == 0)
        measure_line();
    else
        die("usage: %s sleep | event | ticks N | line", argv[0]);
    return 0;
}
