// SPDX-License-Identifier: Apache-2.0
/*
 * castspan.h - a borrowed run of bytes: what the codecs hand out and take in.
 *
 * A span neither owns nor ends with a zero byte. ptr == NULL means "was not there"; a span of 0
 * bytes with a pointer means "was there and empty", which the protocol tells apart for payloads
 * (a missing payload is a bad request, an empty one may be data).
 *
 * A span is valid as long as the buffer it points into: the frame or body that was decoded, or the
 * scratch (scratch.h) in which an escaped string was decoded.
 */
#ifndef CAST_PROTOCOL_CASTSPAN_H
#define CAST_PROTOCOL_CASTSPAN_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct cast_span {
    const char *ptr;
    size_t bytes;
};

/** A span of a string literal. */
#define CAST_SPAN(literal) ((struct cast_span){"" literal, sizeof(literal) - 1})

/** A span of a zero-terminated string; NULL gives the absent span. */
static inline struct cast_span cast_span_of(const char *s)
{
    return (struct cast_span){s, s ? strlen(s) : 0};
}

/** Same bytes? Absent and empty are equal here. */
static inline bool cast_span_eq(struct cast_span a, struct cast_span b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.ptr, b.ptr, a.bytes) == 0);
}

/** A string pair: one entry of a map such as the tags of a publication. */
struct cast_pair {
    struct cast_span key, value;
};

/** Lists that the decoders build in a scratch; count items, borrowed until the scratch is reset. */
struct cast_spans {
    struct cast_span *items;
    size_t count, room;
};
struct cast_pairs {
    struct cast_pair *items;
    size_t count, room;
};
#endif
