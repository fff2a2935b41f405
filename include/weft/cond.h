// SPDX-License-Identifier: Apache-2.0
/*
 * weft/cond.h - waiting for a condition that a mutex guards.
 *
 *     weft_mutex_lock(&m);
 *     while (!ready && (rc = weft_cond_wait(&c, &m)) == 0)
 *         ;
 *     ... m is held here, whatever rc is ...
 *     weft_mutex_unlock(&m);
 *
 * A wait may return 0 although nobody signalled (rarely: when a context ends that the fiber has
 * just left): always look at the condition again. Storage as weft_mutex.
 */
#ifndef WEFT_COND_H
#define WEFT_COND_H
#include <weft/base.h>
#include <weft/mutex.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_cond - 64 bytes, the contents are the library's. All zero: ready. */
typedef struct weft_cond {
    struct weft_object object_;
    uint64_t state_[4];
} weft_cond;

/* Static initialisers: without and with a name for reports. */
#define WEFT_COND_INIT WEFT_COND_NAMED(0)
#define WEFT_COND_NAMED(name)                                                                      \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_COND, name),                                                   \
        {                                                                                          \
            0, 0, 0, 0                                                                             \
        }                                                                                          \
    }

/**
 * weft_cond_init - make a condition variable in the caller's storage.
 * @c:    storage.
 * @name: for reports, borrowed for its life; or NULL.
 *
 * Not needed where WEFT_COND_INIT was used or all bytes are zero.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know it.
 * Since 0.1. See weft_cond_fini.
 */
WEFT_API void weft_cond_init(weft_cond *c, const char *name);

/**
 * weft_cond_fini - the condition variable will not be used any more.
 * @c: condition variable; NULL does nothing. Waited for: misuse.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, when no other uses it.
 * Since 0.1. See weft_cond_init.
 */
WEFT_API void weft_cond_fini(weft_cond *c);

/**
 * weft_cond_wait - unlock a mutex and wait for a signal, as one step; then lock it again.
 * @c: condition variable.
 * @m: mutex, held by the caller (else misuse). Held again when the call returns, on errors too.
 *
 * Returns 0 after a signal or broadcast.
 *   -ECANCELED / -ETIMEDOUT the fiber's context ended: at once, if it had before the call. A signal
 *   is not lost by that: it goes to another who waits.
 * Blocks:    parks the fiber, never the thread. Cancellation point; but taking m again is not.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     as the mutex; a signal happens-before the return of the wait that it ends.
 * Cost:      no allocation.       Fairness: signals go to waiters in the order of their waits.
 * Since 0.1. Source: Go's sync.Cond.Wait. See weft_cond_signal.
 */
WEFT_API int weft_cond_wait(weft_cond *c, weft_mutex *m);

/**
 * weft_cond_signal - wake one of those who wait, the one who has waited longest.
 * @c: condition variable.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread; the mutex need not be held. Not from signal handlers.
 * Order:     see weft_cond_wait.
 * Cost:      one lock.
 * Since 0.1. Source: Go's sync.Cond.Signal. See weft_cond_broadcast.
 */
WEFT_API void weft_cond_signal(weft_cond *c);

/**
 * weft_cond_broadcast - wake all who wait.
 * @c: condition variable.
 *
 * Blocks:    no.
 * Callable:  as weft_cond_signal.
 * Order:     see weft_cond_wait.
 * Cost:      one lock, and a wake-up each.
 * Since 0.1. Source: Go's sync.Cond.Broadcast. See weft_cond_signal.
 */
WEFT_API void weft_cond_broadcast(weft_cond *c);

WEFT_END_DECLS
#endif
