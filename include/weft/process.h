// SPDX-License-Identifier: Apache-2.0
/*
 * weft/process.h - child processes: start, talk through pipes, wait, kill.
 *
 *     const char *const argv[] = {"sort", "-n", NULL};
 *     weft_process_opts o = {.size = sizeof o,
 *         .stdin_fd = WEFT_STDIO_PIPE, .stdout_fd = WEFT_STDIO_PIPE};
 *     weft_process *p;
 *     rc = weft_process_start(argv, &o, &p);
 *     int in = weft_process_pipe(p, 0), out = weft_process_pipe(p, 1);
 *     ... weft_write_all(in, ...); weft_close(in); weft_read(out, ...); weft_close(out); ...
 *     rc = weft_process_wait(p, &status);      parks the fiber; status is that of waitpid(2)
 *     weft_process_free(p);
 *
 * Who fills one pipe and reads another needs a fiber for each: the child may wait for either.
 *
 * A fork of a program with fibers is good for exec and _exit only (weft/base.h), and copies page
 * tables, of a million stacks too. This starts a program in constant time, whatever the size of the
 * process, and no code of the program runs in the child. The child has:
 *
 *   - the descriptors that the options name, as 0, 1, 2, 3 ..., and no others, close-on-exec or
 *     not;
 *   - an empty signal mask and default dispositions; only SIGHUP, SIGINT and SIGQUIT stay ignored
 *     where they are (nohup, background jobs). SIGPIPE is not inherited as ignored;
 *   - the environment and the working directory of this process, unless the options say otherwise.
 *
 * The process belongs to the context under which it was started: when that ends, it is killed
 * (.stop_signal first, where given), also if nobody waits for it. The end is awaited by its pidfd:
 * SIGCHLD is not touched, and other children are not reaped.
 *
 * All functions but weft_process_free may be called on one process by several fibers and threads at
 * once, with or without a runtime.
 */
#ifndef WEFT_PROCESS_H
#define WEFT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <weft/base.h>

WEFT_BEGIN_DECLS

typedef struct weft_process weft_process;

/* What stdin_fd, stdout_fd and stderr_fd may be besides a descriptor greater than 0. */
#define WEFT_STDIO_INHERIT 0  /* this process's own */
#define WEFT_STDIO_NULL (-1)  /* /dev/null */
#define WEFT_STDIO_PIPE (-2)  /* a pipe; its other end: weft_process_pipe */
#define WEFT_STDIO_MERGE (-3) /* stderr_fd only: where stdout goes */

/* Options; zero is the default of each. size is sizeof(weft_process_opts), so it can grow. Borrowed
 * for the call. */
typedef struct weft_process_opts {
    size_t size;
    const char *const *env; /* "NAME=value" ..., NULL; NULL: this process's environment */
    const char *dir;        /* working directory; NULL: this process's */
    int stdin_fd, stdout_fd, stderr_fd;
    const int *extra_fds; /* extra_count descriptors, which become 3, 4, 5 ... */
    unsigned extra_count; /* 64 at most */
    bool group;           /* a process group of its own; kills are for all in it */
    int stop_signal;      /* sent when the context ends; 0: SIGKILL */
    int64_t grace_ns;     /* so much later SIGKILL, if it still runs; 0: 5 s */
} weft_process_opts;

/**
 * weft_process_start - run a program.
 * @argv:        its arguments, NULL at the end; borrowed. argv[0] is the program: a path if it has
 *               a slash (from .dir), else looked for in the absolute folders of PATH.
 * @opts:        options, or NULL for the defaults.
 * @ret_process: returned owned: weft_process_free.
 *
 * Returns 0: the program runs.
 *   -ENOENT, -EACCES, -ENOEXEC, -E2BIG … it could not be executed, or .dir not entered; -EBADF a
 *   descriptor is not open; -EINVAL no program, or options that make no sense; -EMFILE, -EAGAIN,
 *   -ENOMEM; -ENOSYS before Linux 5.4; -ECANCELED / -ETIMEDOUT the context has ended. Then no
 *   process is left.
 * Blocks:    the thread until the program is loaded (its worker goes on elsewhere).
 * Callable:  any fiber or plain thread. Not from signal handlers.
 * Cost:      about 80 system calls and two stacks' worth of pages, whatever the size of the
 *            process.
 * Since 0.1. Source: Go's os/exec, Cmd.Start. See weft_process_wait, weft_process_pipe.
 */
WEFT_API WEFT_MUST_CHECK int weft_process_start(
    const char *const *argv, const weft_process_opts *opts, weft_process **ret_process);

/**
 * weft_process_pipe - take the other end of a WEFT_STDIO_PIPE.
 * @p:     process; borrowed for the call.
 * @which: 0 its standard input (an end to write to), 1 output, 2 error (ends to read from).
 *
 * Returns the descriptor, non-blocking, close-on-exec, owned by the caller from here on:
 *   weft_close.
 *   -EBADF no pipe was asked for, or it was taken already.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's os/exec, Cmd.StdoutPipe. See weft_read, weft_write_all, weft_close.
 */
WEFT_API int weft_process_pipe(weft_process *p, int which);

/**
 * weft_process_wait - wait until a process has ended.
 * @p:          process; borrowed for the call.
 * @ret_status: its status, for WIFEXITED, WEXITSTATUS, WIFSIGNALED, WTERMSIG of <sys/wait.h>; may
 *              be NULL.
 *
 * Does not wait for the pipes: whoever reads them sees their end.
 *
 * Returns 0, again at each call.
 *   -ECANCELED / -ETIMEDOUT the caller's context ended first (if the process belongs to it, it is
 *   about to be killed); -ECHILD it has ended, but the program ignores SIGCHLD, or somebody else
 *   has waited for it: the status is lost.
 * Blocks:    parks the fiber. Cancellation point, unless the process has ended.
 * Callable:  any fiber, several at once; a plain thread too.
 * Cost:      two system calls.
 * Since 0.1. Source: Go's os/exec, Cmd.Wait. See weft_process_kill, weft_process_free.
 */
WEFT_API int weft_process_wait(weft_process *p, int *ret_status);

/**
 * weft_process_kill - send a signal to a process, or to its group if it has its own.
 * @p:      process; borrowed for the call.
 * @number: the signal; 0 only asks whether it is there.
 *
 * Never meets another process that has got the same number.
 *
 * Returns 0; -ESRCH it has ended and was waited for; -EPERM, -EINVAL.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. Source: Go's os.Process.Signal. See weft_process_wait.
 */
WEFT_API int weft_process_kill(weft_process *p, int number);

/**
 * weft_process_id - a process's number, for messages.
 * @p: process; borrowed for the call.
 *
 * Returns its pid; another process's, perhaps, once it has been waited for.
 * Blocks:    never.
 * Callable:  any fiber or plain thread.
 * Since 0.1. See weft_process_kill.
 */
WEFT_API pid_t weft_process_id(const weft_process *p);

/**
 * weft_process_free - let go of a process: one that still runs is killed and waited for.
 * @p: process, taken; NULL does nothing.
 *
 * Pipes that were not taken are closed. No zombie is left.
 *
 * Blocks:    parks the fiber until a killed process is gone; not a cancellation point.
 * Callable:  any fiber or plain thread, when no other uses it.
 * Since 0.1. See weft_process_start.
 */
WEFT_API void weft_process_free(weft_process *p);

WEFT_END_DECLS
#endif
