// SPDX-License-Identifier: Apache-2.0
/*
 * reply.c - replies and pushes of the client protocol as JSON (reply.h).
 *
 * One function an object of the protocol, named put_*, writes its fields between braces in the
 * order of their numbers in Centrifugo's schema; the public functions put the envelope around:
 *
 *     reply_open   {"id":7,"subscribe":   ...  }          push_open  {"push":{"channel":"a","pub":
 * ...  }}
 *
 * Commas are decided by the byte before (cast_out_comma): no first-field flags.
 */
#include "protocol/reply.h"

static void put_flag(struct cast_out *o, bool v, const char *key, size_t bytes)
{
    if (v) {
        cast_out_comma(o);
        cast_out_bytes(o, key, bytes);
    }
}
static void put_number(struct cast_out *o, uint64_t v, const char *key, size_t bytes)
{
    if (v) {
        cast_out_comma(o);
        cast_out_bytes(o, key, bytes);
        cast_out_u64(o, v);
    }
}
static void put_text(struct cast_out *o, struct weft_span v, const char *key, size_t bytes)
{
    if (v.len) {
        cast_out_comma(o);
        cast_out_bytes(o, key, bytes);
        cast_out_string(o, v);
    }
}
static void put_raw(struct cast_out *o, struct weft_span v, const char *key, size_t bytes)
{
    if (v.len) {
        cast_out_comma(o);
        cast_out_bytes(o, key, bytes);
        cast_out_put(o, v);
    }
}
/* Fields that are left out when zero. */
#define FLAG(o, v, name) put_flag(o, v, "\"" name "\":true", sizeof("\"" name "\":true") - 1)
#define NUMBER(o, v, name) put_number(o, v, "\"" name "\":", sizeof("\"" name "\":") - 1)
#define TEXT(o, v, name) put_text(o, v, "\"" name "\":", sizeof("\"" name "\":") - 1)
#define RAW(o, v, name) put_raw(o, v, "\"" name "\":", sizeof("\"" name "\":") - 1)

static void put_key(struct cast_out *o, struct weft_span key)
{
    cast_out_comma(o);
    cast_out_string(o, key);
    cast_out_char(o, ':');
}

void cast_put_client_info(struct cast_out *o, const struct cast_client_info *info)
{
    CAST_OUT_LIT(o, "{\"user\":");
    cast_out_string(o, info->user);
    CAST_OUT_LIT(o, ",\"client\":");
    cast_out_string(o, info->client);
    RAW(o, info->conn_info, "conn_info");
    RAW(o, info->chan_info, "chan_info");
    cast_out_char(o, '}');
}

static void put_tags(struct cast_out *o, const struct cast_pair *tags, size_t count)
{
    if (count == 0)
        return;
    CAST_OUT_KEY(o, "tags");
    cast_out_char(o, '{');
    for (size_t i = 0; i < count; i++) {
        put_key(o, tags[i].key);
        cast_out_string(o, tags[i].value);
    }
    cast_out_char(o, '}');
}

static void put_publication(struct cast_out *o, const struct cast_publication *p, bool to_client)
{
    cast_out_char(o, '{');
    RAW(o, p->data, "data");
    if (p->info) {
        CAST_OUT_KEY(o, "info");
        cast_put_client_info(o, p->info);
    }
    NUMBER(o, p->offset, "offset");
    put_tags(o, p->tags, p->tag_count);
    FLAG(o, p->delta, "delta");
    if (to_client) {
        TEXT(o, p->epoch, "epoch");
        NUMBER(o, p->version, "version");
    }
    cast_out_char(o, '}');
}

static void put_publications(
    struct cast_out *o, const struct cast_publication *list, size_t count, bool to_client)
{
    cast_out_char(o, '[');
    for (size_t i = 0; i < count; i++) {
        cast_out_comma(o);
        put_publication(o, &list[i], to_client);
    }
    cast_out_char(o, ']');
}

static void put_subscribe_result(struct cast_out *o, const struct cast_subscribe_result *r)
{
    cast_out_char(o, '{');
    FLAG(o, r->expires, "expires");
    NUMBER(o, r->ttl_s, "ttl");
    FLAG(o, r->recoverable, "recoverable");
    TEXT(o, r->epoch, "epoch");
    if (r->publication_count) {
        CAST_OUT_KEY(o, "publications");
        put_publications(o, r->publications, r->publication_count, true);
    }
    FLAG(o, r->recovered, "recovered");
    NUMBER(o, r->offset, "offset");
    FLAG(o, r->positioned, "positioned");
    RAW(o, r->data, "data");
    FLAG(o, r->was_recovering, "was_recovering");
    FLAG(o, r->delta, "delta");
    cast_out_char(o, '}');
}

