// SPDX-License-Identifier: Apache-2.0
/*
 * cancel.c - how a context ends: at once for the whole subtree, without recursion and without
 * allocation.
 *
 * The walk is depth first. Its stack is the tree itself: the locks of the path from the top to the
 * node at hand are held, and parent->node leads back up (X2 of context.h). A node is marked before
 * its children are visited and wakes its people after them, so a fiber that was woken below finds
 * everything above it, up to the top, ended too.
 *
 *      lock top, mark            ┌── a child is left: pop, lock, mark, go down
 *      loop at c: ───────────────┤
 *                                └── none: close done, interrupt fibers and blocks, gather
 *                                after_funcs,
 *                                    unlock, go up; at the top: stop
 *
 * A child that someone else is ending has its lock taken until its subtree is through: the walk
 * waits for it there, so it too is done when the walk is. After-functions are started, and the
 * references of stopped timers dropped, when no lock is held any more.
 */
#include <errno.h>

#include <weft/error.h>

#include "base/futex.h"
#include "base/tsan.h"
#include "ctx/context.h"
#include "sync/chan_core.h"

struct harvest {
    struct weft__node afters; /* functions to start */
    struct weft_ctx *drops;   /* by next: one reference each, from a stopped timer */
};

static bool mark_locked(struct weft_ctx *c, int err, weft_error *cause)
{
    if (at_load(&c->err))
        return false;
    c->cause = weft_error_ref(cause);
    weft__tsan_release(c); /* to whoever sees the end */
    at_store(&c->err, err);
    return true;
}

static void wake_locked(struct weft_ctx *c, struct harvest *h)
{
    weft_chan *done = at_load(&c->done);
    struct weft__node *n;
    WEFT_ASSERT(weft__list_empty(&c->children));
    if (done)
        weft__chan_close_once(done);
    if (weft__ctx_finds_all(c))
        weft__interrupt_all(); /* X8 */
    for (n = c->fibers.next; n != &c->fibers; n = n->next)
        weft__interrupt(weft__entry(n, struct weft__fiber, ctx_link));
    for (n = c->blocks.next; n != &c->blocks; n = n->next)
        weft__interrupt(weft__entry(n, struct weft__bind, link)->fiber);
    while ((n = weft__list_pop(&c->afters)))
        weft__list_push_back(&h->afters, n);
    if (c->armed && weft__timer_stop(&c->timer)) {
        c->armed = false;
        c->next = h->drops;
        h->drops = c;
    }
}

/* top is locked and marked; ends with it unlocked. */
static void walk(struct weft_ctx *top, int err, struct harvest *h)
{
    struct weft_ctx *c = top;
    for (;;) {
        struct weft__node *n = weft__list_pop(&c->children);
        if (n) {
            struct weft_ctx *child = weft__entry(n, struct weft_ctx, child);
            weft__lock_below(&child->lock, WEFT__RANK_CTX, &c->lock);
            if (mark_locked(child, err, c->cause))
                c = child;
            else
                weft__unlock(&child->lock);
            continue;
        }
        wake_locked(c, h);
        struct weft_ctx *up = c == top ? NULL : c->parent->node;
        weft__unlock(&c->lock);
        if (!up)
            return;
        c = up;
    }
}

bool weft__ctx_end(struct weft_ctx *c, int err, weft_error *cause)
{
    struct harvest h = {.drops = NULL};
    weft__list_init(&h.afters);
    weft__lock(&c->lock, WEFT__RANK_CTX);
    if (!mark_locked(c, err, cause)) {
        weft__unlock(&c->lock);
        return false;
    }
    walk(c, err, &h);
    weft__ctx_detach(c);
    while (h.drops) {
        struct weft_ctx *d = h.drops;
        h.drops = d->next;
        weft__ctx_unref_inside(d);
    }
    weft__after_start(&h.afters);
    return true;
}

void weft__ctx_detach(struct weft_ctx *c)
{
    struct weft_ctx *up = c->parent ? c->parent->node : NULL;
    if (!up)
        return;
    weft__lock(&up->lock, WEFT__RANK_CTX);
    if (weft__node_linked(&c->child))
        weft__list_remove(&c->child);
    weft__unlock(&up->lock);
}

static void deadline_passed(struct weft__timer *t, void *arg)
{
    struct weft_ctx *c = arg;
    weft__lock(&c->lock, WEFT__RANK_CTX);
    c->armed = false; /* the reference is ours now */
    weft__unlock(&c->lock);
    weft__ctx_end(c, -ETIMEDOUT, c->late_cause);
    weft__ctx_unref_inside(c);
}

void weft__ctx_attach(struct weft_ctx *c)
{
    struct weft_ctx *up = c->parent->node;
    int err = 0;
    if (up) {
        weft__lock(&up->lock, WEFT__RANK_CTX);
        err = at_load(&up->err);
        if (err)
            mark_locked(c, err, up->cause); /* nobody sees c yet: no lock */
        else
            weft__list_push_back(&up->children, &c->child);
        weft__unlock(&up->lock);
    }
    if (err || c->deadline_ns >= c->parent->deadline_ns)
        return; /* ended, or the parent will be in time */
    if (c->deadline_ns <= weft__clock_ns()) {
        weft__ctx_end(c, -ETIMEDOUT, c->late_cause);
        return;
    }
    weft__lock(&c->lock, WEFT__RANK_CTX);
    if (!at_load(&c->err)) {
        c->timer.fn = deadline_passed;
        c->timer.arg = c;
        c->armed = true;
        at_add(&c->refs, 1); /* X5 */
        weft__timer_start(&c->timer, c->deadline_ns);
    }
    weft__unlock(&c->lock);
}

/* ---- the public ends ---- */

static void end_by_hand(weft_ctx *c, weft_error *cause, const char *function)
{
    weft__ctx_check(c, function);
    if (!(c->kind & WEFT__CTX_NODE))
        weft__misuse("%s: a value, a shield or the background cannot be cancelled", function);
    if (!(c->kind & WEFT__CTX_STATIC)) {
        weft__enter();
        weft__ctx_end(c, -ECANCELED, cause);
        weft__leave();
    }
    weft_error_free(cause);
    weft__after_late();
}

void weft_ctx_cancel(weft_ctx *c)
{
    end_by_hand(c, NULL, __func__);
}

void weft_ctx_cancel_cause(weft_ctx *c, weft_error *cause)
{
    end_by_hand(c, cause, __func__);
}
