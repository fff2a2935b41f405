// SPDX-License-Identifier: Apache-2.0
/*
 * test_select.c - select: Go's conformance cases (C07 doubleselect, C09 SelfSelect and
 * SelectStress, NonblockSelectRace, SelectFairness, SelectDuplicateChannel, PseudoRandomSend),
 * time-outs, defaults, sets known only at run time, cancellation. On 1, 2 and 8 workers.
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

/* ---- C07: a select fires exactly one case ---- */

enum { DOUBLE = TEST_SLOW ? 10000 : 100000 };

struct doubles {
    int_chan c[4], all;
    _Atomic int forwarders;
};

struct forwarder {
    struct doubles *d;
    int which;
};

static int double_sender(void *p)
{
    struct doubles *d = p;
    for (int i = 0; i < DOUBLE; i++) {
        int rc = weft_select(WEFT_SEND(d->c[0], i, NULL), WEFT_SEND(d->c[1], i, NULL),
            WEFT_SEND(d->c[2], i, NULL), WEFT_SEND(d->c[3], i, NULL));
        CHECK(rc >= 0 && rc < 4);
    }
    for (int k = 0; k < 4; k++)
        weft_chan_close(d->c[k]);
    return 0;
}

static int forward(void *p)
{
    struct forwarder *f = p;
    int v;
    while (weft_recv(f->d->c[f->which], &v) == 1)
        CHECK_EQ(weft_send(f->d->all, v), 0);
    if (at_sub(&f->d->forwarders, 1) == 1)
        weft_chan_close(f->d->all);
    return 0;
}

static int doubleselect(void *arg)
{
    static struct doubles d;
    static struct forwarder f[4];
    static char seen[DOUBLE];
    int v, n = 0;
    memset(seen, 0, sizeof seen);
    d.all = make(0);
    at_store(&d.forwarders, 4);
    for (int k = 0; k < 4; k++) {
        d.c[k] = make(0);
        f[k] = (struct forwarder){&d, k};
        go(forward, &f[k]);
    }
    go(double_sender, &d);
    while (weft_recv(d.all, &v) == 1) {
        CHECK_EQ(seen[v], 0);
        seen[v] = 1;
        n++;
    }
    CHECK_EQ(n, DOUBLE);
    return 0;
}

TEST(C07_doubleselect)
{
    ON_WORKERS(doubleselect);
}

/* ---- C09: the same channel as send and receive ---- */

struct self {
    int_chan c;
    int me;
    _Atomic int *done;
};

static int self_select(void *p)
{
    struct self *s = p;
    for (int v, i = 0; i < 1000; i++) {
        int send_first = s->me == 0 || i % 2 == 0, rc;
        if (send_first)
            rc = weft_select(WEFT_SEND(s->c, s->me, NULL), WEFT_RECV(s->c, &v, NULL));
        else
            rc = weft_select(WEFT_RECV(s->c, &v, NULL), WEFT_SEND(s->c, s->me, NULL));
        CHECK(rc == 0 || rc == 1);
        if (rc == send_first && weft_chan_cap(s->c) == 0)
            CHECK(v != s->me);
    }
    at_add(s->done, 1);
    return 0;
}

static int self_selects(void *arg)
{
    for (size_t cap = 0; cap <= 10; cap += 10) {
        _Atomic int done = 0;
        int_chan c = make(cap);
        struct self a = {c, 0, &done}, b = {c, 1, &done};
        go(self_select, &a);
        go(self_select, &b);
        until(&done, 2); /* with capacity 0 each meeting is one turn of both: both end */
        weft_chan_free(c);
    }
    return 0;
}

TEST(C09_self_select)
{
    ON_WORKERS(self_selects);
}

/* ---- C09: SelectStress ---- */

enum { STRESS = TEST_SLOW ? 4000 : 100000 };

struct stress {
    int_chan c[4];
    int each; /* elements per channel and sender */
    _Atomic int done;
    _Atomic long sum;
};

struct stress_party {
    struct stress *s;
    int which;
};

static int plain_send(void *p)
{
    struct stress_party *q = p;
    for (int i = 0; i < q->s->each; i++)
        CHECK_EQ(weft_send(q->s->c[q->which], 1), 0);
    at_add(&q->s->done, 1);
    return 0;
}

static int plain_recv(void *p)
{
    struct stress_party *q = p;
    for (int v, i = 0; i < q->s->each; i++) {
        CHECK_EQ(weft_recv(q->s->c[q->which], &v), 1);
        at_add(&q->s->sum, v);
    }
    at_add(&q->s->done, 1);
    return 0;
}

