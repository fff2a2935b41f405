// SPDX-License-Identifier: Apache-2.0
/*
 * test_simrt.c - whole runtimes under the explorer: workers that steal and go idle, the monitor
 * that takes a worker from a blocked thread, the poller, plain threads that call in, runs that
 * start and end. What each program is after stands above it.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <weft/chan.h>
#include <weft/fiber.h>
#include <weft/scope.h>
#include <weft/timer.h>

#include "base/futex.h"
#include "io/poller.h"
#include "sched/sched.h"
#include "sched/worker.h"
#include "simrt_program.h"

/* ---- the start and the end of a run ---- */

static int nothing(void *arg)
{
    return arg ? 0 : 7;
}

TEST(a_run_starts_and_ends)
{
    struct program p = {nothing, NULL, 3, 7, NULL};
    explore(&p, "start_end", 300);
}

/* ---- two fibers pass a ball ---- */

enum { ROUNDS = 6 };
static weft_chan *there, *back;

static int echo(void *arg)
{
    int v;
    (void)arg;
    while (weft_chan_recv(there, &v) == 1)
        if (weft_chan_send(back, &(int){v + 1}) < 0)
            return -1;
    return 0;
}

static int ping(void *arg)
{
    weft_scope s;
    int sum = 0;
    (void)arg;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &there) == 0);
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &back) == 0);
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, echo, NULL) == 0);
    for (int i = 0, v; i < ROUNDS; i++) {
        SIMRT_CHECK(weft_chan_send(there, &i) == 0);
        SIMRT_CHECK(weft_chan_recv(back, &v) == 1);
        SIMRT_CHECK(v == i + 1);
        sum += v;
    }
    weft_chan_close(there);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_chan_free(there);
    weft_chan_free(back);
    return sum;
}

TEST(ping_pong)
{
    struct program p = {ping, NULL, 2, 21, NULL};
    explore(&p, "ping_pong", 200);
}

/* ---- more fibers than workers, on buffered channels: stealing, the idle protocol ---- */

enum { MAKERS = 3, EACH = 4 };
static weft_chan *things;

static int maker(void *arg)
{
    (void)arg;
    for (int i = 1; i <= EACH; i++)
        SIMRT_CHECK(weft_chan_send(things, &i) == 0);
    return 0;
}

static int many(void *arg)
{
    weft_scope s;
    int sum = 0;
    (void)arg;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 2, &things) == 0);
    weft_scope_open(&s, NULL);
    for (int i = 0; i < MAKERS; i++)
        SIMRT_CHECK(weft_go(&s, maker, NULL) == 0);
    for (int i = 0, v; i < MAKERS * EACH; i++) {
        SIMRT_CHECK(weft_chan_recv(things, &v) == 1);
        sum += v;
    }
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft_chan_free(things);
    return sum;
}

TEST(makers_and_one_taker)
{
    struct program p = {many, NULL, 3, 30, NULL};
    explore(&p, "makers", 200);
}

/* ---- work is made, and its maker then holds its worker: whoever sleeps must have been woken ----
 *
 * By the queue's tail, since what lies in the hand-off slot wakes nobody. The pauses end while the
 * other workers spin, go idle, or sleep. */

enum { BURSTS = 4, MOST = 2 };
static unsigned burst;
static _Atomic uint32_t ran;
static struct weft__lock gate;
static struct weft__fiber *at_gate[MOST]; /* under it */
static unsigned gathered;

static void pause_for_others(void)
{
    simrt_block(1000 + 9000 * simrt_choose(6));
}

static int waits_at_gate(void *arg)
{
    (void)arg;
    struct weft__fiber *me = weft__enter();
    weft__lock(&gate, WEFT__RANK_SYNC);
    at_gate[gathered++] = me;
    weft__park(WEFT__WAIT_OTHER, NULL, NULL, WEFT__PARK_HARD, weft__commit_unlock, &gate);
    weft__leave();
    at_add(&ran, 1);
    pause_for_others();
    return 0;
}

static bool open_gate(void)
{
    weft__enter();
    weft__lock(&gate, WEFT__RANK_SYNC);
    bool all = gathered == burst;
    for (unsigned i = 0; all && i < burst; i++)
        SIMRT_CHECK(weft__claim(at_gate[i]));
    gathered = all ? 0 : gathered;
    weft__unlock(&gate);
    for (unsigned i = 0; all && i < burst; i++)
        weft__ready_tail(at_gate[i]);
    weft__leave();
    return all;
}

