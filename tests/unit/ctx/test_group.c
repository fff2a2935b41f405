// SPDX-License-Identifier: Apache-2.0
/*
 * test_group.c - error groups: the limit, the first error, collecting, panics, leaving the block.
 * On 1, 2 and 8 workers.
 */
#include <errno.h>
#include <stdatomic.h>
#include <weft/weft.h>

#include "test.h"

static atomic_int inside, most, ran;

static void on_workers(int (*app)(void *))
{
    static const unsigned counts[] = {1, 2, 8};
    for (size_t i = 0; i < 3; i++) {
        int result = -1;
        weft_run_opts o = {.size = sizeof o, .workers = counts[i]};
        inside = most = ran = 0;
        CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
    }
}

static int work(void *arg)
{
    int now = ++inside, seen = most;
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        ;
    for (int i = 0; i < 5; i++)
        weft_yield();
    inside--;
    ran++;
    return arg ? *(int *)arg : 0;
}

static int limited(void *arg)
{
    (void)arg;
    WEFT_GROUP(g, 3);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_group_go(&g, work, NULL), 0);
    CHECK_EQ(weft_group_wait(&g), 0);
    CHECK_EQ(ran, 100);
    CHECK(most <= 3);
    CHECK_EQ(weft_group_go(&g, work, NULL), 0); /* and again */
    CHECK_EQ(weft_group_wait(&g), 0);
    CHECK_EQ(ran, 101);
    return 0;
}

TEST(limit)
{
    on_workers(limited);
}

static int unlimited(void *arg)
{
    (void)arg;
    WEFT_GROUP(g, 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_group_try_go(&g, work, NULL), 0);
    CHECK_EQ(weft_group_wait(&g), 0);
    CHECK_EQ(ran, 100);
    return 0;
}

TEST(no_limit)
{
    on_workers(unlimited);
}

static int until_cancelled(void *arg)
{
    (void)arg;
    inside++;
    int rc = weft_sleep(600 * WEFT_SEC);
    inside--;
    return rc;
}

static int full(void *arg)
{
    (void)arg;
    WEFT_GROUP(g, 2);
    CHECK_EQ(weft_group_go(&g, until_cancelled, NULL), 0);
    CHECK_EQ(weft_group_try_go(&g, until_cancelled, NULL), 0);
    CHECK_EQ(weft_group_try_go(&g, until_cancelled, NULL), -EBUSY);
    CHECK_EQ(weft_scope_live(weft_group_scope(&g)), 2);
    return 0; /* leaving the block ends both */
}

static int full_and_left(void *arg)
{
    CHECK_EQ(full(arg), 0);
    CHECK_EQ(inside, 0);
    return 0;
}

TEST(full_and_left)
{
    on_workers(full_and_left);
}

/* The first error ends the others, and those that wait for a place are not started. */
static int first_error(void *arg)
{
    (void)arg;
    static int error = -EIO;
    WEFT_GROUP(g, 2);
    CHECK_EQ(weft_group_go(&g, until_cancelled, NULL), 0);
    CHECK_EQ(weft_group_go(&g, work, &error), 0);
    int rc;
    while ((rc = weft_group_go(&g, work, NULL)) == 0)
        ;
    CHECK_EQ(rc, -ECANCELED);
    CHECK_EQ(weft_group_wait(&g), -EIO);
    CHECK_EQ(weft_error_code(weft_scope_error(weft_group_scope(&g))), -EIO);
    return 0;
}

TEST(first_error)
{
    on_workers(first_error);
}

static int collected(void *arg)
{
    (void)arg;
    static int error = -EIO;
    WEFT_GROUP(g, 4, .errors = WEFT_COLLECT);
    for (int i = 0; i < 40; i++)
        CHECK_EQ(weft_group_go(&g, work, i % 4 ? NULL : &error), 0);
    CHECK_EQ(weft_group_wait(&g), -EIO);
    CHECK_EQ(weft_scope_failed(weft_group_scope(&g)), 10);
    CHECK_EQ(ran, 40);
    return 0;
}

TEST(collect)
{
    on_workers(collected);
}

static int panics(void *arg)
{
    (void)arg;
    weft_panic("member");
}

static int exits(void *arg)
{
    (void)arg;
    weft_exit(0);
}

/* A member that does not return gives its place back all the same. */
static int places_come_back(void *arg)
{
    (void)arg;
    WEFT_GROUP(g, 1, .errors = WEFT_COLLECT, .panics = WEFT_PANIC_ISOLATE);
    for (int i = 0; i < 5; i++) {
        CHECK_EQ(weft_group_go(&g, exits, NULL), 0);
        CHECK_EQ(weft_group_go(&g, panics, NULL), 0);
    }
    CHECK_EQ(weft_group_go(&g, work, NULL), 0);
    CHECK_EQ(weft_group_wait(&g), -WEFT_EPANIC);
    CHECK_EQ(weft_scope_failed(weft_group_scope(&g)), 5);
    CHECK_EQ(ran, 1);
    return 0;
}

TEST(places_come_back)
{
    on_workers(places_come_back);
}
