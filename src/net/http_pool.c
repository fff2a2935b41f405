// SPDX-License-Identifier: Apache-2.0
/* http_pool.c - the client's connections; http_pool.h has the picture and the rules. */
#include "net/http_pool.h"

#include <weft/net.h>

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/futex.h"

enum { MAX_IDLE = 100 };
static const int64_t idle_ns = 90 * WEFT_SEC, continue_ns = 1 * WEFT_SEC;

static weft_http_client shared = {
    .lock = WEFT_MUTEX_NAMED("http client"),
    .changed = WEFT_COND_INIT,
    .hosts = {&shared.hosts, &shared.hosts},
    .max_idle = MAX_IDLE,
    .idle_ns = 90 * WEFT_SEC,
    .continue_ns = 1 * WEFT_SEC,
    .limits = {.size = sizeof(struct weft_http1_limits), .body_bytes = UINT64_MAX},
};

weft_http_client *weft__http_client_shared(void)
{
    return &shared;
}

int weft_http_client_new(const weft_http_client_opts *opts, weft_http_client **ret_client)
{
    static const weft_http_client_opts defaults = {.size = sizeof defaults};
    const weft_http_client_opts *o = opts ? opts : &defaults;
    if (o->size < sizeof defaults)
        return -EINVAL;
    weft_http_client *c = weft__zalloc(sizeof *c);
    if (!c)
        return -ENOMEM;
    weft_mutex_init(&c->lock, "http client");
    weft_cond_init(&c->changed, "http client");
    weft__list_init(&c->hosts);
    c->max_idle = o->max_idle ? o->max_idle : MAX_IDLE;
    c->max_per_host = o->max_per_host;
    c->idle_ns = weft__net_limit(o->idle_timeout_ns, idle_ns);
    c->continue_ns = weft__net_limit(o->continue_timeout_ns, continue_ns);
    c->limits = o->limits.size ? o->limits : shared.limits;
    c->limits.size = sizeof c->limits;
    *ret_client = c;
    return 0;
}

/* ---- one connection ---- */

static void conn_free(weft_http_response *r)
{
    weft_close(r->in.s.fd);
    weft__buf_fini(&r->in.s.in);
    weft__buf_fini(&r->out);
    weft__free(r->in.whole);
    weft__free(r);
}

static int conn_dial(const char *address, weft_http_response **ret_conn)
{
    weft_http_response *r = weft__zalloc(sizeof *r);
    if (!r)
        return -ENOMEM;
    r->in.s.fd = -1;
    int rc = weft__buf_init(&r->in.s.in, WEFT__HTTP_BUF_BYTES);
    if (rc == 0)
        rc = weft__buf_init(&r->out, WEFT__HTTP_BUF_BYTES);
    if (rc == 0)
        rc = weft_dial("tcp", address);
    if (rc < 0) {
        conn_free(r);
        return rc;
    }
    r->in.s.fd = rc;
    *ret_conn = r;
    return 0;
}

/* P2: nothing to read, not even an end. */
static bool seems_alive(const weft_http_response *r)
{
    char c;
    return weft__syscall(SYS_recvfrom, r->in.s.fd, (long)&c, 1, MSG_PEEK | MSG_DONTWAIT, 0, 0) ==
           -EAGAIN;
}

/* ---- hosts ---- */

static struct weft__http_host *host_find_locked(weft_http_client *c, const char *address)
{
    for (struct weft__node *n = c->hosts.next; n != &c->hosts; n = n->next) {
        struct weft__http_host *h = weft__entry(n, struct weft__http_host, link);
        if (strcmp(h->address, address) == 0)
            return h;
    }
    return NULL;
}

static struct weft__http_host *host_get_locked(weft_http_client *c, const char *address)
{
    struct weft__http_host *h = host_find_locked(c, address);
    if (h)
        return h;
    size_t bytes = strlen(address) + 1;
    h = weft__zalloc(sizeof *h + bytes);
    if (!h)
        return NULL;
    memcpy(h->address, address, bytes);
    weft__list_init(&h->idle);
    weft__list_push_front(&c->hosts, &h->link);
    return h;
}

/* P1 */
static void host_release_locked(struct weft__http_host *h)
{
    if (h->open || h->waiting)
        return;
    weft__list_remove(&h->link);
    weft__free(h);
}

static void drop_idle_locked(weft_http_client *c, weft_http_response *r)
{
    weft__list_remove(&r->link);
    c->idle_count--;
    r->host->open--;
    conn_free(r);
}

