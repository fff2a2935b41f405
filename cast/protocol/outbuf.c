// SPDX-License-Identifier: Apache-2.0
/*
 * outbuf.c - the encoders' buffer and the JSON scalars that go into it (outbuf.h).
 *
 * Growth doubles, so n bytes cost O(n) copies in all. cast_out_string copies whole runs that need
 * no escape and looks at single bytes only where the table says so; channel names and ids are one
 * run. Invariant O1: used <= room, and after an error used no longer changes.
 */
#include "protocol/outbuf.h"
#include "protocol/runes.h"
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { FIRST_ROOM_BYTES = 512 };

void cast_out_init(struct cast_out *o)
{
    *o = (struct cast_out){0};
}

void cast_out_init_fixed(struct cast_out *o, void *buf, size_t room)
{
    *o = (struct cast_out){.buf = buf, .room = room, .fixed = true};
}

void cast_out_fini(struct cast_out *o)
{
    if (!o->fixed)
        free(o->buf);
    *o = (struct cast_out){0};
}

bool cast_out_grow(struct cast_out *o, size_t bytes)
{
    if (o->err)
        return false;
    if (o->room - o->used >= bytes)
        return true;
    if (o->fixed) {
        o->err = -ENOBUFS;
        return false;
    }
    size_t room = o->room ? o->room * 2 : FIRST_ROOM_BYTES;
    if (room < o->used + bytes)
        room = o->used + bytes;
    char *buf = room < o->used || room < bytes ? NULL : realloc(o->buf, room);
    if (!buf) {
        o->err = -ENOMEM;
        return false;
    }
    o->buf = buf;
    o->room = room;
    return true;
}

void cast_out_u64(struct cast_out *o, uint64_t v)
{
    char digits[20], *p = digits + sizeof(digits);
    do {
        *--p = (char)('0' + v % 10);
        v /= 10;
    } while (v);
    cast_out_bytes(o, p, (size_t)(digits + sizeof(digits) - p));
}

void cast_out_i64(struct cast_out *o, int64_t v)
{
    if (v < 0)
        cast_out_char(o, '-');
    cast_out_u64(o, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v);
}

void cast_out_double(struct cast_out *o, double v)
{
    char text[40];
    int bytes = 0;
    if (!isfinite(v))
        v = 0;
    for (int digits = 15; digits <= 17; digits++) {
        bytes = snprintf(text, sizeof(text), "%.*g", digits, v);
        if (strtod(text, NULL) == v)
            break;
    }
    cast_out_bytes(o, text, (size_t)bytes);
}

/* The bytes that stand for themselves; 0x80 and above are looked at as characters. */
static inline bool plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\' && c != '<' && c != '>' && c != '&';
}

static void put_unicode_escape(struct cast_out *o, unsigned rune)
{
    static const char hex[] = "0123456789abcdef";
    const char text[6] = {
        '\\', 'u', hex[rune >> 12 & 15], hex[rune >> 8 & 15], hex[rune >> 4 & 15], hex[rune & 15]};
    cast_out_bytes(o, text, sizeof(text));
}

static void put_ascii_escape(struct cast_out *o, char c)
{
    switch (c) {
    case '"':
        CAST_OUT_LIT(o, "\\\"");
        break;
    case '\\':
        CAST_OUT_LIT(o, "\\\\");
        break;
    case '\n':
        CAST_OUT_LIT(o, "\\n");
        break;
    case '\r':
        CAST_OUT_LIT(o, "\\r");
        break;
    case '\t':
        CAST_OUT_LIT(o, "\\t");
        break;
    default:
        put_unicode_escape(o, (unsigned char)c);
    }
}

/* One character of two bytes or more, or a bad byte; returns how many bytes of p it took. */
static size_t put_high(struct cast_out *o, const char *p, size_t left)
{
    size_t step = cast_utf8_step(p, left);
    if (step == 0) {
        put_unicode_escape(o, 0xfffd);
        return 1;
    }
    if (step == 3 && memcmp(p, "\xe2\x80", 2) == 0 && (p[2] == '\xa8' || p[2] == '\xa9'))
        put_unicode_escape(o, p[2] == '\xa8' ? 0x2028 : 0x2029);
    else
        cast_out_bytes(o, p, step);
    return step;
}

void cast_out_string(struct cast_out *o, struct weft_span s)
{
    cast_out_char(o, '"');
    for (size_t i = 0; i < s.len;) {
        size_t from = i;
        while (i < s.len && plain((unsigned char)s.data[i]))
            i++;
        cast_out_bytes(o, s.data + from, i - from);
        if (i == s.len)
            break;
        if ((unsigned char)s.data[i] >= 0x80)
            i += put_high(o, s.data + i, s.len - i);
        else
            put_ascii_escape(o, s.data[i++]);
    }
    cast_out_char(o, '"');
}
