// SPDX-License-Identifier: Apache-2.0
/*
 * test_loop.c - life of a loop, messages, deferral, stop, choice of the back end, embedding.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <semaphore.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "io/loop_view.h"
#include "loop_test.h"

/* ---- life ---- */

BOTH(new_and_free)
{
    weft_loop *loop = make_loop_opts(kind, (weft_loop_opts){.data = &kind});
    CHECK_STR(weft_loop_backend(loop), kind == WEFT_LOOP_EPOLL ? "epoll" : "io_uring");
    CHECK(weft_loop_backend_note(loop)[0]);
    CHECK(weft_loop_data(loop) == &kind);
    CHECK(weft_loop_self() == NULL);
    CHECK(weft_loop_now_ns(loop) > 0);
    weft_loop_free(loop);
    weft_loop_free(NULL);
}

TEST(bad_options)
{
    weft_loop *loop = (weft_loop *)1;
    CHECK_EQ(weft_loop_new(&(weft_loop_opts){.size = 3}, &loop), -EINVAL);
    CHECK_EQ(weft_loop_new(&(weft_loop_opts){.size = 4096}, &loop), -EINVAL);
    weft_loop_opts odd = {.size = sizeof odd, .kind = (enum weft_loop_kind)9};
    CHECK_EQ(weft_loop_new(&odd, &loop), -EINVAL);
    CHECK(loop == (weft_loop *)1);
}

struct count_msg {
    weft_loop_msg msg;
    int calls;
    weft_loop *seen_self;
};

static void count_call(weft_loop *loop, weft_loop_msg *msg)
{
    struct count_msg *c = WEFT_LOOP_OWNER(msg, struct count_msg, msg);
    c->calls++;
    c->seen_self = weft_loop_self();
}

static void stop_call(weft_loop *loop, weft_loop_msg *msg)
{
    weft_loop_stop(loop);
}

BOTH(run_until_stop)
{
    weft_loop *loop = make_loop(kind);
    struct count_msg a = {.msg.fn = count_call};
    weft_loop_msg stop = {.fn = stop_call};
    weft_loop_post(loop, &a.msg);
    weft_loop_post(loop, &stop);
    CHECK_EQ(weft_loop_run(loop), 0);
    CHECK_EQ(a.calls, 1);
    CHECK(a.seen_self == loop);
    CHECK(weft_loop_self() == NULL);
    /* It runs again, and a stop that came before counts. */
    weft_loop_post(loop, &a.msg);
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_run(loop), 0);
    CHECK_EQ(a.calls, 2);
    weft_loop_free(loop);
}

static void nested_run(weft_loop *loop, weft_loop_msg *msg)
{
    struct count_msg *c = WEFT_LOOP_OWNER(msg, struct count_msg, msg);
    c->calls = weft_loop_run(loop);
    CHECK_EQ(weft_loop_step(loop, 0), -EBUSY);
    weft_loop_stop(loop);
}

BOTH(run_inside_run_is_refused)
{
    weft_loop *loop = make_loop(kind);
    struct count_msg c = {.msg.fn = nested_run};
    weft_loop_post(loop, &c.msg);
    CHECK_EQ(weft_loop_run(loop), 0);
    CHECK_EQ(c.calls, -EBUSY);
    weft_loop_free(loop);
}

static void *step_elsewhere(void *arg)
{
    return (void *)(intptr_t)weft_loop_step(arg, 0);
}

BOTH(a_loop_keeps_its_thread)
{
    weft_loop *loop = make_loop(kind);
    CHECK_EQ(weft_loop_step(loop, 0), 0);
    pthread_t t;
    void *rc;
    CHECK_EQ(pthread_create(&t, NULL, step_elsewhere, loop), 0);
    pthread_join(t, &rc);
    CHECK_EQ((intptr_t)rc, -EXDEV);
    CHECK_EQ(weft_loop_start(loop), -EBUSY);
    weft_loop_free(loop);
}

struct name_msg {
    weft_loop_msg msg;
    char name[16];
    int cpus;
    sem_t done;
};

static void read_name(weft_loop *loop, weft_loop_msg *msg)
{
    struct name_msg *n = WEFT_LOOP_OWNER(msg, struct name_msg, msg);
    cpu_set_t set;
    CHECK_EQ(prctl(PR_GET_NAME, n->name), 0);
    CHECK_EQ(pthread_getaffinity_np(pthread_self(), sizeof set, &set), 0);
    n->cpus = CPU_COUNT(&set);
    CHECK(CPU_ISSET(0, &set));
    sem_post(&n->done);
}

