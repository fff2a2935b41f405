// SPDX-License-Identifier: Apache-2.0
/*
 * test_handover.c - weft__park against wakers and the end of a context (P1-P4 of park.c, S1-S2 of
 * sched.h), in all interleavings.
 *
 * One fiber waits twice on one object; when it has left, the successor on its thread runs the
 * commit, while the fiber may already run again on another thread. The commit reads the fiber's
 * frame and then unlocks the object, as a channel's; or no lock is held and the commit publishes
 * the node that lies in the frame, as a sleeper's timer. Two wakers each take one node out of the
 * object's queue and try to claim; an interrupter ends the context once, at any time.
 *
 *      fiber      lock, link, switch | .................. | result; await_commit; unlink; frame
 *                 gone
 *      successor                     | committing = F; wake RUN->WAIT; commit: frame, unlock; NULL
 *      waker                         lock, unlink, claim, result, unlock, ready
 *      interrupter                   wake |= INTERRUPT; if WAIT: claim, result, ready
 *
 * Held: the fiber is made ready once a wait; the commit never reads a frame that has gone; a waker
 * that took the node does not leave the fiber asleep.
 */
#include "explore.h"

enum { FIBER, SUCCESSOR, WAKER_1, WAKER_2, INTERRUPTER, MOVERS };

enum mutant { WHOLE, NO_AWAIT, WAIT_AFTER_COMMIT, CLAIM_IN_TWO_STEPS, BIT_NOT_SEEN, UNLOCK_FIRST };
static enum mutant mutant;

enum { RUN, WAIT, INTERRUPT = 4 };
enum { NONE, WOKEN, INTERRUPTED };

struct world {
    uint8_t fiber, waits;     /* its next step; waits still to do */
    uint8_t successor, after; /* its next step; the fiber did not wait */
    uint8_t waker[2], saw[2], interrupter, bits;
    uint8_t wake, result, linked, locked, committing, frame, ready, signals, handed, stale;
    uint8_t arms; /* the second kind of commit */
};

/* ---- the fiber ---- */

enum { F_LOCK, F_SWITCH, F_AWAY, F_AWAIT, F_UNLINK, F_RETURN, F_END };

