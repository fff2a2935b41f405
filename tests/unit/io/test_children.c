// SPDX-License-Identifier: Apache-2.0
/*
 * test_children.c - child processes (weft/process.h): what they get, how they end, what they cost.
 *
 * The children are small shell scripts. What must have happened in one is told by a line that it
 * prints, never by time.
 */
#include <weft/process.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

#include "base/futex.h"
#include "seccomp.h"
#include "test.h"

#define OPTS(...)                                                                                  \
    &(weft_process_opts)                                                                           \
    {                                                                                              \
        .size = sizeof(weft_process_opts), __VA_ARGS__                                             \
    }

static weft_process *script(const char *text, const weft_process_opts *o)
{
    const char *const argv[] = {"sh", "-c", text, NULL};
    weft_process *p = NULL;
    int rc = weft_process_start(argv, o, &p);
    CHECK_MSG(rc == 0, "%s: %s", text, weft_strerror(rc));
    CHECK(p != NULL);
    return p;
}

static int status_of(weft_process *p)
{
    int status = -1;
    CHECK_EQ(weft_process_wait(p, &status), 0);
    return status;
}

static void check_exit(weft_process *p, int code)
{
    int status = status_of(p);
    CHECK_MSG(WIFEXITED(status) && WEXITSTATUS(status) == code, "status 0x%x", (unsigned)status);
}

static void check_signal(weft_process *p, int number)
{
    int status = status_of(p);
    CHECK_MSG(WIFSIGNALED(status) && WTERMSIG(status) == number, "status 0x%x", (unsigned)status);
}

/* All that comes out of fd, which is closed. */
static char *all_of(int fd)
{
    static char text[4096]; /* one fiber at a time */
    size_t len = 0;
    ssize_t n;
    CHECK(fd >= 0);
    while ((n = weft_read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)n;
    CHECK_EQ(n, 0);
    text[len] = '\0';
    CHECK_EQ(weft_close(fd), 0);
    return text;
}

/* What a script prints; it must end with 0. */
static void check_prints(const char *text, const weft_process_opts *o, const char *expected)
{
    weft_process *p = script(text, o);
    CHECK_STR(all_of(weft_process_pipe(p, 1)), expected);
    check_exit(p, 0);
    weft_process_free(p);
}

static void run_with(int (*app)(void *), unsigned workers)
{
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    int result = -1;
    CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static void run(int (*app)(void *))
{
    run_with(app, 2);
}

/* On fibers, and on a plain thread without a runtime. */
static void run_both(int (*app)(void *))
{
    run(app);
    CHECK_EQ(app(NULL), 0);
}

static int descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static void check_no_child(void)
{
    CHECK_EQ(weft__syscall(SYS_wait4, -1, 0, WNOHANG, 0, 0, 0), -ECHILD); /* a fiber has no errno */
}

/* ---- ends ---- */

static int ends(void *arg)
{
    (void)arg;
    weft_process *p = script("exit 7", NULL);
    CHECK(weft_process_id(p) > 0);
    check_exit(p, 7);
    check_exit(p, 7); /* again at each call */
    CHECK_EQ(weft_process_wait(p, NULL), 0);
    CHECK_EQ(weft_process_kill(p, SIGTERM), -ESRCH);
    weft_process_free(p);
    p = script("kill -9 $$", NULL);
    check_signal(p, SIGKILL);
    weft_process_free(p);
    p = script("read x", OPTS(.stdin_fd = WEFT_STDIO_PIPE));
    CHECK_EQ(weft_process_kill(p, 0), 0);
    CHECK_EQ(weft_process_kill(p, SIGTERM), 0);
    check_signal(p, SIGTERM);
    weft_process_free(p);
    p = script("read x", OPTS(.stdin_fd = WEFT_STDIO_PIPE));
    weft_process_free(p); /* kills it */
    weft_process_free(NULL);
    check_no_child();
    return 0;
}

TEST(how_they_end)
{
    run_both(ends);
}

static int many_end(void *arg)
{
    char text[32];
    int n = (int)(intptr_t)arg;
    snprintf(text, sizeof text, "exit %d", n);
    weft_process *p = script(text, NULL);
    check_exit(p, n);
    weft_process_free(p);
    return 0;
}

static int many(void *arg)
{
    (void)arg;
    WEFT_SCOPE(s);
    for (intptr_t i = 0; i < 40; i++)
        CHECK_EQ(weft_go(&s, many_end, (void *)i), 0);
    return weft_wait(&s);
}

TEST(many_at_once)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        run_with(many, workers);
    check_no_child();
}

static weft_process *common;

static int waits(void *arg)
{
    (void)arg;
    check_signal(common, SIGTERM);
    return 0;
}

static int gives_up(void *arg)
{
    (void)arg;
    int rc = weft_process_wait(common, NULL);
    CHECK(rc == 0 || rc == -ECANCELED);
    return 0;
}

static int several_wait(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        common = script("read x", OPTS(.stdin_fd = WEFT_STDIO_PIPE));
        WEFT_SCOPE(s);
        WEFT_SCOPE(impatient);
        for (int k = 0; k < 4; k++) {
            CHECK_EQ(weft_go(&s, waits, NULL), 0);
            CHECK_EQ(weft_go(&impatient, gives_up, NULL), 0);
        }
        weft_yield();
        weft_process_kill(common, SIGTERM);
        weft_scope_cancel(&impatient);
        CHECK_EQ(weft_wait(&s), 0);
        weft_wait(&impatient);
        weft_process_free(common);
    }
    return 0;
}

