// SPDX-License-Identifier: Apache-2.0
/* dump.c - fibers as text (dump.h). */
#include "diag/dump.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/futex.h"
#include "base/peek.h"
#include "ctx/record.h"
#include "diag/backtrace.h"
#include "diag/symbol.h"
#include "io/offload.h"
#include "sync/object_core.h"

struct snapshot {
    struct weft__fiber *fiber;
    uint64_t id, parent_id;
    enum weft__state state;
    enum weft__reason reason;
    const void *object;
    int64_t since_ns;
    void *spawn_site, *caller;
    int frames;
    uintptr_t pcs[WEFT__FRAMES_MAX];
};

static void take(struct weft__fiber *f, struct snapshot *s)
{
    s->fiber = f;
    s->id = f->id;
    s->parent_id = f->parent_id;
    s->state = (enum weft__state)at_load(&f->state);
    s->reason = (enum weft__reason)at_load(&f->park_reason);
    s->object = f->park_object;
    s->since_ns = f->park_since_ns;
    s->spawn_site = f->spawn_site;
    s->caller = f->park_caller;
    s->frames = weft__backtrace(f, s->pcs, WEFT__FRAMES_MAX);
}

static bool is_runtime(const char *function)
{
    return strncmp(function, "weft__", 6) == 0;
}

/* People want the call that waits, not the runtime's way from there to the switch. The park
 * recorded whom it returns to. */
static int first_frame(const struct snapshot *s)
{
    if (s->state == WEFT__WAITING)
        for (int i = 1; i < s->frames; i++)
            if (s->pcs[i] == (uintptr_t)s->caller)
                return i - 1;
    int first = 0;
    while (s->state != WEFT__RUNNING && first + 1 < s->frames &&
           is_runtime(weft__symbol_of(s->pcs[first], 1).function))
        first++;
    return first;
}

void weft__dump_duration(struct weft__text *t, int64_t ns)
{
    if (ns < 1000000000)
        weft__text_add(t, "%lld ms", (long long)(ns / 1000000));
    else if (ns < 120 * (int64_t)1000000000)
        weft__text_add(t, "%.1f s", (double)ns / 1e9);
    else
        weft__text_add(t, "%lld minutes", (long long)(ns / 60000000000));
}

/* A file operation, or a look-up of a name. */
static void add_job(struct weft__text *t, const void *object)
{
    struct weft__job j;
    char verb[16] = "", name[81] = "";
    if (!weft__read_safely(object, &j, sizeof j) || !j.verb ||
        !weft__read_safely(j.verb, verb, sizeof verb - 1))
        return;
    if (!j.name)
        weft__text_add(t, ", %s of fd %d", verb, j.fd);
    else if (weft__read_safely(j.name, name, sizeof name - 1))
        weft__text_add(t, ", %s of \"%s\"", verb, name);
}

static void add_object(struct weft__text *t, const struct snapshot *s)
{
    struct weft_object o;
    char text[512];
    if (!s->object)
        return;
    if (s->reason == WEFT__WAIT_IO_READ || s->reason == WEFT__WAIT_IO_WRITE) {
        weft__text_add(t, ", fd %d", (int)(intptr_t)s->object);
    } else if (s->reason == WEFT__WAIT_FILE || s->reason == WEFT__WAIT_RESOLVE) {
        add_job(t, s->object);
    } else if (weft__read_safely(s->object, &o, sizeof o) && o.magic == WEFT_OBJECT_MAGIC) {
        char name[81] = "";
        if (o.name && weft__read_safely(o.name, name, sizeof name - 1))
            o.name = name;
        else
            o.name = NULL;
        weft__text_add(t, ", on %s", weft__object_describe(&o, text, sizeof text));
    }
}

static const char *state_text(const struct snapshot *s)
{
    if (s->state == WEFT__WAITING)
        return weft__reason_name(s->reason);
    if (s->state == WEFT__RUNNING && (s->fiber->flags & WEFT__F_BLOCKING))
        return "blocking call";
    return weft__state_name(s->state);
}

