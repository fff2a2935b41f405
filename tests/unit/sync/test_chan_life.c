// SPDX-License-Identifier: Apache-2.0
/*
 * test_chan_life.c - channels under ended contexts, from plain threads, and their making, counting
 * and misuse. On 1, 2 and 8 workers.
 */
#include <weft/sugar_chan.h>

#include "sync_test.h"

typedef WEFT_CHAN_OF(int) int_chan;

static int_chan make(size_t cap)
{
    int_chan c;
    CHECK_EQ(weft_chan_make(&c, cap), 0);
    return c;
}

/* A fiber that receives once. */
struct blocking {
    int_chan c;
    struct fake_ctx ctx;
    _Atomic int returned;
    int rc;
};

static int receive_once(void *p)
{
    struct blocking *b = p;
    int v;
    under(&b->ctx);
    b->rc = weft_recv(b->c, &v);
    at_store(&b->returned, 1);
    return 0;
}

/* ---- cancellation ---- */

static int cancelled_before(void *arg)
{
    struct fake_ctx ctx = {.err = -ETIMEDOUT};
    struct weft__fiber *f = under(&ctx);
    int_chan c = make(1);
    int v;
    at_or(&f->wake, WEFT__WAKE_INTERRUPT);
    CHECK_EQ(weft_send(c, 1), -ETIMEDOUT); /* although there is room: an ended context is sticky */
    CHECK_EQ(weft_recv(c, &v), -ETIMEDOUT);
    CHECK_EQ(weft_select(WEFT_SEND(c, 1, NULL)), -ETIMEDOUT);
    CHECK_EQ(weft_try_send(c, 1), 0); /* these do not wait */
    CHECK_EQ(weft_select(WEFT_RECV(c, &v, NULL), WEFT_DEFAULT), 0);
    CHECK_EQ(weft_try_recv(c, &v), -EAGAIN);
    f->ctx = NULL;
    weft__interrupt_clear(f);
    weft_chan_free(c);
    return 0;
}

TEST(cancelled_before)
{
    ON_WORKERS(cancelled_before);
}

/* An interruption that is not of the fiber's own context is not noticed. */
static int stale_interrupt(void *arg)
{
    struct blocking b = {.c = make(0)};
    struct weft__fiber *f = go(receive_once, &b);
    for (int i = 0; i < 50; i++) {
        until_parked(f, WEFT__WAIT_CHAN_RECV);
        weft__enter();
        weft__interrupt(f);
        weft__leave();
    }
    CHECK_EQ(at_load(&b.returned), 0);
    CHECK_EQ(weft_send(b.c, 1), 0);
    until(&b.returned, 1);
    CHECK_EQ(b.rc, 1);

    b = (struct blocking){.c = b.c}; /* shielded: ended, but not reached */
    f = go(receive_once, &b);
    until_parked(f, WEFT__WAIT_CHAN_RECV);
    weft_chan_close(b.c);
    until(&b.returned, 1);
    CHECK_EQ(b.rc, 0);
    weft_chan_free(b.c);
    return 0;
}

TEST(stale_interrupt_is_not_noticed)
{
    ON_WORKERS(stale_interrupt);
}

/* Cancellation races with delivery: whatever the outcome, elements are conserved. */
struct race {
    int_chan c;
    struct fake_ctx ctx;
    _Atomic int done;
    int got;
};

static int racing_receiver(void *p)
{
    struct race *r = p;
    int v;
    under(&r->ctx);
    int rc = weft_recv(r->c, &v);
    CHECK(rc == 1 || rc == -ECANCELED);
    r->got = rc;
    at_store(&r->done, 1);
    return 0;
}

struct canceller {
    struct race *r;
    struct weft__fiber *f;
    _Atomic int done;
};

static int racing_canceller(void *p)
{
    struct canceller *c = p;
    cancel(c->f, &c->r->ctx, -ECANCELED);
    at_store(&c->done, 1);
    return 0;
}

