// SPDX-License-Identifier: Apache-2.0
/*
 * quiet.c - a write to a pipe raises no SIGPIPE (quiet.h).
 *
 * Who writes to a pipe that nobody reads any more gets SIGPIPE, whose default ends the program.
 * Sockets have MSG_NOSIGNAL against that; pipes have RWF_NOSIGNAL, since Linux 6.18. Where the
 * kernel is older the thread blocks the signal round the write and takes it from among its pending
 * ones. Ignoring it for good would be simpler, but the program's dispositions are the program's.
 *
 *      pwritev2(RWF_NOSIGNAL) ─┬─ an answer
 *                              └─ EOPNOTSUPP ─┬─ no pipe: writev (it raises nothing)
 *                                             └─ a pipe: the kernel is too old; noted, and
 *
 *      SIGPIPE blocked ── writev ─┬─ EPIPE ── the signal taken ─┬─ the mask as it was
 *                                 └─ another answer ────────────┘
 *
 * The kernel's flag costs nothing; the other way costs two system calls a write. EOPNOTSUPP is also
 * the answer of a file that takes no flags at all (eventfd), on any kernel.
 *
 * Q1  The kernel raises SIGPIPE for the thread that writes, and hands out a thread's own signals
 *     before the process's: what is taken after EPIPE is the write's own, whatever others send.
 * Q2  If the thread had one pending already, ours has merged with it: nothing is taken.
 * Q3  From the block to the mask's return the thread stays the same: no park in between, and the
 *     monitor leaves a thread alone that is inside the runtime or in a blocking section.
 *
 * Concurrency: any thread, any fiber. Progress: that of the write.
 */
#include "io/quiet.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/futex.h"

#ifndef RWF_NOSIGNAL /* Linux 6.18; Debian 12's headers lack it */
#define RWF_NOSIGNAL 0x00000100
#endif

static const uint64_t sigpipe_bit = UINT64_C(1) << (SIGPIPE - 1);
static _Atomic uint32_t kernel_is_old; /* 1: it has no RWF_NOSIGNAL */

static long plain_writev(int fd, const struct iovec *iov, long count)
{
    return weft__syscall(SYS_writev, fd, (long)iov, count, 0, 0, 0);
}

static void take_own_signal(void)
{
    struct timespec none = {0};
    weft__syscall(
        SYS_rt_sigtimedwait, (long)&sigpipe_bit, 0, (long)&none, sizeof sigpipe_bit, 0, 0);
}

static long masked_writev(int fd, const struct iovec *iov, long count)
{
    uint64_t before = 0, pending = 0;
    weft__syscall(
        SYS_rt_sigprocmask, SIG_BLOCK, (long)&sigpipe_bit, (long)&before, sizeof sigpipe_bit, 0, 0);
    if (before & sigpipe_bit) /* else none can be pending for this thread */
        weft__syscall(SYS_rt_sigpending, (long)&pending, sizeof pending, 0, 0, 0, 0);
    long n = plain_writev(fd, iov, count);
    if (n == -EPIPE && !(pending & sigpipe_bit)) /* Q1, Q2 */
        take_own_signal();
    if (!(before & sigpipe_bit))
        weft__syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, sizeof sigpipe_bit, 0, 0);
    return n;
}

static bool is_pipe(int fd)
{
    struct stat st;
    return weft__syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0) == 0 && S_ISFIFO(st.st_mode);
}

long weft__writev_quietly(int fd, const struct iovec *iov, long count)
{
    if (!at_load(&kernel_is_old)) {
        long n = weft__syscall(SYS_pwritev2, fd, (long)iov, count, -1, -1, RWF_NOSIGNAL);
        if (n != -EOPNOTSUPP && n != -ENOSYS)
            return n;
        if (n == -EOPNOTSUPP && !is_pipe(fd))
            return plain_writev(fd, iov, count);
        at_store(&kernel_is_old, 1);
    }
    return masked_writev(fd, iov, count);
}
