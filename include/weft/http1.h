// SPDX-License-Identifier: Apache-2.0
/*
 * weft/http1.h - HTTP/1.1 as pure functions over bytes: heads, bodies, and what is inside them.
 *
 * Nothing here reads, writes, allocates, parks or keeps a thread-local; every function is callable
 * from a fiber, a pinned loop, a plain thread or a signal handler. Objects are the caller's storage
 * and belong to one thread of control at a time. Connection handling lives in weft/http.h.
 *
 * A message in, step by step:
 *
 *     struct weft_http1_head h;                       // once a message
 *     weft_http1_request_init(&h, NULL);
 *     n = weft_http1_head_parse(&h, buf, len);        // again with more bytes while -EAGAIN
 *     ... n bytes were the head; buf + n is the body's first byte
 *     struct weft_http1_body b;
 *     weft_http1_body_init(&b, &h);
 *     while (!b.done)                                  // data is a span into the input
 *         used = weft_http1_body_read(&b, in, in_len, &data);
 *
 * The bytes of one head must lie together in memory, but may move between two calls (a growing
 * buffer): positions are kept as offsets. Spans are taken from the buffer of the last call, and
 * stay good until those bytes move or change.
 *
 * Strict on purpose, as every laxity is somebody's request smuggling: bare LF, bare CR, NUL, folded
 * lines, white space before the colon, Content-Length beside Transfer-Encoding, two lengths that
 * differ, an unknown or doubled transfer coding, and HTTP/1.1 without exactly one Host are refused.
 * The reason for each check stands in src/proto/http1_head.c.
 */
#ifndef WEFT_HTTP1_H
#define WEFT_HTTP1_H
#include <weft/base.h>
#include <weft/span.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

WEFT_BEGIN_DECLS

/* Hard bound on the fields of one head, whatever the limits say. */
#define WEFT_HTTP1_FIELDS_MAX 100

/** enum weft_http1_method - the methods of RFC 9110 and RFC 5789; all others are OTHER. */
enum weft_http1_method {
    WEFT_HTTP1_OTHER,
    WEFT_HTTP1_GET,
    WEFT_HTTP1_HEAD,
    WEFT_HTTP1_POST,
    WEFT_HTTP1_PUT,
    WEFT_HTTP1_DELETE,
    WEFT_HTTP1_CONNECT,
    WEFT_HTTP1_OPTIONS,
    WEFT_HTTP1_TRACE,
    WEFT_HTTP1_PATCH
};

/** enum weft_http1_framing - how the body after a head ends. */
enum weft_http1_framing {
    WEFT_HTTP1_NO_BODY,    /* the next message follows at once */
    WEFT_HTTP1_LENGTH,     /* after content_length bytes */
    WEFT_HTTP1_CHUNKED,    /* with the last chunk and its trailers */
    WEFT_HTTP1_UNTIL_CLOSE /* with the connection; responses only */
};

/** struct weft_http1_limits - what one message may cost; a zero member means its default. */
struct weft_http1_limits {
    size_t size;         /* sizeof (struct weft_http1_limits), so that it can grow */
    size_t line_bytes;   /* request or status line, and each field line; default 8192 */
    size_t head_bytes;   /* the whole head, and a trailer section; default 65536 */
    size_t fields;       /* field lines; default and most: WEFT_HTTP1_FIELDS_MAX */
    uint64_t body_bytes; /* decoded body; default 1 MiB; UINT64_MAX: no limit */
};

/** struct weft_http1_field - where one field lies in the head; read it by weft_http1_field_at. */
struct weft_http1_field {
    uint32_t name_at, name_bytes, value_at, value_bytes;
};

/**
 * struct weft_http1_head - a parsed head, of a request or of a response.
 *
 * About 1.8 KB, of which init touches little. Members above the line are results, good once
 * weft_http1_head_parse has returned a positive number (status and problem: after an error).
 */
