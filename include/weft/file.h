// SPDX-License-Identifier: Apache-2.0
/*
 * weft/file.h - files without blocking a worker.
 *
 * A regular file is always "ready", so waiting for readiness does not help: the calls here hand the
 * operation to the file thread, which drives an io_uring for all workers, and park the fiber until
 * it is done. Where io_uring is missing or forbidden (seccomp, old kernels, or WEFT_FILE=pool in
 * the environment) a small pool of threads makes the system calls instead; the results are the
 * same.
 *
 * When the fiber's context ends, the operation is cancelled where the kernel can still do so, and
 * awaited in any case before the call returns: the buffer is never the kernel's once the caller has
 * it back. The result then is the operation's own if it was quicker, else -ECANCELED or -ETIMEDOUT.
 */
#ifndef WEFT_FILE_H
#define WEFT_FILE_H
#include <weft/base.h>

#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

WEFT_BEGIN_DECLS

/**
 * weft_open - open a file.
 * @path:  borrowed for the call.
 * @flags: as open(2); O_CLOEXEC is added.
 * @mode:  permissions of a file that is created.
 *
 * Returns a descriptor owned by the caller; -ENOENT, -EACCES, -EMFILE …; -ECANCELED / -ETIMEDOUT
 * the context ended.
 * A FIFO opened for writing waits for a reader. One opened for reading may be had before there is a
 * writer; then the first read waits for him.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_close, weft_pread.
 */
WEFT_API WEFT_MUST_CHECK int weft_open(const char *path, int flags, mode_t mode);

/**
 * weft_pread - read from a position in a file.
 * @fd:     a regular file; borrowed.
 * @buf:    at least bytes long; the kernel's until the call returns.
 * @bytes:  how much at most.
 * @offset: from where, in bytes.
 *
 * Returns the number of bytes, 0 at the end of the file; negative errno; -ECANCELED / -ETIMEDOUT
 * the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_read, weft_pwrite.
 */
WEFT_API ssize_t weft_pread(int fd, void *buf, size_t bytes, off_t offset);

/**
 * weft_pwrite - write at a position in a file.
 * @fd:     a regular file; borrowed.
 * @buf:    the bytes; the kernel's until the call returns.
 * @bytes:  how many.
 * @offset: where, in bytes.
 *
 * Returns how many were written; -ENOSPC, -EIO …; -ECANCELED / -ETIMEDOUT the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_pread, weft_fsync.
 */
WEFT_API ssize_t weft_pwrite(int fd, const void *buf, size_t bytes, off_t offset);

/**
 * weft_fsync - make a file's data and metadata durable.
 * @fd: borrowed.
 *
 * Returns 0; -EIO and friends: what was written before may be lost; -ECANCELED / -ETIMEDOUT the
 * context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_pwrite.
 */
WEFT_API WEFT_MUST_CHECK int weft_fsync(int fd);

/**
 * weft_stat - a file's status, by path.
 * @path:     borrowed for the call; links are followed.
 * @ret_stat: filled on success.
 *
 * Returns 0; -ENOENT …; -ECANCELED / -ETIMEDOUT the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_open.
 */
WEFT_API WEFT_MUST_CHECK int weft_stat(const char *path, struct stat *ret_stat);

/**
 * weft_unlink - remove a file's name.
 * @path: borrowed for the call.
 *
 * Returns 0; -ENOENT …; -ECANCELED / -ETIMEDOUT the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_rename.
 */
WEFT_API int weft_unlink(const char *path);

/**
 * weft_rename - give a file another name, replacing what had it.
 * @from: borrowed for the call.
 * @to:   borrowed for the call.
 *
 * Returns 0; -ENOENT, -EXDEV …; -ECANCELED / -ETIMEDOUT the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_unlink.
 */
WEFT_API int weft_rename(const char *from, const char *to);

/**
 * weft_mkdir - make a directory.
 * @path: borrowed for the call.
 * @mode: permissions.
 *
 * Returns 0; -EEXIST, -ENOENT …; -ECANCELED / -ETIMEDOUT the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_open.
 */
WEFT_API int weft_mkdir(const char *path, mode_t mode);

/**
 * weft_file_backend - who does file operations: "io_uring" or "pool".
 *
 * Returns a static string; probes the kernel at the first call.
 * Blocks:    no.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft/file.h.
 */
WEFT_API const char *weft_file_backend(void);

WEFT_END_DECLS
#endif
