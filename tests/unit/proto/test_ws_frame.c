// SPDX-License-Identifier: Apache-2.0
/*
 * test_ws_frame.c - frame heads at every border of their lengths, masks at every phase and
 * alignment, control frames, close codes.
 */
#include "proto_test.h"

#include <weft/wsproto.h>

#include <errno.h>

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

TEST(examples_of_the_rfc)
{
    struct weft_ws_frame f;
    char out[WEFT_WS_CONTROL_FRAME_MAX];
    CHECK_EQ(weft_ws_frame_parse("\x81\x05Hello", 7, &f), 2);
    CHECK(f.fin && !f.masked && f.opcode == WEFT_WS_OP_TEXT && f.payload_bytes == 5 && !f.rsv);
    char hello[] = "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58";
    CHECK_EQ(weft_ws_frame_parse(hello, 11, &f), 6);
    CHECK(f.masked && memcmp(f.mask, mask, 4) == 0);
    weft_ws_mask(hello + 6, hello + 6, 5, f.mask, 0);
    CHECK(memcmp(hello + 6, "Hello", 5) == 0);
    CHECK_EQ(weft_ws_control_frame(out, WEFT_WS_OP_PONG, weft_span_of("Hello"), mask), 11);
    CHECK(memcmp(out, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", 11) == 0);
    CHECK_EQ(weft_ws_frame_parse("\x82\x7e\x01\x00", 4, &f), 4);
    CHECK_EQ(f.payload_bytes, 256);
    CHECK_EQ(weft_ws_frame_parse("\x82\x7f\0\0\0\0\0\1\0\0", 10, &f), 10);
    CHECK_EQ(f.payload_bytes, 65536);
}

TEST(heads_round_trip_and_wait_for_their_last_byte)
{
    static const uint64_t sizes[] = {
        0, 1, 125, 126, 127, 255, 256, 65535, 65536, UINT32_MAX, INT64_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int variant = 0; variant < 4; variant++) {
            bool fin = variant & 1;
            const uint8_t *m = variant & 2 ? mask : NULL;
            char out[WEFT_WS_HEAD_MAX];
            struct weft_ws_frame f;
            size_t n = weft_ws_frame_head(out, WEFT_WS_OP_BINARY, fin, sizes[i], m);
            CHECK_EQ(n, (sizes[i] < 126 ? 2 : sizes[i] < 65536 ? 4 : 10) + (m ? 4 : 0));
            for (size_t len = 0; len < n; len++) {
                char *part = exact(out, len);
                CHECK_EQ(weft_ws_frame_parse(part, len, &f), -EAGAIN);
                free(part);
            }
            char *whole = exact(out, n);
            CHECK_EQ(weft_ws_frame_parse(whole, n, &f), (int)n);
            free(whole);
            CHECK(f.fin == fin && f.masked == !!m && f.opcode == WEFT_WS_OP_BINARY && f.rsv == 0);
            CHECK(f.payload_bytes == sizes[i]);
        }
}

TEST(lengths_that_are_not_minimal)
{
    struct weft_ws_frame f;
    CHECK_EQ(weft_ws_frame_parse("\x82\x7e\0\x7d", 4, &f), -EPROTO);
    CHECK_EQ(weft_ws_frame_parse("\x82\x7f\0\0\0\0\0\0\xff\xff", 10, &f), -EPROTO);
    CHECK_EQ(weft_ws_frame_parse("\x82\x7f\x80\0\0\0\0\1\0\0", 10, &f), -EPROTO);
    CHECK_EQ(weft_ws_frame_parse("\x72\x80....", 6, &f), 6);
    CHECK(f.rsv == 7 && !f.fin);
}

TEST(masks_at_every_size_and_phase)
{
    uint64_t rng = rnd_start();
    for (size_t len = 0; len < 300; len++)
        for (uint64_t phase = 0; phase < 5; phase++) {
            size_t skew = rnd_below(&rng, 16);
            uint8_t src[320], want[320];
            for (size_t i = 0; i < len; i++) {
                src[i] = (uint8_t)rnd(&rng);
                want[i] = (uint8_t)(src[i] ^ mask[(i + phase) % 4]);
            }
            uint8_t *block = malloc(skew + len + 1), *d = block + skew;
            CHECK(block);
            d[len] = 0xa5;
            weft_ws_mask(d, src, len, mask, phase);
            CHECK(memcmp(d, want, len) == 0 && d[len] == 0xa5);
            weft_ws_mask(d, d, len, mask, phase + (UINT64_C(1) << 40));
            CHECK(memcmp(d, src, len) == 0 && d[len] == 0xa5);
            free(block);
        }
}

TEST(close_codes)
{
    for (int code = -1; code <= 70000; code++) {
        bool want = (code >= 1000 && code < 1015 && code != 1004 && code != 1005 && code != 1006) ||
                    (code >= 3000 && code < 5000);
        CHECK_EQ(weft_ws_code_valid(code), want);
    }
}

TEST(control_and_close_frames)
{
    char out[WEFT_WS_CONTROL_FRAME_MAX], long_text[200];
    memset(long_text, 'x', sizeof long_text);
    CHECK_EQ(weft_ws_control_frame(out, WEFT_WS_OP_PING, (struct weft_span){NULL, 0}, NULL), 2);
    CHECK(memcmp(out, "\x89\0", 2) == 0);
    CHECK_EQ(
        weft_ws_control_frame(out, WEFT_WS_OP_PING, (struct weft_span){long_text, 200}, NULL), 127);
    CHECK_EQ((uint8_t)out[1], 125);
    CHECK_EQ(weft_ws_close_frame(out, 1000, weft_span_of("bye"), NULL), 7);
    CHECK(memcmp(out,
              "\x88\x05\x03\xe8"
              "bye",
              7) == 0);
    CHECK_EQ(weft_ws_close_frame(out, WEFT_WS_NO_CODE, weft_span_of("bye"), NULL), 2);
    CHECK_EQ(weft_ws_close_frame(out, WEFT_WS_ABNORMAL, weft_span_of("bye"), NULL), 2);
    CHECK_EQ(weft_ws_close_frame(out, 4999, (struct weft_span){long_text, 200}, mask), 131);
    /* A reason is cut between characters: 122 of one byte and the first byte of another would be
     * 123. */
    memcpy(long_text + 122, "\xc3\xa9", 2);
    CHECK_EQ(weft_ws_close_frame(out, 3000, (struct weft_span){long_text, 200}, NULL), 2 + 2 + 122);
    memcpy(long_text + 120, "\xf0\x9f\x98\x80", 4);
    CHECK_EQ(weft_ws_close_frame(out, 3000, (struct weft_span){long_text, 200}, NULL), 2 + 2 + 120);
}
