// SPDX-License-Identifier: Apache-2.0
/* simrt_rank.c - base/rank.c as it is, but for its thread-local list: the explorer's threads share
 * a real one, so the list is a global, and swapped with them. */
#include "simrt_core.h"

#define __thread
#define tls_model(model) unused
#include "base/rank.c"
#undef __thread

#ifndef NDEBUG
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
