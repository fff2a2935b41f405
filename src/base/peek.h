// SPDX-License-Identifier: Apache-2.0
/* peek.h - reading memory that may be gone, for reports about what runs on meanwhile. */
#ifndef WEFT_BASE_PEEK_H
#define WEFT_BASE_PEEK_H
#include <stddef.h>

/** Reads bytes at an address that may be gone: 0 instead of a fault. Async-signal-safe. Costs a
 * system call. */
int weft__read_safely(const void *from, void *to, size_t bytes);
/** As many of the bytes as are there from `from` on, up to the first page that is not; how many. */
size_t weft__read_some(const void *from, void *to, size_t bytes);
#endif
