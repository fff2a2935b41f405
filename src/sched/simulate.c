// SPDX-License-Identifier: Apache-2.0
/*
 * simulate.c - the scheduler of a simulation (simulate.h): who could go on, virtual time, and the
 * ends of a schedule.
 *
 * Every switch of a fiber leads to the idle stack (worker.turns stands at the pick that always
 * does), where this loop stands:
 *
 *     collect    those that became runnable during the last turn: from the ring, the hand-off
 *                slot, the global queue, into one list in the order of their becoming so
 *     candidates [current, if it stopped at a point] [the others of the list] [timers due] [clock]
 *     choose     the driver's, where there are two or more
 *     take       switch to the fiber, or fire the timer; without candidates time jumps
 *
 * The fibers make themselves runnable by the same code as ever, so nothing of park.c, runq.c or the
 * sync kit knows that it is simulated, but for the places that docs/design/simulator.md lists.
 *
 * Y1  A fiber that yielded is a candidate only as the first of the list, and while no timer is due:
 *     all that could come before it yielded have had a turn. So there is always a candidate while
 *     anyone can run.
 * Y2  When all in the list have done nothing but yield for IDLE_ROUNDS rounds, time goes on a
 *     little, and again each round: who waits for a point in time by yielding arrives there.
 * Y3  A schedule is a function of the driver's answers: no address, clock or chance of the machine
 *     comes in. (The list is in order of events; timers that are due come in the heap's order,
 *     which depends on what was armed and stopped.)
 * Y4  A schedule that has failed is left by a switch to the idle stack; the fiber stays parked for
 *     ever, as do all others (runtime.c: left over).
 *
 * Memory is allocated here inside the runtime, against A1 of alloc.h: no monitor stops a fiber
 * here that might hold the allocator's lock.
 */
#include "sched/ring.h"
#include "sched/simulate.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <weft/error.h>

#include "base/alloc.h"
#include "base/fatal.h"
#include "base/hooks.h"
#include "sched/worker.h"

enum { DUE = 64 /* timers due at one instant that can be told apart */, TEXT = 512 };
enum { IDLE_ROUNDS = 16, IDLE_TICK_NS = 1000000 }; /* Y2 */

struct entry {
    struct weft__fiber *fiber;
    bool yielded;
};

static struct simulation {
    const struct weft__sim_driver *driver;
    struct weft__mach *mach;
    struct weft__worker *worker;
    struct entry *list; /* who can run; kept from schedule to schedule */
    uint64_t *who;      /* candidates */
    unsigned *pick;     /* of those that are fibers: where in the list */
    unsigned count, room;
    struct weft__fiber *current; /* whose turn was the last; NULL: it waits or is gone */
    enum weft__sim_how how;      /* why it ended: POINT or YIELD, where current is set */
    bool at_point;               /* set on the way out */
    uintptr_t pcs[WEFT__SIM_FRAMES];
    unsigned quiet_yields; /* Y2 */
    uint64_t steps, first_id;
    int error;
    char text[TEXT];
} sim;

/* ---- what fibers ask ---- */

bool weft__sim_here(void)
{
    struct weft__mach *m = weft__mach_self();
    return m && weft__sched.sim && m == sim.mach;
}

static bool on_fiber(void)
{
    return weft__sim_here() && !(sim.mach->t.cur->flags & (WEFT__F_THREAD | WEFT__F_IDLE));
}

uint64_t weft__sim_number(const struct weft__fiber *f)
{
    return f->id - sim.first_id + 1;
}

bool weft__sim_owns(const struct weft__fiber *f)
{
    return sim.first_id && f->id >= sim.first_id;
}

/* Not during the drain, or it would be over while fibers can still run. */
static bool clock_may_run(void)
{
    return sim.driver->slow_clock && !at_load(&weft__sched.draining);
}

static bool anyone_else(void)
{
    struct weft__worker *w = sim.worker;
    int64_t next = at_load(&w->heap.next_ns);
    return sim.count > 0 || at_load(&w->next) || !weft__ring_empty(w) ||
           at_load(&weft__sched.global_count) > 0 || next <= weft__virtual_ns ||
           (clock_may_run() && next != INT64_MAX);
}

