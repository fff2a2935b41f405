// SPDX-License-Identifier: Apache-2.0
/*
 * cast_log.c - lines of the log, built on the stack and written at once or dropped.
 *
 * A line has at most LINE_MOST bytes, which is what a pipe takes in one piece (PIPE_BUF), so lines
 * of several threads do not mix. Before a line is written poll(2) says, without waiting, whether
 * the descriptor takes one; if not, the line is counted and dropped. O_NONBLOCK would be simpler
 * and is wrong: standard output's description is shared with the shell that started us.
 *
 * A value that is too long is cut, at a character's border; a field for which no room is left is
 * left out. So a line is always whole JSON.
 *
 * Concurrency: `lock` covers poll, write and the count, so that two threads do not both find room
 * for one line. It is held for two system calls that do not wait. Level and descriptor are atomics.
 */
#include "log/cast_log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MOST = 4096, TAIL_ROOM = 8, VALUE_MOST = 1500 };

static atomic_int log_level = CAST_LOG_INFO;
static atomic_int log_fd = STDOUT_FILENO;
static atomic_bool log_is_terminal;
static atomic_bool log_asked_terminal; /* whether log_is_terminal has been found out */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static atomic_uint_least64_t dropped;
static uint64_t dropped_told; /* under lock */

static const char *const level_names[] = {
    "trace", "debug", "info", "warn", "error", "fatal", "none"};
static const char *const level_tags[] = {"TRC", "DBG", "INF", "WRN", "ERR", "FTL", ""};

struct line {
    char text[LINE_MOST];
    size_t bytes;
};

bool cast_log_parse_level(const char *name, enum cast_log_level *ret_level)
{
    for (int i = CAST_LOG_TRACE; i <= CAST_LOG_NONE; i++) {
        if (strcmp(level_names[i], name) == 0) {
            *ret_level = (enum cast_log_level)i;
            return true;
        }
    }
    return false;
}

int cast_log_open(const char *level, const char *file)
{
    enum cast_log_level parsed = CAST_LOG_INFO;
    int fd = STDOUT_FILENO;
    if (!cast_log_parse_level(level, &parsed))
        return -EINVAL;
    if (file && *file) {
        fd = open(file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640);
        if (fd < 0)
            return -errno;
    }
    pthread_mutex_lock(&lock); /* nobody is in the middle of a line for the old descriptor */
    int old = atomic_exchange(&log_fd, fd);
    atomic_store(&log_is_terminal, isatty(fd) == 1);
    atomic_store(&log_asked_terminal, true);
    atomic_store(&log_level, (int)parsed);
    pthread_mutex_unlock(&lock);
    if (old != STDOUT_FILENO)
        close(old);
    return 0;
}

void cast_log_close(void)
{
    cast_log_open("info", NULL);
}

bool cast_log_enabled(enum cast_log_level level)
{
    /* [mo:alone: a level that is read late costs one line more or less] */
    return (int)level >= atomic_load_explicit(&log_level, memory_order_relaxed) &&
           level != CAST_LOG_NONE;
}

uint64_t cast_log_dropped(void)
{
    return atomic_load(&dropped);
}

/* --- building ------------------------------------------------------------------------------- */

static bool room_for(const struct line *l, size_t bytes)
{
    return l->bytes + bytes <= LINE_MOST - TAIL_ROOM;
}

static void put(struct line *l, const char *text, size_t bytes)
{
    if (!room_for(l, bytes))
        return;
    memcpy(l->text + l->bytes, text, bytes);
    l->bytes += bytes;
}

static void put_text(struct line *l, const char *text)
{
    put(l, text, strlen(text));
}

