// SPDX-License-Identifier: Apache-2.0
/*
 * test_cold.c - stacks that are put away (cold.c) come back as they were, whoever touches them.
 *
 * Runs ask for an hour, so the monitor leaves the fibers alone, and weft__cold_pass puts away here
 * and now; one case lets the monitor do it. Where userfaultfd is not to be had (no privilege,
 * seccomp, an emulator) all but the cases about the refusal and the packing are skipped.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/debug.h>
#include <weft/run.h>

#include "base/futex.h"
#include "base/rand.h"
#include "sched/cold.h"
#include "sched/cold_store.h"
#include "sched/worker.h"
#include "sched_test.h"

enum { PAGE = 4096, MINE = 256 };
static const int64_t hour_ns = 3600 * (int64_t)1000000000;

/* ---- scaffolding ---- */

static int run_cold(unsigned workers, int64_t cold_ns, int64_t drain_ns, int (*entry)(void *))
{
    int result = -1;
    struct weft__sched_opts o = {.workers = workers, .cold_ns = cold_ns, .drain_ns = drain_ns};
    int rc = weft__sched_run(entry, NULL, NULL, NULL, NULL, &o, &result);
    if (rc == -EPERM || rc == -ENOSYS || rc == -ENOTSUP)
        test_skip("no userfaultfd for us here: %s", strerror(-rc));
    CHECK(rc == -ETIMEDOUT || rc == 0);
    CHECK_EQ(result, 0);
    return rc;
}

static void run(unsigned workers, int (*entry)(void *))
{
    CHECK_EQ(run_cold(workers, hour_ns, 0, entry), 0);
}

static void go_sized(int (*fn)(void *), void *arg, size_t stack_bytes)
{
    struct weft__spawn s = {.entry = fn, .arg = arg, .relieve = true, .stack_bytes = stack_bytes};
    weft__enter();
    CHECK_EQ(weft__spawn(&s, NULL), 0);
    weft__leave();
}

static void pass(void)
{
    weft__enter();
    weft__cold_pass(INT64_MAX);
    weft__leave();
}

static bool resident(const void *at)
{
    unsigned char there;
    CHECK_EQ(mincore((void *)((uintptr_t)at & ~(uintptr_t)(PAGE - 1)), PAGE, &there), 0);
    return there & 1;
}

/* A fiber that waits with data on its stack, as another sees it. */
struct party {
    struct weft__lock lock;
    struct weft__fiber *waits; /* guarded by lock, as what follows */
    volatile unsigned char *data;
    size_t bytes;
    unsigned rounds;
    bool over;
    enum weft__reason reason;
};
static _Atomic int finished;

static unsigned char salt(const struct party *p, size_t i)
{
    return (unsigned char)(i * 7 + p->rounds * 31 + (uintptr_t)p / 64);
}

static void check_data(const struct party *p)
{
    for (size_t i = 0; i < p->bytes; i++)
        CHECK_EQ(p->data[i], salt(p, i));
}

/* Parks once with data written, and finds them again; true: shall go on. */
static bool wait_once(struct party *p, volatile unsigned char *data)
{
    struct weft__fiber *f = weft__enter();
    weft__lock(&p->lock, WEFT__RANK_SYNC);
    for (size_t i = 0; i < p->bytes; i++)
        data[i] = salt(p, i);
    p->data = data;
    p->waits = f;
    weft__tsan_release(p);
    int rc =
        weft__park(p->reason, p, __builtin_return_address(0), 0, weft__commit_unlock, &p->lock);
    weft__leave();
    weft__tsan_acquire(p);
    CHECK_EQ(rc, (int)(p->rounds & 0xff));
    check_data(p);
    p->rounds++;
    return !p->over;
}

static int holds_little(void *arg)
{
    volatile unsigned char data[MINE];
    while (wait_once(arg, data))
        ;
    at_add(&finished, 1);
    return 0;
}

