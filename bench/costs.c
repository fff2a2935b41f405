// SPDX-License-Identifier: Apache-2.0
/*
 * costs.c - what the library's operations cost in instructions, locked instructions, switches,
 * system calls and allocations: counts, not times, so that they say the same on a busy machine.
 *
 * Prints a line an operation: its name, then the five counts for one. They are means of REPEATS
 * repetitions after as many to warm up, on one worker, with the loop that makes them; the fibers
 * that an operation wakes are in them, and the look at the poller that each 61st switch makes (so
 * REPEATS is a multiple of 61). Allocations are those that the allocator hook sees.
 *
 * docs/performance.md holds the table; tests/build/test_costs.py compares. steps.h counts.
 */
#include <weft/weft.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "arch/arch.h"
#include "steps.h"

enum { REPEATS = 61, ROOM = 128 };

typedef WEFT_CHAN_OF(int) int_chan;

/* ---- the allocator hook ---- */

static uint64_t allocations; /* the tracer stops all but the thread that counts */

static void *hook_alloc(void *arg, size_t bytes)
{
    (void)arg;
    allocations++;
    return malloc(bytes);
}

static void *hook_resize(void *arg, void *p, size_t bytes)
{
    (void)arg;
    allocations++;
    return realloc(p, bytes);
}

static void hook_release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

/* ---- measuring ---- */

static void measure(const char *name, void (*repeat)(int n), double operations)
{
    repeat(REPEATS);
    weft_yield(); /* whoever has taken the worker from a thread that stood still gives it back */
    uint64_t before = allocations;
    steps_begin();
    repeat(REPEATS);
    struct steps s = steps_end();
    double n = REPEATS * operations;
    printf("%s: %.0f %.2f %.2f %.2f %.2f\n", name, (double)s.instructions / n, (double)s.locked / n,
        (double)s.arrivals / n, (double)s.syscalls / n, (double)(allocations - before) / n);
    fflush(stdout);
}

/* ---- the operations ---- */

static int_chan there, back, never[7];
static weft_waitgroup wg = WEFT_WAITGROUP_INIT;
static int sockets[2];

static int yields_for_ever(void *arg)
{
    bool *over = arg;
    while (!*over)
        weft_yield();
    return 0;
}

static void yield(int n)
{
    for (int i = 0; i < n; i++)
        weft_yield();
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int done(void *arg)
{
    (void)arg;
    weft_waitgroup_done(&wg);
    return 0;
}

static void start_detached(int n)
{
    for (int i = 0; i < n; i++) {
        weft_waitgroup_add(&wg, 1);
        weft_go(NULL, done, NULL);
        weft_waitgroup_wait(&wg);
    }
}

static void start_in_scope(int n)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < n; i++) {
        weft_go(&s, nothing, NULL);
        weft_wait(&s);
    }
}

static void send_and_receive(int n)
{
    int v;
    for (int i = 0; i < n; i++) {
        weft_send(there, i);
        weft_recv(there, &v);
    }
}

static int answers(void *arg)
{
    int v;
    (void)arg;
    while (weft_recv(there, &v) > 0)
        weft_send(back, v);
    return 0;
}

static void round_trip(int n)
{
    int v;
    for (int i = 0; i < n; i++) {
        weft_send(there, i);
        weft_recv(back, &v);
    }
}

static void select_parked(int n)
{
    int v, got;
    for (int i = 0; i < n; i++) {
        weft_send(there, i);
        weft_select(WEFT_RECV(never[0], &v, &got), WEFT_RECV(never[1], &v, &got),
            WEFT_RECV(never[2], &v, &got), WEFT_RECV(back, &v, &got));
    }
}

static void select4_ready(int n)
{
    int v, got;
    for (int i = 0; i < n; i++) {
        weft_send(there, i);
        weft_select(WEFT_RECV(never[0], &v, &got), WEFT_RECV(never[1], &v, &got),
            WEFT_RECV(never[2], &v, &got), WEFT_RECV(there, &v, &got));
    }
}

