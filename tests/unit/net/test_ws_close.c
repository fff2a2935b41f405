// SPDX-License-Identifier: Apache-2.0
/* test_ws_close.c - how a WebSocket ends when something stands in its way: an ended context, a peer
 * that takes nothing or never stops, a sender that is stuck, others that receive. */
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ws_rig.h"

/* ---- under an ended context what the peer must be told is told all the same ---- */

/* A message, and behind it in one piece what the ended context finds. */
static void send_behind_a_message(struct lent *l, unsigned first, const char *payload, size_t n)
{
    struct weft_ws_message m;
    char bytes[300];
    size_t all = frame_put(bytes, 0x81, "first", 5);
    all += frame_put(bytes + all, first, payload, n);
    all += frame_put(bytes + all, 0x81, "last", 4);
    CHECK_EQ(weft_write_all(l->p.fd, bytes, all), all);
    CHECK_EQ(weft_ws_recv(l->ws, &m), 1);
    CHECK(weft_span_is(m.data, "first"));
}

static int recv_cancelled(weft_ws *ws, struct weft_ws_message *m)
{
    WEFT_SCOPE(s);
    weft_scope_cancel(&s);
    return weft_ws_recv(ws, m);
}

NET_TEST(a_close_is_answered_under_an_ended_context)
{
    struct lent *l = lent_new(NULL);
    struct weft_ws_message m;
    send_behind_a_message(l, 0x88, "\x0f\xa0why", 5);
    CHECK_EQ(recv_cancelled(l->ws, &m), 0);
    lent_leave(l);
    CHECK_EQ(raw_close_code(&l->p), 4000);
    lent_free(l);
}

NET_TEST(a_breach_is_refused_under_an_ended_context)
{
    weft_ws_opts o = {.close_timeout_ns = 50 * WEFT_MS}; /* so long it waits for the peer to go */
    struct lent *l = lent_new(&o);
    struct weft_ws_message m;
    send_behind_a_message(l, 0xc1, "rsv", 3);
    CHECK_EQ(recv_cancelled(l->ws, &m), -EPROTO);
    lent_leave(l);
    CHECK_EQ(raw_close_code(&l->p), WEFT_WS_PROTOCOL_ERROR);
    lent_free(l);
}

NET_TEST(a_ping_is_answered_under_an_ended_context)
{
    struct lent *l = lent_new(NULL);
    struct weft_ws_message m;
    send_behind_a_message(l, 0x89, "hello", 5);
    CHECK_EQ(recv_cancelled(l->ws, &m), 1);
    CHECK(weft_span_is(m.data, "last"));
    peer_until(&l->p, "\x8a\x05hello");
    lent_leave(l);
    peer_end(&l->p);
    lent_free(l);
}

/* ---- a peer that takes nothing ---- */

/* Fills the socket with bytes of zero behind the WebSocket's back. How many. The peer's buffer is
 * small too, and fixed by that: else the kernel finds more room in it as time goes by. */
