// SPDX-License-Identifier: Apache-2.0
/*
 * load.c - merges defaults, file, environment and flags into a struct cast_config.
 *
 * Each source calls assign() for what it names, in the order of precedence, so that the last word
 * stands. For a key that weftcast acts on assign() stores into the struct; for any other it
 * remembers whether the last word was the default ("pending"), because only another value deserves
 * a warning, or, for a key whose absence would be unsafe, an error.
 *
 *     file tree ─ walk() ─┐
 *     environment ────────┼─ assign(key, base, raw value) ─ struct member
 *     flags ──────────────┘                               └ pending ─ settle(): warning or error
 *
 * Type errors do not stop the load: a user sees all of them at once, each with its path.
 *
 * Concurrency: one thread; all state is in the loader.
 */
#include "config/inner.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void cast_load_fail(struct cast_loader *l, const char *fmt, ...)
{
    char *text = l->err->text;
    size_t room = sizeof l->err->text;
    va_list ap;
    l->failed = true;
    if (l->err_bytes > 0)
        l->err_bytes += (size_t)snprintf(text + l->err_bytes, room - l->err_bytes, "; ");
    if (l->err_bytes >= room)
        l->err_bytes = room - 1;
    va_start(ap, fmt);
    l->err_bytes += (size_t)vsnprintf(text + l->err_bytes, room - l->err_bytes, fmt, ap);
    va_end(ap);
    if (l->err_bytes >= room)
        l->err_bytes = room - 1;
}

void cast_load_warn(
    struct cast_loader *l, enum cast_config_warning_kind kind, const char *key, const char *near)
{
    struct cast_config_inner *inner = l->cfg->inner;
    struct cast_config_warning w = {.kind = kind, .key = strdup(key), .near = strdup(near)};
    struct cast_config_warning *list = NULL;
    if (w.key && w.near)
        list = realloc(inner->warnings, (inner->warnings_count + 1) * sizeof *list);
    if (!list) {
        free(w.key);
        free(w.near);
        l->no_memory = true;
        return;
    }
    list[inner->warnings_count++] = w;
    inner->warnings = list;
}

int cast_table_defaults(const struct cast_table *table, void *base)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct cast_key *key = &table->keys[i];
        union cast_slot slot;
        char why[200];
        if (key->status != CAST_KEY_HAVE || key->type == CAST_TYPE_CHANNEL ||
            key->type == CAST_TYPE_NAMESPACES)
            continue;
        if (cast_value_parse(
                key->type, (struct cast_raw){.text = key->def}, &slot, why, sizeof why) != 0)
            return -ENOMEM;
        cast_value_store(key->type, (char *)base + key->offset, &slot);
    }
    return 0;
}

void cast_table_clear(const struct cast_table *table, void *base)
{
    for (size_t i = 0; i < table->count; i++)
        if (table->keys[i].status == CAST_KEY_HAVE)
            cast_value_clear(table->keys[i].type, (char *)base + table->keys[i].offset);
}

/* --- one value ------------------------------------------------------------------------------ */

/* Remembers whether a key that weftcast does not act on was left at its default. */
static void remember(
    struct cast_loader *l, const struct cast_key *key, const char *path, bool is_default)
{
    for (size_t i = 0; i < l->pending_count; i++) {
        if (strcasecmp(l->pending[i].path, path) == 0) {
            l->pending[i].is_default = is_default;
            return;
        }
    }
    struct cast_pending *list = realloc(l->pending, (l->pending_count + 1) * sizeof *list);
    char *copy = list ? strdup(path) : NULL;
    if (list)
        l->pending = list;
    if (!copy) {
        l->no_memory = true;
        return;
    }
    list[l->pending_count++] = (struct cast_pending){copy, key, is_default};
}

/* A bare number for a duration is nanoseconds; somebody who writes 25 means seconds. */
static void note_bare_duration(
    struct cast_loader *l, const char *path, int64_t ns, struct cast_raw raw)
{
    if (raw.json && json_is_number(raw.json) && ns > 0 && ns < 1000000)
        cast_load_warn(l, CAST_CONFIG_NOTICE, path,
            "a bare number is nanoseconds: write \"25s\" for 25 seconds");
}

/* Parses a value and stores it into the struct at base, or remembers it. null leaves things as they
 * are. */
