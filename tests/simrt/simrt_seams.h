// SPDX-License-Identifier: Apache-2.0
/*
 * simrt_seams.h - what stands between the library's sources and the machine when they are compiled
 * for the explorer (simrt.h). Every file is compiled with this in front of it (-include), so the
 * sources themselves stay as they are.
 *
 *      base/atomic.h        not read: its guard is set here, and its names are points below
 *      weft__cpu_pause      "I can't go on until somebody else has done something"
 *      pthread_*, malloc,   calls of the explorer's own kernel (simrt_kernel.c)
 *      mmap, abort, ...
 *      base/futex.c         not compiled; simrt_kernel.c has its functions
 *
 * An atomic's arguments are evaluated before its point, as the processor would have them in
 * registers. Each point is told the function, the line and the words of the source.
 */
#ifndef SIMRT_SEAMS_H
#define SIMRT_SEAMS_H
/* The system's own headers first: what follows replaces calls, not declarations. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Where a point stands in the source. */
struct simrt_at {
    const char *func, *text;
    int line;
};
#define SIMRT_AT(text) (&(const struct simrt_at){__func__, text, __LINE__})

void simrt_load(const volatile void *p, void *ret, unsigned bytes, const struct simrt_at *at);
void simrt_store(
    volatile void *p, const void *v, unsigned bytes, int weak, const struct simrt_at *at);
/** What follows is one step, after all stores that this thread has made before. */
void simrt_rmw(const char *op, const volatile void *p, unsigned bytes, uint64_t operand,
    const struct simrt_at *at);
void simrt_fence(const struct simrt_at *at);
void simrt_pause(void);

#define WEFT_BASE_ATOMIC_H
#define SIMRT_LOAD(p, t)                                                                           \
    __extension__({                                                                                \
        __auto_type at_p_ = (p);                                                                   \
        __typeof__((void)0, *at_p_) at_v_;                                                         \
        simrt_load(at_p_, (void *)&at_v_, sizeof at_v_, SIMRT_AT(t));                              \
        at_v_;                                                                                     \
    })
#define SIMRT_STORE(p, t, v, weak)                                                                 \
    __extension__({                                                                                \
        __auto_type at_p_ = (p);                                                                   \
        const __typeof__((void)0, *at_p_) at_v_ = (v);                                             \
        simrt_store(at_p_, (const void *)&at_v_, sizeof at_v_, weak, SIMRT_AT(t));                 \
    })
#define SIMRT_RMW(op, fn, p, t, v)                                                                 \
    __extension__({                                                                                \
        __auto_type at_p_ = (p);                                                                   \
        const __typeof__((void)0, *at_p_) at_v_ = (v);                                             \
        simrt_rmw(op, at_p_, sizeof at_v_, (uint64_t)at_v_, SIMRT_AT(t));                          \
        fn(at_p_, at_v_);                                                                          \
    })
#define at_load(p) SIMRT_LOAD(p, #p)
#define at_store(p, v) SIMRT_STORE(p, #p, v, 0)
#define at_xchg(p, v) SIMRT_RMW("xchg", atomic_exchange, p, #p, v)
#define at_add(p, v) SIMRT_RMW("add", atomic_fetch_add, p, #p, v)
#define at_sub(p, v) SIMRT_RMW("sub", atomic_fetch_sub, p, #p, v)
#define at_or(p, v) SIMRT_RMW("or", atomic_fetch_or, p, #p, v)
#define at_and(p, v) SIMRT_RMW("and", atomic_fetch_and, p, #p, v)
#define at_cas(p, expected, v)                                                                     \
    __extension__({                                                                                \
        __auto_type at_p_ = (p);                                                                   \
        __auto_type at_e_ = (expected);                                                            \
        __typeof__((void)0, *at_p_) at_v_ = (v);                                                   \
        simrt_rmw("cas", at_p_, sizeof at_v_, (uint64_t)at_v_, SIMRT_AT(#p));                      \
        atomic_compare_exchange_strong(at_p_, at_e_, at_v_);                                       \
    })
#define at_fence() simrt_fence(SIMRT_AT("fence"))
#define at_compiler_fence() __asm__ volatile("" ::: "memory")
#define at_load_acq(p) SIMRT_LOAD(p, #p)                              /* [mo:alone: definition] */
#define at_load_rlx(p) SIMRT_LOAD(p, #p)                              /* [mo:alone: definition] */
#define at_store_rel(p, v) SIMRT_STORE(p, #p, v, 1)                   /* [mo:alone: definition] */
#define at_store_rlx(p, v) SIMRT_STORE(p, #p, v, 1)                   /* [mo:alone: definition] */
#define at_add_rlx(p, v) SIMRT_RMW("add", atomic_fetch_add, p, #p, v) /* [mo:alone: definition] */

#include "arch/arch.h"
#define weft__cpu_pause() simrt_pause()

int simrt_pthread_create(pthread_t *ret, void *(*fn)(void *), void *arg);
int simrt_pthread_join(pthread_t t, void **ret);
pthread_t simrt_pthread_self(void);
int simrt_key_create(pthread_key_t *ret, void (*end)(void *));
int simrt_setspecific(pthread_key_t key, const void *value);
int simrt_getattr(pthread_t t, pthread_attr_t *ret);
void *simrt_malloc(size_t bytes);
void *simrt_realloc(void *p, size_t bytes);
void simrt_free(void *p);
void *simrt_mmap(size_t bytes);
_Noreturn void simrt_die(const char *how, int status);

#define pthread_create(t, attr, fn, arg) ((void)(attr), simrt_pthread_create(t, fn, arg))
#define pthread_join(t, ret) simrt_pthread_join(t, ret)
#define pthread_detach(t) ((void)(t), 0)
#define pthread_self() simrt_pthread_self()
#define pthread_key_create(key, end) simrt_key_create(key, end)
#define pthread_setspecific(key, value) simrt_setspecific(key, value)
#define pthread_once(once, fn) ((void)*(once), (fn)(), 0) /* the key's maker may come again */
#define pthread_getattr_np(t, attr) simrt_getattr(t, attr)
#define pthread_sigmask(how, set, old) ((void)(how), (void)(set), (void)(old), 0)
#define sigaction(sig, new, old) ((void)(sig), (void)(new), (void)(old), 0)
#define sigaltstack(new, old) ((void)(new), (void)(old), 0)
#define malloc(n) simrt_malloc(n)
#define realloc(p, n) simrt_realloc(p, n)
#define free(p) simrt_free(p)
#define mmap(addr, bytes, prot, flags, fd, at)                                                     \
    ((void)(addr), (void)(prot), (void)(flags), simrt_mmap(bytes))
#define munmap(p, bytes) ((void)(p), (void)(bytes), 0)
#define mprotect(p, bytes, prot) ((void)(p), (void)(bytes), (void)(prot), 0)
#define getenv(name) ((void)(name), (char *)NULL) /* no schedule depends on the environment */
#define abort() simrt_die("abort", 134)
#define _Exit(status) simrt_die("_Exit", status)
#define _exit(status) simrt_die("_exit", status)
#define exit(status) simrt_die("exit", status)
#endif
