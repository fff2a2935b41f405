// SPDX-License-Identifier: Apache-2.0
/*
 * fault_cast_session.c - a client's whole life when the n-th allocation fails, for each n until all
 * succeed: it is answered, answered with an error, or closed; nothing crashes, and nothing leaks.
 *
 * Two clients on one shard, over socket pairs and without HTTP before them: connect with a
 * server-side subscription asked for, subscribe with history, presence and joins, publish, recover,
 * ask, unsubscribe, leave. The allocator of the whole program is replaced
 * (failing_malloc.h), and its blocks are counted.
 */
#include "failing_malloc.h"
#include "session/client.h"
#include "session/subs.h"
#include "test.h"

#include <sys/socket.h>
#include <unistd.h>

static const char text[] =
    "{\"client\":{\"allow_anonymous_connect_without_token\":true},\"channel\":{"
    "\"without_namespace\":{\"allow_subscribe_for_client\":true,"
    "\"allow_subscribe_for_anonymous\":true,\"allow_publish_for_client\":true,"
    "\"allow_publish_for_anonymous\":true,\"allow_history_for_client\":true,"
    "\"allow_history_for_anonymous\":true,\"allow_presence_for_client\":true,"
    "\"allow_presence_for_anonymous\":true,\"presence\":true,\"join_leave\":true,"
    "\"force_push_join_leave\":true,\"history_size\":10,\"history_ttl\":\"300s\","
    "\"force_recovery\":true}}}";

struct end {
    struct sink sink; /* first */
    struct client *client;
    int fd;
};

struct rig {
    weft_loop *loop;
    struct shard shard, *all[1];
    struct fan *fans[1];
    struct end ends[2];
    bool closed;
};
static struct rig rig;

static void close_transport(struct client *c, const struct cast_disconnect *d)
{
    struct end *e = (struct end *)c->sink;
    CHECK(d->code >= 3000);
    e->client = NULL;
    rig.closed = true;
    sink_end(&e->sink, "bye", 3, true);
}

static void resume_transport(struct client *c) {}

static void sink_failed(struct sink *s, enum sink_failure why)
{
    struct end *e = (struct end *)s;
    struct client *c = e->client;
    rig.closed = true;
    e->client = NULL;
    if (c)
        client_gone(c);
}

static void on_io(weft_loop *loop, weft_loop_io *io, unsigned events) {}

static bool end_start(struct end *e)
{
    int pair[2];
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    sink_init(&e->sink, &rig.shard.fan);
    e->sink.framed = true;
    e->fd = pair[1];
    if (weft_loop_io_add(rig.loop, &e->sink.io, pair[0], WEFT_LOOP_READ, on_io) < 0) {
        close(pair[0]);
        return false;
    }
    struct client_origin origin = {0};
    e->client = client_new(&rig.shard, &e->sink, &origin);
    return e->client != NULL;
}

static void say(struct end *e, const char *line)
{
    if (e->client)
        client_message(e->client, weft_span_of(line));
    weft_loop_step(rig.loop, 0);
}

static void talk(struct end *a, struct end *b)
{
    say(a, "{\"id\":1,\"connect\":{\"subs\":{\"srv\":{},\"two\":{\"recover\":true}}}}");
    say(b, "{\"id\":1,\"connect\":{}}\n{\"id\":2,\"subscribe\":{\"channel\":\"ch\"}}");
    say(a, "{\"id\":2,\"subscribe\":{\"channel\":\"ch\"}}");
    say(a, "{\"id\":3,\"publish\":{\"channel\":\"ch\",\"data\":{\"x\":\"\\u00e9\"}}}");
    say(b, "{\"id\":3,\"publish\":{\"channel\":\"ch\",\"data\":[1,\n2]}}");
    say(b, "{\"id\":4,\"history\":{\"channel\":\"ch\",\"limit\":10}}");
    say(b, "{\"id\":5,\"presence\":{\"channel\":\"ch\"}}");
    say(b, "{\"id\":6,\"unsubscribe\":{\"channel\":\"ch\"}}");
    say(b, "{\"id\":7,\"subscribe\":{\"channel\":\"ch\",\"recover\":true,\"offset\":1}}");
    say(b, "{\"id\":8,\"presence_stats\":{\"channel\":\"ch\"}}");
}

/* One life of a shard. Returns whether nothing had to be refused. */
static bool live_once(const struct cast_config *cfg)
{
    memset(&rig, 0, sizeof rig);
    weft_loop_opts opts = {.size = sizeof opts, .kind = WEFT_LOOP_EPOLL, .data = &rig.shard};
    if (weft_loop_new(&opts, &rig.loop) < 0)
        return false;
    rig.all[0] = &rig.shard;
    rig.fans[0] = &rig.shard.fan;
    struct shard_init with = {.loop = rig.loop,
        .all = rig.all,
        .fans = rig.fans,
        .count = 1,
        .cfg = cfg,
        .close_transport = close_transport,
        .resume_transport = resume_transport,
        .sink_failed = sink_failed};
    shard_init(&rig.shard, &with);
    int started = 0;
    while (started < 2 && end_start(&rig.ends[started]))
        started++;
    if (started == 2)
        talk(&rig.ends[0], &rig.ends[1]);
    for (int i = 0; i < 2; i++) {
        struct end *e = &rig.ends[i];
        if (!e->fd)
            continue;
        if (e->client)
            client_gone(e->client);
        sink_fini(&e->sink);
        weft_loop_io_close(rig.loop, &e->sink.io);
        close(e->fd);
    }
    for (int i = 0; i < 3; i++)
        weft_loop_step(rig.loop, 0);
    bool whole = started == 2 && !rig.closed && rig.shard.n.reply_errors == 0;
    shard_fini(&rig.shard);
    weft_loop_free(rig.loop);
    return whole;
}

TEST(a_life_with_the_nth_allocation_failing)
{
    struct cast_config *cfg;
    struct cast_config_error err;
    struct cast_config_source src = {0};
    int rc = cast_config_load_text(text, sizeof text - 1, "json", &src, &cfg, &err);
    CHECK_MSG(rc == 0, "%s", err.text);
    CHECK(live_once(cfg)); /* fills what libraries keep for ever */
    long before = malloc_live(), n = 0;
    bool passed = false;
    while (!passed) {
        CHECK(n < 5000);
        malloc_fail_at(n++);
        live_once(cfg);
        passed = !malloc_fail_end(); /* fewer allocations than that */
        long left = malloc_live() - before;
        CHECK_MSG(left == 0, "allocation %ld: %ld blocks left behind", n, left);
    }
    printf("# %ld allocations\n", n);
    CHECK(n > 50);
    cast_config_unref(cfg);
}
