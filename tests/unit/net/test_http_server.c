// SPDX-License-Identifier: Apache-2.0
/* test_http_server.c - the HTTP server against a peer that speaks raw bytes: framing, limits, slow
 * and hostile clients, handlers that fail, stopping. */
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "net_rig.h"

/* What the handlers and the tests tell each other. */
struct site {
    weft_sema entered, leave;
    _Atomic int calls, last;
};

static void site_init(struct site *s)
{
    memset(s, 0, sizeof *s);
    weft_sema_init(&s->entered, 0, NULL);
    weft_sema_init(&s->leave, 0, NULL);
}

static int echo(weft_http_request *req, weft_http_reply *reply)
{
    char buf[1000];
    ssize_t n;
    while ((n = weft_http_request_read(req, buf, sizeof buf)) > 0)
        if ((n = weft_http_reply_write(reply, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int body(weft_http_request *req, weft_http_reply *reply, size_t max)
{
    struct weft_span b;
    int rc = weft_http_request_body(req, max, &b);
    if (rc < 0)
        return rc;
    CHECK_EQ(b.data[b.len], 0);
    return weft_http_reply_send(reply, b.data, b.len);
}

static int chunks(weft_http_reply *reply)
{
    CHECK_EQ(weft_http_reply_write(reply, "one,", 4), 0);
    CHECK_EQ(weft_http_reply_flush(reply), 0);
    CHECK_EQ(weft_http_reply_write(reply, "two,", 4), 0);
    CHECK_EQ(weft_http_reply_status(reply, 404), -EALREADY);
    CHECK_EQ(weft_http_reply_field(reply, "X", "y"), -EALREADY);
    CHECK_EQ(weft_http_reply_send(reply, "x", 1), -EALREADY);
    return weft_http_reply_write(reply, "three", 5);
}

static int fixed(weft_http_reply *reply, uint64_t promised)
{
    CHECK_EQ(weft_http_reply_length(reply, promised), 0);
    CHECK_EQ(weft_http_reply_write(reply, "12345", 5), 0);
    int rc = weft_http_reply_write(reply, "67890", 5);
    CHECK_EQ(rc, promised < 10 ? -EMSGSIZE : 0);
    return 0;
}

static int fields(weft_http_request *req, weft_http_reply *reply)
{
    char big[3000];
    memset(big, 'b', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    CHECK_EQ(weft_http_reply_status(reply, 99), -EINVAL);
    CHECK_EQ(weft_http_reply_status(reply, 201), 0);
    CHECK_EQ(weft_http_reply_field(reply, "X-One", "1"), 0);
    CHECK_EQ(weft_http_reply_field(reply, "X-Bad", "a\r\nX-Injected: 1"), -EINVAL);
    CHECK_EQ(weft_http_reply_field(reply, "Bad Name", "1"), -EINVAL);
    CHECK_EQ(weft_http_reply_field(reply, "Content-Length", "1"), -EINVAL);
    CHECK_EQ(weft_http_reply_field(reply, "Connection", "upgrade"), -EINVAL);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(weft_http_reply_field(reply, "X-Big", big), 0);
    struct weft_span a = weft_http_request_field(req, "x-ask");
    CHECK(weft_span_is(a, "yes"));
    CHECK(weft_span_is(weft_http_request_head(req)->query, "a=1&b"));
    return weft_http_reply_send(reply, "made", 4);
}

static int slow(struct site *site, weft_http_reply *reply)
{
    weft_sema_release(&site->entered, 1);
    int rc = weft_sema_acquire(&site->leave, 1);
    site->last = rc;
    return rc < 0 ? rc : weft_http_reply_text(reply, 200, "slow\n");
}

static int take(weft_http_request *req, weft_http_reply *reply)
{
    struct weft_span rest;
    char c;
    int fd = weft_http_request_hijack(req, &rest);
    CHECK(fd >= 0);
    CHECK(weft_span_is(rest, "early"));
    CHECK_EQ(weft_http_request_fd(req), -EBADF);
    CHECK_EQ(weft_http_request_hijack(req, &rest), -EALREADY);
    CHECK_EQ(weft_http_reply_text(reply, 200, "no"), -EALREADY);
    CHECK_EQ(weft_write_all(fd, "raw!", 4), 4);
    CHECK_EQ(weft_read(fd, &c, 1), 1);
    return weft_close(fd);
}

static int handler(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    struct site *site = arg;
    atomic_fetch_add(&site->calls, 1);
    if (weft_http_request_is(req, "GET", "/hello"))
        return weft_http_reply_text(reply, 200, "hello\n");
    if (weft_http_request_is(req, "POST", "/echo"))
        return echo(req, reply);
    if (weft_http_request_is(req, "POST", "/body"))
        return body(req, reply, 0);
    if (weft_http_request_is(req, "POST", "/small"))
        return body(req, reply, 10);
    if (weft_http_request_is(req, NULL, "/chunks"))
        return chunks(reply);
    if (weft_http_request_is(req, NULL, "/fixed"))
        return fixed(reply, 10);
    if (weft_http_request_is(req, NULL, "/short"))
        return fixed(reply, 20);
    if (weft_http_request_is(req, NULL, "/long"))
        return fixed(reply, 9);
    if (weft_http_request_is(req, NULL, "/fields"))
        return fields(req, reply);
    if (weft_http_request_is(req, NULL, "/nothing"))
        return weft_http_reply_status(reply, 204);
    if (weft_http_request_is(req, NULL, "/noread"))
        return weft_http_reply_text(reply, 200, "unread\n");
    if (weft_http_request_is(req, NULL, "/fail"))
        return -EIO;
    if (weft_http_request_is(req, NULL, "/panic"))
        weft_panic("on purpose");
    if (weft_http_request_is(req, NULL, "/panic-late")) {
        weft_http_reply_write(reply, "begun", 5);
        weft_http_reply_flush(reply);
        weft_panic("on purpose");
    }
    if (weft_http_request_is(req, NULL, "/slow"))
        return slow(site, reply);
    if (weft_http_request_is(req, NULL, "/take"))
        return take(req, reply);
    return weft_http_reply_text(reply, 404, "nothing here\n");
}

struct stage {
    struct site site;
    struct server server;
    struct peer p;
};

static struct stage *stage_new(const weft_http_serve_opts *opts)
{
    struct stage *t = calloc(1, sizeof *t);
    site_init(&t->site);
    server_start(&t->server, handler, &t->site, opts);
    return t;
}

static void stage_free(struct stage *t)
{
    CHECK_EQ(server_stop(&t->server), 0);
    free(t);
}

#define GET(path) "GET " path " HTTP/1.1\r\nHost: h\r\n\r\n"
#define GET_CLOSE(path) "GET " path " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

NET_TEST(keep_alive_and_close)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    for (int i = 0; i < 3; i++) {
        peer_send(&t->p, GET("/hello"));
        peer_until(&t->p, "HTTP/1.1 200 OK\r\nDate: ");
        peer_until(&t->p, "Content-Length: 6\r\n\r\nhello\n");
    }
    peer_send(&t->p, GET_CLOSE("/other"));
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "HTTP/1.1 404 Not Found\r\n");
    CHECK_HAS(t->p.text, "Connection: close\r\n\r\nnothing here\n");
    CHECK_EQ(t->site.calls, 4);
    stage_free(t);
}

NET_TEST(pipelining)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    peer_send(
        &t->p, GET("/hello") "POST /echo HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody" GET(
                   "/chunks") GET("/fixed") "GET /hel");
    peer_until(&t->p, "\r\n\r\nhello\n");
    peer_until(&t->p, "\r\n\r\n4\r\nbody\r\n0\r\n\r\n");
    peer_until(&t->p, "4\r\none,\r\n4\r\ntwo,\r\n5\r\nthree\r\n0\r\n\r\n");
    peer_until(&t->p, "Content-Length: 10\r\n\r\n1234567890");
    peer_send(&t->p, "lo HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_until(&t->p, "\r\n\r\nhello\n");
    weft_close(t->p.fd);
    stage_free(t);
}

NET_TEST(http_1_0)
{
    struct stage *t = stage_new(NULL);
    CHECK_HAS(peer_talk(&t->p, t->server.address, "GET /hello HTTP/1.0\r\n\r\n"),
        "Connection: close\r\n\r\nhello\n");
    peer_talk(&t->p, t->server.address, "GET /chunks HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_HASNT(t->p.text, "chunked"); /* until the connection's end */
    CHECK_HAS(t->p.text, "\r\n\r\none,two,three");
    peer_dial(&t->p, t->server.address);
    for (int i = 0; i < 2; i++) {
        peer_send(&t->p, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        peer_until(&t->p, "Connection: keep-alive\r\n\r\nhello\n");
    }
    weft_close(t->p.fd);
    stage_free(t);
}

NET_TEST(bodies_both_ways)
{
    struct stage *t = stage_new(NULL);
    peer_talk(&t->p, t->server.address,
        "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
        "3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nT: v\r\n\r\n");
    CHECK_HAS(t->p.text, "Content-Length: 8\r\nConnection: close\r\n\r\nabcdefgh");
    CHECK_HAS(peer_talk(&t->p, t->server.address,
                  "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nConnection: "
                  "close\r\n\r\n"),
        "Content-Length: 0\r\n");

    /* A large one, in pieces, comes back in chunks whose data is the same. */
    size_t n = 100000;
    char *big = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        big[i] = (char)('a' + i * 7 % 26);
    big[n] = '\0';
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, "POST /body HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
                     "Content-Length: 100000\r\n\r\n");
    for (size_t at = 0; at < n; at += 20000)
        CHECK_EQ(weft_write_all(t->p.fd, big + at, 20000), 20000);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, big);
    free(big);
    stage_free(t);
}

NET_TEST(head_and_204)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, "HEAD /hello HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_until(&t->p, "Content-Length: 6\r\n\r\n");
    peer_send(&t->p, "HEAD /chunks HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_until(&t->p, "Transfer-Encoding: chunked\r\n\r\n");
    peer_send(&t->p, "HEAD /fixed HTTP/1.1\r\nHost: h\r\n\r\n");
    peer_until(&t->p, "Content-Length: 10\r\n\r\n");
    peer_send(&t->p, GET("/nothing"));
    peer_until(&t->p, "HTTP/1.1 204 No Content\r\n");
    peer_until(&t->p, "\r\n\r\n");
    peer_send(&t->p, GET_CLOSE("/hello"));
    peer_end(&t->p);
    CHECK_EQ(strncmp(t->p.text, "HTTP/1.1 200 OK\r\n", 17), 0); /* nothing between */
    stage_free(t);
}

NET_TEST(fields_are_checked_and_grow)
{
    struct stage *t = stage_new(NULL);
    peer_talk(&t->p, t->server.address,
        "GET /fields?a=1&b HTTP/1.1\r\nHost: h\r\nX-Ask: yes\r\nConnection: close\r\n\r\n");
    CHECK_HAS(t->p.text, "HTTP/1.1 201 Created\r\n");
    CHECK_HAS(t->p.text, "X-One: 1\r\n");
    CHECK_HASNT(t->p.text, "Injected");
    CHECK(t->p.len > 12000);
    CHECK_HAS(t->p.text, "\r\n\r\nmade");
    stage_free(t);
}

NET_TEST(limits)
{
    weft_http_serve_opts o = {
        .limits = {
            .size = sizeof o.limits, .line_bytes = 200, .head_bytes = 1000, .body_bytes = 50}};
    struct stage *t = stage_new(&o);
    char line[400];
    memset(line, 'x', sizeof line);
    line[300] = '\0';
    char request[1600];
    snprintf(request, sizeof request, "GET /%s HTTP/1.1\r\nHost: h\r\n\r\n", line);
    CHECK_HAS(peer_talk(&t->p, t->server.address, request), "HTTP/1.1 414 ");
    snprintf(request, sizeof request, "GET / HTTP/1.1\r\nHost: h\r\nX: %s\r\n\r\n", line);
    CHECK_HAS(peer_talk(&t->p, t->server.address, request), "HTTP/1.1 431 ");
    CHECK_HAS(peer_talk(&t->p, t->server.address,
                  "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 51\r\n\r\n"),
        "HTTP/1.1 413 ");
    CHECK_HAS(t->p.text, "Connection: close\r\n");
    CHECK_HAS(peer_talk(&t->p, t->server.address,
                  "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                  "1e\r\n012345678901234567890123456789\r\n1e\r\n"),
        "HTTP/1.1 413 ");
    CHECK_EQ(t->site.calls, 1);
    CHECK_HAS(peer_talk(&t->p, t->server.address,
                  "POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n01234567890"),
        "HTTP/1.1 413 ");
    CHECK_HAS(peer_talk(&t->p, t->server.address, "GET / HTTP/1.1\r\n\r\n"), "HTTP/1.1 400 ");
    CHECK_HAS(
        peer_talk(&t->p, t->server.address, "\x16\x03\x01 TLS hello\r\n\r\n"), "HTTP/1.1 400 ");
    CHECK_HAS(peer_talk(&t->p, t->server.address,
                  "POST /body HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        "HTTP/1.1 400 ");
    stage_free(t);
}

/* A byte now and then, for as long as the server bears it. */
NET_TEST(a_slow_head_is_cut_off_as_a_whole)
{
    weft_http_serve_opts o = {.read_header_timeout_ns = 60 * WEFT_MS};
    struct stage *t = stage_new(&o);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, "GET / HTTP/1.1\r\nX: ");
    while (weft_write(t->p.fd, "x", 1) == 1) {
        WEFT_TIMEOUT(between, 5 * WEFT_MS);
        if (weft_wait_fd(t->p.fd, 0) == 0)
            break;
    }
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "HTTP/1.1 408 ");
    CHECK_EQ(t->site.calls, 0);
    stage_free(t);
}

NET_TEST(a_slow_body_is_cut_off)
{
    weft_http_serve_opts o = {.read_timeout_ns = 40 * WEFT_MS};
    struct stage *t = stage_new(&o);
    CHECK_HAS(peer_talk(&t->p, t->server.address,
                  "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345"),
        "HTTP/1.1 408 ");
    stage_free(t);
}

NET_TEST(idle_connections_are_closed_without_a_word)
{
    weft_http_serve_opts o = {.idle_timeout_ns = 30 * WEFT_MS, .read_header_timeout_ns = WEFT_MIN};
    struct stage *t = stage_new(&o);
    peer_talk(&t->p, t->server.address, GET("/hello"));
    CHECK_HAS(t->p.text, "\r\n\r\nhello\n");
    CHECK_HASNT(t->p.text, "408");
    stage_free(t);
}

NET_TEST(a_half_closed_client_gets_its_answer)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, GET("/hello") GET("/chunks"));
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "\r\n\r\nhello\n");
    CHECK_HAS(t->p.text, "0\r\n\r\n");
    peer_dial(&t->p, t->server.address); /* in the middle of a head, and of a body */
    peer_send(&t->p, "GET / HT");
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "HTTP/1.1 400 ");
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
    CHECK_EQ(weft_shutdown(t->p.fd, SHUT_WR), 0);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "HTTP/1.1 400 ");
    stage_free(t);
}

