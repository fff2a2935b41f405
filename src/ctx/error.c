// SPDX-License-Identifier: Apache-2.0
/*
 * error.c - weft_error: one allocation, counted, fixed once made.
 *
 *     struct weft_error | causes[n] | payload | message \0
 *
 * Ended without recursion: a chain of causes may be long, and stacks are small. The freed ones wait
 * on a list through `next`.
 *
 * Where there is no memory the answer is a constant error, one for each code: same code, no
 * message, never counted.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <weft/ctx.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/fatal.h"
#include "base/futex.h"
#include "ctx/context.h"
#include "ctx/errors.h"
#include "ctx/record.h"

enum { TRACE_BYTES = 64, CONSTANTS = 192, ALIVE = 0x77656572, DEAD = 0x64656164 };

struct weft_error {
    uint32_t magic;
    _Atomic uint32_t refs; /* 0: a constant */
    int code;
    int attempt;
    int64_t remaining_ns;
    const weft_error_kind *kind;
    const void *payload;
    const char *message; /* "": none */
    weft_error *next;    /* while being freed */
    uint32_t causes_count;
    char trace[TRACE_BYTES];
    weft_error *causes[];
};

/* ---- constants ---- */

static weft_error constants[CONSTANTS + 1]; /* by errno; the last: -WEFT_EPANIC */
static _Atomic uint32_t constants_made;

/* Every writer writes the same, so who is first does not matter. */
static void constants_make(void)
{
    for (int i = 0; i <= CONSTANTS; i++) {
        weft_error *e = &constants[i];
        e->code = i < CONSTANTS ? -i : -WEFT_EPANIC;
        e->remaining_ns = INT64_MAX;
        e->message = "";
        e->magic = ALIVE;
    }
    at_store(&constants_made, 1);
}

weft_error *weft__error_const(int code)
{
    if (!at_load(&constants_made))
        constants_make();
    if (code == -WEFT_EPANIC)
        return &constants[CONSTANTS];
    return code < 0 && code > -CONSTANTS ? &constants[-code] : &constants[EINVAL];
}

/* ---- making ---- */

static void from_context(weft_error *e)
{
    const weft_ctx *c = weft_ctx_current();
    snprintf(e->trace, sizeof e->trace, "%s", weft_ctx_trace(c));
    int64_t deadline_ns = weft_ctx_deadline(c);
    if (deadline_ns != INT64_MAX) {
        int64_t left = deadline_ns - weft__clock_ns();
        e->remaining_ns = left > 0 ? left : 0;
    }
}

static weft_error *make(int code, size_t causes, size_t payload_bytes, const char *fmt, va_list ap)
{
    va_list again;
    va_copy(again, ap);
    int length = vsnprintf(NULL, 0, fmt, again);
    va_end(again);
    size_t text_bytes = length < 0 ? 1 : (size_t)length + 1;
    size_t head = (sizeof(weft_error) + causes * sizeof(weft_error *) + 15) & ~(size_t)15;
    weft_error *e = weft__alloc(head + payload_bytes + text_bytes);
    if (!e)
        return NULL;
    memset(e, 0, head);
    e->magic = ALIVE;
    at_store_rlx(&e->refs, 1); /* [mo:alone: nobody else sees it] */
    e->code = code;
    e->remaining_ns = INT64_MAX;
    e->causes_count = (uint32_t)causes;
    e->payload = (char *)e + head;
    char *text = (char *)e + head + payload_bytes;
    text[0] = '\0';
    if (length >= 0)
        vsnprintf(text, text_bytes, fmt, ap);
    e->message = text;
    from_context(e);
    return e;
}

weft_error *weft_error_new(int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    weft_error *e = make(code, 0, 0, fmt, ap);
    va_end(ap);
    return e ? e : weft__error_const(code);
}

