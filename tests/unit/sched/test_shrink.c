// SPDX-License-Identifier: Apache-2.0
/*
 * test_shrink.c - memory that stacks do not need goes back: of parked fibers (shrink.c), of free
 * stacks, of a million fibers that have come and gone.
 *
 * Passes are made here and now by weft__shrink_all, so nothing waits for the monitor's seconds; the
 * monitor's own passes may come in between and do the same. What is resident is asked of the kernel
 * page by page (mincore), or for the whole process (smaps_rollup).
 */
#include <sys/mman.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/lock.h"
#include "base/rand.h"
#include "sched/worker.h"
#include "sched_test.h"

enum { DEEP_BYTES = 200 << 10, PAGE = 4096 };

static void skip_if_frames_move(void)
{
#if TEST_SANITIZED && !defined(__SANITIZE_ADDRESS__) /* clang's does, by default */
    test_skip("a sanitizer keeps locals elsewhere than on the stack");
#endif
}

static int run(unsigned workers, int (*entry)(void *), void *arg)
{
    int result = -1;
    struct weft__sched_opts o = {.workers = workers};
    CHECK_EQ(weft__sched_run(entry, arg, NULL, NULL, NULL, &o, &result), 0);
    return result;
}

static void yield(void)
{
    weft__enter();
    weft__yield();
    weft__leave();
}

static struct weft__fiber *go(int (*fn)(void *), void *arg)
{
    struct weft__fiber *f = NULL;
    struct weft__spawn s = {.entry = fn, .arg = arg, .relieve = true};
    weft__enter();
    CHECK_EQ(weft__spawn(&s, &f), 0);
    weft__leave();
    return f;
}

/* As on the monitor, over all that is parked. */
static void pass(void)
{
    weft__enter();
    weft__shrink_all(INT64_MAX);
    weft__leave();
}

static __attribute__((noinline)) unsigned dig(size_t bytes, unsigned salt)
{
    volatile unsigned char hole[PAGE];
    hole[0] = (unsigned char)salt;
    hole[PAGE - 1] = (unsigned char)(salt >> 8);
    unsigned below = bytes > PAGE ? dig(bytes - PAGE, salt + 1) : 0;
    return below + hole[0] + hole[PAGE - 1];
}

static size_t resident(const struct weft__fiber *f)
{
    size_t bytes = (size_t)((const char *)f - f->stack_low) & ~(size_t)(PAGE - 1), n = 0;
    static unsigned char there[32 << 10];
    CHECK(bytes / PAGE <= sizeof there);
    CHECK_EQ(mincore(f->stack_low, bytes, there), 0);
    for (size_t i = 0; i < bytes / PAGE; i++)
        n += there[i] & 1;
    return n * PAGE;
}

/* ---- a fiber parked shallow ---- */

static struct weft__lock lock;
static struct weft__fiber *parked; /* guarded by lock */
static _Atomic int finished;

static int deep_then_shallow(void *arg)
{
    unsigned char mine[64];
    unsigned deep = dig(DEEP_BYTES, 7);
    (void)arg;
    memset(mine, 0x5a, sizeof mine);
    struct weft__fiber *f = weft__enter();
    weft__lock(&lock, WEFT__RANK_SYNC);
    parked = f;
    CHECK_EQ(weft__park(WEFT__WAIT_OTHER, &lock, __builtin_return_address(0), WEFT__PARK_HARD,
                 weft__commit_unlock, &lock),
        0);
    weft__leave();
    for (size_t i = 0; i < sizeof mine; i++)
        CHECK_EQ(mine[i], 0x5a);
    CHECK_EQ(dig(DEEP_BYTES, 7), deep); /* the stack is as good as before */
    at_add(&finished, 1);
    return 0;
}

static struct weft__fiber *await_parked(void)
{
    for (;;) {
        weft__enter();
        weft__lock(&lock, WEFT__RANK_SYNC);
        struct weft__fiber *f = parked;
        weft__unlock(&lock);
        weft__leave();
        if (f)
            return f;
        yield();
    }
}

