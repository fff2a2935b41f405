// SPDX-License-Identifier: Apache-2.0
/*
 * connect.c - the commands connect and refresh.
 *
 *     token or anonymous ──▶ user's connection limit ──▶ server-side subscriptions ──▶ reply
 *                              (user's home)                (each channel's home)
 *
 * The subscriptions are asked for at once and attached only when all have answered, directly before
 * the reply is written: so nothing can be pushed before the client knows that it is connected.
 */
#include "session/dispatch.h"
#include "session/rights.h"
#include "session/subs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <weft/version.h>

struct connecting {
    struct client *client; /* the op in flight holds it */
    uint32_t id;
    int64_t expire_at_s;
    const struct cast_config *cfg; /* the wants' options are of it; a reload must not free them */
    struct cast_connect_token *token; /* or NULL */
    char *personal;                   /* channel, or NULL */
    struct sub_want *wants;
    struct sub_op **ops;
    size_t count, room, answered;
    bool failed;
};

static void connecting_free(struct connecting *k)
{
    for (size_t i = 0; i < k->count; i++)
        if (k->ops && k->ops[i])
            sub_op_free(k->ops[i]);
    cast_connect_token_free(k->token);
    cast_config_unref(k->cfg);
    free(k->personal);
    for (size_t i = 0; i < k->count; i++) {
        free((void *)(uintptr_t)k->wants[i].channel.data);
        free((void *)(uintptr_t)k->wants[i].epoch.data);
    }
    free(k->wants);
    free(k->ops);
    free(k);
}

/* ---- who it is ---- */

static int make_cinfo(struct client *c, struct weft_span user, struct weft_span info)
{
    unsigned char r[16];
    char id[37];
    if (getrandom(r, sizeof r, 0) != (ssize_t)sizeof r)
        return -ENOMEM;
    r[6] = (unsigned char)((r[6] & 0x0f) | 0x40); /* version 4, variant 1 (RFC 9562) */
    r[8] = (unsigned char)((r[8] & 0x3f) | 0x80);
    snprintf(id, sizeof id, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        r[0], r[1], r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12], r[13],
        r[14], r[15]);
    c->cinfo = cinfo_new(user, weft_span_of(id), info);
    return c->cinfo ? 0 : -ENOMEM;
}

/* Checks the token of a connect; false after the error or disconnect. */
static bool check_token(
    struct client *c, uint32_t id, struct weft_span text, struct cast_connect_token **ret)
{
    const struct cast_config *cfg = c->shard->cfg;
    switch (cast_token_verify_connect(cfg, text.data, text.len, shard_wall_s(), ret, NULL)) {
    case CAST_TOKEN_OK:
        break;
    case CAST_TOKEN_EXPIRED:
        client_error(c, id, CAST_ERR_TOKEN_EXPIRED);
        return false;
    case CAST_TOKEN_UNKNOWN:
        client_error(c, id, CAST_ERR_UNKNOWN_CHANNEL);
        return false;
    case CAST_TOKEN_NO_MEMORY:
        client_error(c, id, CAST_ERR_INTERNAL);
        return false;
    default:
        client_disconnect_code(c, CAST_DIS_INVALID_TOKEN);
        return false;
    }
    const struct cast_connect_token *t = *ret;
    bool past = t->expire_at_s && t->expire_at_s <= shard_wall_s();
    if (t->user_bytes == 0 && cfg->client.disallow_anonymous_connection_tokens)
        client_disconnect_code(c, CAST_DIS_PERMISSION_DENIED);
    else if (past && !cfg->client.insecure)
        client_error(c, id, CAST_ERR_EXPIRED);
    else
        return true;
    cast_connect_token_free(*ret);
    *ret = NULL;
    return false;
}

/* Makes client->cinfo of the token, the header, or nobody; false after the error or disconnect. */
static bool identify(struct client *c, const struct cast_connect *cmd, struct connecting *k)
{
    const struct cast_client_options *o = &c->shard->cfg->client;
    struct weft_span user = CAST_SPAN(""), info = {NULL, 0};
    if (cmd->token.len) {
        if (!check_token(c, k->id, cmd->token, &k->token))
            return false;
        user = (struct weft_span){k->token->user, k->token->user_bytes};
        info = (struct weft_span){k->token->info.at, k->token->info.bytes};
        k->expire_at_s = k->token->expire_at_s;
    } else if (c->header_user) {
        user = weft_span_of(c->header_user);
    } else if (!o->allow_anonymous_connect_without_token && !o->insecure) {
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
        return false;
    }
    if (make_cinfo(c, user, info) == 0)
        return true;
    client_error(c, k->id, CAST_ERR_INTERNAL);
    return false;
}

