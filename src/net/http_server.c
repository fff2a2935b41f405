// SPDX-License-Identifier: Apache-2.0
/*
 * http_server.c - listening, accepting and stopping; http_conn.h has the picture and the rules.
 *
 * The server's fiber accepts; each connection is a fiber of one scope that collects errors. The
 * scope stands under a shield, so that the end of the caller's context does not cut running
 * handlers off: it only ends the accepting, and then
 *
 *     stopping = true ─> idle connections are shut, taken ones cancelled ─> wait, at most drain_ns
 *       ─> the scope is cancelled ─> join
 *
 * Out of descriptors or memory, accept pauses: it tries again after 5 ms, and then after ever
 * longer, up to half a second. Connections that are open do not notice, and each that ends makes
 * room.
 */
#include "net/http_conn.h"

#include <weft/error.h>
#include <weft/fiber.h>
#include <weft/net.h>
#include <weft/scope.h>
#include <weft/sugar.h>

#include <errno.h>

#include "base/fatal.h"

static const int64_t pause_min_ns = 5 * WEFT_MS, pause_max_ns = 500 * WEFT_MS;

static int server_init(struct weft__http_server *s, int fd, weft_http_handler handler, void *arg,
    const weft_http_serve_opts *opts)
{
    static const weft_http_serve_opts defaults = {.size = sizeof defaults};
    const weft_http_serve_opts *o = opts ? opts : &defaults;
    if (o->size < sizeof defaults || !handler)
        return -EINVAL;
    *s = (struct weft__http_server){
        .listener = fd,
        .handler = handler,
        .arg = arg,
        .head_ns = weft__net_limit(o->read_header_timeout_ns, 10 * WEFT_SEC),
        .body_ns = weft__net_limit(o->read_timeout_ns, 60 * WEFT_SEC),
        .write_ns = weft__net_limit(o->write_timeout_ns, 60 * WEFT_SEC),
        .idle_ns = weft__net_limit(o->idle_timeout_ns, 2 * WEFT_MIN),
        .drain_ns = weft__net_limit(o->drain_ns, 5 * WEFT_SEC),
        .max_connections = o->max_connections,
        .stack_bytes = o->stack_bytes,
        .limits = o->limits,
    };
    s->limits.size = sizeof s->limits;
    s->hung_up = weft_error_new(-ECONNRESET, "http: the client has hung up");
    weft_mutex_init(&s->lock, "http connections");
    weft_waitgroup_init(&s->live, "http connections");
    weft_sema_init(&s->room, s->max_connections, "http max_connections");
    weft__list_init(&s->connections);
    return 0;
}

static void server_fini(struct weft__http_server *s)
{
    WEFT_CHECK(weft__list_empty(&s->connections));
    weft_error_free(s->hung_up);
    weft_sema_fini(&s->room);
    weft_waitgroup_fini(&s->live);
    weft_mutex_fini(&s->lock);
}

static void link_conn(weft_http_request *c)
{
    struct weft__http_server *s = c->server;
    weft_waitgroup_add(&s->live, 1);
    weft_mutex_lock(&s->lock);
    weft__list_push_back(&s->connections, &c->link);
    weft_mutex_unlock(&s->lock);
}

void weft__http_conn_gone(weft_http_request *c)
{
    struct weft__http_server *s = c->server;
    weft_mutex_lock(&s->lock);
    weft__list_remove(&c->link);
    weft_mutex_unlock(&s->lock);
}

/* What a connection holds of the server besides its link; last, as the server may go then. */
static void give_back(struct weft__http_server *s)
{
    if (s->max_connections)
        weft_sema_release(&s->room, 1);
    weft_waitgroup_done(&s->live);
}

static int conn_fiber(void *p)
{
    weft_http_request *c = p;
    struct weft__http_server *s = c->server;
    weft__http_conn_main(c);
    weft__http_conn_free(c);
    give_back(s);
    return 0;
}

