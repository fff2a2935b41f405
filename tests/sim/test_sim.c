// SPDX-License-Identifier: Apache-2.0
/*
 * test_sim.c - the kinds of mistake that the simulator is for: a program that has it, and its twin
 * that has not. Exhaustive search finds each of the first and ends, complete, on each of the
 * second; random and PCT mode find the first within a number of schedules.
 */
#include <errno.h>
#include <weft/sim.h>
#include <weft/chan.h>
#include <weft/cond.h>
#include <weft/error.h>
#include <weft/fiber.h>
#include <weft/mutex.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/waitgroup.h>

#include "sim_test.h"

static int in_scope(int (*a)(void *), int (*b)(void *), void *arg)
{
    weft_scope s;
    weft_scope_open(&s, NULL);
    weft_go(&s, a, arg);
    weft_go(&s, b, arg);
    int rc = weft_wait(&s);
    weft_scope_close(&s);
    return rc;
}

/* ---- lost update ---- */

/* Atomic, so that the mistakes are mistakes and no data races: those are ThreadSanitizer's. */
struct counter {
    weft_mutex lock;
    _Atomic int n;
};

static int add_between_points(void *arg)
{
    struct counter *c = arg;
    int n = c->n;
    weft_sim_point();
    c->n = n + 1;
    return 0;
}

static int add_between_yields(void *arg)
{
    struct counter *c = arg;
    int n = c->n;
    weft_yield();
    c->n = n + 1;
    return 0;
}

static int add_locked(void *arg)
{
    struct counter *c = arg;
    weft_mutex_lock(&c->lock);
    int n = c->n;
    weft_yield();
    c->n = n + 1;
    weft_mutex_unlock(&c->lock);
    return 0;
}

static int count_two(int (*add)(void *))
{
    struct counter c = {.lock = WEFT_MUTEX_NAMED("counter")};
    int rc = in_scope(add, add, &c);
    WEFT_SIM_CHECK(c.n == 2);
    return rc;
}

static int lost_update(void *arg)
{
    (void)arg;
    return count_two(add_between_points);
}

static int lost_in_yield(void *arg)
{
    (void)arg;
    return count_two(add_between_yields);
}

static int kept_update(void *arg)
{
    (void)arg;
    return count_two(add_locked);
}

TEST(lost_update)
{
    finds(lost_update, -WEFT_EPANIC, "check failed: c.n == 2");
    finds(lost_in_yield, -WEFT_EPANIC, "check failed: c.n == 2");
    passes(kept_update);
}

/* ---- two locks in two orders ---- */

struct two_locks {
    weft_mutex a, b;
};

static int a_then_b(void *arg)
{
    struct two_locks *l = arg;
    weft_mutex_lock(&l->a);
    weft_mutex_lock(&l->b);
    weft_mutex_unlock(&l->b);
    weft_mutex_unlock(&l->a);
    return 0;
}

static int b_then_a(void *arg)
{
    struct two_locks *l = arg;
    weft_mutex_lock(&l->b);
    weft_mutex_lock(&l->a);
    weft_mutex_unlock(&l->a);
    weft_mutex_unlock(&l->b);
    return 0;
}

static int wrong_order(void *arg)
{
    struct two_locks l = {.a = WEFT_MUTEX_NAMED("first"), .b = WEFT_MUTEX_NAMED("second")};
    (void)arg;
    return in_scope(a_then_b, b_then_a, &l);
}

static int right_order(void *arg)
{
    struct two_locks l = {.a = WEFT_MUTEX_NAMED("first"), .b = WEFT_MUTEX_NAMED("second")};
    (void)arg;
    return in_scope(a_then_b, a_then_b, &l);
}

TEST(wrong_lock_order)
{
    char *text = finds(wrong_order, -EDEADLK, "deadlock: every fiber waits");
    /* who waits for what, and for whom */
    CHECK(strstr(text, "fiber 1 waits: scope join"));
    CHECK(strstr(text, "fiber 2 waits: mutex lock on mutex \"second\""));
    CHECK(strstr(text, "held by fiber 3"));
    CHECK(strstr(text, "fiber 3 waits: mutex lock on mutex \"first\""));
    CHECK(strstr(text, "held by fiber 2"));
    free(text);
    passes(right_order);
}

/* ---- a signal that nobody hears ---- */

struct event {
    weft_mutex lock;
    weft_cond cond;
    bool happened;
};

static int wait_blindly(void *arg)
{
    struct event *e = arg;
    weft_mutex_lock(&e->lock);
    weft_cond_wait(&e->cond, &e->lock);
    weft_mutex_unlock(&e->lock);
    return 0;
}

