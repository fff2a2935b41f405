// SPDX-License-Identifier: Apache-2.0
/* value.c - parsing of single values, one function a type; value.h says the rules. */
#include "config/value.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static int refuse(char *why, size_t why_bytes, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(char *why, size_t why_bytes, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(why, why_bytes, fmt, ap);
    va_end(ap);
    return -EINVAL;
}

/* What a JSON value is, in words for a sentence. */
static const char *kind_of(const json_t *j)
{
    switch (json_typeof(j)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "a list";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

static bool parse_int_text(const char *text, int64_t *ret)
{
    char *end;
    if (*text == '\0' || strchr(" \t\n\v\f\r", *text))
        return false;
    errno = 0;
    long long v = strtoll(text, &end, 0);
    if (errno != 0 || *end != '\0')
        return false;
    *ret = v;
    return true;
}

static int parse_int(struct cast_raw raw, int64_t *ret, char *why, size_t why_bytes)
{
    const char *text = raw.json ? json_string_value(raw.json) : raw.text;
    if (raw.json && json_is_integer(raw.json)) {
        *ret = json_integer_value(raw.json);
        return 0;
    }
    if (raw.json && json_is_real(raw.json)) {
        double d = json_real_value(raw.json);
        if (fabs(d) > 9e15 || d != (double)(int64_t)d)
            return refuse(why, why_bytes, "%g is not a whole number", d);
        *ret = (int64_t)d;
        return 0;
    }
    if (!text)
        return refuse(why, why_bytes, "it is %s", kind_of(raw.json));
    if (!parse_int_text(text, ret))
        return refuse(why, why_bytes, "\"%.100s\" is not a whole number", text);
    return 0;
}

static int parse_bool(struct cast_raw raw, bool *ret, char *why, size_t why_bytes)
{
    static const char *const yes[] = {"true", "True", "TRUE", "t", "T", "1"};
    static const char *const no[] = {"false", "False", "FALSE", "f", "F", "0"};
    const char *text = raw.json ? json_string_value(raw.json) : raw.text;
    if (raw.json && json_is_boolean(raw.json)) {
        *ret = json_is_true(raw.json);
        return 0;
    }
    if (raw.json && json_is_integer(raw.json) && (uint64_t)json_integer_value(raw.json) <= 1) {
        *ret = json_integer_value(raw.json) == 1;
        return 0;
    }
    if (!text)
        return refuse(why, why_bytes, "it is %s", kind_of(raw.json));
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        if (strcmp(text, yes[i]) == 0 || strcmp(text, no[i]) == 0) {
            *ret = strcmp(text, yes[i]) == 0;
            return 0;
        }
    }
    return refuse(why, why_bytes, "\"%.100s\" is neither true nor false", text);
}

static int parse_duration(struct cast_raw raw, int64_t *ret, char *why, size_t why_bytes)
{
    const char *text = raw.json ? json_string_value(raw.json) : raw.text;
    if (raw.json && json_is_number(raw.json))
        return parse_int(raw, ret, why, why_bytes);
    if (!text)
        return refuse(why, why_bytes, "it is %s", kind_of(raw.json));
    if (!cast_duration_parse(text, ret))
        return refuse(why, why_bytes,
            "invalid duration \"%.100s\" (write for example \"25s\", \"1m30s\" or \"500ms\")",
            text);
    return 0;
}

static int parse_string(struct cast_raw raw, char **ret, char *why, size_t why_bytes)
{
    char digits[64];
    const char *text = raw.json ? json_string_value(raw.json) : raw.text;
    if (raw.json && json_is_integer(raw.json)) {
        snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(raw.json));
        text = digits;
    } else if (raw.json && json_is_real(raw.json)) {
        snprintf(digits, sizeof digits, "%.17g", json_real_value(raw.json));
        text = digits;
    }
    if (!text)
        return refuse(why, why_bytes, "it is %s", kind_of(raw.json));
    if (raw.json && json_is_string(raw.json) && strlen(text) != json_string_length(raw.json))
        return refuse(why, why_bytes, "it contains a NUL byte");
    *ret = strdup(text);
    return *ret ? 0 : -ENOMEM;
}

static int strings_add(struct cast_strings *list, char *item)
{
    char **items = item ? realloc(list->items, (list->count + 1) * sizeof *items) : NULL;
    if (!items) {
        free(item);
        return -ENOMEM;
    }
    items[list->count++] = item;
    list->items = items;
    return 0;
}

static int parse_words(const char *text, struct cast_strings *list)
{
    int rc = 0;
    while (rc == 0) {
        text += strspn(text, " \t\n");
        size_t bytes = strcspn(text, " \t\n");
        if (bytes == 0)
            break;
        rc = strings_add(list, strndup(text, bytes));
        text += bytes;
    }
    return rc;
}

