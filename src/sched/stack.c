// SPDX-License-Identifier: Apache-2.0
/* stack.c - arenas of guarded stacks; stack.h has the picture, the invariants and the reasons. */
#include "sched/stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/atomic.h"
#include "base/fatal.h"
#include "base/futex.h"
#include "base/lock.h"
#include "base/peek.h"
#include "sched/cold.h"
#include "sched/sanitize.h"
#include "sched/sched.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef PIDFD_SELF
#define PIDFD_SELF (-10000)
#endif

enum {
    COLOURS = 8,
    COLOUR_BYTES = 192,
    MAX_CHUNKS = 1 << 16,
    META_BYTES = 64 << 10,
    HOT_MAX = 4 * WEFT__STACK_BATCH, /* the class's hot list; beyond it stacks go cold */
    TRIM_KEEP = 16,
    FRESH_MAX = 64, /* fresh stacks made ready at a time, */
    HELP_MAX = 16,  /* and by an idle worker for others */
    HELPS = FRESH_MAX / HELP_MAX,
    SLOT_BITS = WEFT__SLOT_BITS,
};

enum slot_state {
    SLOT_FREE = WEFT__SLOT_FREE,
    SLOT_LIVE = WEFT__SLOT_LIVE,
    SLOT_BARE, /* free, and its guard could not be had */
    SLOT_COLD, /* free, and its pages are the kernel's */
    SLOT_AWAY, /* live, and cold.c has put its pages away */
};

struct chunk {
    char *base;
    uint32_t first; /* index of its first slot within the class */
    uint32_t slots;
    uint32_t cold;         /* slots in SLOT_COLD; under the class's lock */
    _Atomic uint8_t *live; /* a byte a slot: enum slot_state */
};

struct class
{
    struct weft__lock lock;
    struct weft__fiber *hot;
    unsigned hot_count, hot_least;  /* hot_least: since the last trim */
    uint32_t cold_count, cold_from; /* no slot below cold_from is cold */
    uint32_t fresh, slots;          /* those below fresh have been handed out, or are in hand */
    uint32_t bare;                  /* slots in SLOT_BARE */
    uint32_t helped;                /* stacks on the hot list that an idle worker made ready */
    _Atomic uint32_t wanted;        /* times that an idle worker shall do so */
    _Atomic uint32_t chunk_count;
    struct chunk *_Atomic *chunks;
    char *meta; /* room for the next chunks' records */
    size_t meta_bytes;
};

/* The bytes of a slot: the size that the class is called by, and the odd page. */
enum { ODD_BYTES = WEFT__PAGE_BYTES };
static const size_t class_bytes[WEFT__STACK_CLASSES] = {(64 << 10) + ODD_BYTES,
    (256 << 10) + ODD_BYTES, (1 << 20) + ODD_BYTES, (4 << 20) + ODD_BYTES, (16 << 20) + ODD_BYTES,
    (80 << 20) + ODD_BYTES};
static struct class classes[WEFT__STACK_CLASSES];
static _Atomic int use_mprotect; /* the kernel refused guard regions */
static _Atomic int limit_told;

/* log2 of a chunk's slots: as many as 64 MiB hold, 4 at least. A fiber's start and end ask for
 * its chunk, and a division is 5 ns. */
static const uint8_t chunk_shift[WEFT__STACK_CLASSES] = {10, 8, 6, 4, 2, 2};

static unsigned slots_per_chunk(unsigned c)
{
    return 1u << chunk_shift[c];
}

/* So few stacks that were used to their end are kept with their pages: 256 MiB in a list. */
const uint16_t weft__stack_cache_most[WEFT__STACK_CLASSES] = {
    WEFT__STACK_CACHE, WEFT__STACK_CACHE, 256, 64, 16, 3};

static unsigned hot_max(unsigned c)
{
    return weft__stack_cache_most[c] < HOT_MAX ? weft__stack_cache_most[c] : HOT_MAX;
}

