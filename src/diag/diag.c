// SPDX-License-Identifier: Apache-2.0
/*
 * diag.c - putting diagnosis under the runtime: hooks for fatal ends, the SIGQUIT dump.
 *
 * SIGQUIT only writes to an eventfd; a sleeping thread of our own makes the dump, as symbols need
 * the allocator, which a signal handler may not touch. The fatal hooks run where the mistake was
 * made and may allocate: the process is about to end, and an alarm ends it for good should they
 * hang.
 */
#include <weft/debug.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fatal.h"
#include "base/hooks.h"
#include "diag/backtrace.h"
#include "diag/dump.h"
#include "diag/symbol.h"
#include "sched/sched.h"
#include "sync/object_core.h"

enum { FATAL_LIMIT_S = 20 };

static int quit_fd = -1;

void weft_dump(int fd)
{
    struct weft__text t = {0};
    weft__dump_all(&t);
    weft__text_write(&t, fd);
    weft__text_free(&t);
}

static void fatal_self(int fd)
{
    struct weft__text t = {0};
    alarm(FATAL_LIMIT_S);
    weft__dump_self(&t);
    weft__text_write(&t, fd);
    weft__text_free(&t);
    alarm(0);
}

static void on_deadlock(bool fatal)
{
    if (fatal) {
        alarm(FATAL_LIMIT_S);
        weft_dump(2);
        alarm(0);
        return;
    }
    weft__eprintf("weft: all fibers are asleep; only threads outside the runtime can wake them "
                  "(kill -QUIT %d shows where they wait)\n",
        (int)getpid());
}

static void site_text(const void *pc, char *text, size_t bytes)
{
    struct weft__symbol y = weft__symbol_of((uintptr_t)pc, 1);
    const char *slash = strrchr(y.file, '/');
    if (y.file[0])
        snprintf(text, bytes, "%s:%d", slash ? slash + 1 : y.file, y.line);
    else
        snprintf(text, bytes, "%s+0x%lx", y.function, (unsigned long)y.offset);
}

static void on_quit(int sig)
{
    int saved = errno;
    uint64_t one = 1;
    (void)sig;
    ssize_t n = write(quit_fd, &one, sizeof one);
    (void)n;
    errno = saved;
}

static void *quit_main(void *arg)
{
    uint64_t count;
    (void)arg;
    weft__service_thread(1);
    while (read(quit_fd, &count, sizeof count) == sizeof count || errno == EINTR) {
        weft__eprintf("weft: SIGQUIT: every fiber of process %d\n\n", (int)getpid());
        weft_dump(2);
    }
    return NULL;
}

static void quit_install(void)
{
    const char *wish = getenv("WEFT_SIGQUIT");
    struct sigaction old, sa = {.sa_handler = on_quit, .sa_flags = SA_RESTART | SA_ONSTACK};
    pthread_t t;
    sigset_t all, before;
    if ((wish && strcmp(wish, "0") == 0) || sigaction(SIGQUIT, NULL, &old) < 0 ||
        (old.sa_handler != SIG_DFL &&
            old.sa_handler != SIG_IGN)) /* ignored: a shell's background job */
        return;
    quit_fd = eventfd(0, EFD_CLOEXEC);
    if (quit_fd < 0)
        return;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    int rc = pthread_create(&t, NULL, quit_main, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc != 0)
        return;
    pthread_detach(t);
    sigemptyset(&sa.sa_mask);
    sigaction(SIGQUIT, &sa, NULL);
}

void weft__diag_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    weft__fatal_hook = fatal_self;
    weft__dump_hook = weft_dump;
    weft__deadlock_hook = on_deadlock;
    weft__site_hook = site_text;
    pthread_once(&once, quit_install);
}
