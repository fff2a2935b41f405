// SPDX-License-Identifier: Apache-2.0
/*
 * simrt_memory.c - memory as the library under the explorer has it: its words with their points
 * and store buffers, its heap, its mappings; and how all of it is put back after a schedule.
 *
 *      static data   the writable part of this shared object, copied before the first schedule
 *      heap          handed out upwards, never again within a schedule; what is freed is
 *                    overwritten; to free it again, or to use an atomic in it, fails
 *      mappings      handed out upwards from an area at a fixed address; given to the kernel after
 *                    a schedule, so that they are zeros again
 *
 * Store buffers are x86's: first in, first out, one a thread; a plain store of the program does not
 * go through them, so it may be seen earlier than it would be there, never later.
 */
#include <errno.h>
#include <link.h>
#include <stdio.h>

#include "simrt_core.h"

#undef mmap
#undef abort

#if defined(__SANITIZE_ADDRESS__)
#define UNCHECKED __attribute__((no_sanitize_address, no_sanitize_undefined))
#else
#define UNCHECKED
#endif

enum { HEAP_BYTES = 16 << 20, GRANULE = 16, PAGE = 4096, LIVE = 0x11fe };
#define MAP_BYTES (UINT64_C(8) << 30)
#define AREA ((void *)0x200000000000)

/* ---- words ---- */

static unsigned char *freed_at(const volatile void *p)
{
    return simrt->freed + ((uintptr_t)p - (uintptr_t)simrt->heap) / GRANULE;
}

/* An atomic in memory that was given back: a plain access there finds 0xdb, and nobody knows. */
static void check_not_freed(const volatile void *p)
{
    if ((uintptr_t)p >= (uintptr_t)simrt->heap && (uintptr_t)p < (uintptr_t)simrt->heap_at &&
        *freed_at(p))
        simrt_fail("an atomic is used after its memory was freed: %p", (const void *)(uintptr_t)p);
}

static uint64_t value_of(const void *p, unsigned bytes)
{
    uint64_t v = 0;
    memcpy(&v, p, bytes);
    return v;
}

void simrt_drain(struct simrt_thread *t, unsigned most)
{
    unsigned n = t->buffered < most ? t->buffered : most;
    for (unsigned i = 0; i < n; i++)
        memcpy((void *)(uintptr_t)t->buffer[i].p, &t->buffer[i].value, t->buffer[i].bytes);
    t->buffered -= n;
    memmove(t->buffer, t->buffer + n, t->buffered * sizeof *t->buffer);
}

void simrt_drain_all(void)
{
    for (unsigned i = 0; i < simrt->threads; i++)
        simrt_drain(&simrt->thread[i], SIMRT_BUFFER);
}

