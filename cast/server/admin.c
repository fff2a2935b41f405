// SPDX-License-Identifier: Apache-2.0
/*
 * admin.c - the console's endpoints, and who is let in; console.h says what they answer.
 *
 * A token is "EXPIRY.MAC": the unix second until which it is good, and HMAC-SHA-256 of that under
 * admin.secret (or a secret drawn at the start, if none is set) in hex. Nothing is stored.
 */
#include "log/cast_log.h"
#include "server/console.h"
#include "server/httppeer.h"
#include "server/totals.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define TOKEN_SECONDS 86400
#define MAC_HEX 64

/* ---- tokens ---- */

static void mac_of(const struct server *srv, struct weft_span text, char hex[MAC_HEX + 1])
{
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;
    HMAC(EVP_sha256(), srv->admin_secret, (int)strlen(srv->admin_secret),
        (const unsigned char *)text.data, text.len, mac, &bytes);
    for (unsigned i = 0; i < MAC_HEX / 2; i++)
        snprintf(hex + 2 * i, 3, "%02x", i < bytes ? mac[i] : 0);
}

static bool token_fits(const struct server *srv, struct weft_span text)
{
    char copy[128], mac[MAC_HEX + 1];
    if (text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    char *dot = strchr(copy, '.');
    if (!dot || strlen(dot + 1) != MAC_HEX)
        return false;
    *dot = '\0';
    mac_of(srv, weft_span_of(copy), mac);
    return CRYPTO_memcmp(mac, dot + 1, MAC_HEX) == 0 && strtoll(copy, NULL, 10) > shard_wall_s();
}

/* ---- who is let in ---- */

static bool is_loopback(const struct sockaddr_storage *a)
{
    if (a->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)(const void *)a;
        return ntohl(in->sin_addr.s_addr) >> 24 == 127;
    }
    if (a->ss_family == AF_INET6) {
        const struct in6_addr *in = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
        return IN6_IS_ADDR_LOOPBACK(in) || (IN6_IS_ADDR_V4MAPPED(in) && in->s6_addr[12] == 127);
    }
    return a->ss_family == AF_UNIX;
}

static bool both_ends_loopback(int fd)
{
    struct sockaddr_storage a;
    socklen_t bytes = sizeof a;
    if (getpeername(fd, (struct sockaddr *)&a, &bytes) < 0 || !is_loopback(&a))
        return false;
    bytes = sizeof a;
    return getsockname(fd, (struct sockaddr *)&a, &bytes) == 0 && is_loopback(&a);
}

/* host[:port] without the port; brackets of IPv6 stay. */
static struct weft_span host_only(struct weft_span host)
{
    for (size_t i = host.len; i-- > 0 && host.data[i] != ']';)
        if (host.data[i] == ':')
            return (struct weft_span){host.data, i};
    return host;
}

static bool loopback_name(struct weft_span host)
{
    struct weft_span name = host_only(host);
    char text[16];
    struct in_addr in;
    if (weft_span_is_nocase(name, "localhost") || weft_span_is(name, "[::1]"))
        return true;
    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.data, name.len);
    text[name.len] = '\0';
    return inet_pton(AF_INET, text, &in) == 1 && ntohl(in.s_addr) >> 24 == 127;
}

/* The request comes from a page of this server, or from no page at all. */
static bool same_origin(const struct weft_http1_head *head)
{
    struct weft_span origin = weft_http1_field_get(head, "Origin");
    if (!origin.data)
        return true;
    size_t skip = 0;
    if (origin.len > 7 && memcmp(origin.data, "http://", 7) == 0)
        skip = 7;
    else if (origin.len > 8 && memcmp(origin.data, "https://", 8) == 0)
        skip = 8;
    return skip && origin.len - skip == head->host.len &&
           memcmp(origin.data + skip, head->host.data, head->host.len) == 0;
}

static bool open_to(const struct peer *p)
{
    const struct weft_http1_head *head = &p->http->head;
    return p->worker->server->admin_open && loopback_name(head->host) && same_origin(head) &&
           both_ends_loopback(p->sink.io.fd);
}

