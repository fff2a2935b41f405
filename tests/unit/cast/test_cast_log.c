// SPDX-License-Identifier: Apache-2.0
/* test_cast_log.c - lines of the log are whole JSON in the right order, and never waited for. */
#include "log/cast_log.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/weftcast-log-XXXXXX";
static FILE *reader;

static void open_log(const char *level)
{
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(cast_log_open(level, path), 0);
    reader = fopen(path, "r");
    CHECK(reader != NULL);
}

/* The next line; "" at the end. */
static const char *next_line(void)
{
    static char line[8192];
    if (!fgets(line, sizeof line, reader))
        line[0] = '\0';
    return line;
}

TEST(a_line)
{
    open_log("info");
    cast_log(CAST_LOG_INFO, "using config file", LOG_STR("path", "config.json"), LOG_INT("n", -5),
        LOG_BOOL("on", true), LOG_STR("error", NULL));
    cast_log(CAST_LOG_WARN, "bare");
    cast_log(CAST_LOG_DEBUG, "not seen");
    const char *line = next_line();
    const char *head = "{\"level\":\"info\",\"path\":\"config.json\",\"n\":-5,\"on\":true,"
                       "\"error\":\"\",\"time\":\"20";
    CHECK_MSG(strncmp(line, head, strlen(head)) == 0, "%s", line);
    const char *tail = "Z\",\"message\":\"using config file\"}\n";
    CHECK_STR(line + strlen(line) - strlen(tail), tail);
    line = next_line();
    CHECK(strncmp(line, "{\"level\":\"warn\",\"time\":", 23) == 0);
    CHECK_STR(next_line(), "");
    cast_log_close();
    unlink(path);
}

TEST(any_text_gives_json)
{
    char longer[9000];
    memset(longer, '"', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    open_log("trace");
    cast_log(CAST_LOG_TRACE, "q\"\\\n\t\x01\x7f", LOG_STR("bad", "a\xff\xc3z\xed\xa0\x80"),
        LOG_STR("good", "\xc3\xa9\xf0\x9f\x98\x80"));
    cast_log(CAST_LOG_ERROR, longer, LOG_STR("a", longer), LOG_STR("b", longer),
        LOG_STR("c", longer), LOG_STR(longer, "k"));
    for (int i = 0; i < 2; i++) {
        json_error_t at;
        const char *line = next_line();
        json_t *j = json_loads(line, 0, &at);
        CHECK_MSG(j != NULL, "%s in %s", at.text, line);
        CHECK(strlen(line) <= 4096);
        CHECK(json_object_get(j, "message") != NULL);
        if (i == 0) {
            CHECK_STR(json_string_value(json_object_get(j, "message")), "q\"\\\n\t\x01\x7f");
            CHECK_STR(json_string_value(json_object_get(j, "good")), "\xc3\xa9\xf0\x9f\x98\x80");
        }
        json_decref(j);
    }
    cast_log_close();
    unlink(path);
}

TEST(levels)
{
    enum cast_log_level level = CAST_LOG_NONE;
    CHECK(cast_log_parse_level("trace", &level));
    CHECK_EQ(level, CAST_LOG_TRACE);
    CHECK(!cast_log_parse_level("loud", &level));
    CHECK_EQ(cast_log_open("loud", NULL), -EINVAL);
    CHECK_EQ(cast_log_open("info", "/nonexistent/file"), -ENOENT);
    CHECK_EQ(cast_log_open("none", NULL), 0);
    CHECK(!cast_log_enabled(CAST_LOG_FATAL));
    CHECK(!cast_log_enabled(CAST_LOG_NONE));
    cast_log_close();
    CHECK(cast_log_enabled(CAST_LOG_INFO));
    CHECK(!cast_log_enabled(CAST_LOG_DEBUG));
}

/* Reads all that is in a pipe; returns the number of lines. */
static int drain(int fd, char *buf, size_t buf_bytes)
{
    size_t bytes = 0;
    ssize_t n;
    int lines = 0;
    while (bytes < buf_bytes - 1 && (n = read(fd, buf + bytes, buf_bytes - 1 - bytes)) > 0)
        bytes += (size_t)n;
    buf[bytes] = '\0';
    for (size_t i = 0; i < bytes; i++)
        lines += buf[i] == '\n';
    return lines;
}

/* A pipe that nobody reads: writing must not wait, and the reader learns how many lines are
 * missing. */
TEST(a_stalled_reader)
{
    enum { LINES = 2000 };
    static char buf[1 << 18];
    int p[2], saved = dup(1), lost = 0;
    CHECK_EQ(pipe(p), 0);
    CHECK_EQ(fcntl(p[0], F_SETFL, O_NONBLOCK), 0);
    dup2(p[1], 1);
    CHECK_EQ(cast_log_open("info", NULL), 0);
    for (int i = 0; i < LINES; i++)
        cast_log(CAST_LOG_INFO, "a line that is about a hundred bytes long, with its fields",
            LOG_INT("i", i));
    int dropped = (int)cast_log_dropped(), lines = drain(p[0], buf, sizeof buf);
    cast_log(CAST_LOG_INFO, "again");
    dup2(saved, 1);
    CHECK_MSG(dropped > 0 && dropped < LINES, "%d dropped", dropped);
    CHECK_EQ(lines + dropped, LINES);
    CHECK_EQ(drain(p[0], buf, sizeof buf), 2);
    CHECK(strstr(buf, "again") != NULL);
    CHECK(strstr(buf, "log lines were dropped") != NULL);
    const char *at = strstr(buf, "\"lines\":");
    CHECK(at != NULL && sscanf(at, "\"lines\":%d", &lost) == 1);
    CHECK_EQ(lost, dropped);
}

static void *log_many(void *arg)
{
    for (int i = 0; i < 2000; i++)
        cast_log(CAST_LOG_INFO, "from a thread", LOG_STR("who", arg), LOG_INT("i", i));
    return NULL;
}

TEST(threads_do_not_mix_lines)
{
    pthread_t t[4];
    static char names[4][2] = {"a", "b", "c", "d"};
    int lines = 0;
    open_log("info");
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    for (const char *line = next_line(); *line; line = next_line()) {
        json_t *j = json_loads(line, 0, NULL);
        CHECK_MSG(j != NULL, "%s", line);
        json_decref(j);
        lines++;
    }
    CHECK_EQ(lines + (int)cast_log_dropped(), 8000);
    CHECK_EQ(cast_log_dropped(), 0);
    cast_log_close();
    unlink(path);
}

/* On a terminal a line is for people. */
TEST(a_terminal)
{
    char buf[2000];
    int pty = posix_openpt(O_RDWR | O_NOCTTY), saved = dup(1);
    CHECK(pty >= 0);
    CHECK_EQ(grantpt(pty), 0);
    CHECK_EQ(unlockpt(pty), 0);
    int side = open(ptsname(pty), O_RDWR | O_NOCTTY);
    CHECK(side >= 0);
    dup2(side, 1);
    CHECK_EQ(cast_log_open("info", NULL), 0);
    cast_log(CAST_LOG_WARN, "a message", LOG_STR("plain", "a.b"), LOG_STR("quoted", "a \"b\""),
        LOG_INT("n", 7), LOG_BOOL("on", false));
    dup2(saved, 1);
    ssize_t n = read(pty, buf, sizeof buf - 1);
    CHECK(n > 0);
    buf[n] = '\0';
    CHECK_MSG(strstr(buf, " [WRN] a message plain=a.b quoted=\"a \\\"b\\\"\" n=7 on=false") != NULL,
        "%s", buf);
}
