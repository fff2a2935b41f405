// SPDX-License-Identifier: Apache-2.0
/*
 * test_stopped.c - a fiber that was stopped while it held what everybody needs, the maker of
 * threads too, goes on all the same (M6 of monitor.c).
 *
 * Libc does this to fork: it is stopped with all locks of malloc held, and pthread_create
 * allocates. Here pthread_create, in front of libc's, wants a lock of this program, and the fiber
 * that holds it computes until it was stopped and somebody wanted a thread:
 *
 *      holder:  lock ; compute ........ stopped, last in the queue          .... unlock
 *      others:                         each waits for the lock, with a thread
 *      spawner:                                          waits for the lock
 *
 * From there on no thread is left that could hand the holder a worker. Whether it was so is counted
 * (the holder may have had its turn early, and compute when the spawner comes): rounds are made
 * until it was so several times.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <unistd.h>

#include "base/futex.h"
#include "sched/worker.h"
#include "sched_test.h"

#ifdef WEFT__TSAN
#define TSAN 1
#elif defined(__SANITIZE_THREAD__)
#define TSAN 1
#else
#define TSAN 0
#endif

enum { OTHERS = 100, SPARES = 3, WANTED = 3 };

static pthread_mutex_t needed = PTHREAD_MUTEX_INITIALIZER;
static _Atomic uint32_t armed, asked, while_stopped, done;
static int pipe_fd[2];

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (at_load(&armed)) {
        bool stopped = at_load(&weft__sched.stopped) > 0;
        if (pthread_mutex_trylock(&needed) != 0) {
            at_add(&while_stopped, stopped);
            at_store(&asked, 1);
            pthread_mutex_lock(&needed);
        }
        pthread_mutex_unlock(&needed);
    }
    return real(thread, attr, fn, arg);
}

static void go(int (*fn)(void *), void *arg)
{
    struct weft__spawn s = {.entry = fn, .arg = arg};
    weft__enter();
    CHECK_EQ(weft__spawn(&s, NULL), 0);
    weft__leave();
}

static void await_done(uint32_t n)
{
    while (at_load(&done) < n)
        nap(1000000);
}

static int blocked_reader(void *arg)
{
    char c;
    (void)arg;
    CHECK_EQ(read(pipe_fd[0], &c, 1), 1);
    at_add(&done, 1);
    return 0;
}

/* Threads that nobody needs, so that the holder can be stopped. */
static void make_spares(void)
{
    struct weft__stats s = {.threads = 0};
    at_store(&done, 0);
    for (int i = 0; i < SPARES; i++)
        go(blocked_reader, NULL);
    while (s.threads < SPARES + 1) {
        nap(1000000);
        weft__enter();
        weft__stats_read(&s);
        weft__leave();
    }
    for (int i = 0; i < SPARES; i++)
        CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    await_done(SPARES);
}

static int holder(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&needed);
    uint64_t before = at_load(&weft__sched.preemptions);
    at_store(&armed, 1);
    while (!at_load(&asked) || at_load(&weft__sched.preemptions) == before)
        ;
    at_store(&armed, 0);
    pthread_mutex_unlock(&needed);
    at_add(&done, 1);
    return 0;
}

static int other(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&needed);
    pthread_mutex_unlock(&needed);
    at_add(&done, 1);
    return 0;
}

static int rounds(void *arg)
{
    (void)arg;
    CHECK_EQ(pipe(pipe_fd), 0);
    while (at_load(&while_stopped) < WANTED) {
        make_spares();
        at_store(&done, 0);
        at_store(&asked, 0);
        go(holder, NULL);
        for (int i = 0; i < OTHERS; i++)
            go(other, NULL);
        await_done(OTHERS + 1);
    }
    return 7;
}

TEST(who_holds_what_the_spawner_needs_goes_on)
{
    if (TSAN)
        test_skip("ThreadSanitizer keeps signals from busy code");
    int result = -1;
    struct weft__sched_opts o = {.workers = 1, .max_threads = 4 * OTHERS};
    CHECK_EQ(weft__sched_run(rounds, NULL, NULL, NULL, NULL, &o, &result), 0);
    CHECK_EQ(result, 7);
}
