// SPDX-License-Identifier: Apache-2.0
/*
 * weft/http.h - HTTP/1.1 on fibers: a server with a fiber a connection, and a client.
 *
 *     static int hello(weft_http_request *req, weft_http_reply *reply, void *arg)
 *     {
 *         return weft_http_reply_text(reply, 200, "Hello\n");
 *     }
 *     ...
 *     return weft_http_serve("tcp", ":8080", hello, NULL, NULL);   // until the context ends
 *
 *     weft_http_response *r;
 *     int rc = weft_http_get("http://127.0.0.1:8080/", &r);
 *     while (rc == 0 && (n = weft_http_response_read(r, buf, sizeof buf)) > 0) ...
 *     weft_http_response_close(r);
 *
 * A handler is straight code: it reads the body and writes the reply by calls that park its fiber.
 * Heads are parsed by weft/http1.h, whose functions read fields and queries out of them
 * (weft_http_request_head); WebSockets begin with weft_ws_accept (weft/ws.h).
 *
 * Time. The ambient context bounds what a program does; the options bound what a peer may make it
 * wait for. A head must come within its time as a whole, so that sending byte by byte holds no
 * connection. Everywhere here 0 is an option's default and a negative time no limit.
 *
 * Only http:// is spoken: https:// is refused with -EPROTONOSUPPORT, TLS is not built in yet.
 */
#ifndef WEFT_HTTP_H
#define WEFT_HTTP_H
#include <weft/base.h>
#include <weft/http1.h>
#include <weft/span.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

WEFT_BEGIN_DECLS

typedef struct weft_http_request weft_http_request;
typedef struct weft_http_reply weft_http_reply;

/* Answers one request. Both objects are lent until it returns. What is not sent yet then goes out:
 * an empty 200 if nothing was begun. A negative result becomes a 500 (or the 400 or 413 that a bad
 * body calls for) if nothing was sent, and else cuts the connection; so does a panic, which is
 * logged and does not reach the other connections.
 *
 * It runs under a context that ends when the client hangs up (-ECANCELED, cause -ECONNRESET), so
 * that nobody works for a client who has gone: whatever it waits for then returns. The client is
 * watched once the request's body has been read to its end (a request without one: from the start);
 * before that, reading tells. As with Go, a client that shuts down its sending side only has hung
 * up too: replies still go out to it, and what it had pipelined is still answered, under the ended
 * context; WEFT_SHIELD is for a handler that wants to go on. Pipelining alone is no hang-up. Who
 * takes the connection over is told no more: he reads. */
typedef int (*weft_http_handler)(weft_http_request *req, weft_http_reply *reply, void *arg);

/* ---- server ---- */

/* Options of weft_http_serve. Zero is the default of each; size is sizeof(weft_http_serve_opts). */
typedef struct weft_http_serve_opts {
    size_t size;
    int64_t read_header_timeout_ns;  /* a whole head, from its first byte; default 10 s */
    int64_t read_timeout_ns;         /* a whole body, from the end of its head; default 60 s */
    int64_t write_timeout_ns;        /* each wait until the client takes more; default 60 s */
    int64_t idle_timeout_ns;         /* between two requests; default 2 min */
    int64_t drain_ns;                /* for running handlers, once the context ended; default 5 s */
    unsigned max_connections;        /* further ones wait in the kernel's queue; 0: no limit */
    size_t stack_bytes;              /* of a connection's fiber; 0: weft_run's */
    struct weft_http1_limits limits; /* of a request; its size 0: the defaults */
} weft_http_serve_opts;

