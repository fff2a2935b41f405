// SPDX-License-Identifier: Apache-2.0
/*
 * loop_listen.c - listeners of pinned loops: accept, pause, resume.
 *
 *                  pause                       fds or memory run out
 *      PAUSED  <---------->  ACCEPTING  <---------------------------->  STARVED
 *                  resume                a record is closed, or 100 ms     (`starved`, timer runs)
 *
 * Starvation: with the last file descriptor gone, accept fails with EMFILE for as long as a
 * connection waits, and a loop that tried again at once would turn for nothing. So the listener
 * tells its owner once, watches nothing, and tries again when weft_loop_io_close has freed an fd of
 * this loop, and every 100 ms, as others may free some too. It counts as starved until an accept
 * has got past the fd (a connection, or -EAGAIN). The io_uring request takes its fd before it
 * waits, so it starves without any client; the same course gets it out again.
 *
 * A listener may be closed inside its own callback: it is kept on `dead` until the turn ends.
 *
 * Only the loop's thread calls in here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stddef.h>
#include <string.h>
#include <sys/un.h>
#include "base/alloc.h"
#include "io/accept.h"
#include "io/loop_impl.h"
#include "io/seam.h"

#define RETRY_NS (100 * WEFT_MS)
#define ACCEPTS_A_CALL 64

struct weft_loop_listener {
    weft_loop_io io;
    weft_loop_link link; /* in loop->listeners, later in loop->dead */
    weft_loop_timer retry;
    weft_loop_accept_fn *fn;
    void *arg;
    bool paused;  /* by the user */
    bool starved; /* counted in loop->starved */
    char *path;   /* socket file that is ours to remove, or NULL */
    dev_t path_dev;
    ino_t path_ino;
};

static weft_loop_listener *listener_of(weft_loop_io *io)
{
    return WEFT_LOOP_OWNER(io, weft_loop_listener, io);
}

static void set_starved(weft_loop *loop, weft_loop_listener *l, bool starved)
{
    if (l->starved != starved)
        loop->starved += starved ? 1u : -1u;
    l->starved = starved;
}

/* ---- accepting ---- */

void weft__loop_accepted(weft_loop *loop, weft_loop_io *io, int fd)
{
    weft_loop_listener *l = listener_of(io);
    set_starved(loop, l, false);
    loop_count(&loop->stats.accepted, 1);
    loop_calls(loop, l->fn);
    l->fn(loop, l, fd, l->arg);
}

static bool is_of_connection(int err)
{
    return err == -EINTR || err == -EPERM || err == -EOPNOTSUPP || weft__accept_died(err);
}

static void starve(weft_loop *loop, weft_loop_listener *l, int err)
{
    bool first = !l->starved;
    set_starved(loop, l, true);
    loop->backend->accept_stop(loop, &l->io);
    weft_loop_timer_start(loop, &l->retry, RETRY_NS, 0);
    if (!first)
        return;
    loop_count(&loop->stats.accept_pauses, 1);
    loop_calls(loop, l->fn);
    l->fn(loop, l, err, l->arg);
}

static void try_again(weft_loop *loop, weft_loop_listener *l)
{
    weft_loop_timer_stop(loop, &l->retry);
    if (!l->paused && loop->backend->accept_start(loop, &l->io) < 0)
        weft_loop_timer_start(loop, &l->retry, RETRY_NS, 0);
}

static void retry_due(weft_loop *loop, weft_loop_timer *timer)
{
    try_again(loop, WEFT_LOOP_OWNER(timer, weft_loop_listener, retry));
}

/* An accept of io_uring ended with an error. */
void weft__loop_accept_failed(weft_loop *loop, weft_loop_io *io, int err)
{
    weft_loop_listener *l = listener_of(io);
    if (!io->interest)
        return; /* paused meanwhile */
    if (is_of_connection(err) || err == -EAGAIN)
        try_again(loop, l);
    else
        starve(loop, l, err);
}

/* The epoll back end: connections wait. */
void weft__loop_accept_ready(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    for (int i = 0; i < ACCEPTS_A_CALL; i++) {
        int fd = weft__sys_accept(io->fd, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (is_of_connection(fd))
                continue;
            if (fd == -EAGAIN)
                set_starved(loop, listener_of(io), false);
            else
                starve(loop, listener_of(io), fd);
            return;
        }
        weft__loop_accepted(loop, io, fd);
        if (!io->slot || !io->interest)
            return; /* closed or paused by the callback */
    }
    weft_loop_io_again(loop, io, WEFT_LOOP_READ);
}

