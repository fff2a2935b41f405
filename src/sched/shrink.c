// SPDX-License-Identifier: Apache-2.0
/*
 * shrink.c - memory that stacks do not need any more goes back to the kernel.
 *
 * A fiber that once went 200 KiB deep and now waits shallow holds 50 pages for nothing, perhaps for
 * hours. So the monitor walks slowly through the live stacks, and of each that has been parked for
 * AGE_NS it asks the kernel (mincore) whether pages lie below its stack pointer; if there are
 * DEEP_PAGES or more, they are dropped, all but the one below the pointer's own, which its next
 * calls would touch again. Once a park, so a fiber that waits for ever costs one question.
 *
 *      low                             keep        sp                         record
 *      | guard | .... dropped ........ | kept page | frames of the parked fiber |
 *
 * Why so: the parking path would have to note how deep a fiber went, and cannot know (the deepest
 * call was in somebody's library). mincore costs 0.3 us, for each park that lasts a second.
 * Rejected: dropping without asking (0.5 us, and refaults for those that use 8 KiB again and
 * again); a note of the lowest pointer seen at switches (the deep call never switched).
 *
 * The fiber may be woken while its pages go. Its waker must not wait for the monitor, which may be
 * off its processor; nor may the fiber run before the kernel is done. So the wake word decides:
 *
 *      WAIT ──shrinker──> WAIT|SHRINK ──claim──> SHRINK ──its waker──> SHRINK|OWED
 *                              │                    │                      │
 *                     (done)   v           (done)   v             (done)   v
 *                     WAIT|SHRUNK                  RUN          RUN, and the shrinker readies it
 *
 * N1  Pages are dropped only while SHRINK is set; it is set only by a compare-and-swap from a
 *     waiting word, and the stack pointer is read after that. The registers were saved before the
 *     word said WAIT (P2 of park.c), and a fiber with SHRINK in its word is in no queue.
 * N2  A waker claims as ever, leaves its result, and readies. weft__ready sees SHRINK, leaves OWED
 *     and goes on; the shrinker, taking both bits off in one step, finds it. Either the waker finds
 *     SHRINK gone, or the shrinker finds OWED: the fiber is made runnable once.
 * N3  While a fiber may be owed it is counted in sched.detached, so nobody judges the run to be
 *     over or dead. Who judged meanwhile is woken to judge again.
 *
 * A pass over all stacks begins each period while anybody is busy, in bites of BITE a tick (64
 * live stacks: about 2% of a core at most, while a million fibers park anew); when all are idle
 * IDLE_PASSES more are made (and those that cold stacks wait for), in larger bites, and then the
 * monitor sleeps for good (M4). The same walk hands to cold.c who has been parked for longer. Each
 * period also trims the pools of free stacks (stack.h), and flushes those of workers that slept
 * since the last.
 *
 * Concurrency: two shrinkers exclude each other by SHRINK; the state of passes is the monitor's.
 * Progress: no waker waits. A shrinker that is stopped between its two steps delays one fiber.
 * Limits: pages that mlock holds stay (the kernel refuses). A free stack in a hot list keeps its
 * pages until it goes cold. Pointers below another fiber's stack pointer are not kept alive: there
 * is nothing there that C allows to be used.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/futex.h"
#include "sched/cold.h"
#include "sched/worker.h"

enum { DEEP_PAGES = 4, PAGE = 4096, PIECE = 256, BITE = 1024, IDLE_BITE = 65536, IDLE_PASSES = 5 };
static const int64_t age_ns = 1000000000, period_ns = 1000000000;

static _Atomic uint64_t shrunk;

/* Who has been parked since then is looked at; whose stack is put away (INT64_MIN: nobody's). */
struct moments {
    int64_t parked_ns, cold_ns;
};

static struct {
    int64_t began_ns;
    struct moments since;
    uint64_t at;
    bool passing;
    unsigned idle_passes;
} own; /* the monitor's */

uint64_t weft__shrink_count(void)
{
    return at_load(&shrunk);
}

bool weft__shrink_owes(struct weft__fiber *f)
{
    uint32_t w = at_load(&f->wake);
    while (w & WEFT__WAKE_SHRINK)
        if (at_cas(&f->wake, &w, w | WEFT__WAKE_OWED))
            return true;
    return false;
}

/* What lies below sp and is not to be kept; 0 if sp is not this stack's (a racy look). */
static size_t below(const struct weft__fiber *f, uintptr_t sp)
{
    uintptr_t low = (uintptr_t)f->stack_low, keep = (sp & ~(uintptr_t)(PAGE - 1)) - PAGE;
    return sp > low && sp < (uintptr_t)f && keep > low ? keep - low : 0;
}

