// SPDX-License-Identifier: Apache-2.0
/*
 * stress_cold.c - very many parked fibers on cold stacks (src/sched/cold.c): what they cost, and
 * that random wake-ups find everything as it was.
 *
 * Each fiber parks with numbers on its stack that follow from its own and its round, and checks
 * them when it is woken. A plain thread puts stacks away all the time, a second one reads the
 * waiting fibers' numbers through their pointers, the first fiber wakes by lot.
 *
 * WEFT_COLD_FIBERS in the environment sets how many (100,000, a fifth in a short run).
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/futex.h"
#include "base/rand.h"
#include "sched/cold.h"
#include "sched/worker.h"
#include "sched_test.h"

enum { NUMBERS = 8 };

struct sleeper {
    struct weft__lock lock;
    uint32_t round; /* guarded by lock, as what follows; the top bit: shall end */
    struct weft__fiber *waits;
    volatile uint64_t *numbers;
};
enum { LAST = 1 << 30 };

static struct sleeper *sleepers;
static uint32_t count;
static _Atomic uint32_t parked, ended, over;
static _Atomic uint64_t wakes, reads;

static uint64_t number(const struct sleeper *s, uint32_t round, unsigned i)
{
    return ((uint64_t)(s - sleepers) << 32 | round) * 0x9e3779b97f4a7c15u >> (i * 8);
}

static int parks(void *arg)
{
    struct sleeper *s = arg;
    volatile uint64_t numbers[NUMBERS];
    for (uint32_t round = 0;; round++) {
        struct weft__fiber *f = weft__enter();
        weft__lock(&s->lock, WEFT__RANK_SYNC);
        for (unsigned i = 0; i < NUMBERS; i++)
            numbers[i] = number(s, round, i);
        s->numbers = numbers;
        s->waits = f;
        at_add(&parked, 1);
        int rc = weft__park(WEFT__WAIT_OTHER, s, __builtin_return_address(0), WEFT__PARK_HARD,
            weft__commit_unlock, &s->lock);
        weft__leave();
        for (unsigned i = 0; i < NUMBERS; i++)
            CHECK_EQ(numbers[i], number(s, round, i));
        CHECK_EQ((uint32_t)rc & ~(uint32_t)LAST, round);
        if (rc & LAST)
            break;
    }
    at_add(&ended, 1);
    return 0;
}

static bool wake_up(struct sleeper *s, uint32_t last)
{
    weft__enter();
    weft__lock(&s->lock, WEFT__RANK_SYNC);
    struct weft__fiber *f = s->waits;
    s->waits = NULL;
    if (f) {
        CHECK(weft__claim(f));
        f->wake_result = (int)(s->round++ | last);
        at_sub(&parked, 1);
    }
    weft__unlock(&s->lock);
    if (f)
        weft__ready_tail(f);
    weft__leave();
    return f != NULL;
}

static void *puts_away(void *arg)
{
    (void)arg;
    while (!at_load(&over)) {
        weft__enter();
        weft__cold_pass(INT64_MAX);
        weft__leave();
    }
    return NULL;
}

static void *reads_by_lot(void *arg)
{
    struct weft__rand r;
    (void)arg;
    weft__rand_init(&r, test_seed() + 1);
    while (!at_load(&over)) {
        struct sleeper *s = &sleepers[weft__rand_below(&r, count)];
        weft__enter();
        weft__lock(&s->lock, WEFT__RANK_SYNC); /* it stays parked meanwhile */
        if (s->waits)
            for (unsigned i = 0; i < NUMBERS; i++)
                CHECK_EQ(s->numbers[i], number(s, s->round, i));
        weft__unlock(&s->lock);
        weft__leave();
        at_add(&reads, 1);
    }
    return NULL;
}

static size_t field_kib(const char *file, const char *format)
{
    char line[256];
    size_t kib = 0;
    FILE *f = fopen(file, "re");
    CHECK(f != NULL);
    while (fgets(line, sizeof line, f))
        if (sscanf(line, format, &kib) == 1)
            break;
    fclose(f);
    return kib;
}

/* What is resident, and the page tables. */
static size_t memory_bytes(void)
{
    return (field_kib("/proc/self/smaps_rollup", "Rss: %zu kB") +
               field_kib("/proc/self/status", "VmPTE: %zu kB"))
           << 10;
}

static void start_all(void)
{
    for (uint32_t i = 0; i < count; i++) {
        struct weft__spawn s = {
            .entry = parks, .arg = &sleepers[i], .relieve = true, .stack_bytes = 32 << 10};
        weft__enter();
        CHECK_EQ(weft__spawn(&s, NULL), 0);
        weft__leave();
    }
    while (at_load(&parked) < count)
        nap(1000000);
}

static void measure(size_t before)
{
    size_t warm = memory_bytes();
    while (cold_counts().away < count) {
        weft__enter();
        weft__cold_pass(INT64_MAX);
        weft__leave();
    }
    size_t cold = memory_bytes();
    fprintf(stderr, "# %u fibers: %zu B each warm, %zu B each cold, of these %llu in the store\n",
        count, (warm - before) / count, (cold - before) / count,
        (unsigned long long)(cold_counts().bytes / count));
#if !TEST_SANITIZED
    CHECK(cold - before < (size_t)count * 1024);
#endif
}

static int many(void *arg)
{
    struct weft__rand r;
    pthread_t t[2];
    (void)arg;
    weft__rand_init(&r, test_seed());
    size_t before = memory_bytes();
    start_all();
    measure(before);
    CHECK_EQ(pthread_create(&t[0], NULL, puts_away, NULL), 0);
    CHECK_EQ(pthread_create(&t[1], NULL, reads_by_lot, NULL), 0);
    int64_t until = weft__clock_ns() + test_stress_seconds() * (int64_t)1000000000;
    while (weft__clock_ns() < until || at_load(&wakes) < 1000) {
        for (int i = 0; i < 100; i++)
            at_add(&wakes, (uint64_t)wake_up(&sleepers[weft__rand_below(&r, count)], 0));
        nap(1000);
    }
    at_store(&over, 1);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
    for (uint32_t i = 0; i < count; i++)
        while (!wake_up(&sleepers[i], LAST))
            nap(1000000);
    while (at_load(&ended) < count)
        nap(1000000);
    struct weft__cold_counts c = cold_counts();
    CHECK_EQ(c.away, 0);
    fprintf(stderr, "# %llu wake-ups, %llu reads, %llu put away, %llu brought back, %llu refused\n",
        (unsigned long long)at_load(&wakes), (unsigned long long)at_load(&reads),
        (unsigned long long)c.frozen, (unsigned long long)c.thawed, (unsigned long long)c.refused);
    return 0;
}

#ifdef WEFT_TSAN_FIBERS
enum { MANY = 10000 }; /* it maps some pieces for each fiber, and the kernel allows 65,530 in all */
#else
enum { MANY = 100000 };
#endif

TEST(very_many_parked_fibers)
{
    const char *said = getenv("WEFT_COLD_FIBERS");
    struct weft__sched_opts o = {.workers = 2, .cold_ns = INT64_MAX / 4};
    count = said ? (uint32_t)strtoul(said, NULL, 10) : test_stress_seconds() > 1 ? MANY : MANY / 5;
    sleepers = mmap(NULL, count * sizeof *sleepers, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(sleepers != MAP_FAILED);
    int rc = weft__sched_run(many, NULL, NULL, NULL, NULL, &o, NULL);
    if (rc == -EPERM || rc == -ENOSYS || rc == -ENOTSUP)
        test_skip("no userfaultfd for us here: %s", strerror(-rc));
    CHECK_EQ(rc, 0);
}
