// SPDX-License-Identifier: Apache-2.0
/*
 * monitor.c - the thread that keeps one fiber from stopping the others.
 *
 * While any worker is busy it wakes each millisecond: publishes the coarse clock, pokes sleepers
 * whose timers are due, and looks at each worker. A worker whose pick count has not moved for half
 * a slice, and that has other work waiting, is held by its fiber:
 *
 *   blocked in the kernel  (the thread's CPU clock stands still and it does not merely wait for a
 *                          processor, or it said weft_blocking_begin)
 *       The worker is taken from it silently. The thread finds out at its next entry to the
 *       runtime (attention = LOST). No signal, so no EINTR.
 *   burning CPU
 *       First asked to yield at its next entry (attention = YIELD); signalled when the slice ends.
 *       The handler gives the worker to a spare thread and sleeps, with the fiber on it, until the
 *       fiber is chosen again: any C code may be stopped there, as its thread keeps its locks and
 *       thread-locals.
 *
 * A worker whose picks go on, but whose round of 61 (after which it looks at what waits behind the
 * hand-off slot) has lasted for a slice, is asked to yield too, and then looks: two fibers that
 * hand work to each other in long turns keep the others waiting for a slice, not for 61 turns.
 *
 * M1  The monitor never allocates, makes no thread, and signals only while a thread is parked to
 *     take the worker.
 * M2  Ownership: retake sets LOST, issues membarrier, then reads in_rt. The thread stores
 *     in_rt = 1, then reads attention, with only a compiler fence between. After the barrier either
 *     the monitor sees in_rt = 1 and lets go, or the thread sees LOST and waits for mach.lock,
 *     under which the decision is made [mo:inrt].
 * M3  The handler does nothing if its thread is inside the runtime, has no worker, or is losing it;
 *     it enters the runtime as M2 has it.
 * M4  With all workers idle and no fiber stopped the monitor sleeps (weft__monitor_kick wakes it),
 *     for good once shrink.c has nothing left to do, some seconds later: an idle program costs
 *     nothing.
 *
 * M5  The signal comes from a kernel timer on the thread's own CPU clock, which the monitor sets to
 *     the next moment. Such a timer is looked at by the tick that finds the thread on a processor,
 *     and (Linux 5.11) fires on its way back to user mode: never while it waits in the kernel, so
 *     no system call ends with EINTR for it. A signal sent by the monitor itself could not be so:
 *     the thread may have gone to sleep since the look, or during the time that the look averages
 *     over; 30 calls were interrupted by 1178 such preemptions. By the timer none was, in 7464
 *     preemptions and 13,742 short blocking calls of 170 seconds (tests/stress/stress_eintr.c). The
 *     price is the tick: up to 4 ms later, at 250 Hz. A timer that goes off late finds the phase
 *     changed, and does nothing.
 *
 * M6  A stopped fiber may hold what all others wait for, the spawner too: fork stops inside libc
 *     with all of malloc's locks, and a new thread needs malloc. So its thread must not depend on
 *     somebody who comes by and hands it a worker: while a worker is idle, or can be taken from a
 *     blocked thread, and no other thread is there to drive it, the monitor looks for a stopped
 *     fiber in the queues and gives the worker to its thread (weft__rescue_stopped).
 *
 * M7  A run that ends by time-out gives no worker to a thread without one. A fiber stopped there
 *     goes on all the same, as far as its next entry, since it may hold malloc's lock. Its thread
 *     is woken for that with no worker: the calling thread by drain_over, which the return waits
 *     for, the others by services_stop. The fiber stays bound: it is still in a queue, and whoever
 *     takes it out must not run it on a second thread. At that entry the calling thread leaves the
 *     fiber where it stands and goes back to weft_run; others sleep with it for ever. No fiber is
 *     stopped any more once sched.stopping is set: that wake-up might be spent.
 *
 * Where the timer cannot be had (RLIMIT_SIGPENDING bounds their number) the signal is sent, and a
 * thread that enters a system call about then may see EINTR (SA_RESTART covers most calls).
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fatal.h"
#include "sched/ring.h"
#include "sched/simulate.h"
#include "sched/worker.h"

enum { TICK_NS = 1000000, SLICE_NS = 10000000, MAX_PREEMPTED = 256, SAMPLE_LIMIT_NS = 200000000 };
enum { PHASE_NONE, PHASE_WATCHED, PHASE_ASKED, PHASE_SIGNALLED };

static struct sigaction old_action;

/* By the kernel's number: a surplus thread may have ended, and the C library's handle with it. */
static int64_t thread_cpu_ns(struct weft__mach *m)
{
    enum { PER_THREAD_CLOCK = 6 };
    struct timespec ts;
    clockid_t clock = (clockid_t)(~(unsigned)m->tid << 3 | PER_THREAD_CLOCK);
    if (weft__syscall(SYS_clock_gettime, clock, (long)&ts, 0, 0, 0, 0) != 0)
        return -1;
    return ts.tv_sec * (int64_t)1000000000 + ts.tv_nsec;
}

