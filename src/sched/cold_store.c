// SPDX-License-Identifier: Apache-2.0
/* cold_store.c - packed words and the blocks they lie in; cold_store.h has the picture. */
#include "sched/cold_store.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/atomic.h"
#include "base/fatal.h"
#include "base/futex.h"

enum {
    SLAB_BYTES = 64 << 10,
    REGION_BYTES = 4 << 20,
    SLABS = REGION_BYTES / SLAB_BYTES,
    UNIT = 16, /* free blocks are linked by offsets in units, 0: none */
    FINE = 512,
    MIDDLE = 2048, /* steps of 16 B up to FINE, 64 B up to MIDDLE, 512 B beyond */
    FINE_SIZES = FINE / 16,
    MIDDLE_SIZES = FINE_SIZES + (MIDDLE - FINE) / 64,
    SIZES = MIDDLE_SIZES + (WEFT__STORE_MAX - MIDDLE) / 512,
};

struct slab {
    struct slab *next, *prev; /* those of its size with a free block; or of the empty ones */
    uint32_t free_unit;       /* the first free block that was used before */
    uint32_t fresh;           /* where the never used ones begin */
    uint16_t used;
    uint16_t size; /* index of the size */
};

static struct {
    struct slab *partial[SIZES];
    struct slab *empty;
    _Atomic size_t bytes; /* read without the lock */
} store;

size_t weft__pack(const void *from, size_t bytes, uint8_t *code)
{
    const uint64_t *word = from, *end = word + bytes / 8;
    uint8_t *out = code;
    while (word < end) {
        uint64_t w = *word++;
        if (w == 0) {
            uint8_t run = 1;
            for (; word < end && *word == 0 && run < UINT8_MAX; word++)
                run++;
            *out++ = 0;
            *out++ = run;
            continue;
        }
        uint8_t *mask = out++;
        *mask = 0;
        for (unsigned i = 0; w; i++, w >>= 8) {
            if (!(w & 0xff))
                continue;
            *mask |= (uint8_t)(1u << i);
            *out++ = (uint8_t)w;
        }
    }
    return (size_t)(out - code);
}

size_t weft__unpack(const uint8_t *code, size_t code_bytes, void *to)
{
    const uint8_t *end = code + code_bytes;
    uint64_t *word = to;
    while (code < end) {
        unsigned mask = *code++;
        if (mask == 0) {
            for (unsigned run = *code++; run > 0; run--)
                *word++ = 0;
            continue;
        }
        uint64_t w = 0;
        for (unsigned i = 0; mask >> i; i++)
            if (mask >> i & 1)
                w |= (uint64_t)*code++ << (8 * i);
        *word++ = w;
    }
    return (size_t)((char *)word - (char *)to);
}

static unsigned size_of(size_t bytes)
{
    if (bytes <= FINE)
        return (unsigned)((bytes + 15) / 16 - 1);
    if (bytes <= MIDDLE)
        return (unsigned)(FINE_SIZES + (bytes - FINE + 63) / 64 - 1);
    return (unsigned)(MIDDLE_SIZES + (bytes - MIDDLE + 511) / 512 - 1);
}

static uint32_t bytes_of(unsigned size)
{
    if (size < FINE_SIZES)
        return (size + 1) * 16;
    if (size < MIDDLE_SIZES)
        return FINE + (size - FINE_SIZES + 1) * 64;
    return MIDDLE + (size - MIDDLE_SIZES + 1) * 512;
}

static void link_in(struct slab **list, struct slab *s)
{
    s->prev = NULL;
    s->next = *list;
    if (s->next)
        s->next->prev = s;
    *list = s;
}

static void link_out(struct slab **list, struct slab *s)
{
    if (s->prev)
        s->prev->next = s->next;
    else
        *list = s->next;
    if (s->next)
        s->next->prev = s->prev;
}

static char *memory_of(const struct slab *s)
{
    uintptr_t region = (uintptr_t)s & ~(uintptr_t)(REGION_BYTES - 1);
    size_t index = (size_t)(s - (struct slab *)region);
    return (char *)region + index * SLAB_BYTES;
}

static struct slab *slab_of(const void *block)
{
    uintptr_t at = (uintptr_t)block, region = at & ~(uintptr_t)(REGION_BYTES - 1);
    return (struct slab *)region + (at - region) / SLAB_BYTES;
}

static void region_add(void)
{
    char *p = mmap(NULL, 2 * REGION_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return;
    size_t before = -(uintptr_t)p & (REGION_BYTES - 1);
    char *base = p + before;
    if (before)
        munmap(p, before);
    munmap(base + REGION_BYTES, REGION_BYTES - before);
    for (unsigned i = SLABS; i-- > 1;) /* slab 0 has these records */
        link_in(&store.empty, (struct slab *)(void *)base + i);
}

static struct slab *slab_take(unsigned size)
{
    if (!store.empty)
        region_add();
    struct slab *s = store.empty;
    if (!s)
        return NULL;
    link_out(&store.empty, s);
    s->free_unit = s->fresh = 0;
    s->used = 0;
    s->size = (uint16_t)size;
    link_in(&store.partial[size], s);
    return s;
}

static bool is_full(const struct slab *s)
{
    return !s->free_unit && s->fresh + bytes_of(s->size) > SLAB_BYTES;
}

void *weft__store_alloc(size_t bytes)
{
    WEFT_CHECK(bytes > 0 && bytes <= WEFT__STORE_MAX);
    unsigned size = size_of(bytes);
    struct slab *s = store.partial[size] ? store.partial[size] : slab_take(size);
    if (!s)
        return NULL;
    char *memory = memory_of(s), *block;
    if (s->free_unit) {
        block = memory + (size_t)(s->free_unit - 1) * UNIT;
        memcpy(&s->free_unit, block, sizeof s->free_unit);
    } else {
        block = memory + s->fresh;
        s->fresh += bytes_of(size);
    }
    s->used++;
    if (is_full(s))
        link_out(&store.partial[size], s);
    at_add(&store.bytes, bytes_of(size));
    return block;
}

void weft__store_free(void *block)
{
    struct slab *s = slab_of(block);
    char *memory = memory_of(s);
    WEFT_CHECK(s->used > 0);
    at_sub(&store.bytes, bytes_of(s->size));
    if (is_full(s))
        link_in(&store.partial[s->size], s);
    memcpy(block, &s->free_unit, sizeof s->free_unit);
    s->free_unit = (uint32_t)(((char *)block - memory) / UNIT) + 1;
    if (--s->used > 0 || (!s->next && !s->prev))
        return;
    link_out(&store.partial[s->size], s);
    link_in(&store.empty, s);
    weft__syscall(SYS_madvise, (long)memory, SLAB_BYTES, MADV_DONTNEED, 0, 0, 0);
}

size_t weft__store_bytes(void)
{
    return at_load(&store.bytes);
}
