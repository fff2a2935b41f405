// SPDX-License-Identifier: Apache-2.0
/*
 * http_pool.h - the client's connections: who has one, who waits for one, which are kept.
 *
 *     weft_http_client
 *       hosts ─> [ "127.0.0.1:80" open 3, waiting 1 ] ─> [ ... ]
 *                    idle ─> connection (newest) ─> connection (oldest)
 *
 * A connection is also the response that is read from it (weft_http_response); while one is lent it
 * is on no list.
 *
 * P1  host.open counts the host's connections, lent, kept, and being dialled; with max_per_host it
 *     never passes that. A host without any, and without waiters, is forgotten.
 * P2  A kept connection has nothing unread and nothing under way. It may have died meanwhile:
 *     weft__http_pool_take looks whether the socket says so, and the caller must be ready for a
 *     death that comes later still.
 * P3  Connections past their time are closed by whoever uses the client next: no fiber and no timer
 *     stands by for that.
 *
 * Concurrency: the client's mutex guards all lists and counts; no call that waits is made under it
 * but that of the condition variable.
 */
#ifndef WEFT_NET_HTTP_POOL_H
#define WEFT_NET_HTTP_POOL_H
#include <weft/cond.h>
#include <weft/http.h>
#include <weft/mutex.h>

#include "base/list.h"
#include "net/message.h"

struct weft__http_host {
    struct weft__node link, idle;
    unsigned open, waiting; /* P1 */
    char address[];
};

struct weft_http_client {
    weft_mutex lock;
    weft_cond changed; /* a connection came back, or went */
    struct weft__node hosts;
    unsigned idle_count, max_idle, max_per_host;
    int64_t idle_ns, continue_ns;
    struct weft_http1_limits limits;
};

struct weft_http_response {
    struct weft__node link;
    struct weft_http_client *client;
    struct weft__http_host *host;
    int64_t idle_since_ns;
    bool reused; /* not its first request */
    bool spent;  /* not to be kept */
    struct weft__message in;
    struct weft__buf out;
};

/** A connection to address. fresh: a new one, and the host's kept ones are taken for dead. 0 or an
 *  error of dialling or waiting. */
int weft__http_pool_take(
    weft_http_client *c, const char *address, bool fresh, weft_http_response **ret_conn);
/** Keeps it, or closes it if it cannot be used again. */
void weft__http_pool_give(weft_http_response *r);
/** The client that the process shares. */
weft_http_client *weft__http_client_shared(void);
#endif
