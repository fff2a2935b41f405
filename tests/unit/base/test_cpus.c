// SPDX-License-Identifier: Apache-2.0
/*
 * test_cpus.c - quotas of containers, read from a made-up cgroup tree in a temporary folder.
 */
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>
#include <weft/run.h>

#include "base/cpus.h"
#include "test.h"

static char root[] = "/tmp/weft-cpus-XXXXXX";
static char groups[64];
static char made[32][128]; /* everything below root, in the order of its making */
static unsigned made_count;

static const char *below_root(const char *name)
{
    CHECK(made_count < sizeof made / sizeof *made);
    snprintf(made[made_count], sizeof made[0], "%s/%s", root, name);
    return made[made_count++];
}

static void folder(const char *name)
{
    CHECK_EQ(mkdir(below_root(name), 0700), 0);
}

static void file(const char *name, const char *text)
{
    FILE *f = fopen(below_root(name), "w");
    CHECK(f != NULL);
    CHECK(fputs(text, f) >= 0);
    CHECK_EQ(fclose(f), 0);
}

static void begin(const char *groups_text)
{
    CHECK(mkdtemp(root) != NULL);
    snprintf(groups, sizeof groups, "%s/groups", root);
    if (groups_text)
        file("groups", groups_text);
}

static void expect(unsigned quota)
{
    CHECK_EQ(weft__cpus_quota(root, groups), quota);
    while (made_count > 0)
        CHECK_EQ(remove(made[--made_count]), 0);
    CHECK_EQ(rmdir(root), 0);
}

TEST(no_quota)
{
    begin("0::/\n");
    file("cpu.max", "max 100000\n");
    expect(0);
}

TEST(nothing_to_read)
{
    begin(NULL);
    expect(0);
}

TEST(garbage_is_no_quota)
{
    begin("0::/a\n");
    folder("a");
    file("a/cpu.max", "-1 100000\n");
    file("cpu.max", "soon\n");
    expect(0);
}

TEST(rounded_up)
{
    begin("0::/\n");
    file("cpu.max", "150000 100000\n");
    expect(2);
}

TEST(less_than_one_is_one)
{
    begin("0::/\n");
    file("cpu.max", "1000 100000\n");
    expect(1);
}

TEST(own_group)
{
    begin("12:memory:/elsewhere\n0::/a/b\n");
    folder("a");
    folder("a/b");
    file("a/b/cpu.max", "300000 100000\n");
    expect(3);
}

TEST(tightest_of_the_groups_above)
{
    begin("0::/a/b\n");
    folder("a");
    folder("a/b");
    file("a/b/cpu.max", "800000 100000\n");
    file("a/cpu.max", "200000 100000\n");
    file("cpu.max", "max 100000\n");
    expect(2);
}

TEST(version_1)
{
    begin("4:cpu,cpuacct:/\n");
    folder("cpu");
    file("cpu/cpu.cfs_quota_us", "250000\n");
    file("cpu/cpu.cfs_period_us", "100000\n");
    expect(3);
}

TEST(version_1_without_quota)
{
    begin("4:cpu,cpuacct:/\n");
    folder("cpu");
    file("cpu/cpu.cfs_quota_us", "-1\n");
    file("cpu/cpu.cfs_period_us", "100000\n");
    expect(0);
}

TEST(at_least_one_and_no_more_than_the_quota)
{
    unsigned quota = weft__cpus_quota("/sys/fs/cgroup", "/proc/self/cgroup"), n = weft_cpus();
    CHECK(n >= 1);
    CHECK(quota == 0 || n <= quota);
}

TEST(no_more_than_the_affinity_mask)
{
    cpu_set_t all, one;
    CHECK_EQ(sched_getaffinity(0, sizeof all, &all), 0);
    CHECK(weft_cpus() <= (unsigned)CPU_COUNT(&all));
    size_t first = 0;
    while (!CPU_ISSET(first, &all))
        first++;
    CPU_ZERO(&one);
    CPU_SET(first, &one);
    CHECK_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    CHECK_EQ(weft_cpus(), 1);
    CHECK_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}