static void assign(struct cast_loader *l, const struct cast_key *key, void *base, const char *path,
    struct cast_raw raw)
{
    union cast_slot slot, def;
    char why[300];
    if (raw.json && json_is_null(raw.json))
        return;
    int rc = cast_value_parse(key->type, raw, &slot, why, sizeof why);
    if (rc == -EINVAL)
        cast_load_fail(l, "'%s'%s cannot parse value as '%s': %s", path, l->origin,
            cast_type_name(key->type), why);
    else if (rc != 0)
        l->no_memory = true;
    if (rc != 0)
        return;
    if (key->type == CAST_TYPE_DURATION)
        note_bare_duration(l, path, slot.num, raw);
    if (key->status == CAST_KEY_HAVE) {
        cast_value_store(key->type, (char *)base + key->offset, &slot);
        return;
    }
    if (key->status != CAST_KEY_MOOT) {
        if (cast_value_parse(
                key->type, (struct cast_raw){.text = key->def}, &def, why, sizeof why) == 0) {
            remember(l, key, path, cast_value_equal(key->type, &slot, &def));
            cast_value_fini(key->type, &def);
        } else {
            l->no_memory = true;
        }
    }
    cast_value_fini(key->type, &slot);
}

/* --- namespaces ----------------------------------------------------------------------------- */

static void free_namespaces(struct cast_config *cfg)
{
    for (size_t i = 0; i < cfg->channel.namespaces_count; i++) {
        cast_table_clear(&cast_option_table, &cfg->channel.namespaces[i]);
        free(cfg->channel.namespaces[i].name);
    }
    free(cfg->channel.namespaces);
    cfg->channel.namespaces = NULL;
    cfg->channel.namespaces_count = 0;
}

/* Forgets what a list of namespaces that is being replaced had said. */
static void forget_pending(struct cast_loader *l)
{
    static const char prefix[] = "channel.namespaces[";
    size_t kept = 0;
    for (size_t i = 0; i < l->pending_count; i++) {
        if (strncmp(l->pending[i].path, prefix, sizeof prefix - 1) == 0)
            free(l->pending[i].path);
        else
            l->pending[kept++] = l->pending[i];
    }
    l->pending_count = kept;
}

static struct cast_channel_options *add_namespace(struct cast_loader *l, const char *name)
{
    struct cast_channel_config *channel = &l->cfg->channel;
    struct cast_channel_options *list =
        realloc(channel->namespaces, (channel->namespaces_count + 1) * sizeof *list);
    if (!list) {
        l->no_memory = true;
        return NULL;
    }
    channel->namespaces = list;
    struct cast_channel_options *ns = &list[channel->namespaces_count++];
    memset(ns, 0, sizeof *ns);
    ns->name = strdup(name);
    if (!ns->name || cast_table_defaults(&cast_option_table, ns) != 0)
        l->no_memory = true;
    return ns;
}

static void walk(struct cast_loader *l, const struct cast_table *table, void *base, json_t *object,
    const char *shown, const char *path);

static void load_namespace(struct cast_loader *l, json_t *item, size_t index)
{
    char shown[CAST_PATH_BYTES];
    const char *key, *name = "";
    json_t *value;
    snprintf(shown, sizeof shown, "channel.namespaces[%zu]", index);
    if (!json_is_object(item)) {
        cast_load_fail(
            l, "'%s'%s must be an object with a name and channel options", shown, l->origin);
        return;
    }
    json_object_foreach(item, key, value)
    {
        if (strcasecmp(key, "name") != 0)
            continue;
        name = json_string_value(value);
        if (!name) {
            cast_load_fail(l, "'%s.name'%s must be a string", shown, l->origin);
            return;
        }
    }
    struct cast_channel_options *ns = add_namespace(l, name);
    if (ns && !l->no_memory)
        walk(l, &cast_option_table, ns, item, shown, "");
}

static void load_namespaces(struct cast_loader *l, json_t *list)
{
    json_t *item;
    size_t i;
    if (json_is_null(list))
        return;
    if (!json_is_array(list)) {
        cast_load_fail(l, "'channel.namespaces'%s must be a list of objects", l->origin);
        return;
    }
    forget_pending(l);
    free_namespaces(l->cfg);
    json_array_foreach(list, i, item) load_namespace(l, item, i);
}

