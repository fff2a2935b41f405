// SPDX-License-Identifier: Apache-2.0
/*
 * test_race_ctx.c - what starts, joins and ends order, judged by ThreadSanitizer (the build for
 * fibers only); the sync kit's half is in test_race.c.
 *
 * An `ordered_` case touches plain memory from two fibers with an operation between that must order
 * them, and must pass; its `racing_` twin leaves it out, or uses one that orders nothing,
 * and must be reported. The order in time is forced by relaxed atomics, which order nothing in
 * TSan's eyes. The context's error itself (weft_ctx_err) does order, as an atomic flag would.
 */
#include "rig.h"

static int x;
static weft_ctx *ctx;
static _Atomic int step;

static void signal_step(int n)
{
    atomic_store_explicit(&step, n, memory_order_relaxed);
}

/* Not instrumented: on a busy machine it goes round so often that ThreadSanitizer's history of this
 * fiber would be full of it, and a race whose first access is no longer in the history is not
 * reported. */
__attribute__((no_sanitize("thread"))) static void await_step(int n)
{
    while (atomic_load_explicit(&step, memory_order_relaxed) < n)
        weft_yield();
}

static int app_of(void (*body)(void))
{
    body();
    return 0;
}

#define CASE(name) static void name(void)
#define APP(name)                                                                                  \
    static void name(void);                                                                        \
    static int name##_app(void *arg)                                                               \
    {                                                                                              \
        (void)arg;                                                                                 \
        return app_of(name);                                                                       \
    }
#define ORDERED(name)                                                                              \
    APP(name)                                                                                      \
    TEST(ordered_##name)                                                                           \
    {                                                                                              \
        rig_run(1, name##_app);                                                                    \
        signal_step(0);                                                                            \
        rig_run(2, name##_app);                                                                    \
    }                                                                                              \
    CASE(name)
#define RACING(name)                                                                               \
    APP(name)                                                                                      \
    static void name##_run(void)                                                                   \
    {                                                                                              \
        unsetenv("WEFT_WORKERS"); /* accesses at the same instant can escape TSan */               \
        rig_run(1, name##_app);                                                                    \
    }                                                                                              \
    TEST(racing_##name)                                                                            \
    {                                                                                              \
        EXPECT_DEATH(name##_run, "data race");                                                     \
    }                                                                                              \
    CASE(name)

/* ---- starting ---- */

static int reads_x(void *arg)
{
    (void)arg;
    return x == 1 ? 0 : -EINVAL;
}

static int writes_x(void *arg)
{
    (void)arg;
    x = 2;
    signal_step(1);
    return 0;
}

ORDERED(go)
{
    WEFT_SCOPE(s);
    x = 1;
    CHECK_EQ(weft_go(&s, reads_x, NULL), 0);
    CHECK_EQ(weft_wait(&s), 0);
}

RACING(go_then_write)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, writes_x, NULL), 0);
    x = 1;
    await_step(1);
    weft_wait(&s);
}

RACING(siblings)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, writes_x, NULL), 0);
    CHECK_EQ(weft_go(&s, writes_x, NULL), 0);
    weft_wait(&s);
}

/* ---- joining ---- */

ORDERED(join)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, writes_x, NULL), 0);
    CHECK_EQ(weft_wait(&s), 0);
    x = 1;
}

ORDERED(join_of_the_late)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, writes_x, NULL), 0);
    await_step(1);
    for (int i = 0; i < 10; i++)
        weft_yield();
    CHECK_EQ(weft_wait(&s), 0);
    x = 1;
}

RACING(no_join)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, writes_x, NULL), 0);
    await_step(1);
    x = 1;
    weft_wait(&s);
}

RACING(live_count)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, writes_x, NULL), 0);
    while (weft_scope_live(&s) > 0)
        weft_yield();
    await_step(1);
    x = 1;
    weft_wait(&s);
}

/* ---- ending ---- */

static int ends_ctx(void *arg)
{
    (void)arg;
    x = 1;
    weft_ctx_cancel(ctx);
    signal_step(1);
    return 0;
}

static void with_ender(void (*wait)(void))
{
    WEFT_SCOPE(s);
    ctx = weft_ctx_with_cancel(weft_ctx_background());
    CHECK_EQ(weft_go(&s, ends_ctx, NULL), 0);
    wait();
    x = 2;
    weft_wait(&s);
    weft_ctx_free(ctx);
}

