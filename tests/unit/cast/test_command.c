// SPDX-License-Identifier: Apache-2.0
/*
 * test_command.c - commands of the client protocol decoded: the recorded ones, what Go's decoder
 * lets pass, and what must be a bad request.
 */
#include "protocol/command.h"
#include "test.h"
#include <errno.h>

static char room[1024];
static struct cast_scratch scratch;
static struct cast_json j;
static struct cast_command cmd;

static void open_message(const char *text)
{
    cast_scratch_fini(&scratch);
    cast_scratch_init(&scratch, room, sizeof(room));
    cast_json_init(&j, weft_span_of(text), &scratch);
}
static int decode(const char *text)
{
    open_message(text);
    return cast_command_next(&j, &cmd);
}
static void check_span(struct weft_span s, const char *want)
{
    CHECK_MSG(cast_span_eq(s, weft_span_of(want)), "got %.*s, want %s", (int)s.len,
        s.data ? s.data : "", want);
}

TEST(connect_plain)
{
    CHECK_EQ(decode("{\"id\":1,\"connect\":{}}"), 1);
    CHECK_EQ(cmd.id, 1);
    CHECK_EQ(cmd.method, CAST_METHOD_CONNECT);
    CHECK(cmd.connect.token.data == NULL && cmd.connect.sub_count == 0);
    CHECK_EQ(cast_command_next(&j, &cmd), 0);
    CHECK_EQ(scratch.used, 0);
}

TEST(connect_full)
{
    CHECK_EQ(
        decode("{\"id\":1,\"connect\":{\"token\":\"t\",\"data\":{\"x\":1},\"name\":\"js\","
               "\"version\":\"1.2\",\"subs\":{\"a\":{},\"plain:b\":{\"recover\":true,\"offset\":"
               "7,\"epoch\":\"e\"},\"c\":null},\"headers\":{\"h\":\"v\"},\"flag\":-3}}"),
        1);
    check_span(cmd.connect.token, "t");
    check_span(cmd.connect.data, "{\"x\":1}");
    check_span(cmd.connect.name, "js");
    check_span(cmd.connect.version, "1.2");
    CHECK_EQ(cmd.connect.sub_count, 3);
    check_span(cmd.connect.subs[0].channel, "a");
    check_span(cmd.connect.subs[1].channel, "plain:b");
    CHECK(cmd.connect.subs[1].request.recover);
    CHECK_EQ(cmd.connect.subs[1].request.offset, 7);
    check_span(cmd.connect.subs[1].request.epoch, "e");
    check_span(cmd.connect.subs[2].channel, "c");
    CHECK_EQ(cmd.connect.headers.count, 1);
    check_span(cmd.connect.headers.items[0].value, "v");
    CHECK_EQ(cmd.connect.flag, -3);
}

TEST(subscribe_full)
{
    CHECK_EQ(
        decode("{\"id\":20,\"subscribe\":{\"channel\":\"hist:r\",\"recover\":true,\"offset\":"
               "18446744073709551615,\"epoch\":\"KvwpazcF\",\"token\":\"T\",\"positioned\":true,"
               "\"recoverable\":true,\"join_leave\":true,\"delta\":\"fossil\",\"tf\":{\"key\":"
               "\"k\",\"cmp\":\"eq\",\"val\":\"1\"},\"type\":1,\"phase\":2,\"limit\":100,"
               "\"cursor\":\"x\",\"asc\":true,\"data\":[1]}}"),
        1);
    CHECK_EQ(cmd.id, 20);
    CHECK_EQ(cmd.method, CAST_METHOD_SUBSCRIBE);
    check_span(cmd.subscribe.channel, "hist:r");
    check_span(cmd.subscribe.epoch, "KvwpazcF");
    check_span(cmd.subscribe.token, "T");
    check_span(cmd.subscribe.delta, "fossil");
    check_span(cmd.subscribe.tf, "{\"key\":\"k\",\"cmp\":\"eq\",\"val\":\"1\"}");
    check_span(cmd.subscribe.data, "[1]");
    CHECK(cmd.subscribe.offset == UINT64_MAX);
    CHECK(cmd.subscribe.recover && cmd.subscribe.positioned && cmd.subscribe.recoverable);
    CHECK(cmd.subscribe.join_leave && cmd.subscribe.asc);
    CHECK_EQ(cmd.subscribe.type, 1);
    CHECK_EQ(cmd.subscribe.phase, 2);
    CHECK_EQ(cmd.subscribe.limit, 100);
    CHECK_EQ(scratch.used, 0);
}

TEST(publish_data_byte_for_byte)
{
    CHECK_EQ(
        decode("{\"id\":3,\"publish\":{\"channel\":\"ch\",\"data\":{\"a\" : 1.50, \"b\":\"\\u00e4"
               "<\"} }}"),
        1);
    check_span(cmd.publish.data, "{\"a\" : 1.50, \"b\":\"\\u00e4<\"}");
    CHECK_EQ(decode("{\"id\":2,\"publish\":{\"channel\":\"ch\",\"data\":null}}"), 1);
    check_span(cmd.publish.data, "null");
    CHECK_EQ(decode("{\"id\":4,\"publish\":{\"channel\":\"ch\"}}"), 1);
    CHECK(cmd.publish.data.data == NULL);
    CHECK_EQ(decode("{\"id\":3,\"publish\":{\"channel\":\"ch\",\"data\":7}}"), 1);
    check_span(cmd.publish.data, "7");
}

