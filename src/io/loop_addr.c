// SPDX-License-Identifier: Apache-2.0
/*
 * loop_addr.c - the text of an address, both ways.
 *
 *     127.0.0.1:7000   [::1]:7000   :7000   localhost:7000   /run/x.sock   unix:/run/x.sock   @name
 *
 * ":7000" is the IPv6 wildcard, to be bound for both families. A host that is not numeric is looked
 * up only where the caller allows that (listening); "localhost" is 127.0.0.1 without asking
 * anybody. Pure functions, but for the lookup, which blocks.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include "io/loop_impl.h"

static int parse_unix(struct loop_addr *ret, const char *path)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    bool abstract = path[0] == '@';
    if (n < 2 || n >= sizeof un.sun_path)
        return -EINVAL;
    memcpy(un.sun_path, path, n);
    if (abstract)
        un.sun_path[0] = '\0';
    memcpy(&ret->sa, &un, sizeof un);
    /* An abstract name ends with the length, a file's with a zero byte. */
    ret->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + (abstract ? 0 : 1));
    return 0;
}

static int parse_port(const char *text)
{
    int port = 0;
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 5 || text[n])
        return -EINVAL;
    for (; *text; text++)
        port = port * 10 + (*text - '0');
    return port > 65535 ? -EINVAL : port;
}

static void set_v4(struct loop_addr *ret, struct in_addr a, int port)
{
    struct sockaddr_in in = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = a};
    memcpy(&ret->sa, &in, sizeof in);
    ret->len = sizeof in;
}

static void set_v6(struct loop_addr *ret, struct in6_addr a, int port)
{
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port), .sin6_addr = a};
    memcpy(&ret->sa, &in6, sizeof in6);
    ret->len = sizeof in6;
}

static int look_up_host(struct loop_addr *ret, const char *host, int port)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(host, NULL, &hints, &found) != 0)
        return -EADDRNOTAVAIL;
    if (found->ai_family == AF_INET)
        set_v4(ret, ((struct sockaddr_in *)(void *)found->ai_addr)->sin_addr, port);
    else
        set_v6(ret, ((struct sockaddr_in6 *)(void *)found->ai_addr)->sin6_addr, port);
    freeaddrinfo(found);
    return 0;
}

static int parse_host(struct loop_addr *ret, const char *host, int port, bool look_up)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (strcmp(host, "localhost") == 0)
        host = "127.0.0.1";
    if (inet_pton(AF_INET, host, &v4) == 1)
        set_v4(ret, v4, port);
    else if (inet_pton(AF_INET6, host, &v6) == 1)
        set_v6(ret, v6, port);
    else
        return look_up ? look_up_host(ret, host, port) : -EINVAL;
    return 0;
}

int weft__loop_addr_parse(struct loop_addr *ret, const char *text, bool look_up)
{
    char host[256];
    memset(ret, 0, sizeof *ret);
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(ret, text + 5);
    if (text[0] == '/' || text[0] == '@')
        return parse_unix(ret, text);
    const char *colon = strrchr(text, ':');
    int port = colon ? parse_port(colon + 1) : -EINVAL;
    if (port < 0)
        return port;
    size_t n = (size_t)(colon - text);
    bool bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    if (bracketed) {
        text++;
        n -= 2;
    }
    if (n >= sizeof host || (!bracketed && memchr(text, ':', n)))
        return -EINVAL;
    memcpy(host, text, n);
    host[n] = '\0';
    if (n == 0) {
        ret->any = true;
        set_v6(ret, in6addr_any, port);
        return bracketed ? -EINVAL : 0;
    }
    return parse_host(ret, host, port, look_up);
}

static int format_unix(const struct loop_addr *addr, char *buf, size_t bytes)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->sa;
    int n = (int)addr->len - (int)offsetof(struct sockaddr_un, sun_path);
    if (n > 0 && un->sun_path[0] == '\0')
        n = snprintf(buf, bytes, "@%.*s", n - 1, un->sun_path + 1);
    else
        n = snprintf(buf, bytes, "unix:%.*s", n > 0 ? n : 0, un->sun_path);
    return n >= 0 && (size_t)n < bytes ? 0 : -ENOSPC;
}

/* Returns the port. */
int weft__loop_addr_format(const struct loop_addr *addr, char *buf, size_t bytes)
{
    char host[INET6_ADDRSTRLEN];
    int port, n;
    if (addr->sa.ss_family == AF_UNIX)
        return format_unix(addr, buf, bytes);
    if (addr->sa.ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)&addr->sa;
        port = ntohs(in->sin_port);
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        n = snprintf(buf, bytes, "%s:%d", host, port);
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&addr->sa;
        port = ntohs(in6->sin6_port);
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        n = snprintf(buf, bytes, "[%s]:%d", host, port);
    }
    return n >= 0 && (size_t)n < bytes ? port : -ENOSPC;
}
