// SPDX-License-Identifier: Apache-2.0
/*
 * simrt_kernel.c - the machine that the library under the explorer believes to be on: futexes,
 * clock, threads, and the few system calls that it makes.
 *
 * Time is virtual. It goes on by a little at each look at it, so that who spins until a moment gets
 * there; and to the earliest deadline when nobody can go on, or by chance (a machine that was
 * slow).
 *
 * epoll knows descriptors of its own: eventfds that the poller writes to, and those of simrt_fd. It
 * tells edges: each write, each simrt_fd_raise. What the library does not do here ends the schedule
 * with the call's number.
 */
#include <dirent.h>
#include <errno.h>
#include <linux/membarrier.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/futex.h"
#include "base/hooks.h"
#include "sched/stack.h"
#include "simrt_core.h"

enum { FIRST_TID = 1000, FIRST_FD = 100, EPOLL_FD = FIRST_FD - 1, TASKS_FD = FIRST_FD - 2 };
enum { STAT_FD = 10000 }; /* and a thread's number more: what /proc tells of it */

_Atomic(void *) weft__virtual_thread;
int64_t weft__virtual_ns;

void weft__diag_init(void) {}

static unsigned index_of(const struct simrt_thread *t)
{
    return (unsigned)(t - simrt->thread);
}

/* ---- clock and futexes ---- */

int64_t weft__clock_ns(void)
{
    if (simrt->cur)
        simrt_time_goes_on(simrt->now_ns + simrt->o.clock_step_ns);
    return simrt->now_ns;
}

int64_t weft__wall_s(void)
{
    return WEFT__VIRTUAL_WALL_S + simrt->now_ns / 1000000000;
}

int64_t simrt_now(void)
{
    return simrt->now_ns;
}

static void enter_kernel(const char *what, const volatile void *p, uint64_t value)
{
    simrt_point(what, p, value, &(const struct simrt_at){what, "", 0});
    simrt_drain(simrt->cur, SIMRT_BUFFER);
}

void weft__futex_wait(_Atomic uint32_t *word, uint32_t expected, int64_t timeout_ns)
{
    enter_kernel("futex wait", word, expected);
    if (*word != expected)
        return;
    if (simrt->o.mode != SIMRT_EXHAUSTIVE && simrt_draw(64, false) == 1)
        return; /* as a signal would have it */
    simrt_sleep(SIMRT_ON_FUTEX, word, timeout_ns < 0 ? -1 : simrt->now_ns + timeout_ns);
}

void weft__futex_wake(_Atomic uint32_t *word, int count)
{
    enter_kernel("futex wake", word, (uint64_t)count);
    simrt_wake(SIMRT_ON_FUTEX, word, (unsigned)count);
}

void simrt_block(int64_t ns)
{
    enter_kernel("block", NULL, (uint64_t)ns);
    simrt_sleep(SIMRT_ON_CALL, NULL, simrt->now_ns + ns);
}

/* ---- threads ---- */

int simrt_pthread_create(pthread_t *ret, void *(*fn)(void *), void *arg)
{
    enter_kernel("create thread", NULL, 0);
    *ret = index_of(simrt_start(NULL, fn, arg)) + 1;
    return 0;
}

int simrt_pthread_join(pthread_t t, void **ret)
{
    struct simrt_thread *other = &simrt->thread[t - 1];
    (void)ret;
    enter_kernel("join", other, t);
    while (other->state != SIMRT_DONE)
        simrt_sleep(SIMRT_ON_JOIN, other, -1);
    return 0;
}

unsigned long simrt_thread(const char *name, void *(*fn)(void *), void *arg)
{
    enter_kernel("create thread", NULL, 0);
    return index_of(simrt_start(name, fn, arg)) + 1;
}

void simrt_join(unsigned long thread)
{
    simrt_pthread_join(thread, NULL);
}

pthread_t simrt_pthread_self(void)
{
    return index_of(simrt->cur) + 1;
}

int simrt_key_create(pthread_key_t *ret, void (*end)(void *))
{
    *ret = 0;
    simrt->key_end = end;
    return 0;
}

int simrt_setspecific(pthread_key_t key, const void *value)
{
    (void)key;
    simrt->cur->specific = (void *)(uintptr_t)value;
    return 0;
}

