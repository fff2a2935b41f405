// SPDX-License-Identifier: Apache-2.0
/* test_ws_close.c - how a WebSocket ends when something stands in its way: an ended context, a peer
 * that takes nothing or never stops, a sender that is stuck, others that receive. */
#include <pthread.h>

#include "ws_rig.h"

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
