// SPDX-License-Identifier: Apache-2.0
/*
 * test_poller.c - the corners of io/poller.h: which edge belongs to whom, and what a number stands
 * for once it was closed.
 *
 * Interleavings of several threads are tests/simrt's; here one worker does things in an order that
 * must not matter.
 */
#include <weft/fiber.h>
#include <weft/file.h>
#include <weft/loop.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sugar.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dump_text.h"
#include "io/poller.h"
#include "net/netio.h"
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
    WEFT_TIMEOUT(limit, 20 * WEFT_SEC);
    weft__enter();
    struct weft__fd_wait w[2] = {
        weft__fd_now(fds[0], WEFT__READ), weft__fd_now(fds[2], WEFT__READ)};
    weft__leave();
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

/* ---- a fiber that was woken, and has not run when its descriptor is closed ---- */

static int reads(void *arg)
{
    char c;
    return (int)weft_read(*(const int *)arg, &c, 1);
}

/* As a server's connection does it: it waits before it asks. */
static int fills(void *arg)
{
    struct weft__stream s = {.fd = *(const int *)arg, .emptied = true};
    CHECK_EQ(weft__buf_init(&s.in, 16), 0);
    ssize_t n = weft__stream_fill(&s, -1);
    weft__buf_fini(&s.in);
    return (int)n;
}

static int waits_readable(void *arg)
{
    return weft_wait_fd(*(const int *)arg, 0);
}

static int accepts(void *arg)
{
    return weft_accept(*(const int *)arg);
}

static void rouse(int fd)
{
    weft__enter();
    weft__fd_rouse(fd, WEFT__READ);
    weft__leave();
}

struct victim {
    int (*fn)(void *);
    int fd;
};

static _Atomic bool refused; /* it came back before anybody woke it */

static int is_woken_late(void *arg)
{
    struct victim v = *(const struct victim *)arg;
    int rc = v.fn(&v.fd);
    at_store(&refused, true);
    return rc;
}

/* Makes fn runnable and closes what it waits for, in one step. */
static void wake_and_close(weft_scope *s, int (*fn)(void *), int fd)
{
    struct victim v = {fn, fd};
    at_store(&refused, false);
    CHECK_EQ(weft_go_copy(s, is_woken_late, v), 0);
    while (!at_load(&refused) && dump_count("[IO read for ") < 1)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    CHECK(!at_load(&refused));
    rouse(fd);
    CHECK_EQ(weft_close(fd), 0);
}

static int (*const readers[])(void *) = {reads, fills, waits_readable};

static int stranger_app(void *arg)
{
    char c;
    (void)arg;
    for (size_t i = 0; i < sizeof readers / sizeof *readers; i++) {
        int mine[2], others[2];
        WEFT_SCOPE(s, .errors = WEFT_COLLECT);
        pair(mine);
        wake_and_close(&s, readers[i], mine[0]);
        pair(others);
        CHECK_EQ(others[0], mine[0]);
        CHECK_EQ(write(others[1], "x", 1), 1);
        CHECK_EQ(weft_wait(&s), -EBADF);
        CHECK_EQ(weft_read(others[0], &c, 1), 1); /* unread so far, and the number is good */
        CHECK_EQ(weft_close(mine[1]), 0);
        CHECK_EQ(weft_close(others[0]), 0);
        CHECK_EQ(weft_close(others[1]), 0);
    }
    return 0;
}

TEST(a_woken_reader_takes_nothing_from_a_stranger)
{
    run_one_worker(stranger_app, NULL);
}

static int listener_app(void *arg)
{
    char address[128];
    (void)arg;
    int mine = weft_listen("tcp", "127.0.0.1:0");
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    wake_and_close(&s, accepts, mine);
    int other = weft_listen("tcp", "127.0.0.1:0");
    CHECK_EQ(other, mine);
    CHECK(weft_local_addr(other, address, sizeof address) > 0);
    int client = weft_dial("tcp", address);
    CHECK(client >= 0);
    CHECK_EQ(weft_wait(&s), -EBADF);
    int conn = weft_accept(other);
    CHECK_MSG(conn >= 0, "accept: %d", conn);
    weft_close(conn);
    weft_close(client);
    weft_close(other);
    return 0;
}

TEST(a_woken_accept_takes_nothing_from_a_stranger)
{
    run_one_worker(listener_app, NULL);
}

/* ---- weft_wait_fd ---- */

static int leftover_app(void *arg)
{
    char buf[8];
    int fds[2];
    (void)arg;
    pair(fds);
    WEFT_TIMEOUT(limit, 20 * WEFT_SEC);
    CHECK_EQ(write(fds[1], "12345678", 8), 8);
    CHECK_EQ(weft_wait_fd(fds[0], 0), 0);
    CHECK_EQ(read(fds[0], buf, 4), 4);
    CHECK_EQ(weft_wait_fd(fds[0], 0), 0); /* the rest makes no event of its own */
    CHECK_EQ(read(fds[0], buf, 8), 4);
    CHECK_EQ(weft_wait_fd(fds[0], 1), 0);
    CHECK_EQ(weft_wait_fd(fds[0], 1), 0); /* nor does room that is still there */
    CHECK_EQ(weft_close(fds[1]), 0);
    CHECK_EQ(weft_wait_fd(fds[0], 0), 0);
    CHECK_EQ(read(fds[0], buf, 4), 0);
    CHECK_EQ(weft_wait_fd(fds[0], 0), 0);
    return weft_close(fds[0]);
}