static int gives_back(void *arg)
{
    (void)arg;
    go(deep_then_shallow, NULL);
    struct weft__fiber *f = await_parked();
    uint64_t before = weft__shrink_count();
    pass();
    CHECK(weft__shrink_count() > before || resident(f) <= 4 * PAGE);
    size_t left = resident(f);
    CHECK_MSG(left <= 4 * PAGE, "%zu bytes are resident still", left);
    pass(); /* a second look at the same park does nothing */
    weft__enter();
    CHECK(weft__claim(f));
    f->wake_result = 0;
    weft__ready(f);
    weft__leave();
    while (!at_load(&finished))
        nap(1000000);
    return 0;
}

TEST(a_parked_fiber_gives_its_deep_pages_back)
{
    skip_if_frames_move();
    CHECK_EQ(run(2, gives_back, NULL), 0);
}

/* ---- woken while its pages go ---- */

enum { PARTIES = 64 };
struct party {
    struct weft__lock lock;
    struct weft__fiber *waits; /* guarded by lock */
    uint64_t rounds;
};
static struct party parties[PARTIES];
static _Atomic int over;

static int wakes_up_often(void *arg)
{
    struct party *p = arg;
    while (!at_load(&over)) {
        unsigned salt = (unsigned)p->rounds * 31, want = dig(40 << 10, salt);
        struct weft__fiber *f = weft__enter();
        weft__lock(&p->lock, WEFT__RANK_SYNC);
        p->waits = f;
        int rc = weft__park(
            WEFT__WAIT_OTHER, p, __builtin_return_address(0), 0, weft__commit_unlock, &p->lock);
        weft__leave();
        CHECK_EQ(rc, (int)(p->rounds & 0xff));
        CHECK_EQ(dig(40 << 10, salt), want);
        p->rounds++;
    }
    at_add(&finished, 1);
    return 0;
}

/* Unlinks and claims, as S1 and S2 of sched.h have it. */
static void wake(struct party *p)
{
    weft__enter();
    weft__lock(&p->lock, WEFT__RANK_SYNC);
    struct weft__fiber *f = p->waits;
    p->waits = NULL;
    bool mine = f && weft__claim(f);
    if (mine)
        f->wake_result = (int)(p->rounds & 0xff);
    weft__unlock(&p->lock);
    if (mine)
        weft__ready_tail(f);
    weft__leave();
}

static void *shrinks(void *arg)
{
    uint64_t *n = arg;
    do
        pass();
    while (!at_load(&over));
    *n = weft__shrink_count();
    return NULL;
}

static int against_wakers(void *arg)
{
    struct weft__rand r;
    pthread_t t[2];
    uint64_t n[2] = {0, 0}, rounds = 0;
    (void)arg;
    weft__rand_init(&r, test_seed());
    for (int i = 0; i < PARTIES; i++)
        go(wakes_up_often, &parties[i]);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, shrinks, &n[i]), 0);
    int64_t until = weft__clock_ns() + test_stress_seconds() * (int64_t)1000000000;
    while (weft__clock_ns() < until || weft__shrink_count() < 100) {
        for (int i = 0; i < 20; i++)
            wake(&parties[weft__rand_below(&r, PARTIES)]);
        yield();
    }
    at_store(&over, 1);
    while (at_load(&finished) < PARTIES) {
        for (int i = 0; i < PARTIES; i++)
            wake(&parties[i]);
        nap(1000000);
    }
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
    for (int i = 0; i < PARTIES; i++)
        rounds += parties[i].rounds;
    fprintf(stderr, "# %llu rounds, %llu times shrunk\n", (unsigned long long)rounds,
        (unsigned long long)weft__shrink_count());
    return 0;
}

TEST(woken_while_its_pages_go)
{
    skip_if_frames_move();
    CHECK_EQ(run(2, against_wakers, NULL), 0);
}

/* ---- a deadlock is found although the shrinker is at work ---- */

static int parks_for_good(void *arg)
{
    (void)arg;
    dig(DEEP_BYTES, 1);
    struct weft__fiber *f = weft__enter();
    weft__lock(&lock, WEFT__RANK_SYNC);
    parked = f;
    weft__park(WEFT__WAIT_OTHER, &lock, __builtin_return_address(0), WEFT__PARK_HARD,
        weft__commit_unlock, &lock);
    weft__leave();
    return 0;
}

