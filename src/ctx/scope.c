// SPDX-License-Identifier: Apache-2.0
/*
 * scope.c - scopes: opening, joining, closing, and how a fiber of one ends.
 *
 *     weft_scope (in the block's frame)        struct weft__scope (heap, counted: it begins with a
 *     context)
 *       unwind, impl ─────────────────────────> ctx: children, fibers, blocks; live, error, joiners
 *       bind: the opener runs under ctx
 *
 * The context's own lock guards the scope too, so a spawn takes it once (link, count), and an end
 * takes it once (unlink, count, wake). Starting a fiber allocates nothing.
 *
 * J1  live counts the fibers linked in ctx.fibers. It cannot reach 0 while a fiber of the scope
 *     starts another.
 * J2  Who makes live 0 claims the joiners under the lock, and readies them after the unlock, last
 *     of all: so whoever has been woken finds that the last fiber has let go of the scope's memory.
 * J3  The first error is written once, under the lock. With the default policy whoever writes it
 *     also ends the context, before it leaves the scope.
 * J4  Once `closing` is set, -ECANCELED counts no more: it is what the closing brought about.
 *
 * A join is not a cancellation point (what a scope's fibers use lives in frames above it).
 */
#include <errno.h>
#include <string.h>

#include <weft/error.h>

#include "base/futex.h"
#include "base/tsan.h"
#include "ctx/context.h"
#include "ctx/errors.h"
#include "ctx/record.h"
#include "ctx/scopes.h"
#include "ctx/unwind.h"

struct joiner {
    struct weft__node link;
    struct weft__fiber *fiber;
};

static struct weft__bind *bind_of(weft_scope *s)
{
    return (struct weft__bind *)s->bind_;
}
_Static_assert(
    sizeof(struct weft__bind) <= sizeof((weft_scope){0}.bind_), "weft_scope is too small");

/* NULL: there was no memory for it. */
static struct weft__scope *impl_of(weft_scope *s, const char *function)
{
    if (__builtin_expect(!s || !s->unwind.run, 0))
        weft__misuse("%s: the scope is not open", function);
    struct weft__scope *i = s->impl;
    if (i)
        weft__object_check(&i->ctx.object, WEFT_KIND_SCOPE);
    return i;
}

struct weft__scope *weft__scope_of(weft_scope *s, const char *function)
{
    return impl_of(s, function);
}

/* ---- opening ---- */

static void close_unwound(weft_unwind *u);

static struct weft__scope *make(const weft_scope_opts *o, void *pc)
{
    struct weft_ctx *parent = weft_ctx_current();
    int64_t deadline_ns = INT64_MAX, now;
    if (o->timeout_ns && o->timeout_ns < INT64_MAX - (now = weft__clock_ns()))
        deadline_ns = now + o->timeout_ns;
    struct weft_ctx *c = weft__ctx_make(
        parent, WEFT__CTX_NODE | WEFT__CTX_SCOPE, sizeof(struct weft__scope), deadline_ns, pc);
    if (!c)
        return NULL;
    struct weft__scope *s = (struct weft__scope *)c;
    c->object.kind = WEFT_KIND_SCOPE;
    c->object.name = o->name;
    s->collect = o->errors == WEFT_COLLECT;
    s->isolate = o->panics == WEFT_PANIC_ISOLATE;
    weft__list_init(&s->joiners);
    return s;
}

weft_scope *weft_scope_open(weft_scope *s, const weft_scope_opts *opts)
{
    static const weft_scope_opts defaults = {.size = sizeof defaults};
    const weft_scope_opts *o = opts ? opts : &defaults;
    if (o->size < sizeof defaults)
        weft__misuse(
            "weft_scope_open: opts.size is %zu, it must be sizeof(weft_scope_opts)", o->size);
    struct weft__scope *i = make(o, __builtin_return_address(0));
    s->impl = i;
    struct weft__fiber *f = weft__enter();
    if (i)
        weft__ctx_attach(&i->ctx);
    weft__ctx_bind(bind_of(s), f, i ? &i->ctx : &weft__ctx_no_memory);
    weft__leave();
    weft__unwind_push(f, &s->unwind, close_unwound);
    return s;
}

/* ---- errors ---- */

/* Under the lock. object: taken if this is the first error, else left with the caller. True: it was
 * the first. */
static bool fail_locked(struct weft__scope *s, int error, weft_error **object)
{
    if (s->closing && error == -ECANCELED)
        return false;
    s->failed++;
    if (s->error)
        return false;
    s->error = error;
    s->error_object = *object;
    *object = NULL;
    return true;
}

/* Inside, no lock. s is kept by the caller (it is linked in it, or its opener). */
static void fail(struct weft__scope *s, int error, weft_error **object)
{
    weft__lock(&s->ctx.lock, WEFT__RANK_CTX);
    bool first = fail_locked(s, error, object);
    weft_error *cause = s->error_object;
    weft__unlock(&s->ctx.lock);
    if (first && !s->collect)
        weft__ctx_end(&s->ctx, -ECANCELED, cause ? cause : weft__error_const(error));
}

void weft__scope_start_failed(struct weft__scope *s, int error)
{
    weft_error *none = NULL;
    fail(s, error, &none);
}

/* ---- a fiber's birth and end; inside ---- */

