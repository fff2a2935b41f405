// SPDX-License-Identifier: Apache-2.0
/*
 * test_ctx_more.c - contexts: what test_ctx.c leaves of the conformance cases C19 to C22 of
 * docs/conformance.md: children of parents that have ended or are just ending, deadlines through
 * layers, causes of time-outs, after-functions of whole trees. On 1, 2 and 8 workers.
 */
#include "rig.h"

static const char key;

/* ---- C19: children of what has ended ---- */

FIBER_TEST(C19_child_of_a_cancelled_parent_is_done_at_once)
{
    weft_ctx *parent = weft_ctx_with_cancel(weft_ctx_background());
    weft_ctx_cancel_cause(parent, weft_error_new(-EIO, "because"));
    weft_ctx *children[] = {weft_ctx_with_cancel(parent), weft_ctx_with_timeout(parent, WEFT_HOUR),
        weft_ctx_with_timeout(parent, 0), weft_ctx_with_value(parent, &key, "v")};
    for (int i = 0; i < 4; i++) {
        CHECK_EQ(weft_ctx_err(children[i]), -ECANCELED); /* the parent's end was the first */
        CHECK(is_done(children[i]));
        CHECK_STR(weft_error_message(weft_ctx_cause(children[i])), "because");
        weft_ctx_free(children[i]);
    }
    weft_ctx_free(parent);
}

static int cancels(void *arg)
{
    weft_ctx_cancel(arg);
    return 0;
}

/* Whichever comes first, the child is not forgotten. */
FIBER_TEST(C19_child_made_while_its_parent_ends)
{
    for (int i = 0; i < 300; i++) {
        weft_ctx *parent = weft_ctx_with_cancel(weft_ctx_background());
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, cancels, parent), 0);
        if (i % 3)
            weft_yield();
        weft_ctx *child = weft_ctx_with_cancel(parent);
        CHECK_EQ(weft_chan_recv(weft_ctx_done(child), NULL), 0);
        CHECK_EQ(weft_ctx_err(child), -ECANCELED);
        CHECK_EQ(weft_wait(&s), 0);
        weft_ctx_free(child);
        weft_ctx_free(parent);
    }
}

static int sees_err_with_done(void *arg)
{
    CHECK_EQ(weft_chan_recv(weft_ctx_done(arg), NULL), 0);
    CHECK_EQ(weft_ctx_err(arg), -ECANCELED);
    CHECK_EQ(weft_error_code(weft_ctx_cause(arg)), -ECANCELED);
    return 0;
}

/* Who sees the channel closed sees the error; who sees the error sees the channel closed. */
FIBER_TEST(C19_error_and_channel_agree)
{
    for (int i = 0; i < 100; i++) {
        weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
        WEFT_SCOPE(s);
        for (int k = 0; k < 4; k++)
            CHECK_EQ(weft_go(&s, sees_err_with_done, c), 0);
        CHECK_EQ(weft_go(&s, cancels, c), 0);
        while (weft_ctx_err(c) == 0)
            weft_yield();
        CHECK(is_done(c));
        CHECK_EQ(weft_wait(&s), 0);
        weft_ctx_free(c);
    }
}

/* ---- C20: deadlines ---- */

FIBER_TEST(C20_the_background_never_ends)
{
    weft_ctx *b = weft_ctx_background();
    CHECK(weft_ctx_done(b) == NULL);
    CHECK_EQ(weft_ctx_err(b), 0);
    CHECK(weft_ctx_cause(b) == NULL);
    CHECK_EQ(weft_ctx_deadline(b), INT64_MAX);
    CHECK(weft_ctx_value(b, &key) == NULL);
    CHECK_EQ(weft_select(WEFT_RECV_FROM(weft_ctx_done(b), NULL, NULL), WEFT_DEFAULT), -EAGAIN);
}

static void ends_by_deadline(weft_ctx *c, int64_t deadline)
{
    CHECK_EQ(weft_ctx_deadline(c), deadline);
    CHECK_EQ(weft_chan_recv(weft_ctx_done(c), NULL), 0);
    CHECK(weft_now() >= deadline);
    CHECK_EQ(weft_ctx_err(c), -ETIMEDOUT);
    CHECK_EQ(weft_error_code(weft_ctx_cause(c)), -ETIMEDOUT);
}

