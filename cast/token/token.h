// SPDX-License-Identifier: Apache-2.0
/*
 * token.h - JSON web tokens of connections and subscriptions: made, checked, taken apart.
 *
 * What: compact JWS, "header.claims.signature" in base64url, signed with HS256/384/512 (a shared
 * secret), RS256/384/512 or ES256/384/512 (public keys). A token says who a client is and until
 * when, and may carry server-side subscriptions or the options of one subscription.
 *
 *     text ── split, decode ── header.alg ── signature ── claims ── aud, iss, channel ── exp, nbf
 *                                  │             │                        │               │
 *                             INVALID       INVALID                   INVALID         EXPIRED
 *
 * A signature is checked before anything else is said about a token, except that text which is no
 * token at all is INVALID at once. JSON values that pass through (info, data, meta) keep their
 * bytes exactly as the token has them.
 *
 * Concurrency: keys are immutable and belong to a configuration snapshot; verification may run on
 * any thread or fiber, does not park, and allocates its result. Cost: one HMAC (about 1 µs) or one
 * public-key verification (30 to 150 µs).
 */
#ifndef CAST_TOKEN_H
#define CAST_TOKEN_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cast_config;
struct cast_token_keys;

enum cast_token_result {
    CAST_TOKEN_OK,
    CAST_TOKEN_INVALID,   /* a connection: close 3500 invalid token; a subscription: see table below
                           */
    CAST_TOKEN_EXPIRED,   /* error 109 token expired (past exp, or before nbf) */
    CAST_TOKEN_UNKNOWN,   /* names a channel of an unknown namespace: error 102 unknown channel */
    CAST_TOKEN_NO_MEMORY, /* error 100 */
};

/** Bytes that pass through untouched: NULL when absent, else owned and `bytes` long. */
struct cast_token_bytes {
    char *at;
    size_t bytes;
};

/** One option that a token may force on or off. */
enum cast_token_override { CAST_OVERRIDE_NONE, CAST_OVERRIDE_OFF, CAST_OVERRIDE_ON };

/** Options of one subscription given by a token. */
struct cast_token_sub {
    char *channel;
    size_t channel_bytes;
    struct cast_token_bytes info; /* channel info, of info or decoded from b64info */
    struct cast_token_bytes data; /* for the client, of data or decoded from b64data */
    enum cast_token_override presence, join_leave, force_push_join_leave, force_recovery,
        force_positioning;
};

/** What a good connection token says. */
struct cast_connect_token {
    char *user; /* "" is anonymous */
    size_t user_bytes;
    int64_t expire_at_s; /* unix seconds; 0 is never */
    struct cast_token_bytes info;
    struct cast_token_bytes meta;
    struct cast_token_sub *subs; /* of subs, else of channels */
    size_t subs_count;
};

/** What a good subscription token says. */
struct cast_subscribe_token {
    char *user;
    size_t user_bytes;
    char *client; /* "" is any */
    size_t client_bytes;
    int64_t expire_at_s;
    struct cast_token_sub sub; /* sub.channel is the channel claim */
};

/**
 * cast_token_verify_connect - check a connection token and take it apart.
 * @cfg:     the snapshot with keys, rules and namespaces; borrowed.
 * @now_s:   unix seconds, against which exp and nbf are held.
 * @ret:     set only with CAST_TOKEN_OK; release with cast_connect_token_free.
 * @ret_why: may be NULL; set to a static sentence when the result is not OK ("token expired",
 *           "invalid token: disabled JWT algorithm: HS256").
 *
 * The caller compares what only it knows (user of the connection, disallow_anonymous_…).
 */
enum cast_token_result cast_token_verify_connect(const struct cast_config *cfg, const char *text,
    size_t text_bytes, int64_t now_s, struct cast_connect_token **ret, const char **ret_why);
/** As cast_token_verify_connect, for a subscription. The caller compares user, client and channel
 * with the connection's (a difference is: close 3500); INVALID here is error 103 in a subscribe
 * and close 3500 in a sub_refresh. */
enum cast_token_result cast_token_verify_subscribe(const struct cast_config *cfg, const char *text,
    size_t text_bytes, int64_t now_s, struct cast_subscribe_token **ret, const char **ret_why);

/** Shows what an unchecked token says, for people: the algorithm and the claims' JSON, both owned
 * (free). Returns 0, -EINVAL when it is no token, or -ENOMEM. Never base a decision on it. */
int cast_token_peek(const char *text, size_t text_bytes, char **ret_algorithm, char **ret_claims);

void cast_connect_token_free(struct cast_connect_token *t);
void cast_subscribe_token_free(struct cast_subscribe_token *t);

/** Claims of a token to be made. */
struct cast_token_claims {
    const char *user;       /* "" leaves the claim out */
    const char *user_claim; /* NULL or "" is sub; dots reach into objects */
    const char *channel;    /* NULL for a connection token */
    int64_t issued_at_s;
    int64_t expire_at_s; /* 0 leaves exp out */
};

/**
 * cast_token_generate - sign claims with HS256.
 * Returns the token, owned (free), or NULL: no memory, or user or channel are not UTF-8. secret
 * must not be empty.
 */
char *cast_token_generate(const char *secret, const struct cast_token_claims *claims);

/** Makes keys from the token options of a section; used by cast_config_load. Returns 0, -EINVAL
 * with a sentence in err (which does not name the section), or -ENOMEM. */
struct cast_token_rules {
    const char *hmac_secret_key, *hmac_previous_secret_key;
    int64_t hmac_previous_secret_key_valid_until;
    const char *rsa_public_key, *ecdsa_public_key;
    const char *audience, *audience_regex, *issuer, *issuer_regex, *user_id_claim;
};
int cast_token_keys_new(const struct cast_token_rules *rules, struct cast_token_keys **ret_keys,
    char *err, size_t err_bytes);
void cast_token_keys_free(struct cast_token_keys *keys);
/** The enabled algorithms as a list for the log, "HS256, HS384, HS512"; "" for none. */
const char *cast_token_keys_algorithms(const struct cast_token_keys *keys);
#endif