/* ---- server-side subscriptions ---- */

static struct sub_want *want_find(struct connecting *k, struct weft_span channel)
{
    for (size_t i = 0; i < k->count; i++)
        if (cast_span_eq(k->wants[i].channel, channel))
            return &k->wants[i];
    return NULL;
}

static bool copy(struct weft_span *s)
{
    if (!s->data)
        return true;
    char *p = malloc(s->len ? s->len : 1);
    if (!p)
        return false;
    if (s->len)
        memcpy(p, s->data, s->len);
    s->data = p;
    return true;
}

/* Adds a want, unless there is one to the channel. req: the client's own words about it. */
static struct sub_want *want_add(struct connecting *k, struct weft_span channel,
    const struct cast_channel_options *o, const struct cast_subscribe *req)
{
    struct sub_want *w = want_find(k, channel);
    if (w)
        return w;
    if (k->count == k->room) {
        size_t room = k->room ? k->room * 2 : 4;
        struct sub_want *grown = realloc(k->wants, room * sizeof *grown);
        if (!grown)
            return NULL;
        k->wants = grown;
        k->room = room;
    }
    w = &k->wants[k->count];
    want_init(w, channel, o, req, (struct sub_sees){0});
    w->server_side = true;
    if (!copy(&w->channel))
        return NULL;
    if (!copy(&w->epoch)) {
        free((void *)(uintptr_t)w->channel.data);
        return NULL;
    }
    k->count++;
    return w;
}

static const struct cast_subscribe *requested(
    const struct cast_connect *cmd, struct weft_span channel)
{
    for (size_t i = 0; i < cmd->sub_count; i++)
        if (cast_span_eq(cmd->subs[i].channel, channel))
            return &cmd->subs[i].request;
    return NULL;
}

static int want_tokens(struct client *c, const struct cast_connect *cmd, struct connecting *k)
{
    for (size_t i = 0; k->token && i < k->token->subs_count; i++) {
        const struct cast_token_sub *t = &k->token->subs[i];
        struct cast_channel_name name;
        struct weft_span channel = {t->channel, t->channel_bytes};
        if (cast_config_channel(c->shard->cfg, channel.data, channel.len, &name) < 0)
            return -ENOENT;
        struct sub_want *w = want_add(k, channel, name.options, requested(cmd, channel));
        if (!w)
            return -ENOMEM;
        want_token(w, t);
        w->from_token = true;
    }
    return 0;
}

static int want_personal(struct client *c, const struct cast_connect *cmd, struct connecting *k)
{
    const struct cast_config *cfg = c->shard->cfg;
    struct weft_span user = c->cinfo->user;
    if (!cfg->client.subscribe_to_user_personal_channel.enabled || user.len == 0)
        return 0;
    k->personal = cast_config_personal_channel(cfg, user.data, user.len);
    if (!k->personal)
        return -ENOMEM;
    struct weft_span channel = weft_span_of(k->personal);
    struct cast_channel_name name;
    if (cast_config_channel(cfg, channel.data, channel.len, &name) < 0)
        return -ENOENT;
    return want_add(k, channel, name.options, requested(cmd, channel)) ? 0 : -ENOMEM;
}

/* What the client asks for itself: the channels it could subscribe to without a token. */
static int want_requested(struct client *c, const struct cast_connect *cmd, struct connecting *k)
{
    const struct cast_config *cfg = c->shard->cfg;
    struct weft_span user = c->cinfo->user;
    for (size_t i = 0; i < cmd->sub_count; i++) {
        struct weft_span channel = cmd->subs[i].channel;
        struct cast_channel_name name;
        if (want_find(k, channel))
            continue;
        if (channel.len == 0 || cast_config_channel(cfg, channel.data, channel.len, &name) < 0)
            return -EBADMSG;
        if (!cast_config_channel_length_ok(cfg, channel.len) ||
            !cast_channel_regex_ok(name.options, name.rest, name.rest_bytes) ||
            !right_subscribe(cfg, &name, channel.data, channel.len, user.data, user.len))
            continue;
        if (!want_add(k, channel, name.options, &cmd->subs[i].request))
            return -ENOMEM;
    }
    return 0;
}

/* ---- the reply ---- */

static int64_t wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int attach_all(struct connecting *k, struct cast_sub_result *results)
{
    for (size_t i = 0; i < k->count; i++) {
        int rc = sub_op_attach(k->ops[i]);
        if (rc == 0)
            rc = sub_op_result(k->ops[i], &results[i].result);
        if (rc < 0)
            return rc;
        results[i].channel = k->wants[i].channel;
    }
    return 0;
}

