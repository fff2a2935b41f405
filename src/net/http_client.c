// SPDX-License-Identifier: Apache-2.0
/*
 * http_client.c - a request goes out, a response comes in; http_pool.h has the connections.
 *
 *     take a connection ─> head (and a body from memory) in one write ─> body ─> head of the answer
 *        ^   │ dead, no byte of an answer, may be repeated: once more on a new one
 *        └───┘
 *
 * The body may be refused before it is all sent: a server answers and closes. So when a write fails
 * the answer is looked for before the error is told; whichever there is, the connection is not
 * kept.
 *
 * With `expect_continue` the body waits for "100 Continue", or for continue_timeout_ns, since
 * servers exist that do not know it; a final answer instead of it spares the body.
 *
 * Redirects are followed as RFC 9110 §15.4 says: 303, and 301 and 302 to anything but GET and HEAD,
 * become a GET; 307 and 308 repeat the request, unless its body came bit by bit and is gone.
 * Authorization and Cookie stay behind when the host changes.
 */
#include <weft/ctx.h>
#include <weft/error.h>
#include <weft/http.h>

#include <errno.h>
#include <string.h>
#include <sys/uio.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "net/http_pool.h"
#include "net/url.h"

enum { HEAD_MAX = 64 << 10, PIECE_BYTES = 8192, INTERIM_MAX = 16, SKIP_MAX = 64 << 10 };
enum { WHOLE_MAX = 16 << 20 };

/* One request, resolved: what a redirect changes is here and not in the caller's struct. */
struct ask {
    const weft_http_call *call;
    const char *method, *url;
    bool bodiless;  /* a redirect turned it into a GET */
    bool elsewhere; /* a redirect left the first host */
    struct weft__url where;
};

static bool has_body(const struct ask *a)
{
    return !a->bodiless && (a->call->body_read || a->call->body_bytes);
}

static bool is_one_of(const char *text, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(text, *names) == 0)
            return true;
    return false;
}

static bool may_repeat(const struct ask *a)
{
    static const char *const idempotent[] = {
        "GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE", NULL};
    return is_one_of(a->method, idempotent) && (a->bodiless || !a->call->body_read);
}

/* ---- the head ---- */

static bool field_allowed(const char *name)
{
    static const char *const own[] = {
        "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Upgrade", NULL};
    for (const char *const *p = own; *p; p++)
        if (weft_span_is_nocase(weft_span_of(name), *p))
            return false;
    return true;
}

static bool field_sent(const struct ask *a, const char *name)
{
    struct weft_span n = weft_span_of(name);
    if (weft_span_is_nocase(n, "Host"))
        return false; /* it is written first */
    return !a->elsewhere ||
           !(weft_span_is_nocase(n, "Authorization") || weft_span_is_nocase(n, "Cookie"));
}

static struct weft_span host_of(const struct ask *a)
{
    for (size_t i = 0; !a->elsewhere && i < a->call->field_count; i++)
        if (weft_span_is_nocase(weft_span_of(a->call->fields[i].name), "Host"))
            return weft_span_of(a->call->fields[i].value);
    return a->where.host;
}

static void write_framing(const struct ask *a, struct weft_http1_writer *w)
{
    static const char *const with_body[] = {"POST", "PUT", "PATCH", NULL};
    const weft_http_call *call = a->call;
    if (has_body(a) && call->body_read && call->body_length <= 0)
        weft_http1_write_text(w, "Transfer-Encoding", "chunked");
    else if (has_body(a) && call->body_read)
        weft_http1_write_number(w, "Content-Length", (uint64_t)call->body_length);
    else if (has_body(a) || is_one_of(a->method, with_body))
        weft_http1_write_number(w, "Content-Length", has_body(a) ? call->body_bytes : 0);
    if (has_body(a) && call->expect_continue)
        weft_http1_write_text(w, "Expect", "100-continue");
}

