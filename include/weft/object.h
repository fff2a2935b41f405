// SPDX-License-Identifier: Apache-2.0
/*
 * weft/object.h - what every object of the sync kit begins with: who it is and where it was made.
 *
 * A report ("unlock of unlocked mutex "cache" (made at cache.c:31)") and a dump ("waits for
 * channel "jobs"") name the object by this head. It costs nothing after the object was made.
 *
 *     name   the user's word for it, or NULL
 *     site   "file:line" where an initialiser or macro made it, or NULL
 *     pc     return address of the function that made it, or NULL: reports symbolise it
 *
 * The structs that begin with a weft_object are open so that they can lie in the caller's storage
 * and be initialised statically; their fields are the library's own. A mutex, rwmutex, once,
 * waitgroup, cond that is all zero bytes is ready for use as well: it only has no name and no site.
 * Their sizes and alignments are fixed for the life of the soname, with room kept for growth.
 */
#ifndef WEFT_OBJECT_H
#define WEFT_OBJECT_H
#include <weft/base.h>

WEFT_BEGIN_DECLS

/** struct weft_object - the head of a sync object; see the top of this file. */
struct weft_object {
    const char *name;
    const char *site;
    void *pc;
    uint32_t kind;
    uint32_t magic;
};

/* Kinds, stable numbers. */
#define WEFT_KIND_CHAN 1
#define WEFT_KIND_SELECT 2
#define WEFT_KIND_MUTEX 3
#define WEFT_KIND_RWMUTEX 4
#define WEFT_KIND_ONCE 5
#define WEFT_KIND_WAITGROUP 6
#define WEFT_KIND_COND 7
#define WEFT_KIND_SEMA 8
#define WEFT_KIND_BARRIER 9
#define WEFT_KIND_FLIGHT 10
#define WEFT_KIND_CTX 11
#define WEFT_KIND_SCOPE 12
#define WEFT_KIND_TIMER 13

#define WEFT_OBJECT_MAGIC 0x77656674u /* alive; 0 is accepted as well (all-zero objects) */

#define WEFT_STRING__(x) #x
#define WEFT_STRING_(x) WEFT_STRING__(x)
/* "file:line" of where it is expanded: a string literal. */
#define WEFT_SITE __FILE__ ":" WEFT_STRING_(__LINE__)
#define WEFT_OBJECT_INIT_(kind, name)                                                              \
    {                                                                                              \
        (name), WEFT_SITE, 0, (kind), WEFT_OBJECT_MAGIC                                            \
    }

WEFT_END_DECLS
#endif
