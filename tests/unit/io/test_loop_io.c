// SPDX-License-Identifier: Apache-2.0
/*
 * test_loop_io.c - readiness by the rules E1 to E6 of weft/loop.h, and sends, on both back ends.
 *
 * The last case plays a random game on many sockets against a model of the rules.
 */
#include "loop_test.h"

struct probe {
    weft_loop_io io;
    int calls;
    unsigned last, all; /* events of the last call, of all calls */
    bool drain;
    size_t bytes;
    bool ended;
};

static void on_probe(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct probe *p = WEFT_LOOP_OWNER(io, struct probe, io);
    char buf[4096];
    ssize_t n;
    p->calls++;
    p->last = events;
    p->all |= events;
    CHECK(weft_loop_self() == loop);
    if (!p->drain || !(events & WEFT_LOOP_READ))
        return;
    while ((n = weft_loop_recv(loop, io, buf, sizeof buf)) > 0)
        p->bytes += (size_t)n;
    p->ended |= n == 0;
}

static void put(int fd, size_t n)
{
    static char zeros[65536];
    CHECK_EQ(send(fd, zeros, n, 0), n);
}

/* ---- E1, E2 ---- */

BOTH(read_that_was_ready_before)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_pair(fd);
    put(fd[1], 10);
    struct probe p = {.drain = true};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
    TURN_UNTIL(loop, p.bytes == 10);
    CHECK_EQ(p.all, WEFT_LOOP_READ);
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

BOTH(read_that_becomes_ready)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_tcp_pair(fd, 0);
    struct probe p = {.drain = true};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
    settle(loop);
    CHECK_EQ(p.calls, 0);
    for (size_t i = 1; i <= 100; i++) {
        put(fd[1], 1);
        TURN_UNTIL(loop, p.bytes == i);
    }
    CHECK(p.calls >= 100);
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

BOTH(unread_data_is_not_reported_twice)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_tcp_pair(fd, 0);
    struct probe p = {.drain = false};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
    put(fd[1], 10);
    TURN_UNTIL(loop, p.calls == 1);
    settle(loop);
    CHECK_EQ(p.calls, 1);
    put(fd[1], 10);
    TURN_UNTIL(loop, p.calls == 2);
    settle(loop);
    CHECK_EQ(p.calls, 2);
    /* Asked for, it is called again, in the next turn and once. */
    weft_loop_io_again(loop, &p.io, WEFT_LOOP_READ);
    weft_loop_io_again(loop, &p.io, WEFT_LOOP_READ);
    CHECK_EQ(weft_loop_step(loop, -1), 0);
    CHECK_EQ(p.calls, 3);
    settle(loop);
    CHECK_EQ(p.calls, 3);
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

BOTH(read_set_anew_reports_what_is_there)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_pair(fd);
    struct probe p = {.drain = false};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
    put(fd[1], 10);
    TURN_UNTIL(loop, p.calls == 1);
    CHECK_EQ(weft_loop_io_set(loop, &p.io, 0), 0);
    put(fd[1], 10);
    settle(loop);
    CHECK_EQ(p.calls, 1);
    p.drain = true;
    CHECK_EQ(weft_loop_io_set(loop, &p.io, WEFT_LOOP_READ), 0);
    TURN_UNTIL(loop, p.bytes == 20);
    put(fd[1], 5);
    TURN_UNTIL(loop, p.bytes == 25);
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

BOTH(read_wanted_after_write_alone)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_tcp_pair(fd, 0);
    put(fd[1], 7);
    struct probe p = {.drain = true};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_WRITE, on_probe), 0);
    TURN_UNTIL(loop, p.calls >= 1);
    settle(loop);
    CHECK_EQ(p.all, WEFT_LOOP_WRITE);
    CHECK_EQ(weft_loop_io_set(loop, &p.io, WEFT_LOOP_READ), 0);
    TURN_UNTIL(loop, p.bytes == 7);
    put(fd[1], 7);
    TURN_UNTIL(loop, p.bytes == 14);
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

/* ---- E3 ---- */

