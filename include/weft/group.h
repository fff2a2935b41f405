// SPDX-License-Identifier: Apache-2.0
/*
 * weft/group.h - an error group: a scope that runs only so many of its fibers at a time.
 *
 *     WEFT_GROUP(g, 8);                         at most 8 at a time
 *     for (...)
 *         weft_group_go(&g, fetch, &page[i]);   waits while 8 are running
 *     return weft_group_wait(&g);               0, or the first error
 *
 * A group is a scope (weft/scope.h) with a semaphore: the rest of the block runs under its context,
 * the first error ends that context (or not, as the options say), leaving the block cancels and
 * joins. Where there is no limit, use the scope itself.
 *
 * To start is a cancellation point, and the block runs under the group's context: once a member has
 * failed, no more are started, and weft_group_go says -ECANCELED.
 */
#ifndef WEFT_GROUP_H
#define WEFT_GROUP_H
#include <weft/base.h>
#include <weft/scope.h>
#include <weft/sema.h>

WEFT_BEGIN_DECLS

/** struct weft_group - lives in the block that it belongs to. The members are the library's. */
typedef struct weft_group {
    weft_scope scope_;
    weft_sema room_;
    uint32_t limit_;
} weft_group;

/**
 * weft_group_open - open a group; the caller runs under its context from here on.
 * @g:     the caller's storage, in the block's frame; must not move.
 * @limit: how many of its fibers run at a time; 0: any number.
 * @opts:  options of its scope, or NULL for the defaults; borrowed for the call.
 *
 * The function beneath WEFT_GROUP.
 *
 * Returns g.
 * Blocks:    never.
 * Callable:  any fiber; a plain thread too.
 * Cost:      as weft_scope_open.
 * Since 0.1. Source: golang.org/x/sync/errgroup. See weft_group_close, weft_scope_open.
 */
WEFT_API weft_group *weft_group_open(weft_group *g, uint32_t limit, const weft_scope_opts *opts);

/**
 * weft_group_go - start a fiber in a group, waiting until fewer than the limit run.
 * @g:   an open group.
 * @fn:  its entry.
 * @arg: passed on to fn as it is; must live until the fiber has ended.
 *
 * Returns 0 once the fiber is runnable.
 *   -ECANCELED / -ETIMEDOUT the context ended (a member failed, say): fn will not run.
 *   -EAGAIN, -ENOMEM, -ESHUTDOWN as weft_go, and then an error of the group as well.
 * Blocks:    parks the fiber while the group is full. Cancellation point.
 * Callable:  the opener; a fiber of the group too, if the limit leaves room for both.
 * Order:     everything before the call happens-before fn; fn's return happens-before the return of
 *            weft_group_wait, and before the start of a fiber that waited for its place.
 * Cost:      as weft_go, and a lock.
 * Since 0.1. Source: Go's errgroup.Group.Go. See weft_group_try_go.
 */
WEFT_API int weft_group_go(weft_group *g, int (*fn)(void *), void *arg);

/**
 * weft_group_try_go - start a fiber in a group if fewer than the limit run.
 * @g:   an open group.
 * @fn:  its entry.
 * @arg: as weft_group_go.
 *
 * Returns 0 once the fiber is runnable.
 *   -EBUSY the group is full; -EAGAIN, -ENOMEM, -ESHUTDOWN as weft_group_go. In these cases fn will
 *   not run.
 * Blocks:    never.
 * Callable:  as weft_group_go.
 * Order:     as weft_group_go.
 * Since 0.1. Source: Go's errgroup.Group.TryGo. See weft_group_go.
 */
WEFT_API int weft_group_try_go(weft_group *g, int (*fn)(void *), void *arg);

/**
 * weft_group_wait - join all fibers of a group.
 * @g: an open group. More fibers may be started afterwards, and waited for again.
 *
 * Returns 0, or the first error: as weft_wait.
 * Blocks:    parks the fiber until no fiber of the group is left. Not a cancellation point.
 * Callable:  the opener.
 * Order:     each fiber's end happens-before the return.
 * Since 0.1. Source: Go's errgroup.Group.Wait. See weft_wait.
 */
WEFT_API int weft_group_wait(weft_group *g);

/**
 * weft_group_close - cancel the fibers of a group, join them, and go back to the context above.
 * @g: an open group. Closed already (a panic did it): nothing happens.
 *
 * Returns 0 or the first error, as weft_scope_close.
 * Blocks:    until all fibers of the group have ended. Not a cancellation point.
 * Callable:  the opener, newest first.
 * Order:     each fiber's end happens-before the return.
 * Since 0.1. See weft_group_open.
 */
WEFT_API int weft_group_close(weft_group *g);

/**
 * weft_group_scope - the scope of a group: for its error, its context, its counts.
 * @g: an open group.
 *
 * Returns the scope, borrowed until the group is closed.
 * Blocks:    never.
 * Callable:  the opener, or a fiber of the group.
 * Since 0.1. See weft_scope_error, weft_scope_failed.
 */
WEFT_API weft_scope *weft_group_scope(weft_group *g);

WEFT_END_DECLS
#endif
