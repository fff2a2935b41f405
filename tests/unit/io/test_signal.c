// SPDX-License-Identifier: Apache-2.0
/*
 * test_signal.c - signals as elements of channels and ends of contexts (weft/signal.h).
 *
 * Signals are sent by raise, whose handler has run when it returns; a stop sends what is pending
 * before it returns. So what is counted here does not depend on time. Each case is a process of its
 * own, so dispositions may be changed at will.
 */
#include <weft/signal.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#include <weft/weft.h>

#include "base/atomic.h"
#include "test.h"

static weft_chan *ints(size_t room)
{
    weft_chan *c = NULL;
    CHECK_EQ(weft_chan_new(sizeof(int), room, &c), 0);
    return c;
}

static int next_of(weft_chan *c)
{
    int n = 0;
    CHECK_EQ(weft_chan_recv(c, &n), 1);
    return n;
}

static void run_with(int (*app)(void *), void *arg, unsigned workers)
{
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    int result = -1;
    CHECK_EQ(weft_run(app, arg, &o, &result), 0);
    CHECK_EQ(result, 0);
}

static void run(int (*app)(void *), void *arg)
{
    run_with(app, arg, 2);
}

/* ---- channels ---- */

static int receives(void *arg)
{
    weft_chan *c = ints(1);
    (void)arg;
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGUSR1, SIGTERM)), 0);
    raise(SIGUSR1);
    CHECK_EQ(next_of(c), SIGUSR1);
    kill(getpid(), SIGTERM);
    CHECK_EQ(next_of(c), SIGTERM);
    weft_signal_stop(c);
    weft_chan_free(c);
    return 0;
}

TEST(a_fiber_receives_signals)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        run_with(receives, NULL, workers);
}

TEST(a_plain_thread_receives_them_without_a_runtime)
{
    CHECK_EQ(receives(NULL), 0);
    CHECK_EQ(receives(NULL), 0);
}

static int in_a_select(void *arg)
{
    typedef WEFT_CHAN_OF(int) int_chan;
    int_chan c, never;
    int n = 0, got = 0;
    (void)arg;
    CHECK_EQ(weft_chan_make(&c, 1), 0);
    CHECK_EQ(weft_chan_make(&never, 0), 0);
    CHECK_EQ(weft_signal_notify(c.chan, WEFT_SIGNALS(SIGHUP)), 0);
    raise(SIGHUP);
    CHECK_EQ(weft_select(WEFT_RECV(never, &n, &got), WEFT_RECV(c, &n, &got)), 1);
    CHECK_EQ(n, SIGHUP);
    weft_signal_stop(c.chan);
    weft_chan_free(c.chan);
    weft_chan_free(never.chan);
    return 0;
}

TEST(in_a_select)
{
    run(in_a_select, NULL);
}

static int several(void *arg)
{
    weft_chan *a = ints(4), *b = ints(4);
    (void)arg;
    CHECK_EQ(weft_signal_notify(a, WEFT_SIGNALS(SIGUSR1)), 0);
    CHECK_EQ(weft_signal_notify(a, WEFT_SIGNALS(SIGUSR1, SIGUSR2)), 0); /* adds only what is new */
    CHECK_EQ(weft_signal_notify(b, WEFT_SIGNALS(SIGUSR1)), 0);
    raise(SIGUSR1);
    CHECK_EQ(next_of(a), SIGUSR1);
    CHECK_EQ(next_of(b), SIGUSR1);
    weft_signal_stop(b);
    raise(SIGUSR1);
    CHECK_EQ(next_of(a), SIGUSR1);
    raise(SIGUSR2);
    CHECK_EQ(next_of(a), SIGUSR2);
    weft_signal_stop(a);
    CHECK_EQ(weft_chan_len(a), 0);
    CHECK_EQ(weft_chan_len(b), 0);
    weft_chan_free(a);
    weft_chan_free(b);
    return 0;
}

TEST(several_channels_for_one_signal)
{
    run(several, NULL);
}

TEST(a_full_channel_drops)
{
    weft_chan *one = ints(1), *all = ints(100), *shut = ints(1);
    CHECK_EQ(weft_signal_notify(one, WEFT_SIGNALS(SIGUSR1)), 0);
    CHECK_EQ(weft_signal_notify(shut, WEFT_SIGNALS(SIGUSR1)), 0);
    CHECK_EQ(weft_signal_notify(all, WEFT_SIGNALS(SIGUSR1)), 0);
    weft_chan_close(shut);
    for (int i = 0; i < 100; i++)
        raise(SIGUSR1); /* its handler has run: each counts */
    weft_signal_stop(all);
    CHECK_EQ(weft_chan_len(all), 100);
    CHECK_EQ(weft_chan_len(one), 1);
    weft_signal_stop(one);
    weft_signal_stop(shut);
    weft_chan_free(one);
    weft_chan_free(all);
    weft_chan_free(shut);
}

