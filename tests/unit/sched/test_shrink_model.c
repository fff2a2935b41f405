// SPDX-License-Identifier: Apache-2.0
/*
 * test_shrink_model.c - the wake word between a shrinker, a waker and the end of a context (N1 to
 * N3 of shrink.c), in all interleavings.
 *
 *      fiber         parks (RUN -> WAIT, or not with INTERRUPT set), is away, runs, clears
 *                    INTERRUPT
 *      waker         claim; load: SHRINK? then leave OWED by compare-and-swap, else enqueue
 *      interrupter   INTERRUPT; while it waits: claim; then as the waker
 *      shrinker      WAIT -> WAIT|SHRINK|SHRUNK; drop pages; take both bits off; OWED? enqueue
 *
 * The fiber waits twice; the waker wakes it as often as it finds it waiting. Held: it never runs
 * while its pages go; it is made ready once a wait; nobody's wake-up is lost.
 */
#include "explore.h"

enum { FIBER, WAKER, INTERRUPTER, SHRINKER, MOVERS };
enum mutant {
    WHOLE,
    CLAIM_FORGETS_SHRINK,
    READY_BLIND,
    OWED_BLINDLY,
    DONE_IN_TWO_STEPS,
    DROP_FIRST,
    INTERRUPT_TRIES_ONCE
};
static enum mutant mutant;

enum { RUN = 0, WAIT = 1, INTERRUPT = 4, SHRINK = 8, OWED = 16, SHRUNK = 32 };
enum { KEPT = INTERRUPT | SHRINK };

struct world {
    uint8_t wake, fiber, waits, ready, handed;
    uint8_t pc[2]; /* waker, interrupter */
    uint8_t saw[2];
    uint8_t shrinker, shrinks, expected, owed, dropping, ran_while;
};

enum { F_PARK, F_AWAY, F_END };
enum { W_BEGIN, W_CLAIM, W_LOAD, W_OWE, W_ENQUEUE, W_END };
enum { S_LOOK, S_SET, S_DROPPED, S_CLEAR, S_CLEAR_2, S_ENQUEUE, S_END };

