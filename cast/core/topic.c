// SPDX-License-Identifier: Apache-2.0
/* topic.c - topics, their feeds, and what is published into them; topic.h has the picture. */
#include "core/topic_internal.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weft/wsproto.h>

int64_t topic__now_ms(const struct home *h)
{
    return weft_loop_now_ns(h->loop) / WEFT_MS;
}

uint32_t home_of(struct weft_span channel, uint32_t shards)
{
    /* The table in the home uses the low bits of the same hash: take the high ones here. */
    return (uint32_t)(((uint64_t)table_hash(channel.data, channel.len) * shards) >> 32);
}

void home_init(struct home *h, weft_loop *loop, struct fan **fans, uint32_t shards, uint32_t self,
    void (*on_generation)(struct outlet *o, uint32_t generation))
{
    memset(h, 0, sizeof *h);
    h->loop = loop;
    h->fans = fans;
    h->shards = shards;
    h->self = self;
    h->on_generation = on_generation;
    table_init(&h->topics);
    idem_init(&h->idem);
    cast_out_init(&h->line);
}

/* ---- life of a topic ---- */

static void feed_free(struct feed *f, uint32_t shards)
{
    if (!f)
        return;
    for (uint32_t i = 0; i < shards; i++)
        outlet_unref(f->outlets[i]);
    tlog_unref(f->log);
    free(f);
}

static void topic_free(struct topic *t)
{
    weft_loop_timer_stop(t->home->loop, &t->expiry);
    for (int i = 0; i < FLAVOURS; i++)
        feed_free(t->feeds[i], t->home->shards);
    presence_fini(&t->presence);
    stream_fini(&t->stream);
    free(t);
}

void home_fini(struct home *h)
{
    struct table_iter it = TABLE_ITER;
    struct topic *t;
    while ((t = table_next(&h->topics, &it)))
        topic_free(t);
    table_fini(&h->topics);
    idem_fini(&h->idem);
    cast_out_fini(&h->line);
}

static void topic_expire(weft_loop *loop, weft_loop_timer *timer)
{
    struct topic *t = WEFT_LOOP_OWNER(timer, struct topic, expiry);
    stream_expire(&t->stream, topic__now_ms(t->home));
    topic__settle(t);
}

struct topic *topic__find(const struct home *h, struct weft_span channel)
{
    struct tkey key = table_key(channel.data, channel.len);
    return table_get(&h->topics, &key);
}

struct topic *topic__make(struct home *h, struct weft_span channel)
{
    struct topic *t = topic__find(h, channel);
    if (t)
        return t;
    t = calloc(1, sizeof *t + channel.len);
    if (!t)
        return NULL;
    memcpy(t->name, channel.data, channel.len);
    t->key = table_key(t->name, channel.len);
    t->home = h;
    t->expiry.fn = topic_expire;
    stream_init(&t->stream);
    presence_init(&t->presence);
    if (table_put(&h->topics, t) < 0) {
        free(t);
        return NULL;
    }
    return t;
}

void topic__settle(struct topic *t)
{
    if (t->hold)
        return;
    int64_t due_ms = stream_due(&t->stream);
    if (!t->stream.made && t->subs == 0 && t->presence.clients.count == 0) { /* P1 */
        table_remove(&t->home->topics, &t->key);
        topic_free(t);
        return;
    }
    /* The timer may be early (every use moves the due time on): then it settles anew. */
    if (due_ms == 0)
        weft_loop_timer_stop(t->home->loop, &t->expiry);
    else if (!weft_loop_timer_running(&t->expiry) || due_ms < t->expiry_ms) {
        t->expiry_ms = due_ms;
        weft_loop_timer_start_at(t->home->loop, &t->expiry, due_ms * WEFT_MS, 0);
    }
}

/* ---- appending ---- */

/* Tells every outlet of the feed, and counts what it has to deliver. */
static void feed_news(struct home *h, struct feed *f)
{
    for (uint32_t i = 0; i < h->shards; i++)
        if (f->outlets[i])
            outlet_news(f->outlets[i], i == h->self);
    h->stats.deliveries += f->listeners;
}

/* One text frame with the line in h->line, to one feed. */
static int feed_append(struct home *h, struct feed *f)
{
    struct weft_span line = cast_out_span(&h->line);
    char head[WEFT_WS_HEAD_MAX];
    size_t head_bytes = weft_ws_frame_head(head, WEFT_WS_OP_TEXT, true, line.len, NULL);
    struct iovec parts[2] = {{head, head_bytes}, {(void *)(uintptr_t)line.data, line.len}};
    int rc = tlog_append(f->log, parts, 2, topic__now_ms(h));
    if (rc == 0)
        feed_news(h, f);
    return rc;
}

static bool heard(const struct feed *f)
{
    return f && f->listeners > 0;
}