static int bursts(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, NULL);
    for (int i = 0; i < BURSTS; i++) {
        for (unsigned k = 0; k < burst; k++)
            SIMRT_CHECK(weft_go(&s, waits_at_gate, NULL) == 0);
        while (!open_gate()) {
            weft_yield();
            pause_for_others();
        }
        pause_for_others();
        SIMRT_CHECK(weft_wait(&s) == 0);
    }
    weft_scope_close(&s);
    return (int)at_load(&ran);
}

static void none_ran(void)
{
    ran = 0;
    gate.word = 0;
    gathered = 0;
}

TEST(nobody_sleeps_while_there_is_work)
{
    struct program p = {bursts, none_ran, 2, BURSTS, NULL};
    burst = 1;
    explore(&p, "one_woken", 300);
    burst = 2;
    p.workers = 3;
    p.answer = 2 * BURSTS;
    explore(&p, "two_woken", 300);
}

/* ---- a fiber blocks its thread: the monitor gives the worker to another ---- */

static _Atomic uint32_t gone_on;

static int goes_on(void *arg)
{
    (void)arg;
    at_store(&gone_on, 1);
    return 0;
}

/* 200 ms are far beyond the monitor's slice: who waits for the worker has run by then. */
static int blocks(void *arg)
{
    bool said = arg != NULL; /* ... by a word before it and after it */
    weft_scope s;
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, goes_on, NULL) == 0);
    SIMRT_CHECK(weft_go(&s, goes_on, NULL) == 0);
    if (said)
        weft_blocking_begin();
    simrt_block(200000000);
    SIMRT_CHECK(at_load(&gone_on));
    if (said)
        weft_blocking_end();
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    return 5;
}

/* Back from the call just when the monitor looks. */
static int comes_back(void *arg)
{
    weft_scope s;
    (void)arg;
    weft_scope_open(&s, NULL);
    for (int i = 0; i < 3; i++) {
        SIMRT_CHECK(weft_go(&s, goes_on, NULL) == 0);
        weft_blocking_begin();
        simrt_block(500000 + 500000 * simrt_choose(4));
        weft_blocking_end();
    }
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    return 5;
}

static void nobody_yet(void)
{
    gone_on = 0;
}

TEST(a_blocked_thread_loses_its_worker)
{
    struct program p = {blocks, nobody_yet, 1, 5, NULL};
    explore(&p, "blocks", 60);
    p.arg = &p; /* it says so */
    explore(&p, "blocks_said", 60);
    p.app = comes_back;
    explore(&p, "comes_back", 100);
    p.workers = 2;
    explore(&p, "comes_back_2", 100);
}

/* ---- descriptors: an event, a time-out, a close ---- */

static int fd;

static void *raiser(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        simrt_fd_raise(fd, EPOLLIN);
    return NULL;
}

/* Each edge ends a wait, at the latest by being latched; three may count as one. */
static int waits_for_fd(void *arg)
{
    (void)arg;
    fd = simrt_fd();
    unsigned long t = simrt_thread("raiser", raiser, NULL);
    weft__enter();
    struct weft__fd_wait w = weft__fd_now(fd, WEFT__READ);
    SIMRT_CHECK(weft__fd_wait(&w, NULL) == 0);
    int rc = weft__fd_wait_any(&w, 1, weft__clock_ns() + 50000, NULL);
    SIMRT_CHECK(rc == 0 || rc == -ETIME);
    SIMRT_CHECK(weft__fd_close(fd) == 0);
    weft__leave();
    simrt_join(t);
    return 3;
}

static void *raiser_once(void *arg)
{
    (void)arg;
    simrt_fd_raise(fd, EPOLLIN);
    return NULL;
}

/* The edge comes before, at, or after the deadline: if the first wait does not get it, the second
 * does. */
