// SPDX-License-Identifier: Apache-2.0
/* pipeline.c - channels: numbers go through two stages, closing runs down the line. */
#include <stdio.h>
#include <weft/weft.h>

typedef WEFT_CHAN_OF(int) int_chan;

struct stage {
    int_chan in, out;
};

static int generate(void *p)
{
    struct stage *s = p;
    int rc = 0;
    for (int i = 1; i <= 5 && rc == 0; i++)
        rc = weft_send(s->out, i); // 0, -EPIPE closed, -ECANCELED/-ETIMEDOUT the context ended
    weft_chan_close(s->out);
    return rc;
}

static int square(void *p)
{
    struct stage *s = p;
    int v, rc;
    while ((rc = weft_recv(s->in, &v)) > 0) // 1 an element, 0 closed and drained, < 0 error
        if ((rc = weft_send(s->out, v * v)) < 0)
            break;
    weft_chan_close(s->out);
    return rc;
}

static int app(void *arg)
{
    int_chan numbers, squares;
    int v, rc;
    (void)arg;
    if (weft_chan_make(&numbers, 0) < 0 || weft_chan_make(&squares, 4) < 0)
        return -1;
    WEFT_SCOPE(s);
    weft_go_copy(&s, generate, (struct stage){.out = numbers});
    weft_go_copy(&s, square, (struct stage){.in = numbers, .out = squares});
    while ((rc = weft_recv(squares, &v)) > 0)
        printf("%d\n", v);
    rc = weft_wait(&s);
    weft_chan_free(numbers);
    weft_chan_free(squares);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
