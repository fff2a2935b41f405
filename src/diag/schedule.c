// SPDX-License-Identifier: Apache-2.0
/*
 * schedule.c - a schedule in words: its steps, and its fibers when it failed (simulation.h).
 *
 * No address is printed, so that the words of a replay are those of the first time. What a step
 * says of an object (kind, name, where it was made) is copied when the step ends, as the object may
 * be gone when somebody wants to read it; program counters become names only then.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/peek.h"
#include "ctx/record.h"
#include "diag/backtrace.h"
#include "diag/dump.h"
#include "diag/simulation.h"
#include "diag/symbol.h"
#include "sync/mutex_core.h"
#include "sync/object_core.h"

/* Waits for the outside; its park_object is no weft_object. */
static bool is_outside(enum weft__reason r)
{
    return r == WEFT__WAIT_IO_READ || r == WEFT__WAIT_IO_WRITE || r == WEFT__WAIT_FILE ||
           r == WEFT__WAIT_RESOLVE;
}

static void note_object(struct weft__told_step *t, enum weft__reason reason, const void *object)
{
    struct weft_object o;
    if (!object || is_outside(reason) || !weft__read_safely(object, &o, sizeof o) ||
        o.magic != WEFT_OBJECT_MAGIC)
        return;
    t->kind = o.kind;
    t->site = o.site;
    t->pc = o.pc;
    if (o.name && weft__read_safely(o.name, t->name, sizeof t->name - 1))
        t->name[sizeof t->name - 1] = '\0';
    else
        t->name[0] = '\0';
}

void weft__told_add(struct weft__told *t, const struct weft__sim_step *s)
{
    if (t->len == t->room) {
        size_t room = t->room ? 2 * t->room : 256;
        struct weft__told_step *at = weft__realloc(t->at, room * sizeof *at);
        if (!at) {
            t->lost++;
            return;
        }
        t->at = at;
        t->room = room;
    }
    struct weft__told_step *n = &t->at[t->len++];
    memset(n, 0, sizeof *n);
    n->step = *s;
    if (s->how == WEFT__SIM_WAIT)
        note_object(n, s->reason, s->object);
}

static const char *short_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

static void add_place(struct weft__text *t, uintptr_t pc)
{
    struct weft__symbol y = weft__symbol_of(pc, 1);
    weft__text_add(t, " in %s", y.function);
    if (y.file[0])
        weft__text_add(t, " (%s:%d)", short_name(y.file), y.line);
}

static void add_object(struct weft__text *t, const struct weft__told_step *s)
{
    char site[256];
    if (!s->kind || s->kind == WEFT_KIND_SELECT)
        return;
    weft__text_add(t, " on %s", weft__kind_name(s->kind));
    if (s->name[0])
        weft__text_add(t, " \"%s\"", s->name);
    if (s->site) {
        weft__text_add(t, " made at %s", short_name(s->site));
    } else if (s->pc && weft__site_hook) {
        weft__site_hook(s->pc, site, sizeof site);
        weft__text_add(t, " made at %s", site);
    }
}

/* The frames lead from the runtime's inside out to the user's call: the outermost public function
 * is what was called, the next frame is who called it. Where a tail call has hidden that one, the
 * innermost name has to do. */
static void add_call(struct weft__text *t, const uintptr_t *pcs)
{
    const char *name = "?";
    int call = 0;
    for (int i = 0; i < WEFT__SIM_FRAMES && pcs[i]; i++) {
        const char *f = weft__symbol_of(pcs[i], 1).function;
        if (i == 0)
            name = f;
        if (strcmp(f, "weft__base_run") == 0)
            break;
        if (strncmp(f, "weft_", 5) == 0 && f[5] != '_') {
            name = f;
            call = i;
        }
    }
    if (strcmp(name, "fiber_start") == 0 || strcmp(name, "entry_main") == 0) {
        weft__text_add(t, " stops before its end");
        return;
    }
    weft__text_add(t, " stops at %s", name);
    if (call + 1 < WEFT__SIM_FRAMES && pcs[call + 1])
        add_place(t, pcs[call + 1]);
}

