// SPDX-License-Identifier: Apache-2.0
/*
 * weft/select.h - waiting for the first of several channel operations.
 *
 * A select is given cases and performs exactly one of them: among those that are possible at once,
 * one by lot (each with the same chance), else the first that becomes possible.
 *
 *     receive   takes an element; possible too when the channel is closed: *ret is 1 or 0
 *     send      puts an element; possible too when the channel is closed: *ret is 0 or -EPIPE
 *     after     happens when that much time has passed without another case; 0 or less: at once
 *               (but after a case that is possible)
 *     default   happens when nothing else is possible at once: the select does not wait
 *
 * A case with a nil channel never happens; that is how a case is switched off. The same channel may
 * stand in several cases, also as receive and send: a select never pairs with itself.
 *
 * The array of cases is storage for the call as well: it must not be shared with another call that
 * runs at the same time. It may be used again afterwards as it is.
 *
 * With weft/sugar.h:
 *
 *     switch (weft_select(WEFT_RECV(a, &v, &got), WEFT_SEND(b, w, &sent), WEFT_AFTER(100 *
 *     WEFT_MS)))
 */
#ifndef WEFT_SELECT_H
#define WEFT_SELECT_H
#include <stddef.h>
#include <weft/base.h>
#include <weft/chan.h>

WEFT_BEGIN_DECLS

/* What a case does. */
#define WEFT_CASE_NONE 0
#define WEFT_CASE_RECV 1
#define WEFT_CASE_SEND 2
#define WEFT_CASE_AFTER 4
#define WEFT_CASE_DEFAULT 8

/** struct weft_case - one case of a select. Set what the kind needs, leave the rest zero. */
struct weft_case {
    int kind;            /* WEFT_CASE_...; NONE never happens */
    int *ret;            /* result of the case that happened; others' are untouched. May be NULL */
    weft_chan *chan;     /* receive, send; NULL never happens */
    void *elem;          /* receive: where to, may be NULL; send: where from (only read) */
    int64_t duration_ns; /* after */
    void *reserved_[6];  /* the call's own */
};

/**
 * weft_selectv - perform one of several channel operations, waiting for the first that is possible.
 * @cases: count cases; borrowed for the call, which uses them as storage too.
 * @count: how many; 0 waits until the context ends.
 *
 * Returns the index of the case that happened (after: of the case whose time it was).
 *   -EAGAIN     nothing was possible and one case is a default
 *   -ECANCELED / -ETIMEDOUT the fiber's context ended: at once, if it had before the call; no case
 *               happened. Not with a default: such a select does not wait, and is not a
 *               cancellation point.
 *   -EINVAL     a case's kind is none of the above, or there are more than 65535 cases.
 * Blocks:    parks the fiber, never the thread. Cancellation point, unless there is a default.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     as the operation that happened; the others order nothing.
 * Cost:      a look at each case without locks and one lock for the case that is possible; to wait,
 *            a lock for each channel before and after. No allocation.
 * Since 0.1. Source: Go spec, "Select statements". See weft_select, weft_chan_send.
 */
WEFT_API int weft_selectv(struct weft_case *cases, size_t count);

WEFT_END_DECLS
#endif
