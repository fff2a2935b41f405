// SPDX-License-Identifier: Apache-2.0
/* steps.c - the tracer; steps.h says what it counts. */
#include "steps.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_THREADS = 256, MAX_HELD = 64, VDSO_BYTES = 16384, CACHE = 1 << 16, CODE_BYTES = 8 };
enum { SYSCALL_STOP = 0x80 }; /* PTRACE_O_TRACESYSGOOD */
enum kind { UNKNOWN, PLAIN, LOCKED, SYSCALL, MARK };

/* Between the two processes. */
static struct board {
    struct steps counted;
} * board;

static struct tracer {
    pid_t child, stepped;
    uint64_t watched, vdso;
    int threads;
    pid_t thread[MAX_THREADS];
    int held;
    int held_signal[MAX_HELD];
    struct {
        uint64_t at;
        enum kind kind;
    } cache[CACHE];
} tracer;

void steps_begin(void)
{
    __asm__ volatile("int3" ::: "memory");
}

struct steps steps_end(void)
{
    __asm__ volatile("int3" ::: "memory");
    return board->counted;
}

/* ---- one instruction ---- */

static bool is_prefix(uint8_t b)
{
    switch (b) {
    case 0x26:
    case 0x2e:
    case 0x36:
    case 0x3e:
    case 0x64:
    case 0x65: /* segments */
    case 0x66:
    case 0x67:
    case 0xf0:
    case 0xf2:
    case 0xf3:
        return true;
    default:
        return false;
    }
}

static enum kind classify(const uint8_t code[CODE_BYTES])
{
    int i = 0;
    bool locked = false;
    if (code[0] == 0xcc)
        return MARK;
    for (; i < CODE_BYTES - 2 && is_prefix(code[i]); i++)
        locked |= code[i] == 0xf0;
    if ((code[i] & 0xf0) == 0x40) /* REX */
        i++;
    if (locked || ((code[i] == 0x86 || code[i] == 0x87) && code[i + 1] < 0xc0))
        return LOCKED;
    return code[i] == 0x0f && code[i + 1] == 0x05 ? SYSCALL : PLAIN;
}

static enum kind kind_at(uint64_t at)
{
    size_t slot = at % CACHE;
    if (tracer.cache[slot].at != at || tracer.cache[slot].kind == UNKNOWN) {
        uint8_t code[CODE_BYTES];
        long word = ptrace(PTRACE_PEEKTEXT, tracer.stepped, (void *)at, NULL);
        memcpy(code, &word, sizeof code);
        tracer.cache[slot].at = at;
        tracer.cache[slot].kind = classify(code);
    }
    return tracer.cache[slot].kind;
}

/* ---- threads ---- */

static void add_thread(pid_t tid)
{
    for (int i = 0; i < tracer.threads; i++)
        if (tracer.thread[i] == tid)
            return;
    if (tracer.threads < MAX_THREADS)
        tracer.thread[tracer.threads++] = tid;
}

static void drop_thread(pid_t tid)
{
    for (int i = 0; i < tracer.threads; i++)
        if (tracer.thread[i] == tid)
            tracer.thread[i--] = tracer.thread[--tracer.threads];
}

static bool hold_signal(int sig)
{
    if (sig == 0 || sig == SIGTRAP || sig == SIGSTOP || tracer.held == MAX_HELD)
        return false;
    tracer.held_signal[tracer.held++] = sig;
    return true;
}

static long peek(pid_t tid, size_t offset)
{
    return ptrace(PTRACE_PEEKUSER, tid, (void *)offset, NULL);
}

/* Stops one; false: it is gone. */
static bool stop_thread(pid_t tid)
{
    int status;
    if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) < 0)
        return false;
    if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
        return false;
    if (status >> 16 == 0) { /* a signal came first; the stop for the interrupt is still to come */
        hold_signal(WSTOPSIG(status));
        ptrace(PTRACE_CONT, tid, NULL, NULL);
        return waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status);
    }
    return true;
}

/* Calls by which a thread of the runtime, or of the driver, waits. */
static bool is_wait(long call)
{
    switch (call) {
    case SYS_futex:
    case SYS_epoll_wait:
    case SYS_epoll_pwait:
    case SYS_poll:
    case SYS_ppoll:
    case SYS_read:
    case SYS_nanosleep:
    case SYS_clock_nanosleep:
    case SYS_rt_sigtimedwait:
    case SYS_io_uring_enter:
    case SYS_restart_syscall:
        return true;
    default:
        return false;
    }
}

/* Stops one where it waits in the kernel, or as soon as it goes there: elsewhere it may hold a lock
 * that the piece wants. */
