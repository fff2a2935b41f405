// SPDX-License-Identifier: Apache-2.0
/*
 * worker.c - the loop of a thread that drives a worker: what to run, whom to steal from, how to go
 * idle, whom to wake.
 *
 * Order of a look: due timers, (every 61st pick) the poller, the global queue and the ring, the
 * hand-off slot, the ring, the global queue, the poller without waiting, then spinning: stealing
 * from the others. A look that finds nothing publishes the worker as idle and looks once more (W4)
 * before the thread sleeps: in the poller, if that role is free, with the earliest timer of all
 * heaps as its time-out; else in its own futex.
 *
 * Waking. A thread that makes surplus work calls weft__wake_for_surplus after a full fence. It
 * wakes nobody while somebody spins, or when no worker is idle: the spinner finds the work, and
 * when it does, it wakes the next one. So a burst wakes threads one after another, each only if the
 * last found work, and a wake-up (12-40 us here, 2-18 us of them the waker's) is never paid twice.
 * The sleeper in the poller is woken by a poke that carries the spinning token (sched.poked).
 *
 * Deadlock. The last thread to go idle sees all workers idle, no timer, no waiter in the poller,
 * nothing outside, no fiber on a thread without a worker: then no fiber can ever run again. See
 * quiescent().
 */
#include <limits.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fatal.h"
#include "sched/ring.h"
#include "sched/worker.h"

enum {
    SPIN_NS = 20000,
    TRIM_NS = 1000000000,
    RESCUE_LOOKS = 1000,
    SEEN = 128 /* workers whose hand-off slot may be taken */
};

void (*weft__deadlock_hook)(bool fatal);

int64_t weft__earliest_timer(void)
{
    struct weft__sched *s = &weft__sched;
    int64_t first = INT64_MAX;
    for (unsigned i = 0; i < s->workers; i++) {
        int64_t t = at_load(&s->worker[i].heap.next_ns);
        first = t < first ? t : first;
    }
    return first;
}

static void clock_update(int64_t now)
{
    at_store_rlx(&weft__sched.coarse_ns, now); /* [mo:alone: a coarse clock] */
}

/* ---- idle workers ---- */

void weft__worker_release_locked(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    WEFT_ASSERT(!w->idle);
    w->idle = true;
    at_store(&w->mach, NULL);
    w->idle_next = s->idle_workers;
    s->idle_workers = w;
    at_add(&s->idle, 1);
}

static struct weft__worker *take_idle_locked(void)
{
    struct weft__sched *s = &weft__sched;
    struct weft__worker *w = s->idle_workers;
    if (w) {
        s->idle_workers = w->idle_next;
        w->idle = false;
        at_sub(&s->idle, 1);
    }
    return w;
}

static void drive(struct weft__mach *m, struct weft__worker *w)
{
    at_store(&m->t.worker, w);
    at_store(&w->mach, m);
    at_store(&w->seen_turns, weft__turns(w) - 1);
}

bool weft__mach_take_worker(struct weft__mach *m)
{
    weft__lock(&weft__sched.lock, WEFT__RANK_SCHED);
    struct weft__worker *w = take_idle_locked();
    weft__unlock(&weft__sched.lock);
    if (w) {
        drive(m, w);
        weft__monitor_kick();
    }
    return w != NULL;
}

/* ---- waking ---- */

bool weft__any_work(void)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&s->global_count) > 0)
        return true;
    for (unsigned i = 0; i < s->workers; i++) {
        if (!weft__ring_empty(&s->worker[i]))
            return true;
        /* a hand-off slot is its own worker's business, unless that worker lost its thread */
        if (at_load(&s->worker[i].next) && !at_load(&s->worker[i].mach))
            return true;
    }
    return false;
}

static struct weft__mach *take_mach_locked(void)
{
    struct weft__mach *m = weft__sched.idle_machs;
    if (m) {
        weft__sched.idle_machs = m->idle_next;
        weft__sched.idle_mach_count--;
    }
    return m;
}

/* The caller has added one to spinning: that token goes to the thread that is woken (true), or is
 * given back. */
