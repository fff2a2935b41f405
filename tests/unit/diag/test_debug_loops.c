// SPDX-License-Identifier: Apache-2.0
/*
 * test_debug_loops.c - looking into a program of pinned loops alone: no weft_run anywhere here.
 *
 * A loop is held in a callback, or left to poll, and the dump must say which, with its counts and
 * its thread's stack; SIGQUIT writes the same and ends the program where asked; the debug pages
 * serve it, and `go tool pprof` finds the names, from the server and from a saved file.
 */
#include <weft/debug.h>
#include <weft/loop.h>
#include <weft/loop_listen.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dump_text.h"

static sem_t entered, let_go;
static weft_loop *loop;
static weft_loop_listener *listener;
static weft_loop_io io;
static weft_loop_timer timer;
static weft_loop_msg first, more[2];

__attribute__((noinline)) static void hangs_here(weft_loop *l, weft_loop_msg *msg)
{
    (void)l, (void)msg;
    sem_post(&entered);
    while (sem_wait(&let_go) < 0)
        CHECK_EQ(errno, EINTR); /* the dump's signal: no system call of a semaphore restarts */
}

static void goes_by(weft_loop *l, weft_loop_msg *msg)
{
    (void)l, (void)msg;
}

static void says_hello(weft_loop *l, weft_loop_msg *msg)
{
    (void)l, (void)msg;
    sem_post(&entered);
}

static void on_io(weft_loop *l, weft_loop_io *i, unsigned events)
{
    (void)l, (void)i, (void)events;
}

static void on_timer(weft_loop *l, weft_loop_timer *t)
{
    (void)l, (void)t;
}

static void on_accept(weft_loop *l, weft_loop_listener *from, int fd, void *arg)
{
    (void)l, (void)from, (void)arg;
    close(fd);
}

/* A loop with a listener, a socket and a timer, turning. */
static void start(void)
{
    int pair[2];
    weft_loop_opts o = {.size = sizeof o, .name = "busy"};
    sem_init(&entered, 0, 0);
    sem_init(&let_go, 0, 0);
    CHECK_EQ(weft_loop_new(&o, &loop), 0);
    CHECK_EQ(weft_loop_listen(loop, "127.0.0.1:0", NULL, on_accept, NULL, &listener), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    CHECK_EQ(weft_loop_io_add(loop, &io, pair[0], WEFT_LOOP_READ, on_io), 0);
    timer.fn = on_timer;
    weft_loop_timer_start(loop, &timer, 3600 * WEFT_SEC, 0);
    CHECK_EQ(weft_loop_start(loop), 0);
}

static void hold_in_callback(void)
{
    first.fn = hangs_here;
    weft_loop_post(loop, &first);
    while (sem_wait(&entered) < 0)
        CHECK_EQ(errno, EINTR);
    for (int i = 0; i < 2; i++) {
        more[i].fn = goes_by;
        weft_loop_post(loop, &more[i]);
    }
}

static void end(void)
{
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_join(loop), 0);
    weft_loop_free(loop);
}

static char *dump(void)
{
    CHECK_EQ(weft_debug_signal(WEFT_DEBUG_GO_ON), 0);
    return dump_text();
}

static void need_busy_loop(const char *t)
{
    need(t, "no fibers\n");
    need(t, "loop 1 \"busy\" [in callback hangs_here, in this turn for ");
    need(t, weft_loop_backend(loop));
    need(t, ", thread ");
    need(t, ", 1 listeners, 1 sockets, 1 timers, 2 messages waiting, ");
#ifndef WEFT_TSAN_FIBERS
    need(t, "    hangs_here\n");
    need(t, "test_debug_loops.c:");
    need(t, "    weft_loop_run\n");
#endif
}

TEST(a_loop_in_a_callback_is_shown_with_its_stack)
{
    start();
    hold_in_callback();
    need_busy_loop(dump());
    sem_post(&let_go);
    end();
    CHECK(!strstr(dump(), "loop 1 "));
}

TEST(a_polling_loop_is_shown_as_such)
{
    weft_loop *other;
    start();
    CHECK_EQ(weft_loop_new(NULL, &other), 0);
    first.fn = says_hello;
    weft_loop_post(loop, &first);
    while (sem_wait(&entered) < 0)
        CHECK_EQ(errno, EINTR);
    char *t;
    while (!strstr(t = dump(), "loop 1 \"busy\" [polling, last turn "))
        ; /* it is on its way there */
    need(t, ", 1 listeners, 1 sockets, 1 timers, 0 messages waiting, ");
#ifndef WEFT_TSAN_FIBERS
    need(t, "    weft_loop_run\n");
#endif
    need(t, "loop 2 \"weft-loop\" [not turning]: ");
    weft_loop_free(other);
    end();
}

/* The child's end, and what it wrote to standard error. */
static char *quits(void (*child)(void), int *ret_status)
{
    int p[2];
    CHECK_EQ(pipe(p), 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        dup2(p[1], 2);
        close(p[0]);
        close(p[1]);
        child();
        _exit(99);
    }
    close(p[1]);
    char *text = read_all(p[0]);
    close(p[0]);
    CHECK_EQ(waitpid(pid, ret_status, 0), pid);
    return text;
}

static void quits_while_busy(void)
{
    CHECK_EQ(weft_debug_signal(WEFT_DEBUG_EXIT), 0);
    start();
    hold_in_callback();
    kill(getpid(), SIGQUIT);
    for (;;)
        pause();
}

