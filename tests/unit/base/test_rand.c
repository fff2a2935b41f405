// SPDX-License-Identifier: Apache-2.0
/* test_rand.c - where chance comes from: the process's seed, and what a generator makes of it. */
#include "base/rand.h"

#include "test.h"

TEST(the_seed_is_the_environments)
{
    CHECK_EQ(setenv("WEFT_SEED", "0x123456789", 1), 0);
    CHECK_EQ(weft__rand_seed(), 0x123456789);
    CHECK_EQ(setenv("WEFT_SEED", "77", 1), 0);
    CHECK_EQ(weft__rand_seed(), 0x123456789); /* it is chosen once */
}

TEST(a_seed_is_never_zero)
{
    CHECK_EQ(setenv("WEFT_SEED", "0", 1), 0);
    CHECK(weft__rand_seed() != 0);
}

TEST(without_the_environment_it_is_drawn)
{
    CHECK_EQ(unsetenv("WEFT_SEED"), 0);
    uint64_t seed = weft__rand_seed();
    CHECK(seed > 1); /* 1 is what no luck at all would give */
    CHECK_EQ(weft__rand_seed(), seed);
}

TEST(streams_differ_and_repeat)
{
    enum { STREAMS = 64 };
    uint64_t first[STREAMS];
    CHECK_EQ(setenv("WEFT_SEED", "5", 1), 0);
    for (uint64_t i = 0; i < STREAMS; i++) {
        struct weft__rand r, again;
        weft__rand_init(&r, i);
        weft__rand_init(&again, i);
        first[i] = weft__rand_next(&r);
        CHECK(first[i] != 0 && first[i] == weft__rand_next(&again));
        for (uint64_t k = 0; k < i; k++)
            CHECK(first[k] != first[i]);
        CHECK(weft__rand_below(&r, 3) < 3);
    }
}
