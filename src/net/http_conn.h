// SPDX-License-Identifier: Apache-2.0
/*
 * http_conn.h - the server's side of HTTP/1.1: its files and what they share.
 *
 *     http_server.c   listening, accepting, stopping              struct weft__http_server
 *     http_conn.c     one connection: heads, handlers, the end    struct weft_http_request
 *     http_reply.c    what goes back                              struct weft_http_reply, inside
 *
 * A connection is one fiber and one object, which is also what the handler knows as the request.
 * Its state says what a stopping server may do to it:
 *
 *     IDLE ──first byte of a head──> BUSY ──reply sent, kept open──> IDLE
 *       └── stop: its reading end is shut, so the fiber wakes and leaves
 *                                    BUSY ──hijack──> TAKEN ── stop: its context is cancelled
 *
 * H1  A connection is linked in its server, under the server's mutex, from before its fiber starts
 *     until before its descriptor is closed: whoever finds it linked may shut or cancel it.
 * H2  A stopping server sets `stopping`, then looks at states; a connection sets its state, then
 *     looks at `stopping` (both sequentially consistent): one of the two notices.
 * H3  The connection has a context of its own, which stands apart from the one that the server was
 *     started under (its end only begins the drain), and handlers run under another below it, which
 *     ends when the client hangs up:
 *
 *         server's scope ── ctx: heads, bodies, replies ── call: the handler's code
 *
 *     While a handler runs, with its request's body read to the end, nobody reads the connection;
 *     the poller then watches for the peer's end (weft__fd_watch), at no cost until that comes.
 *     An end is an end, as Go's server sees it: a client that shuts down only its sending side
 *     (nc -N) counts as gone too. But its reply still goes out, and what it had pipelined is still
 *     served (under the ended context), as those are done under ctx.
 * H4  A reply's head goes out once; what the handler may still change is decided by `phase`.
 * H5  The head that the handler sees is good until it returns, whoever has the connection: who
 *     takes the buffer too leaves a copy of the head (weft__message_keep).
 */
#ifndef WEFT_NET_HTTP_CONN_H
#define WEFT_NET_HTTP_CONN_H
#include <weft/ctx.h>
#include <weft/http.h>
#include <weft/mutex.h>
#include <weft/sema.h>
#include <weft/waitgroup.h>

#include "base/atomic.h"
#include "base/list.h"
#include "net/message.h"

struct weft__http_server {
    int listener;
    weft_http_handler handler;
    void *arg;
    /* limits in force: -1 is none */
    int64_t head_ns, body_ns, write_ns, idle_ns, drain_ns;
    unsigned max_connections;
    size_t stack_bytes;
    struct weft_http1_limits limits;
    weft_error *hung_up;   /* the cause that handlers are told */
    _Atomic bool stopping; /* H2 */
    weft_mutex lock;       /* guards connections */
    struct weft__node connections;
    weft_waitgroup live; /* one a connection */
    weft_sema room;      /* permits of max_connections */
};

/* Of an unread body that is dropped; beyond it the connection is closed. */
enum { WEFT__HTTP_SKIP_MAX = 256 << 10 };

enum weft__http_state { WEFT__HTTP_IDLE, WEFT__HTTP_BUSY, WEFT__HTTP_TAKEN };
enum weft__http_phase { WEFT__REPLY_OPEN, WEFT__REPLY_BODY, WEFT__REPLY_ENDED };

struct weft_http_reply {
    enum weft__http_phase phase; /* H4 */
    int code, error;             /* error: of sending; sticky */
    bool close;                  /* no other request on this connection */
    bool chunked, bodiless;      /* bodiless: HEAD, 204, 304 */
    bool has_length;
    uint64_t length, written;
    char *out;           /* WEFT__REPLY_ROOM free bytes, fields, gathered pieces */
    size_t at, len, cap; /* out[at, len) waits to be sent */
    int64_t date_s;      /* what date holds */
    char date[WEFT_HTTP1_DATE_BYTES];
};

struct weft_http_request {
    struct weft__node link; /* H1 */
    struct weft__http_server *server;
    weft_ctx *ctx, *call; /* H3; call is made with the first request */
    bool watched;         /* the poller watches for the peer's end */
    _Atomic uint32_t state;
    bool continued, linger;
    int64_t body_deadline_ns; /* 0: the body has not been asked for */
    struct weft__message in;
    struct weft_http_reply reply;
};

static inline weft_http_request *weft__http_of_reply(weft_http_reply *r)
{
    return weft__entry(r, weft_http_request, reply);
}

/* http_conn.c */
/** A connection around fd, not yet linked; NULL: no memory, and fd is still the caller's. */
weft_http_request *weft__http_conn_new(struct weft__http_server *s, int fd);
void weft__http_conn_free(weft_http_request *c);
/** The fiber's entry: serves it to its end. */
int weft__http_conn_main(void *conn);
/** For what is done for the connection on the handler's side of H3: true, and under ctx until
 *  weft_ctx_leave, if the handler's context has ended. */
bool weft__http_conn_step_out(weft_http_request *c, weft_ctx_block *b);
/** The descriptor and the buffer with what came behind the head, both taken; the head stays (H5),
 *  and its bytes in the buffer until more is read. -EALREADY, -ENOMEM. */
int weft__http_conn_take(weft_http_request *c, struct weft__stream *ret_stream);

/* http_server.c */
void weft__http_conn_gone(weft_http_request *c);

/* http_reply.c */
int weft__http_reply_init(weft_http_reply *r);
void weft__http_reply_fini(weft_http_reply *r);
/** Before each request; keep_alive: the client would go on. */
void weft__http_reply_begin(weft_http_reply *r, bool keep_alive);
/** After the handler: sends what is missing. result: the handler's, fallback: the status for it.
 *  True: the connection can go on. */
bool weft__http_reply_finish(weft_http_reply *r, int result, int fallback);
/** "100 Continue", now. */
int weft__http_reply_continue(weft_http_reply *r);
#endif
