// SPDX-License-Identifier: Apache-2.0
/*
 * weft/barrier.h - a number of parties that go on only when all have arrived; again and again.
 *
 * Storage as weft_mutex. It may be freed once all parties have returned from their last wait.
 */
#ifndef WEFT_BARRIER_H
#define WEFT_BARRIER_H
#include <weft/base.h>
#include <weft/object.h>

WEFT_BEGIN_DECLS

/** struct weft_barrier - 80 bytes, the contents are the library's. */
typedef struct weft_barrier {
    struct weft_object object_;
    uint32_t parties_, arrived_;
    uint64_t state_[5];
} weft_barrier;

/* Static initialisers: for so many parties (at least 1), without and with a name for reports. */
#define WEFT_BARRIER_INIT(parties) WEFT_BARRIER_NAMED(parties, 0)
#define WEFT_BARRIER_NAMED(parties, name)                                                          \
    {                                                                                              \
        WEFT_OBJECT_INIT_(WEFT_KIND_BARRIER, name), (parties), 0,                                  \
        {                                                                                          \
            0, 0, 0, 0, 0                                                                          \
        }                                                                                          \
    }

/**
 * weft_barrier_init - make a barrier in the caller's storage.
 * @b:       storage.
 * @parties: how many must arrive; 0 is misuse.
 * @name:    for reports, borrowed for its life; or NULL.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, before others know it.
 * Since 0.1. See weft_barrier_fini.
 */
WEFT_API void weft_barrier_init(weft_barrier *b, uint32_t parties, const char *name);

/**
 * weft_barrier_fini - the barrier will not be used any more.
 * @b: barrier; NULL does nothing. Waited for: misuse.
 *
 * Blocks:    no.
 * Callable:  any fiber or plain thread, when no other uses it.
 * Since 0.1. See weft_barrier_init.
 */
WEFT_API void weft_barrier_fini(weft_barrier *b);

/**
 * weft_barrier_wait - arrive, and wait until all parties have.
 * @b: barrier.
 *
 * Returns 1 in the party that arrived last, 0 in the others; the barrier is then ready for the next
 * round.
 *   -ECANCELED / -ETIMEDOUT the fiber's context ended before all had arrived: at once, if it had
 *   before the call. Its arrival is taken back, the others wait on.
 * Blocks:    parks the fiber, never the thread. Cancellation point.
 * Callable:  any fiber; a plain thread too (it then blocks that thread). Not from signal handlers.
 * Order:     all arrivals of a round happen-before all its returns.
 * Cost:      one lock, no allocation.
 * Since 0.1. See weft_waitgroup_wait.
 */
WEFT_API int weft_barrier_wait(weft_barrier *b);

WEFT_END_DECLS
#endif
