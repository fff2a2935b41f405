// SPDX-License-Identifier: Apache-2.0
/*
 * test_kit.c - waitgroup, cond, semaphore, barrier: Go's conformance cases (C15
 * waitgroup, C16 cond: signal, generations, broadcast, race, stealing), order, cancellation,
 * misuse. On 1, 2 and 8 workers.
 */
#include <weft/barrier.h>
#include <weft/cond.h>
#include <weft/sema.h>
#include <weft/waitgroup.h>

#include "sync_test.h"

/* ---- C15: two groups as a barrier of 16 fibers, eight rounds on the same objects ---- */

struct rounds {
    weft_waitgroup first, second;
    _Atomic int exited;
};

static int group_member(void *p)
{
    struct rounds *r = p;
    weft_waitgroup_done(&r->first);
    CHECK_EQ(weft_waitgroup_wait(&r->second), 0);
    at_add(&r->exited, 1);
    return 0;
}

static int rounds(void *arg)
{
    struct rounds r = {.first = WEFT_WAITGROUP_INIT, .second = WEFT_WAITGROUP_INIT};
    for (int round = 0; round < 8; round++) {
        at_store(&r.exited, 0);
        weft_waitgroup_add(&r.first, 16);
        weft_waitgroup_add(&r.second, 16);
        for (int i = 0; i < 16; i++)
            go(group_member, &r);
        CHECK_EQ(weft_waitgroup_wait(&r.first), 0);
        for (int i = 0; i < 16; i++) {
            CHECK_EQ(at_load(&r.exited), 0); /* nobody passes before the last done */
            weft_waitgroup_done(&r.second);
        }
        until(&r.exited, 16);
    }
    weft_waitgroup_fini(&r.first);
    weft_waitgroup_fini(&r.second);
    return 0;
}

TEST(C15_rounds)
{
    ON_WORKERS(rounds);
}

struct counted {
    weft_waitgroup *w;
    _Atomic int *n;
};

static int count_and_done(void *p)
{
    struct counted c = *(struct counted *)p;
    at_add(c.n, 1);
    weft_waitgroup_done(c.w);
    return 0;
}

static int no_spurious_wake(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        weft_waitgroup w = WEFT_WAITGROUP_INIT; /* on this stack: free to go once wait returns */
        _Atomic int n = 0;
        struct counted c = {&w, &n};
        weft_waitgroup_add(&w, 1);
        go(count_and_done, &c);
        weft_waitgroup_add(&w, 1);
        go(count_and_done, &c);
        CHECK_EQ(weft_waitgroup_wait(&w), 0);
        CHECK_EQ(at_load(&n), 2);
        memset(&w, 0xff, sizeof w);
    }
    return 0;
}

TEST(C15_no_spurious_wake)
{
    ON_WORKERS(no_spurious_wake);
}

static void negative(void)
{
    weft_waitgroup w = WEFT_WAITGROUP_NAMED("jobs");
    weft_waitgroup_add(&w, 1);
    weft_waitgroup_done(&w);
    weft_waitgroup_done(&w);
}

static int group_waiter(void *p)
{
    weft_waitgroup_wait(p);
    return 0;
}

static int reuse(void *arg)
{
    static weft_waitgroup w = WEFT_WAITGROUP_INIT;
    weft_waitgroup_add(&w, 1);
    until_parked(go(group_waiter, &w), WEFT__WAIT_WAITGROUP);
    weft_waitgroup_done(&w);
    weft_waitgroup_add(&w, 1); /* the waiter has not returned yet: one worker */
    nap(WEFT_SEC);
    return 0;
}

static void reuse_too_early(void)
{
    run_on(1, reuse, NULL);
}

static int add_race(void *arg)
{
    static weft_waitgroup w = WEFT_WAITGROUP_INIT;
    weft_waitgroup_add(&w, 1);
    until_parked(go(group_waiter, &w), WEFT__WAIT_WAITGROUP);
    /* the counter at 0 with a waiter: what an add sees that races with the done which ends a
     * round */
    at_store((_Atomic uint64_t *)(void *)w.state_, 1);
    weft_waitgroup_add(&w, 3);
    return 0;
}

static void add_racing_wait(void)
{
    run_on(1, add_race, NULL);
}

