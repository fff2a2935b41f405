// SPDX-License-Identifier: Apache-2.0
/*
 * token.c - verification: from text to claims, and from claims to what the server needs.
 *
 * Order: form, algorithm, signature, and only then the claims' JSON, so that somebody without a key
 * reaches no more code than the base64 and the small header. Nesting is bounded before any parser
 * that recurses sees the text, as verification may run on a fiber's small stack.
 *
 *     struct opened     header.claims.signature, decoded; `raw` is the claims' text, `json` its
 *                       tree
 *     fill_*            tree and raw spans into struct cast_*_token
 *
 * exp counts as passed from its very second on, nbf as reached from its second on. A present claim
 * of the wrong type makes the token invalid, null counts as absent.
 *
 * Concurrency: no state; see token.h.
 */
#include "config/config.h"
#include "token/b64.h"
#include "token/keys.h"
#include "token/rawjson.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOKEN_MOST = 1 << 20, DEPTH_MOST = 64, HEADER_MOST = 4096 };
enum { PARSE_FLAGS = JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL };

static const char bad_form[] = "invalid token: token format is not valid";
static const char bad_claims[] = "invalid token: a claim has the wrong type";

struct opened {
    char *buf; /* decoded header, claims, signature, one after the other */
    json_t *header, *json;
    struct weft_span raw;
    unsigned char *signature;
    size_t signature_bytes;
    size_t signed_bytes; /* of the text: what the signature covers */
};

static void close_token(struct opened *t)
{
    json_decref(t->header);
    json_decref(t->json);
    free(t->buf);
}

static json_t *parse(const char *text, size_t bytes)
{
    if (!cast_raw_is_shallow(text, bytes, DEPTH_MOST))
        return NULL;
    json_t *j = json_loadb(text, bytes, PARSE_FLAGS, NULL);
    if (j && !json_is_object(j)) {
        json_decref(j);
        return NULL;
    }
    return j;
}

/* Splits and decodes; parses the header, not the claims. Returns NULL or a sentence. */
static const char *open_token(const char *text, size_t bytes, struct opened *t)
{
    const char *end = text + bytes;
    const char *dot = memchr(text, '.', bytes);
    const char *dot2 = dot ? memchr(dot + 1, '.', (size_t)(end - dot - 1)) : NULL;
    size_t n[3], room = cast_b64_data_bytes(bytes) + 9;
    *t = (struct opened){0};
    if (!dot2 || bytes > TOKEN_MOST || dot - text > HEADER_MOST ||
        memchr(dot2 + 1, '.', (size_t)(end - dot2 - 1)))
        return bad_form;
    t->buf = malloc(room);
    if (!t->buf)
        return cast_token_no_memory;
    char *claims, *signature;
    if (!cast_b64_decode(CAST_B64_URL, text, (size_t)(dot - text), t->buf, &n[0]))
        return bad_form;
    claims = t->buf + n[0];
    if (!cast_b64_decode(CAST_B64_URL, dot + 1, (size_t)(dot2 - dot - 1), claims, &n[1]))
        return bad_form;
    signature = claims + n[1];
    if (!cast_b64_decode(CAST_B64_URL, dot2 + 1, (size_t)(end - dot2 - 1), signature, &n[2]))
        return bad_form;
    t->header = parse(t->buf, n[0]);
    if (!t->header)
        return bad_form;
    t->raw = (struct weft_span){claims, n[1]};
    t->signature = (unsigned char *)signature;
    t->signature_bytes = n[2];
    t->signed_bytes = (size_t)(dot2 - text);
    return NULL;
}

static const char *check_signature(const struct cast_config *cfg,
    const struct cast_token_keys *keys, const char *text, const struct opened *t, int64_t now_s)
{
    const char *name = json_string_value(json_object_get(t->header, "alg"));
    if (cfg->client.insecure_skip_token_signature_verify)
        return NULL;
    /* "crit" lists extensions that must be understood; there are none here (RFC 7515, 4.1.11). */
    if (!name || json_object_get(t->header, "crit"))
        return bad_form;
    int alg = cast_alg_parse(name);
    if (alg < 0)
        return "invalid token: unsupported JWT algorithm";
    return cast_token_check_signature(
        keys, alg, text, t->signed_bytes, t->signature, t->signature_bytes, now_s);
}

/* --- single claims -------------------------------------------------------------------------- */

static json_t *claim(const json_t *object, const char *name)
{
    json_t *j = json_object_get(object, name);
    return json_is_null(j) ? NULL : j;
}

