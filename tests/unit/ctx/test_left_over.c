// SPDX-License-Identifier: Apache-2.0
/*
 * test_left_over.c - a run that ends with fibers left over: what plain threads wait for still
 * comes, in time or with the next run, and the fibers left over never run again, whatever would
 * have woken them.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <weft/weft.h>

#include "base/futex.h"
#include "sched/worker.h"
#include "test.h"

static const weft_run_opts short_drain = {
    .size = sizeof short_drain, .workers = 2, .drain_ns = 20 * WEFT_MS};

static weft_chan *nobody_sends;
static _Atomic int waiting, parked, woken, released;
static int pipe_fd[2];

static int wait_for_ever(void *arg)
{
    weft_ctx_block b;
    (void)arg;
    weft_ctx_enter_shield(&b); /* the run's end does not reach it */
    parked = 1;
    CHECK(weft_chan_recv(nobody_sends, NULL) != -ENOMEM);
    woken = 1;
    return 0;
}

static void run_and_leave(int (*fn)(void *))
{
    CHECK_EQ(weft_run(fn, NULL, &short_drain, NULL), -ETIMEDOUT);
}

/* ---- plain threads that wait with a limit ---- */

static int wait_in_select(void)
{
    struct weft_case cases[] = {{.chan = nobody_sends, .kind = WEFT_CASE_RECV},
        {.kind = WEFT_CASE_AFTER, .duration_ns = 200 * WEFT_MS}};
    waiting = 1;
    return weft_selectv(cases, 2) == 1 ? 0 : -1;
}

static int wait_in_sleep(void)
{
    waiting = 1;
    return weft_sleep(200 * WEFT_MS);
}

static void *thread_main(void *arg)
{
    int (*wait)(void) = *(int (**)(void))arg;
    return (void *)(intptr_t)wait();
}

static int leave_one(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_go(NULL, wait_for_ever, NULL), 0);
    while (!waiting)
        weft_sleep(WEFT_MS);
    return 0;
}

/* The thread's limit passes after the run has ended, and no other follows. */
static void outlives_the_run(int (*wait)(void))
{
    pthread_t t;
    void *rc;
    waiting = 0;
    CHECK_EQ(weft_chan_new(1, 0, &nobody_sends), 0);
    CHECK_EQ(pthread_create(&t, NULL, thread_main, &wait), 0);
    run_and_leave(leave_one);
    CHECK_EQ(pthread_join(t, &rc), 0);
    CHECK_EQ((intptr_t)rc, 0);
}

TEST(a_threads_select_times_out_after_the_run)
{
    outlives_the_run(wait_in_select);
}

TEST(a_threads_sleep_ends_after_the_run)
{
    outlives_the_run(wait_in_sleep);
}

TEST(a_threads_select_times_out_without_a_run)
{
    CHECK_EQ(weft_chan_new(1, 0, &nobody_sends), 0);
    CHECK_EQ(wait_in_select(), 0);
    weft_chan_free(nobody_sends);
}

/* ---- timers of plain threads that are due after the run fire in the next ---- */

static weft_timer *timer;
static weft_ctx *ctx;

static void *arm(void *arg)
{
    (void)arg;
    timer = weft_timer_new(100 * WEFT_MS);
    ctx = weft_ctx_with_timeout(weft_ctx_background(), 100 * WEFT_MS);
    CHECK(timer && ctx);
    return NULL;
}

static int arm_beside_and_leave_one(void *arg)
{
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, arm, NULL), 0);
    CHECK_EQ(pthread_join(t, NULL), 0);
    waiting = 1;
    return leave_one(arg);
}

static int receive_both(void *arg)
{
    int64_t when;
    (void)arg;
    CHECK_EQ(weft_chan_recv(weft_timer_chan(timer), &when), 1);
    CHECK_EQ(weft_chan_recv(weft_ctx_done(ctx), NULL), 0);
    CHECK_EQ(weft_ctx_err(ctx), -ETIMEDOUT);
    return 0;
}

TEST(a_threads_timers_fire_in_the_next_run)
{
    CHECK_EQ(weft_chan_new(1, 0, &nobody_sends), 0);
    run_and_leave(arm_beside_and_leave_one);
    CHECK_EQ(weft_run(receive_both, NULL, NULL, NULL), 0);
    weft_timer_free(timer);
    weft_ctx_free(ctx);
}

/* ---- the fibers left over ---- */

#if defined(WEFT__TSAN) || defined(__SANITIZE_THREAD__)
#define TSAN 1
#else
#define TSAN 0
#endif

static int64_t sleep_ns = 60 * WEFT_MS, slept_at;

static int sleep_on(void *arg)
{
    weft_ctx_block b;
    (void)arg;
    weft_ctx_enter_shield(&b);
    slept_at = weft_now() + sleep_ns;
    parked = 1;
    CHECK(weft_sleep_until(slept_at) != -ENOMEM);
    woken = 1;
    weft_ctx_leave(&b);
    return 0;
}

