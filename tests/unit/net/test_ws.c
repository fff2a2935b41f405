// SPDX-License-Identifier: Apache-2.0
/* test_ws.c - WebSockets on fibers: messages and fragments both ways, pings, every way to end, and
 * peers that break the rules. */
#include "ws_rig.h"

/* What the echo server does, and what became of its last connection. */
struct site {
    weft_ws_opts opts;
    bool in_parts;
    weft_mutex order; /* what a test did before it dialled happens-before its handler */
    _Atomic int result, code;
    char reason[128], protocol[64];
    weft_sema ended;
};

static void in_order(struct site *s)
{
    weft_mutex_lock(&s->order);
    weft_mutex_unlock(&s->order);
}

static int echo_parts(weft_ws *ws)
{
    struct weft_ws_message m;
    int rc;
    while ((rc = weft_ws_recv_part(ws, &m)) > 0)
        if ((rc = weft_ws_send_part(ws, m.text, m.data.data, m.data.len, m.last)) < 0)
            break;
    return rc;
}

static int echo_whole(weft_ws *ws)
{
    struct weft_ws_message m;
    int rc;
    while ((rc = weft_ws_recv(ws, &m)) > 0) {
        CHECK(m.first && m.last);
        if ((rc = weft_ws_send(ws, m.text, m.data.data, m.data.len)) < 0)
            break;
    }
    return rc;
}

static int handler(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    struct site *s = arg;
    struct weft_span reason;
    weft_ws *ws;
    (void)reply;
    in_order(s);
    int rc = weft_ws_accept(req, &s->opts, &ws);
    if (rc < 0) {
        s->result = rc;
        return rc;
    }
    CHECK(weft_ws_fd(ws) >= 0);
    snprintf(s->protocol, sizeof s->protocol, "%s", weft_ws_protocol(ws));
    rc = s->in_parts ? echo_parts(ws) : echo_whole(ws);
    s->result = rc;
    s->code = weft_ws_close_code(ws, &reason);
    snprintf(s->reason, sizeof s->reason, "%.*s", (int)reason.len, reason.data);
    if (rc == -ECANCELED)
        s->code = weft_ws_close(ws, WEFT_WS_GOING_AWAY, "stopping");
    weft_ws_free(ws);
    weft_sema_release(&s->ended, 1);
    return rc;
}

struct stage {
    struct site site;
    struct server server;
    char url[200];
    struct peer p;
};

static struct stage *stage_new(const weft_ws_opts *opts)
{
    struct stage *t = calloc(1, sizeof *t);
    if (opts)
        t->site.opts = *opts;
    t->site.opts.size = sizeof t->site.opts;
    weft_sema_init(&t->site.ended, 0, NULL);
    server_start(&t->server, handler, &t->site, NULL);
    snprintf(t->url, sizeof t->url, "ws://%s/any?thing", t->server.address);
    return t;
}

static void stage_free(struct stage *t)
{
    CHECK_EQ(server_stop(&t->server), 0);
    free(t);
}

/* Until the server's side of the last connection has ended. */
static void await_end(struct stage *t)
{
    CHECK_EQ(weft_sema_acquire(&t->site.ended, 1), 0);
}

static weft_ws *dial(struct stage *t, const weft_ws_opts *opts)
{
    weft_ws *ws;
    in_order(&t->site);
    int rc = weft_ws_dial(t->url, opts, &ws);
    CHECK_MSG(rc == 0, "dial: %d", rc);
    return ws;
}

static void expect(weft_ws *ws, bool text, const char *data, size_t bytes)
{
    struct weft_ws_message m;
    CHECK_EQ(weft_ws_recv(ws, &m), 1);
    CHECK_EQ(m.text, text);
    CHECK_EQ(m.data.len, bytes);
    CHECK(bytes == 0 || memcmp(m.data.data, data, bytes) == 0);
}

static char *pattern(size_t n)
{
    char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + i * 31 % 26);
    p[n] = '\0';
    return p;
}

