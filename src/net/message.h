// SPDX-License-Identifier: Apache-2.0
/*
 * message.h - one incoming HTTP/1.1 message after the other off a stream: what server and client
 * have in common.
 *
 *     init ─> weft__message_head ─> weft__message_read ... ─> weft__message_next ─> init
 *
 * The head stays in the buffer, below in.base, while the body passes behind it, so the spans of
 * fields stay good for as long as the message. The owner initialises `head` for its kind first.
 *
 * M1  Between head and next, data[0, base) holds the head and does not move.
 *     weft__message_keep moves the head out of the buffer, for who gives the buffer away.
 * M2  error is sticky: after it nothing more is read, and the connection cannot be used again.
 *
 * Concurrency: one fiber at a time.
 */
#ifndef WEFT_NET_MESSAGE_H
#define WEFT_NET_MESSAGE_H
#include <weft/http1.h>

#include "net/netio.h"

enum { WEFT__HTTP_BUF_BYTES = 4096 };

struct weft__message {
    struct weft__stream s;
    struct weft_http1_head head;
    struct weft_http1_body body;
    size_t head_at; /* in the buffer */
    int error;      /* M2 */
    char *whole;    /* the body in one piece, if it was asked for */
    char *kept;     /* M1; the owner's to free */
};

/** Reads a head and makes the body ready. 1; 0 the peer ended before its first byte; -EBADMSG cut
 *  short or malformed, -EMSGSIZE, -EOPNOTSUPP (head.status says what to answer), -ETIMEDOUT, … */
int weft__message_head(struct weft__message *m, int64_t deadline_ns);
/** Moves the head into memory of its own, so that its spans outlive the buffer; before the body is
 *  read, once. 0 or -ENOMEM. */
int weft__message_keep(struct weft__message *m);
/** As weft_http_request_read. */
ssize_t weft__message_read(struct weft__message *m, void *buf, size_t bytes, int64_t deadline_ns);
/** As weft_http_request_body. */
int weft__message_whole(
    struct weft__message *m, size_t max, int64_t deadline_ns, struct weft_span *ret_body);
/** Reads and drops what is left of the body, at most max bytes. 0 it is done, else it is not. */
int weft__message_skip(struct weft__message *m, size_t max, int64_t deadline_ns);
/** Forgets the message; what came behind it stays. */
void weft__message_next(struct weft__message *m);
#endif
