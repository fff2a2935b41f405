// SPDX-License-Identifier: Apache-2.0
/* wrong_base.c - misuse of base.h and version.h that the compiler must refuse. */
// FAIL 1: too many arguments|invalid operands|called object
// FAIL 2: undeclared
#include <weft/version.h>

int probe(void);
int probe(void)
{
#if FAIL == 1
    return weft_version(1);
#elif FAIL == 2
    return WEFT_VERSION_SUBMINOR;
#else
    return weft_version() >= WEFT_VERSION_NUMBER(0, 1, 0);
#endif
}
