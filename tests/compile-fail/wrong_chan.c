// SPDX-License-Identifier: Apache-2.0
/*
 * wrong_chan.c - typed channels: what must not compile, beside what must.
 *
 * Numbers are not here: between them C's own conversions hold, as in an assignment.
 */
// FAIL 1: the channel carries another type than the value
// FAIL 2: the channel carries another type than the value
// FAIL 3: the channel carries another type than the value
// FAIL 4: the channel carries another type than the value
// FAIL 5: the channel carries another type than the value
// FAIL 6: the channel carries another type than the value
// FAIL 7: the channel carries another type than the value
// FAIL 8: type mismatch|incompatible operand types
// FAIL 9: type mismatch|incompatible operand types
// FAIL 10: the channel carries another type than the variable
// FAIL 11: the channel carries another type than the variable
// FAIL 12: the channel carries another type than the variable
// FAIL 13: the channel carries another type than the variable
// FAIL 14: the channel carries another type than the variable
// FAIL 15: the channel carries another type than the variable
// FAIL 16: the channel carries another type than the variable
// FAIL 17: the channel carries another type than the value
// FAIL 18: the channel carries another type than the value
// FAIL 19: the channel carries another type than the variable
// FAIL 20: this is not a channel
// FAIL 21: this is not a channel
// FAIL 22: this is not a channel
// FAIL 23: incompatible|initializ|assigning
// FAIL 24: the channel carries another type than the value
#include <stddef.h>
#include <stdio.h>
#include <weft/sugar_chan.h>

struct job {
    int n;
};
struct other {
    int n;
};
typedef WEFT_CHAN_OF(int) int_chan;
typedef WEFT_CHAN_OF(double) double_chan;
typedef WEFT_CHAN_OF(struct job) job_chan;
typedef WEFT_CHAN_OF(struct job *) job_ptr_chan;
typedef WEFT_CHAN_OF(const char *) text_chan;
typedef WEFT_CHAN_OF(char *) buffer_chan;
typedef WEFT_CHAN_OF(void *) any_chan;
typedef WEFT_CHAN_OF(int_chan) chan_chan;

int use(int_chan c, double_chan d, job_chan j, job_ptr_chan p, text_chan t, buffer_chan b,
    any_chan a, chan_chan cc, FILE *file);
int use(int_chan c, double_chan d, job_chan j, job_ptr_chan p, text_chan t, buffer_chan b,
    any_chan a, chan_chan cc, FILE *file)
{
    int v = 0;
    long l = 0;
    double x = 0;
    char text[8] = "text";
    const char *ct = text;
    char *mt = text;
    void *any = text;
    struct job job = {1}, *jp = &job;
    struct other other = {1};
    const int fixed = 1;
    (void)l, (void)other, (void)fixed, (void)file, (void)mt, (void)any, (void)x, (void)ct;
#if FAIL == 1 /* a pointer for a number */
    weft_send(c, &v);
#elif FAIL == 2  /* a number for a pointer */
    weft_send(p, 5);
#elif FAIL == 3  /* a pointer to something else */
    weft_send(p, &other);
#elif FAIL == 4  /* a pointer for the struct */
    weft_send(p, &jp);
#elif FAIL == 5  /* a text for a number */
    weft_send(c, "text");
#elif FAIL == 6  /* a text for a pointer to a struct */
    weft_send(p, "text");
#elif FAIL == 7  /* would drop const */
    weft_send(b, ct);
#elif FAIL == 8  /* another struct of the same shape */
    weft_send(j, other);
#elif FAIL == 9  /* a number for a struct */
    weft_send(j, 1);
#elif FAIL == 10 /* into a wider number */
    weft_recv(c, &l);
#elif FAIL == 11 /* into a floating-point number */
    weft_recv(c, &x);
#elif FAIL == 12 /* through a void pointer */
    weft_recv(c, any);
#elif FAIL == 13 /* into something constant */
    weft_recv(c, &fixed);
#elif FAIL == 14 /* into another struct */
    weft_recv(j, &other);
#elif FAIL == 15 /* without & */
    weft_recv(c, v);
#elif FAIL == 16 /* a const pointer into one that is not */
    weft_recv(t, &mt);
#elif FAIL == 17 /* the same checks in try and select */
    weft_try_send(p, &other);
#elif FAIL == 18
    weft_select(WEFT_SEND(p, &other, NULL), WEFT_DEFAULT);
#elif FAIL == 19
    weft_select(WEFT_RECV(c, &l, NULL), WEFT_DEFAULT);
#elif FAIL == 20 /* something that is no channel */
    weft_chan_close(file);
#elif FAIL == 21
    weft_chan_free(v);
#elif FAIL == 22
    weft_chan_close(job);
#elif FAIL == 23 /* a handle of another element type */
    int_chan wrong = d;
    weft_chan_close(wrong);
#elif FAIL == 24 /* a void pointer for a pointer to a struct */
    weft_send(p, any);
#else
    weft_send(c, v), weft_send(c, 'x'), weft_send(c, fixed), weft_send(d, v), weft_send(d, 4.5);
    weft_send(p, jp), weft_send(p, &job), weft_send(p, NULL);
    weft_send(j, job), weft_send(j, (struct job){3}), weft_send(j, *jp);
    weft_send(t, "text"), weft_send(t, ct), weft_send(t, mt), weft_send(t, NULL);
    weft_send(b, mt), weft_send(b, text), weft_send(b, NULL);
    weft_send(a, jp), weft_send(a, text), weft_send(a, any), weft_send(a, NULL);
    weft_send(cc, c);
    weft_recv(c, &v), weft_recv(c, NULL), weft_recv(d, &x), weft_recv(j, &job), weft_recv(p, &jp);
    weft_recv(t, &ct), weft_recv(b, &mt), weft_recv(a, &any), weft_recv(cc, &c);
    weft_try_send(p, jp), weft_try_recv(c, &v);
    switch (weft_select(WEFT_RECV(c, &v, NULL), WEFT_SEND(p, &job, NULL), WEFT_SEND(t, "x", NULL),
        WEFT_SEND(j, job, NULL), WEFT_RECV(a, &any, NULL), WEFT_AFTER(5 * WEFT_MS))) {
    case 0:
        weft_chan_close(c); /* after a label, and under if without braces */
        break;
    default:
        if (v)
            weft_send(c, v);
        else
            weft_recv(c, &v);
    }
    weft_chan_ref(c), weft_chan_free(c), weft_chan_free(c.chan), weft_chan_set_name(d, "numbers");
    return (int)(weft_chan_len(c) + weft_chan_cap(d.chan));
#endif
    return 0;
}