TEST(C15_misuse)
{
    EXPECT_DEATH(negative, "negative counter of waitgroup \"jobs\" (made at ");
    EXPECT_DEATH(reuse_too_early, "reuse before a wait has returned of waitgroup");
    EXPECT_DEATH(add_racing_wait, "add from 0 races with a wait of waitgroup");
}

/* ---- cancellation of every kind of wait ---- */

struct cancelled {
    struct fake_ctx ctx;
    weft_waitgroup w;
    weft_sema s;
    weft_barrier b;
    weft_mutex m;
    weft_cond c;
    int (*op)(struct cancelled *);
    int rc;
    _Atomic int done;
};

static int wait_group(struct cancelled *x)
{
    return weft_waitgroup_wait(&x->w);
}

static int wait_sema(struct cancelled *x)
{
    return weft_sema_acquire(&x->s, 2);
}

static int wait_barrier(struct cancelled *x)
{
    return weft_barrier_wait(&x->b);
}

static int wait_cond(struct cancelled *x)
{
    weft_mutex_lock(&x->m);
    int rc = weft_cond_wait(&x->c, &x->m);
    CHECK(weft_mutex_held(&x->m)); /* whatever the result */
    weft_mutex_unlock(&x->m);
    return rc;
}

static int run_cancelled(void *p)
{
    struct cancelled *x = p;
    under(&x->ctx);
    x->rc = x->op(x);
    CHECK_EQ(x->op(x), -ECANCELED); /* sticky */
    at_store(&x->done, 1);
    return 0;
}

static void check_cancelled(int (*op)(struct cancelled *), enum weft__reason reason)
{
    struct cancelled x = {.w = WEFT_WAITGROUP_INIT,
        .s = WEFT_SEMA_INIT(1),
        .b = WEFT_BARRIER_INIT(2),
        .m = WEFT_MUTEX_INIT,
        .c = WEFT_COND_INIT,
        .op = op};
    weft_waitgroup_add(&x.w, 1);
    struct weft__fiber *f = go(run_cancelled, &x);
    for (int i = 0; i < 5; i++) { /* stale interruptions first */
        until_parked(f, reason);
        weft__enter();
        weft__interrupt(f);
        weft__leave();
    }
    until_parked(f, reason);
    cancel(f, &x.ctx, -ECANCELED);
    until(&x.done, 1);
    CHECK_EQ(x.rc, -ECANCELED);
    weft_waitgroup_done(&x.w);
    weft_waitgroup_fini(&x.w); /* each complains if a waiter was left behind */
    weft_sema_fini(&x.s);
    weft_barrier_fini(&x.b);
    weft_cond_fini(&x.c);
    weft_mutex_fini(&x.m);
}

static int cancellations(void *arg)
{
    check_cancelled(wait_group, WEFT__WAIT_WAITGROUP);
    check_cancelled(wait_sema, WEFT__WAIT_SEMA);
    check_cancelled(wait_barrier, WEFT__WAIT_BARRIER);
    check_cancelled(wait_cond, WEFT__WAIT_COND);
    return 0;
}

TEST(cancellation)
{
    ON_WORKERS(cancellations);
}

/* ---- C16: cond ---- */

struct conds {
    weft_mutex m;
    weft_cond c;
    int phase, awake, generation; /* guarded by m */
    int order[100];
    _Atomic int running, done;
};

static int signal_waiter(void *p)
{
    struct conds *s = p;
    weft_mutex_lock(&s->m);
    at_add(&s->running, 1);
    CHECK_EQ(weft_cond_wait(&s->c, &s->m), 0);
    s->order[s->awake++] = 1;
    weft_mutex_unlock(&s->m);
    at_add(&s->done, 1);
    return 0;
}

static int cond_signal(void *arg)
{
    struct conds s = {.m = WEFT_MUTEX_INIT, .c = WEFT_COND_INIT};
    weft_cond_signal(&s.c); /* nobody waits: nothing is kept */
    for (int i = 0; i < 4; i++)
        until_parked(go(signal_waiter, &s), WEFT__WAIT_COND);
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(at_load(&s.done), i);
        weft_mutex_lock(&s.m);
        weft_cond_signal(&s.c);
        weft_mutex_unlock(&s.m);
        until(&s.done, i + 1);
        for (int k = 0; k < 5; k++)
            yield();
        CHECK_EQ(at_load(&s.done), i + 1); /* one signal, one waiter */
    }
    weft_cond_fini(&s.c);
    return 0;
}

