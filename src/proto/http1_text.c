// SPDX-License-Identifier: Apache-2.0
/*
 * http1_text.c - what stands inside targets and values: lists, query strings, percent-encoding.
 *
 * Lookups compare decoded against decoded while they walk, so a parameter is found without copying
 * the query anywhere; only the value that is wanted is decoded, by the caller, where it likes.
 * Percent-decoding never grows, so it may work in place.
 *
 * Pure functions; callable from anywhere. Wait-free.
 */
#include "base/fatal.h"
#include "proto/http1_chars.h"

#include <weft/http1.h>

#include <errno.h>

/* Cuts rest at the first `at`: what stands before it. rest becomes what stands behind it, or empty.
 */
static struct weft_span cut(struct weft_span *rest, char at)
{
    struct weft_span head = *rest;
    const char *mark = rest->len ? memchr(rest->data, at, rest->len) : NULL;
    if (mark) {
        head.len = (size_t)(mark - rest->data);
        rest->data = mark + 1;
        rest->len -= head.len + 1;
    } else {
        rest->data = rest->len ? rest->data + rest->len : rest->data;
        rest->len = 0;
    }
    return head;
}

bool weft_http1_list_next(struct weft_span *rest, struct weft_span *ret_item)
{
    while (rest->len) {
        struct weft_span item = weft__trim(cut(rest, ','));
        if (item.len) {
            *ret_item = item;
            return true;
        }
    }
    return false;
}

bool weft_http1_query_next(
    struct weft_span *rest, struct weft_span *ret_name, struct weft_span *ret_value)
{
    while (rest->len) {
        struct weft_span value = cut(rest, '&');
        if (!value.len)
            continue;
        bool has_value = memchr(value.data, '=', value.len) != NULL;
        *ret_name = cut(&value, '=');
        *ret_value = has_value ? value : (struct weft_span){NULL, 0};
        return true;
    }
    return false;
}

/* Takes one decoded byte from s: 0 to 255; -EINVAL for a broken escape. s must not be empty. */
static int decode_next(struct weft_span *s, bool plus_is_space)
{
    WEFT_ASSERT(s->len > 0);
    char c = s->data[0];
    size_t used = 1;
    int byte = c == '+' && plus_is_space ? ' ' : (uint8_t)c;
    if (c == '%') {
        int high = s->len > 2 ? weft__hex(s->data[1]) : -1;
        int low = s->len > 2 ? weft__hex(s->data[2]) : -1;
        if (high < 0 || low < 0)
            return -EINVAL;
        byte = high << 4 | low;
        used = 3;
    }
    s->data += used;
    s->len -= used;
    return byte;
}

static bool decodes_to(struct weft_span s, const char *name)
{
    for (; s.len; name++) {
        int byte = decode_next(&s, true);
        if (byte < 0 || byte != (uint8_t)*name || *name == '\0')
            return false;
    }
    return *name == '\0';
}

int weft_http1_query_get(struct weft_span query, const char *name, struct weft_span *ret_value)
{
    struct weft_span n, v;
    while (weft_http1_query_next(&query, &n, &v)) {
        if (!decodes_to(n, name))
            continue;
        *ret_value = v.data ? v : (struct weft_span){n.data + n.len, 0};
        return 1;
    }
    return 0;
}

ssize_t weft_http1_percent_decode(struct weft_span in, bool plus_is_space, char *out, size_t cap)
{
    size_t n = 0;
    while (in.len) {
        int byte = decode_next(&in, plus_is_space);
        if (byte < 0)
            return byte;
        if (n == cap)
            return -ENOBUFS;
        out[n++] = (char)byte;
    }
    return (ssize_t)n;
}

ssize_t weft_http1_percent_encode(struct weft_span in, char *out, size_t cap)
{
    size_t n = 0;
    for (size_t i = 0; i < in.len; i++) {
        char c = in.data[i];
        bool plain = weft__is_class(c, WEFT__UNRESERVED);
        size_t need = plain ? 1 : 3;
        if (need > cap - n)
            return -ENOBUFS;
        if (plain) {
            out[n] = c;
        } else {
            out[n] = '%';
            out[n + 1] = "0123456789ABCDEF"[(uint8_t)c >> 4];
            out[n + 2] = "0123456789ABCDEF"[(uint8_t)c & 15];
        }
        n += need;
    }
    return (ssize_t)n;
}
