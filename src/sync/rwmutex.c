// SPDX-License-Identifier: Apache-2.0
/*
 * rwmutex.c - readers together, or one writer alone; nobody starves.
 *
 *      readers   how many hold it        writer    who holds it, or NULL
 *      rq, wq    who waits               all under `lock`
 *
 * Everything happens under the lock, and whoever lets go hands over: the ones that are woken hold
 * the lock already.
 * Rejected: Go's atomic reader count. It saves one atomic operation of two for a reader, but
 * readers on several cores then still share that word, and each state has to be thought of at
 * half-way.
 *
 * X1  readers > 0 and writer != NULL exclude each other.
 * X2  While wq is not empty, no new reader gets in (the writer does not starve).
 * X3  A writer's unlock lets in all readers of rq first (readers do not starve), the last reader's
 *     unlock the first writer.
 * X4  Wake-ups come after the unlock of `lock`, which is the last touch: a woken party may free the
 *     rwmutex.
 *
 * Any fiber or plain thread at once. Progress: blocking. Limits: 2^32-1 readers.
 */
#include <weft/rwmutex.h>

#include <string.h>

#include "sync/object_core.h"
#include "sync/waiter.h"

struct rwmutex {
    struct weft_object object;
    struct weft__lock lock; /* rank SYNC; guards the rest */
    uint32_t readers;
    struct weft__fiber *writer;
    struct weft__node rq, wq;
    char tsan
        [2]; /* keys: [0] writers release, readers acquire; [1] readers release, writers acquire */
} __attribute__((may_alias));

_Static_assert(sizeof(struct rwmutex) <= sizeof(weft_rwmutex), "fits its public storage");

static struct rwmutex *lock_in(weft_rwmutex *m)
{
    struct rwmutex *x = (struct rwmutex *)m;
    weft__object_check(&x->object, WEFT_KIND_RWMUTEX);
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    weft__waitq_ready(&x->rq);
    weft__waitq_ready(&x->wq);
    return x;
}

static _Noreturn void misuse(struct rwmutex *x, const char *mistake, const char *extra)
{
    weft__unlock(&x->lock);
    weft__object_misuse(&x->object, WEFT_KIND_RWMUTEX, mistake, extra);
}

void weft_rwmutex_init(weft_rwmutex *m, const char *name)
{
    memset(m, 0, sizeof *m);
    weft__object_init(&m->object_, WEFT_KIND_RWMUTEX, name, __builtin_return_address(0));
}

void weft_rwmutex_fini(weft_rwmutex *m)
{
    if (!m)
        return;
    weft__enter();
    struct rwmutex *x = lock_in(m);
    if (x->readers || x->writer)
        misuse(x, "end of locked", "");
    if (!weft__list_empty(&x->rq) || !weft__list_empty(&x->wq))
        misuse(x, "end of", " on which fibers wait");
    weft__object_fini(&x->object);
    weft__unlock(&x->lock);
    weft__leave();
}

/* Waits until somebody hands the lock over. */
static void wait_locked(struct rwmutex *x, struct weft__fiber *f, bool write, void *caller)
{
    struct weft__waiter w = {.fiber = f};
    weft__list_push_back(write ? &x->wq : &x->rq, &w.link);
    int rc = weft__park(write ? WEFT__WAIT_RWMUTEX_W : WEFT__WAIT_RWMUTEX_R, &x->object, caller,
        WEFT__PARK_HARD, weft__commit_unlock, &x->lock);
    WEFT_CHECK(rc == 1);
}

static void give(struct weft__waiter *w, struct weft__node *claimed)
{
    w->fiber->wake_result = 1;
    weft__list_push_back(claimed, &w->link);
}

/* Nobody holds it: lets in all waiting readers (after a writer), or one writer. X3. */
static void hand_over_locked(struct rwmutex *x, bool readers_first, struct weft__node *claimed)
{
    struct weft__waiter *w;
    if (readers_first || weft__list_empty(&x->wq)) {
        while ((w = weft__waitq_claim_hard(&x->rq))) {
            x->readers++;
            give(w, claimed);
        }
        if (x->readers)
            return;
    }
    if ((w = weft__waitq_claim_hard(&x->wq))) {
        x->writer = w->fiber;
        give(w, claimed);
    }
}

static void acquired(struct rwmutex *x, struct weft__fiber *f, bool write)
{
    weft__tsan_acquire(&x->tsan[0]);
    if (write)
        weft__tsan_acquire(&x->tsan[1]);
}

void weft_rwmutex_lock(weft_rwmutex *m)
{
    struct weft__fiber *f = weft__enter();
    struct rwmutex *x = lock_in(m);
    if (x->writer == f)
        misuse(x, "second lock by its holder of", "");
    if (x->readers || x->writer) {
        wait_locked(x, f, true, __builtin_return_address(0));
    } else {
        x->writer = f;
        weft__unlock(&x->lock);
    }
    acquired(x, f, true);
    weft__leave();
}

bool weft_rwmutex_try_lock(weft_rwmutex *m)
{
    struct weft__fiber *f = weft__enter();
    struct rwmutex *x = lock_in(m);
    bool got = !x->readers && !x->writer;
    if (got)
        x->writer = f;
    weft__unlock(&x->lock);
    if (got)
        acquired(x, f, true);
    weft__leave();
    return got;
}

void weft_rwmutex_unlock(weft_rwmutex *m)
{
    struct weft__node claimed;
    struct weft__fiber *f = weft__enter();
    struct rwmutex *x = lock_in(m);
    if (!x->writer)
        misuse(x, "write unlock of unlocked", x->readers ? " (only readers hold it)" : "");
    if (x->writer != f)
        misuse(x, "write unlock of", " that another fiber or thread locked");
    weft__tsan_release(&x->tsan[0]);
    weft__list_init(&claimed);
    x->writer = NULL;
    hand_over_locked(x, true, &claimed);
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
    weft__leave();
}

void weft_rwmutex_rlock(weft_rwmutex *m)
{
    struct weft__fiber *f = weft__enter();
    struct rwmutex *x = lock_in(m);
    if (x->writer == f)
        misuse(x, "read lock by its writer of", "");
    if (x->writer || !weft__list_empty(&x->wq)) {
        wait_locked(x, f, false, __builtin_return_address(0));
    } else {
        x->readers++;
        weft__unlock(&x->lock);
    }
    acquired(x, f, false);
    weft__leave();
}

bool weft_rwmutex_try_rlock(weft_rwmutex *m)
{
    struct weft__fiber *f = weft__enter();
    struct rwmutex *x = lock_in(m);
    bool got = !x->writer && weft__list_empty(&x->wq);
    if (got)
        x->readers++;
    weft__unlock(&x->lock);
    if (got)
        acquired(x, f, false);
    weft__leave();
    return got;
}

void weft_rwmutex_runlock(weft_rwmutex *m)
{
    struct weft__node claimed;
    weft__enter();
    struct rwmutex *x = lock_in(m);
    if (!x->readers)
        misuse(x, "read unlock of unlocked", x->writer ? " (a writer holds it)" : "");
    weft__tsan_release(&x->tsan[1]);
    weft__list_init(&claimed);
    if (--x->readers == 0)
        hand_over_locked(x, false, &claimed);
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
    weft__leave();
}
