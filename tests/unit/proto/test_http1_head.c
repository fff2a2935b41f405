// SPDX-License-Identifier: Apache-2.0
/*
 * test_http1_head.c - heads: what is understood, what is refused and with which status, limits, and
 * that no cut of the input changes any of it.
 */
#include "proto_test.h"

#include <weft/http1.h>

#include <errno.h>

enum kind { REQ, RESP, TRAIL };

static void init(struct weft_http1_head *h, enum kind kind, const struct weft_http1_limits *limits)
{
    if (kind == REQ)
        weft_http1_request_init(h, limits);
    else if (kind == RESP)
        weft_http1_response_init(h, limits, WEFT_HTTP1_GET);
    else
        weft_http1_trailer_init(h, limits);
}

/* Feeds text in two steps, cut at `cut`, from blocks of exactly that size; a third time after. */
static ssize_t feed_cut(struct weft_http1_head *h, struct weft_span text, size_t cut, char **keep)
{
    char *part = exact(text.data, cut), *all = exact(text.data, text.len);
    ssize_t n = weft_http1_head_parse(h, part, cut);
    if (n == -EAGAIN)
        n = weft_http1_head_parse(h, all, text.len);
    else if (n > 0)
        CHECK_EQ(weft_http1_head_parse(h, all, text.len), n);
    free(part);
    *keep = all;
    return n;
}

static ssize_t feed_bytes(struct weft_http1_head *h, struct weft_span text, char **keep)
{
    char *block = exact(text.data, 0);
    for (size_t len = 1; len <= text.len; len++) {
        free(block);
        block = exact(text.data, len);
        ssize_t n = weft_http1_head_parse(h, block, len);
        if (n != -EAGAIN || len == text.len) {
            *keep = block;
            return n;
        }
    }
    *keep = block;
    return -EAGAIN;
}

