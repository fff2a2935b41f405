// SPDX-License-Identifier: Apache-2.0
/* test_scope.c - scopes: joining, errors and their policies, failed starts, cancelling, nesting. */
#include <pthread.h>

#include "rig.h"

struct job {
    int n;
    int *out;
};

static int square(void *p)
{
    struct job *j = p;
    *j->out = j->n * j->n;
    return 0;
}

FIBER_TEST(values_are_copied_and_joined)
{
    int r[100] = {0};
    WEFT_SCOPE(s);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_go_copy(&s, square, (struct job){.n = i, .out = &r[i]}), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_scope_live(&s), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(r[i], i * i);
    CHECK_EQ(weft_wait(&s), 0); /* nothing left: at once */
    for (int i = 0; i < 100; i++)
        CHECK_EQ(
            weft_go_copy(&s, square, (struct job){.n = -i, .out = &r[i]}), 0); /* and once more */
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(r[99], 99 * 99);
}

static int for_ever(void *arg)
{
    int rc = weft_sleep(INT64_MAX);
    atomic_fetch_add((atomic_int *)arg, 1);
    return rc;
}

static int fail_with(void *arg)
{
    weft_yield();
    return *(int *)arg;
}

FIBER_TEST(first_error_cancels_the_siblings)
{
    atomic_int ended = 0;
    WEFT_SCOPE(s);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_go(&s, for_ever, &ended), 0);
    CHECK_EQ(weft_go_copy(&s, fail_with, -EIO), 0);
    CHECK_EQ(weft_wait(&s), -EIO);
    CHECK_EQ(ended, 10);
    CHECK_EQ(weft_error_code(weft_scope_error(&s)), -EIO);
    CHECK_EQ(weft_error_code(weft_ctx_cause(weft_scope_ctx(&s))), -EIO);
    CHECK_EQ(weft_ctx_check(), -ECANCELED); /* the opener runs under it */
    CHECK_EQ(weft_sleep(0), -ECANCELED);
    CHECK_EQ(weft_scope_close(&s), -EIO);
    CHECK_EQ(weft_ctx_check(), 0);
}

FIBER_TEST(collect_lets_siblings_go_on)
{
    int r[20];
    WEFT_SCOPE(s, .errors = WEFT_COLLECT, .name = "servers");
    for (int i = 0; i < 20; i++) {
        if (i % 2)
            CHECK_EQ(weft_go_copy(&s, fail_with, -100 - i), 0);
        else
            CHECK_EQ(weft_go_copy(&s, square, (struct job){.n = i, .out = &r[i]}), 0);
    }
    int first = weft_wait(&s);
    CHECK(first <= -101 && first >= -119);
    CHECK_EQ(weft_scope_failed(&s), 10);
    CHECK_EQ(weft_ctx_check(), 0);
    for (int i = 0; i < 20; i += 2)
        CHECK_EQ(r[i], i * i);
}

static int fail_with_object(void *arg)
{
    return weft_fail(weft_error_new(-ENODATA, "row %d", *(int *)arg));
}

FIBER_TEST(the_error_object_reaches_the_scope)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go_copy(&s, fail_with_object, 7), 0);
    CHECK_EQ(weft_wait(&s), -ENODATA);
    CHECK_STR(weft_error_message(weft_scope_error(&s)), "row 7");
    CHECK_STR(weft_error_message(weft_ctx_cause(weft_scope_ctx(&s))), "row 7");
}

static int open_and_leave(void *arg)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(weft_go(&s, for_ever, arg), 0);
    return 0; /* leaving cancels and joins */
}

FIBER_TEST(leaving_the_block_cancels_and_joins)
{
    atomic_int ended = 0;
    CHECK_EQ(open_and_leave(&ended), 0);
    CHECK_EQ(ended, 5);
    for (int i = 0; i < 3; i++) {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, for_ever, &ended), 0);
        if (i == 1)
            continue;
        if (i == 2)
            break;
    }
    CHECK_EQ(ended, 8);
    CHECK_EQ(weft_ctx_check(), 0);
}

FIBER_TEST(scopes_nest_and_the_outer_end_reaches_the_inner)
{
    atomic_int ended = 0;
    WEFT_SCOPE(outer);
    CHECK_EQ(weft_go(&outer, open_and_leave, &ended), 0);
    {
        WEFT_SCOPE(inner);
        CHECK_EQ(weft_go(&inner, for_ever, &ended), 0);
        weft_scope_cancel(&outer);
        CHECK_EQ(weft_ctx_check(), -ECANCELED);
        CHECK_EQ(weft_wait(&inner), -ECANCELED);
    }
    CHECK_EQ(weft_wait(&outer), 0);
    CHECK_EQ(ended, 6);
}

