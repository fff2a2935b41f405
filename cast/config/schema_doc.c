// SPDX-License-Identifier: Apache-2.0
/*
 * schema_doc.c - the table of settings written out: as docs/configuration.md, as a configuration
 * file with every default, as environment variables.
 *
 * A test compares docs/configuration.md with what is written here, so the document cannot lag
 * behind the table.
 *
 * Concurrency: none of its own; writes to a stream.
 */
#include "config/schema.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void write_default(FILE *out, const struct cast_key *key)
{
    bool quoted = key->type == CAST_TYPE_STRING || key->type == CAST_TYPE_DURATION;
    if (key->type == CAST_TYPE_STRINGS && key->def[0] == '\0')
        fprintf(out, "`[]`");
    else
        fprintf(out, quoted ? "`\"%s\"`" : "`%s`", key->def);
}

static void write_rows(FILE *out, const struct cast_table *table, size_t from, size_t to)
{
    bool headed = false;
    for (size_t i = from; i < to; i++) {
        const struct cast_key *key = &table->keys[i];
        if (key->status != CAST_KEY_HAVE && key->status != CAST_KEY_MOOT)
            continue;
        if (!headed)
            fprintf(out, "\n| Key | Type | Default | Meaning |\n|---|---|---|---|\n");
        headed = true;
        fprintf(out, "| `%s` | %s | ", key->path, cast_type_name(key->type));
        write_default(out, key);
        fprintf(
            out, " | %s%s |\n", key->status == CAST_KEY_MOOT ? "Without effect: " : "", key->text);
    }
}

/* Bytes of a path that name it in a list: of deep ones only the start, "client.proxy" for all of
 * client.proxy.connect.timeout and its like. */
static size_t listed_bytes(const struct cast_table *table, const char *path)
{
    size_t end = strcspn(path, ".");
    if (table == &cast_root_table && path[end])
        end += 1 + strcspn(path + end + 1, ".");
    return end;
}

/* Keys that weftcast does not act on, neighbours with the same consequence in one item. */
static void write_missing(
    FILE *out, const struct cast_table *table, size_t from, size_t to, enum cast_key_status status)
{
    const struct cast_key *last = NULL;
    for (size_t i = from; i < to; i++) {
        const struct cast_key *key = &table->keys[i];
        size_t bytes =
            status == CAST_KEY_REFUSE ? strlen(key->path) : listed_bytes(table, key->path);
        if (key->status != status)
            continue;
        if (!last)
            fprintf(out, "\n%s\n\n",
                status == CAST_KEY_REFUSE
                    ? "Refused with another value than the default, as weftcast does not have it "
                      "yet and going on without it would do harm:"
                    : "Known and not there yet (a warning, with what happens instead):");
        if (last && strncmp(last->path, key->path, bytes) == 0 && key->path[bytes] == '.' &&
            last->path[bytes] == '.')
            continue;
        if (last && strcmp(last->text, key->text) == 0)
            fprintf(out, ", ");
        else
            fprintf(out, last ? ": %s\n- " : "- ", last ? last->text : "");
        fprintf(out, "`%.*s%s`", (int)bytes, key->path, key->path[bytes] ? ".*" : "");
        last = key;
    }
    if (last)
        fprintf(out, ": %s\n", last->text);
}

static void write_part(FILE *out, const struct cast_table *table, size_t from, size_t to)
{
    write_rows(out, table, from, to);
    write_missing(out, table, from, to, CAST_KEY_REFUSE);
    write_missing(out, table, from, to, CAST_KEY_LATER);
}

static bool starts_section(const struct cast_key *key, size_t section)
{
    size_t bytes = strcspn(key->path, ".");
    return section < cast_sections_count && strlen(cast_sections[section].name) == bytes &&
           strncmp(cast_sections[section].name, key->path, bytes) == 0;
}

static const char intro[] =
    "# Configuration\n"
    "\n"
    "This page is written by `weftcast configdoc` from the table that the server itself reads by; "
    "a test keeps the two equal.\n"
    "\n"
    "weftcast reads the configuration of Centrifugo 6: the same keys, in a JSON or YAML file "
    "(`-c FILE`, by default `config.json`; TOML is refused). A later source wins over an earlier "
    "one:\n"
    "\n"
    "1. the defaults below;\n"
    "2. the file;\n"
    "3. variables `CENTRIFUGO_…` of the environment, or of a `.env` file in the working "
    "directory;\n"
    "4. variables `WEFTCAST_…`, likewise;\n"
    "5. flags: any key, as `--client.channel_limit=200`.\n"
    "\n"
    "A variable's name is the key in capitals with `_` for dots: `WEFTCAST_HTTP_SERVER_PORT`. "
    "Lists of strings are written with spaces between. `WEFTCAST_CHANNEL_NAMESPACES` holds a JSON "
    "list, or just names with spaces between; one option of a namespace `news` is "
    "`WEFTCAST_CHANNEL_NAMESPACES_NEWS_PRESENCE`. An empty variable counts as unset.\n"
    "\n"
    "Durations are text with units: `\"500ms\"`, `\"1m30s\"`, `\"720h\"`; a bare number is "
    "nanoseconds.\n"
    "\n"
    "A key that nobody has is named in a warning at start, with the nearest valid one; so is a key "
    "of Centrifugo's that weftcast does not have yet, when its value is not the default. "
    "`weftcast checkconfig --strict` fails on both. A value of the wrong type or without sense is "
    "an error with its path.\n"
    "\n"
    "SIGHUP reads file and environment again. Channels, namespaces, token keys, `client.*` and "
    "`rpc.*` take effect at once; the rest needs a restart. A configuration with an error leaves "
    "the old one in force.\n";

