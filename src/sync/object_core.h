// SPDX-License-Identifier: Apache-2.0
/*
 * object_core.h - the library's side of <weft/object.h>: naming objects in reports, and telling
 * dead ones from live ones.
 *
 * Every object of the sync kit begins with a struct weft_object, and every park passes the object
 * as its park_object, so a dump can print "waits for mutex "cache" (made at cache.c:31)" from the
 * address alone (weft__object_describe).
 *
 * O1  magic is WEFT_OBJECT_MAGIC, or 0 in an object that was never initialised but is all zeros;
 *     DEAD after fini or free.
 * O2  A freed heap object lies in a quarantine of QUARANTINE objects in debug builds, so that its
 *     DEAD mark outlives it and a use after free is reported by name. Under AddressSanitizer there
 *     is none: the sanitizer reports better.
 *
 * All functions: any thread, no lock, never park.
 */
#ifndef WEFT_SYNC_OBJECT_CORE_H
#define WEFT_SYNC_OBJECT_CORE_H
#include <stddef.h>
#include <weft/object.h>

#include "base/fatal.h"

enum { WEFT__OBJECT_DEAD = 0xdeadbeef - 0x100000000LL };

/** "file:line" (or "function+offset") for a program counter; diag sets it. NULL: dladdr's best. */
extern void (*weft__site_hook)(const void *pc, char *text, size_t bytes);

const char *weft__kind_name(uint32_t kind);

/** Writes e.g. `mutex "cache" (made at cache.c:31)`; o may be of any kind. Returns text. */
const char *weft__object_describe(const struct weft_object *o, char *text, size_t bytes);

/** Ends the process with "MISTAKE KIND "NAME" (made at SITE)EXTRA". */
_Noreturn void weft__object_misuse(
    const struct weft_object *o, uint32_t kind, const char *mistake, const char *extra);

/** Marks it dead, and frees the memory (at once, or after QUARANTINE further ones). */
void weft__object_free(struct weft_object *o);

void weft__object_init(struct weft_object *o, uint32_t kind, const char *name, void *pc);

/** fini of an object in the caller's storage: dead, unless used again after an init. */
static inline void weft__object_fini(struct weft_object *o)
{
    o->magic = (uint32_t)WEFT__OBJECT_DEAD;
}

/** Debug builds: the object is alive, else misuse. */
static inline void weft__object_check(const struct weft_object *o, uint32_t kind)
{
#ifndef NDEBUG
    if (__builtin_expect(o->magic == (uint32_t)WEFT__OBJECT_DEAD, 0))
        weft__object_misuse(o, kind, "use after free of", "");
#else
    (void)o, (void)kind;
#endif
}
#endif
