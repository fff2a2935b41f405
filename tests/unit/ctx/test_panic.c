// SPDX-License-Identifier: Apache-2.0
/*
 * test_panic.c - panics, protected calls, defers. Where Go has a rule (order of defers, a panic in
 * a defer, recover and Goexit) the case follows it.
 */
#include <pthread.h>

#include "rig.h"

#include "base/fatal.h"
#include "base/hooks.h"

/* What ran, in order, as text. */
struct log {
    char text[256];
};

struct entry {
    struct log *log;
    const char *word;
};

static void add(struct log *l, const char *word)
{
    CHECK(strlen(l->text) + strlen(word) + 2 < sizeof l->text);
    strcat(strcat(l->text, word), " ");
}

static void note(void *arg)
{
    struct entry *e = arg;
    add(e->log, e->word);
}

/* ---- trying ---- */

static int plain(void *arg)
{
    return *(int *)arg;
}

static int boom(void *arg)
{
    weft_panic("boom %d", *(int *)arg);
}

FIBER_TEST(try_returns_result_or_panic)
{
    int n = 42;
    weft_panic_info *p = NULL;
    void *const *pcs;
    CHECK_EQ(weft_try(plain, &n, &p), 42);
    CHECK(p == NULL);
    CHECK_EQ(weft_try(boom, &n, &p), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(p), "boom 42");
    size_t depth = weft_panic_stack(p, &pcs);
    CHECK(depth >= 2 && depth <= 64);
    CHECK(
        (char *)pcs[0] > (char *)(uintptr_t)boom && (char *)pcs[0] < (char *)(uintptr_t)boom + 512);
    CHECK(weft_panic_previous(p) == NULL);
    weft_panic_free(p);
    CHECK_EQ(weft_try(boom, &n, NULL), -WEFT_EPANIC);
}

static int defers_and_panics(void *arg)
{
    struct log *l = arg;
    struct entry e[] = {{l, "one"}, {l, "two"}, {l, "three"}, {l, "gone"}};
    WEFT_DEFER(note, &e[0]);
    {
        WEFT_DEFER(note, &e[3]);
    }
    WEFT_DEFER(note, &e[1]);
    {
        WEFT_DEFER(note, &e[2]);
        weft_panic("now");
    }
}

FIBER_TEST(defers_run_newest_first_and_once)
{
    struct log l = {""};
    CHECK_EQ(weft_try(defers_and_panics, &l, NULL), -WEFT_EPANIC);
    CHECK_STR(l.text, "gone three two one ");
}

static int cancels_a_defer(struct log *l, int fail)
{
    struct entry e = {l, "undone"};
    weft_defer undo;
    weft_defer_push(&undo, note, &e);
    if (!fail)
        weft_defer_cancel(&undo);
    weft_defer_pop(&undo);
    return fail;
}

FIBER_TEST(a_defer_can_be_cancelled)
{
    struct log l = {""};
    cancels_a_defer(&l, 0);
    CHECK_STR(l.text, "");
    cancels_a_defer(&l, 1);
    CHECK_STR(l.text, "undone ");
}

static int ends_by_context(void *arg)
{
    struct entry e = {arg, "cleaned"};
    WEFT_DEFER(note, &e);
    return weft_sleep(INT64_MAX);
}

FIBER_TEST(a_defer_runs_when_the_context_ends)
{
    struct log l = {""};
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, ends_by_context, &l), 0);
    weft_yield();
    weft_scope_cancel(&s);
    CHECK_EQ(weft_wait(&s), -ECANCELED);
    CHECK_STR(l.text, "cleaned ");
}

static int sleeper(void *arg)
{
    struct entry e = {arg, "sleeper"};
    WEFT_DEFER(note, &e);
    return weft_sleep(INT64_MAX);
}

static int unwinds_blocks(void *arg)
{
    struct log *l = arg;
    struct entry e[] = {{l, "outer"}, {l, "inner"}};
    WEFT_DEFER(note, &e[0]);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, sleeper, l), 0);
    weft_yield();
    WEFT_TIMEOUT(t, WEFT_HOUR);
    WEFT_DEFER(note, &e[1]);
    weft_panic("with a scope, a time-out and a fiber");
}

FIBER_TEST(a_panic_leaves_scopes_and_timeouts)
{
    struct log l = {""};
    weft_ctx *before = weft_ctx_current();
    CHECK_EQ(weft_try(unwinds_blocks, &l, NULL), -WEFT_EPANIC);
    CHECK_STR(l.text, "inner sleeper outer ");
    CHECK(weft_ctx_current() == before);
    CHECK_EQ(weft_ctx_check(), 0);
}

