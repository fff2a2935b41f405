// SPDX-License-Identifier: Apache-2.0
/*
 * test_pipe.c - writes to a pipe that nobody reads: an error, no signal, with the default
 * disposition; by the kernel's own flag (Linux 6.18) and without it. The old kernel is a seccomp
 * filter.
 */
#include <weft/net.h>
#include <weft/process.h>
#include <weft/run.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp.h"
#include "test.h"

static void run(int (*app)(void *))
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    signal(SIGPIPE, SIG_DFL); /* whatever the shell that runs the tests left */
    CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static void without_the_flag(uint32_t err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pwritev2, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | err),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    test_filter(code, sizeof code / sizeof *code);
}

static bool sigpipe_is(int (*get)(sigset_t *))
{
    sigset_t set;
    CHECK_EQ(get(&set), 0);
    return sigismember(&set, SIGPIPE);
}

static int blocked(sigset_t *ret)
{
    return pthread_sigmask(SIG_BLOCK, NULL, ret);
}

/* A writer's end whose reader is gone. */
static int broken_pipe(int flags)
{
    int p[2];
    CHECK_EQ(pipe2(p, O_CLOEXEC | flags), 0);
    CHECK_EQ(close(p[0]), 0);
    return p[1];
}

static int writes(void *arg)
{
    static const int flags[] = {O_NONBLOCK, 0};
    struct iovec iov[2] = {{"he", 2}, {"llo", 3}};
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int fd = broken_pipe(flags[i]);
        CHECK_EQ(weft_write(fd, "x", 1), -EPIPE);
        CHECK_EQ(weft_writev(fd, iov, 2), -EPIPE);
        CHECK_EQ(weft_write_all(fd, "x", 1), -EPIPE);
        CHECK(!sigpipe_is(sigpending));
        CHECK(!sigpipe_is(blocked)); /* the mask is as it was */
        CHECK_EQ(weft_close(fd), 0);
    }
    return 0;
}

/* A child that ends without a look at what it is given: the example of weft/process.h. */
static int to_a_child(void *arg)
{
    const char *const argv[] = {"true", NULL};
    weft_process_opts o = {.size = sizeof o, .stdin_fd = WEFT_STDIO_PIPE};
    weft_process *p = NULL;
    (void)arg;
    CHECK_EQ(weft_process_start(argv, &o, &p), 0);
    CHECK_EQ(weft_process_wait(p, NULL), 0);
    int fd = weft_process_pipe(p, 0);
    CHECK_EQ(weft_write(fd, "x", 1), -EPIPE);
    CHECK_EQ(weft_close(fd), 0);
    weft_process_free(p);
    return 0;
}

/* What works goes on working: a pipe with a reader, and files that take no flags. */
static int good_writes(void *arg)
{
    static const int flags[] = {O_NONBLOCK, 0};
    uint64_t one = 1, seen = 0;
    char buf[8];
    (void)arg;
    for (int i = 0; i < 2; i++) {
        int p[2];
        CHECK_EQ(pipe2(p, O_CLOEXEC | flags[i]), 0);
        CHECK_EQ(weft_write(p[1], "hello", 5), 5);
        CHECK_EQ(weft_read(p[0], buf, sizeof buf), 5);
        CHECK(memcmp(buf, "hello", 5) == 0);
        CHECK_EQ(weft_close(p[0]), 0);
        CHECK_EQ(weft_close(p[1]), 0);
        int e = eventfd(0, EFD_CLOEXEC | (flags[i] ? EFD_NONBLOCK : 0));
        CHECK(e >= 0);
        CHECK_EQ(weft_write(e, &one, sizeof one), sizeof one);
        CHECK_EQ(weft_read(e, &seen, sizeof seen), sizeof seen);
        CHECK_EQ(seen, 1);
        CHECK_EQ(weft_close(e), 0);
    }
    return 0;
}

static void all(void)
{
    run(good_writes); /* an eventfd's refusal of flags says nothing of the kernel */
    run(writes);
    run(to_a_child);
    run(good_writes);
    CHECK_EQ(writes(NULL), 0); /* a plain thread, no run */
}

TEST(a_pipe_that_nobody_reads)
{
    all();
}

TEST(a_pipe_that_nobody_reads_before_linux_6_18)
{
    without_the_flag(EOPNOTSUPP);
    all();
}

TEST(a_pipe_that_nobody_reads_without_pwritev2)
{
    without_the_flag(ENOSYS);
    all();
}

/* Another's SIGPIPE stays pending, and no second one comes of ours. */
static void keeps_a_pending_one(void)
{
    sigset_t set;
    int fd = broken_pipe(O_NONBLOCK);
    sigemptyset(&set);
    sigaddset(&set, SIGPIPE);
    CHECK_EQ(pthread_sigmask(SIG_BLOCK, &set, NULL), 0);
    CHECK_EQ(weft_write(fd, "x", 1), -EPIPE);
    CHECK(!sigpipe_is(sigpending)); /* blocked or not, ours is never seen */
    CHECK_EQ(raise(SIGPIPE), 0);
    CHECK_EQ(weft_write(fd, "x", 1), -EPIPE);
    CHECK(sigpipe_is(sigpending));
    CHECK(sigpipe_is(blocked));
    CHECK_EQ(sigtimedwait(&set, NULL, &(struct timespec){0}), SIGPIPE);
    CHECK_EQ(weft_close(fd), 0);
}

TEST(a_pending_sigpipe_stays)
{
    keeps_a_pending_one();
}

TEST(a_pending_sigpipe_stays_before_linux_6_18)
{
    without_the_flag(EOPNOTSUPP);
    keeps_a_pending_one();
}