NET_TEST(expect_continue)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    for (int i = 0; i < 2; i++) {
        peer_send(&t->p, "POST /body HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
                         "Expect: 100-continue\r\n\r\n");
        peer_until(&t->p, "HTTP/1.1 100 Continue\r\n\r\n");
        peer_send(&t->p, "body");
        peer_until(&t->p, "Content-Length: 4\r\n\r\nbody");
    }
    /* The handler does not want it: no 100, and nobody knows whether a body follows. */
    peer_send(&t->p, "POST /noread HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n"
                     "Expect: 100-continue\r\n\r\n");
    peer_end(&t->p);
    CHECK_EQ(strncmp(t->p.text, "HTTP/1.1 200 OK\r\n", 17), 0);
    CHECK_HAS(t->p.text, "Connection: close\r\n");
    stage_free(t);
}

NET_TEST(an_unread_body_is_dropped_or_ends_it)
{
    weft_http_serve_opts o = {.limits = {.size = sizeof o.limits, .body_bytes = 1 << 24}};
    struct stage *t = stage_new(&o);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, "POST /noread HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n");
    peer_until(&t->p, "unread\n");
    peer_send(&t->p, "body" GET("/hello"));
    peer_until(&t->p, "\r\n\r\nhello\n");
    peer_send(&t->p, "POST /noread HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\n");
    peer_until(&t->p, "Connection: close\r\n\r\nunread\n");
    weft_close(t->p.fd);
    stage_free(t);
}

