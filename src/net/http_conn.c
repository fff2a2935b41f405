// SPDX-License-Identifier: Apache-2.0
/*
 * http_conn.c - one connection: a head comes in, a handler answers, and again; http_conn.h has the
 * rules, http_reply.c the way back.
 *
 *     wait for a byte (idle limit) ─> read the head (its limit, from that byte) ─> handler
 *       ─> finish the reply ─> drop what is left of the body ─> wait ...
 *
 * The head's limit is a point in time fixed at its first byte, so a peer that sends a byte a second
 * is cut off no later than one that sends nothing. A body has a limit as a whole too.
 *
 * Hanging up: whenever something of the peer's may be unread (a refused request, a body that nobody
 * wanted), our side is ended first and the rest dropped for a moment, as a reset would take the
 * reply away from under the peer's eyes.
 */
#include "net/http_conn.h"

#include <weft/error.h>
#include <weft/fiber.h>
#include <weft/net.h>
#include <weft/panic.h>
#include <weft/run.h>

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/log.h"
#include "io/poller.h"

static const int64_t linger_ns = 1 * WEFT_SEC;

weft_http_request *weft__http_conn_new(struct weft__http_server *s, int fd)
{
    weft_http_request *c = weft__zalloc(sizeof *c);
    if (!c)
        return NULL;
    c->server = s;
    c->in.s.fd = fd;
    if (weft__buf_init(&c->in.s.in, WEFT__HTTP_BUF_BYTES) < 0 ||
        weft__http_reply_init(&c->reply) < 0) {
        c->in.s.fd = -1;
        weft__http_conn_free(c);
        return NULL;
    }
    return c;
}

void weft__http_conn_free(weft_http_request *c)
{
    weft_close(c->in.s.fd);
    weft__buf_fini(&c->in.s.in);
    weft__http_reply_fini(&c->reply);
    weft__free(c->in.whole);
    weft__free(c->in.kept);
    weft__free(c);
}

/* ---- a request comes in ---- */

/* True with the first byte of a head. */
static bool await_request(weft_http_request *c, int64_t limit_ns)
{
    if (weft__buf_unread(&c->in.s.in))
        return true;
    at_store(&c->state, WEFT__HTTP_IDLE); /* H2 */
    if (at_load(&c->server->stopping))
        return false;
    ssize_t n = weft__stream_fill(&c->in.s, weft__net_deadline(limit_ns));
    at_store(&c->state, WEFT__HTTP_BUSY);
    return n > 0;
}

/* Refuses what is no request. A connection that broke gets no answer. */
static void refuse(weft_http_request *c, int rc)
{
    int status = rc == -ETIMEDOUT ? 408 : c->in.head.status;
    if (rc == -EBADMSG && status == 0)
        status = 400; /* cut short: the peer may still read */
    if (status == 0)
        return;
    weft__http_reply_begin(&c->reply, false);
    c->reply.bodiless = false; /* the method may not have been read */
    weft__http_reply_finish(&c->reply, rc, status);
    c->linger = true;
}

static bool read_head(weft_http_request *c)
{
    weft_http1_request_init(&c->in.head, &c->server->limits);
    /* Most heads come in one piece: then no clock is read for the limit. */
    struct weft__buf *b = &c->in.s.in;
    int64_t deadline_ns = -1;
    if (weft_http1_head_parse(&c->in.head, b->data + b->at, b->end - b->at) == -EAGAIN)
        deadline_ns = weft__net_deadline(c->server->head_ns);
    int rc = weft__message_head(&c->in, deadline_ns);
    if (rc < 0 && rc != -ECANCELED)
        refuse(c, rc);
    return rc > 0;
}

/* ---- and is answered ---- */

/* H3: once the body is read. A stopping server shuts reading ends itself (H2). */
static void watch(weft_http_request *c)
{
    if (c->watched || !c->in.body.done || c->in.s.fd < 0 || weft_ctx_err(c->call) ||
        at_load(&c->server->stopping))
        return;
    c->watched = true;
    weft__fd_watch(c->in.s.fd, c->call);
}

