// SPDX-License-Identifier: Apache-2.0
/*
 * receiver.c - a receiving thread of the load generator (receiver.h): its clients from dial to
 * close.
 *
 * The way of bytes: on_event -> read_some -> take_frames -> take_text -> take_push. All clients of
 * a thread read into one buffer; only when a read ends inside a frame are the bytes of that frame
 * kept with the client, and put before the next read.
 *
 * Progress: a client that fails is counted, closed and left; the others go on.
 */
#include "bench/receiver.h"
#include "bench/payload.h"
#include "bench/wsclient.h"
#include "protocol/castspan.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/wsproto.h>

enum { READS_A_TURN = 4, DATA_TAIL_BYTES = 16 };

/* The only setter of a client's state; keeps the tallies (invariant B1). */
static void client_state(struct client *c, enum client_state to)
{
    struct receiver *r = c->receiver;
    enum client_state from = c->state;
    c->state = (uint8_t)to;
    if (from == CLIENT_NEW)
        r->opening++;
    else if (from != CLIENT_READY && (to == CLIENT_READY || to == CLIENT_GONE))
        r->opening--;
    if (to == CLIENT_READY)
        atomic_fetch_add(&r->tally.ready, 1);
    else if (to == CLIENT_GONE)
        atomic_fetch_add(from == CLIENT_READY ? &r->tally.gone : &r->tally.failed, 1);
}

static void open_more(struct receiver *r);

static void client_fail(struct client *c, int err, const char *why, struct weft_span detail)
{
    struct receiver *r = c->receiver;
    if (c->state == CLIENT_GONE)
        return;
    if (!r->problem[0])
        snprintf(r->problem, sizeof(r->problem), "%s%s%.*s", why, detail.len ? ": " : "",
            (int)(detail.len < 100 ? detail.len : 100), detail.data ? detail.data : "");
    atomic_store(&r->tally.first_error, err);
    weft_loop_io_close(r->loop, &c->io);
    client_state(c, CLIENT_GONE);
    free(c->tail);
    c->tail = NULL;
    c->tail_bytes = c->tail_room = 0;
    open_more(r);
}

static void client_fail_errno(struct client *c, int err, const char *why)
{
    client_fail(c, err, why, weft_span_of(strerrordesc_np(-err)));
}

/* Small messages to a socket that has hardly been used: one that does not take them is broken. */
static bool client_send(struct client *c, const char *data, size_t bytes)
{
    ssize_t n = weft_loop_send(c->receiver->loop, &c->io, data, bytes);
    if (n == (ssize_t)bytes)
        return true;
    client_fail_errno(c, n < 0 ? (int)n : -EMSGSIZE, "a small send failed");
    return false;
}

static bool client_send_frame(struct client *c, int opcode, const char *data, size_t bytes)
{
    char frame[8192 + 64];
    if (bytes > 8192)
        return false;
    return client_send(c, frame, wsclient_frame(frame, opcode, data, bytes));
}

static void client_joined(struct client *c)
{
    struct receiver *r = c->receiver;
    client_state(c, CLIENT_READY);
    if (r->opts->mode == BENCH_CONNECT)
        latency_record(&r->latency, weft_loop_update_now(r->loop) - c->began_ns);
    open_more(r);
}

/* A line that is no push of the channel: a ping, or a reply to what the client said. */
static void take_line(struct client *c, struct weft_span line)
{
    if (line.len == 2 && memcmp(line.data, "{}", 2) == 0) {
        client_send_frame(c, WEFT_WS_OP_TEXT, "{}", 2);
        return;
    }
    if (c->state != CLIENT_JOINING || line.len < 6 || memcmp(line.data, "{\"id\":", 6) != 0)
        return;
    if (memmem(line.data, line.len, "\"error\":", 8))
        client_fail(c, -EACCES, "the server refused", line);
    else if (--c->awaited == 0)
        client_joined(c);
}

