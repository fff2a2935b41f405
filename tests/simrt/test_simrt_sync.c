// SPDX-License-Identifier: Apache-2.0
/*
 * test_simrt_sync.c - channels, locks, timers and contexts under the explorer, on several workers:
 * who wins a race is chance, what must be true whoever wins is checked.
 */
#include <errno.h>
#include <weft/chan.h>
#include <weft/cond.h>
#include <weft/ctx.h>
#include <weft/fiber.h>
#include <weft/mutex.h>
#include <weft/rwmutex.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/sema.h>
#include <weft/timer.h>
#include <weft/waitgroup.h>

#include "simrt_program.h"

/* ---- select against senders and a close ---- */

static weft_chan *left, *right;

static int sends_left(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 3; i++)
        SIMRT_CHECK(weft_chan_send(left, &i) == 0);
    weft_chan_close(left);
    return 0;
}

static int sends_right(void *arg)
{
    (void)arg;
    for (int i = 10; i <= 30; i += 10)
        SIMRT_CHECK(weft_chan_send(right, &i) == 0);
    weft_chan_close(right);
    return 0;
}

/* Everything arrives once, each side in its order, and the closes last. */
static int selects(void *arg)
{
    weft_scope s;
    int sum = 0, next[2] = {1, 10}, open = 2;
    (void)arg;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &left) == 0);
    SIMRT_CHECK(weft_chan_new(sizeof(int), 1, &right) == 0);
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, sends_left, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, sends_right, NULL) == 0);
    weft_chan *from[2] = {left, right};
    while (open) {
        int v[2] = {0, 0}, got[2] = {-1, -1};
        struct weft_case c[2] = {
            {.kind = WEFT_CASE_RECV, .ret = &got[0], .chan = from[0], .elem = &v[0]},
            {.kind = WEFT_CASE_RECV, .ret = &got[1], .chan = from[1], .elem = &v[1]}};
        int k = weft_selectv(c, 2);
        SIMRT_CHECK(k == 0 || k == 1);
        SIMRT_CHECK(got[1 - k] == -1);
        if (got[k] == 0) {
            from[k] = NULL;
            open--;
            continue;
        }
        SIMRT_CHECK(got[k] == 1 && v[k] == next[k]);
        next[k] += k ? 10 : 1;
        sum += v[k];
    }
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_chan_free(left);
    weft_chan_free(right);
    return sum;
}

TEST(select_against_close)
{
    struct program p = {selects, NULL, 3, 66, NULL};
    explore(&p, "select_close", 200);
}

/* ---- selects that meet each other: a send is taken by one of them, once ---- */

static int select_sender(void *arg)
{
    int v = arg ? 2 : 1, sent[2];
    struct weft_case c[2] = {{.kind = WEFT_CASE_SEND, .ret = &sent[0], .chan = left, .elem = &v},
        {.kind = WEFT_CASE_SEND, .ret = &sent[1], .chan = right, .elem = &v}};
    SIMRT_CHECK(weft_selectv(c, 2) >= 0);
    return 0;
}

static int select_taker(void *arg)
{
    int v[2], got[2], *ret = arg;
    struct weft_case c[2] = {{.kind = WEFT_CASE_RECV, .ret = &got[1], .chan = right, .elem = &v[0]},
        {.kind = WEFT_CASE_RECV, .ret = &got[0], .chan = left, .elem = &v[1]}};
    int k = weft_selectv(c, 2);
    SIMRT_CHECK(k >= 0);
    *ret = v[k];
    return 0;
}

static int selects_meet(void *arg)
{
    weft_scope s;
    int took[2] = {0, 0};
    (void)arg;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &left) == 0);
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &right) == 0);
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, select_sender, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, select_taker, &took[0]) == 0);
    SIMRT_CHECK(weft_go(&s, select_sender, &s) == 0);
    SIMRT_CHECK(weft_go(&s, select_taker, &took[1]) == 0);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_chan_free(left);
    weft_chan_free(right);
    return took[0] + took[1];
}

TEST(selects_meet_each_other)
{
    struct program p = {selects_meet, NULL, 3, 3, NULL};
    explore(&p, "selects_meet", 200);
}

/* ---- mutex: exclusion, hand-over; nobody is forgotten ---- */

enum { LOCKERS = 3, TURNS = 3 };
static weft_mutex mutex;
static weft_rwmutex rw;
static weft_sema sema;
static int inside, count; /* under the lock that is tested */
static _Atomic uint32_t readers;