void weft__loop_listeners_turn_end(weft_loop *loop)
{
    if (loop->fds_freed) {
        loop->fds_freed = false;
        for (weft_loop_link *n = loop->listeners.next; loop->starved && n != &loop->listeners;
             n = n->next) {
            weft_loop_listener *l = WEFT_LOOP_OWNER(n, weft_loop_listener, link);
            if (l->starved && weft_loop_timer_running(&l->retry))
                try_again(loop, l);
        }
    }
    while (!link_empty(&loop->dead)) {
        weft_loop_listener *l = WEFT_LOOP_OWNER(loop->dead.next, weft_loop_listener, link);
        link_remove(&l->link);
        weft__free(l);
    }
}

/* ---- the socket ---- */

static int apply_opts(int fd, const struct loop_addr *addr, const weft_loop_listen_opts *o)
{
    int rc = 0, family = addr->sa.ss_family;
    if (family != AF_UNIX) {
        rc = weft__sys_set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
        if (rc == 0 && o->reuseport)
            rc = weft__sys_set_int(fd, SOL_SOCKET, SO_REUSEPORT, 1);
        if (rc == 0 && family == AF_INET6)
            rc = weft__sys_set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, o->ipv6only && !addr->any);
        if (rc == 0 && o->nodelay)
            rc = weft__sys_set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        if (rc == 0 && o->defer_accept_s > 0)
            rc = weft__sys_set_int(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, o->defer_accept_s);
        if (rc == 0 && o->congestion)
            rc = weft__sys_setsockopt(
                fd, IPPROTO_TCP, TCP_CONGESTION, o->congestion, (socklen_t)strlen(o->congestion));
    }
    if (rc == 0 && o->sndbuf_bytes > 0)
        rc = weft__sys_set_int(fd, SOL_SOCKET, SO_SNDBUF, o->sndbuf_bytes);
    return rc;
}

/* The socket's file, or NULL if it has none. */
static const char *file_of(const struct loop_addr *addr)
{
    const struct sockaddr_un *un = (const struct sockaddr_un *)&addr->sa;
    return addr->sa.ss_family == AF_UNIX && un->sun_path[0] ? un->sun_path : NULL;
}

/* True if the socket file is there and nobody listens on it: left by a process that died. */
static bool is_left_over(const struct loop_addr *addr)
{
    int fd = weft__sys_socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    bool refused = weft__sys_connect(fd, &addr->sa, addr->len) == -ECONNREFUSED;
    weft__sys_close(fd);
    return refused;
}

static int bind_to(int fd, const struct loop_addr *addr)
{
    int rc = weft__sys_bind(fd, &addr->sa, addr->len);
    const char *file = file_of(addr);
    if (rc != -EADDRINUSE || !file || !is_left_over(addr) || weft__sys_unlink(file) < 0)
        return rc;
    return weft__sys_bind(fd, &addr->sa, addr->len);
}

static int open_socket(struct loop_addr *addr)
{
    int type = SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC;
    int fd = weft__sys_socket(addr->sa.ss_family, type);
    if (fd == -EAFNOSUPPORT && addr->any) {
        /* No IPv6 on this machine: all addresses are those of IPv4. */
        struct sockaddr_in in = {
            .sin_family = AF_INET, .sin_port = ((struct sockaddr_in6 *)&addr->sa)->sin6_port};
        memcpy(&addr->sa, &in, sizeof in);
        addr->len = sizeof in;
        fd = weft__sys_socket(AF_INET, type);
    }
    return fd;
}

static int open_listening(struct loop_addr *addr, const weft_loop_listen_opts *o)
{
    int fd = open_socket(addr);
    if (fd < 0)
        return fd;
    int rc = apply_opts(fd, addr, o);
    if (rc == 0)
        rc = bind_to(fd, addr);
    if (rc < 0) {
        weft__sys_close(fd);
        return rc;
    }
    const char *file = file_of(addr);
    if (file && o->unix_mode)
        rc = weft__sys_chmod(file, (mode_t)o->unix_mode);
    if (rc == 0)
        rc = weft__sys_listen(fd, o->backlog > 0 ? o->backlog : 4096);
    if (rc == 0)
        return fd;
    weft__sys_close(fd);
    if (file)
        weft__sys_unlink(file);
    return rc;
}

/* ---- life ---- */

static int start_listener(
    weft_loop *loop, int fd, weft_loop_accept_fn *fn, void *arg, weft_loop_listener **ret_listener)
{
    weft_loop_listener *l = weft__zalloc(sizeof *l);
    if (!l)
        return -ENOMEM;
    l->fn = fn;
    l->arg = arg;
    l->retry.fn = retry_due;
    int rc = weft__loop_io_insert(loop, &l->io, fd, 0, weft__loop_accept_ready);
    if (rc == 0) {
        l->io.flags = LOOP_LISTENER;
        rc = loop->backend->accept_start(loop, &l->io);
        if (rc < 0)
            weft__loop_io_erase(loop, &l->io);
    }
    if (rc < 0) {
        weft__free(l);
        return rc;
    }
    link_push(&loop->listeners, &l->link);
    loop_count(&loop->stats.listener_count, 1);
    *ret_listener = l;
    return 0;
}

