// SPDX-License-Identifier: Apache-2.0
/*
 * rig.h - runs a test's body as the first fiber of a run, once for each number of workers: one, so
 * that everything takes turns; two, as most machines of the tests have; eight, more than that.
 *
 *     FIBER_TEST(name) { ... }     makes the cases name_1, name_2 and name_8
 *     NET_TEST(name) { ... }       name_1 and name_2: where the kernel's sockets are what takes
 *     turns
 */
#ifndef WEFT_TESTS_RIG_H
#define WEFT_TESTS_RIG_H
#include <errno.h>
#include <stdatomic.h>

#include <weft/weft.h>

#include "test.h"

static inline void rig_run(unsigned workers, int (*body)(void *))
{
    weft_run_opts o = {.size = sizeof o, .workers = workers, .drain_ns = 20 * WEFT_SEC};
    int result = -1;
    CHECK_EQ(weft_run(body, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

#define RIG_CASE(name, workers)                                                                    \
    TEST(name##_##workers)                                                                         \
    {                                                                                              \
        rig_run(workers, entry_##name);                                                            \
    }
#define NET_TEST(name)                                                                             \
    static void body_##name(void);                                                                 \
    static int entry_##name(void *arg)                                                             \
    {                                                                                              \
        (void)arg;                                                                                 \
        body_##name();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    RIG_CASE(name, 1)                                                                              \
    RIG_CASE(name, 2)                                                                              \
    static void body_##name(void)
#define FIBER_TEST(name)                                                                           \
    static int entry_##name(void *arg);                                                            \
    RIG_CASE(name, 8)                                                                              \
    NET_TEST(name)

/* Is the context's channel closed (1), or open and empty (0)? */
static inline int is_done(weft_ctx *c)
{
    int rc = weft_chan_try_recv(weft_ctx_done(c), NULL);
    CHECK(rc == 0 || rc == -EAGAIN);
    return rc == 0;
}

/* A small generator of choices from the run's seed. */
static inline uint32_t rig_random(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}
#endif
