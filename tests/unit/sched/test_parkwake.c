// SPDX-License-Identifier: Apache-2.0
/*
 * test_parkwake.c - no wake-up of a thread is lost: W4 of worker.h and the token of sched.poked, in
 * all interleavings.
 *
 * The model follows src/sched/worker.c function by function (the names of the steps say which):
 * find, go_idle, rest, sleep_as_poller, wake_with_token. Threads 0..2 drive workers 0..2; work is a
 * number in a ring or in the global queue. Two things may make work:
 *
 *      a hog      thread 0 pushes to its own ring, waking for surplus each time, and then never
 *                 looks for work again: what it pushed must be found by others, without its help
 *                 and without the monitor's
 *      a stranger a plain thread that pushes to the global queue
 *
 * Besides, an event may come in the poller, and one piece of work may make another when it runs.
 *
 * Held: whenever no thread can go on, nothing is queued while a worker is idle (that is more than
 * "no deadlock": surplus is found by whoever is idle); the spinning count is what the tokens and
 * the spinning threads say, always; a worker is driven by one thread.
 *
 * The push's store of tail is a release store and goes through a store buffer; everything else in
 * the protocol is sequentially consistent or under sched.lock, and each access is a step of its
 * own.
 */
#include "explore.h"

enum { THREADS = 3, STRANGER = THREADS, DRAIN, EVENT, MOVERS };

enum mutant { /* what is left out */
    WHOLE,
    NO_FENCE_AFTER_PUSH,
    NO_LOOK_AFTER_IDLE,
    NO_LOOK_AFTER_LINK,
    NO_LOOK_AFTER_GIVING,
    NO_LOOK_BEFORE_POLL,
    NO_WAKE_WHEN_FOUND,
    NO_LOOK_AT_ALL,
    TOKEN_TWICE,
    TOKEN_KEPT,
};
static enum mutant mutant;

enum pc {
    FIND,
    LOOK_RING,
    LOOK_GLOBAL,
    START_SPINNING,
    SPIN,
    GO_IDLE,
    DROP,
    LOOK_AGAIN,
    TAKE_BACK,
    REST,
    BE_POLLER,
    POLL_LOOK,
    POLL_WAIT,
    POLL_LEAVE,
    POLL_TOKEN,
    POLL_TAKE,
    POLL_DROP,
    INJECT,
    LINK,
    LINK_LOOK,
    SLEEP,
    FOUND,
    FOUND_IDLE,
    RUN,
    PUSH, /* by a fiber that runs: into the ring */
    PUSH_FENCE,
    SURPLUS_IDLE, /* weft__wake_for_surplus */
    SURPLUS_SPIN,
    WAKE_ONE,
    TOKEN_LOCK, /* wake_with_token */
    TOKEN_POLLER,
    TOKEN_IDLE,
    TOKEN_POKE,
    TOKEN_STILL,
    TOKEN_UNPOKE,
    TOKEN_GIVE,
    TOKEN_LOOK,
    HOG,
    GONE,
    BACK,
};

struct thread {
    uint8_t pc, back; /* back: where weft__wake_one returns to */
    uint8_t worker;   /* + 1 */
    uint8_t spinning, wake, at, look, gathered, pushes;
};

struct world {
    uint8_t ring[THREADS], global, buffered;
    uint8_t idle, idle_machs; /* sets */
    int8_t spinning;
    uint8_t poller; /* + 1 */
    uint8_t poked, poke, cascades, endless, twice;
    uint8_t events; /* 2: will come; 1: has come; 0: none */
    struct thread t[THREADS + 1];
};

static unsigned lowest(unsigned set)
{
    return (unsigned)__builtin_ctz(set);
}

static bool take_idle(struct world *w, struct thread *t)
{
    if (!w->idle)
        return false;
    unsigned i = lowest(w->idle);
    w->idle &= (uint8_t) ~(1u << i);
    w->twice |= t->worker != 0;
    t->worker = (uint8_t)(i + 1);
    return true;
}

