// SPDX-License-Identifier: Apache-2.0
/*
 * test_core_topic.c - a channel's home: publish, subscribe, positions, joins, generations, and the
 * memory that a quiet channel and an idle client may take.
 */
#include "core/topic_internal.h"
#include "server/peer.h"
#include "test.h"

#include <errno.h>
#include <unistd.h>

static const struct stream_rules with_history = {.size = 3, .ttl_ms = 60000, .meta_ttl_ms = 60000};

struct rig {
    weft_loop *loop;
    struct fan fan, *fans[1];
    struct home home;
};

static uint32_t told_generation;
static int told;

static void on_generation(struct outlet *o, uint32_t generation)
{
    told_generation = generation;
    told++;
}

static void rig_start(struct rig *g)
{
    memset(g, 0, sizeof *g);
    CHECK_EQ(weft_loop_new(NULL, &g->loop), 0);
    fan_init(&g->fan, g->loop, 1 << 20, 0, NULL);
    g->fans[0] = &g->fan;
    home_init(&g->home, g->loop, g->fans, 1, 0, on_generation);
    told = 0;
}

static void rig_end(struct rig *g)
{
    weft_loop_step(g->loop, 0);
    home_fini(&g->home);
    fan_fini(&g->fan);
    weft_loop_free(g->loop);
}

static struct idem_result publish(struct rig *g, const char *channel, const char *data,
    const struct stream_rules *rules, const char *key)
{
    struct idem_result got;
    struct publish p = {.channel = weft_span_of(channel),
        .data = weft_span_of(data),
        .idempotency_key = weft_span_of(key)};
    if (rules)
        p.rules = *rules;
    CHECK_EQ(home_publish(&g->home, &p, &got), 0);
    return got;
}

static struct subscribe wish(const char *channel, struct cinfo *who)
{
    return (struct subscribe){.channel = weft_span_of(channel), .cinfo = who};
}

static void leave(
    struct rig *g, struct subscribed *got, struct cinfo *who, bool presence, bool join)
{
    struct unsubscribe u = {
        .outlet = got->outlet, .cinfo = who, .presence = presence, .join_leave = join};
    tcursor_drop(&got->cur);
    picked_free(&got->missed);
    home_unsubscribe(&g->home, &u);
    outlet_unref(got->outlet);
}

/* What has been appended behind a cursor: the frames' payloads, a line feed behind each. */
static const char *behind(struct subscribed *s)
{
    static char text[4096];
    struct iovec iov[8];
    int n = tcursor_ranges(&s->cur, tlog_head(s->outlet->log), iov, 8);
    text[0] = '\0';
    for (int i = 0; i < n; i++)
        for (size_t at = 0; at < iov[i].iov_len;) {
            struct weft_ws_frame f;
            const char *p = (const char *)iov[i].iov_base + at;
            int head = weft_ws_frame_parse(p, iov[i].iov_len - at, &f);
            CHECK(head > 0);
            snprintf(text + strlen(text), sizeof text - strlen(text), "%.*s\n",
                (int)f.payload_bytes, p + head);
            at += (size_t)head + f.payload_bytes;
        }
    return text;
}

TEST(a_publication_without_hearers_leaves_nothing)
{
    struct rig g;
    rig_start(&g);
    struct idem_result r = publish(&g, "ch", "1", NULL, NULL);
    CHECK_EQ(r.offset, 0);
    CHECK_STR(r.epoch, "");
    CHECK_EQ(g.home.topics.count, 0);
    rig_end(&g);
}

