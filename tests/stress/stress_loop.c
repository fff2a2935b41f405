// SPDX-License-Identifier: Apache-2.0
/*
 * stress_loop.c - pinned loops under many threads: the queue of messages and its wake-ups
 * ([mo:loop_link]), lives of loops that begin and end, sockets handed from loop to loop.
 *
 * Plain threads only, so that ThreadSanitizer sees every edge. A lost wake-up shows as a hang.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/loop.h>
#include "unit/io/loop_test.h"

static int64_t end_ns;

static int64_t wall_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * WEFT_SEC + ts.tv_nsec;
}

/* ---- messages ---- */

enum { POSTERS = 4, LOOPS = 2, LONGEST_BURST = 40 };

struct poster {
    weft_loop *loops[LOOPS];
    int id;
    uint64_t rnd;
    sem_t acked; /* posted by the last message of a burst */
    uint32_t sent[LOOPS];
    uint32_t seen[LOOPS]; /* the loops' own */
    uint64_t messages;
};

struct burst_msg {
    weft_loop_msg msg;
    struct poster *from;
    uint32_t number;
    int loop;
    bool last;
};

static void take_burst(weft_loop *loop, weft_loop_msg *msg)
{
    struct burst_msg *m = WEFT_LOOP_OWNER(msg, struct burst_msg, msg);
    struct poster *p = m->from;
    CHECK(p->loops[m->loop] == loop);
    CHECK_EQ(m->number, p->seen[m->loop]);
    p->seen[m->loop]++;
    bool last = m->last;
    memset(m, 0xa5, sizeof *m); /* the sender's again: nobody may look at it any more */
    free(m);
    if (last)
        sem_post(&p->acked);
}

static struct burst_msg *make_msg(struct poster *p, int loop, bool last)
{
    struct burst_msg *m = malloc(sizeof *m);
    CHECK(m);
    *m = (struct burst_msg){
        .msg.fn = take_burst, .from = p, .number = p->sent[loop]++, .loop = loop, .last = last};
    p->messages++;
    return m;
}

/* A burst to one loop, as single posts or as one list; then waits until all of it was delivered, so
 * that the loop goes to sleep between bursts as often as not. */
static void post_burst(struct poster *p)
{
    int loop = (int)(next_random(&p->rnd) % LOOPS);
    int n = 1 + (int)(next_random(&p->rnd) % LONGEST_BURST);
    if (next_random(&p->rnd) % 2)
        n = 1;
    bool as_list = next_random(&p->rnd) % 2;
    weft_loop_msg *first = NULL, *last = NULL;
    for (int i = 0; i < n; i++) {
        struct burst_msg *m = make_msg(p, loop, i == n - 1);
        if (!as_list) {
            weft_loop_post(p->loops[loop], &m->msg);
            continue;
        }
        if (last)
            last->next = &m->msg;
        else
            first = &m->msg;
        last = &m->msg;
    }
    if (as_list)
        weft_loop_post_list(p->loops[loop], first, last);
    while (sem_wait(&p->acked) < 0)
        CHECK_EQ(errno, EINTR);
    for (uint64_t spin = next_random(&p->rnd) % 2000; spin > 0; spin--)
        __asm__ volatile("");
}

static void *post_bursts(void *arg)
{
    while (wall_ns() < end_ns)
        post_burst(arg);
    return NULL;
}