static void echo_sizes(struct stage *t, const weft_ws_opts *opts)
{
    static const size_t sizes[] = {0, 1, 125, 126, 4000, 4095, 4096, 5000, 65535, 65536, 300000};
    weft_ws *ws = dial(t, opts);
    char *data = pattern(300000);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int text = 0; text < 2; text++) {
            CHECK_EQ(weft_ws_send(ws, text, data, sizes[i]), 0);
            expect(ws, text, data, sizes[i]);
        }
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, "bye"), 0);
    CHECK_EQ(weft_ws_close_code(ws, NULL), WEFT_WS_NORMAL);
    CHECK_EQ(weft_ws_send(ws, true, "x", 1), -EPIPE);
    struct weft_ws_message m;
    CHECK_EQ(weft_ws_recv(ws, &m), 0);
    weft_ws_free(ws);
    await_end(t);
    CHECK_EQ(t->site.result, 0);
    CHECK_EQ(t->site.code, WEFT_WS_NORMAL);
    CHECK_STR(t->site.reason, "bye");
    free(data);
}

NET_TEST(echo_of_many_sizes)
{
    struct stage *t = stage_new(NULL);
    echo_sizes(t, NULL);
    stage_free(t);
}

NET_TEST(fragments_both_ways)
{
    weft_ws_opts server = {.fragment_bytes = 1000};
    weft_ws_opts client = {.size = sizeof client, .fragment_bytes = 700};
    struct stage *t = stage_new(&server);
    echo_sizes(t, &client);
    t->site.in_parts = true;
    echo_sizes(t, &client);
    stage_free(t);
}

NET_TEST(messages_bit_by_bit)
{
    struct stage *t = stage_new(NULL);
    weft_ws *ws = dial(t, NULL);
    struct weft_ws_message m;
    char got[64] = "";
    CHECK_EQ(weft_ws_send_part(ws, true, "one ", 4, false), 0);
    CHECK_EQ(weft_ws_ping(ws, "between", 7), 0);
    CHECK_EQ(weft_ws_send_part(ws, true, NULL, 0, false), 0);
    CHECK_EQ(weft_ws_send_part(ws, true, "two", 3, true), 0);
    expect(ws, true, "one two", 7);
    CHECK_EQ(weft_ws_pongs(ws), 1);
    CHECK_EQ(weft_ws_send(ws, false, "whole", 5), 0);
    do {
        CHECK_EQ(weft_ws_recv_part(ws, &m), 1);
        strncat(got, m.data.data, m.data.len);
    } while (!m.last);
    CHECK_STR(got, "whole");
    CHECK_EQ(weft_ws_ping(ws, got, 126), -EINVAL);
    CHECK_EQ(weft_ws_close(ws, 1005, NULL), -EINVAL);
    CHECK_EQ(weft_ws_close(ws, 4000, NULL), 0);
    weft_ws_free(ws);
    await_end(t);
    CHECK_EQ(t->site.code, 4000);
    stage_free(t);
}

/* ---- a peer that sends frames as it likes ---- */

static void raw_open(struct stage *t)
{
    in_order(&t->site);
    raw_upgrade(&t->p, t->server.address);
}

/* Reads to the end; the last frame must be a close with this code. */
static void raw_expect_close(struct stage *t, int code)
{
    CHECK_EQ(raw_close_code(&t->p), code);
    await_end(t);
}

