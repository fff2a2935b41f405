// SPDX-License-Identifier: Apache-2.0
/* test_run.c - weft_run and weft_main: results, refusals, draining, the environment, log and
 * allocator hooks. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rig.h"

#include "ctx/run_opts.h"
#include "sched/sched.h"

static int give(void *arg)
{
    return *(int *)arg;
}

TEST(result_and_own_return)
{
    for (int i = -3; i < 4; i++) {
        int result = 99;
        CHECK_EQ(weft_run(give, &i, NULL, &result), 0);
        CHECK_EQ(result, i);
    }
    CHECK_EQ(weft_run(NULL, NULL, NULL, NULL), -EINVAL);
    CHECK_EQ(weft_run(give, NULL, &(weft_run_opts){.size = 3}, NULL), -EINVAL);
    CHECK_EQ(
        weft_run(give, NULL, &(weft_run_opts){.size = sizeof(weft_run_opts), .drain_ns = -1}, NULL),
        -EINVAL);
    CHECK(!weft_running());
}

static int run_inside(void *arg)
{
    (void)arg;
    CHECK(weft_running());
    int n = 1;
    return weft_run(give, &n, NULL, NULL);
}

static void *run_beside(void *arg)
{
    int n = 1;
    *(int *)arg = weft_run(give, &n, NULL, NULL);
    return NULL;
}

static int start_beside(void *arg)
{
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, run_beside, arg), 0);
    weft_blocking_begin();
    pthread_join(t, NULL);
    weft_blocking_end();
    return 0;
}

TEST(a_second_one_is_refused)
{
    int result = 0, beside = 0;
    CHECK_EQ(weft_run(run_inside, NULL, NULL, &result), 0);
    CHECK_EQ(result, -EDEADLK);
    CHECK_EQ(weft_run(start_beside, &beside, NULL, NULL), 0);
    CHECK_EQ(beside, -EBUSY);
}

static int lingers(void *arg)
{
    int rc = weft_sleep(INT64_MAX); /* the root's end comes here */
    {
        WEFT_SHIELD(x);
        weft_sleep(2 * WEFT_MS); /* a closing handshake */
    }
    atomic_fetch_add((atomic_int *)arg, rc == -ECANCELED);
    return rc;
}

static int start_lingerers(void *arg)
{
    for (int i = 0; i < 20; i++)
        CHECK_EQ(weft_go(NULL, lingers, arg), 0);
    weft_yield();
    return 0;
}

TEST(fibers_drain_when_the_first_function_has_returned)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        atomic_int ended = 0;
        weft_run_opts o = {.size = sizeof o, .workers = workers};
        CHECK_EQ(weft_run(start_lingerers, &ended, &o, NULL), 0);
        CHECK_EQ(ended, 20);
    }
}

static char log_text[4096];
static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;

static void keep_log(void *arg, int level, const char *text)
{
    CHECK(arg == log_text);
    CHECK(level >= WEFT_LOG_ERROR && level <= WEFT_LOG_NOTE);
    pthread_mutex_lock(&log_lock);
    if (strlen(log_text) + strlen(text) + 2 < sizeof log_text)
        strcat(strcat(log_text, text), "\n");
    pthread_mutex_unlock(&log_lock);
}

static int never_ends(void *arg)
{
    weft_set_name("stubborn");
    WEFT_SHIELD(x);
    for (;;)
        CHECK(weft_chan_recv(arg, NULL) != -ENOMEM);
    return 0;
}

static int start_stubborn(void *arg)
{
    CHECK_EQ(weft_go(NULL, never_ends, arg), 0);
    weft_yield();
    return 5;
}

TEST(fibers_left_over_are_named)
{
    weft_chan *c;
    int result = 0;
    weft_run_opts o = {.size = sizeof o, .workers = 1, .drain_ns = 20 * WEFT_MS};
    CHECK_EQ(weft_chan_new(1, 0, &c), 0);
    weft_set_log(keep_log, log_text);
    CHECK_EQ(weft_run(start_stubborn, c, &o, &result), -ETIMEDOUT);
    CHECK_EQ(result, 5);
    CHECK(strstr(log_text, "left over: fiber") != NULL);
    CHECK(strstr(log_text, "\"stubborn\"") != NULL);
    CHECK(strstr(log_text, "chan receive") != NULL);
}

/* ---- the environment ---- */

static int count_workers(void *arg)
{
    struct weft__stats stats;
    weft__stats_read(&stats);
    *(unsigned *)arg = stats.workers;
    return 0;
}

