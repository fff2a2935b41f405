// SPDX-License-Identifier: Apache-2.0
/*
 * test_reply.c - replies and pushes, compared byte by byte with those recorded from Centrifugo;
 * string escapes, the buffer, and the code tables.
 */
#include "protocol/reply.h"
#include "test.h"
#include <errno.h>

static struct cast_out o;

static void is(const char *want)
{
    cast_out_char(&o, 0);
    CHECK_EQ(o.err, 0);
    CHECK_STR(o.buf, want);
    cast_out_clear(&o);
}

static const struct cast_client_info anon = {.user = {"", 0}, .client = {"b5f0", 4}};
static const struct cast_client_info u42 = {
    .user = {"42", 2}, .client = {"c1", 2}, .conn_info = {"{\"n\":1}", 7}};

TEST(connect_replies)
{
    struct cast_connect_result r = {
        .client = CAST_SPAN("b5f0"), .version = CAST_SPAN("0.0.0 OSS"), .ping_s = 25, .pong = true};
    cast_reply_connect(&o, 1, &r);
    is("{\"id\":1,\"connect\":{\"client\":\"b5f0\",\"version\":\"0.0.0 "
       "OSS\",\"ping\":25,\"pong\":true}}");
    r.expires = true;
    r.ttl_s = 99998;
    cast_reply_connect(&o, 1, &r);
    is("{\"id\":1,\"connect\":{\"client\":\"b5f0\",\"version\":\"0.0.0 OSS\",\"expires\":true,"
       "\"ttl\":99998,\"ping\":25,\"pong\":true}}");
    struct cast_sub_result subs[] = {
        {.channel = CAST_SPAN("hist:srv"),
            .result = {.recoverable = true, .epoch = CAST_SPAN("LFzwyQfa"), .positioned = true}},
        {.channel = CAST_SPAN("srv")}};
    r.expires = false;
    r.ttl_s = 0;
    r.subs = subs;
    r.sub_count = 2;
    r.data = CAST_SPAN("{\"d\":1}");
    r.session = CAST_SPAN("s");
    r.node = CAST_SPAN("n");
    r.time_ms = 1795438350883;
    cast_reply_connect(&o, 1, &r);
    is("{\"id\":1,\"connect\":{\"client\":\"b5f0\",\"version\":\"0.0.0 OSS\",\"data\":{\"d\":1},"
       "\"subs\":{\"hist:srv\":{\"recoverable\":true,\"epoch\":\"LFzwyQfa\",\"positioned\":true},"
       "\"srv\":{}},\"ping\":25,\"pong\":true,\"session\":\"s\",\"node\":\"n\","
       "\"time\":1795438350883}}");
    cast_out_fini(&o);
}

TEST(subscribe_replies)
{
    struct cast_subscribe_result r = {0};
    cast_reply_subscribe(&o, 2, &r);
    is("{\"id\":2,\"subscribe\":{}}");
    struct cast_publication pubs[] = {{.data = CAST_SPAN("{\"n\":5}"), .info = &anon, .offset = 5},
        {.data = CAST_SPAN("{\"n\":6}"), .offset = 6}};
    r = (struct cast_subscribe_result){.recoverable = true,
        .epoch = CAST_SPAN("KvwpazcF"),
        .publications = pubs,
        .publication_count = 2,
        .recovered = true,
        .offset = 4,
        .positioned = true,
        .was_recovering = true};
    cast_reply_subscribe(&o, 20, &r);
    is("{\"id\":20,\"subscribe\":{\"recoverable\":true,\"epoch\":\"KvwpazcF\",\"publications\":["
       "{\"data\":{\"n\":5},\"info\":{\"user\":\"\",\"client\":\"b5f0\"},\"offset\":5},"
       "{\"data\":{\"n\":6},\"offset\":6}],\"recovered\":true,\"offset\":4,\"positioned\":true,"
       "\"was_recovering\":true}}");
    r = (struct cast_subscribe_result){
        .expires = true, .ttl_s = 8997, .data = CAST_SPAN("{\"d\":1}"), .delta = true};
    cast_reply_subscribe(&o, 2, &r);
    is("{\"id\":2,\"subscribe\":{\"expires\":true,\"ttl\":8997,\"data\":{\"d\":1},\"delta\":true}"
       "}");
    cast_out_fini(&o);
}

