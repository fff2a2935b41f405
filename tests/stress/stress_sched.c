// SPDX-License-Identifier: Apache-2.0
/*
 * stress_sched.c - the scheduler under storms, on 1 to 8 workers: parks against wakers and the ends
 * of contexts, fibers that come and go on stacks of all classes, hogs and blocking calls beside
 * channels, one runtime after another.
 *
 * storm   parties (fibers, and two plain threads) wait at random gates, wake one or all at a gate,
 *         interrupt each other, sleep and yield. Every wake that claimed somebody must be one wait
 *         that returned it: as many given as got, at each gate.
 * churn   a fiber fills part of its stack with its number, parks now and then, and must find the
 *         number there afterwards; it may start others.
 * mixed   numbers go round a ring of channels while hogs compute for longer than a slice and others
 *         sit in blocking calls; none may be lost, doubled or altered.
 * runs    weft_run again and again, with different numbers of workers, and a plain thread that
 *         calls in all the while.
 */
#include <pthread.h>
#include <time.h>
#include <unistd.h>
#include <weft/fiber.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sugar_chan.h>

#include "unit/sync/sync_test.h"
#include "sync/waiter.h"

static int64_t until_ns;

static void begin(int share)
{
    until_ns = weft__clock_ns() + test_stress_seconds() * (int64_t)1000000000 / share;
}

static bool over(void)
{
    return weft__clock_ns() >= until_ns;
}

static unsigned workers_by_lot(struct weft__rand *r)
{
    static const unsigned counts[] = {1, 2, 3, 4, 8};
    return counts[weft__rand_below(r, 5)];
}

/* ---- storm ---- */

enum { GATES = 5, PARTIES = 20, STRANGERS = 2 };

struct gate {
    struct weft__lock lock;
    struct weft__node queue;
    uint64_t given;
    _Atomic uint64_t got;
};

static struct {
    struct gate gate[GATES];
    _Atomic(struct weft__fiber *) fiber[PARTIES]; /* may be interrupted, under lock */
    struct weft__lock lock;
    _Atomic int live;
    uint64_t interrupted;
} storm;

struct party {
    struct weft__rand rand;
    int index;
};
static struct party parties[PARTIES];

static void gate_wait(struct weft__fiber *f, struct gate *g)
{
    struct weft__waiter w = {.fiber = f};
    weft__lock(&g->lock, WEFT__RANK_SYNC);
    weft__list_push_back(&g->queue, &w.link);
    int rc = weft__park(
        WEFT__WAIT_FLIGHT, g, __builtin_return_address(0), 0, weft__commit_unlock, &g->lock);
    if (rc == WEFT__INTERRUPTED) {
        weft__lock(&g->lock, WEFT__RANK_SYNC);
        if (weft__node_linked(&w.link))
            weft__list_remove(&w.link);
        weft__unlock(&g->lock);
        weft__interrupt_clear(f);
    } else {
        CHECK_EQ(rc, 7);
        CHECK(!weft__node_linked(&w.link));
        at_add(&g->got, 1);
    }
}

static void gate_wake(struct gate *g, unsigned limit)
{
    struct weft__node claimed;
    struct weft__waiter *w;
    weft__list_init(&claimed);
    weft__lock(&g->lock, WEFT__RANK_SYNC);
    while (limit-- && (w = weft__waitq_claim(&g->queue))) {
        w->fiber->wake_result = 7;
        g->given++;
        weft__list_push_back(&claimed, &w->link);
    }
    weft__unlock(&g->lock);
    weft__ready_all(&claimed);
}

static void interrupt_one(int index)
{
    weft__lock(&storm.lock, WEFT__RANK_SYNC);
    struct weft__fiber *f = at_load(&storm.fiber[index]);
    if (f) {
        weft__interrupt(f);
        storm.interrupted++;
    }
    weft__unlock(&storm.lock);
}

