// SPDX-License-Identifier: Apache-2.0
/* fanout.c - outlets and passes; fanout.h has the picture. */
#include "core/fan_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Sends of one pass before the loop turns: some 1 to 2 ms. */
#define PASS_QUANTUM 512
/* With fewer subs than this a pass costs less than it would save to rest. */
#define REST_FROM_SUBS 64
#define REST_MAX_NS WEFT_MS

static void outlet_wake(struct outlet *o);

static void outlet_told(weft_loop *loop, weft_loop_msg *msg)
{
    struct outlet *o = WEFT_LOOP_OWNER(msg, struct outlet, msg);
    atomic_exchange_explicit(&o->told, 0, memory_order_acq_rel); /* [mo:outlet-told] */
    outlet_wake(o);
    outlet_unref(o);
}

struct outlet *outlet_new(struct fan *fan, struct tlog *log, struct weft_span channel)
{
    struct outlet *o = calloc(1, sizeof *o + channel.len);
    if (!o)
        return NULL;
    memcpy(o->name, channel.data, channel.len);
    o->channel = table_key(o->name, channel.len);
    o->msg.fn = outlet_told;
    atomic_init(&o->refs, 1);
    atomic_init(&o->told, 0);
    o->fan = fan;
    o->log = tlog_ref(log);
    o->head = tlog_head(log);
    return o;
}

struct outlet *outlet_ref(struct outlet *o)
{
    atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed); /* [mo:outlet-refs] */
    return o;
}

void outlet_unref(struct outlet *o)
{
    /* [mo:outlet-refs] */
    if (!o || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1)
        return;
    assert(o->count == 0 && !o->due && !o->waiting);
    tlog_unref(o->log);
    free(o->subs);
    free(o);
}

void outlet_news(struct outlet *o, bool here)
{
    if (here) {
        outlet_wake(o);
        return;
    }
    if (atomic_exchange_explicit(&o->told, 1, memory_order_acq_rel) == 0) /* [mo:outlet-told] */
        weft_loop_post(outlet_ref(o)->fan->loop, &o->msg);
}

int outlet_add(struct outlet *o, struct sub *sub, struct sink *sink, const struct tcursor *cur)
{
    if (o->count == o->room) {
        uint32_t room = o->room ? o->room * 2 : 4;
        struct sub **subs = realloc(o->subs, room * sizeof(struct sub *));
        if (!subs)
            return -ENOMEM;
        o->subs = subs;
        o->room = room;
    }
    sub->channel = o->channel;
    sub->outlet = o;
    sub->sink = sink;
    sub->cur = *cur;
    sub->index = o->count;
    sub->next = sink->subs;
    sink->subs = sub;
    sink->sub_count++;
    o->subs[o->count++] = sub;
    /* The cursor may be ahead of the news (they are under way), or news have come before it. */
    outlet_wake(o);
    return 0;
}

static void put_at(struct outlet *o, uint32_t index, struct sub *sub)
{
    o->subs[index] = sub;
    sub->index = index;
}

static void forget_wait(struct outlet *o)
{
    struct outlet **at = &o->fan->waiting;
    while (*at != o)
        at = &(*at)->next;
    *at = o->next;
    o->waiting = false;
    outlet_unref(o);
}

void outlet_remove(struct sub *sub)
{
    struct outlet *o = sub->outlet;
    struct sub **at = &sub->sink->subs;
    while (*at != sub)
        at = &(*at)->next;
    *at = sub->next;
    sub->sink->sub_count--;
    /* The hole is filled from the same side of the running pass, so that it misses nobody. */
    uint32_t hole = sub->index, last = o->count - 1;
    if (hole < o->scan) {
        put_at(o, hole, o->subs[o->scan - 1]);
        hole = --o->scan;
    }
    put_at(o, hole, o->subs[last]);
    o->count = last;
    tcursor_drop(&sub->cur);
    if (o->count == 0 && o->waiting)
        forget_wait(o);
}

/* ---- passes ---- */

static void fan_turn(weft_loop *loop, weft_loop_msg *msg);

void fan__arm(struct fan *f)
{
    if (f->turn_queued)
        return;
    f->turn_queued = true;
    weft_loop_defer(f->loop, &f->turn);
}

static void make_due(struct outlet *o)
{
    struct fan *f = o->fan;
    o->due = true;
    o->next = NULL;
    *f->due_tail = outlet_ref(o);
    f->due_tail = &o->next;
    fan__arm(f);
}

static void rest_over(weft_loop *loop, weft_loop_timer *timer)
{
    struct fan *f = WEFT_LOOP_OWNER(timer, struct fan, rest);
    int64_t now = weft_loop_now_ns(loop), wait = INT64_MAX;
    struct outlet *o = f->waiting, *next;
    f->waiting = NULL;
    for (; o; o = next) {
        next = o->next;
        int64_t left = o->rest_until_ns - now;
        if (left > 0) {
            wait = left < wait ? left : wait;
            o->next = f->waiting;
            f->waiting = o;
            continue;
        }
        o->waiting = false;
        make_due(o);
        outlet_unref(o);
    }
    if (f->waiting)
        weft_loop_timer_start(loop, timer, wait, 0);
}

