// SPDX-License-Identifier: Apache-2.0
/*
 * test_threads.c - the runtime's threads: never more than the option says, and given back when they
 * are idle; plain threads that attach and leave.
 *
 * Time is not waited for: a thread is surplus here after a millisecond, and the cases wait until
 * the count says what it must, however long that takes.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/futex.h"
#include "sched/worker.h"
#include "sched_test.h"

#if defined(__SANITIZE_THREAD__)
#define TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#endif
#ifdef TSAN
enum { SANITIZER_THREADS = 2 };
#else
enum { SANITIZER_THREADS = 0 };
#endif

enum { MAX_THREADS = 8, SERVICES = 2 /* monitor, spawner */, WAVES = 5, BLOCKING = 5 };

static int run(int (*entry)(void *), unsigned workers)
{
    int result = -1;
    struct weft__sched_opts o = {
        .workers = workers, .max_threads = MAX_THREADS, .thread_idle_ns = 1000000};
    CHECK_EQ(weft__sched_run(entry, NULL, NULL, NULL, NULL, &o, &result), 0);
    return result;
}

static void go(int (*fn)(void *), void *arg)
{
    struct weft__spawn s = {.entry = fn, .arg = arg};
    weft__enter();
    CHECK_EQ(weft__spawn(&s, NULL), 0);
    weft__leave();
}

static unsigned threads_now(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n - SANITIZER_THREADS;
}

/* The kernel tells the joiner of a thread before it takes it out of /proc, and nothing tells of
 * that. */
static void await_alone(void)
{
    while (threads_now() > 1)
        usleep(1000);
}

static unsigned runtime_threads(void)
{
    struct weft__stats s;
    weft__enter();
    weft__stats_read(&s);
    weft__leave();
    return s.threads;
}

/* ---- blocked fibers ---- */

static int pipe_fd[2];
static _Atomic int done;

static int blocked_reader(void *arg)
{
    char c;
    (void)arg;
    CHECK_EQ(read(pipe_fd[0], &c, 1), 1);
    at_add(&done, 1);
    return 0;
}

static unsigned blocked_wave(unsigned want)
{
    unsigned most = 0;
    at_store(&done, 0);
    for (int i = 0; i < BLOCKING; i++)
        go(blocked_reader, NULL);
    while (most < want) { /* so many block at the same time, in the end */
        unsigned n = runtime_threads(), all = threads_now();
        CHECK_MSG(n <= MAX_THREADS, "%u threads of the runtime", n);
        CHECK_MSG(all <= MAX_THREADS + SERVICES, "%u threads", all);
        most = n > most ? n : most;
        nap(1000000);
    }
    for (int i = 0; i < BLOCKING; i++)
        CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    while (at_load(&done) < BLOCKING)
        nap(1000000);
    return most;
}

/* One drives each worker, one is the spare; the others have nothing to do. */
static void await_few_threads(unsigned workers)
{
    while (runtime_threads() > 2 + workers || threads_now() > 2 + workers + SERVICES)
        nap(1000000);
}

static int waves(void *arg)
{
    (void)arg;
    CHECK_EQ(pipe(pipe_fd), 0);
    for (int i = 0; i < WAVES; i++) {
        blocked_wave(BLOCKING + 1);
        await_few_threads(1);
    }
    return 0;
}

TEST(threads_are_given_back)
{
    CHECK_EQ(run(waves, 1), 0);
    await_alone(); /* retired ones as well as those of the end */
}

static int one_wave(void *arg)
{
    (void)arg;
    CHECK_EQ(pipe(pipe_fd), 0);
    blocked_wave(BLOCKING + 1);
    return 0; /* while they are about to end */
}

TEST(a_run_ends_while_threads_do)
{
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(run(one_wave, 1), 0);
        await_alone();
    }
}

/* ---- hogs, and calls that block, by the thousand ---- */

/* ThreadSanitizer has room for few fibers. */
#ifdef TSAN
enum { CROWD = 1000 };
#else
enum { CROWD = 10000 };
#endif

static _Atomic uint32_t all_here;
static _Atomic int stop_hogs;

/* Till then they give way, so that the one who starts them gets to the end. */
static void await_the_others(void)
{
    while (!at_load(&all_here)) {
        weft__enter();
        weft__yield();
        weft__leave();
    }
}

static int hog(void *arg)
{
    (void)arg;
    await_the_others();
    while (!at_load(&stop_hogs))
        ;
    at_add(&done, 1);
    return 0;
}

static int blocked_with_others(void *arg)
{
    await_the_others();
    return blocked_reader(arg);
}

static void end_hogs(void)
{
    at_store(&stop_hogs, 1);
}

