// SPDX-License-Identifier: Apache-2.0
/*
 * stress_ctx.c - scopes, contexts, timers and panics in random trees of fibers, ended anyhow.
 *
 * Each fiber draws what it does next: opens a scope and starts children, waits under a time limit,
 * shields itself, cancels a relative, panics under a try, starts a detached fiber, plays with
 * timers. A tree is over when its scopes are joined; then the counts of births and ends must be
 * equal. A lost wake-up shows as a hang, a wrong life as a sanitizer's report.
 */
#include <pthread.h>

#include "rig.h"

enum { DEPTH = 4 };

static atomic_long born, ended, detached_born, detached_ended;
static int64_t end_ns;

struct branch {
    int depth;
    uint64_t seed;
    weft_ctx *relative; /* counted; somebody's context that may be cancelled from here */
};

static int branch(void *arg);

static int detached(void *arg)
{
    uint64_t seed = *(uint64_t *)arg;
    int rc = weft_sleep((int64_t)(rig_random(&seed) % 400) * WEFT_US);
    CHECK(rc == 0 || rc == -ECANCELED || rc == -ETIMEDOUT);
    detached_ended++;
    return rc;
}

static int panics(void *arg)
{
    uint64_t *seed = arg;
    WEFT_TIMEOUT(t, WEFT_MS);
    WEFT_SCOPE(s);
    for (uint32_t n = rig_random(seed) % 3; n > 0; n--) {
        detached_born++;
        if (weft_go_copy(&s, detached, *seed + n) < 0)
            detached_born--;
    }
    weft_yield();
    weft_panic("drawn by lot");
}

static void bump(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void play_with_timers(uint64_t *seed)
{
    static atomic_int runs;
    weft_timer *t = weft_timer_new((int64_t)(rig_random(seed) % 50) * WEFT_US);
    weft_timer *f = weft_timer_func((int64_t)(rig_random(seed) % 50) * WEFT_US, bump, &runs);
    CHECK(t && f);
    if (rig_random(seed) % 2)
        weft_yield();
    int64_t start = weft_now(), when;
    weft_timer_reset(t, (int64_t)(rig_random(seed) % 50) * WEFT_US);
    if (weft_chan_recv(weft_timer_chan(t), &when) == 1)
        CHECK(when >= start);
    weft_timer_reset(f, WEFT_US);
    weft_timer_free(f);
    weft_timer_free(t);
}

static void start_children(struct branch *b)
{
    WEFT_SCOPE(s, .errors = rig_random(&b->seed) % 2 ? WEFT_COLLECT : WEFT_FIRST_ERROR,
        .timeout_ns = rig_random(&b->seed) % 3 ? 0 : 300 * WEFT_US);
    for (uint32_t n = rig_random(&b->seed) % 5; n > 0; n--) {
        struct branch child = {.depth = b->depth - 1,
            .seed = b->seed + n,
            .relative = weft_ctx_ref(rig_random(&b->seed) % 2 ? weft_scope_ctx(&s) : b->relative)};
        born++;
        if (weft_go_copy(&s, branch, child) < 0) {
            born--;
            weft_ctx_free(child.relative);
        }
    }
    if (rig_random(&b->seed) % 4 == 0)
        weft_scope_cancel(&s);
    if (rig_random(&b->seed) % 2)
        weft_wait(&s);
}

static void one_step(struct branch *b)
{
    WEFT_TIMEOUT(t, (int64_t)(rig_random(&b->seed) % 500) * WEFT_US);
    switch (rig_random(&b->seed) % 8) {
    case 0:
        if (b->depth > 0)
            start_children(b);
        break;
    case 1:
        weft_ctx_cancel(b->relative);
        break;
    case 2: {
        WEFT_SHIELD(x);
        CHECK_EQ(weft_sleep(20 * WEFT_US), 0);
    } break;
    case 3:
        CHECK_EQ(weft_try(panics, &b->seed, NULL), -WEFT_EPANIC);
        break;
    case 4:
        detached_born++;
        if (weft_go_copy(NULL, detached, b->seed) < 0)
            detached_born--;
        break;
    case 5:
        play_with_timers(&b->seed);
        break;
    case 6:
        weft_chan_recv(weft_ctx_done(b->relative), NULL);
        break;
    default:
        weft_sleep((int64_t)(rig_random(&b->seed) % 300) * WEFT_US);
    }
    int err = weft_ctx_err(t);
    CHECK(err == 0 || weft_ctx_check() == err);
}

static int branch(void *arg)
{
    struct branch *b = arg;
    for (uint32_t n = 1 + rig_random(&b->seed) % 6; n > 0; n--)
        one_step(b);
    uint32_t result = rig_random(&b->seed) % 6;
    weft_ctx_free(b->relative);
    ended++;
    return result == 0 ? weft_fail(weft_error_new(-EIO, "drawn")) : result == 1 ? -ENOENT : 0;
}

static int forest(void *arg)
{
    uint64_t seed = test_seed() ^ (uintptr_t)arg;
    while (weft_now() < end_ns) {
        weft_ctx *top = weft_ctx_with_cancel(weft_ctx_current());
        {
            WEFT_WITH(w, top);
            WEFT_SCOPE(s, .errors = WEFT_COLLECT);
            for (int i = 0; i < 10; i++) {
                born++;
                CHECK_EQ(weft_go_copy(&s, branch,
                             ((struct branch){DEPTH, seed + (uint64_t)i, weft_ctx_ref(top)})),
                    0);
            }
            rig_random(&seed);
            weft_wait(&s);
        }
        CHECK_EQ(born, ended);
        weft_ctx_free(top);
    }
    return 0;
}

static void grow(unsigned workers)
{
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    int result = -1;
    end_ns = weft_now() + (int64_t)test_stress_seconds() * WEFT_SEC;
    CHECK_EQ(weft_run(forest, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
    CHECK_EQ(born, ended);
    CHECK_EQ(detached_born, detached_ended);
    printf("%u workers: %ld fibers, %ld detached\n", workers, (long)born, (long)detached_born);
}

TEST(forest_1)
{
    grow(1);
}
TEST(forest_2)
{
    grow(2);
}
TEST(forest_8)
{
    grow(8);
}