/* What touches nothing shared is no step of its own. */
static void go(struct thread *t, enum pc pc)
{
    if (pc == BACK) {
        pc = t->back;
        t->back = 0;
    }
    if (pc == FIND)
        pc = t->worker ? LOOK_RING : REST;
    if (pc == FOUND && !t->spinning)
        pc = RUN;
    t->pc = (uint8_t)pc;
    t->at = 0;
}

static void wake(struct thread *t, enum pc first, enum pc back)
{
    t->back = (uint8_t)back;
    go(t, first);
}

/* One load of any_work: 0 not decided yet, 1 there is work, 2 there is none. */
static int look(const struct world *w, struct thread *t)
{
    bool found = t->at == 0 ? w->global > 0 : w->ring[t->at - 1] > 0;
    return found ? 1 : ++t->at > THREADS ? 2 : 0;
}

static int step_find(struct world *w, struct thread *t, int choice)
{
    uint8_t *ring = t->worker ? &w->ring[t->worker - 1] : NULL;
    switch (t->pc) {
    case LOOK_RING:
        if (*ring)
            --*ring, go(t, FOUND);
        else
            go(t, LOOK_GLOBAL);
        return STEP_TAKEN;
    case LOOK_GLOBAL:
        if (w->global)
            w->global--, go(t, FOUND);
        else
            go(t, t->spinning ? SPIN : START_SPINNING);
        return STEP_TAKEN;
    case START_SPINNING:
        if (w->spinning * 2 >= THREADS - __builtin_popcount(w->idle))
            go(t, GO_IDLE);
        else
            t->spinning = 1, w->spinning++, go(t, SPIN);
        return STEP_TAKEN;
    case SPIN: /* a look at each victim in any order, and an end at any time */
        if (choice == THREADS) {
            go(t, GO_IDLE);
            return STEP_TAKEN;
        }
        if (w->ring[choice])
            w->ring[choice]--, go(t, FOUND);
        return STEP_MORE;
    case GO_IDLE:
        if (w->global) {
            go(t, FIND);
            return STEP_TAKEN;
        }
        w->idle |= (uint8_t)(1u << (t->worker - 1));
        t->worker = 0;
        go(t, DROP);
        return STEP_TAKEN;
    case DROP:
        w->spinning = (int8_t)(w->spinning - t->spinning);
        t->spinning = 0;
        go(t, mutant == NO_LOOK_AFTER_IDLE || mutant == NO_LOOK_AT_ALL ? FIND : LOOK_AGAIN);
        return STEP_TAKEN;
    case LOOK_AGAIN:
        switch (look(w, t)) {
        case 1:
            go(t, TAKE_BACK);
            break;
        case 2:
            go(t, FIND);
        }
        return STEP_TAKEN;
    default: /* TAKE_BACK */
        if (take_idle(w, t))
            t->spinning = 1, w->spinning++;
        go(t, FIND);
        return STEP_TAKEN;
    }
}

