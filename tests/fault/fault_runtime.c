// SPDX-License-Identifier: Apache-2.0
/*
 * fault_runtime.c - the n-th allocation fails, for each n until none is reached: the library
 * answers -ENOMEM (or NULL), goes on with what it has, and gives everything back at the end.
 *
 * One child process per n: the program under test is a small server and its clients, with channels,
 * scopes, contexts, timers, names and files in it. A child ends with 0 (its allocation failed and
 * it coped), DONE (n was never reached), or it crashed, hung or leaked, which fails the case.
 */
#include <weft/weft.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

enum { DONE = 3, LIMIT = 4000 };

typedef WEFT_CHAN_OF(int) int_chan;

static atomic_long countdown, live;

static bool fails(void)
{
    return atomic_fetch_sub(&countdown, 1) == 0;
}

static void *take(void *arg, size_t bytes)
{
    (void)arg;
    void *p = fails() ? NULL : malloc(bytes);
    live += p != NULL;
    return p;
}

static void *resize(void *arg, void *p, size_t bytes)
{
    (void)arg;
    return fails() ? NULL : realloc(p, bytes);
}

static void release(void *arg, void *p)
{
    (void)arg;
    live -= p != NULL;
    free(p);
}

static int producer(void *arg)
{
    int_chan c = *(int_chan *)arg;
    for (int i = 0; i < 50; i++) {
        int rc = weft_send(c, i);
        if (rc < 0)
            return rc;
    }
    weft_chan_close(c);
    return 0;
}

static int channels(void)
{
    int_chan c;
    int v, n = 0, rc = weft_chan_make(&c, 4);
    if (rc < 0)
        return rc;
    WEFT_SCOPE(s);
    rc = weft_go(&s, producer, &c);
    if (rc == 0)
        while (weft_recv(c, &v) > 0)
            n++;
    int joined = weft_wait(&s);
    weft_chan_free(c);
    if (rc == 0 && joined == 0)
        CHECK_EQ(n, 50);
    return rc < 0 ? rc : joined;
}

static int named(void *arg)
{
    int rc = weft_set_name("a fiber with a name");
    (void)arg;
    if (rc == 0)
        rc = weft_label("key", "value");
    return rc < 0 ? rc : weft_sleep(WEFT_MS);
}

static int contexts(void)
{
    WEFT_TIMEOUT(t, WEFT_SEC);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    int rc = 0;
    for (int i = 0; i < 5 && rc == 0; i++)
        rc = weft_go(&s, named, NULL);
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_current());
    weft_ctx *v = weft_ctx_with_value(c, &rc, "value");
    weft_chan *done = v ? weft_ctx_done(v) : NULL;
    weft_ctx_cancel(c);
    if (done) { /* without memory for the time-out the block runs under an ended context */
        int got = weft_chan_recv(done, NULL);
        CHECK(got == 0 || got == -ENOMEM);
    }
    weft_ctx_free(v);
    weft_ctx_free(c);
    int joined = weft_wait(&s);
    return rc < 0 ? rc : joined;
}

static int timers(void)
{
    weft_timer *t = weft_timer_new(WEFT_MS);
    if (!t)
        return -ENOMEM;
    weft_chan *c = weft_timer_chan(t);
    int rc = c ? weft_chan_recv(c, NULL) : -ENOMEM;
    weft_timer_free(t);
    return rc < 0 ? rc : 0;
}

static int echo(void *arg)
{
    int fd = *(int *)arg;
    char buf[64];
    ssize_t n = weft_read(fd, buf, sizeof buf);
    if (n > 0)
        n = weft_write_all(fd, buf, (size_t)n);
    weft_close(fd);
    return n < 0 ? (int)n : 0;
}

static int network(void)
{
    char address[64], buf[5];
    int ln = weft_listen("tcp", "127.0.0.1:0");
    if (ln < 0)
        return ln;
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    int rc = weft_dial("tcp", address), fd = -1;
    if (rc >= 0) {
        int client = rc;
        WEFT_SCOPE(s);
        fd = weft_accept(ln);
        rc = fd < 0 ? fd : weft_go_copy(&s, echo, fd);
        if (rc == 0 && weft_write_all(client, "hello", 5) == 5)
            CHECK_EQ(weft_read_full(client, buf, 5), 5);
        else if (fd >= 0)
            weft_close(fd);
        weft_close(client);
        int joined = weft_wait(&s);
        rc = rc < 0 ? rc : joined;
    }
    weft_close(ln);
    return rc;
}

static int files(void)
{
    char c;
    int fd = weft_open("/proc/self/exe", O_RDONLY, 0);
    if (fd < 0)
        return fd;
    ssize_t n = weft_pread(fd, &c, 1, 0);
    weft_close(fd);
    return n < 0 ? (int)n : 0;
}

static int app(void *arg)
{
    int (*const parts[])(void) = {channels, contexts, timers, network, files};
    (void)arg;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        int rc = parts[i]();
        CHECK_MSG(rc == 0 || rc == -ENOMEM || rc == -ECANCELED, "part %zu answers %d (%s)", i, rc,
            weft_strerror(rc));
    }
    return 0;
}

/* In the child. */
static void one(long n)
{
    int result = 0;
    weft_allocator a = {sizeof a, take, resize, release, NULL};
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    countdown = n;
    CHECK_EQ(weft_set_allocator(&a), 0);
    alarm(20);
    int rc = weft_run(app, NULL, &o, &result);
    CHECK_MSG(rc == 0 || rc == -ENOMEM, "weft_run answers %d", rc);
    CHECK_EQ(result, 0);
    _exit(atomic_load(&countdown) >= 0 ? DONE : 0);
}

TEST(the_nth_allocation_fails)
{
    long n = 0;
    for (; n < LIMIT; n++) {
        int status;
        pid_t pid = fork();
        if (pid == 0)
            one(n);
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == DONE)
            break;
        CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == 0, "allocation %ld: status %x", n,
            (unsigned)status);
    }
    CHECK_MSG(n > 5 && n < LIMIT, "%ld allocations were failed", n);
    printf("%ld allocations failed in turn\n", n);
}

/* The same program again and again in one process: what one run keeps (pools, tables) the next
 * uses. */
TEST(nothing_leaks_from_run_to_run)
{
    int result;
    weft_allocator a = {sizeof a, take, resize, release, NULL};
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    countdown = -1;
    CHECK_EQ(weft_set_allocator(&a), 0);
    long early = 0, late = 0;
    for (int i = 0; i < 80;
         i++) { /* debug builds keep the last 256 freed objects, so the level is reached late */
        CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
        if (i == 39)
            early = atomic_load(&live);
        late = atomic_load(&live);
    }
    CHECK_MSG(late <= early, "live allocations after 40 and 80 runs: %ld %ld", early, late);
}