static bool wake_with_token(void)
{
    struct weft__sched *s = &weft__sched;
    struct weft__worker *w;
    struct weft__mach *m;
    for (;;) {
        weft__lock(&s->lock, WEFT__RANK_SCHED);
        w = s->idle_machs ? take_idle_locked() : NULL;
        m = w ? take_mach_locked() : NULL;
        weft__unlock(&s->lock);
        if (m) {
            m->spinning = true;
            drive(m, w);
            weft__monitor_kick();
            weft__mach_wake(m);
            return true;
        }
        if (!at_load(&s->poller) || at_load(&s->idle) == 0 || at_xchg(&s->poked, 1) != 0)
            break;
        if (at_load(&s->poller)) {
            weft__poller_poke();
            return true;
        }
        if (at_xchg(&s->poked, 0) == 0) /* it was leaving just now, and took the token along */
            return true;
    }
    at_sub(&s->spinning, 1);
    return false;
}

static bool somebody_sleeps(void)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    bool sleeps = s->idle_machs != NULL;
    weft__unlock(&s->lock);
    return sleeps || at_load(&s->poller);
}

void weft__wake_one(void)
{
    struct weft__sched *s = &weft__sched;
    uint32_t none;
    do {
        none = 0;
        if (!at_cas(&s->spinning, &none, 1) || wake_with_token())
            return;
        /* while we held the token others relied on it, and a sleeper may have lain down (W4) */
    } while (at_load(&s->idle) > 0 && somebody_sleeps() && weft__any_work());
    if (at_load(&s->idle) && !at_load(&s->poller))
        weft__spawner_request();
}

void weft__wake_for_surplus(void)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&s->idle) == 0 || at_load(&s->spinning) != 0)
        return;
    struct weft__mach *m = weft__mach_self();
    if (m && weft__mach_worker(m))
        weft__mach_worker(m)->wakeups++;
    weft__wake_one();
}

void weft__poller_poke(void)
{
    struct weft__sched *s = &weft__sched;
    if (s->have_poll) {
        s->poll.wake();
    } else {
        at_store(&s->poll_futex, 1);
        weft__futex_wake(&s->poll_futex, 1);
    }
}

/* An idle worker is nobody's: who takes it out of the list may do its owner's work, and puts it
 * back with this. Meanwhile there seemed to be one less, and somebody may have relied on that. So
 * work is looked for (W4); who judged (quiescent) does so anew, in the poller's role or on the way
 * to it (a poke lasts until the next wait); and if that role is free, whoever did not take it
 * (rest) is woken, or has not linked itself in and looks afterwards. */
static void put_back(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    weft__worker_release_locked(w);
    weft__unlock(&s->lock);
    at_fence(); /* W4 */
    if (weft__any_work() || !at_load(&s->poller))
        weft__wake_one();
    weft__poller_poke();
}

/* False: it is not idle. */
static bool flush_one(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    struct weft__worker **at = &s->idle_workers;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    while (*at && *at != w)
        at = &(*at)->idle_next;
    bool mine = *at == w;
    if (mine) {
        *at = w->idle_next;
        w->idle = false;
        at_sub(&s->idle, 1);
    }
    weft__unlock(&s->lock);
    if (!mine)
        return false;
    weft__stack_cache_flush(&w->stacks);
    put_back(w);
    return true;
}

bool weft__idle_stacks_flush(void)
{
    struct weft__sched *s = &weft__sched;
    bool flushed = false;
    for (unsigned i = 0; i < s->workers; i++) {
        struct weft__worker *w = &s->worker[i];
        bool slept = weft__turns(w) == at_xchg(&w->shrink_turns, weft__turns(w));
        bool any = false;
        for (unsigned c = 0; c < WEFT__STACK_CLASSES; c++)
            any |= *(volatile unsigned *)&w->stacks.count[c] != 0;
        if (slept && any && !at_load(&w->mach))
            flushed |= flush_one(w);
    }
    return flushed;
}

/* ---- looking for work ---- */

static int poll_now(struct weft__worker *w, int64_t now)
{
    struct weft__sched *s = &weft__sched;
    if (!s->have_poll || s->poll.waiters() == 0)
        return 0;
    w->last_poll_ns = now;
    w->polls++;
    int ready = s->poll.wait(0);
    w->poll_ns += (uint64_t)(weft__clock_ns() - now);
    return ready;
}

/* With nothing else to do. Does not count for look_local, which asks again soon. */
static int poll_idle(struct weft__worker *w, int64_t now)
{
    int ready = poll_now(w, now);
    w->last_poll_ns = 0;
    return ready;
}

