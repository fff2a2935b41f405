// SPDX-License-Identifier: Apache-2.0
/*
 * test_sim_bubble.c - a simulation as Go's synctest has its bubbles: C28 of docs/conformance.md,
 * and of C24 what needs an exact clock.
 *
 * In a simulation everybody is inside, so a wait for a mutex holds the clock up no more than any
 * other wait does. There is no call that waits for all others to wait: the shortest sleep does it,
 * as the clock moves only then.
 */
#include <errno.h>
#include <weft/chan.h>
#include <weft/cond.h>
#include <weft/error.h>
#include <weft/fiber.h>
#include <weft/mutex.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/timer.h>
#include <weft/waitgroup.h>

#include "sim_test.h"

/* So many schedules of fn, all of which must be good. */
static void passes_at_random(int (*fn)(void *), uint64_t schedules)
{
    weft_sim_report *r = NULL;
    weft_sim_opts o = chance(WEFT_SIM_RANDOM);
    o.schedules = schedules;
    int rc = weft_sim_run(fn, NULL, &o, &r);
    CHECK_MSG(rc == 0, "%d: %s", rc, r ? weft_sim_text(r) : "");
    weft_sim_report_free(r);
}

static int ends_of(weft_scope *s)
{
    int rc = weft_wait(s);
    weft_scope_close(s);
    return rc;
}

/* ---- C28: the clock ---- */

static int64_t first_now;

static int clock_of_a_bubble(void *arg)
{
    (void)arg;
    int64_t start = weft_now();
    if (first_now == 0)
        first_now = start;
    WEFT_SIM_CHECK(start == first_now); /* each begins at the same time */
    WEFT_SIM_CHECK(weft_sleep(0) == 0 && weft_now() == start);
    for (int64_t d = 1; d < 1000 * WEFT_HOUR; d *= 7) {
        int64_t before = weft_now();
        WEFT_SIM_CHECK(weft_sleep(d) == 0);
        WEFT_SIM_CHECK(weft_now() == before + d); /* exactly */
    }
    return 0;
}

TEST(C28_sleep_takes_exactly_its_time)
{
    first_now = 0;
    passes_at_random(clock_of_a_bubble, 50);
}

enum { BUSY = 5 };
static _Atomic unsigned finished;

static int works_a_while(void *arg)
{
    (void)arg;
    int64_t start = weft_now();
    for (int i = 0; i < 100; i++)
        weft_sim_point();
    WEFT_SIM_CHECK(weft_now() == start); /* it could run, so no time has passed */
    finished++;
    return 0;
}

static int sleeps_shortly(void *arg)
{
    (void)arg;
    finished = 0;
    weft_scope s;
    weft_scope_open(&s, NULL);
    for (int i = 0; i < BUSY; i++)
        weft_go(&s, works_a_while, NULL);
    WEFT_SIM_CHECK(weft_sleep(1) == 0);
    WEFT_SIM_CHECK(finished == BUSY); /* the shortest sleep waits for whoever can run */
    return ends_of(&s);
}

TEST(C28_the_clock_waits_for_all)
{
    passes_at_random(sleeps_shortly, 200);
}

/* A wait for a mutex does not keep the clock, and with it the mutex's holder, from going on. */
static weft_mutex held;

static int locks_it(void *arg)
{
    (void)arg;
    int64_t start = weft_now();
    weft_mutex_lock(&held);
    weft_mutex_unlock(&held);
    WEFT_SIM_CHECK(weft_now() == start + WEFT_HOUR);
    return 0;
}

static int sleeps_with_a_lock(void *arg)
{
    (void)arg;
    weft_mutex_init(&held, NULL);
    weft_mutex_lock(&held);
    weft_scope s;
    weft_scope_open(&s, NULL);
    weft_go(&s, locks_it, NULL);
    int rc = weft_sleep(WEFT_HOUR);
    weft_mutex_unlock(&held);
    int of_others = ends_of(&s);
    return rc < 0 ? rc : of_others;
}

TEST(C28_a_lock_does_not_stop_the_clock)
{
    passes_at_random(sleeps_with_a_lock, 50);
}

