// SPDX-License-Identifier: Apache-2.0
/* guide_contexts.c - contexts: a timeout that the callee need not know of. Quoted by docs/guide.md.
 */
#include <stdio.h>
#include <weft/weft.h>
#include <errno.h>

static int slow(void)
{
    return weft_sleep(10 * WEFT_SEC);
}

static int hurried(void)
{
    WEFT_TIMEOUT(t, 20 * WEFT_MS);
    return slow();
}

static int app(void *arg)
{
    (void)arg;
    printf("%s\n", hurried() == -ETIMEDOUT ? "timed out" : "?");
    return weft_sleep(WEFT_MS); // out here the time has not run out
}

int main(void)
{
    return weft_main(app, NULL);
}