/* Something lies behind the cursors: a pass now, or when the rest is over. */
static void schedule(struct outlet *o)
{
    struct fan *f = o->fan;
    if (o->due || o->waiting || o->count == 0)
        return; /* a pass that rolls looks at the head again when it is over */
    int64_t left = o->rest_until_ns - weft_loop_now_ns(f->loop);
    if (o->count < REST_FROM_SUBS || left <= 0) {
        make_due(o);
        return;
    }
    o->waiting = true;
    o->next = f->waiting;
    f->waiting = outlet_ref(o);
    if (!weft_loop_timer_running(&f->rest))
        weft_loop_timer_start(f->loop, &f->rest, left, 0);
}

static void outlet_wake(struct outlet *o)
{
    o->head = tlog_head(o->log);
    schedule(o);
}

static void give(struct fan *f, struct fan_batch *b, struct sub *sub, bool alone)
{
    struct sink *s = sub->sink;
    if (s->failure != SINK_FINE || s->closed)
        return;
    if (s->blocked) {
        fan__check_slow(s, sub->outlet->head - sub->cur.pos);
        return;
    }
    if (s->out)
        sink_flush(s);
    else if (!alone && s->sub_count > 1 && s->sub_count <= FAN_FEW_SUBS)
        sink_flush(s); /* others of its channels may be due in this turn: one send for all */
    if (!s->blocked && s->failure == SINK_FINE)
        fan__send_later(b, s, sub);
}

/* Goes on with the pass over o; returns the sends made. The pass is over when scan is 0 again. */
static int pass_some(struct fan *f, struct outlet *o, int quantum, bool alone)
{
    struct fan_batch b;
    int made = 0;
    b.count = 0;
    if (o->scan == 0) {
        o->pass_head = o->head;
        o->pass_began_ns = weft_loop_update_now(f->loop);
        f->stats.passes++;
    }
    while (o->scan < o->count && made < quantum) {
        struct sub *sub = o->subs[o->scan++];
        if (sub->cur.pos == o->head)
            continue;
        give(f, &b, sub, alone);
        made++;
    }
    fan__send_batch(f, &b);
    if (o->scan >= o->count)
        o->scan = 0;
    return made;
}

static void pass_over(struct fan *f, struct outlet *o)
{
    int64_t now = weft_loop_update_now(f->loop), took = now - o->pass_began_ns;
    o->rest_until_ns = f->window_ns > 0 ? o->pass_began_ns + f->window_ns
                                        : now + (took < REST_MAX_NS ? took : REST_MAX_NS);
    if (o->head != o->pass_head)
        schedule(o); /* it grew while the pass rolled */
}

static void run_passes(struct fan *f)
{
    int left = PASS_QUANTUM;
    while (f->due && left > 0) {
        struct outlet *o = f->due;
        bool alone = !o->next;
        left -= pass_some(f, o, left, alone) + 1;
        if (o->scan != 0)
            break; /* the quantum is used up: the next turn goes on here */
        f->due = o->next;
        if (!f->due)
            f->due_tail = &f->due;
        o->due = false;
        pass_over(f, o);
        outlet_unref(o);
    }
}

static void flush_sinks(struct fan *f)
{
    while (f->flush) {
        struct sink *s = f->flush;
        f->flush = s->next;
        s->queued = false;
        if (s->failure == SINK_FINE)
            sink_flush(s);
        if (s->failure != SINK_FINE && !s->queued) {
            s->queued = true;
            s->next = f->failed;
            f->failed = s;
        }
    }
}

static void tell_failures(struct fan *f)
{
    while (f->failed) {
        struct sink *s = f->failed;
        f->failed = s->next;
        s->queued = false;
        if (s->failure == SINK_FINE) { /* ended meanwhile: its last bytes may leave */
            sink_flush(s);
            continue;
        }
        if (s->failure == SINK_SLOW)
            f->stats.slow++;
        f->on_failure(s, (enum sink_failure)s->failure);
    }
}

static void fan_turn(weft_loop *loop, weft_loop_msg *msg)
{
    struct fan *f = WEFT_LOOP_OWNER(msg, struct fan, turn);
    f->turn_queued = false;
    flush_sinks(f);
    run_passes(f);
    flush_sinks(f);
    tell_failures(f);
    if (f->due || f->flush || f->failed)
        fan__arm(f);
}

void fan_init(struct fan *f, weft_loop *loop, uint32_t queue_max_bytes, int64_t window_ns,
    void (*on_failure)(struct sink *s, enum sink_failure why))
{
    memset(f, 0, sizeof *f);
    f->loop = loop;
    f->turn.fn = fan_turn;
    f->rest.fn = rest_over;
    f->due_tail = &f->due;
    f->queue_max_bytes = queue_max_bytes;
    f->window_ns = window_ns;
    f->on_failure = on_failure;
}

void fan_fini(struct fan *f)
{
    weft_loop_timer_stop(f->loop, &f->rest);
}

static void unlink_sink(struct sink **at, struct sink *s)
{
    for (; *at; at = &(*at)->next)
        if (*at == s) {
            *at = s->next;
            return;
        }
}

void fan_forget(struct fan *f, struct sink *s)
{
    if (!s->queued)
        return;
    unlink_sink(&f->flush, s);
    unlink_sink(&f->failed, s);
    s->queued = false;
}