static int select_send(void *p)
{
    struct stress *s = ((struct stress_party *)p)->s;
    int_chan c[4];
    int left[4] = {s->each, s->each, s->each, s->each};
    memcpy(c, s->c, sizeof c);
    for (int i = 0; i < 4 * s->each; i++) {
        int k = weft_select(WEFT_SEND(c[3], 1, NULL), WEFT_SEND(c[2], 1, NULL),
            WEFT_SEND(c[0], 1, NULL), WEFT_SEND(c[1], 1, NULL));
        static const int channel[] = {3, 2, 0, 1};
        CHECK(k >= 0 && k < 4);
        if (--left[channel[k]] == 0)
            c[channel[k]].chan = NULL;
    }
    at_add(&s->done, 1);
    return 0;
}

static int select_recv(void *p)
{
    struct stress *s = ((struct stress_party *)p)->s;
    int_chan c[4];
    int v[4], left[4] = {s->each, s->each, s->each, s->each};
    memcpy(c, s->c, sizeof c);
    for (int i = 0; i < 4 * s->each; i++) {
        int k = weft_select(WEFT_RECV(c[0], &v[0], NULL), WEFT_RECV(c[1], &v[1], NULL),
            WEFT_RECV(c[2], &v[2], NULL), WEFT_RECV(c[3], &v[3], NULL));
        CHECK(k >= 0 && k < 4);
        at_add(&s->sum, v[k]);
        if (--left[k] == 0)
            c[k].chan = NULL;
    }
    at_add(&s->done, 1);
    return 0;
}

static int select_stress(void *arg)
{
    static const size_t caps[] = {0, 0, 2, 3};
    struct stress s = {.each = STRESS};
    struct stress_party q[4];
    for (int k = 0; k < 4; k++)
        s.c[k] = make(caps[k]);
    for (int k = 0; k < 4; k++) {
        q[k] = (struct stress_party){&s, k};
        go(plain_send, &q[k]);
        go(plain_recv, &q[k]);
    }
    go(select_send, &q[0]);
    go(select_recv, &q[0]);
    until(&s.done, 10);
    CHECK_EQ(at_load(&s.sum), 8L * STRESS);
    for (int k = 0; k < 4; k++) {
        CHECK_EQ(weft_chan_len(s.c[k]), 0);
        weft_chan_free(s.c[k]);
    }
    return 0;
}

TEST(C09_select_stress)
{
    ON_WORKERS(select_stress);
}

/* ---- NonblockSelectRace: at each moment one of the two is ready, so default is never taken
 * ---- */

struct nonblock {
    int_chan a, b, done;
};

static int nonblock_select(void *p)
{
    struct nonblock *n = p;
    int v, rc = weft_select(WEFT_RECV(n->a, &v, NULL), WEFT_RECV(n->b, &v, NULL), WEFT_DEFAULT);
    CHECK_EQ(weft_send(n->done, rc), 0);
    return 0;
}

static int nonblock_race(void *arg)
{
    int_chan done = make(1);
    for (int i = 0; i < 10000; i++) {
        struct nonblock n = {make(1), make(1), done};
        int v, rc;
        CHECK_EQ(weft_send(n.a, 1), 0);
        go(nonblock_select, &n);
        if (i & 1)
            CHECK_EQ(weft_send(n.b, 1), 0);
        else
            weft_chan_close(n.b); /* NonblockSelectRace2 */
        weft_select(WEFT_RECV(n.a, &v, NULL), WEFT_DEFAULT);
        CHECK_EQ(weft_recv(done, &rc), 1);
        CHECK(rc == 0 || rc == 1);
        weft_chan_free(n.a);
        weft_chan_free(n.b);
    }
    weft_chan_free(done);
    return 0;
}

TEST(C05_nonblock_select_race)
{
    ON_WORKERS(nonblock_race);
}

/* NonblockRecvRace: a receive with default on a buffered channel that was filled before never
 * misses, though a close follows. */
static int nonblock_recv(void *p)
{
    struct nonblock *n = p;
    int v, got = -1;
    int rc = weft_select(WEFT_RECV(n->a, &v, &got), WEFT_DEFAULT);
    CHECK_EQ(weft_send(n->done, rc), 0);
    return 0;
}

