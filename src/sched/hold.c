// SPDX-License-Identifier: Apache-2.0
/*
 * hold.c - plain threads against the end of a run.
 *
 * A fiber keeps its runtime alive by being alive. A plain thread does not: while it starts or wakes
 * one, the run may end, and the fiber would be lost. So it holds the runtime for that moment.
 *
 *      thread                                last thread to go idle
 *      holds + 1                             closing = 1
 *      closing? then holds - 1, and wait     holds > 0, or not quiet any more? then closing = 0
 *      ... start or wake a fiber ...         stopping = 1
 *      holds - 1; during the drain, have
 *      the end judged again
 *
 * H1  Both sides store first and load second, sequentially consistent: either the holder sees
 *     closing, or the closer sees the hold. So no hold is granted between the last judgement and
 *     stopping.
 * H2  The hold goes before the judgement is asked for, or it would be seen once more.
 * H3  The records of workers and threads need no hold to be read: their memory is used again by
 *     later runs and never given back, so a late reader sees stale counters, not a fault.
 *
 * Progress: granting waits for a judgement under way, which is some loads long.
 */
#include <sys/syscall.h>

#include "base/futex.h"
#include "sched/worker.h"

bool weft__hold(void)
{
    struct weft__sched *s = &weft__sched;
    for (;;) {
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
        weft__cpu_pause();
    }
}

void weft__release(void)
{
    struct weft__sched *s = &weft__sched;
    at_sub(&s->holds, 1);
    if (at_load(&s->draining))
        weft__poller_poke(); /* H2 */
}

bool weft__close_if_unheld(bool (*still_quiet)(void))
{
    struct weft__sched *s = &weft__sched;
    at_store(&s->closing, 1);
    if (at_load(&s->holds) == 0 && still_quiet()) {
        at_store(&s->stopping, 1);
        at_store(&s->closing, 0);
        return true;
    }
    at_store(&s->closing, 0);
    return false;
}

void weft__await_holds(void)
{
    struct weft__sched *s = &weft__sched;
    while (at_load(&s->holds))
        weft__syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}
