// SPDX-License-Identifier: Apache-2.0
/*
 * simrt_reduce.c - partial-order reduction for the explorer: of schedules that differ only in the
 * order of steps that do not touch each other, one is run. By sleep sets (Godefroid, Partial-Order
 * Methods for the Verification of Concurrent Systems, LNCS 1032).
 *
 * A step is what a thread does from its point up to its next one: the access that the point stands
 * before, and whatever plain code follows. Two steps that are possible at the same moment commute
 * if the accesses do: different words, or both read. The plain code does not count, as plain memory
 * that two such steps both touched would be a race (X2 of simrt.h).
 *
 *      at a choice   a, b and c could go on, and b sleeps
 *      first way     a goes on; of the sleepers those stay asleep whose next step commutes with a's
 *      second way    c goes on, and a is a sleeper now too: all that begins with a has been seen,
 *                    so a is to wait until somebody has touched what a's step touches
 *
 * Q1  A thread in `asleep` can go on, and its next step is `touch`, as it was when it fell asleep.
 * Q2  Where all who can go on are asleep the schedule is cut: whatever could follow has been seen
 *     in another order. Every order of steps that touch each other is run to its end, once.
 * Q3  What a step touches is known before it is made, from its point. `touch` may say more than the
 *     step does (a woken sleeper has its futex's word there), never less; what the explorer's
 *     kernel does beside words (time, threads, descriptors) touches all.
 *
 * With a bound on preemptions this would lose schedules: the one that is run may cost more than the
 * one that is left out. So there is none. Nor are there store buffers.
 *
 * Limits: the clock goes on at each look, and the heap's addresses depend on the order of
 * allocations; a program in whose window the one is compared, or the other stored and compared, may
 * see less than all.
 */
#include "simrt_core.h"

struct simrt_touch simrt_touch_of(const char *op, const volatile void *p)
{
    if (op[0] == 'l') /* load */
        return (struct simrt_touch){SIMRT_READS, p};
    if (p)
        return (struct simrt_touch){SIMRT_WRITES, p};
    return (struct simrt_touch){
        strcmp(op, "fence") == 0 ? SIMRT_TOUCHES_NOTHING : SIMRT_TOUCHES_ALL, NULL};
}

static bool commute(const struct simrt_touch *a, const struct simrt_touch *b)
{
    if (a->kind == SIMRT_TOUCHES_NOTHING || b->kind == SIMRT_TOUCHES_NOTHING)
        return true;
    if (a->kind == SIMRT_TOUCHES_ALL || b->kind == SIMRT_TOUCHES_ALL)
        return false;
    return a->p != b->p || (a->kind == SIMRT_READS && b->kind == SIMRT_READS);
}

static uint32_t bit(const struct simrt_thread *t)
{
    return UINT32_C(1) << (t - simrt->thread);
}

static uint32_t still_asleep(uint32_t asleep, const struct simrt_thread *goes_on)
{
    uint32_t still = 0;
    for (unsigned i = 0; i < simrt->threads; i++) {
        const struct simrt_thread *t = &simrt->thread[i];
        if ((asleep & bit(t)) && commute(&t->touch, &goes_on->touch))
            still |= bit(t);
    }
    return still;
}

struct simrt_thread *simrt_choose_awake(struct simrt_thread **c, unsigned n)
{
    struct simrt_thread *awake[SIMRT_THREADS + 1];
    uint32_t asleep = simrt->asleep, k = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < n; i++)
        if (!(asleep & bit(c[i])))
            awake[count++] = c[i];
    if (count == 0)
        simrt_cut(); /* Q2 */
    if (count > 1)
        k = simrt_search(count, false);
    for (uint32_t i = 0; i < k; i++)
        asleep |= bit(awake[i]);
    simrt->asleep = still_asleep(asleep, awake[k]);
    return awake[k];
}
