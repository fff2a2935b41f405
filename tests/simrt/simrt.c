// SPDX-License-Identifier: Apache-2.0
/*
 * simrt.c - the explorer: who goes on at each point, schedule after schedule; and what is said when
 * one fails. simrt.h has the rules, simrt_core.h the parts.
 *
 *      driver ── for each schedule: put all back, start thread 0 with body ──> ...
 *        ^                                                  point: choose, switch
 *        └────── body has returned, or the schedule has failed <──┘
 *
 * Threads switch to each other directly; the driver's stack runs only between schedules.
 *
 * X3  Whoever can't go on alone (weft__cpu_pause, sched_yield) is no candidate until somebody else
 *     has made a step, so spinning takes few steps and ends under every mode. Under PCT it also
 *     falls behind all others, and so does who made 2000 steps in a row.
 * X5  A word that only one thread touches, or none writes, needs no point before it. Which words
 *     those are is learnt in some schedules in front of each exploration by chance (always the same
 *     ones, so that a replay learns the same); a word not seen then has its points.
 *
 * X4  Time goes on to the earliest deadline when nobody can; in random and PCT mode now and then
 *     although somebody can.
 */
#include "simrt.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/random.h>

#include "sched/sanitize.h"
#include "simrt_core.h"

#undef getenv
#undef _exit
#undef abort
#undef sigaction
#undef sigaltstack

#if defined(WEFT__ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

enum { LATE_ODDS = 256, FAIR_STEPS = 2000, TAIL = 80 };
#define WARM_UP_SEED (UINT64_MAX / 2)
static const int64_t start_ns = INT64_C(3600000000000);
static const int64_t late_ns = 2000000; /* a machine is as slow as that, not slower */

/* ---- chance ---- */

static uint64_t chance(void)
{
    uint64_t x = simrt->random;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    simrt->random = x;
    return x * UINT64_C(0x2545f4914f6cdd1d) >> 16;
}

uint32_t simrt_search(uint32_t bound, bool costly)
{
    if (simrt->depth < simrt->way_length) {
        struct simrt_choice *c = &simrt->way[simrt->depth++];
        if (c->bound == 0 && c->taken < bound) /* a replay's */
            c->bound = bound;
        if (c->bound != bound && simrt->replaying)
            simrt_fail("this is not the program that the schedule was written down for");
        if (c->bound != bound)
            simrt_fail(
                "the body is not deterministic: %u choices where there were %u", bound, c->bound);
        return c->taken;
    }
    if (simrt->depth == SIMRT_DEPTHS)
        simrt_fail("more choices than an exhaustive search can hold");
    simrt->way[simrt->depth++] = (struct simrt_choice){0, bound, costly};
    simrt->way_length = simrt->depth;
    return 0;
}

/* Whether choices are gone through, and not drawn. */
static bool searches(void)
{
    return simrt->o.mode == SIMRT_EXHAUSTIVE || simrt->o.mode == SIMRT_REDUCED;
}

uint32_t simrt_draw(uint32_t bound, bool costly)
{
    if (!searches())
        return (uint32_t)(chance() % bound);
    if (!simrt->window || bound < 2 || (costly && simrt->spent >= simrt->o.preemptions))
        return 0;
    uint32_t k = simrt_search(bound, costly);
    simrt->spent += costly && k;
    return k;
}

uint32_t simrt_choose(uint32_t bound)
{
    return simrt_draw(bound, false);
}

void simrt_window(bool open)
{
    simrt->window = open;
    simrt->asleep = 0;
}

/* ---- switching ---- */

static void arrive(struct simrt_thread *t, void *fake)
{
    (void)t;
    (void)fake;
#if defined(WEFT__ASAN)
    __sanitizer_finish_switch_fiber(fake, &simrt->prev->low, &simrt->prev->low_bytes);
#endif
}

static void go(struct simrt_thread *from, struct simrt_thread *to)
{
    from->tls = weft__tls_thread;
    weft__tls_thread = to->tls;
    simrt_rank_swap(from->held, to->held);
    simrt->prev = from;
    simrt->cur = to == &simrt->driver ? NULL : to;
    to->in_a_row = 0;
#if defined(WEFT__ASAN)
    __sanitizer_start_switch_fiber(&from->fake, to->low, to->low_bytes);
#endif
    weft__arch_switch(&from->sp, to->sp);
    arrive(from, from->fake);
}