static int step_fiber(struct world *w)
{
    switch (w->fiber) {
    case F_PARK:
        if (w->waits == 0) {
            w->fiber = F_END;
            return STEP_TAKEN;
        }
        w->waits--;
        w->handed = 0;
        if (w->wake == RUN) {
            w->wake = WAIT;
            w->fiber = F_AWAY;
        } else {
            w->wake &= (uint8_t)~INTERRUPT; /* did not wait; has asked its context */
        }
        return STEP_TAKEN;
    case F_AWAY:
        if (!w->ready)
            return STEP_BLOCKED;
        w->ready--;
        w->ran_while |= w->dropping;
        w->wake &= (uint8_t)~INTERRUPT;
        w->fiber = F_PARK;
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

static uint8_t claimed(uint8_t wake)
{
    return wake & (mutant == CLAIM_FORGETS_SHRINK ? INTERRUPT : KEPT);
}

/* What both wakers do once they have claimed. */
static int step_ready(struct world *w, uint8_t *pc)
{
    switch (*pc) {
    case W_LOAD:
        *pc = w->wake & SHRINK && mutant != READY_BLIND ? W_OWE : W_ENQUEUE;
        return STEP_TAKEN;
    case W_OWE:
        if (w->wake & SHRINK || mutant == OWED_BLINDLY) {
            w->wake |= OWED;
            *pc = W_END;
        } else {
            *pc = W_ENQUEUE;
        }
        return STEP_TAKEN;
    case W_ENQUEUE:
        w->ready++;
        w->handed++;
        *pc = W_END;
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

static int step_waker(struct world *w)
{
    uint8_t *pc = &w->pc[0];
    if (*pc ==
        W_BEGIN) { /* unlinked its node under the lock; a failed claim is another's success */
        if (!(w->wake & WAIT))
            return STEP_BLOCKED;
        w->wake = claimed(w->wake);
        *pc = W_LOAD;
        return STEP_TAKEN;
    }
    int rc = step_ready(w, pc);
    if (*pc == W_END)
        *pc = W_BEGIN;
    return rc;
}

static int step_interrupter(struct world *w)
{
    uint8_t *pc = &w->pc[1], *saw = &w->saw[1];
    switch (*pc) {
    case W_BEGIN:
        if (w->fiber == F_END)
            return STEP_BLOCKED;
        w->wake |= INTERRUPT;
        *saw = w->wake;
        *pc = W_CLAIM;
        return STEP_TAKEN;
    case W_CLAIM:
        if ((*saw & (WAIT | INTERRUPT)) != (WAIT | INTERRUPT)) {
            *pc = W_END;
        } else if (w->wake == *saw) {
            w->wake = claimed(w->wake);
            *pc = W_LOAD;
        } else {
            *saw = mutant == INTERRUPT_TRIES_ONCE ? 0 : w->wake;
        }
        return STEP_TAKEN;
    default:
        return step_ready(w, pc);
    }
}

static int step_shrinker(struct world *w)
{
    switch (w->shrinker) {
    case S_LOOK:
        if (w->shrinks == 0 || !(w->wake & WAIT) || w->wake & (SHRINK | SHRUNK))
            return STEP_BLOCKED;
        w->expected = w->wake;
        w->dropping = mutant == DROP_FIRST;
        w->shrinker = S_SET;
        return STEP_TAKEN;
    case S_SET:
        w->shrinker = S_LOOK;
        if (w->wake == w->expected) {
            w->wake |= SHRINK | SHRUNK;
            w->dropping = 1;
            w->shrinker = S_DROPPED;
        } else {
            w->dropping = 0;
        }
        w->expected = 0;
        return STEP_TAKEN;
    case S_DROPPED:
        w->dropping = 0;
        w->shrinks--;
        w->shrinker = S_CLEAR;
        return STEP_TAKEN;
    case S_CLEAR:
        w->owed = !!(w->wake & OWED);
        if (mutant != DONE_IN_TWO_STEPS)
            w->wake &= (uint8_t) ~(SHRINK | OWED);
        w->shrinker = mutant == DONE_IN_TWO_STEPS ? S_CLEAR_2 : S_ENQUEUE;
        return STEP_TAKEN;
    case S_CLEAR_2:
        w->wake &= (uint8_t) ~(SHRINK | OWED);
        w->shrinker = S_ENQUEUE;
        return STEP_TAKEN;
    case S_ENQUEUE:
        w->ready += w->owed;
        w->handed += w->owed;
        w->owed = 0;
        w->shrinker = S_LOOK;
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED;
    }
}

static int step(void *state, int mover, int choice)
{
    (void)choice;
    switch (mover) {
    case FIBER:
        return step_fiber(state);
    case WAKER:
        return step_waker(state);
    case INTERRUPTER:
        return step_interrupter(state);
    default:
        return step_shrinker(state);
    }
}

static const char *wrong(const void *state)
{
    const struct world *w = state;
    if (w->ran_while)
        return "ran while its pages went";
    return w->handed > 1 ? "made ready twice in one wait" : NULL;
}

static const char *stuck(const void *state)
{
    const struct world *w = state;
    if (w->fiber == F_AWAY)
        return w->wake & WAIT ? "asleep after its context's end"
                              : "claimed, and made ready by nobody";
    return w->wake & (SHRINK | OWED) ? "bits are left behind" : NULL;
}

static void show(const void *state)
{
    const struct world *w = state;
    printf("# fiber %d waits %d wake %d ready %d | waker %d interrupter %d | shrinker %d owed %d "
           "dropping %d\n",
        w->fiber, w->waits, w->wake, w->ready, w->pc[0], w->pc[1], w->shrinker, w->owed,
        w->dropping);
}

static const struct model model = {
    "shrink", sizeof(struct world), MOVERS, step, wrong, stuck, show};
/* alone: no waker, so that only the context's end wakes */
static const struct world start = {.waits = 2, .shrinks = 2},
                          alone = {.waits = 1, .shrinks = 2, .pc = {W_END, W_BEGIN}};

TEST(holds)
{
    explore_holds(&model, &start);
    explore_holds(&model, &alone);
}

static void bites(enum mutant m, const struct world *from, const char *what)
{
    mutant = m;
    explore_bites(&model, from, what);
}

TEST(mutants_are_found_out)
{
    bites(CLAIM_FORGETS_SHRINK, &start, "ran while its pages went");
    bites(READY_BLIND, &start, "ran while its pages went");
    bites(OWED_BLINDLY, &start, "");
    bites(DONE_IN_TWO_STEPS, &start, "made ready by nobody");
    bites(DROP_FIRST, &start, "ran while its pages went");
    bites(INTERRUPT_TRIES_ONCE, &alone, "asleep after its context's end");
}
