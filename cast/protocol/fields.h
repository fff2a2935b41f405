// SPDX-License-Identifier: Apache-2.0
/*
 * fields.h - writing field tables, and the tables that the client protocol and the HTTP API share.
 * Internal to cast/protocol.
 */
#ifndef CAST_PROTOCOL_FIELDS_H
#define CAST_PROTOCOL_FIELDS_H
#include "protocol/json.h"

/** One row: member of struct `of`, under its own name, read as CAST_JSON_<kind>. */
#define FIELD(of, member, kind)                                                                    \
    {                                                                                              \
        .name = #member, .name_bytes = sizeof(#member) - 1, .type = CAST_JSON_##kind,              \
        .offset = offsetof(struct of, member)                                                      \
    }
/** The same where the member's name says more than the protocol's (a unit). */
#define FIELD_AS(text, of, member, kind)                                                           \
    {                                                                                              \
        .name = text, .name_bytes = sizeof(text) - 1, .type = CAST_JSON_##kind,                    \
        .offset = offsetof(struct of, member)                                                      \
    }
/** A nested object; flag is a bool that is set when it stands there. */
#define FIELD_STRUCT(of, member, flag, rows)                                                       \
    {                                                                                              \
        .name = #member, .name_bytes = sizeof(#member) - 1, .type = CAST_JSON_STRUCT,              \
        .offset = offsetof(struct of, member), .there = offsetof(struct of, flag), .table = rows   \
    }
/** A member that a function reads. */
#define FIELD_CALL(text, fn)                                                                       \
    {                                                                                              \
        .name = text, .name_bytes = sizeof(text) - 1, .type = CAST_JSON_CALL, .call = fn           \
    }

#define TABLE_OF(list)                                                                             \
    {                                                                                              \
        list, sizeof(list) / sizeof((list)[0])                                                     \
    }

extern const struct cast_json_table cast_channel_table;  // struct cast_channel_ref
extern const struct cast_json_table cast_position_table; // struct cast_position
extern const struct cast_json_table cast_history_table;  // struct cast_history

/** cast_json_grow - room for one item more in a list that lives in the scratch. */
int cast_json_grow(
    struct cast_json *j, void **items, size_t *room, size_t count, size_t item_bytes);
#endif