static int wait_for_it(void *arg)
{
    struct event *e = arg;
    weft_mutex_lock(&e->lock);
    while (!e->happened)
        weft_cond_wait(&e->cond, &e->lock);
    weft_mutex_unlock(&e->lock);
    return 0;
}

static int let_it_happen(void *arg)
{
    struct event *e = arg;
    weft_mutex_lock(&e->lock);
    e->happened = true;
    weft_mutex_unlock(&e->lock);
    weft_cond_signal(&e->cond);
    return 0;
}

static int missed_signal(void *arg)
{
    struct event e = {.lock = WEFT_MUTEX_INIT, .cond = WEFT_COND_INIT};
    (void)arg;
    return in_scope(wait_blindly, let_it_happen, &e);
}

static int heard_signal(void *arg)
{
    struct event e = {.lock = WEFT_MUTEX_INIT, .cond = WEFT_COND_INIT};
    (void)arg;
    return in_scope(wait_for_it, let_it_happen, &e);
}

TEST(missed_signal)
{
    free(finds(missed_signal, -EDEADLK, "waits: cond wait"));
    passes(heard_signal);
}

/* ---- a close that races with a send, and with another close ---- */

static int send_one(void *arg)
{
    int one = 1;
    return weft_chan_send(arg, &one);
}

static int close_it(void *arg)
{
    weft_chan_close(arg);
    return 0;
}

static int send_then_close(void *arg)
{
    int rc = send_one(arg);
    weft_chan_close(arg);
    return rc;
}

static int with_chan(size_t room, int (*a)(void *), int (*b)(void *))
{
    weft_chan *c;
    if (weft_chan_new(sizeof(int), room, &c) < 0)
        return -ENOMEM;
    int rc = in_scope(a, b, c);
    weft_chan_free(c);
    return rc;
}

static int receive_all(void *arg)
{
    int n, got = 0, rc;
    while ((rc = weft_chan_recv(arg, &n)) > 0)
        got += n;
    WEFT_SIM_CHECK(got == 1);
    return rc;
}

static int close_races_send(void *arg)
{
    (void)arg;
    return with_chan(1, send_one, close_it);
}

static int two_closes(void *arg)
{
    (void)arg;
    return with_chan(1, close_it, close_it);
}

static int close_after_send(void *arg)
{
    (void)arg;
    return with_chan(1, send_then_close, receive_all);
}

static int rendezvous_and_close(void *arg)
{
    (void)arg;
    return with_chan(0, send_then_close, receive_all);
}

TEST(close_race)
{
    free(finds(close_races_send, -EPIPE, "the function returned -32"));
    free(finds(two_closes, -WEFT_EPANIC, "misuse: close of closed channel"));
    passes(close_after_send);
    passes(rendezvous_and_close);
}

/* ---- counting in too late ---- */

struct group {
    weft_waitgroup done;
    _Atomic int ended;
};

static int add_inside(void *arg)
{
    struct group *g = arg;
    weft_waitgroup_add(&g->done, 1);
    weft_yield();
    g->ended++;
    weft_waitgroup_done(&g->done);
    return 0;
}

static int added_outside(void *arg)
{
    struct group *g = arg;
    weft_yield();
    g->ended++;
    weft_waitgroup_done(&g->done);
    return 0;
}

static int done_at_once(void *arg)
{
    struct group *g = arg;
    weft_waitgroup_done(&g->done);
    return 0;
}

static int counted_too_late(void *arg)
{
    struct group g = {.done = WEFT_WAITGROUP_INIT};
    (void)arg;
    weft_go(NULL, add_inside, &g);
    int rc = weft_waitgroup_wait(&g.done);
    WEFT_SIM_CHECK(g.ended == 1);
    return rc;
}

static int counted_in_time(void *arg)
{
    struct group g = {.done = WEFT_WAITGROUP_INIT};
    (void)arg;
    weft_waitgroup_add(&g.done, 1);
    weft_go(NULL, added_outside, &g);
    int rc = weft_waitgroup_wait(&g.done);
    WEFT_SIM_CHECK(g.ended == 1);
    return rc;
}

/* The start itself is a point: the new fiber may be done before its starter counts it. */
static int counted_after_start(void *arg)
{
    struct group g = {.done = WEFT_WAITGROUP_INIT};
    (void)arg;
    weft_go(NULL, done_at_once, &g);
    weft_waitgroup_add(&g.done, 1);
    return weft_waitgroup_wait(&g.done);
}

