// SPDX-License-Identifier: Apache-2.0
/*
 * loop_dial.c - connecting without waiting, from a source address of choice.
 *
 * For load generators and proxies: one machine has some 64,000 ports for each pair of addresses, so
 * more connections than that take more source addresses (on loopback, any of 127.0.0.0/8).
 * IP_BIND_ADDRESS_NO_PORT leaves the choice of the port to connect(2), which then needs a port that
 * is free for this destination only.
 *
 * Any thread may call; nothing is shared.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include "io/loop_impl.h"
#include "io/seam.h"

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static int bind_source(int fd, const char *source)
{
    char text[80];
    struct loop_addr addr;
    bool v6 = strchr(source, ':') != NULL;
    size_t n = strlen(source);
    if (n > sizeof text - 5)
        return -EINVAL;
    text[0] = '\0';
    strcat(strcat(strcat(text, v6 ? "[" : ""), source), v6 ? "]:0" : ":0");
    int rc = weft__loop_addr_parse(&addr, text, false);
    if (rc == 0)
        rc = weft__sys_set_int(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (rc == 0)
        rc = weft__sys_bind(fd, &addr.sa, addr.len);
    return rc;
}

static int prepare(int fd, int family, const weft_loop_dial_opts *o)
{
    int rc = 0;
    if (family != AF_UNIX && o->nodelay)
        rc = weft__sys_set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc == 0 && o->sndbuf_bytes > 0)
        rc = weft__sys_set_int(fd, SOL_SOCKET, SO_SNDBUF, o->sndbuf_bytes);
    if (rc == 0 && o->rcvbuf_bytes > 0)
        rc = weft__sys_set_int(fd, SOL_SOCKET, SO_RCVBUF, o->rcvbuf_bytes);
    if (rc == 0 && family != AF_UNIX && o->source)
        rc = bind_source(fd, o->source);
    return rc;
}

int weft_loop_dial(const char *address, const weft_loop_dial_opts *opts)
{
    weft_loop_dial_opts o = {0};
    if (opts && (opts->size < sizeof(size_t) || opts->size > sizeof o))
        return -EINVAL;
    if (opts)
        memcpy(&o, opts, opts->size);
    struct loop_addr addr;
    int rc = weft__loop_addr_parse(&addr, address, false);
    if (rc < 0)
        return rc;
    if (addr.any)
        return -EINVAL;
    int fd = weft__sys_socket(addr.sa.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return fd;
    rc = prepare(fd, addr.sa.ss_family, &o);
    if (rc == 0)
        rc = weft__sys_connect(fd, &addr.sa, addr.len);
    if (rc == 0 || rc == -EINPROGRESS)
        return fd;
    weft__sys_close(fd);
    return rc;
}

int weft_loop_dial_result(int fd)
{
    int err = 0;
    socklen_t len = sizeof err;
    int rc = weft__sys_getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len);
    return rc < 0 ? rc : -err;
}
