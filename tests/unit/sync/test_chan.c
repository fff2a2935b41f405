// SPDX-License-Identifier: Apache-2.0
/*
 * test_chan.c - channels: the conformance cases C01 to C06 of docs/conformance.md (order, the
 * blocking table, closed channels, many parties, non-blocking forms, chains), nil, sizes. On 1, 2
 * and 8 workers. Read next: test_chan_more.c, test_chan_life.c.
 */
#include <weft/sugar_chan.h>

#include "sync_test.h"

typedef WEFT_CHAN_OF(int) int_chan;

static int_chan make(size_t cap)
{
    int_chan c;
    CHECK_EQ(weft_chan_make(&c, cap), 0);
    return c;
}

/* ---- C01: order through the ring, and through the queue of waiters ---- */

struct link {
    int_chan data, before, after;
    int k;
    _Atomic int *done;
};

static int chained_receiver(void *p)
{
    struct link *l = p;
    int token, v;
    CHECK_EQ(weft_recv(l->before, &token), 1);
    CHECK_EQ(weft_recv(l->data, &v), 1);
    CHECK_EQ(v, l->k);
    CHECK_EQ(weft_send(l->after, 0), 0);
    at_add(l->done, 1);
    return 0;
}

static int fifo(void *arg)
{
    int v;
    int_chan c = make(10);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_send(c, i), 0);
    for (int i = 0; i < 10; i++) {
        CHECK_EQ(weft_recv(c, &v), 1);
        CHECK_EQ(v, i);
    }
    weft_chan_free(c);

    struct link l[10];
    int_chan t[11];
    _Atomic int done = 0;
    c = make(0);
    for (int i = 0; i < 11; i++)
        t[i] = make(0);
    for (int i = 0; i < 10; i++) {
        l[i] = (struct link){.data = c, .before = t[i], .after = t[i + 1], .k = i, .done = &done};
        go(chained_receiver, &l[i]);
    }
    CHECK_EQ(weft_send(t[0], 0), 0);
    for (int i = 0; i < 10; i++)
        CHECK_EQ(weft_send(c, i), 0);
    CHECK_EQ(weft_recv(t[10], &v), 1);
    until(&done, 10);
    for (int i = 0; i < 11; i++)
        weft_chan_free(t[i]);
    weft_chan_free(c);
    return 0;
}

TEST(C01_fifo)
{
    ON_WORKERS(fifo);
}

/* Waiting senders are served in the order of their arrival. */
struct waiting_sender {
    int_chan c;
    int v;
    _Atomic int *done;
};

static int waiting_sender(void *p)
{
    struct waiting_sender *s = p;
    CHECK_EQ(weft_send(s->c, s->v), 0);
    at_add(s->done, 1);
    return 0;
}

static int senders_fifo(void *arg)
{
    for (size_t cap = 0; cap < 3; cap++) {
        int_chan c = make(cap);
        struct waiting_sender s[8];
        _Atomic int done = 0;
        for (int i = 0; i < 8; i++) {
            s[i] = (struct waiting_sender){.c = c, .v = i, .done = &done};
            struct weft__fiber *f = go(waiting_sender, &s[i]);
            if ((size_t)i >= cap)
                until_parked(f, WEFT__WAIT_CHAN_SEND);
            else
                until(&done, i + 1);
        }
        CHECK_EQ(weft_chan_len(c), cap);
        for (int v, i = 0; i < 8; i++) {
            CHECK_EQ(weft_recv(c, &v), 1);
            CHECK_EQ(v, i);
        }
        until(&done, 8);
        weft_chan_free(c);
    }
    return 0;
}

TEST(C01_senders_fifo)
{
    ON_WORKERS(senders_fifo);
}

/* ---- C02: what blocks for ever, and what never does ---- */

struct blocking {
    void (*op)(struct blocking *b);
    int_chan c;
    struct fake_ctx ctx;
    _Atomic int started, returned;
    int rc;
};

static void op_send(struct blocking *b)
{
    b->rc = weft_send(b->c, 1);
}

static void op_recv(struct blocking *b)
{
    int v;
    b->rc = weft_recv(b->c, &v);
}

static void op_select_none(struct blocking *b)
{
    b->rc = weft_selectv(NULL, 0);
}

static void op_select_recv(struct blocking *b)
{
    int v;
    b->rc = weft_select(WEFT_RECV(b->c, &v, NULL));
}

static void op_select_send(struct blocking *b)
{
    b->rc = weft_select(WEFT_SEND(b->c, 1, NULL));
}

