// SPDX-License-Identifier: Apache-2.0
/*
 * stress_eintr.c - preemption must not break other people's system calls: how many of them end with
 * EINTR for each fiber that is stopped.
 *
 * Fibers compute for up to two slices and a half, or for up to ten, so that they are about to be
 * stopped again and again, and then make one short blocking call that says nothing to the runtime:
 * a sleep, a poll with a time limit, a read from a pipe into which a plain thread writes at random,
 * flock, a record lock. More of them than workers, so everybody always waits for a worker. No
 * signal but the runtime's own comes to this process, so every EINTR is the runtime's doing. Sleep
 * and poll show each interruption; the others would be restarted (SA_RESTART), and must still work.
 *
 * The bound is one interrupted call in 100,000 preemptions, and one in fewer. A run of one second
 * sees a hundred preemptions and would notice a rate of one in fifty; one with
 * WEFT_STRESS_SECONDS=600 or more goes on until 100,000, for two and a half times as long at the
 * most (a hog that is stopped has computed for some 13 ms, so two idle processors make 150 a
 * second). The line of figures goes to standard error: with it what the run shows, by the rule of
 * three where no call was interrupted. On a machine so busy that nobody ever has half a processor
 * for a slice there is nothing to stop: a worker is taken from whoever does not compute.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>
#include <weft/weft.h>

#include "base/futex.h"
#include "base/rand.h"
#include "test.h"

enum { FIBERS = 10, WORKERS = 2, CALLS = 5 };
enum { LONG_S = 600, PER_EINTR = 100000 };
#define OVER_TWO_SLICES (21 * WEFT_MS)
#define PATIENCE (20 * WEFT_SEC)

static const char *const call_names[CALLS] = {"nanosleep", "poll", "read", "flock", "fcntl"};
static int64_t began_ns;
static char path[] = "/tmp/weft-eintr-XXXXXX";
static int to_readers[2];
static _Atomic bool had_a_processor; /* somebody, for half of a long computation */
static _Atomic uint64_t calls[CALLS], interrupted[CALLS];

struct party {
    struct weft__rand rand;
    int lock_fd; /* an open file description of its own: flock is between those */
};
static struct party parties[FIBERS];

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * WEFT_SEC + t.tv_nsec;
}

/* Of its own thread's time, so that a stopped fiber goes on where it was. */
static void compute(int64_t ns)
{
    int64_t began = weft__clock_ns();
    for (int64_t end = cpu_ns() + ns; cpu_ns() < end;)
        for (volatile int i = 0; i < 2000; i++)
            ;
    if (ns >= OVER_TWO_SLICES && weft__clock_ns() - began < 2 * ns)
        had_a_processor = true;
}

static int locked(struct party *p, int which)
{
    struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1};
    if ((which == 3 ? flock(p->lock_fd, LOCK_EX) : fcntl(p->lock_fd, F_OFD_SETLKW, &l)) < 0)
        return -1;
    usleep(0); /* held across a moment in the kernel, so that others meet it */
    l.l_type = F_UNLCK;
    return which == 3 ? flock(p->lock_fd, LOCK_UN) : fcntl(p->lock_fd, F_OFD_SETLK, &l);
}

static int one_call(struct party *p, int which)
{
    int64_t ns = 1000 + (int64_t)weft__rand_below(&p->rand, 3 * WEFT_MS);
    struct timespec nap = {.tv_nsec = ns};
    struct pollfd nothing = {.fd = -1};
    char byte;
    switch (which) {
    case 0:
        return nanosleep(&nap, NULL);
    case 1:
        return poll(&nothing, 1, (int)(1 + ns / WEFT_MS));
    case 2:
        return read(to_readers[0], &byte, 1) == 1 ? 0 : -1;
    default:
        return locked(p, which);
    }
}

static bool goes_on(void)
{
    weft_stats s = {.size = sizeof s};
    int64_t past = weft__clock_ns() - began_ns, time = test_stress_seconds() * WEFT_SEC;
    int64_t patience = time < LONG_S * WEFT_SEC ? PATIENCE : time + time / 2;
    uint64_t wanted = time < LONG_S * WEFT_SEC ? 1 : PER_EINTR;
    weft_stats_read(&s);
    return past < time || (s.preemptions < wanted && past < time + patience);
}

