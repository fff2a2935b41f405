// SPDX-License-Identifier: Apache-2.0
/*
 * loop.c - a pinned loop: its life, its turn, and the table of its records.
 *
 * A turn, in this order (each box is bounded, so none starves the next):
 *
 *     wait      submit changes, wait until the next timer, or not at all while work is pending
 *     now       the clock, once
 *     timers    all that are due
 *     messages  those in the queue at this moment
 *     again     records whose handlers asked for another call in the last turn
 *     events    at most opts.batch from the kernel
 *     deferred  messages deferred so far, by whatever ran above
 *     end       paused listeners resume, closed ones are freed
 *
 * Timers come before events so that a flood of events does not delay pings; deferred work comes
 * last so that it sees the whole turn (one send for all replies to a peer).
 *
 * Edge-triggered, as both kernels' interfaces can be made to behave (loop.h, E1 to E6):
 * level-triggered io_uring polls do not exist as multishot, and epoll's level costs an epoll_ctl
 * for each pause. What the kernel does not repeat, the loop does: setting READ anew, or io_again,
 * puts the record on the `again` list, which costs no system call and at worst one read that
 * answers -EAGAIN.
 *
 *     record:  zeroed --io_add--> added --io_remove, io_close--> zeroed
 *                                  | ^
 *                        io_again  v | next turn
 *                                 added, in `again`
 *
 * Who may call what at the same time: post, post_list, stop and stats_get any thread, always; all
 * else the owner. The owner is the thread that makes the first turn (io_uring accepts requests from
 * one thread only, and epoll keeps the same rule); until then, the maker.
 *
 * Progress: posts are wait-free; a turn is bounded by its batches and the callbacks.
 * Limits: 2^32 - 2 records; a million cost 16 MB of table, 40 MB of records, and the kernel's 208
 * (epoll) or 256 bytes (io_uring) each.
 *
 * Read next: loop_post.c (how a sleeping loop is woken), loop_epoll.c, loop_uring.c.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include "base/alloc.h"
#include "base/futex.h"
#include "io/loop_impl.h"
#include "io/poller.h"
#include "io/seam.h"

static _Thread_local weft_loop *self;

/* ---- the table of records ---- */

static struct loop_slot *slot_at(const weft_loop *loop, uint32_t i)
{
    return &loop->chunks[i / LOOP_CHUNK][i % LOOP_CHUNK];
}

static int grow_table(weft_loop *loop)
{
    if ((loop->chunk_count & (loop->chunk_count - 1)) == 0) {
        size_t room = loop->chunk_count ? 2 * (size_t)loop->chunk_count : 1;
        struct loop_slot **chunks = weft__realloc(loop->chunks, room * sizeof *chunks);
        if (!chunks)
            return -ENOMEM;
        loop->chunks = chunks;
    }
    struct loop_slot *chunk = weft__zalloc(LOOP_CHUNK * sizeof *chunk);
    if (!chunk)
        return -ENOMEM;
    uint32_t first = loop->slot_count;
    for (uint32_t i = 0; i < LOOP_CHUNK; i++)
        chunk[i].next_free = i + 1 < LOOP_CHUNK ? first + i + 2 : loop->free_slot;
    loop->free_slot = first + 1;
    loop->chunks[loop->chunk_count++] = chunk;
    loop->slot_count += LOOP_CHUNK;
    return 0;
}