/* The way from the caller's user to here; the reader picks the frame that says most. */
static void note_frames(const struct weft__fiber *f, uintptr_t fp)
{
    uintptr_t low = (uintptr_t)f->stack_low, high = (uintptr_t)f;
    unsigned n = 0;
    while (n < WEFT__SIM_FRAMES && fp >= low && fp < high - 16 && fp % 8 == 0) {
        const uintptr_t *frame = (const uintptr_t *)fp;
        sim.pcs[n++] = frame[1];
        if (frame[0] <= fp)
            break;
        fp = frame[0];
    }
    if (n < WEFT__SIM_FRAMES)
        sim.pcs[n] = 0;
}

void weft__sim_fail(int error, const char *text)
{
    if (sim.error)
        return;
    sim.error = error;
    snprintf(sim.text, sizeof sim.text, "%s", text);
}

void weft__sim_give_up(int error, const char *text)
{
    struct weft__mach *m = sim.mach;
    struct weft__fiber *f = m->t.cur;
    if (!at_load(&m->t.in_rt)) {
        at_store(&m->t.in_rt, 1);
        weft__tsan_quiet();
    }
    weft__rank_forget();
    weft__sim_fail(error, text);
    at_store(&f->state, (uint32_t)WEFT__RUNNABLE);
    m->op = WEFT__OP_NONE;
    weft__switch_to(m, f, &m->idle); /* Y4 */
    __builtin_unreachable();
}

static void too_many_steps(void)
{
    char text[TEXT];
    snprintf(text, sizeof text,
        "no end after %llu steps: a loop that nothing ends, or max_steps is too small",
        (unsigned long long)sim.steps);
    if (on_fiber())
        weft__sim_give_up(-ETIME, text);
    weft__sim_fail(-ETIME, text);
}

__attribute__((noinline)) void weft__sim_stop(void)
{
    if (!on_fiber())
        return;
    if (++sim.steps > sim.driver->max_steps)
        too_many_steps();
    if (!anyone_else())
        return;
    note_frames(sim.mach->t.cur, (uintptr_t)__builtin_frame_address(0));
    sim.at_point = true;
    weft__yield();
}

void weft__sim_mark_point(void)
{
    note_frames(sim.mach->t.cur, (uintptr_t)__builtin_frame_address(0));
    sim.at_point = true;
}

static uint32_t choose(uint32_t bound, bool costly, const uint64_t *who)
{
    if (bound < 2)
        return 0;
    struct weft__sim_choice c = {.bound = bound, .costly = costly, .who = who, .steps = sim.steps};
    uint32_t i = sim.driver->choose(sim.driver->arg, &c);
    WEFT_CHECK(i < bound);
    return i;
}

uint32_t weft__sim_choose(uint32_t bound)
{
    return choose(bound, false, NULL);
}

/* The process would end for this. */
static void on_give_up(const char *what, const char *text)
{
    char whole[TEXT];
    if (!on_fiber())
        return;
    snprintf(whole, sizeof whole, "%s: %s", what, text);
    weft__sim_give_up(-WEFT_EPANIC, whole);
}

/* ---- the list ---- */

/* False: no memory, and the schedule has failed. */
static bool make_room(unsigned more)
{
    unsigned room = sim.room ? sim.room : 64;
    while (room < sim.count + more)
        room *= 2;
    if (room == sim.room)
        return true;
    struct entry *list = weft__realloc(sim.list, room * sizeof *list);
    sim.list = list ? list : sim.list;
    uint64_t *who = weft__realloc(sim.who, (room + DUE + 1) * sizeof *who);
    sim.who = who ? who : sim.who;
    unsigned *pick = weft__realloc(sim.pick, (room + DUE + 1) * sizeof *pick);
    sim.pick = pick ? pick : sim.pick;
    if (!list || !who || !pick) {
        weft__sim_fail(-ENOMEM, "no memory for the simulation");
        return false;
    }
    sim.room = room;
    return true;
}

static void add(struct weft__fiber *f, bool yielded)
{
    if (make_room(1))
        sim.list[sim.count++] = (struct entry){.fiber = f, .yielded = yielded};
}

/* The current fiber comes last, whichever queue it went to: it became runnable after those that it
 * woke. */
static bool add_other(struct weft__fiber *f)
{
    if (f == sim.current)
        return false;
    add(f, false);
    return true;
}

