// SPDX-License-Identifier: Apache-2.0
/*
 * test_loop_listen.c - addresses, listeners, pauses for want of file descriptors, dialling.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include "io/loop_impl.h"
#include "loop_test.h"

/* ---- addresses ---- */

static void expect_address(const char *text, const char *back)
{
    struct loop_addr a;
    char buf[128];
    CHECK_MSG(weft__loop_addr_parse(&a, text, false) == 0, "%s is refused", text);
    CHECK(weft__loop_addr_format(&a, buf, sizeof buf) >= 0);
    CHECK_STR(buf, back);
}

TEST(addresses_are_read)
{
    expect_address("127.0.0.1:7000", "127.0.0.1:7000");
    expect_address("127.3.2.1:0", "127.3.2.1:0");
    expect_address("localhost:65535", "127.0.0.1:65535");
    expect_address(":80", "[::]:80");
    expect_address("[::1]:80", "[::1]:80");
    expect_address("/run/x.sock", "unix:/run/x.sock");
    expect_address("unix:x.sock", "unix:x.sock");
    expect_address("@name", "@name");
}

TEST(bad_addresses_are_refused)
{
    const char *bad[] = {"", ":", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:80 ", "1.2.3.4.5:80", "::1:80", "[::1:80", "[]:80", "host name:80",
        "unix:", "127.0.0.1:999999999999"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct loop_addr a;
        CHECK_MSG(weft__loop_addr_parse(&a, bad[i], false) == -EINVAL, "\"%s\" passes", bad[i]);
    }
    char longest[400];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "unix:", 5);
    longest[399] = '\0';
    struct loop_addr a;
    CHECK_EQ(weft__loop_addr_parse(&a, longest, false), -EINVAL);
    longest[0] = 'a';
    memcpy(longest + 396, ":80", 4);
    CHECK_EQ(weft__loop_addr_parse(&a, longest + 4, false), -EINVAL);
}

/* ---- accepting ---- */

struct server {
    int accepted, errors, last_error;
    int fds[4096];
    bool close_listener, pause_listener;
};

static void on_accept(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg)
{
    struct server *s = arg;
    if (fd < 0) {
        s->errors++;
        s->last_error = fd;
        return;
    }
    CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
    CHECK(fcntl(fd, F_GETFD) & FD_CLOEXEC);
    s->fds[s->accepted++] = fd;
    if (s->close_listener)
        weft_loop_listener_close(loop, listener);
    if (s->pause_listener)
        weft_loop_listener_pause(loop, listener);
}

static weft_loop_listener *listen_at(
    weft_loop *loop, const char *where, struct server *s, char *buf)
{
    weft_loop_listener *l;
    CHECK_EQ(weft_loop_listen(loop, where, NULL, on_accept, s, &l), 0);
    CHECK(weft_loop_listener_address(l, buf, 128) >= 0);
    return l;
}

static void expect_connected(weft_loop *loop, int fd)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    CHECK(fd >= 0);
    while (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
        CHECK_EQ(weft_loop_step(loop, WEFT_MS), 0);
}

static void accept_some(enum weft_loop_kind kind, const char *where)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char at[128];
    listen_at(loop, where, &s, at);
    int fds[300];
    for (int i = 0; i < 300; i++) {
        fds[i] = weft_loop_dial(at, NULL);
        CHECK_MSG(fds[i] >= 0, "dial %s: %s", at, strerror(-fds[i]));
    }
    TURN_UNTIL(loop, s.accepted == 300);
    for (int i = 0; i < 300; i++) {
        expect_connected(loop, fds[i]);
        CHECK_EQ(weft_loop_dial_result(fds[i]), 0);
        close(fds[i]);
        close(s.fds[i]);
    }
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.accepted, 300);
    CHECK_EQ(st.accept_pauses, 0);
    weft_loop_free(loop);
}

BOTH(accept_tcp4)
{
    accept_some(kind, "127.0.0.1:0");
}

BOTH(accept_tcp6)
{
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 sa = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    if (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0)
        test_skip("this machine has no IPv6 loopback");
    close(fd);
    accept_some(kind, "[::1]:0");
}

BOTH(accept_abstract)
{
    char name[64];
    snprintf(name, sizeof name, "@weft-test-%d-%d", getpid(), kind);
    accept_some(kind, name);
}

