// SPDX-License-Identifier: Apache-2.0
/*
 * serve.c - what stands before and after serving: configuration, log, pid file.
 *
 * A start that fails says so in one line of the log, level fatal, with Centrifugo's words, and ends
 * with status 1. The pid file is removed at the end if it still is ours.
 */
#include "cli/cli.h"
#include "log/cast_log.h"
#include "token/token.h"

#include <weft/version.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int fatal(const char *message, const char *why)
{
    cast_log(CAST_LOG_FATAL, message, LOG_STR("error", why));
    return 1;
}

static int write_pid(const char *path)
{
    FILE *f = fopen(path, "we");
    if (!f)
        return -errno;
    fprintf(f, "%ld", (long)getpid());
    return fclose(f) == 0 ? 0 : -errno;
}

static void remove_pid(const char *path)
{
    FILE *f = fopen(path, "re");
    long pid = 0;
    if (!f)
        return;
    bool ours = fscanf(f, "%ld", &pid) == 1 && pid == (long)getpid();
    fclose(f);
    if (ours)
        unlink(path);
}

static void say_hello(const struct cast_config *cfg)
{
    const char *algorithms = cast_token_keys_algorithms(cfg->connect_keys);
    if (cast_config_file(cfg))
        cast_log(CAST_LOG_INFO, "using config file", LOG_STR("path", cast_config_file(cfg)));
    cast_config_log_warnings(cfg);
    cast_log(CAST_LOG_INFO, "starting weftcast", LOG_STR("version", WEFT_VERSION_STRING),
        LOG_STR("runtime", weft_version_string()), LOG_INT("pid", getpid()));
    if (*algorithms)
        cast_log(CAST_LOG_INFO, "enabled JWT verifiers", LOG_STR("algorithms", algorithms));
}

static int serve(const struct cast_options *o, const struct cast_config *cfg)
{
    int rc = cast_log_open(cfg->log.level, cfg->log.file);
    if (rc != 0)
        return fatal("error opening log file", strerror(-rc));
    say_hello(cfg);
    if (*cfg->pid_file && (rc = write_pid(cfg->pid_file)) != 0)
        return fatal("error creating PID file", strerror(-rc));
    rc = o->hooks->serve(cfg);
    if (*cfg->pid_file)
        remove_pid(cfg->pid_file);
    return rc;
}

int cast_command_serve(const struct cast_options *o)
{
    struct cast_config *cfg = NULL;
    struct cast_config_error err;
    struct cast_config_source src = cast_options_source(o);
    if (cast_config_load(&src, &cfg, &err) != 0)
        return fatal(
            err.stage == CAST_CONFIG_GETTING ? "error getting config" : "error validating config",
            err.text);
    int rc = serve(o, cfg);
    cast_config_unref(cfg);
    return rc;
}
