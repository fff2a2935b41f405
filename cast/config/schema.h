// SPDX-License-Identifier: Apache-2.0
/*
 * schema.h - the table of settings, from which parsing, defaults, documents and suggestions derive.
 *
 * schema.def and schema_channel.def hold one row a key; here they become two arrays. Paths of the
 * first are whole ("client.channel_limit"), those of the second relative to an object with channel
 * options ("history_size").
 *
 * Concurrency: constant tables, pure functions.
 */
#ifndef CAST_CONFIG_SCHEMA_H
#define CAST_CONFIG_SCHEMA_H
#include "config/value.h"

enum cast_key_status { CAST_KEY_HAVE, CAST_KEY_MOOT, CAST_KEY_LATER, CAST_KEY_REFUSE };

struct cast_key {
    const char *path;
    const char *def;  /* default, as text */
    const char *text; /* what it is (HAVE, MOOT), or what happens without it (LATER, REFUSE) */
    size_t offset;    /* HAVE: of the member in the struct of its table */
    enum cast_type type;
    enum cast_key_status status;
};

struct cast_table {
    const struct cast_key *keys;
    size_t count;
};
extern const struct cast_table cast_root_table;   /* offsets into struct cast_config */
extern const struct cast_table cast_option_table; /* into struct cast_channel_options */

/** Headings of the document: a section starts at the first key whose first word is its name. */
struct cast_section {
    const char *name, *text;
};
extern const struct cast_section cast_sections[];
extern const size_t cast_sections_count;

/** The key of this path, without regard to case; NULL when there is none. */
const struct cast_key *cast_table_find(const struct cast_table *table, const char *path);
/** Whether path is the start of some key's path ("client" or "client.token"). */
bool cast_table_is_section(const struct cast_table *table, const char *path);
/** The key (or section, where wanted) nearest to a path that is neither; "" when nothing is
 * near. */
void cast_table_nearest(const struct cast_table *table, const char *path, bool sections,
    char *ret_near, size_t near_bytes);
/** The key that a whole path names, in either table; *ret_channel says whether it is an option of
 * channel.without_namespace. */
const struct cast_key *cast_schema_find(const char *path, bool *ret_channel);
#define CAST_WITHOUT_NAMESPACE "channel.without_namespace"

/** The environment variable of a path, after a prefix: "WEFTCAST_", "client.channel_limit" gives
 * WEFTCAST_CLIENT_CHANNEL_LIMIT. */
void cast_env_name(const char *prefix, const char *path, char *buf, size_t buf_bytes);

/** Writes docs/configuration.md; the default configuration as JSON; as environment variables. */
void cast_schema_write_doc(FILE *out);
void cast_schema_write_defaults(FILE *out);
void cast_schema_write_env(FILE *out);
enum { CAST_PATH_BYTES = 512 };
#endif
