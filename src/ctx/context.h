// SPDX-License-Identifier: Apache-2.0
/*
 * context.h - contexts and scopes from the inside.
 *
 *      root (node) ──parent── value ──parent── timeout (node)        node: can end; has a lock,
 *        │ children ─────────────────────────────┘ │                 children, fibers, blocks
 *        │ fibers: F1 F2      (value's node is root)│ fibers: F3
 *        │                                          │ blocks: F1's WEFT_TIMEOUT
 *
 * Only nodes can end. A value or a shield is a light record; `node` of each context is the nearest
 * node at or above it, or NULL where a shield or the background cuts the tree. A node hangs in the
 * children of its parent's node.
 *
 * X1  A context holds a counted reference to its parent; nobody's list holds one to its members. So
 *     a node with children, fibers or blocks is alive, and one without references has none of them.
 *     (Fibers of a scope hold none: the scope joins them first.)
 * X2  Locks: parent's node before child. Ending a subtree holds the locks of the path from the
 *     subtree's top down to the node at hand, so the subtree has ended when the top's lock is free.
 * X3  err goes from 0 to its value once, under the lock, after cause was set. Read without the
 *     lock. The done channel is closed before that lock is free again; whoever tells an end to the
 *     user looks whether it is, and waits for the lock if not (weft__ctx_told): so who sees the
 *     error finds the channel closed, and the other way round.
 * X4  Whoever gives a node up for good takes its parent's node's lock, even to find that it hangs
 *     there no more: the one who unlinked it may be at work in it, and holds that lock.
 * X5  A pending timer holds a reference. weft__timer_stop == true hands it to the stopper.
 * X6  Inside the runtime nothing is freed (alloc.h A1): the last reference there puts the context
 *     into the graveyard, and the next maker or freer outside buries it.
 * X7  A fiber is linked in ctx->fibers of the node that it was born under for all its life (but
 *     X8); a block that runs under another context adds a bind to that one. So an end may interrupt
 *     a fiber that a shield protects; it asks (weft__ctx_cancelled), finds nothing, and waits on.
 * X8  The root links no fibers (but in a simulation, where the order of interrupts must not depend
 *     on where stacks lie): with thousands of fibers that come and go its lock would be what they
 *     all wait for. It ends once a run, and then looks for its fibers on all stacks. One that is
 *     being born meanwhile is found there, or sees the end:
 *
 *         born:  stack is live ; fence ; read err        ender:  err := e ; look at all stacks
 *
 * Concurrency: everything but the graveyard's burial and the constructors is called inside
 * enter/leave, from any fiber or thread; the end of a context from timer callbacks as well.
 * Blocking, for nanoseconds (the locks); an end takes time in proportion to what is below it.
 */
#ifndef WEFT_CTX_CONTEXT_H
#define WEFT_CTX_CONTEXT_H
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weft/ctx.h>
#include <weft/scope.h>

#include "base/tsan.h"
#include "sched/sched.h"
#include "sched/simulate.h"
#include "sync/object_core.h"

enum weft__ctx_kind {
    WEFT__CTX_NODE = 1,   /* can end */
    WEFT__CTX_VALUE = 2,  /* key and value */
    WEFT__CTX_CUT = 4,    /* no end from above reaches it */
    WEFT__CTX_SCOPE = 8,  /* a weft__scope begins with it */
    WEFT__CTX_STATIC = 16 /* lives for ever */
};

struct weft_ctx {
    struct weft_object object;
    _Atomic uint32_t refs;
    uint32_t kind;
    struct weft_ctx *parent; /* counted */
    struct weft_ctx *node;   /* the nearest node, itself or above; NULL: none */
    int64_t deadline_ns;     /* own or inherited; INT64_MAX: none */
    struct weft_ctx *next;   /* graveyard, or the harvest of an end */
    const void *key, *value; /* VALUE */

    /* NODE; a light record ends here */
    _Atomic int err;         /* X3 */
    struct weft__lock lock;  /* rank CTX; guards what follows */
    struct weft__node child; /* in the parent's node's children, under that one's lock */
    struct weft__node children, fibers, blocks, afters;
    _Atomic(weft_chan *) done; /* made on demand */
    weft_error *cause;         /* set before err; counted */
    weft_error *late_cause;    /* becomes the cause when the deadline passes; counted */
    struct weft__timer timer;
    bool armed; /* the timer's reference (X5) is still the timer's */
};

/* That a fiber runs under a context for a block. */
struct weft__bind {
    struct weft__node link; /* in ctx->blocks */
    struct weft__fiber *fiber;
    struct weft_ctx *saved; /* current before, and again afterwards */
};

