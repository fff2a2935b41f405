// SPDX-License-Identifier: Apache-2.0
/* pub.c - see pub.h: two counted objects whose bytes lie behind their struct. */
#include "core/pub.h"

#include <stdlib.h>
#include <string.h>

/* Copies s to *at, moves *at on, and returns the copy; an absent span stays absent. */
static struct weft_span put_bytes(char **at, struct weft_span s)
{
    if (!s.data)
        return s;
    struct weft_span copy = {*at, s.len};
    if (s.len)
        memcpy(*at, s.data, s.len);
    *at += s.len;
    return copy;
}

struct cinfo *cinfo_new(struct weft_span user, struct weft_span client, struct weft_span conn_info)
{
    struct cinfo *c = malloc(sizeof *c + user.len + client.len + conn_info.len);
    if (!c)
        return NULL;
    char *at = (char *)(c + 1);
    atomic_init(&c->refs, 1);
    c->user = put_bytes(&at, user.data ? user : CAST_SPAN(""));
    c->client = put_bytes(&at, client);
    c->conn_info = put_bytes(&at, conn_info);
    return c;
}

struct cinfo *cinfo_ref(struct cinfo *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed); /* [mo:pub-refs] */
    return c;
}

void cinfo_unref(struct cinfo *c)
{
    if (c && atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) == 1) /* [mo:pub-refs] */
        free(c);
}

struct pub *pub_new(struct weft_span data, struct cinfo *cinfo, struct weft_span chan_info,
    const struct cast_pair *tags, size_t tag_count)
{
    size_t bytes = tag_count * sizeof *tags + data.len + chan_info.len;
    for (size_t i = 0; i < tag_count; i++)
        bytes += tags[i].key.len + tags[i].value.len;
    struct pub *p = malloc(sizeof *p + bytes);
    if (!p)
        return NULL;
    struct cast_pair *pairs = (struct cast_pair *)(p + 1);
    char *at = (char *)(pairs + tag_count);
    atomic_init(&p->refs, 1);
    p->offset = p->version = 0;
    p->cinfo = cinfo ? cinfo_ref(cinfo) : NULL;
    p->data = put_bytes(&at, data);
    p->chan_info = put_bytes(&at, chan_info);
    for (size_t i = 0; i < tag_count; i++) {
        pairs[i].key = put_bytes(&at, tags[i].key);
        pairs[i].value = put_bytes(&at, tags[i].value);
    }
    p->tags = pairs;
    p->tag_count = tag_count;
    return p;
}

struct pub *pub_ref(struct pub *p)
{
    atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed); /* [mo:pub-refs] */
    return p;
}

void pub_unref(struct pub *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1) /* [mo:pub-refs] */
        return;
    cinfo_unref(p->cinfo);
    free(p);
}

struct cast_client_info cinfo_view(const struct cinfo *c, struct weft_span chan_info)
{
    return (struct cast_client_info){
        .user = c->user, .client = c->client, .conn_info = c->conn_info, .chan_info = chan_info};
}

struct cast_publication pub_view(
    const struct pub *p, struct weft_span epoch, struct cast_client_info *info)
{
    struct cast_publication v = {.data = p->data,
        .offset = p->offset,
        .tags = p->tags,
        .tag_count = p->tag_count,
        .version = p->version,
        .epoch = p->offset == 1 ? epoch : (struct weft_span){NULL, 0}};
    if (p->cinfo) {
        *info = cinfo_view(p->cinfo, p->chan_info);
        v.info = info;
    }
    return v;
}
