// SPDX-License-Identifier: Apache-2.0
/* guide_channels.c - channels: a producer that closes, a consumer that drains. Quoted by
 * docs/guide.md. */
#include <stdio.h>
#include <weft/weft.h>

typedef WEFT_CHAN_OF(int) int_chan;

static int produce(void *p)
{
    int_chan out = *(int_chan *)p;
    for (int i = 1; i <= 5; i++) {
        int rc = weft_send(out, i);
        if (rc < 0)
            return rc;
    }
    weft_chan_close(out);
    return 0;
}

static int consume(int_chan in, int *ret_sum)
{
    int v, rc, sum = 0;
    while ((rc = weft_recv(in, &v)) > 0)
        sum += v;
    if (rc == 0)
        *ret_sum = sum;
    return rc;
}

static int app(void *arg)
{
    (void)arg;
    int sum = 0;
    int_chan c;
    int rc = weft_chan_make(&c, 2);
    if (rc < 0)
        return rc;
    WEFT_SCOPE(s);
    weft_go_copy(&s, produce, c);
    rc = consume(c, &sum);
    printf("%d: %d\n", sum, rc);
    rc = weft_wait(&s);
    weft_chan_free(c);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
