// SPDX-License-Identifier: Apache-2.0
/*
 * test_ws_reader.c - the receiving side, in the order of the public conformance suite's chapters:
 * 1 framing, 2 pings, 3 reserved bits, 4 opcodes, 5 fragmentation, 6 UTF-8, 7 closing, 9 and 10
 * sizes.
 *
 * Every case is written as frames and the transcript they must give, in which pieces of a message
 * are joined, so that it does not depend on how the input is cut:
 *
 *     T<text>  B<binary>  P<ping>  O<pong>  C<code>:<reason>  !<close code of an error>
 *
 * and is run whole, byte by byte and with every cut in two.
 */
#include "proto_test.h"

#include <weft/wsproto.h>

#include <errno.h>

enum { MAX = 1000 }; /* message_max of the readers here */

struct frame {
    int first; /* FIN, RSV, opcode; 0 with no payload ends a list */
    struct weft_span payload;
};

/* What a connection came to. */
struct log {
    char text[8192];
    size_t len;
    bool inside;  /* a message has begun and not ended */
    int code;     /* close code of an error, or 0 */
    size_t extra; /* most bytes left over between two reads */
};

static void put(struct log *l, const char *data, size_t len)
{
    CHECK(l->len + len < sizeof l->text);
    if (len)
        memcpy(l->text + l->len, data, len);
    l->len += len;
    l->text[l->len] = '\0';
}

static void note(struct log *l, const struct weft_ws_event *ev)
{
    char head[16];
    if (ev->kind == WEFT_WS_DATA) {
        CHECK_EQ(ev->first, !l->inside);
        if (ev->first)
            put(l, ev->text ? "T" : "B", 1);
        l->inside = !ev->last;
    } else if (ev->kind == WEFT_WS_CLOSE) {
        put(l, head, (size_t)snprintf(head, sizeof head, "C%u:", ev->code));
    } else if (ev->kind != WEFT_WS_NONE) {
        put(l, ev->kind == WEFT_WS_PING ? "P" : "O", 1);
    }
    put(l, ev->data.data, ev->data.len);
}

/* Gives the bytes to the reader, with what was left over in front, as a connection would. */
static void receive(struct weft_ws_reader *r, struct log *l, char *kept, size_t *kept_len,
    const char *data, size_t len)
{
    size_t total = *kept_len + len, at = 0;
    char *block = malloc(total ? total : 1);
    CHECK(block);
    memcpy(block, kept, *kept_len);
    memcpy(block + *kept_len, data, len);
    while (at < total && !l->code) {
        struct weft_ws_event ev;
        ssize_t n = weft_ws_reader_next(r, block + at, total - at, &ev);
        if (n < 0) {
            char head[16];
            l->code = r->close_code;
            CHECK_EQ(n, l->code == 1002 ? -EPROTO : l->code == 1007 ? -EILSEQ : -EMSGSIZE);
            CHECK(*weft_ws_problem(r));
            CHECK_EQ(weft_ws_reader_next(r, block + at, total - at, &ev), n); /* sticks */
            put(l, head, (size_t)snprintf(head, sizeof head, "!%d", l->code));
            break;
        }
        if (n == 0)
            break;
        CHECK((size_t)n <= total - at);
        note(l, &ev);
        at += (size_t)n;
    }
    *kept_len = l->code ? 0 : total - at;
    CHECK(*kept_len <= 139);
    if (*kept_len > l->extra)
        l->extra = *kept_len;
    memcpy(kept, block + at, *kept_len);
    free(block);
}

static void run(
    struct log *l, enum weft_ws_role role, struct weft_span wire, size_t cut, size_t piece)
{
    struct weft_ws_reader r;
    char kept[256];
    size_t kept_len = 0;
    *l = (struct log){.len = 0};
    weft_ws_reader_init(&r, role, MAX);
    for (size_t at = 0; at < wire.len;) {
        size_t n = at == 0 && cut ? cut : piece;
        n = n < wire.len - at ? n : wire.len - at;
        receive(&r, l, kept, &kept_len, wire.data + at, n);
        at += n;
    }
    if (!l->code && r.state == WEFT_WS_OPEN)
        CHECK(weft_ws_reader_idle(&r) == !l->inside || kept_len);
}

