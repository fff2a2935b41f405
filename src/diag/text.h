// SPDX-License-Identifier: Apache-2.0
/* text.h - a growing text that reports are written into before they go to a socket, a file or
 * standard error. */
#ifndef WEFT_DIAG_TEXT_H
#define WEFT_DIAG_TEXT_H
#include <stdbool.h>
#include <stddef.h>

struct weft__text {
    char *data; /* NULL at first; freed by weft__text_free */
    size_t len, room;
    bool failed; /* memory ran out: what fitted is there */
};

void weft__text_add(struct weft__text *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void weft__text_bytes(struct weft__text *t, const char *data, size_t len);
void weft__text_write(const struct weft__text *t, int fd);
void weft__text_free(struct weft__text *t);
#endif