static void reply(
    struct client *c, const struct connecting *k, const struct cast_sub_result *results)
{
    struct shard *s = c->shard;
    const struct cast_client_options *o = &s->cfg->client;
    struct cast_connect_result r = {.client = c->cinfo->client,
        .version = CAST_SPAN(CAST_VERSION_TEXT),
        .expires = c->expire_at_s != 0,
        .subs = results,
        .sub_count = k->count};
    int64_t left_s = c->expire_at_s - shard_wall_s();
    if (r.expires && left_s > 0)
        r.ttl_s = (uint32_t)left_s;
    if (!c->frame_pings && o->ping_interval_ns > 0) {
        r.ping_s = (uint32_t)((o->ping_interval_ns + WEFT_SEC - 1) / WEFT_SEC);
        r.pong = o->pong_timeout_ns > 0;
    }
    if (o->connect_include_server_time)
        r.time_ms = wall_ms();
    cast_out_clear(&s->out);
    cast_reply_connect(&s->out, k->id, &r);
    client_line(c);
}

/* One connection a user: the others are closed. */
static void close_others(struct sweep_part *part)
{
    const struct cinfo *keep = part->sweep->arg;
    struct weft_span client = keep->client;
    struct cast_spans list = {&client, 1, 1};
    struct who who = {keep->user, CAST_SPAN("")};
    userop_disconnect(part->shard, &who, &list, cast_disconnect_find(CAST_DIS_CONNECTION_LIMIT));
    sweep_part_done(part);
}
static void closed_others(struct sweep *s) {}
static void free_cinfo(void *arg)
{
    cinfo_unref(arg);
}

static void finish(struct connecting *k)
{
    struct client *c = k->client;
    struct shard *s = c->shard;
    struct cast_sub_result *results = NULL;
    if (c->state == CLIENT_CONNECTING) {
        if (k->count)
            results = cast_scratch_alloc(&s->scratch, k->count * sizeof *results);
        if (k->failed || (k->count && !results) || client_connected(c) < 0 ||
            attach_all(k, results) < 0) {
            client_disconnect_code(c, CAST_DIS_INTERNAL);
        } else {
            client_set_expiry(c, k->expire_at_s);
            reply(c, k, results);
            if (k->personal && s->cfg->client.subscribe_to_user_personal_channel.single_connection)
                sweep_start(s, close_others, closed_others, cinfo_ref(c->cinfo), free_cinfo);
        }
        if (!c->running)
            cast_scratch_reset(&s->scratch);
    }
    connecting_free(k);
    client_op_ended(c);
}

static void sub_answered(struct op *op)
{
    struct connecting *k = op->owner;
    k->ops[op->tag] = sub_op_keep((struct sub_op *)op);
    if (++k->answered == k->count)
        finish(k);
}

static void subscribe_all(struct connecting *k)
{
    struct client *c = k->client;
    size_t count = k->count;
    if (count == 0) {
        finish(k);
        return;
    }
    k->ops = calloc(count, sizeof(struct sub_op *));
    if (!k->ops) {
        k->failed = true;
        finish(k);
        return;
    }
    /* The last answer ends k, and it may come inside the last start: touch k no more after it. */
    for (size_t i = 0; i < count; i++) {
        struct asker by = {c->shard, k, i, sub_answered};
        if (op_subscribe(&by, c, &k->wants[i]) == 0)
            continue;
        k->failed = true;
        if (++k->answered == count)
            finish(k);
    }
}

static void counted(struct op *op)
{
    struct connecting *k = op->owner;
    struct client *c = k->client;
    if (op->rc == 0)
        c->counted = true;
    if (c->state == CLIENT_CLOSED) {
        if (c->counted)
            user_uncount(c->shard, c->cinfo->user);
        c->counted = false;
    } else if (op->rc == -EUSERS) {
        client_disconnect_code(c, CAST_DIS_CONNECTION_LIMIT);
    } else if (op->rc < 0) {
        client_disconnect_code(c, CAST_DIS_INTERNAL);
    }
    if (c->state == CLIENT_CLOSED)
        finish(k);
    else
        subscribe_all(k);
}

