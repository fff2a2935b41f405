// SPDX-License-Identifier: Apache-2.0
/* topic_ask.c - subscriptions to topics, and questions about them; topic.h has the picture. */
#include "core/topic_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- subscriptions ---- */

static struct feed *feed_of(struct topic *t, enum flavour flavour)
{
    if (t->feeds[flavour])
        return t->feeds[flavour];
    uint32_t shards = t->home->shards;
    struct feed *f = calloc(1, sizeof *f + shards * sizeof(struct outlet *));
    if (!f)
        return NULL;
    f->topic = t;
    f->log = tlog_new(topic__now_ms(t->home));
    if (!f->log) {
        free(f);
        return NULL;
    }
    return t->feeds[flavour] = f;
}

static struct outlet *outlet_of(struct feed *f, uint32_t shard)
{
    if (!f->outlets[shard]) {
        struct home *h = f->topic->home;
        struct outlet *o = outlet_new(h->fans[shard], f->log, topic__channel(f->topic));
        if (!o)
            return NULL;
        o->home_feed = f;
        f->outlets[shard] = o;
    }
    return f->outlets[shard];
}

static void listener_gone(struct outlet *o)
{
    struct feed *f = o->home_feed;
    struct topic *t = f->topic;
    assert(o->listeners > 0 && f->listeners > 0 && t->subs > 0); /* P2 */
    f->listeners--;
    t->home->subs--;
    if (--t->subs == 0)
        t->home->topics_with_subs--;
    if (--o->listeners > 0)
        return;
    for (uint32_t i = 0; i < t->home->shards; i++)
        if (f->outlets[i] == o)
            f->outlets[i] = NULL;
    outlet_unref(o);
}

/* The stream's part of the answer (P3: the cursor was taken by the same call). */
static int answer_position(struct topic *t, const struct subscribe *s, struct subscribed *ret)
{
    int64_t now_ms = topic__now_ms(t->home);
    if (!s->stream || s->rules.size == 0)
        return 0;
    stream_touch(&t->stream, &s->rules, now_ms);
    topic__check_generation(t);
    ret->recovery = NOT_RECOVERED;
    int rc = 0;
    if (s->recover && s->recover_stream)
        rc = stream_recover(&t->stream, &s->rules, s->offset, s->epoch, s->limit, s->cache_mode,
            now_ms, &ret->recovery, &ret->missed);
    memcpy(ret->epoch, t->stream.epoch, sizeof ret->epoch);
    ret->top = t->stream.top;
    ret->generation = t->stream.generation;
    return rc;
}

int home_subscribe(struct home *h, const struct subscribe *s, struct subscribed *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->recovery = NOT_RECOVERED;
    struct topic *t = topic__make(h, s->channel);
    if (!t)
        return -ENOMEM;
    t->hold++;
    struct feed *f = feed_of(t, s->flavour);
    struct outlet *o = f ? outlet_of(f, s->shard) : NULL;
    int rc = o ? answer_position(t, s, ret) : -ENOMEM;
    if (rc == 0 && s->presence)
        rc = presence_add(&t->presence, s->cinfo, s->chan_info);
    if (rc == 0) {
        ret->outlet = outlet_ref(o);
        tcursor_start(&ret->cur, f->log);
        o->listeners++;
        f->listeners++;
        h->subs++;
        if (t->subs++ == 0)
            h->topics_with_subs++;
        if (s->join_leave) /* behind the cursor: the newcomer gets its own join too */
            topic__push_membership(t, s->cinfo, s->chan_info, true);
    } else {
        picked_free(&ret->missed);
    }
    t->hold--;
    topic__settle(t);
    return rc;
}

void home_unsubscribe(struct home *h, const struct unsubscribe *u)
{
    struct topic *t = ((struct feed *)u->outlet->home_feed)->topic;
    t->hold++;
    listener_gone(u->outlet);
    if (u->presence)
        presence_remove(&t->presence, u->cinfo->client);
    if (u->join_leave)
        topic__push_membership(t, u->cinfo, u->chan_info, false);
    t->hold--;
    topic__settle(t);
}

/* ---- questions ---- */

int home_history(struct home *h, struct weft_span channel, const struct stream_rules *rules,
    const struct stream_filter *f, struct history_answer *ret)
{
    memset(ret, 0, sizeof *ret);
    struct topic *t = topic__make(h, channel);
    if (!t)
        return -ENOMEM;
    t->hold++;
    int rc = stream_read(&t->stream, rules, f, topic__now_ms(h), &ret->pubs);
    topic__check_generation(t);
    memcpy(ret->epoch, t->stream.epoch, sizeof ret->epoch);
    ret->top = t->stream.top;
    t->hold--;
    topic__settle(t);
    return rc;
}

void home_history_remove(struct home *h, struct weft_span channel)
{
    struct topic *t = topic__find(h, channel);
    if (!t)
        return;
    stream_clear(&t->stream);
    topic__settle(t);
}

int home_presence(const struct home *h, struct weft_span channel, struct present *ret)
{
    *ret = (struct present){NULL, NULL, 0};
    const struct topic *t = topic__find(h, channel);
    return t ? presence_list(&t->presence, ret) : 0;
}

void home_presence_stats(
    const struct home *h, struct weft_span channel, struct cast_presence_stats *ret)
{
    const struct topic *t = topic__find(h, channel);
    ret->num_clients = t ? (uint32_t)t->presence.clients.count : 0;
    ret->num_users = t ? (uint32_t)t->presence.users.count : 0;
}

int home_check(struct home *h, struct weft_span channel, const struct stream_rules *rules,
    uint32_t *ret_generation)
{
    struct topic *t = topic__make(h, channel);
    if (!t)
        return -ENOMEM;
    t->hold++;
    stream_touch(&t->stream, rules, topic__now_ms(h));
    topic__check_generation(t);
    *ret_generation = t->stream.generation;
    t->hold--;
    topic__settle(t);
    return 0;
}

void home_channels(const struct home *h,
    void (*fn)(void *arg, struct weft_span channel, uint32_t clients), void *arg)
{
    struct table_iter it = TABLE_ITER;
    const struct topic *t;
    while ((t = table_next(&h->topics, &it)))
        if (t->subs > 0)
            fn(arg, topic__channel(t), t->subs);
}