static int leaves_one_parked(void *arg)
{
    (void)arg;
    go(parks_for_good, NULL);
    await_parked();
    pass();
    return parks_for_good(NULL);
}

static void deadlocked(void)
{
    run(2, leaves_one_parked, NULL);
}

TEST(a_deadlock_is_found_after_a_pass)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer has a thread of its own");
#endif
    EXPECT_DEATH(deadlocked, "all fibers are asleep - deadlock!");
}

/* ---- come and gone ---- */

static size_t rss_bytes(void)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen("/proc/self/smaps_rollup", "re");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, "Rss: %zu kB", &kib) == 1)
            break;
    fclose(f);
    CHECK(kib > 0);
    return kib << 10;
}

static long at_gate;              /* guarded by lock */
static struct weft__fiber *first; /* guarded by lock: those at the gate, by wake_arg */
static _Atomic long left;

/* Parks until all of its wave live. */
static int comes_and_goes(void *arg)
{
    (void)arg;
    dig(8 << 10, 1);
    struct weft__fiber *f = weft__enter();
    weft__lock(&lock, WEFT__RANK_SYNC);
    f->wake_arg = first;
    first = f;
    at_gate++;
    CHECK_EQ(weft__park(WEFT__WAIT_OTHER, &lock, __builtin_return_address(0), WEFT__PARK_HARD,
                 weft__commit_unlock, &lock),
        0);
    weft__leave();
    at_sub(&left, 1);
    return 0;
}

static struct weft__fiber *all_at_gate(long n)
{
    struct weft__fiber *f = NULL;
    weft__enter();
    weft__lock(&lock, WEFT__RANK_SYNC);
    if (at_gate == n) {
        f = first;
        first = NULL;
        at_gate = 0;
    }
    weft__unlock(&lock);
    weft__leave();
    return f;
}

static void wave(long n)
{
    struct weft__fiber *f, *next;
    at_store(&left, n);
    for (long i = 0; i < n; i++)
        go(comes_and_goes, NULL);
    while (!(f = all_at_gate(n)))
        yield();
    weft__enter();
    for (; f; f = next) {
        next = f->wake_arg;
        CHECK(weft__claim(f));
        f->wake_result = 0;
        weft__ready_tail(f);
    }
    weft__leave();
    while (at_load(&left) > 0)
        yield();
}

/* Passes, until the process is no larger than `most`. However long that takes: a thread that the
 * machine keeps off its processor keeps its worker's stacks for so long. */
static size_t settle(size_t most)
{
    for (;;) {
        weft__enter();
        weft__stack_cache_trim(&weft__mach_worker(weft__mach_self())->stacks);
        weft__leave();
        pass();
        size_t rss = rss_bytes();
        if (rss <= most)
            return rss;
        nap(1000000); /* the other worker may be about to go idle */
    }
}

static char *own; /* what a program has besides: 10% of 1.6 MiB is no measure */

static int ten_times(void *arg)
{
    enum { OWN_BYTES = 16 << 20 };
    const long n = test_stress_seconds() > 1 ? 1000000 : 100000, at_once = 10000;
    own = malloc(OWN_BYTES);
    (void)arg;
    CHECK(own != NULL);
    for (size_t i = 0; i < OWN_BYTES; i += PAGE)
        *(volatile char *)&own[i] = 1;
    size_t start = settle(SIZE_MAX), worst = 0;
    for (int round = 0; round < 10; round++) {
        for (long i = 0; i < n; i += at_once / 10)
            wave(at_once / 10);
        wave(at_once);
        size_t rss = settle(start + start / 10);
        worst = rss > worst ? rss : worst;
    }
    fprintf(
        stderr, "# %zu KiB at the start, %zu at most after a round\n", start >> 10, worst >> 10);
    free(own);
    return 0;
}

TEST(memory_returns_after_fibers_have_come_and_gone)
{
#if TEST_SANITIZED
    test_skip("a sanitizer has memory of its own");
#endif
    CHECK_EQ(run(2, ten_times, NULL), 0);
}
