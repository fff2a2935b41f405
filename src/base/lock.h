// SPDX-License-Identifier: Apache-2.0
/*
 * lock.h - the runtime's own lock: four bytes, held for nanoseconds, never across a park.
 *
 * The word is 0 free, 1 held, 2 held with (perhaps) sleepers. A taker spins briefly, since the
 * holder is about to leave, and then sleeps in a futex, since the kernel may have stopped the
 * holder for a whole time slice. Rejected: a pure spin lock (its release is a plain store, 2 ns
 * cheaper, but on two cores a preempted holder stalls the other for milliseconds).
 *
 * L1  A fiber's thread takes one of these only while it is inside the runtime (weft__enter), so
 *     that the monitor never stops a holder in a signal handler.
 * L2  Locks are taken in rank order (enum weft__rank), kept by hand: nothing checks it.
 *
 * Blocking; not recursive; any thread. Happens-before: unlock -> the next lock [mo:lock].
 */
#ifndef WEFT_BASE_LOCK_H
#define WEFT_BASE_LOCK_H
#include <stdbool.h>
#include <stdint.h>

#include "base/atomic.h"

struct weft__lock {
    _Atomic uint32_t word;
};
#define WEFT__LOCK_INIT                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

/* Lower ranks are taken first. Two locks of one rank are taken in address order (select). */
enum weft__rank {
    WEFT__RANK_SCOPE = 1, /* scope's bookkeeping */
    WEFT__RANK_CTX,       /* a context: children, fibers; parent before child */
    WEFT__RANK_SYNC,      /* channels and the sync kit's objects */
    WEFT__RANK_FD,        /* poller's per-fd state */
    WEFT__RANK_TIMER,     /* a worker's timer heap */
    WEFT__RANK_SCHED,     /* global queue, idle lists */
    WEFT__RANK_THREAD,    /* one thread's ownership of its worker */
    WEFT__RANK_STACK,     /* stack arenas */
};

void weft__lock_slow(struct weft__lock *l);
void weft__unlock_slow(struct weft__lock *l);

static inline void weft__lock(struct weft__lock *l)
{
    uint32_t free_word = 0;
    if (__builtin_expect(!at_cas(&l->word, &free_word, 1), 0))
        weft__lock_slow(l);
}

static inline bool weft__trylock(struct weft__lock *l)
{
    uint32_t free_word = 0;
    return at_cas(&l->word, &free_word, 1);
}

static inline void weft__unlock(struct weft__lock *l)
{
    if (__builtin_expect(at_xchg(&l->word, 0) == 2, 0))
        weft__unlock_slow(l);
}
#endif
