// SPDX-License-Identifier: Apache-2.0
/*
 * loop_uring.c - the io_uring back end of pinned loops.
 *
 * One ring, SINGLE_ISSUER | DEFER_TASKRUN (Linux 6.1, which also has everything else used here):
 * one thread submits, and completions are made only while it waits. The ring is created disabled
 * and enabled by the first turn, because the thread that makes a loop is seldom the one that turns
 * it; what was added before is armed then, by a walk over the table.
 *
 * A record has up to three requests in the kernel; io->armed has a bit for each:
 *
 *     IN     multishot poll for POLLIN | POLLRDHUP. Armed when READ (or no event at all) is wanted
 *            first, and kept until the record is removed. Multishot polls are edge-triggered.
 *     OUT1   one-shot poll for POLLOUT, when WRITE is wanted: the usual course is one event, after
 *            which WRITE is wanted no more; then no second request and no cancellation is needed.
 *     OUTN   multishot poll for POLLOUT, armed when WRITE is still wanted after OUT1's event:
 *            from then on edges, as E3 says. Cancelled when WRITE is wanted no more.
 *     ACCEPT multishot accept, for a listener.
 *
 *     WRITE wanted --> OUT1 --event, handler done--> still wanted? --> OUTN --unwanted--> cancel
 *                       '-- wanted no more meanwhile: left to fire, its event is dropped
 *
 * Requests are cancelled by their token. A cancelled one ends with -ECANCELED, which says nothing
 * about a new request of the same token, so it is ignored: the bit was cleared by whoever
 * cancelled. (POLL_REMOVE is of no use: it answers -EALREADY and leaves the poll armed if an event
 * is on its way.) A multishot request can end by itself (the completion queue was full): its last
 * completion has no F_MORE, and it is armed anew before the handler is called.
 *
 * An accept waits exclusively: of several requests on a socket a new connection wakes one. A
 * cancelled request stays in the queue until its turn to end, and may swallow that wake-up. So a
 * new accept is made only when the cancelled one has ended (ENDING).
 *
 * A poll request keeps its file: an fd closed in a turn is really closed when the turn's changes
 * are submitted. Cancelling looks the token up in the kernel's table, which has 256 buckets at
 * most:
 *
 *     polls on the ring                1000         5000         19,000
 *     io_uring, add / remove, ns     330 / 390    430 / 790     200 / 1900
 *     epoll, add / remove, ns       1040 / 880   1090 / 1320   1120 / 1890
 *
 * so it is cheaper than epoll up to some 20,000 and grows from there on. Hence WEFT_LOOP_AUTO takes
 * epoll where more than URING_GOOD_TO records are announced (opts.max_fds); split such a loop.
 *
 * Single sends go by send(2), batches through a ring of their own (loop_batch.c). Files need a ring
 * of their own (io_uring requests of a thread end with it).
 *
 * U1  `requests` counts requests whose last completion has not been seen.
 * U2  A completion of an accept holds a descriptor that is nobody else's: it is taken from the
 *     queue before the ring is closed, whichever thread closes it.
 * U3  A request that names its fd is submitted before that number can be another's, or does no harm
 *     to another: an accept takes a stranger's connections, so it is submitted as it is made; a
 *     poll only looks, and the cancellation is in the queue right behind it.
 * U4  OUTN is armed only while WRITE is wanted: what the kernel has reported while it was not is
 *     gone, and whoever wants it anew must be told at once if there is room.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "io/loop_impl.h"
#include "io/seam.h"
#include "io/uring.h"

enum { IN = 1, OUT1 = 2, OUTN = 4, ACCEPT = 8 }; /* bits of io->armed, and kinds of tokens */
enum { ENDING = 128 };                           /* further bit: the accept is being cancelled */
enum { WAKE = 16, NOTHING = 32 };                /* further kinds */

#define TOKEN_OF_KIND(kind) ((uint64_t)(kind) << 56)
#define SQ_ENTRIES 512u
#define CQ_ENTRIES 4096u

struct state {
    struct io_uring ring;
    uint64_t requests;
    bool enabled;
    bool wake_armed;
    bool behind; /* a request could not be made: look at all records before the next wait */
};

static struct io_uring_sqe *get_sqe(struct state *st)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&st->ring);
    if (!sqe) {
        weft__uring_submit(&st->ring);
        sqe = io_uring_get_sqe(&st->ring);
    }
    return sqe;
}

