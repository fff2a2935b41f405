// SPDX-License-Identifier: Apache-2.0
/* subs.c - see subs.h. */
#include "session/subs.h"
#include "session/reply_views.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- wants ---- */

void want_init(struct sub_want *w, struct weft_span channel, const struct cast_channel_options *o,
    const struct cast_subscribe *req, struct sub_sees sees)
{
    *w = (struct sub_want){.channel = channel, .options = o};
    w->presence = o->presence;
    w->join_leave = o->join_leave;
    w->join_push = o->force_push_join_leave;
    w->recoverable = o->force_recovery;
    w->positioned = o->force_positioning;
    if (req) {
        w->join_push |= req->join_leave && sees.presence;
        w->recoverable |= req->recoverable && (o->allow_recovery || sees.history);
        w->positioned |= req->positioned && (o->allow_positioning || sees.history);
        w->recover = req->recover;
        w->offset = req->offset;
        w->epoch = req->epoch;
    }
    if (o->recovery_mode_cache && o->auto_cache_recover)
        w->recover = true;
}

static void force(bool *what, enum cast_token_override how)
{
    if (how != CAST_OVERRIDE_NONE)
        *what = how == CAST_OVERRIDE_ON;
}

void want_token(struct sub_want *w, const struct cast_token_sub *t)
{
    w->chan_info = (struct weft_span){t->info.at, t->info.bytes};
    w->data = (struct weft_span){t->data.at, t->data.bytes};
    force(&w->presence, t->presence);
    force(&w->join_leave, t->join_leave);
    force(&w->join_push, t->force_push_join_leave);
    force(&w->recoverable, t->force_recovery);
    force(&w->positioned, t->force_positioning);
}

static void force_api(bool *what, struct cast_api_override o)
{
    if (o.given)
        *what = o.value;
}

void want_override(struct sub_want *w, const struct cast_api_subscribe *r)
{
    force_api(&w->presence, r->presence);
    force_api(&w->join_leave, r->join_leave);
    force_api(&w->join_push, r->force_push_join_leave);
    force_api(&w->recoverable, r->force_recovery);
    force_api(&w->positioned, r->force_positioning);
}

/* ---- beginning ---- */

static bool needs_tick(const struct csub *cs)
{
    return cs->expire_at_s || cs->positioned;
}

static struct csub *csub_new(const struct sub_want *w)
{
    struct csub *cs = calloc(1, sizeof *cs + w->chan_info.len);
    if (!cs)
        return NULL;
    cs->expire_at_s = w->expire_at_s;
    cs->server_side = w->server_side;
    cs->from_token = w->from_token;
    cs->presence = w->presence;
    cs->join_leave = w->join_leave;
    cs->recoverable = w->recoverable && w->options->has_history;
    cs->positioned = (w->recoverable || w->positioned) && w->options->has_history;
    cs->flavour = w->join_push && w->join_leave ? FLAVOUR_JOINS : FLAVOUR_PLAIN;
    if (w->chan_info.data) {
        memcpy(cs + 1, w->chan_info.data, w->chan_info.len);
        cs->chan_info = (struct weft_span){(const char *)(cs + 1), w->chan_info.len};
    }
    return cs;
}

/* At the home, last station: the subscription is counted out and its memory given back. */
static void csub_arrived(weft_loop *loop, weft_loop_msg *msg)
{
    struct csub *cs = WEFT_LOOP_OWNER(msg, struct csub, msg);
    struct shard *home = weft_loop_data(loop);
    struct unsubscribe u = {cs->sub.outlet, cs->cinfo, cs->chan_info, cs->presence, cs->join_leave};
    home_unsubscribe(&home->home, &u);
    outlet_unref(cs->sub.outlet);
    cinfo_unref(cs->cinfo);
    free(cs);
}

/* Sends a subscription, which is in no list any more, home. */
static void csub_leave(struct shard *s, struct csub *cs, struct cinfo *cinfo)
{
    cs->cinfo = cinfo_ref(cinfo);
    struct shard *home = s->all[home_of(csub_channel(cs), s->count)];
    cs->msg.fn = csub_arrived;
    if (home == s)
        csub_arrived(s->loop, &cs->msg);
    else
        weft_loop_post(home->loop, &cs->msg);
}

static void subscribe_work(struct hop *h)
{
    struct sub_op *op = WEFT_LOOP_OWNER(h, struct sub_op, op.hop);
    op->op.rc = home_subscribe(&h->to->home, &op->ask, &op->got);
}

