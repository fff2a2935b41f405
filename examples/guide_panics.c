// SPDX-License-Identifier: Apache-2.0
/* guide_panics.c - a panic runs what was deferred, and is recovered. Quoted by docs/guide.md. */
#include <stdio.h>
#include <weft/weft.h>

static void clean_up(void *what)
{
    printf("cleaning up %s\n", (const char *)what);
}

static int risky(void *arg)
{
    WEFT_DEFER(clean_up, arg);
    weft_panic("no more %s", "luck");
}

static int app(void *arg)
{
    (void)arg;
    char what[] = "the table";
    weft_panic_info *panic = NULL;
    int rc = weft_try(risky, what, &panic);
    printf("%s: %s\n", rc < 0 ? "recovered" : "?", weft_panic_message(panic));
    weft_panic_free(panic);
    return 0;
}

int main(void)
{
    return weft_main(app, NULL);
}