NET_TEST(handlers_that_fail)
{
    weft_set_log(NULL, NULL);
    struct stage *t = stage_new(NULL);
    struct peer *other = calloc(1, sizeof *other);
    peer_dial(other, t->server.address);
    peer_send(other, GET("/hello"));
    peer_until(other, "hello\n");
    CHECK_HAS(peer_talk(&t->p, t->server.address, GET("/panic")), "HTTP/1.1 500 ");
    CHECK_HAS(t->p.text, "Connection: close\r\n");
    CHECK_HAS(peer_talk(&t->p, t->server.address, GET("/fail")), "HTTP/1.1 500 ");
    peer_talk(&t->p, t->server.address, GET("/panic-late"));
    CHECK_HAS(t->p.text, "5\r\nbegun\r\n");
    CHECK_HASNT(t->p.text, "0\r\n\r\n"); /* not ended as if it were whole */
    peer_talk(&t->p, t->server.address, GET("/short"));
    CHECK_HAS(t->p.text, "Content-Length: 20\r\n\r\n1234567890");
    CHECK_HAS(peer_talk(&t->p, t->server.address, GET("/long")), "\r\n\r\n12345");
    peer_send(other, GET("/hello")); /* nobody else noticed */
    peer_until(other, "hello\n");
    weft_close(other->fd);
    free(other);
    stage_free(t);
}