static int read_on(void *arg)
{
    char byte;
    weft_ctx_block b;
    (void)arg;
    weft_ctx_enter_shield(&b);
    parked = 1;
    CHECK(weft_read(pipe_fd[0], &byte, 1) != -ENOMEM);
    woken = 1;
    return 0;
}

static int compute_on(void *arg)
{
    (void)arg;
    parked = 1;
    while (!released)
        ;
    weft_yield();
    woken = 1;
    return 0;
}

static int block_on(void *arg)
{
    char byte;
    (void)arg;
    weft_blocking_begin();
    parked = 1;
    while (read(pipe_fd[0], &byte, 1) < 0 && errno == EINTR)
        ;
    weft_blocking_end();
    woken = 1;
    return 0;
}

static int (*left)(void *);

/* This fiber runs on, so that another thread takes the one to be left over: the thread that called
 * weft_run could not return with it. */
static int leave_it(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_go(NULL, left, NULL), 0);
    while (!parked)
        ;
    return 0;
}

/* What each of them waits for happens; a good while later none has moved. */
static int let_all_happen(void *arg)
{
    (void)arg;
    released = 1;
    CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    CHECK_EQ(weft_chan_try_send(nobody_sends, "x"), -EAGAIN);
    weft_sleep_until(slept_at); /* 0 where it did not sleep */
    weft_sleep(150 * WEFT_MS);
    return 0;
}

static void make_what_they_wait_for(void)
{
    CHECK_EQ(pipe(pipe_fd), 0);
    CHECK_EQ(weft_chan_new(1, 0, &nobody_sends), 0);
}

static void later_runs_do_not_wake_it(void)
{
    CHECK_EQ(weft_run(let_all_happen, NULL, NULL, NULL), 0);
    CHECK_EQ(weft_run(let_all_happen, NULL, NULL, NULL), 0);
    CHECK_EQ(woken, 0);
}

static void never_runs_again(int (*fn)(void *))
{
    left = fn;
    make_what_they_wait_for();
    run_and_leave(leave_it);
    later_runs_do_not_wake_it();
}

TEST(a_receiver_left_over_never_runs_again)
{
    never_runs_again(wait_for_ever);
}

/* On a machine so busy that the run lasts longer than the sleep: another, with a longer one. */
static int leave_a_sleeper(void)
{
    int rc;
    left = sleep_on;
    while ((rc = weft_run(leave_it, NULL, &short_drain, NULL)) == 0 || woken) {
        CHECK(woken && (rc == 0 || rc == -ETIMEDOUT));
        sleep_ns *= 2;
        woken = parked = 0;
    }
    return rc;
}

TEST(a_sleeper_left_over_never_runs_again)
{
    make_what_they_wait_for();
    CHECK_EQ(leave_a_sleeper(), -ETIMEDOUT);
    later_runs_do_not_wake_it();
}

TEST(a_reader_left_over_never_runs_again)
{
    never_runs_again(read_on);
}

TEST(a_hog_left_over_stops_at_its_next_call)
{
    never_runs_again(compute_on);
}

TEST(a_blocked_fiber_left_over_stops_after_its_call)
{
    never_runs_again(block_on);
}

/* ---- on the thread that called weft_run, which lost its worker: it comes back ---- */

static _Atomic int on_caller, over; /* over: never */

/* Whatever the environment wishes. What goes on just when the time is out may have its worker still
 * and end: it shall not do so later. */
static int run_on_one_worker(int (*fn)(void *))
{
    weft_run_opts one = short_drain;
    one.workers = 1;
    CHECK_EQ(setenv("WEFT_WORKERS", "1", 1), 0);
    int rc = weft_run(fn, NULL, &one, NULL);
    woken = 0;
    return rc;
}

static bool is_caller(void)
{
    on_caller = gettid() == getpid();
    parked = 1;
    return on_caller;
}

static void await_stopping(void)
{
    static _Atomic uint32_t never;
    while (!at_load(&weft__sched.stopping))
        weft__futex_wait(&never, 0, WEFT_MS);
}

static void *write_when_stopping(void *arg)
{
    await_stopping();
    CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    return arg;
}

static int block_the_caller(void *arg)
{
    return is_caller() ? block_on(arg) : 0;
}

static int compute_on_the_caller(void *arg)
{
    (void)arg;
    while (!at_load(&weft__sched.stopping))
        ;
    weft_yield();
    woken = 1;
    return 0;
}

/* The worker is mostly its own, so that the time-out finds the other one stopped. */
static int yield_on(void *arg)
{
    (void)arg;
    while (!over)
        weft_yield();
    return 0;
}

static int compute_on_the_caller_beside(void *arg)
{
    if (!is_caller())
        return 0;
    CHECK_EQ(weft_go(NULL, yield_on, NULL), 0);
    return compute_on_the_caller(arg);
}

static int leave_it_asleep(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_go(NULL, left, NULL), 0);
    while (!parked)
        weft_sleep(WEFT_MS);
    return 0;
}

