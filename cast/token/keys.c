// SPDX-License-Identifier: Apache-2.0
/*
 * keys.c - OpenSSL behind the checks of signatures.
 *
 * HMACs are compared in constant time (CRYPTO_memcmp), and the previous secret is tried even when
 * the current one is missing. An ECDSA signature in a token is r and s side by side, of the curve's
 * size; OpenSSL wants them as DER.
 */
#include "token/keys.h"

#include "token/b64.h"

#include <errno.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    const char *disabled;
    size_t half_bytes; /* ECDSA: of r and of s */
    const char *curve;
} algs[CAST_ALG_COUNT] = {
    [CAST_ALG_HS256] = {"HS256", "invalid token: disabled JWT algorithm: HS256", 0, NULL},
    [CAST_ALG_HS384] = {"HS384", "invalid token: disabled JWT algorithm: HS384", 0, NULL},
    [CAST_ALG_HS512] = {"HS512", "invalid token: disabled JWT algorithm: HS512", 0, NULL},
    [CAST_ALG_RS256] = {"RS256", "invalid token: disabled JWT algorithm: RS256", 0, NULL},
    [CAST_ALG_RS384] = {"RS384", "invalid token: disabled JWT algorithm: RS384", 0, NULL},
    [CAST_ALG_RS512] = {"RS512", "invalid token: disabled JWT algorithm: RS512", 0, NULL},
    [CAST_ALG_ES256] = {"ES256", "invalid token: disabled JWT algorithm: ES256", 32, "prime256v1"},
    [CAST_ALG_ES384] = {"ES384", "invalid token: disabled JWT algorithm: ES384", 48, "secp384r1"},
    [CAST_ALG_ES512] = {"ES512", "invalid token: disabled JWT algorithm: ES512", 66, "secp521r1"},
};
const char cast_token_no_memory[] = "no memory";
static const char bad_signature[] = "invalid token: signature is not valid";
enum { SHORTEST_RSA_BITS = 1024 };

int cast_alg_parse(const char *name)
{
    for (int i = 0; i < CAST_ALG_COUNT; i++)
        if (strcmp(algs[i].name, name) == 0)
            return i;
    return -1;
}

static const EVP_MD *digest_of(int alg)
{
    switch (alg % 3) {
    case 0:
        return EVP_sha256();
    case 1:
        return EVP_sha384();
    default:
        return EVP_sha512();
    }
}

/* --- shared secrets ------------------------------------------------------------------------- */

/* Returns NULL when the HMAC is the signature, else a sentence. */
static const char *check_one_hmac(const EVP_MD *digest, const char *secret, size_t secret_bytes,
    const char *text, size_t bytes, const unsigned char *signature, size_t signature_bytes)
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned mac_bytes = 0;
    if (!HMAC(digest, secret, (int)secret_bytes, (const unsigned char *)text, bytes, mac,
            &mac_bytes)) {
        ERR_clear_error();
        return cast_token_no_memory;
    }
    bool same = mac_bytes == signature_bytes && CRYPTO_memcmp(mac, signature, mac_bytes) == 0;
    return same ? NULL : bad_signature;
}

static const char *check_hmac(const struct cast_token_keys *k, int alg, const char *text,
    size_t bytes, const unsigned char *signature, size_t signature_bytes, int64_t now_s)
{
    const EVP_MD *digest = digest_of(alg);
    const char *why = algs[alg].disabled;
    bool previous = k->previous_secret_bytes > 0 &&
                    (k->previous_valid_until_s <= 0 || now_s <= k->previous_valid_until_s);
    if (k->secret_bytes > 0)
        why = check_one_hmac(
            digest, k->secret, k->secret_bytes, text, bytes, signature, signature_bytes);
    if (why && why != cast_token_no_memory && previous)
        why = check_one_hmac(digest, k->previous_secret, k->previous_secret_bytes, text, bytes,
            signature, signature_bytes);
    return why;
}

bool cast_token_hmac256(
    const char *secret, const char *text, size_t bytes, unsigned char ret_mac[32])
{
    unsigned mac_bytes = 0;
    bool good = HMAC(EVP_sha256(), secret, (int)strlen(secret), (const unsigned char *)text, bytes,
                    ret_mac, &mac_bytes) != NULL;
    if (!good)
        ERR_clear_error();
    return good;
}

/* --- public keys ---------------------------------------------------------------------------- */

