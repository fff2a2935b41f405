// SPDX-License-Identifier: Apache-2.0
/* text.c - the growing text of text.h. Plain malloc: reports are made on threads of their own,
 * outside the runtime. */
#include "diag/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool reserve(struct weft__text *t, size_t more)
{
    if (t->failed || t->len + more + 1 <= t->room)
        return !t->failed;
    size_t room = t->room ? t->room : 4096;
    while (room < t->len + more + 1)
        room *= 2;
    char *p = realloc(t->data, room);
    if (!p) {
        t->failed = true;
        return false;
    }
    t->data = p;
    t->room = room;
    return true;
}

void weft__text_bytes(struct weft__text *t, const char *data, size_t len)
{
    if (!reserve(t, len))
        return;
    memcpy(t->data + t->len, data, len);
    t->len += len;
    t->data[t->len] = '\0';
}

void weft__text_add(struct weft__text *t, const char *fmt, ...)
{
    va_list ap;
    char small[512];
    va_start(ap, fmt);
    int n = vsnprintf(small, sizeof small, fmt, ap);
    va_end(ap);
    if (n < (int)sizeof small) {
        weft__text_bytes(t, small, n > 0 ? (size_t)n : 0);
        return;
    }
    if (!reserve(t, (size_t)n))
        return;
    va_start(ap, fmt);
    vsnprintf(t->data + t->len, (size_t)n + 1, fmt, ap);
    va_end(ap);
    t->len += (size_t)n;
}

void weft__text_write(const struct weft__text *t, int fd)
{
    size_t done = 0;
    while (done < t->len) {
        ssize_t n = write(fd, t->data + done, t->len - done);
        if (n < 0 && errno != EINTR)
            return;
        done += n > 0 ? (size_t)n : 0;
    }
    static const char cut[] = "(no memory for the rest of this report)\n";
    if (t->failed && write(fd, cut, sizeof cut - 1) < 0)
        return;
}

void weft__text_free(struct weft__text *t)
{
    free(t->data);
    *t = (struct weft__text){0};
}