NET_TEST(hijack)
{
    struct stage *t = stage_new(NULL);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, GET("/take") "early");
    peer_until(&t->p, "raw!");
    peer_send(&t->p, "x");
    peer_end(&t->p);
    stage_free(t);
}

NET_TEST(stopping_lets_handlers_finish)
{
    struct stage *t = stage_new(NULL);
    struct peer *idle = calloc(1, sizeof *idle), *silent = calloc(1, sizeof *silent);
    peer_dial(idle, t->server.address);
    peer_send(idle, GET("/hello"));
    peer_until(idle, "hello\n");
    peer_dial(silent, t->server.address);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, GET("/slow"));
    CHECK_EQ(weft_sema_acquire(&t->site.entered, 1), 0);
    weft_ctx_cancel(t->server.ctx);
    peer_end(idle); /* at once, though a handler still runs */
    peer_end(silent);
    CHECK_EQ(silent->len, 0);
    weft_sema_release(&t->site.leave, 1);
    peer_end(&t->p);
    CHECK_HAS(t->p.text, "Connection: close\r\n\r\nslow\n");
    CHECK_EQ(t->site.last, 0);
    free(idle);
    free(silent);
    CHECK_EQ(server_stop(&t->server), 0);
    CHECK_EQ(weft_dial("tcp", t->server.address), -ECONNREFUSED);
    free(t);
}