static void unwatch(weft_http_request *c)
{
    if (c->watched)
        weft__fd_unwatch(c->in.s.fd);
    c->watched = false;
}

bool weft__http_conn_step_out(weft_http_request *c, weft_ctx_block *b)
{
    if (!c->call || weft_ctx_err(c->call) == 0)
        return false;
    weft_ctx_enter(b, c->ctx);
    return true;
}

static int call_handler(void *p)
{
    weft_http_request *c = p;
    return c->server->handler(c, &c->reply, c->server->arg);
}

/* What a handler's negative result says to the client. */
static int status_for(const weft_http_request *c, int result)
{
    if (result == c->in.error && result == -ETIMEDOUT)
        return 408;
    if (result == c->in.error && result == -EMSGSIZE)
        return 413;
    if (result == c->in.error && result == -EBADMSG)
        return 400;
    return 500;
}

static int run_handler(weft_http_request *c)
{
    weft_panic_info *panic = NULL;
    weft_ctx_block under;
    if (!c->call)
        c->call = weft_ctx_with_cause(c->ctx, INT64_MAX, weft_error_ref(c->server->hung_up));
    weft_ctx_enter(&under, c->call);
    watch(c);
    int rc = weft_try(call_handler, c, &panic);
    unwatch(c);
    weft_ctx_leave(&under);
    if (rc == -WEFT_EPANIC) {
        weft__log(WEFT_LOG_WARNING, "http: the handler of %.*s %.*s panicked: %s",
            (int)c->in.head.method_name.len, c->in.head.method_name.data, (int)c->in.head.path.len,
            c->in.head.path.data, panic ? weft_panic_message(panic) : "");
        weft_panic_free(panic);
    }
    return rc;
}

/* Whether the next request can follow: the body must be out of the way. */
static bool body_passed(weft_http_request *c)
{
    if (c->in.error)
        return false;
    if (c->in.body.done)
        return true;
    if (c->in.head.expect_continue && !c->continued)
        return false; /* the client may send the body or not: nobody can tell */
    int64_t limit_ns = c->server->body_ns;
    if (!c->body_deadline_ns)
        c->body_deadline_ns = weft__net_deadline(limit_ns);
    return weft__message_skip(&c->in, WEFT__HTTP_SKIP_MAX, c->body_deadline_ns) == 0;
}

static bool serve_one(weft_http_request *c)
{
    c->continued = false;
    c->body_deadline_ns = 0;
    weft__http_reply_begin(&c->reply, c->in.head.keep_alive);
    int rc = run_handler(c);
    if (at_load(&c->state) == WEFT__HTTP_TAKEN)
        return false;
    bool goes_on = weft__http_reply_finish(&c->reply, rc, status_for(c, rc));
    if (!goes_on || !body_passed(c)) {
        c->linger = !c->in.body.done || weft__buf_unread(&c->in.s.in) > 0;
        return false;
    }
    weft__message_next(&c->in);
    return true;
}

int weft__http_conn_main(void *p)
{
    weft_http_request *c = p;
    weft_ctx_block under;
    c->ctx = weft_ctx_with_cancel(weft_ctx_current());
    weft_ctx_enter(&under, c->ctx);
    int64_t limit_ns = c->server->head_ns; /* a new connection has something to say */
    while (await_request(c, limit_ns) && read_head(c) && serve_one(c))
        limit_ns = c->server->idle_ns;
    if (c->linger)
        weft__net_linger(c->in.s.fd, linger_ns);
    weft__http_conn_gone(c); /* H1 */
    weft_ctx_leave(&under);
    weft_ctx_free(c->call);
    weft_ctx_free(c->ctx);
    return 0;
}

/* ---- what a handler may ask ---- */