struct weft_http1_head {
    /* requests */
    enum weft_http1_method method;
    struct weft_span method_name; /* as sent; methods are case-sensitive */
    struct weft_span target;      /* as sent */
    struct weft_span path;        /* still percent-encoded; "/" where an absolute target has none */
    struct weft_span query;       /* after '?', without it; absent where there is no '?' */
    struct weft_span host;        /* host[:port]: of an absolute target, else the Host field's */
    bool expect_continue;         /* the client waits for "100 Continue" before its body */
    /* responses */
    int code;
    struct weft_span reason;
    /* both */
    int minor; /* HTTP/1.minor: 0, or 1 for 1.1 and later */
    enum weft_http1_framing framing;
    uint64_t content_length; /* with WEFT_HTTP1_LENGTH */
    bool keep_alive;         /* the connection may carry another message after this one */
    bool upgrade;            /* has an Upgrade field that Connection names */
    size_t field_count;
    /* after an error */
    int status;          /* what to answer: 400, 413, 414, 417, 431, 501, 505; 502 for responses */
    const char *problem; /* static sentence for a log */
    /* ---- private from here ---- */
    const char *base;
    struct weft_http1_limits limits;
    uint32_t pos, scanned;
    uint8_t kind, state, asked;
    uint8_t seen;
    int16_t error;
    struct weft_http1_field line; /* method and target, or nothing and reason */
    struct weft_http1_field fields[WEFT_HTTP1_FIELDS_MAX];
};

/**
 * weft_http1_request_init - makes h ready for the next request.
 * @h:      caller's storage; nothing to undo later.
 * @limits: copied; NULL for the defaults.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Cost:      a few stores; the field table is not touched.
 * Since 0.1. See weft_http1_head_parse.
 */
WEFT_API void weft_http1_request_init(
    struct weft_http1_head *h, const struct weft_http1_limits *limits);

/**
 * weft_http1_response_init - makes h ready for the response to a request of method `asked`.
 * @h:      caller's storage; nothing to undo later.
 * @limits: copied; NULL for the defaults.
 * @asked:  method of the request: a response to HEAD has no body, whatever its fields say.
 *
 * Interim responses (100 to 199 without 101) are heads of their own: init and parse again after
 * one.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 9112 §6.3. See weft_http1_head_parse.
 */
WEFT_API void weft_http1_response_init(struct weft_http1_head *h,
    const struct weft_http1_limits *limits, enum weft_http1_method asked);

/**
 * weft_http1_trailer_init - makes h ready for the trailer section of a chunked body.
 * @h:      caller's storage; nothing to undo later.
 * @limits: copied; NULL for the defaults.
 *
 * For callers that set keep_trailers in their weft_http1_body. Trailers that would change framing
 * or routing (Content-Length, Transfer-Encoding, Host, Connection ...) are refused.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 9110 §6.5.1. See weft_http1_body_init.
 */
WEFT_API void weft_http1_trailer_init(
    struct weft_http1_head *h, const struct weft_http1_limits *limits);

/**
 * weft_http1_head_parse - parses a head as far as it has come.
 * @h:   initialised for its kind; borrowed.
 * @buf: len bytes from the first of this message on, everything received so far; may have moved
 *       since the last call but must begin with the same bytes. Spans of h point into it.
 * @len: at least as many as in the last call.
 *
 * Returns the bytes that the head took, its empty line included (> 0).
 *   -EAGAIN    not yet whole: call again with more bytes.
 *   -EBADMSG   malformed; -EMSGSIZE a limit is passed; -EOPNOTSUPP what this side does not do.
 *   In these three cases h->status says what to answer and h->problem why; h stays failed.
 * Feeding byte by byte gives the same result as feeding all at once. Called again after success, it
 * returns the same and takes the spans from the new place, for callers that moved the bytes.
 * Blocks:    no.
 * Callable:  anywhere.
 * Cost:      each byte is looked at about twice however it arrives, no allocation.
 * Since 0.1. Source: RFC 9112 §2-§7. See weft_http1_field_get, weft_http1_body_init.
 */
