// SPDX-License-Identifier: Apache-2.0
/*
 * proto_test.h - what the protocol tests share: a seeded generator, exact buffers, cuts.
 *
 * Inputs are copied to heap blocks of exactly their size before a parser sees them, so that under
 * the address sanitizer one byte read too far is an error, not luck.
 */
#ifndef WEFT_PROTO_TEST_H
#define WEFT_PROTO_TEST_H
#include "test.h"

#include <weft/span.h>

/** The next number of a xorshift64* sequence; *state must not be 0. */
static inline uint64_t rnd(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545f4914f6cdd1d);
}

/** A number below n. */
static inline size_t rnd_below(uint64_t *state, size_t n)
{
    return (size_t)(rnd(state) % n);
}

/** A generator's start from this run's seed. */
static inline uint64_t rnd_start(void)
{
    uint64_t s = test_seed() * UINT64_C(0x9e3779b97f4a7c15);
    return s ? s : 1;
}

/** A heap copy of exactly len bytes (at least a block that may be freed). */
static inline char *exact(const char *data, size_t len)
{
    char *p = malloc(len ? len : 1);
    CHECK(p);
    memcpy(p, data, len);
    return p;
}

/** Span of a literal, which may hold NUL bytes. */
#define LIT(s) ((struct weft_span){s, sizeof(s) - 1})

#define CHECK_SPAN(span, text)                                                                     \
    do {                                                                                           \
        struct weft_span check_s_ = (span);                                                        \
        const char *check_t_ = (text);                                                             \
        if (!weft_span_is(check_s_, check_t_))                                                     \
            test_fail(__FILE__, __LINE__, "%s: got \"%.*s\", want \"%s\"", #span,                  \
                (int)check_s_.len, check_s_.data ? check_s_.data : "", check_t_);                  \
    } while (0)
#endif