/* One push of the channel, its numbers at fixed places behind the prefix. */
static inline void take_push(
    struct client *c, const char *number, int64_t now, int64_t from, int64_t to)
{
    struct receiver *r = c->receiver;
    uint64_t seq = payload_value(number);
    int64_t intended = (int64_t)payload_value(number + PAYLOAD_TIME_AT - PAYLOAD_SEQ_AT);
    if (seq > c->next_seq)
        r->lost += seq - c->next_seq;
    if (seq >= c->next_seq)
        c->next_seq = seq + 1;
    else
        r->repeated++;
    if (intended >= from && intended < to) {
        r->measured++;
        latency_record(&r->latency, now - intended);
    }
}

/* The lines of one message. Returns the pushes among them. */
static uint64_t take_text(struct client *c, const char *p, size_t bytes, int64_t now)
{
    struct receiver *r = c->receiver;
    const char *end = p + bytes;
    const size_t push_bytes = r->prefix_bytes + r->opts->payload_bytes - PAYLOAD_SEQ_AT;
    int64_t from = atomic_load(&r->measure_from), to = atomic_load(&r->measure_to);
    uint64_t pushes = 0;
    while (p < end) {
        size_t left = (size_t)(end - p);
        bool push = left > push_bytes && memcmp(p, r->prefix, r->prefix_bytes) == 0;
        const char *search = push ? p + push_bytes : p;
        const char *feed = memchr(search, '\n', (size_t)(end - search));
        if (push) {
            take_push(c, p + r->prefix_bytes, now, from, to);
            pushes++;
        } else {
            take_line(c, (struct weft_span){p, (size_t)((feed ? feed : end) - p)});
            if (c->state == CLIENT_GONE)
                return pushes;
        }
        p = feed ? feed + 1 : end;
    }
    return pushes;
}

static void take_close(struct client *c, const struct wsclient_frame *f)
{
    char why[64] = "the server closed without a code";
    struct weft_span reason = {"", 0};
    if (f->bytes >= 2) {
        const unsigned char *u = (const unsigned char *)f->data;
        snprintf(why, sizeof(why), "the server closed with code %d", u[0] << 8 | u[1]);
        reason = (struct weft_span){f->data + 2, f->bytes - 2};
    }
    client_fail(c, -ECONNRESET, why, reason);
}

/* Whole frames in buf. Returns the bytes taken; the client may be gone afterwards. */
static size_t take_frames(struct client *c, const char *buf, size_t bytes, int64_t now)
{
    size_t at = 0;
    uint64_t pushes = 0;
    while (c->state != CLIENT_GONE && at < bytes) {
        struct wsclient_frame f;
        ssize_t n = wsclient_next(buf + at, bytes - at, &f);
        if (n == 0)
            break;
        if (n < 0) {
            client_fail(c, (int)n, "a frame that cannot be", (struct weft_span){"", 0});
            break;
        }
        at += (size_t)n;
        if (f.opcode == WEFT_WS_OP_TEXT)
            pushes += take_text(c, f.data, f.bytes, now);
        else if (f.opcode == WEFT_WS_OP_PING)
            client_send_frame(c, WEFT_WS_OP_PONG, f.data, f.bytes);
        else if (f.opcode == WEFT_WS_OP_CLOSE)
            take_close(c, &f);
    }
    struct tally *t = &c->receiver->tally; // one writer: this thread
    atomic_store(&t->deliveries, atomic_load(&t->deliveries) + pushes);
    return at;
}

/* The answer to the upgrade; 0 when it is not whole yet. */
static size_t take_answer(struct client *c, const char *buf, size_t bytes)
{
    char why[64];
    int status = 0;
    ssize_t n = wsclient_answer(buf, bytes, &status);
    if (n == -EAGAIN)
        return 0;
    if (n < 0) {
        snprintf(why, sizeof(why), "the upgrade failed (HTTP status %d)", status);
        client_fail(c, (int)n, why, (struct weft_span){"", 0});
        return bytes;
    }
    c->awaited = c->receiver->opts->subscribe ? 2 : 1;
    client_state(c, CLIENT_JOINING);
    client_send_frame(c, WEFT_WS_OP_TEXT, c->receiver->hello, c->receiver->hello_bytes);
    return (size_t)n;
}

