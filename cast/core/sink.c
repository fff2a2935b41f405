// SPDX-License-Identifier: Apache-2.0
/* sink.c - a connection's way out; fanout.h has the picture and the rules F1 to F4.
 *
 * The buffer of private bytes lives only while something waits in it. Lines of one turn are
 * gathered behind a gap for the longest frame head; when the frame is closed the head is written
 * and the payload moved up against it, a few hundred bytes as a rule. */
#include "core/fan_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weft/wsproto.h>

#define OUT_FIRST 240u
#define IOV_MAX_ONE 32
#define HEAD_GAP 10u /* of a server's frame */

void sink_init(struct sink *s, struct fan *fan)
{
    memset(s, 0, sizeof *s);
    s->fan = fan;
}

void sink_fini(struct sink *s)
{
    assert(!s->subs);
    fan_forget(s->fan, s);
    free(s->out);
    s->out = NULL;
}

uint64_t sink_lag(const struct sink *s)
{
    uint64_t lag = s->out ? s->out->used - s->out->off : 0;
    for (const struct sub *sub = s->subs; sub; sub = sub->next)
        lag += sub->outlet->head - sub->cur.pos;
    return lag;
}

void fan__fail(struct sink *s, enum sink_failure why)
{
    if (s->failure != SINK_FINE)
        return;
    s->failure = (uint8_t)why;
    if (s->queued) /* it is in the flush list, which hands it over */
        return;
    s->queued = true;
    s->next = s->fan->failed;
    s->fan->failed = s;
    fan__arm(s->fan);
}

/* Room for `bytes` more private ones; NULL after a failure (the sink is marked). */
static struct outq *out_room(struct sink *s, size_t bytes)
{
    struct outq *q = s->out;
    if (q && q->room - q->used >= bytes)
        return q;
    uint64_t need = (q ? q->used : 0) + (uint64_t)bytes;
    uint64_t room = q ? (uint64_t)q->room * 2 : OUT_FIRST;
    if (room < need)
        room = need;
    if (room > UINT32_MAX) {
        fan__fail(s, SINK_SLOW);
        return NULL;
    }
    struct outq *grown = realloc(q, sizeof *q + room);
    if (!grown) {
        fan__fail(s, SINK_NO_MEMORY);
        return NULL;
    }
    if (!q)
        memset(grown, 0, sizeof *grown);
    grown->room = (uint32_t)room;
    return s->out = grown;
}

/* Closes the open frame: writes its head and moves the payload up against it. */
static void close_frame(struct outq *q)
{
    if (!q->open_at)
        return;
    uint32_t gap = q->open_at - 1; /* open_at is one more, so that 0 can say "none" */
    uint32_t payload = q->used - gap - HEAD_GAP;
    char head[WEFT_WS_HEAD_MAX];
    uint32_t head_bytes = (uint32_t)weft_ws_frame_head(head, WEFT_WS_OP_TEXT, true, payload, NULL);
    assert(head_bytes <= HEAD_GAP);
    memmove(q->bytes + gap + head_bytes, q->bytes + gap + HEAD_GAP, payload);
    memcpy(q->bytes + gap, head, head_bytes);
    q->used = gap + head_bytes + payload;
    q->open_at = 0;
}

/* Makes sure that the sink is flushed at the end of the turn. */
static void flush_later(struct sink *s)
{
    if (s->queued || s->blocked)
        return;
    s->queued = true;
    s->next = s->fan->flush;
    s->fan->flush = s;
    fan__arm(s->fan);
}

static void put_line(struct sink *s, const char *line, size_t bytes)
{
    struct outq *q = out_room(s, bytes + HEAD_GAP + 1);
    if (!q)
        return;
    if (!q->open_at) {
        q->open_at = q->used + 1;
        q->used += HEAD_GAP;
    } else {
        q->bytes[q->used++] = '\n';
    }
    memcpy(q->bytes + q->used, line, bytes);
    q->used += (uint32_t)bytes;
}

/* The whole lag is only added up when this part of it is at least its share of the limit: if the
 * sum is past the limit, one part is past its share. */
void fan__check_slow(struct sink *s, uint64_t grown)
{
    uint64_t share = s->fan->queue_max_bytes / (s->sub_count + 1);
    if (grown >= share && sink_lag(s) > s->fan->queue_max_bytes)
        fan__fail(s, SINK_SLOW);
}

static void check_own_slow(struct sink *s)
{
    if (s->blocked && s->out)
        fan__check_slow(s, s->out->used - s->out->off);
}

void sink_line(struct sink *s, struct weft_span line)
{
    if (s->closed || s->failure != SINK_FINE)
        return;
    put_line(s, line.data, line.len);
    check_own_slow(s);
    flush_later(s);
}

