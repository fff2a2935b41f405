// SPDX-License-Identifier: Apache-2.0
/* commands.c - everything that is not serving: making and checking configurations and tokens. */
#include "cli/cli.h"
#include "config/schema.h"
#include "token/b64.h"
#include "token/token.h"

#include <weft/version.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

static const char *const stage_words[] = {
    [CAST_CONFIG_GETTING] = "error getting config",
    [CAST_CONFIG_VALIDATING] = "error validating config",
};

/* Loads; on failure says so on the stream and returns NULL. */
static struct cast_config *load(const struct cast_options *o, FILE *out)
{
    struct cast_config *cfg = NULL;
    struct cast_config_error err;
    struct cast_config_source src = cast_options_source(o);
    if (cast_config_load(&src, &cfg, &err) == 0)
        return cfg;
    fprintf(out, "%s: %s\n", stage_words[err.stage], err.text);
    return NULL;
}

/* --- configurations ------------------------------------------------------------------------- */

/* Random bytes as base64url, NUL-terminated: 16 give 22 letters, 64 give 86. */
static bool random_text(size_t bytes, char *text)
{
    unsigned char data[64];
    if (getrandom(data, bytes, 0) != (ssize_t)bytes)
        return false;
    cast_b64_encode(CAST_B64_URL, data, bytes, text);
    text[cast_b64_text_bytes(CAST_B64_URL, bytes)] = '\0';
    return true;
}

static const char json_form[] = "{\n"
                                "  \"client\": {\n"
                                "    \"token\": {\n"
                                "      \"hmac_secret_key\": \"%s\"\n"
                                "    },\n"
                                "    \"allowed_origins\": []\n"
                                "  },\n"
                                "  \"admin\": {\n"
                                "    \"enabled\": false,\n"
                                "    \"password\": \"%s\",\n"
                                "    \"secret\": \"%s\"\n"
                                "  },\n"
                                "  \"http_api\": {\n"
                                "    \"key\": \"%s\"\n"
                                "  }\n"
                                "}\n";
static const char yaml_form[] = "client:\n"
                                "  token:\n"
                                "    hmac_secret_key: \"%s\"\n"
                                "  allowed_origins: []\n"
                                "admin:\n"
                                "  enabled: false\n"
                                "  password: \"%s\"\n"
                                "  secret: \"%s\"\n"
                                "http_api:\n"
                                "  key: \"%s\"\n";

static int write_config(const char *path, bool yaml)
{
    char token[100], password[100], secret[100], key[100];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 && errno == EEXIST) {
        fprintf(stderr, "error: output config file already exists: %s\n", path);
        return 1;
    }
    FILE *f = fd < 0 ? NULL : fdopen(fd, "w");
    if (!f) {
        fprintf(stderr, "error: cannot create %s: %s\n", path, strerror(errno));
        return 1;
    }
    bool good = random_text(64, token) && random_text(16, password) && random_text(64, secret) &&
                random_text(64, key);
    if (good && yaml)
        fprintf(f, yaml_form, token, password, secret, key);
    else if (good)
        fprintf(f, json_form, token, password, secret, key);
    good = good && !ferror(f);
    if (fclose(f) == 0 && good)
        return 0;
    fprintf(stderr, "error: cannot write %s\n", path);
    unlink(path);
    return 1;
}

static int run_genconfig(const struct cast_options *o)
{
    const char *path = o->config ? o->config : "config.json", *dot = strrchr(path, '.');
    bool yaml = dot && (strcasecmp(dot, ".yaml") == 0 || strcasecmp(dot, ".yml") == 0);
    if (!yaml && (!dot || strcasecmp(dot, ".json") != 0)) {
        fprintf(stderr,
            "error: output config file must have one of supported extensions: json, yaml, yml\n");
        return 1;
    }
    return write_config(path, yaml);
}

/* Prints the warnings of one kind as one line; returns their number. */
static size_t print_kind(
    FILE *out, const struct cast_config *cfg, enum cast_config_warning_kind kind, const char *head)
{
    size_t count, found = 0;
    const struct cast_config_warning *list = cast_config_warnings(cfg, &count);
    for (size_t i = 0; i < count; i++) {
        if (list[i].kind != kind)
            continue;
        fprintf(out, "%s%s", found++ ? ", " : head, list[i].key);
        if (list[i].near[0] && kind == CAST_CONFIG_NOTICE)
            fprintf(out, "%s%s", list[i].key[0] ? ": " : "", list[i].near);
        else if (list[i].near[0])
            fprintf(out, kind == CAST_CONFIG_NOT_YET_KEY ? " (%s)" : " (the nearest is %s)",
                list[i].near);
    }
    if (found)
        fputc('\n', out);
    return found;
}

