// SPDX-License-Identifier: Apache-2.0
/*
 * cli.h - the command line of weftcast: which command, which options, what is printed.
 *
 *     main.c ─ cast_cli_main ─┬─ options.c  argv into struct cast_options
 *                             ├─ commands.c one function a command
 *                             ├─ serve.c    configuration, log, pid file, then hooks->serve
 *                             └─ hooks->bench
 *
 * The commands are Centrifugo's, with its words and exit statuses. What the server and the load
 * generator are is the caller's: so the command line is tested without either.
 *
 * Exit statuses: 0 good; 1 what was asked for is bad or failed; 2 the command line is wrong.
 * Findings of a check (checkconfig, checktoken) are the command's output and go to standard output;
 * everything else that goes wrong is told on standard error.
 *
 * Concurrency: the main thread, before the runtime starts.
 */
#ifndef CAST_CLI_H
#define CAST_CLI_H
#include "config/config.h"

struct cast_cli_hooks {
    /** Serves until told to stop; returns the exit status. The snapshot is borrowed. */
    int (*serve)(const struct cast_config *cfg);
    /** The load generator; argv[0] is to be printed as its name. */
    int (*bench)(int argc, char **argv);
};

/** Runs the command line. Returns the exit status. */
int cast_cli_main(
    int argc, char **argv, char *const *environ_list, const struct cast_cli_hooks *hooks);

/* --- between the files of cast/cli --- */

enum cast_option_set {
    CAST_OPT_CONFIG = 1, /* -c, and any setting as --key=value */
    CAST_OPT_STRICT = 2,
    CAST_OPT_TOKEN = 4, /* -u -t -q */
    CAST_OPT_CHANNEL = 8,
    CAST_OPT_OUTPUT = 16, /* -c names a file to be written */
    CAST_OPT_ARGUMENT = 32,
};

struct cast_options {
    const char *config; /* NULL: not given */
    struct cast_config_flag flags[64];
    size_t flags_count;
    bool strict, quiet, help;
    const char *user, *channel;
    int64_t ttl_s; /* -1: no expiry */
    const char *argument;
    char *const *environ_list;
    const struct cast_cli_hooks *hooks;
};

/** Where the configuration of these options comes from. Borrowed from them. */
static inline struct cast_config_source cast_options_source(const struct cast_options *o)
{
    return (struct cast_config_source){
        .file = o->config,
        .flags = o->flags,
        .flags_count = o->flags_count,
        .environ = o->environ_list,
    };
}

struct cast_command {
    const char *name, *arguments, *summary;
    unsigned options; /* of enum cast_option_set */
    int (*run)(const struct cast_options *o);
};
extern const struct cast_command cast_commands[];
extern const size_t cast_commands_count;
/** The command that runs when none is named. */
const struct cast_command *cast_command_default(void);
/** NULL for an unknown name. */
const struct cast_command *cast_command_find(const char *name);

/** Parses the arguments after the command's name. Returns 0, or 2 after having told the user. */
int cast_options_parse(
    const struct cast_command *command, int argc, char **argv, struct cast_options *o);
void cast_help_print(FILE *out);
void cast_help_print_command(FILE *out, const struct cast_command *command);
int cast_command_serve(const struct cast_options *o);
#endif