void sink_bytes(struct sink *s, const void *bytes, size_t count)
{
    if (s->closed || s->failure != SINK_FINE || count == 0)
        return;
    if (s->out)
        close_frame(s->out);
    struct outq *q = out_room(s, count);
    if (!q)
        return;
    memcpy(q->bytes + q->used, bytes, count);
    q->used += (uint32_t)count;
    flush_later(s);
}

/* The frame that begins at p (a log holds whole frames only): its head's and its payload's size. */
static uint64_t frame_at(const char *p, size_t bytes, uint32_t *ret_head)
{
    struct weft_ws_frame f;
    int head = weft_ws_frame_parse(p, bytes, &f);
    assert(head > 0 && f.payload_bytes + (uint64_t)head <= bytes);
    *ret_head = (uint32_t)head;
    return f.payload_bytes;
}

void sink_barrier(struct sink *s, struct sub *sub)
{
    uint64_t head = sub->outlet->head;
    struct iovec iov[8];
    int n;
    while (!s->closed && s->failure == SINK_FINE &&
           (n = tcursor_ranges(&sub->cur, head, iov, 8)) > 0) {
        uint64_t took = 0;
        for (int i = 0; i < n; i++) {
            const char *p = iov[i].iov_base, *end = p + iov[i].iov_len;
            while (p < end) {
                uint32_t skip;
                uint64_t payload = frame_at(p, (size_t)(end - p), &skip);
                put_line(s, p + skip, payload);
                p += skip + payload;
            }
            took += iov[i].iov_len;
        }
        tcursor_advance(&sub->cur, took);
        flush_later(s);
    }
    check_own_slow(s);
}

/* What a short send left of the frame that it cut, `sent` bytes into the range at p, goes in front
 * of the private bytes (which are all sent, or the range would not have been reached: F1). */
static uint64_t save_cut_frame(struct sink *s, const char *p, size_t bytes, size_t sent)
{
    size_t at = 0;
    while (true) {
        uint32_t head;
        uint64_t whole = frame_at(p + at, bytes - at, &head) + head;
        if (at + whole > sent) {
            if (at == sent)
                return sent; /* cut between two frames */
            size_t rest = at + whole - sent;
            struct outq *q = out_room(s, rest);
            if (q) {
                memcpy(q->bytes + q->used, p + sent, rest);
                q->used += (uint32_t)rest;
                q->rest = (uint32_t)rest;
            }
            return at + whole;
        }
        at += whole;
        if (at == sent)
            return sent;
    }
}

/* Moves a sub's cursor over n sent bytes of its ranges; a cut frame is saved. Returns what is left
 * of n. */
static size_t sub_sent(
    struct sink *s, struct sub *sub, const struct iovec *iov, int count, size_t n)
{
    uint64_t over = 0;
    for (int i = 0; i < count && n > 0; i++) {
        if (n >= iov[i].iov_len) {
            over += iov[i].iov_len;
            n -= iov[i].iov_len;
            continue;
        }
        over += save_cut_frame(s, iov[i].iov_base, iov[i].iov_len, n);
        n = 0;
    }
    tcursor_advance(&sub->cur, over);
    return n;
}

/* The bytes that end the frame in which off stands, after n more than the old rest were sent. */
static uint32_t rest_of_frame(const struct outq *q, uint32_t n)
{
    uint32_t at = q->off + q->rest, to = q->off + n;
    while (at < to) {
        uint32_t head;
        at += (uint32_t)frame_at(q->bytes + at, q->used - at, &head) + head;
    }
    return at - to;
}

static void out_sent(struct sink *s, size_t n)
{
    struct outq *q = s->out;
    assert(n <= q->used - q->off && !q->open_at);
    if (n == q->used - q->off) {
        free(q);
        s->out = NULL;
        return;
    }
    if (n <= q->rest)
        q->rest -= (uint32_t)n;
    else if (s->framed)
        q->rest = rest_of_frame(q, (uint32_t)n);
    q->off += (uint32_t)n;
}

static void block(struct sink *s)
{
    s->fan->stats.short_sends++;
    if (s->blocked)
        return;
    s->blocked = true;
    weft_loop_io_set(s->fan->loop, &s->io, WEFT_LOOP_READ | WEFT_LOOP_WRITE);
}

/* After a send: false when the socket took less than everything, or failed. */
static bool sent_all(struct sink *s, ssize_t n, size_t bytes)
{
    if (n == (ssize_t)bytes)
        return true;
    if (n >= 0 || n == -EAGAIN)
        block(s);
    else
        fan__fail(s, SINK_BROKEN);
    return false;
}