static struct weft__fiber *take_next(struct weft__worker *w)
{
    struct weft__fiber *f = at_load_acq(&w->next); /* [mo:next] */
    return f && at_cas(&w->next, &f, NULL) ? f : NULL;
}

/* A burst's stacks do not stay with the worker that it ended on. */
static void trim_stacks(struct weft__worker *w, int64_t now)
{
    if (now - w->last_trim_ns < TRIM_NS)
        return;
    w->last_trim_ns = now;
    weft__stack_cache_trim(&w->stacks);
}

static struct weft__fiber *look_local(struct weft__worker *w)
{
    struct weft__fiber *f;
    if (weft__turn(w) % WEFT__POLL_TURNS ==
        0) { /* fairness: global, then ring, before the hand-off slot */
        int64_t now = weft__clock_ns();
        clock_update(now);
        weft__timers_run(&w->heap, now);
        if (now - w->last_poll_ns > 1000000)
            poll_now(w, now);
        trim_stacks(w, now);
        if ((f = weft__global_take(w)) || (f = weft__ring_pop(w)))
            return f;
    } else if (at_load(&w->heap.next_ns) <= at_load(&weft__sched.coarse_ns)) {
        weft__timers_run(&w->heap, at_load(&weft__sched.coarse_ns));
    }
    if ((f = take_next(w)) || (f = weft__ring_pop(w)))
        return f;
    return weft__global_take(w);
}

static struct weft__fiber *steal(struct weft__worker *w, const uint32_t *seen_turns)
{
    struct weft__sched *s = &weft__sched;
    uint32_t start = weft__rand_below(&w->rand, s->workers);
    for (unsigned i = 0; i < s->workers; i++) {
        unsigned k = (start + i) % s->workers;
        struct weft__worker *v = &s->worker[k];
        bool stuck = seen_turns && k < SEEN && weft__turns(v) == seen_turns[k];
        struct weft__fiber *f;
        if (v != w && (f = weft__ring_steal(w, v, stuck))) {
            w->steals++;
            return f;
        }
    }
    return NULL;
}

/* A fiber that was preempted is awake inside its own thread's handler: that thread gets the worker.
 */
static void drive_bound(struct weft__worker *w, struct weft__fiber *f)
{
    struct weft__mach *to = (struct weft__mach *)(void *)f->bound;
    drive(to, w);
    weft__mach_wake(to);
}

/* As w's owner: a stopped fiber out of all queues; who is met on the way goes to the global queue's
 * tail. So RESCUE_LOOKS a tick go through all of them in the end. */
static struct weft__fiber *find_stopped(struct weft__worker *w)
{
    struct weft__fiber *f;
    for (int looks = 0; looks < RESCUE_LOOKS; looks++) {
        if (!(f = take_next(w)) && !(f = weft__ring_pop(w)) && !(f = steal(w, NULL)))
            f = weft__global_take(w);
        if (!f || f->bound)
            return f;
        weft__global_push(f);
    }
    return NULL;
}

void weft__rescue_stopped(void)
{
    struct weft__sched *s = &weft__sched;
    if (at_load(&s->stopped) == 0 || at_load(&s->spinning) || at_load(&s->poller))
        return;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    bool nobody = !s->idle_machs && !at_load(&s->stopping);
    struct weft__worker *w = nobody ? take_idle_locked() : NULL;
    weft__unlock(&s->lock);
    if (!w)
        return;
    struct weft__fiber *f = find_stopped(w);
    if (!f) {
        put_back(w);
        return;
    }
    drive_bound(w, f);
    at_fence(); /* W4: nobody who lay down meanwhile saw what this had in its hands */
    if (weft__any_work())
        weft__wake_one();
}

/* Timers of every heap: a busy or idle worker's timers are anyone's who has time. */
static bool run_due_timers(int64_t now)
{
    struct weft__sched *s = &weft__sched;
    int n = 0;
    clock_update(now);
    for (unsigned i = 0; i < s->workers; i++)
        if (at_load(&s->worker[i].heap.next_ns) <= now)
            n += weft__timers_run(&s->worker[i].heap, now);
    return n > 0;
}

static bool start_spinning(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    if (m->spinning)
        return true;
    if (s->workers == 1 || at_load(&s->spinning) * 2 >= s->workers - at_load(&s->idle))
        return false;
    m->spinning = true;
    at_add(&s->spinning, 1);
    return true;
}