/* Every subscription that the connection begins with; false after the error or disconnect. */
static bool gather(struct client *c, const struct cast_connect *cmd, struct connecting *k)
{
    int rc = want_tokens(c, cmd, k);
    if (rc == 0)
        rc = want_personal(c, cmd, k);
    if (rc == 0)
        rc = want_requested(c, cmd, k);
    int64_t limit = c->shard->cfg->client.channel_limit;
    if (rc == 0 && limit > 0 && k->count > (size_t)limit) {
        client_disconnect_code(c, CAST_DIS_CHANNEL_LIMIT);
        return false;
    }
    if (rc == -EBADMSG)
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
    else if (rc < 0)
        client_error(c, k->id, rc == -ENOENT ? CAST_ERR_UNKNOWN_CHANNEL : CAST_ERR_INTERNAL);
    return rc == 0;
}

void command_connect(struct client *c, uint32_t id, const struct cast_connect *cmd)
{
    struct connecting *k = calloc(1, sizeof *k);
    if (!k) {
        client_error(c, id, CAST_ERR_INTERNAL);
        return;
    }
    k->client = c;
    k->id = id;
    k->cfg = cast_config_ref(c->shard->cfg);
    if (!identify(c, cmd, k) || !gather(c, cmd, k)) {
        connecting_free(k);
        if (c->state == CLIENT_NEW) { /* it may try again until it is stale */
            cinfo_unref(c->cinfo);
            c->cinfo = NULL;
        }
        return;
    }
    c->state = CLIENT_CONNECTING;
    command_op_begins(c, c->shard->index);
    int64_t limit = c->shard->cfg->client.user_connection_limit;
    if (limit <= 0 || c->cinfo->user.len == 0) {
        subscribe_all(k);
        return;
    }
    struct asker by = {c->shard, k, 0, counted};
    if (op_user_count(&by, c->cinfo->user, limit) < 0) {
        client_disconnect_code(c, CAST_DIS_INTERNAL);
        finish(k);
    }
}

/* ---- refresh ---- */

/* Whether the token's subscriptions are those that the connection was given by its token. */
static bool same_subs(const struct client *c, const struct cast_connect_token *t)
{
    size_t had = 0;
    for (const struct sub *sub = c->sink->subs; sub; sub = sub->next)
        had += ((const struct csub *)sub)->from_token;
    for (size_t i = 0; i < t->subs_count; i++) {
        struct weft_span channel = {t->subs[i].channel, t->subs[i].channel_bytes};
        const struct csub *cs = client_sub(c, channel);
        if (!cs || !cs->from_token)
            return false;
    }
    return had == t->subs_count;
}

static void refreshed(struct client *c, uint32_t id, const struct cast_connect_token *t)
{
    struct weft_span user = {t->user, t->user_bytes}, info = {t->info.at, t->info.bytes};
    if (!cast_span_eq(user, c->cinfo->user)) {
        client_disconnect_code(c, CAST_DIS_INVALID_TOKEN);
        return;
    }
    if (!same_subs(c, t)) {
        client_disconnect_code(c, CAST_DIS_INSUFFICIENT_STATE);
        return;
    }
    if (info.len == 0) /* a token without info leaves what there was */
        info = c->cinfo->conn_info;
    struct cinfo *fresh = cinfo_new(user, c->cinfo->client, info);
    if (!fresh) {
        client_error(c, id, CAST_ERR_INTERNAL);
        return;
    }
    cinfo_unref(c->cinfo);
    c->cinfo = fresh;
    client_set_expiry(c, t->expire_at_s);
    int64_t left_s = c->expire_at_s - shard_wall_s();
    struct cast_refresh_result r = {.expires = c->expire_at_s != 0};
    if (r.expires && left_s > 0)
        r.ttl_s = (uint32_t)left_s;
    cast_out_clear(&c->shard->out);
    cast_reply_refresh(&c->shard->out, id, &r);
    client_line(c);
}

void command_refresh(struct client *c, uint32_t id, const struct cast_refresh *cmd)
{
    struct cast_connect_token *t = NULL;
    if (cmd->token.len == 0) {
        client_disconnect_code(c, CAST_DIS_BAD_REQUEST);
        return;
    }
    switch (cast_token_verify_connect(
        c->shard->cfg, cmd->token.data, cmd->token.len, shard_wall_s(), &t, NULL)) {
    case CAST_TOKEN_OK:
        refreshed(c, id, t);
        break;
    case CAST_TOKEN_EXPIRED:
        client_disconnect_code(c, CAST_DIS_EXPIRED);
        break;
    case CAST_TOKEN_NO_MEMORY:
        client_error(c, id, CAST_ERR_INTERNAL);
        break;
    default:
        client_disconnect_code(c, CAST_DIS_INVALID_TOKEN);
    }
    cast_connect_token_free(t);
}