static void select8_ready(int n)
{
    int v, got;
    for (int i = 0; i < n; i++) {
        weft_send(there, i);
        weft_select(WEFT_RECV(never[0], &v, &got), WEFT_RECV(never[1], &v, &got),
            WEFT_RECV(never[2], &v, &got), WEFT_RECV(never[3], &v, &got),
            WEFT_RECV(never[4], &v, &got), WEFT_RECV(never[5], &v, &got),
            WEFT_RECV(never[6], &v, &got), WEFT_RECV(there, &v, &got));
    }
}

static void select_default(int n)
{
    int v, got;
    for (int i = 0; i < n; i++)
        weft_select(WEFT_RECV(never[0], &v, &got), WEFT_RECV(never[1], &v, &got), WEFT_DEFAULT);
}

static void mutex_pair(int n)
{
    static weft_mutex m = WEFT_MUTEX_INIT;
    for (int i = 0; i < n; i++) {
        weft_mutex_lock(&m);
        weft_mutex_unlock(&m);
    }
}

static weft_mutex contended = WEFT_MUTEX_INIT;
static bool contender_over;

static int wants_the_mutex(void *arg)
{
    (void)arg;
    while (!contender_over) {
        weft_mutex_lock(&contended);
        weft_yield();
        weft_mutex_unlock(&contended);
        weft_yield();
    }
    return 0;
}

static void mutex_contended(int n)
{
    for (int i = 0; i < n; i++) {
        weft_mutex_lock(&contended);
        weft_yield();
        weft_mutex_unlock(&contended);
        weft_yield();
    }
}

static weft_rwmutex rw = WEFT_RWMUTEX_INIT;

static void read_pair(int n)
{
    for (int i = 0; i < n; i++) {
        weft_rwmutex_rlock(&rw);
        weft_rwmutex_runlock(&rw);
    }
}

static void write_pair(int n)
{
    for (int i = 0; i < n; i++) {
        weft_rwmutex_lock(&rw);
        weft_rwmutex_unlock(&rw);
    }
}

static void permit_pair(int n)
{
    static weft_sema s;
    weft_sema_init(&s, 1, NULL);
    for (int i = 0; i < n; i++) {
        weft_sema_acquire(&s, 1);
        weft_sema_release(&s, 1);
    }
}

static void count_pair(int n)
{
    for (int i = 0; i < n; i++) {
        weft_waitgroup_add(&wg, 1);
        weft_waitgroup_done(&wg);
    }
}

static void fires(void *arg)
{
    (void)arg;
}

static void timer_start_stop(int n)
{
    for (int i = 0; i < n; i++)
        weft_timer_free(weft_timer_func(3600 * WEFT_SEC, fires, NULL));
}

static weft_timer *far_off;

static void timer_reset(int n)
{
    for (int i = 0; i < n; i++)
        weft_timer_reset(far_off, (3600 + i) * WEFT_SEC);
}

static void context(int n)
{
    for (int i = 0; i < n; i++) {
        weft_ctx *c = weft_ctx_with_cancel(weft_ctx_current());
        weft_ctx_cancel(c);
        weft_ctx_free(c);
    }
}

static void time_limit(int n)
{
    for (int i = 0; i < n; i++) {
        WEFT_TIMEOUT(t, WEFT_SEC);
    }
}

static void context_check(int n)
{
    for (int i = 0; i < n; i++)
        (void)weft_ctx_check();
}

static void annotated(int n)
{
    for (int i = 0; i < n; i++) {
        weft_blocking_begin();
        weft_blocking_end();
    }
}

static void clock_read(int n)
{
    for (int i = 0; i < n; i++)
        (void)weft_now();
}

static void statistics_read(int n)
{
    for (int i = 0; i < n; i++) {
        weft_stats now = {.size = sizeof now};
        weft_stats_read(&now);
    }
}

static void write_and_read(int n)
{
    char byte = 'x';
    for (int i = 0; i < n; i++) {
        weft_write(sockets[0], &byte, 1);
        weft_read(sockets[1], &byte, 1);
    }
}

static int answers_bytes(void *arg)
{
    char byte;
    (void)arg;
    while (weft_read(sockets[1], &byte, 1) == 1)
        weft_write(sockets[1], &byte, 1);
    return 0;
}

static void byte_round_trip(int n)
{
    char byte = 'x';
    for (int i = 0; i < n; i++) {
        weft_write(sockets[0], &byte, 1);
        weft_read(sockets[0], &byte, 1);
    }
}

