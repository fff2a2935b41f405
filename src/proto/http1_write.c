// SPDX-License-Identifier: Apache-2.0
/*
 * http1_write.c - formats heads into the caller's buffer, and dates and phrases for them.
 *
 * Errors are remembered in the writer and reported once, by weft_http1_write_end: ten checks in a
 * row are ten chances to forget one. Names, values and targets are checked on the way out as they
 * are on the way in, so no value of the application can end a line and begin a header of its own.
 *
 * Dates are computed, not formatted by libc: strftime follows the locale, gmtime takes a lock for
 * the time zone. Days are turned into a date by counting years from March, so that the leap day is
 * last.
 *
 * Concurrency: pure; a writer belongs to one thread of control at a time. Progress: wait-free.
 */
#include "base/fatal.h"
#include "proto/http1_chars.h"

#include <weft/http1.h>

#include <errno.h>

static void put(struct weft_http1_writer *w, const char *data, size_t len)
{
    if (w->error)
        return;
    WEFT_ASSERT(w->len <= w->cap);
    if (len > w->cap - w->len) {
        w->error = -ENOBUFS;
        return;
    }
    if (len)
        memcpy(w->buf + w->len, data, len);
    w->len += len;
}

static void put_span(struct weft_http1_writer *w, struct weft_span s)
{
    put(w, s.data, s.len);
}

static void put_text(struct weft_http1_writer *w, const char *text)
{
    put(w, text, strlen(text));
}

static void require(struct weft_http1_writer *w, bool allowed)
{
    if (!allowed && !w->error)
        w->error = -EINVAL;
}

static bool is_token(struct weft_span s)
{
    return s.len > 0 && weft__all_class(s, WEFT__TOKEN);
}

/* ---- heads ---- */

void weft_http1_write_response(struct weft_http1_writer *w, char *buf, size_t cap, int code)
{
    *w = (struct weft_http1_writer){.buf = buf, .cap = cap};
    require(w, code >= 100 && code <= 999);
    char line[] = "HTTP/1.1 000 ";
    line[9] = (char)('0' + code / 100 % 10);
    line[10] = (char)('0' + code / 10 % 10);
    line[11] = (char)('0' + code % 10);
    put(w, line, sizeof line - 1);
    put_text(w, weft_http1_reason(code));
    put_text(w, "\r\n");
}

void weft_http1_write_request(struct weft_http1_writer *w, char *buf, size_t cap,
    const char *method, struct weft_span target, struct weft_span host)
{
    *w = (struct weft_http1_writer){.buf = buf, .cap = cap};
    require(w, is_token(weft_span_of(method)));
    require(w, target.len > 0 && weft__all_class(target, WEFT__TARGET));
    require(w, weft__all_class(host, WEFT__HOST));
    put_text(w, method);
    put_text(w, " ");
    put_span(w, target);
    put_text(w, " HTTP/1.1\r\nHost: ");
    put_span(w, host);
    put_text(w, "\r\n");
}

void weft_http1_write_field(struct weft_http1_writer *w, const char *name, struct weft_span value)
{
    struct weft_span n = weft_span_of(name);
    require(w, is_token(n));
    if (value.len) {
        const char *end = value.data + value.len;
        require(w, weft__http1_find_control(value.data, end) == end);
    }
    put_span(w, n);
    put_text(w, ": ");
    put_span(w, value);
    put_text(w, "\r\n");
}

void weft_http1_write_text(struct weft_http1_writer *w, const char *name, const char *value)
{
    weft_http1_write_field(w, name, weft_span_of(value));
}

void weft_http1_write_number(struct weft_http1_writer *w, const char *name, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    weft_http1_write_field(w, name, (struct weft_span){digits + at, sizeof digits - at});
}

ssize_t weft_http1_write_end(struct weft_http1_writer *w)
{
    put(w, "\r\n", 2);
    return w->error ? w->error : (ssize_t)w->len;
}

/* ---- phrases and dates ---- */

