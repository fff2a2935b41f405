// SPDX-License-Identifier: Apache-2.0
/*
 * json.h - a strict JSON reader over bytes in memory, made for commands: it hands out spans of the
 * input, the bytes of a payload untouched, and fills structs from tables of fields.
 *
 * Debian's C libraries build a tree (jansson, json-c, cJSON) or give no raw bytes of a subtree
 * together with validation (yajl re-assembles values from events; jsmn accepts what is not JSON).
 * A payload has to pass byte for byte, and a command has to cost less than a system call, so the
 * reader is ours: small, without allocation, fuzzed.
 *
 * Rules (RFC 8259, and Go's decoders where clients can notice):
 *  J1  a whole value is validated, unknown fields included; numbers, literals and escapes strictly
 *  J2  object keys match exactly, else in any ASCII case ("Channel" is "channel")
 *  J3  null leaves a field as it was; a raw field takes the bytes "null"
 *  J4  a repeated key: the last one wins
 *  J5  strings: an invalid byte or a lone surrogate becomes U+FFFD; raw payloads must be UTF-8, as
 *      one bad payload would end the connection of every subscriber that checks it
 *  J6  nesting deeper than CAST_JSON_DEPTH is refused; nothing recurses over the input
 *
 * A reader belongs to one caller at a time. Errors: -EBADMSG (not JSON, or a wrong type), -ENOMEM.
 */
#ifndef CAST_PROTOCOL_JSON_H
#define CAST_PROTOCOL_JSON_H
#include "protocol/scratch.h"
#include "protocol/castspan.h"
#include <stdbool.h>
#include <stdint.h>

#define CAST_JSON_DEPTH 1024

struct cast_json {
    const char *at, *end;
    struct cast_scratch *scratch; // for escaped strings, lists and maps
};

/** cast_json_init - read text; scratch is borrowed and holds what cannot be a span of text. */
void cast_json_init(struct cast_json *j, struct weft_span text, struct cast_scratch *scratch);

/** cast_json_more - skip white space; is there another byte? */
bool cast_json_more(struct cast_json *j);

/** cast_json_end - 0 when only white space is left, else -EBADMSG. */
int cast_json_end(struct cast_json *j);

/**
 * cast_json_raw - step over one value of any kind.
 * @ret_raw: its bytes, without surrounding white space; may be NULL.
 * Validates the value as JSON and, when ret_raw is given, as UTF-8.
 */
int cast_json_raw(struct cast_json *j, struct weft_span *ret_raw);

/** cast_json_string - one string, decoded; a span of the text when it has nothing to decode. */
int cast_json_string(struct cast_json *j, struct weft_span *ret);
/** Numbers without fraction or exponent, in range; booleans. */
int cast_json_u64(struct cast_json *j, uint64_t max, uint64_t *ret);
int cast_json_i64(struct cast_json *j, int64_t min, int64_t max, int64_t *ret);
int cast_json_bool(struct cast_json *j, bool *ret);
/** cast_json_null - step over a null when one stands here. */
bool cast_json_null(struct cast_json *j);

/**
 * Objects and arrays by hand:
 *     rc = cast_json_object(&j);
 *     while (rc == 0 && (rc = cast_json_key(&j, &key)) > 0)
 *         rc = cast_json_raw(&j, &value);          // each key's value must be read
 * cast_json_key and cast_json_item return 1 at a member, 0 past the closing bracket, < 0 on an
 * error.
 */
int cast_json_object(struct cast_json *j);
int cast_json_key(struct cast_json *j, struct weft_span *ret_key);
int cast_json_array(struct cast_json *j);
int cast_json_item(struct cast_json *j);

/** What a field of a struct is, and how it is read. */
enum cast_json_type {
    CAST_JSON_STRING, // struct weft_span
    CAST_JSON_RAW,    // struct weft_span: the value's own bytes, null included
    CAST_JSON_BOOL,   // bool
    CAST_JSON_U32,    // uint32_t
    CAST_JSON_U64,    // uint64_t
    CAST_JSON_I32,    // int32_t
    CAST_JSON_I64,    // int64_t
    CAST_JSON_SPANS,  // struct cast_spans: an array of strings
    CAST_JSON_PAIRS,  // struct cast_pairs: an object of strings
    CAST_JSON_STRUCT, // a nested struct with its own table; `there` marks that it stood there
    CAST_JSON_CALL,   // read by a function of its own
};
struct cast_json_table;
struct cast_json_field {
    const char *name;
    uint8_t name_bytes;
    uint8_t type;                        // enum cast_json_type
    uint16_t offset;                     // of the member
    uint16_t there;                      // of a bool set when a STRUCT is not null; 0: none
    const struct cast_json_table *table; // STRUCT
    int (*call)(struct cast_json *j, void *base); // CALL; base is the whole struct
};
struct cast_json_table {
    const struct cast_json_field *fields;
    size_t count;
};

/** cast_json_struct - fill a zeroed struct from the object (or null) that stands here. */
int cast_json_struct(struct cast_json *j, const struct cast_json_table *table, void *base);

/** cast_json_valid - is text one JSON value (white space around it allowed), in UTF-8? */
bool cast_json_valid(struct weft_span text);
#endif
