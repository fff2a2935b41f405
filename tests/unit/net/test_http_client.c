// SPDX-License-Identifier: Apache-2.0
/* test_http_client.c - the HTTP client: bodies both ways, the pool, dead connections, redirects,
 * ends by the context; against our server, and against peers that misbehave. */
#include "net_rig.h"

static struct weft_span whole(weft_http_response *r)
{
    struct weft_span b;
    CHECK_EQ(weft_http_response_body(r, 0, &b), 0);
    return b;
}

static int redirect(weft_http_reply *reply, int code, const char *to)
{
    CHECK_EQ(weft_http_reply_field(reply, "Location", to), 0);
    return weft_http_reply_text(reply, code, "look elsewhere\n");
}

/* Tells how it was asked: "METHOD authorization body". */
static int describe(weft_http_request *req, weft_http_reply *reply)
{
    const struct weft_http1_head *h = weft_http_request_head(req);
    struct weft_span body, auth = weft_http_request_field(req, "Authorization");
    char text[256];
    int rc = weft_http_request_body(req, 0, &body);
    if (rc < 0)
        return rc;
    snprintf(text, sizeof text, "%.*s [%.*s] %.*s", (int)h->method_name.len, h->method_name.data,
        (int)auth.len, auth.data ? auth.data : "", (int)body.len, body.data);
    return weft_http_reply_text(reply, 200, text);
}

