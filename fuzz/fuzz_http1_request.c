// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http1_request.c - a request head, its body, and a WebSocket upgrade if it is one.
 *
 * Input: one byte (1 to 32: the size of the pieces; its top bit makes the limits tight), then the
 * stream. An upgrade that our server accepts must satisfy our client.
 */
#include "http1_check.h"

#include <weft/wsproto.h>

static void check_upgrade(const struct weft_http1_head *h)
{
    static const char *const supported[] = {"chat", "centrifuge-json", NULL};
    struct weft_ws_upgrade up;
    struct weft_http1_head resp;
    char out[1024];
    if (weft_ws_upgrade_check(h, &up) < 0) {
        FUZZ_CHECK(up.status >= 400 && up.problem);
        FUZZ_CHECK(weft_ws_upgrade_refuse(&up, out, sizeof out) > 0);
        return;
    }
    struct weft_span chosen = weft_ws_protocol_choose(h, supported);
    ssize_t n = weft_ws_upgrade_accept(&up, chosen, out, sizeof out);
    FUZZ_CHECK(n > 0);
    weft_http1_response_init(&resp, NULL, WEFT_HTTP1_GET);
    FUZZ_CHECK(weft_http1_head_parse(&resp, out, (size_t)n) == n);
    FUZZ_CHECK(weft_ws_response_check(&resp, up.key.data, chosen, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct weft_http1_limits limits = {
        .size = sizeof limits, .line_bytes = 40, .head_bytes = 120, .fields = 4, .body_bytes = 30};
    struct weft_http1_head whole, pieces;
    char *block;
    if (size == 0)
        return 0;
    size_t piece = data[0] % 32 + 1u;
    const struct weft_http1_limits *l = data[0] & 0x80 ? &limits : NULL;
    weft_http1_request_init(&whole, l);
    weft_http1_request_init(&pieces, l);
    ssize_t n = parse_both(&whole, &pieces, data + 1, size - 1, piece, &block);
    if (n > 0) {
        struct weft_span path = whole.path;
        FUZZ_CHECK(fuzz_inside(whole.target, block, size - 1) && whole.target.len > 0);
        FUZZ_CHECK(weft_span_is(path, "/") || fuzz_inside(path, block, size - 1));
        FUZZ_CHECK(fuzz_inside(whole.query, block, size - 1));
        FUZZ_CHECK(fuzz_inside(whole.host, block, size - 1));
        check_upgrade(&whole);
        check_body(&whole, data + 1 + n, size - 1 - (size_t)n, piece, piece & 1);
    }
    free(block);
    return 0;
}
