// SPDX-License-Identifier: Apache-2.0
/* test_cli.c - the command line as a user sees it: output, errors, exit statuses; serving is a
 * double.
 */
#include "cli/cli.h"
#include "config_test.h"
#include "log/cast_log.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdarg.h>
#include <sys/wait.h>

static struct {
    int status;
    char out[1 << 18], err[1 << 16];
} got;
static char dir[] = "/tmp/weftcast-cli-XXXXXX";
static char *const no_env[] = {NULL};

/* Serving, in the child: shows what arrived. */
static int serve(const struct cast_config *cfg)
{
    printf("serving on %s:%lld limit %lld pid %s\n", cfg->http_server.address,
        (long long)cfg->http_server.port, (long long)cfg->client.channel_limit, cfg->pid_file);
    if (*cfg->pid_file)
        CHECK_EQ(access(cfg->pid_file, R_OK), 0);
    return 7;
}

static int bench(int argc, char **argv)
{
    printf("%s with %d: %s\n", argv[0], argc - 1, argc > 1 ? argv[1] : "");
    return 5;
}

static void slurp(int fd, char *buf, size_t room)
{
    lseek(fd, 0, SEEK_SET);
    ssize_t n = read(fd, buf, room - 1);
    CHECK(n >= 0);
    buf[n] = '\0';
    close(fd);
}

static int scratch(void)
{
    char path[] = "/tmp/weftcast-out-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    unlink(path);
    return fd;
}

/* Runs `weftcast ARGS` in a child in the test's folder; args are separated by spaces. */
static void run_env(char *const *env, const char *args)
{
    static const struct cast_cli_hooks hooks = {serve, bench};
    char copy[4096], *argv[64] = {(char *)"weftcast"}, *save;
    int argc = 1, out = scratch(), err = scratch(), status;
    snprintf(copy, sizeof copy, "%s", args);
    for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(word, "''") == 0 ? (char *)"" : word;
    if (strcmp(dir + strlen(dir) - 6, "XXXXXX") == 0)
        CHECK(mkdtemp(dir) != NULL);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out, 1);
        dup2(err, 2);
        if (chdir(dir) != 0)
            _exit(99);
        int rc = cast_cli_main(argc, argv, env, &hooks);
        fflush(NULL);
        _exit(rc);
    }
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    CHECK(WIFEXITED(status));
    got.status = WEXITSTATUS(status);
    slurp(out, got.out, sizeof got.out);
    slurp(err, got.err, sizeof got.err);
}