_Noreturn static void to_driver(void)
{
    go(simrt->cur, &simrt->driver);
    __builtin_unreachable();
}

void simrt_fail(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(simrt->why, sizeof simrt->why, fmt, ap);
    va_end(ap);
    simrt->failed = true;
    to_driver();
}

void simrt_cut(void)
{
    simrt->cut = true;
    to_driver();
}

void simrt_die(const char *how, int status)
{
    simrt_fail("the library ended the process: %s(%d)", how, status);
}

/* ---- who goes on ---- */

static bool eligible(const struct simrt_thread *t)
{
    return t->state == SIMRT_READY && t->pause_step != simrt->steps;
}

/* Those who could go on instead of `me`, in the order of their numbers from it on; and those who
 * only spin, if there are no others. */
static unsigned candidates(const struct simrt_thread *me, struct simrt_thread **ret)
{
    unsigned n = 0, from = (unsigned)(me - simrt->thread);
    for (int pausing = 0; pausing < 2 && n == 0; pausing++)
        for (unsigned i = 1; i < simrt->threads; i++) {
            struct simrt_thread *t = &simrt->thread[(from + i) % simrt->threads];
            if (pausing ? t->state == SIMRT_READY : eligible(t))
                ret[n++] = t;
        }
    return n;
}

static struct simrt_thread *by_priority(
    struct simrt_thread *me, bool can_stay, struct simrt_thread **c, unsigned n)
{
    struct simrt_thread *best = can_stay ? me : NULL;
    for (unsigned i = 0; i < n; i++)
        if (!best || c[i]->priority > best->priority)
            best = c[i];
    return best;
}

/* c has room for one more. */
static struct simrt_thread *choose_next(
    struct simrt_thread *me, bool can_stay, bool spins, struct simrt_thread **c, unsigned n)
{
    bool may_stay = can_stay && !spins;
    if (searches() && (!simrt->window || (spins && simrt->o.mode == SIMRT_EXHAUSTIVE)))
        return may_stay ? me : c[0];
    switch (simrt->o.mode) {
    case SIMRT_PCT:
        return by_priority(me, may_stay, c, n);
    case SIMRT_REDUCED:
        if (may_stay) { /* that comes first, as in the other modes */
            memmove(c + 1, c, n++ * sizeof *c);
            c[0] = me;
        }
        return simrt_choose_awake(c, n);
    case SIMRT_EXHAUSTIVE: {
        uint32_t k = simrt_draw(n + can_stay, can_stay);
        return !can_stay ? c[k] : k == 0 ? me : c[k - 1];
    }
    default:
        return c[chance() % n];
    }
}

void simrt_time_goes_on(int64_t until_ns)
{
    simrt->now_ns = until_ns > simrt->now_ns ? until_ns : simrt->now_ns;
    for (unsigned i = 0; i < simrt->threads; i++) {
        struct simrt_thread *t = &simrt->thread[i];
        if (t->state == SIMRT_BLOCKED && t->deadline_ns >= 0 && t->deadline_ns <= simrt->now_ns) {
            t->state = SIMRT_READY;
            t->timed_out = true;
        }
    }
}

static int64_t earliest_deadline(void)
{
    int64_t first = -1;
    for (unsigned i = 0; i < simrt->threads; i++) {
        const struct simrt_thread *t = &simrt->thread[i];
        if (t->state == SIMRT_BLOCKED && t->deadline_ns >= 0 &&
            (first < 0 || t->deadline_ns < first))
            first = t->deadline_ns;
    }
    return first;
}

static void everybody_sleeps(void)
{
    int64_t until = earliest_deadline();
    for (unsigned i = 0; i < simrt->threads; i++)
        if (simrt->thread[i].buffered) { /* they drain by themselves */
            simrt_drain_all();
            break;
        }
    const char *wrong = simrt_judge(until);
    if (wrong)
        simrt_fail("%s", wrong);
    if (until < 0)
        simrt_fail("all threads sleep for good");
    simrt->asleep = 0;
    simrt_time_goes_on(until);
}

/* Somebody goes on: me, unless can_stay is false (then this returns once I can again). spins: I
 * can't go on alone. */