static int wait_for_alarm(void *arg)
{
    weft_chan *c = ints(1);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    (void)arg;
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGALRM)), 0);
    CHECK_EQ(setitimer(ITIMER_REAL, &soon, NULL), 0);
    CHECK_EQ(next_of(c), SIGALRM); /* nobody else could wake it: not a deadlock all the same */
    weft_signal_stop(c);
    weft_chan_free(c);
    return 0;
}

TEST(who_waits_for_a_signal_is_not_in_a_deadlock)
{
    run_with(wait_for_alarm, NULL, 1);
}

static weft_chan *kept;

static int receives_from_kept(void *arg)
{
    (void)arg;
    raise(SIGUSR1);
    CHECK_EQ(next_of(kept), SIGUSR1);
    return 0;
}

TEST(it_lasts_over_several_runs)
{
    kept = ints(1);
    CHECK_EQ(weft_signal_notify(kept, WEFT_SIGNALS(SIGUSR1)), 0);
    for (int i = 0; i < 3; i++) {
        run(receives_from_kept, NULL);
        CHECK_EQ(receives_from_kept(NULL), 0); /* and between them */
    }
    weft_signal_stop(kept);
    weft_chan_free(kept);
}

/* ---- dispositions ---- */

static _Atomic int called;

static void own_handler(int n)
{
    (void)n;
    at_add(&called, 1);
}

static void own_handler_info(int n, siginfo_t *info, void *uc)
{
    CHECK(uc != NULL);
    CHECK_EQ(info->si_signo, n);
    at_add(&called, 100);
}

static void *handler_of(int n)
{
    struct sigaction now;
    CHECK_EQ(sigaction(n, NULL, &now), 0);
    return (void *)(uintptr_t)now.sa_handler;
}

TEST(the_default_is_back_after_the_last_stop)
{
    int status;
    weft_chan *a = ints(1), *b = ints(1);
    CHECK_EQ(weft_signal_notify(a, WEFT_SIGNALS(SIGTERM)), 0);
    CHECK_EQ(weft_signal_notify(b, WEFT_SIGNALS(SIGTERM)), 0);
    weft_signal_stop(a);
    raise(SIGTERM); /* still b's */
    CHECK_EQ(next_of(b), SIGTERM);
    weft_signal_stop(b);
    weft_signal_stop(b);
    weft_signal_stop(NULL);
    CHECK(handler_of(SIGTERM) == (void *)SIG_DFL);
    pid_t pid = fork();
    if (pid == 0) {
        raise(SIGTERM);
        _exit(0);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
    weft_chan_free(a);
    weft_chan_free(b);
}

TEST(a_handler_from_before_is_called_and_put_back)
{
    weft_chan *c = ints(4);
    struct sigaction with_info = {.sa_sigaction = own_handler_info, .sa_flags = SA_SIGINFO};
    signal(SIGUSR1, own_handler);
    CHECK_EQ(sigaction(SIGUSR2, &with_info, NULL), 0);
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGUSR1, SIGUSR2)), 0);
    raise(SIGUSR1);
    CHECK_EQ(next_of(c), SIGUSR1);
    CHECK_EQ(at_load(&called), 1);
    raise(SIGUSR2);
    CHECK_EQ(next_of(c), SIGUSR2);
    CHECK_EQ(at_load(&called), 101);
    weft_signal_stop(c);
    CHECK(handler_of(SIGUSR1) == (void *)(uintptr_t)own_handler);
    CHECK(handler_of(SIGUSR2) == (void *)(uintptr_t)own_handler_info);
    raise(SIGUSR1);
    CHECK_EQ(at_load(&called), 102);
    weft_chan_free(c);
}

TEST(a_handler_that_replaced_ours_is_left_alone)
{
    weft_chan *c = ints(1);
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGUSR1)), 0);
    signal(SIGUSR1, own_handler);
    weft_signal_stop(c);
    CHECK(handler_of(SIGUSR1) == (void *)(uintptr_t)own_handler);
    weft_chan_free(c);
}

