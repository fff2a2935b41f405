// SPDX-License-Identifier: Apache-2.0
/*
 * http_reply.c - what a server sends back.
 *
 * Fields are formatted as the handler names them, into a buffer that has room in front for what is
 * known last, the status line and the date, so that the head is one piece and goes out with the
 * body (or its first piece) in one system call:
 *
 *      out       ROOM                          len        cap
 *       |  free   | fields ... end  gathered    |   free   |
 *            ^at: status line, date
 *
 * Framing: a length that is known is told; else the body goes in chunks, to HTTP/1.0 until the
 * connection ends. What this connection does next is decided when the head is made: it closes when
 * the client or the handler wants that, the server is stopping, or a body is coming that nobody
 * will read. A body that turns out shorter than told, or a handler that fails half-way, cuts the
 * connection, as nothing else would tell the client.
 *
 * The date is formatted once a second and connection; sharing it would cost a lock or a fence.
 */
#include "net/http_conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/futex.h"

/* ROOM: the longest registered status line has 46 bytes, the date's field 37. */
enum { ROOM = 96, FIRST_BYTES = 4096, MOST_BYTES = 64 << 10 };

int weft__http_reply_init(weft_http_reply *r)
{
    *r = (weft_http_reply){.out = weft__alloc(FIRST_BYTES), .date_s = -1};
    r->cap = r->out ? FIRST_BYTES : 0;
    return r->out ? 0 : -ENOMEM;
}

void weft__http_reply_fini(weft_http_reply *r)
{
    weft__free(r->out);
    r->out = NULL;
    r->cap = 0;
}

void weft__http_reply_begin(weft_http_reply *r, bool keep_alive)
{
    r->phase = WEFT__REPLY_OPEN;
    r->code = 200;
    r->error = 0;
    r->close = !keep_alive;
    r->chunked = r->has_length = false;
    r->bodiless = weft__http_of_reply(r)->in.head.method == WEFT_HTTP1_HEAD;
    r->length = r->written = 0;
    r->at = r->len = ROOM;
}

static int fail(weft_http_reply *r, int error)
{
    r->error = error;
    r->close = true;
    return error;
}

/* ---- the head ---- */

static int room_for(weft_http_reply *r, size_t bytes)
{
    if (r->cap - r->len >= bytes)
        return 0;
    size_t cap = r->cap * 2;
    while (cap - r->len < bytes && cap < MOST_BYTES)
        cap *= 2;
    if (cap > MOST_BYTES || cap - r->len < bytes)
        return -ENOBUFS;
    char *out = weft__realloc(r->out, cap);
    if (!out)
        return -ENOMEM;
    r->out = out;
    r->cap = cap;
    return 0;
}

static int put_field(weft_http_reply *r, const char *name, struct weft_span value)
{
    size_t bytes = strlen(name) + value.len + 4;
    int rc = room_for(r, bytes + 2); /* and the empty line, whenever it comes */
    if (rc < 0)
        return rc;
    struct weft_http1_writer w = {.buf = r->out + r->len, .cap = bytes};
    weft_http1_write_field(&w, name, value);
    if (w.error)
        return w.error;
    r->len += w.len;
    return 0;
}

static int put_length(weft_http_reply *r)
{
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)r->length);
    return put_field(r, "Content-Length", (struct weft_span){digits, (size_t)n});
}

/* The status line and the date, in front of the fields. */
static void put_front(weft_http_reply *r)
{
    char line[ROOM];
    struct weft_http1_writer w;
    int64_t now_s = weft__wall_s();
    if (now_s != r->date_s) {
        r->date_s = now_s;
        weft_http1_date(r->date, r->date_s);
    }
    weft_http1_write_response(&w, line, sizeof line, r->code);
    weft_http1_write_field(&w, "Date", (struct weft_span){r->date, sizeof r->date});
    WEFT_CHECK(w.error == 0);
    r->at = ROOM - w.len;
    memcpy(r->out + r->at, line, w.len);
}

/* Whether a body is on its way that would have to be dropped at length before the next request. */
static bool body_in_the_way(const weft_http_request *c)
{
    const struct weft__message *m = &c->in;
    if (m->body.done)
        return false;
    if (m->head.expect_continue && !c->continued)
        return true;
    return m->head.framing == WEFT_HTTP1_LENGTH &&
           m->head.content_length - m->body.taken > WEFT__HTTP_SKIP_MAX;
}

