// SPDX-License-Identifier: Apache-2.0
/*
 * benchmain.c - `weftcast bench`: the run from its beginning to its report.
 *
 *     open      receivers open all clients (fan-out, idle: as fast as the window allows;
 *               connect: at the rate)
 *     fan-out   publish at the rate for warm-up and measured time; then wait for what is under way
 *     idle      hold
 *     report
 *
 * The main thread only looks on: it reads the receivers' tallies ten times a second, prints a line
 * a second, and moves the run to its next phase. It waits by sleeping, as it measures nothing
 * itself.
 *
 * What counts is decided by a message's intended time: those in [measure_from, measure_to). So
 * warm-up, and what is still under way at the end, cannot blur the figures.
 */
#include "bench/bench.h"
#include "bench/publisher.h"
#include "bench/benchreport.h"
#include "bench/serverstat.h"
#include "bench/receiver.h"
#include "bench/wsclient.h"
#include <weft/debug.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define LOOK_NS (SECOND / 10)
#define DRAIN_LIMIT_NS (5 * SECOND) // without any delivery, after the last message
#define OPEN_LIMIT_NS (30 * SECOND) // without any client moving

struct bench {
    struct bench_opts opts;
    struct receiver *receivers;
    unsigned started;
    struct publisher publisher;
    struct latency latency;
    struct serverstat server_before, server_open, server_from, server_to;
    bool has_server;
    int64_t opened_ns, from_ns;
    int64_t printed_ns; // when the last progress line was printed
    uint64_t printed_deliveries;
    char problem[200];
};

static volatile sig_atomic_t interrupted;
static void on_interrupt(int sig)
{
    interrupted = 1;
}

static void look_away(int64_t ns)
{
    struct timespec t = {ns / SECOND, ns % SECOND};
    nanosleep(&t, NULL);
}

struct sums {
    uint64_t ready, failed, gone, deliveries, bytes;
};

static struct sums look(const struct bench *b)
{
    struct sums s = {0};
    for (unsigned i = 0; i < b->started; i++) {
        struct tally *t = &b->receivers[i].tally;
        s.ready += atomic_load(&t->ready);
        s.failed += atomic_load(&t->failed);
        s.gone += atomic_load(&t->gone);
        s.deliveries += atomic_load(&t->deliveries);
        s.bytes += atomic_load(&t->bytes);
    }
    return s;
}

static void progress(struct bench *b, const char *phase)
{
    int64_t now = wsclient_now_ns(), since = now - b->printed_ns;
    if (b->opts.quiet || since < SECOND)
        return;
    struct sums s = look(b);
    double rate = (double)(s.deliveries - b->printed_deliveries) / ((double)since / 1e9);
    fprintf(stderr, "%s%-8s %8llu clients, %llu failed", isatty(2) ? "\r\033[K" : "", phase,
        (unsigned long long)(s.ready - s.gone), (unsigned long long)(s.failed + s.gone));
    if (b->opts.mode == BENCH_FANOUT)
        fprintf(stderr, ", %llu published, %.0f deliveries/s",
            (unsigned long long)atomic_load(&b->publisher.sent), rate);
    fputs(isatty(2) ? "" : "\n", stderr);
    b->printed_ns = now;
    b->printed_deliveries = s.deliveries;
}

static int fail(struct bench *b, int err, const char *what)
{
    if (!b->problem[0])
        snprintf(b->problem, sizeof(b->problem), "%s: %s", what, strerrordesc_np(-err));
    return err;
}

/* The soft limit up to the hard one; a sentence where that is too little. */
static int raise_fd_limit(struct bench *b)
{
    struct rlimit lim;
    rlim_t need = b->opts.clients + 64;
    getrlimit(RLIMIT_NOFILE, &lim);
    if (lim.rlim_cur < need) {
        lim.rlim_cur = lim.rlim_max < need ? lim.rlim_max : need;
        setrlimit(RLIMIT_NOFILE, &lim);
    }
    if (lim.rlim_cur >= need)
        return 0;
    snprintf(b->problem, sizeof(b->problem),
        "%u clients need %llu file descriptors, the limit of a process is %llu: run several",
        b->opts.clients, (unsigned long long)need, (unsigned long long)lim.rlim_max);
    return -EMFILE;
}

