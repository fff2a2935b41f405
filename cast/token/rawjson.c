// SPDX-License-Identifier: Apache-2.0
/* rawjson.c - the walker over valid JSON text; rawjson.h says why it exists. */
#include "token/rawjson.h"

#include <jansson.h>
#include <string.h>

static size_t skip_space(struct cast_raw_span s, size_t i)
{
    while (i < s.bytes && (s.at[i] == ' ' || s.at[i] == '\t' || s.at[i] == '\n' || s.at[i] == '\r'))
        i++;
    return i;
}

static size_t skip_string(struct cast_raw_span s, size_t i)
{
    for (i++; i < s.bytes && s.at[i] != '"'; i++)
        if (s.at[i] == '\\')
            i++;
    return i < s.bytes ? i + 1 : s.bytes;
}

/* End of the value that starts at i. */
static size_t skip_value(struct cast_raw_span s, size_t i)
{
    int depth = 0;
    while (i < s.bytes) {
        char c = s.at[i];
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

bool cast_raw_next(
    struct cast_raw_span *rest, struct cast_raw_span *ret_key, struct cast_raw_span *ret_value)
{
    struct cast_raw_span s = *rest;
    size_t i = skip_space(s, 0);
    if (i < s.bytes && (s.at[i] == '{' || s.at[i] == ','))
        i = skip_space(s, i + 1);
    if (i >= s.bytes || s.at[i] != '"')
        return false;
    size_t key_end = skip_string(s, i);
    *ret_key = (struct cast_raw_span){s.at + i, key_end - i};
    i = skip_space(s, key_end);
    if (i >= s.bytes || s.at[i] != ':')
        return false;
    i = skip_space(s, i + 1);
    size_t end = skip_value(s, i);
    *ret_value = (struct cast_raw_span){s.at + i, end - i};
    *rest = (struct cast_raw_span){s.at + end, s.bytes - end};
    return true;
}

/* Whether a key's text, with quotes, spells name. */
static bool key_is(struct cast_raw_span key, const char *name)
{
    size_t bytes = strlen(name);
    if (!memchr(key.at, '\\', key.bytes))
        return key.bytes == bytes + 2 && memcmp(key.at + 1, name, bytes) == 0;
    json_t *text = json_loadb(key.at, key.bytes, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    bool same = text && json_string_length(text) == bytes &&
                memcmp(json_string_value(text), name, bytes) == 0;
    json_decref(text);
    return same;
}

struct cast_raw_span cast_raw_member(struct cast_raw_span object, const char *name)
{
    struct cast_raw_span key, value, found = {0};
    while (cast_raw_next(&object, &key, &value))
        if (key_is(key, name))
            found = value;
    return found;
}

bool cast_raw_is_shallow(const char *text, size_t bytes, int depth)
{
    struct cast_raw_span s = {text, bytes};
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
