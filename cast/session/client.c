// SPDX-License-Identifier: Apache-2.0
/* client.c - a client's life and its timers; client.h has the picture.
 *
 * One timer a client, set to the earliest of its times. Pings begin after a random part of the
 * first interval (half to whole), so that clients that came in one storm do not answer in one. */
#include "session/client.h"
#include "session/subs.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* How much later than needed a timer may fire, so that timers share ticks. */
#define TIMER_SLACK_NS (64 * WEFT_MS)

static void client_timer(weft_loop *loop, weft_loop_timer *timer);

struct client *client_new(struct shard *s, struct sink *sink, const struct client_origin *origin)
{
    struct client *c = calloc(1, sizeof *c);
    if (!c)
        return NULL;
    if (origin->header_user.len) {
        c->header_user = strndup(origin->header_user.data, origin->header_user.len);
        if (!c->header_user) {
            free(c);
            return NULL;
        }
    }
    c->shard = s;
    c->sink = sink;
    sink->owner = c;
    c->refs = 1;
    c->frame_pings = origin->frame_pings;
    c->timer.fn = client_timer;
    c->stale_ms = shard_now_ms(s) + s->cfg->client.stale_close_delay_ns / WEFT_MS;
    weft_loop_timer_start_at(s->loop, &c->timer, c->stale_ms * WEFT_MS, TIMER_SLACK_NS);
    return c;
}

void client_unref(struct client *c)
{
    assert(c->refs > 0);
    if (--c->refs > 0)
        return;
    assert(c->state == CLIENT_CLOSED && !c->sink && !c->user);
    cinfo_unref(c->cinfo);
    free(c->rest);
    free(c->header_user);
    free(c);
}

/* ---- times ---- */

static int64_t earliest(const struct client *c)
{
    const int64_t times[] = {c->stale_ms, c->ping_ms, c->pong_ms, c->expire_ms, c->tick_ms};
    int64_t min = 0;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (times[i] && (!min || times[i] < min))
            min = times[i];
    return min;
}

static void set_timer(struct client *c)
{
    int64_t at_ms = earliest(c);
    if (at_ms)
        weft_loop_timer_start_at(c->shard->loop, &c->timer, at_ms * WEFT_MS, TIMER_SLACK_NS);
    else
        weft_loop_timer_stop(c->shard->loop, &c->timer);
}

static void ping(struct client *c, int64_t now_ms)
{
    const struct cast_client_options *o = &c->shard->cfg->client;
    static const unsigned char ping_frame[2] = {0x89, 0};
    if (c->frame_pings) {
        sink_bytes(c->sink, ping_frame, sizeof ping_frame);
    } else {
        cast_out_clear(&c->shard->out);
        cast_reply_ping(&c->shard->out);
        client_line(c);
    }
    c->ping_ms = now_ms + o->ping_interval_ns / WEFT_MS;
    if (o->pong_timeout_ns > 0)
        c->pong_ms = now_ms + o->pong_timeout_ns / WEFT_MS;
}

static bool passed(int64_t at_ms, int64_t now_ms)
{
    return at_ms && at_ms <= now_ms;
}

/* What is due; false when the client was closed over it. */
static bool run_times(struct client *c, int64_t now_ms)
{
    if (passed(c->stale_ms, now_ms)) {
        client_disconnect_code(c, CAST_DIS_STALE);
        return false;
    }
    if (passed(c->pong_ms, now_ms)) {
        client_disconnect_code(c, CAST_DIS_NO_PONG);
        return false;
    }
    if (passed(c->expire_ms, now_ms)) {
        client_disconnect_code(c, CAST_DIS_EXPIRED);
        return false;
    }
    if (passed(c->tick_ms, now_ms)) {
        c->tick_ms = 0;
        csub_tick(c, now_ms);
        if (c->state == CLIENT_CLOSED)
            return false;
        if (csub_any_needs_tick(c))
            client_schedule_tick(c);
    }
    if (passed(c->ping_ms, now_ms))
        ping(c, now_ms);
    return c->state != CLIENT_CLOSED;
}

static void client_timer(weft_loop *loop, weft_loop_timer *timer)
{
    struct client *c = WEFT_LOOP_OWNER(timer, struct client, timer);
    client_ref(c);
    if (run_times(c, shard_now_ms(c->shard)))
        set_timer(c);
    client_unref(c);
}

void client_schedule_tick(struct client *c)
{
    if (c->tick_ms || c->state != CLIENT_CONNECTED)
        return;
    c->tick_ms =
        shard_now_ms(c->shard) + c->shard->cfg->client.presence_update_interval_ns / WEFT_MS;
    set_timer(c);
}

void client_set_expiry(struct client *c, int64_t expire_at_s)
{
    const struct cast_client_options *o = &c->shard->cfg->client;
    c->expire_at_s = o->insecure ? 0 : expire_at_s;
    c->expire_ms = 0;
    if (c->expire_at_s)
        c->expire_ms = shard_now_ms(c->shard) + (c->expire_at_s - shard_wall_s()) * 1000 +
                       o->expired_close_delay_ns / WEFT_MS;
    set_timer(c);
}

