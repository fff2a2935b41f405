// SPDX-License-Identifier: Apache-2.0
/*
 * latency.c - quantiles of a histogram (latency.h).
 */
#include "bench/latency.h"

/* The largest value that falls into a bucket. */
static uint64_t bucket_end(size_t i)
{
    size_t shift = i >> LATENCY_SUB_BITS;
    if (shift < 2)
        return i;
    shift--; // bucket = (shift << SUB) + (value >> shift), with value >> shift in 64 .. 127
    uint64_t head = i - (shift << LATENCY_SUB_BITS);
    return ((head + 1) << shift) - 1;
}

uint64_t latency_quantile(const struct latency *l, double q)
{
    uint64_t rank = (uint64_t)(q * (double)l->count), seen = 0;
    if (l->count == 0)
        return 0;
    if ((double)rank < q * (double)l->count)
        rank++;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++) {
        seen += l->bucket[i];
        if (seen >= rank && seen > 0)
            return bucket_end(i) < l->max_ns ? bucket_end(i) : l->max_ns;
    }
    return l->max_ns;
}

void latency_merge(struct latency *into, const struct latency *from)
{
    into->count += from->count;
    if (from->max_ns > into->max_ns)
        into->max_ns = from->max_ns;
    for (size_t i = 0; i < LATENCY_BUCKETS; i++)
        into->bucket[i] += from->bucket[i];
}
