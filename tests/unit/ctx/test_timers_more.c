// SPDX-License-Identifier: Apache-2.0
/*
 * test_timers_more.c - timers: what test_timers.c leaves of the conformance cases C23 to C25 of
 * docs/conformance.md: results of stop and reset that race with the firing, one timer for many
 * fibers, a million timers of no duration, tickers that change, functions that start functions.
 *
 * What needs an exact clock (the order of arrival, the value's time) is in test_sim_bubble.c, under
 * virtual time.
 */
#include "rig.h"

/* ---- C23: results ---- */

static void add_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void await(atomic_int *count, int n)
{
    while (atomic_load(count) < n)
        CHECK_EQ(weft_sleep(100 * WEFT_US), 0);
}

/* The function runs, or stop says that it kept it from running: never both, never neither. */
FIBER_TEST(C23_stop_tells_whether_the_function_runs)
{
    enum { N = 2000 };
    uint64_t seed = test_seed();
    atomic_int count = 0;
    int kept = 0;
    for (int i = 0; i < N; i++) {
        weft_timer *t =
            weft_timer_func((int64_t)(rig_random(&seed) % 20) * WEFT_US, add_one, &count);
        CHECK(t);
        for (uint32_t n = rig_random(&seed) % 4; n > 0; n--)
            weft_yield();
        kept += weft_timer_stop(t);
        CHECK(!weft_timer_stop(t));
        weft_timer_free(t);
    }
    await(&count, N - kept);
    CHECK_EQ(weft_sleep(2 * WEFT_MS), 0);
    CHECK_EQ(count, N - kept);
}

/* Reset tells the same of the run that it replaces. */
FIBER_TEST(C23_reset_tells_whether_the_function_runs)
{
    enum { N = 2000 };
    uint64_t seed = test_seed();
    atomic_int count = 0;
    int replaced = 0;
    weft_timer *t = weft_timer_func(0, add_one, &count);
    CHECK(t);
    for (int i = 1; i < N; i++) {
        for (uint32_t n = rig_random(&seed) % 4; n > 0; n--)
            weft_yield();
        replaced += weft_timer_reset(t, (int64_t)(rig_random(&seed) % 20) * WEFT_US);
    }
    await(&count, N - replaced);
    CHECK_EQ(weft_sleep(2 * WEFT_MS), 0);
    CHECK_EQ(count, N - replaced);
    CHECK(!weft_timer_stop(t));
    weft_timer_free(t);
}

/* Of a timer with a channel: true as long as nobody has the value, however long ago it fired. */
FIBER_TEST(C23_results_of_a_channel_timer)
{
    for (int received = 0; received < 2; received++)
        for (int reset = 0; reset < 2; reset++)
            for (int i = 0; i < 50; i++) {
                weft_timer *t = weft_timer_new(i % 2 ? WEFT_US : WEFT_HOUR);
                CHECK(t);
                if (received) {
                    weft_timer_reset(t, 0);
                    CHECK_EQ(weft_chan_recv(weft_timer_chan(t), NULL), 1);
                } else if (i % 2) {
                    CHECK_EQ(weft_sleep(5 * WEFT_US), 0);
                }
                bool was = reset ? weft_timer_reset(t, WEFT_HOUR) : weft_timer_stop(t);
                CHECK_EQ(was, !received);
                CHECK_EQ(weft_chan_try_recv(weft_timer_chan(t), NULL), -EAGAIN);
                CHECK_EQ(weft_timer_stop(t), reset);
                weft_timer_free(t);
            }
}

static int pulls_at_it(void *arg)
{
    weft_timer *t = arg;
    for (int i = 0; i < 3000; i++) {
        int rc = weft_chan_try_recv(weft_timer_chan(t), NULL);
        CHECK(rc == 1 || rc == -EAGAIN);
        if (i % 7 == 0)
            weft_timer_stop(t);
        weft_timer_reset(t, 1);
        if (i % 16 == 0)
            weft_yield();
    }
    return 0;
}

FIBER_TEST(C23_one_timer_for_many_fibers)
{
    for (int ticks = 0; ticks < 2; ticks++) {
        weft_timer *t = ticks ? weft_ticker_new(WEFT_US) : weft_timer_new(1);
        CHECK(t);
        WEFT_SCOPE(s);
        for (int i = 0; i < 8; i++)
            CHECK_EQ(weft_go(&s, pulls_at_it, t), 0);
        CHECK_EQ(weft_wait(&s), 0);
        weft_timer_reset(t, WEFT_HOUR); /* whatever was under way is not received any more */
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
        CHECK_EQ(weft_chan_try_recv(weft_timer_chan(t), NULL), -EAGAIN);
        CHECK(weft_timer_stop(t));
        weft_timer_free(t);
    }
}

/* ---- C24: functions, sleeps, many ---- */

struct chain {
    atomic_int left;
    weft_sema over;
};

static void next_of_chain(void *arg)
{
    struct chain *c = arg;
    if (atomic_fetch_sub(&c->left, 1) > 1) {
        weft_timer *t = weft_timer_func(0, next_of_chain, c);
        CHECK(t);
        (void)weft_sleep(WEFT_MS); /* its end must not matter to those after it */
        weft_timer_free(t);
    } else {
        weft_sema_release(&c->over, 1);
    }
}

