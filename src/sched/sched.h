// SPDX-License-Identifier: Apache-2.0
/*
 * sched.h - what the rooms above (sync, ctx, io, diag) see of the scheduler: fibers, parking,
 * waking, timers, the poller seam.
 *
 * THE THREE NOUNS. A *fiber* is the user's thread of control. A *worker* (Go's P) owns a run queue
 * and timers; there are as many as cores. A *thread* (Go's M) drives a worker. A plain thread that
 * calls in gets a fiber record of its own that parks by sleeping in a futex, so code above never
 * asks who it runs on: weft__self() is always somebody.
 *
 * THE WAY OF A WAIT. Code that must wait links a node (on its own stack) into the object's queue
 * under the object's lock, and calls weft__park with a *commit* function that releases that lock.
 * The scheduler picks a successor, switches to it, and the SUCCESSOR's side runs the commit, once
 * the leaver's registers are safely on its stack: from that instant another thread may resume the
 * leaver. A waker, holding the object's lock, unlinks the node, claims the fiber (weft__claim:
 * exactly one of several wakers wins), leaves a result, and calls weft__ready.
 *
 *      parker F               successor's side         waker
 *      lock obj
 *      link node
 *      weft__park  ──switch──> wake := WAIT
 *                              commit(): unlock obj     lock obj
 *                                                       unlink node; weft__claim(F)  (wake := RUN)
 *                                                       F->wake_result = …; unlock obj
 *      <──────────────────────────────────────────────  weft__ready(F)
 *
 * CANCELLATION needs no registration at a park. A context knows the fibers that run under it;
 * ending it calls weft__interrupt on each, which sets a sticky bit in the fiber's wake word and, if
 * the fiber is parked in a cancellable wait, claims it. The bit is a hint: whoever finds it asks
 * the context itself (weft__cancelled, a hook that ctx sets).
 *
 * The wake word (fiber.wake):   RUN ──(successor)──> WAIT or WAIT_HARD ──(claim)──> RUN
 *                               | INTERRUPT may be set at any time
 *                               | SHRINK, OWED, SHRUNK while it waits: shrink.c; WARM: cold.c
 *
 * S1  Every waker reaches a fiber through a node that it found linked under the object's lock, and
 *     unlinks it; a parker that was woken by someone else removes its remaining nodes under their
 *     locks before it goes on. So nobody holds a stale fiber.
 * S2  Only the winner of weft__claim writes wake_result and calls weft__ready, once.
 * S3  Between weft__enter and weft__leave the thread is never stopped by the monitor and never
 *     loses its worker. Locks of the runtime are taken only in there, and debug builds check that
 *     none is held at either end (R4 of rank.h). Every public function that touches the runtime is
 *     enter ... leave.
 * S4  No runtime lock is held across weft__park except the ones that its commit releases, nor
 *     across a yield. Debug builds end the process with a sentence of misuse instead (R3 of
 *     rank.h): it takes user code that runs under such a lock to get there, such as a handler for a
 *     fault in memory that a send copies from.
 * S5  After weft__park the OS thread may be another: no thread-local, no errno, no pthread_self()
 *     may be kept across it.
 *
 * Who may call what: everything here from a fiber or a plain thread, inside enter/leave. From a
 * timer callback or the poller (they run on a worker's idle stack): weft__claim, weft__ready,
 * weft__interrupt, weft__spawn, weft__timer_*: never weft__park.
 */
#ifndef WEFT_SCHED_H
#define WEFT_SCHED_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"
#include "base/atomic.h"
#include "base/list.h"
#include "base/lock.h"
#include "base/tsan.h"

struct weft_ctx;
struct weft__scope;
struct weft__sim_driver;
struct weft__worker;

/* ---- why a fiber waits: one word for people, in dumps ("chan receive", ...) ---- */
enum weft__reason {
    WEFT__WAIT_NONE,
    WEFT__WAIT_CHAN_RECV,
    WEFT__WAIT_CHAN_SEND,
    WEFT__WAIT_CHAN_RECV_NIL,
    WEFT__WAIT_CHAN_SEND_NIL,
    WEFT__WAIT_SELECT,
    WEFT__WAIT_SELECT_EMPTY,
    WEFT__WAIT_SLEEP,
    WEFT__WAIT_MUTEX,
    WEFT__WAIT_RWMUTEX_R,
    WEFT__WAIT_RWMUTEX_W,
    WEFT__WAIT_COND,
    WEFT__WAIT_WAITGROUP,
    WEFT__WAIT_ONCE,
    WEFT__WAIT_SEMA,
    WEFT__WAIT_BARRIER,
    WEFT__WAIT_SCOPE,
    WEFT__WAIT_IO_READ,
    WEFT__WAIT_IO_WRITE,
    WEFT__WAIT_FILE,
    WEFT__WAIT_RESOLVE,
    WEFT__WAIT_FLIGHT,
    WEFT__WAIT_OTHER,
    WEFT__WAIT_COUNT
};
const char *weft__reason_name(enum weft__reason r);

