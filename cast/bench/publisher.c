// SPDX-License-Identifier: Apache-2.0
/*
 * publisher.c - the open-loop publisher (publisher.h): a thread, a socket, and the clock.
 *
 *     message template  [ frame or request, its numbers zero ]      copied and filled for each
 *     out               [ sent | waiting for the socket | free ]
 *     in                [ begin of a frame or answer | free ]
 *
 * The thread does three things in turn: put what is due into `out` and send it, read the answers,
 * sleep until the next is due or the socket is ready (ppoll, to the nanosecond). A message that is
 * due while `out` is full waits its turn and keeps its intended time.
 */
#include "bench/publisher.h"
#include "bench/payload.h"
#include "bench/wsclient.h"
#include "protocol/outbuf.h"
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/http1.h>
#include <weft/loop.h>
#include <weft/wsproto.h>

enum { OUT_BYTES = 512 * 1024, IN_BYTES = 128 * 1024, OPEN_TIMEOUT_S = 10 };

struct run {
    struct publisher *p;
    char message[66000]; // the command or request as it is sent, but for masking
    size_t message_bytes, data_at, id_at;
    char out[OUT_BYTES], in[IN_BYTES];
    size_t out_from, out_to, in_bytes;
    uint64_t next; // number of the next message, from 0
};

