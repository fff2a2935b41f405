// SPDX-License-Identifier: Apache-2.0
/*
 * wsclient.c - the WebSocket client side of the generator (wsclient.h).
 *
 * The frame scanner takes the two heads that a server of this protocol sends nearly always (a final
 * text frame of up to 64 KiB) without a call; all others go through the library's parser.
 */
#include "bench/wsclient.h"
#include "protocol/outbuf.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <weft/http1.h>
#include <weft/wsproto.h>

static const uint8_t key_bytes[16] = "weftcast-bench-1";
static const uint8_t mask[4] = {0x5a, 0xc3, 0x96, 0x3c};

int64_t wsclient_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

ssize_t wsclient_request(const struct bench_opts *o, char *buf, size_t room)
{
    struct weft_http1_writer w;
    char key[WEFT_WS_KEY_BYTES];
    weft_ws_key_encode(key_bytes, key);
    weft_ws_request_begin(&w, buf, room, weft_span_of(o->path), weft_span_of(o->host), key,
        (struct weft_span){NULL, 0});
    return weft_http1_write_end(&w);
}

ssize_t wsclient_answer(const char *buf, size_t bytes, int *ret_status)
{
    struct weft_http1_head head;
    char key[WEFT_WS_KEY_BYTES];
    weft_http1_response_init(&head, NULL, WEFT_HTTP1_GET);
    ssize_t n = weft_http1_head_parse(&head, buf, bytes);
    if (n < 0)
        return n == -EAGAIN ? -EAGAIN : -EPROTO;
    weft_ws_key_encode(key_bytes, key);
    int rc = weft_ws_response_check(&head, key, (struct weft_span){NULL, 0}, NULL);
    *ret_status = head.code;
    return rc < 0 ? rc : n;
}

size_t wsclient_frame(char *out, int opcode, const char *data, size_t bytes)
{
    size_t head = weft_ws_frame_head(out, (enum weft_ws_opcode)opcode, true, bytes, mask);
    weft_ws_mask(out + head, data, bytes, mask, 0);
    return head + bytes;
}

size_t wsclient_hello(const struct bench_opts *o, bool subscribe, char *buf, size_t room)
{
    struct cast_out out;
    cast_out_init_fixed(&out, buf, room);
    CAST_OUT_LIT(&out, "{\"id\":1,\"connect\":{");
    if (o->token) {
        CAST_OUT_LIT(&out, "\"token\":");
        cast_out_string(&out, weft_span_of(o->token));
    }
    CAST_OUT_LIT(&out, "}}");
    if (subscribe) {
        CAST_OUT_LIT(&out, "\n{\"id\":2,\"subscribe\":{\"channel\":");
        cast_out_string(&out, weft_span_of(o->channel));
        CAST_OUT_LIT(&out, "}}");
    }
    return out.err ? 0 : out.used;
}

static ssize_t next_by_parser(const char *buf, size_t bytes, struct wsclient_frame *ret)
{
    struct weft_ws_frame f;
    int head = weft_ws_frame_parse(buf, bytes, &f);
    if (head == -EAGAIN)
        return 0;
    if (head < 0 || f.masked || !f.fin || f.rsv || f.opcode == WEFT_WS_OP_CONTINUATION)
        return -EPROTO;
    if (f.payload_bytes > bytes - (size_t)head)
        return 0;
    ret->opcode = f.opcode;
    ret->data = buf + head;
    ret->bytes = (size_t)f.payload_bytes;
    return head + (ssize_t)f.payload_bytes;
}

ssize_t wsclient_next(const char *buf, size_t bytes, struct wsclient_frame *ret)
{
    const unsigned char *u = (const unsigned char *)buf;
    size_t head = 2, payload;
    if (bytes < 4 || u[0] != 0x81 || u[1] > 126)
        return next_by_parser(buf, bytes, ret);
    payload = u[1];
    if (payload == 126) {
        head = 4;
        payload = (size_t)u[2] << 8 | u[3];
    }
    if (payload > bytes - head)
        return 0;
    ret->opcode = WEFT_WS_OP_TEXT;
    ret->data = buf + head;
    ret->bytes = payload;
    return (ssize_t)(head + payload);
}
