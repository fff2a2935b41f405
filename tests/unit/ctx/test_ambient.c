// SPDX-License-Identifier: Apache-2.0
/* test_ambient.c - the current context: time-outs, shields, WEFT_WITH, inheritance, stickiness. */
#include <pthread.h>

#include "rig.h"

FIBER_TEST(timeout_ends_the_block_only)
{
    int64_t start = weft_now();
    {
        WEFT_TIMEOUT(t, 3 * WEFT_MS);
        CHECK(weft_ctx_current() == t);
        CHECK(weft_ctx_deadline(t) >= start + 3 * WEFT_MS);
        CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
        CHECK(weft_now() >= start + 3 * WEFT_MS);
        CHECK_EQ(weft_ctx_err(t), -ETIMEDOUT);
        CHECK_EQ(weft_sleep(1), -ETIMEDOUT); /* sticky */
        CHECK_EQ(weft_ctx_check(), -ETIMEDOUT);
        weft_chan *c;
        CHECK_EQ(weft_chan_new(1, 0, &c), 0);
        CHECK_EQ(weft_chan_recv(c, NULL), -ETIMEDOUT);
        CHECK_EQ(weft_chan_send(c, "x"), -ETIMEDOUT);
        weft_chan_free(c);
    }
    CHECK_EQ(weft_ctx_check(), 0);
    CHECK_EQ(weft_sleep(WEFT_US), 0);
}

FIBER_TEST(the_nearer_deadline_counts)
{
    WEFT_TIMEOUT(outer, 3 * WEFT_MS);
    {
        WEFT_TIMEOUT(inner, WEFT_HOUR);
        CHECK_EQ(weft_ctx_deadline(inner), weft_ctx_deadline(outer));
        CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
        CHECK_EQ(weft_ctx_err(inner), -ETIMEDOUT);
    }
    CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
}

FIBER_TEST(an_inner_timeout_leaves_the_outer_alone)
{
    WEFT_TIMEOUT(outer, WEFT_HOUR);
    for (int i = 0; i < 20; i++) {
        WEFT_TIMEOUT(inner, 100 * WEFT_US);
        CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
        CHECK_EQ(weft_ctx_err(outer), 0);
    }
    CHECK_EQ(weft_sleep(WEFT_US), 0);
}

static int shielded(void *arg)
{
    int *steps = arg;
    CHECK_EQ(weft_sleep(INT64_MAX), -ECANCELED);
    {
        WEFT_SHIELD(x);
        CHECK_EQ(weft_ctx_err(x), 0);
        CHECK_EQ(weft_sleep(WEFT_US), 0); /* the closing handshake goes on */
        CHECK_EQ(weft_ctx_check(), 0);
        {
            WEFT_TIMEOUT(t, 2 * WEFT_MS); /* within its own limit */
            CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
        }
        ++*steps;
    }
    CHECK_EQ(weft_ctx_check(), -ECANCELED);
    CHECK_EQ(weft_sleep(0), -ECANCELED);
    return 0;
}

FIBER_TEST(shield_after_the_end)
{
    int steps = 0;
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, shielded, &steps), 0);
    weft_yield();
    weft_scope_cancel(&s);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(steps, 1);
}

struct gate {
    weft_chan *inside, *go_on;
};

static int ended_inside_a_shield(void *arg)
{
    struct gate *g = arg;
    {
        WEFT_SHIELD(x);
        CHECK_EQ(weft_chan_send(g->inside, "x"), 0);
        CHECK_EQ(weft_chan_recv(g->go_on, NULL), 1); /* the end comes while it waits here */
        CHECK_EQ(weft_ctx_check(), 0);
    }
    CHECK_EQ(weft_ctx_check(), -ECANCELED);
    CHECK_EQ(weft_chan_recv(g->go_on, NULL), -ECANCELED);
    return 0;
}

FIBER_TEST(shield_before_the_end)
{
    struct gate g;
    CHECK_EQ(weft_chan_new(1, 0, &g.inside), 0);
    CHECK_EQ(weft_chan_new(1, 0, &g.go_on), 0);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, ended_inside_a_shield, &g), 0);
    CHECK_EQ(weft_chan_recv(g.inside, NULL), 1);
    CHECK_EQ(weft_sleep(WEFT_MS), 0);
    {
        WEFT_SHIELD(mine);
        weft_scope_cancel(&s);
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
        CHECK_EQ(weft_chan_send(g.go_on, "x"), 0);
    }
    CHECK_EQ(weft_wait(&s), 0);
    weft_chan_free(g.inside);
    weft_chan_free(g.go_on);
}

static const char key;

static int find_value(void *arg)
{
    return weft_ctx_value(weft_ctx_current(), &key) == arg ? 0 : -ENOENT;
}

FIBER_TEST(with_runs_the_block_under_a_context)
{
    int x;
    weft_ctx *before = weft_ctx_current();
    weft_ctx *c = weft_ctx_with_value(before, &key, &x);
    weft_ctx *d = weft_ctx_with_cancel(c);
    {
        WEFT_WITH(w, d);
        CHECK(weft_ctx_current() == d && w == d);
        WEFT_SCOPE(s); /* fibers inherit it, through the scope's context */
        CHECK_EQ(weft_go(&s, find_value, &x), 0);
        CHECK_EQ(weft_wait(&s), 0);
        {
            WEFT_WITH(again, d); /* one context, two blocks */
            CHECK(again == d);
        }
        weft_ctx_cancel(d);
        CHECK_EQ(weft_ctx_check(), -ECANCELED);
    }
    CHECK(weft_ctx_current() == before);
    CHECK_EQ(weft_ctx_check(), 0);
    weft_ctx_free(d);
    weft_ctx_free(c);
}

