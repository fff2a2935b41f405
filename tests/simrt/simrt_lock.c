// SPDX-License-Identifier: Apache-2.0
/* simrt_lock.c - base/lock.c as it is, but that patience ends when the explorer says so: a hundred
 * turns of a spin are one step for it, and to sleep or not to sleep is a choice. */
#include "simrt_core.h"

static bool simrt_patience(void)
{
    return simrt->o.mode != SIMRT_EXHAUSTIVE && simrt_draw(4, false);
}

#undef weft__cpu_pause
#define weft__cpu_pause() (simrt_pause(), i = simrt_patience() ? i : SPINS)
#include "base/lock.c"
