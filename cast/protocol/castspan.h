// SPDX-License-Identifier: Apache-2.0
/*
 * castspan.h - what the codecs need around struct weft_span, the borrowed run of bytes that they
 * hand out and take in.
 *
 * The absent span (data == NULL) means "was not there"; a span of 0 bytes with a pointer means "was
 * there and empty", which the protocol tells apart for payloads (a missing payload is a bad
 * request, an empty one may be data).
 *
 * A span is valid as long as the buffer it points into: the frame or body that was decoded, or the
 * scratch (scratch.h) in which an escaped string was decoded.
 */
#ifndef CAST_PROTOCOL_CASTSPAN_H
#define CAST_PROTOCOL_CASTSPAN_H
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <weft/span.h>

/** A span of a string literal. */
#define CAST_SPAN(literal) ((struct weft_span){"" literal, sizeof(literal) - 1})

/** Same bytes? Absent and empty are equal here. */
static inline bool cast_span_eq(struct weft_span a, struct weft_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/** A string pair: one entry of a map such as the tags of a publication. */
struct cast_pair {
    struct weft_span key, value;
};

/** Lists that the decoders build in a scratch; count items, borrowed until the scratch is reset. */
struct cast_spans {
    struct weft_span *items;
    size_t count, room;
};
struct cast_pairs {
    struct cast_pair *items;
    size_t count, room;
};
#endif
