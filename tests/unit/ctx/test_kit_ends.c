// SPDX-License-Identifier: Apache-2.0
/*
 * test_kit_ends.c - locks and once where a fiber ends early: misuse is no panic, so nothing
 * recovers it; a once whose function panics or ends its fiber is done all the same. Cases C11, C14
 * and C17 of docs/conformance.md, on 1, 2 and 8 workers.
 */
#include "rig.h"

/* ---- C11: misuse of a lock on a fiber, in a protected call ---- */

static void unlock_unlocked(weft_mutex *m, weft_rwmutex *rw)
{
    (void)rw;
    weft_mutex_unlock(m);
}

static void unlock_twice(weft_mutex *m, weft_rwmutex *rw)
{
    (void)rw;
    weft_mutex_lock(m);
    weft_mutex_unlock(m);
    weft_mutex_unlock(m);
}

static void rw_unlock_unlocked(weft_mutex *m, weft_rwmutex *rw)
{
    (void)m;
    weft_rwmutex_unlock(rw);
}

static void rw_rlock_unlock(weft_mutex *m, weft_rwmutex *rw)
{
    (void)m;
    weft_rwmutex_rlock(rw);
    weft_rwmutex_unlock(rw);
}

static void rw_unlock_twice(weft_mutex *m, weft_rwmutex *rw)
{
    (void)m;
    weft_rwmutex_lock(rw);
    weft_rwmutex_unlock(rw);
    weft_rwmutex_unlock(rw);
}

static void rw_runlock_unlocked(weft_mutex *m, weft_rwmutex *rw)
{
    (void)m;
    weft_rwmutex_runlock(rw);
}

static void rw_lock_runlock(weft_mutex *m, weft_rwmutex *rw)
{
    (void)m;
    weft_rwmutex_lock(rw);
    weft_rwmutex_runlock(rw);
}

static void rw_runlock_twice(weft_mutex *m, weft_rwmutex *rw)
{
    (void)m;
    weft_rwmutex_rlock(rw);
    weft_rwmutex_runlock(rw);
    weft_rwmutex_runlock(rw);
}

static void (*misuse)(weft_mutex *m, weft_rwmutex *rw);
static unsigned on_workers;

static int misuses(void *arg)
{
    static weft_mutex m = WEFT_MUTEX_INIT;
    static weft_rwmutex rw = WEFT_RWMUTEX_INIT;
    (void)arg;
    misuse(&m, &rw);
    return 0;
}

static int tries_to_recover(void *arg)
{
    weft_panic_info *panic = NULL;
    (void)weft_try(misuses, arg, &panic);
    exit(0); /* recovered, which the test takes for a mistake */
}

static void dies(void)
{
    rig_run(on_workers, tries_to_recover);
}

static void each_misuse(unsigned workers)
{
    static void (*const all[])(weft_mutex *, weft_rwmutex *) = {unlock_unlocked, unlock_twice,
        rw_unlock_unlocked, rw_rlock_unlock, rw_unlock_twice, rw_runlock_unlocked, rw_lock_runlock,
        rw_runlock_twice};
    on_workers = workers;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        misuse = all[i];
        EXPECT_DEATH(dies, "unlock of unlocked ");
    }
}

TEST(C11_nothing_recovers_misuse_1)
{
    each_misuse(1);
}

TEST(C11_nothing_recovers_misuse_2)
{
    each_misuse(2);
}

TEST(C11_nothing_recovers_misuse_8)
{
    each_misuse(8);
}

/* ---- C14: a lock that is given up by a fiber's end, while others wait ---- */

struct shared {
    weft_mutex m;
    weft_rwmutex rw;
    long inside; /* guarded by m, or by rw for writing */
};

static void unlock(void *m)
{
    weft_mutex_unlock(m);
}

static void rw_unlock(void *rw)
{
    weft_rwmutex_unlock(rw);
}

static int exits_locked(void *arg)
{
    struct shared *s = arg;
    weft_mutex_lock(&s->m);
    WEFT_DEFER(unlock, &s->m);
    s->inside++;
    weft_yield();
    weft_exit(0);
}

