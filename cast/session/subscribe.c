// SPDX-License-Identifier: Apache-2.0
/* subscribe.c - the commands subscribe, unsubscribe and sub_refresh. */
#include "session/dispatch.h"
#include "session/rights.h"
#include "session/subs.h"

#include <errno.h>

static void subscribed(struct op *op)
{
    struct client *c = op->owner;
    struct sub_op *s = (struct sub_op *)op;
    uint32_t id = (uint32_t)op->tag;
    struct cast_out *o = &c->shard->out;
    struct cast_subscribe_result r;
    int rc = sub_op_attach(s);
    if (rc == -EEXIST) {
        client_error(c, id, CAST_ERR_ALREADY_SUBSCRIBED);
    } else if (rc == 0 && sub_op_result(s, &r) == 0) {
        cast_out_clear(o);
        cast_reply_subscribe(o, id, &r);
        client_line(c);
    } else if (rc != -ECONNRESET) {
        client_error(c, id, CAST_ERR_INTERNAL);
    }
    if (!c->running)
        cast_scratch_reset(&c->shard->scratch);
    client_op_ended(c);
}

static bool same(struct weft_span a, const char *at, size_t bytes)
{
    return cast_span_eq(a, (struct weft_span){at, bytes});
}

/* Whether a good token was made for this client and this channel. */
static bool token_is_for(
    const struct client *c, const struct cast_subscribe_token *t, struct weft_span channel)
{
    return same(channel, t->sub.channel, t->sub.channel_bytes) &&
           same(c->cinfo->user, t->user, t->user_bytes) &&
           (t->client_bytes == 0 || same(c->cinfo->client, t->client, t->client_bytes));
}

/* Checks a subscription token; NULL after the error or disconnect. */
static struct cast_subscribe_token *token_of(
    struct client *c, uint32_t id, const struct cast_subscribe *cmd)
{
    struct cast_subscribe_token *t = NULL;
    switch (cast_token_verify_subscribe(
        c->shard->cfg, cmd->token.data, cmd->token.len, shard_wall_s(), &t, NULL)) {
    case CAST_TOKEN_OK:
        if (token_is_for(c, t, cmd->channel))
            return t;
        cast_subscribe_token_free(t);
        client_disconnect_code(c, CAST_DIS_INVALID_TOKEN);
        return NULL;
    case CAST_TOKEN_EXPIRED:
        client_error(c, id, CAST_ERR_TOKEN_EXPIRED);
        return NULL;
    case CAST_TOKEN_UNKNOWN:
        client_error(c, id, CAST_ERR_UNKNOWN_CHANNEL);
        return NULL;
    case CAST_TOKEN_NO_MEMORY:
        client_error(c, id, CAST_ERR_INTERNAL);
        return NULL;
    default:
        client_error(c, id, CAST_ERR_PERMISSION_DENIED);
        return NULL;
    }
}

/* What stands against the subscription before its namespace is asked: an error code, or 0. */
static uint32_t refuse(struct client *c, const struct cast_subscribe *cmd)
{
    const struct cast_config *cfg = c->shard->cfg;
    if (!cast_config_channel_length_ok(cfg, cmd->channel.len))
        return CAST_ERR_BAD_REQUEST;
    if (client_sub(c, cmd->channel))
        return CAST_ERR_ALREADY_SUBSCRIBED;
    if (cfg->client.channel_limit > 0 && client_sub_count(c) >= cfg->client.channel_limit)
        return CAST_ERR_LIMIT_EXCEEDED;
    return 0;
}

static void start(struct client *c, uint32_t id, const struct sub_want *w)
{
    struct asker by = {c->shard, c, id, subscribed};
    command_op_begins(c, home_of(w->channel, c->shard->count));
    if (op_subscribe(&by, c, w) < 0) {
        client_error(c, id, CAST_ERR_INTERNAL);
        client_op_ended(c);
    }
}

