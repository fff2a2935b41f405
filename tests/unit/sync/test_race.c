// SPDX-License-Identifier: Apache-2.0
/*
 * test_race.c - which operations order what, judged by ThreadSanitizer (the build for fibers only).
 *
 * After Go's labelled corpus: an `ordered_` case touches a plain variable from two fibers with an
 * operation between that must order them, and must pass; a `racing_` case has an operation that
 * does not order, and must be reported. The order in time is forced by relaxed atomics, which order
 * nothing in TSan's eyes.
 */
#include <weft/barrier.h>
#include <weft/cond.h>
#include <weft/flight.h>
#include <weft/once.h>
#include <weft/rwmutex.h>
#include <weft/sema.h>
#include <weft/sugar_chan.h>
#include <weft/waitgroup.h>

#include "sync_test.h"

typedef WEFT_CHAN_OF(int) int_chan;
typedef struct nothing {
    char none[0];
} nothing;
typedef WEFT_CHAN_OF(nothing) signal_chan;

static int x; /* what the cases race for */
static int_chan c, d;
static signal_chan z;
static _Atomic int step;
static weft_mutex m = WEFT_MUTEX_INIT, m2 = WEFT_MUTEX_INIT;
static weft_rwmutex rw = WEFT_RWMUTEX_INIT;
static weft_waitgroup wg = WEFT_WAITGROUP_INIT;
static weft_once once = WEFT_ONCE_INIT;
static weft_cond cond = WEFT_COND_INIT;
static weft_sema sema = WEFT_SEMA_INIT(0);
static weft_barrier barrier = WEFT_BARRIER_INIT(2);
static weft_flight flight = WEFT_FLIGHT_INIT;

/* In time, but not in TSan's eyes. */
static void signal_step(int n)
{
    at_store_rlx(&step, n); /* [mo:alone: must order nothing] */
}

/* Not instrumented: else ThreadSanitizer's history may be full of it (see test_race_ctx.c). */
__attribute__((no_sanitize("thread"))) static void await_step(int n)
{
    while (at_load_rlx(&step) < n) /* [mo:alone: must order nothing] */
        yield();
}

static void make(int_chan *ch, size_t cap)
{
    CHECK_EQ(weft_chan_make(ch, cap), 0);
}