/* Frames as the peer of `role` sends them. */
static struct weft_span encode(const struct frame *frames, enum weft_ws_role role)
{
    static char wire[16384];
    size_t len = 0;
    for (const struct frame *f = frames; f->first || f->payload.data; f++) {
        uint8_t mask[4] = {(uint8_t)(len + 1), 0xfa, 0x21, 0x3d};
        bool masked = role == WEFT_WS_SERVER;
        size_t head = weft_ws_frame_head(
            wire + len, WEFT_WS_OP_BINARY, false, f->payload.len, masked ? mask : NULL);
        wire[len] = (char)f->first;
        len += head;
        weft_ws_mask(
            wire + len, f->payload.data, f->payload.len, masked ? mask : (uint8_t[4]){0}, 0);
        len += f->payload.len;
        CHECK(len < sizeof wire - 1100);
    }
    return (struct weft_span){wire, len};
}

/* Before an error, smaller reads may have told more of the message, never less or other. */
static bool agrees(const struct log *whole, const struct log *cut)
{
    if (!whole->code)
        return cut->len == whole->len && memcmp(whole->text, cut->text, cut->len) == 0;
    return cut->code == whole->code && cut->len >= whole->len &&
           memcmp(whole->text, cut->text, whole->len - 5) == 0;
}

static void check_wire(enum weft_ws_role role, struct weft_span wire, const char *want)
{
    struct log whole, l;
    run(&whole, role, wire, 0, SIZE_MAX);
    CHECK_MSG(strcmp(whole.text, want) == 0, "got  %s\n# want %s", whole.text, want);
    for (size_t cut = 0; cut < wire.len && wire.len < 600; cut++) {
        if (cut)
            run(&l, role, wire, cut, SIZE_MAX);
        else
            run(&l, role, wire, 0, 1);
        CHECK_MSG(agrees(&whole, &l), "cut %zu: got  %s\n# want %s", cut, l.text, want);
    }
}

static void check(const struct frame *frames, const char *want)
{
    check_wire(WEFT_WS_SERVER, encode(frames, WEFT_WS_SERVER), want);
    check_wire(WEFT_WS_CLIENT, encode(frames, WEFT_WS_CLIENT), want);
}

#define F(first, text)                                                                             \
    {                                                                                              \
        (first), LIT(text)                                                                         \
    }
#define END                                                                                        \
    {                                                                                              \
        0,                                                                                         \
        {                                                                                          \
            NULL, 0                                                                                \
        }                                                                                          \
    }
#define FRAMES(...) ((const struct frame[]){__VA_ARGS__, END})
#define EMPTY                                                                                      \
    {                                                                                              \
        NULL, 0                                                                                    \
    }

static char filler[70000];

__attribute__((constructor)) static void fill(void)
{
    memset(filler, '*', sizeof filler);
}