static int locks(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        weft_mutex_lock(&mutex);
        SIMRT_CHECK(inside++ == 0);
        if (simrt_choose(4) == 1)
            simrt_block(3000);
        if (simrt_choose(4) == 1)
            weft_yield();
        SIMRT_CHECK(--inside == 0);
        count++;
        weft_mutex_unlock(&mutex);
    }
    return 0;
}

static int reads_and_writes(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        weft_rwmutex_rlock(&rw);
        SIMRT_CHECK(inside == 0);
        at_add(&readers, 1);
        if (simrt_choose(4) == 1)
            weft_yield();
        at_sub(&readers, 1);
        weft_rwmutex_runlock(&rw);
        weft_rwmutex_lock(&rw);
        SIMRT_CHECK(inside++ == 0 && at_load(&readers) == 0);
        if (simrt_choose(4) == 1)
            weft_yield();
        SIMRT_CHECK(--inside == 0);
        count++;
        weft_rwmutex_unlock(&rw);
    }
    return 0;
}

static int takes_permits(void *arg)
{
    (void)arg;
    for (int i = 0; i < TURNS; i++) {
        SIMRT_CHECK(weft_sema_acquire(&sema, 2) == 0);
        SIMRT_CHECK(inside++ == 0);
        if (simrt_choose(4) == 1)
            weft_yield();
        SIMRT_CHECK(--inside == 0);
        count++;
        weft_sema_release(&sema, 2);
    }
    return 0;
}

static int (*const ways[])(void *) = {locks, reads_and_writes, takes_permits};

/* arg: one of the ways to get inside. */
static int crowd(void *arg)
{
    int (*const *way)(void *) = arg;
    weft_scope s;
    weft_mutex_init(&mutex, "m");
    weft_rwmutex_init(&rw, "rw");
    weft_sema_init(&sema, 3, "s");
    weft_scope_open(&s, NULL);
    for (int i = 0; i < LOCKERS; i++)
        SIMRT_CHECK(weft_go(&s, *way, NULL) == 0);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_mutex_fini(&mutex);
    weft_rwmutex_fini(&rw);
    weft_sema_fini(&sema);
    return count;
}

static void nobody_inside(void)
{
    inside = count = 0;
    readers = 0;
}

TEST(locks_exclude_and_forget_nobody)
{
    struct program p = {crowd, nobody_inside, 3, LOCKERS * TURNS, (void *)&ways[0]};
    explore(&p, "mutex", 200);
    p.arg = (void *)&ways[1];
    explore(&p, "rwmutex", 150);
    p.arg = (void *)&ways[2];
    explore(&p, "sema", 150);
}

/* ---- cond: a signal finds who waits ---- */

static weft_cond cond;
static int stock;

static int buys(void *arg)
{
    (void)arg;
    weft_mutex_lock(&mutex);
    while (stock == 0)
        SIMRT_CHECK(weft_cond_wait(&cond, &mutex) == 0);
    stock--;
    weft_mutex_unlock(&mutex);
    return 0;
}

static int supplies(void *arg)
{
    weft_mutex_lock(&mutex);
    stock++;
    if (arg)
        weft_cond_signal(&cond);
    weft_mutex_unlock(&mutex);
    if (!arg)
        weft_cond_signal(&cond);
    return 0;
}

static int market(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_mutex_init(&mutex, "m");
    weft_cond_init(&cond, "c");
    weft_scope_open(&s, NULL);
    for (int i = 0; i < 3; i++) {
        SIMRT_CHECK(weft_go(&s, buys, NULL) == 0);
        SIMRT_CHECK(weft_go(&s, supplies, i ? &s : NULL) == 0);
    }
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_cond_fini(&cond);
    weft_mutex_fini(&mutex);
    return stock;
}

static void sold_out(void)
{
    stock = 0;
}

TEST(signals_are_not_lost)
{
    struct program p = {market, sold_out, 3, 0, NULL};
    explore(&p, "cond", 200);
}

/* ---- a timer is stopped just when it fires: one of the two, not both, not neither ---- */

static _Atomic uint32_t fired;

static void fires(void *arg)
{
    (void)arg;
    at_add(&fired, 1);
}

static int stops_timers(void *arg)
{
    uint32_t stopped = 0;
    (void)arg;
    for (int i = 0; i < 4; i++) {
        weft_timer *t = weft_timer_func(30000, fires, NULL);
        SIMRT_CHECK(t);
        simrt_block(14000 * simrt_choose(4));
        if (simrt_choose(2))
            weft_yield();
        stopped += weft_timer_stop(t);
        weft_timer_free(t);
    }
    do /* who has fired may have to wait for its turn */
        SIMRT_CHECK(weft_sleep(100000) == 0);
    while (stopped + at_load(&fired) < 4);
    SIMRT_CHECK(weft_sleep(100000) == 0);
    return (int)(stopped + at_load(&fired));
}

