// SPDX-License-Identifier: Apache-2.0
/* test_core_tables.c - name tables, presence, and idempotency results. */
#include "core/idem.h"
#include "core/presence.h"
#include "core/table.h"
#include "test.h"

#include <malloc.h>

struct named {
    struct tkey key;
    char name[16];
    bool in;
};

TEST(table_holds_what_was_put_in)
{
    enum { N = 3000, STEPS = 200000 };
    srandom((unsigned)test_seed());
    static struct named all[N];
    struct table t;
    table_init(&t);
    for (int i = 0; i < N; i++) {
        snprintf(all[i].name, sizeof all[i].name, "name-%d", i);
        all[i].key = table_key(all[i].name, strlen(all[i].name));
    }
    size_t in = 0;
    for (int step = 0; step < STEPS; step++) {
        struct named *n = &all[random() % N];
        struct tkey key = table_key(n->name, strlen(n->name));
        CHECK(table_get(&t, &key) == (n->in ? n : NULL));
        if (n->in) {
            CHECK(table_remove(&t, &key) == n);
            CHECK(table_remove(&t, &key) == NULL);
        } else {
            CHECK_EQ(table_put(&t, n), 0);
        }
        n->in = !n->in;
        in = n->in ? in + 1 : in - 1;
        CHECK_EQ(t.count, in);
    }
    size_t seen = 0;
    struct table_iter it = TABLE_ITER;
    struct named *n;
    while ((n = table_next(&t, &it))) {
        CHECK(n->in);
        seen++;
    }
    CHECK_EQ(seen, in);
    table_fini(&t);
}

/* Names that come and go must not make the table grow for ever. */
TEST(table_churn_stays_small)
{
    enum { LIVE = 500, STEPS = 1000000 };
    static struct named ring[LIVE];
    struct table t;
    table_init(&t);
    size_t before = mallinfo2().uordblks;
    for (int step = 0; step < STEPS; step++) {
        struct named *n = &ring[step % LIVE];
        if (n->in)
            CHECK(table_remove(&t, &n->key) == n);
        snprintf(n->name, sizeof n->name, "%d", step);
        n->key = table_key(n->name, strlen(n->name));
        n->in = true;
        CHECK_EQ(table_put(&t, n), 0);
    }
    CHECK_EQ(t.count, LIVE);
    CHECK(mallinfo2().uordblks - before < 64 * LIVE); /* always true under a sanitizer's heap */
    table_fini(&t);
}

TEST(deleting_while_iterating)
{
    struct named a[50];
    struct table t;
    table_init(&t);
    for (int i = 0; i < 50; i++) {
        snprintf(a[i].name, sizeof a[i].name, "%d", i);
        a[i].key = table_key(a[i].name, strlen(a[i].name));
        CHECK_EQ(table_put(&t, &a[i]), 0);
    }
    struct table_iter it = TABLE_ITER;
    struct named *n;
    int seen = 0;
    while ((n = table_next(&t, &it))) {
        CHECK(table_remove(&t, &n->key) == n);
        seen++;
    }
    CHECK_EQ(seen, 50);
    CHECK_EQ(t.count, 0);
    table_fini(&t);
}

static struct cinfo *who(const char *user, const char *client)
{
    return cinfo_new(weft_span_of(user), weft_span_of(client), CAST_SPAN("{\"n\":1}"));
}

TEST(presence_counts_clients_and_users)
{
    struct presence p;
    struct weft_span no_info = {NULL, 0};
    struct cinfo *a = who("u1", "c1"), *b = who("u1", "c2"), *c = who("", "c3");
    presence_init(&p);
    CHECK_EQ(presence_add(&p, a, no_info), 0);
    CHECK_EQ(presence_add(&p, b, CAST_SPAN("7")), 0);
    CHECK_EQ(presence_add(&p, c, no_info), 0);
    CHECK_EQ(presence_add(&p, c, CAST_SPAN("8")), 0); /* replaces */
    CHECK_EQ(p.clients.count, 3);
    CHECK_EQ(p.users.count, 2);
    struct present list;
    CHECK_EQ(presence_list(&p, &list), 0);
    CHECK_EQ(list.count, 3);
    CHECK(presence_remove(&p, CAST_SPAN("c1")));
    CHECK(!presence_remove(&p, CAST_SPAN("c1")));
    CHECK_EQ(p.users.count, 2);
    CHECK(presence_remove(&p, CAST_SPAN("c2")));
    CHECK_EQ(p.users.count, 1);
    cinfo_unref(a), cinfo_unref(b), cinfo_unref(c);
    for (size_t i = 0; i < list.count; i++) { /* the list holds what it shows */
        CHECK(cast_span_eq(list.infos[i].conn_info, CAST_SPAN("{\"n\":1}")));
        if (cast_span_eq(list.infos[i].client, CAST_SPAN("c3")))
            CHECK(cast_span_eq(list.infos[i].chan_info, CAST_SPAN("8")));
    }
    present_free(&list);
    presence_fini(&p);
}

TEST(idempotency_results_live_five_minutes)
{
    struct idem m;
    idem_init(&m);
    struct weft_span ch = CAST_SPAN("ch"), k = CAST_SPAN("k");
    CHECK(idem_find(&m, ch, k, 0) == NULL);
    struct idem_result r = {.offset = 7, .epoch = "abcdefgh"};
    idem_keep(&m, ch, k, &r, 1000);
    const struct idem_result *got = idem_find(&m, ch, k, 2000);
    CHECK(got && got->offset == 7);
    CHECK_STR(got->epoch, "abcdefgh");
    CHECK(idem_find(&m, CAST_SPAN("c"), CAST_SPAN("hk"), 2000) == NULL);
    CHECK(idem_find(&m, ch, k, 1000 + IDEM_KEEP_MS) == NULL);
    CHECK_EQ(m.table.count, 0);
    idem_keep(&m, ch, k, &r, 1000 + IDEM_KEEP_MS);
    idem_fini(&m);
}
