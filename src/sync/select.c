// SPDX-License-Identifier: Apache-2.0
/*
 * select.c - one of several channel operations.
 *
 * Three passes, each only if the one before did not decide:
 *
 *   1 look    read each channel's hint without its lock; among the cases that look possible draw
 *             one by lot (a running draw: the k-th candidate replaces the choice with chance 1/k,
 *             so each has the same). Lock that channel alone and move. Go shuffles all cases and
 *             locks all channels first; here n cases cost n loads, one draw per further candidate,
 *             and one lock.
 *   2 settle  lock all channels in address order, and look again: now the answer is exact for one
 *             instant. A default over several channels needs this pass, or it could be taken
 *             although at every moment some channel was ready.
 *   3 wait    still under all locks: link a waiter into each queue and park; the commit arms the
 *             timer, then unlocks all. Whoever claims the fiber first (partner, close, timer, the
 *             context's end) decides; the other waiters are unlinked one lock at a time.
 *
 *      case 0   case 1   case 2     cases[k].reserved_ is a struct weft__waiter: no allocation
 *      waiter   waiter   waiter     amount: index of the case that is k-th in lock order
 *        |        |        |        extra:   the case's own index
 *      queue a  queue b  queue a    the same channel twice: locked once, linked twice
 *
 * E1  Locks are taken in ascending address order and each once, so selects cannot deadlock each
 *     other.
 * E2  A select never pairs with itself: its own waiters are linked only after the exact look, and
 *     are unlinked before the next.
 * E3  The commit reads nothing of the select after its last unlock: the fiber may be gone.
 * E4  The timer is of the locked kind, armed by the commit when the fiber can be claimed already,
 *     and stopped before the select returns, in any case: until then the heap may touch it.
 *
 * Concurrency: any number of selects over the same channels; the array of cases belongs to one
 * call. Progress: as chan.c.
 */
#include <weft/select.h>

#include "base/futex.h"
#include "sync/chan_core.h"

enum { MAX_CASES = 65535, TRIES = 4, NONE = -1, TIMED_OUT = -0x7ffe };

_Static_assert(sizeof(struct weft__waiter) <= sizeof(((struct weft_case *)0)->reserved_),
    "a waiter fits into a case");

/* What diag sees as the object of a park in select (object_core.h): all its channels. */
struct select {
    struct weft_object object;
    struct weft_case *cases;
    int count;
    int channels; /* cases with a channel */
    int after;    /* the case with the shortest time, or NONE */
    int def;      /* a default case, or NONE */
    int64_t deadline_ns;
    struct weft__fiber *fiber;
    struct weft__timer timer;
};

static struct weft__waiter *waiter(struct weft_case *c)
{
    return (struct weft__waiter *)(void *)c->reserved_;
}

static bool has_channel(const struct weft_case *c)
{
    return (c->kind & (WEFT_CASE_RECV | WEFT_CASE_SEND)) && c->chan;
}

static bool looks_ready(const struct weft_case *c)
{
    return has_channel(c) && (at_load(&c->chan->hint) & (uint32_t)c->kind);
}

/* By lot among the cases that look possible, or NONE. */
static int draw(const struct weft_case *cases, int count)
{
    int chosen = NONE;
    uint32_t candidates = 0;
    for (int i = 0; i < count; i++) {
        if (!looks_ready(&cases[i]))
            continue;
        if (++candidates == 1 || weft__random_below(candidates) == 0)
            chosen = i;
    }
    return chosen;
}

/* Classifies the cases and makes the first draw on the way (into *ret_chosen). 0 or -EINVAL. */
static int survey(struct select *s, int *ret_chosen)
{
    int chosen = NONE, channels = 0;
    uint32_t candidates = 0;
    s->after = s->def = NONE;
    for (int i = 0; i < s->count; i++) {
        const struct weft_case *c = &s->cases[i];
        switch (c->kind) {
        case WEFT_CASE_RECV:
        case WEFT_CASE_SEND:
            if (!c->chan)
                break;
            weft__object_check(&c->chan->object, WEFT_KIND_CHAN);
            channels++;
            if (looks_ready(c) && (++candidates == 1 || weft__random_below(candidates) == 0))
                chosen = i;
            break;
        case WEFT_CASE_AFTER:
            if (s->after == NONE || c->duration_ns < s->cases[s->after].duration_ns)
                s->after = i;
            break;
        case WEFT_CASE_DEFAULT:
            s->def = i;
            break;
        case WEFT_CASE_NONE:
            break;
        default:
            return -EINVAL;
        }
    }
    s->channels = channels;
    *ret_chosen = chosen;
    return 0;
}

