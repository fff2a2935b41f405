// SPDX-License-Identifier: Apache-2.0
/*
 * fault_overcommit.c - vm.overcommit_memory=2: the kernel promises no more memory than there is,
 * and counts private writable mappings whether they ask to be counted or not.
 *
 * What must hold is in docs/design/stacks.md, "Where the machine gives less": a spawn that cannot
 * have its stack says -ENOMEM, what runs goes on, and the same spawn succeeds when there is room
 * again; a run that cannot have its own mappings says so and leaves nothing.
 *
 * The setting is the whole machine's, so this runs only where WEFT_TEST_SYSCTL=1 allows it, as root
 * and with no other test beside it. Others are left in peace as far as can be: the kernel keeps
 * from each process a reserve, a 32nd of its own address space up to vm.user_reserve_kbytes. The
 * machine's limit is set far above what is promised, and this process maps so much (of no access,
 * which is not counted) that its reserve is all of that but the room that a case asks for. Only
 * programs with sanitizers, which map 20 TiB at their start, cannot start meanwhile.
 *
 *      0        promised                                                        limit
 *      |------------|------ room ------|-------- this process's reserve --------|
 *                                      `- a 32nd of what it has mapped, so tens of TiB
 *
 * Another process, of a session of its own, puts the settings back when the pipe from this one is
 * closed, however this one ends.
 */
#include <weft/weft.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif

#define GIB ((uint64_t)1 << 30)
#define FAR_ABOVE (2048 * GIB)
#define MUCH_KIB "1099511627776"
enum { MANY = 24000 }; /* 6 GiB of stacks */
#define ROOM (3 * GIB) /* others come and go meanwhile */

/* ---- the settings ---- */

static void sysctl_read(const char *name, char *ret, size_t bytes)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/vm/%s", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, ret, bytes - 1);
    CHECK_MSG(n > 0, "%s: %s", path, strerror(errno));
    close(fd);
    ret[ret[n - 1] == '\n' ? n - 1 : n] = '\0';
}

static bool sysctl_write(const char *name, const char *value)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/sys/vm/%s", name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : write(fd, value, strlen(value));
    if (fd >= 0)
        close(fd);
    return n > 0;
}

static struct {
    char memory[32], ratio[32], kbytes[32], reserve[32];
} was;

static void settings_read(void)
{
    sysctl_read("overcommit_memory", was.memory, sizeof was.memory);
    sysctl_read("overcommit_ratio", was.ratio, sizeof was.ratio);
    sysctl_read("overcommit_kbytes", was.kbytes, sizeof was.kbytes);
    sysctl_read("user_reserve_kbytes", was.reserve, sizeof was.reserve);
}

/* A ratio that is written makes the kilobytes zero, and the other way round. */
static bool settings_restore(void)
{
    bool by_ratio = strcmp(was.kbytes, "0") == 0;
    bool ok = sysctl_write("overcommit_memory", was.memory);
    ok &= by_ratio ? sysctl_write("overcommit_ratio", was.ratio)
                   : sysctl_write("overcommit_kbytes", was.kbytes);
    return sysctl_write("user_reserve_kbytes", was.reserve) && ok;
}

static pid_t keeper;
static int alive[2]; /* closed: the settings go back */

static void keeper_start(void)
{
    CHECK_EQ(pipe2(alive, O_CLOEXEC), 0);
    keeper = fork();
    CHECK(keeper >= 0);
    if (keeper > 0) {
        close(alive[0]);
        return;
    }
    char byte;
    setsid(); /* who ends the test's group does not end this */
    close(alive[1]);
    while (read(alive[0], &byte, 1) < 0 && errno == EINTR)
        ;
    _exit(settings_restore() ? 0 : 1);
}

static void keeper_ends(void)
{
    int status;
    char now[32];
    close(alive[1]);
    CHECK_EQ(waitpid(keeper, &status, 0), keeper);
    CHECK_EQ(status, 0);
    sysctl_read("overcommit_memory", now, sizeof now);
    CHECK_STR(now, was.memory);
    sysctl_read("overcommit_ratio", now, sizeof now);
    CHECK_STR(now, was.ratio);
    sysctl_read("user_reserve_kbytes", now, sizeof now);
    CHECK_STR(now, was.reserve);
}

