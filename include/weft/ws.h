// SPDX-License-Identifier: Apache-2.0
/*
 * weft/ws.h - WebSockets (RFC 6455) on fibers: messages in, messages out, an orderly end.
 *
 *     static int echo(weft_http_request *req, weft_http_reply *reply, void *arg)
 *     {
 *         weft_ws *ws;
 *         int rc = weft_ws_accept(req, NULL, &ws);
 *         struct weft_ws_message m;
 *         if (rc < 0)
 *             return rc;                              // the client has been told why
 *         while ((rc = weft_ws_recv(ws, &m)) > 0)     // like read(2): 1, 0 closed, < 0 error
 *             if ((rc = weft_ws_send(ws, m.text, m.data.data, m.data.len)) < 0)
 *                 break;
 *         weft_ws_close(ws, WEFT_WS_GOING_AWAY, NULL);
 *         weft_ws_free(ws);
 *         return rc;
 *     }
 *
 * One fiber may receive while others send; senders are serialised, a message at a time, and pings,
 * pongs and the close frame go between the frames of a long one. Pings are answered by whoever
 * receives, so somebody should always be receiving. Everything honours the ambient context; a send
 * that its end cuts in the middle of a frame leaves the connection unusable (-EPIPE from then on).
 * Only what the protocol owes the peer, a pong or the answer at an end, goes out in spite of it, as
 * does a close; where the peer takes nothing, that may hold the call for close_timeout_ns.
 *
 * Text that arrives is checked to be UTF-8; text that is sent is the caller's word. Extensions
 * (permessage-deflate) are not negotiated. Frames without I/O, for pinned loops: weft/wsproto.h.
 */
#ifndef WEFT_WS_H
#define WEFT_WS_H
#include <weft/base.h>
#include <weft/http.h>
#include <weft/span.h>
#include <weft/wsproto.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WEFT_BEGIN_DECLS

typedef struct weft_ws weft_ws;

/* Options of weft_ws_accept and weft_ws_dial; all borrowed for the call. Zero is the default of
 * each; size is sizeof(weft_ws_opts). */
typedef struct weft_ws_opts {
    size_t size;
    uint64_t message_max;         /* bytes of a received message; default 16 MiB */
    size_t fragment_bytes;        /* longer messages are sent in frames of so many; 0: in one */
    int64_t write_timeout_ns;     /* each wait until the peer takes more; default 60 s */
    int64_t close_timeout_ns;     /* for the closing handshake as a whole, or for what the peer is
                                     told under an ended context; default 5 s */
    int64_t ping_interval_ns;     /* ping a peer that is silent for so long, and give it up after as
                                     long again (-ETIMEDOUT); 0: never */
    const char *const *protocols; /* sub-protocols, NULL-terminated, best first; NULL: none */
    const char *const *origins; /* accept: the Origins let in, NULL-terminated; NULL: not judged */
    const weft_http_field *fields; /* dial: more fields of the request (Origin, Authorization) */
    size_t field_count;
} weft_ws_opts;

/** struct weft_ws_message - a received message, or a piece of one. */
struct weft_ws_message {
    struct weft_span data; /* borrowed until the next receive, or free */
    bool text;             /* else binary */
    bool first, last;      /* both true from weft_ws_recv */
};

/**
 * weft_ws_accept - make a WebSocket of an HTTP request.
 * @req:    a request of which nothing has been answered.
 * @opts:   options, or NULL for the defaults.
 * @ret_ws: the WebSocket, owned; to be freed before the handler returns.
 *
 * Returns 0; the connection speaks HTTP no more, and the handler's context ends as soon as the
 *   server is told to stop. The request's head and fields stay good until the handler returns.
 *   -EPROTO no valid upgrade request: 400, 405 or 426 has been answered; -EACCES its Origin is not
 *   let in: 403 has been answered; -EINVAL options' size; -EALREADY a reply was begun; -ENOMEM;
 *   else as weft_write.
 * Blocks:    parks the fiber where the client is slow. Cancellation point.
 * Callable:  the handler's fiber.
 * Since 0.1. Source: RFC 6455 §4.2. See weft_ws_recv, examples/ws_echo.c.
 */