static void collect(void)
{
    struct weft__worker *w = sim.worker;
    struct weft__fiber *f;
    bool others = false;
    while ((f = weft__ring_pop(w)))
        others |= add_other(f);
    if ((f = at_xchg(&w->next, NULL)))
        others |= add_other(f);
    while ((f = weft__global_take(w))) { /* may put more into the ring */
        others |= add_other(f);
        while ((f = weft__ring_pop(w)))
            others |= add_other(f);
    }
    if (sim.current)
        add(sim.current, sim.how == WEFT__SIM_YIELD);
    if (others || !sim.current)
        sim.quiet_yields = 0;
    else if (sim.how == WEFT__SIM_YIELD)
        sim.quiet_yields++;
}

static unsigned candidates(struct weft__timer **due, unsigned *ret_fibers)
{
    int64_t now = weft__virtual_ns, next = at_load(&sim.worker->heap.next_ns);
    unsigned n = 0, first = UINT_MAX;
    unsigned timers = next <= now ? weft__timers_due(&sim.worker->heap, now, due, DUE) : 0;
    if (sim.current && sim.how == WEFT__SIM_POINT) {
        first = sim.count - 1;
        sim.pick[n++] = first;
    }
    for (unsigned i = 0; i < sim.count; i++)
        if (i != first && (!sim.list[i].yielded || (i == 0 && !timers))) /* Y1 */
            sim.pick[n++] = i;
    for (unsigned i = 0; i < n; i++)
        sim.who[i] = weft__sim_number(sim.list[sim.pick[i]].fiber);
    *ret_fibers = n;
    for (unsigned i = 0; i < timers; i++)
        sim.who[n++] = WEFT__SIM_TIMER + i;
    if (clock_may_run() && n > 0 && next > now && next != INT64_MAX)
        sim.who[n++] = WEFT__SIM_CLOCK;
    return n;
}

/* ---- time ---- */

static void set_time(int64_t now)
{
    weft__virtual_ns = now;
    at_store(&weft__sched.coarse_ns, now);
}

static void tell(struct weft__sim_step s)
{
    s.now_ns = weft__virtual_ns;
    sim.driver->step(sim.driver->arg, &s);
}

static void advance(int64_t to)
{
    if (to <= weft__virtual_ns)
        return;
    set_time(to);
    tell((struct weft__sim_step){.who = WEFT__SIM_CLOCK, .how = WEFT__SIM_ADVANCE});
}

static int64_t next_timer(void)
{
    return at_load(&sim.worker->heap.next_ns);
}

/* Y2 */
static void time_for_the_idle(void)
{
    if (sim.count == 0 || sim.quiet_yields < IDLE_ROUNDS * sim.count)
        return;
    for (unsigned i = 0; i < sim.count; i++)
        if (!sim.list[i].yielded)
            return;
    int64_t tick = weft__virtual_ns + IDLE_TICK_NS, next = next_timer();
    sim.quiet_yields -= sim.count;
    if (next > weft__virtual_ns)
        advance(next < tick ? next : tick);
}

/* ---- turns ---- */

static void forget_current(void)
{
    sim.current = NULL;
    sim.at_point = false;
    sim.pcs[0] = 0;
}

static enum weft__sim_how how_it_ended(const struct weft__fiber *f)
{
    if (sim.error)
        return WEFT__SIM_GIVE_UP;
    if (sim.at_point)
        return WEFT__SIM_POINT;
    switch ((enum weft__state)at_load(&f->state)) {
    case WEFT__DEAD:
        return WEFT__SIM_END;
    case WEFT__WAITING:
        return WEFT__SIM_WAIT;
    default: /* runnable: a wait that was over before it began still has its reason */
        return at_load(&f->park_reason) == WEFT__WAIT_NONE ? WEFT__SIM_YIELD : WEFT__SIM_WAIT;
    }
}

static void run_fiber(unsigned at)
{
    struct weft__mach *m = sim.mach;
    struct weft__fiber *f = sim.list[at].fiber;
    uint64_t who = weft__sim_number(f);
    memmove(&sim.list[at], &sim.list[at + 1], (sim.count - at - 1) * sizeof *sim.list);
    sim.count--;
    forget_current();
    sim.worker->switches++;
    weft__switch_to(m, &m->idle, f);
    struct weft__sim_step s = {.who = who, .how = how_it_ended(f)};
    if (s.how == WEFT__SIM_WAIT) {
        s.reason = (enum weft__reason)at_load(&f->park_reason);
        s.object = f->park_object;
        s.pcs[0] = (uintptr_t)f->park_caller;
    } else if (s.how == WEFT__SIM_POINT) {
        memcpy(s.pcs, sim.pcs, sizeof s.pcs);
    }
    sim.how = s.how;
    if (s.how == WEFT__SIM_POINT || s.how == WEFT__SIM_YIELD)
        sim.current = f;
    tell(s);
}

