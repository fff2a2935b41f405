// SPDX-License-Identifier: Apache-2.0
/*
 * floor_broadcast.c - the limit of fan-out: one thread that sends each of N sockets one contiguous
 * range a pass, and nothing else.
 *
 *     floor_broadcast [--subs 1000] [--rate 1000] [--bytes 132] [--seconds 3] [--window_us 0]
 *                     [--io send|uring] [--sndbuf BYTES] [--name broadcast]
 *
 *     messages, made when due:   log (a ring, mapped twice in a row: every range is contiguous)
 *                                |....|m|m|m|m|m|m|....|
 *     subscriber = cursor              ^a    ^b    ^head      send(fd, log + cursor, head - cursor)
 *
 * The publisher is open loop: message i is due at begin + i / rate, whatever the server is doing,
 * and carries that time; a second process holds the subscribers' ends and takes each message's
 * latency from it, at the moment that its bytes were received. A pass sends whatever has become
 * due; passes run back to back, or --window_us apart. A socket that pushes back is left alone until
 * it can be written, and then gets all that it missed in one send. --io uring makes the same sends
 * by io_uring, 128 a submission.
 *
 * Printed beside the result: what one send cost in this run (processor time), and how busy both
 * processes were: where the receivers' processor is full, the figure is theirs and not the
 * server's.
 */
#include <fcntl.h>
#include <liburing.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include "floor_common.h"

#define LOG_BYTES ((size_t)64 << 20)
enum { BATCH = 128, EVENTS = 512, RECV_BYTES = 1 << 18, MAX_MESSAGE = 4096 };
#define WARM_UP_NS INT64_C(1000000000)

static struct {
    int subs, sndbuf;
    double rate, seconds;
    size_t bytes;
    int64_t window_ns;
    bool uring;
    const char *name;
} o = {.subs = 1000, .rate = 1000, .seconds = 3, .bytes = 132, .name = "broadcast"};

/* The head of a message; the rest is padding. */
struct head {
    int64_t due_ns;
    uint32_t seq;
    uint32_t measured; /* past the warm-up */
};

/* Filled by the receiving process, printed by the server. */
struct report {
    struct hist hist;
    uint64_t received, gaps;
    int64_t cpu_ns, wall_ns;
};

/* ---- the receiving process ---- */

struct receiver {
    int fd;
    uint32_t next_seq;
    size_t have; /* bytes of the message that is under way */
    char part[sizeof(struct head)];
};

static void take_message(struct report *r, struct receiver *s, const char *at, int64_t now)
{
    struct head h;
    memcpy(&h, at, sizeof h);
    r->gaps += h.seq != s->next_seq;
    s->next_seq = h.seq + 1;
    if (h.measured) {
        r->received++;
        hist_add(&r->hist, now - h.due_ns);
    }
}

/* A message counts when its last byte is here. */
static void take_bytes(struct report *r, struct receiver *s, const char *p, size_t n, int64_t now)
{
    while (n > 0) {
        if (s->have == 0 && n >= o.bytes) {
            take_message(r, s, p, now);
            p += o.bytes;
            n -= o.bytes;
            continue;
        }
        size_t take = o.bytes - s->have < n ? o.bytes - s->have : n;
        if (s->have < sizeof s->part) {
            size_t room = sizeof s->part - s->have;
            memcpy(s->part + s->have, p, take < room ? take : room);
        }
        s->have += take;
        p += take;
        n -= take;
        if (s->have == o.bytes) {
            take_message(r, s, s->part, now);
            s->have = 0;
        }
    }
}

static int connect_all(struct receiver *s, uint16_t port)
{
    int ep = must(epoll_create1(0), "epoll_create1");
    for (int i = 0; i < o.subs; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET}, to = from;
        from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + (uint32_t)(i / 20000));
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        to.sin_port = htons(port);
        int one = 1;
        s[i].fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");
        setsockopt(s[i].fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
        must(bind(s[i].fd, (struct sockaddr *)&from, sizeof from), "bind");
        must(connect(s[i].fd, (struct sockaddr *)&to, sizeof to), "connect");
        struct epoll_event ev = {.events = EPOLLIN, .data.u32 = (uint32_t)i};
        must(epoll_ctl(ep, EPOLL_CTL_ADD, s[i].fd, &ev), "epoll_ctl");
    }
    return ep;
}

