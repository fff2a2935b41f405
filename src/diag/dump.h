// SPDX-License-Identifier: Apache-2.0
/*
 * dump.h - all fibers as text: one by one with everything that is known, or grouped by stack with
 * counts.
 *
 * Each fiber: id, name, labels, state, reason, object (kind, name, creation site), since when,
 * stack with function, file and line, and where it was started. A dump is a racy snapshot: fibers
 * run on while it is taken; each line was true at some moment during it.
 */
#ifndef WEFT_DIAG_DUMP_H
#define WEFT_DIAG_DUMP_H
#include "diag/text.h"

/** Every fiber, for people. */
void weft__dump_all(struct weft__text *t);
/** Grouped by equal stacks, in the text format of Go's goroutine profile (debug=1), which `go tool
 * pprof` reads. */
void weft__dump_grouped(struct weft__text *t);
/** The current fiber and its stack. */
void weft__dump_self(struct weft__text *t);
#endif
