// SPDX-License-Identifier: Apache-2.0
/*
 * proto.c - what the protocol functions cost, alone: bytes in memory, no socket, no fiber.
 *
 * Questions: how much of a WebSocket upgrade (about 12 us of server CPU in all) is parsing; whether
 * unmasking and UTF-8 validation stay far above what a socket delivers (some GB/s).
 *
 * Each row is measured in 15 rounds of some milliseconds, the rows taking turns so that a change of
 * the machine's mood hits all; printed are the median and, as a comment, the least and the most:
 *
 *     name value unit    # min max
 */
#include <weft/http1.h>
#include <weft/utf8.h>
#include <weft/wsproto.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { ROUNDS = 15, BUFFER = 16384 };

static const char upgrade_text[] =
    "GET /connection/websocket HTTP/1.1\r\n"
    "Host: app.example.org:8000\r\n"
    "Connection: Upgrade\r\n"
    "Pragma: no-cache\r\n"
    "Cache-Control: no-cache\r\n"
    "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/120.0.0.0 Safari/537.36\r\n"
    "Upgrade: websocket\r\n"
    "Origin: https://app.example.org\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Accept-Encoding: gzip, deflate, br\r\n"
    "Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\n"
    "Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    "\r\n";
static const char hello_text[] = "GET / HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n";

static char ascii[BUFFER], mixed[BUFFER], frames[BUFFER], scratch[BUFFER];
static size_t mixed_len, frames_len;
static volatile uint64_t sink;

/* Each returns the bytes it went through. */

static size_t parse_upgrade(void)
{
    struct weft_http1_head h;
    weft_http1_request_init(&h, NULL);
    return (size_t)weft_http1_head_parse(&h, upgrade_text, sizeof upgrade_text - 1);
}

static size_t parse_hello(void)
{
    struct weft_http1_head h;
    weft_http1_request_init(&h, NULL);
    return (size_t)weft_http1_head_parse(&h, hello_text, sizeof hello_text - 1);
}

static size_t whole_upgrade(void)
{
    struct weft_http1_head h;
    struct weft_ws_upgrade up;
    char out[256];
    weft_http1_request_init(&h, NULL);
    ssize_t n = weft_http1_head_parse(&h, upgrade_text, sizeof upgrade_text - 1);
    if (weft_ws_upgrade_check(&h, &up) < 0)
        abort();
    n += weft_ws_upgrade_accept(&up, (struct weft_span){NULL, 0}, out, sizeof out);
    return (size_t)n;
}

static size_t unmask(void)
{
    static const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    weft_ws_mask(scratch, scratch, sizeof scratch, mask, 1);
    return sizeof scratch;
}

static size_t utf8_ascii(void)
{
    return weft_utf8_valid(ascii, sizeof ascii) ? sizeof ascii : 0;
}

static size_t utf8_mixed(void)
{
    return weft_utf8_valid(mixed, mixed_len) ? mixed_len : 0;
}

/* 128-byte text messages of a client, as a server reads them; masks are zero, so that the buffer
 * survives. Returns the messages. */
static size_t read_messages(void)
{
    struct weft_ws_reader r;
    struct weft_ws_event ev;
    size_t messages = 0;
    weft_ws_reader_init(&r, WEFT_WS_SERVER, 0);
    for (size_t at = 0; at < frames_len; messages++) {
        ssize_t n = weft_ws_reader_next(&r, frames + at, frames_len - at, &ev);
        if (n <= 0 || !ev.last)
            abort();
        at += (size_t)n;
    }
    return messages;
}

static const struct row {
    const char *name, *unit;
    size_t (*run)(void);
    bool per_call; /* ns a call; else GB/s, or ns a unit that run counts */
    int calls;
} rows[] = {
    {"http1_parse_hello", "ns", parse_hello, true, 20000},
    {"http1_parse_upgrade", "ns", parse_upgrade, true, 5000},
    {"ws_upgrade_whole", "ns", whole_upgrade, true, 4000},
    {"ws_unmask_16k", "GB/s", unmask, false, 3000},
    {"utf8_ascii_16k", "GB/s", utf8_ascii, false, 3000},
    {"utf8_mixed_16k", "GB/s", utf8_mixed, false, 300},
    {"ws_read_message_128", "ns", read_messages, false, 500},
};
enum { ROWS = sizeof rows / sizeof *rows };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double measure(const struct row *row)
{
    double start = now_ns(), units = 0;
    for (int i = 0; i < row->calls; i++) {
        size_t n = row->run();
        sink += n;
        units += (double)n;
    }
    double ns = now_ns() - start;
    if (row->per_call)
        return ns / row->calls;
    return row->unit[0] == 'G' ? units / ns : ns / units;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void prepare(void)
{
    static const char words[] = "caf\xc3\xa9 \xd0\xbf\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82 "
                                "\xe4\xbd\xa0\xe5\xa5\xbd \xf0\x9f\x98\x80 and some ascii. ";
    static const uint8_t mask[4] = {0};
    memset(ascii, 'a', sizeof ascii);
    for (; mixed_len + sizeof words - 1 <= sizeof mixed; mixed_len += sizeof words - 1)
        memcpy(mixed + mixed_len, words, sizeof words - 1);
    while (frames_len + WEFT_WS_HEAD_MAX + 128 <= sizeof frames) {
        frames_len += weft_ws_frame_head(frames + frames_len, WEFT_WS_OP_TEXT, true, 128, mask);
        memset(frames + frames_len, 'm', 128);
        frames_len += 128;
    }
}

int main(void)
{
    static double samples[ROWS][ROUNDS];
    prepare();
    for (int round = -1; round < ROUNDS; round++) /* the first warms up */
        for (int i = 0; i < ROWS; i++) {
            double v = measure(&rows[i]);
            if (round >= 0)
                samples[i][round] = v;
        }
    for (int i = 0; i < ROWS; i++) {
        double *s = samples[i];
        qsort(s, ROUNDS, sizeof *s, ascending);
        printf("%s %.4g %s    # %.4g %.4g\n", rows[i].name, s[ROUNDS / 2], rows[i].unit, s[0],
            s[ROUNDS - 1]);
    }
    return 0;
}