unsigned weft__stack_class(size_t stack_bytes)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++)
        if (stack_bytes + WEFT__GUARD_BYTES + 4096 <= class_bytes[c] ||
            stack_bytes + ODD_BYTES == class_bytes[c])
            return c;
    return WEFT__STACK_CLASSES;
}

static struct chunk *chunk_of(unsigned c, uint32_t index)
{
    return at_load_acq(&classes[c].chunks[index >> chunk_shift[c]]); /* [mo:chunk] */
}

static char *slot_base(unsigned c, uint32_t index)
{
    struct chunk *k = chunk_of(c, index);
    return k->base + (size_t)(index - k->first) * class_bytes[c];
}

static struct weft__fiber *slot_record(unsigned c, uint32_t index)
{
    size_t record = (sizeof(struct weft__fiber) + 63) & ~(size_t)63;
    size_t down = (index % COLOURS) * COLOUR_BYTES + record;
    return (struct weft__fiber *)(void *)(slot_base(c, index) + class_bytes[c] - down);
}

static unsigned slot_class(const struct weft__fiber *f)
{
    return f->slot >> SLOT_BITS;
}
static uint32_t slot_index(const struct weft__fiber *f)
{
    return f->slot & ((1u << SLOT_BITS) - 1);
}

static void set_live(unsigned c, uint32_t index, uint8_t live)
{
    struct chunk *k = chunk_of(c, index);
    at_store_rel(&k->live[index - k->first], live); /* [mo:live] */
}

static bool slot_used(const struct chunk *k, uint32_t i)
{
    uint8_t state = at_load_acq(&k->live[i]); /* [mo:live] */
    return state == SLOT_LIVE || state == SLOT_AWAY;
}

size_t weft__stack_bytes(const struct weft__fiber *f)
{
    return class_bytes[slot_class(f)] - WEFT__GUARD_BYTES;
}

