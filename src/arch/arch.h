// SPDX-License-Identifier: Apache-2.0
/*
 * arch.h - everything that depends on the processor, declared once; src/arch/<cpu>/ implements it.
 * Knows nothing above.
 *
 *     arch.h ── x86_64/x86_64.h      what is inline, and the layout of a saved stack
 *          │    x86_64/switch.c      the switch, the first entry
 *          │    x86_64/signal_frame.c  registers of interrupted code
 *          └─ aarch64/aarch64.h, aarch64_switch.c, aarch64_signal.c   the same
 *
 * A processor's header gives:
 *   WEFT__ARCH_SAVED_WORDS, _SAVED_FP, _SAVED_PC   words of a saved stack, low to high
 *   WEFT__ARCH_DWARF_REGISTERS                     registers 0 .. n-1 of DWARF's numbering
 *   WEFT__ARCH_REGISTERS, _SP, _PC                 all that are read from a signal's frame
 *   weft__cpu_pause, weft__arch_thread, weft__arch_syscall, weft__arch_code_address
 *
 * Switch: callee-saved registers go onto the leaving stack, its pointer into *ret_sp, and the other
 * stack's are taken from sp. What rules floating point (mxcsr and the x87 control word, fpcr) is
 * not saved (1.5 ns): a fiber that changes rounding must restore it before it parks.
 */
#ifndef WEFT_ARCH_H
#define WEFT_ARCH_H
#include <stddef.h>
#include <stdint.h>

struct weft__thread;
/** The thread's own runtime record; reached through weft__arch_thread only. */
extern __thread struct weft__thread *weft__tls_thread __attribute__((tls_model("initial-exec")));

#if defined(__x86_64__) && defined(__LP64__)
#include "arch/x86_64/x86_64.h"
#elif defined(__aarch64__) && defined(__LP64__) && !defined(__AARCH64EB__)
#include "arch/aarch64/aarch64.h"
#else
#error "weft runs on x86-64 and aarch64 (little-endian, 64-bit pointers)"
#endif

/** Leaves the current stack (its pointer into *ret_sp) for the one saved at sp. */
void weft__arch_switch(void **ret_sp, void *sp);

/** Lays out a new stack that ends at top (16-aligned) so that a switch to the result calls
 * entry(arg) with an unwind end. entry may return: the saved stack that goes on in its place. Where
 * that is the one that this one was entered from, all returns there are foreseen, as after any
 * call. */
void *weft__arch_stack_init(void *top, void *(*entry)(void *), void *arg);

/** Where a stack saved by weft__arch_switch goes on: program counter and frame pointer, for
 * unwinding. The stack may have gone on meanwhile (then it is anything): AddressSanitizer does not
 * look. */
__attribute__((no_sanitize_address)) static inline void weft__arch_saved_frame(
    const void *sp, uintptr_t *ret_pc, uintptr_t *ret_fp)
{
    const uintptr_t *s = sp;
    *ret_fp = s[WEFT__ARCH_SAVED_FP];
    *ret_pc = s[WEFT__ARCH_SAVED_PC];
}

/** The same of the code that a signal interrupted; ucontext is the handler's third argument.
 * Async-signal-safe. */
void weft__arch_ucontext_frame(const void *ucontext, uintptr_t *ret_pc, uintptr_t *ret_fp);

/** All of its registers that unwind tables speak of, by DWARF's numbers. Async-signal-safe. */
void weft__arch_ucontext_registers(const void *ucontext, uint64_t ret[WEFT__ARCH_REGISTERS]);
#endif
