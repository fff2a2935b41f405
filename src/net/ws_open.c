// SPDX-License-Identifier: Apache-2.0
/*
 * ws_open.c - how a WebSocket comes to be, on either side, and goes.
 *
 * Accepting takes the connection from the HTTP server with its buffer and whatever the client has
 * sent behind its request already (a client may not, before the answer, but the bytes are there).
 * Dialling reads the answer's head by the HTTP reader and keeps the stream. An idle WebSocket holds
 * this object and a buffer; at a server the request's head stays too, in as many bytes as it has,
 * since the handler may still ask for its path.
 */
#include "net/ws_conn.h"

#include <weft/error.h>
#include <weft/net.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "net/http_conn.h"
#include "net/url.h"

enum { ANSWER_BYTES = 512, REQUEST_BYTES = 16 << 10, OFFER_BYTES = 1024 };

static const weft_ws_opts *options(const weft_ws_opts *o)
{
    static const weft_ws_opts defaults = {.size = sizeof defaults};
    return !o ? &defaults : o->size < sizeof defaults ? NULL : o;
}

static weft_ws *new_ws(enum weft_ws_role role, const weft_ws_opts *o)
{
    weft_ws *ws = weft__zalloc(sizeof *ws);
    if (!ws)
        return NULL;
    ws->role = role;
    ws->s.fd = -1;
    ws->write_ns = weft__net_limit(o->write_timeout_ns, 60 * WEFT_SEC);
    ws->close_ns = weft__net_limit(o->close_timeout_ns, 5 * WEFT_SEC);
    ws->ping_ns = o->ping_interval_ns;
    ws->fragment_bytes = o->fragment_bytes;
    ws->end_code = WEFT_WS_ABNORMAL;
    weft_ws_reader_init(&ws->reader, role, o->message_max);
    weft_mutex_init(&ws->end_lock, "ws end");
    weft_cond_init(&ws->told, "ws end");
    weft_mutex_init(&ws->message_lock, "ws message");
    weft_mutex_init(&ws->frame_lock, "ws frame");
    weft_mutex_init(&ws->pong_lock, "ws pong");
    if (role == WEFT_WS_CLIENT && !(ws->scratch = weft__alloc(WEFT__WS_SCRATCH_BYTES))) {
        weft_ws_free(ws);
        return NULL;
    }
    return ws;
}

void weft_ws_free(weft_ws *ws)
{
    if (!ws)
        return;
    weft_close(ws->s.fd);
    weft__buf_fini(&ws->s.in);
    weft_cond_fini(&ws->told);
    weft_mutex_fini(&ws->end_lock);
    if (weft_mutex_held(&ws->message_lock)) /* a message in parts that was given up */
        weft_mutex_unlock(&ws->message_lock);
    weft_mutex_fini(&ws->message_lock);
    weft_mutex_fini(&ws->frame_lock);
    weft_mutex_fini(&ws->pong_lock);
    weft__free(ws->message);
    weft__free(ws->scratch);
    weft__free(ws->protocol);
    weft__free(ws);
}

static int set_protocol(weft_ws *ws, struct weft_span name)
{
    if (!name.len)
        return 0;
    ws->protocol = weft__zalloc(name.len + 1);
    if (!ws->protocol)
        return -ENOMEM;
    memcpy(ws->protocol, name.data, name.len);
    return 0;
}

const char *weft_ws_protocol(const weft_ws *ws)
{
    return ws->protocol ? ws->protocol : "";
}

int weft_ws_fd(const weft_ws *ws)
{
    return ws->s.fd;
}

/* ---- the server's side ---- */

static int refuse(weft_http_request *req, int status, const char *problem, int result)
{
    weft_http_reply *r = &req->reply;
    (void)weft_http_reply_field(r, "Connection", "close");
    if (status == 426) {
        (void)weft_http_reply_field(r, "Upgrade", "websocket");
        (void)weft_http_reply_field(r, "Sec-WebSocket-Version", "13");
    }
    int rc = weft_http_reply_text(r, status, problem);
    return rc < 0 ? rc : result;
}

/* Requests that come from no browser have no Origin, and pass. */
static bool origin_passes(struct weft_span origin, const char *const *origins)
{
    if (!origins || !origin.data)
        return true;
    for (; *origins; origins++)
        if (weft_span_is_nocase(origin, *origins))
            return true;
    return false;
}

static int answer(weft_ws *ws, const struct weft_ws_upgrade *up, struct weft_span protocol)
{
    char text[ANSWER_BYTES];
    ssize_t n = weft_ws_upgrade_accept(up, protocol, text, sizeof text);
    if (n < 0)
        return (int)n;
    struct iovec iov = {text, (size_t)n};
    return weft__net_send(ws->s.fd, &iov, 1, ws->write_ns, NULL);
}