/* The usual course: WRITE is wanted while blocked, and dropped on its event. */
BOTH(write_after_eagain)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_tcp_pair(fd, 16384);
    struct probe p = {.drain = false};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
    settle(loop);
    CHECK_EQ(p.calls, 0);
    for (int round = 0; round < 20; round++) {
        size_t sent = fill(loop, &p.io);
        CHECK_EQ(weft_loop_io_set(loop, &p.io, WEFT_LOOP_READ | WEFT_LOOP_WRITE), 0);
        settle(loop);
        CHECK_EQ(p.calls, round);
        drain_fd(fd[1], sent);
        TURN_UNTIL(loop, p.calls > round);
        CHECK_EQ(p.last, WEFT_LOOP_WRITE);
        CHECK_EQ(weft_loop_io_set(loop, &p.io, WEFT_LOOP_READ), 0);
        settle(loop);
        CHECK_EQ(p.calls, round + 1);
    }
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.sends_blocked, 20);
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

/* WRITE stays wanted: edges, each after an -EAGAIN. */
BOTH(write_stays_wanted)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_tcp_pair(fd, 16384);
    struct probe p = {.drain = false};
    unsigned both = WEFT_LOOP_READ | WEFT_LOOP_WRITE;
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], both, on_probe), 0);
    TURN_UNTIL(loop, p.all & WEFT_LOOP_WRITE);
    settle(loop);
    int calm = p.calls;
    settle(loop);
    CHECK_EQ(p.calls, calm); /* writable all the time, and not reported all the time */
    for (int round = 0; round < 20; round++) {
        size_t sent = fill(loop, &p.io);
        settle(loop);
        int before = p.calls;
        settle(loop);
        CHECK_EQ(p.calls, before);
        drain_fd(fd[1], sent);
        TURN_UNTIL(loop, p.calls > before);
        CHECK(p.last & WEFT_LOOP_WRITE);
    }
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

/* ---- E4 ---- */

BOTH(half_close)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_tcp_pair(fd, 0);
    struct probe p = {.drain = true};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
    put(fd[1], 3);
    CHECK_EQ(shutdown(fd[1], SHUT_WR), 0);
    TURN_UNTIL(loop, p.ended);
    CHECK_EQ(p.bytes, 3);
    TURN_UNTIL(loop, p.all & WEFT_LOOP_RDHUP);
    CHECK(!(p.all & (WEFT_LOOP_HUP | WEFT_LOOP_ERR)));
    /* The other direction still works. */
    CHECK_EQ(weft_loop_send(loop, &p.io, "hello", 5), 5);
    char buf[8];
    drain_fd(fd[1], 4);
    CHECK_EQ(recv(fd[1], buf, sizeof buf, 0), 1);
    CHECK_EQ(shutdown(fd[0], SHUT_WR), 0);
    TURN_UNTIL(loop, p.all & WEFT_LOOP_HUP);
    weft_loop_io_close(loop, &p.io);
    close(fd[1]);
    weft_loop_free(loop);
}

BOTH(reset_is_met_by_reader_and_writer)
{
    for (unsigned want = 1; want <= 3; want++) {
        weft_loop *loop = make_loop(kind);
        int fd[2];
        make_tcp_pair(fd, 16384);
        struct probe p = {.drain = false};
        CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
        fill(loop, &p.io);
        CHECK_EQ(weft_loop_io_set(loop, &p.io, want), 0);
        settle(loop);
        close(fd[1]); /* with unread data: a reset */
        TURN_UNTIL(loop, p.all & WEFT_LOOP_HUP);
        CHECK_EQ(p.all & want, want);
        char c = 0;
        CHECK_EQ(weft_loop_recv(loop, &p.io, &c, 1), -ECONNRESET);
        CHECK_EQ(weft_loop_send(loop, &p.io, &c, 1), -EPIPE);
        weft_loop_io_close(loop, &p.io);
        weft_loop_free(loop);
    }
}

BOTH(hang_up_comes_without_interest)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_pair(fd);
    struct probe p = {.drain = true};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], 0, on_probe), 0);
    put(fd[1], 1);
    settle(loop);
    CHECK_EQ(p.calls, 0);
    close(fd[1]);
    TURN_UNTIL(loop, p.calls > 0);
    CHECK_EQ(p.all, WEFT_LOOP_HUP);
    CHECK_EQ(weft_loop_io_set(loop, &p.io, WEFT_LOOP_READ), 0);
    TURN_UNTIL(loop, p.ended);
    CHECK_EQ(p.bytes, 1);
    weft_loop_io_close(loop, &p.io);
    weft_loop_free(loop);
}

