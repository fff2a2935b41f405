// SPDX-License-Identifier: Apache-2.0
/*
 * test_switch.c - what src/arch promises on every processor, without the runtime: two stacks that
 * take turns keep what a call must preserve; a new stack begins aligned and is an end for those who
 * walk frames; a signal's frame is read as its handler's caller left it.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include "arch/arch.h"
#include "test.h"

enum { STACK_BYTES = 64 << 10, TURNS = 1000 };

static _Alignas(16) unsigned char stack[STACK_BYTES];
static void *outside, *inside; /* saved stack pointers */
static void *given;
static uintptr_t alignment;
static double sum_inside;

extern void weft__arch_start(void);

static uintptr_t top(void)
{
    return (uintptr_t)stack + STACK_BYTES;
}

static void begin(void *(*entry)(void *), void *arg)
{
    inside = weft__arch_stack_init(stack + STACK_BYTES, entry, arg);
}

static void enter(void)
{
    weft__arch_switch(&outside, inside);
}

static void leave(void)
{
    weft__arch_switch(&inside, outside);
}

static void *look_and_leave(void *arg)
{
    _Alignas(16) char place[16];
    uintptr_t at = (uintptr_t)place;
    __asm__ volatile("" : "+r"(at)); /* else the compiler knows what it comes to */
    alignment = at % 16;
    given = arg;
    leave();
    test_fail(__FILE__, __LINE__, "nobody comes back here");
}

TEST(a_new_stack_calls_its_entry_with_its_argument)
{
    begin(look_and_leave, &given);
    enter();
    CHECK(given == &given);
    CHECK_EQ(alignment, 0);
    CHECK((uintptr_t)inside > (uintptr_t)stack && (uintptr_t)inside < top());
}

/* More values than there are registers that a call preserves, of both kinds, live across the
 * switch. Each is changed in each turn, so none can be computed again. */
static double take_turns(uint64_t seed, void (*yield)(void))
{
    uint64_t a = seed, b = a + 1, c = a + 2, d = a + 3, e = a + 4, f = a + 5, g = a + 6, h = a + 7,
             i = a + 8, j = a + 9, k = a + 10, l = a + 11;
    double o = (double)seed, p = o + 1, q = o + 2, r = o + 3, s = o + 4, t = o + 5, u = o + 6,
           v = o + 7, w = o + 8, x = o + 9;
    for (uint64_t n = 0; n < TURNS; n++) {
        a += n, b += a, c += b, d += c, e += d, f += e, g += f, h += g, i += h, j += i, k += j,
            l += k;
        o += 1, p += o / 2, q += 1, r += q / 4, s += 2, t += s / 2, u += 3, v += u / 2, w += 1,
            x += w / 8;
        yield();
    }
    return (double)((a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k ^ l) >> 12) + o + p + q + r + s + t +
           u + v + w + x;
}

static void nothing(void) {}

static void *turns_inside(void *arg)
{
    (void)arg;
    sum_inside = take_turns(7, leave);
    return outside;
}

TEST(what_a_call_preserves_a_switch_preserves)
{
    begin(turns_inside, NULL);
    double sum = take_turns(99, enter);
    enter(); /* its last turn ends */
    CHECK(sum == take_turns(99, nothing));
    CHECK(sum_inside == take_turns(7, nothing));
}

static __attribute__((noinline)) void deep(int levels)
{
    if (levels > 0)
        deep(levels - 1);
    else
        leave();
    __asm__ volatile(""); /* no tail call */
}

static void *deep_entry(void *arg)
{
    deep((int)(intptr_t)arg);
    return outside;
}

/* Two switches in, one out, and the end: the stack is left for good. */
TEST(an_entry_that_returns_names_who_goes_on)
{
    begin(deep_entry, (void *)(intptr_t)3);
    enter();
    void *where_it_waits = inside;
    enter();
    CHECK(inside == where_it_waits);        /* nothing was saved of the end */
    begin(deep_entry, (void *)(intptr_t)2); /* and can be used again */
    enter();
    enter();
}

