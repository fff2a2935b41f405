// SPDX-License-Identifier: Apache-2.0
/*
 * record.h - what this room keeps with each fiber: how it is born and ends, and its side record
 * (name, labels, the error that it left).
 *
 * R1  A side record is made on demand, from a pool that never gives memory back to the heap: a dump
 *     may read the record of a fiber that ends at that moment, and sees old or new text, always
 *     terminated, never a stranger's memory.
 * R2  Only the fiber itself writes its record, and its starter before it runs.
 *
 * born and exit functions run inside enter/leave; the rest outside unless it says otherwise.
 */
#ifndef WEFT_CTX_RECORD_H
#define WEFT_CTX_RECORD_H
#include <stddef.h>

#include <weft/error.h>
#include <weft/fiber.h>

#include "sched/sched.h"

enum { WEFT__NAME_BYTES = 64, WEFT__LABEL_BYTES = 400 };

struct weft__fiber_ext {
    struct weft__fiber_ext *next; /* pool */
    weft_error *error;            /* left by weft_fail; owned */
    char name[WEFT__NAME_BYTES];
    char labels[WEFT__LABEL_BYTES]; /* key=value, each terminated, an empty one at the end */
};

/** The current fiber, attached if need be. Anywhere. */
static inline struct weft__fiber *weft__me(void)
{
    struct weft__fiber *f = weft__self();
    if (__builtin_expect(!f, 0)) {
        f = weft__enter();
        weft__leave();
    }
    return f;
}

/** f's record, made if need be; NULL: no memory. f is the caller's own, or not yet running. */
struct weft__fiber_ext *weft__record_of(struct weft__fiber *f);
/** A record for a fiber to be started by `from`, with its labels and with opts' name and labels. 0
 * and *ret_ext (NULL if there is nothing to
 *  say), -ENOMEM, -ENOSPC, -EINVAL. */
int weft__record_for_child(
    const struct weft__fiber *from, const weft_fiber_opts *opts, struct weft__fiber_ext **ret_ext);
void weft__record_free(struct weft__fiber_ext *e);
/** At f's end, inside: gives its record back, and frees what it left. Leaves and enters again if it
 * must free. */
void weft__record_end_slow(struct weft__fiber *f);
static inline void weft__record_end(struct weft__fiber *f)
{
    if (__builtin_expect(f->defers != NULL || f->ext != NULL, 0))
        weft__record_end_slow(f);
}

/* For dumps, of any fiber, async-signal-safe: copies with a terminator, returns the length. Labels
 * come as "k=v, k=v". */
size_t weft__fiber_name(const struct weft__fiber *f, char *buf, size_t bytes);
size_t weft__fiber_labels(const struct weft__fiber *f, char *buf, size_t bytes);

/** weft__spawn.prepare and on_exit of fibers under the root context without a scope. */
void weft__record_born_root(struct weft__fiber *f, void *arg);
void weft__record_exit_root(struct weft__fiber *f, int result);
#endif
