// SPDX-License-Identifier: Apache-2.0
/* regex.c - PCRE2 behind three functions; regex.h says why so. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "config/regex.h"

#include <pcre2.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* Go's engine is linear; these bound a search here to a few milliseconds at worst. */
enum { MATCH_LIMIT = 100000, DEPTH_LIMIT = 1000, HEAP_LIMIT_KIB = 1024 };

struct cast_regex {
    pcre2_code *code;
    pcre2_match_context *limits;
};

struct cast_regex *cast_regex_new(const char *pattern, char *err, size_t err_bytes)
{
    int code = 0;
    PCRE2_SIZE at = 0;
    struct cast_regex *r = calloc(1, sizeof *r);
    if (!r) {
        snprintf(err, err_bytes, "no memory");
        return NULL;
    }
    /* MATCH_INVALID_UTF: a client's channel name may be any bytes; bad ones simply do not match. */
    r->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
        PCRE2_UTF | PCRE2_MATCH_INVALID_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
    if (!r->code) {
        char message[256];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
        snprintf(err, err_bytes, "%s at position %zu", message, (size_t)at);
        goto fail;
    }
    r->limits = pcre2_match_context_create(NULL);
    if (!r->limits) {
        snprintf(err, err_bytes, "no memory");
        goto fail;
    }
    pcre2_set_match_limit(r->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(r->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(r->limits, HEAP_LIMIT_KIB);
    return r;
fail:
    cast_regex_free(r);
    return NULL;
}

void cast_regex_free(struct cast_regex *r)
{
    if (!r)
        return;
    pcre2_match_context_free(r->limits);
    pcre2_code_free(r->code);
    free(r);
}

bool cast_regex_search(const struct cast_regex *r, const char *text, size_t text_bytes)
{
    pcre2_match_data *m = pcre2_match_data_create(1, NULL);
    if (!m)
        return false;
    int rc = pcre2_match(r->code, (PCRE2_SPTR)text, text_bytes, 0, 0, m, r->limits);
    pcre2_match_data_free(m);
    return rc >= 0;
}
