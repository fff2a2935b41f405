// SPDX-License-Identifier: Apache-2.0
/*
 * weft/wsproto.h - the WebSocket protocol (RFC 6455) as pure functions over bytes, for both roles.
 *
 * Nothing here reads, writes, allocates, parks or keeps a thread-local: the same code serves fibers
 * that own a connection and pinned loops that serve a hundred thousand. Objects are the caller's
 * storage and belong to one thread of control at a time. Connections that do I/O are in weft/ws.h.
 *
 * Receiving. The reader holds 40 bytes of state and never a byte of payload. It is given the bytes
 * that arrived, unmasks them where they lie, and says what they are:
 *
 *     while (at < len) {
 *         used = weft_ws_reader_next(&r, buf + at, len - at, &ev);
 *         if (used < 0) { send weft_ws_close_frame(r.close_code), close }
 *         if (used == 0) break;                // keep buf[at, len), at most 139 bytes
 *         at += used;
 *         switch (ev.kind) { ... }
 *     }
 *
 * A message that lies whole in the buffer comes as one WEFT_WS_DATA event with first and last set,
 * and is used in place; only a message that arrives in parts needs memory, the caller's. What has
 * not been taken (a head or a control frame cut in the middle) must be given again with more bytes
 * behind it; payload that was taken is never given again, since it is unmasked already.
 *
 * Errors carry the close code that the peer is owed: 1002 protocol, 1007 text, 1009 size.
 */
#ifndef WEFT_WSPROTO_H
#define WEFT_WSPROTO_H
#include <weft/base.h>
#include <weft/http1.h>
#include <weft/span.h>
#include <weft/utf8.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

WEFT_BEGIN_DECLS

/** enum weft_ws_role - which end of the connection this is: clients mask, servers do not. */
enum weft_ws_role { WEFT_WS_SERVER, WEFT_WS_CLIENT };

/** enum weft_ws_opcode - as on the wire (RFC 6455 §5.2). */
enum weft_ws_opcode {
    WEFT_WS_OP_CONTINUATION = 0x0,
    WEFT_WS_OP_TEXT = 0x1,
    WEFT_WS_OP_BINARY = 0x2,
    WEFT_WS_OP_CLOSE = 0x8,
    WEFT_WS_OP_PING = 0x9,
    WEFT_WS_OP_PONG = 0xa
};

/** enum weft_ws_code - close codes by name (RFC 6455 §7.4.1; IANA). 1005, 1006 never travel. */
enum weft_ws_code {
    WEFT_WS_NORMAL = 1000,
    WEFT_WS_GOING_AWAY = 1001,
    WEFT_WS_PROTOCOL_ERROR = 1002,
    WEFT_WS_UNSUPPORTED = 1003,
    WEFT_WS_NO_CODE = 1005,
    WEFT_WS_ABNORMAL = 1006,
    WEFT_WS_INVALID_TEXT = 1007,
    WEFT_WS_POLICY = 1008,
    WEFT_WS_TOO_BIG = 1009,
    WEFT_WS_EXTENSION = 1010,
    WEFT_WS_INTERNAL = 1011,
    WEFT_WS_RESTART = 1012,
    WEFT_WS_TRY_LATER = 1013
};

#define WEFT_WS_HEAD_MAX 14     /* bytes of the longest frame head */
#define WEFT_WS_CONTROL_MAX 125 /* bytes of payload in a control frame */
#define WEFT_WS_KEY_BYTES 24    /* a Sec-WebSocket-Key */
#define WEFT_WS_ACCEPT_BYTES 28 /* a Sec-WebSocket-Accept */

/* ---- frames ---- */

/** struct weft_ws_frame - a parsed frame head. */
struct weft_ws_frame {
    uint64_t payload_bytes;
    uint8_t opcode; /* enum weft_ws_opcode, or a reserved value */
    uint8_t rsv;    /* the three reserved bits: RSV1 is 4 */
    bool fin, masked;
    uint8_t mask[4];
};

/**
 * weft_ws_frame_parse - reads one frame head, without judging what it says.
 * @in:        len bytes from the frame's first on; borrowed.
 * @ret_frame: filled when whole.
 *
 * Returns the head's bytes, 2 to WEFT_WS_HEAD_MAX.
 *   -EAGAIN more bytes are needed; -EPROTO a length that is not minimally encoded or above 2^63.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §5.2. See weft_ws_reader_next, which checks the rest.
 */