TEST(sigquit_writes_loops_and_ends_with_2)
{
    int status;
    char *t = quits(quits_while_busy, &status);
    need(t, "weft: SIGQUIT: every fiber and pinned loop of process ");
    need(t, "loop 1 \"busy\" [in callback hangs_here, in this turn for ");
#ifndef WEFT_TSAN_FIBERS
    need(t, "    hangs_here\n");
#endif
    CHECK(WIFEXITED(status));
    CHECK_EQ(WEXITSTATUS(status), 2);
}

static void on_quit(int sig)
{
    (void)sig;
    _exit(42);
}

static void has_a_handler(void)
{
    signal(SIGQUIT, on_quit);
    CHECK_EQ(weft_debug_signal(WEFT_DEBUG_EXIT), -EBUSY);
    raise(SIGQUIT);
}

static void is_told_not_to(void)
{
    signal(SIGQUIT, SIG_DFL); /* a shell has it ignored in what it starts with & */
    setenv("WEFT_SIGQUIT", "0", 1);
    CHECK_EQ(weft_debug_signal(WEFT_DEBUG_EXIT), -EBUSY);
    raise(SIGQUIT);
}

TEST(sigquit_is_left_to_who_has_it)
{
    int status;
    CHECK_EQ(weft_debug_signal((enum weft_debug_then)7), -EINVAL);
    quits(has_a_handler, &status);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    quits(is_told_not_to, &status);
    CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGQUIT);
}

TEST(pages_are_made_for_other_servers)
{
    weft_debug_page p;
    char question[64];
    start();
    hold_in_callback();
    CHECK_EQ(weft_debug_page_init(&p, "/goroutine", "debug=2"), 0);
    CHECK_EQ(p.status, 200);
    CHECK_EQ(p.bytes, strlen(p.text));
    need_busy_loop(p.text);
    weft_debug_page_fini(&p);
    CHECK_EQ(weft_debug_page_init(&p, "/goroutine", "debug=1"), 0);
    need(p.text, "goroutine profile: total 1\n1 @ 0x");
    need(p.text, "\n--- Memory map: ---\n");
    need(p.text, "r-xp");
#ifndef WEFT_TSAN_FIBERS
    need(p.text, "hangs_here+0x");
#endif
    weft_debug_page_fini(&p);
    snprintf(question, sizeof question, "%p+%p", (void *)hangs_here, (void *)goes_by);
    CHECK_EQ(weft_debug_page_init(&p, "/symbol", question), 0);
    need(p.text, "num_symbols: 1\n0x");
    need(p.text, "\thangs_here\n0x");
    need(p.text, "\tgoes_by\n");
    weft_debug_page_fini(&p);
    CHECK_EQ(weft_debug_page_init(&p, "/", NULL), 0);
    need(p.type, "text/html");
    need(p.text, "\"goroutine?debug=2\"");
    weft_debug_page_fini(&p);
    CHECK_EQ(weft_debug_page_init(&p, "/heap", ""), 0);
    CHECK_EQ(p.status, 404);
    weft_debug_page_fini(&p);
    sem_post(&let_go);
    end();
}

/* What the debug server answers to these bytes. */
static char *talk(const char *request)
{
    char address[64];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(weft_debug_address(address, sizeof address) > 0);
    in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    CHECK_EQ(write(fd, request, strlen(request)), (ssize_t)strlen(request));
    char *text = read_all(fd);
    close(fd);
    return text;
}

TEST(the_debug_server_needs_no_run)
{
    char body[64], request[256];
    start();
    hold_in_callback();
    CHECK_EQ(weft_debug_listen("127.0.0.1:0"), 0);
    need_busy_loop(talk("GET /debug/pprof/goroutine?debug=2 HTTP/1.1\r\nHost: x\r\n\r\n"));
    snprintf(body, sizeof body, "%p", (void *)hangs_here);
    snprintf(request, sizeof request,
        "POST /debug/pprof/symbol HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s",
        strlen(body), body);
    need(talk(request), "\thangs_here\n");
    need(talk("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "go_goroutines 0\n");
    need(talk("GET /debug/pprof/heap HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 404 ");
    need(talk("PUT / HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 400 ");
    sem_post(&let_go);
    end();
}

/* What `go tool pprof -top` says of a source. */
static char *pprof_top(const char *source)
{
    static char text[1 << 16];
    char cmd[512];
    snprintf(cmd, sizeof cmd, "PPROF_TMPDIR=/tmp go tool pprof -top '%s' 2>&1", source);
    FILE *f = popen(cmd, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f)
        pclose(f);
    return text;
}

TEST(pprof_shows_names)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer keeps signals from busy code");
#endif
    char address[64], url[128], path[] = "/tmp/weft-profile-XXXXXX";
    weft_debug_page p;
    if (system("go tool pprof -h >/dev/null 2>&1; test $? -le 2") != 0)
        test_skip("go is not installed");
    start();
    hold_in_callback();
    CHECK_EQ(weft_debug_listen("127.0.0.1:0"), 0);
    CHECK(weft_debug_address(address, sizeof address) > 0);
    snprintf(url, sizeof url, "http://%s/debug/pprof/goroutine", address);
    need(pprof_top(url), " hangs_here");
    CHECK_EQ(weft_debug_page_init(&p, "/goroutine", ""), 0);
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, p.text, p.bytes), (ssize_t)p.bytes);
    close(fd);
    char *top = pprof_top(path);
    unlink(path);
    need(top, " hangs_here");
    need(top, "Type: goroutine");
    weft_debug_page_fini(&p);
    sem_post(&let_go);
    end();
}