static void keep_tail(struct client *c, const char *data, size_t bytes)
{
    if (bytes > c->tail_room) {
        char *tail = realloc(c->tail, bytes + 256);
        if (!tail) {
            client_fail_errno(c, -ENOMEM, "no memory for part of a frame");
            return;
        }
        c->tail = tail;
        c->tail_room = (uint32_t)bytes + 256;
    }
    if (bytes)
        memcpy(c->tail, data, bytes);
    c->tail_bytes = (uint32_t)bytes;
}

/* One read and what it brought. Returns whether more may be there. */
static bool read_some(struct client *c)
{
    struct receiver *r = c->receiver;
    size_t kept = c->tail_bytes, room = RECEIVER_BUF_BYTES - kept, taken = 0;
    ssize_t n = weft_loop_recv(r->loop, &c->io, r->buf + kept, room);
    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        if (n == 0)
            client_fail(
                c, -ECONNRESET, "the server ended the connection", (struct weft_span){"", 0});
        else
            client_fail_errno(c, (int)n, "reading failed");
        return false;
    }
    if (kept)
        memcpy(r->buf, c->tail, kept);
    size_t bytes = kept + (size_t)n;
    atomic_store(&r->tally.bytes, atomic_load(&r->tally.bytes) + (uint64_t)n);
    if (c->state == CLIENT_UPGRADING)
        taken = take_answer(c, r->buf, bytes);
    if (c->state >= CLIENT_JOINING && c->state != CLIENT_GONE)
        taken += take_frames(c, r->buf + taken, bytes - taken, wsclient_now_ns());
    if (c->state == CLIENT_GONE)
        return false;
    if (bytes - taken == RECEIVER_BUF_BYTES) {
        client_fail(c, -EMSGSIZE, "a frame larger than the buffer", (struct weft_span){"", 0});
        return false;
    }
    keep_tail(c, r->buf + taken, bytes - taken);
    return (size_t)n == room;
}

static void on_event(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct client *c = WEFT_LOOP_OWNER(io, struct client, io);
    if (c->state == CLIENT_DIALLING) {
        char request[1024];
        int rc = weft_loop_dial_result(io->fd);
        ssize_t n = rc < 0 ? rc : wsclient_request(c->receiver->opts, request, sizeof(request));
        if (n < 0) {
            client_fail_errno(c, (int)n, "connecting failed");
            return;
        }
        client_state(c, CLIENT_UPGRADING);
        if (client_send(c, request, (size_t)n))
            weft_loop_io_set(loop, io, WEFT_LOOP_READ);
        return;
    }
    bool ending = events & (WEFT_LOOP_RDHUP | WEFT_LOOP_HUP | WEFT_LOOP_ERR);
    for (int i = 0; c->state != CLIENT_GONE && i < READS_A_TURN; i++)
        if (!read_some(c) && !ending)
            return;
    if (c->state != CLIENT_GONE)
        weft_loop_io_again(loop, io, WEFT_LOOP_READ);
}

/* The source address of a client: 127.x.y.z, spread over the receivers' clients. */
static void source_address(const struct receiver *r, size_t index, char *buf, size_t room)
{
    unsigned s = (unsigned)((index * r->opts->threads + r->number) % r->opts->sources);
    snprintf(buf, room, "127.%u.%u.%u", 1 + (s >> 14), s >> 7 & 127, 1 + (s & 127));
}

static void open_client(struct receiver *r, size_t index, int64_t began_ns)
{
    struct client *c = &r->clients[index];
    char source[24];
    weft_loop_dial_opts d = {.size = sizeof(d), .nodelay = true};
    c->receiver = r;
    c->next_seq = 1;
    c->began_ns = began_ns;
    client_state(c, CLIENT_DIALLING);
    if (r->opts->sources > 1) {
        source_address(r, index, source, sizeof(source));
        d.source = source;
    }
    int fd = weft_loop_dial(r->opts->host, &d);
    int rc = fd < 0 ? fd : weft_loop_io_add(r->loop, &c->io, fd, WEFT_LOOP_WRITE, on_event);
    if (rc < 0) {
        if (fd >= 0)
            close(fd);
        client_fail_errno(c, rc, "connecting failed");
    }
}

