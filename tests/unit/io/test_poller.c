// SPDX-License-Identifier: Apache-2.0
/*
 * test_poller.c - the corners of io/poller.h: which edge belongs to whom, and what a number stands
 * for once it was closed.
 *
 * Interleavings of several threads are tests/simrt's; here one worker does things in an order that
 * must not matter.
 */
#include <weft/fiber.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sugar.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "dump_text.h"
#include "io/poller.h"
#include "sched/sched.h"

static void run_one_worker(int (*app)(void *), void *arg)
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = 1, .no_preempt = true};
    unsetenv("WEFT_WORKERS"); /* with two, a fiber that was made runnable could run at once */
    CHECK_EQ(weft_run(app, arg, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static void pair(int fds[2])
{
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

/* ---- an edge that finds its waiter taken by another ---- */

static int wait_for_any(const struct weft__fd_wait *w, unsigned n)
{
    weft__enter();
    int rc = weft__fd_wait_any(w, n, -1, NULL);
    weft__leave();
    return rc;
}

static int waits_for_both(void *arg)
{
    const int *fds = arg;
    struct weft__fd_wait w[2] = {{fds[0], WEFT__READ}, {fds[2], WEFT__READ}};
    WEFT_TIMEOUT(limit, 20 * WEFT_SEC);
    int first = wait_for_any(w, 2);
    CHECK_MSG(first == 0 || first == 1, "the wait for both: %d", first);
    CHECK_EQ(wait_for_any(&w[1 - first], 1), 0);
    return 0;
}

static int both_app(void *arg)
{
    int fds[4];
    (void)arg;
    pair(fds);
    pair(fds + 2);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, waits_for_both, fds), 0);
    dump_until("[IO read for ", 1);
    CHECK_EQ(write(fds[1], "x", 1), 1); /* both are told by one look at the poller */
    CHECK_EQ(write(fds[3], "x", 1), 1);
    CHECK_EQ(weft_wait(&s), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(weft_close(fds[i]), 0);
    return 0;
}

TEST(two_edges_for_one_wait_are_two)
{
    run_one_worker(both_app, NULL);
}
