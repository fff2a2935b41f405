// SPDX-License-Identifier: Apache-2.0
/*
 * test_bench.c - the parts of the load generator that its figures stand on: the numbers in a
 * payload, the histogram, the frame scanner, the options.
 */
#include "bench/benchopts.h"
#include "bench/latency.h"
#include "bench/payload.h"
#include "bench/serverstat.h"
#include "bench/wsclient.h"
#include "test.h"
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>
#include <weft/wsproto.h>

static uint64_t rng_state;
static uint64_t rnd(void)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state;
}

TEST(payload_numbers)
{
    char data[200], want[200];
    rng_state = test_seed() | 1;
    for (size_t bytes = PAYLOAD_MIN_BYTES; bytes < 190; bytes++) {
        uint64_t seq = rnd() >> (rnd() % 64), ns = rnd() >> (rnd() % 64);
        payload_init(data, bytes);
        payload_set(data, seq, (int64_t)ns);
        int n = snprintf(want, sizeof(want),
            "{\"s\":\"%016" PRIx64 "\",\"t\":\"%016" PRIx64 "\",\"p\":\"", seq, ns);
        CHECK(memcmp(data, want, (size_t)n) == 0);
        CHECK(memcmp(data + bytes - 2, "\"}", 2) == 0);
        CHECK(payload_value(data + PAYLOAD_SEQ_AT) == seq);
        CHECK(payload_value(data + PAYLOAD_TIME_AT) == ns);
    }
}

TEST(histogram_buckets_are_ordered_and_tight)
{
    static struct latency l;
    size_t before = 0;
    for (uint64_t v = 0; v < UINT64_C(1) << 42; v = v < 300 ? v + 1 : v + v / 97) {
        size_t i = latency_bucket(v);
        CHECK(i >= before && i < LATENCY_BUCKETS);
        before = i;
        l = (struct latency){0};
        latency_record(&l, (int64_t)v);
        latency_record(&l, INT64_MAX); // so that the maximum does not cut the bucket
        if (v >> 41 == 0) {
            uint64_t q = latency_quantile(&l, 0.5);
            CHECK_MSG(q >= v && q - v <= v / 64, "%" PRIu64 " came back as %" PRIu64, v, q);
        }
    }
}

TEST(histogram_quantiles)
{
    static struct latency a, b;
    CHECK_EQ(latency_quantile(&a, 0.99), 0);
    for (int i = 1; i <= 1000; i++)
        latency_record(i % 2 ? &a : &b, i * 1000);
    latency_record(&a, -5);
    latency_merge(&a, &b);
    CHECK_EQ(a.count, 1001);
    CHECK_EQ(a.max_ns, 1000000);
    CHECK_EQ(latency_quantile(&a, 1), 1000000);
    CHECK_EQ(latency_quantile(&a, 0), 0);
    uint64_t p50 = latency_quantile(&a, 0.5), p99 = latency_quantile(&a, 0.99);
    CHECK(p50 >= 500000 && p50 <= 500000 + 500000 / 60);
    CHECK(p99 >= 990000 && p99 <= 1000000);
}

TEST(frames_scanned)
{
    char buf[70000];
    struct wsclient_frame f;
    static const size_t sizes[] = {0, 1, 125, 126, 127, 65535, 65536};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t head = weft_ws_frame_head(buf, WEFT_WS_OP_TEXT, true, sizes[i], NULL);
        memset(buf + head, 'a', sizes[i]);
        size_t whole = head + sizes[i];
        for (size_t cut = 0; cut < whole; cut += cut < 20 ? 1 : 5000)
            CHECK_EQ(wsclient_next(buf, cut, &f), 0);
        CHECK_EQ(wsclient_next(buf, whole + 3, &f), (ssize_t)whole);
        CHECK(f.opcode == WEFT_WS_OP_TEXT && f.data == buf + head && f.bytes == sizes[i]);
    }
    CHECK_EQ(wsclient_next("\x88\x02\x0b\xbc", 4, &f), 4);
    CHECK(f.opcode == WEFT_WS_OP_CLOSE && f.bytes == 2);
    CHECK_EQ(wsclient_next("\x01\x02hi", 4, &f), -EPROTO);     // a fragment
    CHECK_EQ(wsclient_next("\x81\x82mask..", 8, &f), -EPROTO); // masked by a server
}

