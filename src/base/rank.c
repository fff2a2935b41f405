// SPDX-License-Identifier: Apache-2.0
/* rank.c - each thread's list of the locks that it holds, in debug builds; rank.h has the rules. */
#include "base/rank.h"

#include <stdio.h>

#include "base/fatal.h"

void (*weft__object_text_hook)(const void *object, char *text, size_t bytes);

#ifndef NDEBUG
enum { HELD = 32 };

struct held {
    const struct weft__lock *lock;
    const void *object;
    const char *where;
    enum weft__rank rank;
    bool handed;
};

static __thread struct {
    struct held at[HELD];
    unsigned count, beyond; /* beyond: held, but not on the list for want of room */
    bool over;              /* the process is ending: its last words may take locks */
} mine __attribute__((tls_model("initial-exec")));

static const char *rank_name(enum weft__rank r)
{
    static const char *const names[] = {
        "no rank", "ALARM", "CTX", "SYNC", "FD", "TIMER", "SCHED", "THREAD", "STACK", "COLD"};
    return (unsigned)r < sizeof names / sizeof *names ? names[r] : names[0];
}

static struct held *find(const struct weft__lock *l)
{
    for (unsigned i = mine.count; i-- > 0;)
        if (mine.at[i].lock == l)
            return &mine.at[i];
    return NULL;
}

static _Noreturn void out_of_order(
    const struct held *h, const struct weft__lock *l, enum weft__rank rank, const char *where)
{
    mine.over = true;
    if (h->lock == l)
        weft__fatal("lock order: %s (%p) of rank %s taken a second time by its holder, who took it "
                    "at %s",
            where, (const void *)l, rank_name(rank), h->where);
    weft__fatal("lock order: rank %s (%p, at %s) taken while rank %s (%p, at %s) is held%s",
        rank_name(rank), (const void *)l, where, rank_name(h->rank), (const void *)h->lock,
        h->where, h->rank == rank ? ": not in the order of their addresses" : "");
}

__attribute__((noinline)) void weft__rank_take(const struct weft__lock *l, enum weft__rank rank,
    const void *object, const struct weft__lock *above, const char *where)
{
    if (mine.over)
        return;
    bool below = above && (mine.beyond || find(above));
    for (unsigned i = 0; i < mine.count; i++) {
        const struct held *h = &mine.at[i];
        if (h->lock == l || h->rank > rank || (h->rank == rank && !below && h->lock > l))
            out_of_order(h, l, rank, where);
    }
    if (mine.count == HELD)
        mine.beyond++;
    else
        mine.at[mine.count++] =
            (struct held){.lock = l, .object = object, .where = where, .rank = rank};
}

__attribute__((noinline)) void weft__rank_drop(const struct weft__lock *l)
{
    struct held *h = find(l);
    if (mine.over)
        return;
    if (h) {
        for (mine.count--; h < &mine.at[mine.count]; h++)
            h[0] = h[1];
    } else if (mine.beyond) {
        mine.beyond--;
    } else {
        mine.over = true;
        weft__fatal("lock order: %p released by a thread that does not hold it", (const void *)l);
    }
}

__attribute__((noinline)) void weft__rank_hand(const struct weft__lock *l)
{
    struct held *h = find(l);
    if (h)
        h->handed = true;
}

/* The locks on the list, all or those not handed, as text; false: there are none. */
static bool tell(bool all, char *text, size_t bytes)
{
    size_t n = 0;
    bool any = false;
    text[0] = '\0';
    for (unsigned i = 0; i < mine.count && !mine.over; i++) {
        const struct held *h = &mine.at[i];
        char object[256] = "";
        if (!all && h->handed)
            continue;
        if (h->object && weft__object_text_hook)
            weft__object_text_hook(h->object, object, sizeof object);
        int more = snprintf(text + n, bytes - n, "%s%s%sthe lock of rank %s taken at %s",
            any ? ", " : "", object, object[0] ? ": " : "", rank_name(h->rank), h->where);
        n += more < (int)(bytes - n) ? (size_t)more : bytes - n - 1;
        any = true;
    }
    mine.over = mine.over || any; /* who asks is about to end the process */
    return any;
}

__attribute__((noinline)) bool weft__rank_kept(char *text, size_t bytes)
{
    return mine.count && tell(false, text, bytes);
}

__attribute__((noinline)) bool weft__rank_any(char *text, size_t bytes)
{
    return mine.count && tell(true, text, bytes);
}

__attribute__((noinline)) void weft__rank_none(const char *doing)
{
    char locks[1024];
    if (__builtin_expect(mine.count != 0, 0) && tell(true, locks, sizeof locks))
        weft__misuse("runtime %s while a runtime lock is held: %s", doing, locks);
}

__attribute__((noinline)) void weft__rank_forget(void)
{
    mine.count = mine.beyond = 0;
    mine.over = false;
}
#endif
