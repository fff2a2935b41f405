// SPDX-License-Identifier: Apache-2.0
/*
 * weft/scope.h - scopes: context and wait group in one; no fiber outlives the block that needs it.
 *
 *     WEFT_SCOPE(s);           declares and opens it: the rest of the block runs under its context
 *     weft_go(&s, fn, arg);    starts fibers into it
 *     return weft_wait(&s);    joins them: 0, or the first error
 *                              leaving the block cancels what is left, and joins it
 *
 * Policy: the first negative result cancels the siblings (WEFT_FIRST_ERROR, for work whose parts
 * belong together), or nothing happens but that it is remembered (WEFT_COLLECT, for servers). A
 * fiber that could not be started counts as one that failed.
 *
 * Waiting for a scope is a join: it is not ended by the end of a context, as what the fibers use
 * would go away beneath them. The fibers are told to end, and the join waits until they did.
 */
#ifndef WEFT_SCOPE_H
#define WEFT_SCOPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>
#include <weft/ctx.h>
#include <weft/error.h>
#include <weft/panic.h>

WEFT_BEGIN_DECLS

/* What an error of one fiber does to the others. */
enum weft_scope_errors { WEFT_FIRST_ERROR = 0, WEFT_COLLECT = 1 };

/* What a panic does that no fiber of the scope recovered. */
enum weft_scope_panics { WEFT_PANIC_ABORT = 0, WEFT_PANIC_ISOLATE = 1 };

/* Options of weft_scope_open. Zero is the default of each; size is sizeof(weft_scope_opts). */
typedef struct weft_scope_opts {
    size_t size;
    enum weft_scope_errors errors;
    enum weft_scope_panics panics;
    int64_t timeout_ns; /* the scope's context ends after so long; 0: no limit; below: at once */
    const char *name;   /* for dumps and messages; borrowed while the scope is open; NULL: none */
} weft_scope_opts;

/* A scope; lives in the block that it belongs to. The members are the library's. */
typedef struct weft_scope {
    weft_unwind unwind;
    void *impl, *bind_[4];
} weft_scope;

/**
 * weft_scope_open - open a scope; the caller runs under its context from here on.
 * @s:    the caller's storage, in the block's frame; must not move.
 * @opts: options, or NULL for the defaults; borrowed for the call. A size below that of
 *        weft_scope_opts is misuse.
 *
 * The function beneath WEFT_SCOPE. If there is no memory the scope is open all the same, but under
 * a context that has ended with -ENOMEM, and no fiber starts in it.
 *
 * Returns s.
 * Blocks:    never.
 * Callable:  any fiber; a plain thread too.
 * Cost:      one allocation, the lock of the context above.
 * Since 0.1. See weft_scope_close, weft_go, WEFT_SCOPE in weft/sugar.h.
 */
WEFT_API weft_scope *weft_scope_open(weft_scope *s, const weft_scope_opts *opts);

/**
 * weft_scope_close - cancel the fibers of a scope, join them, and go back to the context above.
 * @s: an open scope. Closed already (a panic did it): nothing happens.
 *
 * Returns 0 or the first error, as weft_wait; errors that come of this cancelling do not count.
 * Blocks:    until all fibers of the scope have ended. Not a cancellation point.
 * Callable:  the fiber that opened it, newest first.
 * Order:     each fiber's end happens-before the return.
 * Since 0.1. See weft_scope_open.
 */
WEFT_API int weft_scope_close(weft_scope *s);

/**
 * weft_wait - join all fibers of a scope.
 * @s: an open scope. More fibers may be started afterwards, and waited for again.
 *
 * Returns 0, or the first error: the result of the fiber that failed first, what weft_go could
 *   not start (-EAGAIN, -ENOMEM), -WEFT_EPANIC for an isolated panic. Once there is an error
 *   every later call returns it too.
 * Blocks:    parks the fiber until no fiber of the scope is left. Not a cancellation point: if a
 *            context ends, it ends the fibers.
 * Callable:  the fiber or plain thread that opened the scope. From a fiber of the scope itself
 *            it would wait for itself: misuse.
 * Order:     each fiber's end happens-before the return.
 * Cost:      one lock if all have ended.
 * Since 0.1. Source: Go's errgroup.Group.Wait. See weft_scope_error.
 */
WEFT_API int weft_wait(weft_scope *s);

/**
 * weft_scope_cancel - tell the fibers of a scope to end.
 * @s: an open scope.
 *
 * Blocks:    never; join with weft_wait.
 * Callable:  the opener, or a fiber of the scope.
 * Since 0.1. See weft_ctx_cancel.
 */
WEFT_API void weft_scope_cancel(weft_scope *s);

/**
 * weft_scope_error - the first error of a scope as an object.
 * @s: an open scope.
 *
 * Returns what the fiber left by weft_fail, or an error with its code; borrowed until the scope
 *   is closed. NULL if there is none. The error of an isolated panic has its message and names
 *   the fiber.
 * Blocks:    never.
 * Callable:  the opener, after weft_wait.
 * Since 0.1. See weft_fail.
 */
WEFT_API const weft_error *weft_scope_error(weft_scope *s);

/**
 * weft_scope_failed - how many fibers of a scope have failed?
 * @s: an open scope.
 *
 * Returns the number of negative results so far, failed starts included.
 * Blocks:    never.
 * Callable:  the opener, or a fiber of the scope.
 * Since 0.1. See weft_scope_live.
 */
WEFT_API uint64_t weft_scope_failed(weft_scope *s);

/**
 * weft_scope_live - how many fibers of a scope have not ended yet?
 * @s: an open scope.
 *
 * Returns the number at the moment.
 * Blocks:    never.
 * Callable:  the opener, or a fiber of the scope.
 * Since 0.1. See weft_wait.
 */
WEFT_API uint64_t weft_scope_live(weft_scope *s);

/**
 * weft_scope_ctx - a scope's context.
 * @s: an open scope.
 *
 * Returns it, borrowed until the scope is closed.
 * Blocks:    never.
 * Callable:  the opener, or a fiber of the scope.
 * Since 0.1. See weft_ctx_cancel_cause.
 */
WEFT_API weft_ctx *weft_scope_ctx(weft_scope *s);

WEFT_END_DECLS
#endif