static int step_poller(struct world *w, struct thread *t, int index)
{
    switch (t->pc) {
    case BE_POLLER:
        if (w->poller)
            go(t, LINK);
        else
            w->poller = (uint8_t)(index + 1), go(t, POLL_LOOK);
        return STEP_TAKEN;
    case POLL_LOOK:
        if (mutant == NO_LOOK_BEFORE_POLL || mutant == NO_LOOK_AT_ALL) {
            go(t, POLL_WAIT);
            return STEP_TAKEN;
        }
        switch (look(w, t)) {
        case 1:
            t->look = 1, go(t, POLL_WAIT);
            break;
        case 2:
            t->look = w->poked, go(t, POLL_WAIT);
        }
        return STEP_TAKEN;
    case POLL_WAIT:
        if (!t->look && !w->poke && w->events != 1)
            return STEP_BLOCKED;
        t->gathered = w->events == 1;
        w->events = w->events == 2 ? 2 : 0;
        w->poke = t->look = 0;
        go(t, POLL_LEAVE);
        return STEP_TAKEN;
    case POLL_LEAVE:
        w->poller = 0;
        go(t, POLL_TOKEN);
        return STEP_TAKEN;
    case POLL_TOKEN:
        if (w->poked) {
            w->poked = 0;
            w->spinning = (int8_t)(w->spinning - t->spinning);
            t->spinning = 1;
        }
        go(t, POLL_TAKE);
        return STEP_TAKEN;
    case POLL_TAKE:
        go(t, take_idle(w, t) ? INJECT : POLL_DROP);
        return STEP_TAKEN;
    case POLL_DROP:
        w->spinning = (int8_t)(w->spinning - t->spinning);
        t->spinning = 0;
        go(t, INJECT);
        return STEP_TAKEN;
    default: /* INJECT: one alone needs no waking if we have a worker */
        if (!t->gathered) {
            go(t, FIND);
        } else if (t->worker) {
            w->ring[t->worker - 1]++;
            go(t, FIND);
        } else {
            w->global++;
            wake(t, SURPLUS_IDLE, FIND);
        }
        t->gathered = 0;
        return STEP_TAKEN;
    }
}

static int step_rest(struct world *w, struct thread *t, int index)
{
    switch (t->pc) {
    case REST:
        go(t, w->idle ? BE_POLLER : LINK);
        return STEP_TAKEN;
    case LINK:
        if (w->idle && w->global) {
            take_idle(w, t);
            go(t, FIND);
            return STEP_TAKEN;
        }
        w->idle_machs |= (uint8_t)(1u << index);
        go(t, mutant == NO_LOOK_AFTER_LINK ? SLEEP : LINK_LOOK);
        return STEP_TAKEN;
    case LINK_LOOK:
        switch (look(w, t)) {
        case 1:
            wake(t, SURPLUS_IDLE, SLEEP);
            break;
        case 2:
            go(t, SLEEP);
        }
        return STEP_TAKEN;
    default: /* SLEEP */
        if (!t->wake)
            return STEP_BLOCKED;
        t->wake = 0;
        go(t, FIND);
        return STEP_TAKEN;
    }
}

static int step_run(struct world *w, struct thread *t, int choice)
{
    switch (t->pc) {
    case FOUND:
        t->spinning = 0;
        go(t, --w->spinning == 0 && mutant != NO_WAKE_WHEN_FOUND ? FOUND_IDLE : RUN);
        return STEP_TAKEN;
    case FOUND_IDLE:
        if (w->idle)
            wake(t, WAKE_ONE, RUN);
        else
            go(t, RUN);
        return STEP_TAKEN;
    case RUN: /* some pieces make another, some never end */
        if (w->endless && choice == 0) {
            w->endless--;
            go(t, HOG);
            return STEP_MORE;
        }
        if (w->cascades) {
            w->cascades--;
            w->ring[t->worker - 1]++;
            wake(t, SURPLUS_IDLE, FIND);
            return STEP_TAKEN;
        }
        go(t, FIND);
        return STEP_TAKEN;
    case PUSH:
        if (!t->pushes) {
            go(t, HOG);
            return STEP_TAKEN;
        }
        t->pushes--;
        w->buffered++;
        wake(t, PUSH_FENCE, PUSH);
        return STEP_TAKEN;
    case PUSH_FENCE:
        if (w->buffered && mutant != NO_FENCE_AFTER_PUSH)
            return STEP_BLOCKED;
        go(t, SURPLUS_IDLE);
        return STEP_TAKEN;
    default:
        return STEP_BLOCKED; /* HOG, GONE */
    }
}

