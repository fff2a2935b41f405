// SPDX-License-Identifier: Apache-2.0
/*
 * explore.c - weft_sim_run: schedule after schedule, and how each choice is drawn.
 * docs/design/simulator.md has the three modes; sched/simulate.h the engine beneath.
 *
 *     path   the choices of the schedule at hand, as they are made
 *     |<-- prefix: given -->|<-- drawn -->|
 *
 * Random and PCT mode have no prefix: all is drawn from the schedule's seed. Exhaustive search is a
 * walk through a tree, depth first: a schedule takes the prefix and then always the first
 * candidate; the next prefix is this path, cut at the last choice that has an alternative left
 * which the bound on preemptions allows.
 *
 * U1  A choice within the prefix finds as many candidates as the last time, and the same ones. Else
 *     the function is not deterministic, and nothing that the search says would be true.
 * U2  What a schedule's choices depend on is in its string: path, or seed (PCT: with depth and the
 *     number of steps that its points were drawn from).
 *
 * A call ends at the first failure. What ends the process meanwhile is not caught, but told: the
 * handlers here write one line, with the string, and let the signal have its way.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <weft/error.h>
#include <weft/panic.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/log.h"
#include "base/rand.h"
#include "ctx/run_opts.h"
#include "diag/simulation.h"

enum { DEPTH_MAX = 16, REPLAY_BYTES = 1024, CLOCK_ODDS = 16, LAST_STEPS = 30, NAME_MAX_BYTES = 64 };
enum { STRING = 3 /* a mode of its own: a path that was given */ };

struct weft_sim_report {
    struct weft__text text;
    struct weft__told told;
    struct weft__text steps; /* of told, when first asked for: names cost time */
    char replay[REPLAY_BYTES];
    uint64_t schedules;
    bool complete;
};

struct explorer {
    const char *name;
    int mode;
    uint64_t seed, schedules;
    int preemptions; /* < 0: no bound */
    unsigned depth;
    bool quiet, aloud; /* aloud: a replay, each step is printed */
    int (*fn)(void *);
    void *arg;
    struct weft__sim_driver driver;
    /* the schedule at hand */
    struct weft__path path;
    size_t prefix;
    bool strayed; /* U1 */
    struct weft__rand rand;
    uint64_t steps, longest; /* PCT draws its points from as many steps as one has had */
    uint64_t change[DEPTH_MAX], lowered[DEPTH_MAX];
    unsigned changes, changed;
    struct weft__told told;
    int error;
    weft_sim_report *report;
};

static struct explorer *at_work; /* for those last words */

/* ---- drawing ---- */

static uint64_t mix(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static uint32_t mark_of(const struct weft__sim_choice *c)
{
    uint64_t h = c->bound;
    for (uint32_t i = 0; c->who && i < c->bound; i++)
        h = mix(h ^ c->who[i]);
    return (uint32_t)h;
}

/* The clock's own going on is taken seldom, or no time-out would ever lose. */
static bool draw_clock(struct explorer *x, const struct weft__sim_choice *c, uint32_t *bound)
{
    *bound = c->bound;
    if (!c->who || c->who[c->bound - 1] != WEFT__SIM_CLOCK)
        return false;
    (*bound)--;
    return weft__rand_below(&x->rand, CLOCK_ODDS) == 0;
}

static uint64_t priority(const struct explorer *x, uint64_t who)
{
    for (unsigned i = x->changed; i-- > 0;)
        if (x->lowered[i] == who)
            return DEPTH_MAX - i; /* the later, the lower */
    return mix(x->seed ^ mix(who)) | (uint64_t)1 << 32;
}

static uint32_t highest(const struct explorer *x, const uint64_t *who, uint32_t bound)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < bound; i++)
        if (priority(x, who[i]) > priority(x, who[best]))
            best = i;
    return best;
}

