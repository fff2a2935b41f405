// SPDX-License-Identifier: Apache-2.0
/* recover.c - panics: a protected call, the block form, and a scope that loses only the fiber. */
#include <stdio.h>
#include <weft/weft.h>

static void say(void *what)
{
    printf("deferred: %s\n", (const char *)what);
}

static int parse(void *arg)
{
    WEFT_DEFER(say, arg);
    if (*(const char *)arg != '{')
        weft_panic("no brace in '%s'", (const char *)arg);
    return 0;
}

static void quiet(void *arg, int level, const char *text)
{
    (void)arg, (void)level, (void)text; // the scope's error says it
}

static int app(void *arg)
{
    char good[] = "{}", bad[] = "oops";
    weft_panic_info *p = NULL;
    (void)arg;
    printf("good: %d\n", weft_try(parse, good, &p));
    if (weft_try(parse, bad, &p) == -WEFT_EPANIC)
        printf("recovered: %s\n", weft_panic_message(p));
    weft_panic_free(p);
    WEFT_TRY
    {
        parse(bad);
    }
    WEFT_RECOVER(again)
    {
        printf("recovered again: %s\n", weft_panic_message(again));
    }
    WEFT_SCOPE(s, .errors = WEFT_COLLECT, .panics = WEFT_PANIC_ISOLATE);
    weft_go(&s, parse, bad);
    printf("the fiber: %s\n", weft_strerror(weft_wait(&s)));
    return 0;
}

int main(void)
{
    weft_set_log(quiet, NULL);
    return weft_main(app, NULL);
}
