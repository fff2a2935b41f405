// SPDX-License-Identifier: Apache-2.0
/* sim_test.h - what the tests of the simulator share: a program that must fail, and one that must
 * not. */
#ifndef SIM_TEST_H
#define SIM_TEST_H
#include <weft/sim.h>

#include "test.h"

/* Within so many schedules chance finds each mistake here; a miss has a probability below 1e-9. */
enum { RANDOM_TRIES = 2000 };

#define EXHAUSTIVE()                                                                               \
    (&(weft_sim_opts){.size = sizeof(weft_sim_opts), .mode = WEFT_SIM_EXHAUSTIVE, .quiet = true})

static inline weft_sim_opts chance(enum weft_sim_mode mode)
{
    return (weft_sim_opts){.size = sizeof(weft_sim_opts),
        .mode = mode,
        .seed = test_seed() | 1,
        .schedules = RANDOM_TRIES,
        .quiet = true};
}

/* fn fails in each mode, with this result and these words; the schedule's string brings it back,
 * with the same steps. The exhaustive search's text, to be freed. */
static inline char *finds(int (*fn)(void *), int result, const char *words)
{
    char *text = NULL;
    for (int mode = WEFT_SIM_RANDOM; mode <= WEFT_SIM_EXHAUSTIVE; mode++) {
        weft_sim_report *r, *again;
        weft_sim_opts o =
            mode == WEFT_SIM_EXHAUSTIVE ? *EXHAUSTIVE() : chance((enum weft_sim_mode)mode);
        int rc = weft_sim_run(fn, NULL, &o, &r);
        CHECK_MSG(
            rc == result, "mode %d: %d instead of %d: %s", mode, rc, result, weft_sim_text(r));
        CHECK_MSG(strstr(weft_sim_text(r), words), "mode %d: no \"%s\" in: %s", mode, words,
            weft_sim_text(r));
        CHECK(!weft_sim_complete(r));
        setenv("WEFT_SIM_REPLAY", weft_sim_replay(r), 1);
        rc = weft_sim_run(fn, NULL, &o, &again);
        unsetenv("WEFT_SIM_REPLAY");
        CHECK_MSG(rc == result, "mode %d, again by %s: %d: %s", mode, weft_sim_replay(r), rc,
            weft_sim_text(again));
        CHECK_EQ(weft_sim_schedules(again), 1);
        CHECK_STR(weft_sim_steps(again), weft_sim_steps(r));
        CHECK_STR(weft_sim_replay(again), weft_sim_replay(r));
        if (mode == WEFT_SIM_EXHAUSTIVE)
            text = strdup(weft_sim_text(r));
        weft_sim_report_free(r);
        weft_sim_report_free(again);
    }
    return text;
}

/* fn never fails, and exhaustive search says so of all schedules. */
static inline void passes(int (*fn)(void *))
{
    for (int mode = WEFT_SIM_RANDOM; mode <= WEFT_SIM_EXHAUSTIVE; mode++) {
        weft_sim_report *r;
        weft_sim_opts o =
            mode == WEFT_SIM_EXHAUSTIVE ? *EXHAUSTIVE() : chance((enum weft_sim_mode)mode);
        int rc = weft_sim_run(fn, NULL, &o, &r);
        CHECK_MSG(rc == 0, "mode %d: %d: %s", mode, rc, weft_sim_text(r));
        CHECK_EQ(weft_sim_complete(r), mode == WEFT_SIM_EXHAUSTIVE);
        weft_sim_report_free(r);
    }
}
#endif
