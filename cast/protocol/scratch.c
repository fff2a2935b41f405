// SPDX-License-Identifier: Apache-2.0
/*
 * scratch.c - the bump allocator of one decode (scratch.h).
 *
 * A block is a header followed by its room. When the current region cannot hold a cut, a block of
 * at least twice the last room is made, so a decode of n bytes makes O(log n) blocks; what was left
 * of the old region is given up until the reset.
 *
 * Invariant S1: used <= room. Cuts are multiples of the largest alignment, counted from an aligned
 * start, so every cut is aligned.
 */
#include "protocol/scratch.h"
#include <stdint.h>
#include <stdlib.h>

enum { BLOCK_MIN_BYTES = 1024, CUT_ALIGN = _Alignof(max_align_t) };

struct cast_scratch_block {
    struct cast_scratch_block *next;
    _Alignas(max_align_t) char room[];
};

void cast_scratch_init(struct cast_scratch *s, void *buf, size_t room)
{
    size_t skew = buf ? (size_t)(-(uintptr_t)buf & (CUT_ALIGN - 1)) : 0;
    if (!buf || room < skew)
        skew = room = 0;
    *s = (struct cast_scratch){.first = buf ? (char *)buf + skew : NULL, .first_room = room - skew};
    s->buf = s->first;
    s->room = s->first_room;
}

static void *alloc_block(struct cast_scratch *s, size_t bytes)
{
    size_t room = s->room * 2 < BLOCK_MIN_BYTES ? BLOCK_MIN_BYTES : s->room * 2;
    if (room < bytes)
        room = bytes;
    if (room > SIZE_MAX - sizeof(struct cast_scratch_block))
        return NULL;
    struct cast_scratch_block *b = malloc(sizeof(*b) + room);
    if (!b)
        return NULL;
    b->next = s->blocks;
    s->blocks = b;
    s->buf = b->room;
    s->room = room;
    s->used = bytes;
    return b->room;
}

void *cast_scratch_alloc(struct cast_scratch *s, size_t bytes)
{
    if (bytes > SIZE_MAX - CUT_ALIGN)
        return NULL;
    bytes = (bytes + CUT_ALIGN - 1) & ~(size_t)(CUT_ALIGN - 1);
    if (s->room - s->used < bytes)
        return alloc_block(s, bytes);
    void *p = s->buf + s->used;
    s->used += bytes;
    return p;
}

void cast_scratch_reset(struct cast_scratch *s)
{
    while (s->blocks) {
        struct cast_scratch_block *next = s->blocks->next;
        free(s->blocks);
        s->blocks = next;
    }
    s->buf = s->first;
    s->room = s->first_room;
    s->used = 0;
}

void cast_scratch_fini(struct cast_scratch *s)
{
    cast_scratch_reset(s);
    *s = (struct cast_scratch){0};
}
