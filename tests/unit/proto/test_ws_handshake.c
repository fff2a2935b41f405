// SPDX-License-Identifier: Apache-2.0
/*
 * test_ws_handshake.c - the opening handshake of both sides: accepted, refused with the right
 * status, and our client against our server.
 */
#include "proto_test.h"

#include <weft/wsproto.h>

#include <errno.h>

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static int check_request(const char *text, struct weft_http1_head *h, struct weft_ws_upgrade *up)
{
    weft_http1_request_init(h, NULL);
    ssize_t n = weft_http1_head_parse(h, text, strlen(text));
    CHECK_MSG(n == (ssize_t)strlen(text), "%s: %s", text, h->problem);
    return weft_ws_upgrade_check(h, up);
}

TEST(accept_keys)
{
    char out[WEFT_WS_ACCEPT_BYTES], key[WEFT_WS_KEY_BYTES];
    CHECK_EQ(weft_ws_accept_key(weft_span_of(KEY), out), 0);
    CHECK_SPAN(((struct weft_span){out, sizeof out}), ACCEPT);
    weft_ws_key_encode((const uint8_t *)"the sample nonce", key);
    CHECK_SPAN(((struct weft_span){key, sizeof key}), KEY);
    static const char *const bad[] = {"",
        "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ===", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZ!==", "dGhlIHNhbXBsZSBub25j=Q==", "dGhlIHNhbXBsZSBub25j ===",
        "dGhlIHNhbXBsZSBub25jZQ=A", "AAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_EQ(weft_ws_accept_key(weft_span_of(bad[i]), out), -EINVAL);
    CHECK_EQ(weft_ws_accept_key((struct weft_span){NULL, 0}, out), -EINVAL);
}

/* base64 against a table of RFC 4648's kind: every byte value in every place survives. */
TEST(keys_of_all_nonces_are_keys)
{
    uint64_t rng = rnd_start();
    char out[WEFT_WS_ACCEPT_BYTES], key[WEFT_WS_KEY_BYTES];
    for (int i = 0; i < 5000; i++) {
        uint8_t nonce[16];
        for (size_t k = 0; k < sizeof nonce; k++)
            nonce[k] = (uint8_t)rnd(&rng);
        weft_ws_key_encode(nonce, key);
        CHECK_EQ(weft_ws_accept_key((struct weft_span){key, sizeof key}, out), 0);
        CHECK_EQ(out[27], '=');
    }
}

#define START "GET /chat HTTP/1.1\r\nHost: server.example.com\r\n"
#define UPGRADE "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define REST "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 13\r\n\r\n"

TEST(example_of_the_rfc)
{
    struct weft_http1_head h;
    struct weft_ws_upgrade up;
    char out[256];
    static const char *const supported[] = {"superchat", "chat", NULL}, *const none[] = {"x", NULL};
    CHECK_EQ(check_request(START UPGRADE "Origin: http://example.com\r\n"
                                         "Sec-WebSocket-Protocol: chat, superchat\r\n" REST,
                 &h, &up),
        0);
    CHECK_SPAN(up.key, KEY);
    CHECK_SPAN(up.origin, "http://example.com");
    CHECK_SPAN(up.protocols, "chat, superchat");
    struct weft_span chosen = weft_ws_protocol_choose(&h, supported);
    CHECK_SPAN(chosen, "chat"); /* the client's order */
    CHECK(weft_ws_protocol_choose(&h, none).data == NULL);
    CHECK(weft_ws_protocol_choose(&h, NULL).data == NULL);
    static const char want[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                               "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n"
                               "Sec-WebSocket-Protocol: chat\r\n\r\n";
    ssize_t n = weft_ws_upgrade_accept(&up, chosen, out, sizeof out);
    CHECK_SPAN(((struct weft_span){out, (size_t)n}), want);
    CHECK(n <= 160 + 4);
    CHECK_EQ(weft_ws_upgrade_accept(&up, chosen, out, (size_t)n - 1), -ENOBUFS);
    CHECK_EQ(weft_ws_upgrade_accept(&up, LIT("a\r\nX: y"), out, sizeof out), -EINVAL);
}

TEST(requests_accepted)
{
    static const char *const good[] = {START UPGRADE REST,
        START "upgrade: WebSocket\r\nconnection: keep-alive, Upgrade\r\n" REST,
        START "Upgrade: h2c, websocket\r\nConnection: upgrade\r\n" REST,
        START UPGRADE "Content-Length: 0\r\n" REST,
        START UPGRADE "Sec-WebSocket-Extensions: permessage-deflate\r\n" REST};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct weft_http1_head h;
        struct weft_ws_upgrade up;
        CHECK_MSG(check_request(good[i], &h, &up) == 0, "%s: %s", good[i], up.problem);
        CHECK(up.origin.data == NULL && up.protocols.data == NULL);
    }
}

TEST(requests_refused)
{
    static const struct {
        const char *text;
        int status;
        const char *field;
    } bad[] = {
        {"POST / HTTP/1.1\r\nHost: a\r\n" UPGRADE REST, 405, "\r\nAllow: GET\r\n"},
        {START REST, 426, "\r\nUpgrade: websocket\r\n"},
        {START "Upgrade: websocket\r\n" REST, 426, "\r\nSec-WebSocket-Version: 13\r\n"},
        {START "Connection: Upgrade\r\n" REST, 426, "\r\nConnection: close, Upgrade\r\n"},
        {START "Upgrade: h2c\r\nConnection: Upgrade\r\n" REST, 426, "426 Upgrade Required\r\n"},
        {"GET / HTTP/1.0\r\nHost: a\r\n" UPGRADE REST, 426, "\r\nUpgrade: websocket\r\n"},
        {START UPGRADE "Sec-WebSocket-Key: " KEY "\r\nSec-WebSocket-Version: 8\r\n\r\n", 426,
            "\r\nSec-WebSocket-Version: 13\r\n"},
        {START UPGRADE "Sec-WebSocket-Key: " KEY "\r\n\r\n", 426,
            "\r\nSec-WebSocket-Version: 13\r\n"},
        {START UPGRADE "Sec-WebSocket-Version: 8\r\n" REST, 426,
            "\r\nSec-WebSocket-Version: 13\r\n"},
        {START UPGRADE "Sec-WebSocket-Version: 13\r\n\r\n", 400, "400 Bad Request"},
        {START UPGRADE "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n", 400, ""},
        {START UPGRADE "Sec-WebSocket-Key: " KEY "\r\n" REST, 400, ""},
        {START UPGRADE "Content-Length: 1\r\n" REST, 400, ""},
        {START UPGRADE "Transfer-Encoding: chunked\r\n" REST, 400, ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct weft_http1_head h, answer;
        struct weft_ws_upgrade up;
        char out[513] = {0};
        CHECK_MSG(check_request(bad[i].text, &h, &up) == -EPROTO, "accepted: %s", bad[i].text);
        CHECK_EQ(up.status, bad[i].status);
        ssize_t n = weft_ws_upgrade_refuse(&up, out, 512);
        CHECK(n > 0 && strstr(out, bad[i].field));
        weft_http1_response_init(&answer, NULL, WEFT_HTTP1_GET);
        ssize_t head = weft_http1_head_parse(&answer, out, (size_t)n);
        CHECK_EQ(answer.code, bad[i].status);
        CHECK_EQ(head + (ssize_t)answer.content_length, n);
        CHECK(!answer.keep_alive);
        for (size_t cap = 0; cap < (size_t)n; cap++)
            CHECK_EQ(weft_ws_upgrade_refuse(&up, out, cap), -ENOBUFS);
    }
}

TEST(protocols_over_several_fields)
{
    struct weft_http1_head h;
    struct weft_ws_upgrade up;
    static const char *const supported[] = {"b", NULL};
    CHECK_EQ(check_request(START UPGRADE "Sec-WebSocket-Protocol: a\r\n"
                                         "Sec-WebSocket-Protocol: B, b\r\n" REST,
                 &h, &up),
        0);
    CHECK_SPAN(weft_ws_protocol_choose(&h, supported), "b");
}

static int check_response(const char *fields, int code, const char *offer, struct weft_span *ret)
{
    char text[1024];
    struct weft_http1_head h;
    snprintf(text, sizeof text, "HTTP/1.1 %d X\r\n%s\r\n", code, fields);
    weft_http1_response_init(&h, NULL, WEFT_HTTP1_GET);
    CHECK(weft_http1_head_parse(&h, text, strlen(text)) > 0);
    int rc = weft_ws_response_check(&h, KEY, weft_span_of(offer), ret);
    if (rc == 0 && ret && ret->data)
        ret->data = strstr(offer, "chat"); /* text is gone after this */
    return rc;
}

TEST(responses)
{
    struct weft_span p;
    static const char fine[] = UPGRADE "Sec-WebSocket-Accept: " ACCEPT "\r\n";
    CHECK_EQ(check_response(fine, 101, NULL, &p), 0);
    CHECK(p.data == NULL);
    CHECK_EQ(check_response(fine, 101, "chat", &p), 0); /* the server may choose none */
    CHECK_EQ(check_response(fine, 200, NULL, &p), -ECONNREFUSED);
    CHECK_EQ(check_response("", 401, NULL, &p), -ECONNREFUSED);
    CHECK_EQ(check_response(UPGRADE "Sec-WebSocket-Accept: " ACCEPT
                                    "\r\nSec-WebSocket-Protocol: chat\r\n",
                 101, "x, chat", &p),
        0);
    CHECK_SPAN(p, "chat");
    static const char *const bad[] = {
        UPGRADE,
        UPGRADE "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
        UPGRADE "Sec-WebSocket-Accept: " ACCEPT "x\r\n",
        UPGRADE "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Accept: " ACCEPT "\r\n",
        "Upgrade: websocket\r\nSec-WebSocket-Accept: " ACCEPT "\r\n",
        "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n",
        "Connection: Upgrade\r\nUpgrade: x\r\nSec-WebSocket-Accept: " ACCEPT "\r\n",
        UPGRADE "Sec-WebSocket-Accept: " ACCEPT
                "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n",
        UPGRADE "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: other\r\n",
        UPGRADE "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: CHAT\r\n",
        UPGRADE "Sec-WebSocket-Accept: " ACCEPT
                "\r\nSec-WebSocket-Protocol: chat\r\nSec-WebSocket-Protocol: chat\r\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(check_response(bad[i], 101, "chat", &p) == -EPROTO, "accepted: %s", bad[i]);
}

TEST(our_client_and_our_server)
{
    char request[512], response[256], key[WEFT_WS_KEY_BYTES];
    struct weft_http1_writer w;
    struct weft_http1_head req, resp;
    struct weft_ws_upgrade up;
    struct weft_span chosen;
    static const char *const supported[] = {"centrifuge-json", NULL};
    struct weft_span offer = LIT("centrifuge-protobuf, centrifuge-json");
    weft_ws_key_encode((const uint8_t *)"0123456789abcdef", key);
    weft_ws_request_begin(
        &w, request, sizeof request, LIT("/c?x=1"), LIT("127.0.0.1:8000"), key, offer);
    weft_http1_write_text(&w, "Origin", "http://localhost");
    ssize_t n = weft_http1_write_end(&w);
    CHECK(n > 0);
    weft_http1_request_init(&req, NULL);
    CHECK_EQ(weft_http1_head_parse(&req, request, (size_t)n), n);
    CHECK_EQ(weft_ws_upgrade_check(&req, &up), 0);
    n = weft_ws_upgrade_accept(
        &up, weft_ws_protocol_choose(&req, supported), response, sizeof response);
    CHECK(n > 0);
    weft_http1_response_init(&resp, NULL, WEFT_HTTP1_GET);
    CHECK_EQ(weft_http1_head_parse(&resp, response, (size_t)n), n);
    CHECK_EQ(weft_ws_response_check(&resp, key, offer, &chosen), 0);
    CHECK_SPAN(chosen, "centrifuge-json");
    CHECK(!resp.keep_alive && resp.framing == WEFT_HTTP1_NO_BODY);
}
