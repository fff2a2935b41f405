// SPDX-License-Identifier: Apache-2.0
/*
 * metrics.c - counters out: weft_stats_read for programs, Prometheus text for scrapers.
 *
 * The gauge of live fibers is called go_goroutines as well, so that dashboards and alert rules made
 * for Go services work.
 */
#include "diag/metrics.h"

#include <string.h>
#include <weft/debug.h>

#include "sched/sched.h"

void weft_stats_read(weft_stats *ret)
{
    struct weft__stats s;
    size_t size = ret->size;
    weft__enter();
    weft__stats_read(&s);
    weft__leave();
    uint64_t parks = 0;
    for (int i = 0; i < WEFT__WAIT_COUNT; i++)
        parks += s.parks[i];
    weft_stats all = {
        .size = size,
        .fibers = s.fibers_live,
        .spawned = s.spawns,
        .switches = s.switches,
        .parks = parks,
        .steals = s.steals,
        .wakeups = s.wakeups,
        .preemptions = s.preemptions,
        .retakes = s.retakes,
        .polls = s.polls,
        .stack_bytes = s.stack_bytes,
        .workers = s.workers,
        .threads = s.threads,
        .threads_idle = s.threads_idle,
        .poll_ns = s.poll_ns,
        .cold_stacks = s.cold_away,
        .cold_bytes = s.cold_bytes,
        .cold_frozen = s.cold_frozen,
        .cold_thawed = s.cold_thawed,
    };
    memcpy(ret, &all, size < sizeof all ? size : sizeof all);
}

static void one(
    struct weft__text *t, const char *name, const char *type, const char *help, uint64_t value)
{
    weft__text_add(t, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,
        (unsigned long long)value);
}

static void seconds(struct weft__text *t, const char *name, const char *help, uint64_t ns)
{
    weft__text_add(t, "# HELP %s %s\n# TYPE %s counter\n%s %llu.%09llu\n", name, help, name, name,
        (unsigned long long)(ns / 1000000000), (unsigned long long)(ns % 1000000000));
}

static void cold_add(struct weft__text *t, const struct weft__stats *s)
{
    one(t, "weft_cold_stacks", "gauge", "Stacks of parked fibers put away now.", s->cold_away);
    one(t, "weft_cold_bytes", "gauge", "Memory that holds them.", s->cold_bytes);
    one(t, "weft_cold_frozen_total", "counter", "Stacks put away.", s->cold_frozen);
    one(t, "weft_cold_thawed_total", "counter", "Stacks that came back.", s->cold_thawed);
}

void weft__metrics_add(struct weft__text *t)
{
    struct weft__stats s;
    weft__enter();
    weft__stats_read(&s);
    weft__leave();
    one(t, "go_goroutines", "gauge", "Live fibers, under the name that dashboards know.",
        s.fibers_live);
    one(t, "weft_fibers", "gauge", "Live fibers.", s.fibers_live);
    one(t, "weft_fibers_started_total", "counter", "Fibers started.", s.spawns);
    one(t, "weft_workers", "gauge", "Fibers that can run at once.", s.workers);
    one(t, "weft_threads", "gauge", "OS threads that drive workers, or could.", s.threads);
    one(t, "weft_threads_idle", "gauge", "Of those, asleep.", s.threads_idle);
    one(t, "weft_switches_total", "counter", "Switches from fiber to fiber.", s.switches);
    one(t, "weft_steals_total", "counter", "Fibers taken from another worker's queue.", s.steals);
    one(t, "weft_wakeups_total", "counter", "Workers woken for surplus work.", s.wakeups);
    one(t, "weft_preemptions_total", "counter", "Fibers stopped because they burned the CPU.",
        s.preemptions);
    one(t, "weft_retakes_total", "counter", "Workers taken from threads blocked in the kernel.",
        s.retakes);
    one(t, "weft_polls_total", "counter", "Looks into the poller by busy workers.", s.polls);
    seconds(t, "weft_poll_seconds_total", "Time that these looks took.", s.poll_ns);
    one(t, "weft_stack_bytes", "gauge", "Virtual memory of stacks in use or kept hot.",
        s.stack_bytes);
    cold_add(t, &s);
    weft__text_add(
        t, "# HELP weft_parks_total Waits, by reason.\n# TYPE weft_parks_total counter\n");
    for (int i = 1; i < WEFT__WAIT_COUNT; i++)
        weft__text_add(t, "weft_parks_total{reason=\"%s\"} %llu\n",
            weft__reason_name((enum weft__reason)i), (unsigned long long)s.parks[i]);
}
