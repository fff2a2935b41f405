// SPDX-License-Identifier: Apache-2.0
/* gdb_parked.c - fibers in several states, and then a trap: what test_gdb.py looks at. With
 * WEFT_COLD in the environment the trap waits until the takers' stacks have been put away. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <weft/weft.h>

typedef WEFT_CHAN_OF(int) int_chan;
static int_chan jobs;
enum { TAKERS = 3, PAGE = 4096 };
static int *takers[TAKERS]; /* somewhere on the stack of each */

__attribute__((noinline)) static int waits_for_jobs(void *arg)
{
    int v;
    *(int **)arg = &v;
    weft_set_name("taker");
    return weft_recv(jobs, &v) < 0 ? 0 : 1;
}

__attribute__((noinline)) static int sleeps_long(void *arg)
{
    (void)arg;
    return weft_sleep(1000 * WEFT_SEC) < 0 ? 0 : 1;
}

__attribute__((noinline)) static void falls_into_the_trap(void)
{
    __builtin_trap();
}

static int is_warm(int *at)
{
    unsigned char there = 0;
    mincore((void *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1)), PAGE, &there);
    return there & 1;
}

static int app(void *arg)
{
    (void)arg;
    if (weft_chan_make(&jobs, 0) < 0)
        return 1;
    WEFT_SCOPE(s);
    for (int i = 0; i < TAKERS; i++)
        weft_go(&s, waits_for_jobs, &takers[i]);
    weft_go(&s, sleeps_long, NULL);
    weft_stats st = {.size = sizeof st};
    do {
        weft_sleep(WEFT_MS);
        weft_stats_read(&st);
    } while (st.switches < 10);
    for (int i = 0; getenv("WEFT_COLD") && i < TAKERS; i++)
        while (is_warm(takers[i]))
            weft_sleep(WEFT_MS);
    falls_into_the_trap();
    return 0;
}

int main(void)
{
    return weft_main(app, NULL);
}
