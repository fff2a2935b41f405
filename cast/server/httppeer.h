// SPDX-License-Identifier: Apache-2.0
/*
 * httppeer.h - one HTTP connection: a request at a time, routed by its head, answered in order.
 *
 *     HEAD ──head whole──▶ route ──refused──▶ answer, and the next (or the end)
 *                            ├──upgrade──▶ WebSocket
 *                            └──needs body──▶ BODY ──whole──▶ WORKING ──answer──▶ HEAD
 *
 * What a head decides (path, method, key, origin) is decided before the body is read, in
 * Centrifugo's order: 404, 405, 401, and only then 400 for the body. Requests that follow in the
 * same connection wait in `raw` until the one before is answered.
 */
#ifndef CAST_HTTPPEER_H
#define CAST_HTTPPEER_H
#include "server/peer.h"

#include <weft/http1.h>

/** First member of whatever will answer a request later: it forgets its peer if that goes first. */
struct http_wait {
    struct peer *peer; /* NULL: gone, nobody waits for the answer */
};

enum http_stage { HTTP_HEAD, HTTP_BODY, HTTP_WORKING };

enum route_kind {
    ROUTE_NONE,
    ROUTE_WEBSOCKET,
    ROUTE_API,        /* one method */
    ROUTE_API_LEGACY, /* commands that name their methods */
    ROUTE_HEALTH,
    ROUTE_METRICS,
    ROUTE_DEBUG,
    ROUTE_INIT,
    ROUTE_ADMIN_INIT,
    ROUTE_ADMIN_AUTH,
    ROUTE_ADMIN_API,
    ROUTE_ADMIN_STATE,
    ROUTE_CONSOLE, /* a file of the console */
};

struct route {
    enum route_kind kind;
    enum cast_api_method method; /* of ROUTE_API */
    const struct console_asset *asset;
    const char *page; /* of ROUTE_DEBUG, as weft_debug_page_init takes it */
    bool bare;        /* the console's prefix without the slash behind it */
};

struct http {
    enum http_stage stage;
    struct weft_http1_head head;
    struct weft_http1_body body_reader;
    char *raw; /* from the request's first byte on */
    size_t raw_bytes, raw_room;
    size_t used; /* of raw, by head and body so far */
    char *body;
    size_t body_bytes, body_room;
    struct route route;
    bool keep_alive, transport_errors, admin;
    struct http_wait *wait; /* while WORKING */
};

/** An answer with its body. extra: whole further fields ("Name: value\r\n"), or NULL. Ends the
 * request: what is next in the connection follows. May not be called twice for one request. */
void http_answer(
    struct peer *p, int status, const char *type, const char *extra, struct weft_span body);
/** As http_answer, for a text of Go's net/http ("404 page not found\n"). */
void http_answer_text(struct peer *p, int status, const char *text);
/** An answer without a body and without a type. */
void http_answer_empty(struct peer *p, int status);

/** Finds the endpoint that a path leads to, on this kind of listener. */
void route_find(
    const struct worker *w, enum listener_kind kind, struct weft_span path, struct route *ret);

/* api (apiserve.c) */
/** Answers a request whose body has come; http_answer is called now or later. */
void api_serve(struct peer *p);

/* metricspage.c */
void metrics_serve(struct peer *p);

/* debugpage.c */
/** Answers now or later, or says that the request may go on to its body, and then debug_serve. */
bool debug_head(struct peer *p);
void debug_serve(struct peer *p);
/** Waits until no page is being made any more: loops may end then. */
void debug_end(void);

/* admin.c */
/** Answers what needs no body; for the others, says whether the request may go on to its body. */
bool admin_head(struct peer *p);
void admin_serve(struct peer *p);
#endif
