// SPDX-License-Identifier: Apache-2.0
/*
 * loop_impl.h - the inside of a pinned loop, shared by the loop_*.c files and nobody else.
 *
 *   loop.c         the turn, the table of records, messages' delivery, life of a loop
 *   loop_list.c    all loops, and what can be seen of them from outside (loop_view.h)
 *   loop_post.c    the queue of messages and the wake protocol
 *   loop_timer.c   the timing wheel
 *   loop_epoll.c   back end epoll          loop_uring.c   back end io_uring
 *   loop_sock.c    recv, send              loop_batch.c   many sends at once
 *   loop_listen.c  accepting, its pauses
 *   loop_addr.c    addresses               loop_dial.c    connecting
 *
 * The table of records. The kernel is never given a record's address, only `slot` and `gen`:
 *
 *     kernel event: | kind 8 | gen 24 | slot 32 |        chunks[slot / 1024][slot % 1024]
 *                                                         { io, gen, next_free }
 *
 * An event whose gen is not the slot's is stale: its record was removed. Removal raises gen, so it
 * needs no search through batches that are being delivered or are still in the kernel (rule E6).
 *
 * Invariants:
 *   L1  io->slot != 0 exactly while the record is added; then the slot points back to it.
 *   L2  a record is in `again` or `again_now` exactly while io->again != 0.
 *   L3  only the thread that turns the loop touches anything but queue, asleep, stop and stats; a
 *       view reads what is atomic.
 */
#ifndef WEFT_IO_LOOP_IMPL_H
#define WEFT_IO_LOOP_IMPL_H
#include <pthread.h>
#include <sys/socket.h>
#include <weft/loop.h>
#include "base/atomic.h"
#include "base/fatal.h"
#include "io/loop_view.h"

#define LOOP_LEVELS 8 /* of 64 slots each: 2^48 ticks of a millisecond */
#define LOOP_CHUNK 1024u

/* ---- lists of records ---- */

static inline void link_init(weft_loop_link *head)
{
    head->next = head->prev = head;
}

static inline bool link_empty(const weft_loop_link *head)
{
    return head->next == head;
}

static inline void link_push(weft_loop_link *head, weft_loop_link *n)
{
    n->prev = head->prev;
    n->next = head;
    head->prev->next = n;
    head->prev = n;
}

static inline void link_remove(weft_loop_link *n)
{
    n->prev->next = n->next;
    n->next->prev = n->prev;
    n->next = n->prev = NULL;
}

/* Moves all of `from` to the empty list `to`. */
static inline void link_take(weft_loop_link *to, weft_loop_link *from)
{
    link_init(to);
    if (link_empty(from))
        return;
    *to = *from;
    to->next->prev = to->prev->next = to;
    link_init(from);
}

/* ---- parts ---- */

struct loop_queue { /* see loop_post.c */
    _Atomic(weft_loop_msg *) tail;
    char apart[56]; /* posters write tail, the loop head: not on one cache line */
    weft_loop_msg *head;
    weft_loop_msg stub;
};

struct loop_wheel { /* see loop_timer.c */
    uint64_t tick;  /* all timers up to this one have fired */
    uint64_t floor; /* timers started now fire at floor or later */
    uint64_t used[LOOP_LEVELS];
    weft_loop_link slots[LOOP_LEVELS][64];
    weft_loop_link due; /* timers of `tick`, being fired */
    uint64_t count;
};

struct loop_slot {
    weft_loop_io *io; /* NULL: free */
    uint32_t gen;     /* 24 bits */
    uint32_t next_free;
};

enum loop_begun { LOOP_STARTS, LOOP_TURNS, LOOP_REFUSED };

struct loop_counters { /* written by the loop's thread, read by any */
    _Atomic uint64_t turns, waits, wakeups, io_events, messages, timers_fired, accepted;
    _Atomic uint64_t accept_pauses, sends, sends_blocked, bytes_sent, stale_events, io_count,
        timer_count, listener_count;
};

/* What a back end does. All run on the loop's thread, or before its first turn. */
struct loop_backend {
    const char *name;
    int (*open)(weft_loop *loop);
    void (*close)(weft_loop *loop);
    /* First turn, on the thread that owns the loop from now on. */
    int (*adopt)(weft_loop *loop);
    /* Watch a fresh record for its interest. */
    int (*watch)(weft_loop *loop, weft_loop_io *io);
    /* io->interest has changed from `before`; the kernel must see to what is new. */
    int (*change)(weft_loop *loop, weft_loop_io *io, unsigned before);
    /* Watch no more; `closing`: the fd is closed right afterwards. */
    void (*drop)(weft_loop *loop, weft_loop_io *io, bool closing);
    int (*accept_start)(weft_loop *loop, weft_loop_io *io);
    void (*accept_stop)(weft_loop *loop, weft_loop_io *io);
    /* Hand changes to the kernel without waiting; true if events are there already. */
    bool (*submit)(weft_loop *loop);
    /* The same, and wait for events: 0 polls, -1 has no limit. Interrupted or timed out is 0 too.
     */
    int (*wait)(weft_loop *loop, int64_t timeout_ns);
    void (*dispatch)(weft_loop *loop);
    /* An fd that becomes readable with the next event after submit. */
    int (*poll_fd)(weft_loop *loop);
};
extern const struct loop_backend weft__loop_epoll, weft__loop_uring;

