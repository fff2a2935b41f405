// SPDX-License-Identifier: Apache-2.0
/*
 * fibers.c - the runtime's own costs, one mode a question, the same questions that bench/peers asks
 * of Go and tokio.
 *
 * Usage: fibers MODE [WORKERS]. Prints `name value unit`. Diagnosis records stay on in every
 * figure. One run measures once; bench/run interleaves the peers and takes medians.
 */
#include <weft/weft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "available.h"

typedef WEFT_CHAN_OF(int) int_chan;

static const char *mode;
static unsigned workers = 1;

static void out(const char *name, double value, const char *unit)
{
    printf("%s %.2f %s\n", name, value, unit);
}

static double per(int64_t since_ns, double n)
{
    return (double)(weft_now() - since_ns) / n;
}

static int yielder(void *arg)
{
    for (long i = 0; i < (long)(intptr_t)arg; i++)
        weft_yield();
    return 0;
}

static int bench_yield(void *arg)
{
    long n = 3000000;
    (void)arg;
    WEFT_SCOPE(s);
    int64_t t = weft_now();
    weft_go(&s, yielder, (void *)(intptr_t)n);
    weft_go(&s, yielder, (void *)(intptr_t)n);
    weft_wait(&s);
    out(mode, per(t, 2.0 * (double)n), "ns");
    return 0;
}

static weft_waitgroup wg = WEFT_WAITGROUP_INIT;

static int done(void *arg)
{
    (void)arg;
    weft_waitgroup_done(&wg);
    return 0;
}

static int bench_spawn(void *arg)
{
    long n = 1000000;
    (void)arg;
    int64_t t = weft_now();
    for (long i = 0; i < n; i++) {
        weft_waitgroup_add(&wg, 1);
        weft_go(NULL, done, NULL);
        weft_waitgroup_wait(&wg);
    }
    out(mode, per(t, (double)n), "ns");
    return 0;
}

static int nothing(void *arg)
{
    (void)arg;
    return 0;
}

static int bench_scope(void *arg)
{
    long n = 1000000;
    (void)arg;
    WEFT_SCOPE(s);
    int64_t t = weft_now();
    for (long i = 0; i < n; i++) {
        weft_go(&s, nothing, NULL);
        weft_wait(&s);
    }
    out(mode, per(t, (double)n), "ns");
    return 0;
}

static int_chan gate;

static int gated(void *arg)
{
    int v;
    (void)arg;
    weft_recv(gate, &v);
    weft_waitgroup_done(&wg);
    return 0;
}

static int bench_gate(void *arg)
{
    int rounds = 300;
    int64_t t = 0;
    (void)arg;
    for (int r = 0; r < rounds + 10; r++) {
        if (r == 10)
            t = weft_now();
        (void)!weft_chan_make(&gate, 0);
        weft_waitgroup_add(&wg, 1000);
        for (int i = 0; i < 1000; i++)
            weft_go(NULL, gated, NULL);
        weft_yield();
        weft_chan_close(gate);
        weft_waitgroup_wait(&wg);
        weft_chan_free(gate);
    }
    out(mode, per(t, rounds * 1000.0), "ns");
    return 0;
}

static int bench_spawn1000(void *arg)
{
    int rounds = 300;
    int64_t t = 0;
    (void)arg;
    for (int r = 0; r < rounds + 10; r++) {
        if (r == 10)
            t = weft_now();
        weft_waitgroup_add(&wg, 1000);
        for (int i = 0; i < 1000; i++)
            weft_go(NULL, done, NULL);
        weft_waitgroup_wait(&wg);
    }
    out(mode, per(t, rounds * 1000.0), "ns");
    return 0;
}

struct pair {
    int_chan a, b;
    long n;
};

static int bouncer(void *arg)
{
    struct pair *p = arg;
    int v;
    for (long i = 0; i < p->n; i++) {
        weft_recv(p->a, &v);
        weft_send(p->b, v);
    }
    return 0;
}

static void ping_pong(size_t cap)
{
    struct pair p = {.n = 2000000};
    int v;
    (void)!weft_chan_make(&p.a, cap);
    (void)!weft_chan_make(&p.b, cap);
    WEFT_SCOPE(s);
    weft_go(&s, bouncer, &p);
    int64_t t = weft_now();
    for (long i = 0; i < p.n; i++) {
        weft_send(p.a, 1);
        weft_recv(p.b, &v);
    }
    out(mode, per(t, (double)p.n), "ns");
    weft_wait(&s);
}

static int bench_pp(void *arg)
{
    (void)arg;
    ping_pong(0);
    return 0;
}

static int bench_pp1(void *arg)
{
    (void)arg;
    ping_pong(1);
    return 0;
}