void weft__told_line(struct weft__text *t, const struct weft__told *told, size_t index)
{
    const struct weft__told_step *s = &told->at[index];
    int64_t ns = s->step.now_ns - WEFT__SIM_START_S * (int64_t)1000000000;
    weft__text_add(t, "%5zu %10lld.%09llds ", index + 1, (long long)(ns / 1000000000),
        (long long)(ns % 1000000000));
    if (s->step.who < WEFT__SIM_TIMER)
        weft__text_add(t, "fiber %llu", (unsigned long long)s->step.who);
    switch (s->step.how) {
    case WEFT__SIM_POINT:
        add_call(t, s->step.pcs);
        break;
    case WEFT__SIM_WAIT:
        weft__text_add(t, " waits: %s", weft__reason_name(s->step.reason));
        add_object(t, s);
        add_place(t, s->step.pcs[0]);
        break;
    case WEFT__SIM_YIELD:
        weft__text_add(t, " yields");
        break;
    case WEFT__SIM_END:
        weft__text_add(t, " ends");
        break;
    case WEFT__SIM_FIRE:
        weft__text_add(t, "a timer fires");
        break;
    case WEFT__SIM_ADVANCE:
        weft__text_add(t, "time goes on");
        break;
    case WEFT__SIM_GIVE_UP:
        weft__text_add(t, " gives up");
        break;
    }
    weft__text_add(t, "\n");
}

/* ---- fibers ---- */

enum { SHOWN = 64 };

struct gathered {
    struct weft__fiber *at[SHOWN];
    size_t n, beyond;
};

static bool gather(struct weft__fiber *f, void *arg)
{
    struct gathered *g = arg;
    if (!weft__sim_owns(f) || at_load(&f->state) == WEFT__DEAD)
        return true;
    if (g->n == SHOWN)
        g->beyond++;
    else
        g->at[g->n++] = f;
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = (*(struct weft__fiber *const *)a)->id, y = (*(struct weft__fiber *const *)b)->id;
    return x < y ? -1 : x > y;
}

static void add_holder(struct weft__text *t, const struct weft__fiber *f)
{
    weft_mutex m;
    if (!weft__read_safely(f->park_object, &m, sizeof m))
        return;
    const struct weft__fiber *holder = weft__mutex_owner(&m);
    if (holder && weft__sim_owns(holder))
        weft__text_add(t, ", held by fiber %llu", (unsigned long long)weft__sim_number(holder));
}

static void add_stack(struct weft__text *t, struct weft__fiber *f)
{
    uintptr_t pcs[WEFT__FRAMES_MAX];
    int n = weft__backtrace(f, pcs, WEFT__FRAMES_MAX), first = 0;
    while (first + 1 < n && strncmp(weft__symbol_of(pcs[first], 1).function, "weft__", 6) == 0)
        first++;
    weft__dump_frames(t, pcs + first, n - first);
}

static void add_fiber(struct weft__text *t, struct weft__fiber *f, uint64_t gave_up)
{
    char name[WEFT__NAME_BYTES];
    enum weft__state state = (enum weft__state)at_load(&f->state);
    enum weft__reason reason = (enum weft__reason)at_load(&f->park_reason);
    weft__text_add(t, "  fiber %llu", (unsigned long long)weft__sim_number(f));
    if (weft__fiber_name(f, name, sizeof name))
        weft__text_add(t, " \"%s\"", name);
    if (state != WEFT__WAITING) {
        weft__text_add(t, weft__sim_number(f) == gave_up ? " gave up:\n" : " can run:\n");
        add_stack(t, f);
        return;
    }
    struct weft__told_step s = {.kind = 0};
    note_object(&s, reason, f->park_object);
    weft__text_add(t, " waits: %s", weft__reason_name(reason));
    add_object(t, &s);
    if (reason == WEFT__WAIT_MUTEX)
        add_holder(t, f);
    if (is_outside(reason))
        weft__text_add(t, " (the outside is not simulated)");
    add_place(t, (uintptr_t)f->park_caller);
    weft__text_add(t, "\n");
}

void weft__told_fibers(struct weft__text *t, const struct weft__told *told)
{
    struct gathered g = {.n = 0};
    const struct weft__sim_step *last = told->len ? &told->at[told->len - 1].step : NULL;
    uint64_t gave_up = last && last->how == WEFT__SIM_GIVE_UP ? last->who : 0;
    weft__fibers_each(gather, &g);
    qsort(g.at, g.n, sizeof *g.at, by_number);
    for (size_t i = 0; i < g.n; i++)
        add_fiber(t, g.at[i], gave_up);
    if (g.beyond)
        weft__text_add(t, "  and %zu more\n", g.beyond);
}
