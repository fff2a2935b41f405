// SPDX-License-Identifier: Apache-2.0
/*
 * test_process.c - the process around the fibers: exit from any of them, fork in one and then exit
 * or exec in the child, code that comes by dlopen.
 *
 * Other fibers compute, block and wait meanwhile. Each exit happens in a child of the case, whose
 * status and output tell.
 */
#include <dlfcn.h>
#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

#include "base/atomic.h"
#include "test.h"

static int pipe_fd[2];
static _Atomic int over;

static int busy(void *arg)
{
    (void)arg;
    while (!at_load(&over))
        ;
    return 0;
}

static int blocked(void *arg)
{
    char c;
    (void)arg;
    return read(pipe_fd[0], &c, 1) == 1 ? 0 : -EIO;
}

static int parked(void *arg)
{
    (void)arg;
    return weft_sleep(3600 * WEFT_SEC);
}

static int allocates(void *arg)
{
    (void)arg;
    while (!at_load(&over)) {
        char *p = malloc(1000);
        CHECK(p != NULL);
        memset(p, 1, 1000);
        free(p);
        weft_yield();
    }
    return 0;
}

static int run(int (*app)(void *), unsigned workers)
{
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    int result = -1;
    CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
    return result;
}

/* ---- exit ---- */

static void at_exit(void)
{
    printf("goodbye ");
}

static int exits(void *arg)
{
    (void)arg;
    printf("unflushed ");
    exit(7);
}

static int some_fiber_exits(void *arg)
{
    (void)arg;
    WEFT_SCOPE(scope);
    CHECK_EQ(weft_go(&scope, parked, NULL), 0);
    CHECK_EQ(weft_go(&scope, busy, NULL), 0);
    CHECK_EQ(weft_go(&scope, blocked, NULL), 0);
    CHECK_EQ(weft_go(&scope, allocates, NULL), 0);
    CHECK_EQ(weft_go(&scope, exits, NULL), 0);
    return weft_wait(&scope);
}

static void check_exit(unsigned workers)
{
    int p[2], status;
    char text[64] = "";
    size_t len = 0;
    ssize_t n;
    CHECK_EQ(pipe(p), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 1);
        close(p[0]);
        close(p[1]);
        atexit(at_exit);
        CHECK_EQ(pipe(pipe_fd), 0);
        run(some_fiber_exits, workers);
        _exit(1);
    }
    close(p[1]);
    while (len < sizeof text - 1 && (n = read(p[0], text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    close(p[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 7);
    CHECK_STR(text, "unflushed goodbye ");
}

#if defined(__SANITIZE_ADDRESS__)
/* What the other fibers' stacks point at is no leak, but the sanitizer does not look there. */
const char *__lsan_default_options(void);
const char *__lsan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

TEST(exit_from_any_fiber)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer keeps signals from busy code");
#endif
    for (int i = 0; i < 5; i++)
        for (unsigned workers = 1; workers <= 8; workers *= 2)
            check_exit(workers);
}

/* ---- fork ---- */

static void check_child(bool exec)
{
    int status;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        if (exec)
            execl("/bin/sh", "sh", "-c", "exit 5", (char *)NULL);
        _exit(5);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid); /* blocks, and nobody else */
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 5);
}

static int forks(void *arg)
{
    for (int i = 0; i < 10; i++) {
        check_child((intptr_t)arg);
        CHECK_EQ(weft_sleep(WEFT_US), 0);
    }
    return 0;
}

static int forkers(void *arg)
{
    (void)arg;
    WEFT_SCOPE(scope);
    CHECK_EQ(pipe(pipe_fd), 0);
    CHECK_EQ(weft_go(NULL, busy, NULL), 0);
    CHECK_EQ(weft_go(NULL, allocates, NULL), 0);
    CHECK_EQ(weft_go(NULL, blocked, NULL), 0);
    for (intptr_t i = 0; i < 4; i++)
        CHECK_EQ(weft_go(&scope, forks, (void *)(i % 2)), 0);
    int rc = weft_wait(&scope);
    at_store(&over, 1);
    CHECK_EQ(write(pipe_fd[1], "x", 1), 1);
    return rc;
}

TEST(fork_in_a_fiber_then_exit_or_exec)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer keeps signals from busy code");
#endif
    for (unsigned workers = 1; workers <= 2; workers++) {
        at_store(&over, 0);
        CHECK_EQ(run(forkers, workers), 0);
    }
}

/* ---- dlopen ---- */

/* The program itself has the library in it already; what comes by dlopen has it of its own, as a
 * program without it would see: two runtimes side by side, of which neither knows the other. */
TEST(code_that_comes_by_dlopen)
{
    for (int i = 0; i < 3; i++) {
        void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL);
        CHECK_MSG(plugin != NULL, "%s", dlerror());
        int (*sum)(int);
        *(void **)&sum = dlsym(plugin, "sum_by_fibers");
        CHECK(sum != NULL);
        CHECK_EQ(sum(100), 4950);
        CHECK_EQ(sum(1000), 499500);
        CHECK_EQ(dlclose(plugin), 0);
    }
}

static int opens_a_plugin(void *arg)
{
    int (*add)(int *, int);
    int total = 0;
    (void)arg;
    void *plugin = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL); /* on a fiber's stack */
    CHECK_MSG(plugin != NULL, "%s", dlerror());
    *(void **)&add = dlsym(plugin, "add_to");
    CHECK(add != NULL);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(add(&total, i), 0);
        weft_yield();
    }
    CHECK_EQ(dlclose(plugin), 0);
    return total;
}

TEST(dlopen_on_a_fiber)
{
    CHECK_EQ(run(opens_a_plugin, 2), 45);
}