static bool same_span(struct weft_span a, struct weft_span b)
{
    return !a.data == !b.data && a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

static void check_same(const struct weft_http1_head *a, const struct weft_http1_head *b)
{
    CHECK_EQ(a->method, b->method);
    CHECK_EQ(a->minor, b->minor);
    CHECK_EQ(a->code, b->code);
    CHECK_EQ(a->framing, b->framing);
    CHECK_EQ(a->content_length, b->content_length);
    CHECK_EQ(a->keep_alive, b->keep_alive);
    CHECK_EQ(a->upgrade, b->upgrade);
    CHECK_EQ(a->expect_continue, b->expect_continue);
    CHECK_EQ(a->field_count, b->field_count);
    CHECK(same_span(a->method_name, b->method_name));
    CHECK(same_span(a->target, b->target));
    CHECK(same_span(a->path, b->path));
    CHECK(same_span(a->query, b->query));
    CHECK(same_span(a->host, b->host));
    CHECK(same_span(a->reason, b->reason));
    for (size_t i = 0; i < a->field_count; i++) {
        struct weft_span an, av, bn, bv;
        CHECK(weft_http1_field_at(a, i, &an, &av) && weft_http1_field_at(b, i, &bn, &bv));
        CHECK(same_span(an, bn) && same_span(av, bv));
    }
}

/* Parses whole; then byte by byte and with every cut in two, and demands the same. The block that
 * the result points into is returned, to be freed. */
static char *parse(struct weft_http1_head *h, enum kind kind, struct weft_span text,
    const struct weft_http1_limits *limits, ssize_t *ret_n)
{
    char *whole = exact(text.data, text.len), *keep;
    init(h, kind, limits);
    ssize_t n = weft_http1_head_parse(h, whole, text.len);
    for (size_t cut = 0; cut <= text.len; cut++) {
        struct weft_http1_head other;
        init(&other, kind, limits);
        ssize_t m = cut ? feed_cut(&other, text, cut, &keep) : feed_bytes(&other, text, &keep);
        CHECK_MSG(m == n, "cut at %zu: %zd, whole %zd, of:\n%s", cut, m, n, text.data);
        if (n > 0)
            check_same(h, &other);
        if (n < 0 && n != -EAGAIN) {
            CHECK_EQ(other.status, h->status);
            CHECK_STR(other.problem, h->problem);
        }
        free(keep);
    }
    *ret_n = n;
    return whole;
}

static void check_refused(
    enum kind kind, struct weft_span text, const struct weft_http1_limits *limits, int status)
{
    struct weft_http1_head h;
    ssize_t n;
    char *block = parse(&h, kind, text, limits, &n);
    CHECK_MSG(n < 0 && n != -EAGAIN, "accepted (%zd):\n%s", n, text.data);
    CHECK_MSG(
        h.status == status, "status %d, want %d (%s):\n%s", h.status, status, h.problem, text.data);
    CHECK(h.problem && *h.problem);
    CHECK_EQ(weft_http1_head_parse(&h, block, text.len), n); /* errors stick */
    free(block);
}

#define HEAD11 "GET / HTTP/1.1\r\nHost: a\r\n"

TEST(request_of_a_browser)
{
    struct weft_span text = LIT("GET /connection/websocket?x=1&y=%20 HTTP/1.1\r\n"
                                "Host: example.org:8000\r\n"
                                "Connection: keep-alive, Upgrade\r\n"
                                "Pragma: no-cache\r\n"
                                "User-Agent:Mozilla/5.0 (X11; Linux x86_64)  \t\r\n"
                                "Upgrade: websocket\r\n"
                                "Empty:\r\n"
                                "X-Utf8: gr\xc3\xbc\xc3\x9f\tdich\r\n"
                                "Cookie: a=b; c=d\r\n"
                                "\r\nrest");
    struct weft_http1_head h;
    ssize_t n;
    char *block = parse(&h, REQ, text, NULL, &n);
    CHECK_EQ(n, (ssize_t)text.len - 4);
    CHECK_EQ(h.method, WEFT_HTTP1_GET);
    CHECK_SPAN(h.method_name, "GET");
    CHECK_SPAN(h.target, "/connection/websocket?x=1&y=%20");
    CHECK_SPAN(h.path, "/connection/websocket");
    CHECK_SPAN(h.query, "x=1&y=%20");
    CHECK_SPAN(h.host, "example.org:8000");
    CHECK_EQ(h.minor, 1);
    CHECK_EQ(h.framing, WEFT_HTTP1_NO_BODY);
    CHECK(h.keep_alive && h.upgrade && !h.expect_continue);
    CHECK_EQ(h.field_count, 8);
    CHECK_SPAN(weft_http1_field_get(&h, "user-AGENT"), "Mozilla/5.0 (X11; Linux x86_64)");
    CHECK_SPAN(weft_http1_field_get(&h, "empty"), "");
    CHECK_SPAN(weft_http1_field_get(&h, "x-utf8"), "gr\xc3\xbc\xc3\x9f\tdich");
    CHECK(weft_http1_field_get(&h, "absent").data == NULL);
    CHECK(weft_http1_field_has_token(&h, "Connection", "upgrade"));
    CHECK(!weft_http1_field_has_token(&h, "Connection", "close"));
    CHECK(!weft_http1_field_at(&h, 8, NULL, NULL));
    CHECK(h.target.data >= block && h.target.data < block + text.len); /* zero copy */
    free(block);
}

TEST(methods_and_targets)
{
    static const struct {
        const char *line;
        enum weft_http1_method method;
        const char *path, *query, *host;
    } good[] = {
        {"GET / HTTP/1.1", WEFT_HTTP1_GET, "/", NULL, "h"},
        {"HEAD /? HTTP/1.1", WEFT_HTTP1_HEAD, "/", "", "h"},
        {"POST /a?b?c HTTP/1.1", WEFT_HTTP1_POST, "/a", "b?c", "h"},
        {"PUT //x HTTP/1.1", WEFT_HTTP1_PUT, "//x", NULL, "h"},
        {"DELETE /%2e HTTP/1.1", WEFT_HTTP1_DELETE, "/%2e", NULL, "h"},
        {"OPTIONS * HTTP/1.1", WEFT_HTTP1_OPTIONS, "*", NULL, "h"},
        {"TRACE / HTTP/1.9", WEFT_HTTP1_TRACE, "/", NULL, "h"},
        {"PATCH /{\"|\"} HTTP/1.1", WEFT_HTTP1_PATCH, "/{\"|\"}", NULL, "h"},
        {"get / HTTP/1.1", WEFT_HTTP1_OTHER, "/", NULL, "h"},
        {"M-SEARCH / HTTP/1.1", WEFT_HTTP1_OTHER, "/", NULL, "h"},
        {"GET http://b.example:80/p?q HTTP/1.1", WEFT_HTTP1_GET, "/p", "q", "b.example:80"},
        {"GET HTTPS://b.example HTTP/1.1", WEFT_HTTP1_GET, "/", NULL, "b.example"},
        {"GET http://[::1]?q HTTP/1.1", WEFT_HTTP1_GET, "/", "q", "[::1]"},
        {"CONNECT b.example:443 HTTP/1.1", WEFT_HTTP1_CONNECT, NULL, NULL, "b.example:443"},
        {"GET /\xc3\xa9 HTTP/1.1", WEFT_HTTP1_GET, "/\xc3\xa9", NULL, "h"},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[256];
        struct weft_http1_head h;
        ssize_t n;
        snprintf(text, sizeof text, "%s\r\nhOST:h\r\n\r\n", good[i].line);
        char *block = parse(&h, REQ, weft_span_of(text), NULL, &n);
        CHECK_MSG(n == (ssize_t)strlen(text), "%s: %s", good[i].line, h.problem);
        CHECK_EQ(h.method, good[i].method);
        CHECK(same_span(h.path, weft_span_of(good[i].path)));
        CHECK(same_span(h.query, weft_span_of(good[i].query)));
        CHECK_SPAN(h.host, good[i].host);
        free(block);
    }
}

TEST(empty_lines_before_a_request)
{
    struct weft_http1_head h;
    ssize_t n;
    char *block = parse(&h, REQ, LIT("\r\n\r\n" HEAD11 "\r\n"), NULL, &n);
    CHECK_EQ(n, 4 + (ssize_t)sizeof(HEAD11 "\r\n") - 1);
    free(block);
    struct weft_http1_limits tight = {.size = sizeof tight, .head_bytes = 32};
    check_refused(REQ, LIT("\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n"),
        &tight, 431);
}

TEST(request_lines_refused)
{
    static const struct {
        const char *line;
        int status;
    } bad[] = {
        {" GET / HTTP/1.1", 400},
        {"GET  / HTTP/1.1", 400},
        {"GET / HTTP/1.1 ", 400},
        {"GET /  HTTP/1.1", 400},
        {"GET\t/ HTTP/1.1", 400},
        {"GET /a\tb HTTP/1.1", 400},
        {"GET /a b HTTP/1.1", 400},
        {"GET /a#b HTTP/1.1", 400},
        {"GET /\x7f HTTP/1.1", 400},
        {"GET / HTTP/1.1x", 400},
        {"GET / HTTP/1", 400},
        {"GET / HTTP/11", 400},
        {"GET / http/1.1", 400},
        {"GET / HTTP/1.10", 400},
        {"GET / HTTP/x.1", 400},
        {"GET /", 400},
        {"GET", 400},
        {"G(T / HTTP/1.1", 400},
        {"GET nowhere HTTP/1.1", 400},
        {"GET * HTTP/1.1", 400},
        {"GET ftp://a/ HTTP/1.1", 400},
        {"GET http:///x HTTP/1.1", 400},
        {"GET http:// HTTP/1.1", 400},
        {"GET http://u@a/ HTTP/1.1", 400},
        {"GET http://u:p@a/ HTTP/1.1", 400},
        {"CONNECT /a:1 HTTP/1.1", 400},
        {"CONNECT a HTTP/1.1", 400},
        {"CONNECT a:1/x HTTP/1.1", 400},
        {"GET / HTTP/0.9", 505},
        {"GET / HTTP/2.0", 505},
        {"PRI * HTTP/2.0", 505},
        {"GET / HTTP/9.9", 505},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        snprintf(text, sizeof text, "%s\r\nHost: h\r\n\r\n", bad[i].line);
        check_refused(REQ, weft_span_of(text), NULL, bad[i].status);
    }
    check_refused(REQ, LIT("\x16\x03\x01\x02"), NULL, 400); /* a TLS client on the wrong port */
}

/* Each of these has been a way to make two servers see two different requests. */
TEST(smuggling_refused)
{
    static const struct weft_span bad[] = {
        LIT(HEAD11 "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 5, 6\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 5, 5\r\n\r\n"),
        LIT(HEAD11 "Content-Length: +5\r\n\r\n"),
        LIT(HEAD11 "Content-Length: -5\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 0x5\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 5 5\r\n\r\n"),
        LIT(HEAD11 "Content-Length: \r\n\r\n"),
        LIT(HEAD11 "Content-Length: 5;\r\n\r\n"),
        LIT(HEAD11 "Content-Length: \"5\"\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 9223372036854775808\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 18446744073709551621\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 99999999999999999999999\r\n\r\n"),
        LIT(HEAD11 "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding:\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding : chunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding\t: chunked\r\n\r\n"),
        LIT(HEAD11 " Transfer-Encoding: chunked\r\n\r\n"),
        LIT(HEAD11 "\tTransfer-Encoding: chunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: \x0b"
                   "chunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: chunked\r\n\tfoo\r\n\r\n"),
        LIT(HEAD11 "X: a\r\n Transfer-Encoding: chunked\r\n\r\n"),
        LIT(HEAD11 "X: a\rTransfer-Encoding: chunked\r\n\r\n"),
        LIT(HEAD11 "X: a\nTransfer-Encoding: chunked\r\n\r\n"),
        LIT(HEAD11 "X: a\0b\r\n\r\n"),
        LIT(HEAD11 "X\0: b\r\n\r\n"),
        LIT(HEAD11 "X: \x7f\r\n\r\n"),
        LIT(HEAD11 "X: a\r\r\n\r\n"),
        LIT(HEAD11 ": a\r\n\r\n"),
        LIT(HEAD11 "X\r\n\r\n"),
        LIT(HEAD11 "X Y: a\r\n\r\n"),
        LIT(HEAD11 "X\xc3\xa9: a\r\n\r\n"),
        LIT(HEAD11 "\r\r\n"),
        LIT(HEAD11 "\n"),
        LIT("GET / HTTP/1.1\nHost: a\n\n"),
        LIT("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"),
        LIT("GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        LIT("GET / HTTP/1.1\r\n\r\n"),
        LIT("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        LIT("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        LIT("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"),
        LIT("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        LIT("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        LIT("GET / HTTP/1.1\r\nHost: u@b\r\n\r\n"),
        LIT("GET http://a/ HTTP/1.1\r\n\r\n"),
        LIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(REQ, bad[i], NULL, 400);
    static const struct weft_span unknown[] = {
        LIT(HEAD11 "Transfer-Encoding: gzip\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: chunked, chunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: chunked, identity\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: xchunked\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: chunked;q=1\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: \"chunked\"\r\n\r\n"),
        LIT(HEAD11 "Transfer-Encoding: , chunked\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        check_refused(REQ, unknown[i], NULL, 501);
}

TEST(framing_of_requests)
{
    static const struct {
        const char *fields;
        enum weft_http1_framing framing;
        uint64_t length;
    } good[] = {
        {"", WEFT_HTTP1_NO_BODY, 0},
        {"Content-Length: 0\r\n", WEFT_HTTP1_LENGTH, 0},
        {"Content-Length:42\r\n", WEFT_HTTP1_LENGTH, 42},
        {"Content-Length: 0042 \r\n", WEFT_HTTP1_LENGTH, 42},
        {"content-length: 7\r\nCONTENT-LENGTH: 7\r\n", WEFT_HTTP1_LENGTH, 7},
        {"Transfer-Encoding: chunked\r\n", WEFT_HTTP1_CHUNKED, 0},
        {"transfer-encoding:\tChunKed \r\n", WEFT_HTTP1_CHUNKED, 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char text[256];
        struct weft_http1_head h;
        ssize_t n;
        snprintf(text, sizeof text, "POST / HTTP/1.1\r\nHost: a\r\n%s\r\n", good[i].fields);
        char *block = parse(&h, REQ, weft_span_of(text), NULL, &n);
        CHECK_EQ(n, (ssize_t)strlen(text));
        CHECK_EQ(h.framing, good[i].framing);
        CHECK_EQ(h.content_length, good[i].length);
        free(block);
    }
    struct weft_http1_limits tight = {.size = sizeof tight, .body_bytes = 41};
    check_refused(REQ, LIT(HEAD11 "Content-Length: 42\r\n\r\n"), &tight, 413);
}

TEST(keep_alive_upgrade_expect)
{
    static const struct {
        const char *text;
        bool keep_alive, upgrade, expect;
    } cases[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false, false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE ,y\r\n\r\n", false, false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n", false,
            false, false},
        {"GET / HTTP/1.0\r\n\r\n", false, false, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", true, true,
            false},
        {"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\n\r\n", true, false, false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", true, false, false},
        {"GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", false, false, false},
        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-Continue\r\n\r\n", true,
            false, true},
        {"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n", true,
            false, false},
        {"PUT / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", false, false,
            false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_http1_head h;
        ssize_t n;
        char *block = parse(&h, REQ, weft_span_of(cases[i].text), NULL, &n);
        CHECK_MSG(n > 0, "%s: %s", cases[i].text, h.problem);
        CHECK_EQ(h.keep_alive, cases[i].keep_alive);
        CHECK_EQ(h.upgrade, cases[i].upgrade);
        CHECK_EQ(h.expect_continue, cases[i].expect);
        free(block);
    }
    check_refused(REQ, LIT(HEAD11 "Expect: 200-ok\r\n\r\n"), NULL, 417);
}

TEST(limits_hold_to_the_byte)
{
    struct weft_http1_limits l = {.size = sizeof l};
    struct weft_http1_head h;
    ssize_t n;
    struct weft_span text = LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    l.line_bytes = 14;
    free(parse(&h, REQ, text, &l, &n));
    CHECK_EQ(n, (ssize_t)text.len);
    l.line_bytes = 13;
    check_refused(REQ, text, &l, 414);
    l.line_bytes = 100;
    l.head_bytes = text.len;
    free(parse(&h, REQ, text, &l, &n));
    CHECK_EQ(n, (ssize_t)text.len);
    for (l.head_bytes = 1; l.head_bytes < text.len; l.head_bytes++)
        check_refused(REQ, text, &l, 431);
    l.head_bytes = 0;
    l.line_bytes = 20;
    check_refused(REQ, LIT("GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaa\r\n\r\n"), &l, 431);
    check_refused(REQ, LIT("GET / HTTP/1.1\r\nHost: aaaaaaaaaaaaaaaaaaaa"), &l, 431);
    check_refused(REQ, LIT("GET /aaaaaaaaaaaaaaaaaaaaaa"), &l, 414);
    l = (struct weft_http1_limits){.size = sizeof l,
        .line_bytes = SIZE_MAX,
        .head_bytes = SIZE_MAX,
        .fields = SIZE_MAX,
        .body_bytes = UINT64_MAX}; /* as far as it can be told, no limits */
    free(parse(&h, REQ, text, &l, &n));
    CHECK_EQ(n, (ssize_t)text.len);
    l = (struct weft_http1_limits){.size = sizeof l, .fields = 1};
    free(parse(&h, REQ, text, &l, &n));
    CHECK_EQ(n, (ssize_t)text.len);
    check_refused(REQ, LIT(HEAD11 "A: b\r\n\r\n"), &l, 431);
}

TEST(field_count_is_bounded_by_the_table)
{
    char text[8192];
    struct weft_http1_head h;
    for (int fields = WEFT_HTTP1_FIELDS_MAX; fields <= WEFT_HTTP1_FIELDS_MAX + 1; fields++) {
        size_t len = (size_t)snprintf(text, sizeof text, HEAD11);
        for (int i = 1; i < fields; i++)
            len += (size_t)snprintf(text + len, sizeof text - len, "X-%d: %d\r\n", i, i);
        len += (size_t)snprintf(text + len, sizeof text - len, "\r\n");
        weft_http1_request_init(&h, NULL);
        ssize_t n = weft_http1_head_parse(&h, text, len);
        CHECK_EQ(n, fields > WEFT_HTTP1_FIELDS_MAX ? -EMSGSIZE : (ssize_t)len);
    }
    CHECK_EQ(h.status, 431);
}

TEST(limits_struct_may_be_shorter_than_ours)
{
    struct weft_http1_limits l = {
        .size = offsetof(struct weft_http1_limits, fields), .line_bytes = 13, .fields = 1};
    struct weft_http1_head h;
    weft_http1_request_init(&h, &l);
    CHECK_EQ(h.limits.line_bytes, 13);
    CHECK_EQ(h.limits.fields, WEFT_HTTP1_FIELDS_MAX); /* not read */
}

TEST(responses)
{
    static const struct {
        const char *text;
        enum weft_http1_method asked;
        int code;
        const char *reason;
        enum weft_http1_framing framing;
        bool keep_alive;
    } good[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", WEFT_HTTP1_GET, 200, "OK",
            WEFT_HTTP1_LENGTH, true},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n", WEFT_HTTP1_GET, 200, "",
            WEFT_HTTP1_CHUNKED, true},
        {"HTTP/1.1 404\r\n\r\n", WEFT_HTTP1_GET, 404, "", WEFT_HTTP1_UNTIL_CLOSE, false},
        {"HTTP/1.0 200 Fine \xc3\xa9 day\r\n\r\n", WEFT_HTTP1_GET, 200, "Fine \xc3\xa9 day",
            WEFT_HTTP1_UNTIL_CLOSE, false},
        {"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", WEFT_HTTP1_HEAD, 200, "OK",
            WEFT_HTTP1_NO_BODY, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", WEFT_HTTP1_GET, 204, "No Content", WEFT_HTTP1_NO_BODY,
            true},
        {"HTTP/1.1 304 N\r\nContent-Length: 9\r\n\r\n", WEFT_HTTP1_GET, 304, "N",
            WEFT_HTTP1_NO_BODY, true},
        {"HTTP/1.1 100 Continue\r\n\r\n", WEFT_HTTP1_POST, 100, "Continue", WEFT_HTTP1_NO_BODY,
            true},
        {"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", WEFT_HTTP1_GET, 101, "Go",
            WEFT_HTTP1_NO_BODY, false},
        {"HTTP/1.1 200 OK\r\n\r\n", WEFT_HTTP1_CONNECT, 200, "OK", WEFT_HTTP1_NO_BODY, false},
        {"HTTP/1.1 200 OK\r\nHost: a\r\nHost: b\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
            WEFT_HTTP1_GET, 200, "OK", WEFT_HTTP1_LENGTH, false},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct weft_http1_head h;
        weft_http1_response_init(&h, NULL, good[i].asked);
        ssize_t n = weft_http1_head_parse(&h, good[i].text, strlen(good[i].text));
        CHECK_MSG(n == (ssize_t)strlen(good[i].text), "%s: %s", good[i].text, h.problem);
        CHECK_EQ(h.code, good[i].code);
        CHECK_SPAN(h.reason, good[i].reason);
        CHECK_EQ(h.framing, good[i].framing);
        CHECK_EQ(h.keep_alive, good[i].keep_alive);
        free(parse(&h, RESP, weft_span_of(good[i].text), NULL, &n));
    }
    static const char *const bad[] = {"\r\nHTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1  200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n", "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1\t200 OK\r\n\r\n", "HTTP/1.1 200\tOK\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 200 O\x01K\r\n\r\n", "ICY 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check_refused(RESP, weft_span_of(bad[i]), NULL, 502);
}

TEST(trailers)
{
    struct weft_http1_head h;
    ssize_t n;
    char *block = parse(&h, TRAIL, LIT("Digest: abc\r\nX:\r\n\r\nGET"), NULL, &n);
    CHECK_EQ(n, 19);
    CHECK_SPAN(weft_http1_field_get(&h, "digest"), "abc");
    free(block);
    block = parse(&h, TRAIL, LIT("\r\n"), NULL, &n);
    CHECK_EQ(n, 2);
    free(block);
    check_refused(TRAIL, LIT("Content-Length: 1\r\n\r\n"), NULL, 400);
    check_refused(TRAIL, LIT("Host: a\r\n\r\n"), NULL, 400);
    check_refused(TRAIL, LIT("Transfer-Encoding: chunked\r\n\r\n"), NULL, 400);
    check_refused(TRAIL, LIT("no colon\r\n\r\n"), NULL, 400);
}

/* Good heads with a few bytes changed at random: whatever the verdict, no cut may change it. */
TEST(random_changes_and_cuts_agree)
{
    static const struct weft_span seeds[] = {
        LIT(HEAD11 "Content-Length: 10\r\nA: b\r\n\r\n0123456789"),
        LIT("POST /a?b=c HTTP/1.1\r\nHost: x.y:1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        LIT("GET http://a.b/c HTTP/1.0\r\nConnection: keep-alive, upgrade\r\nUpgrade: u\r\n\r\n")};
    static const char alphabet[] = "\r\n\r\n \t:,;/?#%aZ09\0\x7f\x80\xff";
    uint64_t rng = rnd_start();
    for (int round = 0; round < 600; round++) {
        struct weft_span seed = seeds[rnd_below(&rng, sizeof seeds / sizeof *seeds)];
        char text[256];
        memcpy(text, seed.data, seed.len);
        for (size_t changes = rnd_below(&rng, 3) + 1; changes > 0; changes--)
            text[rnd_below(&rng, seed.len)] = alphabet[rnd_below(&rng, sizeof alphabet - 1)];
        struct weft_http1_head h;
        ssize_t n;
        free(parse(&h, REQ, (struct weft_span){text, seed.len}, NULL, &n));
        CHECK(n != 0 && n <= (ssize_t)seed.len);
    }
}
