// SPDX-License-Identifier: Apache-2.0
/*
 * loop_echo.c - an echo server on a pinned loop: no fiber and no stack for a connection, one record
 * of 56 bytes. Serves until it is ended.
 *
 *     loop_echo 127.0.0.1:7000
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/loop.h>
#include <weft/error.h>

struct conn {
    weft_loop_io io;
    char *unsent; /* what the peer did not take, if it does not read as fast as it writes */
    size_t unsent_bytes;
};

static void end(weft_loop *loop, struct conn *c)
{
    weft_loop_io_close(loop, &c->io);
    free(c->unsent);
    free(c);
}

/* Keeps what could not be sent, and reads no more until it has gone out. */
static void keep(weft_loop *loop, struct conn *c, const char *data, size_t bytes)
{
    c->unsent = malloc(bytes);
    if (!c->unsent) {
        end(loop, c);
        return;
    }
    memcpy(c->unsent, data, bytes);
    c->unsent_bytes = bytes;
    weft_loop_io_set(loop, &c->io, WEFT_LOOP_WRITE);
}

/* Sends; returns false if the rest must wait, or the connection has ended. */
static bool echo(weft_loop *loop, struct conn *c, const char *data, size_t bytes)
{
    ssize_t n = weft_loop_send(loop, &c->io, data, bytes);
    if (n == (ssize_t)bytes)
        return true;
    if (n < 0 && n != -EAGAIN)
        end(loop, c);
    else
        keep(loop, c, data + (n > 0 ? n : 0), bytes - (size_t)(n > 0 ? n : 0));
    return false;
}

static void ready(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    static char buf[65536]; /* one for all connections: the loop is one thread */
    struct conn *c = WEFT_LOOP_OWNER(io, struct conn, io);
    if (c->unsent) {
        char *data = c->unsent;
        c->unsent = NULL;
        bool sent = echo(loop, c, data, c->unsent_bytes);
        free(data);
        if (!sent)
            return;
        weft_loop_io_set(loop, io, WEFT_LOOP_READ);
    }
    for (;;) {
        ssize_t n = weft_loop_recv(loop, io, buf, sizeof buf);
        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            end(loop, c);
            return;
        }
        if (!echo(loop, c, buf, (size_t)n))
            return;
        if ((size_t)n < sizeof buf && !(events & ~(unsigned)WEFT_LOOP_READ))
            return; /* a short read stands for -EAGAIN: rule E2 of weft/loop.h */
    }
}

static void accepted(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg)
{
    if (fd < 0)
        return; /* no file descriptors left: the listener pauses, and resumes by itself */
    struct conn *c = calloc(1, sizeof *c);
    if (!c || weft_loop_io_add(loop, &c->io, fd, WEFT_LOOP_READ, ready) < 0) {
        free(c);
        close(fd);
    }
}

static int fail(const char *what, int rc)
{
    fprintf(stderr, "%s: %s\n", what, weft_strerror(rc));
    return 1;
}

int main(int argc, char **argv)
{
    weft_loop *loop;
    weft_loop_listener *listener;
    char address[128];
    int rc = weft_loop_new(NULL, &loop);
    if (rc < 0)
        return fail("weft_loop_new", rc);
    weft_loop_listen_opts opts = {.size = sizeof opts, .nodelay = true};
    rc = weft_loop_listen(
        loop, argc > 1 ? argv[1] : "127.0.0.1:7000", &opts, accepted, NULL, &listener);
    if (rc < 0)
        return fail("weft_loop_listen", rc);
    weft_loop_listener_address(listener, address, sizeof address);
    printf("listening %s\n", address);
    fflush(stdout);
    rc = weft_loop_run(loop);
    weft_loop_free(loop);
    return rc < 0 ? fail("weft_loop_run", rc) : 0;
}
