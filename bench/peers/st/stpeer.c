// SPDX-License-Identifier: Apache-2.0
/*
 * stpeer.c - state-threads' answers to the questions of bench/fibers.c and bench/crowds.c, where it
 * has one.
 *
 *     stpeer MODE                prints `name value unit`
 *     stpeer echo                prints `listening 127.0.0.1:PORT` and serves
 *
 * It has one thread, no preemption, no channels: the questions about these are left out. A yield is
 * a sleep of nothing; a gate is a condition that is broadcast. Stacks of 64 KiB; the library puts
 * no guard below them.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <st.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "available.h"

enum { STACK_BYTES = 64 << 10, SHORT_STEPS = 50, LONG_STEPS = 4000, YIELD_EACH = 8 };

static const char *mode;

static void out(const char *name, double value, const char *unit)
{
    printf("%s %.2f %s\n", name, value, unit);
}

static int64_t now_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static double per(int64_t since_ns, double n)
{
    return (double)(now_ns() - since_ns) / n;
}

static void fail(const char *what)
{
    fprintf(stderr, "stpeer: ");
    perror(what);
    exit(1);
}

static st_thread_t start(void *(*fn)(void *), void *arg, int joinable)
{
    st_thread_t t = st_thread_create(fn, arg, joinable, STACK_BYTES);
    if (!t)
        fail("st_thread_create");
    return t;
}

static void work(int steps)
{
    uint64_t x = 1;
    for (int i = 0; i < steps; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void out_spread(int64_t *took, size_t n)
{
    qsort(took, n, sizeof *took, by_value);
    out("p50", (double)took[n / 2] / 1000, "us");
    out("p99", (double)took[n * 99 / 100] / 1000, "us");
}

/* ---- a count that somebody waits for ---- */

static long left;
static st_cond_t all_done;

static void done(void)
{
    if (--left == 0)
        st_cond_signal(all_done);
}

static void wait_all(void)
{
    while (left > 0)
        st_cond_wait(all_done);
}

/* ---- bench/fibers.c ---- */

static void *yielder(void *arg)
{
    for (long i = (long)(intptr_t)arg; i > 0; i--)
        st_usleep(0);
    return NULL;
}

static void bench_yield(void)
{
    long n = 3000000;
    int64_t t = now_ns();
    st_thread_t a = start(yielder, (void *)(intptr_t)n, 1);
    yielder((void *)(intptr_t)n);
    st_thread_join(a, NULL);
    out(mode, per(t, 2.0 * (double)n), "ns");
}

static void *nothing(void *arg)
{
    return arg;
}

static void bench_spawn(void)
{
    long n = 1000000;
    int64_t t = now_ns();
    for (long i = 0; i < n; i++)
        st_thread_join(start(nothing, NULL, 1), NULL);
    out(mode, per(t, (double)n), "ns");
}

static st_cond_t gate;
static bool gate_open;

static void *gated(void *arg)
{
    while (!gate_open)
        st_cond_wait(gate);
    done();
    return arg;
}

static void *empty(void *arg)
{
    done();
    return arg;
}

static void thousands(void *(*fn)(void *))
{
    enum { ROUNDS = 300, WARM_UP = 10 };
    int64_t t = 0;
    for (int r = 0; r < ROUNDS + WARM_UP; r++) {
        if (r == WARM_UP)
            t = now_ns();
        left = 1000;
        gate_open = false;
        for (int i = 0; i < 1000; i++)
            start(fn, NULL, 0);
        st_usleep(0);
        gate_open = true;
        st_cond_broadcast(gate);
        wait_all();
    }
    out(mode, per(t, ROUNDS * 1000.0), "ns");
}

static void bench_gate(void)
{
    thousands(gated);
}

static void bench_spawn1000(void)
{
    thousands(empty);
}

static void bench_mutex(void)
{
    long n = 10000000;
    st_mutex_t m = st_mutex_new();
    int64_t t = now_ns();
    for (long i = 0; i < n; i++) {
        st_mutex_lock(m);
        st_mutex_unlock(m);
    }
    out(mode, per(t, (double)n), "ns");
}

static void *task(void *arg)
{
    work(700);
    done();
    return arg;
}

static void bench_fanout(void)
{
    int n = 200000;
    int64_t t = now_ns();
    left = n;
    for (int i = 0; i < n; i++)
        start(task, NULL, 0);
    wait_all();
    out(mode, per(t, n), "ns");
}

/* Starts n that park at the gate and lets each run up to it; the time that took. */
static double start_parked(long n)
{
    int64_t t = now_ns();
    left = n;
    gate_open = false;
    for (long i = 0; i < n; i++)
        start(gated, NULL, 0);
    st_usleep(0);
    return per(t, (double)n);
}

static void park(long n)
{
    long long before = available_bytes();
    double ns = start_parked(n);
    usleep(300000);
    out("bytes", (double)(before - available_bytes()) / (double)n, "B");
    out("time", ns, "ns");
}

static void bench_park100k(void)
{
    park(100000);
}

static void bench_park1m(void)
{
    park(1000000);
}

