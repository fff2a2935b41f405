// SPDX-License-Identifier: Apache-2.0
/*
 * test_loop_timer.c - the timing wheel: against a model in virtual time, and on running loops.
 *
 * The model keeps each timer's due tick and the order of starts; the wheel is driven through
 * now_ns, so years pass in milliseconds.
 */
#include "io/loop_impl.h"
#include "loop_test.h"

/* ---- against a model ---- */

enum { TIMERS = 500 };

struct model_timer {
    weft_loop_timer timer;
    bool running;
    int64_t earliest_ns, latest_ns; /* allowed range of the turn that fires it, by the model */
    uint64_t started;               /* order of starts */
};

static struct {
    struct model_timer t[TIMERS];
    uint64_t starts, rnd, last_tick, last_start;
    size_t running, fired;
} model;

static void model_start(weft_loop *loop, struct model_timer *m)
{
    uint64_t *rnd = &model.rnd;
    int64_t delay = (int64_t)(next_random(rnd) >> (20 + next_random(rnd) % 44));
    int64_t slack =
        next_random(rnd) % 3 ? 0 : (int64_t)(next_random(rnd) >> (30 + next_random(rnd) % 34));
    if (delay > 100 * 365 * 24 * WEFT_HOUR)
        delay /= 64;
    model.running += !m->running;
    weft_loop_timer_start(loop, &m->timer, delay, slack);
    m->running = true;
    m->earliest_ns = loop->now_ns + delay;
    m->latest_ns = m->earliest_ns + slack + 2 * WEFT_LOOP_TICK_NS;
    m->started = ++model.starts;
    CHECK(weft_loop_timer_running(&m->timer));
}

static void model_fired(weft_loop *loop, weft_loop_timer *timer)
{
    struct model_timer *m = WEFT_LOOP_OWNER(timer, struct model_timer, timer);
    CHECK(m->running);
    CHECK(!weft_loop_timer_running(timer));
    CHECK(loop->now_ns >= m->earliest_ns);
    CHECK((int64_t)timer->tick * WEFT_LOOP_TICK_NS <= m->latest_ns);
    CHECK(timer->tick >= model.last_tick);
    if (timer->tick == model.last_tick)
        CHECK(m->started > model.last_start);
    model.last_tick = timer->tick;
    model.last_start = m->started;
    m->running = false;
    model.running--;
    model.fired++;
    struct model_timer *other = &model.t[next_random(&model.rnd) % TIMERS];
    if (next_random(&model.rnd) % 4 == 0)
        model_start(loop, m);
    if (next_random(&model.rnd) % 4 == 0) {
        CHECK_EQ(weft_loop_timer_stop(loop, &other->timer), other->running);
        model.running -= other->running;
        other->running = false;
    }
}

/* No timer whose latest time has passed may be left. */
static void model_check(weft_loop *loop)
{
    for (int i = 0; i < TIMERS; i++) {
        struct model_timer *m = &model.t[i];
        CHECK_EQ(weft_loop_timer_running(&m->timer), m->running);
        if (m->running)
            CHECK(m->latest_ns >= loop->now_ns);
    }
    CHECK_EQ(loop->wheel.count, model.running);
}

static int64_t model_step(const weft_loop *loop)
{
    int64_t wait = weft__loop_wheel_timeout(&loop->wheel, loop->now_ns);
    CHECK_EQ(wait < 0, model.running == 0);
    if (wait < 0 || next_random(&model.rnd) % 3)
        return (int64_t)(next_random(&model.rnd) >> (24 + next_random(&model.rnd) % 40));
    return wait; /* exactly to the next event */
}

TEST(wheel_against_model)
{
    weft_loop *loop = make_loop(WEFT_LOOP_EPOLL);
    model.rnd = test_seed();
    for (int i = 0; i < TIMERS; i++)
        model.t[i].timer.fn = model_fired;
    for (int round = 0; round < 20000; round++) {
        for (int k = (int)(next_random(&model.rnd) % 8); k > 0; k--)
            model_start(loop, &model.t[next_random(&model.rnd) % TIMERS]);
        int64_t step = model_step(loop);
        if (loop->now_ns < INT64_MAX / 2 - step)
            loop->now_ns += step;
        model.last_tick = 0;
        weft__loop_wheel_run(loop);
        model_check(loop);
    }
    CHECK(model.fired > 1000);
    weft_loop_free(loop);
}

TEST(the_wait_is_never_past_the_next_timer)
{
    weft_loop *loop = make_loop(WEFT_LOOP_EPOLL);
    uint64_t rnd = test_seed();
    weft_loop_timer t = {.fn = NULL};
    for (int i = 0; i < 20000; i++) {
        int64_t delay = (int64_t)(next_random(&rnd) >> (22 + next_random(&rnd) % 42));
        weft_loop_timer_start(loop, &t, delay, 0);
        int64_t wait = weft__loop_wheel_timeout(&loop->wheel, loop->now_ns);
        CHECK(wait >= 0 && wait <= delay + 2 * WEFT_LOOP_TICK_NS);
        CHECK_EQ(weft_loop_timer_stop(loop, &t), true);
        CHECK_EQ(weft__loop_wheel_timeout(&loop->wheel, loop->now_ns), -1);
    }
    weft_loop_free(loop);
}

