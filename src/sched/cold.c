// SPDX-License-Identifier: Apache-2.0
/* cold.c - putting stacks away and back; cold.h has the picture, the invariants and the reasons. */
#include "sched/cold.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft/run.h>

#include "base/fatal.h"
#include "base/futex.h"
#include "base/log.h"
#include "sched/cold_store.h"
#include "sched/worker.h"

/* Newer than the headers of many systems. */
struct move {
    uint64_t dst, src, len, mode;
    int64_t moved;
};
#define WEFT__UFFDIO_MOVE _IOWR(UFFDIO, 0x05, struct move)
#define WEFT__UFFD_FEATURE_MOVE ((uint64_t)1 << 16)
#define WEFT__USERFAULTFD_NEW _IO(0xAA, 0x00) /* of /dev/userfaultfd */
struct scan {
    uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
    uint64_t inverted, mask, anyof, ret;
};
#define WEFT__PAGEMAP_SCAN _IOWR('f', 16, struct scan)
enum { SCAN_PRESENT = 8, SCAN_ZERO = 32 };

enum {
    PAGE = WEFT__PAGE_BYTES,
    PAGES = 4,                      /* a fiber with more between stack pointer and record stays */
    COLD_MOST = (256 << 10) + PAGE, /* a slot of the class of 256 KiB */
    GRANULE_SHIFT = 26,             /* no chunk is smaller, so no two begin in the same 64 MiB */
    GRANULES = 1 << (48 - GRANULE_SHIFT),
    MESSAGES = 32,
    SWEEP = 64, /* brought back at one touch, at most */
    BITE = 1024,
};

/* What was on a stack from its stack pointer to the end of its slot. */
struct block {
    char *from;
    uint32_t slot;
    uint32_t code_bytes;
    uint8_t code[];
};

struct cold_chunk {
    char *base;
    size_t slot_bytes;
    uint32_t slots;
    struct cold_chunk *next;
    _Atomic(struct block *) away[];
};

/* What tools/gdb/weft-gdb.py starts from. */
static struct {
    struct weft__lock lock; /* C2 */
    _Atomic(struct cold_chunk *) *granule;
    _Atomic(struct cold_chunk *) chunks;
    char *stage; /* PAGES pages, registered, nobody else's */
    uint8_t *code;
    char *back; /* the keeper's: unpacked pages */
    int fd, pagemap, stop[2];
    _Atomic uint32_t closing, ended, freezing, forking, forked;
    _Atomic uint64_t count_away, frozen, thawed, refused, zeros;
    uintptr_t swept_to; /* where the last touch was, and how long the run of neighbours is by now */
    unsigned sweep;
} cold;
_Atomic uint32_t weft__cold_running;

/* ---- the kernel's side ---- */

static long call(unsigned long request, void *arg)
{
    return weft__syscall(SYS_ioctl, cold.fd, (long)request, (long)arg, 0, 0, 0);
}

static int fd_open(const char *path, int flags)
{
    return (int)weft__syscall(SYS_openat, AT_FDCWD, (long)path, flags | O_CLOEXEC, 0, 0, 0);
}

static void fd_close(int fd)
{
    weft__syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void give_way(void)
{
    weft__syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}

static long register_range(char *base, size_t bytes)
{
    struct uffdio_register r = {
        .range = {(uintptr_t)base, bytes}, .mode = UFFDIO_REGISTER_MODE_MISSING};
    return call(UFFDIO_REGISTER, &r);
}

static long page_move(char *dst, char *src)
{
    for (int tries = 0;; tries++) {
        struct move m = {.dst = (uintptr_t)dst, .src = (uintptr_t)src, .len = PAGE};
        long rc = call(WEFT__UFFDIO_MOVE, &m);
        if (rc != -EAGAIN || tries == 3)
            return rc;
    }
}

static void wake(char *at, size_t bytes)
{
    struct uffdio_range r = {(uintptr_t)at, bytes};
    call(UFFDIO_WAKE, &r);
}

/* Puts pages to where they are missing, and wakes who waits there. Those that are there stay. */
static void pages_copy(char *dst, const char *src, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        struct uffdio_copy c = {
            .dst = (uintptr_t)dst + done, .src = (uintptr_t)src + done, .len = bytes - done};
        long rc = call(UFFDIO_COPY, &c);
        if (rc == 0) {
            done = bytes;
        } else if (c.copy > 0) {
            done += (size_t)c.copy;
        } else if (rc == -EEXIST) {
            wake(dst + done, PAGE);
            done += PAGE;
        } else { /* no memory at this moment: who waits for the page can but wait */
            WEFT_CHECK(rc == -EAGAIN || rc == -ENOMEM);
            give_way();
        }
    }
}

