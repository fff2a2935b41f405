// SPDX-License-Identifier: Apache-2.0
/* httppeer.c - requests of one connection, from bytes to answers; see httppeer.h. */
#include "server/console.h"
#include "server/httppeer.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEAD_TIMEOUT_NS (10 * WEFT_SEC)
#define BODY_TIMEOUT_NS (30 * WEFT_SEC)
#define IDLE_TIMEOUT_NS (75 * WEFT_SEC)
/* Far above what Centrifugo's clients send in a request; bounds what one connection can hold. */
#define BODY_MAX (32u << 20)
#define READS_A_TURN 16

/* ---- life ---- */

static struct http *http_of(struct peer *p)
{
    if (!p->http && (p->http = calloc(1, sizeof *p->http)))
        p->http->stage = HTTP_HEAD;
    return p->http;
}

static void http_reset(struct http *h)
{
    struct weft_http1_limits limits = {
        .size = sizeof limits, .head_bytes = 16384, .body_bytes = BODY_MAX};
    weft_http1_request_init(&h->head, &limits);
    free(h->body);
    h->body = NULL;
    h->body_bytes = h->body_room = 0;
    h->used = 0;
    h->route = (struct route){0};
    h->transport_errors = h->admin = false;
    h->stage = HTTP_HEAD;
}

void http_free(struct peer *p)
{
    struct http *h = p->http;
    if (!h)
        return;
    if (h->wait)
        h->wait->peer = NULL;
    free(h->raw);
    free(h->body);
    free(h);
    p->http = NULL;
}

bool httppeer_idle(const struct peer *p)
{
    return !p->http || (p->http->stage == HTTP_HEAD && p->http->raw_bytes == 0);
}

/* ---- answers ---- */

static const char *date_now(struct worker *w)
{
    int64_t now_s = shard_wall_s();
    if (w->date_s != now_s) {
        weft_http1_date(w->date, now_s);
        w->date[WEFT_HTTP1_DATE_BYTES] = '\0';
        w->date_s = now_s;
    }
    return w->date;
}

static void put_head(struct peer *p, int status, const char *type, const char *extra, size_t bytes)
{
    char head[1024];
    struct weft_http1_writer wr;
    weft_http1_write_response(&wr, head, sizeof head, status);
    weft_http1_write_text(&wr, "Date", date_now(p->worker));
    if (type)
        weft_http1_write_text(&wr, "Content-Type", type);
    if (status != 204 && status != 304)
        weft_http1_write_number(&wr, "Content-Length", bytes);
    if (!p->http->keep_alive)
        weft_http1_write_text(&wr, "Connection", "close");
    ssize_t n = weft_http1_write_end(&wr);
    if (n < 0)
        return; /* cannot be: all values are ours */
    size_t extra_bytes = extra ? strlen(extra) : 0;
    sink_bytes(&p->sink, head, (size_t)n - 2);
    sink_bytes(&p->sink, extra, extra_bytes);
    sink_bytes(&p->sink, "\r\n", 2);
}

void http_answer(
    struct peer *p, int status, const char *type, const char *extra, struct weft_span body)
{
    struct http *h = p->http;
    if (p->worker->shard.draining)
        h->keep_alive = false;
    bool no_body = h->head.method == WEFT_HTTP1_HEAD;
    put_head(p, status, type, extra, body.len);
    if (!no_body)
        sink_bytes(&p->sink, body.data, body.len);
    h->wait = NULL;
    if (!h->keep_alive) {
        peer_linger(p);
        return;
    }
    memmove(h->raw, h->raw + h->used, h->raw_bytes - h->used);
    h->raw_bytes -= h->used;
    http_reset(h);
    peer_deadline(p, IDLE_TIMEOUT_NS);
    /* What has come already is looked at in a turn of its own. */
    if (h->raw_bytes)
        weft_loop_io_again(p->worker->shard.loop, &p->sink.io, WEFT_LOOP_READ);
}

void http_answer_text(struct peer *p, int status, const char *text)
{
    http_answer(p, status, "text/plain; charset=utf-8", NULL, weft_span_of(text));
}

void http_answer_empty(struct peer *p, int status)
{
    http_answer(p, status, NULL, NULL, (struct weft_span){NULL, 0});
}

/* An answer to a request whose rest nobody will read: then the connection ends. */
static void refuse(struct peer *p, int status, const char *type, const char *text)
{
    struct http *h = p->http;
    if (h->head.framing != WEFT_HTTP1_NO_BODY)
        h->keep_alive = false;
    http_answer(p, status, type, NULL, weft_span_of(text));
}

