// SPDX-License-Identifier: Apache-2.0
/*
 * pub.h - a publication and a client's public information, as immutable counted objects.
 *
 * Both are one allocation, bytes behind the struct, made once and then only read: by the topic's
 * history, by replies that are being written on other shards, by presence. So a reference may go to
 * any shard. The payload's bytes are the publisher's, unchanged.
 *
 * Counts: up with relaxed order (the caller holds one already), down with [mo:pub-refs: acq_rel],
 * as every reader's last look must come before the free.
 */
#ifndef CAST_PUB_H
#define CAST_PUB_H
#include "protocol/reply.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/** Who a client is, as others see it. user and client are always present. */
struct cinfo {
    _Atomic uint32_t refs;
    struct weft_span user, client, conn_info;
};

struct cinfo *cinfo_new(struct weft_span user, struct weft_span client, struct weft_span conn_info);
struct cinfo *cinfo_ref(struct cinfo *c);
void cinfo_unref(struct cinfo *c); /* NULL is fine */

struct pub {
    _Atomic uint32_t refs;
    uint64_t offset;              /* 0: not in a stream */
    struct cinfo *cinfo;          /* the publishing client, or NULL (server API) */
    struct weft_span data;        /* as published */
    struct weft_span chan_info;   /* of the publisher's subscription, or absent */
    const struct cast_pair *tags; /* tag_count of them, in the publisher's order */
    size_t tag_count;
    uint64_t version; /* the publisher's own number, 0: none; set before anybody else sees it */
};

/** Copies everything, takes a reference to cinfo (may be NULL). NULL without memory. */
struct pub *pub_new(struct weft_span data, struct cinfo *cinfo, struct weft_span chan_info,
    const struct cast_pair *tags, size_t tag_count);
struct pub *pub_ref(struct pub *p);
void pub_unref(struct pub *p); /* NULL is fine */

/** The two as the encoders want them: spans into the objects, good while they are held. `info` is
 * where a publisher's information is put; epoch is only looked at for offset 1. */
struct cast_client_info cinfo_view(const struct cinfo *c, struct weft_span chan_info);
struct cast_publication pub_view(
    const struct pub *p, struct weft_span epoch, struct cast_client_info *info);
#endif
