// SPDX-License-Identifier: Apache-2.0
/*
 * presence.h - who is in a channel: client ids with their information, and how many users.
 *
 * One set of clients, and one of users with a count each, so that both numbers are there without a
 * walk. Entries come and go with subscriptions of this process; nothing has to expire. Lives in the
 * channel's home shard; one thread.
 *
 * Memory: an empty presence holds nothing; a client costs 64 bytes, its channel information and its
 * share of two tables; its connection information is shared (pub.h).
 */
#ifndef CAST_PRESENCE_H
#define CAST_PRESENCE_H
#include "core/pub.h"
#include "core/table.h"

struct presence {
    struct table clients, users;
};

void presence_init(struct presence *p);
void presence_fini(struct presence *p);
/** Adds a client, or replaces what was known of it. Returns 0 or -ENOMEM. */
int presence_add(struct presence *p, struct cinfo *who, struct weft_span chan_info);
/** Takes a client out; false if it was not there. */
bool presence_remove(struct presence *p, struct weft_span client);

/** Everybody, each with a reference; infos and holds are `count` long. */
struct present {
    struct cast_client_info *infos;
    struct present_one **holds;
    size_t count;
};
/** Returns 0 or -ENOMEM. The list may be read, and freed, on any shard. */
int presence_list(const struct presence *p, struct present *ret);
void present_free(struct present *list);
#endif
