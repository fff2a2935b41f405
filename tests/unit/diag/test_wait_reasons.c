// SPDX-License-Identifier: Apache-2.0
/*
 * test_wait_reasons.c - C27 of docs/conformance.md: what a dump says of a fiber in each kind of
 * wait, the reason and the object.
 *
 * One table, a row a kind: a function that waits so, and what its line in the dump must hold. A
 * case runs the row's function as a fiber of the name "row", looks at dumps until the fiber stands
 * where it should (one that never gets there ends the case by its time limit), and then lets
 * everybody go: the scope is cancelled, what locks hold is given back, pipes are written to.
 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dump_text.h"
#include "rig.h"

typedef WEFT_CHAN_OF(int) int_chan;

/* What the rows wait for. */
static int_chan full, empty, nil;
static weft_mutex mutex = WEFT_MUTEX_NAMED("held");
static weft_rwmutex read_held = WEFT_RWMUTEX_NAMED("read-held");
static weft_rwmutex write_held = WEFT_RWMUTEX_NAMED("write-held");
static weft_mutex cond_mutex = WEFT_MUTEX_INIT;
static weft_cond cond = WEFT_COND_NAMED("never");
static weft_waitgroup group = WEFT_WAITGROUP_NAMED("one-more");
static weft_sema sema = WEFT_SEMA_NAMED(2, "two");
static weft_barrier barrier = WEFT_BARRIER_NAMED(2, "pair");
static weft_once once = WEFT_ONCE_NAMED("set-up");
static weft_flight flight = WEFT_FLIGHT_NAMED("loads");
static weft_sema gate = WEFT_SEMA_INIT(0); /* the work of once and flight ends here */
static weft_sema begun = WEFT_SEMA_INIT(0);
static int pair[2], block[2], fifo_end = -1;
static char fifo[64];

/* ---- the rows' functions; their results do not matter ---- */

static int sends(void *arg)
{
    (void)arg;
    return weft_send(full, 1);
}

static int receives(void *arg)
{
    int v;
    (void)arg;
    return weft_recv(empty, &v);
}

static int sends_to_nil(void *arg)
{
    (void)arg;
    return weft_send(nil, 1);
}

static int receives_from_nil(void *arg)
{
    int v;
    (void)arg;
    return weft_recv(nil, &v);
}

static int selects(void *arg)
{
    int v, got;
    (void)arg;
    return weft_select(WEFT_RECV(empty, &v, &got), WEFT_RECV(nil, &v, &got));
}

static int selects_nothing(void *arg)
{
    (void)arg;
    return weft_selectv(NULL, 0);
}

static int sleeps(void *arg)
{
    (void)arg;
    return weft_sleep(24 * 60 * WEFT_MIN);
}

static int locks(void *arg)
{
    (void)arg;
    weft_mutex_lock(&mutex);
    weft_mutex_unlock(&mutex);
    return 0;
}

static int locks_to_read(void *arg)
{
    (void)arg;
    weft_rwmutex_rlock(&write_held);
    weft_rwmutex_runlock(&write_held);
    return 0;
}

static int locks_to_write(void *arg)
{
    (void)arg;
    weft_rwmutex_lock(&read_held);
    weft_rwmutex_unlock(&read_held);
    return 0;
}

static int waits_for_cond(void *arg)
{
    (void)arg;
    weft_mutex_lock(&cond_mutex);
    int rc = weft_cond_wait(&cond, &cond_mutex);
    weft_mutex_unlock(&cond_mutex);
    return rc;
}

static int waits_for_group(void *arg)
{
    (void)arg;
    return weft_waitgroup_wait(&group);
}

static int acquires(void *arg)
{
    (void)arg;
    return weft_sema_acquire(&sema, 3);
}

static int waits_at_barrier(void *arg)
{
    (void)arg;
    return weft_barrier_wait(&barrier);
}

static int joins(void *arg)
{
    (void)arg;
    WEFT_SCOPE(s, .name = "inner", .errors = WEFT_COLLECT);
    CHECK_EQ(weft_go(&s, receives, NULL), 0);
    return weft_wait(&s);
}

static int waits_for_ctx(void *arg)
{
    (void)arg;
    weft_ctx *c = weft_ctx_with_cancel(weft_ctx_background());
    int rc = weft_chan_recv(weft_ctx_done(c), NULL);
    weft_ctx_free(c);
    return rc;
}

static void slow_work(void *arg)
{
    (void)arg;
    weft_sema_release(&begun, 1);
    WEFT_SHIELD(on);
    CHECK_EQ(weft_sema_acquire(&gate, 1), 0);
}

static int slow_load(void *arg, void *result)
{
    (void)result;
    slow_work(arg);
    return 0;
}

static int begins_once(void *arg)
{
    weft_once_do(&once, slow_work, arg);
    return 0;
}