WEFT_API WEFT_MUST_CHECK int weft_ws_accept(
    weft_http_request *req, const weft_ws_opts *opts, weft_ws **ret_ws);

/**
 * weft_ws_dial - connect to a WebSocket server.
 * @url:    "ws://host[:port]/path?query".
 * @opts:   options, or NULL for the defaults.
 * @ret_ws: the WebSocket, owned.
 *
 * Returns 0.
 *   -EPROTONOSUPPORT wss, or another scheme than ws; -EINVAL URL, option or field makes no sense;
 *   -ECONNREFUSED nobody listens, or the server answered with another status than 101 (these leave
 *   a sentence: weft_error_take); -EPROTO, -EBADMSG the answer is no valid one; what weft_dial,
 *   weft_read and weft_write return; -ECANCELED / -ETIMEDOUT the context ended.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. Source: RFC 6455 §4.1. See weft_ws_recv.
 */
WEFT_API WEFT_MUST_CHECK int weft_ws_dial(
    const char *url, const weft_ws_opts *opts, weft_ws **ret_ws);

/**
 * weft_ws_free - close the connection, without a word, and free the WebSocket.
 * @ws: taken; may be NULL. Nobody uses it any more.
 *
 * Blocks:    never.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_ws_close.
 */
WEFT_API void weft_ws_free(weft_ws *ws);

/**
 * weft_ws_recv - receive a whole message, however many frames it comes in.
 * @ws:          a WebSocket.
 * @ret_message: the message; its data is borrowed until the next receive.
 *
 * Pings are answered and pongs taken meanwhile.
 *
 * Returns 1 with a message, 0 once the peer has closed in order (and was answered).
 *   -EPROTO the peer broke the protocol (it was told 1002); -EILSEQ text that is not UTF-8 (1007);
 *   -EMSGSIZE longer than message_max (1009); -ECONNRESET it vanished; -ETIMEDOUT it gave no sign
 *   of life, or the context's deadline; -ECANCELED the context ended: then nothing is lost, and
 *   closing in order is still possible. -ENOMEM.
 * Blocks:    parks the fiber. Cancellation point.
 * Callable:  one fiber at a time, while others send.
 * Cost:      no copy and no allocation of a message that comes in one piece.
 * Since 0.1. See weft_ws_recv_part, weft_ws_close_code.
 */
WEFT_API int weft_ws_recv(weft_ws *ws, struct weft_ws_message *ret_message);

/**
 * weft_ws_recv_part - receive the next piece of a message, as it comes.
 * @ws:          a WebSocket.
 * @ret_message: the piece; first and last say where in its message it stands. May be empty.
 *
 * For messages that need not be in memory as a whole. A receiver keeps to this call or to
 * weft_ws_recv from one message's beginning to its end.
 *
 * Returns as weft_ws_recv.
 * Blocks:    as weft_ws_recv.
 * Callable:  as weft_ws_recv.
 * Cost:      no copy, no allocation.
 * Since 0.1. See weft_ws_recv.
 */
WEFT_API int weft_ws_recv_part(weft_ws *ws, struct weft_ws_message *ret_message);

/**
 * weft_ws_send - send a message.
 * @ws:    a WebSocket.
 * @text:  true: data is UTF-8 text; false: binary.
 * @data:  bytes bytes; borrowed for the call. NULL if bytes is 0.
 * @bytes: its length.
 *
 * Returns 0; -EPIPE closed by either side, or an earlier send was cut; -ECONNRESET; -ETIMEDOUT the
 *   peer takes nothing, or the context's deadline; -ECANCELED.
 * Blocks:    parks the fiber while another sends, and where the peer is slow. Cancellation point.
 * Callable:  any fiber, several at once; a plain thread too.
 * Cost:      one system call a frame; no copy on a server (a client's frames are masked).
 * Since 0.1. See weft_ws_send_part.
 */
WEFT_API int weft_ws_send(weft_ws *ws, bool text, const void *data, size_t bytes);