/* How many bytes of valid UTF-8 start here; 0 for none. */
static size_t utf8_bytes(const unsigned char *s)
{
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || s[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
        (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return n;
}

/* The inside of a JSON string; bytes that are no UTF-8 become U+FFFD. */
static void put_escaped(struct line *l, const char *text)
{
    const unsigned char *s = (const unsigned char *)text;
    size_t end = l->bytes + VALUE_MOST;
    while (*s && l->bytes < end && room_for(l, 8)) {
        char code[8];
        size_t n = utf8_bytes(s);
        if (*s == '"' || *s == '\\') {
            code[0] = '\\';
            code[1] = (char)*s;
            put(l, code, 2);
        } else if (*s == '\n') {
            put(l, "\\n", 2);
        } else if (*s < 0x20 || *s == 0x7f) {
            snprintf(code, sizeof code, "\\u%04x", *s);
            put(l, code, 6);
        } else if (n == 0) {
            put(l, "\xef\xbf\xbd", 3);
        } else {
            put(l, (const char *)s, n);
        }
        s += n ? n : 1;
    }
}

static void put_json_value(struct line *l, const struct cast_log_field *f)
{
    char digits[32];
    switch (f->kind) {
    case CAST_LOG_STR:
        put(l, "\"", 1);
        put_escaped(l, f->str ? f->str : "");
        put(l, "\"", 1);
        break;
    case CAST_LOG_INT:
        snprintf(digits, sizeof digits, "%lld", (long long)f->num);
        put_text(l, digits);
        break;
    case CAST_LOG_BOOL:
        put_text(l, f->flag ? "true" : "false");
        break;
    case CAST_LOG_RAW:
        put_text(l, f->str);
        break;
    }
}

/* A field whole or not at all: what did not fit is taken back. */
static void put_json_field(struct line *l, const struct cast_log_field *f)
{
    size_t before = l->bytes;
    if (!room_for(l, strlen(f->key) + 64) ||
        (f->kind == CAST_LOG_RAW && !room_for(l, strlen(f->key) + strlen(f->str) + 8)))
        return;
    put(l, "\"", 1);
    put_escaped(l, f->key);
    put(l, "\":", 2);
    size_t value = l->bytes;
    put_json_value(l, f);
    if (f->kind == CAST_LOG_STR && (l->bytes < value + 2 || l->text[l->bytes - 1] != '"'))
        l->bytes = before;
    else
        put(l, ",", 1);
}

static void build_json(struct line *l, enum cast_log_level level, const char *message,
    const struct cast_log_field *fields, time_t now_s)
{
    char stamp[32];
    struct tm tm;
    gmtime_r(&now_s, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
    const struct cast_log_field level_field = LOG_STR("level", level_names[level]),
                                time_field = LOG_STR("time", stamp),
                                message_field = LOG_STR("message", message);
    put(l, "{", 1);
    put_json_field(l, &level_field);
    /* the end is built first, apart, so that it always finds room */
    struct line tail = {.bytes = 0};
    put_json_field(&tail, &time_field);
    put_json_field(&tail, &message_field);
    tail.text[tail.bytes - 1] = '}';
    for (; fields->key; fields++)
        if (l->bytes + tail.bytes + VALUE_MOST + 128 < LINE_MOST - TAIL_ROOM)
            put_json_field(l, fields);
    put(l, tail.text, tail.bytes);
    l->text[l->bytes++] = '\n';
}

static void build_human(struct line *l, enum cast_log_level level, const char *message,
    const struct cast_log_field *fields, time_t now_s)
{
    char stamp[40];
    struct tm tm;
    localtime_r(&now_s, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%d %H:%M:%S ", &tm);
    put_text(l, stamp);
    put(l, "[", 1);
    put_text(l, level_tags[level]);
    put(l, "] ", 2);
    put_escaped(l, message);
    for (; fields->key; fields++) {
        bool quote = fields->kind == CAST_LOG_STR &&
                     (!fields->str || !fields->str[0] || strpbrk(fields->str, " \"\n\t"));
        put(l, " ", 1);
        put_text(l, fields->key);
        put(l, "=", 1);
        if (fields->kind == CAST_LOG_STR && !quote)
            put_escaped(l, fields->str);
        else
            put_json_value(l, fields);
    }
    l->text[l->bytes++] = '\n';
}

/* --- writing -------------------------------------------------------------------------------- */

static bool write_now(int fd, const struct line *l)
{
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (poll(&p, 1, 0) != 1 || !(p.revents & POLLOUT))
        return false;
    ssize_t n;
    do
        n = write(fd, l->text, l->bytes);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)l->bytes;
}

static void build(struct line *l, enum cast_log_level level, const char *message,
    const struct cast_log_field *fields)
{
    l->bytes = 0;
    if (atomic_load(&log_is_terminal))
        build_human(l, level, message, fields, time(NULL));
    else
        build_json(l, level, message, fields, time(NULL));
}

void cast_log_write(
    enum cast_log_level level, const char *message, const struct cast_log_field *fields)
{
    struct line l;
    if (!cast_log_enabled(level))
        return;
    if (!atomic_exchange(&log_asked_terminal, true))
        atomic_store(&log_is_terminal, isatty(atomic_load(&log_fd)) == 1);
    build(&l, level, message, fields);
    pthread_mutex_lock(&lock);
    int fd = atomic_load(&log_fd);
    if (!write_now(fd, &l)) {
        atomic_fetch_add(&dropped, 1);
    } else if (atomic_load(&dropped) != dropped_told) {
        uint64_t now = atomic_load(&dropped);
        const struct cast_log_field lost[] = {LOG_INT("lines", now - dropped_told), {0}};
        build(&l, CAST_LOG_WARN, "log lines were dropped: the reader did not keep up", lost);
        if (write_now(fd, &l))
            dropped_told = now;
    }
    pthread_mutex_unlock(&lock);
}