static int waits_for_once(void *arg)
{
    CHECK_EQ(weft_sema_acquire(&begun, 1), 0);
    weft_once_do(&once, slow_work, arg);
    return 0;
}

static int begins_flight(void *arg)
{
    return weft_flight_do(&flight, "k", 1, slow_load, arg, NULL, 0, NULL);
}

static int waits_for_flight(void *arg)
{
    CHECK_EQ(weft_sema_acquire(&begun, 1), 0);
    return weft_flight_do(&flight, "k", 1, slow_load, arg, NULL, 0, NULL);
}

static int reads(void *arg)
{
    char c;
    (void)arg;
    return (int)weft_read(pair[0], &c, 1);
}

static int writes(void *arg)
{
    char data[4096] = {0};
    ssize_t n;
    (void)arg;
    while ((n = weft_write(pair[0], data, sizeof data)) > 0) {
    }
    return (int)n;
}

/* A pipe stands in for a slow disk: the ring waits for its bytes ... */
static int reads_by_ring(void *arg)
{
    char c;
    (void)arg;
    return (int)weft_pread(block[0], &c, 1, 0);
}

/* ... and opening one without a writer keeps a thread of the pool. (A ring would not wait.) */
static int opens(void *arg)
{
    (void)arg;
    int fd = weft_open(fifo, O_RDONLY, 0);
    return fd < 0 ? fd : weft_close(fd);
}

static int looks_up(void *arg)
{
    (void)arg;
    return weft_dial("tcp", "localhost:1");
}

static int blocks(void *arg)
{
    char c;
    (void)arg;
    weft_blocking_begin();
    ssize_t n = read(block[0], &c, 1);
    weft_blocking_end();
    return (int)n;
}

/* ---- the table ---- */

struct row {
    int (*fn)(void *), (*helper)(void *);
    const char *reason, *object; /* "FD": the socket's */
    unsigned helpers;
};

#define ROW(name) static const struct row row_##name
ROW(chan_send) = {sends, NULL, "[chan send for ", "on channel \"full\" (made at ", 0};
ROW(chan_receive) = {receives, NULL, "[chan receive for ", "on channel \"empty\" (made at ", 0};
ROW(nil_send) = {sends_to_nil, NULL, "[chan send (nil chan) for ", "", 0};
ROW(nil_receive) = {receives_from_nil, NULL, "[chan receive (nil chan) for ", "", 0};
ROW(select) = {selects, NULL, "[select for ", "", 0};
ROW(select_nothing) = {selects_nothing, NULL, "[select (no cases) for ", "", 0};
ROW(sleep) = {sleeps, NULL, "[sleep for ", "", 0};
ROW(mutex) = {locks, NULL, "[mutex lock for ", "on mutex \"held\"", 0};
ROW(rwmutex_r) = {locks_to_read, NULL, "[rwmutex rlock for ", "on rwmutex \"write-held\"", 0};
ROW(rwmutex_w) = {locks_to_write, NULL, "[rwmutex lock for ", "on rwmutex \"read-held\"", 0};
ROW(cond) = {waits_for_cond, NULL, "[cond wait for ", "on cond \"never\"", 0};
ROW(waitgroup) = {waits_for_group, NULL, "[waitgroup wait for ", "on waitgroup \"one-more\"", 0};
ROW(semaphore) = {acquires, NULL, "[semaphore acquire for ", "on semaphore \"two\"", 0};
ROW(barrier) = {waits_at_barrier, NULL, "[barrier wait for ", "on barrier \"pair\"", 0};
ROW(scope) = {joins, NULL, "[scope join for ", "on scope \"inner\" (made at ", 0};
ROW(context) = {waits_for_ctx, NULL, "[chan receive for ", "on channel \"context done\"", 0};
ROW(once) = {waits_for_once, begins_once, "[once for ", "on once \"set-up\"", 1};
ROW(flight) = {waits_for_flight, begins_flight, "[single flight for ", "\"loads\"", 1};
ROW(fd_read) = {reads, NULL, "[IO read for ", "FD", 0};
ROW(fd_write) = {writes, NULL, "[IO write for ", "FD", 0};
ROW(ring) = {reads_by_ring, NULL, "[file operation for ", "read of fd ", 0};
ROW(pool) = {opens, NULL, "[file operation for ", "open of \"/tmp/weft-reasons-", 0};
ROW(blocking) = {blocks, NULL, "[blocking call]", "", 0};
/* More opens than the pool has threads (16) are before the look-up, so it stays in the queue. */
ROW(look_up) = {looks_up, opens, "[name resolution for ", "look-up of \"localhost\"", 20};

static const struct row *row;

/* ---- a case ---- */

static int named(void *arg)
{
    CHECK_EQ(weft_set_name("row"), 0);
    return row->fn(arg);
}

