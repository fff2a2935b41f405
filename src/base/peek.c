// SPDX-License-Identifier: Apache-2.0
/*
 * peek.c - reading memory that may be gone (peek.h): the kernel copies, and says when it cannot.
 *
 * process_vm_readv does it in one call. A kernel may be built without it, a container's filter and
 * an emulator may refuse it: then /proc/self/mem says the same in three.
 */
#include "base/peek.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/futex.h"

/* n: what process_vm_readv returned. */
static long or_by_file(long n, uintptr_t from, void *to, size_t bytes)
{
    if (n >= 0 || n == -EFAULT)
        return n;
    long fd =
        weft__syscall(SYS_openat, AT_FDCWD, (long)"/proc/self/mem", O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return fd;
    n = weft__syscall(SYS_pread64, fd, (long)to, (long)bytes, (long)from, 0, 0);
    weft__syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    return n;
}

int weft__read_safely(const void *from, void *to, size_t bytes)
{
    struct iovec l = {to, bytes}, r = {(void *)(uintptr_t)from, bytes};
    long n = weft__syscall(SYS_process_vm_readv, getpid(), (long)&l, 1, (long)&r, 1, 0);
    return or_by_file(n, (uintptr_t)from, to, bytes) == (long)bytes;
}

size_t weft__read_some(const void *from, void *to, size_t bytes)
{
    enum { PAGE = 4096, PARTS = 64 };
    struct iovec l = {to, 0}, r[PARTS];
    uintptr_t at = (uintptr_t)from;
    int parts = 0;
    /* A part is read whole or not at all, so each is one page. */
    for (; parts < PARTS && l.iov_len < bytes; parts++) {
        size_t n = PAGE - at % PAGE;
        if (n > bytes - l.iov_len)
            n = bytes - l.iov_len;
        r[parts] = (struct iovec){(void *)at, n};
        l.iov_len += n;
        at += n;
    }
    long n = weft__syscall(SYS_process_vm_readv, getpid(), (long)&l, 1, (long)r, parts, 0);
    n = or_by_file(n, (uintptr_t)from, to, bytes);
    return n > 0 ? (size_t)n : 0;
}