/**
 * weft_http_serve - listen, and answer requests until the context ends.
 * @network: as weft_listen.
 * @address: as weft_listen.
 * @handler: called for each request, on the fiber of its connection.
 * @arg:     passed on to it.
 * @opts:    options, or NULL for the defaults; copied.
 *
 * When the caller's context ends no more connections are accepted, idle ones are closed at once,
 * and running handlers have drain_ns to finish; they run under a context that the end of the
 * caller's does not reach until then. Connections that were taken over (weft_ws_accept) are told
 * at once. Out of descriptors, accepting pauses, and goes on when there are some.
 *
 * Returns 0 after an end by the context; -ETIMEDOUT handlers had to be cancelled.
 *   What weft_listen returns; -EINVAL options' size; -EBADF the listener was closed by others.
 * Blocks:    until the context ends and all connections are done.
 * Callable:  any fiber.
 * Cost:      a fiber, two contexts and two buffers of 4 KiB a connection; a request on an open
 *            connection: one read, one write, no allocation.
 * Since 0.1. See weft_http_serve_fd, examples/http_hello.c.
 */
WEFT_API int weft_http_serve(const char *network, const char *address, weft_http_handler handler,
    void *arg, const weft_http_serve_opts *opts);

/**
 * weft_http_serve_fd - weft_http_serve on a socket that listens already.
 * @fd:      from weft_listen; taken: closed before the call returns.
 * @handler: as weft_http_serve.
 * @arg:     as weft_http_serve.
 * @opts:    as weft_http_serve.
 *
 * Returns as weft_http_serve.
 * Blocks:    as weft_http_serve.
 * Callable:  any fiber.
 * Since 0.1. See weft_http_serve, weft_local_addr.
 */
WEFT_API int weft_http_serve_fd(
    int fd, weft_http_handler handler, void *arg, const weft_http_serve_opts *opts);

/**
 * weft_http_request_head - the request's parsed head: method, target, path, query, fields.
 * @req: a request.
 *
 * Returns it, borrowed until the handler returns; its spans too.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http1_field_get, weft_http1_query_get, weft_http1_percent_decode.
 */
WEFT_API const struct weft_http1_head *weft_http_request_head(const weft_http_request *req);

/**
 * weft_http_request_is - does the request have this method and path?
 * @req:    a request.
 * @method: such as "GET"; NULL: any.
 * @path:   compared as sent, still percent-encoded, without the query; NULL: any.
 *
 * Returns true where both agree. GET agrees with HEAD too.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http_request_head.
 */
WEFT_API bool weft_http_request_is(
    const weft_http_request *req, const char *method, const char *path);

/**
 * weft_http_request_field - the value of the request's first field with this name.
 * @req:  a request.
 * @name: any case.
 *
 * Returns the value, borrowed until the handler returns; absent (data NULL) where there is none.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http1_field_has_token.
 */
WEFT_API struct weft_span weft_http_request_field(const weft_http_request *req, const char *name);

/**
 * weft_http_request_fd - the connection's descriptor, for weft_peer_addr and socket options.
 * @req: a request.
 *
 * Returns it, borrowed: neither read, write nor close it; -EBADF after a take-over.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http_request_hijack.
 */
WEFT_API int weft_http_request_fd(const weft_http_request *req);

/**
 * weft_http_request_read - read the next bytes of the body.
 * @req:   a request.
 * @buf:   receives them; at least bytes long.
 * @bytes: more than 0.
 *
 * The first read tells a client that waits for it to go on (100 Continue).
 *
 * Returns bytes (> 0), or 0 at the body's end.
 *   -EMSGSIZE past the limit (a 413); -EBADMSG malformed or cut short (a 400); -ETIMEDOUT not
 *   within read_timeout_ns (a 408), or the context's deadline; -ECANCELED; -ECONNRESET ….
 *   Return it from the handler, and the client gets that answer. Errors stick.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  the handler's fiber.
 * Cost:      one copy, no allocation.
 * Since 0.1. See weft_http_request_body.
 */
WEFT_API ssize_t weft_http_request_read(weft_http_request *req, void *buf, size_t bytes);

/**
 * weft_http_request_body - read the whole body, or what is left of it.
 * @req:      a request.
 * @max:      bytes at most; 0: the limit of the server's options.
 * @ret_body: the bytes, borrowed until the handler returns; a NUL that does not count stands
 *            behind them.
 *
 * Returns 0; -EMSGSIZE more than max (a 413); -ENOMEM; else as weft_http_request_read.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  the handler's fiber, once a request.
 * Since 0.1. See weft_http_request_read.
 */
