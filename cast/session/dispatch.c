// SPDX-License-Identifier: Apache-2.0
/*
 * dispatch.c - the loop over the commands of a message, and the commands that concern one channel.
 *
 * Order: commands of a client run one after the other, and their replies leave in that order. An
 * op that another shard answers makes the next command wait (its text is kept in client->rest),
 * except that publishes to the home that all ops in flight are at may follow at once, up to
 * PUBLISHES_IN_FLIGHT: that home answers in order.
 */
#include "session/dispatch.h"
#include "protocol/json.h"
#include "session/reply_views.h"
#include "session/rights.h"
#include "session/subs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PUBLISHES_IN_FLIGHT 256

/* By the pattern of the namespace; without one, ASCII. */
static bool name_fits(const struct cast_channel_name *name, struct weft_span channel)
{
    if (*name->options->channel_regex)
        return cast_channel_regex_ok(name->options, name->rest, name->rest_bytes);
    for (size_t i = 0; i < channel.len; i++)
        if ((unsigned char)channel.data[i] >= 0x80)
            return false;
    return true;
}

bool command_channel(
    struct client *c, uint32_t id, struct weft_span channel, struct cast_channel_name *ret_name)
{
    if (channel.len == 0) {
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
        return false;
    }
    if (cast_config_channel(c->shard->cfg, channel.data, channel.len, ret_name) < 0) {
        client_error(c, id, CAST_ERR_UNKNOWN_CHANNEL);
        return false;
    }
    if (!name_fits(ret_name, channel)) {
        client_error(c, id, CAST_ERR_BAD_REQUEST);
        return false;
    }
    return true;
}

static bool may(struct client *c, const struct cast_channel_name *name, enum right what,
    struct weft_span channel)
{
    return right_has(c->shard->cfg, name->options, what, c->cinfo->user.len == 0,
        client_sub(c, channel) != NULL);
}

/* ---- publish ---- */

static void published(struct op *op)
{
    struct client *c = op->owner;
    struct publish_op *p = (struct publish_op *)op;
    if (c->state == CLIENT_CONNECTED && op->rc < 0) {
        client_error(c, (uint32_t)op->tag, CAST_ERR_INTERNAL);
    } else if (c->state == CLIENT_CONNECTED) {
        struct csub *own = client_sub(c, p->ask.channel);
        if (own)
            sink_barrier(c->sink, &own->sub);
        cast_out_clear(&c->shard->out);
        cast_reply_empty(&c->shard->out, (uint32_t)op->tag, CAST_METHOD_PUBLISH);
        client_line(c);
    }
    client_op_ended(c);
}

/* Whether data suits the namespace's publication_data_format; client data is JSON always. */
static bool data_fits(const struct cast_channel_options *o, struct weft_span data)
{
    if (strcmp(o->publication_data_format, "binary") == 0)
        return true;
    if (data.len == 0)
        return false;
    return strcmp(o->publication_data_format, "json_object") != 0 || data.data[0] == '{';
}

static void command_publish(struct client *c, uint32_t id, const struct cast_publish *cmd)
{
    struct cast_channel_name name;
    struct shard *s = c->shard;
    if (!command_channel(c, id, cmd->channel, &name))
        return;
    if (!cmd->data.data && strcmp(name.options->publication_data_format, "binary") != 0) {
        client_error(c, id, CAST_ERR_BAD_REQUEST);
        return;
    }
    struct weft_span data = cmd->data;
    if (!data_fits(name.options, data)) {
        client_error(c, id, CAST_ERR_BAD_REQUEST);
        return;
    }
    if (!may(c, &name, RIGHT_PUBLISH, cmd->channel)) {
        client_error(c, id, CAST_ERR_PERMISSION_DENIED);
        return;
    }
    struct csub *own = client_sub(c, cmd->channel);
    bool only_publishes = c->inflight == 0 || c->inflight_publishes;
    struct publish ask = {.channel = cmd->channel,
        .cinfo = c->cinfo,
        .chan_info = own ? own->chan_info : (struct weft_span){NULL, 0},
        .rules = rules_of(name.options)};
    if (data.data && cast_payload_line(data, &s->scratch, &data) < 0) {
        client_error(c, id, CAST_ERR_INTERNAL);
        return;
    }
    ask.data = data;
    command_op_begins(c, home_of(cmd->channel, s->count));
    c->inflight_publishes = only_publishes;
    struct asker by = {s, c, id, published};
    if (op_publish(&by, &ask) < 0) {
        client_error(c, id, CAST_ERR_INTERNAL);
        client_op_ended(c);
    }
}