static uint32_t draw_pct(struct explorer *x, const struct weft__sim_choice *c)
{
    uint32_t bound;
    if (!c->who)
        return weft__rand_below(&x->rand, c->bound);
    if (draw_clock(x, c, &bound))
        return c->bound - 1;
    uint32_t best = highest(x, c->who, bound);
    while (x->changed < x->changes && c->steps >= x->change[x->changed]) {
        x->lowered[x->changed++] = c->who[best];
        best = highest(x, c->who, bound);
    }
    return best;
}

static uint32_t draw(struct explorer *x, const struct weft__sim_choice *c)
{
    uint32_t bound;
    switch (x->mode) {
    case WEFT_SIM_RANDOM:
        return draw_clock(x, c, &bound) ? c->bound - 1 : weft__rand_below(&x->rand, bound);
    case WEFT_SIM_PCT:
        return draw_pct(x, c);
    default:
        return 0;
    }
}

static uint32_t choose(void *arg, const struct weft__sim_choice *c)
{
    struct explorer *x = arg;
    struct weft__decision d = {.bound = c->bound, .mark = mark_of(c), .costly = c->costly};
    if (x->path.len < x->prefix) {
        struct weft__decision *was = &x->path.at[x->path.len++];
        bool known = was->bound != 0;
        if (was->chosen >= c->bound || (known && (was->bound != d.bound || was->mark != d.mark))) {
            x->strayed = true;
            was->chosen = 0;
        }
        d.chosen = was->chosen;
        *was = d;
        return d.chosen;
    }
    d.chosen = draw(x, c);
    if (!weft__path_add(&x->path, d))
        weft__sim_fail(-ENOMEM, "no memory for the simulation");
    return d.chosen;
}

/* The next prefix; false: there is none, the search is complete. */
static bool next_prefix(struct explorer *x)
{
    int spent = 0;
    for (size_t i = 0; i < x->path.len; i++)
        spent += x->path.at[i].costly && x->path.at[i].chosen;
    for (size_t i = x->path.len; i-- > 0;) {
        struct weft__decision *d = &x->path.at[i];
        spent -= d->costly && d->chosen;
        bool affordable = !d->costly || x->preemptions < 0 || spent < x->preemptions;
        if (d->chosen + 1 < d->bound && affordable) {
            d->chosen++;
            x->prefix = i + 1;
            return true;
        }
    }
    return false;
}

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void schedule_begin(struct explorer *x)
{
    x->path.len = 0;
    x->told.len = x->told.lost = 0;
    x->steps = 0;
    x->error = 0;
    x->strayed = false;
    x->rand.state = mix(x->seed);
    if (x->rand.state == 0)
        x->rand.state = 1;
    x->changes = x->mode == WEFT_SIM_PCT ? x->depth - 1 : 0;
    x->changed = 0;
    for (unsigned i = 0; i < x->changes; i++)
        x->change[i] = 1 + weft__rand_next(&x->rand) % x->longest;
    qsort(x->change, x->changes, sizeof *x->change, by_value);
}

/* ---- a schedule's name ---- */

/* snprintf in the signal handler: as in fatal.c, with nothing in it that allocates. */
static void write_replay(const struct explorer *x, char *buf, size_t bytes)
{
    if (weft__path_write(&x->path, buf, bytes))
        return;
    if (x->mode == WEFT_SIM_RANDOM)
        snprintf(buf, bytes, "random:%llu", (unsigned long long)x->seed);
    else if (x->mode == WEFT_SIM_PCT)
        snprintf(buf, bytes, "pct:%llu:%u:%llu", (unsigned long long)x->seed, x->depth,
            (unsigned long long)x->longest);
    else
        snprintf(buf, bytes, "(a path of %zu choices is too long to print)", x->path.len);
}

static bool read_numbers(const char *text, uint64_t *ret, int count)
{
    for (int i = 0; i < count; i++) {
        char *end;
        if (*text < '0' || *text > '9')
            return false;
        ret[i] = strtoull(text, &end, 10);
        if (*end != (i + 1 < count ? ':' : '\0'))
            return false;
        text = *end ? end + 1 : end;
    }
    return true;
}

