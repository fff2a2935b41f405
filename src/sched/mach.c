// SPDX-License-Identifier: Apache-2.0
/*
 * mach.c - OS threads of the runtime: making, binding, sleeping; plain threads that call in; the
 * spawner.
 *
 * Only the spawner, a thread of its own, makes threads. pthread_create allocates, and an
 * allocator's lock may be held by a fiber that the monitor stopped in its signal handler: whoever
 * waits for that lock must not hold a worker, or nobody could ever run the fiber that would release
 * it. The spawner holds nothing, so it may wait.
 *
 * Threads are given back. One that has lain in the idle list for some seconds (thread_idle_ns),
 * while more lie there than the idle workers need and one to spare, leaves the lists and ends:
 *
 *      idle list ──time-out, surplus──> ended list ──has left the kernel──> free list
 *      (all_machs)     itself, under sched.lock        the monitor
 *
 * The first of the idle list is taken first, so the surplus is at its end and stays undisturbed.
 * The number of idle threads over that of idle workers grows only when a thread comes to the list,
 * and each that comes waits with a time-out: so the surplus ends although one that was needed at
 * its time-out does not look again. The record waits for the monitor, which may still hold a
 * pointer to it from the time when the thread drove a worker, and makes it free between two looks.
 * Nobody joins the thread: its last steps inside the C library may wait for an allocator's lock
 * that a stopped fiber holds, and the joiner would wait too.
 *
 * A plain thread gets a mach of its own at its first call (foreign = true): no worker, and the
 * "idle" record is its fiber. It is freed when the thread ends.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/fatal.h"
#include "sched/sanitize.h"
#include "sched/worker.h"

enum { ALT_STACK_BYTES = 64 << 10, MACH_STACK_BYTES = 512 << 10, SPARE = 1 };

static pthread_key_t foreign_key;
static pthread_once_t foreign_once = PTHREAD_ONCE_INIT;

/* The C++ runtime's per-thread exception state, where there is one. */
extern void *__cxa_get_globals(void) __attribute__((weak));

