// SPDX-License-Identifier: Apache-2.0
/*
 * command.c - commands of the client protocol from JSON (command.h).
 *
 * Each request is a table of fields (fields.c); the command itself is an object walked by hand,
 * because its method key decides which table reads the value. Keys are told apart by their length
 * first: the usual command costs two or three comparisons here.
 *
 * A command that names two methods is taken for the one that comes first in enum cast_method; the
 * other's value is only validated. A method given twice: the last one wins.
 */
#include "protocol/command.h"
#include "protocol/fields.h"
#include <errno.h>
#include <limits.h>
#include <strings.h>

static const struct cast_json_field subscribe_fields[] = {
    FIELD(cast_subscribe, channel, STRING),
    FIELD(cast_subscribe, token, STRING),
    FIELD(cast_subscribe, recover, BOOL),
    FIELD(cast_subscribe, epoch, STRING),
    FIELD(cast_subscribe, offset, U64),
    FIELD(cast_subscribe, data, RAW),
    FIELD(cast_subscribe, positioned, BOOL),
    FIELD(cast_subscribe, recoverable, BOOL),
    FIELD(cast_subscribe, join_leave, BOOL),
    FIELD(cast_subscribe, delta, STRING),
    FIELD(cast_subscribe, tf, RAW),
    FIELD(cast_subscribe, flag, I64),
    FIELD(cast_subscribe, type, I32),
    FIELD(cast_subscribe, phase, I32),
    FIELD(cast_subscribe, cursor, STRING),
    FIELD(cast_subscribe, limit, I32),
    FIELD(cast_subscribe, asc, BOOL),
};
static const struct cast_json_table subscribe_table = TABLE_OF(subscribe_fields);

static int read_subs(struct cast_json *j, void *base)
{
    struct cast_connect *c = base;
    struct weft_span channel;
    if (cast_json_null(j))
        return 0;
    int rc = cast_json_object(j);
    c->sub_count = 0;
    while (rc == 0 && (rc = cast_json_key(j, &channel)) > 0) {
        struct cast_connect_sub sub = {.channel = channel};
        rc = cast_json_struct(j, &subscribe_table, &sub.request);
        if (rc == 0)
            rc = cast_json_grow(j, (void **)&c->subs, &c->sub_room, c->sub_count, sizeof(sub));
        if (rc == 0)
            c->subs[c->sub_count++] = sub;
    }
    return rc;
}

static const struct cast_json_field connect_fields[] = {
    FIELD(cast_connect, token, STRING),
    FIELD(cast_connect, data, RAW),
    FIELD_CALL("subs", read_subs),
    FIELD(cast_connect, name, STRING),
    FIELD(cast_connect, version, STRING),
    FIELD(cast_connect, headers, PAIRS),
    FIELD(cast_connect, flag, I64),
};
static const struct cast_json_field channel_fields[] = {FIELD(cast_channel_ref, channel, STRING)};
static const struct cast_json_field publish_fields[] = {
    FIELD(cast_publish, channel, STRING),
    FIELD(cast_publish, data, RAW),
    FIELD(cast_publish, type, I32),
    FIELD(cast_publish, key, STRING),
    FIELD(cast_publish, removed, BOOL),
};
static const struct cast_json_field position_fields[] = {
    FIELD(cast_position, offset, U64),
    FIELD(cast_position, epoch, STRING),
};
const struct cast_json_table cast_position_table = TABLE_OF(position_fields);
static const struct cast_json_field history_fields[] = {
    FIELD(cast_history, channel, STRING),
    FIELD(cast_history, limit, I32),
    FIELD_STRUCT(cast_history, since, has_since, &cast_position_table),
    FIELD(cast_history, reverse, BOOL),
};
const struct cast_json_table cast_history_table = TABLE_OF(history_fields);
const struct cast_json_table cast_channel_table = TABLE_OF(channel_fields);
static const struct cast_json_field rpc_fields[] = {
    FIELD(cast_rpc, data, RAW),
    FIELD(cast_rpc, method, STRING),
};
static const struct cast_json_field send_fields[] = {FIELD(cast_send, data, RAW)};
static const struct cast_json_field refresh_fields[] = {FIELD(cast_refresh, token, STRING)};
static const struct cast_json_field sub_refresh_fields[] = {
    FIELD(cast_sub_refresh, channel, STRING),
    FIELD(cast_sub_refresh, token, STRING),
    FIELD(cast_sub_refresh, type, I32),
};

#define METHOD(text, member, rows)                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1, sizeof(((struct cast_command *)0)->member), TABLE_OF(rows)         \
    }