static int start_workers(struct bench *b)
{
    unsigned n = b->opts.threads;
    b->receivers = calloc(n, sizeof(*b->receivers));
    if (!b->receivers)
        return fail(b, -ENOMEM, "starting");
    for (unsigned i = 0; i < n; i++) {
        size_t count = b->opts.clients / n + (i < b->opts.clients % n);
        int rc = receiver_start(&b->receivers[i], &b->opts, i, count);
        if (rc < 0)
            return fail(b, rc, "starting a receiving thread");
        b->started++;
    }
    return 0;
}

/* Until every client is in or has failed. */
static int open_clients(struct bench *b)
{
    int64_t began = wsclient_now_ns(), moved = began;
    uint64_t seen = 0;
    int rc = start_workers(b);
    while (rc == 0 && !interrupted) {
        struct sums s = look(b);
        int64_t now = wsclient_now_ns();
        if (s.ready + s.failed > seen)
            moved = now;
        seen = s.ready + s.failed;
        if (seen == b->opts.clients)
            break;
        if (now - moved > OPEN_LIMIT_NS)
            return fail(b, -ETIMEDOUT, "opening the connections");
        progress(b, "opening");
        look_away(LOOK_NS / 10);
    }
    b->opened_ns = wsclient_now_ns() - began;
    if (rc == 0 && look(b).ready == 0)
        rc = -ECONNREFUSED;
    return interrupted ? -EINTR : rc;
}

static void set_window(struct bench *b, int64_t from, int64_t to)
{
    for (unsigned i = 0; i < b->started; i++) {
        atomic_store(&b->receivers[i].measure_from, from);
        atomic_store(&b->receivers[i].measure_to, to);
    }
}

static void look_at_server(struct bench *b, struct serverstat *ret)
{
    if (b->has_server && serverstat_read(b->opts.pid, ret) < 0)
        b->has_server = false;
}

/* After the last message: until all have all, or nothing comes any more. */
static void drain(struct bench *b, uint64_t total)
{
    uint64_t seen = 0;
    int64_t moved = wsclient_now_ns(), now = moved;
    while (!interrupted && now - moved < DRAIN_LIMIT_NS && !publisher_failed(&b->publisher)) {
        struct sums s = look(b);
        if (s.deliveries >= total * (s.ready - s.gone))
            break;
        if (s.deliveries != seen)
            moved = now;
        seen = s.deliveries;
        progress(b, "draining");
        look_away(LOOK_NS);
        now = wsclient_now_ns();
    }
}

static int run_fanout(struct bench *b)
{
    const struct bench_opts *o = &b->opts;
    uint64_t total = (uint64_t)(o->rate * (o->warmup_s + o->duration_s));
    int64_t start = wsclient_now_ns() + SECOND / 5;
    int64_t from = start + (int64_t)(o->warmup_s * 1e9), to = from + (int64_t)(o->duration_s * 1e9);
    bool begun = false;
    set_window(b, from, to);
    int rc = publisher_start(&b->publisher, start, total > 0 ? total : 1);
    if (rc < 0)
        return fail(b, rc, "starting the publisher");
    for (int64_t now; (now = wsclient_now_ns()) < to && !interrupted;) {
        if (publisher_failed(&b->publisher))
            break;
        if (!begun && now >= from) {
            look_at_server(b, &b->server_from);
            b->from_ns = now;
            begun = true;
        }
        progress(b, begun ? "running" : "warm-up");
        look_away(now < from && from - now < LOOK_NS ? from - now : LOOK_NS / 2);
    }
    look_at_server(b, &b->server_to);
    b->from_ns = begun ? wsclient_now_ns() - b->from_ns : 0;
    if (!publisher_failed(&b->publisher))
        drain(b, total);
    publisher_end(&b->publisher);
    return b->publisher.problem[0] ? -EIO : 0;
}

static int run_hold(struct bench *b)
{
    int64_t from = wsclient_now_ns(), to = from + (int64_t)(b->opts.duration_s * 1e9);
    look_at_server(b, &b->server_from);
    while (wsclient_now_ns() < to && !interrupted) {
        progress(b, "holding");
        look_away(LOOK_NS);
    }
    look_at_server(b, &b->server_to);
    b->from_ns = wsclient_now_ns() - from;
    return 0;
}

