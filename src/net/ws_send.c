// SPDX-License-Identifier: Apache-2.0
/*
 * ws_send.c - frames out: messages whole and in pieces, pings, pongs, the close frame.
 *
 * A server sends head and payload from where they lie, in one system call. A client must mask with
 * unpredictable bytes (RFC 6455 §5.3), so its payload goes through a scratch buffer; the masks come
 * from the kernel, 32 at a time. The locks and their order stand in ws_conn.h.
 *
 * Close frames and pongs go out although the context of whoever sends them has ended. A shield with
 * a time limit costs two allocations, so they are tried without first: there nearly always is room.
 */
#include "net/ws_conn.h"

#include <weft/ctx.h>
#include <weft/net.h>
#include <weft/sugar.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/fatal.h"
#include "base/futex.h"

int weft__ws_random(void *buf, size_t bytes)
{
    long n = weft__syscall(SYS_getrandom, (long)buf, (long)bytes, 0, 0, 0, 0);
    return n == (long)bytes ? 0 : n < 0 ? (int)n : -EIO;
}

/* The mask for the next frame; NULL for a server. Under frame_lock. */
static int next_mask(weft_ws *ws, uint8_t storage[4], const uint8_t **ret_mask)
{
    *ret_mask = NULL;
    if (ws->role == WEFT_WS_SERVER)
        return 0;
    if (ws->random_left < 4) {
        int rc = weft__ws_random(ws->random, sizeof ws->random);
        if (rc < 0)
            return rc;
        ws->random_left = sizeof ws->random;
    }
    ws->random_left -= 4;
    memcpy(storage, ws->random + ws->random_left, 4);
    *ret_mask = storage;
    return 0;
}

/* All of it, or R3. */
static int send_all(weft_ws *ws, struct iovec *iov, int count, bool begun)
{
    size_t sent;
    int rc = weft__net_send(ws->s.fd, iov, count, ws->write_ns, &sent);
    if (rc < 0 && (begun || sent))
        ws->send_error = -EPIPE;
    return rc;
}

int64_t weft__ws_left(int64_t deadline_ns)
{
    if (deadline_ns < 0)
        return INT64_MAX;
    int64_t now = weft__clock_ns();
    return deadline_ns > now ? deadline_ns - now : 0;
}

static int send_shielded(weft_ws *ws, struct iovec *frame, int64_t limit_ns, size_t *ret_sent)
{
    WEFT_SHIELD(calm);
    WEFT_TIMEOUT(limit, limit_ns);
    return weft__net_send(ws->s.fd, frame, 1, ws->write_ns, ret_sent);
}

/* A control frame that does not depend on the caller's context: first as anything is sent, each
 * wait for wait_ns at most, and where that did not do, under a shield for limit_ns in all. */
static int send_control(weft_ws *ws, struct iovec *frame, int64_t wait_ns, int64_t limit_ns)
{
    size_t sent, more = 0;
    int rc = weft__net_send(ws->s.fd, frame, 1, wait_ns, &sent);
    if (rc == -ETIMEDOUT || rc == -ECANCELED || (rc < 0 && weft_ctx_check() < 0))
        rc = send_shielded(ws, frame, limit_ns, &more);
    if (rc < 0 && sent + more)
        ws->send_error = -EPIPE; /* R3 */
    return rc;
}

static int send_masked(
    weft_ws *ws, const uint8_t *head, size_t head_len, const uint8_t *mask, struct weft_span data)
{
    size_t done = 0;
    memcpy(ws->scratch, head, head_len);
    size_t room = WEFT__WS_SCRATCH_BYTES - head_len, at = head_len;
    do {
        size_t n = data.len - done < room ? data.len - done : room;
        if (n)
            weft_ws_mask(ws->scratch + at, data.data + done, n, mask, done);
        struct iovec iov = {ws->scratch, at + n};
        int rc = send_all(ws, &iov, 1, done > 0);
        if (rc < 0)
            return rc;
        done += n;
        at = 0;
        room = WEFT__WS_SCRATCH_BYTES;
    } while (done < data.len);
    return 0;
}

static int send_frame_locked(
    weft_ws *ws, enum weft_ws_opcode opcode, bool fin, struct weft_span data)
{
    uint8_t head[WEFT_WS_HEAD_MAX], storage[4];
    const uint8_t *mask;
    if (ws->send_error || at_load(&ws->closing)) /* R3, R4 */
        return -EPIPE;
    int rc = next_mask(ws, storage, &mask);
    if (rc < 0)
        return rc;
    size_t n = weft_ws_frame_head(head, opcode, fin, data.len, mask);
    if (mask)
        return send_masked(ws, head, n, mask, data);
    struct iovec iov[2] = {{head, n}, {(void *)(uintptr_t)data.data, data.len}};
    return send_all(ws, iov, 2, false);
}

static void send_pong_locked(weft_ws *ws)
{
    uint8_t payload[WEFT_WS_CONTROL_MAX], frame[WEFT_WS_CONTROL_FRAME_MAX], storage[4];
    const uint8_t *mask;
    weft_mutex_lock(&ws->pong_lock);
    bool due = at_xchg(&ws->pong_due, false);
    size_t n = ws->pong_len;
    memcpy(payload, ws->pong, n);
    weft_mutex_unlock(&ws->pong_lock);
    if (!due || ws->send_error || at_load(&ws->closing) || next_mask(ws, storage, &mask) < 0)
        return;
    struct weft_span span = {(const char *)payload, n};
    struct iovec iov = {frame, weft_ws_control_frame(frame, WEFT_WS_OP_PONG, span, mask)};
    (void)send_control(ws, &iov, ws->write_ns, ws->close_ns < 0 ? INT64_MAX : ws->close_ns);
}