TEST(ignored_signals)
{
    weft_chan *c = ints(1);
    CHECK(!weft_signal_ignored(SIGHUP));
    signal(SIGHUP, SIG_IGN);
    CHECK(weft_signal_ignored(SIGHUP));
    CHECK(!weft_signal_ignored(0));
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGHUP)), 0);
    CHECK(!weft_signal_ignored(SIGHUP));
    raise(SIGHUP);
    CHECK_EQ(next_of(c), SIGHUP);
    weft_signal_stop(c);
    CHECK(weft_signal_ignored(SIGHUP));
    raise(SIGHUP);
    CHECK_EQ(weft_chan_len(c), 0);
    weft_chan_free(c);
}

static int quits(void *arg)
{
    weft_chan *c = ints(1);
    int p[2], old = dup(2);
    char text[64];
    (void)arg;
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(dup2(p[1], 2), 2);
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGQUIT)), 0);
    raise(SIGQUIT);
    CHECK_EQ(next_of(c), SIGQUIT);
    weft_signal_stop(c);
    CHECK_EQ(write(p[1], "no dump", 7), 7);
    CHECK_EQ(read(p[0], text, 7), 7);
    CHECK(memcmp(text, "no dump", 7) == 0);
    raise(SIGQUIT);
    CHECK_EQ(read(p[0], text, 13), 13);
    CHECK(memcmp(text, "weft: SIGQUIT", 13) == 0);
    dup2(old, 2);
    weft_chan_free(c);
    return 0;
}

TEST(no_dump_while_somebody_is_notified_of_SIGQUIT)
{
    unsetenv("WEFT_SIGQUIT");
    run(quits, NULL);
}

/* ---- what is refused ---- */

static void check_refused(int n, int code, const char *why)
{
    char text[256];
    weft_chan *c = ints(1);
    const int both[] = {SIGUSR1, n};
    void *was = handler_of(SIGUSR1);
    CHECK_EQ(weft_signal_notify(c, both, 2), code);
    weft_error *e = weft_error_take(code);
    weft_error_format(e, text, sizeof text);
    CHECK_MSG(strstr(text, why) != NULL, "\"%s\" does not say \"%s\"", text, why);
    weft_error_free(e);
    CHECK(handler_of(SIGUSR1) == was); /* all or nothing */
    weft_chan_free(c);
}

static int refused_in_a_run(void *arg)
{
    (void)arg;
    check_refused(SIGUSR2, -EBUSY, "preempt_signal");
    check_refused(SIGURG, -EBUSY, "the runtime preempts by it");
    return 0;
}

TEST(what_is_refused)
{
    weft_ctx *x = NULL;
    weft_chan *c = ints(1), *bytes = NULL;
    check_refused(SIGURG, -EBUSY, "SIGURG");
    check_refused(SIGKILL, -EINVAL, "no process can catch it");
    check_refused(SIGSTOP, -EINVAL, "no process can catch it");
    check_refused(SIGSEGV, -EINVAL, "cannot go on");
    check_refused(0, -EINVAL, "no such signal");
    check_refused(-1, -EINVAL, "no such signal");
    check_refused(65, -EINVAL, "no such signal");
    check_refused(32, -EINVAL, "no such signal");
    CHECK_EQ(weft_signal_notify(c, NULL, 0), -EINVAL);
    CHECK_EQ(weft_signal_notify(NULL, WEFT_SIGNALS(SIGINT)), -EINVAL);
    CHECK_EQ(weft_chan_new(1, 1, &bytes), 0);
    CHECK_EQ(weft_signal_notify(bytes, WEFT_SIGNALS(SIGINT)), -EINVAL);
    CHECK_EQ(weft_signal_context(weft_ctx_background(), WEFT_SIGNALS(SIGURG), &x), -EBUSY);
    CHECK(x == NULL);
    weft_run_opts o = {.size = sizeof o, .preempt_signal = SIGUSR2, .workers = 1};
    int result = -1;
    CHECK_EQ(weft_run(refused_in_a_run, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
    weft_chan_free(c);
    weft_chan_free(bytes);
}

static void no_log(void *arg, int level, const char *text)
{
    CHECK_EQ(level, WEFT_LOG_ERROR);
    strncpy(arg, text, 127);
}

TEST(a_run_cannot_preempt_by_a_signal_that_is_taken)
{
    char text[128] = "";
    weft_chan *c = ints(1);
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGUSR2)), 0);
    weft_set_log(no_log, text);
    weft_run_opts o = {.size = sizeof o, .preempt_signal = SIGUSR2};
    CHECK_EQ(weft_run(receives, NULL, &o, NULL), -EINVAL);
    CHECK(strstr(text, "weft_signal_notify") != NULL);
    weft_signal_stop(c);
    CHECK_EQ(weft_run(receives, NULL, &o, NULL), 0);
    weft_chan_free(c);
}

