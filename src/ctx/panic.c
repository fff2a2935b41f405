// SPDX-License-Identifier: Apache-2.0
/*
 * panic.c - panics, protected calls, defers, and weft_exit: one walk down the fiber's registration
 * list (unwind.h).
 *
 * The walk runs on top of the frames that it unwinds; nothing is popped before a protected call is
 * found, and then all at once, by longjmp. While an entry runs, a marker in the walk's own frame
 * stands for it on the list:
 *
 *     list while a defer runs:   [what the defer registers] -> [marker: panic A] -> [older entries]
 *     -> end
 *
 * A panic B inside that defer walks its own entries first. If none of them catches it, it meets the
 * marker: B takes A's place (A becomes B's previous) and goes on with the older entries. An exit's
 * marker makes the walk an exit again where B would have been caught: an exit that has begun is not
 * undone (Go: Goexit and recover).
 *
 * Not recovered at the end of the list: a fiber of an isolating scope ends with -WEFT_EPANIC; any
 * other ends the process. Whether that will be so is known at the start, so the report is made
 * then, with all stacks as they were; the defers run after it.
 *
 * P1  A panic is freed by whoever caught it (weft_try's caller, weft_try_end), or by the walk that
 *     discards it.
 */
#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weft/error.h>
#include <weft/run.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/hooks.h"
#include "base/log.h"
#include "ctx/context.h"
#include "ctx/record.h"
#include "ctx/unwind.h"

enum { MAX_FRAMES = 64, MESSAGE_BYTES = 512 };

struct weft_panic_info {
    weft_panic_info *previous; /* owned */
    uint64_t fiber;
    bool constant; /* there was no memory: not to be freed */
    int frames;
    void *pcs[MAX_FRAMES];
    char message[MESSAGE_BYTES];
};

/* Stands on the list for an entry that runs; in the walk's frame. */
struct marker {
    weft_unwind unwind;
    weft_panic_info *panic; /* NULL: an exit */
    int result;             /* of the exit */
};

/* What `run` of the entries that are no functions points at. */
static void is_try(weft_unwind *u)
{
    (void)u;
}
static void is_caught_try(weft_unwind *u)
{
    (void)u;
}
static void is_marker(weft_unwind *u)
{
    (void)u;
}
static void is_base(weft_unwind *u)
{
    (void)u;
}

/* ---- the panic's record ---- */

/* From where to where frame pointers may point. */
static void stack_bounds(struct weft__fiber *f, uintptr_t *ret_low, uintptr_t *ret_high)
{
    *ret_low = (uintptr_t)f->stack_low;
    *ret_high = (uintptr_t)f; /* the record lies above the first frame */
    if (f->flags & WEFT__F_THREAD) {
        pthread_attr_t a;
        void *low = NULL;
        size_t bytes = 0;
        if (pthread_getattr_np(pthread_self(), &a) == 0) {
            pthread_attr_getstack(&a, &low, &bytes);
            pthread_attr_destroy(&a);
        }
        *ret_low = (uintptr_t)low;
        *ret_high = (uintptr_t)low + bytes;
    }
}

static int walk_frames(struct weft__fiber *f, uintptr_t fp, void **pcs, int max)
{
    uintptr_t low, high;
    int n = 0;
    stack_bounds(f, &low, &high);
    while (n < max && fp >= low && fp % 8 == 0 && fp < high && high - fp >= 16) {
        const uintptr_t *frame = (const uintptr_t *)fp;
        if (!frame[1])
            break;
        pcs[n++] = (void *)weft__arch_code_address(frame[1]);
        if (frame[0] <= fp)
            break;
        fp = frame[0];
    }
    return n;
}

__attribute__((noinline)) static weft_panic_info *record(
    struct weft__fiber *f, uintptr_t fp, const char *fmt, va_list ap)
{
    static weft_panic_info no_memory = {
        .constant = true, .message = "a panic for whose message there was no memory"};
    weft_panic_info *p = weft__alloc(sizeof *p);
    if (!p)
        return &no_memory;
    p->previous = NULL;
    p->fiber = f->id;
    p->constant = false;
    p->frames = walk_frames(f, fp, p->pcs, MAX_FRAMES);
    vsnprintf(p->message, sizeof p->message, fmt, ap);
    return p;
}

