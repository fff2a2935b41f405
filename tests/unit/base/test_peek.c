// SPDX-License-Identifier: Apache-2.0
/*
 * test_peek.c - reading memory that may be gone: what is there is read, what is not is no fault;
 * also where the kernel refuses process_vm_readv, made so by a filter for system calls.
 */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/peek.h"
#include "test.h"

static void look_around(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *m = mmap(NULL, 3 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char got[64];
    CHECK(m != MAP_FAILED);
    memset(m, 'm', 3 * page);
    CHECK_EQ(munmap(m + 2 * page, page), 0);

    CHECK(weft__read_safely(m + page - 32, got, 64)); /* over the edge of a page */
    for (int i = 0; i < 64; i++)
        CHECK_EQ(got[i], 'm');
    CHECK(!weft__read_safely(m + 2 * page, got, 1));
    CHECK(!weft__read_safely(m + 2 * page - 8, got, 16));
    CHECK(!weft__read_safely(NULL, got, 8));

    char *all = malloc(3 * page);
    CHECK_EQ(weft__read_some(m, all, 3 * page), 2 * page);
    CHECK_EQ(memcmp(all, m, 2 * page), 0);
    CHECK_EQ(weft__read_some(m + page + 5, all, 100), 100);
    CHECK_EQ(weft__read_some(m + 2 * page, all, 100), 0);
    free(all);
}

TEST(what_is_gone_is_no_fault)
{
    look_around();
}

static bool can_be_read_at_once(void)
{
    char to;
    struct iovec l = {&to, 1}, r = {(void *)(uintptr_t) "x", 1};
    return process_vm_readv(getpid(), &l, 1, &r, 1, 0) == 1;
}

TEST(the_same_where_process_vm_readv_is_refused)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_vm_readv, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
    if (can_be_read_at_once()) {
        CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
            test_skip("the kernel has no filters for system calls");
    }
    CHECK(!can_be_read_at_once());
    look_around();
}