weft_error *weft_error_new_kind(const weft_error_kind *kind, const void *payload,
    size_t payload_bytes, int code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    weft_error *e = make(code, 0, payload_bytes, fmt, ap);
    va_end(ap);
    if (!e)
        return weft__error_const(code);
    e->kind = kind;
    memcpy((char *)(uintptr_t)e->payload, payload, payload_bytes);
    return e;
}

weft_error *weft_error_wrap(weft_error *cause, int code, const char *fmt, ...)
{
    va_list ap;
    if (code == 0)
        code = weft_error_code(cause);
    va_start(ap, fmt);
    weft_error *e = make(code, cause != NULL, 0, fmt, ap);
    va_end(ap);
    if (!e)
        return cause ? cause : weft__error_const(code);
    if (cause)
        e->causes[0] = cause;
    return e;
}

static weft_error *make_plain(int code, size_t causes, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    weft_error *e = make(code, causes, 0, fmt, ap);
    va_end(ap);
    return e;
}

weft_error *weft_error_join(weft_error *const *errors, size_t count)
{
    size_t n = 0;
    weft_error *first = NULL;
    for (size_t i = 0; i < count; i++) {
        n += errors[i] != NULL;
        if (!first)
            first = errors[i];
    }
    if (!first)
        return NULL;
    weft_error *e = make_plain(first->code, n, "%s", "");
    for (size_t i = 0, k = 0; i < count; i++) {
        if (e && errors[i])
            e->causes[k++] = errors[i];
        else if (errors[i] != first)
            weft_error_free(errors[i]);
    }
    return e ? e : first;
}

/* ---- counting ---- */

static void check(const weft_error *e)
{
    if (__builtin_expect(e->magic != ALIVE, 0))
        weft__misuse("use of a freed weft_error %p", (const void *)e);
}

weft_error *weft_error_ref(weft_error *e)
{
    if (e) {
        check(e);
        if (at_load_rlx(&e->refs)) /* [mo:alone: 0 never changes] */
            at_add(&e->refs, 1);
    }
    return e;
}

static bool last_reference(weft_error *e)
{
    if (!e)
        return false;
    check(e);
    return at_load_rlx(&e->refs) && at_sub(&e->refs, 1) == 1; /* [mo:alone: 0 never changes] */
}

void weft_error_free(weft_error *e)
{
    weft_error *list = last_reference(e) ? e : NULL;
    if (list)
        list->next = NULL;
    while (list) {
        e = list;
        list = e->next;
        for (uint32_t i = 0; i < e->causes_count; i++) {
            weft_error *cause = e->causes[i];
            if (last_reference(cause)) {
                cause->next = list;
                list = cause;
            }
        }
        if (e->kind && e->kind->fini)
            e->kind->fini((void *)(uintptr_t)e->payload);
        e->magic = DEAD;
        weft__free(e);
    }
}

weft_error *weft_error_set_attempt(weft_error *e, int attempt)
{
    if (e && at_load(&e->refs))
        e->attempt = attempt;
    return e;
}

weft_error *weft_error_set_trace(weft_error *e, const char *trace_id)
{
    if (e && at_load(&e->refs))
        snprintf(e->trace, sizeof e->trace, "%s", trace_id ? trace_id : "");
    return e;
}

/* ---- asking ---- */

int weft_error_code(const weft_error *e)
{
    return e ? e->code : 0;
}

const char *weft_error_message(const weft_error *e)
{
    return !e ? "" : e->message[0] ? e->message : weft_strerror(e->code);
}

const char *weft_error_trace(const weft_error *e)
{
    return e ? e->trace : "";
}

int weft_error_attempt(const weft_error *e)
{
    return e ? e->attempt : 0;
}

int64_t weft_error_remaining(const weft_error *e)
{
    return e ? e->remaining_ns : INT64_MAX;
}

const weft_error *weft_error_cause(const weft_error *e, size_t index)
{
    return e && index < e->causes_count ? e->causes[index] : NULL;
}

