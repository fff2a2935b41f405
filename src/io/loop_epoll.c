// SPDX-License-Identifier: Apache-2.0
/*
 * loop_epoll.c - the back end of pinned loops that every Linux has.
 *
 * Every record is registered edge-triggered. READ is watched from the first time it is wanted on,
 * and never given back: what comes while it is not wanted is dropped in weft__loop_deliver, and
 * wanting it anew costs one call from the `again` list instead of an epoll_ctl. WRITE is watched
 * only once somebody has wanted it (most connections never block); wanting it anew is an
 * EPOLL_CTL_MOD, which makes the kernel look again, so that no edge between a failed send and the
 * request is lost.
 *
 *     io->armed:  EPOLLIN and EPOLLOUT as registered, in the loop's own bits
 *
 * Closing an fd takes it out of epoll, unless a copy of it is still open (a forked child before its
 * exec): its events are then stale by their generation and dropped.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <time.h>
#include "base/alloc.h"
#include "io/loop_impl.h"
#include "io/seam.h"

#define WAKE_TOKEN UINT64_MAX

struct state {
    int fd;
    int ready; /* events filled by the last wait */
    bool no_pwait2;
    struct epoll_event events[];
};

static int epoll_open(weft_loop *loop)
{
    struct state *st = weft__alloc(sizeof *st + loop->batch * sizeof st->events[0]);
    if (!st)
        return -ENOMEM;
    *st = (struct state){.fd = weft__sys_epoll_create()};
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_TOKEN};
    int rc = st->fd;
    if (rc >= 0)
        rc = weft__sys_epoll_ctl(st->fd, EPOLL_CTL_ADD, loop->wake_fd, &ev);
    if (rc < 0)
        goto fail;
    loop->state = st;
    if (!loop->note[0])
        snprintf(loop->note, sizeof loop->note, "epoll, the only back end asked");
    return 0;
fail:
    if (st->fd >= 0)
        weft__sys_close(st->fd);
    weft__free(st);
    return rc;
}

static void epoll_close(weft_loop *loop)
{
    struct state *st = loop->state;
    weft__sys_close(st->fd);
    weft__free(st);
}

static int epoll_adopt(weft_loop *loop)
{
    return 0;
}

static int control(weft_loop *loop, weft_loop_io *io, int op, unsigned bits)
{
    struct state *st = loop->state;
    struct epoll_event ev = {.events = EPOLLET, .data.u64 = loop_token(loop, io, 0)};
    if (bits & WEFT_LOOP_READ)
        ev.events |= EPOLLIN | EPOLLRDHUP;
    if (bits & WEFT_LOOP_WRITE)
        ev.events |= EPOLLOUT;
    int rc = weft__sys_epoll_ctl(st->fd, op, io->fd, &ev);
    if (rc == 0)
        io->armed = (uint8_t)bits;
    return rc;
}

static int epoll_watch(weft_loop *loop, weft_loop_io *io)
{
    return control(loop, io, EPOLL_CTL_ADD, io->interest);
}

static int epoll_change(weft_loop *loop, weft_loop_io *io, unsigned before)
{
    unsigned fresh = io->interest & ~before;
    /* Not asked before, or WRITE: the kernel must look. The look covers READ too. */
    if (fresh & ~io->armed || fresh & WEFT_LOOP_WRITE)
        return control(loop, io, EPOLL_CTL_MOD, io->armed | fresh);
    if (fresh & WEFT_LOOP_READ)
        weft_loop_io_again(loop, io, WEFT_LOOP_READ);
    return 0;
}

static void epoll_drop(weft_loop *loop, weft_loop_io *io, bool closing)
{
    struct state *st = loop->state;
    if (!closing) /* -EBADF if it was closed already: fine */
        weft__sys_epoll_ctl(st->fd, EPOLL_CTL_DEL, io->fd, NULL);
}

static int epoll_accept_start(weft_loop *loop, weft_loop_io *io)
{
    io->fn = weft__loop_accept_ready;
    if (!io->armed) {
        io->interest = WEFT_LOOP_READ;
        return epoll_watch(loop, io);
    }
    return weft_loop_io_set(loop, io, WEFT_LOOP_READ);
}

static void epoll_accept_stop(weft_loop *loop, weft_loop_io *io)
{
    weft_loop_io_set(loop, io, 0);
}

static bool epoll_submit(weft_loop *loop)
{
    return false; /* those that are there make the epoll fd readable */
}

static int wait_once(struct state *st, int max, int64_t timeout_ns)
{
    if (timeout_ns > 0 && !st->no_pwait2) {
        struct timespec ts = {timeout_ns / WEFT_SEC, timeout_ns % WEFT_SEC};
        int n = weft__sys_epoll_wait(st->fd, st->events, max, &ts);
        if (n != -ENOSYS && n != -EPERM)
            return n;
        st->no_pwait2 = true;
    }
    int64_t ms = timeout_ns < 0 ? -1 : (timeout_ns + WEFT_MS - 1) / WEFT_MS;
    return weft__sys_epoll_wait_ms(st->fd, st->events, max, ms > INT32_MAX ? INT32_MAX : (int)ms);
}

static int epoll_wait_turn(weft_loop *loop, int64_t timeout_ns)
{
    struct state *st = loop->state;
    int n = wait_once(st, (int)loop->batch, timeout_ns);
    st->ready = n < 0 ? 0 : n;
    return n < 0 && n != -EINTR ? n : 0;
}

static unsigned from_epoll(uint32_t e)
{
    unsigned events = 0;
    if (e & (EPOLLIN | EPOLLPRI))
        events |= WEFT_LOOP_READ;
    if (e & EPOLLOUT)
        events |= WEFT_LOOP_WRITE;
    if (e & EPOLLRDHUP)
        events |= WEFT_LOOP_RDHUP;
    if (e & EPOLLHUP)
        events |= WEFT_LOOP_HUP;
    if (e & EPOLLERR)
        events |= WEFT_LOOP_ERR;
    return events;
}

static void epoll_dispatch(weft_loop *loop)
{
    struct state *st = loop->state;
    for (int i = 0; i < st->ready; i++) {
        uint64_t token = st->events[i].data.u64;
        if (token == WAKE_TOKEN)
            continue;
        weft_loop_io *io = loop_token_io(loop, token);
        if (io)
            weft__loop_deliver(loop, io, from_epoll(st->events[i].events));
        else
            loop_count(&loop->stats.stale_events, 1);
    }
    st->ready = 0;
}

static int epoll_poll_fd(weft_loop *loop)
{
    const struct state *st = loop->state;
    return st->fd;
}

const struct loop_backend weft__loop_epoll = {
    .name = "epoll",
    .open = epoll_open,
    .close = epoll_close,
    .adopt = epoll_adopt,
    .watch = epoll_watch,
    .change = epoll_change,
    .drop = epoll_drop,
    .accept_start = epoll_accept_start,
    .accept_stop = epoll_accept_stop,
    .submit = epoll_submit,
    .wait = epoll_wait_turn,
    .dispatch = epoll_dispatch,
    .poll_fd = epoll_poll_fd,
};