TEST(what_is_left_unread_ends_a_wait)
{
    run_one_worker(leftover_app, NULL);
}

static int refusals_app(void *arg)
{
    int fds[2], file = weft_open("/proc/self/exe", O_RDONLY, 0);
    (void)arg;
    pair(fds);
    CHECK(file >= 0);
    CHECK_EQ(weft_wait_fd(file, 0), -EPERM);
    CHECK_EQ(weft_wait_fd(file, 0), -EPERM);
    CHECK_EQ(weft_close(file), 0);
    CHECK_EQ(weft_wait_fd(file, 0), -EBADF);
    CHECK_EQ(weft_wait_fd(-1, 0), -EBADF);
    WEFT_TIMEOUT(none, 0);
    CHECK_EQ(weft_wait_fd(fds[0], 1), -ETIMEDOUT); /* though there is room */
    CHECK_EQ(weft_close(fds[0]), 0);
    CHECK_EQ(weft_close(fds[1]), 0);
    return 0;
}

TEST(what_cannot_be_waited_for_is_told)
{
    run_one_worker(refusals_app, NULL);
}

/* ---- a number that goes from fibers to a loop, and comes back as something else ---- */

/* A socket that fibers have waited for: its record says so, and that it is registered. */
static int connection(int *ret_peer)
{
    char c;
    int fds[2];
    pair(fds);
    WEFT_TIMEOUT(at_once, WEFT_MS);
    CHECK_EQ(weft_read(fds[0], &c, 1), -ETIMEDOUT);
    *ret_peer = fds[1];
    return fds[0];
}

static void no_events(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    (void)loop;
    (void)io;
    (void)events;
}

static void close_by_loop(int fd)
{
    weft_loop *loop = NULL;
    weft_loop_io io = {0};
    weft_loop_opts o = {.size = sizeof o, .kind = WEFT_LOOP_EPOLL};
    CHECK_EQ(weft_loop_new(&o, &loop), 0);
    CHECK_EQ(weft_loop_io_add(loop, &io, fd, WEFT_LOOP_READ, no_events), 0);
    weft_loop_io_close(loop, &io);
    weft_loop_free(loop);
}

static int reads_text(void *arg)
{
    char buf[8];
    ssize_t n = weft_read(*(const int *)arg, buf, sizeof buf);
    return n == 4 && memcmp(buf, "text", 4) == 0 ? 0 : n < 0 ? (int)n : -EIO;
}

static int numbers_app(void *arg)
{
    char buf[4];
    int peer, p[2];
    (void)arg;
    CHECK_EQ(weft_unlink("/nonexistent/x"), -ENOENT); /* the file thread has its descriptors */
    int fd = connection(&peer);
    close_by_loop(fd);
    int file = weft_open("/proc/self/exe", O_RDONLY, 0);
    CHECK_EQ(file, fd);
    CHECK_EQ(weft_read(file, buf, 4), 4);
    CHECK(memcmp(buf, "\177ELF", 4) == 0);
    CHECK_EQ(weft_close(file), 0);
    CHECK_EQ(weft_close(peer), 0);

    fd = connection(&peer);
    close_by_loop(fd);
    CHECK_EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    CHECK_EQ(p[0], fd);
    WEFT_SCOPE(s);
    WEFT_TIMEOUT(limit, 20 * WEFT_SEC);
    CHECK_EQ(weft_go(&s, reads_text, &p[0]), 0);
    dump_until("[IO read for ", 1);
    CHECK_EQ(write(p[1], "text", 4), 4);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_close(p[0]), 0);
    CHECK_EQ(weft_close(p[1]), 0);
    return weft_close(peer);
}

TEST(a_number_is_new_after_a_loop_closed_it)
{
    run_one_worker(numbers_app, NULL);
}

/* Closed behind the library's back; the documentation forbids it, but files notice. */
static int behind_app(void *arg)
{
    char buf[4];
    int peer;
    (void)arg;
    CHECK_EQ(weft_unlink("/nonexistent/x"), -ENOENT);
    int fd = connection(&peer);
    CHECK_EQ(close(fd), 0);
    int file = weft_open("/proc/self/exe", O_RDONLY, 0);
    CHECK_EQ(file, fd);
    CHECK_EQ(weft_read(file, buf, 4), 4);
    CHECK_EQ(weft_close(file), 0);
    return weft_close(peer);
}

TEST(a_file_is_new_whatever_its_number_was)
{
    run_one_worker(behind_app, NULL);
}
