// SPDX-License-Identifier: Apache-2.0
/*
 * park.c - leaving and coming back: the switch with the leaver's commit on the successor's side,
 * park, ready, yield.
 *
 * The fast path of a channel hand-off: weft__ready puts the partner into the worker's next slot (a
 * plain store), weft__park takes it out again and switches straight to it; no idle stack, no clock,
 * no system call. Only with nothing to run, or every 61st pick (timers, global queue, poller,
 * fairness to the ring), the idle stack runs and mach_loop decides.
 *
 * P1  mach.op/op_fiber/commit are set by the leaver just before the switch and consumed by
 *     weft__after_switch, which every arriving context calls first: resumed fibers in
 *     weft__switch_to, new fibers in their trampoline.
 * P2  The leaver's wake word becomes WAIT before its commit runs, so whoever finds it through the
 *     unlocked object may claim it.
 * P3  After P2 and the commit the leaver is not touched any more.
 * P4  A context's end may claim the leaver between P2 and its commit. mach.committing names it for
 *     that time, and an interrupted fiber waits until it is named no more: the commit may read the
 *     frame that the fiber would leave. (A word of the mach and not of the fiber: the fiber may be
 *     gone when it is cleared.)
 */
#include <sys/syscall.h>

#include "base/fatal.h"
#include "base/futex.h"
#include "sched/ring.h"
#include "sched/sanitize.h"
#include "sched/simulate.h"
#include "sched/stack_cache.h"
#include "sched/worker.h"

static inline void set_state(struct weft__fiber *f, enum weft__state s)
{
    at_store_rlx(&f->state, (uint32_t)s); /* [mo:alone: for dumps] */
}

/* Without a worker: into the global queue, or with what a poll gathers. */
static __attribute__((noinline)) void enqueue_outside(struct weft__mach *m, struct weft__fiber *f)
{
    if (m && m->polling) {
        f->next = NULL;
        *m->gathered_tail = f;
        m->gathered_tail = &f->next;
        return;
    }
    if (!weft__hold()) /* f may run, end, and be the last of its run, while we wake */
        return;        /* no run takes it: it is left over */
    if (!(f->flags & WEFT__F_LEFT)) { /* since ready looked, another run may have begun */
        weft__global_push(f);
        at_fence();
        weft__wake_for_surplus();
    }
    weft__release();
}

/* Puts a runnable fiber where this mach's worker will find it soonest. */
static inline void enqueue(struct weft__mach *m, struct weft__fiber *f, bool hand_off)
{
    struct weft__worker *w = m ? weft__mach_worker(m) : NULL;
    set_state(f, WEFT__RUNNABLE);
    if (__builtin_expect(!w, 0)) {
        enqueue_outside(m, f);
        return;
    }
    if (hand_off) {
        struct weft__fiber *old = at_load(&w->next);
        if (!old) {
            at_store_rel(&w->next,
                f); /* [mo:next] only thieves write it meanwhile, and only NULL over non-NULL */
            return;
        }
        old = at_xchg(&w->next, f);
        if (!old)
            return;
        f = old;
    }
    weft__ring_push(w, f);
    if (weft__sched.workers > 1) {
        at_fence(); /* W4 */
        weft__wake_for_surplus();
    }
}

/* S4. what: what the fiber was about to do. */
#ifndef NDEBUG
static void check_none_kept(const struct weft__fiber *f, const char *what)
{
    char locks[1024];
    if (__builtin_expect(!weft__rank_kept(locks, sizeof locks), 1))
        return;
    if (f->flags & (WEFT__F_THREAD | WEFT__F_IDLE))
        weft__misuse("park (%s) by a plain thread while a runtime lock is held: %s", what, locks);
    weft__misuse("park (%s) by fiber %llu while a runtime lock is held: %s", what,
        (unsigned long long)f->id, locks);
}

static void check_all_released(void)
{
    char locks[1024];
    if (__builtin_expect(weft__rank_any(locks, sizeof locks), 0))
        weft__fatal("the commit of a park has not released %s", locks);
}
#else
#define check_none_kept(f, what) ((void)0)
#define check_all_released() ((void)0)
#endif

