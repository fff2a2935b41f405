// SPDX-License-Identifier: Apache-2.0
/* quiet.h - writing to pipes, terminals and the like without SIGPIPE; quiet.c has the ways and the
 * invariants. */
#ifndef WEFT_IO_QUIET_H
#define WEFT_IO_QUIET_H
#include <sys/uio.h>

/** writev(2) that raises no signal: -EPIPE is all that tells of a pipe that nobody reads. Inside
 *  weft__enter/leave or a blocking section (Q3). */
long weft__writev_quietly(int fd, const struct iovec *iov, long count);
#endif
