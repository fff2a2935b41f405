// SPDX-License-Identifier: Apache-2.0
/*
 * receiver.h - a receiving thread of the load generator: one pinned loop and its share of clients.
 *
 *        main thread                         receiver thread (weft_loop)
 *        -----------                         --------------------------------------------
 *        receiver_start  ---- thread --->      opens clients, at most `window` at once
 *        reads tally   <--- atomics ----     ready, failed, deliveries, ...
 *        receiver_stop   ---- stop ----->      ends; then latency and lost may be read
 *
 * A client goes through these states; client_state() is the only setter:
 *
 *     NEW -> DIALLING -> UPGRADING -> JOINING -> READY -> GONE
 *                \____________\___________\________________^
 *            (any failure, or a close by the server)
 *
 * UPGRADING waits for the 101; JOINING for the reply to connect (and to subscribe, where asked).
 * Receiving is what the generator must be fast at: one large buffer a thread, frames taken where
 * they lie, pushes recognised by one memcmp with the prefix that all pushes of the channel share,
 * number and time read at fixed offsets (payload.h). Latency is taken once a recv.
 *
 * Invariant B1: every client is counted in exactly one of opening, ready or failed/gone.
 */
#ifndef CAST_BENCH_RECEIVER_H
#define CAST_BENCH_RECEIVER_H
#include "bench/benchopts.h"
#include "bench/latency.h"
#include <stdatomic.h>
#include <weft/loop.h>

enum client_state {
    CLIENT_NEW,
    CLIENT_DIALLING,
    CLIENT_UPGRADING,
    CLIENT_JOINING,
    CLIENT_READY,
    CLIENT_GONE,
};

struct receiver;
struct client {
    weft_loop_io io;
    struct receiver *receiver;
    char *tail; // the begin of a frame whose rest has not come; NULL until first needed
    uint32_t tail_bytes, tail_room;
    uint8_t state;     // enum client_state
    uint8_t awaited;   // replies that JOINING waits for
    uint64_t next_seq; // expected number; 0 before the first push
    int64_t began_ns;  // intended start of the connection
};

/* What other threads may read while the receiver runs. */
struct tally {
    _Atomic uint64_t ready, failed, gone; // clients: joined; never joined; lost after joining
    _Atomic uint64_t deliveries, bytes;
    _Atomic int first_error; // negative errno of the first failure
};

struct receiver {
    const struct bench_opts *opts;
    weft_loop *loop;
    unsigned number; // of this receiver
    struct client *clients;
    size_t count, begun, opening;
    char *buf;        // RECEIVER_BUF_BYTES
    char prefix[400]; // how every push of the channel begins, to the first digit of the number
    size_t prefix_bytes;
    char hello[8192]; // the first message of every client: connect and subscribe
    size_t hello_bytes;
    int64_t start_ns;                         // connect mode: intended time of the first connection
    _Atomic int64_t measure_from, measure_to; // intended times that count; equal: none yet
    weft_loop_timer timer;
    weft_loop_msg begin;
    struct tally tally;
    char problem[160]; // the first failure in words, once tally.failed or gone is not 0
    /* the receiver's own until it has ended */
    struct latency latency; // fan-out: of deliveries; connect: of connections
    uint64_t measured;      // deliveries that counted
    uint64_t lost, repeated;
};

enum { RECEIVER_BUF_BYTES = 256 * 1024 };

/** receiver_start - make the thread and begin to open `count` clients. Returns 0 or a negative
 * errno.
 */
int receiver_start(
    struct receiver *r, const struct bench_opts *opts, unsigned number, size_t count);

/** receiver_stop - end the thread and close its clients; results may be read then. */
void receiver_stop(struct receiver *r);

/** receiver_settle - after the end: count what never came. total = messages that were published. */
void receiver_settle(struct receiver *r, uint64_t total);

/** receiver_fini - free. Safe on a zeroed struct. */
void receiver_fini(struct receiver *r);
#endif