/* WEFT_SIM_REPLAY, where it is meant for this call. 0, -EINVAL, -ENOMEM. */
static int take_replay(struct explorer *x)
{
    const char *text = getenv("WEFT_SIM_REPLAY"), *at = text ? strchr(text, '@') : NULL;
    uint64_t n[3];
    int rc = 0;
    if (!text || !*text)
        return 0;
    if (at) {
        size_t bytes = (size_t)(at - text);
        if (strlen(x->name) != bytes || strncmp(x->name, text, bytes) != 0)
            return 0;
        text = at + 1;
    }
    x->schedules = 1;
    x->aloud = true;
    if (strncmp(text, "path:", 5) == 0) {
        x->mode = STRING;
        rc = weft__path_read(&x->path, text + 5);
        x->prefix = x->path.len;
    } else if (strncmp(text, "random:", 7) == 0 && read_numbers(text + 7, n, 1)) {
        x->mode = WEFT_SIM_RANDOM;
        x->seed = n[0];
    } else if (strncmp(text, "pct:", 4) == 0 && read_numbers(text + 4, n, 3) && n[1] >= 1 &&
               n[1] <= DEPTH_MAX && n[2] > 0) {
        x->mode = WEFT_SIM_PCT;
        x->seed = n[0];
        x->depth = (unsigned)n[1];
        x->longest = n[2];
    } else {
        rc = -EINVAL;
    }
    if (rc == -EINVAL)
        weft__log(WEFT_LOG_ERROR,
            "WEFT_SIM_REPLAY=%s: neither path:..., random:SEED nor "
            "pct:SEED:DEPTH:STEPS",
            text);
    return rc;
}

/* ---- the report ---- */

static void on_step(void *arg, const struct weft__sim_step *s)
{
    struct explorer *x = arg;
    x->steps++;
    weft__told_add(&x->told, s);
    if (x->aloud && x->told.len > 0) {
        struct weft__text t = {0};
        weft__told_line(&t, &x->told, x->told.len - 1);
        weft__text_write(&t, 2);
        weft__text_free(&t);
    }
}

static void begin_text(struct explorer *x, int error, const char *what)
{
    struct weft__text *t = &x->report->text;
    x->error = error;
    weft__text_add(
        t, "simulation%s%s%s failed", x->name[0] ? " \"" : "", x->name, x->name[0] ? "\"" : "");
    weft__text_add(t, " in schedule %llu", (unsigned long long)x->report->schedules + 1);
    if (x->mode == WEFT_SIM_RANDOM || x->mode == WEFT_SIM_PCT)
        weft__text_add(t, ", seed %llu", (unsigned long long)x->seed);
    weft__text_add(t, ", after %llu steps: %s\n", (unsigned long long)x->steps, what);
}

static void on_failed(void *arg, int error, const char *text)
{
    struct explorer *x = arg;
    begin_text(x, error, text);
    weft__told_fibers(&x->report->text, &x->told);
}

static void end_text(struct explorer *x)
{
    weft_sim_report *r = x->report;
    size_t from = r->told.len > LAST_STEPS ? r->told.len - LAST_STEPS : 0;
    weft__text_add(&r->text, from ? "the last steps:\n" : "the steps:\n");
    for (size_t i = from; i < r->told.len; i++)
        weft__told_line(&r->text, &r->told, i);
    if (r->told.lost)
        weft__text_add(&r->text, "(and %zu steps for which there was no memory)\n", r->told.lost);
    weft__text_add(&r->text, "to run this schedule again: WEFT_SIM_REPLAY='%s%s%s'\n", x->name,
        x->name[0] ? "@" : "", r->replay);
    if (!x->quiet) {
        struct weft__text t = {0};
        weft__text_add(&t, "weft: ");
        weft__text_bytes(&t, r->text.data, r->text.len);
        weft__text_write(&t, 2);
        weft__text_free(&t);
    }
}

