// SPDX-License-Identifier: Apache-2.0
/*
 * version.c - the version that this library was built as.
 *
 * The numbers are those of the public header; the build passes its own (meson.build's) as
 * WEFT_BUILD_VERSION to test_version, which holds the two together. Constant, so callable from
 * anywhere.
 */
#include <weft/version.h>

int weft_version(void)
{
    return WEFT_VERSION;
}

const char *weft_version_string(void)
{
    return WEFT_VERSION_STRING;
}