TEST(subscribers_hear_what_comes_after_them)
{
    struct rig g;
    struct subscribed a, b;
    struct cinfo *who = cinfo_new(CAST_SPAN("u"), CAST_SPAN("c"), (struct weft_span){NULL, 0});
    rig_start(&g);
    struct subscribe s = wish("ch", who);
    CHECK_EQ(home_subscribe(&g.home, &s, &a), 0);
    publish(&g, "ch", "1", NULL, NULL);
    CHECK_EQ(home_subscribe(&g.home, &s, &b), 0);
    publish(&g, "ch", "2", NULL, NULL);
    publish(&g, "other", "3", NULL, NULL);
    CHECK_STR(behind(&a), "{\"push\":{\"channel\":\"ch\",\"pub\":{\"data\":1}}}\n"
                          "{\"push\":{\"channel\":\"ch\",\"pub\":{\"data\":2}}}\n");
    CHECK_STR(behind(&b), "{\"push\":{\"channel\":\"ch\",\"pub\":{\"data\":2}}}\n");
    CHECK_EQ(g.home.subs, 2);
    CHECK_EQ(g.home.topics_with_subs, 1);
    CHECK_EQ(g.home.stats.deliveries, 3);
    leave(&g, &a, who, false, false);
    leave(&g, &b, who, false, false);
    CHECK_EQ(g.home.topics.count, 0); /* nothing keeps it */
    cinfo_unref(who);
    rig_end(&g);
}

TEST(history_and_log_meet_without_gap_or_repetition)
{
    struct rig g;
    struct subscribed a;
    rig_start(&g);
    for (int i = 1; i <= 5; i++)
        CHECK_EQ(publish(&g, "ch", "0", &with_history, NULL).offset, i);
    struct idem_result r = publish(&g, "ch", "6", &with_history, NULL);
    struct subscribe s = wish("ch", NULL);
    s.rules = with_history;
    s.stream = s.recover = s.recover_stream = true;
    s.offset = 4;
    s.epoch = weft_span_of(r.epoch);
    CHECK_EQ(home_subscribe(&g.home, &s, &a), 0);
    CHECK_EQ(a.recovery, RECOVERED);
    CHECK_EQ(a.missed.count, 2);
    CHECK_EQ(a.missed.pubs[0]->offset, 5);
    CHECK_EQ(a.missed.pubs[1]->offset, 6);
    CHECK_EQ(a.top, 6);
    CHECK_STR(behind(&a), "");
    publish(&g, "ch", "7", &with_history, NULL);
    CHECK_STR(behind(&a), "{\"push\":{\"channel\":\"ch\",\"pub\":{\"data\":7,\"offset\":7}}}\n");
    leave(&g, &a, NULL, false, false);
    CHECK_EQ(g.home.topics.count, 1); /* the stream keeps it */
    rig_end(&g);
}

TEST(an_idempotency_key_publishes_once)
{
    struct rig g;
    struct subscribed a;
    rig_start(&g);
    struct subscribe s = wish("ch", NULL);
    CHECK_EQ(home_subscribe(&g.home, &s, &a), 0);
    struct idem_result x = publish(&g, "ch", "1", &with_history, "k");
    struct idem_result y = publish(&g, "ch", "2", &with_history, "k");
    CHECK_EQ(x.offset, 1);
    CHECK_EQ(y.offset, 1);
    CHECK_STR(x.epoch, y.epoch);
    CHECK(strstr(behind(&a), "\"data\":2") == NULL);
    CHECK_EQ(publish(&g, "ch", "3", &with_history, "l").offset, 2);
    leave(&g, &a, NULL, false, false);
    rig_end(&g);
}

