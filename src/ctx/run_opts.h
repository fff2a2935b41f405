// SPDX-License-Identifier: Apache-2.0
/* run_opts.h - weft_run's options with the environment over them, as the scheduler takes them. */
#ifndef WEFT_CTX_RUN_OPTS_H
#define WEFT_CTX_RUN_OPTS_H
#include <weft/run.h>

#include "sched/sched.h"

/** 0, or -EINVAL after a sentence to the log. */
int weft__options_read(const weft_run_opts *opts, struct weft__sched_opts *ret);
#endif
