// SPDX-License-Identifier: Apache-2.0
/*
 * test_chan_more.c - channels: the conformance cases C08 and C10 of docs/conformance.md: each way
 * to send meets each way to receive, a crowd of consumers, and elements on stacks whose unused
 * pages are taken away meanwhile. On 1, 2 and 8 workers.
 */
#include <weft/sugar_chan.h>
#include <weft/waitgroup.h>

#include "sched/worker.h"
#include "sync_test.h"

typedef WEFT_CHAN_OF(int) int_chan;

static int_chan make(size_t cap)
{
    int_chan c;
    CHECK_EQ(weft_chan_make(&c, cap), 0);
    return c;
}

/* ---- C08: each way to send meets each way to receive, whoever comes first ---- */

enum way { DIRECT, TRY, SELECT_1, SELECT_2, SELECT_DEFAULT, WAYS };

static int send_by(enum way way, int_chan c, int_chan never)
{
    int rc = 0, sent = 99;
    switch (way) {
    case DIRECT:
        return weft_send(c, 1);
    case TRY:
        while ((rc = weft_try_send(c, 1)) == -EAGAIN)
            yield();
        return rc;
    case SELECT_1:
        rc = weft_select(WEFT_SEND(c, 1, &sent));
        break;
    case SELECT_2:
        rc = weft_select(WEFT_SEND(c, 1, &sent), WEFT_RECV(never, NULL, NULL));
        break;
    default:
        while ((rc = weft_select(WEFT_SEND(c, 1, &sent), WEFT_DEFAULT)) == -EAGAIN)
            yield();
    }
    CHECK_EQ(rc, 0);
    return sent;
}

static int recv_by(enum way way, int_chan c, int_chan never, int *v)
{
    int rc = 0, got = 99;
    switch (way) {
    case DIRECT:
        return weft_recv(c, v);
    case TRY:
        while ((rc = weft_try_recv(c, v)) == -EAGAIN)
            yield();
        return rc;
    case SELECT_1:
        rc = weft_select(WEFT_RECV(c, v, &got));
        break;
    case SELECT_2:
        rc = weft_select(WEFT_RECV(c, v, &got), WEFT_RECV(never, NULL, NULL));
        break;
    default:
        while ((rc = weft_select(WEFT_RECV(c, v, &got), WEFT_DEFAULT)) == -EAGAIN)
            yield();
    }
    CHECK_EQ(rc, 0);
    return got;
}

struct meeting {
    int_chan c, never;
    enum way way;
    _Atomic int done;
};

static int sends(void *p)
{
    struct meeting *m = p;
    CHECK_EQ(send_by(m->way, m->c, m->never), 0);
    at_store(&m->done, 1);
    return 0;
}

static int receives(void *p)
{
    struct meeting *m = p;
    int v = 0;
    CHECK_EQ(recv_by(m->way, m->c, m->never, &v), 1);
    CHECK_EQ(v, 1);
    at_store(&m->done, 1);
    return 0;
}

/* Whether this way parks, so that one can wait until it has. */
static bool parks(enum way way)
{
    return way == DIRECT || way == SELECT_1 || way == SELECT_2;
}

static void meet(enum way sender, enum way receiver, size_t cap, bool receiver_first)
{
    struct meeting m = {
        .c = make(cap), .never = make(0), .way = receiver_first ? receiver : sender};
    struct weft__fiber *f = go(receiver_first ? receives : sends, &m);
    if (parks(m.way) && (receiver_first || cap == 0))
        until_parked(f, m.way != DIRECT  ? WEFT__WAIT_SELECT
                        : receiver_first ? WEFT__WAIT_CHAN_RECV
                                         : WEFT__WAIT_CHAN_SEND);
    int v = 0;
    if (receiver_first) {
        CHECK_EQ(send_by(sender, m.c, m.never), 0);
    } else {
        CHECK_EQ(recv_by(receiver, m.c, m.never, &v), 1);
        CHECK_EQ(v, 1);
    }
    until(&m.done, 1);
    CHECK_EQ(weft_chan_len(m.c), 0);
    weft_chan_free(m.c);
    weft_chan_free(m.never); /* misuse, if a select had left a waiter on it */
}

static int every_meeting(void *arg)
{
    (void)arg;
    for (size_t cap = 0; cap < 2; cap++)
        for (int s = 0; s < WAYS; s++)
            for (int r = 0; r < WAYS; r++) {
                if (cap > 0 || parks((enum way)s) || parks((enum way)r))
                    for (int first = 0; first < 2; first++)
                        meet((enum way)s, (enum way)r, cap, first);
            }
    return 0;
}

TEST(C08_each_way_to_send_meets_each_way_to_receive)
{
    ON_WORKERS(every_meeting);
}

/* ---- C10: one feeder, many workers, one who counts ---- */

enum { CONSUMERS = 23, ITEMS = TEST_SLOW ? 20000 : 271828 };

static const int marks[] = {2, 3, 5, 7, 11, 13, 17, 19, 23, 29};

struct crowd {
    int_chan work, results;
    weft_waitgroup consumers;
    _Atomic int number;
    int64_t fed; /* the feeder's, until the results are closed */
};

