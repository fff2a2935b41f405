// SPDX-License-Identifier: Apache-2.0
/*
 * test_stuck.c - fibers that wait for what never comes: the whole process (C26 of
 * docs/conformance.md: it ends, with status 2, the sentence and every stack), or some fibers of it
 * (C27: a dump shows these, where and for what they wait, and nobody else).
 *
 * C27's patterns are the usual leaks. Each is run next to its mended form, which must leave nobody
 * behind. Read next: test_no_deadlock.c, test_wait_reasons.c.
 */
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <weft/loop.h>

#include "dump_text.h"
#include "rig.h"
#include "sched/worker.h"

typedef WEFT_CHAN_OF(int) int_chan;

/* ---- C26: everybody waits ---- */

/* How a child ended that ran `fn` on so many workers, and what it wrote to standard error. */
static char *words_of(int (*fn)(void *), unsigned workers, int *ret_status)
{
    static char text[1 << 18];
    int p[2];
    size_t len = 0;
    CHECK_EQ(pipe(p), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        weft_run_opts o = {.size = sizeof o, .workers = workers, .drain_ns = 50 * WEFT_MS};
        dup2(p[1], 2);
        close(p[0]);
        close(p[1]);
        _exit(weft_run(fn, NULL, &o, NULL) == 0 ? 0 : 99);
    }
    close(p[1]);
    for (ssize_t n; (n = read(p[0], text + len, sizeof text - 1 - len)) > 0;)
        len += (size_t)n;
    text[len] = '\0';
    close(p[0]);
    CHECK_EQ(waitpid(pid, ret_status, 0), pid);
    return text;
}

static int stuck_on_lock(void *m)
{
    weft_mutex_lock(m);
    weft_mutex_unlock(m);
    return 0;
}

static int stuck_on_nil(void *arg)
{
    (void)arg;
    int rc = weft_chan_recv(NULL, NULL);
    __asm__ volatile("" ::"r"(&rc)); /* no tail call: the frame is looked for */
    return rc;
}

static int receives_for_good(void *arg)
{
    static weft_mutex m = WEFT_MUTEX_INIT;
    weft_chan *c;
    (void)arg;
    CHECK_EQ(weft_chan_new(0, 0, &c), 0);
    weft_mutex_lock(&m);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, stuck_on_lock, &m), 0);
    CHECK_EQ(weft_go(&s, stuck_on_nil, NULL), 0);
    return weft_chan_recv(c, NULL);
}

static int sends_for_good(void *arg)
{
    int_chan c;
    (void)arg;
    CHECK_EQ(weft_chan_make(&c, 0), 0);
    return weft_send(c, 1);
}

static int selects_nothing(void *arg)
{
    (void)arg;
    return weft_selectv(NULL, 0);
}

static int selects_for_good(void *arg)
{
    int_chan c, nil = {0};
    (void)arg;
    CHECK_EQ(weft_chan_make(&c, 0), 0);
    return weft_select(WEFT_SEND(c, 1, NULL), WEFT_RECV(c, NULL, NULL), WEFT_RECV(nil, NULL, NULL));
}

static int waits_for_a_group(void *arg)
{
    static weft_waitgroup w = WEFT_WAITGROUP_INIT;
    (void)arg;
    weft_waitgroup_add(&w, 1);
    return weft_waitgroup_wait(&w);
}

static int waits_for_a_cond(void *arg)
{
    static weft_mutex m = WEFT_MUTEX_INIT;
    static weft_cond c = WEFT_COND_INIT;
    (void)arg;
    weft_mutex_lock(&m);
    return weft_cond_wait(&c, &m);
}

static int joins_for_good(void *arg)
{
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, stuck_on_nil, arg), 0);
    return weft_wait(&s);
}

static void everybody_waits(unsigned workers)
{
    static int (*const ways[])(void *) = {receives_for_good, sends_for_good, selects_nothing,
        selects_for_good, waits_for_a_group, waits_for_a_cond, joins_for_good};
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer has a thread of its own");
#endif
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int status;
        const char *text = words_of(ways[i], workers, &status);
        CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 2, "way %zu: status %x:\n%s", i,
            (unsigned)status, text);
        CHECK_MSG(strstr(text, "weft: fatal: all fibers are asleep - deadlock!"), "%s", text);
        if (i > 0)
            continue;
        CHECK_MSG(strstr(text, "    receives_for_good\n"), "%s", text);
        CHECK_MSG(strstr(text, "    stuck_on_lock\n"), "%s", text);
        CHECK_MSG(strstr(text, "    stuck_on_nil\n"), "%s", text);
    }
}

TEST(C26_everybody_waits_1)
{
    everybody_waits(1);
}

TEST(C26_everybody_waits_2)
{
    everybody_waits(2);
}

