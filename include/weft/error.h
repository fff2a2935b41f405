// SPDX-License-Identifier: Apache-2.0
/*
 * weft/error.h - errors that say more than a number.
 *
 * The library and its users return negative errno values. Where a number is not enough, a function
 * makes a weft_error and returns by weft_fail, which leaves the object with the fiber and gives
 * back its code:
 *
 *     if (rc < 0)
 *         return weft_fail(weft_error_wrap(weft_error_take(rc), rc, "profile of user %d", id));
 *
 * The caller sees an ordinary negative number. Whoever wants the rest asks weft_error_take for the
 * object. A fiber's scope does so by itself: weft_scope_error. An error holds
 *
 *     code         -EIO, ...; matched by weft_error_is, through the whole chain
 *     message      text
 *     kind         which sort of error, with a payload; found by weft_error_as
 *     trace id     of the context in which it arose (weft_ctx_with_trace)
 *     attempt      how many tries there were
 *     remaining    time that the context's deadline left when it arose
 *     causes       none, one (wrap) or several (join)
 *
 * Errors are counted and do not change once they are shared: the setters are for the maker. No
 * function here returns NULL for want of memory: it returns a constant error of the same code,
 * without message and causes.
 */
#ifndef WEFT_ERROR_H
#define WEFT_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

/* Codes beyond errno's. */
enum {
    WEFT_EPANIC = 5001, /* -WEFT_EPANIC: a fiber, or a function under weft_try, panicked */
};

typedef struct weft_error weft_error;

/* A kind of error: its address is its identity. fini, if not NULL, ends the payload. */
typedef struct weft_error_kind {
    const char *name;
    void (*fini)(void *payload);
} weft_error_kind;

/**
 * weft_strerror - an error code as text.
 * @code: a code of errno or of this header, negative or positive.
 *
 * Returns a constant text in English; "unknown error" for a number that is none.
 * Blocks:    never.
 * Callable:  anywhere, in signal handlers too.
 * Since 0.1. See weft_error_format.
 */
WEFT_API const char *weft_strerror(int code);

/**
 * weft_error_new - make an error.
 * @code: negative.
 * @fmt:  message, as printf; borrowed for the call.
 *
 * Trace id and remaining time are taken from the current context.
 *
 * Returns the error, owned; never NULL.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      one allocation.
 * Since 0.1. See weft_error_wrap, weft_fail.
 */
WEFT_API weft_error *weft_error_new(int code, const char *fmt, ...) WEFT_PRINTF(2, 3);

/**
 * weft_error_new_kind - make an error with a payload.
 * @kind:    which sort; borrowed for as long as the error lives.
 * @payload: payload_bytes bytes, copied.
 * @code:    negative.
 * @fmt:     message, as printf.
 *
 * Returns the error, owned; never NULL. If there was no memory it has no kind, and fini is not
 *   called.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      one allocation.
 * Since 0.1. See weft_error_as.
 */
WEFT_API weft_error *weft_error_new_kind(const weft_error_kind *kind, const void *payload,
    size_t payload_bytes, int code, const char *fmt, ...) WEFT_PRINTF(5, 6);

/**
 * weft_error_wrap - say in which undertaking an error arose.
 * @cause: taken; NULL: none.
 * @code:  negative; 0: the cause's.
 * @fmt:   message, as printf.
 *
 * Returns the new error, owned; never NULL. For want of memory: the cause itself.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      one allocation.
 * Since 0.1. Source: Go's fmt.Errorf with %w. See weft_error_join.
 */
WEFT_API weft_error *weft_error_wrap(weft_error *cause, int code, const char *fmt, ...)
    WEFT_PRINTF(3, 4);

/**
 * weft_error_join - several errors as one.
 * @errors: count errors, each taken; NULL ones are left out.
 * @count:  how many.
 *
 * Returns an error with the first one's code and all as causes, owned; NULL if all were NULL.
 *   For want of memory: the first one.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Cost:      one allocation.
 * Since 0.1. Source: Go's errors.Join. See weft_error_cause.
 */
WEFT_API weft_error *weft_error_join(weft_error *const *errors, size_t count);

/**
 * weft_error_ref - one more reference.
 * @e: may be NULL.
 *
 * Returns e.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_error_free.
 */
WEFT_API weft_error *weft_error_ref(weft_error *e);

/**
 * weft_error_free - give up a reference; the last one ends the error, its payload and its causes.
 * @e: may be NULL.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_error_ref.
 */
