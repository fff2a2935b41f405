// SPDX-License-Identifier: Apache-2.0
/*
 * rawjson.h - where the members of a JSON object lie in its text.
 *
 * Jansson parses claims, but what it prints again need not be the bytes that it read (1.0, 1e2,
 * \u0041). info, data and meta must pass through byte for byte, so their text is cut out of the
 * claims' text. The walker here finds the cuts; it relies on the text having been accepted by
 * jansson before, which is why it is this small.
 *
 * Concurrency: pure functions.
 */
#ifndef CAST_TOKEN_RAWJSON_H
#define CAST_TOKEN_RAWJSON_H
#include <stdbool.h>
#include <stddef.h>
#include <weft/span.h>

/** Walks the members of a valid JSON object's text. Start with {text, bytes}; each call cuts one
 * member off the front. *ret_key is the string with its quotes. false at the end. */
bool cast_raw_next(struct weft_span *rest, struct weft_span *ret_key, struct weft_span *ret_value);
/** The value of the last member of this name, absent when there is none. */
struct weft_span cast_raw_member(struct weft_span object, const char *name);
/** Whether text nests at most `depth` deep: a parser that recurses may then be let at it. Text need
 * not be valid. */
bool cast_raw_is_shallow(const char *text, size_t bytes, int depth);
#endif
