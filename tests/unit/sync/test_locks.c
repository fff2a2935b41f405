// SPDX-License-Identifier: Apache-2.0
/*
 * test_locks.c - mutex, rwmutex, once: Go's conformance cases (C11 misuse, C12 fairness, C13
 * readers and writers, C17 once), hammering from fibers and plain threads, the misuse sentences.
 * On 1, 2 and 8 workers.
 */
#include <weft/error.h>
#include <weft/mutex.h>
#include <weft/once.h>
#include <weft/panic.h>
#include <weft/rwmutex.h>

#include "sync_test.h"

/* ---- hammering ---- */

struct hammer {
    weft_mutex m;
    long counter; /* guarded by m */
    _Atomic int done;
};

static int hammer(void *p)
{
    struct hammer *h = p;
    for (int i = 0; i < 2000; i++) {
        if (i % 3 == 0) {
            while (!weft_mutex_try_lock(&h->m))
                yield();
        } else {
            weft_mutex_lock(&h->m);
        }
        long before = h->counter;
        if (i % 64 == 0)
            yield(); /* holding a lock across a park is legal */
        h->counter = before + 1;
        CHECK(weft_mutex_held(&h->m));
        weft_mutex_unlock(&h->m);
    }
    at_add(&h->done, 1);
    return 0;
}

static void *hammer_thread(void *p)
{
    hammer(p);
    return NULL;
}

static int hammers(void *arg)
{
    struct hammer h = {.m = WEFT_MUTEX_NAMED("hammer")};
    pthread_t t[2];
    for (int i = 0; i < 8; i++)
        go(hammer, &h);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, hammer_thread, &h), 0);
    until(&h.done, 10);
    for (int i = 0; i < 2; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(h.counter, 20000);
    weft_mutex_fini(&h.m);
    return 0;
}

TEST(mutex_hammer)
{
    ON_WORKERS(hammers);
}

TEST(mutex_without_a_runtime)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    weft_mutex_lock(&m);
    CHECK(!weft_mutex_try_lock(&m));
    CHECK(weft_mutex_held(&m));
    weft_mutex_unlock(&m);
    CHECK(!weft_mutex_held(&m));
    CHECK(weft_mutex_try_lock(&m));
    weft_mutex_unlock(&m);
    weft_mutex_init(&m, "again");
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    weft_mutex_fini(&m);
    weft_mutex_fini(NULL);
}

/* Not a cancellation point: an ended context does not keep a fiber from locking, or from
 * waiting. */
struct late {
    weft_mutex m;
    struct fake_ctx ctx;
    _Atomic int done;
};

static int late_locker(void *p)
{
    struct late *l = p;
    under(&l->ctx);
    weft_mutex_lock(&l->m);
    weft_mutex_unlock(&l->m);
    at_store(&l->done, 1);
    return 0;
}

static int not_cancelled(void *arg)
{
    struct late l = {.m = WEFT_MUTEX_INIT};
    weft_mutex_lock(&l.m);
    struct weft__fiber *f = go(late_locker, &l);
    until_parked(f, WEFT__WAIT_MUTEX);
    cancel(f, &l.ctx, -ECANCELED);
    for (int i = 0; i < 20; i++)
        yield();
    CHECK_EQ(at_load(&l.done), 0);
    weft_mutex_unlock(&l.m);
    until(&l.done, 1);
    return 0;
}

TEST(mutex_is_not_a_cancellation_point)
{
    ON_WORKERS(not_cancelled);
}

/* ---- C11: misuse ends the process and says so ---- */

static void unlock_unlocked(void)
{
    weft_mutex m = WEFT_MUTEX_NAMED("cache");
    weft_mutex_unlock(&m);
}

static void unlock_twice(void)
{
    weft_mutex m;
    weft_mutex_init(&m, "cache");
    weft_mutex_lock(&m);
    weft_mutex_unlock(&m);
    weft_mutex_unlock(&m);
}

static void rw_unlock_unlocked(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_unlock(&m);
}

static void rw_rlock_unlock(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_rlock(&m);
    weft_rwmutex_unlock(&m);
}

static void rw_unlock_twice(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_lock(&m);
    weft_rwmutex_unlock(&m);
    weft_rwmutex_unlock(&m);
}

static void rw_runlock_unlocked(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_NAMED("table");
    weft_rwmutex_runlock(&m);
}

static void rw_lock_runlock(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_lock(&m);
    weft_rwmutex_runlock(&m);
}

static void rw_runlock_twice(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_rlock(&m);
    weft_rwmutex_runlock(&m);
    weft_rwmutex_runlock(&m);
}