/* ---- C28: everybody waits ---- */

static int by_receive(void *arg)
{
    (void)arg;
    return weft_chan_recv(NULL, NULL);
}

static int by_select(void *arg)
{
    (void)arg;
    return weft_selectv(NULL, 0);
}

static int by_group(void *arg)
{
    weft_waitgroup w = WEFT_WAITGROUP_INIT;
    (void)arg;
    weft_waitgroup_add(&w, 1);
    return weft_waitgroup_wait(&w);
}

static int by_cond(void *arg)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    weft_cond c = WEFT_COND_INIT;
    (void)arg;
    weft_mutex_lock(&m);
    return weft_cond_wait(&c, &m);
}

static int by_child(void *arg)
{
    weft_scope s;
    weft_scope_open(&s, NULL);
    weft_go(&s, by_receive, arg);
    return ends_of(&s);
}

/* A timer that is pending is hope; when it is over there is none. */
static int after_a_timer(void *arg)
{
    (void)arg;
    int rc = weft_sleep(WEFT_HOUR);
    return rc < 0 ? rc : weft_selectv(NULL, 0);
}

TEST(C28_everybody_waits)
{
    free(finds(by_receive, -EDEADLK, "waits: chan receive (nil chan)"));
    free(finds(by_select, -EDEADLK, "waits: select (no cases)"));
    free(finds(by_group, -EDEADLK, "waits: waitgroup wait"));
    free(finds(by_cond, -EDEADLK, "waits: cond wait"));
    free(finds(by_child, -EDEADLK, "waits: scope join"));
    free(finds(after_a_timer, -EDEADLK, "waits: select (no cases)"));
}

/* The first has returned, and others wait for what nothing ends: they are named. */
static int never_unlocked(void *arg)
{
    (void)arg;
    weft_mutex_lock(&held);
    return 0;
}

static int leaves_others(void *arg)
{
    (void)arg;
    weft_mutex_init(&held, NULL);
    weft_mutex_lock(&held);
    weft_go_opt(NULL, never_unlocked, NULL,
        &(weft_fiber_opts){.size = sizeof(weft_fiber_opts), .name = "orphan"});
    return 0;
}

TEST(C28_the_first_returns_and_others_wait)
{
    weft_sim_report *r;
    weft_sim_opts o = *EXHAUSTIVE();
    o.points = WEFT_SIM_POINTS_WAITS;
    int rc = weft_sim_run(leaves_others, NULL, &o, &r);
    CHECK_MSG(rc == -EDEADLK || rc == -ETIMEDOUT, "%d: %s", rc, weft_sim_text(r));
    CHECK_MSG(strstr(weft_sim_text(r), "\"orphan\""), "%s", weft_sim_text(r));
    CHECK_MSG(strstr(weft_sim_text(r), "mutex lock"), "%s", weft_sim_text(r));
    weft_sim_report_free(r);
}

/* ---- C28: the same instant ---- */

static _Atomic unsigned orders, turn;

static void notes_first(void *arg)
{
    if (turn++ == 0)
        orders |= *(unsigned *)arg;
}

static int two_timers_at_once(void *arg)
{
    static unsigned a = 1, b = 2;
    (void)arg;
    turn = 0;
    weft_timer *one = weft_timer_func(WEFT_SEC, notes_first, &a);
    weft_timer *two = weft_timer_func(WEFT_SEC, notes_first, &b);
    int rc = weft_sleep(2 * WEFT_SEC);
    WEFT_SIM_CHECK(turn == 2);
    weft_timer_free(one);
    weft_timer_free(two);
    return rc;
}

TEST(C28_two_timers_at_one_instant)
{
    orders = 0;
    passes_at_random(two_timers_at_once, 200);
    CHECK_EQ(orders, 3); /* each was the first sometimes */
}

/* ---- C24: with an exact clock ---- */

enum { SLOT = 100 };
static const int slots[] = {5, 3, 6, 6, 6, 1, 1, 2, 7, 9, 4, 8, 0};
enum { SLOTS = sizeof slots / sizeof *slots };

struct arrival {
    weft_chan *out;
    int64_t start, slot;
};

