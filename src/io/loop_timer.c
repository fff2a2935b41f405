// SPDX-License-Identifier: Apache-2.0
/*
 * loop_timer.c - a hierarchical timing wheel: a million timers, each started and stopped in O(1).
 *
 * Time is counted in ticks of a millisecond of CLOCK_MONOTONIC. Level l has 64 slots, each of 64^l
 * ticks. A timer lies at the level of the highest group of six bits in which its tick differs from
 * the wheel's:
 *
 *     wheel.tick  ... 000011 010110 101001      tick of a timer  ... 000011 011000 000101
 *                             ^ level 1                                     ^ level 1, slot 24
 *
 * When the wheel reaches the start of an upper slot, its timers move down (each timer moves at most
 * once a level, and most, being stopped before, never). One 64-bit word a level says which slots
 * are in use, so the next thing to do is found by eight tests, and empty stretches of time cost
 * nothing. A heap would keep 1 M timers exact at 20 compares each; pings and idle limits are
 * started far more often than they fire, so the wheel wins where it matters.
 *
 * Slack: a timer that may be d ticks late is put on the multiple of the largest power of two that
 * is no more than d + 1. Such timers share few slots and wake the loop seldom.
 *
 * Invariants:
 *   W1  every timer on the wheel has tick > wheel.tick; those in `due` have tick == wheel.tick.
 *   W2  a timer's level and slot follow from its tick and wheel.tick alone, at all times: the wheel
 *       never passes an occupied slot.
 *   W3  used[l] has bit s set exactly if slots[l][s] is not empty.
 *   W4  timers of one tick keep the order of their starts: an upper slot comes down, in order,
 *       before anything can be put into the lower slots directly.
 *
 * Only the loop's thread calls in here. All is O(1), but for moving down.
 */
#include "io/loop_impl.h"

void weft__loop_wheel_init(struct loop_wheel *w, int64_t now_ns)
{
    w->tick = (uint64_t)now_ns / (uint64_t)WEFT_LOOP_TICK_NS;
    w->floor = w->tick + 1;
    for (int l = 0; l < LOOP_LEVELS; l++)
        for (int s = 0; s < 64; s++)
            link_init(&w->slots[l][s]);
    link_init(&w->due);
}

static int level_of(const struct loop_wheel *w, uint64_t tick)
{
    return (63 - __builtin_clzll(tick ^ w->tick)) / 6;
}

static int slot_of(uint64_t tick, int level)
{
    return (int)(tick >> (6 * level)) & 63;
}

static void place(struct loop_wheel *w, weft_loop_timer *t)
{
    if (t->tick == w->tick) {
        link_push(&w->due, &t->link);
        return;
    }
    int l = level_of(w, t->tick), s = slot_of(t->tick, l);
    WEFT_ASSERT(t->tick > w->tick && l < LOOP_LEVELS);
    link_push(&w->slots[l][s], &t->link);
    w->used[l] |= 1ull << s;
}

static void unplace(struct loop_wheel *w, weft_loop_timer *t)
{
    link_remove(&t->link);
    if (t->tick == w->tick)
        return;
    int l = level_of(w, t->tick), s = slot_of(t->tick, l);
    if (link_empty(&w->slots[l][s]))
        w->used[l] &= ~(1ull << s);
}

/* The next tick at which a slot must be opened, and its level; -1 if there is no timer. Lower
 * levels come first: all their slots lie before the next slot of a level above. */
static int next_event(const struct loop_wheel *w, uint64_t *ret_tick)
{
    for (int l = 0; l < LOOP_LEVELS; l++) {
        if (!w->used[l])
            continue;
        uint64_t slot = (uint64_t)__builtin_ctzll(w->used[l]);
        uint64_t above = w->tick >> (6 * (l + 1)) << (6 * (l + 1));
        *ret_tick = above | slot << (6 * l);
        WEFT_ASSERT(*ret_tick > w->tick);
        return l;
    }
    return -1;
}

