// SPDX-License-Identifier: Apache-2.0
/* guide_echo.c - an echo server and a client of it in one program. Quoted by docs/guide.md.
 *
 *     guide_echo               serves on a free port of 127.0.0.1, asks once, ends
 *     guide_echo ADDRESS:PORT  serves there until it is ended
 */
#include <stdio.h>
#include <weft/weft.h>

static int echo(void *p)
{
    int fd = *(int *)p;
    char buf[4096];
    ssize_t n;
    while ((n = weft_read(fd, buf, sizeof buf)) > 0)
        if ((n = weft_write_all(fd, buf, (size_t)n)) < 0)
            break;
    weft_close(fd);
    return (int)n;
}

static int serve(int listener)
{
    int fd;
    WEFT_SCOPE(conns, .errors = WEFT_COLLECT);
    while ((fd = weft_accept(listener)) >= 0)
        if (weft_go_copy(&conns, echo, fd) < 0)
            weft_close(fd);
    return fd;
}

static int server(void *p)
{
    return serve(*(int *)p);
}

static int ask(const char *address)
{
    char buf[16];
    int fd = weft_dial("tcp", address);
    if (fd < 0)
        return fd;
    ssize_t n = weft_write_all(fd, "hello\n", 6);
    if (n >= 0)
        n = weft_read_full(fd, buf, 6);
    if (n == 6)
        printf("%.6s", buf);
    weft_close(fd);
    return n < 0 ? (int)n : 0;
}

static int app(void *arg)
{
    const char *where = arg;
    char address[64];
    int listener = weft_listen("tcp", where ? where : "127.0.0.1:0");
    if (listener < 0)
        return listener;
    if (where)
        return serve(listener);
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    weft_go_copy(&s, server, listener);
    int rc = weft_local_addr(listener, address, sizeof address);
    if (rc >= 0)
        rc = ask(address);
    weft_scope_cancel(&s); // the server's accept ends with -ECANCELED
    weft_wait(&s);
    weft_close(listener);
    return rc;
}

int main(int argc, char **argv)
{
    return weft_main(app, argc > 1 ? argv[1] : NULL);
}
