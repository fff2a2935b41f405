// SPDX-License-Identifier: Apache-2.0
/*
 * weft/sim.h - run a concurrent function under a simulator: virtual time, choices from a seed.
 *
 * A test of a concurrent program sees the few orders that the machine happens to choose. Here the
 * same function runs many times on one thread, each time in another order (a *schedule*); sleeps
 * and time-outs take no real time; and a schedule that fails can be run again, step by step:
 *
 *     static int transfer(void *arg) { ... fibers, channels, locks, time-outs ... }
 *
 *     weft_sim_report *r;
 *     int rc = weft_sim_run(transfer, NULL,
 *         &(weft_sim_opts){.size = sizeof(weft_sim_opts), .mode = WEFT_SIM_EXHAUSTIVE}, &r);
 *     if (rc < 0)
 *         puts(weft_sim_text(r));          what, who waited for what, and how to replay it
 *     weft_sim_report_free(r);
 *
 * What the function needs must be made anew each time it is called: it runs once a schedule. For
 * exhaustive search, and for replays, it must do the same each time but for what the simulator
 * chooses: no real clock, no randomness but weft_sim_choose, no order that depends on addresses.
 *
 * A fiber can lose its turn at each call of the library that synchronises, and at weft_sim_point.
 * Time stands still while any fiber can run, and jumps to the next timer when none can.
 *
 * Not simulated: sockets, files and names (who waits for them waits for ever), plain threads that
 * call in, loops that never call the library. docs/design/simulator.md has the whole.
 *
 * WEFT_SIM_REPLAY=STRING in the environment (printed with a failure) makes weft_sim_run run that
 * one schedule and print each step on standard error. NAME@STRING is for the call with that name.
 */
#ifndef WEFT_SIM_H
#define WEFT_SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

/* How choices are drawn. */
enum weft_sim_mode {
    WEFT_SIM_RANDOM = 0, /* evenly: for looking quickly */
    WEFT_SIM_PCT = 1,    /* by random priorities that change a few times: for long schedules */
    WEFT_SIM_EXHAUSTIVE =
        2 /* every schedule with at most so many preemptions: for small programs */
};

/* Where a fiber that could go on may lose its turn. */
enum weft_sim_points {
    WEFT_SIM_POINTS_CALLS = 0, /* at each call that synchronises */
    WEFT_SIM_POINTS_WAITS = 1  /* only where it waits, yields or ends: one worker, no preemption */
};

/* Options of weft_sim_run. Zero is the default of each; size is sizeof(weft_sim_opts), so it can
 * grow. */
typedef struct weft_sim_opts {
    size_t size;
    const char *name; /* for reports and WEFT_SIM_REPLAY; borrowed for the call */
    enum weft_sim_mode mode;
    enum weft_sim_points points;
    uint64_t seed;      /* of the first schedule, the next has one more; 0: WEFT_SEED, else
                                  from the kernel */
    uint64_t schedules; /* at most; 0: 1000, exhaustive 1,000,000 */
    uint64_t max_steps; /* of a schedule; 0: 100,000 */
    int preemptions;    /* exhaustive: at most in a schedule; 0: 2; < 0: no bound */
    unsigned depth;     /* PCT: ordering constraints of the bugs looked for; 0: 3 */
    bool slow_clock;    /* time may also pass while fibers can run */
    bool quiet;         /* do not print a failure on standard error: the report has it */
} weft_sim_opts;

/* What came out; owned by the caller. */
typedef struct weft_sim_report weft_sim_report;

/**
 * weft_sim_run - run a function under the simulator, one schedule after another.
 * @fn:         the first fiber of each schedule; its context is the root context.
 * @arg:        passed on to it.
 * @opts:       options, or NULL for the defaults; borrowed for the call.
 * @ret_report: set to a report if the schedules ran (also if one failed); may be NULL.
 *
 * Ends with the first schedule that fails, or when the number of schedules is reached, or
 * (exhaustive) when there is none left. A failure is printed on standard error, with the string
 * that replays it. What a failed schedule's fibers own is not freed.
 *
 * Returns 0: fn returned 0 or more in every schedule, and all fibers ended.
 *   A negative result of fn: it came from there. -EDEADLK: every fiber waits, and no timer is
 *   pending. -ETIMEDOUT: fibers were left over 10 s (of virtual time) after fn returned.
 *   -WEFT_EPANIC: a panic that nobody recovered, misuse, or weft_sim_fail. -ETIME: more than
 *   max_steps. -EPROTO: fn did not do the same again under the same choices.
 *   Nothing ran: -EINVAL: fn is NULL, an option or WEFT_SIM_REPLAY makes no sense. -EBUSY: a
 *   runtime runs (also: called on a fiber). -ENOMEM.
 * Blocks:    the calling thread, until the schedules are done.
 * Callable:  a plain thread, not on a fiber, while no runtime runs.
 * Cost:      a schedule some 20 us, a step some 100 ns.
 * Since 0.1. Source: Go's testing/synctest; docs/design/simulator.md. See weft_sim_choose.
 */