static int write_head(const struct ask *a, struct weft__buf *out)
{
    for (;;) {
        struct weft_http1_writer w;
        weft_http1_write_request(&w, out->data, out->cap, a->method, a->where.target, host_of(a));
        for (size_t i = 0; i < a->call->field_count; i++) {
            const weft_http_field *f = &a->call->fields[i];
            if (field_sent(a, f->name))
                weft_http1_write_text(&w, f->name, f->value);
        }
        write_framing(a, &w);
        ssize_t n = weft_http1_write_end(&w);
        if (n >= 0) {
            out->end = (size_t)n;
            return 0;
        }
        int rc = n == -ENOBUFS ? weft__buf_grow(out, HEAD_MAX) : (int)n;
        if (rc < 0)
            return rc;
    }
}

/* ---- the body ---- */

static int send_piece(weft_http_response *r, const char *data, size_t n, bool chunked)
{
    char head[WEFT_HTTP1_CHUNK_HEAD_BYTES];
    struct iovec iov[3] = {
        {head, chunked ? weft_http1_chunk_head(head, n) : 0},
        {(void *)(uintptr_t)data, n},
        {(void *)(uintptr_t)WEFT_HTTP1_CHUNK_END, chunked ? 2 : 0},
    };
    return weft__net_send(r->in.s.fd, iov, 3, -1, NULL);
}

/* -EIO: the caller's body_read gave more or less than it said. */
static int send_streamed(weft_http_response *r, const weft_http_call *call, int *ret_source)
{
    char piece[PIECE_BYTES];
    bool chunked = call->body_length <= 0;
    uint64_t left = chunked ? UINT64_MAX : (uint64_t)call->body_length;
    int rc = 0;
    for (;;) {
        ssize_t n = call->body_read(call->body_arg, piece, sizeof piece);
        if (n < 0 || (uint64_t)n > left || (n == 0 && !chunked && left)) {
            *ret_source = n < 0 ? (int)n : -EIO;
            return *ret_source;
        }
        if (n == 0)
            break;
        left -= chunked ? 0 : (uint64_t)n;
        rc = send_piece(r, piece, (size_t)n, chunked);
        if (rc < 0)
            return rc;
    }
    struct iovec last = {
        (void *)(uintptr_t)WEFT_HTTP1_LAST_CHUNK, sizeof WEFT_HTTP1_LAST_CHUNK - 1};
    return chunked ? weft__net_send(r->in.s.fd, &last, 1, -1, NULL) : 0;
}

static int send_body(weft_http_response *r, const struct ask *a, int *ret_source)
{
    const weft_http_call *call = a->call;
    if (!has_body(a))
        return 0;
    if (call->body_read)
        return send_streamed(r, call, ret_source);
    struct iovec iov = {(void *)(uintptr_t)call->body, call->body_bytes};
    return weft__net_send(r->in.s.fd, &iov, 1, -1, NULL);
}

/* ---- the answer ---- */

/* A head of any kind: 1, 0 the peer ended first, or an error. */
static int read_any(weft_http_response *r, const struct ask *a)
{
    enum weft_http1_method asked =
        strcmp(a->method, "HEAD") == 0 ? WEFT_HTTP1_HEAD : WEFT_HTTP1_OTHER;
    weft_http1_response_init(&r->in.head, &r->client->limits, asked);
    return weft__message_head(&r->in, -1);
}

static int read_answer(weft_http_response *r, const struct ask *a)
{
    for (int i = 0; i < INTERIM_MAX; i++) {
        int rc = read_any(r, a);
        if (rc <= 0 || r->in.head.code >= 200)
            return rc;
        if (r->in.head.code == 101)
            return -EBADMSG; /* nobody asked for another protocol */
        weft__message_next(&r->in);
    }
    return -EBADMSG;
}