/* It runs, or would if it had a processor: others on a busy machine, or a container's quota, keep
 * it from that. A thread that is taken for blocked goes on beside the one that gets its worker, so
 * that each has still less: ten hogs on two workers were a dozen threads that competed. Without
 * /proc all whose clock stands still are blocked. */
static bool wants_processor(const struct weft__mach *m)
{
    char path[48] = "/proc/self/task/", text[64], digits[12], *end = path + 16;
    int n = 0;
    for (unsigned tid = (unsigned)m->tid; tid; tid /= 10)
        digits[n++] = (char)('0' + tid % 10);
    while (n)
        *end++ = digits[--n];
    memcpy(end, "/stat", 6);
    int fd = (int)weft__syscall(SYS_openat, AT_FDCWD, (long)path, O_RDONLY | O_CLOEXEC, 0, 0, 0);
    if (fd < 0)
        return false;
    long got = weft__syscall(SYS_read, fd, (long)text, sizeof text, 0, 0, 0);
    weft__syscall(SYS_close, fd, 0, 0, 0, 0, 0);
    while (got > 0 && text[got - 1] != ')') /* NUMBER (NAME) STATE, and numbers */
        got--;
    return got > 0 && got + 1 < (long)sizeof text && text[got + 1] == 'R';
}

static bool has_other_work(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&w->next) || !weft__ring_empty(w) || at_load(&s->global_count))
        return true;
    if (at_load(&s->idle) > 0 && at_load(&s->poller))
        return false; /* a sleeper serves timers and events */
    return weft__earliest_timer() <= weft__coarse_ns() || (s->have_poll && s->poll.waiters() > 0) ||
           at_load(&s->outside) > 0;
}

/* Somebody can take a worker over now. */
static bool spare_ready(void)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    bool spare = s->idle_mach_count > 0;
    weft__unlock(&s->lock);
    if (!spare && !at_load(&s->poller))
        weft__spawner_request();
    return spare || at_load(&s->poller);
}

static void release_and_wake(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    weft__worker_release_locked(w);
    weft__unlock(&s->lock);
    at_fence();
    weft__wake_one();
}

static void retake(struct weft__worker *w, struct weft__mach *m, uint32_t turns)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&m->lock, WEFT__RANK_THREAD);
    at_or(&m->t.attention, WEFT__ATT_LOST);
    weft__syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0); /* M2 */
    bool take = !at_load(&m->t.in_rt) && at_load(&m->t.worker) == w && weft__turns(w) == turns;
    if (take) {
        at_store(&m->t.worker, NULL);
        at_add(&s->detached, 1);
        m->detached = true;
    } else {
        at_and(&m->t.attention, ~(uint32_t)WEFT__ATT_LOST);
    }
    weft__unlock(&m->lock);
    if (take) {
        at_add(&s->retakes, 1);
        release_and_wake(w);
    }
}

static void signal_hog(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&s->stopped) >= MAX_PREEMPTED) {
        at_add(&s->forgone, 1);
        return;
    }
    struct itimerspec soon = {.it_value = {0, 1}};
    if (weft__syscall(SYS_timer_settime, at_load(&m->hog_timer), 0, (long)&soon, 0, 0, 0) == 0)
        return; /* M5 */
    at_store(&m->expected, 1);
    weft__syscall(SYS_tgkill, getpid(), m->tid, s->preempt_signal, 0, 0, 0);
}

void weft__hog_timer_open(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    int id;
    struct sigevent ev = {.sigev_notify = SIGEV_THREAD_ID,
        .sigev_signo = s->preempt_signal,
        .sigev_value.sival_ptr = m};
    ev._sigev_un._tid = m->tid;
    if (s->preempt && weft__syscall(SYS_timer_create, CLOCK_THREAD_CPUTIME_ID, (long)&ev, (long)&id,
                          0, 0, 0) == 0)
        at_store(&m->hog_timer, id);
}