TEST(small_replies)
{
    cast_reply_empty(&o, 3, CAST_METHOD_PUBLISH);
    is("{\"id\":3,\"publish\":{}}");
    cast_reply_empty(&o, 4, CAST_METHOD_UNSUBSCRIBE);
    is("{\"id\":4,\"unsubscribe\":{}}");
    cast_reply_refresh(&o, 2, &(struct cast_refresh_result){true, 4997});
    is("{\"id\":2,\"refresh\":{\"expires\":true,\"ttl\":4997}}");
    cast_reply_sub_refresh(&o, 5, &(struct cast_refresh_result){0});
    is("{\"id\":5,\"sub_refresh\":{}}");
    cast_reply_rpc(&o, 14, (struct weft_span){0});
    is("{\"id\":14,\"rpc\":{}}");
    cast_reply_rpc(&o, 14, CAST_SPAN("[1]"));
    is("{\"id\":14,\"rpc\":{\"data\":[1]}}");
    cast_reply_presence_stats(&o, 4, &(struct cast_presence_stats){2, 0});
    is("{\"id\":4,\"presence_stats\":{\"num_clients\":2,\"num_users\":0}}");
    cast_reply_error(&o, 2, cast_error_find(CAST_ERR_PERMISSION_DENIED));
    is("{\"id\":2,\"error\":{\"code\":103,\"message\":\"permission denied\"}}");
    cast_reply_error(&o, 2, cast_error_find(100));
    is("{\"id\":2,\"error\":{\"code\":100,\"message\":\"internal server "
       "error\",\"temporary\":true}}");
    cast_reply_error(&o, 2, &(struct cast_error){1000, true, CAST_SPAN("custom")});
    is("{\"id\":2,\"error\":{\"code\":1000,\"message\":\"custom\",\"temporary\":true}}");
    cast_reply_ping(&o);
    is("{}");
    cast_out_fini(&o);
}

TEST(presence_and_history)
{
    struct cast_client_info infos[] = {u42, anon};
    infos[1].chan_info = CAST_SPAN("{\"c\":1}");
    cast_reply_presence(&o, 3, infos, 2);
    is("{\"id\":3,\"presence\":{\"presence\":{\"c1\":{\"user\":\"42\",\"client\":\"c1\",\"conn_"
       "info\":"
       "{\"n\":1}},\"b5f0\":{\"user\":\"\",\"client\":\"b5f0\",\"chan_info\":{\"c\":1}}}}}");
    cast_reply_presence(&o, 3, NULL, 0);
    is("{\"id\":3,\"presence\":{\"presence\":{}}}");
    struct cast_history_result h = {.epoch = CAST_SPAN("zWHw")};
    cast_reply_history(&o, 5, &h);
    is("{\"id\":5,\"history\":{\"publications\":[],\"epoch\":\"zWHw\",\"offset\":0}}");
    struct cast_publication pubs[] = {
        {.data = CAST_SPAN("1"), .info = &anon, .offset = 1, .epoch = CAST_SPAN("zWHw")},
        {.data = CAST_SPAN("2"), .offset = 2}};
    h = (struct cast_history_result){pubs, 2, CAST_SPAN("zWHw"), 2};
    cast_reply_history(&o, 6, &h);
    is("{\"id\":6,\"history\":{\"publications\":[{\"data\":1,\"info\":{\"user\":\"\",\"client\":"
       "\"b5f0\"},\"offset\":1,\"epoch\":\"zWHw\"},{\"data\":2,\"offset\":2}],\"epoch\":\"zWHw\","
       "\"offset\":2}}");
    cast_out_fini(&o);
}

