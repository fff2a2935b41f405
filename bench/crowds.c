// SPDX-License-Identifier: Apache-2.0
/*
 * crowds.c - what many fibers cost each other: contended locks, one channel for many, a million
 * timers, a tree of contexts; and how soon one runs that has waited for the time or for a byte.
 *
 * Usage: crowds MODE [WORKERS], or crowds http WORKERS PORT. Prints `name value unit`; docs/
 * performance.md says what each mode asks. The peers in bench/peers have the same modes.
 *
 *     mutexNshort  mutexNlong  rwNshort  rwNlong    N fibers want one lock
 *     nmNxM                                         N send, M receive on one channel
 *     timers  sleep  event  ctxtree  parkwarm  parkagain
 *
 * A lock is held for 50 steps of a linear congruence (some 60 ns) or for 4000 (some 5 us). Each
 * 8th short section and each long one yields while it holds the lock: on one worker nobody would
 * ever find it taken else. Throughput and waits are measured in two passes, so that reading the
 * clock does not slow the first down. `event` reads the times at which they were written from
 * standard input (floor_wake ticks writes them). Diagnosis records stay on in every figure.
 */
#include <errno.h>
#include <weft/http.h>
#include <weft/weft.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHORT_STEPS = 50, LONG_STEPS = 4000, YIELD_EACH = 8, WRITE_EACH = 10 };
enum { ITEMS = 2000000, ROOM = 64, TIMERS = 1000000, SLEEPS = 500, TREE = 100, TREES = 50 };

typedef WEFT_CHAN_OF(int) int_chan;

static const char *mode;

static void out(const char *name, double value, const char *unit)
{
    printf("%s %.2f %s\n", name, value, unit);
}

static double per(int64_t since_ns, double n)
{
    return (double)(weft_now() - since_ns) / n;
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Prints the median and the 99th percentile of n durations, in `unit` of unit_ns each. */
static void out_spread(int64_t *took, size_t n, double unit_ns, const char *unit)
{
    qsort(took, n, sizeof *took, by_value);
    out("p50", (double)took[n / 2] / unit_ns, unit);
    out("p99", (double)took[n * 99 / 100] / unit_ns, unit);
}

static void *must_alloc(size_t n, size_t bytes)
{
    void *p = calloc(n, bytes);
    if (!p) {
        fprintf(stderr, "crowds: out of memory\n");
        exit(1);
    }
    return p;
}

static void work(int steps)
{
    uint64_t x = 1;
    for (int i = 0; i < steps; i++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        __asm__ volatile("" : "+r"(x));
    }
}

/* ---- contended locks ---- */

static struct {
    weft_mutex mutex;
    weft_rwmutex rw;
    bool is_rw, is_long;
    int fibers, each;
    int64_t *waits; /* one an operation; NULL in the pass that measures throughput */
    weft_waitgroup wg;
} lock;

static void section(int i)
{
    work(lock.is_long ? LONG_STEPS : SHORT_STEPS);
    if (lock.is_long || i % YIELD_EACH == 0)
        weft_yield();
}

static void enter(bool writes)
{
    if (!lock.is_rw)
        weft_mutex_lock(&lock.mutex);
    else if (writes)
        weft_rwmutex_lock(&lock.rw);
    else
        weft_rwmutex_rlock(&lock.rw);
}

static void leave(bool writes)
{
    if (!lock.is_rw)
        weft_mutex_unlock(&lock.mutex);
    else if (writes)
        weft_rwmutex_unlock(&lock.rw);
    else
        weft_rwmutex_runlock(&lock.rw);
}

static int contender(void *arg)
{
    int64_t *wait = lock.waits ? lock.waits + (intptr_t)arg * lock.each : NULL;
    for (int i = 0; i < lock.each; i++) {
        bool writes = i % WRITE_EACH == 0;
        int64_t asked = wait ? weft_now() : 0;
        enter(writes);
        if (wait)
            wait[i] = weft_now() - asked;
        section(i);
        leave(writes);
        work(SHORT_STEPS);
    }
    weft_waitgroup_done(&lock.wg);
    return 0;
}

/* Starts the contenders, waits for them; the time that the whole of it took. */
static int64_t contend(void)
{
    int64_t t = weft_now();
    weft_waitgroup_add(&lock.wg, lock.fibers);
    for (intptr_t k = 0; k < lock.fibers; k++)
        if (weft_go(NULL, contender, (void *)k) < 0)
            exit(1);
    weft_waitgroup_wait(&lock.wg);
    return weft_now() - t;
}

static int bench_lock(void *arg)
{
    char length[8];
    (void)arg;
    lock.is_rw = mode[0] == 'r';
    if (sscanf(mode, lock.is_rw ? "rw%d%7s" : "mutex%d%7s", &lock.fibers, length) != 2)
        return -EINVAL;
    lock.is_long = strcmp(length, "long") == 0;
    lock.each = (lock.is_long ? 40000 : 1000000) / lock.fibers;
    weft_mutex_init(&lock.mutex, NULL);
    weft_rwmutex_init(&lock.rw, NULL);
    size_t n = (size_t)lock.fibers * (size_t)lock.each;
    out(mode, (double)contend() / (double)n, "ns");
    lock.waits = must_alloc(n, sizeof *lock.waits);
    contend();
    out_spread(lock.waits, n, 1000, "us");
    free(lock.waits);
    return 0;
}

/* ---- many senders, many receivers, one channel ---- */

static struct {
    int_chan pipe;
    int each;
    weft_waitgroup senders, receivers;
} crowd;

static int sender(void *arg)
{
    (void)arg;
    for (int i = 0; i < crowd.each; i++)
        weft_send(crowd.pipe, 1);
    weft_waitgroup_done(&crowd.senders);
    return 0;
}

static int receiver(void *arg)
{
    int v;
    (void)arg;
    while (weft_recv(crowd.pipe, &v) > 0)
        ;
    weft_waitgroup_done(&crowd.receivers);
    return 0;
}

static int bench_many(void *arg)
{
    int n, m;
    (void)arg;
    if (sscanf(mode, "nm%dx%d", &n, &m) != 2)
        return -EINVAL;
    crowd.each = ITEMS / n;
    (void)!weft_chan_make(&crowd.pipe, ROOM);
    int64_t t = weft_now();
    weft_waitgroup_add(&crowd.senders, n);
    weft_waitgroup_add(&crowd.receivers, m);
    for (int i = 0; i < m; i++)
        weft_go(NULL, receiver, NULL);
    for (int i = 0; i < n; i++)
        weft_go(NULL, sender, NULL);
    weft_waitgroup_wait(&crowd.senders);
    weft_chan_close(crowd.pipe);
    weft_waitgroup_wait(&crowd.receivers);
    out(mode, per(t, (double)crowd.each * n), "ns");
    return 0;
}

/* ---- a million timers ---- */

static int64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * WEFT_SEC + ts.tv_nsec;
}

