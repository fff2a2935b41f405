// SPDX-License-Identifier: Apache-2.0
/* ops.c - see ops.h. */
#include "session/ops.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct stream_rules rules_of(const struct cast_channel_options *o)
{
    if (!o->has_history)
        return (struct stream_rules){0};
    return (struct stream_rules){.size = (uint32_t)o->history_size,
        .ttl_ms = o->history_ttl_ns / WEFT_MS,
        .meta_ttl_ms = o->history_meta_ttl_ns / WEFT_MS};
}

static struct op op_init(const struct asker *by, struct weft_span channel,
    void (*work)(struct hop *), void (*done)(struct hop *))
{
    struct shard *s = by->shard;
    return (struct op){
        .hop = {.from = s, .to = s->all[home_of(channel, s->count)], .work = work, .done = done},
        .owner = by->owner,
        .tag = by->tag,
        .then = by->then};
}

struct weft_span copy_span(char **at, struct weft_span s)
{
    if (!s.data)
        return s;
    if (s.len)
        memcpy(*at, s.data, s.len);
    struct weft_span copy = {*at, s.len};
    *at += s.len;
    return copy;
}

/* ---- publish ---- */

static void publish_work(struct hop *h)
{
    struct publish_op *p = WEFT_LOOP_OWNER(h, struct publish_op, op.hop);
    p->op.rc = home_publish(&h->to->home, &p->ask, &p->got);
}

static void publish_done(struct hop *h)
{
    struct publish_op *p = WEFT_LOOP_OWNER(h, struct publish_op, op.hop);
    p->op.then(&p->op);
    cinfo_unref(p->ask.cinfo);
    free(p);
}

static struct publish_op *publish_copy(const struct publish *ask)
{
    size_t bytes = ask->tag_count * sizeof *ask->tags + ask->channel.len + ask->data.len +
                   ask->chan_info.len + ask->idempotency_key.len + ask->version_epoch.len;
    for (size_t i = 0; i < ask->tag_count; i++)
        bytes += ask->tags[i].key.len + ask->tags[i].value.len;
    struct publish_op *p = malloc(sizeof *p + bytes);
    if (!p)
        return NULL;
    struct cast_pair *tags = (struct cast_pair *)(p + 1);
    char *at = (char *)(tags + ask->tag_count);
    p->ask = *ask;
    p->ask.channel = copy_span(&at, ask->channel);
    p->ask.data = copy_span(&at, ask->data);
    p->ask.chan_info = copy_span(&at, ask->chan_info);
    p->ask.idempotency_key = copy_span(&at, ask->idempotency_key);
    p->ask.version_epoch = copy_span(&at, ask->version_epoch);
    for (size_t i = 0; i < ask->tag_count; i++) {
        tags[i].key = copy_span(&at, ask->tags[i].key);
        tags[i].value = copy_span(&at, ask->tags[i].value);
    }
    p->ask.tags = tags;
    if (ask->cinfo)
        cinfo_ref(ask->cinfo);
    return p;
}

int op_publish(const struct asker *by, const struct publish *ask)
{
    struct op op = op_init(by, ask->channel, publish_work, publish_done);
    if (op.hop.from == op.hop.to) {
        struct publish_op here = {.op = op, .ask = *ask};
        publish_work(&here.op.hop);
        op.then(&here.op);
        return 0;
    }
    struct publish_op *p = publish_copy(ask);
    if (!p)
        return -ENOMEM;
    p->op = op;
    hop_go(&p->op.hop);
    return 0;
}

/* ---- questions ---- */

static void ask_work(struct hop *h)
{
    struct ask_op *a = WEFT_LOOP_OWNER(h, struct ask_op, op.hop);
    struct home *home = &h->to->home;
    switch (a->question) {
    case ASK_HISTORY:
        a->op.rc = home_history(home, a->channel, &a->rules, &a->filter, &a->history);
        break;
    case ASK_HISTORY_REMOVE:
        home_history_remove(home, a->channel);
        break;
    case ASK_PRESENCE:
        a->op.rc = home_presence(home, a->channel, &a->present);
        break;
    case ASK_PRESENCE_STATS:
        home_presence_stats(home, a->channel, &a->stats);
        break;
    case ASK_CHECK:
        a->op.rc = home_check(home, a->channel, &a->rules, &a->generation);
        break;
    }
}

static void ask_done(struct hop *h)
{
    struct ask_op *a = WEFT_LOOP_OWNER(h, struct ask_op, op.hop);
    a->op.then(&a->op);
    picked_free(&a->history.pubs);
    present_free(&a->present);
    free(a);
}

int op_ask(const struct asker *by, enum question question, struct weft_span channel,
    const struct stream_rules *rules, const struct stream_filter *filter)
{
    struct weft_span epoch = filter ? filter->since_epoch : (struct weft_span){NULL, 0};
    struct ask_op *a = calloc(1, sizeof *a + channel.len + epoch.len);
    if (!a)
        return -ENOMEM;
    char *at = a->bytes;
    a->op = op_init(by, channel, ask_work, ask_done);
    a->question = question;
    a->channel = copy_span(&at, channel);
    if (rules)
        a->rules = *rules;
    if (filter) {
        a->filter = *filter;
        a->filter.since_epoch = copy_span(&at, epoch);
    }
    hop_go(&a->op.hop);
    return 0;
}