BOTH(one_listener_for_both_families)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char at[128], v4[64];
    weft_loop_listener *l = listen_at(loop, ":0", &s, at);
    snprintf(v4, sizeof v4, "127.0.0.1:%d", weft_loop_listener_address(l, at, sizeof at));
    int fd = weft_loop_dial(
        v4, &(weft_loop_dial_opts){
                .size = sizeof(weft_loop_dial_opts), .source = "127.9.8.7", .nodelay = true});
    CHECK(fd >= 0);
    TURN_UNTIL(loop, s.accepted == 1);
    struct sockaddr_in6 peer;
    socklen_t len = sizeof peer;
    CHECK_EQ(getpeername(s.fds[0], (struct sockaddr *)&peer, &len), 0);
    const uint8_t *last4 = peer.sin6_family == AF_INET6
                               ? &peer.sin6_addr.s6_addr[12]
                               : (const uint8_t *)&((struct sockaddr_in *)&peer)->sin_addr;
    CHECK(memcmp(last4, (uint8_t[]){127, 9, 8, 7}, 4) == 0);
    close(fd);
    close(s.fds[0]);
    weft_loop_free(loop);
}

BOTH(socket_file_comes_and_goes)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char dir[] = "/tmp/weft-loop-XXXXXX", path[64], at[128];
    CHECK(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/sock", dir);
    /* A file that a dead process left. */
    int old = socket(AF_UNIX, SOCK_STREAM, 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    strcpy(un.sun_path, path);
    CHECK_EQ(bind(old, (struct sockaddr *)&un, sizeof un), 0);
    close(old);
    weft_loop_listener *l, *second;
    weft_loop_listen_opts o = {.size = sizeof o, .unix_mode = 0600};
    CHECK_EQ(weft_loop_listen(loop, path, &o, on_accept, &s, &l), 0);
    struct stat st;
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    CHECK_EQ(weft_loop_listener_address(l, at, sizeof at), 0);
    CHECK_EQ(weft_loop_listen(loop, path, NULL, on_accept, &s, &second), -EADDRINUSE);
    int fd = weft_loop_dial(at, NULL);
    CHECK(fd >= 0);
    TURN_UNTIL(loop, s.accepted == 2); /* the refused listener looked whether somebody listens */
    weft_loop_listener_close(loop, l);
    CHECK_EQ(stat(path, &st), -1);
    CHECK_EQ(rmdir(dir), 0);
    close(fd);
    close(s.fds[0]);
    weft_loop_free(loop);
}

BOTH(address_in_use)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char at[128];
    listen_at(loop, "127.0.0.1:0", &s, at);
    weft_loop_listener *l = (weft_loop_listener *)1;
    CHECK_EQ(weft_loop_listen(loop, at, NULL, on_accept, &s, &l), -EADDRINUSE);
    CHECK(l == (weft_loop_listener *)1);
    CHECK_EQ(weft_loop_listen(loop, "127.0.0.1:bad", NULL, on_accept, &s, &l), -EINVAL);
    CHECK_EQ(
        weft_loop_listen(loop, "no-such-host.invalid:1", NULL, on_accept, &s, &l), -EADDRNOTAVAIL);
    weft_loop_free(loop);
    /* A freed loop leaves its address free. */
    loop = make_loop(kind);
    CHECK_EQ(weft_loop_listen(loop, at, NULL, on_accept, &s, &l), 0);
    weft_loop_free(loop);
}

BOTH(address_is_free_after_the_turn_that_closes)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char at[128];
    weft_loop_listener *l = listen_at(loop, "127.0.0.1:0", &s, at);
    settle(loop);
    weft_loop_listener_close(loop, l);
    settle(loop);
    CHECK_EQ(weft_loop_listen(loop, at, NULL, on_accept, &s, &l), 0);
    weft_loop_listener_close(loop, l);
    weft_loop_listener_close(loop, NULL);
    weft_loop_free(loop);
}

