// SPDX-License-Identifier: Apache-2.0
/*
 * group.c - the error group: a scope, and a semaphore with a permit for each fiber that may run.
 *
 *      weft_group_go      takes a permit, starts `member` in the scope with a copy of what to run
 *      member             gives the permit back when the entry returns, panics, or ends the fiber
 *
 * Y1  Permits taken = members started and not yet ended, plus starts under way. With no limit the
 *     semaphore is not used at all.
 * Y2  A member gives its permit back before its fiber ends, so the scope's join comes after the
 *     last use of the semaphore, which lies in the same frame as the scope.
 *
 * Any fiber of the group may start others. Progress: blocking (a full group). Limits: the scope's.
 */
#include <weft/group.h>

#include <errno.h>
#include <stdalign.h>
#include <weft/fiber.h>

struct member {
    int (*fn)(void *);
    void *arg;
    weft_group *group;
};

static void leave(void *arg)
{
    weft_group *g = arg;
    if (g->limit_)
        weft_sema_release(&g->room_, 1);
}

static int member(void *p)
{
    struct member *m = p;
    weft_defer d;
    weft_defer_push(&d, leave, m->group);
    int rc = m->fn(m->arg);
    weft_defer_pop(&d);
    return rc;
}

weft_group *weft_group_open(weft_group *g, uint32_t limit, const weft_scope_opts *opts)
{
    weft_sema_init(&g->room_, limit, "places of a group");
    g->limit_ = limit;
    weft_scope_open(&g->scope_, opts);
    return g;
}

static int start(weft_group *g, int (*fn)(void *), void *arg)
{
    struct member m = {fn, arg, g};
    int rc = weft_go_value(&g->scope_, member, &m, sizeof m, alignof(struct member));
    if (rc < 0)
        leave(g);
    return rc;
}

int weft_group_go(weft_group *g, int (*fn)(void *), void *arg)
{
    int rc = g->limit_ ? weft_sema_acquire(&g->room_, 1) : weft_ctx_check();
    return rc < 0 ? rc : start(g, fn, arg);
}

int weft_group_try_go(weft_group *g, int (*fn)(void *), void *arg)
{
    if (g->limit_ && !weft_sema_try_acquire(&g->room_, 1))
        return -EBUSY;
    return start(g, fn, arg);
}

int weft_group_wait(weft_group *g)
{
    return weft_wait(&g->scope_);
}

int weft_group_close(weft_group *g)
{
    return weft_scope_close(&g->scope_);
}

weft_scope *weft_group_scope(weft_group *g)
{
    return &g->scope_;
}