/* ---- E6 ---- */

enum { CROWD = 64 };

struct victim {
    weft_loop_io io;
    int index;
};
static struct victim *crowd[CROWD];
static int calls_of_removed, calls_of_crowd;

/* Whoever comes first removes and frees everybody, itself too. */
static void remove_all(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    calls_of_crowd++;
    for (int i = 0; i < CROWD; i++) {
        if (i % 2)
            weft_loop_io_close(loop, &crowd[i]->io);
        else
            weft_loop_io_remove(loop, &crowd[i]->io);
        free(crowd[i]);
        crowd[i] = NULL;
    }
}

BOTH(records_are_freed_inside_a_batch)
{
    weft_loop *loop = make_loop(kind);
    int fd[CROWD][2];
    for (int i = 0; i < CROWD; i++) {
        make_pair(fd[i]);
        crowd[i] = calloc(1, sizeof *crowd[i]);
        CHECK_EQ(
            weft_loop_io_add(loop, &crowd[i]->io, fd[i][0], i % 3 ? WEFT_LOOP_READ : 3, remove_all),
            0);
        weft_loop_io_again(loop, &crowd[i]->io, i % 4 ? 0 : WEFT_LOOP_READ);
        put(fd[i][1], 1);
    }
    TURN_UNTIL(loop, calls_of_crowd > 0);
    settle(loop);
    CHECK_EQ(calls_of_crowd, 1);
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.io_count, 0);
    weft_loop_free(loop);
}

static void must_not_come(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    calls_of_removed++;
}

static struct probe *reused;
static int quiet_fd;

/* Gives the other record, whose event is in this batch too, another fd at the same address. */
static void reuse_other(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct probe *p = WEFT_LOOP_OWNER(io, struct probe, io);
    if (p->calls++ == 0 && quiet_fd >= 0) {
        weft_loop_io_remove(loop, &reused->io);
        CHECK_EQ(weft_loop_io_add(loop, &reused->io, quiet_fd, WEFT_LOOP_READ, must_not_come), 0);
        quiet_fd = -1;
    }
}

BOTH(memory_is_reused_inside_a_batch)
{
    weft_loop *loop = make_loop(kind);
    int a[2], b[2], quiet[2];
    make_pair(a);
    make_pair(b);
    make_pair(quiet);
    quiet_fd = quiet[0];
    struct probe pa = {.drain = false}, pb = {.drain = false};
    /* Either may come first: the one that does reuses the other. */
    reused = &pb;
    CHECK_EQ(weft_loop_io_add(loop, &pa.io, a[0], WEFT_LOOP_READ, reuse_other), 0);
    CHECK_EQ(weft_loop_io_add(loop, &pb.io, b[0], WEFT_LOOP_READ, on_probe), 0);
    settle(loop);
    put(a[1], 1);
    put(b[1], 1);
    TURN_UNTIL(loop, pa.calls == 1);
    settle(loop);
    CHECK_EQ(calls_of_removed, 0);
    CHECK(pb.calls <= 1);
    weft_loop_free(loop);
}

BOTH(the_peer_hears_of_a_close_by_the_end_of_the_turn)
{
    weft_loop *loop = make_loop(kind);
    for (int i = 0; i < 50; i++) {
        int fd[2];
        char c = 0;
        make_tcp_pair(fd, 0);
        struct probe p = {.drain = false};
        CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], (unsigned)i % 4, on_probe), 0);
        if (i % 3)
            settle(loop);
        weft_loop_io_close(loop, &p.io);
        settle(loop);
        CHECK_EQ(recv(fd[1], &c, 1, 0), 0);
        close(fd[1]);
    }
    weft_loop_free(loop);
}