static int fired;

static void count_fired(void *arg)
{
    (void)arg;
    __atomic_fetch_add(&fired, 1, __ATOMIC_SEQ_CST);
}

/* The time of one call of each kind on a million timers that are far off. Then all are set to fall
 * due 2 us apart: the processor time of the process until the last has fired. */
static int bench_timers(void *arg)
{
    weft_timer **timer = must_alloc(TIMERS, sizeof(weft_timer *));
    (void)arg;
    int64_t t = weft_now();
    for (int i = 0; i < TIMERS; i++)
        if (!(timer[i] = weft_timer_func(3600 * WEFT_SEC + i * WEFT_US, count_fired, NULL)))
            return -ENOMEM;
    out("start", per(t, TIMERS), "ns");
    t = weft_now();
    for (int i = 0; i < TIMERS; i++)
        weft_timer_reset(timer[i], 7200 * WEFT_SEC - i * WEFT_US);
    out("reset", per(t, TIMERS), "ns");
    t = weft_now();
    for (int i = 0; i < TIMERS; i++)
        weft_timer_stop(timer[i]);
    out("stop", per(t, TIMERS), "ns");
    int64_t due = weft_now() + 2 * WEFT_SEC;
    for (int i = 0; i < TIMERS; i++)
        weft_timer_reset(timer[i], due + 2 * i * WEFT_US - weft_now());
    weft_sleep_until(due);
    int64_t begin = cpu_ns();
    while (__atomic_load_n(&fired, __ATOMIC_SEQ_CST) < TIMERS)
        weft_sleep(WEFT_MS);
    out("fire", (double)(cpu_ns() - begin) / TIMERS, "ns");
    for (int i = 0; i < TIMERS; i++)
        weft_timer_free(timer[i]);
    free(timer);
    return 0;
}

/* ---- how soon ---- */

static int bench_sleep(void *arg)
{
    static int64_t late[SLEEPS];
    (void)arg;
    for (int i = 0; i < SLEEPS; i++) {
        int64_t until = weft_now() + WEFT_MS;
        weft_sleep_until(until);
        late[i] = weft_now() - until;
    }
    out_spread(late, SLEEPS, 1000, "us");
    return 0;
}