struct weft_loop {
    const struct loop_backend *backend;
    void *state; /* the back end's */
    struct loop_queue queue;
    _Atomic int asleep; /* 1: a post must write wake_fd */
    _Atomic int stop;
    int wake_fd; /* eventfd, watched edge-triggered and never read */

    int64_t now_ns;
    struct loop_wheel wheel;
    weft_loop_link again, again_now; /* records to call without asking the kernel */
    weft_loop_msg *deferred, **deferred_end;

    struct loop_slot **chunks;
    uint32_t chunk_count, slot_count, free_slot; /* free_slot: index + 1 of a free one, or 0 */

    weft_loop_link listeners; /* all */
    weft_loop_link dead;      /* closed, freed at the end of the turn */
    unsigned starved;         /* listeners waiting for fds or memory */
    bool fds_freed;           /* wake the starved ones at the end of this turn */

    struct io_uring *batch_ring; /* see loop_batch.c */
    bool batch_tried;

    struct loop_counters stats;
    /* For views; written by the loop's thread alone. */
    _Atomic int tid, place;     /* place: enum weft__loop_place */
    _Atomic int64_t turned_ns;  /* when the turn began */
    _Atomic uintptr_t callback; /* begun last in this turn, or 0 */
    weft_loop_link listed;      /* under loop_list.c's lock, as is id */
    uint64_t id;
    _Atomic bool owned, running; /* owned: `owner` is set, for good */
    pthread_t owner;
    _Atomic uint32_t begun; /* enum loop_begun: its thread to its starter */
    bool started;           /* the starter's and joiner's */
    pthread_t thread;
    int thread_result;
    bool pin;
    int cpu;
    unsigned batch, max_fds;
    void *data;
    char name[16];
    char note[160];
};

/* ---- records ---- */

enum { LOOP_LISTENER = 1 }; /* io->flags */

/* The kernel's word for a record: kind, gen, slot. */
static inline uint64_t loop_token(const weft_loop *loop, const weft_loop_io *io, unsigned kind)
{
    uint32_t i = io->slot - 1;
    uint32_t gen = loop->chunks[i / LOOP_CHUNK][i % LOOP_CHUNK].gen;
    return (uint64_t)kind << 56 | (uint64_t)gen << 32 | i;
}

static inline unsigned loop_token_kind(uint64_t token)
{
    return (unsigned)(token >> 56);
}

/* The record that a token means, or NULL if it was removed since. */
static inline weft_loop_io *loop_token_io(const weft_loop *loop, uint64_t token)
{
    uint32_t i = (uint32_t)token, gen = (uint32_t)(token >> 32) & 0xffffff;
    if (i >= loop->slot_count)
        return NULL;
    const struct loop_slot *s = &loop->chunks[i / LOOP_CHUNK][i % LOOP_CHUNK];
    return s->gen == gen ? s->io : NULL;
}

static inline void loop_count(_Atomic uint64_t *counter, uint64_t n)
{
    /* One writer, so no read-modify-write. */
    at_store_rlx(counter, at_load_rlx(counter) + n); /* [mo:loop_stats] */
}

/* Notes which callback comes next: a store a callback. */
#define loop_calls(loop, fn) at_store_rlx(&(loop)->callback, (uintptr_t)(fn)) /* [mo:loop_stats] */

void weft__loop_enlist(weft_loop *loop);
void weft__loop_delist(weft_loop *loop);
void weft__loop_deliver(weft_loop *loop, weft_loop_io *io, unsigned events);
int weft__loop_io_insert(
    weft_loop *loop, weft_loop_io *io, int fd, unsigned events, weft_loop_io_fn *fn);
void weft__loop_io_erase(weft_loop *loop, weft_loop_io *io);

/* ---- the other files ---- */

void weft__loop_queue_init(struct loop_queue *q);
weft_loop_msg *weft__loop_queue_pop(struct loop_queue *q);
bool weft__loop_queue_empty(struct loop_queue *q);
void weft__loop_wake(weft_loop *loop);

ssize_t weft__loop_count_send(weft_loop *loop, ssize_t n);
void weft__loop_batch_close(weft_loop *loop);

void weft__loop_wheel_init(struct loop_wheel *w, int64_t now_ns);
void weft__loop_wheel_run(weft_loop *loop);
int64_t weft__loop_wheel_timeout(const struct loop_wheel *w, int64_t now_ns);

void weft__loop_accepted(weft_loop *loop, weft_loop_io *io, int fd);
void weft__loop_accept_failed(weft_loop *loop, weft_loop_io *io, int err);
void weft__loop_accept_ready(weft_loop *loop, weft_loop_io *io, unsigned events);
void weft__loop_listeners_turn_end(weft_loop *loop);
void weft__loop_listeners_free(weft_loop *loop);

struct loop_addr {
    struct sockaddr_storage sa;
    socklen_t len;
    bool any; /* ":port": both families */
};
int weft__loop_addr_parse(struct loop_addr *ret, const char *text, bool look_up);
int weft__loop_addr_format(const struct loop_addr *addr, char *buf, size_t bytes);
#endif
