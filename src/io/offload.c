// SPDX-License-Identifier: Apache-2.0
/* offload.c - the pool of threads that may block; offload.h has the states and invariants. */
#include "io/offload.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>

#include "base/fatal.h"
#include "base/futex.h"

enum { MAX_THREADS = 16, IDLE_S = 10, THREAD_STACK_BYTES = 512 << 10 };

/* pthread's own lock: a pool thread sleeps in it, and no fiber holds it for longer than a push. */
static struct weft__lock lock;
static struct weft__node queue = {&queue, &queue};
static int total;    /* threads, with those that pthread_create is still asked for */
static int sure;     /* threads that pthread_create has made */
static int starting; /* threads that have not come to take_job yet, or never will (refused) */
static int idle;     /* threads asleep in take_job */
static int wanted;   /* jobs announced and not yet taken (O3) */
static _Atomic uint32_t signal_word; /* bumped at each push; pool threads sleep on it */

bool weft__job_done(struct weft__job *j)
{
    weft__tsan_release(j);
    weft__lock(&j->lock, WEFT__RANK_FD);
    if (j->state == WEFT__JOB_ABANDONED) {
        weft__unlock(&j->lock);
        return false;
    }
    j->state = WEFT__JOB_DONE;
    struct weft__fiber *f = j->fiber;
    bool won = weft__claim(f);
    if (won)
        f->wake_result = 0;
    weft__unlock(&j->lock); /* an interrupted fiber may now return: j is not touched any more */
    if (won)
        weft__ready_tail(f);
    return true;
}

/* Waits for a job. NULL: ten seconds without one, and none is announced (O3); this thread counts no
 * more. */
static struct weft__job *take_job(void)
{
    struct weft__node *n;
    bool end = false;
    weft__enter();
    weft__lock(&lock, WEFT__RANK_FD);
    while (!(n = weft__list_pop(&queue)) && !end) {
        uint32_t seen = at_load(&signal_word);
        idle++;
        weft__unlock(&lock);
        weft__leave();
        weft__futex_wait(&signal_word, seen, IDLE_S * (int64_t)1000000000);
        weft__enter();
        weft__lock(&lock, WEFT__RANK_FD);
        idle--;
        end = wanted == 0 && at_load(&signal_word) == seen;
    }
    if (n) {
        wanted--;
    } else {
        total--;
        sure--;
    }
    WEFT_ASSERT(wanted >= 0);
    weft__unlock(&lock);
    weft__leave();
    return n ? weft__entry(n, struct weft__job, link) : NULL;
}

static void *pool_main(void *arg)
{
    struct weft__job *j;
    (void)arg;
    weft__enter();
    weft__lock(&lock, WEFT__RANK_FD);
    starting--;
    weft__unlock(&lock);
    weft__leave();
    while ((j = take_job())) {
        weft__tsan_acquire(j);
        j->run(j);
        weft__enter();
        bool answered = weft__job_done(j);
        weft__leave();
        if (!answered)
            j->drop(j); /* outside: it frees (A1 of base/alloc.h) */
    }
    weft__service_thread(-1);
    return NULL;
}

static void job_start(struct weft__job *j)
{
    weft__lock(&lock, WEFT__RANK_FD);
    weft__list_push_back(&queue, &j->link);
    at_add(&signal_word, 1);
    weft__unlock(&lock);
    weft__futex_wake(&signal_word, 1);
}

/* pthread_create allocates, so this runs outside the runtime. */
static int make_thread(void)
{
    weft__leave();
    int rc = weft__service_start(THREAD_STACK_BYTES, pool_main, NULL);
    weft__enter();
    weft__lock(&lock, WEFT__RANK_FD);
    if (rc == 0) {
        sure++;
    } else {
        total--;
        starting--;
    }
    bool none = sure == 0;
    wanted -= none;
    weft__unlock(&lock);
    return none ? rc : 0;
}

/* Announces a job, which must be pushed after that, and sees to it that a thread will take it: an
 * idle one, one more, or a busy one later. (The last is no answer while there is none for sure:
 * those that are being made may all be refused.) */
static int provide_thread(void)
{
    weft__lock(&lock, WEFT__RANK_FD);
    wanted++;
    bool make = wanted > idle + starting && (total < MAX_THREADS || sure == 0);
    total += make;
    starting += make;
    weft__unlock(&lock);
    return make ? make_thread() : 0;
}

struct start {
    struct weft__job *job;
    void (*start)(struct weft__job *);
};

static void wait_commit(struct weft__fiber *f, void *arg)
{
    struct start s = *(struct start *)arg; /* its frame may be gone once the job has started */
    (void)f;
    s.start(s.job);
}

int weft__job_wait(struct weft__job *j, enum weft__reason reason, void *caller,
    void (*start)(struct weft__job *), void (*cancel)(struct weft__job *))
{
    struct start s = {j, start};
    j->fiber = weft__self();
    j->state = WEFT__JOB_QUEUED;
    weft__outside_add(1);
    int rc =
        weft__park(reason, j, caller, j->drop || cancel ? 0 : WEFT__PARK_HARD, wait_commit, &s);
    while (rc == WEFT__INTERRUPTED) {
        int why = weft__cancelled(j->fiber);
        weft__lock(&j->lock, WEFT__RANK_FD);
        if (j->state == WEFT__JOB_DONE) {
            weft__unlock(&j->lock);
            break;
        }
        if (why < 0 && j->drop) {
            j->state = WEFT__JOB_ABANDONED;
            weft__unlock(&j->lock);
            weft__outside_add(-1);
            return why;
        }
        if (why < 0 && cancel) {
            weft__unlock(&j->lock);
            cancel(j);
            cancel = NULL;
            weft__lock(&j->lock, WEFT__RANK_FD);
            if (j->state == WEFT__JOB_DONE) {
                weft__unlock(&j->lock);
                break;
            }
        }
        rc = weft__park(reason, j, caller, j->drop || cancel ? 0 : WEFT__PARK_HARD,
            weft__commit_unlock, &j->lock);
    }
    weft__outside_add(-1);
    weft__tsan_acquire(j);
    return 0;
}

int weft__offload(struct weft__job *j, enum weft__reason reason, void *caller)
{
    int rc = provide_thread();
    if (rc < 0)
        return rc;
    weft__tsan_release(j); /* not in the start: that runs as the successor */
    return weft__job_wait(j, reason, caller, job_start, NULL);
}