NET_TEST(stopping_cancels_what_takes_too_long)
{
    weft_http_serve_opts o = {.drain_ns = 30 * WEFT_MS};
    struct stage *t = stage_new(&o);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, GET("/slow"));
    CHECK_EQ(weft_sema_acquire(&t->site.entered, 1), 0);
    CHECK_EQ(server_stop(&t->server), -ETIMEDOUT);
    CHECK_EQ(t->site.last, -ECANCELED);
    peer_end(&t->p);
    free(t);
}

NET_TEST(max_connections_wait_their_turn)
{
    weft_http_serve_opts o = {.max_connections = 1};
    struct stage *t = stage_new(&o);
    struct peer *second = calloc(1, sizeof *second);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, GET("/slow"));
    CHECK_EQ(weft_sema_acquire(&t->site.entered, 1), 0);
    peer_dial(second, t->server.address); /* into the kernel's queue */
    peer_send(second, GET_CLOSE("/hello"));
    CHECK_EQ(t->site.calls, 1);
    weft_sema_release(&t->site.leave, 1);
    peer_until(&t->p, "slow\n");
    CHECK_EQ(t->site.calls, 1);
    weft_close(t->p.fd);
    peer_end(second);
    CHECK_HAS(second->text, "hello\n");
    free(second);
    stage_free(t);
}