TEST(C11_misuse)
{
    EXPECT_DEATH(unlock_unlocked, "unlock of unlocked mutex \"cache\" (made at ");
    EXPECT_DEATH(unlock_unlocked, "test_locks.c:");
    EXPECT_DEATH(unlock_twice, "unlock of unlocked mutex \"cache\" (made at ");
    EXPECT_DEATH(rw_unlock_unlocked, "unlock of unlocked rwmutex");
    EXPECT_DEATH(rw_rlock_unlock, "unlock of unlocked rwmutex");
    EXPECT_DEATH(rw_unlock_twice, "unlock of unlocked rwmutex");
    EXPECT_DEATH(rw_runlock_unlocked, "unlock of unlocked rwmutex \"table\"");
    EXPECT_DEATH(rw_lock_runlock, "unlock of unlocked rwmutex");
    EXPECT_DEATH(rw_runlock_twice, "unlock of unlocked rwmutex");
}

static void unlock_of_one_by_name(void)
{
    weft_mutex m;
    weft_mutex_init(&m, "by hand");
    weft_mutex_unlock(&m);
}

static void rw_unlock_of_one_by_name(void)
{
    weft_rwmutex m;
    weft_rwmutex_init(&m, "by hand");
    weft_rwmutex_unlock(&m);
}

TEST(misuse_names_what_was_made_by_init)
{
    EXPECT_DEATH(unlock_of_one_by_name, "unlock of unlocked mutex \"by hand\" (made at ");
    EXPECT_DEATH(rw_unlock_of_one_by_name, "unlock of unlocked rwmutex \"by hand\" (made at ");
}

static void lock_twice(void)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    weft_mutex_lock(&m);
    weft_mutex_lock(&m);
}

static void end_locked(void)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    weft_mutex_lock(&m);
    weft_mutex_fini(&m);
}

static void rw_lock_twice(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_lock(&m);
    weft_rwmutex_lock(&m);
}

static void rw_lock_rlock(void)
{
    weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_lock(&m);
    weft_rwmutex_rlock(&m);
}

static int unlocker(void *p)
{
    weft_mutex_unlock(p);
    return 0;
}

static int rw_unlocker(void *p)
{
    weft_rwmutex_unlock(p);
    return 0;
}

static int by_another_fiber(void *arg)
{
    static weft_mutex m = WEFT_MUTEX_INIT;
    weft_mutex_lock(&m);
    go(unlocker, &m);
    nap(10 * WEFT_SEC);
    return 0;
}

static int rw_by_another_fiber(void *arg)
{
    static weft_rwmutex m = WEFT_RWMUTEX_INIT;
    weft_rwmutex_lock(&m);
    go(rw_unlocker, &m);
    nap(10 * WEFT_SEC);
    return 0;
}

static void unlock_by_another(void)
{
    run_on(2, by_another_fiber, NULL);
}

static void rw_unlock_by_another(void)
{
    run_on(2, rw_by_another_fiber, NULL);
}

TEST(owner_misuse)
{
    EXPECT_DEATH(lock_twice, "second lock by its holder of mutex");
    EXPECT_DEATH(end_locked, "end of locked mutex");
    EXPECT_DEATH(unlock_by_another, "that another fiber or thread locked");
    EXPECT_DEATH(rw_lock_twice, "second lock by its holder of rwmutex");
    EXPECT_DEATH(rw_lock_rlock, "read lock by its writer of rwmutex");
    EXPECT_DEATH(rw_unlock_by_another, "that another fiber or thread locked");
}

/* ---- C12: a fiber that locks again at once does not starve the other ---- */

struct unfair {
    weft_mutex m;
    _Atomic int stop, done;
};

static int greedy(void *p)
{
    struct unfair *u = p;
    while (!at_load(&u->stop)) {
        weft_mutex_lock(&u->m);
        int64_t end = weft__clock_ns() + 100 * WEFT_US;
        while (weft__clock_ns() < end)
            weft__cpu_pause();
        weft_mutex_unlock(&u->m);
    }
    at_add(&u->done, 1);
    return 0;
}

static int modest(void *p)
{
    struct unfair *u = p;
    for (int i = 0; i < 10; i++) {
        nap(100 * WEFT_US);
        weft_mutex_lock(&u->m);
        weft_mutex_unlock(&u->m);
    }
    at_store(&u->stop, 1);
    at_add(&u->done, 1);
    return 0;
}

static int fairness(void *arg)
{
    struct unfair u = {.m = WEFT_MUTEX_INIT};
    int64_t before = weft__clock_ns();
    go(greedy, &u);
    go(modest, &u);
    until(&u.done, 2);
    CHECK(weft__clock_ns() - before < 10 * WEFT_SEC);
    weft_mutex_fini(&u.m);
    return 0;
}

