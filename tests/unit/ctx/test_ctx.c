// SPDX-License-Identifier: Apache-2.0
/*
 * test_ctx.c - explicit contexts: the tree and its end, deadlines, values, causes, after-functions.
 * Cases named C19 to C21 follow Go's own conformance tests of package context.
 */
#include <pthread.h>

#include "rig.h"

#include "ctx/context.h"

static int children_count(weft_ctx *c)
{
    int n = 0;
    weft__enter();
    weft__lock(&c->lock, WEFT__RANK_CTX);
    for (struct weft__node *x = c->children.next; x != &c->children; x = x->next)
        n++;
    weft__unlock(&c->lock);
    weft__leave();
    return n;
}

static const char key_a, key_b;

/* ---- C19: the tree ---- */

FIBER_TEST(C19_cancel_ends_all_below_before_it_returns)
{
    weft_ctx *parent = weft_ctx_with_cancel(weft_ctx_background());
    weft_ctx *cancel = weft_ctx_with_cancel(parent);
    weft_ctx *value = weft_ctx_with_value(parent, &key_a, "v");
    weft_ctx *timer = weft_ctx_with_timeout(value, WEFT_HOUR);
    weft_ctx *all[] = {parent, cancel, value, timer};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(weft_ctx_err(all[i]), 0);
        CHECK(!is_done(all[i]));
        CHECK(!weft_ctx_cause(all[i]));
    }
    CHECK_EQ(children_count(parent), 2);
    weft_ctx_cancel(parent);
    for (int i = 0; i < 4; i++) {
        CHECK(is_done(all[i]));
        CHECK_EQ(weft_ctx_err(all[i]), -ECANCELED);
        CHECK_EQ(weft_error_code(weft_ctx_cause(all[i])), -ECANCELED);
    }
    CHECK_EQ(children_count(parent), 0);
    weft_ctx *late = weft_ctx_with_cancel(value);
    CHECK_EQ(weft_ctx_err(late), -ECANCELED);
    CHECK(is_done(late));
    weft_ctx_free(late);
    for (int i = 0; i < 4; i++)
        weft_ctx_free(all[i]);
}

FIBER_TEST(C19_child_cancelled_first_leaves_its_parent)
{
    weft_ctx *parent = weft_ctx_with_cancel(weft_ctx_background());
    weft_ctx *child = weft_ctx_with_cancel(parent);
    weft_ctx *timer = weft_ctx_with_timeout(parent, WEFT_HOUR);
    CHECK_EQ(children_count(parent), 2);
    weft_ctx_cancel(child);
    CHECK_EQ(children_count(parent), 1);
    weft_ctx_cancel(timer);
    CHECK_EQ(children_count(parent), 0);
    CHECK_EQ(weft_ctx_err(parent), 0);
    CHECK(!is_done(parent));
    weft_ctx_free(child);
    weft_ctx_free(timer);
    /* giving up the last reference removes it as well, with its timer */
    timer = weft_ctx_with_timeout(parent, WEFT_HOUR);
    weft_ctx_free(timer);
    CHECK_EQ(children_count(parent), 0);
    weft_ctx_free(parent);
}

static int cancel_entry(void *arg)
{
    weft_ctx *c = arg;
    weft_yield();
    weft_ctx_cancel(c);
    return weft_ctx_err(c) == -ECANCELED ? 0 : -EIO;
}

FIBER_TEST(C19_simultaneous_cancels)
{
    enum { N = 100 };
    weft_ctx *c[N], *root = weft_ctx_with_cancel(weft_ctx_background());
    int order[N];
    uint64_t seed = test_seed();
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < N; i++) {
            c[i] = weft_ctx_with_cancel(i ? c[rig_random(&seed) % (uint32_t)i] : root);
            order[i] = i;
        }
        for (uint32_t i = N - 1; i > 0; i--) {
            uint32_t k = rig_random(&seed) % (i + 1);
            int t = order[i];
            order[i] = order[k];
            order[k] = t;
        }
        WEFT_SCOPE(s);
        for (int i = 0; i < N; i++)
            CHECK_EQ(weft_go(&s, cancel_entry, c[order[i]]), 0);
        CHECK_EQ(weft_wait(&s), 0);
        for (int i = 0; i < N; i++) {
            CHECK(is_done(c[i]));
            weft_ctx_free(c[i]);
        }
    }
    CHECK_EQ(weft_ctx_err(root), 0);
    CHECK_EQ(children_count(root), 0);
    weft_ctx_free(root);
}

