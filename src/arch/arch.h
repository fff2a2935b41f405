// SPDX-License-Identifier: Apache-2.0
/*
 * arch.h - everything that depends on the processor, declared once; src/arch/<cpu>/ implements it.
 * Knows nothing above.
 *
 * Switch: callee-saved registers go onto the leaving stack, its pointer into *ret_sp, and the other
 * stack's are taken from sp. mxcsr and the x87 control word are not saved (1.5 ns): a fiber that
 * changes rounding must restore it before it parks.
 *
 *     saved stack, low to high:   r15 r14 r13 r12 rbx rbp  return address
 *                                 ^ sp
 */
#ifndef WEFT_ARCH_H
#define WEFT_ARCH_H
#include <stddef.h>
#include <stdint.h>

/** Leaves the current stack (its pointer into *ret_sp) for the one saved at sp. */
void weft__arch_switch(void **ret_sp, void *sp);

/** Lays out a new stack that ends at top (16-aligned) so that a switch to the result calls
 * entry(arg) with an unwind end. */
void *weft__arch_stack_init(void *top, void (*entry)(void *), void *arg);

/** Where a stack saved by weft__arch_switch goes on: program counter and frame pointer, for
 * unwinding. */
static inline void weft__arch_saved_frame(const void *sp, uintptr_t *ret_pc, uintptr_t *ret_fp)
{
    const uintptr_t *s = sp;
    *ret_fp = s[5];
    *ret_pc = s[6];
}

/** The same of the code that a signal interrupted; ucontext is the handler's third argument.
 * Async-signal-safe. */
void weft__arch_ucontext_frame(const void *ucontext, uintptr_t *ret_pc, uintptr_t *ret_fp);

/* All of its registers that unwind tables speak of, by DWARF's numbers. */
enum { WEFT__ARCH_REGISTERS = 17, WEFT__ARCH_SP = 7, WEFT__ARCH_PC = 16 };
/** Async-signal-safe. */
void weft__arch_ucontext_registers(const void *ucontext, uint64_t ret[WEFT__ARCH_REGISTERS]);

static inline void weft__cpu_pause(void)
{
    __builtin_ia32_pause();
}

/** The thread's own runtime record. Inline assembly on purpose: after a park the compiler may have
 * kept the OLD thread's address of any thread-local it computed itself (gcc and clang both do), so
 * it is never allowed to compute one. */
struct weft__thread;
extern __thread struct weft__thread *weft__tls_thread __attribute__((tls_model("initial-exec")));
static inline struct weft__thread *weft__arch_thread(void)
{
    struct weft__thread *t;
    __asm__ volatile("movq weft__tls_thread@gottpoff(%%rip), %0\n\tmovq %%fs:(%0), %0" : "=r"(t));
    return t;
}

static inline long weft__arch_syscall(long n, long a, long b, long c, long d, long e, long f)
{
    long ret;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(ret)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return ret;
}
#endif