/* ---- history, presence ---- */

static void answer_history(struct client *c, uint32_t id, struct ask_op *a)
{
    struct shard *s = c->shard;
    if (a->op.rc < 0) {
        client_error(
            c, id, a->op.rc == -ESTALE ? CAST_ERR_UNRECOVERABLE_POSITION : CAST_ERR_INTERNAL);
        return;
    }
    struct weft_span epoch = weft_span_of(a->history.epoch);
    struct cast_history_result r = {
        .count = a->history.pubs.count, .epoch = epoch, .offset = a->history.top};
    r.publications = views_of(&s->scratch, &a->history.pubs, epoch);
    if (r.count && !r.publications) {
        client_error(c, id, CAST_ERR_INTERNAL);
        return;
    }
    cast_out_clear(&s->out);
    cast_reply_history(&s->out, id, &r);
    client_line(c);
}

static void answered(struct op *op)
{
    struct client *c = op->owner;
    struct ask_op *a = (struct ask_op *)op;
    uint32_t id = (uint32_t)op->tag;
    struct cast_out *o = &c->shard->out;
    if (c->state == CLIENT_CONNECTED) {
        if (a->question == ASK_HISTORY) {
            answer_history(c, id, a);
        } else if (op->rc < 0) {
            client_error(c, id, CAST_ERR_INTERNAL);
        } else {
            cast_out_clear(o);
            if (a->question == ASK_PRESENCE)
                cast_reply_presence(o, id, a->present.infos, a->present.count);
            else
                cast_reply_presence_stats(o, id, &a->stats);
            client_line(c);
        }
        if (!c->running)
            cast_scratch_reset(&c->shard->scratch);
    }
    client_op_ended(c);
}

static void ask(struct client *c, uint32_t id, enum question question, struct weft_span channel,
    const struct stream_rules *rules, const struct stream_filter *filter)
{
    struct asker by = {c->shard, c, id, answered};
    command_op_begins(c, home_of(channel, c->shard->count));
    if (op_ask(&by, question, channel, rules, filter) < 0) {
        client_error(c, id, CAST_ERR_INTERNAL);
        client_op_ended(c);
    }
}

static void command_history(struct client *c, uint32_t id, const struct cast_history *cmd)
{
    struct cast_channel_name name;
    if (!command_channel(c, id, cmd->channel, &name))
        return;
    if (!name.options->has_history) {
        client_error(c, id, CAST_ERR_NOT_AVAILABLE);
        return;
    }
    if (!may(c, &name, RIGHT_HISTORY, cmd->channel)) {
        client_error(c, id, CAST_ERR_PERMISSION_DENIED);
        return;
    }
    if (cmd->has_since && cmd->reverse && cmd->since.offset == 0) {
        client_error(c, id, CAST_ERR_BAD_REQUEST);
        return;
    }
    int64_t max = c->shard->cfg->client.history_max_publication_limit, limit = cmd->limit;
    if (max > 0 && (limit < 0 || limit > max))
        limit = max;
    struct stream_rules rules = rules_of(name.options);
    struct stream_filter filter = {.has_since = cmd->has_since,
        .since_offset = cmd->since.offset,
        .since_epoch = cmd->since.epoch,
        .limit = limit < 0 ? -1 : limit,
        .reverse = cmd->reverse};
    ask(c, id, ASK_HISTORY, cmd->channel, &rules, &filter);
}

static void command_presence(
    struct client *c, uint32_t id, struct weft_span channel, enum question question)
{
    struct cast_channel_name name;
    if (!command_channel(c, id, channel, &name))
        return;
    if (!name.options->presence)
        client_error(c, id, CAST_ERR_NOT_AVAILABLE);
    else if (!may(c, &name, RIGHT_PRESENCE, channel))
        client_error(c, id, CAST_ERR_PERMISSION_DENIED);
    else
        ask(c, id, question, channel, NULL, NULL);
}

/* ---- rpc, pongs, the loop ---- */

