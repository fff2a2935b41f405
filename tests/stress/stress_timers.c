// SPDX-License-Identifier: Apache-2.0
/*
 * stress_timers.c - timers started, stopped and fired from many threads at once.
 *
 * heap_*: the heap alone, under plain threads (so a ThreadSanitizer build of the library sees it):
 * some start and stop timers of both kinds, two run the heap. Each start must end in exactly one
 * of: a stop that returned true, or a firing; and a stop that returned false has waited for the
 * firing if the timer is of the locked kind (T2 of timer.c).
 *
 * across_runs: plain threads sleep and arm timers while runtimes start and end under them: no timer
 * is lost between two runtimes, and none comes early.
 */
#include <pthread.h>
#include <time.h>

#include "unit/sync/sync_test.h"
#include "sched/worker.h"

enum { THREADS = 3, RUNNERS = 2, TIMERS = 200 };

struct item {
    struct weft__timer timer;
    _Atomic uint32_t started, fired;
    uint32_t stopped;
    int64_t early_ns; /* plain, written by fn: read after a stop of the locked kind */
};

struct party {
    struct weft__rand rand;
    struct item item[TIMERS];
    uint64_t started, stopped;
};

static struct weft__worker fake;
static struct party parties[THREADS];
static _Atomic int stop;

static void fire(struct weft__timer *t, void *arg)
{
    struct item *i = arg;
    (void)t;
    i->early_ns = i->timer.when_ns - weft__clock_ns();
    at_add(&i->fired, 1);
}

static void start(struct party *p, struct item *i)
{
    i->timer = (struct weft__timer){.fn = fire, .arg = i, .locked = i->timer.locked};
    at_add(&i->started, 1);
    p->started++;
    weft__timer_start(&i->timer, weft__clock_ns() + weft__rand_below(&p->rand, 200000));
}

static void end(struct party *p, struct item *i)
{
    if (weft__timer_stop(&i->timer)) {
        i->stopped++;
        p->stopped++;
    }
    while (at_load(&i->fired) + i->stopped < at_load(&i->started)) {
        CHECK(!i->timer.locked);
        weft__cpu_pause();
    }
    CHECK_EQ(at_load(&i->fired) + i->stopped, at_load(&i->started));
    CHECK(i->early_ns <= 0);
}

static void *party(void *arg)
{
    struct party *p = arg;
    for (int k = 0; k < TIMERS; k++)
        p->item[k].timer.locked = k % 2;
    while (!at_load(&stop)) {
        struct item *i = &p->item[weft__rand_below(&p->rand, TIMERS)];
        weft__enter();
        bool idle = at_load(&i->fired) + i->stopped == at_load(&i->started);
        if (idle)
            end(p, i), start(p, i);
        else if (weft__rand_below(&p->rand, 3) == 0)
            end(p, i);
        weft__leave();
    }
    weft__enter();
    for (int k = 0; k < TIMERS; k++)
        end(p, &p->item[k]);
    weft__leave();
    return NULL;
}

static void *runner(void *arg)
{
    (void)arg;
    weft__enter();
    while (at_load(&stop) < 2)
        weft__timers_run(&fake.heap, weft__clock_ns());
    weft__leave();
    return NULL;
}

static void nap_s(int seconds)
{
    struct timespec ts = {.tv_sec = seconds};
    nanosleep(&ts, NULL);
}

TEST(heap_start_stop_fire)
{
    pthread_t t[THREADS], r[RUNNERS];
    uint64_t started = 0, stopped = 0;
    at_store(&fake.heap.next_ns, INT64_MAX);
    weft__sched.worker = &fake;
    weft__sched.workers = 1;
    for (int i = 0; i < THREADS; i++) {
        weft__rand_init(&parties[i].rand, test_seed() + (uint64_t)i);
        CHECK_EQ(pthread_create(&t[i], NULL, party, &parties[i]), 0);
    }
    for (int i = 0; i < RUNNERS; i++)
        CHECK_EQ(pthread_create(&r[i], NULL, runner, NULL), 0);
    nap_s(test_stress_seconds());
    at_store(&stop, 1);
    for (int i = 0; i < THREADS; i++) {
        pthread_join(t[i], NULL);
        started += parties[i].started;
        stopped += parties[i].stopped;
    }
    at_store(&stop, 2);
    for (int i = 0; i < RUNNERS; i++)
        pthread_join(r[i], NULL);
    CHECK(!fake.heap.root);
    CHECK_EQ(at_load(&fake.heap.next_ns), INT64_MAX);
    CHECK(stopped > 0 && stopped < started);
    printf("# seed %llu: %llu started, %llu stopped\n", (unsigned long long)test_seed(),
        (unsigned long long)started, (unsigned long long)stopped);
}

/* ---- across runs ---- */

static _Atomic uint64_t sleeps;

static void *sleeper(void *arg)
{
    struct weft__rand r;
    weft__rand_init(&r, test_seed() ^ (uint64_t)(uintptr_t)arg);
    while (!at_load(&stop)) {
        weft__enter();
        int64_t until = weft__clock_ns() + weft__rand_below(&r, 300000);
        CHECK_EQ(weft__sleep_until(until, NULL), 0);
        CHECK(weft__clock_ns() >= until);
        weft__leave();
        at_add(&sleeps, 1);
    }
    return NULL;
}

static int naps(void *arg)
{
    struct weft__rand *r = arg;
    for (int i = 0; i < 3; i++)
        nap(weft__rand_below(r, 200000));
    return 0;
}

TEST(across_runs)
{
    pthread_t t[THREADS];
    struct weft__rand r;
    int runs = 0;
    weft__rand_init(&r, test_seed());
    for (uintptr_t i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, sleeper, (void *)(i + 1)), 0);
    int64_t end = weft__clock_ns() + test_stress_seconds() * (int64_t)1000000000;
    for (; weft__clock_ns() < end; runs++)
        CHECK_EQ(run_on(1 + weft__rand_below(&r, 4), naps, &r), 0);
    at_store(&stop, 1);
    for (int i = 0; i < THREADS; i++)
        while (pthread_tryjoin_np(t[i], NULL) == EBUSY) /* somebody must run the last timers */
            CHECK_EQ(run_on(1, naps, &r), 0);
    CHECK(at_load(&sleeps) > 0);
    printf("# seed %llu: %d runs, %llu sleeps\n", (unsigned long long)test_seed(), runs,
        (unsigned long long)at_load(&sleeps));
}
