// SPDX-License-Identifier: Apache-2.0
/*
 * subs.h - making, keeping and ending subscriptions of a client.
 *
 * A subscription begins as a WANT (what the namespace, the request and a token say together), goes
 * to the channel's home, and comes back with an outlet, a cursor and a stream position. It ends by
 * leaving its outlet at once, on its own shard, and then travelling to the home as a message, so
 * that ending one never needs memory.
 */
#ifndef CAST_SUBS_H
#define CAST_SUBS_H
#include "protocol/api.h"
#include "session/client.h"
#include "token/token.h"

struct sub_want {
    struct weft_span channel;
    const struct cast_channel_options *options;
    bool positioned, recoverable;
    bool presence, join_leave; /* to be kept; to be told to others */
    bool join_push;            /* wants to be told of others */
    bool server_side, from_token;
    int64_t expire_at_s;
    struct weft_span chan_info, data;
    bool recover;
    uint64_t offset;
    struct weft_span epoch;
};
/** What a subscriber of the channel may see, asked or not. */
struct sub_sees {
    bool presence, history;
};
/** What the namespace says, and the request where there is one (req may be NULL): a subscriber that
 * may read presence can ask for join and leave, one that may read history for a position. */
void want_init(struct sub_want *w, struct weft_span channel, const struct cast_channel_options *o,
    const struct cast_subscribe *req, struct sub_sees sees);
/** What a token says on top. */
void want_token(struct sub_want *w, const struct cast_token_sub *t);
/** What an API request says on top. */
void want_override(struct sub_want *w, const struct cast_api_subscribe *r);

struct sub_op {
    struct op op;
    struct client *client; /* a reference */
    struct csub *csub;     /* becomes the client's with sub_op_attach */
    struct subscribe ask;
    struct subscribed got;
    struct weft_span data;
    bool was_recovering, kept, then_running, freed;
    char bytes[];
};
/** Asks the home; `then` calls sub_op_attach, or else the subscription is undone after it. Returns
 * 0 or -ENOMEM. */
int op_subscribe(const struct asker *by, struct client *c, const struct sub_want *w);
/** Puts the new subscription under the client. Returns 0, -EEXIST (it has one to this channel:
 * undone), -ECONNRESET (the client is closed: undone), or what the home said. */
int sub_op_attach(struct sub_op *op);
/** Keeps an answer beyond `then`: it is the caller's, who ends it with sub_op_free (which undoes
 * the subscription if it was not attached). */
struct sub_op *sub_op_keep(struct sub_op *op);
void sub_op_free(struct sub_op *op);
/** Fills a subscribe result for a reply or push; memory from the shard's scratch. */
int sub_op_result(const struct sub_op *op, struct cast_subscribe_result *ret);

/** A server-side subscription for all clients that are meant, as one shard's part of a sweep; the
 * part is done when all have it. */
void userop_subscribe(struct sweep_part *part, const struct who *who, const struct sub_want *want);

/** Ends a subscription; the pushes that it was not given yet are dropped unless `barrier`. */
void csub_end(struct client *c, struct csub *cs, bool barrier);
/** Ends it and tells the client why. */
void csub_end_told(struct client *c, struct csub *cs, uint32_t code);
/** Ends all, without a word. */
void csub_end_all(struct client *c);
/** The stream no longer fits what the client knows: 2500, or 3010 for server-side ones. */
void csub_insufficient(struct client *c, struct csub *cs);
/** Looks for expired subscriptions and checks positions: every presence_update_interval. */
void csub_tick(struct client *c, int64_t now_ms);
/** Whether the client has a subscription that csub_tick must look at. */
bool csub_any_needs_tick(const struct client *c);
#endif
