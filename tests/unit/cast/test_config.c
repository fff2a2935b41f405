// SPDX-License-Identifier: Apache-2.0
/* test_config.c - loading: files of both formats, environment, flags, precedence, types, warnings.
 */
#include "config_test.h"

TEST(defaults_are_centrifugos)
{
    struct cast_config *c = load_good("{}");
    CHECK_EQ(c->http_server.port, 8000);
    CHECK_STR(c->http_server.address, "");
    CHECK_STR(c->http_server.internal_port, "");
    CHECK_EQ(c->internal_port_number, 0);
    CHECK_STR(c->log.level, "info");
    CHECK_EQ(c->client.allowed_origins.count, 0);
    CHECK_EQ(c->client.ping_interval_ns, 25 * SECOND);
    CHECK_EQ(c->client.pong_timeout_ns, 8 * SECOND);
    CHECK_EQ(c->client.stale_close_delay_ns, 10 * SECOND);
    CHECK_EQ(c->client.expired_close_delay_ns, 25 * SECOND);
    CHECK_EQ(c->client.presence_update_interval_ns, 27 * SECOND);
    CHECK_EQ(c->client.channel_position_check_delay_ns, 40 * SECOND);
    CHECK_EQ(c->client.channel_limit, 128);
    CHECK_EQ(c->client.queue_max_size, 1048576);
    CHECK_EQ(c->client.history_max_publication_limit, 300);
    CHECK_EQ(c->channel.max_length, 255);
    CHECK_STR(c->channel.private_prefix, "$");
    CHECK_STR(c->channel.namespace_boundary, ":");
    CHECK_STR(c->channel.user_boundary, "#");
    CHECK_STR(c->channel.user_separator, ",");
    CHECK_EQ(c->channel.history_meta_ttl_ns, 720 * 3600 * SECOND);
    CHECK_EQ(c->channel.without_namespace.history_meta_ttl_ns, 720 * 3600 * SECOND);
    CHECK(!c->channel.without_namespace.has_history);
    CHECK_STR(c->websocket.handler_prefix, "/connection/websocket");
    CHECK_EQ(c->websocket.message_size_limit, 65536);
    CHECK_STR(c->http_api.handler_prefix, "/api");
    CHECK_STR(c->http_api.key, "");
    CHECK_STR(c->rpc.ping.method, "ping");
    CHECK_EQ(c->shutdown.timeout_ns, 30 * SECOND);
    CHECK_STR(c->prometheus.handler_prefix, "/metrics");
    CHECK_STR(c->health.handler_prefix, "/health");
    CHECK_EQ(warnings_of(c), 0);
    cast_config_unref(c);
}

TEST(json_file)
{
    struct cast_config *c = load_good(
        "{\"http_server\":{\"port\":8151,\"address\":\"127.0.0.1\",\"internal_port\":9000},"
        "\"client\":{\"allowed_origins\":[\"https://*.Example.com\"],\"ping_interval\":\"3s\","
        "\"pong_timeout\":\"1s\",\"token\":{\"hmac_secret_key\":\"k\"}},"
        "\"channel\":{\"without_namespace\":{\"presence\":true,\"history_size\":10,"
        "\"history_ttl\":\"1m\",\"force_recovery\":true},"
        "\"namespaces\":[{\"name\":\"news\",\"allow_subscribe_for_client\":true},"
        "{\"name\":\"chat\",\"force_recovery_mode\":\"cache\"}]}}");
    CHECK_EQ(c->http_server.port, 8151);
    CHECK_STR(c->http_server.address, "127.0.0.1");
    CHECK_EQ(c->internal_port_number, 9000);
    CHECK_EQ(c->client.allowed_origins.count, 1);
    CHECK_EQ(c->client.ping_interval_ns, 3 * SECOND);
    CHECK_STR(c->client.token.hmac_secret_key, "k");
    CHECK(c->channel.without_namespace.presence);
    CHECK(c->channel.without_namespace.has_history);
    CHECK_EQ(c->channel.without_namespace.history_ttl_ns, 60 * SECOND);
    CHECK_EQ(c->channel.namespaces_count, 2);
    CHECK_STR(c->channel.namespaces[0].name, "news");
    CHECK(c->channel.namespaces[0].allow_subscribe_for_client);
    CHECK(!c->channel.namespaces[1].allow_subscribe_for_client);
    CHECK(c->channel.namespaces[1].recovery_mode_cache);
    CHECK_EQ(warnings_of(c), 0);
    cast_config_unref(c);
}

