// SPDX-License-Identifier: Apache-2.0
/*
 * lookup.c - the questions that every command and publication asks: whose options, who may.
 *
 *     $  room  :  general  #  41 , 42
 *     │   │    │     │     │  └──┴─── users            (user_separator)
 *     │   │    │     │     └ user_boundary
 *     │   │    │     └ rest: what channel_regex sees
 *     │   │    └ namespace_boundary
 *     │   └ namespace
 *     └ private_prefix: a token is needed
 *
 * Without a namespace the rest is the whole name, prefix included. Boundaries may be longer than a
 * byte, and empty ones are never found. Namespaces are found by bisection in a sorted array.
 *
 * Concurrency: reads the snapshot only; anywhere, at the same time.
 */
#include "config/inner.h"
#include "config/regex.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* First occurrence of a boundary; NULL for none and for an empty boundary. */
static const char *find(const char *text, size_t text_bytes, const char *what, size_t what_bytes)
{
    return what_bytes ? memmem(text, text_bytes, what, what_bytes) : NULL;
}

const struct cast_channel_options *cast_config_namespace(
    const struct cast_config *cfg, const char *name, size_t name_bytes)
{
    size_t low = 0, high = cfg->channel.namespaces_count;
    if (name_bytes == 0)
        return &cfg->channel.without_namespace;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        const struct cast_channel_options *o = cfg->inner->by_name[mid];
        size_t bytes = strlen(o->name), common = bytes < name_bytes ? bytes : name_bytes;
        int order = memcmp(name, o->name, common);
        if (order == 0 && bytes == name_bytes)
            return o;
        if (order < 0 || (order == 0 && name_bytes < bytes))
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

int cast_config_channel(const struct cast_config *cfg, const char *channel, size_t channel_bytes,
    struct cast_channel_name *ret_name)
{
    const struct cast_config_inner *in = cfg->inner;
    struct cast_channel_name n = {.rest = channel, .rest_bytes = channel_bytes};
    const char *name = channel;
    size_t name_bytes = 0, after = 0;
    if (in->private_prefix_bytes > 0 && channel_bytes >= in->private_prefix_bytes &&
        memcmp(channel, cfg->channel.private_prefix, in->private_prefix_bytes) == 0) {
        n.is_private = true;
        after = in->private_prefix_bytes;
    }
    n.is_user_limited =
        find(channel, channel_bytes, cfg->channel.user_boundary, in->user_boundary_bytes) != NULL;
    const char *boundary = find(channel + after, channel_bytes - after,
        cfg->channel.namespace_boundary, in->namespace_boundary_bytes);
    if (boundary) {
        name = channel + after;
        name_bytes = (size_t)(boundary - name);
        n.rest = boundary + in->namespace_boundary_bytes;
        n.rest_bytes = channel_bytes - (size_t)(n.rest - channel);
    }
    n.options = cast_config_namespace(cfg, name, name_bytes);
    if (!n.options)
        return -ENOENT;
    *ret_name = n;
    return 0;
}

bool cast_config_channel_length_ok(const struct cast_config *cfg, size_t channel_bytes)
{
    return cfg->channel.max_length <= 0 || channel_bytes <= (uint64_t)cfg->channel.max_length;
}

bool cast_channel_regex_ok(
    const struct cast_channel_options *options, const char *rest, size_t rest_bytes)
{
    return !options->regex || cast_regex_search(options->regex, rest, rest_bytes);
}

bool cast_config_user_allowed(const struct cast_config *cfg, const char *channel,
    size_t channel_bytes, const char *user, size_t user_bytes)
{
    const struct cast_config_inner *in = cfg->inner;
    const char *end = channel + channel_bytes, *list = NULL, *next = channel;
    while ((next = find(next, (size_t)(end - next), cfg->channel.user_boundary,
                in->user_boundary_bytes)) != NULL)
        list = next += in->user_boundary_bytes;
    if (!list)
        return true;
    for (;;) {
        const char *stop =
            find(list, (size_t)(end - list), cfg->channel.user_separator, in->user_separator_bytes);
        size_t bytes = (size_t)((stop ? stop : end) - list);
        if (bytes == user_bytes && memcmp(list, user, bytes) == 0)
            return true;
        if (!stop)
            return false;
        list = stop + in->user_separator_bytes;
    }
}

char *cast_config_personal_channel(
    const struct cast_config *cfg, const char *user, size_t user_bytes)
{
    const char *ns = cfg->client.subscribe_to_user_personal_channel.personal_channel_namespace;
    char *channel;
    int n = asprintf(&channel, "%s%s%s%.*s", ns, *ns ? cfg->channel.namespace_boundary : "",
        cfg->channel.user_boundary, (int)user_bytes, user);
    return n < 0 ? NULL : channel;
}

bool cast_config_origin_allowed(
    const struct cast_config *cfg, const char *origin, size_t origin_bytes)
{
    const struct cast_strings *patterns = &cfg->client.allowed_origins;
    char lower[512];
    if (origin_bytes == 0)
        return true;
    if (origin_bytes > sizeof lower)
        return false;
    for (size_t i = 0; i < origin_bytes; i++)
        lower[i] = (char)tolower((unsigned char)origin[i]);
    for (size_t i = 0; i < patterns->count; i++)
        if (cast_glob_match(patterns->items[i], lower, origin_bytes))
            return true;
    return false;
}
