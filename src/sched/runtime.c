// SPDX-License-Identifier: Apache-2.0
/*
 * runtime.c - starting and stopping the runtime, its statistics, and the seams that other rooms
 * plug into.
 *
 *      weft__sched_run:  workers, monitor, spawner ──> entry fiber ──> loop on this thread ──> all
 * quiet ──> join, free
 *
 * The calling thread becomes one of the runtime's threads until the run ends. The end: the entry
 * has returned, `finish` has ended the root context, and the last thread to go idle finds no live
 * fiber. Fibers that do not end within drain_ns are left over: their stacks are kept (they may be
 * running C code) and they never run again: those that wait are claimed for good, those that run
 * stop at their next entry to the runtime. The caller gets -ETIMEDOUT. If its own thread is with
 * one of them, that entry is waited for (M7 of monitor.c).
 *
 * E1  A run that timed out is over only when each of its threads has ended, or was marked
 *     (mach.left_over, then LOST) and seen outside the runtime after that, or asleep for good
 *     (mach.stays). So whatever a thread of it was about to do inside is done, and its next entry
 *     is its last: none brings fibers, counts or itself into a later run. No thread's fate is
 *     judged once: who was on its way to its end may meet another fiber. (Where the kernel has no
 *     membarrier, one that enters at that very moment may be missed; find looks at the mark too.)
 * E2  Any thread's last steps, and the spawner's pthread_create, may wait for an allocator's lock
 *     that a stopped fiber holds. So all are marked and woken before one is joined.
 */
#include <errno.h>
#include <limits.h>
#include <linux/membarrier.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <weft/run.h>

#include "base/fatal.h"
#include "sched/cold.h"
#include "sched/overflow.h"
#include "sched/simulate.h"
#include "sched/worker.h"

struct weft__sched weft__sched = {.global_tail = &weft__sched.global_head};
int (*weft__cancelled_hook)(struct weft__fiber *f);

enum {
    DEFAULT_FIBERS = 16 << 20,
    DEFAULT_THREADS = 512,
    DEFAULT_STACK = 256 << 10,
    MAX_WORKERS = 1024
};
static const int64_t default_drain_ns = 10000000000, default_thread_idle_ns = 5000000000;

static void drain_over(struct weft__timer *t, void *arg)
{
    struct weft__sched *s = arg;
    (void)t;
    at_store(&s->timed_out, 1);
    weft__stop_everyone();
    weft__mach_wake(s->main); /* M7 of monitor.c: nothing else wakes it from a signal's handler */
}

static int entry_main(void *arg)
{
    struct weft__sched *s = arg;
    int rc = s->entry(s->entry_arg);
    weft__enter();
    s->result = rc;
    weft__cold_closing(); /* all are about to be touched */
    if (s->finish)
        s->finish(rc);
    s->drain_timer = (struct weft__timer){.fn = drain_over, .arg = s};
    weft__timer_start(&s->drain_timer, weft__clock_ns() + s->drain_ns);
    at_store(&s->draining, 1);
    weft__leave();
    return rc;
}

/* Workers of a runtime that has ended, for the next. They stay mapped for ever (T3 of timer.c), as
 * does a smaller lot that was replaced. Only the running runtime touches this. */
static struct {
    struct weft__worker *worker;
    unsigned count;
} kept;

/* Zeros but for the heap: plain threads may be at its lock. */
static void worker_clear(struct weft__worker *w)
{
    size_t at = offsetof(struct weft__worker, heap), after = at + sizeof w->heap;
    memset(w, 0, at);
    memset((char *)w + after, 0, sizeof *w - after);
}