int weft_ws_accept(weft_http_request *req, const weft_ws_opts *opts, weft_ws **ret_ws)
{
    const weft_ws_opts *o = options(opts);
    struct weft_ws_upgrade up;
    if (!o)
        return -EINVAL;
    if (req->reply.phase != WEFT__REPLY_OPEN)
        return -EALREADY;
    if (weft_ws_upgrade_check(&req->in.head, &up) < 0)
        return refuse(req, up.status, up.problem, -EPROTO);
    if (!origin_passes(up.origin, o->origins))
        return refuse(req, 403, "this Origin is not let in", -EACCES);
    struct weft_span protocol = weft_ws_protocol_choose(&req->in.head, o->protocols);
    weft_ws *ws = new_ws(WEFT_WS_SERVER, o);
    if (!ws)
        return -ENOMEM;
    int rc = set_protocol(ws, protocol);
    if (rc == 0)
        rc = weft__http_conn_take(req, &ws->s);
    if (rc == 0)
        rc = answer(ws, &up, protocol); /* of the head in the buffer: no frame has been read yet */
    if (rc < 0) {
        weft_ws_free(ws);
        return rc;
    }
    *ret_ws = ws;
    return 0;
}

/* ---- the client's side ---- */

static int write_offer(const char *const *protocols, char *out, size_t cap)
{
    size_t len = 0;
    out[0] = '\0';
    for (; protocols && *protocols; protocols++) {
        int n = snprintf(out + len, cap - len, "%s%s", len ? ", " : "", *protocols);
        if (n < 0 || (size_t)n >= cap - len)
            return -EINVAL;
        len += (size_t)n;
    }
    return 0;
}

static int send_request(int fd, const struct weft__url *url, const weft_ws_opts *o, const char *key,
    struct weft_span offer)
{
    struct weft_http1_writer w;
    char *text = weft__alloc(REQUEST_BYTES);
    if (!text)
        return -ENOMEM;
    weft_ws_request_begin(&w, text, REQUEST_BYTES, url->target, url->host, key, offer);
    for (size_t i = 0; i < o->field_count; i++)
        weft_http1_write_text(&w, o->fields[i].name, o->fields[i].value);
    ssize_t n = weft_http1_write_end(&w);
    int rc = n < 0 ? (int)n : 0;
    if (rc == 0) {
        struct iovec iov = {text, (size_t)n};
        rc = weft__net_send(fd, &iov, 1, -1, NULL);
    }
    weft__free(text);
    return rc;
}

static int read_answer(
    weft_ws *ws, struct weft__message *m, const char *key, struct weft_span offer)
{
    struct weft_span protocol;
    weft_http1_response_init(&m->head, NULL, WEFT_HTTP1_GET);
    int rc = weft__message_head(m, -1);
    if (rc <= 0)
        return rc < 0 ? rc : -ECONNRESET;
    rc = weft_ws_response_check(&m->head, key, offer, &protocol);
    if (rc == -ECONNREFUSED)
        return weft_fail(weft_error_new(rc, "the server answered %d %.*s, not 101", m->head.code,
            (int)m->head.reason.len, m->head.reason.data));
    return rc < 0 ? rc : set_protocol(ws, protocol);
}

static int shake_hands(weft_ws *ws, const struct weft__url *url, const weft_ws_opts *o)
{
    uint8_t nonce[16];
    char key[WEFT_WS_KEY_BYTES], offers[OFFER_BYTES];
    struct weft__message *m = weft__zalloc(sizeof *m); /* 2 KB, for a moment */
    if (!m)
        return -ENOMEM;
    offers[0] = '\0';
    int rc = weft__ws_random(nonce, sizeof nonce);
    if (rc == 0)
        rc = write_offer(o->protocols, offers, sizeof offers);
    struct weft_span offer = {offers[0] ? offers : NULL, offers[0] ? strlen(offers) : 0};
    if (rc == 0)
        rc = weft__buf_init(&m->s.in, WEFT__HTTP_BUF_BYTES);
    m->s.fd = ws->s.fd;
    weft_ws_key_encode(nonce, key);
    if (rc == 0)
        rc = send_request(ws->s.fd, url, o, key, offer);
    if (rc == 0)
        rc = read_answer(ws, m, key, offer);
    ws->s = m->s;
    ws->s.in.base = 0;
    weft__free(m);
    return rc;
}

int weft_ws_dial(const char *url, const weft_ws_opts *opts, weft_ws **ret_ws)
{
    const weft_ws_opts *o = options(opts);
    struct weft__url where;
    if (!o)
        return -EINVAL;
    int rc = weft__url_parse(url, "ws", "wss", &where);
    if (rc < 0)
        return rc;
    weft_ws *ws = new_ws(WEFT_WS_CLIENT, o);
    rc = ws ? weft_dial("tcp", where.address) : -ENOMEM;
    if (rc >= 0) {
        ws->s.fd = rc;
        rc = shake_hands(ws, &where, o);
    }
    weft__url_fini(&where);
    if (rc < 0) {
        weft_ws_free(ws);
        return rc;
    }
    *ret_ws = ws;
    return 0;
}
