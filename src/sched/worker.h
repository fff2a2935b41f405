// SPDX-License-Identifier: Apache-2.0
/*
 * worker.h - the scheduler's own structures: workers, threads (machs), the shared state. For
 * src/sched and src/diag only.
 *
 *      mach (OS thread) ──drives──> worker ──owns──> next slot, ring of 256, timer heap,
 *                                                    stack cache
 *      sched: global queue, idle workers, idle machs, poller role
 *
 * W1  A worker is driven by at most one mach; mach.t.worker and worker.mach agree, and change only
 *     under mach.lock (rank THREAD) or by the mach itself inside the runtime.
 * W2  A fiber is in exactly one place: running on a mach, in one queue (next, ring, global), or
 *     waiting.
 * W3  A mach in state "spinning" is counted in sched.spinning, and so is a waker that looks for
 *     whom to wake: that token goes to the thread it wakes, or is given back. Once each.
 * W4  No lost wake-up. Who makes surplus work stores it, fences, then reads idle and spinning, and
 *     wakes somebody unless one of them says that it need not. So who makes them say that looks for
 *     work afterwards:
 *       - who takes the poller's role or links itself into the idle list looks at all queues when
 *         that is done, before it sleeps (a waker that saw neither relies on it);
 *       - who stops spinning with work wakes the next; who gives a token back looks at all queues
 *         if anybody sleeps;
 *       - who gives its worker up looks too, only to save itself the way to sleep and back.
 *     tests/unit/sched/test_parkwake.c goes through all interleavings, and shows that none of the
 *     looks can be left out except the last.
 * W5  poll_until is the deadline that the sleeping poller will wake at. Whoever goes idle and knows
 *     an earlier timer pokes it; the monitor does so for workers that stay busy, and a plain thread
 *     for what it arms. Each has a fence between its timer and its look at poll_until.
 */
#ifndef WEFT_SCHED_WORKER_H
#define WEFT_SCHED_WORKER_H
#include <pthread.h>
#include <signal.h>

#include "base/futex.h"
#include "base/rand.h"
#include "sched/sched.h"
#include "sched/stack.h"

enum { WEFT__RING = 256, WEFT__POLL_TURNS = 61 };

struct weft__heap {
    struct weft__lock lock;
    struct weft__timer *root;
    bool closed;             /* not to arm timers in now (T3 of timer.c) */
    _Atomic int64_t next_ns; /* when of the root; INT64_MAX: empty */
};

struct weft__worker {
    /* owner's hot line */
    _Atomic(struct weft__fiber *) next; /* hand-off slot; a thief may take it by CAS */
    _Atomic uint32_t head, tail; /* ring: owner pushes at tail; owner and thieves pop at head */
    _Atomic uint32_t turns;      /* picks since the start */
    uint32_t index;
    struct weft__rand rand;
    uint64_t next_id, last_id; /* block of fiber ids */
    unsigned budget; /* fibers this worker may still make before it asks sched.fibers_left */
    uint32_t relief; /* a start with so many in the ring lets others run first (weft__ring_full) */
    _Atomic(struct weft__fiber *) ring[WEFT__RING];
    struct weft__stack_cache stacks;
    struct weft__heap heap __attribute__((aligned(64)));
    struct weft__mach *_Atomic mach; /* W1 */
    struct weft__worker *idle_next;  /* under sched.lock */
    bool idle;
    /* counters: written by the owner alone, read racily by stats */
    uint64_t switches, spawns, steals, wakeups, polls, poll_ns, parks[WEFT__WAIT_COUNT];
    int64_t last_poll_ns, last_trim_ns;
    /* the monitor's notes */
    _Atomic uint32_t seen_turns, shrink_turns;
    uint32_t seen_round;
    int64_t seen_since_ns, seen_cpu_ns, round_since_ns;
    int phase;
} __attribute__((aligned(128)));

enum weft__op {
    WEFT__OP_NONE,
    WEFT__OP_PARK,
    WEFT__OP_PARK_HARD,
    WEFT__OP_YIELD,
    WEFT__OP_GLOBAL,
    WEFT__OP_EXIT
};