static int awaits_its_slot(void *arg)
{
    struct arrival *a = arg;
    int64_t when;
    weft_chan *c = weft_after(a->start + a->slot * SLOT * WEFT_MS - weft_now());
    int rc = weft_chan_recv(c, &when);
    weft_chan_free(c);
    WEFT_SIM_CHECK(rc == 1);
    WEFT_SIM_CHECK(when == a->start + a->slot * SLOT * WEFT_MS && weft_now() == when);
    return weft_chan_send(a->out, &a->slot);
}

static int arrivals(void *arg)
{
    struct arrival all[SLOTS];
    weft_chan *out;
    (void)arg;
    if (weft_chan_new(sizeof(int64_t), SLOTS, &out) < 0)
        return -ENOMEM;
    int64_t start = weft_now(), last = 0, slot;
    weft_scope s;
    weft_scope_open(&s, NULL);
    for (int i = 0; i < SLOTS; i++) {
        all[i] = (struct arrival){.out = out, .start = start, .slot = slots[i]};
        weft_go(&s, awaits_its_slot, &all[i]);
    }
    for (int i = 0; i < SLOTS; i++) {
        WEFT_SIM_CHECK(weft_chan_recv(out, &slot) == 1);
        WEFT_SIM_CHECK(slot >= last);
        last = slot;
    }
    int rc = ends_of(&s);
    weft_chan_free(out);
    return rc;
}

TEST(C24_afters_arrive_in_order)
{
    passes_at_random(arrivals, 100);
}

/* The value is the time of firing, however late it is received. */
static int received_late(void *arg)
{
    (void)arg;
    int64_t start = weft_now(), when;
    weft_chan *c = weft_after(10 * WEFT_MS);
    weft_timer *t = weft_ticker_new(10 * WEFT_MS);
    int rc = weft_sleep(500 * WEFT_MS - 1);
    WEFT_SIM_CHECK(weft_chan_recv(c, &when) == 1 && when == start + 10 * WEFT_MS);
    WEFT_SIM_CHECK(weft_chan_recv(weft_timer_chan(t), &when) == 1);
    WEFT_SIM_CHECK(when == start + 10 * WEFT_MS); /* the first tick; those after it were missed */
    WEFT_SIM_CHECK(weft_chan_recv(weft_timer_chan(t), &when) == 1);
    WEFT_SIM_CHECK(when == start + 500 * WEFT_MS && weft_now() == when);
    weft_chan_free(c);
    weft_timer_free(t);
    return rc;
}

TEST(C24_a_value_is_the_time_of_firing)
{
    passes_at_random(received_late, 100);
}

/* Reset moves the time exactly, in both directions; the old one comes to nothing. */
static int reset_moves(void *arg)
{
    (void)arg;
    int64_t start = weft_now(), when;
    weft_timer *t = weft_timer_new(100 * WEFT_MS);
    WEFT_SIM_CHECK(weft_sleep(50 * WEFT_MS) == 0);
    WEFT_SIM_CHECK(weft_timer_reset(t, 150 * WEFT_MS));
    WEFT_SIM_CHECK(weft_sleep(100 * WEFT_MS) == 0);
    WEFT_SIM_CHECK(weft_chan_try_recv(weft_timer_chan(t), &when) == -EAGAIN);
    WEFT_SIM_CHECK(weft_sleep(100 * WEFT_MS) == 0);
    WEFT_SIM_CHECK(weft_chan_try_recv(weft_timer_chan(t), &when) == 1);
    WEFT_SIM_CHECK(when == start + 200 * WEFT_MS);
    WEFT_SIM_CHECK(!weft_timer_reset(t, 50 * WEFT_MS));
    WEFT_SIM_CHECK(weft_timer_reset(t, WEFT_MS)); /* and earlier */
    WEFT_SIM_CHECK(weft_chan_recv(weft_timer_chan(t), &when) == 1);
    WEFT_SIM_CHECK(when == start + 251 * WEFT_MS);
    weft_timer_free(t);
    return 0;
}

TEST(C23_reset_moves_the_time)
{
    passes_at_random(reset_moves, 100);
}