WEFT_API int weft_ws_frame_parse(const void *in, size_t len, struct weft_ws_frame *ret_frame);

/**
 * weft_ws_frame_head - writes one frame head.
 * @out:           at least WEFT_WS_HEAD_MAX bytes.
 * @opcode:        enum weft_ws_opcode.
 * @fin:           the last (or only) frame of its message.
 * @payload_bytes: below 2^63; at most WEFT_WS_CONTROL_MAX for control frames.
 * @mask:          4 unpredictable bytes for a client; NULL for a server. The payload must then be
 *                 masked with them (weft_ws_mask).
 *
 * Returns the bytes written.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §5.2.
 */
WEFT_API size_t weft_ws_frame_head(
    void *out, enum weft_ws_opcode opcode, bool fin, uint64_t payload_bytes, const uint8_t *mask);

/**
 * weft_ws_mask - masks or unmasks bytes (the operation is its own inverse).
 * @dst:   len bytes; may be src itself, must not otherwise overlap.
 * @src:   len bytes.
 * @mask:  the frame's 4 mask bytes.
 * @phase: bytes of the frame's payload before src, any number.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Cost:      64 bytes a step.
 * Since 0.1. Source: RFC 6455 §5.3.
 */
WEFT_API void weft_ws_mask(
    void *dst, const void *src, size_t len, const uint8_t *mask, uint64_t phase);

/* Room for any frame that weft_ws_close_frame and weft_ws_control_frame write. */
#define WEFT_WS_CONTROL_FRAME_MAX (6 + WEFT_WS_CONTROL_MAX)

/**
 * weft_ws_control_frame - writes a whole ping, pong or close frame.
 * @out:    at least WEFT_WS_CONTROL_FRAME_MAX bytes; must not overlap payload.
 * @opcode: WEFT_WS_OP_PING, _PONG or _CLOSE.
 * @payload: at most WEFT_WS_CONTROL_MAX bytes (cut there); absent or empty for none.
 * @mask:   4 unpredictable bytes for a client; NULL for a server.
 *
 * Returns the bytes written.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §5.5.
 */
WEFT_API size_t weft_ws_control_frame(
    void *out, enum weft_ws_opcode opcode, struct weft_span payload, const uint8_t *mask);

/**
 * weft_ws_close_frame - writes a whole close frame.
 * @out:    at least WEFT_WS_CONTROL_FRAME_MAX bytes; must not overlap reason.
 * @code:   a code that may travel (weft_ws_code_valid); WEFT_WS_NO_CODE, or any other that may not,
 *          writes an empty payload.
 * @reason: UTF-8; cut to 123 bytes at a character; absent for none.
 * @mask:   4 unpredictable bytes for a client; NULL for a server.
 *
 * Returns the bytes written.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §5.5.1, §7.
 */
WEFT_API size_t weft_ws_close_frame(
    void *out, int code, struct weft_span reason, const uint8_t *mask);

/**
 * weft_ws_code_valid - whether a close code may travel in a frame.
 * @code: any number.
 *
 * Returns true for 1000-1003, 1007-1014 and 3000-4999.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §7.4; IANA WebSocket close code registry.
 */
WEFT_API bool weft_ws_code_valid(int code);

/* ---- receiving ---- */

/** enum weft_ws_state - the close handshake (RFC 6455 §7.1). */
enum weft_ws_state {
    WEFT_WS_OPEN,
    WEFT_WS_CLOSE_SENT,     /* ours is out, theirs awaited: data may still arrive */
    WEFT_WS_CLOSE_RECEIVED, /* theirs is in, ours is owed: what arrives is dropped */
    WEFT_WS_CLOSED          /* both, or failed and told: close the connection (the server first) */
};

/** struct weft_ws_reader - where the receiving of one connection stands. 40 bytes. */
struct weft_ws_reader {
    /* readable */
    uint16_t close_code; /* after an error: what to send; after a close: what came (1005: none) */
    uint8_t state;       /* enum weft_ws_state */
    /* ---- private from here ---- */
    uint8_t flags;
    uint8_t opcode; /* of the message under way; 0 between messages */
    uint8_t problem;
    struct weft_utf8 utf8;
    uint8_t mask[4]; /* turned so that mask[0] is for the next byte */
    uint64_t frame_left, message_bytes, message_max;
};