static int nonblock_recv_race(void *arg)
{
    int_chan done = make(1);
    for (int i = 0; i < 10000; i++) {
        struct nonblock n = {.a = make(1), .done = done};
        int v, rc;
        CHECK_EQ(weft_send(n.a, 1), 0);
        go(nonblock_recv, &n);
        weft_chan_close(n.a);
        weft_recv(n.a, &v);
        CHECK_EQ(weft_recv(done, &rc), 1);
        CHECK_EQ(rc, 0);
        weft_chan_free(n.a);
    }
    weft_chan_free(done);
    return 0;
}

TEST(C05_nonblock_recv_race)
{
    ON_WORKERS(nonblock_recv_race);
}

/* ---- fairness: each ready case has the same chance ---- */

static int fairness(void *arg)
{
    enum { TRIALS = 20000 };
    int_chan empty1 = make(0), empty2 = make(0), a = make(TRIALS + 1), b = make(TRIALS + 1);
    int v, count[4] = {0};
    for (int i = 0; i <= TRIALS; i++) {
        CHECK_EQ(weft_send(a, i), 0);
        CHECK_EQ(weft_send(b, i), 0);
    }
    for (int i = 0; i < TRIALS; i++) {
        int k = weft_select(WEFT_RECV(empty1, &v, NULL), WEFT_RECV(a, &v, NULL),
            WEFT_RECV(empty2, &v, NULL), WEFT_RECV(b, &v, NULL));
        CHECK(k == 1 || k == 3);
        count[k]++;
    }
    /* five standard deviations of a fair coin: 0.5 / sqrt(20000) = 0.0035 */
    double share = (double)count[1] / TRIALS;
    CHECK_MSG(share > 0.482 && share < 0.518, "share of the first case: %f", share);
    weft_chan_free(empty1);
    weft_chan_free(empty2);
    weft_chan_free(a);
    weft_chan_free(b);
    return 0;
}

TEST(C09_fairness)
{
    ON_WORKERS(fairness);
}

static int lots_of_three(void *arg)
{
    enum { TRIALS = 30000 };
    int_chan c[3] = {make(0), make(0), make(0)};
    int count[3] = {0}, got;
    for (int k = 0; k < 3; k++)
        weft_chan_close(c[k]);
    for (int i = 0; i < TRIALS; i++) {
        int k = weft_select(
            WEFT_RECV(c[0], NULL, &got), WEFT_RECV(c[1], NULL, &got), WEFT_RECV(c[2], NULL, &got));
        CHECK_EQ(got, 0);
        count[k]++;
    }
    for (int k = 0; k < 3; k++) /* 10000 expected, standard deviation 82 */
        CHECK_MSG(count[k] > 9590 && count[k] < 10410, "case %d: %d", k, count[k]);
    return 0;
}

TEST(C09_lots_of_three)
{
    ON_WORKERS(lots_of_three);
}

/* PseudoRandomSend: both values are seen, neither in a long run. */
static int random_sender(void *p)
{
    int_chan c = *(int_chan *)p;
    for (int i = 0; i < 100; i++)
        CHECK(weft_select(WEFT_SEND(c, 0, NULL), WEFT_SEND(c, 1, NULL)) >= 0);
    return 0;
}

static int pseudo_random_send(void *arg)
{
    for (size_t cap = 0; cap <= 100; cap += 100) {
        static int_chan c;
        c = make(cap);
        int v, ones = 0;
        go(random_sender, &c);
        for (int i = 0; i < 100; i++) {
            CHECK_EQ(weft_recv(c, &v), 1);
            ones += v;
        }
        CHECK_MSG(cap == 0 || (ones > 10 && ones < 90), "%d of 100", ones);
    }
    return 0;
}

TEST(C09_pseudo_random_send)
{
    ON_WORKERS(pseudo_random_send);
}

/* ---- SelectDuplicateChannel ---- */

struct duplicate {
    int_chan c, d, e;
    _Atomic int started;
};

static int duplicate_reader(void *p)
{
    struct duplicate *q = p;
    int v;
    CHECK(weft_select(WEFT_RECV(q->c, &v, NULL), WEFT_RECV(q->d, &v, NULL),
              WEFT_RECV(q->c, &v, NULL)) >= 0);
    CHECK_EQ(weft_send(q->e, 9), 0);
    return 0;
}

