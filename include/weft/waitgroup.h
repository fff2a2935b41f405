// SPDX-License-Identifier: Apache-2.0
/*
 * weft/waitgroup.h - waiting until a number of things are done.
 *
 * A counter: add raises it, done lowers it, wait returns when it is zero. For fibers a scope
 * (weft/scope.h) does this and more; a waitgroup counts anything.
 *
 * Rules that are checked, and whose breach ends the process: the counter is never negative; an add
 * that raises it from zero does not race with a wait; a group is used again only after all waits
 * for the round before have returned.
 *
 * Storage as weft_mutex: the caller's, never copied or moved. It may be freed once a wait for its
 * last round has returned, if no other fiber still waits.
 */
#ifndef WEFT_WAITGROUP_H
#define WEFT_WAITGROUP_H
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_waitgroup - 72 bytes, the contents are the library's. All zero: counter 0. */
typedef struct weft_waitgroup {
    struct weft_object object_;
    uint64_t state_[5];
} weft_waitgroup;

/* Static initialisers: without and with a name for reports. */
#define WEFT_WAITGROUP_INIT WEFT_WAITGROUP_NAMED(0)
#define WEFT_WAITGROUP_NAMED(name)                                                                 \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_WAITGROUP, name),                                              \
        {                                                                                          \
            0, 0, 0, 0, 0                                                                          \
        }                                                                                          \
    }

/**
 * weft_waitgroup_init - make a waitgroup in the caller's storage, counter 0.
 * @w:    storage.
 * @name: for reports, borrowed for the waitgroup's life; or NULL.
 *
 * Not needed where WEFT_WAITGROUP_INIT was used or all bytes are zero.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know it.
 * Since 0.1. See weft_waitgroup_fini.
 */
WEFT_API void weft_waitgroup_init(weft_waitgroup *w, const char *name);

/**
 * weft_waitgroup_fini - the waitgroup will not be used any more.
 * @w: waitgroup; NULL does nothing. Counter not 0, or waited for: misuse.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, when no other uses it.
 * Since 0.1. See weft_waitgroup_init.
 */
WEFT_API void weft_waitgroup_fini(weft_waitgroup *w);

/**
 * weft_waitgroup_add - change the counter.
 * @w:     waitgroup.
 * @delta: added; may be negative. A negative counter is misuse, and so is raising it from 0 while
 *         somebody waits.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Order:     an add that lowers the counter happens-before the return of a wait that it ends.
 * Cost:      one atomic addition, and a wake-up for each who waits when it reaches 0.
 * Since 0.1. Source: Go's sync.WaitGroup.Add. See weft_waitgroup_done, weft_waitgroup_wait.
 */
WEFT_API void weft_waitgroup_add(weft_waitgroup *w, int delta);

/**
 * weft_waitgroup_done - lower the counter by one.
 * @w: waitgroup. A negative counter is misuse.
 *
 * Blocks:    no.
 * Callable:  as weft_waitgroup_add.
 * Order:     as weft_waitgroup_add.
 * Cost:      as weft_waitgroup_add.
 * Since 0.1. Source: Go's sync.WaitGroup.Done. See weft_waitgroup_wait.
 */
WEFT_API void weft_waitgroup_done(weft_waitgroup *w);

/**
 * weft_waitgroup_wait - wait until the counter is 0.
 * @w: waitgroup.
 *
 * Returns 0 when it was 0.
 *   -ECANCELED / -ETIMEDOUT the fiber's context ended: at once, if it had before the call. Then the
 *   others may still use w: do not free it.
 * Blocks:    parks the fiber, never the thread. Cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     see weft_waitgroup_add.
 * Cost:      one load when it is 0; no allocation ever.
 * Since 0.1. Source: Go's sync.WaitGroup.Wait. See weft_wait (of a scope).
 */
WEFT_API int weft_waitgroup_wait(weft_waitgroup *w);

WEFT_END_DECLS
#endif
