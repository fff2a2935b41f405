// SPDX-License-Identifier: Apache-2.0
/*
 * test_core_stream.c - history: offsets, epochs, both clocks, reads from a position, recovery.
 *
 * The expectations are those recorded from a live Centrifugo: history_size 5, nine publications.
 */
#include "core/stream.h"
#include "test.h"

#include <errno.h>

static const struct stream_rules rules = {.size = 5, .ttl_ms = 1000, .meta_ttl_ms = 10000};

static void add(struct stream *s, const struct stream_rules *r, int64_t now_ms)
{
    struct pub *p = pub_new(CAST_SPAN("{}"), NULL, (struct weft_span){NULL, 0}, NULL, 0);
    CHECK_EQ(stream_add(s, r, p, now_ms), 0);
    CHECK_EQ(p->offset, s->top);
    pub_unref(p);
}

/* "5 6 7" for the offsets picked; ends them. */
static const char *offsets(struct picked *got)
{
    static char text[256];
    text[0] = '\0';
    for (size_t i = 0; i < got->count; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%llu", i ? " " : "",
            (unsigned long long)got->pubs[i]->offset);
    picked_free(got);
    return text;
}

static const char *read_from(struct stream *s, struct stream_filter f)
{
    struct picked got;
    int rc = stream_read(s, &rules, &f, 0, &got);
    if (rc == -ESTALE)
        return "stale";
    CHECK_EQ(rc, 0);
    return offsets(&got);
}

static void nine(struct stream *s)
{
    stream_init(s);
    for (int i = 0; i < 9; i++)
        add(s, &rules, 0);
    CHECK_EQ(s->top, 9);
    CHECK_EQ(s->count, 5);
}

TEST(epochs_are_eight_letters)
{
    struct stream s;
    stream_init(&s);
    stream_touch(&s, &rules, 0);
    CHECK_EQ(strlen(s.epoch), 8);
    for (int i = 0; i < 8; i++)
        CHECK((s.epoch[i] | 32) >= 'a' && (s.epoch[i] | 32) <= 'z');
    CHECK_EQ(s.top, 0);
    CHECK_EQ(s.generation, 1);
    stream_fini(&s);
}

TEST(history_read)
{
    struct stream s;
    nine(&s);
    struct weft_span none = {NULL, 0}, right = weft_span_of(s.epoch);
    CHECK_STR(read_from(&s, (struct stream_filter){.limit = 0}), "");
    CHECK_STR(read_from(&s, (struct stream_filter){.limit = -1}), "5 6 7 8 9");
    CHECK_STR(read_from(&s, (struct stream_filter){.limit = 2}), "5 6");
    CHECK_STR(read_from(&s, (struct stream_filter){.limit = 2, .reverse = true}), "9 8");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 6, right, 2, false}), "7 8");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 6, none, 9, false}), "7 8 9");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 1, right, 2, false}), "5 6");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 7, right, 2, true}), "6 5");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 0, right, 2, true}), "");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 9, right, -1, false}), "");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 99, right, -1, false}), "");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 99, right, 2, true}), "9 8");
    CHECK_STR(read_from(&s, (struct stream_filter){true, 3, CAST_SPAN("zzzz"), 2, false}), "stale");
    stream_fini(&s);
}

/* What recovery from (offset, epoch) gives: "lost", or the offsets. */
static const char *recover(struct stream *s, uint64_t offset, const char *epoch, int64_t limit)
{
    struct picked got;
    enum recovery how;
    CHECK_EQ(
        stream_recover(s, &rules, offset, weft_span_of(epoch), limit, false, 0, &how, &got), 0);
    if (how == NOT_RECOVERED) {
        CHECK_EQ(got.count, 0);
        return "lost";
    }
    return offsets(&got);
}

TEST(recovery_from_a_position)
{
    struct stream s;
    nine(&s);
    CHECK_STR(recover(&s, 4, s.epoch, 300), "5 6 7 8 9");
    CHECK_STR(recover(&s, 7, s.epoch, 300), "8 9");
    CHECK_STR(recover(&s, 7, "", 300), "8 9");
    CHECK_STR(recover(&s, 9, s.epoch, 300), "");
    CHECK_STR(recover(&s, 3, s.epoch, 300), "lost");
    CHECK_STR(recover(&s, 0, s.epoch, 300), "lost");
    CHECK_STR(recover(&s, 99, s.epoch, 300), "lost");
    CHECK_STR(recover(&s, 9, "zzzz", 300), "lost");
    CHECK_STR(recover(&s, 5, s.epoch, 3), "lost");
    CHECK_STR(recover(&s, 6, s.epoch, 3), "7 8 9");
    stream_clear(&s);
    CHECK_STR(recover(&s, 9, s.epoch, 300), "");
    CHECK_STR(recover(&s, 8, s.epoch, 300), "lost");
    add(&s, &rules, 0);
    CHECK_EQ(s.top, 10);
    CHECK_STR(recover(&s, 9, s.epoch, 300), "10");
    stream_fini(&s);
}

