// SPDX-License-Identifier: Apache-2.0
/*
 * config.h - one immutable snapshot of weftcast's configuration, and the questions a server asks
 * it.
 *
 * What: every setting that weftcast honours, under Centrifugo 6's names. A member's place in the
 * struct is the key's path ("client.ping_interval" is cfg->client.ping_interval_ns; durations carry
 * their unit, everything else keeps its name), and schema.c has one row a key. A key that
 * Centrifugo has and weftcast does not is a row there without a member here: so a member that
 * exists is a promise that the server acts on it.
 *
 *     defaults < file < CENTRIFUGO_… environment < WEFTCAST_… environment < flags
 *        └──────────── cast_config_load ─────────────┘
 *                            │ checks types, then meaning; compiles patterns, keys and namespaces
 *                    struct cast_config (counted, never changes)
 *                            │ cast_config_reload makes a second one; the old stays whole
 *
 * Invariants
 *   C1  After a successful load every `char *` member is non-NULL ("" when unset).
 *   C2  A snapshot never changes. Readers need no lock; they need a reference.
 *   C3  namespaces[] keeps the file's order; names are unique.
 *
 * Concurrency: all functions that take a const snapshot may run on any thread or fiber at the same
 * time; none parks, none allocates except cast_config_personal_channel. Loading reads files and
 * belongs on a thread that may block.
 *
 * Include as "config/config.h" (cast/ is the include root of weftcast).
 */
#ifndef CAST_CONFIG_H
#define CAST_CONFIG_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct cast_regex;        /* a compiled pattern (regex.h) */
struct cast_token_keys;   /* keys and rules of one token family (token/token.h) */
struct cast_config_inner; /* sources, lookup tables; config.c */

struct cast_strings {
    char **items;
    size_t count;
};

/** What may happen in a channel: `channel.without_namespace`, or one of `channel.namespaces`. */
struct cast_channel_options {
    char *name; /* "" for without_namespace */
    bool presence, join_leave, force_push_join_leave;
    int64_t history_size;                      /* publications */
    int64_t history_ttl_ns;                    /* both > 0: the channel has history */
    int64_t history_meta_ttl_ns;               /* never 0 after load: the global one filled in */
    bool force_positioning, allow_positioning; /* recovery implies positioning */
    bool force_recovery, allow_recovery;
    char *force_recovery_mode; /* "", "stream" or "cache" */
    bool auto_cache_recover;
    bool allow_subscribe_for_anonymous, allow_subscribe_for_client;
    bool allow_publish_for_anonymous, allow_publish_for_subscriber, allow_publish_for_client;
    bool allow_presence_for_anonymous, allow_presence_for_subscriber, allow_presence_for_client;
    bool allow_history_for_anonymous, allow_history_for_subscriber, allow_history_for_client;
    bool allow_user_limited_channels;
    char *channel_regex;           /* for the part after the namespace; see cast_channel_regex_ok */
    char *publication_data_format; /* "", json, json_object, binary; the global one filled in */
    char *subscription_type;       /* "" or "stream" */

    /* derived at load: */
    bool has_history;         /* history_size > 0 and history_ttl > 0 */
    bool recovery_mode_cache; /* force_recovery_mode is "cache" */
    struct cast_regex *regex; /* compiled channel_regex, NULL when empty */
};

struct cast_http_server {
    char *address; /* "" is every address, v4 and v6 */
    int64_t port;
    char *internal_address;
    char *internal_port; /* a string, as in Centrifugo; "" is none. See internal_port_number */
};

struct cast_token_options {
    char *hmac_secret_key;
    char *hmac_previous_secret_key;
    int64_t hmac_previous_secret_key_valid_until; /* unix seconds, 0 = for ever */
    char *rsa_public_key;                         /* PEM text, base64 of it, or a path */
    char *ecdsa_public_key;
    char *audience, *audience_regex;
    char *issuer, *issuer_regex;
    char *user_id_claim; /* "" is sub */
};

struct cast_subscription_token_options {
    bool enabled;
    char *hmac_secret_key;
    char *hmac_previous_secret_key;
    int64_t hmac_previous_secret_key_valid_until;
    char *rsa_public_key;
    char *ecdsa_public_key;
    char *audience, *audience_regex;
    char *issuer, *issuer_regex;
    char *user_id_claim;
};