WEFT_API int weft_http_request_body(weft_http_request *req, size_t max, struct weft_span *ret_body);

/**
 * weft_http_request_hijack - take the connection over; it speaks HTTP no more.
 * @req:      a request; nothing of a reply may have been sent.
 * @ret_rest: what the client sent after the head, borrowed until the handler returns.
 *
 * The handler then does what it likes with the descriptor, answers the request itself, and closes
 * it before it returns. Its context ends as soon as the server is told to stop.
 *
 * Returns the descriptor, owned; -EALREADY a reply was begun, or it was taken before.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_ws_accept.
 */
WEFT_API int weft_http_request_hijack(weft_http_request *req, struct weft_span *ret_rest);

/* ---- a reply, in this order: status and fields, then the body, all at once or bit by bit ---- */

/**
 * weft_http_reply_status - the status code; 200 where it is not set.
 * @reply: a reply of which nothing has been sent.
 * @code:  200 to 599.
 *
 * Returns 0; -EINVAL another code; -EALREADY the head has gone out.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http1_reason.
 */
WEFT_API int weft_http_reply_status(weft_http_reply *reply, int code);

/**
 * weft_http_reply_field - add a field to the head.
 * @reply: a reply of which nothing has been sent.
 * @name:  a token. Date, Content-Length and Transfer-Encoding are the library's own; Connection
 *         may be "close".
 * @value: NUL-terminated, copied; no control characters.
 *
 * Returns 0; -EINVAL not allowed; -EALREADY the head has gone out; -ENOBUFS 64 KiB are full;
 *   -ENOMEM.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http_reply_send.
 */
WEFT_API int weft_http_reply_field(weft_http_reply *reply, const char *name, const char *value);

/**
 * weft_http_reply_send - send head and body, and end the reply.
 * @reply: a reply of which nothing has been sent.
 * @body:  bytes bytes; borrowed for the call. NULL if bytes is 0.
 * @bytes: its length. A reply to HEAD tells it and sends none; so does 204 and 304, untold.
 *
 * Returns 0; -EALREADY the head has gone out; -ETIMEDOUT the client took nothing for
 *   write_timeout_ns; -EPIPE, -ECONNRESET it is gone; -ECANCELED.
 * Blocks:    parks the fiber where the client is slow. Cancellation point.
 * Callable:  the handler's fiber.
 * Cost:      one system call, no allocation, no copy of the body.
 * Since 0.1. See weft_http_reply_write.
 */
WEFT_API int weft_http_reply_send(weft_http_reply *reply, const void *body, size_t bytes);

/**
 * weft_http_reply_text - a whole reply of plain text.
 * @reply: a reply of which nothing has been sent.
 * @code:  status code.
 * @text:  NUL-terminated UTF-8; borrowed for the call.
 *
 * Sets Content-Type to text/plain.
 * Returns as weft_http_reply_send.
 * Blocks:    as weft_http_reply_send.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http_reply_send.
 */
WEFT_API int weft_http_reply_text(weft_http_reply *reply, int code, const char *text);

/**
 * weft_http_reply_length - say how long the body will be that weft_http_reply_write sends.
 * @reply: a reply of which nothing has been sent.
 * @bytes: its length. Without this call the body goes in chunks (to HTTP/1.0: until the end).
 *
 * Returns 0; -EALREADY the head has gone out.
 * Blocks:    never.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http_reply_write.
 */
WEFT_API int weft_http_reply_length(weft_http_reply *reply, uint64_t bytes);

/**
 * weft_http_reply_write - send a piece of the body; the first one is preceded by the head.
 * @reply: a reply that was not ended.
 * @data:  bytes bytes; borrowed for the call.
 * @bytes: its length; 0 sends nothing.
 *
 * Small pieces are gathered; they go out with the next large one, at the handler's return, or by
 * weft_http_reply_flush.
 *
 * Returns 0; -EALREADY the reply was ended; -EMSGSIZE more than weft_http_reply_length said; else
 *   as weft_http_reply_send. Errors stick.
 * Blocks:    parks the fiber where the client is slow. Cancellation point.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http_reply_length, weft_http_reply_flush.
 */
