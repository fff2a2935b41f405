// SPDX-License-Identifier: Apache-2.0
/*
 * rig.h - runs a test's body as the first fiber, once for each number of workers.
 *
 *     FIBER_TEST(name) { ... }     makes the cases name_1, name_2 and name_8; the body runs on a
 *     fiber
 */
#ifndef WEFT_TESTS_CTX_RIG_H
#define WEFT_TESTS_CTX_RIG_H
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

#define FIBER_TEST(name)                                                                           \
    static void body_##name(void);                                                                 \
    static int entry_##name(void *arg)                                                             \
    {                                                                                              \
        (void)arg;                                                                                 \
        body_##name();                                                                             \
        return 0;                                                                                  \
    }                                                                                              \
    TEST(name##_1)                                                                                 \
    {                                                                                              \
        rig_run(1, entry_##name);                                                                  \
    }                                                                                              \
    TEST(name##_2)                                                                                 \
    {                                                                                              \
        rig_run(2, entry_##name);                                                                  \
    }                                                                                              \
    TEST(name##_8)                                                                                 \
    {                                                                                              \
        rig_run(8, entry_##name);                                                                  \
    }                                                                                              \
    static void body_##name(void)

/* Is the channel closed (1), or open and empty (0)? */
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
