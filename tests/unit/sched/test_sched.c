// SPDX-License-Identifier: Apache-2.0
/*
 * test_sched.c - the scheduler through its internal contract (sched.h): spawn, park, ready, yield,
 * sleep, stealing, hogs, blocking calls, plain threads, limits, deadlock, stack overflow. Each case
 * on 1, 2 and 8 workers where it matters.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/fatal.h"
#include "base/futex.h"
#include "sched/sched.h"
#include "sched_test.h"

static int run(unsigned workers, int (*entry)(void *), void *arg)
{
    int result = -1;
    struct weft__sched_opts o = {.workers = workers};
    int rc = weft__sched_run(entry, arg, NULL, NULL, NULL, &o, &result);
    CHECK_EQ(rc, 0);
    return result;
}

static int go(int (*fn)(void *), void *arg)
{
    struct weft__spawn s = {.entry = fn, .arg = arg, .spawn_site = __builtin_return_address(0)};
    weft__enter();
    int rc = weft__spawn(&s, NULL);
    weft__leave();
    return rc;
}

static void yield(void)
{
    weft__enter();
    weft__yield();
    weft__leave();
}

/* A counter that fibers wait on: the smallest thing with a queue, a lock and a commit. */
struct latch {
    struct weft__lock lock;
    long left;
    struct weft__fiber *waiter;
};

static void latch_wait(struct latch *l)
{
    struct weft__fiber *f = weft__enter();
    weft__lock(&l->lock, WEFT__RANK_SYNC);
    if (l->left > 0) {
        l->waiter = f;
        weft__park(WEFT__WAIT_OTHER, l, __builtin_return_address(0), WEFT__PARK_HARD,
            weft__commit_unlock, &l->lock);
    } else {
        weft__unlock(&l->lock);
    }
    weft__leave();
}

static void latch_done(struct latch *l)
{
    weft__enter();
    weft__lock(&l->lock, WEFT__RANK_SYNC);
    struct weft__fiber *f = --l->left == 0 ? l->waiter : NULL;
    bool won = f && weft__claim(f);
    weft__unlock(&l->lock);
    if (won) {
        f->wake_result = 0;
        weft__ready(f);
    }
    weft__leave();
}

static int return_seven(void *arg)
{
    *(int *)arg += 1;
    return 7;
}

TEST(entry_result_and_run_again)
{
    int calls = 0;
    for (int i = 0; i < 20; i++)
        CHECK_EQ(run((unsigned)i % 3 + 1, return_seven, &calls), 7);
    CHECK_EQ(calls, 20);
}

static int run_inside(void *arg)
{
    (void)arg;
    int result;
    return weft__sched_run(return_seven, NULL, NULL, NULL, NULL, NULL, &result);
}

TEST(run_inside_itself_is_refused)
{
    CHECK_EQ(run(2, run_inside, NULL), -EDEADLK);
}

static struct latch latch;
static _Atomic long counter;

static int count_up(void *arg)
{
    for (long i = 0; i < (long)(intptr_t)arg; i++)
        yield();
    at_add(&counter, 1);
    latch_done(&latch);
    return 0;
}

static int spawn_many(void *arg)
{
    long n = (long)(intptr_t)arg;
    latch.left = n;
    for (long i = 0; i < n; i++)
        CHECK_EQ(go(count_up, (void *)(intptr_t)(i % 4)), 0);
    latch_wait(&latch);
    return 0;
}

static void many(unsigned workers, long n)
{
    at_store(&counter, 0);
    CHECK_EQ(run(workers, spawn_many, (void *)n), 0);
    CHECK_EQ(at_load(&counter), n);
}

TEST(spawn_join_1)
{
    many(1, 50000);
}
TEST(spawn_join_2)
{
    many(2, 200000);
}
TEST(spawn_join_8)
{
    many(8, 50000);
}

/* ---- hand-off between two fibers ---- */

