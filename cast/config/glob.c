// SPDX-License-Identifier: Apache-2.0
/*
 * glob.c - glob patterns for origins (client.allowed_origins) and for the API's channel lists.
 *
 * Why not fnmatch(3): it has no {a,b}, and its star may take exponential time on a hostile pattern.
 * Here a pattern is matched by a set of positions, as a small NFA is run: for every byte of the
 * text the set of pattern positions that may come next is stepped. Work is text bytes x pattern
 * bytes, whatever the pattern, with no recursion on the text.
 *
 *     pattern   h t t p : / / { a , * . b } : 8
 *     position  0 1 2 3 4 5 6 7 8 9 ...          a set of these, as bits
 *
 * Alternatives need jumps without input: '{' goes to the start of each branch; a ',' or '}' reached
 * from inside a branch goes past the closing '}'; '*' goes past itself. Braces nest to a depth.
 *
 * Limits: patterns of up to GLOB_BYTES bytes; longer ones are not valid. Braces nest GLOB_DEPTH
 * deep. Concurrency: pure functions.
 */
#include "config/config.h"

#include <string.h>

enum { GLOB_BYTES = 1024, GLOB_DEPTH = 8, GLOB_WORDS = GLOB_BYTES / 64 + 1 };

struct glob {
    const char *p;
    size_t bytes;
    uint64_t now[GLOB_WORDS]; /* positions that are alive; `bytes` itself is "matched" */
    uint64_t next[GLOB_WORDS];
};

static bool bit_get(const uint64_t *set, size_t i)
{
    return set[i / 64] >> (i % 64) & 1;
}

/* Position after a class that starts at i ('['), or 0 if it does not end. */
static size_t class_end(const char *p, size_t bytes, size_t i)
{
    i++;
    if (i < bytes && (p[i] == '!' || p[i] == '^'))
        i++;
    for (size_t first = i; i < bytes; i++) {
        if (p[i] == ']' && i > first)
            return i + 1;
        if (p[i] == '\\')
            i++;
    }
    return 0;
}

/* Steps over one token of the pattern (an escape and a class are one each). */
static size_t token_end(const char *p, size_t bytes, size_t i)
{
    if (p[i] == '\\')
        return i + 2;
    if (p[i] == '[')
        return class_end(p, bytes, i);
    return i + 1;
}

/* Position of the ',' or '}' at the depth of i, at or after i. */
static size_t branch_end(const struct glob *g, size_t i)
{
    int depth = 0;
    while (i < g->bytes) {
        if (g->p[i] == '{')
            depth++;
        else if (g->p[i] == '}' && depth-- == 0)
            return i;
        else if (g->p[i] == ',' && depth == 0)
            return i;
        i = token_end(g->p, g->bytes, i);
    }
    return i;
}

static size_t group_end(const struct glob *g, size_t i)
{
    while ((i = branch_end(g, i)) < g->bytes && g->p[i] == ',')
        i++;
    return i + 1;
}

/* Whether position i lies inside braces, so that ',' is a separator there. */
static bool inside_group(const struct glob *g, size_t at)
{
    int depth = 0;
    for (size_t i = 0; i < at; i = token_end(g->p, g->bytes, i)) {
        if (g->p[i] == '{')
            depth++;
        else if (g->p[i] == '}')
            depth--;
    }
    return depth > 0;
}

/* Adds a position and every one that is reached from it without input. */
static void add(struct glob *g, uint64_t *set, size_t i)
{
    if (i > g->bytes || bit_get(set, i))
        return;
    set[i / 64] |= (uint64_t)1 << (i % 64);
    if (i == g->bytes)
        return;
    if (g->p[i] == '*') {
        add(g, set, i + 1);
    } else if (g->p[i] == '{') {
        size_t end = i;
        do {
            add(g, set, end + 1);
            end = branch_end(g, end + 1);
        } while (end < g->bytes && g->p[end] == ',');
    } else if (g->p[i] == '}') {
        add(g, set, i + 1);
    } else if (g->p[i] == ',' && inside_group(g, i)) {
        add(g, set, group_end(g, i + 1));
    }
}

static bool class_has(const char *p, size_t i, size_t end, unsigned char c)
{
    bool negated = p[i + 1] == '!' || p[i + 1] == '^', found = false;
    i += negated ? 2 : 1;
    while (i < end - 1) {
        if (p[i] == '\\')
            i++;
        unsigned char low = (unsigned char)p[i++], high = low;
        if (i < end - 2 && p[i] == '-') {
            i++;
            if (p[i] == '\\')
                i++;
            high = (unsigned char)p[i++];
        }
        found = found || (c >= low && c <= high);
    }
    return found != negated;
}

/* Where the machine goes from position i on byte c: writes into g->next. */
static void step(struct glob *g, size_t i, unsigned char c)
{
    size_t end;
    switch (g->p[i]) {
    case '*':
        add(g, g->next, i);
        return;
    case '?':
        add(g, g->next, i + 1);
        return;
    case '[':
        end = class_end(g->p, g->bytes, i);
        if (class_has(g->p, i, end, c))
            add(g, g->next, end);
        return;
    case '{':
    case '}':
        return;
    case ',':
        if (inside_group(g, i))
            return;
        break;
    case '\\':
        i++;
        break;
    default:
        break;
    }
    if ((unsigned char)g->p[i] == c)
        add(g, g->next, i + 1);
}

bool cast_glob_valid(const char *p, size_t bytes)
{
    int depth = 0;
    if (bytes > GLOB_BYTES)
        return false;
    for (size_t i = 0; i < bytes;) {
        if (p[i] == '\\' && i + 1 >= bytes)
            return false;
        if (p[i] == '{' && ++depth > GLOB_DEPTH)
            return false;
        if (p[i] == '}' && --depth < 0)
            return false;
        i = token_end(p, bytes, i);
        if (i == 0)
            return false;
    }
    return depth == 0;
}

bool cast_glob_match(const char *pattern, const char *text, size_t text_bytes)
{
    struct glob g = {.p = pattern, .bytes = strlen(pattern)};
    if (!cast_glob_valid(pattern, g.bytes))
        return false;
    add(&g, g.now, 0);
    for (size_t t = 0; t < text_bytes; t++) {
        memset(g.next, 0, sizeof g.next);
        for (size_t i = 0; i < g.bytes; i++)
            if (bit_get(g.now, i))
                step(&g, i, (unsigned char)text[t]);
        memcpy(g.now, g.next, sizeof g.now);
    }
    return bit_get(g.now, g.bytes);
}
