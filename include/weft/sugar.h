// SPDX-License-Identifier: Apache-2.0
/*
 * weft/sugar.h - GNU C macros over the plain functions, without state; arguments evaluated once.
 *
 * Declarations. These stand where a declaration may stand and hold until their block is left, by
 * its end, return, break, goto, a panic or weft_exit:
 *
 *     WEFT_SCOPE(s);                         a scope; leaving cancels and joins what is left
 *     WEFT_SCOPE(s, .errors = WEFT_COLLECT); with options (weft_scope_opts)
 *     WEFT_GROUP(g, 8);                      a group: a scope of which 8 fibers run at a time
 *     WEFT_TIMEOUT(t, 500 * WEFT_MS);        the rest of the block has so much time
 *     WEFT_SHIELD(x);                        the rest of the block goes on though the context ends
 *     WEFT_WITH(w, ctx);                     the rest of the block runs under ctx
 *     WEFT_DEFER(fn, arg);                   fn(arg) when the block is left
 *
 * A declaration cannot be the body of an `if`, and jumps must not lead past one: in a switch these
 * stand inside braces. The compiler refuses anything else.
 *
 * Statements and expressions:
 *
 *     weft_go_copy(&s, fn, value)            starts fn with its own copy of a value (the copy's
 *                                            address is fn's argument)
 *     WEFT_SIGNALS(SIGINT, SIGTERM)          the list and the length that weft/signal.h asks for
 *     WEFT_TRY { ... } WEFT_RECOVER(p) { ... }
 *                                            if the first block panics, the second runs; p is the
 *                                            panic, lent to it
 *
 * Two rules for WEFT_TRY. As with setjmp, a local variable of the function that is changed in the
 * first block and read in the second must be volatile. And break or continue in either block leaves
 * that block, not a loop around it. weft_try, which takes a function, has neither rule.
 *
 * Names that end in _ are the macros' own.
 */
#ifndef WEFT_SUGAR_H
#define WEFT_SUGAR_H

#include <weft/ctx.h>
#include <weft/fiber.h>
#include <weft/group.h>
#include <weft/panic.h>
#include <weft/scope.h>
#include <weft/sugar_chan.h>

#if defined(__GNUC__) && !defined(__cplusplus)

#define WEFT_CAT__(a, b) a##b
#define WEFT_CAT_(a, b) WEFT_CAT__(a, b)
#define WEFT_CLEANUP_(fn) __attribute__((cleanup(fn), unused))

/* ---- cleanup handlers: a block is left in the ordinary way ---- */

static inline void weft_scope_cleanup_(weft_scope *s)
{
    (void)weft_scope_close(s);
}

static inline void weft_group_cleanup_(weft_group *g)
{
    (void)weft_group_close(g);
}

/* ---- declarations ---- */

/* Makes a jump over a declaration (a case label further down, a goto) an error: the block's end
 * would run the cleanup of what was never opened. C refuses jumps past variably modified types;
 * `opened` is no constant, so this is one, at the price of an addition. */
#define WEFT_NO_JUMP_(name, opened)                                                                \
    _Pragma("GCC diagnostic push") _Pragma("GCC diagnostic ignored \"-Wvla\"")                     \
        const char(*const name)[1 + !(opened)] __attribute__((unused)) = NULL;                     \
    _Pragma("GCC diagnostic pop") _Static_assert(1, "takes the semicolon")