/* A chunk's record, from a block for many of them: it stays when the stacks' memory has gone. */
static struct chunk *meta_take_locked(struct class *k, unsigned slots)
{
    size_t bytes = (sizeof(struct chunk) + slots + 63) & ~(size_t)63;
    if (k->meta_bytes < bytes) {
        void *p =
            mmap(NULL, META_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
        k->meta = p;
        k->meta_bytes = META_BYTES;
    }
    return (struct chunk *)(void *)k->meta;
}

static void meta_taken_locked(struct class *k, unsigned slots)
{
    size_t bytes = (sizeof(struct chunk) + slots + 63) & ~(size_t)63;
    k->meta += bytes;
    k->meta_bytes -= bytes;
}

/* Growing: one more chunk, mapped without reserve, guards not yet installed. */
static int class_grow_locked(unsigned c)
{
    struct class *k = &classes[c];
    uint32_t n = at_load(&k->chunk_count);
    unsigned slots = slots_per_chunk(c);
    if (n == MAX_CHUNKS || k->slots + slots > 1u << SLOT_BITS)
        return -ENOMEM;
    if (!k->chunks) {
        void *table = mmap(NULL, MAX_CHUNKS * sizeof(void *), PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (table == MAP_FAILED)
            return -ENOMEM;
        k->chunks = table;
    }
    struct chunk *ch = meta_take_locked(k, slots);
    if (!ch)
        return -ENOMEM;
    char *base = mmap(NULL, slots * class_bytes[c], PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (base == MAP_FAILED)
        return -ENOMEM;
    if (weft__cold_on())
        weft__cold_chunk(base, class_bytes[c], slots, true);
    meta_taken_locked(k, slots);
    *ch = (struct chunk){.base = base, .first = k->slots, .slots = slots, .live = (void *)(ch + 1)};
    at_store_rel(&k->chunks[n], ch); /* [mo:chunk] */
    k->slots += slots;
    at_store(&k->chunk_count, n + 1);
    return 0;
}

/* An emulator may take any advice and follow none (qemu-user does): the first guard is tried. */
static bool guard_holds(const char *base)
{
    static _Atomic int tried;
    char byte;
    if (at_load(&tried))
        return true;
    bool holds = !weft__read_safely(base, &byte, 1);
    at_store(&tried, holds);
    return holds;
}

static int guard_one(char *base)
{
    if (!at_load(&use_mprotect)) {
        long rc =
            weft__syscall(SYS_madvise, (long)base, WEFT__GUARD_BYTES, MADV_GUARD_INSTALL, 0, 0, 0);
        if (rc == 0 && guard_holds(base))
            return 0;
        if (rc != 0 && rc != -EINVAL)
            return (int)rc;
        at_store(&use_mprotect, 1);
    }
    long rc = weft__syscall(SYS_mprotect, (long)base, WEFT__GUARD_BYTES, PROT_NONE, 0, 0, 0);
    if (rc == -ENOMEM && at_xchg(&limit_told, 1) == 0)
        weft__eprintf("weft: no more guarded stacks: the limit of mappings is reached; raise "
                      "vm.max_map_count or run Linux 6.13 or later\n");
    return (int)rc;
}

/* Guards for n fresh stacks, many by one system call (half the price of one by one). How many got
 * theirs, or the error of the first. */
static int guard_range(unsigned c, uint32_t first, uint32_t n)
{
    struct iovec v[FRESH_MAX];
    for (uint32_t i = 0; i < n; i++)
        v[i] = (struct iovec){slot_base(c, first + i), WEFT__GUARD_BYTES};
    if (n > 1 && !at_load(&use_mprotect) && !weft__on_valgrind) { /* which lacks that call */
        long rc =
            weft__syscall(SYS_process_madvise, PIDFD_SELF, (long)v, n, MADV_GUARD_INSTALL, 0, 0);
        if (rc == (long)n * WEFT__GUARD_BYTES)
            return (int)n;
    }
    for (uint32_t i = 0; i < n; i++) { /* installing twice does no harm */
        int rc = guard_one(v[i].iov_base);
        if (rc < 0)
            return i ? (int)i : rc;
    }
    return (int)n;
}

/* The pages that the records are about to be written to, by one system call instead of a fault
 * each. Where the kernel cannot, the faults do it. */
static void populate_range(unsigned c, uint32_t first, uint32_t n)
{
    struct iovec v[FRESH_MAX];
    for (uint32_t i = 0; i < n; i++)
        v[i] = (struct iovec){slot_base(c, first + i) + class_bytes[c] - 4096, 4096};
    if (n > 1 && !weft__on_valgrind)
        weft__syscall(SYS_process_madvise, PIDFD_SELF, (long)v, n, MADV_POPULATE_WRITE, 0, 0);
}

static struct weft__fiber *record_init(unsigned c, uint32_t index)
{
    struct weft__fiber *f = slot_record(c, index);
    f->slot = c << SLOT_BITS | index;
    f->live = &chunk_of(c, index)->live[index - chunk_of(c, index)->first];
    f->stack_low = slot_base(c, index) + WEFT__GUARD_BYTES;
    return f;
}

/* Slots that were reserved and got no guard: remembered in their chunk, since that takes no
 * memory. */
static void bare_put_locked(unsigned c, uint32_t first, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        set_live(c, first + i, SLOT_BARE);
    classes[c].bare += n;
}

static bool bare_take_locked(unsigned c, uint32_t *ret_index)
{
    struct class *k = &classes[c];
    for (uint32_t i = 0; k->bare && i < k->fresh; i++) {
        struct chunk *ch = chunk_of(c, i);
        if (at_load(&ch->live[i - ch->first]) != SLOT_BARE)
            continue;
        set_live(c, i, SLOT_FREE);
        k->bare--;
        *ret_index = i;
        return true;
    }
    return false;
}

/* Reserves slots that were never used: one of a class with few, up to `most` of one with many, so
 * that a small program touches no page in vain. Their number, or -ENOMEM. */
static int reserve_locked(unsigned c, uint32_t most, uint32_t *ret_first)
{
    struct class *k = &classes[c];
    if (bare_take_locked(c, ret_first))
        return 1;
    if (k->fresh == k->slots) {
        int rc = class_grow_locked(c);
        if (rc < 0)
            return rc;
    }
    uint32_t n = k->fresh / 16;
    n = n < 1 ? 1 : n > most ? most : n;
    n = n > k->slots - k->fresh ? k->slots - k->fresh : n;
    *ret_first = k->fresh;
    k->fresh += n;
    return (int)n;
}

/* Makes fresh stacks ready, at most `most`. The kernel's part, about 2 us a stack, is done without
 * the lock. Their number, at least one, and the list of them; or the error of the first. */
static int make_fresh(
    unsigned c, uint32_t most, struct weft__fiber **ret_list, struct weft__fiber **ret_last)
{
    struct class *k = &classes[c];
    uint32_t first;
    weft__lock(&k->lock, WEFT__RANK_STACK);
    int n = reserve_locked(c, most, &first);
    weft__unlock(&k->lock);
    if (n < 0)
        return n;
    int guarded = guard_range(c, first, (uint32_t)n); /* K2 */
    uint32_t good = guarded < 0 ? 0 : (uint32_t)guarded;
    populate_range(c, first, good);
    *ret_list = *ret_last = NULL;
    for (uint32_t i = good; i-- > 0;) {
        struct weft__fiber *f = record_init(c, first + i);
        weft__valgrind_stack_made(f);
        f->next = *ret_list;
        *ret_list = f;
        *ret_last = *ret_last ? *ret_last : f;
    }
    if (good < (uint32_t)n) {
        weft__lock(&k->lock, WEFT__RANK_STACK);
        bare_put_locked(c, first + good, (uint32_t)n - good);
        weft__unlock(&k->lock);
    }
    return good ? (int)good : guarded;
}

static void hot_put_locked(
    struct class *k, struct weft__fiber *list, struct weft__fiber *last, int n)
{
    last->next = k->hot;
    k->hot = list;
    k->hot_count += (unsigned)n;
}

/* Fresh stacks: one for the caller, the others for its cache, or the class where it has none. */
static int take_fresh(struct weft__stack_cache *cache, unsigned c, struct weft__fiber **ret)
{
    struct class *k = &classes[c];
    struct weft__fiber *list, *last;
    int n = make_fresh(c, FRESH_MAX, &list, &last);
    if (n < 0)
        return n;
    *ret = list;
    list = list->next;
    if (n == FRESH_MAX)
        at_store_rlx(&k->wanted, HELPS); /* [mo:wanted] */
    if (n > 1 && cache) {
        last->next = cache->head[c];
        cache->head[c] = list;
        cache->count[c] += (unsigned)n - 1;
    } else if (n > 1) {
        weft__lock(&k->lock, WEFT__RANK_STACK);
        hot_put_locked(k, list, last, n - 1);
        weft__unlock(&k->lock);
    }
    return 0;
}

bool weft__stack_prepare(void)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        struct class *k = &classes[c];
        struct weft__fiber *list, *last;
        uint32_t times = at_load_rlx(&k->wanted); /* [mo:wanted] only a hint */
        if (times == 0 || !at_cas(&k->wanted, &times, times - 1))
            continue;
        int n = make_fresh(c, HELP_MAX, &list, &last);
        if (n < 0)
            continue; /* whoever needs one will be told */
        weft__lock(&k->lock, WEFT__RANK_STACK);
        hot_put_locked(k, list, last, n);
        k->helped += (uint32_t)n;
        weft__unlock(&k->lock);
        return true;
    }
    return false;
}

static struct weft__fiber *hot_pop_locked(struct class *k)
{
    struct weft__fiber *f = k->hot;
    if (f) {
        k->hot = f->next;
        k->hot_count--;
        k->hot_least = k->hot_count < k->hot_least ? k->hot_count : k->hot_least;
    }
    return f;
}

/* The lowest cold slot. Whole chunks without one are passed over. */
static struct weft__fiber *cold_take_locked(unsigned c)
{
    struct class *k = &classes[c];
    uint32_t i = k->cold_from;
    if (!k->cold_count)
        return NULL;
    for (;; i++) {
        struct chunk *ch = chunk_of(c, i);
        if (!ch->cold)
            i = ch->first + ch->slots - 1;
        else if (at_load(&ch->live[i - ch->first]) == SLOT_COLD)
            break;
    }
    set_live(c, i, SLOT_FREE);
    chunk_of(c, i)->cold--;
    k->cold_count--;
    k->cold_from = i + 1;
    return record_init(c, i);
}

/* One stack that was used before: hot, else cold. */
static struct weft__fiber *take_used_locked(unsigned c)
{
    struct weft__fiber *f = hot_pop_locked(&classes[c]);
    return f ? f : cold_take_locked(c);
}

int weft__stack_alloc(struct weft__stack_cache *cache, unsigned c, struct weft__fiber **ret_fiber)
{
    struct weft__fiber *f;
    weft__lock(&classes[c].lock, WEFT__RANK_STACK);
    f = take_used_locked(c);
    for (int i = 1; cache && classes[c].hot && i < WEFT__STACK_BATCH; i++) {
        struct weft__fiber *more = hot_pop_locked(&classes[c]);
        more->next = cache->head[c];
        cache->head[c] = more;
        cache->count[c]++;
    }
    if (classes[c].helped) {
        classes[c].helped = 0;
        at_store_rlx(&classes[c].wanted, HELPS); /* [mo:wanted] */
    }
    weft__unlock(&classes[c].lock);
    int rc = f ? 0 : take_fresh(cache, c, &f);
    *ret_fiber = f;
    return rc;
}

static void pages_drop(const struct weft__fiber *f)
{
    char *low = f->stack_low;
    size_t bytes = weft__stack_bytes(f);
    weft__syscall(SYS_madvise, (long)low, (long)bytes, MADV_DONTNEED, 0, 0, 0);
    weft__cold_refill(low, bytes); /* K3 from here on */
}

static void cold_put_locked(unsigned c, uint32_t index)
{
    struct class *k = &classes[c];
    set_live(c, index, SLOT_COLD);
    chunk_of(c, index)->cold++;
    k->cold_count++;
    k->cold_from = index < k->cold_from ? index : k->cold_from;
}

static void give_back_locked(unsigned c, struct weft__fiber *f)
{
    struct class *k = &classes[c];
    if (k->hot_count >= hot_max(c)) {
        uint32_t index = slot_index(f); /* the record goes with the pages */
        pages_drop(f);
        cold_put_locked(c, index);
        return;
    }
    f->next = k->hot;
    k->hot = f;
    k->hot_count++;
}

static void cache_give_locked(struct weft__stack_cache *cache, unsigned c, unsigned n)
{
    for (struct weft__fiber *f; n > 0 && (f = cache->head[c]); n--) {
        cache->head[c] = f->next;
        cache->count[c]--;
        give_back_locked(c, f);
    }
}

void weft__stack_free(struct weft__stack_cache *cache, struct weft__fiber *f)
{
    unsigned c = slot_class(f);
    weft__lock(&classes[c].lock, WEFT__RANK_STACK);
    give_back_locked(c, f);
    if (cache)
        cache_give_locked(cache, c, WEFT__STACK_BATCH - 1);
    weft__unlock(&classes[c].lock);
}

void weft__stack_mark_away(uint32_t slot, bool away)
{
    set_live(slot >> SLOT_BITS, slot & ((1u << SLOT_BITS) - 1), away ? SLOT_AWAY : SLOT_LIVE);
}

void weft__stack_chunks_each(weft__chunk_fn *fn)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        uint32_t chunks = at_load(&classes[c].chunk_count);
        for (uint32_t n = 0; n < chunks; n++) {
            const struct chunk *k = at_load_acq(&classes[c].chunks[n]); /* [mo:chunk] */
            fn(k->base, class_bytes[c], k->slots, false);
        }
    }
}

