// SPDX-License-Identifier: Apache-2.0
/* metrics.h - the runtime's counters as Prometheus text. */
#ifndef WEFT_DIAG_METRICS_H
#define WEFT_DIAG_METRICS_H
#include "diag/text.h"

void weft__metrics_add(struct weft__text *t);
#endif
