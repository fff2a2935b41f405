// SPDX-License-Identifier: Apache-2.0
/*
 * simrt_core.h - what the explorer's parts share: its threads, its choices, its record of steps.
 *
 *      simrt.c          who goes on; schedules one after another; what is said at a failure
 *      simrt_reduce.c   which of two orders need not be tried
 *      simrt_memory.c   the words: atomics' points, store buffers; the heap; putting all back
 *      simrt_kernel.c   futexes, clock, threads, system calls
 *      simrt_rank.c, simrt_lock.c   rank.c and lock.c with a word replaced
 *      simrt_judge.c    what must hold when everybody sleeps
 *
 * All of the explorer's state lies in *simrt, which is mapped memory: it outlives the putting back
 * (X1). One real thread touches it.
 *
 *      thread's state   READY ──block──> BLOCKED on (kind, address, deadline) ──wake──> READY
 *                         └──its function returns──> DONE
 */
#ifndef SIMRT_CORE_H
#define SIMRT_CORE_H
#include "simrt.h"
#include "simrt_seams.h"

enum {
    SIMRT_THREADS = 24,
    SIMRT_STACK_BYTES = 256 << 10,
    SIMRT_BUFFER = 8,
    SIMRT_RING = 1 << 12,
    SIMRT_FDS = 16,
    SIMRT_PCT_POINTS = 8,
    SIMRT_DEPTHS = 1 << 16,
    SIMRT_WORDS = 1 << 14, /* a table's size, a power of two */
    SIMRT_WARM_UP = 30
};

enum simrt_state { SIMRT_NONE, SIMRT_READY, SIMRT_BLOCKED, SIMRT_DONE };
enum simrt_wait { SIMRT_ON_NOTHING, SIMRT_ON_FUTEX, SIMRT_ON_JOIN, SIMRT_ON_EPOLL, SIMRT_ON_CALL };

struct simrt_entry { /* of a store buffer */
    volatile void *p;
    uint64_t value;
    unsigned bytes;
};

enum simrt_kind { SIMRT_TOUCHES_NOTHING, SIMRT_READS, SIMRT_WRITES, SIMRT_TOUCHES_ALL };

struct simrt_touch { /* what a step touches that others can see */
    enum simrt_kind kind;
    const volatile void *p;
};

struct simrt_thread {
    void *sp;
    char *stack;
    const char *name;
    enum simrt_state state;
    enum simrt_wait wait;
    const volatile void *on;
    int64_t deadline_ns; /* -1: none */
    bool timed_out;
    uint64_t pause_step;      /* the step at which it said that it can't go on alone */
    uint64_t in_a_row;        /* points without a switch: PCT's fairness */
    int priority;             /* PCT */
    struct simrt_touch touch; /* reduced: of its next step, or more */
    struct weft__thread *tls;
    void *specific;
    void *(*fn)(void *);
    void *arg;
    int64_t blocked_since_ns;
    unsigned buffered;
    struct simrt_entry buffer[SIMRT_BUFFER];
    char held[1536]; /* rank.c's list */
    /* AddressSanitizer's, of the stack that it was on when it left */
    void *fake;
    const void *low;
    size_t low_bytes;
};

struct simrt_step {
    const char *func, *text, *op;
    const volatile void *p;
    uint64_t value, fiber;
    int64_t now_ns;
    int line;
    uint8_t thread;
};

struct simrt_choice { /* exhaustive */
    uint32_t taken, bound;
    bool costly;
};

struct simrt_word { /* X5 */
    const volatile void *p;
    uint64_t schedule; /* that these are of: */
    uint32_t by;       /* bits of the threads that touched it */
    bool written, shared;
};

struct simrt_file {
    bool open, registered;
    uint32_t edges; /* that epoll has not told yet */
    uint64_t data;
};

struct simrt {
    struct simrt_opts o;
    struct simrt_thread *cur; /* NULL: no schedule runs */
    struct simrt_thread thread[SIMRT_THREADS];
    unsigned threads;
    struct simrt_thread *prev;  /* who has just left */
    struct simrt_thread driver; /* the real thread's own stack: between schedules */
    void (*body)(void *);
    void *arg;
    int64_t now_ns;
    uint64_t steps, all_steps, points, most_points, seed, random; /* points: PCT's */
    unsigned mask; /* random: a switch is thought of at one point in mask + 1 */
    uint64_t change[SIMRT_PCT_POINTS];
    int lowest; /* PCT: below all priorities given so far */
    bool window;
    /* exhaustive: the way of this schedule; and of a replay */
    struct simrt_choice *way;
    unsigned way_length, depth, spent;
    uint32_t asleep; /* reduced: bits of threads */
    bool cut;
    bool replaying;
    struct simrt_step ring[SIMRT_RING];
    char why[4096], said[4096];
    bool failed;
    void (*key_end)(void *);
    struct simrt_file file[SIMRT_FDS];
    unsigned dir_at;
    struct simrt_word *word;
    uint64_t warm; /* schedules of the warm-up so far */
    /* memory */
    char *heap, *heap_end, *heap_at, *map, *map_end, *map_at;
    uint64_t heap_live;   /* allocations that stand */
    unsigned char *freed; /* one a granule of the heap */
    char *data, *data_copy;
    size_t data_bytes;
};
extern struct simrt *simrt;

/* simrt.c */
/** A point: others may go on before what follows. */
void simrt_point(const char *op, const volatile void *p, uint64_t value, const struct simrt_at *at);
/** Sleeps until woken (true) or deadline_ns, -1: none. */
bool simrt_sleep(enum simrt_wait wait, const volatile void *on, int64_t deadline_ns);
unsigned simrt_wake(enum simrt_wait wait, const volatile void *on, unsigned most);
struct simrt_thread *simrt_start(const char *name, void *(*fn)(void *), void *arg);
/** Time goes on to until_ns: whose deadline that is can go on. */
void simrt_time_goes_on(int64_t until_ns);
/** The next choice of a search, which goes through the last schedule's way again first. */
uint32_t simrt_search(uint32_t bound, bool costly);
/** Ends the schedule: others have shown what it would. */
_Noreturn void simrt_cut(void);
/** A choice that costs a preemption (if costly) in exhaustive mode; 0 outside of its window. */
uint32_t simrt_draw(uint32_t bound, bool costly);

/* simrt_reduce.c */
/** What the step touches whose point this is. */
struct simrt_touch simrt_touch_of(const char *op, const volatile void *p);
/** One of c[n] (never 0) that does not sleep. */
struct simrt_thread *simrt_choose_awake(struct simrt_thread **c, unsigned n);

/* simrt_memory.c */
void simrt_memory_init(void);
void simrt_memory_reset(void);
void simrt_drain(struct simrt_thread *t, unsigned most);
void simrt_drain_all(void);
/** X5: whether others are known to care about this word. Learns in the warm-up. */
bool simrt_shared(const volatile void *p, bool write);

/* simrt_rank.c */
void simrt_rank_swap(char *out, const char *in);

/* simrt_judge.c */
/** Everybody sleeps, and time is about to go on to until_ns (-1: nobody has a deadline). NULL, or
 * what is wrong. */
const char *simrt_judge(int64_t until_ns);
/** J3: the thread runs a fiber, and is not inside the runtime. */
bool simrt_outside(void);
uint64_t simrt_fiber_id(const struct weft__thread *t);
#endif
