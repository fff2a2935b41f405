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
