// SPDX-License-Identifier: Apache-2.0
/* shard.c - see shard.h: a shard's parts, hops and sweeps. */
#include "session/client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

uint32_t shard_queue_max(const struct cast_config *cfg)
{
    int64_t bytes = cfg->client.queue_max_size;
    if (bytes <= 0)
        bytes = 1 << 20;
    return bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
}

void shard_init(struct shard *s, const struct shard_init *with)
{
    memset(s, 0, sizeof *s);
    s->loop = with->loop;
    s->all = with->all;
    s->count = with->count;
    s->index = with->index;
    s->cfg = cast_config_ref(with->cfg);
    s->owner = with->owner;
    s->close_transport = with->close_transport;
    s->resume_transport = with->resume_transport;
    table_init(&s->users);
    table_init(&s->user_counts);
    cast_scratch_init(&s->scratch, s->scratch_room, sizeof s->scratch_room);
    cast_out_init(&s->out);
    if (getrandom(&s->random, sizeof s->random, 0) != (ssize_t)sizeof s->random || s->random == 0)
        s->random = 1;
    fan_init(&s->fan, s->loop, shard_queue_max(s->cfg), s->cfg->weftcast.send_window_ns,
        with->sink_failed);
    home_init(&s->home, s->loop, with->fans, s->count, s->index, client_generation);
}

void shard_fini(struct shard *s)
{
    assert(s->users.count == 0);
    home_fini(&s->home);
    fan_fini(&s->fan);
    user_counts_fini(s);
    table_fini(&s->users);
    cast_scratch_fini(&s->scratch);
    cast_out_fini(&s->out);
    cast_config_unref(s->cfg);
}

int64_t shard_now_ms(const struct shard *s)
{
    return weft_loop_now_ns(s->loop) / WEFT_MS;
}

int64_t shard_wall_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return t.tv_sec;
}

uint32_t shard_random(struct shard *s)
{
    uint32_t x = s->random; /* Marsaglia's xorshift */
    x ^= x << 13, x ^= x >> 17, x ^= x << 5;
    return s->random = x;
}

void shard_count_close(struct shard *s, uint32_t code)
{
    for (int i = 0; i < SHARD_CODES; i++)
        if (s->closes[i].code == code || s->closes[i].count == 0) {
            s->closes[i].code = code;
            s->closes[i].count++;
            return;
        }
}

/* ---- hops ---- */

static void hop_back(weft_loop *loop, weft_loop_msg *msg)
{
    struct hop *h = WEFT_LOOP_OWNER(msg, struct hop, msg);
    h->done(h);
}

static void hop_there(weft_loop *loop, weft_loop_msg *msg)
{
    struct hop *h = WEFT_LOOP_OWNER(msg, struct hop, msg);
    if (!h->done) {
        h->work(h);
        return;
    }
    h->work(h);
    h->msg.fn = hop_back;
    weft_loop_post(h->from->loop, &h->msg);
}

void hop_go(struct hop *h)
{
    if (h->from != h->to) {
        h->msg.fn = hop_there;
        weft_loop_post(h->to->loop, &h->msg);
        return;
    }
    void (*done)(struct hop *) = h->done;
    h->work(h);
    if (done)
        done(h);
}

/* ---- sweeps ---- */

static void sweep_end(struct sweep *s)
{
    s->done(s);
    for (uint32_t i = 0; i < s->count; i++)
        free(s->parts[i].data);
    if (s->free_arg)
        s->free_arg(s->arg);
    free(s);
}

static void part_back(weft_loop *loop, weft_loop_msg *msg)
{
    struct sweep *s = WEFT_LOOP_OWNER(msg, struct sweep_part, msg)->sweep;
    if (--s->left == 0)
        sweep_end(s);
}

static void part_there(weft_loop *loop, weft_loop_msg *msg)
{
    struct sweep_part *part = WEFT_LOOP_OWNER(msg, struct sweep_part, msg);
    part->sweep->work(part);
}

void sweep_part_done(struct sweep_part *part)
{
    struct sweep *s = part->sweep;
    if (part->shard == s->from) {
        part_back(s->from->loop, &part->msg);
        return;
    }
    part->msg.fn = part_back;
    weft_loop_post(s->from->loop, &part->msg);
}

int sweep_start(struct shard *from, void (*work)(struct sweep_part *part),
    void (*done)(struct sweep *s), void *arg, void (*free_arg)(void *arg))
{
    uint32_t n = from->count;
    struct sweep *s = calloc(1, sizeof *s + n * sizeof s->parts[0]);
    if (!s) {
        if (free_arg)
            free_arg(arg);
        return -ENOMEM;
    }
    *s = (struct sweep){.from = from,
        .left = n,
        .work = work,
        .done = done,
        .arg = arg,
        .free_arg = free_arg,
        .count = n};
    for (uint32_t i = 0; i < n; i++) {
        s->parts[i].sweep = s;
        s->parts[i].shard = from->all[i];
        s->parts[i].msg.fn = part_there;
    }
    /* Our own part last: it may end the sweep, and the memory. */
    for (uint32_t i = 0; i < n; i++)
        if (from->all[i] != from)
            weft_loop_post(from->all[i]->loop, &s->parts[i].msg);
    part_there(from->loop, &s->parts[from->index].msg);
    return 0;
}