BOTH(two_loops_share_an_address)
{
    weft_loop *a = make_loop(kind), *b = make_loop(kind);
    struct server sa = {0}, sb = {0};
    char at[128];
    weft_loop_listener *l;
    weft_loop_listen_opts o = {
        .size = sizeof o, .reuseport = true, .backlog = 64, .nodelay = true, .sndbuf_bytes = 65536};
    CHECK_EQ(weft_loop_listen(a, "127.0.0.1:0", &o, on_accept, &sa, &l), 0);
    CHECK(weft_loop_listener_address(l, at, sizeof at) > 0);
    CHECK_EQ(weft_loop_listen(b, at, &o, on_accept, &sb, &l), 0);
    int fds[40];
    for (int i = 0; i < 40; i++)
        CHECK((fds[i] = weft_loop_dial(at, NULL)) >= 0);
    while (sa.accepted + sb.accepted < 40) {
        CHECK_EQ(weft_loop_step(a, WEFT_MS), 0);
        CHECK_EQ(weft_loop_step(b, WEFT_MS), 0);
    }
    int on = 0;
    socklen_t len = sizeof on;
    int any = sa.accepted ? sa.fds[0] : sb.fds[0];
    CHECK_EQ(getsockopt(any, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    CHECK(on);
    weft_loop_free(a);
    weft_loop_free(b);
}

BOTH(a_listener_closes_itself_in_its_callback)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {.close_listener = true};
    char at[128];
    int fds[20], refused = 0;
    listen_at(loop, "127.0.0.1:0", &s, at);
    for (int i = 0; i < 20; i++)
        CHECK((fds[i] = weft_loop_dial(at, NULL)) >= 0);
    TURN_UNTIL(loop, s.accepted >= 1);
    settle(loop);
    CHECK_EQ(s.accepted, 1);
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.io_count, 0);
    for (int i = 0; i < 20; i++) {
        int fd = weft_loop_dial(at, NULL);
        refused += fd < 0 || weft_loop_dial_result(fd) < 0;
        if (fd >= 0)
            close(fd);
    }
    CHECK_EQ(refused, 20);
    weft_loop_free(loop);
}

BOTH(pause_and_resume)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {.pause_listener = true};
    char at[128];
    weft_loop_listener *l = listen_at(loop, "127.0.0.1:0", &s, at);
    int first = weft_loop_dial(at, NULL);
    CHECK(first >= 0);
    TURN_UNTIL(loop, s.accepted == 1);
    settle(loop);
    int fds[10];
    for (int i = 0; i < 10; i++)
        CHECK((fds[i] = weft_loop_dial(at, NULL)) >= 0);
    settle(loop);
    CHECK_EQ(s.accepted, 1);
    s.pause_listener = false;
    weft_loop_listener_resume(loop, l);
    TURN_UNTIL(loop, s.accepted == 11);
    weft_loop_listener_pause(loop, l);
    weft_loop_listener_pause(loop, l);
    weft_loop_listener_resume(loop, l);
    weft_loop_listener_resume(loop, l);
    CHECK((first = weft_loop_dial(at, NULL)) >= 0);
    TURN_UNTIL(loop, s.accepted == 12);
    weft_loop_free(loop);
}

/* The descriptor that listens there. */
static int number_of(const char *at)
{
    struct sockaddr_in sa;
    int port = atoi(strrchr(at, ':') + 1), listening = 0;
    for (int fd = 0; fd < 1024; fd++) {
        socklen_t len = sizeof sa, int_len = sizeof listening;
        if (getsockname(fd, (struct sockaddr *)&sa, &len) == 0 && ntohs(sa.sin_port) == port &&
            getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &int_len) == 0 && listening)
            return fd;
    }
    return -1;
}

/* A listener that was paused and resumed is closed, and its number is another's: which is not the
 * loop's, and keeps its connections. */
BOTH(a_number_used_again_after_a_resume)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    char at[128];
    weft_loop_listener *l = listen_at(loop, "127.0.0.1:0", &s, at);
    settle(loop);
    int number = number_of(at);
    weft_loop_listener_pause(loop, l);
    weft_loop_listener_resume(loop, l);
    CHECK_EQ(weft_loop_step(loop, 0), 0);
    weft_loop_listener_close(loop, l);
    int other = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    CHECK_EQ(other, number);
    CHECK_EQ(listen(other, 10), 0);
    CHECK_EQ(getsockname(other, (struct sockaddr *)&sa, &len), 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(client, (struct sockaddr *)&sa, len), 0);
    settle(loop);
    int conn = accept4(other, NULL, NULL, SOCK_CLOEXEC);
    CHECK(conn >= 0);
    close(conn);
    close(client);
    close(other);
    weft_loop_free(loop);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void stops_at_the_first(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg)
{
    (void)listener;
    CHECK(fd >= 0);
    close(fd);
    *(int *)arg += 1;
    weft_loop_stop(loop);
}

