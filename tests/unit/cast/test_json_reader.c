// SPDX-License-Identifier: Apache-2.0
/*
 * test_json_reader.c - the codecs' JSON reader: what is JSON and what is not, strings, numbers,
 * raw spans, depth, and random values against jansson as the independent judge.
 */
#include "protocol/json.h"
#include "test.h"
#include <errno.h>
#include <jansson.h>

static char room[512];
static struct cast_scratch scratch;

static struct cast_json reader(const char *text)
{
    struct cast_json j;
    cast_scratch_fini(&scratch);
    cast_scratch_init(&scratch, room, sizeof(room));
    cast_json_init(&j, weft_span_of(text), &scratch);
    return j;
}

TEST(values_valid)
{
    static const char *const good[] = {"0", "-0", "1.5e-3", "1E+2", "\"\"", "\"\\u00e4\\n\\/\"",
        "true", " false ", "null\n", "[]", "{}", "[ ]", "{ }", "[1,2,[3,{\"a\":[]}]]",
        "{\"a\":1,\"b\":{\"c\":null}}", "\t[\r\n1 , 2 ]", "\"\xc3\xa4\"", "\"\xf0\x9f\x98\x80\"",
        "\"\\ud800\""};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK_MSG(cast_json_valid(weft_span_of(good[i])), "refused: %s", good[i]);
}

