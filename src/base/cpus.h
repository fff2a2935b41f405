// SPDX-License-Identifier: Apache-2.0
/* cpus.h - how many processors this process may really use: affinity and the container's quota. */
#ifndef WEFT_BASE_CPUS_H
#define WEFT_BASE_CPUS_H

/** The smaller of the affinity mask's count and cgroup v2's (or v1's) CPU quota rounded up; at
 * least 1. Reads /sys: not for hot paths. */
unsigned weft__cpus(void);

/** The quota alone, rounded up; 0: none. root: where the cgroup file system is mounted; groups: the
 * file that names the process's group, as /proc/self/cgroup does. Of its own for the tests. */
unsigned weft__cpus_quota(const char *root, const char *groups);
#endif
