// SPDX-License-Identifier: Apache-2.0
/*
 * weft/ctx.h - contexts: why something runs, until when, and who may end it.
 *
 * Contexts form a tree. Ending one ends all below it, before the call that ends it returns; those
 * above do not notice. A context that has ended stays so. Each fiber runs under one, its current
 * context: it inherits its starter's (or its scope's), and every call that waits for the outside or
 * for other fibers' good will returns -ECANCELED or -ETIMEDOUT at once when it ends. Locks and
 * joins do not: cleanup must be able to lock.
 *
 *     root ── scope ── time-out (2 s) ── fiber F runs here: its current context
 *        └─── cancel                        └── F's block WEFT_SHIELD: no end reaches it there
 *
 * Ambient: weft_ctx_enter (WEFT_TIMEOUT, WEFT_SHIELD, WEFT_WITH in weft/sugar.h) runs the rest of a
 * block under another context. Explicit: weft_ctx_with_... make contexts to keep and hand on.
 *
 * Contexts are counted. weft_ctx_free gives up a reference and does not end anything; but a context
 * that nobody refers to any more takes its timer with it. Constructors never return NULL: if there
 * is no memory they return a context that has ended already, with -ENOMEM. The library keeps what a
 * context needs as long as fibers run under it.
 *
 * Thread-safe: every function may be called on one context by several fibers and threads at once.
 */
#ifndef WEFT_CTX_H
#define WEFT_CTX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_ctx weft_ctx;
typedef struct weft_ctx_after weft_ctx_after;
typedef struct weft_error weft_error;
typedef struct weft_chan weft_chan;

/**
 * weft_ctx_background - the context above all: never ends, no deadline, no values.
 *
 * Returns it, borrowed for ever.
 * Blocks:    never.
 * Callable:  anywhere.
 * Since 0.1. Source: Go's context.Background. See weft_ctx_current.
 */
WEFT_API weft_ctx *weft_ctx_background(void);

/**
 * weft_ctx_current - the context that the caller runs under.
 *
 * Returns it, borrowed until the block that entered it is left; weft_ctx_ref keeps it. A plain
 *   thread that entered none is under the background: a run, and its root context, may end at any
 *   moment under it. (Fibers that it starts are under the root context.)
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_enter.
 */
WEFT_API weft_ctx *weft_ctx_current(void);

/**
 * weft_ctx_with_cancel - a context that can be ended by hand.
 * @parent: NULL is misuse; the new context holds a reference to it.
 *
 * Returns the context, owned. If the parent has ended, so has this one.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      one allocation, the parent's lock.
 * Since 0.1. Source: Go's context.WithCancel. See weft_ctx_cancel, weft_ctx_free.
 */
WEFT_API weft_ctx *weft_ctx_with_cancel(weft_ctx *parent);

/**
 * weft_ctx_with_timeout - a context that ends by itself after a while.
 * @parent:     NULL is misuse.
 * @timeout_ns: from now; 0 or less: it has ended already. INT64_MAX: never.
 *
 * Returns the context, owned. Its error then is -ETIMEDOUT. An earlier deadline of the parent
 *   counts.
 * Blocks:    never.
 * Callable:  any fiber or plain thread. A deadline needs a running runtime to come about.
 * Cost:      one allocation, the parent's lock, one timer.
 * Since 0.1. Source: Go's context.WithTimeout. See weft_ctx_with_deadline.
 */
WEFT_API weft_ctx *weft_ctx_with_timeout(weft_ctx *parent, int64_t timeout_ns);

/**
 * weft_ctx_with_deadline - a context that ends by itself at a point in time.
 * @parent:      NULL is misuse.
 * @deadline_ns: on the clock of weft_now; past: it has ended already. INT64_MAX: never.
 *
 * Returns as weft_ctx_with_timeout.
 * Blocks:    never.
 * Callable:  as weft_ctx_with_timeout.
 * Since 0.1. Source: Go's context.WithDeadline. See weft_ctx_deadline.
 */
WEFT_API weft_ctx *weft_ctx_with_deadline(weft_ctx *parent, int64_t deadline_ns);

/**
 * weft_ctx_with_cause - as weft_ctx_with_deadline, with the cause that is told when the deadline
 * passes.
 * @parent:      NULL is misuse.
 * @deadline_ns: as weft_ctx_with_deadline.
 * @cause:       taken; what weft_ctx_cause then returns. NULL: -ETIMEDOUT.
 *
 * Returns as weft_ctx_with_timeout.
 * Blocks:    never.
 * Callable:  as weft_ctx_with_timeout.
 * Since 0.1. Source: Go's context.WithDeadlineCause. See weft_ctx_cause.
 */
WEFT_API weft_ctx *weft_ctx_with_cause(weft_ctx *parent, int64_t deadline_ns, weft_error *cause);