NET_TEST(breaches_are_answered_with_their_code)
{
    weft_ws_opts o = {.message_max = 100};
    struct stage *t = stage_new(&o);
    static const struct {
        unsigned first;
        const char *payload;
        size_t bytes;
        int code, result;
    } bad[] = {
        {0x81, "\xff\xfe", 2, 1007, -EILSEQ},
        {0x81, "abc\xe2\x82", 5, 1007, -EILSEQ}, /* cut in a character */
        {0xc1, "rsv", 3, 1002, -EPROTO},
        {0x83, "opcode", 6, 1002, -EPROTO},
        {0x80, "no message", 10, 1002, -EPROTO},
        {0x09, "fragmented ping", 15, 1002, -EPROTO},
        {0x88, "x", 1, 1002, -EPROTO},
        {0x88, "\x03\xed", 2, 1002, -EPROTO}, /* 1005 may not travel */
        {0x82,
            "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234"
            "5678901234567890123456",
            107, 1009, -EMSGSIZE},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        raw_open(t);
        frame(&t->p, 0x82, "fine", 4);
        peer_until(&t->p, "\x82\x04"
                          "fine");
        frame(&t->p, bad[i].first, bad[i].payload, bad[i].bytes);
        raw_expect_close(t, bad[i].code);
        CHECK_EQ(t->site.result, bad[i].result);
        CHECK_EQ(t->site.code, bad[i].code);
    }
    raw_open(t); /* not masked */
    CHECK_EQ(weft_write_all(t->p.fd, "\x81\x01x", 3), 3);
    raw_expect_close(t, 1002);
    raw_open(t); /* too big over its fragments, with a lot more on its way */
    for (int i = 0; i < 30; i++)
        frame(&t->p, i ? 0x00 : 0x01, "0123456789", 10);
    raw_expect_close(t, 1009);
    stage_free(t);
}

NET_TEST(raw_ping_close_and_vanishing)
{
    struct stage *t = stage_new(NULL);
    raw_open(t);
    frame(&t->p, 0x01, "half ", 5);
    frame(&t->p, 0x89, "are you there", 13);
    peer_until(&t->p, "\x8a\x0d"
                      "are you there");
    frame(&t->p, 0x8a, "unasked", 7);
    frame(&t->p, 0x80, "whole", 5);
    peer_until(&t->p, "\x81\x0a"
                      "half whole");
    frame(&t->p, 0x88, "\x03\xe8reason", 8);
    raw_expect_close(t, 1000);
    CHECK_STR(t->site.reason, "reason");
    raw_open(t);
    frame(&t->p, 0x88, NULL, 0);
    raw_expect_close(t, WEFT_WS_NO_CODE);
    CHECK_EQ(t->site.code, WEFT_WS_NO_CODE);
    CHECK_EQ(t->site.result, 0);
    raw_open(t);
    frame(&t->p, 0x01, "half ", 5);
    weft_close(t->p.fd);
    await_end(t);
    CHECK_EQ(t->site.result, -ECONNRESET);
    CHECK_EQ(t->site.code, WEFT_WS_ABNORMAL);
    stage_free(t);
}

NET_TEST(what_comes_with_the_request_is_not_lost)
{
    struct stage *t = stage_new(NULL);
    char text[512];
    size_t n = (size_t)snprintf(text, sizeof text, "%s\r\n", upgrade);
    memcpy(text + n, "\x81\x85\0\0\0\0early\x88\x80\0\0\0\0", 17);
    peer_dial(&t->p, t->server.address);
    CHECK_EQ(weft_write_all(t->p.fd, text, n + 17), n + 17);
    peer_until(&t->p, "\r\n\r\n\x81\x05"
                      "early");
    raw_expect_close(t, WEFT_WS_NO_CODE);
    stage_free(t);
}

/* ---- the request's head behind weft_ws_accept ---- */

static bool head_is_whole(const weft_http_request *req)
{
    const struct weft_http1_head *h = weft_http_request_head(req);
    return weft_http_request_is(req, "GET", "/room/7") && weft_span_is(h->query, "who=me") &&
           weft_span_is(h->host, "h") && h->field_count == 6 &&
           weft_span_is(weft_http_request_field(req, "X-Last"), "one");
}

static int read_head_late(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    struct weft_ws_message m;
    weft_ws *ws;
    (void)reply, (void)arg;
    int rc = weft_ws_accept(req, NULL, &ws);
    if (rc < 0)
        return rc;
    CHECK(head_is_whole(req));
    for (int i = 0; i < 3; i++) {
        CHECK_EQ(weft_ws_recv(ws, &m), 1);
        CHECK_EQ(weft_ws_send(ws, m.text, m.data.data, m.data.len), 0);
        CHECK(head_is_whole(req));
    }
    weft_ws_free(ws);
    CHECK(head_is_whole(req));
    weft_panic("the handler's");
}

