// SPDX-License-Identifier: Apache-2.0
/*
 * scratch.h - memory of one decode: a bump allocator that begins in the caller's buffer.
 *
 * Decoding a usual command needs no memory at all (strings are spans of the frame). Escaped
 * strings, lists and maps need some: it is cut from the caller's buffer (a few hundred bytes on the
 * stack or kept per shard), and from malloc'ed blocks only when that is full. One reset gives all
 * of it back.
 *
 *     buf  [ cut | cut | cut |    free    ]      blocks -> [ cut | cut ] -> NULL
 *           0                ^ used       ^ room
 *
 * One user at a time. reset is O(blocks); alloc is a few instructions, or one malloc.
 */
#ifndef CAST_PROTOCOL_SCRATCH_H
#define CAST_PROTOCOL_SCRATCH_H
#include <stddef.h>

struct cast_scratch_block;
struct cast_scratch {
    char *buf;   // current region: the caller's first, then the newest block's
    size_t used; // bytes cut from it
    size_t room; // its size
    char *first; // the caller's buffer, to return to
    size_t first_room;
    struct cast_scratch_block *blocks; // newest first
};

/**
 * cast_scratch_init - start with the caller's buffer.
 * @s:    caller's storage.
 * @buf:  borrowed until cast_scratch_fini; may be NULL with room 0.
 */
void cast_scratch_init(struct cast_scratch *s, void *buf, size_t room);

/**
 * cast_scratch_alloc - cut bytes, aligned for any object.
 * Returns the memory (uninitialised), or NULL when malloc fails.
 */
void *cast_scratch_alloc(struct cast_scratch *s, size_t bytes);

/** cast_scratch_reset - forget all cuts and free the blocks; the first buffer is used again. */
void cast_scratch_reset(struct cast_scratch *s);

/** cast_scratch_fini - reset, and let go of the caller's buffer. */
void cast_scratch_fini(struct cast_scratch *s);
#endif