BOTH(limits_and_misuse)
{
    weft_loop *loop = make_loop_opts(kind, (weft_loop_opts){.max_fds = 2});
    int a[2], b[2];
    make_pair(a);
    make_pair(b);
    struct probe p[3] = {{.drain = false}};
    CHECK_EQ(weft_loop_io_add(loop, &p[0].io, a[0], WEFT_LOOP_READ, on_probe), 0);
    CHECK_EQ(weft_loop_io_add(loop, &p[1].io, a[1], WEFT_LOOP_READ, on_probe), 0);
    CHECK_EQ(weft_loop_io_add(loop, &p[2].io, b[0], WEFT_LOOP_READ, on_probe), -ENOSPC);
    CHECK_EQ(weft_loop_io_set(loop, &p[2].io, WEFT_LOOP_READ), -ENOENT);
    weft_loop_io_remove(loop, &p[2].io);
    weft_loop_io_close(loop, &p[2].io);
    weft_loop_io_again(loop, &p[2].io, WEFT_LOOP_READ);
    weft_loop_io_close(loop, &p[1].io);
    CHECK_EQ(weft_loop_io_add(loop, &p[2].io, b[0], WEFT_LOOP_READ, on_probe), 0);
    CHECK_EQ(weft_loop_io_add(loop, &p[1].io, -1, WEFT_LOOP_READ, on_probe), -EBADF);
    weft_loop_free(loop);
}

/* 5000 records: several chunks of the table, several fills of the ring. */
BOTH(many_records)
{
    enum { N = 5000 };
    weft_loop *loop = make_loop_opts(kind, (weft_loop_opts){.batch = 100});
    struct probe *p = calloc(N, sizeof *p);
    int(*fd)[2] = calloc(N, sizeof *fd);
    for (int i = 0; i < N; i++) {
        make_pair(fd[i]);
        p[i].drain = true;
        CHECK_EQ(weft_loop_io_add(loop, &p[i].io, fd[i][0], WEFT_LOOP_READ, on_probe), 0);
        if (i == N / 2)
            settle(loop); /* half of them were added before the loop first ran */
    }
    for (int i = 0; i < N; i++)
        put(fd[i][1], 2);
    for (int i = 0; i < N; i++)
        TURN_UNTIL(loop, p[i].bytes == 2);
    for (int i = 0; i < N; i += 2)
        weft_loop_io_close(loop, &p[i].io);
    for (int i = 1; i < N; i += 2)
        put(fd[i][1], 1);
    for (int i = 1; i < N; i += 2)
        TURN_UNTIL(loop, p[i].bytes == 3);
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.io_count, N / 2);
    weft_loop_free(loop);
    free(p);
    free(fd);
}

/* ---- sends ---- */

struct pump {
    weft_loop_io in, out;
    size_t sent, got, total;
    bool vectored;
    int blocked;
};

static unsigned char pattern(size_t i)
{
    return (unsigned char)(i * 31 + (i >> 8) * 7 + (i >> 16));
}

static unsigned char source[1 << 20];

static ssize_t pump_some(weft_loop *loop, struct pump *p)
{
    size_t at = p->sent % sizeof source, n = sizeof source - at;
    if (n > p->total - p->sent)
        n = p->total - p->sent;
    if (!p->vectored)
        return weft_loop_send(loop, &p->out, source + at, n);
    struct iovec iov[3] = {{source + at, n / 3}, {source + at + n / 3, n / 3},
        {source + at + n / 3 * 2, n - n / 3 * 2}};
    return weft_loop_sendv(loop, &p->out, iov, 3);
}

static void pump_out(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct pump *p = WEFT_LOOP_OWNER(io, struct pump, out);
    while (p->sent < p->total) {
        ssize_t n = pump_some(loop, p);
        if (n == -EAGAIN) {
            p->blocked++;
            CHECK_EQ(weft_loop_io_set(loop, io, WEFT_LOOP_READ | WEFT_LOOP_WRITE), 0);
            return;
        }
        CHECK(n > 0);
        p->sent += (size_t)n;
    }
    CHECK_EQ(weft_loop_io_set(loop, io, WEFT_LOOP_READ), 0);
}

static void pump_in(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct pump *p = WEFT_LOOP_OWNER(io, struct pump, in);
    static unsigned char buf[32768];
    for (int i = 0; i < 2; i++) {
        ssize_t n = weft_loop_recv(loop, io, buf, sizeof buf);
        if (n == -EAGAIN)
            return;
        CHECK(n > 0);
        for (ssize_t k = 0; k < n; k++, p->got++)
            CHECK_EQ(buf[k], source[p->got % sizeof source]);
    }
    weft_loop_io_again(loop, io, WEFT_LOOP_READ);
}

