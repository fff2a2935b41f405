// SPDX-License-Identifier: Apache-2.0
/* lock.c - the slow halves of lock.h: spin, then sleep in a futex. See lock.h for the protocol and
 * its invariants. */
#include "base/lock.h"

#include "arch/arch.h"
#include "base/futex.h"

enum { SPINS = 100 };

void weft__lock_slow(struct weft__lock *l)
{
    for (int i = 0; i < SPINS; i++) {
        uint32_t free_word = 0;
        if (at_load_rlx(&l->word) == 0 &&
            at_cas(&l->word, &free_word, 1)) /* [mo:alone: a hint; the CAS decides] */
            return;
        weft__cpu_pause();
    }
    while (at_xchg(&l->word, 2) != 0)
        weft__futex_wait(&l->word, 2, -1);
}

void weft__unlock_slow(struct weft__lock *l)
{
    weft__futex_wake(&l->word, 1);
}
