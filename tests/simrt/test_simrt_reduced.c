// SPDX-License-Identifier: Apache-2.0
/*
 * test_simrt_reduced.c - that the explorer's partial-order reduction leaves nothing out: of threads
 * that do not touch each other one order is left; and programs are drawn from a seed, whose every
 * outcome must be found with it as without. What it finds, and counts, in programs that the other
 * modes know too: test_simrt_small.c.
 */
#include "base/atomic.h"
#include "simrt.h"

/* ---- orders that can be counted ---- */

static _Atomic uint32_t words[3];

static void *writes_own(void *arg)
{
    _Atomic uint32_t *w = arg;
    for (uint32_t i = 1; i <= 3; i++)
        at_store(w, i);
    SIMRT_CHECK(at_load(w) == 3);
    return NULL;
}

static void each_its_own(void *arg)
{
    unsigned long t[3];
    (void)arg;
    for (int i = 0; i < 3; i++)
        t[i] = simrt_thread("own", writes_own, &words[i]);
    simrt_window(true);
    for (int i = 0; i < 3; i++)
        simrt_join(t[i]);
    simrt_window(false);
}

/* Each join may come before or after the end that it waits for; nothing else touches. */
TEST(what_does_not_touch_has_one_order)
{
    struct simrt_opts o = {.name = "own", .mode = SIMRT_REDUCED};
    struct simrt_result r = simrt_explore(each_its_own, NULL, &o);
    CHECK(r.complete);
    CHECK_EQ(r.schedules, 8);
}

/* ---- drawn programs: the same outcomes with and without ---- */

enum { THREADS = 3, OPS = 3, OUTCOMES = 4096, PROGRAMS = 40 };

struct op {
    enum { LOAD, STORE, ADD, SWAP, KINDS } kind;
    uint32_t word, value;
};
static struct op program[THREADS][OPS];
static unsigned threads, ops;
static uint32_t seen[THREADS][OPS];
static uint64_t outcome[OUTCOMES];
static unsigned outcomes;

static void draw_program(uint64_t seed)
{
    uint64_t s = seed * 2654435761u + 1;
    threads = 2 + seed % 2;
    ops = threads == 2 ? OPS : 2;
    for (unsigned t = 0; t < threads; t++)
        for (unsigned i = 0; i < ops; i++) {
            s = s * 6364136223846793005u + 1442695040888963407u;
            program[t][i] =
                (struct op){s >> 33 & 3, (uint32_t)(s >> 40) % 3, (uint32_t)(s >> 50) & 3};
        }
}

static uint32_t perform(const struct op *o)
{
    _Atomic uint32_t *w = &words[o->word];
    uint32_t free_word = 0;
    switch (o->kind) {
    case LOAD:
        return at_load(w);
    case STORE:
        at_store(w, o->value);
        return 0;
    case ADD:
        return at_add(w, o->value);
    default:
        return at_cas(w, &free_word, o->value + 1) ? 99 : free_word;
    }
}

static void *performs(void *arg)
{
    unsigned t = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < ops; i++)
        seen[t][i] = perform(&program[t][i]);
    return NULL;
}

static void note_outcome(void)
{
    uint64_t h = 1;
    for (unsigned t = 0; t < threads; t++)
        for (unsigned i = 0; i < ops; i++)
            h = (h ^ seen[t][i]) * 0x9e3779b97f4a7c15u;
    for (int i = 0; i < 3; i++)
        h = (h ^ words[i]) * 0x9e3779b97f4a7c15u;
    for (unsigned i = 0; i < outcomes; i++)
        if (outcome[i] == h)
            return;
    SIMRT_CHECK(outcomes < OUTCOMES);
    outcome[outcomes++] = h;
}

/* The first thread's part is main's own. */
static void drawn(void *arg)
{
    unsigned long id[THREADS];
    (void)arg;
    words[0] = words[1] = words[2] = 0;
    for (unsigned t = 1; t < threads; t++)
        id[t] = simrt_thread("drawn", performs, (void *)(uintptr_t)t);
    simrt_window(true);
    performs(NULL);
    for (unsigned t = 1; t < threads; t++)
        simrt_join(id[t]);
    simrt_window(false);
    note_outcome();
}

static bool is_outcome(uint64_t h, const uint64_t *of, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        if (of[i] == h)
            return true;
    return false;
}

TEST(every_outcome_of_drawn_programs_is_found)
{
    static uint64_t all[OUTCOMES];
    uint64_t first = test_seed(), full = 0, reduced = 0;
    for (uint64_t i = 0; i < PROGRAMS; i++) {
        struct simrt_opts o = {
            .name = "drawn", .mode = SIMRT_EXHAUSTIVE, .preemptions = UINT32_MAX};
        draw_program(first + i);
        outcomes = 0;
        struct simrt_result r = simrt_explore(drawn, NULL, &o);
        CHECK(r.complete);
        full += r.schedules;
        unsigned n = outcomes;
        memcpy(all, outcome, sizeof all);
        outcomes = 0;
        o.mode = SIMRT_REDUCED;
        r = simrt_explore(drawn, NULL, &o);
        CHECK(r.complete);
        reduced += r.schedules + r.cut;
        CHECK_EQ(outcomes, n);
        for (unsigned k = 0; k < n; k++)
            CHECK(is_outcome(outcome[k], all, n));
    }
    printf("# %llu schedules, %llu with reduction\n", (unsigned long long)full,
        (unsigned long long)reduced);
    CHECK(reduced * 2 < full);
}