TEST(the_environment_overrides_the_options)
{
    unsigned workers = 0;
    weft_run_opts o = {.size = sizeof o, .workers = 1};
    setenv("WEFT_WORKERS", "3", 1);
    setenv("WEFT_STACK_BYTES", "128K", 1);
    setenv("WEFT_DRAIN", "1500ms", 1);
    setenv("WEFT_PREEMPT", "0", 1);
    CHECK_EQ(weft_run(count_workers, &workers, &o, NULL), 0);
    CHECK_EQ(workers, 3);
    setenv("WEFT_WORKERS", "", 1); /* empty: as if not set */
    CHECK_EQ(weft_run(count_workers, &workers, &o, NULL), 0);
    CHECK_EQ(workers, 1);
}

TEST(no_time_needs_no_unit)
{
    struct weft__sched_opts read;
    weft_chan *c;
    weft_run_opts o = {
        .size = sizeof o, .workers = 1, .drain_ns = 3600 * WEFT_SEC, .cold_ns = 5 * WEFT_SEC};
    setenv("WEFT_DRAIN", "0", 1);
    setenv("WEFT_COLD", "0", 1);
    CHECK_EQ(weft__options_read(&o, &read), 0);
    CHECK_EQ(read.drain_ns, 1); /* at once, as 0 is the default */
    CHECK_EQ(read.cold_ns, 0);
    CHECK_EQ(weft_chan_new(1, 0, &c), 0);
    weft_set_log(keep_log, log_text);
    CHECK_EQ(weft_run(start_stubborn, c, &o, NULL), -ETIMEDOUT); /* and not after an hour */
    CHECK(strstr(log_text, "left over: fiber") != NULL);
}

TEST(a_wrong_variable_is_an_error)
{
    static const char *const wrong[][2] = {{"WEFT_WORKERS", "many"}, {"WEFT_WORKERS", "-1"},
        {"WEFT_WORKERS", "3x"}, {"WEFT_MAX_FIBERS", "99999999999999999999"},
        {"WEFT_STACK_BYTES", "10Q"}, {"WEFT_STACK_BYTES", "9000G"}, {"WEFT_DRAIN", "5"},
        {"WEFT_DRAIN", "soon"}, {"WEFT_COLD", "0x"}, {"WEFT_PREEMPT", "2"},
        {"WEFT_MAX_THREADS", "1.5"}};
    unsigned workers = 0;
    weft_set_log(keep_log, log_text);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        log_text[0] = '\0';
        setenv(wrong[i][0], wrong[i][1], 1);
        CHECK_EQ(weft_run(count_workers, &workers, NULL, NULL), -EINVAL);
        CHECK(strstr(log_text, wrong[i][0]) != NULL && strstr(log_text, wrong[i][1]) != NULL);
        unsetenv(wrong[i][0]);
    }
    CHECK_EQ(workers, 0);
}

static int limit_fibers(void *arg)
{
    (void)arg;
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    atomic_int ended = 0;
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = weft_go(&s, lingers, &ended);
    return rc;
}

TEST(limits_are_options)
{
    int result = 0;
    weft_run_opts o = {.size = sizeof o, .max_fibers = 10};
    CHECK_EQ(weft_run(limit_fibers, NULL, &o, &result), 0);
    CHECK_EQ(result, -EAGAIN);
}

/* ---- weft_main ---- */

static int fails_with_object(void *arg)
{
    (void)arg;
    return weft_fail(weft_error_wrap(weft_error_new(-ENOENT, "no such config"), -EINVAL, "start"));
}