TEST(framing_1)
{
    static const size_t sizes[] = {0, 1, 125, 126, 127, 128, 999, MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        for (int text = 0; text < 2; text++) {
            char want[MAX + 2];
            snprintf(want, sizeof want, "%c%.*s", text ? 'T' : 'B', (int)sizes[i], filler);
            check(FRAMES({text ? 0x81 : 0x82, {filler, sizes[i]}}), want);
        }
    check(FRAMES(F(0x81, "a"), F(0x82, "\x80\xff"), F(0x81, "")), "TaB\x80\xffT");
}

TEST(pings_2)
{
    check(FRAMES(F(0x89, "")), "P");
    check(
        FRAMES(F(0x89, "Hello"), F(0x8a, "unsolicited"), F(0x89, "\0\xff")), "PHelloOunsolicitedP");
    char want[127];
    snprintf(want, sizeof want, "P%.*s", 125, filler);
    check(FRAMES({0x89, {filler, 125}}), want);
    check(FRAMES({0x89, {filler, 126}}), "!1002");
    check(FRAMES({0x8a, {filler, 126}}), "!1002");
    check(FRAMES({0x88, {filler, 126}}), "!1002");
}

TEST(reserved_bits_3)
{
    for (int rsv = 1; rsv < 8; rsv++) {
        check(FRAMES({0x81 | rsv << 4, LIT("x")}), "!1002");
        check(FRAMES({0x89 | rsv << 4, LIT("x")}), "!1002");
        check(FRAMES(F(0x81, "fine"), {0x81 | rsv << 4, LIT("x")}, F(0x81, "late")), "Tfine!1002");
        check(FRAMES({0x88 | rsv << 4, EMPTY}), "!1002");
    }
}

TEST(opcodes_4)
{
    static const int reserved[] = {3, 4, 5, 6, 7, 11, 12, 13, 14, 15};
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        check(FRAMES({0x80 | reserved[i], LIT("")}), "!1002");
        check(FRAMES({0x80 | reserved[i], LIT("x")}), "!1002");
        check(FRAMES({reserved[i], LIT("x")}), "!1002");
        check(FRAMES(F(0x81, "fine"), {0x80 | reserved[i], LIT("x")}), "Tfine!1002");
    }
}

TEST(fragmentation_5)
{
    check(FRAMES(F(0x09, "a"), F(0x80, "b")), "!1002");
    check(FRAMES(F(0x0a, "a"), F(0x80, "b")), "!1002");
    check(FRAMES(F(0x08, ""), F(0x80, "")), "!1002");
    check(FRAMES(F(0x01, "frag1"), F(0x80, "frag2")), "Tfrag1frag2");
    check(FRAMES(F(0x01, "a"), F(0x00, ""), F(0x00, "b"), F(0x80, "")), "Tab");
    check(FRAMES(F(0x01, ""), F(0x00, ""), F(0x80, "")), "T");
    check(FRAMES(F(0x02, "a"), F(0x00, "\xff"), F(0x80, "b"), F(0x81, "next")), "Ba\xff"
                                                                                "bTnext");
    check(FRAMES(F(0x80, "x")), "!1002");
    check(FRAMES(F(0x00, "x"), F(0x81, "y")), "!1002");
    check(FRAMES(F(0x00, ""), F(0x81, "y")), "!1002");
    check(FRAMES(F(0x01, "a"), F(0x81, "b")), "Ta!1002");
    check(FRAMES(F(0x01, "a"), F(0x82, "b")), "Ta!1002");
    check(FRAMES(F(0x01, "a"), F(0x80, "b"), F(0x80, "c")), "Tab!1002");
    check(FRAMES(F(0x01, ""), F(0x81, "")), "T!1002");
}

/* Control frames inside a message come out where they stand, between its pieces. */
TEST(interleaved_controls_5)
{
    check(FRAMES(F(0x01, "frag1"), F(0x89, "ping"), F(0x80, "frag2")), "Tfrag1Ppingfrag2");
    check(
        FRAMES(F(0x01, "a"), F(0x00, "b"), F(0x89, "1"), F(0x00, "c"), F(0x8a, "2"), F(0x80, "d")),
        "TabP1cO2d");
    check(FRAMES(F(0x01, "a"), F(0x88, "\x03\xe8")), "TaC1000:");
}

TEST(utf8_6)
{
    check(
        FRAMES(F(0x81, "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!")),
        "THello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!");
    /* A character may be split between frames, and even have a ping inside. */
    check(FRAMES(F(0x01, "\xf0"), F(0x00, "\x9f\x98"), F(0x89, "\xff"), F(0x80, "\x80")),
        "T\xf0\x9f\x98P\xff\x80");
    check(FRAMES(F(0x01, "\xce\xba"), F(0x00, "\xed"), F(0x80, "\xa0\x80")), "T\xce\xba\xed!1007");
    check(FRAMES(F(0x01, "ab"), F(0x80, "\xe2\x82")), "Tab!1007"); /* ends inside a character */
    check(FRAMES(F(0x01, "\xe2\x82"), F(0x80, "")), "T\xe2\x82!1007");
    check(FRAMES(F(0x01, "\xe2\x82"), F(0x80, "\xac"), F(0x81, "\xac")), "T\xe2\x82\xac!1007");
    check(FRAMES(F(0x02, "\xff"), F(0x80, "\xfe")), "B\xff\xfe");
}

