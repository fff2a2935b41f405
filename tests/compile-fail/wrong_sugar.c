// SPDX-License-Identifier: Apache-2.0
/* wrong_sugar.c - declarations of sugar.h where none may stand, jumps past them, wrong
 * functions. */
// FAIL 1: expected expression
// FAIL 2: expected expression
// FAIL 3: expected expression
// FAIL 4: jump
// FAIL 5: jump
// FAIL 6: jump
// FAIL 7: jump
// FAIL 8: not a int
// FAIL 9: not a void
// FAIL 10: (no member|does not refer to any field|not refer)
// FAIL 11: (incompatible type|passing 'weft_scope')
// FAIL 12: (.else. without|expected expression)
#include <weft/weft.h>

struct pair {
    int a, b;
};

static int entry(void *arg)
{
    return arg != NULL;
}

static int wrong_entry(int *arg)
{
    return *arg;
}

static void cleanup(void *arg)
{
    (void)arg;
}

int body(int n);
int body(int n)
{
#if FAIL == 1
    if (n)
        WEFT_SCOPE(s);
#elif FAIL == 2
    if (n)
        WEFT_TIMEOUT(t, 5);
#elif FAIL == 3
    if (n)
        WEFT_DEFER(cleanup, &n);
#else
    if (n) {
        WEFT_SCOPE(s);
        WEFT_TIMEOUT(t, 5);
        WEFT_DEFER(cleanup, &n);
    }
#endif
    switch (n) {
    case 1:
#if FAIL == 4
        (void)n;
        WEFT_SCOPE(s);
        break;
#elif FAIL == 5
        (void)n;
        WEFT_SHIELD(x);
        break;
#elif FAIL == 6
        (void)n;
        WEFT_DEFER(cleanup, &n);
        break;
#else
    {
        WEFT_SCOPE(s);
        WEFT_SHIELD(x);
        WEFT_DEFER(cleanup, &n);
    } break;
#endif
    case 2:
        return 2;
    }
#if FAIL == 7
    if (n == 5)
        goto out;
    WEFT_SCOPE(late);
    weft_go(&late, entry, NULL);
out :
#endif
{
    WEFT_SCOPE(s, .errors = WEFT_COLLECT, .name = "right");
#if FAIL == 8
    weft_go_copy(&s, wrong_entry, n);
#elif FAIL == 9
        WEFT_DEFER(entry, &n);
#elif FAIL == 10
        WEFT_SCOPE(t, .error = WEFT_COLLECT);
#elif FAIL == 11
        weft_go_copy(s, entry, n);
#else
        weft_go_copy(&s, entry, n);
        if (n)
            weft_go_copy(&s, entry, (struct pair){1, 2});
        else
            weft_go_copy(NULL, &entry, 5.0);
#endif
}
#if FAIL == 12
    WEFT_RECOVER(p) {}
#else
    if (n)
        WEFT_TRY
        {
            wrong_entry(&n);
        }
    WEFT_RECOVER(p)
    {
        return weft_panic_message(p)[0];
    }
    else n = 0;
#endif
    return n;
}