TEST(yaml_file)
{
    struct cast_config *c = load_format("yaml",
        "http_server: {port: 8151, internal_port: 9000}\n"
        "client:\n"
        "  allowed_origins:\n"
        "    - \"*\"\n"
        "    - http://a.x # a comment\n"
        "  ping_interval: 1m30s\n"
        "  insecure: true\n"
        "  token: {hmac_secret_key: 0123}\n"
        "channel:\n"
        "  without_namespace: &options\n"
        "    presence: true\n"
        "    history_size: 0x10\n"
        "    history_ttl: 10s\n"
        "  namespaces:\n"
        "    - {<<: *options, name: news, history_size: 3}\n"
        "    - name: 'chat'\n"
        "admin:\n"
        "prometheus: ~\n",
        NULL, NULL);
    CHECK_EQ(c->http_server.port, 8151);
    CHECK_EQ(c->internal_port_number, 9000);
    CHECK_EQ(c->client.allowed_origins.count, 2);
    CHECK_STR(c->client.allowed_origins.items[1], "http://a.x");
    CHECK_EQ(c->client.ping_interval_ns, 90 * SECOND);
    CHECK(c->client.insecure);
    CHECK_EQ(c->channel.without_namespace.history_size, 16);
    CHECK_EQ(c->channel.namespaces[0].history_size, 3);
    CHECK_EQ(c->channel.namespaces[0].history_ttl_ns, 10 * SECOND);
    CHECK(c->channel.namespaces[0].presence);
    CHECK_STR(c->channel.namespaces[1].name, "chat");
    CHECK(!c->channel.namespaces[1].presence);
    cast_config_unref(c);
    c = load_format("yaml", "", NULL, NULL);
    CHECK_EQ(c->http_server.port, 8000);
    cast_config_unref(c);
}

TEST(yaml_errors)
{
    CHECK_REFUSED_AS("yaml", "a: [1", "line ");
    CHECK_REFUSED_AS("yaml", "- 1\n- 2\n", "must hold an object");
    CHECK_REFUSED_AS("yaml", "client: {}\nclient: {}\n", "line 2: this key stands here a second");
    CHECK_REFUSED_AS("yaml", "? [a]\n: b\n", "line 1: a key must be plain text");
    CHECK_REFUSED_AS("yaml", "client: {<<: 5}\n", "a merge key");
    CHECK_REFUSED_AS("yaml", "http_server: {port: yes}\n", "'http_server.port'");
    CHECK_REFUSED_AS("yaml",
        "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
        "c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n"
        "e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n",
        "nested too deeply or grows too large");
}

TEST(keys_have_no_case_and_may_be_dotted)
{
    struct cast_config *c =
        load_good("{\"HTTP_Server\":{\"Port\":1},\"client.token\":{\"hmac_secret_key\":\"a\"},"
                  "\"channel.without_namespace.presence\":true,\"client.channel_limit\":7,"
                  "\"channel\":{\"without_namespace.history_size\":0}}");
    CHECK_EQ(c->http_server.port, 1);
    CHECK_STR(c->client.token.hmac_secret_key, "a");
    CHECK(c->channel.without_namespace.presence);
    CHECK_EQ(c->client.channel_limit, 7);
    CHECK_EQ(warnings_of(c), 0);
    cast_config_unref(c);
}