void weft__stack_cache_flush(struct weft__stack_cache *cache)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        weft__lock(&classes[c].lock, WEFT__RANK_STACK);
        cache_give_locked(cache, c, cache->count[c]);
        weft__unlock(&classes[c].lock);
    }
}

void weft__stack_cache_trim(struct weft__stack_cache *cache)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        if (cache->count[c] <= TRIM_KEEP)
            continue;
        weft__lock(&classes[c].lock, WEFT__RANK_STACK);
        cache_give_locked(cache, c, cache->count[c] / 2);
        weft__unlock(&classes[c].lock);
    }
}

/* Cuts off the end of the hot list, the longest unused, of as many stacks as lay there all the
 * time since the last trim. */
static struct weft__fiber *hot_cut_locked(struct class *k)
{
    struct weft__fiber **at = &k->hot;
    unsigned keep = k->hot_count - k->hot_least;
    for (unsigned i = 0; i < keep; i++)
        at = &(*at)->next;
    struct weft__fiber *rest = *at;
    *at = NULL;
    k->hot_count = k->hot_least = keep;
    return rest;
}

void weft__stack_trim(void)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        struct class *k = &classes[c];
        weft__lock(&k->lock, WEFT__RANK_STACK);
        struct weft__fiber *f = hot_cut_locked(k);
        weft__unlock(&k->lock);
        while (f) { /* the kernel's part without the lock */
            struct weft__fiber *next = f->next;
            uint32_t index = slot_index(f);
            pages_drop(f);
            weft__lock(&k->lock, WEFT__RANK_STACK);
            cold_put_locked(c, index);
            weft__unlock(&k->lock);
            f = next;
        }
    }
}