/* A case is a first fiber and another that it starts. */
#define PAIR(name, setup, first, second)                                                           \
    static int name##_second(void *p)                                                              \
    {                                                                                              \
        (void)p;                                                                                   \
        second;                                                                                    \
        signal_step(9);                                                                            \
        return 0;                                                                                  \
    }                                                                                              \
    static int name##_first(void *p)                                                               \
    {                                                                                              \
        (void)p;                                                                                   \
        setup;                                                                                     \
        go(name##_second, NULL);                                                                   \
        first;                                                                                     \
        await_step(9);                                                                             \
        return 0;                                                                                  \
    }
#define ORDERED(name, setup, first, second)                                                        \
    PAIR(name, setup, first, second)                                                               \
    TEST(ordered_##name)                                                                           \
    {                                                                                              \
        CHECK_EQ(run_on(1, name##_first, NULL), 0);                                                \
        signal_step(0);                                                                            \
        CHECK_EQ(run_on(2, name##_first, NULL), 0);                                                \
    }
#define RACING(name, setup, first, second)                                                         \
    PAIR(name, setup, first, second)                                                               \
    static void name##_run(void)                                                                   \
    {                                                                                              \
        unsetenv("WEFT_WORKERS"); /* accesses at the same instant can escape TSan */               \
        run_on(1, name##_first, NULL);                                                             \
    }                                                                                              \
    TEST(racing_##name)                                                                            \
    {                                                                                              \
        EXPECT_DEATH(name##_run, "data race");                                                     \
    }

static int v, v2;

/* As a function, since a declaration in a case would part it at its comma. */
static void want(int got, int expected)
{
    CHECK_EQ(got, expected);
}

/* ---- channels ---- */

RACING(nothing, , x = 1; signal_step(1), await_step(1); x = 2)
ORDERED(unbuffered_send, make(&c, 0), weft_recv(c, NULL); x = 2, x = 1; weft_send(c, 1))
ORDERED(unbuffered_receive, make(&c, 0), weft_send(c, 1); x = 2, x = 1; weft_recv(c, NULL))
ORDERED(unbuffered_send_parked, make(&c, 0), await_step(1); weft_recv(c, NULL); x = 2, x = 1;
        signal_step(1); weft_send(c, 1))
ORDERED(buffered_send, make(&c, 2), weft_recv(c, NULL); x = 2, x = 1; weft_send(c, 1))
RACING(buffered_receive, make(&c, 1), weft_send(c, 1); await_step(1); x = 2, x = 1;
       weft_recv(c, NULL); signal_step(1))
ORDERED(close_ends_a_loop, make(&c, 4), while (weft_recv(c, &v) == 1); x = 2, weft_send(c, 1);
        x = 1; weft_chan_close(c))
ORDERED(close_seen_by_try, make(&c, 1), while (weft_try_recv(c, &v) == -EAGAIN) yield();
        x = 2, x = 1; weft_chan_close(c))
ORDERED(close_of_what_has_rest, make(&c, 2), await_step(1); weft_recv(c, &v); weft_recv(c, &v);
        x = 2, weft_send(c, 1); x = 1; weft_chan_close(c); signal_step(1))
ORDERED(close_beside_a_send, make(&c, 2), weft_send(c, 1), weft_chan_close(c))
ORDERED(close_then_receive, make(&c, 1), weft_recv(c, NULL); x = 2, x = 1; weft_chan_close(c))
ORDERED(close_before_receive, make(&c, 0), await_step(1); weft_recv(c, NULL); x = 2, x = 1;
        weft_chan_close(c); signal_step(1))
RACING(close_then_send, make(&c, 1), await_step(1); weft_send(c, 1); x = 2, x = 1;
       weft_chan_close(c); signal_step(1))
RACING(length, make(&c, 1), while (weft_chan_len(c) == 0) yield(); x = 2, x = 1; weft_send(c, 1))
RACING(length_after_receive, make(&c, 1); weft_send(c, 1), while (weft_chan_len(c) > 0) yield();
       x = 2, x = 1; weft_recv(c, NULL))
RACING(failed_select, make(&c, 1), await_step(1);
       want(weft_select(WEFT_RECV(c, &v, NULL), WEFT_DEFAULT), -EAGAIN); x = 2, x = 1;
       want(weft_select(WEFT_RECV(c, &v, NULL), WEFT_DEFAULT), -EAGAIN); signal_step(1))
RACING(failed_try, make(&c, 1), await_step(1); weft_try_recv(c, &v); x = 2, x = 1;
       weft_try_recv(c, &v); signal_step(1))
ORDERED(capacity_1_is_a_mutex, make(&c, 1), weft_send(c, 1); x++; weft_recv(c, NULL);
        weft_send(c, 1); x++; weft_recv(c, NULL), weft_send(c, 1); x++; weft_recv(c, NULL);
        weft_send(c, 1); x++; weft_recv(c, NULL))
ORDERED(size_0_is_a_mutex, want(weft_chan_make(&z, 1), 0), weft_chan_send(z.chan, NULL); x++;
        weft_chan_recv(z.chan, NULL), weft_chan_send(z.chan, NULL); x++;
        weft_chan_recv(z.chan, NULL))
RACING(capacity_2_is_no_mutex, make(&c, 2), weft_send(c, 1); x = 1; weft_recv(c, NULL);
       signal_step(1), await_step(1); weft_send(c, 1); x = 2; weft_recv(c, NULL))
ORDERED(full_channel, make(&c, 1); weft_send(c, 1), await_step(1); yield(); weft_recv(c, NULL);
        weft_recv(c, NULL); x = 2, x = 1; signal_step(1); weft_send(c, 2))

/* ---- the handle itself is a variable like any other ---- */

#define HANDLE(name, use)                                                                          \
    RACING(handle_and_##name, make(&c, 1); make(&d, 1); weft_send(c, 1); weft_send(d, 1), c = d;   \
           signal_step(1), await_step(1); use)
HANDLE(send, weft_try_send(c, 1))
HANDLE(receive, weft_recv(c, &v))
HANDLE(close, weft_chan_close(c))
HANDLE(len, v = (int)weft_chan_len(c))
HANDLE(cap, v = (int)weft_chan_cap(c))
HANDLE(nil, v = c.chan == NULL)

/* ---- select ---- */

ORDERED(select_receive, make(&c, 0);
        make(&d, 0), want(weft_select(WEFT_RECV(d, &v, NULL), WEFT_RECV(c, &v, NULL)), 1);
        x = 2, x = 1; weft_send(c, 1))
ORDERED(select_send, make(&c, 0); make(&d, 0), weft_recv(c, NULL); x = 2, x = 1;
        want(weft_select(WEFT_SEND(d, 1, NULL), WEFT_SEND(c, 1, NULL), WEFT_RECV(d, &v, NULL)), 1))
ORDERED(select_close, make(&c, 0);
        make(&d, 0), want(weft_select(WEFT_RECV(d, &v, NULL), WEFT_RECV(c, &v, NULL)), 1);
        x = 2, x = 1; weft_chan_close(c))
/* A case's value is read though another case happens. */
RACING(select_unchosen_value, make(&c, 1); make(&d, 1); weft_send(c, 1), x = 1;
       signal_step(1), await_step(1);
       want(weft_select(WEFT_SEND(c, x, NULL), WEFT_SEND(d, 1, NULL)), 1))
ORDERED(select_parked, make(&c, 0); make(&d, 0), await_step(1); yield(); weft_send(c, 1);
        x = 2, x = 1; signal_step(1);
        want(weft_select(WEFT_RECV(d, &v, NULL), WEFT_RECV(c, &v, NULL)), 1))
ORDERED(select_default, make(&c, 1); make(&d, 1),
        while (weft_select(WEFT_RECV(d, &v, NULL), WEFT_RECV(c, &v, NULL), WEFT_DEFAULT) == -EAGAIN)
            yield();
        x = 2, x = 1; want(weft_select(WEFT_SEND(c, 1, NULL), WEFT_DEFAULT), 0))
RACING(select_unchosen, make(&c, 1); make(&d, 1); weft_send(c, 1), await_step(1); weft_send(d, 1);
       x = 2, x = 1; want(weft_select(WEFT_RECV(c, &v, NULL), WEFT_RECV(d, &v, NULL)), 0);
       signal_step(1))

/* ---- the kit ---- */

ORDERED(mutex, , weft_mutex_lock(&m); x++; weft_mutex_unlock(&m), weft_mutex_lock(&m); x++;
        weft_mutex_unlock(&m))
ORDERED(mutex_parked, weft_mutex_lock(&m), await_step(1); yield(); x++;
        weft_mutex_unlock(&m), signal_step(1); weft_mutex_lock(&m); x++; weft_mutex_unlock(&m))
RACING(two_mutexes, , weft_mutex_lock(&m); x++; weft_mutex_unlock(&m);
       signal_step(1), await_step(1); weft_mutex_lock(&m2); x++; weft_mutex_unlock(&m2))
RACING(mutex_and_rwmutex, , weft_mutex_lock(&m); x++; weft_mutex_unlock(&m);
       signal_step(1), await_step(1); weft_rwmutex_lock(&rw); x++; weft_rwmutex_unlock(&rw))
ORDERED(mutex_of_something_else, , x = 1; weft_mutex_lock(&m); weft_mutex_unlock(&m);
        signal_step(1), await_step(1); weft_mutex_lock(&m); weft_mutex_unlock(&m); x = 2)
ORDERED(mutex_try_lock, , weft_mutex_lock(&m); x = 1; weft_mutex_unlock(&m);
        signal_step(1), await_step(1); while (!weft_mutex_try_lock(&m)) yield(); x = 2;
        weft_mutex_unlock(&m))
RACING(mutex_failed_try_lock, weft_mutex_lock(&m), x = 1; signal_step(1); await_step(2);
       weft_mutex_unlock(&m), await_step(1); want(weft_mutex_try_lock(&m), 0); x = 2;
       signal_step(2))
RACING(readers_order_nothing, , x = 1; weft_rwmutex_rlock(&rw); weft_rwmutex_runlock(&rw);
       signal_step(1), await_step(1); weft_rwmutex_rlock(&rw); weft_rwmutex_runlock(&rw); x = 2)
ORDERED(rwmutex_through_a_reader, , x = 1; weft_rwmutex_lock(&rw); weft_rwmutex_unlock(&rw);
        signal_step(1), await_step(1); weft_rwmutex_rlock(&rw); weft_rwmutex_runlock(&rw); x = 2)
ORDERED(rwmutex_writers, , weft_rwmutex_lock(&rw); x++;
        weft_rwmutex_unlock(&rw), weft_rwmutex_lock(&rw); x++; weft_rwmutex_unlock(&rw))
ORDERED(rwmutex_writer_then_reader, weft_rwmutex_lock(&rw), x = 1; await_step(1); yield();
        weft_rwmutex_unlock(&rw), signal_step(1); weft_rwmutex_rlock(&rw); v = x;
        weft_rwmutex_runlock(&rw))
ORDERED(rwmutex_reader_then_writer, weft_rwmutex_rlock(&rw), v = x; await_step(1); yield();
        weft_rwmutex_runlock(&rw), signal_step(1); weft_rwmutex_lock(&rw); x = 1;
        weft_rwmutex_unlock(&rw))
RACING(two_readers, , weft_rwmutex_rlock(&rw); x = 1; weft_rwmutex_runlock(&rw);
       signal_step(1), await_step(1); weft_rwmutex_rlock(&rw); x = 2; weft_rwmutex_runlock(&rw))
ORDERED(waitgroup, weft_waitgroup_add(&wg, 1), weft_waitgroup_wait(&wg); x = 2, x = 1;
        weft_waitgroup_done(&wg))
ORDERED(waitgroup_late, weft_waitgroup_add(&wg, 1), await_step(1); weft_waitgroup_wait(&wg);
        x = 2, x = 1; weft_waitgroup_done(&wg); signal_step(1))
RACING(waitgroup_adds, , weft_waitgroup_add(&wg, 1); x = 1; signal_step(1), await_step(1);
       weft_waitgroup_add(&wg, 1); x = 2)
RACING(waitgroup_add_inside, , weft_waitgroup_wait(&wg); x = 1; signal_step(1), await_step(1);
       weft_waitgroup_add(&wg, 1); x = 2; weft_waitgroup_done(&wg))
ORDERED(waitgroup_reused, weft_waitgroup_add(&wg, 1), weft_waitgroup_wait(&wg); x = 2;
        weft_waitgroup_add(&wg, 1); signal_step(1); weft_waitgroup_wait(&wg); x = 4, x = 1;
        weft_waitgroup_done(&wg); await_step(1); weft_waitgroup_done(&wg))
ORDERED(waitgroup_two_waiters, weft_waitgroup_add(&wg, 1), x = 1; weft_waitgroup_done(&wg);
        weft_waitgroup_wait(&wg); v = x, weft_waitgroup_wait(&wg); v2 = x)
ORDERED(sema, , weft_sema_acquire(&sema, 1); x = 2, x = 1; weft_sema_release(&sema, 1))
ORDERED(sema_late, , await_step(1); weft_sema_acquire(&sema, 1); x = 2, x = 1;
        weft_sema_release(&sema, 1); signal_step(1))
ORDERED(barrier, , x = 1; weft_barrier_wait(&barrier); weft_barrier_wait(&barrier);
        x = 3, weft_barrier_wait(&barrier); x = 2; weft_barrier_wait(&barrier))
ORDERED(cond, weft_mutex_lock(&m), while (x < 1) weft_cond_wait(&cond, &m); x = 0;
        weft_mutex_unlock(&m), weft_mutex_lock(&m); x = 1; weft_cond_signal(&cond);
        weft_mutex_unlock(&m))

static void set_x(void *p)
{
    (void)p;
    x = 1;
    signal_step(1);
    for (int i = 0; i < 10; i++)
        yield();
}

static void never(void *p)
{
    (void)p;
}

ORDERED(once, weft_once_init(&once, NULL), await_step(1); weft_once_do(&once, never, NULL);
        x = 2, weft_once_do(&once, set_x, NULL))

static int fly(void *arg, void *ret)
{
    (void)arg;
    (void)ret;
    set_x(NULL);
    return 0;
}

ORDERED(flight, , await_step(1); weft_flight_do(&flight, "k", 1, fly, NULL, NULL, 0, NULL);
        v = x, weft_flight_do(&flight, "k", 1, fly, NULL, NULL, 0, NULL))

/* ---- atomics ---- */

static _Atomic int word, *_Atomic pointer;

static void plain_store(int n) /* the same word as a plain variable */
{
    *(volatile int *)(void *)&word = n;
}

static int plain_load(void)
{
    return *(volatile int *)(void *)&word;
}

ORDERED(atomic_and_atomic, , at_store(&word, 1), at_add(&word, 1))
RACING(plain_store_and_atomic_store, , plain_store(1); signal_step(1), await_step(1);
       at_store(&word, 2))
RACING(plain_store_and_atomic_load, , plain_store(1); signal_step(1), await_step(1);
       v = at_load(&word))
RACING(plain_load_and_atomic_store, , v = plain_load(); signal_step(1), await_step(1);
       at_store(&word, 2))
RACING(plain_load_and_atomic_add, , v = plain_load(); signal_step(1), await_step(1);
       at_add(&word, 2))
ORDERED(published_by_pointer, at_store(&pointer, NULL), while (!at_load(&pointer)) yield();
        x = 2, x = 1; at_store(&pointer, &word))
