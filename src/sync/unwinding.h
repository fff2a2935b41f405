// SPDX-License-Identifier: Apache-2.0
/*
 * unwinding.h - having something run if the user's function that we call does not return (it
 * panicked, or ended its fiber).
 *
 * The fiber's list of registrations (fiber.defers, newest first, see <weft/panic.h>) is run by
 * panics and by weft_exit: each entry is taken off the list and its run function called, on the
 * fiber itself. A caller that gets back normally takes its entry off itself.
 */
#ifndef WEFT_SYNC_UNWINDING_H
#define WEFT_SYNC_UNWINDING_H
#include <weft/panic.h>

#include "base/fatal.h"
#include "sched/sched.h"

static inline void weft__unwind_push(
    struct weft__fiber *f, weft_unwind *u, void (*run)(weft_unwind *u))
{
    u->below = f->defers;
    u->run = run;
    f->defers = u;
}

static inline void weft__unwind_pop(struct weft__fiber *f, weft_unwind *u)
{
    WEFT_ASSERT(f->defers == u);
    f->defers = u->below;
}
#endif