enum { WEFT__STARTS = 1, WEFT__RUNS = 2 }; /* sched.running */

/* thread.attention. SIM stays set for the whole run: each entry is a point (simulate.h). */
enum { WEFT__ATT_LOST = 1, WEFT__ATT_YIELD = 2, WEFT__ATT_SIM = 4 };

struct weft__mach {
    struct weft__thread t; /* first: weft__tls_thread points here */
    /* what the successor must do for the leaver */
    enum weft__op op;
    struct weft__fiber *op_fiber;
    weft__commit_fn commit;
    void *commit_arg;
    _Atomic(struct weft__fiber *) committing; /* P4 of park.c */
    int *errno_at;                            /* this thread's errno */
    void **eh_at; /* this thread's C++ exception globals, or NULL without a C++ runtime */
    struct weft__fiber idle;     /* the idle stack's record; of a plain thread: its own record */
    struct weft__lock lock;      /* guards worker against the monitor's retake */
    _Atomic uint32_t wake;       /* futex: set to 1 to start it */
    _Atomic uint32_t blocking;   /* inside weft_blocking_begin/end */
    unsigned hold_depth;         /* of a plain thread, by itself: hold.c */
    struct weft__timer *limit;   /* of a plain thread that waits: what ends its wait, or NULL */
    bool foreign;                /* a plain thread that called in */
    bool service;                /* foreign, but the library's own */
    void *(*service_fn)(void *); /* what it runs: service.c */
    void *service_arg;
    bool spinning; /* W3 */
    bool main;     /* the thread that called weft_run */
    bool retired;  /* surplus: its loop ends */
    bool polling;  /* blocked in the poller without a worker: ready fibers are gathered */
    bool counted;  /* in sched.outside, until what it gathers is queued */
    bool detached; /* runs a fiber without a worker (retaken or preempted): counted in
                      sched.detached */
    struct weft__fiber *gathered, **gathered_tail;
    pthread_t pthread;
    int tid;
    struct weft__mach *all_next, *idle_next;
    struct weft__rand rand; /* a plain thread's choices; a worker has its own */
    void *alt_stack;
    stack_t old_alt;
    _Atomic uintptr_t sig_pc, sig_fp; /* where a preempted fiber stopped, 0: not preempted */
    _Atomic uint32_t exited;
    /* its run ended while a fiber ran on it: it stops at its next entry */
    _Atomic uint32_t left_over;
    _Atomic uint32_t stays;    /* it has: asleep for ever with its fiber */
    _Atomic int hog_timer;     /* kernel timer on its CPU clock, or WEFT__NO_HOG_TIMER (M5) */
    _Atomic uint32_t expected; /* the monitor has signalled it, for want of that timer */
    _Atomic uint32_t sample;   /* 1: diag wants to know where it runs; 2: answered */
    _Atomic uintptr_t sample_pc, sample_fp;
};