/* Bad text is refused with the first piece that shows it, not at the end of the message. */
TEST(utf8_fails_fast_6)
{
    struct weft_ws_reader r;
    struct weft_ws_event ev;
    char wire[] = "\x01\x04"
                  "ab\xf4\x90";
    weft_ws_reader_init(&r, WEFT_WS_CLIENT, 0);
    CHECK_EQ(weft_ws_reader_next(&r, wire, 5, &ev), 5);
    CHECK(
        ev.kind == WEFT_WS_DATA && ev.data.len == 3 && ev.first && !ev.last && ev.frame_left == 1);
    CHECK_EQ(weft_ws_reader_next(&r, wire + 5, 1, &ev), -EILSEQ);
    CHECK_EQ(r.close_code, WEFT_WS_INVALID_TEXT);
}

TEST(utf8_sequences_6)
{
    static const char *const bad[] = {"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xf8\x88\x80\x80\x80", "\xfe", "\xff", "\xc3",
        "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xe2(\xa1", "\xe2\x82("};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct log l;
        struct frame frames[] = {{0x81, weft_span_of(bad[i])}, END};
        for (size_t piece = 1; piece < 20; piece++) {
            run(&l, WEFT_WS_SERVER, encode(frames, WEFT_WS_SERVER), 0, piece);
            CHECK_EQ(l.code, 1007);
        }
    }
}

TEST(closing_7)
{
    check(FRAMES(F(0x88, "")), "C1005:");
    check(FRAMES(F(0x88, "\x03\xe8")), "C1000:");
    check(FRAMES(F(0x88, "\x03\xe8"
                         "bye \xe2\x82\xac")),
        "C1000:bye \xe2\x82\xac");
    check(FRAMES(F(0x88, "\x03")), "!1002");
    check(FRAMES(F(0x88, "\x03\xe8"
                         "bad \xff")),
        "!1007");
    check(FRAMES(F(0x88, "\x03\xe8"
                         "cut \xe2\x82")),
        "!1007");
    /* What comes after a close frame is dropped, whatever it is. */
    check(FRAMES(F(0x81, "a"), F(0x88, "\x03\xe8"), F(0x81, "b"), F(0x89, "p"), F(0xff, "")),
        "TaC1000:");
    char reason[200];
    struct frame longest[] = {{0x88, {reason, 125}}, END};
    memset(reason, 'r', sizeof reason);
    memcpy(reason, "\x03\xe8", 2);
    char want[200] = "C1000:";
    memcpy(want + 6, reason + 2, 123);
    check(longest, want);
}

TEST(close_codes_7)
{
    static const int good[] = {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
        1014, 3000, 3999, 4000, 4999};
    static const int bad[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535};
    for (size_t i = 0; i < sizeof good / sizeof *good + sizeof bad / sizeof *bad; i++) {
        size_t goods = sizeof good / sizeof *good;
        int code = i < goods ? good[i] : bad[i - goods];
        char payload[3] = {(char)(code >> 8), (char)code, 'r'}, want[32] = "!1002";
        struct frame frames[] = {{0x88, {payload, 3}}, END};
        if (i < goods)
            snprintf(want, sizeof want, "C%d:r", code);
        check(frames, want);
    }
}

