// SPDX-License-Identifier: Apache-2.0
/*
 * test_run_ends.c - plain threads that start fibers, read counters and dump, while one run after
 * another begins and ends around them. Nothing faults; every fiber that was started has run.
 */
#include <weft/weft.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

#include "test.h"

static atomic_bool over;
static atomic_long started, ran, refused;

static int run_one(void *arg)
{
    (void)arg;
    atomic_fetch_add(&ran, 1);
    return 0;
}

static void *starter(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        int rc = weft_go(NULL, run_one, NULL);
        CHECK_MSG(rc == 0 || rc == -ESHUTDOWN, "weft_go: %d", rc);
        atomic_fetch_add(rc == 0 ? &started : &refused, 1);
    }
    return NULL;
}

static void *counter(void *arg)
{
    (void)arg;
    while (!atomic_load(&over)) {
        weft_stats s = {.size = sizeof s};
        weft_stats_read(&s);
        CHECK(s.workers <= 4);
    }
    return NULL;
}

static void *dumper(void *arg)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    (void)arg;
    while (!atomic_load(&over))
        weft_dump(fd);
    close(fd);
    return NULL;
}

static int app(void *arg)
{
    (void)arg;
    while (atomic_load(&started) == 0) /* the first run waits for the threads to be there */
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    for (int i = 0; i < 20; i++)
        weft_yield();
    return 0;
}

TEST(plain_threads_meet_the_ends_of_runs)
{
    pthread_t t[4];
    unsetenv("WEFT_WORKERS"); /* each run has its own number */
    void *(*const fn[4])(void *) = {starter, starter, counter, dumper};
    for (int i = 0; i < 4; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, fn[i], NULL), 0);
    for (unsigned i = 0; i < 300; i++) {
        int result = -1;
        weft_run_opts o = {.size = sizeof o, .workers = 1 + i % 4};
        CHECK_EQ(weft_run(app, NULL, &o, &result), 0);
        CHECK_EQ(result, 0);
    }
    atomic_store(&over, true);
    for (int i = 0; i < 4; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(atomic_load(&ran), atomic_load(&started));
}