/**
 * weft_ctx_with_value - a context with a value to be found under a key.
 * @parent: NULL is misuse.
 * @key:    NULL is misuse; its address is the key.
 * @value:  borrowed for as long as the context lives. NULL hides a value further up.
 *
 * Returns the context, owned. It ends when its parent does.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      one allocation, no lock.
 * Since 0.1. Source: Go's context.WithValue. See weft_ctx_value, weft_ctx_with_copy.
 */
WEFT_API weft_ctx *weft_ctx_with_value(weft_ctx *parent, const void *key, const void *value);

/**
 * weft_ctx_with_copy - as weft_ctx_with_value, but the value is copied into the context.
 * @parent: NULL is misuse.
 * @key:    NULL is misuse; its address is the key.
 * @value:  bytes bytes, copied before the call returns.
 * @bytes:  its size.
 *
 * Returns the context, owned; weft_ctx_value gives the copy's address.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_with_value.
 */
WEFT_API weft_ctx *weft_ctx_with_copy(
    weft_ctx *parent, const void *key, const void *value, size_t bytes);

/**
 * weft_ctx_with_trace - a context whose errors bear a trace id.
 * @parent:   NULL is misuse.
 * @trace_id: copied, cut at 63 bytes.
 *
 * Returns the context, owned.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_trace, weft_error_trace.
 */
WEFT_API weft_ctx *weft_ctx_with_trace(weft_ctx *parent, const char *trace_id);

/**
 * weft_ctx_without_cancel - a context with the parent's values that its end does not reach.
 * @parent: NULL is misuse.
 *
 * Returns the context, owned: no error, no deadline, no cause, whatever becomes of the parent.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's context.WithoutCancel. See WEFT_SHIELD in weft/sugar.h.
 */
WEFT_API weft_ctx *weft_ctx_without_cancel(weft_ctx *parent);

/**
 * weft_ctx_ref - one more reference.
 * @c: a context; may be NULL.
 *
 * Returns c.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_free.
 */
WEFT_API weft_ctx *weft_ctx_ref(weft_ctx *c);

/**
 * weft_ctx_free - give up a reference.
 * @c: a context; may be NULL.
 *
 * Does not end it: fibers and contexts below keep it, and can still be ended by those above.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_cancel.
 */
WEFT_API void weft_ctx_free(weft_ctx *c);

/**
 * weft_ctx_cancel - end a context and all below it.
 * @c: a context made by with_cancel, with_timeout, with_deadline or with_cause, or a scope's; any
 * other (a value's, a shield's, the background) is misuse. Ended already: nothing happens.
 *
 * When the call returns all of them have ended, their done channels are closed, and the fibers that
 * wait under them are on their way out with -ECANCELED.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Order:     happens-before what a fiber does after it has seen the end.
 * Cost:      the locks of the contexts below, a wake-up for each fiber that waits.
 * Since 0.1. Source: Go's context.CancelFunc. See weft_ctx_cancel_cause.
 */
WEFT_API void weft_ctx_cancel(weft_ctx *c);

/**
 * weft_ctx_cancel_cause - end a context, and say why.
 * @c:     as weft_ctx_cancel.
 * @cause: taken; NULL: -ECANCELED. The first end's cause stays.
 *
 * Blocks:    never.
 * Callable:  as weft_ctx_cancel.
 * Order:     as weft_ctx_cancel.
 * Since 0.1. Source: Go's context.WithCancelCause. See weft_ctx_cause.
 */
WEFT_API void weft_ctx_cancel_cause(weft_ctx *c, weft_error *cause);

/**
 * weft_ctx_err - has it ended?
 * @c: a context.
 *
 * Returns 0 while it has not; then -ECANCELED, or -ETIMEDOUT if a deadline was the reason;
 *   -ENOMEM if it could not be made.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Order:     the end happens-before a result that is not 0; the done channel is closed by then.
 * Cost:      a load.
 * Since 0.1. Source: Go's Context.Err. See weft_ctx_check.
 */
WEFT_API int weft_ctx_err(const weft_ctx *c);

/**
 * weft_ctx_check - has the caller's current context ended?
 *
 * For loops that compute: the one cancellation point that waits for nothing.
 *
 * Returns as weft_ctx_err.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Order:     as weft_ctx_err.
 * Cost:      four loads.
 * Since 0.1. See weft_ctx_err.
 */
WEFT_API int weft_ctx_check(void);

/**
 * weft_ctx_cause - why has it ended?
 * @c: a context.
 *
 * Returns NULL while it has not ended; then the cause given by whoever ended it first (it or one
 *   above), else an error with the code of weft_ctx_err. Borrowed as long as the context is
 *   referred to.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's context.Cause. See weft_ctx_cancel_cause.
 */
WEFT_API const weft_error *weft_ctx_cause(const weft_ctx *c);