int weft__loop_io_insert(
    weft_loop *loop, weft_loop_io *io, int fd, unsigned events, weft_loop_io_fn *fn)
{
    uint64_t count = at_load_rlx(&loop->stats.io_count); /* [mo:loop_stats] */
    if (loop->max_fds && count >= loop->max_fds)
        return -ENOSPC;
    if (!loop->free_slot) {
        int rc = grow_table(loop);
        if (rc < 0)
            return rc;
    }
    uint32_t i = loop->free_slot - 1;
    struct loop_slot *s = slot_at(loop, i);
    WEFT_ASSERT(!s->io);
    loop->free_slot = s->next_free;
    s->io = io;
    io->fn = fn;
    io->link = (weft_loop_link){NULL, NULL};
    io->fd = fd;
    io->slot = i + 1;
    io->interest = (uint8_t)(events & (WEFT_LOOP_READ | WEFT_LOOP_WRITE));
    io->again = io->armed = io->flags = 0;
    loop_count(&loop->stats.io_count, 1);
    return 0;
}

void weft__loop_io_erase(weft_loop *loop, weft_loop_io *io)
{
    struct loop_slot *s = slot_at(loop, io->slot - 1);
    WEFT_CHECK(s->io == io); /* L1 */
    if (io->again)
        link_remove(&io->link);
    s->io = NULL;
    s->gen = (s->gen + 1) & 0xffffff;
    s->next_free = loop->free_slot;
    loop->free_slot = io->slot;
    io->slot = 0;
    io->again = io->interest = 0;
    loop_count(&loop->stats.io_count, (uint64_t)-1);
}

int weft_loop_io_add(
    weft_loop *loop, weft_loop_io *io, int fd, unsigned events, weft_loop_io_fn *fn)
{
    if (io->slot)
        weft__misuse("weft_loop_io_add of a record that is added already (fd %d)", io->fd);
    if (fd < 0)
        return -EBADF;
    int rc = weft__loop_io_insert(loop, io, fd, events, fn);
    if (rc < 0)
        return rc;
    rc = loop->backend->watch(loop, io);
    if (rc < 0)
        weft__loop_io_erase(loop, io);
    return rc;
}

int weft_loop_io_set(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    if (!io->slot)
        return -ENOENT;
    unsigned before = io->interest;
    io->interest = (uint8_t)(events & (WEFT_LOOP_READ | WEFT_LOOP_WRITE));
    return io->interest == before ? 0 : loop->backend->change(loop, io, before);
}

void weft_loop_io_again(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    events &= WEFT_LOOP_READ | WEFT_LOOP_WRITE;
    if (!io->slot || !events)
        return;
    if (!io->again)
        link_push(&loop->again, &io->link);
    io->again |= (uint8_t)events;
}

void weft_loop_io_remove(weft_loop *loop, weft_loop_io *io)
{
    if (!io->slot)
        return;
    loop->backend->drop(loop, io, false);
    weft__loop_io_erase(loop, io);
}

void weft_loop_io_close(weft_loop *loop, weft_loop_io *io)
{
    if (!io->slot)
        return;
    loop->backend->drop(loop, io, true);
    weft__loop_io_erase(loop, io);
    weft__fd_close_outside(io->fd); /* it may have been a fiber's before */
    loop->fds_freed = true;
}

/* Calls a record back with what of `events` it wants (E4). */
void weft__loop_deliver(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    if (events & WEFT_LOOP_RDHUP)
        events |= WEFT_LOOP_READ;
    if (events & (WEFT_LOOP_HUP | WEFT_LOOP_ERR))
        events |= WEFT_LOOP_READ | WEFT_LOOP_WRITE;
    unsigned wanted = io->interest | WEFT_LOOP_HUP | WEFT_LOOP_ERR;
    if (io->interest & WEFT_LOOP_READ)
        wanted |= WEFT_LOOP_RDHUP;
    events &= wanted;
    if (!events)
        return;
    loop_count(&loop->stats.io_events, 1);
    loop_calls(loop, io->fn);
    io->fn(loop, io, events);
}

/* ---- one turn ---- */

static void deliver_again(weft_loop *loop)
{
    link_take(&loop->again_now, &loop->again);
    while (!link_empty(&loop->again_now)) {
        weft_loop_io *io = WEFT_LOOP_OWNER(loop->again_now.next, weft_loop_io, link);
        unsigned events = io->again;
        link_remove(&io->link);
        io->again = 0;
        weft__loop_deliver(loop, io, events);
    }
}

