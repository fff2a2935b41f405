// SPDX-License-Identifier: Apache-2.0
/*
 * mutex.c - a lock that parks, knows its owner, and hands itself over when somebody starves.
 *
 *      word   owner (a fiber's address, 8-aligned) | QUEUED (1): the queue may be non-empty
 *                                                  | BUSY (2): the last owner's unlock is under way
 *             0: free.  Bits without owner: free, but only to be taken under the lock
 *      lock   guards queue, woken, handing
 *      queue  waiters, first come first; one that was woken and lost goes to the front again
 *
 * Fast paths are one compare-and-swap each: 0 -> self, self -> 0, and touch nothing else, not even
 * the runtime. The owner in the word makes "locked twice", "unlocked by another" and "who holds
 * it?" free of cost.
 *
 * Two modes, as Go's (a strict hand-off makes every contended unlock a switch; barging alone
 * starves): normally an unlock frees the word and wakes the first waiter, who competes with whoever
 * comes by. Who has waited STARVED_NS since its first try sets `handing`; then the unlock writes
 * the first waiter into the word, and new lockers queue up. The mode ends with the queue, or with a
 * waiter that got its turn sooner than that.
 *
 * M1  Whoever links a waiter sets QUEUED under the same lock, in a word that has an owner (whose
 *     unlock then takes the slow path) or with a woken waiter on its way (M3).
 * M2  QUEUED is cleared only under the lock with an empty queue.
 * M3  At most one woken waiter is on its way (woken); until it has had its try, unlocks wake nobody
 *     else. Choosing whom to wake and freeing the word is one step under the lock: else the woken
 *     one could have its try in between, in vain, and nobody would wake it again.
 * M4  The last access of a release to the mutex clears BUSY, after the lock's release. Who takes
 *     the mutex meanwhile waits for that: the owner may free the memory. The woken fiber's own
 *     record is touched after it, which only the claimer may do.
 * M5  While handing, the word is never free with a waiter queued.
 *
 * Any fiber or plain thread at once. Progress: blocking. Limits: none. Read next: cond.c, which
 * releases a mutex in a commit.
 */
#include "sync/mutex_core.h"

#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>

#include "base/futex.h"
#include "sync/object_core.h"
#include "sync/waiter.h"

enum { QUEUED = 1, BUSY = 2, BITS = QUEUED | BUSY, STARVED_NS = 1000000, HANDED = 1, WOKEN = 2 };

struct mutex {
    struct weft_object object;
    _Atomic uintptr_t word;
    struct weft__lock lock; /* rank SYNC; guards the rest */
    bool woken;             /* M3 */
    bool handing;           /* M5 */
    struct weft__node queue;
} __attribute__((may_alias));

_Static_assert(sizeof(struct mutex) <= sizeof(weft_mutex), "fits its public storage");

static struct mutex *in(const weft_mutex *m)
{
    return (struct mutex *)(uintptr_t)m;
}

static struct weft__fiber *owner_of(uintptr_t word)
{
    return (struct weft__fiber *)(word & ~(uintptr_t)BITS);
}

void weft_mutex_init(weft_mutex *m, const char *name)
{
    memset(m, 0, sizeof *m);
    weft__object_init(&m->object_, WEFT_KIND_MUTEX, name, __builtin_return_address(0));
}

void weft_mutex_fini(weft_mutex *m)
{
    if (!m)
        return;
    struct mutex *x = in(m);
    if (owner_of(at_load(&x->word)))
        weft__object_misuse(&x->object, WEFT_KIND_MUTEX, "end of locked", "");
    if (x->queue.next && !weft__list_empty(&x->queue))
        weft__object_misuse(&x->object, WEFT_KIND_MUTEX, "end of", " on which fibers wait");
    weft__object_fini(&x->object);
}

struct weft__fiber *weft__mutex_owner(const weft_mutex *m)
{
    return owner_of(at_load(&in(m)->word));
}

bool weft_mutex_held(const weft_mutex *m)
{
    struct weft__fiber *f = weft__self();
    return f && weft__mutex_owner(m) == f;
}

/* Takes a word that has no owner, keeping its mark; not while an unlock is under way. */
static bool take_free(struct mutex *x, struct weft__fiber *f)
{
    uintptr_t w = at_load(&x->word);
    while (!(w & ~(uintptr_t)QUEUED))
        if (at_cas(&x->word, &w, (uintptr_t)f | w))
            return true;
    return false;
}