struct detached {
    weft_chan *out;
    int seen;
};

static int detached_entry(void *arg)
{
    struct detached *d = arg;
    int rc = weft_sleep(INT64_MAX);
    d->seen = rc;
    WEFT_SHIELD(x);
    weft_chan_send(d->out, "x");
    return 0;
}

FIBER_TEST(a_detached_fiber_outlives_the_block_but_not_its_context)
{
    struct detached d[3] = {{0}};
    weft_chan *out;
    CHECK_EQ(weft_chan_new(1, 3, &out), 0);
    for (int i = 0; i < 3; i++)
        d[i].out = out;
    {
        WEFT_TIMEOUT(t, WEFT_HOUR);
        CHECK_EQ(weft_go(NULL, detached_entry, &d[0]), 0);
        weft_yield();
    } /* the block's end ends its context */
    {
        WEFT_TIMEOUT(t, WEFT_MS);
        CHECK_EQ(weft_go(NULL, detached_entry, &d[1]), 0);
        CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
    }
    {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(NULL, detached_entry, &d[2]), 0); /* not joined, but told */
    }
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_chan_recv(out, NULL), 1);
    CHECK_EQ(d[0].seen, -ECANCELED);
    CHECK_EQ(d[1].seen, -ETIMEDOUT);
    CHECK_EQ(d[2].seen, -ECANCELED);
    weft_chan_free(out);
}

static int early_return(int how)
{
    for (int i = 0; i < 3; i++) {
        WEFT_TIMEOUT(t, WEFT_HOUR);
        WEFT_SHIELD(x);
        if (how == 0)
            return 7;
        if (how == 1)
            break;
        if (how == 2)
            continue;
        goto out;
    }
    return 8;
out:
    return 9;
}

FIBER_TEST(blocks_are_left_whichever_way)
{
    weft_ctx *before = weft_ctx_current();
    CHECK_EQ(early_return(0), 7);
    CHECK(weft_ctx_current() == before);
    CHECK_EQ(early_return(1), 8);
    CHECK_EQ(early_return(2), 8);
    CHECK_EQ(early_return(3), 9);
    CHECK(weft_ctx_current() == before);
}

/* ---- plain threads ---- */

static void *thread_under_a_timeout(void *arg)
{
    {
        WEFT_TIMEOUT(t, 2 * WEFT_MS);
        CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
        weft_chan *c;
        CHECK_EQ(weft_chan_new(1, 0, &c), 0);
        CHECK_EQ(weft_chan_recv(c, NULL), -ETIMEDOUT);
        weft_chan_free(c);
    }
    CHECK_EQ(weft_ctx_check(), 0);
    CHECK_EQ(weft_sleep(WEFT_MS), 0);
    CHECK(weft_ctx_current() == weft_ctx_background()); /* the root may go at any moment */
    *(atomic_int *)arg = 1;
    return NULL;
}

FIBER_TEST(a_plain_thread_under_a_timeout)
{
    pthread_t t;
    atomic_int done = 0;
    CHECK_EQ(pthread_create(&t, NULL, thread_under_a_timeout, &done), 0);
    while (!done)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    pthread_join(t, NULL);
}

static void *cancel_later(void *arg)
{
    CHECK_EQ(weft_sleep(3 * WEFT_MS), 0);
    weft_ctx_cancel(arg);
    return NULL;
}

TEST(a_plain_thread_is_cancelled_without_a_runtime)
{
    pthread_t t;
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
    CHECK_EQ(pthread_create(&t, NULL, cancel_later, c), 0);
    int64_t start = weft_now();
    CHECK_EQ(weft_sleep(WEFT_MS), 0);
    CHECK(weft_now() >= start + WEFT_MS);
    {
        WEFT_WITH(w, c);
        CHECK_EQ(weft_sleep(WEFT_HOUR), -ECANCELED);
    }
    pthread_join(t, NULL);
    weft_ctx_free(c);
}

static int storm_body(void *arg)
{
    uint64_t seed = test_seed() ^ weft_self();
    (void)arg;
    for (int i = 0; i < 200; i++) {
        WEFT_TIMEOUT(t, (int64_t)(rig_random(&seed) % 300) * WEFT_US);
        if (rig_random(&seed) % 3 == 0) {
            WEFT_SHIELD(x);
            CHECK_EQ(weft_sleep(WEFT_US), 0);
        }
        int rc = weft_sleep((int64_t)(rig_random(&seed) % 300) * WEFT_US);
        CHECK(rc == 0 || rc == -ETIMEDOUT || rc == -ECANCELED);
        if (rc)
            CHECK_EQ(weft_ctx_err(t), rc);
    }
    return 0;
}

FIBER_TEST(storm_of_timeouts)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(weft_go(&s, storm_body, NULL), 0);
    CHECK_EQ(weft_sleep(5 * WEFT_MS), 0);
    weft_scope_cancel(&s);
    CHECK_EQ(weft_wait(&s), 0);
}