FIBER_TEST(a_scope_may_have_a_time_limit)
{
    atomic_int ended = 0;
    WEFT_SCOPE(s, .timeout_ns = 3 * WEFT_MS);
    CHECK_EQ(weft_go(&s, for_ever, &ended), 0);
    CHECK_EQ(weft_wait(&s), -ETIMEDOUT);
    CHECK_EQ(weft_ctx_err(weft_scope_ctx(&s)), -ETIMEDOUT);
    CHECK_EQ(ended, 1);
}

static int start_more(void *arg)
{
    weft_scope *s = arg;
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(weft_go_copy(s, fail_with, 0), 0);
        weft_yield();
    }
    return 0;
}

FIBER_TEST(a_fiber_starts_siblings)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_go(&s, start_more, &s), 0);
    CHECK_EQ(weft_wait(&s), 0);
}

static int ended_scope_still_starts(void *arg)
{
    *(int *)arg = weft_ctx_check();
    return 0;
}

FIBER_TEST(starting_into_an_ended_scope_runs_the_fiber_cancelled)
{
    int seen = 1;
    WEFT_SCOPE(s);
    weft_scope_cancel(&s);
    CHECK_EQ(weft_go(&s, ended_scope_still_starts, &seen), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(seen, -ECANCELED);
}

static int limited(void *arg)
{
    atomic_int ended = 0;
    int failed = 0;
    (void)arg;
    WEFT_SCOPE(s);
    for (int i = 0; i < 20; i++) {
        int rc = weft_go(&s, for_ever, &ended);
        failed += rc == -EAGAIN;
        CHECK(rc == 0 || rc == -EAGAIN);
    }
    CHECK(failed > 0);
    CHECK_EQ(weft_wait(&s), -EAGAIN); /* its own error, and the siblings were cancelled */
    CHECK_EQ(ended + failed, 20);
    CHECK_EQ(weft_error_code(weft_ctx_cause(weft_scope_ctx(&s))), -EAGAIN);
    return 0;
}

TEST(a_fiber_that_could_not_start_is_an_error_of_the_scope)
{
    weft_run_opts o = {.size = sizeof o, .workers = 1, .max_fibers = 8};
    int result = -1;
    CHECK_EQ(weft_run(limited, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

FIBER_TEST(many_joins)
{
    for (int i = 0; i < 3000; i++) {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, nothing, NULL), 0);
        CHECK_EQ(weft_wait(&s), 0);
    }
    WEFT_SCOPE(s);
    for (int i = 0; i < 30000; i++)
        CHECK_EQ(weft_go(&s, nothing, NULL), 0);
    CHECK_EQ(weft_wait(&s), 0);
}

/* ---- misuse ---- */

static int wait_for_own(void *arg)
{
    return weft_wait(arg);
}
static int wait_for_own_scope(void *arg)
{
    (void)arg;
    WEFT_SCOPE(s, .name = "mine");
    CHECK_EQ(weft_go(&s, wait_for_own, &s), 0);
    return weft_wait(&s);
}
static void die_waiting_for_own(void)
{
    rig_run(1, wait_for_own_scope);
}

static int go_after_close(void *arg)
{
    (void)arg;
    WEFT_SCOPE(s);
    weft_scope_close(&s);
    return weft_go(&s, nothing, NULL);
}
static void die_going_after_close(void)
{
    rig_run(1, go_after_close);
}

static int leave_open(void *arg)
{
    weft_scope_open(arg, NULL); /* never closed */
    return 0;
}
static int start_leave_open(void *arg)
{
    weft_scope lost;
    (void)arg;
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, leave_open, &lost), 0);
    return weft_wait(&s);
}
static void die_leaving_open(void)
{
    rig_run(1, start_leave_open);
}

TEST(misuse)
{
    EXPECT_DEATH(die_waiting_for_own, "a fiber waits for its own scope \"mine\"");
    EXPECT_DEATH(die_going_after_close, "weft_go: the scope is not open");
    EXPECT_DEATH(die_leaving_open, "returned out of an open scope");
}

/* ---- plain threads ---- */

static void *thread_with_a_scope(void *arg)
{
    int r[4];
    weft_set_name("outsider");
    WEFT_SCOPE(s);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(weft_go_copy(&s, square, (struct job){.n = i, .out = &r[i]}), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(r[3], 9);
    CHECK_EQ(weft_go_copy(&s, fail_with, -EIO), 0);
    CHECK_EQ(weft_wait(&s), -EIO);
    *(atomic_int *)arg = 1;
    return NULL;
}

FIBER_TEST(a_plain_thread_opens_a_scope)
{
    pthread_t t;
    atomic_int done = 0;
    CHECK_EQ(pthread_create(&t, NULL, thread_with_a_scope, &done), 0);
    while (!done)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    pthread_join(t, NULL);
}
