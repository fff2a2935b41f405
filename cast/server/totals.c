// SPDX-License-Identifier: Apache-2.0
/* totals.c - see totals.h. Each shard copies its own numbers; nobody reads another's. */
#include "server/totals.h"
#include "session/client.h"

#include <stdlib.h>
#include <string.h>

struct totals *totals_make(struct shard *s)
{
    struct totals *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    weft_loop_stats loop;
    weft_loop_stats_get(s->loop, &loop);
    struct user *nobody = user_find(s, CAST_SPAN(""));
    t->clients = s->clients;
    t->anonymous = nobody != NULL;
    t->users = s->users.count - (nobody ? 1 : 0);
    t->subs = s->home.subs;
    t->channels = s->home.topics_with_subs;
    t->topics = s->home.topics.count;
    t->n = s->n;
    t->home = s->home.stats;
    t->fan = s->fan.stats;
    t->bytes_sent = loop.bytes_sent;
    t->sends = loop.sends;
    t->sends_blocked = loop.sends_blocked;
    t->accepted_sockets = loop.accepted;
    t->loop_turns = loop.turns;
    memcpy(t->closes, s->closes, sizeof t->closes);
    return t;
}

/* Structs that are nothing but uint64_t members are added member by member. */
static void add(void *to, const void *from, size_t bytes)
{
    uint64_t *a = to;
    const uint64_t *b = from;
    for (size_t i = 0; i < bytes / sizeof *a; i++)
        a[i] += b[i];
}

static void add_closes(struct totals *to, const struct totals *from)
{
    for (int i = 0; i < SHARD_CODES && from->closes[i].count; i++)
        for (int k = 0; k < SHARD_CODES; k++)
            if (to->closes[k].code == from->closes[i].code || to->closes[k].count == 0) {
                to->closes[k].code = from->closes[i].code;
                to->closes[k].count += from->closes[i].count;
                break;
            }
}

void totals_sum(const struct sweep *s, struct totals *ret)
{
    memset(ret, 0, sizeof *ret);
    for (uint32_t i = 0; i < s->count; i++) {
        const struct totals *t = s->parts[i].data;
        if (!t)
            continue;
        ret->clients += t->clients;
        ret->users += t->users;
        ret->subs += t->subs;
        ret->channels += t->channels;
        ret->topics += t->topics;
        ret->bytes_sent += t->bytes_sent;
        ret->sends += t->sends;
        ret->sends_blocked += t->sends_blocked;
        ret->accepted_sockets += t->accepted_sockets;
        ret->loop_turns += t->loop_turns;
        ret->anonymous |= t->anonymous;
        add(&ret->n, &t->n, sizeof t->n);
        add(&ret->home, &t->home, sizeof t->home);
        add(&ret->fan, &t->fan, sizeof t->fan);
        add_closes(ret, t);
    }
    ret->users += ret->anonymous;
}

static void subtract(void *from, const void *what, size_t bytes)
{
    uint64_t *a = from;
    const uint64_t *b = what;
    for (size_t i = 0; i < bytes / sizeof *a; i++)
        a[i] -= b[i];
}

void totals_since(const struct totals *now, const struct totals *before, struct totals *ret)
{
    *ret = *now;
    subtract(&ret->n, &before->n, sizeof ret->n);
    subtract(&ret->home, &before->home, sizeof ret->home);
    subtract(&ret->fan, &before->fan, sizeof ret->fan);
    ret->bytes_sent -= before->bytes_sent;
    ret->sends -= before->sends;
    ret->sends_blocked -= before->sends_blocked;
    ret->accepted_sockets -= before->accepted_sockets;
    ret->loop_turns -= before->loop_turns;
    for (int i = 0; i < SHARD_CODES; i++)
        for (int k = 0; k < SHARD_CODES && before->closes[k].code; k++)
            if (before->closes[k].code == ret->closes[i].code)
                ret->closes[i].count -= before->closes[k].count;
}

/* ---- channels ---- */

struct channel_list {
    size_t used, room;
    char bytes[];
};

struct collecting {
    struct channel_list *list;
    char *pattern; /* NUL-terminated, or NULL for all */
};

static size_t entry_bytes(size_t name_bytes)
{
    return (sizeof(struct channel_count) + name_bytes + 7) & ~(size_t)7;
}

static void collect(void *arg, struct weft_span channel, uint32_t clients)
{
    struct collecting *c = arg;
    size_t bytes = entry_bytes(channel.len);
    if (!c->list || (c->pattern && !cast_glob_match(c->pattern, channel.data, channel.len)))
        return;
    if (c->list->used + bytes > c->list->room) {
        size_t room = c->list->room * 2 + bytes;
        struct channel_list *grown = realloc(c->list, sizeof *grown + room);
        if (!grown) {
            free(c->list);
            c->list = NULL;
            return;
        }
        grown->room = room;
        c->list = grown;
    }
    struct channel_count *e = (struct channel_count *)(void *)(c->list->bytes + c->list->used);
    e->clients = clients;
    e->name_bytes = (uint32_t)channel.len;
    memcpy(e->name, channel.data, channel.len);
    c->list->used += bytes;
}

struct channel_list *channel_list_make(struct shard *s, struct weft_span pattern)
{
    struct collecting c = {calloc(1, sizeof(struct channel_list)), NULL};
    if (c.list && pattern.len) {
        c.pattern = strndup(pattern.data, pattern.len);
        if (!c.pattern) {
            free(c.list);
            return NULL;
        }
    }
    home_channels(&s->home, collect, &c);
    free(c.pattern);
    return c.list;
}

static const struct channel_count *entry_at(const struct channel_list *l, size_t at)
{
    return l && at < l->used ? (const struct channel_count *)(const void *)(l->bytes + at) : NULL;
}

const struct channel_count *channel_list_first(const struct channel_list *l)
{
    return entry_at(l, 0);
}

const struct channel_count *channel_list_next(
    const struct channel_list *l, const struct channel_count *c)
{
    return entry_at(l, (size_t)((const char *)c - l->bytes) + entry_bytes(c->name_bytes));
}