static int duplicates(void *arg)
{
    for (int i = 0; i < 200; i++) {
        struct duplicate q = {.c = make(0), .d = make(0), .e = make(0)};
        struct weft__fiber *f = go(duplicate_reader, &q);
        until_parked(f, WEFT__WAIT_SELECT);
        struct weft__fiber *g = go(duplicate_reader, &q);
        until_parked(g, WEFT__WAIT_SELECT);
        int v;
        if (i & 1)
            CHECK_EQ(weft_send(q.c, 8), 0);
        else
            CHECK_EQ(weft_send(q.d, 7), 0);
        CHECK_EQ(weft_recv(q.e, &v), 1); /* the first reader is out, and left no waiter behind */
        CHECK_EQ(weft_send(q.c, 8), 0);
        CHECK_EQ(weft_recv(q.e, &v), 1);
        CHECK_EQ(weft_try_send(q.c, 1), -EAGAIN);
        CHECK_EQ(weft_try_send(q.d, 1), -EAGAIN);
        weft_chan_free(q.c);
        weft_chan_free(q.d);
        weft_chan_free(q.e);
    }
    return 0;
}

TEST(C09_duplicate_channel)
{
    ON_WORKERS(duplicates);
}

/* ---- time-outs ---- */

static int timeouts(void *arg)
{
    int_chan c = make(0), full = make(1);
    int v, got = 5;
    CHECK_EQ(weft_send(full, 1), 0);
    int64_t before = weft__clock_ns();
    CHECK_EQ(weft_select(WEFT_RECV(c, &v, &got), WEFT_AFTER(3 * WEFT_MS)), 1);
    CHECK(weft__clock_ns() - before >= 3 * WEFT_MS);
    CHECK_EQ(got, 5); /* a case that did not happen is untouched */
    CHECK_EQ(weft_select(WEFT_AFTER(WEFT_MS)), 0);
    CHECK_EQ(weft_select(WEFT_AFTER(WEFT_SEC), WEFT_AFTER(WEFT_MS)), 1); /* the shortest */
    CHECK_EQ(weft_select(WEFT_RECV(c, &v, NULL), WEFT_AFTER(0)), 1);
    CHECK_EQ(weft_select(WEFT_RECV(c, &v, NULL), WEFT_AFTER(-5)), 1);
    CHECK_EQ(weft_select(WEFT_AFTER(0), WEFT_RECV(full, &v, &got)), 1); /* what is possible first */
    CHECK_EQ(got, 1);
    CHECK_EQ(weft_select(WEFT_RECV(c, &v, NULL), WEFT_AFTER(0), WEFT_DEFAULT), -EAGAIN);
    weft_chan_free(c);
    weft_chan_free(full);
    return 0;
}

TEST(timeouts)
{
    ON_WORKERS(timeouts);
}

/* A partner and the timer race; each element is delivered or left. */
struct late {
    int_chan c;
    _Atomic int done;
    int rc;
};

static int late_receiver(void *p)
{
    struct late *l = p;
    int v;
    l->rc = weft_select(WEFT_RECV(l->c, &v, NULL), WEFT_AFTER(50 * WEFT_US));
    at_store(&l->done, 1);
    return 0;
}

static int timeout_races(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        struct late l = {.c = make(0)};
        go(late_receiver, &l);
        int sent = -EAGAIN;
        while (!at_load(&l.done) && (sent = weft_try_send(l.c, 1)) == -EAGAIN)
            yield();
        until(&l.done, 1);
        CHECK_EQ(l.rc, sent == 0 ? 0 : 1);
        weft_chan_free(l.c);
    }
    return 0;
}

TEST(timeout_races_with_a_partner)
{
    ON_WORKERS(timeout_races);
}

/* TimerFairness: a time-out is served although another case is always ready. */
static int timer_fairness(void *arg)
{
    int_chan c = make(0), stop = make(0);
    struct late l = {.c = stop};
    weft_chan_close(c);
    go(late_receiver, &l);
    while (!at_load(&l.done)) {
        CHECK_EQ(weft_select(WEFT_RECV(c, NULL, NULL), WEFT_AFTER(WEFT_SEC)), 0);
        yield();
    }
    return 0;
}

TEST(C24_timer_fairness)
{
    ON_WORKERS(timer_fairness);
}

/* ---- sets known at run time ---- */

