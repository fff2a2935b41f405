// SPDX-License-Identifier: Apache-2.0
/*
 * after.c - functions that run once a context has ended, each on a fiber of its own.
 *
 *     registered ──context ends──> due ──a fiber could be made──> running ──> gone
 *          │                        │ └──no room for a fiber: again in 1 ms, by a timer
 *          │                        └──no runtime: the late list, run by whoever is outside next
 *          ├──stop──────────────────────────────────────────────> gone
 *          └──last reference to the context gone────────────────> gone
 *
 * A record has one reference for the list (later: for the run) and one for the handle, if the user
 * took one. A handle also holds the context, whose lock guards the list.
 */
#include <errno.h>

#include "base/alloc.h"
#include "base/futex.h"
#include "ctx/context.h"
#include "ctx/record.h"

struct weft_ctx_after {
    struct weft__node link; /* in the node's afters, a harvest, or the late list */
    struct weft_ctx *ctx;   /* counted, if there is a handle; else NULL */
    void (*fn)(void *);
    void *arg;
    _Atomic uint32_t refs;
    struct weft__timer again;
};

enum { RETRY_NS = 1000000 };

static struct weft__lock late_lock; /* rank SYNC; guards late */
static struct weft__node late = {&late, &late};
static _Atomic uint32_t late_count;

static void unref(struct weft_ctx_after *a)
{
    if (at_sub(&a->refs, 1) == 1)
        weft__free(a);
}

static int run_one(void *arg)
{
    struct weft_ctx_after *a = arg;
    weft__tsan_acquire(a); /* the registration happens before the function */
    a->fn(a->arg);
    unref(a);
    return 0;
}

static void start_one(struct weft_ctx_after *a);

static void start_again(struct weft__timer *t, void *arg)
{
    (void)t;
    start_one(arg);
}

static void start_one(struct weft_ctx_after *a)
{
    struct weft__spawn s = {.entry = run_one,
        .arg = a,
        .on_exit = weft__record_exit_root,
        .prepare = weft__record_born_root,
        .spawn_site = (void *)(uintptr_t)a->fn};
    int rc = weft__spawn(&s, NULL);
    if (rc == 0)
        return;
    if (rc != -ESHUTDOWN) {
        a->again.fn = start_again;
        a->again.arg = a;
        weft__timer_start(&a->again, weft__clock_ns() + RETRY_NS);
        return;
    }
    weft__lock(&late_lock, WEFT__RANK_SYNC);
    weft__list_push_back(&late, &a->link);
    at_store(&late_count, at_load(&late_count) + 1);
    weft__unlock(&late_lock);
}

void weft__after_start(struct weft__node *list)
{
    struct weft__node *n;
    while ((n = weft__list_pop(list)))
        start_one(weft__entry(n, struct weft_ctx_after, link));
}

void weft__after_late(void)
{
    while (__builtin_expect(at_load(&late_count) != 0, 0)) {
        weft__enter();
        weft__lock(&late_lock, WEFT__RANK_SYNC);
        struct weft__node *n = weft__list_pop(&late);
        if (n)
            at_store(&late_count, at_load(&late_count) - 1);
        weft__unlock(&late_lock);
        weft__leave();
        if (n)
            run_one(weft__entry(n, struct weft_ctx_after, link));
    }
}

void weft__after_drop(struct weft__node *list)
{
    struct weft__node *n;
    while ((n = weft__list_pop(list)))
        unref(weft__entry(n, struct weft_ctx_after, link));
}

static void register_or_start(struct weft_ctx *n, struct weft_ctx_after *a)
{
    weft__enter();
    weft__lock(&n->lock, WEFT__RANK_CTX);
    bool ended = at_load(&n->err) != 0;
    if (!ended)
        weft__list_push_back(&n->afters, &a->link);
    weft__unlock(&n->lock);
    if (ended)
        start_one(a);
    weft__leave();
}

int weft_ctx_after_func(weft_ctx *c, void (*fn)(void *), void *arg, weft_ctx_after **ret_after)
{
    weft__ctx_check(c, __func__);
    struct weft_ctx *n = c->node;
    struct weft_ctx_after *a = weft__zalloc(sizeof *a);
    if (!a)
        return -ENOMEM;
    a->fn = fn;
    a->arg = arg;
    at_store_rlx(&a->refs, n ? 1 + (ret_after != NULL) : 1); /* [mo:alone: nobody else sees it] */
    if (ret_after) {
        a->ctx = weft_ctx_ref(c);
        *ret_after = a;
    }
    weft__tsan_release(a);
    if (n)
        register_or_start(n, a);
    else if (!ret_after)
        unref(a); /* never ends: nothing to register */
    weft__after_late();
    return 0;
}

bool weft_ctx_after_stop(weft_ctx_after *a)
{
    if (!a)
        return false;
    struct weft_ctx *c = a->ctx, *n = c->node;
    bool stopped = n == NULL; /* the context never ends: it would never have run */
    if (n) {
        weft__enter();
        weft__lock(&n->lock, WEFT__RANK_CTX);
        stopped = weft__node_linked(&a->link) && !at_load(&n->err);
        if (stopped)
            weft__list_remove(&a->link);
        weft__unlock(&n->lock);
        weft__leave();
    }
    if (stopped && n)
        unref(a);
    unref(a);
    weft_ctx_free(c);
    return stopped;
}
