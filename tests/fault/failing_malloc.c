// SPDX-License-Identifier: Apache-2.0
/* failing_malloc.c - malloc and its like, over glibc's own (failing_malloc.h). */
#include "failing_malloc.h"

#include <stdlib.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *p, size_t bytes);
void __libc_free(void *p);

static long countdown = -1, live;

static bool fails(void)
{
    return countdown >= 0 && countdown-- == 0;
}

void *malloc(size_t bytes)
{
    void *p = fails() ? NULL : __libc_malloc(bytes);
    live += p != NULL;
    return p;
}

void *calloc(size_t count, size_t bytes)
{
    void *p = fails() ? NULL : __libc_calloc(count, bytes);
    live += p != NULL;
    return p;
}

void *realloc(void *old, size_t bytes)
{
    void *p = fails() ? NULL : __libc_realloc(old, bytes);
    live += p != NULL && old == NULL;
    return p;
}

void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}

void malloc_fail_at(long n)
{
    countdown = n;
}

bool malloc_fail_end(void)
{
    bool reached = countdown < 0;
    countdown = -1;
    return reached;
}

long malloc_live(void)
{
    return live;
}

void *malloc_spared(size_t bytes)
{
    void *p = __libc_malloc(bytes);
    live += p != NULL;
    return p;
}
