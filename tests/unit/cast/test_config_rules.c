// SPDX-License-Identifier: Apache-2.0
/* test_config_rules.c - what a configuration must mean, and the questions a snapshot answers. */
#include "config_test.h"

static void refused_options(const char *options, const char *needle)
{
    char text[600], want[300];
    snprintf(text, sizeof text, "{\"channel\":{\"without_namespace\":{%s}}}", options);
    snprintf(want, sizeof want, "in channel.without_namespace: %s", needle);
    CHECK_REFUSED(text, want);
    snprintf(text, sizeof text, "{\"channel\":{\"namespaces\":[{\"name\":\"aa\",%s}]}}", options);
    snprintf(want, sizeof want, "namespace aa: %s", needle);
    CHECK_REFUSED(text, want);
}

TEST(channel_options)
{
    refused_options(
        "\"history_size\":10", "both history size and history ttl required for history");
    refused_options(
        "\"history_ttl\":\"1s\"", "both history size and history ttl required for history");
    refused_options(
        "\"force_recovery\":true", "both history size and history ttl required for recovery");
    refused_options("\"history_size\":-1", "history_size must not be negative");
    refused_options("\"history_size\":1,\"history_ttl\":\"1500ms\"", "in history_ttl: malformed");
    refused_options("\"history_size\":1,\"history_ttl\":\"10s\",\"history_meta_ttl\":\"1s\"",
        "history ttl (10s) can not be greater than history meta ttl (1s)");
    refused_options("\"force_recovery_mode\":\"zzz\"", "unknown recovery mode: \"zzz\"");
    refused_options("\"auto_cache_recover\":true", "auto_cache_recover requires");
    refused_options(
        "\"publication_data_format\":\"zz\"", "unknown publication_data_format: \"zz\"");
    refused_options("\"channel_regex\":\"(\"", "invalid channel regex (: missing");
    refused_options("\"subscription_type\":\"zz\"", "unknown subscription_type: \"zz\"");
    cast_config_unref(load_good("{\"channel\":{\"without_namespace\":{\"subscription_type\":"
                                "\"stream\",\"force_recovery_mode\":\"stream\"}}}"));
}

TEST(namespaces)
{
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[{\"name\":\"a\"}]}}",
        "namespace a: invalid namespace name \xe2\x80\x93 a (must match ^[-a-zA-Z0-9_.]{2,}$ "
        "regular expression)");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[{\"name\":\"a:b\"}]}}", "invalid namespace name");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[{}]}}", "invalid namespace name");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[{\"name\":\"newns\"},{\"name\":\"newns\"}]}}",
        "namespace name must be unique: newns");
}

TEST(server_and_client_rules)
{
    CHECK_REFUSED("{\"client\":{\"ping_interval\":\"5s\",\"pong_timeout\":\"5s\"}}",
        "client.ping_interval (5s) must be greater than client.pong_timeout (5s)");
    CHECK_REFUSED("{\"client\":{\"channel_limit\":-1}}", "client.channel_limit must not be");
    CHECK_REFUSED("{\"client\":{\"allowed_origins\":[\"http://[\"]}}",
        "malformed origin pattern \"http://[\"");
    CHECK_REFUSED("{\"http_server\":{\"port\":65536}}", "http_server.port must be from 0 to 65535");
    CHECK_REFUSED("{\"http_server\":{\"internal_port\":\"http\"}}", "http_server.internal_port");
    CHECK_REFUSED("{\"log\":{\"level\":\"zz\"}}", "unknown log.level: \"zz\"");
    CHECK_REFUSED("{\"http_api\":{\"error_mode\":\"zz\"}}", "unknown http_api.error_mode: \"zz\"");
    CHECK_REFUSED("{\"http_api\":{\"handler_prefix\":\"api\"}}", "must start with a slash");
    CHECK_REFUSED("{\"health\":{\"enabled\":true,\"handler_prefix\":\"/api\"}}",
        "http_api.handler_prefix and health.handler_prefix are both \"/api\"");
    CHECK_REFUSED("{\"client\":{\"subscribe_to_user_personal_channel\":{\"enabled\":true,"
                  "\"personal_channel_namespace\":\"nope\"}}}",
        "namespace for user personal channel not found: nope");
    CHECK_REFUSED("{\"client\":{\"subscribe_to_user_personal_channel\":{\"enabled\":true,"
                  "\"single_connection\":true}}}",
        "presence must be enabled");
    CHECK_REFUSED("{\"channel\":{\"history_meta_ttl\":\"1ms\"}}", "in channel.history_meta_ttl");
    CHECK_REFUSED(
        "{\"client\":{\"token\":{\"user_id_claim\":\"a b\"}}}", "in client.token.user_id_claim");
    CHECK_REFUSED("{\"client\":{\"token\":{\"audience\":\"a\",\"audience_regex\":\"a\"}}}",
        "in client.token: can not use both audience and audience_regex");
    CHECK_REFUSED("{\"client\":{\"token\":{\"rsa_public_key\":\"zz\"}}}",
        "in client.token: error parsing RSA public key");
    CHECK_REFUSED("{\"client\":{\"subscription_token\":{\"enabled\":true,\"issuer_regex\":\"(\"}}}",
        "in client.subscription_token: error compiling issuer regex");
}