static int holds_pages(void *arg)
{
    volatile unsigned char data[10 << 10];
    while (wait_once(arg, data))
        ;
    at_add(&finished, 1);
    return 0;
}

static int holds_much(void *arg)
{
    volatile unsigned char data[40 << 10];
    while (wait_once(arg, data))
        ;
    at_add(&finished, 1);
    return 0;
}

static void begin(struct party *p, int (*fn)(void *), size_t bytes)
{
    *p = (struct party){.bytes = bytes, .reason = WEFT__WAIT_OTHER};
    go_sized(fn, p, bytes > MINE ? 0 : 32 << 10);
}

static bool is_waiting(struct party *p)
{
    weft__enter();
    weft__lock(&p->lock, WEFT__RANK_SYNC);
    bool waits = p->waits != NULL;
    weft__unlock(&p->lock);
    weft__leave();
    weft__tsan_acquire(p);
    return waits;
}

static bool wake_up(struct party *p, bool over)
{
    weft__tsan_release(p);
    weft__enter();
    weft__lock(&p->lock, WEFT__RANK_SYNC);
    struct weft__fiber *f = p->waits;
    p->waits = NULL;
    if (f && !weft__claim(f))
        f = NULL;
    if (f) {
        f->wake_result = (int)(p->rounds & 0xff);
        p->over = over;
    }
    weft__unlock(&p->lock);
    if (f)
        weft__ready_tail(f);
    weft__leave();
    return f != NULL;
}

/* All there is waits: no lock is taken that the waiting are about to release. */
static void await_waiting(struct party *p)
{
    while (!is_waiting(p))
        nap(100000);
    while ((at_load(&p->waits->wake) & WEFT__WAKE_MASK) == WEFT__WAKE_RUN)
        nap(100000);
}

/* Puts p's fiber away, whatever keeps it for a moment (the monitor's look, a fork's child). */
static void put_away(struct party *p)
{
    while (resident((void *)p->data))
        pass();
    CHECK(cold_counts().away > 0);
}

static void end(struct party *p)
{
    int before = at_load(&finished);
    CHECK(wake_up(p, true));
    while (at_load(&finished) == before)
        nap(100000);
}

/* ---- away and back ---- */

static struct party one;

static int goes_and_comes(void *arg)
{
    (void)arg;
    begin(&one, holds_little, MINE);
    for (int i = 0; i < 20; i++) {
        await_waiting(&one);
        put_away(&one);
        struct weft__cold_counts c = cold_counts();
        CHECK(c.away >= 1 && c.bytes > 0 && c.bytes / c.away < PAGE);
        weft_stats s = {.size = sizeof s};
        weft_stats_read(&s);
        CHECK(s.cold_stacks >= 1 && s.cold_bytes > 0);
        CHECK(wake_up(&one, i == 19));
    }
    while (!at_load(&finished))
        nap(100000);
    CHECK(cold_counts().thawed >= 20);
    weft_stats s = {.size = sizeof s};
    weft_stats_read(&s);
    CHECK(s.cold_frozen >= 20 && s.cold_thawed >= 20);
    CHECK_EQ(s.cold_stacks, 0);
    while (s.cold_bytes) { /* freed when the last is back and goes on already */
        nap(100000);
        weft_stats_read(&s);
    }
    return 0;
}

TEST(a_parked_fiber_goes_cold_and_comes_back)
{
    run(2, goes_and_comes);
}

static int several_pages(void *arg)
{
    static struct party much;
    (void)arg;
    begin(&one, holds_pages, 10 << 10);
    begin(&much, holds_much, 40 << 10);
    await_waiting(&one);
    await_waiting(&much);
    put_away(&one);
    CHECK(resident((void *)much.data)); /* more than it is worth */
    check_data(&much);
    CHECK(!resident((void *)(one.data + (8 << 10))));
    check_data(&one);
    put_away(&one);
    end(&one);
    end(&much);
    return 0;
}

