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
 * L2  Locks are taken in rank order, and none is held across a park but those that its commit
 *     releases: rank.h has the order. Debug builds check both on every lock and every park;
 *     release builds take the caller's word.
 *
 * Blocking; not recursive; any thread. Happens-before: unlock -> the next lock [mo:lock].
 */
#ifndef WEFT_BASE_LOCK_H
#define WEFT_BASE_LOCK_H
#include <stddef.h>
#include <stdint.h>

#include "base/atomic.h"
#include "base/rank.h"

struct weft__lock {
    _Atomic uint32_t word;
};
#define WEFT__LOCK_INIT                                                                            \
    {                                                                                              \
        0                                                                                          \
    }

void weft__lock_slow(struct weft__lock *l);
void weft__unlock_slow(struct weft__lock *l);

static inline void weft__lock_word(struct weft__lock *l)
{
    uint32_t free_word = 0;
    if (__builtin_expect(!at_cas(&l->word, &free_word, 1), 0))
        weft__lock_slow(l);
}

/* Macros, so that a report can say where a lock was taken. */
#define WEFT__LINE_TEXT_(line) #line
#define WEFT__LINE_TEXT(line) WEFT__LINE_TEXT_(line)
#define WEFT__HERE __FILE_NAME__ ":" WEFT__LINE_TEXT(__LINE__)

/** Takes l, which is of this rank. */
#define weft__lock(l, rank) weft__lock_of(l, rank, NULL)
/** The same, and it belongs to this weft_object: under it, user memory is touched. */
#define weft__lock_of(l, rank, object)                                                             \
    (weft__rank_take(l, rank, object, NULL, WEFT__HERE), weft__lock_word(l))
/** Takes l while `above`, its parent in a tree of locks of one rank, is held. */
#define weft__lock_below(l, rank, above)                                                           \
    (weft__rank_take(l, rank, NULL, above, WEFT__HERE), weft__lock_word(l))

static inline void weft__unlock(struct weft__lock *l)
{
    weft__rank_drop(l);
    if (__builtin_expect(at_xchg(&l->word, 0) == 2, 0))
        weft__unlock_slow(l);
}
#endif