const char *weft_http1_reason(int code)
{
    static const char *const c1[] = {
        "Continue", "Switching Protocols", "Processing", "Early Hints"};
    static const char *const c2[] = {"OK", "Created", "Accepted", "Non-Authoritative Information",
        "No Content", "Reset Content", "Partial Content", "Multi-Status", "Already Reported"};
    static const char *const c3[] = {"Multiple Choices", "Moved Permanently", "Found", "See Other",
        "Not Modified", "Use Proxy", "", "Temporary Redirect", "Permanent Redirect"};
    static const char *const c4[] = {"Bad Request", "Unauthorized", "Payment Required", "Forbidden",
        "Not Found", "Method Not Allowed", "Not Acceptable", "Proxy Authentication Required",
        "Request Timeout", "Conflict", "Gone", "Length Required", "Precondition Failed",
        "Content Too Large", "URI Too Long", "Unsupported Media Type", "Range Not Satisfiable",
        "Expectation Failed", "", "", "", "Misdirected Request", "Unprocessable Content", "Locked",
        "Failed Dependency", "Too Early", "Upgrade Required", "", "Precondition Required",
        "Too Many Requests", "", "Request Header Fields Too Large"};
    static const char *const c5[] = {"Internal Server Error", "Not Implemented", "Bad Gateway",
        "Service Unavailable", "Gateway Timeout", "HTTP Version Not Supported",
        "Variant Also Negotiates", "Insufficient Storage", "Loop Detected", "", "",
        "Network Authentication Required"};
#define PHRASES(table)                                                                             \
    {                                                                                              \
        table, sizeof table / sizeof *table                                                        \
    }
    static const struct {
        const char *const *phrases;
        int count;
    } classes[] = {PHRASES(c1), PHRASES(c2), PHRASES(c3), PHRASES(c4), PHRASES(c5)};
#undef PHRASES
    if (code == 451)
        return "Unavailable For Legal Reasons";
    if (code < 100 || code > 599 || code % 100 >= classes[code / 100 - 1].count)
        return "";
    return classes[code / 100 - 1].phrases[code % 100];
}

static void put_digits(char *out, int count, int64_t value)
{
    for (; count > 0; value /= 10)
        out[--count] = (char)('0' + value % 10);
}

void weft_http1_date(char *out, int64_t unix_s)
{
    static const char *const weekdays[] = {"Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"};
    static const char *const months[] = {
        "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec", "Jan", "Feb"};
    enum { DAY_S = 86400, CENTURIES4 = 146097, CENTURY = 36524, YEARS4 = 1461, YEAR = 365 };
    const int64_t last_s = INT64_C(253402300799); /* 9999-12-31 23:59:59 */
    const int64_t to_march_1600 = 135080;         /* days from 1600-03-01 to 1970-01-01 */
    int64_t t = unix_s < 0 ? 0 : unix_s > last_s ? last_s : unix_s;
    int64_t days = t / DAY_S, s = t % DAY_S;

    /* From 1600-03-01, whole cycles of 400, 100, 4 and 1 years; each cycle's last may be longer. */
    int64_t d = days + to_march_1600, n, year = 1600;
    year += d / CENTURIES4 * 400, d %= CENTURIES4;
    n = d / CENTURY < 3 ? d / CENTURY : 3;
    year += n * 100, d -= n * CENTURY;
    year += d / YEARS4 * 4, d %= YEARS4;
    n = d / YEAR < 3 ? d / YEAR : 3;
    year += n, d -= n * YEAR;
    int64_t month = (5 * d + 2) / 153; /* months from March come in fives of 153 days */
    int64_t day = d - (153 * month + 2) / 5 + 1;
    year += month >= 10;
    WEFT_ASSERT(month >= 0 && month < 12 && day >= 1 && day <= 31);

    memcpy(out, "Thu, 00 Jan 1970 00:00:00 GMT", WEFT_HTTP1_DATE_BYTES);
    memcpy(out, weekdays[days % 7], 3);
    put_digits(out + 5, 2, day);
    memcpy(out + 8, months[month], 3);
    put_digits(out + 12, 4, year);
    put_digits(out + 17, 2, s / 3600);
    put_digits(out + 20, 2, s / 60 % 60);
    put_digits(out + 23, 2, s % 60);
}
