// SPDX-License-Identifier: Apache-2.0
/* test_diag.c - dumps name what a person needs; the debug server answers; fatal ends print stacks;
 * gdb unwinds a fiber. */
#include <weft/weft.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump_text.h"

typedef WEFT_CHAN_OF(int) int_chan;
static int_chan jobs;
static weft_mutex cache = WEFT_MUTEX_NAMED("cache");
static volatile int burning, stop;

__attribute__((noinline)) static int waits_for_jobs(void *arg)
{
    int v = 0;
    (void)arg;
    CHECK_EQ(weft_set_name("worker"), 0);
    CHECK_EQ(weft_label("queue", "blue"), 0);
    int rc = weft_recv(jobs, &v);
    __asm__ volatile("" ::"r"(&v)); /* no tail call: the frame is looked for */
    return rc < 0 ? rc : 0;
}

__attribute__((noinline)) static int waits_for_cache(void *arg)
{
    (void)arg;
    weft_mutex_lock(&cache);
    weft_mutex_unlock(&cache);
    return 0;
}

__attribute__((noinline)) static int burns(void *arg)
{
    (void)arg;
    burning = 1;
    while (!stop)
        __asm__ volatile("");
    return 0;
}

/* The page at `path` of the debug server, by a blocking socket. */
static char *get(const char *path)
{
    char address[64], request[256];
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(weft_debug_address(address, sizeof address) > 0);
    in.sin_port = htons((uint16_t)atoi(strrchr(address, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&in, sizeof in), 0);
    int n = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path);
    CHECK_EQ(write(fd, request, (size_t)n), n);
    char *text = read_all(fd);
    close(fd);
    return text;
}

static void with_fibers(void (*look)(void))
{
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_chan_make(&jobs, 0), 0);
    weft_chan_set_name(jobs, "jobs");
    weft_mutex_lock(&cache);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_go(&s, waits_for_jobs, NULL), 0);
    CHECK_EQ(weft_go(&s, waits_for_cache, NULL), 0);
    dump_until("[chan receive for ", 3);
    dump_until("[mutex lock for ", 1);
    look();
    weft_mutex_unlock(&cache);
    weft_chan_close(jobs);
    CHECK_EQ(weft_wait(&s), 0);
    weft_chan_free(jobs);
}

static void look_at_dump(void)
{
    char *t = dump_text();
    need(t, "\"worker\" [chan receive for ");
    need(t, "on channel \"jobs\" (made at ");
    need(t, "{queue=blue}:");
    need(t, "    weft_chan_recv\n");
    need(t, "    waits_for_jobs\n");
    need(t, "test_diag.c:");
    need(t, "[mutex lock for ");
    need(t, "mutex \"cache\" (made at ");
    need(t, "started by fiber 1 in ");
}

static int dump_app(void *arg)
{
    with_fibers((void (*)(void))arg);
    return 0;
}

static void run(unsigned workers, void (*look)(void))
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = workers};
    CHECK_EQ(weft_run(dump_app, (void *)look, &o, &result), 0);
    CHECK_EQ(result, 0);
}

TEST(dump_names_fiber_state_object_and_lines)
{
    run(2, look_at_dump);
}

static void look_at_pages(void)
{
    CHECK_EQ(weft_debug_listen("127.0.0.1:0"), 0);
    CHECK_EQ(weft_debug_listen("127.0.0.1:0"), -EALREADY);
    char *t = get("/debug/pprof/goroutine?debug=1");
    need(t, "HTTP/1.1 200 OK\r\n");
    need(t, "goroutine profile: total 5\n");
    need(t, "\n3 @ 0x");
    need(t, "waits_for_jobs+0x");
    need(get("/debug/pprof/goroutine?debug=2"), "on channel \"jobs\"");
    t = get("/metrics");
    need(t, "go_goroutines 5\n");
    need(t, "weft_workers 1\n");
    need(t, "weft_parks_total{reason=\"chan receive\"} 3\n");
    need(t, "# TYPE weft_poll_seconds_total counter\nweft_poll_seconds_total ");
    need(t, "weft_cold_stacks 0\n");
    need(t, "weft_cold_bytes 0\n");
    need(t, "weft_cold_frozen_total 0\n");
    need(t, "weft_cold_thawed_total 0\n");
    need(get("/debug/pprof/"), "goroutine?debug=2");
    need(get("/"), "/debug/pprof/");
    need(get("/nothing"), "HTTP/1.1 404 ");
}

TEST(debug_server_answers)
{
    unsetenv("WEFT_WORKERS"); /* the case counts them */
    run(1, look_at_pages);
}

static int burning_app(void *arg)
{
    (void)arg;
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, burns, NULL), 0);
    while (!burning)
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    dump_until("    burns\n", 1); /* on a crowded machine it may not answer in time */
    stop = 1;
    return weft_wait(&s);
}