TEST(C16_signal)
{
    ON_WORKERS(cond_signal);
}

/* Signals go in the order of the waits. */
struct generation {
    struct conds *s;
    int k;
};

static int generation_waiter(void *p)
{
    struct generation *g = p;
    weft_mutex_lock(&g->s->m);
    at_add(&g->s->running, 1);
    CHECK_EQ(weft_cond_wait(&g->s->c, &g->s->m), 0);
    g->s->order[g->s->awake++] = g->k;
    weft_mutex_unlock(&g->s->m);
    at_add(&g->s->done, 1);
    return 0;
}

static int signal_generations(void *arg)
{
    struct conds s = {.m = WEFT_MUTEX_INIT, .c = WEFT_COND_INIT};
    struct generation g[100];
    for (int i = 0; i < 100; i++) {
        g[i] = (struct generation){&s, i};
        go(generation_waiter, &g[i]);
        if (i > 0) {
            until(&s.done, i);
            CHECK_EQ(s.order[i - 1], i - 1);
        }
        until(&s.running, i + 1);
        weft_mutex_lock(&s.m); /* it waits now */
        weft_cond_signal(&s.c);
        weft_mutex_unlock(&s.m);
    }
    until(&s.done, 100);
    return 0;
}

TEST(C16_signal_generations)
{
    ON_WORKERS(signal_generations);
}

enum { CROWD = 50 };

static int broadcast_waiter(void *p)
{
    struct conds *s = p;
    weft_mutex_lock(&s->m);
    for (int phase = 0; phase < 20; phase++) {
        s->awake++;
        while (s->phase == phase)
            CHECK_EQ(weft_cond_wait(&s->c, &s->m), 0);
    }
    weft_mutex_unlock(&s->m);
    at_add(&s->done, 1);
    return 0;
}

static void *broadcast_thread(void *p)
{
    broadcast_waiter(p);
    return NULL;
}

static int cond_broadcast(void *arg)
{
    struct conds s = {.m = WEFT_MUTEX_INIT, .c = WEFT_COND_INIT};
    pthread_t t;
    for (int i = 1; i < CROWD; i++)
        go(broadcast_waiter, &s);
    CHECK_EQ(pthread_create(&t, NULL, broadcast_thread, &s), 0);
    for (int phase = 0; phase < 20; phase++) {
        weft_mutex_lock(&s.m);
        while (s.awake < CROWD) {
            weft_mutex_unlock(&s.m);
            nap(20000);
            weft_mutex_lock(&s.m);
        }
        s.awake = 0;
        s.phase++;
        weft_cond_broadcast(&s.c);
        weft_mutex_unlock(&s.m);
    }
    until(&s.done, CROWD);
    pthread_join(t, NULL);
    weft_cond_fini(&s.c);
    return 0;
}

TEST(C16_broadcast)
{
    ON_WORKERS(cond_broadcast);
}

/* SignalStealing: of two waiters, one signalled and one not, the signal is not lost to a third. */
struct stealing {
    weft_mutex m;
    weft_cond c;
    int condition; /* guarded by m */
    _Atomic int first, done;
};

static int steal_first(void *p)
{
    struct stealing *s = p;
    weft_mutex_lock(&s->m);
    at_store(&s->first, 1);
    CHECK_EQ(weft_cond_wait(&s->c, &s->m), 0);
    weft_mutex_unlock(&s->m);
    at_add(&s->done, 1);
    return 0;
}

static int steal_second(void *p)
{
    struct stealing *s = p;
    weft_mutex_lock(&s->m);
    while (!s->condition)
        CHECK_EQ(weft_cond_wait(&s->c, &s->m), 0);
    weft_mutex_unlock(&s->m);
    at_add(&s->done, 1);
    return 0;
}

static int signal_stealing(void *arg)
{
    for (int i = 0; i < 300; i++) {
        struct stealing s = {.m = WEFT_MUTEX_INIT, .c = WEFT_COND_INIT};
        go(steal_first, &s);
        until(&s.first, 1);
        weft_mutex_lock(&s.m);
        weft_mutex_unlock(&s.m);
        go(steal_second, &s);
        weft_cond_signal(&s.c); /* for the first, which waited already */
        until(&s.done, 1);
        weft_mutex_lock(&s.m);
        s.condition = 1;
        weft_cond_broadcast(&s.c);
        weft_mutex_unlock(&s.m);
        until(&s.done, 2);
    }
    return 0;
}