bool weft__stack_walk(
    uint64_t *at, unsigned units, void (*fn)(struct weft__fiber *f, void *arg), void *arg)
{
    enum { LIVE_UNITS = 16 };
    unsigned c = (unsigned)(*at >> SLOT_BITS);
    uint32_t i = (uint32_t)*at & ((1u << SLOT_BITS) - 1);
    for (; c < WEFT__STACK_CLASSES; c++, i = 0) {
        uint32_t per = slots_per_chunk(c), end = at_load(&classes[c].chunk_count) * per;
        for (; i < end; i++) {
            struct chunk *k = chunk_of(c, i);
            bool live = at_load_acq(&k->live[i - k->first]) == SLOT_LIVE; /* [mo:live] */
            unsigned cost = live ? LIVE_UNITS : 1;
            if (units < cost) {
                *at = (uint64_t)c << SLOT_BITS | i;
                return true;
            }
            units -= cost;
            if (live)
                fn(slot_record(c, i), arg);
        }
    }
    *at = 0;
    return false;
}

void weft__stack_each(bool (*fn)(struct weft__fiber *f, void *arg), void *arg)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        uint32_t chunks = at_load(&classes[c].chunk_count);
        for (uint32_t n = 0; n < chunks; n++) {
            struct chunk *k = at_load_acq(&classes[c].chunks[n]); /* [mo:chunk] */
            for (uint32_t i = 0; i < k->slots; i++)
                if (slot_used(k, i) && !fn(slot_record(c, k->first + i), arg))
                    return;
        }
    }
}

struct weft__fiber *weft__stack_find(uintptr_t addr, bool *ret_guard)
{
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        uint32_t chunks = at_load(&classes[c].chunk_count);
        for (uint32_t n = 0; n < chunks; n++) {
            struct chunk *k = at_load_acq(&classes[c].chunks[n]); /* [mo:chunk] */
            uintptr_t low = (uintptr_t)k->base;
            if (addr < low || addr >= low + k->slots * class_bytes[c])
                continue;
            uint32_t i = (uint32_t)((addr - low) / class_bytes[c]);
            *ret_guard = (addr - low) % class_bytes[c] < WEFT__GUARD_BYTES;
            return slot_used(k, i) ? slot_record(c, k->first + i) : NULL;
        }
    }
    return NULL;
}

void weft__stack_stats(uint64_t *ret_live_bytes, uint64_t *ret_slots)
{
    uint64_t bytes = 0, slots = 0;
    for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++) {
        weft__lock(&classes[c].lock, WEFT__RANK_STACK);
        slots += classes[c].fresh;
        bytes += (uint64_t)(classes[c].fresh - classes[c].cold_count) * class_bytes[c];
        weft__unlock(&classes[c].lock);
    }
    *ret_live_bytes = bytes;
    *ret_slots = slots;
}
