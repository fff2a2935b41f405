// SPDX-License-Identifier: Apache-2.0
/*
 * ws_echo.c - a WebSocket server that sends every message back. Serves until it is
 * ended.
 *
 *     ws_echo 127.0.0.1:9001
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <weft/http.h>
#include <weft/weft.h>
#include <weft/ws.h>

static int echo(weft_http_request *req, weft_http_reply *reply, void *arg)
{
    weft_ws_opts opts = {.size = sizeof opts, .message_max = 64 << 20};
    struct weft_ws_message m;
    weft_ws *ws;
    (void)reply, (void)arg;
    int rc = weft_ws_accept(req, &opts, &ws);
    if (rc < 0)
        return rc; /* no WebSocket request: the client has been told */
    while ((rc = weft_ws_recv(ws, &m)) > 0)
        if ((rc = weft_ws_send(ws, m.text, m.data.data, m.data.len)) < 0)
            break;
    if (rc == -ECANCELED) /* the server is stopping */
        rc = weft_ws_close(ws, WEFT_WS_GOING_AWAY, "the server stops");
    weft_ws_free(ws);
    return rc;
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
    return weft_http_serve_fd(fd, echo, NULL, NULL);
}

int main(int argc, char **argv)
{
    if (argc == 2 && argv[1][0] != '-')
        return weft_main(app, argv[1]);
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;
    fprintf(help ? stdout : stderr,
        "usage: ws_echo ADDRESS:PORT\n"
        "Accepts WebSockets at any path and sends every message back, up to 64 MiB each.\n"
        "Port 0 takes a free one; the address is printed.\n");
    return help ? 0 : 2;
}
