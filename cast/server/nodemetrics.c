// SPDX-License-Identifier: Apache-2.0
/* nodemetrics.c - see nodemetrics.h. */
#include "server/nodemetrics.h"
#include "server/metricset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NAMESPACE "centrifugo_"

/* ---- snapshots ---- */

/* The list is gone through twice: to count, and to fill in. */
struct filling {
    struct node_snapshot *to; /* NULL: only count */
    size_t count, text_bytes;
    char *text;
};

/* "a_b_c_d" with a label: "a.b.c_d.label.value". Returns its bytes; room 0: only that. */
static size_t flat_name(char *to, size_t room, const struct metric *m)
{
    const char *dot = m->label ? "." : "", *label = m->label ? m->label : "";
    int n =
        snprintf(to, room, "%s%s%s%s%s", m->name, dot, label, dot, m->label ? m->label_value : "");
    char *at = room ? strchr(to, '_') : NULL;
    for (int i = 0; at && i < 2; i++, at = strchr(at, '_'))
        *at = '.';
    return (size_t)n;
}

static void fill(void *arg, const struct metric *m)
{
    struct filling *f = arg;
    if (strncmp(m->name, NAMESPACE, strlen(NAMESPACE)) != 0)
        return;
    size_t bytes = flat_name(NULL, 0, m);
    if (f->to) {
        flat_name(f->text, bytes + 1, m);
        f->to->items[f->count] = (struct cast_api_metric){{f->text, bytes}, (double)m->value};
        f->text += bytes + 1;
    }
    f->count++;
    f->text_bytes += bytes + 1;
}

static struct node_snapshot *snapshot_new(const struct totals *t, int64_t interval_ns)
{
    struct filling f = {.to = NULL};
    metrics_each(t, fill, &f);
    size_t items_bytes = f.count * sizeof(struct cast_api_metric);
    struct node_snapshot *s = malloc(sizeof *s + items_bytes + f.text_bytes);
    if (!s)
        return NULL;
    atomic_init(&s->refs, 1);
    s->interval_s = (double)interval_ns / WEFT_SEC;
    s->count = f.count;
    f = (struct filling){.to = s, .text = (char *)s->items + items_bytes};
    metrics_each(t, fill, &f);
    return s;
}

void node_snapshot_unref(struct node_snapshot *s)
{
    if (s && atomic_fetch_sub(&s->refs, 1) == 1)
        free(s);
}

/* ---- the last one ---- */

struct node_snapshot *node_metrics_last(struct node_metrics *m)
{
    pthread_mutex_lock(&m->lock);
    struct node_snapshot *s = m->last;
    if (s)
        atomic_fetch_add(&s->refs, 1);
    pthread_mutex_unlock(&m->lock);
    return s;
}

/* Without memory the one before stays. */
static void put_last(struct node_metrics *m, struct node_snapshot *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&m->lock);
    struct node_snapshot *old = m->last;
    m->last = s;
    pthread_mutex_unlock(&m->lock);
    node_snapshot_unref(old);
}

/* ---- worker 0 ---- */

/* Never 0: the configuration sees to that. */
static int64_t interval_ns(const struct node_metrics *m)
{
    return m->shard->cfg->node.info_metrics_aggregate_interval_ns;
}

static void part(struct sweep_part *p)
{
    p->data = totals_make(p->shard);
    sweep_part_done(p);
}

static void done(struct sweep *s)
{
    struct node_metrics *m = s->arg;
    struct totals now, since;
    totals_sum(s, &now);
    totals_since(&now, &m->before, &since);
    put_last(m, snapshot_new(&since, interval_ns(m)));
    m->before = now;
    m->sweeping = false;
    m->swept(m->shard);
}

static void on_timer(weft_loop *loop, weft_loop_timer *timer)
{
    struct node_metrics *m = WEFT_LOOP_OWNER(timer, struct node_metrics, timer);
    weft_loop_timer_start(loop, timer, interval_ns(m), 0);
    if (m->sweeping)
        return;
    m->sweeping = true;
    if (sweep_start(m->shard, part, done, m, NULL) < 0)
        m->sweeping = false;
}

void node_metrics_start(struct node_metrics *m, struct shard *shard, void (*swept)(struct shard *s))
{
    memset(m, 0, sizeof *m);
    pthread_mutex_init(&m->lock, NULL);
    m->shard = shard;
    m->swept = swept;
    m->timer.fn = on_timer;
    put_last(m, snapshot_new(&m->before, interval_ns(m)));
    weft_loop_timer_start(shard->loop, &m->timer, interval_ns(m), 0);
}

void node_metrics_stop(struct node_metrics *m)
{
    weft_loop_timer_stop(m->shard->loop, &m->timer);
}

void node_metrics_fini(struct node_metrics *m)
{
    node_snapshot_unref(m->last);
    pthread_mutex_destroy(&m->lock);
}