BOTH(thread_has_name_and_processor)
{
    weft_loop *loop =
        make_loop_opts(kind, (weft_loop_opts){.name = "shard-0", .pin = true, .cpu = 0});
    struct name_msg n = {.msg.fn = read_name};
    sem_init(&n.done, 0, 0);
    CHECK_EQ(weft_loop_start(loop), 0);
    CHECK_EQ(weft_loop_start(loop), -EBUSY);
    weft_loop_post(loop, &n.msg);
    sem_wait(&n.done);
    /* The name is given by the starter, perhaps only now. */
    CHECK_EQ(n.cpus, 1);
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_join(loop), 0);
    CHECK_EQ(weft_loop_join(loop), -EINVAL);
    weft_loop_free(loop);
}

/* Who looks right after the start sees the loop turn, on its thread. */
BOTH(a_start_returns_when_the_loop_turns)
{
    for (int i = 0; i < 200; i++) {
        struct weft__loop_view v;
        weft_loop *loop = make_loop(kind);
        CHECK_EQ(weft_loop_start(loop), 0);
        CHECK_EQ(weft__loops_view(&v, 1), 1);
        CHECK(v.tid != 0 && v.place != WEFT__LOOP_AWAY);
        weft_loop_stop(loop);
        CHECK_EQ(weft_loop_join(loop), 0);
        weft_loop_free(loop);
    }
}

BOTH(no_such_processor)
{
    weft_loop *loop = make_loop_opts(kind, (weft_loop_opts){.pin = true, .cpu = 1000});
    CHECK_EQ(weft_loop_start(loop), -EINVAL);
    CHECK_EQ(weft_loop_run(loop), -EINVAL);
    weft_loop_free(loop);
}

static void free_running(void)
{
    weft_loop *loop = make_loop(WEFT_LOOP_EPOLL);
    CHECK_EQ(weft_loop_start(loop), 0);
    weft_loop_free(loop);
}

TEST(free_of_a_running_loop_is_misuse)
{
    EXPECT_DEATH(free_running, "weft_loop_free of loop");
}

/* ---- the choice of the back end ---- */

static void deny_uring_setup(int err)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ((uint32_t)err & SECCOMP_RET_DATA)),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog prog = {.len = sizeof code / sizeof code[0], .filter = code};
    CHECK_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    CHECK_EQ(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog), 0);
}

static void expect_fallback(int err, int forced_rc, const char *word)
{
    weft_loop *loop;
    unsetenv("WEFT_IO");
    deny_uring_setup(err);
    CHECK_EQ(weft_loop_new(NULL, &loop), 0);
    CHECK_STR(weft_loop_backend(loop), "epoll");
    CHECK_MSG(strstr(weft_loop_backend_note(loop), word), "note: %s", weft_loop_backend_note(loop));
    weft_loop_free(loop);
    weft_loop_opts o = {.size = sizeof o, .kind = WEFT_LOOP_URING};
    CHECK_EQ(weft_loop_new(&o, &loop), forced_rc);
    setenv("WEFT_IO", "uring", 1);
    CHECK_EQ(weft_loop_new(NULL, &loop), forced_rc);
}

TEST(falls_back_where_io_uring_is_forbidden)
{
    expect_fallback(EPERM, -EPERM, "forbidden");
}

TEST(falls_back_where_io_uring_is_missing)
{
    expect_fallback(ENOSYS, -ENOSYS, "no io_uring");
}

TEST(epoll_for_very_many)
{
    weft_loop *loop;
    unsetenv("WEFT_IO");
    weft_loop_opts o = {.size = sizeof o, .max_fds = 1000000};
    CHECK_EQ(weft_loop_new(&o, &loop), 0);
    CHECK_STR(weft_loop_backend(loop), "epoll");
    CHECK(strstr(weft_loop_backend_note(loop), "1000000"));
    weft_loop_free(loop);
}

TEST(environment_decides)
{
    weft_loop *loop;
    setenv("WEFT_IO", "epoll", 1);
    CHECK_EQ(weft_loop_new(NULL, &loop), 0);
    CHECK_STR(weft_loop_backend(loop), "epoll");
    weft_loop_free(loop);
    setenv("WEFT_IO", "kqueue", 1);
    CHECK_EQ(weft_loop_new(NULL, &loop), -EINVAL);
    setenv("WEFT_IO", "", 1);
    CHECK_EQ(weft_loop_new(NULL, &loop), 0);
    weft_loop_free(loop);
}

/* ---- messages ---- */

struct numbered {
    weft_loop_msg msg;
    int poster, number;
};

enum { POSTERS = 4, POSTS = 50000 };
static struct {
    int next[POSTERS];
    int total;
} order;

static void check_order(weft_loop *loop, weft_loop_msg *msg)
{
    struct numbered *m = WEFT_LOOP_OWNER(msg, struct numbered, msg);
    CHECK_EQ(m->number, order.next[m->poster]);
    order.next[m->poster]++;
    if (++order.total == POSTERS * POSTS)
        weft_loop_stop(loop);
    free(m);
}