static void put_subs(struct cast_out *o, const struct cast_sub_result *subs, size_t count)
{
    if (count == 0)
        return;
    CAST_OUT_KEY(o, "subs");
    cast_out_char(o, '{');
    for (size_t i = 0; i < count; i++) {
        put_key(o, subs[i].channel);
        put_subscribe_result(o, &subs[i].result);
    }
    cast_out_char(o, '}');
}

/* The fields of a connect result from `ping` on, the same in reply and push. */
static void put_connect_tail(struct cast_out *o, const struct cast_connect_result *r)
{
    NUMBER(o, r->ping_s, "ping");
    FLAG(o, r->pong, "pong");
    TEXT(o, r->session, "session");
    TEXT(o, r->node, "node");
    if (r->time_ms) {
        CAST_OUT_KEY(o, "time");
        cast_out_i64(o, r->time_ms);
    }
    cast_out_char(o, '}');
}

static void put_connect_result(struct cast_out *o, const struct cast_connect_result *r)
{
    cast_out_char(o, '{');
    TEXT(o, r->client, "client");
    TEXT(o, r->version, "version");
    FLAG(o, r->expires, "expires");
    NUMBER(o, r->ttl_s, "ttl");
    RAW(o, r->data, "data");
    put_subs(o, r->subs, r->sub_count);
    put_connect_tail(o, r);
}

static void put_refresh_result(struct cast_out *o, const struct cast_refresh_result *r)
{
    cast_out_char(o, '{');
    FLAG(o, r->expires, "expires");
    NUMBER(o, r->ttl_s, "ttl");
    cast_out_char(o, '}');
}

void cast_put_presence(struct cast_out *o, const struct cast_client_info *infos, size_t count)
{
    CAST_OUT_LIT(o, "{\"presence\":{");
    for (size_t i = 0; i < count; i++) {
        put_key(o, infos[i].client);
        cast_put_client_info(o, &infos[i]);
    }
    CAST_OUT_LIT(o, "}}");
}

void cast_put_presence_stats(struct cast_out *o, const struct cast_presence_stats *r)
{
    CAST_OUT_LIT(o, "{\"num_clients\":");
    cast_out_u64(o, r->num_clients);
    CAST_OUT_LIT(o, ",\"num_users\":");
    cast_out_u64(o, r->num_users);
    cast_out_char(o, '}');
}

void cast_put_history(struct cast_out *o, const struct cast_history_result *r, bool to_client)
{
    CAST_OUT_LIT(o, "{\"publications\":");
    put_publications(o, r->publications, r->count, to_client);
    CAST_OUT_LIT(o, ",\"epoch\":");
    cast_out_string(o, r->epoch);
    CAST_OUT_LIT(o, ",\"offset\":");
    cast_out_u64(o, r->offset);
    cast_out_char(o, '}');
}

static void reply_open(struct cast_out *o, uint32_t id, enum cast_method m)
{
    cast_out_char(o, '{');
    NUMBER(o, id, "id");
    cast_out_comma(o);
    cast_out_char(o, '"');
    cast_out_put(o, weft_span_of(cast_method_name(m)));
    CAST_OUT_LIT(o, "\":");
}
static void reply_close(struct cast_out *o)
{
    cast_out_char(o, '}');
}

void cast_reply_connect(struct cast_out *o, uint32_t id, const struct cast_connect_result *r)
{
    reply_open(o, id, CAST_METHOD_CONNECT);
    put_connect_result(o, r);
    reply_close(o);
}
void cast_reply_subscribe(struct cast_out *o, uint32_t id, const struct cast_subscribe_result *r)
{
    reply_open(o, id, CAST_METHOD_SUBSCRIBE);
    put_subscribe_result(o, r);
    reply_close(o);
}
void cast_reply_empty(struct cast_out *o, uint32_t id, enum cast_method method)
{
    reply_open(o, id, method);
    CAST_OUT_LIT(o, "{}");
    reply_close(o);
}
void cast_reply_presence(
    struct cast_out *o, uint32_t id, const struct cast_client_info *infos, size_t count)
{
    reply_open(o, id, CAST_METHOD_PRESENCE);
    cast_put_presence(o, infos, count);
    reply_close(o);
}
void cast_reply_presence_stats(struct cast_out *o, uint32_t id, const struct cast_presence_stats *r)
{
    reply_open(o, id, CAST_METHOD_PRESENCE_STATS);
    cast_put_presence_stats(o, r);
    reply_close(o);
}
void cast_reply_history(struct cast_out *o, uint32_t id, const struct cast_history_result *r)
{
    reply_open(o, id, CAST_METHOD_HISTORY);
    cast_put_history(o, r, true);
    reply_close(o);
}
void cast_reply_rpc(struct cast_out *o, uint32_t id, struct weft_span data)
{
    reply_open(o, id, CAST_METHOD_RPC);
    cast_out_char(o, '{');
    RAW(o, data, "data");
    cast_out_char(o, '}');
    reply_close(o);
}
void cast_reply_refresh(struct cast_out *o, uint32_t id, const struct cast_refresh_result *r)
{
    reply_open(o, id, CAST_METHOD_REFRESH);
    put_refresh_result(o, r);
    reply_close(o);
}
void cast_reply_sub_refresh(struct cast_out *o, uint32_t id, const struct cast_refresh_result *r)
{
    reply_open(o, id, CAST_METHOD_SUB_REFRESH);
    put_refresh_result(o, r);
    reply_close(o);
}
void cast_reply_error(struct cast_out *o, uint32_t id, const struct cast_error *e)
{
    cast_out_char(o, '{');
    NUMBER(o, id, "id");
    CAST_OUT_KEY(o, "error");
    cast_out_char(o, '{');
    NUMBER(o, e->code, "code");
    TEXT(o, e->message, "message");
    FLAG(o, e->temporary, "temporary");
    CAST_OUT_LIT(o, "}}");
}
void cast_reply_ping(struct cast_out *o)
{
    CAST_OUT_LIT(o, "{}");
}

