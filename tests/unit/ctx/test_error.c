// SPDX-License-Identifier: Apache-2.0
/* test_error.c - weft_error: codes, chains, kinds, what it takes from the context, text, and how it
 * travels. */
#include "rig.h"

TEST(texts_of_codes)
{
    CHECK_STR(weft_strerror(-ENOENT), "No such file or directory");
    CHECK_STR(weft_strerror(ENOENT), "No such file or directory");
    CHECK_STR(weft_strerror(-WEFT_EPANIC), "panic");
    CHECK_STR(weft_strerror(-99999), "unknown error");
    CHECK_STR(weft_strerror(INT32_MIN), "unknown error");
}

TEST(chain)
{
    weft_error *e = weft_error_new(-ENOENT, "open %s", "a.txt");
    e = weft_error_wrap(e, 0, "load user %d", 7);
    e = weft_error_wrap(e, -EIO, "serve");
    CHECK_EQ(weft_error_code(e), -EIO);
    CHECK(weft_error_is(e, -EIO));
    CHECK(weft_error_is(e, -ENOENT));
    CHECK(!weft_error_is(e, -EPERM));
    CHECK_STR(weft_error_message(e), "serve");
    CHECK_STR(weft_error_message(weft_error_cause(e, 0)), "load user 7");
    CHECK(weft_error_cause(e, 1) == NULL);
    char text[128];
    CHECK_EQ(weft_error_format(e, text, sizeof text), strlen("serve: load user 7: open a.txt"));
    CHECK_STR(text, "serve: load user 7: open a.txt");
    CHECK_EQ(weft_error_format(e, text, 6), strlen("serve: load user 7: open a.txt"));
    CHECK_STR(text, "serve");
    CHECK_EQ(weft_error_format(e, NULL, 0), strlen("serve: load user 7: open a.txt"));
    weft_error *again = weft_error_ref(e);
    weft_error_free(e);
    CHECK_STR(weft_error_message(again), "serve");
    weft_error_free(again);
    weft_error_free(NULL);
}

TEST(join)
{
    weft_error *none[2] = {NULL, NULL};
    CHECK(weft_error_join(none, 2) == NULL);
    weft_error *parts[] = {NULL, weft_error_new(-EPERM, "first"), NULL,
        weft_error_wrap(weft_error_new(-ENOSPC, "disk"), 0, "second")};
    weft_error *e = weft_error_join(parts, 4);
    CHECK_EQ(weft_error_code(e), -EPERM);
    CHECK(weft_error_is(e, -ENOSPC));
    CHECK_STR(weft_error_message(weft_error_cause(e, 1)), "second");
    char text[128];
    e = weft_error_wrap(e, 0, "both");
    weft_error_format(e, text, sizeof text);
    CHECK_STR(text, "both: [first; second: disk]");
    weft_error_free(e);
}

struct http_status {
    int status;
    int *ended;
};

static void status_fini(void *payload)
{
    ++*((struct http_status *)payload)->ended;
}

static const weft_error_kind http_kind = {"http", status_fini}, other_kind = {"other", NULL};

TEST(kinds)
{
    int ended = 0;
    weft_error *e = weft_error_new_kind(&http_kind, &(struct http_status){503, &ended},
        sizeof(struct http_status), -ECONNREFUSED, "upstream");
    e = weft_error_wrap(e, -EIO, "gateway");
    const struct http_status *s = weft_error_as(e, &http_kind);
    CHECK(s && s->status == 503);
    CHECK(weft_error_as(e, &other_kind) == NULL);
    CHECK(weft_error_as(NULL, &http_kind) == NULL);
    weft_error_free(e);
    CHECK_EQ(ended, 1);
}