/* How many bytes to pass over at a page that is there. */
static size_t there(const char *at, size_t bytes)
{
    unsigned char pages[64];
    size_t n = bytes / PAGE < sizeof pages ? bytes / PAGE : sizeof pages, i = 1;
    if (weft__syscall(SYS_mincore, (long)at, (long)(n * PAGE), (long)pages, 0, 0, 0) < 0)
        return PAGE;
    while (i < n && pages[i] & 1)
        i++;
    return i * PAGE;
}

/* The zero page, wherever there is none in the range. */
static void zeros_fill(char *base, size_t bytes)
{
    for (size_t done = 0; done < bytes;) {
        struct uffdio_zeropage z = {.range = {(uintptr_t)base + done, bytes - done}};
        long rc = call(UFFDIO_ZEROPAGE, &z);
        if (rc == 0)
            return;
        if (z.zeropage > 0)
            done += (size_t)z.zeropage;
        else if (rc == -EEXIST)
            done += there(base + done, bytes - done);
        else if (rc != -EAGAIN)
            return; /* the keeper's part, then */
    }
}

static void drop(char *low, size_t bytes)
{
    weft__syscall(SYS_madvise, (long)low, (long)bytes, MADV_DONTNEED, 0, 0, 0);
}

/* ---- the table ---- */

static struct cold_chunk *chunk_at(uintptr_t addr)
{
    size_t g = addr >> GRANULE_SHIFT;
    if (g >= GRANULES)
        return NULL;
    for (int i = 0; i < 3; i++, g--) { /* a chunk lies in three granules at most */
        struct cold_chunk *k = at_load(&cold.granule[g]);
        if (k && addr - (uintptr_t)k->base < k->slots * k->slot_bytes)
            return k;
        if (g == 0)
            break;
    }
    return NULL;
}

static struct cold_chunk *chunk_new(char *base, size_t slot_bytes, uint32_t slots)
{
    size_t bytes = sizeof(struct cold_chunk) + slots * sizeof(struct block *);
    struct cold_chunk *k =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (k == MAP_FAILED)
        return NULL;
    k->base = base;
    k->slot_bytes = slot_bytes;
    k->slots = slots;
    k->next = at_load(&cold.chunks);
    while (!at_cas(&cold.chunks, &k->next, k)) /* classes grow under different locks */
        ;
    at_store(&cold.granule[(uintptr_t)base >> GRANULE_SHIFT], k);
    return k;
}

void weft__cold_chunk(char *base, size_t slot_bytes, uint32_t slots, bool fresh)
{
    if (slot_bytes > COLD_MOST || (uintptr_t)base >> GRANULE_SHIFT >= GRANULES)
        return;
    if (register_range(base, slots * slot_bytes) < 0)
        return; /* these stay as they are */
    if (!chunk_at((uintptr_t)base) && !chunk_new(base, slot_bytes, slots))
        return; /* as it is registered, the keeper answers all touches by zeros */
    if (fresh) {
        zeros_fill(base, slots * slot_bytes);
        return;
    }
    for (uint32_t i = 0; i < slots; i++) /* guards may be mappings of their own */
        zeros_fill(base + i * slot_bytes + WEFT__GUARD_BYTES, slot_bytes - WEFT__GUARD_BYTES);
}

