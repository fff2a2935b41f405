// SPDX-License-Identifier: Apache-2.0
/*
 * ws_reader.c - what arrives on a WebSocket, as events (RFC 6455 §5.4, §5.5, §7, §8.1).
 *
 * The reader stores no payload: 40 bytes for a connection, idle or busy. It can do so because of
 * what it leaves to the caller, who has a buffer anyway:
 *
 *   - a data frame's payload is taken piece by piece as it comes, unmasked where it lies;
 *   - a frame head or a control frame is taken only when whole, so at most 14 + 125 bytes stay with
 *     the caller between two reads;
 *   - a message in parts is put together by the caller, from events that say first and last.
 *
 * A frame goes through these hands:
 *
 *     weft_ws_reader_next
 *       |-- inside a data frame: next_piece -> mask, UTF-8, event
 *       `-- else parse a head -> judge it (role, bits, opcode, order)
 *             |-- control: take_control -> event; a close also moves the state
 *             `-- data:    begin_frame -> limits, then next_piece
 *
 * The close handshake, of which one setter keeps order:
 *
 *     OPEN --weft_ws_close_sent--> CLOSE_SENT --close frame--> CLOSED
 *     OPEN --close frame--> CLOSE_RECEIVED --weft_ws_close_sent--> CLOSED
 *     failed (flag FAILED, sticky) --weft_ws_close_sent--> CLOSED: no answer is waited for
 *
 * Invariants:
 *   W1  opcode != 0 exactly while a message is under way (first frame begun, last byte not seen).
 *   W2  frame_left > 0 only inside a data frame, and then opcode != 0.
 *   W3  message_bytes + frame_left <= message_max: what would pass it is refused at its head.
 *   W4  every byte is taken once; payload that was taken is unmasked, and is not seen again.
 *   W5  text is valid so far after every piece, and whole at `last`.
 *
 * Concurrency: pure; a reader belongs to one thread of control at a time. Progress: wait-free.
 */
#include "base/fatal.h"

#include <weft/wsproto.h>

#include <errno.h>

enum {
    CLIENT = 1, /* our role: frames must not be masked */
    FIN = 2,    /* the frame under way is its message's last */
    MASKED = 4, /* the frame under way is masked */
    BEGUN = 8,  /* the message's first piece has been told */
    FAILED = 16
};
enum { DEFAULT_MESSAGE_MAX = 16 << 20 };

_Static_assert(sizeof(struct weft_ws_reader) <= 40, "the cost of an idle connection");

enum problem {
    NONE,
    BAD_LENGTH,
    BAD_RSV,
    BAD_OPCODE,
    NOT_MASKED,
    IS_MASKED,
    CONTROL_SIZE,
    CONTROL_FRAGMENT,
    NO_MESSAGE,
    IN_MESSAGE,
    CLOSE_SIZE,
    CLOSE_CODE,
    CLOSE_REASON,
    BAD_TEXT,
    TOO_BIG
};