static int waits_again(void *arg)
{
    (void)arg;
    fd = simrt_fd();
    unsigned long t = simrt_thread("raiser", raiser_once, NULL);
    weft__enter();
    struct weft__fd_wait w = weft__fd_now(fd, WEFT__READ);
    int rc = weft__fd_wait_any(&w, 1, weft__clock_ns() + 30000, NULL);
    SIMRT_CHECK(rc == 0 || rc == -ETIME);
    if (rc == -ETIME)
        SIMRT_CHECK(weft__fd_wait(&w, NULL) == 0);
    SIMRT_CHECK(weft__fd_close(fd) == 0);
    weft__leave();
    simrt_join(t);
    return 3;
}

TEST(events_wake_fibers)
{
    struct program p = {waits_for_fd, NULL, 2, 3, NULL};
    explore(&p, "fd", 200);
    p.app = waits_again;
    explore(&p, "fd_again", 300);
}

/* ---- a descriptor is closed under a reader, and its number given to another ---- */

static _Atomic uint32_t reader_began;

/* As a read does it, of what never has anything to read. */
static int read_to_the_end(const struct weft__fd_wait *w)
{
    long rc;
    do
        rc = weft__syscall(SYS_recvfrom, w->fd, 0, 0, 0, 0, 0);
    while (rc == -EAGAIN && (rc = weft__fd_wait(w, NULL)) == 0);
    return (int)rc;
}

static int late_reader(void *arg)
{
    (void)arg;
    weft__enter();
    struct weft__fd_wait w = weft__fd_now(fd, WEFT__READ);
    at_store(&reader_began, 1);
    int rc = read_to_the_end(&w);
    weft__leave();
    SIMRT_CHECK(rc == -EBADF);
    return 0;
}

static void close_it(void)
{
    weft__enter();
    SIMRT_CHECK(weft__fd_close(fd) == 0);
    weft__leave();
}

static void *raises_for_good(void *arg)
{
    (void)arg;
    simrt_fd_raise(fd, EPOLLIN);
    return NULL;
}

/* Of whom the library was not told: he is not kept from his events. */
static void next_owner(void)
{
    SIMRT_CHECK(simrt_fd() == fd);
    unsigned long t = simrt_thread("raiser", raises_for_good, NULL);
    weft__enter();
    struct weft__fd_wait w = weft__fd_now(fd, WEFT__READ);
    SIMRT_CHECK(weft__fd_wait(&w, NULL) == 0);
    weft__leave();
    close_it();
    simrt_join(t);
}

/* The read may begin before, while, and after the descriptor is closed. */
static int closes_under_reader(void *arg)
{
    weft_scope s;
    (void)arg;
    fd = simrt_fd();
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, late_reader, NULL) == 0);
    if (simrt_choose(2))
        weft_yield();
    close_it();
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    next_owner();
    return 3;
}

/* The read has begun. It is not kept by the next owner of the number. */
static int gives_the_number_away(void *arg)
{
    weft_scope s;
    (void)arg;
    fd = simrt_fd();
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, late_reader, NULL) == 0);
    while (!at_load(&reader_began)) {
        weft_yield();
        pause_for_others();
    }
    if (simrt_choose(2)) {
        weft__enter();
        weft__fd_rouse(fd, WEFT__READ);
        weft__leave();
    }
    close_it();
    SIMRT_CHECK(simrt_fd() == fd);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    close_it();
    next_owner();
    return 3;
}

static void none_began(void)
{
    reader_began = 0;
}

TEST(a_close_ends_all_reads)
{
    struct program p = {closes_under_reader, none_began, 2, 3, NULL};
    explore(&p, "close", 500);
    p.app = gives_the_number_away;
    explore(&p, "number", 500);
}

/* ---- a busy worker takes by the way the wake that is meant for who sleeps in the poller ----
 *
 * The wake stands for work that the busy worker has made and holds on to: if it is not passed on
 * (pass_on_wake of io/poller.c), the sleeper sleeps on beside it. */

enum { LOOKS = 3 };
static _Atomic uint32_t edge_awaited;

static int waits_for_edge(void *arg)
{
    (void)arg;
    at_store(&edge_awaited, 1);
    weft__enter();
    struct weft__fd_wait w = weft__fd_now(fd, WEFT__READ);
    SIMRT_CHECK(weft__fd_wait(&w, NULL) == 0);
    weft__leave();
    return 0;
}

