// SPDX-License-Identifier: Apache-2.0
/*
 * fault_cast_config.c - configurations and tokens when the n-th allocation fails, for each n until
 * all succeed: nothing crashes, nothing is half-done, nothing leaks.
 *
 * The allocator of the whole program is replaced (failing_malloc.h), so that PCRE2 and OpenSSL see
 * the failures too. Jansson is spared: its lexer goes on with half a string when its buffer cannot
 * grow. libyaml sees failures, but loses a block of its own at some of them, so leaks are not
 * counted there. Blocks are counted otherwise: what a failed attempt leaves behind is a leak. A
 * first, good attempt fills the caches that the libraries keep for ever, and an error of OpenSSL's
 * makes its list of errors.
 */
#include "config_test.h"
#include "failing_malloc.h"
#include "token/token.h"

#include <jansson.h>
#include <openssl/err.h>

typedef bool attempt_fn(void);

/* Runs fn with the n-th allocation failing, for growing n. */
static void each_allocation(attempt_fn *fn, bool count_blocks)
{
    enum { MOST = 20000 };
    long n = 0;
    json_set_alloc_funcs(malloc_spared, free);
    ERR_raise(ERR_LIB_USER, ERR_R_MALLOC_FAILURE);
    ERR_clear_error();
    CHECK(fn());
    for (bool good = false; !good; n++) {
        long before = malloc_live();
        CHECK(n < MOST);
        malloc_fail_at(n);
        good = fn();
        bool reached = malloc_fail_end();
        long left = malloc_live() - before;
        CHECK_MSG(!count_blocks || left == 0, "failing allocation %ld left %ld blocks", n, left);
        CHECK_MSG(good || reached, "failed without a failing allocation, at %ld", n);
        good = good && !reached;
    }
    CHECK(n > 10);
}

static bool load_one(const char *format, const char *text)
{
    static char *const env[] = {"WEFTCAST_CLIENT_CHANNEL_LIMIT=9",
        "CENTRIFUGO_CHANNEL_NAMESPACES_NEWS_PRESENCE=true", "WEFTCAST_CLINT=1", NULL};
    static const struct cast_config_flag flags[] = {{"http_server.port", "81"}, {NULL, NULL}};
    struct cast_config *c;
    struct cast_config_error err;
    int rc = load_text(format, text, env, flags, &c, &err);
    CHECK_MSG(rc == 0 || rc == -ENOMEM || rc == -EINVAL, "%d", rc);
    if (rc != 0) {
        CHECK(err.text[0] != '\0');
        return false;
    }
    CHECK_EQ(c->client.channel_limit, 9);
    CHECK_EQ(c->http_server.port, 81);
    CHECK(c->channel.namespaces_count == 2 && c->channel.namespaces[0].presence);
    CHECK_STR(c->client.allowed_origins.items[1], "http://*.x");
    CHECK_EQ(warnings_of(c), 3);
    cast_config_unref(c);
    return true;
}

static bool load_json(void)
{
    return load_one("json",
        "{\"client\":{\"allowed_origins\":[\"http://a\",\"http://*.x\"],\"token\":{\"hmac_secret_"
        "key\":\"k\",\"audience_regex\":\"^a|b$\"}},\"foo\":1,\"websocket\":{\"compression\":true},"
        "\"channel\":{\"namespaces\":[{\"name\":\"news\",\"channel_regex\":\"^[a-z]+$\"},"
        "{\"name\":\"chat\"}]}}");
}

static bool load_yaml(void)
{
    return load_one("yaml",
        "client: {allowed_origins: [\"http://a\", \"http://*.x\"]}\nfoo: 1\n"
        "websocket: {compression: true}\nchannel:\n  namespaces:\n    - &n {name: news}\n"
        "    - {<<: *n, name: chat}\n");
}

static struct cast_config *config;
static char *connect_text, *subscribe_text;

static bool verify_connect(void)
{
    struct cast_connect_token *t = NULL;
    const char *why;
    enum cast_token_result r =
        cast_token_verify_connect(config, connect_text, strlen(connect_text), 1800000000, &t, &why);
    CHECK((r == CAST_TOKEN_OK) == (t != NULL));
    CHECK(r != CAST_TOKEN_EXPIRED && r != CAST_TOKEN_UNKNOWN);
    if (t)
        CHECK_STR(t->user, "42");
    cast_connect_token_free(t);
    return r == CAST_TOKEN_OK;
}

static bool verify_subscribe(void)
{
    struct cast_subscribe_token *t = NULL;
    const char *why;
    enum cast_token_result r = cast_token_verify_subscribe(
        config, subscribe_text, strlen(subscribe_text), 1800000000, &t, &why);
    CHECK((r == CAST_TOKEN_OK) == (t != NULL));
    if (t)
        CHECK_STR(t->sub.channel, "a");
    cast_subscribe_token_free(t);
    return r == CAST_TOKEN_OK;
}

static bool generate(void)
{
    struct cast_token_claims claims = {.user = "42", .user_claim = "u.id", .channel = "a"};
    char *token = cast_token_generate("secret", &claims);
    bool good = token != NULL;
    free(token);
    return good;
}

TEST(json)
{
    each_allocation(load_json, true);
}

TEST(yaml)
{
    each_allocation(load_yaml, false);
}

TEST(tokens)
{
    config = load_good("{\"client\":{\"token\":{\"hmac_secret_key\":\"secret\"}}}");
    connect_text =
        cast_token_generate("secret", &(struct cast_token_claims){.user = "42", .issued_at_s = 1});
    subscribe_text = cast_token_generate(
        "secret", &(struct cast_token_claims){.user = "42", .channel = "a", .issued_at_s = 1});
    CHECK(connect_text && subscribe_text);
    each_allocation(verify_connect, true);
    each_allocation(verify_subscribe, true);
    each_allocation(generate, true);
    free(connect_text);
    free(subscribe_text);
    cast_config_unref(config);
}