FIBER_TEST(C24_functions_that_start_functions)
{
    static struct chain c; /* the last but one sleeps on when the last has ended */
    c = (struct chain){.left = 10, .over = WEFT_SEMA_INIT(0)};
    weft_timer *t = weft_timer_func(0, next_of_chain, &c);
    CHECK(t);
    CHECK_EQ(weft_sema_acquire(&c.over, 1), 0);
    CHECK_EQ(c.left, 0);
    weft_timer_free(t);
}

FIBER_TEST(C24_sleeps_of_no_duration)
{
    weft_chan *c;
    int v = 0;
    CHECK_EQ(weft_chan_new(sizeof v, 1, &c), 0);
    for (int i = 0; i < 1000; i++) {
        CHECK_EQ(weft_sleep(i % 3 ? 0 : -WEFT_SEC), 0);
        CHECK_EQ(weft_chan_send(c, &i), 0);
        CHECK_EQ(weft_chan_recv(c, &v), 1);
        CHECK_EQ(v, i);
    }
    CHECK_EQ(weft_sleep(INT64_MIN), 0);
    weft_chan_free(c);
}

FIBER_TEST(C24_afters_one_behind_the_other)
{
    int64_t start = weft_now();
    for (int i = 0; i < 10; i++) {
        weft_chan *c = weft_after(WEFT_MS);
        CHECK(c);
        CHECK_EQ(weft_chan_recv(c, NULL), 1);
        weft_chan_free(c);
    }
    CHECK(weft_now() - start >= 10 * WEFT_MS);
}

static void release(void *arg)
{
    weft_sema_release(arg, 1);
}

enum { MILLION = TEST_SLOW ? 20000 : 1000000 };

/* One timer again and again, a new one each time, and functions: each fires. */
FIBER_TEST(C24_a_million_timers_of_no_duration)
{
    static weft_sema fired;
    weft_sema_init(&fired, 0, NULL);
    weft_timer *again = weft_timer_new(0), *t;
    CHECK(again);
    for (int i = 0; i < MILLION; i++) {
        switch (i % 10) {
        case 0:
            t = weft_timer_new(0);
            CHECK(t);
            CHECK_EQ(weft_chan_recv(weft_timer_chan(t), NULL), 1);
            weft_timer_free(t);
            break;
        case 1:
            t = weft_timer_func(0, release, &fired);
            CHECK(t);
            CHECK_EQ(weft_sema_acquire(&fired, 1), 0);
            weft_timer_free(t);
            break;
        default:
            weft_timer_reset(again, 0);
            CHECK_EQ(weft_chan_recv(weft_timer_chan(again), NULL), 1);
        }
    }
    weft_timer_free(again);
}

/* The biggest sleep does not end but by its context, and holds up no other. */
static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep(INT64_MAX) == -ECANCELED ? 0 : -EIO;
}

FIBER_TEST(C24_the_largest_sleep)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(weft_go(&s, sleeps_for_ever, NULL), 0);
    CHECK_EQ(weft_select(WEFT_AFTER(INT64_MAX), WEFT_AFTER(5 * WEFT_MS)), 1);
    CHECK_EQ(weft_scope_live(&s), 4);
    weft_scope_cancel(&s);
    CHECK_EQ(weft_wait(&s), 0);
}

/* ---- C25: a timer is served although there is always somebody to run ---- */

struct busy {
    weft_chan *chan;
    atomic_bool stop;
    atomic_int ended;
};

static int fills(void *arg)
{
    struct busy *b = arg;
    while (!b->stop)
        CHECK_EQ(weft_chan_send(b->chan, "x"), 0);
    weft_chan_close(b->chan);
    return 0;
}

static int empties(void *arg)
{
    struct busy *b = arg;
    while (weft_chan_recv(b->chan, NULL) == 1)
        ;
    return 0;
}

static void stops(void *arg)
{
    ((struct busy *)arg)->stop = true;
}

FIBER_TEST(C25_a_function_behind_a_busy_channel)
{
    for (int i = 0; i < 20; i++) {
        struct busy b = {.stop = false};
        CHECK_EQ(weft_chan_new(1, 1, &b.chan), 0);
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, fills, &b), 0);
        CHECK_EQ(weft_go(&s, empties, &b), 0);
        weft_timer *t = weft_timer_func(WEFT_US, stops, &b);
        CHECK(t);
        CHECK_EQ(weft_wait(&s), 0);
        weft_timer_free(t);
        weft_chan_free(b.chan);
    }
}

static int offers(void *arg)
{
    weft_chan **c = arg;
    for (;;)
        if (weft_select(WEFT_SEND_TO(c[0], &(char){1}, NULL), WEFT_RECV_FROM(c[1], NULL, NULL)) !=
            0)
            return 0;
}

