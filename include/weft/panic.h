// SPDX-License-Identifier: Apache-2.0
/*
 * weft/panic.h - panics, protected calls, and what must run whichever way a block is left.
 *
 * A fiber keeps a list of registrations, newest first: open scopes, time-outs, defers, protected
 * calls. Each lies in the frame of the block that made it.
 *
 *     fiber.defers -> [defer] -> [scope] -> [try] -> [defer] -> end
 *                        1          2         3: goes on here
 *
 * weft_panic takes one after the other off the list and runs it (scopes cancel and join, defers
 * call their function), until it meets a protected call: there the thread of control goes on, by
 * longjmp. So unwinding works in any code, whatever compiled it. What it does not run are C++
 * destructors and cleanup attributes that are not weft's: use WEFT_DEFER for what must run.
 *
 * A panic that nobody recovers is printed with the stacks of all fibers; then the defers run, and
 * the process aborts. A scope opened with WEFT_PANIC_ISOLATE ends only the fiber that panicked,
 * with -WEFT_EPANIC as its result.
 *
 * Misuse that would corrupt memory (unlock of an unlocked mutex) is no panic: it always ends the
 * process.
 */
#ifndef WEFT_PANIC_H
#define WEFT_PANIC_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_panic_info weft_panic_info;

/* One registration. The members are the library's. */
typedef struct weft_unwind {
    struct weft_unwind *below;
    void (*run)(struct weft_unwind *u);
} weft_unwind;

/* A deferred call; lives in the block that it belongs to. The members are the library's. */
typedef struct weft_defer {
    weft_unwind unwind;
    void (*fn)(void *arg);
    void *arg;
} weft_defer;

/* A protected block, see WEFT_TRY. The members are the library's. */
typedef struct weft_try_frame {
    weft_unwind unwind;
    weft_panic_info *panic;
    jmp_buf buf;
} weft_try_frame;

/**
 * weft_panic - give up what is being done, up to the nearest protected call.
 * @fmt: message, as printf.
 *
 * Returns never.
 * Blocks:    where a defer or the join of a scope does.
 * Callable:  any fiber or plain thread, in a defer too: the new panic then takes the old one's
 *            place and names it.
 * Cost:      an allocation; the stack's addresses are noted.
 * Since 0.1. Source: Go spec, "Handling panics". See weft_try, weft_exit.
 */
WEFT_API WEFT_NORETURN void weft_panic(const char *fmt, ...) WEFT_PRINTF(1, 2);

/**
 * weft_try - call a function and survive its panic.
 * @fn:        the function.
 * @arg:       passed on to it.
 * @ret_panic: what happened, returned owned if the result is -WEFT_EPANIC (weft_panic_free); may be
 *             NULL.
 *
 * Returns what fn returned; -WEFT_EPANIC if it panicked. All defers and scopes of fn have then run.
 * Blocks:    where fn does.
 * Callable:  any fiber or plain thread.
 * Cost:      a setjmp.
 * Since 0.1. Source: Go's recover. See WEFT_TRY in weft/sugar.h.
 */
WEFT_API int weft_try(int (*fn)(void *), void *arg, weft_panic_info **ret_panic);

/**
 * weft_panic_message - what was said.
 * @p: a panic.
 *
 * Returns the text, borrowed until the panic is freed.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_panic_stack.
 */
WEFT_API const char *weft_panic_message(const weft_panic_info *p);

/**
 * weft_panic_stack - where it was said.
 * @p:       a panic.
 * @ret_pcs: the return addresses, innermost first; borrowed until the panic is freed.
 *
 * Returns how many there are (64 at most).
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_panic_message.
 */
WEFT_API size_t weft_panic_stack(const weft_panic_info *p, void *const **ret_pcs);

/**
 * weft_panic_previous - the panic that was on its way when this one began.
 * @p: a panic.
 *
 * Returns it, borrowed until p is freed; NULL if there was none.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_panic.
 */
WEFT_API const weft_panic_info *weft_panic_previous(const weft_panic_info *p);

/**
 * weft_panic_again - panic once more with what was recovered.
 * @p: the panic, taken; it keeps its message and its first stack.
 *
 * Returns never.
 * Blocks:    as weft_panic.
 * Callable:  any fiber or plain thread. Not with the panic that WEFT_RECOVER lends.
 * Since 0.1. See weft_try.
 */
WEFT_API WEFT_NORETURN void weft_panic_again(weft_panic_info *p);

/**
 * weft_panic_free - done with a panic.
 * @p: may be NULL.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_try.
 */
WEFT_API void weft_panic_free(weft_panic_info *p);

/**
 * weft_defer_push - have a function called when the block is left, or a panic or weft_exit unwinds
 * it.
 * @d:   the caller's storage, in the block's frame; must live until weft_defer_pop.
 * @fn:  called with arg, on this fiber.
 * @arg: passed on to fn.
 *
 * The function beneath the macro WEFT_DEFER.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      four stores.
 * Since 0.1. Source: Go spec, "Defer statements" (but by block, not by function). See
 * weft_defer_pop.
 */
WEFT_API void weft_defer_push(weft_defer *d, void (*fn)(void *), void *arg);

/**
 * weft_defer_pop - the block is left: call the function now, unless it has been called already.
 * @d: registered by weft_defer_push.
 *
 * Blocks:    where the function does.
 * Callable:  the fiber that registered it, newest first.
 * Since 0.1. See weft_defer_cancel.
 */
WEFT_API void weft_defer_pop(weft_defer *d);

/**
 * weft_defer_cancel - forget a deferred call.
 * @d: registered by weft_defer_push; weft_defer_pop then calls nothing.
 *
 * For what is undone only on failure: cancel it once all went well.
 *
 * Blocks:    never.
 * Callable:  the fiber that registered it.
 * Since 0.1. See weft_defer_push.
 */
WEFT_API void weft_defer_cancel(weft_defer *d);

/**
 * weft_try_begin - begin a protected block.
 * @t: the caller's storage, in the block's frame.
 *
 * The function beneath WEFT_TRY; setjmp(t->buf) follows at once.
 *
 * Returns t.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_try_end.
 */
WEFT_API weft_try_frame *weft_try_begin(weft_try_frame *t);

/**
 * weft_try_end - end a protected block, and free the panic that it caught.
 * @t: begun by weft_try_begin.
 *
 * Blocks:    never.
 * Callable:  the fiber that began it, newest first.
 * Since 0.1. See weft_try_begin.
 */
WEFT_API void weft_try_end(weft_try_frame *t);

/**
 * weft_try_caught - what the innermost protected block that is not ended yet has caught.
 *
 * For use after its setjmp has returned for the second time.
 *
 * Returns the panic, borrowed until weft_try_end. NULL if nothing was caught.
 * Blocks:    never.
 * Callable:  the fiber that began the block.
 * Since 0.1. See WEFT_RECOVER in weft/sugar.h.
 */
WEFT_API weft_panic_info *weft_try_caught(void);

WEFT_END_DECLS
#endif