static void storm_turn(struct party *p, struct weft__fiber *f)
{
    struct gate *g = &storm.gate[weft__rand_below(&p->rand, GATES)];
    switch (weft__rand_below(&p->rand, 10)) {
    case 0:
    case 1:
    case 2:
        gate_wait(f, g);
        break;
    case 3:
        gate_wake(g, PARTIES);
        break;
    case 4:
    case 5:
    case 6:
        gate_wake(g, 1);
        break;
    case 7:
        interrupt_one((int)weft__rand_below(&p->rand, PARTIES));
        break;
    case 8: /* a commit that holds no lock (P4) */
        if (weft__sleep_until(weft__clock_ns() + weft__rand_below(&p->rand, 50000), NULL))
            weft__interrupt_clear(f);
        break;
    default:
        weft__yield();
    }
}

static int storm_party(void *arg)
{
    struct party *p = arg;
    struct weft__fiber *f = weft__enter();
    weft__lock(&storm.lock, WEFT__RANK_SYNC);
    at_store(&storm.fiber[p->index], f);
    weft__unlock(&storm.lock);
    weft__leave();
    while (!over()) {
        weft__enter();
        storm_turn(p, f);
        weft__leave();
    }
    weft__enter();
    weft__lock(&storm.lock, WEFT__RANK_SYNC);
    at_store(&storm.fiber[p->index], NULL);
    weft__unlock(&storm.lock);
    weft__interrupt_clear(f);
    weft__leave();
    at_sub(&storm.live, 1);
    return 0;
}

static void *storm_stranger(void *arg)
{
    storm_party(arg);
    return NULL;
}

static int storm_app(void *arg)
{
    pthread_t t[STRANGERS];
    (void)arg;
    begin(4);
    at_store(&storm.live, PARTIES);
    for (int i = 0; i < PARTIES; i++) {
        parties[i].index = i;
        weft__rand_init(&parties[i].rand, test_seed() + (uint64_t)i);
        if (i < PARTIES - STRANGERS)
            go(storm_party, &parties[i]);
        else
            CHECK_EQ(
                pthread_create(&t[i - PARTIES + STRANGERS], NULL, storm_stranger, &parties[i]), 0);
    }
    while (at_load(&storm.live) > 0) {
        nap(200000); /* all of them may be waiting */
        weft__enter();
        for (int g = 0; g < GATES; g++)
            gate_wake(&storm.gate[g], over() ? PARTIES : 1);
        weft__leave();
    }
    for (int i = 0; i < STRANGERS; i++)
        pthread_join(t[i], NULL);
    return 0;
}

TEST(storm)
{
    static const unsigned counts[] = {1, 2, 4, 8};
    for (int g = 0; g < GATES; g++)
        weft__list_init(&storm.gate[g].queue);
    for (size_t i = 0; i < 4; i++)
        CHECK_EQ(run_on(counts[i], storm_app, NULL), 0);
    uint64_t waits = 0;
    for (int g = 0; g < GATES; g++) {
        CHECK(weft__list_empty(&storm.gate[g].queue));
        CHECK_EQ(storm.gate[g].given, at_load(&storm.gate[g].got));
        waits += storm.gate[g].given;
    }
    CHECK(waits > 0 && storm.interrupted > 0);
    printf("# seed %llu: %llu waits, %llu interrupts\n", (unsigned long long)test_seed(),
        (unsigned long long)waits, (unsigned long long)storm.interrupted);
}

/* ---- churn ---- */

enum { LIVE_MAX = 300 };
static _Atomic int churn_live;
static _Atomic uint64_t churn_seed, churned;

static int churn_fiber(void *arg);

static void churn_start(struct weft__rand *r)
{
    static const size_t stacks[] = {16 << 10, 60 << 10, 200 << 10, 900 << 10, 3 << 20};
    uint64_t copy[32];
    for (int i = 0; i < 32; i++)
        copy[i] = at_add(&churn_seed, 1);
    struct weft__spawn s = {.entry = churn_fiber,
        .copy = copy,
        .copy_bytes = (1 + weft__rand_below(r, 32)) * sizeof *copy,
        .stack_bytes = stacks[weft__rand_below(r, 5)],
        .relieve = weft__rand_below(r, 2)};
    at_add(&churn_live, 1);
    weft__enter();
    int rc = weft__spawn(&s, NULL);
    weft__leave();
    CHECK_EQ(rc, 0);
}

