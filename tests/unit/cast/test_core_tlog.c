// SPDX-License-Identifier: Apache-2.0
/*
 * test_core_tlog.c - the topic log: ranges, lagging readers, reclamation, and two threads on one
 * log.
 *
 * The model is a plain byte counter: byte number i of the log has the value pattern(i), so whatever
 * a cursor shows can be checked from its position alone. Under ASan a chunk that was freed too
 * early, or never, is found as well.
 */
#include "core/tlog.h"
#include "test.h"

#include <pthread.h>
#include <sched.h>

static unsigned char pattern(uint64_t pos)
{
    return (unsigned char)(pos * 31 + (pos >> 8) * 7);
}

static void append_some(struct tlog *log, size_t bytes, int64_t now_ms)
{
    unsigned char *buf = malloc(bytes);
    uint64_t head = tlog_head(log);
    for (size_t i = 0; i < bytes; i++)
        buf[i] = pattern(head + i);
    size_t cut = bytes / 3;
    struct iovec parts[2] = {{buf, cut}, {buf + cut, bytes - cut}};
    CHECK_EQ(tlog_append(log, parts, 2, now_ms), 0);
    CHECK_EQ(tlog_head(log), head + bytes);
    free(buf);
}

/* Reads up to `most` bytes and checks each. Returns the bytes read. */
static uint64_t consume(struct tcursor *cur, uint64_t head, uint64_t most)
{
    struct iovec iov[16];
    int n = tcursor_ranges(cur, head, iov, 16);
    uint64_t took = 0;
    for (int i = 0; i < n && took < most; i++) {
        const unsigned char *p = iov[i].iov_base;
        CHECK(iov[i].iov_len > 0);
        for (size_t k = 0; k < iov[i].iov_len && took < most; k++, took++)
            CHECK_EQ(p[k], pattern(cur->pos + took));
    }
    tcursor_advance(cur, took);
    return took;
}

TEST(new_log_is_empty)
{
    struct tlog *log = tlog_new(0);
    struct tcursor cur;
    struct iovec iov[2];
    tcursor_start(&cur, log);
    CHECK_EQ(tlog_head(log), 0);
    CHECK_EQ(tcursor_ranges(&cur, tlog_head(log), iov, 2), 0);
    tcursor_drop(&cur);
    tcursor_drop(&cur); /* dropping twice is dropping once */
    tlog_unref(log);
    tlog_unref(NULL);
}

TEST(cursor_starts_at_the_head_and_a_range_is_one_piece)
{
    struct tlog *log = tlog_new(0);
    append_some(log, 100, 0);
    struct tcursor cur;
    tcursor_start(&cur, log);
    CHECK_EQ(cur.pos, 100);
    append_some(log, 50, 0);
    append_some(log, 60, 0);
    struct iovec iov[4];
    CHECK_EQ(tcursor_ranges(&cur, tlog_head(log), iov, 4), 1);
    CHECK_EQ(iov[0].iov_len, 110);
    CHECK_EQ(tcursor_ranges(&cur, 150, iov, 4), 1); /* an earlier head shows less */
    CHECK_EQ(iov[0].iov_len, 50);
    CHECK_EQ(consume(&cur, tlog_head(log), UINT64_MAX), 110);
    CHECK_EQ(tcursor_ranges(&cur, tlog_head(log), iov, 4), 0);
    tcursor_drop(&cur);
    tlog_unref(log);
}

TEST(frames_never_straddle_chunks_and_crossing_gives_two_pieces)
{
    struct tlog *log = tlog_new(0);
    struct tcursor cur;
    tcursor_start(&cur, log);
    append_some(log, 200, 0);
    append_some(log, 200, 0); /* does not fit behind it in 256 bytes */
    struct iovec iov[4];
    CHECK_EQ(tcursor_ranges(&cur, tlog_head(log), iov, 4), 2);
    CHECK_EQ(iov[0].iov_len, 200);
    CHECK_EQ(iov[1].iov_len, 200);
    CHECK_EQ(tcursor_ranges(&cur, tlog_head(log), iov, 1), 1);
    CHECK_EQ(consume(&cur, tlog_head(log), 200), 200); /* exactly the first chunk */
    CHECK_EQ(tcursor_ranges(&cur, tlog_head(log), iov, 4), 1);
    tcursor_drop(&cur);
    tlog_unref(log);
}

