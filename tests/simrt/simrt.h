// SPDX-License-Identifier: Apache-2.0
/*
 * simrt.h - the explorer of the runtime's own interleavings, for test programs.
 *
 * The library, compiled a second time (simrt_seams.h), runs here on one real thread. Each thread
 * that the runtime believes to have (workers' threads, monitor, spawner, plain threads) is a
 * coroutine; before each atomic access, system call and futex operation the explorer chooses who
 * goes on. So what is explored is the code as it is written, fence by fence, and not a model of it.
 *
 *      body() is a plain thread's main function. It may call weft_run, start plain threads, and
 *      call whatever of the library a plain thread may. It runs once a schedule.
 *
 *      random       draws from a seed; how long a thread goes on at a stretch is drawn too
 *      pct          priorities from a seed, changed at depth - 1 steps (docs/design/simulator.md)
 *      exhaustive   every schedule that takes the turn from somebody at most `preemptions` times,
 *                   inside the body's window
 *      reduced      without that bound, but only one of those schedules that differ in the order of
 *                   steps that touch different words: sleep sets (simrt_reduce.c)
 *
 * A schedule fails when SIMRT_CHECK fails; when all threads sleep for good; when all sleep for a
 * time although work lies in a queue and a worker is idle, or although a timer is due before
 * (simrt_judge.c: a lost wake-up that the monitor would have made good for); when the library ends
 * the process; at misuse; after max_steps. The process ends then: standard error has what happened,
 * the last steps, and the schedule's name. WEFT_SIM_REPLAY set to that name runs this one alone and
 * prints every step of it: thread, fiber, function, line, operation, word, value.
 *
 * With `tso` stores weaker than sequentially consistent may stay in the thread's store buffer for a
 * while, as on x86: its own loads see them, nobody else's, until a fence, a read-modify-write, a
 * system call, another's membarrier, or chance drains them.
 *
 * X1  A schedule is a function of its name. All memory that the library writes is put back before
 *     the next one: its static data from a copy, its heap and its mappings emptied and handed out
 *     again at the same addresses. Statics of the test's own are the test's to reset, in body().
 *     A test names none of the library's variables: the linker would copy them into the program,
 *     where they are not put back.
 * X2  A test's shared words are atomics by at_* or are touched under the library's protection.
 *
 * WEFT_SIM_SEEDS: so many schedules of each random or PCT exploration.
 * WEFT_STRESS_SECONDS: so many times as many as the test asks for, from a seed drawn anew.
 * WEFT_SEED: the first seed; else it is 1.
 */
#ifndef SIMRT_H
#define SIMRT_H
#include <stdbool.h>
#include <stdint.h>

#include "test.h"

enum simrt_mode { SIMRT_RANDOM, SIMRT_PCT, SIMRT_EXHAUSTIVE, SIMRT_REDUCED };

struct simrt_opts {
    const char *name; /* of the program: what WEFT_SIM_REPLAY names */
    enum simrt_mode mode;
    uint64_t schedules;    /* random, pct: how many, where WEFT_SIM_SEEDS says nothing */
    unsigned depth;        /* pct; 0: 3 */
    unsigned preemptions;  /* exhaustive */
    bool tso;              /* with store buffers; not reduced */
    bool no_membarrier;    /* the kernel has none: threads keep their workers */
    uint64_t max_steps;    /* 0: 200,000 a schedule */
    int64_t clock_step_ns; /* by which a look at the clock makes it go on; 0: 7000 */
};

struct simrt_result {
    uint64_t schedules, steps; /* in all */
    uint64_t cut;              /* reduced: those broken off, as others had shown the same */
    bool complete;             /* exhaustive, reduced: nothing was left out */
};

/** Runs body(arg) in many schedules; returns if none fails. */
struct simrt_result simrt_explore(
    void (*body)(void *arg), void *arg, const struct simrt_opts *opts);

/* ---- inside a schedule ---- */

/** A plain thread, to be joined. */
unsigned long simrt_thread(const char *name, void *(*fn)(void *), void *arg);
void simrt_join(unsigned long thread);
/** Exhaustive and reduced mode make choices only between simrt_window(true) and (false); outside
 * each thread goes on until it waits. */
void simrt_window(bool open);
/** A call that blocks the thread for so long, and is no call of the library. */
void simrt_block(int64_t ns);
/** 0 <= result < bound: one more choice. */
uint32_t simrt_choose(uint32_t bound);
int64_t simrt_now(void);
/** Allocations of the library's that stand now: a count that must be the same again shows what is
 * lost. What is freed twice fails the schedule anyway. */
uint64_t simrt_heap_live(void);
/** The schedule has failed. */
_Noreturn void simrt_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
#define SIMRT_CHECK(cond)                                                                          \
    do {                                                                                           \
        if (!(cond))                                                                               \
            simrt_fail("%s:%d: %s", __FILE__, __LINE__, #cond);                                    \
    } while (0)

/** A descriptor of the explorer's kernel, which weft__fd_wait knows; and an event on it, such as
 * EPOLLIN. SYS_recvfrom says -EAGAIN while it is open. */
int simrt_fd(void);
void simrt_fd_raise(int fd, uint32_t events);
#endif
