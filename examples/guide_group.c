// SPDX-License-Identifier: Apache-2.0
/* guide_group.c - many jobs, a few at a time. Quoted by docs/guide.md. */
#include <stdio.h>
#include <weft/weft.h>

static int fetch(void *p)
{
    int *page = p;
    int rc = weft_sleep(WEFT_MS); // what takes a while
    *page *= 10;
    return rc;
}

static int fetch_all(int *pages, int n)
{
    WEFT_GROUP(g, 4); // at most four at a time
    for (int i = 0; i < n; i++)
        if (weft_group_go(&g, fetch, &pages[i]) < 0)
            break; // one has failed: no more are started
    return weft_group_wait(&g);
}

static int app(void *arg)
{
    int pages[12], sum = 0;
    (void)arg;
    for (int i = 0; i < 12; i++)
        pages[i] = i;
    int rc = fetch_all(pages, 12);
    for (int i = 0; i < 12; i++)
        sum += pages[i];
    printf("%d\n", sum);
    return rc;
}

int main(void)
{
    return weft_main(app, NULL);
}