enum weft__state { WEFT__DEAD, WEFT__IDLE, WEFT__RUNNABLE, WEFT__RUNNING, WEFT__WAITING };
const char *weft__state_name(enum weft__state s);

enum { /* the wake word */
    WEFT__WAKE_RUN = 0,
    WEFT__WAKE_WAIT = 1,      /* parked, a cancellable wait */
    WEFT__WAKE_WAIT_HARD = 2, /* parked, not cancellable (mutex, join of a scope) */
    WEFT__WAKE_MASK = 3,
    WEFT__WAKE_INTERRUPT = 4, /* some context above has ended: ask weft__cancelled */
    /* shrink.c's: */
    WEFT__WAKE_SHRINK = 8,  /* its stack is being shrunk: whoever readies it leaves OWED instead */
    WEFT__WAKE_OWED = 16,   /* ... and the shrinker makes it runnable */
    WEFT__WAKE_SHRUNK = 32, /* looked at since it parked */
    WEFT__WAKE_WARM = 64,   /* cold.c's: holds an armed timer, so it stays while it waits */
    WEFT__WAKE_KEPT = WEFT__WAKE_INTERRUPT | WEFT__WAKE_SHRINK, /* by a claim */
};

struct weft__fiber;
struct weft__mach;
typedef void (*weft__commit_fn)(struct weft__fiber *f, void *arg);

/* The fiber's record lies at the top of its own stack, so a small fiber is one page. Its four lines
 * are, in this order: what a switch touches; the park record and what a start sets; what contexts
 * need; what stays with the stack. From wake_result up to sanitizer a start clears it all. */
struct weft__fiber {
    void *sp; /* saved stack pointer while it does not run */
    _Atomic uint32_t wake;
    _Atomic uint32_t state; /* enum weft__state; written by its thread, read by dumps */
    int wake_result;        /* left by the claimer */
    uint32_t flags;         /* WEFT__F_* */
    int saved_errno;
    _Atomic uint32_t thread_wake; /* plain threads: the futex they sleep on */
    void *wake_arg;               /* left by the claimer: which node, which case */
    struct weft__fiber *next;     /* run queue and free list */
    struct weft__mach *committer; /* whose thread runs, or ran, the commit of its last park */
    struct weft__thread
        *bound; /* preempted: the thread that sleeps in the handler with this fiber on it */

    /* the park record: written at each park, read by dumps */
    const void *park_object;
    void *park_caller;
    int64_t park_since_ns;        /* coarse clock */
    _Atomic uint32_t park_reason; /* enum weft__reason */

    int (*entry)(void *);
    void *arg;
    void (*on_exit)(struct weft__fiber *f, int result); /* on the fiber's own stack, last thing */

    /* ctx room's fields (ctx.c, scope.c, panic.c); sched only hands them on */
    struct weft_ctx *ctx;       /* current context, NULL: background */
    struct weft__node ctx_link; /* in its context's list of fibers, under that context's lock */
    struct weft__scope *scope;
    void *defers; /* registration list: scopes, defers, try blocks */
    void *ext;    /* names, labels: struct weft__fiber_ext, made on demand by ctx/fiber.c; freed at
                     exit via on_exit */

    uint64_t id;
    void *spawn_site;
    uint64_t parent_id;
    void *eh_globals[2]; /* C++ exception state, swapped with the fiber */
    void *sanitizer;     /* TSan's fiber, ASan's fake stack */

    /* the stack's, set when it is made ready */
    char *stack_low;       /* lowest usable address (above the guard) */
    _Atomic uint8_t *live; /* its slot's state: K1 of stack.h */
    uint32_t slot;         /* index of its stack in the arenas */
};

