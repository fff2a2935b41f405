// SPDX-License-Identifier: Apache-2.0
/*
 * fault_start.c - a run whose n-th call for memory, a mapping, a guard, a thread, a descriptor or a
 * timer fails, for each n; and what suite.py found, by name.
 *
 * Over the redirected library (faults.h), so that every such call of it is seen, not those of its
 * allocator alone (fault_runtime.c). Whatever fails: weft_run says so or goes on without, nothing
 * is left behind, and the next run is as if nothing had been.
 */
#include <weft/http.h>
#include <weft/weft.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "faults.h"
#include "test.h"

enum { DONE = 3, LIMIT = 2000, ENOUGH = 20 };

static bool lack(int rc)
{
    return rc == -ENOMEM || rc == -EAGAIN || rc == -EMFILE;
}

/* ---- a run with something of everything ---- */

static int work(void *arg)
{
    weft_chan *c;
    char byte = 1;
    (void)arg;
    int rc = weft_chan_new(1, 1, &c);
    if (rc < 0)
        return rc;
    rc = weft_chan_send(c, &byte);
    if (rc == 0)
        rc = weft_chan_recv(c, &byte);
    weft_chan_free(c);
    if (rc < 0)
        return rc;
    int fd = weft_open("/proc/self/exe", O_RDONLY, 0);
    if (fd < 0)
        return fd;
    ssize_t n = weft_pread(fd, &byte, 1, 0);
    weft_close(fd);
    return n < 0 ? (int)n : weft_sleep(WEFT_US);
}

static int app(void *arg)
{
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    int rc = 0;
    for (int i = 0; i < 4 && rc == 0; i++)
        rc = weft_go(&s, work, arg);
    int joined = weft_wait(&s);
    return rc < 0 ? rc : joined;
}

static int run_once(void)
{
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    int result = 0, rc = weft_run(app, NULL, &o, &result);
    CHECK_MSG(rc == 0 || lack(rc), "weft_run answers %d", rc);
    CHECK_MSG(result == 0 || lack(result) || result == -ECANCELED, "app answers %d", result);
    return rc < 0 ? rc : result;
}

static int entries(const char *folder)
{
    DIR *d = opendir(folder);
    int n = 0;
    CHECK(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

/* In the child. DONE: the n-th call was never reached. */
static int one(long n, bool lasts)
{
    faults_arm(n, lasts);
    int rc = run_once();
    bool hit = faults_disarm();
    CHECK_MSG(rc == 0 || hit, "call %ld was not reached, but it answers %d", n, rc);
    CHECK_EQ(run_once(), 0); /* nothing is lost */
    int fds = entries("/proc/self/fd");
    CHECK_EQ(run_once(), 0);
    CHECK_EQ(entries("/proc/self/fd"), fds);
    return hit ? 0 : DONE;
}

static void each_in_turn(bool lasts)
{
    long n = 0;
    for (; n < LIMIT; n++) {
        int status;
        fflush(NULL);
        pid_t pid = fork();
        if (pid == 0) {
            alarm(50);
            _exit(one(n, lasts));
        }
        CHECK_EQ(waitpid(pid, &status, 0), pid);
        if (WIFEXITED(status) && WEXITSTATUS(status) == DONE)
            break;
        CHECK_MSG(status == 0, "call %ld: status %x", n, (unsigned)status);
    }
    CHECK_MSG(n > ENOUGH && n < LIMIT, "%ld calls were failed", n);
    printf("%ld calls failed in turn\n", n);
}

TEST(each_call_of_a_run_fails)
{
    each_in_turn(false);
}

TEST(each_call_of_a_run_fails_files_by_the_pool)
{
    setenv("WEFT_FILE", "pool", 1);
    each_in_turn(false);
}

TEST(all_calls_from_the_nth_on_fail)
{
    each_in_turn(true);
}

/* Calls that fail in turn until some runs have passed in vain; then as many whole runs as it takes
 * for debug builds to have their last 256 freed objects anew. What the library has after that. */
static long live_after_failures(void)
{
    enum { SETTLED = 150, IN_VAIN = 5 };
    long n = 0;
    for (int passed = 0; n < LIMIT && passed < IN_VAIN; n++) {
        faults_arm(n, false);
        (void)run_once();
        passed += !faults_disarm();
    }
    CHECK_MSG(n > IN_VAIN && n < LIMIT, "%ld calls were failed", n);
    for (int i = 0; i < SETTLED; i++)
        CHECK_EQ(run_once(), 0);
    return faults_live();
}

/* In one process, where a block that one failure loses stays lost. */
TEST(no_failure_leaks)
{
    setenv("WEFT_FILE", "pool", 1); /* its threads come and go without the heap */
    long once = live_after_failures();
    for (int i = 0; i < 3; i++) {
        long again = live_after_failures();
        CHECK_MSG(again <= once, "%ld blocks after the first time, %ld later", once, again);
    }
}

/* ---- found by suite.py ---- */

static int never_asked(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    (void)req;
    (void)reply;
    (void)arg;
    return 0;
}

/* Its own scope could not be had: it went on, and closed each connection unserved. */
static int serve_in_vain(void *arg)
{
    long n = 0, told = 0;
    (void)arg;
    for (bool hit = true; hit; n++) {
        int fd = weft_listen("tcp", "127.0.0.1:0");
        CHECK(fd >= 0);
        WEFT_TIMEOUT(limit, 200 * WEFT_MS); /* ends the one in which nothing fails */
        CHECK_EQ(weft_ctx_check(), 0);
        faults_arm(n, false);
        int rc = weft_http_serve_fd(fd, never_asked, NULL, NULL);
        hit = faults_disarm();
        CHECK_MSG(rc == 0 || (hit && rc == -ENOMEM), "call %ld, %d: %d", n, hit, rc);
        told += rc == -ENOMEM;
    }
    CHECK(told >= 2); /* a context that shields the connections, and their scope */
    return 0;
}

TEST(a_server_without_memory_says_so)
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = 1};
    CHECK_EQ(weft_run(serve_in_vain, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static weft_chan *nobody_sends;

static int wait_in_vain(void *arg)
{
    (void)arg;
    CHECK_EQ(weft_chan_new(1, 0, &nobody_sends), 0);
    faults_arm(0, true);
    return weft_chan_recv(nobody_sends, NULL);
}

static void deadlock(void)
{
    _exit(weft_run(wait_in_vain, NULL, NULL, NULL) == 0 ? 0 : 1);
}

/* The search for threads of others took memory; without it nobody was told. */
TEST(a_deadlock_is_found_without_memory)
{
    EXPECT_DEATH(deadlock, "all fibers are asleep - deadlock!");
}