/* A string claim, "" when absent, borrowed from the tree. */
static bool get_string(
    const json_t *object, const char *name, const char **ret_text, size_t *ret_bytes)
{
    json_t *j = claim(object, name);
    *ret_text = j ? json_string_value(j) : "";
    *ret_bytes = j ? json_string_length(j) : 0;
    return *ret_text != NULL;
}

/* A time in seconds; *ret_there says whether it is there. */
static bool get_time(const json_t *object, const char *name, bool *ret_there, int64_t *ret_s)
{
    json_t *j = claim(object, name);
    *ret_there = j != NULL;
    *ret_s = 0;
    if (!j)
        return true;
    if (!json_is_number(j) || fabs(json_number_value(j)) > 9e15)
        return false;
    *ret_s = (int64_t)json_number_value(j);
    return true;
}

static bool audience_is(const struct cast_token_keys *keys, const char *text, size_t bytes)
{
    if (*keys->audience &&
        (strlen(keys->audience) != bytes || memcmp(keys->audience, text, bytes) != 0))
        return false;
    return !keys->audience_regex || cast_regex_search(keys->audience_regex, text, bytes);
}

static const char *check_audience(const struct cast_token_keys *keys, const json_t *claims)
{
    json_t *aud = claim(claims, "aud"), *item;
    bool wanted = *keys->audience || keys->audience_regex, found = false;
    size_t i;
    if (json_is_array(aud)) {
        json_array_foreach(aud, i, item)
        {
            if (!json_is_string(item))
                return bad_claims;
            found = found || audience_is(keys, json_string_value(item), json_string_length(item));
        }
    } else if (json_is_string(aud)) {
        found = audience_is(keys, json_string_value(aud), json_string_length(aud));
    } else if (aud) {
        return bad_claims;
    }
    return wanted && !found ? "invalid token: invalid audience" : NULL;
}

static const char *check_issuer(const struct cast_token_keys *keys, const json_t *claims)
{
    const char *iss;
    size_t bytes;
    if (!get_string(claims, "iss", &iss, &bytes))
        return bad_claims;
    if ((*keys->issuer && (strlen(keys->issuer) != bytes || memcmp(keys->issuer, iss, bytes))) ||
        (keys->issuer_regex && !cast_regex_search(keys->issuer_regex, iss, bytes)))
        return "invalid token: invalid issuer";
    return NULL;
}

/* exp and nbf against now; expire_at over exp as the end of what the token opens. */
static enum cast_token_result check_times(
    const json_t *claims, int64_t now_s, int64_t *ret_expire_at_s, const char **ret_why)
{
    bool has_exp, has_nbf, has_at;
    int64_t exp_s, nbf_s, at_s;
    *ret_why = bad_claims;
    if (!get_time(claims, "exp", &has_exp, &exp_s) || !get_time(claims, "nbf", &has_nbf, &nbf_s) ||
        !get_time(claims, "expire_at", &has_at, &at_s))
        return CAST_TOKEN_INVALID;
    *ret_why = "token expired";
    if ((has_exp && exp_s <= now_s) || (has_nbf && nbf_s > now_s))
        return CAST_TOKEN_EXPIRED;
    int64_t end_s = has_at ? at_s : exp_s;
    *ret_expire_at_s = end_s > 0 ? end_s : 0;
    *ret_why = NULL;
    return CAST_TOKEN_OK;
}

/* --- what passes through -------------------------------------------------------------------- */

static bool copy_bytes(const char *from, size_t bytes, char **ret, size_t *ret_bytes)
{
    char *copy = malloc(bytes + 1);
    if (!copy)
        return false;
    memcpy(copy, from, bytes);
    copy[bytes] = '\0';
    *ret = copy;
    *ret_bytes = bytes;
    return true;
}

/* name as raw text, or b64name decoded. Returns OK, INVALID or NO_MEMORY. */
static enum cast_token_result get_payload(const json_t *object, struct weft_span raw,
    const char *name, const char *b64name, struct cast_token_bytes *ret)
{
    const char *b64;
    size_t bytes;
    if (!get_string(object, b64name, &b64, &bytes))
        return CAST_TOKEN_INVALID;
    if (bytes > 0) {
        ret->at = malloc(cast_b64_data_bytes(bytes) + 1);
        if (!ret->at)
            return CAST_TOKEN_NO_MEMORY;
        return cast_b64_decode(CAST_B64_STD, b64, bytes, ret->at, &ret->bytes) ? CAST_TOKEN_OK
                                                                               : CAST_TOKEN_INVALID;
    }
    struct weft_span value = cast_raw_member(raw, name);
    if (value.data && !copy_bytes(value.data, value.len, &ret->at, &ret->bytes))
        return CAST_TOKEN_NO_MEMORY;
    return CAST_TOKEN_OK;
}