static int bench_event(void *arg)
{
    enum { MOST = 100000 };
    static int64_t late[MOST], written;
    size_t n = 0;
    (void)arg;
    while (n < MOST && weft_read_full(0, &written, sizeof written) == sizeof written)
        late[n++] = weft_now() - written;
    if (n == 0)
        return -ENODATA;
    out_spread(late, n, 1000, "us");
    return 0;
}

/* ---- a tree of contexts: 100 below the root, 99 below each of these ---- */

static int64_t cancel_tree(void)
{
    static weft_ctx *node[TREE][TREE];
    weft_ctx *root = weft_ctx_with_cancel(weft_ctx_background());
    for (int i = 0; i < TREE; i++)
        for (int k = 0; k < TREE; k++)
            if (!(node[i][k] = weft_ctx_with_cancel(k ? node[i][0] : root)))
                exit(1);
    int64_t t = weft_now();
    weft_ctx_cancel(root);
    t = weft_now() - t;
    for (int i = 0; i < TREE; i++)
        for (int k = TREE - 1; k >= 0; k--) {
            if (weft_ctx_err(node[i][k]) == 0)
                exit(1);
            weft_ctx_free(node[i][k]);
        }
    weft_ctx_free(root);
    return t;
}

static int bench_tree(void *arg)
{
    int64_t sum = 0;
    (void)arg;
    for (int i = 0; i < TREES; i++)
        sum += cancel_tree();
    out(mode, (double)sum / (TREES * (double)TREE * TREE), "ns");
    return 0;
}

/* ---- started and parked where as many were before: 1000 of them, or 100,000 ---- */

static int_chan gate;
static weft_waitgroup parked, gone;

static int gated(void *arg)
{
    int v;
    (void)arg;
    weft_waitgroup_done(&parked);
    weft_recv(gate, &v);
    weft_waitgroup_done(&gone);
    return 0;
}

static int bench_warm(void *arg)
{
    weft_fiber_opts o = {.size = sizeof o, .stack_bytes = 64 << 10};
    bool few = strcmp(mode, "parkwarm") == 0;
    int fibers = few ? 1000 : 100000, rounds = few ? 300 : 5;
    int64_t sum = 0;
    (void)arg;
    for (int r = 0; r <= rounds; r++) {
        (void)!weft_chan_make(&gate, 0);
        int64_t t = weft_now();
        weft_waitgroup_add(&parked, fibers);
        weft_waitgroup_add(&gone, fibers);
        for (int i = 0; i < fibers; i++)
            if (weft_go_opt(NULL, gated, NULL, &o) < 0)
                return -1;
        weft_waitgroup_wait(&parked);
        sum += r ? weft_now() - t : 0; /* the first round makes the stacks */
        weft_chan_close(gate);
        weft_waitgroup_wait(&gone);
        weft_chan_free(gate);
    }
    out(mode, (double)sum / ((double)rounds * fibers), "ns");
    return 0;
}

/* ---- HTTP ---- */

static int hello(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    (void)req, (void)arg;
    return weft_http_reply_text(reply, 200, "Hello, World!\n");
}

static int bench_http(void *arg)
{
    char address[64];
    snprintf(address, sizeof address, "127.0.0.1:%s", (const char *)arg);
    return weft_http_serve("tcp", address, hello, NULL, NULL);
}

static const struct {
    const char *name; /* or how it begins */
    int (*fn)(void *);
} modes[] = {
    {"mutex", bench_lock},
    {"rw", bench_lock},
    {"nm", bench_many},
    {"timers", bench_timers},
    {"sleep", bench_sleep},
    {"event", bench_event},
    {"ctxtree", bench_tree},
    {"parkwarm", bench_warm},
    {"parkagain", bench_warm},
    {"http", bench_http},
};

int main(int argc, char **argv)
{
    int result = 1;
    if (argc < 2) {
        fprintf(stderr, "usage: crowds MODE [WORKERS]   or: crowds http WORKERS PORT\n");
        return 2;
    }
    mode = argv[1];
    weft_run_opts o = {
        .size = sizeof o, .workers = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 1};
    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++)
        if (strncmp(modes[i].name, mode, strlen(modes[i].name)) == 0)
            return weft_run(modes[i].fn, argc > 3 ? argv[3] : NULL, &o, &result) < 0 || result != 0;
    fprintf(stderr, "crowds: no mode %s\n", mode);
    return 2;
}