TEST(several_wait_for_one)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        run_with(several_wait, workers);
}

/* ---- pipes ---- */

enum { MUCH = 1 << 20 };

static int feeds(void *arg)
{
    int fd = *(int *)arg;
    char *data = malloc(MUCH);
    CHECK(data != NULL);
    for (int i = 0; i < MUCH; i++)
        data[i] = (char)(i % 251);
    CHECK_EQ(weft_write_all(fd, data, MUCH), MUCH);
    free(data);
    return weft_close(fd);
}

static int through_cat(void *arg)
{
    (void)arg;
    weft_process *p =
        script("cat", OPTS(.stdin_fd = WEFT_STDIO_PIPE, .stdout_fd = WEFT_STDIO_PIPE));
    int in = weft_process_pipe(p, 0), out = weft_process_pipe(p, 1);
    CHECK(in >= 0 && out >= 0);
    CHECK_EQ(weft_process_pipe(p, 0), -EBADF);
    CHECK_EQ(weft_process_pipe(p, 2), -EBADF);
    CHECK_EQ(weft_process_pipe(p, 3), -EBADF);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, feeds, &in), 0);
    char *data = malloc(MUCH);
    CHECK(data != NULL);
    CHECK_EQ(weft_read_full(out, data, MUCH), MUCH);
    for (int i = 0; i < MUCH; i++)
        CHECK_EQ(data[i], (char)(i % 251));
    CHECK_EQ(weft_read(out, data, 1), 0);
    free(data);
    CHECK_EQ(weft_close(out), 0);
    CHECK_EQ(weft_wait(&s), 0);
    check_exit(p, 0);
    weft_process_free(p);
    return 0;
}

TEST(much_in_and_out)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        run_with(through_cat, workers);
}

static int wired(void *arg)
{
    int file[2];
    (void)arg;
    check_prints("echo out; echo err >&2",
        OPTS(.stdout_fd = WEFT_STDIO_PIPE, .stderr_fd = WEFT_STDIO_MERGE), "out\nerr\n");
    check_prints(
        "cat; echo end", OPTS(.stdin_fd = WEFT_STDIO_NULL, .stdout_fd = WEFT_STDIO_PIPE), "end\n");
    weft_process *p = script(
        "echo err >&2; echo out", OPTS(.stdout_fd = WEFT_STDIO_NULL, .stderr_fd = WEFT_STDIO_PIPE));
    CHECK_STR(all_of(weft_process_pipe(p, 2)), "err\n");
    check_exit(p, 0);
    weft_process_free(p);
    CHECK_EQ(pipe2(file, O_CLOEXEC), 0); /* descriptors of our own */
    p = script("echo own", OPTS(.stdout_fd = file[1]));
    check_exit(p, 0);
    weft_process_free(p);
    close(file[1]);
    CHECK_STR(all_of(file[0]), "own\n");
    return 0;
}

