// SPDX-License-Identifier: Apache-2.0
/*
 * service.c - threads of the library itself beside the scheduler's: the file ring's, the pool's,
 * those of diagnosis. They are neither strangers, who might wake a fiber of their own accord (else
 * no deadlock would be a fatal one), nor plain threads that called in.
 *
 * Y1  A thread between its pthread_create and its own weft__service_thread(1) cannot be told from a
 *     stranger. weft__services_starting counts it from before its creation, and the search for
 *     strangers waits while that is not 0.
 * Y2  The thread's record is made before the thread: who starts it can be told that there is no
 *     memory, the thread could not say so to anybody.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>

#include "base/futex.h"
#include "sched/worker.h"

enum { SERVICES = 64 };
static _Atomic int service_tids[SERVICES];
static _Atomic uint32_t starting;

unsigned weft__services_starting(void)
{
    return at_load(&starting);
}

bool weft__is_service(int tid)
{
    for (int i = 0; i < SERVICES; i++)
        if (at_load(&service_tids[i]) == tid)
            return true;
    return false;
}

void weft__service_thread(int n)
{
    int tid = (int)weft__syscall(SYS_gettid, 0, 0, 0, 0, 0, 0);
    for (int i = 0; i < SERVICES; i++) {
        int want = n > 0 ? 0 : tid;
        if (at_cas(&service_tids[i], &want, n > 0 ? tid : 0))
            break;
    }
    if (n > 0)
        at_sub(&starting, 1); /* Y1 */
}

/* Its starter may be a fiber, which must not be stopped while it holds a lock of the runtime. */
static struct weft__mach *record_new(void)
{
    struct weft__thread *t = weft__tls_thread;
    uint32_t was = t ? at_xchg(&t->in_rt, 1) : 0;
    struct weft__mach *m = weft__mach_new(true);
    if (t)
        at_store(&t->in_rt, was);
    return m;
}

static void record_free(struct weft__mach *m)
{
    struct weft__thread *t = weft__tls_thread;
    uint32_t was = t ? at_xchg(&t->in_rt, 1) : 0;
    weft__mach_free(m);
    if (t)
        at_store(&t->in_rt, was);
}

static void *service_main(void *arg)
{
    struct weft__mach *m = arg;
    weft__service_thread(1);
    weft__mach_attach(m);
    return m->service_fn(m->service_arg);
}

int weft__service_start(size_t stack_bytes, void *(*fn)(void *), void *arg)
{
    pthread_t t;
    pthread_attr_t attr;
    sigset_t all, before;
    struct weft__mach *m = record_new(); /* Y2 */
    if (!m)
        return -ENOMEM;
    m->service_fn = fn;
    m->service_arg = arg;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_bytes)
        pthread_attr_setstacksize(&attr, stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the program's own threads */
    at_add(&starting, 1);
    int rc = pthread_create(&t, &attr, service_main, m);
    if (rc != 0)
        at_sub(&starting, 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (rc != 0)
        record_free(m);
    return -rc;
}