/* Makes the head; nothing is sent yet. */
static int start(weft_http_reply *r)
{
    const weft_http_request *c = weft__http_of_reply(r);
    bool framed = r->code != 204 && r->code != 304, old = c->in.head.minor == 0;
    int rc = 0;
    WEFT_ASSERT(r->phase == WEFT__REPLY_OPEN);
    if (!framed)
        r->bodiless = true;
    r->chunked = framed && !r->has_length && !old;
    if (at_load(&c->server->stopping) || c->in.error || body_in_the_way(c) ||
        (framed && !r->has_length && old))
        r->close = true;
    if (framed && r->has_length)
        rc = put_length(r);
    else if (r->chunked)
        rc = put_field(r, "Transfer-Encoding", weft_span_of("chunked"));
    if (rc == 0 && r->close)
        rc = put_field(r, "Connection", weft_span_of("close"));
    else if (rc == 0 && old)
        rc = put_field(r, "Connection", weft_span_of("keep-alive"));
    if (rc == 0)
        rc = room_for(r, 2);
    if (rc < 0)
        return fail(r, rc);
    memcpy(r->out + r->len, "\r\n", 2);
    r->len += 2;
    put_front(r);
    r->phase = WEFT__REPLY_BODY;
    return 0;
}

int weft_http_reply_status(weft_http_reply *r, int code)
{
    if (r->phase != WEFT__REPLY_OPEN)
        return -EALREADY;
    if (code < 200 || code > 599)
        return -EINVAL;
    r->code = code;
    return 0;
}

int weft_http_reply_field(weft_http_reply *r, const char *name, const char *value)
{
    struct weft_span n = weft_span_of(name);
    if (r->phase != WEFT__REPLY_OPEN)
        return -EALREADY;
    if (weft_span_is_nocase(n, "Date") || weft_span_is_nocase(n, "Content-Length") ||
        weft_span_is_nocase(n, "Transfer-Encoding"))
        return -EINVAL;
    if (weft_span_is_nocase(n, "Connection")) {
        if (!weft_span_is_nocase(weft_span_of(value), "close"))
            return -EINVAL;
        r->close = true;
        return 0;
    }
    return put_field(r, name, weft_span_of(value));
}

int weft_http_reply_length(weft_http_reply *r, uint64_t bytes)
{
    if (r->phase != WEFT__REPLY_OPEN)
        return -EALREADY;
    r->has_length = true;
    r->length = bytes;
    return 0;
}

/* ---- the body ---- */

/* Sends what is gathered, and iov[1 .. count) behind it; iov[0] is filled here. */
static int emit(weft_http_reply *r, struct iovec *iov, int count)
{
    weft_http_request *c = weft__http_of_reply(r);
    iov[0] = (struct iovec){.iov_base = r->out + r->at, .iov_len = r->len - r->at};
    int rc = weft__net_send(c->in.s.fd, iov, count, c->server->write_ns, NULL);
    weft_ctx_block apart;
    if (rc == -ECANCELED && weft__http_conn_step_out(c, &apart)) { /* H3: it may still read */
        rc = weft__net_send(c->in.s.fd, iov, count, c->server->write_ns, NULL);
        weft_ctx_leave(&apart);
    }
    r->at = r->len = ROOM;
    return rc < 0 ? fail(r, rc) : 0;
}

static int emit_gathered(weft_http_reply *r)
{
    struct iovec iov[1];
    return r->at == r->len ? 0 : emit(r, iov, 1);
}

int weft_http_reply_send(weft_http_reply *r, const void *body, size_t bytes)
{
    if (r->error)
        return r->error;
    if (r->phase != WEFT__REPLY_OPEN)
        return -EALREADY;
    r->has_length = true;
    r->length = bytes;
    int rc = start(r);
    if (rc < 0)
        return rc;
    struct iovec iov[2] = {[1] = {(void *)(uintptr_t)body, r->bodiless ? 0 : bytes}};
    r->phase = WEFT__REPLY_ENDED;
    r->written = bytes;
    return emit(r, iov, 2);
}