void weft_panic_free(weft_panic_info *p)
{
    while (p && !p->constant) {
        weft_panic_info *previous = p->previous;
        weft__free(p);
        p = previous;
    }
}

const char *weft_panic_message(const weft_panic_info *p)
{
    return p->message;
}

size_t weft_panic_stack(const weft_panic_info *p, void *const **ret_pcs)
{
    *ret_pcs = p->pcs;
    return (size_t)p->frames;
}

const weft_panic_info *weft_panic_previous(const weft_panic_info *p)
{
    return p->previous;
}

static void set_previous(weft_panic_info *p, weft_panic_info *previous)
{
    if (p->constant || p == previous)
        return;
    while (p->previous)
        p = p->previous;
    p->previous = previous;
}

/* ---- the ends of the list ---- */

static bool isolated(const struct weft__fiber *f)
{
    return f->scope && f->scope->isolate && !(f->flags & WEFT__F_THREAD);
}

/* Will the list's end be reached, and is that the process's end? */
static bool is_fatal(const struct weft__fiber *f)
{
    for (const weft_unwind *u = f->defers; u; u = u->below)
        if (u->run == is_try || (u->run == is_marker && !((const struct marker *)u)->panic))
            return false;
    return !isolated(f);
}

static void print_chain(const weft_panic_info *p)
{
    if (p->previous)
        print_chain(p->previous);
    weft__eprintf("weft: panic: %s\n", p->message);
}

static void report(struct weft__fiber *f, const weft_panic_info *p)
{
    char name[WEFT__NAME_BYTES], labels[WEFT__LABEL_BYTES + 64];
    if (weft__give_up_hook)
        weft__give_up_hook("panic", p->message);
    weft__fiber_name(f, name, sizeof name);
    weft__fiber_labels(f, labels, sizeof labels);
    print_chain(p);
    if (f->flags & WEFT__F_THREAD)
        weft__eprintf("weft: nobody recovers it in a plain thread\n");
    else
        weft__eprintf("weft: nobody recovers it in fiber %llu \"%s\"%s%s\n",
            (unsigned long long)f->id, name, labels[0] ? " with " : "", labels);
    if (weft__fatal_hook) {
        weft__fatal_hook(2);
    } else {
        for (int i = 0; i < p->frames; i++)
            weft__eprintf("    #%d %p\n", i, p->pcs[i]);
    }
    if (weft__dump_hook)
        weft__dump_hook(2);
}

/* The walk is through, and nobody wanted it. */
static _Noreturn void end_of_list(struct weft__fiber *f, weft_panic_info *p, int result)
{
    if (p && !isolated(f))
        abort(); /* reported at its start */
    if (p) {
        weft__log(WEFT_LOG_WARNING, "panic in fiber %llu ended only this fiber: %s",
            (unsigned long long)f->id, p->message);
        result = weft_fail(weft_error_new(
            -WEFT_EPANIC, "fiber %llu panicked: %s", (unsigned long long)f->id, p->message));
        weft_panic_free(p);
    }
    if (f->flags & WEFT__F_THREAD)
        weft__misuse("weft_exit on a plain thread");
    weft__enter();
    weft__fiber_finish(result);
}

/* ---- the walk ---- */

/* The walk so far, kept in one place since entries that run may park and take long. */
struct walk {
    struct weft__fiber *f;
    weft_panic_info *panic; /* NULL: an exit */
    int result;             /* of an exit */
    bool exiting; /* an exit was met on the way: the panic will not be recovered, but forgotten */
};

static _Noreturn void caught(struct walk *w, weft_try_frame *t)
{
    t->panic = w->panic;
    t->unwind.run = is_caught_try;
    w->f->defers = &t->unwind; /* until weft_try_end */
    longjmp(t->buf, 1);
}

static void run_entry(struct walk *w, weft_unwind *u)
{
    void (*run)(weft_unwind *) = u->run;
    struct marker m = {.panic = w->panic, .result = w->result};
    u->run = NULL; /* U2 */
    weft__unwind_push(w->f, &m.unwind, is_marker);
    run(u);
    w->f->defers = m.unwind.below;
}