static bool authorized(const struct peer *p)
{
    if (open_to(p))
        return true;
    struct weft_span got = weft_http1_field_get(&p->http->head, "Authorization");
    struct weft_span scheme = {got.data, got.len < 5 ? got.len : 5};
    if (!got.data || got.len < 7 || got.data[5] != ' ' || !weft_span_is_nocase(scheme, "token"))
        return false;
    return token_fits(p->worker->server, (struct weft_span){got.data + 6, got.len - 6});
}

/* ---- endpoints ---- */

static void answer_json(struct peer *p, struct cast_out *o)
{
    if (o->err)
        http_answer_empty(p, 500);
    else
        http_answer(
            p, 200, "application/json", CONSOLE_HEADERS, (struct weft_span){o->buf, o->used});
}

static void put_bool(struct cast_out *o, bool value)
{
    cast_out_put(o, value ? CAST_SPAN("true") : CAST_SPAN("false"));
}

static void serve_init(struct peer *p)
{
    struct cast_out *o = &p->worker->shard.out;
    const struct cast_config *cfg = p->worker->server->cfg;
    cast_out_clear(o);
    CAST_OUT_LIT(o, "{\"authenticated\":");
    put_bool(o, authorized(p));
    CAST_OUT_LIT(o, ",\"edition\":\"oss\",\"insecure\":");
    put_bool(o, open_to(p));
    CAST_OUT_LIT(o, ",\"login\":");
    put_bool(o, *cfg->admin.password);
    CAST_OUT_LIT(o, ",\"websocket\":");
    cast_out_string(o, weft_span_of(cfg->websocket.disabled ? "" : cfg->websocket.handler_prefix));
    CAST_OUT_LIT(o, "}\n");
    answer_json(p, o);
}

/* Whether the form body password=… holds the password. MACs are compared, so that the time taken
 * tells neither how much of a guess is right nor whether its length is. */
static bool password_fits(const struct server *srv, const struct http *h)
{
    struct weft_span form = {h->body ? h->body : "", h->body_bytes}, got;
    struct weft_span password = weft_span_of(srv->cfg->admin.password);
    char text[1024], mac[MAC_HEX + 1], want[MAC_HEX + 1];
    ssize_t n = -1;
    if (weft_http1_query_get(form, "password", &got) == 1)
        n = weft_http1_percent_decode(got, true, text, sizeof text);
    mac_of(srv, (struct weft_span){text, n > 0 ? (size_t)n : 0}, mac);
    mac_of(srv, password, want);
    OPENSSL_cleanse(text, sizeof text);
    return CRYPTO_memcmp(mac, want, MAC_HEX) == 0 && n > 0 && password.len > 0;
}

static int64_t whole_seconds(int64_t ns)
{
    return (ns + WEFT_SEC - 1) / WEFT_SEC;
}

static void log_failed_login(const struct sockaddr_storage *from, int64_t next_ns)
{
    char address[INET6_ADDRSTRLEN] = "local";
    if (from->ss_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)from)->sin_addr, address,
            sizeof address);
    else if (from->ss_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)from)->sin6_addr, address,
            sizeof address);
    if (next_ns > 0)
        cast_log(CAST_LOG_WARN, "console login failed; further ones are refused",
            LOG_STR("address", address), LOG_INT("seconds", whole_seconds(next_ns)));
    else
        cast_log(CAST_LOG_WARN, "console login failed", LOG_STR("address", address));
}

/* One line in the log a failure: as many as logins_try lets happen, and none for those refused. */
static void serve_auth(struct peer *p)
{
    struct server *srv = p->worker->server;
    struct sockaddr_storage from = {0};
    socklen_t bytes = sizeof from;
    char token[32], mac[MAC_HEX + 1], answer[160];
    int64_t next_ns;
    getpeername(p->sink.io.fd, (struct sockaddr *)&from, &bytes);
    int64_t wait_ns =
        logins_try(&srv->logins, &from, weft_loop_now_ns(p->worker->shard.loop), &next_ns);
    if (wait_ns > 0) {
        snprintf(answer, sizeof answer, "Retry-After: %lld\r\n", (long long)whole_seconds(wait_ns));
        http_answer(
            p, 429, "text/plain; charset=utf-8", answer, weft_span_of("Too Many Requests\n"));
        return;
    }
    if (!password_fits(srv, p->http)) {
        log_failed_login(&from, next_ns);
        http_answer_text(p, 400, "Bad Request\n");
        return;
    }
    logins_passed(&srv->logins, &from);
    snprintf(token, sizeof token, "%lld", (long long)shard_wall_s() + TOKEN_SECONDS);
    mac_of(srv, weft_span_of(token), mac);
    snprintf(answer, sizeof answer, "{\"token\":\"%s.%s\"}\n", token, mac);
    http_answer(p, 200, "application/json", CONSOLE_HEADERS, weft_span_of(answer));
}

