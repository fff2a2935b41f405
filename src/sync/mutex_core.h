// SPDX-License-Identifier: Apache-2.0
/*
 * mutex_core.h - what cond.c needs of a mutex: releasing it for a fiber that has just parked, and
 * taking it back.
 */
#ifndef WEFT_SYNC_MUTEX_CORE_H
#define WEFT_SYNC_MUTEX_CORE_H
#include <weft/mutex.h>

#include "sched/sched.h"

/** The fiber that holds m, or NULL. Racy, for dumps and checks. */
struct weft__fiber *weft__mutex_owner(const weft_mutex *m);

/** Inside the runtime: unlocks m, which f holds; the caller may be f's successor. m may be gone
 * when this returns. */
void weft__mutex_release(weft_mutex *m, struct weft__fiber *f);

/** Inside the runtime: locks m for f (the current fiber), whose release by weft__mutex_release
 * may still be under way. */
void weft__mutex_acquire(weft_mutex *m, struct weft__fiber *f, void *caller);
#endif
