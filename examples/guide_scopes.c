// SPDX-License-Identifier: Apache-2.0
/* guide_scopes.c - scopes: fibers that are waited for, and the first error. Quoted by
 * docs/guide.md. */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

struct job {
    int n;
    int *out;
};

static int square(void *p)
{
    struct job *j = p;
    if (j->n > 1000)
        return -ERANGE;
    *j->out = j->n * j->n;
    return 0;
}

static int squares(int first, int r[3])
{
    WEFT_SCOPE(s);
    for (int i = 0; i < 3; i++)
        weft_go_copy(&s, square, (struct job){.n = first + i, .out = &r[i]});
    return weft_wait(&s);
}

static int app(void *arg)
{
    (void)arg;
    int r[3] = {0};
    int rc = squares(2, r);
    printf("%d %d %d: %d\n", r[0], r[1], r[2], rc);
    rc = squares(1000, r);
    printf("too large: %s\n", rc == -ERANGE ? "ERANGE" : weft_strerror(rc));
    return 0;
}

int main(void)
{
    return weft_main(app, NULL);
}