TEST(joins_are_heard_by_those_who_asked_and_presence_counts)
{
    struct rig g;
    struct subscribed plain, hearing, other;
    struct weft_span none = {NULL, 0};
    struct cinfo *a = cinfo_new(CAST_SPAN("A"), CAST_SPAN("c1"), none);
    struct cinfo *b = cinfo_new(CAST_SPAN("B"), CAST_SPAN("c2"), none);
    rig_start(&g);
    struct subscribe s = wish("ch", a);
    CHECK_EQ(home_subscribe(&g.home, &s, &plain), 0);
    s.flavour = FLAVOUR_JOINS;
    s.presence = s.join_leave = true;
    CHECK_EQ(home_subscribe(&g.home, &s, &hearing), 0);
    s.cinfo = b;
    CHECK_EQ(home_subscribe(&g.home, &s, &other), 0);
    struct cast_presence_stats st;
    home_presence_stats(&g.home, CAST_SPAN("ch"), &st);
    CHECK_EQ(st.num_clients, 2);
    leave(&g, &other, b, true, true);
    home_presence_stats(&g.home, CAST_SPAN("ch"), &st);
    CHECK_EQ(st.num_clients, 1);
    CHECK_STR(behind(&plain), "");
    CHECK_STR(behind(&hearing),
        "{\"push\":{\"channel\":\"ch\",\"join\":{\"info\":{\"user\":\"A\",\"client\":\"c1\"}}}}\n"
        "{\"push\":{\"channel\":\"ch\",\"join\":{\"info\":{\"user\":\"B\",\"client\":\"c2\"}}}}\n"
        "{\"push\":{\"channel\":\"ch\",\"leave\":{\"info\":{\"user\":\"B\",\"client\":\"c2\"}}}}"
        "\n");
    leave(&g, &plain, a, false, false);
    leave(&g, &hearing, a, true, true);
    CHECK_EQ(g.home.topics.count, 0);
    cinfo_unref(a);
    cinfo_unref(b);
    rig_end(&g);
}

TEST(a_stream_that_began_anew_is_told_before_its_first_publication)
{
    struct rig g;
    struct subscribed a;
    struct stream_rules brief = {.size = 3, .ttl_ms = 1, .meta_ttl_ms = 1};
    rig_start(&g);
    struct subscribe s = wish("ch", NULL);
    s.rules = brief;
    s.stream = true;
    CHECK_EQ(home_subscribe(&g.home, &s, &a), 0);
    CHECK_EQ(a.generation, 1);
    usleep(20000); /* the stream's time itself */
    weft_loop_update_now(g.loop);
    CHECK_EQ(publish(&g, "ch", "1", &brief, NULL).offset, 1);
    CHECK_EQ(told, 1);
    CHECK_EQ(told_generation, 2);
    leave(&g, &a, NULL, false, false);
    rig_end(&g);
}

TEST(expired_streams_give_their_memory_back)
{
    struct rig g;
    struct stream_rules brief = {.size = 3, .ttl_ms = 1, .meta_ttl_ms = 5};
    rig_start(&g);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof name, "ch%d", i);
        publish(&g, name, "1", &brief, NULL);
    }
    CHECK_EQ(g.home.topics.count, 100);
    while (g.home.topics.count > 0) /* by timers alone; the case's own timeout bounds it */
        weft_loop_step(g.loop, 50 * WEFT_MS);
    rig_end(&g);
}

TEST(homes_are_spread)
{
    int count[4] = {0};
    for (int i = 0; i < 4000; i++) {
        char name[16];
        snprintf(name, sizeof name, "ch%d", i);
        count[home_of(weft_span_of(name), 4)]++;
    }
    for (int i = 0; i < 4; i++)
        CHECK(count[i] > 800 && count[i] < 1200);
    CHECK_EQ(home_of(CAST_SPAN("x"), 1), 0);
}

/* Budgets of docs: an idle client with a subscription, and a quiet channel, in user space. */
TEST(idle_things_are_small)
{
    size_t client = sizeof(struct peer) + sizeof(struct client) + sizeof(struct cinfo) + 36 +
                    sizeof(struct csub) + sizeof(struct csub *);
    printf("# peer %zu, client %zu, cinfo %zu, csub %zu\n", sizeof(struct peer),
        sizeof(struct client), sizeof(struct cinfo), sizeof(struct csub));
    CHECK(client <= 640);
    size_t channel = sizeof(struct topic) + sizeof(struct feed) + sizeof(struct outlet) + 256;
    printf("# topic %zu, feed %zu, outlet %zu\n", sizeof(struct topic), sizeof(struct feed),
        sizeof(struct outlet));
    CHECK(channel <= 768);
}