static int calls_now_and_then(void *arg)
{
    struct party *p = arg;
    do {
        int64_t most = weft__rand_below(&p->rand, 2) ? 25 * WEFT_MS : 100 * WEFT_MS;
        compute((int64_t)weft__rand_below(&p->rand, (uint32_t)most));
        int which = (int)weft__rand_below(&p->rand, CALLS);
        int rc = one_call(p, which), err = rc < 0 ? errno : 0;
        calls[which]++;
        if (err == EINTR)
            interrupted[which]++;
        else
            CHECK_MSG(err == 0, "%s: %s", call_names[which], strerror(err));
        weft_yield();
    } while (goes_on());
    return 0;
}

static void *writes_at_random(void *arg)
{
    struct weft__rand r;
    (void)arg;
    weft__rand_init(&r, test_seed());
    for (;;) {
        struct timespec nap = {.tv_nsec = (long)weft__rand_below(&r, 2 * WEFT_MS)};
        nanosleep(&nap, NULL); /* the load itself: data that comes at any time */
        if (write(to_readers[1], "x", 1) != 1)
            return NULL; /* the pipe is non-blocking on this side: full, or the end */
    }
}

static int app(void *arg)
{
    weft_stats s = {.size = sizeof s};
    WEFT_SCOPE(scope);
    began_ns = weft__clock_ns();
    for (int i = 0; i < FIBERS; i++)
        CHECK_EQ(weft_go(&scope, calls_now_and_then, &parties[i]), 0);
    int rc = weft_wait(&scope);
    weft_stats_read(&s);
    *(uint64_t *)arg = s.preemptions;
    return rc;
}

static void set_up(void)
{
    CHECK(mkstemp(path) >= 0);
    for (int i = 0; i < FIBERS; i++) {
        weft__rand_init(&parties[i].rand, test_seed() + (uint64_t)i);
        parties[i].lock_fd = open(path, O_RDWR | O_CLOEXEC);
        CHECK(parties[i].lock_fd >= 0);
    }
    unlink(path);
    CHECK_EQ(pipe2(to_readers, O_CLOEXEC), 0);
}

TEST(preemption_interrupts_no_calls)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer keeps signals from busy code");
#endif
    int result = -1;
    uint64_t preemptions = 0, all = 0, eintrs = 0;
    pthread_t writer;
    weft_run_opts o = {.size = sizeof o, .workers = WORKERS};
    unsetenv("WEFT_WORKERS"); /* too few for the fibers, always */
    set_up();
    CHECK_EQ(pthread_create(&writer, NULL, writes_at_random, NULL), 0);
    CHECK_EQ(weft_run(app, &preemptions, &o, &result), 0);
    CHECK_EQ(result, 0);
    for (int i = 0; i < CALLS; i++) {
        all += calls[i];
        eintrs += interrupted[i];
        fprintf(stderr, "# %s: %llu calls, %llu interrupted\n", call_names[i],
            (unsigned long long)calls[i], (unsigned long long)interrupted[i]);
    }
    fprintf(stderr, "# %llu preemptions, %llu calls, %llu EINTR in %lld s\n",
        (unsigned long long)preemptions, (unsigned long long)all, (unsigned long long)eintrs,
        (long long)((weft__clock_ns() - began_ns) / WEFT_SEC));
    CHECK(all > 0);
    if (preemptions == 0 && !had_a_processor)
        test_skip("the machine is too busy: a worker is taken from who does not compute");
    CHECK(preemptions > 0);
    fprintf(stderr, "# an EINTR in %s%llu preemptions\n", eintrs ? "" : "more than ",
        (unsigned long long)(preemptions / (eintrs ? eintrs : 3)));
    CHECK_MSG(eintrs <= 1 + (preemptions - 1) / PER_EINTR,
        "%llu calls interrupted by %llu preemptions", (unsigned long long)eintrs,
        (unsigned long long)preemptions);
}
