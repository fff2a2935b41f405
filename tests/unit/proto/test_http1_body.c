// SPDX-License-Identifier: Apache-2.0
/*
 * test_http1_body.c - bodies by length, by chunks and until close; what is refused; limits; and
 * that no cut of the input changes what comes out.
 */
#include "proto_test.h"

#include <weft/http1.h>

#include <errno.h>

#define CHUNKED_HEAD "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

/* What a body came to. */
struct outcome {
    char data[4096];
    size_t len;
    size_t used;
    int error, status;
    bool done, at_trailers;
};

static void start(struct weft_http1_body *b, const char *head_text,
    const struct weft_http1_limits *limits, bool keep_trailers)
{
    struct weft_http1_head h;
    weft_http1_request_init(&h, limits);
    CHECK_EQ(weft_http1_head_parse(&h, head_text, strlen(head_text)), strlen(head_text));
    weft_http1_body_init(b, &h);
    b->keep_trailers = keep_trailers;
}

/* Reads one block to its end, or to the body's. */
static void read_block(struct weft_http1_body *b, const char *in, size_t len, struct outcome *o)
{
    char *block = exact(in, len);
    size_t at = 0;
    while (at < len && !b->done && !o->error) {
        struct weft_span data = {NULL, 99};
        ssize_t n = weft_http1_body_read(b, block + at, len - at, &data);
        if (n < 0) {
            o->error = (int)n;
            o->status = b->status;
            CHECK(b->problem && *b->problem);
            CHECK_EQ(weft_http1_body_read(b, block + at, len - at, &data), n);
            break;
        }
        CHECK(n > 0 && (size_t)n <= len - at);
        if (data.len) {
            CHECK(data.data >= block + at && data.data + data.len <= block + at + (size_t)n);
            CHECK(o->len + data.len <= sizeof o->data);
            memcpy(o->data + o->len, data.data, data.len);
            o->len += data.len;
        }
        at += (size_t)n;
    }
    o->used += at;
    free(block);
}

static void finish(const struct weft_http1_body *b, struct outcome *o)
{
    o->done = b->done;
    o->at_trailers = b->at_trailers;
    CHECK_EQ(b->taken, o->len);
}

static struct outcome run_pieces(const char *head, struct weft_span text,
    const struct weft_http1_limits *limits, bool keep_trailers, size_t piece, size_t first)
{
    struct weft_http1_body b;
    struct outcome o = {0};
    start(&b, head, limits, keep_trailers);
    for (size_t at = 0; at < text.len;) {
        size_t n = at == 0 && first ? first : piece;
        if (n > text.len - at)
            n = text.len - at;
        read_block(&b, text.data + at, n, &o);
        at += n;
    }
    finish(&b, &o);
    return o;
}

/* Whole, byte by byte, and every cut in two: the same outcome. */
static struct outcome run(const char *head, struct weft_span text,
    const struct weft_http1_limits *limits, bool keep_trailers)
{
    struct outcome whole = run_pieces(head, text, limits, keep_trailers, SIZE_MAX, 0);
    for (size_t cut = 0; cut < text.len; cut++) {
        struct outcome o = cut ? run_pieces(head, text, limits, keep_trailers, SIZE_MAX, cut)
                               : run_pieces(head, text, limits, keep_trailers, 1, 0);
        CHECK_MSG(o.error == whole.error && o.status == whole.status && o.done == whole.done &&
                      o.at_trailers == whole.at_trailers,
            "cut %zu changes the verdict of:\n%s", cut, text.data);
        if (!o.error) {
            CHECK_EQ(o.used, whole.used);
            CHECK(o.len == whole.len && memcmp(o.data, whole.data, o.len) == 0);
        }
    }
    return whole;
}

static void check_data(const struct outcome *o, const char *want)
{
    CHECK_MSG(o->error == 0 && o->done, "error %d", o->error);
    CHECK_SPAN(((struct weft_span){o->data, o->len}), want);
}