TEST(C16_signal_stealing)
{
    ON_WORKERS(signal_stealing);
}

static void wait_unlocked(void)
{
    weft_mutex m = WEFT_MUTEX_NAMED("state");
    weft_cond c = WEFT_COND_INIT;
    weft_cond_wait(&c, &m);
}

static void signal_ended(void)
{
    weft_cond c = WEFT_COND_NAMED("news");
    weft_cond_fini(&c);
    weft_cond_signal(&c);
}

static void acquire_ended(void)
{
    weft_sema s;
    weft_sema_init(&s, 1, "permits");
    weft_sema_fini(&s);
    weft_sema_release(&s, 1);
}

TEST(what_has_ended_is_named)
{
#ifndef NDEBUG
    EXPECT_DEATH(signal_ended, "use after free of cond \"news\"");
    EXPECT_DEATH(acquire_ended, "use after free of semaphore \"permits\"");
#else
    CHECK(signal_ended && acquire_ended); /* release builds do not look */
#endif
}

TEST(C16_misuse)
{
    EXPECT_DEATH(wait_unlocked, "wait on a cond without holding mutex \"state\"");
}

/* ---- semaphore ---- */

struct semas {
    weft_sema s;
    _Atomic int inside, most, done;
};

static int sema_user(void *p)
{
    struct semas *x = p;
    for (int i = 0; i < 200; i++) {
        uint64_t n = 1 + (uint64_t)i % 3;
        CHECK_EQ(weft_sema_acquire(&x->s, n), 0);
        int now = at_add(&x->inside, (int)n) + (int)n;
        CHECK(now <= 5);
        if (i % 4 == 0)
            yield();
        at_sub(&x->inside, (int)n);
        weft_sema_release(&x->s, n);
    }
    at_add(&x->done, 1);
    return 0;
}

static void *sema_thread(void *p)
{
    sema_user(p);
    return NULL;
}

static int sema_hammer(void *arg)
{
    struct semas x = {.s = WEFT_SEMA_INIT(5)};
    pthread_t t;
    for (int i = 0; i < 10; i++)
        go(sema_user, &x);
    CHECK_EQ(pthread_create(&t, NULL, sema_thread, &x), 0);
    until(&x.done, 11);
    pthread_join(t, NULL);
    CHECK_EQ(weft_sema_value(&x.s), 5);
    weft_sema_fini(&x.s);
    return 0;
}

TEST(sema_hammer)
{
    ON_WORKERS(sema_hammer);
}

struct request {
    weft_sema *s;
    uint64_t n;
    struct fake_ctx ctx;
    _Atomic int done;
    int rc;
};

static int request(void *p)
{
    struct request *r = p;
    under(&r->ctx);
    r->rc = weft_sema_acquire(r->s, r->n);
    at_store(&r->done, 1);
    return 0;
}

static int sema_order(void *arg)
{
    weft_sema s = WEFT_SEMA_INIT(2);
    struct request big = {.s = &s, .n = 5}, small = {.s = &s, .n = 1};
    struct weft__fiber *f = go(request, &big);
    until_parked(f, WEFT__WAIT_SEMA);
    CHECK(!weft_sema_try_acquire(&s, 1)); /* not past one that waits */
    until_parked(go(request, &small), WEFT__WAIT_SEMA);
    weft_sema_release(&s, 2);
    for (int i = 0; i < 10; i++)
        yield();
    CHECK_EQ(at_load(&small.done), 0); /* 4 are free, but the big one is first */
    weft_sema_release(&s, 1);
    until(&big.done, 1);
    weft_sema_release(&s, 1);
    until(&small.done, 1);
    CHECK_EQ(weft_sema_value(&s), 0);

    /* the one that holds up the queue is cancelled: the next is served then */
    weft_sema_release(&s, 3);
    big = (struct request){.s = &s, .n = 5};
    small = (struct request){.s = &s, .n = 3};
    f = go(request, &big);
    until_parked(f, WEFT__WAIT_SEMA);
    until_parked(go(request, &small), WEFT__WAIT_SEMA);
    cancel(f, &big.ctx, -ECANCELED);
    until(&small.done, 1);
    until(&big.done, 1);
    CHECK_EQ(big.rc, -ECANCELED);
    CHECK_EQ(small.rc, 0);
    CHECK_EQ(weft_sema_value(&s), 0);
    weft_sema_fini(&s);
    return 0;
}

