// SPDX-License-Identifier: Apache-2.0
/*
 * nodemetrics.h - the field `metrics` of `info`: what this node did in the last interval.
 *
 *     every node.info_metrics_aggregate_interval, worker 0:
 *         sweep over the shards ─▶ totals, less counters of before ─▶ a snapshot ─▶ last
 *     info, any worker:
 *         last ─▶ a reference, for as long as the answer is written
 *
 * Names are Centrifugo's, in its form: centrifugo_node_messages_received_count{type="join"} is
 * "centrifugo.node.messages_received_count.type.join". As there, only metrics of its own namespace
 * are told, the first snapshot is taken at the start, and an interval of 0 is the default.
 *
 * The timer and the making of snapshots belong to worker 0. The lock guards `last` and is held only
 * to swap it or to take a reference; a snapshot does not change any more.
 */
#ifndef CAST_NODEMETRICS_H
#define CAST_NODEMETRICS_H
#include "protocol/api.h"
#include "server/totals.h"

#include <pthread.h>
#include <stdatomic.h>
#include <weft/loop.h>

struct node_snapshot {
    _Atomic uint32_t refs;
    double interval_s;
    size_t count;
    struct cast_api_metric items[]; /* their names behind them */
};

struct node_metrics {
    pthread_mutex_t lock;
    struct node_snapshot *last; /* NULL: there was no memory for one */
    struct shard *shard;        /* worker 0's */
    struct totals before;
    weft_loop_timer timer;
    bool sweeping; /* shards have been asked: worker 0 may not end before they have answered */
    void (*swept)(struct shard *s);
};

/** Takes the first snapshot and starts the timer. swept is called on worker 0 each time that
 * `sweeping` has become false. Before worker 0 runs. */
void node_metrics_start(
    struct node_metrics *m, struct shard *shard, void (*swept)(struct shard *s));
/** No more snapshots. On worker 0. */
void node_metrics_stop(struct node_metrics *m);
/** After the workers have ended. */
void node_metrics_fini(struct node_metrics *m);
/** The last snapshot: a reference, or NULL. Any worker. */
struct node_snapshot *node_metrics_last(struct node_metrics *m);
/** NULL is fine. */
void node_snapshot_unref(struct node_snapshot *s);
#endif
