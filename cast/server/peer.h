// SPDX-License-Identifier: Apache-2.0
/*
 * peer.h - one accepted socket: first HTTP, and after an upgrade a client of the protocol.
 *
 *            request … response                upgrade                 close frame sent
 *     HTTP ◀───────────────────▶ HTTP ──────────────────▶ WEBSOCKET ───────────────────▶ CLOSING
 *       │                                                     │                             │
 *       └── error answered ──▶ LINGERING ── peer closed ──▶ (freed) ◀── both closed, 5 s ────┘
 *
 * Reading goes through the worker's one buffer; a peer keeps bytes of its own only while something
 * is incomplete: a request, a WebSocket message in parts, a frame head cut in two, or what follows
 * a command that waits for another shard. So an idle client is: this struct, its client, its subs.
 *
 * A peer is freed only from its own top-level callbacks (socket, timer, failure of its sink), never
 * from inside a call that the session makes: close_transport only turns it to CLOSING.
 *
 * Limits in time: a request's head must be whole 10 s after its first byte (or after the accept),
 * its body 30 s after the head; an idle connection is kept 75 s; a closing one 5 s.
 */
#ifndef CAST_PEER_H
#define CAST_PEER_H
#include "server/castworker.h"
#include "session/client.h"

#include <weft/wsproto.h>

struct http;

enum peer_mode { PEER_HTTP, PEER_WEBSOCKET, PEER_CLOSING, PEER_LINGERING };

/** Bytes that wait; exists only while there are some. */
struct kept {
    uint32_t raw_bytes, message_bytes, message_room;
    char *raw;     /* not yet given to the WebSocket reader */
    char *message; /* the beginning of a message */
};

struct peer {
    struct sink sink; /* first */
    weft_loop_timer timer;
    struct worker *worker;
    struct peer *next, **at;
    struct http *http;     /* in HTTP mode */
    struct client *client; /* in WEBSOCKET mode */
    struct kept *kept;
    struct weft_ws_reader ws;
    uint8_t mode;     /* enum peer_mode */
    uint8_t listener; /* enum listener_kind */
    bool counted;     /* in server->connections */
    bool read_again;  /* reading stopped with bytes left in the socket */
    bool ending;      /* an event told of an end or an error: read until it is met */
};

/** Takes an accepted fd, on its worker's thread; closes it if it cannot be served. */
void peer_start(struct worker *w, int fd, enum listener_kind kind);
/** Closes the socket and frees everything. Top level only. */
void peer_free(struct peer *p);
/** Sends what waits; with everything sent, ends our side and waits for the peer's end. */
void peer_linger(struct peer *p);
/** (Re)starts the peer's timer. */
void peer_deadline(struct peer *p, int64_t timeout_ns);
/** Callback of the fan. */
void peer_sink_failed(struct sink *s, enum sink_failure why);
/** Drains: idle HTTP connections and clients are closed; says when the last one has gone. */
void peers_drain(struct worker *w);
void peers_check_drained(struct worker *w);

/* websocket (wspeer.c) */
/** The peer, whose sink has the answer to the upgrade, becomes a client; `rest` came behind the
 * request, and is changed. */
void wspeer_start(struct peer *p, const struct client_origin *origin, char *rest, size_t bytes);
/** Reads and handles; false when the peer is to be freed. */
bool wspeer_read(struct peer *p);
void wspeer_close(struct client *c, const struct cast_disconnect *d); /* shard->close_transport */
void wspeer_resume(struct client *c);                                 /* shard->resume_transport */
void kept_free(struct peer *p);

/* http (httppeer.c) */
bool httppeer_read(struct peer *p); /* false: to be freed */
void http_free(struct peer *p);
void httppeer_timeout(struct peer *p);
bool httppeer_idle(const struct peer *p);
#endif
