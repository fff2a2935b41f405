// SPDX-License-Identifier: Apache-2.0
/*
 * value.h - one setting's value: read from JSON or from text, stored, compared, printed.
 *
 * A value comes from a file (a JSON tree; YAML is turned into one) or as text (environment, flags).
 * The rules are those that Centrifugo's users know: text "true" is a boolean, text "8000" a number,
 * a number given for a string is its digits, a list may be text with spaces, a duration is text
 * with units ("1m30s") or a bare number of nanoseconds. What those rules do not cover is refused.
 *
 * Concurrency: pure functions over the caller's storage.
 */
#ifndef CAST_CONFIG_VALUE_H
#define CAST_CONFIG_VALUE_H
#include "config/config.h"

#include <jansson.h>

enum cast_type {
    CAST_TYPE_STRING,
    CAST_TYPE_INT,
    CAST_TYPE_BOOL,
    CAST_TYPE_DURATION,
    CAST_TYPE_STRINGS,
    CAST_TYPE_OBJECTS,    /* a list of objects that weftcast does not look into */
    CAST_TYPE_MAP,        /* an object with names of the user's own */
    CAST_TYPE_NAMESPACES, /* channel.namespaces */
    CAST_TYPE_CHANNEL,    /* channel.without_namespace */
};

/** A value before it is parsed: exactly one of the two is not NULL. */
struct cast_raw {
    json_t *json;
    const char *text;
};

/** A parsed value; the member is chosen by the type. */
union cast_slot {
    char *string;
    int64_t num; /* INT, DURATION (ns) */
    bool flag;
    struct cast_strings strings;
    bool empty; /* OBJECTS, MAP: nothing in it */
};

/** Parses. Returns 0 (ret_slot owns its memory), -EINVAL with a reason in why, or -ENOMEM. */
int cast_value_parse(enum cast_type type, struct cast_raw raw, union cast_slot *ret_slot, char *why,
    size_t why_bytes);
void cast_value_fini(enum cast_type type, union cast_slot *slot);
bool cast_value_equal(enum cast_type type, const union cast_slot *a, const union cast_slot *b);
/** Moves a slot into a member of a configuration struct, freeing what was there. */
void cast_value_store(enum cast_type type, void *member, union cast_slot *slot);
/** Frees a member of a configuration struct. */
void cast_value_clear(enum cast_type type, void *member);
/** The type's name in error sentences and documents: "int", "duration" … */
const char *cast_type_name(enum cast_type type);

/** Parses Go's duration syntax ("1h2m3.5s", "-10ms", "0"); false when it is not one. */
bool cast_duration_parse(const char *text, int64_t *ret_ns);
/** Prints a duration as Go does ("1m30s", "720h0m0s", "1.5s", "0s"). */
void cast_duration_format(int64_t ns, char *buf, size_t buf_bytes);
enum { CAST_DURATION_BYTES = 40 };
#endif
