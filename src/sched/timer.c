// SPDX-License-Identifier: Apache-2.0
/*
 * timer.c - timers: one pairing heap a worker, intrusive, so arming never allocates and never
 * fails.
 *
 *        root (earliest)                 child: first child    sibling: next in the parent's list
 *         |child                         prev: left sibling, or the parent for a first child
 *         v
 *        a --sibling--> b --> c
 *
 * Insert and "earlier" are O(1), removal of any element O(log n) amortised: time-outs are mostly
 * cancelled before they fire, so insert and remove are what counts. Rejected: a binary heap in an
 * array (arming may fail for memory), a wheel (its tick is a lower bound on precision; the pinned
 * loops, which want cheapness over precision, have one).
 *
 * Without a runtime timers lie in a heap that nobody runs (orphans): those armed by plain threads
 * meanwhile, and those that a runtime left when it ended, also if it left fibers over: it has ended
 * their waits, so a timer wakes none of them. The next runtime takes them over. What a plain thread
 * itself waits for at most is in no heap (weft__limit_start): it must not depend on a runtime.
 *
 * T1  heap.next_ns equals root->when_ns, or INT64_MAX; it is written under the lock, read anywhere.
 * T2  timer.heap is non-NULL from start until it is popped; for the locked kind until fn has
 * returned, so that a stop that sees it waits for the lock and thereby for fn.
 * T3  Of the orphans and worker 0's heap, where plain threads arm, one is open at a time; the other
 * is closed under its lock when it has been emptied into the first. So no timer comes into a heap
 * that nobody will look at. A heap's memory is never given back: who chose it may still want its
 * lock.
 */
#include <limits.h>

#include "base/fatal.h"
#include "sched/worker.h"

static struct weft__timer *meld(struct weft__timer *a, struct weft__timer *b)
{
    if (!a)
        return b;
    if (!b)
        return a;
    if (b->when_ns < a->when_ns) {
        struct weft__timer *t = a;
        a = b;
        b = t;
    }
    b->prev = a;
    b->sibling = a->child;
    if (a->child)
        a->child->prev = b;
    a->child = b;
    return a;
}

/* Two passes: pairs left to right, then all into one from the right. The list is reused as the
 * stack between them. */
static struct weft__timer *meld_children(struct weft__timer *first)
{
    struct weft__timer *pairs = NULL, *root = NULL;
    while (first) {
        struct weft__timer *a = first, *b = a->sibling;
        first = b ? b->sibling : NULL;
        a->sibling = a->prev = NULL;
        if (b)
            b->sibling = b->prev = NULL;
        a = meld(a, b);
        a->sibling = pairs;
        pairs = a;
    }
    while (pairs) {
        struct weft__timer *next = pairs->sibling;
        pairs->sibling = NULL;
        root = meld(root, pairs);
        pairs = next;
    }
    if (root)
        root->prev = root->sibling = NULL;
    return root;
}

static struct weft__heap orphans = {.next_ns = INT64_MAX};

static void publish_locked(struct weft__heap *h)
{
    /* [mo:alone: read again under the lock; W5 has its fences] */
    at_store_rel(&h->next_ns, h->root ? h->root->when_ns : INT64_MAX);
}

static void remove_locked(struct weft__heap *h, struct weft__timer *t)
{
    struct weft__timer *kids = meld_children(t->child);
    if (h->root == t) {
        h->root = kids;
    } else {
        if (t->prev->child == t)
            t->prev->child = t->sibling;
        else
            t->prev->sibling = t->sibling;
        if (t->sibling)
            t->sibling->prev = t->prev;
        h->root = meld(h->root, kids);
    }
    t->child = t->sibling = t->prev = NULL;
}

/* T3: a runtime that starts or ends is about to say where else. */
static struct weft__heap *lock_open_heap(struct weft__worker *w)
{
    for (;;) {
        struct weft__worker *of = w ? w : at_load(&weft__sched.worker);
        struct weft__heap *h = of ? &of->heap : &orphans;
        weft__lock(&h->lock, WEFT__RANK_TIMER);
        if (__builtin_expect(!h->closed, 1))
            return h;
        weft__unlock(&h->lock);
        weft__cpu_pause();
    }
}

void weft__timer_start(struct weft__timer *t, int64_t when_ns)
{
    struct weft__sched *s = &weft__sched;
    struct weft__mach *m = weft__mach_self();
    struct weft__worker *w = m ? weft__mach_worker(m) : NULL;
    WEFT_ASSERT(at_load(&t->heap) == NULL);
    weft__tsan_release(t);
    t->when_ns = when_ns;
    t->child = t->sibling = t->prev = NULL;
    struct weft__heap *h = lock_open_heap(w);
    at_store(&t->heap, h);
    h->root = meld(h->root, t);
    h->root->prev = h->root->sibling = NULL;
    bool first = h->root == t;
    if (first)
        publish_locked(h);
    weft__unlock(&h->lock);
    if (!first || w)
        return;
    at_fence(); /* W5 */
    if (at_load(&s->poll_until) > when_ns) {
        weft__monitor_kick();
        weft__poller_poke(); /* nobody else would look: a plain thread armed it */
    }
}