enum {                     /* fiber.flags */
    WEFT__F_THREAD = 1,    /* a plain thread's record: parks in a futex */
    WEFT__F_IDLE = 2,      /* a worker thread's idle stack: must not park */
    WEFT__F_SYSTEM = 4,    /* the runtime's own: not counted as live for deadlock and drain */
    WEFT__F_SHIELD = 8,    /* cancellation does not reach it (ctx's shield) */
    WEFT__F_BLOCKING = 16, /* between weft__blocking_begin and end: for dumps */
    WEFT__F_LEFT = 32,     /* its run is over, it never goes on: whoever readies it does nothing */
};

struct weft__thread {       /* hot part; the rest is in sched/worker.h */
    _Atomic uint32_t in_rt; /* inside the runtime: the monitor keeps off [mo:inrt] */
    _Atomic uint32_t
        attention; /* non-zero: enter takes the slow path (lost its worker, or asked to yield) */
    struct weft__fiber *cur;
    _Atomic(struct weft__worker *) worker;
};

/* ---- entering and leaving ---- */
void weft__enter_slow(struct weft__thread *t);
struct weft__thread *weft__attach_thread(void);
/** Makes the calling thread's record if it has none. 0, -ENOMEM. */
int weft__attach_try(void);

/** Enters the runtime; returns the current fiber (of a plain thread: its own record, made at its
 * first call). */
static inline WEFT__TSAN_FREE struct weft__fiber *weft__enter(void)
{
    struct weft__thread *t = weft__arch_thread();
    if (__builtin_expect(!t, 0))
        t = weft__attach_thread();
#ifndef NDEBUG
    if (!at_load_rlx(&t->in_rt)) /* [mo:alone: only its own thread writes it] */
        weft__rank_none("entered");
#endif
    at_store_rlx(&t->in_rt, 1); /* [mo:inrt] the monitor's membarrier is the other half */
    at_compiler_fence();
    if (__builtin_expect(at_load_rlx(&t->attention) != 0, 0)) { /* [mo:inrt] */
        weft__enter_slow(t);
        t = weft__arch_thread();
    }
    weft__tsan_quiet();
    return t->cur;
}

static inline WEFT__TSAN_FREE void weft__leave(void)
{
    weft__tsan_loud();
    weft__rank_none("left");
    struct weft__thread *t = weft__arch_thread();
    at_compiler_fence();
    at_store_rel(&t->in_rt, 0); /* [mo:inrt] */
}

/** The current fiber without entering (valid until the next call that may park: it is the same
 * fiber always, so in truth valid on this fiber for ever). NULL on a thread that never called in.
 */
static inline WEFT__TSAN_FREE struct weft__fiber *weft__self(void)
{
    struct weft__thread *t = weft__arch_thread();
    return t ? t->cur : NULL;
}

/* ---- waiting and waking ---- */
enum { WEFT__PARK_HARD = 1 }; /* not a cancellation point */

/** What weft__park returns when a context's end, and not a waker, ended the wait. The caller then
 * removes its nodes and asks weft__cancelled. */
enum { WEFT__INTERRUPTED = -0x7fff };

/**
 * Parks the current fiber. commit (may be NULL) runs on the successor's side after the fiber is
 * safely parked: it unlocks, or arms a timer, or publishes the fiber.
 * @caller: __builtin_return_address(0) of the public function, for dumps.
 *
 * Returns the claimer's wake_result, or WEFT__INTERRUPTED (never with WEFT__PARK_HARD). A context
 * may end while the commit runs, but this returns WEFT__INTERRUPTED only when the commit is done,
 * so what the commit reads may lie in the caller's frame. As to other wakers, who found the fiber
 * through what the commit published: the commit must not touch the frame after that.
 */
int weft__park(enum weft__reason reason, const void *object, void *caller, unsigned flags,
    weft__commit_fn commit, void *arg);

/** A commit: releases the lock at arg. One that releases others tells so before the park
 * (weft__rank_hand). */
void weft__commit_unlock(struct weft__fiber *f, void *lock);

/** One waker among several: true for exactly one. Then write wake_result/wake_arg, then
 * weft__ready. */
static inline WEFT__TSAN_FREE bool weft__claim(struct weft__fiber *f)
{
    uint32_t w = at_load(&f->wake);
    do {
        if ((w & WEFT__WAKE_MASK) == WEFT__WAKE_RUN)
            return false;
    } while (!at_cas(&f->wake, &w, w & WEFT__WAKE_KEPT));
    return true;
}

/** Makes a claimed fiber runnable: next on this worker (a hand-off), or wherever fits from
 * elsewhere. */
void weft__ready(struct weft__fiber *f);
/** As weft__ready but to the queue's tail: for waking many at once. */
void weft__ready_tail(struct weft__fiber *f);

