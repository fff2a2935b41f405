// SPDX-License-Identifier: Apache-2.0
/*
 * http1_chars.c - the table of http1_chars.h, and the one loop that sees every byte of a head.
 *
 * That loop looks for the end of a line and for forbidden bytes in one go, 16 bytes a step: on a
 * browser's head of half a kilobyte it is most of the parser's work. Plain vector extensions, so
 * the same source serves SSE2 and NEON.
 */
#include "proto/http1_chars.h"

#include <string.h>

_Static_assert(
    __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "first_set counts bytes from the low end");

enum {
    T = WEFT__TOKEN,
    H = WEFT__HOST,
    G = WEFT__TARGET,
    U = WEFT__UNRESERVED,
    NAME = T | H | G | U, /* letters, digits, - . _ ~ */
    MARK = T | H | G      /* marks that are fine in all three */
};

const uint8_t weft__http1_class[256] = {
    ['0' ... '9'] = NAME,
    ['A' ... 'Z'] = NAME,
    ['a' ... 'z'] = NAME,
    ['-'] = NAME,
    ['.'] = NAME,
    ['_'] = NAME,
    ['~'] = NAME,
    ['!'] = MARK,
    ['$'] = MARK,
    ['%'] = MARK,
    ['&'] = MARK,
    ['\''] = MARK,
    ['*'] = MARK,
    ['+'] = MARK,
    ['('] = H | G,
    [')'] = H | G,
    [','] = H | G,
    [':'] = H | G,
    [';'] = H | G,
    ['='] = H | G,
    ['['] = H | G,
    [']'] = H | G,
    ['^'] = T | G,
    ['`'] = T | G,
    ['|'] = T | G,
    ['#'] = T,
    ['"'] = G,
    ['/'] = G,
    ['<'] = G,
    ['>'] = G,
    ['?'] = G,
    ['@'] = G,
    ['\\'] = G,
    ['{'] = G,
    ['}'] = G,
    [0x80 ... 0xff] = G,
};

typedef uint8_t v16 __attribute__((vector_size(16)));
typedef uint64_t v2 __attribute__((vector_size(16)));

static bool is_control(uint8_t c)
{
    return (c < 0x20 && c != '\t') || c == 0x7f;
}

const char *weft__http1_find_control(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        v16 v;
        memcpy(&v, p, sizeof v);
        v2 hit = (v2)(((v < 0x20) & (v != '\t')) | (v == 0x7f));
        if (hit[0])
            return p + __builtin_ctzll(hit[0]) / 8;
        if (hit[1])
            return p + 8 + __builtin_ctzll(hit[1]) / 8;
    }
    while (p < end && !is_control((uint8_t)*p))
        p++;
    return p;
}

bool weft_span_is_nocase(struct weft_span s, const char *text)
{
    return s.data && s.len == strlen(text) && weft__same_nocase(s.data, text, s.len);
}
