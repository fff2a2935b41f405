// SPDX-License-Identifier: Apache-2.0
/*
 * stress_chan.c - channel operations by the billion: nothing is lost, doubled or left waiting.
 *
 * Each round is a run of its own, drawn from the seed: the number of workers, one or two channels
 * of 0 to 128 slots, up to eight producers and eight consumers, each of which receives plainly,
 * without waiting, or by a select over both channels. Producer p sends p, p + P, p + 2P ...; the
 * consumers' counts, sums and exclusive-ors must be those of 0 .. N - 1, and from one producer
 * over one channel a consumer receives rising numbers. A lost wake-up is a round that never ends:
 * the case's time limit, or the report of a deadlock, finds it.
 *
 * Goes on for WEFT_STRESS_SECONDS, and on until WEFT_STRESS_OPS operations (a send and a receive
 * are two) are done: `WEFT_STRESS_OPS=1000000000 WEFT_TEST_TIMEOUT=3600 stress_chan`.
 */
#include <errno.h>
#include <weft/fiber.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sugar_chan.h>

#include "base/futex.h"
#include "base/rand.h"
#include "test.h"

enum { MOST = 8, ITEMS = 200000 };

typedef WEFT_CHAN_OF(uint64_t) word_chan;

enum manner { PLAIN, TRY, SELECT, MANNERS };

struct party {
    unsigned index;
    enum manner manner;
    uint64_t count, sum, exor;
    int64_t last[2][MOST]; /* by channel and producer */
};

static struct {
    unsigned workers, channels, producers, consumers;
    size_t slots[2];
    word_chan c[2];
    struct party consumer[MOST], producer[MOST];
} game;

static int produce(void *arg)
{
    struct party *p = arg;
    for (uint64_t v = p->index; v < ITEMS; v += game.producers) {
        int sent;
        if (p->manner == SELECT && game.channels == 2) {
            CHECK(weft_select(WEFT_SEND(game.c[0], v, &sent), WEFT_SEND(game.c[1], v, &sent)) >= 0);
            CHECK_EQ(sent, 0);
        } else {
            CHECK_EQ(weft_send(game.c[p->index % game.channels], v), 0);
        }
    }
    return 0;
}

static void take(struct party *p, unsigned channel, uint64_t v)
{
    int64_t *last = &p->last[channel][v % game.producers];
    CHECK(v < ITEMS && (int64_t)v > *last);
    *last = (int64_t)v;
    p->count++;
    p->sum += v;
    p->exor ^= v * 0x9E3779B97F4A7C15u;
}

/* Both channels until both are closed. */
static void consume_by_select(struct party *p)
{
    word_chan open[2] = {game.c[0], game.c[1]};
    uint64_t v;
    int got;
    while (open[0].chan || open[1].chan) {
        int i = weft_select(WEFT_RECV(open[0], &v, &got), WEFT_RECV(open[1], &v, &got));
        CHECK(i == 0 || i == 1);
        if (got == 1)
            take(p, (unsigned)i, v);
        else
            open[i].chan = NULL;
    }
}

static int consume(void *arg)
{
    struct party *p = arg;
    uint64_t v;
    if (p->manner == SELECT && game.channels == 2) {
        consume_by_select(p);
        return 0;
    }
    for (unsigned i = 0; i < game.channels; i++) {
        unsigned at = (p->index + i) % game.channels;
        int rc;
        do {
            rc = p->manner == TRY ? weft_try_recv(game.c[at], &v) : -EAGAIN;
            if (rc == -EAGAIN)
                rc = weft_recv(game.c[at], &v);
            if (rc == 1)
                take(p, at, v);
        } while (rc == 1);
        CHECK_EQ(rc, 0);
    }
    return 0;
}

static int round_app(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < game.channels; i++)
        CHECK_EQ(weft_chan_make(&game.c[i], game.slots[i]), 0);
    weft_scope out, in;
    weft_scope_open(&in, NULL);
    weft_scope_open(&out, NULL);
    for (unsigned i = 0; i < game.consumers; i++)
        CHECK_EQ(weft_go(&in, consume, &game.consumer[i]), 0);
    for (unsigned i = 0; i < game.producers; i++)
        CHECK_EQ(weft_go(&out, produce, &game.producer[i]), 0);
    CHECK_EQ(weft_wait(&out), 0);
    for (unsigned i = 0; i < game.channels; i++)
        weft_chan_close(game.c[i]);
    CHECK_EQ(weft_wait(&in), 0);
    weft_scope_close(&out);
    weft_scope_close(&in);
    for (unsigned i = 0; i < game.channels; i++)
        weft_chan_free(game.c[i]);
    return 0;
}

static void draw(struct weft__rand *r)
{
    static const unsigned workers[] = {1, 2, 3, 4, 8};
    static const size_t slots[] = {0, 0, 1, 2, 16, 128};
    game.workers = workers[weft__rand_below(r, 5)];
    game.channels = 1 + weft__rand_below(r, 2);
    game.producers = 1 + weft__rand_below(r, MOST);
    /* one consumer a channel at least: it drains one after the other is closed */
    game.consumers = game.channels + weft__rand_below(r, MOST + 1 - game.channels);
    for (int i = 0; i < 2; i++)
        game.slots[i] = slots[weft__rand_below(r, 6)];
    for (unsigned i = 0; i < MOST; i++) {
        game.producer[i] = (struct party){.index = i, .manner = weft__rand_below(r, MANNERS)};
        game.consumer[i] = (struct party){.index = i, .manner = weft__rand_below(r, MANNERS)};
        memset(game.consumer[i].last, -1, sizeof game.consumer[i].last);
    }
}

static void check_round(void)
{
    uint64_t count = 0, sum = 0, exor = 0;
    for (unsigned i = 0; i < game.consumers; i++) {
        count += game.consumer[i].count;
        sum += game.consumer[i].sum;
        exor ^= game.consumer[i].exor;
    }
    for (uint64_t v = 0; v < ITEMS; v++)
        exor ^= v * 0x9E3779B97F4A7C15u;
    CHECK_EQ(count, ITEMS);
    CHECK(sum == (uint64_t)ITEMS * (ITEMS - 1) / 2 && exor == 0);
}

TEST(nothing_is_lost)
{
    const char *wish = getenv("WEFT_STRESS_OPS");
    uint64_t least = wish ? strtoull(wish, NULL, 0) : 0, ops = 0, rounds = 0;
    int64_t until = weft__clock_ns() + test_stress_seconds() * (int64_t)1000000000;
    struct weft__rand r;
    weft__rand_init(&r, test_seed());
    while (weft__clock_ns() < until || ops < least) {
        int result = -1;
        draw(&r);
        weft_run_opts o = {.size = sizeof o, .workers = game.workers};
        CHECK_EQ(weft_run(round_app, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
        check_round();
        ops += 2 * (uint64_t)ITEMS;
        rounds++;
    }
    printf("seed %llu: %llu rounds, %llu operations\n", (unsigned long long)test_seed(),
        (unsigned long long)rounds, (unsigned long long)ops);
}