/**
 * weft_ctx_done - a channel that is closed when the context ends, for select.
 * @c: a context.
 *
 * Nothing is ever sent on it.
 *
 * Returns the channel, borrowed as long as the context is referred to. NULL (never ready) if the
 *   context cannot end.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      the channel is made at the first call. If there is no memory for it the context
 *            ends, so that nobody waits in vain.
 * Since 0.1. Source: Go's Context.Done. See weft_select.
 */
WEFT_API weft_chan *weft_ctx_done(weft_ctx *c);

/**
 * weft_ctx_deadline - when will it end at the latest?
 * @c: a context.
 *
 * Returns the deadline on the clock of weft_now, its own or the nearest above; INT64_MAX: none.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's Context.Deadline. See weft_ctx_with_deadline.
 */
WEFT_API int64_t weft_ctx_deadline(const weft_ctx *c);

/**
 * weft_ctx_value - the value of the nearest context that has the key.
 * @c:   a context.
 * @key: not NULL.
 *
 * Returns the value; NULL if nobody has the key (or its value is NULL). Borrowed as the value's
 *   owner says; a copy, as long as the context is referred to.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      a walk up the tree.
 * Since 0.1. Source: Go's Context.Value. See weft_ctx_with_value.
 */
WEFT_API void *weft_ctx_value(const weft_ctx *c, const void *key);

/**
 * weft_ctx_trace - the trace id in force.
 * @c: a context.
 *
 * Returns it, borrowed as long as the context is referred to; "" if there is none.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_with_trace.
 */
WEFT_API const char *weft_ctx_trace(const weft_ctx *c);

/**
 * weft_ctx_after_func - have a function run once a context has ended.
 * @c:         a context.
 * @fn:        run on a fiber of its own, under the root context; at once if c has ended.
 * @arg:       passed on to fn.
 * @ret_after: for weft_ctx_after_stop, which must then be called; NULL if it shall not be stopped.
 *
 * If the last reference to c goes before it has ended, fn never runs.
 *
 * Returns 0; -ENOMEM.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Order:     happens-before fn.
 * Since 0.1. Source: Go's context.AfterFunc. See weft_ctx_after_stop.
 */
WEFT_API int weft_ctx_after_func(
    weft_ctx *c, void (*fn)(void *), void *arg, weft_ctx_after **ret_after);

/**
 * weft_ctx_after_stop - do not run it after all, and give up the handle.
 * @a: from weft_ctx_after_func; freed. May be NULL.
 *
 * Returns true if the call kept fn from running; false if it runs or has run.
 * Blocks:    never; it does not wait for a running fn.
 * Callable:  any fiber or plain thread, once.
 * Since 0.1. Source: Go's context.AfterFunc. See weft_ctx_after_func.
 */
WEFT_API bool weft_ctx_after_stop(weft_ctx_after *a);

/* A block that runs under another context; lives in the block's frame. The contents are the
 * library's. */
typedef struct weft_ctx_block {
    void *opaque[10];
} weft_ctx_block;

/**
 * weft_ctx_enter - run under a context until weft_ctx_leave.
 * @b: the caller's storage, in the block's frame.
 * @c: the context; the block holds a reference.
 *
 * Returns c, borrowed until the block is left.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      two locks of c.
 * Since 0.1. See weft_ctx_leave, weft_ctx_enter_timeout, WEFT_WITH in weft/sugar.h.
 */
WEFT_API weft_ctx *weft_ctx_enter(weft_ctx_block *b, weft_ctx *c);

/**
 * weft_ctx_enter_timeout - run under a new context with a time limit, below the current one.
 * @b:          the caller's storage, in the block's frame.
 * @timeout_ns: as weft_ctx_with_timeout.
 *
 * The function beneath WEFT_TIMEOUT. The context ends when the block is left, for the detached
 * fibers too that were started in it.
 *
 * Returns the context, borrowed until the block is left.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_leave.
 */
WEFT_API weft_ctx *weft_ctx_enter_timeout(weft_ctx_block *b, int64_t timeout_ns);

/**
 * weft_ctx_enter_shield - run on although the current context ends.
 * @b: the caller's storage, in the block's frame.
 *
 * The function beneath WEFT_SHIELD; for a closing handshake, best with a WEFT_TIMEOUT inside.
 *
 * Returns the context, borrowed until the block is left.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_without_cancel.
 */
WEFT_API weft_ctx *weft_ctx_enter_shield(weft_ctx_block *b);

/**
 * weft_ctx_leave - back to the context that was current before.
 * @b: entered by weft_ctx_enter and its like. Left already (a panic did it): nothing happens.
 *
 * Blocks:    never.
 * Callable:  the fiber that entered it, newest first.
 * Since 0.1. See weft_ctx_enter.
 */
WEFT_API void weft_ctx_leave(weft_ctx_block *b);

WEFT_END_DECLS
#endif
