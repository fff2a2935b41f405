// SPDX-License-Identifier: Apache-2.0
/*
 * net_rig.h - what the tests of HTTP and WebSockets share: a server in the same process on a free
 * port of 127.0.0.1, and a peer that speaks raw bytes.
 *
 *     struct server s;
 *     server_start(&s, handler, arg, &opts);  ... s.address ...  CHECK_EQ(server_stop(&s), 0);
 */
#ifndef WEFT_TESTS_NET_RIG_H
#define WEFT_TESTS_NET_RIG_H
#include <weft/http.h>

#include "rig.h"

struct server {
    int fd, result;
    char address[128], url[160];
    weft_http_handler handler;
    void *arg;
    weft_http_serve_opts opts;
    weft_ctx *ctx;
    weft_waitgroup done;
};

static inline int server_fiber(void *p)
{
    struct server *s = p;
    WEFT_WITH(under, s->ctx);
    s->result = weft_http_serve_fd(s->fd, s->handler, s->arg, &s->opts);
    weft_waitgroup_done(&s->done);
    return 0;
}

static inline void server_start(
    struct server *s, weft_http_handler handler, void *arg, const weft_http_serve_opts *opts)
{
    *s = (struct server){.handler = handler, .arg = arg, .opts = {.size = sizeof s->opts}};
    if (opts) {
        s->opts = *opts;
        s->opts.size = sizeof s->opts;
    }
    s->fd = weft_listen("tcp", "127.0.0.1:0");
    CHECK_MSG(s->fd >= 0, "listen: %d", s->fd);
    CHECK(weft_local_addr(s->fd, s->address, sizeof s->address) > 0);
    snprintf(s->url, sizeof s->url, "http://%s", s->address);
    s->ctx = weft_ctx_with_cancel(weft_ctx_current());
    weft_waitgroup_init(&s->done, "server");
    weft_waitgroup_add(&s->done, 1);
    CHECK_EQ(weft_go(NULL, server_fiber, s), 0);
}

/* Returns what weft_http_serve_fd did. */
static inline int server_stop(struct server *s)
{
    weft_ctx_cancel(s->ctx);
    CHECK_EQ(weft_waitgroup_wait(&s->done), 0);
    weft_ctx_free(s->ctx);
    return s->result;
}

/* ---- a peer that speaks bytes ---- */

struct peer {
    int fd;
    size_t len;
    char text[1 << 17]; /* everything received, NUL-terminated */
};

static inline void peer_dial(struct peer *p, const char *address)
{
    p->len = 0;
    p->text[0] = '\0';
    p->fd = weft_dial("tcp", address);
    CHECK_MSG(p->fd >= 0, "dial %s: %d", address, p->fd);
}

static inline void peer_send(struct peer *p, const char *text)
{
    CHECK_EQ(weft_write_all(p->fd, text, strlen(text)), strlen(text));
}

/* Reads once more. False at the end of the stream. */
static inline bool peer_more(struct peer *p)
{
    CHECK(p->len + 1 < sizeof p->text);
    ssize_t n = weft_read(p->fd, p->text + p->len, sizeof p->text - 1 - p->len);
    CHECK_MSG(n >= 0 || n == -ECONNRESET, "read: %zd after \"%s\"", n, p->text);
    if (n <= 0)
        return false;
    p->len += (size_t)n;
    p->text[p->len] = '\0';
    return true;
}

/* Reads until the text has come; what follows the first occurrence stays for later. */
static inline void peer_until(struct peer *p, const char *text)
{
    char *at;
    while (!(at = strstr(p->text, text)))
        CHECK_MSG(peer_more(p), "the end came before \"%s\"; got \"%s\"", text, p->text);
    at += strlen(text);
    p->len -= (size_t)(at - p->text);
    memmove(p->text, at, p->len + 1);
}

static inline void peer_end(struct peer *p)
{
    while (peer_more(p)) {
    }
    weft_close(p->fd);
}

/* One request on a connection of its own, read to the end. */
static inline const char *peer_talk(struct peer *p, const char *address, const char *request)
{
    peer_dial(p, address);
    peer_send(p, request);
    peer_end(p);
    return p->text;
}

#define CHECK_HAS(text, needle)                                                                    \
    CHECK_MSG(strstr(text, needle) != NULL, "no \"%s\" in \"%s\"", needle, text)
#define CHECK_HASNT(text, needle)                                                                  \
    CHECK_MSG(strstr(text, needle) == NULL, "\"%s\" in \"%s\"", needle, text)
#endif