static const struct method {
    const char *name;
    size_t name_bytes, request_bytes;
    struct cast_json_table table;
} methods[] = {
    [CAST_METHOD_CONNECT] = METHOD("connect", connect, connect_fields),
    [CAST_METHOD_PING] = {"ping", 4, 0, {NULL, 0}},
    [CAST_METHOD_SUBSCRIBE] = METHOD("subscribe", subscribe, subscribe_fields),
    [CAST_METHOD_UNSUBSCRIBE] = METHOD("unsubscribe", unsubscribe, channel_fields),
    [CAST_METHOD_PUBLISH] = METHOD("publish", publish, publish_fields),
    [CAST_METHOD_PRESENCE] = METHOD("presence", presence, channel_fields),
    [CAST_METHOD_PRESENCE_STATS] = METHOD("presence_stats", presence_stats, channel_fields),
    [CAST_METHOD_HISTORY] = METHOD("history", history, history_fields),
    [CAST_METHOD_RPC] = METHOD("rpc", rpc, rpc_fields),
    [CAST_METHOD_SEND] = METHOD("send", send, send_fields),
    [CAST_METHOD_REFRESH] = METHOD("refresh", refresh, refresh_fields),
    [CAST_METHOD_SUB_REFRESH] = METHOD("sub_refresh", sub_refresh, sub_refresh_fields),
};

const char *cast_method_name(enum cast_method m)
{
    return m < CAST_METHOD_NONE ? methods[m].name : "";
}

static enum cast_method find_method(struct weft_span key)
{
    for (unsigned m = 0; m < CAST_METHOD_NONE; m++)
        if (methods[m].name_bytes == key.len && memcmp(methods[m].name, key.data, key.len) == 0)
            return m;
    for (unsigned m = 0; m < CAST_METHOD_NONE; m++)
        if (methods[m].name_bytes == key.len &&
            strncasecmp(methods[m].name, key.data, key.len) == 0)
            return m;
    return CAST_METHOD_NONE;
}

static int read_method(struct cast_json *j, enum cast_method m, struct cast_command *c)
{
    if (cast_json_null(j))
        return 0;
    if (!cast_json_more(j) || *j->at != '{')
        return -EBADMSG;
    if (m > c->method)
        return cast_json_raw(j, NULL);
    void *request = &c->connect; // all of the union's members begin here
    c->method = m;
    memset(request, 0, methods[m].request_bytes);
    return cast_json_struct(j, &methods[m].table, request);
}

static int read_id(struct cast_json *j, uint32_t *ret)
{
    uint64_t id;
    if (cast_json_null(j))
        return 0;
    int rc = cast_json_u64(j, UINT32_MAX, &id);
    if (rc == 0)
        *ret = (uint32_t)id;
    return rc;
}

int cast_command_next(struct cast_json *j, struct cast_command *ret_cmd)
{
    struct weft_span key;
    if (!cast_json_more(j))
        return 0;
    ret_cmd->id = 0;
    ret_cmd->method = CAST_METHOD_NONE;
    if (cast_json_null(j))
        return 1;
    int rc = cast_json_object(j);
    while (rc == 0 && (rc = cast_json_key(j, &key)) > 0) {
        enum cast_method m = CAST_METHOD_NONE;
        if (key.len == 2 && strncasecmp(key.data, "id", 2) == 0)
            rc = read_id(j, &ret_cmd->id);
        else if ((m = find_method(key)) != CAST_METHOD_NONE)
            rc = read_method(j, m, ret_cmd);
        else
            rc = cast_json_raw(j, NULL);
    }
    return rc < 0 ? rc : 1;
}

int cast_connect_decode(
    struct weft_span text, struct cast_scratch *scratch, struct cast_connect *ret)
{
    struct cast_json j;
    cast_json_init(&j, text, scratch);
    memset(ret, 0, sizeof(*ret));
    int rc = cast_json_struct(&j, &methods[CAST_METHOD_CONNECT].table, ret);
    return rc < 0 ? rc : cast_json_end(&j);
}

int cast_payload_line(struct weft_span data, struct cast_scratch *scratch, struct weft_span *ret)
{
    const char *feed = data.len ? memchr(data.data, '\n', data.len) : NULL;
    if (!feed) {
        *ret = data;
        return 0;
    }
    char *buf = cast_scratch_alloc(scratch, data.len), *q = buf;
    if (!buf)
        return -ENOMEM;
    for (const char *p = data.data, *end = p + data.len; p < end; p++)
        if (*p != '\n')
            *q++ = *p;
    *ret = (struct weft_span){buf, (size_t)(q - buf)};
    return 0;
}