struct pair {
    struct weft__lock lock;
    struct weft__fiber *waiter;
    long turns, ball;
};

static int player(void *arg)
{
    struct pair *p = ((void **)arg)[0];
    long me = (long)(intptr_t)((void **)arg)[1];
    for (;;) {
        struct weft__fiber *f = weft__enter();
        weft__lock(&p->lock, WEFT__RANK_SYNC);
        if (p->turns <= 0) {
            struct weft__fiber *w = p->waiter;
            p->waiter = NULL;
            weft__unlock(&p->lock);
            if (w && weft__claim(w)) {
                w->wake_result = 0;
                weft__ready(w);
            }
            weft__leave();
            latch_done(&latch);
            return 0;
        }
        if (p->ball != me) {
            CHECK(p->waiter == NULL);
            p->waiter = f;
            weft__park(WEFT__WAIT_OTHER, p, NULL, 0, weft__commit_unlock, &p->lock);
            weft__leave();
            continue;
        }
        p->ball = !me;
        p->turns--;
        struct weft__fiber *w = p->waiter;
        p->waiter = NULL;
        weft__unlock(&p->lock);
        if (w && weft__claim(w)) {
            w->wake_result = 0;
            weft__ready(w);
        }
        weft__leave();
    }
}

static int ping_pong(void *arg)
{
    static struct pair p;
    static void *a[2] = {&p, (void *)0}, *b[2] = {&p, (void *)1};
    p = (struct pair){.turns = (long)(intptr_t)arg};
    latch = (struct latch){.left = 2};
    go(player, a);
    go(player, b);
    latch_wait(&latch);
    return 0;
}

TEST(hand_off_1)
{
    CHECK_EQ(run(1, ping_pong, (void *)300000), 0);
}
TEST(hand_off_2)
{
    CHECK_EQ(run(2, ping_pong, (void *)300000), 0);
}
TEST(hand_off_8)
{
    CHECK_EQ(run(8, ping_pong, (void *)100000), 0);
}

/* ---- sleep and timers ---- */

static int sleeper(void *arg)
{
    int64_t d = (int64_t)(intptr_t)arg, t0 = weft__clock_ns();
    nap(d);
    CHECK(weft__clock_ns() - t0 >= d);
    latch_done(&latch);
    return 0;
}

static int many_sleepers(void *arg)
{
    (void)arg;
    latch = (struct latch){.left = 2000};
    for (intptr_t i = 0; i < 2000; i++)
        go(sleeper, (void *)((i * 7919 % 50 + 1) * 1000000));
    latch_wait(&latch);
    return 0;
}

TEST(sleepers_1)
{
    CHECK_EQ(run(1, many_sleepers, NULL), 0);
}
TEST(sleepers_2)
{
    CHECK_EQ(run(2, many_sleepers, NULL), 0);
}
TEST(sleepers_8)
{
    CHECK_EQ(run(8, many_sleepers, NULL), 0);
}

static _Atomic long fired;
static int64_t last_when;

static void on_fire(struct weft__timer *t, void *arg)
{
    (void)arg;
    CHECK(t->when_ns >= last_when);
    last_when = t->when_ns;
    at_add(&fired, 1);
}

static int timer_order(void *arg)
{
    enum { N = 20000 };
    static struct weft__timer t[N];
    long stopped = 0;
    (void)arg;
    srand((unsigned)test_seed());
    weft__enter();
    int64_t now = weft__clock_ns() + 5000000;
    for (int i = 0; i < N; i++) {
        t[i] = (struct weft__timer){.fn = on_fire};
        weft__timer_start(&t[i], now + rand() % 20000000);
    }
    for (int i = 0; i < N; i += 3)
        stopped += weft__timer_stop(&t[i]);
    for (int i = 0; i < N; i += 3)
        CHECK(!weft__timer_stop(&t[i]));
    weft__leave();
    while (at_load(&fired) < N - stopped)
        nap(2000000);
    nap(5000000);
    CHECK_EQ(at_load(&fired), N - stopped);
    return 0;
}

