// SPDX-License-Identifier: Apache-2.0
/* userops.c - what the server API does to the clients of a user, on one shard. */
#include "session/subs.h"

#include <errno.h>
#include <stdlib.h>

/* Calls fn for each client that is meant; it may end the client, and others. */
static void each(
    struct shard *s, const struct who *who, void (*fn)(struct client *c, void *arg), void *arg)
{
    struct user *u = user_find(s, who->user);
    if (!u)
        return;
    /* Held all at once, as ending one client can end another. */
    uint32_t n = 0, count = u->count;
    struct client **list = malloc(count * sizeof(struct client *));
    if (!list)
        return;
    for (struct client *c = u->clients; c; c = c->user_next)
        if (who->client.len == 0 || cast_span_eq(c->cinfo->client, who->client))
            list[n++] = client_ref(c);
    for (uint32_t i = 0; i < n; i++) {
        if (list[i]->state == CLIENT_CONNECTED)
            fn(list[i], arg);
        client_unref(list[i]);
    }
    free(list);
}

static void unsubscribe_one(struct client *c, void *arg)
{
    struct weft_span channel = *(struct weft_span *)arg;
    struct csub *cs = channel.len ? client_sub(c, channel) : NULL;
    if (cs) {
        csub_end_told(c, cs, CAST_UNSUB_SERVER);
        return;
    }
    /* Of all channels in one push; and a client that has no such subscription is told as well. */
    if (channel.len == 0)
        while (c->sink->subs)
            csub_end(c, (struct csub *)c->sink->subs, true);
    cast_out_clear(&c->shard->out);
    cast_push_unsubscribe(
        &c->shard->out, channel, CAST_UNSUB_SERVER, cast_unsubscribe_reason(CAST_UNSUB_SERVER));
    client_line(c);
}

void userop_unsubscribe(struct shard *s, const struct who *who, struct weft_span channel)
{
    each(s, who, unsubscribe_one, &channel);
}

struct disconnect_args {
    const struct cast_spans *keep;
    const struct cast_disconnect *d;
};

static void disconnect_one(struct client *c, void *arg)
{
    const struct disconnect_args *a = arg;
    for (size_t i = 0; a->keep && i < a->keep->count; i++)
        if (cast_span_eq(a->keep->items[i], c->cinfo->client))
            return;
    client_disconnect(c, a->d);
}

void userop_disconnect(struct shard *s, const struct who *who, const struct cast_spans *keep,
    const struct cast_disconnect *d)
{
    struct disconnect_args a = {keep, d};
    each(s, who, disconnect_one, &a);
}

struct refresh_args {
    bool expired;
    int64_t expire_at_s;
};

static void refresh_one(struct client *c, void *arg)
{
    const struct refresh_args *a = arg;
    int64_t now_s = shard_wall_s();
    if (a->expired || (a->expire_at_s && a->expire_at_s <= now_s)) {
        client_disconnect_code(c, CAST_DIS_EXPIRED);
        return;
    }
    client_set_expiry(c, a->expire_at_s);
    struct cast_refresh_result r = {.expires = a->expire_at_s != 0};
    int64_t left_s = a->expire_at_s - now_s;
    if (r.expires) /* clients keep the time in 32 bits of milliseconds: a year at most */
        r.ttl_s = left_s < 31536000 ? (uint32_t)left_s : 31536000;
    cast_out_clear(&c->shard->out);
    cast_push_refresh(&c->shard->out, &r);
    client_line(c);
}

void userop_refresh(struct shard *s, const struct who *who, bool expired, int64_t expire_at_s)
{
    struct refresh_args a = {expired, expire_at_s};
    each(s, who, refresh_one, &a);
}

/* ---- subscriptions by the server ---- */

struct subscribe_args {
    const struct sub_want *want;
    struct sweep_part *part;
};

/* The push that tells of it; a client that was subscribed already is told again. */
static void server_subscribed(struct op *op)
{
    struct sub_op *s = (struct sub_op *)op;
    struct client *c = s->client;
    struct sweep_part *part = op->owner;
    struct cast_subscribe_result r;
    int rc = sub_op_attach(s);
    if ((rc == 0 || rc == -EEXIST) && sub_op_result(s, &r) == 0) {
        cast_out_clear(&c->shard->out);
        cast_push_subscribe(&c->shard->out, s->ask.channel, &r);
        client_line(c);
    }
    cast_scratch_reset(&c->shard->scratch);
    if (--part->pending == 0)
        sweep_part_done(part);
}

static void subscribe_one(struct client *c, void *arg)
{
    struct subscribe_args *a = arg;
    int64_t limit = c->shard->cfg->client.channel_limit;
    if (limit > 0 && client_sub_count(c) >= limit && !client_sub(c, a->want->channel)) {
        client_disconnect_code(c, CAST_DIS_CHANNEL_LIMIT);
        return;
    }
    struct asker by = {c->shard, a->part, 0, server_subscribed};
    a->part->pending++;
    if (op_subscribe(&by, c, a->want) < 0)
        a->part->pending--;
}

void userop_subscribe(struct sweep_part *part, const struct who *who, const struct sub_want *want)
{
    struct subscribe_args a = {want, part};
    part->pending = 1; /* ours, so that no answer ends the part before all were asked */
    each(part->shard, who, subscribe_one, &a);
    if (--part->pending == 0)
        sweep_part_done(part);
}