void weft__commit_unlock(struct weft__fiber *f, void *lock)
{
    (void)f;
    weft__unlock(lock);
}

static inline void run_commit(struct weft__fiber *f, weft__commit_fn commit, void *arg)
{
    if (commit == weft__commit_unlock)
        weft__unlock(arg);
    else if (commit)
        commit(f, arg);
}

static inline void commit_park(struct weft__mach *m, struct weft__fiber *f, bool hard)
{
    uint32_t run = WEFT__WAKE_RUN;
    weft__commit_fn commit = m->commit;
    void *arg = m->commit_arg;
    if (hard) {
        at_or(&f->wake, WEFT__WAKE_WAIT_HARD);
        run_commit(f, commit, arg);
        check_all_released();
        return;
    }
    f->committer = m;
    at_store_rlx(
        &m->committing, f); /* [mo:committing] before f can be claimed: the CAS is a release */
    bool waits = at_cas(&f->wake, &run, WEFT__WAKE_WAIT);
    if (!waits) /* the interrupt bit stands: do not wait */
        f->wake_result = WEFT__INTERRUPTED;
    run_commit(f, commit, arg);
    at_store_rel(&m->committing, NULL); /* [mo:committing] */
    check_all_released();
    if (!waits)
        enqueue(m, f, true);
}

/* P4: f was interrupted, perhaps before its commit has run on the thread that it left. */
static void await_commit(const struct weft__fiber *f)
{
    struct weft__mach *m = f->committer;
    for (int spins = 0; at_load_acq(&m->committing) == f; spins++) { /* [mo:committing] */
        if (spins < 100)
            weft__cpu_pause();
        else
            weft__syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    }
}

/* What the leaver's kind of leaving asks for besides a park or a yield. */
static __attribute__((noinline)) void after_rare(
    struct weft__mach *m, struct weft__fiber *f, enum weft__op op)
{
    if (op == WEFT__OP_GLOBAL) {
        set_state(f, WEFT__RUNNABLE);
        weft__global_push(f);
        at_fence();
        weft__wake_for_surplus();
    }
}

static inline void bury(struct weft__mach *m, struct weft__fiber *f)
{
    struct weft__worker *w = weft__mach_worker(m);
    weft__sanitize_end(f);
    weft__sanitize_stack_reset(f);
    weft__stack_mark_free(f);
    if (!w || !weft__stack_keep(&w->stacks, f))
        weft__stack_free(w ? &w->stacks : NULL, f);
}

static inline void after_switch(struct weft__mach *m)
{
    struct weft__fiber *f = m->op_fiber;
    enum weft__op op = m->op;
    m->op = WEFT__OP_NONE;
    if (op == WEFT__OP_PARK)
        commit_park(m, f, false);
    else if (op == WEFT__OP_YIELD)
        enqueue(m, f, false);
    else if (op == WEFT__OP_PARK_HARD)
        commit_park(m, f, true);
    else if (op == WEFT__OP_EXIT)
        bury(m, f);
    else
        after_rare(m, f, op);
}

void weft__after_switch(struct weft__mach *m)
{
    after_switch(m);
}

void weft__switch_to(struct weft__mach *m, struct weft__fiber *from, struct weft__fiber *to)
{
    from->saved_errno = *m->errno_at;
    if (m->eh_at) {
        from->eh_globals[0] = m->eh_at[0];
        from->eh_globals[1] = m->eh_at[1];
    }
    m->t.cur = to;
    set_state(to, WEFT__RUNNING);
    weft__sanitize_leave(from, to, m->op == WEFT__OP_EXIT);
    weft__arch_switch(&from->sp, to->sp);
    m = weft__mach_self();
    weft__sanitize_arrive(from);
    *m->errno_at = from->saved_errno;
    if (m->eh_at) {
        m->eh_at[0] = from->eh_globals[0];
        m->eh_at[1] = from->eh_globals[1];
    }
    after_switch(m);
}

/* The idle stack is to look, since a timer is due or this is the 61st pick. That pick is left for
 * look_local to count: whoever counts it must make it, or the global queue, and the ring behind the
 * hand-off slot, starve. */
