// SPDX-License-Identifier: Apache-2.0
/*
 * failing_malloc.h - the allocator of a whole test program, with an allocation that fails on
 * demand, and a count of the blocks that are out.
 *
 * malloc, calloc, realloc and free themselves are replaced (failing_malloc.c), so that libraries
 * see the failures too; not built with sanitizers, which bring allocators of their own. One thread
 * allocates at a time.
 */
#ifndef WEFT_TESTS_FAILING_MALLOC_H
#define WEFT_TESTS_FAILING_MALLOC_H
#include <stdbool.h>
#include <stddef.h>

/** The n-th allocation from now on fails (0: the next one), and the ones after it do not. */
void malloc_fail_at(long n);
/** Ends that. True: the n-th was reached, and failed. */
bool malloc_fail_end(void);
/** Blocks allocated and not freed. */
long malloc_live(void);
/** As malloc, but is never the one that fails. */
void *malloc_spared(size_t bytes);
#endif
