// SPDX-License-Identifier: Apache-2.0
/*
 * fiber.c - making and ending fibers, and the words for their states.
 *
 *      weft__spawn ──> RUNNABLE ──pick──> RUNNING ──park──> WAITING ──ready──> RUNNABLE
 *                          ^                │ │
 *                          └──yield, preempt┘ └──return / weft__fiber_finish──> DEAD
 *                                                                  (its stack to the free list)
 *
 * The stack's top holds the record; below it the copied argument; below that the first frame. A
 * spawn touches one page. The limit of fibers is counted down in batches (sched.fibers_left,
 * worker.budget), so it costs no shared write a spawn.
 */
#include <errno.h>
#include <string.h>

#include "base/fatal.h"
#include "sched/ring.h"
#include "sched/sanitize.h"
#include "sched/stack_cache.h"
#include "sched/worker.h"

static const char *const reasons[WEFT__WAIT_COUNT] = {
    [WEFT__WAIT_NONE] = "none",
    [WEFT__WAIT_CHAN_RECV] = "chan receive",
    [WEFT__WAIT_CHAN_SEND] = "chan send",
    [WEFT__WAIT_CHAN_RECV_NIL] = "chan receive (nil chan)",
    [WEFT__WAIT_CHAN_SEND_NIL] = "chan send (nil chan)",
    [WEFT__WAIT_SELECT] = "select",
    [WEFT__WAIT_SELECT_EMPTY] = "select (no cases)",
    [WEFT__WAIT_SLEEP] = "sleep",
    [WEFT__WAIT_MUTEX] = "mutex lock",
    [WEFT__WAIT_RWMUTEX_R] = "rwmutex rlock",
    [WEFT__WAIT_RWMUTEX_W] = "rwmutex lock",
    [WEFT__WAIT_COND] = "cond wait",
    [WEFT__WAIT_WAITGROUP] = "waitgroup wait",
    [WEFT__WAIT_ONCE] = "once",
    [WEFT__WAIT_SEMA] = "semaphore acquire",
    [WEFT__WAIT_BARRIER] = "barrier wait",
    [WEFT__WAIT_SCOPE] = "scope join",
    [WEFT__WAIT_IO_READ] = "IO read",
    [WEFT__WAIT_IO_WRITE] = "IO write",
    [WEFT__WAIT_FILE] = "file operation",
    [WEFT__WAIT_RESOLVE] = "name resolution",
    [WEFT__WAIT_FLIGHT] = "single flight",
    [WEFT__WAIT_OTHER] = "other",
};

const char *weft__reason_name(enum weft__reason r)
{
    return (unsigned)r < WEFT__WAIT_COUNT ? reasons[r] : "?";
}

const char *weft__state_name(enum weft__state s)
{
    static const char *const names[] = {"dead", "idle", "runnable", "running", "waiting"};
    return (unsigned)s < 5 ? names[s] : "?";
}

/* Tells that f ends with this result; its stack is the next one's from the switch on. */
static inline void end(struct weft__fiber *f, int result);

static void *fiber_start(void *arg)
{
    struct weft__fiber *f = arg;
    struct weft__mach *m = weft__mach_self();
    weft__sanitize_arrive(f);
    *m->errno_at = 0;
    if (m->eh_at)
        m->eh_at[0] = m->eh_at[1] = NULL;
    weft__tsan_quiet();
    weft__tsan_acquire(f); /* what its starter, and the last fiber on this stack, did before */
    weft__after_switch(m);
    weft__leave();
    int rc = f->entry(f->arg);
    weft__enter();
    end(f, rc);
    return weft__exit_to(f);
}

/* One from the worker's share of the limit, refilled from the whole. */
static bool budget_take(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    unsigned want = w ? s->batch : 1;
    if (w && w->budget > 0) {
        w->budget--;
        return true;
    }
    int64_t left = at_load(&s->fibers_left);
    do {
        if (left <= 0)
            return false;
        want = left < want ? (unsigned)left : want;
    } while (!at_cas(&s->fibers_left, &left, left - want));
    if (w)
        w->budget += want - 1;
    return true;
}

static void budget_give(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    if (!w) {
        at_add(&s->fibers_left, 1);
        return;
    }
    if (++w->budget >= 2 * s->batch) {
        w->budget -= s->batch;
        at_add(&s->fibers_left, s->batch);
    }
}

static uint64_t new_id(struct weft__worker *w)
{
    if (!w)
        return at_add(&weft__sched.next_id, 1) + 1;
    if (w->next_id == w->last_id) {
        w->next_id = at_add(&weft__sched.next_id, 1024) + 1;
        w->last_id = w->next_id + 1024;
    }
    return w->next_id++;
}

/* In pieces that become a wide store each: of the whole a compiler makes `rep stos`, which takes
 * 10 ns to begin. Not wake: that may still be marked by who walks through all (weft__interrupt_all)
 * and thinks of the fiber that was here before. */
static void record_init(struct weft__fiber *f, const struct weft__spawn *s)
{
    enum {
        PIECE = 16,
        FROM = offsetof(struct weft__fiber, wake_result),
        TO = offsetof(struct weft__fiber, sanitizer)
    };
    _Static_assert((TO - FROM) % PIECE == 0, "no piece goes beyond");
    at_store_rlx(&f->wake, (uint32_t)WEFT__WAKE_RUN); /* [mo:alone: nobody has it yet] */
    at_store_rlx(&f->state, (uint32_t)WEFT__DEAD);    /* [mo:alone: for dumps] */
#pragma GCC unroll 16
    for (size_t at = FROM; at < TO; at += PIECE)
        __builtin_memset((char *)f + at, 0, PIECE);
    f->entry = s->entry;
    f->arg = s->arg;
    f->on_exit = s->on_exit;
    f->spawn_site = s->spawn_site;
    f->flags = s->flags;
}