TEST(close_handshake_states_7)
{
    struct weft_ws_reader r;
    struct weft_ws_event ev;
    char close[] = "\x88\0", text[] = "\x81\1x";
    weft_ws_reader_init(&r, WEFT_WS_CLIENT, 0); /* theirs first */
    CHECK_EQ(weft_ws_reader_next(&r, close, 2, &ev), 2);
    CHECK_EQ(r.state, WEFT_WS_CLOSE_RECEIVED);
    CHECK_EQ(weft_ws_close_sent(&r), WEFT_WS_CLOSED);
    CHECK_EQ(weft_ws_close_sent(&r), WEFT_WS_CLOSED);
    weft_ws_reader_init(&r, WEFT_WS_CLIENT, 0); /* ours first: data may still come */
    CHECK_EQ(weft_ws_close_sent(&r), WEFT_WS_CLOSE_SENT);
    CHECK_EQ(weft_ws_close_sent(&r), WEFT_WS_CLOSE_SENT);
    CHECK_EQ(weft_ws_reader_next(&r, text, 3, &ev), 3);
    CHECK_EQ(ev.kind, WEFT_WS_DATA);
    CHECK_EQ(weft_ws_reader_next(&r, close, 2, &ev), 2);
    CHECK_EQ(r.state, WEFT_WS_CLOSED);
    char bad[] = "\xf1\0";
    weft_ws_reader_init(&r, WEFT_WS_CLIENT, 0); /* an error: told, and done */
    CHECK_EQ(weft_ws_reader_next(&r, bad, 2, &ev), -EPROTO);
    CHECK_EQ(weft_ws_close_sent(&r), WEFT_WS_CLOSED);
    CHECK_EQ(weft_ws_reader_next(&r, bad, 2, &ev), -EPROTO);
}

TEST(masking_by_role)
{
    const struct frame *hello = FRAMES(F(0x81, "Hello"));
    check_wire(WEFT_WS_SERVER, encode(hello, WEFT_WS_CLIENT), "!1002");
    check_wire(WEFT_WS_CLIENT, encode(hello, WEFT_WS_SERVER), "!1002");
    const struct frame *ping = FRAMES(F(0x89, ""));
    check_wire(WEFT_WS_SERVER, encode(ping, WEFT_WS_CLIENT), "!1002");
    check_wire(WEFT_WS_CLIENT, encode(ping, WEFT_WS_SERVER), "!1002");
}

TEST(sizes_9)
{
    check(FRAMES({0x82, {filler, MAX + 1}}), "!1009");
    check(FRAMES({0x02, {filler, MAX}}, F(0x00, ""), F(0x89, "p"), F(0x80, "")), ({
        static char w[MAX + 8];
        snprintf(w, sizeof w, "B%.*sPp", MAX, filler);
        w;
    }));
    check(FRAMES({0x02, {filler, MAX}}, F(0x80, "x")), ({
        static char w[MAX + 8];
        snprintf(w, sizeof w, "B%.*s!1009", MAX, filler);
        w;
    }));
    check(
        FRAMES({0x82, {filler, MAX}}, {0x82, {filler, MAX}}), /* counted a message, not for ever */
        ({
            static char w[2 * MAX + 8];
            snprintf(w, sizeof w, "B%.*sB%.*s", MAX, filler, MAX, filler);
            w;
        }));
    /* Refused at the head, before a byte of the payload. */
    struct weft_ws_reader r;
    struct weft_ws_event ev;
    char head[] = "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff";
    weft_ws_reader_init(&r, WEFT_WS_CLIENT, 0);
    CHECK_EQ(weft_ws_reader_next(&r, head, 10, &ev), -EMSGSIZE);
    check_wire(WEFT_WS_CLIENT, LIT("\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff"), "!1002");
    check_wire(WEFT_WS_CLIENT, LIT("\x82\x7e\0\1x"), "!1002");
}

