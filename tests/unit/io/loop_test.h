// SPDX-License-Identifier: Apache-2.0
/*
 * loop_test.h - what the tests of pinned loops share: every case on both back ends.
 *
 *     BOTH(name) { weft_loop *loop = make_loop(kind); ... }
 *
 * makes the cases name_epoll and name_uring. The latter skips, with the reason, where the kernel
 * has no io_uring or forbids it.
 */
#ifndef LOOP_TEST_H
#define LOOP_TEST_H
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/loop.h>
#include "test.h"

#define BOTH(name)                                                                                 \
    static void both_##name(enum weft_loop_kind kind);                                             \
    TEST(name##_epoll)                                                                             \
    {                                                                                              \
        both_##name(WEFT_LOOP_EPOLL);                                                              \
    }                                                                                              \
    TEST(name##_uring)                                                                             \
    {                                                                                              \
        both_##name(WEFT_LOOP_URING);                                                              \
    }                                                                                              \
    static void both_##name(enum weft_loop_kind kind)

/* Turns the loop until cond holds; a loop that never gets there is ended by the case's timeout. */
#define TURN_UNTIL(loop, cond)                                                                     \
    do {                                                                                           \
        while (!(cond))                                                                            \
            CHECK_EQ(weft_loop_step(loop, WEFT_SEC), 0);                                           \
    } while (0)

/* Lets everything that is on its way arrive: turns that do not wait. */
static inline void settle(weft_loop *loop)
{
    for (int i = 0; i < 5; i++)
        CHECK_EQ(weft_loop_step(loop, 0), 0);
}

static inline weft_loop *make_loop_opts(enum weft_loop_kind kind, weft_loop_opts opts)
{
    weft_loop *loop = NULL;
    opts.size = sizeof opts;
    opts.kind = kind;
    int rc = weft_loop_new(&opts, &loop);
    if (kind == WEFT_LOOP_URING && (rc == -ENOSYS || rc == -EPERM))
        test_skip("io_uring is not available here: %s", strerror(-rc));
    CHECK_EQ(rc, 0);
    return loop;
}

static inline weft_loop *make_loop(enum weft_loop_kind kind)
{
    return make_loop_opts(kind, (weft_loop_opts){0});
}

static inline void make_pair(int fds[2])
{
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

/* A connected pair over TCP on loopback; sndbuf > 0 bounds the buffers of both ends. */
static inline void make_tcp_pair(int fds[2], int buf)
{
    struct sockaddr_storage sa = {.ss_family = AF_INET};
    socklen_t len = 16;
    int ln = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(ln >= 0);
    if (buf)
        CHECK_EQ(setsockopt(ln, SOL_SOCKET, SO_RCVBUF, &buf, sizeof buf), 0);
    CHECK_EQ(bind(ln, (struct sockaddr *)&sa, len), 0);
    CHECK_EQ(listen(ln, 1), 0);
    CHECK_EQ(getsockname(ln, (struct sockaddr *)&sa, &len), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (buf)
        CHECK_EQ(setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &buf, sizeof buf), 0);
    CHECK_EQ(connect(fds[0], (struct sockaddr *)&sa, len), 0);
    fds[1] = accept4(ln, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    CHECK(fds[1] >= 0);
    CHECK_EQ(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    close(ln);
}

static inline uint64_t next_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* Sends until there is no more room; how much that was. */
static inline size_t fill(weft_loop *loop, weft_loop_io *io)
{
    static char block[16384];
    size_t total = 0;
    ssize_t n;
    while ((n = weft_loop_send(loop, io, block, sizeof block)) > 0)
        total += (size_t)n;
    CHECK_EQ(n, -EAGAIN);
    return total;
}

/* Reads so much, at a blocking or a non-blocking end. */
static inline void drain_fd(int fd, size_t bytes)
{
    static char block[16384];
    while (bytes > 0) {
        ssize_t n = recv(fd, block, sizeof block < bytes ? sizeof block : bytes, 0);
        if (n < 0 && errno == EAGAIN)
            continue; /* loopback delivers within microseconds */
        CHECK(n > 0);
        bytes -= (size_t)n;
    }
}
#endif