TEST(frames_of_a_stack_that_waits_end_at_its_entry)
{
    uintptr_t pc, fp, last = 0;
    int frames = 1;
    begin(deep_entry, (void *)(intptr_t)5);
    enter();
    weft__arch_saved_frame(inside, &pc, &fp);
    CHECK((uintptr_t)inside + WEFT__ARCH_SAVED_WORDS * sizeof pc <= top());
    while (fp) {
        CHECK(fp >= (uintptr_t)inside && fp + 16 <= top() && fp % 8 == 0);
        const uintptr_t *frame = (const uintptr_t *)fp;
        CHECK(frame[0] == 0 || frame[0] > fp);
        fp = frame[0];
        last = weft__arch_code_address(frame[1]);
        CHECK(++frames < 20);
    }
    CHECK(frames >= 7); /* six of deep(), its entry's, or more */
    CHECK(last > (uintptr_t)weft__arch_start && last < (uintptr_t)weft__arch_start + 64);
}

static uintptr_t sig_pc, sig_fp, on_stack;
static uint64_t registers[WEFT__ARCH_REGISTERS];

static void on_signal(int sig, siginfo_t *info, void *uc)
{
    (void)sig, (void)info;
    weft__arch_ucontext_frame(uc, &sig_pc, &sig_fp);
    weft__arch_ucontext_registers(uc, registers);
}

static __attribute__((noinline)) void raise_here(void)
{
    on_stack = (uintptr_t)__builtin_frame_address(0);
    CHECK_EQ(weft__arch_syscall(SYS_tgkill, getpid(), (long)gettid(), SIGUSR1, 0, 0, 0), 0);
}

TEST(a_signal_s_frame_says_where_the_program_was)
{
    struct sigaction sa = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    CHECK_EQ(sigaction(SIGUSR1, &sa, NULL), 0);
    raise_here();
    CHECK(sig_pc > (uintptr_t)raise_here && sig_pc < (uintptr_t)raise_here + 4096);
    CHECK_EQ(sig_fp, on_stack);
    CHECK_EQ(registers[WEFT__ARCH_PC], sig_pc);
    uintptr_t sp = (uintptr_t)registers[WEFT__ARCH_SP];
    CHECK(sp <= on_stack && on_stack - sp < 4096);
}

TEST(a_raw_system_call_takes_six_arguments_and_returns_errors)
{
    CHECK_EQ(weft__arch_syscall(SYS_getpid, 0, 0, 0, 0, 0, 0), getpid());
    CHECK_EQ(weft__arch_syscall(SYS_close, -1, 0, 0, 0, 0, 0), -EBADF);
    /* mmap has six, and refuses an offset that is not a page's */
    CHECK_EQ(weft__arch_syscall(SYS_mmap, 0, 4096, 0, 0x22, -1, 1), -EINVAL);
    long at = weft__arch_syscall(SYS_mmap, 0, 4096, 3, 0x22, -1, 0);
    CHECK(at > 0);
    memset((void *)at, 1, 4096);
    CHECK_EQ(weft__arch_syscall(SYS_munmap, at, 4096, 0, 0, 0, 0), 0);
}

static void *see_none(void *arg)
{
    (void)arg;
    return weft__arch_thread();
}

TEST(each_thread_has_a_record_of_its_own)
{
    pthread_t other;
    void *seen = &seen;
    weft__tls_thread = (struct weft__thread *)(void *)stack;
    CHECK((void *)weft__arch_thread() == (void *)stack);
    CHECK_EQ(pthread_create(&other, NULL, see_none, NULL), 0);
    CHECK_EQ(pthread_join(other, &seen), 0);
    CHECK(seen == NULL);
    weft__tls_thread = NULL;
    CHECK(weft__arch_thread() == NULL);
}

TEST(a_code_address_is_told_from_its_signature)
{
    uintptr_t pc = (uintptr_t)enter, signed_pc = pc;
#ifdef __aarch64__
    register uintptr_t x30 __asm__("x30") = pc;
    __asm__("hint #25" : "+r"(x30)); /* paciasp: nothing where there are no signatures */
    signed_pc = x30;
#endif
    CHECK_EQ(weft__arch_code_address(signed_pc), pc);
    CHECK_EQ(weft__arch_code_address(pc), pc);
}
