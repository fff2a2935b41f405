// SPDX-License-Identifier: Apache-2.0
/* test_net.c - sockets, pipes and names on fibers: data intact, waits ended by close, cancel and
 * deadline, errors told. */
#include <weft/fiber.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sugar.h>

#include <errno.h>
#include <pthread.h>
#include <sys/un.h>
#include <unistd.h>

#include "dump_text.h"

static int run(unsigned workers, int (*app)(void *), void *arg)
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    CHECK_EQ(weft_run(app, arg, &o, &result), 0);
    return result;
}

static int echo(void *p)
{
    int fd = *(int *)p;
    char buf[4096];
    ssize_t n;
    while ((n = weft_read(fd, buf, sizeof buf)) > 0)
        if ((n = weft_write_all(fd, buf, (size_t)n)) < 0)
            break;
    weft_close(fd);
    return (int)n;
}

static int serve(void *p)
{
    int ln = *(int *)p, fd;
    WEFT_SCOPE(conns, .errors = WEFT_COLLECT);
    while ((fd = weft_accept(ln)) >= 0)
        CHECK_EQ(weft_go_copy(&conns, echo, fd), 0);
    CHECK_EQ(fd, -EBADF);
    return weft_wait(&conns);
}

struct client {
    const char *network, *address;
    unsigned seed;
};

static int client(void *p)
{
    struct client *c = p;
    unsigned char out[20000], in[20000];
    int fd = weft_dial(c->network, c->address);
    CHECK_MSG(fd >= 0, "dial %s %s: %d", c->network, c->address, fd);
    unsigned x = c->seed * 2654435761u + 1;
    for (int round = 0; round < 20; round++) {
        size_t n = 1 + (x >> 8) % sizeof out;
        for (size_t i = 0; i < n; i++)
            out[i] = (unsigned char)((x = x * 1103515245u + 12345u) >> 16);
        /* The echo server reads while we write, so more than a socket buffer cannot deadlock at
         * this size. */
        CHECK_EQ(weft_write_all(fd, out, n), n);
        CHECK_EQ(weft_read_full(fd, in, n), n);
        CHECK(memcmp(in, out, n) == 0);
    }
    CHECK_EQ(weft_shutdown(fd, SHUT_WR), 0);
    CHECK_EQ(weft_read(fd, in, 1), 0);
    return weft_close(fd);
}

static int echo_app(void *arg)
{
    const char *network = arg;
    char address[128], own[64];
    snprintf(own, sizeof own, "@weft-test-net-%d", (int)getpid());
    int ln = weft_listen(network, strcmp(network, "unix") == 0 ? own : "127.0.0.1:0");
    CHECK_MSG(ln >= 0, "listen: %d", ln);
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    WEFT_SCOPE(server);
    WEFT_SCOPE(clients);
    CHECK_EQ(weft_go_copy(&server, serve, ln), 0);
    for (unsigned i = 0; i < 50; i++)
        CHECK_EQ(weft_go_copy(&clients, client, ((struct client){network, address, i})), 0);
    CHECK_EQ(weft_wait(&clients), 0);
    CHECK_EQ(weft_close(ln), 0); /* wakes the accept with -EBADF */
    return weft_wait(&server);
}

TEST(tcp_echo_1)
{
    CHECK_EQ(run(1, echo_app, "tcp"), 0);
}
TEST(tcp_echo_2)
{
    CHECK_EQ(run(2, echo_app, "tcp"), 0);
}
TEST(tcp_echo_8)
{
    CHECK_EQ(run(8, echo_app, "tcp4"), 0);
}
TEST(unix_echo_2)
{
    CHECK_EQ(run(2, echo_app, "unix"), 0);
}

static int reader(void *p)
{
    char c;
    return (int)weft_read(*(int *)p, &c, 1);
}

static int close_app(void *arg)
{
    int ln = weft_listen("tcp", "127.0.0.1:0"), a, b;
    char address[128];
    (void)arg;
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    CHECK((a = weft_dial("tcp", address)) >= 0);
    CHECK((b = weft_accept(ln)) >= 0);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_go(&s, reader, &a), 0);
    dump_until("[IO read for ", 3);
    CHECK_EQ(weft_close(a), 0);
    CHECK_EQ(weft_wait(&s), -EBADF);
    CHECK_EQ(weft_scope_failed(&s), 3);
    weft_close(b);
    weft_close(ln);
    return 0;
}

TEST(close_wakes_all_readers)
{
    CHECK_EQ(run(2, close_app, NULL), 0);
}

