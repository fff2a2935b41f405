// SPDX-License-Identifier: Apache-2.0
/*
 * options.c - arguments of a command into struct cast_options.
 *
 * Own parsing instead of getopt_long: any setting of the table is an option
 * (--client.channel_limit=5), a boolean one may stand without a value, and a wrong option names the
 * nearest right one.
 *
 * Forms: --name value, --name=value, -n value, -nvalue; "--" ends the options.
 */
#include "cli/cli.h"
#include "config/schema.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct arguments {
    int argc;
    char **argv;
    int next;
    const struct cast_command *command;
};

static int wrong(const struct arguments *a, const char *what, const char *option)
{
    fprintf(stderr, "Error: %s: %s\nRun 'weftcast%s%s --help' for usage.\n", what, option,
        a->command == cast_command_default() ? "" : " ",
        a->command == cast_command_default() ? "" : a->command->name);
    return 2;
}

/* Long names of the short options that the command has. */
static const char *long_name(const struct cast_command *c, char letter)
{
    switch (letter) {
    case 'h':
        return "help";
    case 'c':
        return c->options & (CAST_OPT_CONFIG | CAST_OPT_OUTPUT) ? "config" : NULL;
    case 'a':
        return c->options & CAST_OPT_CONFIG ? "http_server.address" : NULL;
    case 'p':
        return c->options & CAST_OPT_CONFIG ? "http_server.port" : NULL;
    case 's':
        return c->options & CAST_OPT_STRICT    ? "strict"
               : c->options & CAST_OPT_CHANNEL ? "channel"
                                               : NULL;
    case 'u':
        return c->options & CAST_OPT_TOKEN ? "user" : NULL;
    case 't':
        return c->options & CAST_OPT_TOKEN ? "ttl" : NULL;
    case 'q':
        return c->options & CAST_OPT_TOKEN ? "quiet" : NULL;
    default:
        return NULL;
    }
}

static bool is_switch(const char *name)
{
    bool channel;
    const struct cast_key *key = cast_schema_find(name, &channel);
    return strcmp(name, "help") == 0 || strcmp(name, "strict") == 0 || strcmp(name, "quiet") == 0 ||
           (key && key->type == CAST_TYPE_BOOL);
}

static int set_ttl(const struct arguments *a, struct cast_options *o, const char *value)
{
    char *end;
    errno = 0;
    long long ttl_s = strtoll(value, &end, 10);
    if (errno != 0 || *end != '\0' || end == value || ttl_s == 0 || ttl_s < -1 ||
        ttl_s > INT64_C(9000000000))
        return wrong(a, "the TTL must be a positive number of seconds, or -1", value);
    o->ttl_s = ttl_s;
    return 0;
}

static int set_setting(
    const struct arguments *a, struct cast_options *o, const char *name, const char *value)
{
    bool channel;
    char near[CAST_PATH_BYTES], what[CAST_PATH_BYTES + 64] = "unknown flag";
    if (!(a->command->options & CAST_OPT_CONFIG) || !cast_schema_find(name, &channel)) {
        cast_table_nearest(&cast_root_table, name, false, near, sizeof near);
        if ((a->command->options & CAST_OPT_CONFIG) && near[0])
            snprintf(what, sizeof what, "unknown flag (the nearest is --%s)", near);
        return wrong(a, what, name);
    }
    if (o->flags_count == sizeof o->flags / sizeof o->flags[0])
        return wrong(a, "too many flags", name);
    o->flags[o->flags_count++] = (struct cast_config_flag){name, value};
    return 0;
}

static int set_option(
    const struct arguments *a, struct cast_options *o, const char *name, const char *value)
{
    unsigned have = a->command->options;
    bool on = strcmp(value, "false") != 0 && strcmp(value, "0") != 0;
    if (strcmp(name, "help") == 0)
        o->help = on;
    else if (strcmp(name, "config") == 0 && (have & (CAST_OPT_CONFIG | CAST_OPT_OUTPUT)))
        o->config = value;
    else if (strcmp(name, "strict") == 0 && (have & CAST_OPT_STRICT))
        o->strict = on;
    else if (strcmp(name, "quiet") == 0 && (have & CAST_OPT_TOKEN))
        o->quiet = on;
    else if (strcmp(name, "user") == 0 && (have & CAST_OPT_TOKEN))
        o->user = value;
    else if (strcmp(name, "ttl") == 0 && (have & CAST_OPT_TOKEN))
        return set_ttl(a, o, value);
    else if (strcmp(name, "channel") == 0 && (have & CAST_OPT_CHANNEL))
        o->channel = value;
    else
        return set_setting(a, o, name, value);
    return 0;
}

/* The option at *text (after the dashes), with its value from behind '=', or from the next
 * argument.
 */
static int parse_long(struct arguments *a, struct cast_options *o, char *text)
{
    char *eq = strchr(text, '=');
    if (eq) {
        *eq = '\0';
        return set_option(a, o, text, eq + 1);
    }
    if (is_switch(text))
        return set_option(a, o, text, "true");
    if (a->next == a->argc) {
        /* an unknown flag is a better thing to say than a missing value */
        bool channel;
        bool known = cast_schema_find(text, &channel) || strcmp(text, "config") == 0 ||
                     strcmp(text, "user") == 0 || strcmp(text, "ttl") == 0 ||
                     strcmp(text, "channel") == 0;
        return known ? wrong(a, "flag needs a value", text) : set_option(a, o, text, "");
    }
    return set_option(a, o, text, a->argv[a->next++]);
}

static int parse_short(struct arguments *a, struct cast_options *o, char *text)
{
    for (; *text; text++) {
        char letter[2] = {*text, '\0'};
        const char *name = long_name(a->command, *text);
        if (!name)
            return wrong(a, "unknown shorthand flag", letter);
        if (is_switch(name)) {
            set_option(a, o, name, "true");
            continue;
        }
        char *value = text[1] == '=' ? text + 2 : text + 1;
        if (*value == '\0') {
            if (a->next == a->argc)
                return wrong(a, "flag needs a value", name);
            value = a->argv[a->next++];
        }
        return set_option(a, o, name, value);
    }
    return 0;
}

int cast_options_parse(
    const struct cast_command *command, int argc, char **argv, struct cast_options *o)
{
    struct arguments a = {.argc = argc, .argv = argv, .command = command};
    bool ended = false;
    int rc = 0;
    o->ttl_s = 7 * 24 * 3600;
    o->user = "";
    while (rc == 0 && a.next < a.argc) {
        char *arg = a.argv[a.next++];
        if (!ended && strcmp(arg, "--") == 0)
            ended = true;
        else if (!ended && arg[0] == '-' && arg[1] == '-')
            rc = parse_long(&a, o, arg + 2);
        else if (!ended && arg[0] == '-' && arg[1])
            rc = parse_short(&a, o, arg + 1);
        else if (o->argument || !(command->options & CAST_OPT_ARGUMENT))
            rc = wrong(&a, "unexpected argument", arg);
        else
            o->argument = arg;
    }
    return rc;
}
