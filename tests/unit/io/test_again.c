// SPDX-License-Identifier: Apache-2.0
/*
 * test_again.c - many runs of the runtime in one process, one after another, with work in each:
 * nothing is left of them that grows.
 *
 * Counted are descriptors, threads, mappings, blocks of the library's heap (by an allocator of our
 * own) and bytes of the C library's. The first runs are not: they make what stays for the next ones
 * (epoll instance, threads of files and names, records of workers). Blocks and descriptors must
 * then be as many as before; threads and mappings may differ by what waits to be used again (a pool
 * has 16 threads at most), far from one a run.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>
#include <weft/loop.h>
#include <weft/weft.h>

#include "base/atomic.h"
#include "test.h"

enum { WARM = 12, RUNS = 100, SLACK = 20 };

/* ---- counting ---- */

static _Atomic long blocks;

static void *count_alloc(void *arg, size_t bytes)
{
    (void)arg;
    at_add(&blocks, 1);
    return malloc(bytes);
}

static void *count_resize(void *arg, void *p, size_t bytes)
{
    (void)arg;
    if (!p)
        at_add(&blocks, 1);
    return realloc(p, bytes);
}

static void count_release(void *arg, void *p)
{
    (void)arg;
    if (p)
        at_sub(&blocks, 1);
    free(p);
}

struct count {
    long descriptors, threads, mappings, blocks, bytes;
};

static long entries_of(const char *folder)
{
    long n = 0;
    DIR *d = opendir(folder);
    CHECK(d != NULL);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static long lines_of(const char *path)
{
    long n = 0;
    int c;
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    while ((c = getc(f)) != EOF)
        n += c == '\n';
    fclose(f);
    return n;
}

static struct count now(void)
{
    return (struct count){
        .descriptors = entries_of("/proc/self/fd"),
        .threads = entries_of("/proc/self/task"),
        .mappings = lines_of("/proc/self/maps"),
        .blocks = at_load(&blocks),
        .bytes = (long)mallinfo2().uordblks,
    };
}

/* ---- the work of a run: something of one room in turn, so that a busy machine can do them all
 * ---- */

typedef WEFT_CHAN_OF(int) int_chan;

static int sends(void *arg)
{
    int_chan *c = arg;
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_send(*c, i), 0);
    weft_chan_close(c->chan);
    return 0;
}

static void channels(void)
{
    int_chan c;
    int v, sum = 0;
    CHECK_EQ(weft_chan_make(&c, 3), 0);
    {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, sends, &c), 0);
        while (weft_recv(c, &v) > 0)
            sum += v;
        CHECK_EQ(weft_wait(&s), 0);
    }
    CHECK_EQ(sum, 9 * 5);
    weft_chan_free(c.chan);
}

static int fails(void *arg)
{
    (void)arg;
    weft_set_name("failing");
    weft_label("request", "12");
    return weft_fail(weft_error_new(-EIO, "on purpose"));
}

static int waits_long(void *arg)
{
    (void)arg;
    return weft_sleep(WEFT_HOUR);
}

static int panics(void *arg)
{
    (void)arg;
    weft_panic("on purpose");
}

static void contexts(void)
{
    weft_panic_info *caught = NULL;
    {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, waits_long, NULL), 0);
        CHECK_EQ(weft_go(&s, fails, NULL), 0);
        CHECK_EQ(weft_wait(&s), -EIO);
    }
    weft_error_free(weft_error_take(-EIO));
    {
        WEFT_TIMEOUT(t, 100 * WEFT_US);
        CHECK_EQ(weft_sleep(WEFT_HOUR), -ETIMEDOUT);
    }
    CHECK_EQ(weft_try(panics, NULL, &caught), -WEFT_EPANIC);
    weft_panic_free(caught);
    weft_timer *t = weft_ticker_new(WEFT_MS);
    CHECK_EQ(weft_chan_recv(weft_timer_chan(t), NULL), 1);
    weft_timer_free(t);
}

static int serves_one(void *arg)
{
    char c;
    int fd = weft_accept(*(int *)arg);
    CHECK(fd >= 0);
    CHECK_EQ(weft_read(fd, &c, 1), 1);
    CHECK_EQ(weft_write_all(fd, &c, 1), 1);
    return weft_close(fd);
}

static void sockets(void)
{
    char address[128], c = 'x';
    int ln = weft_listen("tcp", "127.0.0.1:0");
    CHECK(ln >= 0);
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, serves_one, &ln), 0);
    const char *port = strrchr(address, ':');
    char by_name[160];
    snprintf(by_name, sizeof by_name, "localhost%s", port);
    int fd = weft_dial("tcp4", by_name);
    CHECK(fd >= 0);
    CHECK_EQ(weft_write_all(fd, &c, 1), 1);
    CHECK_EQ(weft_read(fd, &c, 1), 1);
    CHECK_EQ(weft_close(fd), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_close(ln), 0);
}

