// SPDX-License-Identifier: Apache-2.0
/*
 * log.h - the few sentences that the library says on its own: what an operator must know and nobody
 * called for.
 *
 * Examples: a wrong value in WEFT_WORKERS, fibers left over when weft_run returned, a panic that
 * ended only its fiber. They go to the function set by weft_set_log, else to standard error as one
 * line "weft: warning: ...". Errors that a caller is told are never logged as well.
 *
 * Formatting needs no allocation (one line is cut at 1 KiB). Any thread, any fiber; never under a
 * lock, since the embedder's function may do as it likes.
 */
#ifndef WEFT_BASE_LOG_H
#define WEFT_BASE_LOG_H

/** @level: WEFT_LOG_ERROR ... of <weft/run.h>. */
void weft__log(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
#endif