TEST(several_pages_go_and_many_stay)
{
    run(2, several_pages);
}

static void *touches(void *arg)
{
    check_data(arg);
    return NULL;
}

static int by_everybody(void *arg)
{
    pthread_t t[4];
    (void)arg;
    begin(&one, holds_little, MINE);
    await_waiting(&one);
    put_away(&one);
    check_data(&one); /* a fiber */
    put_away(&one);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, touches, &one), 0);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
    put_away(&one);
    one.data[3] = 99; /* a writer, from outside */
    CHECK_EQ(one.data[3], 99);
    put_away(&one);
    CHECK_EQ(one.data[3], 99);
    one.data[3] = salt(&one, 3);
    end(&one);
    return 0;
}

TEST(pointers_from_fibers_and_threads)
{
    run(2, by_everybody);
}

static int by_the_kernel(void *arg)
{
    int p[2];
    unsigned char copy[MINE];
    struct iovec here = {copy, MINE}, there = {NULL, MINE};
    (void)arg;
    CHECK_EQ(pipe2(p, O_CLOEXEC), 0);
    begin(&one, holds_little, MINE);
    await_waiting(&one);
    there.iov_base = (void *)one.data;

    put_away(&one); /* out of it */
    CHECK_EQ(write(p[1], (void *)one.data, MINE), MINE);
    put_away(&one); /* and into it, what was there */
    CHECK_EQ(read(p[0], (void *)one.data, MINE), MINE);
    check_data(&one);

    put_away(&one);
    CHECK_EQ(process_vm_readv(getpid(), &here, 1, &there, 1, 0), MINE);
    CHECK_EQ(memcmp(copy, (void *)one.data, MINE), 0);
    put_away(&one);
    CHECK_EQ(process_vm_writev(getpid(), &here, 1, &there, 1, 0), MINE);
    check_data(&one);

    put_away(&one);
    uint32_t word;
    memcpy(&word, copy, sizeof word);
    uint32_t *at = (uint32_t *)((uintptr_t)one.data & ~(uintptr_t)3);
    CHECK_EQ(syscall(SYS_futex, at, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    CHECK_EQ(weft__syscall(SYS_futex, (long)at, FUTEX_WAIT_BITSET, (long)~*at, 0, 0, ~0), -EAGAIN);

    put_away(&one); /* a debugger's way: an error, or the data; never zeros */
    int mem = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    memset(copy, 0, MINE);
    ssize_t n = pread(mem, copy, MINE, (off_t)(uintptr_t)one.data);
    CHECK(n < 0 || memcmp(copy, (void *)one.data, MINE) == 0);
    close(mem);
    check_data(&one);
    end(&one);
    close(p[0]);
    close(p[1]);
    return 0;
}

TEST(the_kernel_reads_and_writes_it)
{
    run(2, by_the_kernel);
}

static unsigned char seen_by_handler;
static void on_signal(int sig)
{
    (void)sig;
    seen_by_handler = one.data[5];
}

static int in_a_handler(void *arg)
{
    (void)arg;
    begin(&one, holds_little, MINE);
    await_waiting(&one);
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
    CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
    put_away(&one);
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(seen_by_handler, salt(&one, 5));
    end(&one);
    return 0;
}

TEST(a_signal_handler_touches_it)
{
    run(2, in_a_handler);
}

/* ---- what the kernel holds stays ---- */

static int pinned(void *arg)
{
    struct io_uring_params params = {0};
    (void)arg;
    begin(&one, holds_little, MINE);
    await_waiting(&one);
    int ring = (int)syscall(SYS_io_uring_setup, 4, &params);
    struct iovec buffer = {(void *)one.data, MINE};
    if (ring < 0 || syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0) {
        end(&one);
        return 0;
    }
    uint64_t refused = cold_counts().refused;
    for (int i = 0; i < 3; i++)
        pass();
    CHECK(resident((void *)one.data));
    CHECK(cold_counts().refused > refused);
    CHECK_EQ(syscall(SYS_io_uring_register, ring, IORING_UNREGISTER_BUFFERS, NULL, 0), 0);
    close(ring);
    put_away(&one); /* as soon as the kernel has let go */
    end(&one);
    return 0;
}

TEST(a_buffer_that_the_kernel_holds_stays)
{
    run(2, pinned);
}

static volatile unsigned char *_Atomic sleepers;

static int sleeps(void *arg)
{
    volatile unsigned char data = 1;
    at_store(&sleepers, &data);
    nap(200000000);
    CHECK_EQ(data, 1);
    at_store(&finished, 1);
    (void)arg;
    return 0;
}

static int a_sleeper(void *arg)
{
    (void)arg;
    go_sized(sleeps, NULL, 0);
    while (!at_load(&finished)) {
        pass();
        nap(1000000);
        volatile unsigned char *data = at_load(&sleepers);
        CHECK(!data || at_load(&finished) || resident((void *)data));
    }
    return 0;
}

TEST(a_sleeper_stays_warm)
{
    run(2, a_sleeper);
}

static __attribute__((noinline)) unsigned dig(size_t bytes)
{
    volatile unsigned char hole[PAGE];
    hole[0] = hole[PAGE - 1] = 1;
    unsigned below = bytes > PAGE ? dig(bytes - PAGE) : 0;
    return below + hole[0] + hole[PAGE - 1];
}

static int digs(void *arg)
{
    CHECK(dig(160 << 10) > 0);
    at_add((_Atomic int *)arg, 1);
    return 0;
}

static int growing(void *arg)
{
    (void)arg;
    uint64_t zeros = cold_counts().zeros;
    for (int i = 0; i < 100; i++)
        go_sized(digs, &finished, 0);
    while (at_load(&finished) < 100)
        nap(100000);
    CHECK_EQ(cold_counts().zeros, zeros);
    return 0;
}

TEST(a_stack_grows_without_the_keeper)
{
    run(2, growing);
}

/* ---- children ---- */

static int forks(void *arg)
{
    int status;
    (void)arg;
    begin(&one, holds_little, MINE);
    await_waiting(&one);
    put_away(&one);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        for (size_t i = 0; i < one.bytes; i++)
            if (one.data[i] != salt(&one, i))
                _exit(1);
        _exit(0);
    }
    CHECK(!resident((void *)one.data)); /* the parent's is where it was */
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(status, 0);
    check_data(&one); /* back, and shared with no child any more */
    put_away(&one);
    pid = vfork();
    if (pid == 0)
        _exit(one.data[7]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), salt(&one, 7));
    pid = fork(); /* while it is warm: the page is the child's too until somebody writes */
    if (pid == 0)
        _exit(one.data[7]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK_EQ(WEXITSTATUS(status), salt(&one, 7));
    put_away(&one);
    end(&one);
    return 0;
}

TEST(children_find_it)
{
    run(2, forks);
}

/* ---- runs ---- */

static int leaves_one(void *arg)
{
    (void)arg;
    begin(&one, holds_little, MINE);
    await_waiting(&one);
    put_away(&one);
    return 0;
}

TEST(what_is_left_over_can_still_be_read)
{
    CHECK_EQ(run_cold(2, hour_ns, 1000000, leaves_one), -ETIMEDOUT);
    check_data(&one);
    at_store(&finished, 0);
    run(2, goes_and_comes); /* and another run has another keeper */
    at_store(&finished, 0);
    struct weft__sched_opts warm = {.workers = 2};
    CHECK_EQ(weft__sched_run(growing, NULL, NULL, NULL, NULL, &warm, NULL), 0);
    CHECK(!weft__cold_on());
}

static int by_the_monitor(void *arg)
{
    (void)arg;
    begin(&one, holds_little, MINE);
    await_waiting(&one);
    while (resident((void *)one.data))
        nap(10000000);
    end(&one);
    return 0;
}

TEST(the_monitor_puts_away)
{
    CHECK_EQ(run_cold(2, 100000000, 0, by_the_monitor), 0);
}

static bool count_each(struct weft__fiber *f, void *arg)
{
    *(int *)arg += at_load(&f->state) == WEFT__WAITING;
    return true;
}

static int looked_at(void *arg)
{
    enum { MANY = 500 };
    static struct party many[MANY];
    int seen = 0;
    (void)arg;
    for (int i = 0; i < MANY; i++)
        begin(&many[i], holds_little, MINE);
    for (int i = 0; i < MANY; i++)
        await_waiting(&many[i]);
    for (int i = 0; i < MANY; i++)
        put_away(&many[i]);
    weft__enter();
    weft__fibers_each(count_each, &seen);
    weft__leave();
    CHECK(seen >= MANY);
    for (int i = 0; i < MANY; i++)
        check_data(&many[i]);
    for (int i = 0; i < MANY; i++)
        CHECK(wake_up(&many[i], true));
    while (at_load(&finished) < MANY)
        nap(100000);
    CHECK_EQ(cold_counts().away, 0);
    return 0;
}

TEST(a_dump_sees_those_that_are_away)
{
    run(2, looked_at);
}

/* ---- woken and touched while they go ---- */

enum { PARTIES = 64 };
static struct party parties[PARTIES];
static _Atomic int over;

static void *puts_away(void *arg)
{
    (void)arg;
    while (!at_load(&over))
        pass();
    return NULL;
}

static void *looks_at_all(void *arg)
{
    struct weft__rand r;
    unsigned sum = 0;
    (void)arg;
    weft__rand_init(&r, test_seed() + 1);
    while (!at_load(&over)) { /* only where they wait, under the lock: that keeps them there */
        struct party *p = &parties[weft__rand_below(&r, PARTIES)];
        weft__enter();
        weft__lock(&p->lock, WEFT__RANK_SYNC);
        for (size_t i = 0; p->waits && i < p->bytes; i += 64)
            sum += p->data[i] != salt(p, i);
        weft__unlock(&p->lock);
        weft__leave();
        CHECK_EQ(sum, 0);
    }
    return NULL;
}

static int against_wakers(void *arg)
{
    struct weft__rand r;
    pthread_t t[3];
    (void)arg;
    weft__rand_init(&r, test_seed());
    for (int i = 0; i < PARTIES; i++)
        begin(&parties[i], i % 4 ? holds_little : holds_pages, i % 4 ? MINE : 10 << 10);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, i < 2 ? puts_away : looks_at_all, NULL), 0);
    int64_t until = weft__clock_ns() + test_stress_seconds() * (int64_t)1000000000;
    while (weft__clock_ns() < until || cold_counts().thawed < 100) {
        for (int i = 0; i < 20; i++)
            wake_up(&parties[weft__rand_below(&r, PARTIES)], false);
        nap(1000);
    }
    at_store(&over, 1);
    while (at_load(&finished) < PARTIES) {
        for (int i = 0; i < PARTIES; i++)
            wake_up(&parties[i], true);
        nap(1000000);
    }
    unsigned rounds = 0;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
    for (int i = 0; i < PARTIES; i++)
        rounds += parties[i].rounds;
    struct weft__cold_counts c = cold_counts();
    CHECK_EQ(c.away, 0);
    fprintf(stderr, "# %u rounds, %llu went, %llu stayed\n", rounds, (unsigned long long)c.frozen,
        (unsigned long long)c.refused);
    return 0;
}

