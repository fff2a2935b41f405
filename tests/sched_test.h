// SPDX-License-Identifier: Apache-2.0
/*
 * sched_test.h - what tests below the public face ask of the scheduler over and over: a fiber's
 * sleep, and what the stacks put away amount to. From fibers.
 */
#ifndef WEFT_TESTS_SCHED_TEST_H
#define WEFT_TESTS_SCHED_TEST_H
#include "base/futex.h"
#include "sched/cold.h"
#include "sched/sched.h"
#include "test.h"

/* Lets others run for so long. The fiber has no context that could end it. */
static inline void nap(int64_t ns)
{
    weft__enter();
    int rc = weft__sleep_until(weft__clock_ns() + ns, NULL);
    weft__leave();
    CHECK_EQ(rc, 0);
}

static inline struct weft__cold_counts cold_counts(void)
{
    struct weft__cold_counts c;
    weft__enter();
    weft__cold_count(&c);
    weft__leave();
    return c;
}
#endif
