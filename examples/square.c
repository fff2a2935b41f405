// SPDX-License-Identifier: Apache-2.0
/* square.c - fibers and a scope: each fiber gets its own copy of a job, the scope joins them. */
#include <stdio.h>
#include <weft/weft.h>

struct job {
    int n;
    int *out;
};

static int square(void *p)
{
    struct job *j = p;
    *j->out = j->n * j->n;
    return 0;
}

static int app(void *arg)
{
    int r[3];
    (void)arg;
    WEFT_SCOPE(s); // leaving the block cancels and joins what is left
    for (int i = 0; i < 3; i++)
        weft_go_copy(&s, square, (struct job){.n = i + 2, .out = &r[i]});
    int rc = weft_wait(&s); // 0, or the first error
    printf("%d %d %d\n", r[0], r[1], r[2]);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