int simrt_getattr(pthread_t t, pthread_attr_t *ret)
{
    pthread_attr_init(ret);
    return pthread_attr_setstack(ret, simrt->thread[t - 1].stack, SIMRT_STACK_BYTES);
}

/* ---- descriptors ---- */

static int file_new(void)
{
    for (int i = 0; i < SIMRT_FDS; i++)
        if (!simrt->file[i].open) {
            simrt->file[i] = (struct simrt_file){.open = true};
            return FIRST_FD + i;
        }
    return -EMFILE;
}

static struct simrt_file *file_of(long fd)
{
    long i = fd - FIRST_FD;
    return i >= 0 && i < SIMRT_FDS && simrt->file[i].open ? &simrt->file[i] : NULL;
}

static void raise_edge(struct simrt_file *f, uint32_t events)
{
    f->edges |= events;
    if (f->registered)
        simrt_wake(SIMRT_ON_EPOLL, NULL, 1);
}

int simrt_fd(void)
{
    return file_new();
}

void simrt_fd_raise(int fd, uint32_t events)
{
    enter_kernel("an event", NULL, (uint64_t)fd);
    if (file_of(fd))
        raise_edge(file_of(fd), events);
}

static long epoll_ctl_call(long op, long fd, const struct epoll_event *ev)
{
    struct simrt_file *f = file_of(fd);
    if (!f)
        return -EBADF;
    if (op == EPOLL_CTL_ADD && f->registered)
        return -EEXIST;
    f->registered = op != EPOLL_CTL_DEL;
    if (f->registered) {
        f->data = ev->data.u64;
        if (f->edges)
            simrt_wake(SIMRT_ON_EPOLL, NULL, 1);
    }
    return 0;
}

static long tell_edges(struct epoll_event *ev, long most)
{
    long n = 0;
    for (int i = 0; i < SIMRT_FDS && n < most; i++) {
        struct simrt_file *f = &simrt->file[i];
        if (!f->open || !f->registered || !f->edges)
            continue;
        ev[n++] = (struct epoll_event){.events = f->edges, .data.u64 = f->data};
        f->edges = 0;
    }
    return n;
}

static long epoll_wait_call(struct epoll_event *ev, long most, int64_t timeout_ns)
{
    int64_t deadline = timeout_ns < 0 ? -1 : simrt->now_ns + timeout_ns;
    for (;;) {
        long n = tell_edges(ev, most);
        if (n || timeout_ns == 0)
            return n;
        if (!simrt_sleep(SIMRT_ON_EPOLL, NULL, deadline))
            return tell_edges(ev, most);
    }
}

/* ---- system calls ---- */

static long say(const char *text, size_t bytes)
{
    size_t had = strlen(simrt->said), room = sizeof simrt->said - 1 - had;
    memcpy(simrt->said + had, text, bytes < room ? bytes : room);
    return (long)bytes;
}

static long write_call(long fd, const void *data, size_t bytes)
{
    struct simrt_file *f = file_of(fd);
    if (fd == 2)
        return say(data, bytes);
    if (!f)
        return -EBADF;
    raise_edge(f, EPOLLIN);
    return (long)bytes;
}

/* /proc/self/task: one entry a call. */
static long tasks_call(struct dirent64 *ret, size_t room)
{
    if (room < sizeof *ret)
        return -EINVAL;
    while (simrt->dir_at < simrt->threads) {
        unsigned i = simrt->dir_at++;
        if (simrt->thread[i].state == SIMRT_DONE)
            continue;
        ret->d_reclen = sizeof *ret;
        snprintf(ret->d_name, sizeof ret->d_name, "%u", FIRST_TID + i);
        return sizeof *ret;
    }
    return 0;
}

/* Whether the thread runs, or would. No point of the schedule: nobody sees that it was asked. */
static bool stat_call(long n, long a, long b, size_t room, long *ret)
{
    unsigned tid;
    char tail;
    if (n == SYS_openat && sscanf((const char *)b, "/proc/self/task/%u/sta%c", &tid, &tail) == 2)
        *ret = STAT_FD + (long)(tid - FIRST_TID);
    else if (n == SYS_read && a >= STAT_FD)
        *ret = snprintf((char *)b, room, "%ld (weft) %c 1", FIRST_TID + a - STAT_FD,
            simrt->thread[a - STAT_FD].state == SIMRT_READY ? 'R' : 'S');
    else if (n == SYS_close && a >= STAT_FD)
        *ret = 0;
    else
        return false;
    return true;
}

