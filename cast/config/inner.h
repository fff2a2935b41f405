// SPDX-License-Identifier: Apache-2.0
/*
 * inner.h - what the files of cast/config share: a snapshot's hidden half, and the loader.
 *
 * Concurrency: the loader is one thread's. Of the hidden half only `references` changes after the
 * load.
 */
#ifndef CAST_CONFIG_INNER_H
#define CAST_CONFIG_INNER_H
#include "config/schema.h"

#include <stdatomic.h>

/** A copy of the environment that matters to us: names with one of the two prefixes. */
struct cast_env_var {
    char *name, *value;
    bool from_file; /* of .env, not of the process: read again at a reload */
    bool used;      /* names a key */
};
struct cast_env {
    struct cast_env_var *vars;
    size_t count;
};

struct cast_config_inner {
    atomic_uint references;
    char *file;     /* as given, or "config.json" */
    bool file_read; /* it was there */
    char *env_file;
    struct cast_config_flag *flags; /* owned copies */
    size_t flags_count;
    struct cast_env env; /* of the process only */
    struct cast_config_warning *warnings;
    size_t warnings_count;
    size_t private_prefix_bytes, namespace_boundary_bytes, user_boundary_bytes,
        user_separator_bytes;
    const struct cast_channel_options **by_name; /* namespaces, sorted */
};

/** A setting that weftcast does not act on, with the last word on its value so far. */
struct cast_pending {
    char *path;
    const struct cast_key *key;
    bool is_default;
};

struct cast_loader {
    struct cast_config *cfg;
    struct cast_config_error *err;
    size_t err_bytes; /* of err->text in use */
    bool failed;
    bool no_memory;
    struct cast_env env; /* with .env */
    char origin[256];    /* what the value at hand came from: "", " (environment …)" */
    struct cast_pending *pending;
    size_t pending_count;
};

/** Adds a sentence to the error; the load goes on to find more of them. */
void cast_load_fail(struct cast_loader *l, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/** Adds a warning to the snapshot. */
void cast_load_warn(
    struct cast_loader *l, enum cast_config_warning_kind kind, const char *key, const char *near);

/** Reads all of a file. Returns 0 (owned, NUL-terminated), or a negative errno. */
int cast_file_read(const char *path, char **ret_text, size_t *ret_bytes);

/** YAML text to a JSON tree (yaml.c). NULL with a sentence in why. */
json_t *cast_yaml_parse(const char *text, size_t bytes, char *why, size_t why_bytes);

/** Collects variables of an environment (environ.c). Returns 0 or -ENOMEM. */
int cast_env_add(struct cast_env *env, char *const *environ_list);
/** Adds those of a .env file's text that are not there yet. Returns 0 or -ENOMEM. */
int cast_env_add_file(struct cast_env *env, const char *text);
/** The value of PREFIX_PATH: WEFTCAST_ before CENTRIFUGO_; NULL when unset or empty. ret_name may
 * be NULL, else is set to the variable's name. */
const char *cast_env_get(struct cast_env *env, const char *path, const char **ret_name);
/** Whether a variable may be left unmentioned although it names no key. */
bool cast_env_is_foreign(const struct cast_env_var *var);
/** The path that a variable's name spells best ("client_channel_limt"), for suggestions. */
void cast_env_path(const struct cast_env_var *var, char *buf, size_t buf_bytes);
void cast_env_fini(struct cast_env *env);

/** Applies defaults to one struct of a table's layout. Returns 0 or -ENOMEM. */
int cast_table_defaults(const struct cast_table *table, void *base);
void cast_table_clear(const struct cast_table *table, void *base);

/** Checks meaning and compiles patterns, keys, lookup tables. Returns 0, -EINVAL, -ENOMEM. */
int cast_config_validate(struct cast_loader *l);
void cast_config_free(struct cast_config *cfg);
#endif