static int stops_channel_timers(void *arg)
{
    int total = 0;
    (void)arg;
    for (int i = 0; i < 4; i++) {
        int64_t when;
        weft_timer *t = weft_timer_new(30000);
        SIMRT_CHECK(t);
        simrt_block(14000 * simrt_choose(4));
        int got = weft_chan_try_recv(weft_timer_chan(t), &when);
        bool stopped = weft_timer_stop(t);
        SIMRT_CHECK(stopped == (got != 1));
        SIMRT_CHECK(weft_chan_try_recv(weft_timer_chan(t), &when) != 1);
        total += stopped + (got == 1);
        weft_timer_free(t);
    }
    return total;
}

static void none_fired(void)
{
    fired = 0;
}

TEST(a_timer_is_stopped_or_fires)
{
    struct program p = {stops_timers, none_fired, 2, 4, NULL};
    explore(&p, "timer_func", 200);
    p.app = stops_channel_timers;
    explore(&p, "timer_chan", 200);
}

/* ---- a context ends while a fiber parks, and somebody else wakes it ---- */

static _Atomic uint32_t sent, received, cancelled;

static int wants_one(void *arg)
{
    int v, rc = weft_chan_recv(left, &v);
    (void)arg;
    SIMRT_CHECK(rc == 1 || rc == -ECANCELED);
    at_add(rc == 1 ? &received : &cancelled, 1);
    return 0;
}

static int offers_one(void *arg)
{
    int rc = weft_chan_send(left, &(int){arg != NULL});
    SIMRT_CHECK(rc == 0 || rc == -ECANCELED);
    at_add(rc == 0 ? &sent : &cancelled, 1);
    return 0;
}

static int cancels(void *arg)
{
    weft_scope s;
    (void)arg;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &left) == 0);
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, wants_one, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, offers_one, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, wants_one, NULL) == 0);
    if (simrt_choose(2))
        simrt_block(4000 * simrt_choose(8));
    weft_scope_cancel(&s);
    weft_wait(&s);
    weft_scope_close(&s);
    weft_chan_free(left);
    SIMRT_CHECK(at_load(&sent) == at_load(&received));
    return (int)(at_load(&sent) + at_load(&received) + at_load(&cancelled));
}

static void none_yet(void)
{
    sent = received = cancelled = 0;
}

/* A limit on each wait, and a context's time-out close to it. */
static int limits(void *arg)
{
    weft_scope s;
    weft_scope_opts o = {.size = sizeof o, .timeout_ns = 40000};
    (void)arg;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &left) == 0);
    for (int i = 0; i < 3; i++) {
        int v, got = -1;
        struct weft_case c[2] = {{.kind = WEFT_CASE_RECV, .ret = &got, .chan = left, .elem = &v},
            {.kind = WEFT_CASE_AFTER, .duration_ns = 20000 + 10000 * simrt_choose(4)}};
        weft_scope_open(&s, &o);
        int k = weft_selectv(c, 2);
        SIMRT_CHECK(k == 1 || k == -ETIMEDOUT);
        weft_scope_close(&s);
    }
    weft_chan_free(left);
    return 1;
}

TEST(a_context_ends_while_a_fiber_parks)
{
    struct program p = {cancels, none_yet, 3, 3, NULL};
    explore(&p, "cancel", 300);
    p = (struct program){limits, NULL, 2, 1, NULL};
    explore(&p, "limits", 150);
}

/* ---- who sees the error of an end sees the channel closed, and the other way round (X3) ---- */

static weft_ctx *ending;

static int sees_the_channel(void *arg)
{
    (void)arg;
    SIMRT_CHECK(weft_chan_recv(weft_ctx_done(ending), NULL) == 0);
    SIMRT_CHECK(weft_ctx_err(ending) == -ECANCELED);
    return 0;
}

static int ends_it(void *arg)
{
    (void)arg;
    weft_ctx_cancel(ending);
    return 0;
}

static int sees_the_error(void *arg)
{
    weft_scope s;
    (void)arg;
    ending = weft_ctx_with_cancel(weft_ctx_background());
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, sees_the_channel, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, ends_it, NULL) == 0);
    weft_chan *done = weft_ctx_done(ending);
    while (simrt_choose(2) ? weft_ctx_err(ending) == 0 : weft_ctx_cause(ending) == NULL)
        weft_yield();
    SIMRT_CHECK(weft_chan_try_recv(done, NULL) == 0);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_ctx_free(ending);
    return 3;
}