static void finish_report(struct explorer *x)
{
    weft_sim_report *r = x->report;
    write_replay(x, r->replay, sizeof r->replay);
    r->told = x->told;
    x->told = (struct weft__told){.at = NULL};
    if (x->error)
        end_text(x);
    else
        weft__text_add(&r->text, "simulation%s%s%s: %llu schedules%s, none failed\n",
            x->name[0] ? " \"" : "", x->name, x->name[0] ? "\"" : "",
            (unsigned long long)r->schedules, r->complete ? ", all there are" : "");
}

/* ---- last words ---- */

static const int deadly[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};
enum { DEADLY = sizeof deadly / sizeof *deadly };
static struct sigaction before[DEADLY];

static void last_words(const char *how)
{
    static char replay[REPLAY_BYTES];
    struct explorer *x = at_work;
    at_work = NULL;
    if (!x || !weft__sim_here())
        return;
    write_replay(x, replay, sizeof replay);
    weft__eprintf(
        "weft: simulation%s%s%s ended the process (%s) in schedule %llu, seed %llu; to run "
        "it again: WEFT_SIM_REPLAY='%s%s%s'\n",
        x->name[0] ? " \"" : "", x->name, x->name[0] ? "\"" : "", how,
        (unsigned long long)x->report->schedules + 1, (unsigned long long)x->seed, x->name,
        x->name[0] ? "@" : "", replay);
}

static void on_deadly(int sig, siginfo_t *info, void *uc)
{
    (void)uc;
    last_words(sig == SIGABRT ? "abort" : "fault");
    for (int i = 0; i < DEADLY; i++)
        if (deadly[i] == sig)
            sigaction(sig, &before[i], NULL);
    if (info->si_code <= 0) /* sent, not met: it does not come again by itself */
        raise(sig);
}

static void on_exit_in_between(void)
{
    last_words("exit");
}

static void listen_for_ends(struct explorer *x)
{
    static bool registered;
    struct sigaction sa = {
        .sa_sigaction = on_deadly, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER};
    sigemptyset(&sa.sa_mask);
    at_work = x;
    if (!registered)
        atexit(on_exit_in_between);
    registered = true;
    for (int i = 0; i < DEADLY; i++)
        sigaction(deadly[i], &sa, &before[i]);
}

static void listen_no_more(void)
{
    at_work = NULL;
    for (int i = 0; i < DEADLY; i++)
        sigaction(deadly[i], &before[i], NULL);
}

/* ---- the call ---- */

static int run_one(struct explorer *x)
{
    int result = 0;
    schedule_begin(x);
    int rc = weft__run_simulated(x->fn, x->arg, &x->driver, &result);
    if (rc < 0 && !x->error)
        return rc == -EDEADLK ? -EBUSY : rc; /* nothing ran */
    if (x->strayed) {
        weft__text_free(&x->report->text);
        begin_text(x, -EPROTO,
            x->mode == STRING
                ? "the string does not fit: it was made by another function, or by an older one"
                : "the function is not deterministic: it did not do the same under the same "
                  "choices");
    } else if (!x->error && result < 0) {
        char what[160];
        snprintf(what, sizeof what, "the function returned %d (%s)", result, weft_strerror(result));
        begin_text(x, result, what);
    }
    x->report->schedules++;
    if (x->steps > x->longest)
        x->longest = x->steps;
    return 0;
}

static int explore(struct explorer *x)
{
    int rc = 0;
    x->longest = x->longest ? x->longest : 64;
    for (;;) {
        uint64_t longest = x->longest;
        rc = run_one(x);
        if (rc < 0)
            return rc;
        bool last = x->report->schedules >= x->schedules;
        if (x->error || (last && x->mode != WEFT_SIM_EXHAUSTIVE)) {
            x->longest = longest; /* what the points were drawn from: U2 */
            break;
        }
        if (x->mode == WEFT_SIM_EXHAUSTIVE) {
            size_t len = x->path.len;
            x->report->complete = !next_prefix(x);
            if (x->report->complete || last) {
                x->path.len = len;
                break;
            }
        } else {
            x->seed++;
        }
    }
    finish_report(x);
    return x->error;
}