/** A context above f has ended: sets the sticky bit, and ends f's wait if it is cancellable. f must
 * be kept alive by the caller (it is linked to a context whose lock is held). */
void weft__interrupt(struct weft__fiber *f);
/** The same for every fiber of this run: of those that are being born, each sees what the caller
 * stored before, if it looks after a fence (weft__spawn's prepare), or is interrupted. One that
 * ends meanwhile may leave the bit to the next on its stack, who asks and finds nothing. */
void weft__interrupt_all(void);

/** 0, or -ECANCELED / -ETIMEDOUT if f's current context has ended and is not shielded. One load
 * when nothing happened. */
extern int (*weft__cancelled_hook)(struct weft__fiber *f);
static inline WEFT__TSAN_FREE int weft__cancelled(struct weft__fiber *f)
{
    if (__builtin_expect(!(at_load_rlx(&f->wake) & WEFT__WAKE_INTERRUPT),
            1)) /* [mo:alone: a hint, re-checked at the park] */
        return 0;
    return weft__cancelled_hook ? weft__cancelled_hook(f) : 0;
}
/** Forgets the bit (the context that ended is no longer this fiber's). Only by f itself; re-check
 * weft__cancelled_hook after it. */
static inline void weft__interrupt_clear(struct weft__fiber *f)
{
    at_and(&f->wake, ~(uint32_t)WEFT__WAKE_INTERRUPT);
}

/** Lets others run: the current fiber goes to the queue's tail. Not a cancellation point. */
void weft__yield(void);
/** Sleeps until an absolute time (CLOCK_MONOTONIC ns). 0, or WEFT__INTERRUPTED. */
int weft__sleep_until(int64_t deadline_ns, void *caller);

/* ---- fibers ---- */
struct weft__spawn {
    int (*entry)(void *);
    void *arg;
    const void *copy; /* if not NULL: copy_bytes are copied into the fiber and arg is ignored */
    size_t copy_bytes, copy_align;
    size_t stack_bytes; /* 0: the default class */
    void (*on_exit)(struct weft__fiber *f, int result);
    void *spawn_site;
    uint32_t flags;
    /* a caller whose worker's queue is full is put aside: a burst reuses hot stacks */
    bool relieve;
    /** Called on the new fiber, which others see already, before it becomes runnable (link it to
     * scope and context). May be NULL. */
    void (*prepare)(struct weft__fiber *f, void *prepare_arg);
    void *prepare_arg;
};
/** Makes a fiber and makes it runnable (it runs next on this worker). 0; -ENOMEM; -EAGAIN at the
 * limit of fibers; -ESHUTDOWN when no runtime runs. On failure nothing was called. */
int weft__spawn(const struct weft__spawn *s, struct weft__fiber **ret_fiber);
/** Ends the current fiber here and now (its on_exit runs first). */
_Noreturn void weft__fiber_finish(int result);

/** Visits every live fiber (racy snapshot: a fiber may end meanwhile, its record stays readable).
 * fn returns false to stop. */
void weft__fibers_each(bool (*fn)(struct weft__fiber *f, void *arg), void *arg);

/* ---- timers: one heap a worker ---- */
struct weft__timer {
    int64_t when_ns;
    /** locked kind: called under the heap's lock, must only claim and ready, and the timer is not
     * touched after it. other kind: called unlocked on a worker's idle stack; may not park; the
     * timer is not touched after it either. */
    void (*fn)(struct weft__timer *t, void *arg);
    void *arg;
    bool locked;
    _Atomic(void *) heap;                       /* the heap it is in, NULL: not pending */
    struct weft__timer *child, *sibling, *prev; /* pairing heap */
};
/** Arms t (not pending) for when_ns. Fields fn, arg, locked set by the caller. Never fails, never
 * allocates. */
void weft__timer_start(struct weft__timer *t, int64_t when_ns);
/** True: it was pending and will not fire. False: never started, or fn has run (locked kind:
 * entirely; other kind: at least begun). A timer of the locked kind must be stopped before its
 * memory goes, also if it has fired. */
bool weft__timer_stop(struct weft__timer *t);
/** In the commit of f's park: t, of the locked kind and claiming f, limits the wait to when_ns. A
 * plain thread keeps the time itself while it waits, since there may be no runtime to run timers,
 * or none any more: it calls t's function, and weft__timer_stop finds nothing pending. */