TEST(publication_pushes)
{
    struct cast_publication p = {.data = CAST_SPAN("{\"a\":1}"), .info = &anon};
    cast_push_publication(&o, CAST_SPAN("ch"), &p);
    is("{\"push\":{\"channel\":\"ch\",\"pub\":{\"data\":{\"a\":1},\"info\":{\"user\":\"\","
       "\"client\":"
       "\"b5f0\"}}}}");
    struct cast_pair tags[] = {{CAST_SPAN("k"), CAST_SPAN("v")}, {CAST_SPAN("t"), CAST_SPAN("")}};
    p = (struct cast_publication){.data = CAST_SPAN("{\"n\":1}"),
        .info = &u42,
        .offset = 1,
        .tags = tags,
        .tag_count = 2,
        .epoch = CAST_SPAN("zWHwUAEJ")};
    cast_push_publication(&o, CAST_SPAN("hist:1"), &p);
    is("{\"push\":{\"channel\":\"hist:1\",\"pub\":{\"data\":{\"n\":1},\"info\":{\"user\":\"42\","
       "\"client\":\"c1\",\"conn_info\":{\"n\":1}},\"offset\":1,\"tags\":{\"k\":\"v\",\"t\":\"\"},"
       "\"epoch\":\"zWHwUAEJ\"}}}");
    p = (struct cast_publication){
        .data = CAST_SPAN("\"d\""), .offset = 2, .delta = true, .version = 7};
    cast_push_publication(&o, CAST_SPAN("d"), &p);
    is("{\"push\":{\"channel\":\"d\",\"pub\":{\"data\":\"d\",\"offset\":2,\"delta\":true,"
       "\"version\":7}}}");
    cast_out_fini(&o);
}

TEST(other_pushes)
{
    cast_push_join(&o, CAST_SPAN("pres:1"), &u42);
    is("{\"push\":{\"channel\":\"pres:1\",\"join\":{\"info\":{\"user\":\"42\",\"client\":\"c1\","
       "\"conn_info\":{\"n\":1}}}}}");
    cast_push_leave(&o, CAST_SPAN("pres:1"), &anon);
    is("{\"push\":{\"channel\":\"pres:1\",\"leave\":{\"info\":{\"user\":\"\",\"client\":\"b5f0\"}}}"
       "}");
    cast_push_unsubscribe(&o, CAST_SPAN("room"), 2000, cast_unsubscribe_reason(2000));
    is("{\"push\":{\"channel\":\"room\",\"unsubscribe\":{\"code\":2000,\"reason\":\"server "
       "unsubscribe\"}}}");
    cast_push_unsubscribe(&o, CAST_SPAN(""), 2501, cast_unsubscribe_reason(2501));
    is("{\"push\":{\"unsubscribe\":{\"code\":2501,\"reason\":\"subscription expired\"}}}");
    struct cast_subscribe_result r = {
        .recoverable = true, .epoch = CAST_SPAN("aJxuwHMZ"), .positioned = true, .offset = 3};
    cast_push_subscribe(&o, CAST_SPAN("srv1"), &r);
    is("{\"push\":{\"channel\":\"srv1\",\"subscribe\":{\"recoverable\":true,\"epoch\":\"aJxuwHMZ\","
       "\"offset\":3,\"positioned\":true}}}");
    r = (struct cast_subscribe_result){.data = CAST_SPAN("{\"d\":1}")};
    cast_push_subscribe(&o, CAST_SPAN("srv2"), &r);
    is("{\"push\":{\"channel\":\"srv2\",\"subscribe\":{\"data\":{\"d\":1}}}}");
    cast_push_refresh(&o, &(struct cast_refresh_result){true, 100});
    is("{\"push\":{\"refresh\":{\"expires\":true,\"ttl\":100}}}");
    cast_push_refresh(&o, &(struct cast_refresh_result){0});
    is("{\"push\":{\"refresh\":{}}}");
    cast_push_disconnect(&o, cast_disconnect_find(3001));
    is("{\"push\":{\"disconnect\":{\"code\":3001,\"reason\":\"shutdown\"}}}");
    cast_push_message(&o, CAST_SPAN("{}"));
    is("{\"push\":{\"message\":{\"data\":{}}}}");
    struct cast_connect_result c = {.client = CAST_SPAN("c"),
        .version = CAST_SPAN("v"),
        .expires = true,
        .ttl_s = 3,
        .ping_s = 25,
        .session = CAST_SPAN("s")};
    cast_push_connect(&o, &c);
    is("{\"push\":{\"connect\":{\"client\":\"c\",\"version\":\"v\",\"expires\":true,\"ttl\":3,"
       "\"ping\":25,\"session\":\"s\"}}}");
    cast_out_fini(&o);
}

