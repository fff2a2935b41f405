// SPDX-License-Identifier: Apache-2.0
/*
 * loop_list.c - the list of all pinned loops, and views of them from outside (loop_view.h).
 *
 * Concurrency: a lock guards the list alone, and is held for as long as a view takes. A view reads
 * the counters and the notes of the turn as they stand (relaxed atomics, one writer), and counts
 * the queue of messages by the kernel's eyes, as its nodes belong to others and may be gone at any
 * moment: the count is exact for a loop that sleeps or hangs, and about right for one at work.
 */
#include <string.h>

#include "base/lock.h"
#include "base/peek.h"
#include "io/loop_impl.h"
#include "io/loop_view.h"
#include "sched/sched.h"

static struct weft__lock lock;
static weft_loop_link all; /* under lock, as is the next; zeroed: empty */
static uint64_t last_id;

/* A fiber holds it inside the runtime only (L1 of lock.h); a plain thread is not drawn in. */
static bool list_lock(void)
{
    bool inside = weft__self() != NULL;
    if (inside)
        weft__enter();
    weft__lock(&lock, WEFT__RANK_FD);
    return inside;
}

static void list_unlock(bool inside)
{
    weft__unlock(&lock);
    if (inside)
        weft__leave();
}

void weft__loop_enlist(weft_loop *loop)
{
    bool inside = list_lock();
    if (!all.next)
        link_init(&all);
    loop->id = ++last_id;
    link_push(&all, &loop->listed);
    list_unlock(inside);
}

void weft__loop_delist(weft_loop *loop)
{
    bool inside = list_lock();
    link_remove(&loop->listed);
    list_unlock(inside);
}

static unsigned messages_waiting(const struct loop_queue *q)
{
    const weft_loop_msg *at, *next;
    unsigned n = 0;
    if (!weft__read_safely(&q->head, &at, sizeof at))
        return 0;
    while (at && n < WEFT__LOOP_MESSAGES_MAX) {
        n += at != &q->stub;
        if (!weft__read_safely(&at->next, &next, sizeof next))
            break;
        at = next;
    }
    return n;
}

static void view(const weft_loop *loop, struct weft__loop_view *ret)
{
    const struct loop_counters *c = &loop->stats;
    uint64_t records = at_load_rlx(&c->io_count); /* [mo:loop_stats] */
    *ret = (struct weft__loop_view){
        .id = loop->id,
        .backend = loop->backend->name,
        .tid = at_load_rlx(&loop->tid),                            /* [mo:loop_stats] */
        .place = (enum weft__loop_place)at_load_rlx(&loop->place), /* [mo:loop_stats] */
        .callback = at_load_rlx(&loop->callback),                  /* [mo:loop_stats] */
        .since_ns = at_load_rlx(&loop->turned_ns),                 /* [mo:loop_stats] */
        .turns = at_load_rlx(&c->turns),                           /* [mo:loop_stats] */
        .listeners = at_load_rlx(&c->listener_count),              /* [mo:loop_stats] */
        .timers = at_load_rlx(&c->timer_count),                    /* [mo:loop_stats] */
        .messages = messages_waiting(&loop->queue),
    };
    ret->sockets = records > ret->listeners ? records - ret->listeners : 0;
    memcpy(ret->name, loop->name, sizeof ret->name);
}

size_t weft__loops_view(struct weft__loop_view *at, size_t room)
{
    size_t n = 0;
    bool inside = list_lock();
    for (weft_loop_link *l = all.next; l && l != &all; l = l->next, n++)
        if (n < room)
            view(WEFT_LOOP_OWNER(l, weft_loop, listed), &at[n]);
    list_unlock(inside);
    return n;
}
