// SPDX-License-Identifier: Apache-2.0
/*
 * validate.c - whether settings that have the right types also make sense, and what is made of
 * them.
 *
 * Every check ends in one sentence that names the setting; the first that fails ends the load, as
 * in Centrifugo. What Centrifugo only finds out at start (a bad public key, ping_interval against
 * pong_timeout, error_mode, a malformed origin pattern) is found here, so that checkconfig finds
 * it.
 *
 * After the checks: zeros that stand for a default are filled in, options inherit the channel-wide
 * values, patterns and keys are compiled, namespaces sorted for lookup. So a snapshot that loaded
 * cannot fail later.
 *
 * Concurrency: one thread, before the snapshot is shared.
 */
#include "config/inner.h"
#include "config/regex.h"
#include "token/token.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS INT64_C(1000000000)
#define NAME_PATTERN "^[-a-zA-Z0-9_.]{2,}$"

#define CHECK_OR_FAIL(cond, ...)                                                                   \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            cast_load_fail(l, __VA_ARGS__);                                                        \
            return -EINVAL;                                                                        \
        }                                                                                          \
    } while (0)

static bool one_of(const char *value, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(value, *list) == 0)
            return true;
    return false;
}

static bool whole_seconds(int64_t ns)
{
    return ns >= 0 && ns % SECOND_NS == 0;
}

static const char *duration(int64_t ns, char buf[CAST_DURATION_BYTES])
{
    cast_duration_format(ns, buf, CAST_DURATION_BYTES);
    return buf;
}

/* --- channels ------------------------------------------------------------------------------- */

static const char *const data_formats[] = {"", "json", "json_object", "binary", NULL};
static const char *const recovery_modes[] = {"", "stream", "cache", NULL};
static const char *const later_types[] = {"map", "map_clients", "map_users", "shared_poll", NULL};

static int check_history(
    struct cast_loader *l, const struct cast_channel_options *o, const char *where)
{
    char a[CAST_DURATION_BYTES], b[CAST_DURATION_BYTES];
    int64_t meta_ns =
        o->history_meta_ttl_ns ? o->history_meta_ttl_ns : l->cfg->channel.history_meta_ttl_ns;
    CHECK_OR_FAIL(o->history_size >= 0, "%s: history_size must not be negative", where);
    CHECK_OR_FAIL(whole_seconds(o->history_ttl_ns),
        "%s: in history_ttl: malformed duration %s, whole seconds are needed", where,
        duration(o->history_ttl_ns, a));
    CHECK_OR_FAIL(whole_seconds(o->history_meta_ttl_ns),
        "%s: in history_meta_ttl: malformed duration %s, whole seconds are needed", where,
        duration(o->history_meta_ttl_ns, a));
    bool size = o->history_size > 0, ttl = o->history_ttl_ns > 0;
    CHECK_OR_FAIL(!(o->force_recovery && !(size && ttl)),
        "%s: both history size and history ttl required for recovery", where);
    CHECK_OR_FAIL(size == ttl, "%s: both history size and history ttl required for history", where);
    CHECK_OR_FAIL(meta_ns >= o->history_ttl_ns,
        "%s: history ttl (%s) can not be greater than history meta ttl (%s)", where,
        duration(o->history_ttl_ns, a), duration(meta_ns, b));
    return 0;
}