static void receive(struct report *r, uint16_t port)
{
    static char buf[RECV_BYTES];
    struct receiver *s = calloc((size_t)o.subs, sizeof *s);
    struct epoll_event got[EVENTS];
    if (!s)
        die("out of memory");
    int ep = connect_all(s, port), open = o.subs;
    int64_t cpu = 0, begin = 0;
    while (open > 0) {
        int n = epoll_wait(ep, got, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct receiver *k = &s[got[i].data.u32];
            ssize_t len = recv(k->fd, buf, sizeof buf, MSG_DONTWAIT);
            if (len > 0) {
                take_bytes(r, k, buf, (size_t)len, now_ns());
            } else if (len == 0 || errno != EAGAIN) {
                close(k->fd);
                open--;
            }
        }
        if (!begin && r->received) {
            begin = now_ns();
            cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID);
        }
        if (begin && open == o.subs) {
            r->wall_ns = now_ns() - begin;
            r->cpu_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
        }
    }
}

/* ---- the server ---- */

struct sub {
    int fd;
    bool blocked;
    uint64_t cursor;
};

static struct {
    struct sub *sub;
    char *log;
    uint64_t head, made; /* bytes, messages */
    int ep, blocked, dead;
    struct io_uring ring;
    uint64_t sends, measured_sends;
    int64_t send_ns;
} s;