/* Waits for the next head, but not past the deadline: -ETIME then. */
static int await_interim(weft_http_response *r, const struct ask *a, int64_t deadline_ns)
{
    if (weft__buf_unread(&r->in.s.in) == 0) {
        ssize_t n = weft__stream_fill(&r->in.s, deadline_ns);
        if (n == -ETIMEDOUT && weft_ctx_check() == 0)
            return -ETIME;
        if (n <= 0)
            return n < 0 ? (int)n : -ECONNRESET;
    }
    int rc = read_any(r, a);
    return rc == 0 ? -ECONNRESET : rc;
}

/* Waits whether the body is wanted. 1 yes, 0 no: an answer is there; or an error. */
static int ask_first(weft_http_response *r, const struct ask *a)
{
    int64_t deadline_ns = weft__net_deadline(r->client->continue_ns);
    for (int i = 0; i < INTERIM_MAX; i++) {
        int rc = await_interim(r, a, deadline_ns);
        if (rc < 0)
            return rc == -ETIME ? 1 : rc;
        int code = r->in.head.code;
        if (code >= 200)
            return 0;
        if (code == 101)
            return -EBADMSG; /* nobody asked for another protocol */
        weft__message_next(&r->in);
        if (code == 100)
            return 1;
    }
    return -EBADMSG;
}

static bool is_broken(int rc)
{
    return rc == -EPIPE || rc == -ECONNRESET;
}

/* The head, and the body with it where it is in memory. */
static int send_request(weft_http_response *r, const struct ask *a, int *ret_source)
{
    const weft_http_call *call = a->call;
    bool together = has_body(a) && !call->body_read && !call->expect_continue;
    struct iovec iov[2] = {{r->out.data, r->out.end},
        {(void *)(uintptr_t)call->body, together ? call->body_bytes : 0}};
    int rc = weft__net_send(r->in.s.fd, iov, 2, -1, NULL);
    if (rc < 0 || together)
        return rc;
    if (has_body(a) && call->expect_continue) {
        rc = ask_first(r, a);
        if (rc == 0)
            r->spent = true; /* the server may still wait for the body */
        if (rc <= 0)
            return rc < 0 ? rc : 1;
    }
    return send_body(r, a, ret_source);
}

/* On one connection. 0; *ret_dead: the connection broke before a byte of an answer. */
static int exchange(weft_http_response *r, const struct ask *a, bool *ret_dead)
{
    int source = 0;
    *ret_dead = false;
    int rc = write_head(a, &r->out);
    if (rc < 0)
        return rc;
    rc = send_request(r, a, &source);
    if (rc > 0)
        return 0; /* answered already */
    if (source < 0 || (rc < 0 && !is_broken(rc)))
        return source < 0 ? source : rc;
    if (rc < 0)
        r->spent = true;
    int answer = r->in.error ? r->in.error : read_answer(r, a);
    if (answer > 0)
        return 0;
    *ret_dead = (answer == 0 || is_broken(answer)) && weft__buf_unread(&r->in.s.in) == 0;
    if (answer == 0)
        answer = rc < 0 ? rc : -ECONNRESET;
    return answer;
}

static void discard(weft_http_response *r)
{
    r->spent = true;
    weft__http_pool_give(r);
}

static int call_once(weft_http_client *c, const struct ask *a, weft_http_response **ret_response)
{
    for (bool fresh = false;; fresh = true) {
        weft_http_response *r;
        bool dead;
        int rc = weft__http_pool_take(c, a->where.address, fresh, &r);
        if (rc < 0)
            return rc;
        rc = exchange(r, a, &dead);
        if (rc == 0) {
            *ret_response = r;
            return 0;
        }
        bool again = dead && r->reused && may_repeat(a);
        discard(r);
        if (!again)
            return rc;
    }
}

/* ---- redirects ---- */

static bool redirects(const struct ask *a, const weft_http_response *r)
{
    int code = r->in.head.code;
    bool same = code == 307 || code == 308;
    if (code != 301 && code != 302 && code != 303 && !same)
        return false;
    if (same && !a->bodiless && a->call->body_read)
        return false; /* the body is gone */
    return weft_http1_field_get(&r->in.head, "Location").len > 0;
}