static void reschedule(bool can_stay, bool spins)
{
    struct simrt_thread *me = simrt->cur, *c[SIMRT_THREADS + 1], *to;
    bool asleep_too = simrt->o.mode == SIMRT_REDUCED && simrt->window && !spins;
    for (;;) {
        unsigned n = candidates(me, c);
        can_stay = can_stay || me->state == SIMRT_READY;
        if (n == 0 && can_stay && !asleep_too)
            return;
        if (n > 0 || can_stay) {
            to = choose_next(me, can_stay, spins, c, n);
            break;
        }
        everybody_sleeps();
    }
    if (to != me)
        go(me, to);
}

/* ---- points ---- */

static void note(const char *op, const volatile void *p, uint64_t value, const struct simrt_at *at)
{
    struct simrt_step *s = &simrt->ring[simrt->steps % SIMRT_RING];
    *s = (struct simrt_step){at->func, at->text, op, p, value, simrt_fiber_id(weft__tls_thread),
        simrt->now_ns, at->line, (uint8_t)(simrt->cur - simrt->thread)};
}

static void tell(const struct simrt_step *s, uint64_t number)
{
    fprintf(stderr, "# %7llu %10.6f  %-12s fiber %-3llu %s:%d: %s %s %#llx [%p]\n",
        (unsigned long long)number, (double)(s->now_ns - start_ns) / 1e9,
        simrt->thread[s->thread].name, (unsigned long long)s->fiber, s->func, s->line, s->op,
        s->text, (unsigned long long)s->value, (void *)(uintptr_t)s->p);
}

/* A step is told when the next one comes: then the value is known that it found. */
static void tell_if_replaying(void)
{
    if (simrt->replaying && simrt->steps)
        tell(&simrt->ring[simrt->steps % SIMRT_RING], simrt->steps);
}

static void by_chance(void)
{
    if (simrt->o.tso && (chance() & 3) == 0)
        simrt_drain(&simrt->thread[chance() % simrt->threads], 1);
    if (chance() % LATE_ODDS == 0) {
        int64_t until = earliest_deadline();
        if (until >= 0 && until <= simrt->now_ns + late_ns)
            simrt_time_goes_on(until);
    }
}

static void pct_point(struct simrt_thread *me)
{
    simrt->points++;
    for (unsigned i = 0; i + 1 < simrt->o.depth; i++)
        if (simrt->change[i] == simrt->points)
            me->priority = --simrt->lowest;
    if (++me->in_a_row > FAIR_STEPS) {
        me->priority = --simrt->lowest;
        me->in_a_row = 0;
    }
    if ((chance() & 15) == 0)
        by_chance();
}

void simrt_point(const char *op, const volatile void *p, uint64_t value, const struct simrt_at *at)
{
    struct simrt_thread *me = simrt->cur;
    bool alone = !searches() && p && !simrt_shared(p, op[0] != 'l');
    if (simrt->o.mode == SIMRT_REDUCED)
        me->touch = simrt_touch_of(op, p);
    if (alone) {
        /* X5 */
    } else if (simrt->o.mode == SIMRT_RANDOM && (chance() & simrt->mask) == 0) {
        by_chance();
        reschedule(true, false);
    } else if (simrt->o.mode == SIMRT_PCT) {
        pct_point(me);
        reschedule(true, false);
    } else if (searches() && simrt->window) {
        reschedule(true, false);
    }
    tell_if_replaying();
    if (++simrt->steps > simrt->o.max_steps)
        simrt_fail("more than %llu steps", (unsigned long long)simrt->o.max_steps);
    note(op, p, value, at);
}

void simrt_pause(void)
{
    struct simrt_thread *me = simrt ? simrt->cur : NULL;
    if (!me || me->pause_step == simrt->steps)
        return;
    me->pause_step = simrt->steps;
    me->priority = --simrt->lowest;
    reschedule(true, true);
}

/* ---- sleeping, waking, starting ---- */

bool simrt_sleep(enum simrt_wait wait, const volatile void *on, int64_t deadline_ns)
{
    struct simrt_thread *me = simrt->cur;
    me->state = SIMRT_BLOCKED;
    me->wait = wait;
    me->on = on;
    me->deadline_ns = deadline_ns;
    me->timed_out = false;
    me->blocked_since_ns = simrt->now_ns;
    reschedule(false, false);
    me->wait = SIMRT_ON_NOTHING;
    return !me->timed_out;
}

