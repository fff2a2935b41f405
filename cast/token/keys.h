// SPDX-License-Identifier: Apache-2.0
/*
 * keys.h - signatures of tokens, and the rules for their audience and issuer.
 *
 * Which key checks a token is decided by what is configured for the token's algorithm, never by the
 * token: an HS256 token is held only against the shared secrets, an RS256 token only against the
 * RSA key, so a public key cannot be abused as a shared secret. "none" is no algorithm here.
 *
 * Concurrency: immutable after cast_token_keys_new.
 */
#ifndef CAST_TOKEN_KEYS_H
#define CAST_TOKEN_KEYS_H
#include "config/regex.h"
#include "token/token.h"

#include <openssl/evp.h>

enum cast_alg {
    CAST_ALG_HS256,
    CAST_ALG_HS384,
    CAST_ALG_HS512,
    CAST_ALG_RS256,
    CAST_ALG_RS384,
    CAST_ALG_RS512,
    CAST_ALG_ES256,
    CAST_ALG_ES384,
    CAST_ALG_ES512,
    CAST_ALG_COUNT
};

struct cast_token_keys {
    char *secret, *previous_secret;
    size_t secret_bytes, previous_secret_bytes;
    int64_t previous_valid_until_s;
    EVP_PKEY *rsa, *ecdsa;
    int ecdsa_alg; /* the one algorithm that the key's curve allows */
    char *audience, *issuer, *user_id_claim;
    struct cast_regex *audience_regex, *issuer_regex;
    char algorithms[80];
};

/** The algorithm of a header's "alg"; -1 for one that nobody should use or nobody knows. */
int cast_alg_parse(const char *name);
/** The sentence that means CAST_TOKEN_NO_MEMORY; compared by address. */
extern const char cast_token_no_memory[];
/** Checks a signature over `bytes` bytes of text. Returns NULL when it is good, else a static
 * sentence. */
const char *cast_token_check_signature(const struct cast_token_keys *keys, int alg,
    const char *text, size_t bytes, const unsigned char *signature, size_t signature_bytes,
    int64_t now_s);
/** HMAC-SHA-256 into 32 bytes; false without memory. */
bool cast_token_hmac256(
    const char *secret, const char *text, size_t bytes, unsigned char ret_mac[32]);
#endif
