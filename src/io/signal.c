// SPDX-License-Identifier: Apache-2.0
/*
 * signal.c - signals to channels and contexts (weft/signal.h).
 *
 *      handler, on any thread            the courier, one thread       whoever receives
 *      pending[n] + 1
 *      told = 1, and if it was 0:
 *      write(eventfd) ───────────────>   told = 0
 *                                        for each n: take pending[n]
 *                                        for each entry of n:
 *                                            try_send(chan) ─────────> a fiber, a thread
 *                                            or end the context
 *
 * WHY A HANDLER, not signalfd(2). A signalfd gets a signal only while every thread of the process
 * blocks it, and a library does not own the threads of its host: one that was made before, or that
 * unblocks it, takes the signal with its default action, which is to end the process. Blocked
 * signals are inherited by children across exec, too. A handler works whoever the thread is, and
 * calls what was there before it, so a host's own handler goes on working.
 *
 * WHY A THREAD, not the poller. Signals are wanted without a runtime as well, between two runs, and
 * while all workers are busy. It is a service thread: no stranger who could wake fibers, and no
 * signal is ever delivered to it.
 *
 * G1  The handler touches pending, told and before, makes one raw system call, and no more: it may
 *     interrupt anything, the holder of any lock too. It blocks all signals, so the monitor cannot
 *     stop a fiber in the middle of it and hold the signal back.
 * G2  A signal that is counted in pending is sent: the eventfd is written after the count, and read
 *     before the counts are taken. Each that arrives is sent, but for those that the kernel itself
 *     merges while they are pending.
 * G3  Entries change, and channels are sent to, under `lock` only. So after a stop nothing is sent,
 *     and what was pending when it began has been sent by the stop itself.
 * G4  Our handler is installed exactly for the signals that have an entry. before[n] is what was
 *     there then; it is put back with the last entry, if our handler is still there.
 * G5  Each entry counts as something outside that may wake a fiber: who waits for a signal is not
 *     in a deadlock.
 *
 * Freed memory: entries are made and freed outside the runtime (alloc.h A1), and contexts are ended
 * there, each with a reference taken under the lock.
 *
 * Concurrency: all functions from any fiber or thread; the handler anywhere. Progress: blocking, as
 * long as the lock is held: for the sends of one round. Limits: signals 1 to 64.
 */
#include <weft/signal.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <weft/error.h>

#include "base/alloc.h"
#include "base/hooks.h"
#include "ctx/context.h"
#include "io/seam.h"
#include "sched/worker.h"
#include "sync/chan_core.h"

enum { SIGNALS = 65 };

struct entry {
    struct weft__node link;
    struct entry *next; /* outside: those to be linked, or to be freed */
    int number;
    weft_chan *chan; /* counted; NULL: a context */
    weft_ctx *ctx;   /* counted; NULL: a channel */
    weft_error *cause;
    bool due; /* the context is to be ended */
};

static struct weft__lock lock; /* rank ALARM; guards entries, count, before */
static struct weft__node entries = {&entries, &entries};
static unsigned count_of[SIGNALS];
static struct sigaction before[SIGNALS]; /* G4 */

static _Atomic uint32_t pending[SIGNALS], told;
static _Atomic(void *) chained[SIGNALS]; /* before's handler, NULL: none; read by the handler */
static _Atomic int courier_fd = -1;

/* ---- arriving ---- */

static void call_before(int n, siginfo_t *info, void *uc)
{
    void *fn = at_load(&chained[n]);
    if (!fn || (n == SIGQUIT && fn == (void *)(uintptr_t)weft__quit_handler))
        return;
    if (before[n].sa_flags & SA_SIGINFO)
        ((void (*)(int, siginfo_t *, void *))(uintptr_t)fn)(n, info, uc);
    else
        ((void (*)(int))(uintptr_t)fn)(n);
}

static void on_signal(int n, siginfo_t *info, void *uc) /* G1 */
{
    uint64_t one = 1;
    at_add(&pending[n], 1);
    if (at_xchg(&told, 1) == 0)
        weft__sys_write(at_load(&courier_fd), &one, sizeof one);
    call_before(n, info, uc);
}

static void send_locked(int n, uint32_t times)
{
    for (struct weft__node *i = entries.next; i != &entries; i = i->next) {
        struct entry *e = weft__entry(i, struct entry, link);
        if (e->number != n)
            continue;
        if (e->ctx)
            e->due = true;
        for (uint32_t t = 0; e->chan && t < times; t++)
            if (weft__chan_try_send(e->chan, &n) < 0)
                break;
    }
}

static void send_pending_locked(void)
{
    for (int n = 1; n < SIGNALS; n++) {
        uint32_t times = at_load(&pending[n]) ? at_xchg(&pending[n], 0) : 0;
        if (times)
            send_locked(n, times);
    }
}

