// SPDX-License-Identifier: Apache-2.0
/* totals.h - what all shards together have: numbers for info, metrics and console, and channels. */
#ifndef CAST_TOTALS_H
#define CAST_TOTALS_H
#include "session/shard.h"

struct totals {
    uint64_t clients, users, subs, channels, topics;
    struct shard_counters n;
    struct home_stats home;
    struct fan_stats fan;
    uint64_t bytes_sent, sends, sends_blocked, accepted_sockets, loop_turns;
    bool anonymous; /* somebody without a name is connected */
    struct code_count closes[SHARD_CODES];
};
/** One shard's, for a sweep part's data (malloc'ed; NULL without memory). On that shard. */
struct totals *totals_make(struct shard *s);
/** Adds the parts up, on the shard that asked. Users that are connected to several shards count
 * once in each, but for the anonymous one. */
void totals_sum(const struct sweep *s, struct totals *ret);
/** What happened in between: counters less those of before, gauges as they are now. */
void totals_since(const struct totals *now, const struct totals *before, struct totals *ret);

/** A channel with subscribers, in a list that is one block of memory. */
struct channel_count {
    uint32_t clients, name_bytes;
    char name[];
};
struct channel_list;
/** The channels whose home the shard is and that fit the glob (empty: all). On that shard. */
struct channel_list *channel_list_make(struct shard *s, struct weft_span pattern);
const struct channel_count *channel_list_first(const struct channel_list *l);
const struct channel_count *channel_list_next(
    const struct channel_list *l, const struct channel_count *c);
#endif