struct cast_client_options {
    struct cast_strings allowed_origins; /* see cast_config_origin_allowed */
    struct cast_token_options token;
    struct cast_subscription_token_options subscription_token;
    bool allow_anonymous_connect_without_token, disallow_anonymous_connection_tokens;
    int64_t ping_interval_ns, pong_timeout_ns; /* <= 0: no pings; no pongs asked for */
    int64_t expired_close_delay_ns, expired_sub_close_delay_ns, stale_close_delay_ns;
    int64_t channel_limit, queue_max_size; /* bytes waiting for one client */
    int64_t presence_update_interval_ns;
    int64_t channel_position_check_delay_ns;
    int64_t connection_limit, user_connection_limit, connection_rate_limit; /* 0 is none */
    bool connect_include_server_time;
    int64_t history_max_publication_limit, recovery_max_publication_limit;
    bool insecure_skip_token_signature_verify; /* acted on by the verifier (token/token.h) */
    char *user_id_http_header;
    bool insecure;
    struct {
        bool enabled;
        char *personal_channel_namespace;
        bool single_connection;
    } subscribe_to_user_personal_channel;
};

struct cast_channel_config {
    struct cast_channel_options without_namespace;
    struct cast_channel_options *namespaces;
    size_t namespaces_count;
    int64_t history_meta_ttl_ns;
    char *publication_data_format;
    int64_t max_length; /* bytes; for clients only, the server API ignores it */
    char *private_prefix, *namespace_boundary, *user_boundary, *user_separator;
};

struct cast_config {
    struct cast_http_server http_server;
    struct {
        char *level; /* trace debug info warn error fatal none */
        char *file;
    } log;
    struct cast_client_options client;
    struct cast_channel_config channel;
    struct {
        struct {
            bool enabled;
            char *method;
        } ping;
    } rpc;
    struct {
        bool disabled;
        char *handler_prefix;
        int64_t message_size_limit; /* bytes */
    } websocket;
    struct {
        bool disabled;
        char *handler_prefix;
        char *key;
        char *error_mode; /* "" or "transport" */
        bool external, insecure;
    } http_api;
    struct {
        bool enabled;
        char *handler_prefix;
        char *password, *secret;
        bool insecure, external;
    } admin;
    struct {
        bool enabled;
        char *handler_prefix;
    } prometheus, health, init, debug;
    struct {
        char *name;
        int64_t info_metrics_aggregate_interval_ns;
    } node;
    struct {
        int64_t timeout_ns;
    } shutdown;
    char *pid_file;
    struct {
        int64_t shards; /* event loops; 0 is one a core of the process's quota */
        int64_t
            send_window_ns; /* least time between two passes over a busy channel's subscribers */
    } weftcast;             /* settings that only weftcast has */

    int internal_port_number;               /* 0 when there is no internal listener */
    struct cast_token_keys *connect_keys;   /* for cast_token_verify_connect */
    struct cast_token_keys *subscribe_keys; /* for cast_token_verify_subscribe */
    struct cast_config_inner *inner;
};

/** One setting from the command line. */
struct cast_config_flag {
    const char *path;  /* "http_server.port" */
    const char *value; /* text, parsed as an environment variable's is */
};

/** Where a configuration comes from. All borrowed for the call, copied into the snapshot. */
struct cast_config_source {
    const char *file; /* NULL is "config.json" */
    const struct cast_config_flag *flags;
    size_t flags_count;
    char *const *environ; /* NULL-ended "NAME=value"; NULL is no environment */
    const char *env_file; /* NULL is ".env"; missing is fine; never beats the environment */
};

enum cast_config_stage {
    CAST_CONFIG_GETTING,    /* reading: syntax, types */
    CAST_CONFIG_VALIDATING, /* meaning */
};

/** Why a configuration was refused: one sentence, with the path of the setting. */
struct cast_config_error {
    enum cast_config_stage stage;
    char text[2048];
};

enum cast_config_warning_kind {
    CAST_CONFIG_NO_FILE,     /* key is the file's name */
    CAST_CONFIG_UNKNOWN_KEY, /* nobody has this key; near is the nearest valid one, or "" */
    CAST_CONFIG_UNKNOWN_ENV, /* an environment variable with our prefix that names no key */
    CAST_CONFIG_NOT_YET_KEY, /* Centrifugo has it, weftcast does not; near says what happens */
    CAST_CONFIG_NOTICE,      /* a legal setting that deserves a word; near is the word */
};

/** Something that a start says in a warning and `checkconfig --strict` fails on (except NO_FILE and
 * NOTICE). */
struct cast_config_warning {
    enum cast_config_warning_kind kind;
    char *key;
    char *near;
};

