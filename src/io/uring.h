// SPDX-License-Identifier: Apache-2.0
/*
 * uring.h - the seam of io_uring: every entry of the kernel that is made for a ring, and no other
 * file makes one (tools/tidy, rule seam).
 *
 * A ring is memory that the kernel and we both write, with liburing's system calls made inside
 * liburing; weft__syscall (io/seam.h has the whole picture) never sees them. So the cut is one
 * storey higher, at liburing's own functions:
 *
 *     open, enable, close            the life of a ring
 *     submit, submit_and_...         an entry, perhaps with a wait
 *     peek                           memory; an entry only where completions overflowed
 *     sync_cancel                    an entry
 *
 * What only writes memory (io_uring_get_sqe, io_uring_prep_*, io_uring_cq_*) is used as it is.
 * Whoever puts something else under the library has weft__uring_open refuse, with -ENOSYS: pinned
 * loops then turn on epoll and files go to the pool, and both pass by weft__syscall only.
 *
 * All are inline: one call into liburing each, as before. None touches errno.
 */
#ifndef WEFT_IO_URING_H
#define WEFT_IO_URING_H
#include <liburing.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "base/futex.h"

/** 0, or why there is no ring: -ENOSYS, -EPERM, -EINVAL (flags of a newer kernel), -ENOMEM,
 * -EMFILE. */
static inline int weft__uring_open(
    struct io_uring *ring, unsigned entries, struct io_uring_params *p)
{
    return io_uring_queue_init_params(entries, ring, p);
}

static inline void weft__uring_close(struct io_uring *ring)
{
    io_uring_queue_exit(ring);
}

/** Of a ring opened with IORING_SETUP_R_DISABLED. (io_uring_enable_rings is missing from the
 * liburing.so of Debian 12.) */
static inline int weft__uring_enable(struct io_uring *ring)
{
    return (int)weft__syscall(
        SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, 0, 0, 0, 0);
}

/** Submitted requests, or an error. */
static inline int weft__uring_submit(struct io_uring *ring)
{
    return io_uring_submit(ring);
}

/** The same, and lets the kernel post what is done (DEFER_TASKRUN). */
static inline int weft__uring_submit_and_reap(struct io_uring *ring)
{
    return io_uring_submit_and_get_events(ring);
}

/** The same, and waits for a completion; ts NULL: for ever. -ETIME, -EINTR are no failures. */
static inline int weft__uring_submit_and_wait(struct io_uring *ring, struct __kernel_timespec *ts)
{
    struct io_uring_cqe *cqe;
    return io_uring_submit_and_wait_timeout(ring, &cqe, 1, ts, NULL);
}

/** The oldest completion not yet seen, or NULL. */
static inline struct io_uring_cqe *weft__uring_peek(struct io_uring *ring)
{
    struct io_uring_cqe *cqe;
    return io_uring_peek_cqe(ring, &cqe) < 0 ? NULL : cqe;
}

/** Cancels the request with this token at once, when no entry is free to ask for it. */
static inline int weft__uring_cancel_now(struct io_uring *ring, uint64_t token)
{
    struct io_uring_sync_cancel_reg reg = {.addr = token, .timeout = {-1, -1}};
    return io_uring_register_sync_cancel(ring, &reg);
}
#endif