/* The loop's thread ends when the kernel has accepted more than it was told of: they are closed
 * with the loop, by whichever thread. */
BOTH(accepted_and_never_delivered)
{
    enum { DIALS = 20 };
    int fds[DIALS], before = open_descriptors(), told = 0;
    weft_loop *loop = make_loop_opts(kind, (weft_loop_opts){.batch = 1});
    weft_loop_listener *l;
    char at[128];
    CHECK_EQ(weft_loop_listen(loop, "127.0.0.1:0", NULL, stops_at_the_first, &told, &l), 0);
    CHECK(weft_loop_listener_address(l, at, sizeof at) >= 0);
    for (int i = 0; i < DIALS; i++)
        CHECK((fds[i] = weft_loop_dial(at, NULL)) >= 0);
    CHECK_EQ(weft_loop_start(loop), 0);
    CHECK_EQ(weft_loop_join(loop), 0);
    CHECK(told >= 1);
    weft_loop_free(loop);
    for (int i = 0; i < DIALS; i++)
        close(fds[i]);
    CHECK_EQ(open_descriptors(), before);
}

BOTH(a_socket_that_listens_already)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char at[128];
    weft_loop_listener *l;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(weft_loop_listen_fd(loop, fd, on_accept, &s, &l), -EINVAL);
    CHECK_EQ(weft_loop_listen_fd(loop, -1, on_accept, &s, &l), -EBADF);
    CHECK_EQ(listen(fd, 10), 0);
    CHECK_EQ(weft_loop_listen_fd(loop, fd, on_accept, &s, &l), 0);
    CHECK(weft_loop_listener_address(l, at, sizeof at) > 0);
    char to[64];
    snprintf(to, sizeof to, "127.0.0.1:%s", strrchr(at, ':') + 1);
    CHECK(weft_loop_dial(to, NULL) >= 0);
    TURN_UNTIL(loop, s.accepted == 1);
    CHECK_EQ(weft_loop_listener_address(l, at, 5), -ENOSPC);
    weft_loop_free(loop);
}

/* ---- no file descriptors left ---- */

enum { CLIENTS = 40, ROOM = 12 };

struct crowd {
    weft_loop_io io[CLIENTS];
    int open, served, told, last_error;
};

static void echo(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    char buf[64];
    ssize_t n;
    while ((n = weft_loop_recv(loop, io, buf, sizeof buf)) > 0)
        CHECK_EQ(weft_loop_send(loop, io, buf, (size_t)n), n);
    CHECK(n == -EAGAIN || n == 0);
}

static void crowd_accept(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg)
{
    struct crowd *c = arg;
    if (fd < 0) {
        c->told++;
        c->last_error = fd;
        return;
    }
    CHECK_EQ(weft_loop_io_add(loop, &c->io[c->served++], fd, WEFT_LOOP_READ, echo), 0);
    c->open++;
}

/* Another process: opens CLIENTS connections at once and waits for an echo on each, in order. */
static void run_clients(const char *at)
{
    int fds[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = weft_loop_dial(at, NULL);
        if (fds[i] < 0)
            _exit(1);
        fcntl(fds[i], F_SETFL, 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        char c = (char)i, d;
        if (write(fds[i], &c, 1) != 1 || read(fds[i], &d, 1) != 1 || c != d)
            _exit(2);
    }
    _exit(0);
}

static void limit_fds(int room)
{
    int limit = 0;
    for (int free_numbers = 0; free_numbers < room; limit++)
        free_numbers += fcntl(limit, F_GETFD) < 0;
    struct rlimit r;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &r), 0);
    r.rlim_cur = (rlim_t)limit;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &r), 0);
}