struct weft__scope {
    struct weft_ctx ctx; /* its lock guards the rest */
    uint64_t live, failed;
    struct weft__node joiners;
    int error; /* the first one */
    bool collect, isolate, closing;
    weft_error *error_object; /* what the first failing fiber left, or made on demand */
};

extern struct weft_ctx weft__ctx_background, weft__ctx_no_memory;
/** The root context while a runtime runs, else NULL. */
extern _Atomic(struct weft_ctx *) weft__ctx_root;

/** X8: it has no list of fibers. */
static inline bool weft__ctx_finds_all(const struct weft_ctx *node)
{
    return node == at_load(&weft__ctx_root) && !weft__sim_runs();
}

/* ---- outside enter/leave ---- */
/** A context of `bytes` bytes (all of them zero but for the head) with one reference, not yet
 * attached. NULL: no memory. */
struct weft_ctx *weft__ctx_make(
    struct weft_ctx *parent, uint32_t kind, size_t bytes, int64_t deadline_ns, void *pc);
void weft__ctx_bury(void);
/** Makes beforehand what weft_ctx_done needs when memory is short. 0, -ENOMEM. */
int weft__ctx_prepare(void);

/* ---- inside ---- */
/** Hangs a fresh node into the tree, and arms its timer where its deadline is nearer than the
 * parent's. */
void weft__ctx_attach(struct weft_ctx *c);
/** Ends c and all below (X2). False: it had ended before. cause is borrowed. */
bool weft__ctx_end(struct weft_ctx *c, int err, weft_error *cause);
/** Gives up a reference without freeing (X6). */
void weft__ctx_unref_inside(struct weft_ctx *c);
/** Unlinks a node from its parent (X4). */
void weft__ctx_detach(struct weft_ctx *c);
/** f runs under c until weft__ctx_unbind. The caller holds a reference to c meanwhile. */
void weft__ctx_bind(struct weft__bind *b, struct weft__fiber *f, struct weft_ctx *c);
void weft__ctx_unbind(struct weft__bind *b);
/** Links f, not yet runnable, into the fibers of node n; takes f, at its end, out again. */
void weft__ctx_link(struct weft_ctx *n, struct weft__fiber *f);
void weft__ctx_unlink(struct weft__fiber *f);
/** What weft__cancelled_hook is set to. */
int weft__ctx_cancelled(struct weft__fiber *f);
/** The context that f runs under, never NULL. */
struct weft_ctx *weft__ctx_of(const struct weft__fiber *f);

/** A new fiber, not yet runnable, is born under c. */
static inline void weft__ctx_adopt(struct weft_ctx *c, struct weft__fiber *f)
{
    struct weft_ctx *n = c ? c->node : NULL;
    f->ctx = c;
    if (n && weft__ctx_finds_all(n)) {
        at_fence(); /* X8 */
        if (__builtin_expect(at_load(&n->err) != 0, 0))
            at_or(&f->wake, WEFT__WAKE_INTERRUPT);
    } else if (n) {
        weft__ctx_link(n, f);
    }
}

/* ---- anywhere ---- */
/** n has ended with err, perhaps this very moment: returns err when its channel is closed. No lock
 * is held. */
int weft__ctx_settle(struct weft_ctx *n, int err);
/** The same from inside. */
int weft__ctx_settle_inside(struct weft_ctx *n, int err);
static inline int weft__ctx_err(const struct weft_ctx *c)
{
    struct weft_ctx *n = c ? c->node : NULL;
    int err = n ? at_load(&n->err) : 0;
    if (err)
        weft__tsan_acquire(n);
    return err;
}
/** The same for the user's eyes (X3): where it says that c has ended, c's channel says so too. With
 * no lock of the runtime held. */
static inline int weft__ctx_told(const struct weft_ctx *c)
{
    int err = weft__ctx_err(c);
    return __builtin_expect(err != 0, 0) ? weft__ctx_settle(c->node, err) : 0;
}
static inline void weft__ctx_check(const struct weft_ctx *c, const char *function)
{
    if (__builtin_expect(!c, 0))
        weft__misuse("%s: the context is NULL", function);
    weft__object_check(&c->object, c->object.kind);
}

/* ---- after_func (after.c) ---- */
/** Starts the functions of a list of weft_ctx_after, each on a fiber. Inside, no lock held. */
void weft__after_start(struct weft__node *list);
/** Runs what could not be started because no runtime runs. Outside. */
void weft__after_late(void);
/** The context is gone: its functions never run. Outside. */
void weft__after_drop(struct weft__node *list);
#endif