/* Whether DEEP_PAGES pages are there, from the top down, as stacks grow. */
static bool deep(const char *low, size_t bytes)
{
    unsigned char there[PIECE];
    int there_now = weft__cold_resident(low, bytes, DEEP_PAGES);
    unsigned found = 0;
    if (there_now >= 0)
        return there_now >= DEEP_PAGES;
    while (bytes > 0 && found < DEEP_PAGES) {
        size_t n = bytes < (size_t)PIECE * PAGE ? bytes : (size_t)PIECE * PAGE;
        bytes -= n;
        if (weft__syscall(SYS_mincore, (long)(low + bytes), (long)n, (long)there, 0, 0, 0) != 0)
            return false;
        for (size_t i = 0; i < n / PAGE; i++)
            found += there[i] & 1;
    }
    return found >= DEEP_PAGES;
}

static void ready_owed(struct weft__fiber *f)
{
    at_store(&f->state, (uint32_t)WEFT__RUNNABLE);
    weft__global_push(f);
    at_fence();
    weft__wake_one();
}

/* N3: whoever found one fiber too many under way judges once more. */
static void judge_again(void)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&s->idle) == s->workers)
        weft__poller_poke(); /* who is on the way to that role finds it too */
}

static void shrink(struct weft__fiber *f, uint32_t w)
{
    struct weft__sched *s = &weft__sched;
    at_add(&s->detached, 1);
    if (at_cas(&f->wake, &w, w | WEFT__WAKE_SHRINK | WEFT__WAKE_SHRUNK)) {
        size_t bytes = below(f, (uintptr_t)f->sp);
        long rc =
            weft__syscall(SYS_madvise, (long)f->stack_low, (long)bytes, MADV_DONTNEED, 0, 0, 0);
        weft__cold_refill(f->stack_low, bytes);
        at_add(&shrunk, (uint64_t)(rc == 0));
        uint32_t both = WEFT__WAKE_SHRINK | WEFT__WAKE_OWED;
        if (at_and(&f->wake, ~both) & WEFT__WAKE_OWED)
            ready_owed(f);
    }
    at_sub(&s->detached, 1);
    judge_again();
}

/* Others write what this reads; what it decides from that, the wake word confirms or refuses. */
static WEFT__TSAN_FREE void look(struct weft__fiber *f, void *arg)
{
    const struct moments *since = arg;
    if (since->cold_ns != INT64_MIN && weft__cold_freeze(f, since->cold_ns))
        return;
    uint32_t w = at_load(&f->wake);
    if ((w & WEFT__WAKE_MASK) == WEFT__WAKE_RUN || w & (WEFT__WAKE_SHRINK | WEFT__WAKE_SHRUNK))
        return;
    if (*(volatile int64_t *)&f->park_since_ns > since->parked_ns)
        return;
    size_t bytes = below(f, (uintptr_t) * (void *volatile *)&f->sp);
    if (deep(f->stack_low, bytes))
        shrink(f, w);
    else
        at_cas(&f->wake, &w, w | WEFT__WAKE_SHRUNK);
}

void weft__shrink_all(int64_t parked_ns)
{
    struct moments since = {parked_ns, INT64_MIN};
    uint64_t at = 0;
    while (weft__stack_walk(&at, IDLE_BITE, look, &since))
        ;
    weft__idle_stacks_flush();
    weft__stack_trim();
}

/* Idle for so many periods, there is nobody left to look at. */
static bool all_seen(void)
{
    return own.idle_passes == IDLE_PASSES + (unsigned)(weft__sched.cold_ns / period_ns);
}

bool weft__shrink_tick(int64_t now_ns, bool idle)
{
    bool disturbed = false;
    if (!idle)
        own.idle_passes = 0;
    if (all_seen())
        return false;
    if (now_ns - own.began_ns >= period_ns) { /* a pass under way goes on */
        own.began_ns = now_ns;
        int64_t cold_ns = weft__sched.cold_ns;
        own.since = (struct moments){now_ns - age_ns, cold_ns ? now_ns - cold_ns : INT64_MIN};
        own.passing = true;
        weft__stack_trim();
        disturbed = weft__idle_stacks_flush();
    }
    if (own.passing && !weft__stack_walk(&own.at, idle ? IDLE_BITE : BITE, look, &own.since)) {
        own.passing = false;
        own.idle_passes += idle;
    }
    return disturbed;
}

int64_t weft__shrink_rest_ns(int64_t now_ns)
{
    enum { SOON_NS = 1000000 };
    if (own.passing)
        return SOON_NS;
    if (all_seen())
        return -1;
    int64_t left = own.began_ns + period_ns - now_ns;
    return left > SOON_NS ? left : SOON_NS;
}
