// SPDX-License-Identifier: Apache-2.0
/* faults.c - the doors that the library's copy calls instead of the C library's and the kernel's
 * (faults.h). Without WEFT_FAULTS in the environment they are the real ones. */
#include "faults.h"

#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test.h"

enum { GUARD_INSTALL = 102 };

static struct faults *shared;
static _Atomic long live; /* blocks of the heap */
extern const char __ehdr_start[];

__attribute__((constructor)) static void faults_open(void)
{
    const char *name = getenv("WEFT_FAULTS");
    if (!name)
        return;
    int fd = open(name, O_RDWR | O_CLOEXEC);
    void *p =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (p == MAP_FAILED)
        abort();
    close(fd);
    shared = p;
}

void faults_arm(int64_t n, bool lasts)
{
    static struct faults own;
    shared = &own;
    own.target = n;
    own.lasts = lasts;
    own.calls = own.hit = 0;
}

bool faults_disarm(void)
{
    shared->target = -1;
    return atomic_load(&shared->hit) != 0;
}

long faults_live(void)
{
    return atomic_load(&live);
}

/* Return addresses from here up, by frame pointers: each higher than the last, and not far. */
static __attribute__((noinline)) unsigned frames_read(uint64_t *ret, unsigned max)
{
    uintptr_t *fp = __builtin_frame_address(0);
    unsigned n = 0;
    while (n < max) {
        uintptr_t up = fp[0], pc = fp[1];
        if (!pc)
            break;
        ret[n++] = pc - (uintptr_t)__ehdr_start;
        if (up <= (uintptr_t)fp || up - (uintptr_t)fp > 1 << 16 || up % sizeof up != 0)
            break;
        fp = (uintptr_t *)up; // NOLINT: a frame
    }
    return n;
}

/* One call of this kind: does it fail? */
static __attribute__((noinline)) bool fails(enum fault_kind kind)
{
    uint64_t at[FAULT_FRAMES + 2] = {0};
    if (!shared)
        return false;
    int64_t i = atomic_fetch_add(&shared->calls, 1);
    frames_read(at, FAULT_FRAMES);
    if (i < FAULT_NOTES) {
        shared->notes[i].kind = kind;
        for (unsigned f = 0; f < FAULT_SITE; f++)
            shared->notes[i].site[f] = (uint32_t)at[f + 1];
    }
    bool bad = i == shared->target || (shared->lasts && shared->target >= 0 && i > shared->target);
    if (bad && atomic_exchange(&shared->hit, 1) == 0) {
        shared->kind = kind;
        memcpy(shared->frames, at + 1, sizeof shared->frames);
    }
    return bad;
}

/* LeakSanitizer's look, where it is linked; a case leaves by _exit, which does without. */
__attribute__((weak)) int __lsan_do_recoverable_leak_check(void);

void test_ended(void)
{
    if (shared && !getenv("WEFT_FAULTS_LEAKY") && __lsan_do_recoverable_leak_check &&
        __lsan_do_recoverable_leak_check())
        _exit(1);
}

/* ---- the C library's ---- */

void *fault_malloc(size_t bytes);
void *fault_calloc(size_t count, size_t bytes);
void *fault_realloc(void *p, size_t bytes);
char *fault_strdup(const char *s);
char *fault_strndup(const char *s, size_t n);
void fault_free(void *p);
void *fault_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset);
int fault_mprotect(void *at, size_t bytes, int prot);
FILE *fault_fopen(const char *name, const char *mode);
int fault_pthread_create(
    pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg);
int fault_eventfd(unsigned value, int flags);
int fault_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *p);

static void *none(void)
{
    errno = ENOMEM;
    return NULL;
}

static void *counted(void *p)
{
    if (p)
        atomic_fetch_add(&live, 1);
    return p;
}

void *fault_malloc(size_t bytes)
{
    return fails(FAULT_HEAP) ? none() : counted(malloc(bytes));
}

void *fault_calloc(size_t count, size_t bytes)
{
    return fails(FAULT_HEAP) ? none() : counted(calloc(count, bytes));
}

void *fault_realloc(void *p, size_t bytes)
{
    if (fails(FAULT_HEAP))
        return none();
    return p ? realloc(p, bytes) : counted(malloc(bytes));
}

char *fault_strdup(const char *s)
{
    return fails(FAULT_HEAP) ? none() : counted(strdup(s));
}

char *fault_strndup(const char *s, size_t n)
{
    return fails(FAULT_HEAP) ? none() : counted(strndup(s, n));
}

void fault_free(void *p)
{
    if (p)
        atomic_fetch_sub(&live, 1);
    free(p);
}

void *fault_mmap(void *at, size_t bytes, int prot, int flags, int fd, off_t offset)
{
    if (fails(FAULT_MAP)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return mmap(at, bytes, prot, flags, fd, offset);
}

int fault_mprotect(void *at, size_t bytes, int prot)
{
    if (fails(FAULT_GUARD)) {
        errno = ENOMEM;
        return -1;
    }
    return mprotect(at, bytes, prot);
}

FILE *fault_fopen(const char *name, const char *mode)
{
    return fails(FAULT_HEAP) ? none() : fopen(name, mode);
}

int fault_pthread_create(pthread_t *ret, const pthread_attr_t *attr, void *(*fn)(void *), void *arg)
{
    return fails(FAULT_THREAD) ? EAGAIN : pthread_create(ret, attr, fn, arg);
}

int fault_eventfd(unsigned value, int flags)
{
    if (fails(FAULT_FD)) {
        errno = EMFILE;
        return -1;
    }
    return eventfd(value, flags);
}

int fault_io_uring_queue_init_params(
    unsigned entries, struct io_uring *ring, struct io_uring_params *p)
{
    return fails(FAULT_RING) ? -ENOMEM : io_uring_queue_init_params(entries, ring, p);
}

/* ---- the kernel's ---- */

long __real_weft__syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_weft__syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_weft__syscall(long number, long a, long b, long c, long d, long e, long f)
{
    long error = 0;
    switch (number) {
    case SYS_mprotect:
        error = fails(FAULT_GUARD) ? -ENOMEM : 0;
        break;
    case SYS_madvise:
        error = c == GUARD_INSTALL && fails(FAULT_GUARD) ? -ENOMEM : 0;
        break;
    case SYS_process_madvise:
        error = fails(FAULT_GUARD) ? -ENOMEM : 0;
        break;
    case SYS_eventfd2:
    case SYS_epoll_create1:
    case SYS_socket:
        error = fails(FAULT_FD) ? -EMFILE : 0;
        break;
    case SYS_epoll_ctl:
        error = b == EPOLL_CTL_ADD && fails(FAULT_WATCH) ? -ENOMEM : 0;
        break;
    case SYS_timer_create:
        error = fails(FAULT_TIMER) ? -EAGAIN : 0;
        break;
    }
    return error ? error : __real_weft__syscall(number, a, b, c, d, e, f);
}
