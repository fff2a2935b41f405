// SPDX-License-Identifier: Apache-2.0
/* sanitize.c - the calls of sanitize.h, in sanitizer builds and for valgrind only. */
#include "sched/sanitize.h"

#include "sched/sched.h"
#include "sched/stack_cache.h"

#if defined(WEFT__ASAN)
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>

/* A fiber's saved fake stack lies in fiber->sanitizer; an idle stack's bounds in stack_low and
 * park_since_ns (unused there). */
static void bounds(struct weft__fiber *f, const void **ret_low, size_t *ret_bytes)
{
    *ret_low = f->stack_low;
    *ret_bytes = f->flags & WEFT__F_IDLE ? (size_t)f->park_since_ns
                                         : (size_t)((char *)weft__stack_top(f) - f->stack_low);
}

void weft__sanitize_leave(struct weft__fiber *from, struct weft__fiber *to, int dying)
{
    const void *low;
    size_t bytes;
    bounds(to, &low, &bytes);
    __sanitizer_start_switch_fiber(dying ? NULL : &from->sanitizer, low, bytes);
}

void weft__sanitize_arrive(struct weft__fiber *self)
{
    const void *low;
    size_t bytes;
    __sanitizer_finish_switch_fiber(self->sanitizer, &low, &bytes);
    self->sanitizer = NULL;
}

void weft__sanitize_thread(struct weft__fiber *idle)
{
    pthread_attr_t attr;
    void *low = NULL;
    size_t bytes = 0;
    if (pthread_getattr_np(pthread_self(), &attr) == 0) {
        pthread_attr_getstack(&attr, &low, &bytes);
        pthread_attr_destroy(&attr);
    }
    idle->stack_low = low;
    idle->park_since_ns = (int64_t)bytes;
}

void weft__sanitize_new(struct weft__fiber *f)
{
    f->sanitizer = NULL;
}
void weft__sanitize_end(struct weft__fiber *f)
{
    (void)f;
}
void weft__sanitize_stack_reset(struct weft__fiber *f)
{
    __asan_unpoison_memory_region(
        f->stack_low, (size_t)((char *)weft__stack_top(f) - f->stack_low));
}

void weft__sanitize_record(struct weft__mach *m, size_t bytes)
{
    __lsan_register_root_region(m, bytes);
}
#elif defined(WEFT__TSAN)
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);

void weft__sanitize_leave(struct weft__fiber *from, struct weft__fiber *to, int dying)
{
    (void)from;
    (void)dying;
    __tsan_switch_to_fiber(to->sanitizer, 1);
}
void weft__sanitize_arrive(struct weft__fiber *self)
{
    (void)self;
}
void weft__sanitize_thread(struct weft__fiber *idle)
{
    idle->sanitizer = __tsan_get_current_fiber();
}
void weft__sanitize_new(struct weft__fiber *f)
{
    f->sanitizer = __tsan_create_fiber(0);
}
void weft__sanitize_end(struct weft__fiber *f)
{
    __tsan_destroy_fiber(f->sanitizer);
    f->sanitizer = NULL;
}
void weft__sanitize_stack_reset(struct weft__fiber *f)
{
    (void)f;
}
void weft__sanitize_record(struct weft__mach *m, size_t bytes)
{
    (void)m;
    (void)bytes;
}
#elif defined(WEFT_VALGRIND)
#include <valgrind/memcheck.h>

_Atomic int weft__on_valgrind;

void weft__valgrind_stack_made(struct weft__fiber *f)
{
    if (!RUNNING_ON_VALGRIND)
        return;
    at_store(&weft__on_valgrind, 1);
    (void)VALGRIND_STACK_REGISTER(f->stack_low, weft__stack_top(f)); /* for ever, as its memory */
}

void weft__valgrind_stack_start(struct weft__fiber *f, char *top)
{
    enum { FIRST_FRAME_BYTES = 512 };
    char *low = top - FIRST_FRAME_BYTES;
    (void)VALGRIND_MAKE_MEM_UNDEFINED(low, (size_t)((char *)weft__stack_top(f) - low));
}
#else
typedef int weft__sanitize_not_empty; /* ISO C wants one declaration a file */
#endif
