// SPDX-License-Identifier: Apache-2.0
/*
 * idem.h - the results of publishes that carried an idempotency key, kept for five minutes.
 *
 * A second publish with the key of a first, in the same channel, is answered with the first one's
 * result and published to nobody. All entries live equally long, so the oldest is at the front of a
 * list, and whoever comes by throws out what has run out. Lives in the channel's home shard.
 */
#ifndef CAST_IDEM_H
#define CAST_IDEM_H
#include "core/stream.h"
#include "core/table.h"

#define IDEM_KEEP_MS (5 * 60 * 1000)

struct idem_entry;
struct idem {
    struct table table;
    struct idem_entry *oldest, **newest_tail;
};
struct idem_result {
    uint64_t offset;
    char epoch[STREAM_EPOCH_BYTES + 1];
};

void idem_init(struct idem *m);
void idem_fini(struct idem *m);
/** The kept result, or NULL. Good until the next call. */
const struct idem_result *idem_find(
    struct idem *m, struct weft_span channel, struct weft_span key, int64_t now_ms);
/** Keeps a result; without memory it is simply not kept. The key must not be there. */
void idem_keep(struct idem *m, struct weft_span channel, struct weft_span key,
    const struct idem_result *result, int64_t now_ms);
/** Throws out what has run out. */
void idem_sweep(struct idem *m, int64_t now_ms);
#endif