void weft__scope_born(struct weft__fiber *f, struct weft__scope *s)
{
    struct weft_ctx *c = &s->ctx;
    f->scope = s;
    f->ctx = c;
    weft__lock(&c->lock, WEFT__RANK_CTX);
    weft__list_push_back(&c->fibers, &f->ctx_link);
    s->live++;
    bool ended = at_load(&c->err) != 0;
    weft__unlock(&c->lock);
    if (__builtin_expect(ended, 0))
        at_or(&f->wake, WEFT__WAKE_INTERRUPT);
}

static void report(struct weft__fiber *f, struct weft__scope *s, int result)
{
    struct weft__fiber_ext *e = f->ext;
    weft_error *none = NULL, **object = &none;
    if (e && e->error && weft_error_code(e->error) == result)
        object = &e->error;
    fail(s, result, object);
}

static void ready_joiners(struct weft__node *joiners)
{
    struct weft__node *n;
    while ((n = weft__list_pop(joiners)))
        weft__ready(weft__entry(n, struct joiner, link)->fiber);
}

void weft__scope_exit(struct weft__fiber *f, int result)
{
    struct weft__scope *s = f->scope;
    struct weft__node awake;
    if (result < 0)
        report(f, s, result);
    weft__record_end(f);
    weft__tsan_release(s); /* to the joiner */
    weft__list_init(&awake);
    weft__lock(&s->ctx.lock, WEFT__RANK_CTX);
    weft__list_remove(&f->ctx_link);
    if (--s->live == 0) {
        struct weft__node *n;
        while ((n = weft__list_pop(&s->joiners))) {
            bool won = weft__claim(weft__entry(n, struct joiner, link)->fiber);
            WEFT_CHECK(won); /* a hard park, and only J2 wakes it */
            weft__list_push_back(&awake, n);
        }
    }
    weft__unlock(&s->ctx.lock);
    ready_joiners(&awake); /* J2: s may be gone */
}

/* ---- joining ---- */

static int join(struct weft__scope *s, void *caller)
{
    struct weft__fiber *f = weft__enter();
    struct joiner j = {.fiber = f};
    if (f->scope == s) {
        weft__leave();
        weft__object_misuse(&s->ctx.object, WEFT_KIND_SCOPE, "a fiber waits for its own", "");
    }
    weft__lock(&s->ctx.lock, WEFT__RANK_CTX);
    if (s->live) {
        weft__list_push_back(&s->joiners, &j.link);
        weft__park(WEFT__WAIT_SCOPE, &s->ctx.object, caller, WEFT__PARK_HARD, weft__commit_unlock,
            &s->ctx.lock);
    } else {
        weft__unlock(&s->ctx.lock);
    }
    weft__tsan_acquire(s);
    int error = s->error; /* nobody is left to change it */
    weft__leave();
    return error;
}

int weft_wait(weft_scope *s)
{
    struct weft__scope *i = impl_of(s, __func__);
    return i ? join(i, __builtin_return_address(0)) : -ENOMEM;
}

/* ---- closing ---- */

static int close_open(weft_scope *s, void *caller)
{
    struct weft__scope *i = s->impl;
    int error = -ENOMEM;
    weft__enter();
    if (i) {
        weft__lock(&i->ctx.lock, WEFT__RANK_CTX);
        i->closing = true;
        weft__unlock(&i->ctx.lock);
        weft__ctx_end(&i->ctx, -ECANCELED, NULL);
    }
    weft__leave();
    if (i)
        error = join(i, caller);
    weft__enter();
    weft__ctx_unbind(bind_of(s));
    weft__leave();
    s->impl = NULL;
    if (i)
        weft_ctx_free(&i->ctx);
    weft__after_late();
    return error;
}

static void close_unwound(weft_unwind *u)
{
    close_open(weft__entry(u, weft_scope, unwind), __builtin_return_address(0));
}

int weft_scope_close(weft_scope *s)
{
    return weft__unwind_leave(&s->unwind) ? close_open(s, __builtin_return_address(0)) : 0;
}

/* ---- questions ---- */

void weft_scope_cancel(weft_scope *s)
{
    struct weft__scope *i = impl_of(s, __func__);
    if (!i)
        return;
    weft__enter();
    weft__ctx_end(&i->ctx, -ECANCELED, NULL);
    weft__leave();
    weft__after_late();
}

const weft_error *weft_scope_error(weft_scope *s)
{
    struct weft__scope *i = impl_of(s, __func__);
    if (!i)
        return weft__error_const(-ENOMEM);
    weft__enter();
    weft__lock(&i->ctx.lock, WEFT__RANK_CTX);
    const weft_error *e = i->error_object;
    int error = i->error;
    weft__unlock(&i->ctx.lock);
    weft__tsan_acquire(i);
    weft__leave();
    return e || !error ? e : weft__error_const(error);
}

static uint64_t read_count(struct weft__scope *i, const uint64_t *count)
{
    weft__enter();
    weft__lock(&i->ctx.lock, WEFT__RANK_CTX);
    uint64_t n = *count;
    weft__unlock(&i->ctx.lock);
    weft__leave();
    return n;
}

uint64_t weft_scope_failed(weft_scope *s)
{
    struct weft__scope *i = impl_of(s, __func__);
    return i ? read_count(i, &i->failed) : 1;
}

uint64_t weft_scope_live(weft_scope *s)
{
    struct weft__scope *i = impl_of(s, __func__);
    return i ? read_count(i, &i->live) : 0;
}

weft_ctx *weft_scope_ctx(weft_scope *s)
{
    struct weft__scope *i = impl_of(s, __func__);
    return i ? &i->ctx : &weft__ctx_no_memory;
}