TEST(extreme_deadlines)
{
    weft_loop *loop = make_loop(WEFT_LOOP_EPOLL);
    weft_loop_timer t = {.fn = NULL};
    weft_loop_timer_start(loop, &t, INT64_MAX, INT64_MAX);
    CHECK(weft_loop_timer_running(&t));
    weft_loop_timer_start(loop, &t, INT64_MAX, 0);
    weft_loop_timer_start_at(loop, &t, INT64_MAX, INT64_MAX);
    CHECK(weft__loop_wheel_timeout(&loop->wheel, loop->now_ns) > 0);
    weft_loop_timer_start(loop, &t, INT64_MIN, -5);
    weft_loop_timer_start_at(loop, &t, INT64_MIN, 0);
    CHECK(weft__loop_wheel_timeout(&loop->wheel, loop->now_ns) <= WEFT_LOOP_TICK_NS);
    CHECK(weft_loop_timer_stop(loop, &t));
    CHECK(!weft_loop_timer_stop(loop, &t));
    weft_loop_free(loop);
}

/* ---- on running loops ---- */

enum { MANY = 20000 };

struct real_timer {
    weft_loop_timer timer;
    int64_t deadline_ns;
};
static struct real_timer real[MANY];
static int fired;
static uint64_t last_tick;

static void real_fired(weft_loop *loop, weft_loop_timer *timer)
{
    struct real_timer *r = WEFT_LOOP_OWNER(timer, struct real_timer, timer);
    CHECK(weft_loop_now_ns(loop) >= r->deadline_ns);
    CHECK(timer->tick >= last_tick);
    last_tick = timer->tick;
    if (++fired == MANY)
        weft_loop_stop(loop);
}

BOTH(twenty_thousand_timers)
{
    weft_loop *loop = make_loop(kind);
    uint64_t rnd = test_seed();
    for (int i = 0; i < MANY; i++) {
        int64_t delay = (int64_t)(next_random(&rnd) % (uint64_t)(200 * WEFT_MS));
        real[i].timer.fn = real_fired;
        real[i].deadline_ns = weft_loop_now_ns(loop) + delay;
        weft_loop_timer_start(loop, &real[i].timer, delay, i % 2 ? 0 : 10 * WEFT_MS);
    }
    CHECK_EQ(weft_loop_run(loop), 0);
    CHECK_EQ(fired, MANY);
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.timers_fired, MANY);
    CHECK_EQ(st.timer_count, 0);
    weft_loop_free(loop);
}

/* Three timers of one tick: the first stops the second and frees it. */
static weft_loop_timer *one, *two, *three;
static char calls[16];

static void first_fired(weft_loop *loop, weft_loop_timer *timer)
{
    strcat(calls, "1");
    CHECK(weft_loop_timer_stop(loop, two));
    free(two);
    two = NULL;
}

static void second_fired(weft_loop *loop, weft_loop_timer *timer)
{
    strcat(calls, "2");
}

static void third_fired(weft_loop *loop, weft_loop_timer *timer)
{
    strcat(calls, "3");
    free(timer);
    three = NULL;
}

BOTH(a_timer_is_stopped_by_another_of_its_tick)
{
    weft_loop *loop = make_loop(kind);
    weft_loop_timer **all[] = {&one, &two, &three};
    weft_loop_timer_fn *fn[] = {first_fired, second_fired, third_fired};
    for (int i = 0; i < 3; i++) {
        *all[i] = calloc(1, sizeof(weft_loop_timer));
        (*all[i])->fn = fn[i];
        weft_loop_timer_start_at(loop, *all[i], weft_loop_now_ns(loop) + 2 * WEFT_MS, 0);
    }
    TURN_UNTIL(loop, three == NULL);
    CHECK_STR(calls, "13");
    CHECK(!weft_loop_timer_stop(loop, one));
    free(one);
    weft_loop_free(loop);
}

static int ticks;

static void start_again(weft_loop *loop, weft_loop_timer *timer)
{
    ticks++;
    weft_loop_timer_start(loop, timer, 0, 0);
}

BOTH(a_timer_restarted_at_once_fires_once_a_turn)
{
    weft_loop *loop = make_loop(kind);
    weft_loop_timer t = {.fn = start_again};
    weft_loop_timer_start(loop, &t, 0, 0);
    while (ticks < 20) {
        int before = ticks;
        CHECK_EQ(weft_loop_step(loop, -1), 0);
        CHECK(ticks <= before + 1);
    }
    weft_loop_free(loop);
}