static int producer(void *arg)
{
    struct pair *p = arg;
    for (long i = 0; i < p->n; i++)
        weft_send(p->a, 1);
    return 0;
}

static void items(size_t cap, long n)
{
    struct pair p = {.n = n};
    int v;
    (void)!weft_chan_make(&p.a, cap);
    WEFT_SCOPE(s);
    weft_go(&s, producer, &p);
    int64_t t = weft_now();
    for (long i = 0; i < n; i++)
        weft_recv(p.a, &v);
    out(mode, per(t, (double)n), "ns");
    weft_wait(&s);
}

static int bench_buf(void *arg)
{
    (void)arg;
    items(128, 10000000);
    return 0;
}

static int bench_unbuf(void *arg)
{
    (void)arg;
    items(0, 3000000);
    return 0;
}

static int endless(void *arg)
{
    int_chan c = *(int_chan *)arg;
    while (weft_send(c, 1) == 0)
        ;
    return 0;
}

static int bench_select(void *arg)
{
    long n = 2000000;
    int_chan c[8];
    int ways = (int)(intptr_t)arg, v, got;
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    for (int i = 0; i < ways; i++) {
        (void)!weft_chan_make(&c[i], 0);
        weft_go(&s, endless, &c[i]);
    }
    int64_t t = weft_now();
    if (ways == 4)
        for (long i = 0; i < n; i++)
            weft_select(WEFT_RECV(c[0], &v, &got), WEFT_RECV(c[1], &v, &got),
                WEFT_RECV(c[2], &v, &got), WEFT_RECV(c[3], &v, &got));
    else
        for (long i = 0; i < n; i++)
            weft_select(WEFT_RECV(c[0], &v, &got), WEFT_RECV(c[1], &v, &got),
                WEFT_RECV(c[2], &v, &got), WEFT_RECV(c[3], &v, &got), WEFT_RECV(c[4], &v, &got),
                WEFT_RECV(c[5], &v, &got), WEFT_RECV(c[6], &v, &got), WEFT_RECV(c[7], &v, &got));
    out(mode, per(t, (double)n), "ns");
    weft_scope_cancel(&s);
    return 0;
}

static int bench_select_one(void *arg)
{
    long n = 2000000;
    int_chan c[8];
    int ways = (int)(intptr_t)arg, v, got;
    for (int i = 0; i < 8; i++)
        (void)!weft_chan_make(&c[i], 1);
    int64_t t = weft_now();
    if (ways == 4)
        for (long i = 0; i < n; i++) {
            weft_send(c[i & 3], 1);
            weft_select(WEFT_RECV(c[0], &v, &got), WEFT_RECV(c[1], &v, &got),
                WEFT_RECV(c[2], &v, &got), WEFT_RECV(c[3], &v, &got));
        }
    else
        for (long i = 0; i < n; i++) {
            weft_send(c[i & 7], 1);
            weft_select(WEFT_RECV(c[0], &v, &got), WEFT_RECV(c[1], &v, &got),
                WEFT_RECV(c[2], &v, &got), WEFT_RECV(c[3], &v, &got), WEFT_RECV(c[4], &v, &got),
                WEFT_RECV(c[5], &v, &got), WEFT_RECV(c[6], &v, &got), WEFT_RECV(c[7], &v, &got));
        }
    out(mode, per(t, (double)n), "ns");
    return 0;
}

static int bench_ppsel(void *arg)
{
    struct pair p = {.n = 1000000};
    int_chan d[3];
    int v, got;
    (void)arg;
    (void)!weft_chan_make(&p.a, 0);
    (void)!weft_chan_make(&p.b, 0);
    for (int i = 0; i < 3; i++)
        (void)!weft_chan_make(&d[i], 0);
    WEFT_SCOPE(s);
    weft_go(&s, bouncer, &p);
    int64_t t = weft_now();
    for (long i = 0; i < p.n; i++) {
        weft_send(p.a, 1);
        weft_select(WEFT_RECV(d[0], &v, &got), WEFT_RECV(d[1], &v, &got), WEFT_RECV(d[2], &v, &got),
            WEFT_RECV(p.b, &v, &got));
    }
    out(mode, per(t, (double)p.n), "ns");
    weft_wait(&s);
    return 0;
}

static int bench_mutex(void *arg)
{
    long n = 10000000;
    weft_mutex m = WEFT_MUTEX_INIT;
    (void)arg;
    int64_t t = weft_now();
    for (long i = 0; i < n; i++) {
        weft_mutex_lock(&m);
        weft_mutex_unlock(&m);
    }
    out(mode, per(t, (double)n), "ns");
    return 0;
}

