// SPDX-License-Identifier: Apache-2.0
/*
 * test_sched_many.c - the scheduler with very much of something: threads at their limit, a million
 * parked fibers, a million timers.
 *
 * Sanitizers' shadows and fake stacks make a million too many: ASan's builds use 10,000, and TSan's
 * 4,000, as it knows 8128 threads and fibers at most. TSan has up to two threads of its own.
 */
#include <dirent.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/lock.h"
#include "sched/sched.h"
#include "sched_test.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ASAN 1
#elif __has_feature(thread_sanitizer)
#define TSAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define ASAN 1
#elif defined(__SANITIZE_THREAD__)
#define TSAN 1
#endif
#if defined(ASAN)
enum { MANY = 10000, SANITIZER_THREADS = 0 };
#elif defined(TSAN)
enum { MANY = 4000, SANITIZER_THREADS = 2 };
#else
enum { MANY = 1000000, SANITIZER_THREADS = 0 };
#endif

static int run(const struct weft__sched_opts *opts, int (*entry)(void *))
{
    int result = -1;
    CHECK_EQ(weft__sched_run(entry, NULL, NULL, NULL, NULL, opts, &result), 0);
    return result;
}

static void go(int (*fn)(void *), size_t stack_bytes)
{
    struct weft__spawn s = {.entry = fn, .stack_bytes = stack_bytes};
    weft__enter();
    CHECK_EQ(weft__spawn(&s, NULL), 0);
    weft__leave();
}

static void need_8_gib(void)
{
    char line[128];
    long kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    CHECK(f != NULL);
    while (kib == 0 && fgets(line, sizeof line, f))
        sscanf(line, "MemAvailable: %ld kB", &kib);
    fclose(f);
    if (MANY == 1000000 && kib < 8L << 20)
        test_skip("less than 8 GiB of memory are available");
}

/* ---- threads ---- */

enum { MAX_THREADS = 8, SERVICES = 2 /* monitor, spawner */, BLOCKING = 50 };
static int pipe_fd[2];
static _Atomic uint32_t reading;
static _Atomic int done;