static void end_readers(void)
{
    for (int i = 0; i < CROWD; i++)
        CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
}

/* A plain thread: at the limit all who misbehave are left alone, and fibers may not get their turn.
 * Nothing tells of a thread that comes, so /proc is looked at: until the limit is reached, and for
 * as long as one too many would take to come, the processor left to the others in between. */
static void *watches_the_crowd(void *end)
{
    unsigned most = 0;
    while (!at_load(&all_here))
        weft__futex_wait(&all_here, 0, -1);
    for (int i = 0; i < 50 || most < MAX_THREADS + SERVICES; i++) {
        unsigned n = threads_now() - 1;
        most = n > most ? n : most;
        usleep(1000);
    }
    ((void (*)(void))end)();
    return (void *)(uintptr_t)most;
}

static void crowd(int (*fn)(void *), void (*end)(void))
{
    pthread_t t;
    void *most;
    at_store(&done, 0);
    CHECK_EQ(pthread_create(&t, NULL, watches_the_crowd, (void *)end), 0);
    for (int i = 0; i < CROWD; i++)
        go(fn, NULL);
    at_store(&all_here, 1);
    weft__futex_wake(&all_here, 1);
    while (at_load(&done) < CROWD)
        nap(1000000);
    CHECK_EQ(pthread_join(t, &most), 0);
    CHECK_EQ((uintptr_t)most, MAX_THREADS + SERVICES);
}

static int many_hogs(void *arg)
{
    (void)arg;
    crowd(hog, end_hogs);
    await_few_threads(2);
    return 0;
}

TEST(many_hogs_do_not_make_many_threads)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer keeps signals from busy code");
#endif
    CHECK_EQ(run(many_hogs, 2), 0);
}

static int many_blocked(void *arg)
{
    (void)arg;
    CHECK_EQ(pipe(pipe_fd), 0);
    crowd(blocked_with_others, end_readers);
    await_few_threads(2);
    return 0;
}

TEST(many_blocked_fibers_do_not_make_many_threads)
{
    CHECK_EQ(run(many_blocked, 2), 0);
}

/* ---- plain threads that come and go ---- */

static _Atomic int counted;

static int count(void *arg)
{
    (void)arg;
    at_add(&counted, 1);
    return 0;
}

static void *attaches(void *arg)
{
    go(count, arg);
    return NULL;
}

static unsigned mappings(void)
{
    unsigned n = 0;
    int c;
    FILE *f = fopen("/proc/self/maps", "re");
    CHECK(f != NULL);
    while ((c = fgetc(f)) != EOF)
        n += c == '\n';
    fclose(f);
    return n;
}

/* Some at a time, so that records are in use at once and then again. */
static void attach_and_leave(int times)
{
    enum { AT_ONCE = 10 };
    pthread_t t[AT_ONCE];
    for (int i = 0; i < times; i += AT_ONCE) {
        for (int k = 0; k < AT_ONCE; k++)
            CHECK_EQ(pthread_create(&t[k], NULL, attaches, NULL), 0);
        for (int k = 0; k < AT_ONCE; k++)
            CHECK_EQ(pthread_join(t[k], NULL), 0);
    }
}

static int many_threads(void *arg)
{
    const int times = test_stress_seconds() > 1 ? 20000 : 3000;
    (void)arg;
    attach_and_leave(200);
    unsigned before = mappings();
    attach_and_leave(times);
    unsigned after = mappings();
    CHECK_MSG(
        after <= before + 40, "%u mappings after %d threads, %u before", after, times, before);
    CHECK_EQ(at_load(&weft__sched.foreign), 0);
    while (at_load(&counted) < times + 200)
        nap(1000000);
    return 0;
}

TEST(threads_that_attach_and_leave)
{
    CHECK_EQ(run(many_threads, 2), 0);
}

/* ---- a thread of the runtime that starts is counted until it has said its number ---- */

static _Atomic int services_up;

static void *service(void *arg)
{
    at_add(&services_up, 1);
    return arg;
}

static int starts_services(void *arg)
{
    (void)arg;
    for (int i = 1; i <= 3; i++) {
        weft__enter();
        int rc = weft__service_start(0, service, NULL);
        weft__leave();
        CHECK_EQ(rc, 0);
        while (at_load(&services_up) < i)
            nap(100000);
        CHECK_EQ(weft__services_starting(), 0);
    }
    CHECK(weft__service_start((size_t)1 << 47, service, NULL) < 0); /* more than there can be */
    CHECK_EQ(weft__services_starting(), 0);
    return 0;
}

TEST(a_service_is_starting_until_it_is_known)
{
    CHECK_EQ(run(starts_services, 2), 0);
}
