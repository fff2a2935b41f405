// SPDX-License-Identifier: Apache-2.0
/*
 * test_sim_ends.c - how a schedule can end, what is said of it, and what the call refuses.
 */
#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <unistd.h>
#include <weft/chan.h>
#include <weft/error.h>
#include <weft/fiber.h>
#include <weft/panic.h>
#include <weft/run.h>
#include <weft/scope.h>

#include "sim_test.h"

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

/* ---- failures ---- */

static int is_negative(void *arg)
{
    (void)arg;
    return -ENOENT;
}

static int panics(void *arg)
{
    (void)arg;
    weft_panic("%s", "no way out");
    return 0;
}

static int recovers(void *arg)
{
    weft_panic_info *p = NULL;
    CHECK_EQ(weft_try(panics, arg, &p), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(p), "no way out");
    weft_panic_free(p);
    return 0;
}

static int in_another(int (*fn)(void *), void *arg)
{
    weft_scope s;
    weft_scope_open(&s, NULL);
    weft_go_opt(
        &s, fn, arg, &(weft_fiber_opts){.size = sizeof(weft_fiber_opts), .name = "the other"});
    int rc = weft_wait(&s);
    weft_scope_close(&s);
    return rc;
}

static int another_panics(void *arg)
{
    return in_another(panics, arg);
}

static int stay(void *arg)
{
    (void)arg;
    int v;
    for (;;)
        weft_chan_recv(NULL, &v);
    return 0;
}

static int waits_for_ever(void *arg)
{
    return in_another(stay, arg);
}

static int for_ever(void *arg)
{
    (void)arg;
    for (;;)
        weft_yield();
    return 0;
}

static int leaves_one_over(void *arg)
{
    weft_go_opt(NULL, for_ever, arg,
        &(weft_fiber_opts){.size = sizeof(weft_fiber_opts), .name = "tireless"});
    return 0;
}

TEST(results_and_panics)
{
    free(finds(is_negative, -ENOENT, "the function returned -2"));
    char *text = finds(another_panics, -WEFT_EPANIC, "panic: no way out");
    CHECK(strstr(text, "\"the other\""));
    CHECK(strstr(text, "panics")); /* its stack */
    free(text);
    text = finds(waits_for_ever, -EDEADLK, "deadlock");
    CHECK(strstr(text, "fiber 2 \"the other\" waits: chan receive (nil chan)"));
    free(text);
    passes(recovers);
    passes(nothing);
}

TEST(left_over)
{
    weft_sim_report *r;
    weft_sim_opts o = *EXHAUSTIVE();
    o.max_steps = 1000000; /* 10 s of time by yields */
    CHECK_EQ(weft_sim_run(leaves_one_over, NULL, &o, &r), -ETIMEDOUT);
    CHECK(strstr(weft_sim_text(r), "fibers were left over"));
    CHECK(strstr(weft_sim_text(r), "\"tireless\""));
    weft_sim_report_free(r);
}

TEST(no_end)
{
    weft_sim_report *r;
    weft_sim_opts o = *EXHAUSTIVE();
    o.max_steps = 500;
    CHECK_EQ(weft_sim_run(for_ever, NULL, &o, &r), -ETIME);
    CHECK(strstr(weft_sim_text(r), "no end after 501 steps"));
    weft_sim_report_free(r);
}

/* The runtime is whole after a failure: an ordinary run, and further simulations. */
TEST(life_after_failure)
{
    for (int i = 0; i < 20; i++) {
        int result = -1;
        free(finds(waits_for_ever, -EDEADLK, "deadlock"));
        CHECK_EQ(weft_run(nothing, NULL, NULL, &result), 0);
        CHECK_EQ(result, 0);
        passes(nothing);
    }
}

/* ---- not the same twice ---- */

static int calls;

static int another_each_time(void *arg)
{
    (void)arg;
    calls++;
    for (int i = 0; i < calls % 3; i++)
        weft_go(NULL, nothing, NULL);
    return 0;
}

TEST(not_deterministic)
{
    weft_sim_report *r;
    CHECK_EQ(weft_sim_run(another_each_time, NULL, EXHAUSTIVE(), &r), -EPROTO);
    CHECK(strstr(weft_sim_text(r), "not deterministic"));
    weft_sim_report_free(r);
}

/* ---- what ends the process is told first ---- */

static int asserts(void *arg)
{
    (void)arg;
    abort();
}

static int exits(void *arg)
{
    (void)arg;
    exit(1);
}