TEST(weak_types_that_are_allowed)
{
    struct cast_config *c = load_good(
        "{\"http_server\":{\"port\":\"8001\",\"internal_port\":9001},"
        "\"client\":{\"insecure\":\"true\",\"channel_limit\":1e2,\"allowed_origins\":\"a b  c\","
        "\"ping_interval\":30000000000,\"token\":{\"hmac_secret_key\":123}},"
        "\"admin\":{\"enabled\":1,\"insecure\":\"F\"},\"websocket\":null,"
        "\"channel\":{\"namespaces\":null}}");
    CHECK_EQ(c->http_server.port, 8001);
    CHECK_STR(c->http_server.internal_port, "9001");
    CHECK(c->client.insecure);
    CHECK_EQ(c->client.channel_limit, 100);
    CHECK_EQ(c->client.allowed_origins.count, 3);
    CHECK_STR(c->client.allowed_origins.items[2], "c");
    CHECK_EQ(c->client.ping_interval_ns, 30 * SECOND);
    CHECK_STR(c->client.token.hmac_secret_key, "123");
    CHECK(c->admin.enabled);
    cast_config_unref(c);
}

TEST(type_errors_name_their_path)
{
    CHECK_REFUSED("{\"http_server\":{\"port\":\"zz\"}}",
        "'http_server.port' cannot parse value as 'int': \"zz\" is not a whole number");
    CHECK_REFUSED("{\"http_server\":{\"port\":80.5}}", "'http_server.port'");
    CHECK_REFUSED("{\"http_server\":{\"port\":[1]}}", "it is a list");
    CHECK_REFUSED("{\"http_server\":{\"port\":99999999999999999999}}", "config file");
    CHECK_REFUSED("{\"client\":{\"ping_interval\":\"abc\"}}",
        "'client.ping_interval' cannot parse value as 'duration': invalid duration \"abc\"");
    CHECK_REFUSED("{\"client\":{\"insecure\":\"yep\"}}",
        "'client.insecure' cannot parse value as 'bool': \"yep\" is neither true nor false");
    CHECK_REFUSED("{\"client\":{\"insecure\":2}}", "'client.insecure'");
    CHECK_REFUSED("{\"client\":{\"token\":{\"hmac_secret_key\":{}}}}",
        "'client.token.hmac_secret_key' cannot parse value as 'string': it is an object");
    CHECK_REFUSED("{\"client\":{\"allowed_origins\":[\"a\",{}]}}", "its item 1 is no string");
    CHECK_REFUSED("{\"client\":5}", "'client' must be an object");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":{}}}", "'channel.namespaces' must be a list");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[1]}}", "'channel.namespaces[0]'");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[{\"name\":1}]}}", "'channel.namespaces[0].name'");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[{\"name\":\"aa\"},{\"name\":\"bb\","
                  "\"history_size\":\"x\"}]}}",
        "'channel.namespaces[1].history_size' cannot parse value as 'int'");
    CHECK_REFUSED("{\"channel\":{\"without_namespace\":[]}}", "'channel.without_namespace'");
    /* all of them at once */
    CHECK_REFUSED("{\"http_server\":{\"port\":\"zz\"},\"client\":{\"insecure\":\"yep\"}}",
        "whole number; 'client.insecure'");
    /* also of settings that are not acted on */
    CHECK_REFUSED("{\"websocket\":{\"compression\":\"perhaps\"}}", "'websocket.compression'");
}

TEST(json_errors_say_where)
{
    CHECK_REFUSED("{bad", "error reading config file (text): line 1 column 4: ");
    CHECK_REFUSED("{}x", "line 1");
    CHECK_REFUSED("[]", "it must hold an object");
    CHECK_REFUSED("", "line 1");
}

TEST(unknown_keys_are_warned_of_with_the_nearest)
{
    CHECK_WARNED("{\"foo\":1}", CAST_CONFIG_UNKNOWN_KEY, "foo", NULL);
    CHECK_WARNED("{\"http_server\":{\"prot\":1}}", CAST_CONFIG_UNKNOWN_KEY, "http_server.prot",
        "http_server.port");
    CHECK_WARNED("{\"clinet\":{\"insecure\":true}}", CAST_CONFIG_UNKNOWN_KEY, "clinet", "client");
    CHECK_WARNED("{\"client\":{\"alowed_origins\":[]}}", CAST_CONFIG_UNKNOWN_KEY,
        "client.alowed_origins", "client.allowed_origins");
    CHECK_WARNED("{\"hmac_secret_key\":\"\"}", CAST_CONFIG_UNKNOWN_KEY, "hmac_secret_key",
        "client.token.hmac_secret_key");
    CHECK_WARNED(
        "{\"admin_password\":\"\"}", CAST_CONFIG_UNKNOWN_KEY, "admin_password", "admin.password");
    CHECK_WARNED("{\"channel\":{\"namespaces\":[{\"name\":\"aa\",\"presense\":true}]}}",
        CAST_CONFIG_UNKNOWN_KEY, "channel.namespaces[0].presense",
        "channel.namespaces[0].presence");
    CHECK_WARNED("{\"channel\":{\"without_namespace\":{\"histroy_size\":1}}}",
        CAST_CONFIG_UNKNOWN_KEY, "channel.without_namespace.histroy_size",
        "channel.without_namespace.history_size");
}