static void keep_line(void *arg, int level, const char *text)
{
    (void)level;
    snprintf(arg, 256, "%s", text);
}

NET_TEST(the_head_outlives_the_take_over)
{
    struct server s;
    struct peer *p = calloc(1, sizeof *p);
    char line[256] = "", *data = pattern(120);
    weft_set_log(keep_line, line);
    server_start(&s, read_head_late, NULL, NULL);
    peer_dial(p, s.address);
    peer_send(p, "GET /room/7?who=me HTTP/1.1\r\n");
    peer_send(p, strchr(upgrade, '\n') + 1);
    peer_send(p, "X-Last: one\r\n\r\n");
    peer_until(p, "\r\n\r\n");
    for (int i = 0; i < 3; i++) {
        frame(p, 0x81, data, 120);
        peer_until(p, data);
    }
    peer_end(p);
    CHECK_EQ(server_stop(&s), 0);
    CHECK_HAS(line, "the handler of GET /room/7 panicked: the handler's");
    weft_set_log(NULL, NULL);
    free(data);
    free(p);
}

NET_TEST(requests_that_are_refused)
{
    static const char *const origins[] = {"http://good", "https://also.good", NULL};
    static const char *const protocols[] = {"v2", "v1", NULL};
    weft_ws_opts o = {.origins = origins, .protocols = protocols};
    struct stage *t = stage_new(&o);
    char request[600];
    CHECK_HAS(
        peer_talk(&t->p, t->server.address, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"), "HTTP/1.1 4");
    CHECK_EQ(t->site.result, -EPROTO);
    CHECK_HAS(peer_talk(&t->p, t->server.address,
                  "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                  "Sec-WebSocket-Version: 12\r\n"
                  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"),
        "HTTP/1.1 426 ");
    CHECK_HAS(t->p.text, "Sec-WebSocket-Version: 13\r\n");
    snprintf(request, sizeof request, "%sOrigin: http://evil\r\n\r\n", upgrade);
    CHECK_HAS(peer_talk(&t->p, t->server.address, request), "HTTP/1.1 403 ");
    CHECK_EQ(t->site.result, -EACCES);

    weft_http_field evil[] = {{"Origin", "http://evil"}}, good[] = {{"Origin", "HTTP://GOOD"}};
    static const char *const offer[] = {"v0", "v1", NULL};
    weft_ws_opts c = {.size = sizeof c, .fields = evil, .field_count = 1, .protocols = offer};
    weft_ws *ws;
    CHECK_EQ(weft_ws_dial(t->url, &c, &ws), -ECONNREFUSED);
    weft_error *e = weft_error_take(-ECONNREFUSED);
    CHECK_HAS(weft_error_message(e), "403 Forbidden");
    weft_error_free(e);
    c.fields = good;
    ws = dial(t, &c);
    CHECK_STR(weft_ws_protocol(ws), "v1");
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, NULL), 0);
    weft_ws_free(ws);
    await_end(t);
    CHECK_STR(t->site.protocol, "v1");
    weft_ws_free(NULL);
    stage_free(t);
}

NET_TEST(wrong_dials)
{
    weft_ws *ws;
    CHECK_EQ(weft_ws_dial("wss://127.0.0.1/", NULL, &ws), -EPROTONOSUPPORT);
    weft_error *e = weft_error_take(-EPROTONOSUPPORT);
    CHECK_HAS(weft_error_message(e), "wss:// needs TLS");
    weft_error_free(e);
    CHECK_EQ(weft_ws_dial("http://127.0.0.1/", NULL, &ws), -EPROTONOSUPPORT);
    CHECK_EQ(weft_ws_dial("ws:127.0.0.1", NULL, &ws), -EINVAL);
    CHECK_EQ(weft_ws_dial("ws://127.0.0.1/", &(weft_ws_opts){.size = 1}, &ws), -EINVAL);
}

/* ---- several fibers on one WebSocket ---- */

enum { WRITERS = 8, EACH = 40 };

struct writer {
    weft_ws *ws;
    char letter;
};

static int write_many(void *p)
{
    struct writer *w = p;
    char data[5000];
    memset(data, w->letter, sizeof data);
    for (int i = 0; i < EACH; i++) {
        size_t n = 1 + (size_t)i * 97 % sizeof data;
        if (i % 4 == 0)
            CHECK_EQ(weft_ws_ping(w->ws, data, n % 125), 0);
        if (i % 3 == 0) {
            CHECK_EQ(weft_ws_send_part(w->ws, true, data, n / 2, false), 0);
            weft_yield();
            CHECK_EQ(weft_ws_send_part(w->ws, true, data, n - n / 2, true), 0);
        } else {
            CHECK_EQ(weft_ws_send(w->ws, true, data, n), 0);
        }
    }
    return 0;
}

NET_TEST(writers_are_serialised_while_one_reads)
{
    weft_ws_opts o = {.size = sizeof o, .fragment_bytes = 900};
    struct stage *t = stage_new(&o);
    weft_ws *ws = dial(t, &o);
    struct weft_ws_message m;
    WEFT_SCOPE(s);
    for (int i = 0; i < WRITERS; i++)
        CHECK_EQ(weft_go_copy(&s, write_many, ((struct writer){ws, (char)('a' + i)})), 0);
    for (int i = 0; i < WRITERS * EACH; i++) {
        CHECK_EQ(weft_ws_recv(ws, &m), 1);
        for (size_t k = 1; k < m.data.len; k++)
            CHECK_EQ(m.data.data[k], m.data.data[0]); /* one writer's only */
    }
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, NULL), 0);
    CHECK(weft_ws_pongs(ws) > 0);
    weft_ws_free(ws);
    await_end(t);
    CHECK_EQ(t->site.result, 0);
    stage_free(t);
}

