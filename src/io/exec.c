// SPDX-License-Identifier: Apache-2.0
/*
 * exec.c - clone a process that borrows our memory until it executes a program.
 *
 *      parent                                  child
 *      block all signals
 *      clone(VM | VFORK | PIDFD) ────────────> on a small stack of its own, in our memory
 *      (this thread sleeps; its worker         default dispositions, group, directory,
 *       goes on with other fibers)             descriptors, empty mask
 *      <─────────────────────────────────────  execve; or error = -errno, exit
 *      unblock; an error: reap it
 *
 * WHY clone, not fork: fork copies the page tables, of every fiber's stack too, and stops the world
 * of that memory while it does. WHY NOT posix_spawn, which is the same clone: glibc 2.36's gives no
 * pidfd. One opened afterwards may be another process's, if the host reaps all children at SIGCHLD,
 * and with no descriptor left the program would run already when we notice.
 *
 * Q1  The child runs in our memory, beside all our threads but this one. It calls nothing but
 *     weft__syscall, which touches no errno, no lock and no allocator, and writes to its own stack
 *     and `error` only. Not sigaction(3): sanitizers keep a table behind it.
 * Q2  No handler of ours runs in the child: signals are blocked from before the clone until each
 *     disposition is a default one. (Dispositions are the child's own copy, as are descriptors.)
 * Q3  Sanitizers do not see the child's functions: their frames never return, and the marks that
 *     they would leave in our shadow memory would stay.
 * Q4  Descriptors are moved out of the way first, above all targets, then put in place; so any
 *     permutation works. Whatever lies above the targets is closed, then.
 *
 * Concurrency: any thread or fiber. Progress: blocks the thread until execve has read the program.
 */
#include "io/exec.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "io/seam.h"
#include "sched/sched.h"

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#define UNSEEN                                                                                     \
    __attribute__((no_sanitize("address"))) __attribute__((no_sanitize("thread"))) /* Q3 */

enum {
    STACK_BYTES = 64 << 10,
    GUARD_BYTES = 4 << 10,
    SIGNALS = 64,
    SIGSET_BYTES = 8,
    P_A_PIDFD = 3
};

struct child {
    const struct weft__exec *x;
    volatile int error; /* written by the child, read once it is gone */
};

/* As the kernel has it; all zeros is the default. */
struct kernel_action {
    uintptr_t handler;
    uintptr_t rest[7];
};

/* ---- in the child; Q1 ---- */

UNSEEN static bool stays_ignored(int n)
{
    struct kernel_action now;
    if (n != SIGHUP && n != SIGINT && n != SIGQUIT)
        return false;
    return weft__syscall(SYS_rt_sigaction, n, 0, (long)&now, SIGSET_BYTES, 0, 0) == 0 &&
           now.handler == (uintptr_t)SIG_IGN;
}

UNSEEN static void default_dispositions(void)
{
    static const struct kernel_action none;
    for (int n = 1; n <= SIGNALS; n++)
        if (n != SIGKILL && n != SIGSTOP && !stays_ignored(n))
            weft__syscall(SYS_rt_sigaction, n, (long)&none, 0, SIGSET_BYTES, 0, 0);
}

UNSEEN static void empty_mask(void)
{
    static const uint64_t none;
    weft__syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&none, 0, SIGSET_BYTES, 0, 0);
}

UNSEEN static void close_from(unsigned first)
{
    struct rlimit limit;
    if (weft__syscall(SYS_close_range, first, UINT_MAX, 0, 0, 0, 0) == 0)
        return; /* else Linux before 5.9 */
    weft__syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, 0, (long)&limit, 0, 0);
    for (unsigned fd = first; fd < limit.rlim_cur && fd < INT_MAX; fd++)
        weft__syscall(SYS_close, fd, 0, 0, 0, 0, 0);
}

UNSEEN static long place_descriptors(const struct weft__exec *x) /* Q4 */
{
    long moved[WEFT__EXEC_FDS];
    for (unsigned k = 0; k < x->fd_count; k++) {
        moved[k] = weft__syscall(SYS_fcntl, x->fds[k], F_DUPFD_CLOEXEC, x->fd_count, 0, 0, 0);
        if (moved[k] < 0 && (moved[k] != -EBADF || x->fds[k] != (int)k))
            return moved[k];
    }
    for (unsigned k = 0; k < x->fd_count; k++) {
        long rc = moved[k] < 0 ? 0 : weft__syscall(SYS_dup3, moved[k], k, 0, 0, 0, 0);
        if (rc < 0)
            return rc;
    }
    close_from(x->fd_count);
    return 0;
}