static void map_log(void)
{
    int fd = must(memfd_create("log", MFD_CLOEXEC), "memfd_create");
    must(ftruncate(fd, (off_t)LOG_BYTES), "ftruncate");
    s.log = mmap(NULL, 2 * LOG_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (size_t half = 0; half < 2 && s.log != MAP_FAILED; half++)
        if (mmap(s.log + half * LOG_BYTES, LOG_BYTES, PROT_READ | PROT_WRITE,
                MAP_SHARED | MAP_FIXED | MAP_POPULATE, fd, 0) == MAP_FAILED)
            s.log = MAP_FAILED;
    if (s.log == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    memset(s.log, 'x', LOG_BYTES);
    close(fd);
}

static void accept_all(int ln)
{
    s.sub = calloc((size_t)o.subs, sizeof *s.sub);
    if (!s.sub)
        die("out of memory");
    s.ep = must(epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    for (int i = 0; i < o.subs; i++) {
        int fd = s.sub[i].fd =
            must(accept4(ln, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept4");
        if (o.sndbuf)
            must(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &o.sndbuf, sizeof o.sndbuf), "SO_SNDBUF");
        struct epoll_event ev = {.events = EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)i};
        must(epoll_ctl(s.ep, EPOLL_CTL_ADD, fd, &ev), "epoll_ctl");
    }
}

static void open_ring(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN};
    int rc = io_uring_queue_init_params(2 * BATCH, &s.ring, &p);
    if (rc < 0)
        die("io_uring is not available here: %s", strerror(-rc));
    int *fds = calloc((size_t)o.subs, sizeof *fds);
    for (int i = 0; i < o.subs; i++)
        fds[i] = s.sub[i].fd;
    rc = io_uring_register_files(&s.ring, fds, (unsigned)o.subs);
    if (rc < 0)
        die("io_uring_register_files: %s", strerror(-rc));
    free(fds);
}

static void publish_due(int64_t begin, int64_t now)
{
    uint64_t due = now < begin ? 0 : (uint64_t)((double)(now - begin) * o.rate / 1e9) + 1;
    for (; s.made < due; s.made++) {
        int64_t due_ns = begin + (int64_t)((double)s.made * 1e9 / o.rate);
        struct head h = {
            .due_ns = due_ns, .seq = (uint32_t)s.made, .measured = due_ns >= begin + WARM_UP_NS};
        memcpy(s.log + s.head % LOG_BYTES, &h, sizeof h);
        s.head += o.bytes;
    }
}

static void give_up(struct sub *k)
{
    shutdown(k->fd, SHUT_RDWR);
    k->cursor = UINT64_MAX;
    s.dead++;
}

static void sent(struct sub *k, ssize_t n)
{
    s.sends++;
    if (n > 0)
        k->cursor += (uint64_t)n;
    else if (n != -EAGAIN)
        give_up(k);
    if (k->cursor < s.head) {
        k->blocked = true;
        s.blocked++;
    }
}

static bool wants(struct sub *k)
{
    if (k->blocked || k->cursor >= s.head)
        return false;
    if (s.head - k->cursor < LOG_BYTES - MAX_MESSAGE)
        return true;
    give_up(k); /* it fell out of the log */
    return false;
}

static void pass_by_send(void)
{
    for (int i = 0; i < o.subs; i++) {
        struct sub *k = &s.sub[i];
        if (!wants(k))
            continue;
        ssize_t n = send(
            k->fd, s.log + k->cursor % LOG_BYTES, s.head - k->cursor, MSG_DONTWAIT | MSG_NOSIGNAL);
        sent(k, n < 0 ? -errno : n);
    }
}

static void flush_ring(unsigned queued)
{
    struct io_uring_cqe *cqe;
    unsigned head, n = 0;
    while (n < queued) {
        unsigned seen = 0;
        io_uring_submit_and_wait(&s.ring, queued - n);
        io_uring_for_each_cqe(&s.ring, head, cqe)
        {
            sent(&s.sub[cqe->user_data], cqe->res);
            seen++;
        }
        io_uring_cq_advance(&s.ring, seen);
        n += seen;
    }
}

static void pass_by_uring(void)
{
    unsigned queued = 0;
    for (int i = 0; i < o.subs; i++) {
        struct sub *k = &s.sub[i];
        if (!wants(k))
            continue;
        struct io_uring_sqe *sqe = io_uring_get_sqe(&s.ring);
        io_uring_prep_send(
            sqe, i, s.log + k->cursor % LOG_BYTES, s.head - k->cursor, MSG_DONTWAIT | MSG_NOSIGNAL);
        io_uring_sqe_set_flags(sqe, IOSQE_FIXED_FILE);
        io_uring_sqe_set_data64(sqe, (unsigned)i);
        if (++queued == BATCH) {
            flush_ring(queued);
            queued = 0;
        }
    }
    flush_ring(queued);
}

static void timed_pass(bool measured)
{
    uint64_t before = s.sends;
    int64_t t = read_clock(CLOCK_THREAD_CPUTIME_ID);
    if (o.uring)
        pass_by_uring();
    else
        pass_by_send();
    if (!measured)
        return;
    s.send_ns += read_clock(CLOCK_THREAD_CPUTIME_ID) - t;
    s.measured_sends += s.sends - before;
}

/* Waits until `until`, or until a socket that pushed back can be written. */
static void wait_for(int64_t until)
{
    struct epoll_event got[EVENTS];
    int64_t left = until - now_ns();
    struct timespec ts = {0, 0};
    if (left > 0)
        ts = (struct timespec){left / 1000000000, left % 1000000000};
    int n = epoll_pwait2(s.ep, got, EVENTS, &ts, NULL);
    for (int i = 0; i < n; i++) {
        struct sub *k = &s.sub[got[i].data.u32];
        s.blocked -= k->blocked;
        k->blocked = false;
    }
}

static bool all_sent(void)
{
    for (int i = 0; i < o.subs; i++)
        if (s.sub[i].cursor < s.head)
            return false;
    return true;
}

static void serve(int64_t begin, int64_t end)
{
    int64_t next_pass = begin;
    for (int64_t now = now_ns(); now < end; now = now_ns()) {
        publish_due(begin, now);
        int64_t due = begin + (int64_t)((double)s.made * 1e9 / o.rate);
        timed_pass(now >= begin + WARM_UP_NS);
        next_pass = now + o.window_ns;
        if (due < next_pass)
            due = next_pass;
        if (due > now_ns())
            wait_for(due < end ? due : end);
        else if (s.blocked)
            wait_for(0);
    }
    /* What is on its way may arrive, for two seconds. */
    for (int64_t stop = now_ns() + 2000000000; now_ns() < stop && !all_sent();) {
        wait_for(now_ns() + 1000000);
        timed_pass(false);
    }
}

static void print_report(const struct report *r, int64_t cpu_ns, int64_t wall_ns)
{
    double secs = o.seconds;
    uint64_t measured = s.made - (uint64_t)((double)WARM_UP_NS * o.rate / 1e9);
    double expected = (double)measured * o.subs;
    printf("%s_deliveries %.0f deliveries/s\n", o.name, (double)r->received / secs);
    printf("%s_p50 %.0f us\n", o.name, hist_us(&r->hist, 0.5));
    printf("%s_p90 %.0f us\n", o.name, hist_us(&r->hist, 0.9));
    printf("%s_p99 %.0f us\n", o.name, hist_us(&r->hist, 0.99));
    printf("%s_p999 %.0f us\n", o.name, hist_us(&r->hist, 0.999));
    double lost = expected - (double)r->received;
    printf("%s_lost %.0f messages\n", o.name, lost > o.subs ? lost : 0);
    printf("%s_gaps %llu messages\n", o.name, (unsigned long long)r->gaps);
    printf("%s_dead %d subscribers\n", o.name, s.dead);
    double sends = (double)s.measured_sends;
    printf("%s_sends %.0f sends/s\n", o.name, sends / secs);
    printf("%s_send_cost %.0f ns/send\n", o.name, sends > 0 ? (double)s.send_ns / sends : 0);
    printf(
        "%s_messages_a_send %.2f messages\n", o.name, sends > 0 ? (double)r->received / sends : 0);
    printf("%s_server_cores %.2f cores\n", o.name, (double)cpu_ns / (double)wall_ns);
    printf("%s_receiver_cores %.2f cores\n", o.name,
        r->wall_ns ? (double)r->cpu_ns / (double)r->wall_ns : 0);
}

static void set_option(const char *key, const char *value)
{
    if (strcmp(key, "--subs") == 0)
        o.subs = atoi(value);
    else if (strcmp(key, "--rate") == 0)
        o.rate = atof(value);
    else if (strcmp(key, "--bytes") == 0)
        o.bytes = (size_t)atoi(value);
    else if (strcmp(key, "--seconds") == 0)
        o.seconds = atof(value);
    else if (strcmp(key, "--window_us") == 0)
        o.window_ns = (int64_t)(atof(value) * 1000);
    else if (strcmp(key, "--sndbuf") == 0)
        o.sndbuf = atoi(value);
    else if (strcmp(key, "--name") == 0)
        o.name = value;
    else if (strcmp(key, "--io") == 0)
        o.uring = strcmp(value, "uring") == 0;
    else
        die("unknown option %s", key);
}

static void parse_args(int argc, char **argv)
{
    if (argc % 2 == 0)
        die("usage: %s [--subs N] [--rate MESSAGES_A_SECOND] [--bytes N] [--seconds S] "
            "[--window_us N] "
            "[--io send|uring] [--sndbuf BYTES] [--name WORD]",
            argv[0]);
    for (int i = 1; i < argc; i += 2)
        set_option(argv[i], argv[i + 1]);
    if (o.subs < 1 || o.rate <= 0 || o.seconds <= 0 || o.bytes < sizeof(struct head) ||
        o.bytes > MAX_MESSAGE)
        die("out of range: from 1 subscriber, a rate and seconds above 0, %zu to %d bytes",
            sizeof(struct head), MAX_MESSAGE);
}

int main(int argc, char **argv)
{
    parse_args(argc, argv);
    raise_fd_limit();
    uint16_t port;
    int ln = listen_on(0, &port), status;
    struct report *r =
        mmap(NULL, sizeof *r, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (r == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    pid_t child = must(fork(), "fork");
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ln);
        pin_to(1);
        receive(r, port);
        exit(0);
    }
    pin_to(0);
    prctl(PR_SET_TIMERSLACK, 1);
    map_log();
    accept_all(ln);
    if (o.uring)
        open_ring();
    int64_t begin = now_ns() + 200000000, end = begin + WARM_UP_NS + (int64_t)(o.seconds * 1e9);
    int64_t cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns();
    serve(begin, end);
    cpu = read_clock(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = now_ns() - wall;
    for (int i = 0; i < o.subs; i++)
        close(s.sub[i].fd);
    if (o.uring)
        io_uring_queue_exit(&s.ring);
    if (waitpid(child, &status, 0) < 0 || status != 0)
        die("the receiving process failed");
    print_report(r, cpu, wall);
    return 0;
}
