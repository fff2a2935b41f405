// SPDX-License-Identifier: Apache-2.0
/* choose.c - select: the first of several, a receive, a send, a time-out; or none of them. */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

typedef WEFT_CHAN_OF(int) int_chan;

static void choose(int_chan a, int_chan b)
{
    int v = 0, got, sent;
    switch (weft_select(WEFT_RECV(a, &v, &got), WEFT_SEND(b, 7, &sent), WEFT_AFTER(20 * WEFT_MS))) {
    case 0:
        if (got)
            printf("received %d\n", v);
        else
            printf("closed\n");
        break;
    case 1:
        printf("%s\n", sent == 0 ? "sent" : "b is closed");
        break;
    case 2:
        printf("timed out\n");
        break;
    case -ECANCELED:
        printf("the context ended\n");
        break;
    }
}

static int app(void *arg)
{
    int_chan a, b, nil = {NULL}; // a nil channel is never ready: so a case is switched off
    int v;
    (void)arg;
    if (weft_chan_make(&a, 1) < 0 || weft_chan_make(&b, 1) < 0)
        return -ENOMEM;
    choose(a, nil);
    choose(nil, b);
    weft_send(a, 42);
    choose(a, nil);
    if (weft_select(WEFT_RECV(a, &v, NULL), WEFT_DEFAULT) == -EAGAIN)
        printf("nothing there\n");
    weft_chan_close(a);
    choose(a, nil);
    weft_chan_close(b);
    choose(nil, b);
    {
        WEFT_SCOPE(s);
        weft_scope_cancel(&s);
        choose(nil, nil);
    }
    weft_chan_free(a);
    weft_chan_free(b);
    return 0;
}

int main(void)
{
    return weft_main(app, NULL);
}
