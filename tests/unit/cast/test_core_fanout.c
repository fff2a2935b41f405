// SPDX-License-Identifier: Apache-2.0
/*
 * test_core_fanout.c - passes, sinks, slow readers, and news between loops, over socket pairs.
 *
 * Messages are text frames whose payload is "m<number>" and filling; private lines are "r<number>".
 * The client's end of each pair takes frames apart again, so a frame that was cut, lost, repeated
 * or put in the wrong order cannot go unseen.
 */
#include "core/fanout.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include <weft/fiber.h>
#include <weft/wsproto.h>

struct reader {
    struct sink sink; /* first */
    struct sub sub;
    int fd; /* the client's end */
    bool in, failed;
    enum sink_failure why;
    char *buf; /* not taken apart yet */
    size_t bytes;
    long messages, lines, frames; /* numbers of the next ones */
    bool ended;                   /* a close frame has come */
};

struct rig {
    weft_loop *loop;
    struct fan fan;
    struct tlog *log;
    struct outlet *outlet;
    struct reader *readers;
    int count;
    long appended;
};

static void failed(struct sink *s, enum sink_failure why)
{
    struct reader *r = (struct reader *)s;
    CHECK(!r->failed);
    r->failed = true;
    r->why = why;
}

static void on_io(weft_loop *loop, weft_loop_io *io, unsigned events)
{
    if (events & WEFT_LOOP_WRITE)
        sink_writable(WEFT_LOOP_OWNER(io, struct sink, io));
}

static void reader_start(struct rig *g, struct reader *r, int sndbuf)
{
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    if (sndbuf)
        setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &sndbuf, sizeof sndbuf);
    memset(r, 0, sizeof *r);
    sink_init(&r->sink, &g->fan);
    r->sink.framed = true;
    r->fd = pair[1];
    CHECK_EQ(weft_loop_io_add(g->loop, &r->sink.io, pair[0], WEFT_LOOP_READ, on_io), 0);
    struct tcursor cur;
    tcursor_start(&cur, g->log);
    CHECK_EQ(outlet_add(outlet_ref(g->outlet), &r->sub, &r->sink, &cur), 0);
    r->in = true;
    r->messages = g->appended;
}

static void reader_leave(struct reader *r)
{
    if (!r->in)
        return;
    outlet_remove(&r->sub);
    outlet_unref(r->sub.outlet);
    r->in = false;
}

static void rig_start(struct rig *g, int readers, int sndbuf, uint32_t queue_max, int64_t window_ns)
{
    memset(g, 0, sizeof *g);
    CHECK_EQ(weft_loop_new(NULL, &g->loop), 0);
    fan_init(&g->fan, g->loop, queue_max, window_ns, failed);
    g->log = tlog_new(0);
    g->outlet = outlet_new(&g->fan, g->log, CAST_SPAN("ch"));
    g->readers = calloc((size_t)readers, sizeof *g->readers);
    g->count = readers;
    for (int i = 0; i < readers; i++)
        reader_start(g, &g->readers[i], sndbuf);
}

static void rig_end(struct rig *g)
{
    for (int i = 0; i < g->count; i++) {
        struct reader *r = &g->readers[i];
        reader_leave(r);
        sink_fini(&r->sink);
        weft_loop_io_close(g->loop, &r->sink.io);
        close(r->fd);
        free(r->buf);
    }
    for (int i = 0; i < 3; i++) /* whatever was due lets go of the outlet */
        weft_loop_step(g->loop, 0);
    fan_fini(&g->fan);
    outlet_unref(g->outlet);
    tlog_unref(g->log);
    weft_loop_free(g->loop);
    free(g->readers);
}

static void append(struct rig *g, size_t filling)
{
    char *text = malloc(filling + 32);
    int n = sprintf(text, "m%ld ", g->appended++);
    memset(text + n, 'x', filling);
    size_t bytes = (size_t)n + filling;
    char head[WEFT_WS_HEAD_MAX];
    struct iovec parts[2] = {
        {head, weft_ws_frame_head(head, WEFT_WS_OP_TEXT, true, bytes, NULL)}, {text, bytes}};
    CHECK_EQ(tlog_append(g->log, parts, 2, 0), 0);
    free(text);
    outlet_news(g->outlet, true);
}