/* R2, R7 */
static void unlock_frame(weft_ws *ws)
{
    do {
        if (at_load(&ws->pong_due))
            send_pong_locked(ws);
        weft_mutex_unlock(&ws->frame_lock);
    } while (at_load(&ws->pong_due) && weft_mutex_try_lock(&ws->frame_lock));
    if (at_load(&ws->closing)) {
        weft_mutex_lock(&ws->end_lock);
        weft_cond_broadcast(&ws->told);
        weft_mutex_unlock(&ws->end_lock);
    }
}

/* R7. 0, or an error, and the connection is shut. */
static int lock_frame_by(weft_ws *ws, int64_t deadline_ns)
{
    int rc = 0;
    if (weft_mutex_try_lock(&ws->frame_lock))
        return 0;
    WEFT_SHIELD(calm);
    WEFT_TIMEOUT(limit, weft__ws_left(deadline_ns));
    weft_mutex_lock(&ws->end_lock);
    bool locked = weft_mutex_try_lock(&ws->frame_lock);
    while (!locked && rc == 0) {
        rc = weft_cond_wait(&ws->told, &ws->end_lock);
        locked = weft_mutex_try_lock(&ws->frame_lock);
    }
    weft_mutex_unlock(&ws->end_lock);
    if (locked)
        return 0;
    (void)weft_shutdown(ws->s.fd, SHUT_RDWR);
    return rc;
}

void weft__ws_pong(weft_ws *ws, struct weft_span payload)
{
    weft_mutex_lock(&ws->pong_lock);
    ws->pong_len = (uint8_t)payload.len;
    if (payload.len)
        memcpy(ws->pong, payload.data, payload.len);
    at_store(&ws->pong_due, true);
    weft_mutex_unlock(&ws->pong_lock);
    if (weft_mutex_try_lock(&ws->frame_lock))
        unlock_frame(ws);
}

static int send_frame(weft_ws *ws, enum weft_ws_opcode opcode, bool fin, struct weft_span data)
{
    weft_mutex_lock(&ws->frame_lock);
    int rc = send_frame_locked(ws, opcode, fin, data);
    unlock_frame(ws);
    return rc;
}

int weft__ws_send_control(weft_ws *ws, enum weft_ws_opcode opcode, struct weft_span payload)
{
    WEFT_ASSERT(payload.len <= WEFT_WS_CONTROL_MAX);
    return send_frame(ws, opcode, true, payload);
}

int weft__ws_send_close(weft_ws *ws, int code, struct weft_span reason, int64_t deadline_ns)
{
    uint8_t frame[WEFT_WS_CONTROL_FRAME_MAX], storage[4];
    const uint8_t *mask;
    if (at_load(&ws->close_sent))
        return 0;
    at_store(&ws->closing, true); /* R4 */
    int rc = lock_frame_by(ws, deadline_ns);
    if (rc < 0)
        return rc;
    rc = ws->send_error;
    if (rc == 0 && !at_load(&ws->close_sent) && (rc = next_mask(ws, storage, &mask)) == 0) {
        struct iovec iov = {frame, weft_ws_close_frame(frame, code, reason, mask)};
        rc = send_control(ws, &iov, 0, weft__ws_left(deadline_ns));
        if (rc == 0)
            at_store(&ws->close_sent, true); /* R4 */
    }
    unlock_frame(ws);
    return rc;
}

/* Data as one frame or several; fin: the last of them ends the message. *begun: some frame of the
 * message has gone out. */
static int send_data(
    weft_ws *ws, enum weft_ws_opcode opcode, struct weft_span data, bool fin, bool *begun)
{
    size_t step = ws->fragment_bytes ? ws->fragment_bytes : SIZE_MAX, done = 0;
    do {
        size_t n = data.len - done < step ? data.len - done : step;
        struct weft_span piece = {n ? data.data + done : NULL, n};
        int rc = send_frame(
            ws, *begun ? WEFT_WS_OP_CONTINUATION : opcode, fin && done + n == data.len, piece);
        if (rc < 0)
            return rc;
        *begun = true;
        done += n;
    } while (done < data.len);
    return 0;
}

int weft_ws_send(weft_ws *ws, bool text, const void *data, size_t bytes)
{
    return weft_ws_send_part(ws, text, data, bytes, true);
}

int weft_ws_send_part(weft_ws *ws, bool text, const void *data, size_t bytes, bool last)
{
    bool begun = weft_mutex_held(&ws->message_lock);
    if (!begun)
        weft_mutex_lock(&ws->message_lock);
    int rc = send_data(ws, text ? WEFT_WS_OP_TEXT : WEFT_WS_OP_BINARY,
        (struct weft_span){data, bytes}, last, &begun);
    if (rc < 0 && begun) { /* the message will not be ended, so nothing can follow it */
        weft_mutex_lock(&ws->frame_lock);
        if (!at_load(&ws->closing)) /* but a close frame that is on its way */
            ws->send_error = -EPIPE;
        unlock_frame(ws);
    }
    if (rc < 0 || last)
        weft_mutex_unlock(&ws->message_lock);
    return rc;
}

int weft_ws_ping(weft_ws *ws, const void *data, size_t bytes)
{
    if (bytes > WEFT_WS_CONTROL_MAX)
        return -EINVAL;
    return weft__ws_send_control(ws, WEFT_WS_OP_PING, (struct weft_span){data, bytes});
}