TEST(keys_that_are_not_there_yet)
{
    CHECK_WARNED("{\"websocket\":{\"compression\":true}}", CAST_CONFIG_NOT_YET_KEY,
        "websocket.compression", "messages are not compressed");
    CHECK_WARNED("{\"sse\":{\"enabled\":true}}", CAST_CONFIG_NOT_YET_KEY, "sse.enabled", NULL);
    CHECK_WARNED("{\"proxies\":[{\"name\":\"p\"}]}", CAST_CONFIG_NOT_YET_KEY, "proxies", NULL);
    CHECK_WARNED("{\"channel\":{\"namespaces\":[{\"name\":\"aa\",\"allowed_delta_types\":"
                 "[\"fossil\"]}]}}",
        CAST_CONFIG_NOT_YET_KEY, "channel.namespaces[0].allowed_delta_types",
        "publications are sent whole");
    /* at their default they are what happens anyway */
    struct cast_config *c = load_good("{\"websocket\":{\"compression\":false},\"sse\":{\"enabled\":"
                                      "false,\"handler_prefix\":\"/connection/sse\"},"
                                      "\"proxies\":[],\"engine\":{\"type\":\"memory\"},"
                                      "\"usage_stats\":{\"disabled\":true},"
                                      "\"client\":{\"concurrency\":8}}");
    CHECK_EQ(warnings_of(c), 0);
    cast_config_unref(c);
}

TEST(what_would_be_unsafe_to_leave_out_is_an_error)
{
    CHECK_REFUSED("{\"http_server\":{\"tls\":{\"enabled\":true}}}", "'http_server.tls.enabled'");
    CHECK_REFUSED("{\"http_server\":{\"tls_autocert\":{\"enabled\":true}}}", "without encryption");
    CHECK_REFUSED("{\"client\":{\"token\":{\"jwks_public_endpoint\":\"http://127.0.0.1/k\"}}}",
        "'client.token.jwks_public_endpoint'");
    CHECK_REFUSED("{\"client\":{\"proxy\":{\"connect\":{\"enabled\":true}}}}",
        "'client.proxy.connect.enabled'");
    CHECK_REFUSED("{\"channel\":{\"namespaces\":[{\"name\":\"aa\",\"subscribe_proxy_enabled\":"
                  "true}]}}",
        "'channel.namespaces[0].subscribe_proxy_enabled'");
    CHECK_REFUSED(
        "{\"channel\":{\"without_namespace\":{\"publish_proxy_enabled\":true}}}", "publish_proxy");
    CHECK_REFUSED("{\"engine\":{\"type\":\"redis\"}}", "'engine.type'");
    CHECK_REFUSED(
        "{\"channel\":{\"namespaces\":[{\"name\":\"aa\",\"subscription_type\":\"map\"}]}}",
        "subscription_type \"map\"");
}

TEST(duplicate_keys_in_json)
{
    struct cast_config *c = load_good("{\"http_server\":{\"port\":1,\"port\":2}}");
    CHECK_EQ(c->http_server.port, 2);
    CHECK_EQ(warnings_of(c), 1);
    cast_config_unref(c);
}

TEST(bare_nanoseconds_are_noticed)
{
    struct cast_config *c = load_good("{\"client\":{\"ping_interval\":25,\"pong_timeout\":-1}}");
    CHECK_EQ(c->client.ping_interval_ns, 25);
    CHECK_EQ(warnings_of(c), 1);
    cast_config_unref(c);
}