void weft__limit_start(struct weft__fiber *f, struct weft__timer *t, int64_t when_ns);

/* ---- choices by lot (select) ---- */
/** 0 <= result < bound, bound > 0; from this worker's stream (WEFT_SEED), a plain thread's from
 * its own. */
uint32_t weft__random_below(uint32_t bound);

/* ---- clock ---- */
/** The coarse clock: CLOCK_MONOTONIC as of the last tick (1 ms while busy). For records, never for
 * deadlines. */
int64_t weft__coarse_ns(void);

/* ---- the poller seam: io sets it; without it idle threads sleep in a futex ---- */
struct weft__poller {
    /** Waits up to timeout_ns (0: no wait, -1: for ever) and calls weft__claim/weft__ready_tail for
     * what is due. Returns the number made ready. */
    int (*wait)(int64_t timeout_ns);
    /** Ends a wait in progress (or the next one) early; any thread. */
    void (*wake)(void);
    /** Fibers (or others) that an outside event could still wake: not a deadlock while > 0. */
    unsigned (*waiters)(void);
};
void weft__poller_set(const struct weft__poller *p);
/** Adjusts the count of things that can wake a fiber from outside (a file thread's request, a
 * signal channel): keeps deadlock detection quiet. */
void weft__outside_add(int n);
/** In a poll: what comes next takes away the reason why nobody could be asleep for good, and makes
 * fibers ready, which are counted nowhere before the poll is over. Inside. */
void weft__poll_holds(void);

/** Counts a thread of the library itself in (+1) or out (-1): it is not one that could wake fibers
 * of its own accord. */
void weft__service_thread(int n);
/** A thread of the library itself, detached, without signals, counted in and with its record made;
 * 0: the usual stack. Allocates: not inside the runtime. 0 or a negative errno. */
int weft__service_start(size_t stack_bytes, void *(*fn)(void *), void *arg);

/* ---- blocking calls ---- */
/** A call that may block the thread follows: others may take the worker. Between begin and end no
 * runtime call. */
void weft__blocking_begin(void);
void weft__blocking_end(void);

/* ---- the runtime as a whole ---- */
struct weft__sched_opts {
    unsigned workers;       /* 0: cores of the container's quota */
    unsigned max_fibers;    /* 0: 16 Mi */
    unsigned max_threads;   /* 0: 512 */
    size_t stack_bytes;     /* 0: 256 KiB */
    int64_t drain_ns;       /* how long fibers may go on after the entry returned; 0: 10 s */
    int64_t thread_idle_ns; /* a surplus thread ends after so long without work; 0: 5 s */
    bool no_preempt;        /* leave hogs alone (no signals) */
    int preempt_signal;     /* 0: SIGURG */
    int64_t cold_ns;        /* parked for so long, a stack is put away (cold.h); 0: never */
    const struct weft__sim_driver *sim; /* simulate.h: who makes the choices; NULL: no simulation */
};
/**
 * Runs entry on a fiber, with the calling thread as one of the runtime's, until it has returned,
 * `finish` (called on that fiber with its result; may be NULL: ends the root context) has run and
 * the other fibers have drained. 0 and *ret_result, or -EBUSY (already running), -EDEADLK (called
 * on a fiber), -EINVAL, -ENOMEM, -EAGAIN; -ETIMEDOUT when fibers were left over (they never run
 * again).
 */
int weft__sched_run(int (*entry)(void *), void *arg, void (*prepare)(struct weft__fiber *, void *),
    void *prepare_arg, void (*finish)(int result), const struct weft__sched_opts *opts,
    int *ret_result);
bool weft__sched_running(void);

/** Keeps the run (and its root context) from ending while a plain thread starts or wakes a fiber.
 * False: no runtime runs, or it is just ending. Short: the end of the run waits. Any thread
 * inside weft__enter; nests. Fibers need none. */
bool weft__hold(void);
void weft__release(void);

struct weft__stats {
    uint64_t switches, parks[WEFT__WAIT_COUNT], spawns, steals, wakeups, preemptions, retakes,
        polls, poll_ns;
    uint64_t fibers_live, stack_bytes;
    uint64_t cold_away, cold_bytes, cold_frozen, cold_thawed; /* cold.h */
    unsigned workers, threads, threads_idle;
};
void weft__stats_read(struct weft__stats *ret);

/** Called with every fiber asleep for good; set by diag to print stacks. May return (foreign
 * threads exist: only a report). */
extern void (*weft__deadlock_hook)(bool fatal);
#endif