static long tasks_from_the_start(long result)
{
    simrt->dir_at = 0;
    return result;
}

static long close_call(long fd)
{
    if (fd == TASKS_FD)
        return 0;
    struct simrt_file *f = file_of(fd);
    if (f)
        f->open = false;
    return f ? 0 : -EBADF;
}

/* The processor time of a thread: it stands still while the thread sleeps. */
static long cpu_clock(long clock, struct timespec *ret)
{
    long tid = (long)~(uint32_t)(clock >> 3);
    const struct simrt_thread *t = &simrt->thread[(uint32_t)tid - FIRST_TID];
    int64_t ns = t->state == SIMRT_READY ? simrt->now_ns : t->blocked_since_ns;
    ret->tv_sec = ns / 1000000000;
    ret->tv_nsec = ns % 1000000000;
    return 0;
}

static long membarrier_call(long command)
{
    if (simrt->o.no_membarrier)
        return -EINVAL;
    if (command == MEMBARRIER_CMD_PRIVATE_EXPEDITED)
        simrt_drain_all();
    return 0;
}

static long kill_call(long tid, long sig)
{
    if (sig != 0)
        simrt_fail("a signal to a thread is not simulated");
    return simrt->thread[tid - FIRST_TID].state == SIMRT_DONE ? -ESRCH : 0;
}

static int64_t in_ns(const struct timespec *ts)
{
    return ts ? ts->tv_sec * INT64_C(1000000000) + ts->tv_nsec : -1;
}

static long io_call(long n, long a, long b, long c, long d)
{
    switch (n) {
    case SYS_write:
        return write_call(a, (const void *)b, (size_t)c);
    case SYS_close:
        return close_call(a);
    case SYS_openat:
        return tasks_from_the_start(TASKS_FD);
    case SYS_lseek:
        return tasks_from_the_start(0);
    case SYS_getdents64:
        return tasks_call((struct dirent64 *)b, (size_t)c);
    case SYS_recvfrom:
        return file_of(a) ? -EAGAIN : -EBADF;
    case SYS_eventfd2:
        return file_new();
    case SYS_epoll_create1:
        return EPOLL_FD;
    case SYS_epoll_ctl:
        return epoll_ctl_call(b, c, (const struct epoll_event *)d);
    case SYS_epoll_pwait:
        return epoll_wait_call((struct epoll_event *)b, c, d < 0 ? -1 : d * INT64_C(1000000));
    case SYS_epoll_pwait2:
        return epoll_wait_call((struct epoll_event *)b, c, in_ns((const struct timespec *)d));
    default:
        simrt_fail("system call %ld is not simulated", n);
    }
}

static long memory_call(long n, long a, long b, long c)
{
    bool real = n == SYS_mincore || (n == SYS_madvise && c == MADV_DONTNEED);
    if (real)
        return weft__arch_syscall(n, a, b, c, 0, 0, 0);
    if (n == SYS_process_madvise)
        return c * WEFT__GUARD_BYTES;
    return n == SYS_process_vm_readv ? -EFAULT : 0; /* guards are there as far as anyone asks */
}

long weft__syscall(long number, long a, long b, long c, long d, long e, long f)
{
    long told;
    (void)e;
    (void)f;
    if (stat_call(number, a, b, (size_t)c, &told))
        return told;
    switch (number) {
    case SYS_gettid:
        return FIRST_TID + (long)index_of(simrt->cur);
    case SYS_getrandom:
        *(uint64_t *)a = simrt->seed * 2 + 1;
        return b == sizeof(uint64_t) ? b : -EINVAL;
    case SYS_clock_gettime:
        return cpu_clock(a, (struct timespec *)b);
    case SYS_sched_yield:
        simrt_pause();
        return 0;
    case SYS_madvise:
    case SYS_process_madvise:
    case SYS_mincore:
    case SYS_mprotect:
    case SYS_process_vm_readv:
        return memory_call(number, a, b, c);
    default:
        break;
    }
    enter_kernel("system call", NULL, (uint64_t)number);
    if (number == SYS_membarrier)
        return membarrier_call(a);
    if (number == SYS_tgkill)
        return kill_call(b, c);
    return io_call(number, a, b, c, d);
}