TEST(where_input_and_output_go)
{
    run_both(wired);
}

/* ---- what a child gets ---- */

static int surroundings(void *arg)
{
    const char *const env[] = {"PATH=/usr/bin:/bin", "WORD=hello there", NULL};
    (void)arg;
    setenv("WORD", "inherited", 1);
    check_prints("echo $WORD", OPTS(.stdout_fd = WEFT_STDIO_PIPE), "inherited\n");
    check_prints(
        "echo $WORD $HOME", OPTS(.stdout_fd = WEFT_STDIO_PIPE, .env = env), "hello there\n");
    check_prints("pwd", OPTS(.stdout_fd = WEFT_STDIO_PIPE, .dir = "/usr"), "/usr\n");
    return 0;
}

TEST(environment_and_directory)
{
    run_both(surroundings);
}

static int pipe_with(const char *text)
{
    int p[2];
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(write(p[1], text, strlen(text)), (ssize_t)strlen(text));
    close(p[1]);
    return p[0];
}

static int extra(void *arg)
{
    const char *const ls[] = {"ls", "/proc/self/fd", NULL};
    weft_process *p = NULL;
    (void)arg;
    int a = pipe_with("a\n"), b = pipe_with("b\n");
    CHECK_EQ(dup2(a, 203), 203);
    CHECK_EQ(dup2(b, 204), 204);
    const int swapped[] = {204, 203};
    check_prints("cat <&3; cat <&4",
        OPTS(.stdout_fd = WEFT_STDIO_PIPE, .extra_fds = swapped, .extra_count = 2), "b\na\n");
    close(a);
    close(b);
    a = pipe_with("a\n");
    b = pipe_with("b\n");
    CHECK_EQ(dup2(a, 3), 3); /* now onto each other's numbers */
    CHECK_EQ(dup2(b, 4), 4);
    const int crossed[] = {4, 3};
    check_prints("cat <&3; cat <&4",
        OPTS(.stdout_fd = WEFT_STDIO_PIPE, .extra_fds = crossed, .extra_count = 2), "b\na\n");
    /* and nothing else, close-on-exec or not: 3 is the folder that ls reads */
    CHECK_EQ(weft_process_start(ls, OPTS(.stdout_fd = WEFT_STDIO_PIPE), &p), 0);
    CHECK_STR(all_of(weft_process_pipe(p, 1)), "0\n1\n2\n3\n");
    check_exit(p, 0);
    weft_process_free(p);
    return 0;
}

static void low_descriptors_for_us(void)
{
    for (int fd = 3; fd < 10; fd++)
        close(fd);
    for (int fd = 3; fd < 10; fd++) /* so that the runtime's own lie above them */
        CHECK_EQ(open("/dev/null", O_RDONLY), fd);
}

TEST(descriptors_beyond_the_three)
{
    low_descriptors_for_us();
    run(extra);
}

TEST(descriptors_on_an_old_kernel)
{
    struct rlimit few = {.rlim_cur = 512, .rlim_max = 512};
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    low_descriptors_for_us();
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
    test_filter(code, sizeof code / sizeof *code);
    run(extra);
}

static void ignores(int n)
{
    (void)n;
}

static int sees_signals(void *arg)
{
    sigset_t set;
    (void)arg;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGTERM, ignores);
    const char *const argv[] = {"sed", "-n", "/^Sig[BIC]/p", "/proc/self/status", NULL};
    weft_process *p = NULL;
    CHECK_EQ(weft_process_start(argv, OPTS(.stdout_fd = WEFT_STDIO_PIPE), &p), 0);
    char *text = all_of(weft_process_pipe(p, 1));
    check_exit(p, 0);
    weft_process_free(p);
    CHECK_STR(text, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\n"
                    "SigCgt:\t0000000000000000\n");
    if (!weft_running()) { /* a fiber may be on another thread by now */
        pthread_sigmask(SIG_BLOCK, NULL, &set);
        CHECK(sigismember(&set, SIGUSR1)); /* ours are as they were */
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    }
    CHECK(signal(SIGTERM, SIG_DFL) == ignores);
    return 0;
}