static void command_rpc(struct client *c, uint32_t id, const struct cast_rpc *cmd)
{
    const struct cast_config *cfg = c->shard->cfg;
    if (!cfg->rpc.ping.enabled) {
        client_error(c, id, CAST_ERR_NOT_AVAILABLE);
    } else if (!cast_span_eq(cmd->method, weft_span_of(cfg->rpc.ping.method))) {
        client_error(c, id, CAST_ERR_METHOD_NOT_FOUND);
    } else {
        cast_out_clear(&c->shard->out);
        cast_reply_empty(&c->shard->out, id, CAST_METHOD_RPC);
        client_line(c);
    }
}

static void pong(struct client *c)
{
    if (c->state == CLIENT_CONNECTED && c->pong_ms && !c->frame_pings)
        c->pong_ms = 0; /* the timer finds out by itself */
    else
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
}

static void run_connected(struct client *c, const struct cast_command *cmd)
{
    switch (cmd->method) {
    case CAST_METHOD_SUBSCRIBE:
        command_subscribe(c, cmd->id, &cmd->subscribe);
        break;
    case CAST_METHOD_UNSUBSCRIBE:
        command_unsubscribe(c, cmd->id, &cmd->unsubscribe);
        break;
    case CAST_METHOD_PUBLISH:
        command_publish(c, cmd->id, &cmd->publish);
        break;
    case CAST_METHOD_PRESENCE:
        command_presence(c, cmd->id, cmd->presence.channel, ASK_PRESENCE);
        break;
    case CAST_METHOD_PRESENCE_STATS:
        command_presence(c, cmd->id, cmd->presence_stats.channel, ASK_PRESENCE_STATS);
        break;
    case CAST_METHOD_HISTORY:
        command_history(c, cmd->id, &cmd->history);
        break;
    case CAST_METHOD_RPC:
        command_rpc(c, cmd->id, &cmd->rpc);
        break;
    case CAST_METHOD_REFRESH:
        command_refresh(c, cmd->id, &cmd->refresh);
        break;
    case CAST_METHOD_SUB_REFRESH:
        command_sub_refresh(c, cmd->id, &cmd->sub_refresh);
        break;
    default: /* a second connect, ping, or nothing known */
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
    }
}

static void run_one(struct client *c, const struct cast_command *cmd)
{
    c->shard->n.commands[cmd->method]++;
    if (cmd->method == CAST_METHOD_SEND && c->state == CLIENT_CONNECTED)
        client_disconnect_code(c, CAST_DIS_NOT_AVAILABLE);
    else if (cast_command_is_pong(cmd))
        pong(c);
    else if (c->state == CLIENT_CONNECTED)
        run_connected(c, cmd);
    else if (c->state == CLIENT_NEW && cmd->id != 0 && cmd->method == CAST_METHOD_CONNECT)
        command_connect(c, cmd->id, &cmd->connect);
    else
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
}

/* Whether a command may run although ops are in flight. */
static bool may_run(const struct client *c, const struct cast_command *cmd)
{
    if (c->inflight == 0)
        return true;
    return cmd->method == CAST_METHOD_PUBLISH && c->inflight_publishes &&
           c->inflight < PUBLISHES_IN_FLIGHT &&
           c->inflight_home == home_of(cmd->publish.channel, c->shard->count);
}

/* Keeps the commands from `from` on until the ops in flight have ended. */
static void keep_rest(struct client *c, const char *from, const char *end)
{
    size_t bytes = (size_t)(end - from);
    c->rest = malloc(bytes);
    if (!c->rest) {
        client_disconnect_code(c, CAST_DIS_INTERNAL);
        return;
    }
    memcpy(c->rest, from, bytes);
    c->rest_bytes = (uint32_t)bytes;
}

void client_run(struct client *c, struct weft_span text)
{
    struct shard *s = c->shard;
    struct cast_json j;
    struct cast_command cmd;
    bool any = false;
    int rc = 0;
    client_ref(c);
    c->running = true;
    cast_json_init(&j, text, &s->scratch);
    while (c->state != CLIENT_CLOSED) {
        const char *from = j.at;
        rc = cast_command_next(&j, &cmd);
        if (rc <= 0)
            break;
        any = true;
        if (!may_run(c, &cmd)) {
            keep_rest(c, from, text.data + text.len);
            break;
        }
        run_one(c, &cmd);
        cast_scratch_reset(&s->scratch);
    }
    cast_scratch_reset(&s->scratch);
    c->running = false;
    if (rc < 0 || !any)
        client_disconnect_code(c, rc == -ENOMEM ? CAST_DIS_INTERNAL : CAST_DIS_BAD_REQUEST);
    client_unref(c);
}