/* Makes a ask what the response points to. */
static int follow(struct ask *a, weft_http_response *r)
{
    struct weft__url next;
    int code = r->in.head.code;
    char *url = weft__url_resolve(a->url, weft_http1_field_get(&r->in.head, "Location"));
    int rc = url ? weft__url_parse(url, "http", "https", &next) : -ENOMEM;
    if (rc < 0) {
        weft__free(url);
        return rc;
    }
    bool read_only = strcmp(a->method, "GET") == 0 || strcmp(a->method, "HEAD") == 0;
    if (code < 307 && !read_only) {
        a->method = "GET";
        a->bodiless = true;
    }
    a->elsewhere = a->elsewhere || strcmp(next.address, a->where.address) != 0;
    weft__url_fini(&a->where);
    if (a->url != a->call->url)
        weft__free((void *)(uintptr_t)a->url);
    a->url = url;
    a->where = next;
    return 0;
}

static int call_through(weft_http_client *c, struct ask *a, weft_http_response **ret_response)
{
    for (unsigned hops = 0;; hops++) {
        weft_http_response *r;
        int rc = call_once(c, a, &r);
        if (rc < 0)
            return rc;
        if (a->call->max_redirects == 0 || !redirects(a, r)) {
            *ret_response = r;
            return 0;
        }
        rc = hops == a->call->max_redirects ? -ELOOP : follow(a, r);
        if (rc == 0)
            (void)weft__message_skip(&r->in, SKIP_MAX, -1);
        weft__http_pool_give(r);
        if (rc < 0)
            return rc;
    }
}

/* ---- the calls ---- */

static int check_call(const weft_http_call *call)
{
    if (call->size < sizeof *call || !call->url || (call->body_bytes && !call->body))
        return weft_fail(weft_error_new(-EINVAL, "weft_http_do: size, url or body is missing"));
    for (size_t i = 0; i < call->field_count; i++)
        if (!field_allowed(call->fields[i].name))
            return weft_fail(weft_error_new(
                -EINVAL, "weft_http_do: the field %s is the library's own", call->fields[i].name));
    return 0;
}

int weft_http_do(weft_http_client *c, const weft_http_call *call, weft_http_response **ret_response)
{
    struct ask a = {.call = call, .method = call->method ? call->method : "GET", .url = call->url};
    int rc = check_call(call);
    if (rc == 0)
        rc = weft__url_parse(call->url, "http", "https", &a.where);
    if (rc < 0)
        return rc;
    rc = call_through(c ? c : weft__http_client_shared(), &a, ret_response);
    weft__url_fini(&a.where);
    if (a.url != call->url)
        weft__free((void *)(uintptr_t)a.url);
    return rc;
}

int weft_http_get(const char *url, weft_http_response **ret_response)
{
    return weft_http_do(
        NULL, &(weft_http_call){.size = sizeof(weft_http_call), .url = url}, ret_response);
}

const struct weft_http1_head *weft_http_response_head(const weft_http_response *r)
{
    return &r->in.head;
}

int weft_http_response_status(const weft_http_response *r)
{
    return r->in.head.code;
}

struct weft_span weft_http_response_field(const weft_http_response *r, const char *name)
{
    return weft_http1_field_get(&r->in.head, name);
}

ssize_t weft_http_response_read(weft_http_response *r, void *buf, size_t bytes)
{
    return bytes ? weft__message_read(&r->in, buf, bytes, -1) : -EINVAL;
}

int weft_http_response_body(weft_http_response *r, size_t max, struct weft_span *ret_body)
{
    return weft__message_whole(&r->in, max ? max : WHOLE_MAX, -1, ret_body);
}

void weft_http_response_close(weft_http_response *r)
{
    if (r)
        weft__http_pool_give(r);
}
