// SPDX-License-Identifier: Apache-2.0
/*
 * users.c - a shard's clients by user, and the count of a user's connections over all shards.
 *
 * The first is for the server API, which names users, and for the number of users. The second is
 * kept only where client.user_connection_limit is set: a user's home (by hash, as a channel's)
 * counts, so two connections that come at once on two shards cannot both be the last allowed one.
 */
#include "session/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct user *user_find(const struct shard *s, struct weft_span name)
{
    struct tkey key = table_key(name.len ? name.data : "", name.len);
    return table_get(&s->users, &key);
}

static struct user *user_make(struct shard *s, struct weft_span name)
{
    struct user *u = user_find(s, name);
    if (u)
        return u;
    u = calloc(1, sizeof *u + name.len);
    if (!u)
        return NULL;
    if (name.len)
        memcpy(u->name, name.data, name.len);
    u->key = table_key(u->name, name.len);
    if (table_put(&s->users, u) < 0) {
        free(u);
        return NULL;
    }
    return u;
}

int user_add_client(struct client *c)
{
    struct user *u = user_make(c->shard, c->cinfo->user);
    if (!u)
        return -ENOMEM;
    c->user = u;
    c->user_next = u->clients;
    c->user_at = &u->clients;
    if (u->clients)
        u->clients->user_at = &c->user_next;
    u->clients = c;
    u->count++;
    return 0;
}

void user_remove_client(struct client *c)
{
    struct user *u = c->user;
    *c->user_at = c->user_next;
    if (c->user_next)
        c->user_next->user_at = c->user_at;
    c->user = NULL;
    if (--u->count == 0) {
        table_remove(&c->shard->users, &u->key);
        free(u);
    }
}

/* ---- counts over all shards ---- */

struct user_count {
    struct tkey key;
    int64_t count;
    char name[];
};

struct count_op {
    struct op op;
    int64_t limit; /* < 0: take one back */
    struct tkey key;
    char name[];
};

void user_counts_fini(struct shard *s)
{
    struct table_iter it = TABLE_ITER;
    struct user_count *u;
    while ((u = table_next(&s->user_counts, &it)))
        free(u);
    table_fini(&s->user_counts);
}

static int count_up(struct shard *s, const struct tkey *key, int64_t limit)
{
    struct user_count *u = table_get(&s->user_counts, key);
    if (!u) {
        u = calloc(1, sizeof *u + key->bytes);
        if (!u)
            return -ENOMEM;
        memcpy(u->name, key->name, key->bytes);
        u->key = (struct tkey){u->name, key->bytes, key->hash};
        if (table_put(&s->user_counts, u) < 0) {
            free(u);
            return -ENOMEM;
        }
    }
    if (u->count >= limit)
        return -EUSERS;
    u->count++;
    return 0;
}

static void count_down(struct shard *s, const struct tkey *key)
{
    struct user_count *u = table_get(&s->user_counts, key);
    assert(u && u->count > 0);
    if (--u->count == 0) {
        table_remove(&s->user_counts, key);
        free(u);
    }
}

static void count_work(struct hop *h)
{
    struct count_op *c = WEFT_LOOP_OWNER(h, struct count_op, op.hop);
    if (c->limit >= 0) {
        c->op.rc = count_up(h->to, &c->key, c->limit);
        return;
    }
    count_down(h->to, &c->key);
    free(c);
}

static void count_done(struct hop *h)
{
    struct count_op *c = WEFT_LOOP_OWNER(h, struct count_op, op.hop);
    c->op.then(&c->op);
    free(c);
}

static struct count_op *count_op_new(struct shard *s, struct weft_span user, int64_t limit)
{
    struct count_op *c = calloc(1, sizeof *c + user.len);
    if (!c)
        return NULL;
    memcpy(c->name, user.data, user.len);
    c->key = table_key(c->name, user.len);
    c->limit = limit;
    c->op.hop = (struct hop){.from = s,
        .to = s->all[home_of(user, s->count)],
        .work = count_work,
        .done = limit >= 0 ? count_done : NULL};
    return c;
}

int op_user_count(const struct asker *by, struct weft_span user, int64_t limit)
{
    struct count_op *c = count_op_new(by->shard, user, limit);
    if (!c)
        return -ENOMEM;
    c->op.owner = by->owner;
    c->op.tag = by->tag;
    c->op.then = by->then;
    hop_go(&c->op.hop);
    return 0;
}

void user_uncount(struct shard *s, struct weft_span user)
{
    struct count_op *c = count_op_new(s, user, -1);
    if (c) /* without memory the user keeps one connection too few until a restart */
        hop_go(&c->op.hop);
}