/* One context that is to be ended, with references. False: none is left. */
static bool take_due(weft_ctx **ret_ctx, weft_error **ret_cause)
{
    bool found = false;
    weft__enter();
    weft__lock(&lock, WEFT__RANK_ALARM);
    for (struct weft__node *i = entries.next; i != &entries && !found; i = i->next) {
        struct entry *e = weft__entry(i, struct entry, link);
        if (e->due) {
            e->due = false;
            *ret_ctx = weft_ctx_ref(e->ctx);
            *ret_cause = weft_error_ref(e->cause);
            found = true;
        }
    }
    weft__unlock(&lock);
    weft__leave();
    return found;
}

static void end_contexts(void)
{
    weft_ctx *ctx;
    weft_error *cause;
    while (take_due(&ctx, &cause)) {
        weft_ctx_cancel_cause(ctx, cause);
        weft_ctx_free(ctx);
    }
}

static void *courier_main(void *arg)
{
    uint64_t n;
    (void)arg;
    for (;;) {
        weft__syscall(SYS_read, at_load(&courier_fd), (long)&n, sizeof n, 0, 0, 0);
        at_store(&told, 0);
        weft__enter();
        weft__lock(&lock, WEFT__RANK_ALARM);
        send_pending_locked();
        weft__unlock(&lock);
        weft__leave();
        end_contexts();
    }
    return NULL;
}

/* ---- what may be asked for ---- */

static int refuse(int code, int n, const char *why)
{
    const char *name = sigabbrev_np(n);
    return weft_fail(weft_error_new(
        code, "signal %d (%s%s): %s", n, name ? "SIG" : "unknown", name ? name : "", why));
}

static int check_one(int n)
{
    struct weft__sched *s = &weft__sched;
    switch (n) {
    case SIGKILL:
    case SIGSTOP:
        return refuse(-EINVAL, n, "no process can catch it");
    case SIGSEGV:
    case SIGBUS:
    case SIGFPE:
    case SIGILL:
        return refuse(
            -EINVAL, n, "it tells of an instruction that cannot go on, which no fiber can mend");
    case SIGURG:
        return refuse(-EBUSY, n, "the runtime preempts by it, and asks threads for their stack");
    default:
        break;
    }
    if (n < 1 || n >= SIGNALS || (n >= __SIGRTMIN && n < SIGRTMIN))
        return refuse(-EINVAL, n, "there is no such signal for programs");
    if (at_load(&s->running) && s->preempt && s->preempt_signal == n)
        return refuse(-EBUSY, n, "the runtime preempts by it (preempt_signal of weft_run)");
    return 0;
}