static size_t fill_socket(struct lent *l)
{
    static const char zeros[4096];
    size_t sum = 0, before;
    int small = 4096;
    CHECK_EQ(setsockopt(weft_ws_fd(l->ws), SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    CHECK_EQ(setsockopt(l->p.fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    for (int quiet = 0; quiet<3; quiet = sum> before ? 0 : quiet + 1) {
        before = sum;
        ssize_t n;
        for (size_t step = sizeof zeros; step > 0; step /= 16) /* to the last byte */
            while ((n = send(weft_ws_fd(l->ws), zeros, step, MSG_DONTWAIT)) > 0)
                sum += (size_t)n;
        CHECK_EQ(weft_sleep(20 * WEFT_MS), 0);
    }
    return sum;
}

static void drop(struct peer *p, size_t n)
{
    while (n > 0) {
        ssize_t got = weft_read(p->fd, p->text, n < 65536 ? n : 65536);
        CHECK(got > 0);
        n -= (size_t)got;
    }
}

struct job {
    weft_ws *ws;
    weft_ctx *ctx;
    int result;
    weft_sema begun;
};

static int send_under(void *arg)
{
    struct job *j = arg;
    WEFT_WITH(under, j->ctx);
    weft_sema_release(&j->begun, 1);
    j->result = weft_ws_send(j->ws, true, "never", 5);
    return 0;
}

NET_TEST(a_ping_is_answered_though_the_sender_has_been_cancelled)
{
    struct lent *l = lent_new(NULL);
    struct weft_ws_message m;
    struct job j = {.ws = l->ws, .ctx = weft_ctx_with_cancel(weft_ctx_current())};
    size_t filled = fill_socket(l);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, send_under, &j), 0);
    CHECK_EQ(weft_sema_acquire(&j.begun, 1), 0);
    CHECK_EQ(weft_sleep(5 * WEFT_MS), 0); /* it holds the frame lock, if not for the scheduler */
    send_behind_a_message(l, 0x89, "hello", 5);
    CHECK_EQ(weft_ws_recv(l->ws, &m), 1); /* the ping is noted */
    weft_ctx_cancel(j.ctx);
    drop(&l->p, filled);
    peer_until(&l->p, "\x8a\x05hello");
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(j.result, -ECANCELED);
    weft_ctx_free(j.ctx);
    lent_leave(l);
    peer_end(&l->p);
    lent_free(l);
}

/* No limit on writes: only the close's own can end it. */
static const weft_ws_opts patient = {.write_timeout_ns = -1, .close_timeout_ns = 50 * WEFT_MS};

NET_TEST(closing_towards_a_peer_that_takes_nothing)
{
    struct lent *l = lent_new(&patient);
    (void)fill_socket(l);
    CHECK_EQ(weft_ws_close(l->ws, WEFT_WS_NORMAL, NULL), -ETIMEDOUT);
    CHECK_EQ(weft_ws_send(l->ws, true, "x", 1), -EPIPE);
    lent_leave(l);
    weft_close(l->p.fd);
    lent_free(l);
}

static char megabytes[32 << 20];

static int send_long(void *arg)
{
    struct job *j = arg;
    j->result = weft_ws_send(j->ws, true, megabytes, sizeof megabytes);
    return 0;
}

NET_TEST(closing_behind_a_sender_that_is_stuck)
{
    struct lent *l = lent_new(&patient);
    struct job j[3] = {{.ws = l->ws}, {.ws = l->ws}, {.ws = l->ws}};
    WEFT_SCOPE(s);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(weft_go(&s, send_long, &j[i]), 0);
    CHECK(peer_more(&l->p)); /* one is at it; the others wait for it */
    CHECK_EQ(weft_ws_close(l->ws, WEFT_WS_NORMAL, NULL), -ETIMEDOUT);
    CHECK_EQ(weft_wait(&s), 0);
    for (int i = 0; i < 3; i++)
        CHECK(j[i].result == -EPIPE || j[i].result == -ECONNRESET);
    lent_leave(l);
    weft_close(l->p.fd);
    lent_free(l);
}

NET_TEST(a_breach_behind_a_sender_that_is_stuck)
{
    struct lent *l = lent_new(&patient);
    struct job j = {.ws = l->ws};
    struct weft_ws_message m;
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, send_long, &j), 0);
    CHECK(peer_more(&l->p));
    frame(&l->p, 0xc1, "rsv", 3);
    CHECK_EQ(weft_ws_recv(l->ws, &m), -EPROTO);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK(j.result == -EPIPE || j.result == -ECONNRESET);
    lent_leave(l);
    weft_close(l->p.fd);
    lent_free(l);
}

/* A message in fragments that a close interrupts at a frame's border: the close frame goes out. */
NET_TEST(closing_between_the_fragments_of_another)
{
    struct lent *l = lent_new(NULL);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_ws_send_part(l->ws, true, "begun", 5, false), 0);
    frame(&l->p, 0x88, "\x03\xe8", 2);
    CHECK_EQ(weft_ws_close(l->ws, 4001, NULL), 0);
    CHECK_EQ(weft_ws_send_part(l->ws, true, "on", 2, true), -EPIPE);
    lent_leave(l);
    CHECK_EQ(raw_close_code(&l->p), 4001);
    lent_free(l);
}

/* ---- a peer that never stops ---- */

struct flood {
    int fd;
    weft_sema full;
};

/* Messages of no bytes: written by the thousand, read one by one. A thread of its own keeps the
 * socket's buffer full, until the other side has gone. */
static void *flood_main(void *arg)
{
    struct flood *f = arg;
    static char block[6 * 10000];
    for (size_t i = 0; i < sizeof block;)
        i += frame_put(block + i, 0x82, NULL, 0);
    struct pollfd room = {.fd = f->fd, .events = POLLOUT};
    bool full = false;
    for (size_t at = 0;;) {
        ssize_t n = send(f->fd, block + at, sizeof block - at, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            at = (at + (size_t)n) % sizeof block;
            continue;
        }
        if (errno != EAGAIN)
            break;
        if (!full)
            weft_sema_release(&f->full, 1);
        full = true;
        CHECK_EQ(poll(&room, 1, -1), 1);
    }
    return NULL;
}

