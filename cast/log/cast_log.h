// SPDX-License-Identifier: Apache-2.0
/*
 * cast_log.h - weftcast's log: one JSON object a line, or readable lines on a terminal.
 *
 *     {"level":"info","path":"config.json","time":"2026-01-02T03:04:05Z","message":"using config
 * file"}
 *
 * Keys and their order are Centrifugo's, so that its dashboards and filters keep working: level,
 * error, the fields in the order given, time, message.
 *
 * A line is built on the caller's stack and written by one write(2) to a file descriptor that is
 * never waited for: when the reader of a pipe stalls, lines are dropped and counted, and the next
 * line that gets through says how many. So a shard may log from its event loop.
 *
 * Concurrency: any thread, any fiber; a line is never torn. The log may be opened anew while others
 * write to it; _open and _close themselves are one thread's at a time.
 */
#ifndef CAST_LOG_H
#define CAST_LOG_H
#include <stdbool.h>
#include <stdint.h>

enum cast_log_level {
    CAST_LOG_TRACE,
    CAST_LOG_DEBUG,
    CAST_LOG_INFO,
    CAST_LOG_WARN,
    CAST_LOG_ERROR,
    CAST_LOG_FATAL, /* only the word: the caller exits */
    CAST_LOG_NONE,
};

/** Sets level and destination. file "" or NULL is standard output. Returns 0 or a negative errno
 * (the file could not be opened; the log stays as it was). Also reopens, after a rotation. */
int cast_log_open(const char *level, const char *file);
/** Back to standard output at level info. */
void cast_log_close(void);
/** Parses a level's name; false for an unknown one (ret untouched). */
bool cast_log_parse_level(const char *name, enum cast_log_level *ret_level);
/** Whether a line of this level would be written: ask before costly preparations. */
bool cast_log_enabled(enum cast_log_level level);

/** One field: made by the macros below. */
struct cast_log_field {
    const char *key;
    enum { CAST_LOG_STR, CAST_LOG_INT, CAST_LOG_BOOL, CAST_LOG_RAW } kind;
    union {
        const char *str;
        int64_t num;
        bool flag;
    };
};
#define LOG_STR(k, v)                                                                              \
    (struct cast_log_field)                                                                        \
    {                                                                                              \
        .key = (k), .kind = CAST_LOG_STR, .str = (v)                                               \
    }
#define LOG_INT(k, v)                                                                              \
    (struct cast_log_field)                                                                        \
    {                                                                                              \
        .key = (k), .kind = CAST_LOG_INT, .num = (int64_t)(v)                                      \
    }
#define LOG_BOOL(k, v)                                                                             \
    (struct cast_log_field)                                                                        \
    {                                                                                              \
        .key = (k), .kind = CAST_LOG_BOOL, .flag = (v)                                             \
    }

/** Writes one line. fields ends with a field whose key is NULL. Never parks, never fails. */
void cast_log_write(
    enum cast_log_level level, const char *message, const struct cast_log_field *fields);
/** cast_log(CAST_LOG_INFO, "serving", LOG_STR("address", a), LOG_INT("port", p)); */
#define cast_log(level, message, ...)                                                              \
    do {                                                                                           \
        if (cast_log_enabled(level)) {                                                             \
            const struct cast_log_field cast_log_fields_[] = {__VA_ARGS__ __VA_OPT__(, ){0}};      \
            cast_log_write((level), (message), cast_log_fields_);                                  \
        }                                                                                          \
    } while (0)
/** Lines dropped so far because the reader did not keep up. */
uint64_t cast_log_dropped(void);
#endif