/* ---- open, close ---- */

static const char *why_not(int err)
{
    switch (err) {
    case -ENOSYS:
        return "this kernel has no io_uring (io_uring_setup: ENOSYS)";
    case -EPERM:
        return "io_uring is forbidden here (io_uring_setup: EPERM)";
    case -EINVAL:
        return "this kernel's io_uring is older than Linux 6.1 (io_uring_setup: EINVAL)";
    default:
        return NULL;
    }
}

static int uring_open(weft_loop *loop)
{
    struct state *st = weft__zalloc(sizeof *st);
    if (!st)
        return -ENOMEM;
    struct io_uring_params p = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_R_DISABLED |
                 IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_SUBMIT_ALL,
        .cq_entries = CQ_ENTRIES,
    };
    int rc = weft__uring_open(&st->ring, SQ_ENTRIES, &p);
    if (rc == 0 && (!(p.features & IORING_FEAT_EXT_ARG) || !(p.features & IORING_FEAT_NODROP))) {
        weft__uring_close(&st->ring);
        rc = -EINVAL;
    }
    if (rc < 0) {
        const char *why = why_not(rc);
        if (why)
            snprintf(loop->note, sizeof loop->note, "%s", why);
        else
            snprintf(loop->note, sizeof loop->note, "io_uring_setup: %s", strerrordesc_np(-rc));
        weft__free(st);
        return rc == -EINVAL ? -ENOSYS : rc;
    }
    snprintf(loop->note, sizeof loop->note, "io_uring, found fit");
    loop->state = st;
    return 0;
}

static bool take_cqe(struct state *st, struct io_uring_cqe *ret_cqe)
{
    struct io_uring_cqe *cqe = weft__uring_peek(&st->ring);
    if (!cqe)
        return false;
    *ret_cqe = *cqe;
    io_uring_cqe_seen(&st->ring, cqe);
    if (!(cqe->flags & IORING_CQE_F_MORE) && loop_token_kind(cqe->user_data) != NOTHING)
        st->requests--; /* U1 */
    return true;
}

/* Takes what is complete and tells nobody. A connection among it is ours to close. */
static void drop_completions(struct state *st)
{
    struct io_uring_cqe cqe;
    while (take_cqe(st, &cqe))
        if (loop_token_kind(cqe.user_data) == ACCEPT && cqe.res >= 0)
            weft__sys_close(cqe.res);
}

/* Ends all requests and waits for that, so that files and addresses are free on return. Only the
 * thread that owns the ring can; for another one the kernel does it behind our back, when the ring
 * is closed. */
static void cancel_all(struct state *st)
{
    struct io_uring_sqe *sqe = get_sqe(st);
    if (!sqe)
        return;
    io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY | IORING_ASYNC_CANCEL_ALL);
    io_uring_sqe_set_data64(sqe, TOKEN_OF_KIND(NOTHING));
    for (int tries = 0; st->requests > 0 && tries < 1000; tries++) {
        struct __kernel_timespec ts = {.tv_nsec = WEFT_MS};
        weft__uring_submit_and_wait(&st->ring, &ts);
        drop_completions(st);
    }
}

static void uring_close(weft_loop *loop)
{
    struct state *st = loop->state;
    if (st->enabled && pthread_equal(loop->owner, pthread_self()))
        cancel_all(st);
    drop_completions(st); /* U2: to read the queue takes no system call, so any thread may */
    weft__uring_close(&st->ring);
    weft__free(st);
}

/* ---- requests ---- */