static int deadline_app(void *arg)
{
    int ln = weft_listen("tcp", "127.0.0.1:0");
    (void)arg;
    for (int i = 0; i < 20; i++) {
        WEFT_TIMEOUT(t, 3 * WEFT_MS);
        CHECK_EQ(weft_accept(ln), -ETIMEDOUT);
        CHECK_EQ(weft_accept(ln), -ETIMEDOUT); /* sticky */
    }
    return weft_close(ln);
}

TEST(a_deadline_ends_accept)
{
    CHECK_EQ(run(1, deadline_app, NULL), 0);
}

static int cancel_app(void *arg)
{
    int ln = weft_listen("tcp", "127.0.0.1:0"), p[2];
    (void)arg;
    CHECK_EQ(pipe(p), 0);
    {
        WEFT_SCOPE(s, .errors = WEFT_COLLECT);
        CHECK_EQ(weft_go(&s, reader, &p[0]), 0);
        dump_until("[IO read for ", 1);
        weft_scope_cancel(&s);
        CHECK_EQ(weft_wait(&s), -ECANCELED);
    }
    CHECK_EQ(write(p[1], "x", 1), 1);
    CHECK_EQ(reader(&p[0]), 1);
    weft_close(p[0]);
    weft_close(p[1]);
    return weft_close(ln);
}

TEST(cancel_ends_a_pipe_read)
{
    CHECK_EQ(run(2, cancel_app, NULL), 0);
}

static int leftover_app(void *arg)
{
    char got[4];
    int p[2];
    (void)arg;
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(write(p[1], "abcdef", 6), 6);
    CHECK_EQ(close(p[1]), 0);
    CHECK_EQ(weft_read(p[0], got, 4), 4);
    CHECK_EQ(weft_read(p[0], got, 1), 1); /* no event tells of these: they came with the first */
    CHECK_EQ(weft_read(p[0], got, 4), 1);
    CHECK_EQ(got[0], 'f');
    CHECK_EQ(weft_read(p[0], got, 4), 0);
    CHECK_EQ(weft_read(p[0], got, 4), 0);
    return weft_close(p[0]);
}

/* In blocking mode, as a program finds its standard input. */
TEST(a_pipe_is_read_bit_by_bit)
{
    CHECK_EQ(run(1, leftover_app, NULL), 0);
}

static int errors_app(void *arg)
{
    char address[128], c;
    (void)arg;
    CHECK_EQ(weft_listen("tcq", ":0"), -EINVAL);
    CHECK_EQ(weft_listen("tcp", "127.0.0.1"), -EINVAL);
    CHECK_EQ(weft_dial("tcp", "::1:80"), -EINVAL);
    CHECK_EQ(weft_read(-1, &c, 1), -EBADF);
    CHECK_EQ(weft_read(999, &c, 1), -EBADF);
    CHECK_EQ(weft_accept(0) < 0, 1);
    int ln = weft_listen("tcp", "127.0.0.1:0");
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    CHECK_EQ(weft_listen("tcp", address), -EADDRINUSE);
    weft_close(ln);
    CHECK_EQ(weft_dial("tcp", address), -ECONNREFUSED);
    CHECK_EQ(weft_dial("tcp", "no-such-host.invalid:80") < 0, 1);
    return 0;
}

TEST(errors_are_told)
{
    CHECK_EQ(run(2, errors_app, NULL), 0);
}

static int name_app(void *arg)
{
    char address[128], by_name[160];
    int ln = weft_listen("tcp4", "localhost:0");
    (void)arg;
    CHECK_MSG(ln >= 0, "listen localhost: %d", ln);
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    snprintf(by_name, sizeof by_name, "localhost:%s", strrchr(address, ':') + 1);
    int fd = weft_dial("tcp", by_name); /* an IPv6 attempt is refused first where there is ::1 */
    CHECK_MSG(fd >= 0, "dial %s: %d", by_name, fd);
    weft_close(fd);
    return weft_close(ln);
}

TEST(names_resolve)
{
    CHECK_EQ(run(1, name_app, NULL), 0);
}

