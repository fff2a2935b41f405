// SPDX-License-Identifier: Apache-2.0
/*
 * weft/timer.h - timers as channels, tickers, and functions that run later.
 *
 * A timer channel carries int64_t: the time (weft_now) at which it fired. Go 1.23's rule holds:
 * once weft_timer_stop or weft_timer_reset has returned, no value of before is received, and both
 * say true if nobody has received the value yet. So the usual
 *
 *     weft_timer_reset(t, d);
 *     weft_chan_recv(weft_timer_chan(t), &when);
 *
 * needs no draining. To wait for one event with a limit none of this is needed: WEFT_AFTER in
 * select, or WEFT_TIMEOUT. A timer never fires early. Timers
 * fire only while a runtime runs: those that are due before fire when it starts.
 */
#ifndef WEFT_TIMER_H
#define WEFT_TIMER_H

#include <stdbool.h>
#include <stdint.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_chan weft_chan;
typedef struct weft_timer weft_timer;

/**
 * weft_after - a channel on which the time arrives once.
 * @duration_ns: from now; 0 or less: at once. INT64_MAX: never.
 *
 * Returns the channel (of int64_t), owned: give it up with weft_chan_free, before or after it
 *   fired. NULL: no memory.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      two allocations.
 * Since 0.1. Source: Go's time.After. See WEFT_AFTER in weft/sugar.h.
 */
WEFT_API weft_chan *weft_after(int64_t duration_ns);

/**
 * weft_timer_new - a timer with a channel, started.
 * @duration_ns: as weft_after.
 *
 * Returns the timer, owned; NULL: no memory.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's time.NewTimer. See weft_timer_chan, weft_timer_free.
 */
WEFT_API weft_timer *weft_timer_new(int64_t duration_ns);

/**
 * weft_timer_func - a timer that runs a function, started.
 * @duration_ns: as weft_after.
 * @fn:          run on a fiber of its own each time it fires, under the root context; NULL is
 *               misuse.
 * @arg:         passed on to fn.
 *
 * Returns the timer, owned; NULL: no memory. It has no channel.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Order:     the start happens-before fn.
 * Since 0.1. Source: Go's time.AfterFunc. See weft_timer_stop.
 */
WEFT_API weft_timer *weft_timer_func(int64_t duration_ns, void (*fn)(void *), void *arg);

/**
 * weft_ticker_new - a timer that fires again and again.
 * @period_ns: positive; anything else is misuse.
 *
 * A receiver that is late misses ticks, they do not pile up.
 *
 * Returns the timer, owned; NULL: no memory.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's time.NewTicker. See weft_timer_chan, weft_timer_free.
 */
WEFT_API weft_timer *weft_ticker_new(int64_t period_ns);

/**
 * weft_timer_chan - a timer's channel.
 * @t: a timer; NULL is misuse.
 *
 * Returns the channel (of int64_t), borrowed until the timer is freed. NULL for a timer of
 *   weft_timer_func.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_chan_recv.
 */
WEFT_API weft_chan *weft_timer_chan(weft_timer *t);

/**
 * weft_timer_stop - keep a timer from firing.
 * @t: a timer; NULL is misuse.
 *
 * Returns true if the call stopped it: it had not fired, or its value was not received and is
 *   gone now. False if it had been stopped, or its value received, or its function begun.
 * Blocks:    never; it does not wait for a running function.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's Timer.Stop. See weft_timer_reset.
 */
WEFT_API bool weft_timer_stop(weft_timer *t);

/**
 * weft_timer_reset - stop a timer and start it anew.
 * @t:           a timer; NULL is misuse.
 * @duration_ns: as weft_after; for a ticker the new period, positive: anything else is misuse.
 *
 * Returns what weft_timer_stop would have.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's Timer.Reset. See weft_timer_stop.
 */
WEFT_API bool weft_timer_reset(weft_timer *t, int64_t duration_ns);

/**
 * weft_timer_free - stop a timer and give it up.
 * @t: may be NULL. Its channel is not closed; whoever holds a reference of its own sees nothing
 * more on it.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_timer_new.
 */
WEFT_API void weft_timer_free(weft_timer *t);

WEFT_END_DECLS
#endif
