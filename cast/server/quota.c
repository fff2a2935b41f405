// SPDX-License-Identifier: Apache-2.0
/* quota.c - how many processors are ours: the affinity mask, and the cgroup's quota (v2 or v1). */
#include "server/castworker.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>

static uint32_t affinity(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n > 0 ? (uint32_t)n : 1;
}

/* Reads up to two numbers; "max" counts as -1. Returns how many. */
static int read_numbers(const char *path, long long *a, long long *b)
{
    char text[64] = "";
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = '\0';
    if (strncmp(text, "max", 3) == 0) {
        *a = -1;
        return 1;
    }
    return sscanf(text, "%lld %lld", a, b);
}

uint32_t quota_cpus(void)
{
    uint32_t cpus = affinity();
    long long quota = -1, period = 100000, none;
    if (read_numbers("/sys/fs/cgroup/cpu.max", &quota, &period) == 0) {
        read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", &quota, &none);
        read_numbers("/sys/fs/cgroup/cpu/cpu.cfs_period_us", &period, &none);
    }
    if (quota <= 0 || period <= 0)
        return cpus;
    uint32_t whole = (uint32_t)((quota + period - 1) / period);
    return whole < cpus ? whole : cpus;
}