static int cancel_races(void *arg)
{
    int delivered = 0;
    for (int i = 0; i < 2000; i++) {
        struct race r = {.c = make((size_t)i % 2)};
        struct canceller k = {.r = &r, .f = go(racing_receiver, &r)};
        until_parked(k.f, WEFT__WAIT_CHAN_RECV);
        go(racing_canceller, &k);
        if (i % 3)
            yield();
        int rc = weft_try_send(r.c, 1);
        until(&r.done, 1);
        until(&k.done, 1);
        CHECK(rc == 0 || rc == -EAGAIN);
        CHECK_EQ(r.got == 1, rc == 0 && weft_chan_len(r.c) == 0);
        delivered += r.got == 1;
        weft_chan_free(r.c);
    }
    CHECK(delivered < 2000);
    return 0;
}

TEST(cancel_races_with_delivery)
{
    ON_WORKERS(cancel_races);
}

/* ---- plain threads ---- */

static void *thread_sender(void *p)
{
    int_chan c = *(int_chan *)p;
    for (int i = 0; i < 1000; i++)
        CHECK_EQ(weft_send(c, i), 0);
    return NULL;
}

static int from_thread(void *arg)
{
    for (size_t cap = 0; cap < 3; cap++) {
        int_chan c = make(cap);
        pthread_t t;
        CHECK_EQ(pthread_create(&t, NULL, thread_sender, &c), 0);
        for (int v, i = 0; i < 1000; i++) {
            CHECK_EQ(weft_recv(c, &v), 1);
            CHECK_EQ(v, i);
        }
        pthread_join(t, NULL);
        weft_chan_free(c);
    }
    return 0;
}

TEST(thread_to_fiber)
{
    ON_WORKERS(from_thread);
}

TEST(threads_without_a_runtime)
{
    from_thread(NULL);
}

/* ---- making, counting, misuse ---- */

TEST(new_refuses_nonsense)
{
    weft_chan *c;
    CHECK_EQ(weft_chan_new(4, 1, NULL), -EINVAL);
    CHECK_EQ(weft_chan_new(8, SIZE_MAX / 4, &c), -EINVAL);
    CHECK_EQ(weft_chan_new(0, SIZE_MAX, &c), -EINVAL);
    CHECK_EQ(weft_chan_new(SIZE_MAX / 2, 1, &c), -EINVAL);
    CHECK_EQ(weft_chan_new(0, 5, &c), 0);
    CHECK_EQ(weft_chan_cap(c), 5);
    weft_chan_free(c);
    weft_chan_free((weft_chan *)NULL);
    CHECK_EQ(weft_chan_len((weft_chan *)NULL), 0);
    CHECK_EQ(weft_chan_cap((weft_chan *)NULL), 0);
}

TEST(counted)
{
    weft_chan *c;
    int v = 0;
    CHECK_EQ(weft_chan_new(sizeof(int), 1, &c), 0);
    CHECK(weft_chan_ref(c) == c);
    weft_chan_free(c);
    CHECK_EQ(weft_chan_try_send(c, &(int){4}), 0);
    CHECK_EQ(weft_chan_try_recv(c, &v), 1);
    CHECK_EQ(v, 4);
    weft_chan_free(c);
}

#if !defined(NDEBUG) /* release builds do not look for it */
static void use_after_free(void)
{
    int_chan c = make(1);
    weft_chan_free(c);
    weft_try_send(c, 1);
}

TEST(use_after_free)
{
#if defined(__SANITIZE_ADDRESS__)
    EXPECT_DEATH(use_after_free, "heap-use-after-free");
#else
    EXPECT_DEATH(use_after_free, "use after free of channel");
#endif
}
#endif

static int free_with_waiter(void *arg)
{
    struct blocking b = {.c = make(0)};
    until_parked(go(receive_once, &b), WEFT__WAIT_CHAN_RECV);
    weft_chan_free(b.c);
    return 0;
}

static void free_with_waiter_run(void)
{
    run_on(1, free_with_waiter, NULL);
}

TEST(free_with_waiter)
{
    EXPECT_DEATH(free_with_waiter_run, "on which fibers wait");
}