struct poster {
    weft_loop *loop;
    int id;
};

/* Single messages, and now and then a list of up to nine. */
static void *post_many(void *arg)
{
    struct poster *p = arg;
    uint64_t rnd = test_seed() + (uint64_t)p->id;
    for (int i = 0; i < POSTS;) {
        int n = next_random(&rnd) % 8 ? 1 : 1 + (int)(next_random(&rnd) % 9);
        weft_loop_msg *first = NULL, *last = NULL;
        for (int k = 0; k < n && i < POSTS; k++, i++) {
            struct numbered *m = malloc(sizeof *m);
            *m = (struct numbered){.msg.fn = check_order, .poster = p->id, .number = i};
            if (last)
                last->next = &m->msg;
            else
                first = &m->msg;
            last = &m->msg;
        }
        weft_loop_post_list(p->loop, first, last);
        if (next_random(&rnd) % 64 == 0)
            sched_yield();
    }
    return NULL;
}

BOTH(posts_from_many_threads)
{
    weft_loop *loop = make_loop(kind);
    pthread_t t[POSTERS];
    struct poster p[POSTERS];
    CHECK_EQ(weft_loop_start(loop), 0);
    for (int i = 0; i < POSTERS; i++) {
        p[i] = (struct poster){loop, i};
        CHECK_EQ(pthread_create(&t[i], NULL, post_many, &p[i]), 0);
    }
    for (int i = 0; i < POSTERS; i++)
        pthread_join(t[i], NULL);
    CHECK_EQ(weft_loop_join(loop), 0);
    CHECK_EQ(order.total, POSTERS * POSTS);
    weft_loop_stats st;
    weft_loop_stats_get(loop, &st);
    CHECK_EQ(st.messages, POSTERS * POSTS);
    CHECK(st.wakeups <= st.messages + 1);
    weft_loop_free(loop);
}

/* One message in flight at a time: each must wake a loop that is about to sleep or asleep. */
struct ball {
    weft_loop_msg msg;
    sem_t back;
};

static void ball_back(weft_loop *loop, weft_loop_msg *msg)
{
    sem_post(&WEFT_LOOP_OWNER(msg, struct ball, msg)->back);
}

BOTH(every_post_wakes_a_sleeping_loop)
{
    weft_loop *loop = make_loop(kind);
    struct ball b = {.msg.fn = ball_back};
    sem_init(&b.back, 0, 0);
    CHECK_EQ(weft_loop_start(loop), 0);
    for (int i = 0; i < 20000; i++) {
        weft_loop_post(loop, &b.msg);
        while (sem_wait(&b.back) != 0)
            ;
    }
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_join(loop), 0);
    weft_loop_free(loop);
}

struct relay {
    weft_loop_msg msg;
    weft_loop *sides[2];
    int hops;
};

static void relay_on(weft_loop *loop, weft_loop_msg *msg)
{
    struct relay *r = WEFT_LOOP_OWNER(msg, struct relay, msg);
    if (++r->hops == 30000) {
        weft_loop_stop(r->sides[0]);
        weft_loop_stop(r->sides[1]);
        return;
    }
    weft_loop_post(r->sides[loop == r->sides[0]], msg);
}

BOTH(two_loops_pass_messages)
{
    struct relay r[3] = {{.msg.fn = NULL}};
    weft_loop *a = make_loop(kind), *b = make_loop(kind);
    CHECK_EQ(weft_loop_start(a), 0);
    CHECK_EQ(weft_loop_start(b), 0);
    for (int i = 0; i < 3; i++) {
        r[i] = (struct relay){.msg.fn = relay_on, .sides = {a, b}};
        weft_loop_post(a, &r[i].msg);
    }
    CHECK_EQ(weft_loop_join(a), 0);
    CHECK_EQ(weft_loop_join(b), 0);
    CHECK(r[0].hops >= 30000 || r[1].hops >= 30000 || r[2].hops >= 30000);
    weft_loop_free(a);
    weft_loop_free(b);
}

struct chatter {
    weft_loop_msg msg;
    int calls;
};

static void post_again(weft_loop *loop, weft_loop_msg *msg)
{
    WEFT_LOOP_OWNER(msg, struct chatter, msg)->calls++;
    weft_loop_post(loop, msg);
}

BOTH(a_message_that_posts_itself_comes_once_a_turn)
{
    weft_loop *loop = make_loop(kind);
    struct chatter a = {.msg.fn = post_again}, b = a;
    weft_loop_post(loop, &a.msg);
    weft_loop_post(loop, &b.msg);
    for (int i = 1; i <= 50; i++) {
        CHECK_EQ(weft_loop_step(loop, -1), 0);
        CHECK_EQ(a.calls, i);
        CHECK_EQ(b.calls, i);
    }
    weft_loop_free(loop);
}

