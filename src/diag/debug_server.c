// SPDX-License-Identifier: Apache-2.0
/*
 * debug_server.c - the debug pages over HTTP, on a plain thread with blocking sockets.
 *
 * Not on fibers, on purpose: it must answer when every worker is stuck, which is when it is wanted.
 * One connection at a time, one request a connection, five seconds for it. HEAD and GET, and POST
 * of a megabyte at most for the page that takes questions (/debug/pprof/symbol).
 */
#include <weft/debug.h>
#include <weft/http1.h>

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/atomic.h"
#include "base/futex.h"
#include "diag/metrics.h"
#include "diag/thread_stack.h"
#include "io/resolve.h"
#include "sched/sched.h"

static const int64_t LIMIT_NS =
    5000000000; /* for the whole request, and again for the whole answer */
static _Atomic int listener = -1;

static const size_t BODY_MAX = 1 << 20;

static const char index_page[] = "<!doctype html><title>weft</title><h1>weft</h1><ul>"
                                 "<li><a href=\"/debug/pprof/\">fibers and pinned loops</a>"
                                 "<li><a href=\"/metrics\">metrics</a></ul>\n";

static bool ready_by(int fd, short events, int64_t deadline_ns)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = deadline_ns - weft__clock_ns();
    return left > 0 && poll(&p, 1, (int)(left / 1000000) + 1) > 0;
}

