// SPDX-License-Identifier: Apache-2.0
/*
 * test_fault.c - user code that runs while the library holds a channel's lock: a handler for a
 * fault in the memory that an element is copied from or to. It may mend the fault and return, as
 * handlers that map pages on demand do. It may not wait, for whoever it would wait for may need the
 * lock: debug builds end the process with a sentence about it.
 */
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <weft/weft.h>

#include "test.h"

enum { PAGE = 4096 };
static long *page; /* not readable, until the handler has mended it */
static _Atomic int faults;
static void (*wait_in_handler)(void);

static void on_fault(int sig)
{
    (void)sig;
    faults++;
    if (wait_in_handler)
        wait_in_handler();
    if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) < 0)
        _exit(3);
}

/* Inside a run, as a run has a handler of its own for stacks that overflow. */
static void page_make(void)
{
    struct sigaction sa = {.sa_handler = on_fault};
    CHECK(sigaction(SIGSEGV, &sa, NULL) == 0);
    page = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
}

static int move(void *arg)
{
    weft_chan *c;
    int (*fn)(weft_chan *) = *(int (**)(weft_chan *))arg;
    page_make();
    CHECK_EQ(weft_chan_new(sizeof *page, 1, &c), 0);
    weft_chan_set_name(c, "jobs");
    CHECK_EQ(fn(c), 0);
    weft_chan_free(c);
    return 0;
}

static void run(int (*fn)(weft_chan *))
{
    int result = -1;
    CHECK_EQ(weft_run(move, &fn, NULL, &result), 0);
    CHECK_EQ(result, 0);
}

static int send_page(weft_chan *c)
{
    return weft_chan_send(c, page);
}

static int receive_page(weft_chan *c)
{
    long seven = 7;
    CHECK_EQ(weft_chan_send(c, &seven), 0);
    CHECK_EQ(weft_chan_recv(c, page), 1);
    CHECK_EQ(*page, 7);
    return 0;
}

static int select_page(weft_chan *c)
{
    struct weft_case cases[] = {{.chan = c, .elem = page, .kind = WEFT_CASE_SEND}};
    return weft_selectv(cases, 1);
}

TEST(a_fault_under_the_lock_may_be_mended)
{
    run(send_page);
    CHECK_EQ(faults, 1);
    run(receive_page);
    CHECK_EQ(faults, 2);
    run(select_page);
    CHECK_EQ(faults, 3);
}

#ifdef WEFT_TSAN_FIBERS
/* The last words of a process look up symbols, on the handler's stack here. */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
    return "report_signal_unsafe=0";
}
#endif

#ifndef NDEBUG /* release builds do not look for it */
static void sleeps(void)
{
    weft_sleep(WEFT_HOUR); /* a short one may be over before it parks */
}

static void yields(void)
{
    weft_yield();
}

static void waits_for_ever(void)
{
    long v;
    weft_chan_recv(NULL, &v);
}

static void send_and_sleep(void)
{
    wait_in_handler = sleeps;
    run(send_page);
}

static void receive_and_yield(void)
{
    wait_in_handler = yields;
    run(receive_page);
}

static void select_and_wait(void)
{
    wait_in_handler = waits_for_ever;
    run(select_page);
}

static void thread_waits(void)
{
    weft_chan *c;
    wait_in_handler = waits_for_ever;
    page_make();
    CHECK_EQ(weft_chan_new(sizeof *page, 1, &c), 0);
    weft_chan_send(c, page);
}

TEST(a_park_under_the_lock_ends_the_process)
{
    EXPECT_DEATH(send_and_sleep, "weft: misuse: park (sleep) by fiber ");
    EXPECT_DEATH(send_and_sleep, "while a runtime lock is held: channel \"jobs\" (made at ");
    EXPECT_DEATH(send_and_sleep, "test_fault.c:");
    EXPECT_DEATH(send_and_sleep, "\non fiber ");
#ifndef WEFT_TSAN_FIBERS /* it calls handlers from frames of its own, which cannot be unwound */
    EXPECT_DEATH(send_and_sleep, "weft_chan_send"); /* the stack, through the handler */
#endif
    EXPECT_DEATH(receive_and_yield, "park (yield) by fiber ");
    EXPECT_DEATH(receive_and_yield, "channel \"jobs\"");
    EXPECT_DEATH(select_and_wait, "park (chan receive (nil chan)) by fiber ");
    EXPECT_DEATH(thread_waits, "park (chan receive (nil chan)) by a plain thread");
}
#endif
