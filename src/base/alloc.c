// SPDX-License-Identifier: Apache-2.0
/* alloc.c - the heap's door (alloc.h): the embedder's allocator, or malloc. */
#include "base/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <weft/run.h>

#include "base/atomic.h"
#include "base/tsan.h"

static void *default_alloc(void *arg, size_t bytes)
{
    return malloc(bytes);
}

static void *default_resize(void *arg, void *p, size_t bytes)
{
    return realloc(p, bytes);
}

static void default_release(void *arg, void *p)
{
    free(p);
}

static weft_allocator allocator = {
    .size = sizeof(weft_allocator),
    .alloc = default_alloc,
    .resize = default_resize,
    .release = default_release,
};
static _Atomic int used; /* an allocation was made: the allocator is fixed */

int weft_set_allocator(const weft_allocator *a)
{
    if (!a || a->size < sizeof *a || !a->alloc || !a->resize || !a->release)
        return -EINVAL;
    if (at_load(&used))
        return -EBUSY;
    allocator = *a;
    return 0;
}

void *weft__alloc(size_t bytes)
{
    if (!at_load_rlx(&used)) /* [mo:alone: set once, a late sight only stores it again] */
        at_store(&used, 1);
    return allocator.alloc(allocator.arg, bytes ? bytes : 1);
}

void *weft__zalloc(size_t bytes)
{
    void *p = weft__alloc(bytes);
    if (p)
        memset(p, 0, bytes);
    return p;
}

void *weft__realloc(void *p, size_t bytes)
{
    return p ? allocator.resize(allocator.arg, p, bytes ? bytes : 1) : weft__alloc(bytes);
}

char *weft__strdup(const char *s)
{
    size_t bytes = strlen(s) + 1;
    char *copy = weft__alloc(bytes);
    if (copy)
        memcpy(copy, s, bytes);
    return copy;
}

void weft__free(void *p)
{
    if (!p)
        return;
    weft__tsan_quiet(); /* the last user is known by a count that TSan does not see */
    allocator.release(allocator.arg, p);
    weft__tsan_loud();
}