TEST(C12_fairness)
{
    ON_WORKERS(fairness);
}

/* In the starving mode the queue is served in order, whoever comes by. */
struct turn {
    weft_mutex *m;
    int *order, *next, k; /* guarded by m */
    _Atomic int *done;
};

static int take_turn(void *p)
{
    struct turn *t = p;
    weft_mutex_lock(t->m);
    t->order[(*t->next)++] = t->k;
    weft_mutex_unlock(t->m);
    at_add(t->done, 1);
    return 0;
}

static int queue_order(void *arg)
{
    weft_mutex m = WEFT_MUTEX_INIT;
    struct turn t[6];
    int order[6], next = 0;
    _Atomic int done = 0;
    weft_mutex_lock(&m);
    for (int k = 0; k < 6; k++) {
        t[k] = (struct turn){&m, order, &next, k, &done};
        until_parked(go(take_turn, &t[k]), WEFT__WAIT_MUTEX);
    }
    weft_mutex_unlock(&m);
    until(&done, 6);
    for (int k = 0; k < 6; k++)
        CHECK_EQ(order[k], k);
    return 0;
}

TEST(C12_queue_order)
{
    ON_WORKERS(queue_order);
}

/* The next owner may free the mutex as soon as it has it, though the release is still returning. */
struct brief {
    weft_mutex m;
    _Atomic int refs;
};

static int last_frees(void *p)
{
    struct brief *b = p;
    weft_mutex_lock(&b->m);
    int left = at_sub(&b->refs, 1);
    weft_mutex_unlock(&b->m);
    if (left == 1) {
        memset(b, 0xff, sizeof *b);
        free(b);
    }
    return 0;
}

static int freed_by_the_last(void *arg)
{
    for (int i = 0; i < 3000; i++) {
        struct brief *b = calloc(1, sizeof *b);
        at_store(&b->refs, 3);
        go(last_frees, b);
        go(last_frees, b);
        last_frees(b);
    }
    return 0;
}

TEST(mutex_freed_by_the_last_owner)
{
    ON_WORKERS(freed_by_the_last);
}

/* ---- C13 ---- */

struct rw {
    weft_rwmutex m;
    _Atomic int activity, done, inside, leave;
};

static int hammer_reader(void *p)
{
    struct rw *r = p;
    for (int i = 0; i < 500; i++) {
        weft_rwmutex_rlock(&r->m);
        int n = at_add(&r->activity, 1) + 1;
        CHECK_MSG(n >= 1 && n < 10000, "reader sees %d", n);
        if (i % 16 == 0)
            yield();
        at_sub(&r->activity, 1);
        weft_rwmutex_runlock(&r->m);
    }
    at_add(&r->done, 1);
    return 0;
}

static int hammer_writer(void *p)
{
    struct rw *r = p;
    for (int i = 0; i < 500; i++) {
        weft_rwmutex_lock(&r->m);
        int n = at_add(&r->activity, 10000) + 10000;
        CHECK_MSG(n == 10000, "writer sees %d", n);
        if (i % 16 == 0)
            yield();
        at_sub(&r->activity, 10000);
        weft_rwmutex_unlock(&r->m);
    }
    at_add(&r->done, 1);
    return 0;
}

static void *reader_thread(void *p)
{
    hammer_reader(p);
    return NULL;
}

static int rw_hammer(void *arg)
{
    for (int readers = 1; readers <= 10; readers += 3) {
        struct rw r = {.m = WEFT_RWMUTEX_INIT};
        pthread_t t;
        go(hammer_writer, &r);
        for (int i = 0; i < readers; i++)
            go(hammer_reader, &r);
        go(hammer_writer, &r);
        CHECK_EQ(pthread_create(&t, NULL, reader_thread, &r), 0);
        until(&r.done, readers + 3);
        pthread_join(t, NULL);
        weft_rwmutex_fini(&r.m);
    }
    return 0;
}

TEST(C13_hammer)
{
    ON_WORKERS(rw_hammer);
}

static int parallel_reader(void *p)
{
    struct rw *r = p;
    weft_rwmutex_rlock(&r->m);
    at_add(&r->inside, 1);
    until(&r->leave, 1);
    weft_rwmutex_runlock(&r->m);
    at_add(&r->done, 1);
    return 0;
}

