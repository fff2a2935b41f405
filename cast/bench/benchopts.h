// SPDX-License-Identifier: Apache-2.0
/*
 * benchopts.h - what a run of the load generator shall do: the command line, read and checked.
 */
#ifndef CAST_BENCH_BENCHOPTS_H
#define CAST_BENCH_BENCHOPTS_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum bench_mode { BENCH_FANOUT, BENCH_CONNECT, BENCH_IDLE };

struct bench_opts {
    enum bench_mode mode;
    const char *channel, *token, *api_key;
    char host[80];  // "127.0.0.1:8000", as it stands in the URL
    char path[256]; // of the WebSocket endpoint
    char api_path[256];
    unsigned clients, threads, sources, window;
    unsigned payload_bytes;
    double rate; // fan-out: messages a second; connect: connections a second
    double duration_s, warmup_s;
    bool publish_api, json, subscribe, fail_on_loss, quiet;
    pid_t pid; // of the server, for its CPU and memory; 0: not asked for
};

/**
 * bench_opts_parse - read the arguments.
 * Returns 0; 1 help was printed; -EINVAL after one line on standard error.
 */
int bench_opts_parse(struct bench_opts *ret, int argc, char **argv);
#endif
