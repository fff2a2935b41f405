// SPDX-License-Identifier: Apache-2.0
/*
 * loop_call.c - from a fiber to the thread of a loop and back (weft_loop_call).
 *
 * The message is a job of offload.h: posted once the fiber is parked, and answered by the loop's
 * thread when the function has returned. It lies in the caller's frame, and so may what the
 * function is given: hence the wait is a hard one, until the answer is there (O2).
 *
 * Concurrency: any number of fibers and threads, one loop or several.
 */
#include "io/loop_impl.h"
#include "io/offload.h"

struct call {
    weft_loop_msg msg;
    struct weft__job job;
    weft_loop *loop;
    int (*fn)(void *);
    void *arg;
    int result;
};

static void on_loop(weft_loop *loop, weft_loop_msg *msg)
{
    struct call *c = WEFT_LOOP_OWNER(msg, struct call, msg);
    (void)loop;
    weft__tsan_acquire(&c->job);
    c->result = c->fn(c->arg);
    weft__enter();
    weft__job_done(&c->job);
    weft__leave();
}

static void post(struct weft__job *j)
{
    struct call *c = WEFT_LOOP_OWNER(j, struct call, job);
    weft_loop_post(c->loop, &c->msg);
}

int weft_loop_call(weft_loop *loop, int (*fn)(void *), void *arg)
{
    struct call c = {
        .msg.fn = on_loop, .job.verb = "call", .job.fd = -1, .loop = loop, .fn = fn, .arg = arg};
    weft__enter();
    weft__tsan_release(&c.job); /* not in the post: that runs as the successor */
    weft__job_wait(&c.job, WEFT__WAIT_OTHER, __builtin_return_address(0), post, NULL);
    weft__leave();
    return c.result;
}
