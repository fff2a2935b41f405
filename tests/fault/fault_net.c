// SPDX-License-Identifier: Apache-2.0
/*
 * fault_net.c - HTTP and WebSockets when the n-th allocation fails, on whichever side: the call
 * ends with an error, nothing hangs, and the server serves the next one.
 */
#include <stdatomic.h>
#include <weft/ws.h>

#include "unit/net/net_rig.h"

static _Atomic long countdown = -1;

static bool fails(void)
{
    return countdown >= 0 && atomic_fetch_sub(&countdown, 1) == 0;
}

static void *failing_alloc(void *arg, size_t bytes)
{
    (void)arg;
    return fails() ? NULL : malloc(bytes);
}

static void *failing_resize(void *arg, void *p, size_t bytes)
{
    (void)arg;
    return fails() ? NULL : realloc(p, bytes);
}

static void release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static int ws_echo(weft_http_request *req)
{
    struct weft_ws_message m;
    weft_ws *ws;
    int rc = weft_ws_accept(req, NULL, &ws);
    if (rc < 0)
        return rc;
    while ((rc = weft_ws_recv(ws, &m)) > 0 &&
           (rc = weft_ws_send(ws, m.text, m.data.data, m.data.len)) == 0) {
    }
    weft_ws_free(ws);
    return rc;
}

static int handler(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    struct weft_span b;
    (void)arg;
    if (weft_http_request_is(req, "GET", "/ws"))
        return ws_echo(req);
    int rc = weft_http_request_body(req, 0, &b);
    return rc < 0 ? rc : weft_http_reply_send(reply, b.data, b.len);
}

static char data[20000];

/* 0, or the first error; a refusal counts as one. */
static int post(weft_http_client *c, const char *url)
{
    weft_http_response *r;
    struct weft_span b;
    weft_http_field f[] = {{"X-Long", data}};
    data[6000] = '\0'; /* a head that outgrows its buffers */
    weft_http_call call = {.size = sizeof call,
        .method = "POST",
        .url = url,
        .fields = f,
        .field_count = 1,
        .body = data,
        .body_bytes = sizeof data};
    int rc = weft_http_do(c, &call, &r);
    if (rc < 0)
        return rc;
    rc = weft_http_response_body(r, 0, &b);
    if (rc == 0 && weft_http_response_status(r) == 200)
        CHECK_EQ(b.len, sizeof data);
    else if (rc == 0)
        rc = -EREMOTEIO;
    weft_http_response_close(r);
    return rc;
}

static int ws_round(const char *url)
{
    static const char *const protocols[] = {"p", NULL};
    weft_ws_opts o = {.size = sizeof o, .fragment_bytes = 3000, .protocols = protocols};
    struct weft_ws_message m;
    weft_ws *ws;
    int rc = weft_ws_dial(url, &o, &ws);
    if (rc < 0)
        return rc;
    rc = weft_ws_send(ws, false, data, sizeof data);
    if (rc == 0)
        rc = weft_ws_recv(ws, &m);
    if (rc > 0) {
        CHECK_EQ(m.data.len, sizeof data);
        rc = weft_ws_close(ws, WEFT_WS_NORMAL, NULL);
    } else if (rc == 0) {
        rc = -EREMOTEIO;
    }
    weft_ws_free(ws);
    return rc;
}

static int round_of_all(const char *http, const char *ws)
{
    weft_http_client *c;
    int rc = weft_http_client_new(NULL, &c);
    if (rc < 0)
        return rc;
    rc = post(c, http);
    if (rc == 0)
        rc = ws_round(ws);
    weft_http_client_free(c);
    return rc;
}

static int app(void *arg)
{
    struct server s;
    char http[200], ws[200];
    bool passed = false;
    long n = 0;
    (void)arg;
    memset(data, 'd', sizeof data);
    server_start(&s, handler, NULL, NULL);
    snprintf(http, sizeof http, "http://%s/echo", s.address);
    snprintf(ws, sizeof ws, "ws://%s/ws", s.address);
    for (; !passed; n++) {
        WEFT_TIMEOUT(limit, 30 * WEFT_SEC);
        atomic_store(&countdown, n);
        int rc = round_of_all(http, ws);
        passed = atomic_exchange(&countdown, -1) >= 0;
        CHECK_MSG(rc != -ETIMEDOUT && rc != -ECANCELED, "allocation %ld: hangs", n);
        CHECK_MSG(rc == 0 || !passed, "allocation %ld, which was not reached: %d", n, rc);
        CHECK_EQ(post(NULL, http), 0); /* the server goes on */
    }
    CHECK(n > 20);
    weft_http_client_close_idle(NULL);
    return server_stop(&s);
}

TEST(nth_allocation_fails)
{
    weft_allocator a = {sizeof a, failing_alloc, failing_resize, release, NULL};
    CHECK_EQ(weft_set_allocator(&a), 0);
    rig_run(1, app);
}