TEST(woken_and_touched_while_they_go)
{
    run(2, against_wakers);
}

/* ---- refused ---- */

static char told[1024];
static void keep_log(void *arg, int level, const char *text)
{
    (void)arg;
    (void)level;
    snprintf(told, sizeof told, "%s", text);
}

static int nothing(void *arg)
{
    *(int *)arg = 1;
    return 0;
}

TEST(without_the_privilege_the_run_is_refused)
{
    int ran = 0;
    weft_run_opts o = {.size = sizeof o, .cold_ns = hour_ns};
    if (getuid() == 0 && setresuid(65534, 65534, 65534) < 0)
        test_skip("cannot become nobody");
    weft_set_log(keep_log, NULL);
    int rc = weft_run(nothing, &ran, &o, NULL);
    if (rc == 0)
        test_skip("everybody may use userfaultfd here");
    CHECK(rc == -EPERM || rc == -ENOSYS);
    CHECK(strstr(told, "cold_ns") && strstr(told, "userfaultfd"));
    CHECK_EQ(ran, 0);
    o.cold_ns = 0;
    CHECK_EQ(weft_run(nothing, &ran, &o, NULL), 0);
    CHECK_EQ(ran, 1);
    setenv("WEFT_COLD", "5s", 1);
    CHECK_EQ(weft_run(nothing, &ran, &o, NULL), rc);
    setenv("WEFT_COLD", "5", 1);
    CHECK_EQ(weft_run(nothing, &ran, &o, NULL), -EINVAL);
}

