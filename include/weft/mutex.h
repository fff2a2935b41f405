// SPDX-License-Identifier: Apache-2.0
/*
 * weft/mutex.h - mutual exclusion between fibers (and plain threads).
 *
 * A mutex belongs to the fiber or plain thread that locked it: only that one may unlock it, and
 * locking it twice is misuse, not a silent deadlock. Handing something over between fibers is the
 * semaphore's or the channel's job. Holding a mutex across a call that parks is legal.
 *
 * Locking is not a cancellation point: cleanup under an ended context must be able to lock.
 *
 * Fairness: normally whoever comes first after the unlock gets the mutex, so that a running fiber
 * need not wait for one that must first be woken. A waiter that has lost for a millisecond switches
 * the mutex to handing itself over, in the order of the queue, until that queue is served.
 *
 * A mutex lies in the caller's storage and must not be copied or moved once used. It may be freed
 * as soon as it is unlocked and nobody else will use it, even while another fiber's unlock is
 * about to return.
 */
#ifndef WEFT_MUTEX_H
#define WEFT_MUTEX_H
#include <stdbool.h>
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_mutex - a mutex; 64 bytes, the contents are the library's. All zero: unlocked. */
typedef struct weft_mutex {
    struct weft_object object_;
    uint64_t state_[4];
} weft_mutex;

/* Static initialisers: without and with a name for reports. */
#define WEFT_MUTEX_INIT WEFT_MUTEX_NAMED(0)
#define WEFT_MUTEX_NAMED(name)                                                                     \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_MUTEX, name),                                                  \
        {                                                                                          \
            0, 0, 0, 0                                                                             \
        }                                                                                          \
    }

/**
 * weft_mutex_init - make a mutex in the caller's storage, unlocked.
 * @m:    storage.
 * @name: for reports, borrowed for the mutex's life; or NULL.
 *
 * Not needed where WEFT_MUTEX_INIT was used or all bytes are zero.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know the mutex.
 * Since 0.1. See weft_mutex_fini.
 */
WEFT_API void weft_mutex_init(weft_mutex *m, const char *name);

/**
 * weft_mutex_fini - the mutex will not be used any more.
 * @m: mutex; NULL does nothing. Locked, or waited for: misuse.
 *
 * Frees nothing (there is nothing to free); debug builds then report later uses.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, when no other uses the mutex.
 * Since 0.1. See weft_mutex_init.
 */
WEFT_API void weft_mutex_fini(weft_mutex *m);

/**
 * weft_mutex_lock - lock, waiting for whoever holds it.
 * @m: mutex. Held by the caller already: misuse.
 *
 * Blocks:    parks the fiber, never the thread. Not a cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     an unlock happens-before the return of the next lock.
 * Cost:      one compare-and-swap when free; no allocation ever.
 * Since 0.1. Source: Go's sync.Mutex.Lock. See weft_mutex_unlock, weft_mutex_try_lock.
 */
WEFT_API void weft_mutex_lock(weft_mutex *m);

/**
 * weft_mutex_try_lock - lock if that is possible at once.
 * @m: mutex.
 *
 * Returns true when the caller holds it now; false if somebody (the caller too) holds it.
 * Blocks:    no.
 * Callable:  as weft_mutex_lock.
 * Order:     as weft_mutex_lock, if true.
 * Since 0.1. Source: Go's sync.Mutex.TryLock. See weft_mutex_lock.
 */
WEFT_API WEFT_MUST_CHECK bool weft_mutex_try_lock(weft_mutex *m);

/**
 * weft_mutex_unlock - unlock, and let one of those who wait go on.
 * @m: mutex. Unlocked, or locked by another fiber or thread: misuse, which ends the process.
 *
 * Blocks:    no.
 * Callable:  the fiber or plain thread that locked it.
 * Order:     see weft_mutex_lock.
 * Cost:      one compare-and-swap when nobody waits.
 * Since 0.1. Source: Go's sync.Mutex.Unlock (which may be called by others). See weft_mutex_lock.
 */
WEFT_API void weft_mutex_unlock(weft_mutex *m);

/**
 * weft_mutex_held - whether the caller holds the mutex: for assertions.
 * @m: mutex.
 *
 * Returns true if the calling fiber or thread locked it.
 * Blocks:    no.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_mutex_lock.
 */
WEFT_API bool weft_mutex_held(const weft_mutex *m);

WEFT_END_DECLS
#endif
