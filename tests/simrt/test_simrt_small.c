// SPDX-License-Identifier: Apache-2.0
/*
 * test_simrt_small.c - the explorer itself, by programs whose schedules can be counted and whose
 * mistakes are known; and the runtime's smallest parts, alone, by exhaustive search: its lock and a
 * worker's ring.
 */
#include <unistd.h>

#include "base/atomic.h"
#include "base/lock.h"
#include "sched/ring.h"
#include "sched/worker.h"
#include "simrt.h"

#undef _exit

/* ---- the explorer: what it must find, and how many schedules there are ---- */

static _Atomic uint32_t x, y;
static uint32_t saw[2];

static void *adds(void *arg)
{
    uint32_t v = at_load(&x);
    at_store(&x, v + 1);
    return arg;
}

static void two_add(void *arg)
{
    x = 0;
    unsigned long a = simrt_thread("a", adds, NULL), b = simrt_thread("b", adds, NULL);
    simrt_window(true);
    simrt_join(a);
    simrt_join(b);
    simrt_window(false);
    SIMRT_CHECK(!arg || x == 2);
}

static const struct simrt_opts found_by[] = {
    {.name = "lost_update", .mode = SIMRT_EXHAUSTIVE, .preemptions = 1},
    {.name = "lost_update", .schedules = 1000},
    {.name = "lost_update", .mode = SIMRT_PCT, .schedules = 1000},
    {.name = "lost_update", .mode = SIMRT_REDUCED},
};
static unsigned mode;

static void look_for_lost_update(void)
{
    simrt_explore(two_add, &x, &found_by[mode]);
}

TEST(a_lost_update_is_found)
{
    for (mode = 0; mode < 4; mode++)
        EXPECT_DEATH(look_for_lost_update, "x == 2");
}

/* The turn goes from main to one of the two when it waits for them (2 ways), and to another when
 * one has ended (the other, or main, which may go on if that was a). Without preemptions: a b main,
 * b a main, and a main b main. */
TEST(schedules_are_counted)
{
    struct simrt_opts o = {.name = "count", .mode = SIMRT_EXHAUSTIVE};
    struct simrt_result r = simrt_explore(two_add, NULL, &o);
    CHECK(r.complete);
    CHECK_EQ(r.schedules, 3);
}

/* With reduction, and so without a bound: a's two before b's, b's before a's, both loads before the
 * stores in two orders; each of these with each join before or after the end that it waits for. */
TEST(orders_are_counted)
{
    struct simrt_opts o = {.name = "count", .mode = SIMRT_REDUCED};
    struct simrt_result r = simrt_explore(two_add, NULL, &o);
    CHECK(r.complete);
    CHECK_EQ(r.schedules, 4 * 4);
}

static void *left_side(void *arg)
{
    at_store_rel(&x, 1); /* [mo:alone: the test's subject] */
    if (arg)
        at_fence();
    saw[0] = at_load(&y);
    return NULL;
}

static void *right_side(void *arg)
{
    at_store_rel(&y, 1); /* [mo:alone: the test's subject] */
    if (arg)
        at_fence();
    saw[1] = at_load(&x);
    return NULL;
}

/* Dekker's pattern. */
static void dekker(void *arg)
{
    x = y = 0;
    unsigned long a = simrt_thread("a", left_side, arg), b = simrt_thread("b", right_side, arg);
    simrt_window(true);
    simrt_join(a);
    simrt_join(b);
    simrt_window(false);
    SIMRT_CHECK(saw[0] || saw[1]);
}

static void dekker_without_fences(void)
{
    struct simrt_opts o = {
        .name = "dekker", .mode = SIMRT_EXHAUSTIVE, .preemptions = 3, .tso = true};
    simrt_explore(dekker, NULL, &o);
}

static void dekker_by_chance(void)
{
    struct simrt_opts o = {.name = "dekker", .schedules = 5000, .tso = true};
    simrt_explore(dekker, NULL, &o);
}

TEST(a_missing_fence_is_found)
{
    struct simrt_opts o = {.name = "dekker_sc", .mode = SIMRT_EXHAUSTIVE, .preemptions = 3};
    EXPECT_DEATH(dekker_without_fences, "saw[0] || saw[1]");
    EXPECT_DEATH(dekker_by_chance, "saw[0] || saw[1]");
    CHECK(simrt_explore(dekker, NULL, &o).complete); /* no store buffers: nothing to find */
    o.tso = true;
    CHECK(simrt_explore(dekker, &o, &o).complete);
}

static void *sleeps(void *arg)
{
    if (at_load(&x) == 0)
        weft__futex_wait(&y, 0, -1);
    return arg;
}