static void op_select_both(struct blocking *b)
{
    int v;
    b->rc = weft_select(WEFT_SEND(b->c, 1, NULL), WEFT_RECV(b->c, &v, NULL));
}

static void op_select_default(struct blocking *b)
{
    int v;
    b->rc = weft_select(WEFT_SEND(b->c, 1, NULL), WEFT_RECV(b->c, &v, NULL), WEFT_DEFAULT);
}

static void op_select_recv_default(struct blocking *b)
{
    int v;
    b->rc = weft_select(WEFT_RECV(b->c, &v, NULL), WEFT_DEFAULT);
}

static void op_select_send_default(struct blocking *b)
{
    b->rc = weft_select(WEFT_SEND(b->c, 1, NULL), WEFT_DEFAULT);
}

static void op_try_send(struct blocking *b)
{
    b->rc = weft_try_send(b->c, 1);
}

static void op_try_recv(struct blocking *b)
{
    int v;
    b->rc = weft_try_recv(b->c, &v);
}

static int run_op(void *p)
{
    struct blocking *b = p;
    under(&b->ctx);
    at_store(&b->started, 1);
    b->op(b);
    at_store(&b->returned, 1);
    return 0;
}

/* The operation parks for that reason, stays parked, and can be ended by the context only. */
static void check_blocks(void (*op)(struct blocking *), int_chan c, enum weft__reason reason)
{
    struct blocking b = {.op = op, .c = c};
    struct weft__fiber *f = go(run_op, &b);
    until_parked(f, reason);
    CHECK_EQ(at_load(&b.returned), 0);
    cancel(f, &b.ctx, -ECANCELED);
    until(&b.returned, 1);
    CHECK_EQ(b.rc, -ECANCELED);
}

static void check_result(void (*op)(struct blocking *), int_chan c, int rc)
{
    struct blocking b = {.op = op, .c = c};
    op(&b);
    CHECK_EQ(b.rc, rc);
}

static int blocking_table(void *arg)
{
    int_chan nil = {0}, open = make(0), closed = make(0), one = make(1), full = make(1);
    weft_chan_close(closed);
    CHECK_EQ(weft_send(full, 7), 0);

    CHECK_EQ(weft_select(WEFT_DEFAULT), -EAGAIN);
    check_result(op_select_recv_default, nil, -EAGAIN);
    check_result(op_select_send_default, nil, -EAGAIN);
    check_blocks(op_send, nil, WEFT__WAIT_CHAN_SEND_NIL);
    check_blocks(op_recv, nil, WEFT__WAIT_CHAN_RECV_NIL);
    check_blocks(op_select_none, nil, WEFT__WAIT_SELECT_EMPTY);
    check_blocks(op_select_recv, nil, WEFT__WAIT_SELECT);
    check_blocks(op_select_send, nil, WEFT__WAIT_SELECT);
    check_blocks(op_select_both, nil, WEFT__WAIT_SELECT);
    check_result(op_select_default, nil, -EAGAIN);
    check_result(op_try_send, nil, -EAGAIN);
    check_result(op_try_recv, nil, -EAGAIN);

    check_blocks(op_send, open, WEFT__WAIT_CHAN_SEND);
    check_blocks(op_recv, open, WEFT__WAIT_CHAN_RECV);
    check_blocks(op_select_recv, open, WEFT__WAIT_SELECT);
    check_blocks(op_select_send, open, WEFT__WAIT_SELECT);
    check_blocks(op_select_both, open, WEFT__WAIT_SELECT); /* it must not pair with itself */
    check_result(op_select_default, open, -EAGAIN);
    check_result(op_try_send, open, -EAGAIN);
    check_result(op_try_recv, open, -EAGAIN);

    check_blocks(op_recv, one, WEFT__WAIT_CHAN_RECV);
    check_result(op_select_recv_default, one, -EAGAIN);
    for (int i = 0; i < 20; i++) { /* what is possible is taken, never the default */
        check_result(op_select_send_default, one, 0);
        check_result(op_select_send_default, one, -EAGAIN);
        check_result(op_select_recv_default, one, 0);
    }
    check_result(op_select_send, one, 0);
    check_result(op_select_recv, one, 0);
    check_result(op_send, one, 0);
    check_blocks(op_send, one, WEFT__WAIT_CHAN_SEND);
    check_blocks(op_send, full, WEFT__WAIT_CHAN_SEND);
    check_result(op_try_send, full, -EAGAIN);
    check_result(op_recv, full, 1);
    check_result(op_try_recv, full, -EAGAIN);

    for (int i = 0; i < 10; i++)
        check_result(op_recv, closed, 0);
    check_result(op_send, closed, -EPIPE);
    check_result(op_try_send, closed, -EPIPE);
    for (int i = 0; i < 10; i++) {
        check_result(op_try_recv, closed, 0);
        check_result(op_select_recv, closed, 0);
        check_result(op_select_recv_default, closed, 0);
    }
    check_result(op_select_send, closed, 0);
    check_result(op_select_send_default, closed, 0);

    weft_chan_free(open);
    weft_chan_free(closed);
    weft_chan_free(one);
    weft_chan_free(full);
    return 0;
}