static int check_options(struct cast_loader *l, struct cast_channel_options *o, const char *where)
{
    char why[300];
    int rc = check_history(l, o, where);
    if (rc != 0)
        return rc;
    CHECK_OR_FAIL(one_of(o->force_recovery_mode, recovery_modes),
        "%s: unknown recovery mode: \"%s\"", where, o->force_recovery_mode);
    CHECK_OR_FAIL(!o->auto_cache_recover ||
                      (o->force_recovery && strcmp(o->force_recovery_mode, "cache") == 0),
        "%s: auto_cache_recover requires force_recovery and force_recovery_mode set to cache",
        where);
    CHECK_OR_FAIL(one_of(o->publication_data_format, data_formats),
        "%s: unknown publication_data_format: \"%s\"", where, o->publication_data_format);
    CHECK_OR_FAIL(!one_of(o->subscription_type, later_types),
        "%s: subscription_type \"%s\" is not served by weftcast yet, and its channels must not "
        "become streams with other rights",
        where, o->subscription_type);
    CHECK_OR_FAIL(o->subscription_type[0] == '\0' || strcmp(o->subscription_type, "stream") == 0,
        "%s: unknown subscription_type: \"%s\"", where, o->subscription_type);
    if (o->channel_regex[0]) {
        o->regex = cast_regex_new(o->channel_regex, why, sizeof why);
        CHECK_OR_FAIL(o->regex, "%s: invalid channel regex %s: %s", where, o->channel_regex, why);
    }
    return 0;
}

static int inherit_options(struct cast_loader *l, struct cast_channel_options *o)
{
    const struct cast_channel_config *channel = &l->cfg->channel;
    if (o->history_meta_ttl_ns == 0)
        o->history_meta_ttl_ns = channel->history_meta_ttl_ns;
    if (o->publication_data_format[0] == '\0' && channel->publication_data_format[0]) {
        free(o->publication_data_format);
        o->publication_data_format = strdup(channel->publication_data_format);
        if (!o->publication_data_format)
            return -ENOMEM;
    }
    o->has_history = o->history_size > 0 && o->history_ttl_ns > 0;
    o->recovery_mode_cache = strcmp(o->force_recovery_mode, "cache") == 0;
    return 0;
}

