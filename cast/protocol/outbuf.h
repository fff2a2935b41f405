// SPDX-License-Identifier: Apache-2.0
/*
 * outbuf.h - where encoders write: a buffer that grows, or a fixed one that says when it is full.
 *
 *     buf [ written | room left ]
 *         0         ^ used      ^ room
 *
 * Errors are sticky: after a failed growth every further write is a no-op and err says why, so an
 * encoder is straight-line code and its caller looks once, at the end. One user at a time.
 *
 * The JSON helpers write the shape that Centrifugo's encoders write: no white space, zero values
 * left out by the caller, strings with <, > and & escaped as \u003c, \u003e, \u0026, control
 * characters as \n \r \t or \u00xx, U+2028/2029 escaped, a byte that is not UTF-8 as \ufffd.
 */
#ifndef CAST_PROTOCOL_OUTBUF_H
#define CAST_PROTOCOL_OUTBUF_H
#include "protocol/castspan.h"
#include <stdbool.h>
#include <stdint.h>

struct cast_out {
    char *buf;
    size_t used, room;
    bool fixed; // buf is the caller's and does not grow
    int err;    // 0, -ENOMEM, or -ENOBUFS (a fixed buffer is full)
};

/** cast_out_init - an empty buffer that grows by malloc; ended by cast_out_fini or taken whole. */
void cast_out_init(struct cast_out *o);
/** cast_out_init_fixed - write into the caller's buffer, borrowed; -ENOBUFS when it is full. */
void cast_out_init_fixed(struct cast_out *o, void *buf, size_t room);
/** cast_out_fini - free what grew. Safe on a zeroed struct. */
void cast_out_fini(struct cast_out *o);
/** cast_out_clear - empty it, keep the memory, forget the error. */
static inline void cast_out_clear(struct cast_out *o)
{
    o->used = 0;
    o->err = 0;
}
/** cast_out_span - what was written so far; borrowed until the next write. */
static inline struct weft_span cast_out_span(const struct cast_out *o)
{
    return (struct weft_span){o->buf ? o->buf : "", o->used};
}

/** cast_out_grow - make room for bytes more; returns false (and sets err) when that cannot be. */
bool cast_out_grow(struct cast_out *o, size_t bytes);

static inline bool cast_out_has(struct cast_out *o, size_t bytes)
{
    return __builtin_expect(!o->err && o->room - o->used >= bytes, 1) || cast_out_grow(o, bytes);
}

/** cast_out_bytes - append bytes as they are. */
static inline void cast_out_bytes(struct cast_out *o, const void *p, size_t bytes)
{
    if (bytes && cast_out_has(o, bytes)) {
        memcpy(o->buf + o->used, p, bytes);
        o->used += bytes;
    }
}
static inline void cast_out_put(struct cast_out *o, struct weft_span s)
{
    cast_out_bytes(o, s.data, s.len);
}
static inline void cast_out_char(struct cast_out *o, char c)
{
    if (cast_out_has(o, 1))
        o->buf[o->used++] = c;
}
/** CAST_OUT_LIT - append a string literal. */
#define CAST_OUT_LIT(o, literal) cast_out_bytes((o), "" literal, sizeof(literal) - 1)

/** Decimal numbers. */
void cast_out_u64(struct cast_out *o, uint64_t v);
void cast_out_i64(struct cast_out *o, int64_t v);
/** A finite number in the shortest form that reads back the same; 0 for what JSON cannot write. */
void cast_out_double(struct cast_out *o, double v);
/** cast_out_string - a JSON string with its quotes, escaped. */
void cast_out_string(struct cast_out *o, struct weft_span s);

/** cast_out_comma - a comma, unless the last byte opens an object or array or nothing was written.
 */
static inline void cast_out_comma(struct cast_out *o)
{
    char last = o->used ? o->buf[o->used - 1] : '{';
    if (last != '{' && last != '[')
        cast_out_char(o, ',');
}
/** CAST_OUT_KEY - comma as needed, then "name": */
#define CAST_OUT_KEY(o, name) (cast_out_comma(o), CAST_OUT_LIT((o), "\"" name "\":"))
#endif
