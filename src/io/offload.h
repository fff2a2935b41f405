// SPDX-License-Identifier: Apache-2.0
/*
 * offload.h - work that must block a thread (name resolution; files where io_uring is missing),
 * done by a small pool.
 *
 * A job is linked into the pool's queue by the commit of its fiber's park, run by a pool thread,
 * and answered under its own lock:
 *
 *      QUEUED ──pool thread──> DONE       (claims and readies the fiber)
 *         └────the fiber, interrupted──> ABANDONED   (the pool thread calls drop when through)
 *
 * O1  state changes only under job.lock, so an interrupted fiber and the pool thread agree on who
 *     disposes of the job, and no late claim can hit the fiber's next wait.
 * O2  A job whose buffers are the caller's is not abandonable: its fiber waits until it is done.
 * O3  A job is announced (counted in `wanted`) before its fiber parks, and counted till a thread
 *     has taken it. An idle thread is good for one announced job: whoever announces makes a thread
 *     if there are more jobs than threads to come for them. And none ends while a job is announced:
 *     between the look at the pool and the push it would leave a job that nobody takes.
 * Threads are made on demand (16 at most: past that, and where the machine gives no more, a job
 * waits until one is free) and end after ten idle seconds.
 */
#ifndef WEFT_IO_OFFLOAD_H
#define WEFT_IO_OFFLOAD_H
#include <stdbool.h>

#include "base/list.h"
#include "base/lock.h"
#include "sched/sched.h"

enum weft__job_state { WEFT__JOB_QUEUED, WEFT__JOB_DONE, WEFT__JOB_ABANDONED };

struct weft__job {
    struct weft__node link;
    struct weft__lock lock;
    enum weft__job_state state;
    struct weft__fiber *fiber;
    void (*run)(struct weft__job *j); /* on a pool thread */
    /* frees an abandoned job, on a pool thread outside the runtime; NULL: not abandonable (O2) */
    void (*drop)(struct weft__job *j);
    /* for dumps: what it does ("read"), to what: a name, or a descriptor where that is NULL */
    const char *verb, *name;
    int fd;
};

/** Runs the job on the pool and waits. 0: done. -ECANCELED / -ETIMEDOUT: abandoned, the job is no
 *  longer the caller's. -EAGAIN, -ENOMEM: no thread could be made, nothing ran. Inside
 *  weft__enter/leave. */
int weft__offload(struct weft__job *j, enum weft__reason reason, void *caller);

/** The waiting half by itself, for others that answer jobs (the file thread): start is called once
 *  the fiber is parked. cancel (may be NULL) is asked once, when the context ends, to hurry a job
 *  that may not be abandoned. */
int weft__job_wait(struct weft__job *j, enum weft__reason reason, void *caller,
    void (*start)(struct weft__job *), void (*cancel)(struct weft__job *));
/** The answering half: the job is done. False: it was abandoned, and whoever ran it calls drop, but
 *  outside the runtime. Any thread, inside weft__enter/leave. */
bool weft__job_done(struct weft__job *j);
#endif
