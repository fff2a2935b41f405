// SPDX-License-Identifier: Apache-2.0
/*
 * start.c - the runtime beside a host program: weft_start and weft_stop.
 *
 * A thread of ours sits in weft_run, whose function waits on a channel until the last stop closes
 * it. Starts and stops meet in one word, count and phase together:
 *
 *      DOWN 0 ──start──> STARTING 1 ──the first fiber runs──> UP 1 <──start, stop──> UP n
 *        ^                   └──it could not──> DOWN             └──last stop──> STOPPING 0
 *        └──────────────────────────the thread has been joined──────────────────────┘
 *
 * B1  Who makes a transition to STARTING or STOPPING makes the next one, too; all others only wait
 *     for it. So what lies in `beside` has one writer at a time.
 * B2  A fiber never waits for the end of STOPPING, which may wait for that fiber.
 * B3  While it waits for the channel to be closed the first fiber counts as something outside that
 *     may wake fibers: the host is always free to start one, so nothing here is a deadlock.
 *
 * Why not the host's thread as a worker, one step at a time. Fibers may run any C code: a step
 * would last as long as the longest blocking call, so that the host's loop would stand still unless
 * the monitor took the worker away, and then the host's thread would come back from the step in the
 * middle of somebody's fiber. docs/design/embedding.md has more.
 *
 * Concurrency: any thread, any fiber. Progress: blocking, as the runtime's start and end are.
 */
#include <weft/run.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <weft/chan.h>

#include "base/futex.h"
#include "sched/sched.h"

enum { DOWN, STARTING, UP, STOPPING, PHASES = 3, ONE = 4 };
enum { NOT_YET, RUNS, FAILED };
enum { STACK_BYTES = 512 << 10 };

static _Atomic uint32_t word; /* count * ONE + phase */

static struct {
    pthread_t thread;
    weft_chan *end;
    const weft_run_opts *opts; /* the starter's, until it has returned */
    int rc;                    /* of weft_run */
    _Atomic uint32_t come;     /* NOT_YET, RUNS, FAILED */
} beside;                      /* B1 */

static void tell(uint32_t come)
{
    at_store(&beside.come, come);
    weft__futex_wake(&beside.come, 1);
}

static int first_fiber(void *arg)
{
    (void)arg;
    weft__outside_add(1); /* B3 */
    tell(RUNS);
    int rc = weft_chan_recv(beside.end, NULL);
    weft__outside_add(-1);
    return rc;
}

static void *thread_main(void *arg)
{
    (void)arg;
    pthread_setname_np(pthread_self(), "weft");
    beside.rc = weft_run(first_fiber, NULL, beside.opts, NULL);
    if (at_load(&beside.come) == NOT_YET)
        tell(FAILED);
    return NULL;
}

/* The host's signals are for the host's threads; faults are whoever's that makes them. */
static void signals_of_ours(const weft_run_opts *opts, sigset_t *ret)
{
    static const int let[] = {
        SIGURG, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigfillset(ret);
    for (size_t i = 0; i < sizeof let / sizeof *let; i++)
        sigdelset(ret, let[i]);
    if (opts && opts->size >= sizeof *opts && opts->preempt_signal > 0)
        sigdelset(ret, opts->preempt_signal);
}

static int launch(const weft_run_opts *opts)
{
    sigset_t ours, before;
    pthread_attr_t attr;
    int rc = weft_chan_new(0, 0, &beside.end);
    if (rc < 0)
        return rc;
    at_store(&beside.come, NOT_YET);
    beside.opts = opts;
    signals_of_ours(opts, &ours);
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, STACK_BYTES);
    pthread_sigmask(SIG_SETMASK, &ours, &before);
    rc = -pthread_create(&beside.thread, &attr, thread_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    while (rc == 0 && at_load(&beside.come) == NOT_YET)
        weft__futex_wait(&beside.come, NOT_YET, -1);
    if (rc == 0 && at_load(&beside.come) == FAILED) {
        pthread_join(beside.thread, NULL);
        rc = beside.rc;
    }
    beside.opts = NULL;
    if (rc < 0)
        weft_chan_free(beside.end);
    return rc;
}

static void enter_phase(uint32_t w)
{
    at_store(&word, w);
    weft__futex_wake(&word, INT32_MAX);
}

static bool on_a_fiber(void)
{
    struct weft__fiber *me = weft__self();
    return me && !(me->flags & WEFT__F_THREAD);
}

int weft_start(const weft_run_opts *opts)
{
    for (;;) {
        uint32_t w = at_load(&word);
        switch (w & PHASES) {
        case DOWN:
            if (on_a_fiber())
                return -EBUSY; /* of a weft_run */
            if (!at_cas(&word, &w, ONE | STARTING))
                break;
            int rc = launch(opts);
            enter_phase(rc < 0 ? DOWN : ONE | UP);
            return rc;
        case UP:
            if (at_cas(&word, &w, w + ONE))
                return 0;
            break;
        default:
            if (on_a_fiber()) /* B2 */
                return -ESHUTDOWN;
            weft__futex_wait(&word, w, -1);
        }
    }
}

int weft_stop(void)
{
    for (;;) {
        uint32_t w = at_load(&word);
        if ((w & PHASES) != UP)
            return -EINVAL;
        if (w != (ONE | UP)) {
            if (at_cas(&word, &w, w - ONE))
                return 0;
            continue;
        }
        if (on_a_fiber())
            return -EDEADLK;
        if (at_cas(&word, &w, STOPPING))
            break;
    }
    weft_chan_close(beside.end);
    pthread_join(beside.thread, NULL);
    weft_chan_free(beside.end);
    int rc = beside.rc;
    enter_phase(DOWN);
    return rc;
}