/* ---- the WebSocket upgrade ---- */

/* One more connection, within client.connection_limit and connection_rate_limit. */
static bool admit(struct worker *w)
{
    struct server *srv = w->server;
    const struct cast_client_options *o = &w->shard.cfg->client;
    if (o->connection_rate_limit > 0) {
        uint64_t now_s = (uint64_t)(weft_loop_now_ns(w->shard.loop) / WEFT_SEC), seen, next;
        seen = atomic_load_explicit(&srv->rate, memory_order_relaxed); /* [mo:alone: a count] */
        do {
            /* A worker whose turn began in the second before counts on in this one. */
            next = seen >> 32 >= now_s ? seen + 1 : (now_s << 32) + 1;
            if ((uint32_t)next > (uint64_t)o->connection_rate_limit)
                return false;
            /* [mo:alone: a count] */
        } while (!atomic_compare_exchange_weak_explicit(
            &srv->rate, &seen, next, memory_order_relaxed, memory_order_relaxed));
    }
    /* [mo:alone: a count] */
    uint64_t had = atomic_fetch_add_explicit(&srv->connections, 1, memory_order_relaxed);
    if (o->connection_limit <= 0 || had < (uint64_t)o->connection_limit)
        return true;
    atomic_fetch_sub_explicit(&srv->connections, 1, memory_order_relaxed); /* [mo:alone: a count] */
    return false;
}

static bool query_is(struct weft_span query, const char *name, const char *value)
{
    struct weft_span got;
    return weft_http1_query_get(query, name, &got) == 1 && weft_span_is(got, value);
}

static struct weft_span protocol_of(const struct weft_http1_head *head)
{
    static const char *const known[] = {"centrifuge-json", NULL};
    return weft_ws_protocol_choose(head, known);
}

static void upgrade(struct peer *p)
{
    struct http *h = p->http;
    struct worker *w = p->worker;
    const struct cast_config *cfg = w->shard.cfg;
    struct weft_ws_upgrade up;
    char out[512];
    if (weft_ws_upgrade_check(&h->head, &up) < 0) {
        h->keep_alive = false;
        http_answer(p, 400, "text/plain; charset=utf-8", "Sec-Websocket-Version: 13\r\n",
            weft_span_of("Bad Request\n"));
        return;
    }
    if (query_is(h->head.query, "format", "protobuf")) {
        http_answer_text(p, 400, "the protobuf format is not served, use JSON\n");
        return;
    }
    if (!cast_config_origin_allowed(cfg, up.origin.data ? up.origin.data : "", up.origin.len)) {
        http_answer_text(p, 403, "Forbidden\n");
        return;
    }
    if (!admit(w)) {
        w->shard.n.connection_limit++;
        http_answer_empty(p, 503);
        return;
    }
    p->counted = true;
    ssize_t n = weft_ws_upgrade_accept(&up, protocol_of(&h->head), out, sizeof out);
    if (n < 0) {
        http_answer_empty(p, 500);
        return;
    }
    struct client_origin origin = {
        .frame_pings = query_is(h->head.query, "cf_ws_frame_ping_pong", "true")};
    if (*cfg->client.user_id_http_header) {
        struct weft_span user = weft_http1_field_get(&h->head, cfg->client.user_id_http_header);
        origin.header_user = user;
    }
    sink_bytes(&p->sink, out, (size_t)n);
    p->http = NULL; /* the peer is no HTTP one any more; what it held lives until it is read */
    wspeer_start(p, &origin, h->raw + h->used, h->raw_bytes - h->used);
    free(h->raw);
    free(h);
}

/* ---- heads ---- */

/* The key of the server API: 0 it fits, else the status. */
static bool key_fits(const struct cast_config *cfg, const struct weft_http1_head *head)
{
    const char *key = cfg->http_api.key;
    size_t bytes = strlen(key);
    if (cfg->http_api.insecure)
        return true;
    if (bytes == 0)
        return false;
    struct weft_span got = weft_http1_field_get(head, "X-API-Key");
    if (!got.data) {
        got = weft_http1_field_get(head, "Authorization");
        const struct weft_span scheme = {got.data, got.len < 6 ? got.len : 6};
        if (weft_span_is_nocase(scheme, "apikey") && got.len > 7 && got.data[6] == ' ')
            got = (struct weft_span){got.data + 7, got.len - 7};
        else
            got = (struct weft_span){NULL, 0};
    }
    if (got.data && got.len == bytes && CRYPTO_memcmp(got.data, key, bytes) == 0)
        return true;
    char text[512];
    if (!head->query.data || weft_http1_query_get(head->query, "api_key", &got) != 1)
        return false;
    ssize_t n = weft_http1_percent_decode(got, true, text, sizeof text);
    return n == (ssize_t)bytes && CRYPTO_memcmp(text, key, bytes) == 0;
}

