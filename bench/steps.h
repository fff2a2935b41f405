// SPDX-License-Identifier: Apache-2.0
/*
 * steps.h - counts what a piece of code executes, instruction by instruction, without a clock and
 * without hardware counters.
 *
 *     tracer  waits ── begin ──► single steps, reads the instruction before each ── end ──► waits
 *     child   runs          │  the piece, alone: its other threads are stopped   │          runs
 *
 * steps_run forks: the child runs the program, the caller becomes its tracer (ptrace) and returns
 * the child's exit status. Between steps_begin and steps_end, which a thread of the child calls,
 * that thread is stepped through and every other one stands still, asleep in the kernel: nobody
 * takes its work from it because it is slow, and no tick falls into the count. So what is between
 * them must need no other thread. A signal that comes meanwhile is handed on after the end.
 *
 * Counted are instructions (a repeated string instruction once; those in the vDSO not at all),
 * locked ones among them (a lock prefix, or an exchange with memory: what orders memory and may
 * fetch a line), system calls, and arrivals at one address, which the caller picks.
 *
 * x86_64 only. One piece at a time. A step costs some microseconds.
 */
#ifndef STEPS_H
#define STEPS_H
#include <stdint.h>

struct steps {
    uint64_t instructions, locked, syscalls, arrivals;
};

/** Runs child(arg) in a process of its own and traces it. `watched` is the address whose arrivals
 *  count. Returns what child returned, or a negative errno (-EPERM: tracing is forbidden here). */
int steps_run(int (*child)(void *), void *arg, void (*watched)(void));

/** In the child: from here, to there, on one thread. steps_end returns what was counted. */
void steps_begin(void);
struct steps steps_end(void);
#endif