/* Of the environment: a JSON list, or just names with spaces between. */
static void load_namespaces_text(struct cast_loader *l, const char *text)
{
    json_error_t at;
    if (text[strspn(text, " \t\n")] == '[') {
        json_t *list = json_loads(text, 0, &at);
        if (list)
            load_namespaces(l, list);
        else
            cast_load_fail(l, "'channel.namespaces'%s is no JSON: %s", l->origin, at.text);
        json_decref(list);
        return;
    }
    union cast_slot names;
    char why[200];
    if (cast_value_parse(
            CAST_TYPE_STRINGS, (struct cast_raw){.text = text}, &names, why, sizeof why) != 0) {
        l->no_memory = true;
        return;
    }
    forget_pending(l);
    free_namespaces(l->cfg);
    for (size_t i = 0; i < names.strings.count; i++)
        add_namespace(l, names.strings.items[i]);
    cast_value_fini(CAST_TYPE_STRINGS, &names);
}

/* --- the file ------------------------------------------------------------------------------- */

/* head.tail; cut where it does not fit (walk() lets no such path in). */
static void join(char *buf, size_t bytes, const char *head, const char *tail)
{
    size_t n = strnlen(head, bytes - 2);
    memcpy(buf, head, n);
    if (n > 0)
        buf[n++] = '.';
    size_t m = strnlen(tail, bytes - 1 - n);
    memcpy(buf + n, tail, m);
    buf[n + m] = '\0';
}

static void unknown_key(struct cast_loader *l, const struct cast_table *table, const char *shown,
    const char *shown_base, const char *path)
{
    char near[CAST_PATH_BYTES], full[CAST_PATH_BYTES] = "";
    cast_table_nearest(table, path, true, near, sizeof near);
    if (near[0])
        join(full, sizeof full, shown_base, near);
    cast_load_warn(l, CAST_CONFIG_UNKNOWN_KEY, shown, full);
}

/* One member of a file's object. table_shown is where the table's paths start in the whole tree. */
static void walk_member(struct cast_loader *l, const struct cast_table *table, void *base,
    const char *table_shown, const char *path, json_t *value)
{
    const struct cast_key *key = cast_table_find(table, path);
    char shown[CAST_PATH_BYTES];
    join(shown, sizeof shown, table_shown, path);
    size_t without = strlen(CAST_WITHOUT_NAMESPACE);
    if (table == &cast_root_table && strncasecmp(path, CAST_WITHOUT_NAMESPACE, without) == 0 &&
        (path[without] == '.' || path[without] == '\0')) {
        struct cast_channel_options *options = &l->cfg->channel.without_namespace;
        if (path[without] == '.')
            walk_member(
                l, &cast_option_table, options, CAST_WITHOUT_NAMESPACE, path + without + 1, value);
        else if (json_is_object(value))
            walk(l, &cast_option_table, options, value, CAST_WITHOUT_NAMESPACE, "");
        else if (!json_is_null(value))
            cast_load_fail(l, "'%s'%s must be an object", shown, l->origin);
    } else if (key && key->type == CAST_TYPE_NAMESPACES) {
        load_namespaces(l, value);
    } else if (key) {
        assign(l, key, base, shown, (struct cast_raw){.json = value});
    } else if (!cast_table_is_section(table, path)) {
        unknown_key(l, table, shown, table_shown, path);
    } else if (json_is_object(value)) {
        walk(l, table, base, value, table_shown, path);
    } else if (!json_is_null(value)) {
        cast_load_fail(l, "'%s'%s must be an object", shown, l->origin);
    }
}

/* Members of an object that stands at path below the start of a table. */
static void walk(struct cast_loader *l, const struct cast_table *table, void *base, json_t *object,
    const char *shown, const char *path)
{
    const char *name;
    json_t *value;
    json_object_foreach(object, name, value)
    {
        char below[CAST_PATH_BYTES];
        if (strlen(path) + strlen(name) + 2 > sizeof below - 64) {
            cast_load_warn(l, CAST_CONFIG_UNKNOWN_KEY, "(a key that is too long)", "");
            continue;
        }
        if (table == &cast_option_table && *path == '\0' && strcasecmp(name, "name") == 0 &&
            strcmp(shown, CAST_WITHOUT_NAMESPACE) != 0)
            continue;
        join(below, sizeof below, path, name);
        walk_member(l, table, base, shown, below, value);
    }
}

