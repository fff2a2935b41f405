// SPDX-License-Identifier: Apache-2.0
/*
 * weft/version.h - which weft a program was compiled against, and which one it runs with.
 *
 * The macros are fixed when the program is compiled, the function answers for the library that is
 * loaded: they differ when a newer libweft.so was installed since. docs/stability.md says what may
 * change between which versions.
 */
#ifndef WEFT_VERSION_H
#define WEFT_VERSION_H

#include <weft/base.h>

#define WEFT_VERSION_MAJOR 0
#define WEFT_VERSION_MINOR 1
#define WEFT_VERSION_PATCH 0
#define WEFT_VERSION_STRING "0.1.0"

/* One number that can be compared: WEFT_VERSION >= WEFT_VERSION_NUMBER(0, 2, 0). */
#define WEFT_VERSION_NUMBER(major, minor, patch) ((major)*1000000 + (minor)*1000 + (patch))
#define WEFT_VERSION WEFT_VERSION_NUMBER(WEFT_VERSION_MAJOR, WEFT_VERSION_MINOR, WEFT_VERSION_PATCH)

WEFT_BEGIN_DECLS

/**
 * weft_version - the version of the library that is loaded.
 *
 * Returns major * 1000000 + minor * 1000 + patch, to be compared with WEFT_VERSION.
 * Blocks:    never.
 * Callable:  from anywhere, before the runtime starts and in signal handlers too.
 * Order:     none.
 * Cost:      returns a constant.
 * Since 0.1. See weft_version_string.
 */
WEFT_API int weft_version(void);

/**
 * weft_version_string - the version of the library that is loaded, as text.
 *
 * Returns "MAJOR.MINOR.PATCH"; borrowed, valid for as long as the library is loaded.
 * Blocks:    never.
 * Callable:  from anywhere, before the runtime starts and in signal handlers too.
 * Order:     none.
 * Cost:      returns a constant.
 * Since 0.1. See weft_version.
 */
WEFT_API const char *weft_version_string(void);

WEFT_END_DECLS
#endif
