// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_cast_config.c - a configuration file, JSON when it starts with a brace, else YAML; and the
 * same text as a .env file.
 *
 * Checked: a refusal has a sentence; an accepted configuration has no NULL string, its namespaces
 * are found by their names, its numbers are in their bounds, every warning names something; loading
 * again gives the same.
 */
#include "fuzz.h"
#include "config/inner.h"

static void check_strings(const struct cast_table *table, const void *base)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct cast_key *key = &table->keys[i];
        const char *member = (const char *)base + key->offset;
        if (key->status != CAST_KEY_HAVE)
            continue;
        if (key->type == CAST_TYPE_STRING)
            FUZZ_CHECK(*(char *const *)member != NULL);
        if (key->type == CAST_TYPE_STRINGS)
            for (size_t j = 0; j < ((const struct cast_strings *)member)->count; j++)
                FUZZ_CHECK(((const struct cast_strings *)member)->items[j] != NULL);
    }
}

static void check_config(const struct cast_config *c)
{
    size_t count;
    const struct cast_config_warning *w = cast_config_warnings(c, &count);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(w[i].key && w[i].near);
    check_strings(&cast_root_table, c);
    check_strings(&cast_option_table, &c->channel.without_namespace);
    for (size_t i = 0; i < c->channel.namespaces_count; i++) {
        const struct cast_channel_options *o = &c->channel.namespaces[i];
        check_strings(&cast_option_table, o);
        FUZZ_CHECK(cast_config_namespace(c, o->name, strlen(o->name)) == o);
        FUZZ_CHECK(!o->has_history || (o->history_size > 0 && o->history_ttl_ns > 0));
        FUZZ_CHECK(o->history_meta_ttl_ns >= o->history_ttl_ns);
    }
    FUZZ_CHECK(c->http_server.port >= 0 && c->http_server.port <= 65535);
    FUZZ_CHECK(c->client.channel_limit > 0 && c->client.queue_max_size > 0);
    FUZZ_CHECK(c->connect_keys && c->subscribe_keys);
}

static int load(const char *text, size_t bytes, struct cast_config **ret, size_t *ret_warnings)
{
    struct cast_config_source src = {0};
    struct cast_config_error err;
    bool json = bytes > 0 && text[0] == '{';
    int rc = cast_config_load_text(text, bytes, json ? "json" : "yaml", &src, ret, &err);
    if (rc != 0)
        FUZZ_CHECK(err.text[0] != '\0' && strlen(err.text) < sizeof err.text);
    else
        cast_config_warnings(*ret, ret_warnings);
    return rc;
}

static void check_env(const char *text, size_t bytes)
{
    struct cast_env env = {0};
    char *terminated = malloc(bytes + 1);
    FUZZ_CHECK(terminated);
    memcpy(terminated, text, bytes);
    terminated[bytes] = '\0';
    FUZZ_CHECK(cast_env_add_file(&env, terminated) == 0);
    for (size_t i = 0; i < env.count; i++) {
        cast_env_is_foreign(&env.vars[i]);
        FUZZ_CHECK(strchr(env.vars[i].name, '=') == NULL);
    }
    cast_env_fini(&env);
    free(terminated);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = fuzz_copy(data, size);
    struct cast_config *c, *again;
    size_t warnings = 0, warnings_again = 0;
    int rc = load(copy, size, &c, &warnings);
    if (rc == 0) {
        check_config(c);
        FUZZ_CHECK(load(copy, size, &again, &warnings_again) == 0);
        FUZZ_CHECK(warnings == warnings_again);
        FUZZ_CHECK(c->channel.namespaces_count == again->channel.namespaces_count);
        cast_config_unref(again);
        cast_config_unref(c);
    }
    check_env(copy, size);
    free(copy);
    return 0;
}