WEFT_API int weft_sim_run(
    int (*fn)(void *), void *arg, const weft_sim_opts *opts, weft_sim_report **ret_report);

/**
 * weft_sim_active - is the caller under the simulator?
 *
 * Returns true on a fiber of weft_sim_run.
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. See weft_sim_run.
 */
WEFT_API bool weft_sim_active(void);

/**
 * weft_sim_point - another fiber may come in here.
 *
 * For code that synchronises by its own atomics, between whose steps no call of the library stands.
 * Outside a simulation nothing happens.
 *
 * Blocks:    no. Not a cancellation point.
 * Callable:  any fiber or plain thread.
 * Cost:      a load and a branch, outside a simulation.
 * Since 0.1. See weft_sim_run.
 */
WEFT_API void weft_sim_point(void);

/**
 * weft_sim_choose - let the simulator choose.
 * @bound: how many possibilities there are; 0 counts as 1.
 *
 * For mocks: whether an operation fails, how late it is, which answer comes. Exhaustive search goes
 * through all of them.
 *
 * Returns 0 .. bound - 1; outside a simulation 0, so let 0 be the ordinary case.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_sim_run.
 */
WEFT_API uint32_t weft_sim_choose(uint32_t bound);

/**
 * weft_sim_fail - this schedule has failed.
 * @fmt: what is wrong, as printf; one line.
 *
 * Ends the schedule at once, without unwinding, and with it weft_sim_run, which returns
 * -WEFT_EPANIC. Outside a simulation it is weft_panic.
 *
 * Returns never.
 * Blocks:    never.
 * Callable:  a fiber.
 * Since 0.1. See WEFT_SIM_CHECK.
 */
WEFT_API WEFT_NORETURN void weft_sim_fail(const char *fmt, ...) WEFT_PRINTF(1, 2);

/* Fails the schedule unless the condition holds. */
#define WEFT_SIM_CHECK(cond)                                                                       \
    ((cond) ? (void)0 : weft_sim_fail("%s:%d: check failed: %s", __FILE__, __LINE__, #cond))

/**
 * weft_sim_text - the report for people.
 * @r: report; borrowed.
 *
 * Returns the failure: what happened, the fibers with their wait reasons and objects, how to replay
 *   it. Where nothing failed, one line of numbers. Valid until weft_sim_report_free.
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. See weft_sim_steps, weft_sim_replay.
 */
WEFT_API const char *weft_sim_text(const weft_sim_report *r);

/**
 * weft_sim_steps - the steps of the schedule that failed, else of the last one.
 * @r: report; borrowed.
 *
 * Returns one line a step: number, virtual time, who, and why its turn ended. The same for each run
 *   of a schedule, addresses aside (there are none in it). Valid until weft_sim_report_free.
 * Blocks:    never.
 * Callable:  anywhere, not two at once with one report.
 * Cost:      names are looked up at the first call.
 * Since 0.1. See weft_sim_text.
 */
WEFT_API const char *weft_sim_steps(weft_sim_report *r);

/**
 * weft_sim_replay - the string that names the schedule that failed, else the last one.
 * @r: report; borrowed.
 *
 * Returns what WEFT_SIM_REPLAY takes. Valid until weft_sim_report_free.
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. See weft_sim_run.
 */
WEFT_API const char *weft_sim_replay(const weft_sim_report *r);

/**
 * weft_sim_schedules - how many schedules ran, the failed one included.
 * @r: report; borrowed.
 *
 * Returns their number.
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. See weft_sim_complete.
 */
WEFT_API uint64_t weft_sim_schedules(const weft_sim_report *r);

/**
 * weft_sim_complete - did exhaustive search come to its end?
 * @r: report; borrowed.
 *
 * Returns true if every schedule within the bound ran, and none failed.
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. See weft_sim_schedules.
 */
WEFT_API bool weft_sim_complete(const weft_sim_report *r);

/**
 * weft_sim_report_free - free a report.
 * @r: report; NULL does nothing.
 *
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. See weft_sim_run.
 */
WEFT_API void weft_sim_report_free(weft_sim_report *r);

WEFT_END_DECLS
#endif
