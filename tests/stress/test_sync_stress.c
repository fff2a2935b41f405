// SPDX-License-Identifier: Apache-2.0
/*
 * test_sync_stress.c - random operations on shared channels and locks, with everything conserved.
 *
 * channels_*: parties (fibers, plain threads, or both) send and receive by all forms of the
 * operations on a few channels of different capacities, while somebody ends and renews their
 * contexts. Each value sent is random; at the end, what was received together with what is left in
 * the channels must be what was sent: as many, with the same sum and the same exclusive or. So no
 * element is lost, doubled or torn, whoever wins the race between partner, close, timer and
 * cancellation.
 *
 * queues_*: the same with a bounded queue made of a mutex and two conds, a semaphore counting
 * beside it, and a rwmutex around a value that must never be seen half changed.
 *
 * Each case goes on for test_stress_seconds(). The cases with plain threads alone need no
 * scheduler: in a ThreadSanitizer build they put the channels' own code under its eyes.
 */
#include <weft/cond.h>
#include <weft/rwmutex.h>
#include <weft/sema.h>
#include <weft/sugar_chan.h>
#include <weft/waitgroup.h>

#include "unit/sync/sync_test.h"

typedef WEFT_CHAN_OF(uint64_t) word_chan;

enum { CHANNELS = 5, PARTIES = 12, QUEUE = 8 };

struct tally {
    uint64_t count, sum, exor;
};

static void tally_add(struct tally *t, uint64_t v)
{
    t->count++;
    t->sum += v;
    t->exor ^= v;
}

struct world;

struct party {
    struct world *world;
    struct weft__rand rand;
    struct fake_ctx ctx;
    _Atomic(struct weft__fiber *) fiber; /* while it may be cancelled */
    struct tally sent, got;
    uint64_t cancelled;
};

struct world {
    word_chan c[CHANNELS];
    /* the queue */
    weft_mutex m;
    weft_cond room, items;
    uint64_t ring[QUEUE];
    unsigned head, count; /* guarded by m */
    weft_sema s;
    weft_rwmutex rw;
    uint64_t pair[2]; /* guarded by rw: always equal */

    int (*step)(struct party *p);
    weft_waitgroup parties, canceller;
    _Atomic int stop;
    struct party party[PARTIES];
};

static uint32_t lot(struct party *p, uint32_t bound)
{
    return weft__rand_below(&p->rand, bound);
}

/* Notes a finished context, and gives the party a new one. */
static void renew(struct party *p, int rc)
{
    if (rc != -ECANCELED)
        return;
    p->cancelled++;
    at_store(&p->ctx.err, 0);
    weft__interrupt_clear(weft__self());
}

/* ---- channels ---- */

static int step_select(struct party *p)
{
    struct weft_case cases[6];
    uint64_t in[6], out[6];
    int ret[6];
    size_t n = 1 + lot(p, 5);
    for (size_t i = 0; i < n; i++) {
        word_chan c = p->world->c[lot(p, CHANNELS)];
        out[i] = weft__rand_next(&p->rand);
        if (lot(p, 16) == 0)
            c.chan = NULL;
        cases[i] =
            lot(p, 2) ? WEFT_RECV(c, &in[i], &ret[i]) : WEFT_SEND_TO(c.chan, &out[i], &ret[i]);
    }
    switch (lot(p, 3)) {
    case 0:
        cases[n++] = WEFT_DEFAULT;
        break;
    case 1:
        cases[n++] = WEFT_AFTER(lot(p, 200) * WEFT_US);
        break;
    default:
        break;
    }
    int i = weft_selectv(cases, n);
    if (i >= 0 && cases[i].kind == WEFT_CASE_RECV && ret[i] == 1)
        tally_add(&p->got, in[i]);
    if (i >= 0 && cases[i].kind == WEFT_CASE_SEND && ret[i] == 0)
        tally_add(&p->sent, out[i]);
    CHECK_MSG(i >= 0 || i == -EAGAIN || i == -ECANCELED, "select: %d", i);
    return i;
}

static int step_channels(struct party *p)
{
    word_chan c = p->world->c[lot(p, CHANNELS)];
    uint64_t v = weft__rand_next(&p->rand);
    int rc;
    switch (lot(p, 6)) {
    case 0:
        if ((rc = weft_send(c, v)) == 0)
            tally_add(&p->sent, v);
        return rc;
    case 1:
        if ((rc = weft_recv(c, &v)) == 1)
            tally_add(&p->got, v);
        return rc;
    case 2:
        if ((rc = weft_try_send(c, v)) == 0)
            tally_add(&p->sent, v);
        return rc;
    case 3:
        if ((rc = weft_try_recv(c, &v)) == 1)
            tally_add(&p->got, v);
        return rc;
    default:
        return step_select(p);
    }
}