static inline bool look_is_due(struct weft__worker *w)
{
    return (weft__turns(w) + 1) % WEFT__POLL_TURNS == 0 ||
           at_load_rlx(&w->heap.next_ns) <=
               at_load_rlx(&weft__sched.coarse_ns); /* [mo:alone: late by a tick at most] */
}

/* The next fiber without the idle stack's help, or NULL. */
static inline struct weft__fiber *pick(struct weft__worker *w)
{
    weft__turn(w);
    struct weft__fiber *f = at_load(&w->next);
    if (f && at_cas(&w->next, &f, NULL))
        return f->bound ? (weft__global_push(f), NULL) : f;
    f = weft__ring_pop(w);
    if (f && __builtin_expect(f->bound != NULL,
                 0)) { /* only mach_loop can hand the worker to a sleeping thread */
        weft__global_push(f);
        return NULL;
    }
    return f;
}

/* Whoever goes on when f leaves this thread, by op. */
static inline struct weft__fiber *successor(
    struct weft__mach *m, struct weft__fiber *f, enum weft__op op)
{
    struct weft__worker *w = weft__mach_worker(m);
    struct weft__fiber *to = w && !look_is_due(w) ? pick(w) : NULL;
    m->op = op;
    m->op_fiber = f;
    if (w)
        w->switches++;
    return to ? to : &m->idle;
}

static inline void leave(struct weft__mach *m, struct weft__fiber *f, enum weft__op op)
{
    weft__switch_to(m, f, successor(m, f, op));
}

/* A plain thread's sleep, until it is made ready; limit ends it by claiming the thread's record. */
static void await_wake(struct weft__fiber *f, struct weft__timer *limit)
{
    while (at_load(&f->thread_wake) == 0) {
        int64_t left = limit ? limit->when_ns - weft__clock_ns() : -1;
        if (limit && left <= 0) {
            limit->fn(limit, limit->arg);
            limit = NULL; /* who claimed before it is on the way */
        } else {
            weft__futex_wait(&f->thread_wake, 0, left);
        }
    }
}

static int park_thread(struct weft__fiber *f, unsigned flags, weft__commit_fn commit, void *arg)
{
    uint32_t run = WEFT__WAKE_RUN;
    struct weft__mach *m = weft__mach_self();
    m->limit = NULL;
    at_store(&f->thread_wake, 0);
    if (flags & WEFT__PARK_HARD) {
        at_or(&f->wake, WEFT__WAKE_WAIT_HARD);
    } else if (!at_cas(&f->wake, &run, WEFT__WAKE_WAIT)) {
        f->wake_result = WEFT__INTERRUPTED;
        at_store(&f->thread_wake, 1);
    }
    if (commit)
        commit(f, arg);
    check_all_released();
    await_wake(f, m->limit);
    set_state(f, WEFT__RUNNING);
    return f->wake_result;
}

int weft__park(enum weft__reason reason, const void *object, void *caller, unsigned flags,
    weft__commit_fn commit, void *arg)
{
    struct weft__mach *m = weft__mach_self();
    struct weft__fiber *f = m->t.cur;
    f->park_object = object;
    f->park_caller = caller;
    f->park_since_ns = at_load_rlx(&weft__sched.coarse_ns); /* [mo:alone: a record] */
    at_store_rlx(&f->park_reason, (uint32_t)reason);        /* [mo:alone: a record] */
    if (commit == weft__commit_unlock)
        weft__rank_hand(arg);
    check_none_kept(f, weft__reason_name(reason));
    set_state(f, WEFT__WAITING);
    int rc;
    if (f->flags & (WEFT__F_THREAD | WEFT__F_IDLE)) {
        WEFT_CHECK(!(f->flags & WEFT__F_IDLE));
        rc = park_thread(f, flags, commit, arg);
    } else {
        struct weft__worker *w = weft__mach_worker(m);
        if (w)
            w->parks[reason]++;
        m->commit = commit;
        m->commit_arg = arg;
        leave(m, f, flags & WEFT__PARK_HARD ? WEFT__OP_PARK_HARD : WEFT__OP_PARK);
        rc = f->wake_result;
        if (__builtin_expect(rc == WEFT__INTERRUPTED, 0))
            await_commit(f);
    }
    at_store_rlx(&f->park_reason, (uint32_t)WEFT__WAIT_NONE); /* [mo:alone: a record] */
    return rc;
}