/* Makes the case's move under its channel's lock; true if it happened. */
static bool move_locked(struct weft_case *c, struct weft__fiber **ret_peer)
{
    int rc = c->kind == WEFT_CASE_RECV ? weft__chan_recv_locked(c->chan, c->elem, ret_peer)
                                       : weft__chan_send_locked(c->chan, c->elem, ret_peer);
    if (rc == -EAGAIN) {
        weft__chan_refresh(c->chan); /* the hint was for waiters that others had claimed */
        return false;
    }
    if (c->ret)
        *c->ret = rc;
    return true;
}

/* Pass 1, from the case drawn first on: the index of the case that happened, or NONE. */
static int try_one(struct weft_case *cases, int count, int chosen)
{
    for (int tries = 0; chosen != NONE && tries < TRIES; tries++) {
        struct weft__fiber *peer = NULL;
        struct weft_chan *c = cases[chosen].chan;
        weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
        bool moved = move_locked(&cases[chosen], &peer);
        weft__unlock(&c->lock);
        if (peer)
            weft__ready(peer);
        if (moved)
            return chosen;
        chosen = draw(cases, count);
    }
    return NONE;
}

/* ---- all locks ---- */

static struct weft_case *by_order(const struct select *s, int k)
{
    return &s->cases[waiter(&s->cases[k])->amount];
}

/* Lays the channels' cases into address order: the k-th is noted in case k's waiter. Shell's sort:
 * in place, and plain insertion for the usual handful. */
static void sort(struct select *s)
{
    int n = 0;
    for (int i = 0; i < s->count; i++)
        if (has_channel(&s->cases[i]))
            waiter(&s->cases[n++])->amount = (size_t)i;
    int gap = 1;
    while (gap < n / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3) {
        for (int k = gap; k < n; k++) {
            size_t index = waiter(&s->cases[k])->amount;
            uintptr_t key = (uintptr_t)s->cases[index].chan;
            int j = k;
            for (; j >= gap && (uintptr_t)by_order(s, j - gap)->chan > key; j -= gap)
                waiter(&s->cases[j])->amount = waiter(&s->cases[j - gap])->amount;
            waiter(&s->cases[j])->amount = index;
        }
    }
}

static void lock_all(const struct select *s)
{
    const struct weft_chan *last = NULL;
    for (int k = 0; k < s->channels; k++) {
        struct weft_chan *c = by_order(s, k)->chan;
        if (c != last)
            weft__lock_of(&c->lock, WEFT__RANK_SYNC, c);
        last = c;
    }
}

/* E3: each channel is unlocked at its last mention going down, so nothing is read after the last
 * unlock. */
static void unlock_all(const struct select *s)
{
    for (int k = s->channels - 1; k >= 0; k--) {
        struct weft_chan *c = by_order(s, k)->chan;
        if (k > 0 && by_order(s, k - 1)->chan == c)
            continue;
        weft__unlock(&c->lock);
    }
}

/* Pass 2, all locked: the index of the case that happened, or NONE; then none is possible. */
static int settle_locked(struct select *s, struct weft__fiber **ret_peer)
{
    for (;;) {
        int i = draw(s->cases, s->count);
        if (i == NONE || move_locked(&s->cases[i], ret_peer))
            return i;
    }
}

/* ---- waiting ---- */

static void on_timer(struct weft__timer *t, void *arg)
{
    struct weft__fiber *f = arg;
    (void)t;
    if (weft__claim(f)) {
        f->wake_result = TIMED_OUT;
        f->wake_arg = NULL;
        weft__ready_tail(f);
    }
}

static void commit(struct weft__fiber *f, void *arg)
{
    struct select *s = arg;
    bool locked = s->channels > 0; /* else the timer's claim lets the fiber go: s may be gone */
    if (s->after != NONE) {
        s->timer = (struct weft__timer){.fn = on_timer, .arg = f, .locked = true};
        weft__limit_start(f, &s->timer, s->deadline_ns);
    }
    if (locked)
        unlock_all(s);
}

