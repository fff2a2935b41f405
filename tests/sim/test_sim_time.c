// SPDX-License-Identifier: Apache-2.0
/*
 * test_sim_time.c - virtual time: long scenarios are short, what is due at one instant comes in
 * every order, and time stands still while anyone can run.
 */
#include <errno.h>
#include <limits.h>
#include <time.h>
#include <weft/chan.h>
#include <weft/ctx.h>
#include <weft/error.h>
#include <weft/fiber.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/timer.h>

#include "sim_test.h"

static weft_sim_opts one_schedule(void)
{
    return (weft_sim_opts){.size = sizeof(weft_sim_opts), .seed = 1, .schedules = 1, .quiet = true};
}

/* Runs fn once; its virtual duration must not have been spent. */
static void in_no_time(int (*fn)(void *), void *arg)
{
    struct timespec from, to;
    weft_sim_report *r = NULL;
    weft_sim_opts o = one_schedule();
    clock_gettime(CLOCK_MONOTONIC, &from);
    int rc = weft_sim_run(fn, arg, &o, &r);
    clock_gettime(CLOCK_MONOTONIC, &to);
    CHECK_MSG(rc == 0, "%d: %s", rc, r ? weft_sim_text(r) : "");
    CHECK(to.tv_sec - from.tv_sec < 60 * 60); /* of 24 hours: no measurement, but not real time */
    weft_sim_report_free(r);
}

/* ---- a day of ticks ---- */

static int a_day_of_ticks(void *arg)
{
    (void)arg;
    int64_t start = weft_now(), at;
    weft_timer *hourly = weft_ticker_new(WEFT_HOUR);
    for (int i = 1; i <= 24; i++) {
        WEFT_SIM_CHECK(weft_chan_recv(weft_timer_chan(hourly), &at) == 1);
        WEFT_SIM_CHECK(at == start + i * WEFT_HOUR);
        WEFT_SIM_CHECK(weft_now() == at);
    }
    weft_timer_free(hourly);
    return 0;
}

static int overslept(void *arg)
{
    (void)arg;
    weft_ctx *day = weft_ctx_with_timeout(weft_ctx_current(), 24 * WEFT_HOUR);
    int64_t start = weft_now();
    WEFT_SIM_CHECK(weft_chan_recv(weft_ctx_done(day), NULL) == 0);
    WEFT_SIM_CHECK(weft_ctx_err(day) == -ETIMEDOUT);
    WEFT_SIM_CHECK(weft_now() == start + 24 * WEFT_HOUR);
    weft_ctx_free(day);
    return weft_sleep(INT64_MAX / 4); /* longer than anyone lives */
}

TEST(a_day_is_over_at_once)
{
    in_no_time(a_day_of_ticks, NULL);
    in_no_time(overslept, NULL);
}

/* ---- time and fibers that can run ---- */

static int spin_until(void *arg)
{
    int64_t until = weft_now() + *(int64_t *)arg;
    while (weft_now() < until)
        weft_yield();
    WEFT_SIM_CHECK(weft_now() < until + WEFT_MS);
    return 0;
}

static int spin_alone_and_together(void *arg)
{
    (void)arg;
    int64_t little = 50 * WEFT_MS, more = 70 * WEFT_MS;
    spin_until(&little);
    weft_scope s;
    weft_scope_open(&s, NULL);
    weft_go(&s, spin_until, &little);
    weft_go(&s, spin_until, &more);
    int rc = weft_wait(&s);
    weft_scope_close(&s);
    return rc;
}

static int stands_still(void *arg)
{
    (void)arg;
    int64_t start = weft_now();
    for (int i = 0; i < 10; i++)
        weft_yield();
    WEFT_SIM_CHECK(weft_now() == start);
    for (int i = 0; i < 3000; i++)
        weft_sim_point();
    WEFT_SIM_CHECK(weft_now() == start);
    return 0;
}

TEST(time_stands_still_but_for_waiters)
{
    in_no_time(stands_still, NULL);
    in_no_time(spin_alone_and_together, NULL);
}

/* ---- the same instant ---- */

static unsigned orders;

static int sleep_and_tell(void *arg)
{
    int *place = arg;
    static _Atomic int turn;
    if (!place) {
        turn = 0;
        return 0;
    }
    int rc = weft_sleep(WEFT_SEC);
    *place = turn++;
    return rc;
}

static int two_sleep_alike(void *arg)
{
    (void)arg;
    int a = -1, b = -1;
    weft_scope s;
    sleep_and_tell(NULL);
    weft_scope_open(&s, NULL);
    weft_go(&s, sleep_and_tell, &a);
    weft_go(&s, sleep_and_tell, &b);
    int rc = weft_wait(&s);
    weft_scope_close(&s);
    WEFT_SIM_CHECK(a + b == 1);
    orders |= 1u << a;
    return rc;
}

