// SPDX-License-Identifier: Apache-2.0
/*
 * simrt_judge.c - what must hold when all threads of a schedule sleep: the rules W4 and W5 of
 * sched/worker.h, looked at from outside.
 *
 * The monitor makes good for a lost wake-up within a millisecond, so a program seldom fails by one:
 * it is late, and nobody knows. Here it is a failure.
 *
 * J1  While a worker is idle no work lies in a ring, in the global queue, or in the hand-off slot
 *     of a worker without a thread. (A worker whose thread is in a blocking call may keep what it
 *     has while no other is idle, and its hand-off slot: that is the monitor's business.)
 * J2  While all workers are idle the clock does not pass the earliest timer.
 * J3  A fiber takes a lock of the runtime only inside the runtime, where nobody takes its turn away
 *     (S3 of sched/sched.h; simrt_rank.c asks).
 */
#include <limits.h>

#include "sched/worker.h"
#include "simrt_core.h"

uint64_t simrt_fiber_id(const struct weft__thread *t)
{
    return t && t->cur ? t->cur->id : 0;
}

/* A sleeper reckons from a clock that it looked at before others made it go on. */
static const int64_t late_ns = 5000000;

bool simrt_outside(void)
{
    const struct weft__thread *t = weft__tls_thread;
    if (!t || !t->cur || t->cur->flags & (WEFT__F_THREAD | WEFT__F_IDLE))
        return false;
    for (unsigned i = simrt->cur->buffered; i-- > 0;)
        if (simrt->cur->buffer[i].p == &t->in_rt)
            return !simrt->cur->buffer[i].value;
    return !t->in_rt;
}

static bool has_surplus(const struct weft__worker *w)
{
    return w->head != w->tail || (w->next && !w->mach);
}

const char *simrt_judge(int64_t until_ns)
{
    const struct weft__sched *s = &weft__sched;
    int64_t first = INT64_MAX;
    if (s->running != WEFT__RUNS || s->stopping || s->sim)
        return NULL;
    bool surplus = s->global_count > 0;
    for (unsigned i = 0; i < s->workers; i++) {
        surplus = surplus || has_surplus(&s->worker[i]);
        first = s->worker[i].heap.next_ns < first ? s->worker[i].heap.next_ns : first;
    }
    if (surplus && s->idle > 0)
        return "a lost wake-up: everybody sleeps, a worker is idle, and work lies in a queue (J1)";
    if (s->idle == s->workers && first < INT64_MAX && (until_ns < 0 || until_ns > first + late_ns))
        return "a late timer: everybody sleeps for longer than until the earliest timer (J2)";
    return NULL;
}