FIBER_TEST(what_the_context_tells)
{
    weft_ctx *c = weft_ctx_with_trace(weft_ctx_current(), "4bf92f3577b34da6");
    weft_error *e;
    {
        WEFT_WITH(w, c);
        e = weft_error_new(-EIO, "untimed");
        CHECK_STR(weft_error_trace(e), "4bf92f3577b34da6");
        CHECK_EQ(weft_error_remaining(e), INT64_MAX);
        weft_error_free(e);
        WEFT_TIMEOUT(t, WEFT_HOUR);
        e = weft_error_set_attempt(weft_error_new(-EIO, "timed"), 3);
    }
    CHECK(weft_error_remaining(e) > 59 * WEFT_MIN && weft_error_remaining(e) <= WEFT_HOUR);
    CHECK_EQ(weft_error_attempt(e), 3);
    char text[128];
    weft_error_format(e, text, sizeof text);
    CHECK(strncmp(text, "timed (trace 4bf92f3577b34da6, attempt 3, 3599", 40) == 0);
    CHECK(strstr(text, " ms left)") != NULL);
    weft_error_set_trace(e, "other");
    CHECK_STR(weft_error_trace(e), "other");
    weft_error_free(e);
    {
        WEFT_TIMEOUT(t, 0);
        e = weft_error_new(-EIO, "late");
        CHECK_EQ(weft_error_remaining(e), 0);
        weft_error_free(e);
    }
    weft_ctx_free(c);
}

TEST(an_error_travels_with_its_code)
{
    CHECK_EQ(weft_fail(NULL), 0);
    CHECK(weft_error_take(0) == NULL && weft_error_take(5) == NULL);
    CHECK_EQ(weft_fail(weft_error_new(-EIO, "left")), -EIO);
    weft_error *e = weft_error_take(-EIO);
    CHECK_STR(weft_error_message(e), "left");
    weft_error_free(e);
    e = weft_error_take(-EIO); /* taken already: the code alone */
    CHECK_STR(weft_error_message(e), weft_strerror(-EIO));
    weft_error_free(e);
    weft_fail(weft_error_new(-EIO, "old"));
    weft_fail(weft_error_new(-EPERM, "new"));
    e = weft_error_take(-EIO); /* replaced */
    CHECK_STR(weft_error_message(e), weft_strerror(-EIO));
    weft_error_free(e);
    weft_error_free(weft_error_take(-EPERM));
}

TEST(long_chains_need_no_deep_stack)
{
    weft_error *e = weft_error_new(-ENOENT, "bottom");
    for (int i = 0; i < 100000; i++)
        e = weft_error_wrap(e, -EIO, "%d", i);
    CHECK(weft_error_is(e, -ENOENT));
    weft_error_free(e);
}

static void use_after_free(void)
{
    weft_error *e = weft_error_new(-EIO, "x");
    weft_error_free(e);
    weft_error_free(e);
}

TEST(use_of_a_freed_error)
{
#if defined(__SANITIZE_ADDRESS__)
    EXPECT_DEATH(use_after_free, "heap-use-after-free");
#else
    EXPECT_DEATH(use_after_free, "use of a freed weft_error");
#endif
}

/* ---- when memory is short: the allocator of this program gives none while `left` is 0 ---- */

static _Atomic long left = -1;

static void *counting_alloc(void *arg, size_t bytes)
{
    (void)arg;
    if (left >= 0 && left-- == 0) {
        left = 0;
        return NULL;
    }
    return malloc(bytes);
}
static void *counting_resize(void *arg, void *p, size_t bytes)
{
    (void)arg;
    return left == 0 ? NULL : realloc(p, bytes);
}
static void counting_release(void *arg, void *p)
{
    (void)arg;
    free(p);
}

static int panics(void *arg)
{
    (void)arg;
    weft_panic("in dire straits");
}

static int always_fine(void *arg)
{
    (void)arg;
    return 0;
}