static int echo(weft_http_request *req, weft_http_reply *reply)
{
    char buf[3000];
    ssize_t n;
    while ((n = weft_http_request_read(req, buf, sizeof buf)) > 0)
        if ((n = weft_http_reply_write(reply, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static _Atomic int connections;

static int handler(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    char peer[128];
    const char *other = arg;
    if (weft_http_request_is(req, NULL, "/peer")) { /* which connection was it? */
        CHECK(weft_peer_addr(weft_http_request_fd(req), peer, sizeof peer) > 0);
        return weft_http_reply_text(reply, 200, peer);
    }
    if (weft_http_request_is(req, NULL, "/echo"))
        return echo(req, reply);
    if (weft_http_request_is(req, NULL, "/describe"))
        return describe(req, reply);
    if (weft_http_request_is(req, NULL, "/hang"))
        return weft_sleep(INT64_MAX);
    if (weft_http_request_is(req, NULL, "/big")) {
        char block[1000];
        memset(block, 'b', sizeof block);
        for (int i = 0; i < 100; i++)
            if (weft_http_reply_write(reply, block, sizeof block) < 0)
                return -EPIPE;
        return 0;
    }
    if (weft_http_request_is(req, NULL, "/refuse"))
        return weft_http_reply_text(reply, 403, "not wanted\n");
    if (weft_http_request_is(req, NULL, "/301"))
        return redirect(reply, 301, "/describe");
    if (weft_http_request_is(req, NULL, "/307"))
        return redirect(reply, 307, "describe?x");
    if (weft_http_request_is(req, NULL, "/away"))
        return redirect(reply, 302, other);
    if (weft_http_request_is(req, NULL, "/tls"))
        return redirect(reply, 302, "https://127.0.0.1/");
    if (weft_http_request_is(req, NULL, "/loop"))
        return redirect(reply, 302, "/loop");
    return weft_http_reply_text(reply, 404, "nothing here\n");
}

static weft_http_client *new_client(const weft_http_client_opts *opts)
{
    weft_http_client *c;
    CHECK_EQ(weft_http_client_new(opts, &c), 0);
    return c;
}

/* A call by method and path; the response, or the error as its negative. */
static int ask(weft_http_client *c, const struct server *s, const char *method, const char *path,
    const char *body, weft_http_response **ret_response)
{
    char url[256];
    snprintf(url, sizeof url, "%s%s", s->url, path);
    weft_http_call call = {.size = sizeof call,
        .method = method,
        .url = url,
        .body = body,
        .body_bytes = body ? strlen(body) : 0};
    return weft_http_do(c, &call, ret_response);
}

/* A GET whose body is text. */
static void expect(weft_http_client *c, const struct server *s, const char *path, const char *text)
{
    weft_http_response *r;
    CHECK_EQ(ask(c, s, "GET", path, NULL, &r), 0);
    CHECK_STR(whole(r).data, text);
    weft_http_response_close(r);
}

NET_TEST(simple_calls)
{
    struct server s;
    weft_http_response *r;
    char url[256];
    server_start(&s, handler, NULL, NULL);
    snprintf(url, sizeof url, "%s/nowhere#part", s.url);
    CHECK_EQ(weft_http_get(url, &r), 0);
    CHECK_EQ(weft_http_response_status(r), 404);
    CHECK(weft_span_is(weft_http_response_field(r, "content-type"), "text/plain; charset=utf-8"));
    CHECK(weft_http_response_head(r)->keep_alive);
    CHECK_STR(whole(r).data, "nothing here\n");
    struct weft_span again;
    CHECK_EQ(weft_http_response_body(r, 0, &again), -EALREADY);
    weft_http_response_close(r);
    weft_http_response_close(NULL);

    CHECK_EQ(ask(NULL, &s, "HEAD", "/echo", NULL, &r), 0);
    CHECK_EQ(whole(r).len, 0);
    weft_http_response_close(r);
    CHECK_EQ(ask(NULL, &s, "POST", "/describe", "posted", &r), 0);
    CHECK_STR(whole(r).data, "POST [] posted");
    weft_http_response_close(r);
    CHECK_EQ(ask(NULL, &s, "PUT", "/describe", NULL, &r), 0);
    CHECK_STR(whole(r).data, "PUT [] ");
    weft_http_response_close(r);
    weft_http_client_close_idle(NULL);
    CHECK_EQ(server_stop(&s), 0);
}

struct source {
    size_t left, step;
    int error;
};

static ssize_t produce(void *arg, void *buf, size_t bytes)
{
    struct source *s = arg;
    size_t n = s->left < s->step ? s->left : s->step;
    if (n == 0)
        return s->error;
    n = n < bytes ? n : bytes;
    memset(buf, 's', n);
    s->left -= n;
    return (ssize_t)n;
}

static size_t drain(weft_http_response *r, char of)
{
    char buf[777];
    size_t total = 0;
    ssize_t n;
    while ((n = weft_http_response_read(r, buf, sizeof buf)) > 0) {
        for (ssize_t i = 0; i < n; i++)
            CHECK_EQ(buf[i], of);
        total += (size_t)n;
    }
    CHECK_EQ(n, 0);
    return total;
}

NET_TEST(streams_up_and_down)
{
    struct server s;
    weft_http_serve_opts o = {.limits = {.size = sizeof o.limits, .body_bytes = UINT64_MAX}};
    weft_http_response *r;
    char url[256];
    server_start(&s, handler, NULL, &o);
    weft_http_client *c = new_client(NULL);
    snprintf(url, sizeof url, "%s/echo", s.url);
    for (int known = 0; known < 2; known++) {
        struct source from = {.left = 50000, .step = 9999};
        weft_http_call call = {.size = sizeof call,
            .method = "POST",
            .url = url,
            .body_read = produce,
            .body_arg = &from,
            .body_length = known ? 50000 : 0};
        CHECK_EQ(weft_http_do(c, &call, &r), 0);
        CHECK_EQ(drain(r, 's'), 50000);
        weft_http_response_close(r);
    }
    struct source bad = {.left = 10, .step = 10, .error = -EDOM};
    weft_http_call call = {
        .size = sizeof call, .method = "POST", .url = url, .body_read = produce, .body_arg = &bad};
    CHECK_EQ(weft_http_do(c, &call, &r), -EDOM);
    struct source shorter = {.left = 10, .step = 10};
    call.body_arg = &shorter;
    call.body_length = 20;
    CHECK_EQ(weft_http_do(c, &call, &r), -EIO);
    CHECK_EQ(ask(c, &s, "GET", "/big", NULL, &r), 0);
    CHECK_EQ(drain(r, 'b'), 100000);
    weft_http_response_close(r);
    weft_http_client_free(c);
    CHECK_EQ(server_stop(&s), 0);
}

NET_TEST(connections_are_kept)
{
    struct server s;
    weft_http_response *r;
    char first[128];
    server_start(&s, handler, NULL, NULL);
    weft_http_client *c = new_client(NULL);
    CHECK_EQ(ask(c, &s, "GET", "/peer", NULL, &r), 0);
    snprintf(first, sizeof first, "%s", whole(r).data);
    weft_http_response_close(r);
    for (int i = 0; i < 5; i++)
        expect(c, &s, "/peer", first);
    /* One whose body was not read to its end is not. */
    CHECK_EQ(ask(c, &s, "GET", "/big", NULL, &r), 0);
    char byte;
    CHECK_EQ(weft_http_response_read(r, &byte, 1), 1);
    weft_http_response_close(r);
    CHECK_EQ(ask(c, &s, "GET", "/peer", NULL, &r), 0);
    CHECK(strcmp(whole(r).data, first) != 0);
    weft_http_response_close(r);
    weft_http_client_close_idle(c);
    weft_http_client_free(c);
    CHECK_EQ(server_stop(&s), 0);
}

NET_TEST(kept_connections_expire)
{
    struct server s;
    weft_http_client_opts o = {.size = sizeof o, .idle_timeout_ns = 1};
    weft_http_response *r;
    char first[128];
    server_start(&s, handler, NULL, NULL);
    weft_http_client *c = new_client(&o);
    CHECK_EQ(ask(c, &s, "GET", "/peer", NULL, &r), 0);
    snprintf(first, sizeof first, "%s", whole(r).data);
    weft_http_response_close(r);
    CHECK_EQ(ask(c, &s, "GET", "/peer", NULL, &r), 0);
    CHECK(strcmp(whole(r).data, first) != 0);
    weft_http_response_close(r);
    weft_http_client_free(c);
    CHECK_EQ(server_stop(&s), 0);
}

/* ---- a server that goes by a script: one connection after the other ---- */

struct script {
    int ln, requests_seen;
    char url[160];
    const char *const *answers; /* NULL: close after the next request; ends with "end" */
};

static int script_fiber(void *p)
{
    struct script *s = p;
    int fd = -1;
    struct peer *peer = calloc(1, sizeof *peer);
    for (; !*s->answers || strcmp(*s->answers, "end") != 0; s->answers++) {
        if (fd < 0) {
            fd = weft_accept(s->ln);
            CHECK(fd >= 0);
            peer->fd = fd;
            peer->len = 0;
            peer->text[0] = '\0';
        }
        peer_until(peer, "\r\n\r\n");
        s->requests_seen++;
        if (*s->answers)
            peer_send(peer, *s->answers);
        if (!*s->answers || strstr(*s->answers, "close")) {
            weft_close(fd);
            fd = -1;
        }
    }
    if (fd >= 0)
        weft_close(fd);
    free(peer);
    return 0;
}

static void script_start(struct script *s, weft_scope *scope, const char *const *answers)
{
    char address[128];
    *s = (struct script){.answers = answers, .ln = weft_listen("tcp", "127.0.0.1:0")};
    CHECK(weft_local_addr(s->ln, address, sizeof address) > 0);
    snprintf(s->url, sizeof s->url, "http://%s/", address);
    CHECK_EQ(weft_go(scope, script_fiber, s), 0);
}

static int script_ask(
    weft_http_client *c, struct script *s, const char *method, weft_http_response **ret_response)
{
    weft_http_call call = {.size = sizeof call, .method = method, .url = s->url};
    return weft_http_do(c, &call, ret_response);
}

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

NET_TEST(a_dead_connection_is_replaced_once)
{
    static const char *const answers[] = {OK_ANSWER, NULL, OK_ANSWER, NULL, NULL, "end"};
    struct script s;
    weft_http_response *r;
    weft_http_client *c = new_client(NULL);
    WEFT_SCOPE(scope);
    script_start(&s, &scope, answers);
    CHECK_EQ(script_ask(c, &s, "GET", &r), 0);
    CHECK_STR(whole(r).data, "ok");
    weft_http_response_close(r);
    CHECK_EQ(script_ask(c, &s, "GET", &r), 0); /* the kept one dies of it; a new one answers */
    CHECK_STR(whole(r).data, "ok");
    weft_http_response_close(r);
    CHECK_EQ(s.requests_seen, 3);
    CHECK_EQ(script_ask(c, &s, "POST", &r), -ECONNRESET); /* must not be sent twice */
    CHECK_EQ(s.requests_seen, 4);
    CHECK_EQ(script_ask(c, &s, "GET", &r), -ECONNRESET); /* a new one is not tried again */
    CHECK_EQ(weft_wait(&scope), 0);
    CHECK_EQ(s.requests_seen, 5);
    weft_close(s.ln);
    weft_http_client_free(c);
}

NET_TEST(a_closed_connection_is_noticed_beforehand)
{
    struct server s;
    weft_http_serve_opts o = {.idle_timeout_ns = 1};
    weft_http_response *r;
    server_start(&s, handler, NULL, &o);
    weft_http_client *c = new_client(NULL);
    for (int i = 0; i < 20; i++) { /* a POST, which would not be repeated */
        int rc = ask(c, &s, "POST", "/describe", "x", &r);
        CHECK_MSG(rc == 0 || rc == -ECONNRESET || rc == -EPIPE, "%d", rc);
        if (rc == 0) {
            CHECK_STR(whole(r).data, "POST [] x");
            weft_http_response_close(r);
        }
        CHECK_EQ(weft_sleep(2 * WEFT_MS), 0);
    }
    weft_http_client_free(c);
    CHECK_EQ(server_stop(&s), 0);
}

NET_TEST(strange_answers)
{
    static const char *const answers[] = {
        ("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
         "HTTP/1.1 100 Continue\r\n\r\n" OK_ANSWER),
        "nonsense\r\nclose\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\nConnection: close\r\n\r\nshort",
        "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nchunk\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nokmore",
        "end",
    };
    struct script s;
    weft_http_response *r;
    struct weft_span b;
    weft_http_client *c = new_client(NULL);
    WEFT_SCOPE(scope);
    script_start(&s, &scope, answers);
    CHECK_EQ(script_ask(c, &s, "GET", &r), 0);
    CHECK_STR(whole(r).data, "ok");
    weft_http_response_close(r);
    CHECK_EQ(script_ask(c, &s, "GET", &r), -EBADMSG);
    CHECK_EQ(script_ask(c, &s, "GET", &r), 0);
    CHECK_EQ(weft_http_response_body(r, 0, &b), -EBADMSG);
    weft_http_response_close(r);
    CHECK_EQ(script_ask(c, &s, "GET", &r), 0);
    CHECK_STR(whole(r).data, "until the end");
    weft_http_response_close(r);
    CHECK_EQ(script_ask(c, &s, "GET", &r), 0);
    CHECK_EQ(weft_http_response_body(r, 0, &b), -EBADMSG);
    weft_http_response_close(r);
    CHECK_EQ(script_ask(c, &s, "GET", &r), -EBADMSG);
    CHECK_EQ(script_ask(c, &s, "GET", &r), 0);
    CHECK_STR(whole(r).data, "ok");
    weft_http_response_close(r);
    CHECK_EQ(weft_wait(&scope), 0);
    weft_close(s.ln);
    weft_http_client_free(c);
}

NET_TEST(limits_of_responses)
{
    struct server s;
    weft_http_client_opts o = {
        .size = sizeof o, .limits = {.size = sizeof o.limits, .body_bytes = 5000}};
    weft_http_response *r;
    struct weft_span b;
    server_start(&s, handler, NULL, NULL);
    weft_http_client *c = new_client(&o), *any = new_client(NULL);
    CHECK_EQ(ask(c, &s, "GET", "/big", NULL, &r), 0);
    CHECK_EQ(weft_http_response_body(r, 0, &b), -EMSGSIZE);
    weft_http_response_close(r);
    CHECK_EQ(ask(any, &s, "GET", "/big", NULL, &r), 0);
    CHECK_EQ(weft_http_response_body(r, 99999, &b), -EMSGSIZE);
    weft_http_response_close(r);
    CHECK_EQ(ask(any, &s, "GET", "/big", NULL, &r), 0);
    CHECK_EQ(weft_http_response_body(r, 100000, &b), 0);
    CHECK_EQ(b.len, 100000);
    weft_http_response_close(r);
    weft_http_client_free(c);
    weft_http_client_free(any);
    CHECK_EQ(server_stop(&s), 0);
}

NET_TEST(the_context_ends_a_call)
{
    struct server s;
    weft_http_serve_opts o = {.drain_ns = 1};
    weft_http_response *r;
    server_start(&s, handler, NULL, &o);
    weft_http_client *c = new_client(NULL);
    expect(c, &s, "/describe", "GET [] ");
    {
        WEFT_TIMEOUT(t, 20 * WEFT_MS);
        CHECK_EQ(ask(c, &s, "GET", "/hang", NULL, &r), -ETIMEDOUT);
    }
    expect(c, &s, "/describe", "GET [] "); /* on a connection of its own */
    weft_http_client_free(c);
    server_stop(&s);
}

NET_TEST(wrong_calls)
{
    weft_http_response *r;
    weft_http_client *c;
    static const char *const bad[] = {"", "/path", "127.0.0.1:80", "http://", "http://:80/",
        "http://a:b/", "http://user@h/", "http://127.0.0.1:1/a b"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        CHECK_MSG(weft_http_get(bad[i], &r) < 0, "\"%s\"", bad[i]);
    CHECK_EQ(weft_http_get("ftp://127.0.0.1/", &r), -EPROTONOSUPPORT);
    CHECK_EQ(weft_http_get("https://127.0.0.1/", &r), -EPROTONOSUPPORT);
    weft_error *e = weft_error_take(-EPROTONOSUPPORT);
    CHECK_HAS(weft_error_message(e), "TLS, which is not built in yet");
    weft_error_free(e);
    int ln = weft_listen("tcp", "127.0.0.1:0");
    char address[128], url[160];
    CHECK(weft_local_addr(ln, address, sizeof address) > 0);
    weft_close(ln);
    snprintf(url, sizeof url, "http://%s/", address);
    CHECK_EQ(weft_http_get(url, &r), -ECONNREFUSED);
    weft_http_field own[] = {{"Content-Length", "3"}};
    weft_http_call call = {.size = sizeof call, .url = url, .fields = own, .field_count = 1};
    CHECK_EQ(weft_http_do(NULL, &call, &r), -EINVAL);
    call = (weft_http_call){.size = 1, .url = url};
    CHECK_EQ(weft_http_do(NULL, &call, &r), -EINVAL);
    CHECK_EQ(weft_http_client_new(&(weft_http_client_opts){.size = 1}, &c), -EINVAL);
}

NET_TEST(redirects)
{
    struct server s, other;
    char away[200], url[200];
    weft_http_response *r;
    server_start(&other, handler, NULL, NULL);
    snprintf(away, sizeof away, "%s/describe", other.url);
    server_start(&s, handler, away, NULL);
    weft_http_client *c = new_client(NULL);
    weft_http_field secret[] = {{"Authorization", "secret"}};
    struct {
        const char *method, *path;
        unsigned max;
        const char *want;
        int rc;
    } cases[] = {
        {"GET", "/301", 0, "look elsewhere\n", 0},
        {"GET", "/301", 1, "GET [secret] ", 0},
        {"POST", "/301", 5, "GET [secret] ", 0},
        {"POST", "/307", 5, "POST [secret] body", 0},
        {"GET", "/away", 5, "GET [] ", 0},
        {"GET", "/loop", 3, NULL, -ELOOP},
        {"GET", "/tls", 3, NULL, -EPROTONOSUPPORT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(url, sizeof url, "%s%s", s.url, cases[i].path);
        bool post = strcmp(cases[i].method, "POST") == 0;
        weft_http_call call = {.size = sizeof call,
            .method = cases[i].method,
            .url = url,
            .fields = secret,
            .field_count = 1,
            .body = post ? "body" : NULL,
            .body_bytes = post ? 4 : 0,
            .max_redirects = cases[i].max};
        CHECK_EQ(weft_http_do(c, &call, &r), cases[i].rc);
        if (cases[i].rc < 0)
            continue;
        CHECK_STR(whole(r).data, cases[i].want);
        weft_http_response_close(r);
    }
    weft_http_client_free(c);
    CHECK_EQ(server_stop(&s), 0);
    CHECK_EQ(server_stop(&other), 0);
}

NET_TEST(expect_continue)
{
    struct server s;
    weft_http_response *r;
    char url[200];
    server_start(&s, handler, NULL, NULL);
    weft_http_client *c = new_client(NULL);
    weft_http_call call = {.size = sizeof call,
        .method = "POST",
        .url = url,
        .body = "body",
        .body_bytes = 4,
        .expect_continue = true};
    snprintf(url, sizeof url, "%s/describe", s.url);
    CHECK_EQ(weft_http_do(c, &call, &r), 0);
    CHECK_STR(whole(r).data, "POST [] body");
    weft_http_response_close(r);
    snprintf(url, sizeof url, "%s/refuse", s.url);
    CHECK_EQ(weft_http_do(c, &call, &r), 0);
    CHECK_EQ(weft_http_response_status(r), 403);
    CHECK_STR(whole(r).data, "not wanted\n");
    weft_http_response_close(r);
    weft_http_client_free(c);
    CHECK_EQ(server_stop(&s), 0);

    /* A server that does not know it is not waited for longer than that. */
    static const char *const answers[] = {OK_ANSWER, "end"};
    struct script old;
    weft_http_client_opts o = {.size = sizeof o, .continue_timeout_ns = 5 * WEFT_MS};
    c = new_client(&o);
    WEFT_SCOPE(scope);
    script_start(&old, &scope, answers);
    snprintf(url, sizeof url, "%s", old.url);
    CHECK_EQ(weft_http_do(c, &call, &r), 0);
    CHECK_STR(whole(r).data, "ok");
    weft_http_response_close(r);
    CHECK_EQ(weft_wait(&scope), 0);
    weft_close(old.ln);
    weft_http_client_free(c);
}

#define HINT "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
#define FOUR_HINTS HINT HINT HINT HINT

NET_TEST(strange_answers_before_the_body)
{
    static const char *const answers[] = {
        HINT "HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        FOUR_HINTS FOUR_HINTS FOUR_HINTS FOUR_HINTS HINT "HTTP/1.1 100 close\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: close\r\n\r\n",
        "end",
    };
    struct script s;
    weft_http_response *r;
    weft_http_client_opts o = {.size = sizeof o, .continue_timeout_ns = 60 * WEFT_SEC};
    weft_http_client *c = new_client(&o);
    WEFT_SCOPE(scope);
    script_start(&s, &scope, answers);
    weft_http_call call = {.size = sizeof call,
        .method = "POST",
        .url = s.url,
        .body = "body",
        .body_bytes = 4,
        .expect_continue = true};
    CHECK_EQ(weft_http_do(c, &call, &r), 0);
    CHECK_EQ(weft_http_response_status(r), 417);
    weft_http_response_close(r);
    CHECK_EQ(weft_http_do(c, &call, &r), -EBADMSG); /* 17 of them */
    CHECK_EQ(weft_http_do(c, &call, &r), -EBADMSG);
    CHECK_EQ(weft_wait(&scope), 0);
    weft_close(s.ln);
    weft_http_client_free(c);
}

struct crowd {
    weft_http_client *client;
    struct server *server;
};

static int counted(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    _Atomic int *most = arg;
    int now = atomic_fetch_add(&connections, 1) + 1, old = *most;
    while (old < now && !atomic_compare_exchange_weak(most, &old, now)) {
    }
    weft_yield();
    atomic_fetch_sub(&connections, 1);
    return weft_http_reply_text(reply, 200, "counted");
}

static int crowd_fiber(void *p)
{
    struct crowd *c = p;
    for (int i = 0; i < 20; i++)
        expect(c->client, c->server, "/", "counted");
    return 0;
}

NET_TEST(a_limit_of_connections_to_one_host)
{
    struct server s;
    _Atomic int most = 0;
    weft_http_client_opts o = {.size = sizeof o, .max_per_host = 2};
    atomic_store(&connections, 0);
    server_start(&s, counted, &most, NULL);
    struct crowd crowd = {new_client(&o), &s};
    WEFT_SCOPE(scope);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_go(&scope, crowd_fiber, &crowd), 0);
    CHECK_EQ(weft_wait(&scope), 0);
    CHECK(most >= 1 && most <= 2);
    /* Who waits for one gives up with its context. */
    weft_http_response *a, *b, *none;
    CHECK_EQ(ask(crowd.client, &s, "GET", "/", NULL, &a), 0);
    CHECK_EQ(ask(crowd.client, &s, "GET", "/", NULL, &b), 0);
    {
        WEFT_TIMEOUT(t, 5 * WEFT_MS);
        CHECK_EQ(ask(crowd.client, &s, "GET", "/", NULL, &none), -ETIMEDOUT);
    }
    weft_http_response_close(a);
    weft_http_response_close(b);
    weft_http_client_free(crowd.client);
    CHECK_EQ(server_stop(&s), 0);
}

/* ---- the budget ---- */

static _Atomic long allocations;

static void *counted_alloc(void *arg, size_t bytes)
{
    (void)arg;
    atomic_fetch_add(&allocations, 1);
    return malloc(bytes);
}

static void *counted_resize(void *arg, void *p, size_t bytes)
{
    (void)arg;
    atomic_fetch_add(&allocations, 1);
    return realloc(p, bytes);
}

static void uncounted_release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static int hello(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    (void)req, (void)arg;
    return weft_http_reply_text(reply, 200, "hello");
}

static int budget_app(void *arg)
{
    struct server s;
    weft_http_response *r;
    char buf[16];
    (void)arg;
    server_start(&s, hello, NULL, NULL);
    weft_http_client *c = new_client(NULL);
    long before = 0;
    for (int i = 0; i < 110; i++) {
        if (i == 10)
            before = allocations;
        CHECK_EQ(ask(c, &s, "GET", "/", NULL, &r), 0);
        CHECK_EQ(weft_http_response_read(r, buf, sizeof buf), 5);
        CHECK_EQ(weft_http_response_read(r, buf, sizeof buf), 0);
        weft_http_response_close(r);
    }
    CHECK_EQ(allocations, before); /* neither side allocates on a kept connection */
    weft_http_client_free(c);
    return server_stop(&s);
}

TEST(a_request_on_a_kept_connection_allocates_nothing)
{
    weft_allocator a = {sizeof a, counted_alloc, counted_resize, uncounted_release, NULL};
    CHECK_EQ(weft_set_allocator(&a), 0);
    rig_run(1, budget_app);
}

static void free_with_open_response(void)
{
    struct weft_http_response *r;
    struct server s;
    server_start(&s, handler, NULL, NULL);
    weft_http_client *c = new_client(NULL);
    CHECK_EQ(ask(c, &s, "GET", "/describe", NULL, &r), 0);
    weft_http_client_free(c);
}

static int misuse_app(void *arg)
{
    (void)arg;
    free_with_open_response();
    return 0;
}

static void misuse(void)
{
    rig_run(1, misuse_app);
}

TEST(freeing_a_client_in_use_is_misuse)
{
    EXPECT_DEATH(misuse, "a response of this client is still open");
}
