// SPDX-License-Identifier: Apache-2.0
/*
 * rand.h - the seam for randomness: small, fast, seedable; one state a worker or thread, never
 * shared.
 *
 * xorshift64*: one multiply a number, period 2^64 - 1. The seed of a run is WEFT_SEED where set, so
 * that a failure's choices (select order, steal victims) can be asked for again. Not for secrets.
 */
#ifndef WEFT_BASE_RAND_H
#define WEFT_BASE_RAND_H
#include <stdint.h>

struct weft__rand {
    uint64_t state; /* never 0 */
};

/** The process's seed: WEFT_SEED, else from the kernel; fixed at the first call. */
uint64_t weft__rand_seed(void);

static inline uint64_t weft__rand_next(struct weft__rand *r)
{
    uint64_t x = r->state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    r->state = x;
    return x * 0x2545f4914f6cdd1dULL;
}

static inline void weft__rand_init(struct weft__rand *r, uint64_t stream)
{
    r->state = weft__rand_seed() ^ (stream * 0x9e3779b97f4a7c15ULL);
    if (r->state == 0)
        r->state = 0x9e3779b97f4a7c15ULL;
    weft__rand_next(r);
}

/** Uniform enough for choices: 0 <= result < bound, bound > 0. */
static inline uint32_t weft__rand_below(struct weft__rand *r, uint32_t bound)
{
    return (uint32_t)(((weft__rand_next(r) >> 32) * bound) >> 32);
}
#endif