TEST(C02_blocking_table)
{
    ON_WORKERS(blocking_table);
}

/* ---- C03: closed channels, with every way of doing an operation ---- */

enum way { DIRECT, TRY, SELECT_1, SELECT_2, SELECT_DEFAULT, WAYS };

static int recv_by(enum way way, int_chan c, int *v)
{
    int_chan other = make(0);
    int got = 99, rc = 0;
    switch (way) {
    case DIRECT:
        got = weft_recv(c, v);
        break;
    case TRY:
        got = weft_try_recv(c, v);
        break;
    case SELECT_1:
        rc = weft_select(WEFT_RECV(c, v, &got));
        break;
    case SELECT_2:
        rc = weft_select(WEFT_RECV(c, v, &got), WEFT_RECV(other, v, NULL));
        break;
    default:
        rc = weft_select(WEFT_RECV(c, v, &got), WEFT_DEFAULT);
    }
    CHECK_EQ(rc, 0);
    weft_chan_free(other);
    return got;
}

static int send_by(enum way way, int_chan c, int v)
{
    int_chan other = make(0);
    int sent = 99, rc = 0;
    switch (way) {
    case DIRECT:
        sent = weft_send(c, v);
        break;
    case TRY:
        sent = weft_try_send(c, v);
        break;
    case SELECT_1:
        rc = weft_select(WEFT_SEND(c, v, &sent));
        break;
    case SELECT_2:
        rc = weft_select(WEFT_SEND(c, v, &sent), WEFT_SEND(other, v, NULL));
        break;
    default:
        rc = weft_select(WEFT_SEND(c, v, &sent), WEFT_DEFAULT);
    }
    CHECK_EQ(rc, 0);
    weft_chan_free(other);
    return sent;
}

static int closed_channels(void *arg)
{
    for (int way = DIRECT; way < WAYS; way++) {
        int v;
        int_chan c = make(2);
        CHECK_EQ(weft_send(c, 42), 0);
        weft_chan_close(c);
        CHECK_EQ(send_by((enum way)way, c, 1), -EPIPE);
        CHECK_EQ(weft_chan_len(c), 1); /* the value was dropped */
        CHECK_EQ(recv_by((enum way)way, c, &v), 1);
        CHECK_EQ(v, 42);
        for (int i = 0; i < 3; i++) {
            v = 5;
            CHECK_EQ(recv_by((enum way)way, c, &v), 0);
            CHECK_EQ(v, 0);
        }
        weft_chan_free(c);

        c = make(0);
        weft_chan_close(c);
        v = 5;
        CHECK_EQ(recv_by((enum way)way, c, &v), 0);
        CHECK_EQ(v, 0);
        CHECK_EQ(send_by((enum way)way, c, 1), -EPIPE);
        weft_chan_free(c);
    }
    return 0;
}

TEST(C03_closed_channels)
{
    ON_WORKERS(closed_channels);
}

static void close_nil(void)
{
    int_chan nil = {0};
    weft_chan_close(nil);
}

static void close_twice(void)
{
    int_chan c = make(0);
    weft_chan_set_name(c, "jobs");
    weft_chan_close(c);
    weft_chan_close(c);
}

TEST(C03_close_misuse)
{
    EXPECT_DEATH(close_nil, "close of nil channel");
    EXPECT_DEATH(close_twice, "close of closed channel \"jobs\" (made at ");
    EXPECT_DEATH(close_twice, "test_chan.c:");
}

/* ---- C04: per capacity ---- */

enum { CAPACITIES = 200 };

struct party {
    int_chan c;
    _Atomic int done;
    _Atomic int count[1000];
    struct fake_ctx ctx;
};

static int recv_one(void *p)
{
    struct party *q = p;
    int v = 77;
    CHECK_EQ(weft_recv(q->c, &v), 0);
    CHECK_EQ(v, 0);
    at_add(&q->done, 1);
    return 0;
}

static int send_100(void *p)
{
    struct party *q = p;
    for (int i = 0; i < 100; i++)
        CHECK_EQ(weft_send(q->c, i), 0);
    return 0;
}

