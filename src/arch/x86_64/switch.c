// SPDX-License-Identifier: Apache-2.0
/*
 * switch.c - the context switch of x86-64 (System V): six pushes, two moves, six pops, one return.
 *
 * It ends in ret, not in an indirect jump. All switches leave from one call and so come back to
 * one address: the return predictor's guess is right, and its stack stays in step, so that the
 * returns that follow, up to the caller of the operation, are guessed right too. A jump leaves an
 * entry behind, and each of them is guessed wrong: two fibers that yield took 28 ns with the jump
 * and 16 with the return. (A bare switch in a loop, without callers to return to, says the
 * opposite: 2.9 ns with the jump, 3.6 with the return.) The first entry has no caller: it jumps,
 * and weft__arch_start marks its return address undefined, so debuggers and unwinders stop there.
 * A fiber's end likewise returns to weft__arch_start, which goes on with the successor by a jump:
 * then the predictor's stack is as it was when the fiber began, and the one who waited for it
 * finds all his returns foreseen.
 */
#include "arch/arch.h"

__thread struct weft__thread *weft__tls_thread __attribute__((tls_model("initial-exec")));

__asm__(".text\n"
        ".p2align 4\n"
        ".globl weft__arch_switch\n"
        ".hidden weft__arch_switch\n"
        ".type weft__arch_switch,@function\n"
        "weft__arch_switch:\n"
        "    .cfi_startproc\n"
        "    pushq %rbp\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbp, 0\n"
        "    pushq %rbx\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset rbx, 0\n"
        "    pushq %r12\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r12, 0\n"
        "    pushq %r13\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r13, 0\n"
        "    pushq %r14\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r14, 0\n"
        "    pushq %r15\n"
        "    .cfi_adjust_cfa_offset 8\n"
        "    .cfi_rel_offset r15, 0\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        ".Lgo_on:\n"
        "    popq %r15\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r15\n"
        "    popq %r14\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r14\n"
        "    popq %r13\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r13\n"
        "    popq %r12\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore r12\n"
        "    popq %rbx\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore rbx\n"
        "    popq %rbp\n"
        "    .cfi_adjust_cfa_offset -8\n"
        "    .cfi_restore rbp\n"
        "    leaq weft__arch_start(%rip), %rcx\n"
        "    cmpq %rcx, (%rsp)\n"
        "    je 1f\n"
        "    ret\n"
        "1:  addq $8, %rsp\n"
        "    jmp weft__arch_start\n"
        "    .cfi_endproc\n"
        ".size weft__arch_switch,.-weft__arch_switch\n"
        /* r12 = entry, r13 = arg, laid out by weft__arch_stack_init */
        ".p2align 4\n"
        ".globl weft__arch_start\n"
        ".hidden weft__arch_start\n"
        ".type weft__arch_start,@function\n"
        "weft__arch_start:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined rip\n"
        "    xorl %ebp, %ebp\n"
        "    movq %r13, %rdi\n"
        "    callq *%r12\n"
        "    movq %rax, %rsp\n"
        "    jmp .Lgo_on\n"
        "    .cfi_endproc\n"
        ".size weft__arch_start,.-weft__arch_start\n");

void weft__arch_start(void);

void *weft__arch_stack_init(void *top, void *(*entry)(void *), void *arg)
{
    /* After the pops and the jump, rsp == top, 16-aligned, as before a call. */
    uintptr_t *s = (uintptr_t *)top - 7;
    s[0] = s[1] = 0;
    s[2] = (uintptr_t)arg;   /* r13 */
    s[3] = (uintptr_t)entry; /* r12 */
    s[4] = s[5] = 0;
    s[6] = (uintptr_t)weft__arch_start;
    return s;
}