/* A wake-up between the look at x and the sleep is lost. */
static void forgets_sleeper(void *arg)
{
    x = y = 0;
    unsigned long t = simrt_thread("sleeper", sleeps, arg);
    simrt_window(true);
    at_store(&x, 1);
    weft__futex_wake(&y, 1);
    simrt_join(t);
    simrt_window(false);
}

static void look_for_sleeper(void)
{
    struct simrt_opts o = {.name = "forgets", .schedules = 1000};
    simrt_explore(forgets_sleeper, NULL, &o);
}

static void search_for_sleeper(void)
{
    struct simrt_opts o = {.name = "forgets", .mode = SIMRT_REDUCED};
    simrt_explore(forgets_sleeper, NULL, &o);
}

TEST(a_sleeper_for_good_is_found)
{
    EXPECT_DEATH(look_for_sleeper, "all threads sleep for good");
    EXPECT_DEATH(search_for_sleeper, "all threads sleep for good");
}

/* The name that a failure gives itself leads to the same failure, told from its first step on. */
static void replay_lost_update(void)
{
    setenv("WEFT_SIM_REPLAY", "lost_update@path:3+1.", 1);
    mode = 0;
    look_for_lost_update();
}

TEST(a_schedule_is_replayed_step_by_step)
{
    mode = 0;
    EXPECT_DEATH(look_for_lost_update, "WEFT_SIM_REPLAY='lost_update@path:3+1.'");
    EXPECT_DEATH(replay_lost_update, ": load &x 0 [");
    EXPECT_DEATH(replay_lost_update, "x == 2");
}

/* ---- lock.c ---- */

enum { TURNS = 2 };
static struct weft__lock lock;
static int inside, turns;

static void *locks(void *arg)
{
    for (int i = 0; i < TURNS; i++) {
        weft__lock(&lock, WEFT__RANK_SCHED);
        SIMRT_CHECK(inside++ == 0);
        turns++;
        SIMRT_CHECK(--inside == 0);
        weft__unlock(&lock);
    }
    return arg;
}

static void lock_crowd(void *arg)
{
    unsigned long t[3];
    lock.word = 0;
    inside = turns = 0;
    for (int i = 0; i < 3; i++)
        t[i] = simrt_thread("locker", locks, arg);
    simrt_window(true);
    for (int i = 0; i < 3; i++)
        simrt_join(t[i]);
    simrt_window(false);
    SIMRT_CHECK(turns == 3 * TURNS && lock.word != 1);
}

TEST(the_lock_excludes_and_wakes)
{
    struct simrt_opts o = {
        .name = "lock", .mode = SIMRT_EXHAUSTIVE, .preemptions = 2, .schedules = 20000};
    CHECK(simrt_explore(lock_crowd, NULL, &o).schedules > 100);
    o = (struct simrt_opts){.name = "lock", .schedules = 3000, .tso = true};
    simrt_explore(lock_crowd, NULL, &o);
}

/* ---- runq.c: an owner, and a thief that has a ring of its own ---- */

enum { PUT = 4 };
static struct weft__worker own, other;
static struct weft__fiber things[PUT];
static uint32_t got[PUT];

static void take(struct weft__fiber *f)
{
    if (f)
        SIMRT_CHECK(++got[f - things] == 1);
}

static void *steals(void *arg)
{
    for (int i = 0; i < 2; i++)
        take(weft__ring_steal(&other, &own, true));
    for (struct weft__fiber *f; (f = weft__ring_pop(&other));)
        take(f);
    return arg;
}

static void ring_race(void *arg)
{
    memset(got, 0, sizeof got);
    own.head = own.tail = other.head = other.tail = 0xfffffffe; /* the counts go round */
    own.next = NULL;
    unsigned long t = simrt_thread("thief", steals, arg);
    simrt_window(true);
    for (int i = 0; i < PUT; i++) {
        weft__ring_push(&own, &things[i]);
        if (i & 1)
            take(weft__ring_pop(&own));
    }
    for (struct weft__fiber *f; (f = weft__ring_pop(&own));)
        take(f);
    simrt_join(t);
    simrt_window(false);
    for (int i = 0; i < PUT; i++)
        SIMRT_CHECK(got[i] == 1);
}

TEST(the_ring_loses_and_doubles_nothing)
{
    struct simrt_opts o = {.name = "ring", .mode = SIMRT_EXHAUSTIVE, .preemptions = 2};
    CHECK(simrt_explore(ring_race, NULL, &o).complete);
    o.tso = true;
    CHECK(simrt_explore(ring_race, NULL, &o).complete);
    o = (struct simrt_opts){.name = "ring", .mode = SIMRT_REDUCED};
    CHECK(simrt_explore(ring_race, NULL, &o).complete);
    o = (struct simrt_opts){.name = "ring", .schedules = 3000, .tso = true};
    simrt_explore(ring_race, NULL, &o);
}
