// SPDX-License-Identifier: Apache-2.0
/*
 * seccomp.h - for tests that want a kernel without some system call: a filter for the rest of the
 * process's life. The case is skipped, with the reason, where the kernel has none.
 */
#ifndef WEFT_TESTS_SECCOMP_H
#define WEFT_TESTS_SECCOMP_H
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "test.h"

static inline void test_filter(struct sock_filter *code, size_t steps)
{
    struct sock_fprog filter = {.len = (unsigned short)steps, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) < 0)
        test_skip("the kernel has no seccomp filters");
}
#endif
