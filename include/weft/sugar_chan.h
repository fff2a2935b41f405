// SPDX-License-Identifier: Apache-2.0
/*
 * weft/sugar_chan.h - typed channels and select: macros over weft/chan.h and weft/select.h (GNU C).
 *
 * Stateless; each argument is evaluated once; each is an expression, so it stands wherever a call
 * does. Included by weft/sugar.h.
 *
 * What is checked at compile time, as an error and not as a warning:
 *
 *     element type   value sent                              variable received into
 *     number         any number (C's conversions hold)       exactly the element type
 *     pointer        the same type, or with a const less;    exactly the element type
 *                    NULL; any object pointer to void *
 *     struct, union  the same type                           the same type
 *
 * WEFT_CHAN_OF makes a new type each time it is written, as `struct { ... }` does: give it a name
 * by typedef. Functions and struct members then carry channels like any other value.
 *
 * Where a plain weft_chan pointer is at hand (weft_ctx_done, weft_timer_chan), the functions of
 * weft/chan.h take it, and WEFT_RECV_FROM and WEFT_SEND_TO in a select.
 */
#ifndef WEFT_SUGAR_CHAN_H
#define WEFT_SUGAR_CHAN_H
#include <weft/chan.h>
#include <weft/select.h>

#if defined(__GNUC__) && !defined(__cplusplus)

/* ---- compile-time checks; values are 1 or 0 ---- */

#define WEFT_ELEM_(c) __typeof__(*(c).elem)
#define WEFT_CLASS_IS_NUMBER_(class) ((class) >= 1 && (class) <= 9 && (class) != 5)
#define WEFT_IS_NUMBER_(x) WEFT_CLASS_IS_NUMBER_(__builtin_classify_type(x))
#define WEFT_IS_POINTER_(x) (__builtin_classify_type(x) == 5)
/* The conditional operator does what assignment would: NULL and T * give T *, T * and void * give
 * void *, and other mixtures something that is not the element type. */
#define WEFT_SENDS_(c, v)                                                                          \
    ((WEFT_IS_NUMBER_(*(c).elem) && WEFT_IS_NUMBER_(v)) ||                                         \
        (WEFT_IS_POINTER_(*(c).elem) == WEFT_IS_POINTER_(v) &&                                     \
            __builtin_types_compatible_p(__typeof__(1 ? (v) : *(c).elem), WEFT_ELEM_(c))))
#define WEFT_RECEIVES_(c, p)                                                                       \
    (WEFT_IS_POINTER_(p) &&                                                                        \
        __builtin_types_compatible_p(__typeof__(1 ? (p) : (c).elem), __typeof__((c).elem)))
#define WEFT_ASSERT_(cond, text)                                                                   \
    ((void)sizeof(struct {                                                                         \
        _Static_assert(cond, text);                                                                \
        int weft_unused_;                                                                          \
    }))
/* A value as an array of one, whose address can be passed on. */
#define WEFT_BOX_(c, ...) ((WEFT_ELEM_(c)[1]){__VA_ARGS__})

/* weft_chan_make(&c, capacity): weft_chan_new for a typed handle. 0, -ENOMEM, -EINVAL. */
#define weft_chan_make(ret_handle, capacity)                                                       \
    weft_chan_new_at(sizeof(*(ret_handle)->elem), (capacity), WEFT_SITE, &(ret_handle)->chan)

/* weft_send(c, value): weft_chan_send of a value. 0, -EPIPE, -ECANCELED, -ETIMEDOUT. */
#define weft_send(c, ...)                                                                          \
    (WEFT_ASSERT_(                                                                                 \
         WEFT_SENDS_(c, (__VA_ARGS__)), "the channel carries another type than the value"),        \
        weft_chan_send((c).chan, WEFT_BOX_(c, (__VA_ARGS__))))
/* weft_try_send(c, value): weft_chan_try_send of a value. 0, -EPIPE, -EAGAIN. */
#define weft_try_send(c, ...)                                                                      \
    (WEFT_ASSERT_(                                                                                 \
         WEFT_SENDS_(c, (__VA_ARGS__)), "the channel carries another type than the value"),        \
        weft_chan_try_send((c).chan, WEFT_BOX_(c, (__VA_ARGS__))))

