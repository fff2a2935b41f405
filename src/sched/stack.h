// SPDX-License-Identifier: Apache-2.0
/*
 * stack.h - stacks of fibers, with the fiber's record at the top of each.
 *
 * A stack belongs to a size class; a class maps *chunks* of many stacks at once, so a million
 * guarded stacks are a few thousand mappings that the kernel merges into one. In each slot, from
 * low to high:
 *
 *     base                                                   top, 64-aligned
 *     | guard 5 pages | stack, grows down ....... | record | colour 0..1344 B |
 *                                                 ^ first sp
 *
 * Guards are MADV_GUARD_INSTALL where the kernel has it (Linux 6.13: no mapping is split), else
 * mprotect, whose number of mappings is limited by vm.max_map_count: at that limit the spawn fails
 * with -ENOMEM and says so once; a stack without a guard is never handed out.
 *
 * Fresh stacks are made ready some at a time (a class that has many takes 64): guards and first
 * pages by one system call each, outside the lock. While a class grows like that, a worker that
 * looks for work in vain makes some ready too, so that a burst of spawns has the kernel on two
 * cores; when it ends, up to 64 were made in vain. A slot whose guard failed is marked in its chunk
 * and tried again by a later spawn.
 *
 * Two things keep the hot lines of different slots apart. The colour does so within a page: records
 * do not fall into the same few L1 sets. And a slot is one page more than a power of two: at a
 * distance of 256 KiB the translations of all first pages would fall into two sets of the TLB and a
 * few of the caches, and a thousand fibers that take turns would miss at each. A free stack is,
 * in order of preference: in a worker's own list (hot pages, no lock), in the class's hot list, or
 * cold: pages given back to the kernel, and only its state in chunk->live says that it is there, so
 * that a burst of a million fibers keeps a byte of each. Hot lists are bounded, by number and
 * (large classes) by the memory that stacks used to their end could hold; and they decay: a busy
 * worker gives half of its list to the class each second, the class gives to the kernel what nobody
 * needed between two trims (shrink.c calls for both). Stacks of fibers that live are shrink.c's
 * matter.
 *
 * K1  A slot is live (its state in chunk->live, fiber->live, is WEFT__SLOT_LIVE) from
 *     weft__stack_mark_live to weft__stack_mark_free; only live slots' records may be read by
 *     others.
 * K2  The guard of a slot is installed before its first use and survives MADV_DONTNEED.
 * K3  A cold slot's memory is not touched until it is allocated again.
 * K4  A slot whose pages cold.c has put away is live; weft__stack_walk, which looks at all again
 *     and again, passes over it, all others do not.
 *
 * What a start and an end do with a stack that a cache has or takes is inline, in stack_cache.h.
 *
 * Concurrency: alloc, free and what else names a cache: the cache's owner only (the worker's
 * thread, or whoever has taken an idle worker), and, in batches, the class's lock (rank STACK).
 * Trim, walk and the others: any thread.
 */
#ifndef WEFT_SCHED_STACK_H
#define WEFT_SCHED_STACK_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct weft__fiber;

enum {
    WEFT__STACK_CLASSES = 6,
    WEFT__PAGE_BYTES = 4096, /* with larger ones a guard would cover its stack: weft_run refuses */
    WEFT__GUARD_BYTES = 5 * WEFT__PAGE_BYTES,
    WEFT__STACK_CACHE = 1024,
    WEFT__STACK_BATCH = 256,
    WEFT__SLOT_BITS = 25, /* fiber.slot = class << 25 | index within the class */
};

enum { WEFT__SLOT_FREE, WEFT__SLOT_LIVE }; /* a slot's states; stack.c has more */

/* One worker's hot free lists, LIFO through fiber->next. */
struct weft__stack_cache {
    struct weft__fiber *head[WEFT__STACK_CLASSES];
    unsigned count[WEFT__STACK_CLASSES];
};

/** How many stacks of a class one cache keeps. */
extern const uint16_t weft__stack_cache_most[WEFT__STACK_CLASSES];

/** The class for stacks of at least so many bytes; WEFT__STACK_CLASSES: over 64 MiB. */
unsigned weft__stack_class(size_t stack_bytes);
/** A stack of class c, where the cache has none. cache may be NULL (a plain thread). 0 and the
 * record (only slot, live, stack_low set; the rest undefined). -ENOMEM. */
int weft__stack_alloc(struct weft__stack_cache *cache, unsigned c, struct weft__fiber **ret_fiber);
/** Takes back one, marked free already, that the cache has no room for. */
void weft__stack_free(struct weft__stack_cache *cache, struct weft__fiber *f);
/** Makes a few fresh stacks ready if a class has asked for it; false: none has. For a worker with
 * nothing else to do: up to 40 us in the kernel. */
bool weft__stack_prepare(void);
/** The record of this slot (fiber.slot), a live one, is or is no more out of its place: cold.h. */
void weft__stack_mark_away(uint32_t slot, bool away);
/** Gives a whole cache to the classes' lists (a worker ends, or has been idle for long). */
void weft__stack_cache_flush(struct weft__stack_cache *cache);
/** Gives half of what is in the cache to the classes, down to a few. */
void weft__stack_cache_trim(struct weft__stack_cache *cache);
/** Gives to the kernel what lay in the classes' hot lists all the time since the last trim. */
void weft__stack_trim(void);
/** All chunks there are; `fresh` is false. */
typedef void weft__chunk_fn(char *base, size_t slot_bytes, uint32_t slots, bool fresh);
void weft__stack_chunks_each(weft__chunk_fn *fn);
/** Visits live stacks that are not away, from *at on (0: the first), for so many units of work: a
 * live one takes 16, any other slot 1. False: that was the last, and *at is 0 again. */
bool weft__stack_walk(
    uint64_t *at, unsigned units, void (*fn)(struct weft__fiber *f, void *arg), void *arg);
size_t weft__stack_bytes(const struct weft__fiber *f);
void weft__stack_each(bool (*fn)(struct weft__fiber *f, void *arg), void *arg);
/** The live fiber whose slot holds addr, guard included; NULL if none. Async-signal-safe.
 * *ret_guard: addr is in the guard. */
struct weft__fiber *weft__stack_find(uintptr_t addr, bool *ret_guard);
/** Bytes of stacks in use (virtual) and slots ever made. */
void weft__stack_stats(uint64_t *ret_live_bytes, uint64_t *ret_slots);
#endif
