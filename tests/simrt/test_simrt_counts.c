// SPDX-License-Identifier: Apache-2.0
/*
 * test_simrt_counts.c - counts of references and of holders under the explorer: two threads count
 * at once, and at the end nothing is lost, and nothing was given back twice.
 *
 * A count that is taken apart into a load and a store is wrong in a window of a nanosecond; here
 * the window is a point like any other. What an error does: one too few frees early (the second
 * free fails the schedule, and what is read after a free is 0xdb); one too many keeps memory, which
 * simrt_heap_live tells, or lets the end of a run wait for ever.
 *
 * Objects that are freed stay for a while in a quarantine (object.c), so memory is compared after
 * everything in it has been pushed out by others.
 */
#include <weft/chan.h>
#include <weft/ctx.h>
#include <weft/fiber.h>
#include <weft/scope.h>
#include <weft/timer.h>

#include "base/atomic.h"
#include "simrt_program.h"

enum { ROUNDS = 2, QUARANTINED = 257 };

static uint64_t settled(void)
{
    weft_chan *c;
    weft_timer_free(weft_timer_new(0)); /* the next one buries what was left over inside */
    weft_ctx_free(weft_ctx_with_cancel(weft_ctx_background()));
    for (int i = 0; i < QUARANTINED; i++) {
        SIMRT_CHECK(weft_chan_new(1, 0, &c) == 0);
        weft_chan_free(c);
    }
    return simrt_heap_live();
}

static void explore_threads(void (*body)(void *), const char *name, uint64_t schedules)
{
    struct simrt_opts o = {.name = name, .schedules = schedules};
    simrt_explore(body, NULL, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(body, NULL, &o);
}

/* ---- references to contexts and channels, the last one whose chance it is ---- */

static weft_ctx *tree;
static weft_chan *chan;

static void *counts(void *arg)
{
    for (int i = 0; i < ROUNDS; i++) {
        weft_ctx *child = weft_ctx_with_cancel(tree); /* counts its parent */
        weft_ctx *again = weft_ctx_ref(tree);
        weft_chan *c = weft_chan_ref(chan);
        weft_ctx_free(child);
        weft_chan_free(c);
        weft_ctx_free(again);
    }
    weft_chan_free(chan);
    weft_ctx_free(tree);
    return arg;
}

static void references(void *arg)
{
    (void)arg;
    uint64_t before = settled();
    tree = weft_ctx_with_cancel(weft_ctx_background());
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &chan) == 0);
    weft_ctx_ref(tree);
    weft_chan_ref(chan);
    unsigned long other = simrt_thread("other", counts, NULL);
    counts(NULL);
    simrt_join(other);
    SIMRT_CHECK(settled() == before);
}

TEST(references_are_counted)
{
    explore_threads(references, "references", 300);
}

/* ---- two give up the last references at the same time: the timer goes with them ---- */

static void *frees_tree(void *arg)
{
    weft_ctx_free(tree);
    return arg;
}

static void last_two(void *arg)
{
    (void)arg;
    uint64_t before = settled();
    tree = weft_ctx_ref(weft_ctx_with_timeout(weft_ctx_background(), 1000000000));
    unsigned long other = simrt_thread("other", frees_tree, NULL);
    frees_tree(NULL);
    simrt_join(other);
    SIMRT_CHECK(settled() == before);
}

TEST(the_last_two_references_take_the_timer)
{
    explore_threads(last_two, "last_two", 300);
}

/* ---- a function of a context: the end starts it, or the stop takes it back ---- */

static weft_ctx *ends;
static weft_ctx_after *handle;
static _Atomic uint32_t ran;

static void runs(void *arg)
{
    (void)arg;
    at_add(&ran, 1);
}

static void *ends_it(void *arg)
{
    weft_ctx_cancel(ends);
    return arg;
}

static void end_against_stop(void *arg)
{
    (void)arg;
    ran = 0;
    uint64_t before = settled();
    ends = weft_ctx_with_cancel(weft_ctx_background());
    SIMRT_CHECK(weft_ctx_after_func(ends, runs, NULL, &handle) == 0);
    unsigned long other = simrt_thread("ends", ends_it, NULL);
    bool stopped = weft_ctx_after_stop(handle);
    simrt_join(other);
    SIMRT_CHECK(at_load(&ran) == !stopped);
    weft_ctx_free(ends);
    SIMRT_CHECK(settled() == before);
}

TEST(an_end_starts_or_a_stop_takes_back)
{
    explore_threads(end_against_stop, "after", 300);
}

/* ---- functions of contexts that end where no runtime is: whoever is outside next runs them, each
 * once ---- */

static weft_ctx *late[2];

static void *ends_both(void *arg)
{
    weft_ctx *const *first = arg;
    weft_ctx_cancel(*first);
    weft_ctx_cancel(first == late ? late[1] : late[0]);
    return NULL;
}