TEST(environment_and_flags)
{
    static char *const env[] = {"CENTRIFUGO_HTTP_SERVER_PORT=8152",
        "WEFTCAST_HTTP_SERVER_PORT=8153", "CENTRIFUGO_CLIENT_CHANNEL_LIMIT=5",
        "CENTRIFUGO_CLIENT_ALLOWED_ORIGINS=http://a.x http://b.x",
        "WEFTCAST_CLIENT_TOKEN_HMAC_SECRET_KEY=", "CENTRIFUGO_CLIENT_INSECURE=1",
        "CENTRIFUGO_CHANNEL_WITHOUT_NAMESPACE_PRESENCE=true", "PATH=/bin", NULL};
    static const struct cast_config_flag flags[] = {{"http_server.port", "8154"},
        {"channel.without_namespace.join_leave", "true"}, {NULL, NULL}};
    const char *file = "{\"http_server\":{\"port\":8151},\"client\":{\"channel_limit\":9,"
                       "\"token\":{\"hmac_secret_key\":\"file\"}}}";
    struct cast_config *c = load_format("json", file, env, flags);
    CHECK_EQ(c->http_server.port, 8154);
    CHECK_EQ(c->client.channel_limit, 5);
    CHECK_EQ(c->client.allowed_origins.count, 2);
    CHECK_STR(c->client.token.hmac_secret_key, "file");
    CHECK(c->client.insecure);
    CHECK(c->channel.without_namespace.presence);
    CHECK(c->channel.without_namespace.join_leave);
    cast_config_unref(c);
    c = load_format("json", file, env, NULL);
    CHECK_EQ(c->http_server.port, 8153);
    cast_config_unref(c);
}

TEST(namespaces_in_the_environment)
{
    static char *const list[] = {
        "CENTRIFUGO_CHANNEL_NAMESPACES=[{\"name\":\"fromenv\",\"presence\":true}]",
        "WEFTCAST_CHANNEL_NAMESPACES_FROMENV_JOIN_LEAVE=true", NULL};
    static char *const names[] = {"WEFTCAST_CHANNEL_NAMESPACES=aa b-b.c",
        "CENTRIFUGO_CHANNEL_NAMESPACES_B_B_C_HISTORY_SIZE=3",
        "CENTRIFUGO_CHANNEL_NAMESPACES_B_B_C_HISTORY_TTL=10s", NULL};
    const char *file = "{\"channel\":{\"namespaces\":[{\"name\":\"old\"},{\"name\":\"older\"}]}}";
    struct cast_config *c = load_format("json", file, list, NULL);
    CHECK_EQ(c->channel.namespaces_count, 1);
    CHECK_STR(c->channel.namespaces[0].name, "fromenv");
    CHECK(c->channel.namespaces[0].presence);
    CHECK(c->channel.namespaces[0].join_leave);
    CHECK_EQ(warnings_of(c), 0);
    cast_config_unref(c);
    c = load_format("json", file, names, NULL);
    CHECK_EQ(c->channel.namespaces_count, 2);
    CHECK_EQ(c->channel.namespaces[1].history_size, 3);
    CHECK_EQ(c->channel.namespaces[1].history_ttl_ns, 10 * SECOND);
    CHECK_EQ(warnings_of(c), 0);
    cast_config_unref(c);
}

TEST(replaced_namespaces_leave_no_trace)
{
    static char *const names[] = {"WEFTCAST_CHANNEL_NAMESPACES=aa", NULL};
    struct cast_config *c = load_format("json",
        "{\"channel\":{\"namespaces\":[{\"name\":\"old\",\"subscribe_proxy_enabled\":true}]}}",
        names, NULL);
    CHECK_EQ(warnings_of(c), 0);
    cast_config_unref(c);
}

TEST(the_last_word_decides_about_what_is_refused)
{
    static char *const off[] = {"WEFTCAST_HTTP_SERVER_TLS_ENABLED=false", NULL};
    static char *const on[] = {"CENTRIFUGO_HTTP_SERVER_TLS_ENABLED=true", NULL};
    struct cast_config *c =
        load_format("json", "{\"http_server\":{\"tls\":{\"enabled\":true}}}", off, NULL);
    cast_config_unref(c);
    check_refused("json", "{}", on, NULL, "'http_server.tls.enabled'");
}

