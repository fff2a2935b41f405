// SPDX-License-Identifier: Apache-2.0
/* guide_select.c - select: the first of two channels, or a timeout. Quoted by docs/guide.md. */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

typedef WEFT_CHAN_OF(int) int_chan;

static int first_of(int_chan a, int_chan b, int *ret_value)
{
    int va, vb, got;
    switch (
        weft_select(WEFT_RECV(a, &va, &got), WEFT_RECV(b, &vb, &got), WEFT_AFTER(50 * WEFT_MS))) {
    case 0:
        *ret_value = va;
        return got ? 'a' : -EPIPE;
    case 1:
        *ret_value = vb;
        return got ? 'b' : -EPIPE;
    case 2:
        return -ETIMEDOUT;
    default:
        return -ECANCELED;
    }
}

static int app(void *arg)
{
    (void)arg;
    int v = 0;
    int_chan a, b;
    if (weft_chan_make(&a, 1) < 0 || weft_chan_make(&b, 1) < 0)
        return -ENOMEM;
    printf("%s\n", first_of(a, b, &v) == -ETIMEDOUT ? "nothing in time" : "?");
    weft_send(b, 7);
    int which = first_of(a, b, &v);
    printf("%c %d\n", which, v);
    weft_chan_free(a);
    weft_chan_free(b);
    return 0;
}

int main(void)
{
    return weft_main(app, NULL);
}