/**
 * weft_ws_send_part - send a message bit by bit.
 * @ws:    a WebSocket.
 * @text:  as weft_ws_send; of the message's first piece.
 * @data:  as weft_ws_send.
 * @bytes: as weft_ws_send.
 * @last:  the message ends with this piece (which may be empty).
 *
 * Other messages wait until the last piece, so a message must be ended by the fiber that began it.
 *
 * Returns as weft_ws_send; after an error the message counts as ended.
 * Blocks:    as weft_ws_send.
 * Callable:  as weft_ws_send.
 * Since 0.1. Source: RFC 6455 §5.4. See weft_ws_send.
 */
WEFT_API int weft_ws_send_part(weft_ws *ws, bool text, const void *data, size_t bytes, bool last);

/**
 * weft_ws_ping - send a ping; the peer's pong shows that it is there.
 * @ws:    a WebSocket.
 * @data:  bytes bytes that come back with the pong; borrowed. NULL if bytes is 0.
 * @bytes: at most 125.
 *
 * Returns as weft_ws_send; -EINVAL too long.
 * Blocks:    as weft_ws_send.
 * Callable:  as weft_ws_send.
 * Since 0.1. See weft_ws_pongs.
 */
WEFT_API int weft_ws_ping(weft_ws *ws, const void *data, size_t bytes);

/**
 * weft_ws_pongs - how many pongs have been received.
 * @ws: a WebSocket.
 *
 * Returns the number so far.
 * Blocks:    never.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_ws_ping.
 */
WEFT_API uint64_t weft_ws_pongs(const weft_ws *ws);

/**
 * weft_ws_close - close in order: say so, and wait until the peer has too.
 * @ws:     a WebSocket. Closed already: nothing happens.
 * @code:   why, such as WEFT_WS_NORMAL; one that may travel (weft_ws_code_valid).
 * @reason: UTF-8, cut at 123 bytes; borrowed. NULL: none.
 *
 * Runs its course though the caller's context has ended, for close_timeout_ns at most, whatever the
 * peer, other senders and receivers do: at that time a send that is stuck is cut. No send succeeds
 * any more from here on. What the peer still sends is dropped, unless another fiber is receiving:
 * that one then gets the messages, and the end, and should go on until it is told 0.
 *
 * Returns 0 both have closed; -ETIMEDOUT the peer has not; -EINVAL code; -EPIPE, -ECONNRESET ….
 *   The connection is of no more use in any case; weft_ws_free it.
 * Blocks:    parks the fiber. Not a cancellation point.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. Source: RFC 6455 §7. See weft_ws_free.
 */
WEFT_API int weft_ws_close(weft_ws *ws, int code, const char *reason);

/**
 * weft_ws_close_code - with which code the connection ended.
 * @ws:         a WebSocket that weft_ws_recv said has ended.
 * @ret_reason: the peer's reason, borrowed until the WebSocket is freed; empty where it gave none.
 *              May be NULL.
 *
 * Returns the code that the peer sent (WEFT_WS_NO_CODE: none), or that it was told because it broke
 *   the protocol; WEFT_WS_ABNORMAL if it vanished, or if nothing has ended.
 * Blocks:    never.
 * Callable:  the fiber that receives.
 * Since 0.1. See enum weft_ws_code.
 */
WEFT_API int weft_ws_close_code(const weft_ws *ws, struct weft_span *ret_reason);

/**
 * weft_ws_protocol - the sub-protocol that both sides agreed on.
 * @ws: a WebSocket.
 *
 * Returns its name, borrowed until the WebSocket is freed; "" where there is none.
 * Blocks:    never.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_ws_opts.
 */
WEFT_API const char *weft_ws_protocol(const weft_ws *ws);

/**
 * weft_ws_fd - the connection's descriptor, for weft_peer_addr and socket options.
 * @ws: a WebSocket.
 *
 * Returns it, borrowed: neither read, write nor close it.
 * Blocks:    never.
 * Callable:  any fiber; a plain thread too.
 * Since 0.1. See weft_ws_free.
 */
WEFT_API int weft_ws_fd(const weft_ws *ws);

WEFT_END_DECLS
#endif
