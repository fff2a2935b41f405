// SPDX-License-Identifier: Apache-2.0
/*
 * backtrace.h - program counters of a fiber's stack, by frame pointers (1 ns a frame), from any
 * thread.
 *
 * A fiber that waits or is runnable left its frame pointer on its stack at the switch; a preempted
 * one left it with its signal; one that runs right now is asked by a signal to its thread to record
 * its own. The walk never leaves the fiber's stack and only goes up, so a fiber that runs on
 * meanwhile yields at worst a wrong tail, never a fault. Code compiled without frame pointers ends
 * the walk early.
 */
#ifndef WEFT_DIAG_BACKTRACE_H
#define WEFT_DIAG_BACKTRACE_H
#include <stdint.h>

#include "sched/sched.h"

enum { WEFT__FRAMES_MAX = 64 };

/** Frames of f, innermost first; 0: it runs and could not be asked. Any thread. */
int weft__backtrace(struct weft__fiber *f, uintptr_t *ret_pcs, int max);
/** Frames of the caller itself (fiber or thread). Async-signal-safe. */
int weft__backtrace_here(uintptr_t *ret_pcs, int max);
#endif
