// SPDX-License-Identifier: Apache-2.0
/*
 * benchreport.c - printing the result of a run (benchreport.h).
 *
 * Times are printed in milliseconds, the JSON carries milliseconds too, under names that say so.
 * The JSON's keys are stable: scripts read them.
 */
#include "bench/benchreport.h"
#include "protocol/outbuf.h"
#include <stdio.h>

static const char *const mode_names[] = {"fanout", "connect", "idle"};
static const struct quantile {
    const char *name, *key;
    double q;
} quantiles[] = {{"P50", "p50_ms", 0.5}, {"P90", "p90_ms", 0.9}, {"P95", "p95_ms", 0.95},
    {"P99", "p99_ms", 0.99}, {"P99.9", "p999_ms", 0.999}};
enum { QUANTILES = sizeof(quantiles) / sizeof(quantiles[0]) };

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static double rate_of(const struct report *r)
{
    if (r->opts->mode == BENCH_FANOUT)
        return (double)r->measured / r->opts->duration_s;
    return r->opened_s > 0 ? (double)r->ready / r->opened_s : 0;
}

static double bytes_per_client(const struct report *r)
{
    if (!r->ready || r->rss_bytes < r->rss_before_bytes)
        return 0;
    return (double)(r->rss_bytes - r->rss_before_bytes) / (double)r->ready;
}

static void key(struct cast_out *o, const char *name)
{
    cast_out_comma(o);
    cast_out_string(o, weft_span_of(name));
    cast_out_char(o, ':');
}
static void put_count(struct cast_out *o, const char *name, uint64_t v)
{
    key(o, name);
    cast_out_u64(o, v);
}
static void put_real(struct cast_out *o, const char *name, double v)
{
    key(o, name);
    cast_out_double(o, v);
}
static void put_text(struct cast_out *o, const char *name, const char *v)
{
    key(o, name);
    cast_out_string(o, weft_span_of(v));
}

static void put_latency(struct cast_out *o, const char *name, const struct latency *l)
{
    key(o, name);
    cast_out_char(o, '{');
    put_count(o, "count", l->count);
    for (int i = 0; i < QUANTILES; i++)
        put_real(o, quantiles[i].key, ms(latency_quantile(l, quantiles[i].q)));
    put_real(o, "max_ms", ms(l->max_ns));
    cast_out_char(o, '}');
}

static void put_run(struct cast_out *o, const struct report *r)
{
    const struct bench_opts *b = r->opts;
    put_text(o, "mode", mode_names[b->mode]);
    put_text(o, "host", b->host);
    put_count(o, "clients", b->clients);
    put_real(o, "rate", b->rate);
    put_real(o, "duration_s", b->duration_s);
    put_text(o, "backend", r->backend);
    put_count(o, "ready", r->ready);
    put_count(o, "failed", r->failed);
    put_count(o, "gone", r->gone);
    put_real(o, "opened_s", r->opened_s);
    put_count(o, "received_bytes", r->bytes);
}

static void print_json(const struct report *r)
{
    struct cast_out o;
    cast_out_init(&o);
    cast_out_char(&o, '{');
    put_run(&o, r);
    if (r->opts->mode == BENCH_FANOUT) {
        put_count(&o, "payload_bytes", r->opts->payload_bytes);
        put_text(&o, "publish", r->opts->publish_api ? "api" : "client");
        put_count(&o, "published", r->published);
        put_count(&o, "answered", r->answered);
        put_count(&o, "delivered", r->delivered);
        put_count(&o, "measured", r->measured);
        put_real(&o, "deliveries_per_s", rate_of(r));
        put_count(&o, "lost", r->lost);
        put_count(&o, "repeated", r->repeated);
        put_latency(&o, "latency", r->latency);
        put_latency(&o, "generator_late", r->late);
    } else {
        put_real(&o, "connections_per_s", rate_of(r));
        if (r->opts->mode == BENCH_CONNECT)
            put_latency(&o, "latency", r->latency);
    }
    if (r->has_server) {
        put_real(&o, "server_cpu_s", r->cpu_s);
        put_real(&o, "server_cpu_cores", r->cpu_over_s > 0 ? r->cpu_s / r->cpu_over_s : 0);
        put_real(&o, "server_setup_cpu_s", r->setup_cpu_s);
        put_count(&o, "server_rss_bytes", r->rss_bytes);
        put_real(&o, "server_rss_bytes_per_client", bytes_per_client(r));
    }
    put_text(&o, "problem", r->problem);
    CAST_OUT_LIT(&o, "}\n");
    fwrite(o.buf, 1, o.used, stdout);
    cast_out_fini(&o);
}

static void print_latency(const char *what, const struct latency *l)
{
    if (l->count == 0)
        return;
    printf("%-12s", what);
    for (int i = 0; i < QUANTILES; i++)
        printf(" %s %.2f ms ", quantiles[i].name, ms(latency_quantile(l, quantiles[i].q)));
    printf(" max %.2f ms\n", ms(l->max_ns));
}

static void print_words(const struct report *r)
{
    printf("clients      %llu ready, %llu failed, %llu lost during the run (opened in %.2f s, "
           "%.0f/s)\n",
        (unsigned long long)r->ready, (unsigned long long)r->failed, (unsigned long long)r->gone,
        r->opened_s, r->opened_s > 0 ? (double)r->ready / r->opened_s : 0);
    if (r->opts->mode == BENCH_FANOUT && r->published) {
        printf("published    %llu messages of %u bytes, %llu answered\n",
            (unsigned long long)r->published, r->opts->payload_bytes,
            (unsigned long long)r->answered);
        printf("delivered    %.0f a second over %.1f s, lost %llu, repeated %llu\n", rate_of(r),
            r->opts->duration_s, (unsigned long long)r->lost, (unsigned long long)r->repeated);
        print_latency("latency", r->latency);
        print_latency("generator", r->late);
    } else if (r->opts->mode == BENCH_CONNECT) {
        print_latency("latency", r->latency);
    }
    if (r->has_server && r->rss_bytes)
        printf("server       %.2f s CPU (%.2f cores), %.1f MB resident, %.0f bytes a client\n",
            r->cpu_s, r->cpu_over_s > 0 ? r->cpu_s / r->cpu_over_s : 0, (double)r->rss_bytes / 1e6,
            bytes_per_client(r));
    if (r->problem[0])
        printf("problem      %s\n", r->problem);
}

void report_print(const struct report *r)
{
    if (r->opts->json)
        print_json(r);
    else
        print_words(r);
    fflush(stdout);
}
