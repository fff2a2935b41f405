// SPDX-License-Identifier: Apache-2.0
/*
 * file_io.h - one file operation as data, and its two executors: the file thread's io_uring, and a
 * system call on a pool thread.
 */
#ifndef WEFT_IO_FILE_IO_H
#define WEFT_IO_FILE_IO_H
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "io/offload.h"

enum weft__file_op {
    WEFT__FILE_READV,
    WEFT__FILE_WRITEV,
    WEFT__FILE_OPEN,
    WEFT__FILE_FSYNC,
    WEFT__FILE_STATX,
    WEFT__FILE_UNLINK,
    WEFT__FILE_RENAME,
    WEFT__FILE_MKDIR,
};

struct weft__file_req {
    struct weft__job job; /* not abandonable: buffers are the caller's */
    enum weft__file_op op;
    int fd, flags;
    uint32_t mode;
    const struct iovec *iov;
    int iov_count;
    int64_t offset; /* -1: the file's own position */
    const char *path, *path_to;
    struct statx *statx;
    long result;
    bool at_length; /* open: not as a try first, which the kernel makes with O_NONBLOCK */
    struct weft__file_req *next; /* the file thread's lists */
    _Atomic bool cancel;         /* its fiber's context ended: cancel it if it is still under way */
};

/** Does the operation and waits. Result or negative errno. Inside weft__enter/leave. */
long weft__file_do(struct weft__file_req *r, void *caller);
ssize_t weft__file_transfer(int fd, bool write, const struct iovec *iov, int count, void *caller);

/* file_uring.c */
/** Starts the file thread. 0, or why io_uring cannot be used (-ENOSYS, -EPERM, …). Not inside
 * weft__enter. */
int weft__file_uring_start(void);
void weft__file_uring_submit(struct weft__job *j);
void weft__file_uring_cancel(struct weft__job *j);
#endif
