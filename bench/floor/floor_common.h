// SPDX-License-Identifier: Apache-2.0
/*
 * floor_common.h - what the floors share. They use nothing of the library.
 *
 * A floor is the least that a job can cost here: bare system calls in a loop that does nothing
 * else. The table of `make bench` shows it beside the library's own figure, as the distance to the
 * limit. Every result is a line `name value unit`.
 */
#ifndef FLOOR_COMMON_H
#define FLOOR_COMMON_H
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

__attribute__((format(printf, 1, 2), noreturn)) static inline void die(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

static inline int must(int rc, const char *what)
{
    if (rc < 0)
        die("%s: %s", what, strerror(errno));
    return rc;
}

static inline int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static inline int64_t now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

/* Binds this thread to the n-th processor that it may use; with a single one, to that. */
static inline void pin_to(int n)
{
    cpu_set_t may, one;
    must(sched_getaffinity(0, sizeof may, &may), "sched_getaffinity");
    int count = CPU_COUNT(&may), seen = 0;
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &may) || seen++ != n % count)
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        must(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
        return;
    }
}

static inline void raise_fd_limit(void)
{
    struct rlimit r;
    must(getrlimit(RLIMIT_NOFILE, &r), "getrlimit");
    r.rlim_cur = r.rlim_max;
    must(setrlimit(RLIMIT_NOFILE, &r), "setrlimit");
}

static inline void set_nodelay(int fd)
{
    int one = 1;
    must(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one), "TCP_NODELAY");
}

/* Listens on 127.0.0.1; port 0 takes a free one. Connections inherit TCP_NODELAY and, where the
 * kernel has it, reno: on loopback it carries half as much again as the machine's bbr. */
static inline int listen_on(uint16_t port, uint16_t *ret_port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int one = 1, fd = must(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "socket");
    must(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), "SO_REUSEADDR");
    set_nodelay(fd);
    setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4);
    must(bind(fd, (struct sockaddr *)&a, len), "bind");
    must(listen(fd, 4096), "listen");
    must(getsockname(fd, (struct sockaddr *)&a, &len), "getsockname");
    *ret_port = ntohs(a.sin_port);
    return fd;
}

/* Processor time of all threads of a process, in ns; 0 if it is gone. */
static inline int64_t cpu_of(int pid)
{
    char path[300];
    int64_t total = 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; d && (e = readdir(d));) {
        long long ns;
        snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, e->d_name);
        FILE *f = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (f && fscanf(f, "%lld", &ns) == 1)
            total += ns;
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return total;
}

/* ---- a histogram of durations: 64 steps an octave, so within 1.6% ---- */

enum { HIST_STEPS = 64, HIST_SIZE = 59 * HIST_STEPS };

struct hist {
    uint64_t count, n[HIST_SIZE];
};

static inline void hist_add(struct hist *h, int64_t ns)
{
    uint64_t v = ns > 0 ? (uint64_t)ns : 0;
    unsigned shift =
        57u - (unsigned)__builtin_clzll(v | HIST_STEPS); /* bits beyond the top seven */
    h->n[shift * HIST_STEPS + (v >> shift)]++;
    h->count++;
}

/* The duration that a share `p` of all does not exceed, in microseconds. */
static inline double hist_us(const struct hist *h, double p)
{
    uint64_t want = (uint64_t)(p * (double)h->count), seen = 0;
    for (uint64_t i = 0; i < HIST_SIZE; i++) {
        seen += h->n[i];
        if (seen <= want)
            continue;
        uint64_t shift = i < 2 * HIST_STEPS ? 0 : i / HIST_STEPS - 1;
        return (double)((i - shift * HIST_STEPS) << shift) / 1000;
    }
    return 0;
}
#endif