static int read_to_end(void *p)
{
    struct weft_ws_message m;
    int rc;
    while ((rc = weft_ws_recv(p, &m)) > 0) {
    }
    return rc;
}

NET_TEST(closing_while_another_fiber_receives)
{
    struct stage *t = stage_new(NULL);
    weft_ws *ws = dial(t, NULL);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, read_to_end, ws), 0);
    CHECK_EQ(weft_ws_send(ws, true, "x", 1), 0);
    while (weft_ws_pongs(ws) == 0) { /* the receiver is at work */
        CHECK_EQ(weft_ws_ping(ws, NULL, 0), 0);
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    }
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, "done"), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, NULL), 0); /* once more does nothing */
    weft_ws_free(ws);
    stage_free(t);
}

NET_TEST(the_server_stops)
{
    struct stage *t = stage_new(NULL);
    weft_ws *ws = dial(t, NULL);
    struct weft_ws_message m;
    struct weft_span reason;
    CHECK_EQ(weft_ws_send(ws, true, "x", 1), 0);
    expect(ws, true, "x", 1);
    weft_ctx_cancel(t->server.ctx);
    CHECK_EQ(weft_ws_recv(ws, &m), 0); /* told at once, not when the drain is over */
    CHECK_EQ(weft_ws_close_code(ws, &reason), WEFT_WS_GOING_AWAY);
    CHECK(weft_span_is(reason, "stopping"));
    weft_ws_free(ws);
    await_end(t);
    CHECK_EQ(t->site.result, -ECANCELED);
    CHECK_EQ(t->site.code, 0); /* of weft_ws_close */
    stage_free(t);
}

