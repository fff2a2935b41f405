// SPDX-License-Identifier: Apache-2.0
/* rawjson.c - the walker over valid JSON text; rawjson.h says why it exists. */
#include "token/rawjson.h"

#include <jansson.h>
#include <string.h>

static size_t skip_space(struct weft_span s, size_t i)
{
    while (i < s.len &&
           (s.data[i] == ' ' || s.data[i] == '\t' || s.data[i] == '\n' || s.data[i] == '\r'))
        i++;
    return i;
}

static size_t skip_string(struct weft_span s, size_t i)
{
    for (i++; i < s.len && s.data[i] != '"'; i++)
        if (s.data[i] == '\\')
            i++;
    return i < s.len ? i + 1 : s.len;
}

/* End of the value that starts at i. */
static size_t skip_value(struct weft_span s, size_t i)
{
    int depth = 0;
    while (i < s.len) {
        char c = s.data[i];
        if (c == '"') {
            i = skip_string(s, i);
            if (depth == 0)
                return i;
            continue;
        }
        if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            if (depth == 0)
                return i;
            if (--depth == 0)
                return i + 1;
        } else if (depth == 0 && (c == ',' || c == ' ' || c == '\t' || c == '\n' || c == '\r')) {
            return i;
        }
        i++;
    }
    return i;
}

bool cast_raw_next(struct weft_span *rest, struct weft_span *ret_key, struct weft_span *ret_value)
{
    struct weft_span s = *rest;
    size_t i = skip_space(s, 0);
    if (i < s.len && (s.data[i] == '{' || s.data[i] == ','))
        i = skip_space(s, i + 1);
    if (i >= s.len || s.data[i] != '"')
        return false;
    size_t key_end = skip_string(s, i);
    *ret_key = (struct weft_span){s.data + i, key_end - i};
    i = skip_space(s, key_end);
    if (i >= s.len || s.data[i] != ':')
        return false;
    i = skip_space(s, i + 1);
    size_t end = skip_value(s, i);
    *ret_value = (struct weft_span){s.data + i, end - i};
    *rest = (struct weft_span){s.data + end, s.len - end};
    return true;
}

/* Whether a key's text, with quotes, spells name. */
static bool key_is(struct weft_span key, const char *name)
{
    size_t bytes = strlen(name);
    if (!memchr(key.data, '\\', key.len))
        return key.len == bytes + 2 && memcmp(key.data + 1, name, bytes) == 0;
    json_t *text = json_loadb(key.data, key.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same = text && json_string_length(text) == bytes &&
                memcmp(json_string_value(text), name, bytes) == 0;
    json_decref(text);
    return same;
}

struct weft_span cast_raw_member(struct weft_span object, const char *name)
{
    struct weft_span key, value, found = {0};
    while (cast_raw_next(&object, &key, &value))
        if (key_is(key, name))
            found = value;
    return found;
}

bool cast_raw_is_shallow(const char *text, size_t bytes, int depth)
{
    struct weft_span s = {text, bytes};
    int level = 0;
    for (size_t i = 0; i < bytes;) {
        if (text[i] == '"') {
            i = skip_string(s, i);
            continue;
        }
        if ((text[i] == '{' || text[i] == '[') && ++level > depth)
            return false;
        if ((text[i] == '}' || text[i] == ']') && level > 0)
            level--;
        i++;
    }
    return true;
}