TEST(a_running_fiber_shows_its_stack)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer keeps signals from busy code");
#endif
    int result = -1;
    for (unsigned w = 1; w <= 2; w++) {
        weft_run_opts o = {.size = sizeof o, .workers = w};
        stop = burning = 0;
        CHECK_EQ(weft_run(burning_app, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
    }
}

static int deadlock_app(void *arg)
{
    int v;
    (void)arg;
    CHECK_EQ(weft_chan_make(&jobs, 0), 0);
    return weft_recv(jobs, &v);
}

static void deadlock(void)
{
    exit(weft_main(deadlock_app, NULL));
}
TEST(deadlock_prints_every_stack)
{
#ifdef WEFT_TSAN_FIBERS
    test_skip("ThreadSanitizer has a thread of its own");
#endif
    EXPECT_DEATH(deadlock, "    deadlock_app\n");
}

static int misuse_app(void *arg)
{
    (void)arg;
    weft_set_name("clumsy");
    weft_mutex_unlock(&cache);
    return 0;
}

static void misuse(void)
{
    exit(weft_main(misuse_app, NULL));
}
TEST(misuse_names_the_fiber)
{
    EXPECT_DEATH(misuse, "on fiber 1 \"clumsy\":\n");
}
TEST(misuse_prints_the_stack)
{
    EXPECT_DEATH(misuse, "    misuse_app\n");
}

static int quit_app(void *arg)
{
    int v, p[2], saved = dup(2);
    (void)arg;
    CHECK_EQ(weft_chan_make(&jobs, 0), 0);
    CHECK_EQ(pipe(p), 0);
    dup2(p[1], 2);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&s, waits_for_jobs, NULL), 0);
    dump_until("[chan receive for ", 1);
    CHECK_EQ(kill(getpid(), SIGQUIT), 0);
    static char text[65536];
    size_t len = 0;
    while (!strstr(text, "waits_for_jobs\n")) {
        ssize_t n = weft_read(p[0], text + len, sizeof text - 1 - len);
        CHECK(n > 0);
        len += (size_t)n;
    }
    dup2(saved, 2);
    need(text, "weft: SIGQUIT: every fiber and pinned loop of process ");
    (void)v;
    weft_scope_cancel(&s);
    weft_wait(&s);
    return 0;
}

TEST(sigquit_dumps_and_goes_on)
{
    int result = -1;
    CHECK_EQ(weft_run(quit_app, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
}

/* gdb stops the process inside a fiber and must reach the fiber's entry, and end there. */
__attribute__((noinline)) static void gdb_looks_here(void)
{
    char cmd[256];
    snprintf(
        cmd, sizeof cmd, "gdb -q -batch -nx -p %d -ex 'thread apply all bt' 2>&1", (int)getpid());
    weft_blocking_begin();
    FILE *f = popen(cmd, "r");
    static char text[1 << 20];
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f)
        pclose(f);
    weft_blocking_end();
    char *at = strstr(text, "gdb_looks_here");
    if (!at && strstr(text, "ptrace"))
        test_skip("gdb may not attach here (ptrace is restricted)");
    CHECK_MSG(at, "gdb shows no fiber:\n%s", text);
    at = strstr(at, "arch_start"); /* gdb may print weft__x as weft.x, as if it were Ada */
    CHECK_MSG(at, "gdb does not reach the fiber's entry:\n%s", text);
    char *end = strstr(at, "\n\n");
    CHECK_MSG(!strstr(at, "corrupt stack") && (!end || !memchr(at, '#', (size_t)(end - at))),
        "gdb goes on past the entry:\n%s", at);
}

static int gdb_app(void *arg)
{
    (void)arg;
    gdb_looks_here();
    return 0;
}

TEST(gdb_unwinds_a_fiber_to_its_entry)
{
    int result = -1;
    if (system("command -v gdb >/dev/null 2>&1") != 0)
        test_skip("gdb is not installed");
    CHECK_EQ(weft_run(gdb_app, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
}

static _Atomic int readers;

static int reads_a_byte(void *arg)
{
    char byte;
    ssize_t n = weft_read(((const int *)arg)[0], &byte, 1);
    readers--;
    return (int)n - 1;
}

static int polls_app(void *arg)
{
    weft_stats s = {.size = sizeof s}, later = s;
    int p[2];
    char byte = 'x';
    (void)arg;
    CHECK_EQ(pipe2(p, O_NONBLOCK | O_CLOEXEC), 0);
    WEFT_SCOPE(scope);
    readers = 1;
    CHECK_EQ(weft_go(&scope, reads_a_byte, p), 0);
    while (s.polls < 3) { /* a worker with nothing to run looks before it sleeps */
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
        CHECK_EQ(readers, 1);
        weft_stats_read(&s);
    }
    CHECK(s.poll_ns > 0);
    do {
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
        CHECK_EQ(readers, 1);
        weft_stats_read(&later);
    } while (later.polls == s.polls);
    CHECK(later.poll_ns > s.poll_ns);
    CHECK(s.cold_stacks == 0 && s.cold_bytes == 0 && s.cold_frozen == 0 && s.cold_thawed == 0);
    CHECK_EQ(weft_write(p[1], &byte, 1), 1);
    return weft_wait(&scope);
}

TEST(stats_count_looks_into_the_poller)
{
    int result = -1;
    CHECK_EQ(weft_run(polls_app, NULL, NULL, &result), 0);
    CHECK_EQ(result, 0);
}

/* A program compiled when the structure ended with threads_idle. */
TEST(stats_of_an_older_size)
{
    enum { OLD = offsetof(weft_stats, poll_ns), BEYOND = 0x5a };
    weft_stats s;
    memset(&s, BEYOND, sizeof s);
    s.size = OLD;
    weft_stats_read(&s);
    CHECK_EQ(s.size, OLD);
    CHECK_EQ(s.fibers, 0);
    for (size_t i = OLD; i < sizeof s; i++)
        CHECK_EQ(((const unsigned char *)&s)[i], BEYOND);
}

static int stats_app(void *arg)
{
    weft_stats s = {.size = sizeof s};
    (void)arg;
    weft_yield();
    weft_stats_read(&s);
    CHECK_EQ(s.fibers, 1);
    CHECK_EQ(s.workers, 2);
    CHECK(s.spawned >= 1 && s.threads >= 1);
    return 0;
}

TEST(stats_are_read)
{
    int result = -1;
    unsetenv("WEFT_WORKERS"); /* the case counts them */
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    CHECK_EQ(weft_run(stats_app, NULL, &o, &result), 0);
}