TEST(zeros_that_mean_the_default)
{
    struct cast_config *c = load_good("{\"client\":{\"channel_limit\":0,\"queue_max_size\":0,"
                                      "\"ping_interval\":\"0s\",\"stale_close_delay\":\"0s\"}}");
    CHECK_EQ(c->client.channel_limit, 128);
    CHECK_EQ(c->client.queue_max_size, 1048576);
    CHECK_EQ(c->client.ping_interval_ns, 25 * SECOND);
    CHECK_EQ(c->client.stale_close_delay_ns, 10 * SECOND);
    cast_config_unref(c);
}

TEST(options_inherit)
{
    struct cast_config *c =
        load_good("{\"channel\":{\"history_meta_ttl\":\"1h\",\"publication_data_format\":\"json\","
                  "\"namespaces\":[{\"name\":\"aa\"},{\"name\":\"bb\",\"history_meta_ttl\":\"2h\","
                  "\"publication_data_format\":\"binary\"}]}}");
    CHECK_EQ(c->channel.namespaces[0].history_meta_ttl_ns, 3600 * SECOND);
    CHECK_STR(c->channel.namespaces[0].publication_data_format, "json");
    CHECK_EQ(c->channel.namespaces[1].history_meta_ttl_ns, 7200 * SECOND);
    CHECK_STR(c->channel.namespaces[1].publication_data_format, "binary");
    CHECK_STR(c->channel.without_namespace.publication_data_format, "json");
    cast_config_unref(c);
}

TEST(insecure_modes_are_noticed)
{
    struct cast_config *c = load_good(
        "{\"client\":{\"insecure\":true,\"insecure_skip_token_signature_verify\":true},"
        "\"http_api\":{\"insecure\":true},\"admin\":{\"enabled\":true,\"insecure\":true}}");
    size_t count;
    const struct cast_config_warning *w = cast_config_warnings(c, &count);
    CHECK_EQ(count, 4);
    for (size_t i = 0; i < count; i++)
        CHECK_EQ(w[i].kind, CAST_CONFIG_NOTICE);
    cast_config_unref(c);
}

/* --- lookups -------------------------------------------------------------------------------- */

static const char lookup_config[] =
    "{\"channel\":{\"namespaces\":[{\"name\":\"news\"},{\"name\":\"chat\",\"channel_regex\":"
    "\"^[a-z]+$\"},{\"name\":\"chat2\"},{\"name\":\"aa\"}]}}";

static void check_channel(const struct cast_config *c, const char *channel, const char *ns,
    const char *rest, bool is_private, bool user_limited)
{
    struct cast_channel_name name;
    int rc = cast_config_channel(c, channel, strlen(channel), &name);
    if (!ns) {
        CHECK_MSG(rc == -ENOENT, "%s gave %d", channel, rc);
        return;
    }
    CHECK_MSG(rc == 0, "%s gave %d", channel, rc);
    CHECK_STR(name.options->name, ns);
    CHECK_MSG(name.rest_bytes == strlen(rest) && memcmp(name.rest, rest, name.rest_bytes) == 0,
        "%s: rest is %.*s", channel, (int)name.rest_bytes, name.rest);
    CHECK_EQ(name.is_private, is_private);
    CHECK_EQ(name.is_user_limited, user_limited);
}

TEST(channel_names)
{
    struct cast_config *c = load_good(lookup_config);
    check_channel(c, "a", "", "a", false, false);
    check_channel(c, "", "", "", false, false);
    check_channel(c, "news:a:b", "news", "a:b", false, false);
    check_channel(c, "news:", "news", "", false, false);
    check_channel(c, ":x", "", "x", false, false);
    check_channel(c, "chat:x#1,2", "chat", "x#1,2", false, true);
    check_channel(c, "chat2:x", "chat2", "x", false, false);
    check_channel(c, "cha:x", NULL, NULL, false, false);
    check_channel(c, "chat22:x", NULL, NULL, false, false);
    check_channel(c, "zz:x", NULL, NULL, false, false);
    check_channel(c, "$news:x", "news", "x", true, false);
    check_channel(c, "$priv", "", "$priv", true, false);
    check_channel(c, "$", "", "$", true, false);
    check_channel(c, "$$news:x", NULL, NULL, true, false);
    cast_config_unref(c);
}

