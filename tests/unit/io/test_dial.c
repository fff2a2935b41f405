// SPDX-License-Identifier: Apache-2.0
/*
 * test_dial.c - weft_dial's race over several addresses, and weft_accept's answers to what the
 * kernel tells of connections.
 *
 * socket.c is built into this program with three of its calls led here: system calls, the wait for
 * several descriptors, and the look-up of names. A port stands for how an attempt at it goes.
 */
#include <weft/fiber.h>
#include <weft/net.h>
#include <weft/run.h>

#include <errno.h>
#include <netinet/in.h>

#include "base/futex.h"
#include "io/poller.h"
#include "io/resolve.h"
#include "io/seam.h"
#include "test.h"

enum { HANGS = 1, REFUSED_AT_ONCE, REFUSED_LATER };

static struct weft__addrs addresses;
static int refused_fd = -1, hanging_fd = -1;
static int time_ups, waits;
static int64_t deadlines[8];
static long accept_errors[8]; /* told one by one, then 0: the kernel's own answers */
static unsigned accepts;

static long connect_to(int fd, const struct sockaddr *sa, long len)
{
    switch (ntohs(((const struct sockaddr_in *)(const void *)sa)->sin_port)) {
    case HANGS:
        hanging_fd = fd;
        return -EINPROGRESS;
    case REFUSED_AT_ONCE:
        return -ECONNREFUSED;
    case REFUSED_LATER:
        refused_fd = fd;
        return -EINPROGRESS;
    default:
        return weft__syscall(SYS_connect, fd, (long)sa, len, 0, 0, 0);
    }
}

static long system_call(long n, long a, long b, long c, long d, long e, long f)
{
    if (n == SYS_connect)
        return connect_to((int)a, (const struct sockaddr *)b, c);
    if (n == SYS_getsockopt && c == SO_ERROR && a == refused_fd) {
        *(int *)d = ECONNREFUSED;
        refused_fd = -1; /* the next attempt may get the number */
        return 0;
    }
    if (n == SYS_accept4 && accept_errors[accepts])
        return accept_errors[accepts++];
    return weft__syscall(n, a, b, c, d, e, f);
}

/* A socket that was never connected has one edge for the poller, as a spurious wake-up. */
static int wait_any(const struct weft__fd_wait *w, unsigned n, int64_t deadline_ns, void *caller)
{
    if (waits < 8)
        deadlines[waits] = deadline_ns;
    waits++;
    for (unsigned i = 0; i < n; i++)
        if (w[i].fd == refused_fd)
            return (int)i;
    CHECK(n > 1 || deadline_ns >= 0 || w[0].fd != hanging_fd); /* that would be for ever */
    int rc = weft__fd_wait_any(w, n, deadline_ns, caller);
    time_ups += rc == -ETIME;
    return rc;
}

static int resolve(
    const char *network, const char *address, int passive, struct weft__addrs *ret_addrs)
{
    if (strcmp(address, "several") != 0)
        return weft__resolve(network, address, passive, ret_addrs);
    *ret_addrs = addresses;
    return 0;
}

#define weft__syscall system_call
#define weft__fd_wait_any wait_any
#define weft__resolve resolve
#include "io/socket.c"
#undef weft__syscall
#undef weft__fd_wait_any
#undef weft__resolve

static void add_address(int port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct weft__addr *a = &addresses.addr[addresses.count++];
    memcpy(&a->sa, &sa, sizeof sa);
    a->len = sizeof sa;
}

static void run(int (*app)(void *))
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = 1};
    addresses.type = SOCK_STREAM;
    CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static int listen_here(void)
{
    char at[64];
    int ln = weft_listen("tcp", "127.0.0.1:0");
    CHECK(ln >= 0);
    CHECK(weft_local_addr(ln, at, sizeof at) > 0);
    add_address(atoi(strrchr(at, ':') + 1));
    return ln;
}

/* Only the first attempt is slow: the second starts for want of its answer, each other because its
 * predecessor has failed. */
static int race(void *arg)
{
    (void)arg;
    add_address(HANGS);
    add_address(REFUSED_AT_ONCE);
    add_address(REFUSED_LATER);
    int ln = listen_here();
    int fd = weft_dial("tcp", "several");
    CHECK(fd >= 0);
    CHECK_EQ(time_ups, 1);
    CHECK(waits >= 3);
    CHECK_EQ(deadlines[1], deadlines[0]); /* a spurious wake-up puts nothing off */
    int conn = weft_accept(ln);
    CHECK(conn >= 0);
    weft_close(conn);
    weft_close(fd);
    return weft_close(ln);
}

TEST(a_failure_starts_the_next_attempt_at_once)
{
    run(race);
}

static int all_fail(void *arg)
{
    (void)arg;
    add_address(REFUSED_AT_ONCE);
    add_address(REFUSED_LATER);
    CHECK_EQ(weft_dial("tcp", "several"), -ECONNREFUSED);
    CHECK_EQ(time_ups, 0);
    return 0;
}

TEST(the_last_error_is_told)
{
    run(all_fail);
}

static int dead_ones(void *arg)
{
    static const long dead[] = {-ETIMEDOUT, -EOPNOTSUPP, -ECONNABORTED, -EHOSTUNREACH};
    (void)arg;
    int ln = listen_here();
    int fd = weft_dial("tcp", "several");
    CHECK(fd >= 0);
    memcpy(accept_errors, dead, sizeof dead);
    int conn = weft_accept(ln);
    CHECK_MSG(conn >= 0, "accept: %d", conn);
    CHECK_EQ(accepts, 4);
    weft_close(conn);
    weft_close(fd);
    /* What no next connection would change is told. */
    accept_errors[4] = -EPERM;
    CHECK_EQ(weft_accept(ln), -EPERM);
    int udp = weft_listen("udp", "127.0.0.1:0");
    CHECK(udp >= 0);
    CHECK_EQ(weft_accept(udp), -EOPNOTSUPP);
    weft_close(udp);
    return weft_close(ln);
}

TEST(connections_that_died_in_the_queue_are_skipped)
{
    run(dead_ones);
}
