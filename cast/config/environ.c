// SPDX-License-Identifier: Apache-2.0
/*
 * environ.c - settings in environment variables and in a .env file.
 *
 * WEFTCAST_CLIENT_CHANNEL_LIMIT names client.channel_limit; CENTRIFUGO_CLIENT_CHANNEL_LIMIT does
 * too, and yields to the former. An empty variable counts as unset. A variable with one of the
 * prefixes that names nothing is worth a warning, except what Kubernetes puts into every container
 * for a service of our name, and *_VAR_*, which users keep for their own substitutions.
 *
 * .env: NAME=value a line, "export " before it allowed, values bare, 'verbatim' or "with \n", #
 * starts a comment. Variables of the process win over the file.
 *
 * Concurrency: the environment is copied once; the copy is one thread's.
 */
#include "config/inner.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char *const prefixes[] = {"WEFTCAST_", "CENTRIFUGO_"};
enum { PREFIXES = 2 };

static const char *prefix_of(const char *name)
{
    for (int i = 0; i < PREFIXES; i++)
        if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
            return prefixes[i];
    return NULL;
}

static struct cast_env_var *find(struct cast_env *env, const char *name)
{
    for (size_t i = 0; i < env->count; i++)
        if (strcmp(env->vars[i].name, name) == 0)
            return &env->vars[i];
    return NULL;
}

/* Takes name and value. */
static int add(struct cast_env *env, char *name, char *value, bool from_file)
{
    struct cast_env_var *vars = NULL;
    if (name && value)
        vars = realloc(env->vars, (env->count + 1) * sizeof *vars);
    if (!vars) {
        free(name);
        free(value);
        return -ENOMEM;
    }
    env->vars = vars;
    vars[env->count++] =
        (struct cast_env_var){.name = name, .value = value, .from_file = from_file};
    return 0;
}

int cast_env_add(struct cast_env *env, char *const *environ_list)
{
    for (; environ_list && *environ_list; environ_list++) {
        const char *eq = strchr(*environ_list, '=');
        if (!eq || !prefix_of(*environ_list))
            continue;
        char *name = strndup(*environ_list, (size_t)(eq - *environ_list));
        if (name && find(env, name)) {
            free(name);
            continue;
        }
        if (add(env, name, strdup(eq + 1), false) != 0)
            return -ENOMEM;
    }
    return 0;
}

/* Reads a value at *p up to the line's end, without quotes and comment; *p ends at the line's end.
 */
static char *read_value(const char **p)
{
    const char *c = *p;
    char quote = *c == '"' || *c == '\'' ? *c++ : '\0';
    char *value = malloc(strlen(c) + 1);
    size_t n = 0;
    if (!value)
        return NULL;
    while (*c && (quote ? *c != quote : *c != '\n')) {
        if (!quote && *c == '#' && (n == 0 || isspace((unsigned char)c[-1])))
            break;
        if (quote == '"' && *c == '\\' && c[1]) {
            c++;
            value[n++] = *c == 'n' ? '\n' : *c == 't' ? '\t' : *c;
            c++;
            continue;
        }
        value[n++] = *c++;
    }
    while (!quote && n > 0 && isspace((unsigned char)value[n - 1]))
        n--;
    value[n] = '\0';
    *p = c + strcspn(c, "\n");
    return value;
}

int cast_env_add_file(struct cast_env *env, const char *text)
{
    for (const char *p = text; *p; p += *p == '\n') {
        p += strspn(p, " \t\r");
        if (strncmp(p, "export ", 7) == 0)
            p += 7 + strspn(p + 7, " \t");
        size_t name_bytes = strcspn(p, "= \t\r\n#");
        const char *after = p + name_bytes + strspn(p + name_bytes, " \t");
        if (name_bytes == 0 || *after != '=') {
            p += strcspn(p, "\n");
            continue;
        }
        char *name = strndup(p, name_bytes);
        p = after + 1 + strspn(after + 1, " \t");
        char *value = read_value(&p);
        if (name && value && (!prefix_of(name) || find(env, name))) {
            free(name);
            free(value);
        } else if (add(env, name, value, true) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

const char *cast_env_get(struct cast_env *env, const char *path, const char **ret_name)
{
    const char *value = NULL;
    for (int i = 0; env->count > 0 && i < PREFIXES; i++) {
        char name[CAST_PATH_BYTES];
        cast_env_name(prefixes[i], path, name, sizeof name);
        struct cast_env_var *var = find(env, name);
        if (!var)
            continue;
        var->used = true;
        if (value || var->value[0] == '\0')
            continue;
        value = var->value;
        if (ret_name)
            *ret_name = var->name;
    }
    return value;
}

/* "…_SERVICE_HOST", "…_SERVICE_PORT…", "…_PORT=tcp://…", "…_PORT_80_TCP…": service links. */
static bool is_service_link(const struct cast_env_var *var)
{
    if (strstr(var->name, "_SERVICE_HOST") || strstr(var->name, "_SERVICE_PORT"))
        return true;
    for (const char *p = var->name; (p = strstr(p, "_PORT")) != NULL; p += 5) {
        const char *digits = p + 6;
        if (p[5] == '\0' && strstr(var->value, "://"))
            return true;
        if (p[5] == '_' && isdigit((unsigned char)*digits)) {
            digits += strspn(digits, "0123456789");
            if (strncmp(digits, "_TCP", 4) == 0 || strncmp(digits, "_UDP", 4) == 0)
                return true;
        }
    }
    return false;
}

bool cast_env_is_foreign(const struct cast_env_var *var)
{
    const char *rest = var->name + strlen(prefix_of(var->name));
    return strncmp(rest, "VAR_", 4) == 0 || is_service_link(var);
}

void cast_env_path(const struct cast_env_var *var, char *buf, size_t buf_bytes)
{
    snprintf(buf, buf_bytes, "%s", var->name + strlen(prefix_of(var->name)));
    for (char *c = buf; *c; c++)
        *c = (char)tolower((unsigned char)*c);
}

void cast_env_fini(struct cast_env *env)
{
    for (size_t i = 0; i < env->count; i++) {
        free(env->vars[i].name);
        free(env->vars[i].value);
    }
    free(env->vars);
    *env = (struct cast_env){0};
}
