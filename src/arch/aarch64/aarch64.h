// SPDX-License-Identifier: Apache-2.0
/*
 * aarch64.h - what of aarch64 is inline or a number (arch.h, which alone includes this).
 *
 *     saved stack, low to high:   x19 .. x28  x29 (fp)  x30 (program counter)  d8 .. d15
 *                                 ^ sp        word 10   word 11                word 12 .. 19
 *
 * DWARF numbers x0 to x30 as 0 to 30 and sp as 31; the program counter has no number, and stands
 * behind them here.
 */
#ifndef WEFT_ARCH_AARCH64_H
#define WEFT_ARCH_AARCH64_H

enum { WEFT__ARCH_SAVED_FP = 10, WEFT__ARCH_SAVED_PC = 11, WEFT__ARCH_SAVED_WORDS = 20 };
enum {
    WEFT__ARCH_SP = 31,
    WEFT__ARCH_DWARF_REGISTERS = 32,
    WEFT__ARCH_PC = 32,
    WEFT__ARCH_REGISTERS = 33
};

/* isb and not yield: yield does nothing on nearly every core, so that a spin of some hundred looks
 * would be over before x86's, whose pause takes tens of cycles; isb takes about as long. */
static inline void weft__cpu_pause(void)
{
    __asm__ volatile("isb" ::: "memory");
}

/** The thread's own runtime record. Inline assembly on purpose: after a park the compiler may have
 * kept the OLD thread's address of any thread-local it computed itself (gcc and clang both do), so
 * it is never allowed to compute one. The offset comes from the GOT (initial-exec); the linker
 * turns that into two moves in a program that has the library inside. */
static inline struct weft__thread *weft__arch_thread(void)
{
    struct weft__thread *t;
    uintptr_t offset;
    __asm__ volatile("adrp %1, :gottprel:weft__tls_thread\n\t"
                     "ldr  %1, [%1, #:gottprel_lo12:weft__tls_thread]\n\t"
                     "mrs  %0, tpidr_el0\n\t"
                     "ldr  %0, [%0, %1]"
                     : "=&r"(t), "=&r"(offset));
    return t;
}

static inline long weft__arch_syscall(long n, long a, long b, long c, long d, long e, long f)
{
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
}

/** The address in a saved return address. In code built with -mbranch-protection its upper bits are
 * a signature; xpaclri, as the hint that it is (older processors do nothing), takes them out. */
static inline uintptr_t weft__arch_code_address(uintptr_t pc)
{
    register uintptr_t x30 __asm__("x30") = pc;
    __asm__("hint #7" : "+r"(x30));
    return x30;
}
#endif
