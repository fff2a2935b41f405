// SPDX-License-Identifier: Apache-2.0
/* topic_internal.h - what topic.c and topic_ask.c share and nobody else may touch. */
#ifndef CAST_TOPIC_INTERNAL_H
#define CAST_TOPIC_INTERNAL_H
#include "core/topic.h"

struct feed {
    struct topic *topic;
    struct tlog *log;
    uint32_t listeners;       /* sum of the outlets' */
    struct outlet *outlets[]; /* one a shard, NULL without listeners there */
};

struct topic {
    struct tkey key; /* the name is at the end */
    struct home *home;
    weft_loop_timer expiry;
    int64_t expiry_ms;
    struct stream stream;
    uint32_t told_generation; /* of the stream, as the outlets know it */
    uint32_t hold;            /* > 0: must not be freed now */
    uint32_t subs;
    struct presence presence;
    struct feed *feeds[FLAVOURS];
    char name[];
};

static inline struct weft_span topic__channel(const struct topic *t)
{
    return (struct weft_span){t->name, t->key.bytes};
}

int64_t topic__now_ms(const struct home *h);
struct topic *topic__find(const struct home *h, struct weft_span channel);
/** Finds or makes; NULL without memory. */
struct topic *topic__make(struct home *h, struct weft_span channel);
/** After any change: frees the topic if nothing keeps it (P1), else sets its timer. */
void topic__settle(struct topic *t);
/** Tells positioned subscribers if the stream's numbering began anew. */
void topic__check_generation(struct topic *t);
/** A join or leave push to those who hear them. */
int topic__push_membership(
    struct topic *t, const struct cinfo *who, struct weft_span chan_info, bool join);
#endif
