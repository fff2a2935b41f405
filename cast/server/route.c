// SPDX-License-Identifier: Apache-2.0
/*
 * route.c - which endpoint a path leads to.
 *
 * Prefixes are the configuration's. With an internal listener, the API, metrics, health, debug
 * pages and the console move there, but for what `external` brings back (then it is on the main
 * port only).
 */
#include "server/console.h"
#include "server/httppeer.h"

#include <string.h>

/* path is prefix, or goes on behind it; ret_rest is what follows. */
static bool below(struct weft_span path, const char *prefix, struct weft_span *ret_rest)
{
    size_t n = strlen(prefix);
    while (n > 0 && prefix[n - 1] == '/')
        n--;
    if (path.len < n || memcmp(path.data, prefix, n) != 0)
        return false;
    *ret_rest = (struct weft_span){path.data + n, path.len - n};
    return ret_rest->len == 0 || ret_rest->data[0] == '/';
}

static bool at(struct weft_span path, const char *prefix)
{
    struct weft_span rest;
    return below(path, prefix, &rest) && rest.len == 0;
}

static bool here(enum listener_kind kind, bool internal)
{
    return kind == LISTENER_ALL || (kind == LISTENER_INTERNAL) == internal;
}

static bool find_api(const struct cast_config *cfg, struct weft_span path, struct route *ret)
{
    struct weft_span rest;
    if (cfg->http_api.disabled || !below(path, cfg->http_api.handler_prefix, &rest))
        return false;
    if (rest.len == 0) {
        ret->kind = ROUTE_API_LEGACY;
        return true;
    }
    enum cast_api_method m = cast_api_method_find((struct weft_span){rest.data + 1, rest.len - 1});
    if (m == CAST_API_NONE)
        return false;
    ret->kind = ROUTE_API;
    ret->method = m;
    return true;
}

static const struct console_asset *asset_at(struct weft_span rest)
{
    if (rest.len == 0 || (rest.len == 1 && rest.data[0] == '/'))
        rest = weft_span_of("/index.html");
    for (size_t i = 0; i < console_assets_count; i++)
        if (weft_span_is(rest, console_assets[i].path))
            return &console_assets[i];
    return NULL;
}

static bool find_admin(const struct cast_config *cfg, struct weft_span path, struct route *ret)
{
    static const struct {
        const char *path;
        enum route_kind kind;
    } endpoints[] = {{"/admin/init", ROUTE_ADMIN_INIT}, {"/admin/auth", ROUTE_ADMIN_AUTH},
        {"/admin/api", ROUTE_ADMIN_API}, {"/admin/state", ROUTE_ADMIN_STATE}};
    struct weft_span rest;
    if (!cfg->admin.enabled || !below(path, cfg->admin.handler_prefix, &rest))
        return false;
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++)
        if (weft_span_is(rest, endpoints[i].path)) {
            ret->kind = endpoints[i].kind;
            return true;
        }
    ret->asset = asset_at(rest);
    ret->bare = rest.len == 0;
    ret->kind = ret->asset ? ROUTE_CONSOLE : ROUTE_NONE;
    return ret->asset != NULL;
}

static bool find_debug(const struct cast_config *cfg, struct weft_span path, struct route *ret)
{
    static const char *const pages[] = {"", "/", "/goroutine", "/symbol"};
    struct weft_span rest;
    if (!cfg->debug.enabled || !below(path, cfg->debug.handler_prefix, &rest))
        return false;
    ret->kind = ROUTE_DEBUG;
    ret->page = "/unknown";
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++)
        if (weft_span_is(rest, pages[i]))
            ret->page = pages[i];
    return true;
}

void route_find(
    const struct worker *w, enum listener_kind kind, struct weft_span path, struct route *ret)
{
    const struct cast_config *cfg = w->server->cfg;
    *ret = (struct route){.kind = ROUTE_NONE};
    if (here(kind, false) && !cfg->websocket.disabled && at(path, cfg->websocket.handler_prefix))
        ret->kind = ROUTE_WEBSOCKET;
    else if (here(kind, !cfg->http_api.external) && find_api(cfg, path, ret))
        ;
    else if (here(kind, true) && cfg->health.enabled && at(path, cfg->health.handler_prefix))
        ret->kind = ROUTE_HEALTH;
    else if (here(kind, true) && cfg->prometheus.enabled &&
             at(path, cfg->prometheus.handler_prefix))
        ret->kind = ROUTE_METRICS;
    else if (here(kind, true) && find_debug(cfg, path, ret))
        ;
    else if (here(kind, false) && cfg->init.enabled && at(path, cfg->init.handler_prefix))
        ret->kind = ROUTE_INIT;
    else if (here(kind, !cfg->admin.external))
        find_admin(cfg, path, ret);
}