TEST(errors_in_environment_and_flags_name_their_source)
{
    static char *const env[] = {"CENTRIFUGO_HTTP_SERVER_PORT=zz", NULL};
    static const struct cast_config_flag flags[] = {{"client.channel_limit", "many"}, {NULL, NULL}};
    static const struct cast_config_flag unknown[] = {{"client.nope", "1"}, {NULL, NULL}};
    check_refused("json", "{}", env, NULL,
        "'http_server.port' (environment CENTRIFUGO_HTTP_SERVER_PORT) cannot parse");
    check_refused("json", "{}", NULL, flags,
        "'client.channel_limit' (flag --client.channel_limit) cannot parse");
    check_refused("json", "{}", NULL, unknown, "'client.nope' (flag --client.nope) is no setting");
}

TEST(unknown_variables)
{
    static char *const env[] = {"CENTRIFUGO_FOO=1", "WEFTCAST_CLIENT_CHANEL_LIMIT=1",
        "CENTRIFUGO_VAR_MINE=1", "CENTRIFUGO_PORT=tcp://10.0.0.1:8000",
        "CENTRIFUGO_SERVICE_HOST=10.0.0.1", "CENTRIFUGO_PORT_8000_TCP_ADDR=10.0.0.1",
        "CENTRIFUGO_PROXIES_ONE_ENDPOINT=http://x", "WEFT_IO=epoll", NULL};
    struct cast_config *c = load_format("json", "{}", env, NULL);
    size_t count;
    const struct cast_config_warning *w = cast_config_warnings(c, &count);
    CHECK_EQ(count, 3);
    CHECK_STR(w[0].key, "CENTRIFUGO_FOO");
    CHECK_EQ(w[1].kind, CAST_CONFIG_UNKNOWN_ENV);
    CHECK_STR(w[1].key, "WEFTCAST_CLIENT_CHANEL_LIMIT");
    CHECK_STR(w[1].near, "WEFTCAST_CLIENT_CHANNEL_LIMIT");
    CHECK_EQ(w[2].kind, CAST_CONFIG_NOT_YET_KEY);
    cast_config_unref(c);
}

TEST(files_on_disk)
{
    char dir[] = "/tmp/weftcast-config-XXXXXX", path[300], env_path[300];
    struct cast_config *c, *again;
    struct cast_config_error err;
    CHECK(mkdtemp(dir) != NULL);
    snprintf(path, sizeof path, "%s/c.yml", dir);
    snprintf(env_path, sizeof env_path, "%s/env", dir);
    static char *const env[] = {"WEFTCAST_HTTP_SERVER_ADDRESS=127.0.0.9", NULL};
    struct cast_config_source src = {.file = path, .environ = env, .env_file = env_path};
    /* missing: a warning */
    CHECK_EQ(cast_config_load(&src, &c, &err), 0);
    CHECK(cast_config_file(c) == NULL);
    CHECK_EQ(warnings_of(c), 1);
    cast_config_unref(c);
    write_file(path, "http_server: {port: 77}\n");
    write_file(env_path, "# comment\nexport WEFTCAST_CLIENT_CHANNEL_LIMIT=\"12\" # twelve\n"
                         "WEFTCAST_HTTP_SERVER_ADDRESS=127.0.0.8\nOTHER=x\n"
                         "CENTRIFUGO_NODE_NAME='a \"b\" #c'\nWEFTCAST_LOG_LEVEL = debug\n");
    CHECK_EQ(cast_config_load(&src, &c, &err), 0);
    CHECK_STR(cast_config_file(c), path);
    CHECK_EQ(c->http_server.port, 77);
    CHECK_EQ(c->client.channel_limit, 12);
    CHECK_STR(c->http_server.address, "127.0.0.9");
    CHECK_STR(c->node.name, "a \"b\" #c");
    CHECK_STR(c->log.level, "debug");
    /* reload: sees the new file, keeps flags and environment; the old snapshot stays */
    write_file(path, "http_server: {port: 78}\nchannel: {namespaces: [{name: news}]}\n");
    CHECK_EQ(cast_config_reload(c, &again, &err), 0);
    CHECK_EQ(again->http_server.port, 78);
    CHECK_STR(again->http_server.address, "127.0.0.9");
    CHECK_EQ(c->http_server.port, 77);
    cast_config_unref(again);
    write_file(path, "http_server: {port: zz}\n");
    CHECK_EQ(cast_config_reload(c, &again, &err), -EINVAL);
    CHECK(strstr(err.text, "'http_server.port'") != NULL);
    unlink(path);
    CHECK_EQ(cast_config_reload(c, &again, &err), -EINVAL);
    CHECK(strstr(err.text, "is not there any more") != NULL);
    cast_config_unref(c);
    /* names that are refused, a folder */
    src.file = "x.toml";
    CHECK_EQ(cast_config_load(&src, &c, &err), -EINVAL);
    CHECK(strstr(err.text, "TOML is not supported") != NULL);
    src.file = "x.ini";
    CHECK_EQ(cast_config_load(&src, &c, &err), -EINVAL);
    snprintf(path, sizeof path, "%s/folder.json", dir);
    CHECK_EQ(mkdir(path, 0700), 0);
    src.file = path;
    CHECK_EQ(cast_config_load(&src, &c, &err), -EINVAL);
    CHECK(strstr(err.text, "Is a directory") != NULL);
    rmdir(path);
    unlink(env_path);
    rmdir(dir);
}