void weft__cold_refill(char *low, size_t bytes)
{
    if (weft__cold_on() && chunk_at((uintptr_t)low))
        zeros_fill(low, bytes);
}

int weft__cold_resident(const char *low, size_t bytes, unsigned most)
{
    if (!weft__cold_on() || !chunk_at((uintptr_t)low))
        return -1;
    struct {
        uint64_t start, end, categories;
    } found[PAGES];
    struct scan s = {.size = sizeof s,
        .start = (uintptr_t)low,
        .end = (uintptr_t)low + bytes,
        .vec = (uintptr_t)found,
        .vec_len = PAGES,
        .max_pages = most,
        .inverted = SCAN_ZERO,
        .mask = SCAN_PRESENT | SCAN_ZERO};
    int pages = 0;
    long n = weft__syscall(SYS_ioctl, cold.pagemap, (long)WEFT__PAGEMAP_SCAN, (long)&s, 0, 0, 0);
    for (long i = 0; i < n; i++)
        pages += (int)((found[i].end - found[i].start) / PAGE);
    return n < 0 ? (int)most : pages; /* where nobody can say, they are dropped */
}

/* ---- away ---- */

/* All of a fiber's pages go by the same way back, as long as they are on the stage. */
static void put_back(char *first, unsigned from, unsigned n)
{
    for (unsigned i = from; i < n; i++) {
        if (page_move(first + i * PAGE, cold.stage + i * PAGE) == 0)
            continue;
        pages_copy(first + i * PAGE, cold.stage + i * PAGE, PAGE);
        drop(cold.stage + i * PAGE, PAGE);
    }
}

/* From the last page, which has the record, down. How many are out: n, or (*ret_error) fewer. */
static unsigned take_out(char *first, unsigned n, unsigned from, long *ret_error)
{
    unsigned out = 0;
    for (unsigned i = from; i-- > 0 && out < n; out++)
        if ((*ret_error = page_move(cold.stage + i * PAGE, first + i * PAGE)) < 0)
            break;
    return out;
}

/* C3. record: on the stage. */
static WEFT__TSAN_FREE bool waits(const struct weft__fiber *record, const char *sp)
{
    uint32_t w = at_load(&record->wake);
    return (w & WEFT__WAKE_MASK) != WEFT__WAKE_RUN && !(w & WEFT__WAKE_SHRINK) && record->sp == sp;
}

/* C7: an armed timer knows its heap, and belongs to somebody on the same stack. Garbage of earlier
 * calls that looks like one keeps a fiber warm for this wait; nothing worse. staged: a copy of what
 * lies between sp and end. */
static bool holds_timer(const char *staged, const char *sp, const char *end)
{
    uintptr_t base = (uintptr_t)at_load(&weft__sched.worker);
    size_t each = sizeof(struct weft__worker), all = weft__sched.workers * each;
    for (size_t at = 0; sp + at + sizeof(struct weft__timer) <= end; at += sizeof(void *)) {
        const struct weft__timer *t = (const void *)(staged + at);
        uintptr_t heap = (uintptr_t)at_load(&t->heap) - base, arg = (uintptr_t)t->arg;
        unsigned char locked = *(const unsigned char *)&t->locked; /* a bool only if it is one */
        if (heap < all && heap % each == offsetof(struct weft__worker, heap) && locked == true &&
            arg - (uintptr_t)sp < (size_t)(end - sp))
            return true;
    }
    return false;
}

static struct block *pack(char *sp, const char *staged, size_t bytes, uint32_t slot)
{
    size_t code_bytes = weft__pack(staged, bytes, cold.code);
    struct block *b = weft__store_alloc(sizeof *b + code_bytes);
    if (!b)
        return NULL;
    b->from = sp;
    b->slot = slot;
    b->code_bytes = (uint32_t)code_bytes;
    memcpy(b->code, cold.code, code_bytes);
    return b;
}