struct weft__sched {
    struct weft__lock lock; /* rank SCHED: global queue, idle lists, mach list */
    struct weft__fiber *global_head, **global_tail;
    _Atomic uint32_t global_count;
    struct weft__worker *idle_workers;
    struct weft__mach *idle_machs;
    struct weft__mach *all_machs;
    struct weft__mach *_Atomic ended_machs; /* retired, not known to be gone; by all_next */
    struct weft__mach *main;                /* the calling thread's, as long as there is a run */
    unsigned machs, idle_mach_count;        /* machs: with those */
    _Atomic uint32_t idle, spinning;        /* counts of workers idle, machs spinning (W3, W4) */
    _Atomic(struct weft__mach *) poller;    /* the mach that sleeps in the poller */
    _Atomic uint32_t poked;                 /* a poke that carries a spinning token is under way */
    _Atomic int64_t poll_until;             /* W5 */
    _Atomic uint32_t poll_futex;            /* where the poller sleeps when io set none */
    _Atomic int64_t coarse_ns;
    _Atomic uint32_t running, stopping, draining;
    _Atomic uint32_t holds, closing; /* H1 of hold.c */
    _Atomic int32_t outside;         /* weft__outside_add */
    _Atomic int32_t detached;        /* machs that run a fiber without a worker */
    _Atomic uint32_t stopped;        /* of those, preempted ones, which wait for one */
    _Atomic int32_t foreign;         /* plain threads that have called in */
    _Atomic int64_t fibers_left;     /* of the limit, not yet in a worker's budget */
    _Atomic uint64_t next_id;
    _Atomic uint64_t preemptions, retakes, forgone;
    int64_t max_fibers;
    unsigned batch; /* how much of the limit a worker takes at once */
    unsigned workers, max_threads;
    size_t stack_bytes;
    unsigned stack_class; /* of that */
    uint64_t first_id;    /* of this run's fibers */
    _Atomic(struct weft__worker *)
        worker;                    /* [workers]; NULL between runs, but the memory stays: H3 */
    struct weft__mach *free_machs; /* by all_next: H3 */
    struct weft__poller poll;
    bool have_poll;
    /* monitor and spawner */
    _Atomic uint32_t monitor_wake, monitor_asleep, spawner_wake;
    _Atomic uint32_t want_mach;
    pthread_t monitor_thread, spawner_thread;
    int monitor_tid, spawner_tid;
    bool preempt, retake;
    int preempt_signal;
    const struct weft__sim_driver *sim; /* NULL: no simulation */
    int64_t drain_ns, thread_idle_ns, cold_ns;
    int result;
    _Atomic uint32_t timed_out;
    _Atomic uint32_t ends; /* futex: counts threads that end, or stop for good */
    struct weft__timer drain_timer;
    void (*finish)(int result);
    int (*entry)(void *);
    void *entry_arg;
};
extern struct weft__sched weft__sched;

static inline struct weft__mach *weft__mach_self(void)
{
    return (struct weft__mach *)(void *)weft__arch_thread();
}
static inline struct weft__worker *weft__mach_worker(struct weft__mach *m)
{
    return at_load_rlx(
        &m->t.worker); /* [mo:alone: its own thread wrote it, or handed it over under a futex] */
}

/* Counted by the owner alone; the monitor and spinners look whether it moves. */
static inline uint32_t weft__turns(struct weft__worker *w)
{
    return at_load_rlx(&w->turns); /* [mo:alone: a sign of life] */
}
static inline uint32_t weft__turn(struct weft__worker *w)
{
    uint32_t n = weft__turns(w) + 1;
    at_store_rlx(&w->turns, n); /* [mo:alone: a sign of life] */
    return n;
}

/* runq.c; the owner's part of the ring is in ring.h */
struct weft__fiber *weft__ring_steal(
    struct weft__worker *thief, struct weft__worker *victim, bool take_next);
void weft__global_push_locked(
    struct weft__fiber *first, struct weft__fiber **last_next, unsigned n);
void weft__global_push(struct weft__fiber *f);
struct weft__fiber *weft__global_take(
    struct weft__worker *w); /* one to run, a fair share into the ring */

/* park.c */
void weft__switch_to(struct weft__mach *m, struct weft__fiber *from, struct weft__fiber *to);
void weft__after_switch(struct weft__mach *m);
/** f, the current fiber, is at its end: the saved stack to go on with, at once. */
void *weft__exit_to(struct weft__fiber *f);
void weft__requeue_global(
    struct weft__fiber *f); /* to the global queue's tail; something else runs */
/** Leaves m's current fiber where it stands, in no queue of ours: it never goes on. */
_Noreturn void weft__abandon(struct weft__mach *m);

/* worker.c */
void weft__mach_loop(struct weft__mach *m);
bool weft__mach_take_worker(struct weft__mach *m); /* an idle worker, if there is one */
void weft__wake_for_surplus(void);
/** Whether fibers lie in a queue that somebody who sleeps should look into. */
bool weft__any_work(void);
void weft__wake_one(void);
void weft__stop_everyone(void);
/** Gives an idle worker to the thread of a preempted fiber if there is no other thread to take it.
 * For the monitor. */