static int check(const int *signals, size_t count)
{
    if (!signals || count == 0)
        return weft_fail(weft_error_new(-EINVAL, "weft/signal.h: no signals are given"));
    for (size_t i = 0; i < count; i++) {
        int rc = check_one(signals[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool noted(int n)
{
    weft__enter();
    weft__lock(&lock, WEFT__RANK_ALARM);
    bool has = n > 0 && n < SIGNALS && count_of[n] > 0;
    weft__unlock(&lock);
    weft__leave();
    return has;
}

/* ---- entries ---- */

/* Several may come at once, fibers among them: making a thread allocates, so no lock is held. */
static int courier_start(void)
{
    enum { DOWN, STARTING, UP };
    static _Atomic uint32_t state;
    uint32_t was = DOWN;
    while (!at_cas(&state, &was, STARTING)) {
        if (was == UP)
            return 0;
        was = DOWN;
        weft__sys_yield();
    }
    int rc = weft__sys_eventfd(0, EFD_CLOEXEC);
    if (rc >= 0) {
        at_store(&courier_fd, rc);
        rc = weft__service_start(0, courier_main, NULL);
        if (rc < 0)
            weft__sys_close(at_xchg(&courier_fd, -1));
    }
    at_store(&state, rc < 0 ? DOWN : UP);
    return rc;
}

static void entries_free(struct entry *list)
{
    for (struct entry *e = list, *next; e; e = next) {
        next = e->next;
        weft_chan_free(e->chan);
        weft_ctx_free(e->ctx);
        weft_error_free(e->cause);
        weft__free(e);
    }
}

/* One for each signal, with references of their own. */
static int entries_make(
    weft_chan *c, weft_ctx *x, const int *signals, size_t count, struct entry **ret_list)
{
    struct entry *list = NULL;
    for (size_t i = 0; i < count; i++) {
        struct entry *e = weft__zalloc(sizeof *e);
        if (!e) {
            entries_free(list);
            return -ENOMEM;
        }
        const char *name = sigabbrev_np(signals[i]);
        e->number = signals[i];
        e->chan = weft_chan_ref(c);
        e->ctx = x ? weft_ctx_ref(x) : NULL;
        if (x && name)
            e->cause = weft_error_new(-ECANCELED, "signal SIG%s", name);
        else if (x)
            e->cause = weft_error_new(-ECANCELED, "signal %d", signals[i]);
        e->next = list;
        list = e;
    }
    *ret_list = list;
    return 0;
}

static bool known_locked(const struct entry *one)
{
    for (struct weft__node *i = entries.next; i != &entries; i = i->next) {
        struct entry *e = weft__entry(i, struct entry, link);
        if (e->number == one->number && e->chan == one->chan && e->ctx == one->ctx)
            return true;
    }
    return false;
}

static void install_locked(int n) /* G4 */
{
    struct sigaction ours = {
        .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_RESTART};
    sigfillset(&ours.sa_mask);
    sigaction(n, NULL, &before[n]);
    bool real = before[n].sa_handler != SIG_DFL && before[n].sa_handler != SIG_IGN;
    at_store(&chained[n], real ? (void *)(uintptr_t)before[n].sa_sigaction : NULL);
    sigaction(n, &ours, NULL);
}

static void uninstall_locked(int n)
{
    struct sigaction now;
    sigaction(n, NULL, &now);
    if ((now.sa_flags & SA_SIGINFO) && now.sa_sigaction == on_signal)
        sigaction(n, &before[n], NULL);
}

/* Links what is not there yet. Returns the rest, to be freed. */
static struct entry *entries_link(struct entry *list)
{
    struct entry *rest = NULL;
    weft__enter();
    weft__lock(&lock, WEFT__RANK_ALARM);
    for (struct entry *e = list, *next; e; e = next) {
        next = e->next;
        if (known_locked(e)) {
            e->next = rest;
            rest = e;
            continue;
        }
        weft__list_push_back(&entries, &e->link);
        weft__outside_add(1); /* G5 */
        if (count_of[e->number]++ == 0)
            install_locked(e->number);
    }
    weft__unlock(&lock);
    weft__leave();
    return rest;
}

/* Takes out those of a channel or a context. Returns them, to be freed. */
static struct entry *entries_unlink(const weft_chan *c, const weft_ctx *x)
{
    struct entry *gone = NULL;
    weft__enter();
    weft__lock(&lock, WEFT__RANK_ALARM);
    send_pending_locked(); /* G3 */
    for (struct weft__node *i = entries.next, *next; i != &entries; i = next) {
        struct entry *e = weft__entry(i, struct entry, link);
        next = i->next;
        if (e->chan != c || e->ctx != x)
            continue;
        weft__list_remove(&e->link);
        weft__outside_add(-1);
        if (--count_of[e->number] == 0)
            uninstall_locked(e->number);
        e->next = gone;
        gone = e;
    }
    weft__unlock(&lock);
    weft__leave();
    return gone;
}

static int begin(weft_chan *c, weft_ctx *x, const int *signals, size_t count)
{
    struct entry *list = NULL;
    int rc = check(signals, count);
    if (rc == 0)
        rc = courier_start();
    if (rc == 0)
        rc = entries_make(c, x, signals, count, &list);
    if (rc < 0)
        return rc;
    weft__signal_noted_hook = noted;
    entries_free(entries_link(list));
    return 0;
}

/* ---- the interface ---- */

int weft_signal_notify(weft_chan *c, const int *signals, size_t count)
{
    if (!c || c->elem_bytes != sizeof(int))
        return weft_fail(weft_error_new(
            -EINVAL, "weft_signal_notify: it takes a channel whose elements are ints"));
    return begin(c, NULL, signals, count);
}

void weft_signal_stop(weft_chan *c)
{
    if (!c)
        return;
    struct entry *gone = entries_unlink(c, NULL);
    end_contexts(); /* of others: what was sent here may have been theirs too */
    entries_free(gone);
}

int weft_signal_context(weft_ctx *parent, const int *signals, size_t count, weft_ctx **ret_ctx)
{
    weft_ctx *x = weft_ctx_with_cancel(parent);
    if (x == &weft__ctx_no_memory)
        return -ENOMEM;
    int rc = begin(NULL, x, signals, count);
    if (rc < 0)
        weft_ctx_free(x);
    else
        *ret_ctx = x;
    return rc;
}

void weft_signal_context_stop(weft_ctx *c)
{
    if (!c)
        return;
    struct entry *gone = entries_unlink(NULL, c);
    end_contexts();
    if (!gone)
        return;
    for (struct entry *e = gone; e; e = e->next)
        if (e->due)
            weft_ctx_cancel_cause(c, weft_error_ref(e->cause));
    weft_ctx_cancel(c);
    entries_free(gone);
}

bool weft_signal_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && !(now.sa_flags & SA_SIGINFO) &&
           now.sa_handler == SIG_IGN;
}