WEFT_API ssize_t weft_http1_head_parse(struct weft_http1_head *h, const char *buf, size_t len);

/**
 * weft_http1_field_get - value of the first field with this name.
 * @h:    parsed head; borrowed.
 * @name: NUL-terminated, any case.
 *
 * Returns the value without white space around it; absent (data NULL) where there is no such field.
 * Blocks:    no.
 * Callable:  anywhere.
 * Cost:      linear in the fields; names of another length cost one comparison.
 * Since 0.1. Source: RFC 9110 §5. See weft_http1_field_at, weft_http1_field_has_token.
 */
WEFT_API struct weft_span weft_http1_field_get(const struct weft_http1_head *h, const char *name);

/**
 * weft_http1_field_at - field number `index`, in the order sent.
 * @h:         parsed head; borrowed.
 * @index:     below h->field_count.
 * @ret_name:  as sent; may be NULL.
 * @ret_value: without white space around it; may be NULL.
 *
 * Returns true; false where index is past the last.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_field_get.
 */
WEFT_API bool weft_http1_field_at(const struct weft_http1_head *h, size_t index,
    struct weft_span *ret_name, struct weft_span *ret_value);

/**
 * weft_http1_field_has_token - whether a list field holds a token, over all fields of that name.
 * @h:     parsed head; borrowed.
 * @name:  field name, any case.
 * @token: compared without case, e.g. "upgrade" in "keep-alive, Upgrade".
 *
 * Returns true when it does.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 9110 §5.6.1. See weft_http1_list_next.
 */
WEFT_API bool weft_http1_field_has_token(
    const struct weft_http1_head *h, const char *name, const char *token);

/**
 * weft_http1_list_next - takes the next element from a comma-separated list.
 * @rest:     what is left of the list; moved on. Start with the field's value.
 * @ret_item: the element without white space around it; empty elements are passed over.
 *
 * Returns true with an element; false at the end.
 * Blocks:    no.
 * Callable:  anywhere.
 * Limits:    a comma inside a quoted string also separates.
 * Since 0.1. Source: RFC 9110 §5.6.1.
 */
WEFT_API bool weft_http1_list_next(struct weft_span *rest, struct weft_span *ret_item);

/** struct weft_http1_body - where the reading of one body stands. 40 bytes or so. */
struct weft_http1_body {
    bool done;           /* everything up to the next message has been taken */
    bool keep_trailers;  /* set after init: leave a trailer section to the caller, see below */
    bool at_trailers;    /* done, with keep_trailers, and the trailer section follows */
    int status;          /* after an error: 400 or 413 (requests), 502 (responses) */
    const char *problem; /* after an error: static sentence */
    uint64_t taken;      /* decoded bytes so far */
    /* ---- private from here ---- */
    uint64_t left, limit;
    uint32_t extra, extra_limit;
    uint8_t state, framing, digits;
    bool is_response;
    int16_t error;
};

/**
 * weft_http1_body_init - makes b ready for the body after head h.
 * @b: caller's storage; nothing to undo later.
 * @h: parsed head: framing and limits are taken from it (and not looked at afterwards).
 *
 * A body that is empty by its head is done at once. With b->keep_trailers set before the first
 * read, reading ends after the last chunk with at_trailers, and the section is parsed as a head of
 * its own (weft_http1_trailer_init); otherwise trailers are checked and dropped.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_body_read.
 */
WEFT_API void weft_http1_body_init(struct weft_http1_body *b, const struct weft_http1_head *h);

