// SPDX-License-Identifier: Apache-2.0
/*
 * test_stack.c - arenas of stacks, asked directly: every slot once, every slot guarded, and nothing
 * lost where guards cannot be had.
 *
 * A guard is seen without a fault: write(2) from a guarded page ends with EFAULT. The old kernel is
 * a seccomp filter that refuses guard regions, so that guards are mappings, whose number is limited
 * by vm.max_map_count; the case runs into that limit and out of it again.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/sched.h"
#include "sched/stack_cache.h"
#include "seccomp.h"
#include "test.h"

enum { SMALL = 32 << 10, GUARD_INSTALL = 102 };

static int null_pipe[2];

static bool readable(const char *p)
{
    char drop;
    ssize_t n = write(null_pipe[1], p, 1);
    CHECK(n == 1 || errno == EFAULT);
    return n == 1 && read(null_pipe[0], &drop, 1) == 1;
}

/* Guarded from its first byte to its last, and usable from there to its record. */
static void check_stack(struct weft__fiber *f)
{
    char *low = f->stack_low, *top = weft__stack_top(f);
    CHECK_EQ(readable(low - 1), false);
    CHECK_EQ(readable(low - WEFT__GUARD_BYTES), false);
    CHECK(top > low && (size_t)(top - low) >= SMALL);
    top[-1] = 1;
}

/* As a start does. */
static int try_take(struct weft__stack_cache *cache, struct weft__fiber **ret)
{
    unsigned c = weft__stack_class(SMALL);
    struct weft__fiber *f = cache ? weft__stack_cached(cache, c) : NULL;
    int rc = f ? 0 : weft__stack_alloc(cache, c, &f);
    if (rc == 0)
        weft__stack_mark_live(f);
    *ret = f;
    return rc;
}

static struct weft__fiber *take(struct weft__stack_cache *cache)
{
    struct weft__fiber *f;
    CHECK_EQ(try_take(cache, &f), 0);
    return f;
}

/* As an end does. */
static void give(struct weft__stack_cache *cache, struct weft__fiber *f)
{
    weft__stack_mark_free(f);
    if (!cache || !weft__stack_keep(cache, f))
        weft__stack_free(cache, f);
}

static bool each_is_counted(struct weft__fiber *f, void *arg)
{
    (void)f;
    (*(long *)arg)++;
    return true;
}

static long live(void)
{
    long n = 0;
    weft__stack_each(each_is_counted, &n);
    return n;
}

static uint64_t slots(void)
{
    uint64_t bytes, n;
    weft__stack_stats(&bytes, &n);
    return n;
}

TEST(each_slot_once_and_guarded)
{
    enum { N = 5000 };
    static struct weft__fiber *f[N];
    static struct weft__stack_cache cache;
    CHECK_EQ(pipe(null_pipe), 0);
    for (int i = 0; i < N; i++) {
        f[i] = take(i % 3 ? &cache : NULL);
        check_stack(f[i]);
    }
    CHECK_EQ(live(), N);
    uint64_t used = slots();
    CHECK(used >= N && used <= N + 128); /* at most a batch ahead, for the cache and the class */
    for (int i = 0; i < N; i++)
        give(i % 2 ? &cache : NULL, f[i]);
    CHECK_EQ(live(), 0);
    for (int i = 0; i < N; i++)
        f[i] = take(&cache);
    CHECK_EQ(live(), N);
    CHECK_EQ(slots(), used);
    for (int i = 0; i < N; i++)
        give(&cache, f[i]);
    weft__stack_cache_flush(&cache);
    CHECK_EQ(live(), 0);
}

TEST(a_small_program_touches_little)
{
    static struct weft__stack_cache cache;
    for (int i = 0; i < 16; i++)
        take(&cache);
    CHECK_EQ(slots(), 16);
}

static int prepare_all(void)
{
    int times = 0;
    while (weft__stack_prepare())
        times++;
    return times;
}

