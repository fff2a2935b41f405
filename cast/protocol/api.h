// SPDX-License-Identifier: Apache-2.0
/*
 * api.h - the HTTP server API: request bodies in, results and errors out.
 *
 * Three shapes around the same requests and results:
 *
 *   SINGLE   POST /api/publish    {fields}                          {"result":{...}} |
 * {"error":{...}} BATCHED  POST /api/batch      {"commands":[{"publish":{...}}]}
 * {"replies":[{"publish":{...}},{"error":{...}}]} LEGACY   POST /api
 * {"id":7,"method":"publish","params":{...}} ...   {"id":7,"result":{...}}\n...
 *
 * The way of a request: cast_api_method_find on the path, cast_api_decode on the body (an error
 * there is HTTP 400 with the text "Bad Request\n"), the work, then
 *
 *     cast_api_open(out, &frame);  cast_api_put_publish(out, &result);  cast_api_close(out,
 * &frame); or  cast_api_error(out, &frame, cast_api_error_find(CAST_ERR_UNKNOWN_CHANNEL));
 *
 * Pure functions; spans point into the body or the scratch.
 */
#ifndef CAST_PROTOCOL_API_H
#define CAST_PROTOCOL_API_H
#include "protocol/command.h"
#include "protocol/reply.h"

enum cast_api_method {
    CAST_API_PUBLISH,
    CAST_API_BROADCAST,
    CAST_API_SUBSCRIBE,
    CAST_API_UNSUBSCRIBE,
    CAST_API_DISCONNECT,
    CAST_API_REFRESH,
    CAST_API_PRESENCE,
    CAST_API_PRESENCE_STATS,
    CAST_API_HISTORY,
    CAST_API_HISTORY_REMOVE,
    CAST_API_CHANNELS,
    CAST_API_INFO,
    CAST_API_RPC,
    CAST_API_BATCH,
    CAST_API_NONE, // in a batch: an empty or unknown command (error 104)
    CAST_API_NULL, // in a batch: null instead of a command (error 107)
};

struct cast_api_publish { // publish and broadcast
    struct weft_span channel;
    struct cast_spans channels; // broadcast
    struct weft_span data, b64data, idempotency_key, version_epoch;
    struct cast_pairs tags;
    uint64_t version;
    bool skip_history, delta;
};
/** An option that a subscribe request may override: given or not, and how. */
struct cast_api_override {
    bool given, value;
};
struct cast_api_subscribe {
    struct weft_span channel, user, client, session;
    struct weft_span data, b64data, info, b64info;
    int64_t expire_at_s;
    struct cast_position recover_since;
    bool has_recover_since;
    struct cast_api_override presence, join_leave, force_recovery, force_positioning,
        force_push_join_leave;
};
struct cast_api_unsubscribe {
    struct weft_span channel, user, client, session;
};
struct cast_api_disconnect {
    struct weft_span user, client, session;
    struct cast_spans whitelist; // client ids to keep
    bool has_disconnect;
    struct cast_disconnect disconnect;
};
struct cast_api_refresh {
    struct weft_span user, client, session, info;
    int64_t expire_at_s;
    bool expired;
};
struct cast_api_channels {
    struct weft_span pattern;
};
struct cast_api_rpc {
    struct weft_span method, params;
};
struct cast_api_request;
struct cast_api_batch {
    struct cast_api_request *commands;
    size_t count, room;
    bool parallel;
};

struct cast_api_request {
    enum cast_api_method method;
    union {
        struct cast_api_publish publish; // also broadcast
        struct cast_api_subscribe subscribe;
        struct cast_api_unsubscribe unsubscribe;
        struct cast_api_disconnect disconnect;
        struct cast_api_refresh refresh;
        struct cast_channel_ref channel; // presence, presence_stats, history_remove
        struct cast_history history;
        struct cast_api_channels channels;
        struct cast_api_rpc rpc;
        struct cast_api_batch batch;
    };
};

/** cast_api_method_find - the method with this path name ("presence_stats"), CAST_API_NONE if none.
 */
enum cast_api_method cast_api_method_find(struct weft_span name);
/** Its name, as in paths and batch replies; "" for NONE and NULL. */
const char *cast_api_method_name(enum cast_api_method m);