BOTH(posts_before_a_stop_are_delivered)
{
    weft_loop *loop = make_loop(kind);
    struct count_msg c[100];
    CHECK_EQ(weft_loop_start(loop), 0);
    for (int i = 0; i < 100; i++) {
        c[i] = (struct count_msg){.msg.fn = count_call};
        weft_loop_post(loop, &c[i].msg);
    }
    weft_loop_stop(loop);
    CHECK_EQ(weft_loop_join(loop), 0);
    for (int i = 0; i < 100; i++)
        CHECK_EQ(c[i].calls, 1);
    weft_loop_free(loop);
}

/* ---- deferral ---- */

static char trail[64];

struct letter {
    weft_loop_msg msg, deferred;
    char c, d;
};

static void write_deferred(weft_loop *loop, weft_loop_msg *msg)
{
    struct letter *l = WEFT_LOOP_OWNER(msg, struct letter, deferred);
    strncat(trail, &l->d, 1);
    if (l->d == 'x') {
        l->d = 'y';
        weft_loop_defer(loop, msg);
    }
}

static void write_letter(weft_loop *loop, weft_loop_msg *msg)
{
    struct letter *l = WEFT_LOOP_OWNER(msg, struct letter, msg);
    strncat(trail, &l->c, 1);
    l->deferred.fn = write_deferred;
    weft_loop_defer(loop, &l->deferred);
}

BOTH(deferred_come_at_the_end_of_the_turn)
{
    weft_loop *loop = make_loop(kind);
    struct letter l[3] = {{.c = 'a', .d = 'x'}, {.c = 'b', .d = '2'}, {.c = 'c', .d = '3'}};
    for (int i = 0; i < 3; i++) {
        l[i].msg.fn = write_letter;
        weft_loop_post(loop, &l[i].msg);
    }
    CHECK_EQ(weft_loop_step(loop, -1), 0);
    CHECK_STR(trail, "abcx23");
    /* Deferred while deferred: on the next turn, which does not wait. */
    CHECK_EQ(weft_loop_step(loop, -1), 0);
    CHECK_STR(trail, "abcx23y");
    weft_loop_free(loop);
}

/* ---- embedding ---- */

static void *post_later(void *arg)
{
    void **a = arg;
    weft_loop_post(a[0], a[1]);
    return NULL;
}

static void timer_fired(weft_loop *loop, weft_loop_timer *timer)
{
    timer->tick = 0;
}

TEST(io_uring_cannot_be_embedded)
{
    weft_loop *loop = make_loop(WEFT_LOOP_URING);
    CHECK_EQ(weft_loop_fd(loop), -EOPNOTSUPP);
    weft_loop_free(loop);
}

TEST(inside_a_foreign_loop)
{
    weft_loop *loop = make_loop(WEFT_LOOP_EPOLL);
    struct pollfd p = {.fd = weft_loop_fd(loop), .events = POLLIN};
    struct count_msg c = {.msg.fn = count_call};
    CHECK_EQ(weft_loop_prepare(loop), -1);
    CHECK_EQ(poll(&p, 1, 0), 0);
    for (int i = 1; i <= 200; i++) {
        pthread_t t;
        void *arg[2] = {loop, &c.msg};
        CHECK_EQ(pthread_create(&t, NULL, post_later, arg), 0);
        while (c.calls < i) {
            int64_t ns = weft_loop_prepare(loop);
            CHECK(poll(&p, 1, ns < 0 ? -1 : (int)((ns + WEFT_MS - 1) / WEFT_MS)) >= 0);
            CHECK_EQ(weft_loop_step(loop, 0), 0);
        }
        pthread_join(t, NULL);
    }
    weft_loop_timer timer = {.fn = timer_fired};
    weft_loop_timer_start(loop, &timer, 5 * WEFT_MS, 0);
    while (weft_loop_timer_running(&timer)) {
        int64_t ns = weft_loop_prepare(loop);
        CHECK(ns >= 0 && ns <= 10 * WEFT_MS);
        CHECK(poll(&p, 1, (int)((ns + WEFT_MS - 1) / WEFT_MS)) >= 0);
        CHECK_EQ(weft_loop_step(loop, 0), 0);
    }
    weft_loop_post(loop, &c.msg);
    CHECK_EQ(weft_loop_prepare(loop), 0);
    CHECK_EQ(weft_loop_step(loop, 0), 0);
    CHECK_EQ(c.calls, 201);
    weft_loop_free(loop);
}