/* ---- a panic while panicking ---- */

static void panic_in_defer(void *arg)
{
    note(arg);
    weft_panic("second");
}

static int panics_twice(void *arg)
{
    struct entry e[] = {{arg, "outer"}, {arg, "bad"}};
    WEFT_DEFER(note, &e[0]);
    WEFT_DEFER(panic_in_defer, &e[1]);
    weft_panic("first");
}

FIBER_TEST(a_panic_in_a_defer_takes_the_first_ones_place)
{
    struct log l = {""};
    weft_panic_info *p;
    CHECK_EQ(weft_try(panics_twice, &l, &p), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(p), "second");
    CHECK_STR(weft_panic_message(weft_panic_previous(p)), "first");
    CHECK_STR(l.text, "bad outer ");
    weft_panic_free(p);
}

static void recover_inside(void *arg)
{
    int n = 1;
    weft_panic_info *p;
    note(arg);
    CHECK_EQ(weft_try(boom, &n, &p), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(p), "boom 1");
    CHECK(weft_panic_previous(p) == NULL);
    weft_panic_free(p);
}

static int recovers_in_defer(void *arg)
{
    struct entry e = {arg, "mended"};
    WEFT_DEFER(recover_inside, &e);
    weft_panic("the real one");
}

FIBER_TEST(a_try_in_a_defer_catches_only_its_own)
{
    struct log l = {""};
    weft_panic_info *p;
    CHECK_EQ(weft_try(recovers_in_defer, &l, &p), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(p), "the real one");
    CHECK_STR(l.text, "mended ");
    weft_panic_free(p);
}

static int panics_again(void *arg)
{
    weft_panic_info *p;
    weft_try(boom, arg, &p);
    weft_panic_again(p);
}

FIBER_TEST(again_keeps_message_and_stack)
{
    int n = 3;
    weft_panic_info *p;
    void *const *pcs;
    CHECK_EQ(weft_try(panics_again, &n, &p), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(p), "boom 3");
    CHECK(weft_panic_stack(p, &pcs) > 0);
    CHECK(
        (char *)pcs[0] > (char *)(uintptr_t)boom && (char *)pcs[0] < (char *)(uintptr_t)boom + 512);
    weft_panic_free(p);
}

/* ---- an exit while panicking, a panic while exiting ---- */

static void exit_in_defer(void *arg)
{
    note(arg);
    weft_exit(-EXDEV);
}

static int exits_in_a_defer(void *arg)
{
    struct entry e[] = {{arg, "outer"}, {arg, "leave"}};
    WEFT_DEFER(note, &e[0]);
    WEFT_DEFER(exit_in_defer, &e[1]);
    weft_panic("forgotten");
}

static int tries_an_exit_in_a_defer(void *arg)
{
    weft_try(exits_in_a_defer, arg, NULL);
    add(arg, "never");
    return 0;
}

FIBER_TEST(an_exit_in_a_defer_ends_the_panic)
{
    struct log l = {""};
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&s, tries_an_exit_in_a_defer, &l), 0);
    CHECK_EQ(weft_wait(&s), -EXDEV);
    CHECK_STR(l.text, "leave outer ");
}

static int exits_and_panics(void *arg)
{
    struct entry e[] = {{arg, "outer"}, {arg, "bad"}};
    WEFT_DEFER(note, &e[0]);
    WEFT_DEFER(panic_in_defer, &e[1]);
    weft_exit(-EXDEV);
}

static int tries_exits_and_panics(void *arg)
{
    struct entry e = {arg, "first"};
    WEFT_DEFER(note, &e);
    weft_try(exits_and_panics, arg, NULL); /* recovers the panic; the exit goes on */
    add(arg, "never");
    return 0;
}

FIBER_TEST(a_recovered_panic_does_not_undo_an_exit)
{
    struct log l = {""};
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&s, tries_exits_and_panics, &l), 0);
    CHECK_EQ(weft_wait(&s), -EXDEV);
    CHECK_STR(l.text, "bad outer first ");
}

/* ---- the block macros ---- */

static int try_block(int n)
{
    volatile int result = 0;
    if (n >= 0)
        WEFT_TRY
        {
            if (n == 1)
                weft_panic("one");
            if (n == 2)
                return 20;
            result = 10;
        }
    WEFT_RECOVER(p)
    {
        CHECK_STR(weft_panic_message(p), "one");
        result = 11;
    }
    else result = -1;
    return result;
}

