// SPDX-License-Identifier: Apache-2.0
/*
 * floor_echo.c - the least that an echo server can cost: one thread, bare system calls.
 *
 *     floor_echo epoll|uring [PORT [CPU]]    prints `listening 127.0.0.1:PORT`, serves on
 *
 * epoll: level-triggered (no second read to learn that a socket is empty), one read and write a
 * message. uring: multishot accept, multishot receive into a shared ring of buffers, sends
 * submitted with the wait: one system call for all that is ready. Measured by floor_echo_client in
 * another process.
 */
#include <liburing.h>
#include <sys/epoll.h>
#include "floor_common.h"

enum { BUF_BYTES = 4096, EVENTS = 256 };

static void serve_epoll(int ln)
{
    static char buf[BUF_BYTES];
    struct epoll_event ev = {.events = EPOLLIN, .data.fd = ln}, got[EVENTS];
    int ep = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    must(epoll_ctl(ep, EPOLL_CTL_ADD, ln, &ev), "epoll_ctl");
    for (;;) {
        int n = epoll_wait(ep, got, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            int fd = got[i].data.fd;
            if (fd == ln) {
                ev.data.fd = must(accept4(ln, NULL, NULL, SOCK_NONBLOCK), "accept4");
                must(epoll_ctl(ep, EPOLL_CTL_ADD, ev.data.fd, &ev), "epoll_ctl");
                continue;
            }
            ssize_t len = recv(fd, buf, sizeof buf, 0);
            if (len > 0)
                len = send(fd, buf, (size_t)len, MSG_NOSIGNAL);
            if (len == 0 || (len < 0 && errno != EAGAIN))
                close(fd);
        }
    }
}

/* ---- io_uring ---- */

enum { ACCEPT, RECV, SEND, RING_BUFS = 1024 };

struct uring {
    struct io_uring ring;
    struct io_uring_buf_ring *bufs;
    char *memory;
};

static uint64_t pack(unsigned kind, unsigned buf, int fd)
{
    return (uint64_t)kind << 56 | (uint64_t)buf << 32 | (uint32_t)fd;
}

static struct io_uring_sqe *get_sqe(struct uring *u)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&u->ring);
    if (!sqe) {
        io_uring_submit(&u->ring);
        sqe = io_uring_get_sqe(&u->ring);
    }
    return sqe;
}

static void give_back(struct uring *u, unsigned buf)
{
    io_uring_buf_ring_add(u->bufs, u->memory + buf * BUF_BYTES, BUF_BYTES, (unsigned short)buf,
        io_uring_buf_ring_mask(RING_BUFS), 0);
    io_uring_buf_ring_advance(u->bufs, 1);
}

static void ask_recv(struct uring *u, int fd)
{
    struct io_uring_sqe *sqe = get_sqe(u);
    io_uring_prep_recv_multishot(sqe, fd, NULL, 0, 0);
    io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
    sqe->buf_group = 0;
    io_uring_sqe_set_data64(sqe, pack(RECV, 0, fd));
}

static void on_recv(struct uring *u, const struct io_uring_cqe *cqe)
{
    int fd = (int)(uint32_t)cqe->user_data;
    if (cqe->res <= 0 && cqe->res != -ENOBUFS) {
        close(fd);
        return;
    }
    if (cqe->res > 0) {
        unsigned buf = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
        struct io_uring_sqe *sqe = get_sqe(u);
        io_uring_prep_send(sqe, fd, u->memory + buf * BUF_BYTES, (size_t)cqe->res, MSG_NOSIGNAL);
        io_uring_sqe_set_data64(sqe, pack(SEND, buf, fd));
    }
    if (!(cqe->flags & IORING_CQE_F_MORE))
        ask_recv(u, fd);
}

static void on_cqe(struct uring *u, const struct io_uring_cqe *cqe)
{
    switch (cqe->user_data >> 56) {
    case ACCEPT:
        if (cqe->res >= 0)
            ask_recv(u, cqe->res);
        break;
    case RECV:
        on_recv(u, cqe);
        break;
    case SEND:
        give_back(u, (unsigned)(cqe->user_data >> 32) & 0xffff);
        break;
    }
}

static void serve_uring(int ln)
{
    static struct uring u;
    struct io_uring_params p = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 8192};
    int rc = io_uring_queue_init_params(1024, &u.ring, &p);
    if (rc < 0)
        die("io_uring is not available here: %s", strerror(-rc));
    io_uring_register_ring_fd(&u.ring);
    size_t ring_bytes = RING_BUFS * sizeof(struct io_uring_buf);
    u.memory = malloc((size_t)RING_BUFS * BUF_BYTES);
    if (!u.memory || posix_memalign((void **)&u.bufs, 4096, ring_bytes) != 0)
        die("out of memory");
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)u.bufs, .ring_entries = RING_BUFS, .bgid = 0};
    rc = io_uring_register_buf_ring(&u.ring, &reg, 0);
    if (rc < 0)
        die("buffer ring: %s", strerror(-rc));
    io_uring_buf_ring_init(u.bufs);
    for (unsigned i = 0; i < RING_BUFS; i++)
        give_back(&u, i);
    struct io_uring_sqe *accept_sqe = get_sqe(&u);
    io_uring_prep_multishot_accept(accept_sqe, ln, NULL, NULL, 0);
    io_uring_sqe_set_data64(accept_sqe, pack(ACCEPT, 0, 0));
    for (;;) {
        struct io_uring_cqe *cqe;
        unsigned head, n = 0;
        io_uring_submit_and_wait(&u.ring, 1);
        io_uring_for_each_cqe(&u.ring, head, cqe)
        {
            on_cqe(&u, cqe);
            n++;
        }
        io_uring_cq_advance(&u.ring, n);
    }
}

int main(int argc, char **argv)
{
    uint16_t port;
    if (argc < 2 || (strcmp(argv[1], "epoll") != 0 && strcmp(argv[1], "uring") != 0))
        die("usage: %s epoll|uring [PORT [CPU]]", argv[0]);
    if (argc > 3)
        pin_to(atoi(argv[3]));
    raise_fd_limit();
    int ln = listen_on((uint16_t)(argc > 2 ? atoi(argv[2]) : 0), &port);
    printf("listening 127.0.0.1:%u\n", port);
    fflush(stdout);
    if (argv[1][0] == 'e')
        serve_epoll(ln);
    else
        serve_uring(ln);
}
