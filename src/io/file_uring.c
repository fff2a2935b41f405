// SPDX-License-Identifier: Apache-2.0
/*
 * file_uring.c - the file thread: one thread, one io_uring, for the files of all fibers.
 *
 *   fibers ──lock-free list──> file thread ──SQEs──> kernel
 *              + eventfd       file thread <──CQEs── kernel
 *                              file thread ──weft__job_done──> fiber runnable
 *
 * io_uring requests belong to the thread that submitted them (they die with it, and their
 * completions interrupt its other calls), so a fiber that migrates never submits itself. This
 * thread runs no user code and never ends.
 *
 * F1  `pending` is a stack pushed by CAS; the pusher that found it empty writes the eventfd; the
 *     thread takes the whole list by one exchange and reverses it [seq_cst].
 * F2  A request's frame is its fiber's; it stays until weft__job_done, which is the last touch. A
 *     wanted cancel is a flag in it, looked for among the requests under way only, so a request
 *     that is done is never touched.
 * F3  `cancels_wanted` is taken before `pending` is: who wants a cancel has pushed his request
 *     before that, so it is among those under way when they are gone through. The other way round a
 *     request that was pushed and cancelled between the two was not found, and the wish was lost.
 */
#include "io/file_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>

#include "io/seam.h"
#include "io/uring.h"

enum { ENTRIES = 256 };

static struct io_uring ring;
static int event_fd = -1;
static uint64_t event_count;
static struct weft__file_req *_Atomic pending;

static void push(struct weft__file_req *r)
{
    uint64_t one = 1;
    struct weft__file_req *old = at_load(&pending);
    do
        r->next = old;
    while (!at_cas(&pending, &old, r));
    if (!old)
        weft__sys_write(event_fd, &one, sizeof one);
}

void weft__file_uring_submit(struct weft__job *j)
{
    push((struct weft__file_req *)(void *)j);
}

/* The target asks for its own end by a flag; the thread looks through the requests that it
 * holds. */
static _Atomic uint32_t cancels_wanted;

void weft__file_uring_cancel(struct weft__job *j)
{
    struct weft__file_req *r = (struct weft__file_req *)(void *)j;
    uint64_t one = 1;
    at_store(&r->cancel, true);
    at_store(&cancels_wanted, 1);
    weft__sys_write(event_fd, &one, sizeof one);
}

static struct io_uring_sqe *sqe_get(void)
{
    struct io_uring_sqe *sqe;
    while (!(sqe = io_uring_get_sqe(&ring)))
        weft__uring_submit(&ring);
    return sqe;
}

static void prepare(struct weft__file_req *r)
{
    struct io_uring_sqe *sqe = sqe_get();
    switch (r->op) {
    case WEFT__FILE_READV:
        io_uring_prep_readv(sqe, r->fd, r->iov, (unsigned)r->iov_count, (__u64)r->offset);
        break;
    case WEFT__FILE_WRITEV:
        io_uring_prep_writev(sqe, r->fd, r->iov, (unsigned)r->iov_count, (__u64)r->offset);
        break;
    case WEFT__FILE_OPEN:
        io_uring_prep_openat(sqe, AT_FDCWD, r->path, r->flags, r->mode);
        if (r->at_length)
            sqe->flags |= IOSQE_ASYNC;
        break;
    case WEFT__FILE_FSYNC:
        io_uring_prep_fsync(sqe, r->fd, 0);
        break;
    case WEFT__FILE_STATX:
        io_uring_prep_statx(sqe, AT_FDCWD, r->path, 0, STATX_BASIC_STATS, r->statx);
        break;
    case WEFT__FILE_UNLINK:
        io_uring_prep_unlinkat(sqe, AT_FDCWD, r->path, 0);
        break;
    case WEFT__FILE_RENAME:
        io_uring_prep_renameat(sqe, AT_FDCWD, r->path, AT_FDCWD, r->path_to, 0);
        break;
    case WEFT__FILE_MKDIR:
        io_uring_prep_mkdirat(sqe, AT_FDCWD, r->path, r->mode);
        break;
    }
    io_uring_sqe_set_data(sqe, r);
}

/* Requests under way, linked through next, so that a wanted cancel can be found. */
static struct weft__file_req *under_way;

static void under_way_remove(struct weft__file_req *r)
{
    struct weft__file_req **p = &under_way;
    while (*p != r)
        p = &(*p)->next;
    *p = r->next;
}

static void take_new(void)
{
    struct weft__file_req *list = at_xchg(&pending, NULL), *in_order = NULL;
    while (list) {
        struct weft__file_req *next = list->next;
        list->next = in_order;
        in_order = list;
        list = next;
    }
    while (in_order) {
        struct weft__file_req *r = in_order;
        in_order = r->next;
        prepare(r);
        r->next = under_way;
        under_way = r;
    }
}

static void send_cancels(void)
{
    for (struct weft__file_req *r = under_way; r; r = r->next) {
        if (!at_xchg(&r->cancel, false))
            continue;
        struct io_uring_sqe *sqe = sqe_get();
        io_uring_prep_cancel(sqe, r, 0);
        io_uring_sqe_set_data(sqe, &cancels_wanted); /* its own answer tells nothing */
    }
}

/* Takes what fibers ask for (F3). */
static void take_wishes(void)
{
    bool cancels = at_xchg(&cancels_wanted, 0);
    take_new();
    if (cancels)
        send_cancels();
}

static void arm_event(void)
{
    struct io_uring_sqe *sqe = sqe_get();
    io_uring_prep_read(sqe, event_fd, &event_count, sizeof event_count, 0);
    io_uring_sqe_set_data(sqe, &event_count);
}

static void *file_main(void *arg)
{
    struct io_uring_cqe *cqe;
    (void)arg;
    arm_event();
    for (;;) {
        int rc = weft__uring_submit_and_wait(&ring, NULL);
        if (rc < 0 && rc != -EINTR)
            continue;
        while ((cqe = weft__uring_peek(&ring))) {
            void *data = io_uring_cqe_get_data(cqe);
            long result = cqe->res;
            io_uring_cqe_seen(&ring, cqe);
            if (data == &event_count) {
                arm_event();
            } else if (data != &cancels_wanted) {
                struct weft__file_req *r = data;
                under_way_remove(r);
                r->result = result;
                weft__enter();
                weft__job_done(&r->job);
                weft__leave();
            }
        }
        take_wishes();
    }
    return NULL;
}

int weft__file_uring_start(void)
{
    struct io_uring_params p = {0};
    int rc = weft__uring_open(&ring, ENTRIES, &p);
    if (rc < 0)
        return rc;
    event_fd = weft__sys_eventfd(0, EFD_CLOEXEC);
    if (event_fd < 0) {
        weft__uring_close(&ring);
        return event_fd;
    }
    rc = weft__service_start(0, file_main, NULL);
    if (rc != 0) {
        weft__uring_close(&ring);
        weft__sys_close(event_fd);
    }
    return rc;
}
