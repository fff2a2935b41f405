// SPDX-License-Identifier: Apache-2.0
/*
 * service.c - threads of the library itself beside the scheduler's: the file ring's, the pool's,
 * those of diagnosis. They are neither strangers, who might wake a fiber of their own accord (else
 * no deadlock would be a fatal one), nor plain threads that called in.
 *
 * Y1  A thread between its pthread_create and its own weft__service_thread(1) cannot be told from a
 *     stranger. weft__services_starting counts it from before its creation, and the search for
 *     strangers waits while that is not 0.
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

int weft__service_start(size_t stack_bytes, void *(*fn)(void *), void *arg)
{
    pthread_t t;
    pthread_attr_t attr;
    sigset_t all, before;
    pthread_attr_init(&attr);
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    if (stack_bytes)
        pthread_attr_setstacksize(&attr, stack_bytes);
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before); /* signals are for the program's own threads */
    at_add(&starting, 1);
    int rc = pthread_create(&t, &attr, fn, arg);
    if (rc != 0)
        at_sub(&starting, 1);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    return -rc;
}