static int run_checkconfig(const struct cast_options *o)
{
    FILE *out = o->strict ? stdout : stderr;
    struct cast_config *cfg = load(o, stdout);
    if (!cfg)
        return 1;
    if (!cast_config_file(cfg)) {
        printf("config file not found\n");
        cast_config_unref(cfg);
        return 1;
    }
    size_t bad = print_kind(out, cfg, CAST_CONFIG_UNKNOWN_KEY, "unknown keys in config: ");
    bad += print_kind(out, cfg, CAST_CONFIG_NOT_YET_KEY, "keys not supported yet: ");
    bad += print_kind(out, cfg, CAST_CONFIG_UNKNOWN_ENV, "unknown variables in environment: ");
    print_kind(stderr, cfg, CAST_CONFIG_NOTICE, "note: ");
    cast_config_unref(cfg);
    return o->strict && bad ? 1 : 0;
}

static int run_defaultconfig(const struct cast_options *o)
{
    cast_schema_write_defaults(stdout);
    return 0;
}

static int run_defaultenv(const struct cast_options *o)
{
    cast_schema_write_env(stdout);
    return 0;
}

static int run_configdoc(const struct cast_options *o)
{
    cast_schema_write_doc(stdout);
    return 0;
}

/* --- tokens --------------------------------------------------------------------------------- */

static void print_made(const struct cast_options *o, const char *token)
{
    char ttl[CAST_DURATION_BYTES];
    if (o->quiet) {
        fputs(token, stdout);
        return;
    }
    printf("HMAC SHA-256 JWT for ");
    if (*o->user)
        printf("user \"%s\"", o->user);
    else
        printf("anonymous user");
    if (o->channel)
        printf(" and channel \"%s\"", o->channel);
    cast_duration_format(o->ttl_s * INT64_C(1000000000), ttl, sizeof ttl);
    if (o->ttl_s > 0)
        printf(" with expiration TTL %s:\n%s\n", ttl, token);
    else
        printf(" without expiration:\n%s\n", token);
}

static int make_token(const struct cast_options *o, const struct cast_config *cfg,
    const char *command, bool own_section)
{
    const char *secret = own_section ? cfg->client.subscription_token.hmac_secret_key
                                     : cfg->client.token.hmac_secret_key;
    int64_t now_s = (int64_t)time(NULL);
    struct cast_token_claims claims = {
        .user = o->user,
        .user_claim = own_section ? cfg->client.subscription_token.user_id_claim
                                  : cfg->client.token.user_id_claim,
        .channel = o->channel,
        .issued_at_s = now_s,
        .expire_at_s = o->ttl_s > 0 ? now_s + o->ttl_s : 0,
    };
    if (!*secret) {
        fprintf(stderr,
            "error: %s makes HMAC tokens, and no secret for them is configured "
            "(client.%s.hmac_secret_key); tokens for public keys are made with the private key, by "
            "tools of your own\n",
            command, own_section ? "subscription_token" : "token");
        return 1;
    }
    char *token = cast_token_generate(secret, &claims);
    if (!token) {
        fprintf(stderr, "error: user and channel must be UTF-8\n");
        return 1;
    }
    print_made(o, token);
    free(token);
    return 0;
}

static int run_gentoken(const struct cast_options *o)
{
    struct cast_config *cfg = load(o, stderr);
    int rc = cfg ? make_token(o, cfg, "gentoken", false) : 1;
    cast_config_unref(cfg);
    return rc;
}

static int run_gensubtoken(const struct cast_options *o)
{
    if (!o->channel || !*o->channel) {
        fprintf(stderr, "channel is required\n");
        return 1;
    }
    struct cast_config *cfg = load(o, stderr);
    int rc = cfg ? make_token(o, cfg, "gensubtoken", cfg->client.subscription_token.enabled) : 1;
    cast_config_unref(cfg);
    return rc;
}

/* Says what is wrong with a token; the claims are shown as they stand in it. */
static int print_bad(const char *alg, const char *claims, const char *why)
{
    printf("error: token with algorithm %s and claims %s has error: %s\n", alg, claims, why);
    return 1;
}

static int check_connect(
    const struct cast_config *cfg, const char *text, const char *alg, const char *claims)
{
    struct cast_connect_token *t;
    const char *why;
    if (cast_token_verify_connect(cfg, text, strlen(text), (int64_t)time(NULL), &t, &why) !=
        CAST_TOKEN_OK)
        return print_bad(alg, claims, why);
    printf("valid token for %s%s\npayload: %s\n", t->user_bytes ? "user " : "anonymous user",
        t->user, claims);
    cast_connect_token_free(t);
    return 0;
}

