// SPDX-License-Identifier: Apache-2.0
/* poller.c - waiting for readiness through one epoll instance; poller.h has the picture and the
 * invariants. */
#include "io/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fatal.h"
#include "base/futex.h"
#include "base/hooks.h"
#include "ctx/context.h"
#include "io/seam.h"
#include "sched/worker.h"

enum { PER_CHUNK = 1024, CHUNKS = 4096, EVENTS = 128, MAX_WAIT = 8 };
#define WAKE_TOKEN UINT64_MAX

static struct weft__fd *_Atomic table[CHUNKS];
static _Atomic int epoll_fd = -1;
static int wake_fd = -1;
static _Atomic uint32_t wake_pending; /* a write to wake_fd that nobody has read yet */
static _Atomic uint32_t waiting;      /* parked waits */
static _Atomic uint32_t no_pwait2;    /* the kernel lacks epoll_pwait2 (before 5.11) */

struct wait_set;
struct waiter {
    struct weft__node link;
    struct wait_set *set;
    struct weft__fd *record;
};

struct wait_set {
    struct weft__fiber *fiber;
    struct weft__timer timer;
    int64_t deadline_ns;
    unsigned n;
    struct waiter w[MAX_WAIT];
};

struct weft__fd *weft__fd_get(int fd)
{
    if (fd < 0 || fd >= PER_CHUNK * CHUNKS)
        return NULL;
    struct weft__fd *_Atomic *slot = &table[fd / PER_CHUNK];
    struct weft__fd *chunk = at_load(slot);
    if (!chunk) {
        size_t bytes = PER_CHUNK * sizeof *chunk;
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (p == MAP_FAILED)
            return NULL;
        if (at_cas(slot, &chunk, p))
            chunk = p;
        else
            munmap(p, bytes);
    }
    return &chunk[fd % PER_CHUNK];
}

int weft__fd_lack(int fd)
{
    return fd < 0 || fd >= PER_CHUNK * CHUNKS ? -EBADF : -ENOMEM;
}

int weft__fd_kind(int fd, struct weft__fd *r)
{
    if (r->kind != WEFT__FD_UNKNOWN)
        return r->kind;
    uint32_t generation = at_load(&r->generation);
    struct stat st;
    long rc = weft__syscall(SYS_fstat, fd, (long)&st, 0, 0, 0, 0);
    if (rc < 0)
        return (int)rc;
    uint8_t kind;
    if (S_ISSOCK(st.st_mode)) {
        kind = WEFT__FD_SOCKET;
    } else if (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISBLK(st.st_mode)) {
        kind = WEFT__FD_FILE;
    } else {
        long flags = weft__syscall(SYS_fcntl, fd, F_GETFL, 0, 0, 0, 0);
        kind = flags & O_NONBLOCK ? WEFT__FD_NONBLOCK : WEFT__FD_BLOCKING;
    }
    weft__lock(&r->lock, WEFT__RANK_FD);
    if (at_load(&r->generation) == generation)
        r->kind = kind;
    weft__unlock(&r->lock);
    return kind;
}

/* Takes the watch off: its context, or NULL if there is none. */
static struct weft_ctx *unwatch_locked(struct weft__fd *r)
{
    struct weft_ctx *ctx = r->watch;
    if (ctx)
        at_sub(&waiting, 1);
    r->watch = NULL;
    return ctx;
}

bool weft__fd_hung_up(int fd)
{
    struct weft__fd *r = weft__fd_get(fd);
    return !r || at_load(&r->hung_up);
}

struct weft__fd_wait weft__fd_now(int fd, enum weft__dir dir)
{
    return weft__fd_now_of(weft__fd_get(fd), fd, dir);
}

/* 0, or why not. */
static int register_locked(int fd, struct weft__fd *r)
{
    if (r->registered)
        return 0;
    struct epoll_event ev = {
        .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
        .data.u64 = (uint64_t)at_load(&r->generation) << 32 | (uint32_t)fd,
    };
    int rc = weft__sys_epoll_ctl(at_load(&epoll_fd), EPOLL_CTL_ADD, fd, &ev);
    if (rc == -EEXIST) /* closed behind our back and the number reused: take the new one over */
        rc = weft__sys_epoll_ctl(at_load(&epoll_fd), EPOLL_CTL_MOD, fd, &ev);
    if (rc == 0)
        r->registered = true;
    return rc;
}

