// SPDX-License-Identifier: Apache-2.0
/*
 * cold_store.h - where cold stacks (cold.h) keep what was on them: small blocks, packed words.
 *
 * A parked fiber has some hundred live bytes, most of them zeros and the upper halves of pointers.
 * They are kept word by word: a mask of the bytes that are not zero, then those bytes; a run of
 * zero words is a zero and its length. So a word costs one byte to nine, a pointer seven, and both
 * directions are a loop of some lines that a debugger can do too (tools/gdb/weft-gdb.py does).
 * Rejected, without a measurement: a compressing library. It wants memory of its own, and the
 * debugger's script would need it too.
 *
 *      region, 4 MiB, aligned:   | slab 0: struct slab [64] | slab 1 | slab 2 | ... | slab 63 |
 *      slab, 64 KiB:             | block | block | ... of one size |
 *
 * O1  Nothing here calls malloc, and giving a block back never allocates: whoever brings a stack
 *     back must wait for nobody.
 * O2  A block's address and bytes do not change from alloc to free.
 *
 * Concurrency: blocks under the caller's lock; packing anywhere. Memory of a slab without blocks
 * goes back to the kernel, but for one of each size; address space stays.
 */
#ifndef WEFT_SCHED_COLD_STORE_H
#define WEFT_SCHED_COLD_STORE_H
#include <stddef.h>
#include <stdint.h>

/** The most that bytes (a multiple of 8) take when packed. */
#define WEFT__PACKED_MAX(bytes) ((bytes) / 8 * 9)
/** Packs bytes (a multiple of 8) at from into code; how many bytes that took. */
size_t weft__pack(const void *from, size_t bytes, uint8_t *code);
/** Unpacks code_bytes of code to `to`; how many bytes those were. */
size_t weft__unpack(const uint8_t *code, size_t code_bytes, void *to);

/** A block of at least bytes (at most WEFT__STORE_MAX), 16-aligned; NULL: no memory. */
void *weft__store_alloc(size_t bytes);
void weft__store_free(void *block);
/** Bytes in blocks that are in use. */
size_t weft__store_bytes(void);
enum { WEFT__STORE_MAX = 32 << 10 };
#endif
