// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http1_chunked.c - chunked bodies and their trailers, without a head in the way.
 *
 * Input: one byte (1 to 32: the size of the pieces; bit 6 leaves trailers to the caller, bit 7
 * makes the limits tight), then the body. What was accepted, encoded again by our encoder, decodes
 * to the same.
 */
#include "http1_check.h"

static const char head_text[] = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

static void check_encoder(const struct weft_http1_head *h, const struct body_outcome *o)
{
    char *wire = malloc(o->len + WEFT_HTTP1_CHUNK_HEAD_BYTES + 7);
    FUZZ_CHECK(wire);
    size_t len = 0;
    if (o->len) {
        len = weft_http1_chunk_head(wire, o->len);
        memcpy(wire + len, o->data, o->len);
        memcpy(wire + len + o->len, WEFT_HTTP1_CHUNK_END, 2);
        len += o->len + 2;
    }
    memcpy(wire + len, WEFT_HTTP1_LAST_CHUNK, 5);
    struct body_outcome again = read_body(h, (const uint8_t *)wire, len + 5, SIZE_MAX, false);
    FUZZ_CHECK(again.done && again.used == len + 5 && again.len == o->len);
    FUZZ_CHECK(!o->len || memcmp(again.data, o->data, o->len) == 0);
    free(again.data);
    free(wire);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_http1_limits limits = {.size = sizeof limits, .head_bytes = 60, .body_bytes = 30};
    struct weft_http1_head h;
    if (size == 0)
        return 0;
    size_t piece = data[0] % 32 + 1u;
    bool keep = data[0] & 0x40;
    weft_http1_request_init(&h, data[0] & 0x80 ? &limits : NULL);
    FUZZ_CHECK(weft_http1_head_parse(&h, head_text, sizeof head_text - 1) > 0);
    check_body(&h, data + 1, size - 1, piece, keep);
    struct body_outcome o = read_body(&h, data + 1, size - 1, SIZE_MAX, keep);
    if (o.done)
        check_encoder(&h, &o);
    if (o.done && keep) {
        struct weft_http1_head whole, pieces;
        size_t left = size - 1 - o.used;
        char *cut, *block = fuzz_copy(data + 1 + o.used, left);
        weft_http1_trailer_init(&whole, NULL);
        weft_http1_trailer_init(&pieces, NULL);
        ssize_t n = weft_http1_head_parse(&whole, block, left);
        FUZZ_CHECK(n == parse_in_pieces(&pieces, data + 1 + o.used, left, piece, &cut));
        FUZZ_CHECK(n != 0 && n <= (ssize_t)left);
        free(cut);
        free(block);
    }
    free(o.data);
    return 0;
}