/* Looks through the chain, deep first, for what `found` says yes to. Single causes are followed by
 * the loop, so only joins nest. */
static const weft_error *search(
    const weft_error *e, bool (*found)(const weft_error *, const void *), const void *what)
{
    while (e) {
        check(e);
        if (found(e, what))
            return e;
        for (uint32_t i = 0; i + 1 < e->causes_count; i++) {
            const weft_error *in = search(e->causes[i], found, what);
            if (in)
                return in;
        }
        e = e->causes_count ? e->causes[e->causes_count - 1] : NULL;
    }
    return NULL;
}

static bool has_code(const weft_error *e, const void *what)
{
    return e->code == *(const int *)what;
}

static bool has_kind(const weft_error *e, const void *what)
{
    return e->kind == what;
}

bool weft_error_is(const weft_error *e, int code)
{
    return search(e, has_code, &code) != NULL;
}

const void *weft_error_as(const weft_error *e, const weft_error_kind *kind)
{
    const weft_error *at = kind ? search(e, has_kind, kind) : NULL;
    return at ? at->payload : NULL;
}

/* ---- text ---- */

struct text {
    char *buf;
    size_t bytes, length;
};

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *fmt, ...)
{
    va_list ap;
    size_t left = t->length < t->bytes ? t->bytes - t->length : 0;
    va_start(ap, fmt);
    int n = vsnprintf(left ? t->buf + t->length : NULL, left, fmt, ap);
    va_end(ap);
    t->length += n > 0 ? (size_t)n : 0;
}

static void add_chain(struct text *t, const weft_error *e)
{
    bool first = true;
    for (; e; e = e->causes_count == 1 ? e->causes[0] : NULL) {
        if (e->message[0] || e->causes_count == 0) {
            add(t, "%s%s", first ? "" : ": ", weft_error_message(e));
            first = false;
        }
        if (e->causes_count < 2)
            continue;
        add(t, "%s[", first ? "" : ": ");
        for (uint32_t i = 0; i < e->causes_count; i++) {
            add(t, "%s", i ? "; " : "");
            add_chain(t, e->causes[i]);
        }
        add(t, "]");
    }
}

size_t weft_error_format(const weft_error *e, char *buf, size_t bytes)
{
    struct text t = {.buf = buf, .bytes = bytes};
    const char *between = " (", *end = "";
    if (bytes)
        buf[0] = '\0';
    if (!e)
        return 0;
    add_chain(&t, e);
    if (e->trace[0]) {
        add(&t, "%strace %s", between, e->trace);
        between = ", ", end = ")";
    }
    if (e->attempt) {
        add(&t, "%sattempt %d", between, e->attempt);
        between = ", ", end = ")";
    }
    if (e->remaining_ns != INT64_MAX) {
        add(&t, "%s%lld ms left", between, (long long)(e->remaining_ns / WEFT_MS));
        end = ")";
    }
    add(&t, "%s", end);
    return t.length;
}

/* ---- an error travels with its code ---- */

int weft_fail(weft_error *e)
{
    if (!e)
        return 0;
    int code = e->code;
    struct weft__fiber_ext *x = weft__record_of(weft__me());
    if (!x) {
        weft_error_free(e);
        return code;
    }
    weft_error_free(x->error);
    x->error = e;
    return code;
}

weft_error *weft_error_take(int code)
{
    struct weft__fiber_ext *x = weft__me()->ext;
    if (code >= 0)
        return NULL;
    if (x && x->error && x->error->code == code) {
        weft_error *e = x->error;
        x->error = NULL;
        return e;
    }
    return weft_error_new(code, "%s", "");
}

const char *weft_strerror(int code)
{
    if (code == INT_MIN)
        return "unknown error";
    int number = code < 0 ? -code : code;
    if (number == WEFT_EPANIC)
        return "panic";
    const char *text = strerrordesc_np(number);
    return text ? text : "unknown error";
}
