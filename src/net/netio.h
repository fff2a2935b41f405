// SPDX-License-Identifier: Apache-2.0
/*
 * netio.h - one connection's bytes: a buffer to read into, reads and writes with a deadline of
 * their own, and the polite way to hang up.
 *
 * weft_read and weft_write know the ambient context only. A server wants a time limit on each wait
 * of each connection, and a context with a time-out costs an allocation and two locks; a deadline
 * handed to the poller costs a timer, and only where the call has to wait. So HTTP and WebSocket
 * read and write here. The context is honoured all the same.
 *
 *      data        base        at          end         cap
 *       | kept       | taken    | unread    | free      |
 *
 * N1  data[0, base) stays where it is: a head whose spans are in somebody's hands. Reading never
 *     moves it; only weft__buf_grow does.
 * N2  base <= at <= end <= cap; an empty buffer starts again at base.
 * N3  After a read that came back short the socket is empty, so the next one waits first, as long
 *     as the peer has not hung up (weft__fd_hung_up): a keep-alive request costs one read.
 *
 * Deadlines are points on the monotonic clock, -1 for none.
 * Concurrency: one fiber may read while another writes; two of one kind may not.
 */
#ifndef WEFT_NET_NETIO_H
#define WEFT_NET_NETIO_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct weft__buf {
    char *data;
    size_t base, at, end, cap;
};

struct weft__stream {
    int fd;
    bool emptied; /* N3 */
    struct weft__buf in;
};

static inline size_t weft__buf_unread(const struct weft__buf *b)
{
    return b->end - b->at;
}

/** 0 or -ENOMEM. */
int weft__buf_init(struct weft__buf *b, size_t cap);
void weft__buf_fini(struct weft__buf *b);
/** At least twice the room, but at most max. 0, -ENOBUFS it has max already, -ENOMEM. Moves
 * data. */
int weft__buf_grow(struct weft__buf *b, size_t max);
/** Back to cap bytes if it is larger and nothing is kept or unread. Keeps the large one if there is
 * no memory. */
void weft__buf_shrink(struct weft__buf *b, size_t cap);

/** Reads more behind what is unread. Bytes (> 0), 0 at the end, -ENOBUFS no room, -ETIMEDOUT the
 *  deadline passed or the context's did, -ECANCELED, or the kernel's error. */
ssize_t weft__stream_fill(struct weft__stream *s, int64_t deadline_ns);

/** Writes all of it; iov is used up, and after an error holds what did not go out. wait_ns: how
 *  long each wait for room may last, -1 no limit. 0 or an error; *ret_sent (may be NULL): bytes
 *  that went out, also on an error. */
int weft__net_send(int fd, struct iovec *iov, int count, int64_t wait_ns, size_t *ret_sent);

/** Ends our side and drops what comes until the peer ends its own, for at most limit_ns: closing
 *  with bytes unread would reset the connection, and the peer might lose what we sent last. */
void weft__net_linger(int fd, int64_t limit_ns);

/** A point in time from a limit: -1 stays "none". */
int64_t weft__net_deadline(int64_t timeout_ns);
/** An option's limit: 0 the default, negative none (-1). */
static inline int64_t weft__net_limit(int64_t option_ns, int64_t default_ns)
{
    return option_ns == 0 ? default_ns : option_ns < 0 ? -1 : option_ns;
}
#endif