/* The stack that signal handlers of one of the runtime's threads run on, a guard page below it. */
static int alt_stack_map(struct weft__mach *m)
{
    char *p = mmap(NULL, ALT_STACK_BYTES + 4096, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (p == MAP_FAILED)
        return -ENOMEM;
    m->alt_stack = p;
    return mprotect(p, 4096, PROT_NONE) < 0 ? -ENOMEM : 0;
}

static void alt_stack_unmap(struct weft__mach *m)
{
    if (m->alt_stack)
        munmap(m->alt_stack, ALT_STACK_BYTES + 4096);
    m->alt_stack = NULL;
}

struct weft__mach *weft__mach_new(bool foreign)
{
    struct weft__sched *s = &weft__sched;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    struct weft__mach *m = s->free_machs;
    if (m)
        s->free_machs = m->all_next;
    weft__unlock(&s->lock);
    if (m) {
        weft__tsan_acquire(m);
        memset(m, 0, sizeof *m); /* which ThreadSanitizer sees, unlike the lock */
    } else {
        m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (m == MAP_FAILED)
            return NULL;
        weft__sanitize_record(m, sizeof *m);
    }
    m->idle.flags = WEFT__F_IDLE;
    at_store(&m->hog_timer, WEFT__NO_HOG_TIMER);
    m->gathered_tail = &m->gathered;
    m->t.cur = &m->idle;
    m->foreign = foreign;
    if (!foreign && alt_stack_map(m) < 0) {
        weft__mach_free(m);
        return NULL;
    }
    return m;
}

void weft__mach_free(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    alt_stack_unmap(m);
    weft__tsan_release(m);
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    m->all_next = s->free_machs;
    s->free_machs = m;
    weft__unlock(&s->lock);
}

static int *errno_address(void)
{
    return &errno;
}

void weft__mach_bind(struct weft__mach *m)
{
    int *(*volatile address)(void) = errno_address;
    m->errno_at = address();
    m->eh_at = __cxa_get_globals ? (void **)__cxa_get_globals() : NULL;
    m->pthread = pthread_self();
    m->tid = (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    weft__sanitize_thread(&m->idle);
    if (!m->foreign) {
        stack_t ss = {.ss_sp = (char *)m->alt_stack + 4096, .ss_size = ALT_STACK_BYTES};
        sigaltstack(&ss, &m->old_alt);
        weft__hog_timer_open(m);
    }
    weft__tls_thread = &m->t;
}

void weft__mach_unbind(struct weft__mach *m)
{
    weft__tls_thread = NULL;
    weft__hog_timer_close(m);
    if (m->alt_stack)
        sigaltstack(&m->old_alt, NULL);
    alt_stack_unmap(m);
}

void weft__mach_wake(struct weft__mach *m)
{
    at_store(&m->wake, 1);
    weft__futex_wake(&m->wake, 1);
}

void weft__mach_wait(struct weft__mach *m)
{
    while (at_load(&m->wake) == 0)
        weft__futex_wait(&m->wake, 0, -1);
    at_store(&m->wake, 0);
}

void weft__mach_settled(void)
{
    at_add(&weft__sched.ends, 1);
    weft__futex_wake(&weft__sched.ends, 1);
}

/* Takes m out of the lists if it is surplus. False: it is needed, or on the way to be woken. */
static bool retire(struct weft__mach *m)
{
    struct weft__sched *s = &weft__sched;
    struct weft__mach **at = &s->idle_machs, **all = &s->all_machs;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    while (*at && *at != m)
        at = &(*at)->idle_next;
    bool surplus = *at == m && !m->main && s->idle_mach_count > at_load(&s->idle) + SPARE &&
                   !at_load(&s->stopping);
    if (surplus) {
        while (*all != m)
            all = &(*all)->all_next;
        *at = m->idle_next;
        s->idle_mach_count--;
        *all = m->all_next;
        m->all_next = at_load(&s->ended_machs);
        at_store(&s->ended_machs, m);
        m->retired = true;
    }
    weft__unlock(&s->lock);
    return surplus;
}

void weft__mach_rest(struct weft__mach *m, bool timed)
{
    struct weft__sched *s = &weft__sched;
    int64_t until = timed ? weft__clock_ns() + s->thread_idle_ns : 0, left = -1;
    while (at_load(&m->wake) == 0) {
        if (timed && (left = until - weft__clock_ns()) <= 0) {
            if (retire(m))
                return;
            timed = false;
            left = -1;
        }
        weft__futex_wait(&m->wake, 0, left);
    }
    at_store(&m->wake, 0);
}

static bool gone(const struct weft__mach *m)
{
    return at_load(&m->exited) && weft__syscall(SYS_tgkill, getpid(), m->tid, 0, 0, 0, 0) == -ESRCH;
}

/* The first on the list that has gone, out of it. */
static struct weft__mach *take_gone(struct weft__sched *s)
{
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    struct weft__mach *before = NULL, *m = at_load(&s->ended_machs);
    while (m && !gone(m)) {
        before = m;
        m = m->all_next;
    }
    if (m && before)
        before->all_next = m->all_next;
    else if (m)
        at_store(&s->ended_machs, m->all_next);
    if (m)
        s->machs--;
    weft__unlock(&s->lock);
    return m;
}

void weft__machs_reap(bool all)
{
    static _Atomic uint32_t never;
    struct weft__sched *s = &weft__sched;
    struct weft__mach *m;
    do {
        while ((m = take_gone(s)))
            weft__mach_free(m);
        if (all && at_load(&s->ended_machs))
            weft__futex_wait(&never, 0, 100000); /* it is on its last steps */
    } while (all && at_load(&s->ended_machs));
}

static void *mach_main(void *arg)
{
    struct weft__mach *m = arg;
    weft__mach_bind(m);
    at_store(&m->t.in_rt, 1);
    weft__tsan_quiet();
    weft__mach_loop(m);
    weft__tsan_loud();
    weft__mach_unbind(m);
    if (m->retired)
        pthread_detach(pthread_self());
    at_store(&m->exited, 1);
    weft__mach_settled();
    return NULL;
}

int weft__mach_spawn(void)
{
    struct weft__sched *s = &weft__sched;
    pthread_attr_t attr;
    struct weft__mach *m = weft__mach_new(false);
    if (!m)
        return -ENOMEM;
    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, MACH_STACK_BYTES);
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    m->all_next = s->all_machs;
    s->all_machs = m;
    s->machs++;
    weft__unlock(&s->lock);
    int rc = pthread_create(&m->pthread, &attr, mach_main, m);
    pthread_attr_destroy(&attr);
    if (rc != 0) {
        weft__lock(&s->lock, WEFT__RANK_SCHED);
        struct weft__mach **p = &s->all_machs;
        while (*p != m)
            p = &(*p)->all_next;
        *p = m->all_next;
        s->machs--;
        weft__unlock(&s->lock);
        weft__mach_free(m);
        weft__mach_settled();
    }
    return -rc;
}

struct weft__mach *weft__mach_running(const struct weft__fiber *f)
{
    struct weft__sched *s = &weft__sched;
    struct weft__thread *t = weft__tls_thread;
    struct weft__mach *found = NULL;
    uint32_t was = t ? at_xchg(&t->in_rt, 1) : 0; /* may be called inside the runtime or outside */
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    for (struct weft__mach *m = s->all_machs; m && !found; m = m->all_next)
        if (m->t.cur == f)
            found = m;
    weft__unlock(&s->lock);
    if (t)
        at_store(&t->in_rt, was);
    return found;
}

/* ---- the spawner ---- */

void weft__spawner_request(void)
{
    struct weft__sched *s = &weft__sched;
    if (at_xchg(&s->want_mach, 1) == 0) {
        at_store(&s->spawner_wake, 1);
        weft__futex_wake(&s->spawner_wake, 1);
    }
}

static void make_one(struct weft__sched *s)
{
    static _Atomic uint32_t told;
    at_store(&s->want_mach, 0); /* first: who asks from here on is heard */
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    bool enough = s->idle_mach_count > 0;
    bool full = s->machs >= s->max_threads;
    weft__unlock(&s->lock);
    if (enough)
        return;
    if (full && at_load(&s->ended_machs))
        return; /* the monitor asks again when they have gone */
    int rc = full ? -EAGAIN : weft__mach_spawn();
    if (rc < 0 && at_xchg(&told, 1) == 0)
        weft__eprintf("weft: cannot make another thread (%s): blocking calls and busy loops hold "
                      "their workers "
                      "until they end; raise max_threads or RLIMIT_NPROC\n",
            full ? "the limit max_threads is reached" : strerror(-rc));
}

void *weft__spawner_main(void *arg)
{
    struct weft__sched *s = arg;
    s->spawner_tid = (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    while (!at_load(&s->stopping)) {
        if (at_load(&s->want_mach))
            make_one(s);
        while (at_load(&s->spawner_wake) == 0)
            weft__futex_wait(&s->spawner_wake, 0, -1);
        at_store(&s->spawner_wake, 0);
    }
    return NULL;
}

/* ---- plain threads ---- */

static void foreign_end(void *arg)
{
    struct weft__mach *m = arg;
    if (!m->service)
        at_sub(&weft__sched.foreign, 1);
    weft__mach_unbind(m);
    weft__mach_free(m);
}

static void foreign_key_make(void)
{
    int rc = pthread_key_create(&foreign_key, foreign_end);
    if (rc != 0)
        weft__fatal("no key for the data of threads (%s)", strerrordesc_np(rc));
}

void weft__mach_attach(struct weft__mach *m)
{
    pthread_once(&foreign_once, foreign_key_make);
    if (pthread_setspecific(foreign_key, m) != 0)
        weft__fatal("no memory for a thread's record");
    m->idle.flags = WEFT__F_THREAD;
    at_store(&m->idle.state, (uint32_t)WEFT__RUNNING);
    weft__mach_bind(m);
    m->service = weft__is_service(m->tid);
    if (!m->service)
        at_add(&weft__sched.foreign, 1);
}

int weft__attach_try(void)
{
    struct weft__mach *m = weft__tls_thread ? weft__mach_self() : weft__mach_new(true);
    if (!m)
        return -ENOMEM;
    if (!weft__tls_thread)
        weft__mach_attach(m);
    return 0;
}

struct weft__thread *weft__attach_thread(void)
{
    if (weft__attach_try() < 0) /* most calls have no way to say so */
        weft__fatal("no memory for a thread's record");
    return weft__tls_thread;
}
