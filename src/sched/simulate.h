// SPDX-License-Identifier: Apache-2.0
/*
 * simulate.h - one schedule of a simulation: the loop that stands in the place of weft__mach_loop,
 * and what the rest of the scheduler asks it. docs/design/simulator.md has the why.
 *
 * The engine knows who could go on and keeps the time; whom it takes is the driver's choice (diag's
 * explore.c). One run at a time, one thread.
 *
 * Concurrency: everything here on the simulation's own thread only, but for weft__sim_here.
 */
#ifndef WEFT_SCHED_SIMULATE_H
#define WEFT_SCHED_SIMULATE_H
#include <stdbool.h>
#include <stdint.h>

#include "base/futex.h"
#include "sched/sched.h"

/* Who a candidate is: a fiber by its number (1 the first that was started), or one of these. */
#define WEFT__SIM_CLOCK UINT64_MAX          /* the clock goes on although fibers can */
#define WEFT__SIM_TIMER (UINT64_C(1) << 63) /* + k: the k-th of the timers that are due */

struct weft__sim_choice {
    uint32_t bound;      /* how many possibilities, at least 2 */
    bool costly;         /* all but 0 take the turn from a fiber that could go on */
    const uint64_t *who; /* [bound]; NULL: a value (select's lot, weft_sim_choose) */
    uint64_t steps;      /* so far in this schedule */
};

/* How a turn ended. */
enum weft__sim_how {
    WEFT__SIM_POINT,   /* at a call of the library, and could go on */
    WEFT__SIM_WAIT,    /* parked */
    WEFT__SIM_YIELD,   /* gave its turn away */
    WEFT__SIM_END,     /* the fiber ended */
    WEFT__SIM_FIRE,    /* a timer fired */
    WEFT__SIM_ADVANCE, /* time went on */
    WEFT__SIM_GIVE_UP  /* the schedule failed in it */
};

enum { WEFT__SIM_FRAMES = 6 };

struct weft__sim_step {
    int64_t now_ns; /* at its end */
    uint64_t who;
    enum weft__sim_how how;
    enum weft__reason reason;        /* WAIT */
    const void *object;              /* WAIT; may be gone by now */
    uintptr_t pcs[WEFT__SIM_FRAMES]; /* the way to the point, or the wait's caller; 0 ends it */
};

struct weft__sim_driver {
    /** One of c->bound. On the idle stack, or on a fiber; may allocate, must not park. */
    uint32_t (*choose)(void *arg, const struct weft__sim_choice *c);
    /** A step is over. On the idle stack; may allocate. */
    void (*step)(void *arg, const struct weft__sim_step *s);
    /** The schedule has failed, and all fibers are as they were. On the idle stack; once. */
    void (*failed)(void *arg, int error, const char *text);
    void *arg;
    uint64_t max_steps;
    bool waits_only; /* no points at calls */
    bool slow_clock;
};

enum { WEFT__SIM_START_S = 3600 }; /* virtual time at the start */

/** Whether the caller is a thread (or fiber) of a simulation. Any thread. */
bool weft__sim_here(void);
/** Whether there is one at all; one load. Any thread. */
static inline bool weft__sim_runs(void)
{
    return at_load(&weft__virtual_thread) != NULL;
}
/** A point: others may run before the current fiber goes on. Inside. */
void weft__sim_stop(void);
/** The current fiber is about to give its turn away, but could go on. Inside. */
void weft__sim_mark_point(void);
/** 0 <= result < bound, the driver's choice. On a fiber. */
uint32_t weft__sim_choose(uint32_t bound);
/** The schedule has failed; the current fiber never goes on. Inside or outside. */
_Noreturn void weft__sim_give_up(int error, const char *text);
/** The same, but the turn is finished first. */
void weft__sim_fail(int error, const char *text);
/** The number of a fiber of the simulation. */
uint64_t weft__sim_number(const struct weft__fiber *f);
/** Whether f is one of this schedule's, and not left over by an earlier run. */
bool weft__sim_owns(const struct weft__fiber *f);

/* for runtime.c */
struct weft__mach;
void weft__sim_begin(struct weft__mach *m);
void weft__sim_loop(struct weft__mach *m);
void weft__sim_end(void);
#endif
