// SPDX-License-Identifier: Apache-2.0
/* peer.c - accepted sockets: their callbacks, their end, and the drain; see peer.h. */
#include "server/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_TIMEOUT_NS (10 * WEFT_SEC)
#define LINGER_TIMEOUT_NS (2 * WEFT_SEC)
#define TIMER_SLACK_NS (64 * WEFT_MS)

static void on_io(weft_loop *loop, weft_loop_io *io, unsigned events);
static void on_timer(weft_loop *loop, weft_loop_timer *timer);

static void list_add(struct worker *w, struct peer *p)
{
    p->next = w->peers;
    p->at = &w->peers;
    if (w->peers)
        w->peers->at = &p->next;
    w->peers = p;
}

static void list_remove(struct peer *p)
{
    *p->at = p->next;
    if (p->next)
        p->next->at = p->at;
}

void peer_start(struct worker *w, int fd, enum listener_kind kind)
{
    struct peer *p = w->shard.draining ? NULL : calloc(1, sizeof *p);
    if (!p) {
        close(fd);
        goto gone;
    }
    sink_init(&p->sink, &w->shard.fan);
    p->worker = w;
    p->listener = (uint8_t)kind;
    p->mode = PEER_HTTP;
    p->timer.fn = on_timer;
    if (weft_loop_io_add(w->shard.loop, &p->sink.io, fd, WEFT_LOOP_READ, on_io) < 0) {
        close(fd);
        free(p);
        goto gone;
    }
    list_add(w, p);
    peer_deadline(p, HEAD_TIMEOUT_NS);
    return;
gone:
    atomic_fetch_sub_explicit(&w->sockets, 1, memory_order_relaxed); /* [mo:alone: a count] */
}

void peer_free(struct peer *p)
{
    struct worker *w = p->worker;
    if (p->client) {
        struct client *c = p->client;
        p->client = NULL;
        client_gone(c);
    }
    http_free(p);
    kept_free(p);
    if (p->counted)
        /* [mo:alone: a count] */
        atomic_fetch_sub_explicit(&w->server->connections, 1, memory_order_relaxed);
    weft_loop_timer_stop(w->shard.loop, &p->timer);
    sink_fini(&p->sink);
    weft_loop_io_close(w->shard.loop, &p->sink.io);
    list_remove(p);
    free(p);
    atomic_fetch_sub_explicit(&w->sockets, 1, memory_order_relaxed); /* [mo:alone: a count] */
    peers_check_drained(w);
}

void peer_deadline(struct peer *p, int64_t timeout_ns)
{
    weft_loop_timer_start(p->worker->shard.loop, &p->timer, timeout_ns, TIMER_SLACK_NS);
}

/* Whether a closing peer has nothing more to say or to hear. */
static bool closed(const struct peer *p)
{
    return sink_empty(&p->sink) && p->ws.state == WEFT_WS_CLOSED;
}

/* Our side is ended once everything has left, so that the peer reads the answer before the end. */
void peer_linger(struct peer *p)
{
    if (p->mode != PEER_LINGERING) {
        p->mode = PEER_LINGERING;
        peer_deadline(p, LINGER_TIMEOUT_NS);
    }
    sink_flush(&p->sink);
    if (sink_empty(&p->sink))
        shutdown(p->sink.io.fd, SHUT_WR);
}

/* Reads and drops; what matters is only the end. */
static bool linger_read(struct peer *p)
{
    struct worker *w = p->worker;
    for (int i = 0; i < 16; i++) {
        ssize_t n = weft_loop_recv(w->shard.loop, &p->sink.io, w->buf, WORKER_BUF_BYTES);
        if (n == -EAGAIN)
            return true;
        if (n <= 0)
            return false;
    }
    weft_loop_io_again(w->shard.loop, &p->sink.io, WEFT_LOOP_READ);
    return true;
}

static bool read_by_mode(struct peer *p)
{
    switch (p->mode) {
    case PEER_HTTP:
        return httppeer_read(p);
    case PEER_LINGERING:
        return linger_read(p);
    default:
        return wspeer_read(p);
    }
}

static void on_io(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct peer *p = WEFT_LOOP_OWNER(io, struct peer, sink.io);
    p->ending |= (events & (WEFT_LOOP_RDHUP | WEFT_LOOP_HUP | WEFT_LOOP_ERR)) != 0;
    if (events & WEFT_LOOP_WRITE) {
        sink_writable(&p->sink);
        if (p->mode == PEER_LINGERING)
            peer_linger(p);
    }
    if ((events & WEFT_LOOP_READ) && !read_by_mode(p)) {
        peer_free(p);
        return;
    }
    if (p->mode == PEER_CLOSING && closed(p))
        peer_free(p);
}

static void on_timer(weft_loop *loop, weft_loop_timer *timer)
{
    struct peer *p = WEFT_LOOP_OWNER(timer, struct peer, timer);
    if (p->mode == PEER_HTTP)
        httppeer_timeout(p);
    else if (p->mode != PEER_WEBSOCKET)
        peer_free(p);
}

void peer_sink_failed(struct sink *s, enum sink_failure why)
{
    struct peer *p = (struct peer *)s;
    if (why == SINK_SLOW && p->client)
        client_disconnect_code(p->client, CAST_DIS_SLOW);
    else
        peer_free(p);
}

/* ---- drain ---- */

void peers_check_drained(struct worker *w)
{
    bool asking = w->index == 0 && w->server->node_metrics.sweeping;
    if (!w->shard.draining || w->drained || w->peers || asking)
        return;
    w->drained = true;
    if (atomic_fetch_sub(&w->server->draining_left, 1) == 1) {
        uint64_t one = 1;
        ssize_t n = write(w->server->drained_fd, &one, sizeof one);
        (void)n; /* an eventfd takes it */
    }
}

void peers_drain(struct worker *w)
{
    struct peer *next;
    w->shard.draining = true;
    for (struct peer *p = w->peers; p; p = next) {
        next = p->next;
        if (p->client)
            client_disconnect_code(p->client, CAST_DIS_SHUTDOWN);
        else if (p->mode == PEER_HTTP && httppeer_idle(p))
            peer_free(p);
    }
    peers_check_drained(w);
}