/* ---- state ---- */

struct state {
    struct http_wait wait; /* first */
    struct worker *w;
    char *pattern; /* a valid glob, or NULL */
    size_t limit;
    struct channel_list *lists[]; /* each written by its own shard */
};

static void state_free(void *arg)
{
    struct state *st = arg;
    for (uint32_t i = 0; i < st->w->server->count; i++)
        free(st->lists[i]);
    free(st->pattern);
    free(st);
}

static void state_part(struct sweep_part *part)
{
    struct state *st = part->sweep->arg;
    part->data = totals_make(part->shard);
    st->lists[part->shard->index] = channel_list_make(part->shard, weft_span_of(st->pattern));
    sweep_part_done(part);
}

static int by_clients(const void *a, const void *b)
{
    const struct channel_count *x = *(const struct channel_count *const *)a;
    const struct channel_count *y = *(const struct channel_count *const *)b;
    if (x->clients != y->clients)
        return x->clients < y->clients ? 1 : -1;
    uint32_t n = x->name_bytes < y->name_bytes ? x->name_bytes : y->name_bytes;
    int order = memcmp(x->name, y->name, n);
    return order ? order : (x->name_bytes > y->name_bytes) - (x->name_bytes < y->name_bytes);
}

static void put_channels(struct cast_out *o, const struct state *st)
{
    size_t count = 0;
    uint32_t shards = st->w->server->count;
    for (uint32_t i = 0; i < shards; i++)
        for (const struct channel_count *c = channel_list_first(st->lists[i]); c;
             c = channel_list_next(st->lists[i], c))
            count++;
    const struct channel_count **all = malloc((count + 1) * sizeof(struct channel_count *));
    CAST_OUT_LIT(o, ",\"list\":[");
    size_t n = 0;
    for (uint32_t i = 0; all && i < shards; i++)
        for (const struct channel_count *c = channel_list_first(st->lists[i]); c;
             c = channel_list_next(st->lists[i], c))
            all[n++] = c;
    if (n)
        qsort(all, n, sizeof(struct channel_count *), by_clients);
    for (size_t i = 0; i < n && i < st->limit; i++) {
        if (i)
            cast_out_char(o, ',');
        CAST_OUT_LIT(o, "{\"channel\":");
        cast_out_string(o, (struct weft_span){all[i]->name, all[i]->name_bytes});
        CAST_OUT_LIT(o, ",\"clients\":");
        cast_out_u64(o, all[i]->clients);
        cast_out_char(o, '}');
    }
    cast_out_char(o, ']');
    free(all);
}

static void put_number(struct cast_out *o, const char *key, uint64_t value)
{
    cast_out_char(o, ',');
    cast_out_string(o, weft_span_of(key));
    cast_out_char(o, ':');
    cast_out_u64(o, value);
}

static uint64_t commands_of(const struct shard_counters *n)
{
    uint64_t sum = 0;
    for (int m = 0; m <= CAST_METHOD_NONE; m++)
        sum += n->commands[m];
    return sum;
}

static void put_state(struct cast_out *o, const struct state *st, const struct totals *t)
{
    const struct server *srv = st->w->server;
    int64_t now_ns = weft_loop_now_ns(st->w->shard.loop);
    CAST_OUT_LIT(o, "{\"version\":\"" CAST_VERSION_TEXT "\",\"node\":");
    cast_out_string(o, weft_span_of(srv->node_name));
    put_number(o, "uptime_ms", (uint64_t)((now_ns - srv->started_ns) / WEFT_MS));
    put_number(o, "time_ms", (uint64_t)(now_ns / WEFT_MS));
    put_number(o, "clients", t->clients);
    put_number(o, "users", t->users);
    put_number(o, "subscriptions", t->subs);
    put_number(o, "channels", t->channels);
    put_number(o, "connections", t->n.accepted);
    put_number(o, "published", t->home.publications);
    put_number(o, "delivered", t->home.deliveries);
    put_number(o, "bytes_sent", t->bytes_sent);
    put_number(o, "received", commands_of(&t->n));
    put_channels(o, st);
    CAST_OUT_LIT(o, "}\n");
}