struct interlock {
    weft_ctx *parent, *child;
};

static int cancel_child_once_parent_is_done(void *arg)
{
    struct interlock *x = arg;
    weft_chan_recv(weft_ctx_done(x->parent), NULL);
    weft_ctx_cancel(x->child);
    return 0;
}

FIBER_TEST(C19_interlocked_cancels)
{
    for (int i = 0; i < 200; i++) {
        struct interlock x = {.parent = weft_ctx_with_cancel(weft_ctx_background())};
        x.child = weft_ctx_with_cancel(x.parent);
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, cancel_child_once_parent_is_done, &x), 0);
        if (i & 1)
            weft_yield();
        weft_ctx_cancel(x.parent);
        CHECK_EQ(weft_wait(&s), 0);
        CHECK(is_done(x.child));
        weft_ctx_free(x.child);
        weft_ctx_free(x.parent);
    }
}

FIBER_TEST(C19_layers)
{
    enum { LAYERS = 40 };
    static const char keys[LAYERS];
    uint64_t seed = test_seed();
    for (int round = 0; round < 20; round++) {
        bool timeout = round & 1;
        weft_ctx *c[LAYERS + 1], *stop = NULL;
        c[0] = weft_ctx_ref(weft_ctx_background());
        for (int i = 0; i < LAYERS; i++) {
            uint32_t kind = i == 0 ? 1 : rig_random(&seed) % 3;
            c[i + 1] = kind == 0 ? weft_ctx_with_value(c[i], &keys[i], &keys[i])
                       : kind == 1
                           ? weft_ctx_with_cancel(c[i])
                           : weft_ctx_with_timeout(c[i], timeout && !stop ? WEFT_MS : WEFT_HOUR);
            if (!timeout && i == 0)
                stop = c[1];
            if (timeout && kind == 2 && !stop)
                stop = c[i + 1];
        }
        for (int pass = 0; pass < 2; pass++) {
            for (int i = 0; i < LAYERS; i++)
                if (c[i + 1]->kind & WEFT__CTX_VALUE)
                    CHECK(weft_ctx_value(c[LAYERS], &keys[i]) == &keys[i]);
            if (timeout && stop)
                weft_chan_recv(weft_ctx_done(c[LAYERS]), NULL);
            else if (stop)
                weft_ctx_cancel(stop);
            if (stop)
                CHECK_EQ(weft_ctx_err(c[LAYERS]), timeout ? -ETIMEDOUT : -ECANCELED);
        }
        for (int i = LAYERS; i >= 0; i--)
            weft_ctx_free(c[i]);
    }
}

FIBER_TEST(a_deep_tree_ends_without_a_deep_stack)
{
    enum { DEEP = 20000 };
    weft_ctx *top = weft_ctx_with_cancel(weft_ctx_background()), *c = top;
    for (int i = 0; i < DEEP; i++) {
        weft_ctx *child = weft_ctx_with_cancel(c);
        if (c != top)
            weft_ctx_free(c);
        c = child;
    }
    weft_ctx_cancel(top);
    CHECK_EQ(weft_ctx_err(c), -ECANCELED);
    weft_ctx_free(top);
    weft_ctx_free(c); /* the last one takes all above it with it */
}

/* ---- C20: deadlines ---- */

