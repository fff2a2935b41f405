// SPDX-License-Identifier: Apache-2.0
/*
 * diag.c - putting diagnosis under the program: hooks for fatal ends, the SIGQUIT dump.
 *
 * SIGQUIT only writes to an eventfd; a sleeping thread of our own makes the dump, as symbols need
 * the allocator, which a signal handler may not touch. It is there from the first weft_run or
 * weft_debug_signal on, and serves pinned loops and fibers alike. The fatal hooks run where the
 * mistake was made and may allocate: the process is about to end, and an alarm ends it for good
 * should they hang.
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
#include "base/futex.h"
#include "base/hooks.h"
#include "diag/backtrace.h"
#include "diag/dump.h"
#include "diag/symbol.h"
#include "diag/thread_stack.h"
#include "sched/sched.h"
#include "sync/object_core.h"

enum { FATAL_LIMIT_S = 20 };

static pthread_mutex_t quit_lock = PTHREAD_MUTEX_INITIALIZER; /* of the installation */
static int quit_fd = -1;                                      /* < 0: not installed */
static _Atomic bool quit_ends;                                /* after the dump */

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
    while (read(quit_fd, &count, sizeof count) == sizeof count || errno == EINTR) {
        weft__eprintf(
            "weft: SIGQUIT: every fiber and pinned loop of process %d\n\n", (int)getpid());
        weft_dump(2);
        if (at_load(&quit_ends))
            _exit(2);
    }
    return NULL;
}

static int quit_install_locked(void)
{
    const char *wish = getenv("WEFT_SIGQUIT");
    struct sigaction old, sa = {.sa_handler = on_quit, .sa_flags = SA_RESTART | SA_ONSTACK};
    if (quit_fd >= 0)
        return 0;
    if ((wish && strcmp(wish, "0") == 0) || sigaction(SIGQUIT, NULL, &old) < 0 ||
        (old.sa_handler != SIG_DFL &&
            old.sa_handler != SIG_IGN)) /* ignored: a shell's background job */
        return -EBUSY;
    weft__thread_stack_init();
    quit_fd = eventfd(0, EFD_CLOEXEC);
    if (quit_fd < 0)
        return -errno;
    int rc = weft__service_start(0, quit_main, NULL);
    if (rc < 0) {
        close(quit_fd);
        quit_fd = -1;
        return rc;
    }
    weft__quit_handler = on_quit;
    sigemptyset(&sa.sa_mask);
    sigaction(SIGQUIT, &sa, NULL);
    return 0;
}

static int quit_install(void)
{
    pthread_mutex_lock(&quit_lock);
    int rc = quit_install_locked();
    pthread_mutex_unlock(&quit_lock);
    return rc;
}

int weft_debug_signal(enum weft_debug_then then)
{
    if (then != WEFT_DEBUG_GO_ON && then != WEFT_DEBUG_EXIT)
        return -EINVAL;
    int rc = quit_install();
    if (rc == 0)
        at_store(&quit_ends, then == WEFT_DEBUG_EXIT);
    return rc;
}

void weft__diag_init(void)
{
    weft__fatal_hook = fatal_self;
    weft__dump_hook = weft_dump;
    weft__deadlock_hook = on_deadlock;
    weft__site_hook = site_text;
    weft__thread_stack_init();
    quit_install(); /* a program that has the signal for itself keeps it */
}