static int send_1000(void *p)
{
    struct party *q = p;
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(weft_send(q->c, i), 0);
    return 0;
}

static int recv_1000(void *p)
{
    struct party *q = p;
    for (int v, i = 0; i < 1000; i++) {
        CHECK_EQ(weft_recv(q->c, &v), 1);
        at_add(&q->count[v], 1);
    }
    at_add(&q->done, 1);
    return 0;
}

static void one_capacity(size_t cap)
{
    struct party q = {.c = make(cap)};
    CHECK_EQ(weft_chan_len(q.c), 0);
    CHECK_EQ(weft_chan_cap(q.c), cap);
    int v;
    CHECK_EQ(weft_try_recv(q.c, &v), -EAGAIN);
    check_result(op_select_recv_default, q.c, -EAGAIN);
    check_blocks(op_recv, q.c, WEFT__WAIT_CHAN_RECV);
    check_blocks(op_select_recv, q.c, WEFT__WAIT_SELECT);
    for (size_t i = 0; i < cap; i++)
        CHECK_EQ(weft_send(q.c, (int)i), 0);
    CHECK_EQ(weft_chan_len(q.c), cap);
    CHECK_EQ(weft_try_send(q.c, 1), -EAGAIN);
    check_result(op_select_send_default, q.c, -EAGAIN);
    check_blocks(op_send, q.c, WEFT__WAIT_CHAN_SEND);
    CHECK_EQ(weft_chan_len(q.c), cap);
    weft_chan_close(q.c);
    for (size_t i = 0; i < cap; i++) {
        CHECK_EQ(weft_recv(q.c, &v), 1);
        CHECK_EQ(v, (int)i);
    }
    CHECK_EQ(weft_recv(q.c, &v), 0);
    weft_chan_free(q.c);

    q.c = make(cap); /* a close wakes receivers that wait */
    at_store(&q.done, 0);
    until_parked(go(recv_one, &q), WEFT__WAIT_CHAN_RECV);
    until_parked(go(recv_one, &q), WEFT__WAIT_CHAN_RECV);
    weft_chan_close(q.c);
    until(&q.done, 2);
    weft_chan_free(q.c);

    q.c = make(cap); /* order */
    go(send_100, &q);
    for (int i = 0; i < 100; i++) {
        CHECK_EQ(weft_recv(q.c, &v), 1);
        CHECK_EQ(v, i);
    }
    weft_chan_free(q.c);
}

static int capacities(void *arg)
{
    for (size_t cap = 0; cap < CAPACITIES; cap++)
        one_capacity(cap);
    return 0;
}

TEST(C04_capacities)
{
    ON_WORKERS(capacities);
}

static int four_by_four(void *arg)
{
    /* A slow build has other things to find than a capacity's own mistake. */
    static const size_t step = TEST_SLOW ? 33 : 1;
    for (size_t cap = 0; cap < CAPACITIES; cap += step) {
        struct party q = {.c = make(cap)};
        for (int i = 0; i < 4; i++) {
            go(send_1000, &q);
            go(recv_1000, &q);
        }
        until(&q.done, 4);
        for (int i = 0; i < 1000; i++)
            CHECK_EQ(at_load(&q.count[i]), 4);
        weft_chan_free(q.c);
    }
    return 0;
}

TEST(C04_four_senders_four_receivers)
{
    ON_WORKERS(four_by_four);
}

/* A close wakes senders that wait, and what they wanted to send is not delivered. */
static int close_wakes_senders(void *arg)
{
    struct blocking b = {.op = op_send, .c = make(0)};
    struct weft__fiber *f = go(run_op, &b);
    until_parked(f, WEFT__WAIT_CHAN_SEND);
    weft_chan_close(b.c);
    until(&b.returned, 1);
    CHECK_EQ(b.rc, -EPIPE);
    int v;
    CHECK_EQ(weft_recv(b.c, &v), 0);
    weft_chan_free(b.c);
    return 0;
}

TEST(C04_close_wakes_senders)
{
    ON_WORKERS(close_wakes_senders);
}

/* ---- C05: non-blocking operations pair with parked peers; all element sizes arrive whole ---- */

struct sized {
    weft_chan *c;
    size_t bytes;
    _Atomic int done;
};

static void fill(unsigned char *p, size_t bytes, int seed)
{
    for (size_t i = 0; i < bytes; i++)
        p[i] = (unsigned char)((int)i * 31 + seed);
}

