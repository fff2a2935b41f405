// SPDX-License-Identifier: Apache-2.0
/* stream.c - see stream.h. Offsets are consecutive in the ring, so a position is found by
 * subtraction and never searched for. */
#include "core/stream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void stream_init(struct stream *s)
{
    memset(s, 0, sizeof *s);
}

static struct pub *kept(const struct stream *s, uint32_t index)
{
    assert(index < s->count);
    uint32_t at = s->first + index;
    return s->ring[at < s->cap ? at : at - s->cap];
}

void stream_clear(struct stream *s)
{
    for (uint32_t i = 0; i < s->count; i++)
        pub_unref(kept(s, i));
    free(s->ring);
    s->ring = NULL;
    s->cap = s->first = s->count = 0;
    s->expire_ms = 0;
}

void stream_fini(struct stream *s)
{
    stream_clear(s);
    free(s->version_epoch);
    s->version_epoch = NULL;
}

bool stream_expire(struct stream *s, int64_t now_ms)
{
    if (s->expire_ms && now_ms >= s->expire_ms)
        stream_clear(s);
    if (s->meta_ms && now_ms >= s->meta_ms) {
        stream_fini(s);
        s->made = false;
        s->top = s->version = 0;
        s->meta_ms = 0;
    }
    return !s->made;
}

int64_t stream_due(const struct stream *s)
{
    if (s->expire_ms && (!s->meta_ms || s->expire_ms < s->meta_ms))
        return s->expire_ms;
    return s->meta_ms;
}

static void draw_epoch(struct stream *s)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    unsigned char raw[STREAM_EPOCH_BYTES];
    if (getrandom(raw, sizeof raw, 0) != (ssize_t)sizeof raw)
        abort(); /* since Linux 3.17 this cannot fail for 8 bytes */
    for (int i = 0; i < STREAM_EPOCH_BYTES; i++)
        s->epoch[i] = letters[raw[i] % (sizeof letters - 1)];
    s->epoch[STREAM_EPOCH_BYTES] = '\0';
}

void stream_touch(struct stream *s, const struct stream_rules *r, int64_t now_ms)
{
    if (stream_expire(s, now_ms)) {
        assert(s->top == 0 && s->count == 0); /* S2 */
        draw_epoch(s);
        s->made = true;
        s->generation++;
    }
    s->meta_ms = r->meta_ttl_ms > 0 ? now_ms + r->meta_ttl_ms : 0;
}

bool stream_version_stale(struct stream *s, uint64_t version, struct weft_span version_epoch)
{
    if (version == 0)
        return false;
    const char *had = s->version_epoch ? s->version_epoch : "";
    bool same = cast_span_eq(weft_span_of(had), version_epoch);
    if (same && version <= s->version)
        return true;
    if (!same) {
        char *copy = strndup(version_epoch.len ? version_epoch.data : "", version_epoch.len);
        if (!copy)
            return false; /* without memory the older epoch stays: the next one is let through too
                           */
        free(s->version_epoch);
        s->version_epoch = copy;
    }
    s->version = version;
    return false;
}

/* Brings the ring to `cap` slots, dropping the oldest where they no longer fit. */
static int resize(struct stream *s, uint32_t cap)
{
    struct pub **ring = malloc(cap * sizeof *ring);
    if (!ring)
        return -ENOMEM;
    uint32_t drop = s->count > cap ? s->count - cap : 0;
    for (uint32_t i = 0; i < drop; i++)
        pub_unref(kept(s, i));
    for (uint32_t i = drop; i < s->count; i++)
        ring[i - drop] = kept(s, i);
    free(s->ring);
    s->ring = ring;
    s->cap = cap;
    s->first = 0;
    s->count -= drop;
    return 0;
}

/* Room for one more within r->size, growing by doubling so that a quiet channel stays small. */
static int ring_room(struct stream *s, const struct stream_rules *r)
{
    if (s->cap > r->size) { /* the rules became tighter with a new configuration */
        int rc = resize(s, r->size);
        if (rc < 0)
            return rc;
    }
    if (s->count < s->cap)
        return 0;
    if (s->cap < r->size) {
        uint32_t cap = s->cap ? s->cap * 2 : 4;
        return resize(s, cap < r->size ? cap : r->size);
    }
    pub_unref(kept(s, 0));
    s->first = s->first + 1 < s->cap ? s->first + 1 : 0;
    s->count--;
    return 0;
}