/* Every default of the table is a value of its type, and no key stands there twice. */
TEST(table_is_sound)
{
    const struct cast_table *tables[] = {&cast_root_table, &cast_option_table};
    for (int t = 0; t < 2; t++) {
        for (size_t i = 0; i < tables[t]->count; i++) {
            const struct cast_key *key = &tables[t]->keys[i];
            union cast_slot slot;
            char why[200];
            CHECK_MSG(cast_table_find(tables[t], key->path) == key, "%s stands twice", key->path);
            CHECK_MSG(!cast_table_is_section(tables[t], key->path), "%s is a section", key->path);
            CHECK_MSG(key->text[0] != '\0', "%s has no text", key->path);
            if (key->type == CAST_TYPE_CHANNEL || key->type == CAST_TYPE_NAMESPACES)
                continue;
            CHECK_MSG(cast_value_parse(key->type, (struct cast_raw){.text = key->def}, &slot, why,
                          sizeof why) == 0,
                "%s: default %s: %s", key->path, key->def, why);
            cast_value_fini(key->type, &slot);
        }
    }
}

TEST(references)
{
    struct cast_config *c = load_good("{}");
    CHECK(cast_config_ref(c) == c);
    cast_config_unref(c);
    CHECK_EQ(c->http_server.port, 8000);
    cast_config_unref(c);
    cast_config_unref(NULL);
}

TEST(durations)
{
    static const struct {
        const char *text;
        int64_t ns;
        const char *printed;
    } rows[] = {
        {"0", 0, "0s"},
        {"25s", 25 * SECOND, "25s"},
        {"1m30s", 90 * SECOND, "1m30s"},
        {"720h", 720 * 3600 * SECOND, "720h0m0s"},
        {"1.5s", 1500000000, "1.5s"},
        {"1h0.5m", 3630 * SECOND, "1h0m30s"},
        {"5ns", 5, "5ns"},
        {"1.5us", 1500, "1.5\xc2\xb5s"},
        {"10\xc2\xb5s", 10000, "10\xc2\xb5s"},
        {"100ms", 100000000, "100ms"},
        {"-3s", -3 * SECOND, "-3s"},
        {"+.5s", 500000000, "500ms"},
        {"60s", 60 * SECOND, "1m0s"},
    };
    static const char *const bad[] = {"", "5", "s", "1x", "1s2", "1 s", "--1s", ".s",
        "9999999h9999999h", "1.5", "1s ", "99999999999999999999s"};
    int64_t ns;
    char text[CAST_DURATION_BYTES];
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_MSG(cast_duration_parse(rows[i].text, &ns), "%s", rows[i].text);
        CHECK_EQ(ns, rows[i].ns);
        cast_duration_format(ns, text, sizeof text);
        CHECK_STR(text, rows[i].printed);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_MSG(!cast_duration_parse(bad[i], &ns), "%s", bad[i]);
}