unsigned simrt_wake(enum simrt_wait wait, const volatile void *on, unsigned most)
{
    unsigned n = 0;
    for (unsigned i = 0; i < simrt->threads && n < most; i++) {
        struct simrt_thread *t = &simrt->thread[i];
        if (t->state == SIMRT_BLOCKED && t->wait == wait && t->on == on) {
            t->state = SIMRT_READY;
            n++;
        }
    }
    return n;
}

static void *thread_main(void *arg)
{
    struct simrt_thread *t = arg;
    arrive(t, NULL);
    t->fn(t->arg);
    if (t->specific && simrt->key_end) {
        void *value = t->specific;
        t->specific = NULL;
        simrt->key_end(value);
    }
    simrt_rmw("end", t, 0, 0, &(const struct simrt_at){"thread_main", "the thread ends", 0});
    t->state = SIMRT_DONE;
    simrt_wake(SIMRT_ON_JOIN, t, SIMRT_THREADS);
    if (t == &simrt->thread[0])
        to_driver();
    reschedule(false, false);
    __builtin_unreachable();
}

struct simrt_thread *simrt_start(const char *name, void *(*fn)(void *), void *arg)
{
    static const char *const names[SIMRT_THREADS] = {"main", "thread 1", "thread 2", "thread 3",
        "thread 4", "thread 5", "thread 6", "thread 7", "thread 8", "thread 9", "thread 10",
        "thread 11", "thread 12", "thread 13", "thread 14", "thread 15", "thread 16", "thread 17",
        "thread 18", "thread 19", "thread 20", "thread 21", "thread 22", "thread 23"};
    if (simrt->threads == SIMRT_THREADS)
        simrt_fail("more than %d threads", SIMRT_THREADS);
    unsigned i = simrt->threads++;
    struct simrt_thread *t = &simrt->thread[i];
    char *stack = t->stack;
    memset(t, 0, sizeof *t);
    t->stack = stack;
    t->name = name ? name : names[i];
    t->state = SIMRT_READY;
    t->deadline_ns = -1;
    t->priority = (int)(chance() % 1000000);
    t->pause_step = UINT64_MAX;
    t->fn = fn;
    t->arg = arg;
    t->low = stack;
    t->low_bytes = SIMRT_STACK_BYTES;
#if defined(WEFT__ASAN)
    __asan_unpoison_memory_region(stack, SIMRT_STACK_BYTES); /* of who stood there before */
#endif
    t->sp = weft__arch_stack_init(stack + SIMRT_STACK_BYTES, thread_main, t);
    return t;
}

/* ---- schedules ---- */

static void *body_main(void *arg)
{
    (void)arg;
    simrt->body(simrt->arg);
    return NULL;
}

static void schedule_begin(uint64_t seed)
{
    static const unsigned masks[] = {0, 1, 3, 7, 15, 31, 63, 127};
    simrt_memory_reset();
    simrt->threads = 0;
    simrt->seed = searches() ? 0 : seed;
    simrt->random = (simrt->seed + 1) * UINT64_C(0x9e3779b97f4a7c15);
    simrt->now_ns = start_ns;
    simrt->steps = simrt->points = 0;
    simrt->lowest = 0;
    simrt->depth = simrt->spent = 0;
    simrt->asleep = 0;
    simrt->window = simrt->cut = false;
    simrt->said[0] = '\0';
    simrt->key_end = NULL;
    memset(simrt->file, 0, sizeof simrt->file);
    chance();
    simrt->mask = masks[chance() % (sizeof masks / sizeof *masks)];
    for (unsigned i = 0; i < SIMRT_PCT_POINTS; i++)
        simrt->change[i] = 1 + chance() % (simrt->most_points ? simrt->most_points : 1000);
}

static void run_one(uint64_t seed)
{
    struct weft__thread *tls = weft__tls_thread;
    schedule_begin(seed);
    struct simrt_thread *main_thread = simrt_start("main", body_main, NULL);
    go(&simrt->driver, main_thread);
    weft__tls_thread = tls;
    simrt->all_steps += simrt->steps;
}

