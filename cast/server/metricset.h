// SPDX-License-Identifier: Apache-2.0
/*
 * metricset.h - the server's numbers under their names: Centrifugo's where they have a meaning here
 * (centrifugo_*), and weftcast_* for what only weftcast has. Both /metrics (metricspage.c) and the
 * answer to `info` (nodemetrics.h) are made of this list.
 *
 * Counts of messages sent are taken when a message is appended for so many subscribers, not when
 * each has got it; what slow or gone subscribers miss of it is in the disconnects.
 */
#ifndef CAST_METRICSET_H
#define CAST_METRICSET_H
#include "server/totals.h"

struct metric {
    const char *name, *help;
    bool counter;                    /* else a gauge */
    const char *label, *label_value; /* NULL, NULL: none */
    uint64_t value;
};
typedef void metric_fn(void *arg, const struct metric *m);

/** Calls fn with each; those of one name follow each other. m is borrowed for the call, but name,
 * help and label are good for ever. */
void metrics_each(const struct totals *t, metric_fn *fn, void *arg);
#endif
