// SPDX-License-Identifier: Apache-2.0
/*
 * command.h - commands of the client protocol, decoded from JSON.
 *
 * One WebSocket message holds one or several commands, one after the other, usually separated by a
 * line feed:
 *
 *     {"id":2,"subscribe":{"channel":"a"}}\n{"id":3,"publish":{"channel":"a","data":{"x":1}}}
 *
 * Each is an object with an id and one key that names the method. A command with several methods is
 * taken for the first in the order of enum cast_method. `{}` is the answer to a ping.
 *
 * Every span points into the message or into the reader's scratch; copy what outlives the call.
 * Decoding a usual command allocates nothing. Pure functions: any thread, no shared state.
 */
#ifndef CAST_PROTOCOL_COMMAND_H
#define CAST_PROTOCOL_COMMAND_H
#include "protocol/json.h"

/** The methods, in the order in which they win when a command names several. */
enum cast_method {
    CAST_METHOD_CONNECT,
    CAST_METHOD_PING,
    CAST_METHOD_SUBSCRIBE,
    CAST_METHOD_UNSUBSCRIBE,
    CAST_METHOD_PUBLISH,
    CAST_METHOD_PRESENCE,
    CAST_METHOD_PRESENCE_STATS,
    CAST_METHOD_HISTORY,
    CAST_METHOD_RPC,
    CAST_METHOD_SEND,
    CAST_METHOD_REFRESH,
    CAST_METHOD_SUB_REFRESH,
    CAST_METHOD_NONE, // no known method: a pong when the id is 0 too, else a bad request
};

struct cast_subscribe {
    struct weft_span channel, token, epoch, data, delta, cursor;
    struct weft_span tf; // raw: the tags filter, an object
    uint64_t offset;
    int64_t flag;
    int32_t type, phase, limit;
    bool recover, positioned, recoverable, join_leave, asc;
};
/** One entry of connect's subs: a channel and what a subscribe command would say. */
struct cast_connect_sub {
    struct weft_span channel;
    struct cast_subscribe request;
};
struct cast_connect {
    struct weft_span token, data, name, version;
    struct cast_connect_sub *subs;
    size_t sub_count, sub_room;
    struct cast_pairs headers;
    int64_t flag;
};
struct cast_channel_ref { // unsubscribe, presence, presence_stats
    struct weft_span channel;
};
struct cast_publish {
    struct weft_span channel, data, key;
    int32_t type;
    bool removed;
};
struct cast_position {
    uint64_t offset;
    struct weft_span epoch;
};
struct cast_history {
    struct weft_span channel;
    struct cast_position since;
    int32_t limit;
    bool has_since, reverse;
};
struct cast_rpc {
    struct weft_span method, data;
};
struct cast_send {
    struct weft_span data;
};
struct cast_refresh {
    struct weft_span token;
};
struct cast_sub_refresh {
    struct weft_span channel, token;
    int32_t type;
};

struct cast_command {
    uint32_t id;
    enum cast_method method;
    union {
        struct cast_connect connect;
        struct cast_subscribe subscribe;
        struct cast_channel_ref unsubscribe, presence, presence_stats;
        struct cast_publish publish;
        struct cast_history history;
        struct cast_rpc rpc;
        struct cast_send send;
        struct cast_refresh refresh;
        struct cast_sub_refresh sub_refresh;
    };
};

/** Is this the answer to a ping? (No id and no message: what else it says is not looked at.) */
static inline bool cast_command_is_pong(const struct cast_command *c)
{
    return c->id == 0 && c->method != CAST_METHOD_SEND;
}

/** The name of a method as in the protocol, for metrics and logs; "" for CAST_METHOD_NONE. */
const char *cast_method_name(enum cast_method m);

/**
 * cast_command_next - decode the next command of a message.
 * @j:       reader over the message (cast_json_init), with its scratch.
 * @ret_cmd: the command; contents undefined unless 1 is returned.
 *
 * Returns 1 a command, 0 the message is used up.
 *   -EBADMSG not JSON or a wrong type (close with bad request); -ENOMEM.
 * A message without any command is a bad request: the caller sees 0 at the first call.
 * The caller may reset the scratch between two calls.
 */
int cast_command_next(struct cast_json *j, struct cast_command *ret_cmd);

/**
 * cast_connect_decode - a bare connect request, as unidirectional transports send it.
 * Returns 0, or an error as above; text after the object is an error.
 */
int cast_connect_decode(
    struct weft_span text, struct cast_scratch *scratch, struct cast_connect *ret);

/**
 * cast_payload_line - a payload as it may stand in a line of the protocol.
 * @data: valid JSON. Line feeds between its tokens are taken out (they end a line); all other bytes
 *        pass as they are. A payload without line feeds is returned as it is, without a copy.
 * Returns 0, or -ENOMEM.
 */
int cast_payload_line(struct weft_span data, struct cast_scratch *scratch, struct weft_span *ret);
#endif
