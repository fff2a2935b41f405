// SPDX-License-Identifier: Apache-2.0
/*
 * http1_check.h - what holds for every head, whatever the input: shared by the request and the
 * response target.
 */
#ifndef WEFT_FUZZ_HTTP1_CHECK_H
#define WEFT_FUZZ_HTTP1_CHECK_H
#include "fuzz.h"

#include <weft/http1.h>

#include <errno.h>

/** Feeds a head in growing blocks; the last is returned in *ret_block, owned by the caller. */
static inline ssize_t parse_in_pieces(
    struct weft_http1_head *h, const uint8_t *data, size_t size, size_t piece, char **ret_block)
{
    char *block = NULL;
    ssize_t n = -EAGAIN;
    for (size_t len = 0; n == -EAGAIN && len < size;) {
        len = size - len < piece ? size : len + piece;
        free(block);
        block = fuzz_copy(data, len);
        n = weft_http1_head_parse(h, block, len);
    }
    *ret_block = block;
    return n;
}

/** What was accepted obeys the rules: lines end in CRLF, no control bytes, spans inside. */
static inline void check_accepted(const struct weft_http1_head *h, const char *buf, size_t head)
{
    struct weft_span name, value;
    FUZZ_CHECK(head >= 4 && memcmp(buf + head - 4, "\r\n\r\n", 4) == 0);
    for (size_t i = 0; i < head; i++) {
        FUZZ_CHECK(buf[i] != '\n' || (i > 0 && buf[i - 1] == '\r'));
        FUZZ_CHECK(buf[i] != '\r' || buf[i + 1] == '\n');
        FUZZ_CHECK((uint8_t)buf[i] >= 0x20 || strchr("\r\n\t", buf[i]) != NULL);
        FUZZ_CHECK(buf[i] != '\0' && buf[i] != 0x7f);
    }
    unsigned lengths = 0, codings = 0;
    for (size_t i = 0; weft_http1_field_at(h, i, &name, &value); i++) {
        FUZZ_CHECK(name.len > 0 && fuzz_inside(name, buf, head) && fuzz_inside(value, buf, head));
        FUZZ_CHECK(name.data[name.len] == ':' && name.data[-1] == '\n');
        lengths += weft_span_is_nocase(name, "content-length");
        codings += weft_span_is_nocase(name, "transfer-encoding");
        FUZZ_CHECK(fuzz_same(weft_http1_field_get(h, "host"), weft_http1_field_get(h, "HOST")));
    }
    FUZZ_CHECK(!(lengths && codings) && codings <= 1);
    FUZZ_CHECK(h->framing != WEFT_HTTP1_CHUNKED || codings);
    FUZZ_CHECK(h->framing != WEFT_HTTP1_LENGTH || lengths);
}

static inline void check_same_head(const struct weft_http1_head *a, const struct weft_http1_head *b)
{
    struct weft_span an, av, bn, bv;
    FUZZ_CHECK(a->method == b->method && a->minor == b->minor && a->code == b->code);
    FUZZ_CHECK(a->framing == b->framing && a->content_length == b->content_length);
    FUZZ_CHECK(a->keep_alive == b->keep_alive && a->upgrade == b->upgrade);
    FUZZ_CHECK(a->expect_continue == b->expect_continue && a->field_count == b->field_count);
    FUZZ_CHECK(fuzz_same(a->target, b->target) && fuzz_same(a->path, b->path));
    FUZZ_CHECK(fuzz_same(a->query, b->query) && fuzz_same(a->host, b->host));
    FUZZ_CHECK(fuzz_same(a->reason, b->reason));
    for (size_t i = 0; weft_http1_field_at(a, i, &an, &av); i++)
        FUZZ_CHECK(weft_http1_field_at(b, i, &bn, &bv) && fuzz_same(an, bn) && fuzz_same(av, bv));
}

/** Whole and in pieces: the same verdict. Returns the head's bytes in *ret_block, or an error. */
static inline ssize_t parse_both(struct weft_http1_head *whole, struct weft_http1_head *pieces,
    const uint8_t *data, size_t size, size_t piece, char **ret_block)
{
    char *cut, *block = fuzz_copy(data, size);
    ssize_t n = size ? weft_http1_head_parse(whole, block, size) : -EAGAIN;
    ssize_t m = parse_in_pieces(pieces, data, size, piece, &cut);
    FUZZ_CHECK(n == m);
    if (n > 0) {
        FUZZ_CHECK((size_t)n <= size);
        check_accepted(whole, block, (size_t)n);
        check_same_head(whole, pieces);
    } else if (n != -EAGAIN) {
        FUZZ_CHECK(whole->status >= 400 && whole->status == pieces->status);
        FUZZ_CHECK(strcmp(whole->problem, pieces->problem) == 0);
    }
    free(cut);
    *ret_block = block;
    return n;
}

/** What a body came to: decoded bytes, bytes taken, verdict. */
struct body_outcome {
    char *data;
    size_t len, used;
    int error;
    bool done;
};

static inline struct body_outcome read_body(
    const struct weft_http1_head *h, const uint8_t *in, size_t size, size_t piece, bool keep)
{
    struct weft_http1_body b;
    struct body_outcome o = {.data = malloc(size ? size : 1)};
    FUZZ_CHECK(o.data);
    weft_http1_body_init(&b, h);
    b.keep_trailers = keep;
    while (o.used < size && !b.done && !o.error) {
        size_t n = size - o.used < piece ? size - o.used : piece;
        char *block = fuzz_copy(in + o.used, n);
        struct weft_span data;
        ssize_t used = weft_http1_body_read(&b, block, n, &data);
        if (used < 0) {
            o.error = (int)used;
            FUZZ_CHECK(b.status >= 400 && b.problem);
        } else {
            FUZZ_CHECK(used > 0 && (size_t)used <= n && fuzz_inside(data, block, n));
            if (data.len)
                memcpy(o.data + o.len, data.data, data.len);
            o.len += data.len;
            o.used += (size_t)used;
        }
        free(block);
    }
    FUZZ_CHECK(b.taken == o.len && o.len <= h->limits.body_bytes);
    o.done = b.done;
    return o;
}

/** Whole and in pieces: the same bytes and verdict. */
static inline void check_body(
    const struct weft_http1_head *h, const uint8_t *in, size_t size, size_t piece, bool keep)
{
    struct body_outcome whole = read_body(h, in, size, SIZE_MAX, keep);
    struct body_outcome cut = read_body(h, in, size, piece, keep);
    FUZZ_CHECK(whole.error == cut.error && whole.done == cut.done);
    if (!whole.error) {
        FUZZ_CHECK(whole.len == cut.len && whole.used == cut.used);
        FUZZ_CHECK(!whole.len || memcmp(whole.data, cut.data, whole.len) == 0);
    }
    free(whole.data);
    free(cut.data);
}
#endif