NET_TEST(closing_under_a_flood)
{
    struct lent *l = lent_new(&patient);
    struct flood f = {.fd = -1};
    pthread_t t;
    f.fd = dup(l->p.fd);
    CHECK(f.fd >= 0);
    CHECK_EQ(pthread_create(&t, NULL, flood_main, &f), 0);
    CHECK_EQ(weft_sema_acquire(&f.full, 1), 0);
    CHECK_EQ(weft_ws_close(l->ws, WEFT_WS_NORMAL, NULL), -ETIMEDOUT);
    lent_leave(l); /* closing with bytes unread resets the connection */
    weft_blocking_begin();
    pthread_join(t, NULL);
    weft_blocking_end();
    close(f.fd);
    weft_close(l->p.fd);
    lent_free(l);
}

/* ---- who receives ---- */

enum { MESSAGES = 50 };

struct reader {
    weft_ws *ws;
    int got, result;
    weft_sema first, done;
};

static int read_all(void *arg)
{
    struct reader *r = arg;
    struct weft_ws_message m;
    while ((r->result = weft_ws_recv(r->ws, &m)) > 0)
        if (r->got++ == 0)
            weft_sema_release(&r->first, 1);
    weft_sema_release(&r->done, 1);
    return 0;
}

static void *read_all_thread(void *arg)
{
    (void)read_all(arg);
    return NULL;
}

static void *close_thread(void *arg)
{
    struct reader *r = arg;
    r->result = weft_ws_close(r->ws, WEFT_WS_NORMAL, NULL);
    weft_sema_release(&r->done, 1);
    return NULL;
}

static void send_the_rest(struct peer *p)
{
    for (int i = 0; i < MESSAGES; i++) {
        frame(p, 0x81, "more", 4);
        weft_yield();
    }
    frame(p, 0x88, "\x03\xe8", 2);
}

/* Two plain threads are two: the one that receives gets all, the other waits for it. */
NET_TEST(a_thread_closes_while_another_receives)
{
    struct lent *l = lent_new(NULL);
    struct reader r = {.ws = l->ws}, c = {.ws = l->ws};
    pthread_t receiver, closer;
    CHECK_EQ(pthread_create(&receiver, NULL, read_all_thread, &r), 0);
    frame(&l->p, 0x81, "first", 5);
    CHECK_EQ(weft_sema_acquire(&r.first, 1), 0);
    CHECK_EQ(pthread_create(&closer, NULL, close_thread, &c), 0);
    peer_until(&l->p, "\x88\x02\x03\xe8");
    CHECK_EQ(weft_sleep(5 * WEFT_MS), 0); /* the closer has come to wait, if not for the kernel */
    send_the_rest(&l->p);
    CHECK_EQ(weft_sema_acquire(&r.done, 1), 0);
    CHECK_EQ(weft_sema_acquire(&c.done, 1), 0);
    weft_blocking_begin();
    pthread_join(receiver, NULL);
    pthread_join(closer, NULL);
    weft_blocking_end();
    CHECK_EQ(r.got, 1 + MESSAGES);
    CHECK_EQ(r.result, 0);
    CHECK_EQ(c.result, 0);
    lent_leave(l);
    peer_end(&l->p);
    lent_free(l);
}

static int recv_and_close(void *arg)
{
    struct reader *r = arg;
    struct weft_ws_message m;
    CHECK_EQ(weft_ws_recv(r->ws, &m), 1);
    r->result = weft_ws_close(r->ws, WEFT_WS_NORMAL, NULL);
    return 0;
}

/* Who has received and closes reads to the end; who comes to receive then waits for that. */
NET_TEST(receiving_while_another_closes)
{
    struct lent *l = lent_new(NULL);
    struct reader c = {.ws = l->ws}, r = {.ws = l->ws};
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, recv_and_close, &c), 0);
    frame(&l->p, 0x81, "first", 5);
    peer_until(&l->p, "\x88\x02\x03\xe8");
    CHECK_EQ(weft_sleep(5 * WEFT_MS), 0); /* it reads on, if not for the scheduler */
    CHECK_EQ(weft_go(&s, read_all, &r), 0);
    CHECK_EQ(weft_sleep(5 * WEFT_MS), 0);
    send_the_rest(&l->p);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(c.result, 0);
    CHECK_EQ(r.result, 0);
    CHECK_EQ(r.got, 0);
    lent_leave(l);
    peer_end(&l->p);
    lent_free(l);
}
