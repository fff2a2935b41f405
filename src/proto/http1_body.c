// SPDX-License-Identifier: Apache-2.0
/*
 * http1_body.c - where a body ends, and which bytes of the stream are its data.
 *
 * Data is handed out as spans into the input and never copied; only framing bytes go through the
 * state machine one by one. Nothing of an earlier input is needed, so the caller may reuse its
 * buffer after every call.
 *
 *     SIZE ---'\r'---> SIZE_LF --size > 0--> DATA --> DATA_CR --> DATA_LF --> SIZE
 *      | ';'    ^         |
 *      v        |         +--size = 0--> LINE ---'\r'---------------> END_LF --> (done)
 *     EXT ------+                         |  ^
 *                                   token |  | '\n'
 *                                         v  |
 *                                       NAME | --':'--> VALUE --'\r'--> VALUE_LF
 *                                            +-----------------------------+
 *     PLAIN (Content-Length) --> (done)      CLOSE (until the peer closes)
 *
 * Invariants:
 *   B1  taken <= limit: a chunk that would pass it is refused at its size line, before its data.
 *   B2  extra <= extra_limit: the bytes of extensions and trailers not yet outweighed by data, so
 *       that a peer cannot make us chew on framing for ever. Data pays extensions back, as signing
 *       clients send one with every chunk of a long upload.
 *   B3  done and failed are final.
 *
 * Strict as http1_head.c is: sizes are 1 to 16 hexadecimal digits, nothing stands between them and
 * CR or ';', every line ends in CRLF, extensions and trailers hold no control bytes.
 *
 * Concurrency: pure; a body belongs to one thread of control at a time. Progress: wait-free.
 */
#include "base/fatal.h"
#include "proto/http1_chars.h"

#include <weft/http1.h>

#include <errno.h>

enum { PLAIN, CLOSE, SIZE, EXT, SIZE_LF, DATA, DATA_CR, DATA_LF, LINE, NAME, VALUE, VALUE_LF };
enum { END_LF = VALUE_LF + 1, FINISHED, FAILED };
enum { SIZE_DIGITS_MAX = 16 };

static int fail(struct weft_http1_body *b, int error, int status, const char *problem)
{
    WEFT_ASSERT(!b->done); /* B3 */
    b->state = FAILED;
    b->error = (int16_t)error;
    b->status = b->is_response ? 502 : status;
    b->problem = problem;
    return error;
}

static int malformed(struct weft_http1_body *b, const char *problem)
{
    return fail(b, -EBADMSG, 400, problem);
}

static void finish(struct weft_http1_body *b)
{
    b->state = FINISHED;
    b->done = true;
}

void weft_http1_body_init(struct weft_http1_body *b, const struct weft_http1_head *h)
{
    *b = (struct weft_http1_body){.limit = h->limits.body_bytes,
        .extra_limit = (uint32_t)h->limits.head_bytes,
        .framing = (uint8_t)h->framing,
        .is_response = h->code != 0};
    switch (h->framing) {
    case WEFT_HTTP1_NO_BODY:
        finish(b);
        break;
    case WEFT_HTTP1_LENGTH:
        b->state = PLAIN;
        b->left = h->content_length;
        if (b->left == 0)
            finish(b);
        break;
    case WEFT_HTTP1_CHUNKED:
        b->state = SIZE;
        break;
    case WEFT_HTTP1_UNTIL_CLOSE:
        b->state = CLOSE;
        b->left = UINT64_MAX;
        break;
    }
}

/* Data of the current stretch (a chunk, or all there is): 0, or the limit is passed. */
static int take_data(struct weft_http1_body *b, const char *in, size_t len, struct weft_span *ret)
{
    size_t n = b->left < len ? (size_t)b->left : len;
    if (n > b->limit - b->taken)
        return fail(b, -EMSGSIZE, 413, "the body is longer than allowed");
    *ret = (struct weft_span){in, n};
    b->taken += n;
    b->extra -= n < b->extra ? (uint32_t)n : b->extra; /* B2 */
    if (b->state != CLOSE)
        b->left -= n;
    WEFT_ASSERT(b->taken <= b->limit); /* B1 */
    if (b->left == 0) {
        if (b->state == PLAIN)
            finish(b);
        else
            b->state = DATA_CR;
    }
    return 0;
}

