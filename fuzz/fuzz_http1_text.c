// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_http1_text.c - percent-encoding, queries, lists and the head writer, on arbitrary bytes.
 */
#include "fuzz.h"

#include <weft/http1.h>

#include <errno.h>

static void check_percent(struct weft_span in)
{
    char *decoded = fuzz_copy(in.data, in.len), *coded = malloc(3 * in.len + 1);
    FUZZ_CHECK(coded);
    ssize_t n = weft_http1_percent_decode(in, true, decoded, in.len);
    FUZZ_CHECK(n == -EINVAL || (n >= 0 && (size_t)n <= in.len));
    ssize_t m = weft_http1_percent_encode(in, coded, 3 * in.len);
    FUZZ_CHECK(m >= (ssize_t)in.len);
    struct weft_span back = {coded, (size_t)m};
    FUZZ_CHECK(weft_http1_percent_decode(back, true, coded, (size_t)m) == (ssize_t)in.len);
    FUZZ_CHECK(!in.len || memcmp(coded, in.data, in.len) == 0);
    free(coded);
    free(decoded);
}

static void check_query(struct weft_span in)
{
    struct weft_span rest = in, name, value, got;
    while (weft_http1_query_next(&rest, &name, &value)) {
        char decoded[256];
        FUZZ_CHECK(fuzz_inside(name, in.data, in.len) && fuzz_inside(value, in.data, in.len));
        ssize_t n = weft_http1_percent_decode(name, true, decoded, sizeof decoded - 1);
        if (n < 0 || memchr(decoded, 0, (size_t)n))
            continue;
        decoded[n] = '\0';
        FUZZ_CHECK(weft_http1_query_get(in, decoded, &got) == 1); /* perhaps an earlier one */
        FUZZ_CHECK(got.data <= name.data + name.len + 1 && fuzz_inside(got, in.data, in.len));
    }
    FUZZ_CHECK(rest.len == 0);
}

static void check_list(struct weft_span in)
{
    struct weft_span rest = in, item;
    while (weft_http1_list_next(&rest, &item)) {
        FUZZ_CHECK(item.len > 0 && fuzz_inside(item, in.data, in.len));
        FUZZ_CHECK(!memchr(item.data, ',', item.len) && item.data[0] != ' ');
    }
}

/* A head with a hostile value is refused, or parses to exactly that value (without outer blanks).
 */
static void check_writer(struct weft_span in)
{
    char *buf = malloc(in.len + 100);
    struct weft_http1_writer w;
    struct weft_http1_head h;
    struct weft_http1_limits limits = {
        .size = sizeof limits, .line_bytes = 1 << 20, .head_bytes = 2 << 20};
    FUZZ_CHECK(buf);
    weft_http1_write_response(&w, buf, in.len + 100, 200);
    weft_http1_write_field(&w, "X", in);
    ssize_t n = weft_http1_write_end(&w);
    FUZZ_CHECK(n == -EINVAL || n > 0);
    if (n > 0) {
        weft_http1_response_init(&h, &limits, WEFT_HTTP1_GET);
        FUZZ_CHECK(weft_http1_head_parse(&h, buf, (size_t)n) == n && h.field_count == 1);
        while (in.len && (in.data[0] == ' ' || in.data[0] == '\t'))
            in.data++, in.len--;
        while (in.len && (in.data[in.len - 1] == ' ' || in.data[in.len - 1] == '\t'))
            in.len--;
        struct weft_span x = weft_http1_field_get(&h, "x");
        FUZZ_CHECK(x.len == in.len && (!x.len || memcmp(x.data, in.data, x.len) == 0));
    }
    free(buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *block = fuzz_copy(data, size);
    struct weft_span in = {block, size};
    check_percent(in);
    check_query(in);
    check_list(in);
    check_writer(in);
    free(block);
    return 0;
}