TEST(an_end_is_seen_whole)
{
    struct program p = {sees_the_error, none_yet, 3, 3, NULL};
    explore(&p, "seen_whole", 300);
}

static void waits_for_the_end_of(weft_ctx *c)
{
    weft_ctx_block b;
    weft_ctx_enter(&b, c);
    SIMRT_CHECK(weft_chan_recv(NULL, NULL) == -ECANCELED);
    weft_ctx_leave(&b);
}

/* The block below ends first, while the end above is still under way. */
static int told_on_the_way_out(void *arg)
{
    weft_scope s;
    (void)arg;
    ending = weft_ctx_with_cancel(weft_ctx_background());
    weft_ctx *below = weft_ctx_with_cancel(ending), *beside = weft_ctx_with_cancel(ending);
    weft_chan *done = weft_ctx_done(ending);
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, ends_it, NULL) == 0);
    weft_ctx_block b;
    weft_ctx_enter(&b, ending);
    waits_for_the_end_of(below);
    SIMRT_CHECK(weft_chan_recv(NULL, NULL) == -ECANCELED && weft_chan_try_recv(done, NULL) == 0);
    weft_ctx_leave(&b);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_ctx_free(below);
    weft_ctx_free(beside);
    weft_ctx_free(ending);
    return 3;
}

TEST(an_end_is_told_whole)
{
    struct program p = {told_on_the_way_out, none_yet, 2, 3, NULL};
    explore(&p, "told_whole", 300);
}

/* ---- the run's end finds all fibers, those too that are just being born (X8 of context.h) ---- */

static void one_less(void)
{
    if (at_add(&received, 1) == 2)
        weft_chan_free(left);
}

static int born_late(void *arg)
{
    int v;
    (void)arg;
    SIMRT_CHECK(weft_chan_recv(left, &v) == -ECANCELED);
    one_less();
    return 0;
}

static int bears(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        SIMRT_CHECK(weft_go(NULL, born_late, NULL) == 0);
        if (simrt_choose(2))
            weft_yield();
    }
    one_less();
    return 0;
}

static int ends_meanwhile(void *arg)
{
    (void)arg;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &left) == 0);
    SIMRT_CHECK(weft_go(NULL, bears, NULL) == 0);
    for (uint32_t n = simrt_choose(4); n > 0; n--)
        weft_yield();
    return 5;
}

TEST(a_run_ends_while_fibers_are_born)
{
    struct program p = {ends_meanwhile, none_yet, 2, 5, NULL};
    explore(&p, "born_late", 300);
    p.workers = 3;
    explore(&p, "born_late_3", 150);
}

/* ---- waits that are interrupted for a context that a shield keeps away: nothing is lost, doubled,
 * or forgotten on the way back into the queue ---- */

static int takes_shielded(void *arg)
{
    weft_ctx_block b;
    int v = 0;
    (void)arg;
    weft_ctx *shield = weft_ctx_without_cancel(weft_ctx_current());
    weft_ctx_enter(&b, shield);
    SIMRT_CHECK(weft_chan_recv(left, &v) == 1);
    at_add(&received, (uint32_t)v);
    SIMRT_CHECK(weft_sema_acquire(&sema, 2) == 0);
    weft_ctx_leave(&b);
    weft_ctx_free(shield);
    return 0;
}

static int gives(void *arg)
{
    (void)arg;
    for (int v = 1; v <= 2; v++) {
        SIMRT_CHECK(weft_chan_send(left, &v) == 0);
        weft_sema_release(&sema, 1);
    }
    weft_sema_release(&sema, 2);
    return 0;
}

static int shielded(void *arg)
{
    weft_scope outer, s;
    weft_ctx_block b;
    ending = weft_ctx_with_cancel(weft_ctx_background());
    SIMRT_CHECK(weft_chan_new(sizeof(int), arg ? 1 : 0, &left) == 0);
    weft_sema_init(&sema, 0, "permits");
    weft_scope_open(&outer, NULL);
    weft_ctx_enter(&b, ending);
    weft_scope_open(&s, NULL);
    for (int i = 0; i < 2; i++)
        SIMRT_CHECK(weft_go(&s, takes_shielded, NULL) == 0);
    SIMRT_CHECK(weft_go(&outer, gives, NULL) == 0);
    SIMRT_CHECK(weft_go(&outer, ends_it, NULL) == 0);
    weft_wait(&s);
    weft_scope_close(&s);
    weft_ctx_leave(&b);
    SIMRT_CHECK(weft_wait(&outer) == 0);
    weft_scope_close(&outer);
    SIMRT_CHECK(weft_chan_len(left) == 0 && weft_sema_value(&sema) == 0);
    weft_sema_fini(&sema);
    weft_chan_free(left);
    weft_ctx_free(ending);
    return (int)at_load(&received);
}

