// SPDX-License-Identifier: Apache-2.0
/*
 * json.c - the strict JSON reader of the codecs: scanning and scalars (json.h has the rules).
 *
 * Everything stands on two scanners that validate as they go:
 *
 *   scan_string   from the opening quote to the closing one, eight bytes a step while nothing
 *                 special comes; notes whether escapes or bytes >= 0x80 were seen
 *   scan_value    one whole value; brackets are kept in a bit per level on the C stack, so deep
 *                 nesting costs no recursion and is cut off at CAST_JSON_DEPTH
 *
 * A string without escapes and in good UTF-8 is handed out in place; any other is decoded into the
 * scratch. Objects and arrays are walked without state of their own (invariant R1):
 *
 *   R1  right after `{` or `[` was read, and only then, the byte before `at` is that bracket: a
 *       value never ends in an opening bracket. So "is this the first member?" needs no flag.
 *
 * Struct filling by tables is in fields.c. Any thread, one reader a caller; O(bytes).
 */
#include "protocol/json.h"
#include "protocol/runes.h"
#include <errno.h>
#include <limits.h>
#include <weft/utf8.h>

enum { SAW_ESCAPE = 1, SAW_HIGH = 2 };

void cast_json_init(struct cast_json *j, struct weft_span text, struct cast_scratch *scratch)
{
    j->at = text.data ? text.data : "";
    j->end = j->at + text.len;
    j->scratch = scratch;
}

static inline const char *skip_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

bool cast_json_more(struct cast_json *j)
{
    j->at = skip_space(j->at, j->end);
    return j->at < j->end;
}

int cast_json_end(struct cast_json *j)
{
    return cast_json_more(j) ? -EBADMSG : 0;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits of \uXXXX, or -1. */
static int hex4(const char *p, const char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int d = hex_value(p[i]);
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* Steps over an escape, p at its backslash; NULL when it is none of JSON's. */
static const char *scan_escape(const char *p, const char *end)
{
    if (end - p < 2)
        return NULL;
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        return p + 2;
    case 'u':
        return hex4(p + 2, end) < 0 ? NULL : p + 6;
    default:
        return NULL;
    }
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))
/* Has the word a quote, a backslash, a control character or a byte >= 0x80? May say yes wrongly
 * next to such a byte, never no. */
static inline bool word_special(uint64_t w)
{
    uint64_t quote = w ^ EACH('"'), slash = w ^ EACH('\\');
    return (((quote - EACH(1)) | (slash - EACH(1)) | (w - EACH(0x20)) | w) & EACH(0x80)) != 0;
}

/* From just behind the opening quote to the closing one; NULL when it is not a string. */
static const char *scan_string(const char *p, const char *end, unsigned *saw)
{
    for (;;) {
        uint64_t w;
        while (end - p >= 8 && (memcpy(&w, p, 8), !word_special(w)))
            p += 8;
        if (p >= end)
            return NULL;
        unsigned char c = (unsigned char)*p;
        if (c == '"')
            return p;
        if (c < 0x20)
            return NULL;
        if (c == '\\') {
            *saw |= SAW_ESCAPE;
            if (!(p = scan_escape(p, end)))
                return NULL;
            continue;
        }
        if (c >= 0x80)
            *saw |= SAW_HIGH;
        p++;
    }
}

static const char *scan_digits(const char *p, const char *end)
{
    const char *from = p;
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p > from ? p : NULL;
}

static const char *scan_number(const char *p, const char *end)
{
    if (p < end && *p == '-')
        p++;
    if (p < end && *p == '0')
        p++;
    else if (!(p = scan_digits(p, end)))
        return NULL;
    if (p < end && *p == '.' && !(p = scan_digits(p + 1, end)))
        return NULL;
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-'))
            p++;
        p = scan_digits(p, end);
    }
    return p;
}

static const char *scan_word(const char *p, const char *end, const char *word, size_t bytes)
{
    return (size_t)(end - p) >= bytes && memcmp(p, word, bytes) == 0 ? p + bytes : NULL;
}

static const char *scan_scalar(const char *p, const char *end, unsigned *saw)
{
    switch (*p) {
    case '"':
        p = scan_string(p + 1, end, saw);
        return p ? p + 1 : NULL;
    case 't':
        return scan_word(p, end, "true", 4);
    case 'f':
        return scan_word(p, end, "false", 5);
    case 'n':
        return scan_word(p, end, "null", 4);
    default:
        return scan_number(p, end);
    }
}

/* The open brackets: bit n set when level n is an object. */
struct levels {
    unsigned depth;
    uint64_t object[CAST_JSON_DEPTH / 64];
};

