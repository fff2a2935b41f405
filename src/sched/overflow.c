// SPDX-License-Identifier: Apache-2.0
/*
 * overflow.c - stack overflow told from other faults: the faulting address lies in the guard of a
 * live fiber's slot.
 *
 * Runs on the thread's signal stack, calls nothing that allocates. Any other fault goes to the
 * handler that was installed before, or, without one, the default action is restored and the
 * instruction faults again, so cores and debuggers see the original fault.
 */
#include "sched/overflow.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fatal.h"
#include "sched/stack.h"
#include "sched/worker.h"

static struct sigaction old_segv, old_bus;
static bool installed; /* WEFT_OVERFLOW=0 leaves the program's own handlers alone */

static void pass_on(int sig, siginfo_t *info, void *uc, struct sigaction *old)
{
    if (old->sa_flags & SA_SIGINFO) {
        old->sa_sigaction(sig, info, uc);
    } else if (old->sa_handler != SIG_DFL && old->sa_handler != SIG_IGN) {
        old->sa_handler(sig);
    } else {
        sigaction(sig, old, NULL);
    }
}

/* How many calls deep: by frame pointers, each above the last and on this stack. Code compiled
 * without them is counted too low, or ends the count. */
static size_t depth(const struct weft__fiber *f, const void *uc)
{
    uintptr_t pc, fp, low = (uintptr_t)f->stack_low;
    size_t n = 1;
    weft__arch_ucontext_frame(uc, &pc, &fp);
    while (fp >= low && fp < (uintptr_t)f && fp % sizeof fp == 0) {
        uintptr_t up = *(volatile uintptr_t *)fp; /* mapped: above the guard */
        n++;
        if (up <= fp)
            break;
        fp = up;
    }
    return n;
}

static void on_fault(int sig, siginfo_t *info, void *uc)
{
    bool guard = false;
    struct weft__fiber *f = weft__stack_find((uintptr_t)info->si_addr, &guard);
    if (f && guard) {
        weft__eprintf("weft: fatal: stack overflow in fiber %llu: %zu KiB of stack are used up, "
                      "%zu calls deep; spawn it with a larger "
                      "stack_bytes, or look for deep recursion and large local arrays\n",
            (unsigned long long)f->id, weft__stack_bytes(f) / 1024, depth(f, uc));
        if (weft__fatal_hook)
            weft__fatal_hook(2);
        signal(SIGABRT, SIG_DFL);
        raise(SIGABRT);
    }
    pass_on(sig, info, uc, sig == SIGSEGV ? &old_segv : &old_bus);
}

void weft__overflow_install(void)
{
    const char *wish = getenv("WEFT_OVERFLOW");
    installed = !(wish && strcmp(wish, "0") == 0);
    if (!installed)
        return;
    struct sigaction sa = {
        .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGSEGV, &sa, &old_segv);
    sigaction(SIGBUS, &sa, &old_bus);
}

void weft__overflow_uninstall(void)
{
    if (!installed)
        return;
    installed = false;
    sigaction(SIGSEGV, &old_segv, NULL);
    sigaction(SIGBUS, &old_bus, NULL);
}
