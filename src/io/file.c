// SPDX-License-Identifier: Apache-2.0
/*
 * file.c - the calls of weft/file.h: describe the operation, hand it to an executor, wait.
 *
 * The executor is chosen once, at the first operation: io_uring unless WEFT_FILE=pool is set or the
 * kernel refuses it.
 */
#include <weft/file.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "base/futex.h"
#include "io/file_io.h"
#include "io/poller.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool use_uring;

static void choose(void)
{
    const char *wish = getenv("WEFT_FILE");
    use_uring = !(wish && strcmp(wish, "pool") == 0) && weft__file_uring_start() == 0;
}

const char *weft_file_backend(void)
{
    pthread_once(&once, choose);
    return use_uring ? "io_uring" : "pool";
}

static void run_in_pool(struct weft__job *j)
{
    struct weft__file_req *r = (struct weft__file_req *)(void *)j;
    long at = AT_FDCWD;
    switch (r->op) {
    case WEFT__FILE_READV:
        r->result =
            r->offset < 0
                ? weft__syscall(SYS_readv, r->fd, (long)r->iov, r->iov_count, 0, 0, 0)
                : weft__syscall(SYS_preadv, r->fd, (long)r->iov, r->iov_count, r->offset, 0, 0);
        break;
    case WEFT__FILE_WRITEV:
        r->result =
            r->offset < 0
                ? weft__syscall(SYS_writev, r->fd, (long)r->iov, r->iov_count, 0, 0, 0)
                : weft__syscall(SYS_pwritev, r->fd, (long)r->iov, r->iov_count, r->offset, 0, 0);
        break;
    case WEFT__FILE_OPEN:
        r->result = weft__syscall(SYS_openat, at, (long)r->path, r->flags, r->mode, 0, 0);
        break;
    case WEFT__FILE_FSYNC:
        r->result = weft__syscall(SYS_fsync, r->fd, 0, 0, 0, 0, 0);
        break;
    case WEFT__FILE_STATX:
        r->result =
            weft__syscall(SYS_statx, at, (long)r->path, 0, STATX_BASIC_STATS, (long)r->statx, 0);
        break;
    case WEFT__FILE_UNLINK:
        r->result = weft__syscall(SYS_unlinkat, at, (long)r->path, 0, 0, 0, 0);
        break;
    case WEFT__FILE_RENAME:
        r->result = weft__syscall(SYS_renameat2, at, (long)r->path, at, (long)r->path_to, 0, 0);
        break;
    case WEFT__FILE_MKDIR:
        r->result = weft__syscall(SYS_mkdirat, at, (long)r->path, r->mode, 0, 0, 0);
        break;
    }
}

static const char *const verbs[] = {
    [WEFT__FILE_READV] = "read",
    [WEFT__FILE_WRITEV] = "write",
    [WEFT__FILE_OPEN] = "open",
    [WEFT__FILE_FSYNC] = "fsync",
    [WEFT__FILE_STATX] = "stat",
    [WEFT__FILE_UNLINK] = "unlink",
    [WEFT__FILE_RENAME] = "rename",
    [WEFT__FILE_MKDIR] = "mkdir",
};

/* An open that a cancel interrupts says what a system call's return would have made an -EINTR. */
static bool interrupted(long result)
{
    return result == -EINTR || (result <= -512 && result >= -516);
}

/* The kernel tries an open with O_NONBLOCK first, and takes the answer of a FIFO that nobody reads,
 * that there is nobody, for the last word. */
static bool tried_only(const struct weft__file_req *r)
{
    return r->op == WEFT__FILE_OPEN && r->result == -ENXIO && !r->at_length &&
           !(r->flags & O_NONBLOCK);
}

static void do_by_uring(struct weft__file_req *r, void *caller)
{
    for (;;) {
        weft__job_wait(
            &r->job, WEFT__WAIT_FILE, caller, weft__file_uring_submit, weft__file_uring_cancel);
        if (!interrupted(r->result) && !tried_only(r))
            return;
        if (weft__cancelled(r->job.fiber) < 0) {
            r->result = -ECANCELED;
            return;
        }
        r->at_length |= r->result == -ENXIO;
    }
}