/* M4: the last owner is some instructions away from being done. */
static void await_release(struct mutex *x)
{
    for (int spins = 0; at_load(&x->word) & BUSY; spins++) {
        if (spins < 100)
            weft__cpu_pause();
        else
            weft__syscall(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    }
}

/* Under the lock: takes the word if it is free, else marks it so that the owner's unlock will
 * see the queue (M1). */
static bool take_or_mark_locked(struct mutex *x, struct weft__fiber *f)
{
    uintptr_t w = at_load(&x->word);
    for (;;) {
        uintptr_t next = owner_of(w) ? w | QUEUED : (uintptr_t)f | w;
        if (at_cas(&x->word, &w, next))
            return !owner_of(w);
    }
}

/* Under the lock: M2. */
static void clear_mark_locked(struct mutex *x)
{
    if (weft__list_empty(&x->queue))
        at_and(&x->word, ~(uintptr_t)QUEUED);
}

static void lock_slow(struct mutex *x, struct weft__fiber *f, void *caller)
{
    struct weft__waiter me = {.fiber = f};
    int64_t since = 0;
    int rc = 0;
    for (;;) {
        weft__lock(&x->lock, WEFT__RANK_SYNC);
        weft__waitq_ready(&x->queue);
        if (rc == WOKEN)
            x->woken = false;
        bool barred =
            x->handing && rc == 0 && !weft__list_empty(&x->queue); /* M5: newcomers queue up */
        if (!barred && take_or_mark_locked(x, f))
            break;
        if (barred)
            at_or(&x->word, QUEUED);
        if (rc == 0) {
            weft__list_push_back(&x->queue, &me.link);
            since = weft__clock_ns();
        } else {
            weft__list_push_front(&x->queue, &me.link);
            if (weft__clock_ns() - since > STARVED_NS)
                x->handing = true;
        }
        rc = weft__park(
            WEFT__WAIT_MUTEX, &x->object, caller, WEFT__PARK_HARD, weft__commit_unlock, &x->lock);
        WEFT_CHECK(rc == HANDED || rc == WOKEN);
        if (rc == HANDED) {
            weft__lock(&x->lock, WEFT__RANK_SYNC);
            break;
        }
    }
    if (rc != 0 && x->handing &&
        (weft__list_empty(&x->queue) || weft__clock_ns() - since <= STARVED_NS))
        x->handing = false;
    clear_mark_locked(x);
    weft__unlock(&x->lock);
    await_release(x);
}

void weft__mutex_acquire(weft_mutex *m, struct weft__fiber *f, void *caller)
{
    struct mutex *x = in(m);
    uintptr_t free_word = 0;
    if (!at_cas(&x->word, &free_word, (uintptr_t)f))
        lock_slow(x, f, caller);
    weft__tsan_acquire(x);
}

/* Under the lock, by the owner: who shall have the mutex next, or at least be woken to try. NULL:
 * nobody, or one is on its way (M3). */
static struct weft__fiber *choose_locked(struct mutex *x, bool *ret_hand)
{
    weft__waitq_ready(&x->queue);
    *ret_hand = x->handing && !weft__list_empty(&x->queue);
    if (!*ret_hand && x->woken)
        return NULL;
    struct weft__waiter *w = weft__waitq_claim_hard(&x->queue);
    if (!w)
        return NULL;
    w->fiber->wake_result = *ret_hand ? HANDED : WOKEN;
    x->woken = x->woken || !*ret_hand;
    return w->fiber;
}

void weft__mutex_release(weft_mutex *m, struct weft__fiber *f)
{
    struct mutex *x = in(m);
    uintptr_t w = (uintptr_t)f;
    bool hand;
    if (at_cas(&x->word, &w, 0))
        return;
    WEFT_ASSERT(owner_of(w) == f);
    weft__lock(&x->lock, WEFT__RANK_SYNC);
    struct weft__fiber *next = choose_locked(x, &hand);
    w = BUSY | (hand ? (uintptr_t)next : 0) | (weft__list_empty(&x->queue) ? 0 : QUEUED);
    at_store(&x->word, w);
    weft__unlock(&x->lock);
    at_and(&x->word, ~(uintptr_t)BUSY);
    if (next)
        weft__ready(next);
}

/* Apart, so that the fast path saves no registers. */
static __attribute__((noinline)) void lock_inside(weft_mutex *m, void *caller)
{
    struct weft__fiber *f = weft__enter();
    if (weft__mutex_owner(m) == f)
        weft__object_misuse(&in(m)->object, WEFT_KIND_MUTEX, "second lock by its holder of", "");
    weft__mutex_acquire(m, f, caller);
    weft__leave();
}

void weft_mutex_lock(weft_mutex *m)
{
    struct mutex *x = in(m);
    struct weft__thread *t = weft__arch_thread();
    uintptr_t free_word = 0;
    weft__object_check(&x->object, WEFT_KIND_MUTEX);
    /* attention: somebody else may want to come in before (the simulator always) */
    if (__builtin_expect(t && !at_load_rlx(&t->attention), 1)) { /* [mo:alone: a hint] */
        struct weft__fiber *me = t->cur;
        if (__builtin_expect(at_cas(&x->word, &free_word, (uintptr_t)me), 1)) {
            weft__tsan_acquire(x);
            return;
        }
    }
    lock_inside(m, __builtin_return_address(0));
}

bool weft_mutex_try_lock(weft_mutex *m)
{
    struct mutex *x = in(m);
    weft__object_check(&x->object, WEFT_KIND_MUTEX);
    struct weft__thread *t = weft__arch_thread();
    if (!t || at_load_rlx(&t->attention)) { /* [mo:alone: a hint] a plain thread's first call, or
                                               others may come in before */
        weft__enter();
        weft__leave();
    }
    struct weft__fiber *f = weft__self();
    if (!take_free(x, f))
        return false;
    weft__tsan_acquire(x);
    return true;
}

static _Noreturn void misuse_of_unlock(struct mutex *x)
{
    bool held = owner_of(at_load(&x->word));
    weft__object_misuse(&x->object, WEFT_KIND_MUTEX, held ? "unlock of" : "unlock of unlocked",
        held ? " that another fiber or thread locked" : "");
}

static __attribute__((noinline)) void unlock_inside(weft_mutex *m)
{
    struct weft__fiber *f = weft__enter();
    if (weft__mutex_owner(m) != f)
        misuse_of_unlock(in(m));
    weft__mutex_release(m, f);
    weft__leave();
}

void weft_mutex_unlock(weft_mutex *m)
{
    struct mutex *x = in(m);
    struct weft__fiber *f = weft__self();
    uintptr_t self = (uintptr_t)f;
    weft__object_check(&x->object, WEFT_KIND_MUTEX);
    weft__tsan_release(x);
    if (__builtin_expect(f && at_cas(&x->word, &self, 0), 1)) {
        return;
    }
    unlock_inside(m);
}
