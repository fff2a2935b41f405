// SPDX-License-Identifier: Apache-2.0
/* url.c - takes URLs apart; url.h says what is understood. */
#include "net/url.h"

#include <weft/error.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/* The text after "scheme://", where it begins with that. */
static const char *after_scheme(const char *text, const char *scheme)
{
    size_t n = strlen(scheme);
    if (strlen(text) < n + 3 || memcmp(text + n, "://", 3) != 0)
        return NULL;
    return weft_span_is_nocase((struct weft_span){text, n}, scheme) ? text + n + 3 : NULL;
}

/* Where the port's colon stands in host[:port]; NULL: there is none. */
static const char *port_of(struct weft_span host)
{
    const char *bracket = host.len && host.data[0] == '[' ? memchr(host.data, ']', host.len) : NULL;
    size_t skip = bracket ? (size_t)(bracket - host.data) : 0;
    return memchr(host.data + skip, ':', host.len - skip);
}

static int set_host(struct weft__url *u, struct weft_span host)
{
    const char *colon = port_of(host);
    bool bare = !colon || colon + 1 == host.data + host.len; /* "host:" is allowed */
    size_t name = colon ? (size_t)(colon - host.data) : host.len;
    if (name == 0 || host.len + 4 > sizeof u->address || memchr(host.data, '@', host.len))
        return -EINVAL;
    for (const char *p = bare ? host.data + host.len : colon + 1; p < host.data + host.len; p++)
        if (*p < '0' || *p > '9')
            return -EINVAL;
    u->host = (struct weft_span){host.data, bare ? name : host.len};
    snprintf(
        u->address, sizeof u->address, "%.*s%s", (int)u->host.len, u->host.data, bare ? ":80" : "");
    return 0;
}

static int set_target(struct weft__url *u, const char *rest)
{
    size_t n = strcspn(rest, "#");
    u->target = (struct weft_span){rest, n};
    if (n == 0)
        u->target = weft_span_of("/");
    if (n == 0 || rest[0] == '/')
        return 0;
    u->made = weft__alloc(n + 1); /* "?query" */
    if (!u->made)
        return -ENOMEM;
    u->made[0] = '/';
    memcpy(u->made + 1, rest, n);
    u->target = (struct weft_span){u->made, n + 1};
    return 0;
}

int weft__url_parse(
    const char *text, const char *scheme, const char *tls, struct weft__url *ret_url)
{
    const char *rest = after_scheme(text, scheme);
    if (!rest && after_scheme(text, tls))
        return weft_fail(weft_error_new(-EPROTONOSUPPORT,
            "%s:// needs TLS, which is not built in yet: only %s:// is spoken", tls, scheme));
    if (!rest && strstr(text, "://"))
        return weft_fail(
            weft_error_new(-EPROTONOSUPPORT, "\"%.80s\": only %s:// is spoken", text, scheme));
    if (!rest)
        return weft_fail(weft_error_new(
            -EINVAL, "\"%.80s\" is no URL: it does not begin with %s://", text, scheme));
    size_t n = strcspn(rest, "/?#");
    ret_url->made = NULL;
    int rc = set_host(ret_url, (struct weft_span){rest, n});
    if (rc == 0)
        rc = set_target(ret_url, rest + n);
    return rc == 0 ? 0 : weft_fail(weft_error_new(rc, "\"%.80s\": the host makes no sense", text));
}

void weft__url_fini(struct weft__url *u)
{
    weft__free(u->made);
    u->made = NULL;
}

static bool has_scheme(struct weft_span ref)
{
    for (size_t i = 0; i < ref.len; i++) {
        if (ref.data[i] == ':')
            return i > 0;
        if (memchr("/?#", ref.data[i], 3))
            return false;
    }
    return false;
}

/* How much of base goes before ref. */
static size_t kept(const char *base, struct weft_span ref)
{
    const char *host = strstr(base, "://");
    if (has_scheme(ref) || !host)
        return 0;
    if (ref.len >= 2 && ref.data[0] == '/' && ref.data[1] == '/')
        return (size_t)(host + 1 - base);
    host += 3;
    size_t root = (size_t)(host - base) + strcspn(host, "/?#");
    size_t path = root + strcspn(base + root, "?#");
    if (ref.len == 0 || ref.data[0] == '?' || ref.data[0] == '#')
        return path;
    if (ref.data[0] == '/')
        return root;
    while (path > root && base[path - 1] != '/')
        path--;
    return path;
}

char *weft__url_resolve(const char *base, struct weft_span ref)
{
    size_t n = kept(base, ref);
    /* A relative path behind a bare host needs its slash. */
    bool slash = n > 0 && ref.len > 0 && !memchr("/?#", ref.data[0], 3) && base[n - 1] != '/';
    char *url = weft__alloc(n + slash + ref.len + 1);
    if (!url)
        return NULL;
    memcpy(url, base, n);
    if (slash)
        url[n] = '/';
    if (ref.len)
        memcpy(url + n + slash, ref.data, ref.len);
    url[n + slash + ref.len] = '\0';
    return url;
}