/* The socket's file is ours to remove. */
static int remember_file(weft_loop_listener *l, const struct loop_addr *addr)
{
    const char *file = file_of(addr);
    struct stat st;
    if (!file || weft__sys_stat(file, &st) < 0)
        return 0;
    l->path = weft__strdup(file);
    if (!l->path)
        return -ENOMEM;
    l->path_dev = st.st_dev;
    l->path_ino = st.st_ino;
    return 0;
}

int weft_loop_listen(weft_loop *loop, const char *address, const weft_loop_listen_opts *opts,
    weft_loop_accept_fn *fn, void *arg, weft_loop_listener **ret_listener)
{
    weft_loop_listen_opts o = {0};
    if (opts && (opts->size < sizeof(size_t) || opts->size > sizeof o))
        return -EINVAL;
    if (opts)
        memcpy(&o, opts, opts->size);
    struct loop_addr addr;
    int rc = weft__loop_addr_parse(&addr, address, true);
    if (rc < 0)
        return rc;
    int fd = open_listening(&addr, &o);
    if (fd < 0)
        return fd;
    weft_loop_listener *l;
    rc = start_listener(loop, fd, fn, arg, &l);
    if (rc < 0) {
        weft__sys_close(fd);
        goto unlink_file;
    }
    rc = remember_file(l, &addr);
    if (rc < 0) {
        weft_loop_listener_close(loop, l);
        goto unlink_file;
    }
    *ret_listener = l;
    return 0;
unlink_file:
    if (file_of(&addr))
        weft__sys_unlink(file_of(&addr));
    return rc;
}

int weft_loop_listen_fd(
    weft_loop *loop, int fd, weft_loop_accept_fn *fn, void *arg, weft_loop_listener **ret_listener)
{
    int listening = 0;
    socklen_t len = sizeof listening;
    int rc = weft__sys_getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &len);
    if (rc == 0 && !listening)
        rc = -EINVAL;
    if (rc == 0)
        rc = weft__sys_fcntl(fd, F_GETFL, 0);
    if (rc >= 0)
        rc = weft__sys_fcntl(fd, F_SETFL, rc | O_NONBLOCK);
    if (rc < 0)
        return rc;
    return start_listener(loop, fd, fn, arg, ret_listener);
}

void weft_loop_listener_pause(weft_loop *loop, weft_loop_listener *listener)
{
    if (listener->paused)
        return;
    listener->paused = true;
    set_starved(loop, listener, false);
    weft_loop_timer_stop(loop, &listener->retry);
    loop->backend->accept_stop(loop, &listener->io);
}

void weft_loop_listener_resume(weft_loop *loop, weft_loop_listener *listener)
{
    if (!listener->paused)
        return;
    listener->paused = false;
    try_again(loop, listener);
}

static void close_socket(weft_loop *loop, weft_loop_listener *l)
{
    struct stat st;
    set_starved(loop, l, false);
    weft_loop_timer_stop(loop, &l->retry);
    link_remove(&l->link);
    loop_count(&loop->stats.listener_count, (uint64_t)-1);
    weft_loop_io_close(loop, &l->io);
    if (l->path && weft__sys_stat(l->path, &st) == 0 && st.st_dev == l->path_dev &&
        st.st_ino == l->path_ino)
        weft__sys_unlink(l->path);
    weft__free(l->path);
}

void weft_loop_listener_close(weft_loop *loop, weft_loop_listener *listener)
{
    if (!listener)
        return;
    close_socket(loop, listener);
    link_push(&loop->dead, &listener->link);
}

void weft__loop_listeners_free(weft_loop *loop)
{
    while (!link_empty(&loop->listeners))
        weft_loop_listener_close(
            loop, WEFT_LOOP_OWNER(loop->listeners.next, weft_loop_listener, link));
    weft__loop_listeners_turn_end(loop);
}

int weft_loop_listener_address(const weft_loop_listener *listener, char *buf, size_t bytes)
{
    struct loop_addr addr = {.len = sizeof addr.sa};
    int rc = weft__sys_getsockname(listener->io.fd, &addr.sa, &addr.len);
    if (rc < 0)
        return rc;
    return weft__loop_addr_format(&addr, buf, bytes);
}