/* ---- watching for the peer's end (E5) ---- */

/* With no lock held, as contexts come before descriptors. ctx: NULL, or a reference, which goes.
 * True: somebody may have become ready. */
static bool end_watched(struct weft_ctx *ctx)
{
    if (!ctx)
        return false;
    weft__ctx_end(ctx, -ECANCELED, ctx->late_cause);
    weft__ctx_unref_inside(ctx);
    return true;
}

void weft__fd_watch(int fd, struct weft_ctx *ctx)
{
    struct weft__fd *r = weft__fd_get(fd);
    struct weft_ctx *gone = NULL;
    if (!r || !weft__sched_running())
        return;
    weft__enter();
    weft__lock(&r->lock, WEFT__RANK_FD);
    WEFT_ASSERT(!r->watch);
    if (!r->closing && register_locked(fd, r) == 0) {
        r->watch = ctx;
        at_add(&waiting, 1);
        if (at_load(&r->hung_up))
            gone = weft_ctx_ref(unwatch_locked(r));
    }
    weft__unlock(&r->lock);
    end_watched(gone);
    weft__leave();
}

void weft__fd_unwatch(int fd)
{
    struct weft__fd *r = weft__fd_get(fd);
    if (!r)
        return;
    weft__enter();
    weft__lock(&r->lock, WEFT__RANK_FD);
    unwatch_locked(r);
    weft__unlock(&r->lock);
    weft__leave();
}

/* ---- waking ---- */

/* False: another had claimed the fiber, and what it is told here it does not get. */
static bool wake_waiter(struct waiter *w, int result)
{
    struct weft__fiber *f = w->set->fiber;
    weft__list_remove(&w->link);
    if (!weft__claim(f))
        return false;
    f->wake_result = result;
    f->wake_arg = w;
    weft__ready_tail(f);
    return true;
}

/* How many got it. */
static int wake_dir_locked(struct weft__fd *r, enum weft__dir d, int result)
{
    int n = 0;
    struct weft__node *node;
    if (!weft__node_linked(&r->waiters[d]))
        return 0;
    while ((node = weft__list_first(&r->waiters[d])))
        n += wake_waiter(weft__entry(node, struct waiter, link), result);
    return n;
}

void weft__fd_rouse(int fd, enum weft__dir dir)
{
    struct weft__fd *r = weft__fd_get(fd);
    if (!r)
        return;
    weft__lock(&r->lock, WEFT__RANK_FD);
    wake_dir_locked(r, dir, 0);
    r->ready[dir] = true;
    weft__unlock(&r->lock);
}

static int deliver(uint64_t token, uint32_t events)
{
    struct weft__fd *r = weft__fd_get((int)(token & UINT32_MAX));
    struct weft_ctx *gone = NULL;
    int n = 0;
    weft__lock(&r->lock, WEFT__RANK_FD);
    if (r->registered && at_load(&r->generation) == token >> 32) { /* E2 */
        if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            at_store(&r->hung_up, true);
            if (r->watch)
                weft__poll_holds();
            gone = weft_ctx_ref(unwatch_locked(r));
        }
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            int woken = wake_dir_locked(r, WEFT__READ, 0);
            r->ready[WEFT__READ] = woken == 0;
            n += woken;
        }
        if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) {
            int woken = wake_dir_locked(r, WEFT__WRITE, 0);
            r->ready[WEFT__WRITE] = woken == 0;
            n += woken;
        }
    }
    weft__unlock(&r->lock);
    return end_watched(gone) ? n + 1 : n;
}

/* ---- the scheduler's seam ---- */

static long wait_events(struct epoll_event *ev, int64_t timeout_ns)
{
    struct timespec ts = {.tv_sec = timeout_ns / 1000000000, .tv_nsec = timeout_ns % 1000000000};
    if (timeout_ns <= 0 || at_load(&no_pwait2)) {
        int64_t ms = timeout_ns <= 0 ? timeout_ns : (timeout_ns + 999999) / 1000000;
        return weft__sys_epoll_wait_ms(epoll_fd, ev, EVENTS, ms > INT_MAX ? INT_MAX : (int)ms);
    }
    long rc = weft__sys_epoll_wait(epoll_fd, ev, EVENTS, &ts);
    if (rc == -ENOSYS) {
        at_store(&no_pwait2, 1);
        return wait_events(ev, timeout_ns);
    }
    return rc;
}

