// SPDX-License-Identifier: Apache-2.0
/*
 * regex.h - regular expressions of the configuration, searched with bounded work.
 *
 * Centrifugo's are Go's RE2; these are PCRE2's, which has the same syntax for what configurations
 * use (classes, groups, named groups, anchors, lazy quantifiers) and more. PCRE2 backtracks, so a
 * match limit bounds what a hostile channel name can cost; a search that meets it does not match.
 * Patterns are matched as bytes of UTF-8 when they are valid UTF-8, unanchored, as in Go.
 *
 * Concurrency: a compiled pattern is immutable; searches may run anywhere at the same time.
 */
#ifndef CAST_REGEX_H
#define CAST_REGEX_H
#include <stdbool.h>
#include <stddef.h>

struct cast_regex;

/** Compiles; NULL with a sentence in err when the pattern is wrong or memory is out. */
struct cast_regex *cast_regex_new(const char *pattern, char *err, size_t err_bytes);
void cast_regex_free(struct cast_regex *r);
/** Whether the pattern occurs in the text. */
bool cast_regex_search(const struct cast_regex *r, const char *text, size_t text_bytes);
#endif
