// SPDX-License-Identifier: Apache-2.0
/* test_glob.c - glob patterns: what matches, what does not, what is no pattern, and bounded work.
 */
#include "config/config.h"
#include "test.h"

static bool match(const char *pattern, const char *text)
{
    return cast_glob_match(pattern, text, strlen(text));
}

TEST(literals_and_wildcards)
{
    CHECK(match("abc", "abc"));
    CHECK(!match("abc", "abcd"));
    CHECK(!match("abc", "ab"));
    CHECK(match("", ""));
    CHECK(!match("", "a"));
    CHECK(match("*", ""));
    CHECK(match("*", "https://a.example:8080/x"));
    CHECK(match("https://*.example.com", "https://a.b.example.com"));
    CHECK(!match("https://*.example.com", "https://example.com"));
    CHECK(match("a?c", "abc"));
    CHECK(!match("a?c", "ac"));
    CHECK(match("**a**", "xxaxx"));
}

TEST(classes)
{
    CHECK(match("x[0-9]y", "x5y"));
    CHECK(!match("x[0-9]y", "xay"));
    CHECK(match("x[!0-9]y", "xay"));
    CHECK(!match("x[!0-9]y", "x1y"));
    CHECK(match("[abc][]x]", "b]"));
    CHECK(match("[\\]]", "]"));
    CHECK(match("[a-]", "-"));
}

TEST(alternatives)
{
    CHECK(match("http{,s}://a", "http://a"));
    CHECK(match("http{,s}://a", "https://a"));
    CHECK(!match("http{,s}://a", "httpx://a"));
    CHECK(match("{a,b{c,d}e}f", "bdef"));
    CHECK(match("{a,b{c,d}e}f", "af"));
    CHECK(!match("{a,b{c,d}e}f", "bef"));
    CHECK(match("{*.a,b.*}", "x.y.a"));
    CHECK(match("{*.a,b.*}", "b.zz"));
    CHECK(match("a,b", "a,b"));
    CHECK(match("{a\\,b,c}", "a,b"));
}

TEST(escapes)
{
    CHECK(match("a\\*b", "a*b"));
    CHECK(!match("a\\*b", "axb"));
    CHECK(match("\\{x\\}", "{x}"));
}

TEST(validity)
{
    CHECK(cast_glob_valid("a*", 2));
    CHECK(!cast_glob_valid("[", 1));
    CHECK(!cast_glob_valid("[a", 2));
    CHECK(!cast_glob_valid("{a", 2));
    CHECK(!cast_glob_valid("a}", 2));
    CHECK(!cast_glob_valid("\\", 1));
    CHECK(!match("[", "["));
    char longer[3000];
    memset(longer, 'a', sizeof longer);
    CHECK(!cast_glob_valid(longer, sizeof longer));
}

/* An exponential matcher would not come back from this. */
TEST(work_is_bounded)
{
    char text[2000];
    memset(text, 'a', sizeof text);
    CHECK(!cast_glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text, sizeof text));
}
