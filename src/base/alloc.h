// SPDX-License-Identifier: Apache-2.0
/*
 * alloc.h - the one door to the heap, so that an embedder can put an allocator of its own behind
 * it, and so that tests can fail the n-th allocation.
 *
 * A1  Never call these between weft__enter and weft__leave, nor from a timer callback: a fiber that
 *     the monitor has stopped may hold the allocator's lock, and a worker that waits for that lock
 *     inside the runtime can never be retaken. What must be freed in there goes on a list and is
 *     freed later (the graveyard in ctx/context.c).
 * A2  Sizes are bytes, results are aligned as malloc's are; NULL: no memory.
 *
 * Concurrency: any thread. The allocator may be replaced only before the first allocation
 * (weft_set_allocator).
 */
#ifndef WEFT_BASE_ALLOC_H
#define WEFT_BASE_ALLOC_H
#include <stddef.h>

void *weft__alloc(size_t bytes);
void *weft__zalloc(size_t bytes);
void *weft__realloc(void *p, size_t bytes);
char *weft__strdup(const char *s);
void weft__free(void *p);
#endif
