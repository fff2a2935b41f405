// SPDX-License-Identifier: Apache-2.0
/* wspeer.c - a peer that speaks WebSocket: bytes in, messages out, the closing handshake. */
#include "server/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CLOSE_TIMEOUT_NS (5 * WEFT_SEC)
/* Most that one callback reads before others get their turn, and passes run: a publisher's flood
 * must not fill the log faster than subscribers are given a chance to empty it. */
#define READ_A_TURN (64u << 10)

static struct peer *peer_of(const struct client *c)
{
    return (struct peer *)c->sink;
}

/* ---- kept bytes ---- */

void kept_free(struct peer *p)
{
    if (!p->kept)
        return;
    free(p->kept->raw);
    free(p->kept->message);
    free(p->kept);
    p->kept = NULL;
}

static struct kept *kept_of(struct peer *p)
{
    if (!p->kept)
        p->kept = calloc(1, sizeof *p->kept);
    return p->kept;
}

static void kept_settle(struct peer *p)
{
    if (p->kept && !p->kept->raw && !p->kept->message)
        kept_free(p);
}

static bool keep_raw(struct peer *p, const char *bytes, size_t count)
{
    if (count == 0)
        return true;
    struct kept *k = kept_of(p);
    char *raw = k ? malloc(count) : NULL;
    if (!raw)
        return false;
    memcpy(raw, bytes, count);
    k->raw = raw;
    k->raw_bytes = (uint32_t)count;
    return true;
}

/* Takes the kept raw bytes to the front of the buffer; returns how many. */
static size_t take_raw(struct peer *p, char *buf)
{
    struct kept *k = p->kept;
    if (!k || !k->raw)
        return 0;
    size_t n = k->raw_bytes;
    memcpy(buf, k->raw, n);
    free(k->raw);
    k->raw = NULL;
    k->raw_bytes = 0;
    kept_settle(p);
    return n;
}

/* The message so far grows to what the frame under way will bring, so that it is copied once. */
static bool keep_message(struct peer *p, struct weft_span data, uint64_t to_come)
{
    struct kept *k = kept_of(p);
    if (!k)
        return false;
    uint64_t need = (uint64_t)k->message_bytes + data.len;
    if (need > k->message_room) {
        uint64_t room = need + to_come;
        if (room < need * 3 / 2)
            room = need * 3 / 2;
        char *grown = room <= UINT32_MAX ? realloc(k->message, room + 1) : NULL;
        if (!grown)
            return false;
        k->message = grown;
        k->message_room = (uint32_t)room;
    }
    if (data.len)
        memcpy(k->message + k->message_bytes, data.data, data.len);
    k->message_bytes = (uint32_t)need;
    return true;
}

/* ---- events ---- */

static void deliver(struct peer *p, const struct weft_ws_event *ev)
{
    bool parts = !ev->first || !ev->last;
    if (!p->client)
        return; /* closing: dropped */
    if (parts && !keep_message(p, ev->data, ev->frame_left)) {
        client_disconnect_code(p->client, CAST_DIS_INTERNAL);
        return;
    }
    if (!ev->last)
        return;
    if (!parts) {
        client_message(p->client, ev->data);
        return;
    }
    char *message = p->kept->message;
    size_t bytes = p->kept->message_bytes;
    p->kept->message = NULL;
    p->kept->message_bytes = p->kept->message_room = 0;
    kept_settle(p);
    client_message(p->client, (struct weft_span){message, bytes});
    free(message);
}

static void pong(struct peer *p, struct weft_span data)
{
    char frame[WEFT_WS_CONTROL_FRAME_MAX];
    sink_bytes(&p->sink, frame, weft_ws_control_frame(frame, WEFT_WS_OP_PONG, data, NULL));
}

/* The client said goodbye first: the same code back, and the end. */
static void answer_close(struct peer *p, uint16_t code)
{
    char frame[WEFT_WS_CONTROL_FRAME_MAX];
    struct weft_span none = {NULL, 0};
    if (!p->client)
        return; /* it answers ours */
    struct client *c = p->client;
    p->client = NULL;
    p->mode = PEER_CLOSING;
    client_gone(c);
    sink_end(&p->sink, frame, weft_ws_close_frame(frame, code, none, NULL), false);
    weft_ws_close_sent(&p->ws);
    sink_flush(&p->sink);
    peer_deadline(p, CLOSE_TIMEOUT_NS);
}

static void broken_frame(struct peer *p)
{
    const struct cast_disconnect d = {.code = p->ws.close_code,
        .reason = p->ws.close_code == WEFT_WS_TOO_BIG ? CAST_SPAN("")
                                                      : weft_span_of(weft_ws_problem(&p->ws))};
    if (p->client)
        client_disconnect(p->client, &d);
}

/* Gives bytes to the reader until they are used up, cut, or the client wants no more for now.
 * Returns the bytes used. */
