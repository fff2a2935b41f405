// SPDX-License-Identifier: Apache-2.0
/*
 * ops.h - what a connection or an API request asks of a channel's home, wherever that is.
 *
 * Each op copies what it needs (only where it has to travel: on the home's own shard a publish
 * copies and allocates nothing), runs on the home, and calls `then` on the asking shard with the
 * answer. `then` is called exactly once unless the start failed; it may be called before the start
 * returns. What the answer holds is freed after `then`, which may take it by zeroing the field.
 *
 * Order: two ops of one shard on one home are run, and answered, in the order of their starts.
 */
#ifndef CAST_OPS_H
#define CAST_OPS_H
#include "session/shard.h"

struct op {
    struct hop hop;
    void *owner;  /* of the asker, untouched */
    uint64_t tag; /* of the asker, untouched */
    void (*then)(struct op *op);
    int rc; /* of the home's function */
};

/** Who asks, and what is to be done with the answer. */
struct asker {
    struct shard *shard;
    void *owner;
    uint64_t tag;
    void (*then)(struct op *op);
};

struct publish_op {
    struct op op;
    struct publish ask;
    struct idem_result got;
};
/** All spans of ask are copied where needed. Returns 0 or -ENOMEM (then is not called). */
int op_publish(const struct asker *by, const struct publish *ask);

enum question { ASK_HISTORY, ASK_HISTORY_REMOVE, ASK_PRESENCE, ASK_PRESENCE_STATS, ASK_CHECK };
struct ask_op {
    struct op op;
    enum question question;
    struct weft_span channel;
    struct stream_rules rules;
    struct stream_filter filter;
    struct history_answer history;
    struct present present;
    struct cast_presence_stats stats;
    uint32_t generation;
    char bytes[];
};
/** filter: for ASK_HISTORY; rules: for ASK_HISTORY and ASK_CHECK. Returns as op_publish. */
int op_ask(const struct asker *by, enum question question, struct weft_span channel,
    const struct stream_rules *rules, const struct stream_filter *filter);

/** A copy of the bytes at *at, which moves on behind it: there is room. NULL stays NULL. */
struct weft_span copy_span(char **at, struct weft_span s);

/** The stream settings of a namespace; size 0 without history. */
struct stream_rules rules_of(const struct cast_channel_options *o);
#endif
