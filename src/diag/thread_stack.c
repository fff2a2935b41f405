// SPDX-License-Identifier: Apache-2.0
/*
 * thread_stack.c - asking a thread for its stack (thread_stack.h).
 *
 *      asker                                     the thread, in the handler
 *      IDLE --ask.tid = t--> ASKED --tgkill-->   ASKED --> TAKING, the moment, --> DONE, futex wake
 *      ASKED --time is up--> IDLE                (the CAS of both from ASKED decides)
 *
 * So a signal that comes late finds IDLE or another's tid, and does nothing; and once the thread
 * has begun to copy the asker waits for the end of that, which nothing can hold up. The thread goes
 * on at once: it may hold a lock that unwinding wants (the allocator's).
 *
 * The handler is put in once and stays: weft_run puts its own on top of it and takes it off again.
 */
#include "diag/thread_stack.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "diag/moment.h"
#include "sched/worker.h"

static const int64_t LIMIT_NS = 200000000;
enum { IDLE, ASKED, TAKING, DONE };

static struct {
    _Atomic uint32_t state;
    _Atomic int tid;
    struct weft__moment moment;
} ask;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* one asker at a time */
static bool installed;

static void on_ask(int sig, siginfo_t *info, void *uc)
{
    uint32_t asked = ASKED;
    int tid = (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    (void)sig, (void)info;
    if (at_load(&ask.tid) != tid || !at_cas(&ask.state, &asked, TAKING))
        return;
    weft__moment_take(&ask.moment, uc);
    at_store(&ask.state, DONE);
    weft__futex_wake(&ask.state, 1);
}

static void install(void)
{
    struct sigaction old,
        sa = {.sa_sigaction = on_ask, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&sa.sa_mask);
    if (sigaction(SIGURG, NULL, &old) < 0 ||
        (old.sa_handler != SIG_DFL && old.sa_handler != SIG_IGN))
        return;
    installed = sigaction(SIGURG, &sa, NULL) == 0;
}

void weft__thread_stack_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, install);
}

/* Ours may have been replaced since, by a handler that knows nothing of us. */
static bool reaches_us(void)
{
    struct sigaction now;
    if (!installed || sigaction(SIGURG, NULL, &now) < 0)
        return false;
    bool runtime =
        weft__sched_running() && weft__sched.preempt && weft__sched.preempt_signal == SIGURG;
    return runtime || ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_ask);
}

int weft__thread_stack(int tid, uintptr_t *ret_pcs, int max)
{
    int n = 0;
    if (!reaches_us() || tid == (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0))
        return 0;
    pthread_mutex_lock(&lock);
    at_store(&ask.tid, tid);
    at_store(&ask.state, ASKED);
    if (weft__syscall(SYS_tgkill, getpid(), tid, SIGURG, 0, 0, 0) == 0) {
        int64_t until = weft__clock_ns() + LIMIT_NS;
        while (at_load(&ask.state) == ASKED && weft__clock_ns() < until)
            weft__futex_wait(&ask.state, ASKED, 10000000);
    }
    uint32_t asked = ASKED;
    if (!at_cas(&ask.state, &asked, IDLE)) {
        while (at_load(&ask.state) != DONE)
            weft__futex_wait(&ask.state, TAKING, 10000000);
        n = weft__unwind(&ask.moment, ret_pcs, max);
        at_store(&ask.state, IDLE);
    }
    at_store(&ask.tid, 0);
    pthread_mutex_unlock(&lock);
    return n;
}
