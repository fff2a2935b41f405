// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http1_response.c - a response head and its body.
 *
 * Input: one byte (1 to 32: the size of the pieces; bits 5 and 6 choose the request's method, bit 7
 * makes the limits tight), then the stream.
 */
#include "http1_check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum weft_http1_method methods[] = {
        WEFT_HTTP1_GET, WEFT_HTTP1_HEAD, WEFT_HTTP1_CONNECT, WEFT_HTTP1_POST};
    struct weft_http1_limits limits = {
        .size = sizeof limits, .line_bytes = 40, .head_bytes = 120, .fields = 4, .body_bytes = 30};
    struct weft_http1_head whole, pieces;
    char *block;
    if (size == 0)
        return 0;
    size_t piece = data[0] % 32 + 1u;
    enum weft_http1_method asked = methods[data[0] >> 5 & 3];
    const struct weft_http1_limits *l = data[0] & 0x80 ? &limits : NULL;
    weft_http1_response_init(&whole, l, asked);
    weft_http1_response_init(&pieces, l, asked);
    ssize_t n = parse_both(&whole, &pieces, data + 1, size - 1, piece, &block);
    if (n > 0) {
        FUZZ_CHECK(whole.code >= 100 && whole.code <= 999);
        FUZZ_CHECK(fuzz_inside(whole.reason, block, size - 1));
        check_body(&whole, data + 1 + n, size - 1 - (size_t)n, piece, piece & 1);
    }
    free(block);
    return 0;
}