static void stack_give(struct weft__worker *w, struct weft__fiber *f)
{
    if (!w || !weft__stack_keep(&w->stacks, f))
        weft__stack_free(w ? &w->stacks : NULL, f);
}

/* A stack that the cache has not. */
static __attribute__((noinline)) struct weft__fiber *stack_alloc(
    struct weft__worker *w, unsigned c, int *ret_rc)
{
    struct weft__fiber *f = NULL;
    *ret_rc = c == WEFT__STACK_CLASSES ? -EINVAL : weft__stack_alloc(w ? &w->stacks : NULL, c, &f);
    return *ret_rc < 0 ? NULL : f;
}

/* The argument's copy, on the new stack's top. The new top; NULL: too large. */
static __attribute__((noinline)) char *copy_in(
    struct weft__fiber *f, const struct weft__spawn *s, char *top)
{
    size_t align = s->copy_align > 16 ? s->copy_align : 16;
    top = (char *)(((uintptr_t)top - s->copy_bytes) & ~(uintptr_t)(align - 1));
    if (top < f->stack_low + 8192)
        return NULL;
    weft__valgrind_start(f, top);
    memcpy(top, s->copy, s->copy_bytes);
    f->arg = top;
    return top;
}

static inline __attribute__((always_inline)) int spawn(
    const struct weft__spawn *s, struct weft__worker *w, struct weft__fiber **ret_fiber)
{
    struct weft__sched *k = &weft__sched;
    struct weft__mach *m = weft__mach_self();
    int rc = 0;
    if (__builtin_expect(!at_load(&k->running) || at_load(&k->stopping), 0))
        return -ESHUTDOWN;
    if (__builtin_expect(!budget_take(w), 0))
        return -EAGAIN;
    unsigned c = s->stack_bytes ? weft__stack_class(s->stack_bytes) : k->stack_class;
    struct weft__fiber *f = w && c < WEFT__STACK_CLASSES ? weft__stack_cached(&w->stacks, c) : NULL;
    if (__builtin_expect(!f, 0) && !(f = stack_alloc(w, c, &rc)))
        goto none;
    record_init(f, s);
    f->id = new_id(w);
    f->parent_id = m ? m->t.cur->id : 0;
    char *top = weft__stack_top(f);
    if (!s->copy)
        weft__valgrind_start(f, top);
    else if (!(top = copy_in(f, s, top)))
        goto too_large;
    f->sp = weft__arch_stack_init(top, fiber_start, f);
    weft__sanitize_new(f);
    weft__stack_mark_live(f);
    if (s->prepare)
        s->prepare(f, s->prepare_arg);
    weft__tsan_release(f);
    if (w)
        w->spawns++;
    if (ret_fiber)
        *ret_fiber = f;
    weft__ready(f);
    if (s->relieve && w && __builtin_expect(weft__ring_full(w), 0) &&
        !(m->t.cur->flags & WEFT__F_IDLE))
        weft__requeue_global(m->t.cur);
    return 0;
too_large:
    rc = -E2BIG;
    stack_give(w, f);
none:
    budget_give(w);
    return rc;
}

/* By a plain thread: the start must not fall between the last fiber and the end. A run that is to
 * end takes no new ones from outside, or it never would. */
static __attribute__((noinline)) int spawn_outside(
    const struct weft__spawn *s, struct weft__fiber **ret_fiber)
{
    if (at_load(&weft__sched.draining) || !weft__hold())
        return -ESHUTDOWN;
    int rc = spawn(s, NULL, ret_fiber);
    weft__release();
    return rc;
}

int weft__spawn(const struct weft__spawn *s, struct weft__fiber **ret_fiber)
{
    struct weft__mach *m = weft__mach_self();
    struct weft__worker *w = m ? weft__mach_worker(m) : NULL;
    return w ? spawn(s, w, ret_fiber) : spawn_outside(s, ret_fiber);
}

static inline void end(struct weft__fiber *f, int result)
{
    if (f->on_exit)
        f->on_exit(f, result);
    at_store_rlx(&f->state, (uint32_t)WEFT__DEAD); /* [mo:alone: for dumps] */
    budget_give(weft__mach_worker(weft__mach_self()));
}

void weft__fiber_finish(int result)
{
    struct weft__fiber *f = weft__self();
    end(f, result);
    weft__arch_switch(&f->sp, weft__exit_to(f));
    __builtin_unreachable();
}

/* Of an earlier run there may be some left, which are never to run again: their ids are lower. */
static bool interrupt_one(struct weft__fiber *f, void *arg)
{
    (void)arg;
    weft__tsan_quiet();
    bool ours = f->id >= weft__sched.first_id;
    weft__tsan_loud();
    if (ours)
        weft__interrupt(f);
    return true;
}

void weft__interrupt_all(void)
{
    at_fence(); /* between what the caller stored and the look: X8 of ctx/context.h */
    weft__stack_each(interrupt_one, NULL);
}

void weft__fibers_each(bool (*fn)(struct weft__fiber *f, void *arg), void *arg)
{
    weft__stack_each(fn, arg);
}
