// SPDX-License-Identifier: Apache-2.0
/* guide_http.c - a server and a client in one program. Quoted by docs/guide.md. */
#include <stdio.h>
#include <weft/http.h>
#include <weft/weft.h>

static int greet(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    (void)arg;
    if (!weft_http_request_is(req, "GET", "/"))
        return weft_http_reply_text(reply, 404, "nothing here\n");
    return weft_http_reply_text(reply, 200, "Hello\n");
}

static int serve(void *p)
{
    int listener = *(int *)p;
    return weft_http_serve_fd(listener, greet, NULL, NULL); // until the context ends
}

static int print(const char *url)
{
    char buf[4096];
    ssize_t n;
    weft_http_response *r;
    int rc = weft_http_get(url, &r);
    if (rc < 0)
        return rc;
    while ((n = weft_http_response_read(r, buf, sizeof buf)) > 0)
        fwrite(buf, 1, (size_t)n, stdout);
    weft_http_response_close(r);
    return (int)n;
}

static int app(void *arg)
{
    char address[64], url[96];
    int rc, fd = weft_listen("tcp", "127.0.0.1:0");
    (void)arg;
    if (fd < 0)
        return fd;
    weft_local_addr(fd, address, sizeof address);
    snprintf(url, sizeof url, "http://%s/", address);
    WEFT_SCOPE(s); // leaving the block ends the server
    if ((rc = weft_go_copy(&s, serve, fd)) < 0)
        return rc;
    return print(url);
}

int main(void)
{
    return weft_main(app, NULL);
}