static bool all_wait(void)
{
    weft__enter();
    weft__lock(&gate, WEFT__RANK_SYNC);
    bool all = gathered == burst;
    weft__unlock(&gate);
    weft__leave();
    return all && at_load(&edge_awaited);
}

/* Of the worker that we are on, after which its next pick looks at the poller too, if it has not
 * for a millisecond. */
static void come_before_a_look(void)
{
    unsigned before;
    do {
        weft__enter();
        before = weft__turns(weft__mach_worker(weft__mach_self())) % WEFT__POLL_TURNS;
        weft__leave();
        if (before < WEFT__POLL_TURNS - 1)
            weft_yield();
    } while (before < WEFT__POLL_TURNS - 1);
}

static int looks_in_passing(void *arg)
{
    weft_scope s;
    (void)arg;
    fd = simrt_fd();
    weft_scope_open(&s, NULL);
    SIMRT_CHECK(weft_go(&s, waits_for_edge, NULL) == 0);
    for (int i = 0; i < LOOKS; i++) {
        for (unsigned k = 0; k < burst; k++)
            SIMRT_CHECK(weft_go(&s, waits_at_gate, NULL) == 0);
        while (!all_wait()) {
            weft_yield();
            pause_for_others();
        }
        come_before_a_look();
        simrt_block(2000000); /* the other worker lies down in the poller's role */
        SIMRT_CHECK(open_gate());
        weft_yield(); /* by a look; then one of the two that were woken holds the worker */
        while (at_load(&ran) < (unsigned)(i + 1) * burst) {
            weft_yield();
            pause_for_others();
        }
    }
    simrt_fd_raise(fd, EPOLLIN);
    SIMRT_CHECK(weft_wait(&s) == 0);
    weft_scope_close(&s);
    weft__enter();
    SIMRT_CHECK(weft__fd_close(fd) == 0);
    weft__leave();
    return (int)at_load(&ran);
}

static void nobody_looked(void)
{
    none_ran();
    edge_awaited = 0;
}

TEST(a_wake_taken_in_passing_is_passed_on)
{
    struct program p = {looks_in_passing, nobody_looked, 2, 2 * LOOKS, NULL};
    burst = 2;
    explore(&p, "in_passing", 200);
}

/* ---- plain threads send, while a run begins, works, and ends ---- */

enum { SENT = 3 };
static weft_chan *line;

static void *plain_sender(void *arg)
{
    (void)arg;
    for (int i = 1; i <= SENT; i++)
        SIMRT_CHECK(weft_chan_send(line, &i) == 0);
    return NULL;
}

static int takes(void *arg)
{
    int sum = 0, v;
    (void)arg;
    for (int i = 0; i < 2 * SENT; i++) {
        SIMRT_CHECK(weft_chan_recv(line, &v) == 1);
        sum += v;
    }
    return sum;
}

static void run_beside_threads(void *arg)
{
    SIMRT_CHECK(weft_chan_new(sizeof(int), 1, &line) == 0);
    unsigned long a = simrt_thread("sender a", plain_sender, NULL);
    unsigned long b = simrt_thread("sender b", plain_sender, NULL);
    run_program(arg);
    simrt_join(a);
    simrt_join(b);
    weft_chan_free(line);
}