FIBER_TEST(C20_deadline_in_the_past)
{
    weft_ctx *c = weft_ctx_with_deadline(weft_ctx_background(), weft_now() - WEFT_SEC);
    CHECK_EQ(weft_ctx_err(c), -ETIMEDOUT);
    CHECK(is_done(c));
    weft_ctx_free(c);
    c = weft_ctx_with_timeout(weft_ctx_background(), 0);
    CHECK_EQ(weft_ctx_err(c), -ETIMEDOUT);
    weft_ctx_free(c);
    c = weft_ctx_with_timeout(weft_ctx_background(), -5);
    CHECK_EQ(weft_ctx_err(c), -ETIMEDOUT);
    CHECK_EQ(weft_error_code(weft_ctx_cause(c)), -ETIMEDOUT);
    weft_ctx_free(c);
    c = weft_ctx_with_timeout(weft_ctx_background(), INT64_MAX);
    CHECK_EQ(weft_ctx_err(c), 0);
    CHECK_EQ(weft_ctx_deadline(c), INT64_MAX);
    weft_ctx_free(c);
}

FIBER_TEST(C20_shorter_parent_deadline_wins)
{
    weft_ctx *parent = weft_ctx_with_timeout(weft_ctx_background(), 5 * WEFT_MS);
    weft_ctx *child = weft_ctx_with_timeout(parent, WEFT_HOUR);
    CHECK_EQ(weft_ctx_deadline(child), weft_ctx_deadline(parent));
    CHECK_EQ(weft_chan_recv(weft_ctx_done(child), NULL), 0);
    CHECK_EQ(weft_ctx_err(child), -ETIMEDOUT);
    CHECK(weft_now() >= weft_ctx_deadline(parent));
    weft_ctx_free(child);
    weft_ctx_free(parent);
}

FIBER_TEST(C20_cancel_before_the_deadline)
{
    weft_ctx *c = weft_ctx_with_timeout(weft_ctx_background(), WEFT_HOUR);
    weft_ctx_cancel(c);
    CHECK_EQ(weft_ctx_err(c), -ECANCELED);
    weft_ctx_free(c);
}

static void check_value(const weft_ctx *c, const void *key, const char *want)
{
    const char *got = weft_ctx_value(c, key);
    CHECK(got != NULL);
    CHECK_STR(got, want);
}

FIBER_TEST(C20_values)
{
    weft_ctx *a = weft_ctx_with_value(weft_ctx_background(), &key_a, "outer");
    weft_ctx *b = weft_ctx_with_value(a, &key_b, "other");
    weft_ctx *c = weft_ctx_with_value(b, &key_a, "inner");
    weft_ctx *d = weft_ctx_with_value(c, &key_a, NULL);
    check_value(b, &key_a, "outer");
    check_value(c, &key_a, "inner");
    check_value(d, &key_b, "other");
    CHECK(weft_ctx_value(d, &key_a) == NULL);
    CHECK(weft_ctx_value(a, &key_b) == NULL);
    char text[] = "changed later";
    weft_ctx *e = weft_ctx_with_copy(d, &key_a, text, sizeof text);
    text[0] = 'X';
    check_value(e, &key_a, "changed later");
    weft_ctx *f = weft_ctx_with_trace(e, "4bf92f35");
    CHECK_STR(weft_ctx_trace(f), "4bf92f35");
    CHECK_STR(weft_ctx_trace(e), "");
    weft_ctx *all[] = {a, b, c, d, e, f};
    for (int i = 0; i < 6; i++)
        weft_ctx_free(all[i]);
}

static void null_parent(void)
{
    weft_ctx_with_cancel(NULL);
}
static void null_parent_of_a_value(void)
{
    weft_ctx_with_value(NULL, &key_a, "v");
}
static void null_key(void)
{
    weft_ctx_with_value(weft_ctx_background(), NULL, "v");
}
static void cancel_a_value(void)
{
    weft_ctx_cancel(weft_ctx_with_value(weft_ctx_background(), &key_a, "v"));
}
static void cancel_the_background(void)
{
    weft_ctx_cancel(weft_ctx_background());
}