static bool get_override(const json_t *object, const char *name, enum cast_token_override *ret)
{
    json_t *j = claim(object, name), *value = claim(j, "value");
    *ret = CAST_OVERRIDE_NONE;
    if (!j)
        return true;
    if (!json_is_object(j) || (value && !json_is_boolean(value)))
        return false;
    *ret = json_is_true(value) ? CAST_OVERRIDE_ON : CAST_OVERRIDE_OFF;
    return true;
}

/* info, data and override of a subscription, from an object and its text. */
static enum cast_token_result fill_sub(
    const json_t *object, struct weft_span raw, struct cast_token_sub *sub)
{
    json_t *o = claim(object, "override");
    if (o && !json_is_object(o))
        return CAST_TOKEN_INVALID;
    if (!get_override(o, "presence", &sub->presence) ||
        !get_override(o, "join_leave", &sub->join_leave) ||
        !get_override(o, "force_push_join_leave", &sub->force_push_join_leave) ||
        !get_override(o, "force_recovery", &sub->force_recovery) ||
        !get_override(o, "force_positioning", &sub->force_positioning))
        return CAST_TOKEN_INVALID;
    enum cast_token_result r = get_payload(object, raw, "info", "b64info", &sub->info);
    return r == CAST_TOKEN_OK ? get_payload(object, raw, "data", "b64data", &sub->data) : r;
}

static void sub_fini(struct cast_token_sub *sub)
{
    free(sub->channel);
    free(sub->info.at);
    free(sub->data.at);
}

/* The channel of a subscription must belong to a namespace that exists. */
static enum cast_token_result set_channel(
    const struct cast_config *cfg, const char *channel, size_t bytes, struct cast_token_sub *sub)
{
    struct cast_channel_name name;
    if (cast_config_channel(cfg, channel, bytes, &name) != 0)
        return CAST_TOKEN_UNKNOWN;
    return copy_bytes(channel, bytes, &sub->channel, &sub->channel_bytes) ? CAST_TOKEN_OK
                                                                          : CAST_TOKEN_NO_MEMORY;
}

/* The user's id: sub, or the configured claim, which may lie in objects and be a number. */
static enum cast_token_result get_user(
    const struct cast_token_keys *keys, const struct opened *t, char **ret_user, size_t *ret_bytes)
{
    const char *text;
    size_t bytes;
    if (!get_string(t->json, "sub", &text, &bytes))
        return CAST_TOKEN_INVALID;
    if (!*keys->user_id_claim)
        return copy_bytes(text, bytes, ret_user, ret_bytes) ? CAST_TOKEN_OK : CAST_TOKEN_NO_MEMORY;
    struct weft_span at = t->raw;
    const char *path = keys->user_id_claim;
    while (*path && at.data && at.len > 0 && at.data[0] == '{') {
        char name[256];
        size_t step = strcspn(path, ".");
        snprintf(name, sizeof name, "%.*s", (int)step, path);
        at = cast_raw_member(at, name);
        path += step + (path[step] == '.');
    }
    if (*path || !at.data || (at.len == 4 && memcmp(at.data, "null", 4) == 0))
        return copy_bytes("", 0, ret_user, ret_bytes) ? CAST_TOKEN_OK : CAST_TOKEN_NO_MEMORY;
    if (at.data[0] == '{' || at.data[0] == '[')
        return CAST_TOKEN_INVALID;
    json_t *string = at.data[0] == '"'
                         ? json_loadb(at.data, at.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL)
                         : NULL;
    bool good = copy_bytes(string ? json_string_value(string) : at.data,
        string ? json_string_length(string) : at.len, ret_user, ret_bytes);
    json_decref(string);
    return good ? CAST_TOKEN_OK : CAST_TOKEN_NO_MEMORY;
}

/* --- connections ---------------------------------------------------------------------------- */