TEST(other_boundaries)
{
    struct cast_config *c =
        load_good("{\"channel\":{\"namespace_boundary\":\"::\",\"private_prefix\":\"\",\"user_"
                  "boundary\":\"@@\","
                  "\"user_separator\":\"\",\"namespaces\":[{\"name\":\"news\"}]}}");
    check_channel(c, "news:a", "", "news:a", false, false);
    check_channel(c, "news::a", "news", "a", false, false);
    check_channel(c, "$a#b", "", "$a#b", false, false);
    check_channel(c, "a@@1,2", "", "a@@1,2", false, true);
    CHECK(cast_config_user_allowed(c, "a@@1,2", 6, "1,2", 3));
    CHECK(!cast_config_user_allowed(c, "a@@1,2", 6, "1", 1));
    cast_config_unref(c);
    c = load_good("{\"channel\":{\"namespace_boundary\":\"\",\"user_boundary\":\"\"}}");
    check_channel(c, "zz:x#1", "", "zz:x#1", false, false);
    CHECK(cast_config_user_allowed(c, "a#1", 3, "2", 1));
    cast_config_unref(c);
}

TEST(channel_names_with_any_bytes)
{
    struct cast_config *c = load_good(lookup_config);
    struct cast_channel_name name;
    CHECK_EQ(cast_config_channel(c, "news\0x:y", 8, &name), -ENOENT);
    CHECK_EQ(cast_config_channel(c, "a\0:y", 4, &name), -ENOENT);
    CHECK_EQ(cast_config_channel(c, "\xff\0", 2, &name), 0);
    CHECK_EQ(name.rest_bytes, 2);
    cast_config_unref(c);
}

TEST(regex_and_length)
{
    struct cast_config *c = load_good(lookup_config);
    const struct cast_channel_options *chat = cast_config_namespace(c, "chat", 4);
    const struct cast_channel_options *news = cast_config_namespace(c, "news", 4);
    CHECK(cast_channel_regex_ok(chat, "abc", 3));
    CHECK(!cast_channel_regex_ok(chat, "abc1", 4));
    CHECK(!cast_channel_regex_ok(chat, "ab\xff", 3));
    CHECK(cast_channel_regex_ok(news, "abc1", 4));
    CHECK(cast_config_channel_length_ok(c, 255));
    CHECK(!cast_config_channel_length_ok(c, 256));
    CHECK(cast_config_namespace(c, "nope", 4) == NULL);
    CHECK_STR(cast_config_namespace(c, "", 0)->name, "");
    cast_config_unref(c);
}

/* Matched without a limit this pattern would take 2^60 steps. */
TEST(a_hostile_name_does_not_stop_the_server)
{
    struct cast_config *c =
        load_good("{\"channel\":{\"without_namespace\":{\"channel_regex\":\"^(a+)+$\"}}}");
    char name[61];
    memset(name, 'a', 60);
    name[60] = '!';
    CHECK(!cast_channel_regex_ok(&c->channel.without_namespace, name, sizeof name));
    cast_config_unref(c);
}

TEST(user_lists)
{
    struct cast_config *c = load_good("{}");
    CHECK(cast_config_user_allowed(c, "u#42", 4, "42", 2));
    CHECK(!cast_config_user_allowed(c, "u#43", 4, "42", 2));
    CHECK(cast_config_user_allowed(c, "u#41,42", 7, "42", 2));
    CHECK(cast_config_user_allowed(c, "u#41,42", 7, "41", 2));
    CHECK(!cast_config_user_allowed(c, "u#41,42", 7, "4", 1));
    CHECK(!cast_config_user_allowed(c, "u#41", 4, "", 0));
    CHECK(cast_config_user_allowed(c, "u#", 2, "", 0));
    CHECK(cast_config_user_allowed(c, "u", 1, "42", 2));
    CHECK(cast_config_user_allowed(c, "u#1#42", 6, "42", 2));
    CHECK(!cast_config_user_allowed(c, "u#1#42", 6, "1", 1));
    char *personal = cast_config_personal_channel(c, "42", 2);
    CHECK_STR(personal, "#42");
    free(personal);
    cast_config_unref(c);
    c = load_good("{\"channel\":{\"namespaces\":[{\"name\":\"user\"}]},\"client\":{"
                  "\"subscribe_to_user_personal_channel\":{\"enabled\":true,"
                  "\"personal_channel_namespace\":\"user\"}}}");
    personal = cast_config_personal_channel(c, "42", 2);
    CHECK_STR(personal, "user:#42");
    free(personal);
    cast_config_unref(c);
}

static bool allowed(const struct cast_config *c, const char *origin)
{
    return cast_config_origin_allowed(c, origin, strlen(origin));
}

TEST(origins)
{
    struct cast_config *c = load_good("{}");
    CHECK(allowed(c, ""));
    CHECK(!allowed(c, "http://a.x"));
    cast_config_unref(c);
    c = load_good("{\"client\":{\"allowed_origins\":[\"https://*.Example.com\",\"http://a.x\"]}}");
    CHECK(allowed(c, "https://App.example.COM"));
    CHECK(allowed(c, "http://a.x"));
    CHECK(!allowed(c, "http://a.x:80"));
    CHECK(!allowed(c, "https://example.com.evil.x"));
    cast_config_unref(c);
    c = load_good("{\"client\":{\"allowed_origins\":[\"*\"]}}");
    CHECK(allowed(c, "null"));
    cast_config_unref(c);
}