static void files(void)
{
    char text[8];
    int fd = weft_open("/proc/self/comm", O_RDONLY, 0);
    CHECK(fd >= 0);
    CHECK(weft_read(fd, text, sizeof text) > 0);
    CHECK_EQ(weft_close(fd), 0);
    weft_blocking_begin();
    usleep(10); /* the call that blocks */
    weft_blocking_end();
}

static void processes(void)
{
    const char *const argv[] = {"true", NULL};
    weft_process *p;
    weft_chan *c;
    weft_process_opts o = {
        .size = sizeof o, .stdin_fd = WEFT_STDIO_PIPE, .stdout_fd = WEFT_STDIO_PIPE};
    CHECK_EQ(weft_chan_new(sizeof(int), 1, &c), 0);
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGUSR1, SIGUSR2)), 0);
#ifndef WEFT_TSAN_FIBERS /* which keeps signals from a thread that sits in a futex of ours */
    kill(getpid(), SIGUSR1);
    CHECK_EQ(weft_chan_recv(c, NULL), 1);
#endif
    CHECK_EQ(weft_process_start(argv, &o, &p), 0);
    CHECK_EQ(weft_close(weft_process_pipe(p, 0)), 0);
    CHECK_EQ(weft_process_wait(p, NULL), 0);
    weft_process_free(p);
    weft_signal_stop(c);
    weft_chan_free(c);
}

static int app(void *arg)
{
    static void (*const rooms[])(void) = {contexts, sockets, files, processes};
    CHECK_EQ(weft_go(NULL, waits_long, NULL), 0); /* the end of the run is what ends it */
    channels();
    rooms[*(int *)arg % 4]();
    return 0;
}

static void one_run(int i)
{
    weft_run_opts o = {.size = sizeof o, .workers = 1 + (unsigned)i % 3};
    int result = -1;
    CHECK_EQ(weft_run(app, &i, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static int add(void *arg)
{
    return ++*(int *)arg;
}

struct beside {
    weft_loop *loop;
    int i;
};

static int tells_the_loop(void *arg)
{
    struct beside *b = arg;
    int n = 1;
    return weft_loop_call(b->loop, add, &n) == 2 ? app(&b->i) : -1;
}

/* The same beside a program, with a loop that comes and goes. */
static void one_start(int i)
{
    weft_loop_opts lo = {.size = sizeof lo, .kind = i % 2 ? WEFT_LOOP_EPOLL : WEFT_LOOP_AUTO};
    weft_loop *loop;
    CHECK_EQ(weft_loop_new(&lo, &loop), 0);
    CHECK_EQ(weft_loop_start(loop), 0);
    CHECK_EQ(weft_start(NULL), 0);
    struct beside b = {loop, i};
    {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, tells_the_loop, &b), 0);
        CHECK_EQ(weft_wait(&s), 0);
    }
    CHECK_EQ(weft_stop(), 0);
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_join(loop), 0);
    weft_loop_free(loop);
}

/* Builds with assertions keep the last freed objects for a while, to know them if they are used. */
static void fill_quarantine(void)
{
    for (int i = 0; i < 300; i++) {
        weft_chan *c;
        CHECK_EQ(weft_chan_new(64, 4, &c), 0);
        weft_chan_free(c);
    }
}

static void nothing_grows(void (*one)(int i))
{
    const weft_allocator counting = {.size = sizeof counting,
        .alloc = count_alloc,
        .resize = count_resize,
        .release = count_release};
    CHECK_EQ(weft_set_allocator(&counting), 0);
    for (int i = 0; i < WARM; i++)
        one(i);
    fill_quarantine();
    struct count before = now();
    for (int i = 0; i < RUNS; i++)
        one(i);
    struct count after = now();
    printf("# before and after: descriptors %ld %ld, threads %ld %ld, mappings %ld %ld, blocks %ld "
           "%ld, bytes %ld %ld\n",
        before.descriptors, after.descriptors, before.threads, after.threads, before.mappings,
        after.mappings, before.blocks, after.blocks, before.bytes, after.bytes);
    CHECK_EQ(after.descriptors, before.descriptors);
    CHECK_EQ(after.blocks, before.blocks);
    CHECK(after.threads < before.threads + SLACK);
    CHECK(after.mappings < before.mappings + 3 * SLACK);
    CHECK(after.bytes < before.bytes + RUNS * 512);
}

TEST(a_hundred_runs_leave_nothing)
{
    nothing_grows(one_run);
}

TEST(a_hundred_starts_leave_nothing)
{
    nothing_grows(one_start);
}
