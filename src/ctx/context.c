// SPDX-License-Identifier: Apache-2.0
/*
 * context.c - making, keeping and burying contexts, and what can be asked of one. The structure and
 * its invariants X1 ... are in context.h; how one ends is in cancel.c, the blocks are in ambient.c.
 *
 * The graveyard is a stack that is pushed one by one and taken as a whole, so it needs no lock and
 * knows no ABA.
 */
#include "ctx/context.h"

#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "base/alloc.h"
#include "base/futex.h"
#include "ctx/errors.h"
#include "sync/chan_core.h"

#define STATIC_CTX(c, k, n, e)                                                                     \
    {                                                                                              \
        .object = {.name = #c, .kind = WEFT_KIND_CTX, .magic = WEFT_OBJECT_MAGIC}, .refs = 1,      \
        .kind = WEFT__CTX_STATIC | (k), .node = (n), .deadline_ns = INT64_MAX, .err = (e),         \
        .children = {&c.children, &c.children}, .fibers = {&c.fibers, &c.fibers},                  \
        .blocks = {&c.blocks, &c.blocks}, .afters = {                                              \
            &c.afters,                                                                             \
            &c.afters                                                                              \
        }                                                                                          \
    }

struct weft_ctx weft__ctx_background = STATIC_CTX(weft__ctx_background, 0, NULL, 0);
struct weft_ctx weft__ctx_no_memory =
    STATIC_CTX(weft__ctx_no_memory, WEFT__CTX_NODE, &weft__ctx_no_memory, -ENOMEM);
_Atomic(struct weft_ctx *) weft__ctx_root;
static _Atomic(struct weft_ctx *) graveyard;
static const char trace_key; /* its address is the key of trace ids */

enum { LIGHT_BYTES = offsetof(struct weft_ctx, err), TRACE_BYTES = 64 };

/* ---- lifetimes ---- */

struct weft_ctx *weft__ctx_make(
    struct weft_ctx *parent, uint32_t kind, size_t bytes, int64_t deadline_ns, void *pc)
{
    if (at_load_rlx(&graveyard)) /* [mo:alone: a hint] */
        weft__ctx_bury();
    struct weft_ctx *c = weft__alloc(bytes);
    if (!c)
        return NULL;
    memset(c, 0, bytes);
    weft__object_init(&c->object, WEFT_KIND_CTX, NULL, pc);
    at_store_rlx(&c->refs, 1); /* [mo:alone: nobody else sees it yet] */
    c->kind = kind;
    c->parent = weft_ctx_ref(parent);
    c->node = kind & WEFT__CTX_NODE ? c : kind & WEFT__CTX_CUT ? NULL : parent->node;
    c->deadline_ns = kind & WEFT__CTX_CUT                ? INT64_MAX
                     : deadline_ns < parent->deadline_ns ? deadline_ns
                                                         : parent->deadline_ns;
    if (kind & WEFT__CTX_NODE) {
        weft__list_init(&c->children);
        weft__list_init(&c->fibers);
        weft__list_init(&c->blocks);
        weft__list_init(&c->afters);
    }
    return c;
}

weft_ctx *weft_ctx_ref(weft_ctx *c)
{
    if (!c)
        return NULL;
    weft__object_check(&c->object, WEFT_KIND_CTX);
    if (!(c->kind & WEFT__CTX_STATIC))
        at_add(&c->refs, 1);
    return c;
}

static void push_grave(struct weft_ctx *c)
{
    c->next = at_load(&graveyard);
    while (!at_cas(&graveyard, &c->next, c))
        ;
}

/* Inside. If only the timer and the caller still refer to c, it need not wait for the timer
 * (X5). */
static void disarm_last(struct weft_ctx *c)
{
    weft__lock(&c->lock, WEFT__RANK_CTX);
    if (c->armed && weft__timer_stop(&c->timer)) {
        c->armed = false;
        at_sub(&c->refs, 1);
    }
    weft__unlock(&c->lock);
}

/* True: that was the last one. By a compare-and-swap, so that of two who give up the last ones at
 * the same time the second sees that only the timer is left. */
static bool give_up_reference(struct weft_ctx *c, bool inside)
{
    uint32_t refs = at_load(&c->refs);
    do {
        if (refs == 2 && (c->kind & WEFT__CTX_NODE)) {
            if (!inside)
                weft__enter();
            disarm_last(c);
            if (!inside)
                weft__leave();
            refs = at_load(&c->refs);
        }
    } while (!at_cas(&c->refs, &refs, refs - 1));
    return refs == 1;
}

void weft__ctx_unref_inside(struct weft_ctx *c)
{
    if (!c || (c->kind & WEFT__CTX_STATIC) || !give_up_reference(c, true))
        return;
    if (c->kind & WEFT__CTX_NODE)
        weft__ctx_detach(c);
    push_grave(c);
}

/* Nobody refers to c, and it hangs in no list: frees it, and gives back its parent. Outside. */
static struct weft_ctx *bury(struct weft_ctx *c)
{
    struct weft_ctx *parent = c->parent;
    if (c->kind & WEFT__CTX_NODE) {
        WEFT_ASSERT(weft__list_empty(&c->children) && weft__list_empty(&c->fibers));
        WEFT_ASSERT(weft__list_empty(&c->blocks) && !c->armed);
        weft_chan_free(at_load(&c->done));
        weft_error_free(c->cause);
        weft_error_free(c->late_cause);
        weft__after_drop(&c->afters);
        if (c->kind & WEFT__CTX_SCOPE)
            weft_error_free(((struct weft__scope *)c)->error_object);
    }
    weft__object_free(&c->object);
    return parent;
}

/* Gives up a reference outside; true: it was the last one, and c is off all lists. */
static bool drop(struct weft_ctx *c)
{
    if (!c || (c->kind & WEFT__CTX_STATIC) || !give_up_reference(c, false))
        return false;
    if (c->kind & WEFT__CTX_NODE) {
        weft__enter();
        weft__ctx_detach(c);
        weft__leave();
    }
    return true;
}

void weft__ctx_bury(void)
{
    struct weft_ctx *c = at_xchg(&graveyard, NULL);
    while (c) {
        struct weft_ctx *next = c->next, *up = bury(c);
        while (drop(up))
            up = bury(up);
        c = next;
    }
}

void weft_ctx_free(weft_ctx *c)
{
    if (!c)
        return;
    weft__object_check(&c->object, WEFT_KIND_CTX);
    if (c->kind & WEFT__CTX_STATIC)
        return;
    while (drop(c))
        c = bury(c);
    if (at_load_rlx(&graveyard)) /* [mo:alone: a hint] */
        weft__ctx_bury();
}

/* ---- constructors ---- */

static weft_ctx *new_node(weft_ctx *parent, int64_t deadline_ns, weft_error *cause, void *pc)
{
    struct weft_ctx *c =
        weft__ctx_make(parent, WEFT__CTX_NODE, sizeof(struct weft_ctx), deadline_ns, pc);
    if (!c) {
        weft_error_free(cause);
        return &weft__ctx_no_memory;
    }
    c->late_cause = cause;
    weft__enter();
    weft__ctx_attach(c);
    weft__leave();
    weft__after_late();
    return c;
}

static int64_t deadline_after(int64_t timeout_ns)
{
    int64_t now = weft__clock_ns();
    return timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
}

weft_ctx *weft_ctx_with_cancel(weft_ctx *parent)
{
    weft__ctx_check(parent, __func__);
    return new_node(parent, INT64_MAX, NULL, __builtin_return_address(0));
}

weft_ctx *weft_ctx_with_timeout(weft_ctx *parent, int64_t timeout_ns)
{
    weft__ctx_check(parent, __func__);
    return new_node(parent, deadline_after(timeout_ns), NULL, __builtin_return_address(0));
}

weft_ctx *weft_ctx_with_deadline(weft_ctx *parent, int64_t deadline_ns)
{
    weft__ctx_check(parent, __func__);
    return new_node(parent, deadline_ns, NULL, __builtin_return_address(0));
}

weft_ctx *weft_ctx_with_cause(weft_ctx *parent, int64_t deadline_ns, weft_error *cause)
{
    weft__ctx_check(parent, __func__);
    return new_node(parent, deadline_ns, cause, __builtin_return_address(0));
}

static weft_ctx *new_value(
    weft_ctx *parent, const void *key, const void *value, size_t copy_bytes, void *pc)
{
    struct weft_ctx *c = weft__ctx_make(
        parent, WEFT__CTX_VALUE, (size_t)LIGHT_BYTES + 16 + copy_bytes, INT64_MAX, pc);
    if (!c)
        return &weft__ctx_no_memory;
    c->key = key;
    c->value = value;
    if (copy_bytes) {
        char *copy = (char *)(((uintptr_t)c + LIGHT_BYTES + 15) & ~(uintptr_t)15);
        memcpy(copy, value, copy_bytes);
        c->value = copy;
    }
    return c;
}

weft_ctx *weft_ctx_with_value(weft_ctx *parent, const void *key, const void *value)
{
    weft__ctx_check(parent, __func__);
    if (!key)
        weft__misuse("%s: the key is NULL", __func__);
    return new_value(parent, key, value, 0, __builtin_return_address(0));
}

weft_ctx *weft_ctx_with_copy(weft_ctx *parent, const void *key, const void *value, size_t bytes)
{
    weft__ctx_check(parent, __func__);
    if (!key)
        weft__misuse("%s: the key is NULL", __func__);
    return new_value(parent, key, value, bytes, __builtin_return_address(0));
}

weft_ctx *weft_ctx_with_trace(weft_ctx *parent, const char *trace_id)
{
    weft__ctx_check(parent, __func__);
    char id[TRACE_BYTES];
    size_t length = strnlen(trace_id, TRACE_BYTES - 1);
    memcpy(id, trace_id, length);
    id[length] = '\0';
    return new_value(parent, &trace_key, id, length + 1, __builtin_return_address(0));
}

weft_ctx *weft_ctx_without_cancel(weft_ctx *parent)
{
    weft__ctx_check(parent, __func__);
    struct weft_ctx *c =
        weft__ctx_make(parent, WEFT__CTX_CUT, LIGHT_BYTES, INT64_MAX, __builtin_return_address(0));
    return c ? c : &weft__ctx_no_memory;
}

/* ---- questions ---- */

weft_ctx *weft_ctx_background(void)
{
    return &weft__ctx_background;
}

int weft_ctx_err(const weft_ctx *c)
{
    weft__ctx_check(c, __func__);
    return weft__ctx_told(c);
}

const weft_error *weft_ctx_cause(const weft_ctx *c)
{
    weft__ctx_check(c, __func__);
    int err = weft__ctx_told(c);
    if (!err)
        return NULL;
    return c->node->cause ? c->node->cause : weft__error_const(err); /* X3: cause is fixed by now */
}

int64_t weft_ctx_deadline(const weft_ctx *c)
{
    weft__ctx_check(c, __func__);
    return c->deadline_ns;
}

static const struct weft_ctx *find(const struct weft_ctx *c, const void *key)
{
    while (c && !((c->kind & WEFT__CTX_VALUE) && c->key == key))
        c = c->parent;
    return c;
}

void *weft_ctx_value(const weft_ctx *c, const void *key)
{
    weft__ctx_check(c, __func__);
    const struct weft_ctx *at = find(c, key);
    return at ? (void *)(uintptr_t)at->value : NULL;
}

const char *weft_ctx_trace(const weft_ctx *c)
{
    const char *id = weft_ctx_value(c, &trace_key);
    return id ? id : "";
}

/* ---- the done channel ---- */

/* A closed channel for contexts whose own there was no memory for. */
static _Atomic(weft_chan *) closed;

int weft__ctx_prepare(void)
{
    weft_chan *c, *none = NULL;
    if (at_load(&closed))
        return 0;
    int rc = weft_chan_new(0, 0, &c);
    if (rc < 0)
        return rc;
    weft_chan_close(c);
    if (!at_cas(&closed, &none, c))
        weft_chan_free(c);
    return 0;
}

static bool settled(const struct weft_ctx *n)
{
    const struct weft_chan *done = at_load(&n->done);
    return !done || weft__chan_seems_closed(done);
}

/* Whoever ends it holds its lock from the mark to the close. */
int weft__ctx_settle_inside(struct weft_ctx *n, int err)
{
    if (!settled(n)) {
        weft__lock(&n->lock, WEFT__RANK_CTX);
        weft__unlock(&n->lock);
    }
    return err;
}

int weft__ctx_settle(struct weft_ctx *n, int err)
{
    if (!settled(n)) {
        weft__enter();
        weft__ctx_settle_inside(n, err);
        weft__leave();
    }
    return err;
}

static weft_chan *done_without_memory(struct weft_ctx *n)
{
    if (weft__ctx_prepare() < 0)
        weft__fatal("no memory for a context's done channel");
    weft__enter();
    weft__ctx_end(n, -ENOMEM, NULL);
    weft__leave();
    weft__after_late();
    return at_load(&closed);
}

weft_chan *weft_ctx_done(weft_ctx *c)
{
    weft__ctx_check(c, __func__);
    struct weft_ctx *n = c->node;
    weft_chan *done = n ? at_load(&n->done) : NULL, *spare = NULL;
    if (!n || done)
        return done;
    if (weft_chan_new(0, 0, &spare) < 0)
        return done_without_memory(n);
    weft_chan_set_name(spare, "context done");
    weft__enter();
    weft__lock(&n->lock, WEFT__RANK_CTX);
    done = at_load(&n->done);
    if (!done) {
        done = spare;
        spare = NULL;
        if (at_load(&n->err))
            weft__chan_close_once(done);
        at_store(&n->done, done);
    }
    weft__unlock(&n->lock);
    weft__leave();
    weft_chan_free(spare);
    return done;
}
