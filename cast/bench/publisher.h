// SPDX-License-Identifier: Apache-2.0
/*
 * publisher.h - the publishing thread of a fan-out run: an open loop.
 *
 * Message k is due at start + k / rate, whatever the server does; it carries that time, so a delay
 * of the generator or of the server shows in the latency of every message it held up. What is due
 * is sent at once; what the socket does not take waits in a buffer and keeps its intended time.
 *
 * Over a client connection (a WebSocket of its own, not subscribed) or over the HTTP API, one
 * connection, requests pipelined.
 */
#ifndef CAST_BENCH_PUBLISHER_H
#define CAST_BENCH_PUBLISHER_H
#include "bench/benchopts.h"
#include "bench/latency.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct publisher {
    const struct bench_opts *opts;
    pthread_t thread;
    int fd;
    int64_t start_ns;
    uint64_t total; // messages to publish
    _Atomic uint64_t sent, answered;
    _Atomic bool stop, ended;
    char problem[200];   // why it ended early; empty when it did not. The thread's until ended
    struct latency late; // of the generator itself: sent minus intended
};

/** publisher_open - connect and, for a client connection, join. Blocks up to 10 s.
 * Returns 0, or a negative errno with a sentence in p->problem. */
int publisher_open(struct publisher *p, const struct bench_opts *opts);
/** publisher_start - publish `total` messages from start_ns on. Returns 0 or a negative errno. */
int publisher_start(struct publisher *p, int64_t start_ns, uint64_t total);
/** publisher_failed - whether it has ended early; p->problem says why. While it runs: no. */
static inline bool publisher_failed(const struct publisher *p)
{
    return atomic_load(&p->ended) && p->problem[0];
}
/** publisher_end - stop it if it has not ended, join, close. */
void publisher_end(struct publisher *p);
#endif