TEST(recovery_on_a_fresh_stream)
{
    struct stream s;
    stream_init(&s);
    CHECK_STR(recover(&s, 0, "", 300), "");
    CHECK_STR(recover(&s, 3, "abcd", 300), "lost");
    stream_fini(&s);
}

TEST(recovery_in_cache_mode)
{
    struct stream s;
    struct picked got;
    enum recovery how;
    stream_init(&s);
    CHECK_EQ(stream_recover(&s, &rules, 0, CAST_SPAN(""), 0, true, 0, &how, &got), 0);
    CHECK_EQ(how, NOT_RECOVERED);
    add(&s, &rules, 0);
    add(&s, &rules, 0);
    CHECK_EQ(stream_recover(&s, &rules, 1, CAST_SPAN("other"), 0, true, 0, &how, &got), 0);
    CHECK_EQ(how, RECOVERED);
    CHECK_STR(offsets(&got), "2");
    CHECK_EQ(stream_recover(&s, &rules, 2, weft_span_of(s.epoch), 0, true, 0, &how, &got), 0);
    CHECK_EQ(how, RECOVERED);
    CHECK_STR(offsets(&got), "");
    stream_fini(&s);
}

TEST(publications_expire_but_the_numbering_stays)
{
    struct stream s;
    stream_init(&s);
    add(&s, &rules, 0);
    char epoch[9];
    strcpy(epoch, s.epoch);
    add(&s, &rules, 900);
    CHECK_EQ(stream_due(&s), 1900);
    CHECK(!stream_expire(&s, 1899));
    CHECK_EQ(s.count, 2);
    CHECK(!stream_expire(&s, 1900));
    CHECK_EQ(s.count, 0);
    CHECK_EQ(s.top, 2);
    add(&s, &rules, 2000);
    CHECK_EQ(s.top, 3);
    CHECK_STR(s.epoch, epoch);
    stream_fini(&s);
}

TEST(the_numbering_expires_after_the_last_use)
{
    struct stream s;
    stream_init(&s);
    add(&s, &rules, 0);
    stream_touch(&s, &rules, 9000);
    CHECK_EQ(stream_due(&s), 19000);
    stream_touch(&s, &rules, 18999);
    CHECK_EQ(s.generation, 1);
    CHECK(stream_expire(&s, 28999));
    CHECK_EQ(stream_due(&s), 0);
    stream_touch(&s, &rules, 30000);
    CHECK_EQ(s.generation, 2);
    CHECK_EQ(s.top, 0);
    stream_fini(&s);
}

TEST(versions_suppress_older_publications)
{
    struct stream s;
    stream_init(&s);
    stream_touch(&s, &rules, 0);
    CHECK(!stream_version_stale(&s, 5, CAST_SPAN("e")));
    CHECK(stream_version_stale(&s, 4, CAST_SPAN("e")));
    CHECK(stream_version_stale(&s, 5, CAST_SPAN("e")));
    CHECK(!stream_version_stale(&s, 6, CAST_SPAN("e")));
    CHECK(!stream_version_stale(&s, 1, CAST_SPAN("f")));
    CHECK(!stream_version_stale(&s, 0, CAST_SPAN("f")));
    CHECK(stream_version_stale(&s, 1, CAST_SPAN("f")));
    stream_fini(&s);
}

TEST(size_may_change_with_the_configuration)
{
    struct stream s;
    nine(&s);
    struct stream_rules tight = rules, wide = rules;
    tight.size = 2;
    wide.size = 20;
    add(&s, &tight, 0);
    CHECK_STR(read_from(&s, (struct stream_filter){.limit = -1}), "9 10");
    for (int i = 0; i < 30; i++)
        add(&s, &wide, 0);
    CHECK_EQ(s.count, 20);
    CHECK_EQ(s.top, 40);
    CHECK_STR(recover(&s, 38, s.epoch, 300), "39 40");
    CHECK_STR(recover(&s, 19, s.epoch, 300), "lost");
    stream_fini(&s);
}
