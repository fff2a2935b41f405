// SPDX-License-Identifier: Apache-2.0
/*
 * ws_rig.h - what the tests of WebSockets share: a peer that sends frames as it likes, and a server
 * whose handler lends its WebSocket to the test.
 *
 *     struct lent *l = lent_new(&opts);   l->ws is the server's side, l->p the client's bytes
 *     ...
 *     lent_free(l);
 */
#ifndef WEFT_TESTS_WS_RIG_H
#define WEFT_TESTS_WS_RIG_H
#include <weft/ws.h>

#include "net_rig.h"

static const char upgrade[] = "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n"
                              "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                              "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/* Masked with zeros, so that payload is legible. */
static inline size_t frame_put(char *out, unsigned first, const char *payload, size_t n)
{
    char head[6] = {(char)first, (char)(0x80 | n)};
    CHECK(n < 126);
    memcpy(out, head, sizeof head);
    if (n)
        memcpy(out + sizeof head, payload, n);
    return sizeof head + n;
}

static inline void frame(struct peer *p, unsigned first, const char *payload, size_t n)
{
    char bytes[6 + 125];
    size_t all = frame_put(bytes, first, payload, n);
    CHECK_EQ(weft_write_all(p->fd, bytes, all), all);
}

static inline void raw_upgrade(struct peer *p, const char *address)
{
    peer_dial(p, address);
    peer_send(p, upgrade);
    peer_send(p, "\r\n");
    peer_until(p, "HTTP/1.1 101 ");
    CHECK_HAS(p->text, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n");
    peer_until(p, "\r\n\r\n");
}

/* Reads to the end. The code of the close frame that must come last. */
static inline int raw_close_code(struct peer *p)
{
    peer_end(p);
    const char *b = p->text;
    size_t at = 0, last = 0;
    while (at + 2 <= p->len) {
        last = at;
        at += 2 + (size_t)(b[at + 1] & 0x7f);
    }
    CHECK(p->len >= 2);
    CHECK_EQ(at, p->len);
    CHECK_EQ((unsigned char)b[last], 0x88);
    return (b[last + 1] & 0x7f) < 2 ? WEFT_WS_NO_CODE
                                    : (unsigned char)b[last + 2] << 8 | (unsigned char)b[last + 3];
}

/* ---- a WebSocket lent to the test ---- */

struct lent {
    weft_ws_opts opts;
    weft_ws *ws;
    weft_sema ready, leave;
    struct server server;
    struct peer p;
};

static inline int lend(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    struct lent *l = arg;
    (void)reply;
    int rc = weft_ws_accept(req, &l->opts, &l->ws);
    if (rc < 0)
        return rc;
    weft_sema_release(&l->ready, 1);
    rc = weft_sema_acquire(&l->leave, 1);
    weft_ws_free(l->ws);
    return rc;
}

static inline struct lent *lent_new(const weft_ws_opts *opts)
{
    struct lent *l = calloc(1, sizeof *l);
    if (opts)
        l->opts = *opts;
    l->opts.size = sizeof l->opts;
    weft_sema_init(&l->ready, 0, NULL);
    weft_sema_init(&l->leave, 0, NULL);
    server_start(&l->server, lend, l, NULL);
    raw_upgrade(&l->p, l->server.address);
    CHECK_EQ(weft_sema_acquire(&l->ready, 1), 0);
    return l;
}

/* The handler ends, and with it the server's side of the connection. */
static inline void lent_leave(struct lent *l)
{
    weft_sema_release(&l->leave, 1);
}

static inline void lent_free(struct lent *l)
{
    CHECK_EQ(server_stop(&l->server), 0);
    free(l);
}
#endif