TEST(who_is_woken_for_nothing_loses_nothing)
{
    struct program p = {shielded, none_yet, 2, 3, NULL};
    explore(&p, "shielded", 300);
    p.arg = &p; /* with room for one */
    p.workers = 3;
    explore(&p, "shielded_room", 300);
}

/* ---- wait group: the last one down wakes whoever waits ---- */

static weft_waitgroup group;

static int is_done(void *arg)
{
    (void)arg;
    at_add(&received, 1);
    weft_waitgroup_done(&group);
    return 0;
}

static int waits_for_group(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_waitgroup_init(&group, "g");
    weft_scope_open(&s, NULL);
    for (int round = 0; round < 2; round++) {
        weft_waitgroup_add(&group, 3);
        for (int i = 0; i < 3; i++)
            SIMRT_CHECK(weft_go(&s, is_done, NULL) == 0);
        SIMRT_CHECK(weft_waitgroup_wait(&group) == 0);
        SIMRT_CHECK(at_load(&received) == 3 * (uint32_t)(round + 1));
    }
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_waitgroup_fini(&group);
    return 2;
}

/* Waits that are given up while others count down: neither count loses what the other changes. */
static int waits_a_while(void *arg)
{
    int rc = weft_waitgroup_wait(&group);
    (void)arg;
    SIMRT_CHECK(rc == 0 || rc == -ETIMEDOUT);
    at_add(rc == 0 ? &received : &cancelled, 1);
    return 0;
}

static int counts_down(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        if (simrt_choose(3) == 0)
            simrt_block(5000);
        weft_waitgroup_done(&group);
    }
    return 0;
}

static int waits_are_given_up(void *arg)
{
    weft_scope s, waits;
    weft_scope_opts o = {.size = sizeof o, .timeout_ns = 30000};
    (void)arg;
    weft_waitgroup_init(&group, "g");
    weft_waitgroup_add(&group, 6);
    weft_scope_open(&s, NULL);
    weft_scope_open(&waits, &o);
    for (int i = 0; i < 3; i++)
        SIMRT_CHECK(weft_go(&waits, waits_a_while, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, counts_down, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, counts_down, NULL) == 0);
    weft_wait(&waits);
    weft_scope_close(&waits);
    SIMRT_CHECK(weft_waitgroup_wait(&group) == 0);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_waitgroup_fini(&group);
    return (int)(at_load(&received) + at_load(&cancelled));
}

/* A wait that was given up, and then the last one: after it the group may be gone (G3). */
static int counts_once(void *arg)
{
    (void)arg;
    weft_waitgroup_done(&group);
    return 0;
}

static int gives_up_and_frees(void *arg)
{
    weft_scope s;
    weft_ctx_block b;
    (void)arg;
    weft_waitgroup_init(&group, "g");
    weft_waitgroup_add(&group, 1);
    ending = weft_ctx_with_cancel(weft_ctx_background());
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, counts_once, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, ends_it, NULL) == 0);
    weft_ctx_enter(&b, ending);
    int rc = weft_waitgroup_wait(&group);
    SIMRT_CHECK(rc == 0 || rc == -ECANCELED);
    weft_ctx_leave(&b);
    SIMRT_CHECK(weft_waitgroup_wait(&group) == 0);
    weft_waitgroup_fini(&group);
    memset(&group, 0xa5, sizeof group);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_ctx_free(ending);
    return 3;
}

TEST(a_group_may_go_after_the_last_wait)
{
    struct program p = {gives_up_and_frees, none_yet, 3, 3, NULL};
    explore(&p, "waitgroup_gone", 300);
}

TEST(waits_for_a_group_are_given_up)
{
    struct program p = {waits_are_given_up, none_yet, 3, 3, NULL};
    explore(&p, "waitgroup_ends", 200);
}

TEST(a_group_is_waited_for)
{
    struct program p = {waits_for_group, none_yet, 3, 2, NULL};
    explore(&p, "waitgroup", 200);
}
