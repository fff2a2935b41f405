// SPDX-License-Identifier: Apache-2.0
/*
 * weft/utf8.h - is this UTF-8? Whole, or piece by piece as it comes off a socket.
 *
 * Valid is what Unicode's Table 3-7 and RFC 3629 call well-formed: no overlong form, no surrogate,
 * nothing above U+10FFFF. ASCII is skipped 64 bytes at a time; the rest goes through a table at one
 * step a byte. No call allocates, locks or touches a thread-local: callable from anywhere.
 */
#ifndef WEFT_UTF8_H
#define WEFT_UTF8_H
#include <weft/base.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

WEFT_BEGIN_DECLS

/** struct weft_utf8 - where a text stands between two pieces. All zero is the start. */
struct weft_utf8 {
    uint8_t state; /* private: 0 between characters */
};

/**
 * weft_utf8_feed - validates the next piece of a text.
 * @u:    state; zero before the first piece.
 * @data: len bytes; borrowed for the call. May be NULL when len is 0.
 *
 * Returns true while everything fed so far can still become valid, false as soon as it cannot
 * (and then forever). A character may be split between pieces.
 * Blocks:    no.
 * Callable:  anywhere; one thread at a time per state.
 * Cost:      one pass, no allocation.
 * Since 0.1. Source: RFC 3629; Unicode 15, Table 3-7. See weft_utf8_done, weft_utf8_valid.
 */
WEFT_API bool weft_utf8_feed(struct weft_utf8 *u, const void *data, size_t len);

/**
 * weft_utf8_done - whether the text fed so far may end here.
 * @u: state; borrowed.
 *
 * Returns true when it is valid and its last character is whole.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. See weft_utf8_feed.
 */
WEFT_API bool weft_utf8_done(const struct weft_utf8 *u);

/**
 * weft_utf8_valid - whether len bytes are one valid UTF-8 text.
 * @data: len bytes; borrowed for the call.
 *
 * Returns true when valid; the empty text is.
 * Blocks:    no.
 * Callable:  anywhere.
 * Since 0.1. Source: RFC 3629. See weft_utf8_feed.
 */
WEFT_API bool weft_utf8_valid(const void *data, size_t len);

WEFT_END_DECLS
#endif