/**
 * weft_http1_body_read - takes body bytes from the input.
 * @b:        state; borrowed.
 * @in:       the next len bytes of the connection; nothing of earlier calls is needed any more.
 * @ret_data: decoded bytes, a span into `in`; may come out empty (len 0).
 *
 * Returns the bytes taken, data and framing together; call again with the rest until b->done.
 *   Each call yields at most one span; with input left and not done it always takes something.
 *   -EBADMSG malformed; -EMSGSIZE past a limit. b->status and b->problem say more; b stays failed.
 * Bodies that run until close are never done: tell weft_http1_body_eof.
 * Blocks:    no.
 * Callable:  anywhere.
 * Cost:      proportional to the framing, not to the data: chunks are not copied.
 * Since 0.1. Source: RFC 9112 §6, §7.1. See weft_http1_body_eof.
 */
WEFT_API ssize_t weft_http1_body_read(
    struct weft_http1_body *b, const char *in, size_t len, struct weft_span *ret_data);

/**
 * weft_http1_body_eof - tells that the peer has closed.
 * @b: state; borrowed.
 *
 * Returns 0 where the body is whole (b->done is then set), -EBADMSG where it was cut short.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 9112 §8.
 */
WEFT_API int weft_http1_body_eof(struct weft_http1_body *b);

/* Room for what weft_http1_chunk_head writes, and the end of every chunked body. */
#define WEFT_HTTP1_CHUNK_HEAD_BYTES 18
#define WEFT_HTTP1_CHUNK_END "\r\n"
#define WEFT_HTTP1_LAST_CHUNK "0\r\n\r\n"

/**
 * weft_http1_chunk_head - writes the line before a chunk's data.
 * @out:         at least WEFT_HTTP1_CHUNK_HEAD_BYTES; not NUL-terminated.
 * @chunk_bytes: size of the data, more than 0 (a chunk of 0 would end the body).
 *
 * Returns the bytes written. After the data comes WEFT_HTTP1_CHUNK_END; after the last chunk
 * WEFT_HTTP1_LAST_CHUNK.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 9112 §7.1.
 */
WEFT_API size_t weft_http1_chunk_head(char *out, uint64_t chunk_bytes);

/**
 * struct weft_http1_writer - formats one head into the caller's buffer.
 *
 * Errors stick, so that only weft_http1_write_end needs a check.
 */
struct weft_http1_writer {
    char *buf;
    size_t cap, len;
    int error; /* 0, -ENOBUFS, or -EINVAL */
};

/**
 * weft_http1_write_response - begins a response head: "HTTP/1.1 CODE REASON".
 * @w:    overwritten; nothing to undo later.
 * @buf:  cap bytes that the head goes to; borrowed until write_end.
 * @code: 100 to 999.
 *
 * The reason phrase is weft_http1_reason(code).
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_write_field, weft_http1_write_end.
 */
WEFT_API void weft_http1_write_response(
    struct weft_http1_writer *w, char *buf, size_t cap, int code);

/**
 * weft_http1_write_request - begins a request head: "METHOD TARGET HTTP/1.1" and Host.
 * @w:      overwritten; nothing to undo later.
 * @buf:    cap bytes that the head goes to; borrowed until write_end.
 * @method: a token such as "GET".
 * @target: "/path?query", already percent-encoded; white space and controls are refused.
 * @host:   "host" or "host:port".
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_write_field, weft_http1_write_end.
 */
WEFT_API void weft_http1_write_request(struct weft_http1_writer *w, char *buf, size_t cap,
    const char *method, struct weft_span target, struct weft_span host);

/**
 * weft_http1_write_field - adds "name: value".
 * @w:     begun; borrowed.
 * @name:  a token, NUL-terminated.
 * @value: any bytes but controls; absent counts as empty.
 *
 * A value with CR, LF or NUL is refused (-EINVAL at write_end): no header is injected through it.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_write_text, weft_http1_write_number.
 */
WEFT_API void weft_http1_write_field(
    struct weft_http1_writer *w, const char *name, struct weft_span value);

/**
 * weft_http1_write_text - weft_http1_write_field with a NUL-terminated value.
 * @w:     begun; borrowed.
 * @name:  a token, NUL-terminated.
 * @value: NUL-terminated.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_write_field.
 */
