// SPDX-License-Identifier: Apache-2.0
/*
 * apirequest.c - bodies of the HTTP server API, decoded (api.h).
 *
 * Each method has a table of fields (fields.c). A batch is a list of one-key objects, each filled
 * by the table of its key; a legacy body is a run of {"id","method","params"} whose params are kept
 * raw and decoded as a single body later, because a wrong type there is that command's error 107
 * and not the whole body's 400.
 *
 * What Go's decoder lets pass, passes: unknown fields, null for anything, keys in any case.
 * Base64 is LOOSE (token/b64.h).
 */
#include "protocol/api.h"
#include "protocol/fields.h"
#include "token/b64.h"
#include <errno.h>
#include <limits.h>

/* What both have behind their channel or channels. */
#define PUBLISH_FIELDS                                                                             \
    FIELD(cast_api_publish, data, RAW), FIELD(cast_api_publish, b64data, STRING),                  \
        FIELD(cast_api_publish, skip_history, BOOL), FIELD(cast_api_publish, tags, PAIRS),         \
        FIELD(cast_api_publish, idempotency_key, STRING), FIELD(cast_api_publish, delta, BOOL),    \
        FIELD(cast_api_publish, version, U64), FIELD(cast_api_publish, version_epoch, STRING)
static const struct cast_json_field publish_fields[] = {
    FIELD(cast_api_publish, channel, STRING),
    PUBLISH_FIELDS,
};
static const struct cast_json_field broadcast_fields[] = {
    FIELD(cast_api_publish, channels, SPANS),
    PUBLISH_FIELDS,
};

/* "override":{"presence":{"value":true},...} */
static const struct cast_json_field value_fields[] = {FIELD(cast_api_override, value, BOOL)};
static const struct cast_json_table value_table = TABLE_OF(value_fields);
#define OVERRIDE(option) FIELD_STRUCT(cast_api_subscribe, option, option.given, &value_table)
static const struct cast_json_field override_fields[] = {
    OVERRIDE(presence),
    OVERRIDE(join_leave),
    OVERRIDE(force_recovery),
    OVERRIDE(force_positioning),
    OVERRIDE(force_push_join_leave),
};
static const struct cast_json_table override_table = TABLE_OF(override_fields);

static int read_override(struct cast_json *j, void *base)
{
    return cast_json_struct(j, &override_table, base);
}

static const struct cast_json_field subscribe_fields[] = {
    FIELD(cast_api_subscribe, channel, STRING),
    FIELD(cast_api_subscribe, user, STRING),
    FIELD_AS("expire_at", cast_api_subscribe, expire_at_s, I64),
    FIELD(cast_api_subscribe, info, RAW),
    FIELD(cast_api_subscribe, b64info, STRING),
    FIELD(cast_api_subscribe, client, STRING),
    FIELD(cast_api_subscribe, data, RAW),
    FIELD(cast_api_subscribe, b64data, STRING),
    FIELD_STRUCT(cast_api_subscribe, recover_since, has_recover_since, &cast_position_table),
    FIELD_CALL("override", read_override),
    FIELD(cast_api_subscribe, session, STRING),
};
static const struct cast_json_field unsubscribe_fields[] = {
    FIELD(cast_api_unsubscribe, channel, STRING),
    FIELD(cast_api_unsubscribe, user, STRING),
    FIELD(cast_api_unsubscribe, client, STRING),
    FIELD(cast_api_unsubscribe, session, STRING),
};
static const struct cast_json_field close_fields[] = {
    FIELD(cast_disconnect, code, U32),
    FIELD(cast_disconnect, reason, STRING),
};
static const struct cast_json_table close_table = TABLE_OF(close_fields);
static const struct cast_json_field disconnect_fields[] = {
    FIELD(cast_api_disconnect, user, STRING),
    FIELD_STRUCT(cast_api_disconnect, disconnect, has_disconnect, &close_table),
    FIELD(cast_api_disconnect, client, STRING),
    FIELD(cast_api_disconnect, whitelist, SPANS),
    FIELD(cast_api_disconnect, session, STRING),
};
static const struct cast_json_field refresh_fields[] = {
    FIELD(cast_api_refresh, user, STRING),
    FIELD(cast_api_refresh, client, STRING),
    FIELD(cast_api_refresh, expired, BOOL),
    FIELD_AS("expire_at", cast_api_refresh, expire_at_s, I64),
    FIELD(cast_api_refresh, info, RAW),
    FIELD(cast_api_refresh, session, STRING),
};
static const struct cast_json_field channels_fields[] = {FIELD(cast_api_channels, pattern, STRING)};
static const struct cast_json_field rpc_fields[] = {
    FIELD(cast_api_rpc, method, STRING),
    FIELD(cast_api_rpc, params, RAW),
};

