// SPDX-License-Identifier: Apache-2.0
/*
 * http1_chars.h - what each byte may be in HTTP: one table, one bit a class.
 *
 * The classes follow the grammars of RFC 9110 and RFC 3986, with two laxities that every server
 * has: bytes from 0x80 on, and the printable characters that browsers forget to encode ("<>\^`{|}),
 * pass in a request target. Callable from anywhere.
 */
#ifndef WEFT_PROTO_HTTP1_CHARS_H
#define WEFT_PROTO_HTTP1_CHARS_H
#include <weft/span.h>

#include <stdbool.h>
#include <stdint.h>

enum {
    WEFT__TOKEN = 1,     /* RFC 9110 §5.6.2 tchar: methods, field names */
    WEFT__HOST = 2,      /* RFC 3986 §3.2.2 with port: host[:port], [v6] */
    WEFT__TARGET = 4,    /* request target: no white space, control or '#' */
    WEFT__UNRESERVED = 8 /* RFC 3986 §2.3 */
};
extern const uint8_t weft__http1_class[256];

static inline bool weft__is_class(char c, int class)
{
    return weft__http1_class[(uint8_t)c] & class;
}

/* Whether all bytes are of the class; true for none. */
static inline bool weft__all_class(struct weft_span s, int class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!weft__is_class(s.data[i], class))
            return false;
    return true;
}

static inline char weft__lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* Equal without case; the caller has compared the lengths. */
static inline bool weft__same_nocase(const char *a, const char *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (a[i] != b[i] && weft__lower(a[i]) != weft__lower(b[i]))
            return false;
    return true;
}

/* Value of a hexadecimal digit; -1 where it is none. */
static inline int weft__hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Without spaces and tabs at both ends. */
static inline struct weft_span weft__trim(struct weft_span s)
{
    while (s.len && (s.data[0] == ' ' || s.data[0] == '\t'))
        s.data++, s.len--;
    while (s.len && (s.data[s.len - 1] == ' ' || s.data[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* First byte at or after p that no line may hold: a control other than tab, or DEL; end where there
 * is none. CR and LF count. */
const char *weft__http1_find_control(const char *p, const char *end);

#endif
