// SPDX-License-Identifier: Apache-2.0
/*
 * weft/signal.h - signals of the process as elements of channels.
 *
 * weft_signal_notify has the number (an int) of each signal that arrives sent to a channel; a fiber
 * receives it like anything else, in a select too. With WEFT_SIGNALS of weft/sugar.h:
 *
 *     weft_chan *c;
 *     weft_chan_new(sizeof(int), 1, &c);
 *     weft_signal_notify(c, WEFT_SIGNALS(SIGINT, SIGTERM));
 *     weft_chan_recv(c, &number);
 *     weft_signal_stop(c);
 *
 * weft_signal_context is the same for contexts: the first signal ends it.
 *
 *   - Sending never waits: a signal for which the channel has no room, and no receiver waits, is
 *     lost to that channel. So give it room: 1 is enough where one signal is as good as many.
 *   - A signal that nobody is notified of keeps the disposition that it has. The first notify puts
 *     a handler there, the last stop puts back what was there before (unless the program has
 *     replaced the handler meanwhile: then it is left alone).
 *   - A handler that was there before is called as well, so a host program's own goes on working.
 *     Only the dump of SIGQUIT (weft/debug.h) is not made while somebody is notified of SIGQUIT.
 *   - An ignored signal is ignored no longer while somebody is notified of it. A program that
 *     should honour `nohup` asks weft_signal_ignored first.
 *   - A signal that is blocked in every thread arrives nowhere. A child process inherits none of
 *     this (weft/process.h; exec forgets handlers).
 *
 * Refused: SIGKILL and SIGSTOP, which nobody can catch; SIGSEGV, SIGBUS, SIGFPE and SIGILL, which
 * tell of an instruction that cannot go on; SIGURG, by which the runtime asks a thread for its
 * stack and preempts; and the preempt_signal of a run. The reason is with the error
 * (weft_error_take).
 *
 * Works with and without a runtime, before, between and after runs of it. Everything here may be
 * called by any fiber or plain thread, several at once.
 */
#ifndef WEFT_SIGNAL_H
#define WEFT_SIGNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <weft/base.h>
#include <weft/chan.h>
#include <weft/ctx.h>

WEFT_BEGIN_DECLS

/**
 * weft_signal_notify - have signals sent to a channel.
 * @c:       channel of int; a reference is held until weft_signal_stop. A closed one gets nothing.
 * @signals: their numbers; borrowed for the call.
 * @count:   how many, at least one.
 *
 * Adds to what the channel gets already. Several channels may get one signal: each has its copy.
 *
 * Returns 0; on failure nothing has changed.
 *   -EINVAL c is NULL or its elements are no ints, count is 0, a number is no signal or one that
 *   nobody can catch; -EBUSY a signal is the runtime's own; -ENOMEM; -EAGAIN no thread could be
 *   made, -EMFILE no descriptor. weft_error_take has a sentence.
 * Blocks:    never.
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Order:     none: a signal orders nothing.
 * Cost:      an allocation and a system call a signal; the first call makes a thread for all. A
 *            signal that arrives costs two switches between threads.
 * Since 0.1. Source: Go's os/signal.Notify. See weft_signal_stop, weft_signal_context, WEFT_SIGNALS
 * in weft/sugar.h.
 */
WEFT_API WEFT_MUST_CHECK int weft_signal_notify(weft_chan *c, const int *signals, size_t count);

/**
 * weft_signal_stop - no more signals for a channel.
 * @c: channel; NULL, or one that gets none, does nothing.
 *
 * What had arrived before the call has been sent when it returns, and nothing is sent after. For
 * signals that nobody else is notified of, the disposition from before is back.
 *
 * Blocks:    never.
 * Callable:  as weft_signal_notify.
 * Since 0.1. Source: Go's os/signal.Stop. See weft_signal_notify.
 */
WEFT_API void weft_signal_stop(weft_chan *c);

/**
 * weft_signal_context - a context that ends when a signal arrives.
 * @parent:  NULL is misuse.
 * @signals: as weft_signal_notify.
 * @count:   as weft_signal_notify.
 * @ret_ctx: the context, returned owned: weft_signal_context_stop, then weft_ctx_free.
 *
 * Its error then is -ECANCELED, and weft_ctx_cause names the signal. Further ones change nothing:
 * to have a second ^C end the process, stop it as soon as the context has ended.
 *
 * Returns as weft_signal_notify.
 * Blocks:    never.
 * Callable:  as weft_signal_notify.
 * Since 0.1. Source: Go's os/signal.NotifyContext. See weft_ctx_with_cancel, weft_ctx_cause.
 */
WEFT_API WEFT_MUST_CHECK int weft_signal_context(
    weft_ctx *parent, const int *signals, size_t count, weft_ctx **ret_ctx);

/**
 * weft_signal_context_stop - end a context of weft_signal_context, and its interest in signals.
 * @c: from weft_signal_context; still to be freed. NULL, or one that was stopped, does nothing.
 *
 * Blocks:    never.
 * Callable:  as weft_signal_notify.
 * Since 0.1. Source: Go's os/signal.NotifyContext, the function that it returns. See
 * weft_signal_context.
 */
WEFT_API void weft_signal_context_stop(weft_ctx *c);

/**
 * weft_signal_ignored - does the process ignore a signal?
 * @number: the signal's.
 *
 * Returns true if its disposition is to be ignored, as `nohup` has it for SIGHUP; false for a
 *   signal that somebody is notified of.
 * Blocks:    never.
 * Callable:  as weft_signal_notify.
 * Cost:      a system call.
 * Since 0.1. Source: Go's os/signal.Ignored. See weft_signal_notify.
 */
WEFT_API bool weft_signal_ignored(int number);

WEFT_END_DECLS
#endif