/* A call that returns at once: nobody takes the worker. */
static int bench_blocking(void *arg)
{
    long n = 10000000;
    (void)arg;
    int64_t t = weft_now();
    for (long i = 0; i < n; i++) {
        weft_blocking_begin();
        weft_blocking_end();
    }
    out(mode, per(t, (double)n), "ns");
    return 0;
}

/* As the Go peer's: 700 steps of a linear congruence, about 0.8 us. */
static volatile uint64_t sink;

static int task(void *arg)
{
    uint64_t x = 1;
    (void)arg;
    for (int i = 0; i < 700; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
    if (x == 42)
        sink = x;
    weft_waitgroup_done(&wg);
    return 0;
}

static int bench_fanout(void *arg)
{
    int n = 200000;
    (void)arg;
    int64_t t = weft_now();
    weft_waitgroup_add(&wg, n);
    for (int i = 0; i < n; i++)
        weft_go(NULL, task, NULL);
    weft_waitgroup_wait(&wg);
    out(mode, per(t, n), "ns");
    return 0;
}

/* ---- memory of parked fibers ---- */

static int bench_park(void *arg)
{
    long n = (long)(intptr_t)arg;
    (void)!weft_chan_make(&gate, 0);
    weft_fiber_opts o = {.size = sizeof o, .stack_bytes = 64 << 10};
    long long before = available_bytes(), rss = sum_of("/proc/self/status", "VmRSS:");
    int64_t t = weft_now();
    weft_waitgroup_add(&wg, (int)n);
    for (long i = 0; i < n; i++)
        if (weft_go_opt(NULL, gated, NULL, &o) < 0)
            return -1;
    for (int i = 0; i < 100; i++)
        weft_yield();
    double ns = per(t, (double)n);
    weft_sleep(300 * WEFT_MS);
    out("bytes", (double)(before - available_bytes()) / (double)n, "B");
    out("rss", (double)(sum_of("/proc/self/status", "VmRSS:") - rss) * 1024 / (double)n, "B");
    out("time", ns, "ns");
    weft_chan_close(gate);
    weft_waitgroup_wait(&wg);
    return 0;
}

/* ---- TCP echo ---- */

static int echo_one(void *arg)
{
    int fd = *(int *)arg;
    char buf[4096];
    ssize_t n;
    while ((n = weft_read(fd, buf, sizeof buf)) > 0)
        if (weft_write_all(fd, buf, (size_t)n) < 0)
            break;
    weft_close(fd);
    return 0;
}

static int bench_echo(void *arg)
{
    char address[64];
    int fd;
    snprintf(address, sizeof address, "127.0.0.1:%s", (const char *)arg);
    int ln = weft_listen("tcp", address);
    if (ln < 0)
        return ln;
    printf("listening\n");
    fflush(stdout);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    while ((fd = weft_accept(ln)) >= 0)
        if (weft_go_copy(&s, echo_one, fd) < 0)
            weft_close(fd);
    return fd;
}

static const struct {
    const char *name;
    int (*fn)(void *);
    intptr_t arg;
} modes[] = {
    {"yield", bench_yield, 0},
    {"spawn", bench_spawn, 0},
    {"scope", bench_scope, 0},
    {"gate", bench_gate, 0},
    {"spawn1000", bench_spawn1000, 0},
    {"pp", bench_pp, 0},
    {"pp1", bench_pp1, 0},
    {"buf", bench_buf, 0},
    {"unbuf", bench_unbuf, 0},
    {"sel4", bench_select, 4},
    {"sel8", bench_select, 8},
    {"selone4", bench_select_one, 4},
    {"selone8", bench_select_one, 8},
    {"ppsel", bench_ppsel, 0},
    {"mutex", bench_mutex, 0},
    {"blocking", bench_blocking, 0},
    {"fanout", bench_fanout, 0},
    {"park100k", bench_park, 100000},
    {"park1m", bench_park, 1000000},
};

int main(int argc, char **argv)
{
    int result = 1;
    if (argc < 2) {
        fprintf(stderr, "usage: fibers MODE [WORKERS]   or: fibers echo WORKERS PORT; modes:");
        for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
            fprintf(stderr, " %s", modes[i].name);
        fprintf(stderr, "\n");
        return 2;
    }
    mode = argv[1];
    workers = argc > 2 ? (unsigned)atoi(argv[2]) : 1;
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    if (strcmp(mode, "echo") == 0 && argc > 3)
        return weft_run(bench_echo, argv[3], &o, &result) < 0 || result < 0;
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, mode) == 0)
            return weft_run(modes[i].fn, (void *)modes[i].arg, &o, &result) < 0 || result != 0;
    fprintf(stderr, "fibers: no mode %s\n", mode);
    return 2;
}