TEST(sema_order)
{
    ON_WORKERS(sema_order);
}

static void sema_overflow(void)
{
    weft_sema s = WEFT_SEMA_INIT(UINT64_MAX);
    weft_sema_release(&s, 1);
}

TEST(sema_misuse)
{
    EXPECT_DEATH(sema_overflow, "too many permits of semaphore");
}

/* A released permit goes to the one that waits, not back to the releaser; and a releaser that lets
 * others run then finds that the waiter was first: by chance not always, as another worker may
 * take either, but in two of three cases at the least. */
enum { HANDOFFS = TEST_SLOW ? 1000 : 10000 };

struct handoff {
    weft_sema s;
    _Atomic int first, done;
};

static int sema_taker(void *p)
{
    struct handoff *x = p;
    int nobody = 0;
    CHECK_EQ(weft_sema_acquire(&x->s, 1), 0);
    at_cas(&x->first, &nobody, 1);
    weft_sema_release(&x->s, 1);
    at_store(&x->done, 1);
    return 0;
}

static int sema_handoff(void *arg)
{
    int waiter_first = 0;
    (void)arg;
    for (int i = 0; i < HANDOFFS; i++) {
        struct handoff x = {.s = WEFT_SEMA_INIT(0)};
        int nobody = 0;
        struct weft__fiber *f = go(sema_taker, &x);
        while (!is_parked(f, WEFT__WAIT_SEMA))
            yield();
        weft_sema_release(&x.s, 1);
        if (weft_sema_try_acquire(&x.s, 1)) /* it is the waiter's, until that gives it up */
            CHECK_EQ(at_load(&x.first), 1);
        yield();
        at_cas(&x.first, &nobody, 2);
        waiter_first += at_load(&x.first) == 1;
        until(&x.done, 1);
    }
    CHECK_MSG(waiter_first >= HANDOFFS * 2 / 3, "%d of %d", waiter_first, HANDOFFS);
    return 0;
}

TEST(C12_sema_handoff)
{
    ON_WORKERS(sema_handoff);
}

/* ---- barrier ---- */

enum { PARTIES = 7, ROUNDS = 300 };

struct barriers {
    weft_barrier b;
    _Atomic int arrived, serials, done;
};

static int party(void *p)
{
    struct barriers *x = p;
    for (int round = 1; round <= ROUNDS; round++) {
        at_add(&x->arrived, 1);
        int rc = weft_barrier_wait(&x->b);
        CHECK(rc == 0 || rc == 1);
        at_add(&x->serials, rc);
        CHECK(at_load(&x->arrived) >= round * PARTIES);
        CHECK(at_load(&x->arrived) < (round + 1) * PARTIES);
    }
    at_add(&x->done, 1);
    return 0;
}

static void *party_thread(void *p)
{
    party(p);
    return NULL;
}

static int barrier_rounds(void *arg)
{
    struct barriers x = {.b = WEFT_BARRIER_INIT(PARTIES)};
    pthread_t t;
    for (int i = 1; i < PARTIES; i++)
        go(party, &x);
    CHECK_EQ(pthread_create(&t, NULL, party_thread, &x), 0);
    until(&x.done, PARTIES);
    pthread_join(t, NULL);
    CHECK_EQ(at_load(&x.serials), ROUNDS);
    weft_barrier_fini(&x.b);
    weft_barrier_init(&x.b, 1, "alone");
    CHECK_EQ(weft_barrier_wait(&x.b), 1);
    return 0;
}

TEST(barrier_rounds)
{
    ON_WORKERS(barrier_rounds);
}

static void no_parties(void)
{
    weft_barrier b;
    weft_barrier_init(&b, 0, "empty");
}

TEST(barrier_misuse)
{
    EXPECT_DEATH(no_parties, "no parties for barrier \"empty\"");
}