static void poller_wake(void)
{
    uint64_t one = 1;
    if (at_xchg(&wake_pending, 1) == 0)
        weft__sys_write(wake_fd, &one, sizeof one);
}

/* A busy worker that looks by the way (not in the poller's role) has taken a wake out of the
 * instance. Who sleeps in the role was meant: it gets another. If nobody has the role, whoever
 * takes it looks for what wakes tell of before it sleeps (sleep_as_poller). */
static void pass_on_wake(void)
{
    if (!weft__mach_self()->polling && at_load(&weft__sched.poller))
        poller_wake();
}

static int poller_wait(int64_t timeout_ns)
{
    struct epoll_event ev[EVENTS];
    int made_ready = 0;
    bool woken = false;
    long n = wait_events(ev, timeout_ns);
    for (long i = 0; i < n; i++) {
        if (ev[i].data.u64 == WAKE_TOKEN) {
            /* Never read: each write is an edge of its own, and a read after the store would
             * swallow the write of a wake between the two, with wake_pending set for good. */
            at_store(&wake_pending, 0);
            woken = true;
            continue;
        }
        made_ready += deliver(ev[i].data.u64, ev[i].events);
    }
    if (woken)
        pass_on_wake();
    return made_ready;
}

static unsigned poller_waiters(void)
{
    return at_load(&waiting);
}

int weft__io_init(void)
{
    static const struct weft__poller poller = {poller_wait, poller_wake, poller_waiters};
    if (at_load(&epoll_fd) >= 0)
        return 0;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = WAKE_TOKEN};
    int ep = weft__sys_epoll_create();
    int wake = ep < 0 ? ep : weft__sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    int rc = wake < 0 ? wake : weft__sys_epoll_ctl(ep, EPOLL_CTL_ADD, wake, &ev);
    if (rc < 0) {
        if (wake >= 0)
            weft__sys_close(wake);
        if (ep >= 0)
            weft__sys_close(ep);
        return rc;
    }
    wake_fd = wake;
    at_store(&epoll_fd, ep);
    weft__poller_set(&poller);
    return 0;
}

/* ---- waiting ---- */

static void time_is_up(struct weft__timer *t, void *arg)
{
    struct wait_set *s = arg;
    (void)t;
    if (weft__claim(s->fiber)) {
        s->fiber->wake_result = -ETIME;
        weft__ready_tail(s->fiber);
    }
}

/* Runs once the fiber is parked: the records' locks go, the timer starts. */
static void wait_commit(struct weft__fiber *f, void *arg)
{
    struct wait_set *s = arg;
    struct weft__fd *locked[MAX_WAIT];
    unsigned n = s->n;
    for (unsigned i = 0; i < n; i++)
        locked[i] = s->w[i].record;
    if (s->deadline_ns >=
        0) /* before the locks go: after that the fiber may run and its frame be gone */
        weft__limit_start(f, &s->timer, s->deadline_ns);
    for (unsigned i = 0; i < n; i++)
        if (i == 0 || locked[i] != locked[i - 1])
            weft__unlock(&locked[i]->lock);
}

static void lock_all(struct wait_set *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (i == 0 || s->w[i].record != s->w[i - 1].record)
            weft__lock(&s->w[i].record->lock, WEFT__RANK_FD);
}

static void unlock_all(struct wait_set *s)
{
    for (unsigned i = 0; i < s->n; i++)
        if (i == 0 || s->w[i].record != s->w[i - 1].record)
            weft__unlock(&s->w[i].record->lock);
}

static void unlink_all(struct wait_set *s)
{
    for (unsigned i = 0; i < s->n; i++) {
        struct waiter *w = &s->w[i];
        weft__lock(&w->record->lock, WEFT__RANK_FD);
        if (weft__node_linked(&w->link))
            weft__list_remove(&w->link);
        weft__unlock(&w->record->lock);
    }
}

/* E3: whether one of them was closed since. */
static bool closed_since(const struct wait_set *s, const struct weft__fd_wait *w)
{
    for (unsigned i = 0; i < s->n; i++)
        if (at_load(&s->w[i].record->generation) != w[i].generation)
            return true;
    return false;
}

/* Links the set's waiters under all locks. Returns the index of one that is ready already, -EAGAIN
 * when all wait, or an error. */
