// SPDX-License-Identifier: Apache-2.0
/*
 * test_flight.c - single flight: one works, the others share its result; forgetting, cancellation,
 * panics, misuse. On 1, 2 and 8 workers.
 */
#include <weft/error.h>
#include <weft/flight.h>
#include <weft/panic.h>

#include "sync_test.h"

/* ---- single flight ---- */

struct flights {
    weft_flight fl;
    _Atomic int calls, done, shared, go_on;
    struct fake_ctx ctx;
    int rc;
};

static int load(void *arg, void *ret_result)
{
    struct flights *x = arg;
    at_add(&x->calls, 1);
    until(&x->go_on, 1);
    *(long *)ret_result = 42;
    return 7;
}

static int flier(void *p)
{
    struct flights *x = p;
    long result = 0;
    bool shared = false;
    CHECK_EQ(weft_flight_do(&x->fl, "key", 3, load, x, &result, sizeof result, &shared), 7);
    CHECK_EQ(result, 42);
    at_add(&x->shared, shared);
    at_add(&x->done, 1);
    return 0;
}

static int cancelled_flier(void *p)
{
    struct flights *x = p;
    long result = 5;
    under(&x->ctx);
    x->rc = weft_flight_do(&x->fl, "key", 3, load, x, &result, sizeof result, NULL);
    CHECK_EQ(result, 5);
    at_add(&x->done, 1);
    return 0;
}

static int other_key(void *arg, void *ret_result)
{
    (void)ret_result;
    return *(int *)arg;
}

static int flight_shares(void *arg)
{
    struct flights x = {.fl = WEFT_FLIGHT_INIT};
    int minus = -EIO;
    go(flier, &x);
    until(&x.calls, 1);
    for (int i = 0; i < 9; i++)
        until_parked(go(flier, &x), WEFT__WAIT_FLIGHT);
    struct weft__fiber *f = go(cancelled_flier, &x);
    until_parked(f, WEFT__WAIT_FLIGHT);
    cancel(f, &x.ctx, -ETIMEDOUT);
    until(&x.done, 1);
    CHECK_EQ(x.rc, -ETIMEDOUT);
    CHECK_EQ(weft_flight_do(&x.fl, "kez", 3, other_key, &minus, NULL, 0, NULL), -EIO);
    at_store(&x.go_on, 1);
    until(&x.done, 11);
    CHECK_EQ(at_load(&x.calls), 1);
    CHECK_EQ(at_load(&x.shared), 10);
    flier(&x); /* nothing is kept: the work is done anew */
    CHECK_EQ(at_load(&x.calls), 2);
    CHECK_EQ(at_load(&x.shared), 10);
    return 0;
}

TEST(flight_shares)
{
    ON_WORKERS(flight_shares);
}

static int flight_forget(void *arg)
{
    struct flights x = {.fl = WEFT_FLIGHT_INIT};
    go(flier, &x);
    until(&x.calls, 1);
    weft_flight_forget(&x.fl, "key", 3);
    weft_flight_forget(&x.fl, "key", 3);
    go(flier, &x);
    until(&x.calls, 2);
    at_store(&x.go_on, 1);
    until(&x.done, 2);
    CHECK_EQ(at_load(&x.shared), 0);
    return 0;
}

TEST(flight_forget)
{
    ON_WORKERS(flight_forget);
}

static int panicking_load(void *arg, void *ret_result)
{
    struct flights *x = arg;
    (void)ret_result;
    at_add(&x->calls, 1);
    until(&x->go_on, 1);
    weft_panic("load failed");
}

static int fly_panicking(void *p)
{
    struct flights *x = p;
    return weft_flight_do(&x->fl, "key", 3, panicking_load, x, NULL, 0, NULL);
}

static int panicking_leader(void *p)
{
    struct flights *x = p;
    CHECK_EQ(weft_try(fly_panicking, x, NULL), -WEFT_EPANIC);
    at_add(&x->done, 1);
    return 0;
}

static int panicking_follower(void *p)
{
    struct flights *x = p;
    CHECK_EQ(fly_panicking(x), -EOWNERDEAD);
    at_add(&x->done, 1);
    return 0;
}

static int flight_panic(void *arg)
{
    struct flights x = {.fl = WEFT_FLIGHT_INIT};
    go(panicking_leader, &x);
    until(&x.calls, 1);
    until_parked(go(panicking_follower, &x), WEFT__WAIT_FLIGHT);
    at_store(&x.go_on, 1);
    until(&x.done, 2);
    return 0;
}

TEST(flight_panic)
{
    ON_WORKERS(flight_panic);
}

static int inner(void *arg, void *ret_result)
{
    (void)ret_result;
    return weft_flight_do(arg, "key", 3, inner, arg, NULL, 0, NULL);
}

static void flight_in_itself(void)
{
    weft_flight fl = WEFT_FLIGHT_NAMED("loads");
    weft_flight_do(&fl, "key", 3, inner, &fl, NULL, 0, NULL);
}

TEST(flight_misuse)
{
    EXPECT_DEATH(
        flight_in_itself, "call from within the work for the same key of flight \"loads\"");
}