/* fd is taken. False: it had to be closed unserved, and accepting should pause. */
static bool start(struct weft__http_server *s, weft_scope *conns, int fd)
{
    weft_fiber_opts o = {.size = sizeof o, .stack_bytes = s->stack_bytes};
    weft_http_request *c = weft__http_conn_new(s, fd);
    if (!c) {
        if (s->max_connections)
            weft_sema_release(&s->room, 1);
        weft_close(fd);
        return false;
    }
    link_conn(c);
    if (weft_go_opt(conns, conn_fiber, c, &o) == 0)
        return true;
    weft__http_conn_gone(c);
    weft__http_conn_free(c);
    give_back(s);
    return false;
}

static bool passes(int rc)
{
    return rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM || rc == -ENOBUFS;
}

/* Until the context ends, or the listener fails: which of the two is the result. */
static int accept_all(struct weft__http_server *s, weft_ctx *stop, weft_scope *conns)
{
    int64_t pause_ns = pause_min_ns;
    weft_ctx_block under;
    weft_ctx_enter(&under, stop);
    int rc;
    for (;;) {
        rc = s->max_connections ? weft_sema_acquire(&s->room, 1) : 0;
        if (rc < 0)
            break;
        rc = weft_accept(s->listener);
        bool served = rc >= 0 && start(s, conns, rc);
        if (rc < 0 && s->max_connections)
            weft_sema_release(&s->room, 1);
        if (rc < 0 && !passes(rc))
            break;
        if (served) {
            pause_ns = pause_min_ns;
            continue;
        }
        rc = weft_sleep(pause_ns);
        if (rc < 0)
            break;
        pause_ns = pause_ns * 2 < pause_max_ns ? pause_ns * 2 : pause_max_ns;
    }
    weft_ctx_leave(&under);
    return rc;
}

static void stop_all(struct weft__http_server *s)
{
    at_store(&s->stopping, true); /* H2 */
    weft_mutex_lock(&s->lock);
    for (struct weft__node *n = s->connections.next; n != &s->connections; n = n->next) {
        weft_http_request *c = weft__entry(n, weft_http_request, link);
        uint32_t state = at_load(&c->state);
        if (state == WEFT__HTTP_IDLE)
            weft_shutdown(c->in.s.fd, SHUT_RD);
        else if (state == WEFT__HTTP_TAKEN)
            weft_ctx_cancel(c->ctx);
    }
    weft_mutex_unlock(&s->lock);
}

/* The handlers have drain_ns. 0, or -ETIMEDOUT: some were cancelled. */
static int drain(struct weft__http_server *s, weft_scope *conns)
{
    int rc = 0;
    if (s->drain_ns >= 0) {
        WEFT_TIMEOUT(limit, s->drain_ns);
        rc = weft_waitgroup_wait(&s->live);
    }
    if (rc < 0)
        weft_scope_cancel(conns);
    (void)weft_wait(conns);
    return rc;
}

int weft_http_serve_fd(
    int fd, weft_http_handler handler, void *arg, const weft_http_serve_opts *opts)
{
    struct weft__http_server s;
    int rc = server_init(&s, fd, handler, arg, opts);
    if (rc < 0) {
        weft_close(fd);
        return rc;
    }
    int drained;
    weft_ctx *stop = weft_ctx_ref(weft_ctx_current());
    {
        WEFT_SHIELD(apart);
        WEFT_SCOPE(conns, .errors = WEFT_COLLECT, .name = "http connections");
        rc = weft_ctx_check(); /* without memory for the scope no connection could be served */
        rc = rc < 0 ? rc : accept_all(&s, stop, &conns);
        weft_close(fd);
        stop_all(&s);
        drained = drain(&s, &conns);
    }
    weft_ctx_free(stop);
    server_fini(&s);
    if (rc == -ECANCELED || rc == -ETIMEDOUT)
        rc = 0;
    return rc < 0 ? rc : drained;
}

int weft_http_serve(const char *network, const char *address, weft_http_handler handler, void *arg,
    const weft_http_serve_opts *opts)
{
    int fd = weft_listen(network, address);
    return fd < 0 ? fd : weft_http_serve_fd(fd, handler, arg, opts);
}