TEST(client_frames_and_commands)
{
    struct bench_opts o = {.channel = "ch", .token = "a.b\"c", .host = "h:1", .path = "/ws"};
    char buf[600];
    struct weft_ws_frame f;
    size_t n = wsclient_hello(&o, true, buf, sizeof(buf));
    const char *want = "{\"id\":1,\"connect\":{\"token\":\"a.b\\\"c\"}}\n"
                       "{\"id\":2,\"subscribe\":{\"channel\":\"ch\"}}";
    CHECK_EQ(n, strlen(want));
    CHECK(memcmp(buf, want, n) == 0);
    CHECK_EQ(wsclient_hello(&o, true, buf, 40), 0);
    n = wsclient_frame(buf, WEFT_WS_OP_TEXT, "{}", 2);
    CHECK_EQ(weft_ws_frame_parse(buf, n, &f), 6);
    CHECK(f.masked && f.fin && f.payload_bytes == 2);
    weft_ws_mask(buf + 6, buf + 6, 2, f.mask, 0);
    CHECK(memcmp(buf + 6, "{}", 2) == 0);
    ssize_t bytes = wsclient_request(&o, buf, sizeof(buf));
    CHECK(bytes > 0 && memcmp(buf, "GET /ws HTTP/1.1\r\n", 18) == 0);
    int status = 0;
    CHECK_EQ(wsclient_answer("HTTP/1.1 403 Forbidden\r\n", 24, &status), -EAGAIN);
    const char *no = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";
    CHECK_EQ(wsclient_answer(no, strlen(no), &status), -ECONNREFUSED);
    CHECK_EQ(status, 403);
}

static int parse(struct bench_opts *o, const char *line)
{
    static char copy[512];
    static char *argv[32];
    int argc = 0;
    snprintf(copy, sizeof(copy), "bench %s", line);
    for (char *p = strtok(copy, " "); p; p = strtok(NULL, " "))
        argv[argc++] = p;
    argv[argc] = NULL;
    return bench_opts_parse(o, argc, argv);
}

TEST(options)
{
    struct bench_opts o;
    CHECK_EQ(parse(&o, ""), 0);
    CHECK(o.mode == BENCH_FANOUT && o.clients == 1000 && o.rate == 100 && o.subscribe);
    CHECK_STR(o.path, "/connection/websocket");
    CHECK_EQ(parse(&o, "connect --url ws://127.0.0.1:81/x --clients 25000 --threads 2 --json"), 0);
    CHECK(o.mode == BENCH_CONNECT && o.rate == 1000 && o.json && o.sources == 3 && !o.subscribe);
    CHECK_STR(o.host, "127.0.0.1:81");
    CHECK_STR(o.path, "/x");
    CHECK_EQ(parse(&o, "fan-out --publish api --payload 54 --rate 0.5 --url ws://h"), 0);
    CHECK(o.publish_api && o.payload_bytes == 54);
    CHECK_STR(o.host, "h:80");
    CHECK_EQ(parse(&o, "idle --clients 1 --threads 8"), 0);
    CHECK_EQ(o.threads, 1);
    static const char *const bad[] = {"nope", "fanout idle", "--clients 0", "--clients x",
        "--rate 0", "--rate nan", "--payload 53", "--url http://x", "--url ws://", "--channel a\"b",
        "--publish smoke", "--api-path x", "--duration 0", "--unknown"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MSG(parse(&o, bad[i]) == -EINVAL, "accepted: %s", bad[i]);
}

TEST(server_figures)
{
    struct serverstat s;
    CHECK_EQ(serverstat_read(getpid(), &s), 0);
    CHECK(s.rss_bytes > 100000 && s.cpu_s >= 0 && s.cpu_s < 1000);
    CHECK_EQ(serverstat_read(0x3fffffff, &s), -ESRCH);
}
