// SPDX-License-Identifier: Apache-2.0
/* config.c - life of a snapshot: references, its warnings, its end; and the reading of files. */
#include "config/inner.h"
#include "config/regex.h"
#include "token/token.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MOST = 16 << 20 };

struct cast_config *cast_config_ref(const struct cast_config *cfg)
{
    atomic_fetch_add(&cfg->inner->references, 1);
    return (struct cast_config *)cfg;
}

void cast_config_unref(const struct cast_config *cfg)
{
    if (cfg && atomic_fetch_sub(&cfg->inner->references, 1) == 1)
        cast_config_free((struct cast_config *)cfg);
}

static void free_inner(struct cast_config_inner *inner)
{
    for (size_t i = 0; i < inner->flags_count; i++) {
        free((char *)inner->flags[i].path);
        free((char *)inner->flags[i].value);
    }
    for (size_t i = 0; i < inner->warnings_count; i++) {
        free(inner->warnings[i].key);
        free(inner->warnings[i].near);
    }
    cast_env_fini(&inner->env);
    free(inner->flags);
    free(inner->warnings);
    free(inner->file);
    free(inner->env_file);
    free(inner->by_name);
    free(inner);
}

static void clear_options(struct cast_channel_options *options)
{
    cast_table_clear(&cast_option_table, options);
    cast_regex_free(options->regex);
    free(options->name);
}

void cast_config_free(struct cast_config *cfg)
{
    cast_table_clear(&cast_root_table, cfg);
    clear_options(&cfg->channel.without_namespace);
    for (size_t i = 0; i < cfg->channel.namespaces_count; i++)
        clear_options(&cfg->channel.namespaces[i]);
    free(cfg->channel.namespaces);
    cast_token_keys_free(cfg->connect_keys);
    cast_token_keys_free(cfg->subscribe_keys);
    if (cfg->inner)
        free_inner(cfg->inner);
    free(cfg);
}

const struct cast_config_warning *cast_config_warnings(
    const struct cast_config *cfg, size_t *ret_count)
{
    *ret_count = cfg->inner->warnings_count;
    return cfg->inner->warnings;
}

const char *cast_config_file(const struct cast_config *cfg)
{
    return cfg->inner->file_read ? cfg->inner->file : NULL;
}

int cast_file_read(const char *path, char **ret_text, size_t *ret_bytes)
{
    char *text = NULL;
    size_t bytes = 0, room = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return -errno;
    for (;;) {
        if (bytes + 1 >= room) {
            char *more = realloc(text, room = room ? room * 2 : 4096);
            if (!more) {
                rc = -ENOMEM;
                break;
            }
            text = more;
        }
        ssize_t n = read(fd, text + bytes, room - bytes - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            rc = n < 0 ? -errno : 0;
            break;
        }
        bytes += (size_t)n;
        if (bytes > FILE_MOST) {
            rc = -EFBIG;
            break;
        }
    }
    close(fd);
    if (rc != 0) {
        free(text);
        return rc;
    }
    text[bytes] = '\0';
    *ret_text = text;
    *ret_bytes = bytes;
    return 0;
}
