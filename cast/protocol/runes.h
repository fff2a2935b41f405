// SPDX-License-Identifier: Apache-2.0
/*
 * runes.h - one step through UTF-8, shared by the reader and the writer of JSON.
 */
#ifndef CAST_PROTOCOL_RUNES_H
#define CAST_PROTOCOL_RUNES_H
#include <stddef.h>

/**
 * cast_utf8_step - the length of the character at p (1 to 4), or 0 when no valid one begins there.
 * Refuses overlong forms, surrogates and what lies past U+10FFFF (Unicode 15, table 3-7).
 */
static inline size_t cast_utf8_step(const char *p, size_t left)
{
    const unsigned char *u = (const unsigned char *)p;
    if (left == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2 || u[0] > 0xf4 || left < 2)
        return 0;
    unsigned low = 0x80, high = 0xbf; // of the second byte
    switch (u[0]) {
    case 0xe0:
        low = 0xa0;
        break;
    case 0xed:
        high = 0x9f;
        break;
    case 0xf0:
        low = 0x90;
        break;
    case 0xf4:
        high = 0x8f;
        break;
    default:
        break;
    }
    if (u[1] < low || u[1] > high)
        return 0;
    size_t bytes = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (left < bytes)
        return 0;
    for (size_t i = 2; i < bytes; i++)
        if ((u[i] & 0xc0) != 0x80)
            return 0;
    return bytes;
}
#endif
