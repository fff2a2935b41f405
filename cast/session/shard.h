// SPDX-License-Identifier: Apache-2.0
/*
 * shard.h - one thread of weftcast with all that is its own, and how it asks other shards.
 *
 *     shard 0                       shard 1
 *     ├ loop, fan                   ├ loop, fan            sockets and passes
 *     ├ users ── clients ── subs    ├ users …              connections, for life
 *     └ home: topics with hash 0    └ home: … hash 1       channels, for life
 *            ▲                          │
 *            └────────── hop ───────────┘                  a question, and its answer
 *
 * Nothing in a shard is locked, as nobody else touches it. What concerns a channel is asked of the
 * channel's home: directly where that is the same shard, else by a HOP, a message that does its
 * work there and comes back. Two hops from one shard to another keep their order, out and back
 * (weft_loop_post is first in, first out for each poster). What concerns all connections (a user's,
 * or everybody's) is a SWEEP: the same work on every shard, and an end when all have done theirs.
 *
 * Who may call what: everything on the shard's own thread, but for post functions that say so.
 */
#ifndef CAST_SHARD_H
#define CAST_SHARD_H
#include "config/config.h"
#include "core/topic.h"
#include "protocol/api.h"
#include "protocol/scratch.h"

#include <weft/version.h>

struct client;

/** Counted on the shard, read there too (a sweep collects them). */
struct shard_counters {
    uint64_t accepted; /* WebSocket connections, ever */
    uint64_t commands[CAST_METHOD_NONE + 1];
    uint64_t reply_errors;
    uint64_t recovered, not_recovered;
    uint64_t messages_in, bytes_in; /* WebSocket messages from clients */
    uint64_t api_commands[CAST_API_BATCH + 1];
    uint64_t api_errors;
    uint64_t connection_limit; /* refused for it */
    uint64_t server_unsubscribes;
};

/** How often the server closed clients with a code; a short list, codes come by use. */
struct code_count {
    uint32_t code;
    uint64_t count;
};
#define SHARD_CODES 64

struct shard {
    weft_loop *loop;
    struct shard *const *all;
    uint32_t count, index;
    struct fan fan;
    struct home home;
    const struct cast_config *cfg; /* a reference; replaced whole on a reload */
    struct table users;
    struct table user_counts; /* home of users: connections of each, with user_connection_limit */
    size_t clients;           /* past connect */
    struct cast_scratch scratch;
    struct cast_out out; /* reply lines are made here */
    struct shard_counters n;
    struct code_count closes[SHARD_CODES];
    uint32_t random; /* of pings' first delay; never 0 */
    bool draining;
    void *owner; /* the server's worker */
    /** The connection is to be told d and closed; the client gives its sink up after the call. */
    void (*close_transport)(struct client *c, const struct cast_disconnect *d);
    /** Commands may be delivered again (client_busy is false). */
    void (*resume_transport)(struct client *c);
    char scratch_room[4096];
};

/** Name and version as clients are told. */
#define CAST_VERSION_TEXT WEFT_VERSION_STRING " weftcast"

struct shard_init {
    weft_loop *loop; /* its data is the shard */
    struct shard *const *all;
    struct fan **fans;
    uint32_t count, index;
    const struct cast_config *cfg;
    void *owner;
    void (*close_transport)(struct client *c, const struct cast_disconnect *d);
    void (*resume_transport)(struct client *c);
    void (*sink_failed)(struct sink *s, enum sink_failure why);
};
void shard_init(struct shard *s, const struct shard_init *with);
void shard_fini(struct shard *s);
/** client.queue_max_size as the fan wants it. */
uint32_t shard_queue_max(const struct cast_config *cfg);
/** Milliseconds of the loop's clock; wall-clock seconds. */
int64_t shard_now_ms(const struct shard *s);
int64_t shard_wall_s(void);
/** The next number of the shard's own random sequence (for spreading, not for secrets). */
uint32_t shard_random(struct shard *s);
void shard_count_close(struct shard *s, uint32_t code);

/* ---- hops ---- */

struct hop {
    weft_loop_msg msg;
    struct shard *from, *to;
    void (*work)(struct hop *h); /* on `to` */
    void (*done)(struct hop *h); /* on `from`; NULL: work frees it */
};
/** Runs the hop: at once where from == to (done has been called when this returns). */
void hop_go(struct hop *h);

/* ---- sweeps ---- */

struct sweep;
/** One shard's part. work may keep it and call sweep_part_done later, on the same shard. */
struct sweep_part {
    weft_loop_msg msg;
    struct sweep *sweep;
    struct shard *shard;
    uint32_t pending; /* of the part itself, for work that goes on */
    void *data;       /* for the work; the sweep's end frees it with free() */
};
struct sweep {
    struct shard *from;
    uint32_t left;
    void (*work)(struct sweep_part *part); /* on each shard */
    void (*done)(struct sweep *s);         /* on `from`; parts and arg are freed after it */
    void *arg;
    void (*free_arg)(void *arg); /* may be NULL */
    uint32_t count;
    struct sweep_part parts[];
};
/** Starts work on every shard. Takes arg also on failure. Returns 0 or -ENOMEM. done may have been
 * called when this returns. */
int sweep_start(struct shard *from, void (*work)(struct sweep_part *part),
    void (*done)(struct sweep *s), void *arg, void (*free_arg)(void *arg));
/** Says that the part's work is over. */
void sweep_part_done(struct sweep_part *part);
#endif