int weft_http_reply_text(weft_http_reply *r, int code, const char *text)
{
    int rc = weft_http_reply_status(r, code);
    if (rc == 0)
        rc = weft_http_reply_field(r, "Content-Type", "text/plain; charset=utf-8");
    return rc < 0 ? rc : weft_http_reply_send(r, text, strlen(text));
}

static void gather(weft_http_reply *r, const void *data, size_t bytes)
{
    memcpy(r->out + r->len, data, bytes);
    r->len += bytes;
}

/* One piece: into the buffer if it fits, else out with what is there. */
static int piece(weft_http_reply *r, const void *data, size_t bytes)
{
    char head[WEFT_HTTP1_CHUNK_HEAD_BYTES];
    size_t n = r->chunked ? weft_http1_chunk_head(head, bytes) : 0, tail = r->chunked ? 2 : 0;
    if (r->cap - r->len >= n + tail && bytes <= r->cap - r->len - n - tail) {
        gather(r, head, n);
        gather(r, data, bytes);
        gather(r, WEFT_HTTP1_CHUNK_END, tail);
        return 0;
    }
    struct iovec iov[4] = {
        [1] = {head, n},
        [2] = {(void *)(uintptr_t)data, bytes},
        [3] = {(void *)(uintptr_t)WEFT_HTTP1_CHUNK_END, tail},
    };
    return emit(r, iov, 4);
}

/* In the middle of a body, whatever had to come before it. */
static int enter_body(weft_http_reply *r)
{
    if (r->error)
        return r->error;
    if (r->phase == WEFT__REPLY_ENDED)
        return -EALREADY;
    return r->phase == WEFT__REPLY_OPEN ? start(r) : 0;
}

int weft_http_reply_write(weft_http_reply *r, const void *data, size_t bytes)
{
    int rc = enter_body(r);
    if (rc < 0 || bytes == 0)
        return rc;
    if (r->has_length && bytes > r->length - r->written)
        return -EMSGSIZE;
    r->written += bytes;
    return r->bodiless ? 0 : piece(r, data, bytes);
}

int weft_http_reply_flush(weft_http_reply *r)
{
    int rc = enter_body(r);
    return rc < 0 ? rc : emit_gathered(r);
}

/* ---- around the handler ---- */

int weft__http_reply_continue(weft_http_reply *r)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    weft_http_request *c = weft__http_of_reply(r);
    struct iovec iov = {(void *)(uintptr_t)line, sizeof line - 1};
    int rc = weft__net_send(c->in.s.fd, &iov, 1, c->server->write_ns, NULL);
    return rc < 0 ? fail(r, rc) : 0;
}

/* Instead of what the handler did not say. Its fields are dropped. */
static void send_failure(weft_http_reply *r, int code)
{
    char text[64];
    bool bodiless = r->bodiless;
    weft__http_reply_begin(r, false);
    r->bodiless = bodiless;
    snprintf(text, sizeof text, "%s\n", weft_http1_reason(code));
    (void)weft_http_reply_text(r, code, text);
}

static void end_body(weft_http_reply *r)
{
    if (r->chunked && !r->bodiless) {
        struct iovec iov[2] = {
            [1] = {(void *)(uintptr_t)WEFT_HTTP1_LAST_CHUNK, sizeof WEFT_HTTP1_LAST_CHUNK - 1}};
        (void)emit(r, iov, 2);
    } else {
        (void)emit_gathered(r);
    }
    if (r->has_length && !r->bodiless && r->written < r->length)
        r->close = true;
    r->phase = WEFT__REPLY_ENDED;
}

bool weft__http_reply_finish(weft_http_reply *r, int result, int fallback)
{
    if (result < 0 && r->phase == WEFT__REPLY_OPEN && !r->error)
        send_failure(r, fallback);
    else if (result < 0 && r->phase == WEFT__REPLY_BODY)
        return false; /* cut, and not ended as if it were whole */
    else if (r->phase == WEFT__REPLY_OPEN && !r->has_length)
        (void)weft_http_reply_send(r, NULL, 0);
    else if (r->phase != WEFT__REPLY_ENDED && enter_body(r) == 0)
        end_body(r);
    return !r->error && !r->close;
}
