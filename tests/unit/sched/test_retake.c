// SPDX-License-Identifier: Apache-2.0
/*
 * test_retake.c - the monitor takes a worker from a thread that blocks, while the thread comes back
 * or is signalled (M2 and M3 of monitor.c, W1 of worker.h), in all interleavings.
 *
 *      thread    (outside) in_rt = 1; read attention ... inside: uses its worker ... in_rt = 0
 *                LOST: under mach.lock, worker == NULL? then take an idle one, or rest
 *      handler   on the same thread, while it is outside: in_rt = 1; read attention; give worker up
 *      monitor   under mach.lock: LOST; membarrier; in_rt == 0 and still w's? worker = NULL
 *                then the worker is idle, and another thread takes it
 *
 * The store of in_rt is relaxed and goes through a store buffer, which membarrier drains.
 * Held: who is inside has the worker to itself; a worker is released by who has it; nobody comes in
 * without a worker and goes on.
 */
#include "explore.h"

enum { THREAD, BUFFER, MONITOR, OTHER, SIGNAL, MOVERS };

enum mutant { WHOLE, NO_BARRIER, NO_LOCK_IN_REGAIN, HANDLER_IGNORES_LOST };
static enum mutant mutant;

enum { NOBODY, BY_THREAD, BY_OTHER };

struct world {
    uint8_t thread, buffered, value, in_rt; /* the buffered store of in_rt and its value */
    uint8_t lost, worker, owner, lock, rounds;
    uint8_t monitor, tries, saw_in_rt;
    uint8_t other, signal, signals, had; /* had: what the handler read */
    uint8_t twice;
};

/* ---- the thread ---- */

enum {
    T_ENTER,
    T_ATTENTION,
    T_REGAIN,
    T_REGAIN_LOCKED,
    T_TAKE,
    T_INSIDE,
    T_LEAVE,
    T_OUTSIDE,
    T_END
};

static void regain(struct world *w)
{
    w->lost = 0;
    w->thread = w->worker ? T_INSIDE : T_TAKE;
}

