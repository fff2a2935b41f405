// SPDX-License-Identifier: Apache-2.0
/*
 * moment.c - from registers and a copied stack to program counters (moment.h).
 *
 * libdwfl unwinds "threads" of a process that it is attached to by callbacks. Ours has one, which
 * is the moment at hand: registers and stack are the copy's, all other memory the process's own.
 * It can be attached once and stays so; everything is under symbol.c's lock.
 *
 * Limit: WEFT__STACK_COPY bytes of stack. Deeper frames are missing.
 */
#include "diag/moment.h"

#include <elfutils/libdwfl.h>
#include <string.h>
#include <unistd.h>

#include "base/peek.h"
#include "diag/symbol.h"

static const struct weft__moment *moment; /* under symbol.c's lock */
static bool attached;

void weft__moment_take(struct weft__moment *ret, const void *ucontext)
{
    weft__arch_ucontext_registers(ucontext, ret->registers);
    ret->bytes = weft__read_some(
        (void *)(uintptr_t)ret->registers[WEFT__ARCH_SP], ret->stack, sizeof ret->stack);
}

static pid_t next_thread(Dwfl *d, void *arg, void **ret_thread)
{
    (void)d;
    if (*ret_thread)
        return 0;
    *ret_thread = arg;
    return getpid();
}

static bool get_thread(Dwfl *d, pid_t tid, void *arg, void **ret_thread)
{
    (void)d, (void)tid;
    *ret_thread = arg;
    return true;
}

static bool read_memory(Dwfl *d, Dwarf_Addr at, Dwarf_Word *ret, void *arg)
{
    uint64_t low = moment->registers[WEFT__ARCH_SP];
    (void)d, (void)arg;
    if (at >= low && at - low + sizeof *ret <= moment->bytes) {
        memcpy(ret, moment->stack + (at - low), sizeof *ret);
        return true;
    }
    return weft__read_safely((const void *)(uintptr_t)at, ret, sizeof *ret);
}

static bool set_registers(Dwfl_Thread *thread, void *arg)
{
    (void)arg;
    if (!dwfl_thread_state_registers(thread, 0, WEFT__ARCH_DWARF_REGISTERS, moment->registers))
        return false;
    /* Not every processor's tables number it. */
    dwfl_thread_state_register_pc(thread, moment->registers[WEFT__ARCH_PC]);
    return true;
}

static const Dwfl_Thread_Callbacks callbacks = {
    .next_thread = next_thread,
    .get_thread = get_thread,
    .memory_read = read_memory,
    .set_initial_registers = set_registers,
};

struct frames {
    uintptr_t *pcs;
    int n, max;
};

static int on_frame(Dwfl_Frame *frame, void *arg)
{
    struct frames *f = arg;
    Dwarf_Addr pc;
    bool exact;
    if (f->n == f->max || !dwfl_frame_pc(frame, &pc, &exact) || pc < 4096)
        return DWARF_CB_ABORT;
    f->pcs[f->n++] = (uintptr_t)pc;
    return DWARF_CB_OK;
}

int weft__unwind(const struct weft__moment *m, uintptr_t *ret_pcs, int max)
{
    struct frames f = {ret_pcs, 0, max};
    Dwfl *d = weft__dwfl_acquire();
    moment = m;
    if (d && !attached)
        attached = dwfl_attach_state(d, NULL, getpid(), &callbacks, &attached);
    if (attached)
        dwfl_getthread_frames(d, getpid(), on_frame, &f);
    moment = NULL;
    weft__dwfl_release();
    if (f.n == 0 && max > 0)
        ret_pcs[f.n++] = (uintptr_t)m->registers[WEFT__ARCH_PC];
    return f.n;
}
