// SPDX-License-Identifier: Apache-2.0
/*
 * serverstat.h - CPU time and memory of the server's process, from /proc.
 */
#ifndef CAST_BENCH_SERVERSTAT_H
#define CAST_BENCH_SERVERSTAT_H
#include <stdint.h>
#include <sys/types.h>

struct serverstat {
    double cpu_s;       // user and system time so far
    uint64_t rss_bytes; // resident memory
};

/** serverstat_read - look at a process. Returns 0, or -ESRCH where it is not there. */
int serverstat_read(pid_t pid, struct serverstat *ret);
#endif
