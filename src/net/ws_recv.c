// SPDX-License-Identifier: Apache-2.0
/*
 * ws_recv.c - messages in, and how a WebSocket ends.
 *
 * The reader of weft/wsproto.h finds events in the bytes and unmasks them where they lie. A message
 * that lies whole in the buffer is handed out from there; one that comes in pieces is put together
 * beside it. The buffer has 4 KiB, and 64 KiB while a long frame passes.
 *
 * Ends, each of which is told once to the peer and for ever to the caller:
 *
 *     the peer's close frame   answered, 0                        code: the peer's
 *     a breach of the protocol close frame 1002, 1007 or 1009     code: that one
 *     the stream ends, silence -ECONNRESET, -ETIMEDOUT            code: 1006
 *
 * The end of a context is no end of the WebSocket: the receive returns, nothing is lost. But what
 * the peer is told at an end goes out though the context has ended, in close_ns at most.
 *
 * After a breach the peer may be in the middle of a long frame; our side is ended first and the
 * rest dropped for a moment, or a reset would take the close frame away from under its eyes.
 */
#include "net/ws_conn.h"

#include <weft/ctx.h>
#include <weft/fiber.h>
#include <weft/net.h>
#include <weft/sugar.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/futex.h"
#include "sched/sched.h"

enum { BUF_MAX = 64 << 10, KEEP_MAX = 64 << 10, MESSAGE_FIRST = 4096 };
static const int64_t linger_ns = 1 * WEFT_SEC;

/* R5 */
static int end(weft_ws *ws, int code, int result)
{
    weft_mutex_lock(&ws->end_lock);
    WEFT_ASSERT(!ws->ended && result <= 0);
    ws->end_code = code;
    ws->end_result = result;
    ws->ended = true;
    weft_cond_broadcast(&ws->told);
    weft_mutex_unlock(&ws->end_lock);
    return result;
}

/* By when the peer must have taken an answer that ends things: a close's own deadline, if one is
 * under way. */
static int64_t answer_by(const weft_ws *ws, int64_t deadline_ns)
{
    return deadline_ns < 0 ? weft__net_deadline(ws->close_ns) : deadline_ns;
}

/* Ends our side and waits a moment for the peer's, whatever the context. */
static void linger(weft_ws *ws, int64_t deadline_ns)
{
    int64_t left_ns = weft__ws_left(deadline_ns);
    WEFT_SHIELD(calm);
    weft__net_linger(ws->s.fd, left_ns < linger_ns ? left_ns : linger_ns);
}

/* The peer broke the rules. */
static int refuse(weft_ws *ws, int rc, int64_t deadline_ns)
{
    int code = ws->reader.close_code;
    struct weft_span why = weft_span_of(weft_ws_problem(&ws->reader));
    deadline_ns = answer_by(ws, deadline_ns);
    if (weft__ws_send_close(ws, code, why, deadline_ns) == 0)
        linger(ws, deadline_ns);
    return end(ws, code, rc);
}

static int closed_by_peer(weft_ws *ws, const struct weft_ws_event *ev, int64_t deadline_ns)
{
    size_t n = ev->data.len < sizeof ws->reason ? ev->data.len : sizeof ws->reason;
    if (n)
        memcpy(ws->reason, ev->data.data, n);
    ws->reason_len = n;
    bool ours_first = at_load(&ws->close_sent);
    (void)weft__ws_send_close(ws, ev->code, (struct weft_span){0}, answer_by(ws, deadline_ns));
    if (!ours_first || ws->role == WEFT_WS_SERVER)
        (void)weft_shutdown(ws->s.fd, SHUT_WR); /* nothing of ours can follow */
    return end(ws, ev->code, 0);
}

/* Reads more, and asks a silent peer whether it is there. Bytes, 0 or an error that ends
 * nothing. */
static ssize_t fill(weft_ws *ws, int64_t deadline_ns)
{
    for (;;) {
        int64_t until_ns = deadline_ns;
        if (deadline_ns < 0 && ws->ping_ns > 0)
            until_ns = weft__net_deadline(ws->ping_ns);
        ssize_t n = weft__stream_fill(&ws->s, until_ns);
        if (n > 0)
            ws->pinged = false;
        if (n != -ETIMEDOUT || deadline_ns >= 0 || weft_ctx_check() < 0)
            return n;
        if (ws->pinged)
            return -EHOSTDOWN;
        ws->pinged = true;
        n = weft__ws_send_control(ws, WEFT_WS_OP_PING, (struct weft_span){0});
        if (n < 0 && n != -EPIPE)
            return n;
    }
}

