// SPDX-License-Identifier: Apache-2.0
/*
 * test_core_refs.c - counted objects of the core whose references are given up on two threads at
 * once. It asserts little by itself: under ThreadSanitizer (test_tsan.py) a reference that is given
 * up with too weak an order is a race between the reads of one thread and the other's free().
 */
#include "core/fanout.h"
#include "core/presence.h"
#include "core/pub.h"

#include <pthread.h>

#include "test.h"

enum { ROUNDS = 300 };

/* What each of the two threads does with its reference. */
struct holder {
    void (*use)(void *object);
    void *object;
    pthread_barrier_t *go;
};

static void *hold(void *arg)
{
    struct holder *h = arg;
    pthread_barrier_wait(h->go);
    h->use(h->object);
    return NULL;
}

/* Has both used at once. Between the barrier and the join nothing orders the threads but what use()
 * does. */
static void both(void (*use)(void *object), void *a, void *b)
{
    pthread_barrier_t go;
    pthread_t threads[2];
    CHECK_EQ(pthread_barrier_init(&go, NULL, 2), 0);
    struct holder holders[2] = {{use, a, &go}, {use, b, &go}};
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, hold, &holders[i]), 0);
    for (int i = 0; i < 2; i++)
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&go);
}

static struct cinfo *somebody(void)
{
    struct cinfo *c = cinfo_new(CAST_SPAN("user"), CAST_SPAN("client"), CAST_SPAN("{}"));
    CHECK(c != NULL);
    return c;
}

static void use_pub(void *object)
{
    struct pub *p = object;
    CHECK_EQ(p->data.len, 4);
    CHECK_EQ(memcmp(p->cinfo->user.data, "user", 4), 0);
    pub_unref(p);
}

TEST(publications)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct cinfo *c = somebody();
        struct pub *p = pub_new(CAST_SPAN("data"), c, CAST_SPAN(""), NULL, 0);
        CHECK(p != NULL);
        cinfo_unref(c);
        both(use_pub, p, pub_ref(p));
    }
}

static void use_cinfo(void *object)
{
    struct cinfo *c = object;
    CHECK_EQ(memcmp(c->client.data, "client", 6), 0);
    cinfo_unref(c);
}

TEST(clients)
{
    for (int i = 0; i < ROUNDS; i++) {
        struct cinfo *c = somebody();
        both(use_cinfo, c, cinfo_ref(c));
    }
}

static void use_outlet(void *object)
{
    struct outlet *o = object;
    CHECK_EQ(memcmp(o->channel.name, "news", 4), 0);
    outlet_unref(o);
}

TEST(outlets)
{
    static struct fan fan;
    struct tlog *log = tlog_new(0);
    CHECK(log != NULL);
    for (int i = 0; i < ROUNDS; i++) {
        struct outlet *o = outlet_new(&fan, log, CAST_SPAN("news"));
        CHECK(o != NULL);
        both(use_outlet, o, outlet_ref(o));
    }
    tlog_unref(log);
}

static void use_present(void *object)
{
    struct present *list = object;
    CHECK_EQ(list->count, 1);
    CHECK_EQ(memcmp(list->infos[0].chan_info.data, "{1}", 3), 0);
    present_free(list);
}

TEST(entries_of_presence)
{
    struct presence table;
    struct cinfo *c = somebody();
    presence_init(&table);
    for (int i = 0; i < ROUNDS; i++) {
        struct present a, b;
        CHECK_EQ(presence_add(&table, c, CAST_SPAN("{1}")), 0);
        CHECK_EQ(presence_list(&table, &a), 0);
        CHECK_EQ(presence_list(&table, &b), 0);
        CHECK(presence_remove(&table, CAST_SPAN("client")));
        both(use_present, &a, &b);
    }
    presence_fini(&table);
    cinfo_unref(c);
}