/* 0, or why it stays. sp and f as read before, perhaps in the middle of a change. */
static long freeze_locked(struct cold_chunk *k, struct weft__fiber *f, char *sp, uint32_t slot)
{
    uint32_t index = (uint32_t)((size_t)((char *)f - k->base) / k->slot_bytes);
    char *end = k->base + (index + 1) * k->slot_bytes;
    char *first = (char *)((uintptr_t)sp & ~(uintptr_t)(PAGE - 1));
    unsigned n = (unsigned)((size_t)(end - first) / PAGE);
    long error = 0;
    unsigned out = take_out(first, 1, n, &error);
    if (out == 0)
        return error;
    struct weft__fiber *record = (void *)(cold.stage + ((char *)f - first));
    char *staged = cold.stage + (sp - first);
    if (waits(record, sp))
        out += take_out(first, n - 1, n - 1, &error);
    else
        error = -EBUSY;
    if (error == 0 && holds_timer(staged, sp, end)) {
        at_or(&record->wake, WEFT__WAKE_WARM); /* nobody else can write there now */
        error = -EEXIST;
    }
    struct block *b = NULL;
    if (error == 0 && !(b = pack(sp, staged, (size_t)(end - sp), slot)))
        error = -ENOMEM;
    if (error < 0) {
        put_back(first, n - out, n);
        return error;
    }
    weft__stack_mark_away(slot, true);
    at_store(&k->away[index], b);
    drop(cold.stage, n * PAGE);
    char *low = k->base + index * k->slot_bytes + WEFT__GUARD_BYTES;
    if (weft__cold_resident(low, (size_t)(first - low), 1) > 0) { /* dead, by C3 */
        drop(low, (size_t)(first - low));
        zeros_fill(low, (size_t)(first - low));
    }
    at_add(&cold.count_away, 1);
    return 0;
}

/* After a fork a page is shared with the child, and not for a move, until somebody has written to
 * it. Not under the lock: C4. */
static WEFT__TSAN_FREE void break_sharing(char *sp, const char *end)
{
    for (char *p = (char *)((uintptr_t)sp & ~(uintptr_t)(PAGE - 1)); p < end; p += PAGE) {
        uint32_t v = at_load((_Atomic uint32_t *)(void *)p);
        at_cas((_Atomic uint32_t *)(void *)p, &v, v); /* an `or` of 0 compiles to no write */
    }
}

static long freeze(struct cold_chunk *k, struct weft__fiber *f, char *sp, uint32_t slot)
{
    long rc = -EBUSY;
    weft__tsan_quiet(); /* the order of lock is not seen, memcpy is */
    weft__lock(&cold.lock, WEFT__RANK_COLD);
    at_store(&cold.freezing, 1);
    if (!at_load(&cold.forking) && !at_load(&cold.closing))
        rc = freeze_locked(k, f, sp, slot);
    at_store(&cold.freezing, 0);
    weft__unlock(&cold.lock);
    weft__tsan_loud();
    return rc;
}

/* Others write what this reads; what it decides from that is looked at again when it is out. */
WEFT__TSAN_FREE bool weft__cold_freeze(struct weft__fiber *f, int64_t parked_ns)
{
    struct cold_chunk *k = chunk_at((uintptr_t)f);
    uint32_t w = at_load(&f->wake);
    if (!k || (w & WEFT__WAKE_MASK) == WEFT__WAKE_RUN || w & (WEFT__WAKE_SHRINK | WEFT__WAKE_WARM))
        return false;
    char *sp = *(char *volatile *)(void *)&f->sp, *low = *(char *volatile *)&f->stack_low;
    uint32_t slot = *(volatile uint32_t *)&f->slot;
    if (*(volatile int64_t *)&f->park_since_ns > parked_ns)
        return false;
    if (sp < low || sp >= (char *)f || (uintptr_t)sp % 8 != 0)
        return false;
    uintptr_t end = ((uintptr_t)f | (PAGE - 1)) + 1;
    if (end - ((uintptr_t)sp & ~(uintptr_t)(PAGE - 1)) > PAGES * PAGE)
        return false;
    long rc = freeze(k, f, sp, slot);
    if (rc == -EBUSY && at_load(&cold.forked)) {
        break_sharing(sp, (char *)end);
        rc = freeze(k, f, sp, slot);
    }
    at_add(rc == 0 ? &cold.frozen : &cold.refused, 1);
    return rc == 0;
}