/* A whole message in the buffer is one event, in place; a large one is not held back. */
TEST(events_are_in_place)
{
    struct weft_ws_reader r;
    struct weft_ws_event ev;
    uint8_t mask[4] = {1, 2, 3, 4};
    char *wire = malloc(65536 + 14);
    CHECK(wire);
    weft_ws_reader_init(&r, WEFT_WS_SERVER, 0);
    size_t head = weft_ws_frame_head(wire, WEFT_WS_OP_TEXT, true, 65536, mask);
    weft_ws_mask(wire + head, filler, 65536, mask, 0);
    CHECK_EQ(weft_ws_reader_next(&r, wire, head + 65536, &ev), (ssize_t)head + 65536);
    CHECK(ev.first && ev.last && ev.text && ev.data.data == wire + head && ev.data.len == 65536);
    CHECK(memcmp(ev.data.data, filler, 65536) == 0);
    weft_ws_mask(wire + head, filler, 65536, mask, 0);
    CHECK_EQ(weft_ws_reader_next(&r, wire, head, &ev), (ssize_t)head);
    CHECK_EQ(ev.kind, WEFT_WS_NONE);
    CHECK(!weft_ws_reader_idle(&r));
    CHECK_EQ(weft_ws_reader_next(&r, wire + head, 1000, &ev), 1000);
    CHECK(
        ev.first && !ev.last && ev.frame_left == 64536 && memcmp(ev.data.data, filler, 1000) == 0);
    CHECK_EQ(weft_ws_reader_next(&r, wire + head + 1000, 64536, &ev), 64536);
    CHECK(!ev.first && ev.last && memcmp(ev.data.data, filler, 64536) == 0);
    CHECK(weft_ws_reader_idle(&r));
    free(wire);
}

/* Random messages, fragmented and interleaved at random, in random reads, come back as sent. */
TEST(random_conversations)
{
    uint64_t rng = rnd_start();
    for (int round = 0; round < 400; round++) {
        static char wire[65536], want[8192];
        size_t len = 0, want_len = 0;
        for (size_t messages = rnd_below(&rng, 6); messages > 0; messages--) {
            bool text = rnd_below(&rng, 2), first = true, last = false;
            size_t message = 0;
            want[want_len++] = text ? 'T' : 'B';
            while (!last) {
                uint8_t mask[4] = {(uint8_t)rnd(&rng), (uint8_t)rnd(&rng), 7, 0};
                char payload[200];
                size_t n = rnd_below(&rng, sizeof payload);
                message += n;
                last = message > MAX - sizeof payload || rnd_below(&rng, 3) == 0;
                for (size_t i = 0; i < n; i++)
                    payload[i] = (char)(text ? 'a' + rnd_below(&rng, 26) : 0x80 | rnd(&rng));
                len += weft_ws_frame_head(wire + len,
                    !first ? WEFT_WS_OP_CONTINUATION
                    : text ? WEFT_WS_OP_TEXT
                           : WEFT_WS_OP_BINARY,
                    last, n, mask);
                weft_ws_mask(wire + len, payload, n, mask, 0);
                memcpy(want + want_len, payload, n);
                len += n, want_len += n, first = false;
                if (rnd_below(&rng, 3) == 0) {
                    len += weft_ws_control_frame(wire + len, WEFT_WS_OP_PING, LIT("hi"), mask);
                    memcpy(want + want_len, "Phi", 3);
                    want_len += 3;
                }
            }
        }
        want[want_len] = '\0';
        struct log l;
        run(&l, WEFT_WS_SERVER, (struct weft_span){wire, len}, rnd_below(&rng, 20),
            rnd_below(&rng, 300) + 1);
        CHECK_STR(l.text, want);
    }
}

/* Random bytes and mutated frames: the verdict and the transcript do not depend on the cuts. */
TEST(random_changes_and_cuts_agree)
{
    uint64_t rng = rnd_start();
    for (int round = 0; round < 3000; round++) {
        struct weft_span wire =
            encode(FRAMES(F(0x01, "h\xc3\xa9"), F(0x89, "p"), F(0x80, "llo"), F(0x82, "\1\2\3"),
                       F(0x88, "\x03\xe8"
                               "end")),
                WEFT_WS_SERVER);
        char text[256];
        memcpy(text, wire.data, wire.len);
        for (size_t changes = rnd_below(&rng, 4); changes > 0; changes--)
            text[rnd_below(&rng, wire.len)] = (char)rnd(&rng);
        struct log whole, cut;
        struct weft_span in = {text, wire.len};
        run(&whole, WEFT_WS_SERVER, in, 0, SIZE_MAX);
        for (int i = 0; i < 6; i++) {
            run(&cut, WEFT_WS_SERVER, in, rnd_below(&rng, in.len), rnd_below(&rng, 12) + 1);
            CHECK_MSG(agrees(&whole, &cut), "got  %s\n# want %s", cut.text, whole.text);
        }
    }
}