static int threads_now(void)
{
    int n = 0;
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir != NULL);
    for (struct dirent *e; (e = readdir(dir)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(dir);
    return n;
}

static int blocked_reader(void *arg)
{
    char c;
    (void)arg;
    if (at_add(&reading, 1) == 0)
        weft__futex_wake(&reading, 1);
    weft__enter();
    weft__blocking_begin();
    CHECK_EQ(read(pipe_fd[0], &c, 1), 1);
    weft__blocking_end();
    weft__leave();
    at_add(&done, 1);
    return 0;
}

static void *feeder(void *arg)
{
    int most = 0;
    (void)arg;
    while (!at_load(&reading))
        weft__futex_wait(&reading, 0, -1);
    for (int i = 0; i < BLOCKING; i++) {
        for (int k = 0; k < 10; k++) { /* some time for a thread too many to show itself */
            int n = threads_now();
            most = n > most ? n : most;
            usleep(1000);
        }
        CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    }
    return (void *)(intptr_t)most;
}

static int many_blocking(void *arg)
{
    void *most;
    pthread_t t;
    (void)arg;
    CHECK_EQ(pipe(pipe_fd), 0);
    /* first: with all threads blocked this fiber, which may lose its turn, could not go on */
    CHECK_EQ(pthread_create(&t, NULL, feeder, NULL), 0);
    for (int i = 0; i < BLOCKING; i++)
        go(blocked_reader, 0);
    while (at_load(&done) < BLOCKING)
        nap(1000000);
    CHECK_EQ(pthread_join(t, &most), 0);
    CHECK_EQ(at_load(&reading), BLOCKING);
    return (int)(intptr_t)most;
}

TEST(blocking_fibers_take_no_more_threads_than_allowed)
{
    int most =
        run(&(struct weft__sched_opts){.workers = 1, .max_threads = MAX_THREADS}, many_blocking);
    most -= 1 + SANITIZER_THREADS; /* the feeder; this thread is one of the runtime's */
    CHECK_MSG(most <= MAX_THREADS + SERVICES, "%d threads of the runtime", most);
    CHECK_MSG(most > 2 + SERVICES, "only %d threads: nothing blocked at the same time", most);
}

/* ---- fibers ---- */

struct node {
    struct weft__fiber *fiber;
    struct node *next;
};
static struct weft__lock lock;
static struct node *parked; /* guarded by lock */
static long parked_count;   /* guarded by lock */

static int park_once(void *arg)
{
    struct node n;
    (void)arg;
    n.fiber = weft__enter();
    weft__lock(&lock, WEFT__RANK_SYNC);
    n.next = parked;
    parked = &n;
    parked_count++;
    CHECK_EQ(weft__park(WEFT__WAIT_OTHER, &lock, __builtin_return_address(0), WEFT__PARK_HARD,
                 weft__commit_unlock, &lock),
        0);
    weft__leave();
    at_add(&done, 1);
    return 0;
}

static long count_parked(void)
{
    weft__enter();
    weft__lock(&lock, WEFT__RANK_SYNC);
    long n = parked_count;
    weft__unlock(&lock);
    weft__leave();
    return n;
}

static void wake_all(void)
{
    weft__enter();
    weft__lock(&lock, WEFT__RANK_SYNC);
    struct node *n = parked, *next;
    weft__unlock(&lock);
    for (; n; n = next) {
        struct weft__fiber *f = n->fiber;
        next = n->next; /* the node goes with its fiber's frame */
        CHECK(weft__claim(f));
        f->wake_result = 0;
        weft__ready_tail(f);
    }
    weft__leave();
}

static int many_parked(void *arg)
{
    struct weft__stats stats;
    (void)arg;
    for (long i = 0; i < MANY; i++)
        go(park_once, 64 << 10);
    while (count_parked() < MANY)
        nap(1000000);
    weft__stats_read(&stats);
    CHECK_EQ(stats.fibers_live, MANY + 1);
    CHECK_EQ(at_load(&done), 0);
    wake_all();
    while (at_load(&done) < MANY)
        nap(1000000);
    return 0;
}

/* Linux 6.13 and newer guard a stack without a mapping of its own. */
static void need_guard_regions(void)
{
    enum { GUARD_INSTALL = 102 };
    size_t bytes = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    int rc = madvise(page, bytes, GUARD_INSTALL);
    munmap(page, bytes);
    if (MANY == 1000000 && rc < 0)
        test_skip("the kernel has no guard regions: vm.max_map_count limits the stacks");
}

TEST(a_million_parked_fibers)
{
    need_8_gib();
    need_guard_regions();
    CHECK_EQ(run(&(struct weft__sched_opts){.workers = 2}, many_parked), 0);
}

/* ---- timers ---- */

static _Atomic long fired;

static void on_fire(struct weft__timer *t, void *arg)
{
    (void)t, (void)arg;
    at_add(&fired, 1);
}

/* One in four is due soon, one in four is stopped in the order of starting, the rest backwards. */
static int many_timers(void *arg)
{
    struct weft__timer *t = calloc(MANY, sizeof *t);
    const long soon = MANY / 4;
    long stopped = 0;
    (void)arg;
    CHECK(t != NULL);
    srand((unsigned)test_seed());
    weft__enter();
    int64_t now = weft__clock_ns();
    for (long i = 0; i < MANY; i++) {
        t[i].fn = on_fire;
        weft__timer_start(&t[i], now + (i < soon ? 0 : 3600000000000) + rand() % 1000000000);
    }
    for (long i = soon; i < 2 * soon; i++)
        stopped += weft__timer_stop(&t[i]);
    for (long i = MANY - 1; i >= 2 * soon; i--)
        stopped += weft__timer_stop(&t[i]);
    weft__leave();
    CHECK_EQ(stopped, MANY - soon);
    while (at_load(&fired) < soon)
        nap(1000000);
    nap(1000000);
    CHECK_EQ(at_load(&fired), soon);
    free(t);
    return 0;
}

TEST(a_million_timers)
{
    need_8_gib();
    CHECK_EQ(run(&(struct weft__sched_opts){.workers = 2}, many_timers), 0);
}