static size_t feed(struct peer *p, char *buf, size_t len)
{
    size_t at = 0;
    while (at < len && !(p->client && client_busy(p->client))) {
        struct weft_ws_event ev;
        ssize_t used = weft_ws_reader_next(&p->ws, buf + at, len - at, &ev);
        if (used == 0)
            return at;
        if (used < 0) {
            broken_frame(p);
            return len;
        }
        at += (size_t)used;
        switch (ev.kind) {
        case WEFT_WS_DATA:
            deliver(p, &ev);
            break;
        case WEFT_WS_PING:
            pong(p, ev.data);
            break;
        case WEFT_WS_PONG:
            if (p->client)
                client_pong_frame(p->client);
            break;
        case WEFT_WS_CLOSE:
            answer_close(p, ev.code);
            break;
        case WEFT_WS_NONE:
            break;
        }
    }
    return at;
}

/* Feeds, and keeps what was not used; false without memory. */
static bool feed_and_keep(struct peer *p, char *buf, size_t len)
{
    size_t used = feed(p, buf, len);
    return keep_raw(p, buf + used, len - used);
}

bool wspeer_read(struct peer *p)
{
    struct worker *w = p->worker;
    for (size_t taken = 0; taken < READ_A_TURN;) {
        if (p->client && client_busy(p->client)) {
            p->read_again = true;
            return true;
        }
        size_t left = take_raw(p, w->buf);
        size_t room = WORKER_BUF_BYTES - left < READ_A_TURN ? WORKER_BUF_BYTES - left : READ_A_TURN;
        ssize_t n = weft_loop_recv(w->shard.loop, &p->sink.io, w->buf + left, room);
        if (n == -EAGAIN)
            return keep_raw(p, w->buf, left);
        if (n <= 0)
            return false;
        if (!feed_and_keep(p, w->buf, left + (size_t)n))
            return false;
        if (p->mode == PEER_CLOSING && p->ws.state == WEFT_WS_CLOSED && sink_empty(&p->sink))
            return false;
        if ((size_t)n < room && !p->ending)
            return true; /* a short read: the socket is empty */
        taken += (size_t)n;
    }
    weft_loop_io_again(w->shard.loop, &p->sink.io, WEFT_LOOP_READ);
    return true;
}

void wspeer_resume(struct client *c)
{
    struct peer *p = peer_of(c);
    struct worker *w = p->worker;
    if (p->kept && p->kept->raw) {
        /* Not through the worker's buffer: we may be inside somebody's use of it. */
        char *raw = p->kept->raw;
        size_t bytes = p->kept->raw_bytes;
        p->kept->raw = NULL;
        p->kept->raw_bytes = 0;
        bool kept = feed_and_keep(p, raw, bytes);
        free(raw);
        kept_settle(p);
        if (!kept && p->client)
            client_disconnect_code(p->client, CAST_DIS_INTERNAL);
    }
    if (p->read_again && !(p->client && client_busy(p->client))) {
        p->read_again = false;
        weft_loop_io_again(w->shard.loop, &p->sink.io, WEFT_LOOP_READ);
    }
}

void wspeer_close(struct client *c, const struct cast_disconnect *d)
{
    struct peer *p = peer_of(c);
    char frame[WEFT_WS_CONTROL_FRAME_MAX];
    size_t bytes = weft_ws_close_frame(frame, (int)d->code, d->reason, NULL);
    p->client = NULL;
    p->mode = PEER_CLOSING;
    sink_end(&p->sink, frame, bytes, d->code == CAST_DIS_SLOW);
    weft_ws_close_sent(&p->ws);
    kept_free(p);
    if (p->read_again) { /* it waited for the client: now the end is waited for */
        p->read_again = false;
        weft_loop_io_again(p->worker->shard.loop, &p->sink.io, WEFT_LOOP_READ);
    }
    peer_deadline(p, CLOSE_TIMEOUT_NS);
}

/* The answer to the upgrade is no frame: a short send must not look for frames in it. */
static void mark_handshake(struct sink *s)
{
    if (s->out)
        s->out->rest = s->out->used - s->out->off;
    s->framed = true;
}

void wspeer_start(struct peer *p, const struct client_origin *origin, char *rest, size_t bytes)
{
    struct worker *w = p->worker;
    p->mode = PEER_WEBSOCKET;
    mark_handshake(&p->sink);
    weft_loop_timer_stop(w->shard.loop, &p->timer);
    weft_ws_reader_init(
        &p->ws, WEFT_WS_SERVER, (uint64_t)w->shard.cfg->websocket.message_size_limit);
    p->client = client_new(&w->shard, &p->sink, origin);
    if (!p->client) {
        char frame[WEFT_WS_CONTROL_FRAME_MAX];
        struct weft_span none = {NULL, 0};
        sink_end(&p->sink, frame, weft_ws_close_frame(frame, WEFT_WS_INTERNAL, none, NULL), false);
        weft_ws_close_sent(&p->ws);
        p->mode = PEER_CLOSING;
        peer_deadline(p, CLOSE_TIMEOUT_NS);
        return;
    }
    w->shard.n.accepted++;
    if (!feed_and_keep(p, rest, bytes) && p->client)
        client_disconnect_code(p->client, CAST_DIS_INTERNAL);
}