/* The entry of a fiber and the function of a defer have one type each: any other is an error. */
#define WEFT_IS_FN_(fn, type)                                                                      \
    WEFT_ASSERT_(__builtin_types_compatible_p(__typeof__(&*(fn)), type), "not a " #type)

/* WEFT_SCOPE(name, options...): declares and opens the weft_scope `name`. */
#define WEFT_SCOPE(...) WEFT_SCOPE_(__VA_ARGS__, .size = sizeof(weft_scope_opts))
#define WEFT_SCOPE_(s, ...)                                                                        \
    weft_scope s WEFT_CLEANUP_(weft_scope_cleanup_);                                               \
    weft_scope *const WEFT_CAT_(s, _opened_) __attribute__((unused)) =                             \
        weft_scope_open(&s, &(weft_scope_opts){__VA_ARGS__});                                      \
    WEFT_NO_JUMP_(WEFT_CAT_(s, _no_jump_), WEFT_CAT_(s, _opened_))

/* WEFT_GROUP(name, limit, options...): declares and opens the weft_group `name`. */
#define WEFT_GROUP(...) WEFT_GROUP_(__VA_ARGS__, .size = sizeof(weft_scope_opts))
#define WEFT_GROUP_(g, limit, ...)                                                                 \
    weft_group g WEFT_CLEANUP_(weft_group_cleanup_);                                               \
    weft_group *const WEFT_CAT_(g, _opened_) __attribute__((unused)) =                             \
        weft_group_open(&g, (limit), &(weft_scope_opts){__VA_ARGS__});                             \
    WEFT_NO_JUMP_(WEFT_CAT_(g, _no_jump_), WEFT_CAT_(g, _opened_))

#define WEFT_BLOCK_(c, enter)                                                                      \
    weft_ctx_block WEFT_CAT_(c, _block_) WEFT_CLEANUP_(weft_ctx_leave);                            \
    weft_ctx *const c __attribute__((unused)) = enter;                                             \
    WEFT_NO_JUMP_(WEFT_CAT_(c, _no_jump_), c)

/* WEFT_TIMEOUT(name, duration): the rest of the block has so much time; `name`: its weft_ctx *. */
#define WEFT_TIMEOUT(c, duration_ns)                                                               \
    WEFT_BLOCK_(c, weft_ctx_enter_timeout(&WEFT_CAT_(c, _block_), (duration_ns)))

/* WEFT_SHIELD(name): no end of a context above reaches the rest of the block. */
#define WEFT_SHIELD(c) WEFT_BLOCK_(c, weft_ctx_enter_shield(&WEFT_CAT_(c, _block_)))

/* WEFT_WITH(name, ctx): the rest of the block runs under ctx. */
#define WEFT_WITH(c, ctx) WEFT_BLOCK_(c, weft_ctx_enter(&WEFT_CAT_(c, _block_), (ctx)))

/* WEFT_SIGNALS(SIGINT, SIGTERM, ...): two arguments, the list and its length (weft/signal.h). */
#define WEFT_SIGNALS(...)                                                                          \
    (const int[]){__VA_ARGS__}, sizeof((const int[]){__VA_ARGS__}) / sizeof(int)

/* WEFT_DEFER(fn, arg): fn(arg) when the block is left; fn is void (*)(void *). */
#define WEFT_DEFER(fn, arg) WEFT_DEFER_(WEFT_CAT_(weft_defer_, __COUNTER__), fn, arg)
#define WEFT_DEFER_(d, fn, arg)                                                                    \
    weft_defer d WEFT_CLEANUP_(weft_defer_pop);                                                    \
    const int WEFT_CAT_(d, _) __attribute__((unused)) =                                            \
        (WEFT_IS_FN_(fn, void (*)(void *)), weft_defer_push(&d, (fn), (arg)), 1);                  \
    WEFT_NO_JUMP_(WEFT_CAT_(d, _no_jump_), WEFT_CAT_(d, _))

/* ---- starting ---- */

/* weft_go_copy(&scope or NULL, fn, value): 0 or a negative errno, as weft_go. */
#define weft_go_copy(scope, fn, ...)                                                               \
    __extension__({                                                                                \
        WEFT_IS_FN_(fn, int (*)(void *));                                                          \
        __typeof__(__VA_ARGS__) weft_value_ = __VA_ARGS__;                                         \
        weft_go_value(                                                                             \
            (scope), (fn), &weft_value_, sizeof weft_value_, _Alignof(__typeof__(weft_value_)));   \
    })

/* ---- panics ---- */

#define WEFT_TRY WEFT_TRY_(WEFT_CAT_(weft_try_, __COUNTER__))
#define WEFT_TRY_(t)                                                                               \
    for (weft_try_frame t WEFT_CLEANUP_(weft_try_end), *volatile WEFT_CAT_(t, _once_) =            \
                                                           weft_try_begin(&t);                     \
         WEFT_CAT_(t, _once_); WEFT_CAT_(t, _once_) = NULL)                                        \
        if (setjmp(t.buf) == 0)
#define WEFT_RECOVER(p) else for (weft_panic_info *p = weft_try_caught(); p; p = NULL)

#endif
#endif