int64_t weft__loop_wheel_timeout(const struct loop_wheel *w, int64_t now_ns)
{
    uint64_t tick;
    if (next_event(w, &tick) < 0)
        return -1;
    int64_t due;
    if (__builtin_mul_overflow((int64_t)tick, WEFT_LOOP_TICK_NS, &due))
        due = INT64_MAX;
    return due > now_ns ? due - now_ns : 0;
}

static void fire_due(weft_loop *loop)
{
    struct loop_wheel *w = &loop->wheel;
    while (!link_empty(&w->due)) {
        weft_loop_timer *t = WEFT_LOOP_OWNER(w->due.next, weft_loop_timer, link);
        link_remove(&t->link);
        w->count--;
        loop_count(&loop->stats.timers_fired, 1);
        loop_calls(loop, t->fn);
        t->fn(loop, t);
    }
}

/* Fires all timers that are due at loop->now_ns. */
void weft__loop_wheel_run(weft_loop *loop)
{
    struct loop_wheel *w = &loop->wheel;
    uint64_t target = (uint64_t)loop->now_ns / (uint64_t)WEFT_LOOP_TICK_NS, tick;
    if (target < w->tick)
        return;
    w->floor = target + 1;
    int l;
    while ((l = next_event(w, &tick)) >= 0 && tick <= target) {
        weft_loop_link moving;
        int s = slot_of(tick, l);
        link_take(&moving, &w->slots[l][s]);
        w->used[l] &= ~(1ull << s);
        w->tick = tick;
        while (!link_empty(&moving)) {
            weft_loop_timer *t = WEFT_LOOP_OWNER(moving.next, weft_loop_timer, link);
            link_remove(&t->link);
            place(w, t);
        }
        fire_due(loop);
    }
    w->tick = target;
    at_store_rlx(&loop->stats.timer_count, w->count); /* [mo:loop_stats] */
}

void weft_loop_timer_start_at(
    weft_loop *loop, weft_loop_timer *timer, int64_t deadline_ns, int64_t slack_ns)
{
    struct loop_wheel *w = &loop->wheel;
    if (timer->link.next)
        weft_loop_timer_stop(loop, timer);
    uint64_t tick_ns = (uint64_t)WEFT_LOOP_TICK_NS;
    uint64_t deadline = deadline_ns > 0 ? (uint64_t)deadline_ns : 0;
    uint64_t tick = deadline / tick_ns + (deadline % tick_ns != 0);
    if (slack_ns >= WEFT_LOOP_TICK_NS) {
        uint64_t slack = (uint64_t)slack_ns / tick_ns;
        uint64_t unit = 1ull << (63 - __builtin_clzll(slack + 1));
        tick = (tick + unit - 1) & ~(unit - 1);
    }
    timer->tick = tick < w->floor ? w->floor : tick;
    place(w, timer);
    w->count++;
    at_store_rlx(&loop->stats.timer_count, w->count); /* [mo:loop_stats] */
}

void weft_loop_timer_start(
    weft_loop *loop, weft_loop_timer *timer, int64_t delay_ns, int64_t slack_ns)
{
    int64_t deadline;
    if (delay_ns < 0)
        delay_ns = 0;
    if (__builtin_add_overflow(loop->now_ns, delay_ns, &deadline))
        deadline = INT64_MAX;
    weft_loop_timer_start_at(loop, timer, deadline, slack_ns);
}

bool weft_loop_timer_stop(weft_loop *loop, weft_loop_timer *timer)
{
    if (!timer->link.next)
        return false;
    unplace(&loop->wheel, timer);
    loop->wheel.count--;
    at_store_rlx(&loop->stats.timer_count, loop->wheel.count); /* [mo:loop_stats] */
    return true;
}

bool weft_loop_timer_running(const weft_loop_timer *timer)
{
    return timer->link.next != NULL;
}
