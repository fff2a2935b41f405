// SPDX-License-Identifier: Apache-2.0
/*
 * test_timers.c - timer channels, tickers and functions that run later. C23 and C24 follow Go's
 * conformance tests of package time; C23 in the form of Go 1.23 (no stale value after Stop or
 * Reset).
 */
#include <signal.h>
#include <sys/time.h>

#include "rig.h"

static int ready(weft_timer *t)
{
    return weft_chan_try_recv(weft_timer_chan(t), NULL) == 1;
}

static int64_t receive(weft_timer *t)
{
    int64_t when;
    CHECK_EQ(weft_chan_recv(weft_timer_chan(t), &when), 1);
    return when;
}

/* ---- C23: Stop and Reset ---- */

FIBER_TEST(C23_reset_of_an_unfired_timer)
{
    int64_t start = weft_now();
    weft_timer *t = weft_timer_new(20 * WEFT_MS);
    CHECK(weft_timer_reset(t, 60 * WEFT_MS));
    int64_t again = weft_now();
    CHECK_EQ(weft_sleep_until(start + 30 * WEFT_MS), 0);
    if (weft_now() < again + 60 * WEFT_MS)
        CHECK(!ready(t) || weft_now() >= again + 60 * WEFT_MS);
    weft_timer_reset(t, 5 * WEFT_MS);
    int64_t last = weft_now();
    CHECK(receive(t) >= last + 5 * WEFT_MS - WEFT_MS);
    CHECK(!weft_timer_reset(t, WEFT_HOUR)); /* expired, and its value received */
    CHECK(weft_timer_stop(t));
    weft_timer_free(t);
}

FIBER_TEST(C23_stop)
{
    weft_timer *t = weft_timer_new(WEFT_HOUR);
    CHECK(weft_timer_stop(t));
    CHECK(!weft_timer_stop(t));
    CHECK(!weft_timer_reset(t, 0));
    receive(t);
    CHECK(!weft_timer_stop(t));
    weft_timer_free(t);
}

FIBER_TEST(C23_no_stale_value_after_stop_or_reset)
{
    for (int i = 0; i < 20; i++) {
        weft_timer *t = weft_timer_new(0);
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
        if (i % 2) {
            CHECK(weft_timer_stop(t)); /* fired, but nobody received it */
            CHECK(!ready(t));
            CHECK(!weft_timer_stop(t));
        } else {
            CHECK(weft_timer_reset(t, 2 * WEFT_MS));
            int64_t start = weft_now();
            CHECK(receive(t) >= start + WEFT_MS); /* the new value, not the old one */
        }
        weft_timer_free(t);
    }
}

FIBER_TEST(C23_reset_races_with_firing)
{
    uint64_t seed = test_seed();
    weft_timer *t = weft_timer_new(0);
    for (int i = 0; i < 2000; i++) {
        for (uint32_t n = rig_random(&seed) % 4; n > 0; n--)
            weft_yield();
        int64_t start = weft_now();
        weft_timer_reset(t, (int64_t)(rig_random(&seed) % 30) * WEFT_US);
        if (rig_random(&seed) % 2)
            CHECK(receive(t) >= start);
    }
    weft_timer_stop(t);
    CHECK_EQ(weft_sleep(WEFT_MS), 0);
    CHECK(!ready(t));
    weft_timer_free(t);
}