FIBER_TEST(try_and_recover_blocks)
{
    CHECK_EQ(try_block(0), 10);
    CHECK_EQ(try_block(1), 11);
    CHECK_EQ(try_block(2), 20);
    CHECK_EQ(try_block(-1), -1);
    volatile int n = 0;
    WEFT_TRY
    {
        WEFT_TRY
        {
            weft_panic("inner");
        }
        WEFT_RECOVER(p)
        {
            n++;
            weft_panic("from recover of %s", weft_panic_message(p));
        }
    }
    WEFT_RECOVER(q)
    {
        CHECK_STR(weft_panic_message(q), "from recover of inner");
        CHECK_STR(weft_panic_message(weft_panic_previous(q)), "inner");
        n++;
    }
    CHECK_EQ(n, 2);
}

static int migrates(void *arg)
{
    struct entry e = {arg, "x"};
    WEFT_DEFER(note, &e);
    for (int i = 0; i < 20; i++)
        weft_yield();
    weft_sleep(50 * WEFT_US);
    weft_panic("moved about");
}

static int try_migrates(void *arg)
{
    struct log l = {""};
    (void)arg;
    for (int i = 0; i < 20; i++) {
        l.text[0] = '\0';
        CHECK_EQ(weft_try(migrates, &l, NULL), -WEFT_EPANIC);
        CHECK_STR(l.text, "x ");
    }
    return 0;
}

FIBER_TEST(try_survives_moves_between_threads)
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 20; i++)
        CHECK_EQ(weft_go(&s, try_migrates, NULL), 0);
    CHECK_EQ(weft_wait(&s), 0);
}

/* ---- nobody recovers ---- */

static void keep_quiet(void *arg, int level, const char *text)
{
    (void)level;
    snprintf(arg, 200, "%s", text);
}

static int panicking_fiber(void *arg)
{
    struct entry e = {arg, "cleanup"};
    weft_set_name("unlucky");
    WEFT_DEFER(note, &e);
    int n = 9;
    return boom(&n);
}

static char logged[200];

static int isolating(void *arg)
{
    struct log l = {""};
    (void)arg;
    WEFT_SCOPE(s, .errors = WEFT_COLLECT, .panics = WEFT_PANIC_ISOLATE);
    CHECK_EQ(weft_go(&s, panicking_fiber, &l), 0);
    CHECK_EQ(weft_wait(&s), -WEFT_EPANIC);
    CHECK_STR(l.text, "cleanup ");
    CHECK(strstr(weft_error_message(weft_scope_error(&s)), "panicked: boom 9") != NULL);
    CHECK_EQ(weft_ctx_check(), 0);
    return 0;
}

TEST(an_isolating_scope_loses_only_the_fiber)
{
    weft_set_log(keep_quiet, logged);
    rig_run(2, isolating);
    CHECK(strstr(logged, "ended only this fiber: boom 9") != NULL);
}

static void print_cleanup(void *arg)
{
    (void)arg;
    fprintf(stderr, "cleanup ran\n");
}

static void fake_dump(int fd)
{
    (void)fd;
    weft__eprintf("every fiber's stack\n");
}

static int doomed(void *arg)
{
    int n = 5;
    weft_set_name("doomed");
    WEFT_DEFER(print_cleanup, NULL);
    return boom(arg ? arg : &n);
}

static int panics_in_the_end(void *arg)
{
    (void)arg;
    weft__dump_hook = fake_dump;
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go(&s, doomed, NULL), 0);
    return weft_wait(&s);
}

static void die_by_panic(void)
{
    rig_run(2, panics_in_the_end);
}

static int twice_doomed(void *arg)
{
    struct log l = {""};
    (void)arg;
    return panics_twice(&l);
}

static void die_twice(void)
{
    rig_run(1, twice_doomed);
}

static void die_on_a_thread(void)
{
    weft_panic("no fiber here");
}

TEST(nobody_recovers)
{
    EXPECT_DEATH(die_by_panic, "weft: panic: boom 5");
    EXPECT_DEATH(die_by_panic, "\"doomed\"");
    EXPECT_DEATH(die_by_panic, "every fiber's stack");
    EXPECT_DEATH(die_by_panic, "cleanup ran");
    EXPECT_DEATH(die_twice, "weft: panic: second");
    EXPECT_DEATH(die_on_a_thread, "weft: panic: no fiber here");
}

static void *thread_tries(void *arg)
{
    int n = 8;
    weft_panic_info *p;
    CHECK_EQ(weft_try(boom, &n, &p), -WEFT_EPANIC);
    CHECK_STR(weft_panic_message(p), "boom 8");
    weft_panic_free(p);
    *(int *)arg = 1;
    return NULL;
}

TEST(a_plain_thread_tries)
{
    int done = 0;
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, thread_tries, &done), 0);
    pthread_join(t, NULL);
    CHECK_EQ(done, 1);
}