TEST(C20_misuse)
{
    EXPECT_DEATH(null_parent, "weft_ctx_with_cancel: the context is NULL");
    EXPECT_DEATH(null_parent_of_a_value, "weft_ctx_with_value: the context is NULL");
    EXPECT_DEATH(null_key, "the key is NULL");
    EXPECT_DEATH(cancel_a_value, "cannot be cancelled");
    EXPECT_DEATH(cancel_the_background, "cannot be cancelled");
}

static void use_after_free(void)
{
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
    weft_ctx_free(c);
    weft_ctx_err(c);
}

TEST(use_of_a_freed_context_is_named)
{
#if defined(__SANITIZE_ADDRESS__)
    EXPECT_DEATH(use_after_free, "heap-use-after-free");
#elif !defined(NDEBUG)
    EXPECT_DEATH(use_after_free, "use after free of context");
#else
    CHECK(use_after_free != NULL); /* release builds do not look */
#endif
}

/* ---- C21: causes ---- */

enum act { NOTHING, PARENT_CAUSE, PARENT_PLAIN, CHILD_CAUSE, CHILD_PLAIN, CHILD_NULL_CAUSE };

static void act(enum act a, weft_ctx *parent, weft_ctx *child)
{
    switch (a) {
    case NOTHING:
        break;
    case PARENT_CAUSE:
        weft_ctx_cancel_cause(parent, weft_error_new(-EIO, "parent cause"));
        break;
    case PARENT_PLAIN:
        weft_ctx_cancel(parent);
        break;
    case CHILD_CAUSE:
        weft_ctx_cancel_cause(child, weft_error_new(-EPERM, "child cause"));
        break;
    case CHILD_PLAIN:
        weft_ctx_cancel(child);
        break;
    case CHILD_NULL_CAUSE:
        weft_ctx_cancel_cause(child, NULL);
        break;
    }
}

