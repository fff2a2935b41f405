// SPDX-License-Identifier: Apache-2.0
/*
 * test_file_wishes.c - the file thread's look at what fibers ask of it (F3 of io/file_uring.c): a
 * request that is pushed, and whose cancel is wanted at once, in the midst of that look.
 *
 * The source itself is part of this program, with its exchanges replaced by such as let the fiber's
 * half run before the n-th of them. The thread is not started; the ring is real, and nothing is
 * submitted to it.
 */
#include "io/file_io.h"
#include "io/seam.h"
#include "io/uring.h"
#include "test.h"

static unsigned exchanges, at_exchange;
static struct weft__file_req request;

static void ask(void);

static void before_exchange(void)
{
    if (++exchanges == at_exchange)
        ask();
}

#undef at_xchg
#define at_xchg(p, v) (before_exchange(), atomic_exchange(p, v))
#include "io/file_uring.c"

/* As a fiber does it that is told to end as soon as it waits. */
static void ask(void)
{
    weft__file_uring_submit(&request.job);
    weft__file_uring_cancel(&request.job);
}

static void looks_while_asked(unsigned at)
{
    struct io_uring_params p = {0};
    int rc = weft__uring_open(&ring, ENTRIES, &p);
    if (rc < 0)
        test_skip("io_uring is not available here: %s", strerror(-rc));
    event_fd = weft__sys_eventfd(0, EFD_CLOEXEC);
    under_way = NULL;
    request = (struct weft__file_req){.op = WEFT__FILE_FSYNC, .fd = -1};
    exchanges = 0;
    at_exchange = at;
    take_wishes();
    CHECK_MSG(exchanges >= at, "it looks %u times", exchanges);
    take_wishes(); /* as the event counter has told */
    CHECK(under_way == &request);
    CHECK(!at_load(&request.cancel));
    CHECK_EQ(io_uring_sq_ready(&ring), 2); /* the request, and the end of it */
    weft__uring_close(&ring);
    CHECK_EQ(weft__sys_close(event_fd), 0);
}

TEST(a_cancel_wanted_before_the_look_is_sent)
{
    looks_while_asked(1);
}

TEST(a_cancel_wanted_in_the_midst_of_the_look_is_sent)
{
    looks_while_asked(2);
}