static void freeze_each(struct weft__fiber *f, void *arg)
{
    weft__cold_freeze(f, *(int64_t *)arg);
}

void weft__cold_pass(int64_t parked_ns)
{
    uint64_t at = 0;
    while (weft__stack_walk(&at, 65536, freeze_each, &parked_ns))
        ;
}

/* ---- and back ---- */

/* Where a block's pages begin; *ret_bytes of them, made in `to`, which has room for PAGES. */
static char *unpack(const struct block *b, char *to, size_t *ret_bytes)
{
    size_t before = (uintptr_t)b->from & (PAGE - 1);
    memset(to, 0, before);
    *ret_bytes = before + weft__unpack(b->code, b->code_bytes, to + before);
    return b->from - before;
}

static bool thaw_locked(struct cold_chunk *k, uint32_t index)
{
    struct block *b = at_load(&k->away[index]);
    size_t bytes;
    if (!b)
        return false;
    char *first = unpack(b, cold.back, &bytes);
    weft__stack_mark_away(b->slot, false); /* C6 */
    at_sub(&cold.count_away, 1);           /* before it is back: its fiber may count them */
    at_add(&cold.thawed, 1);
    pages_copy(first, cold.back, bytes);
    at_store(&k->away[index], NULL); /* C5 */
    weft__store_free(b);
    return true;
}

/* Who walks through fibers in their order (a context ends, a dump is made) shall not wait for each:
 * each touch of the next neighbour doubles how many are brought back with it. */
static void sweep_locked(struct cold_chunk *k, uint32_t index)
{
    uintptr_t at = (uintptr_t)k->base + index * k->slot_bytes;
    bool up = at == cold.swept_to + k->slot_bytes, down = at + k->slot_bytes == cold.swept_to;
    cold.sweep = !(up || down) ? 1 : cold.sweep < SWEEP ? cold.sweep * 2 : SWEEP;
    cold.swept_to = at;
    for (unsigned i = 1; (up || down) && i < cold.sweep; i++) {
        index = up ? index + 1 : index - 1;
        if (index >= k->slots)
            return;
        thaw_locked(k, index);
        cold.swept_to = (uintptr_t)k->base + index * k->slot_bytes;
    }
}

static void answer(uintptr_t addr)
{
    struct cold_chunk *k = chunk_at(addr);
    char *page = (char *)(addr & ~(uintptr_t)(PAGE - 1));
    weft__lock(&cold.lock, WEFT__RANK_COLD);
    uint32_t index = k ? (uint32_t)((addr - (uintptr_t)k->base) / k->slot_bytes) : 0;
    if (k && thaw_locked(k, index)) {
        sweep_locked(k, index);
    } else { /* dropped just now, or brought back while this was on the way */
        zeros_fill(page, PAGE);
        wake(page, PAGE);
        at_add(&cold.zeros, 1);
    }
    weft__unlock(&cold.lock);
}

static bool answer_those_there(void)
{
    struct uffd_msg m[MESSAGES];
    long n = weft__syscall(SYS_read, cold.fd, (long)m, sizeof m, 0, 0, 0);
    for (long i = 0; i < n / (long)sizeof *m; i++)
        if (m[i].event == UFFD_EVENT_PAGEFAULT)
            answer((uintptr_t)m[i].arg.pagefault.address);
    return n > 0;
}

static void thaw(struct cold_chunk *k, uint32_t index)
{
    if (!at_load(&k->away[index]))
        return;
    weft__lock(&cold.lock, WEFT__RANK_COLD);
    thaw_locked(k, index);
    weft__unlock(&cold.lock);
}