TEST(timers_fire_in_order_and_stopped_ones_do_not)
{
    CHECK_EQ(run(1, timer_order, NULL), 0);
}

/* ---- hogs and blocking calls ---- */

static _Atomic int stop_hogs;

static int hog(void *arg)
{
    (void)arg;
    volatile unsigned long x = 0;
    while (!at_load(&stop_hogs))
        x++;
    latch_done(&latch);
    return 0;
}

static int beside_hogs(void *arg)
{
    int hogs = (int)(intptr_t)arg;
    latch = (struct latch){.left = hogs};
    for (int i = 0; i < hogs; i++)
        go(hog, NULL);
    for (int i = 0; i < 20; i++)
        nap(1000000);
    at_store(&stop_hogs, 1);
    latch_wait(&latch);
    return 0;
}

TEST(a_hog_does_not_stop_others_1)
{
    CHECK_EQ(run(1, beside_hogs, (void *)1), 0);
}
TEST(hogs_do_not_stop_others_2)
{
    CHECK_EQ(run(2, beside_hogs, (void *)4), 0);
}

static int pipe_fd[2];

static int blocked_reader(void *arg)
{
    char c;
    (void)arg;
    CHECK_EQ(read(pipe_fd[0], &c, 1), 1);
    latch_done(&latch);
    return 0;
}

static int beside_blocked(void *arg)
{
    (void)arg;
    CHECK_EQ(pipe(pipe_fd), 0);
    latch = (struct latch){.left = 1};
    go(blocked_reader, NULL);
    for (int i = 0; i < 5; i++)
        nap(1000000);
    CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    latch_wait(&latch);
    return 0;
}

TEST(a_blocking_call_does_not_stop_others_1)
{
    CHECK_EQ(run(1, beside_blocked, NULL), 0);
}
TEST(a_blocking_call_does_not_stop_others_2)
{
    CHECK_EQ(run(2, beside_blocked, NULL), 0);
}

static int preempt_data(void *arg)
{
    /* data of a preempted fiber is intact: sums over malloc'ed memory while hogs compete */
    unsigned long sum = 0, want = 0;
    (void)arg;
    for (int r = 0; r < 3000; r++) {
        unsigned long *p = malloc(1000 * sizeof *p);
        for (unsigned long i = 0; i < 1000; i++)
            p[i] = i * (unsigned long)r;
        for (unsigned long i = 0; i < 1000; i++)
            sum += p[i];
        want += 499500UL * (unsigned long)r;
        free(p);
    }
    CHECK(sum == want);
    latch_done(&latch);
    return 0;
}

static int preempt_malloc(void *arg)
{
    (void)arg;
    latch = (struct latch){.left = 8};
    for (int i = 0; i < 8; i++)
        go(preempt_data, NULL);
    latch_wait(&latch);
    return 0;
}

TEST(preempted_inside_malloc)
{
    CHECK_EQ(run(2, preempt_malloc, NULL), 0);
}

/* ---- plain threads ---- */

static void *thread_player(void *arg)
{
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(go(count_up, (void *)1), 0);
    latch_wait(arg);
    return NULL;
}

static int from_threads(void *arg)
{
    static struct latch done;
    pthread_t t[4];
    (void)arg;
    latch = (struct latch){.left = 4000};
    done = (struct latch){.left = 0};
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, thread_player, &done), 0);
    latch_wait(&latch);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    return 0;
}

TEST(plain_threads_spawn_fibers)
{
    CHECK_EQ(run(2, from_threads, NULL), 0);
}

/* ---- interrupt ---- */

static struct weft__fiber *victim;

