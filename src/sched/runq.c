// SPDX-License-Identifier: Apache-2.0
/*
 * runq.c - the rest of a worker's ring (ring.h): its overflow and stealing; and the global queue.
 */
#include "base/fatal.h"
#include "sched/ring.h"

bool weft__ring_overflow(struct weft__worker *w, struct weft__fiber *f, uint32_t head)
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
    unsigned taken = 0; /* counted until they can be seen elsewhere */
    for (; taken < n && s->global_head; taken++) {
        struct weft__fiber *f = s->global_head;
        s->global_head = f->next;
        if (!s->global_head)
            s->global_tail = &s->global_head;
        if (!first)
            first = f;
        else if (at_load(&w->tail) - at_load(&w->head) < WEFT__RING)
            weft__ring_push(w, f);
        else { /* cannot happen with n <= 64 and a ring that was just found empty or short: put it
                  back */
            weft__global_push_locked(f, &f->next, 1);
            taken++;
            break;
        }
    }
    at_sub(&s->global_count, taken);
    weft__unlock(&s->lock);
    return first;
}
