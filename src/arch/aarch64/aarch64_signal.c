// SPDX-License-Identifier: Apache-2.0
/* aarch64_signal.c - where the code that a signal interrupted stood, from the registers that the
 * kernel saved for it (aarch64). */
#include <ucontext.h>

#include "arch/arch.h"

void weft__arch_ucontext_frame(const void *ucontext, uintptr_t *ret_pc, uintptr_t *ret_fp)
{
    const ucontext_t *u = ucontext;
    *ret_pc = (uintptr_t)u->uc_mcontext.pc;
    *ret_fp = (uintptr_t)u->uc_mcontext.regs[29];
}

void weft__arch_ucontext_registers(const void *ucontext, uint64_t ret[WEFT__ARCH_REGISTERS])
{
    const ucontext_t *u = ucontext;
    for (int i = 0; i < WEFT__ARCH_SP; i++)
        ret[i] = (uint64_t)u->uc_mcontext.regs[i];
    ret[WEFT__ARCH_SP] = (uint64_t)u->uc_mcontext.sp;
    ret[WEFT__ARCH_PC] = (uint64_t)u->uc_mcontext.pc;
}
