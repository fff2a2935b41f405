// SPDX-License-Identifier: Apache-2.0
/*
 * stress_net.c - the poller under many sockets that come and go: echoes whose bytes are checked,
 * closes under a reader, time-outs, resets, half-closes, all on the same listener at once.
 *
 * File descriptors' numbers are used again at once, so a wake-up meant for a closed socket that
 * reached its successor would show as a wrong byte, a wrong error, or a hang.
 */
#include <errno.h>
#include <sys/socket.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/sugar.h>

#include "base/futex.h"
#include "base/rand.h"
#include "sched/sched.h"
#include "test.h"

enum { CLIENTS = 24, BYTES = 20000 };

static int64_t until_ns;
static char address[64];
static _Atomic uint64_t rounds, echoed, closed_under, timed_out, reset;

static bool over(void)
{
    return weft__clock_ns() >= until_ns;
}

/* ---- the server ---- */

static int echo(void *p)
{
    int fd = *(int *)p;
    char buf[3000];
    ssize_t n;
    while ((n = weft_read(fd, buf, sizeof buf)) > 0)
        if (weft_write_all(fd, buf, (size_t)n) < 0)
            break;
    CHECK_EQ(weft_close(fd), 0);
    return 0;
}

static int serve(void *p)
{
    int ln = *(int *)p, fd;
    WEFT_SCOPE(conns);
    while ((fd = weft_accept(ln)) >= 0)
        CHECK_EQ(weft_go_copy(&conns, echo, fd), 0);
    CHECK_EQ(fd, -EBADF);
    return weft_wait(&conns);
}

/* ---- clients ---- */

struct message {
    int fd;
    uint64_t seed;
    size_t bytes;
};

static void pattern(uint64_t seed, unsigned char *buf, size_t bytes)
{
    struct weft__rand r;
    weft__rand_init(&r, seed);
    for (size_t i = 0; i < bytes; i++)
        buf[i] = (unsigned char)weft__rand_next(&r);
}

static int sends(void *p)
{
    const struct message *m = p;
    unsigned char buf[BYTES];
    pattern(m->seed, buf, m->bytes);
    CHECK_EQ(weft_write_all(m->fd, buf, m->bytes), m->bytes);
    CHECK_EQ(weft_shutdown(m->fd, SHUT_WR), 0);
    return 0;
}

static void echo_round(struct weft__rand *r, int fd)
{
    unsigned char want[BYTES], got[BYTES];
    struct message m = {fd, weft__rand_next(r), 1 + weft__rand_below(r, BYTES)};
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go_copy(&s, sends, m), 0);
    pattern(m.seed, want, m.bytes);
    CHECK_EQ(weft_read_full(fd, got, m.bytes), m.bytes);
    CHECK(memcmp(want, got, m.bytes) == 0);
    CHECK_EQ(weft_read(fd, got, 1), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_close(fd), 0);
    atomic_fetch_add(&echoed, m.bytes);
}

struct reader {
    int fd;
    struct weft__fiber *fiber;
};

/* Before the reader waits the number must not be given back: it would read from a stranger. */
static int closes(void *p)
{
    const struct reader *r = p;
    while (at_load(&r->fiber->park_reason) != WEFT__WAIT_IO_READ ||
           (at_load(&r->fiber->wake) & WEFT__WAKE_MASK) == WEFT__WAKE_RUN)
        weft_yield();
    CHECK_EQ(weft_close(r->fd), 0);
    return 0;
}

static void close_under_reader(int fd)
{
    char c;
    struct reader r = {fd, weft__self()};
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go_copy(&s, closes, r), 0);
    ssize_t n = weft_read(fd, &c, 1);
    CHECK_EQ(n, -EBADF);
    CHECK_EQ(weft_wait(&s), 0);
    atomic_fetch_add(&closed_under, 1);
}

static void time_out(struct weft__rand *r, int fd)
{
    char c;
    {
        WEFT_TIMEOUT(t, weft__rand_below(r, 300000));
        CHECK_EQ(weft_read(fd, &c, 1), -ETIMEDOUT);
    }
    CHECK_EQ(weft_write_all(fd, "x", 1), 1);
    CHECK_EQ(weft_read(fd, &c, 1), 1);
    CHECK_EQ(c, 'x');
    CHECK_EQ(weft_close(fd), 0);
    atomic_fetch_add(&timed_out, 1);
}

static void reset_it(struct weft__rand *r, int fd)
{
    unsigned char buf[BYTES];
    struct linger none = {.l_onoff = 1};
    size_t bytes = 1 + weft__rand_below(r, BYTES);
    pattern(1, buf, bytes);
    (void)weft_write(fd, buf, bytes);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &none, sizeof none), 0);
    CHECK_EQ(weft_close(fd), 0);
    atomic_fetch_add(&reset, 1);
}

static int client(void *p)
{
    struct weft__rand r;
    weft__rand_init(&r, test_seed() + *(uint64_t *)p);
    while (!over()) {
        int fd = weft_dial("tcp", address);
        CHECK_MSG(fd >= 0, "dial: %d", fd);
        switch (weft__rand_below(&r, 5)) {
        case 0:
            close_under_reader(fd);
            break;
        case 1:
            time_out(&r, fd);
            break;
        case 2:
            reset_it(&r, fd);
            break;
        default:
            echo_round(&r, fd);
        }
        atomic_fetch_add(&rounds, 1);
    }
    return 0;
}

static int app(void *arg)
{
    (void)arg;
    int ln = weft_listen("tcp", "127.0.0.1:0");
    CHECK(ln >= 0);
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    until_ns = weft__clock_ns() + test_stress_seconds() * (int64_t)WEFT_SEC / 3;
    WEFT_SCOPE(server);
    CHECK_EQ(weft_go_copy(&server, serve, ln), 0);
    {
        WEFT_SCOPE(clients);
        for (uint64_t i = 0; i < CLIENTS; i++)
            CHECK_EQ(weft_go_copy(&clients, client, i), 0);
        CHECK_EQ(weft_wait(&clients), 0);
    }
    CHECK_EQ(weft_close(ln), 0);
    return weft_wait(&server);
}

TEST(echo_close_time_out_reset)
{
    static const unsigned counts[] = {1, 2, 4};
    for (int i = 0; i < 3; i++) {
        int result = -1;
        weft_run_opts o = {.size = sizeof o, .workers = counts[i]};
        CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
    }
    CHECK(rounds > 0);
    printf("# seed %llu: %llu rounds, %llu bytes, %llu closed under a reader, %llu timed out, %llu "
           "reset\n",
        (unsigned long long)test_seed(), (unsigned long long)rounds, (unsigned long long)echoed,
        (unsigned long long)closed_under, (unsigned long long)timed_out, (unsigned long long)reset);
}