static int churn_fiber(void *arg)
{
    const uint64_t number = *(uint64_t *)arg;
    struct weft__rand r;
    volatile uint64_t fill[400];
    weft__rand_init(&r, number);
    size_t n = weft__rand_below(&r, 400);
    for (size_t i = 0; i < n; i++)
        fill[i] = number + i;
    for (int k = (int)weft__rand_below(&r, 4); k > 0; k--) {
        if (weft__rand_below(&r, 4) == 0)
            nap(weft__rand_below(&r, 100000));
        else
            yield();
        if (!over() && at_load(&churn_live) < LIVE_MAX)
            churn_start(&r);
    }
    for (size_t i = 0; i < n; i++)
        CHECK(fill[i] == number + i);
    CHECK_EQ(*(uint64_t *)arg, number);
    at_add(&churned, 1);
    at_sub(&churn_live, 1);
    return 0;
}

static int churn_app(void *arg)
{
    struct weft__rand *r = arg;
    begin(3);
    while (!over()) {
        for (int i = 0; i < 20 && at_load(&churn_live) < LIVE_MAX; i++)
            churn_start(r);
        nap(200000);
    }
    while (at_load(&churn_live) > 0)
        nap(1000000);
    return 0;
}

TEST(churn)
{
    struct weft__rand r;
    weft__rand_init(&r, test_seed());
    for (int i = 0; i < 3; i++)
        CHECK_EQ(run_on(workers_by_lot(&r), churn_app, &r), 0);
    CHECK(at_load(&churned) > 0);
    printf("# seed %llu: %llu fibers\n", (unsigned long long)test_seed(),
        (unsigned long long)at_load(&churned));
}

/* ---- mixed ---- */

typedef WEFT_CHAN_OF(uint64_t) word_chan;
enum { STATIONS = 8, TRAVELLERS = 6, HOGS = 2, BLOCKERS = 3 };

static struct {
    word_chan c[STATIONS];
    _Atomic uint64_t hops, hogged, blocked, seen[TRAVELLERS];
} mixed;

static int station(void *arg)
{
    int i = (int)(intptr_t)arg;
    uint64_t v;
    int rc;
    while ((rc = weft_recv(mixed.c[i], &v)) == 1) {
        CHECK(v < TRAVELLERS);
        at_add(&mixed.hops, 1);
        if (i == 0 && over()) {
            at_add(&mixed.seen[v], 1);
            continue;
        }
        CHECK_EQ(weft_send(mixed.c[(i + 1) % STATIONS], v), 0);
    }
    CHECK_EQ(rc, 0);
    return 0;
}

static int hog(void *arg)
{
    (void)arg;
    while (!over()) {
        int64_t end = weft__clock_ns() + 25000000;
        while (weft__clock_ns() < end)
            __asm__ volatile("");
        at_add(&mixed.hogged, 1);
        weft_yield();
    }
    return 0;
}

static int blocker(void *arg)
{
    bool says = (intptr_t)arg % 2;
    while (!over()) {
        struct timespec ts = {.tv_nsec = 12000000};
        if (says)
            weft_blocking_begin();
        while (nanosleep(&ts, &ts) < 0) /* EINTR: the signal of a preemption may come */
            ;
        if (says)
            weft_blocking_end();
        at_add(&mixed.blocked, 1);
        weft_yield();
    }
    return 0;
}