/* Without a descriptor to spare accepting pauses; who is connected does not notice. */
NET_TEST(out_of_descriptors)
{
    struct stage *t = stage_new(NULL);
    struct peer *late = calloc(1, sizeof *late);
    struct rlimit small = {64, 64};
    int held[64], n = 0;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &small), 0);
    peer_dial(&t->p, t->server.address);
    peer_send(&t->p, GET("/hello"));
    peer_until(&t->p, "hello\n");
    while (n < 64 && (held[n] = open("/dev/null", O_RDONLY)) >= 0)
        n++;
    CHECK(n > 2 && n < 64);
    close(held[--n]);
    peer_dial(late, t->server.address); /* takes the last one */
    peer_send(late, GET_CLOSE("/hello"));
    for (int i = 0; i < 20; i++) {
        peer_send(&t->p, GET("/hello"));
        peer_until(&t->p, "hello\n");
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    }
    CHECK_EQ(t->site.calls, 21);
    while (n > 0)
        close(held[--n]);
    peer_end(late);
    CHECK_HAS(late->text, "hello\n");
    weft_close(t->p.fd);
    free(late);
    stage_free(t);
}

static int burst_client(void *p)
{
    struct stage *t = p;
    struct peer *peer = calloc(1, sizeof *peer);
    peer_dial(peer, t->server.address);
    for (int i = 0; i < 50; i++) {
        peer_send(peer, GET("/hello"));
        peer_until(peer, "\r\n\r\nhello\n");
    }
    weft_close(peer->fd);
    free(peer);
    return 0;
}

NET_TEST(many_connections)
{
    struct stage *t = stage_new(NULL);
    {
        WEFT_SCOPE(s);
        for (int i = 0; i < 20; i++)
            CHECK_EQ(weft_go(&s, burst_client, t), 0);
        CHECK_EQ(weft_wait(&s), 0);
    }
    CHECK_EQ(t->site.calls, 1000);
    stage_free(t);
}

NET_TEST(wrong_options)
{
    weft_http_serve_opts o = {.size = 3};
    CHECK_EQ(weft_http_serve("tcp", "127.0.0.1:0", handler, NULL, &o), -EINVAL);
    CHECK_EQ(weft_http_serve("tcp", "127.0.0.1:0", NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(weft_http_serve("tcp", "nonsense", handler, NULL, NULL), -EINVAL);
}