NET_TEST(a_context_ends_a_receive_and_nothing_is_lost)
{
    struct stage *t = stage_new(NULL);
    struct weft_ws_message m;
    weft_ws *ws = dial(t, NULL);
    {
        WEFT_TIMEOUT(limit, 3 * WEFT_MS);
        CHECK_EQ(weft_ws_recv(ws, &m), -ETIMEDOUT);
    }
    CHECK_EQ(weft_ws_send(ws, true, "still", 5), 0);
    expect(ws, true, "still", 5);
    {
        WEFT_SCOPE(s);
        weft_scope_cancel(&s);
        CHECK_EQ(weft_ws_send(ws, true, "lost", 4), -ECANCELED);
        CHECK_EQ(weft_ws_recv(ws, &m), -ECANCELED);
        CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, NULL), 0); /* closing runs its course */
    }
    weft_ws_free(ws);
    await_end(t);
    CHECK_EQ(t->site.result, 0);
    stage_free(t);
}

/* ---- peers that do not answer ---- */

NET_TEST(a_silent_peer_is_given_up)
{
    weft_ws_opts o = {.ping_interval_ns = 300 * WEFT_MS};
    struct stage *t = stage_new(&o);
    raw_open(t);
    for (int i = 0; i < 2; i++) { /* a sign of life, and it is asked again */
        while (t->p.len < 2)
            CHECK(peer_more(&t->p));
        CHECK(memcmp(t->p.text, "\x89", 2) == 0);
        t->p.len = 0;
        if (i == 0)
            frame(&t->p, 0x8a, NULL, 0);
    }
    peer_end(&t->p);
    await_end(t);
    CHECK_EQ(t->site.result, -ETIMEDOUT);
    CHECK_EQ(t->site.code, WEFT_WS_ABNORMAL);
    stage_free(t);
}

static int silent(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    weft_ws *ws;
    (void)reply;
    int rc = weft_ws_accept(req, NULL, &ws);
    if (rc == 0)
        rc = weft_sema_acquire(arg, 1);
    if (rc == 0)
        weft_ws_free(ws);
    return rc;
}

NET_TEST(a_close_that_is_not_answered)
{
    struct server s;
    weft_sema leave;
    char url[200];
    weft_ws_opts o = {.size = sizeof o, .close_timeout_ns = 10 * WEFT_MS};
    weft_ws *ws;
    weft_sema_init(&leave, 0, NULL);
    server_start(&s, silent, &leave, NULL);
    snprintf(url, sizeof url, "ws://%s", s.address);
    CHECK_EQ(weft_ws_dial(url, &o, &ws), 0);
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, NULL), -ETIMEDOUT);
    weft_ws_free(ws);
    CHECK_EQ(weft_ws_dial(url, &o, &ws), 0);
    WEFT_SCOPE(scope, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&scope, read_to_end, ws), 0);
    /* Whichever of the two comes to receive first: both are told. */
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, NULL), -ETIMEDOUT);
    CHECK(weft_wait(&scope) < 0);
    weft_ws_free(ws);
    weft_sema_release(&leave, 2);
    CHECK_EQ(server_stop(&s), 0);
}

NET_TEST(a_peer_that_takes_nothing)
{
    struct server s;
    weft_sema leave;
    char url[200], *big = pattern(32 << 20);
    weft_ws_opts o = {.size = sizeof o, .write_timeout_ns = 20 * WEFT_MS};
    weft_ws *ws;
    weft_sema_init(&leave, 0, NULL);
    server_start(&s, silent, &leave, NULL);
    snprintf(url, sizeof url, "ws://%s", s.address);
    CHECK_EQ(weft_ws_dial(url, &o, &ws), 0);
    CHECK_EQ(weft_ws_send(ws, true, big, 32 << 20), -ETIMEDOUT);
    CHECK_EQ(weft_ws_send(ws, true, "x", 1), -EPIPE); /* in the middle of a frame */
    CHECK_EQ(weft_ws_close(ws, WEFT_WS_NORMAL, NULL), -EPIPE);
    weft_ws_free(ws);
    free(big);
    weft_sema_release(&leave, 1);
    CHECK_EQ(server_stop(&s), 0);
}
