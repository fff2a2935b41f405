// SPDX-License-Identifier: Apache-2.0
/*
 * test_rank.c - debug builds watch the order of the runtime's locks, and that no fiber parks with
 * one (rank.h): what is allowed passes, on fibers that move between threads too, and each mistake
 * ends the process with its sentence.
 */
#include <pthread.h>

#include "base/futex.h"
#include "base/lock.h"
#include "sched/sched.h"
#include "test.h"

static struct weft__lock lock[64]; /* by rising address */

static void take(int i, enum weft__rank rank)
{
    weft__lock(&lock[i], rank);
}

TEST(ranks_that_rise_and_addresses_that_rise_pass)
{
    take(9, WEFT__RANK_ALARM);
    take(8, WEFT__RANK_CTX);
    take(3, WEFT__RANK_SYNC);
    take(4, WEFT__RANK_SYNC);
    take(7, WEFT__RANK_SYNC);
    take(1, WEFT__RANK_STACK);
    int order[] = {3, 9, 1, 4, 8, 7}; /* released in any order */
    for (int i = 0; i < 6; i++) {
        weft__unlock(&lock[order[i]]);
        CHECK_EQ(at_load(&lock[order[i]].word), 0);
    }
    take(9, WEFT__RANK_ALARM); /* nothing is left that would forbid it */
    weft__unlock(&lock[9]);
}

TEST(a_child_is_taken_below_its_parent)
{
    take(9, WEFT__RANK_CTX);
    weft__lock_below(&lock[5], WEFT__RANK_CTX, &lock[9]);
    weft__lock_below(&lock[7], WEFT__RANK_CTX, &lock[5]);
    take(1, WEFT__RANK_SYNC);
    weft__unlock(&lock[1]);
    weft__unlock(&lock[7]);
    weft__lock_below(&lock[2], WEFT__RANK_CTX, &lock[5]);
    weft__unlock(&lock[2]);
    weft__unlock(&lock[5]);
    weft__unlock(&lock[9]);
    take(0, WEFT__RANK_CTX);
    weft__unlock(&lock[0]);
}

TEST(more_locks_than_the_list_has_room_for)
{
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 64; i++)
            take(i, WEFT__RANK_SYNC);
        for (int i = 0; i < 64; i++)
            weft__unlock(&lock[round == 1 ? 63 - i : i]);
    }
    take(0, WEFT__RANK_ALARM);
    weft__unlock(&lock[0]);
}

/* ---- parks hand their lock over, whoever releases it ---- */

enum { PLAYERS = 8, TURNS = 2000 };
static struct weft__lock gate;
static struct weft__fiber *waiter;
static _Atomic int players;

static int player(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        struct weft__fiber *f = weft__enter();
        weft__lock(&gate, WEFT__RANK_SYNC);
        struct weft__fiber *other = waiter;
        waiter = NULL;
        if (!other) {
            waiter = f;
            weft__park(WEFT__WAIT_OTHER, &gate, NULL, WEFT__PARK_HARD, weft__commit_unlock, &gate);
        } else {
            bool won = weft__claim(other);
            weft__unlock(&gate);
            CHECK(won);
            other->wake_result = 0;
            weft__ready(other);
        }
        if (i % 16 == 0)
            weft__yield();
        weft__leave();
    }
    at_sub(&players, 1);
    return 0;
}

/* The last to wait has nobody to meet. */
static int players_main(void *arg)
{
    (void)arg;
    at_store(&players, PLAYERS);
    for (int i = 0; i < PLAYERS; i++) {
        struct weft__spawn s = {.entry = player};
        weft__enter();
        CHECK_EQ(weft__spawn(&s, NULL), 0);
        weft__leave();
    }
    while (at_load(&players) > 0) {
        weft__enter();
        weft__lock(&gate, WEFT__RANK_SYNC);
        struct weft__fiber *f = at_load(&players) == 1 ? waiter : NULL;
        if (f)
            waiter = NULL;
        bool won = f && weft__claim(f);
        weft__unlock(&gate);
        if (won) {
            f->wake_result = 0;
            weft__ready(f);
        }
        weft__yield();
        weft__leave();
    }
    return 0;
}

static int run(int (*fn)(void *), unsigned workers)
{
    int result = -1;
    struct weft__sched_opts o = {.workers = workers};
    CHECK_EQ(weft__sched_run(fn, NULL, NULL, NULL, NULL, &o, &result), 0);
    return result;
}

TEST(a_park_hands_its_lock_over)
{
    CHECK_EQ(run(players_main, 1), 0);
    CHECK_EQ(run(players_main, 4), 0);
}

/* ---- the mistakes; release builds do not look for them ---- */
#ifndef NDEBUG

static void falling_rank(void)
{
    take(1, WEFT__RANK_SYNC);
    take(2, WEFT__RANK_CTX);
}

