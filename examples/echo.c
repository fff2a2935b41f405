// SPDX-License-Identifier: Apache-2.0
/* echo.c - an echo server: one fiber a connection, as blocking code. Usage: echo [ADDRESS:PORT] */
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

static int serve(void *arg)
{
    int fd, ln = weft_listen("tcp", arg);
    if (ln < 0)
        return ln;
    WEFT_SCOPE(conns, .errors = WEFT_COLLECT); // one failed connection does not end its siblings
    while ((fd = weft_accept(ln)) >= 0)
        if (weft_go_copy(&conns, echo, fd) < 0)
            weft_close(fd);
    return fd;
}

int main(int argc, char **argv)
{
    char everywhere[] = ":7000";
    return weft_main(serve, argc > 1 ? argv[1] : everywhere);
}