/* Mostly the only worker is the caller's from the beginning; else another run. */
static void the_caller_comes_back(int (*fn)(void *))
{
    int rc;
    left = fn;
    make_what_they_wait_for();
    do {
        parked = 0;
        rc = run_on_one_worker(leave_it_asleep);
    } while (rc == 0 && !on_caller);
    CHECK_EQ(rc, -ETIMEDOUT);
}

TEST(the_caller_comes_back_from_a_blocked_fiber)
{
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, write_when_stopping, NULL), 0);
    the_caller_comes_back(block_the_caller);
    CHECK_EQ(pthread_join(t, NULL), 0);
    later_runs_do_not_wake_it();
}

TEST(the_caller_comes_back_from_a_stopped_fiber)
{
    if (TSAN)
        test_skip("ThreadSanitizer keeps signals from busy code");
    the_caller_comes_back(compute_on_the_caller_beside);
    later_runs_do_not_wake_it();
}

/* ---- stopped with a lock that a thread's end wants, as malloc's may be ---- */

static pthread_mutex_t needed = PTHREAD_MUTEX_INITIALIZER;
static pthread_key_t key;
static _Atomic int holder_tid, third;

static void want_it(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&needed);
    pthread_mutex_unlock(&needed);
}

static int hold_on(void *arg)
{
    if (is_caller())
        return 0;
    pthread_mutex_lock(&needed);
    holder_tid = gettid();
    while (!at_load(&weft__sched.stopping))
        ;
    pthread_mutex_unlock(&needed);
    weft_yield();
    woken = 1;
    return arg != NULL;
}

/* Each thread that it runs on will want the lock when it ends. */
static int mark_threads(void *arg)
{
    (void)arg;
    while (!over) {
        CHECK_EQ(pthread_setspecific(key, &key), 0);
        third = third || (holder_tid && gettid() != holder_tid && gettid() != getpid());
        weft_yield();
    }
    return 0;
}

/* It keeps the calling thread from them until there is a thread that is younger than the holder's,
 * which the run's end comes to first. */
static int leave_a_holder(void *arg)
{
    static _Atomic uint32_t never;
    (void)arg;
    CHECK_EQ(weft_go(NULL, hold_on, NULL), 0);
    CHECK_EQ(weft_go(NULL, mark_threads, NULL), 0);
    weft_blocking_begin();
    while (!on_caller && !third)
        weft__futex_wait(&never, 0, WEFT_MS);
    weft_blocking_end();
    return 0;
}

TEST(threads_end_that_need_what_a_stopped_fiber_holds)
{
    if (TSAN)
        test_skip("ThreadSanitizer keeps signals from busy code");
    make_what_they_wait_for();
    CHECK_EQ(pthread_key_create(&key, want_it), 0);
    do {
        third = on_caller = holder_tid = 0;
        CHECK_EQ(run_on_one_worker(leave_a_holder), -ETIMEDOUT);
    } while (on_caller);
    later_runs_do_not_wake_it();
}

/* ---- no timer of the runtime's outlives the run: its signal might end the process ---- */

static void check_no_timers(void)
{
    char text[256];
    FILE *f = fopen("/proc/self/timers", "r");
    if (!f)
        test_skip("no /proc/self/timers");
    CHECK_EQ(fread(text, 1, sizeof text, f), 0);
    fclose(f);
}

TEST(a_hog_left_over_keeps_no_timer)
{
    left = compute_on;
    weft_run_opts o = short_drain;
    o.preempt_signal = SIGUSR1;
    CHECK_EQ(weft_run(leave_it, NULL, &o, NULL), -ETIMEDOUT);
    check_no_timers();
    released = 1;
}

/* ---- a plain thread unlocks in a later run what a fiber left over waits for ---- */

static weft_mutex mutex;

static void *hold_until_released(void *arg)
{
    static _Atomic uint32_t never;
    weft_mutex_lock(&mutex);
    waiting = 1;
    while (!released)
        weft__futex_wait(&never, 0, WEFT_MS);
    weft_mutex_unlock(&mutex);
    return arg;
}

static int lock_on(void *arg)
{
    (void)arg;
    parked = 1;
    weft_mutex_lock(&mutex);
    woken = 1;
    weft_mutex_unlock(&mutex);
    return 0;
}

static int lock_behind_it(void *arg)
{
    (void)arg;
    released = 1;
    for (int i = 0; i < 3; i++) { /* not kept for the one who does not come */
        weft_mutex_lock(&mutex);
        weft_yield();
        weft_mutex_unlock(&mutex);
    }
    weft_sleep(50 * WEFT_MS);
    return 0;
}

TEST(a_locker_left_over_never_runs_again)
{
    static _Atomic uint32_t never;
    pthread_t t;
    weft_mutex_init(&mutex, "shared");
    left = lock_on;
    CHECK_EQ(pthread_create(&t, NULL, hold_until_released, NULL), 0);
    while (!waiting)
        weft__futex_wait(&never, 0, WEFT_MS);
    run_and_leave(leave_it);
    CHECK_EQ(weft_run(lock_behind_it, NULL, NULL, NULL), 0);
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_EQ(woken, 0);
    weft_mutex_lock(&mutex);
    weft_mutex_unlock(&mutex);
}