static void begin_body(struct peer *p)
{
    struct http *h = p->http;
    h->stage = HTTP_BODY;
    weft_http1_body_init(&h->body_reader, &h->head);
    if (h->head.expect_continue)
        sink_bytes(&p->sink, "HTTP/1.1 100 Continue\r\n\r\n", 25);
    peer_deadline(p, BODY_TIMEOUT_NS);
}

static void api_head(struct peer *p)
{
    struct http *h = p->http;
    const struct cast_config *cfg = p->worker->server->cfg;
    struct weft_span mode = weft_http1_field_get(&h->head, "X-Centrifugo-Error-Mode");
    if (h->head.method != WEFT_HTTP1_POST) {
        refuse(p, 405, NULL, "");
        return;
    }
    if (!key_fits(cfg, &h->head)) {
        refuse(p, 401, NULL, "");
        return;
    }
    if (p->worker->shard.draining) {
        refuse(p, 503, NULL, "");
        return;
    }
    h->transport_errors =
        strcmp(cfg->http_api.error_mode, "transport") == 0 || weft_span_is(mode, "transport");
    begin_body(p);
}

/* If-None-Match lists this tag (weak ones fit too), or is "*". */
static bool has_already(const struct weft_http1_head *head, const char *etag)
{
    struct weft_span got = weft_http1_field_get(head, "If-None-Match");
    return got.data && (weft_span_is(got, "*") || memmem(got.data, got.len, etag, strlen(etag)));
}

static void asset_head(struct peer *p)
{
    struct http *h = p->http;
    const struct console_asset *a = h->route.asset;
    char fields[1024];
    if (h->head.method != WEFT_HTTP1_GET && h->head.method != WEFT_HTTP1_HEAD) {
        refuse(p, 405, NULL, "");
        return;
    }
    if (h->head.framing != WEFT_HTTP1_NO_BODY)
        h->keep_alive = false;
    if (h->route.bare) {
        snprintf(fields, sizeof fields, "Location: %.900s/\r\n",
            p->worker->server->cfg->admin.handler_prefix);
        http_answer(p, 302, NULL, fields, (struct weft_span){NULL, 0});
        return;
    }
    snprintf(fields, sizeof fields, "%sETag: %s\r\n%s", CONSOLE_HEADERS, a->etag,
        p->listener == LISTENER_INTERNAL ? CONSOLE_POLICY(" ws: wss:") : CONSOLE_POLICY(""));
    if (has_already(&h->head, a->etag))
        http_answer(p, 304, NULL, fields, (struct weft_span){NULL, 0});
    else
        http_answer(p, 200, a->type, fields, (struct weft_span){(const char *)a->data, a->bytes});
}

static void init_head(struct peer *p)
{
    if (p->http->head.method != WEFT_HTTP1_GET)
        refuse(p, 405, NULL, "");
    else
        http_answer(p, 200, "application/json; charset=utf-8", NULL, weft_span_of("{}"));
}

/* The head is whole: answer, upgrade, or read the body. */
static void take_head(struct peer *p)
{
    struct http *h = p->http;
    h->keep_alive = h->head.keep_alive;
    route_find(p->worker, (enum listener_kind)p->listener, h->head.path, &h->route);
    switch (h->route.kind) {
    case ROUTE_WEBSOCKET:
        upgrade(p);
        break;
    case ROUTE_API:
    case ROUTE_API_LEGACY:
        api_head(p);
        break;
    case ROUTE_HEALTH:
        refuse(p, 200, "application/json", "{}");
        break;
    case ROUTE_METRICS:
        h->stage = HTTP_WORKING;
        if (h->head.framing != WEFT_HTTP1_NO_BODY)
            h->keep_alive = false;
        metrics_serve(p);
        break;
    case ROUTE_DEBUG:
        if (debug_head(p))
            begin_body(p);
        break;
    case ROUTE_INIT:
        init_head(p);
        break;
    case ROUTE_CONSOLE:
        asset_head(p);
        break;
    case ROUTE_ADMIN_INIT:
    case ROUTE_ADMIN_AUTH:
    case ROUTE_ADMIN_API:
    case ROUTE_ADMIN_STATE:
        if (admin_head(p))
            begin_body(p);
        break;
    default:
        refuse(p, 404, "text/plain; charset=utf-8", "404 page not found\n");
    }
}