/* A hand-off is its worker's own: two fibers that pass a ball stay on one cache. Only a worker that
 * made no pick while we spun, so runs one fiber for longer, loses it. */
static struct weft__fiber *spin(struct weft__mach *m, struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    struct weft__fiber *f;
    uint32_t seen[SEEN];
    if (!start_spinning(m))
        return NULL;
    for (unsigned i = 0; i < s->workers && i < SEEN; i++)
        seen[i] = weft__turns(&s->worker[i]);
    int64_t until = weft__clock_ns() + SPIN_NS;
    for (;;) {
        if ((f = steal(w, NULL)) || (f = weft__global_take(w)))
            return f;
        if (at_load(&s->stopping))
            return NULL;
        if (weft__stack_prepare()) { /* somebody is starting fibers: there will be work */
            until = weft__clock_ns() + SPIN_NS;
            continue;
        }
        if (weft__clock_ns() >= until)
            return steal(w, seen);
        for (int i = 0; i < 20; i++)
            weft__cpu_pause();
    }
}

/* Leaves the spinning state because work was found; the next spinner is woken if there may be more
 * (W3). */
static struct weft__fiber *found(struct weft__mach *m, struct weft__fiber *f)
{
    struct weft__sched *s = &weft__sched;
    if (m->spinning) {
        m->spinning = false;
        if (at_sub(&s->spinning, 1) == 1 && at_load(&s->idle) > 0)
            weft__wake_one();
    }
    return f;
}

/* ---- going idle ---- */

bool weft__live_fibers(int64_t *ret_live)
{
    struct weft__sched *s = &weft__sched;
    int64_t live = s->max_fibers - at_load(&s->fibers_left);
    struct weft__worker *first = at_load(&s->worker);
    for (unsigned i = 0; first && i < s->workers; i++)
        live -= first[i].budget;
    *ret_live = live;
    return live > 0;
}

/* Whether tid is one of the runtime's threads. Under sched.lock. */
static bool own_thread_locked(int tid)
{
    const struct weft__sched *s = &weft__sched;
    if (tid == s->monitor_tid || tid == s->spawner_tid || weft__is_service(tid))
        return true;
    for (const struct weft__mach *m = s->all_machs; m; m = m->all_next)
        if (m->tid == tid)
            return true;
    for (const struct weft__mach *m = at_load(&s->ended_machs); m; m = m->all_next)
        if (m->tid == tid)
            return true;
    return false;
}

/* Threads of ours that have not said their number yet. Under sched.lock. */
static unsigned starting_threads_locked(void)
{
    const struct weft__sched *s = &weft__sched;
    unsigned n = (unsigned)(s->monitor_tid == 0) + (unsigned)(s->spawner_tid == 0);
    n += weft__services_starting();
    for (const struct weft__mach *m = s->all_machs; m; m = m->all_next)
        n += (unsigned)(m->tid == 0);
    return n;
}

/* Of a piece of the directory of threads. */
static unsigned strangers_locked(const char *entries, long bytes)
{
    unsigned n = 0;
    for (long at = 0; at < bytes;) {
        const struct dirent64 *e = (const void *)(entries + at);
        n += e->d_name[0] != '.' && !own_thread_locked(atoi(e->d_name));
        at += e->d_reclen;
    }
    return n;
}

/* -1: the directory cannot be read. */
static int strangers(int dir, unsigned *ret_starting)
{
    _Alignas(struct dirent64) char piece[4096];
    int n = 0;
    weft__syscall(SYS_lseek, dir, 0, SEEK_SET, 0, 0, 0);
    weft__lock(&weft__sched.lock, WEFT__RANK_SCHED);
    *ret_starting = starting_threads_locked(); /* before: one may say its number meanwhile */
    long got;
    while ((got = weft__syscall(SYS_getdents64, dir, (long)piece, sizeof piece, 0, 0, 0)) > 0)
        n += (int)strangers_locked(piece, got);
    weft__unlock(&weft__sched.lock);
    return got < 0 ? -1 : n;
}

/* Whether the process has threads that are not the runtime's. By name and not by number: a thread
 * of ours is on the list before it exists, and would make up for a stranger. While one is starting
 * it cannot be told from a stranger: wait for it. By system calls alone: a deadlock for want of
 * memory is to be found too. */