static int read_commands(struct cast_json *j, void *base);
static const struct cast_json_field batch_fields[] = {
    FIELD_CALL("commands", read_commands),
    FIELD(cast_api_batch, parallel, BOOL),
};
static const struct cast_json_table publish_table = TABLE_OF(publish_fields),
                                    broadcast_table = TABLE_OF(broadcast_fields),
                                    subscribe_table = TABLE_OF(subscribe_fields),
                                    unsubscribe_table = TABLE_OF(unsubscribe_fields),
                                    disconnect_table = TABLE_OF(disconnect_fields),
                                    refresh_table = TABLE_OF(refresh_fields),
                                    channels_table = TABLE_OF(channels_fields),
                                    rpc_table = TABLE_OF(rpc_fields),
                                    batch_table = TABLE_OF(batch_fields), no_table = {NULL, 0};

/* The path name, the number in a legacy body (-1: none), the table. */
static const struct method {
    const char *name;
    int legacy;
    const struct cast_json_table *table;
} methods[] = {
    [CAST_API_PUBLISH] = {"publish", 0, &publish_table},
    [CAST_API_BROADCAST] = {"broadcast", 1, &broadcast_table},
    [CAST_API_SUBSCRIBE] = {"subscribe", 11, &subscribe_table},
    [CAST_API_UNSUBSCRIBE] = {"unsubscribe", 2, &unsubscribe_table},
    [CAST_API_DISCONNECT] = {"disconnect", 3, &disconnect_table},
    [CAST_API_REFRESH] = {"refresh", 12, &refresh_table},
    [CAST_API_PRESENCE] = {"presence", 4, &cast_channel_table},
    [CAST_API_PRESENCE_STATS] = {"presence_stats", 5, &cast_channel_table},
    [CAST_API_HISTORY] = {"history", 6, &cast_history_table},
    [CAST_API_HISTORY_REMOVE] = {"history_remove", 7, &cast_channel_table},
    [CAST_API_CHANNELS] = {"channels", 8, &channels_table},
    [CAST_API_INFO] = {"info", 9, &no_table},
    [CAST_API_RPC] = {"rpc", 10, &rpc_table},
    [CAST_API_BATCH] = {"batch", -1, &batch_table},
};

enum cast_api_method cast_api_method_find(struct weft_span name)
{
    for (unsigned m = 0; m < CAST_API_NONE; m++)
        if (weft_span_is(name, methods[m].name))
            return m;
    return CAST_API_NONE;
}

const char *cast_api_method_name(enum cast_api_method m)
{
    return m < CAST_API_NONE ? methods[m].name : "";
}

static enum cast_api_method find_any_case(struct weft_span name)
{
    for (unsigned m = 0; m < CAST_API_NONE; m++)
        if (weft_span_is_nocase(name, methods[m].name))
            return m;
    return CAST_API_NONE;
}

static int read_request(struct cast_json *j, enum cast_api_method m, struct cast_api_request *r)
{
    memset(r, 0, sizeof(*r));
    r->method = m;
    return cast_json_struct(j, methods[m].table, &r->publish); // the union's members begin here
}

