// SPDX-License-Identifier: Apache-2.0
/*
 * hold.c - plain threads against the end of a run.
 *
 * A fiber keeps its runtime alive by being alive. A plain thread does not: while it starts or wakes
 * one, the run may end, and the fiber would be lost. So it holds the runtime for that moment.
 *
 *      thread                                last thread to go idle
 *      holds + 1                             closing = 1
 *      closing? then holds - 1, and wait     wait until holds == 0
 *      ... start or wake a fiber ...         still quiet? then stopping = 1
 *      holds - 1                             closing = 0
 *
 * H1  Both sides store first and load second, sequentially consistent: either the holder sees
 *     closing, or the closer sees the hold. So no hold is granted between the last judgement and
 *     stopping.
 * H2  A holder never waits for the closer, so holds nest: the closer's wait is as long as a hold,
 *     which is short.
 * H3  The records of workers and threads need no hold to be read: their memory is used again by
 *     later runs and never given back, so a late reader sees stale counters, not a fault.
 *
 * Progress: granting waits for a judgement under way, which waits for the holds before it.
 */
#include <sys/syscall.h>

#include "base/futex.h"
#include "sched/worker.h"

static void relax(int spins)
{
    if (spins < 100)
        weft__cpu_pause();
    else
        weft__syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static bool hold(struct weft__sched *s)
{
    for (int spins = 0;; spins++) {
        at_add(&s->holds, 1);
        if (!at_load(&s->closing)) {
            if (at_load(&s->running) == WEFT__RUNS && !at_load(&s->stopping))
                return true;
            at_sub(&s->holds, 1);
            return false;
        }
        at_sub(&s->holds, 1);
        if (at_load(&s->stopping))
            return false;
        relax(spins);
    }
}

bool weft__hold(void)
{
    struct weft__mach *m = weft__mach_self();
    if (m->hold_depth == 0 && !hold(&weft__sched))
        return false;
    m->hold_depth++; /* a second one must not wait: H2 */
    return true;
}

void weft__release(void)
{
    if (--weft__mach_self()->hold_depth == 0)
        at_sub(&weft__sched.holds, 1);
}

void weft__await_holds(void)
{
    for (int spins = 0; at_load(&weft__sched.holds); spins++)
        relax(spins);
}

bool weft__close_if_unheld(bool (*still_quiet)(void))
{
    static struct weft__lock one_closer; /* two would clear each other's closing */
    struct weft__sched *s = &weft__sched;
    weft__lock(&one_closer, WEFT__RANK_SCHED);
    at_store(&s->closing, 1);
    weft__await_holds(); /* H2 */
    bool end = still_quiet();
    if (end)
        at_store(&s->stopping, 1);
    at_store(&s->closing, 0);
    weft__unlock(&one_closer);
    return end;
}