static int take_options(struct explorer *x, const weft_sim_opts *o)
{
    bool all = o->mode == WEFT_SIM_EXHAUSTIVE;
    if (o->size < sizeof *o || (unsigned)o->mode > WEFT_SIM_EXHAUSTIVE ||
        (unsigned)o->points > WEFT_SIM_POINTS_WAITS || o->depth > DEPTH_MAX ||
        (o->name && (strlen(o->name) >= NAME_MAX_BYTES || strchr(o->name, '@'))))
        return -EINVAL;
    x->name = o->name ? o->name : "";
    x->mode = (int)o->mode;
    x->seed = o->seed ? o->seed : weft__rand_seed();
    x->schedules = o->schedules ? o->schedules : all ? 1000000 : 1000;
    x->preemptions = o->preemptions ? o->preemptions : 2;
    x->depth = o->depth ? o->depth : 3;
    x->quiet = o->quiet;
    x->driver = (struct weft__sim_driver){.choose = choose,
        .step = on_step,
        .failed = on_failed,
        .arg = x,
        .max_steps = o->max_steps ? o->max_steps : 100000,
        .waits_only = o->points == WEFT_SIM_POINTS_WAITS,
        .slow_clock = o->slow_clock};
    return 0;
}

int weft_sim_run(
    int (*fn)(void *), void *arg, const weft_sim_opts *opts, weft_sim_report **ret_report)
{
    static const weft_sim_opts defaults = {.size = sizeof defaults};
    static _Atomic int taken;
    struct explorer x = {.fn = fn, .arg = arg};
    int rc = fn ? take_options(&x, opts ? opts : &defaults) : -EINVAL;
    if (rc == 0)
        rc = take_replay(&x);
    if (rc == 0 && at_xchg(&taken, 1))
        rc = -EBUSY;
    if (rc < 0) {
        weft__free(x.path.at);
        return rc;
    }
    x.report = weft__zalloc(sizeof *x.report);
    if (x.report) {
        listen_for_ends(&x);
        rc = explore(&x);
        listen_no_more();
    } else {
        rc = -ENOMEM;
    }
    bool ran = x.report && x.report->schedules > 0;
    if (ran && ret_report)
        *ret_report = x.report;
    else
        weft_sim_report_free(x.report);
    weft__free(x.path.at);
    weft__free(x.told.at);
    at_store(&taken, 0);
    return rc;
}

/* ---- on fibers ---- */

bool weft_sim_active(void)
{
    return weft__sim_here();
}

void weft_sim_point(void)
{
    if (__builtin_expect(!weft__sim_runs(), 1) || !weft__sim_here())
        return;
    weft__enter();
    if (at_work && at_work->driver.waits_only) /* else the entry was the point */
        weft__sim_stop();
    weft__leave();
}

uint32_t weft_sim_choose(uint32_t bound)
{
    return weft__sim_here() && bound > 1 ? weft__sim_choose(bound) : 0;
}

void weft_sim_fail(const char *fmt, ...)
{
    char text[400];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!weft__sim_here())
        weft_panic("%s", text);
    weft__sim_give_up(-WEFT_EPANIC, text);
}

/* ---- reading a report ---- */

static const char *text_of(const struct weft__text *t)
{
    return t->data && t->len ? t->data : "";
}

const char *weft_sim_text(const weft_sim_report *r)
{
    return text_of(&r->text);
}

const char *weft_sim_steps(weft_sim_report *r)
{
    bool made = r->steps.len > 0;
    for (size_t i = 0; !made && i < r->told.len; i++)
        weft__told_line(&r->steps, &r->told, i);
    return text_of(&r->steps);
}

const char *weft_sim_replay(const weft_sim_report *r)
{
    return r->replay;
}

uint64_t weft_sim_schedules(const weft_sim_report *r)
{
    return r->schedules;
}

bool weft_sim_complete(const weft_sim_report *r)
{
    return r->complete;
}

void weft_sim_report_free(weft_sim_report *r)
{
    if (!r)
        return;
    weft__text_free(&r->text);
    weft__text_free(&r->steps);
    weft__free(r->told.at);
    weft__free(r);
}