TEST(waitgroup_counted_late)
{
    free(finds(counted_too_late, -WEFT_EPANIC, "check failed: g.ended == 1"));
    free(finds(counted_after_start, -WEFT_EPANIC, "misuse: negative counter"));
    passes(counted_in_time);
}

/* ---- select, and values ---- */

static unsigned seen;

static int select_one_of_three(void *arg)
{
    weft_chan *c[3];
    struct weft_case cases[3];
    int v = 7, got[3];
    (void)arg;
    for (int i = 0; i < 3; i++) {
        if (weft_chan_new(sizeof(int), 1, &c[i]) < 0)
            return -ENOMEM;
        weft_chan_send(c[i], &v);
        cases[i] =
            (struct weft_case){.kind = WEFT_CASE_RECV, .chan = c[i], .elem = &v, .ret = &got[i]};
    }
    seen |= 1u << weft_selectv(cases, 3);
    for (int i = 0; i < 3; i++)
        weft_chan_free(c[i]);
    return 0;
}

TEST(select_takes_every_case)
{
    weft_sim_report *r;
    seen = 0;
    CHECK_EQ(weft_sim_run(select_one_of_three, NULL, EXHAUSTIVE(), &r), 0);
    CHECK(weft_sim_complete(r));
    CHECK_EQ(seen, 7);
    CHECK_EQ(weft_sim_schedules(r), 6); /* the lot is 1 of 2, then 1 of 3 */
    weft_sim_report_free(r);
}

static int two_values(void *arg)
{
    (void)arg;
    uint32_t a = weft_sim_choose(3), b = weft_sim_choose(4);
    seen |= 1u << (4 * a + b);
    return 0;
}

TEST(chosen_values)
{
    weft_sim_report *r;
    seen = 0;
    CHECK_EQ(weft_sim_run(two_values, NULL, EXHAUSTIVE(), &r), 0);
    CHECK_EQ(weft_sim_schedules(r), 12);
    CHECK_EQ(seen, 0xfff);
    weft_sim_report_free(r);
    CHECK_EQ(weft_sim_choose(5), 0); /* not in a simulation */
    CHECK(!weft_sim_active());
    weft_sim_point();
}

/* ---- how many schedules there are, counted by hand ---- */

static int three_yields(void *arg)
{
    (void)arg;
    WEFT_SIM_CHECK(weft_sim_active());
    return 0;
}

static int start_three(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        weft_go(NULL, three_yields, NULL);
    return 0;
}

/* Three fibers without a point, started by one that then ends: their orders alone. */
TEST(number_of_orders)
{
    weft_sim_report *r;
    weft_sim_opts o = *EXHAUSTIVE();
    o.points = WEFT_SIM_POINTS_WAITS;
    CHECK_EQ(weft_sim_run(start_three, NULL, &o, &r), 0);
    CHECK(weft_sim_complete(r));
    CHECK_EQ(weft_sim_schedules(r), 6);
    weft_sim_report_free(r);
}

static _Atomic unsigned word; /* who did the first, second, ... step: a bit each, behind a 1 */
static unsigned words;        /* a bit for each word seen */

static void put(unsigned bit)
{
    word = word << 1 | bit;
}

static int put_two(unsigned bit)
{
    put(bit);
    weft_sim_point();
    put(bit);
    return 0;
}

static int put_zeros(void *arg)
{
    (void)arg;
    return put_two(0);
}

static int put_ones(void *arg)
{
    (void)arg;
    return put_two(1);
}

static int weave_two(void *arg)
{
    (void)arg;
    word = 1;
    int rc = in_scope(put_zeros, put_ones, NULL);
    words |= 1u << (word & 15);
    return rc;
}

enum { ALL_WORDS = 1 << 3 | 1 << 5 | 1 << 6 | 1 << 9 | 1 << 10 | 1 << 12 }; /* 0011, 0101, ... */

TEST(every_interleaving)
{
    weft_sim_report *r;
    weft_sim_opts o = *EXHAUSTIVE();
    o.preemptions = -1;
    words = 0;
    CHECK_EQ(weft_sim_run(weave_two, NULL, &o, &r), 0);
    CHECK(weft_sim_complete(r));
    CHECK_EQ(words, ALL_WORDS);
    uint64_t unbounded = weft_sim_schedules(r);
    weft_sim_report_free(r);
    o.preemptions = 1;
    words = 0;
    CHECK_EQ(weft_sim_run(weave_two, NULL, &o, &r), 0);
    CHECK(weft_sim_complete(r) && weft_sim_schedules(r) < unbounded);
    CHECK((words & 1u << 3) && (words & 1u << 12));
    weft_sim_report_free(r);
}
