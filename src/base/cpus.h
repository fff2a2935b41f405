// SPDX-License-Identifier: Apache-2.0
/* cpus.h - the container's quota of processors, for weft_cpus and its tests. */
#ifndef WEFT_BASE_CPUS_H
#define WEFT_BASE_CPUS_H

/** The quota that weft_cpus (weft/run.h) counts with, rounded up; 0: none. root: where the cgroup
 * file system is mounted; groups: the file that names the process's group, as /proc/self/cgroup
 * does. Of its own for the tests. */
unsigned weft__cpus_quota(const char *root, const char *groups);
#endif