static int many_cases(void *arg)
{
    enum { N = 1000 };
    weft_chan **c = calloc(N, sizeof(*c));
    struct weft_case *cases = calloc(N + 1, sizeof *cases);
    int *v = calloc(N, sizeof *v), got = -1;
    for (int i = 0; i < N; i++) {
        CHECK_EQ(weft_chan_new(sizeof(int), 1, &c[i]), 0);
        cases[i] = WEFT_RECV_FROM(c[i], &v[i], &got);
    }
    cases[N] = WEFT_AFTER(WEFT_MS);
    CHECK_EQ(weft_selectv(cases, N + 1), N);
    cases[N] = WEFT_DEFAULT;
    CHECK_EQ(weft_selectv(cases, N + 1), -EAGAIN);
    for (int i = 0; i < N; i += 37) {
        CHECK_EQ(weft_chan_send(c[i], &(int){i + 1}), 0);
        CHECK_EQ(weft_selectv(cases, N), i);
        CHECK_EQ(got, 1);
        CHECK_EQ(v[i], i + 1);
    }
    cases[3].kind = 77;
    CHECK_EQ(weft_selectv(cases, N), -EINVAL);
    cases[3].kind = WEFT_CASE_NONE;
    CHECK_EQ(weft_selectv(cases, N + 1), -EAGAIN);
    CHECK_EQ(weft_selectv(cases, 65536), -EINVAL);
    for (int i = 0; i < N; i++)
        weft_chan_free(c[i]);
    free(c);
    free(cases);
    free(v);
    return 0;
}

TEST(many_cases)
{
    ON_WORKERS(many_cases);
}

/* ---- closing wakes a select; results of the case that happened ---- */

struct waiter {
    int_chan a, b;
    struct fake_ctx ctx;
    _Atomic int done;
    int rc, got, sent, v;
};

static int waiting_select(void *p)
{
    struct waiter *w = p;
    under(&w->ctx);
    w->v = w->got = w->sent = 77;
    w->rc = weft_select(
        WEFT_RECV(w->a, &w->v, &w->got), WEFT_SEND(w->b, 5, &w->sent), WEFT_AFTER(600 * WEFT_SEC));
    at_store(&w->done, 1);
    return 0;
}

static int closing(void *arg)
{
    for (int which = 0; which < 5; which++) {
        struct waiter w = {.a = make(0), .b = make(0)};
        struct weft__fiber *f = go(waiting_select, &w);
        int v = 0;
        until_parked(f, WEFT__WAIT_SELECT);
        if (which == 0)
            weft_chan_close(w.a);
        else if (which == 1)
            weft_chan_close(w.b);
        else if (which == 2)
            CHECK_EQ(weft_send(w.a, 3), 0);
        else if (which == 3)
            CHECK_EQ(weft_recv(w.b, &v), 1);
        else
            cancel(f, &w.ctx, -ETIMEDOUT);
        until(&w.done, 1);
        static const int rc[] = {0, 1, 0, 1, -ETIMEDOUT}, got[] = {0, 77, 1, 77, 77},
                         sent[] = {77, -EPIPE, 77, 0, 77}, value[] = {0, 77, 3, 77, 77};
        CHECK_EQ(w.rc, rc[which]);
        CHECK_EQ(w.got, got[which]);
        CHECK_EQ(w.sent, sent[which]);
        CHECK_EQ(w.v, value[which]);
        CHECK_EQ(v, which == 3 ? 5 : 0);
        weft_chan_free(w.a); /* misuse if a waiter had been left behind */
        weft_chan_free(w.b);
    }
    return 0;
}

TEST(each_way_out_of_a_waiting_select)
{
    ON_WORKERS(closing);
}

/* ---- plain threads ---- */

static void *thread_selects(void *p)
{
    struct stress *s = p;
    struct stress_party q = {s, 0};
    select_recv(&q);
    return NULL;
}

static int select_from_thread(void *arg)
{
    static const size_t caps[] = {0, 0, 2, 3};
    struct stress s = {.each = 4000};
    struct stress_party q[4];
    pthread_t t;
    for (int k = 0; k < 4; k++)
        s.c[k] = make(caps[k]);
    CHECK_EQ(pthread_create(&t, NULL, thread_selects, &s), 0);
    for (int k = 0; k < 4; k++) {
        q[k] = (struct stress_party){&s, k};
        go(plain_send, &q[k]);
    }
    until(&s.done, 5);
    pthread_join(t, NULL);
    CHECK_EQ(at_load(&s.sum), 4L * s.each);
    for (int k = 0; k < 4; k++)
        weft_chan_free(s.c[k]);
    return 0;
}

TEST(thread_selects)
{
    ON_WORKERS(select_from_thread);
}
