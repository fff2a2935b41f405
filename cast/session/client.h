// SPDX-License-Identifier: Apache-2.0
/*
 * client.h - one client of the protocol: its state, its subscriptions, its timers.
 *
 *                 connect                  reply                    any end
 *     NEW ──────────────────▶ CONNECTING ─────────▶ CONNECTED ──────────────▶ CLOSED
 *      │                          │   (server-side subscriptions, limits)       ▲
 *      └── stale, bad request ────┴──────────────────────────────────────────────┘
 *
 * A client belongs to its shard for life and is fed whole messages by its transport (server/peer).
 * Commands run one after the other: while one waits for another shard, the rest of the message is
 * kept and the transport is asked to wait (client_busy). One exception makes publishing fast:
 * publishes to one home follow each other without waiting, as their answers come in order.
 *
 * Life: the transport holds the client until client_gone or client_disconnect; ops under way hold
 * it too. A CLOSED client has no sink, no subscriptions and no timer; its memory goes with the last
 * holder.
 *
 * Memory of a connected idle client: this struct, struct cinfo with user and ids, and a struct csub
 * a subscription; no buffers. tests/unit/cast/test_core_topic.c holds it to its budget.
 *
 * All on the client's shard.
 */
#ifndef CAST_CLIENT_H
#define CAST_CLIENT_H
#include "session/ops.h"
#include "session/shard.h"

enum client_state { CLIENT_NEW, CLIENT_CONNECTING, CLIENT_CONNECTED, CLIENT_CLOSED };

struct user; /* of a shard: its clients; users.c */

struct client {
    struct shard *shard;
    struct sink *sink;   /* NULL once CLOSED */
    struct cinfo *cinfo; /* NULL while NEW */
    struct user *user;   /* while CONNECTED */
    struct client *user_next, **user_at;
    weft_loop_timer timer;                                  /* the earliest of the times below */
    int64_t stale_ms, ping_ms, pong_ms, expire_ms, tick_ms; /* loop time; 0: off */
    int64_t expire_at_s; /* of the connection's token; 0: never */
    int64_t checked_ms;  /* positions were last checked */
    char *rest;          /* commands that wait, or NULL */
    uint32_t rest_bytes;
    uint32_t refs;
    uint32_t inflight;       /* ops of commands under way */
    uint32_t inflight_home;  /* where they are */
    struct table *index;     /* of its subscriptions by channel, once there are many */
    uint8_t state;           /* enum client_state */
    bool running;            /* inside the command loop */
    bool inflight_publishes; /* all that is in flight are publishes */
    bool frame_pings;        /* pings are WebSocket frames (cf_ws_frame_ping_pong) */
    bool counted;            /* in user_counts */
    char *header_user;       /* of client.user_id_http_header, or NULL */
};

/** A subscription. Travels to the channel's home as a message when it ends. */
struct csub {
    struct sub sub; /* first */
    weft_loop_msg msg;
    struct cinfo *cinfo; /* while it travels */
    int64_t expire_at_s;
    uint32_t generation; /* of the stream, for positioned ones */
    uint8_t flavour;
    bool server_side, from_token, positioned, recoverable, presence, join_leave;
    struct weft_span chan_info; /* behind the struct, or absent */
};

/** What a transport must know of a new connection. All borrowed for the call. */
struct client_origin {
    struct weft_span header_user; /* value of client.user_id_http_header, or absent */
    bool frame_pings;
};
/** A NEW client on this sink; one reference, the transport's. NULL without memory. */
struct client *client_new(struct shard *s, struct sink *sink, const struct client_origin *origin);
void client_unref(struct client *c);
static inline struct client *client_ref(struct client *c)
{
    c->refs++;
    return c;
}

/** One message from the client; text is borrowed and may be changed. Not while client_busy. */
void client_message(struct client *c, struct weft_span text);
/** Whether messages must wait. resume_transport tells when not any more. */
static inline bool client_busy(const struct client *c)
{
    return c->rest != NULL;
}
/** A WebSocket pong has come (frame_pings). */
void client_pong_frame(struct client *c);
/** Ends the connection with a reason; the transport closes it. Nothing if CLOSED. */
void client_disconnect(struct client *c, const struct cast_disconnect *d);
void client_disconnect_code(struct client *c, uint32_t code);
/** The transport is gone. Nothing if CLOSED. */
void client_gone(struct client *c);

/** How many subscriptions the client has. */
static inline uint32_t client_sub_count(const struct client *c)
{
    return c->sink ? c->sink->sub_count : 0;
}
/** Sees to the index after a subscription has come (0 or -ENOMEM), and before one goes. */
int client_index_add(struct client *c, struct csub *cs);
void client_index_remove(struct client *c, struct csub *cs);
/** The client's subscription to a channel, or NULL. */
struct csub *client_sub(const struct client *c, struct weft_span channel);
static inline struct weft_span csub_channel(const struct csub *cs)
{
    return (struct weft_span){cs->sub.outlet->channel.name, cs->sub.outlet->channel.bytes};
}

static inline struct client *client_of_sink(const struct sink *s)
{
    return s->owner;
}

/** Callback of the home: positioned subs of the outlet that are of an older generation are told. */
void client_generation(struct outlet *o, uint32_t generation);

/* ---- for the rest of this room ---- */

/** Gives the line in shard->out to the client. */
void client_line(struct client *c);
/** An error reply to command id. */
void client_error(struct client *c, uint32_t id, uint32_t code);
/** The client has passed connect: its timers and its place among its user's clients. 0 or -ENOMEM.
 */
int client_connected(struct client *c);
/** Sets when the connection expires (unix seconds, 0: never). */
void client_set_expiry(struct client *c, int64_t expire_at_s);
/** Sees to the tick of its subscriptions. */
void client_schedule_tick(struct client *c);
/** An op of a command has ended: the rest of its commands may run. Gives up the op's reference. */
void client_op_ended(struct client *c);
/** Runs the commands of a message (dispatch.c). */
void client_run(struct client *c, struct weft_span text);

/* ---- users (users.c) ---- */

struct user {
    struct tkey key;
    struct client *clients; /* newest first */
    uint32_t count;
    char name[];
};
struct user *user_find(const struct shard *s, struct weft_span name);
/** Returns 0 or -ENOMEM. */
int user_add_client(struct client *c);
void user_remove_client(struct client *c);
void user_counts_fini(struct shard *s);
/** Counts a connection of the client's user at the user's home, within the limit. `then` gets
 * op->rc 0 or -EUSERS. Returns 0 or -ENOMEM. */
int op_user_count(const struct asker *by, struct weft_span user, int64_t limit);
/** Takes one back. */
void user_uncount(struct shard *s, struct weft_span user);

/* ---- what API requests do to the clients of one shard (userops.c) ---- */

struct who {
    struct weft_span user, client; /* client "" is all of the user's */
};
void userop_unsubscribe(struct shard *s, const struct who *who, struct weft_span channel);
void userop_disconnect(struct shard *s, const struct who *who, const struct cast_spans *keep,
    const struct cast_disconnect *d);
void userop_refresh(struct shard *s, const struct who *who, bool expired, int64_t expire_at_s);
#endif