static int workers_map(struct weft__sched *s)
{
    if (s->workers > kept.count) {
        void *p = mmap(NULL, s->workers * sizeof *s->worker, PROT_READ | PROT_WRITE,
            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return -ENOMEM;
        kept.worker = p;
        kept.count = s->workers;
    }
    at_store(&s->worker, kept.worker);
    return 0;
}

static int workers_init(struct weft__sched *s)
{
    int rc = workers_map(s);
    if (rc < 0)
        return rc;
    for (unsigned i = 0; i < s->workers; i++) {
        struct weft__worker *w = &s->worker[i];
        worker_clear(w);
        w->index = i;
        w->relief = WEFT__RING;
        weft__timers_open(&w->heap);
        weft__rand_init(&w->rand, i + 1);
    }
    if (!s->sim) /* a simulation is not to be disturbed by them */
        weft__timers_adopt(&s->worker[0].heap);
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    for (unsigned i = s->workers; i-- > 0;)
        weft__worker_release_locked(&s->worker[i]);
    weft__unlock(&s->lock);
    return 0;
}

static void options_take(struct weft__sched *s, const struct weft__sched_opts *o)
{
    s->workers = o->sim ? 1 : o->workers ? o->workers : weft_cpus();
    if (s->workers > MAX_WORKERS)
        s->workers = MAX_WORKERS;
    s->max_fibers = o->max_fibers ? o->max_fibers : DEFAULT_FIBERS;
    s->max_threads = o->max_threads ? o->max_threads : DEFAULT_THREADS;
    if (s->max_threads < s->workers + 1)
        s->max_threads = s->workers + 1;
    s->stack_bytes = o->stack_bytes ? o->stack_bytes : DEFAULT_STACK;
    s->stack_class = weft__stack_class(s->stack_bytes);
    s->first_id = at_load(&s->next_id) + 1;
    s->drain_ns = o->drain_ns ? o->drain_ns : default_drain_ns;
    s->thread_idle_ns = o->thread_idle_ns ? o->thread_idle_ns : default_thread_idle_ns;
    s->cold_ns = o->sim ? 0 : o->cold_ns;
    s->sim = o->sim;
    s->preempt = !o->no_preempt && !o->sim;
    s->preempt_signal = o->preempt_signal ? o->preempt_signal : SIGURG;
    int64_t batch = s->max_fibers / (16 * (int64_t)s->workers);
    s->batch = batch > 64 ? 64 : batch < 1 ? 1 : (unsigned)batch;
    at_store(&s->fibers_left, s->max_fibers);
}

static void state_reset(struct weft__sched *s)
{
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    s->global_head = NULL;
    s->global_tail = &s->global_head;
    at_store(&s->global_count, 0);
    weft__unlock(&s->lock);
    s->idle_workers = NULL;
    s->idle_machs = s->all_machs = NULL;
    at_store(&s->ended_machs, NULL);
    s->machs = s->idle_mach_count = 0;
    at_store(&s->idle, 0);
    at_store(&s->spinning, 0);
    at_store(&s->poller, NULL);
    at_store(&s->poked, 0);
    at_store(&s->poll_futex, 0);
    at_store(&s->poll_until, INT64_MAX);
    at_store(&s->stopping, 0);
    at_store(&s->draining, 0);
    at_store(&s->timed_out, 0);
    at_store(&s->detached, 0);
    at_store(&s->want_mach, 0);
    at_store(&s->coarse_ns, weft__clock_ns());
}

static int services_start(struct weft__sched *s)
{
    if (s->sim) {
        s->retake = false;
        weft__overflow_install();
        return 0;
    }
    s->retake = weft__syscall(
                    SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0) == 0;
    int rc = s->preempt ? weft__preempt_install(s->preempt_signal) : 0;
    if (rc < 0)
        return rc;
    rc = -pthread_create(&s->monitor_thread, NULL, weft__monitor_main, s);
    if (rc < 0)
        goto no_monitor;
    rc = -pthread_create(&s->spawner_thread, NULL, weft__spawner_main, s);
    if (rc < 0)
        goto no_spawner;
    weft__overflow_install();
    weft__spawner_request();
    return 0;
no_spawner:
    at_store(&s->stopping, 1);
    weft__monitor_kick();
    pthread_join(s->monitor_thread, NULL);
no_monitor:
    if (s->preempt)
        weft__preempt_uninstall();
    return rc;
}

/* E1, of a run that timed out. The barrier is M2's (monitor.c). */
static bool settled(struct weft__mach *m)
{
    const struct weft__fiber *f = m->t.cur;
    if (at_load(&m->exited))
        return true;
    if (!at_load(&m->left_over)) {
        weft__mach_wake(m);
        if (f == &m->idle || at_load(&f->state) == WEFT__DEAD)
            return false; /* on its way to its end, or to another fiber */
        at_store(&m->left_over, 1);
        at_or(&m->t.attention, WEFT__ATT_LOST);
        weft__mach_wake(m);       /* after both: who is woken looks */
        weft__hog_timer_close(m); /* before its signal has no handler, and might end the process */
    }
    weft__syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0, 0, 0, 0);
    return at_load(&m->stays) || !at_load(&m->t.in_rt);
}