static int short_of_memory(void *arg)
{
    (void)arg;
    left = 0;
    weft_error *e = weft_error_new(-ENOSPC, "never said");
    CHECK_EQ(weft_error_code(e), -ENOSPC);
    CHECK_STR(weft_error_message(e), weft_strerror(-ENOSPC));
    e = weft_error_wrap(e, -EIO, "neither");
    CHECK_EQ(weft_error_code(e), -ENOSPC);
    weft_error_free(e);
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
    CHECK_EQ(weft_ctx_err(c), -ENOMEM);
    weft_ctx_free(c);
    {
        WEFT_TIMEOUT(t, WEFT_HOUR);
        CHECK_EQ(weft_sleep(1), -ENOMEM);
    }
    {
        WEFT_SCOPE(s);
        CHECK_EQ(weft_go(&s, short_of_memory, NULL), -ENOMEM);
        CHECK_EQ(weft_wait(&s), -ENOMEM);
        CHECK_EQ(weft_error_code(weft_scope_error(&s)), -ENOMEM);
    }
    CHECK(weft_after(WEFT_MS) == NULL);
    CHECK(weft_timer_new(WEFT_MS) == NULL);
    CHECK_EQ(weft_ctx_after_func(weft_ctx_background(), free, NULL, NULL), -ENOMEM);
    CHECK_EQ(weft_try(panics, NULL, NULL), -WEFT_EPANIC);
    left = -1;
    CHECK_EQ(weft_sleep(1), 0);
    return 0;
}

TEST(short_of_memory_nothing_crashes)
{
    weft_allocator a = {.size = sizeof a,
        .alloc = counting_alloc,
        .resize = counting_resize,
        .release = counting_release};
    CHECK_EQ(weft_set_allocator(NULL), -EINVAL);
    for (int missing = 0; missing < 4; missing++) {
        weft_allocator some = a;
        if (missing == 0)
            some.alloc = NULL;
        else if (missing == 1)
            some.resize = NULL;
        else if (missing == 2)
            some.release = NULL;
        else
            some.size = sizeof a - 1;
        CHECK_EQ(weft_set_allocator(&some), -EINVAL);
    }
    CHECK_EQ(weft_set_allocator(&a), 0);
    rig_run(2, short_of_memory);
    CHECK_EQ(weft_set_allocator(&a), -EBUSY);
}

static int many_things(void *arg)
{
    weft_chan *done;
    (void)arg;
    weft_ctx *c = weft_ctx_with_timeout(weft_ctx_current(), WEFT_HOUR);
    weft_ctx *v = weft_ctx_with_copy(c, &left, "abc", 4);
    if (weft_ctx_err(v) == 0) {
        done = weft_ctx_done(v);
        CHECK(done != NULL);
        if (weft_ctx_err(v) == 0)
            CHECK_EQ(weft_chan_try_recv(done, NULL), -EAGAIN);
        else
            CHECK_EQ(weft_chan_try_recv(done, NULL), 0);
    }
    {
        WEFT_WITH(w, v);
        WEFT_SCOPE(s, .errors = WEFT_COLLECT);
        int rc = weft_label("k", "v");
        CHECK(rc == 0 || rc == -ENOMEM);
        rc = weft_go_opt(&s, always_fine, NULL,
            &(weft_fiber_opts){.size = sizeof(weft_fiber_opts), .name = "n"});
        CHECK(rc == 0 || rc == -ENOMEM);
        rc = weft_wait(&s);
        CHECK(rc == 0 || rc == -ENOMEM);
    }
    weft_ctx_free(v);
    weft_ctx_free(c);
    return 0;
}

static int fail_each(void *arg)
{
    (void)arg;
    for (long n = 0; n < 20; n++) {
        left = n;
        many_things(NULL);
        left = -1;
        weft_label("k", NULL);
    }
    return 0;
}

TEST(the_nth_allocation_fails)
{
    weft_allocator a = {.size = sizeof a,
        .alloc = counting_alloc,
        .resize = counting_resize,
        .release = counting_release};
    CHECK_EQ(weft_set_allocator(&a), 0);
    rig_run(1, fail_each);
}
