// SPDX-License-Identifier: Apache-2.0
/*
 * x86_64.h - what of x86-64 is inline or a number (arch.h, which alone includes this).
 *
 *     saved stack, low to high:   r15 r14 r13 r12 rbx rbp  return address
 *                                 ^ sp
 */
#ifndef WEFT_ARCH_X86_64_H
#define WEFT_ARCH_X86_64_H

enum { WEFT__ARCH_SAVED_FP = 5, WEFT__ARCH_SAVED_PC = 6, WEFT__ARCH_SAVED_WORDS = 7 };
enum {
    WEFT__ARCH_SP = 7,
    WEFT__ARCH_PC = 16,
    WEFT__ARCH_DWARF_REGISTERS = 17,
    WEFT__ARCH_REGISTERS = 17
};

static inline void weft__cpu_pause(void)
{
    __builtin_ia32_pause();
}

/** The thread's own runtime record. Inline assembly on purpose: after a park the compiler may have
 * kept the OLD thread's address of any thread-local it computed itself (gcc and clang both do), so
 * it is never allowed to compute one. */
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

/** The address in a saved return address: all of it. */
static inline uintptr_t weft__arch_code_address(uintptr_t pc)
{
    return pc;
}
#endif
