// SPDX-License-Identifier: Apache-2.0
/*
 * test_http1_text.c - writing heads, dates and phrases; lists, queries and percent-encoding.
 */
#include "proto_test.h"

#include <weft/http1.h>

#include <errno.h>
#include <time.h>

TEST(write_a_response)
{
    char buf[512];
    struct weft_http1_writer w;
    weft_http1_write_response(&w, buf, sizeof buf, 200);
    weft_http1_write_text(&w, "Content-Type", "text/plain");
    weft_http1_write_number(&w, "Content-Length", UINT64_MAX);
    weft_http1_write_number(&w, "X", 0);
    weft_http1_write_field(&w, "Empty", (struct weft_span){NULL, 0});
    ssize_t n = weft_http1_write_end(&w);
    CHECK(n > 0);
    CHECK_SPAN(((struct weft_span){buf, (size_t)n}),
        "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"
        "Content-Length: 18446744073709551615\r\nX: 0\r\nEmpty: \r\n\r\n");
    for (size_t cap = 0; cap < (size_t)n; cap++) {
        char *small = malloc(cap ? cap : 1);
        CHECK(small);
        weft_http1_write_response(&w, small, cap, 200);
        weft_http1_write_text(&w, "Content-Type", "text/plain");
        weft_http1_write_number(&w, "Content-Length", UINT64_MAX);
        weft_http1_write_number(&w, "X", 0);
        weft_http1_write_text(&w, "Empty", "");
        CHECK_EQ(weft_http1_write_end(&w), -ENOBUFS);
        free(small);
    }
}

TEST(write_a_request_that_parses)
{
    char buf[512];
    struct weft_http1_writer w;
    struct weft_http1_head h;
    weft_http1_write_request(
        &w, buf, sizeof buf, "POST", weft_span_of("/a?b=%20"), weft_span_of("[::1]:80"));
    weft_http1_write_text(&w, "X-A", "b c");
    ssize_t n = weft_http1_write_end(&w);
    weft_http1_request_init(&h, NULL);
    CHECK_EQ(weft_http1_head_parse(&h, buf, (size_t)n), n);
    CHECK_EQ(h.method, WEFT_HTTP1_POST);
    CHECK_SPAN(h.target, "/a?b=%20");
    CHECK_SPAN(h.host, "[::1]:80");
    CHECK_SPAN(weft_http1_field_get(&h, "x-a"), "b c");
}

/* Nothing that the application passes can end a line. */
TEST(injection_is_refused)
{
    char buf[512];
    struct weft_http1_writer w;
    static const struct weft_span values[] = {
        LIT("a\r\nSet-Cookie: x"), LIT("a\n"), LIT("\r"), LIT("a\0b"), LIT("\x7f")};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        weft_http1_write_response(&w, buf, sizeof buf, 200);
        weft_http1_write_field(&w, "X", values[i]);
        weft_http1_write_text(&w, "Y", "fine");
        CHECK_EQ(weft_http1_write_end(&w), -EINVAL);
    }
    static const char *const names[] = {"", "a b", "a:", "a\r\n", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        weft_http1_write_response(&w, buf, sizeof buf, 200);
        weft_http1_write_text(&w, names[i], "v");
        CHECK_EQ(weft_http1_write_end(&w), -EINVAL);
    }
    static const int codes[] = {-1, 0, 99, 1000};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        weft_http1_write_response(&w, buf, sizeof buf, codes[i]);
        CHECK_EQ(weft_http1_write_end(&w), -EINVAL);
    }
    static const char *const lines[][3] = {{"GET", "/ HTTP/1.1\r\nX: y", "h"}, {"GET", "", "h"},
        {"G T", "/", "h"}, {"", "/", "h"}, {"GET", "/", "h\r\nX: y"}, {"GET", "/", "a b"},
        {"GET", "/a#b", "h"}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        weft_http1_write_request(
            &w, buf, sizeof buf, lines[i][0], weft_span_of(lines[i][1]), weft_span_of(lines[i][2]));
        CHECK_EQ(weft_http1_write_end(&w), -EINVAL);
    }
}

