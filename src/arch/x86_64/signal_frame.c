// SPDX-License-Identifier: Apache-2.0
/* signal_frame.c - where the code that a signal interrupted stood, from the registers that the
 * kernel saved for it (x86-64). */
#include <ucontext.h>

#include "arch/arch.h"

void weft__arch_ucontext_frame(const void *ucontext, uintptr_t *ret_pc, uintptr_t *ret_fp)
{
    const ucontext_t *u = ucontext;
    *ret_pc = (uintptr_t)u->uc_mcontext.gregs[REG_RIP];
    *ret_fp = (uintptr_t)u->uc_mcontext.gregs[REG_RBP];
}

void weft__arch_ucontext_registers(const void *ucontext, uint64_t ret[WEFT__ARCH_REGISTERS])
{
    static const int order[WEFT__ARCH_REGISTERS] = {REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI,
        REG_RDI, REG_RBP, REG_RSP, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14,
        REG_R15, REG_RIP};
    const ucontext_t *u = ucontext;
    for (int i = 0; i < WEFT__ARCH_REGISTERS; i++)
        ret[i] = (uint64_t)u->uc_mcontext.gregs[order[i]];
}
