// SPDX-License-Identifier: Apache-2.0
/*
 * benchreport.h - the result of a run, for people or as JSON.
 */
#ifndef CAST_BENCH_BENCHREPORT_H
#define CAST_BENCH_BENCHREPORT_H
#include "bench/benchopts.h"
#include "bench/latency.h"

struct report {
    const struct bench_opts *opts;
    uint64_t ready, failed, gone; // clients
    uint64_t published, answered; // messages, warm-up included
    uint64_t delivered, measured; // deliveries in all, and with an intended time that counts
    uint64_t lost, repeated;      // over all clients that stayed
    uint64_t bytes;               // received
    double opened_s;              // what opening all connections took
    double cpu_s, cpu_over_s;     // the server's CPU time, and the time it was taken over
    double setup_cpu_s;           // the server's CPU time while connections opened
    uint64_t rss_before_bytes, rss_bytes; // the server's memory before and at the end
    bool has_server;
    const struct latency *latency; // deliveries, or connections
    const struct latency *late;    // the generator's own lateness; NULL but for fan-out
    const char *problem;           // what went wrong, or empty
    const char *backend;           // of the receiving loops
};

/** report_print - on standard output, in words or as one JSON object and a line feed. */
void report_print(const struct report *r);
#endif