static int sized_receiver(void *p)
{
    struct sized *s = p;
    unsigned char got[512], want[512];
    CHECK_EQ(weft_chan_recv(s->c, got), 1);
    fill(want, s->bytes, 3);
    CHECK(memcmp(got, want, s->bytes) == 0);
    at_add(&s->done, 1);
    return 0;
}

static int sized_sender(void *p)
{
    struct sized *s = p;
    unsigned char elem[512];
    fill(elem, s->bytes, 9);
    CHECK_EQ(weft_chan_send(s->c, elem), 0);
    at_add(&s->done, 1);
    return 0;
}

static int nonblock(void *arg)
{
    static const size_t sizes[] = {0, 1, 2, 3, 4, 8, 12, 16, 24, 511};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        for (size_t cap = 0; cap < 3; cap++) {
            struct sized s = {.bytes = sizes[k]};
            unsigned char elem[512], want[512];
            CHECK_EQ(weft_chan_new(sizes[k], cap, &s.c), 0);
            CHECK_EQ(weft_chan_try_recv(s.c, elem), -EAGAIN);
            until_parked(go(sized_receiver, &s), WEFT__WAIT_CHAN_RECV);
            fill(elem, s.bytes, 3);
            CHECK_EQ(weft_chan_try_send(s.c, elem), 0);
            until(&s.done, 1);
            for (size_t i = 0; i < cap; i++) { /* fill the ring, so that the sender parks */
                fill(elem, s.bytes, 20 + (int)i);
                CHECK_EQ(weft_chan_try_send(s.c, elem), 0);
            }
            until_parked(go(sized_sender, &s), WEFT__WAIT_CHAN_SEND);
            for (size_t i = 0; i <= cap; i++) {
                CHECK_EQ(weft_chan_try_recv(s.c, elem), 1);
                fill(want, s.bytes, i < cap ? 20 + (int)i : 9);
                CHECK(memcmp(elem, want, s.bytes) == 0);
            }
            until(&s.done, 2);
            CHECK_EQ(weft_chan_try_recv(s.c, NULL), -EAGAIN);
            weft_chan_free(s.c);
        }
    }
    return 0;
}

TEST(C05_nonblock_and_sizes)
{
    ON_WORKERS(nonblock);
}

/* ---- chain of 10,000 fibers (test/chan/goroutines, sieve) ---- */

struct stage {
    int_chan in, out;
};

static int pass_on(void *p)
{
    struct stage *s = p;
    int v;
    CHECK_EQ(weft_recv(s->in, &v), 1);
    CHECK_EQ(weft_send(s->out, v + 1), 0);
    return 0;
}

static int chain(void *arg)
{
    enum { N = 10000 };
    struct stage *s = calloc(N, sizeof *s);
    int_chan first = make(0), in = first;
    for (int i = 0; i < N; i++) {
        s[i].in = in;
        in = s[i].out = make(0);
        go(pass_on, &s[i]);
    }
    CHECK_EQ(weft_send(first, 0), 0);
    int v;
    CHECK_EQ(weft_recv(in, &v), 1);
    CHECK_EQ(v, N);
    weft_chan_free(first);
    for (int i = 0; i < N; i++)
        weft_chan_free(s[i].out);
    free(s);
    return 0;
}

TEST(C06_chain_of_ten_thousand)
{
    ON_WORKERS(chain);
}

/* Prime sieve: each prime found adds a filter. */
static int generate(void *p)
{
    int_chan c = *(int_chan *)p;
    for (int i = 2;; i++)
        if (weft_send(c, i) < 0)
            return 0;
}

struct filter {
    int_chan in, out;
    int prime;
};

static int filter(void *p)
{
    struct filter *f = p;
    int v;
    while (weft_recv(f->in, &v) > 0)
        if (v % f->prime && weft_send(f->out, v) < 0)
            break;
    weft_chan_close(f->in); /* ends the stage before us */
    return 0;
}

static int sieve(void *arg)
{
    static const int last_of_50 = 229;
    static struct filter f[50]; /* outlives this fiber */
    int_chan c = make(0);
    int prime = 0;
    f[0].in = c;
    go(generate, &f[0].in);
    for (int i = 0; i < 50; i++) {
        CHECK_EQ(weft_recv(c, &prime), 1);
        f[i] = (struct filter){.in = c, .out = make(0), .prime = prime};
        go(filter, &f[i]);
        c = f[i].out;
    }
    CHECK_EQ(prime, last_of_50);
    weft_chan_close(c);
    return 0; /* the stages end one after the other while the runtime drains */
}

TEST(C06_sieve)
{
    ON_WORKERS(sieve);
}