WEFT_API void weft_error_free(weft_error *e);

/**
 * weft_error_set_attempt - note how many tries there were.
 * @e:       an error that nobody else sees yet.
 * @attempt: 1 for the first try.
 *
 * Returns e, so that calls nest.
 * Blocks:    never.
 * Callable:  the maker.
 * Since 0.1. See weft_error_attempt.
 */
WEFT_API weft_error *weft_error_set_attempt(weft_error *e, int attempt);

/**
 * weft_error_set_trace - give an error a trace id other than the context's.
 * @e:        an error that nobody else sees yet.
 * @trace_id: copied, cut at 63 bytes; NULL: none.
 *
 * Returns e.
 * Blocks:    never.
 * Callable:  the maker.
 * Since 0.1. See weft_error_trace.
 */
WEFT_API weft_error *weft_error_set_trace(weft_error *e, const char *trace_id);

/**
 * weft_error_code - the error's code.
 * @e: may be NULL.
 *
 * Returns a negative number; 0 for NULL.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_strerror.
 */
WEFT_API int weft_error_code(const weft_error *e);

/**
 * weft_error_message - the error's own text, without its causes.
 * @e: may be NULL.
 *
 * Returns the text, borrowed until the error is freed; the code's text if it has none; "" for NULL.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_error_format.
 */
WEFT_API const char *weft_error_message(const weft_error *e);

/**
 * weft_error_trace - the trace id.
 * @e: may be NULL.
 *
 * Returns the id, borrowed until the error is freed; "" for none.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_with_trace.
 */
WEFT_API const char *weft_error_trace(const weft_error *e);

/**
 * weft_error_attempt - how many tries there were.
 * @e: may be NULL.
 *
 * Returns the number; 0 if nobody set it.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_error_set_attempt.
 */
WEFT_API int weft_error_attempt(const weft_error *e);

/**
 * weft_error_remaining - what was left of the time when the error arose.
 * @e: may be NULL.
 *
 * Returns nanoseconds until the context's deadline then, 0 if it had passed; INT64_MAX if there
 *   was none.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_ctx_deadline.
 */
WEFT_API int64_t weft_error_remaining(const weft_error *e);

/**
 * weft_error_cause - what led to the error.
 * @e:     may be NULL.
 * @index: 0 for the first cause.
 *
 * Returns the cause, borrowed until e is freed; NULL if there are not so many.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_error_wrap.
 */
WEFT_API const weft_error *weft_error_cause(const weft_error *e, size_t index);

/**
 * weft_error_is - is there an error with this code in the chain?
 * @e:    may be NULL.
 * @code: negative.
 *
 * Returns true if e or one of its causes, however deep, has the code.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's errors.Is. See weft_error_as.
 */
WEFT_API bool weft_error_is(const weft_error *e, int code);

/**
 * weft_error_as - the payload of the first error of a kind in the chain.
 * @e:    may be NULL.
 * @kind: the kind looked for.
 *
 * Returns the payload, borrowed until e is freed; NULL if there is none of that kind.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's errors.As. See weft_error_new_kind.
 */
WEFT_API const void *weft_error_as(const weft_error *e, const weft_error_kind *kind);

/**
 * weft_error_format - the whole chain as one line.
 * @e:     may be NULL.
 * @buf:   where to; bytes bytes, always terminated unless bytes is 0.
 * @bytes: its size.
 *
 * The form is "message: cause: cause", several causes in brackets divided by "; ", then what is
 * known of trace id, attempt and remaining time in parentheses.
 *
 * Returns the length of the whole text, as snprintf does.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_error_message.
 */
WEFT_API size_t weft_error_format(const weft_error *e, char *buf, size_t bytes);

/**
 * weft_fail - leave an error with the current fiber, and return its code.
 * @e: taken; NULL: nothing is left, and the result is 0.
 *
 * An error left earlier and never taken is freed.
 *
 * Returns the error's code, to be returned further.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_error_take.
 */
WEFT_API int weft_fail(weft_error *e);

/**
 * weft_error_take - the error object behind a code that a function has just returned.
 * @code: the code.
 *
 * Returns the error that weft_fail left with this fiber, if its code is that, else a new one
 *   with the code alone; owned. NULL for a code that is not negative.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_fail.
 */
WEFT_API weft_error *weft_error_take(int code);

WEFT_END_DECLS
#endif
