// SPDX-License-Identifier: Apache-2.0
/* simrt_rank.c - base/rank.c as it is, but for its thread-local list: the explorer's threads share
 * a real one, so the list is a global, and swapped with them. Whoever takes a lock is asked where
 * he is (J3). */
#include "simrt_core.h"

#define __thread
#define tls_model(model) unused
#define weft__rank_take take_ranked
#include "base/rank.c"
#undef weft__rank_take
#undef __thread

#ifndef NDEBUG
void weft__rank_take(const struct weft__lock *l, enum weft__rank rank, const void *object,
    const struct weft__lock *above, const char *where);
void weft__rank_take(const struct weft__lock *l, enum weft__rank rank, const void *object,
    const struct weft__lock *above, const char *where)
{
    if (simrt && simrt->cur && simrt_outside())
        simrt_fail("a fiber takes a lock outside the runtime, at %s (J3)", where);
    take_ranked(l, rank, object, above, where);
}

void simrt_rank_swap(char *out, const char *in)
{
    const unsigned fixed = sizeof mine - sizeof mine.at;
    _Static_assert(sizeof mine <= sizeof simrt->cur->held, "room for the list");
    memcpy(out, (char *)&mine + sizeof mine.at, fixed);
    memcpy(out + fixed, mine.at, mine.count * sizeof *mine.at);
    memcpy((char *)&mine + sizeof mine.at, in, fixed);
    memcpy(mine.at, in + fixed, mine.count * sizeof *mine.at);
}
#else
void simrt_rank_swap(char *out, const char *in)
{
    (void)out;
    (void)in;
}
#endif
