// SPDX-License-Identifier: Apache-2.0
/*
 * moment.h - program counters of a stopped moment, from registers and a copy of the stack.
 *
 * A thread that waits in the kernel does so inside libc, which Debian builds without frame
 * pointers, so backtrace.h's walk ends there at once. The unwind tables know the way: libdwfl reads
 * them, against a copy that the thread made of its own stack, as the thread itself has gone on.
 */
#ifndef WEFT_DIAG_MOMENT_H
#define WEFT_DIAG_MOMENT_H
#include <stddef.h>
#include <stdint.h>

#include "arch/arch.h"

enum { WEFT__STACK_COPY = 64 << 10 };

struct weft__moment {
    uint64_t registers[WEFT__ARCH_REGISTERS];
    size_t bytes; /* of stack, from the stack pointer on */
    unsigned char stack[WEFT__STACK_COPY];
};

/** Takes the moment that a signal handler interrupted. Async-signal-safe. */
void weft__moment_take(struct weft__moment *ret, const void *ucontext);
/** Its frames, innermost first; 1 at least. Any thread, one at a time with weft__symbol_of; not
 * async-signal-safe. */
int weft__unwind(const struct weft__moment *m, uintptr_t *ret_pcs, int max);
#endif