static int check_subscribe(
    const struct cast_config *cfg, const char *text, const char *alg, const char *claims)
{
    struct cast_subscribe_token *t;
    const char *why;
    if (cast_token_verify_subscribe(cfg, text, strlen(text), (int64_t)time(NULL), &t, &why) !=
        CAST_TOKEN_OK)
        return print_bad(alg, claims, why);
    if (t->user_bytes)
        printf("valid subscription token for user \"%s\"", t->user);
    else
        printf("valid subscription token for anonymous user");
    printf(" and channel \"%s\"\npayload: %s\n", t->sub.channel, claims);
    cast_subscribe_token_free(t);
    return 0;
}

typedef int check_fn(
    const struct cast_config *cfg, const char *text, const char *alg, const char *claims);

static int check_token(const struct cast_options *o, const char *command, check_fn *check)
{
    char *alg, *claims;
    int rc = 1;
    struct cast_config *cfg = load(o, stdout);
    if (!cfg)
        return 1;
    if (!o->argument) {
        printf("error: provide token to check [weftcast %s <TOKEN>]\n", command);
    } else if (cast_token_peek(o->argument, strlen(o->argument), &alg, &claims) != 0) {
        printf("error: token format is not valid\n");
    } else {
        rc = check(cfg, o->argument, alg, claims);
        free(alg);
        free(claims);
    }
    cast_config_unref(cfg);
    return rc;
}

static int run_checktoken(const struct cast_options *o)
{
    return check_token(o, "checktoken", check_connect);
}

static int run_checksubtoken(const struct cast_options *o)
{
    return check_token(o, "checksubtoken", check_subscribe);
}

/* --- the rest ------------------------------------------------------------------------------- */

static int run_version(const struct cast_options *o)
{
    printf("weftcast v%s (libweft %s)\n", WEFT_VERSION_STRING, weft_version_string());
    return 0;
}

static int run_help(const struct cast_options *o)
{
    const struct cast_command *command = o->argument ? cast_command_find(o->argument) : NULL;
    if (command) {
        cast_help_print_command(stdout, command);
    } else if (o->argument) {
        fprintf(stderr, "Error: unknown command \"%s\"\n", o->argument);
        return 2;
    } else {
        cast_help_print(stdout);
    }
    return 0;
}

const struct cast_command cast_commands[] = {
    {"serve", "", "Serve (as without a command)", CAST_OPT_CONFIG, cast_command_serve},
    {"genconfig", "", "Write a small configuration file with fresh secrets", CAST_OPT_OUTPUT,
        run_genconfig},
    {"checkconfig", "", "Check a configuration file", CAST_OPT_CONFIG | CAST_OPT_STRICT,
        run_checkconfig},
    {"gentoken", "", "Make a connection token for a user", CAST_OPT_CONFIG | CAST_OPT_TOKEN,
        run_gentoken},
    {"gensubtoken", "", "Make a subscription token for a user and a channel",
        CAST_OPT_CONFIG | CAST_OPT_TOKEN | CAST_OPT_CHANNEL, run_gensubtoken},
    {"checktoken", " TOKEN", "Check a connection token", CAST_OPT_CONFIG | CAST_OPT_ARGUMENT,
        run_checktoken},
    {"checksubtoken", " TOKEN", "Check a subscription token", CAST_OPT_CONFIG | CAST_OPT_ARGUMENT,
        run_checksubtoken},
    {"defaultconfig", "", "Print every setting with its default, as JSON", 0, run_defaultconfig},
    {"defaultenv", "", "Print every setting with its default, as environment variables", 0,
        run_defaultenv},
    {"configdoc", "", "Print the settings' documentation, as Markdown", 0, run_configdoc},
    {"bench", " ...", "Put load on a server and measure it (see bench --help)", 0, NULL},
    {"version", "", "Print the version", 0, run_version},
    {"help", " [COMMAND]", "Print this, or help on a command", CAST_OPT_ARGUMENT, run_help},
};
const size_t cast_commands_count = sizeof cast_commands / sizeof cast_commands[0];

const struct cast_command *cast_command_default(void)
{
    return &cast_commands[0];
}

const struct cast_command *cast_command_find(const char *name)
{
    for (size_t i = 0; i < cast_commands_count; i++)
        if (strcmp(cast_commands[i].name, name) == 0)
            return &cast_commands[i];
    return NULL;
}
