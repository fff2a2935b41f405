// SPDX-License-Identifier: Apache-2.0
/*
 * test_fair.c - nobody is forgotten behind fibers that keep one worker busy: two that pass a ball
 * over the hand-off slot, or two that yield to each other. A third waits in the ring, in the global
 * queue, or for a timer, and must be reached within a few rounds of the 61 picks after which the
 * scheduler looks there. What is counted is passes of the ball, not time; but where each pass takes
 * long a third must, now and then at least, be reached sooner: the monitor ends such a round. And a
 * waiter that is woken for nothing (for a context that it has left, or against which a shield
 * stands) keeps its place in the queue.
 *
 * One worker throughout: with two, the idle one would steal what the busy one forgets.
 */
#include <weft/sema.h>
#include <weft/sugar_chan.h>

#include "sync_test.h"

enum { LOOKS = 4 * 61, GIVE_UP = 20000000 };

typedef WEFT_CHAN_OF(int) int_chan;

static struct {
    int_chan there, back;
    _Atomic long passes;
    _Atomic int stop, reached, ended;
    long seen; /* the ball's passes when the third one ran */
} g;

static void reset(void)
{
    CHECK_EQ(weft_chan_make(&g.there, 0), 0);
    CHECK_EQ(weft_chan_make(&g.back, 0), 0);
    at_store(&g.passes, 0);
    at_store(&g.stop, 0);
    at_store(&g.reached, 0);
    at_store(&g.ended, 0);
}

static int thrower(void *arg)
{
    int v;
    (void)arg;
    while (!at_load(&g.stop) && at_add(&g.passes, 1) < GIVE_UP) {
        CHECK_EQ(weft_send(g.there, 1), 0);
        CHECK_EQ(weft_recv(g.back, &v), 1);
    }
    weft_chan_close(g.there);
    at_add(&g.ended, 1);
    return 0;
}

static int returner(void *arg)
{
    int v;
    (void)arg;
    while (weft_recv(g.there, &v) == 1)
        CHECK_EQ(weft_send(g.back, v), 0);
    at_add(&g.ended, 1);
    return 0;
}

static int yielder(void *arg)
{
    (void)arg;
    while (!at_load(&g.stop) && at_add(&g.passes, 1) < GIVE_UP)
        yield();
    at_add(&g.ended, 1);
    return 0;
}

static int third(void *arg)
{
    (void)arg;
    g.seen = at_load(&g.passes);
    at_store(&g.reached, 1);
    return 0;
}

static void end(void)
{
    at_store(&g.stop, 1);
    while (at_load(&g.ended) < 2)
        nap(100000);
    weft_chan_free(g.there);
    weft_chan_free(g.back);
}

/* The first fiber yields: each time it goes to the end of the ring, behind the hand-offs. */
static int ring(void *arg)
{
    reset();
    (void)arg;
    go(thrower, NULL);
    go(returner, NULL);
    while (at_load(&g.passes) < 10)
        yield();
    long before = at_load(&g.passes);
    for (int i = 0; i < 100; i++)
        yield();
    CHECK(at_load(&g.passes) - before <= 100 * LOOKS);
    end();
    return 0;
}

TEST(the_ring_behind_a_ball)
{
    CHECK_EQ(run_on(1, ring, NULL), 0);
}

/* A plain thread's start goes to the global queue. */
static void *start_third(void *arg)
{
    (void)arg;
    while (at_load(&g.passes) < 1000)
        weft__cpu_pause();
    go(third, NULL);
    return (void *)(intptr_t)at_load(&g.passes);
}

static int global_behind(int (*a)(void *), int (*b)(void *))
{
    pthread_t t;
    void *started_by;
    reset();
    CHECK_EQ(pthread_create(&t, NULL, start_third, NULL), 0);
    go(a, NULL);
    go(b, NULL);
    while (!at_load(&g.reached) && at_load(&g.passes) < GIVE_UP)
        nap(1000000);
    at_store(&g.stop, 1);
    CHECK_EQ(pthread_join(t, &started_by), 0);
    CHECK(at_load(&g.reached));
    CHECK_MSG(g.seen - (intptr_t)started_by <= LOOKS, "started by pass %ld, ran at pass %ld",
        (long)(intptr_t)started_by, g.seen);
    end();
    return 0;
}

static int global_ball(void *arg)
{
    (void)arg;
    return global_behind(thrower, returner);
}

static int global_yield(void *arg)
{
    (void)arg;
    return global_behind(yielder, yielder);
}

TEST(the_global_queue_behind_a_ball)
{
    CHECK_EQ(run_on(1, global_ball, NULL), 0);
}

TEST(the_global_queue_behind_yields)
{
    CHECK_EQ(run_on(1, global_yield, NULL), 0);
}

/* Short sleeps are served although there is always something to run. */
static int timers(void *arg)
{
    reset();
    (void)arg;
    go(thrower, NULL);
    go(returner, NULL);
    for (int i = 0; i < 50 && at_load(&g.passes) < GIVE_UP; i++)
        nap(100000);
    CHECK(at_load(&g.passes) < GIVE_UP);
    end();
    return 0;
}

TEST(a_timer_behind_a_ball)
{
    CHECK_EQ(run_on(1, timers, NULL), 0);
}

/* ---- long turns ---- */