static void arm(weft_loop *loop, weft_loop_io *io, unsigned kind)
{
    struct state *st = loop->state;
    if (!st->enabled || (io->armed & kind))
        return;
    struct io_uring_sqe *sqe = get_sqe(st);
    if (!sqe) {
        st->behind = true;
        return;
    }
    if (kind == ACCEPT)
        io_uring_prep_multishot_accept(sqe, io->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    else if (kind == OUT1)
        io_uring_prep_poll_add(sqe, io->fd, POLLOUT);
    else
        io_uring_prep_poll_multishot(sqe, io->fd, kind == IN ? POLLIN | POLLRDHUP : POLLOUT);
    io_uring_sqe_set_data64(sqe, loop_token(loop, io, kind));
    io->armed |= (uint8_t)kind;
    st->requests++;
    if (kind == ACCEPT) /* U3 */
        weft__uring_submit(&st->ring);
}

static void cancel(struct state *st, uint64_t token)
{
    struct io_uring_sqe *sqe = get_sqe(st);
    if (!sqe) {
        weft__uring_cancel_now(&st->ring, token);
        return;
    }
    io_uring_prep_cancel64(sqe, token, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, TOKEN_OF_KIND(NOTHING));
}

static void disarm(weft_loop *loop, weft_loop_io *io, unsigned kind)
{
    if (!(io->armed & kind))
        return;
    io->armed &= (uint8_t)~kind;
    cancel(loop->state, loop_token(loop, io, kind));
}

/* Arms what the record's interest needs and the kernel does not watch yet. */
static void arm_wanted(weft_loop *loop, weft_loop_io *io)
{
    if (io->flags & LOOP_LISTENER) {
        if (io->interest)
            arm(loop, io, ACCEPT);
        return;
    }
    if (io->interest != WEFT_LOOP_WRITE)
        arm(loop, io, IN);
    if ((io->interest & WEFT_LOOP_WRITE) && !(io->armed & OUTN))
        arm(loop, io, OUT1);
}

static void arm_wake(weft_loop *loop)
{
    struct state *st = loop->state;
    struct io_uring_sqe *sqe = get_sqe(st);
    if (!sqe) {
        st->behind = true;
        return;
    }
    io_uring_prep_poll_multishot(sqe, loop->wake_fd, POLLIN);
    io_uring_sqe_set_data64(sqe, TOKEN_OF_KIND(WAKE));
    st->requests++;
    st->wake_armed = true;
}

/* Walks over all records for what is wanted and not watched: before the first turn, and after the
 * kernel has refused requests. */
static void catch_up(weft_loop *loop)
{
    struct state *st = loop->state;
    st->behind = false;
    if (!st->wake_armed)
        arm_wake(loop);
    for (uint32_t i = 0; i < loop->slot_count && !st->behind; i++) {
        weft_loop_io *io = loop->chunks[i / LOOP_CHUNK][i % LOOP_CHUNK].io;
        if (io)
            arm_wanted(loop, io);
    }
}

static int uring_adopt(weft_loop *loop)
{
    struct state *st = loop->state;
    int rc = weft__uring_enable(&st->ring);
    if (rc < 0)
        return rc;
    st->enabled = true;
    catch_up(loop);
    return 0;
}

static int uring_watch(weft_loop *loop, weft_loop_io *io)
{
    arm_wanted(loop, io);
    return 0;
}

static int uring_change(weft_loop *loop, weft_loop_io *io, unsigned before)
{
    unsigned fresh = io->interest & ~before, gone = before & ~io->interest;
    if (gone & WEFT_LOOP_WRITE)
        disarm(loop, io, OUTN);
    if ((fresh & WEFT_LOOP_READ) && (io->armed & IN))
        weft_loop_io_again(loop, io, WEFT_LOOP_READ);
    arm_wanted(loop, io);
    return 0;
}

static void uring_drop(weft_loop *loop, weft_loop_io *io, bool closing)
{
    disarm(loop, io, IN);
    disarm(loop, io, OUT1);
    disarm(loop, io, OUTN);
    disarm(loop, io, ACCEPT);
}

static int uring_accept_start(weft_loop *loop, weft_loop_io *io)
{
    io->interest = WEFT_LOOP_READ;
    arm_wanted(loop, io);
    return 0;
}

static void uring_accept_stop(weft_loop *loop, weft_loop_io *io)
{
    io->interest = 0;
    if (!(io->armed & ACCEPT) || (io->armed & ENDING))
        return;
    io->armed |= ENDING;
    cancel(loop->state, loop_token(loop, io, ACCEPT));
}

/* ---- waiting, delivering ---- */

static bool uring_submit(weft_loop *loop)
{
    struct state *st = loop->state;
    if (st->behind)
        catch_up(loop);
    weft__uring_submit_and_reap(&st->ring);
    return st->behind || io_uring_cq_ready(&st->ring) > 0;
}

static bool is_fatal(int err)
{
    return err < 0 && err != -ETIME && err != -EINTR && err != -EAGAIN && err != -EBUSY &&
           err != -ENOMEM;
}

static int uring_wait(weft_loop *loop, int64_t timeout_ns)
{
    struct state *st = loop->state;
    int rc;
    if (st->behind) {
        catch_up(loop);
        timeout_ns = st->behind ? 0 : timeout_ns;
    }
    if (timeout_ns == 0) {
        rc = weft__uring_submit_and_reap(&st->ring);
    } else {
        struct __kernel_timespec ts = {timeout_ns / WEFT_SEC, timeout_ns % WEFT_SEC};
        rc = weft__uring_submit_and_wait(&st->ring, timeout_ns < 0 ? NULL : &ts);
    }
    return is_fatal(rc) ? rc : 0;
}

static unsigned from_poll(int mask)
{
    unsigned events = 0;
    if (mask & (POLLIN | POLLPRI))
        events |= WEFT_LOOP_READ;
    if (mask & POLLOUT)
        events |= WEFT_LOOP_WRITE;
    if (mask & POLLRDHUP)
        events |= WEFT_LOOP_RDHUP;
    if (mask & POLLHUP)
        events |= WEFT_LOOP_HUP;
    if (mask & POLLERR)
        events |= WEFT_LOOP_ERR;
    return events;
}

static void on_poll(weft_loop *loop, weft_loop_io *io, const struct io_uring_cqe *cqe)
{
    unsigned kind = loop_token_kind(cqe->user_data);
    unsigned events = cqe->res < 0 ? WEFT_LOOP_ERR : from_poll(cqe->res);
    if (!(cqe->flags & IORING_CQE_F_MORE)) {
        io->armed &= (uint8_t)~kind;
        if (cqe->res >= 0 && (kind == IN || (kind == OUTN && io->interest & WEFT_LOOP_WRITE)))
            arm(loop, io, kind); /* U4 */
    }
    weft__loop_deliver(loop, io, events);
    if (kind != OUT1 || loop_token_io(loop, cqe->user_data) != io)
        return;
    /* From here on edges, if WRITE is still wanted and was not wanted anew. */
    if ((io->interest & WEFT_LOOP_WRITE) && !(io->armed & OUT1) && cqe->res >= 0)
        arm(loop, io, OUTN);
}

static void on_accept(weft_loop *loop, weft_loop_io *io, const struct io_uring_cqe *cqe)
{
    bool ended = !(cqe->flags & IORING_CQE_F_MORE);
    if (ended)
        io->armed &= (uint8_t) ~(ACCEPT | ENDING);
    if (cqe->res >= 0)
        weft__loop_accepted(loop, io, cqe->res);
    else if (cqe->res != -ECANCELED)
        weft__loop_accept_failed(loop, io, cqe->res);
    if (ended && loop_token_io(loop, cqe->user_data) == io)
        arm_wanted(loop, io);
}

static void on_cqe(weft_loop *loop, const struct io_uring_cqe *cqe)
{
    unsigned kind = loop_token_kind(cqe->user_data);
    if (kind == NOTHING)
        return;
    if (kind == WAKE) {
        struct state *st = loop->state;
        st->wake_armed = cqe->flags & IORING_CQE_F_MORE;
        if (!st->wake_armed)
            arm_wake(loop);
        return;
    }
    if (cqe->res == -ECANCELED && kind != ACCEPT)
        return;
    weft_loop_io *io = loop_token_io(loop, cqe->user_data);
    if (!io) {
        if (kind == ACCEPT && cqe->res >= 0)
            weft__sys_close(cqe->res);
        loop_count(&loop->stats.stale_events, 1);
    } else if (kind == ACCEPT) {
        on_accept(loop, io, cqe);
    } else {
        on_poll(loop, io, cqe);
    }
}

static void uring_dispatch(weft_loop *loop)
{
    struct state *st = loop->state;
    struct io_uring_cqe cqe;
    for (unsigned n = 0; n < loop->batch && take_cqe(st, &cqe); n++)
        on_cqe(loop, &cqe);
}

/* With DEFER_TASKRUN neither the ring's fd nor (Linux 6.18, when the event comes from an eventfd) a
 * registered eventfd becomes readable: completions wait for us to wait. */
static int uring_poll_fd(weft_loop *loop)
{
    return -EOPNOTSUPP;
}

const struct loop_backend weft__loop_uring = {
    .name = "io_uring",
    .open = uring_open,
    .close = uring_close,
    .adopt = uring_adopt,
    .watch = uring_watch,
    .change = uring_change,
    .drop = uring_drop,
    .accept_start = uring_accept_start,
    .accept_stop = uring_accept_stop,
    .submit = uring_submit,
    .wait = uring_wait,
    .dispatch = uring_dispatch,
    .poll_fd = uring_poll_fd,
};
