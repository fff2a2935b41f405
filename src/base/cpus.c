// SPDX-License-Identifier: Apache-2.0
/*
 * cpus.c - processors that the process may use.
 *
 * A container with a quota of 1.5 CPUs on a 64-core host should run 2 workers: more would be
 * throttled all at once at each period's end. Quotas come from cgroup v2's cpu.max at this
 * process's group and each group above it (the tightest counts), or from v1's cpu.cfs_quota_us /
 * cpu.cfs_period_us at the mounted root.
 */
#include "base/cpus.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <weft/run.h>

static unsigned ceil_div(long long a, long long b)
{
    return (unsigned)((a + b - 1) / b);
}

/* "max 100000" or "150000 100000"; 0: no limit. */
static unsigned quota_v2(const char *root, const char *dir)
{
    char path[1024];
    long long quota, period;
    snprintf(path, sizeof path, "%s%s/cpu.max", root, dir);
    FILE *f = fopen(path, "re");
    if (!f)
        return 0;
    int n = fscanf(f, "%lld %lld", &quota, &period);
    fclose(f);
    return n == 2 && quota > 0 && period > 0 ? ceil_div(quota, period) : 0;
}

static long long read_number(const char *path)
{
    long long v = -1;
    FILE *f = fopen(path, "re");
    if (!f)
        return -1;
    if (fscanf(f, "%lld", &v) != 1)
        v = -1;
    fclose(f);
    return v;
}

static unsigned quota_v1(const char *root)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/cpu/cpu.cfs_quota_us", root);
    long long quota = read_number(path);
    snprintf(path, sizeof path, "%s/cpu/cpu.cfs_period_us", root);
    long long period = read_number(path);
    return quota > 0 && period > 0 ? ceil_div(quota, period) : 0;
}

unsigned weft__cpus_quota(const char *root, const char *groups)
{
    char dir[512] = "", line[600];
    unsigned best = quota_v1(root);
    FILE *f = fopen(groups, "re");
    if (!f)
        return best;
    while (fgets(line, sizeof line, f))
        if (strncmp(line, "0::", 3) == 0)
            snprintf(dir, sizeof dir, "%.*s", (int)strcspn(line + 3, "\n"), line + 3);
    fclose(f);
    for (;;) {
        unsigned q = quota_v2(root, strcmp(dir, "/") == 0 ? "" : dir);
        if (q && (!best || q < best))
            best = q;
        char *slash = strrchr(dir, '/');
        if (!slash)
            return best;
        *slash = '\0';
    }
}

unsigned weft_cpus(void)
{
    cpu_set_t set;
    unsigned n = 1, q = weft__cpus_quota("/sys/fs/cgroup", "/proc/self/cgroup");
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = (unsigned)CPU_COUNT(&set);
    if (q && q < n)
        n = q;
    return n ? n : 1;
}
