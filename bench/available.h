// SPDX-License-Identifier: Apache-2.0
/*
 * available.h - what memory the machine has left, for those that measure parked fibers by what it
 * loses: MemAvailable, and what lies on the kernel's lists of free pages per processor, so that
 * page tables and guards count too. Nothing of the library.
 */
#ifndef BENCH_AVAILABLE_H
#define BENCH_AVAILABLE_H
#include <stdio.h>
#include <string.h>

/* The numbers behind each `key` in a file of /proc, added up; 0 where there is none. */
static inline long long sum_of(const char *path, const char *key)
{
    char line[256];
    long long sum = 0, v;
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f)) {
        char *at = strstr(line, key);
        if (at && sscanf(at + strlen(key), " %lld", &v) == 1)
            sum += v;
    }
    if (f)
        fclose(f);
    return sum;
}

static inline long long available_bytes(void)
{
    return sum_of("/proc/meminfo", "MemAvailable:") * 1024 +
           sum_of("/proc/zoneinfo", " count:") * 4096;
}
#endif