/* The next bite of all there is, from slot *index of *at on; *at is NULL at the end. */
static void thaw_some(struct cold_chunk **at, uint32_t *index)
{
    for (unsigned looked = 0; *at && looked < BITE; looked++) {
        if (*index < (*at)->slots) {
            thaw(*at, (*index)++);
        } else {
            *at = (*at)->next;
            *index = 0;
        }
    }
}

static void await(bool busy)
{
    struct timespec now = {0, 0};
    struct pollfd p[2] = {
        {.fd = cold.fd, .events = POLLIN}, {.fd = cold.stop[0], .events = POLLIN}};
    char bytes[8];
    weft__syscall(SYS_ppoll, (long)p, 2, busy ? (long)&now : 0, 0, 0, 0);
    if (p[1].revents & POLLIN)
        weft__syscall(SYS_read, cold.stop[0], (long)bytes, sizeof bytes, 0, 0, 0);
}

static void *keeper_main(void *arg)
{
    struct cold_chunk *at = NULL;
    uint32_t index = 0;
    bool all = false;
    (void)arg;
    weft__tsan_quiet();
    while (!at_load(&cold.ended) || !all || at) {
        await(at != NULL);
        while (answer_those_there())
            ;
        if (at_load(&cold.closing) && !all) {
            all = true;
            at = at_load(&cold.chunks);
        }
        thaw_some(&at, &index);
    }
    weft__tsan_loud();
    weft__service_thread(-1);
    at_store(&cold.ended, 2);
    weft__futex_wake(&cold.ended, 1);
    return NULL;
}

/* ---- fork ---- */

/* C5 */
static void fork_begins(void)
{
    at_add(&cold.forking, 1);
    while (at_load(&cold.freezing))
        give_way();
}

static void fork_done(void)
{
    at_store(&cold.forked, 1);
    at_sub(&cold.forking, 1);
}

/* Not by memcpy: what a sanitizer thinks of these frames is not asked. */
static __attribute__((no_sanitize("address"), no_sanitize("thread"))) void page_write(
    uint64_t *to, const uint64_t *from)
{
    for (unsigned i = 0; i < PAGE / sizeof *to; i++)
        *(volatile uint64_t *)&to[i] = from[i];
}

static void put_back_in_child(const struct block *b)
{
    unsigned char there[PAGES];
    size_t bytes;
    char *first = unpack(b, cold.back, &bytes);
    weft__syscall(SYS_mincore, (long)first, (long)bytes, (long)there, 0, 0, 0);
    for (size_t i = 0; i < bytes; i += PAGE)
        if (!(there[i / PAGE] & 1))
            page_write((uint64_t *)(void *)(first + i), (uint64_t *)(void *)(cold.back + i));
}

/* The child has one thread, and this is it. */
static void fork_child(void)
{
    if (!weft__cold_on())
        return;
    at_store(&weft__cold_running, 0);
    for (struct cold_chunk *k = at_load(&cold.chunks); k; k = k->next)
        for (uint32_t i = 0; i < k->slots; i++) {
            struct block *b = at_load(&k->away[i]);
            if (b)
                put_back_in_child(b);
        }
    fd_close(cold.fd); /* its faults are the parent's */
}

/* ---- beginning and end ---- */

static int open_uffd(void)
{
    long fd = weft__syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK, 0, 0, 0, 0, 0);
    if (fd != -EPERM)
        return (int)fd;
    int dev = fd_open("/dev/userfaultfd", O_RDWR);
    if (dev < 0)
        return -EPERM;
    fd =
        weft__syscall(SYS_ioctl, dev, (long)WEFT__USERFAULTFD_NEW, O_CLOEXEC | O_NONBLOCK, 0, 0, 0);
    fd_close(dev);
    return fd < 0 ? -EPERM : (int)fd;
}

