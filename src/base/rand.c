// SPDX-License-Identifier: Apache-2.0
/* rand.c - where the seed of a run comes from (rand.h). */
#include "base/rand.h"

#include <stdlib.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "base/atomic.h"
#include "base/futex.h"

uint64_t weft__rand_seed(void)
{
    static _Atomic uint64_t seed;
    uint64_t s = at_load(&seed), none = 0;
    if (s)
        return s;
    const char *env = getenv("WEFT_SEED");
    if (env)
        s = strtoull(env, NULL, 0);
    else if (weft__syscall(SYS_getrandom, (long)&s, sizeof s, GRND_NONBLOCK, 0, 0, 0) != sizeof s)
        s = (uint64_t)weft__clock_ns();
    if (s == 0)
        s = 1;
    return at_cas(&seed, &none, s) ? s : none;
}
