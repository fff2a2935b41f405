// SPDX-License-Identifier: Apache-2.0
/*
 * fuzz.h - what every fuzz target includes: the entry that libFuzzer (or replay.c) calls, a check
 * that does not vanish with NDEBUG, and exact copies.
 *
 * A target is deterministic, keeps nothing between two inputs, and checks more than "does not
 * crash": that the verdict does not depend on how the input was cut, that spans lie in their
 * buffers, that what was accepted obeys the rules it was accepted by. Parsers get heap blocks of
 * exactly the size they are told, so that one byte read too far is seen.
 */
#ifndef WEFT_FUZZ_H
#define WEFT_FUZZ_H
#include <weft/span.h>

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FUZZ_CHECK(cond)                                                                           \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/** A heap block of exactly len bytes (one more than none), owned by the caller. */
static inline char *fuzz_copy(const void *data, size_t len)
{
    char *p = malloc(len ? len : 1);
    FUZZ_CHECK(p);
    if (len)
        memcpy(p, data, len);
    return p;
}

/** Whether a span lies inside a buffer; an absent one does. */
static inline bool fuzz_inside(struct weft_span s, const char *buf, size_t len)
{
    return !s.data || (s.data >= buf && s.len <= len && (size_t)(s.data - buf) <= len - s.len);
}

static inline bool fuzz_same(struct weft_span a, struct weft_span b)
{
    return !a.data == !b.data && a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}
#endif