static void one_line(struct reader *r, const char *line, size_t bytes)
{
    char *end;
    CHECK(bytes > 0 && bytes < 1 << 20);
    char *copy = strndup(line, bytes);
    if (copy[0] == 'm') {
        CHECK_EQ(strtol(copy + 1, &end, 10), r->messages);
        r->messages++;
        CHECK_EQ(strspn(end + 1, "x"), strlen(end + 1));
    } else {
        CHECK_EQ(copy[0], 'r');
        CHECK_EQ(strtol(copy + 1, NULL, 10), r->lines);
        r->lines++;
    }
    free(copy);
}

static size_t one_frame(struct reader *r)
{
    struct weft_ws_frame f;
    int head = weft_ws_frame_parse(r->buf, r->bytes, &f);
    if (head < 0 || r->bytes < (size_t)head + f.payload_bytes)
        return 0;
    const char *p = r->buf + head, *end = p + f.payload_bytes;
    CHECK(!r->ended && f.fin && !f.masked && f.rsv == 0);
    if (f.opcode == WEFT_WS_OP_CLOSE) {
        r->ended = true;
        return (size_t)head + f.payload_bytes;
    }
    CHECK_EQ(f.opcode, WEFT_WS_OP_TEXT);
    r->frames++;
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        const char *to = nl ? nl : end;
        one_line(r, p, (size_t)(to - p));
        p = to + 1;
    }
    return (size_t)head + f.payload_bytes;
}

/* Reads up to `most` bytes and takes whole frames apart. Returns the bytes read. */
static size_t reader_read(struct reader *r, size_t most)
{
    r->buf = realloc(r->buf, r->bytes + most);
    ssize_t n = recv(r->fd, r->buf + r->bytes, most, 0);
    if (n <= 0)
        return 0;
    r->bytes += (size_t)n;
    size_t frame;
    while ((frame = one_frame(r)) > 0) {
        memmove(r->buf, r->buf + frame, r->bytes - frame);
        r->bytes -= frame;
    }
    return (size_t)n;
}

static void settle(struct rig *g)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < 4; i++)
            weft_loop_step(g->loop, 0);
        for (int i = 0; i < g->count; i++)
            while (reader_read(&g->readers[i], 1 << 16) > 0)
                moved = true;
        moved = moved || g->fan.due || g->fan.waiting || g->fan.flush;
    }
}

TEST(one_send_a_reader_a_pass)
{
    struct rig g;
    rig_start(&g, 50, 0, 1 << 20, 0);
    for (int i = 0; i < 10; i++)
        append(&g, 100);
    CHECK_EQ(g.fan.stats.sends, 0); /* nothing leaves inside a publish */
    weft_loop_step(g.loop, 0);
    CHECK_EQ(g.fan.stats.passes, 1);
    CHECK_EQ(g.fan.stats.sends, 50);
    settle(&g);
    for (int i = 0; i < g.count; i++) {
        CHECK_EQ(g.readers[i].messages, 10);
        CHECK_EQ(g.readers[i].frames, 10);
        CHECK(sink_empty(&g.readers[i].sink));
    }
    rig_end(&g);
}

TEST(lines_of_a_turn_share_a_frame)
{
    struct rig g;
    rig_start(&g, 1, 0, 1 << 20, 0);
    struct reader *r = &g.readers[0];
    sink_line(&r->sink, CAST_SPAN("r0"));
    sink_line(&r->sink, CAST_SPAN("r1"));
    append(&g, 10); /* behind the replies: F1 */
    sink_line(&r->sink, CAST_SPAN("r2"));
    settle(&g);
    CHECK_EQ(r->lines, 3);
    CHECK_EQ(r->messages, 1);
    CHECK_EQ(r->frames, 2);
    rig_end(&g);
}

TEST(a_barrier_brings_the_publication_before_the_reply)
{
    struct rig g;
    rig_start(&g, 2, 0, 1 << 20, 0);
    struct reader *r = &g.readers[0];
    append(&g, 10);
    append(&g, 200000); /* a frame with the longest head */
    sink_barrier(&r->sink, &r->sub);
    sink_line(&r->sink, CAST_SPAN("r0"));
    settle(&g);
    CHECK_EQ(r->messages, 2);
    CHECK_EQ(r->lines, 1);
    CHECK_EQ(r->frames, 1); /* all in one */
    CHECK_EQ(g.readers[1].frames, 2);
    rig_end(&g);
}