static const char *check_public(EVP_PKEY *key, int alg, const char *text, size_t bytes,
    const unsigned char *signature, size_t signature_bytes)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool good =
        ctx && EVP_DigestVerifyInit(ctx, NULL, digest_of(alg), NULL, key) == 1 &&
        EVP_DigestVerify(ctx, signature, signature_bytes, (const unsigned char *)text, bytes) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error();
    return good ? NULL : bad_signature;
}

static const char *check_ecdsa(EVP_PKEY *key, int alg, const char *text, size_t bytes,
    const unsigned char *signature, size_t signature_bytes)
{
    size_t half = algs[alg].half_bytes;
    const char *why = bad_signature;
    if (signature_bytes != 2 * half)
        return why;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(signature, (int)half, NULL);
    BIGNUM *s = BN_bin2bn(signature + half, (int)half, NULL);
    if (!sig || !r || !s || ECDSA_SIG_set0(sig, r, s) != 1) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return why;
    }
    unsigned char *der = NULL;
    int der_bytes = i2d_ECDSA_SIG(sig, &der);
    if (der_bytes > 0)
        why = check_public(key, alg, text, bytes, der, (size_t)der_bytes);
    OPENSSL_free(der);
    ECDSA_SIG_free(sig);
    return why;
}

const char *cast_token_check_signature(const struct cast_token_keys *keys, int alg,
    const char *text, size_t bytes, const unsigned char *signature, size_t signature_bytes,
    int64_t now_s)
{
    if (alg <= CAST_ALG_HS512)
        return check_hmac(keys, alg, text, bytes, signature, signature_bytes, now_s);
    if (alg <= CAST_ALG_RS512 && keys->rsa)
        return check_public(keys->rsa, alg, text, bytes, signature, signature_bytes);
    if (alg >= CAST_ALG_ES256 && keys->ecdsa && keys->ecdsa_alg == alg)
        return check_ecdsa(keys->ecdsa, alg, text, bytes, signature, signature_bytes);
    return algs[alg].disabled;
}

/* The PEM text of a setting: as it stands, in base64, or in the file that it names. Owned. */
static char *pem_text(const char *setting)
{
    size_t bytes = strlen(setting), decoded;
    if (strstr(setting, "-----BEGIN"))
        return strdup(setting);
    char *text = malloc(cast_b64_data_bytes(bytes) + 1);
    if (text && cast_b64_decode(CAST_B64_STD, setting, bytes, text, &decoded)) {
        text[decoded] = '\0';
        if (strstr(text, "-----BEGIN"))
            return text;
    }
    free(text);
    FILE *f = fopen(setting, "re");
    if (!f)
        return NULL;
    enum { MOST = 64 << 10 };
    text = calloc(1, MOST);
    if (text)
        text[fread(text, 1, MOST - 1, f)] = '\0';
    fclose(f);
    return text;
}

static EVP_PKEY *read_public_key(
    const char *setting, const char *what, const char *type, char *err, size_t err_bytes)
{
    char *pem = pem_text(setting);
    EVP_PKEY *key = NULL;
    if (!pem) {
        snprintf(err, err_bytes,
            "error parsing %s public key: it is neither PEM text, nor base64 of it, nor the path "
            "of a file",
            what);
        return NULL;
    }
    BIO *bio = BIO_new_mem_buf(pem, -1);
    if (bio)
        key = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL);
    BIO_free(bio);
    free(pem);
    ERR_clear_error();
    if (!key)
        snprintf(err, err_bytes, "error parsing %s public key: key must be PEM encoded", what);
    else if (!EVP_PKEY_is_a(key, type))
        snprintf(err, err_bytes, "error parsing %s public key: it is no %s key", what, what);
    else
        return key;
    EVP_PKEY_free(key);
    return NULL;
}

static int read_rsa(struct cast_token_keys *k, const char *setting, char *err, size_t err_bytes)
{
    k->rsa = read_public_key(setting, "RSA", "RSA", err, err_bytes);
    if (k->rsa && EVP_PKEY_get_bits(k->rsa) < SHORTEST_RSA_BITS) {
        snprintf(err, err_bytes, "error parsing RSA public key: %d bits are too few (%d at least)",
            EVP_PKEY_get_bits(k->rsa), SHORTEST_RSA_BITS);
        return -EINVAL;
    }
    return k->rsa ? 0 : -EINVAL;
}