int client_connected(struct client *c)
{
    const struct cast_client_options *o = &c->shard->cfg->client;
    assert(c->state == CLIENT_CONNECTING);
    int rc = user_add_client(c);
    if (rc < 0)
        return rc;
    c->state = CLIENT_CONNECTED;
    c->shard->clients++;
    c->stale_ms = 0;
    c->checked_ms = shard_now_ms(c->shard);
    int64_t interval_ms = o->ping_interval_ns / WEFT_MS;
    if (interval_ms > 0)
        c->ping_ms = c->checked_ms + interval_ms / 2 +
                     shard_random(c->shard) % (uint32_t)(interval_ms / 2 + 1);
    set_timer(c);
    return 0;
}

/* ---- messages ---- */

void client_line(struct client *c)
{
    struct cast_out *o = &c->shard->out;
    if (o->err)
        client_disconnect_code(c, CAST_DIS_INTERNAL);
    else if (c->sink)
        sink_line(c->sink, cast_out_span(o));
}

void client_error(struct client *c, uint32_t id, uint32_t code)
{
    c->shard->n.reply_errors++;
    cast_out_clear(&c->shard->out);
    cast_reply_error(&c->shard->out, id, cast_error_find(code));
    client_line(c);
}

void client_message(struct client *c, struct weft_span text)
{
    assert(!client_busy(c));
    if (c->state == CLIENT_CLOSED)
        return;
    c->shard->n.messages_in++;
    c->shard->n.bytes_in += text.len;
    client_run(c, text);
}

void client_pong_frame(struct client *c)
{
    if (c->frame_pings)
        c->pong_ms = 0;
}

void client_op_ended(struct client *c)
{
    c->inflight--;
    if (c->inflight == 0 && c->rest && !c->running && c->state != CLIENT_CLOSED) {
        char *rest = c->rest;
        uint32_t bytes = c->rest_bytes;
        c->rest = NULL;
        client_run(c, (struct weft_span){rest, bytes});
        free(rest);
        if (c->state != CLIENT_CLOSED && !c->rest)
            c->shard->resume_transport(c);
    }
    client_unref(c);
}

/* ---- the end ---- */

static void end(struct client *c)
{
    struct shard *s = c->shard;
    client_ref(c);
    csub_end_all(c);
    if (c->index)
        table_fini(c->index);
    free(c->index);
    c->index = NULL;
    weft_loop_timer_stop(s->loop, &c->timer);
    if (c->state == CLIENT_CONNECTED) {
        user_remove_client(c);
        s->clients--;
    }
    if (c->counted)
        user_uncount(s, c->cinfo->user);
    c->counted = false;
    c->state = CLIENT_CLOSED;
    c->sink->owner = NULL;
    c->sink = NULL;
    free(c->rest);
    c->rest = NULL;
    client_unref(c); /* ours */
    client_unref(c); /* the transport's */
}

void client_disconnect(struct client *c, const struct cast_disconnect *d)
{
    if (c->state == CLIENT_CLOSED)
        return;
    shard_count_close(c->shard, d->code);
    c->shard->close_transport(c, d);
    end(c);
}

void client_disconnect_code(struct client *c, uint32_t code)
{
    client_disconnect(c, cast_disconnect_find(code));
}

void client_gone(struct client *c)
{
    if (c->state != CLIENT_CLOSED)
        end(c);
}

struct csub *client_sub(const struct client *c, struct weft_span channel)
{
    if (!c->sink || !c->sink->subs)
        return NULL;
    struct tkey key = table_key(channel.data, channel.len);
    if (c->index)
        return table_get(c->index, &key);
    for (struct sub *sub = c->sink->subs; sub; sub = sub->next) {
        const struct tkey *k = &sub->channel;
        if (k->hash == key.hash && k->bytes == key.bytes &&
            memcmp(k->name, key.name, key.bytes) == 0)
            return (struct csub *)sub;
    }
    return NULL;
}

/* Most clients have few subscriptions, and looking through them costs less than a table would. */
#define INDEX_FROM 32

int client_index_add(struct client *c, struct csub *cs)
{
    if (c->index)
        return table_put(c->index, cs);
    if (c->sink->sub_count < INDEX_FROM)
        return 0;
    struct table *t = malloc(sizeof *t);
    if (!t)
        return -ENOMEM;
    table_init(t);
    for (struct sub *sub = c->sink->subs; sub; sub = sub->next)
        if (table_put(t, sub) < 0) {
            table_fini(t);
            free(t);
            return -ENOMEM;
        }
    c->index = t;
    return 0;
}

void client_index_remove(struct client *c, struct csub *cs)
{
    if (c->index)
        table_remove(c->index, &cs->sub.channel);
}
