// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz_cast_token.c - a token as text, and as header and claims (one on the first line, the other
 * on the rest) that are then signed as the server expects, so that the claims' code is reached.
 *
 * Checked: text that nobody signed is never accepted; what is accepted has its strings, its
 * channels belong to namespaces that exist, an expiry is not in the past unless expire_at says so;
 * a refusal has a sentence; both kinds of tokens; globs get the same bytes.
 */
#include "fuzz.h"
#include "config/config.h"
#include "token/b64.h"
#include "token/keys.h"

enum { NOW = 1800000000 };

static const struct cast_config *config(void)
{
    static struct cast_config *c;
    static const char text[] =
        "{\"client\":{\"token\":{\"hmac_secret_key\":\"secret\",\"user_id_claim\":\"\"}},"
        "\"channel\":{\"namespaces\":[{\"name\":\"news\"}]}}";
    struct cast_config_source src = {0};
    struct cast_config_error err;
    if (!c)
        FUZZ_CHECK(cast_config_load_text(text, sizeof text - 1, "json", &src, &c, &err) == 0);
    return c;
}

static void check_sub(const struct cast_token_sub *sub)
{
    struct cast_channel_name name;
    FUZZ_CHECK(sub->channel && strlen(sub->channel) <= sub->channel_bytes);
    FUZZ_CHECK(cast_config_channel(config(), sub->channel, sub->channel_bytes, &name) == 0);
    FUZZ_CHECK(sub->data.at || sub->data.bytes == 0);
    FUZZ_CHECK(sub->info.at || sub->info.bytes == 0);
}

static bool verify(const char *text, size_t bytes)
{
    struct cast_connect_token *c = NULL;
    struct cast_subscribe_token *s = NULL;
    const char *why;
    bool good = false;
    if (cast_token_verify_connect(config(), text, bytes, NOW, &c, &why) == CAST_TOKEN_OK) {
        FUZZ_CHECK(c && c->user && c->expire_at_s >= 0);
        for (size_t i = 0; i < c->subs_count; i++)
            check_sub(&c->subs[i]);
        cast_connect_token_free(c);
        good = true;
    } else {
        FUZZ_CHECK(!c && why && *why);
    }
    if (cast_token_verify_subscribe(config(), text, bytes, NOW, &s, &why) == CAST_TOKEN_OK) {
        FUZZ_CHECK(s && s->user && s->client && s->sub.channel_bytes > 0);
        check_sub(&s->sub);
        cast_subscribe_token_free(s);
        good = true;
    } else {
        FUZZ_CHECK(!s && why && *why);
    }
    return good;
}

/* header.claims.signature, with a good signature for HS256. */
static char *sign(const char *text, size_t bytes, size_t *ret_bytes)
{
    const char *line = bytes ? memchr(text, '\n', bytes) : NULL;
    size_t head = line ? (size_t)(line - text) : 0, body = line ? bytes - head - 1 : bytes;
    size_t h = cast_b64_text_bytes(CAST_B64_URL, head), b = cast_b64_text_bytes(CAST_B64_URL, body);
    char *token = malloc(h + b + 64);
    unsigned char mac[32];
    FUZZ_CHECK(token);
    cast_b64_encode(CAST_B64_URL, text, head, token);
    token[h] = '.';
    cast_b64_encode(CAST_B64_URL, line ? line + 1 : text, body, token + h + 1);
    FUZZ_CHECK(cast_token_hmac256("secret", token, h + 1 + b, mac));
    token[h + 1 + b] = '.';
    cast_b64_encode(CAST_B64_URL, mac, sizeof mac, token + h + b + 2);
    *ret_bytes = h + b + 2 + cast_b64_text_bytes(CAST_B64_URL, sizeof mac);
    return token;
}

static void check_glob(const char *text, size_t bytes)
{
    const char *line = bytes ? memchr(text, '\n', bytes) : NULL;
    if (!line || memchr(text, '\0', (size_t)(line - text)) || line - text > 200)
        return;
    char *pattern = strndup(text, (size_t)(line - text));
    FUZZ_CHECK(pattern);
    size_t rest = bytes - (size_t)(line - text) - 1;
    bool matched = cast_glob_match(pattern, line + 1, rest < 300 ? rest : 300);
    FUZZ_CHECK(!matched || cast_glob_valid(pattern, strlen(pattern)));
    if (!strpbrk(pattern, "*?[]{}\\"))
        FUZZ_CHECK(matched == (rest == strlen(pattern) && memcmp(pattern, line + 1, rest) == 0) ||
                   rest >= 300);
    free(pattern);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = calloc(size ? size : 1, 1), *token;
    size_t bytes;
    FUZZ_CHECK(copy);
    if (size)
        memcpy(copy, data, size);
    FUZZ_CHECK(!verify(copy, size));
    token = sign(copy, size, &bytes);
    verify(token, bytes);
    free(token);
    check_glob(copy, size);
    free(copy);
    return 0;
}
