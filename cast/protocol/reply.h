// SPDX-License-Identifier: Apache-2.0
/*
 * reply.h - replies and pushes of the client protocol, encoded as JSON.
 *
 * Each function appends one object, without a line feed: the caller puts one between two objects of
 * a message. Fields stand in the order of Centrifugo's encoders and zero values are left out, but
 * for those that it prints always (user and client of a ClientInfo, the history result, the
 * presence result, presence numbers). Data, infos and tags pass as given: raw spans must be valid
 * JSON without line feeds (cast_payload_line).
 *
 * cast_push_publication gives the whole line that every subscriber of a channel gets: encode once,
 * frame once, send to all.
 *
 * Pure functions over the buffer; errors stick in it (outbuf.h).
 */
#ifndef CAST_PROTOCOL_REPLY_H
#define CAST_PROTOCOL_REPLY_H
#include "protocol/codes.h"
#include "protocol/command.h"
#include "protocol/outbuf.h"

/** Who did it: stands in publications, join, leave and presence. */
struct cast_client_info {
    struct weft_span user, client;
    struct weft_span conn_info, chan_info; // raw; absent = left out
};

struct cast_publication {
    struct weft_span data;               // raw; empty = left out
    const struct cast_client_info *info; // NULL = left out
    uint64_t offset;
    const struct cast_pair *tags;
    size_t tag_count;
    bool delta;
    struct weft_span epoch; // only the publication with offset 1 carries it, to clients
    uint64_t version;       // as the publisher gave it; to clients
};

struct cast_subscribe_result {
    bool expires, recoverable, recovered, positioned, was_recovering, delta;
    uint32_t ttl_s;
    struct weft_span epoch;
    const struct cast_publication *publications;
    size_t publication_count;
    uint64_t offset;
    struct weft_span data; // raw
};

/** One server-side subscription in a connect reply. */
struct cast_sub_result {
    struct weft_span channel;
    struct cast_subscribe_result result;
};

struct cast_connect_result {
    struct weft_span client, version;
    bool expires, pong;
    uint32_t ttl_s, ping_s;
    struct weft_span data; // raw
    const struct cast_sub_result *subs;
    size_t sub_count;
    struct weft_span session, node;
    int64_t time_ms;
};

struct cast_refresh_result { // refresh, sub_refresh and the refresh push
    bool expires;
    uint32_t ttl_s;
};

struct cast_history_result {
    const struct cast_publication *publications;
    size_t count;
    struct weft_span epoch;
    uint64_t offset;
};

struct cast_presence_stats {
    uint32_t num_clients, num_users;
};

/* Replies: {"id":N,"<method>":{...}} */
void cast_reply_connect(struct cast_out *o, uint32_t id, const struct cast_connect_result *r);
void cast_reply_subscribe(struct cast_out *o, uint32_t id, const struct cast_subscribe_result *r);
/** The methods whose result is an empty object: unsubscribe, publish, ping, rpc without data. */
void cast_reply_empty(struct cast_out *o, uint32_t id, enum cast_method method);
/** presence: count infos, each under its client id. */
void cast_reply_presence(
    struct cast_out *o, uint32_t id, const struct cast_client_info *infos, size_t count);
void cast_reply_presence_stats(
    struct cast_out *o, uint32_t id, const struct cast_presence_stats *r);
void cast_reply_history(struct cast_out *o, uint32_t id, const struct cast_history_result *r);
void cast_reply_rpc(struct cast_out *o, uint32_t id, struct weft_span data);
void cast_reply_refresh(struct cast_out *o, uint32_t id, const struct cast_refresh_result *r);
void cast_reply_sub_refresh(struct cast_out *o, uint32_t id, const struct cast_refresh_result *r);
void cast_reply_error(struct cast_out *o, uint32_t id, const struct cast_error *e);
/** The server's ping: {} */
void cast_reply_ping(struct cast_out *o);

/* Pushes: {"push":{"channel":"...","<kind>":{...}}}; an empty channel is left out. */
void cast_push_publication(
    struct cast_out *o, struct weft_span channel, const struct cast_publication *p);
void cast_push_join(
    struct cast_out *o, struct weft_span channel, const struct cast_client_info *info);
void cast_push_leave(
    struct cast_out *o, struct weft_span channel, const struct cast_client_info *info);
/** code and its text (cast_unsubscribe_reason); channel empty = from all channels. */
void cast_push_unsubscribe(
    struct cast_out *o, struct weft_span channel, uint32_t code, struct weft_span reason);
/** Uses recoverable, epoch, offset, positioned and data of r. */
void cast_push_subscribe(
    struct cast_out *o, struct weft_span channel, const struct cast_subscribe_result *r);
void cast_push_message(struct cast_out *o, struct weft_span data);
void cast_push_connect(struct cast_out *o, const struct cast_connect_result *r);
void cast_push_disconnect(struct cast_out *o, const struct cast_disconnect *d);
void cast_push_refresh(struct cast_out *o, const struct cast_refresh_result *r);

/* Parts that the HTTP API shares. */
void cast_put_client_info(struct cast_out *o, const struct cast_client_info *info);
void cast_put_presence(struct cast_out *o, const struct cast_client_info *infos, size_t count);
void cast_put_presence_stats(struct cast_out *o, const struct cast_presence_stats *r);
/** to_client: publications carry epoch and version (in the HTTP API they do not). */
void cast_put_history(struct cast_out *o, const struct cast_history_result *r, bool to_client);
#endif