/* ---- locks ---- */

static int put(struct world *w, struct party *p)
{
    uint64_t v = weft__rand_next(&p->rand);
    int rc = 0;
    weft_mutex_lock(&w->m);
    while (w->count == QUEUE && !at_load(&w->stop) && (rc = weft_cond_wait(&w->room, &w->m)) == 0)
        ;
    CHECK(weft_mutex_held(&w->m));
    if (rc == 0 && w->count < QUEUE) {
        w->ring[(w->head + w->count++) % QUEUE] = v;
        tally_add(&p->sent, v);
        weft_cond_signal(&w->items);
        weft_sema_release(&w->s, 1);
    }
    weft_mutex_unlock(&w->m);
    return rc;
}

static int take(struct world *w, struct party *p)
{
    int rc = weft_sema_acquire(&w->s, 1);
    if (rc)
        return rc;
    weft_mutex_lock(&w->m);
    CHECK(w->count > 0 || at_load(&w->stop)); /* the permit says so */
    if (w->count > 0) {
        tally_add(&p->got, w->ring[w->head]);
        w->head = (w->head + 1) % QUEUE;
        w->count--;
        if (lot(p, 8))
            weft_cond_signal(&w->room);
        else
            weft_cond_broadcast(&w->room);
    }
    weft_mutex_unlock(&w->m);
    return 0;
}

static int step_queue(struct party *p)
{
    struct world *w = p->world;
    switch (lot(p, 4)) {
    case 0:
        return put(w, p);
    case 1:
        return take(w, p);
    case 2:
        weft_rwmutex_rlock(&w->rw);
        CHECK_EQ(w->pair[0], w->pair[1]);
        weft_rwmutex_runlock(&w->rw);
        return 0;
    default:
        weft_rwmutex_lock(&w->rw);
        w->pair[0]++;
        if (lot(p, 32) == 0)
            yield();
        w->pair[1]++;
        weft_rwmutex_unlock(&w->rw);
        return 0;
    }
}

/* ---- parties ---- */

static int party(void *arg)
{
    struct party *p = arg;
    struct world *w = p->world;
    weft__enter();
    weft__leave();
    at_store(&p->fiber, under(&p->ctx));
    while (!at_load(&w->stop)) {
        renew(p, w->step(p));
        if (lot(p, 64) == 0)
            yield();
    }
    weft__self()->ctx = NULL;
    CHECK_EQ(weft_waitgroup_wait(&w->canceller), 0); /* it may still hold our record */
    weft_waitgroup_done(&w->parties);
    return 0;
}

static void *party_thread(void *arg)
{
    party(arg);
    return NULL;
}

static void pause_ns(int64_t ns)
{
    struct timespec t = {.tv_nsec = ns};
    nanosleep(&t, NULL);
}

/* Ends contexts at random until the time is over, then lets everybody go. */
static void *cancel_until_the_end(void *arg)
{
    struct world *w = arg;
    struct weft__rand r;
    weft__rand_init(&r, test_seed());
    int64_t end = weft__clock_ns() + test_stress_seconds() * WEFT_SEC;
    while (weft__clock_ns() < end) {
        struct party *p = &w->party[weft__rand_below(&r, PARTIES)];
        struct weft__fiber *f = at_load(&p->fiber);
        if (f)
            cancel(f, &p->ctx, -ECANCELED);
        pause_ns(weft__rand_below(&r, 50000));
    }
    at_store(&w->stop, 1);
    for (int i = 0; i < CHANNELS; i++)
        weft_chan_close(w->c[i]);
    weft_mutex_lock(&w->m);
    weft_cond_broadcast(&w->room);
    weft_cond_broadcast(&w->items);
    weft_mutex_unlock(&w->m);
    weft_sema_release(&w->s, PARTIES);
    for (int i = 0; i < PARTIES; i++) { /* a select over nil channels has nobody else */
        struct weft__fiber *f = at_load(&w->party[i].fiber);
        if (f)
            cancel(f, &w->party[i].ctx, -ECANCELED);
    }
    /* ... and one whose party was just renewing its context then is ended again */
    for (int k = 0; k < 100; k++) {
        pause_ns(1000000);
        for (int i = 0; i < PARTIES; i++) {
            struct weft__fiber *f = at_load(&w->party[i].fiber);
            if (f)
                cancel(f, &w->party[i].ctx, -ECANCELED);
        }
    }
    weft_waitgroup_done(&w->canceller);
    return NULL;
}