static int faults(void *arg)
{
    (void)arg;
    raise(SIGSEGV);
    return 0;
}

static int (*deadly)(void *);

static void die(void)
{
    weft_sim_opts o = chance(WEFT_SIM_RANDOM);
    o.name = "deadly";
    o.seed = 77;
    signal(SIGABRT, SIG_DFL);
    signal(SIGSEGV, SIG_DFL);
    weft_sim_run(deadly, NULL, &o, NULL);
}

TEST(last_words)
{
    deadly = asserts;
    EXPECT_DEATH(die, "simulation \"deadly\" ended the process (abort) in schedule 1, seed 77; to "
                      "run it again: WEFT_SIM_REPLAY='deadly@path:");
    deadly = exits;
    EXPECT_DEATH(die, "ended the process (exit) in schedule 1");
    deadly = faults;
    EXPECT_DEATH(die, "ended the process (fault) in schedule 1");
}

/* ---- replays by the environment ---- */

static uint32_t drawn;

static int draw(void *arg)
{
    (void)arg;
    drawn = 0;
    for (int i = 0; i < 4; i++)
        drawn = 10 * drawn + weft_sim_choose(8);
    return 0;
}

static int replay(const char *with, const char *name, uint64_t *ret_schedules)
{
    weft_sim_report *r = NULL;
    weft_sim_opts o = chance(WEFT_SIM_RANDOM);
    o.name = name;
    o.schedules = 5;
    setenv("WEFT_SIM_REPLAY", with, 1);
    int rc = weft_sim_run(draw, NULL, &o, &r);
    unsetenv("WEFT_SIM_REPLAY");
    *ret_schedules = r ? weft_sim_schedules(r) : 0;
    weft_sim_report_free(r);
    return rc;
}

TEST(replay_by_string)
{
    uint64_t n;
    CHECK_EQ(replay("path:1.2.3.4", NULL, &n), 0);
    CHECK_EQ(n, 1);
    CHECK_EQ(drawn, 1234);
    CHECK_EQ(replay("path:~2.7", NULL, &n), 0);
    CHECK_EQ(drawn, 70);
    CHECK_EQ(replay("path:", NULL, &n), 0);
    CHECK_EQ(drawn, 0);
    CHECK_EQ(replay("mine@path:5", "mine", &n), 0);
    CHECK_EQ(drawn, 5000);
    CHECK_EQ(replay("other@path:5", "mine", &n), 0); /* not meant for it */
    CHECK_EQ(n, 5);
    CHECK_EQ(replay("path:9", NULL, &n), -EPROTO); /* there are 8 */
    CHECK_EQ(replay("random:123", NULL, &n), 0);
    uint32_t first = drawn;
    CHECK_EQ(replay("random:123", NULL, &n), 0);
    CHECK_EQ(drawn, first);
    CHECK_EQ(replay("pct:123:3:64", NULL, &n), 0);
    CHECK_EQ(n, 1);
    static const char *const bad[] = {"nonsense", "path:x", "path:1.", "path:~", "path:1..2",
        "random:", "random:1x", "pct:1:2", "pct:1:0:5", "pct:1:99:5"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        CHECK_EQ(replay(bad[i], NULL, &n), -EINVAL);
        CHECK_EQ(n, 0);
    }
}

/* ---- refusals ---- */

static int simulate_inside(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_sim_run(nothing, NULL, NULL, NULL), -EBUSY);
    return 0;
}

TEST(refusals)
{
    weft_sim_opts o = *EXHAUSTIVE();
    CHECK_EQ(weft_sim_run(NULL, NULL, &o, NULL), -EINVAL);
    o.size = 1;
    CHECK_EQ(weft_sim_run(nothing, NULL, &o, NULL), -EINVAL);
    o = *EXHAUSTIVE();
    o.mode = (enum weft_sim_mode)9;
    CHECK_EQ(weft_sim_run(nothing, NULL, &o, NULL), -EINVAL);
    o = *EXHAUSTIVE();
    o.name = "a@b";
    CHECK_EQ(weft_sim_run(nothing, NULL, &o, NULL), -EINVAL);
    int result = 0;
    CHECK_EQ(weft_run(simulate_inside, NULL, NULL, &result), 0);
    weft_sim_report *r = NULL;
    CHECK_EQ(weft_sim_run(simulate_inside, NULL, EXHAUSTIVE(), &r), 0);
    weft_sim_report_free(r);
    weft_sim_report_free(NULL);
}