static const struct {
    const char *text;
    int error;
    uint16_t code;
} problems[] = {
    [NONE] = {"", 0, 0},
    [BAD_LENGTH] = {"frame length not minimally encoded", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [BAD_RSV] = {"reserved bit set", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [BAD_OPCODE] = {"reserved opcode", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [NOT_MASKED] = {"frame from client not masked", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [IS_MASKED] = {"frame from server masked", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [CONTROL_SIZE] = {"control frame longer than 125 bytes", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [CONTROL_FRAGMENT] = {"control frame fragmented", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [NO_MESSAGE] = {"continuation without a message", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [IN_MESSAGE] = {"new message inside another", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [CLOSE_SIZE] = {"close payload of one byte", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [CLOSE_CODE] = {"close code that may not be sent", -EPROTO, WEFT_WS_PROTOCOL_ERROR},
    [CLOSE_REASON] = {"close reason is not UTF-8", -EILSEQ, WEFT_WS_INVALID_TEXT},
    [BAD_TEXT] = {"text is not UTF-8", -EILSEQ, WEFT_WS_INVALID_TEXT},
    [TOO_BIG] = {"message too big", -EMSGSIZE, WEFT_WS_TOO_BIG},
};

static int fail(struct weft_ws_reader *r, enum problem p)
{
    WEFT_ASSERT(p != NONE && !(r->flags & FAILED));
    r->flags |= FAILED;
    r->problem = (uint8_t)p;
    r->close_code = problems[p].code;
    return problems[p].error;
}

/* The only place that moves the close handshake. */
static void set_state(struct weft_ws_reader *r, enum weft_ws_state to)
{
    enum weft_ws_state from = r->state;
    WEFT_ASSERT(from != WEFT_WS_CLOSED);
    if (to == WEFT_WS_CLOSED)
        WEFT_ASSERT(from != WEFT_WS_OPEN || (r->flags & FAILED));
    else
        WEFT_ASSERT(from == WEFT_WS_OPEN);
    r->state = (uint8_t)to;
}

void weft_ws_reader_init(struct weft_ws_reader *r, enum weft_ws_role role, uint64_t message_max)
{
    *r = (struct weft_ws_reader){.flags = role == WEFT_WS_CLIENT ? CLIENT : 0,
        .state = WEFT_WS_OPEN,
        .message_max = message_max ? message_max : DEFAULT_MESSAGE_MAX};
}

/* What is wrong with a frame head here and now; NONE where it may stand. */
static enum problem judge(const struct weft_ws_reader *r, const struct weft_ws_frame *f)
{
    bool control = f->opcode & 8;
    if (f->rsv)
        return BAD_RSV;
    if (control ? f->opcode > WEFT_WS_OP_PONG : f->opcode > WEFT_WS_OP_BINARY)
        return BAD_OPCODE;
    if (f->masked == !!(r->flags & CLIENT))
        return f->masked ? IS_MASKED : NOT_MASKED;
    if (control)
        return !f->fin                                  ? CONTROL_FRAGMENT
               : f->payload_bytes > WEFT_WS_CONTROL_MAX ? CONTROL_SIZE
                                                        : NONE;
    if (f->opcode == WEFT_WS_OP_CONTINUATION)
        return r->opcode ? NONE : NO_MESSAGE;
    return r->opcode ? IN_MESSAGE : NONE;
}

/* ---- data ---- */

/* Takes what there is of the data frame under way. Returns the bytes taken, or an error. */
static ssize_t next_piece(
    struct weft_ws_reader *r, uint8_t *in, size_t len, struct weft_ws_event *ev)
{
    size_t n = r->frame_left < len ? (size_t)r->frame_left : len;
    WEFT_ASSERT(r->opcode != 0); /* W1, W2 */
    if ((r->flags & MASKED) && n) {
        uint8_t old[4];
        memcpy(old, r->mask, sizeof old);
        weft_ws_mask(in, in, n, r->mask, 0);
        for (size_t i = 0; i < 4; i++)
            r->mask[i] = old[(n + i) & 3];
    }
    bool text = r->opcode == WEFT_WS_OP_TEXT;
    r->frame_left -= n;
    r->message_bytes += n;
    *ev = (struct weft_ws_event){.kind = WEFT_WS_DATA,
        .data = {(const char *)in, n},
        .text = text,
        .first = !(r->flags & BEGUN),
        .last = r->frame_left == 0 && (r->flags & FIN),
        .frame_left = r->frame_left};
    if (text && (!weft_utf8_feed(&r->utf8, in, n) || (ev->last && !weft_utf8_done(&r->utf8))))
        return fail(r, BAD_TEXT); /* W5 */
    r->flags |= BEGUN;
    if (ev->last) {
        r->opcode = 0;
        r->message_bytes = 0;
    }
    return (ssize_t)n;
}

static int begin_frame(struct weft_ws_reader *r, const struct weft_ws_frame *f)
{
    if (f->payload_bytes > r->message_max - r->message_bytes)
        return fail(r, TOO_BIG); /* W3 */
    if (f->opcode != WEFT_WS_OP_CONTINUATION) {
        r->opcode = f->opcode;
        WEFT_ASSERT(weft_utf8_done(&r->utf8)); /* W5: the last text ended at a character */
        r->flags &= (uint8_t)~BEGUN;
    }
    r->flags =
        (uint8_t)((r->flags & ~(FIN | MASKED)) | (f->fin ? FIN : 0) | (f->masked ? MASKED : 0));
    memcpy(r->mask, f->mask, sizeof r->mask);
    r->frame_left = f->payload_bytes;
    return 0;
}

/* ---- control ---- */

static int take_close(struct weft_ws_reader *r, struct weft_ws_event *ev)
{
    const uint8_t *p = (const uint8_t *)ev->data.data;
    int code = WEFT_WS_NO_CODE;
    if (ev->data.len == 1)
        return fail(r, CLOSE_SIZE);
    if (ev->data.len >= 2) {
        code = p[0] << 8 | p[1];
        ev->data = (struct weft_span){ev->data.data + 2, ev->data.len - 2};
        if (!weft_ws_code_valid(code))
            return fail(r, CLOSE_CODE);
        if (!weft_utf8_valid(ev->data.data, ev->data.len))
            return fail(r, CLOSE_REASON);
    }
    ev->code = r->close_code = (uint16_t)code;
    set_state(r, r->state == WEFT_WS_OPEN ? WEFT_WS_CLOSE_RECEIVED : WEFT_WS_CLOSED);
    return 0;
}

/* A control frame that lies whole behind its head. Unmasked only now: W4. */
static int take_control(struct weft_ws_reader *r, const struct weft_ws_frame *f, uint8_t *payload,
    struct weft_ws_event *ev)
{
    size_t n = (size_t)f->payload_bytes;
    if (f->masked)
        weft_ws_mask(payload, payload, n, f->mask, 0);
    *ev = (struct weft_ws_event){.data = {(const char *)payload, n}};
    if (f->opcode == WEFT_WS_OP_CLOSE) {
        ev->kind = WEFT_WS_CLOSE;
        return take_close(r, ev);
    }
    ev->kind = f->opcode == WEFT_WS_OP_PING ? WEFT_WS_PING : WEFT_WS_PONG;
    return 0;
}

/* ---- the whole ---- */

ssize_t weft_ws_reader_next(
    struct weft_ws_reader *r, void *in, size_t len, struct weft_ws_event *ret_ev)
{
    struct weft_ws_frame f;
    uint8_t *p = in;
    if (r->flags & FAILED)
        return problems[r->problem].error;
    if (len == 0)
        return 0;
    if (r->state >= WEFT_WS_CLOSE_RECEIVED) {
        *ret_ev = (struct weft_ws_event){.kind = WEFT_WS_NONE};
        return (ssize_t)len;
    }
    if (r->frame_left)
        return next_piece(r, p, len, ret_ev);

    int head = weft_ws_frame_parse(p, len, &f);
    if (head == -EAGAIN)
        return 0;
    if (head < 0)
        return fail(r, BAD_LENGTH);
    enum problem wrong = judge(r, &f);
    if (wrong)
        return fail(r, wrong);
    size_t left = len - (size_t)head;
    if (f.opcode & 8) {
        if (left < f.payload_bytes)
            return 0;
        int rc = take_control(r, &f, p + head, ret_ev);
        return rc < 0 ? rc : head + (ssize_t)f.payload_bytes;
    }
    int rc = begin_frame(r, &f);
    if (rc < 0)
        return rc;
    if (left == 0 && r->frame_left) {
        *ret_ev = (struct weft_ws_event){.kind = WEFT_WS_NONE};
        return head;
    }
    ssize_t n = next_piece(r, p + head, left, ret_ev);
    return n < 0 ? n : head + n;
}

bool weft_ws_reader_idle(const struct weft_ws_reader *r)
{
    return r->opcode == 0 && r->frame_left == 0;
}

enum weft_ws_state weft_ws_close_sent(struct weft_ws_reader *r)
{
    if (r->state == WEFT_WS_CLOSE_RECEIVED || ((r->flags & FAILED) && r->state != WEFT_WS_CLOSED))
        set_state(r, WEFT_WS_CLOSED);
    else if (r->state == WEFT_WS_OPEN)
        set_state(r, WEFT_WS_CLOSE_SENT);
    return r->state;
}

const char *weft_ws_problem(const struct weft_ws_reader *r)
{
    return problems[r->problem].text;
}
