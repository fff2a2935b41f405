// SPDX-License-Identifier: Apache-2.0
/*
 * ws_frame.c - WebSocket frames: heads, masks, control frames, close codes (RFC 6455 §5, §7.4).
 *
 *      byte 0                 byte 1                 0, 2 or 8 bytes       0 or 4 bytes
 *     +-+-+-+-+-------+      +-+-------------+      +----------------+    +------+
 *     |F|R|R|R|opcode |      |M| length 0-125|      | length, if the |    | mask |  payload ...
 *     |I|S|S|S|       |      |A| 126: 16 bits|      | 7 bits say so; |    +------+
 *     |N|V|V|V|       |      |S| 127: 64 bits|      | big endian     |
 *     +-+-+-+-+-------+      +-+-------------+      +----------------+
 *
 * Masking is an XOR with the same four bytes over and over. They are turned to the phase of the
 * first byte, repeated to 16, and go over the payload 64 bytes a step in vector registers; the rest
 * byte by byte. That is bound by memory, not by instructions, so nothing finer is worth its code.
 *
 * Pure functions; callable from anywhere. Wait-free.
 */
#include "base/fatal.h"

#include <weft/wsproto.h>

#include <errno.h>

enum { FIN = 0x80, MASKED = 0x80, LENGTH_16 = 126, LENGTH_64 = 127 };

/* ---- heads ---- */

static uint64_t get_be(const uint8_t *p, size_t bytes)
{
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

static void put_be(uint8_t *p, size_t bytes, uint64_t v)
{
    for (; bytes > 0; v >>= 8)
        p[--bytes] = (uint8_t)v;
}

int weft_ws_frame_parse(const void *in, size_t len, struct weft_ws_frame *ret_frame)
{
    const uint8_t *p = in;
    if (len < 2)
        return -EAGAIN;
    uint64_t payload = p[1] & 0x7f;
    size_t wide = payload == LENGTH_16 ? 2 : payload == LENGTH_64 ? 8 : 0;
    bool masked = p[1] & MASKED;
    size_t head = 2 + wide + (masked ? 4 : 0);
    if (len < head)
        return -EAGAIN;
    if (wide) {
        payload = get_be(p + 2, wide);
        if (payload <= (wide == 2 ? LENGTH_16 - 1 : UINT16_MAX) || payload > INT64_MAX)
            return -EPROTO;
    }
    *ret_frame = (struct weft_ws_frame){.payload_bytes = payload,
        .opcode = p[0] & 0xf,
        .rsv = p[0] >> 4 & 7,
        .fin = p[0] & FIN,
        .masked = masked};
    if (masked)
        memcpy(ret_frame->mask, p + head - 4, 4);
    WEFT_ASSERT(head <= WEFT_WS_HEAD_MAX);
    return (int)head;
}

size_t weft_ws_frame_head(
    void *out, enum weft_ws_opcode opcode, bool fin, uint64_t payload_bytes, const uint8_t *mask)
{
    uint8_t *p = out;
    size_t wide = payload_bytes < LENGTH_16 ? 0 : payload_bytes <= UINT16_MAX ? 2 : 8;
    uint8_t length = wide == 0   ? (uint8_t)payload_bytes
                     : wide == 2 ? (uint8_t)LENGTH_16
                                 : (uint8_t)LENGTH_64;
    WEFT_ASSERT(payload_bytes <= INT64_MAX);
    WEFT_ASSERT(opcode < WEFT_WS_OP_CLOSE || (fin && wide == 0));
    p[0] = (uint8_t)((fin ? FIN : 0) | opcode);
    p[1] = (uint8_t)((mask ? MASKED : 0) | length);
    put_be(p + 2, wide, payload_bytes);
    if (mask)
        memcpy(p + 2 + wide, mask, 4);
    return 2 + wide + (mask ? 4 : 0);
}

/* ---- masks ---- */

typedef uint32_t v4 __attribute__((vector_size(16)));

static v4 load(const uint8_t *p)
{
    v4 v;
    memcpy(&v, p, sizeof v);
    return v;
}

static void store(uint8_t *p, v4 v)
{
    memcpy(p, &v, sizeof v);
}

void weft_ws_mask(void *dst, const void *src, size_t len, const uint8_t *mask, uint64_t phase)
{
    const uint8_t *s = src;
    uint8_t *d = dst, turned[4];
    uint32_t word;
    for (size_t i = 0; i < 4; i++)
        turned[i] = mask[(phase + i) & 3];
    memcpy(&word, turned, sizeof word);
    v4 m = {word, word, word, word};
    for (; len >= 64; s += 64, d += 64, len -= 64) {
        v4 a = load(s) ^ m, b = load(s + 16) ^ m, c = load(s + 32) ^ m, e = load(s + 48) ^ m;
        store(d, a);
        store(d + 16, b);
        store(d + 32, c);
        store(d + 48, e);
    }
    for (; len >= 16; s += 16, d += 16, len -= 16)
        store(d, load(s) ^ m);
    for (size_t i = 0; i < len; i++)
        d[i] = (uint8_t)(s[i] ^ turned[i & 3]);
}

/* ---- control frames ---- */

size_t weft_ws_control_frame(
    void *out, enum weft_ws_opcode opcode, struct weft_span payload, const uint8_t *mask)
{
    WEFT_ASSERT(opcode >= WEFT_WS_OP_CLOSE && opcode <= WEFT_WS_OP_PONG);
    size_t n = payload.len < WEFT_WS_CONTROL_MAX ? payload.len : WEFT_WS_CONTROL_MAX;
    size_t head = weft_ws_frame_head(out, opcode, true, n, mask);
    uint8_t *body = (uint8_t *)out + head;
    if (n && mask)
        weft_ws_mask(body, payload.data, n, mask, 0);
    else if (n)
        memcpy(body, payload.data, n);
    return head + n;
}

bool weft_ws_code_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

size_t weft_ws_close_frame(void *out, int code, struct weft_span reason, const uint8_t *mask)
{
    char payload[WEFT_WS_CONTROL_MAX];
    size_t n = reason.len < sizeof payload - 2 ? reason.len : sizeof payload - 2;
    if (!weft_ws_code_valid(code))
        return weft_ws_control_frame(out, WEFT_WS_OP_CLOSE, (struct weft_span){NULL, 0}, mask);
    if (n < reason.len)
        while (n > 0 && ((uint8_t)reason.data[n] & 0xc0) == 0x80)
            n--; /* not in the middle of a character */
    put_be((uint8_t *)payload, 2, (uint64_t)code);
    if (n)
        memcpy(payload + 2, reason.data, n);
    return weft_ws_control_frame(out, WEFT_WS_OP_CLOSE, (struct weft_span){payload, n + 2}, mask);
}