FIBER_TEST(C20_deadlines_through_layers)
{
    int64_t soon = weft_now() + 3 * WEFT_MS;
    weft_ctx *plain = weft_ctx_with_deadline(weft_ctx_background(), soon);
    ends_by_deadline(plain, soon);

    soon = weft_now() + 3 * WEFT_MS;
    weft_ctx *outer = weft_ctx_with_deadline(weft_ctx_background(), soon);
    weft_ctx *value = weft_ctx_with_value(outer, &key, "v");
    weft_ctx *cancel = weft_ctx_with_cancel(value);
    weft_ctx *later = weft_ctx_with_timeout(cancel, WEFT_HOUR);
    ends_by_deadline(later, soon);
    ends_by_deadline(cancel, soon);

    weft_ctx *hour = weft_ctx_with_timeout(weft_ctx_background(), WEFT_HOUR);
    soon = weft_now() + 3 * WEFT_MS;
    weft_ctx *sooner = weft_ctx_with_deadline(hour, soon);
    ends_by_deadline(sooner, soon);
    CHECK_EQ(weft_ctx_err(hour), 0); /* a child's deadline is not its parent's */

    weft_ctx *under = weft_ctx_with_cancel(hour);
    weft_ctx_cancel(under);
    CHECK_EQ(weft_ctx_err(under), -ECANCELED);
    CHECK_EQ(weft_ctx_err(hour), 0);
    weft_ctx *all[] = {plain, outer, value, cancel, later, sooner, under, hour};
    for (int i = 0; i < 8; i++)
        weft_ctx_free(all[i]);
}

/* ---- C21: causes ---- */

/* What is made, one below the other, and then what is done, in order. */
enum step { NONE, CANCEL, EXPIRED, EXPIRED_CAUSE, HOUR, HOUR_CAUSE, CUT };
enum deed { NOTHING, TOP, TOP_CAUSE, BOTTOM, BOTTOM_CAUSE };

static weft_ctx *make(enum step step, weft_ctx *parent)
{
    switch (step) {
    case CANCEL:
        return weft_ctx_with_cancel(parent);
    case EXPIRED:
        return weft_ctx_with_timeout(parent, 0);
    case EXPIRED_CAUSE:
        return weft_ctx_with_cause(parent, weft_now(), weft_error_new(-EHOSTDOWN, "too slow"));
    case HOUR:
        return weft_ctx_with_timeout(parent, WEFT_HOUR);
    case HOUR_CAUSE:
        return weft_ctx_with_cause(
            parent, weft_now() + WEFT_HOUR, weft_error_new(-EHOSTDOWN, "too slow"));
    case CUT:
        return weft_ctx_without_cancel(parent);
    default:
        return weft_ctx_ref(parent);
    }
}

static void do_it(enum deed deed, weft_ctx *top, weft_ctx *bottom)
{
    if (deed == TOP)
        weft_ctx_cancel(top);
    else if (deed == TOP_CAUSE)
        weft_ctx_cancel_cause(top, weft_error_new(-EIO, "top"));
    else if (deed == BOTTOM)
        weft_ctx_cancel(bottom);
    else if (deed == BOTTOM_CAUSE)
        weft_ctx_cancel_cause(bottom, weft_error_new(-EPERM, "bottom"));
}

