// SPDX-License-Identifier: Apache-2.0
/* cli.c - picks the command and prints help; the texts about settings come from their table. */
#include "cli/cli.h"
#include "config/schema.h"

#include <string.h>

/* Settings that are most asked for, as flags of the server. */
static const char *const common_flags[] = {
    "http_server.address",
    "http_server.port",
    "http_server.internal_address",
    "http_server.internal_port",
    "log.level",
    "log.file",
    "pid_file",
    "admin.enabled",
    "admin.insecure",
    "admin.external",
    "client.insecure",
    "http_api.insecure",
    "http_api.external",
    "health.enabled",
    "prometheus.enabled",
    "debug.enabled",
    "init.enabled",
    "weftcast.shards",
};

static void print_option(FILE *out, const char *letter, const char *name, const char *text)
{
    fprintf(out, "  %3s --%-32s %s\n", letter, name, text);
}

static void print_setting(FILE *out, const char *path)
{
    const struct cast_key *key = cast_table_find(&cast_root_table, path);
    char name[64];
    const char *letter = strcmp(path, "http_server.address") == 0 ? "-a,"
                         : strcmp(path, "http_server.port") == 0  ? "-p,"
                                                                  : "";
    snprintf(name, sizeof name, "%s%s%s", path, key->type == CAST_TYPE_BOOL ? "" : " ",
        key->type == CAST_TYPE_BOOL ? "" : cast_type_name(key->type));
    print_option(out, letter, name, key->text);
}

static void print_options(FILE *out, unsigned options, bool settings)
{
    fprintf(out, "\nOptions:\n");
    if (options & CAST_OPT_CONFIG)
        print_option(out, "-c,", "config FILE",
            "Configuration, .json, .yaml or .yml (default config.json).");
    if (options & CAST_OPT_OUTPUT)
        print_option(out, "-c,", "config FILE",
            "File to write, .json, .yaml or .yml (default config.json).");
    if (options & CAST_OPT_STRICT)
        print_option(out, "-s,", "strict", "Fail on unknown and not yet supported keys too.");
    if (options & CAST_OPT_TOKEN) {
        print_option(out, "-u,", "user ID", "User of the token (default: anonymous).");
        print_option(out, "-t,", "ttl SECONDS", "Life of the token (default 604800); -1: no end.");
        print_option(out, "-q,", "quiet", "Print the token and nothing else.");
    }
    if (options & CAST_OPT_CHANNEL)
        print_option(out, "-s,", "channel NAME", "Channel of the token.");
    print_option(out, "-h,", "help", "Print this.");
    if (settings)
        for (size_t i = 0; i < sizeof common_flags / sizeof common_flags[0]; i++)
            print_setting(out, common_flags[i]);
    if (options & CAST_OPT_CONFIG)
        fprintf(out,
            "\nAny other setting is a flag too (--client.channel_limit=200; `weftcast configdoc` "
            "lists them),\nand an environment variable (WEFTCAST_CLIENT_CHANNEL_LIMIT=200).\n");
}

void cast_help_print(FILE *out)
{
    fprintf(out, "weftcast: a real-time broadcast server that speaks Centrifugo's protocol\n\n"
                 "Usage:\n  weftcast [OPTIONS]\n  weftcast COMMAND [OPTIONS]\n\nCommands:\n");
    for (size_t i = 0; i < cast_commands_count; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s%s", cast_commands[i].name, cast_commands[i].arguments);
        fprintf(out, "  %-20s %s\n", name, cast_commands[i].summary);
    }
    print_options(out, CAST_OPT_CONFIG, true);
}

void cast_help_print_command(FILE *out, const struct cast_command *command)
{
    fprintf(out, "%s\n\nUsage:\n  weftcast %s%s%s\n", command->summary, command->name,
        command->options ? " [OPTIONS]" : "", command->arguments);
    print_options(out, command->options, command == cast_command_default());
}

/* The command that looks most like an unknown name; NULL when none does. */
static const char *nearest_command(const char *name)
{
    struct cast_key keys[32];
    char near[CAST_PATH_BYTES];
    struct cast_table table = {keys, cast_commands_count};
    for (size_t i = 0; i < cast_commands_count; i++)
        keys[i] = (struct cast_key){.path = cast_commands[i].name};
    cast_table_nearest(&table, name, false, near, sizeof near);
    const struct cast_command *found = cast_command_find(near);
    return found ? found->name : NULL;
}

static int unknown_command(const char *name)
{
    const char *near = nearest_command(name);
    fprintf(stderr, "Error: unknown command \"%s\"", name);
    if (near)
        fprintf(stderr, " (the nearest is \"%s\")", near);
    fprintf(stderr, "\nRun 'weftcast --help' for usage.\n");
    return 2;
}

int cast_cli_main(
    int argc, char **argv, char *const *environ_list, const struct cast_cli_hooks *hooks)
{
    const struct cast_command *command = cast_command_default();
    struct cast_options o = {.environ_list = environ_list, .hooks = hooks};
    bool named = argc > 1 && argv[1][0] != '-';
    if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0))
        return cast_command_find("version")->run(&o);
    if (named) {
        command = cast_command_find(argv[1]);
        if (!command)
            return unknown_command(argv[1]);
        if (!command->run) {
            static char bench_name[] = "weftcast bench";
            argv[1] = bench_name;
            return hooks->bench(argc - 1, argv + 1);
        }
    }
    int rc = cast_options_parse(command, argc - 1 - named, argv + 1 + named, &o);
    if (rc == 0 && o.help) {
        if (named)
            cast_help_print_command(stdout, command);
        else
            cast_help_print(stdout);
    } else if (rc == 0) {
        rc = command->run(&o);
    }
    return fflush(stdout) == 0 || rc ? rc : 1;
}
