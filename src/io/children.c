// SPDX-License-Identifier: Apache-2.0
/*
 * children.c - child processes (weft/process.h): their pipes, their end, their context.
 *
 *      weft_process ── pidfd in the poller ── who waits: weft_process_wait, weft_process_free
 *           │ refs: the user's, and the after function's
 *           └── context of the start ──ends──> after function, a fiber: stop_signal, grace, SIGKILL
 *
 * R1  `ended` goes from false to true once, under the lock, with status; whoever asks the kernel
 *     (weft__exec_reap) does so under it as well, so one of several gets the status, for all.
 * R2  No signal meets a stranger that has got the number. A process has its signals by the pidfd;
 *     so has a group, since Linux 6.9. Before that a group's go by the number, after a look whether
 *     the process is still to be waited for, which keeps the number: `ended` does not tell, if the
 *     program ignores SIGCHLD or waits for all children. (Then a moment is left between look and
 *     kill.) Signals are sent under the lock and while not `ended`.
 * R3  The end is one edge of the pidfd. Whoever leaves the wait, be it with the end or because his
 *     context ended, rouses the others (weft__fd_rouse): they look for themselves.
 * R4  The pidfd lives as long as the record: nobody waits on a number that is another's.
 *
 * Concurrency: as the header says. Progress: blocking, for a system call (the lock).
 */
#include <weft/process.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <weft/ctx.h>

#include "base/alloc.h"
#include "io/exec.h"
#include "io/poller.h"
#include "io/seam.h"
#include "sched/sched.h"

#ifndef PIDFD_SIGNAL_PROCESS_GROUP /* Linux 6.9; Debian 12's headers lack it */
#define PIDFD_SIGNAL_PROCESS_GROUP (1 << 2)
#endif

static const int64_t default_grace_ns = 5000000000;

struct weft_process {
    _Atomic uint32_t refs;
    struct weft__lock lock; /* rank FD: ended, status, pipes */
    pid_t id;
    int pidfd;
    bool group, ended;
    int status; /* of waitpid, or -ECHILD */
    int pipes[3];
    int stop_signal;
    int64_t grace_ns;
    weft_ctx_after *after; /* NULL: none */
};

/* ---- the end ---- */

static void unref(weft_process *p)
{
    if (at_sub(&p->refs, 1) != 1)
        return;
    weft__enter();
    weft__fd_close(p->pidfd);
    weft__leave();
    weft__free(p);
}

static bool ended_locked(weft_process *p) /* R1 */
{
    int rc = p->ended ? 0 : weft__exec_reap(p->pidfd, &p->status);
    if (rc < 0)
        p->status = rc;
    p->ended |= rc != 0;
    return p->ended;
}

static bool has_ended(weft_process *p)
{
    weft__lock(&p->lock, WEFT__RANK_FD);
    bool ended = ended_locked(p);
    weft__unlock(&p->lock);
    return ended;
}

/* 0 it has ended; -ETIME; -ECANCELED / -ETIMEDOUT the context has. */
static int await(weft_process *p, int64_t deadline_ns, void *caller)
{
    int rc = 0;
    weft__enter();
    struct weft__fd_wait w = weft__fd_now(p->pidfd, WEFT__READ);
    while (!has_ended(p)) {
        if (rc < 0)
            break;
        rc = weft__fd_wait_any(&w, 1, deadline_ns, caller);
    }
    bool ended = has_ended(p);
    weft__fd_rouse(p->pidfd, WEFT__READ); /* R3 */
    weft__leave();
    return ended ? 0 : rc;
}

static long send_to_group(const weft_process *p, int number)
{
    long rc =
        weft__syscall(SYS_pidfd_send_signal, p->pidfd, number, 0, PIDFD_SIGNAL_PROCESS_GROUP, 0, 0);
    if (rc != -EINVAL) /* which is the answer to a wrong number, too */
        return rc;
    if (!weft__exec_kept(p->pidfd))
        return -ESRCH;
    return weft__syscall(SYS_kill, -p->id, number, 0, 0, 0, 0);
}