/* ---- bytes ---- */

static bool keep_body(struct http *h, struct weft_span data)
{
    if (data.len == 0)
        return true;
    if (h->body_bytes + data.len > h->body_room) {
        size_t room = h->body_room * 2 + data.len;
        if (h->head.framing == WEFT_HTTP1_LENGTH && h->head.content_length <= (1 << 20))
            room = (size_t)h->head.content_length;
        char *grown = realloc(h->body, room + 1);
        if (!grown)
            return false;
        h->body = grown;
        h->body_room = room;
    }
    memcpy(h->body + h->body_bytes, data.data, data.len);
    h->body_bytes += data.len;
    return true;
}

static void take_body(struct peer *p)
{
    struct http *h = p->http;
    while (!h->body_reader.done && h->used < h->raw_bytes) {
        struct weft_span data;
        ssize_t n =
            weft_http1_body_read(&h->body_reader, h->raw + h->used, h->raw_bytes - h->used, &data);
        if (n < 0 || !keep_body(h, data)) {
            h->keep_alive = false;
            http_answer_text(p, n < 0 ? h->body_reader.status : 500,
                n < 0 && h->body_reader.status == 413 ? "Request Entity Too Large\n"
                                                      : "Bad Request\n");
            return;
        }
        h->used += (size_t)n;
    }
    if (!h->body_reader.done) {
        /* All of raw is used, and nothing of the head is looked at any more: let it go. */
        h->raw_bytes = h->used = 0;
        return;
    }
    h->stage = HTTP_WORKING;
    weft_loop_timer_stop(p->worker->shard.loop, &p->timer);
    if (h->route.kind == ROUTE_DEBUG)
        debug_serve(p);
    else if (h->admin)
        admin_serve(p);
    else
        api_serve(p);
}

/* Goes on with what raw holds; each step that changes the stage is followed by the next. */
static void advance(struct peer *p)
{
    struct http *h = p->http;
    if (h->stage == HTTP_HEAD && h->raw_bytes > 0) {
        ssize_t n = weft_http1_head_parse(&h->head, h->raw, h->raw_bytes);
        if (n == -EAGAIN)
            return;
        if (n < 0) {
            h->keep_alive = false;
            http_answer_text(p, h->head.status, h->head.status == 400 ? "Bad Request\n" : "");
            return;
        }
        h->used = (size_t)n;
        take_head(p);
    }
    if (p->http == h && p->mode == PEER_HTTP && h->stage == HTTP_BODY)
        take_body(p);
}

static bool raw_add(struct http *h, const char *bytes, size_t count)
{
    if (h->raw_bytes + count > h->raw_room) {
        size_t room = (h->raw_bytes + count) * 2;
        if (room < 1024)
            room = 1024;
        char *grown = realloc(h->raw, room);
        if (!grown)
            return false;
        h->raw = grown;
        h->raw_room = room;
    }
    memcpy(h->raw + h->raw_bytes, bytes, count);
    h->raw_bytes += count;
    return true;
}

/* Requests that wait for the one in work may not pile up: past this, reading stops. */
#define RAW_AHEAD (256u << 10)

bool httppeer_read(struct peer *p)
{
    struct worker *w = p->worker;
    struct http *h = p->http;
    if (!h) {
        h = http_of(p);
        if (!h)
            return false;
        http_reset(h);
    }
    advance(p);
    for (int i = 0; i < READS_A_TURN; i++) {
        if (p->mode == PEER_WEBSOCKET || p->mode == PEER_CLOSING)
            return wspeer_read(p);
        if (p->mode != PEER_HTTP)
            return true;
        if (h->stage == HTTP_WORKING && h->raw_bytes > RAW_AHEAD)
            return true; /* the answer calls back for what raw holds */
        ssize_t n = weft_loop_recv(w->shard.loop, &p->sink.io, w->buf, WORKER_BUF_BYTES);
        if (n == -EAGAIN)
            return true;
        if (n <= 0)
            return false;
        if (httppeer_idle(p))
            peer_deadline(p, HEAD_TIMEOUT_NS);
        if (!raw_add(h, w->buf, (size_t)n))
            return false;
        advance(p);
    }
    weft_loop_io_again(w->shard.loop, &p->sink.io, WEFT_LOOP_READ);
    return true;
}

void httppeer_timeout(struct peer *p)
{
    struct http *h = p->http;
    if (!h || h->raw_bytes == 0 || h->stage == HTTP_WORKING) {
        peer_free(p);
        return;
    }
    h->keep_alive = false;
    http_answer_text(p, 408, "Request Timeout\n");
}