/* P3. older_than: -1 means all. */
static void expire_host_locked(
    weft_http_client *c, struct weft__http_host *h, int64_t older_than_ns)
{
    while (!weft__list_empty(&h->idle)) {
        weft_http_response *oldest = weft__entry(h->idle.prev, weft_http_response, link);
        if (older_than_ns >= 0 && oldest->idle_since_ns > older_than_ns)
            return;
        drop_idle_locked(c, oldest);
    }
}

static void expire_locked(weft_http_client *c, int64_t older_than_ns)
{
    struct weft__node *next;
    for (struct weft__node *n = c->hosts.next; n != &c->hosts; n = next) {
        struct weft__http_host *h = weft__entry(n, struct weft__http_host, link);
        next = n->next;
        expire_host_locked(c, h, older_than_ns);
        host_release_locked(h);
    }
}

void weft_http_client_close_idle(weft_http_client *c)
{
    c = c ? c : &shared;
    weft_mutex_lock(&c->lock);
    expire_locked(c, -1);
    weft_cond_broadcast(&c->changed);
    weft_mutex_unlock(&c->lock);
}

void weft_http_client_free(weft_http_client *c)
{
    if (!c)
        return;
    weft_http_client_close_idle(c);
    if (!weft__list_empty(&c->hosts))
        weft__misuse("weft_http_client_free: a response of this client is still open");
    weft_cond_fini(&c->changed);
    weft_mutex_fini(&c->lock);
    weft__free(c);
}

/* ---- taking and giving back ---- */

static weft_http_response *pop_idle_locked(weft_http_client *c, struct weft__http_host *h)
{
    struct weft__node *n;
    while ((n = weft__list_first(&h->idle))) {
        weft_http_response *r = weft__entry(n, weft_http_response, link);
        if (!seems_alive(r)) {
            drop_idle_locked(c, r);
            continue;
        }
        weft__list_remove(n);
        c->idle_count--;
        return r;
    }
    return NULL;
}

/* A kept connection (*ret_conn), or a place for a new one (NULL there). The host then counts it. */
static int reserve_locked(
    weft_http_client *c, struct weft__http_host *h, bool fresh, weft_http_response **ret_conn)
{
    int rc = 0;
    *ret_conn = NULL;
    if (fresh)
        expire_host_locked(c, h, -1);
    for (;;) {
        if (!fresh && (*ret_conn = pop_idle_locked(c, h)))
            return 0;
        if (!c->max_per_host || h->open < c->max_per_host) {
            h->open++;
            return 0;
        }
        if (fresh)
            expire_host_locked(c, h, -1);
        if (h->open >= c->max_per_host) {
            h->waiting++;
            rc = weft_cond_wait(&c->changed, &c->lock);
            h->waiting--;
            if (rc < 0)
                return rc;
        }
    }
}

int weft__http_pool_take(
    weft_http_client *c, const char *address, bool fresh, weft_http_response **ret_conn)
{
    weft_http_response *r = NULL;
    weft_mutex_lock(&c->lock);
    if (c->idle_count && c->idle_ns >= 0)
        expire_locked(c, weft__clock_ns() - c->idle_ns);
    struct weft__http_host *h = host_get_locked(c, address);
    int rc = h ? reserve_locked(c, h, fresh, &r) : -ENOMEM;
    if (h && rc < 0)
        host_release_locked(h);
    weft_mutex_unlock(&c->lock);
    if (rc < 0)
        return rc;
    if (r) {
        r->reused = true;
        *ret_conn = r;
        return 0;
    }
    rc = conn_dial(address, &r);
    if (rc < 0) {
        weft_mutex_lock(&c->lock);
        h->open--;
        host_release_locked(h);
        weft_cond_broadcast(&c->changed);
        weft_mutex_unlock(&c->lock);
        return rc;
    }
    r->client = c;
    r->host = h;
    *ret_conn = r;
    return 0;
}

static bool keepable(const weft_http_response *r)
{
    return !r->spent && !r->in.error && r->in.body.done && r->in.head.keep_alive &&
           weft__buf_unread(&r->in.s.in) == 0;
}

void weft__http_pool_give(weft_http_response *r)
{
    weft_http_client *c = r->client;
    struct weft__http_host *h = r->host;
    bool keep = keepable(r);
    if (keep)
        weft__message_next(&r->in);
    weft_mutex_lock(&c->lock);
    if (keep && c->idle_count < c->max_idle) {
        r->idle_since_ns = weft__clock_ns();
        weft__list_push_front(&h->idle, &r->link);
        c->idle_count++;
    } else {
        h->open--;
        conn_free(r);
        host_release_locked(h);
    }
    if (c->max_per_host)
        weft_cond_broadcast(&c->changed);
    weft_mutex_unlock(&c->lock);
}