static void sub_op_undo(struct sub_op *op)
{
    struct csub *cs = op->csub;
    op->csub = NULL;
    if (op->op.rc < 0 || !op->got.outlet) {
        free(cs);
        return;
    }
    tcursor_drop(&op->got.cur);
    cs->sub.outlet = op->got.outlet;
    op->got.outlet = NULL;
    csub_leave(op->op.hop.from, cs, op->ask.cinfo);
}

struct sub_op *sub_op_keep(struct sub_op *op)
{
    op->kept = true;
    return op;
}

static void subscribe_done(struct hop *h)
{
    struct sub_op *op = WEFT_LOOP_OWNER(h, struct sub_op, op.hop);
    op->then_running = true;
    op->op.then(&op->op);
    op->then_running = false;
    if (!op->kept || op->freed)
        sub_op_free(op);
}

void sub_op_free(struct sub_op *op)
{
    if (op->then_running) { /* by whoever keeps it, inside `then`: right after it */
        op->freed = true;
        return;
    }
    if (op->csub)
        sub_op_undo(op);
    picked_free(&op->got.missed);
    cinfo_unref(op->ask.cinfo);
    client_unref(op->client);
    free(op);
}

int op_subscribe(const struct asker *by, struct client *c, const struct sub_want *w)
{
    struct shard *s = by->shard;
    struct sub_op *op = calloc(1, sizeof *op + w->channel.len + w->epoch.len + w->data.len);
    struct csub *cs = op ? csub_new(w) : NULL;
    if (!cs) {
        free(op);
        return -ENOMEM;
    }
    char *at = op->bytes;
    op->op = (struct op){.hop = {.from = s,
                             .to = s->all[home_of(w->channel, s->count)],
                             .work = subscribe_work,
                             .done = subscribe_done},
        .owner = by->owner,
        .tag = by->tag,
        .then = by->then};
    op->client = client_ref(c);
    op->csub = cs;
    op->was_recovering = w->recover;
    op->ask = (struct subscribe){.channel = copy_span(&at, w->channel),
        .cinfo = cinfo_ref(c->cinfo),
        .chan_info = cs->chan_info,
        .shard = s->index,
        .flavour = (enum flavour)cs->flavour,
        .presence = cs->presence,
        .join_leave = cs->join_leave,
        .stream = cs->positioned,
        .recover = w->recover,
        .recover_stream = cs->recoverable,
        .cache_mode = w->options->recovery_mode_cache,
        .offset = w->offset,
        .epoch = copy_span(&at, w->epoch),
        .limit = s->cfg->client.recovery_max_publication_limit,
        .rules = rules_of(w->options)};
    op->data = copy_span(&at, w->data);
    hop_go(&op->op.hop);
    return 0;
}

int sub_op_attach(struct sub_op *op)
{
    struct client *c = op->client;
    struct csub *cs = op->csub;
    if (op->op.rc < 0) {
        sub_op_undo(op);
        return op->op.rc;
    }
    if (c->state == CLIENT_CLOSED || client_sub(c, op->ask.channel)) {
        /* The one that stays keeps presence and its join: this one goes without a word. */
        bool closed = c->state == CLIENT_CLOSED;
        if (!closed)
            cs->presence = cs->join_leave = false;
        sub_op_undo(op);
        return closed ? -ECONNRESET : -EEXIST;
    }
    int rc = outlet_add(op->got.outlet, &cs->sub, c->sink, &op->got.cur);
    if (rc < 0) {
        sub_op_undo(op);
        return rc;
    }
    op->got.outlet = NULL;
    op->csub = NULL;
    if (client_index_add(c, cs) < 0) {
        csub_end(c, cs, false);
        return -ENOMEM;
    }
    cs->generation = op->got.generation;
    if (op->ask.recover && cs->recoverable) {
        struct shard_counters *n = &c->shard->n;
        op->got.recovery == RECOVERED ? n->recovered++ : n->not_recovered++;
    }
    if (needs_tick(cs))
        client_schedule_tick(c);
    return 0;
}

int sub_op_result(const struct sub_op *op, struct cast_subscribe_result *ret)
{
    const struct csub *cs = op->csub ? op->csub : client_sub(op->client, op->ask.channel);
    *ret = (struct cast_subscribe_result){.was_recovering = op->was_recovering, .data = op->data};
    int64_t left_s = cs->expire_at_s ? cs->expire_at_s - shard_wall_s() : 0;
    if (cs->expire_at_s) {
        ret->expires = true;
        ret->ttl_s = left_s > 0 ? (uint32_t)left_s : 0;
    }
    if (!cs->positioned)
        return 0;
    ret->positioned = true;
    ret->recoverable = cs->recoverable;
    ret->epoch = weft_span_of(op->got.epoch);
    ret->recovered = op->ask.recover && op->got.recovery == RECOVERED;
    ret->offset = ret->recovered ? op->ask.offset : op->got.top;
    ret->publication_count = op->got.missed.count;
    ret->publications = views_of(&op->op.hop.from->scratch, &op->got.missed, ret->epoch);
    return ret->publication_count && !ret->publications ? -ENOMEM : 0;
}