static void add_state(struct weft__text *t, const struct snapshot *s)
{
    weft__text_add(t, "[%s", state_text(s));
    if (s->fiber->bound)
        weft__text_add(t, ", preempted");
    if (s->state == WEFT__WAITING) {
        int64_t waited = weft__coarse_ns() - s->since_ns;
        weft__text_add(t, " for ");
        weft__dump_duration(t, waited > 0 ? waited : 0);
        add_object(t, s);
    }
    weft__text_add(t, "]");
}

void weft__dump_frames(struct weft__text *t, const uintptr_t *pcs, int n)
{
    for (int i = 0; i < n; i++) {
        struct weft__symbol y = weft__symbol_of(pcs[i], i > 0);
        if (strcmp(y.function, "weft__arch_start") == 0 || strcmp(y.function, "fiber_start") == 0)
            break;
        weft__text_add(t, "    %s\n", y.function);
        if (y.file[0])
            weft__text_add(t, "        %s:%d +0x%lx\n", y.file, y.line, (unsigned long)y.offset);
    }
}

static void add_fiber(struct weft__text *t, const struct snapshot *s)
{
    char name[80], labels[420];
    weft__text_add(t, "fiber %llu", (unsigned long long)s->id);
    if (weft__fiber_name(s->fiber, name, sizeof name))
        weft__text_add(t, " \"%s\"", name);
    weft__text_add(t, " ");
    add_state(t, s);
    if (weft__fiber_labels(s->fiber, labels, sizeof labels))
        weft__text_add(t, " {%s}", labels);
    weft__text_add(t, ":\n");
    if (s->frames == 0)
        weft__text_add(t, "    (running: no stack)\n");
    int first = first_frame(s);
    weft__dump_frames(t, s->pcs + first, s->frames - first);
    if (s->spawn_site) {
        struct weft__symbol y = weft__symbol_of((uintptr_t)s->spawn_site, 1);
        weft__text_add(
            t, "started by fiber %llu in %s", (unsigned long long)s->parent_id, y.function);
        if (y.file[0])
            weft__text_add(t, " at %s:%d", y.file, y.line);
        weft__text_add(t, "\n");
    }
    weft__text_add(t, "\n");
}

struct list {
    struct weft__text *text;
    size_t fibers;
};

static bool add_each(struct weft__fiber *f, void *arg)
{
    struct list *l = arg;
    struct snapshot s;
    take(f, &s);
    if (s.state == WEFT__DEAD)
        return true;
    add_fiber(l->text, &s);
    l->fibers++;
    return true;
}

void weft__dump_all(struct weft__text *t)
{
    struct list l = {.text = t};
    weft__fibers_each(add_each, &l);
    if (l.fibers == 0)
        weft__text_add(t, "no fibers\n\n");
    weft__dump_loops(t);
}

void weft__dump_self(struct weft__text *t)
{
    struct weft__fiber *f = weft__self();
    uintptr_t pcs[WEFT__FRAMES_MAX];
    char name[80];
    int n = weft__backtrace_here(pcs, WEFT__FRAMES_MAX);
    if (f && !(f->flags & (WEFT__F_THREAD | WEFT__F_IDLE))) {
        weft__text_add(t, "on fiber %llu", (unsigned long long)f->id);
        if (weft__fiber_name(f, name, sizeof name))
            weft__text_add(t, " \"%s\"", name);
        weft__text_add(t, ":\n");
    } else {
        weft__text_add(t, "on a plain thread:\n");
    }
    int first = 0;
    while (first + 1 < n && is_runtime(weft__symbol_of(pcs[first], 1).function))
        first++;
    weft__dump_frames(t, pcs + first, n - first);
}

/* ---- grouped ---- */

struct group {
    uint64_t count;
    int frames;
    uintptr_t pcs[WEFT__FRAMES_MAX];
};

struct groups {
    struct group *at;
    size_t n, room;
    size_t *index; /* hash table of positions + 1 */
    size_t slots;
    uint64_t total;
};

static uint64_t hash(const uintptr_t *pcs, int n)
{
    uint64_t h = 1469598103934665603u;
    for (int i = 0; i < n; i++)
        h = (h ^ pcs[i]) * 1099511628211u;
    return h ^ h >> 29;
}