WEFT_API int weft_http_reply_write(weft_http_reply *reply, const void *data, size_t bytes);

/**
 * weft_http_reply_flush - send what was gathered, the head too if it has not gone out.
 * @reply: a reply that was not ended.
 *
 * Returns as weft_http_reply_write.
 * Blocks:    as weft_http_reply_write.
 * Callable:  the handler's fiber.
 * Since 0.1. See weft_http_reply_write.
 */
WEFT_API int weft_http_reply_flush(weft_http_reply *reply);

/* ---- client ---- */

typedef struct weft_http_client weft_http_client;
typedef struct weft_http_response weft_http_response;

/* Options of weft_http_client_new. Zero is the default of each; size is
 * sizeof(weft_http_client_opts). */
typedef struct weft_http_client_opts {
    size_t size;
    unsigned max_idle;               /* connections kept for later, over all hosts; default 100 */
    unsigned max_per_host;           /* open to one host; further calls wait; 0: no limit */
    int64_t idle_timeout_ns;         /* kept for so long; default 90 s */
    int64_t continue_timeout_ns;     /* wait for 100 Continue before the body; default 1 s */
    struct weft_http1_limits limits; /* of a response; its size 0: the defaults, any body length */
} weft_http_client_opts;

/* A field of a request. */
typedef struct weft_http_field {
    const char *name, *value;
} weft_http_field;

/* What weft_http_do asks for. All borrowed for the call. Zero is the default of each; size is
 * sizeof(weft_http_call). */
typedef struct weft_http_call {
    size_t size;
    const char *method; /* default "GET" */
    const char *url;    /* "http://host[:port]/path?query" */
    const weft_http_field *fields;
    size_t field_count; /* Host may be among them; Content-Length and the like may not */
    const void *body;   /* body_bytes bytes ... */
    size_t body_bytes;
    /* ... or bit by bit: as read(2), 0 at the end, a negative errno gives up the call */
    ssize_t (*body_read)(void *arg, void *buf, size_t bytes);
    void *body_arg;
    int64_t body_length;    /* of body_read: 0 unknown, goes in chunks */
    bool expect_continue;   /* ask whether the body is wanted before it is sent */
    unsigned max_redirects; /* follow so many; default none: the caller gets the 3xx */
} weft_http_call;

/**
 * weft_http_client_new - make a client: a pool of connections.
 * @opts:       options, or NULL for the defaults; copied.
 * @ret_client: the client, owned.
 *
 * Returns 0; -EINVAL options' size; -ENOMEM.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_http_do, weft_http_client_free.
 */
WEFT_API WEFT_MUST_CHECK int weft_http_client_new(
    const weft_http_client_opts *opts, weft_http_client **ret_client);

/**
 * weft_http_client_free - close a client's kept connections, and it.
 * @c: a client all of whose responses are closed; may be NULL.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_http_client_new.
 */
WEFT_API void weft_http_client_free(weft_http_client *c);

/**
 * weft_http_client_close_idle - close the connections that a client keeps for later.
 * @c: a client; NULL: the one that the process shares.
 *
 * Connections past their idle time are closed when the client is next used; this does it now.
 *
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_http_client_opts.
 */
WEFT_API void weft_http_client_close_idle(weft_http_client *c);

