// SPDX-License-Identifier: Apache-2.0
/* test_fiber.c - starting fibers with options, names and labels, sleeping, blocking calls,
 * identities. */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "rig.h"

#include "ctx/record.h"

static int store_self(void *arg)
{
    *(uint64_t *)arg = weft_self();
    return 0;
}

FIBER_TEST(self_is_unique)
{
    uint64_t id[50];
    WEFT_SCOPE(s);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(weft_go(&s, store_self, &id[i]), 0);
    CHECK_EQ(weft_wait(&s), 0);
    for (int i = 0; i < 50; i++) {
        CHECK(id[i] != 0 && id[i] != weft_self());
        for (int k = 0; k < i; k++)
            CHECK(id[i] != id[k]);
    }
}

FIBER_TEST(pointer_is_passed_as_it_is)
{
    uint64_t id = 0;
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, store_self, &id), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK(id != 0);
}

struct big {
    char bytes[3000];
    int *sum;
};

static int sum_up(void *arg)
{
    struct big *b = arg;
    for (size_t i = 0; i < sizeof b->bytes; i++)
        *b->sum += b->bytes[i];
    return 0;
}

static int aligned64(void *arg)
{
    return (uintptr_t)arg % 64 ? -EFAULT : *(int *)arg - 5;
}

FIBER_TEST(copies_of_any_size_and_alignment)
{
    int sum = 0;
    struct {
        _Alignas(64) int n;
    } wide = {5};
    struct big b = {.sum = &sum};
    memset(b.bytes, 1, sizeof b.bytes);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go_copy(&s, sum_up, b), 0);
    memset(b.bytes, 2, sizeof b.bytes);
    CHECK_EQ(weft_go_copy(&s, aligned64, wide), 0);
    CHECK_EQ(weft_go_value(&s, sum_up, &b, sizeof b, 3), -EINVAL);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(sum, 3000);
    static char huge[1 << 20];
    CHECK_EQ(weft_go_value(NULL, sum_up, huge, sizeof huge, 1), -E2BIG);
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int check_name(void *arg)
{
    char name[64], labels[256];
    (void)arg;
    CHECK_EQ(weft_name(name, sizeof name), 6);
    CHECK_STR(name, "worker");
    weft__fiber_labels(weft__self(), labels, sizeof labels);
    CHECK_STR(labels, "tenant=7, route=/x");
    return 0;
}

static int use_stack(void *arg)
{
    volatile char big[600 << 10];
    (void)arg;
    for (size_t i = 0; i < sizeof big; i += 1024)
        big[i] = 1;
    return big[1024] - 1;
}

FIBER_TEST(options)
{
    weft_fiber_label labels[] = {{"route", "/x"}};
    CHECK_EQ(weft_label("tenant", "7"), 0);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go_opt(&s, check_name, NULL,
                 &(weft_fiber_opts){.size = sizeof(weft_fiber_opts),
                     .name = "worker",
                     .labels = labels,
                     .label_count = 1}),
        0);
    CHECK_EQ(weft_go_opt(&s, use_stack, NULL,
                 &(weft_fiber_opts){.size = sizeof(weft_fiber_opts), .stack_bytes = 1 << 20}),
        0);
    CHECK_EQ(weft_wait(&s), 0);
    int n = 5;
    CHECK_EQ(weft_go_opt(&s, aligned64, NULL,
                 &(weft_fiber_opts){.size = sizeof(weft_fiber_opts),
                     .value = &n,
                     .value_bytes = sizeof n,
                     .value_align = 64}),
        0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_go_opt(NULL, nothing, NULL, NULL), -EINVAL);
    CHECK_EQ(weft_go_opt(NULL, nothing, NULL, &(weft_fiber_opts){.size = 8}), -EINVAL);
    labels[0].key = "a=b";
    CHECK_EQ(weft_go_opt(NULL, nothing, NULL,
                 &(weft_fiber_opts){
                     .size = sizeof(weft_fiber_opts), .labels = labels, .label_count = 1}),
        -EINVAL);
}

FIBER_TEST(names_and_labels)
{
    char text[512], value[450];
    CHECK_EQ(weft_name(text, sizeof text), 0);
    CHECK_EQ(weft_set_name("first"), 0);
    CHECK_EQ(weft_name(text, 4), 5);
    CHECK_STR(text, "fir");
    CHECK_EQ(weft_set_name(NULL), 0);
    CHECK_EQ(weft_name(text, sizeof text), 0);
    CHECK_EQ(weft_label("a", "1"), 0);
    CHECK_EQ(weft_label("bb", "22"), 0);
    CHECK_EQ(weft_label("a", "333"), 0); /* replaced */
    weft__fiber_labels(weft__self(), text, sizeof text);
    CHECK_STR(text, "bb=22, a=333");
    CHECK_EQ(weft_label("bb", NULL), 0);
    weft__fiber_labels(weft__self(), text, sizeof text);
    CHECK_STR(text, "a=333");
    CHECK_EQ(weft__fiber_labels(weft__self(), text, 3), 5);
    CHECK_STR(text, "a=");
    CHECK_EQ(weft_label("", "x"), -EINVAL);
    CHECK_EQ(weft_label("x=", "x"), -EINVAL);
    memset(value, 'v', sizeof value);
    value[sizeof value - 1] = '\0';
    CHECK_EQ(weft_label("long", value), -ENOSPC);
    value[380] = '\0';
    CHECK_EQ(weft_label("long", value), 0);
    CHECK_EQ(weft_label("more", "0123456789"), -ENOSPC);
    CHECK_EQ(weft_label("long", NULL), 0);
    weft__fiber_labels(weft__self(), text, sizeof text);
    CHECK_STR(text, "a=333");
}

