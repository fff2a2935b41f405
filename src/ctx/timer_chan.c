// SPDX-License-Identifier: Apache-2.0
/*
 * timer_chan.c - weft_timer: timers with a channel, tickers, functions that run later.
 *
 *     weft__timer (in a worker's heap) ──due──> fired(): send the time, or start a fiber;
 *                                               a ticker starts anew
 *
 * Go 1.23's rule (no stale value after Stop or Reset) needs two things: stop empties the channel,
 * and a firing that has left the heap but not yet got the timer's lock must do nothing.
 *
 * K1  `pending` (under the lock) says that a firing is owed. Stop takes it back: from the heap, or,
 *     if the firing has begun already, by leaving one more `stale` for it to consume.
 * K2  Each firing owed or stale holds a reference; so does the owner (weft_timer_free gives it up).
 *     The channel is given up with the last one.
 * K3  The channel has room for one value and is sent to only here, under the lock: so a stop that
 *     holds it sees it full or knows that nothing comes.
 *
 * The timer's lock is taken before the channel's, the heap's, and that of the context under which a
 * firing starts a fiber. Freed memory goes through a graveyard, as fired() runs inside the runtime
 * (alloc.h A1).
 */
#include <errno.h>
#include <limits.h>

#include <weft/timer.h>

#include "base/alloc.h"
#include "base/futex.h"
#include "ctx/context.h"
#include "ctx/record.h"
#include "sync/chan_core.h"

struct weft_timer {
    struct weft_object object;
    struct weft__timer timer;
    struct weft__lock lock; /* rank ALARM; guards the rest */
    _Atomic uint32_t refs;
    bool pending; /* K1 */
    uint32_t stale;
    int64_t period_ns; /* 0: fires once */
    int64_t due_ns;
    weft_chan *chan; /* counted; NULL: a function */
    void (*fn)(void *);
    void *arg;
    struct weft_timer *next; /* graveyard */
};

enum { RETRY_NS = 1000000 };

static _Atomic(struct weft_timer *) graveyard;

static void unref_inside(struct weft_timer *t)
{
    if (at_sub(&t->refs, 1) != 1)
        return;
    t->next = at_load(&graveyard);
    while (!at_cas(&graveyard, &t->next, t))
        ;
}

static void bury(void)
{
    if (!at_load_rlx(&graveyard)) /* [mo:alone: a hint] */
        return;
    for (struct weft_timer *t = at_xchg(&graveyard, NULL), *next; t; t = next) {
        next = t->next;
        weft_chan_free(t->chan);
        weft__object_free(&t->object);
    }
}

static void check(const weft_timer *t, const char *function)
{
    if (!t)
        weft__misuse("%s: called on an uninitialized timer (NULL)", function);
    weft__object_check(&t->object, WEFT_KIND_TIMER);
}

static int64_t after(int64_t now, int64_t duration_ns)
{
    return duration_ns <= 0 ? now : duration_ns > INT64_MAX - now ? INT64_MAX : now + duration_ns;
}

/* ---- firing; inside, on a worker's idle stack ---- */

static void arm_locked(struct weft_timer *t, int64_t when_ns)
{
    t->pending = true;
    t->due_ns = when_ns;
    if (when_ns == INT64_MAX)
        return;          /* never: nothing to arm, and no firing to keep it alive */
    at_add(&t->refs, 1); /* K2 */
    weft__tsan_release(t);
    weft__timer_start(&t->timer, when_ns);
}

static int run_fn(void *arg)
{
    struct weft_timer *t = arg;
    weft__tsan_acquire(t); /* the start happens before the function */
    t->fn(t->arg);
    weft__enter();
    unref_inside(t);
    weft__leave();
    bury();
    return 0;
}

/* A fiber for fn; false: there is no room for one now. */
static bool start_fn(struct weft_timer *t)
{
    struct weft__spawn s = {.entry = run_fn,
        .arg = t,
        .on_exit = weft__record_exit_root,
        .prepare = weft__record_born_root,
        .spawn_site = (void *)(uintptr_t)t->fn};
    at_add(&t->refs, 1);
    int rc = weft__spawn(&s, NULL);
    if (rc < 0)
        at_sub(&t->refs, 1);
    return rc == 0 || rc == -ESHUTDOWN; /* at the end of the runtime nothing runs any more */
}