/* weft_recv(c, &variable): weft_chan_recv. 1, 0 (closed), -ECANCELED, -ETIMEDOUT. */
#define weft_recv(c, ret_elem)                                                                     \
    (WEFT_ASSERT_(                                                                                 \
         WEFT_RECEIVES_(c, ret_elem), "the channel carries another type than the variable"),       \
        weft_chan_recv((c).chan, (ret_elem)))
/* weft_try_recv(c, &variable): weft_chan_try_recv. 1, 0 (closed), -EAGAIN. */
#define weft_try_recv(c, ret_elem)                                                                 \
    (WEFT_ASSERT_(                                                                                 \
         WEFT_RECEIVES_(c, ret_elem), "the channel carries another type than the variable"),       \
        weft_chan_try_recv((c).chan, (ret_elem)))

/* These names stand for the functions of weft/chan.h as well as for typed handles: a handle's own
 * channel is taken out of it, a weft_chan pointer is passed on, anything else does not compile. */
#define WEFT_ANY_CHAN_(c)                                                                          \
    (WEFT_ASSERT_(WEFT_IS_CHAN_(c), "this is not a channel"), ((union {                            \
        __typeof__(c) weft_handle_;                                                                \
        weft_chan *weft_chan_;                                                                     \
    }){(c)})                                                                                       \
                                                                  .weft_chan_)
#define WEFT_IS_CHAN_(c)                                                                           \
    (__builtin_types_compatible_p(__typeof__(c), weft_chan *) ||                                   \
        __builtin_types_compatible_p(__typeof__(c), const weft_chan *) ||                          \
        (__builtin_classify_type(c) == 13 && sizeof(c) == sizeof(weft_chan *)))
#define weft_chan_ref(c) weft_chan_ref(WEFT_ANY_CHAN_(c))
#define weft_chan_close(c) weft_chan_close(WEFT_ANY_CHAN_(c))
#define weft_chan_free(c) weft_chan_free(WEFT_ANY_CHAN_(c))
#define weft_chan_len(c) weft_chan_len(WEFT_ANY_CHAN_(c))
#define weft_chan_cap(c) weft_chan_cap(WEFT_ANY_CHAN_(c))
#define weft_chan_set_name(c, name) weft_chan_set_name(WEFT_ANY_CHAN_(c), (name))

/* ---- select ---- */

/* weft_select(case, ...): the index of the case that happened, or a negative errno. */
#define weft_select(...)                                                                           \
    weft_selectv((struct weft_case[]){__VA_ARGS__},                                                \
        sizeof((struct weft_case[]){__VA_ARGS__}) / sizeof(struct weft_case))

/* WEFT_RECV(c, &variable, &got): got is 1, or 0 if the channel is closed. NULL for what is not
 * wanted. */
#define WEFT_RECV(c, ret_elem, ret_got)                                                            \
    (WEFT_ASSERT_(                                                                                 \
         WEFT_RECEIVES_(c, ret_elem), "the channel carries another type than the variable"),       \
        WEFT_RECV_FROM((c).chan, ret_elem, ret_got))
/* WEFT_SEND(c, value, &sent): sent is 0, or -EPIPE if the channel is closed. */
#define WEFT_SEND(c, value, ret_sent)                                                              \
    (WEFT_ASSERT_(WEFT_SENDS_(c, value), "the channel carries another type than the value"),       \
        WEFT_SEND_TO((c).chan, WEFT_BOX_(c, (value)), ret_sent))
/* The same for a plain weft_chan pointer and an element's address. */
#define WEFT_RECV_FROM(ch, ret_elem_, ret_got_)                                                    \
    ((struct weft_case){                                                                           \
        .kind = WEFT_CASE_RECV, .ret = (ret_got_), .chan = (ch), .elem = (ret_elem_)})
#define WEFT_SEND_TO(ch, elem_, ret_sent_)                                                         \
    ((struct weft_case){.kind = WEFT_CASE_SEND, .ret = (ret_sent_), .chan = (ch), .elem = (elem_)})
/* WEFT_AFTER(duration): happens when so much time has passed. */
#define WEFT_AFTER(duration_ns_)                                                                   \
    ((struct weft_case){.kind = WEFT_CASE_AFTER, .duration_ns = (duration_ns_)})
/* WEFT_DEFAULT: makes the select return -EAGAIN instead of waiting. */
#define WEFT_DEFAULT ((struct weft_case){.kind = WEFT_CASE_DEFAULT})

#endif
#endif
