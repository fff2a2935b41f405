// SPDX-License-Identifier: Apache-2.0
/*
 * topic.h - channels in their home shard: publish, subscribe, history, presence, in one place.
 *
 * Each channel has one home, the shard that its name's hash picks. Everything that must be decided
 * in one order (offsets, epochs, who was there first) is decided there, by plain single-threaded
 * code; other shards ask by message (server/hop.h) and read only the log.
 *
 *     topic "chat:1"
 *       stream     offsets, epoch, last publications        (namespaces with history)
 *       presence   clients and users                        (namespaces with presence)
 *       feed PLAIN ── tlog: publications ────────────────┬─▶ outlet of shard 0
 *       │                                                └─▶ outlet of shard 1
 *       feed JOINS ── tlog: publications, joins, leaves ───▶ outlet of shard 1
 *
 * Why several feeds: what a subscriber is sent depends on its subscription (joins and leaves or
 * not; with other encodings, the encoding), and a cursor can only move over bytes that are all for
 * it. So each kind has its own log, made when its first subscriber comes; a publication is encoded
 * once and appended to each.
 *
 * Invariants
 *   P1  A topic exists while it has subscribers, a stream with an epoch, or presence.
 *   P2  listeners of an outlet counts the subscriptions given out and not yet given back; an outlet
 *       hears news while it is > 0.
 *   P3  A subscription's cursor starts at the log position that belongs to the stream position in
 *       the same answer: nothing is missed between history and log, and nothing comes twice.
 *   P4  A stream whose numbering began anew (meta ttl) has its positioned subscribers told before
 *       the first publication of the new epoch is appended.
 *
 * Concurrency: a home belongs to its shard's thread. Outlets are the readers' (fanout.h).
 */
#ifndef CAST_TOPIC_H
#define CAST_TOPIC_H
#include "core/fanout.h"
#include "core/idem.h"
#include "core/presence.h"
#include "core/stream.h"
#include "protocol/outbuf.h"

/** What a subscriber's feed carries. */
enum flavour { FLAVOUR_PLAIN, FLAVOUR_JOINS, FLAVOURS };

struct home_stats {
    uint64_t publications;  /* published, each once */
    uint64_t joins, leaves; /* pushes made, each once */
    uint64_t deliveries;    /* publications, joins and leaves times subscribers, when appended */
};

struct home {
    weft_loop *loop;
    struct fan **fans; /* of all shards; borrowed */
    uint32_t shards, self;
    struct table topics;
    struct idem idem;
    struct cast_out line; /* scratch of the encoder */
    size_t subs;          /* subscriptions to all topics here */
    size_t topics_with_subs;
    struct home_stats stats;
    /** Runs on the outlet's shard: its positioned subs of older generations no longer fit. */
    void (*on_generation)(struct outlet *o, uint32_t generation);
};

void home_init(struct home *h, weft_loop *loop, struct fan **fans, uint32_t shards, uint32_t self,
    void (*on_generation)(struct outlet *o, uint32_t generation));
/** Frees all topics; their subs must be gone. */
void home_fini(struct home *h);
/** Which shard is the home of a channel. */
uint32_t home_of(struct weft_span channel, uint32_t shards);

/* ---- publishing ---- */

struct publish {
    struct weft_span channel, data;
    struct cinfo *cinfo; /* the publishing client, or NULL */
    struct weft_span chan_info;
    const struct cast_pair *tags;
    size_t tag_count;
    struct weft_span idempotency_key, version_epoch;
    uint64_t version;
    bool skip_history;
    struct stream_rules rules; /* size 0: no history */
};
/** Publishes. ret: offset and epoch where the publication went into a stream, else 0 and "".
 * Returns 0 or -ENOMEM. */
int home_publish(struct home *h, const struct publish *p, struct idem_result *ret);

/* ---- subscriptions ---- */

struct subscribe {
    struct weft_span channel;
    struct cinfo *cinfo;
    struct weft_span chan_info;
    uint32_t shard; /* of the subscriber */
    enum flavour flavour;
    bool presence, join_leave; /* to be kept; to be told to others */
    bool stream;               /* positioned or recoverable: the answer has a position */
    bool recover, cache_mode;
    bool recover_stream; /* look into the stream for what was missed (recoverable) */
    uint64_t offset;     /* with recover */
    struct weft_span epoch;
    int64_t limit;
    struct stream_rules rules;
};
struct subscribed {
    struct outlet *outlet; /* a reference, for outlet_add */
    struct tcursor cur;    /* taken by outlet_add */
    char epoch[STREAM_EPOCH_BYTES + 1];
    uint64_t top;
    uint32_t generation;
    enum recovery recovery;
    struct picked missed;
};
/** Returns 0 or -ENOMEM. Everything in ret is owned by the caller, who ends the subscription with
 * home_unsubscribe, whether it used it or not. */
int home_subscribe(struct home *h, const struct subscribe *s, struct subscribed *ret);

struct unsubscribe {
    struct outlet *outlet; /* one listener less; the caller's reference stays the caller's */
    struct cinfo *cinfo;
    struct weft_span chan_info;
    bool presence, join_leave;
};
void home_unsubscribe(struct home *h, const struct unsubscribe *u);

/* ---- questions ---- */

struct history_answer {
    struct picked pubs;
    char epoch[STREAM_EPOCH_BYTES + 1];
    uint64_t top;
};
/** Makes the stream if there is none. Returns 0, -ESTALE (another epoch), -ENOMEM. */
int home_history(struct home *h, struct weft_span channel, const struct stream_rules *rules,
    const struct stream_filter *f, struct history_answer *ret);
void home_history_remove(struct home *h, struct weft_span channel);
/** Returns 0 or -ENOMEM. */
int home_presence(const struct home *h, struct weft_span channel, struct present *ret);
void home_presence_stats(
    const struct home *h, struct weft_span channel, struct cast_presence_stats *ret);
/** Uses the stream (as a position check does) and gives its generation. Returns 0 or -ENOMEM. */
int home_check(struct home *h, struct weft_span channel, const struct stream_rules *rules,
    uint32_t *ret_generation);
/** Calls fn for each channel with subscribers. */
void home_channels(const struct home *h,
    void (*fn)(void *arg, struct weft_span channel, uint32_t clients), void *arg);
#endif