static int send_signal(weft_process *p, int number) /* R2 */
{
    long rc = -ESRCH;
    weft__enter();
    weft__lock(&p->lock, WEFT__RANK_FD);
    if (!p->ended && p->group)
        rc = send_to_group(p, number);
    else if (!p->ended)
        rc = weft__syscall(SYS_pidfd_send_signal, p->pidfd, number, 0, 0, 0, 0);
    weft__unlock(&p->lock);
    weft__leave();
    return (int)rc;
}

/* On a fiber of its own, or on a plain thread after the end of the run. */
static void context_ended(void *arg)
{
    weft_process *p = arg;
    send_signal(p, p->stop_signal);
    if (p->stop_signal != SIGKILL) {
        if (weft__sched_running())
            await(p, weft__clock_ns() + p->grace_ns, __builtin_return_address(0));
        send_signal(p, SIGKILL);
    }
    unref(p);
}

/* ---- the start ---- */

/* Candidates for argv[0], as struct weft__exec has them. Owned; NULL: no memory. */
static char *candidates(const char *name)
{
    const char *path = getenv("PATH");
    size_t name_len = strlen(name);
    if (strchr(name, '/') || name_len == 0)
        path = NULL;
    else if (!path)
        path = "/usr/local/bin:/usr/bin:/bin";
    size_t folders = 1, bytes = name_len + 2;
    for (const char *c = path; c && *c; c++)
        folders += *c == ':';
    if (path)
        bytes = strlen(path) + folders * (name_len + 2) + 1;
    char *list = weft__zalloc(bytes), *to = list;
    if (!list)
        return NULL;
    if (!path)
        memcpy(to, name, name_len);
    for (const char *from = path; from; from = *from ? from + 1 : NULL) {
        const char *end = strchrnul(from, ':');
        if (*from == '/') {
            to = mempcpy(to, from, (size_t)(end - from));
            *to++ = '/';
            to = (char *)mempcpy(to, name, name_len) + 1;
        }
        from = end;
    }
    return list;
}

/* What the child gets, and which of it are ours to close. */
struct wiring {
    int fds[WEFT__EXEC_FDS];
    int ours[3];  /* the child's ends, and /dev/null; -1: none */
    int pipes[3]; /* our ends; -1: none */
};

static void close_all(int *fds)
{
    for (int k = 0; k < 3; k++)
        if (fds[k] >= 0)
            weft__sys_close(fds[k]);
}

static int make_pipe(struct wiring *w, int k)
{
    int p[2];
    int rc = (int)weft__syscall(SYS_pipe2, (long)p, O_CLOEXEC, 0, 0, 0, 0);
    if (rc < 0)
        return rc;
    w->ours[k] = p[k == 0 ? 0 : 1];
    w->pipes[k] = p[k == 0 ? 1 : 0];
    return weft__sys_fcntl(w->pipes[k], F_SETFL, O_NONBLOCK);
}

static int wire_one(struct wiring *w, int k, int wish)
{
    int rc = 0;
    switch (wish) {
    case WEFT_STDIO_INHERIT:
        w->fds[k] = k;
        return 0;
    case WEFT_STDIO_NULL:
        rc = (int)weft__syscall(
            SYS_openat, AT_FDCWD, (long)"/dev/null", O_RDWR | O_CLOEXEC, 0, 0, 0);
        w->ours[k] = rc < 0 ? -1 : rc;
        break;
    case WEFT_STDIO_PIPE:
        rc = make_pipe(w, k);
        break;
    case WEFT_STDIO_MERGE:
        w->fds[k] = w->fds[1];
        return k == 2 ? 0 : -EINVAL;
    default:
        w->fds[k] = wish;
        return wish > 0 ? 0 : -EINVAL;
    }
    w->fds[k] = w->ours[k];
    return rc < 0 ? rc : 0;
}

static int wire(struct wiring *w, const weft_process_opts *o)
{
    const int wishes[3] = {o->stdin_fd, o->stdout_fd, o->stderr_fd};
    int rc = 0;
    for (int k = 0; k < 3; k++)
        w->ours[k] = w->pipes[k] = -1;
    for (int k = 0; k < 3 && rc == 0; k++)
        rc = wire_one(w, k, wishes[k]);
    for (unsigned k = 0; k < o->extra_count; k++)
        w->fds[3 + k] = o->extra_fds[k];
    for (unsigned k = 0; k < 3 + o->extra_count && rc == 0; k++)
        if (w->fds[k] != (int)k || k >= 3) /* one that is inherited may be closed */
            rc = weft__sys_fcntl(w->fds[k], F_GETFD, 0) < 0 ? -EBADF : 0;
    return rc;
}