TEST(one_frame_larger_than_any_chunk)
{
    struct tlog *log = tlog_new(0);
    struct tcursor cur;
    tcursor_start(&cur, log);
    append_some(log, 3 << 20, 0);
    append_some(log, 5, 0);
    CHECK_EQ(consume(&cur, tlog_head(log), UINT64_MAX), (3 << 20) + 5);
    tcursor_drop(&cur);
    tlog_unref(log);
}

TEST(chunks_grow_with_the_rate_and_shrink_again)
{
    struct tlog *log = tlog_new(0);
    int64_t now_ms = 0;
    for (int i = 0; i < 20000; i++)
        append_some(log, 130, now_ms += i % 100 == 0);
    CHECK_EQ(log->chunk_bytes, 256 << 10);
    for (int i = 0; i < 20000; i++)
        append_some(log, 130, now_ms += 2000);
    CHECK_EQ(log->chunk_bytes, 256);
    tlog_unref(log);
}

TEST(cursors_outlive_the_log)
{
    struct tlog *log = tlog_new(0);
    struct tcursor a, b;
    tcursor_start(&a, log);
    for (int i = 0; i < 100; i++)
        append_some(log, 100, 0);
    uint64_t head = tlog_head(log);
    tcursor_copy(&b, &a);
    tlog_unref(log);
    while (consume(&a, head, 777) > 0)
        ;
    CHECK_EQ(a.pos, 10000);
    while (consume(&b, head, UINT64_MAX) > 0)
        ;
    CHECK_EQ(b.pos, 10000);
    tcursor_drop(&a);
    tcursor_drop(&b);
}

/* Many cursors that lag by chance, start and end by chance. */
TEST(random_publish_consume_lag)
{
    enum { CURSORS = 40 };
    srandom((unsigned)test_seed());
    struct tlog *log = tlog_new(0);
    struct tcursor cur[CURSORS] = {{0}};
    int64_t now_ms = 0;
    for (int step = 0; step < 40000; step++) {
        int i = (int)(random() % CURSORS);
        switch (random() % 8) {
        case 0:
            tcursor_drop(&cur[i]);
            tcursor_start(&cur[i], log);
            break;
        case 1:
            tcursor_drop(&cur[i]);
            break;
        case 2:
        case 3:
            append_some(log, (size_t)(random() % (random() % 50 ? 300 : 40000) + 1), now_ms);
            now_ms += random() % 3;
            break;
        default:
            if (cur[i].chunk)
                consume(&cur[i], tlog_head(log), (uint64_t)(random() % 20000));
        }
    }
    for (int i = 0; i < CURSORS; i++) {
        while (cur[i].chunk && consume(&cur[i], tlog_head(log), UINT64_MAX) > 0)
            ;
        CHECK(!cur[i].chunk || cur[i].pos == tlog_head(log));
        tcursor_drop(&cur[i]);
    }
    tlog_unref(log);
}

struct reader {
    struct tlog *log;
    struct tcursor cur;
    uint64_t until;
    unsigned seed;
};

static void *read_all(void *arg)
{
    struct reader *r = arg;
    while (r->cur.pos < r->until)
        if (consume(&r->cur, tlog_head(r->log), (uint64_t)(rand_r(&r->seed) % 9000 + 1)) == 0)
            sched_yield();
    tcursor_drop(&r->cur);
    tlog_unref(r->log);
    return NULL;
}

/* The home appends while readers on other threads follow, each at its own pace. */
TEST(readers_on_other_threads_see_every_byte)
{
    enum { READERS = 3, FRAMES = 30000, FRAME = 97 };
    struct tlog *log = tlog_new(0);
    struct reader r[READERS];
    pthread_t threads[READERS];
    for (int i = 0; i < READERS; i++) {
        r[i] = (struct reader){
            tlog_ref(log), {0}, (uint64_t)FRAMES * FRAME, (unsigned)test_seed() + (unsigned)i};
        tcursor_start(&r[i].cur, log);
        CHECK_EQ(pthread_create(&threads[i], NULL, read_all, &r[i]), 0);
    }
    for (int i = 0; i < FRAMES; i++)
        append_some(log, FRAME, i / 100);
    tlog_unref(log);
    for (int i = 0; i < READERS; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
}