static void world_init(struct world *w, int (*step)(struct party *))
{
    static const size_t caps[CHANNELS] = {0, 0, 1, 3, 64};
    memset(w, 0, sizeof *w);
    w->step = step;
    for (int i = 0; i < CHANNELS; i++)
        CHECK_EQ(weft_chan_make(&w->c[i], caps[i]), 0);
    for (int i = 0; i < PARTIES; i++) {
        w->party[i].world = w;
        weft__rand_init(&w->party[i].rand, test_seed() + (uint64_t)i);
    }
    weft_waitgroup_add(&w->parties, PARTIES);
    weft_waitgroup_add(&w->canceller, 1);
}

static void world_check(struct world *w)
{
    struct tally sent = {0}, got = {0};
    uint64_t v, cancelled = 0;
    for (int i = 0; i < PARTIES; i++) {
        const struct party *p = &w->party[i];
        sent.count += p->sent.count, sent.sum += p->sent.sum, sent.exor ^= p->sent.exor;
        got.count += p->got.count, got.sum += p->got.sum, got.exor ^= p->got.exor;
        cancelled += p->cancelled;
    }
    for (int i = 0; i < CHANNELS; i++) {
        while (weft_try_recv(w->c[i], &v) == 1)
            tally_add(&got, v);
        weft_chan_free(w->c[i]);
    }
    for (; w->count; w->count--, w->head++)
        tally_add(&got, w->ring[w->head % QUEUE]);
    CHECK_EQ(sent.count, got.count);
    CHECK(sent.sum == got.sum && sent.exor == got.exor);
    CHECK(sent.count > 0 && cancelled > 0);
    CHECK_EQ(w->pair[0], w->pair[1]);
    weft_waitgroup_fini(&w->parties);
    weft_waitgroup_fini(&w->canceller);
    weft_rwmutex_fini(&w->rw);
    weft_cond_fini(&w->room);
    weft_cond_fini(&w->items);
    weft_mutex_fini(&w->m);
    weft_sema_fini(&w->s);
    printf("seed %llu: %llu values, %llu waits cancelled\n", (unsigned long long)test_seed(),
        (unsigned long long)sent.count, (unsigned long long)cancelled);
}

static struct world world;

/* The first `fibers` parties are fibers, the rest plain threads. */
static void run_world(int (*step)(struct party *), int fibers)
{
    pthread_t t[PARTIES + 1];
    world_init(&world, step);
    for (int i = 0; i < PARTIES; i++) {
        if (i < fibers)
            go(party, &world.party[i]);
        else
            CHECK_EQ(pthread_create(&t[i], NULL, party_thread, &world.party[i]), 0);
    }
    CHECK_EQ(pthread_create(&t[PARTIES], NULL, cancel_until_the_end, &world), 0);
    CHECK_EQ(weft_waitgroup_wait(&world.parties), 0);
    for (int i = fibers; i <= PARTIES; i++)
        pthread_join(t[i], NULL);
    world_check(&world);
}

static int channels_fibers(void *arg)
{
    run_world(step_channels, PARTIES);
    return 0;
}

static int channels_mixed(void *arg)
{
    run_world(step_channels, PARTIES - 3);
    return 0;
}

static int queues_fibers(void *arg)
{
    run_world(step_queue, PARTIES);
    return 0;
}

static int queues_mixed(void *arg)
{
    run_world(step_queue, PARTIES - 3);
    return 0;
}

TEST(channels_fibers)
{
    ON_WORKERS(channels_fibers);
}

TEST(channels_fibers_and_threads)
{
    ON_WORKERS(channels_mixed);
}

TEST(channels_threads)
{
    weft__cancelled_hook = fake_cancelled;
    run_world(step_channels, 0);
}

TEST(queues_fibers)
{
    ON_WORKERS(queues_fibers);
}

TEST(queues_fibers_and_threads)
{
    ON_WORKERS(queues_mixed);
}

TEST(queues_threads)
{
    weft__cancelled_hook = fake_cancelled;
    run_world(step_queue, 0);
}