/* ---- contexts ---- */

static int sleeps_for_ever(void *arg)
{
    (void)arg;
    return weft_sleep(3600 * WEFT_SEC);
}

static int under_a_context(void *arg)
{
    weft_ctx *x = NULL;
    char text[128];
    (void)arg;
    CHECK_EQ(weft_signal_context(weft_ctx_current(), WEFT_SIGNALS(SIGINT, SIGTERM), &x), 0);
    CHECK_EQ(weft_ctx_err(x), 0);
    {
        WEFT_WITH(w, x);
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, sleeps_for_ever, NULL), 0);
        raise(SIGTERM);
        CHECK_EQ(weft_wait(&s), -ECANCELED);
    }
    CHECK_EQ(weft_ctx_err(x), -ECANCELED);
    weft_error_format(weft_ctx_cause(x), text, sizeof text);
    CHECK(strstr(text, "SIGTERM") != NULL);
    raise(SIGINT); /* changes nothing */
    weft_signal_context_stop(x);
    CHECK(handler_of(SIGINT) == (void *)SIG_DFL);
    weft_signal_context_stop(x);
    weft_ctx_free(x);
    return 0;
}

TEST(a_context_ends_by_a_signal)
{
    for (unsigned workers = 1; workers <= 3; workers++)
        run_with(under_a_context, NULL, workers);
}

static int contexts_end(void *arg)
{
    weft_ctx *x = NULL, *parent = weft_ctx_with_cancel(weft_ctx_background());
    (void)arg;
    CHECK_EQ(weft_signal_context(parent, WEFT_SIGNALS(SIGINT), &x), 0);
    weft_ctx_cancel(parent);
    CHECK_EQ(weft_ctx_err(x), -ECANCELED);
    raise(SIGINT); /* still taken, until the stop */
    weft_signal_context_stop(x);
    weft_ctx_free(x);
    weft_ctx_free(parent);
    CHECK_EQ(weft_signal_context(weft_ctx_background(), WEFT_SIGNALS(SIGINT), &x), 0);
    weft_signal_context_stop(x); /* ends it too */
    CHECK_EQ(weft_ctx_err(x), -ECANCELED);
    weft_ctx_free(x);
    CHECK_EQ(weft_signal_context(weft_ctx_background(), WEFT_SIGNALS(SIGINT), &x), 0);
    raise(SIGINT);
    weft_signal_context_stop(x); /* after an arrival that the courier may not have seen yet */
    CHECK(strstr(weft_error_message(weft_ctx_cause(x)), "SIGINT") != NULL);
    weft_ctx_free(x);
    weft_signal_context_stop(NULL);
    return 0;
}

TEST(ways_in_which_such_a_context_ends)
{
    run(contexts_end, NULL);
    CHECK_EQ(contexts_end(NULL), 0);
}

/* ---- all at once ---- */

enum { ROUNDS = 300, PARTIES = 3 };
static _Atomic int over;

static void *raises(void *arg)
{
    (void)arg;
    while (!at_load(&over))
        kill(getpid(), SIGUSR1);
    return NULL;
}

static int comes_and_goes(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        weft_chan *c = ints((size_t)i % 3);
        CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGUSR1, SIGUSR2)), 0);
        if (i % 3 == 0)
            CHECK_EQ(next_of(c), SIGUSR1);
        weft_signal_stop(c);
        size_t len = weft_chan_len(c);
        weft_yield();
        CHECK_EQ(weft_chan_len(c), len); /* nothing after the stop */
        weft_chan_free(c);
    }
    return 0;
}

static int all_at_once(void *arg)
{
    (void)arg;
    WEFT_SCOPE(s);
    for (int i = 0; i < PARTIES; i++)
        CHECK_EQ(weft_go(&s, comes_and_goes, NULL), 0);
    return weft_wait(&s);
}

TEST(signals_while_channels_come_and_go)
{
    pthread_t t;
    weft_chan *c = ints(1); /* keeps the default away */
    CHECK_EQ(weft_signal_notify(c, WEFT_SIGNALS(SIGUSR1)), 0);
    CHECK_EQ(pthread_create(&t, NULL, raises, NULL), 0);
    run(all_at_once, NULL);
    at_store(&over, 1);
    pthread_join(t, NULL);
    weft_signal_stop(c);
    weft_chan_free(c);
}