static void park_again(long n, int rounds)
{
    double sum = 0;
    for (int r = 0; r <= rounds; r++) {
        double ns = start_parked(n);
        sum += r ? ns : 0;
        gate_open = true;
        st_cond_broadcast(gate);
        wait_all();
    }
    out(mode, sum / rounds, "ns");
}

static void bench_warm(void)
{
    park_again(1000, 300);
}

static void bench_again(void)
{
    park_again(100000, 5);
}

/* ---- bench/crowds.c ---- */

static struct {
    st_mutex_t mutex;
    bool is_long;
    int each;
    int64_t *waits;
} lock;

static void *contender(void *arg)
{
    int64_t *wait = lock.waits ? lock.waits + (intptr_t)arg * lock.each : NULL;
    for (int i = 0; i < lock.each; i++) {
        int64_t asked = wait ? now_ns() : 0;
        st_mutex_lock(lock.mutex);
        if (wait)
            wait[i] = now_ns() - asked;
        work(lock.is_long ? LONG_STEPS : SHORT_STEPS);
        if (lock.is_long || i % YIELD_EACH == 0)
            st_usleep(0);
        st_mutex_unlock(lock.mutex);
        work(SHORT_STEPS);
    }
    done();
    return NULL;
}

static int64_t contend(int count)
{
    int64_t t = now_ns();
    left = count;
    for (intptr_t k = 0; k < count; k++)
        start(contender, (void *)k, 0);
    wait_all();
    return now_ns() - t;
}

static bool bench_locks(void)
{
    int count;
    char length[8];
    if (sscanf(mode, "mutex%d%7s", &count, length) != 2)
        return false;
    lock.mutex = st_mutex_new();
    lock.is_long = strcmp(length, "long") == 0;
    lock.each = (lock.is_long ? 40000 : 1000000) / count;
    size_t n = (size_t)count * (size_t)lock.each;
    out(mode, (double)contend(count) / (double)n, "ns");
    lock.waits = calloc(n, sizeof *lock.waits);
    if (!lock.waits)
        fail("memory");
    contend(count);
    out_spread(lock.waits, n);
    return true;
}

static void bench_sleep(void)
{
    enum { SLEEPS = 500 };
    static int64_t late[SLEEPS];
    for (int i = 0; i < SLEEPS; i++) {
        int64_t begin = now_ns();
        st_usleep(1000);
        late[i] = now_ns() - begin - 1000000;
    }
    out_spread(late, SLEEPS);
}

static void bench_event(void)
{
    enum { MOST = 100000 };
    static int64_t late[MOST], written;
    size_t n = 0;
    st_netfd_t in = st_netfd_open(STDIN_FILENO);
    if (!in)
        fail("standard input");
    while (n < MOST &&
           st_read_fully(in, &written, sizeof written, ST_UTIME_NO_TIMEOUT) == sizeof written)
        late[n++] = now_ns() - written;
    if (n == 0)
        fail("nothing came from standard input");
    out_spread(late, n);
}

static void *echo_one(void *arg)
{
    char buf[4096];
    ssize_t n;
    while ((n = st_read(arg, buf, sizeof buf, ST_UTIME_NO_TIMEOUT)) > 0)
        if (st_write(arg, buf, (size_t)n, ST_UTIME_NO_TIMEOUT) != n)
            break;
    st_netfd_close(arg);
    return NULL;
}

static void serve_echo(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 4096) < 0 ||
        getsockname(fd, (struct sockaddr *)&a, &len) < 0)
        fail("listen");
    st_netfd_t ln = st_netfd_open_socket(fd), c;
    printf("listening 127.0.0.1:%u\n", ntohs(a.sin_port));
    fflush(stdout);
    while (ln && (c = st_accept(ln, NULL, NULL, ST_UTIME_NO_TIMEOUT)))
        start(echo_one, c, 0);
    fail("accept");
}

static const struct {
    const char *name;
    void (*fn)(void);
} modes[] = {
    {"yield", bench_yield},
    {"spawn", bench_spawn},
    {"gate", bench_gate},
    {"spawn1000", bench_spawn1000},
    {"mutex", bench_mutex},
    {"fanout", bench_fanout},
    {"park100k", bench_park100k},
    {"park1m", bench_park1m},
    {"parkwarm", bench_warm},
    {"parkagain", bench_again},
    {"sleep", bench_sleep},
    {"event", bench_event},
    {"echo", serve_echo},
};

int main(int argc, char **argv)
{
    mode = argc > 1 ? argv[1] : "";
    st_set_eventsys(ST_EVENTSYS_ALT); /* epoll */
    if (st_init() < 0)
        fail("st_init");
    all_done = st_cond_new();
    gate = st_cond_new();
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strcmp(modes[i].name, mode) == 0) {
            modes[i].fn();
            fflush(stdout);
            _exit(0); /* those that wait for ever are not waited for */
        }
    if (bench_locks()) {
        fflush(stdout);
        _exit(0);
    }
    fprintf(stderr, "stpeer: no mode %s\n", mode);
    return 2;
}