static json_t *parse_json(
    struct cast_loader *l, const char *text, size_t bytes, char *why, size_t why_bytes)
{
    json_error_t at;
    json_t *root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &at);
    if (!root && json_error_code(&at) == json_error_duplicate_key) {
        char note[sizeof at.text + 80];
        snprintf(note, sizeof note, "line %d: %s; the last one counts", at.line, at.text);
        root = json_loadb(text, bytes, 0, &at);
        if (root)
            cast_load_warn(l, CAST_CONFIG_NOTICE, "", note);
    }
    if (!root)
        snprintf(why, why_bytes, "line %d column %d: %s", at.line, at.column, at.text);
    return root;
}

/* Reads a file's text into the configuration. */
static void load_text(
    struct cast_loader *l, const char *name, const char *text, size_t bytes, bool yaml)
{
    char why[400];
    json_t *root = yaml ? cast_yaml_parse(text, bytes, why, sizeof why)
                        : parse_json(l, text, bytes, why, sizeof why);
    if (!root)
        cast_load_fail(l, "error reading config file %s: %s", name, why);
    else if (json_is_object(root))
        walk(l, &cast_root_table, l->cfg, root, "", "");
    else if (!json_is_null(root))
        cast_load_fail(l, "error reading config file %s: it must hold an object", name);
    json_decref(root);
}

static void load_file(struct cast_loader *l)
{
    const char *name = l->cfg->inner->file, *dot = strrchr(name, '.');
    char *text;
    size_t bytes;
    if (dot && strcasecmp(dot, ".toml") == 0) {
        cast_load_fail(l,
            "error reading config file %s: TOML is not supported; write the same keys as JSON or "
            "YAML",
            name);
        return;
    }
    bool yaml = dot && (strcasecmp(dot, ".yaml") == 0 || strcasecmp(dot, ".yml") == 0);
    if (!yaml && (!dot || strcasecmp(dot, ".json") != 0)) {
        cast_load_fail(
            l, "error reading config file %s: its name must end in .json, .yaml or .yml", name);
        return;
    }
    int rc = cast_file_read(name, &text, &bytes);
    if (rc == -ENOENT) {
        cast_load_warn(l, CAST_CONFIG_NO_FILE, name, "");
        return;
    }
    if (rc != 0) {
        cast_load_fail(l, "error reading config file %s: %s", name, strerror(-rc));
        return;
    }
    l->cfg->inner->file_read = true;
    load_text(l, name, text, bytes, yaml);
    free(text);
}

/* --- environment and flags ------------------------------------------------------------------ */

static void set_origin(struct cast_loader *l, const char *kind, const char *name)
{
    if (name)
        snprintf(l->origin, sizeof l->origin, " (%s%s)", kind, name);
    else
        l->origin[0] = '\0';
}

/* Assigns what the environment says about the keys of a table that start at prefix. shown is for
 * messages. */
static void load_env_table(struct cast_loader *l, const struct cast_table *table, void *base,
    const char *prefix, const char *shown)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct cast_key *key = &table->keys[i];
        char path[CAST_PATH_BYTES], shown_path[CAST_PATH_BYTES];
        const char *name;
        if (key->type == CAST_TYPE_CHANNEL)
            continue;
        join(path, sizeof path, prefix, key->path);
        join(shown_path, sizeof shown_path, shown, key->path);
        const char *value = cast_env_get(&l->env, path, &name);
        if (!value)
            continue;
        set_origin(l, "environment ", name);
        if (key->type == CAST_TYPE_NAMESPACES)
            load_namespaces_text(l, value);
        else
            assign(l, key, base, shown_path, (struct cast_raw){.text = value});
    }
}

static void load_env(struct cast_loader *l)
{
    struct cast_channel_config *channel = &l->cfg->channel;
    load_env_table(l, &cast_root_table, l->cfg, "", "");
    load_env_table(l, &cast_option_table, &channel->without_namespace, CAST_WITHOUT_NAMESPACE,
        CAST_WITHOUT_NAMESPACE);
    for (size_t i = 0; i < channel->namespaces_count; i++) {
        char prefix[CAST_PATH_BYTES], shown[CAST_PATH_BYTES];
        snprintf(prefix, sizeof prefix, "channel.namespaces.%s", channel->namespaces[i].name);
        snprintf(shown, sizeof shown, "channel.namespaces[%zu]", i);
        load_env_table(l, &cast_option_table, &channel->namespaces[i], prefix, shown);
    }
    set_origin(l, NULL, NULL);
}