static void link_all_locked(struct select *s)
{
    for (int k = 0; k < s->channels; k++) {
        struct weft_case *c = by_order(s, k);
        struct weft__waiter *w = waiter(c);
        w->fiber = s->fiber;
        w->elem = c->elem;
        w->extra = (uintptr_t)(c - s->cases);
        weft__list_push_back(
            c->kind == WEFT_CASE_RECV ? &c->chan->recvq : &c->chan->sendq, &w->link);
        weft__chan_refresh(c->chan);
        weft__tsan_release(weft__waiter_key_parker(w));
    }
}

/* Removes the waiters that are still linked. `won` was unlinked by its partner, and needs no
 * lock. */
static void unlink_all(const struct select *s, const struct weft__waiter *won)
{
    for (int k = 0; k < s->channels; k++) {
        struct weft_case *c = by_order(s, k);
        struct weft__waiter *w = waiter(c);
        if (w == won)
            continue;
        weft__lock(&c->chan->lock, WEFT__RANK_SYNC);
        if (weft__node_linked(&w->link)) {
            weft__list_remove(&w->link);
            weft__chan_refresh(c->chan);
        }
        weft__unlock(&c->chan->lock);
    }
}

/* Pass 3, all locked: the index, or WEFT__INTERRUPTED with all waiters removed. */
static int wait_locked(struct select *s, void *caller)
{
    struct weft__fiber *f = s->fiber;
    link_all_locked(s);
    for (int k = 0; k < s->channels; k++)
        weft__rank_hand(&by_order(s, k)->chan->lock);
    int rc = weft__park(s->count ? WEFT__WAIT_SELECT : WEFT__WAIT_SELECT_EMPTY, &s->object, caller,
        weft__wait_flags(f), commit, s);
    struct weft__waiter *won = rc == WEFT__INTERRUPTED || rc == TIMED_OUT ? NULL : f->wake_arg;
    unlink_all(s, won);
    if (s->after != NONE)
        weft__timer_stop(&s->timer); /* E4, also if it has fired: that waits for its function */
    if (rc == WEFT__INTERRUPTED)
        return rc;
    if (!won)
        return s->after;
    if (rc >= 0)
        weft__tsan_acquire(weft__waiter_key_waker(won));
    struct weft_case *c = &s->cases[won->extra];
    if (c->ret)
        *c->ret = rc;
    return (int)won->extra;
}

static int settle_or_wait(struct select *s, void *caller)
{
    if (s->after != NONE) {
        int64_t duration = s->cases[s->after].duration_ns, now = weft__clock_ns();
        s->deadline_ns = duration > INT64_MAX - now ? INT64_MAX : now + duration;
    }
    sort(s);
    for (;;) {
        struct weft__fiber *peer = NULL;
        lock_all(s);
        int i = settle_locked(s, &peer);
        if (i != NONE) {
            unlock_all(s);
            if (peer)
                weft__ready(peer);
            return i;
        }
        if (s->def != NONE || (s->after != NONE && s->cases[s->after].duration_ns <= 0)) {
            unlock_all(s);
            return s->def != NONE ? -EAGAIN : s->after;
        }
        int rc = wait_locked(s, caller);
        if (rc != WEFT__INTERRUPTED)
            return rc;
        if ((rc = weft__wait_ended(s->fiber)))
            return rc;
    }
}

static int select_in(struct weft__fiber *f, struct weft_case *cases, int count, void *caller)
{
    struct select s;
    s.object = (struct weft_object){.kind = WEFT_KIND_SELECT, .magic = WEFT_OBJECT_MAGIC};
    s.fiber = f;
    s.cases = cases;
    s.count = count;
    int chosen, rc = survey(&s, &chosen);
    if (rc)
        return rc;
    if (s.def == NONE && (rc = weft__cancelled(f)))
        return rc;
    chosen = try_one(cases, count, chosen);
    if (chosen != NONE)
        return chosen;
    if (s.def != NONE && s.channels <= 1)
        return -EAGAIN; /* of one case the look was exact: at that instant it was not possible */
    return settle_or_wait(&s, caller);
}

int weft_selectv(struct weft_case *cases, size_t count)
{
    if (count > MAX_CASES)
        return -EINVAL;
    struct weft__fiber *f = weft__enter();
    int rc = select_in(f, cases, (int)count, __builtin_return_address(0));
    weft__leave();
    return rc;
}
