// SPDX-License-Identifier: Apache-2.0
/*
 * weft/sema.h - a weighted semaphore: permits that are taken and given back, some at a time.
 *
 * First come, first served: a request for many permits is not overtaken by later ones for few.
 * Permits belong to nobody: one fiber may acquire and another release, so a semaphore of 0 hands
 * over events.
 *
 * Storage as weft_mutex. It may be freed once an acquire has returned and nobody else will use it,
 * even while the release that it waited for is about to return.
 */
#ifndef WEFT_SEMA_H
#define WEFT_SEMA_H
#include <stdbool.h>
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_sema - 72 bytes, the contents are the library's. */
typedef struct weft_sema {
    struct weft_object object_;
    uint64_t permits_;
    uint64_t state_[4];
} weft_sema;

/* Static initialisers: so many permits, without and with a name for reports. */
#define WEFT_SEMA_INIT(permits) WEFT_SEMA_NAMED(permits, 0)
#define WEFT_SEMA_NAMED(permits, name)                                                             \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_SEMA, name), (permits),                                        \
        {                                                                                          \
            0, 0, 0, 0                                                                             \
        }                                                                                          \
    }

/**
 * weft_sema_init - make a semaphore in the caller's storage.
 * @s:       storage.
 * @permits: how many there are at first.
 * @name:    for reports, borrowed for its life; or NULL.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know it.
 * Since 0.1. See weft_sema_fini.
 */
WEFT_API void weft_sema_init(weft_sema *s, uint64_t permits, const char *name);

/**
 * weft_sema_fini - the semaphore will not be used any more.
 * @s: semaphore; NULL does nothing. Waited for: misuse.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, when no other uses it.
 * Since 0.1. See weft_sema_init.
 */
WEFT_API void weft_sema_fini(weft_sema *s);

/**
 * weft_sema_acquire - take permits, waiting until so many are free.
 * @s: semaphore.
 * @n: how many; 0 waits only for its turn.
 *
 * Returns 0 with the permits taken.
 *   -ECANCELED / -ETIMEDOUT the fiber's context ended: at once, if it had before the call; then
 *   none was taken.
 * Blocks:    parks the fiber, never the thread. Cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     a release happens-before the return of an acquire that it makes possible.
 * Cost:      one lock, no allocation.       Fairness: first come, first served.
 * Since 0.1. Source: golang.org/x/sync/semaphore. See weft_sema_release.
 */
WEFT_API int weft_sema_acquire(weft_sema *s, uint64_t n);

/**
 * weft_sema_try_acquire - take permits if that is possible at once.
 * @s: semaphore.
 * @n: how many.
 *
 * Returns true with the permits taken; false if there are too few, or others wait.
 * Blocks:    no.
 * Callable:  as weft_sema_acquire.
 * Order:     as weft_sema_acquire, if true.
 * Since 0.1. See weft_sema_acquire.
 */
WEFT_API WEFT_MUST_CHECK bool weft_sema_try_acquire(weft_sema *s, uint64_t n);

/**
 * weft_sema_release - give permits back, or add new ones.
 * @s: semaphore.
 * @n: how many. More than 2^64-1 in all is misuse.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Order:     see weft_sema_acquire.
 * Cost:      one lock, and a wake-up for each whose turn has come.
 * Since 0.1. Source: golang.org/x/sync/semaphore. See weft_sema_acquire.
 */
WEFT_API void weft_sema_release(weft_sema *s, uint64_t n);

/**
 * weft_sema_value - how many permits are free now.
 * @s: semaphore.
 *
 * Returns a number that may be old by the time it is looked at.
 * Blocks:    no.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_sema_acquire.
 */
WEFT_API uint64_t weft_sema_value(const weft_sema *s);

WEFT_END_DECLS
#endif