static int step_thread(struct world *w)
{
    if (w->signal) /* in the handler */
        return STEP_BLOCKED;
    switch (w->thread) {
    case T_ENTER:
        if (w->buffered)
            return STEP_BLOCKED; /* one store at a time is enough to show the reordering */
        w->buffered = w->value = 1;
        w->thread = T_ATTENTION;
        return STEP_TAKEN;
    case T_ATTENTION:
        w->thread = w->lost ? T_REGAIN : T_INSIDE;
        return STEP_TAKEN;
    case T_REGAIN: /* taking a lock drains the buffer */
        if (w->buffered || (w->lock && mutant != NO_LOCK_IN_REGAIN))
            return STEP_BLOCKED;
        regain(w);
        return STEP_TAKEN;
    case T_TAKE: /* an idle worker, or the fiber goes to the global queue and the thread rests */
        if (w->owner == NOBODY) {
            w->owner = BY_THREAD;
            w->worker = 1;
            w->thread = T_INSIDE;
        } else {
            w->thread = T_END;
        }
        return STEP_TAKEN;
    case T_INSIDE:
        w->twice |= w->owner != BY_THREAD;
        w->thread = T_LEAVE;
        return STEP_TAKEN;
    case T_LEAVE:
        if (w->buffered)
            return STEP_BLOCKED;
        w->buffered = 1;
        w->value = 0;
        w->thread = T_OUTSIDE;
        return STEP_TAKEN;
    case T_OUTSIDE:
        w->thread = w->rounds ? T_ENTER : T_END;
        w->rounds = (uint8_t)(w->rounds - (w->rounds > 0));
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

/* ---- the signal handler, on the thread ---- */

enum { H_NONE, H_IN, H_LOST, H_GIVE, H_WAIT, H_OUT };

static int step_signal(struct world *w)
{
    switch (w->signal) {
    case H_NONE: /* in_rt as the thread itself sees it */
        if (!w->signals || (w->buffered ? w->value : w->in_rt) || w->thread == T_END)
            return STEP_BLOCKED;
        w->signals--;
        w->had = w->worker;
        if (w->had)
            w->signal = H_IN;
        return STEP_TAKEN;
    case H_IN: /* an exchange */
        w->buffered = 0;
        w->in_rt = 1;
        w->signal = H_LOST;
        return STEP_TAKEN;
    case H_LOST:
        w->signal = w->lost && mutant != HANDLER_IGNORES_LOST ? H_OUT : H_GIVE;
        return STEP_TAKEN;
    case H_GIVE: /* under mach.lock, then released */
        if (w->lock)
            return STEP_BLOCKED;
        w->twice |= w->owner != BY_THREAD;
        w->worker = 0;
        w->owner = NOBODY;
        w->signal = H_WAIT;
        return STEP_TAKEN;
    case H_WAIT: /* until it is handed a worker */
        if (w->owner != NOBODY)
            return STEP_BLOCKED;
        w->owner = BY_THREAD;
        w->worker = 1;
        w->signal = H_OUT;
        return STEP_TAKEN;
    default:
        w->in_rt = 0;
        w->signal = H_NONE;
        w->had = 0;
        return STEP_TAKEN;
    }
}

/* ---- the monitor ---- */

enum { R_LOOK, R_LOCK, R_LOST, R_BARRIER, R_READ, R_TAKE, R_FORGET };

static int step_monitor(struct world *w)
{
    switch (w->monitor) {
    case R_LOOK: /* worker.mach says who drives it */
        if (!w->tries || !w->worker)
            return STEP_BLOCKED;
        w->tries--;
        w->monitor = R_LOCK;
        return STEP_TAKEN;
    case R_LOCK:
        if (w->lock)
            return STEP_BLOCKED;
        w->lock = 1;
        w->monitor = R_LOST;
        return STEP_TAKEN;
    case R_LOST:
        w->lost = 1;
        w->monitor = mutant == NO_BARRIER ? R_READ : R_BARRIER;
        return STEP_TAKEN;
    case R_BARRIER:
        if (w->buffered)
            w->in_rt = w->value;
        w->buffered = 0;
        w->monitor = R_READ;
        return STEP_TAKEN;
    case R_READ:
        w->monitor = w->in_rt || !w->worker ? R_FORGET : R_TAKE;
        return STEP_TAKEN;
    case R_TAKE:
        w->twice |= w->owner != BY_THREAD;
        w->worker = 0;
        w->owner = NOBODY;
        w->lock = 0;
        w->monitor = R_LOOK;
        return STEP_TAKEN;
    default:
        w->lost = 0;
        w->lock = 0;
        w->monitor = R_LOOK;
        return STEP_TAKEN;
    }
}

static int step(void *state, int mover, int choice)
{
    struct world *w = state;
    (void)choice;
    switch (mover) {
    case THREAD:
        return step_thread(w);
    case SIGNAL:
        return step_signal(w);
    case MONITOR:
        return step_monitor(w);
    case BUFFER:
        if (!w->buffered)
            return STEP_BLOCKED;
        w->in_rt = w->value;
        w->buffered = 0;
        return STEP_TAKEN;
    default: /* takes an idle worker and gives it up again */
        if (!w->other || (w->owner != NOBODY && w->owner != BY_OTHER))
            return STEP_BLOCKED;
        w->other = (uint8_t)(w->other - (w->owner == BY_OTHER));
        w->owner = w->owner == BY_OTHER ? NOBODY : BY_OTHER;
        return STEP_TAKEN;
    }
}

static const char *wrong(const void *state)
{
    const struct world *w = state;
    return w->twice ? "a worker is used by who does not have it" : NULL;
}

static const char *stuck(const void *state)
{
    const struct world *w = state;
    return w->thread != T_END || w->signal ? "the thread does not come back" : NULL;
}

static void show(const void *state)
{
    const struct world *w = state;
    printf("# thread %d in_rt %d buffer %d/%d lost %d worker %d owner %d lock %d | monitor %d | "
           "signal %d\n",
        w->thread, w->in_rt, w->buffered, w->value, w->lost, w->worker, w->owner, w->lock,
        w->monitor, w->signal);
}

static const struct model model = {
    "retake", sizeof(struct world), MOVERS, step, wrong, stuck, show};
static const struct world start = {.thread = T_OUTSIDE,
    .worker = 1,
    .owner = BY_THREAD,
    .rounds = 3,
    .tries = 3,
    .other = 2,
    .signals = 2};

TEST(holds)
{
    explore_holds(&model, &start);
}

static void bites(enum mutant m)
{
    mutant = m;
    explore_bites(&model, &start, "by who does not have it");
}

TEST(mutants_are_found_out)
{
    bites(NO_BARRIER);
    bites(NO_LOCK_IN_REGAIN);
    bites(HANDLER_IGNORES_LOST);
}
