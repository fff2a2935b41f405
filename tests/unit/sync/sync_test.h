// SPDX-License-Identifier: Apache-2.0
/*
 * sync_test.h - what the tests of the sync kit share: fibers on 1, 2 and 8 workers, waiting until
 * another fiber is parked, and a context of two words for cancellation.
 *
 * The tests stand on the scheduler's internal contract, not on the rooms above the one they test.
 * ON_WORKERS(fn) runs fn(NULL) as the first fiber three times. A fiber ends a run's `live` count
 * when it returns; weft__sched_run drains the rest.
 */
#ifndef WEFT_SYNC_TEST_H
#define WEFT_SYNC_TEST_H
#include <errno.h>
#include <pthread.h>

#include "base/futex.h"
#include "base/rand.h"
#include "sched/sched.h"
#include "test.h"

struct fake_ctx {
    _Atomic int err;
};

static int fake_cancelled(struct weft__fiber *f)
{
    struct fake_ctx *c = (struct fake_ctx *)(void *)f->ctx;
    return c ? at_load(&c->err) : 0;
}

static inline int run_on(unsigned workers, int (*entry)(void *), void *arg)
{
    int result = -1;
    struct weft__sched_opts o = {.workers = workers};
    weft__cancelled_hook = fake_cancelled;
    int rc = weft__sched_run(entry, arg, NULL, NULL, NULL, &o, &result);
    CHECK_EQ(rc, 0);
    return result;
}

#define ON_WORKERS(fn)                                                                             \
    do {                                                                                           \
        static const unsigned counts_[] = {1, 2, 8};                                               \
        for (size_t i_ = 0; i_ < 3; i_++)                                                          \
            CHECK_EQ(run_on(counts_[i_], fn, NULL), 0);                                            \
    } while (0)

/** Starts a fiber; it stays readable through the result as long as it lives. */
static inline struct weft__fiber *go(int (*fn)(void *), void *arg)
{
    struct weft__fiber *f = NULL;
    struct weft__spawn s = {.entry = fn, .arg = arg, .spawn_site = __builtin_return_address(0)};
    weft__enter();
    int rc = weft__spawn(&s, &f);
    weft__leave();
    CHECK_EQ(rc, 0);
    return f;
}

static inline void yield(void)
{
    weft__enter();
    weft__yield();
    weft__leave();
}

static inline void nap(int64_t ns)
{
    weft__enter();
    weft__sleep_until(weft__clock_ns() + ns, NULL);
    weft__leave();
}

/** Lets others run until *count is at least n. The count is of fibers that got somewhere. */
static inline void until(_Atomic int *count, int n)
{
    while (at_load(count) < n)
        nap(20000);
}

static inline bool is_parked(struct weft__fiber *f, enum weft__reason reason)
{
    return at_load(&f->state) == WEFT__WAITING && at_load(&f->park_reason) == (uint32_t)reason &&
           (at_load(&f->wake) & WEFT__WAKE_MASK) != WEFT__WAKE_RUN;
}

/** Lets others run until f is parked for that reason. */
static inline void until_parked(struct weft__fiber *f, enum weft__reason reason)
{
    while (!is_parked(f, reason))
        nap(20000);
}

/** Ends the fake context of f, as ctx would. */
static inline void cancel(struct weft__fiber *f, struct fake_ctx *c, int err)
{
    at_store(&c->err, err);
    weft__enter();
    weft__interrupt(f);
    weft__leave();
}

/** Gives the calling fiber a fake context. */
static inline struct weft__fiber *under(struct fake_ctx *c)
{
    struct weft__fiber *f = weft__self();
    f->ctx = (struct weft_ctx *)(void *)c;
    return f;
}
#endif