static void pump_through(enum weft_loop_kind kind, bool vectored)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_tcp_pair(fd, 65536);
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = pattern(i);
    struct pump p = {.total = 20 * sizeof source, .vectored = vectored};
    CHECK_EQ(weft_loop_io_add(loop, &p.out, fd[0], WEFT_LOOP_WRITE, pump_out), 0);
    CHECK_EQ(weft_loop_io_add(loop, &p.in, fd[1], WEFT_LOOP_READ, pump_in), 0);
    TURN_UNTIL(loop, p.got == p.total);
    CHECK_EQ(p.sent, p.total);
    CHECK(p.blocked > 0);
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.bytes_sent, p.total);
    CHECK_EQ(st.sends_blocked, p.blocked);
    weft_loop_io_close(loop, &p.in);
    weft_loop_io_close(loop, &p.out);
    weft_loop_free(loop);
}

BOTH(twenty_megabytes_by_send)
{
    pump_through(kind, false);
}

BOTH(twenty_megabytes_by_sendv)
{
    pump_through(kind, true);
}

BOTH(sendv_limits)
{
    weft_loop *loop = make_loop(kind);
    int fd[2];
    make_pair(fd);
    struct probe p = {.drain = false};
    struct iovec iov = {source, 1};
    CHECK_EQ(weft_loop_io_add(loop, &p.io, fd[0], WEFT_LOOP_READ, on_probe), 0);
    CHECK_EQ(weft_loop_sendv(loop, &p.io, &iov, 0), -EINVAL);
    CHECK_EQ(weft_loop_sendv(loop, &p.io, &iov, 1025), -EINVAL);
    CHECK_EQ(weft_loop_sendv(loop, &p.io, &iov, 1), 1);
    weft_loop_free(loop);
}

BOTH(batch_of_sends)
{
    enum { N = 300, FULL = 7, GONE = 11 };
    weft_loop *loop = make_loop(kind);
    static struct probe p[N];
    static int fd[N][2];
    static weft_loop_send_op ops[N + 1];
    for (int i = 0; i < N; i++) {
        if (i == FULL)
            make_pair(fd[i]); /* stays full: TCP may move what lies in the sender's buffer later */
        else
            make_tcp_pair(fd[i], 16384);
        CHECK_EQ(weft_loop_io_add(loop, &p[i].io, fd[i][0], WEFT_LOOP_READ, on_probe), 0);
        ops[i] = (weft_loop_send_op){
            .io = &p[i].io, .data = source + i, .bytes = 100 + (size_t)i, .result = 77};
    }
    for (size_t i = 0; i < sizeof source; i++)
        source[i] = pattern(i);
    fill(loop, &p[FULL].io);
    put(fd[GONE][0], 1);
    close(fd[GONE][1]); /* unread data: a reset */
    TURN_UNTIL(loop, p[GONE].all & WEFT_LOOP_HUP);
    ops[N] = (weft_loop_send_op){.io = &p[0].io, .data = "end", .bytes = 3};
    CHECK_EQ(weft_loop_send_batch(loop, ops, N + 1), N - 1);
    CHECK_EQ(ops[N].result, 3);
    unsigned char buf[1024];
    for (int i = 0; i < N; i++) {
        if (i == FULL) {
            CHECK_EQ(ops[i].result, -EAGAIN);
        } else if (i == GONE) {
            CHECK(ops[i].result == -EPIPE || ops[i].result == -ECONNRESET);
        } else {
            CHECK_EQ(ops[i].result, 100 + i);
            ssize_t want = 100 + i + (i == 0 ? 3 : 0), got = recv(fd[i][1], buf, sizeof buf, 0);
            CHECK_EQ(got, want);
            CHECK(memcmp(buf, source + i, 100 + (size_t)i) == 0);
        }
    }
    CHECK_EQ(weft_loop_send_batch(loop, ops, 0), 0);
    weft_loop_free(loop);
}

/* ---- a random game against the rules ---- */

enum { PLAYERS = 40, ROUNDS = 4000 };

struct player {
    weft_loop_io *io; /* NULL: not added; memory of its own, so that a late call is seen by ASan */
    int fd, peer;
    unsigned interest;
    size_t put, got; /* bytes written by the peer, read by the player */
    bool peer_closed, ended;
};
static struct player players[PLAYERS];
static uint64_t rnd;

static struct player *player_of(weft_loop_io *io)
{
    for (int i = 0; i < PLAYERS; i++)
        if (players[i].io == io)
            return &players[i];
    test_fail(__FILE__, __LINE__, "a callback for a record that was removed");
}