static bool same(const struct group *g, const uintptr_t *pcs, int frames)
{
    return g->frames == frames && memcmp(g->pcs, pcs, (size_t)frames * sizeof *pcs) == 0;
}

/* Stands in for a stack that could not be had: the format has no empty ones. */
__attribute__((noinline)) static void running_and_not_asked(void)
{
    __asm__ volatile("");
}

static bool grow(struct groups *g)
{
    size_t room = g->room ? 2 * g->room : 256;
    struct group *at = realloc(g->at, room * sizeof *at);
    size_t *index = at ? calloc(2 * room, sizeof *index) : NULL;
    if (at)
        g->at = at;
    if (!index)
        return false;
    free(g->index);
    g->room = room;
    g->index = index;
    g->slots = 2 * room;
    for (size_t i = 0; i < g->n; i++) {
        size_t k = hash(g->at[i].pcs, g->at[i].frames) % g->slots;
        while (g->index[k])
            k = (k + 1) % g->slots;
        g->index[k] = i + 1;
    }
    return true;
}

static bool group_add(struct groups *g, const uintptr_t *pcs, int frames)
{
    const uintptr_t unknown = (uintptr_t)running_and_not_asked + 1;
    if (frames == 0) {
        pcs = &unknown;
        frames = 1;
    }
    g->total++;
    if (g->n == g->room && !grow(g))
        return false;
    size_t k = hash(pcs, frames) % g->slots;
    while (g->index[k] && !same(&g->at[g->index[k] - 1], pcs, frames))
        k = (k + 1) % g->slots;
    if (!g->index[k]) {
        struct group *n = &g->at[g->n++];
        g->index[k] = g->n;
        n->count = 0;
        n->frames = frames;
        memcpy(n->pcs, pcs, (size_t)frames * sizeof *pcs);
    }
    g->at[g->index[k] - 1].count++;
    return true;
}

static bool group_fiber(struct weft__fiber *f, void *arg)
{
    struct snapshot s;
    take(f, &s);
    return s.state == WEFT__DEAD || group_add(arg, s.pcs, s.frames);
}

static void group_loop(const uintptr_t *pcs, int n, void *arg)
{
    group_add(arg, pcs, n);
}

/* The executable parts of the process's map, as pprof wants them. */
static void add_memory_map(struct weft__text *t)
{
    char *line = NULL;
    size_t room = 0;
    FILE *f = fopen("/proc/self/maps", "re");
    if (!f)
        return;
    weft__text_add(t, "--- Memory map: ---\n");
    while (getline(&line, &room, f) > 0) {
        const char *mode = strchr(line, ' ');
        if (mode && strlen(mode) > 3 && mode[3] == 'x')
            weft__text_add(t, "%s", line);
    }
    free(line);
    fclose(f);
}

static int by_count(const void *a, const void *b)
{
    const struct group *x = a, *y = b;
    return x->count < y->count ? 1 : x->count > y->count ? -1 : 0;
}

void weft__dump_grouped(struct weft__text *t)
{
    struct groups g = {0};
    weft__fibers_each(group_fiber, &g);
    weft__dump_loop_stacks(group_loop, &g);
    if (g.n)
        qsort(g.at, g.n, sizeof *g.at, by_count);
    weft__text_add(t, "goroutine profile: total %llu\n", (unsigned long long)g.total);
    for (size_t i = 0; i < g.n; i++) {
        weft__text_add(t, "%llu @", (unsigned long long)g.at[i].count);
        for (int k = 0; k < g.at[i].frames; k++)
            weft__text_add(t, " 0x%lx", (unsigned long)g.at[i].pcs[k]);
        weft__text_add(t, "\n");
        for (int k = 0; k < g.at[i].frames; k++) {
            struct weft__symbol y = weft__symbol_of(g.at[i].pcs[k], 1);
            weft__text_add(t, "#\t0x%lx\t%s+0x%lx\t%s:%d\n", (unsigned long)g.at[i].pcs[k],
                y.function, (unsigned long)y.offset, y.file, y.line);
        }
        weft__text_add(t, "\n");
    }
    add_memory_map(t);
    free(g.at);
    free(g.index);
}