static int mixed_app(void *arg)
{
    weft_scope s, others;
    (void)arg;
    begin(3);
    for (int i = 0; i < STATIONS; i++)
        CHECK_EQ(weft_chan_make(&mixed.c[i], i % 3 ? TRAVELLERS : 2 * TRAVELLERS), 0);
    for (int i = 0; i < TRAVELLERS; i++)
        at_store(&mixed.seen[i], 0);
    weft_scope_open(&s, NULL);
    weft_scope_open(&others, NULL);
    for (intptr_t i = 0; i < STATIONS; i++)
        CHECK_EQ(weft_go(&s, station, (void *)i), 0);
    for (intptr_t i = 0; i < HOGS + BLOCKERS; i++)
        CHECK_EQ(weft_go(&others, i < HOGS ? hog : blocker, (void *)i), 0);
    for (uint64_t i = 0; i < TRAVELLERS; i++)
        CHECK_EQ(weft_send(mixed.c[i % STATIONS], i), 0);
    CHECK_EQ(weft_wait(&others), 0);
    for (int i = 0; i < TRAVELLERS; i++) {
        while (at_load(&mixed.seen[i]) == 0)
            CHECK_EQ(weft_sleep(1000000), 0);
        CHECK_EQ(at_load(&mixed.seen[i]), 1);
    }
    for (int i = 0; i < STATIONS; i++)
        weft_chan_close(mixed.c[i]);
    CHECK_EQ(weft_wait(&s), 0);
    weft_scope_close(&others);
    weft_scope_close(&s);
    for (int i = 0; i < STATIONS; i++)
        weft_chan_free(mixed.c[i]);
    return 0;
}

static void run_public(unsigned workers, int (*app)(void *), void *arg)
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    CHECK_EQ(weft_run(app, arg, &o, &result), 0);
    CHECK_EQ(result, 0);
}

TEST(mixed)
{
    run_public(1, mixed_app, NULL);
    run_public(2, mixed_app, NULL);
    run_public(4, mixed_app, NULL);
    printf("# seed %llu: %llu hops, %llu times hogged, %llu blocked\n",
        (unsigned long long)test_seed(), (unsigned long long)at_load(&mixed.hops),
        (unsigned long long)at_load(&mixed.hogged), (unsigned long long)at_load(&mixed.blocked));
    CHECK(at_load(&mixed.hops) > 0 && at_load(&mixed.hogged) > 0 && at_load(&mixed.blocked) > 0);
}

/* ---- runs ---- */

static _Atomic int runs_over;

static void *caller(void *arg)
{
    word_chan c;
    uint64_t v;
    (void)arg;
    CHECK_EQ(weft_chan_make(&c, 1), 0);
    for (uint64_t i = 0; !at_load(&runs_over); i++) {
        CHECK_EQ(weft_send(c, i), 0);
        CHECK_EQ(weft_recv(c, &v), 1);
        CHECK_EQ(v, i);
        (void)weft_running();
        struct timespec ts = {.tv_nsec = 20000};
        nanosleep(&ts, NULL);
    }
    weft_chan_free(c);
    return NULL;
}

static int leaf(void *arg)
{
    at_add((_Atomic int *)arg, 1);
    weft_yield();
    return 0;
}

static int short_app(void *arg)
{
    struct weft__rand *r = arg;
    static _Atomic int leaves;
    int n = (int)weft__rand_below(r, 40);
    weft_scope s;
    at_store(&leaves, 0);
    weft_scope_open(&s, NULL);
    for (int i = 0; i < n; i++)
        CHECK_EQ(weft_go(&s, leaf, &leaves), 0);
    CHECK_EQ(weft_wait(&s), 0);
    weft_scope_close(&s);
    CHECK_EQ(at_load(&leaves), n);
    return 0;
}

TEST(runs)
{
    struct weft__rand r;
    pthread_t t;
    int n = 0;
    weft__rand_init(&r, test_seed());
    begin(1);
    CHECK_EQ(pthread_create(&t, NULL, caller, NULL), 0);
    for (; !over(); n++)
        run_public(workers_by_lot(&r), short_app, &r);
    at_store(&runs_over, 1);
    pthread_join(t, NULL);
    printf("# seed %llu: %d runs\n", (unsigned long long)test_seed(), n);
}