static int interrupted(void *arg)
{
    (void)arg;
    weft__enter();
    int rc = weft__sleep_until(weft__clock_ns() + 3600 * 1000000000L, NULL);
    weft__leave();
    CHECK_EQ(rc, WEFT__INTERRUPTED);
    weft__enter();
    weft__interrupt_clear(weft__self());
    weft__leave();
    nap(1000000);
    latch_done(&latch);
    return 0;
}

static int interrupter(void *arg)
{
    struct weft__spawn s = {.entry = interrupted};
    (void)arg;
    latch = (struct latch){.left = 1};
    weft__enter();
    CHECK_EQ(weft__spawn(&s, &victim), 0);
    weft__leave();
    while (at_load(&victim->park_reason) == WEFT__WAIT_NONE)
        nap(100000);
    weft__enter();
    weft__interrupt(victim);
    weft__leave();
    latch_wait(&latch);
    return 0;
}

TEST(interrupt_ends_a_sleep)
{
    CHECK_EQ(run(2, interrupter, NULL), 0);
}

/* ---- limits, deadlock, overflow ---- */

static int over_limit(void *arg)
{
    int made = 0, rc;
    (void)arg;
    latch = (struct latch){.left = 1 << 20};
    while ((rc = go(count_up, (void *)1)) == 0)
        made++;
    CHECK_EQ(rc, -EAGAIN);
    return made;
}

TEST(limit_of_fibers)
{
    int result;
    struct weft__sched_opts o = {.workers = 1, .max_fibers = 100};
    CHECK_EQ(weft__sched_run(over_limit, NULL, NULL, NULL, NULL, &o, &result), 0);
    CHECK(result >= 98 && result <= 99);
}

static int wait_for_ever(void *arg)
{
    (void)arg;
    latch = (struct latch){.left = 1};
    latch_wait(&latch);
    return 0;
}

static void deadlocked(void)
{
    run(2, wait_for_ever, NULL);
}
TEST(global_deadlock_ends_the_process)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer has a thread of its own");
#endif
    EXPECT_DEATH(deadlocked, "all fibers are asleep - deadlock!");
}

static int recurse(volatile char *p, int n)
{
    volatile char frame[512];
    frame[0] = p ? *p : 1;
    return n == 0 ? frame[0] : recurse(frame, n - 1) + frame[0];
}

static int deep(void *arg)
{
    (void)arg;
    return recurse(NULL, 10000000);
}

static void overflows(void)
{
    run(1, deep, NULL);
}
TEST(stack_overflow_names_the_fiber)
{
    EXPECT_DEATH(overflows, "stack overflow in fiber 1");
}

static int leave_others(void *arg)
{
    (void)arg;
    latch = (struct latch){.left = 1 << 20};
    go(wait_for_ever, NULL);
    return 3;
}

TEST(fibers_left_over_are_told)
{
    int result = 0;
    struct weft__sched_opts o = {.workers = 2, .drain_ns = 50000000};
    CHECK_EQ(weft__sched_run(leave_others, NULL, NULL, NULL, NULL, &o, &result), -ETIMEDOUT);
    CHECK_EQ(result, 3);
}

/* Voluntary switches of all threads in three seconds in which nothing happens. On a busy machine
 * the threads may need a while to lie down: what wakes without need would show each time. */
static int idle_seconds(void *arg)
{
    struct rusage a, b;
    long least = 1000;
    (void)arg;
    for (int i = 0; i < 6 && least >= 15; i++) {
        getrusage(RUSAGE_SELF, &a);
        nap(3000000000);
        getrusage(RUSAGE_SELF, &b);
        least = b.ru_nvcsw - a.ru_nvcsw < least ? b.ru_nvcsw - a.ru_nvcsw : least;
    }
    return (int)least;
}

TEST(an_idle_program_sleeps)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer has a thread of its own");
#endif
    int switches = run(2, idle_seconds, NULL);
    CHECK_MSG(switches < 15, "%d voluntary switches in three idle seconds at least", switches);
}