static bool foreign_threads(void)
{
    static _Atomic uint32_t never;
    unsigned starting;
    int n, dir = (int)weft__syscall(SYS_openat, AT_FDCWD, (long)"/proc/self/task",
               O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
    if (dir < 0)
        return true;
    while ((n = strangers(dir, &starting)) > 0 && starting && !at_load(&weft__sched.stopping))
        weft__futex_wait(&never, 0, 100000);
    weft__syscall(SYS_close, dir, 0, 0, 0, 0, 0);
    return n != 0;
}

/* Every worker idle and nothing queued, in flight, or due: only somebody outside could change it.
 */
static bool all_quiet(void)
{
    struct weft__sched *s = &weft__sched;
    return at_load(&s->idle) == s->workers && !at_load(&s->spinning) && !at_load(&s->detached) &&
           !weft__any_work();
}

/* A fiber that a thread without a worker has counted and not yet queued lives and is nowhere: its
 * starter holds the runtime. So holds are looked at after the count, and the queues after the
 * holds. (The thread that calls weft_run starts the first fiber like that if another took the only
 * worker before it.) */
static bool asleep_for_good(int64_t *ret_live)
{
    struct weft__sched *s = &weft__sched;
    return all_quiet() && weft__live_fibers(ret_live) && !at_load(&s->holds) && all_quiet() &&
           weft__earliest_timer() == INT64_MAX && at_load(&s->outside) <= 0 &&
           !at_load(&s->poked) && !(s->have_poll && s->poll.waiters() > 0);
}

static bool quiet_and_empty(void)
{
    int64_t live;
    return all_quiet() && !weft__live_fibers(&live);
}

static void deadlock(void)
{
    struct weft__sched *s = &weft__sched;
    static _Atomic uint32_t told;
    int64_t live;
    if (foreign_threads()) {
        if (at_load(&s->foreign) == 0 && at_xchg(&told, 1) == 0 && weft__deadlock_hook)
            weft__deadlock_hook(false);
        return;
    }
    if (!asleep_for_good(&live)) /* once more: a thread may have left work behind and ended before
                                    it was counted */
        return;
    weft__eprintf(
        "weft: fatal: all fibers are asleep - deadlock! (%lld fibers)\n", (long long)live);
    if (weft__deadlock_hook)
        weft__deadlock_hook(true);
    _Exit(2);
}

/* Called by a thread that has just gone idle. True: the runtime is to stop. */
static bool quiescent(void)
{
    int64_t live;
    if (!all_quiet())
        return false;
    if (!weft__live_fibers(&live))
        return at_load(&weft__sched.draining) && weft__close_if_unheld(quiet_and_empty);
    if (asleep_for_good(&live))
        deadlock();
    return false;
}

void weft__stop_everyone(void)
{
    struct weft__sched *s = &weft__sched;
    at_store(&s->stopping, 1);
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    struct weft__mach *m;
    while ((m = take_mach_locked()))
        weft__mach_wake(m);
    weft__unlock(&s->lock);
    weft__poller_poke();
    weft__monitor_kick();
}

/* Sleeps in the poller's role. Fibers that became ready are gathered and returned through m. */
static void sleep_as_poller(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    int64_t deadline, now;
    for (;;) {
        deadline = weft__earliest_timer();
        at_store(&s->poll_until, deadline); /* W5 */
        if (weft__earliest_timer() >= deadline)
            break;
    }
    now = weft__clock_ns();
    int64_t wait = deadline == INT64_MAX ? -1 : deadline > now ? deadline - now : 0;
    bool look_again = weft__any_work() || at_load(&s->stopping) || at_load(&s->poked);
    m->gathered = NULL;
    m->gathered_tail = &m->gathered;
    m->polling = true;
    if (s->have_poll) {
        s->poll.wait(look_again ? 0 : wait);
    } else {
        if (!look_again)
            weft__futex_wait(&s->poll_futex, 0, wait);
        at_store(&s->poll_futex, 0);
    }
    m->polling = false;
    at_store(&s->poller, NULL);
    clock_update(weft__clock_ns());
    if (at_xchg(&s->poked, 0)) {
        if (m->spinning)
            at_sub(&s->spinning, 1);
        m->spinning = true;
    }
}

void weft__poll_holds(void)
{
    struct weft__mach *m = weft__mach_self();
    if (m->polling && !m->counted) { /* a busy worker is not idle: nobody judges */
        m->counted = true;
        weft__outside_add(1);
    }
}

static void inject_gathered(struct weft__mach *m)
{
    struct weft__worker *w = weft__mach_worker(m);
    struct weft__fiber *f = m->gathered;
    unsigned n = 0;
    m->gathered = NULL;
    while (f) {
        struct weft__fiber *next = f->next;
        if (w)
            weft__ring_push(w, f);
        else
            weft__global_push(f);
        f = next;
        n++;
    }
    if (n > (w ? 1u : 0u)) {
        at_fence();
        weft__wake_for_surplus();
    }
    if (m->counted) {
        m->counted = false;
        weft__outside_add(-1);
    }
}

static void drop_token(struct weft__mach *m)
{
    if (m->spinning) {
        m->spinning = false;
        at_sub(&weft__sched.spinning, 1);
    }
}

/* The thread has no worker: it sleeps until somebody gives it one, or the poller's role brings
 * work. */
static void rest(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    struct weft__mach *nobody = NULL;
    if (at_load(&s->idle) > 0 && at_cas(&s->poller, &nobody, m)) {
        sleep_as_poller(m);
        if (!weft__mach_take_worker(m))
            drop_token(m);
        inject_gathered(m);
        return;
    }
    if (at_load(&s->poll_until) > weft__earliest_timer())
        weft__poller_poke();
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    if (at_load(&s->stopping) || (s->idle_workers && at_load(&s->global_count))) {
        weft__unlock(&s->lock);
        if (!at_load(&s->stopping))
            weft__mach_take_worker(m);
        return;
    }
    m->idle_next = s->idle_machs;
    s->idle_machs = m;
    s->idle_mach_count++;
    bool timed = s->machs > s->workers + 1; /* none is surplus before, so no clock is read */
    weft__unlock(&s->lock);
    at_fence(); /* W4: who found nobody to wake before this relies on this look */
    if (weft__any_work())
        weft__wake_for_surplus();
    else if (at_load(&s->idle) > 0 && !at_load(&s->poller))
        weft__wake_one(); /* flush_one had it seem that no worker is idle */
    weft__mach_rest(m, timed);
}

/* Gives the worker up. False: work turned up at the last look and the worker was taken back. */
static bool go_idle(struct weft__mach *m, struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    if (at_load(&s->global_count) && !at_load(&s->stopping)) {
        weft__unlock(&s->lock);
        return false;
    }
    at_store(&m->t.worker, NULL);
    weft__worker_release_locked(w);
    weft__unlock(&s->lock);
    drop_token(m);
    at_fence(); /* W4 */
    if (weft__any_work() && weft__mach_take_worker(m)) {
        m->spinning = true;
        at_add(&s->spinning, 1);
        return false;
    }
    return true;
}

/* The next fiber to run; NULL: the runtime stops. On return the thread drives a worker. */
static struct weft__fiber *find(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    struct weft__fiber *f;
    for (;;) {
        if (at_load(&s->stopping) || m->retired || at_load(&m->left_over))
            return NULL;
        struct weft__worker *w = weft__mach_worker(m);
        if (!w) {
            if (quiescent()) {
                weft__stop_everyone();
                return NULL;
            }
            rest(m);
            continue;
        }
        if ((f = look_local(w)))
            return found(m, f);
        int64_t now = weft__clock_ns();
        if (run_due_timers(now) || poll_idle(w, now) > 0)
            continue;
        if ((f = spin(m, w)))
            return found(m, f);
        if (!go_idle(m, w))
            continue;
    }
}

static void hand_to_bound(struct weft__mach *m, struct weft__fiber *f)
{
    struct weft__worker *w = weft__mach_worker(m);
    at_store(&m->t.worker, NULL);
    drive_bound(w, f);
}

void weft__mach_loop(struct weft__mach *m)
{
    struct weft__fiber *f;
    while ((f = find(m))) {
        if (f->bound) {
            hand_to_bound(m, f);
            continue;
        }
        weft__mach_worker(m)->switches++;
        weft__switch_to(m, &m->idle, f);
        m = weft__mach_self(); /* the same: an idle stack never leaves its thread */
    }
}