/* The line of the fiber called "row", once it says `reason`. */
static char *line_with(const char *reason)
{
    for (;;) {
        char *at = strstr(dump_text(), "\"row\" [");
        char *end = at ? strchr(at, '\n') : NULL;
        if (end)
            *end = '\0';
        if (end && strstr(at, reason))
            return at;
        CHECK_EQ(weft_sleep(WEFT_MS), 0);
    }
}

static void set_up(void)
{
    CHECK_EQ(weft_chan_make(&full, 1), 0);
    CHECK_EQ(weft_chan_make(&empty, 0), 0);
    weft_chan_set_name(full, "full");
    weft_chan_set_name(empty, "empty");
    CHECK_EQ(weft_send(full, 0), 0);
    weft_mutex_lock(&mutex);
    weft_rwmutex_rlock(&read_held);
    weft_rwmutex_lock(&write_held);
    weft_waitgroup_add(&group, 1);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    CHECK_EQ(pipe(block), 0);
    snprintf(fifo, sizeof fifo, "/tmp/weft-reasons-%d", (int)getpid());
    unlink(fifo); /* of a process of this number that was killed */
    CHECK_EQ(mkfifo(fifo, 0600), 0);
}

static void let_go(weft_scope *s)
{
    weft_mutex_unlock(&mutex);
    weft_rwmutex_runlock(&read_held);
    weft_rwmutex_unlock(&write_held);
    weft_sema_release(&gate, 1);
    CHECK_EQ(write(block[1], "x", 1), 1);
    if (row->fn == opens || row->helper == opens) /* both ends: this open waits for nobody */
        fifo_end = open(fifo, O_RDWR | O_NONBLOCK);
    weft_scope_cancel(s);
    (void)weft_wait(s);
    weft_waitgroup_done(&group);
    weft_chan_free(full);
    weft_chan_free(empty);
    unlink(fifo);
}

static int case_body(void *arg)
{
    char object[80];
    (void)arg;
    set_up();
    WEFT_SCOPE(s, .errors = WEFT_COLLECT);
    for (unsigned i = 0; i < row->helpers; i++)
        CHECK_EQ(weft_go(&s, row->helper, NULL), 0);
    if (row->helper == opens)
        dump_until("open of \"", (int)row->helpers); /* in the pool's queue, or in its threads */
    CHECK_EQ(weft_go(&s, named, NULL), 0);
    const char *line = line_with(row->reason);
    snprintf(object, sizeof object, "%s", row->object);
    if (strcmp(row->object, "FD") == 0)
        snprintf(object, sizeof object, ", fd %d]", pair[0]);
    CHECK_MSG(strstr(line, object), "no \"%s\" in: %s", object, line);
    let_go(&s);
    return 0;
}

#define REASON_ON(name, workers)                                                                   \
    TEST(C27_##name##_##workers)                                                                   \
    {                                                                                              \
        row = &row_##name;                                                                         \
        rig_run(workers, case_body);                                                               \
    }
#define REASON(name)                                                                               \
    REASON_ON(name, 1)                                                                             \
    REASON_ON(name, 2)                                                                             \
    REASON_ON(name, 8)

REASON(chan_send)
REASON(chan_receive)
REASON(nil_send)
REASON(nil_receive)
REASON(select)
REASON(select_nothing)
REASON(sleep)
REASON(mutex)
REASON(rwmutex_r)
REASON(rwmutex_w)
REASON(cond)
REASON(waitgroup)
REASON(semaphore)
REASON(barrier)
REASON(scope)
REASON(context)
REASON(once)
REASON(flight)
REASON(fd_read)
REASON(fd_write)
REASON(blocking)

/* What hangs on how files are done: by the default, and by the pool. */
static void reason_of_a_file(unsigned workers)
{
    row = strcmp(weft_file_backend(), "pool") == 0 ? &row_pool : &row_ring;
    rig_run(workers, case_body);
}

static void reason_by_the_pool(const struct row *r, unsigned workers)
{
    setenv("WEFT_FILE", "pool", 1);
    row = r;
    rig_run(workers, case_body);
}

#define FILE_REASONS(workers)                                                                      \
    TEST(C27_file_##workers)                                                                       \
    {                                                                                              \
        reason_of_a_file(workers);                                                                 \
    }                                                                                              \
    TEST(C27_file_by_the_pool_##workers)                                                           \
    {                                                                                              \
        reason_by_the_pool(&row_pool, workers);                                                    \
    }                                                                                              \
    TEST(C27_look_up_##workers)                                                                    \
    {                                                                                              \
        reason_by_the_pool(&row_look_up, workers);                                                 \
    }
FILE_REASONS(1)
FILE_REASONS(2)
FILE_REASONS(8)