BOTH(messages_from_many_threads)
{
    static struct poster p[POSTERS];
    pthread_t t[POSTERS];
    weft_loop *loops[LOOPS];
    uint64_t total = 0, delivered = 0;
    end_ns = wall_ns() + test_stress_seconds() * WEFT_SEC;
    for (int i = 0; i < LOOPS; i++) {
        loops[i] = make_loop(kind);
        CHECK_EQ(weft_loop_start(loops[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++) {
        p[i].id = i;
        p[i].rnd = test_seed() + (uint64_t)i;
        memcpy(p[i].loops, loops, sizeof loops);
        sem_init(&p[i].acked, 0, 0);
        CHECK_EQ(pthread_create(&t[i], NULL, post_bursts, &p[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++) {
        pthread_join(t[i], NULL);
        total += p[i].messages;
    }
    for (int i = 0; i < LOOPS; i++) {
        weft_loop_stats st;
        weft_loop_stop(loops[i]);
        CHECK_EQ(weft_loop_join(loops[i]), 0);
        weft_loop_stats_get(loops[i], &st);
        delivered += st.messages;
        weft_loop_free(loops[i]);
    }
    CHECK_EQ(delivered, total);
}

/* ---- lives ---- */

struct life_msg {
    weft_loop_msg msg;
    int calls;
};

static void live(weft_loop *loop, weft_loop_msg *msg)
{
    WEFT_LOOP_OWNER(msg, struct life_msg, msg)->calls++;
}

static void *post_and_stop(void *arg)
{
    void **a = arg;
    weft_loop_post(a[0], a[1]);
    weft_loop_stop(a[0]);
    return NULL;
}

/* Posts and a stop race with the start of the loop's thread. */
BOTH(loops_begin_and_end)
{
    end_ns = wall_ns() + test_stress_seconds() * WEFT_SEC;
    uint64_t rnd = test_seed();
    for (int i = 0; i < 3 || wall_ns() < end_ns; i++) {
        weft_loop *loop = make_loop(kind);
        struct life_msg m = {.msg.fn = live};
        void *arg[2] = {loop, &m.msg};
        pthread_t t;
        bool early = next_random(&rnd) % 2;
        if (early)
            CHECK_EQ(pthread_create(&t, NULL, post_and_stop, arg), 0);
        CHECK_EQ(weft_loop_start(loop), 0);
        if (!early)
            CHECK_EQ(pthread_create(&t, NULL, post_and_stop, arg), 0);
        CHECK_EQ(weft_loop_join(loop), 0);
        pthread_join(t, NULL);
        CHECK_EQ(m.calls, 1);
        weft_loop_free(loop);
    }
}

/* ---- connections that are accepted on one loop, and handed on to another ---- */

enum { CONNS = 16 };

struct conn {
    weft_loop_io io;
    weft_loop_msg msg;
    weft_loop_timer timer;
    int fd;
};

struct client {
    char address[128];
    uint64_t rnd, echoes, connects;
};

static void drop_conn(weft_loop *loop, struct conn *c)
{
    weft_loop_timer_stop(loop, &c->timer);
    weft_loop_io_close(loop, &c->io);
    free(c);
}

static void idle_out(weft_loop *loop, weft_loop_timer *timer)
{
    drop_conn(loop, WEFT_LOOP_OWNER(timer, struct conn, timer));
}

static void echo_back(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    struct conn *c = WEFT_LOOP_OWNER(io, struct conn, io);
    char buf[256];
    ssize_t n;
    while ((n = weft_loop_recv(loop, io, buf, sizeof buf)) > 0)
        if (weft_loop_send(loop, io, buf, (size_t)n) != n)
            break;
    if (n != -EAGAIN)
        drop_conn(loop, c);
    else
        weft_loop_timer_start(loop, &c->timer, 20 * WEFT_SEC, WEFT_SEC);
}

static void adopt_conn(weft_loop *loop, weft_loop_msg *msg)
{
    struct conn *c = WEFT_LOOP_OWNER(msg, struct conn, msg);
    c->timer.fn = idle_out;
    weft_loop_timer_start(loop, &c->timer, 20 * WEFT_SEC, 0);
    CHECK_EQ(weft_loop_io_add(loop, &c->io, c->fd, WEFT_LOOP_READ, echo_back), 0);
}

static void hand_on(weft_loop *loop, weft_loop_listener *listener, int fd, void *arg)
{
    weft_loop **loops = arg;
    if (fd < 0)
        return;
    struct conn *c = calloc(1, sizeof *c);
    CHECK(c);
    c->fd = fd;
    c->msg.fn = adopt_conn;
    weft_loop_post(loops[fd % LOOPS], &c->msg);
}

static int connect_blocking(const char *address)
{
    int fd = weft_loop_dial(address, NULL);
    if (fd < 0)
        return fd;
    CHECK_EQ(fcntl(fd, F_SETFL, 0), 0);
    char c = 'x', d;
    CHECK_EQ(send(fd, &c, 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(recv(fd, &d, 1, 0), 1);
    return fd;
}

static void *be_clients(void *arg)
{
    struct client *k = arg;
    int fds[CONNS];
    memset(fds, -1, sizeof fds);
    while (wall_ns() < end_ns) {
        int i = (int)(next_random(&k->rnd) % CONNS);
        char out[64], in[64];
        if (fds[i] < 0) {
            fds[i] = connect_blocking(k->address);
            CHECK(fds[i] >= 0);
            k->connects++;
        } else if (next_random(&k->rnd) % 8 == 0) {
            close(fds[i]);
            fds[i] = -1;
        } else {
            size_t n = 1 + next_random(&k->rnd) % sizeof out, got = 0;
            memset(out, (int)(next_random(&k->rnd) & 0x7f), n);
            CHECK_EQ(send(fds[i], out, n, MSG_NOSIGNAL), n);
            while (got < n) {
                ssize_t r = recv(fds[i], in + got, n - got, 0);
                CHECK(r > 0);
                got += (size_t)r;
            }
            CHECK(memcmp(in, out, n) == 0);
            k->echoes++;
        }
    }
    for (int i = 0; i < CONNS; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return NULL;
}

static bool all_gone(weft_loop *loops[LOOPS])
{
    uint64_t left = 0;
    for (int i = 0; i < LOOPS; i++) {
        weft_loop_stats st;
        weft_loop_stats_get(loops[i], &st);
        left += st.io_count + st.timer_count;
    }
    return left == 1; /* the listener */
}

BOTH(connections_are_handed_on)
{
    weft_loop *loops[LOOPS];
    weft_loop_listener *l;
    static struct client k[3];
    char at[128];
    pthread_t t[3];
    end_ns = wall_ns() + test_stress_seconds() * WEFT_SEC;
    for (int i = 0; i < LOOPS; i++)
        loops[i] = make_loop(kind);
    CHECK_EQ(weft_loop_listen(loops[0], "127.0.0.1:0", NULL, hand_on, loops, &l), 0);
    CHECK(weft_loop_listener_address(l, at, sizeof at) > 0);
    for (int i = 0; i < LOOPS; i++)
        CHECK_EQ(weft_loop_start(loops[i]), 0);
    for (int i = 0; i < 3; i++) {
        strcpy(k[i].address, at);
        k[i].rnd = test_seed() + (uint64_t)i;
        CHECK_EQ(pthread_create(&t[i], NULL, be_clients, &k[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        CHECK(k[i].echoes > 0);
    }
    while (!all_gone(loops))
        sched_yield();
    for (int i = 0; i < LOOPS; i++) {
        weft_loop_stop(loops[i]);
        CHECK_EQ(weft_loop_join(loops[i]), 0);
    }
    for (int i = 0; i < LOOPS; i++)
        weft_loop_free(loops[i]);
}
