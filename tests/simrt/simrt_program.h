// SPDX-License-Identifier: Apache-2.0
/*
 * simrt_program.h - a program on a runtime of its own, with a known answer, explored in three ways.
 */
#ifndef SIMRT_PROGRAM_H
#define SIMRT_PROGRAM_H
#include <weft/run.h>

#include "simrt.h"

struct program {
    int (*app)(void *);  /* the first fiber's function */
    void (*reset)(void); /* of the test's statics; may be NULL */
    unsigned workers;
    int answer;
    void *arg; /* of the first fiber */
};

static inline void run_program(void *arg)
{
    const struct program *p = arg;
    weft_run_opts o = {.size = sizeof o, .workers = p->workers, .no_preempt = true};
    int result = -1;
    if (p->reset)
        p->reset();
    SIMRT_CHECK(weft_run(p->app, p->arg, &o, &result) == 0);
    SIMRT_CHECK(result == p->answer);
}

/* Each program in random mode, in random mode with store buffers, and in PCT mode. */
static inline void explore(struct program *p, const char *name, uint64_t schedules)
{
    struct simrt_opts o = {.name = name, .schedules = schedules};
    simrt_explore(run_program, p, &o);
    o.tso = true;
    simrt_explore(run_program, p, &o);
    o.mode = SIMRT_PCT;
    simrt_explore(run_program, p, &o);
}

#endif
