// SPDX-License-Identifier: Apache-2.0
/* backtrace.c - walking frame pointers (backtrace.h). */
#include "diag/backtrace.h"

#include "base/peek.h"
#include "sched/stack.h"
#include "sched/worker.h"

/* The stack may be in use: a fiber that was running when it was asked where, or is waiting no more,
 * goes on meanwhile, and a frame's words become anything. So each is tried for what it is worth,
 * within the bounds, where memory can always be read; and AddressSanitizer, to whom the space
 * between the variables of a newer frame is forbidden ground, does not look. */
__attribute__((no_sanitize_address)) static int walk(
    uintptr_t fp, uintptr_t low, uintptr_t high, uintptr_t *pcs, int n, int max)
{
    while (n < max && fp >= low && fp + 16 <= high && fp % 8 == 0) {
        const uintptr_t *frame = (const uintptr_t *)fp;
        uintptr_t next = frame[0], pc = weft__arch_code_address(frame[1]);
        if (pc < 4096)
            break;
        pcs[n++] = pc;
        if (next <= fp)
            break;
        fp = next;
    }
    return n;
}

/* Of a stack with these bounds. */
static int walk_from(
    uintptr_t pc, uintptr_t fp, uintptr_t low, uintptr_t high, uintptr_t *pcs, int max)
{
    int n = 0;
    if (pc && max > 0)
        pcs[n++] = pc;
    return walk(fp, low, high, pcs, n, max);
}

int weft__backtrace(struct weft__fiber *f, uintptr_t *pcs, int max)
{
    uintptr_t pc, fp, high = (uintptr_t)f;
    if (f == weft__self())
        return weft__backtrace_here(pcs, max);
    /* Once each: f may end meanwhile, and its record's page go to the kernel and be read as zeros.
     * The stack's addresses stay good to read. */
    uintptr_t low = (uintptr_t) * (char *volatile *)&f->stack_low;
    uintptr_t sp = (uintptr_t) * (void *volatile *)&f->sp;
    if (!low)
        return 0;
    struct weft__mach *bound = (struct weft__mach *)(void *)f->bound;
    if (bound && at_load(&bound->sig_pc))
        return walk_from(at_load(&bound->sig_pc), at_load(&bound->sig_fp), low, high, pcs, max);
    if (at_load(&f->state) != WEFT__RUNNING) {
        if (sp < low || sp + WEFT__ARCH_SAVED_WORDS * sizeof pc > high)
            return 0;
        weft__arch_saved_frame((const void *)sp, &pc, &fp);
        return walk_from(pc, fp, low, high, pcs, max);
    }
    struct weft__mach *m = weft__mach_running(f);
    if (!m || !weft__mach_sample(m, &pc, &fp))
        return 0;
    return m->t.cur == f ? walk_from(pc, fp, low, high, pcs, max) : 0;
}

int weft__backtrace_here(uintptr_t *pcs, int max)
{
    uintptr_t fp = (uintptr_t)__builtin_frame_address(0);
    struct weft__fiber *f = weft__self();
    if (f && !(f->flags & (WEFT__F_IDLE | WEFT__F_THREAD)) && fp > (uintptr_t)f->stack_low &&
        fp < (uintptr_t)f)
        return walk(fp, (uintptr_t)f->stack_low, (uintptr_t)f, pcs, 0, max);
    /* A thread's own stack, whose bounds are unknown here: each frame is read safely. */
    int n = 0;
    uintptr_t frame[2];
    while (n < max && fp && fp % 8 == 0 && weft__read_safely((void *)fp, frame, sizeof frame) &&
           frame[1] > 4096) {
        pcs[n++] = weft__arch_code_address(frame[1]);
        if (frame[0] <= fp)
            break;
        fp = frame[0];
    }
    return n;
}