BOTH(accept_pauses_without_fds_and_resumes)
{
    weft_loop *loop = make_loop(kind);
    static struct crowd c;
    char at[128];
    weft_loop_listener *l;
    CHECK_EQ(weft_loop_listen(loop, "127.0.0.1:0", NULL, crowd_accept, &c, &l), 0);
    CHECK(weft_loop_listener_address(l, at, sizeof at) > 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        run_clients(at);
    limit_fds(ROOM);
    TURN_UNTIL(loop, c.told == 1);
    CHECK_EQ(c.last_error, -EMFILE);
    CHECK_EQ(c.open, ROOM);
    /* Those that are in are served meanwhile; the child gets stuck at the first that is not. */
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_loop_step(loop, 10 * WEFT_MS), 0);
    CHECK_EQ(c.open, ROOM);
    CHECK_EQ(c.told, 1);
    /* Room for one more each time one goes; the last ones get in by the timer alone. */
    for (int closed = 0; c.served < CLIENTS; closed++) {
        int before = c.served;
        if (c.served < CLIENTS - 3) {
            weft_loop_io_close(loop, &c.io[closed]);
        } else {
            int fd = c.io[closed].fd;
            weft_loop_io_remove(loop, &c.io[closed]);
            close(fd);
        }
        TURN_UNTIL(loop, c.served > before);
    }
    int status = -1;
    for (;;) {
        CHECK_EQ(weft_loop_step(loop, WEFT_MS), 0);
        if (waitpid(pid, &status, WNOHANG) == pid)
            break;
    }
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.accepted, CLIENTS);
    CHECK(st.accept_pauses >= 1);
    weft_loop_free(loop);
}

/* ---- dialling ---- */

struct dialer {
    weft_loop_io io;
    int result;
    unsigned events;
};

static void dialled(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct dialer *d = WEFT_LOOP_OWNER(io, struct dialer, io);
    d->events = events;
    d->result = weft_loop_dial_result(io->fd);
    weft_loop_io_close(loop, io);
}

BOTH(dial_and_be_refused)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char at[128];
    weft_loop_listener *l = listen_at(loop, "127.0.0.1:0", &s, at);
    settle(loop);
    weft_loop_listener_close(loop, l);
    settle(loop);
    struct dialer d = {.result = 1};
    int fd = weft_loop_dial(at, NULL);
    if (fd >= 0) {
        CHECK_EQ(weft_loop_io_add(loop, &d.io, fd, WEFT_LOOP_WRITE, dialled), 0);
        TURN_UNTIL(loop, d.result != 1);
        CHECK(d.events & WEFT_LOOP_WRITE);
        CHECK(d.events & WEFT_LOOP_ERR);
    } else {
        d.result = fd;
    }
    CHECK_EQ(d.result, -ECONNREFUSED);
    weft_loop_free(loop);
}

BOTH(dial_and_be_connected)
{
    weft_loop *loop = make_loop(kind);
    struct server s = {0};
    char at[128];
    listen_at(loop, "127.0.0.1:0", &s, at);
    struct dialer d = {.result = 1};
    weft_loop_dial_opts o = {
        .size = sizeof o, .source = "127.1.1.1", .sndbuf_bytes = 8192, .rcvbuf_bytes = 8192};
    int fd = weft_loop_dial(at, &o);
    CHECK(fd >= 0);
    CHECK_EQ(weft_loop_io_add(loop, &d.io, fd, WEFT_LOOP_WRITE, dialled), 0);
    TURN_UNTIL(loop, d.result != 1 && s.accepted);
    CHECK_EQ(d.result, 0);
    CHECK_EQ(d.events, WEFT_LOOP_WRITE);
    weft_loop_free(loop);
}

TEST(bad_dials)
{
    CHECK_EQ(weft_loop_dial(":80", NULL), -EINVAL);
    CHECK_EQ(weft_loop_dial("example.org:80", NULL), -EINVAL);
    CHECK_EQ(weft_loop_dial("/no/such/socket", NULL), -ENOENT);
    weft_loop_dial_opts o = {.size = sizeof o, .source = "not an address"};
    CHECK_EQ(weft_loop_dial("127.0.0.1:9", &o), -EINVAL);
    o.source = "192.0.2.1";
    CHECK_EQ(weft_loop_dial("127.0.0.1:9", &o), -EADDRNOTAVAIL);
}