static enum cast_token_result fill_subs(
    const struct cast_config *cfg, const struct opened *t, struct cast_connect_token *c)
{
    json_t *subs = claim(t->json, "subs");
    struct weft_span rest = cast_raw_member(t->raw, "subs"), key, value;
    if (subs && !json_is_object(subs))
        return CAST_TOKEN_INVALID;
    size_t most = json_object_size(subs);
    if (most == 0)
        return CAST_TOKEN_OK;
    c->subs = calloc(most, sizeof *c->subs);
    if (!c->subs)
        return CAST_TOKEN_NO_MEMORY;
    while (cast_raw_next(&rest, &key, &value)) {
        enum cast_token_result r = CAST_TOKEN_INVALID;
        if (c->subs_count == most) /* a channel stands there twice */
            return r;
        struct cast_token_sub *sub = &c->subs[c->subs_count++];
        json_t *name = json_loadb(key.data, key.len, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        json_t *object = json_loadb(value.data, value.len, PARSE_FLAGS | JSON_DECODE_ANY, NULL);
        if (name && (json_is_object(object) || json_is_null(object)))
            r = set_channel(cfg, json_string_value(name), json_string_length(name), sub);
        if (r == CAST_TOKEN_OK && json_is_object(object))
            r = fill_sub(object, value, sub);
        json_decref(name);
        json_decref(object);
        if (r != CAST_TOKEN_OK)
            return r;
    }
    return CAST_TOKEN_OK;
}

/* The older claim: names only. */
static enum cast_token_result fill_channels(
    const struct cast_config *cfg, const struct opened *t, struct cast_connect_token *c)
{
    json_t *list = claim(t->json, "channels"), *item, *seen;
    enum cast_token_result r = CAST_TOKEN_OK;
    size_t i, count = json_array_size(list);
    if (list && !json_is_array(list))
        return CAST_TOKEN_INVALID;
    if (count == 0 || c->subs_count > 0)
        return CAST_TOKEN_OK;
    c->subs = calloc(count, sizeof *c->subs);
    seen = json_object();
    if (!c->subs || !seen)
        r = CAST_TOKEN_NO_MEMORY;
    json_array_foreach(list, i, item)
    {
        const char *name = json_string_value(item);
        size_t bytes = json_string_length(item);
        if (r == CAST_TOKEN_OK && !name)
            r = CAST_TOKEN_INVALID;
        if (r != CAST_TOKEN_OK)
            break;
        if (json_object_getn(seen, name, bytes))
            continue;
        json_object_setn_new(seen, name, bytes, json_true());
        r = set_channel(cfg, name, bytes, &c->subs[c->subs_count++]);
    }
    json_decref(seen);
    return r;
}

static enum cast_token_result fill_connect(const struct cast_config *cfg, const struct opened *t,
    int64_t now_s, void *token, const char **ret_why)
{
    struct cast_connect_token *c = token;
    const char *channel;
    size_t bytes;
    *ret_why = bad_claims;
    if (!get_string(t->json, "channel", &channel, &bytes))
        return CAST_TOKEN_INVALID;
    if (bytes > 0) {
        *ret_why = "invalid token: connection JWT can not contain channel claim, only subscription "
                   "JWT can";
        return CAST_TOKEN_INVALID;
    }
    enum cast_token_result r = check_times(t->json, now_s, &c->expire_at_s, ret_why);
    if (r != CAST_TOKEN_OK)
        return r;
    *ret_why = bad_claims;
    r = get_user(cfg->connect_keys, t, &c->user, &c->user_bytes);
    if (r == CAST_TOKEN_OK)
        r = get_payload(t->json, t->raw, "info", "b64info", &c->info);
    struct weft_span meta = cast_raw_member(t->raw, "meta");
    if (r == CAST_TOKEN_OK && meta.data &&
        !copy_bytes(meta.data, meta.len, &c->meta.at, &c->meta.bytes))
        r = CAST_TOKEN_NO_MEMORY;
    if (r == CAST_TOKEN_OK)
        r = fill_subs(cfg, t, c);
    if (r == CAST_TOKEN_OK)
        r = fill_channels(cfg, t, c);
    return r;
}

/* --- subscriptions -------------------------------------------------------------------------- */

static enum cast_token_result fill_subscribe(const struct cast_config *cfg, const struct opened *t,
    int64_t now_s, void *token, const char **ret_why)
{
    struct cast_subscribe_token *s = token;
    const char *channel, *client;
    size_t channel_bytes, client_bytes;
    enum cast_token_result r = check_times(t->json, now_s, &s->expire_at_s, ret_why);
    if (r != CAST_TOKEN_OK)
        return r;
    *ret_why = bad_claims;
    if (!get_string(t->json, "channel", &channel, &channel_bytes) ||
        !get_string(t->json, "client", &client, &client_bytes))
        return CAST_TOKEN_INVALID;
    if (channel_bytes == 0) {
        *ret_why = "invalid token: channel claim is required for subscription JWT";
        return CAST_TOKEN_INVALID;
    }
    r = get_user(cfg->subscribe_keys, t, &s->user, &s->user_bytes);
    if (r == CAST_TOKEN_OK && !copy_bytes(client, client_bytes, &s->client, &s->client_bytes))
        r = CAST_TOKEN_NO_MEMORY;
    if (r == CAST_TOKEN_OK)
        r = set_channel(cfg, channel, channel_bytes, &s->sub);
    if (r == CAST_TOKEN_OK)
        r = fill_sub(t->json, t->raw, &s->sub);
    return r;
}

/* --- the public face ------------------------------------------------------------------------ */

/* Up to the claims: form, signature, issuer, audience. */
static enum cast_token_result open_trusted(const struct cast_config *cfg,
    const struct cast_token_keys *keys, struct weft_span text, int64_t now_s, struct opened *t,
    const char **ret_why)
{
    *ret_why = open_token(text.data, text.len, t);
    if (!*ret_why)
        *ret_why = check_signature(cfg, keys, text.data, t, now_s);
    if (*ret_why)
        return *ret_why == cast_token_no_memory ? CAST_TOKEN_NO_MEMORY : CAST_TOKEN_INVALID;
    t->json = parse(t->raw.data, t->raw.len);
    *ret_why = t->json ? check_issuer(keys, t->json) : bad_form;
    if (!*ret_why)
        *ret_why = check_audience(keys, t->json);
    return *ret_why ? CAST_TOKEN_INVALID : CAST_TOKEN_OK;
}

static const char *settle_why(enum cast_token_result r, const char *why)
{
    switch (r) {
    case CAST_TOKEN_OK:
        return NULL;
    case CAST_TOKEN_UNKNOWN:
        return "unknown channel";
    case CAST_TOKEN_NO_MEMORY:
        return cast_token_no_memory;
    default:
        return why;
    }
}

typedef enum cast_token_result fill_fn(const struct cast_config *cfg, const struct opened *t,
    int64_t now_s, void *token, const char **ret_why);

/* From text to token, which is the caller's, zeroed (NULL: there was no memory for it), and on a
 * failure may be filled in part. */
static enum cast_token_result verify(const struct cast_config *cfg,
    const struct cast_token_keys *keys, struct weft_span text, int64_t now_s, fill_fn *fill,
    void *token, const char **ret_why)
{
    struct opened t;
    const char *why = NULL;
    enum cast_token_result r = CAST_TOKEN_NO_MEMORY;
    if (token) {
        r = open_trusted(cfg, keys, text, now_s, &t, &why);
        if (r == CAST_TOKEN_OK)
            r = fill(cfg, &t, now_s, token, &why);
        close_token(&t);
    }
    if (ret_why)
        *ret_why = settle_why(r, why);
    return r;
}

enum cast_token_result cast_token_verify_connect(const struct cast_config *cfg, const char *text,
    size_t text_bytes, int64_t now_s, struct cast_connect_token **ret, const char **ret_why)
{
    struct cast_connect_token *c = calloc(1, sizeof *c);
    enum cast_token_result r = verify(cfg, cfg->connect_keys, (struct weft_span){text, text_bytes},
        now_s, fill_connect, c, ret_why);
    if (r == CAST_TOKEN_OK)
        *ret = c;
    else
        cast_connect_token_free(c);
    return r;
}

enum cast_token_result cast_token_verify_subscribe(const struct cast_config *cfg, const char *text,
    size_t text_bytes, int64_t now_s, struct cast_subscribe_token **ret, const char **ret_why)
{
    struct cast_subscribe_token *s = calloc(1, sizeof *s);
    enum cast_token_result r = verify(cfg, cfg->subscribe_keys,
        (struct weft_span){text, text_bytes}, now_s, fill_subscribe, s, ret_why);
    if (r == CAST_TOKEN_OK)
        *ret = s;
    else
        cast_subscribe_token_free(s);
    return r;
}

int cast_token_peek(const char *text, size_t text_bytes, char **ret_algorithm, char **ret_claims)
{
    struct opened t;
    size_t bytes;
    int rc = -EINVAL;
    if (!open_token(text, text_bytes, &t) && (t.json = parse(t.raw.data, t.raw.len)) != NULL) {
        const char *alg = json_string_value(json_object_get(t.header, "alg"));
        char *name = strdup(alg ? alg : "");
        rc = -ENOMEM;
        if (name && copy_bytes(t.raw.data, t.raw.len, ret_claims, &bytes)) {
            *ret_algorithm = name;
            rc = 0;
        } else {
            free(name);
        }
    }
    close_token(&t);
    return rc;
}

void cast_connect_token_free(struct cast_connect_token *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->subs_count; i++)
        sub_fini(&t->subs[i]);
    free(t->subs);
    free(t->user);
    free(t->info.at);
    free(t->meta.at);
    free(t);
}

void cast_subscribe_token_free(struct cast_subscribe_token *t)
{
    if (!t)
        return;
    sub_fini(&t->sub);
    free(t->user);
    free(t->client);
    free(t);
}
