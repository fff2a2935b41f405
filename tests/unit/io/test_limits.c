// SPDX-License-Identifier: Apache-2.0
/*
 * test_limits.c - where the machine gives less than usual: limits of address space and of data
 * (which is what strict overcommit, vm.overcommit_memory=2, comes to for one process: both count
 * private writable mappings whether reserved or not), locked memory, an old kernel.
 *
 * What must hold is in docs/design/stacks.md, "Where the machine gives less": a spawn that cannot
 * have its stack says -ENOMEM, what runs goes on, and the same spawn succeeds when there is room
 * again; a stack has its guard in any case. The old kernel is a seccomp filter.
 */
#include <weft/weft.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "seccomp.h"
#include "test.h"

enum { MIB = 1 << 20, MANY = 4000 };

/* ---- limits ---- */

/* What of a kind /proc/self/status counts, in bytes. */
static uint64_t in_use(const char *kind)
{
    char line[256];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/self/status", "re");
    CHECK(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, kind, strlen(kind)) == 0)
            kib = strtoull(line + strlen(kind), NULL, 10);
    fclose(f);
    CHECK(kib > 0);
    return kib * 1024;
}

static void limit_to(int what, rlim_t bytes)
{
    struct rlimit r;
    CHECK_EQ(getrlimit((__rlimit_resource_t)what, &r), 0);
    r.rlim_cur = bytes < r.rlim_max ? bytes : r.rlim_max;
    CHECK_EQ(setrlimit((__rlimit_resource_t)what, &r), 0);
}

static int wait_at(void *gate)
{
    char byte;
    return weft_chan_recv(*(weft_chan **)gate, &byte) == 0 ? 0 : -EIO;
}

static int limited;

static int as_many_as_there_is_room_for(weft_scope *s, weft_chan **gate)
{
    int n = 0, rc;
    while ((rc = weft_go(s, wait_at, gate)) == 0 && n < MANY)
        n++;
    CHECK_EQ(rc, -ENOMEM);
    return n;
}

/* As many as there is room for, and once more when they are gone; then all, without the limit. */
static int up_to_the_limit(void *arg)
{
    weft_chan *gate;
    int started[2];
    (void)arg;
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(weft_chan_new(1, 0, &gate), 0);
        WEFT_SCOPE(s, .errors = WEFT_COLLECT);
        int n = as_many_as_there_is_room_for(&s, &gate);
        while (n == 0 && round == 1) { /* other workers have all free stacks, for seconds at most */
            CHECK_EQ(weft_sleep(20 * WEFT_MS), 0);
            n = as_many_as_there_is_room_for(&s, &gate);
        }
        CHECK_EQ(weft_sleep(WEFT_MS), 0); /* what runs goes on */
        weft_chan_close(gate);
        CHECK_EQ(weft_wait(&s), -ENOMEM); /* the scope's error is the one that did not start */
        weft_chan_free(gate);
        started[round] = n;
    }
    CHECK(started[0] >= 16);
    CHECK(started[1] > 0);
    limit_to(limited, RLIM_INFINITY);
    CHECK_EQ(weft_chan_new(1, 0, &gate), 0);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(weft_go(&s, wait_at, &gate), 0);
    weft_chan_close(gate);
    CHECK_EQ(weft_wait(&s), 0);
    weft_chan_free(gate);
    return 0;
}

static int idle(void *arg)
{
    (void)arg;
    return 0;
}