TEST(an_idle_worker_makes_stacks_ready)
{
    enum { MANY = 1500, N = 3000 };
    static struct weft__fiber *f[N];
    static struct weft__stack_cache cache;
    CHECK_EQ(pipe(null_pipe), 0);
    f[0] = take(&cache);
    CHECK_EQ(prepare_all(), 0); /* nobody takes many */
    int n = 1;
    while (n < MANY)
        f[n++] = take(&cache);
    uint64_t before = slots();
    int times = prepare_all();
    uint64_t ready = slots() - before;
    CHECK(times > 1 && ready >= (uint64_t)times && ready <= 64);
    CHECK_EQ(live(), n);
    uint64_t in_cache = before - (uint64_t)n;
    for (uint64_t i = 0; i < in_cache + ready; i++)
        f[n++] = take(&cache);
    CHECK_EQ(slots(), before + ready); /* what was made ready is what was taken */
    CHECK_EQ(prepare_all(), times);    /* and asks for as many again */
    while (n < N)
        f[n++] = take(&cache);
    for (int i = 0; i < N; i++)
        check_stack(f[i]);
    CHECK_EQ(live(), N);
}

static void *prepare_until_told(void *arg)
{
    _Atomic bool *end = arg;
    intptr_t times = 0;
    while (!*end)
        times += weft__stack_prepare();
    return (void *)times;
}

TEST(one_makes_ready_what_others_take)
{
    enum { N = 20000 };
    static struct weft__fiber *f[N];
    static struct weft__stack_cache cache;
    static _Atomic bool end;
    pthread_t helper;
    void *times;
    CHECK_EQ(pipe(null_pipe), 0);
    CHECK_EQ(pthread_create(&helper, NULL, prepare_until_told, &end), 0);
    for (int i = 0; i < N; i++)
        f[i] = take(&cache);
    end = true;
    CHECK_EQ(pthread_join(helper, &times), 0);
    CHECK((intptr_t)times > 0);
    CHECK_EQ(live(), N); /* a slot given out twice would be counted once */
    for (int i = 0; i < N; i++)
        check_stack(f[i]);
}

static void *take_many(void *arg)
{
    struct weft__stack_cache cache = {0};
    struct weft__fiber **f = arg;
    for (int i = 0; i < 4000; i++)
        f[i] = take(&cache);
    weft__stack_cache_flush(&cache);
    return NULL;
}

TEST(threads_get_different_slots)
{
    enum { N = 4000, THREADS = 4 };
    static struct weft__fiber *f[THREADS][N];
    pthread_t t[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, take_many, f[i]), 0);
    for (int i = 0; i < THREADS; i++)
        CHECK_EQ(pthread_join(t[i], NULL), 0);
    CHECK_EQ(live(), THREADS * N); /* a slot given out twice would be counted once */
}

/* ---- guards as mappings ---- */

static void refuse_guard_regions(void)
{
    enum {
        NR = offsetof(struct seccomp_data, nr),
        ADVICE = offsetof(struct seccomp_data, args[2])
    };
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, NR),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_process_madvise, 3, 0), /* -> refused */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_madvise, 0, 3),         /* others -> allowed */
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ADVICE),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, GUARD_INSTALL, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EINVAL),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    test_filter(code, sizeof code / sizeof *code);
}

TEST(nothing_is_lost_at_the_limit_of_mappings)
{
    enum { OWN = 2000, MAX = 200000, AGAIN = 300 };
    static struct weft__fiber *f[MAX];
    static char *own[OWN];
    struct weft__stack_cache cache = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    int n = 0, rc;
    CHECK_EQ(pipe(null_pipe), 0);
    refuse_guard_regions();
    for (int i = 0; i < OWN; i++) {
        own[i] = mmap(NULL, 2 * page, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(own[i] != MAP_FAILED && mprotect(own[i], page, PROT_NONE) == 0);
    }
    while ((rc = try_take(&cache, &f[n])) == 0 && n < MAX - 2 - AGAIN) {
        if (n % 64 == 0)
            check_stack(f[n]);
        n++;
    }
    if (rc == 0)
        test_skip("vm.max_map_count is above what the case takes");
    CHECK_EQ(rc, -ENOMEM);
    CHECK_EQ(live(), n);
    uint64_t used = slots();
    for (int i = 0; i < OWN; i++)
        munmap(own[i], 2 * page);
    f[n++] = take(&cache);
    CHECK_EQ(slots(), used); /* one of those without a guard came first */
    for (int i = 0; i < AGAIN; i++)
        f[n++] = take(&cache);
    for (int i = 1; i <= AGAIN + 1; i++)
        check_stack(f[n - i]);
    CHECK_EQ(live(), n);
}