static int problem(struct publisher *p, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int problem(struct publisher *p, int err, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(p->problem, sizeof(p->problem), fmt, ap);
    va_end(ap);
    return err;
}

/* ---- joining, with plain timeouts: nothing is measured yet ---- */

static int wait_for(struct publisher *p, short events, int64_t until_ns)
{
    struct pollfd f = {.fd = p->fd, .events = events};
    int64_t left = until_ns - wsclient_now_ns();
    int rc = left > 0 ? poll(&f, 1, (int)(left / 1000000) + 1) : 0;
    return rc > 0 ? 0 : problem(p, -ETIMEDOUT, "the publisher's connection timed out");
}

static int send_all(struct publisher *p, const char *data, size_t bytes, int64_t until_ns)
{
    while (bytes > 0) {
        ssize_t n = send(p->fd, data, bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            int rc = wait_for(p, POLLOUT, until_ns);
            if (rc < 0)
                return rc;
        } else if (n < 0) {
            return problem(p, -errno, "the publisher could not send: %s", strerrordesc_np(errno));
        } else {
            data += n;
            bytes -= (size_t)n;
        }
    }
    return 0;
}

/* One more read into buf; returns the bytes, or a negative errno (the end included). */
static ssize_t recv_some(struct publisher *p, char *buf, size_t room, int64_t until_ns)
{
    for (;;) {
        ssize_t n = recv(p->fd, buf, room, MSG_DONTWAIT);
        if (n > 0)
            return n;
        if (n == 0)
            return problem(p, -ECONNRESET, "the server ended the publisher's connection");
        if (errno != EAGAIN)
            return problem(p, -errno, "the publisher could not read: %s", strerrordesc_np(errno));
        int rc = wait_for(p, POLLIN, until_ns);
        if (rc < 0)
            return rc;
    }
}

static int upgrade(struct publisher *p, int64_t until_ns)
{
    char buf[8192];
    size_t bytes = 0;
    int status = 0;
    ssize_t n = wsclient_request(p->opts, buf, sizeof(buf));
    int rc = n < 0 ? (int)n : send_all(p, buf, (size_t)n, until_ns);
    while (rc == 0) {
        n = recv_some(p, buf + bytes, sizeof(buf) - bytes, until_ns);
        if (n < 0)
            return (int)n;
        bytes += (size_t)n;
        n = wsclient_answer(buf, bytes, &status);
        if (n >= 0) // a server says nothing before our first command
            return (size_t)n == bytes ? 0 : problem(p, -EPROTO, "bytes behind the upgrade");
        if (n != -EAGAIN || bytes == sizeof(buf))
            return problem(p, (int)n, "the publisher's upgrade failed (HTTP status %d)", status);
    }
    return rc;
}

static int closed(struct publisher *p, const struct wsclient_frame *f)
{
    const unsigned char *u = (const unsigned char *)f->data;
    if (f->bytes < 2)
        return problem(p, -ECONNRESET, "the server closed the publisher's connection");
    return problem(p, -ECONNRESET, "the server closed the publisher's connection: %d %.*s",
        u[0] << 8 | u[1], (int)f->bytes - 2, f->data + 2);
}

static int join(struct publisher *p, int64_t until_ns)
{
    char hello[8192], buf[8192 + 64];
    size_t bytes = wsclient_hello(p->opts, false, hello, sizeof(hello));
    struct wsclient_frame f;
    int rc = bytes ? send_all(p, buf, wsclient_frame(buf, WEFT_WS_OP_TEXT, hello, bytes), until_ns)
                   : problem(p, -EMSGSIZE, "the token is too long");
    bytes = 0;
    while (rc == 0) {
        ssize_t n = recv_some(p, buf + bytes, sizeof(buf) - bytes, until_ns);
        if (n < 0)
            return (int)n;
        bytes += (size_t)n;
        n = wsclient_next(buf, bytes, &f);
        if (n < 0 || (n == 0 && bytes == sizeof(buf)))
            return problem(p, -EPROTO, "the connect reply cannot be read");
        if (n == 0)
            continue;
        if (f.opcode == WEFT_WS_OP_TEXT && memmem(f.data, f.bytes, "\"connect\":{", 11))
            return 0;
        if (f.opcode == WEFT_WS_OP_CLOSE)
            return closed(p, &f);
        return problem(p, -EACCES, "the server refused the publisher: %.*s",
            (int)(f.bytes < 120 ? f.bytes : 120), f.data);
    }
    return rc;
}

int publisher_open(struct publisher *p, const struct bench_opts *opts)
{
    int64_t until_ns = wsclient_now_ns() + OPEN_TIMEOUT_S * INT64_C(1000000000);
    weft_loop_dial_opts d = {.size = sizeof(d), .nodelay = true};
    *p = (struct publisher){.opts = opts, .fd = -1};
    int fd = weft_loop_dial(opts->host, &d);
    if (fd < 0)
        return problem(p, fd, "the publisher cannot connect: %s", strerrordesc_np(-fd));
    p->fd = fd;
    int rc = wait_for(p, POLLOUT, until_ns);
    if (rc == 0 && (rc = weft_loop_dial_result(fd)) < 0)
        problem(p, rc, "the publisher cannot connect: %s", strerrordesc_np(-rc));
    if (rc == 0 && !opts->publish_api && (rc = upgrade(p, until_ns)) == 0)
        rc = join(p, until_ns);
    if (rc < 0) {
        close(p->fd);
        p->fd = -1;
    }
    return rc;
}

/* ---- publishing ---- */

/* The template; data_at and id_at are where numbers go in it. */
static void build_message(struct run *r)
{
    const struct bench_opts *o = r->p->opts;
    char body[64 * 1024];
    struct cast_out b, m;
    size_t data_in_body, id_in_body = 0;
    cast_out_init_fixed(&b, body, sizeof(body));
    cast_out_init_fixed(&m, r->message, sizeof(r->message));
    if (!o->publish_api) {
        CAST_OUT_LIT(&b, "{\"id\":");
        id_in_body = b.used;
        CAST_OUT_LIT(&b, "1000000000,\"publish\":");
    }
    CAST_OUT_LIT(&b, "{\"channel\":");
    cast_out_string(&b, weft_span_of(o->channel));
    CAST_OUT_LIT(&b, ",\"data\":");
    data_in_body = b.used;
    payload_init(body + b.used, o->payload_bytes);
    b.used += o->payload_bytes;
    CAST_OUT_LIT(&b, "}");
    if (!o->publish_api) {
        CAST_OUT_LIT(&b, "}");
    } else {
        struct weft_http1_writer w;
        weft_http1_write_request(&w, r->message, sizeof(r->message), "POST",
            weft_span_of(o->api_path), weft_span_of(o->host));
        if (o->api_key)
            weft_http1_write_text(&w, "X-API-Key", o->api_key);
        weft_http1_write_text(&w, "Content-Type", "application/json");
        weft_http1_write_number(&w, "Content-Length", b.used);
        ssize_t head = weft_http1_write_end(&w);
        m.used = head > 0 ? (size_t)head : 0;
    }
    r->id_at = m.used + id_in_body;
    r->data_at = m.used + data_in_body;
    cast_out_put(&m, cast_out_span(&b));
    r->message_bytes = m.used;
}

/* Message ids run from 1000000000 on, so that every command is equally long. */
static void set_id(char *to, uint64_t n)
{
    for (int i = 9; i >= 1; i--, n /= 10)
        to[i] = (char)('0' + n % 10);
}

/* Append message number r->next; false when there is no room. */
static bool put_message(struct run *r, int64_t due_ns)
{
    if (OUT_BYTES - r->out_to < r->message_bytes + WEFT_WS_HEAD_MAX)
        return false;
    payload_set(r->message + r->data_at, r->next + 1, due_ns);
    char *to = r->out + r->out_to;
    if (r->p->opts->publish_api) {
        memcpy(to, r->message, r->message_bytes);
        r->out_to += r->message_bytes;
    } else {
        set_id(r->message + r->id_at, r->next);
        r->out_to += wsclient_frame(to, WEFT_WS_OP_TEXT, r->message, r->message_bytes);
    }
    r->next++;
    return true;
}

static int64_t due_at(const struct run *r)
{
    return r->p->start_ns + (int64_t)((double)r->next / r->p->opts->rate * 1e9);
}

static void put_due(struct run *r)
{
    int64_t now = wsclient_now_ns(), due;
    while (r->next < r->p->total && (due = due_at(r)) <= now && put_message(r, due))
        latency_record(&r->p->late, now - due);
    atomic_store(&r->p->sent, r->next);
}

static int send_out(struct run *r)
{
    while (r->out_from < r->out_to) {
        ssize_t n = send(
            r->p->fd, r->out + r->out_from, r->out_to - r->out_from, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) {
            memmove(r->out, r->out + r->out_from, r->out_to - r->out_from);
            r->out_to -= r->out_from;
            r->out_from = 0;
            return 0;
        }
        if (n < 0)
            return problem(r->p, -errno, "publishing failed: %s", strerrordesc_np(errno));
        r->out_from += (size_t)n;
    }
    r->out_from = r->out_to = 0;
    return 0;
}

static int take_text(struct run *r, const char *text, size_t bytes)
{
    const char *end = text + bytes, *feed;
    for (const char *p = text; p < end; p = feed ? feed + 1 : end) {
        feed = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((feed ? feed : end) - p);
        if (n == 2 && r->out_to + 64 < OUT_BYTES)
            r->out_to += wsclient_frame(r->out + r->out_to, WEFT_WS_OP_TEXT, "{}", 2);
        else if (memmem(p, n, "\"error\":", 8))
            return problem(
                r->p, -EACCES, "a publication was refused: %.*s", n < 120 ? (int)n : 120, p);
        else if (n > 2)
            atomic_store(&r->p->answered, atomic_load(&r->p->answered) + 1);
    }
    return 0;
}

/* One frame of the client connection. Returns its bytes, 0 not whole, or a negative errno. */
static ssize_t take_frame(struct run *r, const char *buf, size_t bytes)
{
    struct wsclient_frame f;
    ssize_t n = wsclient_next(buf, bytes, &f);
    int rc = 0;
    if (n <= 0)
        return n < 0 ? problem(r->p, (int)n, "a frame that cannot be") : 0;
    if (f.opcode == WEFT_WS_OP_TEXT)
        rc = take_text(r, f.data, f.bytes);
    else if (f.opcode == WEFT_WS_OP_PING && r->out_to + 256 < OUT_BYTES)
        r->out_to += wsclient_frame(r->out + r->out_to, WEFT_WS_OP_PONG, f.data, f.bytes);
    else if (f.opcode == WEFT_WS_OP_CLOSE)
        rc = closed(r->p, &f);
    return rc < 0 ? rc : n;
}

/* One answer of the HTTP API, the same way. */
static ssize_t take_answer(struct run *r, const char *buf, size_t bytes)
{
    struct weft_http1_head head;
    struct weft_http1_body body;
    struct weft_span data;
    weft_http1_response_init(&head, NULL, WEFT_HTTP1_POST);
    ssize_t n = weft_http1_head_parse(&head, buf, bytes);
    if (n == -EAGAIN)
        return 0;
    if (n < 0)
        return problem(r->p, (int)n, "the HTTP API's answer cannot be read");
    size_t at = (size_t)n;
    weft_http1_body_init(&body, &head);
    while (!body.done) {
        n = weft_http1_body_read(&body, buf + at, bytes - at, &data);
        if (n < 0)
            return problem(r->p, (int)n, "the HTTP API's answer cannot be read");
        if (n == 0 && !body.done)
            return 0;
        at += (size_t)n;
        if (data.len && memmem(data.data, data.len, "\"error\":", 8))
            return problem(r->p, -EACCES, "a publication was refused: %.*s",
                data.len < 120 ? (int)data.len : 120, data.data);
    }
    if (head.code != 200)
        return problem(r->p, -EACCES, "the HTTP API answered with status %d", head.code);
    atomic_store(&r->p->answered, atomic_load(&r->p->answered) + 1);
    return (ssize_t)at;
}

static int read_answers(struct run *r)
{
    bool api = r->p->opts->publish_api;
    ssize_t n;
    while ((n = recv(r->p->fd, r->in + r->in_bytes, IN_BYTES - r->in_bytes, MSG_DONTWAIT)) > 0) {
        size_t at = 0, bytes = r->in_bytes + (size_t)n;
        while (at < bytes) {
            ssize_t took = api ? take_answer(r, r->in + at, bytes - at)
                               : take_frame(r, r->in + at, bytes - at);
            if (took < 0)
                return (int)took;
            if (took == 0)
                break;
            at += (size_t)took;
        }
        memmove(r->in, r->in + at, bytes - at);
        r->in_bytes = bytes - at;
        if (r->in_bytes == IN_BYTES)
            return problem(r->p, -EMSGSIZE, "an answer larger than the buffer");
    }
    if (n == 0)
        return problem(r->p, -ECONNRESET, "the server ended the publisher's connection");
    return errno == EAGAIN ? 0
                           : problem(r->p, -errno, "reading answers: %s", strerrordesc_np(errno));
}

/* Until the next message is due, the socket is ready, or (at the end) a little while. */
static void sleep_some(const struct run *r)
{
    struct pollfd f = {.fd = r->p->fd, .events = POLLIN};
    int64_t left = INT64_C(20000000);
    if (r->out_to > r->out_from)
        f.events |= POLLOUT;
    if (r->next < r->p->total) {
        int64_t until_due = due_at(r) - wsclient_now_ns();
        if (until_due < left)
            left = until_due;
    }
    if (left <= 0 && r->out_to == r->out_from)
        return;
    if (left < 0)
        left = 0; // due, but out may be full: then only the socket can help
    if (OUT_BYTES - r->out_to < r->message_bytes + WEFT_WS_HEAD_MAX)
        left = INT64_C(1000000);
    struct timespec t = {left / 1000000000, left % 1000000000};
    ppoll(&f, 1, &t, NULL);
}

static void *publish(void *arg)
{
    struct run *r = arg;
    struct publisher *p = r->p;
    int rc = 0;
    prctl(PR_SET_TIMERSLACK, 1UL);
    build_message(r);
    while (rc == 0 && !atomic_load(&p->stop)) {
        put_due(r);
        rc = send_out(r);
        if (rc == 0)
            rc = read_answers(r);
        if (rc < 0 || (r->next == p->total && atomic_load(&p->answered) >= p->total))
            break;
        sleep_some(r);
    }
    free(r);
    atomic_store(&p->ended, true);
    return NULL;
}

int publisher_start(struct publisher *p, int64_t start_ns, uint64_t total)
{
    struct run *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->p = p;
    p->start_ns = start_ns;
    p->total = total;
    int rc = -pthread_create(&p->thread, NULL, publish, r);
    if (rc < 0) {
        p->total = 0;
        free(r);
    }
    return rc;
}

void publisher_end(struct publisher *p)
{
    if (p->total) {
        atomic_store(&p->stop, true);
        pthread_join(p->thread, NULL);
        p->total = 0;
    }
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
}