long weft__file_do(struct weft__file_req *r, void *caller)
{
    struct weft__fiber *f = weft__self();
    int rc = weft__cancelled(f);
    if (rc < 0)
        return rc;
    r->job.verb = verbs[r->op];
    r->job.name = r->path;
    r->job.fd = r->fd;
    if (use_uring) {
        do_by_uring(r, caller);
    } else {
        r->job.run = run_in_pool;
        rc = weft__offload(&r->job, WEFT__WAIT_FILE, caller);
        if (rc < 0)
            return rc;
    }
    if (r->result == -ECANCELED && (rc = weft__cancelled(f)) < 0)
        return rc; /* says whether it was a deadline */
    return r->result;
}

/* Chooses the executor outside the runtime (it makes a thread), then does the operation inside. */
static long file_op(struct weft__file_req *r, void *caller)
{
    pthread_once(&once, choose);
    weft__enter();
    long rc = weft__file_do(r, caller);
    weft__leave();
    return rc;
}

ssize_t weft__file_transfer(int fd, bool write, const struct iovec *iov, int count, void *caller)
{
    struct weft__file_req r = {.op = write ? WEFT__FILE_WRITEV : WEFT__FILE_READV,
        .fd = fd,
        .iov = iov,
        .iov_count = count,
        .offset = -1};
    weft__leave();
    pthread_once(&once, choose);
    weft__enter();
    return weft__file_do(&r, caller);
}

int weft_open(const char *path, int flags, mode_t mode)
{
    struct weft__file_req r = {
        .op = WEFT__FILE_OPEN, .path = path, .flags = flags | O_CLOEXEC, .mode = mode};
    int fd = (int)file_op(&r, __builtin_return_address(0));
    if (fd >= 0) {
        weft__enter();
        weft__fd_new(fd);
        weft__leave();
    }
    return fd;
}

ssize_t weft_pread(int fd, void *buf, size_t bytes, off_t offset)
{
    struct iovec iov = {.iov_base = buf, .iov_len = bytes};
    struct weft__file_req r = {
        .op = WEFT__FILE_READV, .fd = fd, .iov = &iov, .iov_count = 1, .offset = offset};
    return offset < 0 ? -EINVAL : file_op(&r, __builtin_return_address(0));
}

ssize_t weft_pwrite(int fd, const void *buf, size_t bytes, off_t offset)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)buf, .iov_len = bytes};
    struct weft__file_req r = {
        .op = WEFT__FILE_WRITEV, .fd = fd, .iov = &iov, .iov_count = 1, .offset = offset};
    return offset < 0 ? -EINVAL : file_op(&r, __builtin_return_address(0));
}

int weft_fsync(int fd)
{
    struct weft__file_req r = {.op = WEFT__FILE_FSYNC, .fd = fd};
    return (int)file_op(&r, __builtin_return_address(0));
}

static struct timespec time_of(struct statx_timestamp t)
{
    return (struct timespec){.tv_sec = t.tv_sec, .tv_nsec = t.tv_nsec};
}

int weft_stat(const char *path, struct stat *ret_stat)
{
    struct statx x = {0};
    struct weft__file_req r = {.op = WEFT__FILE_STATX, .path = path, .statx = &x};
    int rc = (int)file_op(&r, __builtin_return_address(0));
    if (rc < 0)
        return rc;
    *ret_stat = (struct stat){
        .st_dev = makedev(x.stx_dev_major, x.stx_dev_minor),
        .st_ino = x.stx_ino,
        .st_mode = x.stx_mode,
        .st_nlink = x.stx_nlink,
        .st_uid = x.stx_uid,
        .st_gid = x.stx_gid,
        .st_rdev = makedev(x.stx_rdev_major, x.stx_rdev_minor),
        .st_size = (off_t)x.stx_size,
        .st_blksize = (blksize_t)x.stx_blksize,
        .st_blocks = (blkcnt_t)x.stx_blocks,
        .st_atim = time_of(x.stx_atime),
        .st_mtim = time_of(x.stx_mtime),
        .st_ctim = time_of(x.stx_ctime),
    };
    return 0;
}

int weft_unlink(const char *path)
{
    struct weft__file_req r = {.op = WEFT__FILE_UNLINK, .path = path};
    return (int)file_op(&r, __builtin_return_address(0));
}

int weft_rename(const char *from, const char *to)
{
    struct weft__file_req r = {.op = WEFT__FILE_RENAME, .path = from, .path_to = to};
    return (int)file_op(&r, __builtin_return_address(0));
}

int weft_mkdir(const char *path, mode_t mode)
{
    struct weft__file_req r = {.op = WEFT__FILE_MKDIR, .path = path, .mode = mode};
    return (int)file_op(&r, __builtin_return_address(0));
}
