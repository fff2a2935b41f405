// SPDX-License-Identifier: Apache-2.0
/*
 * b64.h - base64 as tokens and the server API use it.
 *
 * URL is url-safe without padding: the token itself. STD is the other alphabet with padding: what
 * tokens carry in b64info and b64data. LOOSE is STD as Go's decoder takes it, with line ends inside
 * and any stray bits at the end: the same fields in the API's requests.
 *
 * Why not OpenSSL's: its decoder knows neither the url-safe letters nor the length of padded text,
 * and accepts white space, which would let one token have many spellings. Here text has exactly one
 * decoding or none, but for LOOSE: letters of the other alphabet, stray bits at the end, missing or
 * extra padding are refused.
 *
 * Concurrency: pure functions.
 */
#ifndef CAST_TOKEN_B64_H
#define CAST_TOKEN_B64_H
#include <stdbool.h>
#include <stddef.h>

enum cast_b64 { CAST_B64_URL, CAST_B64_STD, CAST_B64_LOOSE /* decoding only */ };

/** Bytes of text that encode `bytes` bytes, without a NUL. */
size_t cast_b64_text_bytes(enum cast_b64 kind, size_t bytes);
/** Most bytes that text of this length decodes to. */
size_t cast_b64_data_bytes(size_t text_bytes);
/** Writes cast_b64_text_bytes() bytes of text; no NUL. */
void cast_b64_encode(enum cast_b64 kind, const void *data, size_t bytes, char *text);
/** Decodes into room for cast_b64_data_bytes(); false when the text is not base64 of this kind. */
bool cast_b64_decode(
    enum cast_b64 kind, const char *text, size_t text_bytes, void *data, size_t *ret_bytes);
#endif