TEST(C26_everybody_waits_8)
{
    everybody_waits(8);
}

/* Somebody outside may still come: no end, whatever it looks like. */
static weft_chan *from_outside;

static void await_rest(void)
{
    while (at_load(&weft__sched.idle) < weft__sched.workers || at_load(&weft__sched.spinning))
        sched_yield();
    /* Nothing tells of the look for a deadlock that follows at once. It falls into this time; where
     * it comes later, nothing is proved, and nothing fails. */
    nanosleep(&(struct timespec){.tv_nsec = 10 * 1000 * 1000}, NULL);
}

static void *comes_late(void *arg)
{
    (void)arg;
    await_rest();
    CHECK_EQ(weft_chan_send(from_outside, "x"), 0);
    return NULL;
}

FIBER_TEST(C26_a_plain_thread_may_come)
{
    pthread_t t;
    CHECK_EQ(weft_chan_new(1, 0, &from_outside), 0);
    CHECK_EQ(pthread_create(&t, NULL, comes_late, NULL), 0);
    CHECK_EQ(weft_chan_recv(from_outside, NULL), 1);
    CHECK_EQ(pthread_join(t, NULL), 0);
    weft_chan_free(from_outside);
}

/* A pinned loop is such a thread: what its sockets bring may wake a fiber, by either back end. */
static int ends[2];

static void writes(weft_loop *loop, weft_loop_timer *timer)
{
    (void)loop;
    (void)timer;
    CHECK_EQ(write(ends[1], "x", 1), 1);
}

static void hands_on(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    char byte;
    (void)events;
    if (weft_loop_recv(loop, io, &byte, 1) == 1)
        CHECK_EQ(weft_chan_try_send(from_outside, &byte), 0);
}

static void loop_may_come(enum weft_loop_kind kind)
{
    weft_loop *loop;
    weft_loop_io io = {0};
    weft_loop_timer timer = {.fn = writes};
    weft_loop_opts o = {.size = sizeof o, .kind = kind};
    int rc = weft_loop_new(&o, &loop);
    if (kind == WEFT_LOOP_URING && (rc == -ENOSYS || rc == -EPERM))
        test_skip("io_uring is not available here: %s", strerror(-rc));
    CHECK_EQ(rc, 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    CHECK_EQ(weft_chan_new(1, 1, &from_outside), 0);
    CHECK_EQ(weft_loop_io_add(loop, &io, ends[0], WEFT_LOOP_READ, hands_on), 0);
    /* Long enough for a look that finds all asleep; a look that comes later proves nothing. */
    weft_loop_timer_start(loop, &timer, 30 * WEFT_MS, 0);
    CHECK_EQ(weft_loop_start(loop), 0);
    CHECK_EQ(weft_chan_recv(from_outside, NULL), 1);
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_join(loop), 0);
    weft_loop_free(loop);
    weft_chan_free(from_outside);
    close(ends[0]);
    close(ends[1]);
}

FIBER_TEST(C26_a_pinned_loop_by_epoll_may_come)
{
    loop_may_come(WEFT_LOOP_EPOLL);
}

FIBER_TEST(C26_a_pinned_loop_by_io_uring_may_come)
{
    loop_may_come(WEFT_LOOP_URING);
}

/* The first fiber leaves by weft_exit: unlike Go's main goroutine it ends the run, as its return
 * would; the others hear of it, and nothing is called a deadlock. */
static atomic_int heard;

static int hears_the_end(void *arg)
{
    (void)arg;
    int rc = weft_chan_recv(NULL, NULL);
    atomic_fetch_add(&heard, rc == -ECANCELED);
    return 0;
}

static int exits_first(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_go(NULL, hears_the_end, NULL), 0);
    weft_exit(7);
}

static void first_fiber_exits(unsigned workers)
{
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    int result = -1;
    heard = 0;
    CHECK_EQ(weft_run(exits_first, NULL, &o, &result), 0);
    CHECK_EQ(result, 7);
    CHECK_EQ(heard, 3);
}

TEST(C26_the_first_fiber_exits_1)
{
    first_fiber_exits(1);
}

TEST(C26_the_first_fiber_exits_2)
{
    first_fiber_exits(2);
}

TEST(C26_the_first_fiber_exits_8)
{
    first_fiber_exits(8);
}

/* ---- C27: some wait; the rest goes on ---- */

static uint64_t live(void)
{
    weft_stats s = {.size = sizeof s};
    weft_stats_read(&s);
    return s.fibers;
}

/* Until so many fibers are left beside this one, all of which wait in this way. */
static void await_stuck(int n, const char *reason)
{
    for (;;) {
        if (live() == (uint64_t)n + 1 && (n == 0 || dump_count(reason) == n))
            return;
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    }
}