FIBER_TEST(C21_cause_table)
{
    static const struct {
        enum act first, second;
        int parent_err, parent_cause, child_err, child_cause;
    } rows[] = {
        {NOTHING, NOTHING, 0, 0, 0, 0},
        {PARENT_CAUSE, NOTHING, -ECANCELED, -EIO, -ECANCELED, -EIO},
        {PARENT_PLAIN, NOTHING, -ECANCELED, -ECANCELED, -ECANCELED, -ECANCELED},
        {CHILD_CAUSE, NOTHING, 0, 0, -ECANCELED, -EPERM},
        {CHILD_PLAIN, NOTHING, 0, 0, -ECANCELED, -ECANCELED},
        {CHILD_NULL_CAUSE, NOTHING, 0, 0, -ECANCELED, -ECANCELED},
        {PARENT_CAUSE, CHILD_CAUSE, -ECANCELED, -EIO, -ECANCELED, -EIO},
        {CHILD_CAUSE, PARENT_CAUSE, -ECANCELED, -EIO, -ECANCELED, -EPERM},
        {PARENT_CAUSE, PARENT_PLAIN, -ECANCELED, -EIO, -ECANCELED, -EIO},
        {PARENT_PLAIN, PARENT_CAUSE, -ECANCELED, -ECANCELED, -ECANCELED, -ECANCELED},
        {CHILD_PLAIN, CHILD_CAUSE, 0, 0, -ECANCELED, -ECANCELED},
        {CHILD_CAUSE, CHILD_PLAIN, 0, 0, -ECANCELED, -EPERM},
        {PARENT_PLAIN, CHILD_CAUSE, -ECANCELED, -ECANCELED, -ECANCELED, -ECANCELED},
        {CHILD_PLAIN, PARENT_CAUSE, -ECANCELED, -EIO, -ECANCELED, -ECANCELED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        for (int stacked = 0; stacked < 2; stacked++) {
            weft_ctx *parent = weft_ctx_with_cancel(weft_ctx_background());
            weft_ctx *between =
                stacked ? weft_ctx_with_value(parent, &key_a, "v") : weft_ctx_ref(parent);
            weft_ctx *child = weft_ctx_with_cancel(between);
            weft_ctx *below = weft_ctx_with_timeout(child, WEFT_HOUR);
            act(rows[i].first, parent, child);
            act(rows[i].second, parent, child);
            CHECK_EQ(weft_ctx_err(parent), rows[i].parent_err);
            CHECK_EQ(weft_error_code(weft_ctx_cause(parent)), rows[i].parent_cause);
            CHECK_EQ(weft_error_code(weft_ctx_cause(between)), rows[i].parent_cause);
            CHECK_EQ(weft_ctx_err(child), rows[i].child_err);
            CHECK_EQ(weft_error_code(weft_ctx_cause(child)), rows[i].child_cause);
            CHECK_EQ(weft_error_code(weft_ctx_cause(below)), rows[i].child_cause);
            weft_ctx_free(below);
            weft_ctx_free(child);
            weft_ctx_free(between);
            weft_ctx_free(parent);
        }
    }
}

FIBER_TEST(C21_timeout_cause)
{
    weft_ctx *c = weft_ctx_with_cause(
        weft_ctx_background(), weft_now() + 2 * WEFT_MS, weft_error_new(-EHOSTDOWN, "slow"));
    CHECK_EQ(weft_chan_recv(weft_ctx_done(c), NULL), 0);
    CHECK_EQ(weft_ctx_err(c), -ETIMEDOUT);
    CHECK_STR(weft_error_message(weft_ctx_cause(c)), "slow");
    weft_ctx_free(c);
    c = weft_ctx_with_cause(
        weft_ctx_background(), weft_now() + WEFT_HOUR, weft_error_new(-EHOSTDOWN, "slow"));
    weft_ctx_cancel(c);
    CHECK_EQ(weft_ctx_err(c), -ECANCELED);
    CHECK_EQ(weft_error_code(weft_ctx_cause(c)), -ECANCELED);
    weft_ctx_free(c);
    c = weft_ctx_with_cause(weft_ctx_background(), weft_now() - 1, weft_error_new(-EHOSTDOWN, "s"));
    CHECK_EQ(weft_error_code(weft_ctx_cause(c)), -EHOSTDOWN);
    weft_ctx_free(c);
}

FIBER_TEST(C21_without_cancel)
{
    weft_ctx *value = weft_ctx_with_value(weft_ctx_background(), &key_a, "kept");
    weft_ctx *parent = weft_ctx_with_timeout(value, WEFT_HOUR);
    weft_ctx *cut = weft_ctx_without_cancel(parent);
    for (int pass = 0; pass < 2; pass++) {
        CHECK_EQ(weft_ctx_err(cut), 0);
        CHECK(weft_ctx_cause(cut) == NULL);
        CHECK(weft_ctx_done(cut) == NULL);
        CHECK_EQ(weft_ctx_deadline(cut), INT64_MAX);
        check_value(cut, &key_a, "kept");
        weft_ctx_cancel_cause(parent, weft_error_new(-EIO, "gone"));
    }
    weft_ctx *below = weft_ctx_with_cancel(cut);
    CHECK_EQ(weft_ctx_err(below), 0);
    weft_ctx_cancel(below);
    CHECK_EQ(weft_ctx_err(below), -ECANCELED);
    CHECK_EQ(weft_ctx_err(cut), 0);
    weft_ctx *all[] = {below, cut, parent, value};
    for (int i = 0; i < 4; i++)
        weft_ctx_free(all[i]);
}

static int cancel_with_cause(void *arg)
{
    weft_yield();
    weft_ctx_cancel_cause(arg, weft_error_new(-EPROTO, "the one"));
    return 0;
}

FIBER_TEST(C21_cause_race)
{
    for (int i = 0; i < 200; i++) {
        weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, cancel_with_cause, c), 0);
        for (;;) {
            const weft_error *cause = weft_ctx_cause(c);
            if (!cause) {
                weft_yield();
                continue;
            }
            CHECK_EQ(weft_error_code(cause), -EPROTO);
            break;
        }
        CHECK_EQ(weft_wait(&s), 0);
        weft_ctx_free(c);
    }
}

/* ---- after-functions ---- */

struct note {
    weft_chan *chan;
    uint64_t fiber;
};

