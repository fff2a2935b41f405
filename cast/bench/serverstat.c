// SPDX-License-Identifier: Apache-2.0
/*
 * serverstat.c - reading /proc/PID/stat (serverstat.h).
 *
 * The process name in the second field may hold spaces and brackets, so fields are counted from the
 * last closing bracket: state is field 3, utime 14, stime 15, rss (in pages) 24.
 */
#include "bench/serverstat.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int serverstat_read(pid_t pid, struct serverstat *ret)
{
    char path[40], text[2048];
    unsigned long user, system;
    long pages;
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    if (!f)
        return -ESRCH;
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = 0;
    char *p = strrchr(text, ')');
    int got = p ? sscanf(p + 2,
                      "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d "
                      "%*u %*u %ld",
                      &user, &system, &pages)
                : 0;
    if (got != 3)
        return -ESRCH;
    ret->cpu_s = (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
    ret->rss_bytes = (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
    return 0;
}
