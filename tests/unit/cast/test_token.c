// SPDX-License-Identifier: Apache-2.0
/* test_token.c - tokens: signatures, claims, times, and everything that must be refused. */
#include "config_test.h"
#include "token/b64.h"
#include "token/token.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

enum { NOW = 1800000000 };
#define HS256 "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"

static struct cast_config *config_with(const char *token_section)
{
    char text[4096];
    snprintf(text, sizeof text,
        "{\"client\":{%s},\"channel\":{\"namespaces\":[{\"name\":\"news\"}]}}", token_section);
    return load_good(text);
}

static struct cast_config *simple_config(void)
{
    return config_with("\"token\":{\"hmac_secret_key\":\"secret\"}");
}

static void append_b64(char *token, const void *data, size_t bytes)
{
    size_t at = strlen(token), text = cast_b64_text_bytes(CAST_B64_URL, bytes);
    cast_b64_encode(CAST_B64_URL, data, bytes, token + at);
    token[at + text] = '\0';
}

/* "header.claims", in a buffer that the next call overwrites. */
static char *unsigned_token(const char *header, const char *claims)
{
    static char token[200000];
    token[0] = '\0';
    append_b64(token, header, strlen(header));
    strcat(token, ".");
    append_b64(token, claims, strlen(claims));
    return token;
}

static const char *hmac_token(
    const EVP_MD *md, const char *secret, const char *header, const char *claims)
{
    char *token = unsigned_token(header, claims);
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned bytes;
    HMAC(md, secret, (int)strlen(secret), (unsigned char *)token, strlen(token), mac, &bytes);
    strcat(token, ".");
    append_b64(token, mac, bytes);
    return token;
}

static const char *hs256(const char *claims)
{
    return hmac_token(EVP_sha256(), "secret", HS256, claims);
}

static struct cast_connect_token *connect_ok(const struct cast_config *c, const char *token)
{
    struct cast_connect_token *t = NULL;
    const char *why = "";
    enum cast_token_result r = cast_token_verify_connect(c, token, strlen(token), NOW, &t, &why);
    CHECK_MSG(r == CAST_TOKEN_OK, "result %d: %s", r, why);
    CHECK(why == NULL);
    return t;
}

static void connect_is(
    const struct cast_config *c, const char *token, enum cast_token_result want, const char *needle)
{
    struct cast_connect_token *t = NULL;
    const char *why = NULL;
    enum cast_token_result r = cast_token_verify_connect(c, token, strlen(token), NOW, &t, &why);
    CHECK_MSG(r == want, "result %d (%s), wanted %d", r, why ? why : "", want);
    CHECK_MSG(why && strstr(why, needle), "%s does not say %s", why, needle);
    CHECK(t == NULL);
}

static void claims_are(const struct cast_config *c, const char *claims, enum cast_token_result want,
    const char *needle)
{
    connect_is(c, hs256(claims), want, needle);
}

static void bytes_are(const struct cast_token_bytes *b, const char *want)
{
    CHECK_MSG(b->at != NULL, "absent instead of %s", want);
    CHECK_STR(b->at, want);
    CHECK_EQ(b->bytes, strlen(want));
}