TEST(string_escapes)
{
    cast_out_string(&o, CAST_SPAN("a\"b\\c\n\r\t\b\x1f<>&/\x7f"));
    is("\"a\\\"b\\\\c\\n\\r\\t\\u0008\\u001f\\u003c\\u003e\\u0026/\x7f\"");
    cast_out_string(&o, CAST_SPAN("k\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
    is("\"k\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
    cast_out_string(&o, CAST_SPAN("\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa"));
    is("\"\\u2028\\u2029\xe2\x80\xaa\"");
    cast_out_string(&o, CAST_SPAN("\xff\xc3"));
    is("\"\\ufffd\\ufffd\"");
    cast_out_fini(&o);
}

TEST(numbers_written)
{
    cast_out_u64(&o, 0);
    cast_out_char(&o, ' ');
    cast_out_u64(&o, UINT64_MAX);
    cast_out_char(&o, ' ');
    cast_out_i64(&o, INT64_MIN);
    is("0 18446744073709551615 -9223372036854775808");
    cast_out_double(&o, 60);
    cast_out_char(&o, ' ');
    cast_out_double(&o, 0.1);
    cast_out_char(&o, ' ');
    cast_out_double(&o, 1.0 / 0.0);
    is("60 0.1 0");
    cast_out_fini(&o);
}

TEST(fixed_buffer_says_when_full)
{
    char buf[16];
    struct cast_out f;
    cast_out_init_fixed(&f, buf, sizeof(buf));
    cast_reply_empty(&f, 1, CAST_METHOD_PUBLISH);
    CHECK_EQ(f.err, -ENOBUFS);
    CHECK(f.used <= sizeof(buf));
    size_t used = f.used;
    cast_out_char(&f, 'x');
    CHECK_EQ(f.used, used);
    cast_out_clear(&f);
    cast_reply_ping(&f);
    CHECK_EQ(f.err, 0);
    CHECK_EQ(f.used, 2);
    cast_out_fini(&f);
}

TEST(codes)
{
    CHECK(cast_disconnect_reconnects(3005) && cast_disconnect_reconnects(4000));
    CHECK(cast_disconnect_reconnects(5000));
    CHECK(!cast_disconnect_reconnects(3500) && !cast_disconnect_reconnects(4500));
    CHECK(!cast_disconnect_reconnects(1009));
    CHECK(cast_disconnect_find(9) == NULL);
    CHECK(cast_span_eq(cast_disconnect_find(3503)->reason, CAST_SPAN("force disconnect")));
    CHECK_EQ(cast_error_find(999)->code, 100);
    CHECK(cast_error_find(113)->temporary);
    CHECK(cast_span_eq(cast_api_error_find(104)->message, CAST_SPAN("not found")));
    static const struct {
        uint32_t code;
        int status;
    } map[] = {{100, 500}, {102, 404}, {104, 404}, {107, 400}, {108, 400}, {112, 416}, {113, 409},
        {999, 500}};
    for (size_t i = 0; i < sizeof(map) / sizeof(map[0]); i++)
        CHECK_EQ(cast_api_error_status(map[i].code), map[i].status);
}