TEST(signals_of_a_child)
{
    signal(SIGINT, SIG_DFL); /* whatever the shell that runs the tests left */
    signal(SIGQUIT, SIG_DFL);
    CHECK_EQ(sees_signals(NULL), 0);
    run(sees_signals);
}

/* ---- what cannot be started ---- */

static int refused(void *arg)
{
    const char *const no[] = {"no-such-program", NULL}, *const slash[] = {"/no/such", NULL};
    const char *const data[] = {"/etc/passwd", NULL}, *const none[] = {NULL},
                      *const empty[] = {"", NULL};
    const char *const ok[] = {"true", NULL};
    const int bad[] = {999};
    weft_process *p = NULL;
    int before = descriptors();
    (void)arg;
    CHECK_EQ(weft_process_start(no, NULL, &p), -ENOENT);
    CHECK_EQ(weft_process_start(slash, OPTS(.stdin_fd = WEFT_STDIO_PIPE), &p), -ENOENT);
    CHECK_EQ(weft_process_start(data, OPTS(.stdout_fd = WEFT_STDIO_NULL), &p), -EACCES);
    CHECK_EQ(weft_process_start(none, NULL, &p), -EINVAL);
    CHECK_EQ(weft_process_start(empty, NULL, &p), -ENOENT);
    CHECK_EQ(weft_process_start(ok, OPTS(.dir = "/no/such"), &p), -ENOENT);
    CHECK_EQ(weft_process_start(ok, OPTS(.stdout_fd = 999), &p), -EBADF);
    CHECK_EQ(weft_process_start(ok, OPTS(.stdout_fd = -9), &p), -EINVAL);
    CHECK_EQ(weft_process_start(ok, OPTS(.stdout_fd = WEFT_STDIO_MERGE), &p), -EINVAL);
    CHECK_EQ(weft_process_start(ok, OPTS(.extra_fds = bad, .extra_count = 1), &p), -EBADF);
    CHECK_EQ(weft_process_start(ok, OPTS(.extra_fds = bad, .extra_count = 65), &p), -EINVAL);
    CHECK_EQ(weft_process_start(ok, OPTS(.stop_signal = -1), &p), -EINVAL);
    CHECK_EQ(weft_process_start(ok, &(weft_process_opts){.size = 1}, &p), -EINVAL);
    weft_ctx *x = weft_ctx_with_cancel(weft_ctx_current());
    weft_ctx_block b;
    weft_ctx_cancel(x);
    weft_ctx_enter(&b, x);
    CHECK_EQ(weft_process_start(ok, NULL, &p), -ECANCELED);
    weft_ctx_leave(&b);
    weft_ctx_free(x);
    CHECK(p == NULL);
    CHECK_EQ(descriptors(), before);
    check_no_child();
    return 0;
}

TEST(what_cannot_be_started)
{
    run_both(refused);
}

static int in_the_path(void *arg)
{
    weft_process *p = NULL;
    const char *const argv[] = {"true", NULL};
    (void)arg;
    setenv("PATH", "/no/such::relative:/etc/passwd:/usr/bin:/bin", 1);
    CHECK_EQ(weft_process_start(argv, NULL, &p), 0);
    check_exit(p, 0);
    weft_process_free(p);
    setenv("PATH", "", 1);
    CHECK_EQ(weft_process_start(argv, NULL, &p), -ENOENT);
    unsetenv("PATH");
    CHECK_EQ(weft_process_start(argv, NULL, &p), 0);
    check_exit(p, 0);
    weft_process_free(p);
    return 0;
}

TEST(where_programs_are_looked_for)
{
    run_both(in_the_path);
}