TEST(base64)
{
    static const char *const plain[] = {"", "f", "fo", "foo", "foob", "fooba", "foobar"};
    static const char *const std[] = {
        "", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    static const char *const bad[] = {"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v=", "Zm 9v",
        "Zm9v\n", "-_8=", "=", "====", "Zm9vYg==Zm9v"};
    char text[16], data[16];
    size_t bytes;
    for (size_t i = 0; i < 7; i++) {
        size_t n = cast_b64_text_bytes(CAST_B64_STD, strlen(plain[i]));
        CHECK_EQ(n, strlen(std[i]));
        cast_b64_encode(CAST_B64_STD, plain[i], strlen(plain[i]), text);
        CHECK(memcmp(text, std[i], n) == 0);
        CHECK(cast_b64_decode(CAST_B64_STD, std[i], n, data, &bytes));
        CHECK(bytes == strlen(plain[i]) && memcmp(data, plain[i], bytes) == 0);
        n = cast_b64_text_bytes(CAST_B64_URL, strlen(plain[i]));
        CHECK_EQ(n, strcspn(std[i], "="));
        CHECK(cast_b64_decode(CAST_B64_URL, std[i], n, data, &bytes));
        CHECK_EQ(bytes, strlen(plain[i]));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_MSG(
            !cast_b64_decode(CAST_B64_STD, bad[i], strlen(bad[i]), data, &bytes), "%s", bad[i]);
    CHECK(cast_b64_decode(CAST_B64_URL, "-_8", 3, data, &bytes));
    CHECK(memcmp(data, "\xfb\xff", 2) == 0);
    CHECK(!cast_b64_decode(CAST_B64_URL, "+/8", 3, data, &bytes));
    static const char *const loose[] = {"Zm9vYg==", "Zm9v\nYg=\r\n=", "\nZm9vYh==", "Zm9\rvYn=="};
    for (size_t i = 0; i < sizeof loose / sizeof loose[0]; i++) {
        CHECK(cast_b64_decode(CAST_B64_LOOSE, loose[i], strlen(loose[i]), data, &bytes));
        CHECK(bytes == 4 && memcmp(data, "foob", 4) == 0);
    }
    static const char *const never[] = {"Z", "Zg", "Zg=", "Zg===", "Zm9v=", "Zm 9v", "-_8=", "="};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        CHECK(!cast_b64_decode(CAST_B64_LOOSE, never[i], strlen(never[i]), data, &bytes));
}

/* A token that another implementation made. */
TEST(known_token)
{
    struct cast_config *c = config_with("\"token\":{\"hmac_secret_key\":\"your-256-bit-secret\"}");
    struct cast_connect_token *t = connect_ok(c,
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwi"
        "aWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c");
    CHECK_STR(t->user, "1234567890");
    CHECK_EQ(t->expire_at_s, 0);
    CHECK(t->info.at == NULL && t->meta.at == NULL);
    cast_connect_token_free(t);
    cast_config_unref(c);
}

TEST(hmac_algorithms)
{
    struct cast_config *c = simple_config();
    const char *h384 = "{\"alg\":\"HS384\"}", *h512 = "{\"alg\":\"HS512\"}";
    cast_connect_token_free(connect_ok(c, hmac_token(EVP_sha384(), "secret", h384, "{}")));
    cast_connect_token_free(connect_ok(c, hmac_token(EVP_sha512(), "secret", h512, "{}")));
    connect_is(c, hmac_token(EVP_sha256(), "secret", h512, "{}"), CAST_TOKEN_INVALID, "signature");
    connect_is(c, hmac_token(EVP_sha256(), "other", HS256, "{}"), CAST_TOKEN_INVALID, "signature");
    connect_is(c, hmac_token(EVP_sha256(), "secret", "{\"alg\":\"none\"}", "{}"),
        CAST_TOKEN_INVALID, "unsupported");
    connect_is(c, hmac_token(EVP_sha256(), "secret", "{\"alg\":\"hs256\"}", "{}"),
        CAST_TOKEN_INVALID, "unsupported");
    connect_is(c, hmac_token(EVP_sha256(), "secret", "{\"alg\":\"RS256\"}", "{}"),
        CAST_TOKEN_INVALID, "disabled JWT algorithm: RS256");
    connect_is(c,
        hmac_token(EVP_sha256(), "secret", "{\"alg\":\"HS256\",\"crit\":[\"b64\"]}", "{}"),
        CAST_TOKEN_INVALID, "format");
    cast_config_unref(c);
    c = load_good("{}");
    connect_is(c, hs256("{}"), CAST_TOKEN_INVALID, "disabled JWT algorithm: HS256");
    cast_config_unref(c);
}

TEST(what_is_no_token)
{
    static const char *const bad[] = {"", ".", "..", "...", "a.b.c", "e30.e30", "e30.e30.",
        "e30.e30.e30.e30", "eyJhbGciOiJIUzI1NiJ9.e30.!!!", " eyJhbGciOiJIUzI1NiJ9.e30.AAAA",
        "bnVsbA.bnVsbA.AAAA", "eyJhbGciOjF9.e30.AAAA", "eyJhbGciOiJIUzI1NiJ9.e30.AAA="};
    struct cast_config *c = simple_config();
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        connect_is(c, bad[i], CAST_TOKEN_INVALID, "format");
    claims_are(c, "[]", CAST_TOKEN_INVALID, "format");
    claims_are(c, "{", CAST_TOKEN_INVALID, "format");
    claims_are(c, "{}x", CAST_TOKEN_INVALID, "format");
    /* a signature one bit off; a token cut short; unsigned */
    char token[500];
    snprintf(token, sizeof token, "%s", hs256("{\"sub\":\"42\"}"));
    char *end = token + strlen(token);
    end[-1] = end[-1] == 'A' ? 'E' : 'A';
    connect_is(c, token, CAST_TOKEN_INVALID, "");
    snprintf(token, sizeof token, "%s", hs256("{\"sub\":\"42\"}"));
    token[strlen(token) - 4] = '\0';
    connect_is(c, token, CAST_TOKEN_INVALID, "");
    strcpy(strrchr(token, '.'), ".");
    connect_is(c, token, CAST_TOKEN_INVALID, "signature");
    cast_config_unref(c);
}

TEST(deep_nesting_is_refused_before_it_is_parsed)
{
    struct cast_config *c = simple_config();
    static char claims[100001];
    memset(claims, '[', 100000);
    memcpy(claims, "{\"a\":", 5);
    claims_are(c, claims, CAST_TOKEN_INVALID, "format");
    cast_config_unref(c);
}

TEST(user)
{
    struct cast_config *c = simple_config();
    struct cast_connect_token *t = connect_ok(c, hs256("{\"sub\":\"4\\u00322\"}"));
    CHECK_STR(t->user, "422");
    cast_connect_token_free(t);
    t = connect_ok(c, hs256("{}"));
    CHECK_STR(t->user, "");
    CHECK_EQ(t->user_bytes, 0);
    cast_connect_token_free(t);
    t = connect_ok(c, hs256("{\"sub\":\"a\\u0000b\"}"));
    CHECK_EQ(t->user_bytes, 3);
    cast_connect_token_free(t);
    claims_are(c, "{\"sub\":42}", CAST_TOKEN_INVALID, "wrong type");
    cast_config_unref(c);
}

TEST(user_id_claim)
{
    struct cast_config *c =
        config_with("\"token\":{\"hmac_secret_key\":\"secret\",\"user_id_claim\":\"user.id\"}");
    static const struct {
        const char *claims, *user;
    } rows[] = {
        {"{\"user\":{\"id\":\"42\"},\"sub\":\"x\"}", "42"},
        {"{\"user\":{\"id\":42}}", "42"},
        {"{\"user\":{\"id\":12345678901234567890}}", "12345678901234567890"},
        {"{\"user\":{\"id\":null}}", ""},
        {"{\"user\":{}}", ""},
        {"{\"user\":5}", ""},
        {"{\"sub\":\"x\"}", ""},
        {"{ \"user\" : { \"a\":[1,{\"id\":1}], \"i\\u0064\" : \"q\\\"\" } }", "q\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct cast_connect_token *t = connect_ok(c, hs256(rows[i].claims));
        CHECK_STR(t->user, rows[i].user);
        cast_connect_token_free(t);
    }
    claims_are(c, "{\"user\":{\"id\":{}}}", CAST_TOKEN_INVALID, "wrong type");
    cast_config_unref(c);
}

TEST(times)
{
    struct cast_config *c = simple_config();
    char claims[200];
    static const struct {
        const char *form;
        int64_t a, b, want; /* want: expire_at, or -1 expired, -2 invalid */
    } rows[] = {
        {"{\"exp\":%lld}", NOW + 60, 0, NOW + 60},
        {"{\"exp\":%lld}", NOW, 0, -1},
        {"{\"exp\":%lld}", NOW - 1, 0, -1},
        {"{\"exp\":%lld.5}", NOW + 60, 0, NOW + 60},
        {"{\"nbf\":%lld}", NOW, 0, 0},
        {"{\"nbf\":%lld}", NOW + 1, 0, -1},
        {"{\"exp\":%lld,\"expire_at\":%lld}", NOW + 60, NOW + 90, NOW + 90},
        {"{\"exp\":%lld,\"expire_at\":%lld}", NOW + 60, 0, 0},
        {"{\"exp\":%lld,\"expire_at\":%lld}", NOW - 60, 0, -1},
        {"{\"exp\":%lld,\"expire_at\":null}", NOW + 60, 0, NOW + 60},
        {"{\"expire_at\":%lld}", NOW - 5, 0, NOW - 5},
        {"{\"expire_at\":%lld}", -5, 0, 0},
        {"{\"exp\":null}", 0, 0, 0},
        {"{\"exp\":\"%lld\"}", NOW + 60, 0, -2},
        {"{\"exp\":1e300}", 0, 0, -2},
        {"{\"nbf\":[]}", 0, 0, -2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(claims, sizeof claims, rows[i].form, (long long)rows[i].a, (long long)rows[i].b);
        if (rows[i].want < 0) {
            claims_are(c, claims, rows[i].want == -1 ? CAST_TOKEN_EXPIRED : CAST_TOKEN_INVALID, "");
            continue;
        }
        struct cast_connect_token *t = connect_ok(c, hs256(claims));
        CHECK_MSG(t->expire_at_s == rows[i].want, "%s: %lld", claims, (long long)t->expire_at_s);
        cast_connect_token_free(t);
    }
    cast_config_unref(c);
}

TEST(audience_and_issuer)
{
    struct cast_config *c = config_with("\"token\":{\"hmac_secret_key\":\"secret\",\"audience\":"
                                        "\"me\",\"issuer_regex\":\"^https://(?P<x>a|b)$\"}");
    cast_connect_token_free(connect_ok(c, hs256("{\"aud\":\"me\",\"iss\":\"https://a\"}")));
    cast_connect_token_free(connect_ok(c, hs256("{\"aud\":[\"x\",\"me\"],\"iss\":\"https://b\"}")));
    claims_are(c, "{\"iss\":\"https://a\"}", CAST_TOKEN_INVALID, "invalid audience");
    claims_are(
        c, "{\"aud\":\"mee\",\"iss\":\"https://a\"}", CAST_TOKEN_INVALID, "invalid audience");
    claims_are(c, "{\"aud\":[],\"iss\":\"https://a\"}", CAST_TOKEN_INVALID, "invalid audience");
    claims_are(c, "{\"aud\":[1,\"me\"],\"iss\":\"https://a\"}", CAST_TOKEN_INVALID, "wrong type");
    claims_are(c, "{\"aud\":\"me\",\"iss\":\"https://c\"}", CAST_TOKEN_INVALID, "invalid issuer");
    claims_are(c, "{\"aud\":\"me\"}", CAST_TOKEN_INVALID, "invalid issuer");
    cast_config_unref(c);
    c = config_with(
        "\"token\":{\"hmac_secret_key\":\"secret\",\"audience_regex\":\"^m\",\"issuer\":\"i\"}");
    cast_connect_token_free(connect_ok(c, hs256("{\"aud\":[\"x\",\"me\"],\"iss\":\"i\"}")));
    claims_are(c, "{\"aud\":[\"x\"],\"iss\":\"i\"}", CAST_TOKEN_INVALID, "invalid audience");
    claims_are(c, "{\"aud\":\"m\",\"iss\":\"j\"}", CAST_TOKEN_INVALID, "invalid issuer");
    cast_config_unref(c);
    c = simple_config();
    cast_connect_token_free(connect_ok(c, hs256("{\"aud\":\"any\",\"iss\":\"any\"}")));
    cast_config_unref(c);
}

TEST(payloads_pass_byte_for_byte)
{
    struct cast_config *c = simple_config();
    struct cast_connect_token *t = connect_ok(
        c, hs256("{\"info\": {\"n\":1.0,  \"x\":1e2,\"big\":123456789012345678901234567890, "
                 "\"s\":\"\\u0041\\/\"} ,"
                 "\"meta\":[ 1 , {\"a\":\"}\"} ],\"sub\":\"1\"}"));
    bytes_are(&t->info, "{\"n\":1.0,  \"x\":1e2,\"big\":123456789012345678901234567890, \"s\":"
                        "\"\\u0041\\/\"}");
    bytes_are(&t->meta, "[ 1 , {\"a\":\"}\"} ]");
    cast_connect_token_free(t);
    t = connect_ok(c, hs256("{\"info\":1,\"info\":\"two\"}"));
    bytes_are(&t->info, "\"two\"");
    cast_connect_token_free(t);
    t = connect_ok(c, hs256("{\"info\":{\"no\":1},\"b64info\":\"AAFhZ28=\"}"));
    CHECK_EQ(t->info.bytes, 5);
    CHECK(memcmp(t->info.at, "\0\001ago", 5) == 0);
    cast_connect_token_free(t);
    claims_are(c, "{\"b64info\":\"!\"}", CAST_TOKEN_INVALID, "");
    claims_are(c, "{\"b64info\":5}", CAST_TOKEN_INVALID, "");
    cast_config_unref(c);
}

TEST(channels_and_subs)
{
    struct cast_config *c = simple_config();
    struct cast_connect_token *t = connect_ok(c, hs256("{\"channels\":[\"a\",\"news:b\",\"a\"]}"));
    CHECK_EQ(t->subs_count, 2);
    CHECK_STR(t->subs[0].channel, "a");
    CHECK_STR(t->subs[1].channel, "news:b");
    CHECK_EQ(t->subs[0].presence, CAST_OVERRIDE_NONE);
    cast_connect_token_free(t);
    t = connect_ok(c,
        hs256("{\"channels\":[\"x\"],\"subs\":{ \"s\\u0031\" : {\"data\":{\"d\": 1},\"info\":[ 1],"
              "\"override\":{\"presence\":{\"value\":true},\"join_leave\":{\"value\":false},"
              "\"force_recovery\":{}}},\"s2\":null,\"s3\":{\"b64data\":\"AA==\"}}}"));
    CHECK_EQ(t->subs_count, 3);
    CHECK_STR(t->subs[0].channel, "s1");
    bytes_are(&t->subs[0].data, "{\"d\": 1}");
    bytes_are(&t->subs[0].info, "[ 1]");
    CHECK_EQ(t->subs[0].presence, CAST_OVERRIDE_ON);
    CHECK_EQ(t->subs[0].join_leave, CAST_OVERRIDE_OFF);
    CHECK_EQ(t->subs[0].force_recovery, CAST_OVERRIDE_OFF);
    CHECK_EQ(t->subs[0].force_positioning, CAST_OVERRIDE_NONE);
    CHECK(t->subs[1].data.at == NULL);
    CHECK_EQ(t->subs[2].data.bytes, 1);
    cast_connect_token_free(t);
    t = connect_ok(c, hs256("{\"channels\":[\"x\"],\"subs\":{}}"));
    CHECK_EQ(t->subs_count, 1);
    cast_connect_token_free(t);
    claims_are(c, "{\"channels\":[\"nope:x\"]}", CAST_TOKEN_UNKNOWN, "unknown channel");
    claims_are(c, "{\"subs\":{\"nope:x\":{}}}", CAST_TOKEN_UNKNOWN, "unknown channel");
    claims_are(c, "{\"channels\":\"a\"}", CAST_TOKEN_INVALID, "");
    claims_are(c, "{\"channels\":[1]}", CAST_TOKEN_INVALID, "");
    claims_are(c, "{\"subs\":[]}", CAST_TOKEN_INVALID, "");
    claims_are(c, "{\"subs\":{\"a\":5}}", CAST_TOKEN_INVALID, "");
    claims_are(c, "{\"subs\":{\"a\":{},\"a\":{}}}", CAST_TOKEN_INVALID, "");
    claims_are(c, "{\"subs\":{\"a\":{\"override\":{\"presence\":true}}}}", CAST_TOKEN_INVALID, "");
    claims_are(c, "{\"channel\":\"a\"}", CAST_TOKEN_INVALID, "can not contain channel claim");
    cast_config_unref(c);
}

TEST(previous_secret)
{
    struct cast_config *c = config_with("\"token\":{\"hmac_secret_key\":\"new\","
                                        "\"hmac_previous_secret_key\":\"secret\"}");
    cast_connect_token_free(connect_ok(c, hs256("{}")));
    cast_connect_token_free(connect_ok(c, hmac_token(EVP_sha256(), "new", HS256, "{}")));
    connect_is(c, hmac_token(EVP_sha256(), "x", HS256, "{}"), CAST_TOKEN_INVALID, "signature");
    cast_config_unref(c);
    c = config_with("\"token\":{\"hmac_previous_secret_key\":\"secret\","
                    "\"hmac_previous_secret_key_valid_until\":1800000000}");
    cast_connect_token_free(connect_ok(c, hs256("{}")));
    cast_config_unref(c);
    c = config_with(
        "\"token\":{\"hmac_secret_key\":\"new\",\"hmac_previous_secret_key\":\"secret\","
        "\"hmac_previous_secret_key_valid_until\":1799999999}");
    connect_is(c, hs256("{}"), CAST_TOKEN_INVALID, "signature");
    cast_config_unref(c);
}

TEST(skipped_signature)
{
    struct cast_config *c = config_with("\"insecure_skip_token_signature_verify\":true");
    struct cast_connect_token *t =
        connect_ok(c, hmac_token(EVP_sha256(), "any", "{\"alg\":\"none\"}", "{\"sub\":\"7\"}"));
    CHECK_STR(t->user, "7");
    cast_connect_token_free(t);
    connect_is(c, hs256("{\"exp\":1}"), CAST_TOKEN_EXPIRED, "token expired");
    cast_config_unref(c);
}

TEST(subscription_tokens)
{
    struct cast_config *c = simple_config();
    struct cast_subscribe_token *s = NULL;
    const char *why;
    const char *token =
        hs256("{\"sub\":\"42\",\"channel\":\"news:a\",\"client\":\"c1\",\"exp\":1800000050,"
              "\"info\":{\"i\": 1},\"b64data\":\"AA==\",\"override\":{\"force_positioning\":"
              "{\"value\":true}}}");
    CHECK_EQ(cast_token_verify_subscribe(c, token, strlen(token), NOW, &s, &why), CAST_TOKEN_OK);
    CHECK_STR(s->user, "42");
    CHECK_STR(s->client, "c1");
    CHECK_STR(s->sub.channel, "news:a");
    CHECK_EQ(s->expire_at_s, NOW + 50);
    bytes_are(&s->sub.info, "{\"i\": 1}");
    CHECK_EQ(s->sub.data.bytes, 1);
    CHECK_EQ(s->sub.force_positioning, CAST_OVERRIDE_ON);
    cast_subscribe_token_free(s);
    static const struct {
        const char *claims;
        enum cast_token_result want;
    } rows[] = {
        {"{\"sub\":\"42\"}", CAST_TOKEN_INVALID},
        {"{\"channel\":5}", CAST_TOKEN_INVALID},
        {"{\"channel\":\"a\",\"client\":5}", CAST_TOKEN_INVALID},
        {"{\"channel\":\"a\",\"exp\":5}", CAST_TOKEN_EXPIRED},
        {"{\"channel\":\"nope:a\"}", CAST_TOKEN_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        token = hs256(rows[i].claims);
        CHECK_EQ(cast_token_verify_subscribe(c, token, strlen(token), NOW, &s, &why), rows[i].want);
    }
    cast_config_unref(c);
    c = config_with("\"token\":{\"hmac_secret_key\":\"other\"},"
                    "\"subscription_token\":{\"enabled\":true,\"hmac_secret_key\":\"secret\"}");
    token = hs256("{\"channel\":\"a\"}");
    CHECK_EQ(cast_token_verify_subscribe(c, token, strlen(token), NOW, &s, NULL), CAST_TOKEN_OK);
    cast_subscribe_token_free(s);
    connect_is(c, hs256("{}"), CAST_TOKEN_INVALID, "signature");
    cast_config_unref(c);
    /* not enabled: the section is without effect */
    c = config_with("\"token\":{\"hmac_secret_key\":\"other\"},"
                    "\"subscription_token\":{\"hmac_secret_key\":\"secret\"}");
    CHECK_EQ(
        cast_token_verify_subscribe(c, token, strlen(token), NOW, &s, NULL), CAST_TOKEN_INVALID);
    cast_config_unref(c);
}

/* --- public keys ---------------------------------------------------------------------------- */

static char *public_pem(EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());
    CHECK_EQ(PEM_write_bio_PUBKEY(bio, key), 1);
    char *data, *copy = calloc(1, 4096);
    long bytes = BIO_get_mem_data(bio, &data);
    memcpy(copy, data, (size_t)bytes);
    BIO_free(bio);
    return copy;
}

static struct cast_config *key_config(const char *key, const char *pem)
{
    char escaped[4096] = "", section[8192];
    for (size_t i = 0, n = 0; pem[i]; i++) {
        if (pem[i] == '\n')
            escaped[n++] = '\\';
        escaped[n++] = pem[i] == '\n' ? 'n' : pem[i];
        escaped[n] = '\0';
    }
    snprintf(section, sizeof section, "{\"client\":{\"token\":{\"%s\":\"%s\"}}}", key, escaped);
    return load_good(section);
}

static size_t sign(
    EVP_PKEY *key, const EVP_MD *md, const char *text, unsigned char *sig, size_t room)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    CHECK_EQ(EVP_DigestSignInit(ctx, NULL, md, NULL, key), 1);
    CHECK_EQ(EVP_DigestSign(ctx, sig, &room, (const unsigned char *)text, strlen(text)), 1);
    EVP_MD_CTX_free(ctx);
    return room;
}

TEST(rsa)
{
    EVP_PKEY *key = EVP_RSA_gen(2048), *other = EVP_RSA_gen(2048);
    static const char *const headers[] = {
        "{\"alg\":\"RS256\"}", "{\"alg\":\"RS384\"}", "{\"alg\":\"RS512\"}"};
    const EVP_MD *const mds[] = {EVP_sha256(), EVP_sha384(), EVP_sha512()};
    unsigned char sig[512];
    char *pem = public_pem(key), *token;
    struct cast_config *c = key_config("rsa_public_key", pem);
    CHECK_STR(cast_token_keys_algorithms(c->connect_keys), "RS256, RS384, RS512");
    for (int i = 0; i < 3; i++) {
        token = unsigned_token(headers[i], "{\"sub\":\"r\"}");
        size_t bytes = sign(key, mds[i], token, sig, sizeof sig);
        strcat(token, ".");
        append_b64(token, sig, bytes);
        struct cast_connect_token *t = connect_ok(c, token);
        CHECK_STR(t->user, "r");
        cast_connect_token_free(t);
    }
    token = unsigned_token(headers[0], "{}");
    size_t bytes = sign(other, EVP_sha256(), token, sig, sizeof sig);
    strcat(token, ".");
    append_b64(token, sig, bytes);
    connect_is(c, token, CAST_TOKEN_INVALID, "signature");
    /* the public key must not serve as a shared secret */
    connect_is(c, hmac_token(EVP_sha256(), pem, HS256, "{}"), CAST_TOKEN_INVALID, "disabled");
    cast_config_unref(c);
    /* the same key in base64, and in a file */
    char b64[4096] = "", path[] = "/tmp/weftcast-pem-XXXXXX", text[8192];
    cast_b64_encode(CAST_B64_STD, pem, strlen(pem), b64);
    c = key_config("rsa_public_key", b64);
    cast_config_unref(c);
    close(mkstemp(path));
    write_file(path, pem);
    c = key_config("rsa_public_key", path);
    cast_config_unref(c);
    unlink(path);
    snprintf(text, sizeof text, "{\"client\":{\"token\":{\"ecdsa_public_key\":\"%s\"}}}", b64);
    CHECK_REFUSED(text, "in client.token: error parsing ECDSA public key: it is no ECDSA key");
    free(pem);
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
}

TEST(ecdsa)
{
    static const struct {
        const char *curve, *alg, *header;
        int half;
    } rows[] = {
        {"P-256", "ES256", "{\"alg\":\"ES256\"}", 32},
        {"P-384", "ES384", "{\"alg\":\"ES384\"}", 48},
        {"P-521", "ES512", "{\"alg\":\"ES512\"}", 66},
    };
    const EVP_MD *const mds[] = {EVP_sha256(), EVP_sha384(), EVP_sha512()};
    for (int i = 0; i < 3; i++) {
        EVP_PKEY *key = EVP_EC_gen(rows[i].curve);
        char *pem = public_pem(key), *token = unsigned_token(rows[i].header, "{\"sub\":\"e\"}");
        struct cast_config *c = key_config("ecdsa_public_key", pem);
        CHECK_STR(cast_token_keys_algorithms(c->connect_keys), rows[i].alg);
        unsigned char der[256], flat[132];
        const unsigned char *p = der;
        size_t bytes = sign(key, mds[i], token, der, sizeof der);
        ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &p, (long)bytes);
        BN_bn2binpad(ECDSA_SIG_get0_r(sig), flat, rows[i].half);
        BN_bn2binpad(ECDSA_SIG_get0_s(sig), flat + rows[i].half, rows[i].half);
        ECDSA_SIG_free(sig);
        size_t at = strlen(token);
        strcat(token, ".");
        append_b64(token, flat, (size_t)rows[i].half * 2);
        struct cast_connect_token *t = connect_ok(c, token);
        CHECK_STR(t->user, "e");
        cast_connect_token_free(t);
        /* DER instead of r and s side by side; a flipped bit */
        token[at] = '\0';
        strcat(token, ".");
        append_b64(token, der, bytes);
        connect_is(c, token, CAST_TOKEN_INVALID, "signature");
        flat[5] ^= 1;
        token[at] = '\0';
        strcat(token, ".");
        append_b64(token, flat, (size_t)rows[i].half * 2);
        connect_is(c, token, CAST_TOKEN_INVALID, "signature");
        connect_is(c,
            hmac_token(
                EVP_sha256(), "x", i == 0 ? "{\"alg\":\"ES384\"}" : "{\"alg\":\"ES256\"}", "{}"),
            CAST_TOKEN_INVALID, "disabled");
        cast_config_unref(c);
        free(pem);
        EVP_PKEY_free(key);
    }
}

/* --- making tokens -------------------------------------------------------------------------- */

TEST(generated_tokens_verify)
{
    struct cast_config *c = simple_config();
    char *alg, *claims;
    char *token = cast_token_generate("secret",
        &(struct cast_token_claims){.user = "42", .issued_at_s = NOW, .expire_at_s = NOW + 60});
    struct cast_connect_token *t = connect_ok(c, token);
    CHECK_STR(t->user, "42");
    CHECK_EQ(t->expire_at_s, NOW + 60);
    cast_connect_token_free(t);
    CHECK_EQ(cast_token_peek(token, strlen(token), &alg, &claims), 0);
    CHECK_STR(alg, "HS256");
    CHECK_STR(claims, "{\"sub\":\"42\",\"exp\":1800000060,\"iat\":1800000000}");
    free(alg);
    free(claims);
    free(token);
    token = cast_token_generate(
        "secret", &(struct cast_token_claims){.user = "", .channel = "news:a", .issued_at_s = NOW});
    struct cast_subscribe_token *s;
    CHECK_EQ(cast_token_verify_subscribe(c, token, strlen(token), NOW, &s, NULL), CAST_TOKEN_OK);
    CHECK_STR(s->user, "");
    CHECK_STR(s->sub.channel, "news:a");
    cast_subscribe_token_free(s);
    free(token);
    cast_config_unref(c);
    c = config_with("\"token\":{\"hmac_secret_key\":\"secret\",\"user_id_claim\":\"u.id\"}");
    token = cast_token_generate("secret",
        &(struct cast_token_claims){.user = "9", .user_claim = "u.id", .issued_at_s = NOW});
    t = connect_ok(c, token);
    CHECK_STR(t->user, "9");
    cast_connect_token_free(t);
    free(token);
    CHECK(cast_token_generate("s", &(struct cast_token_claims){.user = "\xff"}) == NULL);
    CHECK_EQ(cast_token_peek("a.b", 3, &alg, &claims), -EINVAL);
    cast_config_unref(c);
}
