// SPDX-License-Identifier: Apache-2.0
/*
 * resolve.h - "network" and "address" texts into socket addresses.
 *
 * Numeric addresses and unix paths are answered at once. A name goes to getaddrinfo on a pool
 * thread (files, DNS, nsswitch as the system has it) while the fiber parks; a context that ends
 * abandons the lookup.
 */
#ifndef WEFT_IO_RESOLVE_H
#define WEFT_IO_RESOLVE_H
#include <stddef.h>
#include <sys/socket.h>

struct weft__addr {
    struct sockaddr_storage sa;
    socklen_t len;
};

struct weft__addrs {
    int type; /* SOCK_STREAM, SOCK_DGRAM */
    unsigned count;
    struct weft__addr addr[16]; /* for dialling: IPv6 and IPv4 interleaved */
};

/** passive: for listening (an empty host is every interface). 0; -EINVAL, -ENOENT, -ECANCELED,
 * -ETIMEDOUT, -EAGAIN (the resolver cannot answer now), -ENOMEM. Not inside weft__enter. */
int weft__resolve(const char *network, const char *address, int passive, struct weft__addrs *ret);
/** The text of an address; its length, or -ENOSPC. */
int weft__addr_format(const struct sockaddr *sa, socklen_t len, char *buf, size_t bytes);
#endif