static int step_size(struct weft_http1_body *b, char c)
{
    int digit = weft__hex(c);
    if (digit >= 0) {
        if (b->digits++ == SIZE_DIGITS_MAX)
            return malformed(b, "a chunk size of too many digits");
        b->left = b->left << 4 | (unsigned)digit;
        return 0;
    }
    if (b->digits == 0 || (c != '\r' && c != ';'))
        return malformed(b, "no chunk size");
    b->state = c == '\r' ? SIZE_LF : EXT;
    return 0;
}

static int step_size_lf(struct weft_http1_body *b, char c)
{
    if (c != '\n')
        return malformed(b, "a chunk size line without CRLF");
    b->digits = 0;
    if (b->left > b->limit - b->taken)
        return fail(b, -EMSGSIZE, 413, "the body is longer than allowed");
    if (b->left > 0) {
        b->state = DATA;
    } else if (b->keep_trailers) {
        b->at_trailers = true;
        finish(b);
    } else {
        b->state = LINE;
    }
    return 0;
}

/* A byte of an extension or of a trailer's value. */
static int step_text(struct weft_http1_body *b, char c)
{
    uint8_t u = (uint8_t)c;
    if (c == '\r')
        b->state = b->state == EXT ? SIZE_LF : VALUE_LF;
    else if ((u < 0x20 && c != '\t') || u == 0x7f)
        return malformed(b, "a control byte in a chunk extension or trailer");
    return 0;
}

static int step_trailer(struct weft_http1_body *b, char c)
{
    switch (b->state) {
    case LINE:
        if (c == '\r')
            b->state = END_LF;
        else if (weft__is_class(c, WEFT__TOKEN))
            b->state = NAME;
        else
            return malformed(b, "no field name in a trailer");
        return 0;
    case NAME:
        if (c == ':')
            b->state = VALUE;
        else if (!weft__is_class(c, WEFT__TOKEN))
            return malformed(b, "no colon right after a trailer's name");
        return 0;
    case VALUE:
        return step_text(b, c);
    case VALUE_LF:
        b->state = LINE;
        return c == '\n' ? 0 : malformed(b, "CR without LF");
    default:
        WEFT_ASSERT(b->state == END_LF);
        if (c != '\n')
            return malformed(b, "CR without LF");
        finish(b);
        return 0;
    }
}

/* One byte of framing. */
static int step(struct weft_http1_body *b, char c)
{
    if ((b->state == EXT || b->state >= LINE) && ++b->extra > b->extra_limit)
        return fail(b, -EMSGSIZE, 431, "chunk extensions or trailers longer than allowed"); /* B2 */
    switch (b->state) {
    case SIZE:
        return step_size(b, c);
    case EXT:
        return step_text(b, c);
    case SIZE_LF:
        return step_size_lf(b, c);
    case DATA_CR:
        b->state = DATA_LF;
        return c == '\r' ? 0 : malformed(b, "chunk data without CRLF behind it");
    case DATA_LF:
        b->state = SIZE;
        return c == '\n' ? 0 : malformed(b, "chunk data without CRLF behind it");
    default:
        return step_trailer(b, c);
    }
}

ssize_t weft_http1_body_read(
    struct weft_http1_body *b, const char *in, size_t len, struct weft_span *ret_data)
{
    size_t at = 0;
    int rc = 0;
    if (b->state == FAILED)
        return b->error;
    *ret_data = (struct weft_span){in, 0};
    while (at < len && !b->done) {
        if (b->state == PLAIN || b->state == CLOSE || b->state == DATA) {
            rc = take_data(b, in + at, len - at, ret_data);
            return rc < 0 ? rc : (ssize_t)(at + ret_data->len);
        }
        if ((rc = step(b, in[at++])) < 0)
            return rc;
    }
    return (ssize_t)at;
}

int weft_http1_body_eof(struct weft_http1_body *b)
{
    if (b->state == FAILED)
        return b->error;
    if (b->state == CLOSE)
        finish(b);
    return b->done ? 0 : malformed(b, "the connection closed inside a body");
}

size_t weft_http1_chunk_head(char *out, uint64_t chunk_bytes)
{
    size_t digits = 1;
    WEFT_ASSERT(chunk_bytes > 0);
    while (digits < SIZE_DIGITS_MAX && chunk_bytes >> (4 * digits))
        digits++;
    for (size_t i = 0; i < digits; i++)
        out[digits - 1 - i] = "0123456789abcdef"[chunk_bytes >> (4 * i) & 15];
    memcpy(out + digits, "\r\n", 2);
    return digits + 2;
}