TEST(no_descriptor_left)
{
    const char *const argv[] = {"sh", "-c", "echo ran >&2", NULL};
    int p[2];
    char c;
    weft_process *w = NULL;
    CHECK_EQ(pipe(p), 0);
    fcntl(p[0], F_SETFL, O_NONBLOCK);
    while (dup(0) >= 0)
        ;
    CHECK_EQ(weft_process_start(argv, OPTS(.stderr_fd = p[1]), &w), -EMFILE);
    CHECK_EQ(read(p[0], &c, 1), -1); /* nothing has run */
    CHECK_EQ(errno, EAGAIN);
}

static int status_lost(void *arg)
{
    (void)arg;
    signal(SIGCHLD, SIG_IGN); /* the kernel reaps */
    weft_process *p = script("exit 3", NULL);
    CHECK_EQ(weft_process_wait(p, NULL), -ECHILD);
    CHECK_EQ(weft_process_wait(p, NULL), -ECHILD);
    CHECK_EQ(weft_process_kill(p, SIGTERM), -ESRCH);
    weft_process_free(p);
    signal(SIGCHLD, SIG_DFL);
    return 0;
}

TEST(a_host_that_ignores_SIGCHLD)
{
    run_both(status_lost);
}

/* ---- contexts ---- */

static void await_ready(weft_process *p)
{
    char c[6];
    int fd = weft_process_pipe(p, 1);
    CHECK_EQ(weft_read_full(fd, c, 6), 6);
    CHECK(memcmp(c, "ready\n", 6) == 0);
    weft_close(fd);
}

/* Started under a context that then ends: how does it end? */
static void check_cancelled(const char *text, const weft_process_opts *o, int number)
{
    weft_ctx *x = weft_ctx_with_cancel(weft_ctx_current());
    weft_ctx_block b;
    weft_ctx_enter(&b, x);
    weft_process *p = script(text, o);
    weft_ctx_leave(&b);
    await_ready(p);
    weft_ctx_cancel(x);
    if (number)
        check_signal(p, number);
    else
        check_exit(p, 3);
    weft_process_free(p);
    weft_ctx_free(x);
}

static int killed_by_contexts(void *arg)
{
    (void)arg;
    const weft_process_opts kill = {
        .size = sizeof kill, .stdin_fd = WEFT_STDIO_PIPE, .stdout_fd = WEFT_STDIO_PIPE};
    weft_process_opts term = kill, hard = kill;
    term.stop_signal = hard.stop_signal = SIGTERM;
    term.grace_ns = WEFT_HOUR;
    hard.grace_ns = WEFT_MS;
    check_cancelled("echo ready; read x", &kill, SIGKILL);
    check_cancelled("echo ready; read x", &term, SIGTERM);
    check_cancelled("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done", &term, 0);
    check_cancelled("trap '' TERM; echo ready; read x", &hard, SIGKILL);
    return 0;
}

TEST(killed_when_the_context_ends)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        run_with(killed_by_contexts, workers);
}

static int waits_in_vain(void *arg)
{
    (void)arg;
    weft_process *p = script("read x", OPTS(.stdin_fd = WEFT_STDIO_PIPE));
    {
        WEFT_TIMEOUT(t, WEFT_MS);
        CHECK_EQ(weft_process_wait(p, NULL), -ETIMEDOUT);
    }
    CHECK_EQ(weft_process_kill(p, 0), 0); /* not of that context: it goes on */
    CHECK_EQ(weft_close(weft_process_pipe(p, 0)), 0);
    check_exit(p, 1); /* read met the end */
    weft_process_free(p);
    return 0;
}

TEST(a_wait_ends_with_its_context)
{
    run(waits_in_vain);
}

static int leaves_one(void *arg)
{
    (void)arg;
    common = script(
        "echo ready; read x", OPTS(.stdin_fd = WEFT_STDIO_PIPE, .stdout_fd = WEFT_STDIO_PIPE));
    await_ready(common);
    return 0;
}

TEST(the_end_of_a_run_kills)
{
    run(leaves_one);
    check_signal(common, SIGKILL);
    weft_process_free(common);
}

