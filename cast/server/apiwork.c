// SPDX-License-Identifier: Apache-2.0
/*
 * apiwork.c - what each method of the server API does.
 *
 * The server API ignores clients' rights: private prefixes, user-limited channels, lengths and
 * patterns of names are for clients. It does mind namespaces (102), what they have switched on
 * (108), and their publication_data_format (107).
 */
#include "server/apicall.h"
#include "server/totals.h"
#include "session/reply_views.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The channel's namespace; on failure an error code in ret. */
static const struct cast_channel_options *options_of(
    const struct shard *s, struct weft_span channel, uint32_t *ret_error)
{
    struct cast_channel_name name;
    *ret_error = CAST_ERR_BAD_REQUEST;
    if (channel.len == 0)
        return NULL;
    *ret_error = CAST_ERR_UNKNOWN_CHANNEL;
    if (cast_config_channel(s->cfg, channel.data, channel.len, &name) < 0)
        return NULL;
    *ret_error = 0;
    return name.options;
}

static uint32_t error_of(int rc)
{
    return rc == -ESTALE ? CAST_ERR_UNRECOVERABLE_POSITION : CAST_ERR_INTERNAL;
}

/* ---- publish, broadcast ---- */

static bool data_fits(const struct cast_channel_options *o, struct weft_span data, bool json)
{
    const char *format = o->publication_data_format;
    if (strcmp(format, "binary") == 0)
        return true;
    if (data.len == 0)
        return false;
    if (*format == '\0')
        return true;
    if (!json)
        return false;
    return strcmp(format, "json_object") != 0 || data.data[strspn(data.data, " \t\r\n")] == '{';
}

/* Publishes one channel's message; answers by `then`, or returns an error code. */
static uint32_t publish_to(struct api_call *k, const struct cast_api_publish *r,
    struct weft_span channel, size_t tag, void (*then)(struct op *op))
{
    struct shard *s = &k->w->shard;
    uint32_t error;
    struct weft_span data;
    bool json;
    const struct cast_channel_options *o = options_of(s, channel, &error);
    if (!o)
        return error;
    int rc = cast_api_payload(r->data, r->b64data, &k->scratch, &data, &json);
    if (rc < 0)
        return rc == -ENOMEM ? CAST_ERR_INTERNAL : CAST_ERR_BAD_REQUEST;
    if (!data_fits(o, data, json))
        return CAST_ERR_BAD_REQUEST;
    if (data.data && !json) /* JSON clients cannot be sent what is not JSON */
        return CAST_ERR_BAD_REQUEST;
    struct publish ask = {.channel = channel,
        .data = data,
        .tags = r->tags.items,
        .tag_count = r->tags.count,
        .idempotency_key = r->idempotency_key,
        .version = r->version,
        .version_epoch = r->version_epoch,
        .skip_history = r->skip_history,
        .rules = rules_of(o)};
    struct asker by = {s, k, tag, then};
    return op_publish(&by, &ask) < 0 ? CAST_ERR_INTERNAL : 0;
}

static void published(struct op *op)
{
    struct api_call *k = op->owner;
    const struct publish_op *p = (const struct publish_op *)op;
    if (op->rc < 0) {
        api_item_error(k, error_of(op->rc));
        return;
    }
    api_item_open(k);
    cast_api_put_publish(&k->out, p->got.offset, weft_span_of(p->got.epoch));
    api_item_close(k);
}

static void publish(struct api_call *k, const struct cast_api_publish *r)
{
    uint32_t error = publish_to(k, r, r->channel, 0, published);
    if (error)
        api_item_error(k, error);
}

static void broadcast_part_done(struct api_call *k, size_t count)
{
    if (--k->parts_left > 0)
        return;
    api_item_open(k);
    cast_api_broadcast_open(&k->out);
    for (size_t i = 0; i < count; i++) {
        const struct api_part *part = &k->parts[i];
        if (part->error)
            cast_api_broadcast_error(&k->out, cast_api_error_find(part->error));
        else
            cast_api_broadcast_result(
                &k->out, part->result.offset, weft_span_of(part->result.epoch));
    }
    cast_api_broadcast_close(&k->out);
    free(k->parts);
    k->parts = NULL;
    api_item_close(k);
}

