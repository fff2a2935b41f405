// SPDX-License-Identifier: Apache-2.0
/*
 * errors.h - what the rest of the room needs of error.c.
 */
#ifndef WEFT_CTX_ERRORS_H
#define WEFT_CTX_ERRORS_H
#include <weft/error.h>

/** The constant error of a code: no message, never freed. */
weft_error *weft__error_const(int code);
#endif
