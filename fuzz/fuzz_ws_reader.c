// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_ws_reader.c - the receiving side of a WebSocket, whole and in pieces.
 *
 * Input: one byte (1 to 32: the size of the pieces; bit 6 is the role, bit 7 makes the limit
 * tight), then the stream. Messages, control frames and the verdict must be the same however it is
 * cut; text that comes out whole must be UTF-8; nothing may pass the limit.
 */
#include "fuzz.h"

#include <weft/wsproto.h>

#include <errno.h>

/* The connection as text: per event a letter and the bytes, pieces of a message joined. */
struct transcript {
    char *text;
    size_t len;
    uint64_t message_bytes;
    bool inside, is_text;
    int code;
};

static void put(struct transcript *t, char letter, struct weft_span data)
{
    if (letter)
        t->text[t->len++] = letter;
    if (data.len)
        memcpy(t->text + t->len, data.data, data.len);
    t->len += data.len;
}

static void note(struct transcript *t, const struct weft_ws_event *ev, uint64_t max)
{
    if (ev->kind == WEFT_WS_DATA) {
        FUZZ_CHECK(ev->first == !t->inside);
        FUZZ_CHECK(ev->first || ev->text == t->is_text);
        if (ev->first)
            t->message_bytes = 0;
        put(t, ev->first ? (ev->text ? 'T' : 'B') : '\0', ev->data);
        t->message_bytes += ev->data.len;
        t->is_text = ev->text;
        t->inside = !ev->last;
        FUZZ_CHECK(t->message_bytes + ev->frame_left <= max);
        FUZZ_CHECK(!ev->last || ev->frame_left == 0);
    } else if (ev->kind == WEFT_WS_CLOSE) {
        FUZZ_CHECK(ev->code == WEFT_WS_NO_CODE || weft_ws_code_valid(ev->code));
        put(t, 'C', ev->data);
    } else if (ev->kind != WEFT_WS_NONE) {
        FUZZ_CHECK(ev->data.len <= WEFT_WS_CONTROL_MAX);
        put(t, ev->kind == WEFT_WS_PING ? 'P' : 'O', ev->data);
    }
}

/* One read's worth, behind what was left over. Returns the bytes left over this time. */
static size_t receive(struct weft_ws_reader *r, struct transcript *t, char *kept, size_t kept_len,
    const uint8_t *data, size_t len, uint64_t max)
{
    size_t total = kept_len + len, at = 0;
    char *block = malloc(total ? total : 1);
    FUZZ_CHECK(block);
    memcpy(block, kept, kept_len);
    memcpy(block + kept_len, data, len);
    while (at < total && !t->code) {
        struct weft_ws_event ev;
        ssize_t n = weft_ws_reader_next(r, block + at, total - at, &ev);
        if (n == 0)
            break;
        if (n < 0) {
            t->code = r->close_code;
            FUZZ_CHECK(t->code == 1002 || t->code == 1007 || t->code == 1009);
            FUZZ_CHECK(*weft_ws_problem(r));
            break;
        }
        FUZZ_CHECK((size_t)n <= total - at && fuzz_inside(ev.data, block + at, (size_t)n));
        note(t, &ev, max);
        at += (size_t)n;
    }
    size_t left = t->code ? 0 : total - at;
    FUZZ_CHECK(left <= 139);
    memcpy(kept, block + at, left);
    free(block);
    return left;
}

static struct transcript run(const uint8_t *data, size_t size, size_t piece, uint8_t options)
{
    uint64_t max = options & 0x80 ? 20 : 1 << 20;
    struct transcript t = {.text = malloc(2 * size + 2)};
    struct weft_ws_reader r;
    char kept[139];
    size_t kept_len = 0;
    FUZZ_CHECK(t.text);
    weft_ws_reader_init(&r, options & 0x40 ? WEFT_WS_CLIENT : WEFT_WS_SERVER, max);
    for (size_t at = 0, n; at < size; at += n) {
        n = size - at < piece ? size - at : piece;
        kept_len = receive(&r, &t, kept, kept_len, data + at, n, max);
    }
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct transcript whole = run(data + 1, size - 1, SIZE_MAX, data[0]);
    struct transcript cut = run(data + 1, size - 1, data[0] % 32 + 1u, data[0]);
    FUZZ_CHECK(whole.code == cut.code);
    /* Before an error, smaller reads may have told more of the message, never less or other. */
    FUZZ_CHECK(whole.code ? whole.len <= cut.len : whole.len == cut.len);
    FUZZ_CHECK(memcmp(whole.text, cut.text, whole.len) == 0);
    free(whole.text);
    free(cut.text);
    return 0;
}
