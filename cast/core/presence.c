// SPDX-License-Identifier: Apache-2.0
/* presence.c - see presence.h. An entry is immutable and counted, as a reply on another shard may
 * still be reading it when its client leaves; counts go down with [mo:present-refs: acq_rel]. */
#include "core/presence.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct present_one {
    struct tkey client; /* the name is cinfo's */
    _Atomic uint32_t refs;
    struct cinfo *cinfo;
    struct weft_span chan_info;
    char bytes[];
};

struct present_user {
    struct tkey user; /* the name is behind it */
    uint32_t count;
    char name[];
};

static void one_unref(struct present_one *e)
{
    /* [mo:present-refs] */
    if (atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    cinfo_unref(e->cinfo);
    free(e);
}

void presence_init(struct presence *p)
{
    table_init(&p->clients);
    table_init(&p->users);
}

void presence_fini(struct presence *p)
{
    struct table_iter it = TABLE_ITER;
    struct present_one *e;
    while ((e = table_next(&p->clients, &it)))
        one_unref(e);
    struct table_iter it2 = TABLE_ITER;
    struct present_user *u;
    while ((u = table_next(&p->users, &it2)))
        free(u);
    table_fini(&p->clients);
    table_fini(&p->users);
}

static int user_add(struct presence *p, struct weft_span user)
{
    struct tkey key = table_key(user.data, user.len);
    struct present_user *u = table_get(&p->users, &key);
    if (!u) {
        u = malloc(sizeof *u + user.len);
        if (!u)
            return -ENOMEM;
        memcpy(u->name, user.data, user.len);
        u->user = (struct tkey){u->name, key.bytes, key.hash};
        u->count = 0;
        if (table_put(&p->users, u) < 0) {
            free(u);
            return -ENOMEM;
        }
    }
    u->count++;
    return 0;
}

static void user_remove(struct presence *p, struct weft_span user)
{
    struct tkey key = table_key(user.data, user.len);
    struct present_user *u = table_get(&p->users, &key);
    assert(u && u->count > 0);
    if (--u->count == 0) {
        table_remove(&p->users, &key);
        free(u);
    }
}

int presence_add(struct presence *p, struct cinfo *who, struct weft_span chan_info)
{
    struct present_one *e = malloc(sizeof *e + chan_info.len);
    if (!e)
        return -ENOMEM;
    e->client = table_key(who->client.data, who->client.len);
    atomic_init(&e->refs, 1);
    e->cinfo = cinfo_ref(who);
    e->chan_info = (struct weft_span){NULL, 0};
    if (chan_info.data) {
        memcpy(e->bytes, chan_info.data, chan_info.len);
        e->chan_info = (struct weft_span){e->bytes, chan_info.len};
    }
    presence_remove(p, who->client);
    if (user_add(p, who->user) < 0)
        goto no_memory;
    if (table_put(&p->clients, e) < 0) {
        user_remove(p, who->user);
        goto no_memory;
    }
    return 0;
no_memory:
    one_unref(e);
    return -ENOMEM;
}

bool presence_remove(struct presence *p, struct weft_span client)
{
    struct tkey key = table_key(client.data, client.len);
    struct present_one *e = table_remove(&p->clients, &key);
    if (!e)
        return false;
    user_remove(p, e->cinfo->user);
    one_unref(e);
    return true;
}

int presence_list(const struct presence *p, struct present *ret)
{
    *ret = (struct present){NULL, NULL, 0};
    size_t n = p->clients.count;
    if (n == 0)
        return 0;
    struct cast_client_info *infos = malloc(n * sizeof *infos);
    struct present_one **holds = malloc(n * sizeof(struct present_one *));
    if (!infos || !holds) {
        free(infos);
        free(holds);
        return -ENOMEM;
    }
    struct table_iter it = TABLE_ITER;
    struct present_one *e;
    size_t i = 0;
    while ((e = table_next(&p->clients, &it))) {
        atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed); /* [mo:present-refs] */
        infos[i] = cinfo_view(e->cinfo, e->chan_info);
        holds[i++] = e;
    }
    assert(i == n);
    *ret = (struct present){infos, holds, n};
    return 0;
}

void present_free(struct present *list)
{
    for (size_t i = 0; i < list->count; i++)
        one_unref(list->holds[i]);
    free(list->infos);
    free(list->holds);
    *list = (struct present){NULL, NULL, 0};
}