struct worker {
    int_chan in, out;
    bool mended;
};

static void go_with(int (*fn)(void *), int_chan in, int_chan out, bool mended)
{
    struct worker w = {.in = in, .out = out, .mended = mended};
    CHECK_EQ(weft_go_copy(NULL, fn, w), 0);
}

static int_chan channel(size_t cap)
{
    int_chan c;
    CHECK_EQ(weft_chan_make(&c, cap), 0);
    return c;
}

static int ranges(void *arg)
{
    struct worker *w = arg;
    int v;
    while (weft_recv(w->in, &v) == 1)
        ;
    return 0;
}

static int sends_one(void *arg)
{
    struct worker *w = arg;
    return weft_send(w->out, 1) == 0 ? 0 : -EPIPE;
}

static int sends_twice(void *arg)
{
    struct worker *w = arg;
    int rc = weft_send(w->out, 1);
    return rc == 0 && !w->mended ? weft_send(w->out, 2) : rc;
}

static int serves(void *arg)
{
    struct worker *w = arg;
    int v, stop;
    for (;;)
        if (weft_select(WEFT_RECV(w->in, &v, NULL), WEFT_RECV(w->out, NULL, &stop)) != 0)
            return 0;
}

/* Nobody closes what three range over. */
static void range_without_close(bool mended)
{
    int_chan c = channel(0);
    for (int i = 0; i < 3; i++)
        go_with(ranges, c, c, mended);
    for (int i = 0; i < 5; i++)
        CHECK_EQ(weft_send(c, i), 0);
    if (mended)
        weft_chan_close(c);
    await_stuck(mended ? 0 : 3, "[chan receive for ");
}

/* A service is started and never told to stop. */
static void start_without_stop(bool mended)
{
    int_chan work = channel(0), stop = channel(0);
    go_with(serves, work, stop, mended);
    CHECK_EQ(weft_send(work, 1), 0);
    if (mended)
        weft_chan_close(stop);
    await_stuck(mended ? 0 : 1, "[select for ");
}

/* One answer is waited for, two are sent. */
static void double_send(bool mended)
{
    int_chan c = channel(0);
    int v;
    go_with(sends_twice, c, c, mended);
    CHECK_EQ(weft_recv(c, &v), 1);
    await_stuck(mended ? 0 : 1, "[chan send for ");
}

/* The one who should receive has found an error before, and returned. */
static void early_return(bool mended)
{
    int_chan c = channel(mended ? 1 : 0);
    go_with(sends_one, c, c, mended);
    await_stuck(mended ? 0 : 1, "[chan send for ");
}

/* The first of five answers is enough. */
static void first_of_many(bool mended)
{
    int_chan c = channel(mended ? 5 : 0);
    int v;
    for (int i = 0; i < 5; i++)
        go_with(sends_one, c, c, mended);
    CHECK_EQ(weft_recv(c, &v), 1);
    await_stuck(mended ? 0 : 4, "[chan send for ");
}

/* The answer comes when nobody waits any more. */
static void timeout_wins(bool mended)
{
    int_chan c = channel(mended ? 1 : 0);
    int v;
    CHECK_EQ(weft_select(WEFT_RECV(c, &v, NULL), WEFT_AFTER(WEFT_MS)), 1);
    go_with(sends_one, c, c, mended);
    await_stuck(mended ? 0 : 1, "[chan send for ");
}

static weft_waitgroup both;

static int waits_for_both(void *arg)
{
    (void)arg;
    return weft_waitgroup_wait(&both);
}

static int sends_then_done(void *arg)
{
    int rc = sends_one(arg);
    weft_waitgroup_done(&both);
    return rc;
}

/* Two kinds at once: one sends to nobody, so another waits for its end. */
static void one_waits_for_another(bool mended)
{
    int_chan c = channel(mended ? 1 : 0);
    weft_waitgroup_init(&both, NULL);
    weft_waitgroup_add(&both, 1);
    go_with(sends_then_done, c, c, mended);
    CHECK_EQ(weft_go(NULL, waits_for_both, NULL), 0);
    if (mended) {
        await_stuck(0, "");
        return;
    }
    while (live() != 3 || dump_count("[chan send for ") != 1 ||
           dump_count("[waitgroup wait for ") != 1)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
}

#define PATTERN(name)                                                                              \
    FIBER_TEST(C27_##name)                                                                         \
    {                                                                                              \
        name(true); /* the mended form first: nobody may be left of it */                          \
        name(false);                                                                               \
    }
PATTERN(range_without_close)
PATTERN(start_without_stop)
PATTERN(double_send)
PATTERN(early_return)
PATTERN(first_of_many)
PATTERN(timeout_wins)
PATTERN(one_waits_for_another)
