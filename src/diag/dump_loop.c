// SPDX-License-Identifier: Apache-2.0
/*
 * dump_loop.c - pinned loops as text (dump.h).
 *
 *     loop 1 "shard-0" [in callback peer_ready, in this turn for 3.2 s]: io_uring, thread 4711, 1
 *     listeners, 103 sockets, 17 timers, 4 messages waiting, 1234 turns
 *         peer_ready
 *             peer.c:120 +0x1f
 *
 * First the loops are looked at, all at once; then each thread is asked for its stack, which wants
 * nothing of a loop that might be gone by then. For a loop that polls, the time is that since its
 * last turn began: it has been idle since soon after that.
 */
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/futex.h"
#include "diag/backtrace.h"
#include "diag/dump.h"
#include "diag/symbol.h"
#include "diag/thread_stack.h"
#include "io/loop_view.h"

/* All loops' views, to be freed; some loops may be missing when memory is short. */
static struct weft__loop_view *take(size_t *ret_count)
{
    size_t room = weft__loops_view(NULL, 0);
    struct weft__loop_view *v = room ? malloc(room * sizeof *v) : NULL;
    size_t n = v ? weft__loops_view(v, room) : 0;
    *ret_count = n < room ? n : room;
    return v;
}

static int stack_of(const struct weft__loop_view *v, uintptr_t *pcs)
{
    if (v->place == WEFT__LOOP_AWAY || v->tid == 0)
        return 0;
    if (v->tid == (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0))
        return weft__backtrace_here(pcs, WEFT__FRAMES_MAX);
    return weft__thread_stack(v->tid, pcs, WEFT__FRAMES_MAX);
}

static void add_place(struct weft__text *t, const struct weft__loop_view *v, int64_t now_ns)
{
    if (v->place == WEFT__LOOP_AWAY) {
        weft__text_add(t, "[not turning]");
        return;
    }
    if (v->place == WEFT__LOOP_POLLING)
        weft__text_add(t, "[polling, last turn ");
    else if (v->callback)
        weft__text_add(
            t, "[in callback %s, in this turn for ", weft__symbol_of(v->callback, 0).function);
    else
        weft__text_add(t, "[in this turn for ");
    weft__dump_duration(t, now_ns > v->since_ns ? now_ns - v->since_ns : 0);
    weft__text_add(t, v->place == WEFT__LOOP_POLLING ? " ago]" : "]");
}

static void add_loop(struct weft__text *t, const struct weft__loop_view *v, int64_t now_ns)
{
    uintptr_t pcs[WEFT__FRAMES_MAX];
    weft__text_add(t, "loop %llu \"%s\" ", (unsigned long long)v->id, v->name);
    add_place(t, v, now_ns);
    weft__text_add(t, ": %s", v->backend);
    if (v->tid)
        weft__text_add(t, ", thread %d", v->tid);
    weft__text_add(t,
        ", %llu listeners, %llu sockets, %llu timers, %u%s messages waiting, %llu turns\n",
        (unsigned long long)v->listeners, (unsigned long long)v->sockets,
        (unsigned long long)v->timers, v->messages,
        v->messages == WEFT__LOOP_MESSAGES_MAX ? " or more" : "", (unsigned long long)v->turns);
    int n = stack_of(v, pcs);
    if (n == 0 && v->place != WEFT__LOOP_AWAY)
        weft__text_add(t, "    (no stack: its thread did not answer)\n");
    weft__dump_frames(t, pcs, n);
    weft__text_add(t, "\n");
}

void weft__dump_loops(struct weft__text *t)
{
    size_t n;
    struct weft__loop_view *v = take(&n);
    int64_t now_ns = weft__clock_ns();
    for (size_t i = 0; i < n; i++)
        add_loop(t, &v[i], now_ns);
    free(v);
}

void weft__dump_loop_stacks(void (*fn)(const uintptr_t *pcs, int n, void *arg), void *arg)
{
    uintptr_t pcs[WEFT__FRAMES_MAX];
    size_t n;
    struct weft__loop_view *v = take(&n);
    for (size_t i = 0; i < n; i++)
        if (v[i].place != WEFT__LOOP_AWAY)
            fn(pcs, stack_of(&v[i], pcs), arg);
    free(v);
}