/* A select hears its timer beside two fibers that are always ready to send. */
FIBER_TEST(C25_a_timer_beside_two_that_always_send)
{
    weft_chan *c[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_chan_new(1, 0, &c[i]), 0);
    WEFT_SCOPE(s);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_go(&s, offers, c), 0);
    weft_chan *limit = weft_after(20 * WEFT_MS);
    CHECK(limit);
    while (weft_select(WEFT_RECV_FROM(c[0], NULL, NULL), WEFT_RECV_FROM(limit, NULL, NULL)) != 1)
        ;
    weft_chan_close(c[1]);
    CHECK_EQ(weft_wait(&s), 0);
    weft_chan_free(limit);
    for (int i = 0; i < 2; i++)
        weft_chan_free(c[i]);
}

static int meets_until_its_timer(void *arg)
{
    weft_chan *c = arg, *limit = weft_after(10 * WEFT_MS);
    char one = 1;
    CHECK(limit);
    while (weft_select(WEFT_SEND_TO(c, &one, NULL), WEFT_RECV_FROM(c, NULL, NULL),
               WEFT_RECV_FROM(limit, NULL, NULL)) != 2)
        ;
    weft_chan_free(limit);
    return 0;
}

/* Two that only ever meet each other: both hear their timers. */
FIBER_TEST(C25_timers_of_two_that_meet)
{
    weft_chan *c;
    CHECK_EQ(weft_chan_new(1, 0, &c), 0);
    WEFT_SCOPE(s);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_go(&s, meets_until_its_timer, c), 0);
    CHECK_EQ(weft_wait(&s), 0);
    weft_chan_free(c);
}

/* ---- C25: tickers ---- */

FIBER_TEST(C25_a_ticker_that_changes_its_period)
{
    int64_t start = weft_now();
    weft_timer *t = weft_ticker_new(2 * WEFT_MS);
    CHECK(t);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(weft_chan_recv(weft_timer_chan(t), NULL), 1);
    CHECK(weft_now() - start >= 10 * WEFT_MS);
    start = weft_now();
    weft_timer_reset(t, 4 * WEFT_MS);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(weft_chan_recv(weft_timer_chan(t), NULL), 1);
    CHECK(weft_now() - start >= 20 * WEFT_MS);
    weft_timer_stop(t);
    CHECK_EQ(weft_sleep(10 * WEFT_MS), 0);
    CHECK_EQ(weft_chan_try_recv(weft_timer_chan(t), NULL), -EAGAIN);
    weft_timer_free(t);
}

FIBER_TEST(C25_tickers_come_and_go)
{
    for (int i = 0; i < 3; i++) {
        weft_timer *t = weft_ticker_new(2 * WEFT_MS);
        CHECK(t);
        CHECK_EQ(weft_chan_recv(weft_timer_chan(t), NULL), 1);
        if (i != 1)
            weft_timer_stop(t);
        weft_timer_free(t); /* of one that ticks, too */
    }
}

static void no_period(void)
{
    weft_timer_reset(weft_ticker_new(WEFT_HOUR), 0);
}
static void negative_period(void)
{
    weft_timer_reset(weft_ticker_new(WEFT_HOUR), -1);
}
static void negative_ticker(void)
{
    weft_ticker_new(-1);
}

TEST(C25_misuse)
{
    EXPECT_DEATH(no_period, "period must be positive");
    EXPECT_DEATH(negative_period, "period must be positive");
    EXPECT_DEATH(negative_ticker, "period must be positive");
}

/* ---- C25: heaps of timers, and a queue that works on ---- */

static int sleeps_briefly(void *arg)
{
    (void)arg;
    return weft_sleep(10 * WEFT_US);
}

enum { QUEUED = 20 };

static int queues(void *arg)
{
    weft_chan **c = arg; /* in, out */
    int waiting = 0, got;
    char one = 1;
    for (;;)
        switch (weft_select(
            WEFT_RECV_FROM(c[0], NULL, &got), WEFT_SEND_TO(waiting ? c[1] : NULL, &one, NULL))) {
        case 0:
            if (!got)
                return 0;
            waiting++;
            break;
        default:
            waiting--;
        }
}

FIBER_TEST(C25_a_queue_beside_thousands_of_timers)
{
    enum { SLEEPERS = TEST_SLOW ? 500 : 5000, ROUNDS = TEST_SLOW ? 50 : 1000 };
    weft_chan *c[2];
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_chan_new(1, 0, &c[i]), 0);
    WEFT_SCOPE(s);
    for (int i = 0; i < SLEEPERS; i++)
        CHECK_EQ(weft_go(&s, sleeps_briefly, NULL), 0);
    CHECK_EQ(weft_go(&s, queues, c), 0);
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < QUEUED; k++)
            CHECK_EQ(weft_chan_send(c[0], "x"), 0);
        for (int k = 0; k < QUEUED; k++) /* each with a time-out that is started and stopped */
            CHECK_EQ(weft_select(WEFT_RECV_FROM(c[1], NULL, NULL), WEFT_AFTER(WEFT_HOUR)), 0);
    }
    weft_chan_close(c[0]);
    CHECK_EQ(weft_wait(&s), 0);
    for (int i = 0; i < 2; i++)
        weft_chan_free(c[i]);
}