/**
 * cast_api_decode - a request body.
 * Returns 0; -EBADMSG empty, not JSON, text behind it, or a wrong type (HTTP 400); -ENOMEM.
 * `null` counts as `{}`. What is required is not checked here: that is error 107, the core's.
 */
int cast_api_decode(enum cast_api_method method, struct weft_span body,
    struct cast_scratch *scratch, struct cast_api_request *ret);

/**
 * cast_api_payload - the payload of publish, broadcast or subscribe: b64data wins over data.
 * @ret_data: raw bytes, without line feeds when they are JSON; absent when neither was given.
 * @ret_json: whether they are valid JSON (data always is; base64 can hold anything).
 * Returns 0; -EBADMSG bad base64 (error 107); -ENOMEM.
 */
int cast_api_payload(struct weft_span data, struct weft_span b64data, struct cast_scratch *scratch,
    struct weft_span *ret_data, bool *ret_json);

/** One command of the legacy body. */
struct cast_api_legacy {
    uint32_t id;
    enum cast_api_method method; // CAST_API_NONE: a number that is no method of ours (error 104)
    struct weft_span params;     // raw; absent or of a wrong type: error 107 from cast_api_decode
};
/**
 * cast_api_legacy_next - the next command of a legacy body.
 * Returns 1, 0 at the end, -EBADMSG (HTTP 400: also for an unknown method name), -ENOMEM.
 */
int cast_api_legacy_next(struct cast_json *j, struct cast_api_legacy *ret);

enum cast_api_shape { CAST_API_SINGLE, CAST_API_BATCHED, CAST_API_LEGACY };
struct cast_api_frame {
    enum cast_api_shape shape;
    enum cast_api_method method; // BATCHED: the key of the reply
    uint32_t id;                 // LEGACY: echoed unless 0
};

/** cast_api_open, cast_api_close - what stands around a result. In a batch, a comma before all but
 * the first; in a legacy answer, a line feed. */
void cast_api_open(struct cast_out *o, const struct cast_api_frame *f);
void cast_api_close(struct cast_out *o, const struct cast_api_frame *f);
/** cast_api_error - a whole reply with an error in that shape. */
void cast_api_error(struct cast_out *o, const struct cast_api_frame *f, const struct cast_error *e);
/** cast_api_error_bare - the body under the error mode "transport": {"code":N,"message":"..."} */
void cast_api_error_bare(struct cast_out *o, const struct cast_error *e);

/** cast_api_batch_open, _close - around the replies of a batch; 0 commands give {}. */
void cast_api_batch_open(struct cast_out *o, size_t count);
void cast_api_batch_close(struct cast_out *o, size_t count);

/* Results, between open and close; offset 0 and an empty epoch are left out of a publish result. */
void cast_api_put_empty(struct cast_out *o);
void cast_api_put_publish(struct cast_out *o, uint64_t offset, struct weft_span epoch);
/** Broadcast: open, then for each channel one of the two, then close. */
void cast_api_broadcast_open(struct cast_out *o);
void cast_api_broadcast_result(struct cast_out *o, uint64_t offset, struct weft_span epoch);
void cast_api_broadcast_error(struct cast_out *o, const struct cast_error *e);
void cast_api_broadcast_close(struct cast_out *o);
void cast_api_put_presence(struct cast_out *o, const struct cast_client_info *infos, size_t count);
void cast_api_put_presence_stats(struct cast_out *o, const struct cast_presence_stats *r);
void cast_api_put_history(struct cast_out *o, const struct cast_history_result *r);
/** Channels with their numbers of clients: open, any number of entries, close. */
void cast_api_channels_open(struct cast_out *o);
void cast_api_channels_entry(struct cast_out *o, struct weft_span channel, uint32_t num_clients);
void cast_api_channels_close(struct cast_out *o);
void cast_api_put_rpc(struct cast_out *o, struct weft_span data);

struct cast_api_metric {
    struct weft_span name;
    double value;
};
struct cast_api_node {
    struct weft_span uid, name, version;
    uint32_t num_clients, num_users, num_channels, num_subs, uptime_s;
    double metrics_interval_s; // 0: no metrics
    const struct cast_api_metric *metrics;
    size_t metric_count;
};
void cast_api_put_info(struct cast_out *o, const struct cast_api_node *nodes, size_t count);
#endif