void fan__send_sub(struct sink *s, struct sub *sub)
{
    struct iovec iov[4];
    int n;
    while ((n = tcursor_ranges(&sub->cur, sub->outlet->head, iov, 4)) > 0) {
        size_t bytes = 0;
        for (int i = 0; i < n; i++)
            bytes += iov[i].iov_len;
        ssize_t sent = n == 1 ? weft_loop_send(s->fan->loop, &s->io, iov[0].iov_base, bytes)
                              : weft_loop_sendv(s->fan->loop, &s->io, iov, n);
        s->fan->stats.sends++;
        if (sent > 0)
            sub_sent(s, sub, iov, n, (size_t)sent);
        if (!sent_all(s, sent, bytes))
            return;
    }
}

void fan__send_later(struct fan_batch *b, struct sink *s, struct sub *sub)
{
    struct iovec iov[2];
    int n = tcursor_ranges(&sub->cur, sub->outlet->head, iov, 2);
    if (n == 0)
        return;
    if (n > 1) { /* it crosses into another chunk: a vectored send */
        fan__send_sub(s, sub);
        return;
    }
    b->ops[b->count] =
        (weft_loop_send_op){.io = &s->io, .data = iov[0].iov_base, .bytes = iov[0].iov_len};
    b->subs[b->count++] = sub;
    if (b->count == FAN_BATCH)
        fan__send_batch(s->fan, b);
}

void fan__send_batch(struct fan *f, struct fan_batch *b)
{
    if (b->count == 0)
        return;
    weft_loop_send_batch(f->loop, b->ops, (size_t)b->count);
    f->stats.sends += (uint64_t)b->count;
    for (int i = 0; i < b->count; i++) {
        struct sink *s = b->subs[i]->sink;
        struct iovec iov = {(void *)(uintptr_t)b->ops[i].data, b->ops[i].bytes};
        if (b->ops[i].result > 0)
            sub_sent(s, b->subs[i], &iov, 1, (size_t)b->ops[i].result);
        sent_all(s, b->ops[i].result, iov.iov_len);
    }
    b->count = 0;
}

/* One vectored send of the private bytes and (with `all`) of what lies behind the cursors. Returns
 * whether it took everything that was offered and more may be waiting. */
static bool flush_once(struct sink *s, bool all)
{
    struct iovec iov[IOV_MAX_ONE];
    struct {
        struct sub *sub;
        int first, count;
    } part[IOV_MAX_ONE];
    int n = 0, parts = 0;
    size_t bytes = 0, own = 0;
    if (s->out) {
        close_frame(s->out);
        own = s->out->used - s->out->off;
        iov[n++] = (struct iovec){s->out->bytes + s->out->off, own};
        bytes = own;
    }
    struct sub *sub = all && !s->closed ? s->subs : NULL;
    for (; sub && n < IOV_MAX_ONE; sub = sub->next) {
        int got = tcursor_ranges(&sub->cur, sub->outlet->head, iov + n, IOV_MAX_ONE - n);
        if (got == 0)
            continue;
        part[parts].sub = sub, part[parts].first = n, part[parts++].count = got;
        for (int i = n; i < n + got; i++)
            bytes += iov[i].iov_len;
        n += got;
    }
    if (n == 0)
        return false;
    ssize_t sent = weft_loop_sendv(s->fan->loop, &s->io, iov, n);
    s->fan->stats.sends++;
    if (sent > 0) {
        size_t left = (size_t)sent;
        if (own) {
            size_t mine = left < own ? left : own;
            out_sent(s, mine);
            left -= mine;
        }
        for (int i = 0; i < parts && left > 0; i++)
            left = sub_sent(s, part[i].sub, iov + part[i].first, part[i].count, left);
    }
    return sent_all(s, sent, bytes) && n == IOV_MAX_ONE;
}

void sink_flush(struct sink *s)
{
    if (s->failure != SINK_FINE || s->blocked)
        return;
    while (flush_once(s, s->sub_count <= FAN_FEW_SUBS))
        ;
}

void sink_writable(struct sink *s)
{
    if (!s->blocked || s->failure != SINK_FINE)
        return;
    s->blocked = false;
    while (flush_once(s, true)) /* whatever was passed over while it was blocked */
        ;
    if (!s->blocked)
        weft_loop_io_set(s->fan->loop, &s->io, WEFT_LOOP_READ);
}

void sink_end(struct sink *s, const void *bytes, size_t count, bool drop)
{
    if (s->closed)
        return;
    if (s->out && drop && s->out->rest)
        s->out->used = s->out->off + s->out->rest, s->out->open_at = 0;
    else if (drop) {
        free(s->out);
        s->out = NULL;
    }
    if (s->failure == SINK_SLOW)
        s->failure = SINK_FINE;
    sink_bytes(s, bytes, count);
    s->closed = true;
}