static void leave(weft_loop *loop, struct player *p)
{
    weft_loop_io_remove(loop, p->io);
    free(p->io);
    p->io = NULL;
}

static void on_player(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct player *p = player_of(io);
    char buf[64];
    CHECK_EQ(events & (WEFT_LOOP_READ | WEFT_LOOP_WRITE) & ~p->interest, 0);
    CHECK_EQ(io->interest, p->interest);
    if (events & WEFT_LOOP_READ) {
        int reads = 1 + (int)(next_random(&rnd) % 4);
        ssize_t n = 1;
        for (; reads > 0 && n > 0; reads--) {
            n = weft_loop_recv(loop, io, buf, sizeof buf);
            p->got += n > 0 ? (size_t)n : 0;
            p->ended |= n == 0;
        }
        if (n > 0)
            weft_loop_io_again(loop, io, WEFT_LOOP_READ);
    }
    switch (next_random(&rnd) % 16) {
    case 0:
        leave(loop, p);
        break;
    case 1: {
        struct player *other = &players[next_random(&rnd) % PLAYERS];
        if (other->io)
            leave(loop, other);
        break;
    }
    case 2:
        p->interest = (unsigned)(next_random(&rnd) % 4);
        CHECK_EQ(weft_loop_io_set(loop, io, p->interest), 0);
        break;
    default:
        break;
    }
}

static void join(weft_loop *loop, struct player *p)
{
    p->io = calloc(1, sizeof *p->io);
    p->interest = (unsigned)(next_random(&rnd) % 4);
    CHECK_EQ(weft_loop_io_add(loop, p->io, p->fd, p->interest, on_player), 0);
}

static void renew(weft_loop *loop, struct player *p)
{
    int fd[2];
    if (p->io)
        leave(loop, p);
    if (p->fd)
        close(p->fd);
    if (p->peer && !p->peer_closed)
        close(p->peer);
    make_pair(fd);
    *p = (struct player){.fd = fd[0], .peer = fd[1]};
}

static void play(weft_loop *loop, struct player *p)
{
    switch (next_random(&rnd) % 8) {
    case 0:
        if (next_random(&rnd) % 4 == 0)
            renew(loop, p);
        break;
    case 1:
        if (!p->peer_closed && next_random(&rnd) % 4 == 0) {
            close(p->peer);
            p->peer_closed = true;
        }
        break;
    case 2:
        if (p->io && next_random(&rnd) % 2)
            leave(loop, p);
        break;
    case 3:
        if (p->io) {
            p->interest = (unsigned)(next_random(&rnd) % 4);
            CHECK_EQ(weft_loop_io_set(loop, p->io, p->interest), 0);
        }
        break;
    case 4:
        if (!p->io)
            join(loop, p);
        break;
    default:
        if (!p->peer_closed && p->put - p->got < 4096) {
            size_t n = 1 + next_random(&rnd) % 200;
            put(p->peer, n);
            p->put += n;
        }
        break;
    }
}

/* Everybody wants to read: all data, and all ends, must come. */
static void finish(weft_loop *loop)
{
    for (int i = 0; i < PLAYERS; i++) {
        struct player *p = &players[i];
        while (p->got < p->put || p->ended != p->peer_closed) {
            if (!p->io)
                join(loop, p);
            p->interest |= WEFT_LOOP_READ;
            CHECK_EQ(weft_loop_io_set(loop, p->io, p->interest), 0);
            CHECK_EQ(weft_loop_step(loop, -1), 0);
        }
        CHECK_EQ(p->got, p->put);
    }
}

BOTH(random_game)
{
    weft_loop *loop = make_loop_opts(kind, (weft_loop_opts){.batch = 16});
    rnd = test_seed();
    for (int i = 0; i < PLAYERS; i++)
        renew(loop, &players[i]);
    for (int round = 0; round < ROUNDS; round++) {
        for (int k = 0; k < 10; k++)
            play(loop, &players[next_random(&rnd) % PLAYERS]);
        CHECK_EQ(weft_loop_step(loop, 0), 0);
        if (round % 200 == 199)
            finish(loop);
    }
    finish(loop);
    for (int i = 0; i < PLAYERS; i++)
        if (players[i].io)
            leave(loop, &players[i]);
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.io_count, 0);
    weft_loop_free(loop);
}