static void broadcast_published(struct op *op)
{
    struct api_call *k = op->owner;
    struct api_part *part = &k->parts[op->tag];
    part->error = op->rc < 0 ? error_of(op->rc) : 0;
    part->result = ((const struct publish_op *)op)->got;
    broadcast_part_done(k, k->items[k->at].req.publish.channels.count);
}

static void broadcast(struct api_call *k, const struct cast_api_publish *r)
{
    size_t n = r->channels.count;
    if (n == 0) {
        api_item_error(k, CAST_ERR_BAD_REQUEST);
        return;
    }
    k->parts = calloc(n, sizeof *k->parts);
    if (!k->parts) {
        api_item_error(k, CAST_ERR_INTERNAL);
        return;
    }
    k->parts_left = n + 1; /* one is ours, so that the item does not end before all are asked */
    for (size_t i = 0; i < n; i++) {
        uint32_t error = publish_to(k, r, r->channels.items[i], i, broadcast_published);
        if (!error)
            continue;
        k->parts[i].error = error;
        k->parts_left--;
    }
    broadcast_part_done(k, n);
}

/* ---- subscribe, unsubscribe, disconnect, refresh: of a user's clients on all shards ---- */

static void users_done(struct sweep *s)
{
    struct api_call *k = s->arg;
    api_item_open(k);
    cast_api_put_empty(&k->out);
    api_item_close(k);
}

static void users_sweep(struct api_call *k, void (*work)(struct sweep_part *part))
{
    if (sweep_start(&k->w->shard, work, users_done, k, NULL) < 0)
        api_item_error(k, CAST_ERR_INTERNAL);
}

static const struct cast_api_request *request_of(const struct sweep_part *part)
{
    const struct api_call *k = part->sweep->arg;
    return &k->items[k->at].req;
}

static void subscribe_part(struct sweep_part *part)
{
    const struct cast_api_subscribe *r = &request_of(part)->subscribe;
    struct who who = {r->user, r->client};
    struct sub_want w;
    uint32_t error;
    const struct cast_channel_options *o = options_of(part->shard, r->channel, &error);
    if (!o) { /* its namespace went with a reload */
        sweep_part_done(part);
        return;
    }
    want_init(&w, r->channel, o, NULL, (struct sub_sees){0});
    want_override(&w, r);
    w.server_side = true;
    w.expire_at_s = r->expire_at_s;
    w.chan_info = r->info;
    w.data = r->data;
    if (r->has_recover_since) {
        w.recover = true;
        w.offset = r->recover_since.offset;
        w.epoch = r->recover_since.epoch;
    }
    userop_subscribe(part, &who, &w);
}

/* Settles data and info to what they are as JSON; b64 wins. */
static uint32_t settle_payloads(struct api_call *k, struct cast_api_subscribe *r)
{
    bool json;
    if (cast_api_payload(r->data, r->b64data, &k->scratch, &r->data, &json) < 0 ||
        (r->data.data && !json))
        return CAST_ERR_BAD_REQUEST;
    if (cast_api_payload(r->info, r->b64info, &k->scratch, &r->info, &json) < 0 ||
        (r->info.data && !json))
        return CAST_ERR_BAD_REQUEST;
    return 0;
}

static void subscribe(struct api_call *k, struct cast_api_subscribe *r)
{
    uint32_t error;
    if (options_of(&k->w->shard, r->channel, &error))
        error = settle_payloads(k, r);
    if (error)
        api_item_error(k, error);
    else
        users_sweep(k, subscribe_part);
}

static void unsubscribe_part(struct sweep_part *part)
{
    const struct cast_api_unsubscribe *r = &request_of(part)->unsubscribe;
    struct who who = {r->user, r->client};
    userop_unsubscribe(part->shard, &who, r->channel);
    sweep_part_done(part);
}