static int read_ecdsa(struct cast_token_keys *k, const char *setting, char *err, size_t err_bytes)
{
    char curve[64];
    size_t bytes;
    k->ecdsa = read_public_key(setting, "ECDSA", "EC", err, err_bytes);
    if (!k->ecdsa)
        return -EINVAL;
    if (EVP_PKEY_get_group_name(k->ecdsa, curve, sizeof curve, &bytes) == 1)
        for (int i = CAST_ALG_ES256; i <= CAST_ALG_ES512; i++)
            if (strcmp(algs[i].curve, curve) == 0) {
                k->ecdsa_alg = i;
                return 0;
            }
    snprintf(err, err_bytes,
        "error parsing ECDSA public key: its curve is none of P-256, P-384 and P-521");
    return -EINVAL;
}

/* --- the set -------------------------------------------------------------------------------- */

static int read_regex(
    const char *pattern, const char *name, struct cast_regex **ret, char *err, size_t err_bytes)
{
    char why[200];
    if (!*pattern)
        return 0;
    *ret = cast_regex_new(pattern, why, sizeof why);
    if (*ret)
        return 0;
    snprintf(err, err_bytes, "error compiling %s regex: %s", name, why);
    return -EINVAL;
}

static void list_algorithms(struct cast_token_keys *k)
{
    size_t n = 0;
    for (int i = 0; i < CAST_ALG_COUNT; i++) {
        bool on = i <= CAST_ALG_HS512   ? k->secret_bytes > 0 || k->previous_secret_bytes > 0
                  : i <= CAST_ALG_RS512 ? k->rsa != NULL
                                        : k->ecdsa && k->ecdsa_alg == i;
        if (on)
            n += (size_t)snprintf(
                k->algorithms + n, sizeof k->algorithms - n, "%s%s", n ? ", " : "", algs[i].name);
    }
}

static int fill_keys(
    struct cast_token_keys *k, const struct cast_token_rules *rules, char *err, size_t err_bytes)
{
    int rc = 0;
    k->secret = strdup(rules->hmac_secret_key);
    k->previous_secret = strdup(rules->hmac_previous_secret_key);
    k->audience = strdup(rules->audience);
    k->issuer = strdup(rules->issuer);
    k->user_id_claim = strdup(rules->user_id_claim);
    if (!k->secret || !k->previous_secret || !k->audience || !k->issuer || !k->user_id_claim)
        return -ENOMEM;
    k->secret_bytes = strlen(k->secret);
    k->previous_secret_bytes = strlen(k->previous_secret);
    k->previous_valid_until_s = rules->hmac_previous_secret_key_valid_until;
    if ((*rules->audience && *rules->audience_regex) || (*rules->issuer && *rules->issuer_regex)) {
        const char *name = *rules->audience && *rules->audience_regex ? "audience" : "issuer";
        snprintf(err, err_bytes, "can not use both %s and %s_regex, configure only one of them",
            name, name);
        return -EINVAL;
    }
    if (*rules->rsa_public_key)
        rc = read_rsa(k, rules->rsa_public_key, err, err_bytes);
    if (rc == 0 && *rules->ecdsa_public_key)
        rc = read_ecdsa(k, rules->ecdsa_public_key, err, err_bytes);
    if (rc == 0)
        rc = read_regex(rules->audience_regex, "audience", &k->audience_regex, err, err_bytes);
    if (rc == 0)
        rc = read_regex(rules->issuer_regex, "issuer", &k->issuer_regex, err, err_bytes);
    return rc;
}

int cast_token_keys_new(const struct cast_token_rules *rules, struct cast_token_keys **ret_keys,
    char *err, size_t err_bytes)
{
    struct cast_token_keys *k = calloc(1, sizeof *k);
    int rc = k ? fill_keys(k, rules, err, err_bytes) : -ENOMEM;
    if (rc != 0) {
        cast_token_keys_free(k);
        return rc;
    }
    list_algorithms(k);
    *ret_keys = k;
    return 0;
}

void cast_token_keys_free(struct cast_token_keys *k)
{
    if (!k)
        return;
    if (k->secret)
        OPENSSL_cleanse(k->secret, k->secret_bytes);
    if (k->previous_secret)
        OPENSSL_cleanse(k->previous_secret, k->previous_secret_bytes);
    free(k->secret);
    free(k->previous_secret);
    EVP_PKEY_free(k->rsa);
    EVP_PKEY_free(k->ecdsa);
    free(k->audience);
    free(k->issuer);
    free(k->user_id_claim);
    cast_regex_free(k->audience_regex);
    cast_regex_free(k->issuer_regex);
    free(k);
}

const char *cast_token_keys_algorithms(const struct cast_token_keys *keys)
{
    return keys->algorithms;
}
