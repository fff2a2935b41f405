// SPDX-License-Identifier: Apache-2.0
/*
 * exec.h - a program in a new process, at constant cost (exec.c has the how and why).
 *
 * All pointers are borrowed for the call. Concurrency: any fiber or thread, several at once.
 */
#ifndef WEFT_IO_EXEC_H
#define WEFT_IO_EXEC_H
#include <stdbool.h>
#include <sys/types.h>

enum { WEFT__EXEC_FDS = 3 + 64 };

struct weft__exec {
    const char *paths; /* what to execute: candidates, each ended by NUL, the last by two */
    const char *const *argv, *const *env;
    const char *dir; /* NULL: where we are */
    const int *fds;  /* fds[k] becomes k; fds[k] == k may be closed, and stays so */
    unsigned fd_count;
    bool group;
};

/** 0, the process's number and a pidfd, owned. Negative errno: nothing is left of it. Blocks the
 * thread until the program is loaded; not inside enter/leave. */
int weft__exec(const struct weft__exec *x, pid_t *ret_pid, int *ret_pidfd);

/** Whether the process of pidfd has ended; then it is waited for, and *ret_status is as waitpid(2)
 * has it. 1, 0, or -ECHILD: it has, and somebody else knows how. */
int weft__exec_reap(int pidfd, int *ret_status);
/** Whether the process is there still, or ended and not waited for: its number is nobody else's. */
bool weft__exec_kept(int pidfd);
#endif
