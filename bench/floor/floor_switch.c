// SPDX-License-Identifier: Apache-2.0
/*
 * floor_switch.c - what the parts of a fiber cost bare: a switch of contexts, a lock's two atomics,
 * a stack, the task of the fan-out.
 *
 *     floor_switch switch N     one switch, N contexts in rotation: each saves six registers and
 *                               its stack pointer, takes the next one's, returns
 *     floor_switch cas          a pair of compare-and-exchange and exchange on one's own line
 *     floor_switch task         the fan-out's task itself: 700 steps of a linear congruence
 *     floor_switch park N       N guarded stacks of 64 KiB: each is entered once and left for good
 *
 * No run queue, no record of who runs, no wake-up: what a runtime adds to these is its own. The
 * stacks' tops are spread over 4 KiB in steps of 256 bytes, else they would all want the same
 * lines of the first-level cache. `park` counts memory as bench/fibers.c does, page tables
 * included.
 */
#include <sys/mman.h>
#include "available.h"
#include "floor_common.h"

#define SWITCHES 20000000L
#define PAIRS 50000000L
#define TASKS 200000L
enum { STACK_BYTES = 64 << 10, GUARD_BYTES = 4096, MAX_CONTEXTS = 4000000 };

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

struct context {
    void *sp;
    struct context *next;
};

/* Leaves *save_sp behind and goes on where load_sp was left. */
void floor_switch_to(void **save_sp, void *load_sp);
__asm__(".text\n"
        ".globl floor_switch_to\n"
        ".type floor_switch_to, @function\n"
        "floor_switch_to:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size floor_switch_to, .-floor_switch_to\n");

static struct context *running;

__attribute__((noreturn)) static void go_round(void)
{
    for (;;) {
        struct context *self = running;
        running = self->next;
        floor_switch_to(&self->sp, running->sp);
    }
}

/* The stack looks as if its owner had called floor_switch_to from a function that go_round is to
 * return to: six registers, the address, and a slot that keeps the ABI's alignment. */
static void prepare(struct context *c, char *stack, size_t colour)
{
    void **sp = (void **)(stack + STACK_BYTES - colour % 16 * 256);
    sp -= 2;
    sp[0] = (void *)(uintptr_t)go_round;
    sp[1] = NULL;
    sp -= 6;
    memset(sp, 0, 6 * sizeof *sp);
    c->sp = sp;
}

static char *map_stacks(size_t n)
{
    char *all = mmap(NULL, n * STACK_BYTES, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    madvise(all, n * STACK_BYTES, MADV_NOHUGEPAGE);
    return all;
}

static struct context *make_contexts(size_t n)
{
    struct context *c = calloc(n, sizeof *c);
    if (!c)
        die("out of memory");
    return c;
}

static void measure_switch(size_t n)
{
    struct context *c = make_contexts(n);
    char *stacks = map_stacks(n);
    for (size_t i = 0; i < n; i++) {
        c[i].next = &c[(i + 1) % n];
        if (i > 0)
            prepare(&c[i], stacks + i * STACK_BYTES, i);
    }
    long rounds = SWITCHES / (long)n;
    int64_t begin = 0;
    for (long r = -rounds / 10; r < rounds; r++) { /* this thread is the first of the rotation */
        if (r == 0)
            begin = now_ns();
        running = c[0].next;
        floor_switch_to(&c[0].sp, running->sp);
    }
    double spent = (double)(now_ns() - begin);
    printf("switch %.2f ns\n", spent / (double)(rounds * (long)n));
}

static void measure_cas(void)
{
    static _Alignas(64) int word;
    int64_t begin = now_ns();
    for (long i = 0; i < PAIRS; i++) {
        int free_word = 0;
        __atomic_compare_exchange_n(
            &word, &free_word, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
        __atomic_exchange_n(&word, 0, __ATOMIC_SEQ_CST);
    }
    printf("cas %.2f ns\n", (double)(now_ns() - begin) / (double)PAIRS);
}

static void measure_task(void)
{
    int64_t begin = now_ns();
    for (long t = 0; t < TASKS; t++) {
        uint64_t x = 1;
        for (int i = 0; i < 700; i++) {
            x = x * 6364136223846793005u + 1442695040888963407u;
            __asm__ volatile("" : "+r"(x));
        }
    }
    printf("task %.2f ns\n", (double)(now_ns() - begin) / (double)TASKS);
}

/* ---- memory ---- */

static void measure_park(size_t n)
{
    long long before = available_bytes();
    int64_t begin = now_ns();
    struct context *c = make_contexts(n + 1), *home = &c[n];
    char *stacks = map_stacks(n);
    bool guarded = true;
    for (size_t i = 0; i < n; i++) {
        char *stack = stacks + i * STACK_BYTES;
        guarded &= madvise(stack, GUARD_BYTES, MADV_GUARD_INSTALL) == 0;
        c[i].next = home;
        prepare(&c[i], stack, i);
        running = &c[i];
        floor_switch_to(&home->sp, running->sp);
    }
    double spent = (double)(now_ns() - begin);
    usleep(300000);
    printf("bytes %.2f B\n", (double)(before - available_bytes()) / (double)n);
    printf("time %.2f ns\n", spent / (double)n);
    if (!guarded)
        fprintf(stderr, "floor_switch: this kernel has no light guards, the stacks are bare\n");
}

int main(int argc, char **argv)
{
    size_t n = argc > 2 ? strtoul(argv[2], NULL, 10) : 2;
    const char *what = argc > 1 ? argv[1] : "";
    if (n < 2 || n > MAX_CONTEXTS)
        die("out of range: 2 to %d contexts", MAX_CONTEXTS);
    if (strcmp(what, "switch") == 0)
        measure_switch(n);
    else if (strcmp(what, "cas") == 0)
        measure_cas();
    else if (strcmp(what, "task") == 0)
        measure_task();
    else if (strcmp(what, "park") == 0)
        measure_park(n);
    else
        die("usage: %s switch N | cas | task | park N", argv[0]);
    return 0;
}