static bool level_push(struct levels *l, bool object)
{
    if (l->depth == CAST_JSON_DEPTH)
        return false;
    uint64_t bit = UINT64_C(1) << (l->depth % 64), *word = &l->object[l->depth / 64];
    uint64_t below = l->depth % 64 ? *word : 0;
    *word = object ? below | bit : below & ~bit;
    l->depth++;
    return true;
}

static bool level_is_object(const struct levels *l)
{
    unsigned top = l->depth - 1;
    return l->object[top / 64] >> (top % 64) & 1;
}

/* "key" : with white space around; returns the place of the value. */
static const char *scan_key(const char *p, const char *end, unsigned *saw)
{
    p = skip_space(p, end);
    if (p == end || *p != '"' || !(p = scan_string(p + 1, end, saw)))
        return NULL;
    p = skip_space(p + 1, end);
    return p < end && *p == ':' ? p + 1 : NULL;
}

/* One opening bracket at p: the place of the first value inside, or (with *ret_empty) the place
 * behind an empty pair. */
static const char *scan_open(
    const char *p, const char *end, struct levels *l, unsigned *saw, bool *ret_empty)
{
    bool object = *p == '{';
    if (!level_push(l, object))
        return NULL;
    p = skip_space(p + 1, end);
    *ret_empty = p < end && *p == (object ? '}' : ']');
    if (*ret_empty) {
        l->depth--;
        return p + 1;
    }
    return object ? scan_key(p, end, saw) : p;
}

/* Behind a value: closes what ends here. Returns the place of the next value, or with l->depth 0
 * the place behind the outermost one. */
static const char *scan_after(const char *p, const char *end, struct levels *l, unsigned *saw)
{
    while (l->depth > 0) {
        bool object = level_is_object(l);
        p = skip_space(p, end);
        if (p == end)
            return NULL;
        if (*p == ',')
            return object ? scan_key(p + 1, end, saw) : p + 1;
        if (*p != (object ? '}' : ']'))
            return NULL;
        p++;
        l->depth--;
    }
    return p;
}

static const char *scan_value(const char *p, const char *end, unsigned *saw)
{
    struct levels l;
    l.depth = 0;
    do {
        p = skip_space(p, end);
        if (p == end)
            return NULL;
        bool complete = true;
        if (*p == '{' || *p == '[')
            p = scan_open(p, end, &l, saw, &complete);
        else
            p = scan_scalar(p, end, saw);
        if (p && complete)
            p = scan_after(p, end, &l, saw);
    } while (p && l.depth > 0);
    return p;
}

int cast_json_raw(struct cast_json *j, struct weft_span *ret_raw)
{
    unsigned saw = 0;
    const char *from = skip_space(j->at, j->end);
    const char *to = scan_value(from, j->end, &saw);
    if (!to)
        return -EBADMSG;
    if (ret_raw) {
        if ((saw & SAW_HIGH) && !weft_utf8_valid(from, (size_t)(to - from)))
            return -EBADMSG;
        *ret_raw = (struct weft_span){from, (size_t)(to - from)};
    }
    j->at = to;
    return 0;
}

static char *put_rune(char *q, uint32_t r)
{
    if (r < 0x80) {
        *q++ = (char)r;
    } else if (r < 0x800) {
        *q++ = (char)(0xc0 | r >> 6);
        *q++ = (char)(0x80 | (r & 0x3f));
    } else if (r < 0x10000) {
        *q++ = (char)(0xe0 | r >> 12);
        *q++ = (char)(0x80 | (r >> 6 & 0x3f));
        *q++ = (char)(0x80 | (r & 0x3f));
    } else {
        *q++ = (char)(0xf0 | r >> 18);
        *q++ = (char)(0x80 | (r >> 12 & 0x3f));
        *q++ = (char)(0x80 | (r >> 6 & 0x3f));
        *q++ = (char)(0x80 | (r & 0x3f));
    }
    return q;
}

/* \uXXXX at *p (already validated), with its second half when it has one. */
static uint32_t take_unicode(const char **p, const char *end)
{
    uint32_t r = (uint32_t)hex4(*p + 2, end);
    *p += 6;
    if (r < 0xd800 || r > 0xdfff)
        return r;
    if (r < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        uint32_t low = (uint32_t)hex4(*p + 2, end);
        if (low >= 0xdc00 && low <= 0xdfff) {
            *p += 6;
            return 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
        }
    }
    return 0xfffd;
}

static char unescaped(char c)
{
    switch (c) {
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return c;
    }
}

/* Decodes a validated string body; the result is at most three times as long (a bad byte becomes
 * the three of U+FFFD). */