/* ---- the store ---- */

TEST(packing_gives_the_same_words_back)
{
    enum { WORDS = 2048 };
    static uint64_t in[WORDS], out[WORDS];
    static uint8_t code[WEFT__PACKED_MAX(sizeof in)];
    struct weft__rand r;
    weft__rand_init(&r, test_seed());
    for (int round = 0; round < 200; round++) {
        size_t n = 1 + weft__rand_below(&r, WORDS);
        unsigned kind = weft__rand_below(&r, 4);
        for (size_t i = 0; i < n; i++) {
            uint64_t w =
                (uint64_t)weft__rand_below(&r, UINT32_MAX) << 32 | weft__rand_below(&r, UINT32_MAX);
            in[i] = kind == 0 ? 0 : kind == 1 ? w : w >> weft__rand_below(&r, 64) & ~(w << 3);
            in[i] = kind == 3 && weft__rand_below(&r, 8) ? 0 : in[i];
        }
        size_t bytes = weft__pack(in, n * 8, code);
        CHECK(bytes <= WEFT__PACKED_MAX(n * 8));
        CHECK_EQ(weft__unpack(code, bytes, out), n * 8);
        CHECK_EQ(memcmp(in, out, n * 8), 0);
    }
}

TEST(blocks_do_not_overlap_and_go_back)
{
    enum { BLOCKS = 4000 };
    static struct {
        unsigned char *at;
        size_t bytes;
        unsigned char mark;
    } b[BLOCKS];
    struct weft__rand r;
    weft__rand_init(&r, test_seed());
    for (int round = 0; round < 40000; round++) {
        unsigned i = weft__rand_below(&r, BLOCKS);
        if (b[i].at) {
            for (size_t k = 0; k < b[i].bytes; k++)
                CHECK_EQ(b[i].at[k], b[i].mark);
            weft__store_free(b[i].at);
            b[i].at = NULL;
            continue;
        }
        b[i].bytes = 1 + weft__rand_below(&r, weft__rand_below(&r, 8) ? 1000 : WEFT__STORE_MAX);
        b[i].mark = (unsigned char)round;
        b[i].at = weft__store_alloc(b[i].bytes);
        CHECK(b[i].at != NULL && (uintptr_t)b[i].at % 16 == 0);
        memset(b[i].at, b[i].mark, b[i].bytes);
    }
    for (int i = 0; i < BLOCKS; i++)
        if (b[i].at)
            weft__store_free(b[i].at);
    CHECK_EQ(weft__store_bytes(), 0);
}