static _Noreturn void walk_list(struct walk *w)
{
    weft_unwind *u;
    while ((u = w->f->defers)) {
        w->f->defers = u->below;
        if (u->run == is_base && !w->panic) {
            struct weft__base *b = (struct weft__base *)u;
            b->result = w->result;
            w->f->defers = u;
            longjmp(b->buf, 1);
        } else if (u->run == is_marker) {
            struct marker *m = (struct marker *)u;
            if (!m->panic) {
                w->exiting = true;
                w->result = m->result;
            } else if (w->panic)
                set_previous(w->panic, m->panic);
            else
                weft_panic_free(m->panic); /* an exit in a defer: the panic is over */
        } else if (u->run == is_try && w->panic) {
            if (!w->exiting)
                caught(w, (weft_try_frame *)u);
            weft_panic_free(w->panic);
            w->panic = NULL;
        } else if (u->run == is_caught_try) { /* a panic in a recover block */
            weft_panic_info *old = ((weft_try_frame *)u)->panic;
            if (w->panic)
                set_previous(w->panic, old);
            else
                weft_panic_free(old);
        } else if (u->run != is_base && u->run != is_try) {
            run_entry(w, u);
        }
    }
    end_of_list(w->f, w->panic, w->result);
}

static _Noreturn void begin(struct weft__fiber *f, weft_panic_info *p, int result)
{
    struct walk w = {.f = f, .panic = p, .result = result};
    if (p && is_fatal(f))
        report(f, p);
    walk_list(&w);
}

void weft_panic(const char *fmt, ...)
{
    struct weft__fiber *f = weft__me();
    va_list ap;
    va_start(ap, fmt);
    weft_panic_info *p = record(f, (uintptr_t)__builtin_frame_address(0), fmt, ap);
    va_end(ap);
    begin(f, p, 0);
}

void weft_panic_again(weft_panic_info *p)
{
    begin(weft__me(), p, 0);
}

void weft_exit(int result)
{
    begin(weft__me(), NULL, result);
}

/* ---- protected calls ---- */

weft_try_frame *weft_try_begin(weft_try_frame *t)
{
    t->panic = NULL;
    weft__unwind_push(weft__me(), &t->unwind, is_try);
    return t;
}

void weft_try_end(weft_try_frame *t)
{
    if (!weft__unwind_leave(&t->unwind))
        return;
    weft_panic_free(t->panic);
    t->panic = NULL;
}

weft_panic_info *weft_try_caught(void)
{
    weft_unwind *u = weft__me()->defers;
    return u && u->run == is_caught_try ? ((weft_try_frame *)u)->panic : NULL;
}

int weft_try(int (*fn)(void *), void *arg, weft_panic_info **ret_panic)
{
    weft_try_frame t;
    weft_try_begin(&t);
    if (setjmp(t.buf) == 0) {
        int rc = fn(arg);
        weft_try_end(&t);
        return rc;
    }
    if (ret_panic) {
        *ret_panic = t.panic;
        t.panic = NULL;
    }
    weft_try_end(&t);
    return -WEFT_EPANIC;
}

int weft__base_run(int (*fn)(void *), void *arg)
{
    struct weft__base b;
    weft__unwind_push(weft__me(), &b.unwind, is_base);
    int rc = setjmp(b.buf) == 0 ? fn(arg) : b.result;
    weft__unwind_leave(&b.unwind);
    return rc;
}

/* ---- defers ---- */

static void run_defer(weft_unwind *u)
{
    weft_defer *d = weft__entry(u, weft_defer, unwind);
    if (d->fn)
        d->fn(d->arg);
}

void weft_defer_push(weft_defer *d, void (*fn)(void *), void *arg)
{
    d->fn = fn;
    d->arg = arg;
    weft__unwind_push(weft__me(), &d->unwind, run_defer);
}

void weft_defer_pop(weft_defer *d)
{
    if (weft__unwind_leave(&d->unwind))
        run_defer(&d->unwind);
}

void weft_defer_cancel(weft_defer *d)
{
    d->fn = NULL;
}
