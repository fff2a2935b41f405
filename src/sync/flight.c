// SPDX-License-Identifier: Apache-2.0
/*
 * flight.c - of all who ask for the same at the same time, one works and the others wait.
 *
 *      bucket[hash % BUCKETS] -> call -> call -> NULL        a call lies on the stack of its leader
 *                                 |key, leader, waiters      all under one lock
 *
 * No allocation: calls are on leaders' stacks, waiters on their own. The leader leaves the lock
 * while it works.
 *
 * F1  A key is in its bucket at most once. forget takes the call out; its leader then finds itself
 *     out, and only wakes its waiters.
 * F2  The leader copies the result to each waiter it has claimed, before making it ready.
 * F3  If the work does not return (panic, exit) the leader's registration does the same with
 *     -EOWNERDEAD and no result.
 */
#include <weft/flight.h>

#include <errno.h>
#include <string.h>

#include "sync/object_core.h"
#include "sync/unwinding.h"
#include "sync/waiter.h"

enum { BUCKETS = 64 };

struct call {
    weft_unwind unwind; /* first: the unwinder's pointer is ours */
    struct call *next;
    struct flight *flight;
    const void *key;
    size_t key_bytes;
    uint32_t bucket;
    struct weft__fiber *leader;
    struct weft__node
        waiters; /* elem: where the result goes; amount: its bytes; extra: fn's result */
    void *result;
    size_t result_bytes;
    bool shared;
};

struct flight {
    struct weft_object object;
    struct weft__lock lock; /* rank SYNC */
    struct call *bucket[BUCKETS];
} __attribute__((may_alias));

_Static_assert(sizeof(struct flight) <= sizeof(weft_flight), "fits its public storage");

void weft_flight_init(weft_flight *fl, const char *name)
{
    memset(fl, 0, sizeof *fl);
    weft__object_init(&fl->object_, WEFT_KIND_FLIGHT, name, __builtin_return_address(0));
}

/* FNV-1a, folded: keys are short, and the buckets few. */
static uint32_t bucket_of(const void *key, size_t bytes)
{
    const unsigned char *p = key;
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ p[i]) * 0x100000001b3ULL;
    return (uint32_t)(h >> 32) % BUCKETS;
}

/* Where the call with this key is linked, or the end of its bucket. */
static struct call **find_locked(
    struct flight *x, uint32_t bucket, const void *key, size_t key_bytes)
{
    struct call **at = &x->bucket[bucket];
    while (*at && ((*at)->key_bytes != key_bytes || memcmp((*at)->key, key, key_bytes) != 0))
        at = &(*at)->next;
    return at;
}

/* Ends a call: out of its bucket, rc and result to all who wait. Inside the runtime. */
static void finish(struct call *c, int rc)
{
    struct weft__node claimed;
    struct weft__waiter *w;
    struct flight *x = c->flight;
    weft__list_init(&claimed);
    weft__lock_of(&x->lock, WEFT__RANK_SYNC, x);
    for (struct call **at = &x->bucket[c->bucket]; *at; at = &(*at)->next) {
        if (*at == c) {
            *at = c->next;
            break;
        }
    }
    while ((w = weft__waitq_claim(&c->waiters))) {
        size_t bytes = w->amount < c->result_bytes ? w->amount : c->result_bytes;
        weft__tsan_release(weft__waiter_key_waker(w));
        if (rc >= 0 && bytes)
            memcpy(w->elem, c->result, bytes);
        w->extra = (uintptr_t)(intptr_t)rc;
        w->fiber->wake_result = 1;
        weft__list_push_back(&claimed, &w->link);
    }
    weft__unlock(&x->lock);
    weft__ready_all(&claimed);
}

static void on_unwind(weft_unwind *u)
{
    weft__enter();
    finish((struct call *)(void *)u, -EOWNERDEAD);
    weft__leave();
}

/* Waits for c's result under the flight's lock, which is released. 1 and *ret_rc; or
 * WEFT__INTERRUPTED. */
static int wait_locked(
    struct flight *x, struct call *c, struct weft__waiter *w, void *caller, int *ret_rc)
{
    if (c->leader == w->fiber)
        weft__object_misuse(
            &x->object, WEFT_KIND_FLIGHT, "call from within the work for the same key of", "");
    c->shared = true;
    weft__list_push_back(&c->waiters, &w->link);
    int rc = weft__park(WEFT__WAIT_FLIGHT, &x->object, caller, weft__wait_flags(w->fiber),
        weft__commit_unlock, &x->lock);
    if (rc == WEFT__INTERRUPTED) {
        weft__lock_of(&x->lock, WEFT__RANK_SYNC, x);
        if (weft__node_linked(&w->link))
            weft__list_remove(&w->link);
        weft__unlock(&x->lock);
        return rc;
    }
    weft__tsan_acquire(weft__waiter_key_waker(w));
    *ret_rc = (int)(intptr_t)w->extra;
    return 1;
}

/* Becomes the leader (false), or waits for it (true and *ret_rc, perhaps the context's error). */
static bool join_or_lead(struct flight *x, struct call *me, void *caller, int *ret_rc)
{
    struct weft__fiber *f = me->leader;
    for (;;) {
        weft__lock_of(&x->lock, WEFT__RANK_SYNC, x);
        struct call **at = find_locked(x, me->bucket, me->key, me->key_bytes);
        if (!*at) {
            *at = me;
            weft__unlock(&x->lock);
            return false;
        }
        struct weft__waiter w = {.fiber = f, .elem = me->result, .amount = me->result_bytes};
        if (wait_locked(x, *at, &w, caller, ret_rc) == 1)
            return true;
        if ((*ret_rc = weft__wait_ended(f)))
            return true;
    }
}

int weft_flight_do(weft_flight *fl, const void *key, size_t key_bytes,
    int (*fn)(void *arg, void *ret_result), void *arg, void *ret_result, size_t result_bytes,
    bool *ret_shared)
{
    struct weft__fiber *f = weft__enter();
    struct call c = {.flight = (struct flight *)fl,
        .key = key,
        .key_bytes = key_bytes,
        .bucket = bucket_of(key, key_bytes),
        .leader = f,
        .result = ret_result,
        .result_bytes = result_bytes};
    weft__list_init(&c.waiters);
    int rc = weft__cancelled(f);
    bool joined = rc || join_or_lead(c.flight, &c, __builtin_return_address(0), &rc);
    weft__leave();
    if (!joined) {
        weft__unwind_push(f, &c.unwind, on_unwind);
        rc = fn(arg, ret_result);
        weft__unwind_pop(f, &c.unwind);
        weft__enter();
        finish(&c, rc);
        weft__leave();
    }
    if (ret_shared)
        *ret_shared = joined || c.shared;
    return rc;
}

void weft_flight_forget(weft_flight *fl, const void *key, size_t key_bytes)
{
    struct flight *x = (struct flight *)fl;
    weft__enter();
    weft__lock_of(&x->lock, WEFT__RANK_SYNC, x);
    struct call **at = find_locked(x, bucket_of(key, key_bytes), key, key_bytes);
    if (*at)
        *at = (*at)->next;
    weft__unlock(&x->lock);
    weft__leave();
}