static bool stop_asleep(pid_t tid)
{
    int status;
    if (!stop_thread(tid))
        return false;
    while (!is_wait(peek(tid, offsetof(struct user_regs_struct, orig_rax)))) {
        if (ptrace(PTRACE_SYSCALL, tid, NULL, NULL) < 0 || waitpid(tid, &status, __WALL) != tid ||
            !WIFSTOPPED(status))
            return false;
        if (status >> 16 == 0)
            hold_signal(WSTOPSIG(status) & ~SYSCALL_STOP);
    }
    return true;
}

static void stop_others(void)
{
    for (int i = 0; i < tracer.threads; i++)
        if (tracer.thread[i] != tracer.stepped && !stop_asleep(tracer.thread[i]))
            drop_thread(tracer.thread[i--]);
}

static void let_others_go(void)
{
    for (int i = 0; i < tracer.threads; i++)
        if (tracer.thread[i] != tracer.stepped)
            ptrace(PTRACE_CONT, tracer.thread[i], NULL, NULL);
    for (int i = 0; i < tracer.held; i++)
        syscall(SYS_kill, tracer.child, tracer.held_signal[i]);
    tracer.held = 0;
}

/* ---- the piece ---- */

static void count(uint64_t at, enum kind kind, uint64_t last)
{
    struct steps *c = &board->counted;
    if (at == last) /* the next round of a repeated instruction */
        return;
    if (at - tracer.vdso < VDSO_BYTES) /* it goes round while the kernel sets the clock */
        return;
    c->instructions++;
    c->locked += kind == LOCKED;
    c->syscalls += kind == SYSCALL;
    c->arrivals += at == tracer.watched;
}

/* Steps through the piece up to its end mark, which is passed; false: the child is gone. The step
 * that a signal stops instead is made again. */
static bool step_through(void)
{
    uint64_t last = 0;
    int status;
    board->counted = (struct steps){0};
    for (;;) {
        long at = peek(tracer.stepped, offsetof(struct user_regs_struct, rip));
        enum kind kind = kind_at((uint64_t)at);
        if (ptrace(PTRACE_SINGLESTEP, tracer.stepped, NULL, NULL) < 0 ||
            waitpid(tracer.stepped, &status, __WALL) != tracer.stepped || !WIFSTOPPED(status))
            return false;
        if (WSTOPSIG(status) != SIGTRAP) {
            hold_signal(WSTOPSIG(status));
            continue;
        }
        if (kind == MARK)
            return true;
        count((uint64_t)at, kind, last);
        last = (uint64_t)at;
    }
}

/* Whether a thread's SIGTRAP is a mark: it has just passed int3. */
static bool at_mark(pid_t tid)
{
    tracer.stepped = tid;
    errno = 0;
    long at = peek(tid, offsetof(struct user_regs_struct, rip));
    return errno == 0 && kind_at((uint64_t)at - 1) == MARK;
}

/* One stop of one thread, outside of a piece. */
static void on_stop(pid_t tid, int status)
{
    int sig = WSTOPSIG(status), event = status >> 16;
    add_thread(tid);
    if (event == 0 && sig == SIGTRAP && at_mark(tid)) {
        stop_others();
        if (!step_through())
            return;
        let_others_go();
        sig = 0;
    }
    ptrace(PTRACE_CONT, tid, NULL, (void *)(long)(event ? 0 : sig));
}

static int trace(void)
{
    int status;
    pid_t tid;
    while ((tid = waitpid(-1, &status, __WALL)) > 0) {
        if (WIFSTOPPED(status)) {
            on_stop(tid, status);
            continue;
        }
        if (tid == tracer.child)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
        drop_thread(tid);
    }
    return -ECHILD;
}

int steps_run(int (*child)(void *), void *arg, void (*watched)(void))
{
    int go[2];
    board = mmap(NULL, sizeof *board, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (board == MAP_FAILED)
        return -ENOMEM;
    if (pipe2(go, O_CLOEXEC) < 0)
        return -errno;
    tracer.watched = (uint64_t)(uintptr_t)watched;
    tracer.vdso = getauxval(AT_SYSINFO_EHDR);
    tracer.child = fork();
    if (tracer.child < 0)
        return -errno;
    if (tracer.child == 0) {
        char byte;
        close(go[1]);
        while (read(go[0], &byte, 1) < 0) /* until it is traced: then that end is closed */
            ;
        close(go[0]);
        exit(child(arg));
    }
    if (ptrace(PTRACE_SEIZE, tracer.child, NULL,
            (void *)(long)(PTRACE_O_TRACECLONE | PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)) < 0) {
        int why = -errno;
        kill(tracer.child, SIGKILL);
        waitpid(tracer.child, NULL, 0);
        return why;
    }
    add_thread(tracer.child);
    close(go[0]);
    close(go[1]);
    return trace();
}
