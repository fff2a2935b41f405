// SPDX-License-Identifier: Apache-2.0
/* metricspage.c - GET /metrics: metricset.h's list as Prometheus text. */
#include "server/httppeer.h"
#include "server/metricset.h"

#include <stdlib.h>

struct metrics {
    struct http_wait wait; /* first */
    struct worker *w;
};

struct page {
    struct cast_out out;
    const char *family; /* of the sample before */
};

static void part(struct sweep_part *p)
{
    p->data = totals_make(p->shard);
    sweep_part_done(p);
}

static void put(struct cast_out *o, const char *text)
{
    cast_out_put(o, weft_span_of(text));
}

static void put_family(struct cast_out *o, const struct metric *m)
{
    put(o, "# HELP ");
    put(o, m->name);
    put(o, " ");
    put(o, m->help);
    put(o, "\n# TYPE ");
    put(o, m->name);
    put(o, m->counter ? " counter\n" : " gauge\n");
}

static void put_metric(void *arg, const struct metric *m)
{
    struct page *page = arg;
    struct cast_out *o = &page->out;
    if (m->name != page->family)
        put_family(o, m);
    page->family = m->name;
    put(o, m->name);
    if (m->label) {
        put(o, "{");
        put(o, m->label);
        put(o, "=\"");
        put(o, m->label_value);
        put(o, "\"}");
    }
    put(o, " ");
    cast_out_u64(o, m->value);
    put(o, "\n");
}

static void done(struct sweep *s)
{
    struct metrics *m = s->arg;
    struct totals t;
    struct page page = {.family = NULL};
    if (!m->wait.peer)
        return;
    totals_sum(s, &t);
    cast_out_init(&page.out);
    metrics_each(&t, put_metric, &page);
    if (page.out.err)
        http_answer_empty(m->wait.peer, 500);
    else
        http_answer(m->wait.peer, 200, "text/plain; version=0.0.4; charset=utf-8", NULL,
            cast_out_span(&page.out));
    cast_out_fini(&page.out);
}

void metrics_serve(struct peer *p)
{
    struct metrics *m = calloc(1, sizeof *m);
    if (!m) {
        http_answer_empty(p, 500);
        return;
    }
    m->wait.peer = p;
    p->http->wait = &m->wait;
    sweep_start(&p->worker->shard, part, done, m, free);
}
