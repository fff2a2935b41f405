// SPDX-License-Identifier: Apache-2.0
/*
 * debug_page.c - the pages below /debug/pprof as text, for whichever server they are asked of.
 *
 * Paths and forms are those of Go's net/http/pprof, so that its tools work. /symbol is for `go tool
 * pprof`, which reads DWARF of C programs only in part and none from a stripped one: it posts
 * addresses, joined by '+', and is told the names that we find.
 */
#include <weft/debug.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <weft/http1.h>

#include "diag/dump.h"
#include "diag/symbol.h"
#include "diag/thread_stack.h"

static const char index_page[] =
    "<!doctype html><title>weft</title><h1>weft</h1><ul>"
    "<li><a href=\"goroutine?debug=1\">fibers and pinned loops, grouped by stack</a>"
    "<li><a href=\"goroutine?debug=2\">fibers and pinned loops, one by one</a></ul>\n";

static void add_symbols(struct weft__text *t, const char *query)
{
    weft__text_add(t, "num_symbols: 1\n");
    for (const char *at = query; at && *at;) {
        char *end;
        unsigned long pc = strtoul(at, &end, 16);
        if (end == at)
            return;
        /* pprof has made call sites of return addresses already */
        weft__text_add(t, "%#lx\t%s\n", pc, weft__symbol_of(pc, 0).function);
        at = *end == '+' ? end + 1 : "";
    }
}

static void add_goroutine(struct weft__text *t, const char *query)
{
    struct weft_span level = {0};
    weft_http1_query_get(weft_span_of(query), "debug", &level);
    if (weft_span_is(level, "2"))
        weft__dump_all(t);
    else
        weft__dump_grouped(t);
}

int weft_debug_page_init(weft_debug_page *ret_page, const char *path, const char *query)
{
    struct weft__text t = {0};
    weft_debug_page page = {.status = 200, .type = "text/plain; charset=utf-8"};
    query = query ? query : "";
    weft__thread_stack_init();
    if (strcmp(path, "/goroutine") == 0) {
        add_goroutine(&t, query);
    } else if (strcmp(path, "/symbol") == 0) {
        add_symbols(&t, query);
    } else if (*path == '\0' || strcmp(path, "/") == 0) {
        page.type = "text/html; charset=utf-8";
        weft__text_add(&t, "%s", index_page);
    } else {
        page.status = 404;
        weft__text_add(&t, "Unknown profile\n");
    }
    if (t.failed || !t.data) {
        weft__text_free(&t);
        return -ENOMEM;
    }
    page.text = t.data;
    page.bytes = t.len;
    *ret_page = page;
    return 0;
}

void weft_debug_page_fini(weft_debug_page *page)
{
    if (page)
        free(page->text);
}