TEST(two_sleepers_in_both_orders)
{
    weft_sim_report *r;
    weft_sim_opts o = *EXHAUSTIVE();
    o.points = WEFT_SIM_POINTS_WAITS;
    orders = 0;
    CHECK_EQ(weft_sim_run(two_sleep_alike, NULL, &o, &r), 0);
    CHECK(weft_sim_complete(r));
    CHECK_EQ(orders, 3);
    weft_sim_report_free(r);
}

static int stop_or_hear(void *arg)
{
    (void)arg;
    weft_timer *t = weft_timer_new(WEFT_SEC);
    int64_t at;
    int rc = weft_sleep(WEFT_SEC); /* due at the same instant */
    orders |= weft_chan_try_recv(weft_timer_chan(t), &at) == 1 ? 1 : 2;
    weft_timer_stop(t);
    /* Go 1.23's rule: after a stop nothing is in the channel, in whichever order */
    WEFT_SIM_CHECK(weft_chan_try_recv(weft_timer_chan(t), &at) == -EAGAIN);
    weft_timer_free(t);
    return rc;
}

TEST(a_timer_and_a_sleep_at_one_instant)
{
    orders = 0;
    passes(stop_or_hear);
    CHECK_EQ(orders, 3);
}

static int answer_late(void *arg)
{
    int v = 42;
    int rc = weft_sleep(weft_sim_choose(3) * WEFT_SEC); /* early, at the same instant, late */
    if (rc == 0)
        rc = weft_chan_send(arg, &v);
    return rc == -ECANCELED ? 0 : rc;
}

static int ask_with_timeout(void *arg)
{
    (void)arg;
    weft_chan *c;
    int v = 0, got;
    if (weft_chan_new(sizeof v, 1, &c) < 0)
        return -ENOMEM;
    weft_scope s;
    weft_scope_open(&s, NULL);
    weft_go(&s, answer_late, c);
    struct weft_case cases[] = {{.kind = WEFT_CASE_RECV, .chan = c, .elem = &v, .ret = &got},
        {.kind = WEFT_CASE_AFTER, .duration_ns = WEFT_SEC}};
    int rc = weft_selectv(cases, 2);
    WEFT_SIM_CHECK(rc == 0 || rc == 1);
    WEFT_SIM_CHECK((rc == 0) == (v == 42));
    orders |= 1u << rc;
    weft_scope_close(&s);
    weft_chan_free(c);
    return 0;
}

TEST(an_answer_against_a_timeout)
{
    orders = 0;
    passes(ask_with_timeout);
    CHECK_EQ(orders, 3);
}

/* ---- a clock that goes on although fibers can run ---- */

static int deliver_at_once(void *arg)
{
    int v = 42;
    return weft_chan_send(arg, &v);
}

static int hope_to_be_fast(void *arg)
{
    (void)arg;
    weft_chan *c;
    int v;
    if (weft_chan_new(sizeof v, 1, &c) < 0)
        return -ENOMEM;
    weft_go(NULL, deliver_at_once, c);
    struct weft_case cases[] = {{.kind = WEFT_CASE_RECV, .chan = c, .elem = &v},
        {.kind = WEFT_CASE_AFTER, .duration_ns = WEFT_SEC}};
    int rc = weft_selectv(cases, 2);
    WEFT_SIM_CHECK(rc == 0); /* wrong: a machine may be slow */
    weft_yield();
    weft_chan_free(c);
    return 0;
}

TEST(slow_clock)
{
    weft_sim_report *r;
    weft_sim_opts o = *EXHAUSTIVE();
    passes(hope_to_be_fast);
    o.slow_clock = true;
    CHECK_EQ(weft_sim_run(hope_to_be_fast, NULL, &o, &r), -WEFT_EPANIC);
    CHECK(strstr(weft_sim_text(r), "check failed: rc == 0"));
    weft_sim_report_free(r);
    for (int mode = WEFT_SIM_RANDOM; mode <= WEFT_SIM_PCT; mode++) {
        o = chance((enum weft_sim_mode)mode);
        o.slow_clock = true;
        CHECK_EQ(weft_sim_run(hope_to_be_fast, NULL, &o, &r), -WEFT_EPANIC);
        weft_sim_report_free(r);
    }
}

/* ---- nothing of one schedule is left for the next ---- */

static void count_up(void *arg)
{
    ++*(int *)arg;
}

static int called;

static int leave_timers_behind(void *arg)
{
    (void)arg;
    weft_chan *c = weft_after(WEFT_HOUR);
    weft_timer *t = weft_timer_func(2 * WEFT_HOUR, count_up, &called);
    weft_chan_free(c);
    weft_timer_free(t);
    weft_timer *two[2] = {weft_timer_new(3 * WEFT_HOUR), weft_timer_new(WEFT_HOUR)};
    weft_timer_free(two[0]);
    weft_timer_free(two[1]);
    return 0;
}

TEST(timers_left_behind)
{
    called = 0;
    passes(leave_timers_behind);
    CHECK_EQ(called, 0);
}
