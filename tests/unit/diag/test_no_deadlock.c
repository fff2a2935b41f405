// SPDX-License-Identifier: Apache-2.0
/*
 * test_no_deadlock.c - C26 of docs/conformance.md, its quiet half: a process whose fibers all wait
 * is not called dead while a timer, a descriptor, a file operation or a blocking call may still
 * wake one; it is, once that is gone. Read next: test_stuck.c.
 *
 * In each case every fiber is parked, most of them for good, and the one thing that is pending
 * comes about 30 ms later; by then the last thread has long gone idle and judged. A false report
 * would end the process. (Machines that take longer to go idle make a case weaker, never wrong.)
 */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

static const int64_t pending_ns = 30 * WEFT_MS;
static weft_chan *never;

static int waits_for_good(void *arg)
{
    (void)arg;
    return weft_chan_recv(never, NULL);
}

/* Runs `wakes` beside fibers that nothing wakes but the end of their scope. */
static void among_sleepers(void (*wakes)(void))
{
    CHECK_EQ(weft_chan_new(0, 0, &never), 0);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_go(&s, waits_for_good, NULL), 0);
    wakes();
    weft_scope_cancel(&s);
    (void)weft_wait(&s);
    weft_chan_free(never);
}

static void sleeps(void)
{
    CHECK_EQ(weft_sleep(pending_ns), 0);
}
FIBER_TEST(C26_a_sleep_is_pending)
{
    among_sleepers(sleeps);
}

static void has_a_deadline(void)
{
    WEFT_TIMEOUT(limit, pending_ns);
    CHECK_EQ(weft_chan_recv(never, NULL), -ETIMEDOUT);
}
FIBER_TEST(C26_a_contexts_deadline_is_pending)
{
    among_sleepers(has_a_deadline);
}

static void ticks(void)
{
    weft_timer *t = weft_timer_new(pending_ns);
    CHECK(t);
    CHECK_EQ(weft_chan_recv(weft_timer_chan(t), &(int64_t){0}), 1);
    weft_timer_free(t);
}
FIBER_TEST(C26_a_timer_channel_is_pending)
{
    among_sleepers(ticks);
}

static void selects(void)
{
    CHECK_EQ(weft_select(WEFT_RECV_FROM(never, NULL, NULL),
                 WEFT_RECV_FROM(weft_after(pending_ns), NULL, NULL)),
        1);
}
FIBER_TEST(C26_a_selects_timer_is_pending)
{
    among_sleepers(selects);
}

static void released(void *arg)
{
    weft_sema_release(arg, 1);
}
static void runs_later(void)
{
    static weft_sema s;
    weft_sema_init(&s, 0, NULL);
    weft_timer *t = weft_timer_func(pending_ns, released, &s);
    CHECK(t);
    CHECK_EQ(weft_sema_acquire(&s, 1), 0);
    weft_timer_free(t);
}
FIBER_TEST(C26_a_function_is_pending)
{
    among_sleepers(runs_later);
}

/* The kernel's own timer behind a descriptor: to the library a descriptor like others. */
static int kernel_timer(int flags)
{
    struct itimerspec in = {.it_value.tv_nsec = pending_ns};
    int fd = timerfd_create(CLOCK_MONOTONIC, flags);
    CHECK(fd >= 0);
    CHECK_EQ(timerfd_settime(fd, 0, &in, NULL), 0);
    return fd;
}

static void reads(void)
{
    uint64_t n;
    int fd = kernel_timer(TFD_NONBLOCK);
    CHECK_EQ(weft_read(fd, &n, sizeof n), sizeof n);
    weft_close(fd);
}
FIBER_TEST(C26_a_descriptor_is_waited_for)
{
    among_sleepers(reads);
}

static void blocks(void)
{
    uint64_t n;
    int fd = kernel_timer(0);
    weft_blocking_begin();
    CHECK_EQ(read(fd, &n, sizeof n), sizeof n);
    weft_blocking_end();
    close(fd);
}
FIBER_TEST(C26_a_call_blocks_and_says_so)
{
    among_sleepers(blocks);
}

static void blocks_silently(void)
{
    uint64_t n;
    int fd = kernel_timer(0);
    CHECK_EQ(read(fd, &n, sizeof n), sizeof n);
    close(fd);
}
FIBER_TEST(C26_a_call_blocks_and_says_nothing)
{
    among_sleepers(blocks_silently);
}

/* In the pool: opening a pipe waits for its other end, which another process opens. */
static void opens(void)
{
    char path[64];
    snprintf(path, sizeof path, "/tmp/weft-pending-%d", (int)getpid());
    CHECK_EQ(mkfifo(path, 0600), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        nanosleep(&(struct timespec){.tv_nsec = pending_ns}, NULL);
        _exit(open(path, O_WRONLY) < 0);
    }
    int fd = weft_open(path, O_RDONLY, 0), status;
    CHECK(fd >= 0);
    weft_close(fd);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    unlink(path);
}
FIBER_TEST(C26_the_pool_has_a_file_operation)
{
    setenv("WEFT_FILE", "pool", 1);
    among_sleepers(opens);
}

static void reads_by_ring(void)
{
    uint64_t n;
    int fd = kernel_timer(0);
    CHECK_EQ(weft_pread(fd, &n, sizeof n, 0), sizeof n);
    close(fd);
}
FIBER_TEST(C26_the_file_thread_has_one)
{
    among_sleepers(strcmp(weft_file_backend(), "pool") == 0 ? opens : reads_by_ring);
}

/* ---- and when it is gone ---- */

static int nothing_pends(void *arg)
{
    (void)arg;
    uint64_t n;
    int fd = kernel_timer(TFD_NONBLOCK);
    CHECK_EQ(weft_read(fd, &n, sizeof n), sizeof n); /* registered, and waited for no more */
    weft_timer *t = weft_timer_new(WEFT_MIN);
    CHECK(weft_timer_stop(t));
    CHECK_EQ(weft_chan_new(0, 0, &never), 0);
    return weft_chan_recv(never, NULL);
}

static void dies(void)
{
    exit(weft_main(nothing_pends, NULL));
}

TEST(C26_what_pends_no_more_does_not_count)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer has a thread of its own");
#endif
    EXPECT_DEATH(dies, "all fibers are asleep - deadlock!");
}
