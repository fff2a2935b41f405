// SPDX-License-Identifier: Apache-2.0
/* b64.c - three bytes are four letters; b64.h says what is refused. */
#include "token/b64.h"

#include <stdint.h>
#include <string.h>

static const char *const alphabets[] = {
    [CAST_B64_URL] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
    [CAST_B64_STD] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
};

size_t cast_b64_text_bytes(enum cast_b64 kind, size_t bytes)
{
    return kind == CAST_B64_STD ? (bytes + 2) / 3 * 4 : bytes / 3 * 4 + (bytes % 3 * 4 + 2) / 3;
}

size_t cast_b64_data_bytes(size_t text_bytes)
{
    return (text_bytes + 3) / 4 * 3;
}

void cast_b64_encode(enum cast_b64 kind, const void *data, size_t bytes, char *text)
{
    const unsigned char *in = data;
    const char *letters = alphabets[kind];
    for (size_t i = 0; i < bytes; i += 3) {
        size_t have = bytes - i < 3 ? bytes - i : 3;
        uint32_t v = (uint32_t)in[i] << 16;
        v |= have > 1 ? (uint32_t)in[i + 1] << 8 : 0;
        v |= have > 2 ? in[i + 2] : 0;
        for (size_t j = 0; j < 4; j++) {
            if (j <= have)
                *text++ = letters[v >> (18 - 6 * j) & 63];
            else if (kind == CAST_B64_STD)
                *text++ = '=';
        }
    }
}

static int value_of(enum cast_b64 kind, char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (kind == CAST_B64_URL ? '-' : '+'))
        return 62;
    return c == (kind == CAST_B64_URL ? '_' : '/') ? 63 : -1;
}

bool cast_b64_decode(
    enum cast_b64 kind, const char *text, size_t text_bytes, void *data, size_t *ret_bytes)
{
    unsigned char *out = data;
    uint32_t v = 0;
    size_t letters = 0, pads = 0, bytes = 0;
    for (size_t i = 0; i < text_bytes; i++) {
        if (kind == CAST_B64_LOOSE && (text[i] == '\n' || text[i] == '\r'))
            continue;
        if (kind != CAST_B64_URL && text[i] == '=') {
            pads++;
            continue;
        }
        int letter = value_of(kind, text[i]);
        if (letter < 0 || pads > 0)
            return false;
        v = v << 6 | (uint32_t)letter;
        size_t place = letters++ % 4; /* each letter but the first of four completes a byte */
        if (place > 0)
            out[bytes++] = (unsigned char)(v >> (6 - 2 * place));
    }
    size_t over = letters % 4;
    if (over == 1 || (kind != CAST_B64_URL && pads != (4 - over) % 4))
        return false;
    /* bits of the last letter that encode nothing must be zero */
    unsigned stray = over == 2 ? 15 : over == 3 ? 3 : 0;
    if (kind != CAST_B64_LOOSE && (v & stray) != 0)
        return false;
    *ret_bytes = bytes;
    return true;
}
