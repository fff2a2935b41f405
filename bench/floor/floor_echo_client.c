// SPDX-License-Identifier: Apache-2.0
/*
 * floor_echo_client.c - the load for any echo server: fixed connections, one message in flight on
 * each.
 *
 *     floor_echo_client ADDRESS:PORT [--conns 64] [--bytes 128] [--depth 1] [--seconds 3] [--cpu N]
 *                       [--pid SERVER] [--name echo]
 *
 * Each connection sends `depth` messages in one go and waits until all have come back. With --pid
 * it prints the server's processor time a message as well, which tells more than the rate where
 * client and server compete. Built on io_uring, so that it needs less of the machine than the
 * server does.
 */
#include <liburing.h>
#include "floor_common.h"

enum { WARM_UP_NS = 500000000, MAX_BYTES = 65536 };

struct conn {
    int fd;
    size_t got;
    int64_t sent_ns;
    char *buf;
};

static struct {
    struct sockaddr_in to;
    int conns, depth, cpu, pid;
    size_t bytes;
    double seconds;
    const char *name;
    struct io_uring ring;
    struct conn *conn;
    char *message;
    struct hist hist;
    uint64_t messages;
} c = {.conns = 64, .depth = 1, .cpu = -1, .bytes = 128, .seconds = 3, .name = "echo"};

static size_t burst_bytes(void)
{
    return c.bytes * (size_t)c.depth;
}

static void ask_recv(int i)
{
    struct conn *k = &c.conn[i];
    struct io_uring_sqe *sqe = io_uring_get_sqe(&c.ring);
    io_uring_prep_recv(sqe, k->fd, k->buf, burst_bytes() - k->got, 0);
    io_uring_sqe_set_data64(sqe, (uint64_t)i << 1);
}

static void send_burst(int i, int64_t now)
{
    struct conn *k = &c.conn[i];
    struct io_uring_sqe *sqe = io_uring_get_sqe(&c.ring);
    io_uring_prep_send(sqe, k->fd, c.message, burst_bytes(), MSG_NOSIGNAL | MSG_WAITALL);
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, (uint64_t)i << 1 | 1);
    k->sent_ns = now;
    k->got = 0;
    ask_recv(i);
}

static void connect_all(void)
{
    c.conn = calloc((size_t)c.conns, sizeof *c.conn);
    c.message = malloc(burst_bytes());
    if (!c.conn || !c.message)
        die("out of memory");
    memset(c.message, 'x', burst_bytes());
    for (int i = 0; i < c.conns; i++) {
        c.conn[i].fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
        must(connect(c.conn[i].fd, (struct sockaddr *)&c.to, sizeof c.to), "connect");
        set_nodelay(c.conn[i].fd);
        c.conn[i].buf = malloc(burst_bytes());
        if (!c.conn[i].buf)
            die("out of memory");
    }
}

static void on_cqe(const struct io_uring_cqe *cqe, int64_t now)
{
    int i = (int)(cqe->user_data >> 1);
    if (cqe->res <= 0)
        die("connection %d: %s", i, cqe->res ? strerror(-cqe->res) : "closed by the server");
    if (cqe->user_data & 1)
        die("connection %d: the message was sent in part only", i);
    c.conn[i].got += (size_t)cqe->res;
    if (c.conn[i].got < burst_bytes()) {
        ask_recv(i);
        return;
    }
    hist_add(&c.hist, now - c.conn[i].sent_ns);
    c.messages += (uint64_t)c.depth;
    send_burst(i, now);
}

static int64_t turn(void)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    io_uring_submit_and_wait(&c.ring, 1);
    int64_t now = now_ns();
    io_uring_for_each_cqe(&c.ring, head, cqe)
    {
        on_cqe(cqe, now);
        n++;
    }
    io_uring_cq_advance(&c.ring, n);
    return now;
}

static void measure(void)
{
    int64_t begin = now_ns(), now = begin;
    for (int i = 0; i < c.conns; i++)
        send_burst(i, begin);
    while (now < begin + WARM_UP_NS)
        now = turn();
    memset(&c.hist, 0, sizeof c.hist);
    c.messages = 0;
    int64_t cpu = c.pid ? cpu_of(c.pid) : 0, end = now + (int64_t)(c.seconds * 1e9);
    begin = now;
    while (now < end)
        now = turn();
    cpu = c.pid ? cpu_of(c.pid) - cpu : 0;
    double secs = (double)(now - begin) / 1e9, n = (double)c.messages;
    printf("%s_rate %.0f messages/s\n", c.name, n / secs);
    printf("%s_p50 %.1f us\n", c.name, hist_us(&c.hist, 0.5));
    printf("%s_p99 %.1f us\n", c.name, hist_us(&c.hist, 0.99));
    if (c.pid) {
        printf("%s_server_cpu %.0f ns/message\n", c.name, (double)cpu / n);
        printf("%s_server_cores %.2f cores\n", c.name, (double)cpu / 1e9 / secs);
    }
}

static void parse_address(char *text)
{
    char *colon = strrchr(text, ':');
    if (!colon)
        die("address: %s", text);
    *colon = '\0';
    c.to =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(colon + 1))};
    if (inet_pton(AF_INET, text, &c.to.sin_addr) != 1)
        die("address: %s", text);
}

static void parse_args(int argc, char **argv)
{
    if (argc < 2 || argc % 2)
        die("usage: %s ADDRESS:PORT [--conns N] [--bytes N] [--depth N] [--seconds S] [--cpu N] "
            "[--pid P] "
            "[--name WORD]",
            argv[0]);
    parse_address(argv[1]);
    for (int i = 2; i < argc; i += 2) {
        const char *key = argv[i], *value = argv[i + 1];
        if (strcmp(key, "--conns") == 0)
            c.conns = atoi(value);
        else if (strcmp(key, "--bytes") == 0)
            c.bytes = (size_t)atoi(value);
        else if (strcmp(key, "--depth") == 0)
            c.depth = atoi(value);
        else if (strcmp(key, "--seconds") == 0)
            c.seconds = atof(value);
        else if (strcmp(key, "--cpu") == 0)
            c.cpu = atoi(value);
        else if (strcmp(key, "--pid") == 0)
            c.pid = atoi(value);
        else if (strcmp(key, "--name") == 0)
            c.name = value;
        else
            die("unknown option %s", key);
    }
    if (c.conns < 1 || c.conns > 16384 || c.depth < 1 || c.bytes < 1 || c.bytes > MAX_BYTES)
        die("out of range: 1 to 16384 connections, 1 to %d bytes, depth from 1", MAX_BYTES);
}

int main(int argc, char **argv)
{
    parse_args(argc, argv);
    if (c.cpu >= 0)
        pin_to(c.cpu);
    raise_fd_limit();
    struct io_uring_params p = {
        .flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_CQSIZE,
        .cq_entries = 65536};
    int rc = io_uring_queue_init_params(32768, &c.ring, &p);
    if (rc < 0)
        die("io_uring is not available here: %s", strerror(-rc));
    connect_all();
    measure();
    return 0;
}