/* More input. 1, or an error, which may be an end. */
static int more(weft_ws *ws, int64_t deadline_ns)
{
    if (ws->frame_left > ws->s.in.cap && ws->s.in.cap < BUF_MAX)
        (void)weft__buf_grow(&ws->s.in, BUF_MAX); /* without memory it goes on in small steps */
    else if (ws->frame_left == 0)
        weft__buf_shrink(&ws->s.in, MESSAGE_FIRST);
    if (weft__ws_left(deadline_ns) == 0) /* else a peer that never stops would go on for ever */
        return -ETIMEDOUT;
    ssize_t n = fill(ws, deadline_ns);
    if (n > 0)
        return 1;
    if (n == -ECANCELED || n == -ETIMEDOUT)
        return (int)n;
    if (n == -EHOSTDOWN)
        return end(ws, WEFT_WS_ABNORMAL, -ETIMEDOUT);
    return end(ws, WEFT_WS_ABNORMAL, n == 0 ? -ECONNRESET : (int)n);
}

/* What the caller need not see. 1 go on, 0 or an error: the end. */
static int take_control(weft_ws *ws, const struct weft_ws_event *ev, int64_t deadline_ns)
{
    if (ev->kind == WEFT_WS_CLOSE)
        return closed_by_peer(ws, ev, deadline_ns);
    if (ev->kind == WEFT_WS_PING)
        weft__ws_pong(ws, ev->data);
    if (ev->kind == WEFT_WS_PONG)
        at_add(&ws->pongs, 1);
    return 1;
}

/* The next piece of data. 1, 0, or an error. */
static int next_data(weft_ws *ws, struct weft_ws_event *ev, int64_t deadline_ns)
{
    struct weft__buf *b = &ws->s.in;
    int rc = 1;
    while (rc > 0) {
        if (ws->ended)
            return ws->end_result;
        if (at_load(&ws->close_sent) && ws->reader.state == WEFT_WS_OPEN)
            weft_ws_close_sent(&ws->reader); /* R1 */
        ssize_t used = 0;
        if (b->at < b->end)
            used = weft_ws_reader_next(&ws->reader, b->data + b->at, b->end - b->at, ev);
        if (used < 0)
            return refuse(ws, (int)used, deadline_ns);
        b->at += (size_t)used;
        if (used == 0)
            rc = more(ws, deadline_ns);
        else if (ev->kind == WEFT_WS_DATA) {
            ws->frame_left = ev->frame_left;
            return 1;
        } else {
            rc = take_control(ws, ev, deadline_ns);
        }
    }
    return rc;
}

static void hand_out(const struct weft_ws_event *ev, struct weft_ws_message *ret_message)
{
    *ret_message = (struct weft_ws_message){
        .data = ev->data, .text = ev->text, .first = ev->first, .last = ev->last};
}

/* ---- who receives (R6) ---- */

static uint64_t my_id(void)
{
    uint64_t id = weft_self(); /* a plain thread has its record from here on, if not before */
    return id ? id : WEFT__WS_THREAD | (uint64_t)(uintptr_t)weft__self();
}

/* Waits until the receiver has come to the end: its result, or the context's. */
static int await_end(weft_ws *ws)
{
    int rc = 0;
    weft_mutex_lock(&ws->end_lock);
    while (!ws->ended && rc == 0)
        rc = weft_cond_wait(&ws->told, &ws->end_lock);
    if (ws->ended)
        rc = ws->end_result;
    weft_mutex_unlock(&ws->end_lock);
    return rc;
}

/* True: the caller is the receiver now. False: a closing fiber is. */
static bool become_receiver(weft_ws *ws)
{
    uint64_t me = my_id(), old = at_load(&ws->receiver);
    while (old != me) {
        if (old & WEFT__WS_CLOSER)
            return old == (me | WEFT__WS_CLOSER);
        if (at_cas(&ws->receiver, &old, me))
            return true;
    }
    return true;
}

static bool become_closer(weft_ws *ws)
{
    uint64_t me = my_id(), old = at_load(&ws->receiver);
    while (old == 0 || old == me)
        if (at_cas(&ws->receiver, &old, me | WEFT__WS_CLOSER))
            return true;
    return old == (me | WEFT__WS_CLOSER);
}