static int execute(
    weft_process *p, const char *const *argv, const weft_process_opts *o, struct wiring *w)
{
    char *paths = candidates(argv[0]);
    struct weft__exec x = {.paths = paths,
        .argv = argv,
        .env = o->env ? o->env : (const char *const *)environ,
        .dir = o->dir,
        .fds = w->fds,
        .fd_count = 3 + o->extra_count,
        .group = o->group};
    int rc = paths ? weft__exec(&x, &p->id, &p->pidfd) : -ENOMEM;
    weft__free(paths);
    return rc;
}

/* The descriptors are new to the poller, whatever had their numbers before. */
static void adopt(weft_process *p, const weft_process_opts *o, const struct wiring *w)
{
    weft__enter();
    weft__fd_new(p->pidfd);
    for (int k = 0; k < 3; k++) {
        p->pipes[k] = w->pipes[k];
        if (p->pipes[k] >= 0)
            weft__fd_new(p->pipes[k]);
    }
    weft__leave();
    p->group = o->group;
    p->stop_signal = o->stop_signal ? o->stop_signal : SIGKILL;
    p->grace_ns = o->grace_ns ? o->grace_ns : default_grace_ns;
}

static int check(const char *const *argv, const weft_process_opts *o)
{
    if (!argv || !argv[0] || o->size < sizeof *o || o->extra_count > WEFT__EXEC_FDS - 3 ||
        (o->extra_count && !o->extra_fds) || o->stop_signal < 0 || o->stop_signal > SIGRTMAX ||
        o->grace_ns < 0)
        return -EINVAL;
    return weft_ctx_err(weft_ctx_current());
}

int weft_process_start(
    const char *const *argv, const weft_process_opts *opts, weft_process **ret_process)
{
    static const weft_process_opts defaults = {.size = sizeof defaults};
    const weft_process_opts *o = opts ? opts : &defaults;
    struct wiring w;
    int rc = check(argv, o);
    if (rc < 0)
        return rc;
    weft_process *p = weft__zalloc(sizeof *p);
    if (!p)
        return -ENOMEM;
    at_store(&p->refs, 2);
    rc = wire(&w, o);
    if (rc == 0)
        rc = execute(p, argv, o, &w);
    close_all(w.ours);
    if (rc < 0) {
        close_all(w.pipes);
        weft__free(p);
        return rc;
    }
    adopt(p, o, &w);
    rc = weft_ctx_after_func(weft_ctx_current(), context_ended, p, &p->after);
    if (rc < 0) {
        at_sub(&p->refs, 1);
        weft_process_free(p);
        return rc;
    }
    *ret_process = p;
    return 0;
}

/* ---- the rest of the interface ---- */

int weft_process_pipe(weft_process *p, int which)
{
    if (which < 0 || which > 2)
        return -EBADF;
    weft__enter();
    weft__lock(&p->lock, WEFT__RANK_FD);
    int fd = p->pipes[which];
    p->pipes[which] = -1;
    weft__unlock(&p->lock);
    weft__leave();
    return fd < 0 ? -EBADF : fd;
}

int weft_process_wait(weft_process *p, int *ret_status)
{
    int rc = await(p, -1, __builtin_return_address(0));
    if (rc < 0)
        return rc;
    if (p->status < 0)
        return p->status;
    if (ret_status)
        *ret_status = p->status;
    return 0;
}

int weft_process_kill(weft_process *p, int number)
{
    return send_signal(p, number);
}

pid_t weft_process_id(const weft_process *p)
{
    return p->id;
}

void weft_process_free(weft_process *p)
{
    weft_ctx_block b;
    if (!p)
        return;
    if (p->after && weft_ctx_after_stop(p->after))
        at_sub(&p->refs, 1); /* not the last one: ours is left */
    send_signal(p, SIGKILL);
    weft_ctx_enter_shield(&b);
    await(p, -1, __builtin_return_address(0));
    weft_ctx_leave(&b);
    weft__enter();
    for (int k = 0; k < 3; k++)
        if (p->pipes[k] >= 0)
            weft__fd_close(p->pipes[k]);
    weft__leave();
    unref(p);
}