static void within(int what, const char *kind)
{
#if TEST_SANITIZED
    test_skip("a sanitizer maps more than any limit");
#endif
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    limited = what;
    limit_to(what, in_use(kind)); /* no room at all: it does not start, and says so */
    int rc = weft_run(up_to_the_limit, NULL, &o, NULL);
    CHECK_MSG(rc == -ENOMEM || rc == -EAGAIN, "without room weft_run answers %d", rc);
    limit_to(what, RLIM_INFINITY);
    CHECK_EQ(weft_run(idle, NULL, &o, NULL), 0);
    limit_to(what, in_use(kind) + 160 * (rlim_t)MIB); /* a chunk of stacks is 64 MiB */
    CHECK_EQ(weft_run(up_to_the_limit, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

TEST(limit_of_address_space)
{
    within(RLIMIT_AS, "VmSize:");
}

TEST(limit_of_data)
{
    within(RLIMIT_DATA, "VmData:");
}

/* ---- stacks under mlockall and on an old kernel ---- */

static volatile int depth;

__attribute__((noinline)) static int deeper(int n)
{
    volatile char frame[1024];
    frame[0] = (char)n;
    depth = n;
    return depth < 0 ? 0 : deeper(n + 1) + frame[0];
}

static int overflow(void *arg)
{
    (void)arg;
    return deeper(0);
}

static int hundred_come_and_go(void *arg)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_go(&s, idle, arg), 0);
    return weft_wait(&s);
}

static int hundred_and_one_too_deep(void *arg)
{
    CHECK_EQ(hundred_come_and_go(arg), 0);
    WEFT_SCOPE(t);
    CHECK_EQ(weft_go(&t, overflow, arg), 0);
    return weft_wait(&t);
}

static void overflows(void)
{
    (void)weft_run(hundred_and_one_too_deep, NULL, NULL, NULL);
}

static void lock_all(void)
{
#if TEST_SANITIZED
    test_skip("a sanitizer maps more than can be locked");
#endif
    if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) < 0)
        test_skip("mlockall is forbidden here: %s", strerror(errno));
}

static void locked_overflow(void)
{
    lock_all(); /* a fork does not inherit it */
    overflows();
}

/* Where memory is locked the kernel refuses guard regions: guards are mappings, but there. */
TEST(an_overflow_in_locked_memory_is_told)
{
    lock_all();
    munlockall();
    EXPECT_DEATH(locked_overflow, "stack overflow in fiber");
}

TEST(locked_memory)
{
    int result = -1;
    lock_all();
    for (int i = 0; i < 2; i++)
        CHECK_EQ(weft_run(hundred_come_and_go, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
}

static void refuse_what_is_new(void)
{
    enum {
        NR = offsetof(struct seccomp_data, nr),
        ADVICE = offsetof(struct seccomp_data, args[2]),
        GUARD_INSTALL = 102
    };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 7, 0), /* 5.10 */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_epoll_pwait2, 6, 0),    /* 5.11 */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 5, 0),  /* 5.1 */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_membarrier, 4, 0),      /* 4.14 */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 4),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ADVICE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GUARD_INSTALL, 0, 2), /* 6.13 */
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    test_filter(code, sizeof code / sizeof *code);
}

static int write_soon(void *fd)
{
    int rc = weft_sleep(2 * WEFT_MS);
    return rc < 0 ? rc : (int)weft_write(*(int *)fd, "x", 1) - 1;
}

static int something_of_everything(void *arg)
{
    int p[2], fd;
    char byte;
    (void)arg;
    CHECK_EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, write_soon, &p[1]), 0);
    CHECK_EQ(weft_read(p[0], &byte, 1), 1); /* waits in the poller, with the sleeper's limit */
    CHECK_EQ(weft_wait(&s), 0);
    CHECK((fd = weft_open("/proc/self/exe", O_RDONLY, 0)) >= 0);
    CHECK_EQ(weft_pread(fd, &byte, 1, 0), 1);
    CHECK_EQ(weft_close(fd), 0);
    CHECK_STR(weft_file_backend(), "pool");
    WEFT_TIMEOUT(limit, 2 * WEFT_MS);
    CHECK_EQ(weft_read(p[0], &byte, 1), -ETIMEDOUT);
    weft_close(p[0]);
    weft_close(p[1]);
    return 0;
}

TEST(everything_works_on_an_old_kernel)
{
    refuse_what_is_new();
    for (unsigned workers = 1; workers <= 2; workers++) {
        int result = -1;
        weft_run_opts o = {.size = sizeof o, .workers = workers};
        CHECK_EQ(weft_run(something_of_everything, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
    }
}

TEST(an_overflow_on_an_old_kernel_is_told)
{
    refuse_what_is_new();
    EXPECT_DEATH(overflows, "stack overflow in fiber");
}