void weft__hog_timer_close(struct weft__mach *m)
{
    int id = at_xchg(&m->hog_timer, WEFT__NO_HOG_TIMER);
    if (id != WEFT__NO_HOG_TIMER)
        weft__syscall(SYS_timer_delete, id, 0, 0, 0, 0, 0);
}

static void watch_round(struct weft__worker *w, struct weft__mach *m, uint32_t turns, int64_t now)
{
    uint32_t round = turns / WEFT__POLL_TURNS;
    if (round != w->seen_round) {
        w->seen_round = round;
        w->round_since_ns = now;
    } else if (now - w->round_since_ns >= SLICE_NS && has_other_work(w)) {
        w->round_since_ns = now;
        at_or(&m->t.attention, WEFT__ATT_YIELD);
    }
}

static void watch(struct weft__worker *w, int64_t now)
{
    struct weft__sched *s = &weft__sched;
    struct weft__mach *m = at_load(&w->mach);
    uint32_t turns = weft__turns(w);
    if (!m || turns != at_load(&w->seen_turns)) {
        if (m)
            watch_round(w, m, turns, now);
        at_store(&w->seen_turns, turns);
        w->seen_since_ns = now;
        w->phase = PHASE_NONE;
        return;
    }
    if (at_load(&s->idle) > 0 && at_load(&w->next))
        weft__wake_one(); /* a hand-off waits behind a fiber that runs on: another may take it */
    bool said = at_load(&m->blocking);
    if (!said && now - w->seen_since_ns < SLICE_NS / 2)
        return;
    if (at_load(&m->t.in_rt) || !has_other_work(w))
        return;
    bool spare = spare_ready();
    if (!spare && at_load(&s->stopped) == 0) /* M6 */
        return;
    if (said) {
        if (s->retake)
            retake(w, m, turns);
        return;
    }
    int64_t cpu = thread_cpu_ns(m);
    if (w->phase == PHASE_NONE) {
        w->phase = PHASE_WATCHED;
        w->seen_cpu_ns = cpu;
        w->seen_since_ns = now;
        return;
    }
    int64_t wall = now - w->seen_since_ns, used = cpu - w->seen_cpu_ns;
    if (wall < SLICE_NS / 4)
        return;
    if (used * 5 < wall && !wants_processor(m)) {
        if (s->retake)
            retake(w, m, turns);
        return;
    }
    if (!spare)
        return;
    if (w->phase == PHASE_WATCHED) {
        w->phase = PHASE_ASKED;
        at_or(&m->t.attention, WEFT__ATT_YIELD);
    } else if (s->preempt && wall >= SLICE_NS / 2) {
        w->phase = PHASE_ASKED;
        w->seen_since_ns = now;
        w->seen_cpu_ns = cpu;
        signal_hog(m);
    }
}

static bool all_idle(void)
{
    return at_load(&weft__sched.idle) == weft__sched.workers;
}

static void serve_sleepers(int64_t now)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&s->idle) == 0)
        return;
    int64_t first = weft__earliest_timer();
    if (at_load(&s->poller)) {
        if (first <= now || first < at_load(&s->poll_until))
            weft__poller_poke();
    } else if (first <= now || (s->have_poll && s->poll.waiters() > 0) || weft__any_work()) {
        weft__wake_one();
    }
}

void weft__monitor_kick(void)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&s->monitor_asleep) && at_xchg(&s->monitor_asleep, 0)) {
        at_store(&s->monitor_wake, 1);
        weft__futex_wake(&s->monitor_wake, 1);
    }
}

/* True: somebody became busy. False: the shrinker's next pass is due. */
static bool sleep_while_idle(int64_t now)
{
    struct weft__sched *s = &weft__sched;
    int64_t rest = weft__shrink_rest_ns(now);
    at_store(&s->monitor_wake, 0);
    at_store(&s->monitor_asleep, 1);
    if (all_idle() && !at_load(&s->stopping))
        do
            weft__futex_wait(&s->monitor_wake, 0, rest);
        while (at_load(&s->monitor_wake) == 0 && rest < 0);
    at_store(&s->monitor_asleep, 0);
    return at_load(&s->monitor_wake) || !all_idle();
}