TEST(plain_threads_send_to_fibers)
{
    struct program p = {takes, NULL, 2, 12, NULL};
    struct simrt_opts o = {.name = "plain", .schedules = 200, .tso = true};
    simrt_explore(run_beside_threads, &p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(run_beside_threads, &p, &o);
}

/* ---- a plain thread's start of a fiber: it runs, or the start says that there is no runtime
 * ---- */

static _Atomic uint32_t started, done;

static void started_late(void *arg)
{
    (void)arg;
    at_add(&done, 1);
}

static void *starter(void *arg)
{
    for (int i = 0; i < 2; i++) {
        weft_timer *t = weft_timer_func(0, started_late, NULL);
        SIMRT_CHECK(t);
        if (!weft_timer_stop(t))
            at_add(&started, 1);
        weft_timer_free(t);
    }
    return arg;
}

static void run_twice(void *arg)
{
    started = done = 0;
    unsigned long t = simrt_thread("starter", starter, NULL);
    run_program(arg);
    run_program(arg);
    simrt_join(t);
    run_program(arg);
    SIMRT_CHECK(started == done);
}

TEST(timers_between_runs_are_not_lost)
{
    struct program p = {nothing, NULL, 2, 7, NULL};
    struct simrt_opts o = {.name = "orphans", .schedules = 150, .tso = true};
    simrt_explore(run_twice, &p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(run_twice, &p, &o);
}

static int counts_itself(void *arg)
{
    (void)arg;
    at_add(&done, 1);
    return 0;
}

/* A start that says that it is done holds the run until the fiber has run. */
static void *fiber_starter(void *arg)
{
    for (int i = 0; i < 3; i++) {
        int rc = weft_go(NULL, counts_itself, NULL);
        SIMRT_CHECK(rc == 0 || rc == -ESHUTDOWN);
        at_add(&started, rc == 0);
    }
    return arg;
}

static void run_beside_starters(void *arg)
{
    started = done = 0;
    unsigned long a = simrt_thread("starter a", fiber_starter, NULL);
    unsigned long b = simrt_thread("starter b", fiber_starter, NULL);
    run_program(arg);
    run_program(arg);
    simrt_join(a);
    simrt_join(b);
    SIMRT_CHECK(started == done);
}

TEST(a_start_from_outside_runs_or_says_that_it_cannot)
{
    struct program p = {nothing, NULL, 2, 7, NULL};
    struct simrt_opts o = {.name = "starters", .schedules = 200};
    simrt_explore(run_beside_starters, &p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(run_beside_starters, &p, &o);
}

/* ---- a timer that is far off moves into a run that starts and out of one that ends: whoever stops
 * it meanwhile finds it ---- */

enum { FAR_OFF = 3 };
static weft_timer *far_off[FAR_OFF];

static void must_not_fire(void *arg)
{
    (void)arg;
    simrt_fail("a timer fires that was stopped");
}

static void *stopper(void *arg)
{
    for (int i = 0; i < FAR_OFF; i++) {
        SIMRT_CHECK(weft_timer_stop(far_off[i]));
        SIMRT_CHECK(!weft_timer_stop(far_off[i]));
    }
    return arg;
}

static void run_beside_stopper(void *arg)
{
    for (int i = 0; i < FAR_OFF; i++) {
        far_off[i] = weft_timer_func((i + 1) * INT64_C(1000000000000), must_not_fire, NULL);
        SIMRT_CHECK(far_off[i]);
    }
    unsigned long t = simrt_thread("stopper", stopper, NULL);
    run_program(arg);
    simrt_join(t);
    for (int i = 0; i < FAR_OFF; i++)
        weft_timer_free(far_off[i]);
}

TEST(a_stop_finds_a_timer_that_moves)
{
    struct program p = {nothing, NULL, 2, 7, NULL};
    struct simrt_opts o = {.name = "moved", .schedules = 150};
    simrt_explore(run_beside_stopper, &p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(run_beside_stopper, &p, &o);
}

/* ---- a deep stack is shrunk while its fiber is woken ---- */

static weft_chan *wake;
static weft_timer *waker;

static int deep(int depth)
{
    volatile char room[8192];
    memset((char *)room, depth, sizeof room);
    int rc = depth > 0 ? deep(depth - 1) : 0;
    return rc + room[17] - depth;
}

static void wakes(void *arg)
{
    SIMRT_CHECK(weft_chan_send(wake, &(int){arg != NULL}) == 0);
}

static int shrinks(void *arg)
{
    volatile int kept[64];
    int v;
    (void)arg;
    SIMRT_CHECK(deep(12) == 0);
    for (int i = 0; i < 64; i++)
        kept[i] = i;
    SIMRT_CHECK(weft_chan_new(sizeof(int), 0, &wake) == 0);
    waker = weft_timer_func(INT64_C(2000000000) + 1000000 * simrt_choose(8), wakes, NULL);
    SIMRT_CHECK(weft_chan_recv(wake, &v) == 1);
    for (int i = 0; i < 64; i++)
        SIMRT_CHECK(kept[i] == i);
    weft_timer_free(waker);
    weft_chan_free(wake);
    return 9;
}

TEST(a_stack_is_shrunk_while_it_is_woken)
{
    struct program p = {shrinks, NULL, 2, 9, NULL};
    explore(&p, "shrinks", 60);
}