static void run(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void run(const char *fmt, ...)
{
    char args[3000];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(args, sizeof args, fmt, ap);
    va_end(ap);
    run_env(no_env, args);
}

static void expect(int status, const char *out, const char *err)
{
    CHECK_MSG(got.status == status, "status %d, wanted %d; out: %s err: %s", got.status, status,
        got.out, got.err);
    CHECK_MSG(strstr(got.out, out), "out: %s\n  want: %s", got.out, out);
    CHECK_MSG(strstr(got.err, err), "err: %s\n  want: %s", got.err, err);
}

static void in_dir(const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    write_file(path, text);
}

static void clean_up(void)
{
    char command[200];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    CHECK_EQ(system(command), 0);
}

TEST(help_and_version)
{
    run("--help");
    expect(0, "Usage:\n  weftcast [OPTIONS]", "");
    CHECK(strstr(got.out, "gensubtoken") != NULL);
    CHECK(strstr(got.out, "-p, --http_server.port int") != NULL);
    CHECK_STR(got.err, "");
    run("gentoken --help");
    expect(0, "weftcast gentoken [OPTIONS]", "");
    CHECK(strstr(got.out, "--ttl SECONDS") != NULL);
    for (size_t i = 0; i < cast_commands_count; i++) {
        if (!cast_commands[i].run)
            continue;
        run("%s -h", cast_commands[i].name);
        expect(0, cast_commands[i].name, "");
        run("help %s", cast_commands[i].name);
        expect(0, cast_commands[i].name, "");
    }
    run("version");
    expect(0, "weftcast v", "");
    run("--version");
    expect(0, "weftcast v", "");
    clean_up();
}

TEST(wrong_command_lines)
{
    run("nope");
    expect(2, "", "Error: unknown command \"nope\"");
    run("genconfg");
    expect(2, "", "(the nearest is \"genconfig\")");
    run("--htp_server.port 5");
    expect(2, "", "unknown flag (the nearest is --http_server.port): htp_server.port");
    run("checkconfig --user 5");
    expect(2, "", "user");
    run("-x");
    expect(2, "", "unknown shorthand flag: x");
    run("--http_server.port");
    expect(2, "", "flag needs a value: http_server.port");
    run("serve now");
    expect(2, "", "unexpected argument: now");
    run("gentoken -t soon");
    expect(2, "", "TTL");
    run("gentoken -t 0");
    expect(2, "", "TTL");
    run("help nope");
    expect(2, "", "unknown command");
    clean_up();
}

TEST(bench_gets_its_arguments)
{
    run("bench --json x");
    expect(5, "weftcast bench with 2: --json", "");
    clean_up();
}

TEST(genconfig)
{
    json_t *j;
    char path[200];
    struct stat st;
    run("genconfig");
    expect(0, "", "");
    CHECK_STR(got.out, "");
    snprintf(path, sizeof path, "%s/config.json", dir);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(st.st_mode & 0777, 0600);
    j = json_load_file(path, 0, NULL);
    CHECK(j != NULL);
    json_t *client = json_object_get(j, "client"), *admin = json_object_get(j, "admin");
    CHECK_EQ(
        json_string_length(json_object_get(json_object_get(client, "token"), "hmac_secret_key")),
        86);
    CHECK(json_is_array(json_object_get(client, "allowed_origins")));
    CHECK_EQ(json_string_length(json_object_get(admin, "password")), 22);
    CHECK_EQ(json_string_length(json_object_get(admin, "secret")), 86);
    CHECK(json_is_false(json_object_get(admin, "enabled")));
    CHECK_EQ(json_string_length(json_object_get(json_object_get(j, "http_api"), "key")), 86);
    json_decref(j);
    run("checkconfig -s");
    expect(0, "", "");
    CHECK_STR(got.out, "");
    run("genconfig");
    expect(1, "", "error: output config file already exists: config.json");
    run("genconfig -c x.ini");
    expect(1, "", "supported extensions: json, yaml, yml");
    run("genconfig -c x.toml");
    expect(1, "", "supported extensions: json, yaml, yml");
    run("genconfig --config=x.yaml");
    expect(0, "", "");
    run("checkconfig --strict -cx.yaml");
    expect(0, "", "");
    run("genconfig -c no/such/folder.json");
    expect(1, "", "cannot create");
    clean_up();
}

TEST(checkconfig)
{
    static char *const env[] = {"WEFTCAST_NOTHING_OF_OURS=1", NULL};
    run("checkconfig");
    expect(1, "config file not found\n", "");
    in_dir("config.json", "{\"foo\":1,\"client\":{\"isecure\":true},\"sse\":{\"enabled\":true}}");
    run("checkconfig");
    expect(0, "", "unknown keys in config: foo");
    CHECK_STR(got.out, "");
    run("checkconfig -s");
    expect(1, "unknown keys in config: foo, client.isecure (the nearest is client.insecure)\n", "");
    CHECK(strstr(got.out, "keys not supported yet: sse.enabled (") != NULL);
    in_dir("config.json", "{}");
    run_env(env, "checkconfig -s");
    expect(1, "unknown variables in environment: WEFTCAST_NOTHING_OF_OURS\n", "");
    in_dir("bad.json", "{bad");
    run("checkconfig -c bad.json");
    expect(1, "error getting config: error reading config file bad.json: line 1", "");
    in_dir("bad.json", "{\"http_server\":{\"port\":\"zz\"}}");
    run("checkconfig -c bad.json");
    expect(1, "error getting config: 'http_server.port' cannot parse value as 'int'", "");
    in_dir("bad.json", "{\"channel\":{\"without_namespace\":{\"history_size\":1}}}");
    run("checkconfig -c bad.json");
    expect(1, "error validating config: in channel.without_namespace: both history size and", "");
    in_dir("bad.toml", "");
    run("checkconfig -c bad.toml");
    expect(1, "TOML is not supported", "");
    clean_up();
}

TEST(tokens)
{
    char token[600];
    run("gentoken -u 42");
    expect(1, "", "no secret for them is configured (client.token.hmac_secret_key)");
    in_dir("config.json", "{\"client\":{\"token\":{\"hmac_secret_key\":\"secret\"}}}");
    run("gentoken -u 42");
    expect(0, "HMAC SHA-256 JWT for user \"42\" with expiration TTL 168h0m0s:\ney", "");
    run("gentoken -t 10");
    expect(0, "HMAC SHA-256 JWT for anonymous user with expiration TTL 10s:\ney", "");
    run("gentoken --ttl=-1");
    expect(0, "HMAC SHA-256 JWT for anonymous user without expiration:\ney", "");
    run("gentoken -q -u 42");
    CHECK(strchr(got.out, '\n') == NULL);
    snprintf(token, sizeof token, "%.590s", got.out);
    run("checktoken %s", token);
    expect(0, "valid token for user 42\npayload: {\"sub\":\"42\",\"exp\":", "");
    run("checktoken %sx", token);
    expect(1, "error: token", "");
    run("checktoken abc");
    expect(1, "error: token format is not valid\n", "");
    run("checktoken");
    expect(1, "error: provide token to check [weftcast checktoken <TOKEN>]\n", "");
    run("checksubtoken %s", token);
    expect(1, "has error: invalid token: channel claim is required for subscription JWT\n", "");
    run("gensubtoken -u 42");
    expect(1, "", "channel is required");
    run("gensubtoken -u 42 -s ab");
    expect(0,
        "HMAC SHA-256 JWT for user \"42\" and channel \"ab\" with expiration TTL 168h0m0s:\ney",
        "");
    run("gensubtoken -q -u 42 -s ab");
    snprintf(token, sizeof token, "%.590s", got.out);
    run("checksubtoken %s", token);
    expect(
        0, "valid subscription token for user \"42\" and channel \"ab\"\npayload: {\"sub\":", "");
    run("checktoken %s", token);
    expect(1, "connection JWT can not contain channel claim, only subscription JWT can\n", "");
    run("checktoken --client.token.hmac_secret_key=other %s", token);
    expect(1, "error: token with algorithm HS256 and claims {", "");
    /* a section of its own for subscription tokens */
    in_dir("config.json",
        "{\"client\":{\"token\":{\"hmac_secret_key\":\"secret\"},"
        "\"subscription_token\":{\"enabled\":true,\"hmac_secret_key\":\"two\"}}}");
    run("checksubtoken %s", token);
    expect(1, "signature is not valid", "");
    run("gensubtoken -q -s ab");
    snprintf(token, sizeof token, "%.590s", got.out);
    run("checksubtoken %s", token);
    expect(0, "valid subscription token for anonymous user and channel \"ab\"\n", "");
    clean_up();
}

TEST(serving)
{
    static char *const env[] = {
        "CENTRIFUGO_HTTP_SERVER_PORT=8152", "WEFTCAST_CLIENT_CHANNEL_LIMIT=9", NULL};
    run("%s", "");
    expect(7, "\"level\":\"warn\",\"path\":\"config.json\"", "");
    CHECK(strstr(got.out, "serving on :8000 limit 128 pid \n") != NULL);
    in_dir("config.json", "{\"http_server\":{\"port\":8151},\"clint\":1,\"client\":{\"token\":"
                          "{\"hmac_secret_key\":\"a\"}}}");
    run_env(env, "serve -a 127.0.0.1");
    expect(7, "serving on 127.0.0.1:8152 limit 9", "");
    CHECK(strstr(got.out, "{\"level\":\"info\",\"path\":\"config.json\",\"time\":") != NULL);
    CHECK(strstr(got.out, "\"key\":\"clint\",\"nearest\":\"client\"") != NULL);
    CHECK(strstr(got.out, "unknown key in configuration file") != NULL);
    CHECK(strstr(got.out, "\"algorithms\":\"HS256, HS384, HS512\"") != NULL);
    run_env(env, "-p 8153 --log.level=error --pid_file server.pid");
    expect(7, "serving on :8153", "");
    CHECK(strstr(got.out, "level") == NULL);
    char path[200];
    snprintf(path, sizeof path, "%s/server.pid", dir);
    CHECK_EQ(access(path, F_OK), -1);
    run("-p zz");
    expect(1,
        "{\"level\":\"fatal\",\"error\":\"'http_server.port' (flag --http_server.port) cannot", "");
    CHECK(strstr(got.out, "\"message\":\"error getting config\"}\n") != NULL);
    run("--client.ping_interval 1s");
    expect(1, "must be greater than client.pong_timeout", "");
    CHECK(strstr(got.out, "\"message\":\"error validating config\"}\n") != NULL);
    run("--pid_file /nonexistent/x");
    expect(1, "error creating PID file", "");
    run("--log.file /nonexistent/x");
    expect(1, "error opening log file", "");
    run("--client.insecure --admin.enabled=false --health.enabled -p8154");
    expect(7, "serving on :8154", "");
    clean_up();
}

static char *whole_file(const char *path)
{
    FILE *f = fopen(path, "r");
    CHECK_MSG(f != NULL, "cannot open %s", path);
    char *text = calloc(1, 1 << 18);
    CHECK(fread(text, 1, (1 << 18) - 1, f) > 0);
    fclose(f);
    return text;
}

/* docs/configuration.md is what the table says: `weftcast configdoc >docs/configuration.md`. */
TEST(the_document_agrees_with_the_table)
{
    run("configdoc");
    char *doc = whole_file(SOURCE_ROOT "/docs/configuration.md");
    CHECK_MSG(strcmp(doc, got.out) == 0,
        "docs/configuration.md is out of date: weftcast configdoc > docs/configuration.md");
    free(doc);
    clean_up();
}

/* What defaultconfig prints is a configuration that changes nothing and passes the strict check. */
TEST(defaults_printed)
{
    run("defaultconfig");
    expect(0, "\"http_server\": {", "");
    in_dir("config.json", got.out);
    run("checkconfig -s");
    expect(0, "", "");
    run("defaultenv");
    expect(0, "WEFTCAST_HTTP_SERVER_PORT=\"8000\"\n", "");
    in_dir(".env", got.out);
    run("checkconfig -s");
    expect(0, "", "");
    clean_up();
}

/* The configuration of `make run`. */
TEST(demo_configuration)
{
    run("checkconfig -s -c " SOURCE_ROOT "/deploy/demo.json");
    expect(0, "", "");
    struct cast_config_source src = {.file = SOURCE_ROOT "/deploy/demo.json", .env_file = ""};
    struct cast_config_error err;
    struct cast_config *c;
    CHECK_EQ(cast_config_load(&src, &c, &err), 0);
    CHECK_STR(c->http_server.address, "127.0.0.1");
    CHECK(c->client.allow_anonymous_connect_without_token && c->admin.enabled);
    CHECK(c->channel.without_namespace.has_history && c->channel.without_namespace.presence);
    cast_config_unref(c);
    clean_up();
}