bool simrt_shared(const volatile void *p, bool write)
{
    size_t i = ((uintptr_t)p >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 50;
    struct simrt_word *w = &simrt->word[i % SIMRT_WORDS];
    for (unsigned probes = 0; w->p && w->p != p; probes++) {
        if (probes == 16)
            return true;
        w = &simrt->word[++i % SIMRT_WORDS];
    }
    if (simrt->warm == SIMRT_WARM_UP)
        return !w->p || w->shared;
    if (w->schedule != simrt->warm + 1)
        *w = (struct simrt_word){.p = p, .schedule = simrt->warm + 1, .shared = w->shared};
    w->by |= UINT32_C(1) << (simrt->cur - simrt->thread);
    w->written |= write;
    w->shared |= w->written && (w->by & (w->by - 1));
    return true;
}

void simrt_load(const volatile void *p, void *ret, unsigned bytes, const struct simrt_at *at)
{
    struct simrt_thread *t = simrt ? simrt->cur : NULL;
    const void *from = (const void *)(uintptr_t)p;
    if (t) {
        simrt_point("load", p, 0, at);
        check_not_freed(p);
    }
    for (unsigned i = t ? t->buffered : 0; i-- > 0;)
        if (t->buffer[i].p == p) {
            from = &t->buffer[i].value;
            break;
        }
    memcpy(ret, from, bytes);
    if (t)
        simrt->ring[simrt->steps % SIMRT_RING].value = value_of(from, bytes);
}

void simrt_store(
    volatile void *p, const void *v, unsigned bytes, int weak, const struct simrt_at *at)
{
    struct simrt_thread *t = simrt ? simrt->cur : NULL;
    uint64_t value = value_of(v, bytes);
    if (t) {
        simrt_point(weak ? "store weak" : "store", p, value, at);
        check_not_freed(p);
        if (weak && simrt->o.tso && (t->buffered || simrt_draw(2, true))) {
            if (t->buffered == SIMRT_BUFFER)
                simrt_drain(t, 1);
            t->buffer[t->buffered++] = (struct simrt_entry){p, value, bytes};
            return;
        }
        simrt_drain(t, SIMRT_BUFFER);
    }
    memcpy((void *)(uintptr_t)p, v, bytes);
}

void simrt_rmw(const char *op, const volatile void *p, unsigned bytes, uint64_t operand,
    const struct simrt_at *at)
{
    (void)bytes;
    if (!simrt || !simrt->cur)
        return;
    simrt_point(op, p, operand, at);
    check_not_freed(p);
    simrt_drain(simrt->cur, SIMRT_BUFFER);
}

void simrt_fence(const struct simrt_at *at)
{
    simrt_rmw("fence", NULL, 0, 0, at);
}

/* ---- heap and mappings ---- */

void *simrt_malloc(size_t bytes)
{
    size_t *p = (size_t *)(void *)simrt->heap_at;
    size_t whole = (bytes + 2 * sizeof *p + 15) & ~(size_t)15;
    if (simrt->heap_at + whole > simrt->heap_end)
        simrt_fail("the explorer's heap is used up");
    simrt->heap_at += whole;
    simrt->heap_live++;
    p[0] = bytes;
    p[1] = LIVE;
    return p + 2;
}

void simrt_free(void *p)
{
    size_t *head = (size_t *)p - 2;
    if (!p)
        return;
    if (head[1] != LIVE)
        simrt_fail("freed twice, or never allocated: %p", p);
    head[1] = 0;
    memset(freed_at(p), 1, (head[0] + GRANULE - 1) / GRANULE);
    simrt->heap_live--;
    memset(p, 0xdb, head[0]);
}

uint64_t simrt_heap_live(void)
{
    return simrt->heap_live;
}

void *simrt_realloc(void *p, size_t bytes)
{
    void *q = simrt_malloc(bytes);
    if (p) {
        size_t had = ((size_t *)p)[-2];
        memcpy(q, p, had < bytes ? had : bytes);
        simrt_free(p);
    }
    return q;
}

void *simrt_mmap(size_t bytes)
{
    char *p = simrt->map_at;
    bytes = (bytes + PAGE - 1) & ~(size_t)(PAGE - 1);
    if (p + bytes > simrt->map_end) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    simrt->map_at += bytes;
    return p;
}

/* ---- putting back ---- */

/* Byte by byte as far as a checker knows: it would object to the space between variables. */
UNCHECKED static void copy(char *to, const char *from, size_t bytes)
{
    volatile uint64_t *t = (volatile uint64_t *)(void *)to;
    const volatile uint64_t *f = (const volatile uint64_t *)(const void *)from;
    for (size_t i = 0; i < bytes / sizeof *t; i++)
        t[i] = f[i];
}

/* The writable part of the object that this function is in, without what the linker has made
 * read-only after its work. */
static int find_data(struct dl_phdr_info *info, size_t size, void *arg)
{
    uintptr_t here = (uintptr_t)arg, low = 0, high = 0, fixed = 0;
    bool mine = false;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *h = &info->dlpi_phdr[i];
        uintptr_t from = info->dlpi_addr + h->p_vaddr, to = from + h->p_memsz;
        if (h->p_type == PT_LOAD && here >= from && here < to)
            mine = true;
        if (h->p_type == PT_LOAD && h->p_flags & PF_W) {
            low = from;
            high = to;
        }
        if (h->p_type == PT_GNU_RELRO)
            fixed = to;
    }
    if (!mine)
        return 0;
    low = fixed > low ? (fixed + PAGE - 1) & ~(uintptr_t)(PAGE - 1) : low;
    simrt->data = (char *)((low + 7) & ~(uintptr_t)7);
    simrt->data_bytes = (high - (uintptr_t)simrt->data) & ~(size_t)7;
    return 1;
}

static void *map(void *at, size_t bytes)
{
    void *p = mmap(at, bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);
    if (p == MAP_FAILED || (at && p != at)) {
        perror("simrt: mmap");
        abort();
    }
    return p;
}

struct simrt *simrt;

void simrt_memory_init(void)
{
    simrt = map(NULL, sizeof *simrt);
    char *area = map(AREA, HEAP_BYTES + MAP_BYTES);
    simrt->heap = simrt->heap_at = area;
    simrt->heap_end = simrt->map = simrt->map_at = area + HEAP_BYTES;
    simrt->map_end = simrt->map + MAP_BYTES;
    simrt->freed = map(NULL, HEAP_BYTES / GRANULE);
    simrt->word = map(NULL, SIMRT_WORDS * sizeof *simrt->word);
    simrt->way = map(NULL, SIMRT_DEPTHS * sizeof *simrt->way);
    for (unsigned i = 0; i < SIMRT_THREADS; i++)
        simrt->thread[i].stack = map(NULL, SIMRT_STACK_BYTES);
    dl_iterate_phdr(find_data, (void *)(uintptr_t)simrt_memory_init);
    simrt->data_copy = map(NULL, simrt->data_bytes);
    copy(simrt->data_copy, simrt->data, simrt->data_bytes);
}

void simrt_memory_reset(void)
{
    copy(simrt->data, simrt->data_copy, simrt->data_bytes);
    memset(simrt->heap, 0, (size_t)(simrt->heap_at - simrt->heap));
    memset(simrt->freed, 0, (size_t)(simrt->heap_at - simrt->heap) / GRANULE);
    madvise(simrt->map, (size_t)(simrt->map_at - simrt->map), MADV_DONTNEED);
    simrt->heap_at = simrt->heap;
    simrt->heap_live = 0;
    simrt->map_at = simrt->map;
}
