// SPDX-License-Identifier: Apache-2.0
/*
 * bench_loop.c - what a pinned loop costs on both back ends: messages, timers, sends of a
 * broadcast's pass.
 *
 *     bench_loop [--subs 1000] [--bytes 2112] [--rounds 7]
 *
 * The pass sends `bytes` (16 messages of 132) to each of `subs` sockets by weft_loop_send_batch;
 * another process throws away what arrives. Its figure stands beside floor_broadcast's send_cost at
 * as many messages a send. All in processor time of the loop's thread, rounds of the rows taking
 * turns, medians:
 *
 *     name value unit    # min max
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <weft/loop.h>

enum { MAX_ROUNDS = 64, MESSAGES = 100000, TIMERS = 1000000, PASSES = 200 };

static struct {
    int subs, rounds;
    size_t bytes;
} o = {.subs = 1000, .rounds = 7, .bytes = 2112};

struct row {
    char name[48];
    double value[MAX_ROUNDS];
    int n;
};

static int64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * WEFT_SEC + ts.tv_nsec;
}

static int must(int rc, const char *what)
{
    if (rc >= 0)
        return rc;
    fprintf(stderr, "%s: %s\n", what, strerror(rc == -1 ? errno : -rc));
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print_row(struct row *r)
{
    qsort(r->value, (size_t)r->n, sizeof r->value[0], by_value);
    printf("%s %.1f ns    # %.1f %.1f\n", r->name, r->value[r->n / 2], r->value[0],
        r->value[r->n - 1]);
}

/* ---- messages: posted by the loop's own thread, so that the queue alone is measured ---- */

static int arrived;

static void count_message(weft_loop *loop, weft_loop_msg *msg)
{
    arrived++;
}

static double post_and_deliver(weft_loop *loop)
{
    static weft_loop_msg msg[MESSAGES];
    int64_t t = cpu_ns();
    arrived = 0;
    for (int i = 0; i < MESSAGES; i++) {
        msg[i].fn = count_message;
        weft_loop_post(loop, &msg[i]);
    }
    while (arrived < MESSAGES)
        must(weft_loop_step(loop, 0), "weft_loop_step");
    return (double)(cpu_ns() - t) / MESSAGES;
}

/* ---- timers: a million running, each started anew and stopped ---- */

static void never(weft_loop *loop, weft_loop_timer *timer) {}

static double restart_timers(weft_loop *loop, weft_loop_timer *timers)
{
    int64_t t = cpu_ns();
    for (int i = 0; i < TIMERS; i++) {
        timers[i].fn = never;
        weft_loop_timer_start(loop, &timers[i], 25 * WEFT_SEC + i * WEFT_US, WEFT_SEC);
    }
    for (int i = 0; i < TIMERS; i++)
        weft_loop_timer_stop(loop, &timers[i]);
    return (double)(cpu_ns() - t) / TIMERS;
}

/* ---- the pass ---- */

static void throw_away(const struct sockaddr_in *to)
{
    static char buf[1 << 18];
    struct epoll_event got[256];
    int ep = must(epoll_create1(0), "epoll_create1");
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (int i = 0; i < o.subs; i++) {
        struct epoll_event ev = {.events = EPOLLIN};
        ev.data.fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
        must(connect(ev.data.fd, (const struct sockaddr *)to, sizeof *to), "connect");
        must(epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev), "epoll_ctl");
    }
    for (;;) {
        int n = epoll_wait(ep, got, 256, -1);
        for (int i = 0; i < n; i++)
            if (recv(got[i].data.fd, buf, sizeof buf, MSG_DONTWAIT) == 0)
                exit(0);
    }
}