/**
 * cast_config_load - read defaults, file, environment and flags into a snapshot.
 * @src:     where from.
 * @ret_cfg: set on success; release with cast_config_unref.
 * @err:     filled on failure.
 *
 * Returns 0, -EINVAL (err says why), or -ENOMEM. A missing file is not an error (a warning of kind
 * CAST_CONFIG_NO_FILE is in the snapshot).
 * Blocks: reads files. Callable: any thread.
 */
int cast_config_load(const struct cast_config_source *src, struct cast_config **ret_cfg,
    struct cast_config_error *err);

/**
 * cast_config_load_text - as cast_config_load, with the file's text given (tests, fuzzing).
 * @format: "json" or "yaml".   @env_file of src is not read.
 */
int cast_config_load_text(const char *text, size_t text_bytes, const char *format,
    const struct cast_config_source *src, struct cast_config **ret_cfg,
    struct cast_config_error *err);

/**
 * cast_config_reload - read again from where old came from, and check (for SIGHUP).
 * @old: stays valid and unchanged, whatever happens.
 *
 * Returns as cast_config_load; a file that was there and is not now is an error here. What a
 * running server takes over from the new snapshot is the server's business: channels and
 * namespaces, token keys, client.* and rpc.* as Centrifugo does; ports stay.
 */
int cast_config_reload(
    const struct cast_config *old, struct cast_config **ret_cfg, struct cast_config_error *err);

/** Takes one more reference; returns cfg. Any thread. */
struct cast_config *cast_config_ref(const struct cast_config *cfg);
/** Gives one up; the last frees the snapshot. NULL is fine. Any thread. */
void cast_config_unref(const struct cast_config *cfg);

/** Warnings of this load, in order; borrowed until unref. */
const struct cast_config_warning *cast_config_warnings(
    const struct cast_config *cfg, size_t *ret_count);
/** Writes the warnings to the log, as the server does at start and after a reload. */
void cast_config_log_warnings(const struct cast_config *cfg);
/** The file that was read, or NULL if there was none; borrowed until unref. */
const char *cast_config_file(const struct cast_config *cfg);

/** A channel's name taken apart by the configured boundaries. Pointers into the name given. */
struct cast_channel_name {
    const struct cast_channel_options *options;
    const char *rest; /* after the namespace boundary; the whole name without a namespace */
    size_t rest_bytes;
    bool is_private;      /* starts with channel.private_prefix: needs a token */
    bool is_user_limited; /* contains channel.user_boundary */
};

/**
 * cast_config_channel - find the options that rule a channel.
 * Returns 0, or -ENOENT when the namespace does not exist (client and API error 102). The prefix
 * of private channels is not part of the namespace's name; an empty namespace (":x") is
 * without_namespace.
 */
int cast_config_channel(const struct cast_config *cfg, const char *channel, size_t channel_bytes,
    struct cast_channel_name *ret_name);

/** Options by namespace name; "" gives without_namespace; NULL when there is none. */
const struct cast_channel_options *cast_config_namespace(
    const struct cast_config *cfg, const char *name, size_t name_bytes);

/** Whether a client may name this channel: within channel.max_length (else error 107). */
bool cast_config_channel_length_ok(const struct cast_config *cfg, size_t channel_bytes);
/** Whether the rest of the name fits the namespace's channel_regex (else error 107). */
bool cast_channel_regex_ok(
    const struct cast_channel_options *options, const char *rest, size_t rest_bytes);
/** Whether user is in the list after the last user boundary ("dialog#41,42"); true for a name
 * without that boundary. */
bool cast_config_user_allowed(const struct cast_config *cfg, const char *channel,
    size_t channel_bytes, const char *user, size_t user_bytes);
/** The user's personal channel ("ns:#42"), NUL-terminated, returned owned (free); NULL: no memory.
 */
char *cast_config_personal_channel(
    const struct cast_config *cfg, const char *user, size_t user_bytes);
/** Whether client.allowed_origins lets this Origin in (an empty or absent Origin always passes);
 * compared without regard to case. */
bool cast_config_origin_allowed(
    const struct cast_config *cfg, const char *origin, size_t origin_bytes);

/** Matches text against a glob: * ? [a-z] [!a] {a,b} and \ before a literal. Case counts. Bounded
 * work (see glob.c). An invalid pattern matches nothing: ask cast_glob_valid first. */
bool cast_glob_match(const char *pattern, const char *text, size_t text_bytes);
/** Whether a pattern is well-formed. */
bool cast_glob_valid(const char *pattern, size_t pattern_bytes);
#endif