static int consume(void *p)
{
    struct crowd *c = p;
    int mine = marks[(size_t)at_add(&c->number, 1) % (sizeof marks / sizeof *marks)], v;
    while (weft_recv(c->work, &v) == 1) {
        if (v == mine)
            yield(); /* so that they overtake each other */
        CHECK_EQ(weft_send(c->results, v), 0);
    }
    weft_waitgroup_done(&c->consumers);
    return 0;
}

static int feed(void *p)
{
    struct crowd *c = p;
    for (int i = 0; i < ITEMS; i++) {
        int v = marks[(size_t)i % (sizeof marks / sizeof *marks)];
        c->fed += v;
        CHECK_EQ(weft_send(c->work, v), 0);
    }
    weft_chan_close(c->work);
    CHECK_EQ(weft_waitgroup_wait(&c->consumers), 0);
    weft_chan_close(c->results);
    return 0;
}

static int multi_consumer(void *arg)
{
    static struct crowd c; /* the feeder may be the last to look */
    int64_t sum = 0, n = 0;
    (void)arg;
    c = (struct crowd){.work = make(CONSUMERS * 3),
        .results = make(CONSUMERS * 3),
        .consumers = WEFT_WAITGROUP_INIT};
    weft_waitgroup_add(&c.consumers, CONSUMERS);
    for (int i = 0; i < CONSUMERS; i++)
        go(consume, &c);
    go(feed, &c);
    for (int v; weft_recv(c.results, &v) == 1; n++)
        sum += v;
    CHECK_EQ(n, ITEMS);
    CHECK_EQ(sum, c.fed);
    weft_chan_free(c.work);
    weft_chan_free(c.results);
    return 0;
}

TEST(C10_multi_consumer)
{
    ON_WORKERS(multi_consumer);
}

/* ---- C10: elements on the stack of a fiber that waits, while its unused pages go ---- */

enum { DEEP_BYTES = 150 << 10, TURNS = 10 };

static __attribute__((noinline)) unsigned dig(size_t bytes, unsigned salt)
{
    volatile unsigned char hole[4096];
    hole[0] = (unsigned char)salt;
    hole[sizeof hole - 1] = (unsigned char)(salt >> 8);
    unsigned below = bytes > sizeof hole ? dig(bytes - sizeof hole, salt + 1) : 0;
    return below + hole[0] + hole[sizeof hole - 1];
}

static void take_unused_pages(void)
{
    weft__enter();
    weft__shrink_all(INT64_MAX);
    weft__leave();
}

struct deep {
    int_chan c, never;
    bool selects;
};

static int digs_and_sends(void *p)
{
    struct deep *d = p;
    unsigned deep = dig(DEEP_BYTES, 3);
    for (int i = 0; i < TURNS; i++) {
        int sent = 0;
        if (d->selects)
            CHECK_EQ(weft_select(WEFT_SEND(d->c, i, &sent), WEFT_RECV(d->never, NULL, NULL)), 0);
        else
            sent = weft_send(d->c, i);
        CHECK_EQ(sent, 0);
        CHECK_EQ(dig(DEEP_BYTES, 3), deep);
    }
    weft_chan_close(d->c);
    return 0;
}

static int digs_and_receives(void *p)
{
    struct deep *d = p;
    unsigned deep = dig(DEEP_BYTES, 3);
    int v = -1, got = 1, n = 0;
    for (;; n++) {
        if (d->selects)
            CHECK_EQ(weft_select(WEFT_RECV(d->c, &v, &got), WEFT_RECV(d->never, NULL, NULL)), 0);
        else
            got = weft_recv(d->c, &v);
        if (got == 0)
            break;
        CHECK_EQ(v, n);
        CHECK_EQ(dig(DEEP_BYTES, 3), deep);
    }
    CHECK_EQ(n, TURNS);
    weft_chan_close(d->never);
    return 0;
}

static int elements_on_stacks(void *arg)
{
    (void)arg;
    for (int selects = 0; selects < 2; selects++) {
        enum weft__reason reason[] = {selects ? WEFT__WAIT_SELECT : WEFT__WAIT_CHAN_SEND,
            selects ? WEFT__WAIT_SELECT : WEFT__WAIT_CHAN_RECV};
        struct deep out = {.c = make(0), .never = make(0), .selects = selects};
        struct deep in = {.c = make(0), .never = make(0), .selects = selects};
        struct weft__fiber *sender = go(digs_and_sends, &out);
        struct weft__fiber *receiver = go(digs_and_receives, &in);
        int v;
        for (int i = 0; i < TURNS; i++) {
            until_parked(sender, reason[0]);
            until_parked(receiver, reason[1]);
            take_unused_pages();
            CHECK_EQ(weft_recv(out.c, &v), 1);
            CHECK_EQ(v, i);
            CHECK_EQ(weft_send(in.c, i), 0);
        }
        CHECK_EQ(weft_recv(out.c, &v), 0);
        weft_chan_close(in.c);
        CHECK_EQ(weft_recv(in.never, &v), 0); /* the receiver has looked at everything */
        weft_chan_free(out.c);
        weft_chan_free(out.never);
        weft_chan_free(in.c);
        weft_chan_free(in.never);
    }
    return 0;
}

TEST(C10_elements_on_stacks_whose_pages_go)
{
    ON_WORKERS(elements_on_stacks);
}