TEST(reason_phrases)
{
    static const struct {
        int code;
        const char *want;
    } cases[] = {{100, "Continue"}, {101, "Switching Protocols"}, {103, "Early Hints"}, {200, "OK"},
        {204, "No Content"}, {304, "Not Modified"}, {306, ""}, {308, "Permanent Redirect"},
        {400, "Bad Request"}, {404, "Not Found"}, {413, "Content Too Large"}, {418, ""},
        {421, "Misdirected Request"}, {426, "Upgrade Required"}, {427, ""},
        {429, "Too Many Requests"}, {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"}, {500, "Internal Server Error"},
        {505, "HTTP Version Not Supported"}, {511, "Network Authentication Required"}, {512, ""},
        {599, ""}, {600, ""}, {99, ""}, {0, ""}, {-1, ""}, {999, ""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_STR(weft_http1_reason(cases[i].code), cases[i].want);
}

TEST(dates_agree_with_libc)
{
    static const int64_t edges[] = {0, 784111777, 951782399, 951782400, 951868799, 951868800,
        1709164800, 1709251199, 1709251200, 4107542399, 4107542400, 4133980799, 4133980800,
        INT64_C(13574563200), INT64_C(253402300799), 68169599, 68169600, 94694399};
    uint64_t rng = rnd_start();
    for (size_t i = 0; i < 20000; i++) {
        int64_t t = i < sizeof edges / sizeof *edges
                        ? edges[i]
                        : (int64_t)(rnd(&rng) % UINT64_C(253402300800));
        char ours[WEFT_HTTP1_DATE_BYTES + 1] = {0}, libc[64];
        struct tm tm;
        time_t as_time = (time_t)t;
        CHECK(gmtime_r(&as_time, &tm));
        strftime(libc, sizeof libc, "%a, %d %b %Y %H:%M:%S GMT", &tm); /* in the C locale */
        weft_http1_date(ours, t);
        CHECK_STR(ours, libc);
    }
    char low[WEFT_HTTP1_DATE_BYTES + 1] = {0}, high[WEFT_HTTP1_DATE_BYTES + 1] = {0};
    weft_http1_date(low, -5);
    weft_http1_date(high, INT64_MAX);
    CHECK_STR(low, "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK_STR(high, "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST(lists)
{
    struct weft_span rest = LIT(" a , ,b,\tc d\t,,"), item;
    CHECK(weft_http1_list_next(&rest, &item));
    CHECK_SPAN(item, "a");
    CHECK(weft_http1_list_next(&rest, &item));
    CHECK_SPAN(item, "b");
    CHECK(weft_http1_list_next(&rest, &item));
    CHECK_SPAN(item, "c d");
    CHECK(!weft_http1_list_next(&rest, &item));
    rest = (struct weft_span){NULL, 0};
    CHECK(!weft_http1_list_next(&rest, &item));
}

TEST(spans)
{
    CHECK(weft_span_is_nocase(weft_span_of("ChUnKeD"), "chunked"));
    CHECK(!weft_span_is_nocase(weft_span_of("chunke"), "chunked"));
    CHECK(!weft_span_is_nocase(weft_span_of("^"), "~")); /* differ by the case bit only */
    CHECK(!weft_span_is_nocase(weft_span_of("@"), "`"));
    CHECK(!weft_span_is_nocase(weft_span_of(NULL), ""));
    CHECK(weft_span_is_nocase(weft_span_of(""), ""));
}

TEST(percent_decoding)
{
    static const struct {
        const char *in;
        bool plus;
        const char *want; /* NULL: refused */
    } cases[] = {{"", false, ""}, {"abc", false, "abc"}, {"a%20b", false, "a b"},
        {"a+b", false, "a+b"}, {"a+b", true, "a b"}, {"%2B", true, "+"},
        {"%c3%A9", false, "\xc3\xa9"}, {"%41%42", false, "AB"}, {"%", false, NULL},
        {"%4", false, NULL}, {"%4g", false, NULL}, {"%g4", false, NULL}, {"%%41", false, NULL},
        {"a%", false, NULL}, {"%+1", true, NULL}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct weft_span in = weft_span_of(cases[i].in);
        char *block = exact(in.data, in.len);
        ssize_t n = weft_http1_percent_decode(
            (struct weft_span){block, in.len}, cases[i].plus, block, in.len); /* in place */
        if (cases[i].want)
            CHECK_SPAN(((struct weft_span){block, (size_t)n}), cases[i].want);
        else
            CHECK_EQ(n, -EINVAL);
        free(block);
    }
    char out[2];
    CHECK_EQ(weft_http1_percent_decode(weft_span_of("abc"), false, out, 2), -ENOBUFS);
    CHECK_EQ(weft_http1_percent_decode(weft_span_of("%00"), false, out, 2), 1);
    CHECK_EQ(out[0], 0);
}

TEST(percent_round_trip)
{
    uint64_t rng = rnd_start();
    for (int round = 0; round < 500; round++) {
        char in[64], coded[192], out[64];
        size_t len = rnd_below(&rng, sizeof in);
        for (size_t i = 0; i < len; i++)
            in[i] = (char)rnd(&rng);
        ssize_t n = weft_http1_percent_encode((struct weft_span){in, len}, coded, 3 * len);
        CHECK(n >= (ssize_t)len);
        for (ssize_t i = 0; i < n; i++)
            CHECK(strchr("%-._~", coded[i]) || (coded[i] >= '0' && coded[i] <= '9') ||
                  ((coded[i] | 32) >= 'a' && (coded[i] | 32) <= 'z'));
        CHECK_EQ(
            weft_http1_percent_decode((struct weft_span){coded, (size_t)n}, false, out, len), len);
        CHECK(memcmp(in, out, len) == 0);
        if (n > 0)
            CHECK_EQ(weft_http1_percent_encode((struct weft_span){in, len}, coded, (size_t)n - 1),
                -ENOBUFS);
    }
}

TEST(queries)
{
    struct weft_span q = LIT("a=1&b&&c=&a=2&d%65f=x%3Dy&e=f=g&+k=v&"), v;
    CHECK_EQ(weft_http1_query_get(q, "a", &v), 1);
    CHECK_SPAN(v, "1");
    CHECK_EQ(weft_http1_query_get(q, "b", &v), 1);
    CHECK_SPAN(v, "");
    CHECK_EQ(weft_http1_query_get(q, "c", &v), 1);
    CHECK_SPAN(v, "");
    CHECK_EQ(weft_http1_query_get(q, "def", &v), 1);
    CHECK_SPAN(v, "x%3Dy");
    CHECK_EQ(weft_http1_query_get(q, "e", &v), 1);
    CHECK_SPAN(v, "f=g");
    CHECK_EQ(weft_http1_query_get(q, " k", &v), 1);
    CHECK_SPAN(v, "v");
    CHECK_EQ(weft_http1_query_get(q, "A", &v), 0);
    CHECK_EQ(weft_http1_query_get(q, "", &v), 0);
    CHECK_EQ(weft_http1_query_get(q, "aa", &v), 0);
    CHECK_EQ(weft_http1_query_get((struct weft_span){NULL, 0}, "a", &v), 0);
    CHECK_EQ(weft_http1_query_get(LIT("a%=1&a%0"), "a%", &v), 0); /* broken escapes match nothing */
    CHECK_EQ(weft_http1_query_get(LIT("a%00b=1"), "a", &v), 0);
    CHECK_EQ(weft_http1_query_get(LIT("=1"), "", &v), 1);
    struct weft_span rest = LIT("x=1&&y"), name;
    CHECK(weft_http1_query_next(&rest, &name, &v));
    CHECK(weft_span_is(name, "x") && weft_span_is(v, "1"));
    CHECK(weft_http1_query_next(&rest, &name, &v));
    CHECK(weft_span_is(name, "y") && v.data == NULL);
    CHECK(!weft_http1_query_next(&rest, &name, &v));
}
