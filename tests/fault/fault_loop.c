// SPDX-License-Identifier: Apache-2.0
/*
 * fault_loop.c - pinned loops when allocations fail or file descriptors run out: every error comes
 * back as a negative errno, nothing leaks, and what exists goes on working.
 */
#include <dirent.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <weft/run.h>
#include "unit/io/loop_test.h"

static long countdown = -1, live;

static void *failing_alloc(void *arg, size_t bytes)
{
    if (countdown >= 0 && countdown-- == 0)
        return NULL;
    live++;
    return malloc(bytes);
}

static void *failing_resize(void *arg, void *p, size_t bytes)
{
    if (countdown >= 0 && countdown-- == 0)
        return NULL;
    return realloc(p, bytes);
}

static void counted_release(void *arg, void *p)
{
    live--;
    free(p);
}

static void use_failing_allocator(void)
{
    weft_allocator a = {sizeof a, failing_alloc, failing_resize, counted_release, NULL};
    CHECK_EQ(weft_set_allocator(&a), 0);
}

static int open_fds(void)
{
    int n = 0;
    DIR *d = opendir("/proc/self/fd");
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void nothing(weft_loop *loop, weft_loop_io *io, unsigned events) {}

static void no_accept(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg) {}

enum { PAIRS = 700 }; /* 1400 records: the table grows twice */

/* Everything that allocates. Returns the first error. */
static int scenario(weft_loop *loop, int (*fd)[2], weft_loop_io *io, const char *path)
{
    weft_loop_listener *l;
    int rc = weft_loop_listen(loop, "127.0.0.1:0", NULL, no_accept, NULL, &l);
    if (rc < 0)
        return rc;
    rc = weft_loop_listen(loop, path, NULL, no_accept, NULL, &l);
    if (rc < 0) {
        CHECK(access(path, F_OK) < 0);
        return rc;
    }
    for (int i = 0; i < 2 * PAIRS; i++) {
        rc = weft_loop_io_add(loop, &io[i], fd[i / 2][i % 2], WEFT_LOOP_READ, nothing);
        if (rc < 0)
            return rc;
    }
    CHECK_EQ(weft_loop_step(loop, 0), 0);
    static weft_loop_send_op ops[PAIRS];
    for (int i = 0; i < PAIRS; i++)
        ops[i] = (weft_loop_send_op){.io = &io[2 * i], .data = "x", .bytes = 1};
    CHECK_EQ(weft_loop_send_batch(loop, ops, PAIRS), PAIRS);
    return 0;
}

BOTH(nth_allocation_fails)
{
    static int fd[PAIRS][2];
    static weft_loop_io io[2 * PAIRS];
    char path[64];
    use_failing_allocator();
    snprintf(path, sizeof path, "/tmp/weft-fault-%d-%d", getpid(), kind);
    for (int i = 0; i < PAIRS; i++)
        make_pair(fd[i]);
    int fds = open_fds(), rc = -ENOMEM, failures = 0;
    weft_loop_opts o = {.size = sizeof o, .kind = kind};
    for (long n = 0; rc < 0; n++, failures++) {
        weft_loop *loop;
        countdown = n;
        rc = weft_loop_new(&o, &loop);
        if (kind == WEFT_LOOP_URING && (rc == -ENOSYS || rc == -EPERM))
            test_skip("io_uring is not available here: %s", strerror(-rc));
        if (rc == 0) {
            memset(io, 0, sizeof io);
            rc = scenario(loop, fd, io, path);
            countdown = -1;
            weft_loop_free(loop);
        }
        CHECK_MSG(rc >= 0 || rc == -ENOMEM, "allocation %ld: %s", n, strerror(-rc));
        CHECK_EQ(live, 0);
        CHECK_EQ(open_fds(), fds);
        CHECK(access(path, F_OK) < 0);
    }
    CHECK(failures >= 5);
}

BOTH(fds_run_out)
{
    weft_loop_opts o = {.size = sizeof o, .kind = kind};
    struct rlimit r;
    int rc = -EMFILE, fds = open_fds(), failures = 0;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &r), 0);
    rlim_t usual = r.rlim_cur;
    int first = dup(0);
    CHECK(first >= 0);
    close(first);
    for (rlim_t limit = (rlim_t)first; rc < 0; limit++, failures++) {
        weft_loop *loop;
        r.rlim_cur = limit;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &r), 0);
        rc = weft_loop_new(&o, &loop);
        r.rlim_cur = usual;
        CHECK_EQ(setrlimit(RLIMIT_NOFILE, &r), 0);
        if (kind == WEFT_LOOP_URING && (rc == -ENOSYS || rc == -EPERM))
            test_skip("io_uring is not available here: %s", strerror(-rc));
        CHECK(rc == 0 || rc == -EMFILE);
        if (rc == 0)
            weft_loop_free(loop);
        CHECK_EQ(open_fds(), fds);
    }
    CHECK(failures >= 2);
}