static void count_it(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

FIBER_TEST(C23_stopped_functions_do_not_run)
{
    enum { N = 100 };
    atomic_int count = 0;
    weft_timer *t[N];
    for (int i = 0; i < N; i++)
        t[i] = weft_timer_func(50 * WEFT_MS, count_it, &count);
    CHECK_EQ(weft_sleep(2 * WEFT_MS), 0);
    int stopped = 0;
    for (int i = 0; i < N; i++)
        stopped += weft_timer_stop(t[i]);
    CHECK_EQ(weft_sleep(60 * WEFT_MS), 0);
    CHECK_EQ(count + stopped, N);
    for (int i = 0; i < N; i++)
        weft_timer_free(t[i]);
}

static void use_null(void)
{
    weft_timer_stop(NULL);
}
static void reset_null(void)
{
    weft_timer_reset(NULL, 1);
}
static void bad_ticker(void)
{
    weft_ticker_new(0);
}
static void use_freed(void)
{
    weft_timer *t = weft_timer_new(WEFT_HOUR);
    weft_timer_free(t);
    weft_timer_stop(t);
}

TEST(C23_misuse)
{
    EXPECT_DEATH(use_null, "weft_timer_stop: called on an uninitialized timer");
    EXPECT_DEATH(reset_null, "weft_timer_reset: called on an uninitialized timer");
    EXPECT_DEATH(bad_ticker, "the period must be positive");
#if defined(__SANITIZE_ADDRESS__)
    EXPECT_DEATH(use_freed, "heap-use-after-free");
#elif !defined(NDEBUG)
    EXPECT_DEATH(use_freed, "use after free of timer");
#else
    CHECK(use_freed != NULL);
#endif
}

FIBER_TEST(C24_functions_run_on_a_fiber_of_their_own_and_again)
{
    atomic_int count = 0;
    weft_timer *t = weft_timer_func(0, count_it, &count);
    while (count < 1)
        weft_yield();
    CHECK(!weft_timer_stop(t));
    CHECK(!weft_timer_reset(t, WEFT_MS));
    while (count < 2)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    CHECK(weft_timer_chan(t) == NULL);
    weft_timer_free(t);
    t = weft_timer_func(0, count_it, &count);
    weft_timer_free(t); /* may or may not run, but touches nothing freed */
    t = weft_timer_func(-WEFT_SEC, count_it, &count);
    CHECK_EQ(weft_sleep(WEFT_MS), 0);
    weft_timer_free(t);
}

/* ---- C24: order and limits ---- */

struct arrival {
    int slot;
    weft_chan *out;
};

enum { SLOT = 3 };

static int after_slot(void *arg)
{
    struct arrival *a = arg;
    int64_t start = weft_now(), when;
    weft_chan *c = weft_after(a->slot * (int64_t)SLOT * WEFT_MS);
    CHECK_EQ(weft_chan_recv(c, &when), 1);
    weft_chan_free(c);
    CHECK(when >= start + a->slot * (int64_t)SLOT * WEFT_MS);
    return weft_chan_send(a->out, &when);
}

FIBER_TEST(C24_after_never_fires_early)
{
    static const int slots[] = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
    enum { N = sizeof slots / sizeof *slots };
    weft_chan *out;
    int64_t when;
    CHECK_EQ(weft_chan_new(sizeof when, N, &out), 0);
    WEFT_SCOPE(s);
    for (int i = 0; i < N; i++)
        CHECK_EQ(weft_go_copy(&s, after_slot, (struct arrival){slots[i], out}), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_chan_len(out), N);
    weft_chan_free(out);
}

FIBER_TEST(C24_timers_of_one_maker_fire_in_order)
{
    static const int slots[] = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
    enum { N = sizeof slots / sizeof *slots };
    weft_timer *t[N];
    int64_t start = weft_now(), when[N];
    for (int i = 0; i < N; i++)
        t[i] = weft_timer_new(start + slots[i] * (int64_t)SLOT * WEFT_MS - weft_now());
    for (int i = 0; i < N; i++)
        when[i] = receive(t[i]);
    for (int i = 0; i < N; i++) {
        CHECK(when[i] >= start + slots[i] * (int64_t)SLOT * WEFT_MS);
        weft_timer_free(t[i]);
    }
}

FIBER_TEST(C24_largest_duration_does_not_fire)
{
    weft_timer *t = weft_timer_new(INT64_MAX);
    weft_chan *c = weft_after(INT64_MAX);
    CHECK_EQ(weft_sleep(20 * WEFT_MS), 0);
    CHECK(!ready(t));
    CHECK_EQ(weft_chan_try_recv(c, NULL), -EAGAIN);
    CHECK(weft_timer_reset(t, 0));
    receive(t);
    CHECK(!weft_timer_reset(t, INT64_MAX - 1));
    CHECK(weft_timer_stop(t));
    weft_timer_free(t);
    weft_chan_free(c);
}

FIBER_TEST(C24_negative_fires_at_once)
{
    weft_timer *t = weft_timer_new(-WEFT_HOUR);
    receive(t);
    CHECK(!weft_timer_reset(t, INT64_MIN));
    receive(t);
    weft_timer_free(t);
    weft_chan *c = weft_after(INT64_MIN);
    CHECK_EQ(weft_chan_recv(c, NULL), 1);
    weft_chan_free(c);
}

FIBER_TEST(C24_many_zero_timers)
{
    for (int round = 0; round < 20; round++) {
        enum { N = 1000 };
        static weft_chan *c[N];
        for (int i = 0; i < N; i++)
            CHECK((c[i] = weft_after(0)) != NULL);
        for (int i = 0; i < N; i++) {
            CHECK_EQ(weft_chan_recv(c[i], NULL), 1);
            weft_chan_free(c[i]);
        }
    }
}

FIBER_TEST(C24_timers_modified_earlier_fire)
{
    enum { N = 1000 };
    static weft_timer *t[N];
    for (int i = 0; i < N; i++)
        t[i] = weft_timer_new(WEFT_HOUR);
    for (int round = 0; round < 10; round++)
        for (int i = 0; i < N; i++) {
            if (round % 2)
                weft_timer_stop(t[i]);
            weft_timer_reset(t[i], -WEFT_SEC);
        }
    for (int i = 0; i < N; i++) {
        receive(t[i]);
        weft_timer_free(t[i]);
    }
}

static int random_walk(void *arg)
{
    uint64_t seed = test_seed() ^ weft_self();
    (void)arg;
    weft_timer *t = weft_timer_new(0);
    for (int i = 0; i < 100; i++) {
        switch (rig_random(&seed) % 5) {
        case 0:
            weft_timer_stop(t);
            break;
        case 1:
            weft_timer_reset(t, WEFT_HOUR);
            break;
        case 2:
            weft_timer_reset(t, WEFT_MS);
            break;
        case 3:
            weft_timer_reset(t, 0);
            break;
        default:
            weft_yield();
        }
    }
    weft_timer_reset(t, 0);
    receive(t);
    CHECK(!ready(t));
    weft_timer_free(t);
    return 0;
}

FIBER_TEST(C24_adjusted_timers)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_go(&s, random_walk, NULL), 0);
    CHECK_EQ(weft_wait(&s), 0);
}

