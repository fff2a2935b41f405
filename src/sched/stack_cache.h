// SPDX-License-Identifier: Apache-2.0
/*
 * stack_cache.h - stacks taken from and given to a worker's cache: what each start and end of a
 * fiber does, inline; stack.c has the rest.
 *
 *     start   cached ── NULL ──> weft__stack_alloc      end   mark_free, keep
 *               │                      │                           └─ false ──> weft__stack_free
 *               └── fill in, mark_live ┘
 *
 * Concurrency: a cache is its owner's, as stack.h has it.
 */
#ifndef WEFT_SCHED_STACK_CACHE_H
#define WEFT_SCHED_STACK_CACHE_H
#include "sched/sched.h"
#include "sched/stack.h"

/** The highest usable address: just below the record. */
static inline void *weft__stack_top(struct weft__fiber *f)
{
    return (void *)((uintptr_t)f & ~(uintptr_t)15);
}

/** One from the cache, or NULL. As weft__stack_alloc leaves it. */
static inline struct weft__fiber *weft__stack_cached(struct weft__stack_cache *cache, unsigned c)
{
    struct weft__fiber *f = cache->head[c];
    if (__builtin_expect(f != NULL, 1)) {
        cache->head[c] = f->next;
        cache->count[c]--;
    }
    return f;
}

/** f's record is filled in, and others may read it from now on (K1). */
static inline void weft__stack_mark_live(struct weft__fiber *f)
{
    at_store_rel(f->live, (uint8_t)WEFT__SLOT_LIVE); /* [mo:live] */
}
static inline void weft__stack_mark_free(struct weft__fiber *f)
{
    at_store_rel(f->live, (uint8_t)WEFT__SLOT_FREE); /* [mo:live] */
}

/** Into the cache; false: it is full. */
static inline bool weft__stack_keep(struct weft__stack_cache *cache, struct weft__fiber *f)
{
    unsigned c = f->slot >> WEFT__SLOT_BITS;
    if (__builtin_expect(cache->count[c] >= weft__stack_cache_most[c], 0))
        return false;
    f->next = cache->head[c];
    cache->head[c] = f;
    cache->count[c]++;
    return true;
}
#endif