WEFT_API void weft_http1_write_text(
    struct weft_http1_writer *w, const char *name, const char *value);

/**
 * weft_http1_write_number - weft_http1_write_field with a decimal number (Content-Length).
 * @w:     begun; borrowed.
 * @name:  a token, NUL-terminated.
 * @value: written in decimal.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_write_field.
 */
WEFT_API void weft_http1_write_number(
    struct weft_http1_writer *w, const char *name, uint64_t value);

/**
 * weft_http1_write_end - ends the head with its empty line.
 * @w: begun; borrowed.
 *
 * Returns the bytes of the head in the buffer.
 *   -ENOBUFS it did not fit; -EINVAL a name, value, target, host or code was not allowed.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_write_response.
 */
WEFT_API ssize_t weft_http1_write_end(struct weft_http1_writer *w);

/**
 * weft_http1_reason - the registered phrase of a status code.
 * @code: e.g. 404.
 *
 * Returns a static string ("Not Found"); "" for a code that nobody registered.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: IANA HTTP status code registry; RFC 9110 §15.
 */
WEFT_API const char *weft_http1_reason(int code);

/* Bytes of a date, without NUL: "Sun, 06 Nov 1994 08:49:37 GMT". */
#define WEFT_HTTP1_DATE_BYTES 29

/**
 * weft_http1_date - writes a point in time as the Date field wants it.
 * @out:    WEFT_HTTP1_DATE_BYTES bytes; not NUL-terminated.
 * @unix_s: seconds since 1970, 0 to the end of year 9999; outside it is clamped.
 *
 * Blocks:    no.
 * Callable:  anywhere; no locale, no time zone, no lock.
 * Since 0.1. Source: RFC 9110 §5.6.7 (IMF-fixdate).
 */
WEFT_API void weft_http1_date(char *out, int64_t unix_s);

/**
 * weft_http1_percent_decode - undoes percent-encoding.
 * @in:            borrowed.
 * @plus_is_space: true in query strings and forms, false in paths.
 * @out:           cap bytes; may be in.data itself (decoding never grows). Not NUL-terminated.
 *
 * Returns the bytes written.
 *   -EINVAL a '%' without two hexadecimal digits; -ENOBUFS out is too small.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 3986 §2.1; URL Standard (forms). See weft_http1_query_next.
 */
WEFT_API ssize_t weft_http1_percent_decode(
    struct weft_span in, bool plus_is_space, char *out, size_t cap);

/**
 * weft_http1_percent_encode - encodes every byte but RFC 3986's unreserved ones.
 * @in:  borrowed; must not overlap out.
 * @out: cap bytes; 3 * in.len always suffice. Not NUL-terminated.
 *
 * Returns the bytes written; -ENOBUFS out is too small.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 3986 §2.3.
 */
WEFT_API ssize_t weft_http1_percent_encode(struct weft_span in, char *out, size_t cap);

/**
 * weft_http1_query_next - takes the next "name=value" from a query string or form body.
 * @rest:      what is left; moved on. Start with head->query or the body.
 * @ret_name:  still encoded.
 * @ret_value: still encoded; absent where there is no '=' (present and empty after one).
 *
 * Returns true with a pair; false at the end. Empty pairs ("a&&b") are passed over.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: URL Standard, application/x-www-form-urlencoded. See weft_http1_query_get.
 */
WEFT_API bool weft_http1_query_next(
    struct weft_span *rest, struct weft_span *ret_name, struct weft_span *ret_value);

/**
 * weft_http1_query_get - value of the first parameter with this name, in a query string or form.
 * @query:     e.g. head->query; may be absent.
 * @name:      decoded, NUL-terminated; case counts.
 * @ret_value: still encoded (weft_http1_percent_decode); empty where there is no '='.
 *
 * Returns 1 found, 0 not.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_http1_query_next.
 */
WEFT_API int weft_http1_query_get(
    struct weft_span query, const char *name, struct weft_span *ret_value);

WEFT_END_DECLS
#endif