/* Full sockets, frames cut anywhere, replies and barriers in between, readers that come and go. */
TEST(random_load_over_small_sockets)
{
    enum { READERS = 12 };
    struct rig g;
    srandom((unsigned)test_seed());
    rig_start(&g, READERS, 4096, UINT32_MAX, 0);
    long lines[READERS] = {0};
    for (int step = 0; step < 6000; step++) {
        int i = (int)(random() % READERS);
        struct reader *r = &g.readers[i];
        char text[32];
        switch (random() % 8) {
        case 0:
        case 1:
            append(&g, (size_t)(random() % (random() % 20 ? 300 : 70000)));
            break;
        case 2:
            if (random() % 2)
                sink_barrier(&r->sink, &r->sub);
            sprintf(text, "r%ld", lines[i]++);
            sink_line(&r->sink, weft_span_of(text));
            break;
        case 3:
            if (random() % 40 == 0) { /* leaves with all that it is owed, and comes again */
                sink_barrier(&r->sink, &r->sub);
                reader_leave(r);
                struct tcursor cur;
                tcursor_start(&cur, g.log);
                CHECK_EQ(outlet_add(outlet_ref(g.outlet), &r->sub, &r->sink, &cur), 0);
                r->in = true;
            }
            break;
        default:
            weft_loop_step(g.loop, 0);
            reader_read(r, (size_t)(random() % 30000 + 1));
        }
    }
    settle(&g);
    for (int i = 0; i < READERS; i++) {
        CHECK(!g.readers[i].failed);
        CHECK_EQ(g.readers[i].messages, g.appended);
        CHECK_EQ(g.readers[i].lines, lines[i]);
        CHECK_EQ(g.readers[i].bytes, 0);
        CHECK(sink_empty(&g.readers[i].sink));
    }
    CHECK(g.fan.stats.short_sends > 0);
    rig_end(&g);
}

TEST(a_reader_that_lags_too_far_is_told_at_a_frame_border)
{
    struct rig g;
    rig_start(&g, 2, 4096, 50000, 0);
    struct reader *slow = &g.readers[0], *fast = &g.readers[1];
    for (int i = 0; i < 2000 && !slow->failed; i++) {
        append(&g, 500);
        weft_loop_step(g.loop, 0);
        while (reader_read(fast, 1 << 16) > 0)
            ;
    }
    CHECK(slow->failed);
    CHECK_EQ(slow->why, SINK_SLOW);
    CHECK_EQ(g.fan.stats.slow, 1);
    char frame[WEFT_WS_CONTROL_FRAME_MAX];
    size_t n = weft_ws_close_frame(frame, 3008, weft_span_of("slow"), NULL);
    sink_end(&slow->sink, frame, n, true);
    reader_leave(slow);
    sink_line(&slow->sink, CAST_SPAN("r0")); /* nothing more is taken */
    settle(&g);
    CHECK(slow->ended); /* whole frames, and then the close frame: one_frame has checked it */
    CHECK_EQ(slow->lines, 0);
    CHECK(slow->messages < g.appended);
    CHECK_EQ(fast->messages, g.appended);
    CHECK(!fast->failed);
    rig_end(&g);
}

/* More readers than one turn serves, some of whom leave while the pass rolls. */
TEST(a_rolling_pass_misses_nobody)
{
    struct rig g;
    srandom((unsigned)test_seed());
    rig_start(&g, 1500, 0, 1 << 20, 0);
    for (int round = 0; round < 8; round++) {
        append(&g, 20);
        for (int turn = 0; turn < 3; turn++) {
            weft_loop_step(g.loop, 0);
            for (int k = 0; k < 40; k++) {
                struct reader *r = &g.readers[random() % g.count];
                if (r->in && sink_lag(&r->sink) == 0)
                    reader_leave(r);
            }
            if (turn == 1)
                append(&g, 20);
        }
    }
    settle(&g);
    int stayed = 0;
    for (int i = 0; i < g.count; i++)
        if (g.readers[i].in) {
            stayed++;
            CHECK_EQ(g.readers[i].messages, g.appended);
        }
    CHECK_EQ((uint32_t)stayed, g.outlet->count);
    CHECK(stayed > 300);
    rig_end(&g);
}

#define REST (20 * WEFT_MS)

/* One pass a window, however slow the machine is. */
static uint64_t passes_allowed(int64_t since_ns)
{
    return 2 + (uint64_t)((weft_now() - since_ns) / REST);
}

