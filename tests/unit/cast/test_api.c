// SPDX-License-Identifier: Apache-2.0
/*
 * test_api.c - the HTTP server API's codec: recorded requests decoded, recorded answers encoded,
 * what is HTTP 400 and what is an error in the answer.
 */
#include "protocol/api.h"
#include "test.h"
#include <errno.h>

static char room[2048];
static struct cast_scratch scratch;
static struct cast_api_request r;
static struct cast_out o;

static int decode(enum cast_api_method m, const char *body)
{
    cast_scratch_fini(&scratch);
    cast_scratch_init(&scratch, room, sizeof(room));
    return cast_api_decode(m, weft_span_of(body), &scratch, &r);
}
static void check_span(struct weft_span s, const char *want)
{
    CHECK_MSG(cast_span_eq(s, weft_span_of(want)), "got %.*s, want %s", (int)s.len,
        s.data ? s.data : "", want);
}
static void is(const char *want)
{
    cast_out_char(&o, 0);
    CHECK_EQ(o.err, 0);
    CHECK_STR(o.buf, want);
    cast_out_clear(&o);
}

TEST(publish_request)
{
    CHECK_EQ(decode(CAST_API_PUBLISH,
                 "{\"channel\":\"rec:p\",\"data\":{\"n\":3},\"tags\":{\"k\":\"v\",\"z\":null},"
                 "\"skip_history\":true,\"idempotency_key\":\"i1\",\"delta\":true,\"version\":5,"
                 "\"version_epoch\":\"e\",\"nobody\":[]}"),
        0);
    check_span(r.publish.channel, "rec:p");
    check_span(r.publish.data, "{\"n\":3}");
    CHECK_EQ(r.publish.tags.count, 2);
    check_span(r.publish.tags.items[0].key, "k");
    check_span(r.publish.tags.items[0].value, "v");
    check_span(r.publish.tags.items[1].value, "");
    CHECK(r.publish.skip_history && r.publish.delta);
    check_span(r.publish.idempotency_key, "i1");
    CHECK_EQ(r.publish.version, 5);
    check_span(r.publish.version_epoch, "e");
    CHECK_EQ(decode(CAST_API_PUBLISH, "null"), 0);
    CHECK(r.publish.data.data == NULL && r.publish.channel.data == NULL);
    CHECK_EQ(decode(CAST_API_PUBLISH, "{\"data\":null}"), 0);
    check_span(r.publish.data, "null");
}