/** enum weft_ws_kind - what an event is. */
enum weft_ws_kind {
    WEFT_WS_NONE, /* bytes were taken, nothing to tell yet */
    WEFT_WS_DATA, /* a piece of a message */
    WEFT_WS_PING, /* answer with a pong of the same data */
    WEFT_WS_PONG, /* data of the ping that it answers, or unsolicited */
    WEFT_WS_CLOSE /* code and data (the reason); answer with a close frame if none was sent */
};

/** struct weft_ws_event - what weft_ws_reader_next found. */
struct weft_ws_event {
    enum weft_ws_kind kind;
    struct weft_span data; /* payload, unmasked, inside the input */
    bool text;             /* DATA: of a text message (UTF-8 checked so far, whole at `last`) */
    bool first, last;      /* DATA: the message begins, ends with this piece */
    uint16_t code;         /* CLOSE: the peer's code; WEFT_WS_NO_CODE where it gave none */
    uint64_t frame_left;   /* DATA: bytes of this frame still to come */
};

/**
 * weft_ws_reader_init - makes r ready for the first frame of a connection.
 * @r:           caller's storage; nothing to undo later.
 * @role:        ours. A server refuses unmasked frames, a client masked ones.
 * @message_max: bytes of one message over all its frames; 0: 16 MiB.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_ws_reader_next.
 */
WEFT_API void weft_ws_reader_init(
    struct weft_ws_reader *r, enum weft_ws_role role, uint64_t message_max);

/**
 * weft_ws_reader_next - takes the next event from the input.
 * @r:      state; borrowed.
 * @in:     len bytes that follow those already taken. Payload is unmasked in place.
 * @ret_ev: overwritten when the result is positive; its data points into `in`.
 *
 * Returns the bytes taken; 0: the input ends inside a frame head or control frame, call again with
 * the same bytes and more behind them (at most 139 bytes are ever left over).
 *   -EPROTO   1002: reserved bits or opcodes, masking, fragmentation, control frames, close code.
 *   -EILSEQ   1007: text that is not UTF-8, reported with the first piece that shows it.
 *   -EMSGSIZE 1009: the message would pass message_max; reported with the frame head.
 *   Errors stick; r->close_code is what to send (weft_ws_close_frame), weft_ws_problem says why.
 * After a close frame has come, everything is taken and dropped. However the input is cut, the
 * messages, control frames and errors are the same.
 * Blocks:    no.
 * Callable:  anywhere.
 * Cost:      one pass to unmask, one to validate text; no allocation.
 * Since 0.1. Source: RFC 6455 §5, §7, §8.1.
 */
WEFT_API ssize_t weft_ws_reader_next(
    struct weft_ws_reader *r, void *in, size_t len, struct weft_ws_event *ret_ev);

/**
 * weft_ws_reader_idle - whether nothing is under way: no message begun, no frame cut.
 * @r: state; borrowed.
 *
 * Returns true when the connection needs no memory beyond r (and the bytes not yet taken, if any).
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1.
 */
WEFT_API bool weft_ws_reader_idle(const struct weft_ws_reader *r);

/**
 * weft_ws_close_sent - notes that our close frame has been handed to the connection.
 * @r: state; borrowed.
 *
 * Moves OPEN to CLOSE_SENT, CLOSE_RECEIVED (or a reader that failed) to CLOSED; without effect when
 * already noted. After it no other frame may be sent.
 * Returns the new state.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §5.5.1, §7.1.
 */
WEFT_API enum weft_ws_state weft_ws_close_sent(struct weft_ws_reader *r);

/**
 * weft_ws_problem - what the reader objected to.
 * @r: state after an error; borrowed.
 *
 * Returns a static sentence, fit for a log or a close reason; "" where nothing failed.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1.
 */
WEFT_API const char *weft_ws_problem(const struct weft_ws_reader *r);

/* ---- opening handshake, server ---- */

/** struct weft_ws_upgrade - what an upgrade request asks for. Spans point into the request. */
struct weft_ws_upgrade {
    struct weft_span key;       /* Sec-WebSocket-Key, checked */
    struct weft_span protocols; /* first Sec-WebSocket-Protocol, a list; absent where none */
    struct weft_span origin;    /* Origin, for the caller's policy; absent where none */
    /* after an error */
    int status;          /* 400, 405, or 426 (answer with weft_ws_upgrade_refuse) */
    const char *problem; /* static sentence */
};

/**
 * weft_ws_upgrade_check - whether a parsed request is a valid WebSocket upgrade.
 * @req:     parsed request head; borrowed.
 * @ret_up:  filled also on failure (status, problem).
 *
 * Returns 0, or -EPROTO. Origin is not judged: that is the caller's policy.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §4.2.1. See weft_ws_upgrade_accept.
 */
