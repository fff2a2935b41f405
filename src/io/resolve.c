// SPDX-License-Identifier: Apache-2.0
/* resolve.c - texts into socket addresses and back (resolve.h). */
#include "io/resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/alloc.h"
#include "io/offload.h"

enum { HOST_BYTES = 256, PORT_BYTES = 32 };

struct lookup {
    struct weft__job job;
    char host[HOST_BYTES], port[PORT_BYTES];
    struct addrinfo hints;
    int rc;
    struct weft__addrs result;
};

static int from_gai(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SERVICE:
    case EAI_BADFLAGS:
    case EAI_SOCKTYPE:
        return -EINVAL;
    default:
        return -ENOENT;
    }
}

/* Takes the list over, alternating families so that one dead family costs one attempt only (RFC
 * 8305). */
static void interleave(const struct addrinfo *list, struct weft__addrs *ret)
{
    const struct addrinfo *by[2] = {list, list};
    int first = list ? list->ai_family : AF_INET, turn = 0;
    unsigned max = sizeof ret->addr / sizeof ret->addr[0];
    while (ret->count < max && (by[0] || by[1])) {
        const struct addrinfo **p = &by[turn];
        while (*p && ((*p)->ai_family == first) != (turn == 0))
            *p = (*p)->ai_next;
        if (*p) {
            struct weft__addr *a = &ret->addr[ret->count++];
            memcpy(&a->sa, (*p)->ai_addr, (*p)->ai_addrlen);
            a->len = (*p)->ai_addrlen;
            *p = (*p)->ai_next;
        }
        turn = !turn;
    }
}

static void look_up(struct lookup *l)
{
    struct addrinfo *list = NULL;
    l->rc = from_gai(getaddrinfo(l->host[0] ? l->host : NULL, l->port, &l->hints, &list));
    if (l->rc == 0) {
        interleave(list, &l->result);
        freeaddrinfo(list);
    }
}

static void lookup_run(struct weft__job *j)
{
    look_up((struct lookup *)(void *)j);
}
static void lookup_drop(struct weft__job *j)
{
    weft__free(j);
}

static int unix_address(const char *path, struct weft__addrs *ret)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof un.sun_path)
        return -EINVAL;
    memcpy(un.sun_path, path, n);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    if (path[0] == '@') { /* the abstract namespace: no terminator */
        un.sun_path[0] = '\0';
        len--;
    }
    ret->count = 1;
    ret->addr[0].len = len;
    memcpy(&ret->addr[0].sa, &un, sizeof un);
    return 0;
}

static int split(const char *address, struct lookup *l)
{
    const char *colon = strrchr(address, ':');
    if (!colon || strlen(colon + 1) >= PORT_BYTES || !colon[1])
        return -EINVAL;
    const char *host = address;
    size_t n = (size_t)(colon - address);
    if (n >= 2 && host[0] == '[' && host[n - 1] == ']') {
        host++;
        n -= 2;
    } else if (memchr(host, ':', n)) {
        return -EINVAL; /* an IPv6 address needs its brackets */
    }
    if (n >= HOST_BYTES)
        return -EINVAL;
    memcpy(l->host, host, n);
    l->host[n] = '\0';
    strcpy(l->port, colon + 1);
    return 0;
}

static int family_of(const char *network, const char *prefix)
{
    size_t n = strlen(prefix);
    if (strncmp(network, prefix, n) != 0)
        return -1;
    switch (network[n]) {
    case '\0':
        return AF_UNSPEC;
    case '4':
        return network[n + 1] ? -1 : AF_INET;
    case '6':
        return network[n + 1] ? -1 : AF_INET6;
    default:
        return -1;
    }
}

/* Numeric hosts never block; a name goes to the pool. */
static int look_up_name(struct lookup *l)
{
    l->hints.ai_flags |= AI_NUMERICHOST;
    look_up(l);
    if (l->rc != -ENOENT || !l->host[0])
        return l->rc;
    l->hints.ai_flags &= ~AI_NUMERICHOST;
    l->job.run = lookup_run;
    l->job.drop = lookup_drop;
    l->job.verb = "look-up";
    l->job.name = l->host;
    weft__enter();
    int rc = weft__offload(&l->job, WEFT__WAIT_RESOLVE, __builtin_return_address(0));
    weft__leave();
    return rc;
}

int weft__resolve(const char *network, const char *address, int passive, struct weft__addrs *ret)
{
    memset(ret, 0, sizeof *ret);
    ret->type = SOCK_STREAM;
    if (!network || !address)
        return -EINVAL;
    if (strcmp(network, "unix") == 0)
        return unix_address(address, ret);
    int family = family_of(network, "tcp");
    if (family < 0) {
        family = family_of(network, "udp");
        ret->type = SOCK_DGRAM;
    }
    if (family < 0)
        return -EINVAL;
    struct lookup *l = weft__zalloc(sizeof *l);
    if (!l)
        return -ENOMEM;
    l->hints = (struct addrinfo){
        .ai_family = family, .ai_socktype = ret->type, .ai_flags = passive ? AI_PASSIVE : 0};
    int rc = split(address, l);
    if (rc == 0) {
        rc = look_up_name(l);
        if (rc == -ECANCELED || rc == -ETIMEDOUT)
            return rc; /* the job is the pool's now */
        if (rc == 0)
            rc = l->rc;
    }
    if (rc == 0) {
        l->result.type = ret->type;
        *ret = l->result;
    }
    weft__free(l);
    return rc == 0 && ret->count == 0 ? -ENOENT : rc;
}

int weft__addr_format(const struct sockaddr *sa, socklen_t len, char *buf, size_t bytes)
{
    char host[INET6_ADDRSTRLEN];
    int n;
    if (sa->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)sa;
        inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
        n = snprintf(buf, bytes, "%s:%u", host, ntohs(in->sin_port));
    } else if (sa->sa_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)sa;
        inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
        n = snprintf(buf, bytes, "[%s]:%u", host, ntohs(in6->sin6_port));
    } else {
        const struct sockaddr_un *un = (const void *)sa;
        size_t path = len > offsetof(struct sockaddr_un, sun_path)
                          ? len - offsetof(struct sockaddr_un, sun_path)
                          : 0;
        if (path && !un->sun_path[0])
            n = snprintf(buf, bytes, "@%.*s", (int)path - 1, un->sun_path + 1);
        else
            n = snprintf(buf, bytes, "%.*s", (int)path, un->sun_path);
    }
    return (size_t)n < bytes ? n : -ENOSPC;
}