static void unsubscribe(struct api_call *k, const struct cast_api_unsubscribe *r)
{
    uint32_t error = 0;
    if (r->channel.len && !options_of(&k->w->shard, r->channel, &error))
        api_item_error(k, error);
    else
        users_sweep(k, unsubscribe_part);
}

static void disconnect_part(struct sweep_part *part)
{
    const struct cast_api_disconnect *r = &request_of(part)->disconnect;
    struct who who = {r->user, r->client};
    struct cast_disconnect d = *cast_disconnect_find(CAST_DIS_FORCE_NO_RECONNECT);
    if (r->has_disconnect)
        d = (struct cast_disconnect){r->disconnect.code, r->disconnect.reason};
    userop_disconnect(part->shard, &who, &r->whitelist, &d);
    sweep_part_done(part);
}

static void disconnect(struct api_call *k, const struct cast_api_disconnect *r)
{
    /* Only codes that may stand in a close frame and that clients take for the protocol's. */
    if (r->has_disconnect && (r->disconnect.code < 3000 || r->disconnect.code > 4999))
        api_item_error(k, CAST_ERR_BAD_REQUEST);
    else
        users_sweep(k, disconnect_part);
}

static void refresh_part(struct sweep_part *part)
{
    const struct cast_api_refresh *r = &request_of(part)->refresh;
    struct who who = {r->user, r->client};
    userop_refresh(part->shard, &who, r->expired, r->expire_at_s);
    sweep_part_done(part);
}

/* ---- presence, history ---- */

static void put_answer(struct api_call *k, struct ask_op *a)
{
    struct cast_history_result r = {.count = a->history.pubs.count,
        .epoch = weft_span_of(a->history.epoch),
        .offset = a->history.top};
    switch (a->question) {
    case ASK_PRESENCE:
        cast_api_put_presence(&k->out, a->present.infos, a->present.count);
        break;
    case ASK_PRESENCE_STATS:
        cast_api_put_presence_stats(&k->out, &a->stats);
        break;
    case ASK_HISTORY:
        r.publications = views_of(&k->scratch, &a->history.pubs, r.epoch);
        if (r.count && !r.publications)
            k->out.err = -ENOMEM;
        else
            cast_api_put_history(&k->out, &r);
        break;
    default:
        cast_api_put_empty(&k->out);
    }
}

static void asked(struct op *op)
{
    struct api_call *k = op->owner;
    if (op->rc < 0) {
        api_item_error(k, error_of(op->rc));
        return;
    }
    api_item_open(k);
    put_answer(k, (struct ask_op *)op);
    api_item_close(k);
}

static void ask(struct api_call *k, enum question question, struct weft_span channel,
    const struct cast_history *history)
{
    uint32_t error;
    const struct cast_channel_options *o = options_of(&k->w->shard, channel, &error);
    bool of_presence = question == ASK_PRESENCE || question == ASK_PRESENCE_STATS;
    if (o && !(of_presence ? o->presence : o->has_history))
        error = CAST_ERR_NOT_AVAILABLE;
    if (error) {
        api_item_error(k, error);
        return;
    }
    struct stream_rules rules = rules_of(o);
    struct stream_filter f = {0};
    if (history)
        f = (struct stream_filter){.has_since = history->has_since,
            .since_offset = history->since.offset,
            .since_epoch = history->since.epoch,
            .limit = history->limit,
            .reverse = history->reverse};
    struct asker by = {&k->w->shard, k, 0, asked};
    if (op_ask(&by, question, channel, &rules, &f) < 0)
        api_item_error(k, CAST_ERR_INTERNAL);
}

/* ---- channels, info ---- */