bool weft__timer_stop(struct weft__timer *t)
{
    struct weft__heap *h;
    for (;;) {
        h = at_load(&t->heap);
        if (!h)
            return false;
        weft__lock(&h->lock, WEFT__RANK_TIMER);
        void *now = at_load(&t->heap);
        if (now == h || !now)
            break;
        weft__unlock(&h->lock); /* a runtime that starts or ends has moved it */
    }
    bool pending = at_load(&t->heap) == h && (t == h->root || t->prev != NULL);
    if (pending) {
        remove_locked(h, t);
        at_store(&t->heap, NULL);
        publish_locked(h);
    }
    weft__unlock(&h->lock);
    return pending;
}

void weft__limit_start(struct weft__fiber *f, struct weft__timer *t, int64_t when_ns)
{
    if (__builtin_expect(!(f->flags & WEFT__F_THREAD), 1)) {
        weft__timer_start(t, when_ns);
        return;
    }
    t->when_ns = when_ns;
    weft__mach_self()->limit = t;
}

/* Takes t out and calls its function, under the lock or (the other kind) without it. */
static void fire_locked(struct weft__heap *h, struct weft__timer *t)
{
    void (*fn)(struct weft__timer *, void *) = t->fn;
    void *arg = t->arg;
    weft__tsan_acquire(t);
    remove_locked(h, t);
    publish_locked(h);
    if (t->locked) {
        fn(t, arg);
        at_store(&t->heap, NULL); /* T2 */
        return;
    }
    at_store(&t->heap, NULL);
    weft__unlock(&h->lock);
    fn(t, arg);
    weft__lock(&h->lock, WEFT__RANK_TIMER);
}

int weft__timers_run(struct weft__heap *h, int64_t now_ns)
{
    int n = 0;
    weft__lock(&h->lock, WEFT__RANK_TIMER);
    for (; h->root && h->root->when_ns <= now_ns; n++)
        fire_locked(h, h->root);
    weft__unlock(&h->lock);
    return n;
}

unsigned weft__timers_due(
    struct weft__heap *h, int64_t now_ns, struct weft__timer **ret_due, unsigned room)
{
    unsigned n = 0;
    weft__lock(&h->lock, WEFT__RANK_TIMER);
    if (h->root && h->root->when_ns <= now_ns && room > 0)
        ret_due[n++] = h->root;
    /* who is due has no parent that is not */
    for (unsigned i = 0; i < n; i++)
        for (struct weft__timer *t = ret_due[i]->child; t && n < room; t = t->sibling)
            if (t->when_ns <= now_ns)
                ret_due[n++] = t;
    weft__unlock(&h->lock);
    return n;
}

void weft__timer_fire(struct weft__heap *h, struct weft__timer *t)
{
    weft__lock(&h->lock, WEFT__RANK_TIMER);
    fire_locked(h, t);
    weft__unlock(&h->lock);
}

void weft__timers_drop(struct weft__heap *h)
{
    weft__lock(&h->lock, WEFT__RANK_TIMER);
    while (h->root) {
        struct weft__timer *t = h->root;
        remove_locked(h, t);
        at_store(&t->heap, NULL);
    }
    publish_locked(h);
    weft__unlock(&h->lock);
}

/* One by one, as each timer names the heap that it is in. */
static void move_all(struct weft__heap *from, struct weft__heap *to)
{
    weft__lock(from < to ? &from->lock : &to->lock, WEFT__RANK_TIMER);
    weft__lock(from < to ? &to->lock : &from->lock, WEFT__RANK_TIMER);
    while (from->root) {
        struct weft__timer *t = from->root;
        remove_locked(from, t);
        at_store(&t->heap, to);
        to->root = meld(to->root, t);
        to->root->prev = to->root->sibling = NULL;
    }
    publish_locked(from);
    publish_locked(to);
    from->closed = true;
    to->closed = false;
    weft__unlock(&to->lock);
    weft__unlock(&from->lock);
}

void weft__timers_adopt(struct weft__heap *h)
{
    move_all(&orphans, h);
}

void weft__timers_orphan(struct weft__heap *h)
{
    move_all(h, &orphans);
}

void weft__timers_open(struct weft__heap *h)
{
    weft__lock(&h->lock, WEFT__RANK_TIMER);
    publish_locked(h);
    h->closed = false;
    weft__unlock(&h->lock);
}

/* ---- sleeping: a locked timer on the sleeper's stack ---- */

struct sleeper {
    struct weft__timer timer;
    struct weft__fiber *fiber;
    int64_t deadline_ns;
};

static void sleep_over(struct weft__timer *t, void *arg)
{
    struct sleeper *s = arg;
    (void)t;
    if (weft__claim(s->fiber)) {
        s->fiber->wake_result = 0;
        weft__ready_tail(s->fiber);
    }
}

static void sleep_commit(struct weft__fiber *f, void *arg)
{
    struct sleeper *s = arg;
    weft__limit_start(f, &s->timer, s->deadline_ns);
}

int weft__sleep_until(int64_t deadline_ns, void *caller)
{
    struct sleeper s = {.timer = {.fn = sleep_over, .locked = true},
        .fiber = weft__self(),
        .deadline_ns = deadline_ns};
    s.timer.arg = &s;
    int rc = weft__park(WEFT__WAIT_SLEEP, NULL, caller, 0, sleep_commit, &s);
    weft__timer_stop(&s.timer); /* also waits for a firing in progress */
    return rc;
}

int64_t weft__coarse_ns(void)
{
    int64_t t = at_load_rlx(&weft__sched.coarse_ns); /* [mo:alone: a coarse clock] */
    return t ? t : weft__clock_ns();
}