/* ---- in order, each with what must be there for it ---- */

static void measure_starts(void)
{
    bool over = false;
    WEFT_SCOPE(s);
    weft_go(&s, yields_for_ever, &over);
    measure("yield, 2 fibers", yield, 2);
    over = true;
    weft_wait(&s);
    measure("start, end, wait group", start_detached, 1);
    measure("start, end, scope", start_in_scope, 1);
}

static void make(int_chan *c, size_t room)
{
    if (weft_chan_make(c, room) < 0)
        exit(1);
}

static void measure_pairs(size_t room, const char *trip, const char *select)
{
    make(&there, room);
    make(&back, room);
    WEFT_SCOPE(s);
    weft_go(&s, answers, NULL);
    measure(trip, round_trip, 1);
    if (select)
        measure(select, select_parked, 1);
    weft_chan_close(there);
    weft_wait(&s);
    weft_chan_free(there);
    weft_chan_free(back);
}

static void measure_channels(void)
{
    for (int i = 0; i < 7; i++)
        make(&never[i], 1);
    make(&there, ROOM);
    measure("send, receive, room for both", send_and_receive, 1);
    measure("send, select of 4, one ready", select4_ready, 1);
    measure("send, select of 8, one ready", select8_ready, 1);
    measure("select of 2 with default", select_default, 1);
    weft_chan_free(there);
    measure_pairs(0, "round trip, unbuffered", "round trip, parked select of 4");
    measure_pairs(1, "round trip, channels of 1", NULL);
}

static void measure_sync(void)
{
    measure("mutex pair", mutex_pair, 1);
    WEFT_SCOPE(s);
    weft_go(&s, wants_the_mutex, NULL);
    measure("mutex pair, contended, with 2 yields", mutex_contended, 1);
    contender_over = true;
    weft_wait(&s);
    measure("rwmutex read pair", read_pair, 1);
    measure("rwmutex write pair", write_pair, 1);
    measure("semaphore pair", permit_pair, 1);
    measure("wait group add, done", count_pair, 1);
}

static void measure_time(void)
{
    measure("timer start, free", timer_start_stop, 1);
    far_off = weft_timer_func(3600 * WEFT_SEC, fires, NULL);
    measure("timer reset", timer_reset, 1);
    weft_timer_free(far_off);
    measure("context, cancel, free", context, 1);
    measure("block with a time limit", time_limit, 1);
    measure("context check", context_check, 1);
    measure("clock", clock_read, 1);
    measure("statistics read", statistics_read, 1);
    measure("blocking begin, end", annotated, 1);
}

static int measure_sockets(void)
{
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) < 0)
        return -EMFILE;
    measure("write, read, ready", write_and_read, 1);
    WEFT_SCOPE(s);
    weft_go(&s, answers_bytes, NULL);
    measure("round trip of a byte, both park", byte_round_trip, 1);
    weft_shutdown(sockets[0], SHUT_WR);
    weft_wait(&s);
    weft_close(sockets[0]);
    weft_close(sockets[1]);
    return 0;
}

static int app(void *arg)
{
    (void)arg;
    measure_starts();
    measure_channels();
    measure_sync();
    measure_time();
    return measure_sockets();
}

static int child(void *arg)
{
    int result = -1;
    weft_allocator hook = {
        .size = sizeof hook, .alloc = hook_alloc, .resize = hook_resize, .release = hook_release};
    weft_run_opts o = {.size = sizeof o, .workers = 1, .no_preempt = true};
    (void)arg;
    unsetenv("WEFT_WORKERS");
    if (weft_set_allocator(&hook) < 0)
        return 1;
    return weft_run(app, NULL, &o, &result) < 0 || result != 0;
}

int main(void)
{
    int rc = steps_run(child, NULL, (void (*)(void))weft__arch_switch);
    if (rc >= 0)
        return rc;
    if (rc == -EPERM || rc == -ENOSYS || rc == -EACCES) {
        fprintf(stderr, "costs: tracing is forbidden here\n");
        return 77;
    }
    fprintf(stderr, "costs: the program that was counted did not end: %s\n", strerror(-rc));
    return 1;
}
