// SPDX-License-Identifier: Apache-2.0
/* message.c - heads and bodies off a stream; message.h has the picture. */
#include "net/message.h"

#include <errno.h>
#include <string.h>

#include "base/alloc.h"
#include "base/fatal.h"

enum {
    BODY_ROOM_MIN = 2048, /* free bytes behind a head, so that a body comes in decent pieces */
    HEAD_ROOM_MAX = 1 << 20,
    WHOLE_FIRST = 4096
};

static int fail(struct weft__message *m, int error)
{
    WEFT_ASSERT(error < 0);
    m->error = error;
    return error;
}

/* The head lies at [at, at + n): keeps it, and sees to room for the body behind it. */
static int keep_head(struct weft__message *m, size_t n)
{
    struct weft__buf *b = &m->s.in;
    size_t start = b->at;
    m->head_at = start;
    b->at += n;
    weft_http1_body_init(&m->body, &m->head);
    if (!m->body.done && b->cap - b->at < BODY_ROOM_MIN) {
        int rc = weft__buf_grow(b, SIZE_MAX / 2);
        if (rc < 0)
            return fail(m, rc);
        ssize_t again = weft_http1_head_parse(&m->head, b->data + start, n);
        WEFT_CHECK(again == (ssize_t)n);
    }
    b->base = b->at; /* M1 */
    return 1;
}

int weft__message_head(struct weft__message *m, int64_t deadline_ns)
{
    struct weft__buf *b = &m->s.in;
    WEFT_ASSERT(b->base == 0 && m->error == 0);
    for (;;) {
        ssize_t n = -EAGAIN;
        if (b->at < b->end)
            n = weft_http1_head_parse(&m->head, b->data + b->at, b->end - b->at);
        if (n > 0)
            return keep_head(m, (size_t)n);
        if (n != -EAGAIN)
            return fail(m, (int)n);
        n = weft__stream_fill(&m->s, deadline_ns);
        if (n == -ENOBUFS && (n = weft__buf_grow(b, HEAD_ROOM_MAX)) == 0)
            continue;
        if (n == 0)
            return b->at == b->end ? 0 : fail(m, -EBADMSG);
        if (n < 0)
            return fail(m, (int)n);
    }
}

int weft__message_keep(struct weft__message *m)
{
    const struct weft__buf *b = &m->s.in;
    WEFT_ASSERT(!m->kept && b->at == b->base && b->base > 0);
    char *p = weft__alloc(b->base);
    if (!p)
        return -ENOMEM;
    memcpy(p, b->data, b->base);
    ssize_t n = weft_http1_head_parse(&m->head, p + m->head_at, b->base - m->head_at);
    WEFT_CHECK(n == (ssize_t)(b->base - m->head_at));
    m->kept = p;
    return 0;
}

/* Decodes from what is buffered. Bytes, 0 if more must be read or it is done, or an error. */
static ssize_t decode(struct weft__message *m, void *buf, size_t bytes)
{
    struct weft__buf *b = &m->s.in;
    while (!m->body.done && b->at < b->end) {
        struct weft_span data;
        size_t len = b->end - b->at;
        ssize_t used =
            weft_http1_body_read(&m->body, b->data + b->at, len < bytes ? len : bytes, &data);
        if (used < 0)
            return fail(m, (int)used);
        b->at += (size_t)used;
        if (data.len) {
            memcpy(buf, data.data, data.len);
            return (ssize_t)data.len;
        }
    }
    return 0;
}

ssize_t weft__message_read(struct weft__message *m, void *buf, size_t bytes, int64_t deadline_ns)
{
    if (m->error)
        return m->error;
    for (;;) {
        ssize_t n = decode(m, buf, bytes);
        if (n != 0 || m->body.done)
            return n;
        n = weft__stream_fill(&m->s, deadline_ns);
        if (n == 0) {
            int rc = weft_http1_body_eof(&m->body);
            return rc < 0 ? fail(m, rc) : 0;
        }
        if (n < 0)
            return fail(m, (int)n);
    }
}

static int whole_grow(struct weft__message *m, size_t *cap, size_t max)
{
    size_t want = *cap ? *cap * 2 : WHOLE_FIRST;
    if (*cap == 0 && m->head.framing == WEFT_HTTP1_LENGTH)
        want = m->head.content_length > max ? max : (size_t)m->head.content_length;
    if (want < *cap || want > max)
        want = max;
    char *p = weft__realloc(m->whole, want + 1);
    if (!p)
        return -ENOMEM;
    m->whole = p;
    *cap = want;
    return 0;
}

int weft__message_whole(
    struct weft__message *m, size_t max, int64_t deadline_ns, struct weft_span *ret_body)
{
    size_t cap = 0, len = 0;
    if (m->whole)
        return -EALREADY;
    if (max > SIZE_MAX / 4)
        max = SIZE_MAX / 4;
    if (m->head.framing == WEFT_HTTP1_LENGTH && m->head.content_length - m->body.taken > max)
        return fail(m, -EMSGSIZE);
    for (;;) {
        char beyond;
        int rc = len == cap && (len < max || cap == 0) ? whole_grow(m, &cap, max) : 0;
        if (rc < 0)
            return rc;
        bool full = len == max;
        ssize_t n = weft__message_read(
            m, full ? &beyond : m->whole + len, full ? 1 : cap - len, deadline_ns);
        if (n < 0)
            return (int)n;
        if (n == 0)
            break;
        if (full)
            return fail(m, -EMSGSIZE);
        len += (size_t)n;
    }
    m->whole[len] = '\0';
    *ret_body = (struct weft_span){m->whole, len};
    return 0;
}

int weft__message_skip(struct weft__message *m, size_t max, int64_t deadline_ns)
{
    char dropped[1024];
    while (!m->error && !m->body.done) {
        ssize_t n = weft__message_read(m, dropped, sizeof dropped, deadline_ns);
        if (n < 0)
            return (int)n;
        if ((size_t)n > max)
            return -EMSGSIZE;
        max -= (size_t)n;
    }
    return m->error;
}

void weft__message_next(struct weft__message *m)
{
    WEFT_ASSERT(m->body.done && !m->error);
    weft__free(m->whole);
    m->whole = NULL;
    m->s.in.base = 0;
    if (m->s.in.at == m->s.in.end) {
        m->s.in.at = m->s.in.end = 0;
        weft__buf_shrink(&m->s.in, WEFT__HTTP_BUF_BYTES);
    }
}