static bool name_ok(const char *name)
{
    size_t bytes =
        strspn(name, "-abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
    return bytes >= 2 && name[bytes] == '\0';
}

static int check_namespaces(struct cast_loader *l)
{
    struct cast_channel_config *channel = &l->cfg->channel;
    for (size_t i = 0; i < channel->namespaces_count; i++) {
        struct cast_channel_options *o = &channel->namespaces[i];
        char where[CAST_PATH_BYTES];
        for (size_t j = 0; j < i; j++)
            CHECK_OR_FAIL(strcmp(o->name, channel->namespaces[j].name) != 0,
                "namespace name must be unique: %s", o->name);
        snprintf(where, sizeof where, "namespace %.200s", o->name);
        CHECK_OR_FAIL(name_ok(o->name),
            "%s: invalid namespace name \xe2\x80\x93 %s (must match " NAME_PATTERN
            " regular expression)",
            where, o->name);
        int rc = check_options(l, o, where);
        if (rc == 0)
            rc = inherit_options(l, o);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int check_personal_channel(struct cast_loader *l)
{
    const struct cast_config *cfg = l->cfg;
    const char *ns = cfg->client.subscribe_to_user_personal_channel.personal_channel_namespace;
    const struct cast_channel_options *o = &cfg->channel.without_namespace;
    if (!cfg->client.subscribe_to_user_personal_channel.enabled)
        return 0;
    if (*ns) {
        o = cast_config_namespace(cfg, ns, strlen(ns));
        CHECK_OR_FAIL(o, "namespace for user personal channel not found: %s", ns);
    }
    CHECK_OR_FAIL(!cfg->client.subscribe_to_user_personal_channel.single_connection || o->presence,
        "presence must be enabled for %s%s to maintain single connection",
        *ns ? "namespace " : "channel.without_namespace", ns);
    return 0;
}

static int by_name(const void *a, const void *b)
{
    const struct cast_channel_options *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static int index_namespaces(struct cast_config *cfg)
{
    size_t count = cfg->channel.namespaces_count;
    cfg->inner->by_name = calloc(count + 1, sizeof *cfg->inner->by_name);
    if (!cfg->inner->by_name)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        cfg->inner->by_name[i] = &cfg->channel.namespaces[i];
    qsort(cfg->inner->by_name, count, sizeof *cfg->inner->by_name, by_name);
    cfg->inner->private_prefix_bytes = strlen(cfg->channel.private_prefix);
    cfg->inner->namespace_boundary_bytes = strlen(cfg->channel.namespace_boundary);
    cfg->inner->user_boundary_bytes = strlen(cfg->channel.user_boundary);
    cfg->inner->user_separator_bytes = strlen(cfg->channel.user_separator);
    return 0;
}

static int check_channels(struct cast_loader *l)
{
    struct cast_channel_config *channel = &l->cfg->channel;
    char a[CAST_DURATION_BYTES];
    CHECK_OR_FAIL(whole_seconds(channel->history_meta_ttl_ns),
        "in channel.history_meta_ttl: malformed duration %s, whole seconds are needed",
        duration(channel->history_meta_ttl_ns, a));
    CHECK_OR_FAIL(one_of(channel->publication_data_format, data_formats),
        "unknown channel.publication_data_format: \"%s\"", channel->publication_data_format);
    CHECK_OR_FAIL(channel->max_length >= 0, "channel.max_length must not be negative");
    int rc = check_options(l, &channel->without_namespace, "in channel.without_namespace");
    if (rc == 0)
        rc = inherit_options(l, &channel->without_namespace);
    if (rc == 0)
        rc = check_namespaces(l);
    if (rc == 0)
        rc = index_namespaces(l->cfg);
    return rc == 0 ? check_personal_channel(l) : rc;
}

/* --- clients and tokens --------------------------------------------------------------------- */

static int check_not_negative(struct cast_loader *l)
{
    const struct cast_client_options *c = &l->cfg->client;
    const struct {
        const char *path;
        int64_t value;
    } rows[] = {
        {"client.stale_close_delay", c->stale_close_delay_ns},
        {"client.expired_close_delay", c->expired_close_delay_ns},
        {"client.expired_sub_close_delay", c->expired_sub_close_delay_ns},
        {"client.presence_update_interval", c->presence_update_interval_ns},
        {"client.channel_position_check_delay", c->channel_position_check_delay_ns},
        {"client.channel_limit", c->channel_limit},
        {"client.queue_max_size", c->queue_max_size},
        {"client.connection_limit", c->connection_limit},
        {"client.user_connection_limit", c->user_connection_limit},
        {"client.connection_rate_limit", c->connection_rate_limit},
        {"client.history_max_publication_limit", c->history_max_publication_limit},
        {"client.recovery_max_publication_limit", c->recovery_max_publication_limit},
        {"websocket.message_size_limit", l->cfg->websocket.message_size_limit},
        {"node.info_metrics_aggregate_interval", l->cfg->node.info_metrics_aggregate_interval_ns},
        {"shutdown.timeout", l->cfg->shutdown.timeout_ns},
        {"weftcast.shards", l->cfg->weftcast.shards},
        {"weftcast.send_window", l->cfg->weftcast.send_window_ns},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        CHECK_OR_FAIL(rows[i].value >= 0, "%s must not be negative", rows[i].path);
    return 0;
}

/* 0 of a setting in which Centrifugo takes 0 for "not set". */
static void fill_default(const char *path, int64_t *member)
{
    const struct cast_key *key = cast_table_find(&cast_root_table, path);
    union cast_slot slot;
    char why[100];
    if (*member == 0 && cast_value_parse(key->type, (struct cast_raw){.text = key->def}, &slot, why,
                            sizeof why) == 0)
        *member = slot.num;
}

static int check_origins(struct cast_loader *l)
{
    struct cast_strings *list = &l->cfg->client.allowed_origins;
    for (size_t i = 0; i < list->count; i++) {
        char *pattern = list->items[i];
        CHECK_OR_FAIL(cast_glob_valid(pattern, strlen(pattern)),
            "in client.allowed_origins: malformed origin pattern \"%.200s\"", pattern);
        for (char *c = pattern; *c; c++)
            *c = (char)tolower((unsigned char)*c);
    }
    return 0;
}

static int check_clients(struct cast_loader *l)
{
    struct cast_client_options *c = &l->cfg->client;
    char a[CAST_DURATION_BYTES], b[CAST_DURATION_BYTES];
    int rc = check_not_negative(l);
    if (rc != 0)
        return rc;
    fill_default("client.ping_interval", &c->ping_interval_ns);
    fill_default("client.pong_timeout", &c->pong_timeout_ns);
    fill_default("client.stale_close_delay", &c->stale_close_delay_ns);
    fill_default("client.presence_update_interval", &c->presence_update_interval_ns);
    fill_default("client.channel_position_check_delay", &c->channel_position_check_delay_ns);
    fill_default("client.channel_limit", &c->channel_limit);
    fill_default("client.queue_max_size", &c->queue_max_size);
    fill_default(
        "node.info_metrics_aggregate_interval", &l->cfg->node.info_metrics_aggregate_interval_ns);
    fill_default("websocket.message_size_limit", &l->cfg->websocket.message_size_limit);
    CHECK_OR_FAIL(c->ping_interval_ns < 0 || c->ping_interval_ns > c->pong_timeout_ns,
        "client.ping_interval (%s) must be greater than client.pong_timeout (%s)",
        duration(c->ping_interval_ns, a), duration(c->pong_timeout_ns, b));
    return check_origins(l);
}

static int make_keys(struct cast_loader *l, const char *section, const struct cast_token_rules *r,
    struct cast_token_keys **ret_keys)
{
    char why[500];
    size_t claim = strspn(
        r->user_id_claim, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.");
    CHECK_OR_FAIL(r->user_id_claim[claim] == '\0',
        "in %s.user_id_claim: \"%.100s\" is no claim's name (letters, digits, _, -, dots between)",
        section, r->user_id_claim);
    int rc = cast_token_keys_new(r, ret_keys, why, sizeof why);
    CHECK_OR_FAIL(rc != -EINVAL, "in %s: %s", section, why);
    return rc;
}

#define RULES_OF(o)                                                                                \
    ((struct cast_token_rules){                                                                    \
        .hmac_secret_key = (o).hmac_secret_key,                                                    \
        .hmac_previous_secret_key = (o).hmac_previous_secret_key,                                  \
        .hmac_previous_secret_key_valid_until = (o).hmac_previous_secret_key_valid_until,          \
        .rsa_public_key = (o).rsa_public_key,                                                      \
        .ecdsa_public_key = (o).ecdsa_public_key,                                                  \
        .audience = (o).audience,                                                                  \
        .audience_regex = (o).audience_regex,                                                      \
        .issuer = (o).issuer,                                                                      \
        .issuer_regex = (o).issuer_regex,                                                          \
        .user_id_claim = (o).user_id_claim,                                                        \
    })

static int check_tokens(struct cast_loader *l)
{
    struct cast_config *cfg = l->cfg;
    struct cast_token_rules connect = RULES_OF(cfg->client.token),
                            subscribe = RULES_OF(cfg->client.subscription_token);
    bool own = cfg->client.subscription_token.enabled;
    int rc = make_keys(l, "client.token", &connect, &cfg->connect_keys);
    if (rc == 0)
        rc = make_keys(l, own ? "client.subscription_token" : "client.token",
            own ? &subscribe : &connect, &cfg->subscribe_keys);
    return rc;
}

/* --- the server ----------------------------------------------------------------------------- */

static int check_ports(struct cast_loader *l)
{
    struct cast_config *cfg = l->cfg;
    const char *text = cfg->http_server.internal_port;
    CHECK_OR_FAIL(cfg->http_server.port >= 0 && cfg->http_server.port <= 65535,
        "http_server.port must be from 0 to 65535");
    if (*text) {
        char *end;
        errno = 0;
        long port = strtol(text, &end, 10);
        CHECK_OR_FAIL(isdigit((unsigned char)*text) && *end == '\0' && errno == 0 && port > 0 &&
                          port <= 65535,
            "http_server.internal_port must be empty or a port from 1 to 65535, and is \"%.100s\"",
            text);
        cfg->internal_port_number = (int)port;
    }
    return 0;
}

static int check_paths(struct cast_loader *l)
{
    const struct cast_config *c = l->cfg;
    const struct {
        const char *key, *path;
        bool used;
    } rows[] = {
        {"websocket.handler_prefix", c->websocket.handler_prefix, !c->websocket.disabled},
        {"http_api.handler_prefix", c->http_api.handler_prefix, !c->http_api.disabled},
        {"prometheus.handler_prefix", c->prometheus.handler_prefix, c->prometheus.enabled},
        {"health.handler_prefix", c->health.handler_prefix, c->health.enabled},
        {"debug.handler_prefix", c->debug.handler_prefix, c->debug.enabled},
        {"init.handler_prefix", c->init.handler_prefix, c->init.enabled},
        {"admin.handler_prefix", c->admin.handler_prefix, c->admin.enabled},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!rows[i].used)
            continue;
        CHECK_OR_FAIL(rows[i].path[0] == '/' || rows[i].path[0] == '\0',
            "%s must start with a slash, and is \"%.100s\"", rows[i].key, rows[i].path);
        for (size_t j = 0; j < i; j++)
            CHECK_OR_FAIL(!rows[j].used || strcmp(rows[i].path, rows[j].path) != 0,
                "%s and %s are both \"%.100s\"", rows[j].key, rows[i].key, rows[i].path);
    }
    return 0;
}

static int check_server(struct cast_loader *l)
{
    static const char *const levels[] = {
        "trace", "debug", "info", "warn", "error", "fatal", "none", NULL};
    static const char *const error_modes[] = {"", "transport", NULL};
    const struct cast_config *c = l->cfg;
    CHECK_OR_FAIL(one_of(c->log.level, levels),
        "unknown log.level: \"%.100s\" (trace, debug, info, warn, error, fatal or none)",
        c->log.level);
    CHECK_OR_FAIL(one_of(c->http_api.error_mode, error_modes),
        "unknown http_api.error_mode: \"%.100s\" (empty or \"transport\")", c->http_api.error_mode);
    CHECK_OR_FAIL(c->weftcast.shards <= 1024, "weftcast.shards must be 1024 at most");
    int rc = check_ports(l);
    return rc == 0 ? check_paths(l) : rc;
}

/* Settings that are legal and deserve a word. */
static void notices(struct cast_loader *l)
{
    const struct cast_config *c = l->cfg;
    if (c->client.insecure)
        cast_load_warn(l, CAST_CONFIG_NOTICE, "client.insecure",
            "INSECURE client mode: anybody may do anything");
    if (c->client.insecure_skip_token_signature_verify)
        cast_load_warn(l, CAST_CONFIG_NOTICE, "client.insecure_skip_token_signature_verify",
            "INSECURE: signatures of tokens are not checked");
    if (c->http_api.insecure && !c->http_api.disabled)
        cast_load_warn(l, CAST_CONFIG_NOTICE, "http_api.insecure",
            "INSECURE HTTP API mode: no key is asked for");
    if (c->admin.enabled && c->admin.insecure)
        cast_load_warn(
            l, CAST_CONFIG_NOTICE, "admin.insecure", "INSECURE console: no password is asked for");
    if (c->admin.enabled && !c->admin.insecure && !c->admin.password[0])
        cast_load_warn(l, CAST_CONFIG_NOTICE, "admin.password",
            "nobody can log in to the console without a password");
}

int cast_config_validate(struct cast_loader *l)
{
    int rc = check_server(l);
    if (rc == 0)
        rc = check_clients(l);
    if (rc == 0)
        rc = check_channels(l);
    if (rc == 0)
        rc = check_tokens(l);
    if (rc == 0)
        notices(l);
    return rc;
}