static void deliver_locked(struct weft_timer *t)
{
    int64_t now = weft__clock_ns();
    t->pending = false;
    if (t->chan)
        weft__chan_try_send(t->chan, &now); /* full: a tick that the receiver misses */
    else if (!start_fn(t))
        arm_locked(t, now + RETRY_NS);
    if (t->period_ns && !t->pending) {
        int64_t missed = (now - t->due_ns) / t->period_ns;
        arm_locked(t, t->due_ns + (missed + 1) * t->period_ns);
    }
}

static void fired(struct weft__timer *timer, void *arg)
{
    struct weft_timer *t = arg;
    (void)timer;
    weft__lock(&t->lock, WEFT__RANK_ALARM);
    if (t->stale)
        t->stale--;
    else
        deliver_locked(t);
    weft__unlock(&t->lock);
    unref_inside(t);
}

/* ---- making and changing; outside ---- */

static weft_timer *make(int64_t when_ns, int64_t period_ns, void (*fn)(void *), void *arg, void *pc)
{
    bury();
    struct weft_timer *t = weft__zalloc(sizeof *t);
    if (!t)
        return NULL;
    if (!fn && weft_chan_new(sizeof(int64_t), 1, &t->chan) < 0) {
        weft__free(t);
        return NULL;
    }
    weft__object_init(&t->object, WEFT_KIND_TIMER, NULL, pc);
    at_store_rlx(&t->refs, 1); /* [mo:alone: nobody else sees it yet] */
    t->timer.fn = fired;
    t->timer.arg = t;
    t->period_ns = period_ns;
    t->fn = fn;
    t->arg = arg;
    weft__enter();
    weft__lock(&t->lock, WEFT__RANK_ALARM);
    arm_locked(t, when_ns);
    weft__unlock(&t->lock);
    weft__leave();
    return t;
}

weft_timer *weft_timer_new(int64_t duration_ns)
{
    return make(after(weft__clock_ns(), duration_ns), 0, NULL, NULL, __builtin_return_address(0));
}

weft_timer *weft_timer_func(int64_t duration_ns, void (*fn)(void *), void *arg)
{
    if (!fn)
        weft__misuse("weft_timer_func: the function is NULL");
    return make(after(weft__clock_ns(), duration_ns), 0, fn, arg, __builtin_return_address(0));
}

weft_timer *weft_ticker_new(int64_t period_ns)
{
    if (period_ns <= 0)
        weft__misuse("weft_ticker_new: the period must be positive");
    return make(
        after(weft__clock_ns(), period_ns), period_ns, NULL, NULL, __builtin_return_address(0));
}

weft_chan *weft_timer_chan(weft_timer *t)
{
    check(t, __func__);
    return t->chan;
}

/* K1. True: the firing owed will not come, or its value is gone. */
static bool stop_locked(struct weft_timer *t)
{
    bool was = t->pending;
    if (was && t->due_ns != INT64_MAX) {
        if (weft__timer_stop(&t->timer))
            at_sub(&t->refs, 1); /* not the last one: the caller has his */
        else
            t->stale++;
    }
    t->pending = false;
    if (t->chan && weft__chan_drain(t->chan) > 0)
        was = true;
    return was;
}

bool weft_timer_stop(weft_timer *t)
{
    check(t, __func__);
    weft__enter();
    weft__lock(&t->lock, WEFT__RANK_ALARM);
    bool was = stop_locked(t);
    weft__unlock(&t->lock);
    weft__leave();
    return was;
}

bool weft_timer_reset(weft_timer *t, int64_t duration_ns)
{
    check(t, __func__);
    if (t->period_ns && duration_ns <= 0)
        weft__misuse("weft_timer_reset: a ticker's period must be positive");
    int64_t when_ns = after(weft__clock_ns(), duration_ns);
    weft__enter();
    weft__lock(&t->lock, WEFT__RANK_ALARM);
    bool was = stop_locked(t);
    if (t->period_ns)
        t->period_ns = duration_ns;
    arm_locked(t, when_ns);
    weft__unlock(&t->lock);
    weft__leave();
    return was;
}

void weft_timer_free(weft_timer *t)
{
    if (!t)
        return;
    check(t, __func__);
    weft__enter();
    weft__lock(&t->lock, WEFT__RANK_ALARM);
    stop_locked(t);
    weft__unlock(&t->lock);
    unref_inside(t);
    weft__leave();
    bury();
}

weft_chan *weft_after(int64_t duration_ns)
{
    weft_timer *t =
        make(after(weft__clock_ns(), duration_ns), 0, NULL, NULL, __builtin_return_address(0));
    if (!t)
        return NULL;
    weft_chan *c = weft_chan_ref(t->chan);
    weft__enter();
    unref_inside(t); /* the firing owed keeps it */
    weft__leave();
    bury();
    return c;
}
