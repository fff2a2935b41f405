// SPDX-License-Identifier: Apache-2.0
/*
 * fields.c - filling structs from JSON objects by tables of fields (json.h, cast_json_struct).
 *
 *     {"channel":"a","offset":3}   +   { "channel", STRING, offsetof(...) }   =   struct
 *                                      { "offset",  U64,    offsetof(...) }
 *
 * A table is searched from front to back by length and bytes: commands have at most some twenty
 * fields and most lengths differ, so a hash would cost more. Only a key that matches nothing is
 * looked up again without regard to case (rule J2).
 *
 * Recursion follows the tables, never the input: its depth is that of the deepest table.
 * Lists double their room in the scratch; the old room is given up until the reset.
 */
#include "protocol/fields.h"
#include <errno.h>
#include <limits.h>
#include <strings.h>

static const struct cast_json_field *find_field(
    const struct cast_json_table *t, struct weft_span key)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->fields[i].name_bytes == key.len && memcmp(t->fields[i].name, key.data, key.len) == 0)
            return &t->fields[i];
    for (size_t i = 0; i < t->count; i++)
        if (t->fields[i].name_bytes == key.len &&
            strncasecmp(t->fields[i].name, key.data, key.len) == 0)
            return &t->fields[i];
    return NULL;
}

int cast_json_grow(struct cast_json *j, void **items, size_t *room, size_t count, size_t item_bytes)
{
    if (count < *room)
        return 0;
    size_t more = *room ? *room * 2 : 4;
    void *p =
        more > SIZE_MAX / item_bytes ? NULL : cast_scratch_alloc(j->scratch, more * item_bytes);
    if (!p)
        return -ENOMEM;
    if (count)
        memcpy(p, *items, count * item_bytes);
    *items = p;
    *room = more;
    return 0;
}

static int string_or_null(struct cast_json *j, struct weft_span *ret)
{
    if (cast_json_null(j)) {
        *ret = (struct weft_span){"", 0};
        return 0;
    }
    return cast_json_string(j, ret);
}

static int read_spans(struct cast_json *j, struct cast_spans *list)
{
    int rc = cast_json_array(j);
    list->count = 0;
    while (rc == 0 && (rc = cast_json_item(j)) > 0) {
        struct weft_span item;
        rc = string_or_null(j, &item);
        if (rc == 0)
            rc = cast_json_grow(j, (void **)&list->items, &list->room, list->count, sizeof(item));
        if (rc == 0)
            list->items[list->count++] = item;
    }
    return rc;
}

static int read_pairs(struct cast_json *j, struct cast_pairs *list)
{
    struct cast_pair pair;
    int rc = cast_json_object(j);
    list->count = 0;
    while (rc == 0 && (rc = cast_json_key(j, &pair.key)) > 0) {
        rc = string_or_null(j, &pair.value);
        if (rc == 0)
            rc = cast_json_grow(j, (void **)&list->items, &list->room, list->count, sizeof(pair));
        if (rc == 0)
            list->items[list->count++] = pair;
    }
    return rc;
}

static int read_unsigned(struct cast_json *j, const struct cast_json_field *f, void *to)
{
    uint64_t v;
    int rc = cast_json_u64(j, f->type == CAST_JSON_U32 ? UINT32_MAX : UINT64_MAX, &v);
    if (rc < 0)
        return rc;
    if (f->type == CAST_JSON_U32)
        *(uint32_t *)to = (uint32_t)v;
    else
        *(uint64_t *)to = v;
    return 0;
}

static int read_signed(struct cast_json *j, const struct cast_json_field *f, void *to)
{
    int64_t v;
    bool small = f->type == CAST_JSON_I32;
    int rc = cast_json_i64(j, small ? INT32_MIN : INT64_MIN, small ? INT32_MAX : INT64_MAX, &v);
    if (rc < 0)
        return rc;
    if (small)
        *(int32_t *)to = (int32_t)v;
    else
        *(int64_t *)to = v;
    return 0;
}

static int read_field(struct cast_json *j, const struct cast_json_field *f, char *base)
{
    char *to = base + f->offset;
    if (f->type == CAST_JSON_RAW)
        return cast_json_raw(j, (struct weft_span *)(void *)to);
    if (f->type == CAST_JSON_CALL)
        return f->call(j, base);
    if (cast_json_more(j) && *j->at == 'n')
        return cast_json_null(j) ? 0 : -EBADMSG;
    switch (f->type) {
    case CAST_JSON_STRING:
        return cast_json_string(j, (struct weft_span *)(void *)to);
    case CAST_JSON_BOOL:
        return cast_json_bool(j, (bool *)(void *)to);
    case CAST_JSON_U32:
    case CAST_JSON_U64:
        return read_unsigned(j, f, to);
    case CAST_JSON_I32:
    case CAST_JSON_I64:
        return read_signed(j, f, to);
    case CAST_JSON_SPANS:
        return read_spans(j, (struct cast_spans *)(void *)to);
    case CAST_JSON_PAIRS:
        return read_pairs(j, (struct cast_pairs *)(void *)to);
    case CAST_JSON_STRUCT:
        if (f->there)
            *(bool *)(void *)(base + f->there) = true;
        return cast_json_struct(j, f->table, to);
    default:
        return -EINVAL;
    }
}

int cast_json_struct(struct cast_json *j, const struct cast_json_table *table, void *base)
{
    struct weft_span key;
    if (cast_json_null(j))
        return 0;
    int rc = cast_json_object(j);
    while (rc == 0 && (rc = cast_json_key(j, &key)) > 0) {
        const struct cast_json_field *f = find_field(table, key);
        rc = f ? read_field(j, f, base) : cast_json_raw(j, NULL);
    }
    return rc;
}