static int run(struct bench *b)
{
    int rc = raise_fd_limit(b);
    b->has_server = b->opts.pid != 0;
    if (b->has_server && serverstat_read(b->opts.pid, &b->server_before) < 0)
        return fail(b, -ESRCH, "the process of --pid");
    if (rc == 0 && b->opts.mode == BENCH_FANOUT) {
        rc = publisher_open(&b->publisher, &b->opts);
        if (rc < 0)
            return rc;
    }
    if (rc == 0)
        rc = open_clients(b);
    look_at_server(b, &b->server_open);
    if (rc < 0)
        return rc;
    if (b->opts.mode == BENCH_FANOUT)
        return run_fanout(b);
    if (b->opts.mode == BENCH_IDLE)
        return run_hold(b);
    b->server_from = b->server_before;
    b->server_to = b->server_open;
    b->from_ns = b->opened_ns;
    return 0;
}

static const char *problem_of(const struct bench *b)
{
    if (b->problem[0])
        return b->problem;
    if (b->publisher.problem[0])
        return b->publisher.problem;
    for (unsigned i = 0; i < b->started; i++)
        if (b->receivers[i].problem[0])
            return b->receivers[i].problem;
    return interrupted ? "interrupted" : "";
}

/* Workers have ended: their own figures may be read. */
static void fill_report(struct bench *b, struct report *r)
{
    struct sums s = look(b);
    *r = (struct report){.opts = &b->opts,
        .ready = s.ready,
        .failed = s.failed,
        .gone = s.gone,
        .delivered = s.deliveries,
        .bytes = s.bytes,
        .opened_s = (double)b->opened_ns / 1e9,
        .latency = &b->latency,
        .late = &b->publisher.late,
        .has_server = b->has_server,
        .published = atomic_load(&b->publisher.sent),
        .answered = atomic_load(&b->publisher.answered),
        .cpu_over_s = (double)b->from_ns / 1e9,
        .cpu_s = b->server_to.cpu_s - b->server_from.cpu_s,
        .setup_cpu_s = b->server_open.cpu_s - b->server_before.cpu_s,
        .rss_before_bytes = b->server_before.rss_bytes,
        .rss_bytes = b->server_to.rss_bytes};
    for (unsigned i = 0; i < b->started; i++) {
        struct receiver *w = &b->receivers[i];
        receiver_settle(w, r->published);
        latency_merge(&b->latency, &w->latency);
        r->measured += w->measured;
        r->lost += w->lost;
        r->repeated += w->repeated;
    }
}

int cast_bench_main(int argc, char **argv)
{
    struct bench *b = calloc(1, sizeof(*b));
    struct report r;
    if (!b)
        return 1;
    (void)weft_debug_signal(WEFT_DEBUG_EXIT); /* -EBUSY: whoever started us wants it otherwise */
    b->publisher.fd = -1;
    int rc = bench_opts_parse(&b->opts, argc, argv);
    if (rc != 0) {
        free(b);
        return rc < 0 ? 2 : 0;
    }
    interrupted = 0;
    struct sigaction ours = {.sa_handler = on_interrupt}, theirs;
    sigaction(SIGINT, &ours, &theirs);
    b->printed_ns = wsclient_now_ns();
    rc = run(b);
    publisher_end(&b->publisher);
    const char *backend = b->started ? weft_loop_backend(b->receivers[0].loop) : "";
    for (unsigned i = 0; i < b->started; i++)
        receiver_stop(&b->receivers[i]);
    fill_report(b, &r);
    r.backend = backend;
    r.problem = problem_of(b);
    if (!b->opts.quiet && isatty(2))
        fputs("\r\033[K", stderr);
    report_print(&r);
    bool failed = rc < 0 || (b->opts.fail_on_loss && (r.lost || r.gone || r.failed));
    for (unsigned i = 0; i < b->started; i++)
        receiver_fini(&b->receivers[i]);
    free(b->receivers);
    free(b);
    sigaction(SIGINT, &theirs, NULL);
    return failed;
}
