// SPDX-License-Identifier: Apache-2.0
/*
 * test_utf8.c - the automaton against a decoder that computes code points, on every short string
 * that matters, on long mixtures at every alignment, and in pieces.
 */
#include "proto_test.h"

#include <weft/utf8.h>

/* The plain way: decode, then ask whether the number was allowed and minimally written. */
static bool reference(const uint8_t *p, size_t len)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    for (size_t i = 0; i < len;) {
        size_t n = p[i] < 0x80           ? 1
                   : (p[i] >> 5) == 0x6  ? 2
                   : (p[i] >> 4) == 0xe  ? 3
                   : (p[i] >> 3) == 0x1e ? 4
                                         : 0;
        if (n == 0 || n > len - i)
            return false;
        uint32_t c = n == 1 ? p[i] : p[i] & (0x7fu >> n);
        for (size_t k = 1; k < n; k++) {
            if ((p[i + k] & 0xc0) != 0x80)
                return false;
            c = c << 6 | (p[i + k] & 0x3f);
        }
        if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
            return false;
        i += n;
    }
    return true;
}

static void check(const uint8_t *p, size_t len)
{
    bool want = reference(p, len);
    CHECK_EQ(weft_utf8_valid(p, len), want);
    struct weft_utf8 u = {0};
    bool ok = true;
    for (size_t i = 0; i < len; i++)
        ok = weft_utf8_feed(&u, p + i, 1);
    CHECK_EQ(ok && weft_utf8_done(&u), want);
}

TEST(all_of_one_two_and_three_bytes)
{
    uint8_t b[3];
    for (unsigned v = 0; v < 1u << 24; v++) {
        b[0] = (uint8_t)(v >> 16), b[1] = (uint8_t)(v >> 8), b[2] = (uint8_t)v;
        if (b[0] < 0x7f && b[0] > 0) /* ASCII first bytes are alike: keep 0 and 7F */
            continue;
        CHECK(weft_utf8_valid(b, 3) == reference(b, 3));
    }
    for (unsigned v = 0; v < 1u << 16; v++) {
        b[0] = (uint8_t)(v >> 8), b[1] = (uint8_t)v;
        check(b, 2);
        check(b + 1, 1);
    }
}

TEST(four_bytes_at_their_edges)
{
    static const uint8_t edge[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc2,
        0xdf, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0xff};
    enum { EDGES = sizeof edge };
    for (unsigned first = 0x80; first < 0x100; first++)
        for (size_t i = 0; i < EDGES * EDGES * EDGES; i++) {
            uint8_t b[4] = {
                (uint8_t)first, edge[i % EDGES], edge[i / EDGES % EDGES], edge[i / EDGES / EDGES]};
            check(b, 4);
        }
}

TEST(every_code_point)
{
    for (uint32_t c = 0x80; c <= 0x110000; c++) {
        uint8_t b[4];
        size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        uint32_t rest = c;
        for (size_t i = n; i-- > 1; rest >>= 6)
            b[i] = (uint8_t)(0x80 | (rest & 0x3f));
        b[0] = (uint8_t)((0xf00u >> n & 0xff) | rest);
        CHECK_EQ(weft_utf8_valid(b, n), c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff));
        CHECK(!weft_utf8_valid(b, n - 1));
    }
}

TEST(fails_as_soon_as_it_must)
{
    struct weft_utf8 u = {0};
    CHECK(weft_utf8_feed(&u, "\xf0", 1));
    CHECK(!weft_utf8_done(&u));
    CHECK(!weft_utf8_feed(&u, "\x8f", 1)); /* overlong, and two bytes still to come */
    CHECK(!weft_utf8_feed(&u, "a", 1));    /* for ever */
    CHECK(!weft_utf8_feed(&u, NULL, 0));
    CHECK(!weft_utf8_done(&u));
    u = (struct weft_utf8){0};
    CHECK(
        weft_utf8_feed(&u, "\xc3", 1)); /* a long run of ASCII does not pass for the missing byte */
    CHECK(!weft_utf8_feed(
        &u, "0123456789012345678901234567890123456789012345678901234567890123", 64));
    CHECK(!weft_utf8_feed(&u, "\xa9", 1));
    u = (struct weft_utf8){0};
    CHECK(!weft_utf8_feed(&u, "\xed\xa0", 2)); /* surrogate */
    u = (struct weft_utf8){0};
    CHECK(!weft_utf8_feed(&u, "\xf4\x90", 2)); /* beyond U+10FFFF */
    CHECK(weft_utf8_valid(NULL, 0));
}

/* Long texts of ASCII and others, sometimes with one byte broken, at each alignment and in pieces.
 */
TEST(random_texts_in_random_pieces)
{
    static const char *const words[] = {
        "plain ascii text, long enough for the fast path.......... ", "a", "\xc3\xa9",
        "\xe2\x82\xac", "\xf0\x9f\x98\x80", "\xd0\x9f\xd1\x80\xd0\xb8", "0123456",
        "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xef\xbf\xbf"};
    uint64_t rng = rnd_start();
    for (int round = 0; round < 5000; round++) {
        uint8_t text[1024];
        size_t len = rnd_below(&rng, 16);
        memset(text, 'x', len); /* shifts the alignment */
        for (size_t n = rnd_below(&rng, 24); n > 0; n--) {
            const char *word = words[rnd_below(&rng, sizeof words / sizeof *words)];
            if (len + strlen(word) > sizeof text)
                break;
            memcpy(text + len, word, strlen(word));
            len += strlen(word);
        }
        if (len && rnd_below(&rng, 2))
            text[rnd_below(&rng, len)] = (uint8_t)rnd(&rng);
        uint8_t *block = (uint8_t *)exact((const char *)text, len);
        bool want = reference(block, len), ok = true;
        CHECK_EQ(weft_utf8_valid(block, len), want);
        struct weft_utf8 u = {0};
        for (size_t at = 0; at < len;) {
            size_t n = rnd_below(&rng, 100) + 1;
            n = n < len - at ? n : len - at;
            ok = weft_utf8_feed(&u, block + at, n);
            at += n;
        }
        CHECK_EQ(ok && weft_utf8_done(&u), want);
        free(block);
    }
}
