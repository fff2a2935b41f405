// SPDX-License-Identifier: Apache-2.0
/* config_test.h - short forms for tests that load configurations from text. */
#ifndef CONFIG_TEST_H
#define CONFIG_TEST_H
#include "config/config.h"
#include "config/schema.h"
#include "test.h"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

/* flags end with a path of NULL. */
static inline int load_text(const char *format, const char *text, char *const *env,
    const struct cast_config_flag *flags, struct cast_config **ret, struct cast_config_error *err)
{
    struct cast_config_source src = {.environ = env, .flags = flags};
    while (flags && flags[src.flags_count].path)
        src.flags_count++;
    return cast_config_load_text(text, strlen(text), format, &src, ret, err);
}

static inline struct cast_config *load_format(
    const char *format, const char *text, char *const *env, const struct cast_config_flag *flags)
{
    struct cast_config_error err;
    struct cast_config *c = NULL;
    int rc = load_text(format, text, env, flags, &c, &err);
    CHECK_MSG(rc == 0, "%s\n  refused: %s", text, err.text);
    return c;
}

static inline struct cast_config *load_good(const char *json)
{
    return load_format("json", json, NULL, NULL);
}

static inline void check_refused(const char *format, const char *text, char *const *env,
    const struct cast_config_flag *flags, const char *needle)
{
    struct cast_config_error err = {0};
    struct cast_config *c = NULL;
    int rc = load_text(format, text, env, flags, &c, &err);
    CHECK_MSG(rc == -EINVAL, "%s\n  gave %d instead of a refusal", text, rc);
    CHECK_MSG(strstr(err.text, needle), "%s\n  got:  %s\n  want: %s", text, err.text, needle);
}
#define CHECK_REFUSED(text, needle) check_refused("json", text, NULL, NULL, needle)
#define CHECK_REFUSED_AS(format, text, needle) check_refused(format, text, NULL, NULL, needle)

static inline size_t warnings_of(const struct cast_config *c)
{
    size_t count;
    cast_config_warnings(c, &count);
    return count;
}

/* Loads, and checks the only warning. near NULL: not looked at. */
static inline void check_warned(
    const char *json, enum cast_config_warning_kind kind, const char *key, const char *near)
{
    struct cast_config *c = load_good(json);
    size_t count;
    const struct cast_config_warning *w = cast_config_warnings(c, &count);
    CHECK_MSG(count == 1, "%s\n  gave %zu warnings", json, count);
    CHECK_EQ(w->kind, kind);
    CHECK_STR(w->key, key);
    if (near)
        CHECK_STR(w->near, near);
    cast_config_unref(c);
}
#define CHECK_WARNED check_warned

static inline void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    CHECK(fputs(text, f) >= 0);
    CHECK_EQ(fclose(f), 0);
}
#endif
