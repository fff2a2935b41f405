// SPDX-License-Identifier: Apache-2.0
/* tlog.c - see tlog.h for the picture, the invariants L1-L5 and the memory model. */
#include "core/tlog.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN 256u
#define CHUNK_MAX (256u << 10)
#define GROW_WITHIN_MS 100
#define SHRINK_AFTER_MS 1000

struct tchunk {
    _Atomic(struct tchunk *) next;
    _Atomic uint32_t refs;
    uint32_t cap;
    uint64_t base; /* position of data[0] */
    uint64_t end;  /* position behind the last byte; set before next is */
    unsigned char data[];
};

static struct tchunk *chunk_new(uint64_t base, uint32_t cap)
{
    struct tchunk *c = malloc(sizeof *c + cap);
    if (!c)
        return NULL;
    atomic_init(&c->next, NULL);
    atomic_init(&c->refs, 1);
    c->cap = cap;
    c->base = base;
    c->end = 0;
    return c;
}

static struct tchunk *chunk_ref(struct tchunk *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed); /* [mo:tlog-refs] */
    return c;
}

/* Releasing a chunk may release the whole chain behind it: a loop, so that it cannot recurse. */
static void chunk_unref(struct tchunk *c)
{
    /* [mo:tlog-refs] */
    while (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) {
        /* [mo:alone: nobody else holds c any more] */
        struct tchunk *next = atomic_load_explicit(&c->next, memory_order_relaxed);
        free(c);
        c = next;
    }
}

struct tlog *tlog_new(int64_t now_ms)
{
    struct tlog *log = malloc(sizeof *log);
    if (!log)
        return NULL;
    log->tail = chunk_new(0, CHUNK_MIN);
    if (!log->tail) {
        free(log);
        return NULL;
    }
    atomic_init(&log->head, 0);
    atomic_init(&log->refs, 1);
    log->chunk_bytes = CHUNK_MIN;
    log->tail_since_ms = now_ms;
    return log;
}

struct tlog *tlog_ref(struct tlog *log)
{
    atomic_fetch_add_explicit(&log->refs, 1, memory_order_relaxed); /* [mo:tlog-refs] */
    return log;
}

void tlog_unref(struct tlog *log)
{
    /* [mo:tlog-refs] */
    if (!log || atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel) != 1)
        return;
    chunk_unref(log->tail);
    free(log);
}

static uint32_t next_size(const struct tlog *log, int64_t now_ms)
{
    int64_t took_ms = now_ms - log->tail_since_ms;
    uint32_t size = log->chunk_bytes;
    if (took_ms < GROW_WITHIN_MS && size < CHUNK_MAX)
        size *= 2;
    else if (took_ms > SHRINK_AFTER_MS && size > CHUNK_MIN)
        size /= 2;
    return size;
}

/* Room for `bytes` behind head in the tail chunk; links a new one where it does not fit. */
static struct tchunk *make_room(struct tlog *log, uint64_t head, uint32_t bytes, int64_t now_ms)
{
    struct tchunk *old = log->tail;
    uint64_t used = head - old->base;
    assert(used <= old->cap);
    if (old->cap - used >= bytes)
        return old;
    uint32_t size = next_size(log, now_ms);
    struct tchunk *c = chunk_new(head, size > bytes ? size : bytes);
    if (!c)
        return NULL;
    log->chunk_bytes = size;
    log->tail_since_ms = now_ms;
    old->end = head;
    chunk_ref(c); /* one for old->next, one for log->tail */
    atomic_store_explicit(&old->next, c, memory_order_release); /* [mo:tlog-next] */
    log->tail = c;
    chunk_unref(old);
    return c;
}

int tlog_append(struct tlog *log, const struct iovec *parts, int parts_count, int64_t now_ms)
{
    size_t bytes = 0;
    for (int i = 0; i < parts_count; i++)
        bytes += parts[i].iov_len;
    if (bytes > UINT32_MAX - CHUNK_MAX)
        return -ENOMEM;
    /* [mo:alone: only the home writes head] */
    uint64_t head = atomic_load_explicit(&log->head, memory_order_relaxed);
    struct tchunk *c = make_room(log, head, (uint32_t)bytes, now_ms);
    if (!c)
        return -ENOMEM;
    unsigned char *at = c->data + (head - c->base);
    for (int i = 0; i < parts_count; i++) {
        if (parts[i].iov_len)
            memcpy(at, parts[i].iov_base, parts[i].iov_len);
        at += parts[i].iov_len;
    }
    atomic_store_explicit(&log->head, head + bytes, memory_order_release); /* [mo:tlog-head] */
    return 0;
}

uint64_t tlog_head(const struct tlog *log)
{
    return atomic_load_explicit(&log->head, memory_order_acquire); /* [mo:tlog-head] */
}

void tcursor_start(struct tcursor *cur, struct tlog *log)
{
    cur->pos = tlog_head(log);
    cur->chunk = chunk_ref(log->tail);
}

void tcursor_copy(struct tcursor *ret, const struct tcursor *from)
{
    ret->pos = from->pos;
    ret->chunk = from->chunk ? chunk_ref(from->chunk) : NULL;
}

void tcursor_drop(struct tcursor *cur)
{
    chunk_unref(cur->chunk);
    cur->chunk = NULL;
}

int tcursor_ranges(const struct tcursor *cur, uint64_t head, struct iovec *ret, int max)
{
    int n = 0;
    uint64_t pos = cur->pos;
    for (struct tchunk *c = cur->chunk; pos < head && n < max;) {
        /* [mo:tlog-next] */
        struct tchunk *next = atomic_load_explicit(&c->next, memory_order_acquire);
        uint64_t end = next && c->end < head ? c->end : head;
        if (end > pos) {
            ret[n].iov_base = c->data + (pos - c->base);
            ret[n].iov_len = (size_t)(end - pos);
            n++;
            pos = end;
        }
        c = next;
    }
    return n;
}

void tcursor_advance(struct tcursor *cur, uint64_t bytes)
{
    cur->pos += bytes;
    struct tchunk *c = cur->chunk, *next;
    while ((next = atomic_load_explicit(&c->next, memory_order_acquire))) { /* [mo:tlog-next] */
        if (cur->pos < c->end)
            break;
        chunk_ref(next);
        chunk_unref(c);
        cur->chunk = c = next;
    }
}
