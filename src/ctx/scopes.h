// SPDX-License-Identifier: Apache-2.0
/*
 * scopes.h - what starting fibers (go.c) and panics (panic.c) need of scope.c. All but
 * weft__scope_of: inside enter/leave.
 */
#ifndef WEFT_CTX_SCOPES_H
#define WEFT_CTX_SCOPES_H
#include "ctx/context.h"

/** The open scope behind s, NULL if there was no memory for it; misuse if it is not open. */
struct weft__scope *weft__scope_of(weft_scope *s, const char *function);
/** f, not yet runnable, becomes a fiber of s. */
void weft__scope_born(struct weft__fiber *f, struct weft__scope *s);
/** on_exit of a scope's fibers. */
void weft__scope_exit(struct weft__fiber *f, int result);
/** A fiber could not be started: an error of the scope. */
void weft__scope_start_failed(struct weft__scope *s, int error);
#endif