static void ready(struct weft__fiber *f, bool hand_off)
{
    if (__builtin_expect(f->flags & (WEFT__F_THREAD | WEFT__F_LEFT), 0)) {
        if (f->flags & WEFT__F_LEFT)
            return;
        at_store(&f->thread_wake, 1);
        weft__futex_wake(&f->thread_wake, 1);
        return;
    }
    if (__builtin_expect(at_load(&f->wake) & WEFT__WAKE_SHRINK, 0) && weft__shrink_owes(f))
        return; /* N2 of shrink.c */
    enqueue(weft__mach_self(), f, hand_off);
}

void weft__ready(struct weft__fiber *f)
{
    ready(f, true);
}
void weft__ready_tail(struct weft__fiber *f)
{
    ready(f, false);
}

void weft__interrupt(struct weft__fiber *f)
{
    const uint32_t both = WEFT__WAKE_WAIT | WEFT__WAKE_INTERRUPT;
    uint32_t w = at_or(&f->wake, WEFT__WAKE_INTERRUPT) | WEFT__WAKE_INTERRUPT;
    /* Again where only shrink.c's bits have changed. Never a later wait: that one would have the
     * bit from another interrupt, which ends it as well. */
    while ((w & (WEFT__WAKE_MASK | WEFT__WAKE_INTERRUPT)) == both) {
        if (!at_cas(&f->wake, &w, w & WEFT__WAKE_KEPT))
            continue;
        f->wake_result = WEFT__INTERRUPTED;
        weft__ready_tail(f);
        return;
    }
}

void weft__yield(void)
{
    struct weft__mach *m = weft__mach_self();
    struct weft__fiber *f = m->t.cur;
    check_none_kept(f, "yield");
    if (f->flags & (WEFT__F_THREAD | WEFT__F_IDLE))
        return;
    struct weft__worker *w = weft__mach_worker(m);
    struct weft__fiber *to = NULL;
    if (w && !look_is_due(w)) {
        to = pick(w);
        if (!to && weft__ring_empty(w))
            return; /* nobody else here: the others are looked for every 61st turn */
    }
    m->op = WEFT__OP_YIELD;
    m->op_fiber = f;
    if (w)
        w->switches++;
    weft__switch_to(m, f, to ? to : &m->idle);
}

void *weft__exit_to(struct weft__fiber *f)
{
    struct weft__mach *m = weft__mach_self();
    weft__tsan_release(f);
    weft__tsan_release(&weft__sched); /* a fiber's end happens before weft_run's return */
    weft__tsan_loud();
    struct weft__fiber *to = successor(m, f, WEFT__OP_EXIT);
    m->t.cur = to;
    set_state(to, WEFT__RUNNING);
    weft__sanitize_leave(f, to, 1);
    return to->sp;
}

void weft__requeue_global(struct weft__fiber *f)
{
    if (weft__sim_here())
        weft__sim_mark_point(); /* it could go on */
    leave(weft__mach_self(), f, WEFT__OP_GLOBAL);
}

void weft__abandon(struct weft__mach *m)
{
    struct weft__fiber *f = m->t.cur;
    set_state(f, WEFT__RUNNABLE);
    leave(m, f, WEFT__OP_NONE);
    weft__fatal("a fiber that was left over goes on");
}

uint32_t weft__random_below(uint32_t bound)
{
    struct weft__mach *m = weft__mach_self();
    struct weft__worker *w = weft__mach_worker(m);
    struct weft__rand *r = w ? &w->rand : &m->rand;
    if (__builtin_expect(r->state == 0, 0)) {
        if (weft__sim_here())
            return weft__sim_choose(bound);
        weft__rand_init(r, (uint64_t)m->tid << 32);
    }
    return weft__rand_below(r, bound);
}