/* ---- sleeping ---- */

FIBER_TEST(C24_sleep_is_never_shorter)
{
    for (int i = 1; i < 8; i++) {
        int64_t d = i * 300 * WEFT_US, start = weft_now();
        CHECK_EQ(weft_sleep(d), 0);
        CHECK(weft_now() - start >= d);
        start = weft_now();
        CHECK_EQ(weft_sleep_until(start + d), 0);
        CHECK(weft_now() >= start + d);
    }
    CHECK_EQ(weft_sleep(0), 0);
    CHECK_EQ(weft_sleep(-WEFT_SEC), 0);
    CHECK_EQ(weft_sleep_until(0), 0);
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep(INT64_MAX);
}

FIBER_TEST(C24_sleep_of_the_largest_duration_does_not_fire)
{
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&s, sleep_for_ever, NULL), 0);
    CHECK_EQ(weft_sleep(20 * WEFT_MS), 0);
    CHECK_EQ(weft_scope_live(&s), 1);
}

static int block_the_thread(void *arg)
{
    struct timespec ts = {.tv_nsec = 20000000};
    (void)arg;
    weft_blocking_begin();
    nanosleep(&ts, NULL);
    weft_blocking_end();
    weft_yield();
    return 0;
}

FIBER_TEST(blocking_calls_do_not_stop_others)
{
    int64_t start = weft_now();
    int ticks = 0;
    WEFT_SCOPE(s);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_go(&s, block_the_thread, NULL), 0);
    while (weft_scope_live(&s)) {
        weft_sleep(WEFT_MS);
        ticks++;
    }
    CHECK_EQ(weft_wait(&s), 0);
    CHECK(ticks > 0);
    CHECK(weft_now() - start >= 20 * WEFT_MS);
}

static int inside_detached(void *arg)
{
    weft_chan_send(arg, "x");
    return -EIO; /* nobody looks at it */
}

FIBER_TEST(detached)
{
    weft_chan *c;
    CHECK_EQ(weft_chan_new(1, 0, &c), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_go(NULL, inside_detached, c), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_chan_recv(c, NULL), 1);
    weft_chan_free(c);
}

static void *start_detached(void *arg)
{
    CHECK_EQ(weft_self(), 0);
    weft_yield();
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_go(NULL, inside_detached, arg), 0);
    return NULL;
}

FIBER_TEST(a_plain_thread_starts_detached_fibers)
{
    weft_chan *c;
    pthread_t t;
    CHECK_EQ(weft_chan_new(1, 0, &c), 0);
    CHECK_EQ(pthread_create(&t, NULL, start_detached, c), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_chan_recv(c, NULL), 1);
    weft_blocking_begin();
    pthread_join(t, NULL);
    weft_blocking_end();
    weft_chan_free(c);
}

TEST(without_a_runtime_nothing_starts)
{
    CHECK_EQ(weft_go(NULL, nothing, NULL), -ESHUTDOWN);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, nothing, NULL), -ESHUTDOWN);
    CHECK_EQ(weft_wait(&s), -ESHUTDOWN);
}

/* ---- leaving ---- */

static void note_defer(void *arg)
{
    ++*(int *)arg;
}

static void exits(void *arg)
{
    WEFT_DEFER(note_defer, arg);
    weft_exit(-EDOM);
}

static void exits_deep(void *arg)
{
    WEFT_DEFER(note_defer, arg);
    {
        WEFT_DEFER(note_defer, arg);
        exits(arg);
    }
}

static int exit_entry(void *arg)
{
    exits_deep(arg);
    return 0;
}

FIBER_TEST(exit_runs_the_defers)
{
    int count = 0;
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&s, exit_entry, &count), 0);
    CHECK_EQ(weft_wait(&s), -EDOM);
    CHECK_EQ(count, 3);
}

static int exit_in_try(void *arg)
{
    weft_try(exit_entry, arg, NULL); /* an exit is not recovered */
    *(int *)arg = 1000;
    return 0;
}

FIBER_TEST(no_try_stops_an_exit)
{
    int count = 0;
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&s, exit_in_try, &count), 0);
    CHECK_EQ(weft_wait(&s), -EDOM);
    CHECK_EQ(count, 3);
}

static int first_exits(void *arg)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, sleep_for_ever, NULL), 0);
    exits_deep(arg);
    return 0;
}

TEST(exit_of_the_first_fiber_is_the_functions_end)
{
    int count = 0, result = 0;
    CHECK_EQ(weft_run(first_exits, &count, NULL, &result), 0);
    CHECK_EQ(result, -EDOM);
    CHECK_EQ(count, 3);
}

static void exit_on_a_thread(void)
{
    weft_exit(1);
}

TEST(exit_on_a_plain_thread_is_misuse)
{
    EXPECT_DEATH(exit_on_a_thread, "weft_exit on a plain thread");
}