void cast_schema_write_doc(FILE *out)
{
    size_t section = 0, from = 0;
    fputs(intro, out);
    for (size_t i = 0; i < cast_root_table.count; i++) {
        if (!starts_section(&cast_root_table.keys[i], section))
            continue;
        write_part(out, &cast_root_table, from, i);
        fprintf(out, "\n## %s\n\n%s\n", cast_sections[section].name, cast_sections[section].text);
        from = i;
        section++;
    }
    write_part(out, &cast_root_table, from, cast_root_table.count);
    fprintf(out, "\n## Channel options\n\nOf `channel.without_namespace` and of each item of "
                 "`channel.namespaces`.\n");
    write_part(out, &cast_option_table, 0, cast_option_table.count);
}

static json_t *default_json(const struct cast_key *key)
{
    union cast_slot slot;
    char text[CAST_DURATION_BYTES], why[100];
    json_t *value = NULL;
    if (key->type == CAST_TYPE_OBJECTS || key->type == CAST_TYPE_NAMESPACES)
        return json_array();
    if (key->type == CAST_TYPE_MAP)
        return json_object();
    if (cast_value_parse(key->type, (struct cast_raw){.text = key->def}, &slot, why, sizeof why) !=
        0)
        return NULL;
    switch (key->type) {
    case CAST_TYPE_STRING:
        value = json_string(slot.string);
        break;
    case CAST_TYPE_BOOL:
        value = json_boolean(slot.flag);
        break;
    case CAST_TYPE_DURATION:
        cast_duration_format(slot.num, text, sizeof text);
        value = json_string(text);
        break;
    case CAST_TYPE_STRINGS:
        value = json_array();
        for (size_t i = 0; i < slot.strings.count; i++)
            json_array_append_new(value, json_string(slot.strings.items[i]));
        break;
    default:
        value = json_integer(slot.num);
        break;
    }
    cast_value_fini(key->type, &slot);
    return value;
}

/* Puts a value at a dotted path, making the objects on the way. */
static void put(json_t *root, const char *path, json_t *value)
{
    for (;;) {
        char name[128];
        size_t bytes = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)bytes, path);
        if (path[bytes] == '\0') {
            json_object_set_new(root, name, value);
            return;
        }
        json_t *below = json_object_get(root, name);
        if (!below) {
            below = json_object();
            json_object_set_new(root, name, below);
        }
        root = below;
        path += bytes + 1;
    }
}

void cast_schema_write_defaults(FILE *out)
{
    json_t *root = json_object();
    for (size_t i = 0; i < cast_root_table.count; i++) {
        const struct cast_key *key = &cast_root_table.keys[i];
        if (key->type != CAST_TYPE_CHANNEL) {
            put(root, key->path, default_json(key));
            continue;
        }
        for (size_t j = 0; j < cast_option_table.count; j++) {
            char path[CAST_PATH_BYTES];
            snprintf(path, sizeof path, "%s.%s", key->path, cast_option_table.keys[j].path);
            put(root, path, default_json(&cast_option_table.keys[j]));
        }
    }
    json_dumpf(root, out, JSON_INDENT(2));
    fputc('\n', out);
    json_decref(root);
}

static void write_env_row(FILE *out, const char *path, const char *def)
{
    char name[CAST_PATH_BYTES];
    cast_env_name("WEFTCAST_", path, name, sizeof name);
    fprintf(out, "%s=\"%s\"\n", name, def);
}

void cast_schema_write_env(FILE *out)
{
    for (size_t i = 0; i < cast_root_table.count; i++) {
        const struct cast_key *key = &cast_root_table.keys[i];
        if (key->type != CAST_TYPE_CHANNEL) {
            write_env_row(out, key->path, key->def);
            continue;
        }
        for (size_t j = 0; j < cast_option_table.count; j++) {
            char path[CAST_PATH_BYTES];
            snprintf(path, sizeof path, "%s.%s", key->path, cast_option_table.keys[j].path);
            write_env_row(out, path, cast_option_table.keys[j].def);
        }
    }
}