static void late_functions(void *arg)
{
    (void)arg;
    ran = 0;
    uint64_t before = settled();
    for (int i = 0; i < 2; i++) {
        late[i] = weft_ctx_with_cancel(weft_ctx_background());
        SIMRT_CHECK(weft_ctx_after_func(late[i], runs, NULL, NULL) == 0);
    }
    unsigned long other = simrt_thread("ends", ends_both, &late[1]);
    ends_both(&late[0]);
    simrt_join(other);
    SIMRT_CHECK(at_load(&ran) == 2);
    weft_ctx_free(late[0]);
    weft_ctx_free(late[1]);
    SIMRT_CHECK(settled() == before);
}

TEST(late_functions_run_once)
{
    explore_threads(late_functions, "late", 300);
}

/* ---- plain threads hold a run while they wake its fibers, each its own ---- */

enum { THREADS = 2, SENT = 3 };
static weft_chan *line[THREADS];
static uint64_t kept;

static void *sends(void *arg)
{
    weft_chan *c = arg;
    for (int i = 0; i < SENT; i++)
        SIMRT_CHECK(weft_chan_send(c, &i) == 0);
    return NULL;
}

static int takes(void *arg)
{
    weft_chan *c = arg;
    for (int i = 0, v; i < SENT; i++)
        SIMRT_CHECK(weft_chan_recv(c, &v) == 1 && v == i);
    return 0;
}

static int takes_all(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, NULL);
    for (int i = 0; i < THREADS; i++)
        SIMRT_CHECK(weft_go(&s, takes, line[i]) == 0);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    return 4;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static struct program empty = {nothing, NULL, 1, 0, NULL};

static void wakers_from_outside(void *arg)
{
    unsigned long sender[THREADS];
    for (int i = 0; i < THREADS; i++) {
        SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &line[i]) == 0);
        sender[i] = simrt_thread("sender", sends, line[i]);
    }
    run_program(arg);
    for (int i = 0; i < THREADS; i++) {
        simrt_join(sender[i]);
        weft_chan_free(line[i]);
    }
    run_program(&empty); /* its end waits for whoever still holds */
}

TEST(holds_of_a_run_are_given_back)
{
    struct program p = {takes_all, NULL, 2, 4, NULL};
    struct simrt_opts o = {.name = "holds", .schedules = 300};
    simrt_explore(wakers_from_outside, &p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(wakers_from_outside, &p, &o);
}

/* ---- a timer is freed while it fires ---- */

static void fires(void *arg)
{
    (void)arg;
    at_add(&ran, 1);
}

static int frees_timers(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        weft_timer *t = weft_timer_func(20000, fires, NULL);
        SIMRT_CHECK(t);
        simrt_block(10000 * simrt_choose(4));
        if (simrt_choose(2))
            weft_yield();
        uint32_t stopped = weft_timer_stop(t);
        weft_timer_free(t);
        at_add(&ran, stopped);
    }
    while (at_load(&ran) < 3)
        SIMRT_CHECK(weft_sleep(100000) == 0);
    return 3;
}

/* Contexts whose time passes just when they are given up, by two fibers: the last reference inside
 * the runtime is the timer's, or the freer's; and one buries what the other's timers leave. */
static int gives_up(void *arg)
{
    for (int i = 0; i < 3; i++) {
        weft_ctx *c = weft_ctx_with_timeout(weft_ctx_background(), 20000);
        weft_ctx *child = weft_ctx_with_timeout(c, 15000);
        simrt_block(10000 * simrt_choose(4));
        if (simrt_choose(2))
            weft_yield();
        weft_ctx_free(child);
        if (simrt_choose(2))
            weft_ctx_cancel(c);
        weft_ctx_free(c);
    }
    return arg ? 0 : -1;
}

static int frees_contexts(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, gives_up, &s) == 0);
    SIMRT_CHECK(gives_up(&s) == 0);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    SIMRT_CHECK(weft_sleep(30000) == 0);
    return 3;
}

static void nothing_ran(void)
{
    ran = 0;
}

static void memory_is_given_back(void *arg)
{
    struct program *p = arg;
    run_program(&empty); /* what the first run makes for good */
    kept = settled();
    run_program(p);
    SIMRT_CHECK(settled() == kept);
}

TEST(what_has_fired_is_given_back)
{
    struct program p = {frees_timers, nothing_ran, 2, 3, NULL};
    struct simrt_opts o = {.name = "timers_freed", .schedules = 200};
    simrt_explore(memory_is_given_back, &p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(memory_is_given_back, &p, &o);
    p.app = frees_contexts;
    o = (struct simrt_opts){.name = "contexts_freed", .schedules = 200};
    simrt_explore(memory_is_given_back, &p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(memory_is_given_back, &p, &o);
}