TEST(a_busy_outlet_rests_and_then_gives_all_at_once)
{
    struct rig g;
    rig_start(&g, 100, 0, 1 << 20, REST);
    int64_t began_ns = weft_now();
    append(&g, 20);
    weft_loop_step(g.loop, 0);
    CHECK_EQ(g.fan.stats.passes, 1); /* after a quiet time: at once */
    for (int i = 0; i < 5; i++) {
        append(&g, 20);
        weft_loop_step(g.loop, 0);
    }
    CHECK(g.fan.stats.passes <= passes_allowed(began_ns)); /* they wait together */
    while (g.fan.due || g.fan.waiting)
        weft_loop_step(g.loop, 100 * WEFT_MS);
    CHECK(g.fan.stats.passes <= passes_allowed(began_ns));
    settle(&g);
    for (int i = 0; i < g.count; i++)
        CHECK_EQ(g.readers[i].messages, 6);
    rig_end(&g);
}

TEST(a_broken_socket_is_told_and_stops_nobody)
{
    struct rig g;
    rig_start(&g, 3, 0, 1 << 20, 0);
    shutdown(g.readers[1].fd, SHUT_RDWR);
    append(&g, 20);
    settle(&g);
    CHECK(g.readers[1].failed);
    CHECK_EQ(g.readers[1].why, SINK_BROKEN);
    CHECK_EQ(g.readers[0].messages, 1);
    CHECK_EQ(g.readers[2].messages, 1);
    rig_end(&g);
}

TEST(one_sink_with_several_outlets)
{
    struct rig g;
    rig_start(&g, 1, 0, 1 << 20, 0);
    struct reader *r = &g.readers[0];
    struct tlog *other = tlog_new(0);
    struct outlet *o = outlet_new(&g.fan, other, CAST_SPAN("other"));
    struct sub sub;
    struct tcursor cur;
    tcursor_start(&cur, other);
    CHECK_EQ(outlet_add(outlet_ref(o), &sub, &r->sink, &cur), 0);
    char frame[] = "\x81\x02r0";
    struct iovec part = {frame, 4};
    CHECK_EQ(tlog_append(other, &part, 1, 0), 0);
    outlet_news(o, true);
    append(&g, 20);
    weft_loop_step(g.loop, 0);
    CHECK_EQ(g.fan.stats.sends, 1); /* both in one vectored send */
    settle(&g);
    CHECK_EQ(r->messages, 1);
    CHECK_EQ(r->lines, 1);
    outlet_remove(&sub);
    outlet_unref(o);
    outlet_unref(o);
    tlog_unref(other);
    rig_end(&g);
}

/* ---- news to a loop of another thread ---- */

struct stop {
    weft_loop_timer timer;
    struct rig *rig;
    long want;
};

static void poll_readers(weft_loop *loop, weft_loop_timer *timer)
{
    struct stop *s = WEFT_LOOP_OWNER(timer, struct stop, timer);
    bool all = true;
    for (int i = 0; i < s->rig->count; i++) {
        while (reader_read(&s->rig->readers[i], 1 << 16) > 0)
            ;
        all = all && s->rig->readers[i].messages == s->want;
    }
    if (all)
        weft_loop_stop(loop);
    else
        weft_loop_timer_start(loop, timer, WEFT_MS, 0);
}

TEST(news_reach_a_loop_on_another_thread)
{
    enum { MESSAGES = 20000 };
    struct rig g;
    rig_start(&g, 5, 0, UINT32_MAX, 0);
    struct stop stop = {.timer = {.fn = poll_readers}, .rig = &g, .want = MESSAGES};
    weft_loop_timer_start(g.loop, &stop.timer, 0, 0);
    CHECK_EQ(weft_loop_start(g.loop), 0);
    /* This thread is the home now: it appends, and tells the other. */
    for (int i = 0; i < MESSAGES; i++) {
        char text[32], head[WEFT_WS_HEAD_MAX];
        size_t n = (size_t)sprintf(text, "m%d ", i);
        struct iovec parts[2] = {
            {head, weft_ws_frame_head(head, WEFT_WS_OP_TEXT, true, n, NULL)}, {text, n}};
        CHECK_EQ(tlog_append(g.log, parts, 2, i / 100), 0);
        outlet_news(g.outlet, false);
    }
    CHECK_EQ(weft_loop_join(g.loop), 0);
    for (int i = 0; i < g.count; i++)
        CHECK_EQ(g.readers[i].messages, MESSAGES);
    rig_end(&g);
}
