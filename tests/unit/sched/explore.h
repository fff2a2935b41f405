// SPDX-License-Identifier: Apache-2.0
/*
 * explore.h - visits every state that a small model of concurrent code can reach.
 *
 * A model is a plain struct (no pointers, no padding that differs) and a step function. A *mover*
 * is whatever acts by itself: a thread, a store buffer that drains, the kernel that delivers a
 * signal. In every state each mover may take its next step; one step is one access to shared
 * memory, or one section under a lock. All orders of steps are tried, each state once:
 *
 *      state --mover 0--> state' ...       step() returns STEP_BLOCKED, STEP_TAKEN, or STEP_MORE
 *            --mover 1--> state'' ...      when the mover had several choices: it is called again
 *                                          with choice + 1
 *
 * wrong() names what must not be in any state, stuck() what must not be in a state where no mover
 * can go on. On a finding the way there is printed, state by state, by show(). A model that finds
 * nothing proves little until its mutants fail: explore_bites wants a finding.
 *
 * Stores that are weaker than sequentially consistent are modelled as x86 has them: the mover puts
 * the value into a buffer of its own, another mover drains it, a fence waits for that.
 */
#ifndef WEFT_TEST_EXPLORE_H
#define WEFT_TEST_EXPLORE_H
#include "test.h"

enum { STEP_BLOCKED, STEP_TAKEN, STEP_MORE };

struct model {
    const char *name;
    size_t bytes;
    int movers;
    int (*step)(void *state, int mover, int choice);
    const char *(*wrong)(const void *state);
    const char *(*stuck)(const void *state);
    void (*show)(const void *state);
};

struct explorer {
    const struct model *m;
    unsigned char *state; /* [count] of m->bytes each */
    uint32_t *from;       /* [count] index of the state it was reached from */
    uint32_t *slot;       /* hash table of index + 1 */
    uint32_t count, room, slots;
};

static inline uint64_t explore_hash(const unsigned char *s, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15;
    for (size_t i = 0; i < n; i++)
        h = (h ^ s[i]) * 0x100000001b3;
    return h ^ h >> 29;
}

static inline void explore_grow(struct explorer *e)
{
    const size_t bytes = e->m->bytes;
    e->room = e->room ? 2 * e->room : 1u << 16;
    e->slots = 4 * e->room;
    e->state = realloc(e->state, e->room * bytes);
    e->from = realloc(e->from, e->room * sizeof *e->from);
    free(e->slot);
    e->slot = calloc(e->slots, sizeof *e->slot);
    CHECK(e->state && e->from && e->slot);
    for (uint32_t i = 0; i < e->count; i++) {
        uint64_t at = explore_hash(e->state + i * bytes, bytes) % e->slots;
        while (e->slot[at])
            at = (at + 1) % e->slots;
        e->slot[at] = i + 1;
    }
}

static inline void explore_add(struct explorer *e, const unsigned char *s, uint32_t from)
{
    const size_t bytes = e->m->bytes;
    if (e->count == e->room)
        explore_grow(e);
    uint64_t at = explore_hash(s, bytes) % e->slots;
    for (; e->slot[at]; at = (at + 1) % e->slots)
        if (memcmp(e->state + (e->slot[at] - 1) * bytes, s, bytes) == 0)
            return;
    memcpy(e->state + e->count * bytes, s, bytes);
    e->from[e->count] = from;
    e->slot[at] = ++e->count;
}

static inline void explore_show(const struct explorer *e, uint32_t at)
{
    uint32_t n = 0, way[400];
    for (uint32_t i = at;; i = e->from[i]) {
        if (n < 400)
            way[n++] = i;
        if (i == e->from[i])
            break;
    }
    while (n-- > 0)
        e->m->show(e->state + way[n] * e->m->bytes);
}

/** The first finding, or NULL. The way to it is printed if `loud`. */
static inline const char *explore(
    const struct model *m, const void *start, bool loud, uint32_t *ret_states)
{
    struct explorer e = {.m = m};
    const char *finding = NULL;
    unsigned char next[256];
    CHECK(m->bytes <= sizeof next);
    explore_add(&e, start, 0);
    for (uint32_t at = 0; at < e.count && !finding; at++) {
        bool moved = false;
        finding = m->wrong(e.state + at * m->bytes);
        for (int mover = 0; mover < m->movers && !finding; mover++) {
            for (int choice = 0, more = STEP_MORE; more == STEP_MORE; choice++) {
                memcpy(next, e.state + at * m->bytes, m->bytes);
                more = m->step(next, mover, choice);
                if (more == STEP_BLOCKED)
                    break;
                moved = true;
                explore_add(&e, next, at);
            }
        }
        if (!finding && !moved)
            finding = m->stuck(e.state + at * m->bytes);
        if (finding && loud) {
            printf("# %s: %s\n", m->name, finding);
            explore_show(&e, at);
        }
    }
    *ret_states = e.count;
    free(e.state);
    free(e.from);
    free(e.slot);
    return finding;
}

/** The model holds. */
static inline void explore_holds(const struct model *m, const void *start)
{
    uint32_t states;
    const char *finding = explore(m, start, true, &states);
    CHECK_MSG(!finding, "%s: %s", m->name, finding);
    printf("# %s: %u states\n", m->name, states);
}

/** The mutant is found out, by a finding that contains `what`. */
static inline void explore_bites(const struct model *m, const void *start, const char *what)
{
    uint32_t states;
    const char *finding = explore(m, start, false, &states);
    CHECK_MSG(finding, "%s: the mutant is not found out in %u states", m->name, states);
    CHECK_MSG(strstr(finding, what), "%s: found \"%s\" instead of \"%s\"", m->name, finding, what);
    printf("# %s: \"%s\" after %u states\n", m->name, finding, states);
}
#endif