static int step_wake(struct world *w, struct thread *t)
{
    switch (t->pc) {
    case SURPLUS_IDLE:
        go(t, w->idle ? SURPLUS_SPIN : BACK);
        return STEP_TAKEN;
    case SURPLUS_SPIN:
        go(t, w->spinning ? BACK : WAKE_ONE);
        return STEP_TAKEN;
    case WAKE_ONE:
        if (w->buffered && t == &w->t[0])
            return STEP_BLOCKED; /* a compare-and-swap drains the buffer */
        if (w->spinning)
            go(t, BACK);
        else
            w->spinning = 1, go(t, TOKEN_LOCK);
        return STEP_TAKEN;
    case TOKEN_LOCK:
        if (w->idle && w->idle_machs) {
            unsigned i = lowest(w->idle_machs);
            w->idle_machs &= (uint8_t) ~(1u << i);
            take_idle(w, &w->t[i]);
            w->t[i].spinning = w->t[i].wake = 1;
            go(t, BACK);
        } else {
            go(t, TOKEN_POLLER);
        }
        return STEP_TAKEN;
    case TOKEN_POLLER:
        go(t, w->poller ? TOKEN_IDLE : TOKEN_GIVE);
        return STEP_TAKEN;
    case TOKEN_IDLE:
        go(t, w->idle ? TOKEN_POKE : TOKEN_GIVE);
        return STEP_TAKEN;
    case TOKEN_POKE:
        go(t, w->poked ? TOKEN_GIVE : TOKEN_STILL);
        w->poked = 1;
        return STEP_TAKEN;
    case TOKEN_STILL:
        if (w->poller)
            w->poke = 1, go(t, BACK);
        else
            go(t, TOKEN_UNPOKE);
        return STEP_TAKEN;
    case TOKEN_UNPOKE:
        if (w->poked)
            go(t, TOKEN_LOCK);
        else
            go(t, mutant == TOKEN_TWICE ? TOKEN_GIVE : BACK);
        w->poked = 0;
        return STEP_TAKEN;
    case TOKEN_GIVE:
        if (mutant != TOKEN_KEPT)
            w->spinning--;
        go(t, mutant == NO_LOOK_AFTER_GIVING ? BACK : TOKEN_LOOK);
        return STEP_TAKEN;
    default: /* TOKEN_LOOK: only for one who sleeps already; others look when they lie down */
        if (!w->idle || (!w->idle_machs && !w->poller)) {
            go(t, BACK);
            return STEP_TAKEN;
        }
        switch (look(w, t)) {
        case 1:
            go(t, WAKE_ONE);
            break;
        case 2:
            go(t, BACK);
        }
        return STEP_TAKEN;
    }
}

static int step_stranger(struct world *w, struct thread *t)
{
    if (t->pc == GONE || (t->pc == PUSH && !t->pushes))
        return STEP_BLOCKED;
    if (t->pc != PUSH)
        return step_wake(w, t);
    t->pushes--;
    w->global++; /* under the lock */
    wake(t, SURPLUS_IDLE, PUSH);
    return STEP_TAKEN;
}

static int step(void *state, int mover, int choice)
{
    struct world *w = state;
    if (mover == DRAIN) {
        if (!w->buffered)
            return STEP_BLOCKED;
        w->buffered--;
        w->ring[0]++;
        return STEP_TAKEN;
    }
    if (mover == EVENT) { /* an event that was expected comes */
        if (w->events != 2)
            return STEP_BLOCKED;
        w->events = 1;
        return STEP_TAKEN;
    }
    struct thread *t = &w->t[mover];
    if (mover == STRANGER)
        return step_stranger(w, t);
    if (t->pc < REST)
        return step_find(w, t, choice);
    if (t->pc == REST || (t->pc >= LINK && t->pc <= SLEEP))
        return step_rest(w, t, mover);
    if (t->pc < LINK)
        return step_poller(w, t, mover);
    if (t->pc >= SURPLUS_IDLE && t->pc <= TOKEN_LOOK)
        return step_wake(w, t);
    return step_run(w, t, choice);
}

static const char *wrong(const void *state)
{
    const struct world *w = state;
    if (w->twice)
        return "a thread drives two workers";
    return w->spinning < 0 ? "a token was given back twice" : NULL;
}

