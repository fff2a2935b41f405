// SPDX-License-Identifier: Apache-2.0
/*
 * unwind.h - the registration list of a fiber: what runs when a block is left by a panic or an
 * exit.
 *
 * U1  fiber.defers is a stack of weft_unwind, each in the frame of the block that made it; newest
 *     first. Only the fiber itself touches it, outside the runtime: no lock.
 * U2  run != NULL means registered and not yet run. Whoever takes an entry off the list clears it,
 *     so a cleanup handler that comes later finds NULL and does nothing.
 */
#ifndef WEFT_CTX_UNWIND_H
#define WEFT_CTX_UNWIND_H
#include <stdbool.h>

#include <weft/panic.h>

#include "sched/sched.h"
#include "sync/unwinding.h"

/** Takes u off the list; false: it was run already. Entries above it belong to frames that are gone
 * (a longjmp of the user's): they are
 *  forgotten with it. */
static inline bool weft__unwind_leave(weft_unwind *u)
{
    if (!u->run)
        return false;
    u->run = NULL;
    weft__self()->defers = u->below;
    return true;
}

/* Where an exit goes on that must not end its fiber: weft_run's first one, which has an end to see
 * to. */
struct weft__base {
    weft_unwind unwind;
    int result; /* of the exit */
    jmp_buf buf;
};
/** Calls fn(arg); a weft_exit inside returns from here. Outside enter/leave, on a fiber. */
int weft__base_run(int (*fn)(void *), void *arg);
#endif