/* Delivers the messages that are in the queue now. With `all`, waits for posters that have taken
 * their place but not yet linked their message; else leaves those to the next turn. */
static void deliver_messages(weft_loop *loop, bool all)
{
    struct loop_queue *q = &loop->queue;
    weft_loop_msg *last = at_load(&q->tail);
    while (!weft__loop_queue_empty(q)) {
        weft_loop_msg *m = weft__loop_queue_pop(q);
        if (!m && !all)
            return;
        if (!m) {
            weft__sys_yield();
            continue;
        }
        bool end = m == last || (last == &q->stub && q->head == &q->stub);
        loop_count(&loop->stats.messages, 1);
        loop_calls(loop, m->fn);
        m->fn(loop, m);
        if (end)
            return;
    }
}

void weft_loop_defer(weft_loop *loop, weft_loop_msg *msg)
{
    msg->next = NULL;
    *loop->deferred_end = msg;
    loop->deferred_end = &msg->next;
}

static void run_deferred(weft_loop *loop)
{
    weft_loop_msg *m = loop->deferred, *next;
    loop->deferred = NULL;
    loop->deferred_end = &loop->deferred;
    for (; m; m = next) {
        next = m->next;
        loop_calls(loop, m->fn);
        m->fn(loop, m);
    }
}

static void set_place(weft_loop *loop, enum weft__loop_place place)
{
    at_store_rlx(&loop->place, (int)place); /* [mo:loop_stats] */
}

static void turn_begins(weft_loop *loop)
{
    loop_count(&loop->stats.turns, 1);
    loop->now_ns = weft__clock_ns();
    at_store_rlx(&loop->turned_ns, loop->now_ns); /* [mo:loop_stats] */
    loop_calls(loop, 0);
    set_place(loop, WEFT__LOOP_CALLING);
}

/* How long the wait may last: `limit_ns`, the next timer, 0 while work is pending. */
static int64_t wait_limit(const weft_loop *loop, int64_t limit_ns)
{
    if (limit_ns == 0 || loop->deferred || !link_empty(&loop->again) || loop->fds_freed)
        return 0;
    int64_t timer =
        loop->wheel.count ? weft__loop_wheel_timeout(&loop->wheel, weft__clock_ns()) : -1;
    if (limit_ns < 0 || (timer >= 0 && timer < limit_ns))
        return timer;
    return limit_ns;
}

/* S1 and S2 of loop_post.c: true once it is safe to sleep. */
static bool fall_asleep(weft_loop *loop)
{
    at_store(&loop->asleep, 1);
    if (weft__loop_queue_empty(&loop->queue) && !at_load(&loop->stop))
        return true;
    at_store(&loop->asleep, 0);
    return false;
}

static int turn(weft_loop *loop, int64_t limit_ns)
{
    int64_t wait_ns = wait_limit(loop, limit_ns);
    if (wait_ns != 0 && !fall_asleep(loop))
        wait_ns = 0;
    set_place(loop, WEFT__LOOP_POLLING);
    int rc = loop->backend->wait(loop, wait_ns);
    if (wait_ns != 0) {
        at_store(&loop->asleep, 0);
        loop_count(&loop->stats.waits, 1);
    }
    if (rc < 0)
        return rc;
    turn_begins(loop);
    weft__loop_wheel_run(loop);
    deliver_messages(loop, false);
    deliver_again(loop);
    loop->backend->dispatch(loop);
    run_deferred(loop);
    weft__loop_listeners_turn_end(loop);
    return 0;
}

/* Whether the loop was told to stop; messages posted before that are delivered first. */
static bool take_stop(weft_loop *loop)
{
    if (!at_load(&loop->stop) || !at_xchg(&loop->stop, 0))
        return false;
    deliver_messages(loop, true);
    run_deferred(loop);
    weft__loop_listeners_turn_end(loop);
    return true;
}