static bool all_settled(struct weft__sched *s, struct weft__mach *self)
{
    bool all = true;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    for (struct weft__mach *m = s->all_machs; m; m = m->all_next)
        all &= m == self || settled(m); /* each is looked at: E2 */
    weft__unlock(&s->lock);
    return all;
}

/* Nobody tells when a thread turns to a fiber or leaves the runtime: that is looked for. */
static void settle(struct weft__sched *s, struct weft__mach *self)
{
    enum { LOOK_NS = 1000000 };
    for (;;) {
        uint32_t ends = at_load(&s->ends);
        if (!at_load(&s->timed_out) || all_settled(s, self))
            return;
        weft__futex_wait(&s->ends, ends, LOOK_NS);
    }
}

/* Those that hold a left-over fiber are let go of. */
static void join_others(struct weft__sched *s, struct weft__mach *self)
{
    for (struct weft__mach *m = s->all_machs, *next; m; m = next) {
        next = m->all_next; /* nothing but this loop changes the list now */
        if (m == self)
            continue;
        if (at_load(&m->left_over) && !at_load(&m->exited)) {
            pthread_detach(m->pthread);
            continue;
        }
        weft__mach_wake(m);
        pthread_join(m->pthread, NULL);
        /* those still there may be looking through the list */
        weft__lock(&s->lock, WEFT__RANK_SCHED);
        struct weft__mach **at = &s->all_machs;
        while (*at != m)
            at = &(*at)->all_next;
        *at = m->all_next;
        weft__unlock(&s->lock);
        weft__mach_free(m);
    }
}

/* E2. The monitor first: it needs no allocator, and signals no more. */
static void services_stop(struct weft__sched *s, struct weft__mach *self)
{
    if (s->sim) {
        weft__overflow_uninstall();
        return;
    }
    at_store(&s->monitor_asleep, 1);
    weft__monitor_kick();
    pthread_join(s->monitor_thread, NULL);
    settle(s, self);
    at_store(&s->spawner_wake, 1);
    weft__futex_wake(&s->spawner_wake, 1);
    pthread_join(s->spawner_thread, NULL);
    settle(s, self); /* what the spawner has made meanwhile */
    join_others(s, self);
    weft__machs_reap(true);
    weft__hog_timer_close(self); /* before its signal has no handler */
    if (s->preempt)
        weft__preempt_uninstall();
    weft__overflow_uninstall();
}

static int run_here(struct weft__sched *s, struct weft__mach *self, const struct weft__spawn *entry)
{
    struct weft__thread *before = weft__tls_thread;
    self->main = true;
    s->main = self;
    weft__mach_bind(self);
    at_store(&self->t.in_rt, 1);
    weft__tsan_quiet();
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    self->all_next = s->all_machs;
    s->all_machs = self;
    s->machs++;
    weft__unlock(&s->lock);
    weft__mach_take_worker(self);
    at_store(&s->running, WEFT__RUNS);
    if (s->sim)
        weft__sim_begin(self);
    int rc = weft__spawn(entry, NULL);
    if (rc == 0)
        (s->sim ? weft__sim_loop : weft__mach_loop)(self);
    if (s->sim)
        weft__sim_end();
    weft__stop_everyone(); /* empties the idle list, before any thread's record goes */
    weft__await_holds();
    services_stop(s, self);
    weft__tsan_acquire(s);
    weft__tsan_loud();
    weft__mach_unbind(self);
    weft__tls_thread = before;
    return rc;
}

/* A left-over fiber's wait is claimed for nobody, so that no timer, partner or context makes it
 * runnable in a later run. Not a hard one: there its waker is sure to win (J2 of ctx/scope.c), and
 * has, or will have, a fiber that nothing makes runnable. */
static bool end_wait(struct weft__fiber *f, void *arg)
{
    uint32_t w = at_load(&f->wake);
    (void)arg;
    if (at_load(&f->state) != WEFT__RUNNING) /* who runs in user code has flags of its own to set */
        f->flags |= WEFT__F_LEFT;
    while ((w & WEFT__WAKE_MASK) == WEFT__WAKE_WAIT)
        if (at_cas(&f->wake, &w, w & WEFT__WAKE_KEPT))
            break;
    return true;
}