void *weft__monitor_main(void *arg)
{
    struct weft__sched *s = arg;
    _Atomic uint32_t never = 0;
    int quiet = 0;
    s->monitor_tid = (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    while (!at_load(&s->stopping)) {
        int64_t now = weft__clock_ns();
        at_store(&s->coarse_ns, now);
        for (unsigned i = 0; i < s->workers; i++)
            watch(&s->worker[i], now);
        serve_sleepers(now);
        weft__rescue_stopped();
        if (at_load(&s->ended_machs))
            weft__machs_reap(false);
        bool disturbed = weft__shrink_tick(now, all_idle());
        quiet = !all_idle() || at_load(&s->stopped) ? 0
                : disturbed                         ? 5
                                                    : quiet + 1; /* disturbed: one more look */
        if (quiet > 5) {
            if (sleep_while_idle(now))
                quiet = 0;
        } else {
            weft__futex_wait(&never, 0, TICK_NS); /* the tick itself: time is what it waits for */
        }
    }
    return NULL;
}

/* ---- the receiving side ---- */

static void requeue_preempted(struct weft__mach *m, struct weft__worker *w, struct weft__fiber *f)
{
    struct weft__sched *s = &weft__sched;
    f->bound = &m->t;
    m->detached = true;
    at_add(&s->detached, 1);
    weft__lock(&m->lock, WEFT__RANK_THREAD);
    at_store(&m->t.worker, NULL);
    weft__unlock(&m->lock);
    at_store(&f->state, (uint32_t)WEFT__RUNNABLE);
    weft__global_push(f);
    at_add(&s->stopped, 1);
    release_and_wake(w);
    weft__mach_wait(m); /* hand_to_bound gives it a worker */
    at_sub(&s->stopped, 1);
    at_store(&f->state, (uint32_t)WEFT__RUNNING);
    if (!at_load(&m->t.worker)) { /* M7: detached and bound it stays */
        at_or(&m->t.attention, WEFT__ATT_LOST);
        return;
    }
    f->bound = NULL;
    m->detached = false;
    at_sub(&s->detached, 1);
}

/* Somebody asked where this thread is: told from the interrupted registers, whatever it was
 * doing. */
static void answer_sample(struct weft__mach *m, const void *uc)
{
    uintptr_t pc, fp;
    weft__arch_ucontext_frame(uc, &pc, &fp);
    at_store(&m->sample_fp, fp);
    at_store(&m->sample_pc, pc);
    at_store(&m->sample, 2);
    weft__futex_wake(&m->sample, 1);
}

bool weft__mach_sample(struct weft__mach *m, uintptr_t *ret_pc, uintptr_t *ret_fp)
{
    uint32_t none = 0;
    if (!weft__sched.preempt || !at_cas(&m->sample, &none, 1))
        return false;
    weft__syscall(SYS_tgkill, getpid(), m->tid, weft__sched.preempt_signal, 0, 0, 0);
    int64_t until = weft__clock_ns() + SAMPLE_LIMIT_NS;
    while (at_load(&m->sample) == 1 && weft__clock_ns() < until)
        weft__futex_wait(&m->sample, 1, 1000000);
    bool answered = at_load(&m->sample) == 2;
    *ret_pc = at_load(&m->sample_pc);
    *ret_fp = at_load(&m->sample_fp);
    at_store(&m->sample, 0);
    return answered;
}

/* Not ours: somebody else uses the same signal, and had a handler before us. */
static void pass_on(int sig, siginfo_t *info, void *uc)
{
    if (old_action.sa_flags & SA_SIGINFO)
        old_action.sa_sigaction(sig, info, uc);
    else if (old_action.sa_handler != SIG_DFL && old_action.sa_handler != SIG_IGN)
        old_action.sa_handler(sig);
}

static bool is_ours(struct weft__mach *m, const siginfo_t *info)
{
    if (info->si_code == SI_TIMER)
        return info->si_value.sival_ptr == m;
    return at_xchg(&m->expected, 0);
}

static void handler(int sig, siginfo_t *info, void *uc)
{
    struct weft__sched *s = &weft__sched;
    struct weft__mach *m = weft__mach_self();
    if (m && at_load(&m->sample) == 1) {
        answer_sample(m, uc);
        return;
    }
    if (!m || !is_ours(m, info)) {
        pass_on(sig, info, uc);
        return;
    }
    struct weft__worker *w = weft__mach_worker(m);
    if (m->foreign || !w || at_load(&m->t.in_rt) || m->t.cur->flags & WEFT__F_IDLE) /* M3 */
        return;
    int saved = *m->errno_at;
    at_store(&m->t.in_rt, 1);
    at_compiler_fence();
    bool lost = at_load(&m->t.attention) & WEFT__ATT_LOST; /* M2: w may be another's by now */
    bool wanted = w->phase == PHASE_ASKED && !at_load(&s->stopping); /* M7 */
    if (!lost && wanted && spare_ready() && has_other_work(w)) {
        uintptr_t pc, fp;
        weft__arch_ucontext_frame(uc, &pc, &fp);
        w->phase = PHASE_SIGNALLED;
        at_store(&m->sig_fp, fp);
        at_store(&m->sig_pc, pc);
        at_add(&s->preemptions, 1);
        requeue_preempted(m, w, m->t.cur);
        at_store(&m->sig_pc, 0);
    }
    *m->errno_at = saved;
    at_compiler_fence();
    at_store(&m->t.in_rt, 0);
}

int weft__preempt_install(int signal_number)
{
    struct sigaction sa = {
        .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigemptyset(&sa.sa_mask);
    return sigaction(signal_number, &sa, &old_action) < 0 ? -errno : 0;
}

void weft__preempt_uninstall(void)
{
    sigaction(weft__sched.preempt_signal, &old_action, NULL);
}

/* ---- the slow entry: this thread lost its worker, or is asked to yield ---- */

/* With the fiber, which never goes on. */
static _Noreturn void stay(struct weft__mach *m)
{
    static _Atomic uint32_t never;
    at_store(&m->stays, 1);
    weft__mach_settled();
    for (;;)
        weft__futex_wait(&never, 0, -1);
}

static void regain(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&m->lock, WEFT__RANK_THREAD); /* M2: the monitor decides under it */
    bool lost = at_load(&m->t.worker) == NULL;
    at_and(&m->t.attention, ~(uint32_t)WEFT__ATT_LOST);
    weft__unlock(&m->lock);
    if (at_load(&m->left_over)) /* after LOST is cleared, which says so too: E1 of runtime.c */
        stay(m);
    if (!lost)
        return;
    m->detached = false;
    if (at_load(&s->stopping)) { /* the run ends, and this fiber is left over */
        if (m->main)
            weft__abandon(m); /* M7 */
        stay(m);
    }
    bool got = weft__mach_take_worker(m);
    if (!got)
        weft__requeue_global(m->t.cur); /* resumes on whichever thread picks it */
    at_sub(&s->detached, 1);
}

/* The next pick counts as the last of its round: the queues behind the hand-off slot are looked at.
 */
static void look_next(struct weft__mach *m)
{
    struct weft__worker *w = weft__mach_worker(m);
    if (w)
        at_store_rlx(&w->turns, /* [mo:alone: a sign of life] */
            weft__turns(w) / WEFT__POLL_TURNS * WEFT__POLL_TURNS + WEFT__POLL_TURNS - 1);
}

void weft__enter_slow(struct weft__thread *t)
{
    struct weft__mach *m = (struct weft__mach *)(void *)t;
    uint32_t a = at_load(&t->attention);
    if (a & WEFT__ATT_LOST) {
        regain(m);
        m = weft__mach_self();
    }
    if (at_load(&m->t.attention) & WEFT__ATT_YIELD) {
        at_and(&m->t.attention, ~(uint32_t)WEFT__ATT_YIELD);
        if (!(m->t.cur->flags & (WEFT__F_IDLE | WEFT__F_THREAD))) {
            look_next(m);
            weft__yield();
        }
    }
    if (a & WEFT__ATT_SIM)
        weft__sim_stop();
}

void weft__blocking_begin(void)
{
    struct weft__mach *m = weft__mach_self();
    if (m && !m->foreign) {
        m->t.cur->flags |= WEFT__F_BLOCKING;
        at_store_rel(&m->blocking, 1); /* [mo:alone: a hint; the retake re-checks] */
    }
    weft__leave();
}

void weft__blocking_end(void)
{
    struct weft__mach *m = weft__mach_self(); /* the same thread: nothing parked in between */
    if (m && !m->foreign) {
        m->t.cur->flags &= ~(uint32_t)WEFT__F_BLOCKING;
        at_store_rel(&m->blocking, 0); /* [mo:alone: a hint; the retake re-checks] */
    }
    weft__enter();
}