static int kills_a_group(void *arg)
{
    (void)arg;
    weft_process *p =
        script("sleep 1000 & echo ready; wait", OPTS(.stdout_fd = WEFT_STDIO_PIPE, .group = true));
    int fd = weft_process_pipe(p, 1);
    char c[6];
    CHECK_EQ(weft_read_full(fd, c, 6), 6);
    CHECK_EQ(weft_process_kill(p, SIGKILL), 0);
    CHECK_STR(all_of(fd), ""); /* the end comes when the grandchild is gone as well */
    check_signal(p, SIGKILL);
    weft_process_free(p);
    return 0;
}

TEST(a_group_is_killed_as_one)
{
    run_both(kills_a_group);
}

/* A process with this number, which must be free, in a group of its own. */
static pid_t stranger_with_number(pid_t number)
{
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
            set_tid_size, cgroup;
    } args = {.set_tid = (uint64_t)(uintptr_t)&number, .set_tid_size = 1};
    long rc = syscall(SYS_clone3, &args, sizeof args);
    if (rc == 0)
        for (;;)
            pause();
    if (rc < 0 && (errno == EPERM || errno == ENOSYS || errno == EINVAL || errno == EEXIST))
        test_skip("no process can be given a number here: %s", strerror(errno));
    CHECK_EQ(rc, number);
    CHECK_EQ(setpgid(number, number), 0);
    return number;
}

/* The program ignores SIGCHLD, so the number of a child that has ended is free at once. */
static void group_of_a_stranger(void)
{
    siginfo_t si;
    const char *const argv[] = {"true", NULL};
    weft_process *p = NULL;
    signal(SIGCHLD, SIG_IGN);
    CHECK_EQ(weft_process_start(argv, OPTS(.group = true), &p), 0);
    CHECK_EQ(
        waitid(P_PID, (id_t)weft_process_id(p), &si, WEXITED), -1); /* all the same: it waits */
    CHECK_EQ(errno, ECHILD);
    pid_t stranger = stranger_with_number(weft_process_id(p));
    CHECK_EQ(weft_process_kill(p, SIGKILL), -ESRCH);
    weft_process_free(p);
    CHECK_EQ(kill(stranger, 0), 0);
    CHECK_EQ(waitid(P_PID, (id_t)stranger, &si, WEXITED | WNOHANG | __WALL), 0);
    CHECK_EQ(kill(stranger, SIGKILL), 0);
}

TEST(a_group_is_not_that_of_a_stranger)
{
    group_of_a_stranger();
}

TEST(a_group_is_not_that_of_a_stranger_before_linux_6_9)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_pidfd_send_signal, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[3])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    test_filter(code, sizeof code / sizeof *code);
    run_both(kills_a_group);
    group_of_a_stranger();
}

/* ---- what it costs ---- */

enum { PAGES = 16384, PAGE = 4096 };

static long faults(void)
{
    struct rusage u;
    CHECK_EQ(getrusage(RUSAGE_SELF, &u), 0);
    return u.ru_minflt;
}

/* How many pages fault when they are written anew: what a fork makes of each. */
static long written_anew(volatile char *mem)
{
    long before = faults();
    for (int i = 0; i < PAGES; i++)
        mem[(size_t)i * PAGE] = 2;
    return faults() - before;
}

static int touches(void *arg)
{
    volatile char *mem = mmap(
        NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    (void)arg;
    CHECK(mem != MAP_FAILED);
    madvise((void *)(uintptr_t)mem, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
    written_anew(mem);
    weft_process *p = script("exit 0", NULL);
    CHECK(written_anew(mem) < PAGES / 8); /* nothing was copied, nothing write-protected */
    check_exit(p, 0);
    weft_process_free(p);
    pid_t pid = fork(); /* and that is what a fork costs */
    if (pid == 0)
        _exit(0);
    CHECK(written_anew(mem) > PAGES / 2);
    CHECK_EQ(waitpid(pid, NULL, 0), pid);
    munmap((void *)(uintptr_t)mem, (size_t)PAGES * PAGE);
    return 0;
}

TEST(the_memory_of_the_parent_is_not_copied)
{
#if TEST_SANITIZED
    test_skip("sanitizers touch memory of their own");
#endif
    run(touches);
}