TEST(values_invalid)
{
    static const char *const bad[] = {"", " ", "01", "-", "+1", ".5", "1.", "1e", "1e+", "0x1",
        "tru", "nul", "True", "NaN", "\"", "\"\\\"", "\"\\x\"", "\"\\u12g4\"", "\"\\u123\"", "'a'",
        "\"a\nb\"", "\"a\x01\"", "[", "]", "[1,]", "[,1]", "[1 2]", "{", "}", "{\"a\"}", "{\"a\":}",
        "{\"a\":1,}", "{a:1}", "{\"a\":1 \"b\":2}", "{1:2}", "[1}", "{\"a\":1]", "1 2", "{}{}",
        "\"\xff\"", "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe4\"",
        "\xef\xbb\xbf{}", "/**/1"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK_MSG(!cast_json_valid(weft_span_of(bad[i])), "accepted: %s", bad[i]);
    CHECK(!cast_json_valid((struct weft_span){"\"a\0\"", 4}));
}

TEST(depth_is_bounded)
{
    size_t n = CAST_JSON_DEPTH;
    char *text = malloc(2 * n + 2);
    for (int more = 0; more < 2; more++, n++) {
        memset(text, '[', n);
        memset(text + n, ']', n);
        CHECK_EQ(cast_json_valid((struct weft_span){text, 2 * n}), !more);
    }
    memset(text, '[', 2 * n - 2);
    CHECK(!cast_json_valid((struct weft_span){text, 2 * n - 2}));
    free(text);
}

/* Objects and arrays share the bits of the levels: mix them across the word boundary. */
TEST(depth_mixed_brackets)
{
    char text[4096];
    size_t n = 0;
    for (int i = 0; i < 200; i++)
        n += (size_t)sprintf(text + n, i % 3 ? "{\"k\":" : "[0,");
    text[n++] = '1';
    for (int i = 199; i >= 0; i--)
        text[n++] = i % 3 ? '}' : ']';
    CHECK(cast_json_valid((struct weft_span){text, n}));
    text[n - 66] = text[n - 66] == '}' ? ']' : '}';
    CHECK(!cast_json_valid((struct weft_span){text, n}));
}

static void check_string(const char *json, const char *want, size_t want_bytes)
{
    struct cast_json j = reader(json);
    struct weft_span s;
    CHECK_MSG(cast_json_string(&j, &s) == 0, "refused: %s", json);
    CHECK_EQ(s.len, want_bytes);
    CHECK_MSG(memcmp(s.data, want, want_bytes) == 0, "%s gave %.*s", json, (int)s.len, s.data);
    CHECK_EQ(cast_json_end(&j), 0);
}

TEST(strings_decoded)
{
    check_string("\"abc\"", "abc", 3);
    check_string("\"\"", "", 0);
    check_string("\"a\\\"b\\\\c\\/d\\b\\f\\n\\r\\t\"", "a\"b\\c/d\b\f\n\r\t", 12);
    check_string("\"\\u0041\\u00e4\\u20ac\\u0000\"", "A\xc3\xa4\xe2\x82\xac\0", 7);
    check_string("\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80", 4);
    check_string("\"\\ud800\"", "\xef\xbf\xbd", 3);
    check_string("\"\\ud800\\u0041\"", "\xef\xbf\xbd\x41", 4);
    check_string("\"\\ud800\\ud83d\\ude00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80", 7);
    check_string("\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd", 6);
    check_string("\"k\xff\xfe\"", "k\xef\xbf\xbd\xef\xbf\xbd", 7);
    check_string("\"\xe2\x82\"", "\xef\xbf\xbd\xef\xbf\xbd", 6);
    check_string("\"k\xc3\xa4n\"", "k\xc3\xa4n", 4);
}

TEST(string_is_a_span_of_the_text)
{
    const char *text = " \"a longer string than eight bytes\"";
    struct cast_json j = reader(text);
    struct weft_span s;
    CHECK_EQ(cast_json_string(&j, &s), 0);
    CHECK(s.data == text + 2);
    CHECK_EQ(scratch.used, 0);
}

TEST(numbers)
{
    static const struct {
        const char *text;
        int rc;
        uint64_t v;
    } cases[] = {{"0", 0, 0}, {"7", 0, 7}, {"4294967295", 0, UINT32_MAX},
        {"4294967296", -EBADMSG, 0}, {"-1", -EBADMSG, 0}, {"01", -EBADMSG, 0}, {"1.0", -EBADMSG, 0},
        {"1e3", -EBADMSG, 0}, {"\"1\"", -EBADMSG, 0}, {"", -EBADMSG, 0}, {"true", -EBADMSG, 0},
        {"99999999999999999999999", -EBADMSG, 0}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cast_json j = reader(cases[i].text);
        uint64_t v = 0;
        CHECK_MSG(cast_json_u64(&j, UINT32_MAX, &v) == cases[i].rc, "%s", cases[i].text);
        CHECK_EQ(v, cases[i].v);
    }
}

TEST(numbers_at_the_limits)
{
    struct cast_json j = reader("18446744073709551615");
    uint64_t u;
    int64_t s;
    CHECK_EQ(cast_json_u64(&j, UINT64_MAX, &u), 0);
    CHECK(u == UINT64_MAX);
    j = reader("18446744073709551616");
    CHECK_EQ(cast_json_u64(&j, UINT64_MAX, &u), -EBADMSG);
    j = reader("-9223372036854775808");
    CHECK_EQ(cast_json_i64(&j, INT64_MIN, INT64_MAX, &s), 0);
    CHECK(s == INT64_MIN);
    j = reader("-9223372036854775809");
    CHECK_EQ(cast_json_i64(&j, INT64_MIN, INT64_MAX, &s), -EBADMSG);
    j = reader("9223372036854775808");
    CHECK_EQ(cast_json_i64(&j, INT64_MIN, INT64_MAX, &s), -EBADMSG);
    j = reader("-");
    CHECK_EQ(cast_json_i64(&j, INT64_MIN, INT64_MAX, &s), -EBADMSG);
    j = reader("-01");
    CHECK_EQ(cast_json_i64(&j, INT64_MIN, INT64_MAX, &s), -EBADMSG);
}

TEST(raw_keeps_every_byte)
{
    struct cast_json j = reader("  { \"a\" : [ 1 ,\"\\u00e4\" ] } ,");
    struct weft_span raw;
    CHECK_EQ(cast_json_raw(&j, &raw), 0);
    CHECK(cast_span_eq(raw, CAST_SPAN("{ \"a\" : [ 1 ,\"\\u00e4\" ] }")));
    CHECK_EQ(*j.at, ' ');
}

TEST(members_walked)
{
    struct cast_json j = reader("{\"a\":[1,[],{}],\"b\":{},\"c\":[]}");
    struct weft_span key;
    uint64_t v;
    CHECK_EQ(cast_json_object(&j), 0);
    CHECK_EQ(cast_json_key(&j, &key), 1);
    CHECK_EQ(cast_json_array(&j), 0);
    CHECK_EQ(cast_json_item(&j), 1);
    CHECK_EQ(cast_json_u64(&j, 9, &v), 0);
    CHECK_EQ(cast_json_item(&j), 1);
    CHECK_EQ(cast_json_array(&j), 0);
    CHECK_EQ(cast_json_item(&j), 0);
    CHECK_EQ(cast_json_item(&j), 1);
    CHECK_EQ(cast_json_object(&j), 0);
    CHECK_EQ(cast_json_key(&j, &key), 0);
    CHECK_EQ(cast_json_item(&j), 0);
    CHECK_EQ(cast_json_key(&j, &key), 1);
    CHECK_EQ(cast_json_raw(&j, NULL), 0);
    CHECK_EQ(cast_json_key(&j, &key), 1);
    CHECK(cast_span_eq(key, CAST_SPAN("c")));
    CHECK_EQ(cast_json_raw(&j, NULL), 0);
    CHECK_EQ(cast_json_key(&j, &key), 0);
    CHECK_EQ(cast_json_end(&j), 0);
}

TEST(scratch_grows_and_resets)
{
    struct cast_scratch s;
    _Alignas(16) char first[64];
    cast_scratch_init(&s, first, sizeof(first));
    for (int i = 1; i < 200; i++) {
        char *p = cast_scratch_alloc(&s, (size_t)i);
        CHECK(p && (uintptr_t)p % _Alignof(max_align_t) == 0);
        memset(p, i, (size_t)i);
    }
    CHECK(s.blocks != NULL);
    cast_scratch_reset(&s);
    CHECK(s.blocks == NULL && s.buf == first && s.used == 0);
    CHECK(cast_scratch_alloc(&s, SIZE_MAX) == NULL);
    cast_scratch_fini(&s);
}

/* xorshift: the seed is the run's. */
static uint64_t rng_state;
static unsigned rnd(unsigned below)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return (unsigned)(rng_state >> 33) % below;
}