/**
 * weft_http_do - send a request, and receive the head of its response.
 * @c:            a client; NULL: one that the process shares.
 * @call:         what to ask; borrowed for the call.
 * @ret_response: the response, owned: weft_http_response_close.
 *
 * A kept connection that turns out to be dead is replaced by a new one, once, where the request
 * may be sent twice (GET, HEAD, PUT, DELETE, OPTIONS, TRACE, and a body from memory or none).
 * Which status came is the caller's business: 404 is a success here.
 *
 * Returns 0.
 *   -EPROTONOSUPPORT https, or another scheme than http; -EINVAL call or URL makes no sense; both
 *   leave a sentence (weft_error_take). -EBADMSG not HTTP, or cut short; -EMSGSIZE past a limit;
 *   -ELOOP more redirects than max_redirects; what weft_dial, weft_read, weft_write and body_read
 *   return; -ECANCELED / -ETIMEDOUT the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber, several at once on one client; a plain thread too.
 * Cost:      no allocation on a kept connection.
 * Since 0.1. Source: RFC 9110, RFC 9112. See weft_http_get, weft_http_response_read.
 */
WEFT_API WEFT_MUST_CHECK int weft_http_do(
    weft_http_client *c, const weft_http_call *call, weft_http_response **ret_response);

/**
 * weft_http_get - GET a URL through the process's shared client.
 * @url:          "http://host[:port]/path?query".
 * @ret_response: as weft_http_do.
 *
 * Returns as weft_http_do.
 * Blocks:    as weft_http_do.
 * Callable:  as weft_http_do.
 * Since 0.1. See weft_http_do.
 */
WEFT_API WEFT_MUST_CHECK int weft_http_get(const char *url, weft_http_response **ret_response);

/**
 * weft_http_response_head - the response's parsed head: code, reason, fields.
 * @r: a response.
 *
 * Returns it, borrowed until the response is closed; its spans too.
 * Blocks:    never.
 * Callable:  the fiber that has the response.
 * Since 0.1. See weft_http1_field_get.
 */
WEFT_API const struct weft_http1_head *weft_http_response_head(const weft_http_response *r);

/**
 * weft_http_response_status - the status code.
 * @r: a response.
 *
 * Returns 200 to 599.
 * Blocks:    never.
 * Callable:  the fiber that has the response.
 * Since 0.1. See weft_http_response_head.
 */
WEFT_API int weft_http_response_status(const weft_http_response *r);

/**
 * weft_http_response_field - the value of the response's first field with this name.
 * @r:    a response.
 * @name: any case.
 *
 * Returns the value, borrowed until the response is closed; absent where there is none.
 * Blocks:    never.
 * Callable:  the fiber that has the response.
 * Since 0.1. See weft_http_response_head.
 */
WEFT_API struct weft_span weft_http_response_field(const weft_http_response *r, const char *name);

/**
 * weft_http_response_read - read the next bytes of the body.
 * @r:     a response.
 * @buf:   receives them; at least bytes long.
 * @bytes: more than 0.
 *
 * Returns bytes (> 0), or 0 at the body's end.
 *   -EBADMSG malformed or cut short; -EMSGSIZE past the client's limit; -ECANCELED / -ETIMEDOUT
 *   the context ended; -ECONNRESET …. Errors stick.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  the fiber that has the response.
 * Since 0.1. See weft_http_response_body.
 */
WEFT_API ssize_t weft_http_response_read(weft_http_response *r, void *buf, size_t bytes);

/**
 * weft_http_response_body - read the whole body, or what is left of it.
 * @r:        a response.
 * @max:      bytes at most; 0: 16 MiB.
 * @ret_body: the bytes, borrowed until the response is closed; a NUL that does not count stands
 *            behind them.
 *
 * Returns 0; -EMSGSIZE more than max; -ENOMEM; else as weft_http_response_read.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  the fiber that has the response, once.
 * Since 0.1. See weft_http_response_read.
 */
WEFT_API int weft_http_response_body(weft_http_response *r, size_t max, struct weft_span *ret_body);

/**
 * weft_http_response_close - done with a response.
 * @r: taken; may be NULL.
 *
 * If the body was read to its end the connection is kept for later, else it is closed.
 *
 * Blocks:    never.
 * Callable:  the fiber that has the response.
 * Since 0.1. See weft_http_do.
 */
WEFT_API void weft_http_response_close(weft_http_response *r);

WEFT_END_DECLS
#endif