const struct weft_http1_head *weft_http_request_head(const weft_http_request *req)
{
    return &req->in.head;
}

bool weft_http_request_is(const weft_http_request *req, const char *method, const char *path)
{
    const struct weft_http1_head *h = &req->in.head;
    if (path && !weft_span_is(h->path, path))
        return false;
    return !method || weft_span_is(h->method_name, method) ||
           (h->method == WEFT_HTTP1_HEAD && strcmp(method, "GET") == 0);
}

struct weft_span weft_http_request_field(const weft_http_request *req, const char *name)
{
    return weft_http1_field_get(&req->in.head, name);
}

int weft_http_request_fd(const weft_http_request *req)
{
    return req->in.s.fd < 0 ? -EBADF : req->in.s.fd;
}

/* Before the first byte of a body is waited for. */
static int want_body(weft_http_request *c)
{
    if (c->body_deadline_ns)
        return 0;
    c->body_deadline_ns = weft__net_deadline(c->server->body_ns);
    if (!c->in.head.expect_continue || c->in.body.done || c->reply.phase != WEFT__REPLY_OPEN)
        return 0;
    c->continued = true;
    if (weft__buf_unread(&c->in.s.in))
        return 0; /* it comes already */
    return weft__http_reply_continue(&c->reply);
}

ssize_t weft_http_request_read(weft_http_request *req, void *buf, size_t bytes)
{
    if (bytes == 0)
        return -EINVAL;
    weft_ctx_block apart;
    bool out = weft__http_conn_step_out(req, &apart);
    ssize_t n = want_body(req);
    if (n == 0)
        n = weft__message_read(&req->in, buf, bytes, req->body_deadline_ns);
    if (out)
        weft_ctx_leave(&apart);
    watch(req);
    return n;
}

int weft_http_request_body(weft_http_request *req, size_t max, struct weft_span *ret_body)
{
    weft_ctx_block apart;
    bool out = weft__http_conn_step_out(req, &apart);
    int rc = want_body(req);
    if (max == 0)
        max = SIZE_MAX; /* the parser's limit holds */
    if (rc == 0)
        rc = weft__message_whole(&req->in, max, req->body_deadline_ns, ret_body);
    if (out)
        weft_ctx_leave(&apart);
    watch(req);
    return rc;
}

/* ---- taking over ---- */

/* Under the server's lock, so that a stopping server shuts no descriptor that is the handler's. */
static int take(weft_http_request *c)
{
    if (c->reply.phase != WEFT__REPLY_OPEN)
        return -EALREADY;
    unwatch(c); /* who takes it reads it */
    weft_mutex_lock(&c->server->lock);
    int fd = c->in.s.fd;
    c->in.s.fd = -1;
    at_store(&c->state, WEFT__HTTP_TAKEN); /* H2 */
    c->reply.phase = WEFT__REPLY_ENDED;
    weft_mutex_unlock(&c->server->lock);
    if (at_load(&c->server->stopping))
        weft_ctx_cancel(c->ctx);
    return fd;
}

int weft_http_request_hijack(weft_http_request *req, struct weft_span *ret_rest)
{
    int fd = take(req);
    if (fd < 0)
        return fd;
    const struct weft__buf *b = &req->in.s.in;
    *ret_rest = (struct weft_span){b->data + b->at, b->end - b->at};
    return fd;
}

int weft__http_conn_take(weft_http_request *c, struct weft__stream *ret_stream)
{
    if (c->reply.phase != WEFT__REPLY_OPEN)
        return -EALREADY;
    int rc = weft__message_keep(&c->in); /* H5 */
    if (rc < 0)
        return rc;
    int fd = take(c);
    WEFT_ASSERT(fd >= 0);
    *ret_stream = c->in.s;
    ret_stream->fd = fd;
    ret_stream->in.base = 0; /* the head is read: it may go */
    c->in.s = (struct weft__stream){.fd = -1};
    weft__http_reply_fini(&c->reply);
    return 0;
}
