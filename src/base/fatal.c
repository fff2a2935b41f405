// SPDX-License-Identifier: Apache-2.0
/* fatal.c - how the process ends when it cannot go on (fatal.h). */
#include "base/fatal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/futex.h"
#include "base/hooks.h"

void (*weft__fatal_hook)(int fd);

static void write_line(const char *prefix, const char *fmt, va_list ap)
{
    char text[2048];
    int n = snprintf(text, sizeof text, "%s", prefix);
    int m = vsnprintf(text + n, sizeof text - (size_t)n - 1, fmt, ap);
    int len = n + (m < (int)sizeof text - n - 1 ? m : (int)sizeof text - n - 2);
    if (prefix[0])
        text[len++] = '\n';
    weft__syscall(SYS_write, 2, (long)text, len, 0, 0, 0);
}

void weft__eprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line("", fmt, ap);
    va_end(ap);
}

void weft__fatal(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    write_line("weft: fatal: ", fmt, ap);
    va_end(ap);
    if (weft__fatal_hook)
        weft__fatal_hook(2);
    abort();
}

void weft__misuse(const char *fmt, ...)
{
    va_list ap;
    if (weft__give_up_hook) {
        char text[1024];
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        weft__give_up_hook("misuse", text);
    }
    va_start(ap, fmt);
    write_line("weft: misuse: ", fmt, ap);
    va_end(ap);
    if (weft__fatal_hook)
        weft__fatal_hook(2);
    abort();
}