/* Closed loop: as many connections under way as the window allows. */
static void open_more(struct receiver *r)
{
    if (r->opts->mode == BENCH_CONNECT || weft_loop_timer_running(&r->timer))
        return;
    weft_loop_timer_start(r->loop, &r->timer, 0, 0); // not from here: failures would recurse
}

static void on_open_timer(weft_loop *loop, weft_loop_timer *timer)
{
    struct receiver *r = WEFT_LOOP_OWNER(timer, struct receiver, timer);
    int64_t now = weft_loop_now_ns(loop);
    if (r->opts->mode != BENCH_CONNECT) {
        while (r->begun < r->count && r->opening < r->opts->window)
            open_client(r, r->begun++, now);
        return;
    }
    double per_ns = r->opts->rate / r->opts->threads / 1e9;
    for (; r->begun < r->count; r->begun++) {
        int64_t due = r->start_ns + (int64_t)((double)r->begun / per_ns);
        if (due > now)
            break;
        open_client(r, r->begun, due);
    }
    if (r->begun < r->count)
        weft_loop_timer_start(loop, timer, WEFT_MS, 0);
}

static void on_begin(weft_loop *loop, weft_loop_msg *msg)
{
    struct receiver *r = WEFT_LOOP_OWNER(msg, struct receiver, begin);
    r->start_ns = weft_loop_now_ns(loop);
    weft_loop_timer_start(loop, &r->timer, 0, 0);
}

int receiver_start(struct receiver *r, const struct bench_opts *opts, unsigned number, size_t count)
{
    weft_loop_opts lo = {.size = sizeof(lo), .name = "bench"};
    int rc = -ENOMEM;
    *r = (struct receiver){.opts = opts, .number = number, .count = count};
    r->clients = calloc(count, sizeof(*r->clients));
    r->buf = malloc(RECEIVER_BUF_BYTES);
    r->timer.fn = on_open_timer;
    r->begin.fn = on_begin;
    r->prefix_bytes = (size_t)snprintf(r->prefix, sizeof(r->prefix),
        "{\"push\":{\"channel\":\"%s\",\"pub\":{\"data\":{\"s\":\"", opts->channel);
    r->hello_bytes = wsclient_hello(opts, opts->subscribe, r->hello, sizeof(r->hello));
    if (r->hello_bytes == 0)
        rc = -EMSGSIZE; // the token is too long
    else if (r->clients && r->buf)
        rc = weft_loop_new(&lo, &r->loop);
    if (rc == 0) {
        weft_loop_post(r->loop, &r->begin);
        rc = weft_loop_start(r->loop);
    }
    if (rc < 0)
        receiver_fini(r);
    return rc;
}

void receiver_stop(struct receiver *r)
{
    if (!r->loop)
        return;
    weft_loop_stop(r->loop);
    weft_loop_join(r->loop);
    weft_loop_free(r->loop); // forgets the sockets that are left, and does not close them
    r->loop = NULL;
    for (size_t i = 0; i < r->count; i++) {
        struct client *c = &r->clients[i];
        if (c->state != CLIENT_NEW && c->state != CLIENT_GONE)
            close(c->io.fd);
        free(c->tail);
        c->tail = NULL;
    }
}

void receiver_settle(struct receiver *r, uint64_t total)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->clients[i].next_seq <= total && r->clients[i].state == CLIENT_READY)
            r->lost += total + 1 - r->clients[i].next_seq;
}

void receiver_fini(struct receiver *r)
{
    receiver_stop(r);
    free(r->clients);
    free(r->buf);
    r->clients = NULL;
    r->buf = NULL;
}