static int panics_locked(void *arg)
{
    struct shared *s = arg;
    weft_rwmutex_lock(&s->rw);
    WEFT_DEFER(rw_unlock, &s->rw);
    s->inside++;
    weft_yield();
    weft_panic("while it holds the lock");
    return 0;
}

static int recovers(void *arg)
{
    weft_panic_info *panic = NULL;
    CHECK_EQ(weft_try(panics_locked, arg, &panic), -WEFT_EPANIC);
    weft_panic_free(panic);
    return 0;
}

FIBER_TEST(C14_deferred_unlocks_run_however_a_fiber_ends)
{
    struct shared s = {.m = WEFT_MUTEX_INIT, .rw = WEFT_RWMUTEX_INIT};
    {
        WEFT_SCOPE(all);
        for (int i = 0; i < 50; i++)
            CHECK_EQ(weft_go(&all, exits_locked, &s), 0);
        CHECK_EQ(weft_wait(&all), 0);
    }
    CHECK_EQ(s.inside, 50);
    WEFT_SCOPE(all);
    for (int i = 0; i < 50; i++)
        CHECK_EQ(weft_go(&all, recovers, &s), 0);
    CHECK_EQ(weft_wait(&all), 0);
    CHECK_EQ(s.inside, 100);
    CHECK(weft_mutex_try_lock(&s.m) && weft_rwmutex_try_lock(&s.rw));
    weft_mutex_unlock(&s.m);
    weft_rwmutex_unlock(&s.rw);
}

/* ---- C17: once, when its function does not return ---- */

struct onces {
    weft_once o;
    atomic_int calls, returns, running;
};

static void panics_in_once(void *arg)
{
    struct onces *s = arg;
    atomic_fetch_add(&s->calls, 1);
    for (int i = 0; i < 5; i++)
        weft_yield();
    weft_panic("in once");
}

static int calls_once(void *arg)
{
    struct onces *s = arg;
    weft_once_do(&s->o, panics_in_once, s);
    atomic_fetch_add(&s->returns, 1); /* not in the one that panics */
    return 0;
}

static int tries_once(void *arg)
{
    weft_panic_info *panic = NULL;
    int rc = weft_try(calls_once, arg, &panic);
    CHECK(rc == 0 || rc == -WEFT_EPANIC);
    if (rc < 0)
        CHECK_STR(weft_panic_message(panic), "in once");
    weft_panic_free(panic);
    return 0;
}

static void must_not_be_called(void *arg)
{
    (void)arg;
    CHECK_MSG(false, "called although it is done");
}

FIBER_TEST(C17_a_panic_counts_as_done)
{
    for (int round = 0; round < 20; round++) {
        struct onces s = {.o = WEFT_ONCE_INIT};
        WEFT_SCOPE(all);
        for (int i = 0; i < 10; i++)
            CHECK_EQ(weft_go(&all, tries_once, &s), 0);
        CHECK_EQ(weft_wait(&all), 0);
        CHECK_EQ(s.calls, 1);
        CHECK_EQ(s.returns, 9);
        CHECK(weft_once_done(&s.o));
        CHECK(!weft_once_do(&s.o, must_not_be_called, NULL));
    }
}

static void exits_in_once(void *arg)
{
    struct onces *s = arg;
    atomic_fetch_add(&s->calls, 1);
    for (int i = 0; i < 5; i++)
        weft_yield();
    weft_exit(0);
}

static int exits_once(void *arg)
{
    struct onces *s = arg;
    weft_once_do(&s->o, exits_in_once, s);
    atomic_fetch_add(&s->returns, 1);
    return 0;
}

FIBER_TEST(C17_an_exit_counts_as_done)
{
    for (int round = 0; round < 20; round++) {
        struct onces s = {.o = WEFT_ONCE_INIT};
        WEFT_SCOPE(all);
        for (int i = 0; i < 10; i++)
            CHECK_EQ(weft_go(&all, exits_once, &s), 0);
        CHECK_EQ(weft_wait(&all), 0);
        CHECK_EQ(s.calls, 1);
        CHECK_EQ(s.returns, 9);
        CHECK(!weft_once_do(&s.o, must_not_be_called, NULL));
    }
}