static int link_locked(struct wait_set *s, const struct weft__fd_wait *w)
{
    if (closed_since(s, w))
        return -EBADF;
    for (unsigned i = 0; i < s->n; i++) {
        struct weft__fd *r = s->w[i].record;
        int rc = r->closing ? 0 : register_locked(w[i].fd, r);
        if (rc < 0)
            return rc;
        if (r->ready[w[i].dir]) {
            r->ready[w[i].dir] = false;
            return (int)i;
        }
    }
    for (unsigned i = 0; i < s->n; i++) {
        struct weft__node *head = &s->w[i].record->waiters[w[i].dir];
        if (!weft__node_linked(head))
            weft__list_init(head);
        weft__list_push_back(head, &s->w[i].link);
    }
    return -EAGAIN;
}

/* Sorted by record address (insertion sort; n <= 8), the order in which the locks are taken. */
static int set_init(struct wait_set *s, struct weft__fd_wait *w, unsigned n, int64_t deadline_ns)
{
    s->fiber = weft__self();
    s->n = n;
    s->deadline_ns = deadline_ns;
    s->timer = (struct weft__timer){.fn = time_is_up, .arg = s, .locked = true};
    for (unsigned i = 0; i < n; i++) {
        struct weft__fd *r = weft__fd_get(w[i].fd);
        if (!r)
            return weft__fd_lack(w[i].fd);
        unsigned at = i;
        struct weft__fd_wait x = w[i];
        for (; at > 0 && s->w[at - 1].record > r; at--) {
            s->w[at].record = s->w[at - 1].record;
            w[at] = w[at - 1];
        }
        s->w[at].record = r;
        w[at] = x;
    }
    for (unsigned i = 0; i < n; i++) {
        s->w[i].set = s;
        s->w[i].link.next = s->w[i].link.prev = NULL;
    }
    return 0;
}

/* A plain thread with no runtime to poll for it. */
static int wait_in_poll(const struct weft__fd_wait *w, unsigned n, int64_t deadline_ns)
{
    struct pollfd p[MAX_WAIT];
    struct timespec ts;
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct pollfd){.fd = w[i].fd, .events = w[i].dir == WEFT__READ ? POLLIN : POLLOUT};
    for (;;) {
        int64_t left = deadline_ns < 0 ? 0 : deadline_ns - weft__clock_ns();
        if (deadline_ns >= 0 && left <= 0)
            return -ETIME;
        ts = (struct timespec){.tv_sec = left / 1000000000, .tv_nsec = left % 1000000000};
        long rc = weft__syscall(SYS_ppoll, (long)p, n, deadline_ns < 0 ? 0 : (long)&ts, 0, 0, 0);
        if (rc < 0 && rc != -EINTR)
            return (int)rc;
        for (unsigned i = 0; rc > 0 && i < n; i++)
            if (p[i].revents)
                return p[i].revents & POLLNVAL ? -EBADF : (int)i;
    }
}

static int find_index(const struct weft__fd_wait *given, unsigned n, struct weft__fd_wait one)
{
    for (unsigned i = 0; i < n; i++)
        if (given[i].fd == one.fd && given[i].dir == one.dir)
            return (int)i;
    return 0;
}

int weft__fd_wait_any(
    const struct weft__fd_wait *given, unsigned n, int64_t deadline_ns, void *caller)
{
    struct wait_set s;
    struct weft__fd_wait w[MAX_WAIT];
    WEFT_CHECK(n > 0 && n <= MAX_WAIT);
    if (!weft__sched_running())
        return wait_in_poll(given, n, deadline_ns);
    memcpy(w, given, n * sizeof *w);
    int rc = set_init(&s, w, n, deadline_ns);
    if (rc < 0)
        return rc;
    for (;;) {
        rc = weft__cancelled(s.fiber);
        if (rc < 0)
            return rc;
        lock_all(&s);
        rc = link_locked(&s, w);
        if (rc != -EAGAIN) {
            unlock_all(&s);
            return rc < 0 ? rc : find_index(given, n, w[rc]);
        }
        at_add(&waiting, 1);
        for (unsigned i = 0; i < n; i++)
            weft__rank_hand(&s.w[i].record->lock);
        rc = weft__park(w[0].dir == WEFT__READ ? WEFT__WAIT_IO_READ : WEFT__WAIT_IO_WRITE,
            (const void *)(intptr_t)w[0].fd, caller, 0, wait_commit, &s);
        at_sub(&waiting, 1);
        struct waiter *by = rc == 0 ? s.fiber->wake_arg : NULL;
        if (deadline_ns >= 0)
            weft__timer_stop(&s.timer);
        unlink_all(&s);
        if (rc == 0 && closed_since(&s, w))
            return -EBADF;
        if (rc != WEFT__INTERRUPTED)
            return rc < 0 ? rc : find_index(given, n, w[by - s.w]);
    }
}

