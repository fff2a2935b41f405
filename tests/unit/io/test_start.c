// SPDX-License-Identifier: Apache-2.0
/*
 * test_start.c - the runtime beside a host program: weft_start and weft_stop, and the host's own
 * loop, which hears of fibers by a pinned loop that it turns.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>
#include <weft/loop.h>
#include <weft/weft.h>

#include "base/atomic.h"
#include "test.h"

typedef WEFT_CHAN_OF(int) int_chan;

static int doubles(void *arg)
{
    int_chan *c = arg; /* [0] in, [1] out */
    int n, rc;
    while ((rc = weft_recv(c[0], &n)) > 0)
        CHECK_EQ(weft_send(c[1], 2 * n), 0);
    return rc;
}

/* What a library does between its start and its stop: a fiber works for a plain thread. */
static void use(void)
{
    int_chan c[2];
    int n = 0;
    CHECK_EQ(weft_chan_make(&c[0], 0), 0);
    CHECK_EQ(weft_chan_make(&c[1], 0), 0);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, doubles, c), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(weft_send(c[0], i), 0);
        CHECK_EQ(weft_recv(c[1], &n), 1);
        CHECK_EQ(n, 2 * i);
    }
    weft_chan_close(c[0].chan);
    CHECK_EQ(weft_wait(&s), 0);
    weft_chan_free(c[0].chan);
    weft_chan_free(c[1].chan);
}

TEST(beside_a_program)
{
    for (int i = 0; i < 5; i++) {
        CHECK(!weft_running());
        CHECK_EQ(weft_start(NULL), 0);
        CHECK(weft_running());
        use();
        CHECK_EQ(weft_stop(), 0);
    }
    CHECK(!weft_running());
    CHECK_EQ(weft_stop(), -EINVAL);
}

TEST(two_libraries_share_it)
{
    weft_run_opts o = {.size = sizeof o, .workers = 1};
    CHECK_EQ(weft_start(&o), 0);
    CHECK_EQ(weft_start(NULL), 0);
    use();
    CHECK_EQ(weft_stop(), 0);
    CHECK(weft_running());
    use();
    CHECK_EQ(weft_stop(), 0);
    CHECK(!weft_running());
}

static int starts_in_a_run(void *arg)
{
    (void)arg;
    return weft_start(NULL) == -EBUSY && weft_stop() == -EINVAL ? 0 : -1;
}

static void *starts_from_outside(void *arg)
{
    *(int *)arg = weft_start(NULL);
    return NULL;
}

static int others_start_in_a_run(void *arg)
{
    pthread_t t;
    int rc = 0;
    CHECK_EQ(pthread_create(&t, NULL, starts_from_outside, &rc), 0);
    pthread_join(t, NULL);
    CHECK_EQ(rc, -EBUSY);
    return starts_in_a_run(arg);
}

TEST(not_where_weft_run_runs)
{
    int result = -1;
    CHECK_EQ(weft_run(others_start_in_a_run, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
    CHECK_EQ(weft_start(NULL), 0);
    CHECK_EQ(weft_run(starts_in_a_run, NULL, NULL, NULL), -EBUSY);
    CHECK_EQ(weft_stop(), 0);
}

static void no_log(void *arg, int level, const char *text)
{
    (void)level, (void)text;
    at_add((_Atomic int *)arg, 1);
}

TEST(options_that_make_no_sense)
{
    static _Atomic int told;
    weft_run_opts o = {.size = sizeof o, .drain_ns = -1};
    weft_set_log(no_log, &told);
    CHECK_EQ(weft_start(&o), -EINVAL);
    CHECK(at_load(&told) > 0);
    CHECK(!weft_running());
    CHECK_EQ(weft_stop(), -EINVAL);
    CHECK_EQ(weft_start(NULL), 0); /* it can be tried again */
    CHECK_EQ(weft_stop(), 0);
}

static int on_a_fiber(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_stop(), -EDEADLK);
    CHECK_EQ(weft_start(NULL), 0);
    CHECK_EQ(weft_stop(), 0);
    CHECK_EQ(weft_stop(), -EDEADLK);
    return 0;
}

TEST(on_a_fiber)
{
    CHECK_EQ(weft_start(NULL), 0);
    {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, on_a_fiber, NULL), 0);
        CHECK_EQ(weft_wait(&s), 0);
    }
    CHECK_EQ(weft_stop(), 0);
}

static int stays(void *arg)
{
    WEFT_SHIELD(x);
    at_store((_Atomic int *)arg, 1);
    return weft_sleep(3600 * WEFT_SEC);
}

static int starts_while_it_ends(void *arg)
{
    at_store((_Atomic int *)arg, 1);
    CHECK_EQ(weft_sleep(3600 * WEFT_SEC), -ECANCELED); /* the last stop has begun */
    at_store((_Atomic int *)arg, weft_start(NULL));
    return 0;
}

static void await(_Atomic int *flag)
{
    while (!at_load(flag))
        weft_sleep(WEFT_MS);
}

TEST(the_end_cancels_and_drains)
{
    static _Atomic int here, there;
    weft_run_opts o = {.size = sizeof o, .drain_ns = 20 * WEFT_MS};
    unsetenv("WEFT_DRAIN");
    CHECK_EQ(weft_start(NULL), 0);
    CHECK_EQ(weft_go(NULL, starts_while_it_ends, (void *)(uintptr_t)&here), 0);
    await(&here);
    CHECK_EQ(weft_stop(), 0);
    CHECK_EQ(at_load(&here), -ESHUTDOWN);
    weft_set_log(no_log, (void *)(uintptr_t)&there);
    at_store(&here, 0);
    CHECK_EQ(weft_start(&o), 0);
    CHECK_EQ(weft_go(NULL, stays, (void *)(uintptr_t)&here), 0);
    await(&here);
    CHECK_EQ(weft_stop(), -ETIMEDOUT);
    CHECK(at_load(&there) > 0);
    CHECK_EQ(weft_start(NULL), 0);
    use();
    CHECK_EQ(weft_stop(), 0);
}

