// SPDX-License-Identifier: Apache-2.0
/*
 * test_offload.c - the pool of threads that may block: a job that counts on an idle thread finds
 * it.
 *
 * offload.c is built into this program with four of its calls led here: the idle thread's sleep,
 * its end, its look for a job, and the step just before a job is pushed. So a thread sleeps as long
 * as a case wants.
 */
#include <weft/fiber.h>
#include <weft/file.h>
#include <weft/net.h>
#include <weft/run.h>
#include <weft/scope.h>
#include <weft/sugar.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/futex.h"
#include "base/list.h"
#include "sched/sched.h"
#include "test.h"

static _Atomic uint32_t taken;      /* jobs, by pool threads */
static _Atomic uint32_t held;       /* sleeps that lasted as long as `hold` wants */
static _Atomic uint32_t moves;      /* sleeps and ends */
static _Atomic uint32_t announced;  /* jobs about to be pushed */
static _Atomic uint32_t hold;       /* who sleeps after a job does so until so many are announced */
static _Atomic uint32_t push_waits; /* 1: the next push waits until the thread has moved on */

static void bump(_Atomic uint32_t *word)
{
    at_add(word, 1);
    weft__futex_wake(word, INT32_MAX);
}

static void await(_Atomic uint32_t *word, uint32_t at_least)
{
    for (uint32_t v; (v = at_load(word)) < at_least;)
        weft__futex_wait(word, v, -1);
}

static void idle_sleep(_Atomic uint32_t *word, uint32_t seen, int64_t timeout_ns)
{
    bump(&moves);
    if (at_load(&taken) == 0 || at_load(&announced) >= at_load(&hold)) {
        weft__futex_wait(word, seen, timeout_ns);
        return;
    }
    bump(&held);
    await(&announced, at_load(&hold)); /* and its time is up */
}

static struct weft__node *counted_pop(struct weft__node *list)
{
    struct weft__node *n = weft__list_pop(list);
    if (n)
        at_add(&taken, 1);
    return n;
}

static void thread_ends(int n)
{
    weft__service_thread(n);
    bump(&moves);
}

static void about_to_push(int n)
{
    uint32_t before = at_load(&moves);
    weft__outside_add(n);
    if (n < 0)
        return;
    bump(&announced);
    if (at_xchg(&push_waits, 0))
        await(&moves, before + 1);
}

#define weft__futex_wait idle_sleep
#define weft__list_pop counted_pop
#define weft__service_thread thread_ends
#define weft__outside_add about_to_push
#include "io/offload.c"
#undef weft__futex_wait
#undef weft__list_pop
#undef weft__service_thread
#undef weft__outside_add

static void run(int (*app)(void *))
{
    int result = -1;
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    setenv("WEFT_FILE", "pool", 1);
    CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
    CHECK_EQ(result, 0);
}

/* Makes one thread of the pool and lets it fall asleep until `jobs` more are announced. */
static void one_idle_thread(uint32_t jobs)
{
    struct stat st;
    at_store(&hold, 1 + jobs); /* this one is announced as well */
    CHECK_EQ(weft_stat("/", &st), 0);
    weft_blocking_begin();
    await(&held, 1);
    weft_blocking_end();
}

/* Its ten seconds are over when a job has counted on it and is not pushed yet. */
static int late_push(void *arg)
{
    struct stat st;
    (void)arg;
    one_idle_thread(1);
    at_store(&push_waits, 1);
    CHECK_EQ(weft_stat("/", &st), 0);
    return 0;
}

TEST(a_thread_does_not_end_when_a_job_counts_on_it)
{
    run(late_push);
}

/* Each end of a FIFO opens when the other does: two threads, or both wait for ever. */
static char fifo[80];

static int opens(void *p)
{
    int fd = weft_open(fifo, *(int *)p, 0);
    CHECK(fd >= 0);
    return weft_close(fd);
}

static int two_ends(void *arg)
{
    (void)arg;
    char dir[] = "/tmp/weft-offload-XXXXXX";
    CHECK(mkdtemp(dir));
    snprintf(fifo, sizeof fifo, "%s/fifo", dir);
    CHECK_EQ(mkfifo(fifo, 0600), 0);
    one_idle_thread(2);
    WEFT_SCOPE(s);
    CHECK_EQ(weft_go_copy(&s, opens, O_RDONLY), 0);
    CHECK_EQ(weft_go_copy(&s, opens, O_WRONLY), 0);
    CHECK_EQ(weft_wait(&s), 0);
    CHECK_EQ(unlink(fifo), 0);
    CHECK_EQ(rmdir(dir), 0);
    return 0;
}

TEST(two_jobs_do_not_count_on_one_idle_thread)
{
    run(two_ends);
}

/* ---- an abandoned job ---- */

static _Atomic uint32_t may_end, dropped; /* dropped: 1 outside the runtime, 2 inside */

static void runs_long(struct weft__job *j)
{
    (void)j;
    await(&may_end, 1);
}

static void drops(struct weft__job *j)
{
    free(j);
    at_add(&dropped, 1 + at_load(&weft__tls_thread->in_rt));
    weft__futex_wake(&dropped, INT32_MAX);
}

static int abandons(void *arg)
{
    struct weft__job *j = calloc(1, sizeof *j);
    (void)arg;
    CHECK(j != NULL);
    j->run = runs_long;
    j->drop = drops;
    {
        WEFT_TIMEOUT(t, WEFT_MS);
        weft__enter();
        int rc = weft__offload(j, WEFT__WAIT_RESOLVE, NULL);
        weft__leave();
        CHECK_EQ(rc, -ETIMEDOUT);
    }
    bump(&may_end);
    weft_blocking_begin();
    await(&dropped, 1);
    weft_blocking_end();
    CHECK_EQ(at_load(&dropped), 1);
    return 0;
}

TEST(an_abandoned_job_is_freed_outside_the_runtime)
{
    run(abandons);
}