/* How schedules of this exploration are drawn: the middle part of a schedule's name. */
static const char *kind(void)
{
    static const char *const kinds[][2] = {{"random", "random-tso"}, {"pct", "pct-tso"},
        {"path", "path-tso"}, {"reduced", "reduced-tso"}};
    return kinds[simrt->o.mode][simrt->o.tso];
}

/* NAME@random:SEED, NAME@pct:SEED:POINTS, NAME@path:zeros+taken. zeros+taken. ... (or reduced:) */
static void print_name(void)
{
    fprintf(stderr, "%s@%s:", simrt->o.name, kind());
    if (!searches())
        fprintf(stderr, "%llu", (unsigned long long)simrt->seed);
    if (simrt->o.mode == SIMRT_PCT)
        fprintf(stderr, ":%llu", (unsigned long long)simrt->most_points);
    for (unsigned i = 0, zeros = 0; searches() && i < simrt->depth; i++) {
        if (simrt->way[i].taken)
            fprintf(stderr, "%u+%u.", zeros, simrt->way[i].taken);
        zeros = simrt->way[i].taken ? 0 : zeros + 1;
    }
}

_Noreturn static void report(uint64_t schedules)
{
    uint64_t from = simrt->steps > TAIL ? simrt->steps - TAIL + 1 : 1;
    fprintf(stderr, "# simrt: %s: schedule %llu%s fails after %llu steps: %s\n", simrt->o.name,
        (unsigned long long)schedules, schedules ? "" : " (in front of the first)",
        (unsigned long long)simrt->steps, simrt->why);
    if (simrt->said[0])
        fprintf(stderr, "# the library said: %s\n", simrt->said);
    if (simrt->replaying)
        from = simrt->steps;
    for (uint64_t i = from; i <= simrt->steps; i++)
        tell(&simrt->ring[i % SIMRT_RING], i);
    for (unsigned i = 0; i < simrt->threads; i++) {
        static const char *const states[] = {"none", "ready", "sleeps", "done"};
        static const char *const waits[] = {
            "", " in a futex", " in a join", " in epoll", " in a call"};
        const struct simrt_thread *t = &simrt->thread[i];
        fprintf(stderr, "# %-12s %s%s\n", t->name, states[t->state],
            t->state == SIMRT_BLOCKED ? waits[t->wait] : "");
    }
    fprintf(stderr, "# again, step by step: WEFT_SIM_REPLAY='");
    print_name();
    fprintf(stderr, "'\n");
    fflush(NULL);
    _exit(1);
}

static void crashed(int sig)
{
    if (!simrt->cur)
        signal(sig, SIG_DFL);
    else
        snprintf(simrt->why, sizeof simrt->why, "%s", strsignal(sig));
    if (simrt->cur)
        report(0);
}

static void catch_crashes(void)
{
    static char stack[64 << 10];
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    stack_t ss = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction sa = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};
    sigaltstack(&ss, NULL);
    for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
        sigaction(signals[i], &sa, NULL);
}

/* On to the next way: the last choice that has another alternative, within the bound. False: there
 * is none. */
static bool next_way(void)
{
    unsigned spent = 0, n = simrt->way_length;
    for (unsigned i = 0; i < n; i++)
        spent += simrt->way[i].costly && simrt->way[i].taken;
    while (n > 0) {
        struct simrt_choice *c = &simrt->way[n - 1];
        unsigned before = spent - (c->costly && c->taken);
        if (c->taken + 1 < c->bound && before + c->costly <= simrt->o.preemptions) {
            c->taken++;
            simrt->way_length = n;
            return true;
        }
        spent = before;
        n--;
    }
    return false;
}

/* replay: a seed of its own may be the one to be told. */
static void warm_up(uint64_t replay)
{
    uint64_t most = simrt->most_points;
    simrt->warm = 0;
    memset(simrt->word, 0, SIMRT_WORDS * sizeof *simrt->word);
    while (!searches() && simrt->warm < SIMRT_WARM_UP) {
        simrt->most_points = 0;
        simrt->replaying = replay == WARM_UP_SEED + simrt->warm;
        run_one(WARM_UP_SEED + simrt->warm);
        if (simrt->failed)
            report(0);
        simrt->warm++;
    }
    simrt->most_points = most;
}

