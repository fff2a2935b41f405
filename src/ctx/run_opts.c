// SPDX-License-Identifier: Apache-2.0
/*
 * run_opts.c - the options of weft_run: checked, then overridden from the environment (weft/run.h
 * lists the variables).
 *
 * A variable that is set but cannot be read ends the start: whoever set it believes that it acts.
 */
#include "ctx/run_opts.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/hooks.h"
#include "base/log.h"

/* A number and a suffix, of which *ret_factor is the value. */
struct suffix {
    const char *text;
    int64_t factor;
};

static const struct suffix counts[] = {{"", 1}, {NULL, 0}};
static const struct suffix sizes[] = {
    {"", 1}, {"K", 1 << 10}, {"k", 1 << 10}, {"M", 1 << 20}, {"G", 1 << 30}, {NULL, 0}};
static const struct suffix times[] = {
    {"ns", WEFT_NS}, {"us", WEFT_US}, {"ms", WEFT_MS}, {"s", WEFT_SEC}, {"m", WEFT_MIN}, {NULL, 0}};

/* 0: not set; 1: *ret is its value; -EINVAL, told. */
static int from_env(const char *name, const struct suffix *suffixes, int64_t max, int64_t *ret)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return 0;
    int saved = errno;
    errno = 0;
    long long n = strtoll(text, &end, 10);
    bool bad = errno != 0 || end == text || n < 0;
    errno = saved;
    if (!bad && n == 0 && !*end) { /* needs no unit */
        *ret = 0;
        return 1;
    }
    const struct suffix *s = suffixes;
    while (s->text && strcmp(s->text, end) != 0)
        s++;
    if (bad || !s->text || n > max / s->factor) {
        weft__log(WEFT_LOG_ERROR, "%s=%s: not a %s between 0 and %lld", name, text,
            suffixes == times ? "duration (such as 500ms, 2s)" : "number", (long long)max);
        return -EINVAL;
    }
    *ret = n * s->factor;
    return 1;
}

static int unsigned_env(const char *name, unsigned *ret)
{
    int64_t n;
    int rc = from_env(name, counts, INT_MAX, &n);
    if (rc > 0)
        *ret = (unsigned)n;
    return rc;
}

static int environment(struct weft__sched_opts *o)
{
    int64_t n;
    int rc = 0;
    if (unsigned_env("WEFT_WORKERS", &o->workers) < 0 ||
        unsigned_env("WEFT_MAX_FIBERS", &o->max_fibers) < 0 ||
        unsigned_env("WEFT_MAX_THREADS", &o->max_threads) < 0)
        return -EINVAL;
    if ((rc = from_env("WEFT_STACK_BYTES", sizes, INT_MAX, &n)) > 0)
        o->stack_bytes = (size_t)n;
    if (rc >= 0 && (rc = from_env("WEFT_DRAIN", times, INT64_MAX, &n)) > 0)
        o->drain_ns = n ? n : 1;
    if (rc >= 0 && (rc = from_env("WEFT_PREEMPT", counts, 1, &n)) > 0)
        o->no_preempt = n == 0;
    if (rc >= 0 && (rc = from_env("WEFT_COLD", times, INT64_MAX, &n)) > 0)
        o->cold_ns = n;
    return rc < 0 ? rc : 0;
}

int weft__options_read(const weft_run_opts *opts, struct weft__sched_opts *ret)
{
    static const weft_run_opts defaults = {.size = sizeof defaults};
    const weft_run_opts *o = opts ? opts : &defaults;
    if (o->size < sizeof defaults) {
        weft__log(WEFT_LOG_ERROR, "weft_run: opts.size is %zu, it must be sizeof(weft_run_opts)",
            o->size);
        return -EINVAL;
    }
    if (o->drain_ns < 0 || o->cold_ns < 0 || o->preempt_signal < 0 ||
        o->preempt_signal > SIGRTMAX) {
        weft__log(WEFT_LOG_ERROR, "weft_run: drain_ns, cold_ns or preempt_signal makes no sense");
        return -EINVAL;
    }
    int preempt = o->preempt_signal ? o->preempt_signal : SIGURG;
    if (weft__signal_noted_hook && weft__signal_noted_hook(preempt)) {
        weft__log(WEFT_LOG_ERROR,
            "weft_run: preempt_signal %d goes to a channel (weft_signal_notify)", preempt);
        return -EINVAL;
    }
    *ret = (struct weft__sched_opts){.workers = o->workers,
        .max_fibers = o->max_fibers,
        .max_threads = o->max_threads,
        .stack_bytes = o->stack_bytes,
        .drain_ns = o->drain_ns,
        .no_preempt = o->no_preempt,
        .preempt_signal = o->preempt_signal,
        .cold_ns = o->cold_ns};
    return environment(ret);
}