static void send_note(void *arg)
{
    struct note *n = arg;
    n->fiber = weft_self();
    CHECK_EQ(weft_ctx_check(), 0); /* runs under the root, not under what has ended */
    weft_chan_send(n->chan, &n->fiber);
}

FIBER_TEST(C22_after_func_runs_on_a_fiber_of_its_own)
{
    struct note n = {.fiber = 0};
    uint64_t who;
    CHECK_EQ(weft_chan_new(sizeof(uint64_t), 0, &n.chan), 0);
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
    weft_ctx_after *a;
    CHECK_EQ(weft_ctx_after_func(c, send_note, &n, &a), 0);
    CHECK_EQ(n.fiber, 0);
    weft_ctx_cancel(c);
    CHECK_EQ(weft_chan_recv(n.chan, &who), 1);
    CHECK(who != weft_self());
    CHECK(!weft_ctx_after_stop(a));
    CHECK_EQ(weft_ctx_after_func(c, send_note, &n, NULL), 0); /* ended: at once */
    CHECK_EQ(weft_chan_recv(n.chan, &who), 1);
    weft_ctx_free(c);
    weft_chan_free(n.chan);
}

static void count_it(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

FIBER_TEST(C22_after_func_stopped_or_forgotten_does_not_run)
{
    atomic_int count = 0;
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
    weft_ctx_after *a, *b;
    CHECK_EQ(weft_ctx_after_func(c, count_it, &count, &a), 0);
    CHECK_EQ(weft_ctx_after_func(c, count_it, &count, &b), 0);
    CHECK(weft_ctx_after_stop(a));
    weft_ctx_free(c); /* b keeps it */
    CHECK(weft_ctx_after_stop(b));
    c = weft_ctx_with_cancel(weft_ctx_background());
    CHECK_EQ(weft_ctx_after_func(c, count_it, &count, NULL), 0);
    weft_ctx_free(c); /* never ended */
    weft_ctx_free(NULL);
    CHECK_EQ(weft_ctx_after_func(weft_ctx_background(), count_it, &count, &a), 0);
    CHECK(weft_ctx_after_stop(a));
    CHECK_EQ(weft_ctx_after_func(weft_ctx_background(), count_it, &count, NULL), 0);
    for (int i = 0; i < 50; i++)
        weft_yield();
    CHECK_EQ(count, 0);
}

FIBER_TEST(C22_after_func_by_deadline)
{
    struct note n = {.fiber = 0};
    uint64_t who;
    CHECK_EQ(weft_chan_new(sizeof(uint64_t), 0, &n.chan), 0);
    weft_ctx *c = weft_ctx_with_timeout(weft_ctx_background(), WEFT_MS);
    CHECK_EQ(weft_ctx_after_func(c, send_note, &n, NULL), 0);
    CHECK_EQ(weft_chan_recv(n.chan, &who), 1);
    CHECK_EQ(weft_ctx_err(c), -ETIMEDOUT);
    weft_ctx_free(c);
    weft_chan_free(n.chan);
}

TEST(without_a_runtime)
{
    atomic_int count = 0;
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_current());
    CHECK(weft_ctx_current() == weft_ctx_background());
    CHECK_EQ(weft_ctx_after_func(c, count_it, &count, NULL), 0);
    weft_ctx *t = weft_ctx_with_timeout(c, WEFT_HOUR);
    CHECK_EQ(weft_ctx_err(t), 0);
    weft_ctx_cancel(c);
    CHECK_EQ(count, 1); /* nobody else could have run it */
    CHECK_EQ(weft_ctx_err(t), -ECANCELED);
    weft_ctx_free(t);
    weft_ctx_free(c);
}

static weft_ctx *outlives;

static int make_and_keep(void *arg)
{
    (void)arg;
    outlives = weft_ctx_with_timeout(weft_ctx_background(), 20 * WEFT_MS);
    return 0;
}

static int wait_for_it(void *arg)
{
    (void)arg;
    return weft_chan_recv(weft_ctx_done(outlives), NULL);
}