static const char *stuck(const void *state)
{
    const struct world *w = state;
    unsigned queued = w->global;
    for (int i = 0; i < THREADS; i++)
        queued += w->ring[i];
    if (queued && w->idle)
        return "a wake-up was lost";
    return w->spinning ? "a token was lost" : NULL;
}

static void show(const void *state)
{
    const struct world *w = state;
    printf("# rings %d%d%d global %d buffer %d idle %x machs %x spinning %d poller %d poked %d "
           "poke %d |",
        w->ring[0], w->ring[1], w->ring[2], w->global, w->buffered, w->idle, w->idle_machs,
        w->spinning, w->poller, w->poked, w->poke);
    for (int i = 0; i <= THREADS; i++)
        printf(" %d/%d%s", w->t[i].pc, w->t[i].worker, w->t[i].spinning ? "s" : "");
    printf("\n");
}

static const struct model model = {
    "park and wake", sizeof(struct world), MOVERS, step, wrong, stuck, show};

/* pushes by a hog, pushes by a stranger, events awaited, pieces of work that make another, that
 * may never end */
static struct world world(int hog, int stranger, int events, int cascades, int endless)
{
    struct world w = {
        .cascades = (uint8_t)cascades, .endless = (uint8_t)endless, .events = events ? 2 : 0};
    for (int i = 0; i < THREADS; i++)
        w.t[i] = (struct thread){.pc = LOOK_RING, .worker = (uint8_t)(i + 1)};
    if (hog)
        w.t[0].pc = PUSH, w.t[0].pushes = (uint8_t)hog;
    w.t[STRANGER] = (struct thread){.pc = stranger ? PUSH : GONE, .pushes = (uint8_t)stranger};
    return w;
}

static void holds(int hog, int stranger, int events, int cascades, int endless)
{
    struct world w = world(hog, stranger, events, cascades, endless);
    explore_holds(&model, &w);
}

/* Cases of a minute and a gigabyte are for `make stress`. */
static bool at_length(void)
{
    return test_stress_seconds() >= 30;
}

TEST(hog_holds)
{
    holds(2, 0, 0, 0, 1);
}

TEST(hog_and_stranger_hold)
{
    if (at_length())
        holds(2, 1, 0, 0, 0);
    else
        holds(1, 1, 0, 0, 0);
}

TEST(events_hold)
{
    holds(at_length() ? 2 : 1, 0, 1, 0, 1);
}

TEST(work_that_makes_work_holds)
{
    holds(at_length() ? 2 : 1, 0, 0, 1, 1);
}

static void bites(enum mutant m, struct world w, const char *what)
{
    mutant = m;
    explore_bites(&model, &w, what);
}

TEST(mutants_are_found_out)
{
    bites(NO_FENCE_AFTER_PUSH, world(1, 0, 0, 0, 0), "a wake-up was lost");
    bites(NO_LOOK_AT_ALL, world(1, 0, 0, 0, 0), "a wake-up was lost");
    bites(NO_LOOK_AFTER_LINK, world(2, 0, 0, 0, 1), "a wake-up was lost");
    bites(NO_LOOK_AFTER_GIVING, world(1, 1, 0, 0, 0), "a wake-up was lost");
    bites(NO_LOOK_BEFORE_POLL, world(2, 0, 0, 0, 1), "a wake-up was lost");
    bites(NO_WAKE_WHEN_FOUND, world(2, 0, 0, 0, 1), "a wake-up was lost");
    bites(TOKEN_TWICE, world(2, 0, 0, 0, 0), "given back twice");
    bites(TOKEN_KEPT, world(1, 0, 0, 0, 0), "was lost");
}

/* The look in go_idle saves the way to sleep and back; the looks on lying down suffice. */
TEST(look_in_go_idle_is_not_needed)
{
    mutant = NO_LOOK_AFTER_IDLE;
    holds(2, 0, 0, 0, 1);
}