static int keep_sending(void *arg)
{
    int rc;
    while ((rc = weft_chan_send(arg, "x")) == 0)
        ;
    return rc == -ECANCELED ? 0 : rc;
}

FIBER_TEST(C24_a_timer_is_served_beside_a_busy_channel)
{
    weft_chan *busy;
    int which, count = 0;
    CHECK_EQ(weft_chan_new(1, 10, &busy), 0);
    {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, keep_sending, busy), 0);
        weft_timer *t = weft_timer_new(5 * WEFT_MS);
        CHECK(t != NULL);
        do {
            which = weft_select(
                WEFT_RECV_FROM(busy, NULL, NULL), WEFT_RECV_FROM(weft_timer_chan(t), NULL, NULL));
            CHECK(which == 0 || which == 1);
            count++;
        } while (which == 0);
        CHECK(count > 0);
        weft_timer_free(t);
    }
    weft_chan_free(busy);
}

static void on_alarm(int sig)
{
    (void)sig;
}

static int sleeps_whole(void *arg)
{
    int64_t start = weft_now();
    (void)arg;
    CHECK_EQ(weft_sleep(30 * WEFT_MS), 0);
    CHECK(weft_now() - start >= 30 * WEFT_MS);
    return 0;
}

static void sleeps_among_signals(unsigned workers)
{
    struct sigaction sa = {.sa_handler = on_alarm, .sa_flags = SA_ONSTACK | SA_RESTART};
    struct itimerval it = {.it_interval = {.tv_usec = 1000}, .it_value = {.tv_usec = 1000}};
    sigaction(SIGALRM, &sa, NULL);
    setitimer(ITIMER_REAL, &it, NULL);
    rig_run(workers, sleeps_whole);
    it = (struct itimerval){.it_value = {0}};
    setitimer(ITIMER_REAL, &it, NULL);
}

TEST(C24_sleep_is_not_cut_short_by_signals_1)
{
    sleeps_among_signals(1);
}

TEST(C24_sleep_is_not_cut_short_by_signals_2)
{
    sleeps_among_signals(2);
}

TEST(C24_sleep_is_not_cut_short_by_signals_8)
{
    sleeps_among_signals(8);
}

/* ---- tickers ---- */

FIBER_TEST(C25_a_ticker_ticks_and_does_not_pile_up)
{
    int64_t start = weft_now(), before = start;
    weft_timer *t = weft_ticker_new(2 * WEFT_MS);
    for (int i = 1; i <= 5; i++) {
        int64_t when = receive(t);
        CHECK(when >= start + i * 2 * WEFT_MS); /* the i-th tick, or a later one */
        CHECK(when > before);
        before = when;
    }
    CHECK_EQ(weft_sleep(15 * WEFT_MS), 0);
    receive(t);
    int more = ready(t); /* the next tick at most: those missed are gone */
    CHECK(more == 0 || more == 1);
    weft_timer_stop(t);
    CHECK_EQ(weft_sleep(5 * WEFT_MS), 0);
    CHECK(!ready(t));
    weft_timer_reset(t, WEFT_MS);
    receive(t);
    receive(t);
    weft_timer_free(t);
}

static int leaves_timers_pending(void *arg)
{
    weft_timer **kept = arg;
    weft_chan *c = weft_after(WEFT_HOUR);
    weft_chan_free(c);
    *kept = weft_timer_new(WEFT_HOUR);
    weft_timer_func(WEFT_HOUR, count_it, NULL);
    return 0;
}

TEST(C25_pending_timers_do_not_hold_up_the_end)
{
    weft_timer *kept = NULL;
    CHECK_EQ(weft_run(leaves_timers_pending, &kept, NULL, NULL), 0);
    CHECK(weft_timer_stop(kept));
    weft_timer_free(kept);
}
