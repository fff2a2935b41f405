// SPDX-License-Identifier: Apache-2.0
/* log.c - see log.h. The function and its argument are set together, before threads are there, as
 * run.h demands. */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#include <weft/run.h>

#include "base/fatal.h"

static weft_log_fn hook;
static void *hook_arg;

void weft_set_log(weft_log_fn fn, void *arg)
{
    hook_arg = arg;
    hook = fn;
}

static const char *level_name(int level)
{
    switch (level) {
    case WEFT_LOG_ERROR:
        return "error";
    case WEFT_LOG_WARNING:
        return "warning";
    default:
        return "note";
    }
}

void weft__log(int level, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (hook)
        hook(hook_arg, level, text);
    else
        weft__eprintf("weft: %s: %s\n", level_name(level), text);
}