static void fire(struct weft__timer *t)
{
    forget_current();
    weft__timer_fire(&sim.worker->heap, t);
    tell((struct weft__sim_step){.who = WEFT__SIM_TIMER, .how = WEFT__SIM_FIRE});
}

/* Nobody can run and nothing is due. False: the schedule is over. */
static bool wait_for_time(void)
{
    int64_t live, next = next_timer();
    if (!weft__live_fibers(&live) && at_load(&weft__sched.draining))
        return false;
    if (next == INT64_MAX) {
        weft__sim_fail(-EDEADLK, "deadlock: every fiber waits, and no timer is pending");
        return false;
    }
    advance(next);
    return true;
}

/* False: the schedule is over. */
static bool one_turn(void)
{
    struct weft__timer *due[DUE];
    unsigned fibers;
    collect();
    if (sim.error)
        return false;
    time_for_the_idle();
    unsigned n = candidates(due, &fibers);
    if (n == 0)
        return wait_for_time();
    if (++sim.steps > sim.driver->max_steps) {
        too_many_steps();
        return false;
    }
    bool costly = sim.current && sim.how == WEFT__SIM_POINT;
    uint32_t i = choose(n, costly, sim.who);
    if (i < fibers) {
        run_fiber(sim.pick[i]);
    } else if (sim.who[i] == WEFT__SIM_CLOCK) {
        forget_current();
        advance(next_timer());
    } else {
        fire(due[i - fibers]);
    }
    return !sim.error && !at_load(&weft__sched.stopping);
}

/* The timers that a good schedule left (DUE of them at most): each fires once, for nobody. */
static void flush_timers(void)
{
    struct weft__heap *h = &sim.worker->heap;
    struct weft__timer *due[DUE];
    weft__timer_stop(&weft__sched.drain_timer);
    at_store(&weft__sched.stopping, 1);
    unsigned n = weft__timers_due(h, INT64_MAX - 1, due, DUE);
    for (unsigned i = 0; i < n; i++) {
        if (at_load(&due[i]->heap) != h)
            continue; /* one before has stopped it; nothing is freed in here (alloc.h A1) */
        if (due[i]->when_ns > weft__virtual_ns)
            set_time(due[i]->when_ns);
        weft__timer_fire(h, due[i]);
    }
}

void weft__sim_loop(struct weft__mach *m)
{
    (void)m;
    sim.first_id = sim.worker->next_id - 1; /* the entry's, just started */
    while (!sim.error && one_turn())
        ;
    if (!sim.error && at_load(&weft__sched.timed_out))
        weft__sim_fail(
            -ETIMEDOUT, "fibers were left over: the function has returned, and they did not end");
    if (sim.error) {
        at_store(&weft__sched.timed_out, 1);
        sim.driver->failed(sim.driver->arg, sim.error, sim.text);
    } else {
        flush_timers();
    }
    weft__timers_drop(&sim.worker->heap); /* virtual times mean nothing to the next run */
}

/* ---- begin and end; on the idle stack ---- */

void weft__sim_begin(struct weft__mach *m)
{
    struct weft__worker *w = weft__mach_worker(m);
    sim.driver = weft__sched.sim;
    sim.mach = m;
    sim.worker = w;
    sim.count = 0;
    sim.quiet_yields = 0;
    sim.steps = 0;
    sim.error = 0;
    sim.first_id = 0;
    forget_current();
    make_room(1);
    at_store(&w->turns, WEFT__POLL_TURNS - 1);
    w->rand.state = 0;
    if (!sim.driver->waits_only) {
        w->relief = 0;
        at_store(&m->t.attention, WEFT__ATT_SIM);
    }
    weft__virtual_ns = WEFT__SIM_START_S * (int64_t)1000000000;
    at_store(&weft__virtual_thread, &m->t);
    at_store(&weft__sched.coarse_ns, weft__virtual_ns);
    weft__give_up_hook = on_give_up;
}

void weft__sim_end(void)
{
    weft__give_up_hook = NULL;
    at_store(&weft__virtual_thread, NULL);
    at_store(&weft__sched.coarse_ns, weft__clock_ns());
    at_store(&sim.mach->t.attention, 0);
    sim.mach = NULL;
    sim.first_id = 0;
}