/* One command of a batch: the first known key decides; unknown ones are stepped over. */
static int read_command(struct cast_json *j, struct cast_api_request *r)
{
    struct weft_span key;
    memset(r, 0, sizeof(*r));
    r->method = CAST_API_NULL;
    if (cast_json_null(j))
        return 0;
    r->method = CAST_API_NONE;
    int rc = cast_json_object(j);
    while (rc == 0 && (rc = cast_json_key(j, &key)) > 0) {
        enum cast_api_method m = find_any_case(key);
        if (m >= CAST_API_BATCH || r->method != CAST_API_NONE)
            rc = cast_json_raw(j, NULL);
        else if (cast_json_null(j))
            rc = 0;
        else
            rc = read_request(j, m, r);
    }
    return rc;
}

static int read_commands(struct cast_json *j, void *base)
{
    struct cast_api_batch *b = base;
    struct cast_api_request request;
    if (cast_json_null(j))
        return 0;
    int rc = cast_json_array(j);
    b->count = 0;
    while (rc == 0 && (rc = cast_json_item(j)) > 0) {
        rc = read_command(j, &request);
        if (rc == 0)
            rc = cast_json_grow(j, (void **)&b->commands, &b->room, b->count, sizeof(request));
        if (rc == 0)
            b->commands[b->count++] = request;
    }
    return rc;
}

int cast_api_decode(enum cast_api_method method, struct weft_span body,
    struct cast_scratch *scratch, struct cast_api_request *ret)
{
    struct cast_json j;
    if (method >= CAST_API_NONE)
        return -EINVAL;
    cast_json_init(&j, body, scratch);
    int rc = read_request(&j, method, ret);
    return rc < 0 ? rc : cast_json_end(&j);
}

static int base64_decode(struct weft_span in, struct cast_scratch *scratch, struct weft_span *ret)
{
    char *buf = cast_scratch_alloc(scratch, cast_b64_data_bytes(in.len));
    size_t bytes;
    if (!buf)
        return -ENOMEM;
    if (!cast_b64_decode(CAST_B64_LOOSE, in.data, in.len, buf, &bytes))
        return -EBADMSG;
    *ret = (struct weft_span){buf, bytes};
    return 0;
}

int cast_api_payload(struct weft_span data, struct weft_span b64data, struct cast_scratch *scratch,
    struct weft_span *ret_data, bool *ret_json)
{
    struct weft_span bytes = data;
    bool json = true;
    if (b64data.len) {
        int rc = base64_decode(b64data, scratch, &bytes);
        if (rc < 0)
            return rc;
        json = cast_json_valid(bytes);
    }
    *ret_json = json;
    if (json)
        return cast_payload_line(bytes, scratch, ret_data);
    *ret_data = bytes;
    return 0;
}

static enum cast_api_method legacy_method(int64_t number)
{
    for (unsigned m = 0; m < CAST_API_NONE; m++)
        if (methods[m].legacy >= 0 && methods[m].legacy == number)
            return m;
    return CAST_API_NONE;
}

/* "method": a name in any case, or its number. An unknown name fails the body, a number that is
 * nobody's only its command. */
static int read_legacy_method(struct cast_json *j, void *base)
{
    struct cast_api_legacy *c = base;
    struct weft_span name;
    int64_t number;
    if (cast_json_more(j) && *j->at == '"') {
        int rc = cast_json_string(j, &name);
        if (rc < 0)
            return rc;
        c->method = find_any_case(name);
        return c->method >= CAST_API_BATCH ? -EBADMSG : 0;
    }
    int rc = cast_json_i64(j, INT64_MIN, INT64_MAX, &number);
    if (rc == 0)
        c->method = legacy_method(number);
    return rc;
}

static const struct cast_json_field legacy_fields[] = {
    FIELD(cast_api_legacy, id, U32),
    FIELD_CALL("method", read_legacy_method),
    FIELD(cast_api_legacy, params, RAW),
};
static const struct cast_json_table legacy_table = TABLE_OF(legacy_fields);

int cast_api_legacy_next(struct cast_json *j, struct cast_api_legacy *ret)
{
    if (!cast_json_more(j))
        return 0;
    *ret = (struct cast_api_legacy){.method = CAST_API_PUBLISH};
    int rc = cast_json_struct(j, &legacy_table, ret);
    return rc < 0 ? rc : 1;
}