static int sleeps_a_little(void *arg)
{
    (void)arg;
    while (weft_sleep(100 * WEFT_US) == 0)
        ;
    return 0;
}

TEST(signals_are_for_the_threads_of_the_host)
{
    sigset_t one;
    siginfo_t info;
    sigemptyset(&one);
    sigaddset(&one, SIGUSR1);
    CHECK_EQ(weft_start(NULL), 0);
    CHECK_EQ(weft_go(NULL, sleeps_a_little, NULL), 0);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &one, NULL), 0);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(kill(getpid(), SIGUSR1), 0); /* the default would end us in any other thread */
        CHECK_EQ(sigwaitinfo(&one, &info), SIGUSR1);
    }
    CHECK_EQ(weft_stop(), 0);
}

/* ---- from many threads ---- */

enum { THREADS = 6, ROUNDS = 40 };

static void *starts_and_stops(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_EQ(weft_start(NULL), 0);
        use();
        CHECK_EQ(weft_stop(), 0);
    }
    return NULL;
}

TEST(starts_and_stops_from_many_threads)
{
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, starts_and_stops, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    CHECK(!weft_running());
}

/* ---- the host's loop ---- */

static struct host {
    weft_loop *loop;
    pthread_t thread;
    int left, sum; /* touched by its thread only */
} host;

static int on_the_hosts_thread(void *arg)
{
    CHECK(pthread_equal(pthread_self(), host.thread));
    host.sum += *(int *)arg;
    return host.sum;
}

struct done {
    weft_loop_msg msg;
    int n;
};

static void on_done(weft_loop *loop, weft_loop_msg *msg)
{
    struct done *d = WEFT_LOOP_OWNER(msg, struct done, msg);
    CHECK(loop == host.loop);
    CHECK_EQ(on_the_hosts_thread(&d->n), host.sum);
    host.left--;
    free(d);
}

static int asks_and_tells(void *arg)
{
    int n = (int)(intptr_t)arg, before = 0;
    for (int i = 0; i < 10; i++) {
        int sum = weft_loop_call(host.loop, on_the_hosts_thread, &n);
        CHECK(sum > before);
        before = sum;
        weft_yield();
    }
    struct done *d = malloc(sizeof *d);
    CHECK(d != NULL);
    *d = (struct done){.msg.fn = on_done, .n = n};
    weft_loop_post(host.loop, &d->msg);
    return 0;
}

/* As any poll-based loop would. */
static void turn(void)
{
    struct pollfd p = {.fd = weft_loop_fd(host.loop), .events = POLLIN};
    int64_t ns = weft_loop_prepare(host.loop);
    CHECK(poll(&p, 1, ns < 0 ? -1 : (int)((ns + WEFT_MS - 1) / WEFT_MS)) >= 0);
    CHECK_EQ(weft_loop_step(host.loop, 0), 0);
}

static void with_a_host(unsigned workers)
{
    weft_loop_opts lo = {.size = sizeof lo, .kind = WEFT_LOOP_EPOLL};
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    CHECK_EQ(weft_loop_new(&lo, &host.loop), 0);
    host.thread = pthread_self();
    host.sum = 0;
    host.left = 20;
    CHECK_EQ(weft_start(&o), 0);
    for (intptr_t i = 1; i <= 20; i++)
        CHECK_EQ(weft_go(NULL, asks_and_tells, (void *)i), 0);
    while (host.left > 0)
        turn();
    CHECK_EQ(host.sum, 11 * 210);
    CHECK_EQ(weft_stop(), 0);
    weft_loop_free(host.loop);
}

TEST(inside_the_loop_of_a_host)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        with_a_host(workers);
}

static int calls_under_an_ended_context(void *arg)
{
    int n = 1;
    (void)arg;
    weft_ctx *x = weft_ctx_with_cancel(weft_ctx_current());
    weft_ctx_cancel(x);
    weft_ctx_block b;
    weft_ctx_enter(&b, x);
    CHECK_EQ(weft_loop_call(host.loop, on_the_hosts_thread, &n), 1); /* no cancellation point */
    weft_ctx_leave(&b);
    weft_ctx_free(x);
    struct done *d = malloc(sizeof *d);
    CHECK(d != NULL);
    *d = (struct done){.msg.fn = on_done, .n = 0};
    weft_loop_post(host.loop, &d->msg);
    return 0;
}

TEST(a_call_is_waited_for_though_the_context_has_ended)
{
    weft_loop_opts lo = {.size = sizeof lo, .kind = WEFT_LOOP_EPOLL};
    CHECK_EQ(weft_loop_new(&lo, &host.loop), 0);
    host.thread = pthread_self();
    host.left = 1;
    CHECK_EQ(weft_start(NULL), 0);
    CHECK_EQ(weft_go(NULL, calls_under_an_ended_context, NULL), 0);
    while (host.left > 0)
        turn();
    CHECK_EQ(weft_stop(), 0);
    weft_loop_free(host.loop);
}

static int answers(void *arg)
{
    return *(int *)arg + 1;
}

TEST(a_call_from_a_plain_thread_to_a_loop_on_its_own)
{
    weft_loop *loop;
    int n = 41;
    CHECK_EQ(weft_loop_new(NULL, &loop), 0);
    CHECK_EQ(weft_loop_start(loop), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_loop_call(loop, answers, &n), 42);
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_join(loop), 0);
    weft_loop_free(loop);
}
