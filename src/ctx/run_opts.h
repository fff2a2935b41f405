// SPDX-License-Identifier: Apache-2.0
/* run_opts.h - weft_run's options with the environment over them, as the scheduler takes them. */
#ifndef WEFT_CTX_RUN_OPTS_H
#define WEFT_CTX_RUN_OPTS_H
#include <weft/run.h>

#include "sched/sched.h"

/** 0, or -EINVAL after a sentence to the log. */
int weft__options_read(const weft_run_opts *opts, struct weft__sched_opts *ret);

/** weft_run under the simulator (sched/simulate.h), in run.c: one schedule. Its results, and
 * -ETIMEDOUT also where driver->failed was called. */
int weft__run_simulated(
    int (*fn)(void *), void *arg, const struct weft__sim_driver *driver, int *ret_result);
#endif