/* Returns only where none could be executed: why, of the last that was there. */
UNSEEN static long execute(const struct weft__exec *x)
{
    long rc = -ENOENT;
    for (const char *path = x->paths; *path;) {
        long now = weft__syscall(SYS_execve, (long)path, (long)x->argv, (long)x->env, 0, 0, 0);
        if (now != -ENOENT && now != -ENOTDIR)
            rc = now;
        if (now != -ENOENT && now != -ENOTDIR && now != -EACCES)
            break;
        while (*path)
            path++;
        path++;
    }
    return rc;
}

UNSEEN static int child_main(void *arg)
{
    struct child *c = arg;
    const struct weft__exec *x = c->x;
    long rc = 0;
    default_dispositions(); /* Q2 */
    if (x->group)
        rc = weft__syscall(SYS_setpgid, 0, 0, 0, 0, 0, 0);
    if (rc == 0 && x->dir)
        rc = weft__syscall(SYS_chdir, (long)x->dir, 0, 0, 0, 0, 0);
    if (rc == 0)
        rc = place_descriptors(x);
    empty_mask();
    if (rc == 0)
        rc = execute(x);
    c->error = (int)rc;
    weft__syscall(SYS_exit_group, 127, 0, 0, 0, 0, 0);
    return 127;
}

/* ---- in the parent ---- */

/* glibc's own name of clone(2)'s wrapper, which sanitizers do not intercept: they take every clone
 * for a fork, and would reset in the child the state that it shares with us (Q3). */
int __clone(int (*fn)(void *), void *stack_top, int flags, void *arg, ...);

/* errno is this thread's: nothing here parks, and nothing is inlined into what may. */
__attribute__((noinline)) static int clone_child(struct child *c, char *stack, int *ret_pidfd)
{
    static const uint64_t all = UINT64_MAX;
    uint64_t before;
    weft__syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&all, (long)&before, SIGSET_BYTES, 0, 0);
    int pid = __clone(child_main, stack + GUARD_BYTES + STACK_BYTES,
        CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, c, ret_pidfd);
    int rc = pid < 0 ? -errno : pid;
    weft__syscall(SYS_rt_sigprocmask, SIG_SETMASK, (long)&before, 0, SIGSET_BYTES, 0, 0);
    return rc;
}

/* Waiting by pidfd came with Linux 5.4, after CLONE_PIDFD. */
static bool pidfds_work(void)
{
    static _Atomic int known; /* 1 yes, 2 no */
    if (!at_load(&known)) {
        siginfo_t si; /* the kernel would do without, valgrind would not */
        long rc = weft__syscall(SYS_waitid, P_A_PIDFD, INT_MAX, (long)&si, WEXITED | WNOHANG, 0, 0);
        at_store(&known, rc == -EBADF ? 1 : 2);
    }
    return at_load(&known) == 1;
}

int weft__exec_reap(int pidfd, int *ret_status)
{
    siginfo_t si = {.si_pid = 0};
    long rc;
    do
        rc = weft__syscall(SYS_waitid, P_A_PIDFD, pidfd, (long)&si, WEXITED | WNOHANG, 0, 0);
    while (rc == -EINTR);
    if (rc < 0)
        return (int)rc;
    if (si.si_pid == 0)
        return 0;
    if (si.si_code == CLD_EXITED)
        *ret_status = (si.si_status & 0xff) << 8;
    else
        *ret_status = (si.si_status & 0x7f) | (si.si_code == CLD_DUMPED ? WCOREFLAG : 0);
    return 1;
}

bool weft__exec_kept(int pidfd)
{
    long rc;
    do
        rc = weft__syscall(SYS_waitid, P_A_PIDFD, pidfd, 0, WEXITED | WNOHANG | WNOWAIT, 0, 0);
    while (rc == -EINTR);
    return rc == 0;
}

int weft__exec(const struct weft__exec *x, pid_t *ret_pid, int *ret_pidfd)
{
    struct child c = {.x = x};
    int pidfd = -1, status;
    if (!pidfds_work())
        return -ENOSYS;
    char *stack = mmap(NULL, GUARD_BYTES + STACK_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED)
        return -ENOMEM;
    mprotect(stack, GUARD_BYTES, PROT_NONE);
    weft__enter();
    weft__blocking_begin();
    int pid = clone_child(&c, stack, &pidfd);
    weft__blocking_end();
    weft__leave();
    munmap(stack, GUARD_BYTES + STACK_BYTES);
    if (pid < 0)
        return pid;
    if (c.error < 0) {
        while (weft__exec_reap(pidfd, &status) == 0) /* it is on its last steps */
            weft__sys_yield();
        weft__sys_close(pidfd);
        return c.error;
    }
    *ret_pid = pid;
    *ret_pidfd = pidfd;
    return 0;
}