static int decode_string(
    struct cast_scratch *s, const char *p, const char *end, struct weft_span *ret)
{
    char *buf = cast_scratch_alloc(s, (size_t)(end - p) * 3), *q = buf;
    if (!buf)
        return -ENOMEM;
    while (p < end) {
        size_t step;
        if (*p == '\\' && p[1] == 'u') {
            q = put_rune(q, take_unicode(&p, end));
        } else if (*p == '\\') {
            *q++ = unescaped(p[1]);
            p += 2;
        } else if ((step = cast_utf8_step(p, (size_t)(end - p))) > 0) {
            memcpy(q, p, step);
            q += step;
            p += step;
        } else {
            q = put_rune(q, 0xfffd);
            p++;
        }
    }
    *ret = (struct weft_span){buf, (size_t)(q - buf)};
    return 0;
}

int cast_json_string(struct cast_json *j, struct weft_span *ret)
{
    unsigned saw = 0;
    const char *from = skip_space(j->at, j->end);
    if (from == j->end || *from++ != '"')
        return -EBADMSG;
    const char *to = scan_string(from, j->end, &saw);
    if (!to)
        return -EBADMSG;
    j->at = to + 1;
    if (saw && ((saw & SAW_ESCAPE) || !weft_utf8_valid(from, (size_t)(to - from))))
        return decode_string(j->scratch, from, to, ret);
    *ret = (struct weft_span){from, (size_t)(to - from)};
    return 0;
}

int cast_json_u64(struct cast_json *j, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    const char *p = skip_space(j->at, j->end), *from = p;
    for (; p < j->end && *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (v > max / 10 || v * 10 > max - digit)
            return -EBADMSG;
        v = v * 10 + digit;
    }
    if (p == from || (*from == '0' && p - from > 1))
        return -EBADMSG;
    if (p < j->end && (*p == '.' || *p == 'e' || *p == 'E'))
        return -EBADMSG;
    j->at = p;
    *ret = v;
    return 0;
}

int cast_json_i64(struct cast_json *j, int64_t min, int64_t max, int64_t *ret)
{
    uint64_t v;
    j->at = skip_space(j->at, j->end);
    bool negative = j->at < j->end && *j->at == '-';
    if (negative && (++j->at == j->end || *j->at < '0' || *j->at > '9'))
        return -EBADMSG;
    uint64_t limit = negative ? (uint64_t)0 - (uint64_t)min : (uint64_t)max;
    int rc = cast_json_u64(j, limit, &v);
    if (rc == 0)
        *ret = (int64_t)(negative ? (uint64_t)0 - v : v);
    return rc;
}

static bool take_word(struct cast_json *j, const char *word, size_t bytes)
{
    const char *p = scan_word(skip_space(j->at, j->end), j->end, word, bytes);
    if (p)
        j->at = p;
    return p != NULL;
}

int cast_json_bool(struct cast_json *j, bool *ret)
{
    if (take_word(j, "true", 4))
        *ret = true;
    else if (take_word(j, "false", 5))
        *ret = false;
    else
        return -EBADMSG;
    return 0;
}

bool cast_json_null(struct cast_json *j)
{
    return take_word(j, "null", 4);
}

static int open_bracket(struct cast_json *j, char bracket)
{
    if (!cast_json_more(j) || *j->at != bracket)
        return -EBADMSG;
    j->at++;
    return 0;
}

int cast_json_object(struct cast_json *j)
{
    return open_bracket(j, '{');
}
int cast_json_array(struct cast_json *j)
{
    return open_bracket(j, '[');
}

/* At the next member (1), past the closing bracket (0), or neither. Stands on R1. */
static int next_member(struct cast_json *j, char open, char close)
{
    bool first = j->at[-1] == open;
    if (!cast_json_more(j))
        return -EBADMSG;
    if (*j->at == close) {
        j->at++;
        return 0;
    }
    if (first)
        return 1;
    if (*j->at != ',')
        return -EBADMSG;
    j->at++;
    return cast_json_more(j) ? 1 : -EBADMSG;
}

int cast_json_item(struct cast_json *j)
{
    return next_member(j, '[', ']');
}

int cast_json_key(struct cast_json *j, struct weft_span *ret_key)
{
    int rc = next_member(j, '{', '}');
    if (rc <= 0)
        return rc;
    if ((rc = cast_json_string(j, ret_key)) < 0)
        return rc;
    if (!cast_json_more(j) || *j->at != ':')
        return -EBADMSG;
    j->at++;
    return 1;
}

bool cast_json_valid(struct weft_span text)
{
    struct cast_json j;
    struct weft_span raw;
    cast_json_init(&j, text, NULL);
    return cast_json_raw(&j, &raw) == 0 && cast_json_end(&j) == 0;
}