static int refuse(int rc)
{
    const char *why = rc == -EPERM
                          ? "userfaultfd for the kernel's own faults wants CAP_SYS_PTRACE, "
                            "vm.unprivileged_userfaultfd=1, or access to /dev/userfaultfd"
                      : rc == -ENOSYS  ? "the kernel has no userfaultfd"
                      : rc == -ENOTSUP ? "the kernel's userfaultfd cannot move pages (Linux 6.8)"
                                       : "no memory, or no descriptors";
    weft__log(WEFT_LOG_ERROR, "weft_run: no cold stacks here (cold_ns, WEFT_COLD): %s", why);
    return rc;
}

static int connect_uffd(void)
{
    cold.fd = open_uffd();
    if (cold.fd < 0)
        return cold.fd;
    struct uffdio_api api = {.api = UFFD_API, .features = WEFT__UFFD_FEATURE_MOVE};
    if (call(UFFDIO_API, &api) < 0)
        return -ENOTSUP;
    return 0;
}

static int memory_map(void)
{
    size_t table = GRANULES * sizeof *cold.granule, stage = PAGES * PAGE;
    size_t code = WEFT__PACKED_MAX(PAGES * PAGE) + PAGE - 1;
    code &= ~(size_t)(PAGE - 1);
    if (cold.granule)
        return 0;
    char *p = mmap(NULL, table + 2 * stage + code, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    cold.stage = p + table;
    cold.back = cold.stage + stage;
    cold.code = (uint8_t *)cold.back + stage;
    cold.granule = (void *)p;
    pthread_atfork(fork_begins, fork_done, fork_child);
    return 0;
}

static void fds_close(void)
{
    int *const all[] = {&cold.fd, &cold.pagemap, &cold.stop[0], &cold.stop[1]};
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        if (*all[i] >= 0)
            fd_close(*all[i]);
        *all[i] = -1;
    }
}

static int keeper_start(void)
{
    /* Not locked, whatever mlockall says: then a page that is cannot be moved there, and stays. */
    munlock(cold.stage, PAGES * PAGE);
    drop(cold.stage, PAGES * PAGE);
    if (register_range(cold.stage, PAGES * PAGE) < 0)
        return -ENOMEM;
    cold.pagemap = fd_open("/proc/self/pagemap", O_RDONLY);
    if (weft__syscall(SYS_pipe2, (long)cold.stop, O_CLOEXEC, 0, 0, 0, 0) < 0)
        return -EMFILE;
    at_store(&cold.closing, 0);
    at_store(&cold.ended, 0);
    return weft__service_start(0, keeper_main, NULL);
}

int weft__cold_start(void)
{
    cold.fd = cold.pagemap = cold.stop[0] = cold.stop[1] = -1;
    int rc = connect_uffd();
    if (rc == 0)
        rc = memory_map();
    if (rc == 0)
        rc = keeper_start();
    if (rc < 0) {
        fds_close();
        return refuse(rc);
    }
    at_store(&weft__cold_running, 1);
    weft__stack_chunks_each(weft__cold_chunk);
    return 0;
}

void weft__cold_closing(void)
{
    if (!weft__cold_on())
        return;
    at_store(&cold.closing, 1);
    weft__syscall(SYS_write, cold.stop[1], (long)"", 1, 0, 0, 0);
}

void weft__cold_stop(void)
{
    uint32_t e;
    if (!weft__cold_on())
        return;
    at_store(&cold.ended, 1);
    weft__cold_closing();
    while ((e = at_load(&cold.ended)) != 2)
        weft__futex_wait(&cold.ended, e, -1);
    at_store(&weft__cold_running, 0);
    fds_close(); /* who waits, for a page that had been dropped, finds zeros */
}

void weft__cold_count(struct weft__cold_counts *ret)
{
    *ret = (struct weft__cold_counts){.away = at_load(&cold.count_away),
        .bytes = weft__store_bytes(),
        .frozen = at_load(&cold.frozen),
        .thawed = at_load(&cold.thawed),
        .refused = at_load(&cold.refused),
        .zeros = at_load(&cold.zeros)};
}