static void push_open(struct cast_out *o, struct weft_span channel)
{
    CAST_OUT_LIT(o, "{\"push\":{");
    TEXT(o, channel, "channel");
}
static void push_close(struct cast_out *o)
{
    CAST_OUT_LIT(o, "}}");
}

void cast_push_publication(
    struct cast_out *o, struct weft_span channel, const struct cast_publication *p)
{
    push_open(o, channel);
    CAST_OUT_KEY(o, "pub");
    put_publication(o, p, true);
    push_close(o);
}
void cast_push_join(
    struct cast_out *o, struct weft_span channel, const struct cast_client_info *info)
{
    push_open(o, channel);
    CAST_OUT_KEY(o, "join");
    CAST_OUT_LIT(o, "{\"info\":");
    cast_put_client_info(o, info);
    cast_out_char(o, '}');
    push_close(o);
}
void cast_push_leave(
    struct cast_out *o, struct weft_span channel, const struct cast_client_info *info)
{
    push_open(o, channel);
    CAST_OUT_KEY(o, "leave");
    CAST_OUT_LIT(o, "{\"info\":");
    cast_put_client_info(o, info);
    cast_out_char(o, '}');
    push_close(o);
}
void cast_push_unsubscribe(
    struct cast_out *o, struct weft_span channel, uint32_t code, struct weft_span reason)
{
    push_open(o, channel);
    CAST_OUT_KEY(o, "unsubscribe");
    cast_out_char(o, '{');
    NUMBER(o, code, "code");
    TEXT(o, reason, "reason");
    cast_out_char(o, '}');
    push_close(o);
}
void cast_push_subscribe(
    struct cast_out *o, struct weft_span channel, const struct cast_subscribe_result *r)
{
    push_open(o, channel);
    CAST_OUT_KEY(o, "subscribe");
    cast_out_char(o, '{');
    FLAG(o, r->recoverable, "recoverable");
    TEXT(o, r->epoch, "epoch");
    NUMBER(o, r->offset, "offset");
    FLAG(o, r->positioned, "positioned");
    RAW(o, r->data, "data");
    cast_out_char(o, '}');
    push_close(o);
}
void cast_push_message(struct cast_out *o, struct weft_span data)
{
    push_open(o, (struct weft_span){"", 0});
    CAST_OUT_KEY(o, "message");
    cast_out_char(o, '{');
    RAW(o, data, "data");
    cast_out_char(o, '}');
    push_close(o);
}
void cast_push_connect(struct cast_out *o, const struct cast_connect_result *r)
{
    push_open(o, (struct weft_span){"", 0});
    CAST_OUT_KEY(o, "connect");
    cast_out_char(o, '{');
    TEXT(o, r->client, "client");
    TEXT(o, r->version, "version");
    RAW(o, r->data, "data");
    put_subs(o, r->subs, r->sub_count);
    FLAG(o, r->expires, "expires");
    NUMBER(o, r->ttl_s, "ttl");
    put_connect_tail(o, r);
    push_close(o);
}
void cast_push_disconnect(struct cast_out *o, const struct cast_disconnect *d)
{
    push_open(o, (struct weft_span){"", 0});
    CAST_OUT_KEY(o, "disconnect");
    cast_out_char(o, '{');
    NUMBER(o, d->code, "code");
    TEXT(o, d->reason, "reason");
    cast_out_char(o, '}');
    push_close(o);
}
void cast_push_refresh(struct cast_out *o, const struct cast_refresh_result *r)
{
    push_open(o, (struct weft_span){"", 0});
    CAST_OUT_KEY(o, "refresh");
    put_refresh_result(o, r);
    push_close(o);
}