int stream_add(struct stream *s, const struct stream_rules *r, struct pub *p, int64_t now_ms)
{
    assert(r->size > 0);
    stream_touch(s, r, now_ms);
    int rc = ring_room(s, r);
    if (rc < 0)
        return rc;
    p->offset = ++s->top;
    uint32_t at = s->first + s->count;
    s->ring[at < s->cap ? at : at - s->cap] = pub_ref(p);
    s->count++;
    s->expire_ms = now_ms + r->ttl_ms;
    assert(kept(s, s->count - 1)->offset == s->top); /* S1 */
    return 0;
}

void picked_free(struct picked *p)
{
    for (size_t i = 0; i < p->count; i++)
        pub_unref(p->pubs[i]);
    free(p->pubs);
    *p = (struct picked){NULL, 0};
}

/* Takes `count` publications from index `from` on, in either direction. */
static int pick(
    const struct stream *s, uint32_t from, uint64_t count, bool reverse, struct picked *ret)
{
    *ret = (struct picked){NULL, 0};
    if (count == 0)
        return 0;
    struct pub **pubs = malloc((size_t)count * sizeof *pubs);
    if (!pubs)
        return -ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        pubs[i] = pub_ref(kept(s, reverse ? from - i : from + i));
    *ret = (struct picked){pubs, (size_t)count};
    return 0;
}

static bool epoch_fits(const struct stream *s, struct weft_span epoch)
{
    return epoch.len == 0 ||
           (epoch.len == STREAM_EPOCH_BYTES && memcmp(epoch.data, s->epoch, epoch.len) == 0);
}

/* How many kept publications have an offset <= this one. */
static uint32_t kept_up_to(const struct stream *s, uint64_t offset)
{
    if (s->count == 0)
        return 0;
    uint64_t oldest = kept(s, 0)->offset;
    if (offset < oldest)
        return 0;
    return offset - oldest >= s->count ? s->count : (uint32_t)(offset - oldest + 1);
}

int stream_read(struct stream *s, const struct stream_rules *r, const struct stream_filter *f,
    int64_t now_ms, struct picked *ret)
{
    *ret = (struct picked){NULL, 0};
    stream_touch(s, r, now_ms);
    if (f->has_since && !epoch_fits(s, f->since_epoch))
        return -ESTALE;
    uint32_t lo = 0, hi = s->count; /* the candidates are [lo, hi) */
    if (f->has_since && !f->reverse)
        lo = kept_up_to(s, f->since_offset);
    if (f->has_since && f->reverse)
        hi = f->since_offset ? kept_up_to(s, f->since_offset - 1) : 0;
    uint64_t count = hi - lo;
    if (f->limit >= 0 && (uint64_t)f->limit < count)
        count = (uint64_t)f->limit;
    return pick(s, f->reverse ? hi - 1 : lo, count, f->reverse, ret);
}

int stream_recover(struct stream *s, const struct stream_rules *r, uint64_t offset,
    struct weft_span epoch, int64_t limit, bool cache_mode, int64_t now_ms, enum recovery *ret_how,
    struct picked *ret)
{
    *ret = (struct picked){NULL, 0};
    *ret_how = NOT_RECOVERED;
    stream_touch(s, r, now_ms);
    bool fits = epoch_fits(s, epoch);
    if (cache_mode) {
        if (s->count == 0)
            return 0;
        *ret_how = RECOVERED;
        bool at_top = fits && offset == s->top;
        return at_top ? 0 : pick(s, s->count - 1, 1, false, ret);
    }
    if (!fits || offset > s->top)
        return 0;
    uint64_t missed = s->top - offset;
    if (limit > 0 && missed > (uint64_t)limit)
        return 0;
    /* All that was missed must still be there: they are the last `missed` of the ring. */
    if (missed > s->count || (missed > 0 && kept(s, s->count - 1)->offset != s->top))
        return 0;
    *ret_how = RECOVERED;
    return pick(s, (uint32_t)(s->count - missed), missed, false, ret);
}