/* ---- ending ---- */

void csub_end(struct client *c, struct csub *cs, bool barrier)
{
    if (barrier && c->sink)
        sink_barrier(c->sink, &cs->sub);
    client_index_remove(c, cs);
    outlet_remove(&cs->sub);
    csub_leave(c->shard, cs, c->cinfo);
}

void csub_end_told(struct client *c, struct csub *cs, uint32_t code)
{
    struct cast_out *o = &c->shard->out;
    sink_barrier(c->sink, &cs->sub);
    cast_out_clear(o);
    cast_push_unsubscribe(o, csub_channel(cs), code, cast_unsubscribe_reason(code));
    c->shard->n.server_unsubscribes++;
    csub_end(c, cs, false);
    client_line(c);
}

void csub_end_all(struct client *c)
{
    while (c->sink && c->sink->subs)
        csub_end(c, (struct csub *)c->sink->subs, false);
}

void csub_insufficient(struct client *c, struct csub *cs)
{
    if (cs->server_side)
        client_disconnect_code(c, CAST_DIS_INSUFFICIENT_STATE);
    else
        csub_end_told(c, cs, CAST_UNSUB_INSUFFICIENT_STATE);
}

void client_generation(struct outlet *o, uint32_t generation)
{
    /* Backwards: what outlet_remove moves into the hole has been looked at already. */
    for (uint32_t i = o->count; i-- > 0;) {
        struct csub *cs = (struct csub *)o->subs[i];
        if (cs->positioned && cs->generation != generation)
            csub_insufficient(client_of_sink(cs->sub.sink), cs);
    }
}

/* ---- ticks ---- */

static void checked(struct op *op)
{
    struct client *c = op->owner;
    struct ask_op *a = (struct ask_op *)op;
    struct csub *cs = c->state == CLIENT_CONNECTED ? client_sub(c, a->channel) : NULL;
    if (cs && op->rc == 0 && cs->positioned && cs->generation != a->generation)
        csub_insufficient(c, cs);
    client_unref(c);
}

static void check_position(struct client *c, struct csub *cs)
{
    struct cast_channel_name name;
    struct weft_span channel = csub_channel(cs);
    if (cast_config_channel(c->shard->cfg, channel.data, channel.len, &name) < 0)
        return; /* its namespace went with a reload: nothing to hold it against */
    struct stream_rules rules = rules_of(name.options);
    struct asker by = {c->shard, client_ref(c), 0, checked};
    if (op_ask(&by, ASK_CHECK, channel, &rules, NULL) < 0)
        client_unref(c);
}

static bool sub_expired(const struct client *c, const struct csub *cs, int64_t wall_s)
{
    int64_t delay_s = c->shard->cfg->client.expired_sub_close_delay_ns / WEFT_SEC;
    return cs->expire_at_s && wall_s >= cs->expire_at_s + delay_s;
}

bool csub_any_needs_tick(const struct client *c)
{
    for (const struct sub *sub = c->sink ? c->sink->subs : NULL; sub; sub = sub->next)
        if (needs_tick((const struct csub *)sub))
            return true;
    return false;
}

void csub_tick(struct client *c, int64_t now_ms)
{
    int64_t wall_s = shard_wall_s();
    bool check =
        now_ms - c->checked_ms >= c->shard->cfg->client.channel_position_check_delay_ns / WEFT_MS;
    if (check)
        c->checked_ms = now_ms;
    client_ref(c);
    struct sub *next;
    for (struct sub *sub = c->sink->subs; sub && c->state == CLIENT_CONNECTED; sub = next) {
        struct csub *cs = (struct csub *)sub;
        next = sub->next;
        if (sub_expired(c, cs, wall_s)) {
            if (cs->server_side)
                client_disconnect_code(c, CAST_DIS_SUB_EXPIRED);
            else
                csub_end_told(c, cs, CAST_UNSUB_EXPIRED);
        } else if (check && cs->positioned) {
            check_position(c, cs);
        }
    }
    client_unref(c);
}