static int parallel_readers(void *arg)
{
    static const int counts[] = {1, 3, 4};
    for (int k = 0; k < 3; k++) {
        struct rw r = {.m = WEFT_RWMUTEX_INIT};
        for (int i = 0; i < counts[k]; i++)
            go(parallel_reader, &r);
        until(&r.inside, counts[k]); /* all hold it together */
        CHECK(!weft_rwmutex_try_lock(&r.m));
        CHECK(weft_rwmutex_try_rlock(&r.m));
        weft_rwmutex_runlock(&r.m);
        at_store(&r.leave, 1);
        until(&r.done, counts[k]);
        CHECK(weft_rwmutex_try_lock(&r.m));
        CHECK(!weft_rwmutex_try_lock(&r.m));
        CHECK(!weft_rwmutex_try_rlock(&r.m));
        weft_rwmutex_unlock(&r.m);
    }
    return 0;
}

TEST(C13_parallel_readers)
{
    ON_WORKERS(parallel_readers);
}

static int waiting_writer(void *p)
{
    struct rw *r = p;
    weft_rwmutex_lock(&r->m);
    CHECK_EQ(at_add(&r->inside, 1), 0); /* before the reader that came after it */
    weft_rwmutex_unlock(&r->m);
    at_add(&r->done, 1);
    return 0;
}

static int late_reader(void *p)
{
    struct rw *r = p;
    weft_rwmutex_rlock(&r->m);
    CHECK_EQ(at_add(&r->inside, 1), 1);
    weft_rwmutex_runlock(&r->m);
    at_add(&r->done, 1);
    return 0;
}

static int writer_not_starved(void *arg)
{
    struct rw r = {.m = WEFT_RWMUTEX_INIT};
    weft_rwmutex_rlock(&r.m);
    until_parked(go(waiting_writer, &r), WEFT__WAIT_RWMUTEX_W);
    CHECK(!weft_rwmutex_try_rlock(&r.m)); /* a writer waits: no new readers */
    until_parked(go(late_reader, &r), WEFT__WAIT_RWMUTEX_R);
    weft_rwmutex_runlock(&r.m);
    until(&r.done, 2);

    /* and readers are not starved by writers: after a writer those that wait go first */
    at_store(&r.inside, 1);
    at_store(&r.done, 0);
    weft_rwmutex_lock(&r.m);
    struct rw *p = &r;
    until_parked(go(hammer_writer, p), WEFT__WAIT_RWMUTEX_W);
    until_parked(go(late_reader, p), WEFT__WAIT_RWMUTEX_R);
    weft_rwmutex_unlock(&r.m);
    until(&r.done, 2);
    return 0;
}

TEST(C13_nobody_starves)
{
    ON_WORKERS(writer_not_starved);
}

/* ---- C17: once ---- */

struct onces {
    weft_once o;
    int calls; /* written by the function alone */
    _Atomic int done, runners;
};

static void once_body(void *p)
{
    struct onces *s = p;
    for (int i = 0; i < 10; i++)
        yield();
    s->calls++;
}

static int once_caller(void *p)
{
    struct onces *s = p;
    if (weft_once_do(&s->o, once_body, s))
        at_add(&s->runners, 1);
    CHECK_EQ(s->calls, 1); /* the effect is there when the call returns */
    CHECK(weft_once_done(&s->o));
    at_add(&s->done, 1);
    return 0;
}

static void *once_thread(void *p)
{
    once_caller(p);
    return NULL;
}

static int once_all(void *arg)
{
    for (int i = 0; i < 100; i++) {
        struct onces s = {.o = WEFT_ONCE_INIT};
        pthread_t t;
        CHECK(!weft_once_done(&s.o));
        for (int k = 0; k < 10; k++)
            go(once_caller, &s);
        CHECK_EQ(pthread_create(&t, NULL, once_thread, &s), 0);
        until(&s.done, 11);
        pthread_join(t, NULL);
        CHECK_EQ(at_load(&s.runners), 1);
    }
    return 0;
}

TEST(C17_once)
{
    ON_WORKERS(once_all);
}

static void panicking_body(void *p)
{
    (void)p;
    weft_panic("in once");
}

static int do_panicking(void *p)
{
    weft_once_do(p, panicking_body, NULL);
    return 0;
}

static void never(void *p)
{
    (void)p;
    CHECK_MSG(false, "called twice");
}

TEST(C17_once_panic)
{
    weft_once o = WEFT_ONCE_INIT;
    weft_panic_info *panic = NULL;
    CHECK_EQ(weft_try(do_panicking, &o, &panic), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(panic), "in once");
    weft_panic_free(panic);
    CHECK(weft_once_done(&o));
    CHECK(!weft_once_do(&o, never, NULL));
}

static void again(void *p)
{
    weft_once_do(p, never, NULL);
}

static void once_in_once(void)
{
    weft_once o = WEFT_ONCE_NAMED("tables");
    weft_once_do(&o, again, &o);
}

TEST(once_within_itself)
{
    EXPECT_DEATH(once_in_once, "call from within its own function of once \"tables\"");
}