static int udp_app(void *arg)
{
    char address[128], buf[64];
    int a = weft_listen("udp", "127.0.0.1:0"), b;
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    (void)arg;
    CHECK(weft_local_addr(a, address, sizeof address) > 0);
    CHECK((b = weft_dial("udp", address)) >= 0);
    CHECK_EQ(weft_write(b, "ping", 4), 4);
    CHECK_EQ(weft_recv_from(a, buf, sizeof buf, (struct sockaddr *)&from, &len), 4);
    CHECK_EQ(weft_send_to(a, "pong!", 5, (struct sockaddr *)&from, len), 5);
    CHECK_EQ(weft_read(b, buf, sizeof buf), 5);
    CHECK(memcmp(buf, "pong!", 5) == 0);
    weft_close(a);
    return weft_close(b);
}

TEST(udp_datagrams)
{
    CHECK_EQ(run(1, udp_app, NULL), 0);
}

static int big_writer(void *p)
{
    int fd = *(int *)p;
    char *big = malloc(8 << 20);
    memset(big, 'w', 8 << 20);
    ssize_t n = weft_write_all(fd, big, 8 << 20);
    free(big);
    weft_close(fd);
    return n == 8 << 20 ? 0 : (int)n;
}

static int big_app(void *arg)
{
    static char buf[65536];
    char address[128];
    int ln = weft_listen("tcp", "127.0.0.1:0"), fd;
    size_t total = 0;
    ssize_t n;
    (void)arg;
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    int out = weft_dial("tcp", address);
    CHECK(out >= 0);
    CHECK((fd = weft_accept(ln)) >= 0);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, big_writer, &out), 0);
    while ((n = weft_read(fd, buf, sizeof buf)) > 0)
        total += (size_t)n;
    CHECK_EQ(n, 0);
    CHECK_EQ(total, 8 << 20);
    weft_close(fd);
    weft_close(ln);
    return weft_wait(&s);
}

TEST(a_writer_waits_for_room_1)
{
    CHECK_EQ(run(1, big_app, NULL), 0);
}
TEST(a_writer_waits_for_room_2)
{
    CHECK_EQ(run(2, big_app, NULL), 0);
}

static int broken_app(void *arg)
{
    char address[128];
    int ln = weft_listen("tcp", "127.0.0.1:0"), fd;
    (void)arg;
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    int out = weft_dial("tcp", address);
    CHECK(out >= 0);
    CHECK((fd = weft_accept(ln)) >= 0);
    weft_close(fd);
    ssize_t n = 0;
    for (int i = 0; i < 100 && n >= 0; i++) {
        n = weft_write(out, "x", 1);
        if (n > 0)
            CHECK_EQ(weft_sleep(WEFT_MS), 0);
    }
    CHECK(n == -EPIPE || n == -ECONNRESET);
    weft_close(out);
    return weft_close(ln);
}

TEST(a_write_to_a_closed_peer_is_an_error_not_a_signal)
{
    CHECK_EQ(run(1, broken_app, NULL), 0);
}

static void *thread_client(void *arg)
{
    struct client c = {"tcp", arg, 7};
    client(&c);
    return NULL;
}

static int plain_thread_app(void *arg)
{
    char address[128];
    pthread_t t;
    int ln = weft_listen("tcp", "127.0.0.1:0");
    (void)arg;
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go_copy(&s, serve, ln), 0);
    CHECK_EQ(pthread_create(&t, NULL, thread_client, address), 0);
    weft_blocking_begin();
    pthread_join(t, NULL);
    weft_blocking_end();
    weft_close(ln);
    return weft_wait(&s);
}

TEST(a_plain_thread_talks_to_fibers)
{
    CHECK_EQ(run(1, plain_thread_app, NULL), 0);
}

static int churn_client(void *p)
{
    for (int i = 0; i < 100; i++) {
        int fd = weft_dial("tcp", p);
        CHECK_MSG(fd >= 0, "dial: %d", fd);
        char c = 'c';
        CHECK_EQ(weft_write_all(fd, &c, 1), 1);
        CHECK_EQ(weft_read_full(fd, &c, 1), 1);
        weft_close(fd);
    }
    return 0;
}

static int churn_app(void *arg)
{
    char address[128];
    int ln = weft_listen("tcp", "127.0.0.1:0");
    (void)arg;
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    WEFT_SCOPE(server);
    WEFT_SCOPE(clients);
    CHECK_EQ(weft_go_copy(&server, serve, ln), 0);
    for (int i = 0; i < 16; i++)
        CHECK_EQ(weft_go(&clients, churn_client, address), 0);
    CHECK_EQ(weft_wait(&clients), 0);
    weft_close(ln);
    return weft_wait(&server);
}

TEST(descriptor_numbers_are_reused_safely)
{
    CHECK_EQ(run(2, churn_app, NULL), 0);
}