void weft__rescue_stopped(void);
void weft__worker_release_locked(struct weft__worker *w);
void weft__poller_poke(void);
int64_t weft__earliest_timer(void);
bool weft__live_fibers(int64_t *ret_live);
/** Gives the stacks of workers that were idle since the last call to their classes. True: a worker
 * was out of the idle list for that time. */
bool weft__idle_stacks_flush(void);

/* timer.c */
int weft__timers_run(struct weft__heap *h, int64_t now_ns);
/** Those that are due, at most room of them, the one that would fire first in front; and firing one
 * of them. For who knows that nobody else uses the heap. */
unsigned weft__timers_due(
    struct weft__heap *h, int64_t now_ns, struct weft__timer **ret_due, unsigned room);
void weft__timer_fire(struct weft__heap *h, struct weft__timer *t);
/** Forgets all: none of them fires any more. */
void weft__timers_drop(struct weft__heap *h);
/** A runtime starts: h takes over the timers that none runs. It ends: h's are left to the next. */
void weft__timers_adopt(struct weft__heap *h);
void weft__timers_orphan(struct weft__heap *h);
void weft__timers_open(struct weft__heap *h);

/* mach.c */
int weft__mach_spawn(void);
/** foreign: for a plain thread; the runtime's own get a signal stack. NULL: no memory. */
struct weft__mach *weft__mach_new(bool foreign);
void weft__mach_bind(struct weft__mach *m);
void weft__mach_unbind(struct weft__mach *m);
void weft__mach_wake(struct weft__mach *m);
/** Tells who waits for all threads to settle (E1 of runtime.c) that one has. */
void weft__mach_settled(void);
void weft__mach_wait(struct weft__mach *m);
/** The sleep of a thread in the idle list: until it is woken, or, if timed, has ended as surplus
 * (m->retired). */
void weft__mach_rest(struct weft__mach *m, bool timed);
/** Takes back the records of retired threads that have gone; all: waits for the others. For the
 * monitor, and when there is none any more. */
void weft__machs_reap(bool all);

/* service.c */
/** Makes m, new and foreign, the record of the calling thread. */
void weft__mach_attach(struct weft__mach *m);
bool weft__is_service(int tid); /* said weft__service_thread(1) */
unsigned weft__services_starting(void);
struct weft__mach *weft__mach_running(
    const struct weft__fiber *f); /* whose current fiber it is, or NULL */
void weft__spawner_request(void);
void *weft__spawner_main(void *arg);

void weft__mach_free(struct weft__mach *m); /* for a later weft__mach_new: H3 */

/* shrink.c */
/** Its bite of work; `idle`: all workers are. For the monitor, which (true) is to look at the
 * sleepers once more. */
bool weft__shrink_tick(int64_t now_ns, bool idle);
/** How long the monitor may sleep while all workers are idle; -1: until it is kicked. */
int64_t weft__shrink_rest_ns(int64_t now_ns);
/** A whole pass, here and now, over the fibers parked at or before parked_ns: for tests. */
void weft__shrink_all(int64_t parked_ns);
/** True: f is being shrunk, and the shrinker makes it runnable instead of the caller. */
bool weft__shrink_owes(struct weft__fiber *f);
/** Stacks that gave pages back, since the process began. */
uint64_t weft__shrink_count(void);

/* hold.c */
bool weft__close_if_unheld(bool (*still_quiet)(void)); /* true: stopping is set */
void weft__await_holds(void);

/* monitor.c */
void *weft__monitor_main(void *arg);
void weft__monitor_kick(void);
enum { WEFT__NO_HOG_TIMER = -1 };
/** Makes and ends the calling thread's timer (M5 of monitor.c). */
void weft__hog_timer_open(struct weft__mach *m);
void weft__hog_timer_close(struct weft__mach *m);
int weft__preempt_install(int signal_number);
void weft__preempt_uninstall(void);
/** Where another thread's code runs at this moment, asked by a signal; false: no answer in 200
 * ms. */
bool weft__mach_sample(struct weft__mach *m, uintptr_t *ret_pc, uintptr_t *ret_fp);
#endif