TEST(by_length)
{
    struct outcome o = run(
        "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", LIT("helloGET /"), NULL, false);
    check_data(&o, "hello");
    CHECK_EQ(o.used, 5);
    struct weft_http1_body b;
    start(&b, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", NULL, false);
    CHECK(b.done);
    start(&b, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", NULL, false);
    CHECK(b.done);
    CHECK_EQ(weft_http1_body_eof(&b), 0);
}

TEST(by_chunks)
{
    static const struct {
        struct weft_span text;
        const char *want;
        size_t left;
    } good[] = {
        {LIT("0\r\n\r\n"), "", 0},
        {LIT("5\r\nhello\r\n0\r\n\r\n"), "hello", 0},
        {LIT("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\nGET"), "hello world", 3},
        {LIT("0000000000000005\r\nhello\r\n000\r\n\r\n"), "hello", 0},
        {LIT("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n"), "01234567890123456789", 0},
        {LIT("5;a=b;c=\"d e\"\r\nhello\r\n0;last\r\n\r\n"), "hello", 0},
        {LIT("4\r\n\r\n\r\n\r\n0\r\n\r\n"), "\r\n\r\n", 0},
        {LIT("1\r\nx\r\n0\r\nA: b\r\nC-D:\te \xc3\xa9\r\n\r\n"), "x", 0},
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct outcome o = run(CHUNKED_HEAD, good[i].text, NULL, false);
        check_data(&o, good[i].want);
        CHECK_EQ(good[i].text.len - o.used, good[i].left);
    }
}

TEST(chunks_refused)
{
    static const struct weft_span bad[] = {LIT("\r\n"), LIT("x\r\n"), LIT("-1\r\n"), LIT("+1\r\nx"),
        LIT("0x1\r\nx"), LIT(" 1\r\nx"), LIT("1 \r\nx"), LIT("1\t;a\r\nx"), LIT("1\nx\r\n"),
        LIT("1\rx\r\n"), LIT("1\r\nxy\r\n"), LIT("1\r\nx\n"), LIT("1\r\nx\r0"), LIT("1\r\nx0\r\n"),
        LIT("00000000000000001\r\nx"), LIT("1;a\nb\r\nx"), LIT("1;\0\r\nx"), LIT("1;\x7f\r\nx"),
        LIT("0\r\nx: \x7f\r\n\r\n"), LIT("1;a\rb\r\n"), LIT(";a\r\n"), LIT("0\r\n\rx"),
        LIT("0\r\nx\r\n"), LIT("0\r\n x: y\r\n\r\n"), LIT("0\r\nx : y\r\n\r\n"),
        LIT("0\r\nx: y\n\r\n"), LIT("0\r\nx: y\rz\n"), LIT("0\r\n: y\r\n\r\n"), LIT("0\r\n\n"),
        LIT("0\n\r\n")};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct outcome o = run(CHUNKED_HEAD, bad[i], NULL, false);
        CHECK_MSG(o.error == -EBADMSG, "accepted (%d): %s", o.error, bad[i].data);
        CHECK_EQ(o.status, 400);
        CHECK(!o.done);
    }
}

TEST(limit_of_data)
{
    struct weft_http1_limits l = {.size = sizeof l, .body_bytes = 10};
    struct outcome o = run(CHUNKED_HEAD, LIT("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"), &l, false);
    check_data(&o, "helloworld");
    o = run(CHUNKED_HEAD, LIT("5\r\nhello\r\n6\r\nworld!\r\n0\r\n\r\n"), &l, false);
    CHECK_EQ(o.error, -EMSGSIZE);
    CHECK_EQ(o.status, 413);
    CHECK_EQ(o.len, 5); /* refused at the size line */
    o = run(CHUNKED_HEAD, LIT("FFFFFFFFFFFFFFFF\r\nx"), &l, false);
    CHECK_EQ(o.error, -EMSGSIZE);
    l.body_bytes = UINT64_MAX;
    o = run(CHUNKED_HEAD, LIT("1\r\nx\r\nFFFFFFFFFFFFFFFF\r\nx"), &l, false);
    CHECK_EQ(o.error, -EMSGSIZE); /* more than can be counted, even without a limit */
}

TEST(limit_of_framing)
{
    struct weft_http1_limits l = {.size = sizeof l, .head_bytes = 64};
    char text[512];
    size_t len;
    struct weft_http1_head h;
    struct weft_http1_body b;
    weft_http1_request_init(&h, NULL);
    CHECK(weft_http1_head_parse(&h, CHUNKED_HEAD, sizeof CHUNKED_HEAD - 1) > 0);
    h.limits.head_bytes = l.head_bytes;
    struct {
        const char *format;
        int pad, error;
    } cases[] = {{"1;%0*d\r\n", 60, 0}, {"1;%0*d\r\n", 70, -EMSGSIZE}, {"0\r\nX: %0*d\r\n", 58, 0},
        {"0\r\nX: %0*d\r\n", 70, -EMSGSIZE}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct outcome o = {0};
        weft_http1_body_init(&b, &h);
        len = (size_t)snprintf(text, sizeof text, cases[i].format, cases[i].pad, 0);
        read_block(&b, text, len, &o);
        CHECK_EQ(o.error, cases[i].error);
        CHECK_EQ(o.status, cases[i].error ? 431 : 0);
    }
    /* An extension with every chunk is fine as long as the data outweighs it. */
    struct outcome o = {0};
    weft_http1_body_init(&b, &h);
    for (int i = 0; i < 20; i++) {
        len = (size_t)snprintf(text, sizeof text, "40;signature=%020d\r\n%064d\r\n", i, i);
        read_block(&b, text, len, &o);
        CHECK_EQ(o.error, 0);
    }
    CHECK_EQ(b.taken, 20 * 64);
}

TEST(trailers_left_to_the_caller)
{
    struct weft_span text = LIT("1\r\nx\r\n0\r\nDigest: y\r\n\r\nrest");
    struct outcome o = run(CHUNKED_HEAD, text, NULL, true);
    check_data(&o, "x");
    CHECK(o.at_trailers);
    struct weft_http1_head t;
    weft_http1_trailer_init(&t, NULL);
    CHECK_EQ(weft_http1_head_parse(&t, text.data + o.used, text.len - o.used), 13);
    CHECK_SPAN(weft_http1_field_get(&t, "digest"), "y");
    CHECK_EQ(text.len - o.used - 13, 4);
}

TEST(end_of_the_connection)
{
    struct weft_http1_head h;
    struct weft_http1_body b;
    struct weft_span data;
    weft_http1_response_init(&h, NULL, WEFT_HTTP1_GET);
    CHECK(weft_http1_head_parse(&h, "HTTP/1.0 200 OK\r\n\r\n", 19) == 19);
    weft_http1_body_init(&b, &h);
    CHECK_EQ(weft_http1_body_read(&b, "abc", 3, &data), 3);
    CHECK_SPAN(data, "abc");
    CHECK(!b.done);
    CHECK_EQ(weft_http1_body_eof(&b), 0);
    CHECK(b.done);

    h.limits.body_bytes = 5;
    weft_http1_body_init(&b, &h);
    CHECK_EQ(weft_http1_body_read(&b, "abc", 3, &data), 3);
    CHECK_EQ(weft_http1_body_read(&b, "def", 3, &data), -EMSGSIZE);
    CHECK_EQ(b.status, 502);
    CHECK_EQ(weft_http1_body_eof(&b), -EMSGSIZE);

    start(&b, CHUNKED_HEAD, NULL, false);
    CHECK_EQ(weft_http1_body_read(&b, "2\r\na", 4, &data), 4);
    CHECK_EQ(weft_http1_body_eof(&b), -EBADMSG);
    start(&b, "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", NULL, false);
    CHECK_EQ(weft_http1_body_read(&b, "ab", 2, &data), 2);
    CHECK_EQ(weft_http1_body_eof(&b), -EBADMSG);
}

TEST(chunk_heads)
{
    static const struct {
        uint64_t bytes;
        const char *want;
    } cases[] = {{1, "1\r\n"}, {15, "f\r\n"}, {16, "10\r\n"}, {0xabcdef, "abcdef\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *out = malloc(WEFT_HTTP1_CHUNK_HEAD_BYTES);
        CHECK(out);
        size_t n = weft_http1_chunk_head(out, cases[i].bytes);
        CHECK_SPAN(((struct weft_span){out, n}), cases[i].want);
        free(out);
    }
}

/* Data cut into random chunks by our encoder comes back whole from our decoder, whatever the reads.
 */
TEST(encode_decode_round_trip)
{
    uint64_t rng = rnd_start();
    for (int round = 0; round < 300; round++) {
        char data[2048], wire[16384];
        size_t len = rnd_below(&rng, sizeof data), at = 0, wire_len = 0;
        for (size_t i = 0; i < len; i++)
            data[i] = (char)rnd(&rng);
        while (at < len) {
            size_t n = rnd_below(&rng, 200) + 1;
            n = n < len - at ? n : len - at;
            wire_len += weft_http1_chunk_head(wire + wire_len, n);
            memcpy(wire + wire_len, data + at, n);
            memcpy(wire + wire_len + n, WEFT_HTTP1_CHUNK_END, 2);
            wire_len += n + 2;
            at += n;
        }
        memcpy(wire + wire_len, WEFT_HTTP1_LAST_CHUNK, 5);
        wire_len += 5;
        struct outcome o = run_pieces(CHUNKED_HEAD, (struct weft_span){wire, wire_len}, NULL, false,
            rnd_below(&rng, 64) + 1, rnd_below(&rng, 64));
        CHECK(o.done && !o.error && o.used == wire_len);
        CHECK(o.len == len && memcmp(o.data, data, len) == 0);
    }
}

TEST(random_changes_and_cuts_agree)
{
    struct weft_span seed = LIT("5;a=b\r\nhello\r\n3\r\nxyz\r\n0\r\nA: b\r\n\r\n");
    static const char alphabet[] = "\r\n\r\n 0123fF;:\tA\0\x7f\x80";
    uint64_t rng = rnd_start();
    for (int round = 0; round < 1000; round++) {
        char text[64];
        memcpy(text, seed.data, seed.len + 1);
        for (size_t changes = rnd_below(&rng, 3) + 1; changes > 0; changes--)
            text[rnd_below(&rng, seed.len)] = alphabet[rnd_below(&rng, sizeof alphabet - 1)];
        struct outcome o = run(CHUNKED_HEAD, (struct weft_span){text, seed.len}, NULL, round & 1);
        CHECK(o.used <= seed.len);
    }
}
