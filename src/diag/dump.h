// SPDX-License-Identifier: Apache-2.0
/*
 * dump.h - all fibers and pinned loops as text: one by one with everything that is known, or
 * grouped by stack with counts.
 *
 * Each fiber: id, name, labels, state, reason, object (kind, name, creation site), since when,
 * stack with function, file and line, and where it was started. A dump is a racy snapshot: fibers
 * run on while it is taken; each line was true at some moment during it.
 */
#ifndef WEFT_DIAG_DUMP_H
#define WEFT_DIAG_DUMP_H
#include <stdint.h>

#include "diag/text.h"

/** Every fiber and every pinned loop, for people. */
void weft__dump_all(struct weft__text *t);
/** Grouped by equal stacks, in the text format of Go's goroutine profile (debug=1), which `go tool
 * pprof` reads. A loop counts as one, with its thread's stack. The memory map at the end is for
 * pprof too: without it there is no file that an address could belong to, and no question for
 * names is asked, neither of the file nor of /debug/pprof/symbol. */
void weft__dump_grouped(struct weft__text *t);
/** The current fiber and its stack. */
void weft__dump_self(struct weft__text *t);

/* dump_loop.c */
/** Every pinned loop, for people. */
void weft__dump_loops(struct weft__text *t);
/** Calls fn with the stack of each loop's thread; n = 0: it could not be had. */
void weft__dump_loop_stacks(void (*fn)(const uintptr_t *pcs, int n, void *arg), void *arg);

/* dump.c, for dump_loop.c */
void weft__dump_frames(struct weft__text *t, const uintptr_t *pcs, int n);
void weft__dump_duration(struct weft__text *t, int64_t ns);
#endif