static pid_t start_readers(int *fds)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, ln = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(setsockopt(ln, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
    setsockopt(ln, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    must(bind(ln, (struct sockaddr *)&a, len), "bind");
    must(listen(ln, 4096), "listen");
    must(getsockname(ln, (struct sockaddr *)&a, &len), "getsockname");
    pid_t pid = must(fork(), "fork");
    if (pid == 0)
        throw_away(&a);
    for (int i = 0; i < o.subs; i++)
        fds[i] = must(accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4");
    close(ln);
    return pid;
}

static void ignore(weft_loop *loop, weft_loop_io *io, unsigned events) {}

/* Processor time a send that took its bytes. A socket that pushes back waits for the next pass. */
static double pass(weft_loop *loop, weft_loop_io *io)
{
    static char range[1 << 16];
    weft_loop_send_op *ops = calloc((size_t)o.subs, sizeof *ops);
    size_t whole = 0;
    int64_t t = 0;
    for (int k = 0; k < PASSES; k++) {
        for (int i = 0; i < o.subs; i++)
            ops[i] = (weft_loop_send_op){.io = &io[i], .data = range, .bytes = o.bytes};
        int64_t begin = cpu_ns();
        whole += weft_loop_send_batch(loop, ops, (size_t)o.subs);
        t += cpu_ns() - begin;
        struct timespec pause = {.tv_nsec = 2000000}; /* the readers' turn */
        nanosleep(&pause, NULL);
    }
    free(ops);
    return (double)t / (double)whole;
}

static void measure(enum weft_loop_kind kind, struct row rows[3], weft_loop_timer *timers)
{
    int *fds = calloc((size_t)o.subs, sizeof *fds);
    weft_loop_io *io = calloc((size_t)o.subs, sizeof *io);
    weft_loop *loop;
    weft_loop_opts opts = {.size = sizeof opts, .kind = kind};
    must(weft_loop_new(&opts, &loop), "weft_loop_new");
    must(weft_loop_step(loop, 0), "weft_loop_step");
    const char *backend = weft_loop_backend(loop);
    pid_t pid = start_readers(fds);
    for (int i = 0; i < o.subs; i++)
        must(weft_loop_io_add(loop, &io[i], fds[i], WEFT_LOOP_READ, ignore), "weft_loop_io_add");
    must(weft_loop_step(loop, 0), "weft_loop_step");
    snprintf(rows[0].name, sizeof rows[0].name, "loop_message_%s", backend);
    snprintf(rows[1].name, sizeof rows[1].name, "loop_timer_start_stop_%s", backend);
    snprintf(rows[2].name, sizeof rows[2].name, "loop_broadcast_send_%s", backend);
    rows[0].value[rows[0].n++] = post_and_deliver(loop);
    rows[1].value[rows[1].n++] = restart_timers(loop, timers);
    rows[2].value[rows[2].n++] = pass(loop, io);
    for (int i = 0; i < o.subs; i++)
        weft_loop_io_close(loop, &io[i]);
    must(weft_loop_step(loop, 0), "weft_loop_step");
    weft_loop_free(loop);
    waitpid(pid, NULL, 0);
    free(io);
    free(fds);
}

int main(int argc, char **argv)
{
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--subs") == 0)
            o.subs = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--bytes") == 0)
            o.bytes = (size_t)atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--rounds") == 0)
            o.rounds = atoi(argv[i + 1]);
    }
    if (o.subs < 1 || o.rounds < 1 || o.rounds > MAX_ROUNDS || o.bytes < 1 || o.bytes > 65536) {
        fprintf(stderr, "usage: %s [--subs N] [--bytes 1..65536] [--rounds 1..64]\n", argv[0]);
        return 1;
    }
    struct rlimit r;
    must(getrlimit(RLIMIT_NOFILE, &r), "getrlimit");
    r.rlim_cur = r.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &r), "setrlimit");
    static struct row rows[2][3];
    weft_loop_timer *timers = calloc(TIMERS, sizeof *timers);
    weft_loop *probe;
    weft_loop_opts uring = {.size = sizeof uring, .kind = WEFT_LOOP_URING};
    bool has_uring = weft_loop_new(&uring, &probe) == 0;
    if (has_uring)
        weft_loop_free(probe);
    for (int k = 0; k < o.rounds; k++) {
        measure(WEFT_LOOP_EPOLL, rows[0], timers);
        if (has_uring)
            measure(WEFT_LOOP_URING, rows[1], timers);
    }
    for (int b = 0; b <= has_uring; b++)
        for (int i = 0; i < 3; i++)
            print_row(&rows[b][i]);
    free(timers);
    return 0;
}