/* A catch takes milliseconds, and is no hog by itself: less than half a slice. */
static int slow_returner(void *arg)
{
    int v;
    (void)arg;
    while (weft_recv(g.there, &v) == 1) {
        for (int64_t until = weft__clock_ns() + 2000000; weft__clock_ns() < until;)
            weft__cpu_pause();
        CHECK_EQ(weft_send(g.back, v), 0);
    }
    at_add(&g.ended, 1);
    return 0;
}

/* A round is 61 picks, two of them a pass: so without the monitor's help there are always some 30
 * passes between two turns of a fiber in the ring. */
static int long_turns(void *arg)
{
    reset();
    (void)arg;
    go(thrower, NULL);
    go(slow_returner, NULL);
    while (at_load(&g.passes) < 2)
        yield();
    yield(); /* a round begins about here */
    int sooner = 0, not_sooner = 0;
    while (sooner < 5) {
        long before = at_load(&g.passes);
        yield();
        if (at_load(&g.passes) - before < 20)
            sooner++;
        else
            CHECK(++not_sooner < 100);
    }
    end();
    return 0;
}

TEST(the_ring_behind_a_ball_thrown_slowly)
{
    CHECK_EQ(run_on(1, long_turns, NULL), 0);
}

/* ---- who is woken for nothing keeps its place ---- */

enum { WAITERS = 2 };
static struct {
    weft_sema permits;
    int_chan line;
    struct weft__fiber *fiber[WAITERS];
    int order[WAITERS], served;
} q;

static int wants(void *arg)
{
    int amount = (int)(intptr_t)arg;
    q.fiber[amount == 1] = weft__self();
    CHECK_EQ(weft_sema_acquire(&q.permits, (uint64_t)amount), 0);
    q.order[q.served++] = amount;
    return 0;
}

static int receives(void *arg)
{
    int who = (int)(intptr_t)arg, v;
    q.fiber[who] = weft__self();
    CHECK_EQ(weft_recv(q.line, &v), 1);
    q.order[q.served++] = who;
    return 0;
}

static void await_waiting(int i)
{
    while (!q.fiber[i] || at_load(&q.fiber[i]->state) != WEFT__WAITING)
        yield();
}

static void go_and_wait(int (*fn)(void *), int arg, int i)
{
    q.fiber[i] = NULL;
    go(fn, (void *)(intptr_t)arg);
    await_waiting(i);
}

static void await_served(int n)
{
    while (q.served < n)
        yield();
    CHECK_EQ(q.served, n);
}

static void wake_for_nothing(int i)
{
    weft__enter();
    weft__interrupt(q.fiber[i]);
    weft__leave();
}

static int places_in_semaphore(void *arg)
{
    (void)arg;
    for (int late = 0; late < 2; late++) { /* whether it has lain down again when permits come */
        weft_sema_init(&q.permits, 0, "permits");
        q.served = 0;
        go_and_wait(wants, 5, 0);
        go_and_wait(wants, 1, 1);
        wake_for_nothing(0);
        if (!late)
            await_waiting(0);
        weft_sema_release(&q.permits, late ? 5 : 1);
        for (int i = 0; i < 5; i++)
            yield();
        CHECK_EQ(q.served, late); /* not past one that lies there; past one that is awake */
        weft_sema_release(&q.permits, late ? 1 : 4);
        await_served(late + 1);
        CHECK_EQ(q.order[late], 5);
        weft_sema_release(&q.permits, late ? 0 : 1);
        await_served(2);
        CHECK_EQ(weft_sema_value(&q.permits), 0);
        weft_sema_fini(&q.permits);
    }
    weft_sema_init(&q.permits, 0, "permits");
    q.served = 0;
    go_and_wait(wants, 5, 0);
    wake_for_nothing(0);
    weft_sema_release(&q.permits, 6);
    await_served(1);
    CHECK_EQ(weft_sema_value(&q.permits), 1);
    weft_sema_fini(&q.permits);
    return 0;
}

static int places_in_channel(void *arg)
{
    (void)arg;
    for (int late = 0; late < 2; late++) {
        CHECK_EQ(weft_chan_make(&q.line, 0), 0);
        q.served = 0;
        go_and_wait(receives, 0, 0);
        go_and_wait(receives, 1, 1);
        wake_for_nothing(0);
        if (!late)
            await_waiting(0);
        CHECK_EQ(weft_send(q.line, 1), 0);
        await_served(1);
        CHECK_EQ(q.order[0], late);
        CHECK_EQ(weft_send(q.line, 1), 0);
        await_served(2);
        CHECK_EQ(q.order[1], !late);
        weft_chan_free(q.line.chan);
    }
    CHECK_EQ(weft_chan_make(&q.line, 1), 0);
    q.served = 0;
    go_and_wait(receives, 0, 0);
    wake_for_nothing(0);
    CHECK_EQ(weft_send(q.line, 1), 0); /* into the buffer: it is awake */
    await_served(1);
    CHECK_EQ(weft_chan_len(q.line.chan), 0);
    weft_chan_free(q.line.chan);
    return 0;
}

TEST(who_is_woken_for_nothing_keeps_its_place)
{
    CHECK_EQ(run_on(1, places_in_semaphore, NULL), 0);
    CHECK_EQ(run_on(1, places_in_channel, NULL), 0);
}