/* Runs main_fn's weft_main in a child; its exit status, and what it wrote to standard error. */
static int main_of(int (*fn)(void *), void *arg, char *text, size_t bytes)
{
    int p[2], status;
    size_t n = 0;
    ssize_t got;
    CHECK_EQ(pipe(p), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(p[1], 2);
        _exit(weft_main(fn, arg));
    }
    close(p[1]);
    while (n < bytes - 1 && (got = read(p[0], text + n, bytes - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(p[0]);
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    return WEXITSTATUS(status);
}

TEST(main_gives_an_exit_status)
{
    char text[1024];
    int n = 0;
    CHECK_EQ(main_of(give, &n, text, sizeof text), 0);
    CHECK_STR(text, "");
    n = 17;
    CHECK_EQ(main_of(give, &n, text, sizeof text), 0);
    n = -EADDRINUSE;
    CHECK_EQ(main_of(give, &n, text, sizeof text), 1);
    CHECK_STR(text, "test_run: Address already in use\n");
    CHECK_EQ(main_of(fails_with_object, NULL, text, sizeof text), 1);
    CHECK_STR(text, "test_run: start: no such config\n");
    setenv("WEFT_WORKERS", "x", 1);
    CHECK_EQ(main_of(give, &n, text, sizeof text), 1);
    CHECK(strstr(text, "WEFT_WORKERS=x") != NULL);
}

/* ---- the signal that preempts ---- */

static void users_own(int sig)
{
    (void)sig;
}

static bool is_users_own(int sig)
{
    struct sigaction sa;
    CHECK_EQ(sigaction(sig, NULL, &sa), 0);
    return sa.sa_handler == users_own;
}

/* Which of the two signals are the user's own while a run goes on. */
static int ask_signals(void *arg)
{
    (void)arg;
    return is_users_own(SIGURG) + 2 * is_users_own(SIGUSR1);
}

TEST(a_run_takes_its_signal_and_no_other_and_gives_it_back)
{
    struct sigaction sa = {.sa_handler = users_own};
    static const struct {
        bool no_preempt;
        int signal, own;
    } runs[] = {{false, 0, 2}, {false, SIGUSR1, 1}, {true, 0, 3}, {true, SIGUSR1, 3}};
    CHECK_EQ(sigaction(SIGURG, &sa, NULL), 0);
    CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
    unsetenv("WEFT_PREEMPT");
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        int own = -1;
        weft_run_opts o = {
            .size = sizeof o, .no_preempt = runs[i].no_preempt, .preempt_signal = runs[i].signal};
        CHECK_EQ(weft_run(ask_signals, NULL, &o, &own), 0);
        CHECK_MSG(own == runs[i].own, "run %zu: %d instead of %d", i, own, runs[i].own);
        CHECK(is_users_own(SIGURG) && is_users_own(SIGUSR1));
    }
}

static volatile sig_atomic_t passed_on;

static void counts_signal(int sig)
{
    passed_on += sig == SIGURG;
}

static void counts_signal_with_info(int sig, siginfo_t *info, void *uc)
{
    passed_on += sig == SIGURG && info->si_signo == SIGURG && uc;
}

/* The runtime may take one for its own that it had asked for just now: then again. */
static int raises(void *arg)
{
    (void)arg;
    for (int i = 0; i < 2; i++) {
        passed_on = 0;
        while (passed_on == 0)
            CHECK_EQ(raise(SIGURG), 0);
    }
    return 0;
}

TEST(a_signal_of_somebody_elses_reaches_the_handler_before_ours)
{
    weft_run_opts o = {.size = sizeof o, .preempt_signal = SIGURG};
    unsetenv("WEFT_PREEMPT");
    for (int i = 0; i < 2; i++) {
        struct sigaction sa = {.sa_handler = counts_signal};
        int result = -1;
        if (i) {
            sa.sa_sigaction = counts_signal_with_info;
            sa.sa_flags = SA_SIGINFO;
        }
        CHECK_EQ(sigaction(SIGURG, &sa, NULL), 0);
        CHECK_EQ(weft_run(raises, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
    }
}

/* ---- threads beside the runtime ---- */

static void *works_beside(void *arg)
{
    for (int i = 0; i < 200; i++) {
        weft_ctx *c = weft_ctx_with_timeout(weft_ctx_current(), WEFT_HOUR);
        WEFT_SCOPE(s);
        int n = 0;
        CHECK_EQ(weft_go_copy(&s, give, n), 0);
        CHECK_EQ(weft_wait(&s), 0);
        weft_ctx_cancel(c);
        weft_ctx_free(c);
    }
    atomic_fetch_add((atomic_int *)arg, 1);
    return NULL;
}

FIBER_TEST(threads_beside_fibers)
{
    pthread_t t[3];
    atomic_int done = 0;
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, works_beside, &done), 0);
    while (done < 3)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(t[i], NULL);
}

static int short_run(void *arg)
{
    weft_ctx *c = weft_ctx_with_timeout(weft_ctx_current(), WEFT_HOUR);
    WEFT_WITH(w, c);
    CHECK_EQ(weft_go(NULL, lingers, arg), 0);
    weft_yield();
    weft_ctx_free(c);
    return 0;
}

TEST(again_and_again)
{
    for (int i = 0; i < 100; i++) {
        atomic_int ended = 0;
        weft_run_opts o = {.size = sizeof o, .workers = (unsigned)(i % 3 + 1)};
        CHECK_EQ(weft_run(short_run, &ended, &o, NULL), 0);
        CHECK_EQ(ended, 1);
    }
}
