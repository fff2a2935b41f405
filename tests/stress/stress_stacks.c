// SPDX-License-Identifier: Apache-2.0
/*
 * stress_stacks.c - visitors of stacks, while others make them: whoever finds a stack marked as
 * live finds its chunk and its record filled in (the litmus test of [mo:live] and [mo:chunk]).
 *
 *      makers     take a stack, fill its record in plainly, mark it live     K1 of stack.h
 *      visitors   go over all chunks, or ask by an address, without a lock; read the record plainly
 *
 * No stack is given back while visitors are about, as a visitor that comes late may read an old
 * record (docs/design/memory-model.md). Each round is of another class, so that there are new
 * chunks too. In the build tsan-rt the plain reads are what a missing order shows itself by.
 */
#include <pthread.h>

#include "base/futex.h"
#include "sched/sched.h"
#include "sched/stack_cache.h"
#include "test.h"

enum { MAKERS = 2, VISITORS = 2, EACH = TEST_SLOW ? 60 : 300, SIZES = 4 };
static const size_t sizes[SIZES] = {32 << 10, 200 << 10, 700 << 10, 3 << 20};

static struct weft__fiber *made[MAKERS][EACH];
static unsigned class;
static _Atomic unsigned making;
static _Atomic uint64_t visits;

static uint64_t number_of(const struct weft__fiber *f)
{
    return (uint64_t)(uintptr_t)f * 3 + 1;
}

static void *makes(void *arg)
{
    struct weft__fiber **mine = arg;
    for (int i = 0; i < EACH; i++) {
        CHECK_EQ(weft__stack_alloc(NULL, class, &mine[i]), 0);
        mine[i]->id = number_of(mine[i]);
        weft__stack_mark_live(mine[i]);
    }
    at_sub(&making, 1);
    return NULL;
}

static bool looks(struct weft__fiber *f, void *arg)
{
    bool guard = true;
    uint64_t *n = arg;
    CHECK_EQ(f->id, number_of(f));
    if (++*n % 8 == 0) {
        CHECK(weft__stack_find((uintptr_t)f->stack_low + 64, &guard) == f);
        CHECK(!guard);
    }
    return true;
}

static void *visits_all(void *arg)
{
    uint64_t n = 0;
    (void)arg;
    do
        weft__stack_each(looks, &n);
    while (at_load(&making) > 0);
    weft__stack_each(looks, &n);
    at_add(&visits, n);
    return NULL;
}

static void one_round(unsigned k)
{
    pthread_t maker[MAKERS], visitor[VISITORS];
    class = weft__stack_class(sizes[k % SIZES]);
    at_store(&making, MAKERS);
    for (int i = 0; i < VISITORS; i++)
        CHECK_EQ(pthread_create(&visitor[i], NULL, visits_all, NULL), 0);
    for (int i = 0; i < MAKERS; i++)
        CHECK_EQ(pthread_create(&maker[i], NULL, makes, made[i]), 0);
    for (int i = 0; i < MAKERS; i++)
        CHECK_EQ(pthread_join(maker[i], NULL), 0);
    for (int i = 0; i < VISITORS; i++)
        CHECK_EQ(pthread_join(visitor[i], NULL), 0);
    for (int i = 0; i < MAKERS; i++)
        for (int n = 0; n < EACH; n++) {
            weft__stack_mark_free(made[i][n]);
            weft__stack_free(NULL, made[i][n]);
        }
}

TEST(visitors_find_filled_records)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer for fibers does not see what the library's own code does");
#endif
    int64_t until = weft__clock_ns() + test_stress_seconds() * INT64_C(1000000000);
    unsigned rounds = 0;
    do
        one_round(rounds++);
    while (weft__clock_ns() < until || rounds < SIZES);
    /* each visitor's last pass alone sees all */
    CHECK(at_load(&visits) >= (uint64_t)rounds * VISITORS * MAKERS * EACH);
    fprintf(stderr, "# %u rounds, %llu visits\n", rounds, (unsigned long long)at_load(&visits));
}