static void falling_address(void)
{
    take(2, WEFT__RANK_SYNC);
    take(1, WEFT__RANK_SYNC);
}

static void twice(void)
{
    take(1, WEFT__RANK_SYNC);
    take(1, WEFT__RANK_SYNC);
}

static void below_another(void)
{
    take(9, WEFT__RANK_CTX);
    weft__lock_below(&lock[5], WEFT__RANK_CTX, &lock[7]);
}

static void *taker(void *arg)
{
    (void)arg;
    take(1, WEFT__RANK_SYNC);
    return NULL;
}

static void of_another_thread(void)
{
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, taker, NULL), 0);
    pthread_join(t, NULL);
    weft__unlock(&lock[1]);
}

TEST(locks_out_of_order_end_the_process)
{
    EXPECT_DEATH(falling_rank, "lock order: rank CTX");
    EXPECT_DEATH(falling_rank, "while rank SYNC");
    EXPECT_DEATH(falling_rank, "test_rank.c:");
    EXPECT_DEATH(falling_address, "rank SYNC");
    EXPECT_DEATH(falling_address, "not in the order of their addresses");
    EXPECT_DEATH(twice, "a second time by its holder");
    EXPECT_DEATH(below_another, "not in the order of their addresses");
    EXPECT_DEATH(of_another_thread, "released by a thread that does not hold it");
}

static int park_with_a_lock(void *arg)
{
    (void)arg;
    weft__enter();
    take(1, WEFT__RANK_CTX);
    take(2, WEFT__RANK_SYNC);
    weft__park(WEFT__WAIT_OTHER, NULL, NULL, 0, weft__commit_unlock, &lock[2]);
    return 0;
}

static int park_without_commit(void *arg)
{
    (void)arg;
    weft__enter();
    take(2, WEFT__RANK_SYNC);
    weft__park(WEFT__WAIT_MUTEX, NULL, NULL, 0, NULL, NULL);
    return 0;
}

static int yield_with_a_lock(void *arg)
{
    (void)arg;
    weft__enter();
    take(2, WEFT__RANK_SYNC);
    weft__yield();
    return 0;
}

static void release_nothing(struct weft__fiber *f, void *arg)
{
    (void)f, (void)arg;
}

static int commit_forgets(void *arg)
{
    (void)arg;
    weft__enter();
    take(2, WEFT__RANK_SYNC);
    weft__rank_hand(&lock[2]);
    weft__park(WEFT__WAIT_MUTEX, NULL, NULL, 0, release_nothing, NULL);
    return 0;
}

#define ON_A_FIBER(fn)                                                                             \
    static void fiber_##fn(void)                                                                   \
    {                                                                                              \
        run(fn, 2);                                                                                \
    }                                                                                              \
    static void thread_##fn(void)                                                                  \
    {                                                                                              \
        fn(NULL);                                                                                  \
    }
ON_A_FIBER(park_with_a_lock)
ON_A_FIBER(park_without_commit)
ON_A_FIBER(yield_with_a_lock)
ON_A_FIBER(commit_forgets)

TEST(a_park_with_a_lock_ends_the_process)
{
    EXPECT_DEATH(fiber_park_with_a_lock, "misuse: park (other) by fiber");
    EXPECT_DEATH(fiber_park_with_a_lock,
        "while a runtime lock is held: the lock of rank CTX taken at test_rank.c:");
    EXPECT_DEATH(thread_park_with_a_lock, "misuse: park (other) by a plain thread");
    EXPECT_DEATH(fiber_park_without_commit, "park (mutex lock) by fiber");
    EXPECT_DEATH(thread_park_without_commit, "the lock of rank SYNC");
    EXPECT_DEATH(fiber_yield_with_a_lock, "park (yield) by fiber");
    EXPECT_DEATH(thread_yield_with_a_lock, "park (yield) by a plain thread");
}

static void enter_with_a_lock(void)
{
    take(1, WEFT__RANK_CTX);
    weft__enter();
}

static void leave_with_a_lock(void)
{
    weft__enter();
    take(1, WEFT__RANK_CTX);
    weft__leave();
}

TEST(a_lock_held_on_the_way_in_or_out_ends_the_process)
{
    EXPECT_DEATH(enter_with_a_lock,
        "misuse: runtime entered while a runtime lock is held: the lock of rank CTX taken at");
    EXPECT_DEATH(leave_with_a_lock,
        "misuse: runtime left while a runtime lock is held: the lock of rank CTX taken at");
}

TEST(a_commit_that_keeps_its_lock_ends_the_process)
{
    EXPECT_DEATH(fiber_commit_forgets, "the commit of a park has not released the lock of rank");
    EXPECT_DEATH(thread_commit_forgets, "the commit of a park has not released the lock of rank");
}
#endif