void command_subscribe(struct client *c, uint32_t id, const struct cast_subscribe *cmd)
{
    struct cast_channel_name name;
    struct cast_subscribe_token *t = NULL;
    const struct cast_config *cfg = c->shard->cfg;
    struct weft_span user = c->cinfo->user;
    if (cmd->delta.len && !cast_span_eq(cmd->delta, CAST_SPAN("fossil"))) {
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
        return;
    }
    uint32_t error = cmd->channel.len ? refuse(c, cmd) : 0;
    if (error) {
        client_error(c, id, error);
        return;
    }
    if (!command_channel(c, id, cmd->channel, &name))
        return;
    if (cmd->tf.data || cmd->type != 0) { /* no tags filters, stream subscriptions only */
        client_error(c, id, cmd->tf.data ? CAST_ERR_BAD_REQUEST : CAST_ERR_PERMISSION_DENIED);
        return;
    }
    if (cmd->token.len) {
        t = token_of(c, id, cmd);
        if (!t)
            return;
    } else if (!right_subscribe(
                   cfg, &name, cmd->channel.data, cmd->channel.len, user.data, user.len)) {
        client_error(c, id, CAST_ERR_PERMISSION_DENIED);
        return;
    }
    struct sub_want w;
    struct sub_sees sees = {
        .presence = name.options->presence &&
                    right_has(cfg, name.options, RIGHT_PRESENCE, user.len == 0, true),
        .history = right_has(cfg, name.options, RIGHT_HISTORY, user.len == 0, true)};
    want_init(&w, cmd->channel, name.options, cmd, sees);
    if (t) {
        want_token(&w, &t->sub);
        w.expire_at_s = cfg->client.insecure ? 0 : t->expire_at_s;
    }
    start(c, id, &w);
    cast_subscribe_token_free(t);
}

void command_unsubscribe(struct client *c, uint32_t id, const struct cast_channel_ref *cmd)
{
    if (cmd->channel.len == 0) {
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
        return;
    }
    struct csub *cs = client_sub(c, cmd->channel);
    if (cs)
        csub_end(c, cs, true);
    cast_out_clear(&c->shard->out);
    cast_reply_empty(&c->shard->out, id, CAST_METHOD_UNSUBSCRIBE);
    client_line(c);
}

void command_sub_refresh(struct client *c, uint32_t id, const struct cast_sub_refresh *cmd)
{
    if (cmd->channel.len == 0) {
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
        return;
    }
    struct csub *cs = client_sub(c, cmd->channel);
    if (!cs) {
        client_error(c, id, CAST_ERR_PERMISSION_DENIED);
        return;
    }
    if (cs->server_side) { /* the server refreshes those by itself */
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
        return;
    }
    if (cmd->token.len == 0) {
        client_error(c, id, CAST_ERR_BAD_REQUEST);
        return;
    }
    struct cast_subscribe_token *t = NULL;
    struct cast_refresh_result r = {0};
    int64_t now_s = shard_wall_s();
    enum cast_token_result how = cast_token_verify_subscribe(
        c->shard->cfg, cmd->token.data, cmd->token.len, now_s, &t, NULL);
    /* An expired token is answered as if it were good, but changes nothing: the subscription ends
     * when its own time is over, which makes clients fetch a new one. */
    if (how != CAST_TOKEN_EXPIRED && (how != CAST_TOKEN_OK || !token_is_for(c, t, cmd->channel))) {
        cast_subscribe_token_free(t);
        client_disconnect_code(c, CAST_DIS_INVALID_TOKEN);
        return;
    }
    if (how == CAST_TOKEN_OK) {
        cs->expire_at_s = t->expire_at_s;
        r.expires = t->expire_at_s != 0;
        r.ttl_s = t->expire_at_s > now_s ? (uint32_t)(t->expire_at_s - now_s) : 0;
        client_schedule_tick(c);
    }
    cast_subscribe_token_free(t);
    cast_out_clear(&c->shard->out);
    cast_reply_sub_refresh(&c->shard->out, id, &r);
    client_line(c);
}