static void send_by(int fd, const char *data, size_t len, int64_t deadline_ns)
{
    for (size_t done = 0; done < len && ready_by(fd, POLLOUT, deadline_ns);) {
        ssize_t n = send(fd, data + done, len - done, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno != EAGAIN && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
}

static void answer(int fd, int code, const char *type, const struct weft__text *body,
    bool head_only, int64_t deadline_ns)
{
    char head[512];
    struct weft_http1_writer w;
    weft_http1_write_response(&w, head, sizeof head, code);
    weft_http1_write_text(&w, "Content-Type", type);
    weft_http1_write_text(&w, "Connection", "close");
    weft_http1_write_number(&w, "Content-Length", body->len);
    ssize_t n = weft_http1_write_end(&w);
    if (n > 0)
        send_by(fd, head, (size_t)n, deadline_ns);
    if (!head_only)
        send_by(fd, body->data, body->len, deadline_ns);
}

/* A page of weft_debug_page_init: path goes on behind /debug/pprof. */
static int debug_page(
    struct weft_span path, struct weft_span query, struct weft__text *t, const char **ret_type)
{
    weft_debug_page p;
    char *below = strndup(path.data, path.len), *question = strndup(query.data, query.len);
    int code = 500;
    if (below && question && weft_debug_page_init(&p, below, question) == 0) {
        weft__text_bytes(t, p.text, p.bytes);
        *ret_type = p.type;
        code = p.status;
        weft_debug_page_fini(&p);
    }
    free(below);
    free(question);
    return code;
}

static int page(
    struct weft_span path, struct weft_span query, struct weft__text *t, const char **ret_type)
{
    static const char below[] = "/debug/pprof/";
    size_t n = sizeof below - 1;
    *ret_type = "text/plain; charset=utf-8";
    if (weft_span_is(path, "/metrics")) {
        *ret_type = "text/plain; version=0.0.4; charset=utf-8";
        weft__metrics_add(t);
    } else if (path.len >= n && memcmp(path.data, below, n) == 0) {
        struct weft_span rest = {path.data + n - 1, path.len - n + 1};
        return debug_page(rest, query.data ? query : weft_span_of(""), t, ret_type);
    } else if (weft_span_is(path, "/") || weft_span_is(path, "/debug/pprof")) {
        *ret_type = "text/html; charset=utf-8";
        weft__text_add(t, "%s", index_page);
    } else {
        weft__text_add(t, "no such page; see /debug/pprof/\n");
        return 404;
    }
    return 200;
}

/* The body of a POST, of which `have` bytes came with the head. False: it is not whole. */
static bool read_body(int fd, const struct weft_http1_head *h, char *buf, size_t have, size_t room,
    struct weft__text *ret, int64_t deadline_ns)
{
    struct weft_http1_body b;
    weft_http1_body_init(&b, h);
    for (;;) {
        for (size_t used = 0; used < have && !b.done;) {
            struct weft_span data;
            ssize_t n = weft_http1_body_read(&b, buf + used, have - used, &data);
            if (n < 0)
                return false;
            weft__text_bytes(ret, data.data, data.len);
            used += (size_t)n;
        }
        if (b.done || ret->len > BODY_MAX || !ready_by(fd, POLLIN, deadline_ns))
            return b.done && ret->len <= BODY_MAX;
        ssize_t n = read(fd, buf, room);
        if (n <= 0)
            return false;
        have = (size_t)n;
    }
}

/* What is asked, once the head has come: GET, HEAD, or POST with its question in the body, which
 * is read into `rest`, behind the head. */
static int ask(int fd, const struct weft_http1_head *h, char *rest, size_t have, size_t room,
    struct weft__text *t, const char **ret_type, int64_t deadline_ns)
{
    struct weft__text question = {0};
    int code = 400;
    if (h->method == WEFT_HTTP1_GET || h->method == WEFT_HTTP1_HEAD)
        code = page(h->path, h->query, t, ret_type);
    else if (h->method != WEFT_HTTP1_POST)
        weft__text_add(t, "GET only\n");
    else if (read_body(fd, h, rest, have, room, &question, deadline_ns))
        code = page(h->path, (struct weft_span){question.data, question.len}, t, ret_type);
    weft__text_free(&question);
    return code;
}

static void serve(int fd)
{
    char buf[8192];
    size_t len = 0;
    ssize_t parsed = -EAGAIN, n;
    struct weft_http1_head h;
    struct weft__text t = {0};
    const char *type = "text/plain";
    int64_t deadline_ns = weft__clock_ns() + LIMIT_NS;
    weft_http1_request_init(&h, NULL);
    while (parsed == -EAGAIN && len < sizeof buf && ready_by(fd, POLLIN, deadline_ns) &&
           (n = read(fd, buf + len, sizeof buf - len)) > 0) {
        len += (size_t)n;
        parsed = weft_http1_head_parse(&h, buf, len);
    }
    if (parsed == -EAGAIN)
        return;
    int code = 400;
    if (parsed < 0)
        weft__text_add(&t, "GET only\n");
    else
        code = ask(fd, &h, buf + parsed, len - (size_t)parsed, sizeof buf - (size_t)parsed, &t,
            &type, deadline_ns);
    answer(fd, code, type, &t, parsed >= 0 && h.method == WEFT_HTTP1_HEAD,
        weft__clock_ns() + LIMIT_NS);
    weft__text_free(&t);
}

static void *server_main(void *arg)
{
    int ln = (int)(intptr_t)arg;
    for (;;) {
        int fd = accept4(ln, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EMFILE || errno == ENFILE)
                usleep(100000); /* no event tells when a descriptor is free again */
            continue;
        }
        serve(fd);
        shutdown(fd, SHUT_WR);
        close(fd);
    }
    return NULL;
}

int weft_debug_listen(const char *address)
{
    struct weft__addrs a;
    weft__thread_stack_init();
    int rc = weft__resolve("tcp", address, 1, &a), none = -1, on = 1;
    if (rc < 0)
        return rc;
    int fd = socket(a.addr[0].sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&a.addr[0].sa, a.addr[0].len) < 0 || listen(fd, 16) < 0)
        rc = -errno;
    else if (!at_cas(&listener, &none, fd))
        rc = -EALREADY;
    else if ((rc = weft__service_start(0, server_main, (void *)(intptr_t)fd)) < 0)
        at_store(&listener, -1);
    if (rc < 0)
        close(fd);
    return rc;
}

int weft_debug_address(char *buf, size_t bytes)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof sa;
    int fd = at_load(&listener);
    if (fd < 0 || getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return -ENOTCONN;
    return weft__addr_format((struct sockaddr *)&sa, len, buf, bytes);
}