TEST(bodies_that_are_http_400)
{
    static const struct {
        enum cast_api_method m;
        const char *body;
    } bad[] = {{CAST_API_PUBLISH, ""}, {CAST_API_PUBLISH, "{bad"}, {CAST_API_PUBLISH, "[]"},
        {CAST_API_PUBLISH, "\"x\""}, {CAST_API_PUBLISH, "{} x"}, {CAST_API_PUBLISH, "{}{}"},
        {CAST_API_PUBLISH, "{\"channel\":5}"}, {CAST_API_PUBLISH, "{\"tags\":{\"k\":1}}"},
        {CAST_API_PUBLISH, "{\"data\":\"\xff\"}"}, {CAST_API_BROADCAST, "{\"channels\":\"a\"}"},
        {CAST_API_BROADCAST, "{\"channels\":[1]}"}, {CAST_API_INFO, ""}, {CAST_API_INFO, "[]"},
        {CAST_API_CHANNELS, ""}, {CAST_API_HISTORY, "{\"limit\":1.5}"},
        {CAST_API_DISCONNECT, "{\"disconnect\":{\"code\":-1}}"},
        {CAST_API_SUBSCRIBE, "{\"override\":{\"presence\":true}}"},
        {CAST_API_BATCH, "{\"commands\":[{\"publish\":{\"channel\":5}}]}"},
        {CAST_API_BATCH, "{\"commands\":{}}"}, {CAST_API_BATCH, "{\"commands\":[7]}"}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MSG(decode(bad[i].m, bad[i].body) == -EBADMSG, "accepted: %s", bad[i].body);
}

TEST(other_requests)
{
    CHECK_EQ(
        decode(CAST_API_BROADCAST, "{\"channels\":[\"a\",\"b\",\"\",null,\"e\"],\"data\":1}"), 0);
    CHECK_EQ(r.publish.channels.count, 5);
    check_span(r.publish.channels.items[1], "b");
    check_span(r.publish.channels.items[4], "e");
    CHECK_EQ(decode(CAST_API_SUBSCRIBE,
                 "{\"channel\":\"srv2\",\"user\":\"42\",\"data\":{\"d\":1},\"info\":{\"ci\":1},"
                 "\"expire_at\":-5,\"recover_since\":{\"offset\":3,\"epoch\":\"e\"},\"override\":{"
                 "\"presence\":{\"value\":true},\"force_recovery\":{\"value\":false},"
                 "\"join_leave\":{},\"force_positioning\":null}}"),
        0);
    check_span(r.subscribe.info, "{\"ci\":1}");
    CHECK_EQ(r.subscribe.expire_at_s, -5);
    CHECK(r.subscribe.has_recover_since && r.subscribe.recover_since.offset == 3);
    CHECK(r.subscribe.presence.given && r.subscribe.presence.value);
    CHECK(r.subscribe.force_recovery.given && !r.subscribe.force_recovery.value);
    CHECK(r.subscribe.join_leave.given && !r.subscribe.join_leave.value);
    CHECK(!r.subscribe.force_positioning.given && !r.subscribe.force_push_join_leave.given);
    CHECK_EQ(decode(CAST_API_DISCONNECT, "{\"user\":\"42\",\"client\":\"c\",\"whitelist\":[\"x\"],"
                                         "\"disconnect\":{\"code\":4100,\"reason\":\"bye\"}}"),
        0);
    CHECK(r.disconnect.has_disconnect);
    CHECK_EQ(r.disconnect.disconnect.code, 4100);
    check_span(r.disconnect.disconnect.reason, "bye");
    CHECK_EQ(r.disconnect.whitelist.count, 1);
    CHECK_EQ(
        decode(CAST_API_REFRESH, "{\"user\":\"42\",\"expire_at\":1999999999,\"expired\":true}"), 0);
    CHECK_EQ(r.refresh.expire_at_s, 1999999999);
    CHECK(r.refresh.expired);
    CHECK_EQ(decode(CAST_API_HISTORY, "{\"channel\":\"h\",\"limit\":2,\"since\":{\"offset\":3},"
                                      "\"reverse\":true}"),
        0);
    CHECK(r.history.has_since && r.history.reverse);
    CHECK_EQ(r.history.since.offset, 3);
    CHECK_EQ(decode(CAST_API_CHANNELS, "{\"pattern\":\"ro*\"}"), 0);
    check_span(r.channels.pattern, "ro*");
    CHECK_EQ(decode(CAST_API_RPC, "{\"method\":\"getx\",\"params\":{\"a\":[]}}"), 0);
    check_span(r.rpc.params, "{\"a\":[]}");
    CHECK_EQ(decode(CAST_API_UNSUBSCRIBE, "{\"user\":\"42\",\"channel\":\"room\"}"), 0);
    check_span(r.unsubscribe.user, "42");
    CHECK_EQ(decode(CAST_API_PRESENCE, "{\"channel\":\"room\"}"), 0);
    check_span(r.channel.channel, "room");
}

TEST(batch_request)
{
    CHECK_EQ(
        decode(CAST_API_BATCH,
            "{\"parallel\":true,\"commands\":[{\"publish\":{\"channel\":\"b\",\"data\":{\"n\":1}}},"
            "{\"history\":{\"channel\":\"b\",\"limit\":1}},{\"zzz\":{}},{},null,{\"info\":null},"
            "{\"presence_stats\":{\"channel\":\"p\"}}]}"),
        0);
    static const enum cast_api_method want[] = {CAST_API_PUBLISH, CAST_API_HISTORY, CAST_API_NONE,
        CAST_API_NONE, CAST_API_NULL, CAST_API_NONE, CAST_API_PRESENCE_STATS};
    CHECK(r.batch.parallel);
    CHECK_EQ(r.batch.count, 7);
    for (size_t i = 0; i < 7; i++)
        CHECK_EQ(r.batch.commands[i].method, want[i]);
    check_span(r.batch.commands[0].publish.data, "{\"n\":1}");
    CHECK_EQ(r.batch.commands[1].history.limit, 1);
    CHECK_EQ(decode(CAST_API_BATCH, "{}"), 0);
    CHECK_EQ(r.batch.count, 0);
}

TEST(payloads)
{
    struct weft_span data;
    bool json;
    static const struct {
        const char *b64, *want;
        bool json;
    } good[] = {{"eyJiIjoxfQ==", "{\"b\":1}", true}, {"eyJ4IjoxfQ==", "{\"x\":1}", true},
        {"MQ==", "1", true}, {"MTI=", "12", true}, {"MTIz", "123", true}, {"aGk=", "hi", false},
        {"MT\nI=\r\n", "12", true}, {"ewp9", "{}", true}};
    decode(CAST_API_PUBLISH, "{}");
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_EQ(
            cast_api_payload(CAST_SPAN("0"), weft_span_of(good[i].b64), &scratch, &data, &json), 0);
        check_span(data, good[i].want);
        CHECK_EQ(json, good[i].json);
    }
    static const char *const bad[] = {
        "!!", "M", "MQ", "MQ=", "MQ===", "MTIz=", "M===", "MQ==MQ==", "=", "MTI=x", "M_-A"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MSG(cast_api_payload(CAST_SPAN("0"), weft_span_of(bad[i]), &scratch, &data, &json) ==
                      -EBADMSG,
            "accepted: %s", bad[i]);
    CHECK_EQ(
        cast_api_payload((struct weft_span){0}, (struct weft_span){0}, &scratch, &data, &json), 0);
    CHECK(data.data == NULL);
    CHECK_EQ(cast_api_payload(CAST_SPAN("{\n}"), (struct weft_span){0}, &scratch, &data, &json), 0);
    check_span(data, "{}");
}

TEST(legacy_request)
{
    struct cast_json j;
    struct cast_api_legacy c;
    decode(CAST_API_PUBLISH, "{}");
    cast_json_init(&j,
        CAST_SPAN("{\"id\":7,\"method\":\"Publish\",\"params\":{\"channel\":\"l\",\"data\":{}}}\n"
                  "{\"method\":6,\"params\":{\"channel\":\"l\"}} {} {\"method\":99}"),
        &scratch);
    CHECK_EQ(cast_api_legacy_next(&j, &c), 1);
    CHECK_EQ(c.id, 7);
    CHECK_EQ(c.method, CAST_API_PUBLISH);
    CHECK_EQ(cast_api_decode(c.method, c.params, &scratch, &r), 0);
    check_span(r.publish.channel, "l");
    CHECK_EQ(cast_api_legacy_next(&j, &c), 1);
    CHECK_EQ(c.method, CAST_API_HISTORY);
    CHECK_EQ(cast_api_legacy_next(&j, &c), 1);
    CHECK_EQ(c.method, CAST_API_PUBLISH);
    CHECK_EQ(cast_api_decode(c.method, c.params, &scratch, &r), -EBADMSG);
    CHECK_EQ(cast_api_legacy_next(&j, &c), 1);
    CHECK_EQ(c.method, CAST_API_NONE);
    CHECK_EQ(cast_api_legacy_next(&j, &c), 0);
    static const char *const bad[] = {"{bad", "{\"method\":\"nope\"}", "{\"method\":\"batch\"}",
        "{\"method\":null}", "{\"id\":-1}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cast_json_init(&j, weft_span_of(bad[i]), &scratch);
        CHECK_EQ(cast_api_legacy_next(&j, &c), -EBADMSG);
    }
}

TEST(method_names)
{
    CHECK_EQ(cast_api_method_find(CAST_SPAN("history_remove")), CAST_API_HISTORY_REMOVE);
    CHECK_EQ(cast_api_method_find(CAST_SPAN("Publish")), CAST_API_NONE);
    CHECK_EQ(cast_api_method_find(CAST_SPAN("")), CAST_API_NONE);
    CHECK_STR(cast_api_method_name(CAST_API_PRESENCE_STATS), "presence_stats");
}

TEST(single_answers)
{
    struct cast_api_frame f = {.shape = CAST_API_SINGLE};
    cast_api_open(&o, &f);
    cast_api_put_publish(&o, 1, CAST_SPAN("QvjZqNSm"));
    cast_api_close(&o, &f);
    is("{\"result\":{\"offset\":1,\"epoch\":\"QvjZqNSm\"}}");
    cast_api_open(&o, &f);
    cast_api_put_publish(&o, 0, (struct weft_span){0});
    cast_api_close(&o, &f);
    is("{\"result\":{}}");
    cast_api_error(&o, &f, cast_api_error_find(102));
    is("{\"error\":{\"code\":102,\"message\":\"unknown channel\"}}");
    cast_api_error_bare(&o, cast_api_error_find(112));
    is("{\"code\":112,\"message\":\"unrecoverable position\"}");
    cast_api_open(&o, &f);
    cast_api_broadcast_open(&o);
    cast_api_broadcast_result(&o, 0, (struct weft_span){0});
    cast_api_broadcast_result(&o, 3, CAST_SPAN("dVNLRoBM"));
    cast_api_broadcast_error(&o, cast_api_error_find(102));
    cast_api_broadcast_close(&o);
    cast_api_close(&o, &f);
    is("{\"result\":{\"responses\":[{\"result\":{}},{\"result\":{\"offset\":3,\"epoch\":"
       "\"dVNLRoBM\"}},"
       "{\"error\":{\"code\":102,\"message\":\"unknown channel\"}}]}}");
    cast_out_fini(&o);
}

TEST(result_bodies)
{
    struct cast_pair tag = {CAST_SPAN("k"), CAST_SPAN("v")};
    struct cast_publication pubs[] = {{.data = CAST_SPAN("{\"v\":1}"),
                                          .offset = 1,
                                          .tags = &tag,
                                          .tag_count = 1,
                                          .epoch = CAST_SPAN("e")},
        {.data = CAST_SPAN("{\"v\":3}"), .offset = 2}};
    struct cast_history_result h = {pubs, 2, CAST_SPAN("dVNLRoBM"), 3};
    cast_api_put_history(&o, &h);
    is("{\"publications\":[{\"data\":{\"v\":1},\"offset\":1,\"tags\":{\"k\":\"v\"}},{\"data\":{"
       "\"v\":3},"
       "\"offset\":2}],\"epoch\":\"dVNLRoBM\",\"offset\":3}");
    struct cast_client_info a = {.user = CAST_SPAN("A"), .client = CAST_SPAN("u1")};
    cast_api_put_presence(&o, &a, 1);
    is("{\"presence\":{\"u1\":{\"user\":\"A\",\"client\":\"u1\"}}}");
    cast_api_put_presence_stats(&o, &(struct cast_presence_stats){0, 0});
    is("{\"num_clients\":0,\"num_users\":0}");
    cast_api_channels_open(&o);
    cast_api_channels_close(&o);
    is("{\"channels\":{}}");
    cast_api_channels_open(&o);
    cast_api_channels_entry(&o, CAST_SPAN("ch"), 1);
    cast_api_channels_entry(&o, CAST_SPAN("a<b"), 0);
    cast_api_channels_close(&o);
    is("{\"channels\":{\"ch\":{\"num_clients\":1},\"a\\u003cb\":{}}}");
    struct cast_api_metric m[] = {
        {CAST_SPAN("centrifugo.node.num_clients"), 0}, {CAST_SPAN("x"), 2.5}};
    struct cast_api_node n = {.uid = CAST_SPAN("u"),
        .name = CAST_SPAN("vm_8100"),
        .version = CAST_SPAN("0.0.0 OSS"),
        .num_clients = 2,
        .num_users = 2,
        .num_channels = 2,
        .uptime_s = 6,
        .metrics_interval_s = 60,
        .metrics = m,
        .metric_count = 2};
    cast_api_put_info(&o, &n, 1);
    is("{\"nodes\":[{\"uid\":\"u\",\"name\":\"vm_8100\",\"version\":\"0.0.0 "
       "OSS\",\"num_clients\":2,"
       "\"num_users\":2,\"num_channels\":2,\"uptime\":6,\"metrics\":{\"interval\":60,\"items\":{"
       "\"centrifugo.node.num_clients\":0,\"x\":2.5}},\"num_subs\":0}]}");
    cast_out_fini(&o);
}

TEST(batch_answers)
{
    cast_api_batch_open(&o, 0);
    cast_api_batch_close(&o, 0);
    is("{}");
    struct cast_api_frame f = {.shape = CAST_API_BATCHED, .method = CAST_API_PUBLISH};
    cast_api_batch_open(&o, 3);
    cast_api_open(&o, &f);
    cast_api_put_empty(&o);
    cast_api_close(&o, &f);
    cast_api_error(&o, &f, cast_api_error_find(102));
    f.method = CAST_API_PRESENCE_STATS;
    cast_api_open(&o, &f);
    cast_api_put_presence_stats(&o, &(struct cast_presence_stats){1, 1});
    cast_api_close(&o, &f);
    cast_api_batch_close(&o, 3);
    is("{\"replies\":[{\"publish\":{}},{\"error\":{\"code\":102,\"message\":\"unknown channel\"}},"
       "{\"presence_stats\":{\"num_clients\":1,\"num_users\":1}}]}");
    cast_out_fini(&o);
}

TEST(legacy_answers)
{
    struct cast_api_frame f = {.shape = CAST_API_LEGACY, .id = 7};
    cast_api_open(&o, &f);
    cast_api_put_publish(&o, 2, CAST_SPAN("e"));
    cast_api_close(&o, &f);
    f.id = 0;
    cast_api_error(&o, &f, cast_api_error_find(107));
    f.id = 9;
    cast_api_error(&o, &f, cast_api_error_find(104));
    is("{\"id\":7,\"result\":{\"offset\":2,\"epoch\":\"e\"}}\n"
       "{\"error\":{\"code\":107,\"message\":\"bad request\"}}\n"
       "{\"id\":9,\"error\":{\"code\":104,\"message\":\"not found\"}}");
    cast_out_fini(&o);
}
