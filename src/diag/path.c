// SPDX-License-Identifier: Apache-2.0
/*
 * path.c - a schedule as a string: its choices with dots between, ~n for n zeros, zeros at the end
 * left out ("path:~4.1.~2.3"). Writing takes no lock and no memory: a signal handler does it too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "diag/simulation.h"

bool weft__path_add(struct weft__path *p, struct weft__decision d)
{
    if (p->len == p->room) {
        size_t room = p->room ? 2 * p->room : 256;
        struct weft__decision *at = weft__realloc(p->at, room * sizeof *at);
        if (!at)
            return false;
        p->at = at;
        p->room = room;
    }
    p->at[p->len++] = d;
    return true;
}

/* Appends prefix and number; false: no room. */
static bool put(char *buf, size_t bytes, size_t *len, const char *prefix, size_t number)
{
    char digits[24];
    size_t n = 0, m = strlen(prefix);
    do
        digits[n++] = (char)('0' + number % 10);
    while (number /= 10);
    if (*len + m + n + 1 > bytes)
        return false;
    memcpy(buf + *len, prefix, m);
    *len += m;
    while (n > 0)
        buf[(*len)++] = digits[--n];
    buf[*len] = '\0';
    return true;
}

bool weft__path_write(const struct weft__path *p, char *buf, size_t bytes)
{
    static const char head[] = "path:";
    size_t end = p->len, len = sizeof head - 1;
    if (bytes < sizeof head)
        return false;
    memcpy(buf, head, sizeof head);
    while (end > 0 && p->at[end - 1].chosen == 0)
        end--;
    for (size_t i = 0; i < end;) {
        size_t zeros = 0;
        while (p->at[i + zeros].chosen == 0) /* ends at a choice that is not 0 */
            zeros++;
        const char *dot = i ? "." : "";
        bool fits;
        if (zeros > 1) {
            fits = put(buf, bytes, &len, i ? ".~" : "~", zeros);
            i += zeros;
        } else {
            fits = put(buf, bytes, &len, dot, p->at[i].chosen);
            i++;
        }
        if (!fits)
            return false;
    }
    return true;
}

int weft__path_read(struct weft__path *p, const char *text)
{
    while (*text) {
        bool zeros = *text == '~';
        char *end;
        const char *from = text + zeros;
        unsigned long n = strtoul(from, &end, 10);
        if (*from < '0' || *from > '9' || n > 100000000 || (*end && *end != '.') ||
            (*end == '.' && !end[1]))
            return -EINVAL;
        struct weft__decision d = {.chosen = zeros ? 0 : (uint32_t)n};
        for (unsigned long i = 0; i < (zeros ? n : 1); i++)
            if (!weft__path_add(p, d))
                return -ENOMEM;
        text = *end ? end + 1 : end;
    }
    return 0;
}
