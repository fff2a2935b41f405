// SPDX-License-Identifier: Apache-2.0
/*
 * ambient.c - which context a fiber runs under: its birth, the blocks that change it for a while,
 * and the question that every cancellation point asks.
 *
 * The interrupt bit of a fiber's wake word says "ask". It is set by whoever ends a context that the
 * fiber is linked to (X7), and by the fiber itself when it comes under a context that has ended
 * already. It is cleared only here, by the fiber itself, when nothing holds; the question is then
 * asked once more, as a context may have ended in between:
 *
 *     ender:  err := e ; set bit           asker:  clear bit ; read err      one of the two sees
 *     the other
 *
 * A block lies in the user's frame (weft_ctx_block) and is registered for unwinding, so a panic
 * leaves it properly.
 */
#include <errno.h>

#include "base/futex.h"
#include "ctx/context.h"
#include "ctx/record.h"
#include "ctx/unwind.h"

struct block {
    weft_unwind unwind;
    struct weft__bind bind;
    struct weft_ctx *ctx; /* counted */
    bool ends;            /* leaving the block ends the context */
};
_Static_assert(sizeof(struct block) <= sizeof(weft_ctx_block), "weft_ctx_block is too small");

struct weft_ctx *weft__ctx_of(const struct weft__fiber *f)
{
    return f->ctx ? f->ctx : &weft__ctx_background;
}

weft_ctx *weft_ctx_current(void)
{
    return weft__ctx_of(weft__me());
}

int weft__ctx_cancelled(struct weft__fiber *f)
{
    int err = weft__ctx_err(f->ctx);
    if (!err) {
        weft__interrupt_clear(f);
        err = weft__ctx_err(f->ctx);
        if (!err)
            return 0;
        at_or(&f->wake, WEFT__WAKE_INTERRUPT);
    }
    return weft__ctx_settle_inside(f->ctx->node, err); /* X3 */
}

/* Plain threads run under contexts without a runtime too, so the hook is set from the start. */
__attribute__((constructor)) static void set_hook(void)
{
    weft__cancelled_hook = weft__ctx_cancelled;
}

int weft_ctx_check(void)
{
    return weft__ctx_told(weft__me()->ctx); /* not the bit: that comes a moment after the end */
}

void weft__ctx_bind(struct weft__bind *b, struct weft__fiber *f, struct weft_ctx *c)
{
    struct weft_ctx *n = c->node;
    b->fiber = f;
    b->saved = f->ctx;
    b->link.next = NULL;
    f->ctx = c;
    if (!n)
        return;
    weft__lock(&n->lock, WEFT__RANK_CTX);
    weft__list_push_back(&n->blocks, &b->link);
    bool ended = at_load(&n->err) != 0;
    weft__unlock(&n->lock);
    if (ended)
        at_or(&f->wake, WEFT__WAKE_INTERRUPT);
}

void weft__ctx_unbind(struct weft__bind *b)
{
    struct weft__fiber *f = b->fiber;
    struct weft_ctx *n = f->ctx->node;
    if (n) {
        weft__lock(&n->lock, WEFT__RANK_CTX);
        weft__list_remove(&b->link);
        weft__unlock(&n->lock);
    }
    f->ctx = b->saved;
    if (weft__ctx_err(f->ctx)) /* ended while a shield kept the bit away */
        at_or(&f->wake, WEFT__WAKE_INTERRUPT);
}

void weft__ctx_link(struct weft_ctx *n, struct weft__fiber *f)
{
    weft__lock(&n->lock, WEFT__RANK_CTX);
    weft__list_push_back(&n->fibers, &f->ctx_link);
    bool ended = at_load(&n->err) != 0;
    weft__unlock(&n->lock);
    if (ended)
        at_or(&f->wake, WEFT__WAKE_INTERRUPT);
}

void weft__ctx_unlink(struct weft__fiber *f)
{
    struct weft_ctx *n = f->ctx->node;
    weft__lock(&n->lock, WEFT__RANK_CTX);
    weft__list_remove(&f->ctx_link);
    weft__unlock(&n->lock);
}

/* ---- blocks ---- */

static void leave(struct block *b)
{
    struct weft_ctx *c = b->ctx;
    weft__enter();
    weft__ctx_unbind(&b->bind);
    if (b->ends && !(c->kind & WEFT__CTX_STATIC))
        weft__ctx_end(c, -ECANCELED, NULL);
    weft__leave();
    weft__after_late();
    weft_ctx_free(c);
}

static void unwind_block(weft_unwind *u)
{
    leave(weft__entry(u, struct block, unwind));
}

/* c: the reference is the block's from here on. */
static weft_ctx *enter(weft_ctx_block *storage, weft_ctx *c, bool ends)
{
    struct block *b = (struct block *)storage;
    struct weft__fiber *f = weft__enter();
    b->ctx = c;
    b->ends = ends;
    weft__ctx_bind(&b->bind, f, c);
    weft__leave();
    weft__unwind_push(f, &b->unwind, unwind_block);
    return c;
}

weft_ctx *weft_ctx_enter(weft_ctx_block *b, weft_ctx *c)
{
    weft__ctx_check(c, __func__);
    return enter(b, weft_ctx_ref(c), false);
}

weft_ctx *weft_ctx_enter_timeout(weft_ctx_block *b, int64_t timeout_ns)
{
    return enter(b, weft_ctx_with_timeout(weft_ctx_current(), timeout_ns), true);
}

weft_ctx *weft_ctx_enter_shield(weft_ctx_block *b)
{
    return enter(b, weft_ctx_without_cancel(weft_ctx_current()), false);
}

void weft_ctx_leave(weft_ctx_block *storage)
{
    struct block *b = (struct block *)storage;
    if (weft__unwind_leave(&b->unwind))
        leave(b);
}