/* Whether a variable names an item of a list that weftcast does not look into. */
static const struct cast_key *list_of_env(const char *path)
{
    for (size_t i = 0; i < cast_root_table.count; i++) {
        const struct cast_key *key = &cast_root_table.keys[i];
        char prefix[CAST_PATH_BYTES];
        if (key->type != CAST_TYPE_OBJECTS)
            continue;
        cast_env_name("", key->path, prefix, sizeof prefix);
        size_t bytes = strlen(prefix);
        if (strncasecmp(path, prefix, bytes) == 0 && path[bytes] == '_')
            return key;
    }
    return NULL;
}

static void warn_env(struct cast_loader *l)
{
    for (size_t i = 0; i < l->env.count; i++) {
        const struct cast_env_var *var = &l->env.vars[i];
        char path[CAST_PATH_BYTES], near[CAST_PATH_BYTES], name[CAST_PATH_BYTES] = "";
        if (var->used || cast_env_is_foreign(var))
            continue;
        cast_env_path(var, path, sizeof path);
        const struct cast_key *list = list_of_env(path);
        if (list) {
            cast_load_warn(l, CAST_CONFIG_NOT_YET_KEY, var->name, list->text);
            continue;
        }
        cast_table_nearest(&cast_root_table, path, false, near, sizeof near);
        if (near[0]) {
            size_t prefix = (size_t)(strchr(var->name, '_') - var->name) + 1;
            char head[32];
            snprintf(head, sizeof head, "%.*s", (int)prefix, var->name);
            cast_env_name(head, near, name, sizeof name);
        }
        cast_load_warn(l, CAST_CONFIG_UNKNOWN_ENV, var->name, name);
    }
}

static void load_flags(struct cast_loader *l)
{
    const struct cast_config_inner *inner = l->cfg->inner;
    for (size_t i = 0; i < inner->flags_count; i++) {
        const struct cast_config_flag *flag = &inner->flags[i];
        bool channel;
        const struct cast_key *key = cast_schema_find(flag->path, &channel);
        set_origin(l, "flag --", flag->path);
        if (!key)
            cast_load_fail(l, "'%s'%s is no setting", flag->path, l->origin);
        else if (key->type == CAST_TYPE_NAMESPACES)
            load_namespaces_text(l, flag->value);
        else
            assign(l, key, channel ? (void *)&l->cfg->channel.without_namespace : (void *)l->cfg,
                flag->path, (struct cast_raw){.text = flag->value});
    }
    set_origin(l, NULL, NULL);
}

/* --- the end -------------------------------------------------------------------------------- */

static void settle(struct cast_loader *l)
{
    for (size_t i = 0; i < l->pending_count; i++) {
        const struct cast_pending *p = &l->pending[i];
        if (p->is_default)
            continue;
        if (p->key->status == CAST_KEY_REFUSE)
            cast_load_fail(l,
                "'%s' asks for something that weftcast does not have yet, and going on without it "
                "is refused: %s",
                p->path, p->key->text);
        else
            cast_load_warn(l, CAST_CONFIG_NOT_YET_KEY, p->path, p->key->text);
    }
}

/* Copies what a reload needs of the source. */
static int remember_source(struct cast_config_inner *inner, const struct cast_config_source *src)
{
    inner->file = strdup(src->file ? src->file : "config.json");
    inner->env_file = strdup(src->env_file ? src->env_file : ".env");
    inner->flags = calloc(src->flags_count + 1, sizeof *inner->flags);
    if (!inner->file || !inner->env_file || !inner->flags)
        return -ENOMEM;
    for (size_t i = 0; i < src->flags_count; i++) {
        struct cast_config_flag *flag = &inner->flags[inner->flags_count++];
        flag->path = strdup(src->flags[i].path);
        flag->value = strdup(src->flags[i].value);
        if (!flag->path || !flag->value)
            return -ENOMEM;
    }
    return cast_env_add(&inner->env, src->environ);
}

/* The loader's own copy of the environment: the process's, then .env's. */
static int gather_env(struct cast_loader *l, bool with_file)
{
    const struct cast_env *from = &l->cfg->inner->env;
    char *text;
    size_t bytes;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < from->count; i++) {
        char *both, *list[2] = {NULL, NULL};
        if (asprintf(&both, "%s=%s", from->vars[i].name, from->vars[i].value) < 0)
            return -ENOMEM;
        list[0] = both;
        rc = cast_env_add(&l->env, list);
        free(both);
    }
    if (rc == 0 && with_file && cast_file_read(l->cfg->inner->env_file, &text, &bytes) == 0) {
        rc = cast_env_add_file(&l->env, text);
        free(text);
    }
    return rc;
}