/* ---- running ---- */

/* Makes this thread the loop's, for good. */
static int adopt(weft_loop *loop)
{
    if (at_load(&loop->owned))
        return pthread_equal(loop->owner, pthread_self()) ? 0 : -EXDEV;
    int rc = loop->backend->adopt(loop);
    if (rc < 0)
        return rc;
    loop->owner = pthread_self();
    loop->now_ns = weft__clock_ns();
    at_store_rlx(&loop->turned_ns, loop->now_ns); /* [mo:loop_stats] */
    at_store_rlx(
        &loop->tid, (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0)); /* [mo:loop_stats] */
    at_store(&loop->owned, true);
    return 0;
}

static int enter(weft_loop *loop)
{
    if (at_load(&loop->running))
        return -EBUSY;
    int rc = adopt(loop);
    if (rc < 0)
        return rc;
    at_store(&loop->running, true);
    return 0;
}

int weft_loop_step(weft_loop *loop, int64_t timeout_ns)
{
    int rc = enter(loop);
    if (rc < 0)
        return rc;
    weft_loop *outer = self;
    self = loop;
    /* Between steps the loop counts as asleep (weft_loop_prepare); a step that only polls must end
     * that. */
    at_store(&loop->asleep, 0);
    rc = turn(loop, timeout_ns);
    if (rc == 0)
        rc = take_stop(loop);
    set_place(loop, WEFT__LOOP_AWAY);
    self = outer;
    at_store(&loop->running, false);
    return rc;
}

static int pin_here(const weft_loop *loop)
{
    if (!loop->pin)
        return 0;
    cpu_set_t set;
    CPU_ZERO(&set);
    if (loop->cpu < 0 || loop->cpu >= CPU_SETSIZE)
        return -EINVAL;
    CPU_SET((size_t)loop->cpu, &set);
    return -pthread_setaffinity_np(pthread_self(), sizeof set, &set);
}

/* weft_loop_start waits for it. */
static void tell_starter(weft_loop *loop, enum loop_begun begun)
{
    at_store(&loop->begun, (uint32_t)begun);
    weft__futex_wake(&loop->begun, 1);
}

int weft_loop_run(weft_loop *loop)
{
    int rc = pin_here(loop);
    if (rc == 0)
        rc = enter(loop);
    if (rc < 0)
        return rc;
    weft_loop *outer = self;
    self = loop;
    set_place(loop, WEFT__LOOP_CALLING); /* from here on a view has the thread's stack */
    tell_starter(loop, LOOP_TURNS);
    while (rc == 0 && !take_stop(loop))
        rc = turn(loop, -1);
    set_place(loop, WEFT__LOOP_AWAY);
    self = outer;
    at_store(&loop->running, false);
    return rc;
}

static void *thread_main(void *arg)
{
    weft_loop *loop = arg;
    loop->thread_result = weft_loop_run(loop);
    if (!at_load(&loop->begun))
        tell_starter(loop, LOOP_REFUSED);
    return NULL;
}

int weft_loop_start(weft_loop *loop)
{
    if (loop->started || at_load(&loop->owned))
        return -EBUSY;
    pthread_attr_t attr;
    int rc = -pthread_attr_init(&attr);
    if (rc < 0)
        return rc;
    if (loop->pin) {
        cpu_set_t set;
        CPU_ZERO(&set);
        if (loop->cpu >= 0 && loop->cpu < CPU_SETSIZE)
            CPU_SET((size_t)loop->cpu, &set);
        rc = -pthread_attr_setaffinity_np(&attr, sizeof set, &set);
    }
    sigset_t all, old;
    sigfillset(&all);
    sigdelset(&all, SIGURG); /* by which a dump asks a thread for its stack */
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (rc == 0)
        rc = -pthread_create(&loop->thread, &attr, thread_main, loop);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    if (rc < 0)
        return rc;
    pthread_setname_np(loop->thread, loop->name);
    loop->started = true;
    while (!at_load(&loop->begun))
        weft__futex_wait(&loop->begun, 0, -1);
    return at_load(&loop->begun) == LOOP_TURNS ? 0 : weft_loop_join(loop);
}