static void state_done(struct sweep *s)
{
    struct state *st = s->arg;
    struct totals t;
    struct cast_out o;
    if (!st->wait.peer)
        return;
    totals_sum(s, &t);
    cast_out_init(&o);
    put_state(&o, st, &t);
    answer_json(st->wait.peer, &o);
    cast_out_fini(&o);
}

/* Takes pattern and limit out of the query; false for a pattern that is no glob. */
static bool state_query(struct state *st, struct weft_span query)
{
    struct weft_span got;
    char text[32] = "";
    st->limit = 100;
    if (query.data && weft_http1_query_get(query, "limit", &got) == 1 && got.len < sizeof text) {
        memcpy(text, got.data, got.len);
        long limit = strtol(text, NULL, 10);
        st->limit = limit < 0 ? 0 : limit > 1000 ? 1000 : (size_t)limit;
    }
    if (!query.data || weft_http1_query_get(query, "pattern", &got) != 1 || got.len == 0)
        return true;
    st->pattern = calloc(1, got.len + 1);
    if (!st->pattern)
        return true; /* without memory the whole list has to do */
    ssize_t n = weft_http1_percent_decode(got, true, st->pattern, got.len);
    return n >= 0 && cast_glob_valid(st->pattern, strlen(st->pattern));
}

static void serve_state(struct peer *p)
{
    struct worker *w = p->worker;
    struct state *st = calloc(1, sizeof *st + w->server->count * sizeof(struct channel_list *));
    if (!st) {
        http_answer_empty(p, 500);
        return;
    }
    st->w = w;
    if (!state_query(st, p->http->head.query)) {
        state_free(st);
        http_answer_text(p, 400, "Bad Request\n");
        return;
    }
    st->wait.peer = p;
    p->http->wait = &st->wait;
    p->http->stage = HTTP_WORKING;
    sweep_start(&w->shard, state_part, state_done, st, state_free);
}

/* ---- heads and bodies ---- */

/* A password is short; this endpoint is open to everybody. */
#define AUTH_BODY_MAX 4096

static bool body_fits(const struct weft_http1_head *head)
{
    return head->framing == WEFT_HTTP1_NO_BODY ||
           (head->framing == WEFT_HTTP1_LENGTH && head->content_length <= AUTH_BODY_MAX);
}

static bool method_fits(const struct http *h)
{
    bool get = h->route.kind == ROUTE_ADMIN_INIT || h->route.kind == ROUTE_ADMIN_STATE;
    return h->head.method == (get ? WEFT_HTTP1_GET : WEFT_HTTP1_POST);
}

bool admin_head(struct peer *p)
{
    struct http *h = p->http;
    h->admin = true;
    if (h->head.framing != WEFT_HTTP1_NO_BODY && h->head.method == WEFT_HTTP1_GET)
        h->keep_alive = false;
    if (!method_fits(h)) {
        h->keep_alive = false;
        http_answer_empty(p, 405);
    } else if (h->route.kind == ROUTE_ADMIN_INIT) {
        serve_init(p);
    } else if (h->route.kind == ROUTE_ADMIN_AUTH) {
        if (body_fits(&h->head))
            return true;
        h->keep_alive = false;
        http_answer_text(p, 413, "Request Entity Too Large\n");
    } else if (!authorized(p)) {
        h->keep_alive = false;
        http_answer_empty(p, 401);
    } else if (h->route.kind == ROUTE_ADMIN_STATE) {
        serve_state(p);
    } else {
        return true;
    }
    return false;
}

void admin_serve(struct peer *p)
{
    if (p->http->route.kind == ROUTE_ADMIN_AUTH)
        serve_auth(p);
    else
        api_serve(p);
}
