// SPDX-License-Identifier: Apache-2.0
/* hello.c - the smallest program that shows an embedding to be whole: a fiber says which weft it
 * runs with. */
#include <stdio.h>
#include <weft/weft.h>

static int hello(void *arg)
{
    (void)arg;
    printf("hello from a fiber of weft %s\n", weft_version_string());
    return 0;
}

int main(void)
{
    return weft_main(hello, NULL);
}