int weft_loop_join(weft_loop *loop)
{
    if (!loop->started)
        return -EINVAL;
    int rc = -pthread_join(loop->thread, NULL);
    if (rc < 0)
        return rc;
    loop->started = false;
    return loop->thread_result;
}

void weft_loop_stop(weft_loop *loop)
{
    at_store(&loop->stop, 1);
    weft__loop_wake(loop);
}

int weft_loop_fd(weft_loop *loop)
{
    return loop->backend->poll_fd(loop);
}

int64_t weft_loop_prepare(weft_loop *loop)
{
    if (at_load(&loop->running) || adopt(loop) < 0)
        weft__misuse(
            "weft_loop_prepare of loop \"%s\", which another thread or weft_loop_run turns",
            loop->name);
    int64_t limit = loop->backend->submit(loop) ? 0 : wait_limit(loop, -1);
    if (limit != 0 && !fall_asleep(loop))
        limit = 0;
    return limit;
}

/* ---- life ---- */

static int wanted_kind(enum weft_loop_kind kind, enum weft_loop_kind *ret_kind, bool *ret_forced)
{
    const char *env = kind == WEFT_LOOP_AUTO ? getenv("WEFT_IO") : NULL;
    *ret_forced = kind != WEFT_LOOP_AUTO || (env && *env);
    if (env && *env) {
        if (strcmp(env, "epoll") == 0)
            kind = WEFT_LOOP_EPOLL;
        else if (strcmp(env, "uring") == 0 || strcmp(env, "io_uring") == 0)
            kind = WEFT_LOOP_URING;
        else
            return -EINVAL;
    }
    if (kind != WEFT_LOOP_AUTO && kind != WEFT_LOOP_EPOLL && kind != WEFT_LOOP_URING)
        return -EINVAL;
    *ret_kind = kind;
    return 0;
}

/* Records that a ring of io_uring handles as cheaply as epoll does: see loop_uring.c. */
#define URING_GOOD_TO 65536

static int open_backend(weft_loop *loop, enum weft_loop_kind kind, bool forced)
{
    bool too_many = kind == WEFT_LOOP_AUTO && loop->max_fds > URING_GOOD_TO;
    if (too_many)
        snprintf(
            loop->note, sizeof loop->note, "epoll, the better one for %u sockets", loop->max_fds);
    if (kind != WEFT_LOOP_EPOLL && !too_many) {
        loop->backend = &weft__loop_uring;
        int rc = loop->backend->open(loop);
        if (rc == 0 || kind == WEFT_LOOP_URING || rc == -ENOMEM)
            return rc;
    }
    loop->backend = &weft__loop_epoll;
    if (forced)
        snprintf(loop->note, sizeof loop->note, "epoll, as asked for");
    return loop->backend->open(loop);
}

static int take_opts(weft_loop *loop, const weft_loop_opts *opts)
{
    weft_loop_opts o = {0};
    if (opts && (opts->size < sizeof(size_t) || opts->size > sizeof o))
        return -EINVAL;
    if (opts)
        memcpy(&o, opts, opts->size);
    loop->pin = o.pin;
    loop->cpu = o.cpu;
    loop->batch = o.batch ? o.batch : 512;
    if (loop->batch > 65536)
        loop->batch = 65536;
    loop->max_fds = o.max_fds;
    loop->data = o.data;
    snprintf(loop->name, sizeof loop->name, "%.15s", o.name ? o.name : "weft-loop");
    enum weft_loop_kind kind;
    bool forced;
    int rc = wanted_kind(o.kind, &kind, &forced);
    return rc < 0 ? rc : open_backend(loop, kind, forced);
}

