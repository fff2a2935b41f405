// SPDX-License-Identifier: Apache-2.0
/*
 * aarch64_switch.c - the context switch of aarch64 (AAPCS64): ten pairs stored, ten pairs loaded.
 *
 * Saved is what a call must preserve: x19 to x28, frame pointer, link register, and the lower
 * halves of v8 to v15. That is enough with SVE too, whose registers a call preserves no more of;
 * SME's streaming mode and ZA are the caller's to leave before a call that may park.
 *
 * It returns by ret: with branch protection (BTI) an indirect branch may only arrive at a landing
 * pad, and what follows a call is none. The first entry has no caller: weft__arch_start marks its
 * return address undefined and its frame pointer is 0, so debuggers and unwinders stop there.
 */
#include "arch/arch.h"

__thread struct weft__thread *weft__tls_thread __attribute__((tls_model("initial-exec")));

__asm__(".text\n"
        ".p2align 4\n"
        ".globl weft__arch_switch\n"
        ".hidden weft__arch_switch\n"
        ".type weft__arch_switch,%function\n"
        "weft__arch_switch:\n"
        "    .cfi_startproc\n"
        "    hint #34\n" /* bti c: it may be called through a pointer */
        "    stp x19, x20, [sp, #-160]!\n"
        "    .cfi_adjust_cfa_offset 160\n"
        "    .cfi_rel_offset x19, 0\n"
        "    .cfi_rel_offset x20, 8\n"
        "    stp x21, x22, [sp, #16]\n"
        "    .cfi_rel_offset x21, 16\n"
        "    .cfi_rel_offset x22, 24\n"
        "    stp x23, x24, [sp, #32]\n"
        "    .cfi_rel_offset x23, 32\n"
        "    .cfi_rel_offset x24, 40\n"
        "    stp x25, x26, [sp, #48]\n"
        "    .cfi_rel_offset x25, 48\n"
        "    .cfi_rel_offset x26, 56\n"
        "    stp x27, x28, [sp, #64]\n"
        "    .cfi_rel_offset x27, 64\n"
        "    .cfi_rel_offset x28, 72\n"
        "    stp x29, x30, [sp, #80]\n"
        "    .cfi_rel_offset x29, 80\n"
        "    .cfi_rel_offset x30, 88\n"
        "    stp d8, d9, [sp, #96]\n" /* v0 is 64 in DWARF's numbering */
        "    .cfi_rel_offset 72, 96\n"
        "    .cfi_rel_offset 73, 104\n"
        "    stp d10, d11, [sp, #112]\n"
        "    .cfi_rel_offset 74, 112\n"
        "    .cfi_rel_offset 75, 120\n"
        "    stp d12, d13, [sp, #128]\n"
        "    .cfi_rel_offset 76, 128\n"
        "    .cfi_rel_offset 77, 136\n"
        "    stp d14, d15, [sp, #144]\n"
        "    .cfi_rel_offset 78, 144\n"
        "    .cfi_rel_offset 79, 152\n"
        "    mov x9, sp\n"
        "    str x9, [x0]\n"
        "    mov sp, x1\n" /* the same layout there, so the rules above still hold */
        ".Lgo_on:\n"
        "    ldp d14, d15, [sp, #144]\n"
        "    ldp d12, d13, [sp, #128]\n"
        "    ldp d10, d11, [sp, #112]\n"
        "    ldp d8, d9, [sp, #96]\n"
        "    ldp x29, x30, [sp, #80]\n"
        "    ldp x27, x28, [sp, #64]\n"
        "    ldp x25, x26, [sp, #48]\n"
        "    ldp x23, x24, [sp, #32]\n"
        "    ldp x21, x22, [sp, #16]\n"
        "    ldp x19, x20, [sp], #160\n"
        "    .cfi_adjust_cfa_offset -160\n"
        "    .cfi_restore x19\n"
        "    .cfi_restore x20\n"
        "    .cfi_restore x21\n"
        "    .cfi_restore x22\n"
        "    .cfi_restore x23\n"
        "    .cfi_restore x24\n"
        "    .cfi_restore x25\n"
        "    .cfi_restore x26\n"
        "    .cfi_restore x27\n"
        "    .cfi_restore x28\n"
        "    .cfi_restore x29\n"
        "    .cfi_restore x30\n"
        "    .cfi_restore 72\n"
        "    .cfi_restore 73\n"
        "    .cfi_restore 74\n"
        "    .cfi_restore 75\n"
        "    .cfi_restore 76\n"
        "    .cfi_restore 77\n"
        "    .cfi_restore 78\n"
        "    .cfi_restore 79\n"
        "    ret\n"
        "    .cfi_endproc\n"
        ".size weft__arch_switch,.-weft__arch_switch\n"
        /* x19 = arg, x20 = entry, laid out by weft__arch_stack_init. */
        ".p2align 4\n"
        ".globl weft__arch_start\n"
        ".hidden weft__arch_start\n"
        ".type weft__arch_start,%function\n"
        "weft__arch_start:\n"
        "    .cfi_startproc\n"
        "    .cfi_undefined x30\n"
        "    mov x29, xzr\n"
        "    mov x30, xzr\n"
        "    mov x0, x19\n"
        "    blr x20\n"
        "    mov sp, x0\n"
        "    b .Lgo_on\n"
        "    .cfi_endproc\n"
        ".size weft__arch_start,.-weft__arch_start\n");

void weft__arch_start(void);

void *weft__arch_stack_init(void *top, void *(*entry)(void *), void *arg)
{
    /* After the loads and the return, sp == top, 16-aligned as it always must be. */
    uintptr_t *s = (uintptr_t *)top - WEFT__ARCH_SAVED_WORDS;
    for (int i = 0; i < WEFT__ARCH_SAVED_WORDS; i++)
        s[i] = 0;
    s[0] = (uintptr_t)arg;   /* x19 */
    s[1] = (uintptr_t)entry; /* x20 */
    s[WEFT__ARCH_SAVED_PC] = (uintptr_t)weft__arch_start;
    return s;
}
