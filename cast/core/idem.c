// SPDX-License-Identifier: Apache-2.0
/* idem.c - see idem.h. The table's name of an entry is the channel's length, channel, key. */
#include "core/idem.h"

#include <stdlib.h>
#include <string.h>

struct idem_entry {
    struct tkey key;
    struct idem_entry *next; /* younger */
    int64_t until_ms;
    struct idem_result result;
    char name[];
};

void idem_init(struct idem *m)
{
    table_init(&m->table);
    m->oldest = NULL;
    m->newest_tail = &m->oldest;
}

void idem_sweep(struct idem *m, int64_t now_ms)
{
    while (m->oldest && m->oldest->until_ms <= now_ms) {
        struct idem_entry *e = m->oldest;
        m->oldest = e->next;
        if (!m->oldest)
            m->newest_tail = &m->oldest;
        table_remove(&m->table, &e->key);
        free(e);
    }
}

void idem_fini(struct idem *m)
{
    idem_sweep(m, INT64_MAX);
}

static struct idem_entry *entry_new(struct weft_span channel, struct weft_span key)
{
    uint32_t prefix = (uint32_t)channel.len;
    size_t bytes = sizeof prefix + channel.len + key.len;
    struct idem_entry *e = malloc(sizeof *e + bytes);
    if (!e)
        return NULL;
    memcpy(e->name, &prefix, sizeof prefix);
    memcpy(e->name + sizeof prefix, channel.data, channel.len);
    memcpy(e->name + sizeof prefix + channel.len, key.data, key.len);
    e->key = table_key(e->name, bytes);
    return e;
}

const struct idem_result *idem_find(
    struct idem *m, struct weft_span channel, struct weft_span key, int64_t now_ms)
{
    idem_sweep(m, now_ms);
    if (m->table.count == 0)
        return NULL;
    struct idem_entry *probe = entry_new(channel, key);
    if (!probe)
        return NULL;
    const struct idem_entry *e = table_get(&m->table, &probe->key);
    free(probe);
    return e ? &e->result : NULL;
}

void idem_keep(struct idem *m, struct weft_span channel, struct weft_span key,
    const struct idem_result *result, int64_t now_ms)
{
    struct idem_entry *e = entry_new(channel, key);
    if (!e)
        return;
    e->result = *result;
    e->until_ms = now_ms + IDEM_KEEP_MS;
    e->next = NULL;
    if (table_put(&m->table, e) < 0) {
        free(e);
        return;
    }
    *m->newest_tail = e;
    m->newest_tail = &e->next;
}