static int parse_strings(
    struct cast_raw raw, struct cast_strings *list, char *why, size_t why_bytes)
{
    const char *text = raw.json ? json_string_value(raw.json) : raw.text;
    int rc = 0;
    if (text)
        return parse_words(text, list);
    if (!json_is_array(raw.json))
        return refuse(why, why_bytes, "it is %s", kind_of(raw.json));
    for (size_t i = 0; rc == 0 && i < json_array_size(raw.json); i++) {
        char *item = NULL, reason[160];
        struct cast_raw one = {.json = json_array_get(raw.json, i)};
        rc = parse_string(one, &item, reason, sizeof reason);
        if (rc == -EINVAL)
            refuse(why, why_bytes, "its item %zu is no string: %s", i, reason);
        else if (rc == 0)
            rc = strings_add(list, item);
    }
    return rc;
}

/* Whether a list or an object that weftcast does not look into says anything. */
static int parse_opaque(
    enum cast_type type, struct cast_raw raw, bool *ret_empty, char *why, size_t why_bytes)
{
    bool list = type == CAST_TYPE_OBJECTS;
    const char *text = raw.json ? json_string_value(raw.json) : raw.text;
    if (text) {
        *ret_empty = *text == '\0' || strcmp(text, list ? "[]" : "{}") == 0;
        return 0;
    }
    if (!(list ? json_is_array(raw.json) : json_is_object(raw.json)))
        return refuse(why, why_bytes, "it is %s", kind_of(raw.json));
    *ret_empty = list ? json_array_size(raw.json) == 0 : json_object_size(raw.json) == 0;
    return 0;
}

int cast_value_parse(enum cast_type type, struct cast_raw raw, union cast_slot *ret_slot, char *why,
    size_t why_bytes)
{
    union cast_slot slot = {0};
    int rc;
    switch (type) {
    case CAST_TYPE_STRING:
        rc = parse_string(raw, &slot.string, why, why_bytes);
        break;
    case CAST_TYPE_INT:
        rc = parse_int(raw, &slot.num, why, why_bytes);
        break;
    case CAST_TYPE_BOOL:
        rc = parse_bool(raw, &slot.flag, why, why_bytes);
        break;
    case CAST_TYPE_DURATION:
        rc = parse_duration(raw, &slot.num, why, why_bytes);
        break;
    case CAST_TYPE_STRINGS:
        rc = parse_strings(raw, &slot.strings, why, why_bytes);
        break;
    case CAST_TYPE_OBJECTS:
    case CAST_TYPE_MAP:
        rc = parse_opaque(type, raw, &slot.empty, why, why_bytes);
        break;
    default:
        rc = refuse(why, why_bytes, "it is not a single value");
        break;
    }
    if (rc == 0)
        *ret_slot = slot;
    else
        cast_value_fini(type, &slot);
    return rc;
}

static void strings_fini(struct cast_strings *list)
{
    for (size_t i = 0; i < list->count; i++)
        free(list->items[i]);
    free(list->items);
    *list = (struct cast_strings){0};
}

void cast_value_fini(enum cast_type type, union cast_slot *slot)
{
    if (type == CAST_TYPE_STRING) {
        free(slot->string);
        slot->string = NULL;
    } else if (type == CAST_TYPE_STRINGS) {
        strings_fini(&slot->strings);
    }
}

bool cast_value_equal(enum cast_type type, const union cast_slot *a, const union cast_slot *b)
{
    switch (type) {
    case CAST_TYPE_STRING:
        return strcmp(a->string, b->string) == 0;
    case CAST_TYPE_BOOL:
        return a->flag == b->flag;
    case CAST_TYPE_STRINGS:
        if (a->strings.count != b->strings.count)
            return false;
        for (size_t i = 0; i < a->strings.count; i++)
            if (strcmp(a->strings.items[i], b->strings.items[i]) != 0)
                return false;
        return true;
    case CAST_TYPE_OBJECTS:
    case CAST_TYPE_MAP:
        return a->empty && b->empty;
    default:
        return a->num == b->num;
    }
}

void cast_value_clear(enum cast_type type, void *member)
{
    if (type == CAST_TYPE_STRING) {
        free(*(char **)member);
        *(char **)member = NULL;
    } else if (type == CAST_TYPE_STRINGS) {
        strings_fini(member);
    }
}

void cast_value_store(enum cast_type type, void *member, union cast_slot *slot)
{
    cast_value_clear(type, member);
    switch (type) {
    case CAST_TYPE_STRING:
        *(char **)member = slot->string;
        break;
    case CAST_TYPE_BOOL:
        *(bool *)member = slot->flag;
        break;
    case CAST_TYPE_STRINGS:
        *(struct cast_strings *)member = slot->strings;
        break;
    default:
        *(int64_t *)member = slot->num;
        break;
    }
    *slot = (union cast_slot){0};
}

const char *cast_type_name(enum cast_type type)
{
    static const char *const names[] = {
        [CAST_TYPE_STRING] = "string",
        [CAST_TYPE_INT] = "int",
        [CAST_TYPE_BOOL] = "bool",
        [CAST_TYPE_DURATION] = "duration",
        [CAST_TYPE_STRINGS] = "list of strings",
        [CAST_TYPE_OBJECTS] = "list of objects",
        [CAST_TYPE_MAP] = "object",
        [CAST_TYPE_NAMESPACES] = "list of objects",
        [CAST_TYPE_CHANNEL] = "object",
    };
    return names[type];
}