WEFT_API int weft_ws_upgrade_check(
    const struct weft_http1_head *req, struct weft_ws_upgrade *ret_up);

/**
 * weft_ws_protocol_choose - the first of the client's sub-protocols that the server has.
 * @req:       parsed request head; every Sec-WebSocket-Protocol field counts.
 * @supported: names, NULL-terminated array; case counts. NULL: none.
 *
 * Returns the client's span; absent where there is none in common.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §4.2.2 (the client's order is its preference).
 */
WEFT_API struct weft_span weft_ws_protocol_choose(
    const struct weft_http1_head *req, const char *const *supported);

/**
 * weft_ws_upgrade_accept - writes the "101 Switching Protocols" response.
 * @up:       checked request; borrowed.
 * @protocol: chosen sub-protocol; absent for none.
 * @out:      cap bytes; 160 and the protocol's length suffice.
 *
 * Returns the bytes written; -ENOBUFS it did not fit; -EINVAL protocol is not a token.
 * Blocks:    no.
 * Callable:  anywhere.
 * Cost:      one SHA-1 over 60 bytes, no allocation.
 * Since 0.1. Source: RFC 6455 §4.2.2.
 */
WEFT_API ssize_t weft_ws_upgrade_accept(
    const struct weft_ws_upgrade *up, struct weft_span protocol, char *out, size_t cap);

/**
 * weft_ws_upgrade_refuse - writes a whole refusal: status line, fields, a short body.
 * @up:  failed check (its status and problem are used); borrowed.
 * @out: cap bytes; 512 suffice.
 *
 * Names the version that would do (Sec-WebSocket-Version: 13) and closes the connection.
 * Returns the bytes written; -ENOBUFS it did not fit.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §4.2.2, §4.4.
 */
WEFT_API ssize_t weft_ws_upgrade_refuse(const struct weft_ws_upgrade *up, char *out, size_t cap);

/**
 * weft_ws_accept_key - the Sec-WebSocket-Accept that answers a key.
 * @key: WEFT_WS_KEY_BYTES of base64 for 16 bytes; borrowed.
 * @out: WEFT_WS_ACCEPT_BYTES; not NUL-terminated.
 *
 * Returns 0; -EINVAL where key is not base64 of 16 bytes.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §1.3, §4.2.2.
 */
WEFT_API int weft_ws_accept_key(struct weft_span key, char *out);

/* ---- opening handshake, client ---- */

/**
 * weft_ws_key_encode - a Sec-WebSocket-Key from 16 random bytes.
 * @nonce: 16 bytes, fresh from getrandom for every connection.
 * @out:   WEFT_WS_KEY_BYTES; not NUL-terminated.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §4.1.
 */
WEFT_API void weft_ws_key_encode(const uint8_t *nonce, char *out);

/**
 * weft_ws_request_begin - begins a client's upgrade request: all fields the protocol demands.
 * @w:         overwritten; the caller adds fields of its own (Origin, Authorization) and ends it
 *             with weft_http1_write_end.
 * @buf:       cap bytes that the head goes to.
 * @target:    "/path?query".
 * @host:      "host" or "host:port".
 * @key:       WEFT_WS_KEY_BYTES from weft_ws_key_encode.
 * @protocols: comma-separated offer, best first; absent for none.
 *
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §4.1. See weft_ws_response_check.
 */
WEFT_API void weft_ws_request_begin(struct weft_http1_writer *w, char *buf, size_t cap,
    struct weft_span target, struct weft_span host, const char *key, struct weft_span protocols);

/**
 * weft_ws_response_check - whether the server's answer opens the connection.
 * @resp:         parsed response head; borrowed.
 * @key:          the WEFT_WS_KEY_BYTES that were sent.
 * @protocols:    the offer that was sent; absent for none.
 * @ret_protocol: the server's choice, inside the response; absent for none. May be NULL.
 *
 * Returns 0.
 *   -ECONNREFUSED the server answered with another status than 101 (resp->code)
 *   -EPROTO       a 101 that does not prove the handshake, names an extension, or chooses a
 *                 sub-protocol that was not offered.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 6455 §4.1, §4.2.2.
 */
WEFT_API int weft_ws_response_check(const struct weft_http1_head *resp, const char *key,
    struct weft_span protocols, struct weft_span *ret_protocol);

WEFT_END_DECLS
#endif