static void path_read(const char *text)
{
    unsigned zeros, taken;
    int n;
    while (sscanf(text, "%u+%u.%n", &zeros, &taken, &n) == 2) {
        memset(simrt->way + simrt->way_length, 0, zeros * sizeof *simrt->way);
        simrt->way_length += zeros;
        simrt->way[simrt->way_length++] = (struct simrt_choice){.taken = taken};
        text += n;
    }
}

/* WEFT_SIM_REPLAY, as print_name wrote it. Other explorations than the one that it names are passed
 * over. False: there is none. */
static bool replay_read(void)
{
    const char *text = getenv("WEFT_SIM_REPLAY");
    char front[256];
    unsigned long long seed = 0, points = 0;
    int n = snprintf(front, sizeof front, "%s@%s:", simrt->o.name, kind());
    if (!text)
        return false;
    if (strncmp(text, front, (size_t)n) != 0)
        return true;
    if (searches())
        path_read(text + n);
    else
        sscanf(text + n, "%llu:%llu", &seed, &points);
    simrt->most_points = points;
    warm_up(seed);
    simrt->replaying = true;
    run_one(seed);
    if (simrt->failed)
        report(1);
    simrt->replaying = false;
    return true;
}

static void options_take(const struct simrt_opts *o)
{
    simrt->o = *o;
    if (!simrt->o.depth)
        simrt->o.depth = 3;
    if (simrt->o.depth > SIMRT_PCT_POINTS)
        simrt->o.depth = SIMRT_PCT_POINTS;
    if (!simrt->o.max_steps)
        simrt->o.max_steps = 200000;
    if (!simrt->o.clock_step_ns)
        simrt->o.clock_step_ns = 7000;
    const char *seeds = getenv("WEFT_SIM_SEEDS"), *seconds = getenv("WEFT_STRESS_SECONDS");
    if (simrt->o.mode == SIMRT_REDUCED && simrt->o.tso)
        abort(); /* which steps commute with a drain is not known */
    if (simrt->o.mode == SIMRT_REDUCED)
        simrt->o.preemptions = UINT32_MAX;
    if (searches())
        return;
    if (seeds)
        simrt->o.schedules = strtoull(seeds, NULL, 10);
    else if (seconds)
        simrt->o.schedules *= strtoull(seconds, NULL, 10);
}

/* Always the same, but under stress. */
static uint64_t first_seed(void)
{
    const char *text = getenv("WEFT_SEED");
    uint64_t seed = 1;
    if (text)
        return strtoull(text, NULL, 0);
    if (getenv("WEFT_STRESS_SECONDS") && getrandom(&seed, sizeof seed, 0) == sizeof seed)
        seed >>= 2; /* out of the way of the warm-up's */
    return seed;
}

static struct simrt_result run_seeds(void)
{
    struct simrt_result r = {0};
    uint64_t first = first_seed();
    warm_up(0);
    for (; r.schedules < simrt->o.schedules; r.schedules++) {
        run_one(first + r.schedules);
        if (simrt->failed)
            report(r.schedules + 1);
        if (simrt->points > simrt->most_points)
            simrt->most_points = simrt->points;
    }
    return r;
}

static struct simrt_result search_all(void)
{
    struct simrt_result r = {0};
    do {
        run_one(0);
        r.schedules += !simrt->cut;
        r.cut += simrt->cut;
        if (simrt->failed)
            report(r.schedules);
        if (simrt->o.schedules && r.schedules == simrt->o.schedules)
            return r;
    } while (next_way());
    r.complete = true;
    return r;
}

struct simrt_result simrt_explore(void (*body)(void *arg), void *arg, const struct simrt_opts *opts)
{
    struct simrt_result r;
    if (!simrt)
        simrt_memory_init();
    catch_crashes();
    options_take(opts);
    simrt->body = body;
    simrt->arg = arg;
    simrt->way_length = 0;
    simrt->all_steps = simrt->most_points = 0;
    if (replay_read())
        return (struct simrt_result){.schedules = 1};
    r = searches() ? search_all() : run_seeds();
    r.steps = simrt->all_steps;
    printf("# %s: %llu schedules, %llu steps%s\n", simrt->o.name, (unsigned long long)r.schedules,
        (unsigned long long)r.steps, r.complete ? ", complete" : "");
    return r;
}