static size_t random_text(char *out, int depth)
{
    static const char *const atoms[] = {"0", "-1.5e3", "\"a\"", "\"\\u00e4\\n\"", "true", "null",
        "\"\xc3\xa4\"", "false", "\"\"", "12345678"};
    size_t n = 0;
    unsigned kind = depth > 3 ? 2 : rnd(4), count = rnd(4);
    if (kind > 1)
        return (size_t)sprintf(out, "%s", atoms[rnd(10)]);
    out[n++] = kind ? '{' : '[';
    for (unsigned i = 0; i < count; i++) {
        if (i)
            out[n++] = ',';
        if (kind)
            n += (size_t)sprintf(out + n, "\"k%u\":", i);
        n += random_text(out + n, depth + 1);
    }
    out[n++] = kind ? '}' : ']';
    return n;
}

/* jansson agrees on random values, and on what a random change makes of them. */
TEST(agrees_with_jansson)
{
    static char text[65536];
    rng_state = test_seed() | 1;
    for (int round = 0; round < 20000; round++) {
        size_t n = random_text(text, 0);
        if (round % 2)
            text[rnd((unsigned)n)] = "{}[]:,\"\\0x.-n \x80"[rnd(15)];
        json_error_t why;
        json_t *v = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &why);
        /* What jansson cannot hold is not malformed, and so decides nothing: 1e3000, a NUL in a
         * key. */
        if (!v && (json_error_code(&why) == json_error_numeric_overflow ||
                      json_error_code(&why) == json_error_null_byte_in_key))
            continue;
        bool ours = cast_json_valid((struct weft_span){text, n});
        CHECK_MSG(ours == (v != NULL), "seed %llu: %s but jansson %s: %.*s",
            (unsigned long long)test_seed(), ours ? "accepted" : "refused",
            v ? "accepts" : "refuses", (int)n, text);
        json_decref(v);
    }
}
