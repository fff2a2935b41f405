// SPDX-License-Identifier: Apache-2.0
/*
 * listen.c - listening sockets on worker 0, and the dealing out of what is accepted.
 *
 * Accepted sockets inherit TCP_NODELAY (a message is never held back for the next) and a bounded
 * send buffer: a slow reader then holds SNDBUF_BYTES of kernel memory, not megabytes; what it lags
 * behind lies in the channel's log anyway. Keep-alive finds peers that vanished where pings are
 * off. When descriptors run out the loop stops accepting until one is closed.
 */
#include "log/cast_log.h"
#include "server/peer.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SNDBUF_BYTES (64 << 10)

/* A socket under way to its worker. */
struct handover {
    weft_loop_msg msg;
    int fd;
    enum listener_kind kind;
};

static void handed_over(weft_loop *loop, weft_loop_msg *msg)
{
    struct handover *h = WEFT_LOOP_OWNER(msg, struct handover, msg);
    peer_start(weft_loop_data(loop), h->fd, h->kind);
    free(h);
}

static uint32_t sockets_of(struct worker *w)
{
    return atomic_load_explicit(&w->sockets, memory_order_relaxed); /* [mo:alone: a count] */
}

static struct worker *emptiest(struct server *srv)
{
    struct worker *best = &srv->workers[0];
    for (uint32_t i = 1; i < srv->count; i++)
        if (sockets_of(&srv->workers[i]) < sockets_of(best))
            best = &srv->workers[i];
    return best;
}

static void accepted(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg)
{
    struct server *srv = arg;
    if (fd < 0) {
        cast_log(CAST_LOG_ERROR, "accepting pauses", LOG_STR("error", strerror(-fd)));
        return;
    }
    enum listener_kind kind = LISTENER_ALL;
    if (srv->internal_listener)
        kind = listener == srv->listeners[1] ? LISTENER_INTERNAL : LISTENER_PUBLIC;
    struct worker *w = emptiest(srv);
    atomic_fetch_add_explicit(&w->sockets, 1, memory_order_relaxed); /* [mo:alone: a count] */
    if (w->shard.loop == loop) {
        peer_start(w, fd, kind);
        return;
    }
    struct handover *h = malloc(sizeof *h);
    if (!h) {
        atomic_fetch_sub_explicit(&w->sockets, 1, memory_order_relaxed); /* [mo:alone: a count] */
        close(fd);
        return;
    }
    *h = (struct handover){{NULL, handed_over}, fd, kind};
    weft_loop_post(w->shard.loop, &h->msg);
}

/* Opens one socket on an address of the list; a negative errno if none would. */
static int open_socket(const struct addrinfo *a, bool both_families)
{
    int on = 1, off = 0, sndbuf = SNDBUF_BYTES;
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both_families ? &off : &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) < 0 || listen(fd, 4096) < 0) {
        int rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

static int open_address(const char *host, const char *port)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *list;
    int rc = getaddrinfo(*host ? host : NULL, port, &hints, &list);
    if (rc != 0)
        return rc == EAI_SYSTEM ? -errno : -EADDRNOTAVAIL;
    /* Without a host: one IPv6 socket for both families, where there is IPv6. */
    int fd = -EADDRNOTAVAIL;
    for (int pass = 0; pass < 2 && fd < 0; pass++)
        for (const struct addrinfo *a = list; a && fd < 0; a = a->ai_next)
            if (*host || (a->ai_family == AF_INET6) == (pass == 0)) {
                fd = open_socket(a, !*host);
                if (fd == -EADDRINUSE || fd == -EACCES)
                    break;
            }
    freeaddrinfo(list);
    return fd;
}

static void names(const struct cast_config *cfg, bool here, bool internal, char *text, size_t room)
{
    const struct {
        bool on;
        const char *name;
    } all[] = {{!internal && !cfg->websocket.disabled, "websocket"},
        {here && !cfg->http_api.disabled && (!internal || !cfg->http_api.external), "api"},
        {here && cfg->admin.enabled && (!internal || !cfg->admin.external), "admin"},
        {here && cfg->prometheus.enabled, "prometheus"}, {here && cfg->health.enabled, "health"},
        {here && cfg->debug.enabled, "debug"}};
    text[0] = '\0';
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i].on)
            snprintf(
                text + strlen(text), room - strlen(text), "%s%s", *text ? ", " : "", all[i].name);
}

/* What a person opens: a wildcard address is not one. */
static void console_url(const struct cast_config *cfg, const char *address, char *url, size_t room)
{
    const char *port = strrchr(address, ':');
    bool any = strncmp(address, "[::]:", 5) == 0 || strncmp(address, "0.0.0.0:", 8) == 0;
    snprintf(url, room, "http://%s%s%s/", any ? "localhost" : address, any ? port : "",
        cfg->admin.handler_prefix);
}

static int start_one(struct server *srv, int index, const char *host, const char *port)
{
    char address[128], text[256], which[128];
    const struct cast_config *cfg = srv->cfg;
    struct shard *s = &srv->workers[0].shard;
    int fd = open_address(host, port);
    int rc = fd;
    if (fd >= 0 &&
        (rc = weft_loop_listen_fd(s->loop, fd, accepted, srv, &srv->listeners[index])) < 0)
        close(fd);
    if (rc < 0) {
        snprintf(text, sizeof text, "listen tcp %s:%s: %s", host, port,
            rc == -EADDRINUSE ? "bind: address already in use" : strerror(-rc));
        cast_log(CAST_LOG_FATAL, "error ListenAndServe", LOG_STR("error", text));
        return rc;
    }
    weft_loop_listener_address(srv->listeners[index], address, sizeof address);
    names(cfg, index == 1 || !srv->internal_listener, index == 1, which, sizeof which);
    snprintf(text, sizeof text, "serving %s endpoints on %s", which, address);
    if (strstr(which, "admin")) {
        char url[300];
        console_url(cfg, address, url, sizeof url);
        cast_log(CAST_LOG_INFO, text, LOG_STR("console", url));
    } else {
        cast_log(CAST_LOG_INFO, text);
    }
    return 0;
}

int listen_start(struct server *srv)
{
    const struct cast_http_server *o = &srv->cfg->http_server;
    char port[16];
    snprintf(port, sizeof port, "%d", (int)o->port);
    srv->internal_listener = srv->cfg->internal_port_number != 0;
    int rc = start_one(srv, 0, o->address, port);
    if (rc == 0 && srv->internal_listener) {
        snprintf(port, sizeof port, "%d", srv->cfg->internal_port_number);
        rc = start_one(srv, 1, *o->internal_address ? o->internal_address : o->address, port);
    }
    return rc;
}

void listen_stop(struct server *srv)
{
    for (int i = 0; i < 2; i++) {
        weft_loop_listener_close(srv->workers[0].shard.loop, srv->listeners[i]);
        srv->listeners[i] = NULL;
    }
}
