// SPDX-License-Identifier: Apache-2.0
/*
 * weft/span.h - a borrowed run of bytes: where it begins and how long it is.
 *
 * Parsers hand out spans into the caller's buffer instead of copies, so a span is good for as long
 * as that buffer stays where it is and unchanged. It is not terminated by NUL. `data == NULL` says
 * "absent", which differs from present and empty. Pass spans by value (two registers).
 */
#ifndef WEFT_SPAN_H
#define WEFT_SPAN_H
#include <weft/base.h>

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

WEFT_BEGIN_DECLS

/** struct weft_span - borrowed bytes: data .. data + len; data is NULL where there is none. */
struct weft_span {
    const char *data;
    size_t len;
};

/** weft_span_of - the span over a NUL-terminated string; the absent span for NULL. Since 0.1. */
static inline struct weft_span weft_span_of(const char *text)
{
    struct weft_span s;
    s.data = text;
    s.len = text ? strlen(text) : 0;
    return s;
}

/** weft_span_is - whether the span's bytes equal the string's, case and all. Since 0.1. */
static inline bool weft_span_is(struct weft_span s, const char *text)
{
    return s.data && s.len == strlen(text) && memcmp(s.data, text, s.len) == 0;
}

/**
 * weft_span_is_nocase - whether the span's bytes equal the string's, ASCII letters of either case.
 * @s:    borrowed; may be absent (then never equal).
 * @text: NUL-terminated; borrowed.
 *
 * Returns true when equal. The locale plays no part.
 * Blocks:    no.
 * Callable:  anywhere, signal handlers too.
 * Cost:      at most one pass over both.
 * Since 0.1. Source: RFC 9110 §5.1 (field names), §5.6.2 (tokens). See weft_span_is.
 */
WEFT_API bool weft_span_is_nocase(struct weft_span s, const char *text);

WEFT_END_DECLS
#endif