FIBER_TEST(C21_causes_of_timeouts)
{
    static const struct {
        enum step top, bottom;
        enum deed first, second;
        int err, cause; /* of the bottom one */
    } rows[] = {
        {NONE, NONE, NOTHING, NOTHING, 0, 0},
        {CANCEL, NONE, TOP, NOTHING, -ECANCELED, -ECANCELED},
        {CANCEL, NONE, TOP_CAUSE, NOTHING, -ECANCELED, -EIO},
        {CANCEL, CANCEL, TOP_CAUSE, BOTTOM_CAUSE, -ECANCELED, -EIO},
        {CANCEL, CANCEL, BOTTOM_CAUSE, TOP_CAUSE, -ECANCELED, -EPERM},
        {CANCEL, CANCEL, TOP_CAUSE, BOTTOM, -ECANCELED, -EIO},
        {CANCEL, CANCEL, BOTTOM, TOP_CAUSE, -ECANCELED, -ECANCELED},
        {CANCEL, CANCEL, TOP, BOTTOM_CAUSE, -ECANCELED, -ECANCELED},
        {CANCEL, CANCEL, BOTTOM_CAUSE, TOP, -ECANCELED, -EPERM},
        {EXPIRED, NONE, TOP, NOTHING, -ETIMEDOUT, -ETIMEDOUT},
        {HOUR, NONE, TOP, NOTHING, -ECANCELED, -ECANCELED},
        {EXPIRED_CAUSE, NONE, TOP, NOTHING, -ETIMEDOUT, -EHOSTDOWN},
        {HOUR_CAUSE, NONE, TOP, NOTHING, -ECANCELED, -ECANCELED},
        {CANCEL, EXPIRED_CAUSE, TOP_CAUSE, NOTHING, -ETIMEDOUT, -EHOSTDOWN},
        {CANCEL, HOUR_CAUSE, TOP_CAUSE, NOTHING, -ECANCELED, -EIO},
        {EXPIRED_CAUSE, CANCEL, BOTTOM_CAUSE, NOTHING, -ETIMEDOUT, -EHOSTDOWN},
        {HOUR_CAUSE, CANCEL, BOTTOM_CAUSE, TOP, -ECANCELED, -EPERM},
        {NONE, CUT, NOTHING, NOTHING, 0, 0},
        {CANCEL, CUT, TOP_CAUSE, NOTHING, 0, 0},
        {EXPIRED_CAUSE, CUT, TOP, NOTHING, 0, 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        weft_ctx *top = make(rows[i].top, weft_ctx_background());
        weft_ctx *bottom = make(rows[i].bottom, top);
        do_it(rows[i].first, top, bottom);
        do_it(rows[i].second, top, bottom);
        weft_ctx *below = weft_ctx_with_value(bottom, &key, "v");
        CHECK_MSG(weft_ctx_err(bottom) == rows[i].err, "row %zu", i);
        CHECK_MSG(weft_error_code(weft_ctx_cause(bottom)) == rows[i].cause, "row %zu", i);
        CHECK_MSG(weft_ctx_err(below) == rows[i].err, "row %zu", i);
        CHECK_MSG(weft_error_code(weft_ctx_cause(below)) == rows[i].cause, "row %zu", i);
        weft_ctx_free(below);
        weft_ctx_free(bottom);
        weft_ctx_free(top);
    }
}

/* ---- C22: after-functions ---- */

static void add_one(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

static void await(atomic_int *count, int n)
{
    while (atomic_load(count) < n)
        CHECK_EQ(weft_sleep(100 * WEFT_US), 0);
}

/* Of a tree all of whose contexts end by their root, each runs once, and only then. */
FIBER_TEST(C22_after_funcs_of_a_whole_tree)
{
    enum { N = 30 };
    atomic_int count = 0;
    weft_ctx *c[N];
    for (int i = 0; i < N; i++) {
        c[i] = weft_ctx_with_cancel(i ? c[(i - 1) / 2] : weft_ctx_background());
        CHECK_EQ(weft_ctx_after_func(c[i], add_one, &count, NULL), 0);
    }
    for (int i = 0; i < 20; i++)
        weft_yield();
    CHECK_EQ(count, 0);
    weft_ctx_cancel(c[1]); /* the half of the tree that holds 1, 3, 4, 7 to 10, 15 to 22 */
    await(&count, 15);
    for (int i = 0; i < 20; i++)
        weft_yield();
    CHECK_EQ(count, 15);
    weft_ctx_cancel(c[0]);
    await(&count, N);
    for (int i = 0; i < N; i++)
        weft_ctx_free(c[i]);
    CHECK_EQ(count, N);
}

/* Stop and the context's end race: the function runs, or stop says that it kept it from running. */
FIBER_TEST(C22_after_stop_races_with_the_end)
{
    atomic_int count = 0;
    int kept = 0;
    enum { ROUNDS = 500 };
    for (int i = 0; i < ROUNDS; i++) {
        weft_ctx_after *a;
        weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
        CHECK_EQ(weft_ctx_after_func(c, add_one, &count, &a), 0);
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, cancels, c), 0);
        if (i % 2)
            weft_yield();
        kept += weft_ctx_after_stop(a);
        CHECK_EQ(weft_wait(&s), 0);
        weft_ctx_free(c);
    }
    await(&count, ROUNDS - kept);
    for (int i = 0; i < 20; i++)
        weft_yield();
    CHECK_EQ(count, ROUNDS - kept);
}