static void wait_for_err(void)
{
    while (weft_ctx_err(ctx) == 0)
        weft_yield();
}

static void wait_for_done(void)
{
    CHECK_EQ(weft_chan_recv(weft_ctx_done(ctx), NULL), 0);
}

static void sleep_under(void)
{
    WEFT_WITH(w, ctx);
    CHECK_EQ(weft_sleep(100 * WEFT_SEC), -ECANCELED);
}

static void wait_for_step(void)
{
    await_step(1);
}

ORDERED(end_seen_by_err)
{
    with_ender(wait_for_err);
}

ORDERED(end_seen_by_done)
{
    with_ender(wait_for_done);
}

ORDERED(end_seen_by_a_sleeper)
{
    with_ender(sleep_under);
}

RACING(end_not_seen)
{
    with_ender(wait_for_step);
}

static void afterwards(void *arg)
{
    (void)arg;
    x = x == 1 ? 2 : 3;
    signal_step(2);
}

ORDERED(after_func)
{
    ctx = weft_ctx_with_cancel(weft_ctx_background());
    x = 1;
    CHECK_EQ(weft_ctx_after_func(ctx, afterwards, NULL, NULL), 0);
    weft_ctx_cancel(ctx);
    await_step(2);
    weft_ctx_free(ctx);
}

RACING(after_func_not_waited_for)
{
    ctx = weft_ctx_with_cancel(weft_ctx_background());
    CHECK_EQ(weft_ctx_after_func(ctx, afterwards, NULL, NULL), 0);
    weft_ctx_cancel(ctx);
    await_step(2);
    x = 1;
    weft_ctx_free(ctx);
}

/* ---- time ---- */

static int sleeps_and_writes(void *arg)
{
    (void)arg;
    weft_sleep(WEFT_MS);
    x = 2;
    signal_step(1);
    return 0;
}

RACING(sleep_orders_nothing)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, sleeps_and_writes, NULL), 0);
    x = 1;
    weft_sleep(20 * WEFT_MS);
    await_step(1);
    x = 3;
    weft_wait(&s);
}

static weft_sema fired;

static void bumps_x(void *arg)
{
    (void)arg;
    x++;
    weft_sema_release(&fired, 1);
}

static void bumps_x_and_tells(void *arg)
{
    (void)arg;
    x++;
    atomic_fetch_add_explicit(&step, 1, memory_order_relaxed);
    await_step(2); /* both are there at once: what ends may leave its record to the next */
}

ORDERED(timer_func)
{
    weft_sema_init(&fired, 0, NULL);
    x = 1;
    weft_timer *t = weft_timer_func(0, bumps_x, NULL);
    CHECK(t);
    CHECK_EQ(weft_sema_acquire(&fired, 1), 0);
    x = 3;
    weft_timer_free(t);
}

static weft_chan *told;

static void bumps_x_and_sends(void *arg)
{
    (void)arg;
    x++;
    weft_chan_send(told, NULL);
}

ORDERED(timer_func_then_receive)
{
    CHECK_EQ(weft_chan_new(0, 1, &told), 0);
    x = 1;
    weft_timer *t = weft_timer_func(WEFT_US, bumps_x_and_sends, NULL);
    CHECK(t);
    CHECK_EQ(weft_chan_recv(told, NULL), 1);
    x = 3;
    weft_timer_free(t);
    weft_chan_free(told);
}

RACING(two_timer_funcs)
{
    weft_timer *a = weft_timer_func(0, bumps_x_and_tells, NULL);
    await_step(1);
    weft_timer *b = weft_timer_func(0, bumps_x_and_tells, NULL);
    await_step(2);
    weft_timer_free(a);
    weft_timer_free(b);
}

/* ---- a whole run ---- */

static int writes_in_a_run(void *arg)
{
    (void)arg;
    x = 2;
    return 0;
}

TEST(ordered_run)
{
    int result = -1;
    x = 1;
    CHECK_EQ(weft_run(writes_in_a_run, NULL, NULL, &result), 0);
    x = 3;
    CHECK_EQ(result, 0);
}
