// SPDX-License-Identifier: Apache-2.0
/*
 * stream.h - a channel's history: offsets, epoch, the last publications, and recovery from them.
 *
 * What: publications of a channel with history are numbered 1, 2, 3 …; the last history_size are
 * kept for history_ttl after the latest one; the numbering (offset and epoch) is kept for
 * history_meta_ttl after the last use. A client that lost its connection says where it stood, and
 * gets what it missed, or learns that it cannot.
 *
 *     top = 9                 ┌── kept ──┐
 *     1 2 3 4 (trimmed)       5 6 7 8 9           epoch "KvwpazcF" names this numbering
 *
 * Two clocks run: `expire` drops the publications (history_ttl; every publish starts it anew),
 * `meta` drops offset and epoch (history_meta_ttl; every publish and read starts it anew). Nothing
 * happens by itself: each call begins by applying what has run out, and stream_due says when a
 * sweep would find something to free.
 *
 * Invariants
 *   S1  Kept publications have consecutive offsets but for versioned or trimmed gaps at the front;
 *       the newest kept one, if any, has offset <= top.
 *   S2  epoch is 8 letters once made, and a new epoch starts at top 0 with nothing kept.
 *   S3  generation counts the epochs of this stream object; subscribers compare it.
 *
 * Time is given by the caller, in milliseconds of one monotonic clock. One thread at a time.
 */
#ifndef CAST_STREAM_H
#define CAST_STREAM_H
#include "core/pub.h"

#include <stdbool.h>

#define STREAM_EPOCH_BYTES 8

struct stream {
    char epoch[STREAM_EPOCH_BYTES + 1];
    bool made; /* has an epoch */
    uint32_t generation;
    uint64_t top;
    struct pub **ring; /* cap slots, oldest at first */
    uint32_t cap, first, count;
    int64_t expire_ms, meta_ms; /* when they run out; 0: not running */
    uint64_t version;
    char *version_epoch; /* NULL is "" */
};

/** The namespace's settings that a stream needs. */
struct stream_rules {
    uint32_t size;
    int64_t ttl_ms, meta_ttl_ms;
};

void stream_init(struct stream *s);
void stream_fini(struct stream *s);
/** Applies what has run out, makes an epoch if there is none, and starts the meta clock anew. */
void stream_touch(struct stream *s, const struct stream_rules *r, int64_t now_ms);
/** Drops what has run out; true when nothing at all is left (no epoch). */
bool stream_expire(struct stream *s, int64_t now_ms);
/** The next moment at which stream_expire would find something; 0: never. */
int64_t stream_due(const struct stream *s);

/** Whether a publication of this version is older than what the stream has seen (then it must be
 * suppressed); else remembers it. version 0 is none. Call after stream_touch. */
bool stream_version_stale(struct stream *s, uint64_t version, struct weft_span version_epoch);
/** Numbers p and keeps it (a reference is taken). Touches. Returns 0 or -ENOMEM. */
int stream_add(struct stream *s, const struct stream_rules *r, struct pub *p, int64_t now_ms);
/** Forgets the publications, not the numbering. */
void stream_clear(struct stream *s);

/** Publications picked out of a stream; each holds a reference. */
struct picked {
    struct pub **pubs;
    size_t count;
};
void picked_free(struct picked *p);

/** Where to read from. limit: -1 all, 0 none. */
struct stream_filter {
    bool has_since;
    uint64_t since_offset;
    struct weft_span since_epoch; /* empty matches every epoch */
    int64_t limit;
    bool reverse;
};

/**
 * stream_read - the publications after (reverse: before) a position, oldest (newest) first.
 * Touches. Returns 0, -ESTALE when the epoch is another (unrecoverable position), or -ENOMEM.
 */
int stream_read(struct stream *s, const struct stream_rules *r, const struct stream_filter *f,
    int64_t now_ms, struct picked *ret);

enum recovery {
    RECOVERED,     /* ret holds all that was missed (maybe nothing) */
    NOT_RECOVERED, /* another epoch, trimmed, ahead, or too many */
};
/** What a client that stood at (offset, epoch) missed; at most `limit` publications. Touches. In
 * cache mode the newest publication alone makes up for everything. Returns 0 or -ENOMEM. */
int stream_recover(struct stream *s, const struct stream_rules *r, uint64_t offset,
    struct weft_span epoch, int64_t limit, bool cache_mode, int64_t now_ms, enum recovery *ret_how,
    struct picked *ret);
#endif