static int finish(struct cast_loader *l, int rc, struct cast_config **ret_cfg)
{
    if (l->no_memory)
        rc = -ENOMEM;
    if (rc == -ENOMEM)
        snprintf(l->err->text, sizeof l->err->text, "no memory");
    cast_env_fini(&l->env);
    for (size_t i = 0; i < l->pending_count; i++)
        free(l->pending[i].path);
    free(l->pending);
    if (rc == 0)
        *ret_cfg = l->cfg;
    else
        cast_config_free(l->cfg);
    return rc;
}

static int load(const struct cast_config_source *src, const char *text, size_t text_bytes,
    const char *format, struct cast_config **ret_cfg, struct cast_config_error *err)
{
    struct cast_loader l = {.err = err};
    *err = (struct cast_config_error){.stage = CAST_CONFIG_GETTING, .text = "no memory"};
    l.cfg = calloc(1, sizeof *l.cfg);
    if (!l.cfg)
        return -ENOMEM;
    l.cfg->inner = calloc(1, sizeof *l.cfg->inner);
    l.cfg->channel.without_namespace.name = strdup("");
    if (!l.cfg->inner || !l.cfg->channel.without_namespace.name)
        return finish(&l, -ENOMEM, ret_cfg);
    atomic_init(&l.cfg->inner->references, 1);
    if (remember_source(l.cfg->inner, src) != 0 || gather_env(&l, text == NULL) != 0 ||
        cast_table_defaults(&cast_root_table, l.cfg) != 0 ||
        cast_table_defaults(&cast_option_table, &l.cfg->channel.without_namespace) != 0)
        return finish(&l, -ENOMEM, ret_cfg);
    if (text)
        load_text(&l, "(text)", text, text_bytes, strcmp(format, "yaml") == 0);
    else
        load_file(&l);
    if (!l.failed && !l.no_memory) {
        load_env(&l);
        load_flags(&l);
        settle(&l);
        warn_env(&l);
    }
    if (l.failed || l.no_memory)
        return finish(&l, -EINVAL, ret_cfg);
    err->stage = CAST_CONFIG_VALIDATING;
    return finish(&l, cast_config_validate(&l), ret_cfg);
}

int cast_config_load(const struct cast_config_source *src, struct cast_config **ret_cfg,
    struct cast_config_error *err)
{
    return load(src, NULL, 0, NULL, ret_cfg, err);
}

int cast_config_load_text(const char *text, size_t text_bytes, const char *format,
    const struct cast_config_source *src, struct cast_config **ret_cfg,
    struct cast_config_error *err)
{
    return load(src, text, text_bytes, format, ret_cfg, err);
}

int cast_config_reload(
    const struct cast_config *old, struct cast_config **ret_cfg, struct cast_config_error *err)
{
    const struct cast_config_inner *inner = old->inner;
    struct cast_config_source src = {
        .file = inner->file,
        .flags = inner->flags,
        .flags_count = inner->flags_count,
        .env_file = inner->env_file,
    };
    char **list = calloc(inner->env.count + 1, sizeof *list);
    struct cast_config *cfg = NULL;
    int rc = list ? 0 : -ENOMEM;
    *err = (struct cast_config_error){.stage = CAST_CONFIG_GETTING, .text = "no memory"};
    for (size_t i = 0; rc == 0 && i < inner->env.count; i++)
        if (asprintf(&list[i], "%s=%s", inner->env.vars[i].name, inner->env.vars[i].value) < 0) {
            list[i] = NULL;
            rc = -ENOMEM;
        }
    src.environ = list;
    if (rc == 0)
        rc = cast_config_load(&src, &cfg, err);
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
    if (rc == 0 && inner->file_read && !cfg->inner->file_read) {
        *err = (struct cast_config_error){.stage = CAST_CONFIG_GETTING};
        snprintf(err->text, sizeof err->text, "config file %s is not there any more", inner->file);
        cast_config_unref(cfg);
        return -EINVAL;
    }
    if (rc == 0)
        *ret_cfg = cfg;
    return rc;
}