/* As next_data, for a caller of the public face. */
static int receive(weft_ws *ws, struct weft_ws_event *ev)
{
    return become_receiver(ws) ? next_data(ws, ev, -1) : await_end(ws);
}

int weft_ws_recv_part(weft_ws *ws, struct weft_ws_message *ret_message)
{
    struct weft_ws_event ev;
    int rc = receive(ws, &ev);
    if (rc > 0)
        hand_out(&ev, ret_message);
    return rc;
}

static int append(weft_ws *ws, struct weft_span data, uint64_t expected)
{
    size_t want = ws->message_len + data.len;
    if (want > ws->message_cap) {
        size_t cap = ws->message_cap ? ws->message_cap * 2 : MESSAGE_FIRST;
        if (expected > cap - ws->message_len && expected < BUF_MAX)
            cap = ws->message_len + (size_t)expected;
        while (cap < want)
            cap *= 2;
        char *p = weft__realloc(ws->message, cap);
        if (!p)
            return -ENOMEM;
        ws->message = p;
        ws->message_cap = cap;
    }
    if (data.len)
        memcpy(ws->message + ws->message_len, data.data, data.len);
    ws->message_len = want;
    return 0;
}

/* The message handed out last is done with; one begun (a context ended the receive) goes on. */
static void forget_message(weft_ws *ws)
{
    ws->message_len = 0;
    if (ws->message_cap > KEEP_MAX) {
        weft__free(ws->message);
        ws->message = NULL;
        ws->message_cap = 0;
    }
}

int weft_ws_recv(weft_ws *ws, struct weft_ws_message *ret_message)
{
    struct weft_ws_event ev;
    for (;;) {
        int rc = receive(ws, &ev);
        if (rc <= 0)
            return rc;
        if (ev.first)
            forget_message(ws);
        if (ev.first && ev.last) {
            hand_out(&ev, ret_message);
            return 1;
        }
        rc = append(ws, ev.data, ev.data.len + ev.frame_left);
        if (rc < 0) {
            (void)weft__ws_send_close(
                ws, WEFT_WS_INTERNAL, (struct weft_span){0}, answer_by(ws, -1));
            return end(ws, WEFT_WS_INTERNAL, rc);
        }
        if (ev.last) {
            hand_out(&ev, ret_message);
            ret_message->first = true;
            ret_message->data = (struct weft_span){ws->message, ws->message_len};
            return 1;
        }
    }
}

/* ---- closing ---- */

/* Waits for the peer's close frame as the receiver. */
static int await_close(weft_ws *ws, int64_t deadline_ns)
{
    struct weft_ws_event ev;
    int rc;
    do
        rc = next_data(ws, &ev, deadline_ns);
    while (rc > 0);
    if (rc == 0 && ws->role == WEFT_WS_CLIENT) /* it is for the server to go first */
        linger(ws, deadline_ns);
    return rc;
}

/* The same, where another fiber receives. */
static int await_receiver(weft_ws *ws, int64_t deadline_ns)
{
    WEFT_TIMEOUT(limit, weft__ws_left(deadline_ns));
    return await_end(ws);
}

int weft_ws_close(weft_ws *ws, int code, const char *reason)
{
    WEFT_SHIELD(closing);
    if (!weft_ws_code_valid(code))
        return -EINVAL;
    int64_t deadline_ns = weft__net_deadline(ws->close_ns); /* of all that follows */
    int rc = weft__ws_send_close(ws, code, weft_span_of(reason), deadline_ns);
    bool closer = become_closer(ws);
    if (rc == 0)
        rc = closer ? await_close(ws, deadline_ns) : await_receiver(ws, deadline_ns);
    if (rc < 0 && closer && !ws->ended) /* for those who wait in a receive */
        (void)end(ws, WEFT_WS_ABNORMAL, -ECONNRESET);
    if (rc < 0)
        (void)weft_shutdown(ws->s.fd, SHUT_RDWR);
    return rc;
}

int weft_ws_close_code(const weft_ws *ws, struct weft_span *ret_reason)
{
    if (ret_reason)
        *ret_reason = (struct weft_span){ws->reason, ws->reason_len};
    return ws->end_code;
}

uint64_t weft_ws_pongs(const weft_ws *ws)
{
    return at_load(&ws->pongs);
}
