// SPDX-License-Identifier: Apache-2.0
/* errors.c - errors that say more than a number: causes, tries, and how they travel. */
#include <errno.h>
#include <stdio.h>
#include <weft/weft.h>

static int fetch(int attempt)
{
    return weft_fail(
        weft_error_set_attempt(weft_error_new(-ECONNREFUSED, "host db%d", attempt), attempt));
}

static int load_profile(int id)
{
    int rc = -EIO;
    for (int attempt = 1; attempt <= 3 && rc < 0; attempt++)
        rc = fetch(attempt);
    if (rc < 0) // what fetch left, with our words around it
        return weft_fail(weft_error_wrap(weft_error_take(rc), 0, "profile of user %d", id));
    return 0;
}

static int worker(void *arg)
{
    return load_profile(*(int *)arg);
}

static int app(void *arg)
{
    char text[200];
    (void)arg;
    WEFT_SCOPE(s);
    weft_go_copy(&s, worker, 7);
    int rc = weft_wait(&s);
    const weft_error *e = weft_scope_error(&s); // the scope has picked it up
    weft_error_format(e, text, sizeof text);
    printf("%s: %s\n", weft_strerror(rc), text);
    printf("refused: %d, try %d\n", weft_error_is(e, -ECONNREFUSED),
        weft_error_attempt(weft_error_cause(e, 0)));
    return 0;
}

int main(void)
{
    return weft_main(app, NULL);
}
