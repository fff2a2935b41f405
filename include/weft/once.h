// SPDX-License-Identifier: Apache-2.0
/*
 * weft/once.h - something that is done once, by whoever comes first, before anybody goes on.
 *
 *     static weft_once once = WEFT_ONCE_INIT;
 *     weft_once_do(&once, load_tables, NULL);
 *
 * Not a cancellation point. Storage as weft_mutex: the caller's, never copied or moved.
 */
#ifndef WEFT_ONCE_H
#define WEFT_ONCE_H
#include <stdbool.h>
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_once - 72 bytes, the contents are the library's. All zero: not done. */
typedef struct weft_once {
    struct weft_object object_;
    uint64_t state_[5];
} weft_once;

/* Static initialisers: without and with a name for reports. */
#define WEFT_ONCE_INIT WEFT_ONCE_NAMED(0)
#define WEFT_ONCE_NAMED(name)                                                                      \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_ONCE, name),                                                   \
        {                                                                                          \
            0, 0, 0, 0, 0                                                                          \
        }                                                                                          \
    }

/**
 * weft_once_init - make a once in the caller's storage, not done.
 * @o:    storage.
 * @name: for reports, borrowed for the once's life; or NULL.
 *
 * Not needed where WEFT_ONCE_INIT was used or all bytes are zero.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know it.
 * Since 0.1. See weft_once_do.
 */
WEFT_API void weft_once_init(weft_once *o, const char *name);

/**
 * weft_once_do - call a function if this is the first call for o; return when it is done.
 * @o:   once. Called from within fn for the same o: misuse (it would wait for itself).
 * @fn:  called by the first caller, on its own stack and in its context.
 * @arg: passed on to fn.
 *
 * If fn panics, or ends its fiber, that counts as done: it is not called again, and those who wait
 * go on.
 *
 * Returns true in the caller that called fn; false in all others, whose fn is never called.
 * Blocks:    parks the fiber, never the thread, while another's fn runs. Not a cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     fn's return happens-before the return of every call.
 * Cost:      one load once it is done.
 * Since 0.1. Source: Go's sync.Once.Do. See weft_once_done.
 */
WEFT_API bool weft_once_do(weft_once *o, void (*fn)(void *arg), void *arg);

/**
 * weft_once_done - whether it is done.
 * @o: once.
 *
 * Returns true once fn has ended.
 * Blocks:    no.
 * Callable:  any fiber or plain thread.
 * Order:     fn's return happens-before a true result.
 * Since 0.1. See weft_once_do.
 */
WEFT_API bool weft_once_done(const weft_once *o);

WEFT_END_DECLS
#endif
