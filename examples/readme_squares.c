// SPDX-License-Identifier: Apache-2.0
/* readme_squares.c - the program of the README: four fibers, one channel, one scope. */
#include <stdio.h>
#include <weft/weft.h>

typedef WEFT_CHAN_OF(int) int_chan;
struct span {
    int_chan out;
    int from, to;
};

static int squares(void *p)
{
    struct span *s = p;
    for (int i = s->from; i < s->to; i++)
        if (weft_send(s->out, i * i) < 0)
            break;
    return 0;
}

static int app(void *arg)
{
    (void)arg;
    int sum = 0, v, rc;
    int_chan c;
    if ((rc = weft_chan_make(&c, 0)) < 0) // a rendezvous
        return rc;
    WEFT_SCOPE(s); // leaving the block cancels and joins what is left
    for (int i = 0; i < 4; i++)
        weft_go_copy(&s, squares, (struct span){c, i * 10, (i + 1) * 10});
    for (int i = 0; i < 40 && weft_recv(c, &v) > 0; i++)
        sum += v;
    printf("%d\n", sum);
    rc = weft_wait(&s);
    weft_chan_free(c);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
