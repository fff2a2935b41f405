// SPDX-License-Identifier: Apache-2.0
/*
 * runq.c - a worker's ring and the global queue.
 *
 * The ring is a bounded single-producer multi-consumer queue. head and tail are free-running 32-bit
 * counts; slot = count % 256. The owner alone writes tail; owner and thieves advance head by CAS, a
 * thief by half of what is there at once.
 *
 *      head                tail
 *       v                   v
 *   ... [f][f][f][f][f][f]  .  .      pop: CAS head+1
 *                                     push: slot[tail]=f, then tail+1  [mo:ring]
 *
 * R1  tail - head <= 256, and slots in [head, tail) hold fibers made visible by the release store
 *     of tail.
 * R2  A thief copies slots before its CAS of head; if the CAS fails it throws the copies away, so a
 *     slot reused meanwhile is never run.
 *
 * Progress: push wait-free unless full; pop and steal lock-free. Overflow moves half to the global
 * queue, under its lock.
 */
#include "base/fatal.h"
#include "sched/worker.h"

bool weft__ring_empty(struct weft__worker *w)
{
    return at_load(&w->head) == at_load(&w->tail);
}

bool weft__ring_full(struct weft__worker *w)
{
    return at_load(&w->tail) - at_load(&w->head) >= w->relief;
}

static bool overflow(struct weft__worker *w, struct weft__fiber *f, uint32_t head)
{
    struct weft__fiber *batch[WEFT__RING / 2 + 1];
    uint32_t n = WEFT__RING / 2;
    for (uint32_t i = 0; i < n; i++)
        batch[i] =
            at_load_rlx(&w->ring[(head + i) % WEFT__RING]); /* [mo:alone: the owner wrote them] */
    if (!at_cas(&w->head, &head, head + n))
        return false;
    batch[n] = f;
    for (uint32_t i = 0; i < n; i++)
        batch[i]->next = batch[i + 1];
    weft__lock(&weft__sched.lock, WEFT__RANK_SCHED);
    weft__global_push_locked(batch[0], &f->next, n + 1);
    weft__unlock(&weft__sched.lock);
    return true;
}

void weft__ring_push(struct weft__worker *w, struct weft__fiber *f)
{
    uint32_t tail = at_load_rlx(&w->tail); /* [mo:alone: only the owner writes it] */
    for (;;) {
        uint32_t head = at_load_acq(&w->head); /* [mo:ring] */
        if (tail - head < WEFT__RING) {
            at_store_rlx(&w->ring[tail % WEFT__RING], f); /* [mo:ring] published by tail */
            at_store_rel(&w->tail, tail + 1);             /* [mo:ring] */
            return;
        }
        if (overflow(w, f, head))
            return;
    }
}

struct weft__fiber *weft__ring_pop(struct weft__worker *w)
{
    uint32_t head = at_load_acq(&w->head); /* [mo:ring] */
    for (;;) {
        uint32_t tail = at_load_rlx(&w->tail); /* [mo:alone: only the owner writes it] */
        if (head == tail)
            return NULL;
        struct weft__fiber *f =
            at_load_rlx(&w->ring[head % WEFT__RING]); /* [mo:alone: the owner wrote it] */
        if (at_cas(&w->head, &head, head + 1))
            return f;
    }
}

static uint32_t grab(struct weft__worker *victim, struct weft__fiber **out)
{
    for (;;) {
        uint32_t head = at_load_acq(&victim->head); /* [mo:ring] */
        uint32_t tail = at_load_acq(&victim->tail); /* [mo:ring] */
        uint32_t n = tail - head;
        n -= n / 2;
        if (n == 0)
            return 0;
        if (n > WEFT__RING / 2)
            continue; /* head and tail were read at different times */
        for (uint32_t i = 0; i < n; i++)
            out[i] = at_load_rlx(&victim->ring[(head + i) % WEFT__RING]); /* [mo:ring] */
        if (at_cas(&victim->head, &head, head + n))                       /* R2 */
            return n;
    }
}

struct weft__fiber *weft__ring_steal(
    struct weft__worker *thief, struct weft__worker *victim, bool take_next)
{
    struct weft__fiber *batch[WEFT__RING / 2];
    uint32_t n = grab(victim, batch);
    if (n == 0) {
        struct weft__fiber *f = take_next ? at_load(&victim->next) : NULL;
        return f && at_cas(&victim->next, &f, NULL) ? f : NULL;
    }
    for (uint32_t i = 0; i + 1 < n; i++)
        weft__ring_push(thief, batch[i]);
    return batch[n - 1];
}

void weft__global_push_locked(struct weft__fiber *first, struct weft__fiber **last_next, unsigned n)
{
    *last_next = NULL;
    *weft__sched.global_tail = first;
    weft__sched.global_tail = last_next;
    at_add(&weft__sched.global_count, n);
}

void weft__global_push(struct weft__fiber *f)
{
    weft__lock(&weft__sched.lock, WEFT__RANK_SCHED);
    weft__global_push_locked(f, &f->next, 1);
    weft__unlock(&weft__sched.lock);
}

struct weft__fiber *weft__global_take(struct weft__worker *w)
{
    struct weft__sched *s = &weft__sched;
    struct weft__fiber *first = NULL;
    if (at_load(&s->global_count) == 0)
        return NULL;
    weft__lock(&s->lock, WEFT__RANK_SCHED);
    unsigned n = at_load(&s->global_count) / s->workers + 1;
    if (n > WEFT__RING / 4)
        n = WEFT__RING / 4;
    for (unsigned i = 0; i < n && s->global_head; i++) {
        struct weft__fiber *f = s->global_head;
        s->global_head = f->next;
        if (!s->global_head)
            s->global_tail = &s->global_head;
        at_sub(&s->global_count, 1);
        if (!first)
            first = f;
        else if (at_load(&w->tail) - at_load(&w->head) < WEFT__RING)
            weft__ring_push(w, f);
        else { /* cannot happen with n <= 64 and a ring that was just found empty or short: put it
                  back */
            weft__global_push_locked(f, &f->next, 1);
            break;
        }
    }
    weft__unlock(&s->lock);
    return first;
}
