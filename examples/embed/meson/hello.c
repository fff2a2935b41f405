// SPDX-License-Identifier: Apache-2.0
/* hello.c - the smallest program that shows an embedding to be whole: it says which weft it runs
 * with. */
#include <weft/version.h>

#include <stdio.h>

int main(void)
{
    printf("hello from a fiber of weft %s\n", weft_version_string());
    return 0;
}
