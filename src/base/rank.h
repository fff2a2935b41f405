// SPDX-License-Identifier: Apache-2.0
/*
 * rank.h - the order in which the runtime's locks are taken, and the record of who holds which.
 *
 * Whoever takes a lock says its rank. In debug builds (no NDEBUG) each thread keeps a list of what
 * it holds, and a lock out of order ends the process before the thread waits for it, so that a
 * deadlock is reported by the first thread that could have had one, not by the second. In release
 * builds all of this is nothing.
 *
 *      held:  [ lock rank object where handed ] [ ... ]     in the order taken; at most HELD, the
 *                                                          rest are counted (a select of a hundred
 *                                                          channels, a deep tree of contexts)
 *
 * R1  A lock is taken only while the thread holds no higher rank, and none of the same rank but at
 *     lower addresses. In a tree a child may also be taken while its parent is held
 *     (weft__lock_below).
 * R2  A lock is released by the thread that took it. Not always by the fiber: a park's commit runs
 *     as the successor, but on the thread that the leaver left. So the list is the thread's, and a
 *     park hands over nothing but the duty to release.
 * R3  A fiber that parks holds no lock but those that it has marked as handed to its commit
 *     (weft__rank_hand; weft__park marks the one of weft__commit_unlock). After the commit the
 *     thread holds none.
 *
 * R4  Locks are taken inside the runtime and released before it is left (S3 of sched.h): whoever
 *     enters from outside, or leaves, holds none.
 *
 * The list is a thread-local, although fibers move between threads: it is only touched by the
 * functions of rank.c, which are not inlined and neither park nor give its address away, so no
 * compiler can carry an address over a switch. It cannot lie in struct weft__thread, as the
 * monitor, the spawner and a thread about to call in for the first time take locks without having
 * one.
 *
 * Any thread, each with its own list; not from a signal handler that came in between (the monitor's
 * does nothing while its thread is inside the runtime, S3 of sched.h).
 */
#ifndef WEFT_BASE_RANK_H
#define WEFT_BASE_RANK_H
#include <stdbool.h>
#include <stddef.h>

struct weft__lock;

/* Lower ranks are taken first. Two locks of one rank are taken in address order (select). */
enum weft__rank {
    WEFT__RANK_ALARM = 1, /* a weft_timer: it starts a fiber under a context */
    WEFT__RANK_CTX,       /* a context, and the scope that begins with it; parent before child */
    WEFT__RANK_SYNC,      /* channels and the sync kit's objects */
    WEFT__RANK_FD,        /* poller's per-fd state; jobs of the thread pool; the list of loops */
    WEFT__RANK_TIMER,     /* a worker's timer heap */
    WEFT__RANK_SCHED,     /* global queue, idle lists */
    WEFT__RANK_THREAD,    /* one thread's ownership of its worker */
    WEFT__RANK_STACK,     /* stack arenas */
    WEFT__RANK_COLD,      /* stacks that are put away */
};

/** Text for the object (a weft_object) that a lock belongs to; sync sets it. */
extern void (*weft__object_text_hook)(const void *object, char *text, size_t bytes);

#ifndef NDEBUG
/** R1. object (may be NULL) is whose lock it is, above (may be NULL) a lock of the same rank that
 * is held and comes before this one in a tree. */
void weft__rank_take(const struct weft__lock *l, enum weft__rank rank, const void *object,
    const struct weft__lock *above, const char *where);
void weft__rank_drop(const struct weft__lock *l);
/** R3: this lock is the commit's to release. */
void weft__rank_hand(const struct weft__lock *l);
/** True, and the list as text, if the thread holds a lock that no commit will release. */
bool weft__rank_kept(char *text, size_t bytes);
/** True, and the list as text, if the thread holds any lock at all. */
bool weft__rank_any(char *text, size_t bytes);
/** R4: ends the process if the thread holds a lock. doing: "entered", "left". */
void weft__rank_none(const char *doing);
/** The thread abandons what it did, locks and all (a simulation that has failed). */
void weft__rank_forget(void);
#else
#define weft__rank_take(l, rank, object, above, where) ((void)0)
#define weft__rank_drop(l) ((void)0)
#define weft__rank_hand(l) ((void)0)
#define weft__rank_none(doing) ((void)0)
#define weft__rank_forget() ((void)0)
#endif
#endif
