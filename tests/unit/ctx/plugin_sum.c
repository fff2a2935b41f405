// SPDX-License-Identifier: Apache-2.0
/* plugin_sum.c - a shared object for test_process.c that brings fibers along. */
#include <weft/weft.h>

int sum_by_fibers(int n);
int add_to(int *total, int n);

int add_to(int *total, int n)
{
    *total += n;
    return 0;
}

struct job {
    weft_chan *out;
    int n;
};

static int sends(void *arg)
{
    struct job *j = arg;
    return weft_chan_send(j->out, &j->n);
}

static int sums(void *arg)
{
    int n = *(int *)arg, total = 0;
    weft_chan *c;
    WEFT_SCOPE(scope);
    int rc = weft_chan_new(sizeof(int), 0, &c);
    if (rc < 0)
        return rc;
    for (int i = 0; rc == 0 && i < n; i++)
        rc = weft_go_copy(&scope, sends, (struct job){.out = c, .n = i});
    for (int i = 0, v; rc == 0 && i < n; i++)
        if (weft_chan_recv(c, &v) == 1)
            total += v;
    if (rc == 0)
        rc = weft_wait(&scope);
    weft_chan_free(c);
    return rc < 0 ? rc : total;
}

/* A runtime comes and goes within the call. */
int sum_by_fibers(int n)
{
    weft_run_opts o = {.size = sizeof o, .workers = 2};
    int total = -1, rc = weft_run(sums, &n, &o, &total);
    return rc < 0 ? rc : total;
}