TEST(a_deadline_outlives_its_runtime)
{
    rig_run(2, make_and_keep);
    CHECK(weft_ctx_err(outlives) == 0 || weft_ctx_err(outlives) == -ETIMEDOUT);
    rig_run(2, wait_for_it);
    CHECK_EQ(weft_ctx_err(outlives), -ETIMEDOUT);
    weft_ctx_free(outlives);
    rig_run(2, make_and_keep);
    weft_ctx_free(outlives);
}

static int stormy(void *arg)
{
    weft_ctx *top = arg;
    uint64_t seed = test_seed() ^ weft_self();
    for (int i = 0; i < 300; i++) {
        weft_ctx *a = weft_ctx_with_timeout(top, (int64_t)(rig_random(&seed) % 200) * WEFT_US);
        weft_ctx *b = weft_ctx_with_cancel(a);
        if (rig_random(&seed) % 2)
            weft_ctx_done(b);
        if (rig_random(&seed) % 4 == 0)
            weft_ctx_cancel(a);
        weft_yield();
        if (rig_random(&seed) % 4 == 0)
            weft_chan_recv(weft_ctx_done(b), NULL);
        if (rig_random(&seed) % 2) {
            weft_ctx_free(a);
            weft_ctx_free(b);
        } else {
            weft_ctx_free(b);
            weft_ctx_free(a);
        }
    }
    return 0;
}

FIBER_TEST(storm_of_deadlines_and_cancels)
{
    weft_ctx *top = weft_ctx_with_cancel(weft_ctx_background());
    WEFT_SCOPE(s);
    for (int i = 0; i < 8; i++)
        CHECK_EQ(weft_go(&s, stormy, top), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(children_count(top), 0);
    weft_ctx_free(top);
}

/* ---- plain threads alone: what ThreadSanitizer can follow without knowing fibers ---- */

struct thread_storm {
    weft_ctx *top, *shared[8];
    uint64_t seed;
};

static void *thread_stormy(void *arg)
{
    struct thread_storm *x = arg;
    uint64_t seed = x->seed ^ (uintptr_t)&seed;
    for (int i = 0; i < 2000; i++) {
        weft_ctx *parent = x->shared[rig_random(&seed) % 8];
        weft_ctx *a = weft_ctx_with_timeout(parent, WEFT_HOUR);
        weft_ctx *v = weft_ctx_with_copy(a, &key_a, &seed, sizeof seed);
        weft_ctx *b = weft_ctx_with_cancel(v);
        weft_chan *done = rig_random(&seed) % 2 ? weft_ctx_done(b) : NULL;
        {
            WEFT_WITH(w, b);
            CHECK(weft_ctx_current() == b);
            if (rig_random(&seed) % 8 == 0)
                weft_ctx_cancel_cause(parent, weft_error_new(-EIO, "storm"));
            if (rig_random(&seed) % 4 == 0)
                weft_ctx_cancel(a);
            int err = weft_ctx_err(b);
            CHECK(err == 0 || weft_ctx_check() == err);
            CHECK(err == 0 || weft_ctx_cause(b) != NULL);
            CHECK(!done || !err || weft_chan_try_recv(done, NULL) == 0);
        }
        weft_ctx_free(a);
        weft_ctx_free(b);
        weft_ctx_free(v);
    }
    return NULL;
}

TEST(storm_of_plain_threads)
{
    struct thread_storm x = {.seed = test_seed()};
    pthread_t t[4];
    x.top = weft_ctx_with_cancel(weft_ctx_background());
    for (int i = 0; i < 8; i++)
        x.shared[i] = weft_ctx_with_cancel(i ? x.shared[i / 2] : x.top);
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, thread_stormy, &x), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    weft_ctx_cancel(x.top);
    for (int i = 0; i < 8; i++) {
        CHECK_EQ(children_count(x.shared[i]), 0);
        CHECK(weft_ctx_err(x.shared[i]) != 0);
        weft_ctx_free(x.shared[i]);
    }
    weft_ctx_free(x.top);
}