static uint64_t meminfo(const char *key)
{
    char line[256];
    uint64_t kib = 0;
    FILE *f = fopen("/proc/meminfo", "re");
    CHECK(f);
    while (fgets(line, sizeof line, f))
        if (strncmp(line, key, strlen(key)) == 0)
            kib = strtoull(line + strlen(key), NULL, 10);
    fclose(f);
    CHECK(kib > 0);
    return kib * 1024;
}

static void make_strict(void)
{
    char kib[32];
    const char *allowed = getenv("WEFT_TEST_SYSCTL");
#ifdef SANITIZED
    test_skip("a sanitizer maps more than strict overcommit allows");
#endif
    if (!allowed || strcmp(allowed, "1") != 0)
        test_skip("changes a setting of the machine: WEFT_TEST_SYSCTL=1 allows it");
    settings_read();
    if (!sysctl_write("user_reserve_kbytes", was.reserve))
        test_skip("may not set vm.overcommit_memory here: %s", strerror(errno));
    keeper_start();
    CHECK(sysctl_write("user_reserve_kbytes", MUCH_KIB));
    snprintf(kib, sizeof kib, "%llu",
        (unsigned long long)((meminfo("Committed_AS:") + FAR_ABOVE) / 1024));
    CHECK(sysctl_write("overcommit_kbytes", kib));
    CHECK(sysctl_write("overcommit_memory", "2"));
}

/* ---- room for this process ---- */

static void *ballast = MAP_FAILED;
static size_t ballast_bytes;

static void room_for_all(void)
{
    if (ballast != MAP_FAILED)
        munmap(ballast, ballast_bytes);
    ballast = MAP_FAILED;
}

/* bytes: of what is promised no more. */
static void room_for(uint64_t bytes)
{
    room_for_all();
    uint64_t reserve = meminfo("CommitLimit:") - meminfo("Committed_AS:") - bytes;
    ballast_bytes = 32 * reserve;
    ballast = mmap(NULL, ballast_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(ballast != MAP_FAILED);
}

/* ---- the cases ---- */

static int idle(void *arg)
{
    (void)arg;
    return 0;
}

static int wait_at(void *gate)
{
    char byte;
    return weft_chan_recv(*(weft_chan **)gate, &byte) == 0 ? 0 : -EIO;
}

static int up_to_the_limit(void *arg)
{
    weft_chan *gate;
    (void)arg;
    room_for(ROOM);
    for (int round = 0; round < 2; round++) {
        CHECK_EQ(weft_chan_new(1, 0, &gate), 0);
        WEFT_SCOPE(s, .errors = WEFT_COLLECT);
        int n = 0, rc;
        while ((rc = weft_go(&s, wait_at, &gate)) == 0 && n < MANY)
            n++;
        CHECK_EQ(rc, -ENOMEM);
        CHECK_MSG(n >= 16, "%d fibers", n);
        CHECK_EQ(weft_sleep(WEFT_MS), 0); /* what runs goes on */
        weft_chan_close(gate);
        CHECK_EQ(weft_wait(&s), -ENOMEM);
        weft_chan_free(gate);
    }
    room_for_all();
    CHECK_EQ(weft_chan_new(1, 0, &gate), 0);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    for (int i = 0; i < MANY; i++)
        CHECK_EQ(weft_go(&s, wait_at, &gate), 0);
    weft_chan_close(gate);
    CHECK_EQ(weft_wait(&s), 0);
    weft_chan_free(gate);
    return 0;
}

TEST(strict_overcommit)
{
    int result = -1;
    make_strict();
    CHECK_EQ(weft_run(idle, NULL, NULL, NULL), 0);
    CHECK_EQ(weft_run(up_to_the_limit, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
    room_for(0); /* and not even what a run wants for itself */
    int rc = weft_run(idle, NULL, NULL, NULL);
    CHECK_MSG(rc == -ENOMEM || rc == -EAGAIN, "without room weft_run answers %d", rc);
    room_for_all();
    CHECK_EQ(weft_run(idle, NULL, NULL, NULL), 0);
    keeper_ends();
}
