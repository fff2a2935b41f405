// SPDX-License-Identifier: Apache-2.0
/* guide_locks.c - a mutex that four fibers share. Quoted by docs/guide.md. */
#include <stdio.h>
#include <weft/weft.h>

struct account {
    weft_mutex lock; // all zero bytes: an unlocked mutex
    int balance;     // guarded by lock
};

static int deposit(void *p)
{
    struct account *a = *(struct account **)p;
    for (int i = 0; i < 1000; i++) {
        weft_mutex_lock(&a->lock);
        a->balance++;
        weft_mutex_unlock(&a->lock);
    }
    return 0;
}

static int app(void *arg)
{
    (void)arg;
    struct account a = {0};
    WEFT_SCOPE(s);
    for (int i = 0; i < 4; i++)
        weft_go_copy(&s, deposit, &a);
    int rc = weft_wait(&s);
    printf("%d\n", a.balance);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
