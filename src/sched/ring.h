// SPDX-License-Identifier: Apache-2.0
/*
 * ring.h - a worker's ring: what its owner does on every switch, inline; runq.c has the rest.
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
#ifndef WEFT_SCHED_RING_H
#define WEFT_SCHED_RING_H
#include "sched/worker.h"

/** By any thread: a glance. */
static inline bool weft__ring_empty(struct weft__worker *w)
{
    return at_load(&w->head) == at_load(&w->tail);
}

/** By its owner. */
static inline bool weft__ring_full(struct weft__worker *w)
{
    return at_load(&w->tail) - at_load(&w->head) >= w->relief;
}

/** runq.c: the ring was full when head was read; moves half of it and f to the global queue. False:
 * a thief has made room meanwhile. */
bool weft__ring_overflow(struct weft__worker *w, struct weft__fiber *f, uint32_t head);

/** By its owner; overflows half into the global queue. */
static inline void weft__ring_push(struct weft__worker *w, struct weft__fiber *f)
{
    uint32_t tail = at_load_rlx(&w->tail); /* [mo:alone: only the owner writes it] */
    for (;;) {
        uint32_t head = at_load_acq(&w->head); /* [mo:ring] */
        if (__builtin_expect(tail - head < WEFT__RING, 1)) {
            at_store_rlx(&w->ring[tail % WEFT__RING], f); /* [mo:ring] published by tail */
            at_store_rel(&w->tail, tail + 1);             /* [mo:ring] */
            return;
        }
        if (weft__ring_overflow(w, f, head))
            return;
    }
}

/** By its owner; NULL: empty. */
static inline struct weft__fiber *weft__ring_pop(struct weft__worker *w)
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
#endif