int weft_loop_new(const weft_loop_opts *opts, weft_loop **ret_loop)
{
    weft_loop *loop = weft__zalloc(sizeof *loop);
    if (!loop)
        return -ENOMEM;
    int rc;
    weft__loop_queue_init(&loop->queue);
    link_init(&loop->again);
    link_init(&loop->again_now);
    link_init(&loop->listeners);
    link_init(&loop->dead);
    loop->deferred_end = &loop->deferred;
    loop->now_ns = weft__clock_ns();
    weft__loop_wheel_init(&loop->wheel, loop->now_ns);
    loop->wake_fd = weft__sys_eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->wake_fd < 0) {
        rc = loop->wake_fd;
        goto free_loop;
    }
    rc = take_opts(loop, opts);
    if (rc < 0)
        goto close_wake;
    weft__loop_enlist(loop);
    *ret_loop = loop;
    return 0;
close_wake:
    weft__sys_close(loop->wake_fd);
free_loop:
    weft__free(loop);
    return rc;
}

void weft_loop_free(weft_loop *loop)
{
    if (!loop)
        return;
    if (at_load(&loop->running) || loop->started)
        weft__misuse("weft_loop_free of loop \"%s\", which runs", loop->name);
    weft__loop_delist(loop);
    weft__loop_listeners_free(loop);
    weft__loop_batch_close(loop);
    loop->backend->close(loop);
    weft__sys_close(loop->wake_fd);
    for (uint32_t i = 0; i < loop->chunk_count; i++)
        weft__free(loop->chunks[i]);
    weft__free(loop->chunks);
    weft__free(loop);
}

/* ---- small answers ---- */

weft_loop *weft_loop_self(void)
{
    return self;
}

void *weft_loop_data(const weft_loop *loop)
{
    return loop->data;
}

int64_t weft_loop_now_ns(const weft_loop *loop)
{
    return loop->now_ns;
}

int64_t weft_loop_update_now(weft_loop *loop)
{
    return loop->now_ns = weft__clock_ns();
}

const char *weft_loop_backend(const weft_loop *loop)
{
    return loop->backend->name;
}

const char *weft_loop_backend_note(const weft_loop *loop)
{
    return loop->note;
}

void weft_loop_stats_get(const weft_loop *loop, weft_loop_stats *ret_stats)
{
    const struct loop_counters *c = &loop->stats;
    *ret_stats = (weft_loop_stats){
        .turns = at_load_rlx(&c->turns),                 /* [mo:loop_stats] */
        .waits = at_load_rlx(&c->waits),                 /* [mo:loop_stats] */
        .wakeups = at_load_rlx(&c->wakeups),             /* [mo:loop_stats] */
        .io_events = at_load_rlx(&c->io_events),         /* [mo:loop_stats] */
        .messages = at_load_rlx(&c->messages),           /* [mo:loop_stats] */
        .timers_fired = at_load_rlx(&c->timers_fired),   /* [mo:loop_stats] */
        .accepted = at_load_rlx(&c->accepted),           /* [mo:loop_stats] */
        .accept_pauses = at_load_rlx(&c->accept_pauses), /* [mo:loop_stats] */
        .sends = at_load_rlx(&c->sends),                 /* [mo:loop_stats] */
        .sends_blocked = at_load_rlx(&c->sends_blocked), /* [mo:loop_stats] */
        .bytes_sent = at_load_rlx(&c->bytes_sent),       /* [mo:loop_stats] */
        .stale_events = at_load_rlx(&c->stale_events),   /* [mo:loop_stats] */
        .io_count = at_load_rlx(&c->io_count),           /* [mo:loop_stats] */
        .timer_count = at_load_rlx(&c->timer_count),     /* [mo:loop_stats] */
    };
}