int weft__sched_run(int (*entry)(void *), void *arg, void (*prepare)(struct weft__fiber *, void *),
    void *prepare_arg, void (*finish)(int result), const struct weft__sched_opts *opts,
    int *ret_result)
{
    static const struct weft__sched_opts none;
    struct weft__sched *s = &weft__sched;
    struct weft__thread *t = weft__tls_thread;
    uint32_t stopped = 0;
    if (t && !(t->cur->flags & WEFT__F_THREAD))
        return -EDEADLK;
    if (sysconf(_SC_PAGESIZE) != WEFT__PAGE_BYTES)
        return -ENOTSUP;
    if (!at_cas(&s->running, &stopped, WEFT__STARTS))
        return -EBUSY;
    state_reset(s);
    options_take(s, opts ? opts : &none);
    s->entry = entry;
    s->entry_arg = arg;
    s->finish = finish;
    int rc = workers_init(s);
    if (rc == 0 && s->cold_ns)
        rc = weft__cold_start();
    struct weft__mach *self = rc == 0 ? weft__mach_new(false) : NULL;
    if (rc == 0)
        rc = self ? services_start(s) : -ENOMEM;
    if (rc == 0) {
        struct weft__spawn e = {.entry = entry_main,
            .arg = s,
            .prepare = prepare,
            .prepare_arg = prepare_arg,
            .spawn_site = __builtin_return_address(0)};
        rc = run_here(s, self, &e);
        if (rc == 0 && ret_result)
            *ret_result = s->result;
    }
    if (self)
        weft__mach_free(self);
    bool left_over = at_load(&s->timed_out);
    if (left_over)
        weft__fibers_each(end_wait, NULL);
    weft__cold_stop();
    weft__timer_stop(&s->drain_timer);
    for (unsigned i = 0; s->worker && i < s->workers; i++) {
        weft__stack_cache_flush(&s->worker[i].stacks);
        weft__timers_orphan(&s->worker[i].heap);
    }
    if (left_over && !s->sim)
        kept.count = 0; /* the threads left over may be looking at theirs */
    at_store(&s->worker, NULL);
    s->workers = 0;
    at_store(&s->running, 0);
    return rc == 0 && left_over ? -ETIMEDOUT : rc;
}

bool weft__sched_running(void)
{
    return at_load(&weft__sched.running) && !at_load(&weft__sched.stopping);
}

void weft__poller_set(const struct weft__poller *p)
{
    weft__sched.poll = *p;
    weft__sched.have_poll = true;
}

void weft__outside_add(int n)
{
    at_add(&weft__sched.outside, n);
}

void weft__stats_read(struct weft__stats *ret)
{
    struct weft__sched *s = &weft__sched;
    struct weft__cold_counts cold;
    uint64_t slots;
    int64_t live = 0;
    struct weft__worker *first = at_load(&s->worker);
    unsigned workers = first ? s->workers : 0; /* the run may end meanwhile: H3 of hold.c */
    memset(ret, 0, sizeof *ret);
    for (unsigned i = 0; i < workers; i++) {
        struct weft__worker *w = &first[i];
        ret->switches += w->switches;
        ret->spawns += w->spawns;
        ret->steals += w->steals;
        ret->wakeups += w->wakeups;
        ret->polls += w->polls;
        ret->poll_ns += w->poll_ns;
        for (int r = 0; r < WEFT__WAIT_COUNT; r++)
            ret->parks[r] += w->parks[r];
    }
    weft__live_fibers(&live);
    ret->fibers_live = live > 0 ? (uint64_t)live : 0;
    ret->preemptions = at_load(&s->preemptions);
    ret->retakes = at_load(&s->retakes);
    ret->workers = s->workers;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    ret->threads = s->machs;
    ret->threads_idle = s->idle_mach_count;
    weft__unlock(&s->lock);
    weft__stack_stats(&ret->stack_bytes, &slots);
    weft__cold_count(&cold);
    ret->cold_away = cold.away;
    ret->cold_bytes = cold.bytes;
    ret->cold_frozen = cold.frozen;
    ret->cold_thawed = cold.thawed;
}