static int step_fiber(struct world *w)
{
    switch (w->fiber) {
    case F_LOCK:
        if (!w->waits) {
            w->fiber = F_END;
            return STEP_TAKEN;
        }
        if (w->locked || w->successor)
            /* its thread is busy with the last commit: it runs on another, or waits */
            return STEP_BLOCKED;
        w->locked = !w->arms;
        w->frame = 1;
        w->handed = 0;
        w->fiber = F_SWITCH;
        return STEP_TAKEN;
    case F_SWITCH:
        w->linked = !w->arms;
        w->successor = 1;
        w->fiber = F_AWAY;
        return STEP_TAKEN;
    case F_AWAY:
        if (!w->ready)
            return STEP_BLOCKED;
        w->ready--;
        w->fiber = w->result == INTERRUPTED ? mutant == NO_AWAIT ? F_UNLINK : F_AWAIT : F_RETURN;
        return STEP_TAKEN;
    case F_AWAIT:
        if (w->committing)
            return STEP_BLOCKED;
        w->fiber = F_UNLINK;
        return STEP_TAKEN;
    case F_UNLINK: /* a section under the object's lock */
        if (w->locked)
            return STEP_BLOCKED;
        w->linked = 0;
        w->fiber = F_RETURN;
        return STEP_TAKEN;
    case F_RETURN:
        w->frame = 0;
        w->waits--;
        w->result = NONE;
        w->wake &= (uint8_t)~INTERRUPT; /* it has asked its context */
        w->fiber = F_LOCK;
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

/* ---- whoever runs next on its thread ---- */

enum { S_NONE, S_COMMITTING, S_WAIT, S_FRAME, S_UNLOCK, S_NAMED_NO_MORE, S_READY };

static int step_successor(struct world *w)
{
    switch (w->successor) {
    case S_COMMITTING:
        w->committing = 1;
        w->successor = mutant == WAIT_AFTER_COMMIT ? S_FRAME : S_WAIT;
        return STEP_TAKEN;
    case S_WAIT:
        w->after = w->wake != RUN && mutant != BIT_NOT_SEEN;
        if (w->after)
            w->result = INTERRUPTED;
        else
            w->wake |= WAIT;
        w->successor = mutant == WAIT_AFTER_COMMIT ? S_NAMED_NO_MORE
                       : mutant == UNLOCK_FIRST    ? S_UNLOCK
                                                   : S_FRAME;
        return STEP_TAKEN;
    case S_FRAME:
        w->stale |= !w->frame;
        w->linked |= w->arms;
        w->successor = mutant == UNLOCK_FIRST ? S_NAMED_NO_MORE : S_UNLOCK;
        return STEP_TAKEN;
    case S_UNLOCK:
        w->locked &= w->arms; /* a lock that is held now is another's */
        w->successor = mutant == WAIT_AFTER_COMMIT ? S_WAIT
                       : mutant == UNLOCK_FIRST    ? S_FRAME
                                                   : S_NAMED_NO_MORE;
        return STEP_TAKEN;
    case S_NAMED_NO_MORE:
        w->committing = 0;
        w->successor = w->after ? S_READY : S_NONE;
        return STEP_TAKEN;
    case S_READY:
        w->after = 0;
        w->ready++;
        w->handed++;
        w->successor = S_NONE;
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

/* ---- a waker ---- */

enum { W_LOCK, W_CLAIM, W_CLAIM_2, W_RESULT, W_READY, W_UNLOCK, W_END };

static int step_waker(struct world *w, int i)
{
    uint8_t *pc = &w->waker[i];
    switch (*pc) {
    case W_LOCK: /* and unlinks the node that it finds */
        if (w->locked || !w->linked)
            return STEP_BLOCKED;
        w->locked = 1;
        w->linked = 0;
        *pc = W_CLAIM;
        return STEP_TAKEN;
    case W_CLAIM:
        w->saw[i] = w->wake & WAIT;
        if (mutant == CLAIM_IN_TWO_STEPS) {
            *pc = w->saw[i] ? W_CLAIM_2 : W_UNLOCK;
            return STEP_TAKEN;
        }
        w->wake &= (uint8_t)~WAIT;
        *pc = w->saw[i] ? W_RESULT : W_UNLOCK;
        return STEP_TAKEN;
    case W_CLAIM_2:
        w->wake &= (uint8_t)~WAIT;
        *pc = W_RESULT;
        return STEP_TAKEN;
    case W_RESULT:
        w->result = WOKEN;
        *pc = W_READY;
        return STEP_TAKEN;
    case W_READY:
        w->ready++;
        w->handed++;
        *pc = W_UNLOCK;
        return STEP_TAKEN;
    case W_UNLOCK:
        w->locked = 0;
        w->signals++;
        w->saw[i] = 0;
        *pc = W_END;
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

/* ---- the end of the context ---- */

enum { I_SET, I_CLAIM, I_RESULT, I_READY, I_END };

static int step_interrupter(struct world *w)
{
    switch (w->interrupter) {
    case I_SET:
        if (w->fiber == F_END)
            return STEP_BLOCKED;
        w->wake |= INTERRUPT;
        w->bits = w->wake;
        w->interrupter = w->wake & WAIT ? I_CLAIM : I_END;
        return STEP_TAKEN;
    case I_CLAIM:
        w->interrupter = w->wake == w->bits ? I_RESULT : I_END;
        if (w->wake == w->bits)
            w->wake = INTERRUPT;
        return STEP_TAKEN;
    case I_RESULT:
        w->result = INTERRUPTED;
        w->interrupter = I_READY;
        return STEP_TAKEN;
    case I_READY:
        w->ready++;
        w->handed++;
        w->interrupter = I_END;
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

static int step(void *state, int mover, int choice)
{
    struct world *w = state;
    (void)choice;
    switch (mover) {
    case FIBER:
        return step_fiber(w);
    case SUCCESSOR:
        return step_successor(w);
    case INTERRUPTER:
        return step_interrupter(w);
    default:
        return step_waker(w, mover - WAKER_1);
    }
}

static const char *wrong(const void *state)
{
    const struct world *w = state;
    if (w->stale)
        return "the commit reads a frame that has gone";
    return w->handed > 1 ? "made ready twice in one wait" : NULL;
}

static const char *stuck(const void *state)
{
    const struct world *w = state;
    if (w->fiber == F_AWAY && !w->linked)
        return "asleep, and in nobody's queue";
    if (w->fiber == F_AWAY && w->interrupter == I_END && w->waits == 2 && w->wake & INTERRUPT)
        return "asleep after its context's end";
    return w->locked ? "the object stays locked" : NULL;
}

static void show(const void *state)
{
    const struct world *w = state;
    printf("# fiber %d successor %d wakers %d %d interrupter %d | wake %d result %d linked %d "
           "locked %d "
           "committing %d frame %d ready %d\n",
        w->fiber, w->successor, w->waker[0], w->waker[1], w->interrupter, w->wake, w->result,
        w->linked, w->locked, w->committing, w->frame, w->ready);
}

static const struct model model = {
    "hand-over", sizeof(struct world), MOVERS, step, wrong, stuck, show};
static const struct world start = {.waits = 2}, arming = {.waits = 2, .arms = 1},
                          alone = {.waits = 2, .waker = {W_END, W_END}};

TEST(holds)
{
    explore_holds(&model, &start);
    explore_holds(&model, &arming);
    explore_holds(&model, &alone);
}

static void bites(enum mutant m, const struct world *from, const char *what)
{
    mutant = m;
    explore_bites(&model, from, what);
}

TEST(mutants_are_found_out)
{
    bites(NO_AWAIT, &arming, "a frame that has gone");
    bites(WAIT_AFTER_COMMIT, &start, "asleep, and in nobody's queue");
    bites(CLAIM_IN_TWO_STEPS, &start, "");
    bites(BIT_NOT_SEEN, &alone, "asleep after its context's end");
    bites(UNLOCK_FIRST, &start, "the commit reads a frame that has gone");
}
