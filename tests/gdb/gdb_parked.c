// SPDX-License-Identifier: Apache-2.0
/* gdb_parked.c - fibers in several states, and then a trap: what test_gdb.py looks at. */
#include <weft/weft.h>

typedef WEFT_CHAN_OF(int) int_chan;
static int_chan jobs;

__attribute__((noinline)) static int waits_for_jobs(void *arg)
{
    int v;
    (void)arg;
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

static int app(void *arg)
{
    (void)arg;
    if (weft_chan_make(&jobs, 0) < 0)
        return 1;
    WEFT_SCOPE(s);
    for (int i = 0; i < 3; i++)
        weft_go(&s, waits_for_jobs, NULL);
    weft_go(&s, sleeps_long, NULL);
    weft_stats st = {.size = sizeof st};
    do {
        weft_sleep(WEFT_MS);
        weft_stats_read(&st);
    } while (st.switches < 10);
    falls_into_the_trap();
    return 0;
}

int main(void)
{
    return weft_main(app, NULL);
}
