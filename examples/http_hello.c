// SPDX-License-Identifier: Apache-2.0
/*
 * http_hello.c - a small HTTP server: a greeting, an echo of what is posted, a stream in chunks.
 * Serves until it is ended.
 *
 *     http_hello 127.0.0.1:8080
 *     curl http://127.0.0.1:8080/            curl --data-binary @file http://127.0.0.1:8080/echo
 *     curl http://127.0.0.1:8080/?name=Ada   curl -N http://127.0.0.1:8080/count
 */
#include <stdio.h>
#include <string.h>
#include <weft/http.h>
#include <weft/weft.h>

static int hello(const weft_http_request *req, weft_http_reply *reply)
{
    struct weft_span name;
    char text[160] = "Hello, World!\n", decoded[128];
    if (weft_http1_query_get(weft_http_request_head(req)->query, "name", &name) > 0) {
        ssize_t n = weft_http1_percent_decode(name, true, decoded, sizeof decoded);
        if (n < 0)
            return weft_http_reply_text(reply, 400, "this is no name\n");
        snprintf(text, sizeof text, "Hello, %.*s!\n", (int)n, decoded);
    }
    return weft_http_reply_text(reply, 200, text);
}

/* Bit by bit: neither side has the whole of it in memory. */
static int echo(weft_http_request *req, weft_http_reply *reply)
{
    char buf[8192];
    ssize_t n;
    weft_http_reply_field(reply, "Content-Type", "application/octet-stream");
    while ((n = weft_http_request_read(req, buf, sizeof buf)) > 0)
        if ((n = weft_http_reply_write(reply, buf, (size_t)n)) < 0)
            break;
    return (int)n;
}

static int count(weft_http_reply *reply)
{
    char line[32];
    int rc = weft_http_reply_field(reply, "Content-Type", "text/plain");
    for (int i = 1; i <= 10 && rc == 0; i++) {
        int n = snprintf(line, sizeof line, "%d\n", i);
        rc = weft_http_reply_write(reply, line, (size_t)n);
        if (rc == 0)
            rc = weft_http_reply_flush(reply);
        if (rc == 0)
            rc = weft_sleep(50 * WEFT_MS);
    }
    return rc;
}

static int handler(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    (void)arg;
    if (weft_http_request_is(req, "GET", "/"))
        return hello(req, reply);
    if (weft_http_request_is(req, "POST", "/echo"))
        return echo(req, reply);
    if (weft_http_request_is(req, "GET", "/count"))
        return count(reply);
    return weft_http_reply_text(reply, 404, "there is nothing here\n");
}

static int app(void *address)
{
    char text[128];
    int fd = weft_listen("tcp", address);
    if (fd < 0)
        return weft_fail(weft_error_wrap(weft_error_take(fd), fd, "%s", (char *)address));
    weft_local_addr(fd, text, sizeof text);
    printf("listening %s\n", text);
    fflush(stdout);
    weft_http_serve_opts opts = {.size = sizeof opts};
    opts.limits.body_bytes = UINT64_MAX; /* what is echoed is not kept */
    return weft_http_serve_fd(fd, handler, NULL, &opts);
}

int main(int argc, char **argv)
{
    if (argc == 2 && argv[1][0] != '-')
        return weft_main(app, argv[1]);
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    fprintf(help ? stdout : stderr,
        "usage: http_hello ADDRESS:PORT\n"
        "Serves / (a greeting; ?name=), /echo (what is posted) and /count (a stream).\n"
        "Port 0 takes a free one; the address is printed.\n");
    return help ? 0 : 2;
}