int topic__push_membership(
    struct topic *t, const struct cinfo *who, struct weft_span chan_info, bool join)
{
    struct home *h = t->home;
    if (!heard(t->feeds[FLAVOUR_JOINS]))
        return 0;
    struct cast_client_info info = cinfo_view(who, chan_info);
    cast_out_clear(&h->line);
    if (join)
        cast_push_join(&h->line, topic__channel(t), &info);
    else
        cast_push_leave(&h->line, topic__channel(t), &info);
    join ? h->stats.joins++ : h->stats.leaves++;
    return h->line.err ? h->line.err : feed_append(h, t->feeds[FLAVOUR_JOINS]);
}

struct generation_msg {
    weft_loop_msg msg;
    struct outlet *outlet;
    struct home *home;
    uint32_t generation;
};

static void generation_told(weft_loop *loop, weft_loop_msg *msg)
{
    struct generation_msg *g = WEFT_LOOP_OWNER(msg, struct generation_msg, msg);
    g->home->on_generation(g->outlet, g->generation);
    outlet_unref(g->outlet);
    free(g);
}

/* The numbering began anew: whoever holds a position of the old one must know (P4). */
static void tell_generation(struct topic *t)
{
    struct home *h = t->home;
    t->told_generation = t->stream.generation;
    t->hold++; /* the callback ends subscriptions */
    for (int i = 0; i < FLAVOURS; i++)
        for (uint32_t s = 0; t->feeds[i] && s < h->shards; s++) {
            struct outlet *o = t->feeds[i]->outlets[s];
            if (!o)
                continue;
            if (s == h->self) {
                outlet_ref(o);
                h->on_generation(o, t->stream.generation);
                outlet_unref(o);
                continue;
            }
            struct generation_msg *g = malloc(sizeof *g);
            if (!g)
                continue; /* its subs learn it at their next position check */
            *g = (struct generation_msg){
                {NULL, generation_told}, outlet_ref(o), h, t->stream.generation};
            weft_loop_post(o->fan->loop, &g->msg);
        }
    t->hold--;
}

void topic__check_generation(struct topic *t)
{
    if (t->told_generation == t->stream.generation)
        return;
    if (t->told_generation == 0) /* the first epoch: nobody can hold an older position */
        t->told_generation = t->stream.generation;
    else
        tell_generation(t);
}

static int append_publication(struct topic *t, const struct publish *p, const struct pub *pub)
{
    struct home *h = t->home;
    struct cast_client_info info;
    struct weft_span epoch = weft_span_of(t->stream.epoch);
    struct cast_publication view = pub_view(pub, epoch, &info);
    cast_out_clear(&h->line);
    cast_push_publication(&h->line, p->channel, &view);
    int rc = h->line.err;
    for (int i = 0; i < FLAVOURS && rc == 0; i++)
        if (heard(t->feeds[i]))
            rc = feed_append(h, t->feeds[i]);
    return rc;
}

/* Into the stream if there is one for it, then to the subscribers. */
static int publish_in(
    struct topic *t, const struct publish *p, struct pub *pub, struct idem_result *ret)
{
    int64_t now_ms = topic__now_ms(t->home);
    int rc = 0;
    if (p->rules.size && !p->skip_history) {
        stream_touch(&t->stream, &p->rules, now_ms);
        topic__check_generation(t);
        bool stale = stream_version_stale(&t->stream, p->version, p->version_epoch);
        if (!stale)
            rc = stream_add(&t->stream, &p->rules, pub, now_ms);
        if (rc < 0)
            return rc;
        ret->offset = t->stream.top;
        memcpy(ret->epoch, t->stream.epoch, sizeof ret->epoch);
        if (stale)
            return 0;
    }
    return append_publication(t, p, pub);
}

static int publish_once(struct home *h, const struct publish *p, struct idem_result *ret)
{
    bool kept = p->rules.size && !p->skip_history;
    struct topic *t = kept ? topic__make(h, p->channel) : topic__find(h, p->channel);
    if (!t)
        return kept ? -ENOMEM : 0; /* nobody hears it and nothing keeps it */
    struct pub *pub = pub_new(p->data, p->cinfo, p->chan_info, p->tags, p->tag_count);
    int rc = -ENOMEM;
    if (pub) {
        pub->version = p->version;
        t->hold++;
        rc = publish_in(t, p, pub, ret);
        t->hold--;
        pub_unref(pub);
    }
    topic__settle(t);
    return rc;
}

int home_publish(struct home *h, const struct publish *p, struct idem_result *ret)
{
    memset(ret, 0, sizeof *ret);
    h->stats.publications++;
    if (p->idempotency_key.len == 0)
        return publish_once(h, p, ret);
    int64_t now_ms = topic__now_ms(h);
    const struct idem_result *before = idem_find(&h->idem, p->channel, p->idempotency_key, now_ms);
    if (before) {
        *ret = *before;
        return 0;
    }
    int rc = publish_once(h, p, ret);
    if (rc == 0)
        idem_keep(&h->idem, p->channel, p->idempotency_key, ret, now_ms);
    return rc;
}
