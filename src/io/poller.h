// SPDX-License-Identifier: Apache-2.0
/*
 * poller.h - how a fiber waits until a file descriptor is ready.
 *
 * Every descriptor that a fiber has waited on has a record, found by its number:
 *
 *      table[fd / 1024] -> chunk of 1024 records ->  { lock, generation, kind, ready[2], waiters[2]
 *      }
 *
 * It is registered once with epoll, edge-triggered, for both directions. A call first tries the
 * system call; on EAGAIN it waits here. An edge that arrives between the two is latched in ready[],
 * so the wait returns at once and the call tries again. One epoll instance serves all workers: an
 * idle thread sleeps in it, busy workers ask it in passing. (An instance per worker was the plan;
 * then an event for a busy worker's descriptor would wait for that worker, while here whoever is
 * idle takes it. With many cores the instance's own lock may become the limit: measure before
 * changing.)
 *
 * E1  waiters[d] are parked fibers or about to park with the record's lock held until their commit.
 * E2  An event carries fd and generation; a record whose generation moved on ignores it: a reused
 *     number is never woken by its predecessor's events.
 * E3  A wait is for one generation, that of the moment before the call was first tried
 *     (weft__fd_now). weft__fd_close moves the generation on, wakes all waiters with -EBADF, and
 *     closes. Who comes late to the list, or was woken by an event and has not run yet, gets -EBADF
 *     as well: he neither waits on a dead descriptor, nor tries again on the number's next owner.
 *     (Who is just in the system call may meet that owner, as with close(2).)
 * E3a From the moment the generation has moved until close(2) has returned the record is `closing`:
 *     who begins a call meanwhile and has to wait is not registered (the descriptor would take that
 *     with it and tell nobody), and is woken at the end, to hear from the kernel what the number is
 *     now.
 * E4  A waiter that its context interrupted takes itself off the list under the lock before it
 *     returns.
 *
 * E5  A watched record has a context that ends with the peer's side (weft__fd_watch). Watching
 *     waits for nothing and reads nothing: what the peer sends meanwhile stays in the socket, and
 *     its one edge is latched as ever. A watch is fired at most once, and counts as a wait till
 *     then (not a deadlock). The context is ended without the record's lock, by a reference taken
 *     under it.
 *
 * E6  An edge is spent only on a fiber that it claimed; one that found all its waiters claimed by
 *     others (a timer, a context, another descriptor of a wait for several) is latched.
 *
 * Plain threads park in a futex like fibers while a runtime runs; without one they wait in poll(2).
 * Concurrency: all functions from any fiber or thread, inside weft__enter/weft__leave.
 */
#ifndef WEFT_IO_POLLER_H
#define WEFT_IO_POLLER_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/ctx.h>

#include "base/list.h"
#include "base/lock.h"

enum weft__dir { WEFT__READ, WEFT__WRITE };
enum weft__fd_kind {
    WEFT__FD_UNKNOWN,
    WEFT__FD_SOCKET,   /* MSG_DONTWAIT works whatever its flags are */
    WEFT__FD_NONBLOCK, /* pipe, terminal, eventfd in non-blocking mode */
    WEFT__FD_BLOCKING, /* the same in blocking mode: wait first, then call */
    WEFT__FD_FILE,     /* regular file or the like: the file thread's business */
};

struct weft__fd {
    struct weft__lock lock;      /* rank FD: everything here */
    _Atomic uint32_t generation; /* written under the lock */
    uint8_t kind;                /* enum weft__fd_kind */
    bool registered;
    bool closing; /* E3a */
    bool ready[2];
    _Atomic bool hung_up; /* the peer has ended its side, or the connection broke: stays so */
    struct weft__node waiters[2]; /* .next NULL: never initialised */
    struct weft_ctx *watch;       /* E5; borrowed from who watches. NULL: nobody does */
};

struct weft__fd_wait { /* by weft__fd_now */
    int fd;
    enum weft__dir dir;
    uint32_t generation; /* E3 */
};

/** The record of fd, made on demand; NULL: fd out of range or no memory. */
struct weft__fd *weft__fd_get(int fd);
/** Why there is none: -EBADF or -ENOMEM. */
int weft__fd_lack(int fd);
/** What kind fd is, asked from the kernel at its first use. Negative errno: not a descriptor. */
int weft__fd_kind(int fd, struct weft__fd *r);
/** Says that fd is new: a socket just made by us, non-blocking. Who waits for one that had the
 *  number before, and was closed by close(2), gets -EBADF. */
void weft__fd_new_socket(int fd);
/** Says that fd is new, and nothing of its kind. */
void weft__fd_new(int fd);

/** What to wait with, if it comes to that, until fd is ready: the descriptor that has the number
 *  now. To be had before the call is tried for the first time (E3). */
struct weft__fd_wait weft__fd_now(int fd, enum weft__dir dir);
/** The same, for who has the record (NULL: there is none). */
static inline struct weft__fd_wait weft__fd_now_of(
    const struct weft__fd *r, int fd, enum weft__dir dir)
{
    return (struct weft__fd_wait){fd, dir, r ? at_load(&r->generation) : 0};
}
/** Waits until any of n (<= 8) descriptors may be ready or deadline_ns (-1: none) passes. Returns
 *  the index of one that woke it (try the call again: it may still say EAGAIN), -EBADF closed
 *  meanwhile, -ETIME the deadline passed, -ECANCELED/-ETIMEDOUT the context ended, -EPERM epoll
 *  does not take it. */
int weft__fd_wait_any(const struct weft__fd_wait *w, unsigned n, int64_t deadline_ns, void *caller);
int weft__fd_wait(const struct weft__fd_wait *w, void *caller);
/** The same for who has not just been told EAGAIN: 0 at once while it is ready. What is left from
 *  before makes no edge, so the descriptor is asked before the wait. */
int weft__fd_wait_level(const struct weft__fd_wait *w, void *caller);
/** Wakes all who wait, and the next one to come: for what has one edge only and several who want it
 *  (a process's end), by whoever got that edge. */
void weft__fd_rouse(int fd, enum weft__dir dir);

/** Whether an event has told that the peer ended its side. While it has not, a read that came back
 *  short has emptied the socket, and the next byte or the end will bring a new edge: waiting first
 *  saves the call that would say EAGAIN. */
bool weft__fd_hung_up(int fd);

/** Ends ctx (borrowed until weft__fd_unwatch; one that weft_ctx_cancel may end) when the peer ends
 *  its side of fd or the connection breaks; at once, if that is known already. The cause is the one
 *  that weft_ctx_with_cause gave it. One watch at a time; none where epoll does not take fd. Costs
 *  a lock, and an epoll_ctl the first time. */
void weft__fd_watch(int fd, struct weft_ctx *ctx);
/** No more. The context may still be ended a moment after, if the end came a moment before. */
void weft__fd_unwatch(int fd);

/** Closes: waiters get -EBADF, a watch is forgotten. */
int weft__fd_close(int fd);
/** The same, for who is outside weft__enter, and whose descriptors may be such as no fiber has ever
 *  waited for: where no record is near, none is made, of it or of the thread. */
int weft__fd_close_outside(int fd);
#endif