static void channels_done(struct sweep *s)
{
    struct api_call *k = s->arg;
    api_item_open(k);
    cast_api_channels_open(&k->out);
    for (uint32_t i = 0; i < s->count; i++)
        for (const struct channel_count *c = channel_list_first(s->parts[i].data); c;
             c = channel_list_next(s->parts[i].data, c))
            cast_api_channels_entry(
                &k->out, (struct weft_span){c->name, c->name_bytes}, c->clients);
    cast_api_channels_close(&k->out);
    api_item_close(k);
}

static void channels_part(struct sweep_part *part)
{
    part->data = channel_list_make(part->shard, request_of(part)->channels.pattern);
    sweep_part_done(part);
}

static void channels(struct api_call *k, const struct cast_api_channels *r)
{
    if (r->pattern.len && !cast_glob_valid(r->pattern.data, r->pattern.len))
        api_item_error(k, CAST_ERR_INTERNAL);
    else if (sweep_start(&k->w->shard, channels_part, channels_done, k, NULL) < 0)
        api_item_error(k, CAST_ERR_INTERNAL);
}

static void info_part(struct sweep_part *part)
{
    part->data = totals_make(part->shard);
    sweep_part_done(part);
}

static void info_done(struct sweep *s)
{
    struct api_call *k = s->arg;
    struct server *srv = k->w->server;
    struct totals t;
    totals_sum(s, &t);
    int64_t up_s = (weft_loop_now_ns(k->w->shard.loop) - srv->started_ns) / WEFT_SEC;
    struct cast_api_node node = {.uid = weft_span_of(srv->uid),
        .name = weft_span_of(srv->node_name),
        .version = CAST_SPAN(CAST_VERSION_TEXT),
        .num_clients = (uint32_t)t.clients,
        .num_users = (uint32_t)t.users,
        .num_channels = (uint32_t)t.channels,
        .num_subs = (uint32_t)t.subs,
        .uptime_s = (uint32_t)up_s};
    struct node_snapshot *last = node_metrics_last(&srv->node_metrics);
    if (last) {
        node.metrics_interval_s = last->interval_s;
        node.metrics = last->items;
        node.metric_count = last->count;
    }
    api_item_open(k);
    cast_api_put_info(&k->out, &node, 1);
    api_item_close(k);
    node_snapshot_unref(last);
}

void api_work(struct api_call *k, struct api_item *item)
{
    struct cast_api_request *r = &item->req;
    switch (r->method) {
    case CAST_API_PUBLISH:
        publish(k, &r->publish);
        break;
    case CAST_API_BROADCAST:
        broadcast(k, &r->publish);
        break;
    case CAST_API_SUBSCRIBE:
        subscribe(k, &r->subscribe);
        break;
    case CAST_API_UNSUBSCRIBE:
        unsubscribe(k, &r->unsubscribe);
        break;
    case CAST_API_DISCONNECT:
        disconnect(k, &r->disconnect);
        break;
    case CAST_API_REFRESH:
        users_sweep(k, refresh_part);
        break;
    case CAST_API_PRESENCE:
        ask(k, ASK_PRESENCE, r->channel.channel, NULL);
        break;
    case CAST_API_PRESENCE_STATS:
        ask(k, ASK_PRESENCE_STATS, r->channel.channel, NULL);
        break;
    case CAST_API_HISTORY:
        ask(k, ASK_HISTORY, r->history.channel, &r->history);
        break;
    case CAST_API_HISTORY_REMOVE:
        ask(k, ASK_HISTORY_REMOVE, r->channel.channel, NULL);
        break;
    case CAST_API_CHANNELS:
        channels(k, &r->channels);
        break;
    case CAST_API_INFO:
        if (sweep_start(&k->w->shard, info_part, info_done, k, NULL) < 0)
            api_item_error(k, CAST_ERR_INTERNAL);
        break;
    case CAST_API_RPC:
        api_item_error(k, r->rpc.method.len ? CAST_ERR_METHOD_NOT_FOUND : CAST_ERR_BAD_REQUEST);
        break;
    default:
        api_item_error(k, CAST_ERR_METHOD_NOT_FOUND);
    }
}
