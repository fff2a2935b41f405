// SPDX-License-Identifier: Apache-2.0
/*
 * weft/rwmutex.h - a lock that many readers may hold together, or one writer alone.
 *
 * Neither side starves: once a writer waits, new readers queue up behind it; when a writer unlocks,
 * the readers that wait by then go before the next writer. So a reader must not lock a second time
 * while it holds the lock: with a writer in between that is a deadlock.
 *
 * The write lock belongs to the fiber or plain thread that took it; read locks are only counted. No
 * call here is a cancellation point. Storage as weft_mutex: the caller's, never copied or moved.
 */
#ifndef WEFT_RWMUTEX_H
#define WEFT_RWMUTEX_H
#include <stdbool.h>
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_rwmutex - 96 bytes, the contents are the library's. All zero: unlocked. */
typedef struct weft_rwmutex {
    struct weft_object object_;
    uint64_t state_[8];
} weft_rwmutex;

/* Static initialisers: without and with a name for reports. */
#define WEFT_RWMUTEX_INIT WEFT_RWMUTEX_NAMED(0)
#define WEFT_RWMUTEX_NAMED(name)                                                                   \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_RWMUTEX, name),                                                \
        {                                                                                          \
            0, 0, 0, 0, 0, 0, 0, 0                                                                 \
        }                                                                                          \
    }

/**
 * weft_rwmutex_init - make a rwmutex in the caller's storage, unlocked.
 * @m:    storage.
 * @name: for reports, borrowed for the rwmutex's life; or NULL.
 *
 * Not needed where WEFT_RWMUTEX_INIT was used or all bytes are zero.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know it.
 * Since 0.1. See weft_rwmutex_fini.
 */
WEFT_API void weft_rwmutex_init(weft_rwmutex *m, const char *name);

/**
 * weft_rwmutex_fini - the rwmutex will not be used any more.
 * @m: rwmutex; NULL does nothing. Locked, or waited for: misuse.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, when no other uses it.
 * Since 0.1. See weft_rwmutex_init.
 */
WEFT_API void weft_rwmutex_fini(weft_rwmutex *m);

/**
 * weft_rwmutex_lock - lock for writing: alone.
 * @m: rwmutex. Write-locked by the caller already: misuse.
 *
 * Blocks:    parks the fiber, never the thread. Not a cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     all earlier unlocks, of readers and writers, happen-before the return.
 * Cost:      one lock pair when free; no allocation ever.
 * Since 0.1. Source: Go's sync.RWMutex.Lock. See weft_rwmutex_unlock.
 */
WEFT_API void weft_rwmutex_lock(weft_rwmutex *m);

/**
 * weft_rwmutex_try_lock - lock for writing if that is possible at once.
 * @m: rwmutex.
 *
 * Returns true when the caller holds it now; false if a writer or a reader does.
 * Blocks:    no.
 * Callable:  as weft_rwmutex_lock.
 * Order:     as weft_rwmutex_lock, if true.
 * Since 0.1. Source: Go's sync.RWMutex.TryLock. See weft_rwmutex_lock.
 */
WEFT_API WEFT_MUST_CHECK bool weft_rwmutex_try_lock(weft_rwmutex *m);

/**
 * weft_rwmutex_unlock - end the write lock.
 * @m: rwmutex. Not write-locked, or write-locked by another: misuse, which ends the process.
 *
 * Readers that wait go first, else the next writer.
 *
 * Blocks:    no.
 * Callable:  the fiber or plain thread that locked it.
 * Order:     happens-before the return of every later lock.
 * Since 0.1. Source: Go's sync.RWMutex.Unlock. See weft_rwmutex_lock.
 */
WEFT_API void weft_rwmutex_unlock(weft_rwmutex *m);

/**
 * weft_rwmutex_rlock - lock for reading, together with other readers.
 * @m: rwmutex. Write-locked by the caller: misuse.
 *
 * Blocks:    parks the fiber, never the thread, while a writer holds it or waits. Not a
 *            cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     the last write unlock happens-before the return. Readers do not order each other.
 * Cost:      one lock pair when no writer is about; no allocation ever.
 * Since 0.1. Source: Go's sync.RWMutex.RLock. See weft_rwmutex_runlock.
 */
WEFT_API void weft_rwmutex_rlock(weft_rwmutex *m);

/**
 * weft_rwmutex_try_rlock - lock for reading if that is possible at once.
 * @m: rwmutex.
 *
 * Returns true when the caller holds a read lock now; false if a writer holds the lock or waits.
 * Blocks:    no.
 * Callable:  as weft_rwmutex_rlock.
 * Order:     as weft_rwmutex_rlock, if true.
 * Since 0.1. Source: Go's sync.RWMutex.TryRLock. See weft_rwmutex_rlock.
 */
WEFT_API WEFT_MUST_CHECK bool weft_rwmutex_try_rlock(weft_rwmutex *m);

/**
 * weft_rwmutex_runlock - end one read lock.
 * @m: rwmutex. Not read-locked: misuse, which ends the process.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, by convention the one that locked it.
 * Order:     happens-before the return of a later write lock.
 * Since 0.1. Source: Go's sync.RWMutex.RUnlock. See weft_rwmutex_rlock.
 */
WEFT_API void weft_rwmutex_runlock(weft_rwmutex *m);

WEFT_END_DECLS
#endif
