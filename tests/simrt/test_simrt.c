// SPDX-License-Identifier: Apache-2.0
/*
 * test_simrt.c - whole runtimes under the explorer: several workers, their monitor and spawner,
 * plain threads; each program with a known answer, in many schedules.
 *
 * What each is after stands above it. All check that every fiber has run and that weft_run comes
 * back; the explorer adds what simrt.h says (nobody sleeps while there is work).
 */
#include <errno.h>
#include <sys/epoll.h>
#include <weft/chan.h>
#include <weft/cond.h>
#include <weft/ctx.h>
#include <weft/fiber.h>
#include <weft/mutex.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/select.h>
#include <weft/timer.h>
#include <weft/waitgroup.h>

#include "io/poller.h"
#include "simrt.h"

struct program {
    int (*app)(void *);
    void (*reset)(void);
    unsigned workers;
    int answer;
};

static void run_program(void *arg)
{
    const struct program *p = arg;
    weft_run_opts o = {.size = sizeof o, .workers = p->workers, .no_preempt = true};
    int result = -1;
    if (p->reset)
        p->reset();
    SIMRT_CHECK(weft_run(p->app, NULL, &o, &result) == 0);
    SIMRT_CHECK(result == p->answer);
}

/* Each program in random mode, in random mode with store buffers, and in PCT mode. */
static void explore(struct program *p, const char *name, uint64_t schedules)
{
    struct simrt_opts o = {.name = name, .schedules = schedules};
    simrt_explore(run_program, p, &o);
    o.tso = true;
    simrt_explore(run_program, p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(run_program, p, &o);
}

/* ---- the start and the end of a run ---- */

static int nothing(void *arg)
{
    return arg ? 0 : 7;
}

TEST(a_run_starts_and_ends)
{
    struct program p = {nothing, NULL, 3, 7};
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
    struct program p = {ping, NULL, 2, 21};
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
    struct program p = {many, NULL, 3, 30};
    explore(&p, "makers", 200);
}
