// SPDX-License-Identifier: Apache-2.0
/*
 * stress_ring.c - the ring, the hand-off slot and the global queue (src/sched/runq.c) under plain
 * threads: in a ThreadSanitizer build of the library they stand under its eyes here.
 *
 * Each thread owns a worker and throws fibers' records about: it pushes to its own ring (which
 * overflows now and then), pops, hands over, steals from others, takes from the global queue. A
 * record that a thread holds carries a mark; taking one that is not marked as queued means that it
 * was taken twice. What the pusher wrote into it plainly must be read by the taker (the litmus test
 * of [mo:ring] and [mo:next]). At the end every record is somewhere, once.
 */
#include <pthread.h>

#include "sched/ring.h"
#include "sched/worker.h"
#include "test.h"

enum { THREADS = 4, RECORDS = 1500, QUEUED = 1, HELD = 2 };

static struct weft__worker workers[THREADS];
static struct weft__fiber record[RECORDS];
static _Atomic int stop;

struct party {
    struct weft__worker *w;
    struct weft__rand rand;
    struct weft__fiber *hand[RECORDS];
    unsigned held;
    uint64_t taken, stolen;
};
static struct party parties[THREADS];

static uint32_t lot(struct party *p, uint32_t bound)
{
    return weft__rand_below(&p->rand, bound);
}

static struct weft__fiber *release(struct party *p)
{
    struct weft__fiber *f = p->hand[--p->held];
    f->arg = f;
    f->park_since_ns = (int64_t)weft__rand_next(&p->rand); /* plain: the queue must publish it */
    f->id = (uint64_t)f->park_since_ns ^ 0x5555;
    CHECK_EQ(at_xchg(&f->wake, QUEUED), HELD);
    return f;
}

static void obtain(struct party *p, struct weft__fiber *f)
{
    if (!f)
        return;
    CHECK_EQ(at_xchg(&f->wake, HELD), QUEUED);
    CHECK(f->arg == f && f->id == ((uint64_t)f->park_since_ns ^ 0x5555));
    p->hand[p->held++] = f;
    p->taken++;
}

/* As enqueue of park.c: into the slot, what lay there into the ring. */
static void hand_over(struct party *p)
{
    struct weft__worker *w = p->w;
    struct weft__fiber *f = release(p), *old = at_load(&w->next);
    if (!old) {
        at_store_rel(&w->next, f);
        return;
    }
    old = at_xchg(&w->next, f);
    if (old)
        weft__ring_push(w, old);
}

static void take_next(struct party *p)
{
    struct weft__fiber *f = at_load(&p->w->next);
    if (f && at_cas(&p->w->next, &f, NULL))
        obtain(p, f);
}

static void turn(struct party *p)
{
    uint32_t n = 1 + lot(p, 40);
    switch (lot(p, 8)) {
    case 0: /* a burst; with luck it overflows */
        n *= 10;
        /* fall through */
    case 1:
        for (; n && p->held; n--)
            weft__ring_push(p->w, release(p));
        break;
    case 2:
        for (; n && p->held; n--)
            hand_over(p);
        break;
    case 3:
        take_next(p);
        break;
    case 4:
        obtain(p, weft__global_take(p->w));
        break;
    case 5:
        if (p->held)
            weft__global_push(release(p));
        break;
    case 6: {
        struct weft__worker *v = &workers[lot(p, THREADS)];
        struct weft__fiber *f = v == p->w ? NULL : weft__ring_steal(p->w, v, lot(p, 2));
        p->stolen += f != NULL;
        obtain(p, f);
        break;
    }
    default:
        for (; n; n--)
            obtain(p, weft__ring_pop(p->w));
    }
}

static void *run(void *arg)
{
    struct party *p = arg;
    while (!at_load(&stop))
        turn(p);
    return NULL;
}

static void setup(void)
{
    weft__sched.workers = THREADS;
    for (unsigned i = 0; i < THREADS; i++) {
        struct party *p = &parties[i];
        p->w = &workers[i];
        /* free-running counts: near their wrap-around in half of the rings */
        at_store(&p->w->head, i % 2 ? UINT32_MAX - 5000 : 0);
        at_store(&p->w->tail, i % 2 ? UINT32_MAX - 5000 : 0);
        weft__rand_init(&p->rand, test_seed() + i);
    }
    for (unsigned i = 0; i < RECORDS; i++) {
        struct party *p = &parties[i % THREADS];
        at_store(&record[i].wake, HELD);
        p->hand[p->held++] = &record[i];
    }
}

static void drain(struct party *p)
{
    unsigned before;
    do {
        before = p->held;
        take_next(p);
        obtain(p, weft__ring_pop(p->w));
        obtain(p, weft__global_take(p->w));
    } while (p->held != before);
}

TEST(every_record_once)
{
    pthread_t t[THREADS];
    unsigned held = 0;
    uint64_t taken = 0, stolen = 0;
    setup();
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, run, &parties[i]), 0);
    struct timespec ts = {.tv_sec = test_stress_seconds()};
    nanosleep(&ts, NULL);
    at_store(&stop, 1);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        drain(&parties[i]);
        held += parties[i].held;
        taken += parties[i].taken;
        stolen += parties[i].stolen;
    }
    CHECK_EQ(held, RECORDS);
    for (unsigned i = 0; i < RECORDS; i++)
        CHECK_EQ(at_load(&record[i].wake), HELD);
    CHECK(stolen > 0);
    printf("# seed %llu: %llu taken, %llu thefts\n", (unsigned long long)test_seed(),
        (unsigned long long)taken, (unsigned long long)stolen);
}