int weft__fd_wait(const struct weft__fd_wait *w, void *caller)
{
    int rc = weft__fd_wait_any(w, 1, -1, caller);
    return rc < 0 ? rc : 0;
}

/* Asked after it was registered (so that one epoll does not take is told as such) and before the
 * wait: what comes between is latched. */
int weft__fd_wait_level(const struct weft__fd_wait *w, void *caller)
{
    struct weft__fd *r = weft__fd_get(w->fd);
    int rc = r ? weft__cancelled(weft__self()) : weft__fd_lack(w->fd);
    if (rc == 0 && weft__sched_running()) {
        weft__lock(&r->lock, WEFT__RANK_FD);
        rc = r->closing ? 0 : register_locked(w->fd, r);
        weft__unlock(&r->lock);
    }
    if (rc < 0)
        return rc;
    struct pollfd p = {.fd = w->fd, .events = w->dir == WEFT__READ ? POLLIN : POLLOUT};
    struct timespec none = {0};
    if (weft__syscall(SYS_ppoll, (long)&p, 1, (long)&none, 0, 0, 0) > 0)
        return p.revents & POLLNVAL ? -EBADF : 0;
    return weft__fd_wait(w, caller);
}

/* ---- the life of a number ---- */

/* The next generation, of which nothing is known; nobody waits for it. */
static void record_reset_locked(struct weft__fd *r)
{
    at_add(&r->generation, 1);
    r->kind = WEFT__FD_UNKNOWN;
    r->registered = r->closing = false;
    r->ready[0] = r->ready[1] = false;
    at_store(&r->hung_up, false);
    unwatch_locked(r);
    wake_dir_locked(r, WEFT__READ, -EBADF);
    wake_dir_locked(r, WEFT__WRITE, -EBADF);
}

static void is_new(int fd, enum weft__fd_kind kind)
{
    struct weft__fd *r = weft__fd_get(fd);
    if (!r)
        return;
    weft__lock(&r->lock, WEFT__RANK_FD);
    record_reset_locked(r);
    r->kind = (uint8_t)kind;
    weft__unlock(&r->lock);
}

void weft__fd_new_socket(int fd)
{
    is_new(fd, WEFT__FD_SOCKET);
}

void weft__fd_new(int fd)
{
    is_new(fd, WEFT__FD_UNKNOWN);
}

/* E3a: close(2) is through. If the number has been given to another by now, who knows of it or not,
 * the waiters ask again; one that was told of it (is_new) has woken them already. */
static void closed(struct weft__fd *r, uint32_t generation)
{
    weft__lock(&r->lock, WEFT__RANK_FD);
    if (at_load(&r->generation) == generation) {
        r->closing = false;
        wake_dir_locked(r, WEFT__READ, 0);
        wake_dir_locked(r, WEFT__WRITE, 0);
    }
    weft__unlock(&r->lock);
}

int weft__fd_close(int fd)
{
    struct weft__fd *r = weft__fd_get(fd);
    if (!r) /* without a record nobody waits for it */
        return weft__sys_close(fd);
    weft__lock(&r->lock, WEFT__RANK_FD);
    bool registered = r->registered;
    record_reset_locked(r);
    r->closing = true;
    uint32_t generation = at_load(&r->generation);
    if (registered) /* a duplicate of the descriptor elsewhere would keep it in the set */
        weft__sys_epoll_ctl(at_load(&epoll_fd), EPOLL_CTL_DEL, fd, NULL);
    weft__unlock(&r->lock);
    int rc = weft__sys_close(fd);
    closed(r, generation);
    return rc;
}

int weft__fd_close_outside(int fd)
{
    if (fd < 0 || fd >= PER_CHUNK * CHUNKS || !at_load(&table[fd / PER_CHUNK]))
        return weft__sys_close(fd);
    if (weft__attach_try() < 0) /* no memory for the thread's record */
        return weft__sys_close(fd);
    weft__enter();
    int rc = weft__fd_close(fd);
    weft__leave();
    return rc;
}
