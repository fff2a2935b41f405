// SPDX-License-Identifier: Apache-2.0
/*
 * latency.h - a histogram of durations with constant relative error.
 *
 *     value (ns)   0 .. 127      one bucket each
 *                  2^k .. 2^k+1  64 buckets of 2^(k-6) each, for k = 7 .. 40
 *
 * So a quantile is right within 1/64 (1.6%), from nanoseconds to half an hour; longer times count
 * in the last bucket (the maximum is kept exactly). Recording is a shift and an increment. A
 * histogram belongs to one thread; those of several are merged at the end.
 */
#ifndef CAST_BENCH_LATENCY_H
#define CAST_BENCH_LATENCY_H
#include <stddef.h>
#include <stdint.h>

enum { LATENCY_SUB_BITS = 6, LATENCY_TOP_BIT = 40 };
#define LATENCY_BUCKETS ((size_t)(LATENCY_TOP_BIT - LATENCY_SUB_BITS + 2) << LATENCY_SUB_BITS)

struct latency {
    uint64_t count, max_ns;
    uint64_t bucket[LATENCY_BUCKETS];
};

/** latency_bucket - the bucket of a value. */
static inline size_t latency_bucket(uint64_t ns)
{
    if (ns >> (LATENCY_TOP_BIT + 1))
        return LATENCY_BUCKETS - 1;
    if (ns < (2u << LATENCY_SUB_BITS))
        return (size_t)ns;
    unsigned shift = 63u - (unsigned)__builtin_clzll(ns) - LATENCY_SUB_BITS;
    return ((size_t)shift << LATENCY_SUB_BITS) + (size_t)(ns >> shift);
}

/** latency_record - count one duration; a negative one (clocks of two threads) counts as 0. */
static inline void latency_record(struct latency *l, int64_t ns)
{
    uint64_t v = ns < 0 ? 0 : (uint64_t)ns;
    l->count++;
    if (v > l->max_ns)
        l->max_ns = v;
    l->bucket[latency_bucket(v)]++;
}

/** latency_quantile - the smallest value that at least q (0 to 1) of all do not exceed, rounded up
 * to its bucket's end and never above the maximum; 0 without values. */
uint64_t latency_quantile(const struct latency *l, double q);

/** latency_merge - add what `from` counted to `into`. */
void latency_merge(struct latency *into, const struct latency *from);
#endif