TEST(other_methods)
{
    CHECK_EQ(decode("{\"id\":4,\"unsubscribe\":{\"channel\":\"ch\"}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_UNSUBSCRIBE);
    check_span(cmd.unsubscribe.channel, "ch");
    CHECK_EQ(decode("{\"id\":4,\"presence\":{\"channel\":\"p\"}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_PRESENCE);
    CHECK_EQ(decode("{\"id\":4,\"presence_stats\":{\"channel\":\"p\"}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_PRESENCE_STATS);
    CHECK_EQ(
        decode("{\"id\":8,\"history\":{\"channel\":\"h\",\"limit\":-1,\"reverse\":true,\"since\":"
               "{\"offset\":1,\"epoch\":\"wrong\"}}}"),
        1);
    CHECK_EQ(cmd.method, CAST_METHOD_HISTORY);
    CHECK_EQ(cmd.history.limit, -1);
    CHECK(cmd.history.reverse && cmd.history.has_since);
    CHECK_EQ(cmd.history.since.offset, 1);
    check_span(cmd.history.since.epoch, "wrong");
    CHECK_EQ(decode("{\"id\":8,\"history\":{\"channel\":\"h\",\"since\":null}}"), 1);
    CHECK(!cmd.history.has_since);
    CHECK_EQ(decode("{\"id\":2,\"rpc\":{\"method\":\"echo\",\"data\":{}}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_RPC);
    check_span(cmd.rpc.method, "echo");
    CHECK_EQ(decode("{\"send\":{\"data\":{}}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_SEND);
    CHECK(!cast_command_is_pong(&cmd));
    CHECK_EQ(decode("{\"id\":2,\"refresh\":{\"token\":\"t\"}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_REFRESH);
    CHECK_EQ(decode("{\"id\":3,\"sub_refresh\":{\"channel\":\"c\",\"token\":\"t\"}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_SUB_REFRESH);
    check_span(cmd.sub_refresh.channel, "c");
    CHECK_EQ(decode("{\"id\":2,\"ping\":{}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_PING);
}

TEST(pong_and_nothing)
{
    CHECK_EQ(decode("{}"), 1);
    CHECK(cast_command_is_pong(&cmd));
    CHECK_EQ(cmd.method, CAST_METHOD_NONE);
    CHECK_EQ(decode("{\"id\":9}"), 1);
    CHECK(!cast_command_is_pong(&cmd));
    CHECK_EQ(cmd.method, CAST_METHOD_NONE);
    CHECK_EQ(decode("{\"id\":9,\"foo\":{}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_NONE);
    CHECK_EQ(decode("{\"id\":9,\"connect\":null}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_NONE);
    CHECK_EQ(decode("null"), 1);
    CHECK(cast_command_is_pong(&cmd));
    CHECK_EQ(decode(""), 0);
    CHECK_EQ(decode("\n \n"), 0);
}

TEST(several_commands)
{
    open_message("{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"a\"}}\n"
                 "{\"id\":3,\"subscribe\":{\"channel\":\"b\"}}\n");
    for (uint32_t id = 1; id <= 3; id++) {
        CHECK_EQ(cast_command_next(&j, &cmd), 1);
        CHECK_EQ(cmd.id, id);
    }
    check_span(cmd.subscribe.channel, "b");
    CHECK_EQ(cast_command_next(&j, &cmd), 0);
    open_message("{\"id\":2,\"ping\":{}}{\"id\":3,\"ping\":{}}x");
    CHECK_EQ(cast_command_next(&j, &cmd), 1);
    CHECK_EQ(cast_command_next(&j, &cmd), 1);
    CHECK_EQ(cmd.id, 3);
    CHECK_EQ(cast_command_next(&j, &cmd), -EBADMSG);
}

TEST(what_go_lets_pass)
{
    CHECK_EQ(decode("{\"id\":2,\"subscribe\":{\"channel\":\"ch\",\"zzz\":1},\"yyy\":2}"), 1);
    check_span(cmd.subscribe.channel, "ch");
    CHECK_EQ(decode("{\"ID\":2,\"Subscribe\":{\"CHANNEL\":\"ch\",\"Join_Leave\":true}}"), 1);
    CHECK_EQ(cmd.id, 2);
    check_span(cmd.subscribe.channel, "ch");
    CHECK(cmd.subscribe.join_leave);
    CHECK_EQ(
        decode("{\"id\":2,\"subscribe\":{\"channel\":null,\"offset\":null,\"recover\":null}}"), 1);
    CHECK_EQ(cmd.subscribe.channel.len, 0);
    CHECK_EQ(decode("{\"id\":2,\"subscribe\":{\"channel\":\"a\",\"channel\":\"b\"}}"), 1);
    check_span(cmd.subscribe.channel, "b");
    CHECK_EQ(decode("{\"id\":1,\"id\":2,\"\\u0070ing\":{}}"), 1);
    CHECK_EQ(cmd.id, 2);
    CHECK_EQ(cmd.method, CAST_METHOD_PING);
    CHECK_EQ(
        decode("{\"id\":2,\"publish\":{\"channel\":\"x\"},\"subscribe\":{\"channel\":\"y\"}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_SUBSCRIBE);
    check_span(cmd.subscribe.channel, "y");
    CHECK_EQ(
        decode("{\"id\":2,\"subscribe\":{\"channel\":\"y\"},\"publish\":{\"channel\":\"x\"}}"), 1);
    CHECK_EQ(cmd.method, CAST_METHOD_SUBSCRIBE);
    CHECK_EQ(decode("{\"id\":2,\"subscribe\":{\"channel\":\"k\\u00e4n\\n\"}}"), 1);
    check_span(cmd.subscribe.channel, "k\xc3\xa4n\n");
}

TEST(bad_requests)
{
    static const char *const bad[] = {"{bad", "{", "[]", "\"x\"", "7", "tru", "{\"id\":\"1\"}",
        "{\"id\":-1}", "{\"id\":1.5}", "{\"id\":4294967296}", "{\"id\":[]}",
        "{\"id\":1,\"connect\":[]}", "{\"id\":1,\"connect\":\"x\"}", "{\"id\":1,\"ping\":1}",
        "{\"id\":2,\"subscribe\":{\"channel\":5}}", "{\"id\":2,\"subscribe\":{\"channel\":\"a\"}",
        "{\"id\":2,\"subscribe\":{\"recover\":1}}",
        "{\"id\":2,\"subscribe\":{\"recover\":\"true\"}}",
        "{\"id\":2,\"subscribe\":{\"offset\":-1}}",
        "{\"id\":2,\"subscribe\":{\"limit\":2147483648}}", "{\"id\":2,\"history\":{\"since\":1}}",
        "{\"id\":2,\"history\":{\"since\":{\"offset\":\"1\"}}}",
        "{\"id\":1,\"connect\":{\"subs\":[]}}", "{\"id\":1,\"connect\":{\"subs\":{\"a\":1}}}",
        "{\"id\":1,\"connect\":{\"headers\":{\"a\":1}}}",
        "{\"id\":2,\"publish\":{\"channel\":\"a\",\"data\":{\"x\":}}}",
        "{\"id\":2,\"publish\":{\"channel\":\"a\",\"data\":\"\xff\"}}", "{\"id\":2,\"x\":nul}",
        "{\"id\":2,}", "{\"id\" 2}", "{\"id\":nope}", "{\"id\":1,\"subscribe\":{},\"rpc\":[]}",
        "{\"id\":2,\"subscribe\":{\"channel\":nope}}"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MSG(decode(bad[i]) == -EBADMSG, "accepted: %s", bad[i]);
}

TEST(bare_connect)
{
    struct cast_connect r;
    open_message("");
    CHECK_EQ(
        cast_connect_decode(CAST_SPAN("{\"token\":\"x\",\"subs\":{\"ch\":{}}}"), &scratch, &r), 0);
    check_span(r.token, "x");
    CHECK_EQ(r.sub_count, 1);
    CHECK_EQ(cast_connect_decode(CAST_SPAN("{} x"), &scratch, &r), -EBADMSG);
    CHECK_EQ(cast_connect_decode(CAST_SPAN(""), &scratch, &r), -EBADMSG);
}

TEST(payload_line_feeds)
{
    struct weft_span in = CAST_SPAN("{\n \"a\": \"x\\n\"\r\n}"), out;
    open_message("");
    CHECK_EQ(cast_payload_line(in, &scratch, &out), 0);
    check_span(out, "{ \"a\": \"x\\n\"\r}");
    in = CAST_SPAN("{\"a\":1}");
    CHECK_EQ(cast_payload_line(in, &scratch, &out), 0);
    CHECK(out.data == in.data);
    CHECK_EQ(cast_payload_line((struct weft_span){NULL, 0}, &scratch, &out), 0);
    CHECK(out.data == NULL);
}

/* Every prefix of a good message is refused or incomplete, and none reads past its end (ASan). */
TEST(truncations)
{
    const char *text =
        "{\"id\":1,\"connect\":{\"token\":\"a\\u00e4\",\"subs\":{\"x\":{\"offset\":12}},"
        "\"data\":[1,{\"y\":null}],\"headers\":{\"q\":\"z\"}}}";
    for (size_t n = 0; n < strlen(text); n++) {
        char *copy = malloc(n + 1);
        memcpy(copy, text, n);
        open_message("");
        cast_json_init(&j, (struct weft_span){copy, n}, &scratch);
        CHECK_EQ(cast_command_next(&j, &cmd), n ? -EBADMSG : 0);
        free(copy);
    }
}

TEST(method_names)
{
    CHECK_STR(cast_method_name(CAST_METHOD_SUB_REFRESH), "sub_refresh");
    CHECK_STR(cast_method_name(CAST_METHOD_NONE), "");
}
