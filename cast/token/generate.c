// SPDX-License-Identifier: Apache-2.0
/* generate.c - tokens for tests and first steps (gentoken, gensubtoken): claims signed with HS256.
 */
#include "token/b64.h"
#include "token/keys.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* Sets a string at a dotted path, making the objects on the way. */
static int put_user(json_t *object, const char *path, const char *user)
{
    for (;;) {
        char name[256];
        size_t step = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)step, path);
        if (path[step] == '\0')
            return json_object_set_new(object, name, json_string(user));
        json_t *below = json_object();
        if (json_object_set_new(object, name, below) != 0)
            return -1;
        object = below;
        path += step + 1;
    }
}

/* NULL also when a text is not UTF-8: a claim must not be left out silently. */
static char *claims_text(const struct cast_token_claims *c)
{
    json_t *j = json_object();
    int rc = 0;
    if (*c->user)
        rc |= json_object_set_new(j, "sub", json_string(c->user));
    if (c->expire_at_s)
        rc |= json_object_set_new(j, "exp", json_integer(c->expire_at_s));
    rc |= json_object_set_new(j, "iat", json_integer(c->issued_at_s));
    if (c->channel)
        rc |= json_object_set_new(j, "channel", json_string(c->channel));
    if (c->user_claim && *c->user_claim)
        rc |= put_user(j, c->user_claim, c->user);
    char *text = rc == 0 ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    return text;
}

char *cast_token_generate(const char *secret, const struct cast_token_claims *claims)
{
    static const char header[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    unsigned char mac[32];
    char *text = claims_text(claims);
    if (!text)
        return NULL;
    size_t head = cast_b64_text_bytes(CAST_B64_URL, sizeof header - 1);
    size_t body = cast_b64_text_bytes(CAST_B64_URL, strlen(text));
    size_t tail = cast_b64_text_bytes(CAST_B64_URL, sizeof mac);
    char *token = malloc(head + 1 + body + 1 + tail + 1);
    if (token) {
        cast_b64_encode(CAST_B64_URL, header, sizeof header - 1, token);
        token[head] = '.';
        cast_b64_encode(CAST_B64_URL, text, strlen(text), token + head + 1);
        if (cast_token_hmac256(secret, token, head + 1 + body, mac)) {
            token[head + 1 + body] = '.';
            cast_b64_encode(CAST_B64_URL, mac, sizeof mac, token + head + 1 + body + 1);
            token[head + 1 + body + 1 + tail] = '\0';
        } else {
            free(token);
            token = NULL;
        }
    }
    free(text);
    return token;
}
